"""Many clients that are slow on purpose, and when each was sent away, as JSON.

slow.py KIND HOST PORT SECONDS CONNECTIONS: {"made": N, "ended": [seconds after the connection was
made, ...], "left": still open at the end}.
"""
import json
import selectors
import socket
import sys
import time

import http2

HEAD = b"POST /v1/completions HTTP/1.1\r\nHost: origin.shop\r\n"
KINDS = {
    # kind: (sent at once, sent again each second)
    "slow_head": (HEAD, b"X: y\r\n"),
    "slow_line": (b"GET /v1/mod", b"x"),
    "slow_body": (HEAD + b"Content-Length: 100000\r\n\r\n", b"x"),
    "slow_chunks": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    "slow_chunk_line": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n1;", b"x"),
    "slow_reader": (b"GET /public/big HTTP/1.1\r\nHost: origin.shop\r\n\r\n", b""),
    "slow_preface": (http2.PREFACE[:5], b""),
    "slow_http2_head": (http2.PREFACE + http2.settings() + http2.frame(
        http2.HEADERS, 1, 1, http2.block(http2.request_fields())), b""),
    "no_settings_ack": (http2.PREFACE + http2.settings(), b""),
    "slow_hello": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"\0"),
    "silent": (b"", b""),
}


def main():
    kind, host, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
    seconds, connections = float(sys.argv[4]), int(sys.argv[5])
    first, again = KINDS[kind]
    reads = kind != "slow_reader"
    selector = selectors.DefaultSelector()
    made, ended = {}, []
    for _ in range(connections):
        try:
            sock = socket.create_connection((host, port), 5)
            if not reads:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.sendall(first)
        except OSError:
            ended.append(0.0)
            continue
        sock.setblocking(False)
        made[sock] = time.monotonic()
        selector.register(sock, selectors.EVENT_READ)

    def over(sock):
        selector.unregister(sock)
        ended.append(round(time.monotonic() - made.pop(sock), 2))
        sock.close()

    end, tick = time.monotonic() + seconds, time.monotonic() + 1
    while made and time.monotonic() < end:
        if not reads:
            time.sleep(0.2)
        for key, _ in selector.select(0.2) if reads else []:
            try:
                if not key.fileobj.recv(65536):
                    over(key.fileobj)
            except BlockingIOError:
                pass
            except OSError:
                over(key.fileobj)
        if again and time.monotonic() >= tick:
            tick += 1
            for sock in list(made):
                try:
                    sock.send(again)
                except BlockingIOError:
                    pass
                except OSError:
                    over(sock)
    print(json.dumps({"made": len(made) + len(ended), "ended": sorted(ended), "left": len(made)}))


if __name__ == "__main__":
    main()
