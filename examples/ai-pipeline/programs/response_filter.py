"""Response filter: asks the model server, masks its answer while it streams, records it masked.

POST /v1/chat/completions, as OpenAI's. Environment: MODEL_URL, COLLECTOR_URL, PORT (8080).
"""

import os
import queue
import threading
import time

import sse
import web
from answers import AnswerFilter, mask_answer
from masking import mask_tree

MODEL_URL = os.environ.get("MODEL_URL", "http://127.0.0.1:8000")
COLLECTOR_URL = os.environ.get("COLLECTOR_URL", "")


class Recorder:
    """Sends records to the collector in the background: an answer never waits for its record."""

    def __init__(self, url):
        self._url = url
        self._queue = queue.Queue(maxsize=256)
        if url:
            threading.Thread(target=self._run, daemon=True).start()

    def put(self, record):
        if not self._url:
            return
        try:
            self._queue.put_nowait(record)
        except queue.Full:
            web.log("record lost", why="the collector is too slow or unreachable",
                    request=record["request_id"])

    def _run(self):
        while True:
            record = self._queue.get()
            for attempt in range(3):
                try:
                    with web.Upstream(self._url + "/v1/records", record, timeout=5) as reply:
                        if reply.status < 300:
                            break
                        why = f"status {reply.status}"
                except web.HttpError as e:
                    why = str(e)
                time.sleep(attempt + 1)
            else:
                web.log("record lost", why=why, request=record["request_id"])


recorder = Recorder(COLLECTOR_URL)


def record_of(handler, body, counts, text, finish_reason, usage, started):
    # The sanitizer has masked the prompt; masking is repeated here so that nothing depends on it.
    prompt = mask_tree([m.get("content") for m in body.get("messages", []) if isinstance(m, dict)],
                       {})
    return {"request_id": handler.headers.get("X-Request-Id", "")[:64],
            "model": mask_tree(str(body.get("model", "")), {}), "prompt": prompt, "answer": text,
            "masked_in_answer": counts, "finish_reason": finish_reason, "usage": usage,
            "seconds": round(time.monotonic() - started, 3)}


def chat(handler):
    body = handler.read_json()
    started = time.monotonic()
    with web.Upstream(MODEL_URL + "/v1/chat/completions", body, timeout=120) as upstream:
        kind = upstream.headers.get("Content-Type", "")
        if upstream.status != 200 or not kind.startswith("text/event-stream"):
            counts = {}
            answer = mask_answer(upstream.json(), counts)
            handler.send_json(upstream.status, answer)
            texts = [c.get("message", {}).get("content") or "" for c in answer.get("choices", ())]
            recorder.put(record_of(handler, body, counts, "\n".join(texts), None,
                                   answer.get("usage"), started))
            return
        answer = AnswerFilter()
        try:
            handler.start_stream()
            for piece in upstream.pieces():
                handler.send_chunk(answer.feed(piece))
            handler.send_chunk(answer.close())
            if not answer.finished:
                raise web.HttpError(502, "the model server ended its answer early", "server_error")
            handler.end_stream()
        except sse.EventTooLong:
            raise web.HttpError(502, "the model server sent an overlong event",
                                "server_error") from None
        finally:
            if answer.dropped:
                web.log("events dropped", count=answer.dropped)
            recorder.put(record_of(handler, body, answer.counts, answer.text(),
                                   answer.finish_reason, answer.usage, started))


if __name__ == "__main__":
    web.serve({("POST", "/v1/chat/completions"): chat})
