"""Changes, kill -9 and take-over, the end: what stays in force and what is left."""
import os
import signal
import socket
import subprocess
import threading
import time
import unittest

from harness import BINARY, Node, cli, eventually, leftovers
from worlds import BASE, POLICY

STREAM = r"""
import socket, sys, time
s = socket.create_connection((sys.argv[1], 8080), 5)
s.settimeout(30)
print("open", flush=True)
for i in range(int(sys.argv[2])):
    s.sendall(b"tick %d\n" % i)
    got = b""
    while not got.endswith(b"\n"):
        chunk = s.recv(4096)
        if not chunk: print("closed", flush=True); sys.exit(3)
        got += chunk
    print(got.decode().strip(), flush=True)
    time.sleep(0.1)
print("done", flush=True)
"""


class Life(unittest.TestCase):
    def start(self, name, **files):
        node = Node(name, {"base.yaml": BASE, **files})
        self.addCleanup(node.stop)
        return node.start()

    def curl(self, node, pod):
        return node.exec(pod, "/usr/bin/curl", "-s", "-m", "2", "http://server.shop/").returncode

    def stream(self, node, ticks):
        """A TCP stream from friend to server; returns the process and a reader of its lines."""
        process = subprocess.Popen(
            [BINARY, "exec", "--name", node.name, "shop/friend", "--", "/usr/bin/python3", "-c",
             STREAM, node.address("shop", "server"), str(ticks)],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def test_a_policy_edited_in_its_file_stalls_and_resumes_a_live_stream(self):
        node = self.start("e2e-change", **{"policy.yaml": POLICY})
        stream = self.stream(node, 60)
        self.assertEqual(stream.stdout.readline(), "open\n")
        for i in range(3):
            self.assertEqual(stream.stdout.readline(), f"tick {i}\n")
        node.write("policy.yaml", POLICY.replace("app: friend", "app: nobody"))
        eventually(self, lambda: [f for f in node.flows("--from", "shop/friend")
                                  if f["kind"] == "revoked"], what="the revocation")
        lines = []

        def read():
            lines.extend(stream.stdout)
        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        time.sleep(0.5)  # what was on its way
        count = len(lines)
        time.sleep(1.0)
        self.assertEqual(len(lines), count, "nothing may pass while it is denied")
        self.assertIsNone(stream.poll(), "it stalls, it is not reset")
        node.write("policy.yaml", POLICY)
        reader.join(60)
        self.assertEqual(lines[-2:], ["tick 59\n", "done\n"])

    def test_an_invalid_change_changes_nothing(self):
        node = self.start("e2e-invalid", **{"policy.yaml": POLICY})
        before = node.status()["generation"]
        node.write("policy.yaml", POLICY.replace("port: http}", "port: http, endPort: 90}"))
        eventually(self, lambda: node.status()["rejectedChange"], what="the rejection")
        self.assertIn("policy.yaml:", node.status()["rejectedChange"][0])
        self.assertEqual(node.status()["generation"], before)
        self.assertEqual(self.curl(node, "street/stranger"), 28)
        self.assertEqual(self.curl(node, "shop/friend"), 0)
        node.write("policy.yaml", POLICY)
        eventually(self, lambda: not node.status()["rejectedChange"], what="the recovery")

    def test_objects_come_and_go(self):
        node = self.start("e2e-objects")
        self.assertEqual(self.curl(node, "street/stranger"), 0)
        node.write("policy.yaml", POLICY)
        eventually(self, lambda: self.curl(node, "street/stranger") == 28, what="the denial")
        uid = node.pod("shop", "friend")["metadata"]["uid"]
        node.write("base.yaml", BASE.replace("labels: {app: friend}", "labels: {app: other}"))
        eventually(self, lambda: self.curl(node, "shop/friend") == 28, what="the relabelled denial")
        self.assertEqual(node.pod("shop", "friend")["metadata"]["uid"], uid, "labels apply in place")
        node.write("base.yaml", BASE.replace('command: [/usr/bin/sleep, "86400"]',
                                             'command: [/usr/bin/sleep, "86401"]'))
        eventually(self, lambda: node.status()["ready"] and
                   node.pod("shop", "friend")["metadata"]["uid"] != uid,
                   seconds=30, what="the replacement")
        os.unlink(node.dir / "policy.yaml")
        eventually(self, lambda: self.curl(node, "street/stranger") == 0, what="the opening")

    def test_kill_9_keeps_the_gate_and_the_next_up_takes_over(self):
        node = self.start("e2e-kill", **{"policy.yaml": POLICY})
        uids = {p["metadata"]["uid"] for p in node.get("pods")}
        server = node.address("shop", "server")
        friend = self.shim_pid(node, "friend")
        stranger = self.shim_pid(node, "stranger")
        # Through the pod's network namespace: the node process, and with it exec, will be gone.
        enter = lambda pid, *words: subprocess.run(["nsenter", "-t", str(pid), "-n", *words],
                                                   capture_output=True, text=True, timeout=20)
        stream = subprocess.Popen(["nsenter", "-t", str(friend), "-n", "/usr/bin/python3", "-c",
                                   STREAM, server, "80"], stdout=subprocess.PIPE, text=True)
        self.addCleanup(stream.stdout.close)
        self.addCleanup(stream.wait)
        self.addCleanup(stream.kill)
        self.assertEqual(stream.stdout.readline(), "open\n")
        node.kill()
        curl = ["/usr/bin/curl", "-s", "-m", "2", f"http://{server}:8080/"]
        self.assertEqual(enter(stranger, *curl).returncode, 28, "the gate outlives the node")
        self.assertEqual(enter(friend, *curl).stdout, "hello\n")
        self.assertEqual(self.curl_dns(enter, friend), "hello\n", "DNS outlives it too")
        node.start()
        self.assertTrue(node.status()["tookOver"])
        self.assertEqual({p["metadata"]["uid"] for p in node.get("pods")}, uids)
        self.assertTrue(stream.stdout.read().endswith("tick 79\ndone\n"), "the stream was lost")
        self.assertEqual(self.curl(node, "street/stranger"), 28)
        self.assertEqual(self.curl(node, "shop/friend"), 0)

    def curl_dns(self, enter, pid):
        ip = "198.19.0.10"
        done = enter(pid, "/usr/bin/dig", "+short", "+time=2", f"@{ip}", "server.shop.svc.cluster.local")
        self.assertRegex(done.stdout, r"^198\.19\.")
        return enter(pid, "/usr/bin/curl", "-s", "-m", "2", f"http://{done.stdout.strip()}/").stdout

    def shim_pid(self, node, pod):
        uid = node.pod("shop" if pod != "stranger" else "street", pod)["metadata"]["uid"]
        path = f"/run/sallyport/{node.name}/pods/{uid}"
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as f:
                    if path in f.read().decode(errors="replace"):
                        return int(pid)
            except OSError:
                pass
        self.fail(f"no shim of {pod}")

    def test_nothing_is_left(self):
        name = "e2e-left"
        before = leftovers(name)
        node = self.start(name, **{"policy.yaml": POLICY})
        self.assertGreater(leftovers(name)[1], before[1], "the links are seen while it runs")
        node.process.send_signal(signal.SIGTERM)
        self.assertEqual(node.process.wait(60), 0, node.output())
        after = eventually(self, lambda: (lambda l: l if l[:2] == before[:2] else None)(
            leftovers(name)), seconds=10, what=f"the clean-up ({leftovers(name)[:2]})")
        self.assertEqual(after[0], [])

    def test_down_clears_what_a_killed_node_left(self):
        name = "e2e-down"
        before = leftovers(name)
        node = self.start(name)
        node.kill()
        self.assertTrue(leftovers(name)[0])
        self.assertEqual(cli("down", name).returncode, 0)
        eventually(self, lambda: leftovers(name)[:2] == before[:2], seconds=10, what="the clean-up")
        self.assertEqual(cli("down", name).returncode, 2)

    def test_two_runs_coexist_and_a_name_is_taken_once(self):
        first = self.start("e2e-one")
        second = self.start("e2e-two")
        again = subprocess.run([BINARY, "up", str(first.dir), "--name", "e2e-one"],
                               capture_output=True, text=True, timeout=30)
        self.assertEqual(again.returncode, 2)
        self.assertIn("active already", again.stderr)
        self.assertEqual(self.curl(first, "shop/friend"), 0)
        self.assertEqual(self.curl(second, "shop/friend"), 0)

    def test_nothing_starts_on_bad_manifests(self):
        for text, part in (
                (BASE + "---\n" + POLICY.replace("ports:", "port:"), "port"),
                (BASE + "---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n"
                 "metadata: {name: a, namespace: shop}\n"
                 "spec: {action: CUSTOM, provider: {name: opa}, rules: [{}]}\n", "action CUSTOM"),
                (BASE + "---\napiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\n"
                 "metadata: {name: a, namespace: shop}\nspec: {}\n", "--allow-unenforced"),
                (BASE.replace("image: shell", "image: shell, securityContext: {privileged: true}"),
                 "privileged")):
            node = Node("e2e-bad", {"all.yaml": text})
            self.addCleanup(node.stop)
            done = subprocess.run([BINARY, "up", str(node.dir), "--name", "e2e-bad"],
                                  capture_output=True, text=True, timeout=30)
            self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
            self.assertIn(part, done.stderr)
            self.assertRegex(done.stderr, r"all\.yaml:\d+:\d+: ")
            self.assertFalse(os.path.exists("/run/sallyport/e2e-bad"))


if __name__ == "__main__":
    unittest.main()
