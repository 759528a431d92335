// SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause
/*
 * ps_sfp.c - the SFP+ cage: what module is in it, and what it wants
 *
 * A module tells by I2C what it is (SFF-8472, address A0h).  The EEPROM holds,
 * for each kind, a sequence of words for CORECTL that the analog part needs
 * before the link can come (datasheet 3.7.4, 6.3.1: PHY initialisation, word
 * 2Bh).  Looked at by the service work while the link is down, so a module that
 * is put in later gets its sequence too.
 */
#include <linux/delay.h>

#include "ps.h"
#include "ps_reg.h"

#define SFF_IDENTIFIER	0	/* 3: SFP or SFP+ */
#define SFF_10G_CODES	3
#define  SFF_10G_SR_LR		0x30
#define SFF_CABLE	8
#define  SFF_CABLE_PASSIVE	0x04
#define  SFF_CABLE_ACTIVE	0x08

/* kinds of the EEPROM's list, for the first port; the second has one more */
#define KIND_PASSIVE	3
#define KIND_OTHER	5

#define WORD_LISTS	0x2b
#define LIST_MAX	64
#define SEQUENCE_MAX	512

static void lines(const struct ps_port *p, bool clock, bool data)
{
	ps_wr(p, I2CCTL, (clock ? I2C_CLOCK_OUT : 0) |
	      (data ? I2C_DATA_OUT : 0));
	ps_rd(p, STATUS);		/* flushes */
	udelay(5);			/* 100 kHz */
}

static bool pulse(const struct ps_port *p, bool data)
{
	bool in;

	lines(p, false, data);
	lines(p, true, data);
	in = ps_rd(p, I2CCTL) & I2C_DATA_IN;
	lines(p, false, data);
	return in;
}

static void start(const struct ps_port *p)
{
	lines(p, true, true);
	lines(p, true, false);
	lines(p, false, false);
}

static void stop(const struct ps_port *p)
{
	lines(p, false, false);
	lines(p, true, false);
	lines(p, true, true);
}

/* 0, or -EIO: nobody acknowledges. */
static int put_byte(const struct ps_port *p, u8 v)
{
	int i;

	for (i = 7; i >= 0; i--)
		pulse(p, v >> i & 1);
	return pulse(p, true) ? -EIO : 0;
}

static int module_byte(const struct ps_port *p, u8 at)
{
	int i, r, v = 0;

	start(p);
	r = put_byte(p, 0xa0);
	if (r == 0)
		r = put_byte(p, at);
	if (r == 0) {
		lines(p, false, true);
		start(p);
		r = put_byte(p, 0xa1);
	}
	for (i = 0; i < 8 && r == 0; i++)
		v = v << 1 | pulse(p, true);
	if (r == 0)
		pulse(p, true);		/* no acknowledge: the last byte */
	stop(p);
	return r < 0 ? r : v;
}

/* enum ps_module; @kind is the EEPROM's name for it. */
static u32 identify(const struct ps_port *p, u16 *kind)
{
	unsigned int port = PCI_FUNC(p->pdev->devfn) & 1;
	int id, cable, codes;

	id = module_byte(p, SFF_IDENTIFIER);
	if (id < 0)
		return PS_MODULE_ABSENT;
	cable = module_byte(p, SFF_CABLE);
	codes = module_byte(p, SFF_10G_CODES);
	if (id != 3 || cable < 0 || codes < 0)
		return PS_MODULE_FOREIGN;
	*kind = (cable & SFF_CABLE_PASSIVE ? KIND_PASSIVE : KIND_OTHER) + port;
	return cable & (SFF_CABLE_PASSIVE | SFF_CABLE_ACTIVE) ||
	       codes & SFF_10G_SR_LR ? PS_MODULE_THERE : PS_MODULE_FOREIGN;
}

/* Where the sequence for @kind begins; 0: it needs none; or -errno. */
static int find_sequence(const struct ps_port *p, u16 kind)
{
	u16 at, word;
	int i, r = ps_hw_eeprom(p, WORD_LISTS, &at);

	if (r < 0 || at == 0 || at == 0xffff)
		return r;
	for (i = 0, at++; i < LIST_MAX; i++, at += 2) {
		r = ps_hw_eeprom(p, at, &word);
		if (r < 0 || word == 0xffff)
			return r < 0 ? r : -ENOENT;
		if (word == kind) {
			r = ps_hw_eeprom(p, at + 1, &word);
			return r < 0 ? r : word;
		}
	}
	return -ENOENT;
}

static int run_sequence(const struct ps_port *p, u16 kind)
{
	int i, r, at = find_sequence(p, kind);
	u16 word;

	if (at <= 0)
		return at;
	for (i = 1; i < SEQUENCE_MAX; i++) {
		r = ps_hw_eeprom(p, at + i, &word);
		if (r < 0)
			return r;
		if (word == 0xffff)
			return 0;
		ps_wr(p, CORECTL, word);
		ps_rd(p, STATUS);
	}
	return -EIO;
}

static void say(const struct ps_port *p, u32 module, int r)
{
	static const char * const is[] = {
		[PS_MODULE_THERE] = "there",
		[PS_MODULE_ABSENT] = "absent: the cage is empty",
		[PS_MODULE_FOREIGN] = "no 10 Gb/s SFP+",
	};

	netdev_info(p->netdev, "the SFP+ module is %s\n", is[module]);
	if (r < 0)
		netdev_warn(p->netdev,
			    "the EEPROM has no sequence for this module: %d\n",
			    r);
}

/*
 * Looks into the cage; a module that was not there before is made ready.
 * Return: did anything change?
 */
bool ps_sfp_look(struct ps_port *p)
{
	const u32 locks = GSSR_EEPROM | GSSR_CSR |
			  GSSR_PHY(PCI_FUNC(p->pdev->devfn) & 1);
	u32 module, v;
	u16 kind = 0;
	int r = 0;

	if (ps_hw_lock(p, locks) < 0)
		return false;
	module = identify(p, &kind);
	if (module == PS_MODULE_THERE && p->module != module) {
		r = run_sequence(p, kind);
		v = ps_rd(p, AUTOC) & ~AUTOC_LMS;
		ps_wr(p, AUTOC, v | AUTOC_LMS_SFI | AUTOC_RESTART);
	}
	ps_hw_unlock(p, locks);
	if (module == p->module)
		return false;
	WRITE_ONCE(p->module, module);
	say(p, module, r);
	return true;
}
