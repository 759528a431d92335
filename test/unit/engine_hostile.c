/* engine/commands.c: whatever a client writes, only that client is detached. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "engine/mailbox.h"
#include "engine_fake.h"

#define SEEDS	400u
#define RECORDS	64u

static struct fake_world world;
static uint64_t srv, cli;

static int open_world(void **state)
{
	(void)state;
	fake_open(&world, 1, 1);
	return 0;
}

static int close_world(void **state)
{
	(void)state;
	fake_close(&world);
	return 0;
}

/* The pair of client 0 on both sides still talks. */
static void others_notice_nothing(void)
{
	static uint8_t buf[300];
	struct fake_client *s = &world.d[0].client[0];
	struct cmd cmd = { .type = CMD_CONSUMED, .sock = srv };
	union fake_event ev;

	for (uint32_t i = 0; i < sizeof(buf); i++)
		buf[i] = (uint8_t)rand();
	fake_send(&world.d[1].client[0], 0, cli, buf, sizeof(buf));
	fake_expect(s, 0, EVENT_DATA, FAKE_SERVER, &ev);
	assert_int_equal(ev.one.data.len, sizeof(buf));
	assert_memory_equal(fake_bytes(s, &ev.one), buf, sizeof(buf));
	cmd.consumed.bytes = sizeof(buf);
	fake_cmd(s, 0, 0, &cmd);
	assert_int_equal(s->bad, 0);
}

static void leave(struct fake_client *c)
{
	fake_detach(c, 100000);
	fake_run(&world, 300000);
	assert_int_equal(c->gone, 1);
	assert_int_equal(arena_in_use(&c->arena[0]), 0);
}

struct wrong {
	const char *what;
	uint32_t reason;
	struct cmd cmd;
};

/* Each of these alone is enough. */
static void one_wrong_record(void **state)
{
	const struct wrong wrongs[] = {
		{ "no type", DETACH_BAD_RECORD, { .type = CMD_NONE } },
		{ "unknown type", DETACH_BAD_RECORD, { .type = CMD_TYPES } },
		{ "half a connect", DETACH_BAD_RECORD,
		  { .type = CMD_CONNECT } },
		{ "send without a block", DETACH_BAD_BLOCK,
		  { .type = CMD_SEND, .send.len = 1 } },
		{ "block of nobody", DETACH_BAD_BLOCK,
		  { .type = CMD_SEND, .send = { 0xffffffff, 0, 1 } } },
		{ "send with strange flags", DETACH_BAD_RECORD,
		  { .type = CMD_SEND, .flags = CMD_F_ABORT } },
		{ "return of what was not granted", DETACH_BAD_BLOCK,
		  { .type = CMD_RETURN_BLOCK, .return_block.block = 4096 * 2 } },
		{ "class", DETACH_BAD_RECORD,
		  { .type = CMD_WANT_BLOCKS, .want_blocks.cls = 2 } },
		{ "handle of no engine", DETACH_BAD_HANDLE,
		  { .type = CMD_CONSUMED, .sock = ~0ull } },
		{ "handle zero", DETACH_BAD_HANDLE, { .type = CMD_CONSUMED } },
		{ "handle past the table", DETACH_BAD_HANDLE,
		  { .type = CMD_TAKE, .sock = 5001 } },
		{ "credit of none", DETACH_BAD_RECORD,
		  { .type = CMD_CREDIT, .sock = 7 } },
		{ "credit of five", DETACH_BAD_RECORD,
		  { .type = CMD_CREDIT, .sock = 7, .cookie = 5 } },
		{ "option", DETACH_BAD_RECORD,
		  { .type = CMD_OPTION, .option.name = 99 } },
	};

	(void)state;
	fake_pair(&world, &srv, &cli);
	for (size_t i = 0; i < sizeof(wrongs) / sizeof(wrongs[0]); i++) {
		struct fake_client *c = fake_client(&world, 0, 1);

		fake_cmd(c, 0, 0, &wrongs[i].cmd);
		fake_run(&world, 500);
		if (c->bad != wrongs[i].reason)
			fail_msg("%s: reason %u", wrongs[i].what, c->bad);
		others_notice_nothing();
		leave(c);
	}
}

static void broken_counts(void **state)
{
	struct fake_client *c;

	(void)state;
	fake_pair(&world, &srv, &cli);
	c = fake_client(&world, 0, 1);
	atomic_store(&c->ctx[0].cmd[0].shared->tail, CMD_RING_SLOTS + 1);
	fake_run(&world, 500);
	assert_int_equal(c->bad, DETACH_RING_BROKEN);
	leave(c);
	c = fake_client(&world, 0, 1);
	atomic_store(&c->ctx[1].event[0].shared->head, 12345);
	/* it is looked at when the ring seems full */
	for (uint32_t i = 0; i <= EVENT_RING_SLOTS && !c->bad; i++) {
		fake_simple(c, 1, 1, CMD_TAKE, 0, i);
		if (i % 100 == 0)
			fake_run(&world, 50);
	}
	fake_run(&world, 5000);
	assert_int_equal(c->bad, DETACH_RING_BROKEN);
	leave(c);
	others_notice_nothing();
}

static void too_much_credit(void **state)
{
	struct fake_client *c;

	(void)state;
	fake_pair(&world, &srv, &cli);
	c = fake_client(&world, 0, 1);
	fake_listen(c, 0, 55, 8080);
	for (uint32_t i = 0; i < CMD_CREDIT_MAX; i++)
		fake_credit(c, 0, 0, 55, i);
	fake_run(&world, 5000);
	assert_int_equal(c->bad, 0);
	fake_credit(c, 0, 0, 55, 0);
	fake_run(&world, 500);
	assert_int_equal(c->bad, DETACH_BAD_COUNT);
	leave(c);
}

static void more_consumed_than_announced(void **state)
{
	struct cmd cmd = { .type = CMD_CONSUMED, .consumed.bytes = 1 };

	(void)state;
	fake_pair(&world, &srv, &cli);
	cmd.sock = srv;
	fake_cmd(&world.d[0].client[0], 0, 0, &cmd);
	fake_run(&world, 500);
	assert_int_equal(world.d[0].client[0].bad, DETACH_BAD_COUNT);
}

/* Bytes that were sent are never sent again from the same place. */
static void filled_twice(void **state)
{
	struct cmd cmd = { .type = CMD_SEND, .send.len = 100 };
	struct fake_client *c;
	union fake_event ev;

	(void)state;
	fake_pair(&world, &srv, &cli);
	c = &world.d[0].client[0];
	fake_run(&world, 500);
	assert_int_equal(fake_event(c, 0, 0, &ev), EVENT_NONE);
	assert_true(c->ctx[0].stocked[0][BLOCK_SMALL] > 0);
	cmd.sock = srv;
	cmd.send.block = c->ctx[0].stock[0][BLOCK_SMALL][0];
	fake_cmd(c, 0, 0, &cmd);
	fake_run(&world, 500);
	assert_int_equal(c->bad, 0);
	cmd.send.offset = 99;
	fake_cmd(c, 0, 0, &cmd);
	fake_run(&world, 500);
	assert_int_equal(c->bad, DETACH_BAD_BLOCK);
}

/* ---- random ---- */

static uint64_t some_handle(void)
{
	switch (rand() % 5) {
	case 0:
		return srv;		/* another client's */
	case 1:
		return handle_make(0, (uint32_t)rand() % 4,
				   (uint32_t)rand() % 20);
	case 2:
		return HANDLE_NONE;
	case 3:
		return 56;		/* as if it were a listener */
	default:
		return (uint64_t)rand() << 33 ^ (uint64_t)rand();
	}
}

static uint32_t some_block(const struct fake_client *c)
{
	uint32_t cls = (uint32_t)rand() % BLOCK_CLASSES;
	uint32_t n = c->ctx[0].stocked[0][cls];

	return n && rand() % 4 ? c->ctx[0].stock[0][cls][(uint32_t)rand() % n] :
				 block_id((uint32_t)rand() % 6,
					  (uint32_t)rand() % 600);
}

static void random_record(const struct fake_client *c, struct cmd *cmd)
{
	for (size_t i = 0; i < sizeof(*cmd); i++)
		((uint8_t *)cmd)[i] = (uint8_t)rand();
	if (rand() % 16 == 0)
		return;			/* nothing but noise */
	cmd->type = (uint8_t)(1 + rand() % (CMD_TYPES - 1));
	cmd->flags &= (uint8_t)rand();
	cmd->cookie = (uint32_t)rand() % 5;
	if (cmd->type == CMD_CONNECT)
		return;
	cmd->sock = some_handle();
	if (cmd->type == CMD_SEND) {
		cmd->flags = (uint8_t)(rand() % 4);
		cmd->send.block = some_block(c);
		cmd->send.offset = (uint16_t)(rand() % 600);
		cmd->send.len = (uint16_t)(rand() % 600);
	} else if (cmd->type == CMD_WANT_BLOCKS) {
		cmd->want_blocks.cls = (uint32_t)rand() % 3;
	} else if (cmd->type == CMD_RETURN_BLOCK) {
		cmd->return_block.block = some_block(c);
	} else if (cmd->type == CMD_OPTION) {
		cmd->option.name = (uint32_t)rand() % (CMD_OPTS + 1);
	}
}

static void random_records(void **state)
{
	uint32_t detached = 0;

	(void)state;
	fake_pair(&world, &srv, &cli);
	for (uint32_t seed = 1; seed <= SEEDS; seed++) {
		struct fake_client *c = fake_client(&world, 0, 1);
		struct cmd hello = { .type = CMD_WANT_BLOCKS };
		union fake_event ev;

		srand(seed);
		fake_listen(c, 0, 56, 8081);
		fake_cmd(c, 0, 0, &hello);
		fake_run(&world, 500);
		while (fake_event(c, 0, 0, &ev) != EVENT_NONE)
			;
		for (uint32_t i = 0; i < RECORDS && !c->bad; i++) {
			struct cmd cmd;

			random_record(c, &cmd);
			fake_cmd(c, 0, 0, &cmd);
			if (rand() % 8 == 0)
				fake_run(&world, 50);
		}
		fake_run(&world, 500);
		detached += c->bad != 0;
		if (seed % 20 == 0)
			others_notice_nothing();
		leave(c);
	}
	assert_true(detached > SEEDS / 2);
}

#define T(f)	cmocka_unit_test_setup_teardown(f, open_world, close_world)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(one_wrong_record), T(broken_counts), T(too_much_credit),
		T(more_consumed_than_announced), T(filled_twice),
		T(random_records),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
