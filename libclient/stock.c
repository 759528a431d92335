#include "libclient/client.h"

#include <stdlib.h>

/*
 * Granted blocks, a stack a class and engine: the last that came is the first
 * that is filled, since its lines are still in a cache.
 *
 * The stock is all connections', and a program is told of many at once that
 * they can be written to.  So a write that has got something leaves the last
 * RESERVE blocks to those that have nothing yet:
 *
 *	blocks   |  anybody's  |  RESERVE: first bytes of a write  | 0: wait for
 *	                                                              the engine
 *
 * What waited in vain (all memory is in flight) makes the stock dry: nobody
 * waits, and no socket is called writable, until more than RESERVE blocks came.
 * Who waits for nothing waits for a shorter time the next time (patience_us).
 *
 * A partly filled block stays `current`, and whatever is written next, by any
 * socket of the engine, goes on behind.  The engine owns a block again when
 * the extent that filled it said CMD_F_LAST, or by CMD_RETURN_BLOCK.
 *
 * The engine tops a stock up by itself when half of its target is used, so we
 * ask only for what ran out: each CMD_WANT_BLOCKS doubles that target.
 */

#define ASK_AGAIN_US	20000u		/* an unanswered wish is repeated */
#define RESERVE		8u		/* blocks */
#define PATIENCE_US	200000u		/* an engine answers within a turn */
#define PATIENCE_MIN_US	1000u

/* Less room than this behind what was written is not worth another extent. */
static const uint32_t room_least[BLOCK_CLASSES] = { 64, 512 };

uint8_t *block_at(const struct mtcp_context *x, uint32_t block)
{
	const uint8_t *classes = x->at->base + SLAB_CLASSES_OFFSET;

	return x->at->base +
	       block_offset(block, (enum block_class)classes[block_slab(block)]);
}

void stock_reset(struct mtcp_context *x)
{
	for (uint32_t e = 0; e < ENGINES_MAX; e++) {
		x->pair[e].started = x->pair[e].dry = false;
		x->pair[e].patience_us = PATIENCE_US;
		for (int i = 0; i < BLOCK_CLASSES; i++) {
			struct stock *s = &x->pair[e].stock[i];

			*s = (struct stock){ .block = s->block,
					     .room = s->room,
					     .current = BLOCK_NONE };
		}
	}
}

static void ask(struct mtcp_context *x, uint32_t e, uint32_t cls)
{
	struct stock *s = &x->pair[e].stock[cls];
	uint64_t t = now_us();
	struct cmd *cmd;

	if (s->count || t - s->asked_at_us < ASK_AGAIN_US)
		return;
	s->asked_at_us = t;
	cmd = ctx_cmd(x, e, CMD_WANT_BLOCKS);
	cmd->want_blocks.cls = cls;
	cmd->want_blocks.count = 1;
}

/* Blocks of both classes come with the first wish for one. */
void stock_start(struct mtcp_context *x, uint32_t e)
{
	struct pair *p = &x->pair[e];

	if (p->started)
		return;
	p->started = true;
	ask(x, e, BLOCK_SMALL);
	p->stock[BLOCK_LARGE].asked_at_us = now_us();
}

void stock_ask(struct mtcp_context *x, uint32_t e)
{
	stock_start(x, e);
	ask(x, e, BLOCK_SMALL);
	ask(x, e, BLOCK_LARGE);
}

void stock_granted(struct mtcp_context *x, uint32_t e, const struct event *ev)
{
	struct stock *s;
	uint32_t count = ev->count, room;
	uint32_t *block;

	if (ev->cls >= BLOCK_CLASSES || count > EVENT_GRANT_BLOCKS)
		return;
	s = &x->pair[e].stock[ev->cls];
	if (s->count + count > s->room) {
		room = s->room ? s->room * 2 : 256;
		block = realloc(s->block, room * sizeof(*block));
		if (!block)
			return;
		s->block = block;
		s->room = room;
	}
	for (uint32_t i = 0; i < count; i++)
		s->block[s->count++] = ev->blocks[i];
	s->asked_at_us = 0;
	if (x->pair[e].dry && !stock_low(x, e))
		x->pair[e].dry = false;
}

bool stock_any(const struct mtcp_context *x, uint32_t e)
{
	const struct stock *s = x->pair[e].stock;

	return s[BLOCK_SMALL].count || s[BLOCK_LARGE].count ||
	       s[BLOCK_SMALL].current != BLOCK_NONE ||
	       s[BLOCK_LARGE].current != BLOCK_NONE;
}

bool stock_low(const struct mtcp_context *x, uint32_t e)
{
	const struct stock *s = x->pair[e].stock;

	return s[BLOCK_SMALL].count + s[BLOCK_LARGE].count <= RESERVE;
}

bool stock_serves(const struct mtcp_context *x, uint32_t e)
{
	return x->pair[e].dry ? !stock_low(x, e) : stock_any(x, e);
}

void stock_waited(struct mtcp_context *x, uint32_t e, bool came)
{
	struct pair *p = &x->pair[e];

	if (came) {
		p->patience_us = p->patience_us < PATIENCE_US / 2 ?
					 p->patience_us * 2 : PATIENCE_US;
		return;
	}
	p->dry = true;
	p->patience_us = p->patience_us / 4 > PATIENCE_MIN_US ?
				 p->patience_us / 4 : PATIENCE_MIN_US;
}

/* The current block of @cls, or a new one, or nothing. */
static bool have_current(struct mtcp_context *x, uint32_t e, uint32_t cls)
{
	struct stock *s = &x->pair[e].stock[cls];

	if (s->current != BLOCK_NONE)
		return true;
	if (!s->count) {
		ask(x, e, cls);
		return false;
	}
	s->current = s->block[--s->count];
	s->fill = 0;
	return true;
}

static uint32_t room_of(const struct stock *s, uint32_t cls)
{
	return block_class_bytes((enum block_class)cls) - s->fill;
}

/* A small write goes where room is already; else by size. */
static uint32_t choose_class(const struct mtcp_context *x, uint32_t e,
			     uint32_t want)
{
	const struct stock *large = &x->pair[e].stock[BLOCK_LARGE];

	if (want > BLOCK_SMALL_BYTES)
		return BLOCK_LARGE;
	if (large->current != BLOCK_NONE && room_of(large, BLOCK_LARGE) >= want)
		return BLOCK_LARGE;
	return BLOCK_SMALL;
}

struct room stock_room(struct mtcp_context *x, uint32_t e, uint32_t want)
{
	uint32_t cls = choose_class(x, e, want);
	struct room r = { 0 };
	struct stock *s;

	if (!have_current(x, e, cls)) {
		cls = cls == BLOCK_SMALL ? BLOCK_LARGE : BLOCK_SMALL;
		if (!have_current(x, e, cls))
			return r;
	}
	s = &x->pair[e].stock[cls];
	r.block = s->current;
	r.offset = s->fill;
	r.size = room_of(s, cls);
	r.cls = cls;
	r.at = block_at(x, r.block) + r.offset;
	return r;
}

bool stock_use(struct mtcp_context *x, uint32_t e, const struct room *r,
	       uint32_t used, uint32_t want)
{
	struct stock *s = &x->pair[e].stock[r->cls];
	uint32_t left = r->size - used, least = room_least[r->cls];

	s->fill += used;
	/* Small writes repeat their size: one that would not fit again ends
	 * the block, so that no message is cut in two. */
	if (r->cls == BLOCK_SMALL && want > least)
		least = want;
	if (left >= least)
		return false;
	s->current = BLOCK_NONE;
	return true;
}

struct room stock_take(struct mtcp_context *x, uint32_t e, uint32_t want)
{
	uint32_t cls = want > BLOCK_SMALL_BYTES ? BLOCK_LARGE : BLOCK_SMALL;
	struct stock *s = &x->pair[e].stock[cls];
	struct room r = { 0 };

	if (!s->count) {
		ask(x, e, cls);
		return r;
	}
	r.block = s->block[--s->count];
	r.cls = cls;
	r.size = block_class_bytes((enum block_class)cls);
	r.at = block_at(x, r.block);
	return r;
}

void stock_give_up(struct mtcp_context *x)
{
	for (uint32_t e = 0; e < x->engines; e++)
		for (int i = 0; i < BLOCK_CLASSES; i++) {
			struct stock *s = &x->pair[e].stock[i];

			if (s->current == BLOCK_NONE)
				continue;
			ctx_cmd(x, e, CMD_RETURN_BLOCK)->return_block.block =
				s->current;
			s->current = BLOCK_NONE;
		}
}
