/*
 * port_wire_shm.c - driver "wire": two processes joined by shared memory
 *
 * device = "PATH:a" or "PATH:b", then options after commas: "nocsum" (sums are
 * made and checked), "tso" (frames of up to 64 KiB arrive uncut).  Both ends
 * must name the same options, MTU and frames_log2; queues may differ.
 *
 *	end a, queue i              PATH                    end b, queue j
 *	 own buffers (a, i)  --- frames[a][i][j] --->  rx: reads a's buffer
 *	 free list           <-- returns[a][i][j] ---  free
 *
 * Theory of operation.  Every queue owns a set of buffers in the file.  A
 * frame is sent by lending its buffer: a descriptor goes into the ring of this
 * pair of queues, the receiver works in the sender's buffer and gives its
 * index back through the ring of returns, up to seven a slot.  Nothing is
 * copied, as with a NIC.  A received frame that is sent out again is copied
 * into a buffer of the queue's own.
 *
 * The receiver's queue is rss_engine() of the symmetric hash of the 4-tuple,
 * so that both ends' RSS agree with the engines' owner of a flow.
 *
 * Sleeping  A queue has a bell: the flag of wake.h in the file and a FIFO
 *           PATH.<end><queue>, written only when the flag is set.
 * Restart   An end that comes back finds its old life's frames on the rings:
 *           it voids those not yet read and forgets what was lent.
 * Trust     The other end is a daemon of the same machine and user.  Indexes
 *           and lengths are still checked: a frame that points outside is
 *           dropped and counted as torn.
 * Threads   A ring's two ends are two engines; the private half of a queue is
 *           its engine's.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/line.h"
#include "io/drivers.h"
#include "io/finish.h"
#include "io/wire_file.h"
#include "shm/ring.h"
#include "shm/rss.h"

#define FOREIGN		4096u		/* received frames held at a time */
#define TOKEN_FOREIGN	(1ull << 63)	/* | sender's queue << 32 | index */
#define QMAX		PORT_QUEUES_MAX

struct wire_desc {		/* one slot of a frames ring */
	uint32_t index, offset, len;
	uint16_t flags, pad;
	uint32_t unused[4];
};
_Static_assert(sizeof(struct wire_desc) == RING_SLOT, "a ring's slot");

struct wire_return {		/* one slot of a returns ring */
	uint32_t count;
	uint32_t index[7];
};
_Static_assert(sizeof(struct wire_return) == RING_SLOT, "a ring's slot");

struct shm_queue {
	struct port_queue q;	/* first: queues are cast */
	struct shm_port *p;
	struct ring out[QMAX];	/* our frames to their queue j ... */
	struct ring back[QMAX];	/* ... and their return */
	struct ring in[QMAX];	/* their queue i's frames to us ... */
	struct ring give[QMAX];	/* ... and their return */
	struct wire_return giving[QMAX]; /* not yet published */
	uint32_t touched;	/* bit j: frames for j since the last flush */
	struct frame *own;	/* [frames] */
	uint8_t *lent;		/* [frames] */
	struct frame *foreign;	/* [FOREIGN] */
	struct frame *free, *free_foreign;
	int bell;		/* our FIFO */
	int peer_bell[QMAX];	/* their FIFOs: opened with the port, for the
				 * daemon may open nothing later */
	uint16_t turn;		/* their queue that is read first */
	bool armed;
};

struct shm_port {
	struct port port;	/* first: ports are cast */
	struct wire_file w;
	struct rss rss;
};

static struct shm_queue *sq(struct port_queue *q)
{
	return (struct shm_queue *)q;
}

static uint32_t peer_queues(const struct shm_port *p)
{
	uint32_t n = atomic_load_explicit(&p->w.hdr->queues[!p->w.end],
					  memory_order_acquire);

	return n < QMAX ? n : QMAX;
}

/* ---- buffers ---- */

static uint8_t *own_buffer(const struct shm_queue *q, uint32_t index)
{
	return wire_file_buffer(&q->p->w, q->p->w.end, q->q.index, index);
}

static void own_put(struct shm_queue *q, struct frame *f)
{
	f->next = q->free;
	q->free = f;
}

static struct frame *own_get(struct shm_queue *q)
{
	struct frame *f = q->free;
	uint32_t index;

	if (!f)
		return NULL;
	q->free = f->next;
	index = (uint32_t)(f - q->own);
	*f = (struct frame){
		.data = own_buffer(q, index) + FRAME_HEADROOM,
		.room = q->p->w.geo.stride - FRAME_HEADROOM,
		.port = q->p->port.id,
		.queue = (uint8_t)q->q.index,
		.token = index,
	};
	return f;
}

static void take_back(struct shm_queue *q, const struct wire_return *r)
{
	for (uint32_t i = 0; i < r->count && i < 7; i++) {
		if (r->index[i] >= q->p->w.geo.frames || !q->lent[r->index[i]])
			continue;	/* of an earlier life */
		q->lent[r->index[i]] = 0;
		own_put(q, &q->own[r->index[i]]);
	}
}

/* Collects what the other end has given back. */
static void reclaim(struct shm_queue *q)
{
	uint32_t queues = peer_queues(q->p);
	struct wire_return r;

	for (uint32_t j = 0; j < queues; j++) {
		int n = ring_peek(&q->back[j]);

		if (n <= 0)
			continue;
		for (int i = 0; i < n; i++) {
			ring_copy(&q->back[j], (uint32_t)i, &r);
			take_back(q, &r);
		}
		ring_release(&q->back[j], (uint32_t)n);
	}
}

static int shm_alloc(struct port_queue *pq, struct frame **f, int count)
{
	struct shm_queue *q = sq(pq);
	int n = 0;

	for (int round = 0; round < 2 && n < count; round++) {
		if (round)
			reclaim(q);
		while (n < count && (f[n] = own_get(q)))
			n++;
	}
	if (n < count)
		counter_add(&pq->stats.no_frame, 1);
	return n;
}

/* Publishes the collected returns to their queue @i. */
static void give_now(struct shm_queue *q, uint32_t i)
{
	struct wire_return *r = &q->giving[i];

	if (!r->count)
		return;
	/* As many slots as there are buffers: only a restart can fill it. */
	if (ring_room(&q->give[i], 1) > 0) {
		memcpy(ring_slot(&q->give[i]), r, sizeof(*r));
		ring_publish(&q->give[i]);
	}
	r->count = 0;
}

static void give_back(struct shm_queue *q, struct frame *f)
{
	uint32_t i = (uint32_t)(f->token >> 32) & (QMAX - 1);
	struct wire_return *r = &q->giving[i];

	r->index[r->count++] = (uint32_t)f->token;
	if (r->count == 7)
		give_now(q, i);
	f->next = q->free_foreign;
	q->free_foreign = f;
}

static void give_all(struct shm_queue *q)
{
	for (uint32_t i = 0; i < QMAX; i++)
		give_now(q, i);
}

static void shm_free(struct port_queue *pq, struct frame **f, int count)
{
	struct shm_queue *q = sq(pq);

	for (int i = 0; i < count; i++) {
		if (f[i]->token & TOKEN_FOREIGN)
			give_back(q, f[i]);
		else
			own_put(q, f[i]);
	}
}

/* ---- sending ---- */

static bool sendable(const struct shm_port *p, const struct frame *f)
{
	uint32_t most = p->w.geo.mtu;

	if (f->gso_size && (p->w.geo.caps & PORT_TSO))
		most = WIRE_TSO_MAX;
	return f->len >= 14 && f->len <= most + WIRE_ETH_BYTES;
}

/* A buffer of our own with the frame in it; consumes @f. */
static struct frame *make_own(struct shm_queue *q, struct frame *f)
{
	struct frame *copy;

	if (!(f->token & TOKEN_FOREIGN))
		return f;
	copy = own_get(q);
	if (copy) {
		copy->len = f->len;
		copy->flags = f->flags;
		copy->csum_start = f->csum_start;
		copy->csum_offset = f->csum_offset;
		memcpy(copy->data, f->data, f->len);
	}
	give_back(q, f);
	return copy;
}

/* False: not taken, and still ours. */
static bool lend(struct shm_queue *q, struct frame *f, uint32_t queues)
{
	struct shm_port *p = q->p;
	const uint32_t index = (uint32_t)f->token;
	struct wire_desc d = { .index = index, .len = f->len };
	uint32_t j = 0;

	if (!queues || !sendable(p, f))
		return false;
	if (queues > 1)
		j = rss_engine(finish_rss(&p->rss, f), queues);
	if (ring_room(&q->out[j], 1) < 1)
		return false;
	if (p->w.geo.caps & PORT_RX_CSUM)
		d.flags = FRAME_CSUM_OK;
	else if (f->flags & FRAME_CSUM_PARTIAL)
		finish_csum(f);
	d.offset = (uint32_t)(f->data - own_buffer(q, index));
	memcpy(ring_slot(&q->out[j]), &d, sizeof(d));
	q->lent[index] = 1;
	q->touched |= 1u << j;
	return true;
}

static void shm_tx(struct port_queue *pq, struct frame **f, int count,
		   mono_t now)
{
	struct shm_queue *q = sq(pq);
	const uint32_t queues = peer_queues(q->p);
	uint64_t sent = 0, bytes = 0;

	(void)now;
	reclaim(q);
	for (int i = 0; i < count; i++) {
		const uint32_t len = f[i]->len;
		struct frame *own = sendable(q->p, f[i]) ?
				    make_own(q, f[i]) : f[i];

		if (own && !(own->token & TOKEN_FOREIGN) &&
		    lend(q, own, queues)) {
			sent++;
			bytes += len;
			continue;
		}
		counter_add(&pq->stats.tx_dropped, 1);
		if (own)
			shm_free(pq, &own, 1);
	}
	for (uint32_t j = 0; j < queues; j++)
		if (q->touched & 1u << j)
			ring_publish(&q->out[j]);
	counter_add(&pq->stats.tx_frames, sent);
	counter_add(&pq->stats.tx_bytes, bytes);
}

static void ring_bell(struct shm_queue *q, uint32_t j)
{
	struct shm_port *p = q->p;

	if (!wake_needed(&p->w.hdr->bell[!p->w.end][j]))
		return;
	counter_add(&q->q.stats.syscalls, 1);
	/* A full FIFO means that a wake-up is already there; any other failure
	 * leaves the flag for the next frame. */
	if (write(q->peer_bell[j], "", 1) < 0 && errno != EAGAIN)
		wake_prepare(&p->w.hdr->bell[!p->w.end][j]);
}

static void shm_flush(struct port_queue *pq, mono_t now)
{
	struct shm_queue *q = sq(pq);

	(void)now;
	give_all(q);
	for (uint32_t j = 0; q->touched >> j; j++)
		if (q->touched & 1u << j)
			ring_bell(q, j);
	q->touched = 0;
}

/* ---- receiving ---- */

static bool desc_sane(const struct shm_port *p, const struct wire_desc *d)
{
	return d->index < p->w.geo.frames && d->len >= 14 &&
	       d->offset < p->w.geo.stride &&
	       d->len <= p->w.geo.stride - d->offset;
}

/* The frame that @d describes, or NULL: torn. */
static struct frame *borrow(struct shm_queue *q, uint32_t i,
			    const struct wire_desc *d)
{
	struct shm_port *p = q->p;
	struct frame *f = q->free_foreign;

	if (!desc_sane(p, d)) {
		counter_add(&q->q.stats.rx_oversize, d->len != 0);
		return NULL;
	}
	q->free_foreign = f->next;
	*f = (struct frame){
		.data = wire_file_buffer(&p->w, !p->w.end, (int)i, d->index) +
			d->offset,
		.len = d->len,
		.room = p->w.geo.stride - d->offset,
		.flags = d->flags & FRAME_CSUM_OK,
		.port = p->port.id,
		.queue = (uint8_t)q->q.index,
		.token = TOKEN_FOREIGN | (uint64_t)i << 32 | d->index,
	};
	return f;
}

static int rx_from(struct shm_queue *q, uint32_t i, struct frame **f, int max)
{
	int waiting = ring_peek(&q->in[i]), n = 0, k;
	struct wire_desc d;

	for (k = 0; k < waiting && n < max && q->free_foreign; k++) {
		ring_copy(&q->in[i], (uint32_t)k, &d);
		f[n] = borrow(q, i, &d);
		n += f[n] != NULL;
	}
	if (k)
		ring_release(&q->in[i], (uint32_t)k);
	return n;
}

static void disarm(struct shm_queue *q)
{
	char drain[64];

	q->armed = false;
	wake_cancel(&q->p->w.hdr->bell[q->p->w.end][q->q.index]);
	while (read(q->bell, drain, sizeof(drain)) == (ssize_t)sizeof(drain))
		;
	counter_add(&q->q.stats.syscalls, 1);
}

static int shm_rx(struct port_queue *pq, struct frame **f, int max, mono_t now)
{
	struct shm_queue *q = sq(pq);
	uint32_t queues = peer_queues(q->p);
	uint64_t bytes = 0;
	int n = 0;

	(void)now;
	if (q->armed)
		disarm(q);
	for (uint32_t k = 0; k < queues && n < max; k++)
		n += rx_from(q, (q->turn + k) % queues, f + n, max - n);
	q->turn++;
	for (int i = 0; i < n; i++)
		bytes += f[i]->len;
	if (n) {
		counter_add(&pq->stats.rx_frames, (uint64_t)n);
		counter_add(&pq->stats.rx_bytes, bytes);
	}
	return n;
}

static int shm_arm(struct port_queue *pq, int *fds, int max)
{
	struct shm_queue *q = sq(pq);
	uint32_t queues = peer_queues(q->p);

	give_all(q);
	q->armed = true;
	wake_prepare(&q->p->w.hdr->bell[q->p->w.end][pq->index]);
	for (uint32_t i = 0; i < queues; i++) {
		if (ring_peek(&q->in[i]) <= 0)
			continue;
		wake_cancel(&q->p->w.hdr->bell[q->p->w.end][pq->index]);
		return -EAGAIN;
	}
	if (max < 1)
		return 0;
	fds[0] = q->bell;
	return 1;
}

static mono_t shm_next_due(struct port_queue *pq)
{
	(void)pq;
	return MONO_NEVER;
}

static bool shm_link_up(struct port *port)
{
	return peer_queues((struct shm_port *)port) != 0;
}

/* ---- opening ---- */

/* Our producer end of a ring that may have had an earlier life. */
static void resume_producer(struct ring *r, void *at, uint32_t slots)
{
	ring_attach(r, at, slots);
	r->mine = atomic_load(&r->shared->tail);
	r->theirs = atomic_load(&r->shared->head);
}

static void resume_consumer(struct ring *r, void *at, uint32_t slots)
{
	ring_attach(r, at, slots);
	r->mine = atomic_load(&r->shared->head);
}

/* Frames of our earlier life lie in buffers that are free now. */
static void void_unread(struct ring *r)
{
	for (uint32_t i = r->theirs; i != r->mine; i++)
		memset(r->shared->slots + (uint64_t)(i & r->mask) * RING_SLOT,
		       0, RING_SLOT);
}

static void attach_rings(struct shm_queue *q)
{
	struct shm_port *p = q->p;
	const int me = p->w.end, i = q->q.index;

	for (int j = 0; j < QMAX; j++) {
		resume_producer(&q->out[j], wire_file_ring(&p->w, 0, me, i, j),
				p->w.geo.frames);
		resume_consumer(&q->back[j], wire_file_ring(&p->w, 1, me, i, j),
				p->w.geo.frames);
		resume_consumer(&q->in[j], wire_file_ring(&p->w, 0, !me, j, i),
				p->w.geo.frames);
		resume_producer(&q->give[j], wire_file_ring(&p->w, 1, !me, j, i),
				p->w.geo.frames);
		if (q->out[j].mine - q->out[j].theirs <= p->w.geo.frames)
			void_unread(&q->out[j]);
		q->peer_bell[j] = -1;
	}
}

static int make_queue(struct shm_port *p, uint16_t index)
{
	struct shm_queue *q = line_alloc(sizeof(*q));

	if (!q)
		return -ENOMEM;
	q->q.port = &p->port;
	q->q.index = index;
	q->p = p;
	p->port.queues[index] = &q->q;
	p->port.queue_count++;
	attach_rings(q);
	q->own = calloc(p->w.geo.frames, sizeof(*q->own));
	q->lent = calloc(p->w.geo.frames, 1);
	q->foreign = calloc(FOREIGN, sizeof(*q->foreign));
	q->bell = wire_file_bell(&p->w, p->w.end, index);
	for (int j = 0; j < QMAX; j++) {
		q->peer_bell[j] = wire_file_bell(&p->w, !p->w.end, j);
		if (q->peer_bell[j] < 0)
			return -errno;
	}
	if (!q->own || !q->lent || !q->foreign || q->bell < 0)
		return -ENOMEM;
	for (uint32_t i = p->w.geo.frames; i--;)
		own_put(q, &q->own[i]);
	for (uint32_t i = FOREIGN; i--;) {
		q->foreign[i].next = q->free_foreign;
		q->free_foreign = &q->foreign[i];
	}
	return 0;
}

/* Also of a port that is half open. */
static void shm_close(struct port *port)
{
	struct shm_port *p = (struct shm_port *)port;

	if (p->w.hdr)
		atomic_store(&p->w.hdr->queues[p->w.end], 0);
	for (int i = 0; i < port->queue_count; i++) {
		struct shm_queue *q = sq(port->queues[i]);

		for (int j = 0; j < QMAX; j++)
			if (q->peer_bell[j] >= 0)
				close(q->peer_bell[j]);
		if (q->bell >= 0)
			close(q->bell);
		free(q->foreign);
		free(q->lent);
		free(q->own);
		free(q);
	}
	wire_file_close(&p->w);
	free(p);
}

static void describe(struct shm_port *p, const struct port_config *cfg)
{
	static const uint8_t none[6];
	const uint8_t made_up[6] = { 2, 'w', 'i', 'r', 'e',
				     (uint8_t)(0x0a + p->w.end) };

	memcpy(p->port.mac, memcmp(cfg->mac, none, 6) ? cfg->mac : made_up, 6);
	p->port.caps = p->w.geo.caps;
	p->port.mtu = p->w.geo.mtu;
	p->port.tso_max_bytes = p->w.geo.caps & PORT_TSO ? WIRE_TSO_MAX : 0;
	snprintf(p->port.mode, sizeof(p->port.mode), "shared memory, end %c",
		 'a' + p->w.end);
}

static int shm_open_port(struct port **out, const struct port_config *cfg,
			 char *err)
{
	struct shm_port *p = calloc(1, sizeof(*p));
	int rc;

	if (!p)
		return -ENOMEM;
	rss_init(&p->rss, rss_symmetric_key);
	rc = wire_file_open(&p->w, cfg, err);
	for (uint16_t i = 0; i < cfg->queues && !rc; i++) {
		rc = make_queue(p, i);
		if (rc)
			snprintf(err, PORT_ERR_BYTES, "port %s: wire %s: no "
				 "memory or no FIFO", cfg->name, p->w.path);
	}
	if (rc) {
		shm_close(&p->port);
		return rc;
	}
	describe(p, cfg);
	atomic_store(&p->w.hdr->queues[p->w.end], cfg->queues);
	*out = &p->port;
	return 0;
}

const struct port_ops port_wire_ops = {
	.driver = "wire",
	.open = shm_open_port,
	.close = shm_close,
	.rx = shm_rx,
	.alloc = shm_alloc,
	.free = shm_free,
	.tx = shm_tx,
	.flush = shm_flush,
	.arm = shm_arm,
	.next_due = shm_next_due,
	.link_up = shm_link_up,
};
