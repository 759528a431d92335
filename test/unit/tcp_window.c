/* Receive windows and send limits grow by measured need, and no further. */
#include "tcp_pair.h"

static struct pair p;
static uint32_t conn[2];

static void begin(uint32_t delay_us, bool timestamps)
{
	struct tcp_config c;
	uint32_t l;

	tcp_config_default(&c);
	c.max_conns = 16;
	c.max_listeners = 4;
	c.max_syn = c.max_time_wait = 64;
	c.max_extents = 65536;
	c.timestamps = timestamps;
	pair_open(&p, &c, 9);
	p.delay_us = delay_us;
	l = pair_listen(&p, 1, 80, 16);
	conn[0] = pair_connect(&p, 0, 4000, 80);
	pair_run(&p, 4 * delay_us + 1000);
	conn[1] = pair_accept(&p, 1, l);
	assert_true(conn[1] != 0);
	tcp_want_sent(p.side[0].env, conn[0]);
}

static void end(void)
{
	for (uint32_t i = 0; i < 2; i++) {
		tcp_close(p.side[i].env, conn[i], true, p.now);
		tcp_detach(p.side[i].env, conn[i]);
		pair_run(&p, 2 * p.delay_us + 1000);
	}
	pair_run(&p, 70000000);
	pair_empty(&p);
	pair_close(&p);
}

static struct tcp_info info(uint32_t who)
{
	struct tcp_info i;

	tcp_describe(p.side[who].env, conn[who], &i);
	return i;
}

/* Side 0 sends as much as it may, side 1 reads @most bytes a step of @us;
 * what side 1 read. */
static uint64_t transfer(uint64_t us, uint64_t step_us, uint64_t most)
{
	static uint64_t sent, got;
	uint64_t until = p.now.us + us;

	sent = got = 0;
	while (p.now.us < until) {
		struct tcp_env *env = p.side[0].env;

		while (tcp_sent(env, conn[0]) - tcp_acked(env, conn[0]) <
		       tcp_send_limit(env, conn[0])) {
			uint32_t n = pair_send(&p, 0, conn[0], sent, 4096, false);

			if (!n)
				break;
			sent += n;
		}
		pair_run(&p, step_us);
		got += pair_read(&p, 1, conn[1], got, most);
	}
	return got;
}

/* 20 ms round trip: the window is no limit after a few of them. */
static void grows(void **state)
{
	uint64_t got;

	(void)state;
	for (int ts = 0; ts < 2; ts++) {
		begin(10000, ts);
		assert_true(info(1).rcv_wnd <= 65535);
		got = transfer(600000, 5000, UINT64_MAX);
		assert_true(info(1).rcv_wnd > 500000);
		assert_true(got > 4000000);
		assert_true(tcp_send_limit(p.side[0].env, conn[0]) >=
			    2 * info(0).cwnd ||
			    tcp_send_limit(p.side[0].env, conn[0]) >= 32 << 20);
		end();
	}
}

/* Who reads slowly needs no large window: 10 kB a round trip. */
static void stays_small(void **state)
{
	(void)state;
	begin(10000, true);
	transfer(1000000, 20000, 10000);
	assert_true(info(1).rcv_wnd <= 65535);
	assert_true(info(1).rcv_queued <= 65535);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(grows),
		cmocka_unit_test(stays_small),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
