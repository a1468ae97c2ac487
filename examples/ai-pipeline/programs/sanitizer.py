"""Prompt sanitizer: masks personal data in a chat request, then lets the pipeline answer it.

POST /v1/chat/completions, as OpenAI's. Cached answers come from Redis, context from PostgreSQL
with pgvector; when one of the two fails, the answer is made without it and the failure is logged.
Environment: FILTER_URL, MODEL_URL (embeddings), REDIS_HOST, REDIS_PORT, VECTOR_DB_HOST,
VECTOR_DB_PORT, VECTOR_DB_USER, VECTOR_DB_PASSWORD, EMBEDDING_DIMENSIONS, KNOWLEDGE_FILE (blocks of
a title line and text, blank lines between), PORT (8080).
"""

import hashlib
import json
import os
import threading
import time
import uuid

import sse
import web
from masking import mask_tree
from redis_client import Redis, RedisError
from vector_store import StoreError, VectorStore

FILTER_URL = os.environ.get("FILTER_URL", "http://127.0.0.1:8081")
MODEL_URL = os.environ.get("MODEL_URL", "http://127.0.0.1:8000")
KNOWLEDGE_FILE = os.environ.get("KNOWLEDGE_FILE", "")
CACHE_SECONDS = 600
NEAREST = 1
MAX_DISTANCE = 0.5


class Optional:
    """A helper service that may fail: after a failure it is left alone for a while."""

    REST_SECONDS = 5

    def __init__(self, name, errors):
        self._name = name
        self._errors = errors
        self._not_before = 0.0

    def __call__(self, function, *args):
        if time.monotonic() < self._not_before:
            return None
        try:
            return function(*args)
        except self._errors as e:
            self._not_before = time.monotonic() + self.REST_SECONDS
            web.log("degraded", without=self._name, why=str(e))
            return None


class Retrieval:
    """Finds the documents nearest to a question. Fills an empty store from KNOWLEDGE_FILE."""

    def __init__(self, store):
        self._store = store
        self._filled = False
        self._lock = threading.Lock()

    def embed(self, text):
        with web.Upstream(MODEL_URL + "/v1/embeddings", {"input": text[:2000]}, timeout=20) as r:
            answer = r.json()
            if r.status != 200:
                raise web.HttpError(502, f"no embedding: status {r.status}", "server_error")
        return answer["data"][0]["embedding"]

    def fill(self):
        with self._lock:
            if self._filled or not KNOWLEDGE_FILE:
                return
            if self._store.count() == 0:
                with open(KNOWLEDGE_FILE, encoding="utf-8") as f:
                    blocks = [b.strip() for b in f.read().split("\n\n") if b.strip()]
                for block in blocks:
                    title, _, text = block.partition("\n")
                    self._store.insert(title, text, self.embed(text))
                web.log("knowledge stored", documents=len(blocks))
            self._filled = True

    def nearest(self, question):
        self.fill()
        rows = self._store.search(self.embed(question), NEAREST)
        return [(title, text) for title, text, distance in rows if distance <= MAX_DISTANCE]


cache = Redis(os.environ.get("REDIS_HOST", "127.0.0.1"), int(os.environ.get("REDIS_PORT", "6379")))
retrieval = Retrieval(VectorStore(
    os.environ.get("VECTOR_DB_HOST", "127.0.0.1"), int(os.environ.get("VECTOR_DB_PORT", "5432")),
    os.environ.get("VECTOR_DB_USER", "postgres"), os.environ.get("VECTOR_DB_PASSWORD", ""),
    os.environ.get("EMBEDDING_DIMENSIONS", "576")))
with_cache = Optional("the cache of answers", (RedisError,))
with_retrieval = Optional("retrieved context", (StoreError, web.HttpError, OSError, LookupError,
                                                TypeError))


def sanitize(body):
    """(masked request, {kind: how often}). Refuses what it cannot look into."""
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise web.HttpError(400, "messages: a list with at least one message was expected")
    for i, message in enumerate(messages):
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise web.HttpError(400, f"messages[{i}]: an object with a role was expected")
        content = message.get("content")
        if isinstance(content, list):
            for j, part in enumerate(content):
                if not isinstance(part, dict) or part.get("type") != "text":
                    raise web.HttpError(400, f"messages[{i}].content[{j}]: only parts of type text "
                                             "can be checked for personal data")
        elif content is not None and not isinstance(content, str):
            raise web.HttpError(400, f"messages[{i}].content: a string or a list was expected")
    counts = {}
    return mask_tree(body, counts, keep=("role", "type", "model")), counts


def question_of(body):
    """The text of the last message of the user."""
    for message in reversed(body["messages"]):
        if message["role"] == "user":
            content = message.get("content") or ""
            return content if isinstance(content, str) else " ".join(
                str(part.get("text", "")) for part in content)
    return ""


def with_context(body, documents):
    """The request with the documents in its system message."""
    if not documents:
        return body
    context = "Facts: " + " ".join(text for _, text in documents)
    messages = list(body["messages"])
    first = messages[0]
    if first["role"] == "system" and isinstance(first.get("content"), str):
        messages[0] = {**first, "content": first["content"] + "\n" + context}
    else:
        messages.insert(0, {"role": "system", "content": context})
    return {**body, "messages": messages}


def cache_key(body):
    """Only answers that are the same every time are kept: temperature 0, one choice, no tools."""
    if body.get("temperature") != 0 or body.get("n", 1) != 1 or body.get("tools"):
        return None
    said = {k: v for k, v in body.items() if k not in ("stream", "stream_options", "user")}
    return "answer:" + hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def from_cache(handler, body, kept, headers):
    answer = json.loads(kept)
    base = {"id": "cache-" + uuid.uuid4().hex[:12], "created": int(time.time()),
            "model": answer["model"]}
    if not body.get("stream"):
        choice = {"index": 0, "finish_reason": answer["finish_reason"],
                  "message": {"role": "assistant", "content": answer["text"]}}
        handler.send_json(200, {**base, "object": "chat.completion", "choices": [choice],
                                "usage": answer["usage"]}, headers)
        return
    base["object"] = "chat.completion.chunk"
    handler.start_stream(headers)
    for delta, reason in (({"role": "assistant", "content": answer["text"]}, None),
                          ({}, answer["finish_reason"])):
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        handler.send_chunk(sse.encode(json.dumps({**base, "choices": [choice]})))
    if (body.get("stream_options") or {}).get("include_usage"):
        handler.send_chunk(sse.encode(json.dumps({**base, "choices": [], "usage": answer["usage"]})))
    handler.send_chunk(sse.encode("[DONE]"))
    handler.end_stream()


class Transcript:
    """What a streamed answer said, for the cache."""

    def __init__(self):
        self._parser = sse.Parser()
        self._text = []
        self._answer = {"model": "", "usage": None, "finish_reason": None}
        self._whole = False

    def feed(self, piece):
        for kind, text in self._parser.feed(piece):
            if kind != "data":
                continue
            if text == "[DONE]":
                self._whole = True
                continue
            chunk = json.loads(text)
            self._answer["model"] = chunk.get("model", "")
            self._answer["usage"] = chunk.get("usage") or self._answer["usage"]
            for choice in chunk.get("choices", ()):
                self._text.append(choice["delta"].get("content") or "")
                self._answer["finish_reason"] = choice["finish_reason"]

    def keepable(self):
        """JSON for the cache, or None when the answer is not whole."""
        if not self._whole or self._answer["finish_reason"] not in ("stop", "length"):
            return None
        return json.dumps({**self._answer, "text": "".join(self._text)}).encode()


def chat(handler):
    body, counts = sanitize(handler.read_json())
    masked = " ".join(f"{kind}={n}" for kind, n in sorted(counts.items())) or "none"
    request_id = handler.headers.get("X-Request-Id", "")[:64] or uuid.uuid4().hex
    web.log("sanitized", request=request_id, masked=counts)
    key = cache_key(body)
    kept = with_cache(cache.get, key) if key else None
    headers = [("X-Masked", masked), ("X-Cache", "hit" if kept else "miss")]
    if kept:
        from_cache(handler, body, kept, headers)
        return
    documents = with_retrieval(retrieval.nearest, question_of(body)) or []
    headers.append(("X-Context", ",".join(title for title, _ in documents) or "none"))
    request = with_context(body, documents)
    with web.Upstream(FILTER_URL + "/v1/chat/completions", request,
                      {"X-Request-Id": request_id}, timeout=120) as upstream:
        if not upstream.headers.get("Content-Type", "").startswith("text/event-stream"):
            answer = upstream.json()
            handler.send_json(upstream.status, answer, headers)
            if key and upstream.status == 200:
                choice = answer["choices"][0]
                value = {"model": answer.get("model", ""), "usage": answer.get("usage"),
                         "finish_reason": choice["finish_reason"],
                         "text": choice["message"].get("content") or ""}
                with_cache(cache.set, key, json.dumps(value).encode(), CACHE_SECONDS)
            return
        transcript = Transcript() if key else None
        handler.start_stream(headers)
        for piece in upstream.pieces():
            handler.send_chunk(piece)
            if transcript:
                transcript.feed(piece)
        handler.end_stream()
    value = transcript.keepable() if transcript else None
    if value:
        with_cache(cache.set, key, value, CACHE_SECONDS)


if __name__ == "__main__":
    web.serve({("POST", "/v1/chat/completions"): chat})
