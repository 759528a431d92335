#!/usr/bin/env python3
"""conform_peer.py ADDRESS PORT - the other end of conform.c

The first byte of a connection is a wish: e(cho), c(lose), r(eset), s(ilent).
"""
import socket
import struct
import sys
import threading
import time


def serve(s):
    wish = s.recv(1)
    if wish == b"e":
        while True:
            data = s.recv(65536)
            if not data:
                break
            s.sendall(data)
    elif wish == b"r":
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                     struct.pack("ii", 1, 0))
    elif wish == b"s":
        time.sleep(5)
    s.close()


def main():
    with socket.create_server((sys.argv[1], int(sys.argv[2])),
                              backlog=64) as lis:
        while True:
            s, _ = lis.accept()
            threading.Thread(target=serve, args=(s,), daemon=True).start()


main()
