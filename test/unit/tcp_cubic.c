/* tcp/cc_cubic.c against the formulas of RFC 9438, in double. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tcp/cc.h"

#define C	0.4	/* RFC 9438 5.1 */
#define BETA	0.7	/* 4.6 */
#define MSS	1448u

static uint64_t draw(void)
{
	static uint64_t x = 88172645463325252u;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return x;
}

/* ---- the cube root ---- */

static void check_root(uint64_t x)
{
	uint64_t r = cc_cube_root(x);
	__extension__ typedef unsigned __int128 wide;

	assert_true((wide)r * r * r <= x);
	assert_true((wide)(r + 1) * (r + 1) * (r + 1) > x);
	assert_true(fabs((double)r - cbrt((double)x)) < 1.001);
}

static void test_cube_root(void **state)
{
	(void)state;
	for (uint64_t x = 0; x < 70000; x++)
		check_root(x);
	for (uint64_t r = 1; r <= 2642245; r += 997) {
		check_root(r * r * r - 1);
		check_root(r * r * r);
		check_root(r * r * r + 1);
	}
	for (int i = 0; i < 100000; i++)
		check_root(draw() >> draw() % 64);
	check_root(UINT64_MAX);
	check_root(UINT64_C(1) << 63);
}

/* ---- W_cubic(t) ---- */

static double w_cubic(double w_max, double k, double t, double mss)
{
	return (C * (t - k) * (t - k) * (t - k) + w_max / mss) * mss;
}

static void check_window(uint32_t w_max, uint32_t k_ms, uint32_t mss,
			 uint32_t t_ms)
{
	struct cc_cubic c = { .w_max = w_max, .k_ms = k_ms };
	double want = w_cubic(w_max, k_ms / 1000.0, t_ms / 1000.0, mss);
	double have = cc_cubic_window(&c, mss, t_ms);

	want = want < 0 ? 0 : want > 1u << 30 ? 1u << 30 : want;
	assert_true(fabs(have - want) <= 2);
}

static void test_window(void **state)
{
	static const uint32_t mss[] = { 64, 536, 1448, 1460, 8960, 65495 };

	(void)state;
	for (int i = 0; i < 100000; i++)
		check_window((uint32_t)(draw() >> 34), (uint32_t)(draw() % 60000),
			     mss[draw() % 6], (uint32_t)(draw() % 90000));
	/* figure 1 at its inflexion: t = K gives W_max */
	check_window(100 * MSS, 4217, MSS, 4217);
	check_window(0, 0, MSS, 0);
	check_window(0, 90000, 65495, 0);
}

/* Whatever the numbers: no overflow, and monotonous in time. */
static void test_window_extremes(void **state)
{
	static const uint32_t edge[] = { 0, 1, 100000, 1u << 30, UINT32_MAX };

	(void)state;
	for (int w = 0; w < 5; w++)
		for (int k = 0; k < 5; k++) {
			struct cc_cubic c = { .w_max = edge[w],
					      .k_ms = edge[k] };
			uint32_t last = 0;

			for (int t = 0; t < 5; t++) {
				uint32_t now = cc_cubic_window(&c, 65535,
							       edge[t]);

				assert_true(now >= last && now <= 1u << 30);
				last = now;
			}
		}
}

/* ---- a connection's window ---- */

struct flow { union cc_state s; struct cc_window w; };

static void flow_open(struct flow *f, uint32_t cwnd, uint32_t srtt_us)
{
	memset(f, 0, sizeof(*f));
	f->w = (struct cc_window){ .cwnd = cwnd, .ssthresh = UINT32_MAX,
				   .mss = MSS, .flight = cwnd,
				   .srtt_us = srtt_us, .now_ms = 4294960000u };
	cc_cubic.init(&f->s, &f->w);
}

static void flow_loss(struct flow *f)
{
	f->w.flight = f->w.cwnd;
	f->w.ssthresh = cc_cubic.ssthresh(&f->s, &f->w);
	f->w.cwnd = f->w.ssthresh;
}

/* A round trip's ACKs, one for two segments; the time goes on by itself. */
static void flow_round(struct flow *f)
{
	uint32_t acks = f->w.cwnd / (2 * MSS), start = f->w.now_ms;

	for (uint32_t i = 0; i < acks; i++) {
		uint32_t before = f->w.cwnd;

		f->w.now_ms = start + (uint32_t)((uint64_t)f->w.srtt_us / 1000 *
						 (i + 1) / acks);
		f->w.flight = f->w.cwnd;
		cc_cubic.acked(&f->s, &f->w, 2 * MSS);
		assert_true(f->w.cwnd >= before);
	}
}

/* 4.6 and 4.7: beta, and fast convergence at a loss below W_max. */
static void test_loss(void **state)
{
	struct flow f;

	(void)state;
	flow_open(&f, 100 * MSS, 100000);
	flow_loss(&f);
	assert_int_equal(f.w.ssthresh, (uint32_t)(100 * MSS * BETA));
	assert_int_equal(f.s.cubic.w_max, 100 * MSS);
	flow_loss(&f);
	assert_in_range(f.w.ssthresh, 49 * MSS - 2, 49 * MSS);
	assert_in_range(f.s.cubic.w_max, 70 * MSS * 0.85 - 2, 70 * MSS * 0.85);
	flow_open(&f, 2 * MSS, 100000);
	flow_loss(&f);
	assert_int_equal(f.w.ssthresh, 2 * MSS);	/* RFC 5681 3.1 */
}

/* The ACKs of nearly the whole window came in one burst: what was in flight at the
 * end of it says nothing about the path. */
static void test_loss_behind_burst(void **state)
{
	struct flow f;

	(void)state;
	flow_open(&f, 100 * MSS, 20000);
	f.w.flight = 4 * MSS;
	assert_int_equal(cc_cubic.ssthresh(&f.s, &f.w), 70 * MSS);
}

/* figure 2: K = cbrt((W_max - cwnd_epoch) / C). */
static void test_k(void **state)
{
	(void)state;
	for (uint32_t segs = 10; segs < 100000; segs = segs * 5 / 4 + 1) {
		struct flow f;
		double k;

		flow_open(&f, segs * MSS, 100000);
		flow_loss(&f);
		k = cbrt((double)(segs * MSS - f.w.cwnd) / MSS / C);
		cc_cubic.acked(&f.s, &f.w, MSS);
		assert_true(fabs(f.s.cubic.k_ms - k * 1000) <= 1.001);
	}
}

/* 4.4, 4.5: a large window over a long way follows the curve, is at W_max at
 * K and goes on beyond it.  With a target a round trip ahead it may be early
 * by that, and a round of ACKs late. */
static void test_follows_curve(void **state)
{
	struct flow f;
	double k, t, low, high;
	uint32_t epoch;

	(void)state;
	flow_open(&f, 4000 * MSS, 50000);
	flow_loss(&f);
	k = cbrt(4000 * (1 - BETA) / C);
	epoch = f.w.now_ms;
	for (int i = 0; i < 600; i++) {
		flow_round(&f);
		t = (f.w.now_ms - epoch) / 1000.0;
		low = w_cubic(4000 * MSS, k, t - 0.1, MSS);
		high = w_cubic(4000 * MSS, k, t + 0.05, MSS);
		if (t < 0.5)
			continue;
		assert_true(f.w.cwnd >= low * 0.995);
		assert_true(f.w.cwnd <= high * 1.005);
	}
	assert_true(t > 2 * k);		/* well into the convex part */
}

/* 4.3, figure 4: over a short way Reno's window is the larger one. */
static void test_reno_friendly(void **state)
{
	struct flow f;
	double est, alpha, before;

	(void)state;
	flow_open(&f, 40 * MSS, 2000);
	flow_loss(&f);
	est = f.w.cwnd;
	for (int i = 0; i < 80; i++) {
		uint32_t acks = f.w.cwnd / (2 * MSS);

		for (uint32_t a = 0; a < acks; a++) {
			alpha = est >= 40 * MSS ? 1 :
				3 * (1 - BETA) / (1 + BETA);
			est += alpha * 2 * MSS * MSS / f.w.cwnd;
			f.w.flight = f.w.cwnd;
			cc_cubic.acked(&f.s, &f.w, 2 * MSS);
		}
		f.w.now_ms += 2;
		assert_true(fabs(f.w.cwnd - est) <= est * 0.002 + 2);
	}
	before = f.w.cwnd;
	flow_round(&f);			/* one segment a round trip now */
	assert_true(fabs(f.w.cwnd - before - MSS) < MSS * 0.1);
}

/* 4.2: no more than half as much again for a window's ACKs, however late. */
static void test_limit(void **state)
{
	struct flow f;

	(void)state;
	flow_open(&f, 100 * MSS, 100000);
	flow_loss(&f);
	cc_cubic.acked(&f.s, &f.w, MSS);
	f.w.now_ms += 90000;
	f.s.cubic.grown_ms += 90000;	/* as if cwnd had been used */
	for (int i = 0; i < 70; i++) {
		uint32_t before = f.w.cwnd;

		cc_cubic.acked(&f.s, &f.w, MSS);
		assert_true(f.w.cwnd - before <= MSS / 2 + 1);
	}
}

/* What is less than a byte is not lost: ACKs may be for very little. */
static void test_remainders(void **state)
{
	struct flow f;
	uint32_t before;

	(void)state;
	flow_open(&f, 1000 * MSS, 100000);
	flow_loss(&f);
	cc_cubic.acked(&f.s, &f.w, MSS);
	f.w.now_ms += 90000;
	f.s.cubic.grown_ms += 90000;	/* as if cwnd had been used */
	before = f.w.cwnd;
	for (int i = 0; i < 4000; i++)
		cc_cubic.acked(&f.s, &f.w, 1);
	assert_in_range(f.w.cwnd - before, 1990, 2010);
}

/* 4.8 and 5.8: a timeout or an idle time ends the epoch; the next begins with
 * the window that is there then. */
static void test_restart(void **state)
{
	struct flow f;
	uint32_t cwnd;

	(void)state;
	flow_open(&f, 1000 * MSS, 100000);
	flow_loss(&f);
	flow_round(&f);
	cc_cubic.event(&f.s, &f.w, CC_TIMEOUT);
	f.w.now_ms += 3600000;
	cwnd = f.w.cwnd;
	cc_cubic.acked(&f.s, &f.w, 2 * MSS);
	assert_true(f.w.cwnd - cwnd <= 2 * MSS);
	assert_int_equal(f.s.cubic.epoch_ms, f.w.now_ms);
}

/* Anything at all: the window stays sane. */
static void test_random(void **state)
{
	struct flow f;

	(void)state;
	flow_open(&f, 10 * MSS, 1000);
	for (int i = 0; i < 200000; i++) {
		uint32_t before = f.w.cwnd;

		f.w.srtt_us = (uint32_t)(draw() % 60000000);
		f.w.now_ms += (uint32_t)(draw() >> (40 + draw() % 24));
		f.w.flight = (uint32_t)(draw() % (f.w.cwnd + 1));
		switch (draw() % 50) {
		case 0:
			flow_loss(&f);
			break;
		case 1:
			cc_cubic.event(&f.s, &f.w, CC_TIMEOUT);
			break;
		case 2:
			f.w.mss = 32 + (uint32_t)(draw() % 65000);
			if (f.w.cwnd < f.w.mss)
				f.w.cwnd = f.w.mss;
			break;
		default:
			cc_cubic.acked(&f.s, &f.w, 1 + (uint32_t)
				       (draw() % (f.w.flight + 1)));
			assert_true(f.w.cwnd >= before);
		}
		assert_true(f.w.cwnd >= 32 && f.w.cwnd <= 1u << 30);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cube_root),
		cmocka_unit_test(test_window),
		cmocka_unit_test(test_window_extremes),
		cmocka_unit_test(test_loss),
		cmocka_unit_test(test_loss_behind_burst),
		cmocka_unit_test(test_k),
		cmocka_unit_test(test_follows_curve),
		cmocka_unit_test(test_reno_friendly),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_remainders),
		cmocka_unit_test(test_restart),
		cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
