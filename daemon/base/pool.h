/*
 * pool.h - fixed-size objects named by 32-bit indexes
 *
 *	base: | 0: nil | 1 | 2 | 3 | ...            | count-1 |
 *	free: LIFO through the objects' first four bytes
 *
 * Index 0 is never given out: it means "none", so zeroed memory links to
 * nothing.  Objects never given out yet are not touched (`fresh` is a high
 * water mark), so a pool of ten million costs no page until it is used.
 *
 * Ownership The memory is the caller's (normally a range of the state memfd,
 *           mem/state.h) and outlives the pool.  A freed object's first four
 *           bytes are the pool's until it is given out again.
 * Threads   One owner thread.
 */
#ifndef BASE_POOL_H
#define BASE_POOL_H

#include <stdint.h>
#include <string.h>

struct pool {
	uint8_t *base;
	uint32_t stride;	/* bytes an object */
	uint32_t count;		/* objects, index 0 included */
	uint32_t fresh;		/* lowest index never given out */
	uint32_t free_head;	/* 0: none */
	uint32_t used;		/* objects given out now */
};

static inline void pool_init(struct pool *p, void *base, uint32_t stride,
			     uint32_t count)
{
	*p = (struct pool){ .base = base, .stride = stride, .count = count,
			    .fresh = 1 };
}

static inline void *pool_at(const struct pool *p, uint32_t index)
{
	return p->base + (uint64_t)index * p->stride;
}

/* An object's index, or 0 when all are in use.  Contents are unspecified. */
static inline uint32_t pool_get(struct pool *p)
{
	uint32_t index = p->free_head;

	if (index)
		memcpy(&p->free_head, pool_at(p, index), sizeof(uint32_t));
	else if (p->fresh < p->count)
		index = p->fresh++;
	else
		return 0;
	p->used++;
	return index;
}

static inline void pool_put(struct pool *p, uint32_t index)
{
	memcpy(pool_at(p, index), &p->free_head, sizeof(uint32_t));
	p->free_head = index;
	p->used--;
}

#endif
