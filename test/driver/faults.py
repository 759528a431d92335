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
            self.said(text)
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
            self.said(text)
            self.alive()

    def never_stops(self):
        for value in (4, 8):
            self.mark()
            self.start_echo(2, 1)
            self.fault("enable-stuck", value)
            self.end_echo()
            self.fault("enable-stuck", 0)
            self.said("resetting the port")
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
        self.said("link is down")
        self.wait_link(True)
        self.alive()

    def hanging(self):
        """Nothing leaves until a reset; then nothing leaves after it either."""
        for value in (1, 2):
            self.mark()
            self.interrupted(lambda: self.fault("tx-hang", value))
            self.said("transmit hang: resetting")
            self.fault("tx-hang", 0)
            self.alive()

    def dma_fails(self):
        """One transfer fails: DMA stands still until the port is reset."""
        self.mark()
        self.interrupted(lambda: self.fault("dma-errors", 1))
        self.said("PCI exception: resetting")
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

    def until(self, condition):
        self.sh(f"i=0; until {condition} || [ $i -gt 150 ]; do "
                f"usleep 100000; i=$((i + 1)); done; {condition}", 40)

    def unplug(self):
        self.g.qmp('{"execute":"device_del","arguments":{"id":"nic0"}}')
        self.until("[ ! -e /dev/ps/xge0 ]")

    def plug(self, **more):
        """A device into the slot that unplug() left."""
        self.until(f"[ ! -e /sys/bus/pci/devices/{BUS} ]")
        time.sleep(1)
        self.g.qmp(json.dumps({"execute": "device_add", "arguments": {
            "driver": "ixgbe82599", "id": "nic0", "netdev": "n0",
            "bus": "rp0", "mac": "52:54:00:00:00:01", "mark": True} | more}))
        self.until(f"[ -e /sys/bus/pci/devices/{BUS}/device ]")

    def unplugged(self):
        """Taken out while busy through QEMU's monitor, put in again."""
        for i in range(2):
            self.interrupted(self.unplug, "state 2", 0)
            self.plug()
            self.until("[ -e /dev/ps/xge0 ]")
            self.alive()
        return "twice"

    def backplane(self):
        """A port without a cage: its link is the EEPROM's."""
        self.unplug()
        self.plug(**{"device-id": 0x10f7})
        self.until("[ -e /dev/ps/xge0 ]")
        self.alive()
        out = self.sh(f"cat /sys/bus/pci/devices/{BUS}/device; ethtool xge0; "
                      "dmesg | tail -8")
        must("0x10f7" in out and "Port: Other" in out and
             "Speed: 10000Mb/s" in out, out)
        must("SFP+" not in out, out)
        self.unplug()
        self.plug()
        self.until("[ -e /dev/ps/xge0 ]")
        self.alive()

    def few_vectors(self):
        """A device of one interrupt vector, then of three."""
        self.mark()
        self.unplug()
        self.plug(vectors=1)
        self.until("dmesg | tail | grep -q 'needs two MSI-X'")
        self.said("needs two MSI-X vectors or more: -28")
        self.fails("list_devices", "no port in /dev/ps")
        self.unplug()
        self.plug(vectors=3)
        self.until("[ -e /dev/ps/xge0 ]")
        self.said("2 queue pairs for want of vectors")
        must("queues 2" in self.sh("list_devices"), "queues")
        self.fails("ps_rings /dev/ps/xge0 2", "no such queue")
        self.fails("psio-setup 4", "too few interrupt vectors: 2 queues")
        self.until("[ -e /dev/ps/xge0 ]")
        self.alive()
        self.unplug()
        self.plug()
        self.until("[ -e /dev/ps/xge0 ]")
        self.alive()

    def inject(self, error):
        said = self.g.qmp(json.dumps({
            "execute": "human-monitor-command", "arguments": {
                "command-line": f"pcie_aer_inject_error nic0 {error}"}}))
        must("OK id" in said, f"{error}: {said}")

    def bus_errors(self):
        """PCI Express reports errors: a correctable one goes by, the others
        reset the port; after a fatal one the bus resets the device too."""
        self.mark()
        self.start_echo(1, 1)
        self.inject("BAD_TLP")
        self.w.send(udp(60, 1))
        must(self.w.recv(2, HOST), "no echo after a correctable error")
        self.end_echo()
        for error in ("COMP_TIME", "MALF_TLP"):
            self.mark()
            self.interrupted(lambda: self.inject(error))
            self.until("dmesg | sed -n /MARK-$(cat /tmp/mark)/,\\$p | "
                       "grep -q 'device recovery'")
            self.said("device recovery successful")
            self.alive()


CASES = ("load", "eeprom", "never_starts", "never_stops", "no_module",
         "flapping", "hanging", "dma_fails", "interrupt_lost",
         "link_interrupt_lost", "bus_errors", "backplane", "few_vectors",
         "unplugged", "quiet")

if __name__ == "__main__":
    kernel = sys.argv[1]
    sys.exit(play(f"L2 {kernel} faults", kernel, Faults, CASES, sys.argv[2:],
                  ",bus=rp0,mark=on", limit=420,
                  devices=["pcie-root-port,id=rp0,chassis=1,slot=1,x-speed=5"]))
