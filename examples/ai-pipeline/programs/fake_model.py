"""A deterministic OpenAI-compatible server for tests: no model, the same answer every time.

GET /v1/models, POST /v1/chat/completions, /v1/completions (both streamed or whole), /v1/embeddings.
The last message may steer the answer by words in brackets:
  [tokens=N]      N words (default 16)          [interval=MS]  that long between two tokens
  [emit=pii]      personal data of every kind   [emit=echo]    the message itself
Environment: PORT (8080), MODEL_NAME (fake-model).
"""

import hashlib
import json
import math
import os
import re
import time

import sse
import web

MODEL = os.environ.get("MODEL_NAME", "fake-model")
DIMENSIONS = 576
WORDS = ("the gate opens only for those whom a policy names and every packet asks again "
         "because the rules may have changed since the last one passed").split()
PERSONAL = ("Write to erika.mustermann@example.org or call +49 30 1234567, in the US (212) 555-0123. "
            "Card 4111 1111 1111 1111, SSN 219-09-9999, tax number 86 095 742 719, "
            "NINO AB 12 34 56 C, DNI 12345678Z. That is all.")
_DIRECTIVE = re.compile(r"\[(tokens|interval|emit)=([a-z0-9]{1,8})\]")


def plan(text, max_tokens):
    """(tokens, seconds between them, finish reason) for this prompt."""
    said = dict(_DIRECTIVE.findall(text))
    number = {k: int(said[k]) for k in ("tokens", "interval") if said.get(k, "").isdecimal()}
    source = {"pii": PERSONAL, "echo": _DIRECTIVE.sub("", text).strip()}.get(said.get("emit"))
    if source is None:
        count = min(number.get("tokens", 16), 100_000)
        tokens = [WORDS[i % len(WORDS)] + " " for i in range(count)]
    else:
        # Three characters a token, so that personal data is cut as a real tokenizer cuts it.
        tokens = [source[i:i + 3] for i in range(0, len(source), 3)]
    reason = "stop"
    if isinstance(max_tokens, int) and 0 <= max_tokens < len(tokens):
        tokens, reason = tokens[:max_tokens], "length"
    return tokens, min(number.get("interval", 0), 60_000) / 1000, reason


def usage(prompt, tokens):
    n = len(prompt.split())
    return {"prompt_tokens": n, "completion_tokens": tokens, "total_tokens": n + tokens}


def answer(handler, body, prompt, kind, first, piece, whole):
    tokens, interval, reason = plan(prompt, body.get("max_completion_tokens",
                                                     body.get("max_tokens")))
    base = {"id": kind + "-" + hashlib.sha256(prompt.encode()).hexdigest()[:12], "created": 1700000000,
            "model": MODEL}
    total = usage(prompt, len(tokens))
    if not body.get("stream"):
        choice = {"index": 0, "finish_reason": reason, **whole("".join(tokens))}
        handler.send_json(200, {**base, "object": kind, "choices": [choice], "usage": total})
        return
    base["object"] = kind if kind == "text_completion" else kind + ".chunk"

    def send(choices, **more):
        handler.send_chunk(sse.encode(json.dumps({**base, "choices": choices, **more})))

    handler.start_stream()
    if first:
        send([{"index": 0, "delta": first, "finish_reason": None}])
    for i, token in enumerate(tokens):
        if i and interval:
            time.sleep(interval)
        send([{"index": 0, "finish_reason": None, **piece(token)}])
    send([{"index": 0, "finish_reason": reason, **piece("")}])
    if (body.get("stream_options") or {}).get("include_usage"):
        send([], usage=total)
    handler.send_chunk(sse.encode("[DONE]"))
    handler.end_stream()


def chat(handler):
    body = handler.read_json()
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages or not isinstance(messages[-1], dict):
        raise web.HttpError(400, "messages: a list with at least one message was expected")
    answer(handler, body, str(messages[-1].get("content", "")), "chat.completion",
           {"role": "assistant", "content": None},
           lambda t: {"delta": {"content": t} if t else {}},
           lambda t: {"message": {"role": "assistant", "content": t}})


def completions(handler):
    body = handler.read_json()
    if not isinstance(body.get("prompt"), str):
        raise web.HttpError(400, "prompt: a string was expected")
    answer(handler, body, body["prompt"], "text_completion", None,
           lambda t: {"text": t}, lambda t: {"text": t})


def embedding(text):
    """Words hashed into a unit vector: texts that share words are near."""
    vector = [0.0] * DIMENSIONS
    for word in re.findall(r"\w+", text.lower()):
        digest = hashlib.sha256(word.encode()).digest()
        vector[int.from_bytes(digest[:4], "big") % DIMENSIONS] += 1.0
    length = math.sqrt(sum(x * x for x in vector)) or 1.0
    return [x / length for x in vector]


def embeddings(handler):
    body = handler.read_json()
    texts = body.get("input")
    texts = [texts] if isinstance(texts, str) else texts
    if not isinstance(texts, list) or not all(isinstance(t, str) for t in texts):
        raise web.HttpError(400, "input: a string or a list of strings was expected")
    n = sum(len(t.split()) for t in texts)
    handler.send_json(200, {
        "object": "list", "model": MODEL, "usage": {"prompt_tokens": n, "total_tokens": n},
        "data": [{"object": "embedding", "index": i, "embedding": embedding(t)}
                 for i, t in enumerate(texts)]})


def models(handler):
    handler.send_json(200, {"object": "list", "data": [
        {"id": MODEL, "object": "model", "created": 1700000000, "owned_by": "tests"}]})


if __name__ == "__main__":
    web.serve({("POST", "/v1/chat/completions"): chat, ("POST", "/v1/completions"): completions,
               ("POST", "/v1/embeddings"): embeddings, ("GET", "/v1/models"): models,
               ("GET", "/health"): lambda h: h.send_json(200, {"status": "ok"})})
