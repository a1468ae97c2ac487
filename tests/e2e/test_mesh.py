"""Gate 2 on a running node: who is meshed, what that changes on the wire, and what happens when a
part of it goes away."""
import json
import os
import pathlib
import signal
import subprocess
import time
import unittest
import urllib.request

from harness import BINARY, Node, NodeTest, cli, eventually, leftovers
from worlds import indent

SERVER = r"""
import http.server, socket, socketserver, sys, threading
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        body = ("%s %s peer=%s xfcc=%s\n" % (sys.argv[1], self.path, self.client_address[0],
                self.headers.get("x-forwarded-client-cert", "-"))).encode()
        self.send_response(200); self.send_header("Content-Length", str(len(body)))
        self.end_headers(); self.wfile.write(body)
    def log_message(self, *args): pass
class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6
    request_queue_size = 256
class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        while data := self.request.recv(65536):
            self.request.sendall(data)
class Tcp(socketserver.ThreadingTCPServer):
    address_family = socket.AF_INET6
    allow_reuse_address = True
    request_queue_size = 256
for port in (9000, 9999):
    threading.Thread(target=Tcp(("::", port), Echo).serve_forever, daemon=True).start()
Server(("::", 8080), Handler).serve_forever()
"""

# One line of JSON: what came of it, and how long it took.
CLIENT = r"""
import json, socket, sys, time, urllib.request
kind, target = sys.argv[1], sys.argv[2]
began = time.monotonic()
out = {}
try:
    if kind == "http":
        with urllib.request.urlopen(target, timeout=8) as answer:
            out = {"status": answer.status, "body": answer.read().decode()}
    else:
        host, port = target.rsplit(":", 1)
        with socket.create_connection((host.strip("[]"), int(port)), timeout=8) as s:
            s.settimeout(8)
            s.sendall(b"hello over there")
            got = b""
            while len(got) < 16:
                piece = s.recv(100)
                if not piece: break
                got += piece
            out = {"echo": got.decode()}
except urllib.error.HTTPError as e:
    out = {"status": e.code, "body": e.read().decode()}
except OSError as e:
    out = {"error": str(e)}
out["seconds"] = time.monotonic() - began
print(json.dumps(out))
"""

# Keep-alive HTTP until it is told to stop; one line with what failed.
LOAD = r"""
import http.client, json, sys, time
failed, done = [], 0
end = time.monotonic() + float(sys.argv[2])
while time.monotonic() < end:
    connection = http.client.HTTPConnection(sys.argv[1], 8080, timeout=10)
    try:
        for _ in range(200):
            connection.request("GET", "/load")
            answer = connection.getresponse()
            answer.read()
            done += 1
            if answer.status != 200: failed.append("status %d" % answer.status)
            if time.monotonic() > end: break
            time.sleep(0.002)
    except Exception as e:
        failed.append(repr(e))
        time.sleep(0.01)
    connection.close()
print(json.dumps({"done": done, "failed": failed[:20], "failures": len(failed)}))
"""


def pod(ns, name, **more):
    annotations = more.get("annotations", {})
    command = more.get("command", ["/usr/bin/python3", "/programs/server.py", name])
    ready = "" if "command" in more else """
      readinessProbe: {httpGet: {port: 8080, path: /ready}, periodSeconds: 1}
      ports:
        - {name: http, containerPort: 8080}
        - {name: udp, containerPort: 8081, protocol: UDP}"""
    return f"""---
apiVersion: v1
kind: Pod
metadata:
  name: {name}
  namespace: {ns}
  labels: {{app: {name}}}
  annotations: {json.dumps(annotations)}
spec:
  serviceAccountName: {name}-sa
  terminationGracePeriodSeconds: 1
  containers:
    - name: main
      image: debian:12
      command: {json.dumps(command)}
      env: [{{name: PYTHONDONTWRITEBYTECODE, value: "1"}}]
      volumeMounts: [{{name: programs, mountPath: /programs}}]{ready}
  volumes: [{{name: programs, configMap: {{name: programs}}}}]
---
apiVersion: v1
kind: ServiceAccount
metadata: {{name: {name}-sa, namespace: {ns}}}
"""


def service(ns, name, app, headless=False):
    return f"""---
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: {ns}}}
spec:
  selector: {{app: {app}}}
{"  clusterIP: None" if headless else ""}
  ports:
    - {{name: http, port: 8080}}
    - {{name: tcp-echo, port: 9000}}
    - {{name: tcp-excluded, port: 9999}}
"""


def namespace(name, labels):
    return f"""---
apiVersion: v1
kind: Namespace
metadata: {{name: {name}, labels: {json.dumps(labels)}}}
---
apiVersion: v1
kind: ConfigMap
metadata: {{name: programs, namespace: {name}}}
data:
  server.py: |
{indent(SERVER, 4)}
  client.py: |
{indent(CLIENT, 4)}
  load.py: |
{indent(LOAD, 4)}
"""


IDLE = ["sleep", "infinity"]
WORLD = (namespace("shop", {"sallyport.dev/mesh": "enabled"}) + namespace("street", {})
         + pod("shop", "server",
               annotations={"traffic.sidecar.istio.io/excludeInboundPorts": "9999"})
         + pod("shop", "client", command=IDLE)
         + pod("shop", "other", command=IDLE,
               annotations={"traffic.sidecar.istio.io/excludeOutboundPorts": "9000"})
         + pod("street", "stranger", command=IDLE)
         + service("shop", "server", "server")
         + service("shop", "server-headless", "server", headless=True))

STRICT = """
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: strict, namespace: shop}
spec: {mtls: {mode: STRICT}}
"""

ONLY_CLIENT = """
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: only-client, namespace: shop}
spec:
  selector: {matchLabels: {app: server}}
  rules:
    - from: [{source: {principals: [cluster.local/ns/shop/sa/client-sa]}}]
      to: [{operation: {ports: ["8080", "9000"]}}]
"""

ALL = """
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: all, namespace: shop}
spec:
  selector: {matchLabels: {app: server}}
  rules: [{}]
"""

NOTHING = "# nothing\n"

SETTINGS = """
apiVersion: v1
kind: Namespace
metadata: {name: istio-system}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data:
  mesh: |
    accessLogFile: /dev/stdout
    accessLogEncoding: JSON
"""


def proxies(node):
    return {p["group"]: p for p in node.status()["mesh"]["proxies"]}


class MeshTest(NodeTest):
    def call(self, pod, kind, target):
        done = self.node.exec(pod, "/usr/bin/python3", "/programs/client.py", kind, target)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return json.loads(done.stdout)

    def http(self, pod, host="server.shop.svc.cluster.local", path="/x"):
        return self.call(pod, "http", f"http://{host}:8080{path}")

    def echo(self, pod, host="server.shop.svc.cluster.local", port=9000):
        return self.call(pod, "tcp", f"{host}:{port}")

    def served(self, answer, path="/x"):
        self.assertEqual(answer.get("status"), 200, answer)
        self.assertIn(f"server {path}", answer["body"])

    def write(self, file, text):
        """Writes it and waits until proxies have what follows from it."""
        before = self.node.status()["mesh"]["proxies"]
        self.node.write(file, text)

        def taken():
            status = self.node.status()
            now = status["mesh"]["proxies"]
            return (not status["rejectedChange"]
                    and all(p["generation"] == p["wantedGeneration"] for p in now)
                    and now[0]["generation"] > before[0]["generation"])
        eventually(self, taken, 20, "the change")


class Mesh(MeshTest):
    NAME = "e2e-mesh"
    MANIFESTS = {"world.yaml": WORLD, "peer.yaml": NOTHING + STRICT.replace("STRICT", "PERMISSIVE"),
                 "authz.yaml": ALL, "settings.yaml": SETTINGS}

    def test_01_status_and_identities(self):
        status = self.node.status()["mesh"]
        pods = {p["namespace"] + "/" + p["name"]: p for p in status["pods"]}
        self.assertEqual({k for k, p in pods.items() if p["meshed"]},
                         {"shop/server", "shop/client", "shop/other"})
        server = pods["shop/server"]
        self.assertEqual(server["identity"], "spiffe://cluster.local/ns/shop/sa/server-sa")
        self.assertEqual(server["mode"], "PERMISSIVE")
        self.assertEqual(server["excludedInboundPorts"], [9999])
        self.assertGreater(server["generation"], 0)
        self.assertNotIn("problem", server)
        proxy = proxies(self.node)["node"]
        fields = dict(line.split(":\t", 1) for line in
                      pathlib.Path(f"/proc/{proxy['pid']}/status").read_text().splitlines()
                      if ":\t" in line)
        self.assertEqual(fields["Uid"].split(), ["64001"] * 4)
        self.assertEqual(fields["CapEff"].strip("0"), "")
        self.assertEqual(fields["Seccomp"], "2")
        self.assertEqual(fields["NoNewPrivs"], "1")
        listed = json.loads(self.node.run("get", "identities", "-o", "json", check=True).stdout)
        by_id = {i["spiffeId"]: i for i in listed["items"]}
        self.assertEqual(set(by_id), {f"spiffe://cluster.local/ns/shop/sa/{n}-sa"
                                      for n in ("server", "client", "other")})
        mine = by_id["spiffe://cluster.local/ns/shop/sa/server-sa"]
        self.assertEqual(mine["pods"], ["shop/server"])
        self.assertLess(mine["notBefore"], mine["nextRenewal"])
        self.assertLess(mine["nextRenewal"], mine["notAfter"])
        self.assertIn("shop/server", self.node.run("get", "identities", check=True).stdout)
        self.assertIn("gate 2", self.node.run("status", check=True).stdout)
        key = pathlib.Path(f"/var/lib/sallyport/{self.NAME}/ca.key")
        self.assertEqual(key.stat().st_mode & 0o777, 0o600)

    def test_02_http_and_its_flows(self):
        answer = self.http("shop/client", path="/one")
        self.served(answer, "/one")
        # The application sees the client's address, and who it is.
        addresses = [self.node.address("shop", "client", f) for f in (4, 6)]
        self.assertTrue([a for a in addresses if f"peer={a} " in answer["body"]
                         or f"peer=::ffff:{a} " in answer["body"]], answer)
        self.assertIn("spiffe://cluster.local/ns/shop/sa/client-sa", answer["body"])

        def both():
            flows = [f for f in self.node.flows("--to", "shop/server")
                     if f.get("mesh", {}).get("path") == "/one"]
            return {f["mesh"]["reporter"]: f for f in flows}
        flows = eventually(self, lambda: len(both()) == 2 and both(), what="both reports")
        for flow in flows.values():
            self.assertEqual(flow["source"]["pod"], "client")
            self.assertEqual(flow["destination"]["pod"], "server")
            self.assertEqual(flow["mesh"]["tls"]["version"], "TLSv1.3")
            self.assertEqual(flow["mesh"]["tls"]["group"], "X25519MLKEM768")
            self.assertEqual(flow["mesh"]["status"], 200)
        self.assertEqual(flows["destination"]["mesh"]["peer"],
                         "spiffe://cluster.local/ns/shop/sa/client-sa")
        self.assertEqual(flows["destination"]["mesh"]["policy"], "shop/all")
        # Gate 1's events are in the same stream.
        self.assertTrue([f for f in self.node.flows("--to", "shop/server") if "mesh" not in f])
        self.assertIn("/one", self.node.run("flows", "--to", "shop/server", check=True).stdout)

    def test_03_tcp_by_every_way(self):
        server4, server6 = (self.node.address("shop", "server", f) for f in (4, 6))
        for host in ("server.shop.svc.cluster.local", "server-headless.shop.svc.cluster.local",
                     server4, server6):
            self.assertEqual(self.echo("shop/client", host).get("echo"), "hello over there", host)
            self.served(self.http("shop/client", f"[{host}]" if ":" in host else host))

    def test_04_a_service_that_leads_back(self):
        answer = self.http("shop/server", path="/self")
        self.served(answer, "/self")
        self.assertEqual(self.echo("shop/server").get("echo"), "hello over there")

    def test_05_plaintext_of_a_stranger(self):
        self.served(self.http("street/stranger"))
        self.assertEqual(self.echo("street/stranger").get("echo"), "hello over there")
        self.write("peer.yaml", STRICT)
        try:
            self.assertIn("error", self.http("street/stranger"))
            self.assertIn("error", self.echo("street/stranger"))
            self.served(self.http("shop/client"))
            self.assertEqual(self.echo("shop/client").get("echo"), "hello over there")
            # Excluded ports are not demanded; they are listed, as is UDP.
            self.assertEqual(self.echo("street/stranger", port=9999).get("echo"),
                             "hello over there")
            rows = {p["name"]: p for p in self.node.status()["mesh"]["pods"]}
            self.assertEqual(rows["other"]["excludedOutboundPorts"], [9000])
            self.served(self.http("shop/other"))
            self.assertIn("error", self.echo("shop/other"), "its own exclusion sends plaintext")
            self.assertEqual(rows["server"]["mode"], "STRICT")
            self.assertEqual(rows["server"]["plaintextUdpPorts"], [8081])
            self.assertIn("UDP 8081 is plaintext", self.node.run("status", check=True).stdout)
            named = [f for f in self.node.flows("--from", "street/")
                     if f.get("peerAuthentication") == "shop/strict"]
            self.assertTrue(named, self.node.flows("--from", "street/")[-3:])
            # A forwarded port leads to the application: it is the operator's, not a pod's.
            forward = subprocess.Popen(
                [BINARY, "port-forward", "shop/server", "0:8080", "--name", self.NAME],
                stdout=subprocess.PIPE, text=True)
            try:
                port = int(forward.stdout.readline().split("127.0.0.1:")[1].split()[0])
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/forwarded", timeout=8) as a:
                    self.assertIn(b"server /forwarded", a.read())
            finally:
                forward.kill()
                forward.wait()
                forward.stdout.close()
            # The node's probes pass.
            time.sleep(2.5)
            self.assertTrue(self.node.status()["ready"])
        finally:
            self.write("peer.yaml", NOTHING)
        self.served(self.http("street/stranger"))

    def test_06_policy_by_identity(self):
        self.write("authz.yaml", ONLY_CLIENT)
        try:
            self.served(self.http("shop/client"))
            denied = self.http("shop/other")
            self.assertEqual(denied.get("status"), 403)
            self.assertEqual(denied["body"], "RBAC: access denied")
            self.assertNotEqual(self.echo("shop/other").get("echo"), "hello over there")
            self.assertEqual(self.echo("shop/client").get("echo"), "hello over there")
        finally:
            self.write("authz.yaml", NOTHING)
        self.served(self.http("shop/other"))

    def test_07_metrics_of_both_gates(self):
        self.served(self.http("shop/client", path="/metrics-please"), "/metrics-please")
        text = self.node.run("metrics", check=True).stdout
        self.assertIn("sallyport_verdicts_total", text)
        self.assertIn("sallyport_mesh_members 3", text)
        total = [line for line in text.splitlines() if line.startswith("istio_requests_total{")]
        self.assertTrue([line for line in total if 'reporter="destination"' in line], text[-2000:])
        self.assertTrue([line for line in total if 'reporter="source"' in line], total)

    def test_08_a_killed_proxy_comes_back_and_nothing_leaks(self):
        pid = proxies(self.node)["node"]["pid"]
        watcher = subprocess.Popen(
            [BINARY, "exec", "--name", self.NAME, "shop/client", "--", "/usr/bin/python3",
             "/programs/load.py", "server.shop.svc.cluster.local", "6"],
            stdout=subprocess.PIPE, text=True)
        time.sleep(1)
        os.kill(pid, signal.SIGKILL)
        began = time.monotonic()
        eventually(self, lambda: proxies(self.node)["node"]["pid"] not in (0, pid), 5, "a new proxy")
        self.assertLess(time.monotonic() - began, 2.5)
        eventually(self, lambda: self.http("shop/client").get("status") == 200, 15, "service")
        self.assertGreater(json.loads(watcher.communicate(timeout=60)[0])["done"], 10)
        self.assertEqual(proxies(self.node)["node"]["restarts"], 1)
        # Whatever reached the server came by mutual TLS or through its proxy: gate 1 saw no
        # connection whose payload was plaintext between the two.
        plain = [f for f in self.node.flows("--from", "shop/client", "--to", "shop/server")
                 if "mesh" not in f and f.get("tls") == "plaintext"]
        self.assertEqual(plain, [])

    def test_08_access_log(self):
        self.served(self.http("shop/client", path="/logged"), "/logged")
        path = pathlib.Path(self.node.status()["mesh"]["accessLog"])

        def line():
            for text in path.read_text().splitlines():
                entry = json.loads(text)
                if entry["path"] == "/logged":
                    return entry
        entry = eventually(self, line, 10, "a line")
        self.assertEqual(entry["method"], "GET")
        self.assertEqual(str(entry["response_code"]), "200")

    def test_09_what_a_pod_does_first_is_intercepted_already(self):
        """Interception, proxy and certificate are there before its first process."""
        command = ["/bin/sh", "-c", "/usr/bin/python3 /programs/client.py http "
                   "http://server.shop.svc.cluster.local:8080/first; exec sleep infinity"]
        self.node.write("extra.yaml", pod("shop", "early", command=command))
        try:
            text = eventually(self, lambda: self.node.run("logs", "shop/early").stdout, 30, "output")
            answer = json.loads(text)
            self.served(answer, "/first")
            self.assertIn("URI=spiffe://cluster.local/ns/shop/sa/early-sa", answer["body"])
        finally:
            self.node.write("extra.yaml", NOTHING)
        eventually(self, lambda: self.node.status()["pods"] == 5, 30, "its end")

    def test_09_a_pod_joins_and_leaves(self):
        joined = WORLD.replace('"name": "street", "labels": {}', "")
        joined = joined.replace('{name: street, labels: {}}',
                                '{name: street, labels: {sallyport.dev/mesh: enabled}}')
        self.assertNotEqual(joined, WORLD)
        self.write("world.yaml", joined)
        rows = {p["name"]: p for p in self.node.status()["mesh"]["pods"]}
        self.assertTrue(rows["stranger"]["meshed"])
        self.assertIn("street/sa/stranger-sa", self.http("street/stranger")["body"])
        self.write("world.yaml", WORLD)
        eventually(self, lambda: "xfcc=-" in self.http("street/stranger").get("body", ""),
                   what="plaintext again")

    def test_10_takeover(self):
        """The proxies outlive the node process: traffic goes on without it, and under the next."""
        old = proxies(self.node)["node"]["pid"]
        done = self.node.exec("shop/client", "/bin/sh", "-c",
                              "setsid /usr/bin/python3 /programs/load.py "
                              "server.shop.svc.cluster.local 8 > /tmp/load 2>&1 &")
        self.assertEqual(done.returncode, 0, done.stderr)
        time.sleep(1)
        self.node.kill()
        time.sleep(2)
        self.node.start()
        self.assertTrue(self.node.status()["tookOver"])
        self.assertEqual(proxies(self.node)["node"]["pid"], old)
        self.served(self.http("shop/client"))
        self.assertEqual(self.echo("shop/client").get("echo"), "hello over there")

        def result():
            text = self.node.exec("shop/client", "/bin/cat", "/tmp/load").stdout
            return json.loads(text) if text else None
        load = eventually(self, result, 30, "the end of the load")
        self.assertEqual(load["failed"], [], load)
        self.assertGreater(load["done"], 100)
        # Of a dead proxy nothing can be taken over: another one is started, with new sockets.
        self.node.kill()
        os.kill(old, signal.SIGKILL)
        self.node.start()
        self.assertNotIn(proxies(self.node)["node"]["pid"], (0, old))
        eventually(self, lambda: self.http("shop/client").get("status") == 200, 20, "service")
        self.write("peer.yaml", STRICT)
        self.served(self.http("shop/client"))
        self.assertIn("error", self.http("street/stranger"))

    def test_11_nothing_is_left_of_pods_that_come_and_go(self):
        node, pid = self.node, proxies(self.node)["node"]["pid"]

        def counts():
            return [len(os.listdir(f"/proc/{p}/fd")) for p in (node.process.pid, pid)]
        more = "".join(pod("shop", f"extra{i}", command=IDLE) for i in range(20))
        seen = []
        for round in range(3):
            node.write("extra.yaml", more)
            eventually(self, lambda: node.status()["podsReady"] == 25 and node.status()["ready"], 60,
                       "more pods")
            node.write("extra.yaml", NOTHING)
            eventually(self, lambda: node.status()["pods"] == 5 and node.status()["ready"], 60,
                       "fewer pods")
            listed = json.loads(node.run("get", "identities", "-o", "json", check=True).stdout)
            self.assertEqual(len(listed["items"]), 3)
            time.sleep(1)
            seen.append(counts())
        # The first round may warm things up; from then on nothing grows.
        for before, after in zip(seen[1], seen[2]):
            self.assertLessEqual(after, before + 8, seen)


class Rotation(MeshTest):
    NAME = "e2e-mesh-rot"
    MANIFESTS = {"world.yaml": WORLD, "peer.yaml": STRICT}
    OPTIONS = ("--svid-ttl", "10s", "--isolation", "pod", "--proxy-workers", "1")

    def serials(self):
        listed = json.loads(self.node.run("get", "identities", "-o", "json", check=True).stdout)
        return {i["spiffeId"]: i["serial"] for i in listed["items"]}

    def test_renewed_under_load_without_a_failed_request(self):
        self.assertEqual(set(proxies(self.node)),
                         {"pod/shop/server", "pod/shop/client", "pod/shop/other"})
        before = self.serials()
        done = self.node.exec("shop/client", "/usr/bin/python3", "/programs/load.py",
                              "server.shop.svc.cluster.local", "26", timeout=90)
        result = json.loads(done.stdout)
        self.assertEqual(result["failed"], [], result)
        self.assertGreater(result["done"], 500)
        after = self.serials()
        self.assertEqual(set(before), set(after))
        for name, serial in after.items():
            self.assertNotEqual(serial, before[name])
        for item in json.loads(self.node.run("get", "identities", "-o", "json").stdout)["items"]:
            self.assertGreaterEqual(item["issued"], 5)


class Down(unittest.TestCase):
    def test_down_ends_the_proxies_that_a_killed_node_left(self):
        before = leftovers("e2e-mesh-down")[0]
        node = Node("e2e-mesh-down", {"world.yaml": WORLD})
        try:
            node.start()
            pid = proxies(node)["node"]["pid"]
            node.kill()
            self.assertTrue(pathlib.Path(f"/proc/{pid}/cmdline").read_bytes())
        finally:
            node.stop()
        gone = pathlib.Path(f"/proc/{pid}/cmdline")
        self.assertTrue(not gone.exists() or not gone.read_bytes())
        self.assertEqual(leftovers("e2e-mesh-down")[0], before)


class Plain(unittest.TestCase):
    def test_without_a_meshed_pod_there_is_no_proxy(self):
        before = leftovers("e2e-plain")[0]
        node = Node("e2e-plain", {"world.yaml": namespace("street", {})
                                  + pod("street", "stranger", command=IDLE)})
        try:
            node.start()
            status = node.status()["mesh"]
            self.assertEqual(status["proxies"], [])
            self.assertFalse(pathlib.Path("/var/lib/sallyport/e2e-plain/ca.key").exists())
            self.assertNotIn("sallyport_mesh", node.run("metrics", check=True).stdout)
            self.assertNotIn("gate 2", node.run("status", check=True).stdout)
            self.assertIn("no pod is in the mesh", node.run("get", "identities").stderr)
        finally:
            node.stop()
        self.assertEqual(leftovers("e2e-plain")[0], before)


if __name__ == "__main__":
    unittest.main()
