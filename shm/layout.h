/*
 * layout.h - what lies where in a client's segment
 *
 *	slab 0      slab 1     slab 2       slab 3         ...      slab n-1
 *	| header  | rings    | 512 B      | 4 KiB        | not yet populated |
 *	            of ctx 0   blocks       blocks
 *
 * A segment is a sealed memfd of n slabs of 2 MiB, mapped once by both sides.
 * Control populates slabs one at a time and tells an engine or the client
 * what each is for; what a slab is for never changes.
 *
 * A block is named by slab and number in the slab.  Blocks lie a cache line
 * further apart than their size: small messages that all began on a page
 * would fight for one cache set.
 *
 * Header slab (at offset 0): struct segment_header, then one struct
 * wake_shared an engine ("engine e does not look at this client's rings now"),
 * then, at SLAB_CLASSES_OFFSET, one byte a slab: its enum block_class, written
 * by the daemon before any record names a block of the slab.
 *
 * Rings slabs: context c has, from the offset that control told it,
 *	struct wake_shared		the context sleeps
 *	for each engine e, at 64 + e * CONTEXT_PAIR_BYTES:
 *		command ring (client to engine), then event ring
 *
 * Trust     The daemon never reads a size, offset or owner from here: this
 *           file gives both sides the same arithmetic over numbers that the
 *           daemon keeps privately.  The header's words are for the client.
 */
#ifndef SHM_LAYOUT_H
#define SHM_LAYOUT_H

#include <stdint.h>

#include "shm/ring.h"
#include "shm/wake.h"

#define LAYOUT_VERSION		1u	/* the daemon accepts N and N-1 */
#define LAYOUT_MAGIC		0x6d746370u	/* "mtcp" */

#define SLAB_BYTES		(2u << 20)
#define SLAB_SHIFT		21
#define SEGMENT_SLABS_MAX	32768u	/* 64 GiB */
#define ENGINES_MAX		16u
#define CONTEXTS_MAX		256u	/* a client */

#define SLAB_CLASSES_OFFSET	4096u	/* in the header slab; a byte a slab */

#define CMD_RING_SLOTS		4096u
#define EVENT_RING_SLOTS	4096u
#define CONTEXT_PAIR_BYTES \
	(2u * (uint32_t)sizeof(struct ring_shared) + \
	 (CMD_RING_SLOTS + EVENT_RING_SLOTS) * RING_SLOT)

enum block_class { BLOCK_SMALL, BLOCK_LARGE, BLOCK_CLASSES };

#define BLOCK_SMALL_BYTES	512u
#define BLOCK_LARGE_BYTES	4096u
#define BLOCK_COLOUR		64u	/* bytes between neighbours */
#define BLOCK_INDEX_BITS	12
#define BLOCK_NONE		0u	/* slab 0 is the header: no block there */

struct segment_header {
	uint32_t magic;
	uint32_t version;
	uint32_t engines;
	uint32_t slabs;
	uint64_t daemon_start_us;	/* tells one run of the daemon from another */
	uint64_t reserved[5];
};
_Static_assert(sizeof(struct segment_header) == 64, "shm ABI");

static inline uint32_t block_class_bytes(enum block_class c)
{
	return c == BLOCK_SMALL ? BLOCK_SMALL_BYTES : BLOCK_LARGE_BYTES;
}

/* Blocks in a slab of class @c. */
static inline uint32_t slab_blocks(enum block_class c)
{
	return SLAB_BYTES / (block_class_bytes(c) + BLOCK_COLOUR);
}

static inline uint32_t block_id(uint32_t slab, uint32_t index)
{
	return slab << BLOCK_INDEX_BITS | index;
}

static inline uint32_t block_slab(uint32_t block)
{
	return block >> BLOCK_INDEX_BITS;
}

static inline uint32_t block_index(uint32_t block)
{
	return block & ((1u << BLOCK_INDEX_BITS) - 1);
}

/* Offset of a block's first byte in the segment; @c is its slab's class. */
static inline uint64_t block_offset(uint32_t block, enum block_class c)
{
	return ((uint64_t)block_slab(block) << SLAB_SHIFT) +
	       (uint64_t)block_index(block) *
		       (block_class_bytes(c) + BLOCK_COLOUR);
}

/* Offset of engine @e's flag in the header slab. */
static inline uint32_t engine_wake_offset(uint32_t e)
{
	return (uint32_t)(sizeof(struct segment_header) +
			  e * sizeof(struct wake_shared));
}

/* Offsets from the start of a context's rings. */
static inline uint32_t context_cmd_ring_offset(uint32_t e)
{
	return (uint32_t)sizeof(struct wake_shared) + e * CONTEXT_PAIR_BYTES;
}

static inline uint32_t context_event_ring_offset(uint32_t e)
{
	return context_cmd_ring_offset(e) + ring_bytes(CMD_RING_SLOTS);
}

/* Bytes of one context's rings with @engines engines. */
static inline uint32_t context_bytes(uint32_t engines)
{
	return context_cmd_ring_offset(engines);
}

#endif
