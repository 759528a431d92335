/*
 * tcp_run.h - for tcp_in.c: one run, its input, and memory
 *
 * Tables and arenas are made once and serve all runs: a run ends with every
 * block at home, and begins with zeroed tables.
 */
#ifndef FUZZ_TCP_RUN_H
#define FUZZ_TCP_RUN_H

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "mem/block.h"
#include "tcp/env.h"

#define ARENAS		3	/* the engine's own, two clients' */
#define SLABS		3	/* an arena: none, small blocks, large blocks */
#define LISTENERS	2
#define KNOWN_MAX	64
#define TABLES_MAX	32
#define CTX		3	/* the clients' context */

struct known {
	uint32_t conn, generation;
	uint32_t listener;		/* it came from there; 0: ours */
	bool closed, detached;
};

struct run {
	const uint8_t *at, *end;
	struct tcp_env *env;
	mono_t now;
	struct ip_addr us, peer;
	struct arena *arena;
	uint32_t in_use[ARENAS];	/* blocks, when the run began */
	uint32_t table_count;
	uint32_t listener[LISTENERS];	/* 0: not open */
	struct known known[KNOWN_MAX];
	uint32_t known_count;
	uint16_t mtu;
	uint32_t tso;
};

/* ---- the input ---- */

static inline uint8_t take(struct run *r)
{
	return r->at < r->end ? *r->at++ : 0;
}

static inline uint32_t take16(struct run *r)
{
	uint32_t high = take(r);

	return high << 8 | take(r);
}

static inline uint32_t take32(struct run *r)
{
	uint32_t high = take16(r);

	return high << 16 | take16(r);
}

/* -128 .. 127, to be added to a sequence number. */
static inline uint32_t take_delta(struct run *r)
{
	uint32_t b = take(r);

	return b < 128 ? b : b - 256;
}

/* The byte with number @seq, of theirs or ours. */
static inline uint8_t stream_byte(seq_t seq, bool ours)
{
	return (uint8_t)(seq * 131u + (seq >> 8) * 7u + (ours ? 77u : 0u));
}

/* ---- memory: made once, for many runs ---- */

static inline void *alloc_table(void *arg, const char *what, size_t bytes)
{
	static struct { void *mem; size_t bytes; } tables[TABLES_MAX];
	struct run *r = arg;
	uint32_t i = r->table_count++;

	(void)what;
	ENSURE(i < TABLES_MAX, "room for every table");
	if (tables[i].bytes != bytes) {
		free(tables[i].mem);
		tables[i].mem = aligned_alloc(64, (bytes + 63) / 64 * 64);
		tables[i].bytes = bytes;
	}
	if (!tables[i].mem)
		abort();
	memset(tables[i].mem, 0, bytes);
	return tables[i].mem;
}

/* Few blocks are left, and so many of either use are taken for ever that
 * nothing is kept for the other one: memory runs out soon. */
static inline void take_most(struct arena *a, enum block_class cls)
{
	uint32_t leave = cls == BLOCK_SMALL ? 48 : 12, n;

	for (n = 0; n < a->total[cls] / 4; n++)
		block_get(a, cls, ARENA_RX);
	while (a->free_count[cls] > leave &&
	       block_get(a, cls, ARENA_TX) != BLOCK_NONE)
		;
}

static inline struct arena *make_arenas(void)
{
	static struct arena arenas[ARENAS];

	if (arenas[0].segment)
		return arenas;
	for (uint32_t which = 0; which < ARENAS; which++) {
		struct arena *a = &arenas[which];
		uint8_t *segment = malloc((size_t)SLABS * SLAB_BYTES);

		if (!segment || arena_init(a, segment, SLABS) != 0)
			abort();
		for (uint32_t i = 1; i < SLABS; i++) {
			enum block_class cls = i == 1 ? BLOCK_SMALL :
							BLOCK_LARGE;
			void *meta = calloc(1, slab_meta_bytes(cls));

			if (!meta || arena_add_slab(a, i, cls, meta) != 0)
				abort();
			take_most(a, cls);
		}
	}
	return arenas;
}

/* Every block is back that was free when the run began. */
static inline bool all_home(const struct run *r, uint32_t which)
{
	return arena_in_use(&r->arena[which]) == r->in_use[which];
}

#define RUN_BYTES	1460u	/* payload of those that come in a burst of */
#define RUN_SEGMENTS	3u

/* A full segment and what follows it, all alike, in one burst: GRO's case. */
static inline void put_run(struct run *r, const struct hdr_tcp *h, const uint8_t *buf,
		    uint32_t opts, uint32_t len)
{
	struct tcp_rx rx[RUN_SEGMENTS];
	uint32_t hash[RUN_SEGMENTS], head = TCP_BYTES + opts;
	uint8_t *exact[RUN_SEGMENTS];

	for (uint32_t k = 0; k < RUN_SEGMENTS; k++) {
		seq_t seq = ntohl(h->seq) + k * len;
		uint32_t word = htonl(seq);

		exact[k] = malloc(head + len);
		if (!exact[k])
			abort();
		memcpy(exact[k], buf, head);
		memcpy(exact[k] + 4, &word, sizeof(word));
		for (uint32_t i = 0; i < len; i++)
			exact[k][head + i] = stream_byte(seq + i, false);
		rx[k] = (struct tcp_rx){ .src = r->peer, .dst = r->us,
					 .l4 = exact[k], .l4_len = head + len,
					 .csum_ok = true };
		hash[k] = tcp_rx_hash(r->env, &rx[k]);
	}
	tcp_in_burst(r->env, rx, hash, RUN_SEGMENTS, r->now);
	for (uint32_t k = 0; k < RUN_SEGMENTS; k++)
		free(exact[k]);
}

#endif
