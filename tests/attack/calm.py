"""Whether an innocent client still gets its answers while something goes on, and at what cost."""
import concurrent.futures
import os

from world import ATTACKERS, Arena

LONG = os.environ.get("SALLYPORT_LONG") == "1"
BUDGET = 512  # MiB, of one proxy process
# A build with AddressSanitizer keeps freed memory for a while and pads every block.
SANITIZED = b"__asan_init" in open(os.environ["SALLYPORT"], "rb").read()


class Calm:
    """Mixed into a TestCase whose class has an Arena."""

    @classmethod
    def begin(cls, name):
        cls.arena = Arena(name)
        cls.proxies = cls.arena.proxies()
        cls.quiet = cls.arena.innocent(3)
        cls.limit = max(20 * cls.quiet["p99"], 250.0)

    def while_attacked(self, program, kind, seconds, connections, attackers=ATTACKERS):
        """Runs the program from the attackers; the innocent must hardly notice. Their reports."""
        reports = {}
        for attacker in attackers:
            with self.subTest(attacker=attacker, kind=kind):
                with concurrent.futures.ThreadPoolExecutor(1) as pool:
                    attack = pool.submit(
                        self.arena.python, attacker, program, kind, *self.arena.target(attacker),
                        str(seconds), str(connections), timeout=seconds + 90)
                    innocent = self.arena.innocent(max(1.0, seconds - 1))
                    most = self.arena.resident()
                    report = attack.result()
                self.assertEqual(self.arena.proxies(), self.proxies, "a proxy has ended")
                self.assertEqual((innocent["mixed"], innocent["errors"]), (0, []), innocent)
                self.assertLessEqual(innocent["p99"], self.limit, innocent)
                self.assertLess(most, BUDGET * (4 if SANITIZED else 1))
                reports[attacker] = report
        after = self.arena.innocent(1)
        self.assertEqual((after["mixed"], after["errors"]), (0, []), after)
        return reports
