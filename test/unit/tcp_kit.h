/*
 * tcp_kit.h - for tests of single modules: one TCP and its arena
 *
 * No link and no peer: a test calls a module's functions and looks at the
 * environment (tcp/env.h).
 */
#ifndef TEST_TCP_KIT_H
#define TEST_TCP_KIT_H

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mem/block.h"
#include "tcp/env.h"

#define KIT_SLABS	10	/* none, one of small blocks, 16 MiB of large ones */

struct kit {
	struct tcp_env *env;
	struct rss rss;
	struct arena arena;		/* the engine's own */
	uint8_t *segment;
	struct block_meta *meta[KIT_SLABS];
	void *owned[32];
	uint32_t owned_count;
	uint64_t rng;
};

static inline uint64_t kit_random(struct kit *k)
{
	uint64_t z = k->rng += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

static inline uint32_t kit_below(struct kit *k, uint32_t n)
{
	return (uint32_t)(kit_random(k) % n);
}

static inline void *kit_alloc(void *arg, const char *what, size_t bytes)
{
	struct kit *k = arg;
	void *mem = aligned_alloc(64, (bytes + 63) / 64 * 64);

	(void)what;
	assert_non_null(mem);
	assert_true(k->owned_count < 32);
	memset(mem, 0, bytes);
	k->owned[k->owned_count++] = mem;
	return mem;
}

static inline void kit_arena(struct kit *k)
{
	k->segment = malloc((size_t)KIT_SLABS * SLAB_BYTES);
	assert_non_null(k->segment);
	assert_int_equal(arena_init(&k->arena, k->segment, KIT_SLABS), 0);
	for (uint32_t i = 1; i < KIT_SLABS; i++) {
		enum block_class cls = i == 1 ? BLOCK_SMALL : BLOCK_LARGE;

		k->meta[i] = calloc(1, slab_meta_bytes(cls));
		assert_int_equal(arena_add_slab(&k->arena, i, cls, k->meta[i]),
				 0);
	}
	tcp_set_arena(k->env, 0, &k->arena);
}

static inline void kit_open(struct kit *k, const struct tcp_config *cfg,
			    uint64_t seed)
{
	memset(k, 0, sizeof(*k));
	k->rng = seed;
	rss_init(&k->rss, rss_symmetric_key);
	assert_int_equal(tcp_init(&k->env, cfg, &k->rss, kit_alloc, k), 0);
	k->env->now.us = 1000000;
	kit_arena(k);
}

static inline void kit_close(struct kit *k)
{
	arena_fini(&k->arena);
	free(k->segment);
	for (uint32_t i = 0; i < KIT_SLABS; i++)
		free(k->meta[i]);
	while (k->owned_count)
		free(k->owned[--k->owned_count]);
}

/* The defaults with small tables. */
static inline struct tcp_config kit_config(void)
{
	struct tcp_config c;

	tcp_config_default(&c);
	c.max_conns = 64;
	c.max_listeners = 4;
	c.max_syn = 16;
	c.max_time_wait = 16;
	c.max_extents = 4096;
	memset(c.secret, 9, sizeof(c.secret));
	return c;
}

static inline struct flow_tuple kit_tuple(uint16_t rport, uint16_t lport)
{
	return (struct flow_tuple){
		.remote = addr_from_v4(htonl(0x0a000002)),
		.local = addr_from_v4(htonl(0x0a000001)),
		.rport = htons(rport), .lport = htons(lport) };
}

#endif
