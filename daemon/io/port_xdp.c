/*
 * port_xdp.c - AF_XDP sockets on any network device
 *
 *	device:   rx queue 0   rx queue 1   rx queue 2      (3 of them)
 *	              |            |            |
 *	sockets:    xsk 0        xsk 1        xsk 2         one a device queue
 *	              |            |            |
 *	engines:   queue 0      queue 1      queue 0        2 engines: d mod 2
 *
 *	device:   rx queue 0              with more engines than device queues:
 *	              |                   queue 1 receives nothing here and sends
 *	            xsk 0                 through queue 0: its frames go over a
 *	              |                   ring (to_owner) and come back over
 *	engines:   queue 0 <== queue 1    another (back) when they are sent
 *
 * Theory of operation.  One memory area (UMEM) of 4 KiB chunks serves all
 * sockets; every queue owns an equal run of chunks.  A chunk is in exactly one
 * place: its queue's free list, a fill ring of its queue (the kernel will
 * receive into it), with the engine, on a tx ring until its completion is
 * reaped, or on a hand-over ring.  Chunks of one queue never enter another
 * queue's fill ring, so every free list has one user.  Struct frame number i
 * describes chunk i.
 *
 * System calls  None to receive.  One sendto() a flush where the kernel asks
 *           for it (need-wakeup; always in copy mode, whose sendto() does the
 *           sending, bounded by its own budget, hence the loop in kick()).
 * Checksums AF_XDP brings and takes none: software, both ways.
 * VLAN      Tags stay in the frame, as far as the device leaves them there; a
 *           device that strips them (rxvlan offload, or a veth peer with
 *           txvlan offload) hides them from XDP: switch that off with ethtool.
 * Sizes     Up to an MTU of XDP_MTU_MAX a frame lives in one chunk; above it
 *           frames may take several (xdp_jumbo.c), where the kernel can.  A
 *           device whose MTU is larger than ours may bring frames that need
 *           more than a chunk: the kernel drops them, we count rx_dropped.
 * Threads   A socket belongs to the engine of its queue.  Hand-over rings have
 *           one producer and one consumer.
 */
#include <errno.h>
#include <linux/if_xdp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/drivers.h"
#include "io/port_xdp.h"

#define KICKS		64		/* sendto() a flush at most */
#define STATS_EVERY_US	1000000u

/* ---- hand-over rings ---- */

static bool handover_put(struct handover *h, struct frame *f)
{
	uint32_t tail = atomic_load_explicit(&h->tail, memory_order_relaxed);

	/* Pairs with the release in handover_get(): the slot is free. */
	if (tail - atomic_load_explicit(&h->head, memory_order_acquire) > h->mask)
		return false;
	h->slot[tail & h->mask] = f;
	/* Pairs with the acquire in handover_get(): the frame is written. */
	atomic_store_explicit(&h->tail, tail + 1, memory_order_release);
	return true;
}

static struct frame *handover_get(struct handover *h)
{
	uint32_t head = atomic_load_explicit(&h->head, memory_order_relaxed);
	struct frame *f;

	if (head == atomic_load_explicit(&h->tail, memory_order_acquire))
		return NULL;
	f = h->slot[head & h->mask];
	atomic_store_explicit(&h->head, head + 1, memory_order_release);
	return f;
}

static bool handover_waiting(struct handover *h)
{
	return atomic_load_explicit(&h->tail, memory_order_acquire) !=
	       atomic_load_explicit(&h->head, memory_order_relaxed);
}

/* ---- chunks ---- */

static uint32_t chunk_of(const struct xdp_port *p, const struct frame *f)
{
	return (uint32_t)(f - p->frames);
}

static void put(struct xdp_queue *q, struct frame *f)
{
	if (f->token & XDP_TOKEN_JUMBO)
		xdp_jumbo_put(q, f);
	else
		xdp_chunk_put(q, f);
}

void xdp_home(struct xdp_queue *q, struct frame *f)
{
	struct xdp_port *p = q->p;
	uint32_t index = f->token & XDP_TOKEN_JUMBO ?
			 xdp_jumbo_home(p, f) : chunk_of(p, f) / p->per_queue;

	if (index == q->q.index)
		put(q, f);
	else	/* back holds all frames of its queue: never full */
		handover_put(&xq(p->port.queues[index])->back, f);
}

static void collect_back(struct xdp_queue *q)
{
	struct frame *f;

	while (q->owner && (f = handover_get(&q->back)))
		put(q, f);
}

static void reap(struct xdp_queue *q, struct xsk *x)
{
	uint32_t at, n;

	if (!x->flying)
		return;
	n = xsk_ring_cons__peek(&x->comp, XDP_RING, &at);
	for (uint32_t i = 0; i < n; i++) {
		uint64_t addr = *xsk_ring_cons__comp_addr(&x->comp, at + i);

		xdp_home(q, &q->p->frames[addr >> XDP_CHUNK_SHIFT]);
	}
	if (n)
		xsk_ring_cons__release(&x->comp, n);
	x->flying -= n;
}

void xdp_refill(struct xdp_queue *q, struct xsk *x)
{
	uint32_t at, n = x->unfilled;

	if (n > q->free_count)
		n = q->free_count;
	/* In batches: the producer index is the kernel's cache line. */
	if (n < PORT_BURST || xsk_ring_prod__reserve(&x->fill, n, &at) != n)
		return;
	for (uint32_t i = 0; i < n; i++)
		*xsk_ring_prod__fill_addr(&x->fill, at + i) =
			(uint64_t)chunk_of(q->p, xdp_chunk_get(q)) << XDP_CHUNK_SHIFT;
	xsk_ring_prod__submit(&x->fill, n);
	x->unfilled -= n;
}

static struct frame *fresh(struct xdp_queue *q)
{
	struct xdp_port *p = q->p;
	struct frame *f;
	uint32_t chunk;

	if (p->jumbo)
		return xdp_jumbo_get(q);
	f = xdp_chunk_get(q);
	if (!f)
		return NULL;
	chunk = chunk_of(p, f);
	*f = (struct frame){
		.data = p->memory + ((size_t)chunk << XDP_CHUNK_SHIFT) +
			FRAME_HEADROOM,
		.room = XDP_CHUNK - FRAME_HEADROOM,
		.port = p->port.id,
		.queue = (uint8_t)q->q.index,
		.token = chunk,
	};
	return f;
}

static int xdp_alloc(struct port_queue *pq, struct frame **f, int count)
{
	struct xdp_queue *q = xq(pq);
	int n = 0;

	if (q->free_count < (uint32_t)count || (q->p->jumbo && q->owner)) {
		collect_back(q);
		for (uint32_t i = 0; i < q->xsk_count; i++)
			reap(q, &q->xsks[i]);
	}
	while (n < count && (f[n] = fresh(q)))
		n++;
	if (n < count)
		counter_add(&pq->stats.no_frame, 1);
	return n;
}

static void xdp_free(struct port_queue *pq, struct frame **f, int count)
{
	for (int i = 0; i < count; i++)
		put(xq(pq), f[i]);
}

/* ---- sending ---- */

/* True when the kernel has taken all that it will ever take of it. */
static bool kick(struct xdp_queue *q, struct xsk *x)
{
	/* Copy mode sends a budget's worth a call and says EAGAIN for more. */
	for (int i = 0; i < KICKS; i++) {
		counter_add(&q->q.stats.syscalls, 1);
		if (sendto(x->fd, NULL, 0, MSG_DONTWAIT, NULL, 0) >= 0 ||
		    errno != EAGAIN)
			return true;
	}
	return false;
}

/* Frames onto a tx ring; returns how many fitted. */
static int submit(struct xdp_queue *q, struct xsk *x, struct frame **f,
		  int count)
{
	struct xdp_port *p = q->p;
	uint32_t at, n = xsk_prod_nb_free(&x->tx, (uint32_t)count);
	const uint32_t room = XDP_RING - x->flying; /* completions fit, too */

	if (p->jumbo)
		return xdp_jumbo_submit(q, x, f, count);
	if (n > (uint32_t)count)
		n = (uint32_t)count;
	if (n > room)
		n = room;
	if (!n || xsk_ring_prod__reserve(&x->tx, n, &at) != n)
		return 0;
	for (uint32_t i = 0; i < n; i++)
		*xsk_ring_prod__tx_desc(&x->tx, at + i) = (struct xdp_desc){
			.addr = (uint64_t)(f[i]->data - p->memory),
			.len = f[i]->len,
		};
	xsk_ring_prod__submit(&x->tx, n);
	x->flying += n;
	x->kick = true;
	return (int)n;
}

static void drop(struct xdp_queue *q, struct frame *f)
{
	counter_add(&q->q.stats.tx_dropped, 1);
	xdp_home(q, f);
}

static void count_tx(struct xdp_queue *q, struct frame **f, int count)
{
	uint64_t bytes = 0;

	for (int i = 0; i < count; i++)
		bytes += f[i]->len;
	counter_add(&q->q.stats.tx_frames, (uint64_t)count);
	counter_add(&q->q.stats.tx_bytes, bytes);
}

static void send_own(struct xdp_queue *q, struct frame **f, int count)
{
	struct xsk *x = &q->xsks[0];
	int n;

	reap(q, x);
	n = submit(q, x, f, count);
	if (n < count) {	/* full: push once, then give up */
		kick(q, x);
		reap(q, x);
		n += submit(q, x, f + n, count - n);
	}
	count_tx(q, f, n);
	for (int i = n; i < count; i++)
		drop(q, f[i]);
}

static void send_through_owner(struct xdp_queue *q, struct frame **f, int count)
{
	int n = 0;

	collect_back(q);
	/* Count first: a frame handed over is not ours to read. */
	for (; n < count; n++) {
		uint32_t len = f[n]->len;

		if (!handover_put(&q->to_owner, f[n]))
			break;
		counter_add(&q->q.stats.tx_frames, 1);
		counter_add(&q->q.stats.tx_bytes, len);
	}
	q->handed |= n > 0;
	for (int i = n; i < count; i++)
		drop(q, f[i]);
}

/* Splits off what no device takes; returns how many of @f remain. */
static int drop_unsendable(struct xdp_queue *q, struct frame **f, int count)
{
	int kept = 0;

	for (int i = 0; i < count; i++) {
		if (f[i]->len < 14 || f[i]->len > q->p->port.mtu + XDP_ETH_BYTES)
			drop(q, f[i]);
		else
			f[kept++] = f[i];
	}
	return kept;
}

static void xdp_tx(struct port_queue *pq, struct frame **f, int count,
		   mono_t now)
{
	struct xdp_queue *q = xq(pq);

	(void)now;
	count = drop_unsendable(q, f, count);
	if (!count)
		return;
	if (q->owner)
		send_through_owner(q, f, count);
	else
		send_own(q, f, count);
}

static void ring_owner(struct xdp_queue *q)
{
	const uint64_t one = 1;

	q->handed = false;
	if (!wake_needed(q->owner->bell))
		return;
	counter_add(&q->q.stats.syscalls, 1);
	/* The count saturates long after the owner has woken. */
	if (write(q->owner->bell_fd, &one, sizeof(one)) < 0)
		wake_prepare(q->owner->bell);
}

/* Asks the kernel to send.  What it does not take now stays due: it keeps us
 * awake, and the next turn asks again. */
static void push(struct xdp_queue *q)
{
	for (uint32_t i = 0; i < q->xsk_count; i++) {
		struct xsk *x = &q->xsks[i];

		if (x->kick)
			x->kick = xsk_ring_prod__needs_wakeup(&x->tx) &&
				  !kick(q, x);
	}
}

static void xdp_flush(struct port_queue *pq, mono_t now)
{
	struct xdp_queue *q = xq(pq);

	(void)now;
	push(q);
	if (q->handed)
		ring_owner(q);
}

/* Sends what clients have handed over; their drops are counted as ours. */
static void serve_clients(struct xdp_queue *q)
{
	struct frame *f[PORT_BURST];
	struct xsk *x = &q->xsks[0];

	for (uint32_t c = 0; c < q->client_count; c++) {
		struct handover *h = &q->clients[c]->to_owner;
		int n = 0, sent;

		while (n < PORT_BURST && (f[n] = handover_get(h)))
			n++;
		if (!n)
			continue;
		reap(q, x);
		sent = submit(q, x, f, n);
		for (int i = sent; i < n; i++)
			drop(q, f[i]);
	}
}

/* ---- receiving ---- */

struct frame *xdp_in_place(struct xdp_queue *q, const struct xdp_desc *d)
{
	struct xdp_port *p = q->p;
	uint32_t chunk = (uint32_t)(d->addr >> XDP_CHUNK_SHIFT);
	struct frame *f = &p->frames[chunk];

	*f = (struct frame){
		.data = p->memory + d->addr,
		.len = d->len,
		.room = XDP_CHUNK - (uint32_t)(d->addr & (XDP_CHUNK - 1)),
		.port = p->port.id,
		.queue = (uint8_t)q->q.index,
		.token = chunk,
	};
	__builtin_prefetch(f->data);
	return f;
}

static int take(struct xdp_queue *q, struct xsk *x, struct frame **out, int max)
{
	uint32_t at, n;
	uint64_t bytes = 0;

	if (q->p->jumbo)
		return xdp_jumbo_take(q, x, out, max);
	n = xsk_ring_cons__peek(&x->rx, (uint32_t)max, &at);
	for (uint32_t i = 0; i < n; i++) {
		out[i] = xdp_in_place(q, xsk_ring_cons__rx_desc(&x->rx, at + i));
		bytes += out[i]->len;
	}
	if (!n)
		return 0;
	xsk_ring_cons__release(&x->rx, n);
	x->unfilled += n;
	counter_add(&q->q.stats.rx_frames, n);
	counter_add(&q->q.stats.rx_bytes, bytes);
	return (int)n;
}

static void ask_device(struct xdp_queue *q, struct xsk *x)
{
	struct xdp_statistics st = { 0 };
	socklen_t len = sizeof(st);
	uint64_t sum;

	counter_add(&q->q.stats.syscalls, 1);
	if (getsockopt(x->fd, SOL_XDP, XDP_STATISTICS, &st, &len))
		return;
	sum = st.rx_dropped + st.rx_ring_full + st.rx_fill_ring_empty_descs;
	counter_add(&q->q.stats.rx_dropped, sum - x->dropped_seen);
	x->dropped_seen = sum;
}

static void drop_statistics(struct xdp_queue *q, mono_t now)
{
	if (now.us < q->stats_due_us)
		return;
	q->stats_due_us = now.us + STATS_EVERY_US;
	for (uint32_t i = 0; i < q->xsk_count; i++)
		ask_device(q, &q->xsks[i]);
}

static void disarm(struct xdp_queue *q)
{
	uint64_t count;

	q->armed = false;
	if (!q->client_count)
		return;
	wake_cancel(q->bell);
	counter_add(&q->q.stats.syscalls, 1);
	if (read(q->bell_fd, &count, sizeof(count)) < 0)
		return;		/* nobody rang */
}

/* A driver out of chunks sleeps until it is kicked (need-wakeup). */
static void wake_device(struct xdp_queue *q, struct xsk *x)
{
	if (!xsk_ring_prod__needs_wakeup(&x->fill))
		return;
	counter_add(&q->q.stats.syscalls, 1);
	recvfrom(x->fd, NULL, 0, MSG_DONTWAIT, NULL, NULL);
}

static int xdp_rx(struct port_queue *pq, struct frame **f, int max, mono_t now)
{
	struct xdp_queue *q = xq(pq);
	int n = 0;

	if (q->armed)
		disarm(q);
	if (q->client_count)
		serve_clients(q);
	push(q);	/* theirs: the engine flushes only after its own */
	for (uint32_t i = 0; i < q->xsk_count && n < max; i++) {
		struct xsk *x = &q->xsks[i];
		int got = take(q, x, f + n, max - n);

		xdp_refill(q, x);
		if (!got)
			wake_device(q, x);
		n += got;
	}
	if (q->q.index == 0)
		n += xdp_heard_take(q->p, f + n, max - n);
	drop_statistics(q, now);
	return n;
}

static bool work_waits(struct xdp_queue *q)
{
	for (uint32_t i = 0; i < q->xsk_count; i++)
		if (q->xsks[i].kick || xsk_cons_nb_avail(&q->xsks[i].rx, 1))
			return true;
	for (uint32_t c = 0; c < q->client_count; c++)
		if (handover_waiting(&q->clients[c]->to_owner))
			return true;
	return false;
}

static int xdp_arm(struct port_queue *pq, int *fds, int max)
{
	struct xdp_queue *q = xq(pq);
	int n = 0;

	q->armed = true;
	if (q->client_count)
		wake_prepare(q->bell);
	if (work_waits(q)) {
		if (q->client_count)
			wake_cancel(q->bell);
		return -EAGAIN;
	}
	/* poll() itself asks a driver in need of it for wake-ups. */
	for (uint32_t i = 0; i < q->xsk_count && n < max; i++)
		fds[n++] = q->xsks[i].fd;
	if (q->client_count && n < max)
		fds[n++] = q->bell_fd;
	if (q->q.index == 0 && n < max)
		fds[n++] = xdp_heard_fd(q->p);
	return n;
}

static mono_t xdp_next_due(struct port_queue *pq)
{
	(void)pq;
	return MONO_NEVER;
}
/* ---- the rest ---- */

static int xdp_set_addrs(struct port *port, const struct ip_addr *addrs,
			 unsigned int count)
{
	return xdp_prog_set_addrs(&((struct xdp_port *)port)->prog, addrs,
				  count);
}

static void xdp_set_tcp_port(struct port *port, uint16_t number, bool ours)
{
	xdp_prog_set_port(&((struct xdp_port *)port)->prog, number, ours);
}

static uint64_t xdp_heard_lost(struct port *port)
{
	return atomic_load_explicit(((struct xdp_port *)port)->prog.lost,
				    memory_order_relaxed);
}

static bool xdp_link_up(struct port *port)
{
	return xdp_device_up(((struct xdp_port *)port)->dev.name);
}

const struct port_ops port_xdp_ops = {
	.driver = "xdp",
	.open = xdp_open,
	.close = xdp_close,
	.rx = xdp_rx,
	.alloc = xdp_alloc,
	.free = xdp_free,
	.tx = xdp_tx,
	.flush = xdp_flush,
	.arm = xdp_arm,
	.next_due = xdp_next_due,
	.set_addrs = xdp_set_addrs,
	.set_tcp_port = xdp_set_tcp_port,
	.heard_lost = xdp_heard_lost,
	.link_up = xdp_link_up,
};
