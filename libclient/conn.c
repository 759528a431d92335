#include "libclient/client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void conns_init(struct conns *t)
{
	*t = (struct conns){ .free = NONE, .extent_free = NONE };
}

void conns_fini(struct conns *t)
{
	for (uint32_t i = 0; i < t->chunks; i++) {
		for (uint32_t n = 0; n < CONN_CHUNK; n++)
			free(t->chunk[i][n].opts);
		free(t->chunk[i]);
	}
	free(t->chunk);
	free(t->extent);
	conns_init(t);
}

/* One more chunk of free connections. */
static bool grow(struct conns *t)
{
	uint32_t first = t->chunks << CONN_CHUNK_BITS;
	struct conn **chunk, *c;

	if (first >= CONN_MAX)
		return false;
	chunk = realloc(t->chunk, (t->chunks + 1) * sizeof(*chunk));
	if (!chunk)
		return false;
	t->chunk = chunk;
	c = calloc(CONN_CHUNK, sizeof(*c));
	if (!c)
		return false;
	chunk[t->chunks++] = c;
	for (uint32_t i = CONN_CHUNK; i-- > 0; ) {
		c[i].next = t->free;
		t->free = first + i;
	}
	return true;
}

struct conn *conn_new(struct conns *t, enum conn_state state, uint32_t *index)
{
	struct conn *c;
	uint8_t generation;

	if (t->free == NONE && !grow(t))
		return NULL;
	*index = t->free;
	c = conn_at(t, t->free);
	t->free = c->next;
	t->used++;
	generation = c->generation;
	*c = (struct conn){ .state = (uint8_t)state, .generation = generation,
			    .rx_tail = NONE, .next = NONE, .sockid = -1 };
	return c;
}

void conn_free(struct conns *t, uint32_t index)
{
	struct conn *c = conn_at(t, index);

	if (c->rx_bytes)
		rx_drop(t, c, c->rx_bytes);
	free(c->opts);
	c->opts = NULL;
	c->state = CONN_FREE;
	c->flags = 0;
	c->generation++;
	c->next = t->free;
	t->free = index;
	t->used--;
}

uint32_t conn_cookie(const struct conns *t, uint32_t index)
{
	return index | (uint32_t)conn_at(t, index)->generation << 24;
}

struct conn *conn_find(const struct conns *t, uint32_t cookie)
{
	uint32_t index = cookie & (CONN_MAX - 1);
	struct conn *c;

	if (index >> CONN_CHUNK_BITS >= t->chunks)
		return NULL;
	c = conn_at(t, index);
	if (c->state == CONN_FREE || c->generation != cookie >> 24)
		return NULL;
	return c;
}

/* ---- unread data: a circle of extents, named by its newest ---- */

static uint32_t extent_get(struct conns *t)
{
	uint32_t i, room;
	struct extent *e;

	if (t->extent_free == NONE) {
		room = t->extents ? t->extents * 2 : 64;
		e = realloc(t->extent, room * sizeof(*e));
		if (!e)
			return NONE;
		t->extent = e;
		for (i = room; i-- > t->extents; ) {
			e[i].next = t->extent_free;
			t->extent_free = i;
		}
		t->extents = room;
	}
	i = t->extent_free;
	t->extent_free = t->extent[i].next;
	return i;
}

int rx_push(struct conns *t, struct conn *c, uint32_t block, uint16_t offset,
	    uint16_t len)
{
	uint32_t i = extent_get(t);
	struct extent *e;

	if (i == NONE)
		return -ENOMEM;
	e = &t->extent[i];
	*e = (struct extent){ .next = i, .block = block, .offset = offset,
			      .len = len };
	if (c->rx_tail != NONE) {
		e->next = t->extent[c->rx_tail].next;
		t->extent[c->rx_tail].next = i;
	}
	c->rx_tail = i;
	c->rx_bytes += len;
	return 0;
}

struct extent *rx_front(struct conns *t, const struct conn *c)
{
	if (c->rx_tail == NONE)
		return NULL;
	return &t->extent[t->extent[c->rx_tail].next];
}

struct extent *rx_next(struct conns *t, const struct conn *c,
		       const struct extent *e)
{
	if (e == &t->extent[c->rx_tail])
		return NULL;
	return &t->extent[e->next];
}

/* The oldest extent leaves the circle. */
static void drop_front(struct conns *t, struct conn *c)
{
	uint32_t front = t->extent[c->rx_tail].next;

	if (front == c->rx_tail)
		c->rx_tail = NONE;
	else
		t->extent[c->rx_tail].next = t->extent[front].next;
	t->extent[front].next = t->extent_free;
	t->extent_free = front;
}

void rx_drop(struct conns *t, struct conn *c, uint32_t bytes)
{
	c->rx_bytes -= bytes;
	while (bytes) {
		struct extent *e = rx_front(t, c);

		if (e->len > bytes) {
			e->offset = (uint16_t)(e->offset + bytes);
			e->len = (uint16_t)(e->len - bytes);
			return;
		}
		bytes -= e->len;
		drop_front(t, c);
	}
}
