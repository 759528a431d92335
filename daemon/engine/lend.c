/*
 * lend.c - payload that a port's device reads where the client put it
 *
 *	slab of a client --lend_slab--> span --map--> ports
 *	tcp_out's pieces --lend_payload--> frame, a reference on each block
 *	port --lend_home--> the reference is dropped
 *
 * A frame's reference keeps a block from being lent to the client again while
 * a device may read it: an acknowledgement can overtake the device's word (of a
 * retransmission, or of a peer that lies), a connection and its client can end.
 * A client's arena thus waits for its frames as for its extents, and when it
 * has none its slabs are taken back from the ports.
 *
 * All of it runs on the engine's thread, mapping too: the queues are its own.
 */
#include "engine/engine_state.h"

#define REFS_MAX	(UINT16_MAX / 2)	/* more are hardly meant well */

_Static_assert(TCP_TX_PIECES <= 32, "a bit each in lend()'s answer");

static void lend_home(void *engine, uint16_t client, uint32_t block)
{
	struct engine *e = engine;

	block_unref(e->clients[client].arena, block);
}

void lend_open(struct engine *e)
{
	for (uint32_t i = 0; i < e->port_count; i++) {
		if (!(e->ports[i].port->caps & PORT_LENDS))
			continue;
		e->ports[i].queue->home = lend_home;
		e->ports[i].queue->engine = e;
		e->lends = true;
	}
	e->spans[0] = 1;		/* number 0 is none */
}

/* ---- spans ---- */

static uint16_t span_get(struct engine *e)
{
	for (uint32_t i = 0; i < PORT_SPANS / 64; i++)
		if (~e->spans[i]) {
			int bit = __builtin_ctzll(~e->spans[i]);

			e->spans[i] |= 1ull << bit;
			return (uint16_t)(i * 64 + (uint32_t)bit);
		}
	return 0;
}

static void span_put(struct engine *e, uint16_t span)
{
	e->spans[span / 64] &= ~(1ull << span % 64);
}

void lend_slab(struct engine *e, struct client *cl, uint32_t slab)
{
	uint16_t span = e->lends ? span_get(e) : 0;
	const uint8_t *at = cl->segment + (uint64_t)slab * SLAB_BYTES;
	bool mapped = false;

	for (uint32_t i = 0; span && i < e->port_count; i++) {
		struct port_side *p = &e->ports[i];

		if (p->port->caps & PORT_LENDS &&
		    p->port->ops->map(p->queue, span, at, SLAB_BYTES) == 0)
			mapped = true;
	}
	if (mapped)
		cl->arena->slabs[slab].span = span;
	else if (span)
		span_put(e, span);
}

/* A port that does not let go of it keeps its number: pinned pages that nobody
 * reads, where the alternative would be another client's. */
static void take_back(struct engine *e, struct slab *s)
{
	bool free = true;

	for (uint32_t i = 0; i < e->port_count; i++) {
		struct port_side *p = &e->ports[i];

		if (p->port->caps & PORT_LENDS &&
		    p->port->ops->unmap(p->queue, s->span))
			free = false;
	}
	if (free)
		span_put(e, s->span);
	s->span = 0;
}

bool lend_end(struct engine *e, struct client *cl, uint32_t most)
{
	struct arena *a = cl->arena;
	uint32_t n = 0;

	if (!e->lends)
		return true;
	for (; cl->unlent < a->slab_count && n < most; cl->unlent++)
		if (a->slabs[cl->unlent].span) {
			take_back(e, &a->slabs[cl->unlent]);
			n++;
		}
	return cl->unlent == a->slab_count;
}

/* ---- frames ---- */

bool lend_payload(struct engine *e, const struct port_side *p, struct frame *f,
		  const struct tcp_tx *tx)
{
	uint16_t client = tx->pieces ? tcp_user(e->tcp, tx->conn)->client : 0;
	struct arena *a = e->clients[client].arena;
	struct port_piece piece[TCP_TX_PIECES];
	uint32_t lent;

	if (!client || e->capture)	/* which shows whole frames */
		return false;
	for (uint32_t i = 0; i < tx->pieces; i++) {
		uint32_t block = tx->piece[i].block;

		if (block_meta(a, block)->refs > REFS_MAX)
			return false;
		piece[i] = (struct port_piece){
			.bytes = tx->piece[i].bytes, .len = tx->piece[i].len,
			.block = block, .client = client,
			.span = a->slabs[block_slab(block)].span,
		};
	}
	lent = p->port->ops->lend(p->queue, f, piece, tx->pieces);
	for (uint32_t i = 0; i < tx->pieces; i++)
		if (lent & 1u << i)
			block_ref(a, piece[i].block);
	return lent != 0;
}
