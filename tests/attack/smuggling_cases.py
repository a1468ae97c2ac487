"""HTTP/1.1 messages whose end two readers may see at different places.

Each case is an outer request for an allowed path that hides an inner one for a denied path. What may
come back: a refusal, or one answer to the outer request. The inner one must never be a request to
anybody.
"""

ALLOWED, DENIED = b"/v1/completions", b"/props"


def inner(number):
    return (b"POST " + DENIED + b" HTTP/1.1\r\nHost: origin.shop\r\nX-Case: %d-inner\r\n"
            b"Content-Length: 2\r\n\r\nhi" % number)


def outer(number, fields, body, line=b"POST " + ALLOWED + b" HTTP/1.1", host=b"Host: origin.shop\r\n"):
    return line + b"\r\n" + host + b"X-Case: %d\r\n" % number + fields + b"\r\n" + body


def chunk(data):
    return b"%x\r\n" % len(data) + data + b"\r\n"


def framing(hidden):
    """Fields of framing, and the body that goes with them."""
    ended = b"0\r\n\r\n" + hidden          # over at once, if it is chunked
    wrapped = chunk(hidden) + b"0\r\n\r\n"  # hidden inside, if it is chunked
    both = b"Content-Length: %d\r\n" % len(ended)
    for coding in (b"Transfer-Encoding: chunked", b"Transfer-Encoding: CHUNKED",
                   b"Transfer-Encoding:chunked", b"Transfer-Encoding: chunked ",
                   b"transfer-encoding: chunked"):
        yield "both, " + coding.decode(), both + coding + b"\r\n", ended
        yield "both turned round, " + coding.decode(), coding + b"\r\n" + both, ended
        yield ("length of a part, " + coding.decode(), b"Content-Length: 3\r\n" + coding + b"\r\n",
               wrapped)
    for coding in (b"Transfer-Encoding : chunked", b"Transfer-Encoding\t: chunked",
                   b"Transfer-Encoding:\x0bchunked", b"Transfer-Encoding: \x0cchunked",
                   b"Transfer-Encoding: xchunked", b"Transfer-Encoding: chunkedx",
                   b"Transfer-Encoding: chunked, identity", b"Transfer-Encoding: identity, chunked",
                   b"Transfer-Encoding: chunked, chunked", b"Transfer-Encoding: gzip, chunked",
                   b"Transfer-Encoding: chunked, gzip", b"Transfer-Encoding: identity",
                   b"Transfer-Encoding: \"chunked\"", b"Transfer-Encoding: 'chunked'",
                   b"Transfer-Encoding: chunked;q=1", b"Transfer-Encoding: chunked\x00",
                   b"Transfer-Encoding:\x00chunked", b"Transfer-Encoding: ,chunked",
                   b"Transfer-Encoding: chunked,", b"Transfer-Encoding:", b"Transfer_Encoding: chunked",
                   b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
                   b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
                   b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
                   b"Transfer-Encoding:\r\n chunked", b"Transfer-Encoding: chunked\r\n , identity",
                   b"Transfer-Encoding:\r\n\tchunked", b"X: y\r\n Transfer-Encoding: chunked",
                   b"X: y\rTransfer-Encoding: chunked", b"X: y\nTransfer-Encoding: chunked",
                   b"X: y\n\nTransfer-Encoding: chunked", b" Transfer-Encoding: chunked",
                   b"\tTransfer-Encoding: chunked", b"\x00Transfer-Encoding: chunked",
                   b"Transfer-Encoding\x00: chunked", b"Transfer-Encoding\xa0: chunked",
                   b"\xc3\xa4Transfer-Encoding: chunked", b"Transfer-Encoding: chun\xc5\xbfed",
                   b"TE: chunked", b"Transfer-Encodin\x67: chunked\x85"):
        yield "with length, " + repr(coding), both + coding + b"\r\n", ended
        yield "alone, " + repr(coding), coding + b"\r\n", ended


def lengths(hidden):
    size = len(hidden)
    for value in (b"0, %d" % size, b"%d, 0" % size, b"%d, %d" % (size, size), b"+%d" % size,
                  b"-1", b"-0", b"0x%x" % size, b"%d.0" % size, b"%de0" % size, b"%d " % size,
                  b" %d" % size, b"\x0b%d" % size, b"%d\x0b" % size, b"0%d" % size, b"%d\x00" % size,
                  b"%d;" % size, b"%d a" % size, b"1_0", b"", b"\"%d\"" % size, b"9" * 30,
                  b"18446744073709551616", b"9223372036854775808", b"4294967296", b"NaN",
                  b"%d\r\n %d" % (size, size), b"\r\n %d" % size, b"\xd9\xa1"):
        yield "length " + repr(value), b"Content-Length: " + value + b"\r\n", hidden
    for fields in (b"Content-Length: 0\r\nContent-Length: %d\r\n" % size,
                   b"Content-Length: %d\r\nContent-Length: 0\r\n" % size,
                   b"Content-Length: %d\r\nContent-Length: %d\r\n" % (size, size),
                   b"Content-Length: 0\r\ncontent-length: %d\r\n" % size,
                   b"Content-Length : %d\r\n" % size, b"Content-Length\x00: %d\r\n" % size,
                   b"Content_Length: %d\r\n" % size, b"X: y\r\n Content-Length: %d\r\n" % size,
                   b"X: y\nContent-Length: %d\r\n" % size, b"X: y\rContent-Length: %d\r\n" % size,
                   b"Content-Length: %d\r\nConnection: content-length\r\n" % size,
                   b"Content-Length: %d\r\nConnection: close, content-length\r\n" % size,
                   b"Transfer-Encoding: chunked\r\nConnection: transfer-encoding\r\n",
                   b"Content-Length: %d\r\nProxy-Connection: content-length\r\n" % size,
                   b"Content-Length: %d\r\nKeep-Alive: content-length\r\n" % size):
        body = chunk(hidden) + b"0\r\n\r\n" if b"chunked" in fields else hidden
        yield "fields " + repr(fields), fields, body


def chunks(hidden):
    """Chunked bodies with something odd."""
    size = b"%x" % len(hidden)
    odd = [size + b";x", size + b" ;x", size + b";x=y", size + b";x=\"a\r\nb\"", size + b";\x00",
           size + b";x\n", size + b" ", size + b"\t", b" " + size, b"0x" + size, b"+" + size,
           b"-" + size, b"00000000000000000000" + size, b"1" + b"0" * 16, b"f" * 17, b"", b"g",
           size + b"g", size + b"\x00", size + b"\x0b", size.upper(), size + b"\r", size + b";" +
           b"x" * 300, b"\xef\xbc\x91"]
    for line in odd:
        yield "chunk size " + repr(line), line + b"\r\n" + hidden + b"\r\n0\r\n\r\n"
    yield "chunk size ended by a line feed", size + b"\n" + hidden + b"\r\n0\r\n\r\n"
    yield "chunk ended by a line feed", size + b"\r\n" + hidden + b"\n0\r\n\r\n"
    yield "chunk without an end", size + b"\r\n" + hidden + b"0\r\n\r\n"
    yield "chunk longer than its size", b"3\r\nabcdef\r\n0\r\n\r\n" + hidden
    yield "chunk with two bytes more", b"3\r\nabcxx\r\n0\r\n\r\n" + hidden
    yield "last chunk as 00", chunk(b"abc") + b"00\r\n\r\n" + hidden
    yield "last chunk as 0x0", chunk(b"abc") + b"0x0\r\n\r\n" + hidden
    yield "last chunk as -0", chunk(b"abc") + b"-0\r\n\r\n" + hidden
    yield "last chunk ended by line feeds", chunk(b"abc") + b"0\n\n" + hidden
    yield "last chunk with an extension", chunk(b"abc") + b"0;x=\"\r\n\r\n\"\r\n\r\n" + hidden
    yield "extension that hides a last chunk", b"3;x\n0\n\n" + hidden + b"\r\nabc\r\n0\r\n\r\n"
    for trailer in (b"Content-Length: 5", b"Transfer-Encoding: chunked", b"Host: evil", b"X",
                    b"X : y", b" X: y", b"X: y\n", b"X: y\x00", b": y",
                    b"Authorization: Bearer x", b"X: y\r\n z"):
        yield "trailer " + repr(trailer), chunk(b"abc") + b"0\r\n" + trailer + b"\r\n\r\n" + hidden


def heads(number, hidden):
    """Heads whose lines end oddly, or that say odd things; whole messages."""
    host = b"Host: origin.shop\r\n"
    line = b"POST " + ALLOWED + b" HTTP/1.1"
    length = b"Content-Length: 0\r\n"
    yield "line feeds only", line + b"\nHost: origin.shop\nContent-Length: 0\n\n" + hidden
    yield "carriage returns only", line + b"\rHost: origin.shop\rContent-Length: 0\r\r" + hidden
    yield "line feed after the request line", line + b"\n" + host + length + b"\r\n" + hidden
    yield "head ended by two line feeds", line + b"\r\n" + host + length[:-2] + b"\n\n" + hidden
    yield "head ended by LF CR LF", line + b"\r\n" + host + length[:-2] + b"\n\r\n" + hidden
    yield "carriage return twice", line + b"\r\r\n" + host + length + b"\r\n" + hidden
    yield "carriage return in a value", line + b"\r\n" + host + b"X: a\rb\r\n" + length + b"\r\n" + hidden
    yield "NUL in a value", line + b"\r\n" + host + b"X: a\x00b\r\n" + length + b"\r\n" + hidden
    yield "field without a colon", line + b"\r\n" + host + b"X\r\n" + length + b"\r\n" + hidden
    yield "field without a name", line + b"\r\n" + host + b": x\r\n" + length + b"\r\n" + hidden
    yield "space in a name", line + b"\r\n" + host + b"X Y: x\r\n" + length + b"\r\n" + hidden
    yield "first field is folded", line + b"\r\n X: x\r\n" + host + length + b"\r\n" + hidden
    yield "folded field", line + b"\r\n" + host + b"X: a\r\n b\r\n" + length + b"\r\n" + hidden
    yield "empty lines in front", b"\r\n\r\n" + line + b"\r\n" + host + length + b"\r\n" + hidden
    yield "two spaces", line.replace(b" ", b"  ") + b"\r\n" + host + length + b"\r\n" + hidden
    yield "tabs", line.replace(b" ", b"\t") + b"\r\n" + host + length + b"\r\n" + hidden
    yield "space at the end of the line", line + b" \r\n" + host + length + b"\r\n" + hidden
    for version in (b"HTTP/1.0", b"HTTP/0.9", b"HTTP/2.0", b"HTTP/1.2", b"HTTP/1.10", b"http/1.1",
                    b"HTTP/1,1", b"HTTP/1.1x", b"HTTP", b"", b"HTTP/ 1.1", b"HTTP/01.1"):
        start = b"POST " + ALLOWED + b" " + version + b"\r\n"
        yield "version " + repr(version), start + host + length + b"\r\n" + hidden
        yield ("version and chunks " + repr(version),
               start + host + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + hidden)
    for hosts in (b"", b"Host:\r\n", b"Host: origin.shop\r\nHost: origin.shop\r\n",
                  b"Host: origin.shop\r\nHost: evil\r\n", b"Host: origin.shop/props\r\n",
                  b"Host: origin.shop, evil\r\n", b"Host: user@origin.shop\r\n",
                  b"Host: origin.shop\x00\r\n", b"Host: origin.shop evil\r\n", b"Host : origin.shop\r\n",
                  b"Host: origin.shop:http\r\n", b"Host: [::1\r\n", b"Host: origin.shop#x\r\n",
                  b"Host: origin.shop?x\r\n", b"Host: origin.shop\\x\r\n"):
        yield "hosts " + repr(hosts), line + b"\r\n" + hosts + length + b"\r\n" + hidden
    size = b"Content-Length: %d\r\n" % len(hidden)
    for method in (b"GET", b"HEAD", b"PUT"):
        yield ("body of " + method.decode(), method + b" " + ALLOWED + b" HTTP/1.1\r\n" + host + size +
               b"\r\n" + hidden)
    for upgrade in (b"websocket", b"h2c", b"TLS/1.0", b"x"):
        yield ("upgrade to " + upgrade.decode(), b"GET " + ALLOWED + b" HTTP/1.1\r\n" + host +
               b"Connection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\nUpgrade: " +
               upgrade + b"\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
               b"Sec-WebSocket-Version: 13\r\n" + size + b"\r\n" + hidden)
    yield ("expects 100", line + b"\r\n" + host + b"Expect: 100-continue\r\n" + size + b"\r\n" + hidden)
    yield ("expects nonsense", line + b"\r\n" + host + b"Expect: x\r\n" + size + b"\r\n" + hidden)
    yield ("connect", b"CONNECT origin.shop:80 HTTP/1.1\r\n" + host + b"\r\n" + hidden)
    yield ("a response", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" + hidden)
    yield ("rubbish", b"\x00\xff\x00\xff\r\n\r\n" + hidden)


# What is allowed to be answered with 200 though something follows: the message in front of it is
# good and ends before; the inner request is then a request of its own, which is refused with 403.
def all_cases():
    """(number, name, bytes) of every case."""
    number = 0

    def take(name, make):
        nonlocal number
        number += 1
        return number, name, make(number)

    for family in (framing, lengths):
        count = len(list(family(inner(0))))
        for i in range(count):
            yield take(list(family(inner(0)))[i][0], lambda n, i=i, f=family: outer(
                n, *list(f(inner(n)))[i][1:]))
    for i in range(len(list(chunks(inner(0))))):
        yield take("chunked: " + list(chunks(inner(0)))[i][0], lambda n, i=i: outer(
            n, b"Transfer-Encoding: chunked\r\n", list(chunks(inner(n)))[i][1]))
    for i in range(len(list(heads(0, inner(0))))):
        yield take("head: " + list(heads(0, inner(0)))[i][0],
                   lambda n, i=i: list(heads(n, inner(n)))[i][1])
