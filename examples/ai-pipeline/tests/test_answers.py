import json
import unittest

from context import CORPUS

import sse
from answers import AnswerFilter, mask_answer


def stream(deltas, finish="stop", usage=None):
    """A chat stream as llama.cpp sends it: role first, deltas, finish reason, usage, [DONE]."""
    base = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m"}

    def chunk(choices, **more):
        return sse.encode(json.dumps({**base, "choices": choices, **more}, ensure_ascii=False))

    out = [chunk([{"index": 0, "delta": {"role": "assistant", "content": None},
                   "finish_reason": None}])]
    out += [chunk([{"index": 0, "delta": {"content": d}, "finish_reason": None}]) for d in deltas]
    out.append(chunk([{"index": 0, "delta": {}, "finish_reason": finish}]))
    if usage:
        out.append(chunk([], usage=usage))
    return b"".join(out) + sse.encode("[DONE]")


def read(data):
    """(chunks, saw [DONE]) of a stream."""
    events = [text for kind, text in sse.Parser().feed(data) if kind == "data"]
    return [json.loads(e) for e in events if e != "[DONE]"], events[-1:] == ["[DONE]"]


def content(data, field="content", index=0):
    return "".join(c["delta"].get(field) or "" for chunk in read(data)[0]
                   for c in chunk["choices"] if c["index"] == index)


def filtered(*pieces):
    answer = AnswerFilter()
    return b"".join([answer.feed(p) for p in pieces]) + answer.close()


class Streams(unittest.TestCase):
    def test_corpus_with_the_stream_split_at_every_byte(self):
        for text, masked in CORPUS:
            data = stream([text[i:i + 3] for i in range(0, len(text), 3)])
            for i in range(0, len(data) + 1):
                out = filtered(data[:i], data[i:])
                if content(out) != masked:  # assertEqual on each would be slow to format
                    self.fail(f"{text!r} split at {i}: {content(out)!r}, expected {masked!r}")
            self.assertTrue(read(out)[1])

    def test_corpus_with_the_deltas_split_at_every_character(self):
        for text, masked in CORPUS:
            for i in range(len(text) + 1):
                self.assertEqual(content(filtered(stream([text[:i], text[i:]]))), masked)

    def test_byte_by_byte_equals_whole(self):
        data = stream(["Mail joe@exam", "ple.com and 4111 1111 ", "1111 1111", " ü😀"],
                      usage={"total_tokens": 3})
        self.assertEqual(filtered(*[bytes([b]) for b in data]), filtered(data))

    def test_order_of_a_stream_is_kept(self):
        data = filtered(stream(["to joe@example.com"], usage={"total_tokens": 3}))
        chunks, done = read(data)
        self.assertEqual(chunks[0]["choices"][0]["delta"]["role"], "assistant")
        self.assertEqual([c["choices"][0]["finish_reason"] for c in chunks[:-1]],
                         [None] * (len(chunks) - 2) + ["stop"])
        self.assertEqual((chunks[-1]["choices"], chunks[-1]["usage"]), ([], {"total_tokens": 3}))
        self.assertTrue(done)
        self.assertEqual({c["id"] for c in chunks}, {"c1"})

    def test_safe_text_passes_with_its_own_event(self):
        answer = AnswerFilter()
        first = stream(["Hello "]).split(b"\n\n")
        answer.feed(first[0] + b"\n\n")
        self.assertEqual(content(answer.feed(first[1] + b"\n\n")), "Hello ")

    def test_a_broken_off_stream_gives_what_was_held_masked(self):
        data = stream(["to joe@example.com"])
        cut = data.index(b'"finish_reason": "stop"')
        out = filtered(data[:cut])
        self.assertEqual(content(out), "to [EMAIL]")
        self.assertFalse(read(out)[1])

    def test_what_it_remembers_for_the_record(self):
        answer = AnswerFilter()
        answer.feed(stream(["to joe@example.com"], "length", {"total_tokens": 9}))
        self.assertEqual((answer.text(), answer.finish_reason, answer.usage, answer.counts,
                          answer.finished),
                         ("to [EMAIL]", "length", {"total_tokens": 9}, {"EMAIL": 1}, True))

    def test_choices_are_masked_apart(self):
        def event(index, text):
            return sse.encode(json.dumps({"choices": [
                {"index": index, "delta": {"content": text}, "finish_reason": None}]}))
        out = filtered(event(0, "joe@exam"), event(1, "4111 1111 "), event(0, "ple.com"),
                       event(1, "1111 1111"), sse.encode("[DONE]"))
        self.assertEqual(content(out, index=0), "[EMAIL]")
        self.assertEqual(content(out, index=1), "[CARD]")

    def test_reasoning_and_tool_arguments_are_masked(self):
        def event(delta):
            return sse.encode(json.dumps({"choices": [
                {"index": 0, "delta": delta, "finish_reason": None}]}))

        def call(arguments, **more):
            return event({"tool_calls": [{"index": 0, "function": {"arguments": arguments}, **more}]})
        out = filtered(event({"reasoning_content": "hm joe@ex"}),
                       event({"reasoning_content": "ample.com "}),
                       call('{"to": "joe@', id="t1", type="function"), call('example.com"}'),
                       sse.encode("[DONE]"))
        self.assertEqual(content(out, "reasoning_content"), "hm [EMAIL] ")
        arguments = "".join(t["function"].get("arguments", "") for chunk in read(out)[0]
                            for c in chunk["choices"] for t in c["delta"].get("tool_calls", ()))
        self.assertEqual(arguments, '{"to": "[EMAIL]"}')

    def test_log_probabilities_and_unknown_fields_do_not_pass(self):
        out = filtered(sse.encode(json.dumps({"leak": "joe@example.com", "choices": [
            {"index": 0, "delta": {"content": "x ", "leak": "joe@example.com"},
             "logprobs": {"content": [{"token": "joe@example.com"}]}, "finish_reason": None}]})))
        self.assertNotIn(b"joe", out)
        self.assertEqual(content(out), "x ")

    def test_events_that_are_not_understood_are_dropped_and_counted(self):
        answer = AnswerFilter()
        out = b"".join(answer.feed(sse.encode(t)) for t in (
            "joe@example.com", "[1]", '"joe@example.com"', '{"choices": 1}', '{"choices": [7]}',
            '{"choices": [{"index": "0"}]}', "[" * 100_000))
        self.assertEqual(out + answer.close(), b"")
        self.assertEqual(answer.dropped, 7)

    def test_errors_in_the_stream_are_masked(self):
        out = filtered(sse.encode('{"error": {"message": "no joe@example.com"}}'))
        self.assertEqual(read(out)[0], [{"error": {"message": "no [EMAIL]"}}])

    def test_nothing_follows_done(self):
        self.assertEqual(read(filtered(stream(["a"]), stream(["late"])))[1], True)
        self.assertNotIn("late", content(filtered(stream(["a"]), stream(["late"]))))

    def test_comments_pass_without_their_text(self):
        self.assertEqual(filtered(b": joe@example.com\n\n"), b": keep-alive\n\n")

    def test_endless_choices_are_refused(self):
        answer = AnswerFilter()
        with self.assertRaises(ValueError):
            for i in range(1000):
                answer.feed(sse.encode(json.dumps({"choices": [
                    {"index": i, "delta": {"content": "x"}, "finish_reason": None}]})))


class Whole(unittest.TestCase):
    def test_choices_are_masked(self):
        counts = {}
        out = mask_answer({"id": "1", "model": "m", "leak": "joe@example.com", "choices": [
            {"index": 0, "finish_reason": "stop", "logprobs": {"t": "joe@example.com"},
             "message": {"role": "assistant", "content": "I am joe@example.com"}}]}, counts)
        self.assertEqual(out, {"id": "1", "model": "m", "choices": [
            {"index": 0, "finish_reason": "stop",
             "message": {"role": "assistant", "content": "I am [EMAIL]"}}]})
        self.assertEqual(counts, {"EMAIL": 1})

    def test_errors(self):
        self.assertEqual(mask_answer({"error": {"message": "joe@example.com"}}, {}),
                         {"error": {"message": "[EMAIL]"}})
        self.assertIn("error", mask_answer({}, {}))


if __name__ == "__main__":
    unittest.main()
