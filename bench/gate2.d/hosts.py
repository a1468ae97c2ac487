"""Two hosts as network namespaces joined by a veth pair, processes in them, and what these use."""
import os
import pathlib
import subprocess
import time

CLIENT, SERVER = "198.18.40.1", "198.18.40.2"


class Hosts:
    """A pair of namespaces of one subject; every subject has its own pair with the same addresses."""

    count = 0

    def __init__(self, folder):
        Hosts.count += 1
        self.folder = folder
        self.names = {who: f"spb{os.getpid()}-{Hosts.count}-{who}" for who in ("client", "server")}
        self.processes = []
        self.cpu = {}  # who: a list of CPUs, where placement is fixed
        for name in self.names.values():
            run(["ip", "netns", "add", name])
        client, server = self.names["client"], self.names["server"]
        run(["ip", "link", "add", "eth0", "netns", client, "type", "veth",
             "peer", "name", "eth0", "netns", server])
        for name, address in ((client, CLIENT), (server, SERVER)):
            for line in (["link", "set", "lo", "up"], ["link", "set", "eth0", "up"],
                         ["address", "add", address + "/24", "dev", "eth0"]):
                run(["ip", "-n", name, *line])
            # A proxy without keep-alive to its origin would run out of ports.
            run(["ip", "netns", "exec", name, "sysctl", "-qw",
                 "net.ipv4.ip_local_port_range=2000 65000", "net.ipv4.tcp_tw_reuse=1",
                 "net.core.somaxconn=4096"])

    def inside(self, who, command, part=None):
        pinned = self.cpu.get(part or who)
        more = ["taskset", "-c", ",".join(map(str, pinned))] if pinned else []
        return ["nsenter", f"--net=/run/netns/{self.names[who]}", *more, *map(str, command)]

    def start(self, who, command, part=None, **more):
        with open(self.folder / f"{pathlib.Path(str(command[0])).name}-{who}.out", "ab") as log:
            # In a session of its own, as our proxies are: the scheduler may share by sessions.
            process = subprocess.Popen(self.inside(who, command, part), start_new_session=True,
                                       stdout=more.pop("stdout", log), stderr=log, **more)
        self.processes.append(process)
        return process

    def close(self):
        for process in reversed(self.processes):
            process.terminate()
        for process in self.processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for name in self.names.values():
            run(["ip", "netns", "delete", name])


def run(command):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, command))}: {done.stderr.strip()}")
    return done.stdout


def wait_for(what, happened, seconds=20):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if happened():
            return
        time.sleep(0.05)
    raise SystemExit(f"gave up waiting for {what}")


def tree(pid):
    """The process and its descendants."""
    out = [pid]
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        children = (task / "children").read_text().split()
        for child in children:
            out += tree(int(child))
    return out


def cpu_us(pids):
    """CPU time of all threads, by the scheduler's own clock; falls back to ticks."""
    total = 0
    for pid in pids:
        for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
            total += int((task / "schedstat").read_text().split()[0])
    return total / 1000


def ticks_us(pids):
    """The same from /proc/PID/stat, in steps of a clock tick."""
    total = 0
    for pid in pids:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total * 1e6 / os.sysconf("SC_CLK_TCK")


def rss_kib(pids):
    total = 0
    for pid in pids:
        for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                total += int(line.split()[1])
    return total
