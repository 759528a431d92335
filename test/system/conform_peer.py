#!/usr/bin/env python3
"""conform_peer.py ADDRESS PORT - the other end of conform.c

The first byte of a connection is a wish: e(cho), c(lose), r(eset), s(ilent);
d(ata) and 4 bytes, a count: sends so many; w(atch): reads to the end and
remembers how it ended under the connection's port; q(uery) and 2 bytes, such
a port: answers e(of) or r(eset) and the count of bytes; b(ack), a port, a
count and c(lose), h(i), k(eep), r(eset): connects so often, answers how many.
"""
import socket
import struct
import sys
import threading
import time

SEEN = {}
KEPT = []


def reset(s):
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                 struct.pack("ii", 1, 0))


def echo(s):
    try:
        while True:
            data = s.recv(65536)
            if not data:
                break
            s.sendall(data)
    except OSError:
        pass


def watch(s, port):
    n, how = 0, b"e"
    try:
        while True:
            data = s.recv(65536)
            if not data:
                break
            n += len(data)
    except OSError:
        how = b"r"
    SEEN[port] = how + struct.pack("!I", n)


def query(s):
    port = struct.unpack("!H", s.recv(2))[0]
    for _ in range(50):
        if port in SEEN:
            break
        time.sleep(0.1)
    s.sendall(SEEN.pop(port, b"?" + struct.pack("!I", 0)))


def back(s, addr):
    port, count, how = struct.unpack("!HBc", s.recv(4, socket.MSG_WAITALL))
    got = 0
    for _ in range(count):
        try:
            c = socket.create_connection((addr, port), 1)
        except OSError:
            continue
        got += 1
        c.settimeout(None)
        if how == b"h":
            c.sendall(b"hi")
        if how == b"k":
            KEPT.append(c)
            threading.Thread(target=echo, args=(c,), daemon=True).start()
            continue
        if how == b"r":
            reset(c)
        c.close()
    s.sendall(bytes([got]))


def serve(s, addr):
    wish = s.recv(1)
    if wish == b"e":
        echo(s)
    elif wish == b"r":
        reset(s)
    elif wish == b"s":
        time.sleep(5)
    elif wish == b"d":
        count = struct.unpack("!I", s.recv(4, socket.MSG_WAITALL))[0]
        s.sendall(bytes(i % 251 for i in range(count)))
        s.shutdown(socket.SHUT_WR)
        s.recv(1)
    elif wish == b"w":
        s.sendall(b"w")
        watch(s, addr[1])
    elif wish == b"q":
        query(s)
    elif wish == b"b":
        back(s, addr[0])
    s.close()


def run(s, addr):
    try:
        serve(s, addr)
    except OSError:
        s.close()


def main():
    with socket.create_server((sys.argv[1], int(sys.argv[2])),
                              backlog=64) as lis:
        while True:
            s, addr = lis.accept()
            threading.Thread(target=run, args=(s, addr), daemon=True).start()


main()
