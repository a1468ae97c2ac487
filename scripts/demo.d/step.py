"""What the steps of the tour have in common."""

import json

from node import Unexpected, wait_until

PROGRAMS = "/opt/ai-pipeline/programs"
CLIENT = "client/client"
ATTACKER = "attacker/attacker"


def step(title, expected):
    """Marks a function as a step. It is given the node, returns what happened, in words, and
    raises Unexpected where that is not what was expected."""
    def mark(function):
        function.title = title
        function.expected = expected
        return function
    return mark


def expect(condition, otherwise):
    if not condition:
        raise Unexpected(otherwise)


def python(program, *arguments):
    return ["/usr/bin/python3", f"{PROGRAMS}/{program}", *map(str, arguments)]


def chat(node, question, *options):
    """Asks through the pipeline: (pieces with their times, the summary)."""
    done = node.execute(CLIENT, *python("chat.py", "--json", *options, question), check=False)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    expect(lines and lines[-1].get("done"),
           f"the answer is not whole: {lines[-1:] or done.stderr.strip()}")
    return lines[:-1], lines[-1]


def pod_of(side):
    return f"{side['namespace']}/{side['pod']}" if "pod" in side else side["address"]


def rule_of(flow, direction):
    """policy and rule of one direction of a flow, as text."""
    verdict = flow.get(direction)
    if verdict is None:
        return "-"
    if verdict.get("policy") is None:
        return verdict["reason"]
    return f"{verdict['policy']} rule {verdict['rule']}"


def denied(node, source, destination=None, port=None, protocol="TCP", since="20s"):
    """The newest denied flow from this pod, waited for: events are collected in the background."""
    def find():
        for flow in reversed(node.flows("--from", source, "--verdict", "denied", "--since", since)):
            if flow["protocol"] == protocol and port in (None, flow["destination"].get("port")) and \
                    destination in (None, flow["destination"]["address"], pod_of(flow["destination"])):
                return flow
        return None
    return wait_until(f"a denied {protocol} flow from {source} to {destination or 'anywhere'} "
                      f"port {port or 'any'}", find, 5)


def flow_line(flow):
    """One flow as the tour shows it, with the rule and the nearest miss."""
    side = flow["destination"]
    port = f":{side['port']}" if "port" in side else ""
    out = f"{flow['verdict']} {flow['protocol']} {pod_of(flow['source'])} -> {pod_of(side)}{port}"
    if flow["verdict"] == "denied" and flow["reason"] != "policy":
        return f"{out}: {flow['reason']}"
    for direction in ("egress", "ingress"):
        verdict = flow.get(direction)
        if verdict is None or (flow["verdict"] == "denied" and verdict["verdict"] == "allow"):
            continue
        isolated = ", ".join(verdict.get("isolatedBy", ()))
        out += f"\n  {direction}: " + (f"denied by default, isolated by {isolated}" if isolated
                                      else rule_of(flow, direction))
        if verdict.get("nearest"):
            near = verdict["nearest"]
            out += f"; nearest: {near['policy']} rule {near['rule']}, {near['why']}"
    return out
