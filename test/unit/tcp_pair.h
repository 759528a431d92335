/*
 * tcp_pair.h - for tests: two TCPs joined by a link in virtual time
 *
 *	side[0].env --- link: delay, loss, reorder, duplication --- side[1].env
 *
 * A test drives an application on each side by hand; pair_step() carries
 * segments and moves time to the next thing that is due.  tcp_check() runs
 * after every step.
 */
#ifndef TEST_TCP_PAIR_H
#define TEST_TCP_PAIR_H

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mem/block.h"
#include "tcp/tcp.h"

#define PAIR_FRAMES	4096
#define PAIR_SLABS	16

struct pair_frame {
	uint64_t due_us;
	uint64_t order;
	uint32_t to, len;
	uint8_t bytes[2048];
	struct ip_addr src, dst;
};

struct pair_side {
	struct tcp_env *env;
	struct arena arena[2];		/* 0: the engine's, 1: a client's */
	uint8_t *segment[2];
	struct block_meta *meta[2][PAIR_SLABS];
	void *owned[64];
	uint32_t owned_count;
	struct ip_addr addr;
};

struct pair {
	struct pair_side side[2];
	struct rss rss;
	struct pair_frame *frame;
	uint32_t count;
	uint64_t order, rng;
	mono_t now;
	uint32_t delay_us, jitter_us;
	uint32_t loss_ppm, dup_ppm;
	uint32_t mtu, tso;
	uint64_t lost, carried;
	bool (*filter)(struct pair *p, const struct pair_frame *f);
};

static inline uint64_t pair_random(struct pair *p)
{
	uint64_t z = p->rng += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

static inline uint32_t pair_below(struct pair *p, uint32_t n)
{
	return (uint32_t)(pair_random(p) % n);
}

static void *pair_alloc(void *arg, const char *what, size_t bytes)
{
	struct pair_side *s = arg;
	void *mem = aligned_alloc(64, (bytes + 63) / 64 * 64);

	(void)what;
	assert_non_null(mem);
	memset(mem, 0, bytes);
	assert_true(s->owned_count < 64);
	s->owned[s->owned_count++] = mem;
	return mem;
}

static void pair_arena(struct pair_side *s, int which, uint32_t small_slabs,
		       uint32_t large_slabs)
{
	struct arena *a = &s->arena[which];
	uint32_t slabs = 1 + small_slabs + large_slabs;

	assert_true(slabs <= PAIR_SLABS);
	s->segment[which] = malloc((size_t)slabs * SLAB_BYTES);
	assert_non_null(s->segment[which]);
	assert_int_equal(arena_init(a, s->segment[which], slabs), 0);
	for (uint32_t i = 1; i < slabs; i++) {
		enum block_class cls = i <= small_slabs ? BLOCK_SMALL :
							  BLOCK_LARGE;

		s->meta[which][i] = calloc(1, slab_meta_bytes(cls));
		assert_int_equal(arena_add_slab(a, i, cls, s->meta[which][i]), 0);
	}
	tcp_set_arena(s->env, (uint32_t)which, a);
}

static void pair_open(struct pair *p, const struct tcp_config *cfg,
		      uint64_t seed)
{
	memset(p, 0, sizeof(*p));
	p->rng = seed;
	p->now.us = 1000000 + seed % 1000 * UINT64_C(17179869184);
	p->mtu = 1500;
	p->delay_us = 1000;
	p->frame = malloc(PAIR_FRAMES * sizeof(*p->frame));
	rss_init(&p->rss, rss_symmetric_key);
	for (uint32_t i = 0; i < 2; i++) {
		struct tcp_config c = *cfg;

		c.random_seed = seed + i;
		memset(c.secret, (int)(seed + i + 1), sizeof(c.secret));
		p->side[i].addr = addr_from_v4(htonl(0x0a000001 + i));
		assert_int_equal(tcp_init(&p->side[i].env, &c, &p->rss,
					  pair_alloc, &p->side[i]), 0);
		pair_arena(&p->side[i], 0, 1, 1);
		pair_arena(&p->side[i], 1, 2, 4);
	}
}

static void pair_close(struct pair *p)
{
	for (uint32_t i = 0; i < 2; i++) {
		struct pair_side *s = &p->side[i];

		for (int a = 0; a < 2; a++) {
			arena_fini(&s->arena[a]);
			free(s->segment[a]);
			for (int m = 0; m < PAIR_SLABS; m++)
				free(s->meta[a][m]);
		}
		while (s->owned_count)
			free(s->owned[--s->owned_count]);
	}
	free(p->frame);
}

/* Puts one segment of @tx on the link: [from, from + len) of its payload. */
static void pair_put(struct pair *p, uint32_t to, const struct tcp_tx *tx,
		     uint32_t from, uint32_t len, bool last)
{
	struct pair_frame *f;
	struct hdr_tcp h = { .sport = tx->sport, .dport = tx->dport };
	uint32_t at = 0, n = 0;

	p->carried++;
	if (pair_below(p, 1000000) < p->loss_ppm || p->count == PAIR_FRAMES) {
		p->lost++;
		return;
	}
	f = &p->frame[p->count];
	h.seq = htonl(tx->seq + from);
	h.ack = htonl(tx->ack);
	h.data_off = (uint8_t)((TCP_BYTES + tx->opt_len) / 4 << 4 |
			       tx->flags >> 8);
	h.flags = (uint8_t)tx->flags;
	if (!last)
		h.flags &= (uint8_t)~(TCP_FIN | TCP_PSH);
	h.wnd = htons(tx->wnd);
	memcpy(f->bytes, &h, sizeof(h));
	memcpy(f->bytes + TCP_BYTES, tx->opts, tx->opt_len);
	f->len = TCP_BYTES + tx->opt_len;
	for (uint32_t i = 0; i < tx->pieces; i++) {
		for (uint32_t b = 0; b < tx->piece[i].len; b++, at++) {
			if (at < from || n >= len)
				continue;
			f->bytes[f->len++] = tx->piece[i].bytes[b];
			n++;
		}
	}
	assert_int_equal(n, len);
	assert_true(f->len + 20 <= p->mtu);
	f->src = tx->src;
	f->dst = tx->dst;
	f->to = to;
	f->order = p->order++;
	f->due_us = p->now.us + p->delay_us +
		    (p->jitter_us ? pair_below(p, p->jitter_us) : 0);
	if (p->filter && !p->filter(p, f)) {
		p->lost++;
		return;
	}
	p->count++;
	if (pair_below(p, 1000000) < p->dup_ppm && p->count < PAIR_FRAMES) {
		p->frame[p->count] = *f;
		p->frame[p->count++].due_us += p->delay_us / 2;
	}
}

static void pair_emit(struct pair *p, uint32_t from, const struct tcp_tx *tx)
{
	uint32_t at = 0;

	do {
		uint32_t n = tx->payload_len - at;

		if (tx->mss && n > tx->mss)
			n = tx->mss;
		pair_put(p, 1 - from, tx, at, n, at + n == tx->payload_len);
		at += n;
	} while (at < tx->payload_len);
}

/* All that @who has to send. */
static void pair_flush(struct pair *p, uint32_t who)
{
	struct tcp_env *env = p->side[who].env;
	struct tcp_tx_limits lim = { .tso_max_bytes = p->tso,
				     .mtu = (uint16_t)p->mtu };
	struct tcp_tx tx;
	uint32_t conn;
	int bound = 100000;

	while ((conn = tcp_next_dirty(env)))
		while (tcp_out(env, conn, &lim, &tx, p->now)) {
			assert_true(bound-- > 0);
			pair_emit(p, who, &tx);
		}
	while (tcp_next_reply(env, &tx))
		pair_emit(p, who, &tx);
}

static void pair_deliver(struct pair *p, uint32_t i)
{
	struct pair_frame f = p->frame[i];
	struct tcp_rx rx = { .src = f.src, .dst = f.dst, .l4 = f.bytes,
			     .l4_len = f.len, .csum_ok = true };
	struct tcp_env *env = p->side[f.to].env;
	uint8_t *exact = malloc(f.len);		/* so that sanitizers see */

	memcpy(exact, f.bytes, f.len);
	rx.l4 = exact;
	p->frame[i] = p->frame[--p->count];
	tcp_in(env, &rx, tcp_rx_hash(env, &rx), p->now);
	free(exact);
}

/* Index of the next frame, or -1. */
static int pair_next(const struct pair *p)
{
	int best = -1;

	for (uint32_t i = 0; i < p->count; i++)
		if (best < 0 || p->frame[i].due_us < p->frame[best].due_us ||
		    (p->frame[i].due_us == p->frame[best].due_us &&
		     p->frame[i].order < p->frame[best].order))
			best = (int)i;
	return best;
}

/* Sends, moves time to the next event but at most @max_us, delivers. */
static void pair_step(struct pair *p, uint64_t max_us)
{
	uint64_t to = p->now.us + max_us;
	int next;

	for (uint32_t i = 0; i < 2; i++) {
		mono_t due;

		pair_flush(p, i);
		tcp_check(p->side[i].env);
		due = tcp_next_due(p->side[i].env);
		if (due.us < to)
			to = due.us;
	}
	next = pair_next(p);
	if (next >= 0 && p->frame[next].due_us < to)
		to = p->frame[next].due_us;
	if (to > p->now.us)
		p->now.us = to;
	while ((next = pair_next(p)) >= 0 &&
	       p->frame[next].due_us <= p->now.us) {
		uint32_t who = p->frame[next].to;

		pair_deliver(p, (uint32_t)next);
		tcp_check(p->side[who].env);
	}
	for (uint32_t i = 0; i < 2; i++) {
		int bound = 1000;

		while (tcp_advance(p->side[i].env, p->now))
			assert_true(bound-- > 0);
		tcp_check(p->side[i].env);
	}
}

static void pair_run(struct pair *p, uint64_t us)
{
	uint64_t end = p->now.us + us;

	while (p->now.us < end)
		pair_step(p, end - p->now.us);
}

/* ---- an application by hand ---- */

static uint32_t pair_listen(struct pair *p, uint32_t who, uint16_t port,
			    uint32_t backlog)
{
	struct tcp_listen l = { .addr = p->side[who].addr, .port = htons(port),
				.backlog = backlog, .tag = 7 };
	int i = tcp_listen(p->side[who].env, &l);

	assert_true(i > 0);
	return (uint32_t)i;
}

static uint32_t pair_connect(struct pair *p, uint32_t who, uint16_t lport,
			     uint16_t port)
{
	struct tcp_connect c = { .local = p->side[who].addr,
				 .remote = p->side[1 - who].addr,
				 .lport = htons(lport), .rport = htons(port),
				 .client = 1, .cookie = lport,
				 .mtu = (uint16_t)p->mtu };
	int i = tcp_connect(p->side[who].env, &c, p->now);

	assert_true(i > 0);
	return (uint32_t)i;
}

static uint32_t pair_accept(struct pair *p, uint32_t who, uint32_t listener)
{
	uint32_t conn = tcp_accept(p->side[who].env, listener);

	if (conn)
		assert_int_equal(tcp_assign(p->side[who].env, conn, 1, 0, 1), 0);
	return conn;
}

/* Byte @i of the stream that @who sends. */
static inline uint8_t pair_byte(uint32_t who, uint64_t i)
{
	return (uint8_t)(i * 131 + (i >> 8) * 7 + who * 77);
}

/* Sends @len bytes from stream position @at in one block; how many. */
static uint32_t pair_send(struct pair *p, uint32_t who, uint32_t conn,
			  uint64_t at, uint32_t len, bool more)
{
	struct pair_side *s = &p->side[who];
	enum block_class cls = len > BLOCK_SMALL_BYTES ? BLOCK_LARGE :
							 BLOCK_SMALL;
	uint32_t block = block_grant(&s->arena[1], cls, 3), err;

	if (block == BLOCK_NONE)
		return 0;
	if (len > block_class_bytes(cls))
		len = block_class_bytes(cls);
	for (uint32_t i = 0; i < len; i++)
		block_bytes(&s->arena[1], block)[i] = pair_byte(who, at + i);
	assert_int_equal(block_fill(&s->arena[1], block, 3, 0, len), 0);
	err = (uint32_t)tcp_send(s->env, conn, block, 0, len, more, p->now);
	assert_int_equal(block_give_up(&s->arena[1], block, 3), 0);
	return err ? 0 : len;
}

/* Reads and checks at most @max bytes of what @who received; how many. */
static uint64_t pair_read(struct pair *p, uint32_t who, uint32_t conn,
			  uint64_t at, uint64_t max)
{
	struct pair_side *s = &p->side[who];
	struct tcp_extent e;
	uint64_t n = 0;

	while (n < max && tcp_announce_data(s->env, conn, &e)) {
		const uint8_t *b = block_bytes(&s->arena[1], e.block) + e.offset;

		for (uint32_t i = 0; i < e.len; i++)
			assert_int_equal(b[i], pair_byte(1 - who, at + n + i));
		n += e.len;
		assert_int_equal(tcp_consumed(s->env, conn, e.len, p->now), 0);
	}
	return n;
}

static void pair_print(struct pair *p, uint32_t who)
{
	struct tcp_info i[8];
	uint32_t cursor = 0;
	int n;

	while ((n = tcp_list(p->side[who].env, &cursor, i, 8)) > 0)
		for (int k = 0; k < n; k++)
			if (i[k].lport && i[k].rport)
				print_error("side %u conn %u %s: queued %u "
					    "unsent %u received %u wnd %u/%u "
					    "cwnd %u rto %u\n", who, i[k].conn,
					    tcp_state_name(i[k].state),
					    i[k].snd_queued, i[k].snd_unsent,
					    i[k].rcv_queued, i[k].snd_wnd,
					    i[k].rcv_wnd, i[k].cwnd, i[k].rto_us);
}

static void pair_empty(struct pair *p)
{
	for (uint32_t i = 0; i < 2; i++) {
		if (!tcp_is_empty(p->side[i].env))
			pair_print(p, i);
		tcp_check(p->side[i].env);
		assert_true(tcp_is_empty(p->side[i].env));
		assert_int_equal(arena_in_use(&p->side[i].arena[0]), 0);
		assert_int_equal(arena_in_use(&p->side[i].arena[1]), 0);
	}
}

#endif
