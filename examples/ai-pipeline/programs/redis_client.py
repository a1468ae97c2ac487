"""As much of a Redis client (RESP2) as a cache needs: GET and SET with an expiry."""

import socket


class RedisError(Exception):
    pass


class Redis:
    """One connection per command: a cache that fails must fail on its own, not the next call."""

    MAX_REPLY = 4 << 20

    def __init__(self, host, port=6379, timeout=1.0):
        self._address = (host, port)
        self._timeout = timeout

    def get(self, key):
        """The value as bytes, or None."""
        return self.call(b"GET", key.encode())

    def set(self, key, value, seconds):
        return self.call(b"SET", key.encode(), value, b"EX", str(int(seconds)).encode())

    def call(self, *words):
        request = b"*%d\r\n" % len(words)
        request += b"".join(b"$%d\r\n%b\r\n" % (len(w), w) for w in words)
        try:
            with socket.create_connection(self._address, self._timeout) as s:
                s.sendall(request)
                with s.makefile("rb") as f:
                    return self._read(f)
        except (OSError, ValueError) as e:
            raise RedisError(f"{self._address[0]}:{self._address[1]}: {e}") from None

    def _read(self, f):
        line = f.readline(4096)
        if not line.endswith(b"\r\n"):
            raise RedisError("the server closed the connection or sent an overlong line")
        kind, text = line[:1], line[1:-2]
        if kind == b"+":
            return text
        if kind == b":":
            return int(text)
        if kind == b"-":
            raise RedisError(text.decode(errors="replace"))
        if kind == b"$":
            length = int(text)
            if length < 0:
                return None
            if length > self.MAX_REPLY:
                raise RedisError(f"the value has {length} bytes")
            value = f.read(length + 2)
            if len(value) != length + 2:
                raise RedisError("the server closed the connection inside a value")
            return value[:-2]
        raise RedisError(f"unexpected reply {line[:40]!r}")
