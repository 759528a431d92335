/* Sockets that several clients hold: who gets them, when, and with what. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "engine_fake.h"
#include "shm/wake.h"

#define A	client(0, 0)	/* has it at first, by FAKE_SERVER */
#define B	client(0, 1)
#define C	client(0, 2)
#define PEER	client(1, 0)

static struct fake_world world;
static uint64_t srv, cli;		/* handles of fake_pair() */
static uint8_t buf[4000];

static struct fake_client *client(int side, int i)
{
	return &world.d[side].client[i];
}

/* The word that a context counts its calls by. */
static struct wake_shared *wake_of(const struct fake_client *c)
{
	return (struct wake_shared *)(void *)(c->segment + SLAB_BYTES);
}

static void hold(struct fake_client *peer)
{
	struct mail m = { .type = MAIL_HOLD };

	m.hold.sock = srv;
	m.hold.client = A->slot;
	m.hold.peer = peer->slot;
	assert_int_equal(fake_ask(peer->d, &m), 0);
	/* its stock comes with its first wish */
	fake_simple(peer, 0, handle_make(0, 0, 1), CMD_WANT_BLOCKS, 0, 0);
	fake_run(&world, 2000);
}

static int begin(void **state)
{
	(void)state;
	fake_open(&world, 1, 1);
	fake_pair(&world, &srv, &cli);
	fake_client(&world, 0, 1);
	fake_client(&world, 0, 2);
	hold(B);
	hold(C);
	for (size_t i = 0; i < sizeof(buf); i++)
		buf[i] = (uint8_t)(i * 7 + (i >> 8));
	return 0;
}

static int end(void **state)
{
	(void)state;
	assert_int_equal(A->bad | B->bad | C->bad, 0);
	fake_close(&world);
	return 0;
}

static void take(struct fake_client *c, uint8_t when, uint32_t cookie)
{
	fake_simple(c, 0, srv, CMD_TAKE, when, cookie);
}

static void taken(struct fake_client *c, uint32_t cookie)
{
	union fake_event ev;

	fake_expect(c, 0, EVENT_TAKEN, cookie, &ev);
}

/* Nothing but grants. */
static void silent(struct fake_client *c)
{
	union fake_event ev;

	assert_int_equal(fake_event(c, 0, 0, &ev), EVENT_NONE);
}

static void consumed(struct fake_client *c, uint32_t bytes)
{
	struct cmd cmd = { .type = CMD_CONSUMED, .sock = srv };

	cmd.consumed.bytes = bytes;
	fake_cmd(c, 0, 0, &cmd);
}

static void expect_bytes(struct fake_client *c, uint32_t cookie,
			 const uint8_t *want, uint32_t len)
{
	uint32_t got = 0;

	while (got < len) {
		union fake_event ev;

		fake_expect(c, 0, EVENT_DATA, cookie, &ev);
		assert_true(got + ev.one.data.len <= len);
		assert_memory_equal(fake_bytes(c, &ev.one), want + got,
				    ev.one.data.len);
		got += ev.one.data.len;
	}
}

/* What the last user is in the middle of comes first: it reads 100 bytes and
 * writes while another asks, and says so only when it is out of its call. */
static void a_call_is_awaited(void **state)
{
	union fake_event ev;

	(void)state;
	fake_send(PEER, 0, cli, buf, 300);
	expect_bytes(A, FAKE_SERVER, buf, 300);
	use_begin(wake_of(A));
	take(B, 0, 50);
	fake_run(&world, 100000);
	silent(B);
	fake_expect(A, 0, EVENT_GONE, FAKE_SERVER, &ev);
	consumed(A, 100);
	fake_send(A, 0, srv, buf, 500);
	fake_run(&world, 20000);
	silent(B);			/* it is still in */
	use_end(wake_of(A));
	taken(B, 50);
	expect_bytes(B, 50, buf + 100, 200);
	fake_send(B, 0, srv, buf + 500, 100);
	fake_expect(PEER, 0, EVENT_DATA, FAKE_CLIENT, &ev);
	assert_int_equal(ev.one.data.len, 500);
	expect_bytes(PEER, FAKE_CLIENT, buf + 500, 100);
	assert_int_equal(counter_get(
		&engine_stats(world.d[0].e[0])->stale_handles), 0);
}

/* The next call does not count: it knows that the socket is gone. */
static void the_next_call_is_not(void **state)
{
	(void)state;
	use_begin(wake_of(A));
	take(B, 0, 50);
	fake_run(&world, 1000);
	use_end(wake_of(A));
	use_begin(wake_of(A));
	taken(B, 50);
	use_end(wake_of(A));
}

/* Who dies in a call leaves the socket to the others. */
static void dead_in_a_call(void **state)
{
	(void)state;
	fake_send(PEER, 0, cli, buf, 300);
	fake_run(&world, 10000);
	use_begin(wake_of(A));
	take(B, 0, 50);
	fake_run(&world, 10000);
	silent(B);
	fake_detach(A, 1000000);
	taken(B, 50);
	expect_bytes(B, 50, buf, 300);
}

/* The taker dies: who was told that it is gone has it again. */
static void the_taker_dies(void **state)
{
	union fake_event ev;

	(void)state;
	use_begin(wake_of(A));
	take(B, 0, 50);
	fake_run(&world, 1000);
	fake_expect(A, 0, EVENT_GONE, FAKE_SERVER, &ev);
	fake_send(A, 0, srv, buf, 200);
	fake_detach(B, 1000000);
	use_end(wake_of(A));
	fake_expect(A, 0, EVENT_PARKED, FAKE_SERVER, &ev);
	take(A, 0, 51);
	taken(A, 51);
	fake_send(A, 0, srv, buf + 200, 200);
	expect_bytes(PEER, FAKE_CLIENT, buf, 400);
}

/* A sleeper gets it when there is something to read, and not before. */
static void woken_by_data(void **state)
{
	(void)state;
	take(B, CMD_F_READ, 50);
	fake_run(&world, 50000);
	silent(B);
	silent(A);
	fake_send(A, 0, srv, buf, 100);	/* it is still A's */
	expect_bytes(PEER, FAKE_CLIENT, buf, 100);
	fake_send(PEER, 0, cli, buf, 700);
	taken(B, 50);
	expect_bytes(B, 50, buf, 700);
	/* once: the next data is its own by right, another sleeps now */
	consumed(B, 700);
	take(A, CMD_F_READ, 60);
	fake_run(&world, 1000);
	fake_send(PEER, 0, cli, buf, 10);
	taken(A, 60);
	expect_bytes(A, 60, buf, 10);
}

static void woken_by_the_end(void **state)
{
	union fake_event ev;

	(void)state;
	take(B, CMD_F_READ, 50);
	fake_run(&world, 1000);
	fake_simple(PEER, 0, cli, CMD_SHUTDOWN, CMD_F_WRITE, FAKE_CLIENT);
	taken(B, 50);
	fake_expect(B, 0, EVENT_FIN, 50, &ev);
}

/* What lay there before it went to sleep is for it at once. */
static void unread_is_for_the_sleeper(void **state)
{
	(void)state;
	fake_send(PEER, 0, cli, buf, 100);
	expect_bytes(A, FAKE_SERVER, buf, 100);
	take(B, CMD_F_READ, 50);
	taken(B, 50);
	expect_bytes(B, 50, buf, 100);
}

static void woken_by_room(void **state)
{
	(void)state;
	take(B, CMD_F_WRITE, 50);
	taken(B, 50);			/* there is room */
}

/* A wish is replaced by the next, and goes with who had it. */
static void wishes_end(void **state)
{
	union fake_event ev;

	(void)state;
	take(B, CMD_F_READ, 50);
	take(C, CMD_F_READ, 70);
	fake_run(&world, 1000);
	fake_simple(B, 0, srv, CMD_CLOSE, 0, 50);
	fake_expect(B, 0, EVENT_CLOSED, 50, &ev);
	take(C, 0, 71);
	taken(C, 71);
	fake_send(PEER, 0, cli, buf, 100);
	expect_bytes(C, 71, buf, 100);
	fake_run(&world, 50000);
	silent(B);
	silent(C);
}

/* Two that take it at the same time: each has it for a moment, until it has
 * been in a call with it. */
static void each_has_its_moment(void **state)
{
	union fake_event ev;

	(void)state;
	take(B, 0, 50);
	taken(B, 50);
	take(C, 0, 70);
	fake_run(&world, (USE_MS - 1) * 1000);
	silent(C);
	use_begin(wake_of(B));
	use_end(wake_of(B));
	fake_run(&world, 100);
	assert_int_equal(fake_event(C, 0, 0, &ev), EVENT_TAKEN);
	/* nor has it longer than that */
	take(B, 0, 51);
	fake_run(&world, 2 * USE_MS * 1000);
	fake_expect(C, 0, EVENT_GONE, 70, &ev);
	assert_int_equal(fake_event(B, 0, 0, &ev), EVENT_GONE);
	assert_int_equal(fake_event(B, 0, 0, &ev), EVENT_TAKEN);
}

/* Two asleep with something to read that nobody reads: it goes round slowly,
 * and ends when it is read. */
static void two_sleepers(void **state)
{
	uint32_t times = 0;

	(void)state;
	take(B, CMD_F_READ, 50);
	take(C, CMD_F_READ, 70);
	fake_run(&world, 1000);
	fake_send(PEER, 0, cli, buf, 100);
	for (int i = 0; i < 100; i++) {
		union fake_event ev;
		uint8_t type;

		fake_run(&world, 1000);
		while ((type = fake_event(B, 0, 0, &ev)) != EVENT_NONE)
			if (type == EVENT_GONE)
				take(B, CMD_F_READ, 50);
			else
				times += type == EVENT_TAKEN;
		while ((type = fake_event(C, 0, 0, &ev)) != EVENT_NONE)
			if (type == EVENT_GONE)
				take(C, CMD_F_READ, 70);
			else
				times += type == EVENT_TAKEN;
	}
	assert_true(times >= 2 && times <= 100 / USE_MS + 2);
}

/* A hostile client that never comes out: nobody's ring waits but that of who
 * wants too many of its sockets, and the engine goes on. */
static void stuck_for_ever(void **state)
{
	union fake_event ev;

	(void)state;
	use_begin(wake_of(A));
	for (uint32_t i = 0; i < 200; i++)
		take(B, 0, 1000 + i);
	take(C, 0, 70);
	fake_connect(C, 0, 0, 5, 81);		/* nobody listens */
	fake_expect(C, 0, EVENT_ERROR, 5, &ev);
	assert_int_equal(ev.one.error, ECONNREFUSED);
	fake_run(&world, 100000);
	silent(B);
	silent(C);
	fake_detach(B, 0);
	use_end(wake_of(A));
	taken(C, 70);
}

/* Who does not read its events keeps nobody from the socket: it is told that
 * there is more, until it has it. */
static void nobody_reads_events(void **state)
{
	struct ring *r = &world.d[0].client[0].ctx[0].event[0];
	struct cmd cmd = { .type = CMD_WANT_SENT, .sock = srv };
	union fake_event in;

	(void)state;
	for (uint32_t i = 0; i < EVENT_RING_SLOTS + 100; i++) {
		fake_cmd(A, 0, 0, &cmd);
		fake_turn(&world);
	}
	assert_true(ring_peek(r) >= (int)EVENT_RING_SLOTS - 2);
	assert_false(use_late(wake_of(A), 0));
	take(B, 0, 50);
	taken(B, 50);			/* the last slot was enough */
	assert_false(use_late(wake_of(A), 0));
	take(A, 0, 51);
	fake_expect(B, 0, EVENT_GONE, 50, &in);
	take(B, 0, 52);
	taken(B, 52);
	assert_true(use_late(wake_of(A), 0));
	fake_expect(A, 0, EVENT_GONE, FAKE_SERVER, &in);
	fake_expect(A, 0, EVENT_GONE, 51, &in);
	fake_run(&world, 1000);
	assert_false(use_late(wake_of(A), 0));
}

/* Commands of a call that fills its ring are all run before, a budget a turn,
 * and nobody else's turn gets longer for it. */
static void a_full_ring_is_run_in_turns(void **state)
{
	struct cmd cmd = { .type = CMD_WANT_SENT, .sock = srv,
			   .cookie = FAKE_SERVER };
	struct ring *r = &A->ctx[0].cmd[0];
	const struct engine_stats *s = engine_stats(world.d[0].e[0]);
	uint32_t turns = 0;
	uint64_t before;
	union fake_event ev;

	(void)state;
	while (ring_room(r, 1) >= 1)
		memcpy(ring_slot(r), &cmd, sizeof(cmd));
	ring_publish(r);
	take(B, 0, 50);
	before = counter_get(&s->commands);
	for (uint8_t type = EVENT_NONE; type != EVENT_TAKEN; turns++) {
		uint64_t had = counter_get(&s->commands);

		assert_true(turns < 100);
		fake_turn(&world);
		assert_true(counter_get(&s->commands) - had <= 256 + 1);
		type = fake_event(B, 0, 0, &ev);
	}
	assert_true(counter_get(&s->commands) - before >= CMD_RING_SLOTS);
	assert_true(turns >= CMD_RING_SLOTS / 256);
}

#define T(f)	cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_call_is_awaited), T(the_next_call_is_not),
		T(dead_in_a_call), T(the_taker_dies), T(woken_by_data),
		T(woken_by_the_end), T(unread_is_for_the_sleeper),
		T(woken_by_room), T(wishes_end), T(each_has_its_moment),
		T(two_sleepers), T(stuck_for_ever), T(nobody_reads_events),
		T(a_full_ring_is_run_in_turns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
