#!/usr/bin/env python3
"""hold.py IP PORT N [--rounds R] [--hold SECONDS] [--ready FILE]

Opens N connections at once, sends R HTTP requests on each, all N being open,
and checks every reply.  Then writes FILE, holds them for SECONDS and closes.
Exit status 0 when every reply on every connection came.
"""
import argparse
import errno
import resource
import select
import socket
import sys
import time

REQUEST = b"GET / HTTP/1.1\r\nHost: hold\r\n\r\n"


def parse():
    p = argparse.ArgumentParser()
    p.add_argument("ip")
    p.add_argument("port", type=int)
    p.add_argument("count", type=int)
    p.add_argument("--rounds", type=int, default=1)
    p.add_argument("--hold", type=float, default=0)
    p.add_argument("--ready")
    p.add_argument("--seconds", type=float, default=60)
    return p.parse_args()


def connect_all(args, poll, deadline):
    """All N connections established, a few hundred handshakes at a time."""
    socks, waiting = {}, set()
    while len(socks) < args.count or waiting:
        while len(socks) < args.count and len(waiting) < 256:
            s = socket.socket()
            s.setblocking(False)
            err = s.connect_ex((args.ip, args.port))
            if err not in (0, errno.EINPROGRESS):
                sys.exit(f"connect {len(socks)}: {errno.errorcode[err]}")
            socks[s.fileno()] = s
            waiting.add(s.fileno())
            poll.register(s, select.EPOLLOUT)
        for fd, _ in poll.poll(1):
            err = socks[fd].getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if err:
                sys.exit(f"connect: {errno.errorcode[err]}")
            waiting.discard(fd)
            poll.modify(fd, select.EPOLLIN)
        if time.monotonic() > deadline:
            sys.exit(f"{len(waiting)} of {len(socks)} still connecting")
    return socks


def whole(reply):
    head, sep, body = reply.partition(b"\r\n\r\n")
    if not sep:
        return False
    if not head.startswith(b"HTTP/1.1 200"):
        sys.exit(f"not a 200: {head[:60]!r}")
    length = [h for h in head.split(b"\r\n") if h.startswith(b"Content-Length:")]
    return len(body) >= int(length[0].split(b":")[1])


def ask_all(socks, poll, deadline):
    replies = {fd: b"" for fd in socks}
    for s in socks.values():
        s.send(REQUEST)
    while replies:
        for fd, _ in poll.poll(1):
            data = socks[fd].recv(65536)
            if not data:
                sys.exit("connection closed before its reply")
            replies[fd] += data
            if whole(replies[fd]):
                del replies[fd]
        if time.monotonic() > deadline:
            sys.exit(f"{len(replies)} of {len(socks)} replies did not come")


def main():
    args = parse()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    deadline = time.monotonic() + args.seconds
    poll = select.epoll()
    socks = connect_all(args, poll, deadline)
    for _ in range(args.rounds):
        ask_all(socks, poll, deadline)
    print(f"{len(socks)} open, {args.rounds} replies each", flush=True)
    if args.ready:
        open(args.ready, "w").close()
    end = time.monotonic() + args.hold
    while time.monotonic() < end:
        for fd, _ in poll.poll(end - time.monotonic()):
            if not socks[fd].recv(65536):
                sys.exit("the server closed while we held")
    for s in socks.values():
        s.close()


main()
