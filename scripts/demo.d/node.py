"""A running `sallyport up`, driven through its command line."""

import json
import os
import shutil
import signal
import subprocess
import time


class Unexpected(Exception):
    """Something did not happen as the tour expected; the text says what happened instead."""


def wait_until(what, condition, seconds):
    """Asks `condition` until it gives something true, and returns that."""
    deadline = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > deadline:
            raise Unexpected(f"not within {seconds:g} s: {what}")
        time.sleep(0.05)


class Node:
    def __init__(self, binary, name, manifests, exposed, work):
        self.binary = os.path.abspath(binary)
        self.name = name
        self.manifests = manifests
        self.exposed = exposed            # {host path: path in the pods}
        self.log_path = os.path.join(work, "up.log")
        self.process = None
        self.runtime_state = os.path.join("/run/sallyport", name)

    def up(self):
        arguments = [self.binary, "up", self.manifests, "--name", self.name]
        for host, pod in self.exposed.items():
            arguments += ["--expose", f"{host}:{pod}"]
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, start_new_session=True)

    def wait_ready(self, seconds):
        """Until all pods are ready; gives up at once when the node ends."""
        def ready():
            if self.process and self.process.poll() is not None:
                raise Unexpected(f"`sallyport up` ended with status {self.process.returncode}:\n"
                                 + self.log_tail())
            done = self.run("status", "-o", "json", check=False)
            return done.returncode == 0 and json.loads(done.stdout)["ready"]
        try:
            wait_until("all pods are ready", ready, seconds)
        except Unexpected as e:
            raise Unexpected(f"{e}\n{self.run('get', 'pods', check=False).stdout}"
                             f"{self.log_tail()}") from None

    def log_tail(self, lines=15):
        with open(self.log_path, encoding="utf-8", errors="replace") as f:
            return "".join(f.readlines()[-lines:])

    def kill(self):
        """kill -9 of the node process alone."""
        self.process.kill()
        self.process.wait(10)

    def down(self):
        if self.process and self.process.poll() is not None and \
                self.run("status", check=False).returncode and not os.path.exists(self.runtime_state):
            return  # it ended by itself and left nothing
        done = self.run("down", self.name, check=False, timeout=60, named=False)
        if self.process:
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.send_signal(signal.SIGKILL)
                self.process.wait(5)
        if done.returncode:
            raise Unexpected(f"`sallyport down` ended with {done.returncode}: {done.stderr}")

    def command(self, *words, named=True):
        return [self.binary, words[0], *(["--name", self.name] if named else []), *words[1:]]

    def run(self, *words, check=True, timeout=30, named=True):
        command = self.command(*words, named=named)
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=timeout,
                                  stdin=subprocess.DEVNULL, check=False)
        except subprocess.TimeoutExpired:
            raise Unexpected(f"`sallyport {' '.join(words)}` took more than {timeout} s") from None
        if check and done.returncode:
            raise Unexpected(f"`sallyport {' '.join(words)}` ended with {done.returncode}: "
                             f"{(done.stderr or done.stdout).strip()}")
        return done

    def execute(self, pod, *command, check=True, timeout=60):
        return self.run("exec", pod, "--", *command, check=check, timeout=timeout)

    def execute_in_background(self, pod, *command):
        """A command in a pod whose output is read while it runs."""
        return subprocess.Popen(self.command("exec", pod, "--", *command), text=True,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT)

    def pods(self):
        return json.loads(self.run("get", "pods", "-o", "json").stdout)["items"]

    def pod(self, namespace, app):
        """NS/NAME and the addresses of the one pod with this label."""
        for p in self.pods():
            if (p["metadata"]["namespace"] == namespace
                    and p["metadata"].get("labels", {}).get("app") == app):
                ips = [entry["ip"] for entry in p["status"]["podIPs"]]
                return f"{namespace}/{p['metadata']['name']}", ips
        raise Unexpected(f"no pod with app={app} in namespace {namespace}")

    def flows(self, *filters):
        out = self.run("flows", "-o", "json", *filters).stdout
        return [json.loads(line) for line in out.splitlines()]

    def flow_text(self, *filters):
        return [line for line in self.run("flows", *filters).stdout.splitlines() if line]


def fresh_copy(source, target):
    """The manifests alone, so that the tour edits a copy."""
    shutil.rmtree(target, ignore_errors=True)
    os.makedirs(target)
    for name in os.listdir(source):
        if name.endswith(".yaml"):
            shutil.copyfile(os.path.join(source, name), os.path.join(target, name))


def replace_file(path, text):
    """Written beside and renamed, so that a reader sees the old or the new text."""
    with open(path + ".new", "w", encoding="utf-8") as f:
        f.write(text)
    os.rename(path + ".new", path)
