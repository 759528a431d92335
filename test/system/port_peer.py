#!/usr/bin/env python3
"""The kernel's side of port_*.sh: pings through the kernel's stack, and crafted
frames through AF_PACKET.  Sends only to the address given.

    port_peer.py ping ADDRESS COUNT BYTES       one at a time; exits 1 on a loss
    port_peer.py flood ADDRESS SECONDS          as many in flight as answered
    port_peer.py raw DEVICE MAC ADDRESS KIND    tagged | double | short | big
                                                | random; prints answers=N
"""
import random
import socket
import struct
import sys
import time


def checksum(data):
    if len(data) & 1:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def echo(ident, seq, size):
    body = bytes((seq + i) & 0xFF for i in range(size))
    head = struct.pack("!BBHHH", 8, 0, 0, ident, seq & 0xFFFF)
    head = struct.pack("!BBHHH", 8, 0, checksum(head + body), ident, seq & 0xFFFF)
    return head + body


def icmp_socket(timeout):
    s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    s.settimeout(timeout)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    return s


def wait_reply(s, want):
    """True when the echo reply to `want` (type 0 instead of 8) arrives."""
    end = time.monotonic() + 1
    while time.monotonic() < end:
        try:
            got = s.recv(70000)
        except (TimeoutError, socket.timeout):
            return False
        if got[20] == 0 and got[24:] == want[4:]:
            return checksum(got[20:]) == 0
    return False


def ping(address, count, size):
    s = icmp_socket(1)
    lost, times = 0, []
    for seq in range(count):
        want = echo(0x4D54, seq, size)
        start = time.monotonic()
        s.sendto(want, (address, 0))
        if wait_reply(s, want):
            times.append((time.monotonic() - start) * 1e6)
        else:
            lost += 1
    times.sort()
    mid = times[len(times) // 2] if times else 0
    print(f"ping {address}: {count} of {size} bytes, lost {lost}, median {mid:.0f} us")
    return lost == 0


def flood(address, seconds):
    s = icmp_socket(0.2)
    end, sent, got, window = time.monotonic() + seconds, 0, 0, 64
    request = echo(0x4D55, 0, 56)
    while time.monotonic() < end:
        for _ in range(window):
            s.sendto(request, (address, 0))
        sent += window
        try:
            for _ in range(window):
                while s.recv(2048)[20] != 0:
                    pass
                got += 1
        except (TimeoutError, socket.timeout):
            pass
    print(f"flood {address}: sent {sent} answered {got} {got / seconds:.0f}/s")
    return got > sent * 0.99


def ip_frame(src, dst, payload):
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 1, 0, 64, 1, 0,
                       socket.inet_aton(src), socket.inet_aton(dst))
    head = head[:10] + struct.pack("!H", checksum(head)) + head[12:]
    return head + payload


def crafted(kind, ether, src, dst, seq):
    ip = ip_frame(src, dst, echo(0x4D56, seq, 3400 if kind == "big" else 56))
    if kind == "tagged":
        return ether + struct.pack("!HHH", 0x8100, 7, 0x0800) + ip
    if kind == "double":
        return ether + struct.pack("!HHHHH", 0x8100, 7, 0x8100, 8, 0x0800) + ip
    if kind == "short":
        return ether + struct.pack("!H", 0x0800) + ip[:20 + seq % 8]
    if kind == "random":
        body = bytearray(struct.pack("!H", random.choice((0x800, 0x806, 0x8100))) + ip)
        for _ in range(random.randrange(1, 12)):
            body[random.randrange(len(body))] = random.randrange(256)
        return ether + bytes(body[: random.randrange(2, len(body) + 1)])
    return ether + struct.pack("!H", 0x0800) + ip


def raw(device, mac, address, kind):
    random.seed(7)
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    s.bind((device, 0))
    s.settimeout(0.3)
    ether = bytes.fromhex(mac.replace(":", "")) + s.getsockname()[4]
    net = address.rsplit(".", 1)[0]
    count = 2000 if kind == "random" else 20
    for seq in range(count):
        frame = crafted(kind, ether, net + ".200", address, seq)
        s.send(frame)
    answers, end = 0, time.monotonic() + 1
    while time.monotonic() < end:
        try:
            got, where = s.recvfrom(70000)
        except (TimeoutError, socket.timeout):
            break
        mine = where[2] != socket.PACKET_OUTGOING
        answers += mine and got[6:12] == ether[:6] and b"\x4d\x56" in got[:64]
    print(f"raw {kind}: answers={answers}")
    return True


def main():
    what, args = sys.argv[1], sys.argv[2:]
    if what == "ping":
        return ping(args[0], int(args[1]), int(args[2]))
    if what == "flood":
        return flood(args[0], float(args[1]))
    return raw(*args)


sys.exit(0 if main() else 1)
