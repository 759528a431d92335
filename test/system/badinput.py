#!/usr/bin/env python3
"""badinput.py DEVICE MTCPCTL... - every way to be wrong has a name in the counters

Run in the peer's namespace; MTCPCTL... is the command that prints `mtcpctl
--json stats`.  Each case sends one or two bad frames and finds, in the counters,
that exactly its own reason was counted, then that the connection they were
aimed at still works.
"""
import json
import subprocess
import sys
import time

from frames import (ACK, ETH_ARP, ETH_IP, FIN, MTCPD, PSH, RST, SYN, Wire, echo,
                    ip4, tcp)

TS = b"\x01\x01\x08\x0a"


def drops():
    out = subprocess.run(sys.argv[2:], check=True, stdout=subprocess.PIPE).stdout
    data = json.loads(out)["data"]
    sums = {}
    for engine in data["engines"] if isinstance(data, dict) and \
            "engines" in data else [data]:
        for kind in ("net", "tcp"):
            for name, n in engine[kind + "_drops"].items():
                sums[kind, name] = sums.get((kind, name), 0) + n
    return sums


class Case:
    """One established connection; bad frames are made from good ones."""

    def __init__(self, w, sport):
        self.w, self.sport = w, sport
        self.ack = w.connect(sport, 80, b"\2\4\5\xb4" + TS +
                             (1000).to_bytes(4, "big") + b"\0" * 4)
        self.seq = 1001

    def good(self, flags=ACK, seq=0, ack=0, data=b"", options=b""):
        return bytearray(tcp(self.w.ip, MTCPD, self.sport, 80, self.seq + seq,
                             self.ack + ack, flags, data, options))

    def send(self, p):
        self.w.frame(ETH_IP, bytes(p))

    def alive(self):
        """A byte beyond what we have sent is acknowledged as missing."""
        self.send(self.good(ACK | PSH, seq=50, data=b"x"))
        end = time.monotonic() + 3
        while time.monotonic() < end:
            got = self.w.segment(1, self.sport)
            if got and got[2] & RST:
                sys.exit(f"the connection was reset: {got}")
            if got and got[1] == self.seq & 0xffffffff:
                return
        sys.exit("the connection does not answer any more")


def fix_ip(p):
    from frames import csum
    p[10:12] = b"\0\0"
    p[10:12] = csum(bytes(p[:20])).to_bytes(2, "big")
    return p


def fix_tcp(p):
    from frames import csum
    p[36:38] = b"\0\0"
    pseudo = bytes(p[12:20]) + b"\0\6" + (len(p) - 20).to_bytes(2, "big")
    p[36:38] = csum(pseudo + bytes(p[20:])).to_bytes(2, "big")
    return p


def patched(p, at, value, sums=(fix_ip, fix_tcp)):
    p[at] = value
    for f in sums:
        p = f(p)
    return p


def cases(c):
    """name in the counters, what is wrong, frames"""
    ts = TS + (900).to_bytes(4, "big") + b"\0" * 4
    far = c.good(ACK | PSH, seq=9000000, data=b"x")
    yield "net", "ip-header", "IP version 6", [patched(c.good(), 0, 0x65)]
    yield "net", "ip-header", "IP header of 16 bytes", [patched(c.good(), 0, 0x44)]
    yield "net", "short", "more bytes than the frame has", [
        patched(c.good(), 2, 5, (fix_ip,))]
    yield "net", "ip-checksum", "IP checksum", [patched(c.good(), 10, 1, ())]
    yield "net", "ip-source", "from 255.255.255.255", [
        fix_tcp(fix_ip(c.good()[:12] + b"\xff" * 4 + c.good()[16:]))]
    yield "net", "ip-protocol", "protocol 17", [patched(c.good(), 9, 17, (fix_ip,))]
    yield "net", "icmp-bad", "ICMP checksum", [
        bytearray(ip4(c.w.ip, MTCPD, 1, echo()[:-1] + b"!"))]
    yield "tcp", "short", "TCP header of 16 bytes", [patched(c.good(), 32, 0x40)]
    yield "tcp", "short", "TCP header beyond the segment", [
        patched(c.good(), 32, 0xf0)]
    yield "tcp", "checksum", "TCP checksum", [
        patched(c.good(data=b"abc"), 36, 0, ()) if c.good(data=b"abc")[36] else
        patched(c.good(data=b"abc"), 36, 1, ())]
    yield "tcp", "option", "option of length 0", [
        c.good(options=b"\x08\0\1\1")]
    yield "tcp", "flags", "SYN and FIN", [c.good(SYN | FIN)]
    yield "tcp", "flags", "no flag", [c.good(0)]
    yield "tcp", "window", "right of the window", [far]
    yield "tcp", "duplicate", "left of the window", [
        c.good(ACK | PSH, seq=-60, data=b"old")]
    yield "tcp", "rst_bad", "RST beside RCV.NXT", [c.good(RST, seq=77)]
    yield "tcp", "syn_bad", "SYN in ESTABLISHED", [c.good(SYN, seq=5)]
    yield "tcp", "ack_bad", "ACK of what was not sent", [c.good(ACK, ack=70000)]
    yield "tcp", "paws", "older timestamp", [c.good(ACK | PSH, options=ts,
                                                    data=b"x")]
    other = tcp(c.w.ip, MTCPD, c.sport + 20000, 4444, 1, 1, ACK)
    yield "tcp", "no_listener", "no such port", [bytearray(other)]


def main():
    w = Wire(sys.argv[1]).resolve()
    sport, wrong = 5000, 0
    for kind, name, what, frames in list(cases(Case(w, 4999))):
        sport += 1
        c = Case(w, sport)
        frames = [f for k, n, x, f in cases(c) if x == what][0]
        time.sleep(0.02)
        before = drops()
        for f in frames:
            c.send(f)
        for _ in range(50):
            after = drops()
            got = {k: after[k] - before.get(k, 0) for k in after
                   if after[k] != before.get(k, 0)}
            if got:
                break
            time.sleep(0.02)
        if got != {(kind, name): len(frames)}:
            print(f"{what}: expected {kind} {name} once, got {got}")
            wrong += 1
        c.alive()
        w.send_tcp(sport, 80, 1001, c.ack, RST)
    w.alive()
    print(f"{sport - 5000} ways to be wrong, each under its name")
    sys.exit(1 if wrong else 0)


main()
