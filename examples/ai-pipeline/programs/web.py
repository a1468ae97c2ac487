"""The little HTTP that the programs share: a bounded threaded server and a streaming client."""

import http.client
import http.server
import json
import os
import signal
import socket
import sys
import threading
import time
import urllib.parse

MAX_BODY = 1 << 20
MAX_CONNECTIONS = 128


def log(event, **fields):
    """One JSON line on standard error, which the pod's log keeps."""
    record = {"time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "event": event}
    record.update(fields)
    sys.stderr.write(json.dumps(record) + "\n")
    sys.stderr.flush()


class HttpError(Exception):
    """Answered to the caller in OpenAI's error form."""

    def __init__(self, status, message, kind="invalid_request_error"):
        super().__init__(message)
        self.status = status
        self.kind = kind

    def body(self):
        return {"error": {"message": str(self), "type": self.kind, "param": None,
                          "code": self.status}}


class Handler(http.server.BaseHTTPRequestHandler):
    """Subclasses set `routes`: {(method, path): function(handler)}."""

    protocol_version = "HTTP/1.1"
    timeout = 120
    routes = {}

    def setup(self):
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def do_GET(self):
        self._dispatch("GET")

    def do_POST(self):
        self._dispatch("POST")

    def _dispatch(self, method):
        self.streaming = False
        path = urllib.parse.urlsplit(self.path).path
        route = self.routes.get((method, path))
        try:
            if route is None:
                known = any(p == path for _, p in self.routes)
                self.close_connection = True
                raise HttpError(405 if known else 404, f"no {method} {path} here", "not_found_error")
            route(self)
        except HttpError as e:
            self._fail(e)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
        except Exception as e:  # a bug or a broken upstream must not take the server down
            log("error", path=path, what=f"{type(e).__name__}: {e}")
            self._fail(HttpError(502, f"{type(e).__name__} while serving {path}", "server_error"))

    def _fail(self, error):
        try:
            if not self.streaming:
                self.send_json(error.status, error.body())
                return
            # The status line is gone: say it inside the stream, then cut without the last chunk.
            self.send_chunk(b"data: " + json.dumps(error.body()).encode() + b"\n\n")
        except OSError:
            pass
        self.close_connection = True

    def read_json(self):
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal():
            self.close_connection = True
            raise HttpError(411, "a request body with Content-Length was expected")
        if int(length) > MAX_BODY:
            self.close_connection = True
            raise HttpError(413, f"the body has {length} bytes, at most {MAX_BODY} are allowed")
        raw = self.rfile.read(int(length))
        try:
            value = json.loads(raw)
        except (ValueError, RecursionError):
            raise HttpError(400, "the body is not JSON") from None
        if not isinstance(value, dict):
            raise HttpError(400, "the body is not a JSON object")
        return value

    def send_json(self, status, value, headers=()):
        raw = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        for name, text in headers:
            self.send_header(name, text)
        self.end_headers()
        self.wfile.write(raw)

    def start_stream(self, headers=(), content_type="text/event-stream"):
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.send_header("Cache-Control", "no-cache")
        self.send_header("Transfer-Encoding", "chunked")
        for name, text in headers:
            self.send_header(name, text)
        self.end_headers()
        self.streaming = True

    def send_chunk(self, data):
        if data:
            self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))

    def end_stream(self):
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, format, *args):  # noqa: A002 (the name is the base class's)
        if self.path != "/healthz":
            log("request", client=self.client_address[0], line=format % args)


class Server(http.server.ThreadingHTTPServer):
    """IPv4 and IPv6 on one port; more than MAX_CONNECTIONS connections wait to be accepted."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, port, handler, host=None):
        self._slots = threading.BoundedSemaphore(MAX_CONNECTIONS)
        if host is None:
            host = "::" if os.path.exists("/proc/net/if_inet6") else "0.0.0.0"
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), handler)

    def server_bind(self):
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        # Not HTTPServer's: that one looks up the host's name, which may wait for DNS.
        http.server.socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]

    def process_request(self, request, client_address):
        self._slots.acquire()
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._slots.release()
            raise

    def process_request_thread(self, request, client_address):
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._slots.release()

    def handle_error(self, request, client_address):
        log("connection failed", client=client_address[0], what=str(sys.exc_info()[1]))


def serve(routes, port=8080):
    """Serves until SIGTERM or SIGINT. PORT in the environment overrides the port."""
    routes = {("GET", "/healthz"): lambda h: h.send_json(200, {"status": "ok"}), **routes}
    handler = type("Routes", (Handler,), {"routes": routes})
    server = Server(int(os.environ.get("PORT", port)), handler, os.environ.get("HOST") or None)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    threading.Thread(target=server.serve_forever, daemon=True).start()
    log("listening", port=server.server_port)
    stop.wait()
    server.shutdown()


class Upstream:
    """One request to another server: `with Upstream(url, body) as r`, then r.json() or r.pieces().

    Closing early closes the connection, which tells the other side to stop generating.
    """

    def __init__(self, url, body, headers=None, timeout=60, connect_timeout=3):
        parts = urllib.parse.urlsplit(url)
        self.name = parts.netloc
        self._connection = http.client.HTTPConnection(parts.hostname, parts.port or 80,
                                                      timeout=connect_timeout)
        try:
            self._connection.connect()
            self._connection.sock.settimeout(timeout)
            self._connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sent = {"Content-Type": "application/json", **(headers or {})}
            self._connection.request("POST", parts.path, json.dumps(body), sent)
            self._response = self._connection.getresponse()
        except (OSError, http.client.HTTPException) as e:
            self._connection.close()
            raise HttpError(502, f"{self.name} does not answer: {e}", "server_error") from None
        self.status = self._response.status
        self.headers = self._response.headers

    def json(self, limit=8 * MAX_BODY):
        raw = self._response.read(limit + 1)
        if len(raw) > limit:
            raise HttpError(502, f"{self.name} answered more than {limit} bytes", "server_error")
        try:
            return json.loads(raw)
        except ValueError:
            raise HttpError(502, f"{self.name} did not answer JSON", "server_error") from None

    def pieces(self):
        """The body as it arrives. Raises HttpError when the connection breaks in the middle."""
        try:
            while True:
                piece = self._response.read1(65536)
                if not piece:
                    return
                yield piece
        except (OSError, http.client.HTTPException) as e:
            raise HttpError(502, f"{self.name} broke off: {e}", "server_error") from None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._response.close()
        self._connection.close()
