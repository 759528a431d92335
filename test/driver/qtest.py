"""qtest.py - the virtual 82599 without a guest: registers and memory by hand

The processor sleeps in a BIOS of one loop.  Time stands still but for step();
what the model says about broken rules is kept in a file.
"""
import json, re, shutil, socket, subprocess, tempfile, time
from guest import CACHE, must

BAR = 0xe0000000
MAC = "52:54:00:00:00:01"


class Qtest:
    def __init__(self, properties=""):
        self.folder = tempfile.mkdtemp(prefix="mtcpd-driver.")
        self.said = open(f"{self.folder}/said", "w")
        with open(f"{self.folder}/bios", "wb") as f:    # cli; hlt; jmp to hlt
            f.write(bytes(65536 - 16) + b"\xfa\xf4\xeb\xfd" + bytes(12))
        self.p = subprocess.Popen(
            ["timeout", "60", "env", f"LD_PRELOAD={CACHE}/ixgbe82599.so",
             "qemu-system-x86_64", "-nodefaults", "-display", "none",
             "-M", "q35", "-m", "64", "-accel", "tcg", "-S", "-qtest",
             "stdio", "-bios", f"{self.folder}/bios",
             "-qmp", f"unix:{self.folder}/qmp,server=on,wait=off", "-device",
             f"ixgbe82599,id=nic0,addr=3,netdev=n0,mac={MAC}{properties}",
             "-netdev", "hubport,id=n0,hubid=0"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=self.said, text=True, bufsize=1)
        self.heard = open(f"{self.folder}/said")
        self.qmp = None
        self.config(0x10, BAR)
        self.config(0x14, 0)
        self.config(4, 6)

    def say(self, s):
        self.p.stdin.write(s + "\n")
        self.p.stdin.flush()
        while True:
            line = self.p.stdout.readline().strip()
            if line.startswith("OK"):
                return line[3:]
            must(line and not line.startswith(("FAIL", "ERR")),
                 f"qtest: {s}: {line}")

    def config(self, at, value):
        self.say(f"outl 0xcf8 {0x80000000 | 3 << 11 | at:#x}")
        self.say(f"outl 0xcfc {value:#x}")

    def rd(self, at):
        return int(self.say(f"readl {BAR + at:#x}"), 16)

    def wr(self, at, v):
        self.say(f"writel {BAR + at:#x} {v:#x}")

    def put(self, at, data):
        self.say(f"write {at:#x} {len(data)} 0x{data.hex()}")

    def get(self, at, n):
        return bytes.fromhex(self.say(f"read {at:#x} {n}")[2:])

    def step(self, ms):
        self.monitor("cont")
        time.sleep(ms / 1000)
        self.monitor("stop")

    def monitor(self, command, **arguments):
        if not self.qmp:
            s = socket.socket(socket.AF_UNIX)
            s.settimeout(10)
            s.connect(f"{self.folder}/qmp")
            self.qmp = s.makefile("rw")
            self.qmp.readline()
            self.monitor("qmp_capabilities")
        self.qmp.write(json.dumps({"execute": command,
                                   "arguments": arguments}) + "\n")
        self.qmp.flush()
        while True:
            got = json.loads(self.qmp.readline())
            must("error" not in got, f"QMP {command}: {got.get('error')}")
            if "return" in got:
                return got["return"]

    def broken(self):
        """Names of the rules that were broken since the last call."""
        text = self.heard.read()
        return re.findall(r"broken ([\w-]+)", text)

    def close(self):
        self.p.terminate()
        self.p.wait(10)
        shutil.rmtree(self.folder, ignore_errors=True)


RING_TX, RING_RX, BUF = 0x100000, 0x120000, 0x130000
SLOTS = 32


def reset(q):
    """4.6.3: interrupts masked, bus master stopped, reset, initialised."""
    q.wr(0x888, 0x7fffffff)
    q.wr(0xab0, 0xffffffff)
    q.wr(0xab4, 0xffffffff)
    q.wr(0, q.rd(0) | 4)
    q.wr(0, q.rd(0) | 1 << 26)
    q.step(10)
    must(q.rd(0x2f00) & 8, "DMA initialisation not done")


def receive_on(q):
    """4.6.7: settings, the path halted, RXEN, the path let go."""
    q.wr(0x5080, 0x702)
    q.wr(0x4240, q.rd(0x4240) | 1 << 15)
    q.wr(0x2f00, q.rd(0x2f00) & ~(0x1f << 17) | 1 << 25 | 2)
    q.wr(0x8d00, 2)
    must(q.rd(0x8d04) & 1, "receive path not halted")
    q.wr(0x3000, 1)
    q.wr(0x8d00, 0)


def enable(q, xdctl):
    q.wr(xdctl, q.rd(xdctl) | 1 << 25)
    q.step(1)
    must(q.rd(xdctl) >> 25 & 1, f"queue {xdctl:05x} is not enabled")


def queue(q, base, ring, slots=SLOTS):
    q.wr(base, ring)
    q.wr(base + 8, slots * 16)
    q.wr(base + 0x10, 0)
    q.wr(base + 0x18, 0)
    if base < 0x6000:
        q.wr(base + 0x14, 2 | 1 << 25)
    enable(q, base + 0x28)


def bring_up(q):
    """All of it as the datasheet has it, one queue each way."""
    reset(q)
    q.wr(0x4268, 1518 << 16)
    receive_on(q)
    q.wr(0x4a80, 1)
    queue(q, 0x1000, RING_RX)
    queue(q, 0x6000, RING_TX)
