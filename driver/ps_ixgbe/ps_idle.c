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

static void lend(struct ps_port *p, u32 buf)
{
	struct ps_desc d = { .a = ps_mem_dma(p->mem, buf) };

	ps_mem_for_device(p, p->mem, buf);
	ps_mem_write_desc(p, p->mem, buf, &d);
}

/* A frame is whole: the kernel gets a copy, the chip its buffers. */
static void take(struct ps_port *p, u16 flags)
{
	struct ps_idle *i = &p->idle;

	ps_netdev_receive(p, p->mem, i->part, i->parts, flags);
	for (; i->parts; i->parts--)
		lend(p, i->next++ % PS_IDLE_SLOTS);
}

int ps_idle_poll(struct napi_struct *n, int budget)
{
	struct ps_port *p = container_of(n, struct ps_port, idle.napi);
	struct ps_idle *i = &p->idle;
	int done = 0;

	while (done < budget) {
		u32 at = (i->next + i->parts) % PS_IDLE_SLOTS;
		struct ps_desc d = ps_mem_read_desc(p, p->mem, at);
		struct ps_slot *s = &i->part[i->parts];

		if (!(d.b & PS_RXD_DONE))
			break;
		ps_desc_receive(&d, s);
		s->buf = at;
		ps_mem_for_cpu(p, p->mem, at);
		if (++i->parts == PS_IDLE_PARTS)	/* no frame is so long */
			s->flags = PS_F_ERROR;
		if (s->flags & PS_F_MORE)
			continue;
		take(p, s->flags);
		done++;
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
	i->parts = 0;
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
	return r;
}
