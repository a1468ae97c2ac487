"""One figure of one subject at a time. Each returns a number, or None where a subject has no such
figure."""
import json
import pathlib
import statistics
import subprocess
import sys

import certificates
import hosts

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import report  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent


def said(command, **more):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False,
                          **more)
    if done.returncode != 0:
        raise SystemExit(f"{command[:8]}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def wrk(subject, connections, seconds):
    address, port = subject.near
    before = hosts.cpu_us(subject.pids())
    line = said(subject.hosts.inside("client", [
        "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", HERE.parent / "wrk_report.lua",
        f"http://{address}:{port}/1k"], "load")).strip().splitlines()[-1]
    row = json.loads(line)
    if row["errors"]:
        raise SystemExit(f"{subject.name}: wrk had errors: {row}")
    row["cpu_us"] = (hosts.cpu_us(subject.pids()) - before) / max(1, row["requests"]) / 2
    row["rate"] = row["requests"] / row["duration_us"] * 1e6
    return row


def latency(subject, seconds):
    return wrk(subject, 1, seconds)["p50_us"]


def cpu(subject, seconds):
    return wrk(subject, 16, seconds)["cpu_us"] if subject.proxies else None


def rate(subject, seconds):
    return wrk(subject, 128, seconds)["rate"]


def tls_client(subject, mode, count, group="X25519"):
    address, port = subject.tls
    return [subject.tools / "gate2_tls", mode, address, port, "--count", count, "--group", group,
            "--cert", subject.folder / "caller.pem", "--key", subject.folder / "caller.key",
            "--ca", subject.folder / "ca.pem", "--alpn", subject.alpn, "--mark", subject.mark]


def handshake(subject, group, count):
    """Microseconds of the far proxy's CPU."""
    if not subject.tls or group not in subject.groups:
        return None
    pids = subject.pids("server")
    before = hosts.cpu_us(pids)
    said(subject.hosts.inside("client", tls_client(subject, "handshake", count, group), "load"))
    return (hosts.cpu_us(pids) - before) / count


def idle_memory(subject, count):
    """KiB per connection in the far proxy; it must be fresh."""
    if not subject.tls:
        return None
    pids = subject.pids("server")
    before = hosts.rss_kib(pids)
    command = subject.hosts.inside("client", tls_client(subject, "hold", count), "load")
    with subprocess.Popen(list(map(str, command)), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True) as holder:
        if not holder.stdout.readline():
            raise SystemExit(f"{subject.name}: {holder.stderr.read().strip()}")
        used = hosts.rss_kib(pids) - before
        holder.stdin.close()
    return used / count


def empty_memory(subject):
    """MiB of one proxy process that has served nothing."""
    return hosts.rss_kib(subject.pids("server")) / 1024 if subject.proxies else None


def download(subject):
    """MB per second of one response of 1 GiB."""
    address, port = subject.near
    speed = said(subject.hosts.inside("client", [
        "curl", "-sf", "-m120", "-o", "/dev/null", "-w", "%{speed_download} %{size_download}",
        f"http://{address}:{port}/1g"], "load"))
    speed, size = speed.split()
    if int(size) != 1 << 30:
        raise SystemExit(f"{subject.name}: the download had {size} bytes")
    return float(speed) / 1e6


def events(subject, streams, seconds):
    address, port = subject.near_events
    row = json.loads(said(subject.hosts.inside("client", [
        subject.tools / "gate2_sse", "read", address, port, streams, seconds, "/sse"], "load")))
    return row["p50_us"]


def refuses_strangers(subject):
    """The rule on the caller's identity is in force: the called one may not call itself."""
    if not subject.tls:
        return
    command = tls_client(subject, "hold", 1)
    stranger = [str(part).replace("caller.", "called.") for part in command]
    done = subprocess.run(list(map(str, subject.hosts.inside("client", stranger))),
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        raise SystemExit(f"{subject.name}: {certificates.CALLED} was let in")


def added(rows, name):
    """Round by round: the subject less nothing in between."""
    return [pair - direct for pair, direct in zip(rows[name], rows["direct"])]


def median(values):
    values = [value for value in values if value is not None]
    return statistics.median(values) if values else None


def ratios(ours, theirs):
    return [a / b for a, b in zip(ours, theirs) if a is not None and b]


def summary(values):
    return report.summary(values)
