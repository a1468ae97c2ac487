import socket
import socketserver
import threading
import unittest

import context  # noqa: F401 (makes the programs importable)

from redis_client import Redis, RedisError


class FakeRedis(socketserver.ThreadingTCPServer):
    """GET and SET on a dictionary; `raw` answers these bytes to everything instead."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, raw=None):
        self.values = {}
        self.raw = raw
        super().__init__(("127.0.0.1", 0), self.Handler)
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def port(self):
        return self.server_address[1]

    def close(self):
        self.shutdown()
        self.server_close()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self):
            count = int(self.rfile.readline()[1:])
            words = []
            for _ in range(count):
                words.append(self.rfile.read(int(self.rfile.readline()[1:]) + 2)[:-2])
            if self.server.raw is not None:
                self.wfile.write(self.server.raw)
            elif words[0] == b"SET":
                self.server.values[words[1]] = words[2]
                self.wfile.write(b"+OK\r\n")
            else:
                value = self.server.values.get(words[1])
                self.wfile.write(b"$-1\r\n" if value is None
                                 else b"$%d\r\n%b\r\n" % (len(value), value))


class Client(unittest.TestCase):
    def server(self, raw=None):
        server = FakeRedis(raw)
        self.addCleanup(server.close)
        return Redis("127.0.0.1", server.port, timeout=0.3)

    def test_set_and_get(self):
        r = self.server()
        self.assertIsNone(r.get("k"))
        self.assertEqual(r.set("k", b"a\r\nb", 5), b"OK")
        self.assertEqual(r.get("k"), b"a\r\nb")

    def test_every_kind_of_reply(self):
        self.assertEqual(self.server(b":7\r\n").get("k"), 7)
        self.assertEqual(self.server(b"$0\r\n\r\n").get("k"), b"")

    def test_bad_replies_are_errors(self):
        for raw in (b"", b"-ERR no\r\n", b"$5\r\nab", b"$x\r\n", b"?\r\n", b"$99999999\r\n",
                    b"+no end"):
            with self.subTest(raw=raw), self.assertRaises(RedisError):
                self.server(raw).get("k")

    def test_nobody_listens(self):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            with self.assertRaises(RedisError):
                Redis("127.0.0.1", s.getsockname()[1]).get("k")

    def test_silence_is_an_error_after_the_timeout(self):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            s.listen()
            with self.assertRaises(RedisError):
                Redis("127.0.0.1", s.getsockname()[1], timeout=0.1).get("k")


if __name__ == "__main__":
    unittest.main()
