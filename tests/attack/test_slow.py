"""Slow clients hold what they hold for a bounded time, and cost nobody else anything."""
import json
import unittest

from calm import LONG, Calm

CONNECTIONS = 1000 if LONG else 100
HEAD_TIME, HANDSHAKE_TIME = 10, 5  # src/http/limits.h
GRACE = 4


class Slow(Calm, unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.begin("attack-slow")

    @classmethod
    def tearDownClass(cls):
        cls.arena.stop()

    def check(self, kind, within, attackers=("shop/attacker", "street/outsider")):
        """All of them are sent away `within` seconds (None: they may stay)."""
        seconds = within + GRACE if within else 8
        reports = self.while_attacked("slow.py", kind, seconds, CONNECTIONS, attackers)
        for attacker, report in reports.items():
            seen = json.loads(report)
            with self.subTest(attacker=attacker, kind=kind):
                self.assertEqual(seen["made"], CONNECTIONS)
                if within:
                    self.assertEqual(seen["left"], 0, seen["ended"][-5:])
                    self.assertLessEqual(seen["ended"][-1], within + GRACE)

    def test_slow_heads(self):
        self.check("slow_head", HEAD_TIME)

    def test_slow_request_lines(self):
        self.check("slow_line", HEAD_TIME)

    def test_slow_http2_heads(self):
        self.check("slow_http2_head", HEAD_TIME)

    def test_slow_prefaces(self):
        self.check("slow_preface", HEAD_TIME)

    def test_settings_never_acknowledged(self):
        self.check("no_settings_ack", HEAD_TIME)

    def test_slow_chunk_lines(self):
        self.check("slow_chunk_line", None)

    def test_slow_bodies(self):
        self.check("slow_body", None)

    def test_slow_chunks(self):
        self.check("slow_chunks", None)

    def test_slow_readers(self):
        self.check("slow_reader", None)

    def test_silent_connections(self):
        self.check("silent", None)

    def test_client_hellos_that_never_end(self):
        self.check("slow_hello", HANDSHAKE_TIME, ("street/outsider",))


if __name__ == "__main__":
    unittest.main()
