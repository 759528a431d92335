#include "libclient/client.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

/*
 * Mapped, not allocated: a table for a million sockets costs only the pages
 * of ids that were used.  Ids are first linked into the free list when they
 * are reached (`used` counts those that ever were).
 */
int sockids_init(struct sockids *t, uint32_t count)
{
	void *p = mmap(NULL, (size_t)count * sizeof(struct slot),
		       PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS |
		       MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return -ENOMEM;
	*t = (struct sockids){ .slot = p, .count = count,
			       .free_head = NONE, .free_tail = NONE };
	return 0;
}

void sockids_fini(struct sockids *t)
{
	if (t->slot)
		munmap(t->slot, (size_t)t->count * sizeof(struct slot));
	*t = (struct sockids){ 0 };
}

/* Off the free list, where it is somewhere. */
static void unlist(struct sockids *t, uint32_t id)
{
	uint32_t before = NONE, at = t->free_head;

	while (at != id) {
		before = at;
		at = t->slot[at].next;
	}
	if (before == NONE)
		t->free_head = t->slot[id].next;
	else
		t->slot[before].next = t->slot[id].next;
	if (t->free_tail == id)
		t->free_tail = before;
}

/* This one and no other: sockets of an older image keep their ids. */
static uint32_t take_wanted(struct sockids *t, uint32_t id)
{
	t->wanted = 0;
	if (id >= t->count)
		return NONE;
	while (t->used <= id)
		sockid_free(t, t->used++);
	if (t->slot[id].type != SLOT_FREE)
		return NONE;
	unlist(t, id);
	return id;
}

/* Ids never used come first: all of them rested longer than any freed one. */
static uint32_t take_free(struct sockids *t)
{
	uint32_t id;

	if (t->wanted)
		return take_wanted(t, t->wanted - 1);
	if (t->used < t->count)
		return t->used++;
	id = t->free_head;
	if (id == NONE)
		return NONE;
	t->free_head = t->slot[id].next;
	if (t->free_head == NONE)
		t->free_tail = NONE;
	return id;
}

int sockid_alloc(struct sockids *t, enum slot_type type, uint32_t obj)
{
	uint32_t id = take_free(t);

	if (id == NONE)
		return -EMFILE;
	t->slot[id] = (struct slot){ .type = (uint8_t)type, .obj = obj,
				     .next = NONE, .prev = NONE };
	return (int)id;
}

void sockid_free(struct sockids *t, uint32_t id)
{
	t->slot[id] = (struct slot){ .type = SLOT_FREE, .next = NONE,
				     .prev = NONE, .obj = NONE };
	if (t->free_tail == NONE)
		t->free_head = id;
	else
		t->slot[t->free_tail].next = id;
	t->free_tail = id;
}

struct slot *sockid_slot(const struct sockids *t, int id)
{
	if (id < 0 || (uint32_t)id >= t->used ||
	    t->slot[id].type == SLOT_FREE)
		return NULL;
	return &t->slot[id];
}
