/*
 * block.h - payload blocks of one client in one engine, and who owns each
 *
 *	           block_get           sent as data / granted
 *	    FREE ------------> ENGINE ----------------------> the client reads
 *	     ^                   |                            or fills it
 *	     |  refs == 0 and    | block_grant
 *	     |  not granted      v
 *	     +---------------- GRANTED --- given up --> ENGINE (refs > 0)
 *
 * An arena is the set of blocks of one client that one engine lends out.  The
 * bytes lie in the client's segment (hostile, shared); everything known about
 * them lies here, in private memory.  The engine's own arena (client 0) has
 * private bytes: data of connections that nobody has accepted yet.
 *
 * Receive and transmit each keep a floor: an eighth of a class's blocks cannot
 * be taken by the other direction, so that a proxy cannot deadlock on itself.
 *
 * Free blocks are reused last-in first-out, so the working set is what is in
 * flight.  A block is free again when it has no references (extents of a
 * send or receive queue, frames that a device reads) and is not granted to a
 * context.
 *
 * Sending     block_grant() to a context; every CMD_SEND is checked by
 *             block_fill(): granted to that context, at or after what was
 *             filled before (bytes are never sent twice from one place), in
 *             the block.  Given up: block_give_up(); with its last reference
 *             acknowledged it is free, and only then granted again.
 * Memory      Control populates slabs; arena_add_slab() takes them over.
 *             arena_wants() says of which class more is needed.
 * Ownership   The arena's meta arrays are allocated at attach by control, in
 *             the engine's NUMA node, and freed after the engine let go.
 * Threads     One engine.
 */
#ifndef MEM_BLOCK_H
#define MEM_BLOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "shm/layout.h"

enum arena_use { ARENA_RX, ARENA_TX, ARENA_USES };

/* One block's private state: 8 bytes, eight a cache line. */
struct block_meta {
	uint16_t refs;		/* extents that name it, in any queue, and
				 * frames from which a device reads it */
	uint16_t granted;	/* context slot + 1, 0: not granted */
	union {
		uint32_t next_free;	/* free: the next free block's id */
		struct {
			uint16_t fill;	/* bytes used from the start */
			uint16_t use;	/* enum arena_use it is charged to */
		};
	};
};
_Static_assert(sizeof(struct block_meta) == 8, "eight a line");

struct slab {
	struct block_meta *meta;	/* NULL: not this arena's */
	uint8_t cls;			/* enum block_class */
	uint16_t span;			/* ports' number for it (io/port.h), 0:
					 * no device reads it */
};

struct arena {
	uint8_t *segment;		/* mapped base; slabs by number */
	struct slab *slabs;		/* by slab number */
	uint32_t slab_count;
	uint32_t free_head[BLOCK_CLASSES];	/* block id, BLOCK_NONE: none */
	uint32_t free_count[BLOCK_CLASSES];
	uint32_t total[BLOCK_CLASSES];		/* blocks of added slabs */
	uint32_t used[ARENA_USES][BLOCK_CLASSES];	/* blocks */
	bool dying;				/* detach under way: no grants */
};

/* The arena over @segment with room for @slabs slab numbers.  0 or -ENOMEM. */
int arena_init(struct arena *a, uint8_t *segment, uint32_t slabs);
void arena_fini(struct arena *a);

/* A populated slab of class @cls joins with its zeroed meta array, which the
 * caller allocated (control, never the loop) and keeps until arena_fini().
 * 0, or -EINVAL (no such slab number, or known already). */
int arena_add_slab(struct arena *a, uint32_t slab, enum block_class cls,
		   struct block_meta *meta);

/* Bytes of the meta array of a slab. */
static inline uint32_t slab_meta_bytes(enum block_class cls)
{
	return slab_blocks(cls) * (uint32_t)sizeof(struct block_meta);
}

/* True when fewer than @low blocks of @cls are free. */
bool arena_wants(const struct arena *a, enum block_class cls, uint32_t low);

/* A free block with one reference, or BLOCK_NONE.  @use is charged. */
uint32_t block_get(struct arena *a, enum block_class cls, enum arena_use use);

void block_ref(struct arena *a, uint32_t block);

/* Drops a reference; the block is free with the last if not granted. */
void block_unref(struct arena *a, uint32_t block);

/* Lends a free block to context @ctx for sending; BLOCK_NONE: none left. */
uint32_t block_grant(struct arena *a, enum block_class cls, uint32_t ctx);

/* Checks a client's extent and takes a reference.  0, or -EPROTO. */
int block_fill(struct arena *a, uint32_t block, uint32_t ctx, uint32_t offset,
	       uint32_t len);

/* The context gives a granted block up.  0, or -EPROTO if it has none. */
int block_give_up(struct arena *a, uint32_t block, uint32_t ctx);

/*
 * Blocks still granted to @ctx are given up (context ended), of @most slabs
 * from *@slab on (0: the first), which moves on; true: that was the last.
 */
bool arena_revoke(struct arena *a, uint32_t ctx, uint32_t *slab, uint32_t most);

/* Is @block one of this arena's? (for untrusted numbers) */
bool block_valid(const struct arena *a, uint32_t block);

/* The rest is for numbers that are known to be valid. */

static inline struct block_meta *block_meta(const struct arena *a,
					    uint32_t block)
{
	return &a->slabs[block_slab(block)].meta[block_index(block)];
}

static inline enum block_class block_class(const struct arena *a, uint32_t block)
{
	return (enum block_class)a->slabs[block_slab(block)].cls;
}

/* The block's first byte. */
static inline uint8_t *block_bytes(const struct arena *a, uint32_t block)
{
	return a->segment + block_offset(block, block_class(a, block));
}

/* Bytes used from the start, and bytes left after them. */
static inline uint32_t block_used(const struct arena *a, uint32_t block)
{
	return block_meta(a, block)->fill;
}

static inline uint32_t block_room(const struct arena *a, uint32_t block)
{
	return block_class_bytes(block_class(a, block)) - block_used(a, block);
}

/* The engine has put @len more bytes into a block of its own. */
static inline void block_use(const struct arena *a, uint32_t block, uint32_t len)
{
	struct block_meta *m = block_meta(a, block);

	m->fill = (uint16_t)(m->fill + len);
}

/* Blocks that are not free; 0 when everything came home. */
uint32_t arena_in_use(const struct arena *a);

#endif
