"""trace.py [KERNEL] - ps_ixgbe's bring-up beside stock ixgbe's, by register

In one guest each driver brings up a virtual 82599 that logs every access, from
probe to the first running queue.  Printed per register: what each driver
wrote, in order, repetitions counted; addresses and random keys are shown as
such.  doc/82599-bringup.md explains every line that differs.

With --check: fails when a register differs that the document does not name.
"""
import collections, os, re, shutil, sys, tempfile
from guest import HERE, IXGBE, Guest

NAMES = [
    (0x0, 0x0, 4, "CTRL"), (0x18, 0x18, 4, "CTRL_EXT"), (0x20, 0x20, 4, "ESDP"),
    (0x28, 0x28, 4, "I2CCTL"), (0x200, 0x200, 4, "LEDCTL"),
    (0x800, 0x800, 4, "EICR"), (0x808, 0x808, 4, "EICS"),
    (0x810, 0x810, 4, "EIAC"), (0x820, 0x87c, 4, "EITR"),
    (0x880, 0x880, 4, "EIMS"), (0x888, 0x888, 4, "EIMC"),
    (0x890, 0x890, 4, "EIAM"), (0x898, 0x898, 4, "GPIE"),
    (0x900, 0x9fc, 4, "IVAR"), (0xa00, 0xa00, 4, "IVAR_MISC"),
    (0xa90, 0xa94, 4, "EICS_EX"), (0xaa0, 0xaa4, 4, "EIMS_EX"),
    (0xab0, 0xab4, 4, "EIMC_EX"), (0xad0, 0xad4, 4, "EIAM_EX"),
    (0x1000, 0x1fc0, 0x40, "RDBAL"), (0x1004, 0x1fc4, 0x40, "RDBAH"),
    (0x1008, 0x1fc8, 0x40, "RDLEN"), (0x100c, 0x1fcc, 0x40, "DCA_RXCTRL"),
    (0x1010, 0x1fd0, 0x40, "RDH"), (0x1014, 0x1fd4, 0x40, "SRRCTL"),
    (0x1018, 0x1fd8, 0x40, "RDT"), (0x1028, 0x1fe8, 0x40, "RXDCTL"),
    (0x102c, 0x1fec, 0x40, "RSCCTL"), (0x2100, 0x213c, 4, "SRRCTL (old)"),
    (0x2200, 0x223c, 4, "DCA_RXCTRL (old)"),
    (0x2140, 0x215c, 4, "RTRPT4C"), (0x2300, 0x237c, 4, "RQSMR"),
    (0x2430, 0x2430, 4, "RTRPCS"), (0x2f00, 0x2f00, 4, "RDRXCTL"),
    (0x3000, 0x3000, 4, "RXCTRL"), (0x3020, 0x3020, 4, "RTRUP2TC"),
    (0x3028, 0x3028, 4, "RSCDBU"), (0x3200, 0x320c, 4, "FCTTV"),
    (0x3220, 0x323c, 4, "FCRTL"), (0x3260, 0x327c, 4, "FCRTH"),
    (0x32a0, 0x32a0, 4, "FCRTV"), (0x3c00, 0x3c1c, 4, "RXPBSIZE"),
    (0x3d00, 0x3d00, 4, "FCCFG"), (0x4240, 0x4240, 4, "HLREG0"),
    (0x425c, 0x425c, 4, "MSCA"), (0x4260, 0x4260, 4, "MSRWD"),
    (0x4268, 0x4268, 4, "MAXFRS"), (0x4288, 0x4288, 4, "PCSS1"),
    (0x4294, 0x4294, 4, "MFLCN"), (0x42a0, 0x42a0, 4, "AUTOC"),
    (0x42a8, 0x42a8, 4, "AUTOC2"), (0x4330, 0x4330, 4, "MACC"),
    (0x4900, 0x4900, 4, "RTTDCS"), (0x4904, 0x4904, 4, "RTTDQSEL"),
    (0x4908, 0x4908, 4, "RTTDT1C"), (0x4910, 0x492c, 4, "RTTDT2C"),
    (0x4950, 0x496c, 4, "TXPBTHRESH"), (0x4980, 0x4984, 4, "RTTBCNRM"),
    (0x4a80, 0x4a80, 4, "DMATXCTL"), (0x5000, 0x5000, 4, "RXCSUM"),
    (0x5008, 0x5008, 4, "RFCTL"), (0x5080, 0x5080, 4, "FCTRL"),
    (0x5088, 0x5088, 4, "VLNCTRL"), (0x5090, 0x5090, 4, "MCSTCTRL"),
    (0x5120, 0x5144, 4, "ETQF"), (0x51b0, 0x51b0, 4, "VT_CTL"),
    (0x5200, 0x53fc, 4, "MTA"), (0x5400, 0x547c, 4, "RAL/RAH (old)"),
    (0x5480, 0x54bc, 4, "PSRTYPE (old)"), (0x5800, 0x5800, 4, "WUC"),
    (0x5808, 0x5808, 4, "WUFC"), (0x5810, 0x5810, 4, "WUS"),
    (0x5818, 0x5818, 4, "MRQC"), (0x5c00, 0x5c7c, 4, "RETA"),
    (0x5c80, 0x5ca4, 4, "RSSRK"), (0x6000, 0x7fc0, 0x40, "TDBAL"),
    (0x6004, 0x7fc4, 0x40, "TDBAH"), (0x6008, 0x7fc8, 0x40, "TDLEN"),
    (0x600c, 0x7fcc, 0x40, "DCA_TXCTRL"), (0x6010, 0x7fd0, 0x40, "TDH"),
    (0x6018, 0x7fd8, 0x40, "TDT"), (0x6028, 0x7fe8, 0x40, "TXDCTL"),
    (0x6038, 0x7ff8, 0x40, "TDWBAL"), (0x603c, 0x7ffc, 0x40, "TDWBAH"),
    (0x8100, 0x8100, 4, "DTXMXSZRQ"), (0x8120, 0x8120, 4, "MTQC"),
    (0x8600, 0x867c, 4, "TQSM"), (0x8800, 0x8800, 4, "SECTXCTRL"),
    (0x8808, 0x8810, 4, "SECTXMINIFG"), (0x8c00, 0x8c4c, 4, "TSYNC"),
    (0x5188, 0x51e8, 4, "TSYNC"), (0x8d00, 0x8d00, 4, "SECRXCTRL"),
    (0xa000, 0xa1fc, 4, "VFTA"), (0xa200, 0xa5f8, 8, "RAL"),
    (0xa204, 0xa5fc, 8, "RAH"), (0xa600, 0xa7fc, 4, "MPSAR"),
    (0xc800, 0xc800, 4, "RTTUP2TC"), (0xcc00, 0xcc1c, 4, "TXPBSIZE"),
    (0xcd00, 0xcd00, 4, "RTTPCS"), (0xcd20, 0xcd3c, 4, "RTTPT2C"),
    (0xea00, 0xeafc, 4, "PSRTYPE"), (0xeb00, 0xeb7c, 4, "RETA"),
    (0xeb80, 0xeba4, 4, "RSSRK"), (0xec00, 0xec1c, 4, "ETQS"),
    (0xec80, 0xec80, 4, "MRQC"), (0xee00, 0xee7c, 4, "FDIR"),
    (0xf000, 0xf0fc, 4, "PFVML2FLT"),
    (0xf100, 0xf1fc, 4, "PFVLVF"), (0xf200, 0xf3fc, 4, "PFVLVFB"),
    (0xf400, 0xf5fc, 4, "PFUTA"), (0x4200, 0x4218, 4, "PCS1G"),
    (0x8900, 0x893c, 4, "IPSTX"), (0x8e00, 0x8e34, 4, "IPSRX"),
    (0xd028, 0xdfe8, 0x40, "RXDCTL"), (0x10010, 0x10010, 4, "EEC"),
    (0x10014, 0x10014, 4, "EERD"), (0x10140, 0x10140, 4, "SWSM"),
    (0x10160, 0x10160, 4, "GSSR"), (0x11000, 0x11000, 4, "GCR"),
    (0x11050, 0x11050, 4, "GCR_EXT"), (0x11070, 0x11074, 4, "DCA_CTRL"),
    (0x12300, 0x1247c, 4, "EITR"), (0x14f00, 0x14f10, 4, "CORECTL"),
]
# Where the values are addresses or counts of the moment.
MOMENT = {"RDBAL", "RDBAH", "TDBAL", "TDBAH", "RDT", "TDT", "EERD", "I2CCTL",
          "RSSRK", "TDWBAL", "TDWBAH"}


def name(at):
    for first, last, step, n in NAMES:
        if first <= at <= last and (at - first) % step == 0:
            return n
    return f"{at:05x}"


def read(path):
    """Writes by register name: the distinct values, in order of the first."""
    writes = collections.OrderedDict()
    with open(path) as f:
        for line in f:
            kind, at, value = line.split()
            if kind != "W":
                continue
            n = name(int(at, 16))
            values = writes.setdefault(n, collections.OrderedDict())
            v = "..." if n in MOMENT else value
            values[v] = values.get(v, 0) + 1
    return writes


def shown(values):
    if values is None:
        return "-"
    words = [v + (f" x{n}" if n > 1 else "") for v, n in values.items()]
    return " ".join(words[:6] + ["..."] * (len(words) > 6))


def traces(kernel, folder):
    """The two logs: stock ixgbe's device first."""
    logs = [f"{folder}/{d}.log" for d in ("stock", "ours")]
    bus = ["0000:00:02.0", "0000:00:03.0"]
    g = Guest(kernel, [
        (f"hubport,id=n{i},hubid=0", f"52:54:00:00:00:0{i + 1}",
         f",addr={i + 2},log={logs[i]}") for i in range(2)], folder)
    try:
        g.run(f"echo ps_ixgbe >/sys/bus/pci/devices/{bus[1]}/driver_override; "
              f"echo ixgbe >/sys/bus/pci/devices/{bus[0]}/driver_override; "
              f"{IXGBE}; insmod /lib/ps_ixgbe.ko queues=2")
        g.sh("ip link set eth0 up; ip link set xge0 up; sleep 2; "
             "ps_echo /dev/ps/xge0 2 1", 60)
    finally:
        g.close()
    return [read(l) for l in logs]


def report(stock, ours):
    differ = []
    print(f"{'register':16} {'stock ixgbe':44} ps_ixgbe")
    for n in list(stock) + [n for n in ours if n not in stock]:
        a, b = stock.get(n), ours.get(n)
        same = a is not None and b is not None and list(a) == list(b)
        if not same:
            differ.append(n)
        print(f"{n:16} {shown(a)[:43]:44} {'=' if same else shown(b)}")
    print(f"{len(differ)} registers differ")
    return differ


def main():
    check = "--check" in sys.argv
    rest = [a for a in sys.argv[1:] if a != "--check"]
    folder = tempfile.mkdtemp(prefix="mtcpd-driver.")
    try:
        differ = report(*traces(rest[0] if rest else "6.1", folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    with open(f"{HERE}/../../doc/82599-bringup.md") as f:
        told = f.read()
    silent = [n for n in differ if not
              re.search(rf"(?<!\w){re.escape(n)}(?!\w)", told)]
    if silent:
        print(f"doc/82599-bringup.md does not explain: {' '.join(silent)}")
    return 1 if check and silent else 0


if __name__ == "__main__":
    sys.exit(main())
