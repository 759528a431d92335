/*
 * packet_in.c - the way in, on one screen
 *
 *	port_rx -> net_in -> ours?  -> prefetch bucket -> prefetch tcb -> tcp_in_burst
 *	              |        \-> another engine's: hand over
 *	              +-> an answer: back out of the same queue
 *	              \-> ICMP error: tcp_icmp_in, here or at the owner
 *
 * The burst is parsed as a whole before the first segment goes to TCP, so the
 * cache lines of all its connections are on their way meanwhile.
 */
#include "engine/engine_state.h"

_Static_assert(PORT_BURST <= TCP_BURST_MAX, "a burst goes to TCP at once");

struct burst {
	struct tcp_rx rx[PORT_BURST];
	uint32_t hash[PORT_BURST];
	struct frame *done[PORT_BURST];	/* to be freed after tcp_in */
	int segments, frames;
};

static uint32_t owner_of(const struct engine *e, uint32_t hash)
{
	return e->cfg.count == 1 ? 0 : rss_engine(hash, e->cfg.count);
}

/* ---- hand-over ---- */

static void hand_over(struct engine *e, uint32_t owner,
		      const struct handover_entry *h, const void *bytes,
		      uint32_t len)
{
	struct handover_ring *r =
		e->all ? e->all[owner]->inbound[e->cfg.index] : NULL;

	if (!r || !handover_put(r, h, bytes, len)) {
		count(&e->stats.handover_full);
		return;
	}
	count(&e->stats.handed_over);
	e->handed |= 1u << owner;
}

static void hand_over_tcp(struct engine *e, const struct tcp_rx *rx,
			  uint32_t hash)
{
	struct handover_entry h = {
		.hash = hash, .kind = HANDOVER_TCP, .port = rx->port,
		.ecn = rx->ecn, .csum_ok = rx->csum_ok,
		.src = rx->src, .dst = rx->dst,
	};

	hand_over(e, owner_of(e, hash), &h, rx->l4, rx->l4_len);
}

static void icmp_in(struct engine *e, const struct net_icmp_error *in)
{
	struct tcp_icmp out = {
		.src = in->src, .dst = in->dst, .sport = in->sport,
		.dport = in->dport, .seq = in->seq, .type = in->type,
		.code = in->code, .mtu = in->mtu,
	};
	struct handover_entry h = { .kind = HANDOVER_ICMP };
	/* as in a segment received: the peer is the source */
	uint32_t owner = owner_of(e, rss_hash_v4(&e->rss, addr_v4(&in->dst),
						 addr_v4(&in->src), in->dport,
						 in->sport));

	if (owner == e->cfg.index)
		tcp_icmp_in(e->tcp, &out, e->now);
	else
		hand_over(e, owner, &h, &out, sizeof(out));
}

void packet_handed_flush(struct engine *e)
{
	while (e->handed) {
		uint32_t owner = (uint32_t)__builtin_ctz(e->handed);
		struct engine *to = e->all[owner];

		e->handed &= e->handed - 1;
		if (handover_publish(to->inbound[e->cfg.index]))
			mailbox_ring(to->mailbox, e->cfg.index);
	}
}

/* Entries that follow each other, as one burst for TCP.  Their payload is where
 * the sender copied it: the ring keeps it until released. */
static bool handed_burst(struct engine *e, struct handover_ring *r,
			 uint32_t *total)
{
	const struct handover_entry *h;
	struct tcp_rx rx[PORT_BURST];
	uint32_t hash[PORT_BURST], segments = 0, n;

	for (n = 0; n < PORT_BURST && (h = handover_peek(r)) != NULL; n++) {
		if (h->kind == HANDOVER_TCP) {
			rx[segments] = (struct tcp_rx){
				.src = h->src, .dst = h->dst, .port = h->port,
				.ecn = h->ecn, .l4_len = h->len,
				.l4 = (const uint8_t *)(h + 1),
				.csum_ok = h->csum_ok,
			};
			hash[segments++] = h->hash;
		} else {
			tcp_icmp_in(e->tcp, (const struct tcp_icmp *)(h + 1),
				    e->now);
		}
		handover_next(r, h);
	}
	tcp_in_burst(e->tcp, rx, hash, segments, e->now);
	handover_release(r);
	counter_add(&e->stats.handed_in, n);
	*total += n;
	return n == PORT_BURST;
}

uint32_t packet_handed_in(struct engine *e)
{
	uint32_t total = 0;

	e->inbound_left |= mailbox_take_bells(e->mailbox);
	for (uint32_t left = e->inbound_left; left; left &= left - 1) {
		uint32_t from = (uint32_t)__builtin_ctz(left);
		int bursts = 4;

		while (handed_burst(e, e->inbound[from], &total) && --bursts)
			;
		if (bursts)	/* empty: the next bell tells of more */
			e->inbound_left &= ~(1u << from);
	}
	return total;
}

/* ---- frames ---- */

static bool lies_in(const struct frame *f, const uint8_t *l4)
{
	return l4 >= f->data && l4 < f->data + f->len;
}

static void segment(struct engine *e, struct burst *b, const struct net_rx *in,
		    const struct frame *f)
{
	struct tcp_rx *rx = &b->rx[b->segments];
	uint32_t hash;

	*rx = (struct tcp_rx){
		.src = in->src, .dst = in->dst, .l4 = in->l4,
		.l4_len = in->l4_len, .port = in->port, .ecn = in->ecn,
		.csum_ok = in->csum_ok,
	};
	if (e->access_count && access_denies(e, in)) {
		count(&e->stats.access_denied);
		return;
	}
	hash = tcp_rx_hash(e->tcp, rx);
	if (owner_of(e, hash) != e->cfg.index) {
		hand_over_tcp(e, rx, hash);
	} else if (!lies_in(f, in->l4)) {	/* reassembled: lent for now */
		tcp_in(e->tcp, rx, hash, e->now);
	} else {
		tcp_prefetch_bucket(e->tcp, hash);
		b->hash[b->segments++] = hash;
	}
}

static void parse(struct engine *e, struct burst *b, struct frame *f)
{
	struct net_icmp_error icmp;
	struct net_rx in;

	switch (net_in(e->net, f, e->now, &in, &icmp)) {
	case NET_TCP:
		segment(e, b, &in, f);
		break;
	case NET_ICMP_ERROR:
		icmp_in(e, &icmp);
		break;
	case NET_REPLY:
		packet_queue(e, f);
		return;
	case NET_DROP:
	case NET_HELD:
		break;
	}
	b->done[b->frames++] = f;
}

static uint32_t port_in(struct engine *e, struct port_side *p)
{
	struct frame *f[PORT_BURST];
	struct burst b;
	int n = port_rx(p->queue, f, PORT_BURST, e->now);

	if (n <= 0)
		return 0;
	hist_add(&e->stats.batch, (uint32_t)n);
	if (e->capture)
		capture_frames(e->capture, e->cfg.index, f, n, CAPTURE_IN,
			       e->now);
	b.segments = b.frames = 0;
	for (int i = 0; i < n; i++)
		__builtin_prefetch(f[i]->data);
	for (int i = 0; i < n; i++)
		parse(e, &b, f[i]);
	for (int i = 0; i < b.segments; i++)
		tcp_prefetch_tcb(e->tcp, b.hash[i]);
	tcp_in_burst(e->tcp, b.rx, b.hash, (uint32_t)b.segments, e->now);
	if (b.frames)
		port_free(p->queue, b.done, b.frames);
	return (uint32_t)n;
}

uint32_t packet_in(struct engine *e)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < e->port_count; i++)
		n += port_in(e, &e->ports[i]);
	return n;
}
