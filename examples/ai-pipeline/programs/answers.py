"""Masks personal data in an answer of an OpenAI-compatible server, whole or streamed.

Only fields that are known are passed on: what is not understood cannot be masked for certain.
"""

import json

import sse
from masking import StreamMasker, mask_tree

_CHUNK_FIELDS = ("id", "object", "created", "model", "system_fingerprint", "usage", "timings")
_TEXT_FIELDS = ("content", "reasoning_content", "refusal")


class AnswerFilter:
    """Takes the bytes of a streamed chat completion, gives the bytes to pass on.

    Text is held back only as far as it may still turn out to be the beginning of personal data.
    `finished` is set by `[DONE]`; `text`, `finish_reason` and `usage` describe the masked answer.
    """

    MAX_MASKERS = 256

    def __init__(self):
        self._parser = sse.Parser()
        self._maskers = {}   # (choice index, field) -> StreamMasker
        self._last = {}      # what an extra chunk for held text is made from
        self._texts = {}     # choice index -> pieces
        self.finished = False
        self.usage = None
        self.finish_reason = None
        self.dropped = 0     # events that could not be understood

    def feed(self, data):
        out = []
        for kind, text in self._parser.feed(data):
            if self.finished:
                break
            if kind == "comment":
                out.append(sse.comment("keep-alive"))
            elif text.strip() == "[DONE]":
                out += self._flush_all()
                out.append(sse.encode("[DONE]"))
                self.finished = True
            else:
                out += self._event(text)
        return b"".join(out)

    def close(self):
        """The stream ended: what was held back, masked (nothing after [DONE])."""
        return b"".join(self._flush_all())

    @property
    def counts(self):
        total = {}
        for masker in self._maskers.values():
            for kind, n in masker.counts.items():
                total[kind] = total.get(kind, 0) + n
        return total

    def text(self, index=0):
        return "".join(self._texts.get(index, ()))

    def _event(self, text):
        try:
            chunk = json.loads(text)
        except (ValueError, RecursionError):
            chunk = None
        if not isinstance(chunk, dict):
            self.dropped += 1
            return []
        if "error" in chunk:
            return [sse.encode(json.dumps({"error": mask_tree(chunk["error"], {})}))]
        choices = chunk.get("choices")
        if not isinstance(choices, list):
            self.dropped += 1
            return []
        base = {k: chunk[k] for k in _CHUNK_FIELDS if k in chunk}
        if isinstance(chunk.get("usage"), dict):
            self.usage = chunk["usage"]
        self._last = {k: v for k, v in base.items() if k not in ("usage", "timings")}
        before, passed = [], []
        for choice in choices:
            if not isinstance(choice, dict) or not isinstance(choice.get("index"), int):
                self.dropped += 1
                continue
            extra, kept = self._choice(choice)
            before += extra
            if kept is not None:
                passed.append(kept)
        out = [self._chunk([c]) for c in before]
        if passed or not choices or base.keys() & {"usage", "timings"} and base.get("usage"):
            out.append(sse.encode(json.dumps({**base, "choices": passed})))
        return out

    def _choice(self, choice):
        """(choices to send first, the choice to send in place or None when all of it is held)."""
        index = choice["index"]
        delta = choice.get("delta") if isinstance(choice.get("delta"), dict) else {}
        kept = {}
        if isinstance(delta.get("role"), str):
            kept["role"] = delta["role"]
            kept["content"] = ""
        for field in _TEXT_FIELDS:
            if isinstance(delta.get(field), str) and delta[field]:
                ready = self._masker(index, field).feed(delta[field])
                if ready:
                    kept[field] = ready
                    self._note(index, field, ready)
        calls = self._tool_calls(index, delta.get("tool_calls"))
        if calls:
            kept["tool_calls"] = calls
        reason = choice.get("finish_reason")
        if reason is None:
            return [], ({"index": index, "delta": kept, "finish_reason": None} if kept else None)
        self.finish_reason = reason
        before = [{"index": index, "delta": kept, "finish_reason": None}] if kept else []
        before += self._flush(index)
        return before, {"index": index, "delta": {}, "finish_reason": reason}

    def _tool_calls(self, index, calls):
        out = []
        for call in calls if isinstance(calls, list) else ():
            if not isinstance(call, dict) or not isinstance(call.get("index"), int):
                self.dropped += 1
                continue
            function = call.get("function") if isinstance(call.get("function"), dict) else {}
            kept = {}
            arguments = function.get("arguments")
            if isinstance(arguments, str) and arguments:
                ready = self._masker(index, call["index"]).feed(arguments)
                if ready:
                    kept["arguments"] = ready
            if isinstance(function.get("name"), str):
                kept["name"] = mask_tree(function["name"], {})
            if kept or "id" in call:
                part = {"index": call["index"], "function": kept}
                part.update({k: call[k] for k in ("id", "type") if isinstance(call.get(k), str)})
                out.append(part)
        return out

    def _masker(self, index, field):
        key = (index, field)
        if key not in self._maskers:
            if len(self._maskers) >= self.MAX_MASKERS:
                raise ValueError("the answer has too many choices")
            self._maskers[key] = StreamMasker()
        return self._maskers[key]

    def _note(self, index, field, text):
        if field == "content":
            self._texts.setdefault(index, []).append(text)

    def _flush(self, index):
        out = []
        for (owner, field), masker in self._maskers.items():
            rest = masker.flush() if owner == index else ""
            if not rest:
                continue
            if isinstance(field, int):
                delta = {"tool_calls": [{"index": field, "function": {"arguments": rest}}]}
            else:
                delta = {field: rest}
                self._note(index, field, rest)
            out.append({"index": index, "delta": delta, "finish_reason": None})
        return out

    def _flush_all(self):
        return [self._chunk([c]) for index in sorted({i for i, _ in self._maskers})
                for c in self._flush(index)]

    def _chunk(self, choices):
        return sse.encode(json.dumps({"object": "chat.completion.chunk", **self._last,
                                      "choices": choices}))


def mask_answer(answer, counts):
    """A whole (not streamed) answer: every string of its choices masked, log probabilities gone."""
    kept = {k: answer[k] for k in _CHUNK_FIELDS if k in answer}
    choices = answer.get("choices")
    if not isinstance(choices, list):
        return {"error": mask_tree(answer.get("error", "the model server gave no answer"), counts)}
    kept["choices"] = [
        mask_tree({k: v for k, v in c.items() if k in ("index", "message", "finish_reason")}, counts)
        for c in choices if isinstance(c, dict)]
    return kept
