"""h2spec against our proxies: its frames go from a meshed pod in clear to the outbound proxy, which
ends HTTP/2 there. What it expects in vain is listed with reasons in expected-failures.txt."""
import html
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
SOURCE = pathlib.Path(os.environ["SALLYPORT_SOURCE"])
BINARY = pathlib.Path(os.environ["SALLYPORT"])
sys.path.insert(0, str(SOURCE / "bench/gate2.d"))
import hosts  # noqa: E402

WANTED = 131  # what Envoy 1.40 passes, of 145
ORIGIN = """
daemon off; master_process off; worker_processes 1; pid {dir}/pid; error_log {dir}/error.log;
events {{ worker_connections 1024; }}
http {{
  access_log off; client_body_temp_path {dir}/t; proxy_temp_path {dir}/t;
  fastcgi_temp_path {dir}/t; uwsgi_temp_path {dir}/t; scgi_temp_path {dir}/t;
  server {{ listen 8080 http2; location / {{ root {dir}/www; error_page 405 =200 $uri; }} }}
}}
"""


def expected_failures():
    lines = (HERE / "expected-failures.txt").read_text().splitlines()
    return {line.strip() for line in lines if line.strip() and not line.startswith("#")}


def read_report(path):
    """`SECTION: TITLE` to passed, failed or skipped. The file is not always well-formed XML."""
    results, again = {}, {}
    for section, title, rest in re.findall(
            r'<testcase package="([^"]*)" classname="([^"]*)"[^>]*?(/>|>.*?</testcase>)',
            path.read_text(errors="replace"), re.S):
        name = f"{section}: {html.unescape(title)}"
        again[name] = again.get(name, 0) + 1
        if again[name] > 1:  # a few titles occur twice in a section
            name += f" ({again[name]})"
        results[name] = ("failed" if "<failure" in rest or "<error" in rest else
                         "skipped" if "<skipped" in rest else "passed")
    return results


class H2Spec(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="sallyport-h2spec-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.folder.chmod(0o755)
        self.hosts = hosts.Hosts(self.folder)
        self.addCleanup(self.hosts.close)

    def start(self):
        www = self.folder / "www"
        www.mkdir()
        (www / "index.html").write_bytes(b"x" * 1024)
        config = self.folder / "origin.conf"
        config.write_text(ORIGIN.format(dir=self.folder))
        self.hosts.start("server", ["nginx", "-c", config, "-e", self.folder / "error.log"])
        node = subprocess.Popen(
            [BINARY.parent / "gate2_node", "--binary", BINARY, "--any-request",
             "--client", f"/run/netns/{self.hosts.names['client']}", hosts.CLIENT,
             "--server", f"/run/netns/{self.hosts.names['server']}", hosts.SERVER,
             "--folder", self.folder],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.addCleanup(node.stdout.close)
        self.addCleanup(node.wait, 20)
        self.addCleanup(node.stdin.close)
        line = node.stdout.readline()
        self.assertTrue(line, "gate2_node did not start")
        return json.loads(line)

    def test_as_many_as_envoy(self):
        tool = subprocess.run([HERE / "h2spec"], capture_output=True, text=True, check=True)
        pids = self.start()
        hello = subprocess.run(self.hosts.inside("client", [
            "curl", "-s", "-m5", "--http2-prior-knowledge", "-o", "/dev/null", "-w",
            "%{http_code} %{http_version}", f"http://{hosts.SERVER}:8080/"]),
            capture_output=True, text=True, check=False)
        self.assertEqual(hello.stdout, "200 2")

        report = self.folder / "report.xml"
        done = subprocess.run(self.hosts.inside("client", [
            tool.stdout.strip(), "-h", hosts.SERVER, "-p", 8080, "-o", 2, "-j", report]),
            capture_output=True, text=True, timeout=600, check=False)
        results = read_report(report)
        self.assertEqual(len(results), 145, done.stdout[-2000:])
        failed = {name for name, result in results.items() if result == "failed"}
        passed = sum(result == "passed" for result in results.values())
        print(f"h2spec: {passed} of {len(results)} passed", file=sys.stderr)
        expected = expected_failures()
        self.assertLessEqual(expected, set(results), "expected failures that do not exist")
        self.assertEqual(sorted(failed - expected), [], done.stdout[-6000:])
        self.assertGreaterEqual(passed, WANTED)
        for pid in (pids["client"], pids["server"]):
            self.assertTrue(pathlib.Path(f"/proc/{pid}").exists(), "a proxy ended")


if __name__ == "__main__":
    unittest.main()
