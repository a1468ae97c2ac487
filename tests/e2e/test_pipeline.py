"""The example pipeline with its deterministic model server: the whole call graph under default deny."""
import json
import unittest

from harness import SOURCE, NodeTest, eventually

EXAMPLES = SOURCE / "examples"
MANIFESTS = {path.name: path.read_text()
             for path in sorted((EXAMPLES / "ai-pipeline-small").resolve().glob("*.yaml"))}
CHAT = "/opt/ai-pipeline/programs/chat.py"


class Pipeline(NodeTest):
    NAME = "e2e-pipeline"
    MANIFESTS = MANIFESTS
    OPTIONS = ("--expose", f"{EXAMPLES / 'ai-pipeline' / 'programs'}:/opt/ai-pipeline/programs")

    def test_a_chat_passes_through_and_is_masked(self):
        done = self.node.exec("client/client", "/usr/bin/curl", "-s", "-m", "20", "-H",
                              "Content-Type: application/json", "-d", json.dumps(
                                  {"model": "m", "stream": True, "messages": [
                                      {"role": "user", "content": "I am eve@example.org"}]}),
                              "http://gateway.api-gateway/v1/chat/completions", timeout=60)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("data: [DONE]", done.stdout)
        self.assertNotIn("eve@example.org", done.stdout)

    def test_the_attacker_reaches_nobody(self):
        for host in ("model-server.inference:8080", "prompt-sanitizer.privacy:8080",
                     "redis.data:6379", "gateway.api-gateway:80"):
            done = self.node.exec("attacker/attacker", "/usr/bin/curl", "-s", "-m", "1",
                                  f"http://{host}/")
            self.assertEqual(done.returncode, 28, host + done.stderr)
        flows = eventually(self, lambda: [
            f for f in self.node.flows("--from", "attacker/attacker", "--verdict", "denied")
            if f["destination"].get("namespace") == "inference"], what="the denied flow")
        self.assertEqual(flows[0]["egress"]["isolatedBy"][-1].split("/")[0], "attacker")

    def test_every_pod_is_isolated_both_ways(self):
        text = self.node.run("explain", "attacker/attacker", "svc/inference/model-server")
        self.assertEqual(text.returncode, 1)
        self.assertIn("inference/default-deny-all", text.stdout)
        self.assertIn("attacker/default-deny-all", text.stdout)


if __name__ == "__main__":
    unittest.main()
