/*
 * tcp/tcp_flow.c against a model
 *
 * Hashes are given, not computed, so that collisions of buckets and tags, full
 * buckets and the table's end are what a test makes them.  An entry is one of
 * two records with the same tuple: half-open, or in TIME_WAIT.
 */
#include "tcp_kit.h"

#define ENTRIES	400u

struct model {
	struct kit k;
	uint32_t ref[ENTRIES + 1];	/* 0: not in the table */
	uint32_t hash[ENTRIES + 1];
	uint32_t present;
};

static void model_open(struct model *m, uint64_t seed)
{
	struct tcp_config c = kit_config();

	memset(m, 0, sizeof(*m));
	c.max_syn = c.max_time_wait = ENTRIES;
	kit_open(&m->k, &c, seed);
	for (uint32_t i = 1; i <= ENTRIES; i++) {
		struct flow_tuple t = kit_tuple((uint16_t)i, 80);

		syn_at(m->k.env, i)->tuple = tw_at(m->k.env, i)->tuple = t;
	}
}

static uint32_t find(const struct model *m, uint32_t i)
{
	return flow_find(m->k.env, &syn_at(m->k.env, i)->tuple, m->hash[i]);
}

static void insert(struct model *m, uint32_t i, uint32_t hash)
{
	m->hash[i] = hash;
	m->ref[i] = flow_ref(i % 2 ? FLOW_SYN : FLOW_TIME_WAIT, i);
	flow_insert(m->k.env, hash, m->ref[i]);
	m->present++;
}

static void remove_one(struct model *m, uint32_t i)
{
	flow_remove(m->k.env, m->hash[i], m->ref[i]);
	m->ref[i] = 0;
	m->present--;
}

static void replace(struct model *m, uint32_t i)
{
	uint32_t ref = flow_ref(flow_kind(m->ref[i]) == FLOW_SYN ?
				FLOW_TIME_WAIT : FLOW_SYN, i);

	flow_replace(m->k.env, m->hash[i], m->ref[i], ref);
	m->ref[i] = ref;
}

/* Entries and nothing else; what went past full buckets is counted. */
static void check(const struct model *m)
{
	uint32_t entries = 0;

	for (uint32_t i = 1; i <= ENTRIES; i++)
		assert_int_equal(find(m, i), m->ref[i]);
	for (uint32_t b = 0; b <= m->k.env->flow_mask; b++)
		for (int w = 0; w < FLOW_WAYS; w++)
			entries += m->k.env->flow[b].ref[w] != 0;
	assert_int_equal(entries, m->present);
}

static void check_empty(const struct model *m)
{
	check(m);
	assert_int_equal(m->present, 0);
	for (uint32_t b = 0; b <= m->k.env->flow_mask; b++)
		assert_int_equal(m->k.env->flow[b].passed, 0);
}

/* One bucket is everybody's home, the last one: it goes round the end. */
static void test_full_buckets(void **state)
{
	struct model m;

	(void)state;
	model_open(&m, 1);
	for (uint32_t i = 1; i <= ENTRIES; i++) {
		insert(&m, i, m.k.env->flow_mask << 7);
		assert_int_equal(find(&m, i), m.ref[i]);
	}
	check(&m);
	for (uint32_t b = 0; b < ENTRIES / FLOW_WAYS - 1; b++)
		for (int w = 0; w < FLOW_WAYS; w++)
			assert_int_not_equal(m.k.env->flow[b].ref[w], 0);
	for (uint32_t i = 1; i <= ENTRIES; i += 2)
		remove_one(&m, i);
	check(&m);
	for (uint32_t i = 2; i <= ENTRIES; i += 2)
		replace(&m, i);
	check(&m);
	for (uint32_t i = ENTRIES; i > 0; i -= 2)
		remove_one(&m, i);
	check_empty(&m);
	kit_close(&m.k);
}

/* A way that became free in a full bucket is used again; those who went past
 * it are still found. */
static void test_hole(void **state)
{
	struct model m;

	(void)state;
	model_open(&m, 1);
	for (uint32_t i = 1; i <= FLOW_WAYS + 3; i++)
		insert(&m, i, 0x80);
	assert_int_equal(m.k.env->flow[1].passed, 3);
	remove_one(&m, 4);
	check(&m);
	insert(&m, FLOW_WAYS + 4, 0x80);
	assert_int_equal(m.k.env->flow[1].passed, 3);
	check(&m);
	for (uint32_t i = FLOW_WAYS + 1; i <= FLOW_WAYS + 3; i++)
		remove_one(&m, i);
	assert_int_equal(m.k.env->flow[1].passed, 0);
	check(&m);
	kit_close(&m.k);
}

static uint32_t some_hash(struct model *m, uint32_t kind)
{
	switch (kind) {
	case 0:			/* three homes, few tags */
		return kit_below(&m->k, 3) << 7 | kit_below(&m->k, 2) << 25;
	case 1:			/* around the end of the table */
		return (m->k.env->flow_mask - kit_below(&m->k, 2)) << 7;
	case 2:			/* the same tag everywhere */
		return kit_below(&m->k, 1 << 16) << 7;
	default:
		return (uint32_t)kit_random(&m->k);
	}
}

static void run_random(uint64_t seed)
{
	struct model m;

	model_open(&m, seed);
	for (uint32_t step = 0; step < 20000; step++) {
		uint32_t i = 1 + kit_below(&m.k, ENTRIES);

		if (!m.ref[i])
			insert(&m, i, some_hash(&m, (uint32_t)seed % 5));
		else if (kit_below(&m.k, 2))
			replace(&m, i);
		else
			remove_one(&m, i);
		assert_int_equal(find(&m, i), m.ref[i]);
		if (step % 500 == 0)
			check(&m);
	}
	for (uint32_t i = 1; i <= ENTRIES; i++)
		if (m.ref[i])
			remove_one(&m, i);
	check_empty(&m);
	kit_close(&m.k);
}

static void test_random(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 15; seed++)
		run_random(seed);
}

/* Bucket, tag and hash are equal, the tuple is not: another connection. */
static void test_tuple_decides(void **state)
{
	struct model m;
	struct flow_tuple t;

	(void)state;
	model_open(&m, 1);
	insert(&m, 1, 77);
	t = syn_at(m.k.env, 1)->tuple;
	assert_int_equal(flow_find(m.k.env, &t, 77), m.ref[1]);
	t.lport ^= 1;
	assert_int_equal(flow_find(m.k.env, &t, 77), 0);
	t = syn_at(m.k.env, 1)->tuple;
	t.remote.b[15] ^= 1;
	assert_int_equal(flow_find(m.k.env, &t, 77), 0);
	t = syn_at(m.k.env, 1)->tuple;
	t.local.b[0] = 0x20;
	assert_int_equal(flow_find(m.k.env, &t, 77), 0);
	kit_close(&m.k);
}

/* The low bits choose the engine, the others are secret. */
static void test_hash(void **state)
{
	struct tcp_config c = kit_config();
	struct kit a, b;
	uint32_t differ = 0;

	(void)state;
	kit_open(&a, &c, 1);
	c.secret[3] ^= 1;
	kit_open(&b, &c, 1);
	for (uint16_t port = 1; port < 1000; port++) {
		struct flow_tuple t = kit_tuple(port, 80);
		struct hdr_tcp h = { .sport = t.rport, .dport = t.lport };
		struct tcp_rx rx = { .src = t.remote, .dst = t.local,
				     .l4 = (const uint8_t *)&h,
				     .l4_len = sizeof(h) };
		uint32_t x = flow_hash(a.env, &t), y = flow_hash(b.env, &t);
		uint32_t rss = rss_hash_v4(&a.rss, addr_v4(&t.remote),
					   addr_v4(&t.local), t.rport, t.lport);

		assert_int_equal(x % RSS_TABLE, rss % RSS_TABLE);
		assert_int_equal(y % RSS_TABLE, rss % RSS_TABLE);
		assert_int_equal(tcp_rx_hash(a.env, &rx), x);
		differ += x != y;
	}
	assert_true(differ > 990);
	kit_close(&a);
	kit_close(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_full_buckets),
		cmocka_unit_test(test_hole),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_tuple_decides),
		cmocka_unit_test(test_hash),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
