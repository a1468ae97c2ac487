"""Our own pair: two `sallyport proxy` processes, driven by gate2_node in the node's place. With real
interception, and once more with an access log."""
import json
import subprocess

import hosts
import peers


class Sallyport(peers.Subject):
    name = "sallyport"
    tls = hosts.SERVER, peers.ORIGIN
    alpn = "istio-http/1.1"
    groups = ("X25519", "X25519MLKEM768")
    options = ()

    def start_proxies(self):
        self.node = subprocess.Popen(
            [self.tools / "gate2_node", "--binary", self.tools / "sallyport",
             "--client", f"/run/netns/{self.hosts.names['client']}", hosts.CLIENT,
             "--server", f"/run/netns/{self.hosts.names['server']}", hosts.SERVER,
             "--folder", self.folder, *self.options],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            stderr=open(self.folder / "node.log", "wb"))
        line = self.node.stdout.readline()
        if not line:
            raise SystemExit("gate2_node did not start: " +
                             (self.folder / "node.log").read_text(errors="replace"))
        facts = json.loads(line)
        self.mark = facts["mark"]
        self.proxies = {who: Running(facts[who]) for who in ("client", "server")}

    def close(self):
        if getattr(self, "node", None):
            self.node.stdin.close()
            self.node.wait(20)
        super().close()


class Running:
    def __init__(self, pid):
        self.pid = pid


class SallyportLog(Sallyport):
    name = "sallyport+log"
    options = ("--access-log",)
