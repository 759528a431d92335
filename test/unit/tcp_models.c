/* tcp/cc_dctcp.c and cc_bbr.c against the figures of their texts. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tcp/cc.h"

#define MSS	1000u

struct flow { union cc_state s; struct cc_window w; };

static void flow_open(struct flow *f, const struct cc_ops *cc)
{
	memset(f, 0, sizeof(*f));
	f->w = (struct cc_window){ .cwnd = 100 * MSS, .ssthresh = 50 * MSS,
				   .mss = MSS, .flight = 100 * MSS,
				   .srtt_us = 20000, .now_ms = 1000 };
	cc->init(&f->s, &f->w);
}

/* One window: all of it acknowledged in ten ACKs, @ce of each marked. */
static void window(struct flow *f, uint32_t bytes, uint32_t ce)
{
	for (int i = 0; i < 10; i++) {
		f->w.snd_una += bytes / 10;
		/* the tenth ACK is the first beyond it */
		f->w.snd_nxt = f->w.snd_una + bytes / 10 * 9;
		cc_dctcp.marked(&f->s, &f->w, bytes / 10, ce / 10);
	}
}

static double alpha(const struct flow *f)
{
	return f->s.dctcp.alpha / 1048576.0;
}

/* RFC 8257 3.3: alpha = (1 - g) alpha + g M, beginning at 1. */
static void test_alpha(void **state)
{
	struct flow f;
	double want;

	(void)state;
	for (int share = 0; share <= 10; share++) {
		flow_open(&f, &cc_dctcp);
		assert_true(alpha(&f) == 1);
		for (int i = 0; i < 400; i++)
			window(&f, 100 * MSS, (uint32_t)share * 10 * MSS);
		/* it converges to the share of marks */
		assert_true(fabs(alpha(&f) - share / 10.0) < 0.001);
	}
	flow_open(&f, &cc_dctcp);
	want = 1;
	window(&f, 100 * MSS, 0);
	for (int i = 0; i < 20; i++) {
		double before = alpha(&f);

		window(&f, 100 * MSS, 0);
		want = before * 15 / 16;
		assert_true(fabs(alpha(&f) - want) < 0.0001);
	}
}

/* 3.3: cwnd (1 - alpha / 2); 3.5: a loss halves. */
static void test_reduction(void **state)
{
	struct flow f;

	(void)state;
	flow_open(&f, &cc_dctcp);
	cc_dctcp.marked(&f.s, &f.w, MSS, MSS);
	assert_int_equal(cc_dctcp.ssthresh(&f.s, &f.w), 50 * MSS);
	for (int i = 0; i < 400; i++)
		window(&f, 100 * MSS, 10 * MSS);	/* alpha 0.1 */
	cc_dctcp.marked(&f.s, &f.w, MSS, MSS);
	assert_in_range(cc_dctcp.ssthresh(&f.s, &f.w), 94 * MSS, 95 * MSS);
	cc_dctcp.marked(&f.s, &f.w, MSS, 0);
	assert_int_equal(cc_dctcp.ssthresh(&f.s, &f.w), 50 * MSS);
	f.w.cwnd = f.w.flight = 3 * MSS;
	assert_int_equal(cc_dctcp.ssthresh(&f.s, &f.w), 2 * MSS);
}

/* ---- BBR on an ideal pipe: 10 MB/s, 20 ms ---- */

#define BW	10000000u
#define RTT_US	20000u

/* A round trip of a pipe that delivers at most BW. */
static void bbr_round(struct flow *f, uint64_t *delivered, uint32_t lost)
{
	uint32_t sent = f->w.cwnd < 400 * MSS ? f->w.cwnd : 400 * MSS;
	uint64_t rate = (uint64_t)sent * 1000000 / RTT_US;
	uint32_t queue_us = 0;
	struct cc_sample rs = { .prior_delivered = *delivered };

	if (rate > BW) {
		queue_us = (uint32_t)((uint64_t)sent * 1000000 / BW) - RTT_US;
		rate = BW;
	}
	*delivered += sent;
	f->w.now_ms += (RTT_US + queue_us) / 1000;
	f->w.rtt_us = RTT_US + queue_us;
	f->w.flight = sent;
	rs.delivered = *delivered;
	rs.rate = rate;
	rs.acked = sent;
	rs.tx_in_flight = sent;
	rs.lost_since = lost;
	cc_bbr.sample(&f->s, &f->w, &rs);
}

/* The model finds the pipe: bandwidth, round trip, out of STARTUP. */
static void test_bbr_finds_pipe(void **state)
{
	uint64_t delivered = 0;
	struct flow f;

	(void)state;
	flow_open(&f, &cc_bbr);
	f.w.cwnd = 10 * MSS;
	for (int i = 0; i < 30; i++)
		bbr_round(&f, &delivered, 0);
	assert_true(f.s.bbr.full);
	assert_int_not_equal(f.s.bbr.state, BBR_STARTUP);
	assert_int_equal(f.s.bbr.min_rtt_us, RTT_US);
	assert_in_range(f.s.bbr.bw_max[0] > f.s.bbr.bw_max[1] ?
			f.s.bbr.bw_max[0] : f.s.bbr.bw_max[1],
			BW - BW / 100, BW);
	/* pacing stays near the bandwidth: gains 0.5 to 1.25, less 1 % */
	assert_in_range(f.w.rate, BW / 2 - BW / 50, BW + BW / 4);
}

/* STARTUP paces by 2.77, less the margin of 1 % (5.6.2). */
static void test_bbr_startup_gain(void **state)
{
	uint64_t delivered = 0;
	struct flow f;

	(void)state;
	flow_open(&f, &cc_bbr);
	f.w.cwnd = 10 * MSS;
	bbr_round(&f, &delivered, 0);
	assert_int_equal(f.s.bbr.state, BBR_STARTUP);
	assert_int_equal(f.w.rate, 500000ull * 277 / 100 * 99 / 100);
}

/* All states of ProbeBW come round, PROBE_RTT every 5 s. */
static void test_bbr_states(void **state)
{
	uint64_t delivered = 0;
	uint32_t seen = 0;
	struct flow f;

	(void)state;
	flow_open(&f, &cc_bbr);
	f.w.cwnd = 10 * MSS;
	for (int i = 0; i < 2000; i++) {
		bbr_round(&f, &delivered, 0);
		seen |= 1u << f.s.bbr.state;
		assert_true(f.w.cwnd >= 4 * MSS && f.w.cwnd <= CC_CWND_MAX);
	}
	assert_int_equal(seen, 1u << BBR_DRAIN | 1u << BBR_DOWN |
			 1u << BBR_CRUISE | 1u << BBR_REFILL | 1u << BBR_UP |
			 1u << BBR_PROBE_RTT | 1u << BBR_STARTUP);
}

/* Less than 2 % of losses in STARTUP do not end it, more do (5.3.1.3). */
static void test_bbr_startup_loss(void **state)
{
	uint64_t delivered = 0;
	struct flow f;

	(void)state;
	flow_open(&f, &cc_bbr);
	f.w.cwnd = 100 * MSS;
	bbr_round(&f, &delivered, 0);
	bbr_round(&f, &delivered, MSS);
	assert_int_equal(f.s.bbr.state, BBR_STARTUP);
	bbr_round(&f, &delivered, 20 * MSS);
	assert_true(f.s.bbr.full);
	assert_true(f.s.bbr.inflight_hi < UINT32_MAX);
}

/* A round at @percent of the pipe's rate, whose ACKs come every @gap_us, all
 * that was delivered meanwhile in one. */
static void ack_bunches(struct flow *f, uint64_t *delivered, uint32_t gap_us,
			uint32_t percent)
{
	uint64_t before = *delivered;

	for (uint32_t us = 0; us < RTT_US; us += gap_us) {
		struct cc_sample rs = { .acked = BW / 1000000 * gap_us *
						 percent / 100,
					.tx_in_flight = 200 * MSS };

		*delivered += rs.acked;
		rs.delivered = *delivered;
		f->w.now_us += gap_us;
		f->w.now_ms = f->w.now_us / 1000;
		if (us + gap_us >= RTT_US) {
			rs.prior_delivered = before;
			rs.rate = BW;
		}
		cc_bbr.sample(&f->s, &f->w, &rs);
	}
}

static uint32_t extra(const struct flow *f)
{
	const struct cc_bbr *b = &f->s.bbr;

	return b->extra[0] > b->extra[1] ? b->extra[0] : b->extra[1];
}

/* 5.5.9: ACKs held back for 10 ms, then 100 segments in one. */
static void test_bbr_bunches(void **state)
{
	uint64_t delivered = 0;
	uint32_t smooth;
	struct flow f;

	(void)state;
	flow_open(&f, &cc_bbr);
	f.w.rtt_us = RTT_US;
	f.w.cwnd = 1000 * MSS;
	for (int i = 0; i < 40; i++)
		ack_bunches(&f, &delivered, 100, 100);
	assert_true(f.s.bbr.full);
	assert_in_range(extra(&f), 0, 2 * MSS);
	smooth = f.w.cwnd;
	for (int i = 0; i < 5; i++)
		ack_bunches(&f, &delivered, RTT_US / 2, 100);
	assert_in_range(extra(&f), 99 * MSS, 101 * MSS);
	assert_in_range(f.w.cwnd, smooth + 90 * MSS, smooth + 110 * MSS);
	/* The interval ends where less comes, then ten rounds forget it. */
	for (int i = 0; i < 16; i++)
		ack_bunches(&f, &delivered, 100, 80);
	assert_in_range(extra(&f), 0, 2 * MSS);
	assert_in_range(f.w.cwnd, smooth - 10 * MSS, smooth + 10 * MSS);
}

/* ---- BBR: losses by chance, and marks ---- */

/* What a round says of losses and marks; the rest is ideal. */
struct round { uint32_t rtt_us, lost, marked, percent; bool accurate; };

/* 200 segments in ten ACKs, the first of which begins the round. */
static void bbr_acks(struct flow *f, uint64_t *delivered, struct round r)
{
	uint64_t rate = (uint64_t)200 * MSS * 1000000 / r.rtt_us;

	for (uint32_t i = 0; i < 10; i++) {
		struct cc_sample rs = {
			.prior_delivered = *delivered, .acked = 20 * MSS,
			.rate = rate * r.percent / 100,
			.tx_in_flight = 200 * MSS, .accurate = r.accurate,
			.lost_since = r.lost, .ce_since = r.marked };

		if (i == 0) {
			rs.lost = r.lost;
			rs.marked = r.marked;
		}
		rs.prior_delivered -= i * 20 * MSS;
		*delivered += rs.acked;
		rs.delivered = *delivered;
		f->w.now_us += r.rtt_us / 10;
		f->w.now_ms = f->w.now_us / 1000;
		f->w.rtt_us = r.rtt_us;
		f->w.flight = f->w.cwnd < 200 * MSS ? f->w.cwnd : 200 * MSS;
		cc_bbr.sample(&f->s, &f->w, &rs);
	}
}

static void bbr_open(struct flow *f, uint32_t rtt_us)
{
	flow_open(f, &cc_bbr);
	f->w.srtt_us = rtt_us;
	f->w.cwnd = 400 * MSS;
	cc_bbr.init(&f->s, &f->w);
}

/* Until it cruises. */
static void bbr_cruise(struct flow *f, uint64_t *delivered, uint32_t rtt_us)
{
	const struct round calm = { .rtt_us = rtt_us, .percent = 100,
				    .accurate = true };

	bbr_open(f, rtt_us);
	*delivered = 1000 * MSS;
	for (int i = 0; i < 60 && f->s.bbr.state != BBR_CRUISE; i++)
		bbr_acks(f, delivered, calm);
	assert_int_equal(f->s.bbr.state, BBR_CRUISE);
	assert_true(f->s.bbr.bw_lo == UINT64_MAX);
}

/* A loss that takes no more than is tolerated lowers nothing, more does. */
static void test_bbr_tolerates(void **state)
{
	uint64_t delivered;
	struct flow f;

	(void)state;
	bbr_cruise(&f, &delivered, 20000);
	bbr_acks(&f, &delivered, (struct round){ 20000, 2 * MSS, 0, 98, true });
	bbr_acks(&f, &delivered, (struct round){ 20000, 2 * MSS, 0, 98, true });
	assert_true(f.s.bbr.bw_lo == (uint64_t)200 * MSS * 50);
	for (int i = 0; i < 4; i++)
		bbr_acks(&f, &delivered,
			 (struct round){ 20000, 8 * MSS, 0, 90, true });
	assert_true(f.s.bbr.bw_lo == (uint64_t)200 * MSS * 45);
	/* 0.7 of what it was at least, every other round of these */
	for (int i = 0; i < 4; i++)
		bbr_acks(&f, &delivered,
			 (struct round){ 20000, 90 * MSS, 0, 10, true });
	assert_true(f.s.bbr.bw_lo >= (uint64_t)200 * MSS * 45 * 49 / 100);
	assert_true(f.s.bbr.bw_lo < (uint64_t)200 * MSS * 45 * 71 / 100);
}

/* The share of marks, smoothed by a sixteenth a round from 1 on. */
static void test_bbr_alpha(void **state)
{
	uint64_t delivered;
	struct flow f;

	(void)state;
	for (uint32_t tenths = 0; tenths <= 4; tenths++) {
		bbr_cruise(&f, &delivered, 1000);
		for (int i = 0; i < 200; i++)
			bbr_acks(&f, &delivered,
				 (struct round){ 1000, 0, tenths * 20 * MSS,
						 100, true });
		assert_true(fabs(f.s.bbr.alpha / 1048576.0 - tenths / 10.0) <
			    0.001);
	}
}

/* Once a round inflight_lo loses a third of alpha; the rate stays. */
static void test_bbr_marks(void **state)
{
	uint64_t delivered;
	uint32_t before;
	struct flow f;

	(void)state;
	bbr_cruise(&f, &delivered, 1000);
	f.s.bbr.alpha = 1 << 19;		/* one half */
	before = f.w.cwnd;
	bbr_acks(&f, &delivered, (struct round){ 1000, 0, 100 * MSS, 100, true });
	assert_in_range(f.s.bbr.inflight_lo, before * 82 / 100,
			before * 84 / 100);
	assert_true(f.s.bbr.bw_lo == UINT64_MAX);
	assert_int_equal(f.w.cwnd, f.s.bbr.inflight_lo);
}

/* On a long path, or told by classic ECN, a mark is a loss. */
static void test_bbr_marks_far(void **state)
{
	uint64_t delivered;
	struct flow f;

	(void)state;
	bbr_cruise(&f, &delivered, 20000);
	for (int i = 0; i < 6; i++)
		bbr_acks(&f, &delivered,
			 (struct round){ 20000, 0, 2 * MSS, 90, true });
	assert_true(f.s.bbr.bw_lo == (uint64_t)200 * MSS * 45);
	bbr_cruise(&f, &delivered, 1000);
	for (int i = 0; i < 6; i++)
		bbr_acks(&f, &delivered,
			 (struct round){ 1000, 0, MSS, 90, false });
	assert_true(f.s.bbr.bw_lo == (uint64_t)200 * MSS * 900);
}

/* Two rounds with half of it marked are the end of STARTUP, one is not. */
static void test_bbr_marks_startup(void **state)
{
	const struct round some = { 1000, 0, 90 * MSS, 100, true };
	const struct round many = { 1000, 0, 120 * MSS, 100, true };
	uint64_t delivered = 1000 * MSS;
	struct flow f;

	(void)state;
	bbr_open(&f, 1000);
	bbr_acks(&f, &delivered, many);
	f.s.bbr.full_bw = 0;		/* as if the rate went on growing */
	bbr_acks(&f, &delivered, some);
	f.s.bbr.full_bw = 0;
	bbr_acks(&f, &delivered, many);
	assert_int_equal(f.s.bbr.state, BBR_STARTUP);
	f.s.bbr.full_bw = 0;
	bbr_acks(&f, &delivered, many);
	f.s.bbr.full_bw = 0;
	bbr_acks(&f, &delivered, many);
	assert_true(f.s.bbr.full);
	assert_true(f.s.bbr.inflight_hi < UINT32_MAX);
}

/* More than half of a probe marked: it was too much. */
static void test_bbr_marks_up(void **state)
{
	uint64_t delivered;
	struct flow f;

	(void)state;
	bbr_cruise(&f, &delivered, 1000);
	for (int i = 0; i < 5000 && f.s.bbr.state != BBR_UP; i++)
		bbr_acks(&f, &delivered, (struct round){ 1000, 0, 0, 100, true });
	assert_int_equal(f.s.bbr.state, BBR_UP);
	bbr_acks(&f, &delivered, (struct round){ 1000, 0, 9 * MSS, 100, true });
	assert_true(f.s.bbr.inflight_hi == UINT32_MAX);
	bbr_acks(&f, &delivered, (struct round){ 1000, 0, 150 * MSS, 100, true });
	assert_in_range(f.s.bbr.inflight_hi, 1, 220 * MSS);
	assert_int_not_equal(f.s.bbr.state, BBR_UP);
}

/* Marks end: the next probe does not wait for its time. */
static void test_bbr_marks_end(void **state)
{
	uint64_t delivered;
	struct flow f;
	int rounds = 0;

	(void)state;
	bbr_cruise(&f, &delivered, 1000);
	for (int i = 0; i < 5; i++)
		bbr_acks(&f, &delivered,
			 (struct round){ 1000, 0, 20 * MSS, 100, true });
	assert_int_equal(f.s.bbr.state, BBR_CRUISE);
	while (f.s.bbr.state == BBR_CRUISE && rounds < 100) {
		bbr_acks(&f, &delivered, (struct round){ 1000, 0, 0, 100, true });
		rounds++;
	}
	assert_in_range(rounds, 1, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_alpha),
		cmocka_unit_test(test_reduction),
		cmocka_unit_test(test_bbr_finds_pipe),
		cmocka_unit_test(test_bbr_startup_gain),
		cmocka_unit_test(test_bbr_states),
		cmocka_unit_test(test_bbr_startup_loss),
		cmocka_unit_test(test_bbr_bunches),
		cmocka_unit_test(test_bbr_tolerates),
		cmocka_unit_test(test_bbr_alpha),
		cmocka_unit_test(test_bbr_marks),
		cmocka_unit_test(test_bbr_marks_far),
		cmocka_unit_test(test_bbr_marks_startup),
		cmocka_unit_test(test_bbr_marks_up),
		cmocka_unit_test(test_bbr_marks_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
