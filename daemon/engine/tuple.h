/*
 * tuple.h - local TCP ports for outgoing connections
 *
 * The answer must come back to this engine, so a port is wanted with
 *
 *	rss_engine(hash(remote, local, rport, lport), engines) == engine
 *
 * The Toeplitz hash is linear: all of it but the local port's two bytes is
 * computed once a pick, and a port of another engine is stepped over with two
 * table look-ups and an exclusive or.  Only ports of ours are asked for in the
 * flow table.
 *
 *	hints[hash(local, remote, rport)] -> where the last pick ended
 *
 * A pick goes on behind the last one, so a port that was just used comes up
 * again a whole round later and picks do not search through what they have
 * filled: O(1) amortised while a fair share is free.  When a round finds
 * nothing, the hint remembers it and answers at once for a little while.
 *
 * Start     RFC 6056 3.3.3: the first port of a destination depends on a
 *           secret, so that an attacker cannot tell where it stands.
 * Threads   The engine's.
 */
#ifndef ENGINE_TUPLE_H
#define ENGINE_TUPLE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/mono.h"
#include "shm/rss.h"

#define TUPLE_HINTS	4096	/* destinations with a place of their own */
#define TUPLE_FULL_US	5000	/* "none free" is believed so long */

struct tuple_key {
	struct ip_addr local, remote;
	uint16_t rport;		/* network order */
};

struct tuple_hint {
	uint64_t tag;		/* which destination has the place */
	mono_t full_until;
	uint32_t next;		/* offset in the range */
};

struct tuples {
	const struct rss *rss;
	uint32_t engine, engines;
	uint16_t min, max;	/* host order, both included */
	uint8_t secret[16];
	struct tuple_hint *hints;	/* TUPLE_HINTS */
};

/* Is @lport (network order) free for @key?  The flow table's answer. */
typedef bool tuple_free_fn(void *arg, const struct tuple_key *key,
			   uint16_t lport);

/* The engine that a segment from @remote to @local will reach. */
uint32_t tuple_owner(const struct tuples *t, const struct tuple_key *key,
		     uint16_t lport);

/* A free port whose answers come here, in network order into @*lport.
 * 0 or -EADDRNOTAVAIL. */
int tuple_pick(struct tuples *t, const struct tuple_key *key, mono_t now,
	       tuple_free_fn *is_free, void *arg, uint16_t *lport);

#endif
