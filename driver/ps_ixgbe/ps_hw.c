// SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause
/*
 * ps_hw.c - bring the chip up, and stop it, in the datasheet's order (4.6)
 *
 * Section numbers are those of the Intel 82599 datasheet.
 */
#include <linux/delay.h>
#include <linux/etherdevice.h>

#include "ps.h"
#include "ps_reg.h"

/* Waits up to @ms until (register & mask) == want.  0 or -ETIMEDOUT. */
static int wait_for(const struct ps_port *p, u32 reg, u32 mask, u32 want,
		    unsigned int ms)
{
	unsigned int i;

	for (i = 0; i < ms * 10; i++) {
		if ((ps_rd(p, reg) & mask) == want)
			return 0;
		usleep_range(100, 200);
	}
	return -ETIMEDOUT;
}

/* As wait_for(), with its failure in the log. */
static int await(const struct ps_port *p, u32 reg, u32 bits, u32 want,
		 unsigned int ms, const char *failure)
{
	int r = wait_for(p, reg, bits, want, ms);

	if (r < 0)
		dev_err(&p->pdev->dev, "%s\n", failure);
	return r;
}

/* By the clock: msleep() counts ticks; late ones then come several at once. */
static void settle(unsigned int ms)
{
	usleep_range(ms * 1000, ms * 1100);
}

/* A device that is not there any more reads as all ones. */
bool ps_hw_pulled(const struct ps_port *p)
{
	return ps_rd(p, STATUS) == ~0u;
}

void ps_hw_mask(const struct ps_port *p)
{
	ps_wr(p, EIMC, ~0u);
	ps_wr(p, EIMC_EX(0), ~0u);
	ps_wr(p, EIMC_EX(1), ~0u);
	ps_rd(p, STATUS);		/* flushes */
}

/* Software semaphore against our own kind, then the firmware's: 10.5.4. */
int ps_hw_lock(const struct ps_port *p, u32 bit)
{
	int i;

	for (i = 0; i < 200; i++) {
		if (wait_for(p, SWSM, SWSM_SMBI, 0, 20) < 0)
			return -EBUSY;
		ps_wr(p, SWSM, ps_rd(p, SWSM) | SWSM_SWESMBI);
		if (ps_rd(p, SWSM) & SWSM_SWESMBI &&
		    !(ps_rd(p, GSSR) & (bit | bit << GSSR_FIRMWARE))) {
			ps_wr(p, GSSR, ps_rd(p, GSSR) | bit);
			ps_wr(p, SWSM, 0);
			return 0;
		}
		ps_wr(p, SWSM, 0);
		usleep_range(5000, 6000);
	}
	dev_err_ratelimited(&p->pdev->dev, "semaphore %x is held by firmware\n",
			    bit);
	return -EBUSY;
}

void ps_hw_unlock(const struct ps_port *p, u32 bit)
{
	if (wait_for(p, SWSM, SWSM_SMBI, 0, 20) < 0)
		dev_warn(&p->pdev->dev, "releasing a semaphore unasked\n");
	ps_wr(p, SWSM, ps_rd(p, SWSM) | SWSM_SWESMBI);
	ps_wr(p, GSSR, ps_rd(p, GSSR) & ~bit);
	ps_wr(p, SWSM, 0);
}

int ps_hw_eeprom(const struct ps_port *p, u16 at, u16 *word)
{
	ps_wr(p, EERD, (u32)at << 2 | EERD_START);
	if (wait_for(p, EERD, EERD_DONE, EERD_DONE, 5) < 0)
		return -EIO;
	*word = ps_rd(p, EERD) >> 16;
	return 0;
}

/* 6.2: words 0 to 3Fh, and the modules they point to, sum to BABAh. */
static int eeprom_check(const struct ps_port *p)
{
	u16 i, j, word = 0, len, sum = 0;
	int r = 0;

	for (i = 0; i <= 0x3f && r == 0; i++) {
		r = ps_hw_eeprom(p, i, &word);
		sum += word;
	}
	for (i = 3; i < 0xf && r == 0; i++) {
		u16 at;

		r = ps_hw_eeprom(p, i, &at);
		if (r < 0 || at == 0 || at == 0xffff)
			continue;
		r = ps_hw_eeprom(p, at, &len);
		if (r < 0 || len == 0 || len == 0xffff)
			continue;
		for (j = at + 1; j <= at + len && r == 0; j++) {
			r = ps_hw_eeprom(p, j, &word);
			sum += word;
		}
	}
	if (r == 0 && sum != 0xbaba) {
		dev_err(&p->pdev->dev,
			"EEPROM checksum is %04x, not baba: refused\n", sum);
		r = -EIO;
	}
	return r;
}

/* 5.2.5.3.2: no new requests, then wait for those under way. */
static void master_disable(const struct ps_port *p)
{
	ps_wr(p, CTRL, ps_rd(p, CTRL) | CTRL_GIO_DIS);
	if (wait_for(p, STATUS, STATUS_GIO, 0, 100) < 0)
		dev_warn(&p->pdev->dev, "DMA requests pending at reset\n");
}

/* 4.6.3: interrupts off, master off, reset, EEPROM, DMA initialised. */
int ps_hw_reset(struct ps_port *p)
{
	const u32 config_done = 1u << 18 << (PCI_FUNC(p->pdev->devfn) & 1);
	struct device *dev = &p->pdev->dev;
	int r;

	if (ps_hw_pulled(p)) {
		dev_err(dev, "registers read all ones: device is gone\n");
		return -ENODEV;
	}
	ps_hw_mask(p);
	master_disable(p);
	ps_wr(p, CTRL, ps_rd(p, CTRL) | CTRL_LNK_RST | CTRL_RST);
	r = await(p, CTRL, CTRL_LNK_RST | CTRL_RST, 0, 50,
		  "reset does not end");
	if (r < 0)
		return r;
	settle(50);
	ps_hw_mask(p);
	if (await(p, EEC, EEC_PRESENT | EEC_AUTO_READ,
		  EEC_PRESENT | EEC_AUTO_READ, 500,
		  "EEPROM is absent or was not read") < 0)
		return -EIO;
	await(p, EEMNGCTL, config_done, config_done, 500,
	      "manageability configuration not done");
	r = await(p, RDRXCTL, RDRXCTL_DMAIDONE, RDRXCTL_DMAIDONE, 100,
		  "DMA initialisation does not end");
	if (r == 0)
		r = ps_hw_lock(p, GSSR_EEPROM);
	if (r < 0)
		return r;
	r = eeprom_check(p);
	ps_hw_unlock(p, GSSR_EEPROM);
	if (r < 0)
		return r;
	put_unaligned_le32(ps_rd(p, RAL(0)), p->mac);
	put_unaligned_le16(ps_rd(p, RAH(0)), p->mac + 4);
	if (!is_valid_ether_addr(p->mac)) {
		dev_err(dev, "EEPROM holds no MAC address\n");
		return -EIO;
	}
	return 0;
}

/* 4.6.4: the mode comes from the EEPROM; start the link with it. */
static int start_link(struct ps_port *p)
{
	if (ps_hw_lock(p, GSSR_CSR) < 0)
		return -EBUSY;
	ps_wr(p, AUTOC, ps_rd(p, AUTOC) | AUTOC_RESTART);
	ps_hw_unlock(p, GSSR_CSR);
	return 0;
}

/* 4.6.5: statistics clear on read. */
static void clear_statistics(const struct ps_port *p)
{
	unsigned int i;

	for (i = 0; i < 16; i++)
		ps_rd(p, QPRDC(i));
	for (i = 0; i < 8; i++)
		ps_rd(p, RXMPC(i));
}

/*
 * 7.1.2.8: attached queues share the 128 entries in turn.  The port takes every
 * address if one of them wants it.
 */
void ps_hw_rss(struct ps_port *p)
{
	unsigned int used[PS_QUEUES_MAX], n = 0, i, k;
	u32 filter = FCTRL_BAM | FCTRL_MPE;

	for (i = 0; i < p->nqueues; i++) {
		if (!p->queue[i].running)
			continue;
		used[n++] = i;
		filter |= p->queue[i].promisc ? FCTRL_UPE : 0;
	}
	ps_wr(p, FCTRL, filter);
	for (i = 0; i < 128; i += 4) {
		u32 v = 0;

		for (k = 0; k < 4 && n; k++)
			v |= used[(i + k) % n] << (8 * k);
		ps_wr(p, RETA(i / 4), v);
	}
	for (i = 0; i < PS_RSS_KEY_BYTES / 4; i++)
		ps_wr(p, RSSRK(i), get_unaligned_le32(p->key + 4 * i));
	ps_wr(p, MRQC, MRQC_RSS);
}

/*
 * 3.7.7.3: 802.3x pause frames.  They are sent while more than HIGH bytes of
 * the chip's packet buffer are full, until less than LOW are; room for what is
 * on its way and two jumbo frames stays.  Pause frames themselves are dropped.
 */
#define PAUSE_HIGH	(448u << 10)
#define PAUSE_LOW	(384u << 10)
#define PAUSE_TIME	0xffffu		/* in 512 bit times */

void ps_hw_flow_control(const struct ps_port *p)
{
	bool tx = p->tx_pause;

	ps_wr(p, MFLCN, MFLCN_DISCARD | (p->rx_pause ? MFLCN_RECEIVE : 0));
	ps_wr(p, FCCFG, tx ? FCCFG_TRANSMIT : 0);
	ps_wr(p, FCTTV, tx ? PAUSE_TIME | PAUSE_TIME << 16 : 0);
	ps_wr(p, FCRTV, tx ? PAUSE_TIME / 2 : 0);
	ps_wr(p, FCRTL, tx ? FCRTL_XON | PAUSE_LOW : 0);
	ps_wr(p, FCRTH, tx ? FCRTH_ENABLE | PAUSE_HIGH : PAUSE_HIGH);
}

/* 4.6.7: filters, offloads, then the receive path; queues come later. */
static int start_receive(struct ps_port *p)
{
	u32 v;
	int i;

	for (i = 0; i < 128; i++) {
		ps_wr(p, MTA(i), 0);
		ps_wr(p, VFTA(i), 0);
	}
	ps_hw_flow_control(p);
	ps_wr(p, RXCSUM, RXCSUM_PCSD);
	v = ps_rd(p, RDRXCTL) & ~RDRXCTL_RSCFRST;
	ps_wr(p, RDRXCTL, v | RDRXCTL_CRCSTRIP | RDRXCTL_RSCACKC |
	      RDRXCTL_FCOE_WRFIX);
	ps_wr(p, HLREG0, ps_rd(p, HLREG0) | HLREG0_RXCRCSTRP |
	      HLREG0_JUMBOEN | HLREG0_TXCRCEN | HLREG0_TXPADEN);
	ps_wr(p, MAXFRS, (PS_FRAME_MAX + 4) << 16);
	ps_wr(p, CTRL_EXT, ps_rd(p, CTRL_EXT) | CTRL_EXT_NS_DIS |
	      CTRL_EXT_DRV_LOAD);
	ps_hw_rss(p);
	ps_wr(p, SECRXCTRL, ps_rd(p, SECRXCTRL) | SECRXCTRL_RX_DIS);
	if (wait_for(p, SECRXSTAT, SECRXSTAT_READY, SECRXSTAT_READY, 20) < 0)
		return -ETIMEDOUT;
	ps_wr(p, RXCTRL, ps_rd(p, RXCTRL) | 1);
	ps_wr(p, SECRXCTRL, ps_rd(p, SECRXCTRL) & ~SECRXCTRL_RX_DIS);
	return 0;
}

/* 4.6.8: buffers and arbiter without DCB, then the transmit path. */
static void start_transmit(struct ps_port *p)
{
	int i;

	ps_wr(p, RTTDCS, ps_rd(p, RTTDCS) | RTTDCS_ARBDIS);
	ps_wr(p, DTXMXSZRQ, 0xfff);
	ps_wr(p, TXPBSIZE(0), 160 << 10);
	ps_wr(p, TXPBTHRESH(0), 160 - 10);	/* KiB, less a jumbo frame */
	for (i = 1; i < 8; i++) {
		ps_wr(p, TXPBSIZE(i), 0);
		ps_wr(p, TXPBTHRESH(i), 0);
	}
	ps_wr(p, RTTDCS, ps_rd(p, RTTDCS) & ~RTTDCS_ARBDIS);
	ps_wr(p, DMATXCTL, ps_rd(p, DMATXCTL) | DMATXCTL_TE);
}

/* 8.2.3.5.12: the least time between interrupts, in steps of 2 us. */
void ps_hw_throttle(const struct ps_port *p, unsigned int vector,
		    unsigned int us)
{
	ps_wr(p, EITR(vector), EITR_KEEP_COUNT | us / 2 << 3);
}

/* 4.6.6 and 8.2.3.5: vector per queue pair, the last for all the rest. */
static void start_interrupts(struct ps_port *p)
{
	unsigned int i, other = p->nqueues;
	u32 v;

	ps_wr(p, GPIE, GPIE_MULTIPLE_MSIX | GPIE_EIAME | GPIE_PBA |
	      (p->sfp ? GPIE_SDP2 : 0));
	for (i = 0; i <= p->nqueues; i++) {
		v = ps_rd(p, IVAR(i)) & ~(0xffffu << (16 * (i & 1)));
		v |= (i | 0x80 | (i | 0x80) << 8) << (16 * (i & 1));
		ps_wr(p, IVAR(i), v);
		ps_hw_throttle(p, i, PS_THROTTLE_US);
	}
	ps_wr(p, IVAR_MISC, (other | 0x80) << 8);
	ps_wr(p, EIAC, (1u << (other + 1)) - 1);
	ps_wr(p, EIAM_EX(0), (1u << other) - 1);	/* users arm again */
	ps_wr(p, EIMS_EX(0), 1u << other);
	ps_wr(p, EIMS, EICR_OTHER | 1u << other);
}

int ps_hw_start(struct ps_port *p)
{
	int r = start_link(p);

	if (r < 0)
		return r;
	clear_statistics(p);
	r = start_receive(p);
	if (r < 0)
		return r;
	start_transmit(p);
	start_interrupts(p);
	return 0;
}

/*
 * Nothing of ours is read or written by the chip after this.
 * Return: 0, or -ETIMEDOUT: DMA may go on.
 */
int ps_hw_stop(struct ps_port *p)
{
	int r;

	if (ps_hw_pulled(p))
		return 0;		/* pulled out: it cannot reach memory */
	ps_hw_mask(p);
	ps_wr(p, RXCTRL, ps_rd(p, RXCTRL) & ~1u);
	ps_wr(p, DMATXCTL, ps_rd(p, DMATXCTL) & ~DMATXCTL_TE);
	master_disable(p);
	ps_wr(p, CTRL, ps_rd(p, CTRL) | CTRL_RST);
	r = wait_for(p, CTRL, CTRL_RST, 0, 50);
	settle(20);			/* 4.6.3.2: nothing is touched for 10 ms */
	return r;
}

u32 ps_hw_link(const struct ps_port *p)
{
	static const u32 mbps[] = { 0, 100, 1000, 10000 };
	u32 v = ps_rd(p, LINKS);

	return v == ~0u || !(v & LINKS_UP) ? 0 :
		mbps[(v & LINKS_SPEED) >> 28];
}

static int switch_on(struct ps_port *p, u32 control, u32 bits,
		     const char *what, unsigned int i)
{
	ps_wr(p, control, XDCTL_ENABLE | bits);
	if (wait_for(p, control, XDCTL_ENABLE, XDCTL_ENABLE, 20) == 0)
		return 0;
	dev_err(&p->pdev->dev, "%s queue %u does not start\n", what, i);
	ps_wr(p, control, 0);
	ps_life_ask_reset(p, "a queue does not start");
	return -ETIMEDOUT;
}

/* 4.6.7.1: ring, buffers' size, enable, wait, only then the tail. */
int ps_hw_rx_enable(struct ps_port *p, unsigned int i, const struct ps_mem *m,
		    u32 slots, bool strip_vlan)
{
	int r;

	ps_wr(p, RDBAL(i), lower_32_bits(m->ring_dma));
	ps_wr(p, RDBAH(i), upper_32_bits(m->ring_dma));
	ps_wr(p, RDLEN(i), slots * sizeof(struct ps_desc));
	ps_wr(p, SRRCTL(i), SRRCTL_2K | SRRCTL_ADVANCED | SRRCTL_DROP);
	ps_wr(p, DCA_RXCTRL(i), ps_rd(p, DCA_RXCTRL(i)) & ~(1u << 12));
	ps_wr(p, RDH(i), 0);
	ps_wr(p, RDT(i), 0);
	r = switch_on(p, RXDCTL(i), strip_vlan ? RXDCTL_VME : 0, "receive", i);
	if (r == 0)
		ps_rd(p, QPRDC(i));	/* clears it */
	return r;
}

/* 4.6.8.1 */
int ps_hw_tx_enable(struct ps_port *p, unsigned int i, const struct ps_mem *m,
		    u32 slots)
{
	dma_addr_t ring = m->ring_dma + m->rx_bytes;

	ps_wr(p, TDBAL(i), lower_32_bits(ring));
	ps_wr(p, TDBAH(i), upper_32_bits(ring));
	ps_wr(p, TDLEN(i), slots * sizeof(struct ps_desc));
	ps_wr(p, TDH(i), 0);
	ps_wr(p, TDT(i), 0);
	return switch_on(p, TXDCTL(i), 8 << 8 | 32, "transmit", i);
}

/* 4.6.7.1.2: disable, wait, let writes under way land. */
int ps_hw_rx_disable(const struct ps_port *p, unsigned int i)
{
	int r;

	if (ps_hw_pulled(p))
		return 0;
	ps_wr(p, EIMC_EX(0), 1u << i);
	ps_wr(p, RXDCTL(i), ps_rd(p, RXDCTL(i)) & ~XDCTL_ENABLE);
	r = wait_for(p, RXDCTL(i), XDCTL_ENABLE, 0, 20);
	usleep_range(100, 200);
	return r;
}

/* 4.6.8.2 too: drain what is being sent first. */
int ps_hw_queue_disable(struct ps_queue *q)
{
	struct ps_port *p = q->port;
	unsigned int i = q->index;
	int r = ps_hw_rx_disable(p, i);

	if (ps_hw_pulled(p))
		return 0;
	wait_for(p, TDH(i), ~0u, ps_rd(p, TDT(i)), 20);
	ps_wr(p, TXDCTL(i), ps_rd(p, TXDCTL(i)) & ~XDCTL_ENABLE);
	if (wait_for(p, TXDCTL(i), XDCTL_ENABLE, 0, 20) < 0)
		r = -ETIMEDOUT;
	usleep_range(100, 200);
	return r;
}

void ps_hw_arm(const struct ps_port *p, unsigned int index)
{
	ps_wr(p, EIMS_EX(0), 1u << index);
}
