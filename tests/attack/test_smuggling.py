"""Request smuggling over HTTP/1.1: no message hides another one from the policy."""
import concurrent.futures
import unittest

import oracle
import smuggling_cases
from world import ALLOWED, ATTACKERS, Arena, case, statuses


class Smuggling(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.arena = Arena("attack-smuggling")
        cls.cases = list(smuggling_cases.all_cases())

    @classmethod
    def tearDownClass(cls):
        cls.arena.stop()

    def judge(self, name, result):
        """One answer per request at most; what stands behind a good message is refused."""
        codes = [code for code in statuses(result["response"]) if code >= 200]
        self.assertLessEqual(len(codes), 2, f"{name}: {codes}")
        self.assertLessEqual(codes.count(200), 1, f"{name}: {codes}")
        if len(codes) == 2:
            # The outer message was good and over; the inner one is a request, and judged as one.
            self.assertIn(codes[1], (400, 403), f"{name}: {codes}")
        self.assertNotIn(b"reached POST /props", result["response"], name)

    def test_there_are_enough(self):
        self.assertGreaterEqual(len(self.cases), 200)
        self.assertEqual(len({number for number, _, _ in self.cases}), len(self.cases))

    def test_no_message_hides_another(self):
        for attacker in ATTACKERS:
            with concurrent.futures.ThreadPoolExecutor(1) as pool:
                innocent = pool.submit(self.arena.innocent, 8)
                results = self.arena.play(attacker, [
                    case(number, data, read=2, quiet=0.3) for number, _, data in self.cases])
                innocent = innocent.result()
            for number, name, _ in self.cases:
                with self.subTest(attacker=attacker, case=name):
                    self.judge(name, results[number])
            # Nobody was given an answer that was another's.
            self.assertEqual((innocent["mixed"], innocent["errors"]), (0, []))
            self.assertGreater(innocent["count"], 50)
        wrong = oracle.violations(self.arena.recorded(), ALLOWED)
        self.assertEqual(wrong[:10], [], f"{len(wrong)} in all")

    def test_no_message_hides_another_however_it_is_cut(self):
        """The same in pieces: a head that arrives in parts is read no other way."""
        chosen = self.cases[::4]
        for attacker in ATTACKERS:
            cases = []
            for number, _, data in chosen:
                third = max(1, len(data) // 3)
                cases.append(case(number, (data[:third], 0.02), (data[third:2 * third], 0.02),
                                  data[2 * third:], read=2, quiet=0.3))
            results = self.arena.play(attacker, cases)
            for number, name, _ in chosen:
                with self.subTest(attacker=attacker, case=name):
                    self.judge(name, results[number])
        wrong = oracle.violations(self.arena.recorded(), ALLOWED)
        self.assertEqual(wrong[:10], [], f"{len(wrong)} in all")

    def test_good_pipelines_still_work(self):
        one = (b"POST /v1/completions HTTP/1.1\r\nHost: origin.shop\r\nX-Case: %d\r\n"
               b"Transfer-Encoding: chunked\r\n\r\n3;name=value\r\nabc\r\n0\r\nTrailer: x\r\n\r\n")
        for attacker in ATTACKERS:
            results = self.arena.play(attacker, [
                case(1, b"".join(one % i for i in range(5)), read=5, quiet=1)])
            self.assertEqual(statuses(results[1]["response"]), [200] * 5, results[1])
            order = [results[1]["response"].lower().find(b"x-case: %d" % i) for i in range(5)]
            self.assertEqual(order, sorted(order))
            self.assertNotIn(-1, order)


if __name__ == "__main__":
    unittest.main()
