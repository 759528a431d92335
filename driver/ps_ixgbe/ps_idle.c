// SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause
/*
 * ps_idle.c - the kernel receives on hardware queue 0 while no user has it
 *
 * Thus ARP, LLDP and whatever else the chip does not spread (7.1.2.8), or all
 * frames where nobody is attached, reach xgeN.  Frames are copied out, each
 * descriptor keeps its buffer.
 */
#include "ps.h"
#include "ps_reg.h"

/* One buffer: a frame, or a part of one. */
static void take(struct ps_port *p, u32 buf, const struct ps_slot *s)
{
	struct ps_idle *i = &p->idle;
	bool more = s->flags & PS_F_MORE;
	struct sk_buff *skb;

	if (!i->part && !i->torn)
		i->part = netdev_alloc_skb_ip_align(p->netdev, more ?
						    PS_FRAME_MAX + 4 : s->len);
	if (i->part && skb_tailroom(i->part) >= s->len) {
		ps_mem_for_cpu(p, p->mem, buf);
		skb_put_data(i->part, ps_mem_addr(p->mem, buf), s->len);
		ps_mem_for_device(p, p->mem, buf);
	} else {
		i->torn = true;
	}
	if (more)
		return;
	skb = i->part;
	i->part = NULL;
	if (!i->torn) {
		ps_netdev_deliver(p, skb, s->flags);
		return;
	}
	i->torn = false;
	p->netdev->stats.rx_dropped++;
	dev_kfree_skb_any(skb);
}

static void lend(struct ps_port *p, u32 buf)
{
	struct ps_desc d = { .a = ps_mem_dma(p->mem, buf) };

	ps_mem_write_desc(p, p->mem, buf, &d);
}

int ps_idle_poll(struct napi_struct *n, int budget)
{
	struct ps_port *p = container_of(n, struct ps_port, idle.napi);
	struct ps_idle *i = &p->idle;
	int done = 0;

	for (; done < budget; done++) {
		u32 at = i->next % PS_IDLE_SLOTS;
		struct ps_desc d = ps_mem_read_desc(p, p->mem, at);
		struct ps_slot s;

		if (!(d.b & PS_RXD_DONE))
			break;
		ps_desc_receive(&d, &s);
		take(p, at, &s);
		lend(p, at);
		i->next++;
	}
	wmb();		/* descriptors before the tail that shows them */
	if (done)
		ps_wr(p, RDT(0), (i->next - 1) % PS_IDLE_SLOTS);
	if (done < budget && napi_complete_done(n, done))
		ps_hw_arm(p, 0);
	return done;
}

int ps_idle_start(struct ps_port *p)
{
	struct ps_idle *i = &p->idle;
	u32 b;
	int r;

	if (i->running)
		return 0;
	r = ps_hw_rx_enable(p, 0, p->mem, PS_IDLE_SLOTS, false);
	if (r < 0)
		return r;
	for (b = 0; b < PS_IDLE_SLOTS; b++)
		lend(p, b);
	i->next = 0;
	napi_enable(&i->napi);
	WRITE_ONCE(i->running, true);
	wmb();		/* descriptors before the tail that shows them */
	ps_wr(p, RDT(0), PS_IDLE_SLOTS - 1);
	ps_hw_arm(p, 0);
	return 0;
}

int ps_idle_stop(struct ps_port *p)
{
	struct ps_idle *i = &p->idle;
	int r;

	if (!i->running)
		return 0;
	WRITE_ONCE(i->running, false);
	napi_disable(&i->napi);
	r = ps_hw_rx_disable(p, 0);
	if (r < 0)
		ps_life_ask_reset(p, "a queue does not stop");
	dev_kfree_skb_any(i->part);
	i->part = NULL;
	i->torn = false;
	return r;
}
