"""Starts real nodes from manifests and asks them through the command line."""
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

BINARY = os.environ["SALLYPORT"]
SOURCE = pathlib.Path(os.environ["SALLYPORT_SOURCE"])


def cli(*words, name=None, timeout=60, check=False, stdin=None):
    """One command; returns the finished process with text output."""
    command = [BINARY, words[0]] + (["--name", name] if name else []) + list(words[1:])
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, input=stdin)
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(command)} ended with {done.returncode}:\n"
                             f"{done.stdout}{done.stderr}")
    return done


class Node:
    """A running `sallyport up` over manifests that the test writes."""

    def __init__(self, name, manifests, *options):
        self.name = name
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="sallyport-e2e-"))
        self.options = options
        self.process = None
        self.log = open(self.dir.with_suffix(".log"), "w+b")
        for file, text in manifests.items():
            (self.dir / file).write_text(text)

    def start(self, ready=60):
        self.process = subprocess.Popen(
            [BINARY, "up", str(self.dir), "--name", self.name, *self.options],
            stdout=self.log, stderr=subprocess.STDOUT)
        if ready:
            done = None
            deadline = time.monotonic() + ready
            while time.monotonic() < deadline and self.process.poll() is None:
                done = cli("status", "--wait-ready", "2", name=self.name)
                if done.returncode == 0:
                    return self
            done = done or cli("status", name=self.name)
            if done.returncode != 0:
                raise AssertionError(f"not ready: {done.stdout}{done.stderr}\n{self.output()}")
        return self

    def output(self):
        self.log.flush()
        return pathlib.Path(self.log.name).read_text(errors="replace")

    def write(self, file, text):
        """As an editor does: a new file renamed over the old one."""
        temporary = self.dir / f".{file}.new"
        temporary.write_text(text)
        temporary.rename(self.dir / file)

    def run(self, *words, **more):
        return cli(*words, name=self.name, **more)

    def exec(self, pod, *command, timeout=30):
        return self.run("exec", pod, "--", *command, timeout=timeout)

    def get(self, resource):
        return json.loads(self.run("get", resource, "-o", "json", check=True).stdout)["items"]

    def pod(self, ns, name):
        for item in self.get("pods"):
            if (item["metadata"]["namespace"], item["metadata"]["name"]) == (ns, name):
                return item
        raise AssertionError(f"no pod {ns}/{name}")

    def address(self, ns, name, family=4):
        ips = [entry["ip"] for entry in self.pod(ns, name)["status"]["podIPs"]]
        return next(ip for ip in ips if (":" in ip) == (family == 6))

    def status(self):
        return json.loads(self.run("status", "-o", "json", check=True).stdout)

    def flows(self, *words):
        done = self.run("flows", "-o", "json", *words, check=True)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        cli("down", self.name, timeout=90)
        self.log.close()
        shutil.rmtree(self.dir, ignore_errors=True)
        os.unlink(self.log.name)


def eventually(test, check, seconds=15, what="it"):
    """Waits until check() is true; the last failure is shown."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            value = check()
            if value:
                return value
            problem = f"is {value!r}"
        except AssertionError as error:
            problem = str(error)
        if time.monotonic() > deadline:
            test.fail(f"{what} did not happen within {seconds} s: {problem}")
        time.sleep(0.1)


def leftovers(name):
    """What of a run is still there: to be compared before and after."""
    found = []
    for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
        if f"/run/sallyport/{name}" in line:
            found.append("mount " + line.split()[4])
    for root, dirs, _ in os.walk("/sys/fs/cgroup"):
        found += [f"cgroup {root}/{d}" for d in dirs if d == f"sallyport-{name}"]
        if root.count("/") > 6:
            dirs.clear()
    for path in (f"/run/sallyport/{name}", f"/run/sallyport/{name}.lock"):
        if os.path.lexists(path):
            found.append("path " + path)
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            command = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if f"/run/sallyport/{name}/" in command:
            found.append(f"process {pid} {command}")
    programs = subprocess.run(["bpftool", "-j", "link", "show"], capture_output=True, text=True)
    count = len(json.loads(programs.stdout or "[]"))
    return found, count, set(os.listdir("/proc/self/fd"))


class NodeTest(unittest.TestCase):
    """A test class with one node; subclasses set NAME and MANIFESTS."""
    NAME = ""
    MANIFESTS = {}
    OPTIONS = ()

    @classmethod
    def setUpClass(cls):
        cls.node = Node(cls.NAME, cls.MANIFESTS, *cls.OPTIONS)
        try:
            cls.node.start()
        except BaseException:
            cls.node.stop()
            raise

    @classmethod
    def tearDownClass(cls):
        cls.node.stop()
