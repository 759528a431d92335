/*
 * addr.h - version-neutral network addresses
 *
 * Every address is 16 bytes in network order.  An IPv4 address a.b.c.d is
 * kept as the mapped address ::ffff:a.b.c.d (RFC 4291 2.5.5.2), so that no
 * structure, record or interface changes when IPv6 comes.
 *
 * Threads   Pure values; any thread.
 */
#ifndef BASE_ADDR_H
#define BASE_ADDR_H

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct ip_addr {
	uint8_t b[16];
};
_Static_assert(sizeof(struct ip_addr) == 16, "part of on-wire and shm records");

#define ADDR_TEXT_BYTES	48	/* longest text form with its NUL */

/* @v4 is in network order, as in struct in_addr. */
static inline struct ip_addr addr_from_v4(uint32_t v4)
{
	/* Two whole words: what compares them next need not wait for bytes. */
	const uint64_t words[2] = {
		0, htobe64(UINT64_C(0xffff00000000) | be32toh(v4)) };
	struct ip_addr a;

	memcpy(&a, words, sizeof(a));
	return a;
}

/* The IPv4 address in network order; only for addresses that addr_is_v4(). */
static inline uint32_t addr_v4(const struct ip_addr *a)
{
	uint32_t v4;

	memcpy(&v4, a->b + 12, sizeof(v4));
	return v4;
}

static inline bool addr_eq(const struct ip_addr *a, const struct ip_addr *b)
{
	uint64_t x[2], y[2];

	memcpy(x, a, sizeof(x));
	memcpy(y, b, sizeof(y));
	return ((x[0] ^ y[0]) | (x[1] ^ y[1])) == 0;
}

bool addr_is_v4(const struct ip_addr *a);

/* Unspecified: :: or ::ffff:0.0.0.0, "any address of ours". */
bool addr_is_any(const struct ip_addr *a);

/* True when the first @prefix bits (of 128; an IPv4 /n is 96 + n) agree. */
bool addr_in_prefix(const struct ip_addr *a, const struct ip_addr *net,
		    unsigned int prefix);

/* Text to address; 0 or -EINVAL.  Accepts dotted quads (and IPv6 text). */
int addr_parse(struct ip_addr *out, const char *text);

/* Writes the usual text form into @buf (ADDR_TEXT_BYTES) and returns it. */
const char *addr_text(const struct ip_addr *a, char *buf);

#endif
