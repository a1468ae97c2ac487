"""The judge itself: what it must find, and what it must not."""
import unittest

import oracle

ALLOWED = ("/v1/models",)
OK = b"GET /v1/models HTTP/1.1\r\nHost: a\r\n\r\n"
BAD = b"GET /admin HTTP/1.1\r\nHost: a\r\n\r\n"


class Oracle(unittest.TestCase):
    def wrong(self, stream):
        return oracle.violations([stream], ALLOWED)

    def test_good_streams(self):
        self.assertEqual(self.wrong(OK + OK), [])
        body = b"POST /v1/models HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(BAD) + BAD
        self.assertEqual(self.wrong(body + OK), [])
        chunked = (b"POST /v1/models HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n" % len(BAD)
                   + BAD + b"\r\n0\r\n\r\n")
        self.assertEqual(self.wrong(chunked + OK), [])

    def test_a_denied_path(self):
        self.assertTrue(self.wrong(BAD))
        self.assertTrue(self.wrong(OK + BAD))
        self.assertTrue(self.wrong(b"GET /v1/models/ HTTP/1.1\r\n\r\n"))

    def test_below_a_prefix(self):
        self.assertEqual(self.wrong(b"GET /public/a%20b HTTP/1.1\r\n\r\n"), [])
        for path in (b"/public/../admin", b"/public/%2e%2e/admin", b"/public/..%2fadmin",
                     b"/public/..;/admin", b"/public/..\\admin", b"/public%2f..%2fadmin"):
            self.assertTrue(self.wrong(b"GET " + path + b" HTTP/1.1\r\n\r\n"), path)

    def test_both_framings(self):
        rest = b"0\r\n\r\n" + BAD
        stream = (b"POST /v1/models HTTP/1.1\r\nContent-Length: %d\r\nTransfer-Encoding: chunked"
                  b"\r\n\r\n" % len(rest) + rest)
        self.assertTrue(self.wrong(stream))

    def test_line_endings(self):
        self.assertTrue(self.wrong(b"GET /v1/models HTTP/1.1\r\nX: a\n\n" + BAD))
        self.assertTrue(self.wrong(b"GET /v1/models HTTP/1.1\nX: a\n\n" + BAD))

    def test_folded_framing(self):
        rest = b"0\r\n\r\n" + BAD
        stream = (b"POST /v1/models HTTP/1.1\r\nContent-Length: %d\r\nTransfer-Encoding:\r\n chunked"
                  b"\r\n\r\n" % len(rest) + rest)
        self.assertTrue(self.wrong(stream))

    def test_lenient_chunk_sizes(self):
        stream = (b"POST /v1/models HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
                  b"+0\r\n\r\n" + BAD)
        self.assertTrue(self.wrong(stream))

    def test_readings(self):
        for spelling in (b"//admin", b"/%61dmin", b"/x/../admin", b"/x/..%2fadmin", b"/x\\..\\admin",
                         b"/admin;x", b"/admin%00x", b"/ADMIN/", b"http://h/admin", b"/admin?x"):
            self.assertIn(b"/admin", oracle.readings(spelling), spelling)
        self.assertNotIn(b"/admin", oracle.readings(b"/v1/models"))


if __name__ == "__main__":
    unittest.main()
