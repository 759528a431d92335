"""l3.py KERNEL [iommu] - the whole way: mtcpd on ps_ixgbe, stock ixgbe as its peer (layer L3)

One guest, two virtual 82599s on one hub.  The first is ps_ixgbe's and mtcpd's
(10.5.0.2), the second stock ixgbe's (10.5.0.1) in a network namespace of its
own, whose kernel TCP is the peer.
"""
import os, sys
import guest
from guest import IXGBE, must, pair

BUS = "0000:00:02.0"
FULL = os.environ.get("MTCPD_FULL") == "1"
BIG = "100" if FULL else "8"    # MiB
CONF = """
[daemon]
socket = /tmp/m.sock
admin = /tmp/a.sock
pidfile = none
[engine]
count = {engines}
huge_pages = no
[port p]
driver = psio
device = {device}
address = {net}.2/24
vlan = {vlan}
[tcp]
max_connections = 4096
max_syn = 1024
max_time_wait = 4096
"""


class Suite(guest.Suite):
    patience = 60

    def set_up(self):
        """ps_ixgbe takes the first device, stock ixgbe the second."""
        self.sh("for m in llc stp garp mrp 8021q; do "
                "[ -e /lib/$m.ko ] && insmod /lib/$m.ko; done; "
                f"echo ps_ixgbe >/sys/bus/pci/devices/{BUS}/driver_override; "
                f"{IXGBE}; insmod /lib/ps_ixgbe.ko queues=2; "
                "ip link set xge0 up")
        self.sh("unshare -n sleep 1000 & echo $! >/tmp/ns; sleep 1; "
                "ip link set $(ls /sys/class/net | grep -v -e lo -e xge0) "
                "netns $(cat /tmp/ns)")
        self.peer("ip addr add 10.5.0.1/24 dev eth0 2>/dev/null || "
                  "ip addr add 10.5.0.1/24 dev eth1; "
                  "for d in eth0 eth1; do ip link set $d up; done 2>/dev/null; "
                  "ip link set lo up")
        self.sh("mkdir -p /tmp/www; dd if=/dev/urandom of=/tmp/www/1m bs=1M "
                "count=1; dd if=/dev/urandom of=/tmp/www/8 bs=1M count=8; "
                f"[ {BIG} = 8 ] || dd if=/dev/urandom of=/tmp/www/{BIG} bs=1M "
                f"count={BIG}; "
                "ulimit -l unlimited; sleep 3")

    def peer(self, command, timeout=60):
        return self.sh(f"nsenter -n -t $(cat /tmp/ns) sh -c '{command}'",
                       timeout)

    def daemon(self, engines, device="xge0", net="10.5.0", vlan=0, more=""):
        conf = CONF.format(engines=engines, device=device, net=net, vlan=vlan
                           ).replace("[tcp]", more + "\n[tcp]")
        self.sh(f"cat >/tmp/m.conf <<'X'\n{conf}X")
        self.sh("mtcpd -f -c /tmp/m.conf >/tmp/mtcpd.log 2>&1 & "
                "echo $! >/tmp/mtcpd.pid; i=0; while [ $i -lt 100 ] && "
                "! [ -S /tmp/m.sock ]; do usleep 100000; i=$((i+1)); done; "
                "[ -S /tmp/m.sock ] || { cat /tmp/mtcpd.log; false; }")

    def serve(self, threads=1):
        self.sh(f"printf 'num_cores = {threads}\\nmax_concurrency = 1000\\n' "
                ">/tmp/app.conf; MTCPD_SOCKET=/tmp/m.sock epserver -p /tmp/www "
                f"-f /tmp/app.conf -N {threads} >/tmp/ep.log 2>&1 & "
                "echo $! >/tmp/ep.pid; sleep 2")

    def fetch(self, name, times=1, net="10.5.0"):
        self.peer(f"i=0; while [ $i -lt {times} ]; do "
                  f"curl -m {40 + 5 * int(BIG)} -sS -o /tmp/got http://{net}.2/{name} && "
                  f"cmp /tmp/got /tmp/www/{name} || exit 1; i=$((i+1)); done",
                  100 + 6 * int(BIG))

    def stop(self):
        self.sh("kill $(cat /tmp/ep.pid); sleep 1; kill $(cat /tmp/mtcpd.pid); "
                "i=0; while [ $i -lt 80 ] && [ -d /proc/$(cat /tmp/mtcpd.pid) ]"
                "; do usleep 100000; i=$((i+1)); done; "
                "! [ -d /proc/$(cat /tmp/mtcpd.pid) ]")

    def serves(self):
        self.daemon(1)
        self.serve()
        self.fetch("1m", 3)
        self.fetch(BIG)
        out = self.sh("mtcpctl -s /tmp/a.sock ports")
        must("psio" in out or "82599" in out, out)
        lent = self.lent()
        must(lent > int(BIG) << 20, f"{lent} bytes without a copy")
        return f"1 MiB and {BIG} MiB identical, {lent >> 20} MiB not copied"

    def lent(self):
        out = self.sh("mtcpctl -s /tmp/a.sock --json ports")
        return int(out.split('"tx_lent_bytes":')[1].split(",")[0].split("}")[0])

    def pinned(self):
        out = self.sh("grep VmPin /proc/$(cat /tmp/mtcpd.pid)/status")
        return int(out.split()[1])

    def slowly(self):
        """A file is under way, by a peer that takes its time."""
        self.peer("(curl -m 60 -sS --limit-rate 1M -o /tmp/long "
                  "http://10.5.0.2/8; echo $? >/tmp/long.code) "
                  ">/dev/null 2>&1 </dev/null &")
        self.sh("i=0; until [ -s /tmp/long ] || [ $i -gt 100 ]; do "
                "usleep 100000; i=$((i+1)); done; [ -s /tmp/long ]")

    def killed(self):
        """The program, then the daemon, ends with frames in flight."""
        self.daemon(1)
        self.serve()
        self.slowly()
        must(self.pinned() >= 4096, f"{self.pinned()} KiB pinned")
        self.sh("kill -9 $(cat /tmp/ep.pid); i=0; until grep -q 'VmPin:.* 0 kB'"
                " /proc/$(cat /tmp/mtcpd.pid)/status || [ $i -gt 200 ]; do "
                "usleep 100000; i=$((i+1)); done; [ $i -le 200 ]; "
                "rm -f /tmp/long*")
        self.serve()
        self.fetch("8")
        self.slowly()
        self.sh("kill -9 $(cat /tmp/mtcpd.pid); sleep 1; "
                "kill $(cat /tmp/ep.pid); rm -f /tmp/long* /tmp/m.sock; sleep 1")
        self.daemon(1)
        self.serve()
        self.fetch("8")
        must(self.lent() > 7 << 20, "copied")
        self.stop()

    def copied(self):
        """The administrator wants payload copied."""
        self.daemon(1, more="zero_copy = no")
        self.serve()
        self.fetch("8")
        must(self.lent() == 0 and self.pinned() == 0, "not copied")
        self.stop()

    def fetches(self):
        self.peer("httpd -p 80 -h /tmp/www")
        for name in "1m", BIG:
            self.sh(f"rm -f /tmp/mine*; MTCPD_SOCKET=/tmp/m.sock epwget "
                    f"10.5.0.1/{name} 1 -o /tmp/mine -f /tmp/app.conf 2>&1; "
                    f"cmp /tmp/mine /tmp/www/{name} || "
                    f"cmp /tmp/mine* /tmp/www/{name}; rm -f /tmp/mine*",
                    60 + 6 * int(BIG))
        return f"1 MiB and {BIG} MiB identical"

    def back(self):
        """The port is unbound and bound again while a file is being served:
        the connection outlives it, and others are served after it."""
        self.peer("(curl -m 90 -sS --limit-rate 1M -o /tmp/long "
                  "http://10.5.0.2/8; echo $? >/tmp/long.code) "
                  ">/dev/null 2>&1 </dev/null &")
        self.sh("i=0; until [ -s /tmp/long ] || [ $i -gt 100 ]; do "
                "usleep 100000; i=$((i+1)); done; [ -s /tmp/long ]")
        self.sh(f"echo {BUS} >/sys/bus/pci/drivers/ps_ixgbe/unbind; sleep 1; "
                "kill -0 $(cat /tmp/mtcpd.pid); ! [ -e /tmp/long.code ]")
        self.sh(f"echo {BUS} >/sys/bus/pci/drivers/ps_ixgbe/bind; "
                "ip link set xge0 up; i=0; until grep -q 'is back' "
                "/tmp/mtcpd.log || [ $i -gt 200 ]; do usleep 100000; "
                "i=$((i+1)); done")
        out = self.sh("cat /tmp/mtcpd.log")
        must("has gone" in out and "is back" in out, out)
        self.fetch("1m", 2)
        self.sh("i=0; until [ -e /tmp/long.code ] || [ $i -gt 900 ]; do "
                "usleep 100000; i=$((i+1)); done; "
                "[ $(cat /tmp/long.code) = 0 ] && cmp /tmp/long /tmp/www/8",
                110)
        self.stop()
        return "8 MiB under way identical"

    def two(self):
        self.daemon(2, BUS)
        self.serve(2)
        before = self.queues()
        self.fetch("1m", 12)
        got = [n - o for n, o in zip(self.queues(), before)]
        must(min(got) > 50, f"frames of the queues: {got}")
        out = self.sh("mtcpctl -s /tmp/a.sock --json engines")
        must(out.count('"core"') == 2, out)
        self.stop()
        return f"frames of the queues: {got}"

    def queues(self):
        out = self.sh("ethtool -S xge0 | grep -E 'queue_[01]_frames_in'")
        return [int(line.split()[-1]) for line in out.strip().splitlines()]

    def vlan(self):
        """Both ends in VLAN 5; frames without the tag are the kernel's."""
        self.peer('d=$(ip -o link | grep -o "eth[01]" | head -1); '
                  "ip link add link $d name v5 type vlan id 5; "
                  "ip addr add 10.6.0.1/24 dev v5; ip link set v5 up")
        self.sh("ip addr add 10.5.0.3/24 dev xge0")
        self.daemon(1, net="10.6.0", vlan=5)
        self.serve()
        self.fetch("8", net="10.6.0")
        self.peer("ping -c 2 -W 3 10.5.0.3")
        must("vlan 5" in self.sh("mtcpctl -s /tmp/a.sock ports"), "mode")
        self.stop()
        self.sh("ip addr del 10.5.0.3/24 dev xge0")
        return "8 MiB identical"

    def errors(self):
        net = {"net": "10.5.0", "vlan": 0}
        for device, said in (("xge9", "has no port"),):
            self.sh(f"cat >/tmp/e.conf <<'X'\n"
                    f"{CONF.format(engines=1, device=device, **net)}X")
            code, out = self.g.run("timeout 5 mtcpd -f -c /tmp/e.conf")
            must(code == 1 and said in out, f"{device}: {code} {out}")
        self.sh(f"cat >/tmp/e.conf <<'X'\n"
                f"{CONF.format(engines=3, device='xge0', **net)}X")
        code, out = self.g.run("timeout 5 mtcpd -f -c /tmp/e.conf")
        must(code == 1 and "queues=3" in out, out)

    def taken(self):
        self.sh(f"cat >/tmp/e.conf <<'X'\n" + CONF.format(
            engines=1, device="xge0", net="10.5.0", vlan=0) + "X")
        self.g.start("ps_echo /dev/ps/xge0 1 6 >/dev/null & sleep 1")
        code, out = self.g.run("timeout 5 mtcpd -f -c /tmp/e.conf")
        must(code == 1 and "in use by another program" in out, out)


CASES = ("set_up", "errors", "serves", "fetches", "back", "two", "killed",
         "copied", "vlan", "taken", "quiet")

if __name__ == "__main__":
    kernel, iommu = sys.argv[1], "iommu" in sys.argv
    sys.exit(guest.play(f"L3 {kernel}{' iommu' if iommu else ''}", Suite,
                        CASES, kernel, pair(), iommu=iommu,
                        initrd=f"initrd-{kernel}-mtcpd",
                        limit=800 if FULL else 230,
                        memory=1280 if FULL else 768))
