#!/usr/bin/env python3
"""pairpeer.py HOST PORT MODE COUNT - the peer of pair.py, which see."""
import os
import socket
import sys
import threading

RECORD = 40


def record(who, n):
    return (f"{who}{n:08d}".encode() + b"." * RECORD)[:RECORD - 1] + b"\n"


def read_all(s):
    got = bytearray()
    while True:
        d = s.recv(65536)
        if not d:
            return bytes(got)
        got += d


def split(data):
    """The records before the last line, each whole, in each writer's order."""
    if not data.endswith(b"end\n"):
        raise SystemExit(f"no end: {data[-60:]!r}")
    data = data[:-4]
    by = {"p": [], "c": []}
    order = []
    for at in range(0, len(data), RECORD):
        r = data[at:at + RECORD]
        who = chr(r[0])
        if who not in by or r != record(who, len(by[who])):
            raise SystemExit(f"at {at}: {r!r}, of {who} had "
                             f"{len(by.get(who, []))}")
        by[who].append(at)
        order.append(who)
    return by, order


def both(s, count):
    by, _ = split(read_all(s))
    counts = len(by["p"]), len(by["c"])
    if counts != (count, count):
        raise SystemExit(f"records are missing: {counts}")


def killed(s, count):
    by, _ = split(read_all(s))
    if len(by["p"]) != count or len(by["c"]) < 50:
        raise SystemExit(f"missing: {len(by['p'])}, {len(by['c'])}")


def turns(s, count):
    _, order = split(read_all(s))
    if order != ["p", "c"] * count:
        raise SystemExit("out of turn")


def sleep(s, count):
    f = s.makefile("rb", buffering=0)
    for n in range(count):
        q = b""
        while len(q) < RECORD:
            d = f.read(RECORD - len(q))
            if not d:
                raise SystemExit(f"the end before request {n}")
            q += d
        if q != record("q", n):
            raise SystemExit(f"request {n}: {q!r}")
        s.sendall(record("a", n))
    if read_all(s) != b"end\n":
        raise SystemExit("no end")


def reads(s, count):
    n = total = 0
    for i in range(count):
        d = os.urandom(200 + i % 1300)
        s.sendall(d)
        n += len(d)
        total += sum(d)
    s.shutdown(socket.SHUT_WR)
    got = read_all(s)
    if got.split() != [str(n).encode(), str(total).encode(), b"end"]:
        raise SystemExit(f"sent {n} {total}, read {got!r}")


def duplex(s, count):
    t = threading.Thread(target=s.sendall, args=(b"r" * (count * 1000),))
    t.start()
    got = read_all(s)
    t.join()
    if got != b"w" * (count * 1000) + b"end\n":
        raise SystemExit(f"{len(got)} bytes came, {got[-10:]!r}")


MODES = {"both": both, "killed": killed, "turns": turns, "reads": reads,
         "duplex": duplex, "sleep": sleep}

mode, number = sys.argv[3], int(sys.argv[4])
sock = socket.create_connection((sys.argv[1], int(sys.argv[2])), 20)
sock.settimeout(40)
sock.sendall(f"{mode} {number}\n".encode())
MODES[mode.split("-")[0]](sock, number)
