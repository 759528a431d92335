#!/usr/bin/env python3
"""press.py ADDRESS PORT - connections that ask without end, until it is killed

What kills a server under load: half of the connections ask and read, half
come, ask and go.  Errors are expected, and met by a new connection.
"""
import socket
import sys
import threading
import time

ASK = b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n"


def once(addr, keep):
    with socket.create_connection(addr, 2) as s:
        for _ in range(1000 if keep else 1):
            s.sendall(ASK)
            if not s.recv(65536):
                return


def press(addr, keep):
    while True:
        try:
            once(addr, keep)
        except OSError:
            pass
        time.sleep(0.02)


where = (sys.argv[1], int(sys.argv[2]))
for k in range(12):
    threading.Thread(target=press, args=(where, k % 2), daemon=True).start()
time.sleep(30)
