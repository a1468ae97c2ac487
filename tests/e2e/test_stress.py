"""Unkind treatment: kill -9 at any moment, changes in quick succession, garbage, hanging commands."""
import json
import os
import pathlib
import pwd
import random
import signal
import socket
import subprocess
import tempfile
import time
import unittest

from harness import BINARY, Node, cli, eventually, leftovers
from worlds import BASE, POLICY

CURL = ("/usr/bin/curl", "-s", "-m", "2", "http://server.shop/")
TIMED_OUT = 28
OTHER = POLICY.replace("app: friend", "app: nobody")
# The server's spec changes, so that its pod is replaced.
MOVED = BASE.replace("terminationGracePeriodSeconds: 2", "terminationGracePeriodSeconds: 1")


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def threads(pid):
    return len(os.listdir(f"/proc/{pid}/task"))


def unique(name):
    """So that the tests can run several times at once."""
    return f"{name}-{os.getpid()}"


class Stress(unittest.TestCase):
    def node(self, name, **files):
        node = Node(name, {"base.yaml": BASE, **files})
        self.addCleanup(node.stop)
        return node

    def answer(self, request, path, wait=10):
        """What the control socket answers to raw bytes, until it closes or the line ends."""
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(wait)
            client.connect(path)
            try:
                client.sendall(request)
                client.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # it had enough already
            got = b""
            try:
                while chunk := client.recv(65536):
                    got += chunk
            except ConnectionResetError:
                pass
            return got

    def test_kill_9_at_any_moment(self):
        name = unique("e2e-kill9")
        seed = int(os.environ.get("SALLYPORT_SEED", random.randrange(1 << 30)))
        print(f"test_kill_9_at_any_moment: SALLYPORT_SEED={seed}", flush=True)
        chance = random.Random(seed)
        node = self.node(name, **{"policy.yaml": POLICY})
        for round_ in range(10):
            node.start(ready=0)
            if round_ % 2:
                # Half of the time in the middle of changes.
                eventually(self, lambda: os.path.exists(f"/run/sallyport/{name}/admin.sock"),
                           what="the start")
                for _ in range(chance.randrange(1, 4)):
                    node.write("policy.yaml", chance.choice((POLICY, OTHER)))
                    node.write("base.yaml", chance.choice((BASE, MOVED)))
                    time.sleep(chance.uniform(0, 0.15))
            time.sleep(chance.uniform(0, 0.4))
            node.kill()
        node.write("policy.yaml", POLICY)
        node.write("base.yaml", BASE)
        node.start(ready=30)
        self.assertEqual(node.exec("shop/friend", *CURL).stdout, "hello\n", f"seed {seed}")
        self.assertEqual(node.exec("street/stranger", *CURL).returncode, TIMED_OUT, f"seed {seed}")
        pods = f"/run/sallyport/{name}/pods"
        self.assertEqual(set(os.listdir(pods)),
                         {p["metadata"]["uid"] for p in node.get("pods")}, f"seed {seed}")
        node.process.send_signal(signal.SIGTERM)
        self.assertEqual(node.process.wait(30), 0, node.output())
        eventually(self, lambda: not leftovers(name)[0] or self.fail(leftovers(name)[0]),
                   seconds=10, what=f"the clean-up (seed {seed})")

    def test_many_changes_leave_no_trace(self):
        name = unique("e2e-churn")
        node = self.node(name, **{"policy.yaml": POLICY}).start()
        pid = node.process.pid
        self.assertEqual(node.exec("shop/friend", *CURL).returncode, 0)
        time.sleep(0.5)  # the last client is gone
        before = descriptors(pid), threads(pid)
        generations = [node.status()["generation"]]
        for i in range(100):
            node.write("policy.yaml", OTHER if i % 2 == 0 else POLICY)
            time.sleep(0.03)
            if i % 20 == 0:
                generations.append(node.status()["generation"])
        node.write("policy.yaml", OTHER)
        eventually(self, lambda: node.exec("shop/friend", *CURL).returncode == TIMED_OUT,
                   what="the last policy")
        generations.append(node.status()["generation"])
        self.assertEqual(generations, sorted(generations))
        self.assertGreater(generations[-1], generations[0] + 20, "most changes are seen")
        self.assertFalse(node.status()["problems"])
        eventually(self, lambda: (descriptors(pid), threads(pid)) == before or
                   self.fail(f"{before} before, {(descriptors(pid), threads(pid))} now"),
                   seconds=5, what="as many descriptors and threads as before")

    def test_a_half_written_file_does_not_count(self):
        node = self.node(unique("e2e-half"), **{"policy.yaml": POLICY}).start()
        before = node.status()["generation"]
        # In place, as `cp` and many editors write: emptied first. An empty file is a valid one.
        with open(node.dir / "policy.yaml", "w") as file:
            node.write("other.yaml", "apiVersion: v1\nkind: Namespace\nmetadata: {name: more}\n")
            time.sleep(0.4)
            self.assertEqual(node.status()["generation"], before)
            file.write(POLICY)
        eventually(self, lambda: any(n["metadata"]["name"] == "more"
                                     for n in node.get("namespaces")), what="the other change")
        self.assertEqual(node.status()["generation"], before, "the policy was there all the time")

    def test_the_directory_may_go_and_come_back(self):
        node = self.node(unique("e2e-dir"), **{"policy.yaml": POLICY}).start()
        away = node.dir.with_suffix(".away")
        node.dir.rename(away)
        eventually(self, lambda: node.status()["rejectedChange"], what="the rejection")
        self.assertEqual(node.exec("street/stranger", *CURL).returncode, TIMED_OUT)
        self.assertEqual(node.exec("shop/friend", *CURL).returncode, 0)
        (away / "policy.yaml").write_text(OTHER)
        away.rename(node.dir)
        eventually(self, lambda: node.exec("shop/friend", *CURL).returncode == TIMED_OUT,
                   what="the change that came with it")
        self.assertFalse(node.status()["rejectedChange"])

    def test_services_in_conflict_are_refused_whole(self):
        node = self.node(unique("e2e-conflict"), **{"policy.yaml": POLICY}).start()
        clash = "apiVersion: v1\nkind: Service\nmetadata: {name: x, namespace: shop}\n" \
                "spec: {clusterIP: 198.19.0.10, ports: [{port: 1}]}\n"
        node.write("clash.yaml", clash)
        eventually(self, lambda: "198.19.0.10" in "".join(node.status()["rejectedChange"]),
                   what="the rejection")
        self.assertTrue(node.status()["ready"])

    def test_changed_config_is_told(self):
        node = self.node(unique("e2e-stale")).start()
        self.assertFalse([w for w in node.status()["warnings"] if "ConfigMap/program" in w])
        node.write("base.yaml", BASE.replace('print("serving"', 'print("serving again"'))
        eventually(self, lambda: [w for w in node.status()["warnings"]
                                  if "shop/server" in w and "ConfigMap/program" in w],
                   what="the warning")
        self.assertIn("ConfigMap/program", node.output())
        node.write("base.yaml", BASE)
        eventually(self, lambda: not [w for w in node.status()["warnings"]
                                      if "ConfigMap/program" in w], what="the end of the warning")

    def test_a_pod_whose_shim_is_killed_is_made_anew(self):
        node = self.node(unique("e2e-shim")).start()
        uid = node.pod("shop", "friend")["metadata"]["uid"]
        shim = json.loads(pathlib.Path(
            f"/run/sallyport/{node.name}/pods/{uid}/shim.json").read_text())["pid"]
        os.kill(shim, signal.SIGKILL)
        eventually(self, lambda: node.status()["ready"] and
                   node.pod("shop", "friend")["metadata"]["uid"] != uid, what="a new pod")
        self.assertEqual(node.exec("shop/friend", *CURL).returncode, 0)

    def test_a_job_that_fails_once_is_ready_in_the_end(self):
        job = """
apiVersion: batch/v1
kind: Job
metadata: {name: twice, namespace: shop}
spec:
  backoffLimit: 2
  template:
    spec:
      restartPolicy: Never
      containers:
        - name: main
          image: shell
          command: [/bin/sh, -c, 'test "$(hostname)" != twice-0']
"""
        node = self.node(unique("e2e-job"), **{"job.yaml": job}).start()
        phases = lambda: {p["metadata"]["name"]: p["status"]["phase"] for p in node.get("pods")
                          if p["metadata"]["name"].startswith("twice")}
        expected = {"twice-0": "Failed", "twice-0-r1": "Succeeded"}
        eventually(self, lambda: phases() == expected, what="the second attempt")
        self.assertEqual(node.run("status", "--wait-ready", "10").returncode, 0)
        time.sleep(1)
        self.assertEqual(phases(), expected, "what has ended stays as it is")

    def test_garbage_on_the_control_socket(self):
        node = self.node(unique("e2e-garbage")).start()
        path = f"/run/sallyport/{node.name}/admin.sock"
        pid = node.process.pid
        time.sleep(0.5)  # the last client of the start is gone
        before = descriptors(pid)
        chance = random.Random(7)
        for request in (b"\n", b"{}\n", b"[]\n", b'{"op":5}\n', b'{"op":"nothing"}\n',
                        b'{"op":"get"}\n', b'{"op":"exec"}\n', b'{"op":"logs","pod":{}}\n',
                        b'{"op":"explain","from":[1]}\n', b'{"op":"flows","last":-5}\n',
                        b'{"op":"flows","sinceSeconds":-9223372036854775808}\n',
                        b'{"op":"port-forward","port":99999999999,"service":"server",'
                        b'"namespace":"shop"}\n',
                        b'{"op":"explain-batch","lines":7}\n', b"{" * 100_000 + b"\n",
                        b"x" * (2 << 20), chance.randbytes(65536) + b"\n",
                        b'{"op":"get","resource":"pods"', b""):
            got = self.answer(request, path)
            if request.endswith(b"\n"):
                self.assertTrue(got.endswith(b"\n"), request[:60])
                last = json.loads(got.splitlines()[-1])
                self.assertTrue("error" in last or last.get("done"), request[:60])
        self.assertTrue(node.status()["ready"])
        eventually(self, lambda: descriptors(pid) == before or
                   self.fail(f"{before} before, {descriptors(pid)} now"), seconds=5,
                   what="closed descriptors")

    def test_a_hanging_command_ends_with_its_client_and_with_the_node(self):
        node = self.node(unique("e2e-hang")).start()
        pid = node.process.pid
        time.sleep(0.5)  # the last client of the start is gone
        before = threads(pid), descriptors(pid)

        marks = [f"{90000 + i}.{os.getpid()}" for i in range(2)]

        def hang(marker):
            process = subprocess.Popen([BINARY, "exec", "--name", node.name, "shop/friend", "--",
                                        "/usr/bin/sleep", marker], stderr=subprocess.PIPE, text=True)
            self.addCleanup(process.stderr.close)
            self.addCleanup(process.wait)
            self.addCleanup(process.kill)
            eventually(self, lambda: running(marker), what=f"sleep {marker}")
            return process

        def running(marker):
            for one in filter(str.isdigit, os.listdir("/proc")):
                try:
                    if pathlib.Path(f"/proc/{one}/cmdline").read_bytes() == \
                            f"/usr/bin/sleep\0{marker}\0".encode():
                        return True
                except OSError:
                    pass
            return False

        first = hang(marks[0])
        first.kill()
        eventually(self, lambda: not running(marks[0]), what="the end of the command")
        eventually(self, lambda: (threads(pid), descriptors(pid)) == before or
                   self.fail(f"{before} before, {(threads(pid), descriptors(pid))} now"),
                   what="the end of its thread")
        second = hang(marks[1])
        begin = time.monotonic()
        node.process.send_signal(signal.SIGTERM)
        self.assertEqual(node.process.wait(20), 0)
        self.assertLess(time.monotonic() - begin, 15)
        # The pod ended under it: either the shell's 128 + SIGKILL, or an error that says so.
        self.assertIn(second.wait(10), (137, 143, 2))
        self.assertFalse(running(marks[1]))

    def test_only_root_may_speak_to_the_node(self):
        node = self.node(unique("e2e-root")).start()
        run = pathlib.Path(f"/run/sallyport/{node.name}")
        self.assertEqual((run / "admin.sock").stat().st_mode & 0o777, 0o600)
        nobody = pwd.getpwnam("nobody")
        program = ("import socket,sys\ns=socket.socket(socket.AF_UNIX)\n"
                   "try: s.connect(sys.argv[1])\n"
                   "except PermissionError: sys.exit(13)\n"
                   "try: s.sendall(b'{\"op\":\"status\"}\\n')\n"
                   "except BrokenPipeError: pass  # refused before we spoke: the reason waits\n"
                   "print(s.recv(4096).decode())\n")

        def as_nobody(path):
            return subprocess.run(["/usr/bin/python3", "-c", program, str(path)],
                                  user=nobody.pw_uid, group=nobody.pw_gid, extra_groups=[],
                                  cwd="/", capture_output=True, text=True, timeout=20)
        self.assertEqual(as_nobody(run / "admin.sock").returncode, 13)
        # Also where the modes are wide open: the node looks at who is there.
        with tempfile.TemporaryDirectory() as folder:
            os.chmod(folder, 0o755)
            link = pathlib.Path(folder, "admin.sock")
            os.link(run / "admin.sock", link) if os.stat(folder).st_dev == run.stat().st_dev \
                else subprocess.run(["mount", "--bind", str(run), folder], check=True)
            try:
                os.chmod(run / "admin.sock", 0o666)
                mode = run.stat().st_mode & 0o777
                os.chmod(run, 0o755)
                done = as_nobody(link)
                os.chmod(run, mode)
            finally:
                subprocess.run(["umount", folder], capture_output=True)
        self.assertIn("only root may use this socket", done.stdout, done.stderr)

    def test_down_while_it_starts(self):
        name = unique("e2e-early")
        node = self.node(name).start(ready=0)
        eventually(self, lambda: os.path.exists(f"/run/sallyport/{name}.lock"), what="the start")
        self.assertEqual(cli("down", name).returncode, 0)
        self.assertEqual(node.process.wait(20), 0)
        self.assertEqual(leftovers(name)[0], [])


if __name__ == "__main__":
    unittest.main()
