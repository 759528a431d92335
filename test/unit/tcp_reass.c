/* tcp/tcp_reass.c and tcp_recv.c's queue against a map of bytes. */
#include "tcp_kit.h"

#define WINDOW	40000u	/* bytes a peer may be ahead */
#define LONG_WINDOW	(12u << 20)
#define CUTS	8000u	/* of a stream */

struct model {
	struct kit k;
	struct tcb *t;
	uint32_t conn;
	seq_t base;			/* number of the stream's first byte */
	uint32_t next, read;		/* rcv_nxt and rcv_read, from base */
	uint8_t *have;			/* by byte from base */
	uint32_t total;
};

static uint8_t byte_at(uint32_t i)
{
	return (uint8_t)(i * 131u + (i >> 8) * 7u);
}

static void model_open(struct model *m, seq_t base, uint32_t total,
		       uint64_t seed, uint32_t extents)
{
	struct tcp_config c = kit_config();
	struct flow_tuple tuple = kit_tuple(1000, 80);
	struct tcb *t;

	memset(m, 0, sizeof(*m));
	c.max_extents = extents;
	kit_open(&m->k, &c, seed);
	m->base = base;
	m->total = total;
	m->have = calloc(1, total);
	m->conn = conn_new(m->k.env, &tuple, flow_hash(m->k.env, &tuple));
	t = m->t = tcb_at(m->k.env, m->conn);
	tcp_state_set(t, TCP_DO_ACCEPT);
	t->snd_una = t->snd_nxt = t->snd_max = t->snd_end = t->iss + 1;
	t->mss = 1460;
	t->cwnd = 14600;
	t->rcv_nxt = t->rcv_wup = t->rcv_read = t->rcv_told = base;
	t->rcv_adv = base + WINDOW;
}

static void model_close(struct model *m)
{
	conn_end(m->k.env, m->t, 0);
	assert_int_equal(tcp_next_dirty(m->k.env), 0);
	tcp_check(m->k.env);
	assert_true(tcp_is_empty(m->k.env));
	assert_int_equal(arena_in_use(&m->k.arena), 0);
	free(m->have);
	kit_close(&m->k);
}

static uint32_t check_extent(const struct model *m, const struct extent *e,
			     uint32_t at)
{
	const uint8_t *b = block_bytes(&m->k.arena, e->block) + e->off;

	assert_int_equal(e->seq - m->base, at);
	for (uint32_t n = 0; n < e->len; n++, at++) {
		assert_true(m->have[at]);
		assert_int_equal(b[n], byte_at(at));
	}
	return at;
}

/* Out-of-order runs hold what the map has above rcv_nxt, and no more. */
static void check_map(const struct model *m)
{
	uint32_t at = m->next, i = 0;
	struct ooo_run r;

	while ((i = reass_next(m->k.env, m->t, i, &r))) {
		for (; at < r.left - m->base; at++)
			assert_false(m->have[at]);
		for (uint32_t k = r.first; k; k = extent_at(m->k.env, k)->next)
			at = check_extent(m, extent_at(m->k.env, k), at);
	}
	for (; at < m->total && at < m->next + WINDOW; at++)
		assert_false(m->have[at]);
}

/* [from, from + len) comes, as tcp_in() would pass it. */
static bool give(struct model *m, uint32_t from, uint32_t len)
{
	uint8_t *bytes = malloc(len);
	bool ok;

	assert_non_null(bytes);
	for (uint32_t i = 0; i < len; i++)
		bytes[i] = byte_at(from + i);
	ok = reass_take(m->k.env, m->t, m->base + from, bytes, len);
	free(bytes);
	return ok;
}

static void give_and_check(struct model *m, uint32_t from, uint32_t len)
{
	assert_true(give(m, from, len));
	memset(m->have + from, 1, len);
	while (m->next < m->total && m->have[m->next])
		m->next++;
	assert_int_equal(m->t->rcv_nxt - m->base, m->next);
	check_map(m);
	tcp_check(m->k.env);
}

/* Announces and reads about @max bytes, which are the stream's. */
static void read_some(struct model *m, uint32_t max)
{
	struct tcp_extent e;
	uint32_t told = m->t->rcv_told - m->base;

	while (told - m->read < max &&
	       tcp_announce_data(m->k.env, m->conn, &e)) {
		const uint8_t *b = block_bytes(&m->k.arena, e.block) + e.offset;

		for (uint32_t i = 0; i < e.len; i++)
			assert_int_equal(b[i], byte_at(told + i));
		told += e.len;
	}
	max = told - m->read < max ? told - m->read : max;
	assert_int_equal(tcp_consumed(m->k.env, m->conn, max, m->k.env->now), 0);
	m->read += max;
	m->t->rcv_adv = seq_max(m->t->rcv_adv, m->base + m->read + WINDOW);
}

/* A piece at or after rcv_nxt, within the window and the stream. */
static bool choose(struct model *m, uint32_t *from, uint32_t *len)
{
	uint32_t edge = m->t->rcv_adv - m->base, ahead;

	if (edge > m->total)
		edge = m->total;
	if (edge == m->next)
		return false;
	ahead = kit_below(&m->k, 4) ? 3000 : WINDOW;
	*from = m->next + (kit_below(&m->k, 4) ? kit_below(&m->k, ahead) : 0);
	if (*from >= edge)
		*from = m->next;
	*len = 1 + (kit_below(&m->k, 3) ? kit_below(&m->k, 1460) :
					  kit_below(&m->k, 40));
	if (*len > edge - *from)
		*len = edge - *from;
	return true;
}

static void run_random(seq_t base, uint64_t seed)
{
	struct model m;
	uint32_t from, len;
	int bound = 200000;

	model_open(&m, base, 200000, seed, 4096);
	while (m.read < m.total) {
		assert_true(bound-- > 0);
		if (choose(&m, &from, &len))
			give_and_check(&m, from, len);
		if (kit_below(&m.k, 8) == 0 || m.next == m.total)
			read_some(&m, 1 + kit_below(&m.k, 20000));
	}
	model_close(&m);
}

static void test_random(void **state)
{
	static const seq_t bases[] = { 0, 0xffff0000, 0x7fff8000, 12345 };

	(void)state;
	for (uint64_t seed = 1; seed <= 12; seed++)
		run_random(bases[seed % 4], seed);
}

/* All ways in which a piece can lie to two others that are there. */
static void test_overlaps(void **state)
{
	(void)state;
	for (uint32_t from = 10; from < 70; from += 3)
		for (uint32_t end = from + 1; end < 80; end += 3) {
			struct model m;

			model_open(&m, 0xffffffe0, 80, 1, 4096);
			give_and_check(&m, 20, 10);
			give_and_check(&m, 40, 10);
			give_and_check(&m, from, end - from);
			give_and_check(&m, from, end - from);
			give_and_check(&m, 0, 15);
			if (m.next < 80)
				give_and_check(&m, m.next, 80 - m.next);
			assert_int_equal(m.next, 80);
			read_some(&m, 80);
			model_close(&m);
		}
}

/* The same bytes again take no more memory. */
static void test_duplicates(void **state)
{
	struct model m;
	uint32_t used;

	(void)state;
	model_open(&m, 100, CUTS, 1, 4096);
	for (uint32_t at = 100; at + 50 <= CUTS; at += 100)
		give_and_check(&m, at, 50);
	used = arena_in_use(&m.k.arena);
	for (int again = 0; again < 3; again++)
		for (uint32_t at = 100; at + 50 <= CUTS; at += 100)
			give_and_check(&m, at, 50);
	assert_int_equal(arena_in_use(&m.k.arena), used);
	reass_purge(m.k.env, m.t);
	assert_int_equal(arena_in_use(&m.k.arena), 0);
	model_close(&m);
}

/* Neighbours share blocks: a stream in reverse does not, in order it does. */
static void test_sharing(void **state)
{
	struct model m;

	(void)state;
	model_open(&m, 7, CUTS, 1, 4096);
	for (uint32_t at = 10; at < CUTS; at += 10)
		give_and_check(&m, at, 10);
	assert_true(arena_in_use(&m.k.arena) <= CUTS / BLOCK_SMALL_BYTES + 1);
	give_and_check(&m, 0, 10);
	assert_int_equal(m.next, CUTS);
	model_close(&m);
}

/* A hostile peer sends every second byte: what is held has a bound, and what
 * comes in order is taken all the same. */
static void test_bound(void **state)
{
	struct model m;
	uint32_t kept = 0;

	(void)state;
	model_open(&m, 0, 4000, 1, 4096);
	for (uint32_t at = 1; at < 4000; at += 2)
		kept += give(&m, at, 1);
	tcp_check(m.k.env);
	assert_int_equal(ext_of(m.k.env, m.t)->ooo_extents, kept);
	assert_true(kept >= 100 && kept <= 1000);
	for (uint32_t at = 0; at < 4000; at += 1000)
		assert_true(give(&m, at, 1000));
	assert_int_equal(m.t->rcv_nxt, 4000);
	assert_int_equal(m.k.env->exts.used, 1);
	assert_int_equal(ext_of(m.k.env, m.t)->ooo_head, 0);
	read_some(&m, 4000);
	model_close(&m);
}

/* Ever more single bytes, the holes between them closed again: blocks have a
 * bound too, and what was taken is there. */
static void test_crumbs(void **state)
{
	struct model m;

	(void)state;
	model_open(&m, 0, WINDOW, 1, 8192);
	for (uint32_t from = 1; from + 1000 <= WINDOW; from += 1000)
		for (uint32_t odd = 0; odd < 2; odd++)
			for (uint32_t at = from + odd; at < from + 1000; at += 2)
				if (give(&m, at, 1))
					m.have[at] = 1;
	check_map(&m);
	tcp_check(m.k.env);
	assert_in_range(ext_of(m.k.env, m.t)->ooo_extents, 500,
			600 + WINDOW / 2048);
	reass_purge(m.k.env, m.t);
	model_close(&m);
}

/* One segment is lost of a window of 12 MiB: all the others are kept, in one
 * run, and the lost one is all that has to come again. */
static void test_long_window(void **state)
{
	struct model m;

	(void)state;
	model_open(&m, 0xfff00000, LONG_WINDOW, 1, 16384);
	m.t->rcv_adv = m.base + LONG_WINDOW;
	for (uint32_t at = 1448; at + 1448 <= LONG_WINDOW; at += 1448)
		assert_true(give(&m, at, 1448));
	tcp_check(m.k.env);
	assert_int_equal(ext_of(m.k.env, m.t)->ooo_runs, 1);
	assert_true(ext_of(m.k.env, m.t)->ooo_extents <=
		    LONG_WINDOW / BLOCK_LARGE_BYTES + 1);
	assert_true(give(&m, 0, 1448));
	m.next = m.t->rcv_nxt - m.base;
	assert_int_equal(m.next, LONG_WINDOW / 1448 * 1448);
	assert_int_equal(ext_of(m.k.env, m.t)->ooo_head, 0);
	tcp_check(m.k.env);
	read_some(&m, LONG_WINDOW);
	assert_int_equal(m.read, m.next);
	model_close(&m);
}

/* Every second segment of a window is lost, as when slow start overruns a queue:
 * all the others are kept, and each that comes again closes one hole. */
static void test_many_holes(void **state)
{
	struct model m;
	uint32_t at;

	(void)state;
	model_open(&m, 0xfff00000, LONG_WINDOW, 1, 16384);
	m.t->rcv_adv = m.base + LONG_WINDOW;
	for (at = 1000; at < 8000000; at += 2000)
		assert_true(give(&m, at, 1000));
	assert_int_equal(ext_of(m.k.env, m.t)->ooo_runs, 4000);
	tcp_check(m.k.env);
	for (at = 0; at < 4000000; at += 2000) {
		assert_true(give(&m, at, 1000));
		assert_int_equal(m.t->rcv_nxt - m.base, at + 2000);
	}
	tcp_check(m.k.env);
	/* in the middle, and on from there */
	assert_false(give(&m, 6000000, 1000));
	for (at = 6000000; at < 7000000; at += 2000)
		assert_true(give(&m, at, 1000));
	assert_int_equal(ext_of(m.k.env, m.t)->ooo_runs, 1500);
	tcp_check(m.k.env);
	while ((at = m.t->rcv_nxt - m.base) < 8000000)
		assert_true(give(&m, at, 1000));
	assert_int_equal(m.t->rcv_nxt - m.base, 8000000);
	tcp_check(m.k.env);
	reass_purge(m.k.env, m.t);
	read_some(&m, LONG_WINDOW);
	assert_int_equal(m.read, 8000000);
	model_close(&m);
}

/* Memory is short: nothing that was acknowledged is lost, what was not comes
 * again, and out-of-order data makes room for what is in order. */
static void run_short(uint64_t seed)
{
	struct model m;
	uint32_t from, len, refused = 0, before;
	int bound = 100000;

	model_open(&m, 0xfffff000, 100000, seed, 24);	/* 3 are kept back */
	while (m.read < m.total) {
		assert_true(bound-- > 0);
		before = m.t->rcv_nxt - m.base;
		if (choose(&m, &from, &len)) {
			refused += !give(&m, from, len);
			m.next = m.t->rcv_nxt - m.base;
			assert_true(m.next >= before);
			tcp_check(m.k.env);
		}
		if (kit_below(&m.k, 4) == 0 || m.next == m.total)
			read_some(&m, 1 + kit_below(&m.k, 5000));
	}
	assert_true(refused > 0);
	model_close(&m);
}

static void test_short_memory(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 8; seed++)
		run_short(seed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_overlaps),
		cmocka_unit_test(test_duplicates),
		cmocka_unit_test(test_sharing),
		cmocka_unit_test(test_bound),
		cmocka_unit_test(test_crumbs),
		cmocka_unit_test(test_long_window),
		cmocka_unit_test(test_many_holes),
		cmocka_unit_test(test_short_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
