/*
 * rss.h - which engine owns a flow: the Toeplitz hash that NICs compute
 *
 * hash over remote address, local address, remote port, local port in network
 * order as seen in a received segment (source first), as 82599 §7.1.2.8.1 and
 * Microsoft's RSS define it.  The owner is
 *
 *	engine = table[hash & 127] with table[i] = i mod engines
 *
 * Daemon and client share this file: a client with a bound source port asks
 * the owning engine directly.
 *
 * Threads   Pure functions.
 */
#ifndef SHM_RSS_H
#define SHM_RSS_H

#include <stdint.h>

#define RSS_KEY_BYTES	40
#define RSS_TABLE	128	/* entries of the indirection table */

/* Table-driven Toeplitz: four tables of 256 words for the v4 4-tuple's bytes. */
struct rss {
	uint8_t key[RSS_KEY_BYTES];
	uint32_t table[12][256];	/* hash of byte b at position i */
};

/* The key that makes forward and backward hashes the same (0x6d5a repeated). */
extern const uint8_t rss_symmetric_key[RSS_KEY_BYTES];

/* Prepares the tables for @key. */
void rss_init(struct rss *r, const uint8_t key[RSS_KEY_BYTES]);

/* Hash of a received segment's v4 tuple; all arguments in network order. */
static inline uint32_t rss_hash_v4(const struct rss *r, uint32_t src,
				   uint32_t dst, uint16_t sport, uint16_t dport)
{
	uint32_t h = 0;
	const uint8_t *s = (const uint8_t *)&src, *d = (const uint8_t *)&dst;
	const uint8_t *sp = (const uint8_t *)&sport;
	const uint8_t *dp = (const uint8_t *)&dport;

	for (int i = 0; i < 4; i++)
		h ^= r->table[i][s[i]] ^ r->table[4 + i][d[i]];
	for (int i = 0; i < 2; i++)
		h ^= r->table[8 + i][sp[i]] ^ r->table[10 + i][dp[i]];
	return h;
}

static inline uint32_t rss_engine(uint32_t hash, uint32_t engines)
{
	return (hash & (RSS_TABLE - 1)) % engines;
}

#endif
