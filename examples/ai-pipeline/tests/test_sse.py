import unittest

import context  # noqa: F401 (makes the programs importable)

import sse


def events(*pieces):
    parser = sse.Parser()
    return [e for p in pieces for e in parser.feed(p)]


class Parser(unittest.TestCase):
    TEXT = (": ping\n\nevent: x\ndata: one\n\ndata:two\r\ndata: more\r\n\r\nid: 3\rdata: drei ü\r\r"
            "\n\ndata\n\n").encode()
    EXPECTED = [("comment", "ping"), ("data", "one"), ("data", "two\nmore"), ("data", "drei ü"),
                ("data", "")]

    def test_whole(self):
        self.assertEqual(events(self.TEXT), self.EXPECTED)

    def test_split_at_every_byte(self):
        for i in range(len(self.TEXT) + 1):
            self.assertEqual(events(self.TEXT[:i], self.TEXT[i:]), self.EXPECTED, i)

    def test_byte_by_byte(self):
        self.assertEqual(events(*[bytes([b]) for b in self.TEXT]), self.EXPECTED)

    def test_an_event_without_its_blank_line_is_not_given(self):
        self.assertEqual(events(b"data: half\n"), [])

    def test_endless_events_are_refused(self):
        parser = sse.Parser()
        with self.assertRaises(sse.EventTooLong):
            for _ in range(40):
                parser.feed(b"data: " + b"x" * 65536)

    def test_many_data_lines_count_as_one_event(self):
        parser = sse.Parser()
        with self.assertRaises(sse.EventTooLong):
            for _ in range(300_000):
                parser.feed(b"data: xxxxxxxx\n")

    def test_what_is_encoded_is_read_back(self):
        for text in ("a", "a\nb", "", " leading"):
            self.assertEqual(events(sse.encode(text)), [("data", text)])
        self.assertEqual(events(sse.comment("a\nb")), [("comment", "a b")])


if __name__ == "__main__":
    unittest.main()
