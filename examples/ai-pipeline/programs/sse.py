"""Server-sent events, as OpenAI-compatible servers stream them, from bytes that come in any cut."""

MAX_EVENT_BYTES = 1 << 20


class EventTooLong(Exception):
    """One event is longer than MAX_EVENT_BYTES; the stream cannot be followed any further."""


class Parser:
    """feed() returns the complete events of the bytes so far as (kind, text).

    kind is "data" (the data lines of one event joined by a newline) or "comment" (a line that
    begins with a colon, which servers send to keep a connection alive). Lines end in LF, CR or
    CRLF. Fields other than data are dropped.
    """

    def __init__(self):
        self._line = bytearray()
        self._data = []
        self._size = 0
        self._after_cr = False

    def feed(self, chunk):
        events = []
        for piece in chunk.splitlines(keepends=True) if chunk else ():
            # bytes.splitlines splits at LF, CR and CRLF only.
            if self._after_cr:
                self._after_cr = False
                if piece == b"\n":
                    continue
            body = piece.rstrip(b"\r\n")
            self._line += body
            self._size += len(body)
            if self._size > MAX_EVENT_BYTES:
                raise EventTooLong()
            if len(body) != len(piece):
                self._after_cr = piece.endswith(b"\r")
                self._end_line(events)
        return events

    def _end_line(self, events):
        line = self._line.decode("utf-8", errors="replace")
        self._line.clear()
        if not line:
            if self._data:
                events.append(("data", "\n".join(self._data)))
            self._data = []
            self._size = 0
        elif line.startswith(":"):
            events.append(("comment", line[1:].lstrip(" ")))
        elif line == "data" or line.startswith("data:"):
            value = line[5:]
            self._data.append(value[1:] if value.startswith(" ") else value)


def encode(text):
    """One event with this data."""
    return b"".join(b"data: " + line.encode() + b"\n" for line in text.split("\n")) + b"\n"


def comment(text):
    return b": " + text.replace("\r", " ").replace("\n", " ").encode() + b"\n\n"
