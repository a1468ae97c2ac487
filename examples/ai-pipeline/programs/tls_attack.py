"""What somebody tries against mutual TLS with a certificate of his own, or with none.

  tls_attack.py ask ADDRESS PORT [--certificate FILE] [--plain] METHOD PATH
  tls_attack.py serve PORT --certificate FILE

FILE holds certificate and key (PEM). `ask` speaks as a mesh proxy would (ALPN istio-http/1.1) and
prints one JSON line: {"handshake": bool, "status": N or null, "body": "...", "error": "..."}.
`serve` takes one connection at a time until it is ended, and prints a line for each.
"""

import argparse
import json
import socket
import ssl
import sys


def ask(a):
    found = {"handshake": False, "status": None, "body": "", "error": ""}
    try:
        stream = socket.create_connection((a.address, a.port), timeout=3)
        stream.settimeout(3)
        if not a.plain:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            context.set_alpn_protocols(["istio-http/1.1"])
            if a.certificate:
                context.load_cert_chain(a.certificate)
            stream = context.wrap_socket(stream)
            found["handshake"] = True
        stream.sendall(f"{a.method} {a.path} HTTP/1.1\r\nHost: model-server.inference\r\n"
                       "Content-Length: 0\r\nConnection: close\r\n\r\n".encode())
        answer = b""
        while piece := stream.recv(65536):
            answer += piece
        head, _, body = answer.partition(b"\r\n\r\n")
        if head.startswith(b"HTTP/1.1 "):
            found["status"] = int(head.split()[1])
        found["body"] = body.decode(errors="replace")
    except (OSError, ssl.SSLError) as e:
        found["error"] = str(e)
    print(json.dumps(found))


def serve(a):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(a.certificate)
    context.set_alpn_protocols(["istio-http/1.1", "istio"])
    context.verify_mode = ssl.CERT_NONE
    listener = socket.create_server(("", a.port), reuse_port=True)
    print("serving", flush=True)
    while True:
        raw, _ = listener.accept()
        raw.settimeout(3)
        try:
            with context.wrap_socket(raw, server_side=True) as stream:
                request = stream.recv(65536)
                stream.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstolen")
                print(json.dumps({"request": request.decode(errors="replace")}), flush=True)
        except (OSError, ssl.SSLError) as e:
            print(json.dumps({"refused": str(e)}), flush=True)


def main():
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(dest="command", required=True)
    asking = commands.add_parser("ask")
    asking.add_argument("address")
    asking.add_argument("port", type=int)
    asking.add_argument("--certificate")
    asking.add_argument("--plain", action="store_true")
    asking.add_argument("method")
    asking.add_argument("path")
    serving = commands.add_parser("serve")
    serving.add_argument("port", type=int)
    serving.add_argument("--certificate", required=True)
    a = parser.parse_args()
    (ask if a.command == "ask" else serve)(a)


if __name__ == "__main__":
    sys.exit(main())
