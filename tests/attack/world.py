"""The world under attack: an origin behind a policy, a meshed attacker, one outside of the mesh."""
import base64
import json
import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "e2e"))

from harness import SOURCE, Node  # noqa: E402

PROGRAMS = SOURCE / "tests/attack/programs"
ALLOWED = ("/v1/models", "/v1/completions", "/v1/chat/completions", "/public/big", "/public/a")
HOST = "origin.shop"
ATTACKERS = ("shop/attacker", "street/outsider")


def pod(ns, name, command, more=""):
    return f"""
apiVersion: v1
kind: Pod
metadata: {{name: {name}, namespace: {ns}, labels: {{app: {name}}}}}
spec:
  serviceAccountName: {name}
  terminationGracePeriodSeconds: 1
  containers:
    - name: main
      image: python
      command: {json.dumps(command)}
{more}
---
apiVersion: v1
kind: ServiceAccount
metadata: {{name: {name}, namespace: {ns}}}
---
"""


SLEEP = ["/usr/bin/sleep", "86400"]
MANIFEST = """
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {sallyport.dev/mesh: enabled}}
---
apiVersion: v1
kind: Namespace
metadata: {name: street}
---
""" + pod("shop", "origin", ["/usr/bin/python3", "/opt/attack/origin.py"], """
      ports: [{name: http, containerPort: 8080}]
      readinessProbe: {tcpSocket: {port: http}, periodSeconds: 1}
""") + pod("shop", "attacker", SLEEP) + pod("shop", "innocent", SLEEP) + pod(
    "street", "outsider", SLEEP) + """
apiVersion: v1
kind: Service
metadata: {name: origin, namespace: shop}
spec:
  selector: {app: origin}
  ports: [{name: http, port: 80, targetPort: http}]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: origin-paths, namespace: shop}
spec:
  selector: {matchLabels: {app: origin}}
  action: ALLOW
  rules:
    - to:
        - operation:
            methods: [GET, POST, HEAD, PUT]
            paths: [/v1/models, /v1/completions, /v1/chat/completions, "/public/*"]
"""


class Arena:
    """A running node with the world, and what the tests ask of it."""

    def __init__(self, name, *options):
        self.cases = pathlib.Path(tempfile.mkdtemp(prefix="sallyport-attack-"))
        self.cases.chmod(0o755)
        self.node = Node(name, {"world.yaml": MANIFEST}, "--expose", f"{PROGRAMS}:/opt/attack",
                         "--expose", f"{self.cases}:/opt/cases", *options)
        try:
            self.node.start()
        except BaseException:
            self.stop()
            raise
        self.pod_address = self.node.address("shop", "origin")

    def stop(self):
        self.node.stop()
        for file in self.cases.iterdir():
            file.unlink()
        self.cases.rmdir()

    def target(self, attacker):
        """Where this attacker knocks: the meshed one at the Service, through two proxies; the one
        outside at the pod itself, straight at the inbound proxy in plaintext."""
        return (HOST, "80") if attacker.startswith("shop/") else (self.pod_address, "8080")

    def python(self, pod_name, program, *words, timeout=120):
        done = self.node.exec(pod_name, "/usr/bin/python3", f"/opt/attack/{program}", *words,
                              timeout=timeout)
        if done.returncode != 0:
            raise AssertionError(f"{pod_name}: {program} {' '.join(words)} ended with "
                                 f"{done.returncode}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
        return done.stdout

    def play(self, attacker, cases, timeout=240):
        """Sends raw cases; the results by case id."""
        file = self.cases / f"{attacker.replace('/', '-')}.json"
        file.write_text(json.dumps(cases))
        out = self.python(attacker, "attacker.py", f"/opt/cases/{file.name}",
                          *self.target(attacker), timeout=timeout)
        results = {}
        for result in json.loads(out):
            result["response"] = base64.b64decode(result["response"])
            results[result["id"]] = result
        return results

    def play_http2(self, attacker, cases, timeout=240):
        file = self.cases / f"{attacker.replace('/', '-')}-h2.json"
        file.write_text(json.dumps(cases))
        out = self.python(attacker, "http2_cases.py", f"/opt/cases/{file.name}",
                          *self.target(attacker), timeout=timeout)
        return {result["id"]: result for result in json.loads(out)}

    def recorded(self):
        """The bytes of each connection that the origin has seen."""
        dump = json.loads(self.python("shop/origin", "take.py"))
        if dump["dropped"]:
            raise AssertionError(f"the origin could not keep {dump['dropped']} bytes")
        return [base64.b64decode(data) for data in dump["streams"].values()]

    def innocent(self, seconds):
        return json.loads(self.python("shop/innocent", "innocent.py", HOST, "80", str(seconds),
                                      timeout=seconds + 90))

    def proxies(self):
        """Process ids of the proxies of this node."""
        found = []
        for entry in pathlib.Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            if parent == self.node.process.pid and b"proxy" in words:
                found.append(int(entry.name))
        return sorted(found)

    def resident(self):
        """MiB of the largest proxy process."""
        most = 0
        for pid in self.proxies():
            for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
                if line.startswith("VmRSS:"):
                    most = max(most, int(line.split()[1]) / 1024)
        return most


def case(number, *sends, **more):
    """A raw case: each of `sends` is bytes, or (bytes, seconds to wait after)."""
    steps = []
    for send in sends:
        data, pause = send if isinstance(send, tuple) else (send, 0)
        steps.append([base64.b64encode(data).decode(), pause])
    return {"id": number, "sends": steps, **more}


def statuses(response):
    """The status codes of the HTTP/1 answers in these bytes, in order."""
    found = []
    rest = response
    while rest.startswith(b"HTTP/1."):
        head, mark, rest = rest.partition(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        code = int(lines[0].split(b" ")[1])
        found.append(code)
        if not mark:
            break
        length, chunked = 0, False
        for line in lines[1:]:
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
            if name.lower() == b"transfer-encoding":
                chunked = True
        if chunked:
            _, _, rest = rest.partition(b"0\r\n\r\n")
        elif code >= 200 and code not in (204, 304):
            rest = rest[length:]
    return found
