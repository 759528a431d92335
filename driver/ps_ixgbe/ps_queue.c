// SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause
/*
 * ps_queue.c - a queue pair: between the user's rings and the chip's
 *
 * All of it runs in the user's own calls (SYNC, poll), under queue->lock; an
 * interrupt only wakes.  Work per call is bounded by PS_CHUNK_MAX slots per
 * ring.  See ps_uapi.h for the four rings, ps_ring.h for buffer ownership.
 */
#include <linux/dma-mapping.h>
#include <linux/if_vlan.h>
#include <linux/log2.h>
#include <linux/poll.h>
#include <linux/slab.h>

#include "ps.h"
#include "ps_reg.h"

static bool receive_waits(const struct ps_queue *q)
{
	u32 at = q->rx_next & (q->rx_slots - 1);

	return q->rx_next != q->rx_fill &&
	       ps_mem_read_desc(q->port, q->mem, at).b & PS_RXD_DONE;
}

static void lend_to_receiver(struct ps_queue *q, u32 buf)
{
	u32 at = q->rx_fill++ & (q->rx_slots - 1);
	struct ps_desc d = { .a = ps_mem_dma(q->mem, buf) };

	ps_mem_for_device(q->port, q->mem, buf);
	q->rx_buf[at] = buf;
	ps_mem_write_desc(q->port, q->mem, at, &d);
}

static void publish_receiver(struct ps_queue *q)
{
	wmb();		/* descriptors before the tail that shows them */
	ps_wr(q->port, RDT(q->index), q->rx_fill & (q->rx_slots - 1));
}

/* fill -> hardware.  0 or -EPROTO. */
static int refill(struct ps_queue *q)
{
	struct ps_ring *r = &q->ring[PS_RING_FILL];
	int waiting = ps_ring_peek(r), n = 0;
	u32 before = q->rx_fill;
	struct ps_slot s;

	if (waiting < 0)
		return -EPROTO;
	while (n < waiting && n < PS_CHUNK_MAX &&
	       q->rx_fill - q->rx_next < q->rx_slots - 1) {
		ps_ring_copy(r, n++, &s);
		if (ps_take(&q->owners, s.buf, PS_RECEIVER) < 0)
			q->mem->head->bad_slots++;
		else
			lend_to_receiver(q, s.buf);
	}
	if (n)
		ps_ring_release(r, n);
	if (q->rx_fill != before)
		publish_receiver(q);
	return 0;
}

/* hardware -> rx.  Slots moved, or -EPROTO. */
static int harvest(struct ps_queue *q)
{
	struct ps_ring *r = &q->ring[PS_RING_RX];
	struct ps_head *h = q->mem->head;
	int space = ps_ring_space(r), n = 0;

	if (space < 0)
		return -EPROTO;
	for (; n < space && n < PS_CHUNK_MAX && receive_waits(q); n++) {
		u32 at = q->rx_next++ & (q->rx_slots - 1);
		struct ps_desc d = ps_mem_read_desc(q->port, q->mem, at);
		struct ps_slot s = { .buf = q->rx_buf[at] };

		ps_desc_receive(&d, &s);
		ps_mem_for_cpu(q->port, q->mem, s.buf);
		WARN_ON_ONCE(ps_give(&q->owners, s.buf, PS_RECEIVER));
		*ps_ring_at(r, n) = s;
		h->rx_frames += !(s.flags & PS_F_MORE);
		q->frames_in += !(s.flags & PS_F_MORE);
		h->rx_bytes += s.len;
	}
	if (n) {
		ps_ring_submit(r, n);
		WRITE_ONCE(h->rx_next, q->rx_next);
	}
	return n;
}

static u32 tx_desc(const struct ps_queue *q, u32 at)
{
	return ps_mem_tx(q->mem) + (at & (q->tx_slots - 1));
}

static void give_done(struct ps_queue *q, u32 at, u32 buf, u16 flags)
{
	struct ps_slot s = { .buf = buf, .flags = flags };

	*ps_ring_at(&q->ring[PS_RING_DONE], at) = s;
}

/* sent descriptors -> done.  0 or -EPROTO. */
static int reclaim(struct ps_queue *q)
{
	struct ps_ring *r = &q->ring[PS_RING_DONE];
	int space = ps_ring_space(r), n = 0;
	u32 mask = q->tx_slots - 1;

	if (space < 0)
		return -EPROTO;
	while (q->tx_clean != q->tx_next && n + PS_FRAGS_MAX <= space) {
		u32 last = q->tx_last[q->tx_clean & mask];

		if (!(ps_mem_read_desc(q->port, q->mem, tx_desc(q, last)).b &
		      PS_TXD_DONE))
			break;
		for (; q->tx_clean != last + 1; q->tx_clean++) {
			u32 buf = q->tx_buf[q->tx_clean & mask];

			if (buf == PS_NOTHING)
				continue;
			if (buf & PS_OF_REGION) {
				ps_region_give(&q->mem->regions,
					       buf & ~PS_OF_REGION);
				continue;
			}
			ps_mem_for_cpu(q->port, q->mem, buf);
			WARN_ON_ONCE(ps_give(&q->owners, buf, PS_SENDER));
			give_done(q, n++, buf, 0);
		}
		q->mem->head->tx_frames++;
		q->frames_out++;
	}
	if (n)
		ps_ring_submit(r, n);
	return 0;
}

/* Returns the slots of a frame that cannot be sent to the user. */
static void reject(struct ps_queue *q, const struct ps_slot *frame, int n)
{
	struct ps_ring *r = &q->ring[PS_RING_DONE];
	int i, back = 0;

	for (i = 0; i < n; i++) {
		q->mem->head->bad_slots++;
		if (!(frame[i].flags & PS_F_REGION) &&
		    frame[i].buf < q->owners.count &&
		    q->owners.owner[frame[i].buf] == PS_USER)
			give_done(q, back++, frame[i].buf, PS_F_ERROR);
	}
	if (back)
		ps_ring_submit(r, back);
}

static int take_slot(struct ps_queue *q, const struct ps_slot *s)
{
	return s->flags & PS_F_REGION ? ps_region_take(&q->mem->regions, s) :
		ps_take(&q->owners, s->buf, PS_SENDER);
}

static void give_slot(struct ps_queue *q, const struct ps_slot *s)
{
	if (s->flags & PS_F_REGION)
		ps_region_give(&q->mem->regions, s->hash);
	else
		ps_give(&q->owners, s->buf, PS_SENDER);
}

/* Takes all slots of a frame, or none. */
static int take_frame(struct ps_queue *q, const struct ps_slot *frame, int n)
{
	int i;

	for (i = 0; i < n; i++)
		if (take_slot(q, &frame[i]) < 0)
			break;
	if (i == n)
		return 0;
	while (i--)
		give_slot(q, &frame[i]);
	return -1;
}

static dma_addr_t lend_to_sender(struct ps_queue *q, const struct ps_slot *s)
{
	if (s->flags & PS_F_REGION)
		return ps_region_dma(q->mem, s);
	ps_mem_for_device(q->port, q->mem, s->buf);
	return ps_mem_dma(q->mem, s->buf);
}

static void post_frame(struct ps_queue *q, const struct ps_slot *frame, int n)
{
	u32 mask = q->tx_slots - 1, bytes = 0, first = q->tx_next;
	struct ps_desc d;
	int i;

	for (i = 0; i < n; i++)
		bytes += frame[i].len;
	q->mem->head->tx_bytes += bytes;
	if (ps_desc_needs_context(&frame[0])) {
		ps_desc_context(&d, &frame[0]);
		ps_mem_write_desc(q->port, q->mem, tx_desc(q, q->tx_next), &d);
		q->tx_buf[q->tx_next++ & mask] = PS_NOTHING;
	}
	for (i = 0; i < n; i++) {
		ps_desc_send(&d, &frame[0], &frame[i],
			     lend_to_sender(q, &frame[i]), bytes);
		ps_mem_write_desc(q->port, q->mem, tx_desc(q, q->tx_next), &d);
		q->tx_buf[q->tx_next++ & mask] =
			frame[i].flags & PS_F_REGION ?
			PS_OF_REGION | frame[i].hash : frame[i].buf;
	}
	q->tx_last[first & mask] = q->tx_next - 1;
}

/* A frame for the kernel: copied, its buffers come back at once. */
static void slow_path(struct ps_queue *q, const struct ps_slot *frame, int n)
{
	int i;

	if (ps_netdev_receive(q->port, q->mem, frame, n, 0) == 0)
		q->mem->head->slow_frames++;
	for (i = 0; i < n; i++) {
		ps_give(&q->owners, frame[i].buf, PS_SENDER);
		give_done(q, i, frame[i].buf, 0);
	}
	ps_ring_submit(&q->ring[PS_RING_DONE], n);
}

static bool room_to_send(const struct ps_queue *q)
{
	return q->tx_next - q->tx_clean + PS_FRAGS_MAX + 2 <= q->tx_slots &&
	       ps_ring_space(&q->ring[PS_RING_DONE]) >= PS_FRAGS_MAX;
}

/* tx -> hardware.  Slots moved, or -EPROTO. */
static int send(struct ps_queue *q)
{
	struct ps_ring *r = &q->ring[PS_RING_TX];
	struct ps_slot *frame = q->frame;
	u32 before = q->tx_next;
	u32 most = min_t(u32, READ_ONCE(q->port->netdev->mtu) + VLAN_ETH_HLEN,
			 PS_FRAME_MAX);
	int moved = 0, waiting = ps_ring_peek(r), n;

	if (waiting < 0)
		return -EPROTO;
	while (moved < PS_CHUNK_MAX && room_to_send(q)) {
		n = ps_frame_copy(r, waiting - moved, most, frame);
		if (n == 0)
			break;
		if (n < 0) {
			n = -n;
			reject(q, frame, n);
		} else if (take_frame(q, frame, n) < 0) {
			reject(q, frame, n);
		} else if (frame[0].flags & PS_F_SLOW) {
			slow_path(q, frame, n);
		} else {
			post_frame(q, frame, n);
		}
		ps_ring_release(r, n);
		moved += n;
	}
	if (q->tx_next != before) {
		wmb();	/* descriptors before the tail that shows them */
		ps_wr(q->port, TDT(q->index), q->tx_next & (q->tx_slots - 1));
	}
	return moved;
}

static void read_counters(struct ps_queue *q)
{
	struct ps_head *h = q->mem->head;

	u32 dropped = ps_rd(q->port, QPRDC(q->index));

	if (dropped == ~0u)
		ps_life_ask_reset(q->port, "registers read all ones");
	else
		h->rx_dropped += dropped;
	h->wakeups = atomic_long_read(&q->wakeups);
	h->link_mbps = READ_ONCE(q->port->link_mbps);
	h->module = READ_ONCE(q->port->module);
}

/* 0, or why this queue moves nothing any more. */
int ps_queue_usable(const struct ps_queue *q)
{
	if (q->port->gone || q->lost)
		return -ENODEV;
	if (!q->attached || !q->running)
		return -ENXIO;
	return q->broken ? -EPROTO : 0;
}

/* -EPROTO: the user broke the contract, which stops his queue. */
static int move_all(struct ps_queue *q, struct ps_sync *s)
{
	int tx = reclaim(q) < 0 ? -EPROTO : send(q);
	int rx = tx < 0 || refill(q) < 0 ? -EPROTO : harvest(q);

	if (rx < 0) {
		q->broken = true;
		q->mem->head->state = PS_STATE_ERROR;
		return rx;
	}
	s->rx = rx;
	s->tx = tx;
	read_counters(q);
	return 0;
}

int ps_queue_sync(struct ps_queue *q, struct ps_sync *s)
{
	int r;

	if (mutex_lock_interruptible(&q->lock))
		return -EINTR;
	r = ps_queue_usable(q);
	if (r == 0)
		r = move_all(q, s);
	mutex_unlock(&q->lock);
	return r;
}

static __poll_t look(struct ps_queue *q)
{
	struct ps_sync s = { 0 };
	__poll_t m = 0;

	if (move_all(q, &s) < 0)
		return EPOLLERR;
	/* not read by the user yet: its head behind our tail */
	if (ps_ring_space(&q->ring[PS_RING_RX]) <=
	    (int)q->ring[PS_RING_RX].mask)
		m |= EPOLLIN | EPOLLRDNORM;
	if (room_to_send(q))
		m |= EPOLLOUT | EPOLLWRNORM;
	return m;
}

/*
 * The more frames an interrupt found, the further the next one is put off:
 * one frame is taken at once, a stream in portions.
 */
static void adapt_throttle(struct ps_queue *q)
{
	u64 n = q->frames_in - q->frames_armed;
	unsigned int us = n >= 64 ? 40 : n >= 8 ? 16 : 4;

	q->frames_armed = q->frames_in;
	if (n == 0 || us == q->throttle_us)
		return;
	q->throttle_us = us;
	ps_hw_throttle(q->port, q->index, us);
}

/*
 * What poll() says.  With @arm, a queue that has nothing gets its interrupt
 * armed and is looked at once more: a frame between look and arm is either
 * seen by the second look or raises the interrupt.
 */
__poll_t ps_queue_ready(struct ps_queue *q, bool arm)
{
	__poll_t m;
	int r;

	mutex_lock(&q->lock);
	r = ps_queue_usable(q);
	if (r == -ENODEV) {
		m = EPOLLERR | EPOLLHUP;
	} else if (r < 0) {
		m = EPOLLERR;
	} else {
		m = look(q);
		if (arm && !(m & EPOLLIN)) {
			adapt_throttle(q);
			ps_hw_arm(q->port, q->index);
			m = look(q);
		}
	}
	mutex_unlock(&q->lock);
	return m;
}

static int check_attach(const struct ps_attach *a)
{
	if (!is_power_of_2(a->rx_slots) || !is_power_of_2(a->tx_slots) ||
	    a->rx_slots < PS_SLOTS_MIN || a->rx_slots > PS_SLOTS_MAX ||
	    a->tx_slots < PS_SLOTS_MIN || a->tx_slots > PS_SLOTS_MAX ||
	    a->extra > PS_EXTRA_MAX ||
	    a->flags & ~(PS_ATTACH_PROMISC | PS_ATTACH_VLAN))
		return -EINVAL;
	return 0;
}

static void plan_memory(struct ps_attach *a)
{
	a->buffers = a->rx_slots + a->tx_slots + a->extra;
	a->ring_slots = roundup_pow_of_two(a->buffers + PS_FRAGS_MAX);
	a->slots_offset = PAGE_ALIGN(sizeof(struct ps_head));
	a->head_bytes = PAGE_ALIGN(a->slots_offset + PS_RINGS * a->ring_slots *
				   sizeof(struct ps_slot));
}

/* What there is of it is freed by ps_queue_detach(). */
static int alloc_memory(struct ps_queue *q, const struct ps_attach *a)
{
	q->rx_slots = a->rx_slots;
	q->tx_slots = a->tx_slots;
	q->rx_buf = kvcalloc(q->rx_slots + 2 * q->tx_slots, sizeof(u32), PS_GFP);
	q->owners.owner = kvcalloc(a->buffers, 1, PS_GFP);
	q->owners.count = a->buffers;
	if (!q->rx_buf || !q->owners.owner)
		return -ENOMEM;
	q->tx_buf = q->rx_buf + q->rx_slots;
	q->tx_last = q->tx_buf + q->tx_slots;
	q->mem = ps_mem_new(q->port, a->head_bytes, a->buffers, a->rx_slots,
			    a->tx_slots);
	return q->mem ? 0 : -ENOMEM;
}

static void lay_out(struct ps_queue *q, const struct ps_attach *a)
{
	struct ps_head *h = q->mem->head;
	struct ps_slot *slots = (void *)h + a->slots_offset;
	int i;

	h->version = PS_UAPI_VERSION;
	h->state = PS_STATE_UP;
	for (i = 0; i < PS_RINGS; i++) {
		q->ring[i] = (struct ps_ring){
			.shared = &h->ring[i],
			.slots = slots + (size_t)i * a->ring_slots,
			.mask = a->ring_slots - 1,
		};
	}
	q->rx_next = 0;
	q->rx_fill = 0;
	q->tx_clean = 0;
	q->tx_next = 0;
	q->broken = false;
	q->lost = false;
	q->tx_stuck = 0;
	q->throttle_us = 0;
	q->frames_armed = q->frames_in;
	atomic_long_set(&q->wakeups, 0);
}

static int start_hardware(struct ps_queue *q)
{
	u32 i;
	int r;

	q->running = true;	/* half a queue is stopped as a whole */
	r = q->index == 0 ? ps_idle_stop(q->port) : 0;
	if (r == 0)
		r = ps_hw_rx_enable(q->port, q->index, q->mem, q->rx_slots,
				    q->strip_vlan);
	if (r == 0)
		r = ps_hw_tx_enable(q->port, q->index, q->mem, q->tx_slots);
	if (r < 0)
		return r;
	for (i = 0; i < q->rx_slots - 1; i++) {
		ps_take(&q->owners, i, PS_RECEIVER);
		lend_to_receiver(q, i);
	}
	publish_receiver(q);
	ps_hw_rss(q->port);
	return 0;
}

int ps_queue_attach(struct ps_queue *q, struct ps_attach *a)
{
	int r = check_attach(a);

	if (r < 0)
		return r;
	if (q->port->down)
		return -ENETDOWN;
	if (q->attached)
		return -EBUSY;
	plan_memory(a);
	mutex_lock(&q->lock);
	r = alloc_memory(q, a);
	if (r == 0) {
		lay_out(q, a);
		q->promisc = a->flags & PS_ATTACH_PROMISC;
		q->strip_vlan = a->flags & PS_ATTACH_VLAN;
		q->attached = true;
		r = start_hardware(q);
	}
	mutex_unlock(&q->lock);
	if (r < 0) {
		ps_queue_stop(q);
		ps_queue_detach(q);
	}
	return r;
}

/*
 * Ends DMA, then takes the memory off the bus.  If the chip does not confirm
 * that it has stopped, the whole chip is stopped; if that fails too, the
 * memory is never given back, which is a leak and not a corruption.
 */
void ps_queue_stop(struct ps_queue *q)
{
	struct ps_port *p = q->port;
	int stopped;

	mutex_lock(&q->lock);
	if (!q->running)
		goto out;
	q->running = false;
	ps_hw_rss(p);
	stopped = ps_hw_queue_disable(q);
	if (stopped < 0)
		ps_life_ask_reset(p, "a queue does not stop");
	if (stopped < 0 && ps_hw_stop(p) < 0) {
		dev_err(&p->pdev->dev,
			"queue %u does not stop: its memory is given up\n",
			q->index);
		q->mem->mapped = false;
		q->mem = NULL;
		goto out;
	}
	ps_mem_unmap(p, q->mem);
	if (stopped == 0 && q->index == 0 && !p->down && !p->gone &&
	    ps_idle_start(p) < 0)
		dev_err(&p->pdev->dev, "the kernel receives nothing\n");
out:
	mutex_unlock(&q->lock);
}

void ps_queue_end(struct ps_queue *q, u32 state)
{
	ps_queue_stop(q);
	mutex_lock(&q->lock);
	q->lost = state == PS_STATE_GONE;
	if (q->mem)
		q->mem->head->state = state;
	mutex_unlock(&q->lock);
}

/* Frames that do not leave although link and peer let them: TDH stands. */
static bool hangs(struct ps_queue *q)
{
	u32 was = q->tx_head;

	q->tx_head = ps_rd(q->port, TDH(q->index));
	if (!q->port->link_mbps || q->port->paused || q->tx_head != was ||
	    q->tx_head == (q->tx_next & (q->tx_slots - 1)))
		q->tx_stuck = 0;
	else
		q->tx_stuck++;
	return q->tx_stuck >= 2;
}

/* Does a frame wait that waited a second ago, and somebody sleep over it? */
static bool is_late(struct ps_queue *q)
{
	bool waits = wq_has_sleeper(&q->wait) && receive_waits(q);
	bool late = waits && q->nudge && q->nudge_next == q->rx_next;

	q->nudge = waits;
	q->nudge_next = q->rx_next;
	q->late += late;
	return late;
}

/* A hang is reported; whoever slept although a frame came is woken. */
void ps_queue_service(struct ps_queue *q)
{
	bool late = false;

	mutex_lock(&q->lock);
	if (q->running) {
		late = is_late(q);
		if (hangs(q))
			ps_life_ask_reset(q->port, "transmit hang");
	}
	mutex_unlock(&q->lock);
	if (late)
		wake_up_interruptible_poll(&q->wait, EPOLLIN | EPOLLRDNORM);
}

/* The file lets go: after ps_queue_stop(), or after the device has gone. */
void ps_queue_detach(struct ps_queue *q)
{
	mutex_lock(&q->lock);
	ps_mem_free(q->mem);
	q->mem = NULL;
	kvfree(q->owners.owner);
	kvfree(q->rx_buf);
	q->owners.owner = NULL;
	q->rx_buf = NULL;
	q->attached = false;
	mutex_unlock(&q->lock);
}
