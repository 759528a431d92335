#!/usr/bin/env python3
"""pair.py PORT - a parent and its child use one connection.

The peer (pairpeer.py) sends a line first, "MODE COUNT"; what the two do then
is by mode.  A record is 40 bytes: who, a number, filling, a newline.

  both    both write COUNT records at once, with no word between them
  turns   they write in turn, each by the other's word
  sleep   the child sleeps in recv() (sleep-poll, sleep-select, sleep-epoll,
          sleep-edge: in that), the parent writes; each request is written
          when the child has told of the last answer, which it alone reads
  reads   both read at once; each says how many bytes and their sum
  killed  as both, but the child is killed meanwhile
  duplex  one reads all that comes, the other writes COUNT * 1000 bytes

The last line to come is the parent's word that all went well: "end\n".
"""
import os
import select
import signal
import socket
import sys

RECORD = 40


def record(who, n):
    return (f"{who}{n:08d}".encode() + b"." * RECORD)[:RECORD - 1] + b"\n"


def write_records(s, who, end, start=0):
    for n in range(start, end):
        s.sendall(record(who, n))


def child_of(work):
    """A child that does work() and says how it went by its status."""
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        work()
        status = 0
    finally:
        os._exit(status)


def end_well(pid):
    status = os.waitpid(pid, 0)[1]
    if status:
        raise RuntimeError(f"the child ended with {status}")


def both(s, count):
    pid = child_of(lambda: write_records(s, "c", count))
    write_records(s, "p", count)
    end_well(pid)


def killed(s, count):
    said, says = os.pipe()

    def work():
        write_records(s, "c", 50)
        os.write(says, b"x")
        write_records(s, "c", 1 << 30, 50)
    pid = child_of(work)
    write_records(s, "p", count // 2)
    os.read(said, 1)
    os.kill(pid, signal.SIGKILL)
    write_records(s, "p", count, count // 2)
    os.waitpid(pid, 0)


def turns(s, count):
    to_child, to_parent = os.pipe(), os.pipe()

    def work():
        for n in range(count):
            os.read(to_child[0], 1)
            s.sendall(record("c", n))
            os.write(to_parent[1], b"x")
    pid = child_of(work)
    for n in range(count):
        s.sendall(record("p", n))
        os.write(to_child[1], b"x")
        os.read(to_parent[0], 1)
    end_well(pid)


def waiter(s, how):
    """A call that returns when there is something to read."""
    if how == "poll":
        p = select.poll()
        p.register(s, select.POLLIN)
        return p.poll
    if how == "select":
        return lambda: select.select([s], [], [])
    if how in ("epoll", "edge"):
        p = select.epoll()
        p.register(s, select.EPOLLIN |
                   (select.EPOLLET if how == "edge" else 0))
        return p.poll
    return lambda: None


def read_record(s, wait):
    """Reads on without waiting, as who is told of edges must."""
    got = b""
    while len(got) < RECORD:
        try:
            d = s.recv(RECORD - len(got))
        except BlockingIOError:
            wait()
            continue
        if not d:
            raise RuntimeError(f"the end after {len(got)} bytes")
        got += d
    return got


def sleep(s, count, how=""):
    said, says = os.pipe()

    def work():
        s.setblocking(not how)
        wait = waiter(s, how)
        for n in range(count):
            if read_record(s, wait) != record("a", n):
                raise RuntimeError(f"another answer than {n}")
            os.write(says, b"x")
    pid = child_of(work)
    for n in range(count):
        s.setblocking(True)
        s.sendall(record("q", n))
        if not select.select([said], [], [], 20)[0]:
            os.kill(pid, signal.SIGKILL)
            raise RuntimeError(f"the child slept over answer {n}")
        os.read(said, 1)
    end_well(pid)


def reads(s, count):
    said, says = os.pipe()

    def work():
        n = total = 0
        while True:
            d = s.recv(1000)
            if not d:
                break
            n += len(d)
            total += sum(d)
        os.write(says, f"{n} {total}\n".encode())
    pids = [child_of(work), child_of(work)]
    for pid in pids:
        end_well(pid)
    lines = os.read(said, 1000).split()
    n = sum(int(x) for x in lines[::2])
    total = sum(int(x) for x in lines[1::2])
    s.sendall((f"{n} {total}".encode() + b" " * RECORD)[:RECORD - 1] + b"\n")


def duplex(s, count):
    def work():
        left = count * 1000
        while left:
            left -= len(s.recv(min(left, 65536)))
    pid = child_of(work)
    s.sendall(b"w" * (count * 1000))
    end_well(pid)


MODES = {"both": both, "killed": killed, "turns": turns, "reads": reads,
         "duplex": duplex, "sleep": sleep}


def serve(s):
    line = b""
    while not line.endswith(b"\n"):
        line += s.recv(1)
    mode, count = line.split()
    mode, _, how = mode.decode().partition("-")
    MODES[mode](s, int(count), *([how] if how else []))
    s.sendall(b"end\n")


def main():
    lis = socket.create_server(("", int(sys.argv[1])), backlog=16)
    print("ready", flush=True)
    while True:
        s = lis.accept()[0]
        try:
            serve(s)
        except Exception as e:                  # the peer sees no "end"
            print(f"failed: {e!r}", flush=True)
        s.close()


main()
