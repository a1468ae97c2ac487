"""check and explain on manifests alone, as a pipeline in CI would call them."""
import json
import pathlib
import tempfile
import unittest

from harness import SOURCE, cli
from worlds import BASE, POLICY

WORLD = BASE + "---\n" + POLICY


class Offline(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="sallyport-offline-")
        self.addCleanup(folder.cleanup)
        self.dir = pathlib.Path(folder.name)

    def world(self, text=WORLD):
        path = self.dir / "world.yaml"
        path.write_text(text)
        return str(path)

    def test_check_accepts_what_an_api_server_accepts(self):
        self.assertEqual(cli("check", self.world()).returncode, 0)
        for example in ("ai-pipeline", "ai-pipeline-small"):
            done = cli("check", str(SOURCE / "examples" / example))
            self.assertEqual(done.returncode, 0, done.stdout)

    def test_check_names_file_line_column_and_field(self):
        path = self.world(WORLD.replace("podSelector: {matchLabels: {app: server}}",
                                        "podSelector: {matchLabel: {app: server}}"))
        done = cli("check", path)
        self.assertEqual(done.returncode, 1)
        line = WORLD.splitlines().index("  podSelector: {matchLabels: {app: server}}") + 1
        self.assertTrue(done.stdout.startswith(f"{path}:{line}:17: "), done.stdout)
        self.assertIn("NetworkPolicy/shop/server-ingress: spec.podSelector", done.stdout)
        errors = json.loads(cli("check", path, "-o", "json").stdout)
        self.assertIn("matchLabel", json.dumps(errors))
        self.assertEqual(cli("check", str(self.dir / "nothing")).returncode, 2)

    def test_explain_batch_answers_in_order(self):
        queries = [
            {"id": "a", "from": {"pod": "shop/friend"}, "to": {"pod": "shop/server"}, "port": 8080,
             "protocol": "TCP"},
            {"id": "b", "from": {"pod": "street/stranger"}, "to": {"pod": "shop/server"},
             "port": 8080, "protocol": "TCP", "family": 6},
            {"id": "c", "from": {"ip": "203.0.113.7"}, "to": {"pod": "street/stranger"}, "port": 1,
             "protocol": "UDP"}]
        text = "\n".join(map(json.dumps, queries)) + "\n"
        done = cli("explain", "--batch", "-", "--world", self.world(), stdin=text)
        self.assertEqual(done.returncode, 0, done.stderr)
        answers = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual([(a["id"], a["verdict"], a["gate"]) for a in answers],
                         [("a", "allow", None), ("b", "deny", "network"), ("c", "allow", None)])
        ingress = answers[0]["network"]["ingress"]
        self.assertEqual((ingress["policy"], ingress["rule"]), ("shop/server-ingress", 0))
        denied = answers[1]["network"]["ingress"]
        self.assertEqual((denied["policy"], denied["rule"], denied["isolatedBy"]),
                         ("shop/server-ingress", None, ["shop/server-ingress"]))
        # On manifests alone every pod counts as one of the mesh; UDP is no business of it.
        self.assertEqual(answers[0]["mesh"], {"verdict": "allow", "policy": None, "rule": None,
                                              "action": None, "reason": "no ALLOW policy"})
        self.assertIsNone(answers[2]["mesh"])

    def test_explain_asks_both_gates(self):
        policy = """---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: server, namespace: shop}
spec:
  rules: [{to: [{operation: {methods: [GET], paths: [/open]}}]}]
"""
        path = self.world(WORLD + policy)
        pair = ("explain", "shop/friend", "shop/server:8080", "--world", path)
        done = cli(*pair, "--path", "//open?x", "--header", "a: b")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("mesh:    allowed by AuthorizationPolicy shop/server rule 0", done.stdout)
        done = cli(*pair, "--path", "/admin")
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertTrue(done.stdout.startswith("DENY"), done.stdout)
        self.assertIn("nearest     shop/server rule 0: paths: wants /open, has /admin", done.stdout)
        done = cli(*pair, "--path", "/x%2f..%2fopen")
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertTrue(done.stdout.startswith("REJECT"), done.stdout)
        self.assertEqual(cli(*pair, "--header", "nonsense").returncode, 2)
        self.assertEqual(cli(*pair, "--jwt", "[]").returncode, 2)
        self.assertEqual(cli(*pair, "--mtls", "maybe").returncode, 2)

    def test_explain_batch_tells_bad_queries_apart(self):
        text = '{"id":"x","from":{"pod":"no/body"},"to":{"pod":"shop/server"},"port":1,"protocol":"TCP"}\nnonsense\n'
        done = cli("explain", "--batch", "-", "--world", self.world(), stdin=text)
        self.assertEqual(done.returncode, 2)
        answers = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual(len(answers), 2)
        self.assertTrue(all("error" in a for a in answers), answers)
        self.assertEqual(answers[0]["id"], "x")

    def test_cluster_network_policy_is_explained(self):
        policy = """---
apiVersion: policy.networking.k8s.io/v1alpha2
kind: ClusterNetworkPolicy
metadata: {name: no-street}
spec:
  tier: Admin
  priority: 1
  subject: {namespaces: {matchLabels: {team: shop}}}
  ingress:
    - name: out
      action: Deny
      from: [{namespaces: {matchLabels: {kubernetes.io/metadata.name: street}}}]
"""
        done = cli("explain", "street/stranger", "shop/server:8080", "--world",
                   self.world(BASE + policy))
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertIn("ClusterNetworkPolicy/no-street", done.stdout)

    def test_help_completion_and_mistakes(self):
        self.assertIn("examples:", cli("help", "explain").stdout)
        self.assertIn("usage:", cli("get", "--help").stdout)
        self.assertIn("complete -o default -F _sallyport", cli("completion").stdout)
        self.assertIn("tableLayout", cli("version", "-o", "json").stdout)
        self.assertEqual(cli("fly").returncode, 2)
        self.assertEqual(cli("flows", "--verdict", "maybe").returncode, 2)


if __name__ == "__main__":
    unittest.main()
