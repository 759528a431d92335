#include "pipe.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "net/hdr.h"
#include "shm/cmd.h"

#define FRAMES		32768u
#define HEADERS		34u		/* Ethernet and IP */
#define PORT		80u
#define FIRST_PORT	50000u
#define MILLION		1000000u
#define SLABS		24u		/* 48 MiB: largest window, queued twice */

struct pipe_packet {
	uint64_t due_us;
	uint32_t len;
	uint8_t ecn;
	uint8_t bytes[];
};

static struct pipe_packet *packet(const struct pipe *p, int ring, uint32_t i)
{
	return (void *)(p->ring[ring].frames + (size_t)(i % FRAMES) * p->stride);
}

/* ---- the path ---- */

uint32_t pipe_queued(const struct pipe *p)
{
	uint64_t now_ns = p->now.us * 1000;

	if (p->free_ns <= now_ns)
		return 0;
	return (uint32_t)((p->free_ns - now_ns) * (p->path.rate_bps / 1000) /
			  8000000);
}

static bool drawn(struct pipe *p, uint32_t ppm)
{
	return ppm && kit_below(&p->rand, MILLION) < ppm;
}

/* false: dropped. */
static bool bottleneck(struct pipe *p, struct pipe_packet *k)
{
	const struct pipe_path *path = &p->path;
	uint32_t wire = k->len + HEADERS, q = pipe_queued(p);

	if (q + wire > path->queue_bytes || drawn(p, path->loss_ppm)) {
		p->drops++;
		return false;
	}
	p->queue_sum += q;
	p->queue_seen++;
	if (path->mark_bytes && q > path->mark_bytes && k->ecn) {
		k->ecn = 3;
		p->marks++;
	}
	if (p->free_ns < p->now.us * 1000)
		p->free_ns = p->now.us * 1000;
	p->free_ns += wire * 8000000000ull / path->rate_bps;
	k->due_us = p->free_ns / 1000 + path->delay_us;
	return true;
}

static void fill(struct pipe_packet *k, const struct tcp_tx *tx)
{
	struct hdr_tcp h = {
		.sport = tx->sport, .dport = tx->dport, .seq = htonl(tx->seq),
		.ack = htonl(tx->ack), .flags = (uint8_t)tx->flags,
		.data_off = (uint8_t)((TCP_BYTES + tx->opt_len) / 4 << 4 |
				      tx->flags >> 8),
		.wnd = htons(tx->wnd),
	};

	memcpy(k->bytes, &h, sizeof(h));
	memcpy(k->bytes + TCP_BYTES, tx->opts, tx->opt_len);
	k->len = TCP_BYTES + tx->opt_len;
	for (uint32_t i = 0; i < tx->pieces; i++) {
		memcpy(k->bytes + k->len, tx->piece[i].bytes, tx->piece[i].len);
		k->len += tx->piece[i].len;
	}
	k->ecn = tx->tos & 3;
}

static void carry(struct pipe *p, int from, const struct tcp_tx *tx)
{
	bool late = from == 0 && drawn(p, p->path.late_ppm);
	int ring = late ? PIPE_LATE : from ? PIPE_BACK : PIPE_FORTH;
	struct pipe_ring *r = &p->ring[ring];
	struct pipe_packet *k = packet(p, ring, r->tail);

	ENSURE(r->tail - r->head < FRAMES, "the queue is bounded");
	fill(k, tx);
	k->due_us = p->now.us + p->path.delay_us;
	if (from == 0 && !bottleneck(p, k))
		return;
	if (late)
		k->due_us += p->path.late_us;
	r->tail++;
}

static void flush(struct pipe *p, int side)
{
	const struct tcp_tx_limits lim = { .mtu = p->path.mtu };
	struct tcp_tx tx;
	uint32_t conn;

	while ((conn = tcp_next_dirty(p->env[side])))
		while (tcp_out(p->env[side], conn, &lim, &tx, p->now))
			carry(p, side, &tx);
	while (tcp_next_reply(p->env[side], &tx))
		carry(p, side, &tx);
}

static void arrive(struct pipe *p, int ring)
{
	struct pipe_ring *r = &p->ring[ring];
	int to = ring != PIPE_BACK;

	while (r->head != r->tail) {
		struct pipe_packet *k = packet(p, ring, r->head);
		const struct tcp_rx rx = {
			.src = p->addr[!to], .dst = p->addr[to], .l4 = k->bytes,
			.l4_len = k->len, .ecn = k->ecn, .csum_ok = true };

		if (k->due_us > p->now.us)
			return;
		r->head++;
		tcp_in(p->env[to], &rx, tcp_rx_hash(p->env[to], &rx), p->now);
		flush(p, to);
	}
}

/* ---- the applications ---- */

static void write_some(struct pipe *p, uint32_t i)
{
	uint32_t conn = p->flow[i].conn;

	while (tcp_sent(p->env[0], conn) - tcp_acked(p->env[0], conn) <
	       tcp_send_limit(p->env[0], conn)) {
		int n = kit_write(p->env[0], &p->arena[0][1], conn, BLOCK_LARGE,
				  BLOCK_LARGE_BYTES, i, p->flow[i].written,
				  false, p->now);

		if (n <= 0)
			return;
		p->flow[i].written += (uint64_t)n;
	}
}

static void take_new(struct pipe *p)
{
	struct tcp_info info;
	uint32_t conn, i;

	while ((conn = tcp_accept(p->env[1], 1))) {
		tcp_describe(p->env[1], conn, &info);
		i = ntohs(info.rport) - FIRST_PORT;
		ENSURE(i < p->flows, "nobody else connects");
		tcp_assign(p->env[1], conn, 1, 0, i + 1);
		p->flow[i].peer = conn;
	}
}

static void read_some(struct pipe *p, uint32_t i)
{
	struct tcp_extent e;

	if (!p->flow[i].peer)
		return;
	while (tcp_announce_data(p->env[1], p->flow[i].peer, &e)) {
		p->flow[i].read += e.len;
		tcp_consumed(p->env[1], p->flow[i].peer, e.len, p->now);
	}
}

/* ---- time ---- */

static mono_t earliest(const struct pipe *p, mono_t limit)
{
	for (int i = 0; i < 2; i++) {
		mono_t due = tcp_next_due(p->env[i]);

		if (mono_before(due, limit))
			limit = due;
	}
	for (int i = 0; i < PIPE_RINGS; i++) {
		const struct pipe_ring *r = &p->ring[i];
		mono_t due = { packet(p, i, r->head)->due_us };

		if (r->head != r->tail && mono_before(due, limit))
			limit = due;
	}
	return mono_before(limit, p->now) ? p->now : limit;
}

static void turn(struct pipe *p)
{
	for (int i = 0; i < 2; i++) {
		while (tcp_advance(p->env[i], p->now))
			flush(p, i);
		flush(p, i);
	}
	for (int i = 0; i < PIPE_RINGS; i++)
		arrive(p, i);
	take_new(p);
	for (uint32_t i = 0; i < p->flows; i++) {
		read_some(p, i);
		write_some(p, i);
	}
	flush(p, 0);
	flush(p, 1);
}

void pipe_run(struct pipe *p, uint64_t us)
{
	mono_t end = mono_add(p->now, us);

	turn(p);		/* what was asked for since the last */
	while (mono_before(p->now, end)) {
		p->now = earliest(p, end);
		turn(p);
	}
}

/* ---- beginning and end ---- */

static void open_side(struct pipe *p, int i)
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
	addr_parse(&p->addr[i], i ? "10.0.0.2" : "10.0.0.1");
	rc = tcp_init(&p->env[i], &cfg, &p->rss, kit_alloc, &p->heap[i]);
	ENSURE(rc == 0, "tcp_init() of a small configuration");
	for (uint32_t c = 0; c < 2; c++) {
		kit_arena_wide(&p->arena[i][c], SLABS);
		tcp_set_arena(p->env[i], c, &p->arena[i][c].arena);
	}
	tcp_set_port_mtu(p->env[i], 0, p->path.mtu);
	tcp_advance(p->env[i], p->now);
}

/* @name is that of both ends: DCTCP needs the receiver's, too. */
static void open_flow(struct pipe *p, uint32_t i, const char *name)
{
	struct tcp_connect c = {
		.client = 1, .cookie = i + 1, .mtu = p->path.mtu,
		.lport = htons((uint16_t)(FIRST_PORT + i)),
		.rport = htons(PORT), .local = p->addr[0],
		.remote = p->addr[1] };
	int cc = tcp_cc_find(name), rc = tcp_connect(p->env[0], &c, p->now);

	ENSURE(rc > 0, "a connection of few");
	p->flow[i].conn = (uint32_t)rc;
	rc = tcp_option(p->env[0], p->flow[i].conn, CMD_OPT_CONGESTION, cc,
			p->now);
	ENSURE(rc == 0 && cc > 0, "the algorithm is there");
	if (i == 0)
		rc = tcp_listener_option(p->env[1], 1, CMD_OPT_CONGESTION, cc);
	ENSURE(rc == 0, "listeners have one, too");
}

void pipe_open(struct pipe *p, const struct pipe_path *path, uint32_t flows,
	       const char *const *cc, uint32_t seed)
{
	const struct tcp_listen l = { .addr = addr_from_v4(0),
				      .port = htons(PORT), .backlog = 8,
				      .tag = 1 };
	int rc;

	ENSURE(flows <= PIPE_FLOWS, "room for each");
	memset(p, 0, sizeof(*p));
	p->path = *path;
	if (!p->path.mtu)
		p->path.mtu = 1500;
	p->stride = (sizeof(struct pipe_packet) + p->path.mtu + 7) & ~7u;
	p->flows = flows;
	rss_init(&p->rss, rss_symmetric_key);
	kit_seed(&p->rand, seed);
	p->now = (mono_t){ 1000000000 };
	for (int i = 0; i < PIPE_RINGS; i++) {
		p->ring[i].frames = calloc(FRAMES, p->stride);
		ENSURE(p->ring[i].frames != NULL, "a test needs memory");
	}
	open_side(p, 0);
	open_side(p, 1);
	rc = tcp_listen(p->env[1], &l);
	ENSURE(rc == 1, "the first listener");
	for (uint32_t i = 0; i < flows; i++)
		open_flow(p, i, cc[i]);
}

void pipe_close(struct pipe *p)
{
	for (int i = 0; i < 2; i++) {
		kit_arena_fini(&p->arena[i][0]);
		kit_arena_fini(&p->arena[i][1]);
		kit_free(&p->heap[i]);
	}
	for (int i = 0; i < PIPE_RINGS; i++)
		free(p->ring[i].frames);
}
