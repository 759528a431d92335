/*
 * registers.c - what reading and writing a register does
 *
 * A register keeps what is written, unless `special` says otherwise; the
 * queues' tails and enables come after it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "model.h"

#define RESET_BITS 0x04000008           /* CTRL: RST, LNK_RST */

void ix_reset(IX *s)
{
    uint8_t *m = s->conf.macaddr.a;

    memset(s->reg, 0, sizeof(s->reg));
    s->eicr_q = s->eims_q = s->eiam_q = 0;
    s->eicr = s->eims = 0;
    s->i2c.sdo = s->i2c.scl = s->i2c.sda = 1;
    s->i2c.st = 0;
    s->dead = false;
    if (s->tx_hang == TX_HANGS_TILL_RESET) {
        s->tx_hang = 0;
    }
    ix_queues_reset(s);
    R(EEC) = 0x100 | 0x200 | (4 << 11);         /* present, auto-read done, 1K words */
    R(EEMNGCTL) = 0x40000 | 0x80000;            /* CFG_DONE */
    R(RDRXCTL) = 8 | 8 << 17;
    R(SECTXSTAT) = 1;
    R(HLREG0) = 0xc0f;
    R(MAXFRS) = 0x05ee0000;
    R(AUTOC) = s->sfp ? 3 << 13 : (4u << 13) | 0xc0000000;
    R(RAL) = ldl_le_p(m);
    R(RAL + 4) = lduw_le_p(m + 4) | 1u << 31;
    R(RXPBSIZE) = 512 * KiB;
    R(FWSM) = 0x8000;                           /* firmware valid */
}

/* ---- reading ----------------------------------------------------------- */
static uint32_t read_status(IX *s, uint32_t a, uint32_t v)
{
    return (R(CTRL) & 4) ? 0 : 0x80000;
}

static uint32_t read_esdp(IX *s, uint32_t a, uint32_t v)
{
    return v | (s->sfp && !s->sfp_absent ? 4 : 0);
}

static uint32_t read_i2cctl(IX *s, uint32_t a, uint32_t v)
{
    return (v & 0xa) | (v & 2 ? 1 : 0) | ((v & 8) && s->i2c.sdo ? 4 : 0);
}

static uint32_t read_links(IX *s, uint32_t a, uint32_t v)
{
    return ix_link(s) ? 0xf0000000 : 0;
}

static uint32_t read_secrxstat(IX *s, uint32_t a, uint32_t v)
{
    return R(SECRXCTRL) >> 1 & 1;               /* halted and drained */
}

static uint32_t read_eec(IX *s, uint32_t a, uint32_t v)
{
    return s->eeprom_fault == EEPROM_ABSENT ? v & ~0x100u : v;
}

static uint32_t read_anlp1(IX *s, uint32_t a, uint32_t v)
{
    return 0x00050000;
}

static uint32_t read_swsm(IX *s, uint32_t a, uint32_t v)
{
    R(a) |= 1;
    return v;
}

static uint32_t read_and_clear(IX *s, uint32_t a, uint32_t v)
{
    R(a) = 0;
    return v;
}

/* ---- writing ----------------------------------------------------------- */
static void ignore(IX *s, uint32_t a, uint32_t v)
{
}

static void write_ctrl(IX *s, uint32_t a, uint32_t v)
{
    if (v & RESET_BITS) {
        ix_reset(s);
        ix_strict_reset(s);
        v = 0;
    }
    R(a) = v;
}

static void write_i2cctl(IX *s, uint32_t a, uint32_t v)
{
    R(a) = v;
    ix_i2c(s, v);
}

static void write_msca(IX *s, uint32_t a, uint32_t v)
{
    R(a) = v & ~(1u << 30);
    R(MSRWD) = 0xffff0000;                      /* no PHY answers */
}

static void write_eec(IX *s, uint32_t a, uint32_t v)
{
    R(a) = (R(a) & 0x7f00) | (v & 0x4f) | (v & 0x40 ? 0x80 : 0);
}

static void write_eerd(IX *s, uint32_t a, uint32_t v)
{
    R(a) = (v & 0xfffc) | 2 | (uint32_t)ix_word(s, v >> 2 & 0x3fff) << 16;
}

static void write_rdrxctl(IX *s, uint32_t a, uint32_t v)
{
    R(a) = v | 8;                               /* DMA initialisation done */
}

static void write_rxctrl(IX *s, uint32_t a, uint32_t v)
{
    R(a) = v;
    if (v & 1) {
        qemu_flush_queued_packets(qemu_get_queue(s->nic));
    }
}

static const struct special {
    uint32_t first, last;
    uint32_t (*read)(IX *s, uint32_t a, uint32_t v);  /* NULL: what is kept */
    void (*write)(IX *s, uint32_t a, uint32_t v);     /* NULL: is kept */
} special[] = {
    { CTRL, CTRL, NULL, write_ctrl },
    { STATUS, STATUS, read_status, ignore },
    { ESDP, ESDP, read_esdp, NULL },
    { I2CCTL, I2CCTL, read_i2cctl, write_i2cctl },
    { EICR, EICR, ix_read_eicr, ix_write_eicr },
    { EICS, EICS, ix_read_eics, ix_write_eics },
    { EIMS, EIMS, ix_read_mask, ix_write_eims },
    { EIMC, EIMC, ix_read_mask, ix_write_eimc },
    { EICS_EX, EICS_EX + 4, NULL, ix_write_eics_ex },
    { EIMS_EX, EIMS_EX + 4, ix_read_mask_ex, ix_write_eims_ex },
    { EIMC_EX, EIMC_EX + 4, NULL, ix_write_eimc_ex },
    { EIAM_EX, EIAM_EX + 4, NULL, ix_write_eiam_ex },
    { RDRXCTL, RDRXCTL, NULL, write_rdrxctl },
    { RXCTRL, RXCTRL, NULL, write_rxctrl },
    { RXMPC0, RXMPC0 + 0x1c, read_and_clear, NULL },
    { GPRC, GOTCH, read_and_clear, NULL },
    { TPR, TPT, read_and_clear, NULL },
    { MSCA, MSCA, NULL, write_msca },
    { LINKS, LINKS, read_links, ignore },
    { ANLP1, ANLP1, read_anlp1, NULL },
    { SECTXSTAT, SECTXSTAT, NULL, ignore },
    { SECRXSTAT, SECRXSTAT, read_secrxstat, ignore },
    { EEC, EEC, read_eec, write_eec },
    { EERD, EERD, NULL, write_eerd },
    { SWSM, SWSM, read_swsm, NULL },
    { FWSM, FWSM, NULL, ignore },
};

static const struct special *special_at(uint32_t a)
{
    for (size_t i = 0; i < ARRAY_SIZE(special); i++) {
        if (a >= special[i].first && a <= special[i].last) {
            return &special[i];
        }
    }
    return NULL;
}

/* Registers that are to be found at two places; the one we keep them at. */
static const struct {
    uint32_t first, last, at, times;
} homes[] = {
    { 0x2100, 0x213c, 0x1014, 16 },             /* SRRCTL of queues 0 to 15 */
    { 0x2200, 0x223c, 0x100c, 16 },             /* DCA_RXCTRL */
    { 0x5400, 0x547c, RAL, 1 },
    { 0xeb00, 0xeb7c, RETA, 1 },
    { 0xeb80, 0xeba4, RSSRK, 1 },
    { 0xec80, 0xec80, MRQC, 1 },
};

static uint32_t home(uint32_t a)
{
    for (size_t i = 0; i < ARRAY_SIZE(homes); i++) {
        if (a >= homes[i].first && a <= homes[i].last) {
            return homes[i].at + (a - homes[i].first) * homes[i].times;
        }
    }
    return a;
}

/* QPRC, QBRC and QPTC, of the first 32 and 16 queues. */
static bool is_queue_count(uint32_t a)
{
    uint32_t at = a & 0x3f;

    return (a >= 0x1000 && a < 0x1800 && (at == QSTAT || at == QSTAT + 4)) ||
           (a >= 0x6000 && a < 0x6400 && at == QSTAT);
}

static uint64_t ix_read(void *op, hwaddr a0, unsigned sz)
{
    IX *s = op;
    uint32_t a = home(a0), v = R(a);
    const struct special *r = special_at(a);
    IxQueue *q;
    bool tx;

    if (s->gone) {
        return ~0u;
    }
    if (r) {
        v = r->read ? r->read(s, a, v) : v;
    } else if (is_queue_count(a)) {
        v = read_and_clear(s, a, v);
    } else if ((q = ix_queue(s, a, XDCTL, &tx))) {
        v = (v & ~(1u << 25)) | (uint32_t)ix_on(q) << 25;
    }
    ix_strict_read(s, a, v);
    if (s->log) {
        fprintf(s->log, "R %05x %08x\n", (unsigned)a0, v);
    }
    return v;
}

static void write_tail(IX *s, IxQueue *q, bool tx, uint32_t a, uint32_t v)
{
    ix_on(q);
    ix_strict_tail(s, q, a & ~0x3f, v);
    R(a) = v;
    if (tx) {
        ix_transmit(s, q - s->txq);
    } else {
        qemu_flush_queued_packets(qemu_get_queue(s->nic));
    }
}

static void ix_write(void *op, hwaddr a0, uint64_t val, unsigned sz)
{
    IX *s = op;
    uint32_t a = home(a0), v = val;
    const struct special *r = special_at(a);
    IxQueue *q;
    bool tx;

    if (s->log) {
        fprintf(s->log, "W %05x %08x\n", (unsigned)a0, v);
        fflush(s->log);
    }
    if (s->gone) {
        return;
    }
    ix_strict_write(s, a, v);
    if (r && r->write) {
        r->write(s, a, v);
    } else if ((q = ix_queue(s, a, TAIL, &tx))) {
        write_tail(s, q, tx, a, v);
    } else {
        if ((q = ix_queue(s, a, XDCTL, &tx))) {
            ix_enable(s, q, tx, v >> 25 & 1);
        }
        R(a) = v;
    }
}

const MemoryRegionOps ix_registers = {
    .read = ix_read, .write = ix_write, .endianness = DEVICE_LITTLE_ENDIAN,
    .impl = { .min_access_size = 4, .max_access_size = 4 },
};
