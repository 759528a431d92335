"""rules.py - each rule of the virtual 82599 can be broken, and is then named

A clean bring-up with frames both ways says nothing; then, for each rule, a
sequence that is wrong in that one thing names that rule and no other.
"""
import struct
from guest import must
from qtest import BUF, RING_RX, RING_TX, SLOTS, Qtest, bring_up, enable, \
    queue, receive_on, reset

LOST = 0x7000000000             # no memory there


def fill(q, n=8):
    for i in range(n):
        q.put(RING_RX + 16 * i, struct.pack("<QQ", BUF + 2048 * i, 0))
    q.wr(0x1018, n)


def tx(q, at, n, flags=0x2b300000, paylen=None, address=BUF + 0x20000, olinfo=0):
    """A data descriptor: EOP, IFCS, RS, DEXT and kind data by default."""
    q.put(RING_TX + 16 * at,
          struct.pack("<QII", address, n | flags,
                      (n if paylen is None else paylen) << 14 | olinfo))


def frame(q, n=60):
    q.put(BUF + 0x20000, bytes.fromhex("525400000001525400000002") + b"\x08\0" +
          bytes(n - 14))


def clean(q):
    fill(q)
    frame(q)
    tx(q, 0, 60)
    q.wr(0x6018, 1)
    must(q.get(RING_TX + 12, 1)[0] & 1, "not sent")
    must(q.get(RING_RX + 8, 1)[0] & 3 == 3, "not received")


def marks(q):
    """A descriptor that the chip owns: no length, no status to be read."""
    fill(q)
    status, length, vlan = struct.unpack("<IHH", q.get(RING_RX + 8, 8))
    must(status & 1 == 0 and length == 0x1d and vlan == 0xdead,
         f"no mark: {status:x} {length:x} {vlan:x}")
    frame(q)
    tx(q, 0, 60)
    q.wr(0x6018, 1)
    status, length, vlan = struct.unpack("<IHH", q.get(RING_RX + 8, 8))
    must(status & 3 == 3 and length == 60 and vlan == 0,
         f"not written back: {status:x} {length:x} {vlan:x}")


# ---- wrong sequences: after bring_up(), unless they bring up themselves ----
def ring_base(q):
    q.wr(0x1040, RING_RX + 16)


def ring_length(q):
    q.wr(0x1048, 100)


def ring_changed(q):
    q.wr(0x1008, 256)


def tail_beyond(q):
    q.wr(0x1018, SLOTS)


def tail_early(q):
    q.wr(0x1040, RING_RX)
    q.wr(0x1048, 512)
    q.wr(0x1054, 2 | 1 << 25)
    q.wr(0x1068, 1 << 25)
    q.wr(0x1058, 8)


def tail_passes(q):
    fill(q, 24)
    q.wr(0x1018, 8)


def queue_no_ring(q):
    q.wr(0x1054, 2 | 1 << 25)
    q.wr(0x1068, 1 << 25)


def tx_no_dmatxctl(q):
    reset(q)
    receive_on(q)
    queue(q, 0x6000, RING_TX)


def rx_not_halted(q):
    reset(q)
    q.wr(0x2f00, q.rd(0x2f00) & ~(0x1f << 17) | 1 << 25 | 2)
    q.wr(0x3000, 1)


def init_not_awaited(q):
    q.wr(0, q.rd(0) | 4)
    q.wr(0, q.rd(0) | 1 << 26)
    q.step(10)
    q.wr(0x2f00, 1 << 25 | 2)
    q.wr(0x8d00, 2)
    q.rd(0x8d04)
    q.wr(0x3000, 1)


def crc_strip(q):
    reset(q)
    q.wr(0x4240, q.rd(0x4240) & ~2)
    receive_on(q)


def rsc_init(q):
    reset(q)
    q.wr(0x2f00, q.rd(0x2f00) | 2)
    q.wr(0x8d00, 2)
    q.rd(0x8d04)
    q.wr(0x3000, 1)


def rx_buffer(q):
    q.wr(0x1040, RING_RX)
    q.wr(0x1048, 512)
    q.wr(0x1054, 1 << 25)
    enable(q, 0x1068)


def reset_unmasked(q):
    q.wr(0x880, 1 << 20)
    q.wr(0, 4)
    q.wr(0, 1 << 26)


def reset_master(q):
    q.wr(0, 1 << 26)


def reset_early(q):
    q.wr(0, 4)
    q.wr(0, 1 << 26)            # time stands still: 0 ms later
    q.wr(0x5080, 0x700)


def read_only(q):
    q.wr(8, 0)


def reserved(q):
    q.wr(0x500, 1)


def reserved_bits(q):
    q.wr(0x4a80, 1 | 1 << 8)


def desc_changed(q):
    fill(q)
    q.put(RING_RX, struct.pack("<Q", BUF + 0x8000))
    frame(q)
    tx(q, 0, 60)
    q.wr(0x6018, 1)


def dma_abort(q):
    tx(q, 0, 60, address=LOST)
    q.wr(0x6018, 1)


def tx_short(q):
    tx(q, 0, 16)
    q.wr(0x6018, 1)


def tx_long(q):
    tx(q, 0, 1600)
    q.wr(0x6018, 1)


def split(q, parts):
    """A frame of so many descriptors; the last one ends it."""
    queue(q, 0x6040, RING_TX, 64)
    for i in range(parts):
        tx(q, i, 20, 0x2b300000 if i == parts - 1 else 0x20300000, 20 * parts)
    q.wr(0x6058, parts)


def whole(q):
    """As many descriptors as there may be."""
    split(q, 38)


def tx_parts(q):
    split(q, 39)


def tx_paylen(q):
    tx(q, 0, 60, paylen=64)
    q.wr(0x6018, 1)


def tx_context(q):
    tx(q, 0, 60, olinfo=1 << 7 | 1 << 8 | 3 << 4)
    q.wr(0x6018, 1)


WRONG = [ring_base, ring_length, ring_changed, tail_beyond, tail_early,
         tail_passes, queue_no_ring, tx_no_dmatxctl, rx_not_halted,
         init_not_awaited, crc_strip, rsc_init, rx_buffer, reset_unmasked,
         reset_master, reset_early, read_only, reserved, reserved_bits,
         desc_changed, dma_abort, tx_short, tx_long, tx_parts, tx_paylen,
         tx_context]


def run(cases):
    q = Qtest(",mark=on")

    def right(function):
        bring_up(q)
        function(q)
        said = q.broken()
        must(not said, f"clean, but {said}")

    def wrong(function):
        bring_up(q)
        must(not q.broken(), "the bring-up is not clean")
        function(q)
        said = set(q.broken())
        must(said == {function.__name__.replace("_", "-")},
             f"names {sorted(said) or 'nothing'}")
        q.step(10)

    try:
        for f in (clean, marks, whole):
            cases.case(f"L1 rules: {f.__name__}", lambda: right(f))
        for f in WRONG:
            cases.case(f"L1 rules: {f.__name__.replace('_', '-')}",
                       lambda: wrong(f))
    finally:
        q.close()
