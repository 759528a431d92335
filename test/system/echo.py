#!/usr/bin/env python3
"""echo.py IP PORT SECONDS [--conns N] [--until FILE]

Sends random bytes on N connections and checks that exactly they come back,
for SECONDS or until FILE exists.  Exit status 0: all came back.  1: bytes
differ or time is up with bytes missing.  3: the peer ended a connection.
"""
import argparse
import os
import random
import socket
import sys
import time


def parse():
    p = argparse.ArgumentParser()
    p.add_argument("ip")
    p.add_argument("port", type=int)
    p.add_argument("seconds", type=float)
    p.add_argument("--conns", type=int, default=8)
    p.add_argument("--until", default="")
    return p.parse_args()


def exchange(s, data):
    s.sendall(data)
    got = b""
    while len(got) < len(data):
        part = s.recv(65536)
        if not part:
            print("the peer closed")
            sys.exit(3)
        got += part
    if got != data:
        sys.exit("bytes differ")


def main():
    args = parse()
    rng = random.Random(args.port)
    end = time.monotonic() + args.seconds
    socks = [socket.create_connection((args.ip, args.port), 5)
             for _ in range(args.conns)]
    rounds = 0
    try:
        while time.monotonic() < end and not (args.until and
                                              os.path.exists(args.until)):
            exchange(rng.choice(socks), rng.randbytes(rng.randint(1, 20000)))
            rounds += 1
    except TimeoutError:
        sys.exit("no answer for 5 s")
    except (ConnectionResetError, BrokenPipeError):
        print("the peer reset")
        sys.exit(3)
    print(f"{rounds} exchanges on {args.conns} connections")


main()
