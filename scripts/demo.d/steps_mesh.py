"""Gate 2: identities, mutual TLS, and what an allowed pod may ask for."""

import json
import os
import re
import shutil

from mesh import Capture, CompromisedPod, certificate
from node import Node, Unexpected, fresh_copy, replace_file, wait_until
from step import CLIENT, chat, expect, flow_line, python, step
from steps_change import LiveStream

GATEWAY_ID = "spiffe://cluster.local/ns/api-gateway/sa/gateway-sa"
CLIENT_ID = "spiffe://cluster.local/ns/client/sa/client-sa"
MODEL = "model-server.inference.svc.cluster.local:8080"
DENIED = "RBAC: access denied"
TLS = "/opt/ai-pipeline/programs/tls_attack.py"

ADMIN = [("POST", "/props"), ("POST", "/slots"), ("POST", "/lora-adapters"), ("GET", "/metrics")]
# None of these may be understood as anything but the admin endpoint by one and as something allowed
# by another.
SPELLINGS = ["//props", "/%70rops", "/v1/chat/completions/../../props",
             "/v1/chat/completions%2f..%2f..%2fprops", "/v1/chat/completions/..;/..;/props",
             "/v1/chat/completions;/../../props", "/props;x", "/PROPS", "/./props", "/props/",
             "/v1/chat/completions/%2e%2e/%2e%2e/props", "/v1\\..\\props", "/props?x=/v1/completions",
             "/props%00", "/%2570rops"]


def curl(node, pod, *options):
    """(status, body) of a request from a pod; status 0 where there was no answer."""
    done = node.execute(pod, "curl", "-sS", "-g", "-m", "5", "--path-as-is", "-w", "\n%{http_code}",
                        *options, check=False)
    body, _, status = done.stdout.rpartition("\n")
    return int(status or 0), body.strip() or done.stderr.strip()


def refusal(node, source, path=None, since="20s"):
    """The newest request of this pod that gate 2 refused."""
    def find():
        for flow in reversed(node.flows("--from", source, "--verdict", "denied", "--since", since)):
            if flow.get("mesh") and path in (None, flow["mesh"].get("path")):
                return flow
        return None
    return wait_until(f"a refusal by the mesh gate of {source} {path or ''}", find, 5)


def mesh_line(flow):
    mesh = flow["mesh"]
    rule = f"{mesh.get('policy') or '-'}" + (f" rule {mesh['rule']}" if mesh.get("rule") is not None
                                             else "")
    return (f"{flow['verdict']} {mesh.get('method', 'TCP')} {mesh.get('path', '')} by "
            f"{mesh.get('peer', 'nobody')}: {mesh['reason']} ({rule})")


@step("An allowed pod asks the model server for more than it may",
      "the gateway's completions pass; its calls of the admin endpoints and of /metrics get 403")
def admin_endpoints(node):
    gateway, _ = node.pod("api-gateway", "gateway")
    status, body = curl(node, gateway, "-d", '{"prompt":"A port is","max_tokens":4}',
                        f"http://{MODEL}/v1/completions")
    expect(status == 200 and "choices" in body, f"/v1/completions: {status} {body}")
    lines = [f"POST /v1/completions: {status}"]
    for method, path in ADMIN:
        status, body = curl(node, gateway, "-X", method, f"http://{MODEL}{path}")
        expect((status, body) == (403, DENIED), f"{method} {path}: {status} {body}")
        lines.append(f"{method} {path}: {status} {body}")
    return "\n".join([*lines, mesh_line(refusal(node, gateway, "/metrics"))])


@step("Every spelling that should not help",
      "refused with 403, or with 400 where there is no canonical form; never an answer of the server")
def spellings(node):
    gateway, _ = node.pod("api-gateway", "gateway")
    lines = []
    for path in SPELLINGS:
        status, body = curl(node, gateway, "-X", "POST", f"http://{MODEL}{path}")
        expect(status == 400 or (status, body) == (403, DENIED), f"{path}: {status} {body}")
        lines.append(f"{path}: {status}")
    status, body = curl(node, gateway, "-X", "POST", "--request-target", f"http://{MODEL}/props",
                        f"http://{MODEL}/")
    expect(status in (400, 403), f"absolute-form: {status} {body}")
    return "; ".join([*lines, f"absolute-form: {status}"])


@step("A compromised gateway pod switches its interception off",
      "plaintext is dropped by the kernel, without a certificate the handshake fails, and so it does\n"
      "with a forged one; a stolen certificate of another account is known, and refused by policy")
def compromised(node):
    _, (model, *_) = node.pod("inference", "model-server")
    authority = [os.path.join("/var/lib/sallyport", node.name, f"ca.{end}") for end in ("crt", "key")]
    work = os.path.dirname(node.log_path)
    lines = []

    def ask(pod, *options):
        done = node.execute(pod.key, "/usr/bin/python3", TLS, "ask", model, "8080", *options, "POST",
                            "/v1/completions", check=False)
        expect(done.stdout, f"tls_attack.py: {done.stderr}")
        return json.loads(done.stdout)
    with CompromisedPod(node, "intruder", "api-gateway", "gateway", "gateway-sa") as pod:
        found = ask(pod, "--plain")
        expect(found["status"] in (200, 400), f"while intercepted, its requests pass: {found}")
        pod.switch_interception_off()
        found = ask(pod, "--plain")
        expect(not found["status"], f"plaintext was answered: {found}")

        def dropped():
            return next((f for f in node.flows("--from", pod.key, "--verdict", "denied")
                         if "TLS" in f["reason"]), None)
        flow = wait_until("the kernel's flow event", dropped, 5)
        lines.append(f"plaintext: {found['error']}\n{flow_line(flow)}")
        found = ask(pod)
        expect(not found["status"], f"without a certificate: {found}")
        lines.append(f"no certificate: {found['error']}")
        pod.put("/tmp/forged.pem", certificate(work, GATEWAY_ID))
        found = ask(pod, "--certificate", "/tmp/forged.pem")
        expect(not found["status"], f"with a forged certificate: {found}")
        lines.append(f"forged certificate: {found['error']}")
        pod.put("/tmp/stolen.pem", certificate(work, CLIENT_ID, authority))
        found = ask(pod, "--certificate", "/tmp/stolen.pem")
        expect((found["status"], found["body"]) == (403, DENIED), f"as client-sa: {found}")
        lines.append(f"as {CLIENT_ID}: {found['status']} {found['body']}\n"
                     + mesh_line(refusal(node, pod.key)))
    return "\n".join(lines)


@step("A stolen certificate as a server",
      "a pod that the model server's clients may call answers with another account's certificate: the\n"
      "calling proxy refuses it before a byte of the request is sent")
def stolen_server(node):
    gateway, _ = node.pod("api-gateway", "gateway")
    authority = [os.path.join("/var/lib/sallyport", node.name, f"ca.{end}") for end in ("crt", "key")]
    work = os.path.dirname(node.log_path)
    with CompromisedPod(node, "thief", "inference", "model-server", "model-server-sa") as pod:
        pod.switch_interception_off()
        lines = []
        for identity, expected in ((CLIENT_ID, 503),
                                   ("spiffe://cluster.local/ns/inference/sa/model-server-sa", 200)):
            pod.put("/tmp/served.pem", certificate(work, identity, authority))
            server = node.execute_in_background(pod.key, "/usr/bin/timeout", "15", "/usr/bin/python3",
                                                "-u", TLS, "serve", "8080", "--certificate",
                                                "/tmp/served.pem")
            expect(server.stdout.readline().strip() == "serving", "the server did not start")
            status, body = curl(node, gateway, "-X", "POST",
                                f"http://{pod.address}:8080/v1/completions")
            server.kill()
            server.wait(10)
            node.execute(pod.key, "/bin/sh", "-c", "pkill -f tls_attack.py || true", check=False)
            expect(status == expected, f"{identity}: {status} {body}")
            lines.append(f"served with {identity}: {status} {body}")
        return "\n".join(lines)


def secrets_on_the_wire(node, word):
    """Asks with this word in the prompt; what of prompt and answer passed the wires in clear."""
    gateway, _ = node.pod("api-gateway", "gateway")
    capture = Capture(node, 4, word, '"choices"')
    status, body = curl(node, gateway, "-d", json.dumps({"prompt": f"Say {word}", "max_tokens": 8}),
                        f"http://{MODEL}/v1/completions")
    expect(status == 200 and '"choices"' in body, f"{status} {body}")
    return capture.result()


@step("A capture on the node's side of all wires",
      "neither prompt nor answer appears in clear; in the same capture with the mesh off, both do")
def wires(node):
    word = "xylophone-4711"
    packets, size, seen = secrets_on_the_wire(node, word)
    expect(packets > 4 and not seen, f"{packets} packets, seen in clear: {seen}")
    lines = [f"mesh on: {packets} packets, {size} bytes, nothing of prompt and answer in clear"]
    plain = os.path.join(os.path.dirname(node.log_path), "mesh-off")
    fresh_copy(node.manifests, plain)
    for name in os.listdir(plain):
        if "mesh" in name:
            os.unlink(os.path.join(plain, name))
    path = os.path.join(plain, "namespaces.yaml")
    with open(path, encoding="utf-8") as f:
        text = f.read()
    replace_file(path, text.replace("sallyport.dev/mesh: enabled", "sallyport.dev/mesh: disabled"))
    off = Node(node.binary, node.name + "-off", plain, node.exposed, os.path.dirname(node.log_path))
    off.log_path += ".off"
    try:
        off.up()
        off.wait_ready(120)
        packets, size, seen = secrets_on_the_wire(off, word)
    finally:
        off.down()
        shutil.rmtree(plain, ignore_errors=True)
    expect(len(seen) == 2, f"with the mesh off only {seen} was seen in {packets} packets")
    return "\n".join([*lines, f"mesh off: {packets} packets, {size} bytes, in clear: {', '.join(seen)}"])


@step("The authorization policy is edited under a live stream",
      "without its rule the stream is cut and a new request gets 403; with the rule back it is answered")
def edited(node):
    path = os.path.join(node.manifests, "inference-mesh.yaml")
    with open(path, encoding="utf-8") as f:
        text = f.read()
    without = text.replace("sa/response-filter-sa", "sa/nobody")
    expect(without != text, "the rule is not in the file")
    stream = LiveStream(node, 400)
    try:
        for _ in range(5):
            expect(stream.next(30), "the stream did not begin")
        before = stream.pieces
        replace_file(path, without)
        while stream.next(10):
            pass
        expect(stream.summary and not stream.summary.get("whole", False) and stream.pieces < 390,
               f"the stream went on: {stream.pieces} pieces")
    finally:
        stream.close()
        replace_file(path, text)

    def answered():
        try:
            return chat(node, "Are you still there?", "--max-tokens", "4", "--temperature", "0.5")
        except Unexpected:
            return None
    wait_until("chats are answered again", answered, 10)
    return (f"{before} pieces had come; the stream was cut after {stream.pieces}\n"
            f"with the rule back: answered")


@step("Identities, metrics and access log of all of it",
      "an identity per service account, Istio's metrics from both sides, a log line per request")
def seen(node):
    identities = node.run("get", "identities").stdout.rstrip()
    for account in ("gateway-sa", "model-server-sa", "sanitizer-sa", "client-sa"):
        expect(account in identities, f"no identity of {account}:\n{identities}")
    text = node.run("metrics").stdout
    lines = []
    for reporter in ("source", "destination"):
        found = [l for l in text.splitlines() if l.startswith("istio_requests_total{")
                 and f'reporter="{reporter}"' in l and 'response_code="200"' in l
                 and 'destination_workload="model-server"' in l]
        expect(found, f"no istio_requests_total of the {reporter}")
        lines.append(re.sub(r'[a-z_]*="(unknown|latest|Kubernetes|-|)",?', "", found[0]))
    status = node.run("status").stdout.rstrip()
    return "\n".join([identities, *lines, status])


STEPS = [admin_endpoints, spellings, compromised, stolen_server, wires, edited, seen]
