/*
 * xdp_jumbo.c - frames of several chunks, for MTUs beyond XDP_MTU_MAX
 *
 *	chunks:  | 256 | first part |  | next part |  | last part |
 *	                    \________ copied ________/
 *	jumbo:   | headroom | the whole frame              |
 *
 * Linux 6.6 and later (XDP_USE_SG) hands over a large frame as a run of
 * descriptors, all but the last marked XDP_PKT_CONTD.  Everybody above wants
 * it in one piece, so such a frame is copied, both ways, into or out of a
 * buffer beside the UMEM.  A frame that fits in a chunk is received in place.
 * Sending always copies here: port_alloc() cannot know the length to come.
 *
 * Ownership As chunks: a jumbo belongs to one queue and comes home to it.
 * Threads   The queue's engine.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "io/port_xdp.h"

#define PKT_CONTD	1u	/* XDP_PKT_CONTD, not in older headers */
#define PARTS_MAX	18u	/* descriptors a frame: MAX_SKB_FRAGS + 1 */
#define STRIDE		((FRAME_HEADROOM + XDP_ETH_BYTES + XDP_JUMBO_MAX + 63u) \
			 & ~63u)

int xdp_jumbo_make(struct xdp_port *p, unsigned int queues)
{
	size_t count;

	p->jumbos_per_queue = p->per_queue / 4;
	count = (size_t)p->jumbos_per_queue * queues;
	p->jumbos = calloc(count, sizeof(*p->jumbos));
	if (!p->jumbos)
		return -ENOMEM;
	p->side_bytes = count * STRIDE;
	p->side = mmap(NULL, p->side_bytes, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p->side == MAP_FAILED) {
		p->side = NULL;
		return -ENOMEM;
	}
	return 0;
}

void xdp_jumbo_end(struct xdp_port *p)
{
	if (p->side)
		munmap(p->side, p->side_bytes);
	free(p->jumbos);
}

void xdp_jumbo_put(struct xdp_queue *q, struct frame *f)
{
	f->next = q->free_jumbo;
	q->free_jumbo = f;
}

void xdp_jumbo_give(struct xdp_queue *q)
{
	struct xdp_port *p = q->p;

	for (uint32_t i = p->jumbos_per_queue; i--;)
		xdp_jumbo_put(q, &p->jumbos[q->q.index * p->jumbos_per_queue + i]);
}

unsigned int xdp_jumbo_home(const struct xdp_port *p, const struct frame *f)
{
	return (unsigned int)((size_t)(f - p->jumbos) / p->jumbos_per_queue);
}

struct frame *xdp_jumbo_get(struct xdp_queue *q)
{
	struct xdp_port *p = q->p;
	struct frame *f = q->free_jumbo;
	size_t index;

	if (!f)
		return NULL;
	q->free_jumbo = f->next;
	index = (size_t)(f - p->jumbos);
	*f = (struct frame){
		.data = p->side + index * STRIDE + FRAME_HEADROOM,
		.room = STRIDE - FRAME_HEADROOM,
		.port = p->port.id,
		.queue = (uint8_t)q->q.index,
		.token = XDP_TOKEN_JUMBO | index,
	};
	return f;
}

/* ---- receiving ---- */

/* Descriptors of the frame that begins at @at, or 0: not all are there. */
static uint32_t parts_of(const struct xsk *x, uint32_t at, uint32_t have)
{
	for (uint32_t k = 0; k < have; k++)
		if (!(xsk_ring_cons__rx_desc(&x->rx, at + k)->options &
		      PKT_CONTD))
			return k + 1;
	return 0;
}

/* The frame in one piece; its chunks are free again.  NULL: too large, or no
 * buffer left, and counted. */
static struct frame *gather(struct xdp_queue *q, struct xsk *x, uint32_t at,
			    uint32_t parts)
{
	struct xdp_port *p = q->p;
	struct frame *f = xdp_jumbo_get(q);
	bool fits = f != NULL;

	for (uint32_t k = 0; k < parts; k++) {
		const struct xdp_desc *d = xsk_ring_cons__rx_desc(&x->rx, at + k);

		fits = fits && d->len <= f->room - f->len;
		if (fits) {
			memcpy(f->data + f->len, p->memory + d->addr, d->len);
			f->len += d->len;
		}
		xdp_chunk_put(q, &p->frames[d->addr >> XDP_CHUNK_SHIFT]);
	}
	if (fits)
		return f;
	counter_add(f ? &q->q.stats.rx_oversize : &q->q.stats.no_frame, 1);
	if (f)
		xdp_jumbo_put(q, f);
	return NULL;
}

int xdp_jumbo_take(struct xdp_queue *q, struct xsk *x, struct frame **out,
		   int max)
{
	uint32_t at, i = 0, parts, n;
	uint64_t bytes = 0;
	int got = 0;

	n = xsk_ring_cons__peek(&x->rx, (uint32_t)max * 4 + PARTS_MAX, &at);
	while (got < max && (parts = parts_of(x, at + i, n - i)) != 0) {
		struct frame *f = parts == 1 ?
			xdp_in_place(q, xsk_ring_cons__rx_desc(&x->rx, at + i)) :
			gather(q, x, at + i, parts);

		i += parts;
		if (!f)
			continue;
		bytes += f->len;
		out[got++] = f;
	}
	xsk_ring_cons__cancel(&x->rx, n - i);
	if (!i)
		return 0;
	xsk_ring_cons__release(&x->rx, i);
	x->unfilled += i;
	counter_add(&q->q.stats.rx_frames, (uint64_t)got);
	counter_add(&q->q.stats.rx_bytes, bytes);
	return got;
}

/* ---- sending ---- */

static void scatter(struct xdp_queue *q, struct xsk *x, const struct frame *f,
		    uint32_t at, uint32_t parts)
{
	struct xdp_port *p = q->p;
	uint32_t done = 0;

	for (uint32_t k = 0; k < parts; k++) {
		struct xdp_desc *d = xsk_ring_prod__tx_desc(&x->tx, at + k);
		uint32_t len = f->len - done;

		if (len > XDP_CHUNK)
			len = XDP_CHUNK;
		d->addr = (uint64_t)(xdp_chunk_get(q) - p->frames)
			  << XDP_CHUNK_SHIFT;
		d->len = len;
		d->options = k + 1 < parts ? PKT_CONTD : 0;
		memcpy(p->memory + d->addr, f->data + done, len);
		done += len;
	}
}

/* False: no room on the ring or no chunks. */
static bool submit_one(struct xdp_queue *q, struct xsk *x, struct frame *f)
{
	const bool jumbo = f->token & XDP_TOKEN_JUMBO;
	const uint32_t parts = jumbo ? (f->len + XDP_CHUNK - 1) / XDP_CHUNK : 1;
	uint32_t at;

	if (x->flying + parts > XDP_RING || (jumbo && q->free_count < parts) ||
	    xsk_ring_prod__reserve(&x->tx, parts, &at) != parts)
		return false;
	if (jumbo) {
		scatter(q, x, f, at, parts);
		xdp_home(q, f);
	} else {
		*xsk_ring_prod__tx_desc(&x->tx, at) = (struct xdp_desc){
			.addr = (uint64_t)(f->data - q->p->memory),
			.len = f->len,
		};
	}
	xsk_ring_prod__submit(&x->tx, parts);
	x->flying += parts;
	return true;
}

int xdp_jumbo_submit(struct xdp_queue *q, struct xsk *x, struct frame **f,
		     int count)
{
	int n = 0;

	while (n < count && submit_one(q, x, f[n]))
		n++;
	x->kick |= n > 0;
	return n;
}
