"""Path confusion: no spelling of a denied path reaches the application, over HTTP/1.1 and HTTP/2,
through both proxies and straight at the inbound one."""
import base64
import unittest

import oracle
import path_spellings
from world import ALLOWED, ATTACKERS, HOST, Arena, case, statuses

# How a front that rewrites might be told of another path; the application here is one that listens.
SMUGGLED_FIELDS = (b"X-Original-URL", b"X-Rewrite-URL", b"X-Forwarded-Path", b"X-Envoy-Original-Path")


def request(method, target, number, more=b""):
    return (method + b" " + target + b" HTTP/1.1\r\nHost: " + HOST.encode() +
            b"\r\nX-Case: %d\r\nConnection: close\r\n" % number + more +
            (b"Content-Length: 2\r\n\r\nhi" if method == b"POST" else b"\r\n"))


class Paths(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.arena = Arena("attack-paths")

    @classmethod
    def tearDownClass(cls):
        cls.arena.stop()

    def check_origin(self):
        wrong = oracle.violations(self.arena.recorded(), ALLOWED)
        self.assertEqual(wrong[:10], [], f"{len(wrong)} in all")

    def check_alive(self, attacker):
        results = self.arena.play(attacker, [case(0, request(b"GET", b"/v1/models", 0))])
        self.assertEqual(statuses(results[0]["response"]), [200], results[0])

    def test_there_are_enough(self):
        self.assertGreaterEqual(len(list(path_spellings.denied())), 1000)
        self.assertGreaterEqual(len(path_spellings.spellings(b"/props")), 100)

    def test_denied_spellings_over_http1(self):
        targets = [(spelling, b"POST") for _, spelling in path_spellings.denied()]
        targets += [(spelling, b"GET") for spelling in path_spellings.spellings(b"/props")]
        for attacker in ATTACKERS:
            self.check_alive(attacker)
            cases = [case(i, request(method, target, i), read=5)
                     for i, (target, method) in enumerate(targets)]
            results = self.arena.play(attacker, cases)
            for i, (target, method) in enumerate(targets):
                with self.subTest(attacker=attacker, target=target, method=method):
                    codes = statuses(results[i]["response"])
                    # 404 and 421: an authority that is not ours; 405: a target for OPTIONS.
                    self.assertLessEqual(len(codes), 1, results[i])
                    if codes:
                        self.assertIn(codes[0], (400, 403, 404, 405, 421, 501), results[i])
                    else:
                        self.assertIn(results[i]["end"], ("closed", "reset"), results[i])
            self.check_alive(attacker)
        self.check_origin()

    def test_denied_spellings_over_http2(self):
        targets = [spelling for _, spelling in path_spellings.denied()]
        for attacker in ATTACKERS:
            cases = [{"id": i, "kind": "request", "read": 5, "fields": [
                [":method", "POST"], [":scheme", "http"], [":authority", HOST],
                [":path", "base64:" + base64.b64encode(target).decode()], ["x-case", str(i)]]}
                for i, target in enumerate(targets)]
            results = self.arena.play_http2(attacker, cases)
            for i, target in enumerate(targets):
                with self.subTest(attacker=attacker, target=target):
                    status = results[i]["status"]
                    if status is None:
                        self.assertIn(results[i]["end"], ("reset", "goaway", "closed"), results[i])
                    else:
                        self.assertIn(status, (400, 403, 404, 405, 421, 501), results[i])
            self.check_alive(attacker)
        self.check_origin()

    def test_allowed_spellings_arrive_in_their_one_form(self):
        for attacker in ATTACKERS:
            before = len(b"".join(self.arena.recorded()))
            cases = [case(i, request(b"GET", target, i))
                     for i, (target, _) in enumerate(path_spellings.ALLOWED)]
            results = self.arena.play(attacker, cases)
            self.assertGreater(len(b"".join(self.arena.recorded())), before)
            for i, (target, canonical) in enumerate(path_spellings.ALLOWED):
                with self.subTest(attacker=attacker, target=target):
                    response = results[i]["response"]
                    self.assertEqual(statuses(response), [200], response)
                    self.assertIn(b"reached GET " + canonical + b" HTTP/1.1\n", response)
        self.check_origin()

    def test_methods(self):
        """Methods are compared as they are: another case is another method, and not allowed."""
        methods = (b"DELETE", b"PATCH", b"get", b"Get", b"GETT", b"OPTIONS", b"TRACE", b"CONNECT",
                   b"PROPFIND", b"G%45T", b"\tGET", b"GET\t", b"", b"\x00GET", b"PRI", b"SSTP_DUPLEX")
        for attacker in ATTACKERS:
            results = self.arena.play(attacker, [
                case(i, request(method, b"/v1/models", i)) for i, method in enumerate(methods)])
            for i, method in enumerate(methods):
                with self.subTest(attacker=attacker, method=method):
                    codes = statuses(results[i]["response"])
                    self.assertNotIn(200, codes, results[i])
                    self.assertTrue(codes or results[i]["end"] != "open", results[i])
        self.check_origin()

    def test_fields_that_name_another_path(self):
        """They may arrive, as any field may; the request line is what was judged."""
        for attacker in ATTACKERS:
            cases = [case(i, request(b"GET", b"/v1/models", i, name + b": /props\r\n"))
                     for i, name in enumerate(SMUGGLED_FIELDS)]
            results = self.arena.play(attacker, cases)
            for i, name in enumerate(SMUGGLED_FIELDS):
                with self.subTest(attacker=attacker, field=name):
                    self.assertIn(b"reached GET /v1/models HTTP/1.1", results[i]["response"])
            # And the other way round: a denied path that claims to be an allowed one.
            cases = [case(i, request(b"GET", b"/props", i, name + b": /v1/models\r\n"))
                     for i, name in enumerate(SMUGGLED_FIELDS)]
            results = self.arena.play(attacker, cases)
            for i, name in enumerate(SMUGGLED_FIELDS):
                self.assertEqual(statuses(results[i]["response"]), [403], name)
        joined = b"".join(self.arena.recorded()).lower()
        self.assertNotIn(b"x-envoy-original-path", joined)
        self.check_origin()


if __name__ == "__main__":
    unittest.main()
