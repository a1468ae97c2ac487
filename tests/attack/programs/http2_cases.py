"""Sends HTTP/2 as a file of cases says, and prints what came back, as JSON.

http2_cases.py FILE HOST PORT: a case has a connection of its own:
  {"id", "kind": "request", "fields": [[name, value]], "body": text, "read": seconds}: one request on
      stream 1; a name or value "base64:..." is bytes.
  {"id", "kind": "raw", "preface": bool, "sends": [[base64, seconds to wait after]], "stream": N}:
      bytes as they are, behind the preface and SETTINGS; what is told is the end of stream N.
Each answer: {"id", "status": number or null, "end": "answered" | "reset" | "goaway" | "closed" |
"open" | "refused", "code", "body"}.
"""
import base64
import concurrent.futures
import json
import sys
import time

import http2


def octets(value):
    if value.startswith("base64:"):
        return base64.b64decode(value[7:])
    return value.encode("latin-1")


def play(case, host, port):
    out = {"id": case["id"], "status": None, "end": "open", "code": None, "body": ""}
    try:
        client = http2.Client(host, port, case.get("preface", True))
    except OSError as error:
        out.update(end="refused", error=str(error))
        return out
    try:
        if case["kind"] == "request":
            fields = [(octets(name), octets(value)) for name, value in case["fields"]]
            body = octets(case.get("body", ""))
            flags = http2.END_HEADERS | (0 if body else http2.END_STREAM)
            client.send(http2.headers(1, fields, flags))
            if body:
                client.send(http2.frame(http2.DATA, http2.END_STREAM, 1, body))
        else:
            for data, pause in case["sends"]:
                client.send(base64.b64decode(data))
                time.sleep(pause)
    except OSError:
        pass  # refused while we sent: what was said is read below
    try:
        client.answer(case.get("stream", 1), case.get("read", 3), out)
    except (OSError, ValueError) as error:
        out.update(end="closed", error=str(error))
    client.close()
    return out


def main():
    cases = json.load(open(sys.argv[1]))
    host, port = sys.argv[2], int(sys.argv[3])
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        json.dump(list(pool.map(lambda case: play(case, host, port), cases)), sys.stdout)


if __name__ == "__main__":
    main()
