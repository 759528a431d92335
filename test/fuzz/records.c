/*
 * records - a client that writes what it likes into its shared memory
 *
 * The input is a program: each step is a byte that says what, and its bytes.
 * Two engines and two honest clients are there before, with a connection
 * between them; the hostile one attaches, does its steps, and is let go.  Then
 * its memory must be free, and nobody else may have been detached.
 *
 *	0 32 bytes	a record, as they are
 *	1 64 bytes	one of two slots (connect, as they are but for the type)
 *	2 type flags cookie sock 16 bytes	a record that nearly makes sense
 *	3 at(2) word(4)	into the memory of the rings, counts and all
 *	4 n		so many turns
 *	5		reads its events, and so learns blocks
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "unit/engine_fake.h"

#define WORLD_RUNS	100	/* inputs of one pair of engines */
#define STEPS_MAX	200
#define LISTENER	56u

static struct fake_world world;
static uint64_t server, peer;
static int runs;

struct input {
	const uint8_t *bytes;
	size_t left;
};

static void take(struct input *in, void *out, size_t n)
{
	size_t have = n < in->left ? n : in->left;

	memset(out, 0, n);
	memcpy(out, in->bytes, have);
	in->bytes += have;
	in->left -= have;
}

static uint8_t take_byte(struct input *in)
{
	uint8_t b;

	take(in, &b, 1);
	return b;
}

/* ---- records ---- */

/* A ring whose counts are broken has no room, or all of it. */
static void put(struct fake_client *c, const void *record, uint32_t slots)
{
	struct ring *r = &c->ctx[0].cmd[0];

	if (ring_room(r, slots) < (int)slots)
		return;
	for (uint32_t i = 0; i < slots; i++)
		memcpy(ring_slot(r), (const uint8_t *)record + i * RING_SLOT,
		       RING_SLOT);
	ring_publish(r);
}

static uint64_t some_handle(uint8_t what)
{
	switch (what % 4) {
	case 0:
		return server;			/* another client's */
	case 1:
		return handle_make(0, what / 4 % 4, what / 16);
	case 2:
		return HANDLE_NONE;
	default:
		return LISTENER;
	}
}

static uint32_t some_block(const struct fake_client *c, uint32_t word)
{
	uint32_t cls = word % BLOCK_CLASSES, n = c->ctx[0].stocked[0][cls];

	return n && word & 4 ? c->ctx[0].stock[0][cls][word / 8 % n] :
			       block_id(word / 8 % 6, word / 64 % 600);
}

static void nearly(struct fake_client *c, struct input *in)
{
	struct cmd cmd = { .type = (uint8_t)(take_byte(in) % CMD_TYPES) };

	cmd.flags = take_byte(in);
	cmd.cookie = take_byte(in) % 8;
	cmd.sock = some_handle(take_byte(in));
	take(in, cmd.bytes16, sizeof(cmd.bytes16));
	if (cmd.type == CMD_SEND) {
		cmd.send.block = some_block(c, cmd.send.block);
		cmd.send.offset %= 700;
		cmd.send.len %= 700;
	} else if (cmd.type == CMD_RETURN_BLOCK) {
		cmd.return_block.block = some_block(c, cmd.return_block.block);
	} else if (cmd.type == CMD_OPTION) {
		cmd.option.name %= CMD_OPTS + 1;
	}
	put(c, &cmd, 1);
}

static void scribble(struct fake_client *c, struct input *in)
{
	uint16_t at;
	uint32_t word;
	uint64_t all = (uint64_t)FAKE_CONTEXTS * context_bytes(c->d->engines);

	take(in, &at, sizeof(at));
	take(in, &word, sizeof(word));
	memcpy(c->segment + SLAB_BYTES + (uint64_t)at * 64 % all + (word & 4),
	       &word, sizeof(word));
}

/* What it reads it reads as a sound library does, while its ring is sound. */
static void read_events(struct fake_client *c)
{
	struct ring *r = &c->ctx[0].event[0];

	for (int i = 0; i < 64; i++) {
		struct event ev;

		if (ring_peek(r) <= 0)
			return;
		ring_copy(r, 0, &ev);
		ring_release(r, event_slots(ev.type));
		if (ev.type != EVENT_GRANT || ev.cls >= BLOCK_CLASSES)
			continue;
		for (uint32_t k = 0; k < ev.count && k < EVENT_GRANT_BLOCKS; k++)
			if (c->ctx[0].stocked[0][ev.cls] < FAKE_STOCK)
				c->ctx[0].stock[0][ev.cls]
					[c->ctx[0].stocked[0][ev.cls]++] =
					ev.blocks[k];
	}
}

static void step(struct fake_client *c, struct input *in)
{
	uint8_t record[2 * RING_SLOT];

	switch (take_byte(in) % 6) {
	case 0:
		take(in, record, RING_SLOT);
		put(c, record, 1);
		break;
	case 1:
		take(in, record, sizeof(record));
		record[0] = CMD_CONNECT;
		put(c, record, 2);
		break;
	case 2:
		nearly(c, in);
		break;
	case 3:
		scribble(c, in);
		break;
	case 4:
		fake_run(&world, (1u + take_byte(in) % 16u) * 50u);
		break;
	default:
		read_events(c);
		break;
	}
}

/* ---- a run ---- */

static void open_world(void)
{
	log_set_level(LOG_LEVEL_ERROR);
	fake_open(&world, 1, 1);
	fake_pair(&world, &server, &peer);
	runs = 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cmd hello = { .type = CMD_WANT_BLOCKS };
	struct input in = { data, size };
	struct fake_client *c;

	if (!world.wire)
		open_world();
	c = fake_client(&world, 0, 1);
	fake_listen(c, 0, LISTENER, 8081);
	fake_cmd(c, 0, 0, &hello);
	fake_run(&world, 200);
	read_events(c);
	for (int n = 0; n < STEPS_MAX && in.left; n++)
		step(c, &in);
	fake_run(&world, 500);
	fake_detach(c, 1000);
	for (int n = 0; n < 200 && !c->gone; n++)
		fake_run(&world, 2000);
	ENSURE(c->gone == 1, "the hostile client is let go");
	ENSURE(arena_in_use(&c->arena[0]) == 0, "none of its blocks is in use");
	ENSURE(!world.d[0].client[0].bad && !world.d[1].client[0].bad,
	       "nobody else is detached");
	if (++runs == WORLD_RUNS) {
		fake_close(&world);
		world.wire = NULL;
	}
	return 0;
}
