"""The programs as processes on loopback: sanitizer, response filter, collector, model server."""

import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

from context import PROGRAMS

import fake_model
from masking import mask
from test_redis_client import FakeRedis

NOWHERE = "127.0.0.1:1"  # nothing listens there


class Program:
    """One program on a port of its own choice; `log` holds its lines."""

    def __init__(self, name, directory, **environment):
        self.log_path = os.path.join(directory, name + ".log")
        self._log = open(self.log_path, "w", encoding="utf-8")
        self.process = subprocess.Popen(
            [sys.executable, os.path.join(PROGRAMS, name + ".py")], stderr=self._log,
            env={"PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1", "HOST": "127.0.0.1",
                 "PORT": "0", **environment})
        self.port = self.wait_for("listening")["port"]
        self.url = f"http://127.0.0.1:{self.port}"

    def log(self):
        with open(self.log_path, encoding="utf-8") as f:
            return [json.loads(line) for line in f if line.endswith("\n")]

    def wait_for(self, event, seconds=20):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for line in self.log():
                if line["event"] == event:
                    return line
            if self.process.poll() is not None:
                break
            time.sleep(0.02)
        with open(self.log_path, encoding="utf-8") as f:
            raise AssertionError(f"no {event!r} within {seconds} s in the log:\n{f.read()}")

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        status = self.process.wait(10)
        self._log.close()
        return status


def post(url, body, path="/v1/chat/completions"):
    host, port = url.removeprefix("http://").split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=20)
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    connection.request("POST", path, raw)
    response = connection.getresponse()
    try:
        data = response.read()
    except http.client.IncompleteRead as e:
        data = e.partial
    connection.close()
    return response, data


def ask(text, **more):
    return {"model": "m", "messages": [{"role": "user", "content": text}], **more}


def events_of(data):
    return [json.loads(line[6:]) for line in data.decode().split("\n")
            if line.startswith("data: ") and line != "data: [DONE]"]


def text_of(data):
    return "".join(c["delta"].get("content") or "" for e in events_of(data) for c in e["choices"])


class Pipeline(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.mkdtemp(prefix="ai-pipeline-test-")
        cls.addClassCleanup(shutil.rmtree, cls.directory)
        cls.redis = FakeRedis()
        cls.addClassCleanup(cls.redis.close)
        cls.records = os.path.join(cls.directory, "records.jsonl")
        cls.model = cls.start("fake_model")
        cls.collector = cls.start("collector", RECORDS=cls.records)
        cls.filter = cls.start("response_filter", MODEL_URL=cls.model.url,
                               COLLECTOR_URL=cls.collector.url)
        cls.sanitizer = cls.start("sanitizer", MODEL_URL=cls.model.url, FILTER_URL=cls.filter.url,
                                  REDIS_PORT=str(cls.redis.port), VECTOR_DB_PORT="1")

    @classmethod
    def start(cls, name, **environment):
        program = Program(name, cls.directory, **environment)
        cls.addClassCleanup(program.stop)
        return program

    def record_with(self, what):
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            if os.path.exists(self.records):
                with open(self.records, encoding="utf-8") as f:
                    for line in f:
                        if what in line:
                            return json.loads(line)
            time.sleep(0.02)
        raise AssertionError(f"no record with {what!r}")

    def test_streamed_answer_is_masked(self):
        response, data = post(self.sanitizer.url, ask("[emit=pii]", stream=True))
        self.assertEqual(response.status, 200)
        self.assertEqual(text_of(data), mask(fake_model.PERSONAL)[0])
        self.assertTrue(data.endswith(b"data: [DONE]\n\n"))
        self.assertEqual(response.getheader("X-Masked"), "none")

    def test_whole_answer_is_masked(self):
        _, data = post(self.sanitizer.url, ask("[emit=pii]"))
        self.assertEqual(json.loads(data)["choices"][0]["message"]["content"],
                         mask(fake_model.PERSONAL)[0])

    def test_prompt_is_masked_before_the_model_sees_it(self):
        response, data = post(self.sanitizer.url,
                              ask("[emit=echo] I am joe@example.com, 4111 1111 1111 1111",
                                  stream=True))
        self.assertEqual(text_of(data), "I am [EMAIL], [CARD]")
        self.assertEqual(response.getheader("X-Masked"), "CARD=1 EMAIL=1")

    def test_the_model_server_itself_masks_nothing(self):
        _, data = post(self.model.url, ask("[emit=pii]"))
        self.assertEqual(json.loads(data)["choices"][0]["message"]["content"], fake_model.PERSONAL)

    def test_record_is_masked(self):
        post(self.sanitizer.url, ask("[emit=pii] record-1 joe@example.com", stream=True))
        record = self.record_with("record-1")
        self.assertEqual(record["answer"], mask(fake_model.PERSONAL)[0])
        self.assertEqual(record["prompt"], ["[emit=pii] record-1 [EMAIL]"])
        self.assertEqual(record["masked_in_answer"]["NATIONAL_ID"], 4)

    def test_second_answer_comes_from_the_cache(self):
        body = ask("[tokens=5] cache me", temperature=0, stream=True)
        first, data = post(self.sanitizer.url, body)
        deadline = time.monotonic() + 5  # the answer is kept after it was sent
        while not self.redis.values and time.monotonic() < deadline:
            time.sleep(0.01)
        second, again = post(self.sanitizer.url, body)
        self.assertEqual((first.getheader("X-Cache"), second.getheader("X-Cache")), ("miss", "hit"))
        self.assertEqual(text_of(again), text_of(data))
        third, whole = post(self.sanitizer.url, {**body, "stream": False})
        self.assertEqual(third.getheader("X-Cache"), "hit")
        self.assertEqual(json.loads(whole)["choices"][0]["message"]["content"], text_of(data))

    def test_other_than_temperature_0_is_not_cached(self):
        body = ask("[tokens=5] warm", temperature=0.7)
        for _ in range(2):
            self.assertEqual(post(self.sanitizer.url, body)[0].getheader("X-Cache"), "miss")

    def test_events_arrive_while_the_model_still_speaks(self):
        host, port = self.sanitizer.url.removeprefix("http://").split(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=20)
        connection.request("POST", "/v1/chat/completions",
                           json.dumps(ask("[tokens=20] [interval=100]", stream=True)))
        response = connection.getresponse()
        started = time.monotonic()
        while b'"content": "the ' not in response.read1(65536):
            pass
        self.assertLess(time.monotonic() - started, 1.2)  # the whole answer takes 1.9 s
        connection.close()

    def test_bad_requests_say_what_was_expected(self):
        for body, status in (
                (b"{", 400), (b"[]", 400), ({}, 400), ({"messages": []}, 400),
                ({"messages": [1]}, 400), ({"messages": [{"role": "user", "content": 5}]}, 400),
                ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, 400),
                (b"[" * 100_000, 400)):
            response, data = post(self.sanitizer.url, body)
            self.assertEqual(response.status, status, body)
            self.assertTrue(json.loads(data)["error"]["message"])
        self.assertEqual(post(self.sanitizer.url, {}, "/v1/other")[0].status, 404)
        self.assertEqual(post(self.sanitizer.url, b"x" * (1 << 20) + b"x")[0].status, 413)

    def test_errors_of_the_model_server_pass(self):
        response, data = post(self.filter.url, {"messages": []})
        self.assertEqual(response.status, 400)
        self.assertIn("messages", json.loads(data)["error"]["message"])

    def test_missing_vector_store_is_logged_and_does_no_harm(self):
        self.assertEqual(post(self.sanitizer.url, ask("hello"))[0].status, 200)
        self.assertEqual(self.sanitizer.wait_for("degraded")["without"], "retrieved context")

    def test_missing_cache_is_logged_and_does_no_harm(self):
        lonely = Program("sanitizer", tempfile.mkdtemp(dir=self.directory),
                         MODEL_URL=self.model.url, FILTER_URL=self.filter.url,
                         REDIS_PORT="1", VECTOR_DB_PORT="1")
        self.addCleanup(lonely.stop)
        response, _ = post(lonely.url, ask("hello", temperature=0))
        self.assertEqual(response.status, 200)
        self.assertEqual(lonely.wait_for("degraded")["without"], "the cache of answers")

    def test_missing_model_server_is_502(self):
        lonely = Program("response_filter", tempfile.mkdtemp(dir=self.directory),
                         MODEL_URL="http://" + NOWHERE)
        self.addCleanup(lonely.stop)
        response, data = post(lonely.url, ask("hello", stream=True))
        self.assertEqual(response.status, 502)
        self.assertEqual(json.loads(data)["error"]["type"], "server_error")

    def test_model_server_killed_in_mid_stream_is_an_error_in_the_stream(self):
        directory = tempfile.mkdtemp(dir=self.directory)
        model = Program("fake_model", directory)
        answers = Program("response_filter", directory, MODEL_URL=model.url)
        self.addCleanup(answers.stop)
        host, port = answers.url.removeprefix("http://").split(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=20)
        connection.request("POST", "/v1/chat/completions",
                           json.dumps(ask("[tokens=500] [interval=50]", stream=True)))
        response = connection.getresponse()
        data = response.read1(65536)
        model.stop(signal.SIGKILL)
        with self.assertRaises(http.client.IncompleteRead) as broken:
            response.read()
        data += broken.exception.partial
        connection.close()
        self.assertIn(b"broke off", data)
        self.assertNotIn(b"[DONE]", data)

    def test_client_program_shows_the_stream(self):
        done = subprocess.run(
            [sys.executable, "-B", os.path.join(PROGRAMS, "chat.py"), "--url", self.sanitizer.url,
             "--json", "[tokens=4]"], capture_output=True, text=True, timeout=20, check=False)
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue(lines[-1]["done"])
        self.assertEqual("".join(line["text"] for line in lines[:-1]), lines[-1]["text"])

    def test_client_program_reports_failure(self):
        done = subprocess.run(
            [sys.executable, "-B", os.path.join(PROGRAMS, "chat.py"), "--url", "http://" + NOWHERE,
             "x"], capture_output=True, text=True, timeout=20, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("refused", done.stderr)


class FakeModel(unittest.TestCase):
    def test_same_prompt_same_tokens(self):
        self.assertEqual(fake_model.plan("[tokens=3] x", None), fake_model.plan("[tokens=3] x", None))
        self.assertEqual(len(fake_model.plan("[tokens=3] x", None)[0]), 3)

    def test_limit_and_finish_reason(self):
        self.assertEqual(fake_model.plan("x", 2)[2], "length")
        self.assertEqual(fake_model.plan("x", 1000)[2], "stop")

    def test_embeddings_of_like_texts_are_near(self):
        a, b, c = map(fake_model.embedding, ("the red house", "the red car", "numbers only"))
        def cosine(u, v):
            return sum(x * y for x, y in zip(u, v))
        self.assertAlmostEqual(cosine(a, a), 1)
        self.assertGreater(cosine(a, b), cosine(a, c))


if __name__ == "__main__":
    unittest.main()
