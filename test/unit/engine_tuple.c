/* engine/tuple.c: every port once, on its engine, in O(1). */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "engine/tuple.h"

#define ADDRS	4
#define ENGINES	2

struct table {
	uint8_t used[ADDRS][65536];	/* engine + 1 */
	uint64_t asked;
};

static struct rss rss;

static uint32_t last_byte(const struct ip_addr *a)
{
	return a->b[15];
}

static bool is_free(void *arg, const struct tuple_key *key, uint16_t lport)
{
	struct table *t = arg;

	t->asked++;
	return !t->used[last_byte(&key->local) - 1][ntohs(lport)];
}

static struct tuples make(uint32_t engine, uint16_t min, uint16_t max)
{
	struct tuples t = {
		.rss = &rss, .engine = engine, .engines = ENGINES,
		.min = min, .max = max, .secret = { 1, 2, 3 },
		.hints = calloc(TUPLE_HINTS, sizeof(struct tuple_hint)),
	};

	rss_init(&rss, rss_symmetric_key);
	return t;
}

static struct tuple_key key_of(uint32_t addr)
{
	return (struct tuple_key){
		.local = addr_from_v4(htonl(0x0a000001 + addr)),
		.remote = addr_from_v4(htonl(0x0a000101)),
		.rport = htons(80),
	};
}

/* One pick; checks that the port is new and its answers come to the engine. */
static int pick(struct tuples *t, struct table *tab, uint32_t addr, uint16_t *p)
{
	struct tuple_key key = key_of(addr);
	int err = tuple_pick(t, &key, (mono_t){ 1 }, is_free, tab, p);

	if (err)
		return err;
	assert_int_equal(tuple_owner(t, &key, *p), t->engine);
	assert_int_equal(tab->used[addr][ntohs(*p)], 0);
	assert_true(ntohs(*p) >= t->min && ntohs(*p) <= t->max);
	tab->used[addr][ntohs(*p)] = (uint8_t)(t->engine + 1);
	return 0;
}

/* 150,000 open over 4 addresses and 2 engines, then churn among them. */
static void many(void **state)
{
	struct tuples t[ENGINES] = { make(0, 1024, 65535), make(1, 1024, 65535) };
	struct table *tab = calloc(1, sizeof(*tab));
	static uint16_t ports[ENGINES][ADDRS][20000];
	uint16_t p;

	(void)state;
	for (uint32_t i = 0; i < 150000; i++) {
		uint32_t en = i % ENGINES, ad = i / ENGINES % ADDRS;

		assert_int_equal(pick(&t[en], tab, ad, &p), 0);
		ports[en][ad][i / (ENGINES * ADDRS)] = p;
	}
	assert_true(tab->asked == 150000);
	srand(7);
	for (uint32_t i = 0; i < 300000; i++) {
		uint32_t en = i % ENGINES, ad = i / ENGINES % ADDRS;
		uint32_t k = (uint32_t)rand() % 18750;

		tab->used[ad][ntohs(ports[en][ad][k])] = 0;
		assert_int_equal(pick(&t[en], tab, ad, &ports[en][ad][k]), 0);
	}
	/* a port of ours is asked for three times at most on average */
	assert_true(tab->asked < 150000 + 300000 * 4);
	free(tab);
	free(t[0].hints);
	free(t[1].hints);
}

static void exhausted(void **state)
{
	struct tuples t = make(1, 40000, 40099);
	struct table *tab = calloc(1, sizeof(*tab));
	struct tuple_key key = key_of(0);
	uint32_t got = 0, mine = 0;
	uint64_t asked;
	uint16_t p;

	(void)state;
	for (uint32_t port = 40000; port < 40100; port++)
		mine += tuple_owner(&t, &key, htons((uint16_t)port)) == 1;
	while (pick(&t, tab, 0, &p) == 0)
		got++;
	assert_int_equal(got, mine);
	asked = tab->asked;
	assert_int_equal(pick(&t, tab, 0, &p), -EADDRNOTAVAIL);
	assert_int_equal(tab->asked, asked);	/* believed for a while */
	tab->used[0][ntohs(p)] = 0;
	assert_int_equal(tuple_pick(&t, &key, (mono_t){ 1 + TUPLE_FULL_US },
				    is_free, tab, &p), 0);
	/* another destination has ports of its own */
	assert_int_equal(pick(&t, tab, 1, &p), 0);
	free(tab);
	free(t.hints);
}

/* Where a destination begins depends on the secret (RFC 6056). */
static void secret_start(void **state)
{
	struct tuples a = make(0, 1024, 65535), b = make(0, 1024, 65535);
	struct table *tab = calloc(1, sizeof(*tab));
	uint16_t pa, pb;

	(void)state;
	b.secret[0] ^= 1;
	assert_int_equal(pick(&a, tab, 0, &pa), 0);
	assert_int_equal(pick(&b, tab, 0, &pb), 0);
	assert_true(abs((int)ntohs(pa) - (int)ntohs(pb)) > 16);
	free(tab);
	free(a.hints);
	free(b.hints);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(many),
		cmocka_unit_test(exhausted),
		cmocka_unit_test(secret_start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
