"""Asks the pipeline and shows the answer as it arrives.

  chat.py [--url URL] [--json] [--max-tokens N] [--temperature T] [--ignore-eos] [--no-stream]
          [--completions] [--system TEXT] PROMPT...

--json prints one JSON line per piece of text: {"t": seconds since the start, "at": the time, "text":
...}, at the end {"done": true, ...}.
Exit status: 0 the answer is whole, 1 an error was answered or the stream broke off, 2 usage.
"""

import argparse
import http.client
import json
import socket
import sys
import time
import urllib.parse

import sse

URL = "http://gateway.api-gateway.svc.cluster.local"


def arguments():
    parser = argparse.ArgumentParser(description="ask the AI pipeline")
    parser.add_argument("--url", default=URL)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--no-stream", action="store_true")
    parser.add_argument("--completions", action="store_true", help="POST /v1/completions")
    parser.add_argument("--max-tokens", type=int, default=64)
    parser.add_argument("--temperature", type=float, default=0)
    parser.add_argument("--timeout", type=float, default=90, help="seconds without any byte")
    parser.add_argument("--ignore-eos", action="store_true", help="go on until --max-tokens")
    parser.add_argument("--system", default="")
    parser.add_argument("prompt", nargs="+")
    return parser.parse_args()


def request_of(a):
    prompt = " ".join(a.prompt)
    body = {"model": "smollm2-135m-instruct", "stream": not a.no_stream, "max_tokens": a.max_tokens,
            "temperature": int(a.temperature) if a.temperature == int(a.temperature)
            else a.temperature}
    if a.ignore_eos:
        body["ignore_eos"] = True
    if a.completions:
        body["prompt"] = prompt
    else:
        system = [{"role": "system", "content": a.system}] if a.system else []
        body["messages"] = system + [{"role": "user", "content": prompt}]
    return body


def text_of(choice):
    return ((choice.get("delta") or choice.get("message") or {}).get("content")
            or choice.get("text") or "")


def main():
    a = arguments()
    started = time.monotonic()
    texts, events, state = [], 0, {"whole": False, "error": None, "finish_reason": None}

    def event(chunk):
        if "error" in chunk:
            state["error"] = chunk["error"]
            return
        for choice in chunk.get("choices", ()):
            state["finish_reason"] = choice.get("finish_reason") or state["finish_reason"]
            text = text_of(choice)
            if text:
                texts.append(text)
                line = json.dumps({"t": round(time.monotonic() - started, 3),
                                   "at": round(time.time(), 3), "text": text}) + "\n"
                sys.stdout.write(line if a.json else text)
                sys.stdout.flush()

    parts = urllib.parse.urlsplit(a.url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port or 80, timeout=a.timeout)
    headers, status = {}, 0
    try:
        path = "/v1/completions" if a.completions else "/v1/chat/completions"
        connection.request("POST", path, json.dumps(request_of(a)),
                           {"Content-Type": "application/json"})
        response = connection.getresponse()
        status = response.status
        headers = {k.lower(): v for k, v in response.getheaders() if k.lower().startswith("x-")}
        if response.headers.get("Content-Type", "").startswith("text/event-stream"):
            parser = sse.Parser()
            while piece := response.read1(65536):
                for kind, text in parser.feed(piece):
                    if kind == "data" and text == "[DONE]":
                        state["whole"] = True
                    elif kind == "data":
                        events += 1
                        event(json.loads(text))
        else:
            raw = response.read()
            event(json.loads(raw))
            state["whole"] = status == 200
    except (OSError, http.client.HTTPException, ValueError) as e:
        late = isinstance(e, socket.timeout)
        state["error"] = f"no byte for {a.timeout:g} s" if late else f"{type(e).__name__}: {e}"
    good = state["whole"] and not state["error"]
    if a.json:
        print(json.dumps({"done": good, "status": status, "events": events, "text": "".join(texts),
                          "headers": headers, **state}), flush=True)
    else:
        print()
        if state["error"]:
            print("error:", json.dumps(state["error"]), file=sys.stderr)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
