"""guest.py - a virtual machine with virtual 82599s, and frames from the host

A guest boots from a Debian kernel and a busybox initramfs; its shell is on the
serial line, so a test says run("command") and gets the output and the exit
status.  Each NIC's other end is a unix datagram socket here (class Wire).
Every wait is bounded; the machine is ended in any case.  A driver that breaks
a rule of the virtual 82599 (model/strict.c) ends the case with the rule's name.
"""
import json, os, re, select, shutil, socket, subprocess, tempfile, time

CACHE = os.environ["MTCPD_DRIVER_CACHE"]
HERE = os.path.dirname(os.path.abspath(__file__))


# The kernel's own driver and what it stands on; insmod where it is a module.
IXGBE = ("for m in dca xfrm_algo libphy mdio_devres mdio ixgbe; do "
         "[ -e /lib/$m.ko ] && insmod /lib/$m.ko; done; true")


class Wire:
    """The host's end of a NIC's cable."""

    def __init__(self, folder, name):
        self.here = f"{folder}/{name}.host"
        self.there = f"{folder}/{name}.nic"
        self.s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 << 20)
        self.s.bind(self.here)

    def netdev(self, ident):
        return (f"dgram,id={ident},local.type=unix,local.path={self.there},"
                f"remote.type=unix,remote.path={self.here}")

    def send(self, frame):
        self.s.settimeout(5)
        self.s.sendto(frame, self.there)

    def recv(self, timeout=2.0, to=None):
        """The next frame, or the next one to address `to`; None in time."""
        end = time.time() + timeout
        while True:
            r, _, _ = select.select([self.s], [], [],
                                    max(0, end - time.time()))
            f = self.s.recv(16384) if r else None
            if f is None or to is None or f[:6] == to:
                return f

    def drain(self, quiet=0.05):
        while self.recv(quiet) is not None:
            pass


class Guest:
    def __init__(self, kernel, nics, folder, limit=230, iommu=False,
                 initrd=None, devices=(), disks=(), append="", memory=768,
                 patience=180, nodes=1):
        """nics: list of (wire or netdev string, mac, extra properties).

        disks: files, which stay as they are; a guest with disks may boot again.
        nodes: NUMA nodes; with two each has a processor and half the memory.
        """
        a = ["nice", "-n", "10", "timeout", "-k", "2", str(limit), "env",
             f"LD_PRELOAD={CACHE}/ixgbe82599.so", "qemu-system-x86_64",
             "-M", "q35", "-m", str(memory), "-smp", f"2,sockets={nodes}",
             "-accel", "tcg,thread=multi", "-nodefaults",
             "-display", "none", "-serial", "stdio",
             "-qmp", f"unix:{folder}/qmp,server=on,wait=off",
             "-kernel", f"{CACHE}/kernel-{kernel}/vmlinuz",
             "-initrd", f"{CACHE}/{initrd or 'initrd-' + kernel}",
             "-append", "console=ttyS0 quiet panic=-1 iomem=relaxed"
             # a busy host gives the timer's test too few ticks
             " no_timer_check" +
             (" intel_iommu=on iommu.strict=1" if iommu else "") + append]
        a += [] if disks else ["-no-reboot"]
        for i in range(nodes if nodes > 1 else 0):
            a += ["-object",
                  f"memory-backend-ram,id=m{i},size={memory // nodes}M",
                  "-numa", f"node,nodeid={i},memdev=m{i},cpus={i}"]
        for i, f in enumerate(disks):
            a += ["-drive", f"id=d{i},file={f},format=raw,if=none,snapshot=on",
                  "-device", f"virtio-blk-pci,drive=d{i},addr={8 + i}"]
        if iommu:
            a += ["-device", "intel-iommu"]
        for d in devices:
            a += ["-device", d]
        for i, (wire, mac, extra) in enumerate(nics):
            net = wire.netdev(f"n{i}") if isinstance(wire, Wire) else wire
            a += ["-netdev", net, "-device",
                  f"ixgbe82599,id=nic{i},netdev=n{i},mac={mac}{extra}"]
        self.log = b""
        self.folder = folder
        with open(f"{folder}/said", "wb") as said:
            self.p = subprocess.Popen(a, stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE, stderr=said)
        self.heard = open(f"{folder}/said")
        self.count = 0
        try:
            self.wait(b"GUEST-SHELL", patience)
        except Exception:
            self.p.terminate()
            self.p.wait(10)
            raise

    def listen(self):
        """Raises when the model has named a rule that was broken."""
        said = self.heard.read()
        broken = [l for l in said.splitlines() if " broken " in l]
        must(not broken, f"{len(broken)} rules broken: {'; '.join(broken[:3])}")

    def wait(self, mark, timeout):
        """Reads the serial line until mark; returns what came before it."""
        end = time.time() + timeout
        start = 0
        while True:
            at = self.log.find(mark, start)
            if at >= 0:
                got, self.log = self.log[:at], self.log[at + len(mark):]
                self.all = getattr(self, "all", b"") + got + mark
                return got.decode(errors="replace")
            self.listen()
            left = min(end - time.time(), 1)
            r, _, _ = select.select([self.p.stdout], [], [], max(left, 0))
            b = os.read(self.p.stdout.fileno(), 65536) if r else b""
            if not b and (r or left < 1):
                tail = self.log[-1500:].decode(errors="replace")
                raise RuntimeError(f"guest: no {mark!r} in time: {tail}")
            start = max(0, len(self.log) - len(mark))
            self.log += b

    def start(self, command):
        self.p.stdin.write(command.encode() + b"\n")
        self.p.stdin.flush()

    def run(self, command, timeout=30):
        self.count += 1
        self.start(f"{{ {command}\n}} 2>&1; echo DO''NE-{self.count}-$?-")
        out = self.wait(f"DONE-{self.count}-".encode(), timeout)
        code = self.wait(b"-", 5)
        return int(code), out

    def sh(self, command, timeout=30):
        """What it prints; it has to end with status 0."""
        code, out = self.run(command, timeout)
        must(code == 0, f"{command}: status {code}: {out[-1500:]}")
        return out

    def qmp(self, line):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(5)
        s.connect(self.folder + "/qmp")
        f = s.makefile("rw")
        f.readline()
        for cmd in ('{"execute":"qmp_capabilities"}', line):
            f.write(cmd + "\n")
            f.flush()
            answer = f.readline()
        s.close()
        return answer

    def get(self, device, name):
        """A property of a device, as QEMU has it."""
        said = self.qmp(json.dumps({"execute": "qom-get", "arguments": {
            "path": f"/machine/peripheral/{device}", "property": name}}))
        return json.loads(said)["return"]

    def set(self, device, name, value):
        self.qmp(json.dumps({"execute": "qom-set", "arguments": {
            "path": f"/machine/peripheral/{device}", "property": name,
            "value": value}}))

    def complaints(self):
        """What a kernel says when something is wrong."""
        _, out = self.run("dmesg")
        return [l for l in out.splitlines()
                if re.search(r"WARNING|BUG|Oops|general protection|leak|"
                             r"given up|not stop|Call Trace|DMAR: .*fault|"
                             r"DMAR: .*Fault|PTE .* access", l) and
                "leak detector init" not in l and "scanning thread" not in l]

    def close(self):
        try:
            self.start("poweroff -f")
            self.p.wait(5)
        except Exception:
            self.p.terminate()
            self.p.wait(10)


class Cases:
    """One line a case; a case is a function that raises when it fails."""

    def __init__(self, guest=None):
        self.passed = self.failed = 0
        self.guest = guest

    def case(self, name, function):
        start = time.time()
        try:
            note = function() or ""
            if self.guest:
                self.guest.listen()
            self.passed += 1
            print(f"ok    {name} {note} ({time.time() - start:.1f} s)",
                  flush=True)
        except Exception as e:
            self.failed += 1
            print(f"FAIL  {name}: {e}", flush=True)

    def report(self):
        path = os.environ.get("MTCPD_DRIVER_TALLY")
        if path:
            with open(path, "a") as f:
                f.write(f"{self.passed} {self.failed}\n")


def must(condition, text):
    if not condition:
        raise RuntimeError(text)


# Two NICs on one hub, the second with more properties.
def pair(more=""):
    return [("hubport,id=n0,hubid=0", "52:54:00:00:00:01", ",addr=2"),
            ("hubport,id=n1,hubid=0", "52:54:00:00:00:02", ",addr=3" + more)]


class Suite:
    """What a guest's cases have in common; each is a method."""
    patience = 90

    def __init__(self, guest):
        self.g = guest

    def sh(self, command, timeout=None):
        return self.g.sh(command, timeout or self.patience)

    def before(self):
        pass

    def quiet(self):
        bad = self.g.complaints()
        must(not bad, "; ".join(bad[:5]))


def play(title, suite, names, kernel, nics, chained=False, **machine):
    """A guest and its cases, one line each; returns the program's status.

    nics: as Guest's, or what makes them of the folder and the suite's further
    arguments: (nics, arguments).  chained: a case stands on the one before.
    """
    cases = Cases()
    folder = tempfile.mkdtemp(prefix="mtcpd-driver.")
    more = ()
    try:
        if callable(nics):
            nics, more = nics(folder)
        cases.guest = Guest(kernel, nics, folder, **machine)
        s = suite(cases.guest, *more)
        for name in names:
            before = cases.failed
            s.before()
            cases.case(f"{title} {name}", getattr(s, name))
            if cases.guest.p.poll() is not None:
                raise RuntimeError(f"the guest ended in {name}")
            if chained and cases.failed > before:
                break
    except Exception as e:
        cases.failed += 1
        print(f"FAIL  {title}: {e}", flush=True)
    finally:
        if cases.guest:
            cases.guest.close()
        shutil.rmtree(folder, ignore_errors=True)
    cases.report()
    return 1 if cases.failed else 0
