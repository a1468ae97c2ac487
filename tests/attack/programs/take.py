"""Prints what the origin of this pod has recorded."""
import socket
import sys

with socket.create_connection(("127.0.0.1", 9100), 10) as sock:
    while data := sock.recv(1 << 20):
        sys.stdout.buffer.write(data)
