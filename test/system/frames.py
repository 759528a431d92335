#!/usr/bin/env python3
"""frames.py TEST DEVICE [ARGUMENTS] - crafted frames to mtcpd at 10.77.0.2

Run in the peer's namespace.  Each test sends from addresses that the peer's
kernel does not have, so that the kernel takes no part, and listens itself.

    opt0         a SYN whose option has length 0
    shortecho    an ICMP echo that claims more bytes than the frame has
    arpflood N   N ARP requests from as many spoofed senders
    newmac       a peer that changes its MAC between two connections
    synflood N   N SYNs from silent hosts
    garbage N    N random and truncated frames, seeded
    oldack PORT  data to a connection whose both ends are closed: one RST each
    fragment     an echo in two fragments
    vlan         an 802.1Q tagged echo
    mss12        a connection with an MSS of 12: data arrives
    afterclose   keeps silent after the server closed: bounded retransmissions
Exit status 0 when mtcpd did what it must; the reason else.
"""
import random
import select
import socket
import struct
import sys
import time

MTCPD = "10.77.0.2"
SOL_PACKET = 263
ETH_IP, ETH_ARP = 0x0800, 0x0806
FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16


def csum(data):
    if len(data) % 2:
        data += b"\0"
    s = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while s >> 16:
        s = (s & 0xffff) + (s >> 16)
    return ~s & 0xffff


def mac_of(dev):
    with open(f"/sys/class/net/{dev}/address") as f:
        return bytes.fromhex(f.read().strip().replace(":", ""))


def ip4(src, dst, proto, payload, ident=1, frag=0, length=None):
    h = struct.pack("!BBHHHBBH4s4s", 0x45, 0, length or 20 + len(payload),
                    ident, frag, 64, proto, 0, socket.inet_aton(src),
                    socket.inet_aton(dst))
    return h[:10] + struct.pack("!H", csum(h)) + h[12:] + payload


def tcp(src, dst, sport, dport, seq, ack, flags, data=b"", options=b"",
        window=65535):
    options += b"\0" * (-len(options) % 4)
    h = struct.pack("!HHIIBBHHH", sport, dport, seq & 0xffffffff,
                    ack & 0xffffffff, (20 + len(options)) // 4 << 4, flags,
                    window, 0, 0) + options
    pseudo = struct.pack("!4s4sBBH", socket.inet_aton(src),
                         socket.inet_aton(dst), 0, 6, len(h) + len(data))
    c = csum(pseudo + h + data)
    return ip4(src, dst, 6, h[:16] + struct.pack("!H", c) + h[18:] + data)


def echo(ident=7, data=b"x" * 56):
    h = struct.pack("!BBHHH", 8, 0, 0, ident, 1)
    return h[:2] + struct.pack("!H", csum(h + data)) + h[4:] + data


class Wire:
    """A raw socket on the peer's end, with one spoofed host."""

    def __init__(self, dev, ip="10.77.0.50", mac=b"\x02\0\0\0\0\x50"):
        self.s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW,
                               socket.htons(3))
        self.s.bind((dev, 0))
        # frames to a spoofed MAC too: PACKET_ADD_MEMBERSHIP, promiscuous
        self.s.setsockopt(SOL_PACKET, 1, struct.pack(
            "iHH8s", socket.if_nametoindex(dev), 1, 0, b""))
        self.ip, self.mac, self.dst = ip, mac, b"\xff" * 6

    def frame(self, kind, payload, dst=None):
        f = (dst or self.dst) + self.mac + struct.pack("!H", kind) + payload
        self.s.send(f.ljust(60, b"\0"))

    def arp(self, op, target_ip, target_mac=b"\0" * 6, dst=None):
        self.frame(ETH_ARP, struct.pack(
            "!HHBBH6s4s6s4s", 1, ETH_IP, 6, 4, op, self.mac,
            socket.inet_aton(self.ip), target_mac,
            socket.inet_aton(target_ip)), dst)

    def receive(self, seconds, want):
        """The first frame for which want(frame) gives something."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if not select.select([self.s], [], [], left)[0]:
                continue
            f = self.s.recv(65536)
            if f[6:12] == self.mac:
                continue
            self.answer_arp(f)
            got = want(f)
            if got is not None:
                return got
        return None

    def answer_arp(self, f):
        if f[12:14] == b"\x08\x06" and f[20:22] == b"\0\1" and \
           f[38:42] == socket.inet_aton(self.ip):
            self.arp(2, socket.inet_ntoa(f[28:32]), f[22:28], f[6:12])

    def resolve(self):
        def reply(f):
            if f[12:14] == b"\x08\x06" and f[20:22] == b"\0\2" and \
               f[28:32] == socket.inet_aton(MTCPD):
                return f[22:28]
        self.dst = b"\xff" * 6
        for _ in range(3):
            self.arp(1, MTCPD)
            mac = self.receive(1, reply)
            if mac:
                self.dst = mac
                return self
        sys.exit("mtcpd does not answer ARP")

    def send_tcp(self, sport, dport, seq, ack, flags, data=b"", options=b""):
        self.frame(ETH_IP, tcp(self.ip, MTCPD, sport, dport, seq, ack, flags,
                               data, options))

    def segment(self, seconds, sport):
        """The next segment to our port: seq, ack, flags, data, dst MAC."""
        def take(f):
            if f[12:14] != b"\x08\0" or f[23] != 6 or \
               f[30:34] != socket.inet_aton(self.ip):
                return None
            end = 14 + struct.unpack("!H", f[16:18])[0]
            t = f[14 + (f[14] & 15) * 4:end]
            if struct.unpack("!H", t[2:4])[0] != sport:
                return None
            seq, ack = struct.unpack("!II", t[4:12])
            return seq, ack, t[13], t[(t[12] >> 4) * 4:], f[0:6]
        return self.receive(seconds, take)

    def connect(self, sport, dport, options=b""):
        self.send_tcp(sport, dport, 1000, 0, SYN, options=options)
        got = self.segment(3, sport)
        if not got or got[2] & (SYN | ACK) != SYN | ACK:
            sys.exit(f"no SYN-ACK for port {dport}: {got}")
        self.send_tcp(sport, dport, 1001, got[0] + 1, ACK)
        return (got[0] + 1) & 0xffffffff

    def drain(self):
        """After a flood our own socket is full: of what we have sent, too."""
        end = time.monotonic() + 3
        while time.monotonic() < end and self.receive(0.05, lambda f: f):
            pass

    def alive(self):
        """mtcpd answers an echo."""
        self.drain()
        self.frame(ETH_IP, ip4(self.ip, MTCPD, 1, echo()))
        if not self.echo_reply(3):
            sys.exit("mtcpd does not answer an echo any more")

    def echo_reply(self, seconds):
        def take(f):
            if f[12:14] == b"\x08\0" and f[23] == 1 and f[34] == 0 and \
               f[30:34] == socket.inet_aton(self.ip):
                return f
        return self.receive(seconds, take)


def opt0(w):
    for opt in (b"\x02\0\x05\xb4", b"\x08\0", b"\x02\x01\0\0", b"\x03\xff\1\1",
                b"\x02\x28\5\xb4"):
        w.send_tcp(4000, 80, 1000, 0, SYN, options=opt)
    w.alive()


def shortecho(w):
    icmp = echo(data=b"y" * 20)
    w.frame(ETH_IP, ip4(w.ip, MTCPD, 1, icmp, length=1200))
    if w.echo_reply(0.5):
        sys.exit("an echo longer than its frame was answered")
    w.alive()


def arpflood(w, n):
    host = Wire(sys.argv[2])
    host.dst = w.dst
    for i in range(n):
        host.ip = f"10.77.{i >> 8 & 255}.{i & 255}" if i & 255 > 100 else \
                  f"10.88.{i >> 8 & 255}.{i & 255}"
        host.mac = struct.pack("!HI", 0x0206, i)
        host.arp(1, MTCPD, dst=b"\xff" * 6)
    w.drain()
    w.resolve().alive()


def newmac(w):
    w.connect(4100, 80)
    w.mac = b"\x02\0\0\0\0\x51"
    w.arp(1, w.ip)		# a gratuitous ARP, as a failover sends
    w.send_tcp(4101, 80, 5000, 0, SYN)
    got = w.segment(3, 4101)
    if not got:
        sys.exit("no SYN-ACK after the MAC changed")
    if got[4] != w.mac:
        sys.exit("the SYN-ACK went to the old MAC")


def synflood(w, n):
    host = Wire(sys.argv[2], mac=b"\x02\0\0\0\0\x52")
    host.dst = w.dst
    for i in range(n):
        host.ip = f"10.77.0.{100 + i % 100}"
        host.send_tcp(1024 + i // 100 % 60000, 80, i * 7919, 0, SYN)
    w.alive()


def garbage(w, n):
    rng = random.Random(20)
    good = [tcp(w.ip, MTCPD, 4200, 80, 9, 9, SYN, options=b"\2\4\5\xb4\1\3\3\7"),
            tcp(w.ip, MTCPD, 4200, 80, 9, 9, ACK | PSH, b"GET / HTTP/1.0\r\n\r\n"),
            ip4(w.ip, MTCPD, 1, echo()), ip4(w.ip, MTCPD, 17, b"z" * 40)]
    for i in range(n):
        p = bytearray(rng.choice(good))
        for _ in range(rng.randrange(6)):
            p[rng.randrange(len(p))] = rng.randrange(256)
        if rng.random() < 0.5:
            del p[rng.randrange(1, len(p) + 1):]
        if rng.random() < 0.2:
            p = bytearray(rng.randbytes(rng.randrange(1, 1500)))
        kind = rng.choice([ETH_IP] * 6 + [ETH_ARP, 0x8100, 0x86dd])
        w.frame(kind, bytes(p))
    w.alive()


def oldack(w, port):
    for flags in (ACK, ACK | PSH, FIN | ACK, SYN | ACK):
        w.send_tcp(4300, port, 77, 88, flags, b"data" if flags & PSH else b"")
        got = w.segment(2, 4300)
        if not got or not got[2] & RST:
            sys.exit(f"no RST for a segment of no connection (flags {flags})")
        if got[0] != 88:
            sys.exit("the RST does not take its number from the ACK")
    w.send_tcp(4300, port, 77, 88, RST)
    if w.segment(0.5, 4300):
        sys.exit("a RST was answered")


def fragment(w):
    whole = echo(data=bytes(range(200)) * 2)
    w.frame(ETH_IP, ip4(w.ip, MTCPD, 1, whole[:208], 99, 0x2000))
    w.frame(ETH_IP, ip4(w.ip, MTCPD, 1, whole[208:], 99, 208 // 8))
    got = w.echo_reply(2)
    if not got:
        print("fragments dropped")	# allowed, when they are counted
    elif got[42:42 + 400] != whole[8:]:
        sys.exit("the echo of fragments has other bytes")
    w.alive()


def vlan(w):
    tag = struct.pack("!HH", 5, ETH_IP)
    w.frame(0x8100, tag + ip4(w.ip, MTCPD, 1, echo()))
    w.alive()


def mss12(w):
    ack = w.connect(4400, 80, b"\2\4\0\x0c")
    request = b"GET / HTTP/1.0\r\n\r\n"
    w.send_tcp(4400, 80, 1001, ack, ACK | PSH, request)
    seq, body, end = 1001 + len(request), b"", time.monotonic() + 5
    while time.monotonic() < end:
        got = w.segment(2, 4400)
        if not got:
            break
        if got[2] & RST:
            sys.exit("reset")
        if got[0] == ack and got[3]:
            body += got[3]
            ack = (ack + len(got[3])) & 0xffffffff
        w.send_tcp(4400, 80, seq, ack, ACK)
        if b"x" * 64 in body:
            w.send_tcp(4400, 80, seq, ack, RST)
            return
    sys.exit(f"only {len(body)} bytes of the reply came")


def afterclose(w):
    ack = w.connect(4500, 80)
    w.send_tcp(4500, 80, 1001, ack, ACK | PSH, b"GET / HTTP/1.0\r\n\r\n")
    if not w.segment(2, 4500):
        sys.exit("no answer")
    frames, end = 0, time.monotonic() + 3
    while time.monotonic() < end:
        if w.segment(0.5, 4500):
            frames += 1
    if frames > 10:
        sys.exit(f"{frames} retransmissions in 3 s")
    w.send_tcp(4500, 80, 1019, ack, RST)
    if w.segment(1.5, 4500):
        sys.exit("still sending after our RST")


def main():
    w = Wire(sys.argv[2]).resolve()
    globals()[sys.argv[1]](w, *map(int, sys.argv[3:]))


if __name__ == "__main__":
    main()
