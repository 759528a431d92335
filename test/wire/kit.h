/*
 * kit.h - what tests of TCP share: memory, arenas, known bytes, checksums
 *
 *	kit_alloc    the memory behind tcp_init(), freed as a whole
 *	kit_arena    an arena over a private segment, of any number of blocks
 *	kit_byte     the byte at a position of a stream: no two neighbouring
 *	             positions of any power of two apart look alike
 *	kit_write    what a client does to send: grant, fill, send, give up
 *	kit_csum     the checksum of RFC 9293 3.1, written a second time here so
 *	             that a mistake in net/csum.c is seen
 *	kit_rand     xorshift64*: the same numbers from a seed everywhere
 *
 * Threads   One; everything is in structs of the caller.
 */
#ifndef TEST_WIRE_KIT_H
#define TEST_WIRE_KIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "mem/block.h"
#include "tcp/tcp.h"

struct kit_heap {
	struct kit_chunk *chunks;
};

/* A tcp_alloc_fn; @arg is a struct kit_heap. */
void *kit_alloc(void *arg, const char *what, size_t bytes);
void kit_free(struct kit_heap *heap);

struct kit_arena {
	struct arena arena;
	uint8_t *segment;
	size_t segment_bytes;
	struct block_meta *meta[BLOCK_CLASSES];
	struct block_meta *more;	/* of kit_arena_wide() */
};

/*
 * kit_arena_init() - one slab of each class, cut down to its first @small and
 * @large blocks (or whole).  Memory of blocks that nobody touches costs
 * nothing.
 */
void kit_arena_init(struct kit_arena *k, uint32_t small, uint32_t large);
/* A slab of each class, and @slabs (2 MiB each) of large blocks more. */
void kit_arena_wide(struct kit_arena *k, uint32_t slabs);
void kit_arena_fini(struct kit_arena *k);

/* Blocks that somebody still has; 0 when everything came home. */
uint32_t kit_arena_leaked(const struct kit_arena *k);

/* Byte number @offset of stream @stream. */
uint8_t kit_byte(uint32_t stream, uint64_t offset);
void kit_bytes(uint8_t *out, uint32_t len, uint32_t stream, uint64_t offset);

/* The first of @len bytes that is not as kit_byte() says; -1: all are. */
int64_t kit_differs(const uint8_t *bytes, uint32_t len, uint32_t stream,
		    uint64_t offset);

/*
 * kit_write() - sends the next bytes of @stream, at most a block's worth, as a
 * client does with its context 0.
 *
 * Return: bytes sent, 0 when no block is free, negative: tcp_send()'s error.
 */
int kit_write(struct tcp_env *env, struct kit_arena *k, uint32_t conn,
	      enum block_class cls, uint32_t len, uint32_t stream,
	      uint64_t offset, bool more, mono_t now);

/* Inverted, in network order: 0 over a segment whose sum is right. */
uint16_t kit_csum(const struct ip_addr *src, const struct ip_addr *dst,
		  const uint8_t *l4, uint32_t len);

struct kit_rand {
	uint64_t state;
};
void kit_seed(struct kit_rand *r, uint64_t seed);
uint64_t kit_rand(struct kit_rand *r);
/* 0 .. @n - 1; @n > 0. */
uint32_t kit_below(struct kit_rand *r, uint32_t n);
/* True once in @n times on average. */
bool kit_one_in(struct kit_rand *r, uint32_t n);

#endif
