"""l2.py KERNEL [iommu|swiotlb] [CASE ...] - ps_ixgbe in a guest, frames from the host (issue's layer L2)"""
import os, re, struct, sys, time
import guest
from guest import IXGBE, Wire, must

MAC = bytes.fromhex("525400000001")
HOST = bytes.fromhex("020000000099")
BUS = "0000:00:02.0"
FULL = os.environ.get("MTCPD_FULL") == "1"


def udp(size, number, port=1000):
    """A UDP frame of `size` bytes with a number and a pattern in it."""
    ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, size - 14, 0, 0, 64, 17, 0,
                     bytes([10, 1, number >> 8 & 255, number & 255]),
                     bytes([10, 0, 0, 1]))
    body = struct.pack(">HHHHI", port, 7, size - 34, 0, number)
    fill = bytes((number + i) & 255 for i in range(max(0, size - 46)))
    return (MAC + HOST + b"\x08\0" + ip + body + fill)[:size]


def tcp(number):
    ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 46, 0, 0, 64, 6, 0,
                     bytes([10, 1, number >> 8 & 255, number & 255]),
                     bytes([10, 0, 0, 1]))
    return MAC + HOST + b"\x08\0" + ip + struct.pack(
        ">HHIIBBHHH", 1024 + number * 37 % 60000, 80, number, 0, 0x50, 16, 100, 0, 0) + b"xxxx"


def checksum(data):
    data += bytes(len(data) & 1)
    s = sum(struct.unpack(f">{len(data) // 2}H", data))
    s = (s & 0xffff) + (s >> 16)
    return ~((s & 0xffff) + (s >> 16)) & 0xffff


def packet(version, proto, sport, dport, n=0, ip_bad=0, l4_bad=0, zero=False,
           fragment=0):
    """A TCP or UDP frame with its checksums, or with wrong ones; and what RSS
    hashes of it: addresses, TCP's ports."""
    ports = struct.pack(">HH", sport, dport)
    l4 = ports + (struct.pack(">IIBBHHH", n, 0, 0x50, 16, 100, 0, 0) if proto == 6
                  else struct.pack(">HH", 20, 0)) + b"data of it.."
    if version == 4:
        a = bytes([10, 1, n >> 8 & 255, n & 255, 10, 0, 0, 1])
    else:
        a = bytes.fromhex("fd00") + bytes(12) + struct.pack(">H", n) + \
            bytes.fromhex("fd00") + bytes(13) + b"\1"
    sum_ = checksum(a + struct.pack(">HH", proto, len(l4)) + l4) ^ l4_bad
    at = 16 if proto == 6 else 6
    l4 = l4[:at] + struct.pack(">H", 0 if zero else sum_) + l4[at + 2:]
    if version == 4:
        ip = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(l4), n, fragment, 64,
                         proto, 0) + a
        ip = ip[:10] + struct.pack(">H", checksum(ip) ^ ip_bad) + ip[12:]
    else:
        ip = struct.pack(">IHBB", 0x60000000, len(l4), proto, 64) + a
    frame = MAC + HOST + (b"\x08\0" if version == 4 else b"\x86\xdd") + ip + l4
    return frame, a + (ports if proto == 6 else b"")


# mtcpd's key: symmetric, both directions of a connection have one hash
KEY = bytes.fromhex("6d5a") * 20


def toeplitz(data):
    key, hashed = int.from_bytes(KEY, "big"), 0
    for i, byte in enumerate(data):
        for b in range(8):
            if byte >> (7 - b) & 1:
                hashed ^= key >> (320 - 32 - 8 * i - b) & 0xffffffff
    return hashed


def lent(at, n):
    """What ps_zero has in its memory."""
    return bytes((i * 7 + (i >> 8) * 13 + (i >> 16)) & 255
                 for i in range(at, at + n))


def echoed(f):
    return f[6:12] + f[0:6] + f[12:]


class Suite(guest.Suite):
    def __init__(self, machine, wire):
        super().__init__(machine)
        self.w = wire

    def start_echo(self, queues, seconds):
        self.w.drain()
        self.g.start(f"ps_echo /dev/ps/xge0 {queues} {seconds} 2>&1; "
                     "echo ECHO''-END")
        self.g.wait(b"echo: ready", 15)

    def end_echo(self):
        return self.g.wait(b"ECHO-END", 20)

    def load(self):
        self.sh("insmod /lib/ps_ixgbe.ko queues=4")
        self.sh("ip link set xge0 mtu 9710 up; sleep 1")
        out = self.sh("list_devices")
        must("52:54:00:00:00:01 queues 4 link 10000" in out, out)

    def sizes(self):
        sizes = list(range(60, 1515, 7)) + [1514, 2047, 2048, 2049, 4096, 4097,
                                           6000, 9000, 9018, 9710, 9724]
        if FULL:
            sizes = range(60, 9725)
        self.start_echo(1, 2)
        for i, n in enumerate(sizes):
            f = udp(n, i)
            self.w.send(f)
            got = self.w.recv(2, HOST)
            must(got == echoed(f), f"size {n}: came back "
                 f"{'nothing' if got is None else len(got)}")
        out = self.end_echo()
        must(f"total {len(sizes)} " in out and "bad 0 " in out, out)
        return f"{len(sizes)} sizes"

    def spread(self):
        self.start_echo(4, 2)
        sent, got, n = 0, 0, 800
        while sent < n:
            for _ in range(16):
                self.w.send(tcp(sent))
                sent += 1
            while got < sent and self.w.recv(1, HOST):
                got += 1
        out = self.end_echo()
        per = self.per_queue(out)
        must(got == n and sum(per) == n, f"got {got} of {n}: {out}")
        must(len(per) == 4 and min(per) > n // 10, f"uneven: {per}")
        return f"queues got {per}"

    def per_queue(self, out):
        return [int(l.split()[4]) for l in out.splitlines()
                if l.startswith("echo: queue")]

    def hashes(self):
        """The chip's RSS hash is that of software, both directions the same."""
        frames = [packet(v, proto, 1024 + 37 * i, 80, i) for i in range(12)
                  for v in (4, 6) for proto in (6, 17)]
        got = self.dump([f for f, _ in frames])
        for (flags, hashed), (_, key) in zip(got, frames):
            must(flags & 0x20 and hashed == toeplitz(key),
                 f"{hashed:08x}, software says {toeplitz(key):08x}")
        a, b = bytes([10, 0, 0, 1]), bytes([10, 1, 2, 3])
        must(toeplitz(a + b + b"\0\x50\4\0") == toeplitz(b + a + b"\4\0\0\x50"),
             "not symmetric")
        return f"{len(frames)} tuples"

    def dump(self, frames):
        """Flags and hash of each frame, which queue 0 receives."""
        self.w.drain()
        self.g.start(f"rxdump /dev/ps/xge0 0 {len(frames)} >/tmp/dump 2>&1 &")
        self.sh("i=0; until ethtool -S xge0 | grep -q 'queue_0_attached: 1' || "
                "[ $i -gt 100 ]; do usleep 50000; i=$((i + 1)); done")
        for f in frames:
            self.w.send(f)
        out = self.sh("wait; cat /tmp/dump")
        got = re.findall(r"flags (\w+) hash (\w+):", out)
        must(len(got) == len(frames), f"{len(got)} of {len(frames)}: {out}")
        return [(int(f, 16), int(h, 16)) for f, h in got]

    def checks(self):
        """What the chip says of a received frame's checksums."""
        ip, l4, bad_ip, bad_l4 = 2, 4, 8, 16
        cases = [(packet(4, 6, 1, 2), ip | l4), (packet(4, 17, 1, 2), ip | l4),
                 (packet(4, 6, 1, 2, l4_bad=5), ip | bad_l4),
                 (packet(4, 17, 1, 2, l4_bad=256), ip | bad_l4),
                 (packet(4, 6, 1, 2, ip_bad=1), bad_ip | l4),
                 (packet(4, 17, 1, 2, zero=True), ip | l4),
                 (packet(4, 6, 1, 2, fragment=0x2000), ip),
                 (packet(6, 6, 1, 2), l4), (packet(6, 17, 1, 2), l4),
                 (packet(6, 6, 1, 2, l4_bad=5), bad_l4),
                 (packet(6, 17, 1, 2, l4_bad=256), bad_l4),
                 (packet(6, 58, 1, 2), 0)]
        got = self.dump([f for (f, _), _ in cases])
        for i, ((flags, _), (_, want)) in enumerate(zip(got, cases)):
            must(flags & 0x1e == want, f"frame {i}: {flags:x}, not {want:x}")
        return f"{len(cases)} frames"

    def stock_rss(self):
        """The same key, table and tuples: stock ixgbe's queues are ours."""
        tuples = [[], []]
        for i in range(200):
            frame, key = packet(4 + i % 2 * 2, 6, 1024 + 37 * i, 80, i)
            tuples[toeplitz(key) & 127 & 1].append(frame)
        ours = []
        for half in tuples:
            self.start_echo(2, 2)
            for f in half:
                self.w.send(f)
                must(self.w.recv(2, HOST), "no echo")
            ours.append(self.per_queue(self.end_echo()))
        # stock ixgbe takes the model's mark for a frame's length
        self.fault("mark", False)
        self.sh(f"rmmod ps_ixgbe; {IXGBE}; ip link set eth0 up; sleep 2; "
                "ethtool -X eth0 hkey " + ":".join(f"{b:02x}" for b in KEY) +
                " equal 2")
        stock = []
        for half in tuples:
            before = self.stock_queues()
            for i in range(0, len(half), 16):
                for f in half[i:i + 16]:
                    self.w.send(f)
                time.sleep(0.05)
            time.sleep(0.5)
            stock.append([n - o for n, o in
                          zip(self.stock_queues(), before)])
        self.sh("rmmod ixgbe")
        self.fault("mark", True)
        self.sh("insmod /lib/ps_ixgbe.ko queues=4; "
                "ip link set xge0 mtu 9710 up; sleep 1")
        want = [[len(tuples[0]), 0], [0, len(tuples[1])]]
        must(ours == want, f"ours {ours}, software says {want}")
        # the stock port hears multicast of its own stack, and answers
        must(all(w <= s <= w + 8 for ws, ss in zip(want, stock)
                 for w, s in zip(ws, ss)),
             f"stock ixgbe {stock}, software says {want}")
        return f"software {want}, ours {ours}, stock {stock}"

    def stock_queues(self):
        out = self.sh("ethtool -S eth0 | grep -E 'rx_queue_[01]_packets'")
        return [int(l.split()[-1]) for l in out.strip().splitlines()]

    def wakeups(self):
        # poll() looks once more when it times out: wait for less than that.
        # What the driver's service finds in a second counts as late.
        n = 100000 if FULL else 3000
        late = self.late()
        self.start_echo(1, 6)
        for i in range(n):
            self.w.send(udp(60 + i % 40, i))
            must(self.w.recv(3, HOST) is not None, f"wake-up {i} lost")
        out = self.end_echo()
        selects = int(out.split("selects ")[1].split()[0])
        must(selects >= n, out)
        must(self.late() == late, f"{self.late() - late} found by the service")
        return f"{n} one at a time, none lost"

    def late(self):
        out = self.sh("ethtool -S xge0 | grep _late:")
        return sum(int(l.split()[-1]) for l in out.splitlines() if "late" in l)

    def looks(self):
        """Receiving without a call; tags taken off and put on again."""
        self.w.drain()
        self.g.start("ps_look /dev/ps/xge0 3 strip; echo LOOK''-END")
        self.g.wait(b"look: ready", 15)
        n = 40
        for i in range(n):
            f = udp(100, i)
            tagged = f[:12] + b"\x81\0" + struct.pack(">H", 0x2000 + i) + f[12:]
            f = tagged if i % 2 else f
            self.w.send(f)
            must(self.w.recv(2, MAC) == f, f"frame {i} came back otherwise")
        out = self.g.wait(b"LOOK-END", 20)
        line = out.split("look: frames ")[1].split()
        frames, looks, calls = int(line[0]), int(line[2]), int(line[4])
        # a call to receive, one to send, some until what was sent is back
        must(frames == n and calls < 10 * n and looks > 100 * calls, out)
        must(out.count("look: tag ") == n // 2 and "tag 2001 length 100" in out,
             out)
        must("look: the chip's" not in out, out)
        return f"{looks} looks, {calls} calls"

    def mtu(self):
        """What users send has the MTU of xge0 and a tag at most."""
        self.sh("ip link set xge0 mtu 1500")
        self.start_echo(1, 2)
        for n, back in ((1514, True), (1518, True), (1519, False),
                        (4000, False), (60, True)):
            self.w.send(udp(n, 1))
            got = self.w.recv(0.3 if not back else 2, HOST)
            must((got is not None) == back, f"{n} bytes: {got and len(got)}")
        self.end_echo()
        self.sh("ip link set xge0 mtu 9710")

    def throttle(self):
        """The interrupt comes at once for one frame, later in a stream."""
        self.g.start(f"ps_throttle /dev/ps/xge0 {BUS}; echo THROTTLE''-END")
        for n in 1, 100:
            self.g.wait(b"throttle: ready", 15)
            for i in range(n):
                self.w.send(udp(60, i))
        out = self.g.wait(b"THROTTLE-END", 15)
        must("100 frames 40 us" in out, out)
        must("1 frames 4 us" in self.g.all.decode()[-4000:] + out, out)

    def ethtool(self):
        out = self.sh("ethtool -i xge0; ethtool -k xge0; ethtool -S xge0; "
                      "ethtool -l xge0; ethtool xge0")
        for t in ("driver: ps_ixgbe", "rx-checksumming: on", "tx_good: ",
                  "queue_3_frames_in: ", "Combined:", "Speed: 10000Mb/s"):
            must(t in out, f"no '{t}': {out}")
        got = int(out.split("rx_good: ")[1].split()[0])
        must(got > 1000, f"rx_good {got}")
        must("RX:\t\ton" in self.sh("ethtool -a xge0"), "pause is off")
        self.sh(f"ethtool -A xge0 autoneg off rx off tx off; "
                f"[ $(ps_poke {BUS} 4294) = 00000002 ]; "
                f"[ $(ps_poke {BUS} 3d00) = 00000000 ]; "
                "ethtool -A xge0 rx on tx on; "
                f"[ $(ps_poke {BUS} 4294) = 0000000a ]; "
                f"[ $(ps_poke {BUS} 3d00) = 00000008 ]")

    def sfp(self):
        """The module's sequence is run; an empty cage is an event."""
        must(self.sh(f"ps_poke {BUS} 14f00").split()[-1] == "00000001",
             "CORECTL has not got the EEPROM's word")
        self.start_echo(1, 6)
        self.fault("sfp-absent", 1)
        time.sleep(1.5)
        self.fault("sfp-absent", 0)
        time.sleep(1.5)
        self.end_echo()
        out = self.sh("dmesg | grep 'SFP+' | tail -2")
        must("cage is empty" in out and "module is there" in out, out)
        self.alive()

    def full(self):
        """More frames than the ring holds, nobody reading: all accounted."""
        self.w.drain()
        self.g.start("ps_hold /dev/ps/xge0 4; echo HOLD''-END")
        self.g.wait(b"hold: ready", 15)
        n = 500
        for i in range(n):
            self.w.send(udp(100, i))
        out = self.g.wait(b"HOLD-END", 20)
        got = int(out.split("received ")[1].split()[0])
        lost = int(out.split("dropped ")[1].split()[0])
        must(got + lost == n and got > 0 and lost > 0,
             f"{got} received + {lost} dropped, not {n}: {out}")
        return f"{got} received + {lost} counted dropped"

    def slow(self):
        """A ping of xge0 answered by the kernel through slow path and queue."""
        self.sh("ip addr add 10.9.0.1/24 dev xge0")
        self.g.start("ps_slow /dev/ps/xge0 3; echo SLOW''-END")
        self.g.wait(b"slow: ready", 15)
        self.ping()
        self.g.wait(b"SLOW-END", 20)
        self.sh("ip addr del 10.9.0.1/24 dev xge0")

    def idle(self):
        """Nobody attached: what comes is the kernel's, ARP and ping too."""
        self.sh("ip addr add 10.9.0.1/24 dev xge0; ip neigh flush dev xge0")
        self.ping()
        self.start_echo(1, 1)
        self.end_echo()
        self.sh("ip neigh flush dev xge0")
        self.ping()
        self.sh("ip addr del 10.9.0.1/24 dev xge0")
        out = self.sh("cat /sys/class/net/xge0/statistics/rx_packets")
        must(int(out.split()[-1]) >= 4, out)

    def ping(self):
        self.w.drain()
        body = struct.pack(">BBHHH", 8, 0, 0, 1, 1) + b"p" * 32
        body = body[:2] + struct.pack(">H", checksum(body)) + body[4:]
        ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 60, 0, 0, 64, 1, 0,
                         bytes([10, 9, 0, 2]), bytes([10, 9, 0, 1]))
        ip = ip[:10] + struct.pack(">H", checksum(ip)) + ip[12:]
        self.w.send(MAC + HOST + b"\x08\0" + ip + body)
        end, reply = time.time() + 3, None
        while time.time() < end and reply is None:
            f = self.w.recv(1)
            if f and f[12:14] == b"\x08\x06" and f[21] == 1:
                self.w.send(f[6:12] + HOST + f[12:21] + b"\2" + HOST +
                            bytes([10, 9, 0, 2]) + f[22:32] + bytes(18))
            if f and f[12:14] == b"\x08\0" and f[23] == 1 and f[34] == 0:
                reply = f
        must(reply, "no echo reply")

    def offload(self):
        """Checksums and segments of the chip against software's, IPv4 and 6."""
        self.w.drain()
        must("bad 0" in self.sh("ps_offload /dev/ps/xge0"), "refused")
        frames = []
        while f := self.w.recv(0.5, HOST):
            frames.append(f)
        want = [l + n for l in (34, 54)
                for n in (220, 1020, 1020, 1020, 1020, 1020, 308)]
        must([len(f) for f in frames] == want,
             f"lengths {[len(f) for f in frames]}")
        for i, f in enumerate(frames):
            l4 = 34 if i < 7 else 54
            if i < 7:
                must(checksum(f[14:34]) == 0, f"frame {i}: IP checksum")
                must(struct.unpack(">H", f[16:18])[0] == len(f) - 14, "length")
            else:
                must(struct.unpack(">H", f[18:20])[0] == len(f) - 54, "length")
            pseudo = (f[26:34] if i < 7 else f[22:54]) + struct.pack(
                ">HH", 17 if i % 7 == 6 else 6, len(f) - l4)
            must(checksum(pseudo + f[l4:]) == 0, f"frame {i}: checksum")
            if i % 7 < 6:
                seq = struct.unpack(">I", f[l4 + 4:l4 + 8])[0]
                must(seq == max(1, 1 + (i % 7 - 1) * 1000), f"seq {seq}")
        for first, l4 in ((1, 34), (8, 54)):
            data = b"".join(f[l4 + 20:] for f in frames[first:first + 5])
            must(data == bytes(i & 255 for i in range(5000)), "payload differs")

    def zero(self):
        """Payload sent from where it lies, huge pages too; refusals; UNMAP."""
        self.w.drain()
        note = self.zero_send("")
        if self.g.run("echo 2 >/proc/sys/vm/nr_hugepages && grep -q "
                      "'HugePages_Free: *2' /proc/meminfo")[0] == 0:
            note += ", " + self.zero_send("huge")
        self.sh("echo 0 >/proc/sys/vm/nr_hugepages || true")
        self.sh(f"ps_zero /dev/ps/xge0 errors {BUS}")
        self.w.drain()
        self.sh(f"ps_zero /dev/ps/xge0 busy {BUS}")
        for at in 0, 5000:
            f = self.w.recv(2, HOST)
            must(f and f[50:] == lent(at, 1000), f"from {at}: {f}")
        return note

    def zero_send(self, how):
        out = self.sh(f"ps_zero /dev/ps/xge0 send {how}")
        sent, unit = out.split("zero: sent ")[1].split()[0:3:2]
        for n in range(int(sent)):
            f = self.w.recv(2, HOST)
            must(f, f"frame {n} did not come")
            number, at = struct.unpack(">II", f[42:50])
            bytes_of = struct.unpack(">H", f[16:18])[0] - 36
            must(number == n and f[50:] == lent(at, bytes_of),
                 f"frame {n}: {number}, {len(f)} bytes from {at}")
        at, end = 0x200000 - 8000, 0x200000 + 8000
        while at < end:
            f = self.w.recv(2, HOST)
            must(f and f[23] == 6 and
                 struct.unpack(">I", f[38:42])[0] == at and
                 f[54:] == lent(at, min(1448, end - at)), f"segment {at}: {f}")
            at += len(f) - 54
        return f"{sent} frames, units of {unit}"

    def zero_gone(self):
        """In flight from mapped memory: kill -9, unbind, a reset."""
        dmatx = self.sh(f"ps_poke {BUS} 4a80").split()[-1]
        for how in ("kill", "unbind", "reset", "kill"):
            self.sh("rm -f /tmp/out")
            self.g.start(f"ps_zero /dev/ps/xge0 hold {BUS} >/tmp/out 2>&1 &")
            self.sh("i=0; until grep -q holds /tmp/out || [ $i -gt 900 ]; do "
                    "usleep 20000; i=$((i + 1)); done; grep holds /tmp/out", 90)
            if how == "kill":
                self.sh(f"kill -9 $!; wait $!; ps_poke {BUS} 4a80 {dmatx}")
            elif how == "unbind":
                self.sh(f"echo {BUS} >/sys/bus/pci/drivers/ps_ixgbe/unbind; "
                        "wait", 90)
                # on a slow machine the hang was noticed before
                out = self.sh("cat /tmp/out")
                must(re.search("No such device.*, 4096 KiB", out), out)
                self.sh(f"echo {BUS} >/sys/bus/pci/drivers/ps_ixgbe/bind")
            else:       # the transmit hang is noticed
                self.sh("wait", 90)
                must("No such device or address, 4096 KiB" in
                     self.sh("cat /tmp/out"), "no reset")
            must(how == "kill" or "zero: 0 failures" in
                 self.sh("cat /tmp/out"), self.sh("cat /tmp/out"))
            self.sh("ip link set xge0 mtu 9710 up")
            self.alive()
        self.w.drain()

    def link(self):
        self.start_echo(1, 4)
        for up in ("false", "true"):
            self.g.qmp('{"execute":"set_link","arguments":'
                       '{"name":"nic0","up":%s}}' % up)
            time.sleep(0.5)
        out = self.end_echo()
        code, log = self.g.run("dmesg | grep 'link is' | tail -2")
        must("down" in log and "up, 10000" in log, log)
        must("end idle" in out, out)

    def echo_aside(self, seconds):
        """An echo beside the shell, $!; what it says is in /tmp/out."""
        self.sh("rm -f /tmp/out")
        self.g.start(f"ps_echo /dev/ps/xge0 2 {seconds} >/tmp/out 2>&1 &")
        self.sh("i=0; until grep -q ready /tmp/out || [ $i -gt 200 ]; do "
                "usleep 50000; i=$((i + 1)); done; grep ready /tmp/out")

    def kill_busy(self):
        times = 50 if FULL else 8
        for i in range(times):
            self.echo_aside(9)
            for k in range(60):
                self.w.send(tcp(k))
            self.sh("kill -9 $!; wait $!; grep ready /tmp/out")
        self.w.drain()
        f = udp(100, 1)
        self.start_echo(1, 1)
        self.w.send(f)
        must(self.w.recv(2, HOST) == echoed(f), "no echo afterwards")
        self.end_echo()
        return f"{times} times"

    def interrupted(self, how, state="state 4", more=40):
        """An echo is under way; after `how` it has ended, and a new one works."""
        self.w.drain()
        self.echo_aside(30)
        self.w.send(udp(60, 1))
        must(self.w.recv(3, HOST), "no echo before")
        how()
        for k in range(more):
            self.w.send(tcp(k))
        out = self.sh("wait; cat /tmp/out")
        must(state in out and "idle" not in out, out)

    def alive(self):
        self.sh("ip link set xge0 up; for i in 1 2 3 4 5 6 7 8; do "
                "list_devices | grep -q 'link 10000' && break; "
                "usleep 500000; done")
        f = udp(300, 5)
        self.start_echo(2, 1)
        self.w.send(f)
        must(self.w.recv(2, HOST) == echoed(f), "no echo afterwards")
        self.end_echo()

    def fault(self, name, value):
        self.g.set("nic0", name, value)

    def reset(self):
        """Somebody resets the function: processes hear of it, attach again."""
        self.interrupted(lambda: self.sh(
            f"echo 1 >/sys/bus/pci/devices/{BUS}/reset"))
        self.alive()

    def suspend(self):
        """To sleep and back, all but the platform's part (pm_test)."""
        def sleep():
            self.sh("echo 1 >/sys/module/suspend/parameters/pm_test_delay; "
                    "echo devices >/sys/power/pm_test; "
                    "echo mem >/sys/power/state; "
                    "echo none >/sys/power/pm_test", 40)
        self.interrupted(sleep)
        self.alive()

    def hang(self):
        """Transmission stands still: the driver notices and resets."""
        self.interrupted(lambda: self.sh(f"ps_poke {BUS} 4a80 0"))
        must("transmit hang: resetting" in self.sh("dmesg | tail -5"),
             "not in the log")
        self.alive()

    def pulled(self):
        """All registers read as ones, as of a card pulled out; later removed
        from the bus, and found again."""
        def pull():
            self.fault("gone", 1)
            self.sh(f"[ $(ps_poke {BUS} 8) = ffffffff ]; sleep 2")
        self.interrupted(pull, "state 2", 0)
        must("pulled out" in self.sh("dmesg | tail -8"), "not in the log")
        code, out = self.g.run("ps_echo /dev/ps/xge0 1 1")
        must(code != 0, "attached to a device that is not there")
        self.sh(f"echo 1 >/sys/bus/pci/devices/{BUS}/remove; "
                "[ ! -e /dev/ps/xge0 ]")
        self.fault("gone", 0)
        self.sh("echo 1 >/sys/bus/pci/rescan; sleep 1")
        self.alive()

    def rmmod_refused(self):
        self.start_echo(1, 3)
        self.w.send(udp(60, 1))
        self.end_echo()
        self.g.start("ps_echo /dev/ps/xge0 1 2 >/dev/null & sleep 0.5")
        code, out = self.g.run("rmmod ps_ixgbe")
        must(code != 0, "rmmod went through while a file was open")
        self.sh("wait")

    def unbind_busy(self):
        for i in range(3):
            self.w.drain()
            self.echo_aside(20)
            self.w.send(udp(60, 1))
            must(self.w.recv(2, HOST), "no echo before the unbind")
            for k in range(40):
                self.w.send(tcp(k))
            self.sh(f"echo {BUS} >/sys/bus/pci/drivers/ps_ixgbe/unbind")
            out = self.sh("wait; cat /tmp/out")
            must("state 2" in out and "No such device" in out, out)
            self.sh(f"echo {BUS} >/sys/bus/pci/drivers/ps_ixgbe/bind")
            self.sh("ip link set xge0 up; sleep 1; list_devices")
        return "3 times, error event each time"

    def reloads(self):
        times = 20 if FULL else 5
        for i in range(times):
            self.sh("rmmod ps_ixgbe; insmod /lib/ps_ixgbe.ko queues=4; "
                    "ip link set xge0 up")
        self.sh("sleep 1.2")
        f = udp(300, 5)
        self.start_echo(1, 1)
        self.w.send(f)
        must(self.w.recv(2, HOST) == echoed(f), "no echo after the reloads")
        self.end_echo()
        return f"{times} times"

    def fuzz(self):
        for seed in range(4 if os.environ.get("MTCPD_FULL") == "1" else 2):
            out = self.sh(f"ps_fuzz /dev/ps/xge0 4000 {seed}", 150)
        f = udp(300, 5)
        self.start_echo(1, 1)
        self.w.send(f)
        must(self.w.recv(2, HOST) == echoed(f), "no echo after the fuzzing")
        self.end_echo()
        return out.strip().splitlines()[-1]

    def errors(self):
        return self.sh("ps_errors /dev/ps/xge0").strip().splitlines()[-1]

    def said(self, text):
        """The kernel's log says it, since the case began."""
        out = self.sh("dmesg | sed -n '/MARK'-$(cat /tmp/mark)'/,$p'")
        must(text in out, f"the log lacks {text!r}: {out[-600:]}")

    def mark(self):
        self.sh("m=$(($(cat /tmp/mark 2>/dev/null || echo 0) + 1)); "
                "echo $m >/tmp/mark; echo MARK-$m >/dev/kmsg")

    def fails(self, command, *texts):
        code, out = self.g.run(command)
        must(code != 0, f"{command}: went through")
        for t in texts:
            must(t in out, f"{command}: not {t!r}: {out[-300:]}")

    def refusals(self):
        """Who cannot be served hears why, and so does the log."""
        self.mark()
        self.echo_aside(3)
        self.fails("ps_echo /dev/ps/xge0 1 1", "another program has this queue")
        self.sh("wait")
        self.said("ps_echo: queue 0 is taken already")
        self.fails("ps_echo99 /dev/ps/xge0 1 1", "of different releases")
        self.said("ps_echo99 speaks version 99 of the contract, not 1")
        self.fails("ps_rings /dev/ps/xge0 9", "no such queue")
        self.said("there is no queue 9, but 0 to 3")
        self.fails("ps_rings /dev/ps/xge7 0", "no such port")
        disk = "0000:00:1f.2"
        self.sh(f"echo ps_ixgbe >/sys/bus/pci/devices/{disk}/driver_override")
        self.fails(f"echo {disk} >/sys/bus/pci/drivers/ps_ixgbe/bind",
                   "No such device")
        self.sh(f"echo >/sys/bus/pci/devices/{disk}/driver_override")
        self.said("8086:2922 is no 82599")
        self.fails(f"psio-setup -d {disk} 2", "is no 82599")
        self.sh("rmmod ps_ixgbe")
        self.fails("list_devices", "no port in /dev/ps")
        self.sh("insmod /lib/ps_ixgbe.ko named=1; "
                f"[ ! -e /sys/bus/pci/devices/{BUS}/driver ]")
        self.fails(f"echo {BUS} >/sys/bus/pci/drivers/ps_ixgbe/bind",
                   "No such device")
        self.sh("rmmod ps_ixgbe; "
                "insmod /lib/ps_ixgbe.ko queues=4; ip link set xge0 mtu 9710")
        self.alive()

    def no_memory(self):
        """Queues until memory is out; then each allocation fails in turn."""
        self.mark()
        self.sh("rmmod ps_ixgbe; insmod /lib/ps_ixgbe.ko queues=15")
        out = self.sh("ps_nomem all /dev/ps/xge0", 240).strip()
        must("too little memory" in out, out)
        self.said("ps_nomem: no memory for queue")
        code, _ = self.g.run("[ -e /proc/self/fail-nth ]")
        if code == 0:
            out += "; " + self.each_allocation()
        self.sh("rmmod ps_ixgbe; insmod /lib/ps_ixgbe.ko queues=4; "
                "ip link set xge0 mtu 9710")
        self.alive()
        return out

    def each_allocation(self):
        # Five vectors: Linux 6.1 ignores that its tree of interrupts has no
        # memory for a new node (irq_insert_desc()) and falls over it in
        # irq_domain_alloc_irq_data(); here a node begins at interrupt 32.
        self.sh("rmmod ps_ixgbe; insmod /lib/ps_ixgbe.ko queues=4")
        self.sh("mount -t debugfs d /sys/kernel/debug 2>/dev/null; "
                "cd /sys/kernel/debug; for d in failslab fail_page_alloc; do "
                "echo 0 >$d/verbose; echo N >$d/ignore-gfp-wait; done; "
                "echo 0 >fail_page_alloc/min-order; cd /")
        one = self.sh("ps_nomem attach /dev/ps/xge0 1", 120).strip()
        # the bus and its firmware have what they need: not theirs is tested
        self.sh(f"echo {BUS} >/sys/bus/pci/drivers/ps_ixgbe/unbind; "
                f"echo 1 >/sys/bus/pci/devices/{BUS}/enable")
        two = self.sh(f"ps_nomem bind {BUS} 19", 280).strip()
        self.sh(f"echo 0 >/sys/bus/pci/devices/{BUS}/enable")
        # /proc/irq warns of what it could not make; kmemleak needs memory too
        bad = [l for l in self.g.complaints() if not any(w in l for w in (
            "kmemleak: Cannot", "fs/proc/generic.c", "irq/", "Call Trace"))]
        must(not bad, "; ".join(bad[:5]))
        self.sh("dmesg -c >/dev/null")
        return f"attach: {one}; bind: {two}"

    def unsigned(self):
        """The kernel wants a signature, as with Secure Boot: psio-setup says
        what to do.  The kernel's state stays: the last case but one."""
        code, _ = self.g.run("[ -e /sys/module/module/parameters/sig_enforce ]")
        if code != 0:
            return "not of this kernel"
        self.mark()
        self.sh("rmmod ps_ixgbe; "
                "echo 1 >/sys/module/module/parameters/sig_enforce")
        self.fails("psio-setup -m /lib/ps_ixgbe.ko 4", "mokutil --import",
                   "Key was rejected")
        self.said("unsigned module is rejected")

    def psio_setup(self):
        """From the stock driver to ours and back, interrupts to their cores."""
        self.sh(f"rmmod ps_ixgbe; {IXGBE}; "
                f"[ -e /sys/bus/pci/drivers/ixgbe/{BUS} ]")
        self.sh("psio-setup -n -m /lib/ps_ixgbe.ko 3")
        self.sh(f"[ -e /sys/bus/pci/drivers/ixgbe/{BUS} ]")
        out = self.sh("psio-setup -m /lib/ps_ixgbe.ko -c 1,0 -a 10.9.9.1/24 3")
        must("driver ps_ixgbe interface xge0 4 vectors" in out, out)
        out = self.sh("list_devices; ip addr show dev xge0")
        must("queues 3" in out and "10.9.9.1/24" in out, out)
        out = self.sh("for i in $(grep xge0-rx /proc/interrupts | cut -d: -f1);"
                      " do cat /proc/irq/$i/smp_affinity_list; done")
        got = [w for w in out.split() if w.isdigit()]
        must(got == ["1", "0", "1"], f"affinity {got}")
        out = self.sh("psio-setup -m /lib/ps_ixgbe.ko 2; list_devices")
        must("queues 2" in out, out)
        self.g.start("ps_echo /dev/ps/xge0 1 8 >/dev/null 2>&1 & sleep 1")
        code, out = self.g.run("psio-setup -m /lib/ps_ixgbe.ko 3")
        must(code == 1 and "in use" in out, f"{code}: {out}")
        self.sh("wait")
        out = self.sh("psio-setup --undo")
        self.sh(f"[ -e /sys/bus/pci/drivers/ixgbe/{BUS} ]")
        self.sh("[ ! -e /sys/module/ps_ixgbe ] && [ ! -e /run/psio-setup ]")
        must("(null)" in self.sh(f"cat /sys/bus/pci/devices/{BUS}/"
                                 "driver_override"), "override stays")
        code, out = self.g.run("psio-setup -d 00:00.0 2")
        must(code == 1 and "is no 82599" in out, out)
        code, out = self.g.run("psio-setup -m /lib/none.ko 2")
        must(code == 1 and "does not load" in out, out)
        self.sh("rmmod ixgbe; insmod /lib/ps_ixgbe.ko queues=4; "
                "ip link set xge0 up; sleep 1")

    def strict(self):
        """The port's DMA goes through a translating IOMMU."""
        self.sh(f"[ -e /sys/bus/pci/devices/{BUS}/iommu_group ]")
        kind = self.sh(f"cat /sys/bus/pci/devices/{BUS}/iommu_group/type")
        must(kind.split()[-1] == "DMA", kind)

    def copied(self):
        """This machine copies DMA memory: nothing is sent from where it lies."""
        self.sh("ps_zero /dev/ps/xge0 copied")


def play(title, kernel, suite, names, only, extra, **machine):
    """A guest with one NIC, frames of the host at its other end: all cases, or
    load and those named."""
    def nics(folder):
        wire = Wire(folder, "w0")
        return [(wire, "52:54:00:00:00:01", extra)], (wire,)

    return guest.play(title, suite, [name for name in names if not only or
                                     name in only or name == "load"],
                      kernel, nics, **machine)


CASES = ("load", "sizes", "spread", "hashes", "checks", "wakeups", "looks", "mtu", "throttle",
         "ethtool", "sfp", "full", "errors", "refusals", "slow", "offload", "zero",
         "link", "kill_busy", "zero_gone", "rmmod_refused", "idle", "reset", "suspend", "hang",
         "pulled", "unbind_busy", "reloads", "fuzz", "no_memory",
         "stock_rss", "psio_setup", "strict", "copied", "unsigned",
         "quiet")


def main():
    kernel, only = sys.argv[1], sys.argv[2:]
    kind = "".join(k for k in ("iommu", "swiotlb") if k in only)
    only = [name for name in only if name != kind]
    kinds = {"strict": "iommu", "copied": "swiotlb"}
    return play(f"L2 {kernel} {kind}".strip(), kernel, Suite,
                [name for name in CASES if kinds.get(name, kind) == kind], only,
                ",addr=2,mark=on", iommu=kind == "iommu",
                append=" swiotlb=force" if kind == "swiotlb" else "",
                limit=1100 if FULL else 880 if kernel == "debug" else 330)


if __name__ == "__main__":
    sys.exit(main())
