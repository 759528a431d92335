/* Two TCPs over a link: open, transfer, close, in every order. */
#include "tcp_pair.h"

#include "tcp/tcp_state.h"

static void config(struct tcp_config *c)
{
	tcp_config_default(c);
	c->max_conns = 64;
	c->max_syn = 64;
	c->max_time_wait = 64;
	c->max_extents = 4096;
	c->time_wait_ms = 2000;
	c->fin_wait2_ms = 5000;
}

static uint8_t state_of(struct pair *p, uint32_t who, uint32_t conn)
{
	struct tcp_info i[64];
	uint32_t cursor = 0;
	int n = tcp_list(p->side[who].env, &cursor, i, 64);

	for (int k = 0; k < n; k++)
		if (i[k].conn == conn)
			return i[k].state;
	return TCP_CLOSED;
}

/* A pair with one connection open from side 0 to side 1. */
static void open_one(struct pair *p, uint64_t seed, uint32_t conn[2])
{
	struct tcp_config c;
	uint32_t l;

	config(&c);
	pair_open(p, &c, seed);
	l = pair_listen(p, 1, 80, 16);
	conn[0] = pair_connect(p, 0, 4000, 80);
	pair_run(p, 10000);
	assert_int_equal(tcp_next_ready_listener(p->side[1].env), l);
	conn[1] = pair_accept(p, 1, l);
	assert_true(conn[1] != 0);
	assert_int_equal(state_of(p, 0, conn[0]), TCP_ESTABLISHED);
	assert_int_equal(state_of(p, 1, conn[1]), TCP_ESTABLISHED);
	assert_true(tcp_events(p->side[0].env, conn[0]) & TCP_EVENT_CONNECTED);
	tcp_announced(p->side[0].env, conn[0], TCP_EVENT_CONNECTED);
}

static void end_both(struct pair *p, uint32_t conn[2])
{
	for (uint32_t i = 0; i < 2; i++) {
		tcp_close(p->side[i].env, conn[i], false, p->now);
		tcp_detach(p->side[i].env, conn[i]);
		pair_run(p, 100000);
	}
	pair_run(p, 5000000);
	pair_empty(p);
	pair_close(p);
}

static void test_open_close(void **state)
{
	struct pair p;
	uint32_t conn[2];

	(void)state;
	open_one(&p, 1, conn);
	end_both(&p, conn);
}

static void test_echo(void **state)
{
	struct pair p;
	uint32_t conn[2];

	(void)state;
	open_one(&p, 2, conn);
	for (int i = 0; i < 50; i++) {
		uint32_t len = (uint32_t)i * 37 + 1;

		len = pair_send(&p, 0, conn[0], 0, len, false);
		pair_run(&p, 3000);
		assert_int_equal(pair_read(&p, 1, conn[1], 0, UINT64_MAX), len);
		len = pair_send(&p, 1, conn[1], 0, len, false);
		pair_run(&p, 3000);
		assert_int_equal(pair_read(&p, 0, conn[0], 0, UINT64_MAX), len);
	}
	assert_int_equal(counter_get(&tcp_stats(p.side[0].env)->timeouts), 0);
	end_both(&p, conn);
}

static void test_half_close(void **state)
{
	struct pair p;
	uint32_t conn[2];
	uint64_t got = 0;

	(void)state;
	open_one(&p, 3, conn);
	tcp_shutdown_write(p.side[0].env, conn[0], p.now);
	pair_run(&p, 10000);
	assert_int_equal(state_of(&p, 0, conn[0]), TCP_FIN_WAIT_2);
	assert_int_equal(state_of(&p, 1, conn[1]), TCP_CLOSE_WAIT);
	assert_true(tcp_events(p.side[1].env, conn[1]) & TCP_EVENT_FIN);
	assert_int_equal(pair_send(&p, 1, conn[1], 0, 4096, false), 4096);
	pair_run(&p, 100000);
	got = pair_read(&p, 0, conn[0], 0, UINT64_MAX);
	assert_int_equal(got, 4096);
	end_both(&p, conn);
}

static void test_close_with_unread_resets(void **state)
{
	struct pair p;
	uint32_t conn[2];

	(void)state;
	open_one(&p, 4, conn);
	pair_send(&p, 0, conn[0], 0, 100, false);
	pair_run(&p, 10000);
	tcp_close(p.side[1].env, conn[1], false, p.now);
	pair_run(&p, 10000);
	assert_int_equal(tcp_error(p.side[0].env, conn[0]), ECONNRESET);
	assert_true(tcp_events(p.side[0].env, conn[0]) & TCP_EVENT_ERROR);
	end_both(&p, conn);
}

static void test_data_after_close_resets_once(void **state)
{
	struct pair p;
	uint32_t conn[2];

	(void)state;
	open_one(&p, 5, conn);
	tcp_close(p.side[1].env, conn[1], false, p.now);
	tcp_detach(p.side[1].env, conn[1]);
	pair_run(&p, 10000);
	assert_true(pair_send(&p, 0, conn[0], 0, 100, false) != 0);
	pair_run(&p, 10000);
	assert_int_equal(tcp_error(p.side[0].env, conn[0]), EPIPE);
	assert_int_equal(counter_get(&tcp_stats(p.side[1].env)->rsts_out), 1);
	tcp_close(p.side[0].env, conn[0], false, p.now);
	tcp_detach(p.side[0].env, conn[0]);
	pair_run(&p, 5000000);
	pair_empty(&p);
	pair_close(&p);
}

static void test_refused(void **state)
{
	struct tcp_config c;
	struct pair p;
	uint32_t conn;

	(void)state;
	config(&c);
	pair_open(&p, &c, 6);
	conn = pair_connect(&p, 0, 4000, 81);
	pair_run(&p, 10000);
	assert_int_equal(tcp_error(p.side[0].env, conn), ECONNREFUSED);
	tcp_close(p.side[0].env, conn, false, p.now);
	tcp_detach(p.side[0].env, conn);
	pair_run(&p, 10000);
	pair_empty(&p);
	pair_close(&p);
}

static void test_connect_times_out(void **state)
{
	struct tcp_config c;
	struct pair p;
	uint32_t conn;

	(void)state;
	config(&c);
	c.syn_retries = 3;
	pair_open(&p, &c, 7);
	p.loss_ppm = 1000000;
	conn = pair_connect(&p, 0, 4000, 80);
	pair_run(&p, 14900000);
	assert_int_equal(tcp_error(p.side[0].env, conn), 0);
	pair_run(&p, 300000);
	assert_int_equal(tcp_error(p.side[0].env, conn), ETIMEDOUT);
	tcp_close(p.side[0].env, conn, false, p.now);
	tcp_detach(p.side[0].env, conn);
	pair_run(&p, 10000);
	pair_empty(&p);
	pair_close(&p);
}

static void test_simultaneous_open(void **state)
{
	struct tcp_config c;
	struct pair p;
	uint32_t conn[2];

	(void)state;
	config(&c);
	pair_open(&p, &c, 8);
	conn[0] = pair_connect(&p, 0, 1000, 2000);
	conn[1] = pair_connect(&p, 1, 2000, 1000);
	pair_run(&p, 20000);
	for (uint32_t i = 0; i < 2; i++) {
		assert_int_equal(state_of(&p, i, conn[i]), TCP_ESTABLISHED);
		assert_int_equal(pair_send(&p, i, conn[i], 0, 500, false), 500);
	}
	pair_run(&p, 20000);
	for (uint32_t i = 0; i < 2; i++)
		assert_int_equal(pair_read(&p, i, conn[i], 0, 9999), 500);
	end_both(&p, conn);
}

static void test_simultaneous_close(void **state)
{
	struct pair p;
	uint32_t conn[2];

	(void)state;
	open_one(&p, 9, conn);
	for (uint32_t i = 0; i < 2; i++) {
		tcp_close(p.side[i].env, conn[i], false, p.now);
		tcp_detach(p.side[i].env, conn[i]);
	}
	pair_run(&p, 10000);
	for (uint32_t i = 0; i < 2; i++) {
		assert_int_equal(counter_get(&tcp_stats(p.side[i].env)->time_wait),
				 1);
		assert_int_equal(counter_get(&tcp_stats(p.side[i].env)->conns), 0);
	}
	pair_run(&p, 5000000);
	pair_empty(&p);
	pair_close(&p);
}

static void test_zero_window(void **state)
{
	struct pair p;
	uint32_t conn[2], n;
	uint64_t sent = 0, got = 0;

	(void)state;
	open_one(&p, 10, conn);
	while (sent < 400000) {
		n = pair_send(&p, 0, conn[0], sent, 4096, false);
		sent += n;
		if (!n)
			break;
	}
	pair_run(&p, 20000000);		/* nobody reads */
	assert_true(counter_get(&tcp_stats(p.side[0].env)->zero_window_probes) > 3);
	assert_int_equal(tcp_error(p.side[0].env, conn[0]), 0);
	for (int i = 0; i < 10000 && got < sent; i++) {
		got += pair_read(&p, 1, conn[1], got, UINT64_MAX);
		pair_step(&p, 100000);
	}
	assert_int_equal(got, sent);
	end_both(&p, conn);
}

struct flow {
	uint64_t total, sent, got;
	bool shut;
};

/* One connection with random sizes, reads and losses; both ends close. */
static void random_transfer(uint64_t seed)
{
	struct tcp_config c;
	struct pair p;
	struct flow f[2];
	uint32_t conn[2] = { 0, 0 }, l;
	uint64_t deadline;

	config(&c);
	pair_open(&p, &c, seed);
	if (pair_below(&p, 4) == 0)
		strcpy(c.cc, "reno");
	c.timestamps = pair_below(&p, 3) != 0;
	c.window_scaling = pair_below(&p, 3) != 0;
	if (pair_below(&p, 4) == 0)
		c.rcv_wnd_initial = 1024 + pair_below(&p, 4000);
	pair_close(&p);
	pair_open(&p, &c, seed);
	p.delay_us = 50 + pair_below(&p, 20000);
	p.jitter_us = pair_below(&p, 2) ? pair_below(&p, 20000) : 0;
	p.loss_ppm = pair_below(&p, 3) ? pair_below(&p, 200000) : 0;
	p.dup_ppm = pair_below(&p, 3) ? 0 : pair_below(&p, 100000);
	p.tso = pair_below(&p, 2) ? 65535 : 0;
	p.mtu = pair_below(&p, 4) ? 1500 : 576;
	for (int i = 0; i < 2; i++)
		f[i] = (struct flow){ .total = pair_below(&p, 3) ?
			pair_below(&p, 300000) : pair_below(&p, 3000) };
	l = pair_listen(&p, 1, 80, 16);
	conn[0] = pair_connect(&p, 0, 4000, 80);
	deadline = p.now.us + UINT64_C(3000000000);
	while (p.now.us < deadline) {
		if (!conn[1])
			conn[1] = pair_accept(&p, 1, l);
		for (uint32_t i = 0; i < 2; i++) {
			struct tcp_env *env = p.side[i].env;
			uint64_t left = f[i].total - f[i].sent;

			if (!conn[i])
				continue;
			assert_int_equal(tcp_error(env, conn[i]), 0);
			while (left && tcp_sent(env, conn[i]) -
			       tcp_acked(env, conn[i]) <
			       tcp_send_limit(env, conn[i])) {
				uint32_t n = 1 + pair_below(&p, 5000);

				n = pair_send(&p, i, conn[i], f[i].sent,
					      n < left ? n : (uint32_t)left,
					      pair_below(&p, 8) == 0);
				f[i].sent += n;
				left -= n;
				if (!n || pair_below(&p, 3) == 0)
					break;
			}
			if (!left && !f[i].shut && pair_below(&p, 4) == 0) {
				tcp_shutdown_write(env, conn[i], p.now);
				f[i].shut = true;
			}
			if (pair_below(&p, 3))
				f[i].got += pair_read(&p, i, conn[i], f[i].got,
						      pair_below(&p, 20000));
		}
		if (f[0].shut && f[1].shut && f[0].got == f[1].total &&
		    f[1].got == f[0].total)
			break;
		pair_step(&p, 200000);
	}
	if (f[0].got != f[1].total || f[1].got != f[0].total)
		print_error("seed %lu: %lu of %lu, %lu of %lu\n",
			    (unsigned long)seed, (unsigned long)f[1].got,
			    (unsigned long)f[0].total, (unsigned long)f[0].got,
			    (unsigned long)f[1].total);
	assert_int_equal(f[1].got, f[0].total);
	assert_int_equal(f[0].got, f[1].total);
	for (uint32_t i = 0; i < 2; i++) {
		tcp_close(p.side[i].env, conn[i], false, p.now);
		tcp_detach(p.side[i].env, conn[i]);
	}
	pair_run(&p, 120000000);
	pair_empty(&p);
	pair_close(&p);
}

static void test_random(void **state)
{
	const char *one = getenv("TCP_LOOP_SEED");
	const char *many = getenv("TCP_LOOP_SEEDS");
	uint64_t seeds = many ? strtoull(many, NULL, 10) : 40;

	(void)state;
	if (one) {
		random_transfer(strtoull(one, NULL, 10));
		return;
	}
	for (uint64_t seed = 1; seed <= seeds; seed++) {
		print_message("seed %lu (TCP_LOOP_SEED)\n", (unsigned long)seed);
		random_transfer(seed);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_open_close),
		cmocka_unit_test(test_echo),
		cmocka_unit_test(test_half_close),
		cmocka_unit_test(test_close_with_unread_resets),
		cmocka_unit_test(test_data_after_close_resets_once),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_connect_times_out),
		cmocka_unit_test(test_simultaneous_open),
		cmocka_unit_test(test_simultaneous_close),
		cmocka_unit_test(test_zero_window),
		cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
