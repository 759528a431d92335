"""faults.py KERNEL [CASE ...] - ps_ixgbe on a device that breaks (layer L2)

Each case sets a fault of the virtual 82599 while the guest runs
(model/faults.c), looks at what the driver says and does about it, takes the
fault away and sees frames echoed again.  The device is behind a port of PCI
Express, so that it can be unplugged.
"""
import json, sys, time
import l2
from l2 import HOST, Suite, echoed, play, tcp, udp
from guest import must

l2.BUS = BUS = "0000:01:00.0"
DRIVER = "/sys/bus/pci/drivers/ps_ixgbe"


class Faults(Suite):
    def log(self, text):
        """Something the kernel's log must say, since the last mark."""
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

    def wait_link(self, up):
        self.sh("i=0; until list_devices | grep -q 'link "
                f"{'10000' if up else '0'} ' || [ $i -gt 50 ]; do "
                "usleep 100000; i=$((i + 1)); done; [ $i -le 50 ]")

    def before(self):
        for f in ("sfp-absent", "link-flap-ms", "eeprom-fault", "enable-stuck",
                  "tx-hang", "dma-errors", "lost-interrupts"):
            self.fault(f, 0)
        self.g.run("killall ps_echo; wait")

    def quiet(self):
        bad = [l for l in self.g.complaints() if "resetting the port" not in l]
        must(not bad, "; ".join(bad[:5]))

    def eeprom(self):
        self.sh(f"echo {BUS} >{DRIVER}/unbind")
        for value, text in ((1, "EEPROM checksum is"),
                            (2, "EEPROM is absent")):
            self.mark()
            self.fault("eeprom-fault", value)
            self.fails(f"echo {BUS} >{DRIVER}/bind", "Input/output error")
            self.log(text)
        self.fault("eeprom-fault", 0)
        self.sh(f"echo {BUS} >{DRIVER}/bind")
        self.alive()

    def never_starts(self):
        for value, text in ((1, "receive queue 1 does not start"),
                            (2, "transmit queue 1 does not start")):
            self.mark()
            self.fault("enable-stuck", value)
            self.fails("ps_rings /dev/ps/xge0 1", "timed out")
            self.fault("enable-stuck", 0)
            self.log(text)
            self.alive()

    def never_stops(self):
        for value in (4, 8):
            self.mark()
            self.start_echo(2, 1)
            self.fault("enable-stuck", value)
            self.end_echo()
            self.fault("enable-stuck", 0)
            self.log("resetting the port")
            self.alive()

    def no_module(self):
        """An empty cage: no link, no frames; then a module is put in."""
        self.fault("sfp-absent", 1)
        self.wait_link(False)
        self.sh(f"echo {BUS} >{DRIVER}/unbind; echo {BUS} >{DRIVER}/bind; "
                "ip link set xge0 up; sleep 1")
        self.wait_link(False)
        self.fault("sfp-absent", 0)
        self.wait_link(True)
        self.alive()

    def flapping(self):
        self.mark()
        self.start_echo(1, 3)
        self.fault("link-flap-ms", 30)
        for i in range(60):
            self.w.send(udp(100, i))
            time.sleep(0.05)
        self.fault("link-flap-ms", 0)
        out = self.end_echo()
        must("end idle" in out, out)
        self.log("link is down")
        self.wait_link(True)
        self.alive()

    def hanging(self):
        """Nothing leaves until a reset; then nothing leaves after it either."""
        for value in (1, 2):
            self.mark()
            self.interrupted(lambda: self.fault("tx-hang", value))
            self.log("transmit hang: resetting")
            self.fault("tx-hang", 0)
            self.alive()

    def dma_fails(self):
        """One transfer fails: DMA stands still until the port is reset."""
        self.mark()
        self.interrupted(lambda: self.fault("dma-errors", 1))
        self.log("PCI exception: resetting")
        self.alive()

    def interrupt_lost(self):
        """A frame whose interrupt went nowhere is found within two seconds."""
        late = self.late()
        self.start_echo(1, 12)
        for i in range(3):
            time.sleep(0.3)
            self.fault("lost-interrupts", 1)
            self.w.send(udp(100, i))
            start = time.time()
            must(self.w.recv(8, HOST), "the frame was never read")
            must(time.time() - start < 6, "read only at the time-out")
        self.end_echo()
        must(self.late() > late, "the service found none")

    def link_interrupt_lost(self):
        self.fault("lost-interrupts", 1)
        self.fault("sfp-absent", 1)
        self.wait_link(False)
        self.fault("lost-interrupts", 0)
        self.fault("sfp-absent", 0)
        self.wait_link(True)
        self.alive()

    def unplugged(self):
        """Taken out while busy through QEMU's monitor, put in again."""
        def out():
            self.g.qmp('{"execute":"device_del","arguments":{"id":"nic0"}}')
            self.sh("i=0; while [ -e /dev/ps/xge0 ] && [ $i -lt 100 ]; do "
                    "usleep 100000; i=$((i + 1)); done; [ ! -e /dev/ps/xge0 ]")
        for i in range(2):
            self.interrupted(out, "state 2", 0)
            self.sh(f"i=0; while [ -e /sys/bus/pci/devices/{BUS} ] && "
                    "[ $i -lt 100 ]; do usleep 100000; i=$((i + 1)); done")
            time.sleep(1)
            self.g.qmp(json.dumps({"execute": "device_add", "arguments": {
                "driver": "ixgbe82599", "id": "nic0", "netdev": "n0",
                "bus": "rp0", "mac": "52:54:00:00:00:01", "mark": True}}))
            self.sh("i=0; until [ -e /dev/ps/xge0 ] || [ $i -gt 150 ]; do "
                    "usleep 100000; i=$((i + 1)); done; [ -e /dev/ps/xge0 ]")
            self.alive()
        return "twice"


CASES = ("load", "eeprom", "never_starts", "never_stops", "no_module",
         "flapping", "hanging", "dma_fails", "interrupt_lost",
         "link_interrupt_lost", "unplugged", "quiet")

if __name__ == "__main__":
    kernel = sys.argv[1]
    sys.exit(play(f"L2 {kernel} faults", kernel, Faults, CASES, sys.argv[2:],
                  ",bus=rp0,mark=on", limit=280,
                  devices=["pcie-root-port,id=rp0,chassis=1,slot=1"]))
