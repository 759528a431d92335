/*
 * wheel.c - see wheel.h for the picture
 *
 * Theory of operation
 *
 * Level l has slots of G(l) = 16^l ticks.  Its cursor is the tick at which the
 * first slot begins that has not been emptied; it covers [cursor, cursor + 63
 * G), so slot number (tick / G) mod 64 names one slot only, and never the one
 * that is being emptied.  A timer goes to the finest level that covers it, or
 * to the ready list when level 0's cursor has passed it.
 *
 * wheel_advance() works from level 0 outwards.  Level 0 is emptied through the
 * slot of now into the ready list; level l > 0 through the slot after now's
 * (it must be empty when its time begins: one slot ahead makes that so without
 * a burst), each of its timers being put again, which takes it inwards since
 * 2 G(l) is less than the 63 G(l - 1) that the next level covers.
 *
 * A cursor moves only when those of the finer levels have come to their limit,
 * hence what is too far for level l - 1 is never behind the cursor of level l:
 * the former covers 3.9 G(l) from a moment at or after the one at which the
 * latter stopped at most 2 G(l) ahead of it.
 *
 * Ticks are milliseconds modulo 2^32 and are compared by their difference,
 * which stays below 2^31 (WHEEL_SPAN_US).
 */
#include "base/wheel.h"

#include <string.h>

#include "base/log.h"

#define LEVEL_SHIFT	4		/* G(l + 1) = 16 G(l) */
#define SLOT_MARK	0x80000000u	/* in prev: this is the first of a slot */
#define SLOT_READY	(WHEEL_LEVELS * WHEEL_SLOTS)
#define SPAN_MS		(WHEEL_SPAN_US / 1000)
#define REACH		(WHEEL_SLOTS - 1)	/* slots a level covers */

_Static_assert(WHEEL_SLOTS == 64, "one bit a slot in `occupied`");
_Static_assert(SPAN_MS < INT32_MAX, "ticks are compared by difference");

static inline struct wheel_node *node_at(const struct wheel *w, uint32_t index)
{
	return (struct wheel_node *)(w->base + (uint64_t)index * w->stride);
}

static inline unsigned int level_shift(unsigned int level)
{
	return LEVEL_SHIFT * level;
}

static uint32_t *slot_head(struct wheel *w, uint32_t slot)
{
	if (slot == SLOT_READY)
		return &w->ready;
	return &w->level[slot / WHEEL_SLOTS].head[slot % WHEEL_SLOTS];
}

static void mark_occupied(struct wheel *w, uint32_t slot, bool occupied)
{
	uint64_t bit = UINT64_C(1) << slot % WHEEL_SLOTS;

	if (slot == SLOT_READY)
		return;
	if (occupied)
		w->level[slot / WHEEL_SLOTS].occupied |= bit;
	else
		w->level[slot / WHEEL_SLOTS].occupied &= ~bit;
}

static void link_node(struct wheel *w, uint32_t index, uint32_t slot)
{
	struct wheel_node *node = node_at(w, index);
	uint32_t *head = slot_head(w, slot);

	node->next = *head;
	node->prev = SLOT_MARK | slot;
	if (*head)
		node_at(w, *head)->prev = index;
	else
		mark_occupied(w, slot, true);
	*head = index;
}

static void unlink_node(struct wheel *w, uint32_t index)
{
	struct wheel_node *node = node_at(w, index);
	uint32_t slot = node->prev & ~SLOT_MARK;

	if (node->next)
		node_at(w, node->next)->prev = node->prev;
	if (!(node->prev & SLOT_MARK)) {
		node_at(w, node->prev)->next = node->next;
	} else {
		*slot_head(w, slot) = node->next;
		if (!node->next)
			mark_occupied(w, slot, false);
	}
	node->prev = 0;
	node->next = 0;
}

/* The slot for a timer due at @tick: the finest level that covers it. */
static uint32_t find_slot(const struct wheel *w, uint32_t tick)
{
	const struct wheel_level *outer = &w->level[WHEEL_LEVELS - 1];
	unsigned int level, shift = level_shift(WHEEL_LEVELS - 1);
	uint32_t ahead;

	if ((int32_t)(tick - w->level[0].cursor) < 0)
		return SLOT_READY;
	for (level = 0; level < WHEEL_LEVELS; level++) {
		shift = level_shift(level);
		ahead = (tick >> shift << shift) - w->level[level].cursor;
		if (ahead >> shift < REACH)
			return level * WHEEL_SLOTS + (tick >> shift) % WHEEL_SLOTS;
	}
	/* Beyond all: the last slot of the last level, where it is put again. */
	return (WHEEL_LEVELS - 1) * WHEEL_SLOTS +
	       ((outer->cursor >> shift) + REACH - 1) % WHEEL_SLOTS;
}

/* The first tick that @level need not have emptied at @now. */
static uint32_t level_limit(unsigned int level, uint32_t now)
{
	unsigned int shift = level_shift(level);

	if (level == 0)
		return now + 1;
	return ((now >> shift) + 2) << shift;
}

/* With no timer set; also after a sleep longer than ticks can tell. */
static void start_cursors(struct wheel *w)
{
	unsigned int level;

	for (level = 0; level < WHEEL_LEVELS; level++)
		w->level[level].cursor = level_limit(level, (uint32_t)w->now_ms);
	w->settled = true;
}

void wheel_init(struct wheel *w, void *base, uint32_t stride, uint32_t offset,
		mono_t now)
{
	memset(w, 0, sizeof(*w));
	w->base = (uint8_t *)base + offset;
	w->stride = stride;
	w->now_ms = now.us / 1000;
	start_cursors(w);
}

/* Rounded up: never early.  The past is at most a span away, too. */
static uint32_t tick_of(const struct wheel *w, mono_t when)
{
	uint64_t ms = when.us / 1000 + (when.us % 1000 != 0);

	if (ms <= w->now_ms)
		return (uint32_t)w->now_ms;
	if (ms - w->now_ms > SPAN_MS)
		ms = w->now_ms + SPAN_MS;
	return (uint32_t)ms;
}

void wheel_set(struct wheel *w, uint32_t index, mono_t when)
{
	struct wheel_node *node = node_at(w, index);
	uint32_t tick = tick_of(w, when);

	if (when.us == MONO_NEVER.us) {
		wheel_cancel(w, index);
		return;
	}
	ENSURE(index > 0 && index < SLOT_MARK, "index 0 and the mark are reserved");
	if (node->prev && (int32_t)(tick - node->tick) >= 0) {
		node->tick = tick;	/* put again when the old one comes */
		return;
	}
	if (node->prev)
		unlink_node(w, index);
	else
		w->count++;
	node->tick = tick;
	link_node(w, index, find_slot(w, tick));
}

void wheel_cancel(struct wheel *w, uint32_t index)
{
	if (!node_at(w, index)->prev)
		return;
	unlink_node(w, index);
	w->count--;
}

bool wheel_is_set(const struct wheel *w, uint32_t index)
{
	return node_at(w, index)->prev != 0;
}

/* Ticks from the cursor to the first slot that is not empty. */
static uint32_t first_ahead(const struct wheel_level *l, unsigned int shift)
{
	unsigned int at = (l->cursor >> shift) % WHEEL_SLOTS;
	uint64_t turned = l->occupied >> at |
			  l->occupied << (WHEEL_SLOTS - at) % WHEEL_SLOTS;

	return (uint32_t)__builtin_ctzll(turned) << shift;
}

/*
 * Empties @level's slots that begin before @limit (a tick at a slot's
 * beginning), each timer being put again, at most *@budget of them.
 * Return: true when all was done and the cursor is at @limit.
 */
static bool empty_level(struct wheel *w, unsigned int level, uint32_t limit,
			int *budget)
{
	struct wheel_level *l = &w->level[level];
	unsigned int shift = level_shift(level);
	uint32_t index, slot;

	while (l->occupied) {
		if ((int32_t)(limit - l->cursor) <= 0)
			return true;
		if (first_ahead(l, shift) >= limit - l->cursor)
			break;
		l->cursor += first_ahead(l, shift);
		slot = (l->cursor >> shift) % WHEEL_SLOTS;
		l->cursor += 1u << shift;	/* passed: nothing returns to it */
		while ((index = l->head[slot]) != 0) {
			if (*budget == 0) {
				l->cursor -= 1u << shift;
				return false;
			}
			--*budget;
			unlink_node(w, index);
			link_node(w, index,
				  find_slot(w, node_at(w, index)->tick));
		}
	}
	if ((int32_t)(limit - l->cursor) > 0)
		l->cursor = limit;
	return true;
}

static int take_ready(struct wheel *w, uint32_t *expired, int max)
{
	struct wheel_node *node;
	uint32_t index, now = (uint32_t)w->now_ms;
	int count = 0, looked;

	for (looked = 0; looked < 2 * max && count < max && w->ready; looked++) {
		index = w->ready;
		node = node_at(w, index);
		unlink_node(w, index);
		if ((int32_t)(node->tick - now) > 0) {
			link_node(w, index, find_slot(w, node->tick));
			continue;	/* set to a later instant meanwhile */
		}
		w->count--;
		expired[count++] = index;
	}
	return count;
}

static bool empty_levels(struct wheel *w, int budget)
{
	unsigned int level;

	for (level = 0; level < WHEEL_LEVELS; level++)
		if (!empty_level(w, level,
				 level_limit(level, (uint32_t)w->now_ms),
				 &budget))
			return false;
	return true;
}

int wheel_advance(struct wheel *w, mono_t now, uint32_t *expired, int max)
{
	uint64_t now_ms = now.us / 1000;

	if (now_ms <= w->now_ms && w->settled && !w->ready)
		return 0;
	if (now_ms > w->now_ms)
		w->now_ms = now_ms;
	if (w->count == 0)
		start_cursors(w);
	else
		w->settled = empty_levels(w, max);
	return take_ready(w, expired, max);
}

mono_t wheel_next_due(const struct wheel *w)
{
	uint32_t now = (uint32_t)w->now_ms, begin;
	int64_t wait, least = INT64_MAX;
	unsigned int level;

	if (w->ready)
		return (mono_t){ w->now_ms * 1000 };
	for (level = 0; level < WHEEL_LEVELS; level++) {
		const struct wheel_level *l = &w->level[level];

		if (!l->occupied)
			continue;
		begin = l->cursor + first_ahead(l, level_shift(level));
		wait = (int32_t)(begin - now);
		if (wait < least)
			least = wait;
	}
	if (least == INT64_MAX)
		return MONO_NEVER;
	if (least < 0)
		least = 0;
	return (mono_t){ (w->now_ms + (uint64_t)least) * 1000 };
}
