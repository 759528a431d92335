#!/usr/bin/env python3
"""holes.py SOCKET - a program that punches holes into its own segment

Attaches to mtcpd, then lets go of every page of its segment while another
process (this one, too) takes every huge page that is free, so that mtcpd's
next touch of the segment finds no page.  Waits until mtcpd lets go of it.
"""
import array
import ctypes
import mmap
import os
import socket
import struct
import sys

CTL_HELLO, CTL_CONTEXT = 1, 2
MAGIC, VERSION = 0x6d746370, 1
SEGMENT_BYTES = 64 << 20
HUGE = 2 << 20
PUNCH_HOLE, KEEP_SIZE = 2, 1
MAP_HUGETLB, MAP_POPULATE = 0x40000, 0x8000


def request(kind, tag, body):
    return struct.pack("<II", kind, tag) + body.ljust(120, b"\0")


def free_huge_pages():
    with open("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages") as f:
        return int(f.read())


def take_all():
    """Maps every free huge page, one by one, and returns the mappings."""
    taken = []
    for _ in range(free_huge_pages()):
        try:
            taken.append(mmap.mmap(-1, HUGE, flags=mmap.MAP_PRIVATE |
                                   mmap.MAP_ANONYMOUS | MAP_HUGETLB |
                                   MAP_POPULATE))
        except OSError:
            break
    return taken


def main():
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    s.settimeout(10)
    s.connect(sys.argv[1])
    s.send(request(CTL_HELLO, 1, struct.pack("<IIIIQ", MAGIC, VERSION, 0, 0,
                                             SEGMENT_BYTES) + b"holes"))
    fds = array.array("i")
    reply, anc, _, _ = s.recvmsg(4096, socket.CMSG_SPACE(32 * 4))
    for _, _, data in anc:
        fds.frombytes(data)
    error = struct.unpack_from("<i", reply, 8)[0]
    if error or not fds:
        sys.exit("holes: not attached: %s" % os.strerror(error))
    huge = os.fstat(fds[0]).st_blksize == HUGE
    before = free_huge_pages()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.fallocate(fds[0], PUNCH_HOLE | KEEP_SIZE, ctypes.c_long(0),
                      ctypes.c_long(SEGMENT_BYTES)) < 0:
        sys.exit("holes: punch: %s" % os.strerror(ctypes.get_errno()))
    back = free_huge_pages() - before
    taken = take_all()
    print("huge %s, %d pages let go of, %d taken, %d free" %
          (huge, back, len(taken), free_huge_pages()))
    sys.stdout.flush()
    # mtcpd and its engines look at the segment now
    try:
        s.send(request(CTL_CONTEXT, 2, struct.pack("<I", 0)))
        os.write(fds[1], b"x")
        while s.recv(4096):
            pass
    except (BrokenPipeError, ConnectionResetError):
        pass
    except TimeoutError:
        sys.exit("holes: mtcpd did not let go of us")
    print("let go of")


if __name__ == "__main__":
    main()
