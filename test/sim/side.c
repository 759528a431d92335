#include "side.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "trace.h"

#define STARVED_US	1000	/* until a frame may be free again */

/* ---- birth and death ---- */

static void init_net(struct side *s, const struct scenario *plan,
		     const struct port *other)
{
	struct net_addr a = { .addr = s->addr, .prefix = 96 + 24,
			      .port = s->port->id };
	struct net_neigh_entry e = { .port = s->port->id,
				     .state = NEIGH_STATIC };
	int rc;

	rc = net_init(&s->net, plan->side[s->index].tcp.secret);
	ENSURE(rc == 0, "net_init() has memory");
	rc = net_set_port(s->net, s->port->id, s->port->mac,
			  (uint16_t)s->mtu);
	ENSURE(rc == 0, "the port is one");
	rc = net_set_addrs(s->net, &a, 1);
	ENSURE(rc == 0, "one address fits");
	if (!plan->static_neigh)
		return;
	addr_parse(&e.addr, s->index ? "10.0.0.1" : "10.0.0.2");
	memcpy(e.mac, other->mac, 6);
	rc = net_set_static_neigh(s->net, &e, 1);
	ENSURE(rc == 0, "one neighbour fits");
}

void side_init(struct side *s, int index, const struct scenario *plan,
	       struct wire *wire, const struct rss *rss)
{
	const struct side_plan *p = &plan->side[index];
	int rc;

	s->index = index;
	s->port = wire_end(wire, index);
	s->mtu = p->mtu;
	addr_parse(&s->addr, index ? "10.0.0.2" : "10.0.0.1");
	init_net(s, plan, wire_end(wire, !index));
	rc = tcp_init(&s->env, &p->tcp, rss, kit_alloc, &s->heap);
	ENSURE(rc == 0, "tcp_init() of a small configuration");
	kit_arena_init(&s->arenas[0], p->own_small, p->own_large);
	for (uint32_t c = 1; c <= SIM_CLIENTS; c++)
		kit_arena_init(&s->arenas[c], p->small, p->large);
	for (uint32_t c = 0; c <= SIM_CLIENTS; c++)
		tcp_set_arena(s->env, c, &s->arenas[c].arena);
}

void side_fini(struct side *s)
{
	net_fini(s->net);
	for (uint32_t c = 0; c <= SIM_CLIENTS; c++)
		kit_arena_fini(&s->arenas[c]);
	kit_free(&s->heap);
}

const char *side_leak(const struct side *s)
{
	if (!tcp_is_empty(s->env))
		return "TCP still has a connection, a record or an extent";
	if (kit_arena_leaked(&s->arenas[0]))
		return "a block of the engine's arena is in use";
	for (uint32_t c = 1; c <= SIM_CLIENTS; c++)
		if (kit_arena_leaked(&s->arenas[c]))
			return "a block of a client's arena is in use";
	return NULL;
}

/* ---- in ---- */

struct burst {
	struct tcp_rx rx[PORT_BURST];
	uint32_t hash[PORT_BURST], segments;
};

static void segment_in(struct side *s, struct burst *b, const struct net_rx *n,
		       const struct frame *f, mono_t now)
{
	const struct tcp_rx rx = {
		.src = n->src, .dst = n->dst, .l4 = n->l4, .l4_len = n->l4_len,
		.port = n->port, .ecn = n->ecn, .csum_ok = n->csum_ok,
	};
	uint32_t hash = tcp_rx_hash(s->env, &rx);

	if (s->trace)
		trace_rx(s->index, &rx, now);
	if (rx.l4 < f->data || rx.l4 >= f->data + f->len) {
		tcp_in(s->env, &rx, hash, now);	/* reassembled: lent for now */
		return;
	}
	b->rx[b->segments] = rx;
	b->hash[b->segments++] = hash;
}

static void icmp_in(struct side *s, const struct net_icmp_error *e, mono_t now)
{
	const struct tcp_icmp i = {
		.src = e->src, .dst = e->dst, .sport = e->sport,
		.dport = e->dport, .seq = e->seq, .type = e->type,
		.code = e->code, .mtu = e->mtu,
	};

	tcp_icmp_in(s->env, &i, now);
}

/* False: the frame went back out as an answer. */
static bool frame_in(struct side *s, struct burst *b, struct frame *f,
		     mono_t now)
{
	struct net_icmp_error icmp;
	struct net_rx rx;

	switch (net_in(s->net, f, now, &rx, &icmp)) {
	case NET_TCP:
		segment_in(s, b, &rx, f, now);
		break;
	case NET_ICMP_ERROR:
		icmp_in(s, &icmp, now);
		break;
	case NET_REPLY:
		port_tx(s->port->queues[0], &f, 1, now);
		return false;
	case NET_DROP:
	case NET_HELD:
		break;
	}
	return true;
}

static void burst_in(struct side *s, struct frame **f, int n, mono_t now)
{
	struct burst b = { .segments = 0 };
	int held = 0;

	for (int i = 0; i < n; i++)
		if (frame_in(s, &b, f[i], now))
			f[held++] = f[i];
	tcp_in_burst(s->env, b.rx, b.hash, b.segments, now);
	if (held)
		port_free(s->port->queues[0], f, held);
}

void side_input(struct side *s, mono_t now)
{
	struct frame *f[PORT_BURST];
	int n;

	while ((n = port_rx(s->port->queues[0], f, PORT_BURST, now)) > 0)
		burst_in(s, f, n, now);
	while (tcp_advance(s->env, now))
		;
	net_advance(s->net, now);
}

/* ---- out ---- */

static uint32_t put_header(const struct tcp_tx *tx, uint8_t *out)
{
	uint32_t len = TCP_BYTES + tx->opt_len;
	struct hdr_tcp h = {
		.sport = tx->sport, .dport = tx->dport,
		.seq = htonl(tx->seq), .ack = htonl(tx->ack),
		.data_off = (uint8_t)(len / 4 << 4 | tx->flags >> 8),
		.flags = (uint8_t)tx->flags,
		.wnd = htons(tx->wnd),
	};

	memcpy(out, &h, TCP_BYTES);
	memcpy(out + TCP_BYTES, tx->opts, tx->opt_len);
	return len;
}

/* The sum is the port's work where it offers that, else ours. */
static void put_csum(const struct side *s, const struct tcp_tx *tx,
		     struct frame *f)
{
	const uint32_t at = offsetof(struct hdr_tcp, csum);
	uint16_t sum;

	if (s->port->caps & PORT_TX_CSUM) {
		sum = csum_fold(csum_pseudo(&tx->src, &tx->dst, IPPROTO_TCP,
					    f->len));
		f->flags |= FRAME_CSUM_PARTIAL;
		f->csum_start = 0;
		f->csum_offset = (uint16_t)at;
	} else {
		sum = kit_csum(&tx->src, &tx->dst, f->data, f->len);
	}
	memcpy(f->data + at, &sum, sizeof(sum));
}

static void fill_frame(const struct side *s, const struct tcp_tx *tx,
		       struct frame *f)
{
	uint32_t len = put_header(tx, f->data);

	for (uint32_t i = 0; i < tx->pieces; i++) {
		ENSURE(len + tx->piece[i].len <= f->room,
		       "a segment fits the port's frame");
		memcpy(f->data + len, tx->piece[i].bytes, tx->piece[i].len);
		len += tx->piece[i].len;
	}
	ENSURE(len == TCP_BYTES + tx->opt_len + tx->payload_len,
	       "the pieces are the payload");
	f->len = len;
	f->gso_size = IP4_BYTES + len > s->mtu ? tx->mss : 0;
	put_csum(s, tx, f);
}

static void segment_out(struct side *s, const struct tcp_tx *tx,
			struct frame *f, mono_t now)
{
	struct net_tx ntx = { .src = tx->src, .dst = tx->dst,
				    .proto = IPPROTO_TCP, .tos = tx->tos,
				    .ttl = tx->ttl, .dont_fragment = true };
	struct net_path path;
	int rc;

	if (s->trace)
		trace_tx(s->index, tx, now);
	fill_frame(s, tx, f);
	rc = net_lookup(s->net, &ntx.src, &tx->dst, &path);
	if (rc == 0)
		rc = net_out(s->net, &path, &ntx, f, now);
	if (rc == 0)
		port_tx(s->port->queues[0], &f, 1, now);
	else if (rc != -EINPROGRESS)
		port_free(s->port->queues[0], &f, 1);
}

/* A frame comes first: a segment that TCP gave is regarded as sent. */
static struct frame *frame_for(struct side *s)
{
	struct frame *f;

	if (port_alloc(s->port->queues[0], &f, 1) == 1)
		return f;
	s->starved = true;
	return NULL;
}

static void give_back(struct side *s, struct frame *f)
{
	port_free(s->port->queues[0], &f, 1);
}

static void replies_out(struct side *s, mono_t now)
{
	struct frame *f;
	struct tcp_tx tx;

	while ((f = frame_for(s))) {
		if (!tcp_next_reply(s->env, &tx)) {
			give_back(s, f);
			return;
		}
		segment_out(s, &tx, f, now);
	}
}

static bool conn_out(struct side *s, uint32_t conn, mono_t now)
{
	const struct tcp_tx_limits lim = {
		.tso_max_bytes = (s->port->caps & PORT_TSO)
					 ? s->port->tso_max_bytes : 0,
		.mtu = (uint16_t)s->mtu,
	};
	struct frame *f;
	struct tcp_tx tx;

	while ((f = frame_for(s))) {
		if (!tcp_out(s->env, conn, &lim, &tx, now)) {
			give_back(s, f);
			return true;
		}
		segment_out(s, &tx, f, now);
	}
	tcp_mark_dirty(s->env, conn);
	return false;
}

static void net_frames_out(struct side *s, mono_t now)
{
	struct port_queue *q = s->port->queues[0];
	struct frame *f[PORT_BURST];
	uint8_t port;
	int n;

	while ((n = net_ready(s->net, f, PORT_BURST)) > 0)
		port_tx(q, f, n, now);
	while ((n = net_failed(s->net, f, PORT_BURST)) > 0)
		port_free(q, f, n);
	while ((f[0] = frame_for(s))) {
		n = net_request(s->net, now, f[0]->data, &port);
		if (n == 0) {
			give_back(s, f[0]);
			return;
		}
		f[0]->len = (uint32_t)n;
		port_tx(q, f, 1, now);
	}
}

void side_output(struct side *s, mono_t now)
{
	uint32_t conn;

	s->starved = false;
	replies_out(s, now);
	while ((conn = tcp_next_dirty(s->env))) {
		s->announce(s->announce_arg, s, conn, now);
		if (!conn_out(s, conn, now))
			break;
	}
	replies_out(s, now);
	net_frames_out(s, now);
	port_flush(s->port->queues[0], now);
}

mono_t side_next_due(const struct side *s, mono_t now)
{
	mono_t tcp = tcp_next_due(s->env), net = net_next_due(s->net);
	mono_t due = mono_before(tcp, net) ? tcp : net;
	mono_t retry = mono_add(now, STARVED_US);

	return s->starved && mono_before(retry, due) ? retry : due;
}
