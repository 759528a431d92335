/* The flight recorder names what limits a connection: staged cases. */
#include "tcp_pair.h"

#include "shm/cmd.h"
#include "tcp/env.h"

struct stage {
	struct pair p;
	uint32_t conn[2];
	uint64_t sent, read;
};

static void stage_open(struct stage *s, uint32_t delay_us, uint32_t rcv_wnd)
{
	struct tcp_config c;
	uint32_t l;

	memset(s, 0, sizeof(*s));
	tcp_config_default(&c);
	c.max_conns = c.max_syn = c.max_time_wait = 64;
	c.max_extents = 8192;
	if (rcv_wnd)
		c.rcv_wnd_initial = c.rcv_wnd_max = rcv_wnd;
	pair_open(&s->p, &c, 7);
	s->p.delay_us = delay_us;
	l = pair_listen(&s->p, 1, 80, 16);
	s->conn[0] = pair_connect(&s->p, 0, 4000, 80);
	pair_run(&s->p, 4 * delay_us + 1000);
	assert_int_equal(tcp_next_ready_listener(s->p.side[1].env), l);
	s->conn[1] = pair_accept(&s->p, 1, l);
	assert_true(s->conn[1] != 0);
}

static void stage_close(struct stage *s)
{
	pair_close(&s->p);
}

/* As a program would that has always more: up to the send limit. */
static void fill(struct stage *s)
{
	struct tcp_env *env = s->p.side[0].env;

	for (int i = 0; i < 512; i++) {
		uint32_t queued = tcp_sent(env, s->conn[0]) -
				  tcp_acked(env, s->conn[0]);
		uint32_t n;

		if (queued + 4096 > tcp_send_limit(env, s->conn[0])) {
			tcp_want_sent(env, s->conn[0]);
			return;
		}
		n = pair_send(&s->p, 0, s->conn[0], s->sent, 4096, false);
		if (!n)
			return;
		s->sent += n;
	}
}

/* @us of virtual time; every 2 ms the sender fills, the reader reads. */
static void run(struct stage *s, uint64_t us, bool full, uint64_t read_most)
{
	uint64_t end = s->p.now.us + us;

	while (s->p.now.us < end) {
		if (full)
			fill(s);
		s->read += pair_read(&s->p, 1, s->conn[1], s->read, read_most);
		pair_run(&s->p, 2000);
	}
}

static void report(struct stage *s, struct tcp_flight *f)
{
	struct tcp_env *env = s->p.side[0].env;
	uint32_t generation = tcp_user(env, s->conn[0])->generation;

	assert_int_equal(flight_report(env, s->conn[0], generation, f,
				       s->p.now), 0);
}

static void expect(struct stage *s, enum flight_verdict want)
{
	struct tcp_flight f;

	report(s, &f);
	if (f.verdict == want)
		return;
	for (uint32_t i = 0; i < FLIGHT_LIMITS; i++)
		print_error("%-18s %8llu us\n", flight_limit_name(i),
			    (unsigned long long)f.recent_us[i]);
	fail_msg("verdict %s, not %s", flight_verdict_name(f.verdict),
		 flight_verdict_name(want));
}

static void test_application(void **state)
{
	struct stage s;

	(void)state;
	stage_open(&s, 1000, 0);
	for (int i = 0; i < 500; i++) {
		s.sent += pair_send(&s.p, 0, s.conn[0], s.sent, 1000, false);
		run(&s, 8000, false, UINT64_MAX);
	}
	expect(&s, VERDICT_APPLICATION);
	stage_close(&s);
}

static void test_slow_reader(void **state)
{
	struct stage s;

	(void)state;
	stage_open(&s, 1000, 0);
	run(&s, 4200000, true, 500);
	expect(&s, VERDICT_SLOW_READER);
	stage_close(&s);
}

static void test_small_window(void **state)
{
	struct stage s;

	(void)state;
	stage_open(&s, 5000, 8192);
	run(&s, 4200000, true, UINT64_MAX);
	expect(&s, VERDICT_RECEIVE_WINDOW);
	stage_close(&s);
}

static void test_loss(void **state)
{
	struct stage s;

	(void)state;
	stage_open(&s, 5000, 0);
	s.p.loss_ppm = 60000;
	run(&s, 4200000, true, UINT64_MAX);
	expect(&s, VERDICT_LOSS);
	stage_close(&s);
}

static void test_long_rtt(void **state)
{
	struct stage s;

	(void)state;
	stage_open(&s, 100000, 0);
	run(&s, 5000000, true, UINT64_MAX);
	expect(&s, VERDICT_LONG_RTT);
	stage_close(&s);
}

static void test_paced(void **state)
{
	struct stage s;

	(void)state;
	stage_open(&s, 1000, 0);
	assert_int_equal(tcp_option(s.p.side[0].env, s.conn[0],
				    CMD_OPT_MAX_PACING, 200000, s.p.now), 0);
	run(&s, 4200000, true, UINT64_MAX);
	expect(&s, VERDICT_PACING);
	stage_close(&s);
}

static void test_idle(void **state)
{
	struct stage s;
	struct tcp_flight f;

	(void)state;
	stage_open(&s, 10000, 0);
	expect(&s, VERDICT_IDLE);
	run(&s, 500000, true, UINT64_MAX);
	run(&s, 10000000, false, UINT64_MAX);
	expect(&s, VERDICT_IDLE);
	report(&s, &f);
	assert_true(f.recorded && f.event_count);
	stage_close(&s);
}

/* The program of this side does not read what the peer sends. */
static void test_local_reader(void **state)
{
	struct stage s;
	struct tcp_flight f;
	struct tcp_env *env;

	(void)state;
	stage_open(&s, 1000, 0);
	run(&s, 3000000, true, 0);
	env = s.p.side[1].env;
	assert_int_equal(flight_report(env, s.conn[1],
		tcp_user(env, s.conn[1])->generation, &f, s.p.now), 0);
	assert_int_equal(f.verdict, VERDICT_LOCAL_READER);
	stage_close(&s);
}

/* The times add up: nothing of a connection's time is lost or twice. */
static void test_sum(void **state)
{
	struct stage s;
	struct tcp_flight f;
	uint64_t sum = 0;

	(void)state;
	stage_open(&s, 10000, 0);
	s.p.loss_ppm = 20000;
	for (uint32_t i = 0; i < 10; i++) {
		run(&s, 100000, true, UINT64_MAX);
		run(&s, i * 1000000, false, UINT64_MAX);
	}
	report(&s, &f);
	for (int i = 0; i < FLIGHT_LIMITS; i++)
		sum += f.total_us[i];
	assert_int_equal(sum, f.now_us - f.born_us);
	assert_true(f.window_us <= 4 * FLIGHT_EPOCH_US);
	assert_int_equal(f.event_count, FLIGHT_EVENTS);
	for (uint32_t i = 1; i < f.event_count; i++)
		assert_true(f.event[i - 1].at_us <= f.event[i].at_us);
	stage_close(&s);
}

/* A connection that never had data, and one that is gone. */
static void test_none(void **state)
{
	struct stage s;
	struct tcp_flight f;
	struct tcp_env *env;
	uint32_t generation;

	(void)state;
	stage_open(&s, 1000, 0);
	report(&s, &f);
	assert_false(f.recorded);
	assert_int_equal(f.window_us, 0);
	env = s.p.side[0].env;
	generation = tcp_user(env, s.conn[0])->generation;
	assert_int_equal(flight_report(env, 0, 0, &f, s.p.now), -2);
	assert_int_equal(flight_report(env, 63, 0, &f, s.p.now), -2);
	assert_int_equal(flight_report(env, UINT32_MAX, 0, &f, s.p.now), -2);
	assert_int_equal(flight_report(env, s.conn[0], generation + 1, &f,
				       s.p.now), -2);
	for (uint32_t i = 0; i < 2; i++) {
		tcp_close(s.p.side[i].env, s.conn[i], false, s.p.now);
		tcp_detach(s.p.side[i].env, s.conn[i]);
	}
	pair_run(&s.p, 70000000);
	pair_empty(&s.p);
	assert_int_equal(flight_report(env, s.conn[0], generation, &f,
				       s.p.now), -2);
	stage_close(&s);
}

/* Two connections of one slot: the busy one keeps it; stale, it is taken. */
static void test_slots(void **state)
{
	struct stage s;
	struct tcp_env *env;
	struct flight_record *r;

	(void)state;
	stage_open(&s, 20000, 0);
	env = s.p.side[0].env;
	run(&s, 100000, true, UINT64_MAX);
	r = &env->flight[s.conn[0] & env->flight_mask];
	assert_int_equal(r->conn, s.conn[0]);
	r->conn = s.conn[0] + 64;		/* as if another had it, busy */
	r->limit = FLIGHT_CWND;
	run(&s, 100000, true, UINT64_MAX);
	assert_int_equal(r->conn, s.conn[0] + 64);
	run(&s, 1500000, true, UINT64_MAX);
	assert_int_equal(r->conn, s.conn[0]);
	stage_close(&s);
}

static void test_names(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < FLIGHT_LIMITS; i++)
		assert_string_not_equal(flight_limit_name(i), "?");
	for (uint32_t i = 0; i < VERDICTS; i++)
		assert_string_not_equal(flight_verdict_name(i), "?");
	assert_string_equal(flight_limit_name(FLIGHT_LIMITS), "?");
	assert_string_equal(flight_verdict_name(UINT32_MAX), "?");
	assert_string_equal(flight_event_name(FLIGHT_EVENT_TYPES), "?");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_application),
		cmocka_unit_test(test_slow_reader),
		cmocka_unit_test(test_small_window),
		cmocka_unit_test(test_loss),
		cmocka_unit_test(test_long_rtt),
		cmocka_unit_test(test_paced),
		cmocka_unit_test(test_idle),
		cmocka_unit_test(test_local_reader),
		cmocka_unit_test(test_sum),
		cmocka_unit_test(test_none),
		cmocka_unit_test(test_slots),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
