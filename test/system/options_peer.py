#!/usr/bin/env python3
"""options_peer.py server IP PORT      echo, with Fast Open
options_peer.py client IP PORT COUNT   connects with Fast Open, checks the echo
options_peer.py ttl DEVICE FROM FILE   TTLs and data of SYNs seen from a host,
                                       a line each into FILE, until it ends
"""
import socket
import struct
import sys


def server(ip, port):
    s = socket.create_server((ip, int(port)), backlog=64)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, 16)
    while True:
        c, _ = s.accept()
        c.settimeout(10)
        try:
            while data := c.recv(4096):
                c.sendall(data)
        except OSError as e:
            print(e, flush=True)
        c.close()


def client(ip, port, count):
    for _ in range(int(count)):
        s = socket.socket()
        # not settimeout(): that is a non-blocking socket
        for name in socket.SO_RCVTIMEO, socket.SO_SNDTIMEO:
            s.setsockopt(socket.SOL_SOCKET, name, struct.pack("ll", 10, 0))
        s.sendto(b"hello", socket.MSG_FASTOPEN, (ip, int(port)))
        if s.recv(100) != b"hello":
            sys.exit("another echo")
        s.close()


def ttl(device, host, path):
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
    s.bind((device, 0))
    with open(path, "w", buffering=1) as out:
        while True:
            f = s.recv(2000)
            if f[23] != 6 or socket.inet_ntoa(f[26:30]) != host:
                continue
            total, = struct.unpack("!H", f[16:18])
            data = total - 20 - (f[46] >> 4) * 4
            syn = (f[47] & 0x12) == 2
            out.write(f"ttl={f[22]} tos={f[15]} syn={int(syn)} data={data}\n")


{"server": server, "client": client, "ttl": ttl}[sys.argv[1]](*sys.argv[2:])
