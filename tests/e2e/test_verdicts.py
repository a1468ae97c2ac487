"""Gate 1 on the traffic of running pods: who may reach whom, and how it is told."""
import unittest

from harness import NodeTest, cli, eventually
from worlds import BASE, POLICY

HTTP = ["/usr/bin/curl", "-s", "-m", "2"]


class Verdicts(NodeTest):
    NAME = "e2e-verdicts"
    MANIFESTS = {"base.yaml": BASE, "policy.yaml": POLICY}

    def curl(self, pod, url):
        return self.node.exec(pod, *HTTP, url)

    def denied(self, *words):
        return [f for f in self.node.flows("--verdict", "denied", *words)]

    def test_allowed_by_rule_through_service_and_name(self):
        for url in ("http://server.shop/", "http://server.shop.svc.cluster.local/",
                    f"http://{self.node.address('shop', 'server')}:8080/",
                    f"http://[{self.node.address('shop', 'server', 6)}]:8080/"):
            done = self.curl("shop/friend", url)
            self.assertEqual((done.returncode, done.stdout), (0, "hello\n"), url + done.stderr)
        flows = eventually(self, lambda: [
            f for f in self.node.flows("--from", "shop/friend", "--to", "shop/server")
            if f["kind"] == "new" and f["verdict"] == "allowed"], what="the allowed flow")
        self.assertEqual(flows[0]["schema"], "sallyport.dev/flow/v1alpha1")
        self.assertEqual((flows[0]["ingress"]["policy"], flows[0]["ingress"]["rule"]),
                         ("shop/server-ingress", 0))
        self.assertEqual(flows[0]["destination"]["port"], 8080)

    def test_denied_names_policy_and_nearest_rule(self):
        done = self.curl("street/stranger", "http://server.shop/")
        self.assertEqual(done.returncode, 28, "a denied connection times out: " + done.stderr)
        flows = eventually(self, lambda: self.denied("--from", "street/stranger", "--to",
                                                     "shop/server"), what="the denied flow")
        ingress = flows[-1]["ingress"]
        self.assertEqual(ingress["isolatedBy"], ["shop/server-ingress"])
        self.assertEqual(ingress["nearest"]["policy"], "shop/server-ingress")
        self.assertIn("app", ingress["nearest"]["why"] + "namespace app")
        text = self.node.run("flows", "--verdict", "denied", "--last", "5").stdout
        self.assertIn("street/stranger", text)
        self.assertIn("shop/server-ingress", text)

    def test_other_port_of_the_server_is_denied(self):
        ip = self.node.address("shop", "server")
        done = self.node.exec("shop/friend", "/usr/bin/nc", "-z", "-w", "1", ip, "9999")
        self.assertNotEqual(done.returncode, 0)
        eventually(self, lambda: [f for f in self.denied("--from", "shop/friend")
                                  if f["destination"]["port"] == 9999], what="the denied port")

    def test_both_families_are_denied(self):
        ip = self.node.address("shop", "server", 6)
        self.assertEqual(self.curl("street/stranger", f"http://[{ip}]:8080/").returncode, 28)

    def test_pods_that_no_policy_selects_are_open(self):
        ip = self.node.address("street", "stranger")
        # Nothing listens there: an answer at once (refused) shows that the packet arrived.
        done = self.node.exec("shop/friend", "/usr/bin/nc", "-z", "-w", "3", "-v", ip, "4444")
        self.assertIn("refused", done.stderr)

    def test_explain_agrees_with_the_kernel(self):
        yes = self.node.run("explain", "shop/friend", "shop/server:8080")
        self.assertEqual(yes.returncode, 0, yes.stdout + yes.stderr)
        self.assertIn("shop/server-ingress", yes.stdout)
        no = self.node.run("explain", "street/stranger", "svc/shop/server")
        self.assertEqual(no.returncode, 1, no.stdout + no.stderr)
        self.assertIn("shop/server-ingress", no.stdout)
        self.assertEqual(self.node.run("explain", "shop/nobody", "shop/server:8080").returncode, 2)

    def test_the_dump_is_a_world(self):
        dump = self.node.run("get", "all", "-o", "yaml", check=True).stdout
        path = self.node.dir.with_suffix(".world.yaml")
        path.write_text(dump)
        self.addCleanup(path.unlink)
        done = cli("explain", "street/stranger", "shop/server:8080", "--world", str(path))
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        done = cli("explain", "shop/friend", "shop/server:8080", "--world", str(path))
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_spoofed_source_is_dropped(self):
        program = (
            "import socket,struct\n"
            f"dst='{self.node.address('shop', 'server')}'\n"
            f"src='{self.node.address('shop', 'friend')}'\n"
            "s=socket.socket(socket.AF_INET,socket.SOCK_RAW,socket.IPPROTO_RAW)\n"
            "udp=struct.pack('!HHHH',40000,8081,12,0)+b'fake'\n"
            "ip=struct.pack('!BBHHHBBH4s4s',0x45,0,20+len(udp),1,0,64,17,0,"
            "socket.inet_aton(src),socket.inet_aton(dst))\n"
            "s.sendto(ip+udp,(dst,0))\n")
        done = self.node.exec("street/stranger", "/usr/bin/python3", "-c", program)
        self.assertEqual(done.returncode, 0, done.stderr)
        eventually(self, lambda: [f for f in self.denied() if "spoof" in f["reason"]],
                   what="the spoofed packet's event")

    def test_the_outside_world_is_behind_the_gate(self):
        done = self.node.exec("street/stranger", *HTTP, "http://198.19.128.9/")
        self.assertEqual(done.returncode, 0, "no egress policy: open; " + done.stderr)

    def test_nothing_reaches_the_host(self):
        done = self.node.exec("street/stranger", "/usr/bin/nc", "-z", "-w", "1", "127.0.0.1", "22")
        self.assertNotEqual(done.returncode, 0)

    def test_metrics_pass_promtool(self):
        import subprocess
        text = self.node.run("metrics", check=True).stdout
        self.assertIn("sallyport_generation", text)
        done = subprocess.run(["promtool", "check", "metrics"], input=text, text=True,
                              capture_output=True, timeout=30)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_port_forward_reaches_the_service(self):
        import socket
        import subprocess
        from harness import BINARY
        forward = subprocess.Popen(
            [BINARY, "port-forward", "svc/shop/server", "0:80", "--name", self.NAME],
            stdout=subprocess.PIPE, text=True)
        self.addCleanup(forward.stdout.close)
        self.addCleanup(forward.wait)
        self.addCleanup(forward.kill)
        port = int(forward.stdout.readline().split("127.0.0.1:")[1].split()[0])
        with socket.create_connection(("127.0.0.1", port), 5) as c:
            c.sendall(b"GET / HTTP/1.0\r\n\r\n")
            data = b""
            while chunk := c.recv(4096):
                data += chunk
        self.assertTrue(data.endswith(b"hello\n"), data)

    def test_logs_and_exec(self):
        self.assertIn("serving", self.node.run("logs", "shop/server", check=True).stdout)
        self.assertEqual(self.node.exec("shop/friend", "/bin/sh", "-c", "exit 7").returncode, 7)
        done = self.node.run("exec", "shop/friend", "--", "/usr/bin/cat", stdin="through\n")
        self.assertEqual(done.stdout, "through\n")
        self.assertEqual(self.node.run("logs", "shop/nobody").returncode, 2)

    def test_tables_and_status(self):
        text = self.node.run("get", "pods", check=True).stdout
        self.assertRegex(text, r"shop +server +1/1 +Running")
        self.assertRegex(self.node.run("get", "services", check=True).stdout, r"shop +server +198\.19\.")
        self.assertIn("server-ingress", self.node.run("get", "policies", check=True).stdout)
        self.assertIn("server-ipv4", self.node.run("get", "endpoints", check=True).stdout)
        self.assertEqual(self.node.run("get", "unicorns").returncode, 2)
        status = self.node.status()
        self.assertTrue(status["ready"], status)
        self.assertGreater(status["generation"], 0)


if __name__ == "__main__":
    unittest.main()
