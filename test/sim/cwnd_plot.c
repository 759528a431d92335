/*
 * cwnd_plot - the congestion window over time, as numbers to look at
 *
 *	cwnd_plot CC PATH	CC: reno cubic dctcp bbr; PATH: clean loss mark
 *
 *	side 0 --bulk--> [ bottleneck: rate, queue, loss, CE ] --> side 1
 *	       <--------------------- ACKs, delay only --------------
 *
 * 20 Mb/s, 40 ms, one bandwidth-delay product of queue (100 kB), 30 seconds of
 * virtual time.  clean: a full queue drops; loss: 1 % is lost besides; mark: CE
 * above 30 kB of queue.  Writes lines "seconds cwnd-kB queue-kB Mb/s" for
 * gnuplot (cwnd_plot.sh draws them).
 *
 * Exit status: 0; 1 the flow did not move; 2 wrong usage.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "kit.h"
#include "net/hdr.h"

#define RATE_BPS	20000000ull
#define DELAY_US	20000u		/* one way */
#define QUEUE_BYTES	100000u
#define MARK_BYTES	30000u
#define RUN_US		30000000ull
#define STEP_US		20000u
#define FRAMES		8192
#define HEADERS		34u		/* Ethernet and IP */

enum path { PATH_CLEAN, PATH_LOSS, PATH_MARK };

struct packet {
	uint64_t due_us;
	uint32_t len;
	uint8_t ecn, to;
	uint8_t bytes[1600];
};

struct plot {
	enum path path;
	struct kit_heap heap[2];
	struct kit_arena arena[2][2];	/* a side: the engine's, the client's */
	struct tcp_env *env[2];
	struct ip_addr addr[2];
	struct rss rss;
	struct packet *ring[2];		/* to side 0, to side 1 */
	uint32_t head[2], tail[2];
	uint64_t free_us;		/* when the bottleneck is idle again */
	struct kit_rand rand;
	mono_t now;
	uint32_t conn[2];
	uint64_t written, read;
};

static uint32_t queued(const struct plot *p)
{
	if (p->free_us <= p->now.us)
		return 0;
	return (uint32_t)((p->free_us - p->now.us) * RATE_BPS / 8000000);
}

/* false: dropped. */
static bool bottleneck(struct plot *p, struct packet *k)
{
	uint32_t wire = k->len + HEADERS, q = queued(p);

	if (q + wire > QUEUE_BYTES ||
	    (p->path == PATH_LOSS && kit_one_in(&p->rand, 100)))
		return false;
	if (p->path == PATH_MARK && q > MARK_BYTES && k->ecn)
		k->ecn = 3;
	if (p->free_us < p->now.us)
		p->free_us = p->now.us;
	p->free_us += wire * 8000000ull / RATE_BPS;
	k->due_us = p->free_us + DELAY_US;
	return true;
}

static void carry(struct plot *p, int from, const struct tcp_tx *tx)
{
	int to = !from;
	struct packet *k = &p->ring[to][p->tail[to] % FRAMES];
	struct hdr_tcp h = {
		.sport = tx->sport, .dport = tx->dport, .seq = htonl(tx->seq),
		.ack = htonl(tx->ack), .flags = (uint8_t)tx->flags,
		.data_off = (uint8_t)((TCP_BYTES + tx->opt_len) / 4 << 4 |
				      tx->flags >> 8),
		.wnd = htons(tx->wnd),
	};

	ENSURE(p->tail[to] - p->head[to] < FRAMES, "the queue is bounded");
	memcpy(k->bytes, &h, sizeof(h));
	memcpy(k->bytes + TCP_BYTES, tx->opts, tx->opt_len);
	k->len = TCP_BYTES + tx->opt_len;
	for (uint32_t i = 0; i < tx->pieces; i++) {
		memcpy(k->bytes + k->len, tx->piece[i].bytes, tx->piece[i].len);
		k->len += tx->piece[i].len;
	}
	k->ecn = tx->tos & 3;
	k->to = (uint8_t)to;
	k->due_us = p->now.us + DELAY_US;
	if (from == 1 || bottleneck(p, k))
		p->tail[to]++;
}

static void flush(struct plot *p, int side)
{
	const struct tcp_tx_limits lim = { .mtu = 1500 };
	struct tcp_tx tx;
	uint32_t conn;

	while ((conn = tcp_next_dirty(p->env[side])))
		while (tcp_out(p->env[side], conn, &lim, &tx, p->now))
			carry(p, side, &tx);
	while (tcp_next_reply(p->env[side], &tx))
		carry(p, side, &tx);
}

static void arrive(struct plot *p, int to)
{
	while (p->head[to] != p->tail[to]) {
		struct packet *k = &p->ring[to][p->head[to] % FRAMES];
		const struct tcp_rx rx = {
			.src = p->addr[!to], .dst = p->addr[to], .l4 = k->bytes,
			.l4_len = k->len, .ecn = k->ecn, .csum_ok = true };

		if (k->due_us > p->now.us)
			return;
		p->head[to]++;
		tcp_in(p->env[to], &rx, tcp_rx_hash(p->env[to], &rx), p->now);
		flush(p, to);
	}
}

/* ---- the applications ---- */

static void write_some(struct plot *p)
{
	while (tcp_sent(p->env[0], p->conn[0]) -
		       tcp_acked(p->env[0], p->conn[0]) <
	       tcp_send_limit(p->env[0], p->conn[0])) {
		int n = kit_write(p->env[0], &p->arena[0][1], p->conn[0],
				  BLOCK_LARGE, BLOCK_LARGE_BYTES, 1, p->written,
				  false, p->now);

		if (n <= 0)
			return;
		p->written += (uint64_t)n;
	}
}

static void read_some(struct plot *p)
{
	struct tcp_extent e;

	if (!p->conn[1]) {
		p->conn[1] = tcp_accept(p->env[1], 1);
		if (!p->conn[1])
			return;
		tcp_assign(p->env[1], p->conn[1], 1, 0, 1);
	}
	while (tcp_announce_data(p->env[1], p->conn[1], &e)) {
		p->read += e.len;
		tcp_consumed(p->env[1], p->conn[1], e.len, p->now);
	}
}

static mono_t earliest(const struct plot *p, mono_t limit)
{
	for (int i = 0; i < 2; i++) {
		mono_t due = tcp_next_due(p->env[i]);

		if (p->head[i] != p->tail[i]) {
			mono_t at = { p->ring[i][p->head[i] % FRAMES].due_us };

			if (mono_before(at, due))
				due = at;
		}
		if (mono_before(due, limit))
			limit = due;
	}
	return mono_before(limit, p->now) ? p->now : limit;
}

static void turn(struct plot *p)
{
	for (int i = 0; i < 2; i++) {
		while (tcp_advance(p->env[i], p->now))
			flush(p, i);
		flush(p, i);
	}
	arrive(p, 0);
	arrive(p, 1);
	read_some(p);
	write_some(p);
	flush(p, 0);
	flush(p, 1);
}

/* ---- beginning ---- */

static void open_side(struct plot *p, int i, const char *cc)
{
	struct tcp_config cfg;
	int rc;

	tcp_config_default(&cfg);
	cfg.max_conns = cfg.max_syn = cfg.max_time_wait = 16;
	cfg.max_listeners = 4;
	cfg.max_extents = 65536;
	cfg.engines = 1;
	cfg.random_seed = 7;
	cfg.ecn = TCP_ECN_ON;
	memset(cfg.secret, i + 1, sizeof(cfg.secret));
	snprintf(cfg.cc, sizeof(cfg.cc), "%s", cc);
	addr_parse(&p->addr[i], i ? "10.0.0.2" : "10.0.0.1");
	rc = tcp_init(&p->env[i], &cfg, &p->rss, kit_alloc, &p->heap[i]);
	ENSURE(rc == 0, "tcp_init() of a small configuration");
	for (uint32_t c = 0; c < 2; c++) {
		kit_arena_init(&p->arena[i][c], UINT32_MAX, UINT32_MAX);
		tcp_set_arena(p->env[i], c, &p->arena[i][c].arena);
	}
	p->ring[i] = calloc(FRAMES, sizeof(struct packet));
	ENSURE(p->ring[i] != NULL, "a test needs memory");
}

static void open_both(struct plot *p, const char *cc)
{
	const struct tcp_listen l = { .addr = addr_from_v4(0),
				      .port = htons(80), .backlog = 8,
				      .tag = 1 };
	struct tcp_connect c = { .client = 1, .cookie = 1, .mtu = 1500,
				 .lport = htons(50000), .rport = htons(80) };
	int rc;

	rss_init(&p->rss, rss_symmetric_key);
	kit_seed(&p->rand, 42);
	p->now = (mono_t){ 1000000000 };
	open_side(p, 0, cc);
	open_side(p, 1, cc);
	rc = tcp_listen(p->env[1], &l);
	ENSURE(rc == 1, "the first listener");
	c.local = p->addr[0];
	c.remote = p->addr[1];
	tcp_advance(p->env[0], p->now);
	tcp_advance(p->env[1], p->now);
	rc = tcp_connect(p->env[0], &c, p->now);
	ENSURE(rc > 0, "the first connection");
	p->conn[0] = (uint32_t)rc;
}

static void run(struct plot *p)
{
	mono_t start = p->now, next = mono_add(p->now, STEP_US);
	uint64_t seen = 0;
	struct tcp_info info;

	while (p->now.us - start.us < RUN_US) {
		p->now = earliest(p, next);
		turn(p);
		if (mono_before(p->now, next))
			continue;
		tcp_describe(p->env[0], p->conn[0], &info);
		printf("%.2f\t%.1f\t%.1f\t%.2f\n",
		       (double)(p->now.us - start.us) / 1e6, info.cwnd / 1e3,
		       queued(p) / 1e3,
		       (double)(p->read - seen) * 8 / STEP_US);
		seen = p->read;
		next = mono_add(next, STEP_US);
	}
}

static void close_both(struct plot *p)
{
	for (int i = 0; i < 2; i++) {
		kit_arena_fini(&p->arena[i][0]);
		kit_arena_fini(&p->arena[i][1]);
		kit_free(&p->heap[i]);
		free(p->ring[i]);
	}
}

int main(int argc, char **argv)
{
	static const char *const paths[] = { "clean", "loss", "mark" };
	struct plot *p = calloc(1, sizeof(*p));
	int path = -1, moved;

	for (int i = 0; argc == 3 && i < 3; i++)
		if (!strcmp(argv[2], paths[i]))
			path = i;
	if (!p || path < 0 || tcp_cc_find(argv[1]) < 0) {
		fprintf(stderr, "usage: cwnd_plot reno|cubic|dctcp|bbr clean|loss|mark\n");
		free(p);
		return 2;
	}
	p->path = (enum path)path;
	open_both(p, argv[1]);
	run(p);
	moved = p->read * 8 > RATE_BPS;	/* a second's worth at least */
	fprintf(stderr, "%s %s: %.2f Mb/s\n", argv[1], argv[2],
		(double)p->read * 8 / (double)RUN_US);
	close_both(p);
	free(p);
	return moved ? 0 : 1;
}
