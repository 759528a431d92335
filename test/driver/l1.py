"""l1.py self | stock KERNEL - the virtual 82599 itself (issue's layer L1)

self: registers over qtest, no guest: EEPROM sum, Microsoft's RSS vectors, and
each rule of the model broken once (rules.py).
stock: Debian's own ixgbe probes it as SFP+ and as backplane, and TCP passes
between two of them in one guest, both ways, with TSO and checksum offload.
"""
import struct, sys
import guest, rules
from guest import IXGBE, Cases, must, pair
from qtest import Qtest, enable, receive_on, reset

KEY = bytes.fromhex("6d5a56da255b0ec24167253d43a38fb0d0ca2bcbae7b30b4"
                    "77cb2da38030f20c6a42b73bbeac01fa")
VECTORS = [("161.142.100.80", 1766, "66.9.149.187", 2794, 0x51ccc178),
           ("65.69.140.83", 4739, "199.92.111.2", 14230, 0xc626b0ea),
           ("12.22.207.184", 38024, "24.19.198.95", 12898, 0x5c2b394a)]


def eeprom_sum(q):
    total = 0
    for i in range(0x40):
        q.wr(0x10014, i << 2 | 1)
        v = q.rd(0x10014)
        must(v & 2, f"word {i} never read")
        total += v >> 16
    must(total & 0xffff == 0xbaba, f"sum {total & 0xffff:04x}")


def identity(q):
    must(q.rd(0x5400) == 0x00005452, "RAL0")
    must(q.rd(0x5404) & 0x8000ffff == 0x80000100, "RAH0")
    must(q.rd(0x42a4) >> 28 == 0xf, "link")


def rss_vectors(q):
    ring, buf, rx, rxbuf = 0x100000, 0x110000, 0x120000, 0x130000
    reset(q)
    for i in range(10):
        q.wr(0x5c80 + 4 * i, struct.unpack("<I", KEY[4 * i:4 * i + 4])[0])
    for i in range(32):
        q.wr(0x5c00 + 4 * i, 0x03020100)
    q.wr(0x5818, 1 | 1 << 16 | 1 << 17)
    receive_on(q)
    for n in range(4):
        q.wr(0x1000 + n * 0x40, rx + n * 0x1000)
        q.wr(0x1008 + n * 0x40, 512)
        q.wr(0x1014 + n * 0x40, 2 | 1 << 25)
        for i in range(32):
            q.put(rx + n * 0x1000 + 16 * i,
                  struct.pack("<QQ", rxbuf + n * 0x10000 + i * 2048, 0))
        enable(q, 0x1028 + n * 0x40)
        q.wr(0x1018 + n * 0x40, 31)
    for at, v in ((0x6000, ring), (0x6008, 512), (0x4a80, 1)):
        q.wr(at, v)
    enable(q, 0x6028)
    seen = [0] * 4
    for i, (dst, dport, src, sport, want) in enumerate(VECTORS):
        ip = [bytes(map(int, a.split("."))) for a in (src, dst)]
        f = (bytes.fromhex("525400000001525400000002") + b"\x08\0" +
             bytes([0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6, 0, 0]) + ip[0] +
             ip[1] + struct.pack(">HHIIBBHHH", sport, dport, 0, 0, 0x50, 2,
                                 0, 0, 0) + bytes(6))
        q.put(buf, f)
        q.put(ring + 16 * i, struct.pack("<QII", buf, len(f) | 0x2b300000,
                                         len(f) << 14))
        q.wr(0x6018, i + 1)
        n = want & 3
        d = q.get(rx + n * 0x1000 + 16 * seen[n], 16)
        seen[n] += 1
        _, hashed, status, length, _ = struct.unpack("<IIIHH", d)
        must(hashed == want and status & 3 == 3 and length == 60,
             f"vector {i}: hash {hashed:08x}, not {want:08x}")


def self_test():
    cases = Cases()
    q = Qtest()
    try:
        for name, test in (("identity", identity), ("EEPROM sum", eeprom_sum),
                           ("RSS vectors", rss_vectors)):
            cases.case(f"L1 {name}", lambda: test(q))
        must(not q.broken(), "the tests themselves break rules")
    finally:
        q.close()
    rules.run(cases)
    cases.report()
    return 1 if cases.failed else 0


class Stock(guest.Suite):
    patience = 60
    inside = "nsenter -n -t $(cat /tmp/ns)"

    def probe(self):
        """As SFP+ and as backplane, and a ping between the two."""
        self.sh(IXGBE)
        self.sh("unshare -n sleep 1000 & echo $! >/tmp/ns; sleep 1")
        self.sh("ip link set eth1 netns $(cat /tmp/ns)")
        self.sh("ip addr add 10.5.0.1/24 dev eth0; ip link set eth0 up")
        self.sh(f"{self.inside} sh -c 'ip addr add 10.5.0.2/24 dev eth1; "
                "ip link set eth1 up'; sleep 3")
        self.sh("ping -c 2 -W 3 10.5.0.2")

    def transfer(self, listen, dial, address):
        self.sh("[ -e /tmp/f ] || dd if=/dev/urandom of=/tmp/f bs=1M count=8")
        # A listener in the background would read /dev/null and end at once.
        self.sh("[ -p /tmp/open ] || mkfifo /tmp/open")
        self.sh(f"{listen} nc -l -p 7000 <>/tmp/open >/tmp/got & sleep 1; "
                f"timeout 50 {dial} nc {address} 7000 </tmp/f; "
                "kill $! 2>/dev/null; wait $!; cmp /tmp/f /tmp/got")
        return "8 MiB"

    def one_way(self):
        return self.transfer(self.inside, "", "10.5.0.2")

    def other_way(self):
        return self.transfer("", self.inside, "10.5.0.1")

    def tso(self):
        """Of the file's 8 MiB, 128 frames of 64 KiB, much went out as frames to be
        segmented: how much is the guest's TCP's, which sends less at once where
        ACKs come one by one, as on a slow host."""
        n = [self.g.get(f"nic{i}", "tso-frames") for i in (0, 1)]
        must(min(n) >= 32, f"frames cut into segments: {n}")
        return f"frames cut into segments: {n}"


if __name__ == "__main__":
    if sys.argv[1] == "self":
        sys.exit(self_test())
    sys.exit(guest.play(f"L1 {sys.argv[2]} stock ixgbe", Stock,
                        ("probe", "one_way", "other_way", "tso", "quiet"),
                        sys.argv[2], pair(",device-id=0x10f7")))
