"""The HTTP/2 side of the origin: answers requests, and records each as a naive server that turns it
into HTTP/1 would write it. If a field can break out of its line, the record shows it."""
import http2


class Connection:
    def __init__(self, source, record):
        """`source` gives exactly n bytes; `record` takes the record of one request."""
        self.source = source
        self.record = record
        self.inflater = http2.Inflater()
        self.streams = {}  # number -> [fields, body]

    def run(self, send):
        self.source(len(http2.PREFACE))
        send(http2.settings() + http2.frame(http2.WINDOW_UPDATE, 0, 0, b"\x3f\xff\xff\xff"))
        block, first_flags = b"", 0
        while True:
            head = self.source(9)
            payload = self.source(int.from_bytes(head[:3], "big"))
            kind, flags = head[3], head[4]
            stream = int.from_bytes(head[5:9], "big") & 0x7fffffff
            if kind == http2.SETTINGS and not flags & http2.ACK:
                send(http2.settings(flags=http2.ACK))
            elif kind == http2.PING and not flags & http2.ACK:
                send(http2.frame(http2.PING, http2.ACK, 0, payload))
            elif kind in (http2.HEADERS, http2.CONTINUATION):
                if kind == http2.HEADERS:
                    block, first_flags = b"", flags
                    payload = self.plain(payload, flags)
                block += payload
                if flags & http2.END_HEADERS:
                    self.fields(stream, self.inflater.read(block))
                    if first_flags & http2.END_STREAM:
                        self.answer(stream, send)
            elif kind == http2.DATA:
                self.streams.setdefault(stream, [[], b""])[1] += self.plain(payload, flags)
                if flags & http2.END_STREAM:
                    self.answer(stream, send)
            elif kind == http2.RST_STREAM:
                self.streams.pop(stream, None)
            elif kind == http2.GOAWAY:
                return

    @staticmethod
    def plain(payload, flags):
        if flags & http2.PADDED:
            payload = payload[1:len(payload) - payload[0]]
        if flags & http2.PRIORITY_FLAG:
            payload = payload[5:]
        return payload

    def fields(self, stream, fields):
        known = self.streams.setdefault(stream, [[], b""])
        known[0] += fields  # trailers as well: a naive server may take them for fields

    def answer(self, stream, send):
        fields, body = self.streams.pop(stream, [[], b""])
        known = dict(fields)
        line = known.get(b":method", b"?") + b" " + known.get(b":path", b"?") + b" HTTP/1.1"
        rest = b"".join(name + b": " + value + b"\r\n" for name, value in fields
                        if not name.startswith(b":"))
        length = b"" if b"content-length" in known else b"Content-Length: %d\r\n" % len(body)
        self.record(line + b"\r\nHost: " + known.get(b":authority", b"?") + b"\r\n" + rest + length +
                    b"\r\n" + body)
        reply = b"reached " + line + b"\n"
        send(http2.headers(stream, [(b":status", b"200"),
                                    (b"x-case", known.get(b"x-case", b"none"))], http2.END_HEADERS) +
             http2.frame(http2.DATA, http2.END_STREAM, stream, reply))
