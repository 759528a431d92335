/*
 * strict.c - the datasheet's rules, and who breaks them
 *
 * Each rule has a name.  When a driver breaks one, a line on standard error
 * says which, at what register, with what value and when, and the property
 * `broken` counts it; the tests look at both and stop.  The device then goes
 * on as hardware might: nothing is mended for the driver.
 *
 * Properties	strict	off: rules are not looked at
 *		mark	on: a receive descriptor that the chip owns holds
 *			nonsense where the result will be (DD stays 0), so that
 *			a driver that reads more than DD too early is found.
 *			Stock ixgbe looks at the length: leave it off there.
 *		log	a file that gets every access to a register
 *		broken	read only: "name=count ..." of all that was broken
 *
 * Sections are those of the Intel 82599 datasheet, compared with what drivers
 * that quote it say there (TinyNF's and ixy's).  7.2.1.1 and 7.2.3.3 are known
 * to us only as the X550's datasheet has them, which has the same chapters.
 * "Our reading": the datasheet says it of no case but suggests it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "model.h"

#define ENABLE    (1u << 25)
#define MARK      0xdead001dfffffffeull /* VLAN, length, errors; DD clear */

static const struct {
    const char *name, *why;
} rules[RULES] = {
    [RING_BASE]   = { "ring-base", "not a multiple of 128 (8.2.3.8.1, .9.5)" },
    [RING_LENGTH] = { "ring-length", "not a multiple of 128 (7.2.3.3, 8.2.3.8.3)"
                      " or over 512 Ki (the field's size)" },
    [RING_CHANGED] = { "ring-changed",
                       "while the queue is enabled (4.6.7.1, our reading)" },
    [TAIL_BEYOND] = { "tail-beyond", "beyond the ring (8.2.3.8.5, .9.9)" },
    [TAIL_EARLY]  = { "tail-early",
                      "before ENABLE was read as 1 (4.6.7, 4.6.8)" },
    [TAIL_PASSES] = { "tail-passes",
                      "over descriptors that the chip has not done"
                      " (7.1.9, 7.2.3.3)" },
    [QUEUE_NO_RING] = { "queue-no-ring",
                        "enabled before its ring is set (4.6.7, 4.6.8)" },
    [TX_NO_DMATXCTL] = { "tx-no-dmatxctl",
                         "enabled before DMATXCTL.TE (4.6.8)" },
    [RX_NOT_HALTED] = { "rx-not-halted",
                        "RXEN without the halt by SECRXCTRL (4.6.7)" },
    [INIT_NOT_AWAITED] = { "init-not-awaited",
                           "before RDRXCTL.DMAIDONE was seen (4.6.3)" },
    [CRC_STRIP]   = { "crc-strip", "HLREG0 and RDRXCTL differ (4.6.7)" },
    [RSC_INIT]    = { "rsc-init", "RSCFRSTSIZE is not 0 (4.6.7) or RSCACKC"
                      " not 1 (8.2.3.8.8)" },
    [RX_BUFFER]   = { "rx-buffer", "buffers of 1 to 16 KiB (8.2.3.8.7)" },
    [RESET_UNMASKED] = { "reset-unmasked",
                         "interrupts are not masked (4.6.3.1)" },
    [RESET_MASTER] = { "reset-master",
                       "bus master not stopped (4.2.1.6.1, 5.2.5.3.2)" },
    [RESET_EARLY] = { "reset-early", "within 10 ms of a reset (4.6.3.2)" },
    [READ_ONLY]   = { "read-only", "register is not to be written (8.2.2)" },
    [RESERVED]    = { "reserved", "no such register (8.2.2)" },
    [RESERVED_BITS] = { "reserved-bits", "bits that must be 0 (8.2.3)" },
    [DESC_CHANGED] = { "desc-changed",
                       "while the chip owned it (7.1.9, 7.2.3.3)" },
    [DMA_ABORT]   = { "dma-abort", "nobody answers at that address" },
    [TX_SHORT]    = { "tx-short",
                      "a frame under 17 bytes (as Linux's driver has it)" },
    [TX_LONG]     = { "tx-long", "a frame over MAXFRS (our reading)" },
    [TX_PARTS]    = { "tx-parts", "over 40 - WTHRESH - 2 descriptors in a frame"
                      " (7.2.1.1)" },
    [TX_PAYLEN]   = { "tx-paylen", "PAYLEN is not the length (7.2.3.2.4)" },
    [TX_CONTEXT]  = { "tx-context", "no context at that index (7.2.3.2.3)" },
};

static void broken(IX *s, enum ix_rule rule, uint32_t reg, uint64_t value)
{
    int64_t us = qemu_clock_get_us(QEMU_CLOCK_VIRTUAL);

    if (!s->strict || s->broken[rule]++ > 20) {
        return;
    }
    fprintf(stderr, "ixgbe82599 %s: broken %s: %s: register %05x value %"
            PRIx64 " at %" PRId64 ".%06d s\n",
            DEVICE(s)->id ?: "nic", rules[rule].name, rules[rule].why, reg,
            value, us / 1000000, (int)(us % 1000000));
}

/* The queue whose registers hold @a, or NULL; its base and kind. */
static IxQueue *queue_at(IX *s, uint32_t a, uint32_t *base, bool *tx)
{
    *base = a & ~0x3fu;
    return ix_queue(s, a, a & 0x3f, tx);
}

/* ---- which registers there are ----------------------------------------- */
typedef struct { uint32_t first, last; } Span;

/* Those that may be written, in ascending order. */
static const Span writable[] = {
    { 0x0, 0x4 }, { 0x18, 0x18 }, { 0x20, 0x20 }, { 0x28, 0x28 },
    { 0x48, 0x4c }, { 0x200, 0x200 }, { 0x600, 0x60c }, { 0x700, 0x71c },
    { 0x800, 0x800 }, { 0x808, 0x808 }, { 0x810, 0x810 }, { 0x820, 0x898 },
    { 0x900, 0x9fc }, { 0xa00, 0xa00 }, { 0xa90, 0xad4 }, { 0x1000, 0x1ffc },
    { 0x2100, 0x215c }, { 0x2200, 0x223c }, { 0x2300, 0x23fc },
    { 0x2410, 0x2430 }, { 0x2f00, 0x2f04 }, { 0x3000, 0x3028 },
    { 0x3200, 0x32a0 }, { 0x3c00, 0x3c1c }, { 0x3d00, 0x3d08 },
    { 0x4200, 0x4208 }, { 0x4218, 0x4240 }, { 0x4248, 0x42a0 },
    { 0x42a8, 0x42a8 }, { 0x42b4, 0x42b4 }, { 0x4314, 0x4318 },
    { 0x4330, 0x4330 }, { 0x4900, 0x496c }, { 0x4980, 0x49b4 },
    { 0x4a80, 0x4a98 }, { 0x5000, 0x51ec }, { 0x51f8, 0x51f8 },
    { 0x5200, 0x55fc }, { 0x5800, 0x581c }, { 0x5820, 0x590c },
    { 0x5a00, 0x5dfc }, { 0x6000, 0x7ffc }, { 0x8000, 0x8220 },
    { 0x82e0, 0x82fc }, { 0x8600, 0x87fc }, { 0x8800, 0x8800 },
    { 0x8808, 0x893c }, { 0x8a00, 0x8c4c }, { 0x8d00, 0x8d00 },
    { 0x8d08, 0x8ffc }, { 0x9000, 0x9ffc }, { 0xa000, 0xa7fc },
    { 0xc800, 0xc83c }, { 0xcc00, 0xcc1c }, { 0xcd00, 0xcd3c },
    { 0xd000, 0xdffc }, { 0xe000, 0xe9fc }, { 0xea00, 0xeafc },
    { 0xeb00, 0xeba4 }, { 0xec00, 0xecb0 }, { 0xee00, 0xee7c },
    { 0xf000, 0xf63c }, { 0xfc00, 0xfc7c }, { 0x10010, 0x1001c },
    { 0x10110, 0x1013c }, { 0x10140, 0x10140 }, { 0x10160, 0x10160 },
    { 0x10200, 0x10200 }, { 0x11000, 0x110e4 }, { 0x12000, 0x124fc },
    { 0x13000, 0x13ffc }, { 0x14f00, 0x14f10 }, { 0x15f00, 0x15fff },
};

/* Those that are there to be read. */
static const Span readable[] = {
    { 0x8, 0x8 }, { 0x3fa0, 0x40fc }, { 0x41a0, 0x41c4 }, { 0x420c, 0x420c },
    { 0x4244, 0x4244 }, { 0x42a4, 0x42a4 }, { 0x42b0, 0x42b0 },
    { 0x42d0, 0x42d0 }, { 0x4324, 0x4324 }, { 0x8804, 0x8804 },
    { 0x8d04, 0x8d04 }, { 0xce00, 0xce00 }, { 0xcf90, 0xcf90 },
    { 0x10148, 0x10150 },
};

static const struct { uint32_t first, last, step, bits; } defined[] = {
    { CTRL, CTRL, 4, 0x0400000c },
    { RXCTRL, RXCTRL, 4, 1 },
    { DMATXCTL, DMATXCTL, 4, 0xffff000b },
    { 0x1014, 0x1fd4, 0x40, 0x1fc03f1f },       /* SRRCTL */
    { 0xd014, 0xdfd4, 0x40, 0x1fc03f1f },
    { 0x6028, 0x7fe8, 0x40, 0x067f7f7f },       /* TXDCTL */
};

static bool among(const Span *r, size_t n, uint32_t a)
{
    for (size_t i = 0; i < n; i++) {
        if (a >= r[i].first && a <= r[i].last) {
            return true;
        }
    }
    return false;
}

static void check_register(IX *s, uint32_t a, uint32_t v)
{
    if (among(readable, ARRAY_SIZE(readable), a)) {
        broken(s, READ_ONLY, a, v);
    } else if (!among(writable, ARRAY_SIZE(writable), a)) {
        broken(s, RESERVED, a, v);
    }
    for (size_t i = 0; i < ARRAY_SIZE(defined); i++) {
        if (a >= defined[i].first && a <= defined[i].last &&
            (a - defined[i].first) % defined[i].step == 0 &&
            (v & ~defined[i].bits)) {
            broken(s, RESERVED_BITS, a, v);
        }
    }
}

/* ---- bring-up ---------------------------------------------------------- */
static void check_reset(IX *s, uint32_t v)
{
    if (!(v & 0x04000008)) {
        return;
    }
    if (s->eims || s->eims_q) {
        broken(s, RESET_UNMASKED, CTRL, s->eims | s->eims_q);
    }
    if (!(R(CTRL) & 4)) {
        broken(s, RESET_MASTER, CTRL, R(CTRL));
    }
}

static void check_receive_on(IX *s, uint32_t v)
{
    uint32_t r = R(RDRXCTL);

    if (!(v & 1) || (R(RXCTRL) & 1)) {
        return;
    }
    if (!s->quiet_rx || !(R(SECRXCTRL) & 2)) {
        broken(s, RX_NOT_HALTED, RXCTRL, v);
    }
    if (!s->init_seen) {
        broken(s, INIT_NOT_AWAITED, RXCTRL, v);
    }
    if ((r ^ R(HLREG0)) & 2) {
        broken(s, CRC_STRIP, RDRXCTL, r);
    }
    if ((r >> 17 & 0x1f) || !(r & 1 << 25)) {
        broken(s, RSC_INIT, RDRXCTL, r);
    }
}

void ix_strict_reset(IX *s)
{
    s->init_seen = s->quiet_rx = false;
    s->reset_at = qemu_clock_get_ms(QEMU_CLOCK_VIRTUAL);
}

/* ---- queues ------------------------------------------------------------ */
static void check_enable(IX *s, IxQueue *q, uint32_t base, bool tx, uint32_t v)
{
    uint32_t srrctl = R(base + SRRCTL) & 0x1f;

    if (!(v & ENABLE) || q->want) {
        return;
    }
    if (!R(base + LEN) || !(R(base + BAL) | R(base + BAH))) {
        broken(s, QUEUE_NO_RING, base + XDCTL, v);
    }
    if (tx && !(R(DMATXCTL) & 1)) {
        broken(s, TX_NO_DMATXCTL, base + XDCTL, v);
    }
    if (!tx && (srrctl == 0 || srrctl > 16)) {
        broken(s, RX_BUFFER, base + SRRCTL, R(base + SRRCTL));
    }
}

static void check_queue(IX *s, uint32_t a, uint32_t v)
{
    uint32_t base, at = a & 0x3f;
    bool tx;
    IxQueue *q = queue_at(s, a, &base, &tx);

    if (!q) {
        return;
    }
    if (at == BAL && (v & 127)) {
        broken(s, RING_BASE, a, v);
    }
    if (at == LEN && (v & 127 || v > 512 * KiB)) {
        broken(s, RING_LENGTH, a, v);
    }
    if ((at <= LEN || at == HEAD) && (q->want || q->on)) {
        broken(s, RING_CHANGED, a, v);
    }
    if (at == XDCTL) {
        check_enable(s, q, base, tx, v);
    }
    if (!tx && at == QSTAT) {
        broken(s, READ_ONLY, a, v);
    }
}

void ix_strict_write(IX *s, uint32_t a, uint32_t v)
{
    int64_t ms = qemu_clock_get_ms(QEMU_CLOCK_VIRTUAL);

    if (!s->strict) {
        return;
    }
    check_register(s, a, v);
    if (s->reset_at && ms - s->reset_at < 10) {
        broken(s, RESET_EARLY, a, v);
    }
    switch (a) {
    case CTRL:
        check_reset(s, v);
        break;
    case RXCTRL:
        check_receive_on(s, v);
        break;
    case SECRXCTRL:
        s->quiet_rx = false;
        break;
    default:
        check_queue(s, a, v);
    }
}

void ix_strict_read(IX *s, uint32_t a, uint32_t v)
{
    uint32_t base;
    bool tx;
    IxQueue *q;

    if (a == RDRXCTL && (v & 8)) {
        s->init_seen = true;
    } else if (a == SECRXSTAT && (v & 1) && (R(SECRXCTRL) & 2)) {
        s->quiet_rx = true;
    } else if ((a & 0x3f) == XDCTL && (v & ENABLE) &&
               (q = queue_at(s, a, &base, &tx))) {
        q->seen = true;
    }
}

/* The chip takes the descriptors [old tail, @tail): remember what they hold. */
void ix_strict_tail(IX *s, IxQueue *q, uint32_t base, uint32_t tail)
{
    PCIDevice *d = PCI_DEVICE(s);
    uint32_t nd = R(base + LEN) / 16, old = R(base + TAIL), i;
    uint64_t da = R(base + BAL) | (uint64_t)R(base + BAH) << 32;
    bool tx = q >= s->txq && q < s->txq + NQ;

    if (!nd || (tail >= nd && tail)) {
        broken(s, TAIL_BEYOND, base + TAIL, tail);
        return;
    }
    if (!q->seen || !q->on) {
        if (tail != R(base + HEAD)) {
            broken(s, TAIL_EARLY, base + TAIL, tail);
        }
        return;
    }
    if (old >= nd) {
        return;
    }
    if ((old + nd - R(base + HEAD)) % nd + (tail + nd - old) % nd >= nd) {
        broken(s, TAIL_PASSES, base + TAIL, tail);
    }
    if (q->slots != nd) {
        q->shadow = g_renew(uint64_t, q->shadow, 2 * nd);
        memset(q->shadow, 0, 16 * nd);
        q->slots = nd;
    }
    for (i = old; s->strict && i != tail; i = (i + 1) % nd) {
        uint64_t *to = &q->shadow[2 * i];

        pci_dma_read(d, da + 16 * i, to, 16);
        if (s->mark && !tx) {
            to[1] = cpu_to_le64(MARK);
            pci_dma_write(d, da + 16 * i + 8, &to[1], 8);
        }
    }
}

/* The chip fetched the descriptor at head: is it what was handed over? */
void ix_strict_fetched(IX *s, IxQueue *q, uint32_t base, const uint8_t *desc)
{
    uint32_t at = R(base + HEAD);

    if (s->strict && !s->dead && q->shadow && at < q->slots &&
        memcmp(&q->shadow[2 * at], desc, 16)) {
        broken(s, DESC_CHANGED, base + HEAD, at);
    }
}

/* ---- frames to send ---------------------------------------------------- */
void ix_strict_tx(IX *s, IxQueue *q, uint32_t base, const uint8_t *desc)
{
    uint32_t lo = ldl_le_p(desc + 8), st = ldl_le_p(desc + 12);
    uint32_t index = st >> 4 & 7;

    if ((lo & 1 << 29) && (lo >> 20 & 15) == 2) {
        q->contexts |= 1 << index;
        return;
    }
    if (q->parts++ == 0) {
        q->payload = lo & 1 << 29 ? st >> 14 : 0;
        if ((lo & 1 << 29) && ((st >> 8 & 3) || (lo & 1u << 31)) &&
            !(q->contexts & 1 << index)) {
            broken(s, TX_CONTEXT, base + TAIL, index);
        }
    }
}

/* @n: bytes of the whole frame, or of its payload when it is cut up. */
void ix_strict_frame(IX *s, IxQueue *q, uint32_t base, bool tso, uint32_t n)
{
    int parts = q->parts;

    q->parts = 0;
    if (n < 17 && !tso) {
        broken(s, TX_SHORT, base + HEAD, n);
    }
    if (!tso && n > (R(MAXFRS) >> 16) + 4) {
        broken(s, TX_LONG, base + HEAD, n);
    }
    if (parts > 40 - (int)(R(base + XDCTL) >> 16 & 0x7f) - 2) {
        broken(s, TX_PARTS, base + HEAD, parts);
    }
    if (q->payload && q->payload != n) {
        broken(s, TX_PAYLEN, base + HEAD, q->payload);
    }
}

void ix_strict_abort(IX *s, uint64_t address)
{
    broken(s, DMA_ABORT, 0, address);
}

/* ---- properties -------------------------------------------------------- */
static bool get_strict(Object *o, Error **errp)
{
    return IXGBE82599(o)->strict;
}

static void set_strict(Object *o, bool v, Error **errp)
{
    IXGBE82599(o)->strict = v;
}

static bool get_mark(Object *o, Error **errp)
{
    return IXGBE82599(o)->mark;
}

static void set_mark(Object *o, bool v, Error **errp)
{
    IXGBE82599(o)->mark = v;
}

static char *get_broken(Object *o, Error **errp)
{
    IX *s = IXGBE82599(o);
    GString *t = g_string_new("");

    for (int i = 0; i < RULES; i++) {
        if (s->broken[i]) {
            g_string_append_printf(t, "%s%s=%u", t->len ? " " : "",
                                   rules[i].name, s->broken[i]);
        }
    }
    return g_string_free(t, false);
}

static char *get_log(Object *o, Error **errp)
{
    return g_strdup("");
}

static void set_log(Object *o, const char *path, Error **errp)
{
    IX *s = IXGBE82599(o);

    s->log = fopen(path, "a");
    if (!s->log) {
        error_setg_errno(errp, errno, "%s", path);
    }
}

void ix_strict_class(ObjectClass *oc)
{
    object_class_property_add_str(oc, "log", get_log, set_log);
    object_class_property_add_bool(oc, "strict", get_strict, set_strict);
    object_class_property_add_bool(oc, "mark", get_mark, set_mark);
    object_class_property_add_str(oc, "broken", get_broken, NULL);
}
