// SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause
/*
 * ps_ethtool.c - what ethtool tells of xgeN, and sets
 *
 * The chip's counters clear when they are read; p->stats holds their sums, fed
 * by the service work and by each ethtool -S (under port->lock).
 */
#include <linux/ethtool.h>

#include "ps.h"
#include "ps_reg.h"

struct statistic {
	char name[ETH_GSTRING_LEN];
	u32 reg;
	bool wide;
};

/* 8.2.3.23; 36-bit octet counters are read low half first */
static const struct statistic table[PS_STATS] = {
	{ "rx_good", 0x4074 },
	{ "rx_good_bytes", 0x4088, true },
	{ "rx_broadcast", 0x4078 },
	{ "rx_multicast", 0x407c },
	{ "rx_all", 0x40d0 },
	{ "rx_missed", 0x3fa0 },
	{ "rx_crc_errors", 0x4000 },
	{ "rx_illegal_bytes", 0x4004 },
	{ "rx_length_errors", 0x4040 },
	{ "rx_undersize", 0x40a4 },
	{ "rx_fragments", 0x40a8 },
	{ "rx_oversize", 0x40ac },
	{ "rx_jabber", 0x40b0 },
	{ "rx_pause_on", 0x41a4 },
	{ "rx_pause_off", PS_STAT_XOFF_REG },
	{ "tx_good", 0x4080 },
	{ "tx_good_bytes", 0x4090, true },
	{ "tx_all", 0x40d4 },
	{ "tx_pause_on", 0x3f60 },
	{ "tx_pause_off", 0x3f68 },
	{ "mac_local_faults", 0x4034 },
	{ "mac_remote_faults", 0x4038 },
};

/* port->lock held.  Frames since the last time that a pause held back. */
void ps_stats_read(struct ps_port *p)
{
	unsigned int i;

	if (p->down || ps_hw_pulled(p))
		return;
	for (i = 0; i < PS_STATS; i++) {
		u64 v = ps_rd(p, table[i].reg);

		if (table[i].wide)
			v |= (u64)(ps_rd(p, table[i].reg + 4) & 0xf) << 32;
		p->stats[i] += v;
		if (table[i].reg == PS_STAT_XOFF_REG)
			p->paused = v != 0;
	}
}

static const char * const per_queue[] = {
	"frames_in", "frames_out", "interrupts", "attached",
	"late",
};

static int get_sset_count(struct net_device *dev, int set)
{
	if (set != ETH_SS_STATS)
		return -EOPNOTSUPP;
	return PS_STATS + 1 + ps_port_of(dev)->nqueues * ARRAY_SIZE(per_queue);
}

static void get_strings(struct net_device *dev, u32 set, u8 *at)
{
	struct ps_port *p = ps_port_of(dev);
	unsigned int i, k;

	if (set != ETH_SS_STATS)
		return;
	for (i = 0; i < PS_STATS; i++)
		ethtool_sprintf(&at, "%s", table[i].name);
	ethtool_sprintf(&at, "resets");
	for (i = 0; i < p->nqueues; i++)
		for (k = 0; k < ARRAY_SIZE(per_queue); k++)
			ethtool_sprintf(&at, "queue_%u_%s", i, per_queue[k]);
}

static void get_stats(struct net_device *dev, struct ethtool_stats *e,
		      u64 *at)
{
	struct ps_port *p = ps_port_of(dev);
	unsigned int i;

	mutex_lock(&p->lock);
	ps_stats_read(p);
	memcpy(at, p->stats, sizeof(p->stats));
	at += PS_STATS;
	*at++ = p->resets;
	for (i = 0; i < p->nqueues; i++) {
		*at++ = READ_ONCE(p->queue[i].frames_in);
		*at++ = READ_ONCE(p->queue[i].frames_out);
		*at++ = atomic_long_read(&p->queue[i].wakeups);
		*at++ = p->queue[i].attached;
		*at++ = READ_ONCE(p->queue[i].late);
	}
	mutex_unlock(&p->lock);
}

static int get_link_ksettings(struct net_device *dev,
			      struct ethtool_link_ksettings *k)
{
	struct ps_port *p = ps_port_of(dev);
	u32 mbps = READ_ONCE(p->link_mbps);

	k->base.speed = mbps ? (int)mbps : SPEED_UNKNOWN;
	k->base.duplex = mbps ? DUPLEX_FULL : DUPLEX_UNKNOWN;
	k->base.port = !p->sfp ? PORT_OTHER :
		p->module == PS_MODULE_ABSENT ? PORT_NONE : PORT_FIBRE;
	return 0;
}

static void get_channels(struct net_device *dev, struct ethtool_channels *c)
{
	c->max_combined = ps_port_of(dev)->nqueues;
	c->combined_count = c->max_combined;
	c->max_other = 1;
	c->other_count = 1;
}

static void get_pauseparam(struct net_device *dev,
			   struct ethtool_pauseparam *e)
{
	e->rx_pause = ps_port_of(dev)->rx_pause;
	e->tx_pause = ps_port_of(dev)->tx_pause;
}

static int set_pauseparam(struct net_device *dev,
			  struct ethtool_pauseparam *e)
{
	struct ps_port *p = ps_port_of(dev);

	if (e->autoneg)
		return -EINVAL;
	mutex_lock(&p->lock);
	p->rx_pause = e->rx_pause;
	p->tx_pause = e->tx_pause;
	if (!p->down)
		ps_hw_flow_control(p);
	mutex_unlock(&p->lock);
	return 0;
}

const struct ethtool_ops ps_ethtool_ops = {
	.get_link = ethtool_op_get_link,
	.get_link_ksettings = get_link_ksettings,
	.get_sset_count = get_sset_count,
	.get_strings = get_strings,
	.get_ethtool_stats = get_stats,
	.get_channels = get_channels,
	.get_pauseparam = get_pauseparam,
	.set_pauseparam = set_pauseparam,
};
