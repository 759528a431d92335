/*
 * port_wire.c - the virtual-time cable (port_wire.h)
 *
 * Theory of operation.  One set of buffers serves both ends, so a frame
 * crosses the cable by pointer.  Each receiving queue keeps what is on its way
 * in a binary heap ordered by (due time, order of sending): equal times keep
 * their order.  All randomness comes from one splitmix64 stream, drawn only
 * where an impairment is switched on.
 */
#include "base/line.h"
#include "port_wire.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "io/finish.h"
#include "shm/rss.h"

#define WIRE_FRAMES	4096	/* default */
#define ETH_BYTES	18	/* Ethernet header with one 802.1Q tag */
#define NS_A_SECOND	1000000000ull

struct flight {
	uint64_t due_us;
	uint64_t order;
	struct frame *f;
};

struct wire_queue {
	struct port_queue q;	/* first: queues are cast */
	struct wire *w;
	struct flight *heap;
	uint32_t count;
	int end;
};

struct wire_side {		/* what belongs to one end */
	struct port port;
	struct wire_impair im;	/* of what it sends */
	struct wire_stats stats;
	uint64_t busy_ns;	/* its cable is serializing until then */
	uint64_t last_due_us;	/* jitter never overtakes this */
	uint32_t held;
	bool bad;		/* Gilbert state */
};

struct wire {
	struct wire_config cfg;
	struct wire_side side[2];
	struct frame *frames;
	uint8_t *memory;
	uint32_t frame_bytes;
	struct frame *free;
	uint32_t in_flight;
	uint64_t order;
	uint64_t rng;
};

static struct wire_queue *wq(struct port_queue *q)
{
	return (struct wire_queue *)q;
}

/* Vigna's splitmix64. */
static uint64_t draw(struct wire *w)
{
	uint64_t z = w->rng += 0x9e3779b97f4a7c15ull;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

static bool chance(struct wire *w, uint32_t ppm)
{
	return ppm && draw(w) % WIRE_PPM < ppm;
}

/* ---- the heap of frames on their way ---- */

static bool sooner(const struct flight *a, const struct flight *b)
{
	return a->due_us != b->due_us ? a->due_us < b->due_us
				      : a->order < b->order;
}

static void heap_push(struct wire_queue *q, struct flight fl)
{
	uint32_t i = q->count++;

	while (i && sooner(&fl, &q->heap[(i - 1) / 2])) {
		q->heap[i] = q->heap[(i - 1) / 2];
		i = (i - 1) / 2;
	}
	q->heap[i] = fl;
}

static struct frame *heap_pop(struct wire_queue *q)
{
	struct frame *top = q->heap[0].f;
	struct flight last = q->heap[--q->count];
	uint32_t i = 0, child;

	while ((child = 2 * i + 1) < q->count) {
		if (child + 1 < q->count &&
		    sooner(&q->heap[child + 1], &q->heap[child]))
			child++;
		if (!sooner(&q->heap[child], &last))
			break;
		q->heap[i] = q->heap[child];
		i = child;
	}
	q->heap[i] = last;
	return top;
}

/* ---- buffers ---- */

static struct frame *frame_get(struct wire *w)
{
	struct frame *f = w->free;
	uint32_t index;

	if (!f)
		return NULL;
	w->free = f->next;
	index = (uint32_t)(f - w->frames);
	*f = (struct frame){
		.data = w->memory + (size_t)index * w->frame_bytes +
			FRAME_HEADROOM,
		.room = w->frame_bytes - FRAME_HEADROOM,
		.token = index,
	};
	return f;
}

static void frame_put(struct wire *w, struct frame *f)
{
	f->next = w->free;
	w->free = f;
}

static int wire_alloc(struct port_queue *pq, struct frame **f, int count)
{
	struct wire_queue *q = wq(pq);
	struct wire *w = q->w;
	int n;

	for (n = 0; n < count; n++) {
		f[n] = frame_get(w);
		if (!f[n])
			break;
		f[n]->port = pq->port->id;
		f[n]->queue = (uint8_t)pq->index;
		w->side[q->end].held++;
	}
	if (n < count)
		counter_add(&pq->stats.no_frame, 1);
	return n;
}

static void wire_free(struct port_queue *pq, struct frame **f, int count)
{
	struct wire_queue *q = wq(pq);

	for (int i = 0; i < count; i++)
		frame_put(q->w, f[i]);
	q->w->side[q->end].held -= (uint32_t)count;
}

/* ---- sending ---- */

static bool gilbert_loses(struct wire *w, struct wire_side *s)
{
	if (!s->im.burst_enter_ppm)
		return false;
	if (chance(w, s->bad ? s->im.burst_leave_ppm : s->im.burst_enter_ppm))
		s->bad = !s->bad;
	return s->bad;
}

/* When the last bit of @len bytes leaves, or 0: the queue is full. */
static uint64_t serialize(struct wire_side *s, uint32_t len, mono_t now)
{
	const uint64_t now_ns = now.us * 1000;
	uint64_t waiting;

	if (!s->im.rate_bps)
		return now.us;
	if (s->busy_ns < now_ns)
		s->busy_ns = now_ns;
	/* Exact enough, and no overflow below 584 years of backlog. */
	waiting = (uint64_t)((double)(s->busy_ns - now_ns) *
			     (double)s->im.rate_bps / 8e9);
	if (s->im.queue_bytes && waiting + len > s->im.queue_bytes)
		return 0;
	s->busy_ns += (uint64_t)len * 8 * NS_A_SECOND / s->im.rate_bps;
	return (s->busy_ns + 999) / 1000;
}

static uint64_t propagate(struct wire *w, struct wire_side *s, uint64_t sent_us)
{
	uint64_t due = sent_us + s->im.delay_us;

	if (s->im.jitter_us)
		due += draw(w) % (s->im.jitter_us + 1ull);
	if (due < s->last_due_us)
		due = s->last_due_us;
	s->last_due_us = due;
	if (chance(w, s->im.reorder_ppm)) {
		s->stats.reordered++;
		due += s->im.reorder_us;
	}
	return due;
}

static void launch(struct wire *w, int from, struct frame *f, uint64_t due_us)
{
	struct port *to = &w->side[!from].port;
	uint32_t queue = 0;

	if (w->cfg.steer)
		queue = w->cfg.steer(w->cfg.steer_arg, f) % to->queue_count;
	f->port = to->id;
	f->queue = (uint8_t)queue;
	f->gso_size = 0;
	f->next = NULL;
	w->in_flight++;
	w->side[from].stats.delivered++;
	heap_push(wq(to->queues[queue]), (struct flight){
		.due_us = due_us, .order = w->order++, .f = f });
}

static void duplicate(struct wire *w, int from, const struct frame *f,
		      uint64_t due_us)
{
	struct frame *copy = frame_get(w);

	if (!copy)
		return;
	memcpy(copy->data, f->data, f->len);
	copy->len = f->len;
	copy->flags = f->flags;
	w->side[from].stats.duplicated++;
	launch(w, from, copy, due_us);
}

/* Sums and damage; FRAME_CSUM_OK as the receiver may see it. */
static void pass_through(struct wire *w, struct wire_side *s, struct frame *f)
{
	const bool corrupt = f->len && chance(w, s->im.corrupt_ppm);
	const bool vouch = (w->cfg.caps & PORT_RX_CSUM) && !corrupt;

	if ((f->flags & FRAME_CSUM_PARTIAL) && !vouch)
		finish_csum(f);
	if (corrupt) {
		f->data[draw(w) % f->len] ^= (uint8_t)(1 + draw(w) % 255);
		s->stats.corrupted++;
	}
	f->flags = vouch ? FRAME_CSUM_OK : 0;
}

static bool too_long(const struct wire *w, const struct frame *f)
{
	if ((w->cfg.caps & PORT_TSO) && f->gso_size)
		return f->len > WIRE_TSO_MAX + ETH_BYTES;
	return f->len > w->cfg.mtu + ETH_BYTES;
}

/* Sends @f on its way; false when it is lost (and still the caller's). */
static bool send_one(struct wire *w, int from, struct frame *f, mono_t now)
{
	struct wire_side *s = &w->side[from];
	uint64_t sent_us, due_us;

	s->stats.sent++;
	if (too_long(w, f))
		return s->stats.oversize++, false;
	if (w->cfg.filter && !w->cfg.filter(w->cfg.filter_arg, from, f, now))
		return s->stats.filtered++, false;
	if (gilbert_loses(w, s))
		return s->stats.burst_lost++, false;
	if (chance(w, s->im.loss_ppm))
		return s->stats.lost++, false;
	pass_through(w, s, f);
	sent_us = serialize(s, f->len, now);
	if (s->im.rate_bps && !sent_us)
		return s->stats.queue_dropped++, false;
	due_us = propagate(w, s, sent_us);
	launch(w, from, f, due_us);
	if (chance(w, s->im.duplicate_ppm))
		duplicate(w, from, f, due_us);
	return true;
}

static void wire_tx(struct port_queue *pq, struct frame **f, int count,
		    mono_t now)
{
	struct wire_queue *q = wq(pq);
	struct wire *w = q->w;

	for (int i = 0; i < count; i++) {
		counter_add(&pq->stats.tx_frames, 1);
		counter_add(&pq->stats.tx_bytes, f[i]->len);
		w->side[q->end].held--;
		if (!send_one(w, q->end, f[i], now))
			frame_put(w, f[i]);
	}
}

static void wire_flush(struct port_queue *pq, mono_t now)
{
	(void)pq;
	(void)now;
}

/* ---- receiving ---- */

static int wire_rx(struct port_queue *pq, struct frame **f, int max, mono_t now)
{
	struct wire_queue *q = wq(pq);
	struct wire *w = q->w;
	uint64_t bytes = 0;
	int n = 0;

	while (n < max && q->count && q->heap[0].due_us <= now.us) {
		f[n] = heap_pop(q);
		bytes += f[n++]->len;
	}
	if (n) {
		w->in_flight -= (uint32_t)n;
		w->side[q->end].held += (uint32_t)n;
		counter_add(&pq->stats.rx_frames, (uint64_t)n);
		counter_add(&pq->stats.rx_bytes, bytes);
	}
	return n;
}

/* Nothing to poll: the caller sleeps until next_due(), in virtual time. */
static int wire_arm(struct port_queue *pq, int *fds, int max)
{
	(void)pq;
	(void)fds;
	(void)max;
	return 0;
}

static mono_t wire_queue_due(struct port_queue *pq)
{
	struct wire_queue *q = wq(pq);

	return q->count ? (mono_t){ q->heap[0].due_us } : MONO_NEVER;
}

/* ---- making and ending ---- */

static void wire_close(struct port *p)
{
	(void)p;	/* wire_destroy() ends both at once */
}

static const struct port_ops wire_ops = {
	.driver = "wire (virtual)",
	.close = wire_close,
	.rx = wire_rx,
	.alloc = wire_alloc,
	.free = wire_free,
	.tx = wire_tx,
	.flush = wire_flush,
	.arm = wire_arm,
	.next_due = wire_queue_due,
};

static int make_queue(struct wire *w, int end, uint16_t index)
{
	struct port *p = &w->side[end].port;
	struct wire_queue *q = line_alloc(sizeof(*q));

	if (!q)
		return -ENOMEM;
	q->heap = calloc(w->cfg.frames, sizeof(*q->heap));
	if (!q->heap) {
		free(q);
		return -ENOMEM;
	}
	q->q.port = p;
	q->q.index = index;
	q->w = w;
	q->end = end;
	p->queues[index] = &q->q;
	p->queue_count++;
	return 0;
}

static int make_end(struct wire *w, int end)
{
	static const uint8_t none[6];
	struct port *p = &w->side[end].port;

	p->ops = &wire_ops;
	p->id = w->cfg.id[end];
	p->caps = w->cfg.caps;
	p->mtu = w->cfg.mtu;
	p->tso_max_bytes = w->cfg.caps & PORT_TSO ? WIRE_TSO_MAX : 0;
	memcpy(p->name, end ? "wire1" : "wire0", 6);
	memcpy(p->device, p->name, 6);
	memcpy(p->mode, "virtual time", 13);
	memcpy(p->mac, w->cfg.mac[end], 6);
	if (!memcmp(p->mac, none, 6)) {
		p->mac[0] = 2;
		p->mac[5] = (uint8_t)(end + 1);
	}
	w->side[end].im = w->cfg.impair[end];
	for (uint16_t i = 0; i < w->cfg.queues[end]; i++)
		if (make_queue(w, end, i))
			return -ENOMEM;
	return 0;
}

static int make_frames(struct wire *w)
{
	uint32_t ip = w->cfg.caps & PORT_TSO ? WIRE_TSO_MAX : w->cfg.mtu;
	uint32_t bytes = (FRAME_HEADROOM + ETH_BYTES + ip + 63u) & ~63u;

	w->frame_bytes = bytes < 2048 ? 2048 : bytes;
	w->frames = calloc(w->cfg.frames, sizeof(*w->frames));
	w->memory = calloc(w->cfg.frames, w->frame_bytes);
	if (!w->frames || !w->memory)
		return -ENOMEM;
	for (uint32_t i = w->cfg.frames; i--;)
		frame_put(w, &w->frames[i]);
	return 0;
}

static int fill_in(struct wire_config *c)
{
	c->mtu = c->mtu ? c->mtu : 1500;
	c->frames = c->frames ? c->frames : WIRE_FRAMES;
	for (int end = 0; end < 2; end++) {
		if (!c->queues[end])
			c->queues[end] = 1;
		if (c->queues[end] > PORT_QUEUES_MAX)
			return -EINVAL;
	}
	if (c->mtu < 68 || c->mtu > WIRE_TSO_MAX || c->frames > 1u << 24)
		return -EINVAL;
	return 0;
}

int wire_create(struct wire **out, const struct wire_config *cfg)
{
	struct wire *w = calloc(1, sizeof(*w));
	int rc;

	if (!w)
		return -ENOMEM;
	w->cfg = *cfg;
	w->rng = cfg->seed;
	rc = fill_in(&w->cfg);
	if (!rc)
		rc = make_frames(w);
	for (int end = 0; end < 2 && !rc; end++)
		rc = make_end(w, end);
	if (rc) {
		wire_destroy(w);
		return rc;
	}
	*out = w;
	return 0;
}

void wire_destroy(struct wire *w)
{
	for (int end = 0; end < 2; end++) {
		struct port *p = &w->side[end].port;

		for (int i = 0; i < p->queue_count; i++) {
			free(wq(p->queues[i])->heap);
			free(p->queues[i]);
		}
	}
	free(w->memory);
	free(w->frames);
	free(w);
}

struct port *wire_end(struct wire *w, int end)
{
	return &w->side[end].port;
}

void wire_set_impair(struct wire *w, int from, const struct wire_impair *im)
{
	w->side[from].im = *im;
}

mono_t wire_next_due(const struct wire *w)
{
	mono_t first = MONO_NEVER;

	for (int end = 0; end < 2; end++) {
		const struct port *p = &w->side[end].port;

		for (int i = 0; i < p->queue_count; i++) {
			mono_t due = wire_queue_due(p->queues[i]);

			if (mono_before(due, first))
				first = due;
		}
	}
	return first;
}

uint32_t wire_frames_in_flight(const struct wire *w)
{
	return w->in_flight;
}

uint32_t wire_frames_held(const struct wire *w, int end)
{
	return w->side[end].held;
}

const struct wire_stats *wire_stats(const struct wire *w, int from)
{
	return &w->side[from].stats;
}

uint32_t wire_steer_rss(void *arg, const struct frame *f)
{
	return finish_rss(arg, f);
}
