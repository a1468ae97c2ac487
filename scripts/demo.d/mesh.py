"""What the steps about gate 2 need: certificates as somebody would make them who has stolen or forged
one, a compromised pod, and a capture of the wires."""

import base64
import os
import subprocess

from node import replace_file, wait_until
from step import expect

# A pod with the gateway's labels and account, whose owner has become root with NET_ADMIN. It is
# never ready, so that no Service leads to it.
POD = """apiVersion: v1
kind: Pod
metadata: {{name: {name}, namespace: {namespace}, labels: {{app: {app}}}}}
spec:
  serviceAccountName: {account}
  terminationGracePeriodSeconds: 1
  containers:
    - name: shell
      image: debian:12
      command: [sleep, infinity]
      env:
        - {{name: PYTHONDONTWRITEBYTECODE, value: "1"}}
      securityContext:
        capabilities: {{add: [NET_ADMIN]}}
      readinessProbe:
        exec: {{command: ["false"]}}
"""


class CompromisedPod:
    """Added to the manifests for a while; switches its interception off where asked to."""

    def __init__(self, node, name, namespace, app, account):
        self.node, self.key = node, f"{namespace}/{name}"
        self.path = os.path.join(node.manifests, f"compromised-{name}.yaml")
        replace_file(self.path, POD.format(name=name, namespace=namespace, app=app, account=account))

    def __enter__(self):
        def running():
            return self.node.execute(self.key, "true", check=False).returncode == 0
        wait_until(f"{self.key} runs", running, 20)
        return self

    def __exit__(self, *_):
        os.unlink(self.path)

    def switch_interception_off(self):
        before = self.node.execute(self.key, "/usr/sbin/nft", "list", "ruleset").stdout
        expect("redirect" in before, f"nothing to switch off: {before}")
        self.node.execute(self.key, "/usr/sbin/nft", "flush", "ruleset")

    def put(self, path, content):
        encoded = base64.b64encode(content).decode()
        self.node.execute(self.key, "/bin/sh", "-c", f"echo {encoded} | base64 -d > {path}")

    @property
    def address(self):
        for pod in self.node.pods():
            if f"{pod['metadata']['namespace']}/{pod['metadata']['name']}" == self.key:
                return pod["status"]["podIPs"][0]["ip"]
        return None


def certificate(work, identity, authority=None):
    """Certificate and key (PEM) for a SPIFFE ID: signed by the authority's (certificate, key) files,
    or by itself."""
    key, request, made, extensions = (os.path.join(work, f"forged.{end}")
                                      for end in ("key", "csr", "crt", "ext"))
    with open(extensions, "w", encoding="utf-8") as f:
        f.write(f"subjectAltName=critical,URI:{identity}\nkeyUsage=critical,digitalSignature\n"
                "extendedKeyUsage=serverAuth,clientAuth\nbasicConstraints=critical,CA:FALSE\n")

    def openssl(*words):
        done = subprocess.run(["openssl", *words], capture_output=True, text=True, check=False)
        expect(done.returncode == 0, f"openssl {words[0]}: {done.stderr}")
    openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", key)
    openssl("req", "-new", "-key", key, "-subj", "/CN=x", "-out", request)
    signer = ["-CA", authority[0], "-CAkey", authority[1], "-CAcreateserial", "-CAserial",
              os.path.join(work, "forged.srl")] if authority else ["-signkey", key]
    openssl("x509", "-req", "-in", request, "-days", "1", "-sha256", "-extfile", extensions, *signer,
            "-out", made)
    with open(made, "rb") as c, open(key, "rb") as k:
        return c.read() + k.read()


CAPTURE = r"""
import socket, sys, time
wanted = [w.encode() for w in sys.argv[2:]]
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
s.settimeout(0.2)
print("capturing", flush=True)
end, seen, packets, size = time.monotonic() + float(sys.argv[1]), set(), 0, 0
tails = {}
while time.monotonic() < end:
    try:
        data = s.recv(65536)
    except TimeoutError:
        continue
    packets += 1
    size += len(data)
    seen |= {w for w in wanted if w in data}
print(packets, size, *[w.decode() for w in sorted(seen)], sep="|")
"""


class Capture:
    """Everything that passes the node's side of all wires, searched for words."""

    def __init__(self, node, seconds, *words):
        namespace = os.path.join(node.runtime_state, "netns", "node")
        self.process = subprocess.Popen(
            ["nsenter", f"--net={namespace}", "/usr/bin/python3", "-c", CAPTURE, str(seconds), *words],
            stdout=subprocess.PIPE, text=True)
        expect(self.process.stdout.readline().strip() == "capturing", "the capture did not start")

    def result(self):
        """(packets, bytes, the words that were seen)"""
        line = self.process.stdout.read().strip()
        expect(self.process.wait(10) == 0, "the capture failed")
        packets, size, *seen = line.split("|")
        return int(packets), int(size), [w for w in seen if w]
