"""Judges what reached the origin: by each reading that some server somewhere has.

A byte stream is read by parsers that differ where real servers differ: which of Content-Length and
Transfer-Encoding wins, whether a bare line feed ends a line, whether folded lines continue, how
lenient chunk sizes are. If any of them finds a request for a path that the policy denies, the proxy
let through what it should not have.
"""
import itertools
import re


class Reader:
    """One reading of HTTP/1."""

    def __init__(self, prefer, bare_lf, fold, lenient_chunks):
        self.prefer = prefer                  # "length", "chunked"
        self.bare_lf = bare_lf                # \n ends a line
        self.fold = fold                      # a line that starts with space continues the last
        self.lenient_chunks = lenient_chunks  # takes leading digits of a chunk size for the size

    def __repr__(self):
        return (f"Reader(prefer={self.prefer}, bare_lf={self.bare_lf}, fold={self.fold}, "
                f"lenient_chunks={self.lenient_chunks})")

    def head(self, data):
        """(lines, rest) of the head at the beginning of `data`, or None."""
        if self.bare_lf:
            match = re.search(rb"\r?\n\r?\n", data)
            if not match:
                return None
            return re.split(rb"\r?\n", data[:match.start()]), data[match.end():]
        head, mark, rest = data.partition(b"\r\n\r\n")
        return (head.split(b"\r\n"), rest) if mark else None

    def fields(self, lines):
        fields = []
        for line in lines:
            if line[:1] in (b" ", b"\t") and self.fold and fields:
                fields[-1][1] += b" " + line.strip()
                continue
            name, colon, value = line.partition(b":")
            if colon:
                fields.append([name.strip().lower(), value.strip()])
        return fields

    def body(self, fields, rest):
        """What follows the body, or None where it is not whole."""
        lengths = [value for name, value in fields if name == b"content-length"]
        chunked = any(name == b"transfer-encoding" and b"chunked" in value.lower()
                      for name, value in fields)
        if chunked and lengths:
            use_chunked = self.prefer == "chunked"
        else:
            use_chunked = chunked
        if use_chunked:
            return self.chunks(rest)
        if not lengths:
            return rest
        number = re.match(rb"\s*\+?(\d+)", lengths[-1])
        if not number:
            return rest
        count = int(number.group(1))
        return rest[count:] if len(rest) >= count else None

    def chunks(self, rest):
        while True:
            end = b"\n" if self.bare_lf else b"\r\n"
            line, mark, rest = rest.partition(end)
            if not mark:
                return None
            pattern = rb"\s*(?:0x)?\+?([0-9a-fA-F]+)" if self.lenient_chunks else rb"([0-9a-fA-F]+)"
            number = re.match(pattern, line)
            if not number:
                return rest
            size = int(number.group(1), 16)
            if size == 0:
                while True:
                    line, mark, rest = rest.partition(end)
                    if not mark:
                        return None
                    if not line.strip():
                        return rest
            if len(rest) < size:
                return None
            rest = rest[size:]
            if rest.startswith(b"\r\n"):
                rest = rest[2:]
            elif rest.startswith(b"\n"):
                rest = rest[1:]

    def requests(self, data):
        """The (request line, fields) that this reading finds, until it no longer understands."""
        found = []
        while data:
            data = data.lstrip(b"\r\n")
            head = self.head(data)
            if head is None:
                break
            lines, rest = head
            words = lines[0].split()
            if len(words) < 2 or not words[0].isalpha() or len(words[0]) > 20:
                break
            fields = self.fields(lines[1:])
            found.append((lines[0], fields))
            data = self.body(fields, rest)
            if data is None:
                break
        return found


READERS = [Reader(*combination) for combination in itertools.product(
    ("length", "chunked"), (False, True), (False, True), (False, True))]


def path_of(line):
    words = line.split()
    return words[1] if len(words) > 1 else b""


def readings(path):
    """The paths that a lenient application may take this one for, decoded once."""
    path = re.sub(rb"^https?://[^/]*", b"", path, flags=re.I)
    found = set()
    for cut in (path, path.split(b"?")[0], path.split(b"#")[0].split(b"?")[0]):
        decoded = re.sub(rb"%([0-9a-fA-F]{2})", lambda m: bytes([int(m.group(1), 16)]), cut)
        for text in (cut, decoded, decoded.split(b"\0")[0], decoded.split(b"?")[0]):
            for without in (text, re.sub(rb";[^/]*", b"", text)):
                slashes = re.sub(rb"/+", b"/", without.replace(b"\\", b"/"))
                found.add(resolve(slashes).strip())
                found.add(resolve(slashes).strip().rstrip(b"/").lower())
    return found


def resolve(path):
    out = []
    for segment in path.split(b"/"):
        if segment == b"..":
            if out:
                out.pop()
        elif segment not in (b"", b"."):
            out.append(segment)
    return b"/" + b"/".join(out)


def harmless(path, allowed):
    """That the path is allowed as it stands, or is below /public/ however one reads it."""
    bare = path.split(b"?")[0]
    if bare in allowed:
        return True
    return bare.startswith(b"/public/") and all(
        reading in allowed or reading.startswith(b"/public") for reading in readings(path))


def violations(streams, allowed):
    """What went wrong: requests for a path that the policy does not allow."""
    allowed = {path.encode() for path in allowed}
    wrong = set()
    for stream in streams:
        for reader in READERS:
            for line, fields in reader.requests(stream):
                if harmless(path_of(line), allowed) and all(b"\0" not in v for _, v in fields):
                    continue
                case = next((value for name, value in fields if name == b"x-case"), b"?")
                wrong.add(f"{reader} finds {line[:120]!r} of case {case!r}")
    return sorted(wrong)
