"""Istio's metrics as a real Prometheus sees them: the queries of Istio's dashboards give the numbers
that the traffic had."""
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import time
import unittest
import urllib.parse

from harness import NodeTest, eventually
from worlds import indent

SERVER = r"""
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        status = 500 if self.path == "/broken" else 200
        self.send_response(status)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(b"x" * 1000)
    def log_message(self, *_): pass
class Server(http.server.ThreadingHTTPServer):
    address_family = __import__("socket").AF_INET6
Server(("::", 8080), Handler).serve_forever()
"""

MANIFESTS = {"world.yaml": f"""apiVersion: v1
kind: Namespace
metadata: {{name: shop, labels: {{sallyport.dev/mesh: enabled}}}}
---
apiVersion: v1
kind: ServiceAccount
metadata: {{name: web-sa, namespace: shop}}
---
apiVersion: v1
kind: ServiceAccount
metadata: {{name: client-sa, namespace: shop}}
---
apiVersion: v1
kind: ConfigMap
metadata: {{name: program, namespace: shop}}
data:
  server.py: |
{indent(SERVER, 4)}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web, namespace: shop}}
spec:
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web, version: v1}}}}
    spec:
      serviceAccountName: web-sa
      terminationGracePeriodSeconds: 1
      containers:
        - name: main
          image: python
          command: [/usr/bin/python3, /program/server.py]
          volumeMounts: [{{name: program, mountPath: /program}}]
          readinessProbe: {{tcpSocket: {{port: 8080}}, periodSeconds: 1}}
      volumes: [{{name: program, configMap: {{name: program}}}}]
---
apiVersion: v1
kind: Service
metadata: {{name: web, namespace: shop}}
spec:
  selector: {{app: web}}
  ports: [{{name: http, port: 80, targetPort: 8080}}]
---
apiVersion: v1
kind: Pod
metadata: {{name: client, namespace: shop, labels: {{app: client}}}}
spec:
  serviceAccountName: client-sa
  terminationGracePeriodSeconds: 1
  containers: [{{name: main, image: debian, command: [sleep, infinity]}}]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {{name: no-admin, namespace: shop}}
spec:
  selector: {{matchLabels: {{app: web}}}}
  action: DENY
  rules: [{{to: [{{operation: {{paths: [/admin]}}}}]}}]
"""}


class Metrics(NodeTest):
    NAME = "e2e-mesh-metrics"
    MANIFESTS = MANIFESTS

    def setUp(self):
        super().setUp()
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="sallyport-prometheus-"))
        self.addCleanup(shutil.rmtree, self.dir, True)
        (self.dir / "prometheus.yml").write_text(json.dumps({
            "global": {"scrape_interval": "1s"},
            "scrape_configs": [{"job_name": "node", "static_configs": [
                {"targets": ["198.19.255.1:9090"]}]}]}))
        self.netns = f"/run/sallyport/{self.NAME}/netns/node"
        log = open(self.dir / "log", "wb")
        self.addCleanup(log.close)
        self.prometheus = subprocess.Popen(
            ["nsenter", f"--net={self.netns}", "prometheus", f"--config.file={self.dir}/prometheus.yml",
             f"--storage.tsdb.path={self.dir}/data", "--web.listen-address=127.0.0.1:19099"],
            stdout=log, stderr=subprocess.STDOUT)
        self.addCleanup(self.prometheus.wait)
        self.addCleanup(self.prometheus.kill)

    def query(self, text):
        """{labels that the query kept: number}"""
        url = "http://127.0.0.1:19099/api/v1/query?" + urllib.parse.urlencode({"query": text})
        done = subprocess.run(["nsenter", f"--net={self.netns}", "curl", "-sS", "-m", "5", url],
                              capture_output=True, text=True, timeout=10)
        self.assertEqual(done.returncode, 0, done.stderr)
        answer = json.loads(done.stdout)
        self.assertEqual(answer["status"], "success", answer)
        return {tuple(sorted(r["metric"].items())): float(r["value"][1])
                for r in answer["data"]["result"]}

    def one(self, text):
        found = self.query(text)
        self.assertEqual(len(found), 1, f"{text}: {found}")
        return next(iter(found.values()))

    def get(self, path, times):
        done = self.node.exec("shop/client", "/bin/sh", "-c",
                              f"for i in $(seq {times}); do curl -sS -o /dev/null -m 5 "
                              f"-w '%{{http_code}}\\n' http://web.shop{path}; done", timeout=60)
        return done.stdout.split()

    def test_the_dashboards_queries_give_the_traffic(self):
        # One request first: a counter must be seen before it can be seen to rise.
        self.assertEqual(self.get("/", 1), ["200"])
        self.assertEqual(self.get("/broken", 1), ["500"])
        self.assertEqual(self.get("/admin", 1), ["403"])
        both = 'istio_requests_total{reporter="%s",destination_service="web.shop.svc.cluster.local"}'
        for reporter in ("source", "destination"):
            eventually(self, lambda r=reporter: len(self.query(both % r)) == 3, what=f"{reporter}'s series")
        self.assertEqual(self.get("/", 40), ["200"] * 40)
        self.assertEqual(self.get("/broken", 10), ["500"] * 10)
        self.assertEqual(self.get("/admin", 5), ["403"] * 5)
        time.sleep(3)  # two scrapes

        def increase(selector, by=""):
            return f"sum(increase(istio_requests_total{{{selector}}}[5m])) {by}"
        for reporter in ("source", "destination"):
            r = f'reporter="{reporter}"'
            # Raw counters are exact; Prometheus extrapolates increases, hence the tolerance there.
            self.assertEqual(self.one(f"sum(istio_requests_total{{{r}}})"), 58)
            self.assertEqual(self.one(f'sum(istio_requests_total{{{r},response_code="403"}})'), 6)
            self.assertGreater(self.one(increase(r)), 40)
            # Mesh dashboard: success rate, requests by workload.
            good = self.one(f'sum(istio_requests_total{{{r},response_code!~"5.*"}}) / '
                            f"sum(istio_requests_total{{{r}}})")
            self.assertAlmostEqual(good, 47 / 58)
            table = self.query(
                f'label_join(sum(rate(istio_requests_total{{{r},response_code="200"}}[1m])) by '
                "(destination_workload, destination_workload_namespace, destination_service), "
                '"destination_workload_var", ".", "destination_workload", '
                '"destination_workload_namespace")')
            self.assertEqual([dict(k)["destination_workload_var"] for k in table], ["web.shop"])
            quantile = self.one(
                "histogram_quantile(0.50, sum(rate(istio_request_duration_milliseconds_bucket"
                f"{{{r}}}[1m])) by (le, destination_workload, destination_workload_namespace))")
            self.assertTrue(0 < quantile < 250, quantile)
            # Workload dashboard: sizes.
            self.assertEqual(self.one(f"sum(istio_response_bytes_count{{{r}}})"), 58)
            self.assertGreaterEqual(self.one(f"sum(istio_response_bytes_sum{{{r}}})"), 52_000)
        secured = self.query('sum(istio_requests_total{reporter="destination"}) by '
                             "(connection_security_policy, source_principal, destination_principal)")
        self.assertEqual([dict(k) for k in secured], [{
            "connection_security_policy": "mutual_tls",
            "source_principal": "spiffe://cluster.local/ns/shop/sa/client-sa",
            "destination_principal": "spiffe://cluster.local/ns/shop/sa/web-sa"}])
        names = self.query('count by (source_workload, source_app, destination_app, destination_version, '
                           'destination_service_name, destination_service_namespace, '
                           'destination_canonical_service, request_protocol) '
                           '(istio_requests_total{reporter="source"})')
        self.assertEqual([dict(k) for k in names], [{
            "source_workload": "client", "source_app": "client", "destination_app": "web",
            "destination_version": "v1", "destination_service_name": "web",
            "destination_service_namespace": "shop", "destination_canonical_service": "web",
            "request_protocol": "http"}])


if __name__ == "__main__":
    unittest.main()
