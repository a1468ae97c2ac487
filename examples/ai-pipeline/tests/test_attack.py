import contextlib
import io
import ipaddress
import json
import socket
import threading
import unittest

import context  # noqa: F401 (makes the programs importable)

import attack


def run(*arguments):
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
        status = attack.main(["attack.py", *arguments])
    return status, [json.loads(line) for line in out.getvalue().splitlines()]


class Attacks(unittest.TestCase):
    def test_scan_tells_open_from_refused(self):
        with socket.socket() as listening, socket.socket() as closed:
            listening.bind(("127.0.0.1", 0))
            listening.listen()
            closed.bind(("127.0.0.1", 0))
            ports = listening.getsockname()[1], closed.getsockname()[1]
            status, lines = run("scan", "127.0.0.1", *map(str, ports))
        self.assertEqual(status, 0)
        self.assertEqual(lines[-1], {"summary": "scan", "open": [ports[0]], "refused": [ports[1]]})

    def test_names_of_a_tunnel_carry_the_text(self):
        raw = attack.question("abc.0.example")
        self.assertEqual(raw[12:-4], b"\3abc\1" + b"0" + b"\7example\0")

    def test_checksums_of_forged_packets_are_right(self):
        for source, target in (("198.18.0.1", "198.18.0.2"), ("fd00::1", "fd00::2")):
            a, b = ipaddress.ip_address(source), ipaddress.ip_address(target)
            packet = attack.datagram(a, b, 53, b"odd")
            udp = packet[20 if a.version == 4 else 40:]
            pseudo = a.packed + b.packed + len(udp).to_bytes(4, "big") + (17).to_bytes(4, "big")
            self.assertEqual(attack.checksum(pseudo + udp), 0)
            if a.version == 4:
                self.assertEqual(attack.checksum(packet[:20]), 0)

    def test_knock_counts(self):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            status, lines = run("knock", "127.0.0.1", str(s.getsockname()[1]), "0.2")
        self.assertEqual(status, 1)
        self.assertEqual(list(lines[-1]), ["summary", "refused"])

    def test_tunnel_counts_answers(self):
        # Port 53 of a loopback address of our own: nobody else uses it.
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.bind(("127.77.53.1", 53))
            s.settimeout(5)

            def answer():
                data, sender = s.recvfrom(512)
                s.sendto(data, sender)
            thread = threading.Thread(target=answer)
            thread.start()
            status, lines = run("tunnel", "127.77.53.1", "leak.example", "secret")
            thread.join()
        self.assertEqual(status, 0)
        self.assertEqual((lines[-1]["names"], lines[-1]["answered"], lines[-1]["tcp"]),
                         (1, 1, "refused"))

    def test_usage(self):
        self.assertEqual(run("dance")[0], 2)
        self.assertEqual(run("scan")[0], 2)
        self.assertEqual(run("spoof", "fd00::1", "198.18.0.1", "1")[0], 2)


if __name__ == "__main__":
    unittest.main()
