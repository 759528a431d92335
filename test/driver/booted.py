"""booted.py - a Debian system with the packages on a virtual 82599 (layer L3)

A guest boots Debian with systemd and the package mtcpd-dkms (booted.sh); mtcpd,
mtcp-tools and libmtcpclient0 are installed in it.  Of its two 82599s one is psio-setup's and mtcpd's (10.5.0.2); the other stays with
the kernel's ixgbe, in a namespace that plays the peer (10.5.0.1).  What an
administrator does is done: by hand, then by units at the next boot, then all
of it is taken out again.
"""
import re, sys
import guest
from guest import CACHE, must, pair

OURS, PEERS = "0000:00:02.0", "0000:00:03.0"
DRIVERS = "/sys/bus/pci/drivers"
CONF = """
[daemon]
group = mtcpd
[engine]
count = 2
huge_pages = no
[port uplink]
driver = psio
device = xge0
address = 10.5.0.2/24
[tcp]
max_connections = 4096
max_syn = 1024
max_time_wait = 4096
"""
# What a purge of Debian's leaves: users, and what was there to be changed.
LEFT = re.compile(r"etc/(passwd|group|shadow|gshadow|subuid|subgid|"
                  r"\.pwd\.lock)-?$|var/|run/|root/|tmp/|boot/|"
                  r".*/modules\.[a-z.]+$|.*\.pyc$|etc/mtcpd/?$")


class Suite(guest.Suite):
    patience = 150

    def until(self, command, seconds=60):
        self.sh(f"i=0; until {command}; do i=$((i + 1)); "
                f"[ $i -lt {seconds * 4} ] || break; sleep 0.25; done >/dev/null; "
                f"{command}", seconds + 30)

    def driver(self, device):
        """Whose it is, once it has been probed."""
        self.until(f"[ -e /sys/bus/pci/devices/{device}/driver ]")
        out = self.sh(f"basename $(readlink /sys/bus/pci/devices/{device}/driver)")
        return out.split()[-1]

    def up(self):
        code, out = self.g.run("systemctl is-system-running --wait", 240)
        must("running" in out, out + self.g.run("systemctl --failed")[1])

    def boots(self):
        """The module is installed, and asked for by nobody."""
        self.up()
        must([self.driver(d) for d in (OURS, PEERS)] == ["ixgbe"] * 2,
             "a device was taken at boot, unasked")
        return self.sh("systemctl --version | head -n 1; uname -r").replace(
            "\n", " ").strip()

    def files(self, to):
        self.sh("cd / && { find etc usr opt srv -xdev; dpkg-query -W -f "
                "'${Package} ${Status}\\n'; } | LC_ALL=C sort >/var/tmp/" + to)

    def installs(self):
        """All from files, by apt."""
        self.files("before")
        out = self.sh("dkms status ps_ixgbe; modinfo -n ps_ixgbe")
        must("installed" in out and "/updates/dkms/" in out, out)
        self.sh("mkdir -p /tmp/debs && tar -xf /dev/vdb -C /tmp/debs")
        self.sh("apt-get -q -y install /tmp/debs/*.deb >/tmp/apt.log 2>&1 || "
                "{ tail -n 30 /tmp/apt.log; false; }", 300)
        self.sh("! systemctl -q is-active mtcpd psio-setup; "
                "! [ -e /sys/module/ps_ixgbe ]")
        must(self.driver(OURS) == "ixgbe", "taken unasked")

    def sets_up(self):
        """One device by hand, first only said, then done."""
        out = self.sh(f"psio-setup -n -d {OURS} 2")
        must("modprobe ps_ixgbe queues=2" in out, out)
        must(self.driver(OURS) == "ixgbe", "a dry run did it")
        out = self.sh(f"psio-setup -d {OURS} 2", 150)
        must(f"{OURS} driver ps_ixgbe interface xge0 3 vectors" in out, out)
        must(self.driver(PEERS) == "ixgbe", "the other one is taken too")
        out = self.sh("stat -c '%A %G' /dev/ps/xge0")
        must("crw-rw---- mtcpd" in out, f"the device's rights: {out}")

    def peer(self):
        self.sh("ip netns add peer; ip link set $(ls "
                f"/sys/bus/pci/devices/{PEERS}/net) netns peer name peer0; "
                "ip -n peer addr add 10.5.0.1/24 dev peer0; "
                "ip -n peer link set peer0 up")
        self.until("ip -n peer link show peer0 | grep -q 'state UP'")

    def fetch(self, name="1m", times=2):
        self.sh(f"for i in $(seq {times}); do ip netns exec peer curl -m 60 "
                f"-sS -o /tmp/got http://10.5.0.2/{name} && "
                f"cmp /tmp/got /srv/www/{name} || exit 1; done", 240)

    def serve(self):
        self.sh("systemd-run -q --collect --unit=web -p User=web "
                "epserver -p /srv/www -f /srv/app.conf -N 2")
        self.until("mtcpctl listeners | grep -q :80")

    def starts(self):
        self.sh(f"cat >/etc/mtcpd/mtcpd.conf <<'X'\n{CONF}X")
        self.sh("systemctl start mtcpd || { journalctl -u mtcpd -n 20; false; }",
                60)
        out = self.sh("systemctl status mtcpd")
        must("Active: active (running)" in out and "2 engines, 1 port" in out,
             out)
        out = self.sh("cat /proc/$(systemctl show -P MainPID mtcpd)/status")
        must(re.search(r"^CapEff:\s0+$", out, re.M) and
             re.search(r"^Uid:\s[1-9]", out, re.M), "its rights: " + out)

    def serves(self):
        self.peer()
        self.sh("useradd --system --groups mtcpd web; mkdir /srv/www; "
                "head -c 1048576 /dev/urandom >/srv/www/1m; "
                "head -c 8388608 /dev/urandom >/srv/www/8m; "
                "printf 'num_cores = 2\\nmax_concurrency = 1000\\n' "
                ">/srv/app.conf")
        self.serve()
        self.fetch("1m", 6)
        self.fetch("8m", 1)
        out = self.sh("mtcpctl ports")
        must("uplink" in out and "82599" in out, out)
        return "1 MiB six times and 8 MiB identical"

    def kernel_port(self):
        """What is not mtcpd's is the kernel's: ping of xge0, mtcpd busy."""
        self.sh("ip address add 10.5.0.3/24 dev xge0; sleep 1")
        self.sh("ip netns exec peer curl -m 20 -sS -o /dev/null "
                "http://10.5.0.3:81/; [ $? = 7 ]")
        self.sh("ip address del 10.5.0.3/24 dev xge0")

    def journal(self):
        out = self.sh("journalctl -q -u mtcpd -u psio-setup")
        for text in ("Starting mtcpd.service", "is ready:",
                     "Started mtcpd.service"):
            must(text in out, f"the journal has no {text!r}: {out}")
        must("port uplink" in out, f"no word of the port: {out}")
        must(self.sh("journalctl -q -o cat MTCPD_EVENT=ready").strip(),
             "no event `ready`")
        out = self.sh("journalctl -q -k")
        must("ps_ixgbe" in out and "xge0" in out,
             f"no word of the kernel: {out[-800:]}")
        out = self.sh("journalctl -q -p err -u mtcpd -u psio-setup")
        must("mtcpd" not in out, f"errors: {out}")

    def stops(self):
        self.sh("systemctl stop web mtcpd", 150)
        out = self.sh("systemctl show -P Result mtcpd; ls /run/mtcpd 2>&1 || :")
        must("success" in out and "No such file" in out, out)
        out = self.sh("psio-setup --undo")
        must([self.driver(d) for d in (OURS, PEERS)] == ["ixgbe"] * 2, out)
        self.sh("! [ -e /sys/module/ps_ixgbe ]")

    def again(self):
        self.g.start("systemctl reboot")
        self.g.wait(b"GUEST-SHELL", 300)
        self.up()

    def by_itself(self):
        """The units enabled: after the next boot it serves."""
        self.sh(f"echo 'PSIO_SETUP=\"-d {OURS} 2\"' >/etc/default/psio-setup; "
                "systemctl -q enable psio-setup mtcpd")
        self.again()
        out = self.sh("systemctl status psio-setup mtcpd; psio-setup --status")
        must(f"{OURS} driver ps_ixgbe interface xge0" in out and
             "2 engines, 1 port" in out, out)
        must(self.driver(PEERS) == "ixgbe", "the other one is taken too")
        self.peer()
        self.serve()
        self.fetch("1m", 3)
        self.journal()

    def goes(self):
        """Units down and packages purged: as it was."""
        self.sh("systemctl stop web; systemctl -q disable --now mtcpd "
                "psio-setup", 150)
        must([self.driver(d) for d in (OURS, PEERS)] == ["ixgbe"] * 2,
             "the unit's end gives no device back")
        self.sh("apt-get -q -y purge mtcpd mtcp-tools libmtcpclient0 "
                "mtcpd-dkms >/tmp/apt.log 2>&1 || { tail -n 30 /tmp/apt.log; "
                "false; }", 300)
        self.sh("! modinfo ps_ixgbe 2>/dev/null; rm -rf /srv/www /srv/app.conf "
                "/etc/default/psio-setup; userdel web")
        self.files("after")
        out = self.sh("LC_ALL=C comm -13 /var/tmp/before /var/tmp/after")
        left = [l for l in out.split("\n") if l.strip() and
                not LEFT.match(l.strip())]
        must(not left, f"left: {' '.join(left[:10])}")


CASES = ("boots", "installs", "sets_up", "starts", "serves",
         "kernel_port", "journal", "stops", "by_itself", "quiet", "goes")

if __name__ == "__main__":
    sys.exit(guest.play(
        "L3 booted", Suite, CASES, "booted", pair(), chained=True, limit=1100,
        disks=[f"{CACHE}/booted.ext4", f"{CACHE}/booted-debs.tar"],
        append=" root=/dev/vda rw systemd.show_status=0 net.ifnames=1",
        memory=1536, patience=240))
