/* tcp/tcp_rtt.c against RFC 6298, section 2, in double. */
#include "tcp_kit.h"

#include <math.h>

static void open_one(struct kit *k, struct tcb *t, uint32_t rto_min_ms)
{
	struct tcp_config c = kit_config();

	c.rto_min_ms = rto_min_ms;
	kit_open(k, &c, 1);
	memset(t, 0, sizeof(*t));
	rtt_init(k->env, t);
}

static void test_initial(void **state)
{
	struct kit k;
	struct tcb t;

	(void)state;
	open_one(&k, &t, 200);
	assert_int_equal(rtt_rto_ms(&t), 1000);		/* 2.1 */
	assert_int_equal(t.srtt_us, 0);
	kit_close(&k);
}

/* 2.2: SRTT = R, RTTVAR = R/2, RTO = SRTT + max(G, 4 RTTVAR) = 3 R. */
static void test_first(void **state)
{
	struct kit k;
	struct tcb t;

	(void)state;
	open_one(&k, &t, 200);
	rtt_sample(k.env, &t, 100000);
	assert_int_equal(t.srtt_us, 100000);
	assert_int_equal(t.rttvar_us, 50000);
	assert_int_equal(rtt_rto_ms(&t), 300);
	rtt_sample(k.env, &t, 180000);		/* 2.3, by hand: */
	assert_int_equal(t.rttvar_us, 57500);	/* 3/4 50 + 1/4 |100 - 180| */
	assert_int_equal(t.srtt_us, 110000);	/* 7/8 100 + 1/8 180 */
	assert_int_equal(rtt_rto_ms(&t), 340);
	kit_close(&k);
}

static void test_bounds(void **state)
{
	struct kit k;
	struct tcb t;

	(void)state;
	open_one(&k, &t, 1000);
	rtt_sample(k.env, &t, 50);
	assert_int_equal(rtt_rto_ms(&t), 1000);		/* 2.4 */
	rtt_init(k.env, &t);
	rtt_sample(k.env, &t, 59000000);
	assert_int_equal(rtt_rto_ms(&t), 60000);	/* 2.5 */
	rtt_init(k.env, &t);
	rtt_sample(k.env, &t, UINT32_MAX);
	assert_true(t.srtt_us <= 60000000);
	assert_int_equal(rtt_rto_ms(&t), 60000);
	rtt_init(k.env, &t);
	for (int i = 0; i < 1000; i++)
		rtt_sample(k.env, &t, 0);
	assert_true(t.srtt_us >= 1);		/* 0 means: no sample yet */
	assert_int_equal(rtt_rto_ms(&t), 1000);
	kit_close(&k);
}

/* G is 1 ms: a steady round trip does not bring the RTO down to itself. */
static void test_granularity(void **state)
{
	struct kit k;
	struct tcb t;

	(void)state;
	open_one(&k, &t, 1);
	for (int i = 0; i < 200; i++)
		rtt_sample(k.env, &t, 10001);
	assert_int_equal(rtt_rto_ms(&t), 12);
	kit_close(&k);
}

/* 5.5: doubled, and no more than the limit whatever the count. */
static void test_backoff(void **state)
{
	struct kit k;
	struct tcb t;

	(void)state;
	open_one(&k, &t, 200);
	for (uint32_t i = 0; i < 256; i++) {
		t.backoff = (uint8_t)i;
		assert_int_equal(rtt_rto_ms(&t), i < 6 ? 1000u << i : 60000u);
	}
	kit_close(&k);
}

/* Random samples: never further from the formula than rounding explains. */
static void test_formula(void **state)
{
	struct kit k;
	struct tcb t;
	double srtt = 0, var = 0, rto;

	(void)state;
	open_one(&k, &t, 1);
	for (uint32_t i = 0; i < 20000; i++) {
		uint32_t r = 500 + kit_below(&k, i % 1000 < 500 ? 5000 : 900000);

		if (i == 0) {
			srtt = r;
			var = r / 2.0;
		} else {
			var = 0.75 * var + 0.25 * fabs(srtt - r);
			srtt = 0.875 * srtt + 0.125 * r;
		}
		rtt_sample(k.env, &t, r);
		rto = ceil((srtt + fmax(1000, 4 * var)) / 1000);
		assert_true(fabs(t.srtt_us - srtt) < 20);
		assert_true(fabs(t.rttvar_us - var) < 20);
		assert_true(fabs(rtt_rto_ms(&t) - rto) <= 1);
	}
	kit_close(&k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_initial),
		cmocka_unit_test(test_first),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_granularity),
		cmocka_unit_test(test_backoff),
		cmocka_unit_test(test_formula),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
