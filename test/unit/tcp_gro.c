/* tcp/tcp_gro.c: the rules by which segments join, and that merging changes
 * nothing: the same bursts go to two equal TCPs, one of which merges. */
#include "tcp_kit.h"

#include "net/net.h"
#include "tcp/tcp_gro.h"

/* ---- segments by hand ---- */

#define BYTES_MAX	1600u

struct piece {
	uint8_t bytes[BYTES_MAX];
	struct tcp_rx rx;
};

struct look {		/* of a segment */
	uint16_t rport, wnd;
	uint32_t seq, ack, len;
	uint32_t tsval, sack;	/* 0: without */
	uint8_t flags, ece, ecn;
	bool bad_sum, cut;
	uint64_t stream;	/* of its first byte */
};

static uint8_t byte_at(uint64_t i)
{
	return (uint8_t)(i * 131 + (i >> 8) * 7);
}

static uint32_t put_options(uint8_t *o, const struct look *l)
{
	const uint8_t ts[4] = { 1, 1, 8, 10 }, sack[4] = { 1, 1, 5, 10 };
	uint32_t n = 0, v;

	if (l->tsval) {
		memcpy(o, ts, 4);
		v = htonl(l->tsval);
		memcpy(o + 4, &v, 4);
		memset(o + 8, 0, 4);
		n = 12;
	}
	if (l->sack) {
		memcpy(o + n, sack, 4);
		v = htonl(l->sack);
		memcpy(o + n + 4, &v, 4);
		v = htonl(l->sack + 100);
		memcpy(o + n + 8, &v, 4);
		n += 12;
	}
	return n;
}

static void make(struct piece *p, const struct look *l)
{
	uint32_t opts = put_options(p->bytes + TCP_BYTES, l), head, sum;
	struct hdr_tcp h = {
		.sport = htons(l->rport), .dport = htons(80),
		.seq = htonl(l->seq), .ack = htonl(l->ack),
		.flags = l->flags | l->ece, .wnd = htons(l->wnd),
	};

	head = TCP_BYTES + opts;
	h.data_off = (uint8_t)(head / 4 << 4);
	memcpy(p->bytes, &h, sizeof(h));
	for (uint32_t i = 0; i < l->len; i++)
		p->bytes[head + i] = byte_at(l->stream + i);
	p->rx = (struct tcp_rx){
		.src = addr_from_v4(htonl(0x0a000002)),
		.dst = addr_from_v4(htonl(0x0a000001)), .l4 = p->bytes,
		.l4_len = l->cut ? head - 1 : head + l->len, .ecn = l->ecn,
	};
	sum = csum_finish(csum_add(csum_pseudo(&p->rx.src, &p->rx.dst, 6,
					       p->rx.l4_len),
				   p->bytes, p->rx.l4_len));
	sum ^= l->bad_sum;
	memcpy(p->bytes + offsetof(struct hdr_tcp, csum), &sum, 2);
}

/* ---- the rules ---- */

static bool joins(const struct look *a, const struct look *b)
{
	static struct piece p[2];
	struct tcp_rx rx[2];
	uint32_t hash[2] = { 77, 77 };
	struct tcp_gro g;

	make(&p[0], a);
	make(&p[1], b);
	rx[0] = p[0].rx;
	rx[1] = p[1].rx;
	tcp_gro_find(&g, rx, hash, 2);
	assert_true((g.next[0] == 1) == (g.joined == 2));
	assert_int_equal(g.next[1], GRO_END);
	return g.next[0] == 1;
}

static const struct look first = { .rport = 9, .wnd = 500, .seq = 0xfffffff0,
				   .ack = 7, .len = 100, .tsval = 1000,
				   .flags = TCP_ACK, .ecn = ECN_ECT0 };

static struct look second(void)
{
	struct look l = first;

	l.seq += 100;
	return l;
}

#define DIFFERS(field, value, expect) do {				\
	struct look l_ = second();					\
	l_.field = (value);						\
	assert_int_equal(joins(&first, &l_), (expect));			\
} while (0)

static void rules(void **state)
{
	struct look l = second();

	(void)state;
	assert_true(joins(&first, &l));
	DIFFERS(seq, first.seq + 99, false);
	DIFFERS(seq, first.seq + 101, false);
	DIFFERS(seq, first.seq, false);
	DIFFERS(ack, 8, false);
	DIFFERS(wnd, 501, false);
	DIFFERS(rport, 10, false);
	DIFFERS(len, 99, true);
	DIFFERS(len, 101, false);
	DIFFERS(len, 0, false);
	DIFFERS(tsval, 1001, true);
	DIFFERS(tsval, 999, false);
	DIFFERS(tsval, 0, false);
	DIFFERS(sack, 5, false);
	DIFFERS(flags, TCP_ACK | TCP_PSH, true);
	DIFFERS(flags, TCP_ACK | TCP_FIN, false);
	DIFFERS(flags, TCP_ACK | TCP_RST, false);
	DIFFERS(flags, TCP_ACK | TCP_SYN, false);
	DIFFERS(flags, TCP_ACK | TCP_URG, false);
	DIFFERS(flags, 0, false);
	DIFFERS(ece, TCP_ECE, false);
	DIFFERS(ece, TCP_CWR, false);
	DIFFERS(ecn, ECN_NOT_ECT, false);
	DIFFERS(ecn, ECN_CE, false);
	DIFFERS(cut, true, false);
}

/* What ends a run even where both are alike. */
static void firsts(void **state)
{
	struct look a = first, b = second();

	(void)state;
	a.flags |= TCP_PSH;
	assert_false(joins(&a, &b));
	a = first;
	a.ecn = b.ecn = ECN_CE;
	assert_false(joins(&a, &b));
	a = first;
	b = second();
	a.sack = b.sack = 50;		/* the same bytes */
	assert_true(joins(&a, &b));
	b.tsval++;			/* no longer */
	assert_false(joins(&a, &b));
	a = b = first;
	a.len = b.len = 0;
	assert_false(joins(&a, &b));
}

/* Interleaved connections, each in its own run, in every slot. */
static void interleaved(void **state)
{
	static struct piece p[TCP_BURST_MAX];
	struct tcp_rx rx[TCP_BURST_MAX];
	uint32_t hash[TCP_BURST_MAX];
	struct tcp_gro g;

	(void)state;
	for (uint32_t i = 0; i < TCP_BURST_MAX; i++) {
		struct look l = first;

		l.rport = (uint16_t)(100 + i % 16);
		l.seq += i / 16 * 100;
		make(&p[i], &l);
		rx[i] = p[i].rx;
		hash[i] = i % 16 * 0x10000000u + 5;
	}
	tcp_gro_find(&g, rx, hash, TCP_BURST_MAX);
	for (uint32_t i = 0; i < TCP_BURST_MAX; i++) {
		assert_int_equal(g.next[i], i < 48 ? i + 16 : GRO_END);
		assert_int_equal(g.joined >> i & 1, i >= 16);
	}
}

/* ---- merged and unmerged ---- */

#define CONNS	2u
#define ROUNDS	60
#define SEEDS	300u

struct peer {		/* what the sender of a connection knows */
	uint32_t conn, irs, seq, ack, tsval, len;
	uint8_t ace;
	bool done;
};

struct both {
	struct kit k[2];	/* 0 merges */
	struct arena client[2];
	uint8_t *segment[2];
	struct block_meta *meta[2][KIT_SLABS];
	struct peer peer[CONNS];
	bool ts, ecn;
	uint64_t merged;
};

static uint32_t below(struct both *b, uint32_t n)
{
	return kit_below(&b->k[0], n);
}

static void client_open(struct both *b, int i)
{
	b->segment[i] = malloc((size_t)KIT_SLABS * SLAB_BYTES);
	assert_non_null(b->segment[i]);
	assert_int_equal(arena_init(&b->client[i], b->segment[i], KIT_SLABS), 0);
	for (uint32_t s = 1; s < KIT_SLABS; s++) {
		enum block_class cls = s == 1 ? BLOCK_SMALL : BLOCK_LARGE;

		b->meta[i][s] = calloc(1, slab_meta_bytes(cls));
		assert_int_equal(arena_add_slab(&b->client[i], s, cls,
						b->meta[i][s]), 0);
	}
	tcp_set_arena(b->k[i].env, 1, &b->client[i]);
}

/* One segment, to both. */
static void give(struct both *b, const struct look *l)
{
	static struct piece p;

	make(&p, l);
	for (int i = 0; i < 2; i++)
		tcp_in(b->k[i].env, &p.rx, tcp_rx_hash(b->k[i].env, &p.rx),
		       b->k[i].env->now);
}

static uint32_t reply_seq(struct both *b)
{
	struct tcp_tx tx[2];

	assert_true(tcp_next_reply(b->k[0].env, &tx[0]));
	assert_true(tcp_next_reply(b->k[1].env, &tx[1]));
	assert_int_equal(tx[0].seq, tx[1].seq);
	return tx[0].seq;
}

static void handshake(struct both *b, uint32_t n)
{
	struct peer *p = &b->peer[n];
	struct look l = { .rport = (uint16_t)(1000 + n), .wnd = 60000,
			  .flags = TCP_SYN, .seq = 0xfffff000u + n * 5000 };

	l.tsval = b->ts ? 5000 : 0;
	l.ece = b->ecn ? TCP_ECE | TCP_CWR : 0;
	*p = (struct peer){ .irs = l.seq, .seq = l.seq + 1, .len = 1000,
			    .tsval = l.tsval };
	if (below(b, 3) == 0)
		p->len = below(b, 1400) + 1;
	give(b, &l);
	p->ack = reply_seq(b) + 1;
	l.flags = TCP_ACK;
	l.ece = 0;
	l.seq++;
	l.ack = p->ack;
	give(b, &l);
	for (int i = 0; i < 2; i++) {
		uint32_t conn = tcp_accept(b->k[i].env, 1);

		assert_true(conn != 0 && (i == 0 || conn == p->conn));
		p->conn = conn;
		assert_int_equal(tcp_assign(b->k[i].env, conn, 1, 0, 1), 0);
	}
}

static void both_open(struct both *b, uint64_t seed)
{
	struct tcp_config c = kit_config();
	struct tcp_listen l = { .addr = addr_from_v4(htonl(0x0a000001)),
				.port = htons(80), .backlog = 8, .tag = 1 };

	memset(b, 0, sizeof(*b));
	b->ts = seed & 1;
	b->ecn = seed & 2;
	if (seed & 4)
		memcpy(c.cc, "dctcp", 6);
	if (seed & 8)
		c.rcv_wnd_initial = 20000;
	if (seed & 16)
		c.quick_acks = 3;
	for (int i = 0; i < 2; i++) {
		kit_open(&b->k[i], &c, seed);
		client_open(b, i);
		assert_int_equal(tcp_listen(b->k[i].env, &l), 1);
	}
	for (uint32_t n = 0; n < CONNS; n++)
		handshake(b, n);
}

static void both_close(struct both *b)
{
	for (int i = 0; i < 2; i++) {
		kit_close(&b->k[i]);
		arena_fini(&b->client[i]);
		free(b->segment[i]);
		for (uint32_t s = 0; s < KIT_SLABS; s++)
			free(b->meta[i][s]);
	}
}

/* What a network may do to the next segment of @p. */
static void disturb(struct both *b, struct peer *p, struct look *l)
{
	switch (below(b, 60)) {
	case 0:
		l->seq += l->len;		/* the one before is missing */
		break;
	case 1:
		l->seq -= below(b, 3 * p->len);	/* old */
		break;
	case 2:
		l->bad_sum = true;
		break;
	case 3:
		l->ecn = ECN_CE;
		break;
	case 4:
		l->len = below(b, p->len) + 1;
		break;
	case 5:
		l->wnd = (uint16_t)below(b, 65536);
		break;
	case 6:
		l->tsval -= l->tsval ? below(b, 50) : 0;
		break;
	case 7:
		l->sack = l->ack + 200;
		break;
	case 8:
		l->cut = true;
		break;
	case 9:
		l->ece = b->ecn ? (uint8_t)(below(b, 4) * TCP_ECE) : 0;
		break;
	case 10:
		l->flags |= below(b, 40) ? TCP_PSH : TCP_FIN;
		break;
	case 11:
		if (below(b, 40) == 0)
			l->flags = (uint8_t)below(b, 64);
		break;
	default:
		break;
	}
}

static struct look next_look(struct both *b, uint32_t n)
{
	struct peer *p = &b->peer[n];
	struct look l = { .rport = (uint16_t)(1000 + n), .wnd = 60000,
			  .seq = p->seq, .ack = p->ack, .len = p->len,
			  .flags = TCP_ACK, .ecn = b->ecn ? ECN_ECT0 : 0 };

	if (p->tsval)
		l.tsval = p->tsval += below(b, 2);
	if (below(b, 8) == 0)
		l.flags |= TCP_PSH;
	disturb(b, p, &l);
	l.stream = l.seq - p->irs - 1;
	if (l.seq == p->seq && !l.bad_sum && !l.cut && (l.flags & TCP_ACK))
		p->seq += l.len;
	return l;
}

static void burst(struct both *b)
{
	static struct piece p[TCP_BURST_MAX];
	uint32_t n = below(b, TCP_BURST_MAX) + 1, hash[TCP_BURST_MAX];
	struct tcp_rx rx[TCP_BURST_MAX];
	bool mixed = below(b, 2);

	for (uint32_t i = 0; i < n; i++) {
		struct look l = next_look(b, mixed ? below(b, CONNS) : 0);

		make(&p[i], &l);
		rx[i] = p[i].rx;
		hash[i] = tcp_rx_hash(b->k[0].env, &rx[i]);
	}
	tcp_in_burst(b->k[0].env, rx, hash, n, b->k[0].env->now);
	for (uint32_t i = 0; i < n; i++)
		tcp_in(b->k[1].env, &rx[i], hash[i], b->k[1].env->now);
}

/* ---- what can be seen ---- */

/* Everything but the numbers of extents and lists, which the order of work
 * among connections decides. */
static struct tcb visible(const struct tcb *t)
{
	struct tcb v = *t;

	v.rcv_head = v.rcv_tail = v.rcv_ann = 0;
	v.snd_head = v.snd_tail = v.snd_cur = 0;
	v.dirty_next = v.ext = v.user.pending_next = 0;
	memset(&v.timer, 0, sizeof(v.timer));
	return v;
}

static void same_tcbs(struct both *b)
{
	for (uint32_t n = 0; n < CONNS; n++) {
		uint32_t conn = b->peer[n].conn;
		struct tcb v = visible(tcb_at(b->k[0].env, conn));
		struct tcb w = visible(tcb_at(b->k[1].env, conn));

		if (v.flags & T_LIVE)
			assert_memory_equal(&v, &w, sizeof(v));
		else
			assert_false(w.flags & T_LIVE);
	}
}

static void same_stats(struct both *b)
{
	struct tcp_stats s = b->k[0].env->stats, r = b->k[1].env->stats;

	assert_int_equal(r.segs_merged, 0);
	b->merged += s.segs_merged;
	b->k[0].env->stats.segs_merged = s.segs_merged = 0;
	assert_memory_equal(&s, &r, sizeof(s));
}

/* Of one connection; the order among them may differ. */
static uint32_t sent(struct kit *k, struct tcp_tx *out, uint32_t max)
{
	const struct tcp_tx_limits lim = { .mtu = 1500 };
	uint32_t conn, n = 0;

	while ((conn = tcp_next_dirty(k->env)))
		while (n < max && tcp_out(k->env, conn, &lim, &out[n],
					  k->env->now))
			n++;
	while (n < max && tcp_next_reply(k->env, &out[n]))
		n++;
	return n;
}

static uint32_t of_port(const struct tcp_tx *all, uint32_t n, uint16_t port,
			const struct tcp_tx **out)
{
	uint32_t m = 0;

	for (uint32_t i = 0; i < n; i++)
		if (all[i].dport == port)
			out[m++] = &all[i];
	return m;
}

static void same_sent(struct both *b)
{
	enum { MAX = 600 };
	static struct tcp_tx a[MAX], c[MAX];
	static const struct tcp_tx *x[MAX], *y[MAX];
	uint32_t n = sent(&b->k[0], a, MAX), m = sent(&b->k[1], c, MAX);

	assert_int_equal(n, m);
	assert_true(n < MAX);
	for (uint32_t p = 0; p < CONNS; p++) {
		uint16_t port = htons((uint16_t)(1000 + p));

		m = of_port(a, n, port, x);
		assert_int_equal(m, of_port(c, n, port, y));
		for (uint32_t i = 0; i < m; i++) {
			assert_memory_equal(x[i], y[i],
					    offsetof(struct tcp_tx, opts));
			assert_memory_equal(x[i]->opts, y[i]->opts,
					    x[i]->opt_len);
			assert_int_equal(x[i]->payload_len, y[i]->payload_len);
		}
	}
}

/* Reads all that is there: it must be the stream. */
static uint64_t read_side(struct both *b, int i, uint32_t n)
{
	struct tcb *t = tcb_at(b->k[i].env, b->peer[n].conn);
	uint64_t at = t->rcv_told - b->peer[n].irs - 1, all = 0;
	struct tcp_extent e;

	while (tcp_announce_data(b->k[i].env, b->peer[n].conn, &e)) {
		const uint8_t *p = block_bytes(&b->client[i], e.block) +
				   e.offset;

		for (uint32_t k = 0; k < e.len; k++)
			assert_int_equal(p[k], byte_at(at + k));
		at += e.len;
		all += e.len;
		assert_int_equal(tcp_consumed(b->k[i].env, b->peer[n].conn,
					      e.len, b->k[i].env->now), 0);
	}
	return all;
}

static void write_some(struct both *b, uint32_t n)
{
	for (int i = 0; i < 2; i++) {
		struct arena *a = &b->client[i];
		uint32_t block = block_grant(a, BLOCK_SMALL, 3);

		assert_int_not_equal(block, BLOCK_NONE);
		assert_int_equal(block_fill(a, block, 3, 0, 400), 0);
		(void)tcp_send(b->k[i].env, b->peer[n].conn, block, 0, 400,
			       false, b->k[i].env->now);
		assert_int_equal(block_give_up(a, block, 3), 0);
	}
}

static void application(struct both *b)
{
	for (uint32_t n = 0; n < CONNS; n++) {
		struct tcb *t = tcb_at(b->k[0].env, b->peer[n].conn);

		if (!(t->flags & T_LIVE))
			continue;
		if (below(b, 3))
			assert_true(read_side(b, 0, n) == read_side(b, 1, n));
		if (below(b, 6) == 0)
			write_some(b, n);
		if (below(b, 2))
			b->peer[n].ack = t->snd_max;
		if (below(b, 10) == 0)		/* the peer heard of a hole */
			b->peer[n].seq = t->rcv_nxt;
	}
}

static void pass_time(struct both *b)
{
	uint64_t us = below(b, 4) ? below(b, 900) : below(b, 60000);

	for (int i = 0; i < 2; i++) {
		b->k[i].env->now.us += us;
		while (tcp_advance(b->k[i].env, b->k[i].env->now))
			;
	}
}

static void unseen(void **state)
{
	static struct both b;
	uint64_t merged = 0;

	(void)state;
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		both_open(&b, seed);
		for (int r = 0; r < ROUNDS; r++) {
			burst(&b);
			same_tcbs(&b);
			same_stats(&b);
			application(&b);
			same_sent(&b);
			pass_time(&b);
			tcp_check(b.k[0].env);
			tcp_check(b.k[1].env);
		}
		merged += b.merged;
		both_close(&b);
	}
	assert_true(merged > SEEDS * 100);	/* it was about something */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rules),
		cmocka_unit_test(firsts),
		cmocka_unit_test(interleaved),
		cmocka_unit_test(unseen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
