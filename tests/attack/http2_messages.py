"""HTTP/2 requests that a server which turns them into HTTP/1 could misread, and malformed frames."""
import base64
import struct
import sys

from world import HOST, PROGRAMS

sys.path.insert(0, str(PROGRAMS))
import http2  # noqa: E402

GOOD = [(b":method", b"POST"), (b":scheme", b"http"), (b":authority", HOST.encode()),
        (b":path", b"/v1/completions")]
INNER = b"POST /props HTTP/1.1\r\nHost: origin.shop\r\nContent-Length: 2\r\n\r\nhi"


def changed(name, value):
    return [(n, value if n == name else v) for n, v in GOOD]


def without(name):
    return [(n, v) for n, v in GOOD if n != name]


def messages():
    """(name, fields, body): none may be answered with more than itself."""
    for breaks in (b"\r\n", b"\n", b"\r", b"\x00", b"\r\n ", b"\n\t"):
        for name in (b":method", b":path", b":authority", b":scheme"):
            value = dict(GOOD)[name]
            yield (f"{name!r} with {breaks!r}",
                   changed(name, value + b" HTTP/1.1" + breaks + b"X: y" + breaks * 2 + INNER), b"")
        yield f"value with {breaks!r}", GOOD + [(b"x", b"a" + breaks + b"content-length: 0")], b""
        yield f"name with {breaks!r}", GOOD + [(b"x" + breaks + b"content-length: 0", b"y")], b""
        yield f"cookie with {breaks!r}", GOOD + [(b"cookie", b"a=b" + breaks + b"x: y")], b""
        yield f"value ended by {breaks!r}", GOOD + [(b"x", b"a" + breaks)], b""
    for path in (b"", b"/v1/completions HTTP/1.1", b"/v1/completions x", b"v1/completions", b"*",
                 b"http://origin.shop/props", b"/v1/completions\tx", b"/v1/completions#x",
                 b"/v1/completions\xff", b" /v1/completions", b"/v1/completions "):
        yield f"path {path!r}", changed(b":path", path), b""
    for method in (b"", b"GET /props", b"GET /props HTTP/1.1\r\n", b"POST ", b" POST", b"po st",
                   b"CONNECT", b"POST\t", b"\x00"):
        yield f"method {method!r}", changed(b":method", method), b""
    for scheme in (b"", b"http://origin.shop/props?", b"https", b"file", b"http ", b"h\x00ttp"):
        yield f"scheme {scheme!r}", changed(b":scheme", scheme), b""
    for authority in (b"", b"origin.shop/props", b"user@origin.shop", b"origin.shop evil",
                      b"origin.shop:80, evil", b"origin.shop#x", b"origin.shop\\x"):
        yield f"authority {authority!r}", changed(b":authority", authority), b""
    for name in (b":method", b":scheme", b":path", b":authority"):
        yield f"without {name!r}", without(name), b""
        yield f"twice {name!r}", GOOD + [(name, dict(GOOD)[name])], b""
        yield f"twice and other {name!r}", [(name, b"/props"), *GOOD], b""
    yield "pseudo-field behind a field", without(b":path") + [(b"x", b"y"), (b":path", b"/props")], b""
    yield "unknown pseudo-field", GOOD + [(b":x", b"y")], b""
    yield "response pseudo-field", GOOD + [(b":status", b"200")], b""
    yield "protocol without CONNECT", GOOD + [(b":protocol", b"websocket")], b""
    for name, value in ((b"transfer-encoding", b"chunked"), (b"transfer-encoding", b"identity"),
                        (b"connection", b"close"), (b"connection", b"transfer-encoding"),
                        (b"keep-alive", b"timeout=5"), (b"proxy-connection", b"close"),
                        (b"upgrade", b"h2c"), (b"te", b"gzip"), (b"te", b"trailers, gzip"),
                        (b"host", b"evil.example"), (b"host", b"origin.shop\r\nx: y"),
                        (b"Transfer-Encoding", b"chunked"), (b"X", b"upper case"),
                        (b"x y", b"z"), (b"x:y", b"z"), (b"", b"empty name"), (b"x\xff", b"y"),
                        (b" x", b"y"), (b"x", b" y"), (b"x", b"y\t"), (b"x(", b"y")):
        yield f"field {name!r}: {value!r}", GOOD + [(name, value)], b"0\r\n\r\n" + INNER
    for length in (b"0", b"1", b"99", b"-1", b"+5", b"5, 5", b"0x5", b"", b"5 ", b"9" * 30):
        yield f"length {length!r}", GOOD + [(b"content-length", length)], b"12345" + INNER
    yield "two lengths", GOOD + [(b"content-length", b"5"), (b"content-length", b"6")], b"12345"
    yield "body of a GET", changed(b":method", b"GET"), INNER
    yield "body that looks like chunks", GOOD, b"0\r\n\r\n" + INNER


def encoded(number, name, fields, body):
    def words(data):
        return "base64:" + base64.b64encode(data).decode()
    return {"id": number, "kind": "request", "read": 2, "body": words(body),
            "fields": [[words(n), words(v)] for n, v in [*fields, (b"x-case", b"%d" % number)]]}


def long_field(size):
    return http2.field(b"x", b"y" * size)


def raw():
    """(name, [bytes...], preface, fatal): `fatal` where the whole connection must end."""
    head = http2.headers
    frame = http2.frame
    get = http2.request_fields()
    body = http2.request_fields(method=b"POST", path=b"/v1/completions")
    opened = head(1, body, http2.END_HEADERS)
    yield "wrong preface", [b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n" + b"\0" * 64], False, True
    yield "HTTP/1 after the preface", [http2.PREFACE + b"GET / HTTP/1.1\r\n\r\n"], False, True
    yield "no SETTINGS first", [http2.PREFACE + head(1, get)], False, True
    yield "SETTINGS on a stream", [frame(http2.SETTINGS, 0, 1)], True, True
    yield "SETTINGS of five bytes", [frame(http2.SETTINGS, 0, 0, b"12345")], True, True
    yield "SETTINGS answer with content", [frame(http2.SETTINGS, 1, 0, b"\0" * 6)], True, True
    yield "SETTINGS with push 2", [http2.settings((2, 2))], True, True
    yield "SETTINGS with a window too large", [http2.settings((4, 0x80000000))], True, True
    yield "SETTINGS with frames too small", [http2.settings((5, 100))], True, True
    yield "SETTINGS with 1,000 entries", [http2.settings(*[(0x99, 1)] * 1000)], True, True
    yield "PING of seven bytes", [frame(http2.PING, 0, 0, b"1234567")], True, True
    yield "PING on a stream", [frame(http2.PING, 0, 1, b"12345678")], True, True
    yield "GOAWAY on a stream", [frame(http2.GOAWAY, 0, 1, b"\0" * 8)], True, True
    yield "GOAWAY of seven bytes", [frame(http2.GOAWAY, 0, 0, b"\0" * 7)], True, True
    yield "WINDOW_UPDATE of zero", [frame(http2.WINDOW_UPDATE, 0, 0, b"\0" * 4)], True, True
    yield "WINDOW_UPDATE beyond 2^31-1", [frame(http2.WINDOW_UPDATE, 0, 0, b"\x7f\xff\xff\xff")], \
        True, True
    yield "WINDOW_UPDATE of three bytes", [frame(http2.WINDOW_UPDATE, 0, 0, b"\0\0\1")], True, True
    yield "WINDOW_UPDATE of an idle stream", [frame(http2.WINDOW_UPDATE, 0, 5, b"\0\0\0\1")], \
        True, True
    yield "stream WINDOW_UPDATE beyond 2^31-1", [
        opened + frame(http2.WINDOW_UPDATE, 0, 1, b"\x7f\xff\xff\xff")], True, False
    yield "DATA on stream 0", [frame(http2.DATA, 1, 0, b"x")], True, True
    yield "DATA on an idle stream", [frame(http2.DATA, 1, 1, b"x")], True, True
    yield "DATA behind the end", [head(1, get) + frame(http2.DATA, 1, 1, b"x")], True, False
    yield "DATA with more padding than content", [
        opened + frame(http2.DATA, http2.PADDED, 1, b"\xffx")], True, True
    yield "HEADERS on stream 0", [head(0, get)], True, True
    yield "HEADERS on an even stream", [head(2, get)], True, True
    yield "HEADERS on a closed stream", [(head(1, get)), (head(1, get))], True, False
    yield "HEADERS with too much padding", [
        frame(http2.HEADERS, 0xd, 1, b"\xff" + http2.block(get))], True, True
    yield "HEADERS that depends on itself", [frame(http2.HEADERS, 0x25, 1, struct.pack(
        ">IB", 1, 0) + http2.block(get))], True, False
    yield "second HEADERS without an end", [opened + head(1, [(b"x", b"y")], 4)], True, False
    yield "trailers with a pseudo-field", [opened + head(1, [(b":path", b"/props")])], True, False
    yield "PRIORITY of four bytes", [frame(http2.PRIORITY, 0, 1, b"\0" * 4)], True, False
    yield "RST_STREAM on stream 0", [frame(http2.RST_STREAM, 0, 0, b"\0" * 4)], True, True
    yield "RST_STREAM of an idle stream", [frame(http2.RST_STREAM, 0, 5, b"\0" * 4)], True, True
    yield "RST_STREAM of three bytes", [opened + frame(http2.RST_STREAM, 0, 1, b"\0" * 3)], True, True
    yield "PUSH_PROMISE of a client", [opened + frame(
        http2.PUSH_PROMISE, 4, 1, b"\0\0\0\2" + http2.block(get))], True, True
    yield "CONTINUATION of nothing", [frame(http2.CONTINUATION, 4, 1, http2.block(get))], True, True
    yield "CONTINUATION of another stream", [head(1, get, 1) + frame(
        http2.CONTINUATION, 4, 3, b"")], True, True
    yield "PING inside a header block", [head(1, get, 1) + frame(http2.PING, 0, 0, b"\0" * 8)], \
        True, True
    yield "HEADERS inside a header block", [head(1, get, 1) + head(3, get)], True, True
    yield "frame larger than allowed", [opened + frame(http2.DATA, 0, 1, b"x" * 20000)], True, True
    yield "frame of 16 MiB announced", [b"\xff\xff\xff\0\0" + struct.pack(">I", 1)], True, True
    yield "HPACK index 0", [frame(http2.HEADERS, 5, 1, b"\x80")], True, True
    yield "HPACK index beyond the table", [frame(http2.HEADERS, 5, 1, b"\xff\xff\x03")], True, True
    yield "HPACK integer without an end", [frame(http2.HEADERS, 5, 1, b"\xff" * 40)], True, True
    yield "HPACK table larger than allowed", [frame(
        http2.HEADERS, 5, 1, b"\x3f\xe1\xff\xff\x07" + http2.block(get))], True, True
    yield "HPACK table size in the middle", [frame(
        http2.HEADERS, 5, 1, http2.block(get) + b"\x20")], True, True
    yield "HPACK text longer than the block", [frame(http2.HEADERS, 5, 1, b"\0\x01x\x7fy")], True, True
    yield "HPACK Huffman with bad padding", [frame(
        http2.HEADERS, 5, 1, http2.block(get) + b"\0\x01x\x81\x00")], True, True
    yield "HPACK Huffman with an end symbol", [frame(
        http2.HEADERS, 5, 1, http2.block(get) + b"\0\x01x\x84\xff\xff\xff\xff")], True, True
    yield "header block that is cut", [frame(http2.HEADERS, 5, 1, http2.block(get)[:-5])], True, True
    yield "101 fields", [frame(http2.HEADERS, 5, 1, http2.block(get) + http2.field(
        b"x", b"y") * 101)], True, False
    yield "a field of 70,000 bytes", [
        frame(http2.HEADERS, 1, 1, http2.block(get)) +
        b"".join(frame(http2.CONTINUATION, 4 if last else 0, 1, part)
                 for part, last in pieces(long_field(70000)))], True, False
    yield "1,500 cookie crumbs", [frame(http2.HEADERS, 5, 1, http2.block(get) + http2.field(
        b"cookie", b"") * 1500)], True, False


def pieces(data, size=16384):
    parts = [data[i:i + size] for i in range(0, len(data), size)]
    return [(part, i == len(parts) - 1) for i, part in enumerate(parts)]


# Odd, but allowed: ignored, and the request behind it is answered.
def harmless():
    get = http2.headers(1, http2.request_fields())
    yield "unknown frame", http2.frame(0x99, 0xff, 0, b"x" * 100) + get
    yield "unknown frame on a stream", http2.frame(0x99, 0xff, 7, b"x" * 100) + get
    yield "unknown setting", http2.settings((0x9999, 1)) + get
    yield "PRIORITY of an idle stream", http2.frame(http2.PRIORITY, 0, 9, b"\0\0\0\0\1") + get
    yield "reserved bit", get[:5] + bytes([get[5] | 0x80]) + get[6:]
    yield "padding", http2.frame(http2.HEADERS, 0xd, 1, b"\5" + http2.block(
        http2.request_fields()) + b"\0" * 5)
    yield "block in parts", http2.frame(http2.HEADERS, 1, 1, http2.block(
        http2.request_fields())[:9]) + http2.frame(http2.CONTINUATION, 4, 1, http2.block(
            http2.request_fields())[9:])
    # What nghttp2 ignores: priorities are not used, and an older stream counts as closed.
    yield "PRIORITY on stream 0", http2.frame(http2.PRIORITY, 0, 0, b"\0" * 5) + get
    yield "HEADERS on an older stream", get + http2.headers(5, http2.request_fields()) + \
        http2.headers(3, http2.request_fields())
    yield "PING", http2.frame(http2.PING, 0, 0, b"\0" * 8) + get
