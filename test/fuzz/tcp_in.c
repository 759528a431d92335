/*
 * tcp_in.c - fuzzes daemon/tcp with segments, commands and time
 *
 * The input is a program of steps for one TCP: a byte that says what, then its
 * operands.  Segments are made relative to what their connection expects, so
 * that mutations come far; a step of raw bytes tries the parser.
 *
 * What must hold: tcp_check() after every step; bytes leave and arrive as what
 * they are by their sequence numbers (every byte of a stream is a function of
 * its number); no segment is larger than it may be; a connection that the
 * engine knows stays until it is detached; and in the end, with a peer that
 * is silent, everything ends by itself and every block comes home.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "mem/block.h"
#include "net/hdr.h"
#include "shm/cmd.h"
#include "tcp/env.h"
#include "tcp_run.h"

#define SEGMENT_MAX	(TCP_BYTES + OPT_BYTES_MAX + 1500)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ---- segments in ---- */

struct place { seq_t rcv_nxt, rcv_adv, snd_una, snd_max; uint32_t ts, hash; };

/* What the owner of @tuple expects; zeros: there is none. */
static struct place place_of(const struct run *r, const struct flow_tuple *tuple)
{
	uint32_t hash = flow_hash(r->env, tuple);
	uint32_t ref = flow_find(r->env, tuple, hash), i = flow_index(ref);
	struct place p = { 0, 0, 0, 0, 0, hash };

	if (flow_kind(ref) == FLOW_TCB) {
		const struct tcb *t = tcb_at(r->env, i);

		return (struct place){ t->rcv_nxt, t->rcv_adv, t->snd_una,
				       t->snd_max, t->ts_recent, hash };
	}
	if (flow_kind(ref) == FLOW_SYN) {
		const struct syn_rec *s = syn_at(r->env, i);

		p.rcv_nxt = p.rcv_adv = s->irs + 1;
		p.snd_una = p.snd_max = s->iss + 1;
		p.ts = s->ts_recent;
	} else if (flow_kind(ref) == FLOW_TIME_WAIT) {
		const struct tw_rec *w = tw_at(r->env, i);

		p.rcv_nxt = p.rcv_adv = w->rcv_nxt;
		p.snd_una = p.snd_max = w->snd_nxt;
		p.ts = w->ts_recent;
	}
	return p;
}

static struct flow_tuple take_tuple(struct run *r)
{
	static const uint16_t local[4] = { 80, 4000, 81, 9 };
	uint8_t b = take(r);

	return (struct flow_tuple){
		.remote = r->peer, .local = r->us,
		.rport = htons((uint16_t)(1000 + (b & 7))),
		.lport = htons(local[b >> 3 & 3]) };
}

/* No cookie, ours, or any. */
static void take_cookie(struct run *r, const struct flow_tuple *tuple,
			struct tcp_opts *o)
{
	uint8_t b = take(r);

	tfo_cookie(r->env, tuple, o);
	if (!(b & 3))
		o->tfo_len = 0;
	else if (!(b & 12))
		o->tfo[0] ^= b;
}

static uint32_t take_options(struct run *r, uint8_t *out, uint32_t mode,
			     const struct place *p,
			     const struct flow_tuple *tuple)
{
	struct tcp_opts o = { .has = OPT_TS };
	uint32_t n;

	switch (mode) {
	case 0:
		return 0;
	case 1:
		o.tsval = p->ts + take_delta(r);
		o.tsecr = tcp_ts_now(r->env, p->hash) - take(r);
		return tcp_opt_build(out, &o);
	case 2:
		o.has = take(r) & (OPT_MSS | OPT_WSCALE | OPT_TS | OPT_SACK_OK);
		o.mss = (uint16_t)take16(r);
		o.wscale = take(r) & 15;
		o.tsval = p->ts + take(r);
		if (o.has & OPT_SACK_OK)	/* Fast Open: asked for, or a cookie */
			take_cookie(r, tuple, &o);
		return tcp_opt_build(out, &o);
	default:
		n = take(r) % 11 * 4;
		for (uint32_t i = 0; i < n; i++)
			out[i] = take(r);
		return n;
	}
}

static uint32_t take_len(struct run *r, uint32_t mode)
{
	switch (mode) {
	case 0:
		return 0;
	case 1:
		return take(r);
	case 2:
		return take16(r) % 1461;
	default:
		return 1460;
	}
}

/* An exact copy, so that sanitizers see what is read past its end. */
static void deliver(struct run *r, const uint8_t *bytes, uint32_t len, bool sum)
{
	uint8_t *exact = malloc(len ? len : 1);
	struct tcp_rx rx = { .src = r->peer, .dst = r->us, .l4 = exact,
			     .l4_len = len, .csum_ok = sum };

	if (!exact)
		abort();
	memcpy(exact, bytes, len);
	tcp_in(r->env, &rx, tcp_rx_hash(r->env, &rx), r->now);
	free(exact);
}

/* @h is complete but for lengths; options are in @buf where they belong. */
static void put_segment(struct run *r, struct hdr_tcp *h, uint8_t *buf,
			uint32_t opts, uint32_t len)
{
	seq_t seq = ntohl(h->seq) + ((h->flags & TCP_SYN) != 0);

	h->data_off = (uint8_t)((TCP_BYTES + opts) / 4 << 4);
	memcpy(buf, h, sizeof(*h));
	for (uint32_t i = 0; i < len; i++)
		buf[TCP_BYTES + opts + i] = stream_byte(seq + i, false);
	if (len == RUN_BYTES && !(h->flags & TCP_SYN))
		put_run(r, h, buf, opts, len);
	else
		deliver(r, buf, TCP_BYTES + opts + len, true);
}

static void step_segment(struct run *r)
{
	struct flow_tuple tuple = take_tuple(r);
	struct place p = place_of(r, &tuple);
	struct hdr_tcp h = { .sport = tuple.rport, .dport = tuple.lport };
	uint8_t buf[SEGMENT_MAX], modes;
	uint32_t opts;
	seq_t seq, ack;

	h.flags = take(r) & 0x3f;
	modes = take(r);
	seq = modes & 1 ? p.rcv_adv : p.rcv_nxt;
	ack = modes & 2 ? p.snd_una : p.snd_max;
	if (modes & 4)
		seq += take_delta(r) * (modes & 1 ? 1u : 97u);
	if (modes & 8)
		ack += take_delta(r);
	h.wnd = htons((uint16_t)take16(r));
	h.seq = htonl(seq);
	h.ack = htonl(ack);
	opts = take_options(r, buf + TCP_BYTES, modes >> 4 & 3, &p, &tuple);
	put_segment(r, &h, buf, opts, take_len(r, modes >> 6));
}

/* What a good peer would send. */
static void good_segment(struct run *r, const struct flow_tuple *tuple,
			 uint8_t flags, uint32_t len)
{
	struct place p = place_of(r, tuple);
	struct tcp_opts o = { .has = OPT_TS, .mss = 1460, .wscale = 7,
			      .tsval = p.ts + 1 };
	struct hdr_tcp h = { .sport = tuple->rport, .dport = tuple->lport,
			     .seq = htonl(p.rcv_nxt), .ack = htonl(p.snd_max),
			     .flags = flags, .wnd = htons(UINT16_MAX) };
	uint8_t buf[SEGMENT_MAX];

	if (flags & TCP_SYN)
		o.has |= OPT_MSS | OPT_WSCALE;
	o.tsecr = flags == TCP_SYN ? 0 : tcp_ts_now(r->env, p.hash);
	put_segment(r, &h, buf, tcp_opt_build(buf + TCP_BYTES, &o), len);
}

/* Raw headers; no payload, which would not be the stream's. */
static void step_raw(struct run *r)
{
	uint8_t buf[60];
	uint32_t n = take(r) % (sizeof(buf) + 1);

	for (uint32_t i = 0; i < n; i++)
		buf[i] = take(r);
	if (n >= TCP_BYTES)
		buf[12] = (uint8_t)((n / 4) << 4 | (buf[12] & 15));
	deliver(r, buf, n & ~3u, take(r) & 1);
}

static void step_icmp(struct run *r)
{
	struct flow_tuple tuple = take_tuple(r);
	struct tcp_icmp e = { .src = tuple.local, .dst = tuple.remote,
			      .sport = tuple.lport, .dport = tuple.rport };
	uint8_t b = take(r);

	e.type = b & 1 ? 3 : b & 2 ? 11 : take(r);
	e.code = b >> 2 & 15;
	e.mtu = (uint16_t)take16(r);
	e.seq = place_of(r, &tuple).snd_una + take(r);
	tcp_icmp_in(r->env, &e, r->now);
}

/* ---- what the engine would do ---- */

static void forget(struct run *r, struct known *k)
{
	*k = r->known[--r->known_count];
}

static void know(struct run *r, uint32_t conn, uint32_t listener)
{
	ENSURE(r->known_count < KNOWN_MAX, "the pool is smaller");
	r->known[r->known_count++] = (struct known){
		.conn = conn, .listener = listener,
		.generation = tcp_user(r->env, conn)->generation };
}

/* One that is not detached, or NULL. */
static struct known *pick(struct run *r)
{
	struct known *k;

	if (!r->known_count)
		return NULL;
	k = &r->known[take(r) % r->known_count];
	return k->detached ? NULL : k;
}

/* Known connections stay; orphans that are gone are forgotten. */
static void check_known(struct run *r)
{
	for (uint32_t i = 0; i < r->known_count;) {
		struct known *k = &r->known[i];

		if (tcp_conn_valid(r->env, k->conn, k->generation)) {
			i++;
			continue;
		}
		ENSURE(k->detached, "it stays until the engine lets go");
		forget(r, k);
	}
}

static void step_connect(struct run *r)
{
	struct flow_tuple tuple = take_tuple(r);
	struct tcp_connect c = { .local = tuple.local, .remote = tuple.remote,
				 .lport = tuple.lport, .rport = tuple.rport,
				 .client = 1 + (take(r) & 1), .mtu = r->mtu,
				 .fastopen = r->now.us & 1 };
	bool unused = tcp_tuple_free(r->env, &c.local, c.lport, &c.remote,
				     c.rport, r->now);
	int conn = tcp_connect(r->env, &c, r->now);

	ENSURE(unused == (conn != -EADDRINUSE), "both say the same");
	if (conn > 0)
		know(r, (uint32_t)conn, 0);
}

static void step_accept(struct run *r)
{
	uint32_t i = take(r), l = r->listener[i % LISTENERS], conn;

	if (!l)
		return;
	conn = tcp_accept(r->env, l);
	if (!conn)
		return;
	if (tcp_assign(r->env, conn, 1 + (i >> 1 & 1), 0, 1) == 0 || i & 4)
		know(r, conn, l);
	else
		tcp_accept_return(r->env, l, conn);
}

static void step_assign(struct run *r)
{
	struct known *k = pick(r);
	uint32_t to = take(r);

	if (k && !k->closed && k->listener && to & 8) {
		tcp_accept_return(r->env, k->listener, k->conn);
		forget(r, k);
	} else if (k && !k->closed) {
		tcp_assign(r->env, k->conn, to % ARENAS, 0, 1);
	}
}

static void send_bytes(struct run *r, uint32_t conn, uint32_t len)
{
	const struct tcb *t = tcb_at(r->env, conn);
	struct arena *a = arena_of(r->env, t);
	uint32_t block = block_grant(a, len > BLOCK_SMALL_BYTES ? BLOCK_LARGE :
							 BLOCK_SMALL, CTX);
	seq_t from = t->snd_end;
	uint8_t *bytes;

	if (block == BLOCK_NONE)
		return;
	bytes = block_bytes(a, block);
	for (uint32_t i = 0; i < len; i++)
		bytes[i] = stream_byte(from + i, true);
	for (uint32_t at = 0, n; at < len; at += n) {	/* in one or two */
		n = at == 0 && len & 1 ? (len + 1) / 2 : len - at;
		ENSURE(block_fill(a, block, CTX, at, n) == 0, "it was granted");
		if (tcp_send(r->env, conn, block, at, n, len & 2, r->now))
			break;
	}
	ENSURE(block_give_up(a, block, CTX) == 0, "it was granted");
}

static void step_send(struct run *r)
{
	struct known *k = pick(r);
	uint32_t len = take16(r) % (BLOCK_LARGE_BYTES + 1);

	if (!k || k->closed || !len)
		return;
	send_bytes(r, k->conn, len);
	if (len & 4)
		tcp_want_sent(r->env, k->conn);
}

/* Announces at most @max extents, checks their bytes. */
static void announce(struct run *r, uint32_t conn, int max)
{
	struct tcp_extent e;

	while (max-- > 0) {
		const struct tcb *t = tcb_at(r->env, conn);
		const struct arena *a = arena_of(r->env, t);
		seq_t from = t->rcv_told;
		const uint8_t *bytes;

		if (!tcp_announce_data(r->env, conn, &e))
			break;
		bytes = block_bytes(a, e.block) + e.offset;
		for (uint32_t i = 0; i < e.len; i++)
			ENSURE(bytes[i] == stream_byte(from + i, false),
			       "what arrives is what was sent");
	}
}

static void step_read(struct run *r)
{
	struct known *k = pick(r);
	uint32_t n = take16(r), told;
	const struct tcb *t;

	if (!k || k->closed)
		return;
	announce(r, k->conn, 1 + (int)(n & 7));
	t = tcb_at(r->env, k->conn);
	told = t->rcv_told - t->rcv_read;
	if (n & 8)
		n = told;
	ENSURE((tcp_consumed(r->env, k->conn, n, r->now) == 0) == (n <= told),
	       "only what was announced is consumed");
}

/* As an engine does it, a slab a turn. */
static void revoke_all(struct arena *a)
{
	uint32_t slab = 0;

	while (!arena_revoke(a, CTX, &slab, 1))
		;
}

static void detach(struct run *r, struct known *k)
{
	k->closed = k->detached = true;
	tcp_detach(r->env, k->conn);
}

static void step_end(struct run *r)
{
	struct known *k = pick(r);

	switch (take(r) % 6) {
	case 0:
		if (k && !k->closed)
			tcp_shutdown_write(r->env, k->conn, r->now);
		return;
	case 1:
		if (k && !k->closed)
			tcp_shutdown_read(r->env, k->conn, r->now);
		return;
	case 2:
	case 3:
		if (k) {
			k->closed = true;
			tcp_close(r->env, k->conn, false, r->now);
		}
		return;
	case 4:
		if (k) {
			k->closed = true;
			tcp_close(r->env, k->conn, true, r->now);
		}
		return;
	default:
		if (k)
			detach(r, k);
	}
}

static void step_option(struct run *r)
{
	struct known *k = pick(r);
	uint32_t name = take(r) % 13;
	int32_t value = (int32_t)take32(r);

	if (name & 1)
		value &= 0xff;
	if (k && !k->closed)
		tcp_option(r->env, k->conn, name, value, r->now);
}

/* A client dies: all that is its is aborted, then no block is in use. */
static void step_client_dies(struct run *r)
{
	uint32_t client = 1 + (take(r) & 1);

	for (uint32_t i = 0; i < r->known_count; i++) {
		struct known *k = &r->known[i];

		if (!tcp_conn_valid(r->env, k->conn, k->generation) ||
		    tcp_user(r->env, k->conn)->client != client)
			continue;
		tcp_close(r->env, k->conn, true, r->now);
		if (!k->detached)
			detach(r, k);
	}
	revoke_all(&r->arena[client]);
	ENSURE(all_home(r, client), "every block came home");
	tcp_set_arena(r->env, client, NULL);
	check_known(r);
	tcp_check(r->env);
	tcp_set_arena(r->env, client, &r->arena[client]);
}

static void step_listen(struct run *r)
{
	uint32_t b = take(r), i = b % LISTENERS;
	struct tcp_listen l = { .port = htons(i ? 81 : 80), .tag = 1 + i,
				.backlog = b >> 1 & 3 };
	int made;

	if (r->listener[i]) {
		tcp_unlisten(r->env, r->listener[i]);
		r->listener[i] = 0;
		return;
	}
	l.addr = i ? addr_from_v4(0) : r->us;
	made = tcp_listen(r->env, &l);
	r->listener[i] = made > 0 ? (uint32_t)made : 0;
}

/* Leaves a client only so many blocks as the input says. */
static void step_hog(struct run *r)
{
	uint32_t b = take(r), leave = b >> 4;
	struct arena *a = &r->arena[b % ARENAS];

	if (b & 8) {
		revoke_all(a);
		return;
	}
	for (int cls = 0; cls < BLOCK_CLASSES; cls++)
		while (a->free_count[cls] > leave &&
		       block_grant(a, (enum block_class)cls, CTX) != BLOCK_NONE)
			;
}

/* ---- segments out ---- */

static void check_tx(const struct run *r, const struct tcp_tx *tx)
{
	uint32_t sum = 0;

	ENSURE(tx->opt_len % 4 == 0 && tx->opt_len <= sizeof(tx->opts),
	       "options fill words");
	ENSURE((tx->flags & (TCP_SYN | TCP_RST | TCP_ACK)) != 0 &&
	       !((tx->flags & TCP_SYN) && (tx->flags & (TCP_FIN | TCP_RST))),
	       "flags that make sense");
	ENSURE(tx->payload_len <= tx->mss ||
	       tx->payload_len + TCP_BYTES + tx->opt_len + 20 <= r->tso,
	       "a segment, or what the port may cut");
	/* SACK blocks go only where the payload leaves room. */
	if (tx->payload_len > tx->mss)
		sum = tx->mss;
	else
		sum = tx->payload_len;
	ENSURE(!sum || sum + 40u + tx->opt_len <= r->mtu,
	       "segments fit the path");
	sum = 0;
	ENSURE(tx->pieces <= TCP_TX_PIECES, "as many as there is room for");
	for (uint32_t i = 0; i < tx->pieces; i++) {
		const uint8_t *bytes = tx->piece[i].bytes;

		for (uint32_t k = 0; k < tx->piece[i].len; k++, sum++)
			ENSURE(bytes[k] == stream_byte(tx->seq + sum, true),
			       "what leaves is what was queued");
	}
	ENSURE(sum == tx->payload_len, "all pieces, no more");
}

/* What is new to announce on @conn, as far as the engine knows it. */
static void tell(struct run *r, uint32_t conn)
{
	for (uint32_t i = 0; i < r->known_count; i++) {
		struct known *k = &r->known[i];
		uint32_t events;

		if (k->conn != conn || k->detached)
			continue;
		if (!k->closed)
			announce(r, conn, 4);
		events = tcp_events(r->env, conn);
		tcp_announced(r->env, conn, events & ~(uint32_t)TCP_EVENT_DATA);
		ENSURE(!(events & TCP_EVENT_ERROR) || tcp_error(r->env, conn),
		       "an error has a number");
	}
}

/* At most @max segments: a port that is full keeps the connection dirty. */
static void flush(struct run *r, int max)
{
	struct tcp_tx_limits lim = { .tso_max_bytes = r->tso, .mtu = r->mtu };
	struct tcp_tx tx;
	uint32_t conn;

	while (max > 0 && (conn = tcp_next_dirty(r->env)) != 0) {
		while (max > 0 && tcp_out(r->env, conn, &lim, &tx, r->now)) {
			check_tx(r, &tx);
			max--;
		}
		if (max == 0)
			tcp_mark_dirty(r->env, conn);
		else
			tell(r, conn);
	}
	while (max-- > 0 && tcp_next_reply(r->env, &tx))
		check_tx(r, &tx);
	while (tcp_next_ready_listener(r->env))
		;
}

static void step_flush(struct run *r)
{
	uint8_t b = take(r);

	if (b & 1)
		r->mtu = b & 2 ? 1500 : 576;
	if (b & 4)
		r->tso = b & 8 ? 65535 : 0;
	flush(r, b & 16 ? 1 + (b >> 5) : 100000);
}

/* ---- time ---- */

static void advance(struct run *r)
{
	int turns = 0;

	while (tcp_advance(r->env, r->now))
		ENSURE(turns++ < 1000, "what is due ends");
	ENSURE(mono_before(r->now, tcp_next_due(r->env)),
	       "nothing is due that was not done");
}

static void step_time(struct run *r)
{
	uint32_t b = take16(r);
	mono_t due = tcp_next_due(r->env);

	if (b & 0x8000 && due.us != UINT64_MAX && due.us > r->now.us)
		r->now = due;
	else
		r->now.us += (uint64_t)(b & 0xff) << (b >> 8 & 31) % 24;
	advance(r);
}

/* ---- longer ways, so that short inputs come far ---- */

/* A peer connects, and is perhaps accepted. */
static void step_open(struct run *r)
{
	struct flow_tuple tuple = take_tuple(r);

	good_segment(r, &tuple, TCP_SYN, 0);
	flush(r, 100000);
	good_segment(r, &tuple, TCP_ACK, 0);
	step_accept(r);
}

/* Rounds of data both ways, all of it acknowledged. */
static void step_rounds(struct run *r)
{
	struct known *k = pick(r);
	uint32_t b = take(r);
	struct flow_tuple tuple;

	if (!k || k->closed)
		return;
	tuple = tcb_at(r->env, k->conn)->tuple;
	for (uint32_t i = 0; i < (b & 31); i++) {
		for (uint32_t n = 0; n < 2 && b & 32; n++)
			send_bytes(r, k->conn, BLOCK_LARGE_BYTES);
		flush(r, 100000);
		r->now.us += 20000;
		advance(r);
		good_segment(r, &tuple, TCP_ACK, b & 64 ? 1000 : 0);
		if (!tcp_conn_valid(r->env, k->conn, k->generation))
			break;
		announce(r, k->conn, 8);
		if (b & 128)
			tcp_consumed(r->env, k->conn, 1000, r->now);
	}
}

/* ---- a run ---- */

static void step(struct run *r)
{
	static void (*const steps[16])(struct run *) = {
		step_segment, step_segment, step_segment, step_flush,
		step_time, step_connect, step_accept, step_assign,
		step_send, step_read, step_end, step_option,
		step_client_dies, step_listen, step_hog, step_icmp };
	uint8_t what = take(r);

	if ((what & 0xf0) == 0xf0)
		step_raw(r);
	else if ((what & 0xf0) == 0xe0)
		(what & 1 ? step_rounds : step_open)(r);
	else
		steps[what & 15](r);
	check_known(r);
	tcp_check(r->env);
}

/* Listings name what there is. */
static void list(struct run *r)
{
	struct tcp_info info[4];
	uint32_t cursor = 0, n = 0;
	int got;

	while ((got = tcp_list(r->env, &cursor, info, 4)) > 0)
		n += (uint32_t)got;
	ENSURE(n >= r->env->syns.used + r->env->tws.used, "all of it");
}

/* The applications end, the peer is silent: everything ends by itself. */
static void settle(struct run *r)
{
	list(r);
	for (uint32_t i = 0; i < LISTENERS; i++)
		if (r->listener[i])
			tcp_unlisten(r->env, r->listener[i]);
	for (uint32_t i = 0; i < r->known_count; i++)
		if (!r->known[i].detached)
			detach(r, &r->known[i]);
	for (int turns = 0; !tcp_is_empty(r->env); turns++) {
		mono_t due;

		ENSURE(turns < 2000, "everything ends");
		flush(r, 100000);
		check_known(r);
		tcp_check(r->env);
		due = tcp_next_due(r->env);
		if (tcp_is_empty(r->env))
			break;
		ENSURE(due.us != UINT64_MAX, "what lives has a timer");
		r->now = due;
		advance(r);
	}
	flush(r, 100000);
	tcp_check(r->env);
	for (uint32_t i = 0; i < ARENAS; i++) {
		revoke_all(&r->arena[i]);
		ENSURE(all_home(r, i), "blocks come home");
	}
}

/* @more: choices that the input's length makes, so that old inputs stay what
 * they were. */
static void open_env(struct run *r, uint32_t more)
{
	static struct rss rss;
	static bool made;
	struct tcp_config c;
	uint8_t b = take(r);

	tcp_config_default(&c);
	c.max_conns = 6;
	c.max_listeners = 4;
	c.max_syn = 4;
	c.max_time_wait = 3;
	c.max_extents = b & 1 ? 4096 : 64;
	c.time_wait_ms = 2000;
	c.fin_wait2_ms = 5000;
	c.retries = 4;
	c.syn_retries = c.syn_ack_retries = 2;
	c.timestamps = !(b & 2);
	c.window_scaling = !(b & 4);
	c.rcv_wnd_initial = b & 8 ? 4096 : 65535;
	strcpy(c.cc, b & 16 ? "reno" : "cubic");
	c.syn_cookies = more % 3;	/* enum tcp_cookies */
	c.mtu_probing = more / 3 & 1;
	c.pmtu_expires_ms = 3000;
	memset(c.secret, 5, sizeof(c.secret));
	r->now.us = 1000000 + (uint64_t)(b >> 5) * UINT64_C(613566756000);
	r->mtu = 1500;
	if (!made)
		rss_init(&rss, rss_symmetric_key);
	made = true;
	r->arena = make_arenas();
	ENSURE(tcp_init(&r->env, &c, &rss, alloc_table, r) == 0, "good");
	for (uint32_t i = 0; i < ARENAS; i++) {
		r->in_use[i] = arena_in_use(&r->arena[i]);
		tcp_set_arena(r->env, i, &r->arena[i]);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct run r = { .at = data, .end = data + size,
			 .us = addr_from_v4(htonl(0x0a000001)),
			 .peer = addr_from_v4(htonl(0x0a000002)) };
	struct tcp_listen l = { .port = htons(80), .backlog = 4, .tag = 1 };

	if (size > 4096)
		return 0;
	open_env(&r, (uint32_t)(size >> 2));
	l.addr = r.us;
	r.listener[0] = (uint32_t)tcp_listen(r.env, &l);
	if (size & 1)
		tcp_listener_option(r.env, r.listener[0], CMD_OPT_FASTOPEN, 2);
	if (size & 2)
		tcp_listener_option(r.env, r.listener[0],
				    CMD_OPT_DEFER_ACCEPT_S, 3);
	while (r.at < r.end)
		step(&r);
	settle(&r);
	return 0;
}
