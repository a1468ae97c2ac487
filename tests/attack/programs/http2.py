"""HTTP/2 by hand: frames, and HPACK written plainly and read by libnghttp2."""
import ctypes
import socket
import struct
import time

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, \
    CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS, PADDED, PRIORITY_FLAG = 1, 1, 4, 8, 32


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(
        ">I", stream) + payload


def settings(*pairs, flags=0):
    return frame(SETTINGS, flags, 0, b"".join(struct.pack(">HI", *pair) for pair in pairs))


def integer(value, bits, first=0):
    most = (1 << bits) - 1
    if value < most:
        return bytes([first | value])
    out = bytearray([first | most])
    value -= most
    while value >= 128:
        out.append(value % 128 + 128)
        value //= 128
    out.append(value)
    return bytes(out)


def text(value):
    return integer(len(value), 7) + value


def field(name, value, indexed=False):
    """A literal with its name in full; with `indexed` it enters the dynamic table."""
    return (b"\x40" if indexed else b"\x00") + text(name) + text(value)


def block(fields):
    return b"".join(field(name, value) for name, value in fields)


def request_fields(path=b"/v1/models", method=b"GET", authority=b"origin.shop", more=()):
    return [(b":method", method), (b":scheme", b"http"), (b":authority", authority),
            (b":path", path), *more]


def headers(stream, fields, flags=END_HEADERS | END_STREAM):
    return frame(HEADERS, flags, stream, block(fields))


class _Pair(ctypes.Structure):
    _fields_ = [("name", ctypes.POINTER(ctypes.c_uint8)), ("value", ctypes.POINTER(ctypes.c_uint8)),
                ("name_size", ctypes.c_size_t), ("value_size", ctypes.c_size_t),
                ("flags", ctypes.c_uint8)]


class Inflater:
    """Reads header blocks of one direction of a connection."""
    _library = None

    def __init__(self):
        if Inflater._library is None:
            library = ctypes.CDLL("libnghttp2.so.14")
            library.nghttp2_hd_inflate_hd2.restype = ctypes.c_ssize_t
            library.nghttp2_hd_inflate_hd2.argtypes = [
                ctypes.c_void_p, ctypes.POINTER(_Pair), ctypes.POINTER(ctypes.c_int),
                ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int]
            library.nghttp2_hd_inflate_end_headers.argtypes = [ctypes.c_void_p]
            Inflater._library = library
        self.state = ctypes.c_void_p()
        if Inflater._library.nghttp2_hd_inflate_new(ctypes.byref(self.state)) != 0:
            raise MemoryError

    def read(self, data):
        fields = []
        while True:
            pair, flags = _Pair(), ctypes.c_int()
            used = Inflater._library.nghttp2_hd_inflate_hd2(self.state, pair, flags, data, len(data),
                                                            1)
            if used < 0:
                raise ValueError(f"HPACK: {used}")
            data = data[used:]
            if flags.value & 2:  # a field
                fields.append((ctypes.string_at(pair.name, pair.name_size),
                               ctypes.string_at(pair.value, pair.value_size)))
            if flags.value & 1:  # the end
                Inflater._library.nghttp2_hd_inflate_end_headers(self.state)
                return fields
            if used == 0 and not flags.value & 2:
                return fields


class Client:
    """A connection of its own that keeps no rules but those of the test."""

    def __init__(self, host, port, preface=True, initial=()):
        self.sock = socket.create_connection((host, port), 5)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        self.inflater = Inflater()
        if preface:
            self.send(PREFACE + settings(*initial))

    def send(self, data, timeout=5):
        self.sock.settimeout(timeout)
        self.sock.sendall(data)

    def close(self):
        self.sock.close()

    def frames(self, seconds):
        """(kind, flags, stream, payload) until the time is over or the connection ends; the last
        item is "open", "closed" or "reset"."""
        deadline = time.monotonic() + seconds
        while True:
            while len(self.buffer) >= 9:
                size = int.from_bytes(self.buffer[:3], "big")
                if len(self.buffer) < 9 + size:
                    break
                kind, flags = self.buffer[3], self.buffer[4]
                stream = int.from_bytes(self.buffer[5:9], "big") & 0x7fffffff
                payload, self.buffer = self.buffer[9:9 + size], self.buffer[9 + size:]
                yield kind, flags, stream, payload
            left = deadline - time.monotonic()
            if left <= 0:
                yield "open"
                return
            self.sock.settimeout(left)
            try:
                data = self.sock.recv(65536)
            except TimeoutError:
                yield "open"
                return
            except ConnectionError:
                yield "reset"
                return
            if not data:
                yield "closed"
                return
            self.buffer += data

    def answer(self, stream, seconds, out):
        """Fills `out` with what came of a stream: status, end, code (of RST_STREAM or GOAWAY)."""
        for got in self.frames(seconds):
            if isinstance(got, str):
                out["end"] = got
                return out
            kind, flags, number, payload = got
            if kind == SETTINGS and not flags & ACK:
                try:
                    self.send(settings(flags=ACK))
                except OSError:
                    pass
            elif kind == GOAWAY:
                out["code"] = int.from_bytes(payload[4:8], "big")
                if out["code"] != 0 or out["status"] is None:
                    out["end"] = "goaway"
                    return out
            elif kind == RST_STREAM and number == stream:
                out["end"], out["code"] = "reset", int.from_bytes(payload, "big")
                return out
            elif kind == HEADERS and number == stream:
                for name, value in self.inflater.read(payload):
                    if name == b":status" and int(value) >= 200:
                        out["status"] = int(value)
                    elif name == b"x-case":
                        out["case"] = value.decode("latin-1")
            elif kind == DATA and number == stream:
                out["body"] = out.get("body", "") + payload.decode("latin-1")
            if kind in (HEADERS, DATA) and number == stream and flags & END_STREAM:
                out["end"] = "answered"
                return out
        return out
