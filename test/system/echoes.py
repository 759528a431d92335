"""echoes.py ADDRESS PORT CONNECTIONS - an echo server's clients, ten at a time.

Each sends random data of random sizes, reads it back, then closes its half and
expects the end of the stream, neither more data nor a reset.
"""
import os
import random
import socket
import sys
import threading

bad = []


def one(addr, seed):
    r = random.Random(seed)
    with socket.create_connection(addr, 20) as s:
        for _ in range(10):
            data = os.urandom(r.choice((1, 100, 1500, 60000)))
            s.sendall(data)
            got = b""
            while len(got) < len(data):
                more = s.recv(65536)
                if not more:
                    raise EOFError("the end after %d of %d bytes"
                                   % (len(got), len(data)))
                got += more
            if got != data:
                raise ValueError("the data differ")
        s.shutdown(socket.SHUT_WR)
        if s.recv(1):
            raise ValueError("more than was sent")


def work(addr, seeds):
    for seed in seeds:
        try:
            one(addr, seed)
        except (OSError, EOFError, ValueError) as e:
            bad.append("connection %d: %r" % (seed, e))


def main():
    addr, count = (sys.argv[1], int(sys.argv[2])), int(sys.argv[3])
    threads = [threading.Thread(target=work, args=(addr, range(k, count, 10)))
               for k in range(min(10, count))]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    if bad:
        sys.exit("%d failed: %s" % (len(bad), bad[0]))


main()
