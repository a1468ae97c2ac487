"""The application behind the proxies: answers plainly, and keeps every byte that reached it.

Port 8080: HTTP/1.1, and HTTP/2 by prior knowledge. Each request is answered with 200 and a body that names its request line, and
with the header x-case that came, so that a client notices an answer that is not its own.
/public/big answers with 4 MiB. Port 9100 on the loopback: what was recorded, as JSON.
"""
import base64
import json
import socket
import threading

import http2
import origin_http2

LIMIT = 48 << 20  # of all records; beyond that bytes are counted, not kept
BIG = b"x" * (4 << 20)


class Records:
    def __init__(self):
        self.lock = threading.Lock()
        self.streams = {}
        self.kept = 0
        self.dropped = 0

    def add(self, number, data):
        with self.lock:
            if self.kept + len(data) > LIMIT:
                self.dropped += len(data)
                return
            self.kept += len(data)
            self.streams.setdefault(number, bytearray()).extend(data)

    def dump(self):
        with self.lock:
            return {"dropped": self.dropped,
                    "streams": {str(number): base64.b64encode(bytes(data)).decode()
                                for number, data in self.streams.items()}}


RECORDS = Records()
NUMBERS = iter(range(1 << 62))


class Connection:
    def __init__(self, sock):
        self.sock = sock
        self.number = next(NUMBERS)
        self.buffer = b""
        self.is_http2 = False

    def more(self):
        data = self.sock.recv(65536)
        if not data:
            raise EOFError
        self.buffer += data
        if not self.is_http2:
            RECORDS.add(self.number, data)

    def until(self, mark):
        while mark not in self.buffer:
            if len(self.buffer) > 1 << 20:
                raise EOFError
            self.more()
        found, _, self.buffer = self.buffer.partition(mark)
        return found

    def exactly(self, count):
        while len(self.buffer) < count:
            self.more()
        taken, self.buffer = self.buffer[:count], self.buffer[count:]
        return taken

    def chunked(self):
        while True:
            size = int(self.until(b"\r\n").split(b";")[0], 16)
            if size == 0:
                while self.until(b"\r\n"):
                    pass
                return
            self.exactly(size + 2)

    def request(self):
        head = self.until(b"\r\n\r\n")
        line, *fields = head.split(b"\r\n")
        named = {}
        for field in fields:
            name, _, value = field.partition(b":")
            named[name.lower()] = value.strip()
        if named.get(b"transfer-encoding", b"").lower() == b"chunked":
            self.chunked()
        else:
            self.exactly(int(named.get(b"content-length", b"0")))
        words = line.split(b" ")
        path = words[1] if len(words) > 1 else b""
        body = BIG if path == b"/public/big" else b"reached " + line + b"\n"
        case = named.get(b"x-case", b"none")
        self.sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nX-Case: " + case +
                          b"\r\nContent-Length: %d\r\n\r\n" % len(body) +
                          (b"" if words[0] == b"HEAD" else body))

    def run(self):
        try:
            with self.sock:
                self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                first = self.sock.recv(65536)
                self.buffer = first
                self.is_http2 = first.startswith(http2.PREFACE[:8])
                if self.is_http2:
                    origin_http2.Connection(
                        self.exactly,
                        lambda text: RECORDS.add(next(NUMBERS), text)).run(self.sock.sendall)
                    return
                RECORDS.add(self.number, first)
                while True:
                    self.request()
        except (OSError, EOFError, ValueError):
            pass


def serve(family, host, port, handler):
    server = socket.socket(family, socket.SOCK_STREAM)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    server.bind((host, port))
    server.listen(512)
    while True:
        sock, _ = server.accept()
        threading.Thread(target=handler, args=(sock,), daemon=True).start()


def control(sock):
    with sock:
        sock.sendall(json.dumps(RECORDS.dump()).encode())


if __name__ == "__main__":
    def application(sock):
        Connection(sock).run()
    threading.Thread(target=serve, args=(socket.AF_INET6, "::", 8080, application),
                     daemon=True).start()
    threading.Thread(target=serve, args=(socket.AF_INET, "127.0.0.1", 9100, control),
                     daemon=True).start()
    print("serving", flush=True)
    serve(socket.AF_INET, "0.0.0.0", 8080, application)
