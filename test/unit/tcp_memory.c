/* tcp/tcp_memory.c: extents are scarce, and who uses them up stalls alone. */
#include <errno.h>

#include "tcp_pair.h"

#define EXTENTS	128u		/* reserve 16 */

static struct pair p;
static uint32_t listener[2], own[2], peer[2];	/* connections, by client - 1 */

static bool cut;
static bool cable(struct pair *pair, const struct pair_frame *f)
{
	(void)pair;
	(void)f;
	return !cut;
}

/* Two clients of side 0, each with a connection to side 1. */
static void begin(void)
{
	struct tcp_config c;

	tcp_config_default(&c);
	c.max_conns = 64;
	c.max_listeners = 4;
	c.max_syn = c.max_time_wait = 64;
	c.max_extents = EXTENTS;
	c.rcv_wnd_initial = 65535;
	pair_open(&p, &c, 5);
	cut = false;
	p.filter = cable;
	tcp_set_arena(p.side[0].env, 2, &p.side[0].arena[1]);
	listener[1] = pair_listen(&p, 1, 80, 16);
	listener[0] = pair_listen(&p, 0, 81, 16);
	for (uint32_t i = 0; i < 2; i++) {
		own[i] = pair_connect(&p, 0, (uint16_t)(4000 + i), 80);
		pair_run(&p, 10000);
		peer[i] = pair_accept(&p, 1, listener[1]);
		assert_true(peer[i] != 0);
		assert_int_equal(tcp_assign(p.side[0].env, own[i], i + 1, 0, 0),
				 0);
	}
}

static void end(void)
{
	cut = false;
	for (uint32_t i = 0; i < 2; i++) {
		tcp_close(p.side[0].env, own[i], true, p.now);
		tcp_detach(p.side[0].env, own[i]);
		pair_run(&p, 10000);
		tcp_close(p.side[1].env, peer[i], true, p.now);
		tcp_detach(p.side[1].env, peer[i]);
	}
	pair_run(&p, 70000000);
	pair_empty(&p);
	pair_close(&p);
}

/* A byte an extent, while it may. */
static uint32_t send_all(uint32_t client)
{
	uint32_t n = 0;

	while (tcp_may_send(p.side[0].env, client) && n < EXTENTS) {
		assert_int_equal(pair_send(&p, 0, own[client - 1], n, 1, true),
				 1);
		n++;
	}
	return n;
}

static void one_sends_too_much(void **state)
{
	struct tcp_env *env;
	uint32_t first, second;

	(void)state;
	begin();
	env = p.side[0].env;
	cut = true;		/* nothing is acknowledged */
	assert_true(tcp_send_limit(env, own[0]) > 4096);
	first = send_all(1);
	assert_true(first >= EXTENTS / 2 && first < EXTENTS);
	assert_int_equal(tcp_send_limit(env, own[0]), 4096);	/* pressed */
	/* the other has its share yet */
	assert_true(tcp_may_send(env, 2));
	assert_true(tcp_send_limit(env, own[1]) > 4096);
	second = send_all(2);
	assert_true(second >= 4 && second < first);
	/* nobody was reset */
	assert_int_equal(tcp_error(env, own[0]), 0);
	assert_int_equal(tcp_error(env, own[1]), 0);
	/* when the peer has it there is room again, for both */
	cut = false;
	pair_run(&p, 5000000);
	assert_true(tcp_may_send(env, 1));
	assert_true(tcp_may_send(env, 2));
	assert_true(tcp_send_limit(env, own[0]) > 4096);
	assert_int_equal(pair_read(&p, 1, peer[0], 0, UINT64_MAX), first);
	assert_int_equal(pair_read(&p, 1, peer[1], 0, UINT64_MAX), second);
	end();
}

static void new_connections_are_refused(void **state)
{
	struct tcp_env *env;
	struct tcp_connect c = { .lport = htons(5000), .rport = htons(80),
				 .client = 2, .mtu = 1500 };
	uint32_t late;

	(void)state;
	begin();
	env = p.side[0].env;
	cut = true;
	send_all(1);
	send_all(2);		/* down to the last sixteenth */
	c.local = p.side[0].addr;
	c.remote = p.side[1].addr;
	assert_int_equal(tcp_connect(env, &c, p.now), -ENOBUFS);
	cut = false;
	late = pair_connect(&p, 1, 6000, 81);
	pair_step(&p, 1);
	pair_step(&p, 2000);
	assert_true(counter_get(&tcp_stats(env)->drops[TCP_DROP_MEMORY]) > 0 ||
		    tcp_accept_waiting(env, listener[0]) == 0);
	/* its SYN comes again when there is room */
	pair_run(&p, 5000000);
	assert_int_equal(tcp_accept_waiting(env, listener[0]), 1);
	pair_read(&p, 1, peer[0], 0, UINT64_MAX);
	pair_read(&p, 1, peer[1], 0, UINT64_MAX);
	tcp_close(p.side[1].env, late, true, p.now);
	tcp_detach(p.side[1].env, late);
	pair_run(&p, 10000);
	tcp_unlisten(env, listener[0]);
	end();
}

/* What one does not read takes its own memory, not the other's. */
static void one_does_not_read(void **state)
{
	uint64_t sent = 0, other = 0, got;
	struct tcp_env *env;

	(void)state;
	begin();
	env = p.side[0].env;
	for (int i = 0; i < 400; i++) {
		if (tcp_may_send(p.side[1].env, 1))
			sent += pair_send(&p, 1, peer[0], sent, 512, false);
		pair_run(&p, 2000);
	}
	assert_true(sent > 60000);
	assert_true(counter_get(&tcp_stats(env)->drops[TCP_DROP_NO_BLOCK]) <
		    100);
	/* the other's data comes all the same, and is read */
	for (int i = 0; i < 20; i++) {
		uint32_t n = pair_send(&p, 1, peer[1], other, 300, false);

		assert_int_equal(n, 300);
		pair_run(&p, 100000);
		assert_int_equal(pair_read(&p, 0, own[1], other, UINT64_MAX), n);
		other += n;
	}
	assert_int_equal(tcp_error(env, own[0]), 0);
	/* once it reads, everything comes, each byte once */
	got = 0;
	for (int i = 0; i < 2000 && got < sent; i++) {
		got += pair_read(&p, 0, own[0], got, UINT64_MAX);
		pair_run(&p, 50000);
	}
	assert_int_equal(got, sent);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_sends_too_much),
		cmocka_unit_test(new_connections_are_refused),
		cmocka_unit_test(one_does_not_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
