/* tcp/cc_hystart.c against RFC 9406, round by round, and what it adds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tcp/cc.h"

#define MSS	1000u

struct flow { struct cc_hystart h; struct cc_window w; };

static void flow_open(struct flow *f)
{
	memset(f, 0, sizeof(*f));
	f->w = (struct cc_window){ .cwnd = 40 * MSS, .mss = MSS,
				   .ssthresh = CC_SSTHRESH_NONE,
				   .snd_nxt = 40 * MSS };
}

/* Everything that is out is acknowledged, @acks ACKs with @rtt_us each, and
 * with every ACK the window is filled again. */
static void flow_round(struct flow *f, uint32_t acks, uint32_t rtt_us)
{
	seq_t from = f->w.snd_una;
	uint32_t bytes = f->w.snd_nxt - f->w.snd_una;

	for (uint32_t i = 1; i <= acks; i++) {
		seq_t una = from + (uint32_t)((uint64_t)bytes * i / acks);

		f->w.rtt_us = rtt_us;
		f->w.flight = f->w.snd_nxt - f->w.snd_una;
		hystart_acked(&f->h, &f->w, una - f->w.snd_una);
		f->w.snd_una = una;
		f->w.snd_nxt = una + f->w.cwnd;
	}
}

/* The round's end is noticed by the first ACK at or beyond it. */
static void acked_at(struct flow *f, seq_t una, uint32_t rtt_us)
{
	uint32_t n = una - f->w.snd_una;

	f->w.snd_una = una;
	f->w.rtt_us = rtt_us;
	hystart_acked(&f->h, &f->w, n);
	f->w.snd_nxt = una + f->w.cwnd;
}

/* Without delay it is plain slow start: twice as much a round. */
static void test_doubles(void **state)
{
	struct flow f;

	(void)state;
	flow_open(&f);
	for (uint32_t r = 0; r < 8; r++) {
		uint32_t before = f.w.cwnd;

		flow_round(&f, before / MSS / 2, 20000);
		assert_in_range(f.w.cwnd, 2 * before - MSS, 2 * before);
	}
	assert_int_equal(f.w.ssthresh, CC_SSTHRESH_NONE);
	assert_int_equal(f.h.css_rounds, 0);
}

/* 4.2: an unpaced ACK counts for L = 8 segments at most, a paced one for all. */
static void test_limit(void **state)
{
	struct flow f;

	(void)state;
	flow_open(&f);
	acked_at(&f, 20 * MSS, 20000);
	assert_int_equal(f.w.cwnd, 48 * MSS);
	flow_open(&f);
	f.w.paced = true;
	acked_at(&f, 20 * MSS, 20000);
	assert_int_equal(f.w.cwnd, 60 * MSS);
}

/* RttThresh = lastRoundMinRTT / 8, at least 4 and at most 16 ms (4.3). */
static void check_threshold(uint32_t base_us, uint32_t threshold_us)
{
	struct flow f;

	flow_open(&f);
	flow_round(&f, 20, base_us);
	flow_round(&f, 20, base_us);
	flow_round(&f, 20, base_us + threshold_us - 1);
	assert_int_equal(f.h.css_rounds, 0);
	flow_open(&f);
	flow_round(&f, 20, base_us);
	flow_round(&f, 20, base_us);
	flow_round(&f, 20, base_us + threshold_us);
	assert_int_not_equal(f.h.css_rounds, 0);
}

static void test_threshold(void **state)
{
	(void)state;
	check_threshold(1000, 4000);
	check_threshold(32000, 4000);
	check_threshold(80000, 10000);
	check_threshold(128000, 16000);
	check_threshold(300000, 16000);
}

/* N_RTT_SAMPLE = 8: seven say nothing. */
static void test_samples(void **state)
{
	struct flow f;

	(void)state;
	flow_open(&f);
	flow_round(&f, 20, 40000);
	flow_round(&f, 20, 40000);
	flow_round(&f, 7, 90000);
	assert_int_equal(f.h.css_rounds, 0);
	flow_open(&f);
	flow_round(&f, 20, 40000);
	flow_round(&f, 20, 40000);
	flow_round(&f, 10, 90000);	/* the last falls into the next round */
	assert_int_not_equal(f.h.css_rounds, 0);
}

/* In CSS, which began at the third round's eighth ACK. */
static void flow_slow(struct flow *f)
{
	flow_open(f);
	flow_round(f, 20, 40000);
	flow_round(f, 20, 40000);
	flow_round(f, 20, 58000);
	assert_int_not_equal(f->h.css_rounds, 0);
}

/* In CSS cwnd grows by a quarter; five rounds of it end slow start. */
static void test_css(void **state)
{
	struct flow f;
	uint32_t before = 0, rounds = 0;

	(void)state;
	flow_slow(&f);
	while (f.w.ssthresh == CC_SSTHRESH_NONE && rounds < 10) {
		before = f.w.cwnd;
		flow_round(&f, before / MSS / 2, 58000);
		rounds++;
		assert_in_range(f.w.cwnd, before + before / 4 - MSS,
				before + before / 4 + MSS);
	}
	assert_in_range(rounds, 4, 5);
	assert_true(f.w.css);
	assert_true(f.w.ssthresh <= f.w.cwnd && f.w.ssthresh >= before);
}

/* The delay went back below the baseline: slow start goes on (4.2). */
static void test_resume(void **state)
{
	struct flow f;
	uint32_t before;

	(void)state;
	flow_slow(&f);
	flow_round(&f, f.w.cwnd / MSS / 2, 41000);
	assert_int_equal(f.h.css_rounds, 0);
	before = f.w.cwnd;
	flow_round(&f, before / MSS / 2, 41000);
	assert_in_range(f.w.cwnd, 2 * before - MSS, 2 * before);
	assert_int_equal(f.w.ssthresh, CC_SSTHRESH_NONE);
}

/* @n ACKs @gap_us apart, each for one segment, with RTTs of 100 ms. */
static void train(struct flow *f, uint32_t n, uint32_t gap_us)
{
	for (uint32_t i = 0; i < n; i++) {
		f->w.now_us += gap_us;
		acked_at(f, f->w.snd_una + MSS, 100000);
	}
}

/* Half of the path's RTT of ACKs without a gap: CSS, which no RTT ends again. */
static void test_train(void **state)
{
	struct flow f;

	(void)state;
	flow_open(&f);
	flow_round(&f, 20, 100000);
	train(&f, 24, 2000);
	assert_int_equal(f.h.css_rounds, 0);	/* not half of it yet */
	f.w.now_us += 1;
	train(&f, 1, 2000);			/* a gap: from the beginning */
	train(&f, 24, 2000);
	assert_int_equal(f.h.css_rounds, 0);
	train(&f, 1, 2000);
	assert_int_not_equal(f.h.css_rounds, 0);
	flow_round(&f, 20, 90000);
	assert_int_not_equal(f.h.css_rounds, 0);
	flow_open(&f);
	f.w.paced = true;
	flow_round(&f, 20, 100000);
	train(&f, 60, 1000);
	assert_int_equal(f.h.css_rounds, 0);
}

/* Eight RTTs in a row of half a bandwidth-delay product in the queue end CSS. */
static void test_stands(void **state)
{
	struct flow f;

	(void)state;
	flow_slow(&f);
	for (uint32_t i = 0; i < 3; i++) {
		for (uint32_t k = 0; k < 7; k++)
			acked_at(&f, f.w.snd_una + MSS, 60000);
		acked_at(&f, f.w.snd_una + MSS, 59000);
	}
	assert_int_equal(f.w.ssthresh, CC_SSTHRESH_NONE);
	for (uint32_t k = 0; k < 8; k++)
		acked_at(&f, f.w.snd_una + MSS, 60000);
	assert_int_equal(f.w.ssthresh, f.w.cwnd);
	assert_true(f.w.css);
}

/* ACKs without a measurement, at any numbers, and a sequence that wraps. */
static void test_odd(void **state)
{
	struct flow f;

	(void)state;
	flow_open(&f);
	f.w.snd_una = UINT32_MAX - 10 * MSS;
	f.w.snd_nxt = f.w.snd_una + 40 * MSS;
	for (int i = 0; i < 30; i++)
		flow_round(&f, 3, 0);
	assert_int_equal(f.h.css_rounds, 0);
	assert_true(f.w.cwnd <= CC_CWND_MAX);
	for (int i = 0; i < 30; i++)
		flow_round(&f, 9, UINT32_MAX - 1);
	assert_true(f.w.cwnd <= CC_CWND_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_doubles),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_threshold),
		cmocka_unit_test(test_samples),
		cmocka_unit_test(test_css),
		cmocka_unit_test(test_resume),
		cmocka_unit_test(test_train),
		cmocka_unit_test(test_stands),
		cmocka_unit_test(test_odd),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
