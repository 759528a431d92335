"""numa.py KERNEL - memory of a port is its node's, in hugepage-sized pieces

A guest of two NUMA nodes, each with a processor and half the memory; the port
is behind a bridge of node 0's or of node 1's.
"""
import re, sys
from l2 import Suite, play
from guest import must

WHERE = re.compile(r"port on node (-?\d+); pages on node 0: (\d+), on node 1: "
                   r"(\d+), of (\d+); whole pieces of 2 MiB: (\d+) of (\d+)")


class Numa(Suite):
    node = 0

    def where(self, cpu):
        out = self.sh(f"taskset {1 << cpu} ps_where /dev/ps/xge0")
        m = WHERE.search(out)
        must(m, out)
        return list(map(int, m.groups()))

    def local(self):
        """Whichever processor asks."""
        for cpu in 0, 1:
            node, *on, pages, whole, pieces = self.where(cpu)
            must(node == self.node, f"the port says node {node}")
            must(on[self.node] == pages, f"of {pages} pages {on} are on 0, 1")
            must(whole == pieces, f"{whole} of {pieces} pieces are whole")
        return f"{pages} pages on node {node}, {whole} pieces of 2 MiB"


if __name__ == "__main__":
    status = 0
    for Numa.node in 0, 1:
        status |= play(
            f"L2 {sys.argv[1]} numa, node {Numa.node}:", sys.argv[1], Numa,
            ("load", "local", "quiet"), sys.argv[2:], ",bus=rp0,mark=on",
            limit=120, nodes=2, devices=[
                f"pxb-pcie,id=pxb,bus_nr=64,bus=pcie.0,numa_node={Numa.node}",
                "pcie-root-port,id=rp0,bus=pxb,chassis=1,slot=1"])
    sys.exit(status)
