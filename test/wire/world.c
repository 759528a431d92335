#include "world.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "net/hdr.h"

#define START_US	1000000000ull
#define CLIENT		1u	/* the application's arena */
#define OTHER		2u	/* whom world_move() gives a connection */
#define PUMP_MAX	200000	/* segments and events a pump: more is a loop */
#define TIMERS_MAX	2000000	/* and timers an advance */
#define SEGMENT_MAX	65535u

static void problem(struct world *w, const char *text)
{
	if (!w->problem[0])
		snprintf(w->problem, sizeof(w->problem), "%s", text);
}

/* ---- birth ---- */

static void config_default(struct world *w)
{
	tcp_config_default(&w->cfg);
	w->cfg.max_conns = 256;
	w->cfg.max_listeners = 8;
	w->cfg.max_syn = 1024;
	w->cfg.max_time_wait = 256;
	w->cfg.max_extents = 16384;
	w->cfg.engines = 1;
	w->cfg.quick_acks = 0;
	w->cfg.rcv_wnd_max = 6u << 20;	/* ws 7 */
	w->cfg.snd_buf_max = 4u << 20;
	w->cfg.sack = false;
	memset(w->cfg.secret, 7, sizeof(w->cfg.secret));
	w->cfg.random_seed = 1;
	snprintf(w->cfg.cc, sizeof(w->cfg.cc), "reno");
}

struct world *world_new(void)
{
	struct world *w = calloc(1, sizeof(*w));

	ENSURE(w != NULL, "a test needs memory");
	config_default(w);
	addr_parse(&w->us, "10.0.0.1");
	addr_parse(&w->them, "10.0.0.2");
	w->iss = 1000000;
	w->mtu = 1500;
	w->small = w->large = UINT32_MAX;
	w->now = (mono_t){ START_US };
	return w;
}

void world_start(struct world *w)
{
	int rc;

	if (w->env)
		return;
	w->rss = calloc(1, sizeof(*w->rss));
	ENSURE(w->rss != NULL, "a test needs memory");
	rss_init(w->rss, rss_symmetric_key);
	rc = tcp_init(&w->env, &w->cfg, w->rss, kit_alloc, &w->heap);
	ENSURE(rc == 0, "tcp_init() of a small configuration");
	tcp_set_port_mtu(w->env, 0, (uint16_t)w->mtu);
	kit_arena_init(&w->arenas[0], UINT32_MAX, UINT32_MAX);
	kit_arena_init(&w->arenas[CLIENT], w->small, w->large);
	kit_arena_init(&w->arenas[OTHER], w->small, w->large);
	tcp_set_arena(w->env, 0, &w->arenas[0].arena);
	tcp_set_arena(w->env, OTHER, &w->arenas[OTHER].arena);
	tcp_set_arena(w->env, CLIENT, &w->arenas[CLIENT].arena);
	for (uint32_t i = 0; i < WORLD_PEERS; i++) {
		w->peers[i].iss = w->iss;
		w->peers[i].port = (uint16_t)(40000 + i);
		w->peers[i].our_port = 80;
	}
	/* The wheel learns what time it is. */
	world_advance(w, w->now, false);
}

/* ---- what TCP sends ---- */

static uint32_t find_peer(const struct world *w, const struct tcp_tx *tx)
{
	for (uint32_t i = 0; i < WORLD_PEERS; i++)
		if (addr_eq(&tx->dst, &w->them) &&
		    w->peers[i].port == ntohs(tx->dport) &&
		    w->peers[i].our_port == ntohs(tx->sport))
			return i;
	return WORLD_PEERS;
}

/* The stream begins after the SYN, and offset 0 is sequence number 1. */
static int64_t check_payload(const struct world_peer *p, const struct tcp_tx *tx)
{
	uint32_t syn = (tx->flags & TCP_SYN) ? 1 : 0;
	uint32_t offset = tx->seq + syn - p->our_iss - 1, done = 0;

	for (uint32_t i = 0; i < tx->pieces; i++) {
		int64_t bad = kit_differs(tx->piece[i].bytes, tx->piece[i].len,
					  WORLD_STREAM_OUT, offset + done);

		if (bad >= 0)
			return (int64_t)offset + done + bad;
		done += tx->piece[i].len;
	}
	return done == tx->payload_len ? -1 : (int64_t)offset + done;
}

static void describe(struct world *w, struct world_peer *p,
		     const struct tcp_tx *tx, struct world_sent *s)
{
	bool ok;

	s->seg = (struct seg){
		.has = SEG_SEQ | SEG_LEN | SEG_WIN | SEG_ECN,
		.ecn = tx->tos & 3,
		.flags = tx->flags,
		.len = tx->payload_len,
		.win = tx->wnd,
	};
	if ((tx->flags & TCP_SYN) && !p->our_iss_known) {
		p->our_iss = tx->seq;
		p->our_iss_known = true;
	}
	s->seg.seq = p->our_iss_known ? tx->seq - p->our_iss : tx->seq;
	if (tx->flags & TCP_ACK) {
		s->seg.has |= SEG_ACK;
		s->seg.ack = tx->ack - p->iss;
	}
	ok = seg_opts_read(&s->seg, tx->opts, tx->opt_len);
	if (!ok || tx->opt_len % 4)
		problem(w, "TCP sent malformed options");
	for (uint32_t i = 0; i < s->seg.sacks; i++) {
		s->seg.sack[i][0] -= p->iss;
		s->seg.sack[i][1] -= p->iss;
	}
	if (s->seg.opts & SEG_O_TS)
		p->last_ts = s->seg.ts_val;
	if ((s->seg.opts & SEG_O_TFO) && (tx->flags & TCP_ACK)) {
		w->tfo_len = s->seg.tfo_len;
		memcpy(w->tfo, s->seg.tfo, sizeof(w->tfo));
	}
	s->bad_byte = check_payload(p, tx);
}

static void capture(struct world *w, const struct tcp_tx *tx)
{
	struct world_sent *s;
	uint32_t peer;

	peer = find_peer(w, tx);
	if (w->discard || (peer == WORLD_PEERS && w->no_strangers))
		return;
	if (w->sent_tail - w->sent_head == WORLD_SENT) {
		problem(w, "TCP sends without end");
		return;
	}
	s = &w->sent[w->sent_tail++ % WORLD_SENT];
	*s = (struct world_sent){ .when = w->now, .peer = peer, .ttl = tx->ttl,
				  .tos = tx->tos, .df = tx->df };
	if (peer < WORLD_PEERS)
		describe(w, &w->peers[peer], tx, s);
	else
		s->seg = (struct seg){ .has = SEG_SEQ, .flags = tx->flags,
				       .seq = tx->seq };
}

struct world_sent *world_sent(struct world *w)
{
	if (w->sent_head == w->sent_tail)
		return NULL;
	return &w->sent[w->sent_head % WORLD_SENT];
}

void world_sent_pop(struct world *w)
{
	w->last = w->sent[w->sent_head % WORLD_SENT];
	w->sent_head++;
}

/* ---- what TCP announces ---- */

static struct world_peer *peer_of_conn(struct world *w, uint32_t conn)
{
	for (uint32_t i = 0; i < WORLD_PEERS; i++)
		if (w->peers[i].conn == conn)
			return &w->peers[i];
	return NULL;
}

static void take_data(struct world *w, struct world_peer *p)
{
	struct tcp_extent e;

	while (p->extent_tail - p->extent_head < WORLD_EXTENTS &&
	       tcp_announce_data(w->env, p->conn, &e)) {
		p->extents[p->extent_tail++ % WORLD_EXTENTS] =
			(struct world_extent){ .e = e };
		p->readable += e.len;
	}
}

/* Only connections that somebody has can be told anything. */
static void take_events(struct world *w, uint32_t conn)
{
	struct world_peer *p = peer_of_conn(w, conn);
	uint32_t ev;

	if (!p || !p->client)
		return;
	take_data(w, p);
	ev = tcp_events(w->env, conn) & ~(uint32_t)TCP_EVENT_DATA;
	if (ev & TCP_EVENT_ERROR)
		p->error = tcp_error(w->env, conn);
	for (uint32_t bit = 1; bit <= ev; bit <<= 1)
		if (ev & bit)
			tcp_announced(w->env, conn, bit);
	p->events |= ev;
}

void world_pump(struct world *w)
{
	const struct tcp_tx_limits lim = { .mtu = (uint16_t)w->mtu };
	struct tcp_tx tx;
	uint32_t conn, bound = PUMP_MAX;

	while (tcp_next_reply(w->env, &tx) && --bound)
		capture(w, &tx);
	while ((conn = tcp_next_dirty(w->env)) && --bound) {
		take_events(w, conn);
		while (tcp_out(w->env, conn, &lim, &tx, w->now) && --bound)
			capture(w, &tx);
	}
	while (tcp_next_reply(w->env, &tx) && --bound)
		capture(w, &tx);
	if (!bound)
		problem(w, "TCP does not come to rest");
}

void world_advance(struct world *w, mono_t when, bool until_sent)
{
	for (uint32_t i = 0; i < TIMERS_MAX; i++) {
		mono_t due = tcp_next_due(w->env);

		if (mono_before(when, due))
			break;
		if (mono_before(w->now, due))
			w->now = due;
		while (tcp_advance(w->env, w->now))
			world_pump(w);
		world_pump(w);
		if (until_sent && world_sent(w))
			return;
		due = tcp_next_due(w->env);
		if (!mono_before(w->now, due)) {
			problem(w, "tcp_next_due() stays in the past");
			return;
		}
	}
	if (mono_before(w->now, when))
		w->now = when;
	tcp_advance(w->env, w->now);
	world_pump(w);
}

/* ---- what the peer sends ---- */

static void fill_header(const struct world_peer *p, const struct seg *s,
			uint32_t opt_len, struct hdr_tcp *h)
{
	uint32_t words = (TCP_BYTES + opt_len) / 4;

	if (s->has & SEG_DOFF)
		words = s->doff;
	*h = (struct hdr_tcp){
		.sport = htons(p->port),
		.dport = htons(p->our_port),
		.seq = htonl(p->iss + s->seq),
		.data_off = (uint8_t)(words << 4 | s->flags >> 8),
		.flags = (uint8_t)s->flags,
		.wnd = htons((s->has & SEG_WIN) ? (uint16_t)s->win : 65535),
	};
	if (s->has & SEG_ACK)
		h->ack = htonl(p->our_iss + s->ack);
}

static void fill_payload(const struct seg *s, uint8_t *out)
{
	uint32_t offset = s->seq + ((s->flags & TCP_SYN) ? 1 : 0) - 1;

	if (s->junk)
		memset(out, 0xee, s->len);
	else
		kit_bytes(out, s->len, WORLD_STREAM_IN, offset);
}

void world_gather(struct world *w, uint32_t peer, const struct seg *s,
		  const struct ip_addr *from)
{
	/* Exactly as large as the segment, so that asan sees a read past it. */
	struct seg copy = *s;
	uint8_t opts[SEG_RAW_MAX];
	struct tcp_rx rx = { .src = from ? *from : w->them, .dst = w->us,
			     .ecn = s->ecn };
	uint32_t opt_len, len;
	uint16_t sum;
	uint8_t *l4;

	if (copy.opts & SEG_O_TFO_LAST) {
		copy.tfo_len = w->tfo_len;
		memcpy(copy.tfo, w->tfo, sizeof(copy.tfo));
	}
	if (copy.opts & SEG_O_ECR_LAST)
		copy.ts_ecr += w->peers[peer].last_ts;
	for (uint32_t i = 0; i < copy.sacks; i++) {
		copy.sack[i][0] += w->peers[peer].our_iss;
		copy.sack[i][1] += w->peers[peer].our_iss;
	}
	opt_len = seg_opts_build(&copy, opts);
	len = TCP_BYTES + opt_len + s->len;
	ENSURE(len <= SEGMENT_MAX, "a script sends what IP can carry");
	l4 = malloc(len);
	ENSURE(l4 != NULL, "a test needs memory");
	fill_header(&w->peers[peer], &copy, opt_len, (struct hdr_tcp *)l4);
	memcpy(l4 + TCP_BYTES, opts, opt_len);
	fill_payload(s, l4 + TCP_BYTES + opt_len);
	if (s->has & SEG_CUT)
		len = s->cut < len ? s->cut : len;
	if (len >= TCP_BYTES) {
		sum = kit_csum(&rx.src, &rx.dst, l4, len);
		sum ^= s->bad_sum ? 0x0101 : 0;
		memcpy(l4 + offsetof(struct hdr_tcp, csum), &sum, 2);
	}
	rx.l4 = l4;
	rx.l4_len = len;
	ENSURE(w->burst_count < TCP_BURST_MAX, "a burst within its bound");
	w->burst[w->burst_count++] = rx;
}

void world_deliver(struct world *w, uint32_t peer, const struct seg *s,
		   const struct ip_addr *from)
{
	uint32_t hash[TCP_BURST_MAX];

	world_gather(w, peer, s, from);
	for (uint32_t i = 0; i < w->burst_count; i++)
		hash[i] = tcp_rx_hash(w->env, &w->burst[i]);
	if (w->burst_count > 1)
		tcp_in_burst(w->env, w->burst, hash, w->burst_count, w->now);
	else
		tcp_in(w->env, &w->burst[0], hash[0], w->now);
	while (w->burst_count)
		free((void *)(uintptr_t)w->burst[--w->burst_count].l4);
	world_pump(w);
}

/* ---- the application ---- */

int world_listen(struct world *w, uint16_t port, uint32_t backlog)
{
	const struct tcp_listen l = {
		.addr = addr_from_v4(0),
		.port = htons(port),
		.backlog = backlog,
		.tag = port,
	};
	int rc = tcp_listen(w->env, &l);

	if (rc > 0 && !w->listener)
		w->listener = (uint32_t)rc;
	return rc;
}

int world_connect(struct world *w, uint32_t peer, uint16_t port)
{
	struct world_peer *p = &w->peers[peer];
	struct tcp_connect c = {
		.local = w->us,
		.remote = w->them,
		.client = CLIENT,
		.cookie = peer,
		.mtu = (uint16_t)w->mtu,
	};
	int rc;

	p->port = port;
	p->our_port = (uint16_t)(50000 + peer);
	c.lport = htons(p->our_port);
	c.rport = htons(p->port);
	c.fastopen = w->fastopen;
	rc = tcp_connect(w->env, &c, w->now);
	if (rc > 0) {
		p->conn = (uint32_t)rc;
		p->client = CLIENT;
	}
	if (!w->fastopen)
		world_pump(w);
	return rc;
}

static bool is_peer(const struct world *w, const struct world_peer *p,
		    const struct tcp_info *info)
{
	return ntohs(info->lport) == p->our_port &&
	       ntohs(info->rport) == p->port &&
	       addr_eq(&info->remote, &w->them);
}

static bool find_info(struct world *w, const struct world_peer *p,
		      struct tcp_info *out)
{
	struct tcp_info slice[16];
	uint32_t cursor = 0;
	int n;

	while ((n = tcp_list(w->env, &cursor, slice, 16)) > 0)
		for (int i = 0; i < n; i++)
			if (is_peer(w, p, &slice[i])) {
				*out = slice[i];
				return true;
			}
	return false;
}

const char *world_state(struct world *w, uint32_t peer)
{
	struct tcp_info info;

	if (!find_info(w, &w->peers[peer], &info))
		return "CLOSED";
	return tcp_state_name(info.state);
}

/* Which peer is behind a connection that was accepted just now. */
static uint32_t peer_of_accepted(struct world *w, uint32_t conn)
{
	struct tcp_info info;

	tcp_describe(w->env, conn, &info);
	for (uint32_t i = 0; i < WORLD_PEERS; i++)
		if (!w->peers[i].conn && is_peer(w, &w->peers[i], &info))
			return i;
	return WORLD_PEERS;
}

int world_accept(struct world *w, uint32_t *peer)
{
	uint32_t conn, i;
	int rc;

	if (!tcp_accept_waiting(w->env, w->listener))
		return 0;
	conn = tcp_accept(w->env, w->listener);
	i = peer_of_accepted(w, conn);
	if (i == WORLD_PEERS) {
		problem(w, "accepted a connection of no peer");
		return -ENOENT;
	}
	rc = tcp_assign(w->env, conn, CLIENT, 0, i);
	if (rc)
		return rc;
	w->peers[i].conn = conn;
	w->peers[i].client = CLIENT;
	*peer = i;
	take_events(w, conn);
	world_pump(w);
	return 1;
}

int world_write(struct world *w, uint32_t peer, uint32_t bytes, bool more)
{
	struct world_peer *p = &w->peers[peer];

	while (bytes) {
		int rc = kit_write(w->env, &w->arenas[CLIENT], p->conn,
				   bytes > BLOCK_SMALL_BYTES ? BLOCK_LARGE
							     : BLOCK_SMALL,
				   bytes, WORLD_STREAM_OUT, p->written,
				   more || bytes > BLOCK_LARGE_BYTES, w->now);

		if (rc <= 0)
			return rc ? rc : -ENOMEM;
		p->written += (uint32_t)rc;
		bytes -= (uint32_t)rc;
	}
	world_pump(w);
	return 0;
}

/* Up to @want bytes of the oldest extent; 0: none is there, or it is wrong. */
static uint32_t read_extent(struct world *w, struct world_peer *p, uint32_t want)
{
	struct world_extent *x = &p->extents[p->extent_head % WORLD_EXTENTS];
	const uint8_t *bytes;
	uint32_t n;
	int64_t bad;

	if (p->extent_head == p->extent_tail)
		return 0;
	n = x->e.len - x->used < want ? x->e.len - x->used : want;
	bytes = block_bytes(&w->arenas[p->client].arena, x->e.block);
	bad = kit_differs(bytes + x->e.offset + x->used, n, WORLD_STREAM_IN,
			  p->read);
	if (bad >= 0) {
		snprintf(w->problem, sizeof(w->problem),
			 "byte %u of the stream is wrong",
			 p->read + (uint32_t)bad);
		return 0;
	}
	x->used += n;
	if (x->used == x->e.len)
		p->extent_head++;
	return n;
}

bool world_read(struct world *w, uint32_t peer, uint32_t bytes)
{
	struct world_peer *p = &w->peers[peer];
	uint32_t left = bytes, n;

	while (left && (n = read_extent(w, p, left))) {
		left -= n;
		p->read += n;
		p->readable -= n;
	}
	if (tcp_consumed(w->env, p->conn, bytes - left, w->now))
		problem(w, "tcp_consumed() refuses what was announced");
	world_pump(w);
	if (left)
		problem(w, "less to read than the script says");
	return !left && !w->problem[0];
}

/* Announcing begins anew at what is unread, in the other's blocks. */
bool world_move(struct world *w, uint32_t peer)
{
	struct world_peer *p = &w->peers[peer];
	uint32_t to = p->client == CLIENT ? OTHER : CLIENT;

	if (tcp_assign(w->env, p->conn, to, 0, peer))
		return false;
	p->client = to;
	p->extent_head = p->extent_tail;
	p->readable = 0;
	world_pump(w);
	return true;
}

/* Closed, and the engine has said so to the client: nothing more to ask. */
void world_close(struct world *w, uint32_t peer, bool abort)
{
	struct world_peer *p = &w->peers[peer];
	uint32_t conn = p->conn;

	if (!conn)
		return;
	p->conn = 0;
	p->client = 0;
	p->events = 0;
	p->error = 0;
	p->extent_head = p->extent_tail;
	p->readable = 0;
	p->written = 0;
	p->read = 0;
	tcp_close(w->env, conn, abort, w->now);
	tcp_detach(w->env, conn);
	world_pump(w);
}

/* ---- death ---- */

bool world_end(struct world *w)
{
	if (!w->env)
		return true;
	tcp_check(w->env);
	w->discard = true;
	for (uint32_t i = 0; i < WORLD_PEERS; i++)
		world_close(w, i, true);
	if (w->listener)
		tcp_unlisten(w->env, w->listener);
	world_pump(w);
	world_advance(w, mono_add(w->now, 3600 * 1000000ull), false);
	tcp_check(w->env);
	if (!tcp_is_empty(w->env))
		problem(w, "a connection or an extent is left an hour after all was closed");
	if (kit_arena_leaked(&w->arenas[0]) || kit_arena_leaked(&w->arenas[1]) ||
	    kit_arena_leaked(&w->arenas[OTHER]))
		problem(w, "a block is left after all was closed");
	return !w->problem[0];
}

void world_fini(struct world *w)
{
	while (w->burst_count)
		free((void *)(uintptr_t)w->burst[--w->burst_count].l4);
	if (w->env) {
		kit_arena_fini(&w->arenas[0]);
		kit_arena_fini(&w->arenas[1]);
		kit_arena_fini(&w->arenas[OTHER]);
	}
	free(w->rss);
	kit_free(&w->heap);
	free(w);
}
