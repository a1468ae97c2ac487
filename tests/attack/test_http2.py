"""HTTP/2: malformed frames end their connection and nothing else; fields cannot become requests."""
import base64
import unittest

import http2_messages
import oracle
from world import ALLOWED, ATTACKERS, Arena

REFUSED = (400, 403, 404, 405, 413, 414, 421, 431, 501)


class Http2(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.arena = Arena("attack-http2")
        cls.proxies = cls.arena.proxies()

    @classmethod
    def tearDownClass(cls):
        cls.arena.stop()

    def tearDown(self):
        self.assertEqual(self.arena.proxies(), self.proxies, "a proxy has ended")
        innocent = self.arena.innocent(1)
        self.assertEqual((innocent["errors"], innocent["mixed"]), ([], 0))

    def test_fields_never_become_requests(self):
        cases = list(http2_messages.messages())
        self.assertGreaterEqual(len(cases), 100)
        for attacker in ATTACKERS:
            results = self.arena.play_http2(attacker, [
                http2_messages.encoded(i, *case) for i, case in enumerate(cases)])
            for i, (name, _, _) in enumerate(cases):
                with self.subTest(attacker=attacker, case=name):
                    result = results[i]
                    self.assertNotIn("reached POST /props", result["body"])
                    if "case" in result:
                        self.assertEqual(result["case"], str(i), "somebody else's answer")
                    if result["status"] is None:
                        self.assertIn(result["end"], ("reset", "goaway", "closed"), result)
                    elif result["status"] != 200:
                        self.assertIn(result["status"], REFUSED, result)
                    else:
                        self.assertTrue(result["body"].startswith(
                            ("reached POST /v1/completions HTTP", "reached GET /v1/completions HTTP")),
                            result)
        wrong = oracle.violations(self.arena.recorded(), ALLOWED)
        self.assertEqual(wrong[:10], [], f"{len(wrong)} in all")

    def test_malformed_frames(self):
        cases = list(http2_messages.raw())
        self.assertGreaterEqual(len(cases), 50)
        for attacker in ATTACKERS:
            results = self.arena.play_http2(attacker, [
                {"id": i, "kind": "raw", "preface": preface, "read": 4,
                 "sends": [[base64.b64encode(send).decode(), 0.05] for send in sends]}
                for i, (_, sends, preface, _) in enumerate(cases)])
            for i, (name, _, _, fatal) in enumerate(cases):
                with self.subTest(attacker=attacker, case=name):
                    result = results[i]
                    if fatal:
                        self.assertIn(result["end"], ("goaway", "closed", "reset"), result)
                        self.assertNotEqual(result["code"], 0, result)  # NO_ERROR
                    else:
                        self.assertNotEqual(result["end"], "open", result)

    def test_answers_are_never_mixed(self):
        """Requests beside connections that break: each gets the answer that is its own."""
        names = ("RST_STREAM of three bytes", "HEADERS inside a header block",
                 "DATA with more padding than content", "frame larger than allowed")
        broken = [sends for name, sends, _, _ in http2_messages.raw() if name in names]
        self.assertEqual(len(broken), len(names))
        for attacker in ATTACKERS:
            for _ in range(10):
                cases = [{"id": i, "kind": "raw", "read": 1,
                          "sends": [[base64.b64encode(send).decode(), 0] for send in sends]}
                         for i, sends in enumerate(broken * 4)]
                cases += [http2_messages.encoded(i, "", http2_messages.GOOD, b"")
                          for i in range(100, 148)]
                results = self.arena.play_http2(attacker, cases)
                for i in range(100, 148):
                    self.assertEqual((results[i]["status"], results[i].get("case")), (200, str(i)),
                                     results[i])

    def test_what_is_odd_but_allowed(self):
        cases = list(http2_messages.harmless())
        for attacker in ATTACKERS:
            results = self.arena.play_http2(attacker, [
                {"id": i, "kind": "raw", "sends": [[base64.b64encode(data).decode(), 0]]}
                for i, (_, data) in enumerate(cases)])
            for i, (name, _) in enumerate(cases):
                with self.subTest(attacker=attacker, case=name):
                    self.assertEqual((results[i]["status"], results[i]["end"]), (200, "answered"),
                                     results[i])


if __name__ == "__main__":
    unittest.main()
