"""Floods: each is cut or slowed, and an innocent client hardly notices. At a tenth of their length
in the quick run; SALLYPORT_LONG=1 runs them whole."""
import json
import sys
import unittest

from calm import LONG, Calm
from world import PROGRAMS

sys.path.insert(0, str(PROGRAMS))
import flood  # noqa: E402

SECONDS, CONNECTIONS = (30, 16) if LONG else (3, 8)
# Floods of well-formed frames within every limit, which may go on as long as they like.
TOLERATED = ("nothing", "zero_window", "open_streams", "bad_requests", "tiny_data")


class Floods(Calm, unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.begin("attack-floods")

    @classmethod
    def tearDownClass(cls):
        cls.arena.stop()

    def check(self, kind):
        reports = self.while_attacked("flood.py", kind, SECONDS, CONNECTIONS)
        for attacker, report in reports.items():
            seen = json.loads(report)
            self.assertGreater(seen["connections"], 0, (attacker, seen))
            if kind not in TOLERATED:
                self.assertGreater(seen["cut"], 0, f"{attacker}: never cut: {seen}")


for _kind in [*flood.HTTP2, *flood.PLAIN]:
    setattr(Floods, f"test_{_kind}", lambda self, kind=_kind: self.check(kind))


if __name__ == "__main__":
    unittest.main()
