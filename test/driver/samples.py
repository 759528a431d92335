"""samples.py KERNEL [CASE ...] - what driver/samples say, in a guest (layer L2)

The host is the other end of the cable, so it knows what the figures must be.
"""
import re, sys, threading, time
from l2 import HOST, MAC, Suite, echoed, play, udp
from guest import must

GENERATOR = re.compile(
    r"sent (\d+) back (\d+) lost (\d+) in ([\d.]+) s, ([\d.]+) Mpps, "
    r"round trip ([\d.]+)/([\d.]+)/([\d.]+) us")


class Samples(Suite):
    def answer(self, count, keep, slow):
        """Sends `count` frames back but those that `keep` drops; frame `slow`
        after a while."""
        for i in range(count):
            f = self.w.recv(20, HOST)
            if f is None:
                break
            if i == slow:
                time.sleep(0.3)
            if keep(i):
                self.w.send(echoed(f))

    def generate(self, count, keep, slow=-1, size=100):
        self.w.drain()
        t = threading.Thread(target=self.answer, args=(count, keep, slow))
        t.start()
        out = self.sh(f"packet_generator /dev/ps/xge0 1 {count} {size} "
                      + ":".join(f"{b:02x}" for b in HOST), 60)
        t.join()
        m = GENERATOR.search(out)
        must(m, out)
        sent, back, lost = map(int, m.groups()[:3])
        seconds, mpps, least, mean, most = map(float, m.groups()[3:])
        must(sent == count and back + lost == sent, out)
        # the seconds have three decimals
        least_s, most_s = max(seconds - 0.0006, 1e-9), seconds + 0.0006
        must(sent / most_s / 1e6 <= mpps * 1.01 + 2e-6, out)
        must(mpps * 0.99 <= sent / least_s / 1e6 + 2e-6, out)
        must(0 < least <= mean <= most < seconds * 1e6 + 1000, out)
        return lost, least, mean, most

    def generator(self):
        """All come back: no loss; the time of each is under its bounds."""
        lost, least, mean, most = self.generate(400, lambda i: True)
        must(lost == 0, f"{lost} lost of none")
        return f"{least}/{mean}/{most} us"

    def generator_loss(self):
        """Every tenth is lost, one comes 0.3 s later."""
        lost, least, mean, most = self.generate(400, lambda i: i % 10, 200)
        must(lost == 40, f"{lost} lost, not 40")
        must(most >= 300e3, f"the slow one took {most} us")
        must(least < 300e3, f"the quick ones took {least} us")

    def generator_sizes(self):
        for size in 60, 1514:
            must(self.generate(40, lambda i: True, size=size)[0] == 0, "lost")

    def rxdump(self):
        self.w.drain()
        self.g.start("rxdump /dev/ps/xge0 0 3; echo RXDUMP''-END")
        time.sleep(1)
        for i, n in enumerate((60, 100, 1514)):
            self.w.send(udp(n, i))
        out = self.g.wait(b"RXDUMP-END", 20)
        lengths = [int(n) for n in re.findall(r"^len (\d+) flags", out, re.M)]
        must(lengths == [60, 100, 1514], out)
        want = (MAC + HOST)[:8].hex()
        must(out.count(f"{want[:8]} {want[8:]}") == 3, out)

    def misuse(self):
        """What is wrong is said, and ends with a status."""
        for command, status, text in (
                ("packet_generator", 2, "use: packet_generator"),
                ("packet_generator /dev/ps/xge0 0 1 59 02:00:00:00:00:99", 2,
                 "use: packet_generator"),
                ("packet_generator /dev/ps/xge0 0 1 60 nonsense", 2,
                 "use: packet_generator"),
                ("packet_generator /dev/ps/xge9 0 1 60 02:00:00:00:00:99", 1,
                 "no such port"),
                ("rxdump", 2, "use: rxdump"),
                ("rxdump /dev/ps/xge9 0 1", 1, "no such port"),
                ("rxdump /dev/ps/xge0 77 1", 1, "no such queue"),
                ("ps_echo", 2, "use: echo"),
                ("ps_echo /dev/ps/xge9 1 1", 1, "no such port")):
            code, out = self.g.run(command)
            must(code == status and text in out, f"{command}: {code} {out}")


CASES = ("load", "generator", "generator_loss", "generator_sizes", "rxdump",
         "misuse", "quiet")

if __name__ == "__main__":
    sys.exit(play(f"L2 {sys.argv[1]} samples", sys.argv[1], Samples, CASES,
                  sys.argv[2:], ",addr=2,mark=on"))
