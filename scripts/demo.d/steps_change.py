"""Change and failure under a live stream; then what was seen of all of it."""

import json
import os
import queue
import re
import threading
import time

from node import Unexpected, replace_file, wait_until
from step import ATTACKER, CLIENT, chat, expect, flow_line, python, step

STORY = ["--json", "--temperature", "0.8", "--ignore-eos", "Write a long story about a harbour."]


class LiveStream:
    """A streamed answer in the client pod; its pieces as they arrive."""

    def __init__(self, node, tokens):
        self.process = node.execute_in_background(
            CLIENT, *python("chat.py", "--max-tokens", tokens, *STORY))
        self.lines = queue.Queue()
        self.pieces = 0
        self.summary = None
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.put(line)
        self.lines.put(None)

    def next(self, seconds):
        """True when another piece came within this time, False when none did or all is said."""
        if self.summary:
            return False
        try:
            line = self.lines.get(timeout=seconds)
        except queue.Empty:
            return False
        if line is None:
            raise Unexpected("the stream's program ended without a summary")
        try:
            read = json.loads(line)
        except ValueError:
            raise Unexpected(f"the stream's program said: {line.strip()}") from None
        if "done" in read:
            self.summary = read
            return False
        self.pieces += 1
        return True

    def close(self):
        self.process.kill()
        self.process.wait(10)


@step("A policy is edited under a live stream",
      "without its rule the stream stalls, without reset; with the rule back it goes on, and no\n"
      "piece is lost")
def stall_and_resume(node):
    path = os.path.join(node.manifests, "client-policies.yaml")
    with open(path, encoding="utf-8") as f:
        original = f.read()
    without = "---\n".join(part for part in original.split("---\n") if "client-egress" not in part)
    expect(without != original, "client-egress is not in client-policies.yaml")
    stream = LiveStream(node, 500)
    try:
        while stream.pieces < 10:
            expect(stream.next(30), f"only {stream.pieces} pieces came")
        edited = time.monotonic()
        replace_file(path, without)
        while stream.next(1.5):
            expect(time.monotonic() - edited < 5, "the stream did not stall within 5 s")
        expect(not stream.summary, f"the stream ended instead of stalling: {stream.summary}")
        before = stream.pieces
        expect(not stream.next(1.5), "a piece came through although no rule allows it")
        expect(stream.process.poll() is None and not stream.summary, "the connection was reset")
        revoked = revocation(node)
        restored = time.monotonic()
        replace_file(path, original)
        expect(stream.next(20), "nothing came within 20 s after the rule was back")
        resumed = time.monotonic() - restored
        while stream.next(30):
            pass
        expect(stream.summary and stream.summary["done"], f"not whole: {stream.summary}")
    finally:
        replace_file(path, original)
        stream.close()
    return (f"{before} pieces, then silence for 3 s; {resumed:.1f} s after the rule was back the next "
            f"(a retransmission of TCP),\n{stream.pieces} in all, finish_reason "
            f"{stream.summary['finish_reason']}\n{revoked}")


def revocation(node):
    """The event of the connection that was allowed and no longer is."""
    def find():
        for flow in reversed(node.flows("--from", CLIENT, "--since", "20s")):
            if flow["kind"] == "revoked":
                return flow
        return None
    return "revoked: " + flow_line(wait_until("an event of the revoked connection", find, 5))


@step("The node process is killed with kill -9 while an answer streams",
      "the stream goes on, the attacker is still refused, a new start takes over, and no allowed\n"
      "connection is lost")
def killed(node):
    _, model = node.pod("inference", "model-server")
    pods_before = {p["metadata"]["uid"] for p in node.pods()}
    story = " ".join(f"'{word}'" for word in python("chat.py", "--max-tokens", 600, *STORY))
    # Both are left to themselves in their pods: the node process that started them will be gone.
    node.execute(CLIENT, "/bin/sh", "-c",
                 f"setsid {story} > /tmp/stream.jsonl 2>&1 < /dev/null &")
    node.execute(ATTACKER, "/bin/sh", "-c",
                 f"setsid {' '.join(python('attack.py', 'knock', model[0], 8080, 8))}"
                 " > /tmp/knock.jsonl 2>&1 < /dev/null &")

    def lines_of(pod, path):
        out = node.execute(pod, "cat", path, check=False).stdout
        return [json.loads(line) for line in out.splitlines() if line.endswith("}")]
    wait_until("the answer streams", lambda: len(lines_of(CLIENT, "/tmp/stream.jsonl")) > 5, 30)
    wait_until("the attacker knocks", lambda: lines_of(ATTACKER, "/tmp/knock.jsonl"), 10)
    killed_at = time.time()
    node.kill()
    expect(node.run("status", check=False).returncode != 0, "the node still answers")
    time.sleep(1.5)
    restarted_at = time.time()
    node.up()
    node.wait_ready(60)
    ready_at = time.time()
    expect({p["metadata"]["uid"] for p in node.pods()} == pods_before, "pods were started anew")

    def ended(pod, path, key):
        lines = lines_of(pod, path)
        return lines if lines and key in lines[-1] else None
    stream = wait_until("the stream ends", lambda: ended(CLIENT, "/tmp/stream.jsonl", "done"), 60)
    knocks = wait_until("the attacker gives up",
                        lambda: ended(ATTACKER, "/tmp/knock.jsonl", "summary"), 20)
    expect(stream[-1]["done"], f"the stream broke: {stream[-1]}")
    meanwhile = sum(killed_at <= p["at"] < restarted_at for p in stream[:-1])
    expect(meanwhile > 0, "no piece came while no node process ran")
    states = {k["state"] for k in knocks[:-1]}
    unwatched = sum(killed_at <= k["at"] < restarted_at for k in knocks[:-1])
    expect(unwatched > 0, "no knock fell into the time without a node process")
    expect(states == {"silent"}, f"the attacker saw {states}")
    _, after = chat(node, "Are you still there?", "--max-tokens", "8", "--temperature", "0.5")
    return (f"without a node process for {restarted_at - killed_at:.1f} s: {meanwhile} pieces of the "
            f"answer came, {unwatched} knocks of the attacker were dropped\n"
            f"taken over {ready_at - restarted_at:.1f} s after the new start, with the same pods; the "
            f"answer is whole ({len(stream) - 1} pieces)\n"
            f"a new chat: {after['text']!r}")


@step("Flows of all of it",
      "allowed and denied connections with their rules, for people to read")
def flows(node):
    shown = node.flow_text("--from", ATTACKER, "--last", "2") + \
        node.flow_text("--to", "inference/", "--verdict", "allowed", "--last", "4")
    expect(any(" denied" in line for line in shown), f"no denied flow: {shown}")
    expect(any(" allowed" in line for line in shown), f"no allowed flow: {shown}")
    return "\n".join(shown)


@step("Metrics of all of it",
      "verdicts by direction, policy and rule; nothing lost")
def metrics(node):
    text = node.run("metrics").stdout
    verdicts = re.findall(r"^(sallyport_verdicts_total\{.*\}) ([0-9]+)$", text, re.MULTILINE)
    for policy, verdict in (("inference/inference-ingress", "allowed"), ("attacker/", "denied")):
        expect(any(f'policy="{policy}' in labels and f'verdict="{verdict}"' in labels and int(n) > 0
                   for labels, n in verdicts), f"no {verdict} verdict of {policy} is counted")
    status = json.loads(node.run("status", "-o", "json").stdout)
    expect(status["gate"].get("eventsLost", 0) == 0, f"events were lost: {status['gate']}")
    busiest = sorted(verdicts, key=lambda v: -int(v[1]))[:6]
    return "\n".join([*(f"{labels} {n}" for labels, n in busiest), f"... {len(text.splitlines())} lines",
                      node.run("status").stdout.rstrip()])


STEPS = [stall_and_resume, killed, flows, metrics]
