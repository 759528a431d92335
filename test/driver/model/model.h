/*
 * model.h - the virtual 82599: its registers, its state, and who has which part
 *
 *	ixgbe82599.c	the device: PCI, link, DMA, queues on and off
 *	registers.c	what reading and writing a register does
 *	interrupts.c	causes, masks, messages
 *	receive.c	from the cable to a queue's buffers
 *	transmit.c	from a queue's descriptors to the cable
 *	rss.c		what a received frame is, its hash and queue
 *	eeprom.c	EEPROM and SFP+ module
 *	offload.c	checksums and segments of frames to send
 *	strict.c	the datasheet's rules; a driver that breaks one is named
 *	faults.c	properties that break the device, also while it runs
 *
 * Threads    All of it runs under QEMU's global lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MODEL_H
#define MODEL_H

#include "qemu/osdep.h"
#include "hw/pci/pci.h"
#include "hw/pci/pcie.h"
#include "hw/pci/msi.h"
#include "hw/pci/msix.h"
#include "hw/qdev-properties.h"
#include "net/net.h"
#include "net/checksum.h"
#include "qemu/module.h"
#include "qemu/bswap.h"
#include "qemu/units.h"
#include "net/eth.h"
#include "qapi/error.h"
#include "qom/object.h"

#define TYPE_IXGBE82599 "ixgbe82599"
OBJECT_DECLARE_SIMPLE_TYPE(IX, IXGBE82599)

#define BAR0_SZ   (128 * KiB)
#define NQ        128
#define NVEC      64
#define EE_WORDS  0x400
#define R(o)      s->reg[(o) >> 2]

enum {
    CTRL = 0x0, STATUS = 0x8, CTRL_EXT = 0x18, ESDP = 0x20, I2CCTL = 0x28,
    EICR = 0x800, EICS = 0x808, EIAC = 0x810, EIMS = 0x880, EIMC = 0x888,
    EIAM = 0x890, GPIE = 0x898, IVAR0 = 0x900, IVAR_MISC = 0xa00,
    EICS_EX = 0xa90, EIMS_EX = 0xaa0, EIMC_EX = 0xab0, EIAM_EX = 0xad0,
    QPRDC = 0x1430, RDRXCTL = 0x2f00, RXCTRL = 0x3000, RXPBSIZE = 0x3c00,
    RXMPC0 = 0x3fa0,
    GPRC = 0x4074, BPRC = 0x4078, MPRC = 0x407c, GPTC = 0x4080,
    GORCL = 0x4088, GORCH = 0x408c, GOTCL = 0x4090, GOTCH = 0x4094,
    TPR = 0x40d0, TPT = 0x40d4, HLREG0 = 0x4240, MSCA = 0x425c,
    MSRWD = 0x4260, MAXFRS = 0x4268, AUTOC = 0x42a0, LINKS = 0x42a4,
    ANLP1 = 0x42b0, DMATXCTL = 0x4a80, RXCSUM = 0x5000, FCTRL = 0x5080,
    MTA = 0x5200, RAL_OLD = 0x5400, MRQC = 0x5818, RETA = 0x5c00,
    RSSRK = 0x5c80, SECTXSTAT = 0x8804, SECRXCTRL = 0x8d00, SECRXSTAT = 0x8d04, RAL = 0xa200,
    VFTA = 0xa000, EEC = 0x10010, EERD = 0x10014, EEMNGCTL = 0x10110,
    SWSM = 0x10140, FWSM = 0x10148, GSSR = 0x10160,
};
/* per-queue offsets from the ring base */
enum { BAL = 0, BAH = 4, LEN = 8, HEAD = 0x10, SRRCTL = 0x14, TAIL = 0x18,
       XDCTL = 0x28, QSTAT = 0x30, WBAL = 0x38, WBAH = 0x3c };

/* A hardware queue, beside its registers. */
typedef struct {
    bool want, on;          /* as the driver wrote it; as the chip has it */
    bool seen;              /* the driver has read ENABLE as 1 */
    int64_t switch_at;      /* when `on` becomes `want`, virtual ns */
    uint64_t *shadow;       /* descriptors as they were when the tail moved */
    uint32_t slots;         /* of shadow, two words each */
    uint8_t contexts;       /* context descriptors written since enabling */
    uint32_t parts, payload;/* of the frame being fetched */
} IxQueue;

/* strict.c has a name for each. */
enum ix_rule {
    RING_BASE, RING_LENGTH, RING_CHANGED, TAIL_BEYOND, TAIL_EARLY, TAIL_PASSES,
    QUEUE_NO_RING, TX_NO_DMATXCTL, RX_NOT_HALTED, INIT_NOT_AWAITED, CRC_STRIP,
    RSC_INIT, RX_BUFFER, RESET_UNMASKED, RESET_MASTER, RESET_EARLY, READ_ONLY,
    RESERVED, RESERVED_BITS, DESC_CHANGED, DMA_ABORT, TX_SHORT, TX_LONG,
    TX_PARTS, TX_PAYLEN, TX_CONTEXT, RULES
};

#define TAGGED    (1u << 16)

struct IX {
    PCIDevice parent_obj;
    MemoryRegion mmio, io, msix;
    NICState *nic;
    NICConf conf;
    uint32_t devid, vectors;
    bool sfp;
    uint32_t reg[BAR0_SZ / 4];
    uint16_t ee[EE_WORDS];
    uint64_t eicr_q, eims_q, eiam_q;    /* MSI-X vectors 0..63 */
    uint32_t eicr, eims;                /* bits 31:16 other causes, 15:0 legacy */
    uint32_t tctx[NQ][8][4], tst[NQ];
    uint32_t tag;                       /* TAGGED | what ix_out() adds */
    GByteArray *txb[NQ];
    uint32_t tso_frames;                /* cut into segments so far */
    struct { int st, bit, rd; uint8_t sh, ptr, dout; int scl, sda, sdo; } i2c;
    uint8_t sfp_rom[256];
    FILE *log;
    IxQueue rxq[NQ], txq[NQ];
    /* strict.c */
    bool strict, mark;
    uint32_t broken[RULES];
    int64_t reset_at;
    bool init_seen;         /* RDRXCTL.DMAIDONE was read since the reset */
    bool quiet_rx;          /* SECRXSTAT was read ready while RX_DIS is set */
    /* faults.c */
    uint32_t sfp_absent, link_flap_ms, eeprom_fault, enable_stuck, tx_hang,
             dma_errors, lost_interrupts, gone;
    bool dead;              /* a DMA error stopped all DMA until reset */
    bool flap_down;
    QEMUTimer *flap;
};

static inline uint32_t rxb(int q)
{
    return q < 64 ? 0x1000 + q * 0x40 : 0xd000 + (q - 64) * 0x40;
}

static inline uint32_t txb(int q)
{
    return 0x6000 + q * 0x40;
}

/* ixgbe82599.c */
bool ix_link(IX *s);
void ix_link_changed(IX *s);
bool ix_dma_stopped(IX *s);
void ix_dma(IX *s, uint64_t at, void *data, size_t n, bool write);
bool ix_on(IxQueue *q);
void ix_enable(IX *s, IxQueue *q, bool tx, bool want);
void ix_queues_reset(IX *s);
/* The queue whose register @at @a is, or NULL. */
IxQueue *ix_queue(IX *s, uint32_t a, uint32_t at, bool *tx);

/* registers.c */
extern const MemoryRegionOps ix_registers;
void ix_reset(IX *s);

/* interrupts.c; of a register's read and write: @a, what is kept or written */
void ix_lines(IX *s);                       /* tells what may be told */
void ix_cause(IX *s, uint32_t bits);        /* of EICR, 31:16 */
void ix_qcause(IX *s, int q, int tx);
uint32_t ix_read_eicr(IX *s, uint32_t a, uint32_t v);
uint32_t ix_read_eics(IX *s, uint32_t a, uint32_t v);
uint32_t ix_read_mask(IX *s, uint32_t a, uint32_t v);
uint32_t ix_read_mask_ex(IX *s, uint32_t a, uint32_t v);
void ix_write_eicr(IX *s, uint32_t a, uint32_t v);
void ix_write_eics(IX *s, uint32_t a, uint32_t v);
void ix_write_eims(IX *s, uint32_t a, uint32_t v);
void ix_write_eimc(IX *s, uint32_t a, uint32_t v);
void ix_write_eics_ex(IX *s, uint32_t a, uint32_t v);
void ix_write_eims_ex(IX *s, uint32_t a, uint32_t v);
void ix_write_eimc_ex(IX *s, uint32_t a, uint32_t v);
void ix_write_eiam_ex(IX *s, uint32_t a, uint32_t v);

/* receive.c */
bool ix_can_receive(NetClientState *nc);
ssize_t ix_receive(NetClientState *nc, const uint8_t *buf, size_t n);

/* transmit.c */
void ix_transmit(IX *s, int q);             /* all up to the tail */
void ix_out(IX *s, uint8_t *p, size_t n);   /* a frame leaves */

/* offload.c; @ctx: the four words of a context descriptor */
uint32_t ix_headers(const uint32_t *ctx);   /* bytes before the payload */
void ix_csum(uint8_t *p, size_t n, uint32_t *ctx, uint32_t popts);
void ix_tso(IX *s, uint8_t *p, size_t n, uint32_t *ctx);

/* rss.c */
typedef struct {
    int q;
    uint32_t hash, type, ptype;
    bool ip4, l4, ipok, l4ok;
} Cls;
void ix_classify(IX *s, const uint8_t *p, size_t n, Cls *c);

/* eeprom.c */
void ix_i2c(IX *s, uint32_t v);             /* I2CCTL was written */
void ix_eeprom(IX *s);
uint16_t ix_word(const IX *s, uint32_t at); /* of the EEPROM */

/* strict.c: each before what it looks at takes effect */
void ix_strict_write(IX *s, uint32_t a, uint32_t v);
void ix_strict_read(IX *s, uint32_t a, uint32_t v);
void ix_strict_tail(IX *s, IxQueue *q, uint32_t base, uint32_t tail);
void ix_strict_fetched(IX *s, IxQueue *q, uint32_t base, const uint8_t *desc);
void ix_strict_tx(IX *s, IxQueue *q, uint32_t base, const uint8_t *desc);
void ix_strict_frame(IX *s, IxQueue *q, uint32_t base, bool tso, uint32_t n);
void ix_strict_abort(IX *s, uint64_t address);
void ix_strict_reset(IX *s);
void ix_strict_class(ObjectClass *oc);

/* faults.c */
#define STUCK_RX_ON   1
#define STUCK_TX_ON   2
#define STUCK_RX_OFF  4
#define STUCK_TX_OFF  8
#define TX_HANGS_TILL_RESET 1
#define EEPROM_CORRUPT 1
#define EEPROM_ABSENT  2
void ix_fault_class(ObjectClass *oc);
void ix_fault_init(IX *s);
void ix_fault_exit(IX *s);
bool ix_fault_stuck(const IX *s, bool tx, bool enable);

#endif
