"""Sends raw bytes as a file of cases says, and prints what came back, as JSON.

attacker.py FILE HOST PORT: the file is a list of {"id", "sends": [[base64, seconds to wait after]],
"read": seconds, "half_close": bool}. Each case has a connection of its own. The answer of a case:
{"id", "response": base64, "end": "open" | "closed" | "reset" | "refused"}.
"""
import base64
import concurrent.futures
import json
import socket
import sys
import time

MOST = 256 << 10


def read_until(sock, deadline, quiet, out):
    """Until the end, the deadline, or `quiet` seconds without a byte after the first."""
    while len(out) < MOST:
        left = min(deadline - time.monotonic(), quiet if out else 1e9)
        if left <= 0:
            return "open"
        sock.settimeout(left)
        try:
            data = sock.recv(65536)
        except TimeoutError:
            return "open"
        except ConnectionError:
            return "reset"
        if not data:
            return "closed"
        out += data
    return "open"


def play(case, host, port):
    out = bytearray()
    try:
        sock = socket.create_connection((host, port), 5)
    except OSError as error:
        return {"id": case["id"], "response": "", "end": "refused", "error": str(error)}
    with sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        end = "open"
        try:
            sock.settimeout(5)
            for data, pause in case["sends"]:
                sock.sendall(base64.b64decode(data))
                if pause:
                    time.sleep(pause)
            if case.get("half_close"):
                sock.shutdown(socket.SHUT_WR)
        except (ConnectionError, TimeoutError):
            end = "reset"
        deadline = time.monotonic() + case.get("read", 3)
        got = read_until(sock, deadline, case.get("quiet", 0.4), out)
        end = got if end == "open" else end
    return {"id": case["id"], "response": base64.b64encode(bytes(out)).decode(), "end": end}


def main():
    cases = json.load(open(sys.argv[1]))
    host, port = sys.argv[2], int(sys.argv[3])
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        results = list(pool.map(lambda case: play(case, host, port), cases))
    json.dump(results, sys.stdout)


if __name__ == "__main__":
    main()
