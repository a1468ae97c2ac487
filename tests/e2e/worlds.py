"""Manifests that several tests share: a server, a friend that may call it, a stranger that may not."""

SERVER_PROGRAM = r"""
import socket, sys, threading
def serve_tcp(family, host):
    s = socket.socket(family, socket.SOCK_STREAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6: s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    s.bind((host, 8080)); s.listen(64)
    while True:
        c, _ = s.accept()
        threading.Thread(target=talk, args=(c,), daemon=True).start()
def talk(c):
    with c:
        while True:
            data = c.recv(65536)
            if not data: return
            if data.startswith(b"GET "):
                c.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nhello\n"); return
            c.sendall(data)
def serve_udp(family, host):
    s = socket.socket(family, socket.SOCK_DGRAM)
    if family == socket.AF_INET6: s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    s.bind((host, 8081))
    while True:
        data, peer = s.recvfrom(65536); s.sendto(data, peer)
for family, host in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
    threading.Thread(target=serve_tcp, args=(family, host), daemon=True).start()
    threading.Thread(target=serve_udp, args=(family, host), daemon=True).start()
print("serving", flush=True)
import signal; signal.sigwait([signal.SIGTERM])
"""


def indent(text, spaces):
    return "\n".join(" " * spaces + line for line in text.strip("\n").splitlines())


BASE = f"""
apiVersion: v1
kind: Namespace
metadata: {{name: shop, labels: {{team: shop}}}}
---
apiVersion: v1
kind: Namespace
metadata: {{name: street}}
---
apiVersion: v1
kind: ConfigMap
metadata: {{name: program, namespace: shop}}
data:
  server.py: |
{indent(SERVER_PROGRAM, 4)}
---
apiVersion: v1
kind: Pod
metadata: {{name: server, namespace: shop, labels: {{app: server}}}}
spec:
  terminationGracePeriodSeconds: 2
  containers:
    - name: main
      image: python
      command: [/usr/bin/python3, /program/server.py]
      ports:
        - {{name: http, containerPort: 8080}}
        - {{name: echo, containerPort: 8081, protocol: UDP}}
      volumeMounts: [{{name: program, mountPath: /program}}]
      readinessProbe: {{tcpSocket: {{port: http}}, periodSeconds: 1}}
  volumes: [{{name: program, configMap: {{name: program}}}}]
---
apiVersion: v1
kind: Service
metadata: {{name: server, namespace: shop}}
spec:
  selector: {{app: server}}
  ports:
    - {{name: http, port: 80, targetPort: http}}
    - {{name: echo, port: 81, targetPort: echo, protocol: UDP}}
---
apiVersion: v1
kind: Pod
metadata: {{name: friend, namespace: shop, labels: {{app: friend}}}}
spec:
  terminationGracePeriodSeconds: 1
  containers: [{{name: main, image: shell, command: [/usr/bin/sleep, "86400"]}}]
---
apiVersion: v1
kind: Pod
metadata: {{name: stranger, namespace: street, labels: {{app: stranger}}}}
spec:
  terminationGracePeriodSeconds: 1
  containers: [{{name: main, image: shell, command: [/usr/bin/sleep, "86400"]}}]
"""

POLICY = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: server-ingress, namespace: shop}
spec:
  podSelector: {matchLabels: {app: server}}
  ingress:
    - from: [{podSelector: {matchLabels: {app: friend}}}]
      ports: [{port: http}, {port: echo, protocol: UDP}]
"""
