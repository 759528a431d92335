/* Engines over a wire: connect, data, close, accept credit, take, death. */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "engine_fake.h"

static struct fake_world world;
static uint64_t srv, cli;		/* handles of fake_pair() */

static int open_world(void **state)
{
	(void)state;
	fake_open(&world, 1, 1);
	return 0;
}

static int open_two(void **state)
{
	(void)state;
	fake_open(&world, 2, 2);
	return 0;
}

static int open_scarce(void **state)
{
	(void)state;
	fake_extents = 24;
	fake_open(&world, 1, 1);
	fake_extents = 0;
	return 0;
}

static int close_world(void **state)
{
	(void)state;
	fake_close(&world);
	return 0;
}

static struct fake_client *client(int side, int i)
{
	return &world.d[side].client[i];
}

/* Reads exactly @len bytes of @want and says so. */
static void expect_data(struct fake_client *c, uint32_t ctx, uint64_t sock,
			uint32_t cookie, const uint8_t *want, uint32_t len)
{
	uint32_t got = 0;

	while (got < len) {
		struct cmd cmd = { .type = CMD_CONSUMED, .sock = sock };
		union fake_event ev;

		fake_expect(c, ctx, EVENT_DATA, cookie, &ev);
		assert_true(got + ev.one.data.len <= len);
		assert_memory_equal(fake_bytes(c, &ev.one), want + got,
				    ev.one.data.len);
		got += ev.one.data.len;
		cmd.consumed.bytes = ev.one.data.len;
		fake_cmd(c, ctx, handle_engine(sock), &cmd);
	}
}

static void expect_gone(struct fake_client *c)
{
	fake_run(&world, 100000);
	assert_int_equal(c->gone, c->d->engines);
	for (uint32_t i = 0; i < c->d->engines; i++)
		assert_int_equal(arena_in_use(&c->arena[i]), 0);
}

static void fill(uint8_t *buf, uint32_t len, uint32_t seed)
{
	for (uint32_t i = 0; i < len; i++)
		buf[i] = (uint8_t)(i * 31 + seed + (i >> 8));
}

static void echo_and_close(void **state)
{
	static uint8_t buf[4096];
	union fake_event ev;

	(void)state;
	fake_pair(&world, &srv, &cli);
	for (uint32_t round = 0; round < 50; round++) {
		fill(buf, 3001, round);
		fake_send(client(1, 0), 0, cli, buf, 3001);
		expect_data(client(0, 0), 0, srv, FAKE_SERVER, buf, 3001);
		fake_send(client(0, 0), 0, srv, buf, 64);
		expect_data(client(1, 0), 0, cli, FAKE_CLIENT, buf, 64);
	}
	fake_simple(client(1, 0), 0, cli, CMD_CLOSE, 0, FAKE_CLIENT);
	fake_expect(client(1, 0), 0, EVENT_CLOSED, FAKE_CLIENT, &ev);
	fake_expect(client(0, 0), 0, EVENT_FIN, FAKE_SERVER, &ev);
	fake_simple(client(0, 0), 0, srv, CMD_CLOSE, 0, FAKE_SERVER);
	fake_expect(client(0, 0), 0, EVENT_CLOSED, FAKE_SERVER, &ev);
	/* a command after the close is ignored, not hostile */
	fake_simple(client(0, 0), 0, srv, CMD_WANT_SENT, 0, FAKE_SERVER);
	fake_run(&world, 10000);
	assert_int_equal(client(0, 0)->bad, 0);
	fake_detach(client(0, 0), 1000000);
	fake_detach(client(1, 0), 1000000);
	expect_gone(client(0, 0));
	expect_gone(client(1, 0));
}

static void abort_tells_the_peer(void **state)
{
	union fake_event ev;

	(void)state;
	fake_pair(&world, &srv, &cli);
	fake_simple(client(1, 0), 0, cli, CMD_CLOSE, CMD_F_ABORT, FAKE_CLIENT);
	fake_expect(client(1, 0), 0, EVENT_CLOSED, FAKE_CLIENT, &ev);
	fake_expect(client(0, 0), 0, EVENT_ERROR, FAKE_SERVER, &ev);
	assert_int_equal(ev.one.error, ECONNRESET);
	fake_simple(client(0, 0), 0, srv, CMD_CLOSE, 0, FAKE_SERVER);
	fake_expect(client(0, 0), 0, EVENT_CLOSED, FAKE_SERVER, &ev);
}

static void refused_connects(void **state)
{
	struct fake_client *c = fake_client(&world, 1, 0);
	struct cmd_connect in = { .type = CMD_CONNECT, .cookie = 5,
				  .remote_port = htons(80) };
	struct ip_addr far = addr_from_v4(htonl(0xc0a80101));
	struct ring *r = &c->ctx[0].cmd[0];
	union fake_event ev;

	(void)state;
	fake_connect(c, 0, 0, 4, 81);		/* nobody listens */
	fake_expect(c, 0, EVENT_ERROR, 4, &ev);
	assert_int_equal(ev.one.error, ECONNREFUSED);
	assert_true(ev.one.sock != HANDLE_NONE);
	fake_simple(c, 0, ev.one.sock, CMD_CLOSE, 0, 4);
	fake_expect(c, 0, EVENT_CLOSED, 4, &ev);
	memcpy(in.remote_addr, &far, sizeof(far));	/* no route */
	memcpy(ring_slot(r), &in, RING_SLOT);
	memcpy(ring_slot(r), (uint8_t *)&in + RING_SLOT, RING_SLOT);
	ring_publish(r);
	fake_expect(c, 0, EVENT_ERROR, 5, &ev);
	assert_int_equal(ev.one.error, ENETUNREACH);
	assert_true(ev.one.sock == HANDLE_NONE);
}

/* Nobody answers ARP for 10.0.0.77. */
static void unreachable_neighbour(void **state)
{
	struct fake_client *c = fake_client(&world, 1, 0);
	struct cmd_connect in = { .type = CMD_CONNECT, .cookie = 6,
				  .remote_port = htons(80) };
	struct ip_addr dead = addr_from_v4(htonl(0x0a00004d));
	struct ring *r = &c->ctx[0].cmd[0];
	union fake_event ev;

	(void)state;
	memcpy(in.remote_addr, &dead, sizeof(dead));
	memcpy(ring_slot(r), &in, RING_SLOT);
	memcpy(ring_slot(r), (uint8_t *)&in + RING_SLOT, RING_SLOT);
	ring_publish(r);
	fake_run(&world, 3000000);
	fake_expect(c, 0, EVENT_ERROR, 6, &ev);
	assert_int_equal(ev.one.error, EHOSTUNREACH);
}

/* The only name of a socket whose handle is not known yet. */
static void close_by_cookie(void **state)
{
	struct fake_client *c = fake_client(&world, 1, 0);
	struct cmd cmd = { .type = CMD_CLOSE, .cookie = 9 };
	union fake_event ev;

	(void)state;
	fake_cmd(c, 0, 0, &cmd);	/* there is none: crossing, ignored */
	fake_connect(c, 0, 0, 9, 80);
	fake_cmd(c, 0, 0, &cmd);
	fake_expect(c, 0, EVENT_CLOSED, 9, &ev);
	assert_int_equal(c->bad, 0);
}

/* ---- accepting ---- */

static void credit_is_pulled(void **state)
{
	struct fake_client *s = fake_client(&world, 0, 0), *c;
	union fake_event ev;

	(void)state;
	c = fake_client(&world, 1, 0);
	fake_listen(s, 0, FAKE_LISTENER, FAKE_PORT);
	fake_listen(s, 1, FAKE_LISTENER, FAKE_PORT);
	for (uint32_t i = 0; i < 4; i++)
		fake_connect(c, 0, 0, i, FAKE_PORT);
	for (uint32_t i = 0; i < 4; i++)
		fake_expect(c, 0, EVENT_CONNECTED, i, &ev);
	assert_int_equal(fake_event(s, 0, 0, &ev), EVENT_NONE);
	/* context 1 is not at home on engine 0, but alone with credit */
	fake_credit(s, 1, 0, FAKE_LISTENER, 50);
	fake_expect(s, 1, EVENT_ACCEPTED, 50, &ev);
	assert_int_equal(ev.two.local_port, htons(FAKE_PORT));
	/* from here both have credit: home comes first */
	fake_credit(s, 0, 0, FAKE_LISTENER, 60);
	fake_credit(s, 0, 0, FAKE_LISTENER, 61);
	fake_expect(s, 0, EVENT_ACCEPTED, 60, &ev);
	fake_expect(s, 0, EVENT_ACCEPTED, 61, &ev);
	fake_credit(s, 1, 0, FAKE_LISTENER, 51);
	fake_expect(s, 1, EVENT_ACCEPTED, 51, &ev);
	fake_credit(s, 1, 0, FAKE_LISTENER, 52);
	fake_credit(s, 0, 0, FAKE_LISTENER, 62);
	fake_run(&world, 1000);
	fake_connect(c, 0, 0, 4, FAKE_PORT);
	fake_expect(s, 0, EVENT_ACCEPTED, 62, &ev);
	assert_int_equal(fake_event(s, 1, 0, &ev), EVENT_NONE);
	assert_int_equal(s->bad, 0);
}

/* Data that came before the credit is there after it. */
static void early_data(void **state)
{
	struct fake_client *s = fake_client(&world, 0, 0), *c;
	static uint8_t buf[4000];
	union fake_event ev;

	(void)state;
	c = fake_client(&world, 1, 0);
	fill(buf, sizeof(buf), 3);
	fake_listen(s, 0, FAKE_LISTENER, FAKE_PORT);
	fake_connect(c, 0, 0, 1, FAKE_PORT);
	fake_expect(c, 0, EVENT_CONNECTED, 1, &ev);
	fake_send(c, 0, ev.one.sock, buf, sizeof(buf));
	fake_run(&world, 300000);
	fake_credit(s, 0, 0, FAKE_LISTENER, 77);
	fake_expect(s, 0, EVENT_ACCEPTED, 77, &ev);
	expect_data(s, 0, ev.two.sock, 77, buf, sizeof(buf));
}

/* What a dead context was not given, the other gets. */
static void credit_dies_with_its_context(void **state)
{
	struct fake_client *s = fake_client(&world, 0, 0), *c;
	struct mail del = { .type = MAIL_CONTEXT_DEL };
	union fake_event ev;

	(void)state;
	c = fake_client(&world, 1, 0);
	fake_listen(s, 0, FAKE_LISTENER, FAKE_PORT);
	fake_listen(s, 1, FAKE_LISTENER, FAKE_PORT);
	fake_credit(s, 0, 0, FAKE_LISTENER, 1);
	fake_run(&world, 1000);
	del.context.client = s->slot;
	assert_int_equal(fake_ask(s->d, &del), 0);
	fake_connect(c, 0, 0, 9, FAKE_PORT);
	fake_expect(c, 0, EVENT_CONNECTED, 9, &ev);
	fake_credit(s, 1, 0, FAKE_LISTENER, 2);
	fake_expect(s, 1, EVENT_ACCEPTED, 2, &ev);
}

/* What a program was given and did not use, another gets, with its data: by
 * the program's word, or by its death. */
static void unused_goes_to_another(void **state)
{
	struct fake_client *s = fake_client(&world, 0, 0), *other, *c;
	static uint8_t buf[4000];
	union fake_event ev;
	uint64_t sock;

	(void)state;
	other = fake_client(&world, 0, 1);
	c = fake_client(&world, 1, 0);
	fill(buf, sizeof(buf), 5);
	fake_listen(s, 0, FAKE_LISTENER, FAKE_PORT);
	fake_listen(s, 1, FAKE_LISTENER, FAKE_PORT);
	fake_listen(other, 0, FAKE_LISTENER, FAKE_PORT);
	fake_credit(s, 0, 0, FAKE_LISTENER, 1);
	fake_connect(c, 0, 0, 9, FAKE_PORT);
	fake_expect(c, 0, EVENT_CONNECTED, 9, &ev);
	fake_send(c, 0, ev.one.sock, buf, sizeof(buf));
	fake_expect(s, 0, EVENT_ACCEPTED, 1, &ev);
	sock = ev.two.sock;
	fake_expect(s, 0, EVENT_DATA, 1, &ev);
	fake_simple(s, 0, sock, CMD_CLOSE, CMD_F_BACK | CMD_F_ABORT, 1);
	fake_expect(s, 0, EVENT_CLOSED, 1, &ev);
	fake_credit(s, 1, 0, FAKE_LISTENER, 2);
	fake_expect(s, 1, EVENT_ACCEPTED, 2, &ev);
	fake_expect(s, 1, EVENT_DATA, 2, &ev);
	fake_credit(other, 0, 0, FAKE_LISTENER, 3);
	fake_detach(s, 0);
	fake_expect(other, 0, EVENT_ACCEPTED, 3, &ev);
	expect_data(other, 0, ev.two.sock, 3, buf, sizeof(buf));
	expect_gone(s);
	assert_int_equal(counter_get(
		&engine_stats(world.d[0].e[0])->given_back), 2);
}

/* What it has used ends with it, and so does what nobody else could have. */
static void used_does_not(void **state)
{
	struct fake_client *s = fake_client(&world, 0, 0), *other, *c;
	union fake_event ev;

	(void)state;
	other = fake_client(&world, 0, 1);
	c = fake_client(&world, 1, 0);
	fake_listen(s, 0, FAKE_LISTENER, FAKE_PORT);
	fake_listen(other, 0, FAKE_LISTENER, FAKE_PORT);
	fake_credit(s, 0, 0, FAKE_LISTENER, 1);
	fake_connect(c, 0, 0, 9, FAKE_PORT);
	fake_expect(s, 0, EVENT_ACCEPTED, 1, &ev);
	fake_send(s, 0, ev.two.sock, "x", 1);
	fake_run(&world, 1000);
	fake_simple(s, 0, ev.two.sock, CMD_CLOSE, CMD_F_BACK | CMD_F_ABORT, 1);
	fake_expect(c, 0, EVENT_ERROR, 9, &ev);
	fake_credit(other, 0, 0, FAKE_LISTENER, 3);
	fake_detach(s, 0);
	expect_gone(s);
	fake_connect(c, 0, 0, 10, FAKE_PORT);
	fake_expect(other, 0, EVENT_ACCEPTED, 3, &ev);
	fake_detach(other, 0);
	fake_expect(c, 0, EVENT_FIN, 10, &ev);
	assert_int_equal(counter_get(
		&engine_stats(world.d[0].e[0])->given_back), 0);
}

/* ---- taking ---- */

static void take_within_a_client(void **state)
{
	static uint8_t buf[1000];
	union fake_event ev;

	(void)state;
	fake_pair(&world, &srv, &cli);
	fill(buf, sizeof(buf), 1);
	fake_send(client(1, 0), 0, cli, buf, sizeof(buf));
	fake_expect(client(0, 0), 0, EVENT_DATA, FAKE_SERVER, &ev);
	fake_simple(client(0, 0), 1, srv, CMD_TAKE, 0, 4321);
	fake_expect(client(0, 0), 1, EVENT_TAKEN, 4321, &ev);
	assert_int_equal(ev.two.state, EVENT_S_CONNECTED);
	expect_data(client(0, 0), 1, srv, 4321, buf, sizeof(buf));
	fake_expect(client(0, 0), 0, EVENT_GONE, FAKE_SERVER, &ev);
}

/* What the giver wrote and read before is not lost and not read twice, though
 * the engine may look at the taker's ring first: both ways round. */
static void take_after_use(void **state)
{
	static uint8_t buf[3000];
	union fake_event ev;
	uint32_t from = 0, cookie = FAKE_SERVER;

	(void)state;
	fake_pair(&world, &srv, &cli);
	fill(buf, sizeof(buf), 3);
	fake_simple(client(0, 0), 1, handle_make(0, 0, 1), CMD_WANT_BLOCKS, 0,
		    0);
	fake_run(&world, 10000);
	for (uint32_t round = 0; round < 4; round++) {
		struct cmd read = { .type = CMD_CONSUMED, .sock = srv };

		fake_send(client(1, 0), 0, cli, buf, 1000);
		fake_expect(client(0, 0), from, EVENT_DATA, cookie, &ev);
		read.cookie = cookie;
		read.consumed.bytes = 600;
		fake_cmd(client(0, 0), from, 0, &read);
		fake_send(client(0, 0), from, srv, buf + round, 500);
		cookie = 5000 + round;
		from = !from;
		fake_simple(client(0, 0), from, srv, CMD_TAKE, 0, cookie);
		fake_expect(client(0, 0), from, EVENT_TAKEN, cookie, &ev);
		expect_data(client(0, 0), from, srv, cookie, buf + 600, 400);
		expect_data(client(1, 0), 0, cli, FAKE_CLIENT, buf + round,
			    500);
	}
}

/* Two that take from each other at the same moment: each finds what the other
 * wrote before, and records behind a take are run once. */
static void take_from_each_other(void **state)
{
	static uint8_t buf[64];
	union fake_event ev;

	(void)state;
	fake_pair(&world, &srv, &cli);
	fake_simple(client(0, 0), 1, srv, CMD_TAKE, 0, 71);
	fake_simple(client(0, 0), 0, srv, CMD_TAKE, 0, 72);
	fake_simple(client(0, 0), 1, srv, CMD_TAKE, 0, 73);
	fake_simple(client(0, 0), 0, srv, CMD_TAKE, 0, 74);
	fake_run(&world, 20000);
	fill(buf, sizeof(buf), 5);
	fake_send(client(1, 0), 0, cli, buf, sizeof(buf));
	fake_simple(client(0, 0), 0, srv, CMD_TAKE, 0, 75);
	fake_expect(client(0, 0), 0, EVENT_TAKEN, 75, &ev);
	expect_data(client(0, 0), 0, srv, 75, buf, sizeof(buf));
	assert_int_equal(client(0, 0)->bad, 0);
}

/* Two clients hold it: the second takes it, each lets go, then it is closed. */
static void take_between_clients(void **state)
{
	struct mail hold = { .type = MAIL_HOLD };
	static uint8_t buf[2000];
	struct fake_client *other;
	union fake_event ev;

	(void)state;
	fake_pair(&world, &srv, &cli);
	other = fake_client(&world, 0, 1);
	fill(buf, sizeof(buf), 9);
	/* not its own yet */
	fake_simple(other, 0, srv, CMD_TAKE, 0, 88);
	fake_expect(other, 0, EVENT_ERROR, 88, &ev);
	assert_int_equal(ev.one.error, ENOENT);
	assert_true(ev.one.sock == HANDLE_NONE);
	hold.hold.sock = srv;
	hold.hold.client = client(0, 0)->slot;
	hold.hold.peer = other->slot;
	assert_int_equal(fake_ask(other->d, &hold), 0);
	assert_int_equal(fake_ask(other->d, &hold), -EEXIST);
	fake_send(client(1, 0), 0, cli, buf, sizeof(buf));
	fake_expect(client(0, 0), 0, EVENT_DATA, FAKE_SERVER, &ev);
	fake_simple(other, 0, srv, CMD_TAKE, 0, 99);
	fake_expect(other, 0, EVENT_TAKEN, 99, &ev);
	expect_data(other, 0, srv, 99, buf, sizeof(buf));
	fake_expect(client(0, 0), 0, EVENT_GONE, FAKE_SERVER, &ev);
	/* the first one lets go: nothing happens to the connection */
	fake_simple(client(0, 0), 0, srv, CMD_CLOSE, 0, 55);
	fake_expect(client(0, 0), 0, EVENT_CLOSED, 55, &ev);
	fake_send(other, 0, srv, buf, 100);
	expect_data(client(1, 0), 0, cli, FAKE_CLIENT, buf, 100);
	fake_simple(other, 0, srv, CMD_CLOSE, 0, 99);
	fake_expect(other, 0, EVENT_CLOSED, 99, &ev);
	fake_expect(client(1, 0), 0, EVENT_FIN, FAKE_CLIENT, &ev);
}

/* The current holder dies: the other one finds the unread data. */
static void holder_dies(void **state)
{
	struct mail hold = { .type = MAIL_HOLD };
	static uint8_t buf[500];
	struct fake_client *other;
	union fake_event ev;

	(void)state;
	fake_pair(&world, &srv, &cli);
	other = fake_client(&world, 0, 1);
	fake_simple(other, 0, handle_make(0, 0, 1), CMD_WANT_BLOCKS, 0, 0);
	fake_run(&world, 10000);
	hold.hold.sock = srv;
	hold.hold.client = client(0, 0)->slot;
	hold.hold.peer = other->slot;
	assert_int_equal(fake_ask(other->d, &hold), 0);
	fill(buf, sizeof(buf), 2);
	fake_send(client(1, 0), 0, cli, buf, sizeof(buf));
	fake_expect(client(0, 0), 0, EVENT_DATA, FAKE_SERVER, &ev);
	fake_detach(client(0, 0), 1000000);
	fake_expect(other, 0, EVENT_PARKED, FAKE_SERVER, &ev);
	assert_true(ev.one.sock == srv);
	expect_gone(client(0, 0));
	fake_simple(other, 0, srv, CMD_TAKE, 0, 99);
	fake_expect(other, 0, EVENT_TAKEN, 99, &ev);
	expect_data(other, 0, srv, 99, buf, sizeof(buf));
	fake_detach(other, 1000000);
	fake_expect(client(1, 0), 0, EVENT_FIN, FAKE_CLIENT, &ev);
	expect_gone(other);
}

/* ---- death ---- */

/* One that never came is gone as well: control waits for every engine. */
static void nobody_is_gone(void **state)
{
	struct fake_daemon *d = &world.d[0];
	struct mail m = { .type = MAIL_CLIENT_DETACH };

	(void)state;
	m.detach.slot = FAKE_CLIENTS;
	assert_int_equal(d->client[FAKE_CLIENTS - 1].gone, 0);
	assert_int_equal(fake_ask(d, &m), -ENOENT);
	fake_run(&world, 10000);
	assert_int_equal(d->client[FAKE_CLIENTS - 1].gone, d->engines);
}

/* What the dead had sent arrives all the same. */
static void unsent_data_survives(void **state)
{
	static uint8_t buf[10 * 4096];
	union fake_event ev;

	(void)state;
	fake_pair(&world, &srv, &cli);
	fill(buf, sizeof(buf), 4);
	for (uint32_t i = 0; i < 10; i++)
		fake_send(client(1, 0), 0, cli, buf + i * 4096, 4096);
	fake_detach(client(1, 0), 1000000);
	expect_data(client(0, 0), 0, srv, FAKE_SERVER, buf, sizeof(buf));
	fake_expect(client(0, 0), 0, EVENT_FIN, FAKE_SERVER, &ev);
	expect_gone(client(1, 0));
}

/* The peer never reads on: after the grace it is over. */
static void grace_ends(void **state)
{
	static uint8_t buf[4096];
	struct cmd want = { .type = CMD_WANT_BLOCKS };

	(void)state;
	fake_pair(&world, &srv, &cli);
	want.want_blocks.cls = BLOCK_LARGE;
	for (uint32_t i = 0; i < 6; i++)
		fake_cmd(client(1, 0), 0, 0, &want);
	for (uint32_t i = 0; i < 100; i++)
		fake_send(client(1, 0), 0, cli, buf, sizeof(buf));
	fake_run(&world, 100000);
	fake_detach(client(1, 0), 300000);
	fake_run(&world, 100000);
	assert_int_equal(client(1, 0)->gone, 0);
	fake_run(&world, 300000);
	expect_gone(client(1, 0));
}

static void slot_is_used_again(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 5; i++) {
		union fake_event ev;

		fake_pair(&world, &srv, &cli);
		fake_detach(client(1, 0), 1000000);
		fake_expect(client(0, 0), 0, EVENT_FIN, FAKE_SERVER, &ev);
		fake_detach(client(0, 0), 1000000);
		expect_gone(client(0, 0));
		expect_gone(client(1, 0));
	}
	assert_int_equal(counter_get(
		&engine_stats(world.d[0].e[0])->clients), 0);
	assert_int_equal(counter_get(
		&engine_stats(world.d[0].e[0])->contexts), 0);
}

static void stop_in_order(void **state)
{
	struct mail m = { .type = MAIL_STOP };
	union fake_event ev;

	(void)state;
	fake_pair(&world, &srv, &cli);
	m.stop.grace_us = 500000;
	assert_int_equal(fake_ask(&world.d[0], &m), 0);
	fake_expect(client(1, 0), 0, EVENT_FIN, FAKE_CLIENT, &ev);
	fake_simple(client(1, 0), 0, cli, CMD_CLOSE, 0, FAKE_CLIENT);
	fake_run(&world, 100000);
	assert_int_equal(world.d[0].stopped, world.d[0].engines);
}

/* The peer does not read on: when the daemon has gone, it must know. */
static void stop_resets(void **state)
{
	static uint8_t buf[4096];
	struct cmd want = { .type = CMD_WANT_BLOCKS };
	struct mail m = { .type = MAIL_STOP };
	union fake_event ev;

	(void)state;
	fake_pair(&world, &srv, &cli);
	want.want_blocks.cls = BLOCK_LARGE;
	for (uint32_t i = 0; i < 6; i++)
		fake_cmd(client(1, 0), 0, 0, &want);
	for (uint32_t i = 0; i < 100; i++)
		fake_send(client(1, 0), 0, cli, buf, sizeof(buf));
	fake_run(&world, 100000);
	m.stop.grace_us = 300000;
	assert_int_equal(fake_ask(&world.d[1], &m), 0);
	fake_run(&world, 200000);
	assert_int_equal(world.d[1].stopped, 0);
	fake_expect(client(0, 0), 0, EVENT_ERROR, FAKE_SERVER, &ev);
	assert_int_equal(ev.one.error, ECONNRESET);
	fake_run(&world, 100000);
	assert_int_equal(world.d[1].stopped, world.d[1].engines);
}

/* ---- pressure ---- */

/* A client that reads no events loses none of them. */
static void full_event_ring(void **state)
{
	static uint8_t buf[100];
	union fake_event ev;
	uint32_t sent = 0, got = 0;

	(void)state;
	fake_pair(&world, &srv, &cli);
	for (uint32_t i = 0; i < 9000; i++) {
		fake_simple(client(0, 0), 0, srv, CMD_WANT_SENT, 0, 0);
		if (i % 64 == 0)
			fake_run(&world, 50);
	}
	for (; sent < 100; sent++) {
		fill(buf, sizeof(buf), sent);
		fake_send(client(1, 0), 0, cli, buf, sizeof(buf));
		fake_run(&world, 100);
	}
	while (got < sent * sizeof(buf)) {
		struct cmd cmd = { .type = CMD_CONSUMED, .sock = srv };

		fake_expect(client(0, 0), 0, EVENT_DATA, FAKE_SERVER, &ev);
		got += ev.one.data.len;
		cmd.consumed.bytes = ev.one.data.len;
		fake_cmd(client(0, 0), 0, 0, &cmd);
	}
	assert_int_equal(got, sent * sizeof(buf));
	assert_int_equal(client(0, 0)->bad, 0);
}

/* When extents are scarce the commands of who has too many wait in their ring:
 * nothing is lost, nobody is reset, and nobody is taken for hostile. */
static void sends_wait_for_extents(void **state)
{
	struct engine *e = world.d[1].e[0];
	const counter_t *stalls = &engine_stats(e)->send_stalls;
	static uint8_t all[64];
	union fake_event ev;
	uint32_t sent = 0, turns = 0;

	(void)state;
	fake_pair(&world, &srv, &cli);
	for (int i = 0; i < 50; i++) {		/* its stock of blocks */
		fake_event(client(1, 0), 0, 0, &ev);
		fake_run(&world, 1000);
	}
	fill(all, sizeof(all), 3);
	/* only this engine turns: nothing is acknowledged */
	while (!counter_get(stalls) && sent < sizeof(all)) {
		fake_send(client(1, 0), 0, cli, all + sent++, 1);
		engine_turn(e, world.now);
	}
	assert_true(counter_get(stalls) > 0);
	while (turns++ < 10)
		engine_turn(e, world.now);
	assert_true(counter_get(stalls) >= 10);
	expect_data(client(0, 0), 0, srv, FAKE_SERVER, all, sent);
	assert_int_equal(client(1, 0)->bad, 0);
	fake_simple(client(1, 0), 0, cli, CMD_CLOSE, 0, FAKE_CLIENT);
	fake_expect(client(1, 0), 0, EVENT_CLOSED, FAKE_CLIENT, &ev);
}

/* Frames arrive on queue 0 only: half of the flows are handed over. */
static void two_engines(void **state)
{
	struct fake_client *s = fake_client(&world, 0, 0), *c;
	static uint8_t buf[777];
	union fake_event ev, acc;

	(void)state;
	c = fake_client(&world, 1, 0);
	fake_listen(s, 0, FAKE_LISTENER, FAKE_PORT);
	for (uint32_t i = 0; i < 40; i++) {
		uint64_t sock;

		for (uint32_t en = 0; en < 2; en++)
			fake_credit(s, 0, en, FAKE_LISTENER, i * 2 + en);
		fake_connect(c, 0, i & 1, i, FAKE_PORT);
		fake_expect(c, 0, EVENT_CONNECTED, i, &ev);
		sock = ev.one.sock;
		assert_int_equal(handle_engine(sock), i & 1);
		for (uint8_t t = EVENT_NONE; t != EVENT_ACCEPTED;) {
			fake_run(&world, 50);
			t = fake_event(s, 0, ~0u, &acc);
		}
		fill(buf, sizeof(buf), i);
		fake_send(c, 0, sock, buf, sizeof(buf));
		expect_data(s, 0, acc.two.sock, acc.two.cookie, buf,
			    sizeof(buf));
	}
	assert_true(counter_get(&engine_stats(world.d[0].e[0])->handed_over) > 0);
	assert_true(counter_get(&engine_stats(world.d[0].e[1])->handed_in) > 0);
	assert_int_equal(counter_get(
		&engine_stats(world.d[0].e[0])->handover_full), 0);
}

#define T(f)	cmocka_unit_test_setup_teardown(f, open_world, close_world)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(nobody_is_gone), T(echo_and_close), T(abort_tells_the_peer),
		T(refused_connects), T(unreachable_neighbour),
		T(close_by_cookie), T(credit_is_pulled), T(early_data),
		T(credit_dies_with_its_context), T(unused_goes_to_another),
		T(used_does_not), T(take_within_a_client),
		T(take_after_use), T(take_from_each_other),
		T(take_between_clients), T(holder_dies),
		T(unsent_data_survives), T(grace_ends), T(slot_is_used_again),
		T(stop_in_order), T(stop_resets), T(full_event_ring),
		cmocka_unit_test_setup_teardown(sends_wait_for_extents,
						open_scarce, close_world),
		cmocka_unit_test_setup_teardown(two_engines, open_two,
						close_world),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
