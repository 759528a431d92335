/*
 * wheel.h - timers of a million objects, in bounded steps
 *
 *	level 0:  64 slots of 1 ms    |.|.|o|.|.|..   expire from here
 *	level 1:  64 slots of 16 ms   |.|o|.|o|.|..   \
 *	  ...                                          > move down, one by one
 *	level 6:  64 slots of 4.7 h   |.|.|.|.|o|..   /
 *
 * A timer lives at the finest level whose 64 slots reach its instant.  Each
 * level has a cursor of its own, and a level reaches four slots of the next,
 * so an outer slot is emptied piece by piece, from one slot ahead of its time:
 * no call moves more than a given number of timers, and ten million of them in
 * one slot do not hold up the ones that are due.
 *
 * A node is part of its object, at base + index * stride + offset, and links
 * by index: the memory may be mapped anywhere (ARCHITECTURE, decision 7).  A
 * zeroed node is a timer that is not set.  Index 0 is none.
 *
 * A timer that is set to a later instant stays where it is until its old one
 * comes: setting is then one store, and wheel_next_due() may be too early.
 *
 * Invariant A timer never expires early; it expires at most 1 ms late when
 *           wheel_advance() is called in time.
 * Ownership Nodes are the objects'; a node must not be armed when its object
 *           is freed.  Indexes are below 2^31.
 * Threads   One owner thread.
 * Units     Ticks of 1 ms stay inside wheel.c; everybody else says mono_t.
 */
#ifndef BASE_WHEEL_H
#define BASE_WHEEL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/mono.h"

#define WHEEL_LEVELS	7
#define WHEEL_SLOTS	64	/* a level: one bit each of a word */

/* A timer further away than this is shortened to it (24 days). */
#define WHEEL_SPAN_US	(UINT64_C(24) * 86400 * 1000000)

struct wheel_node {
	uint32_t next;		/* 0: the last of its slot */
	uint32_t prev;		/* 0: not set; high bit: a slot's number */
	uint32_t tick;		/* due, low 32 bits of milliseconds */
};
_Static_assert(sizeof(struct wheel_node) == 12, "part of every connection");

struct wheel_level {
	uint64_t occupied;	/* bit s: slot s is not empty */
	uint32_t cursor;	/* tick at which the next slot to look at begins */
	uint32_t head[WHEEL_SLOTS];
};

struct wheel {
	uint8_t *base;		/* node 0: objects' memory + offset */
	uint32_t stride;	/* bytes an object */
	uint32_t ready;		/* first of those due but not yet handed out */
	uint32_t count;		/* timers set */
	uint64_t now_ms;	/* the latest time we were told */
	bool settled;		/* all that begins by now_ms has been moved */
	struct wheel_level level[WHEEL_LEVELS];
};

/* @offset: of the struct wheel_node in an object of @stride bytes. */
void wheel_init(struct wheel *w, void *base, uint32_t stride, uint32_t offset,
		mono_t now);

/* Sets, or sets anew, the timer of object @index.  MONO_NEVER cancels it; an
 * instant that has passed expires at the next wheel_advance(). */
void wheel_set(struct wheel *w, uint32_t index, mono_t when);

/* A timer that is not set may be cancelled. */
void wheel_cancel(struct wheel *w, uint32_t index);

bool wheel_is_set(const struct wheel *w, uint32_t index);

/*
 * wheel_advance() - the timers due at @now
 *
 * Writes up to @max indexes to @expired; those timers are no longer set.
 * Moves about @max further ones at most.  When more is due or must move,
 * wheel_next_due() is not after @now: call again in the next loop.
 *
 * What handles one of them may free another object of the same batch; the
 * caller's objects must be able to tell.
 *
 * Return: how many were written.
 */
int wheel_advance(struct wheel *w, mono_t now, uint32_t *expired, int max);

/* When wheel_advance() has something to do: never later than the first timer,
 * sometimes earlier.  MONO_NEVER: no timer is set. */
mono_t wheel_next_due(const struct wheel *w);

#endif
