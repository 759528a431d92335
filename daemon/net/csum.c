/*
 * csum.c - the Internet checksum, RFC 1071
 *
 * The one's complement sum does not depend on the width of its words (RFC
 * 1071 2 C): eight bytes at a time go to a 128-bit sum, which is an add and an
 * add-with-carry; two of them keep the adders busy.  Sums that are returned
 * have been brought below 2^33, so that billions of them can be added.
 */
#include <endian.h>
#include <string.h>

#include "net/net.h"

__extension__ typedef unsigned __int128 wide_t;

/* Eight bytes at any address. */
typedef uint64_t una64_t __attribute__((aligned(1), may_alias));

static uint64_t narrow(wide_t a)
{
	uint64_t low = (uint64_t)a, high = (uint64_t)(a >> 64);

	return (low & 0xffffffff) + (low >> 32) + high;
}

/* Fewer than eight bytes; the last one is the first of its word. */
static uint64_t tail_sum(const uint8_t *p, uint32_t len)
{
	uint32_t four = 0;
	uint16_t two = 0, one = 0;

	if (len & 4) {
		memcpy(&four, p, 4);
		p += 4;
	}
	if (len & 2) {
		memcpy(&two, p, 2);
		p += 2;
	}
	if (len & 1)
		memcpy(&one, p, 1);
	return (uint64_t)four + two + one;
}

uint64_t csum_add(uint64_t sum, const void *data, uint32_t len)
{
	const una64_t *p = data;
	wide_t a = sum, b = 0;

	for (; len >= 16; len -= 16, p += 2) {
		a += p[0];
		b += p[1];
	}
	if (len & 8)
		a += *p++;
	return narrow(a + b + tail_sum((const uint8_t *)p, len & 7));
}

/* Volatile: @src may change under us, and what is summed must be what was
 * copied. */
uint64_t csum_copy(uint64_t sum, void *dst, const void *src, uint32_t len)
{
	const volatile una64_t *s = src;
	const volatile uint8_t *tail;
	uint64_t x, y, rest = 0;
	una64_t *d = dst;
	wide_t a = sum, b = 0;

	for (; len >= 16; len -= 16, s += 2, d += 2) {
		x = s[0];
		y = s[1];
		d[0] = x;
		d[1] = y;
		a += x;
		b += y;
	}
	if (len >= 8) {
		x = *s++;
		*d++ = x;
		a += x;
		len -= 8;
	}
	tail = (const volatile uint8_t *)s;
	for (x = 0; x < len; x++)
		((uint8_t *)&rest)[x] = tail[x];
	memcpy(d, &rest, len);
	return narrow(a + b + rest);
}

uint64_t csum_swap(uint64_t sum)
{
	return __builtin_bswap16(csum_fold(sum));
}

uint16_t csum_fold(uint64_t sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

uint16_t csum_finish(uint64_t sum)
{
	return (uint16_t)~csum_fold(sum);
}

uint64_t csum_pseudo(const struct ip_addr *src, const struct ip_addr *dst,
		     uint8_t proto, uint32_t l4_len)
{
	uint64_t sum = (uint64_t)htobe32(proto) + htobe32(l4_len);

	if (addr_is_v4(src) && addr_is_v4(dst))	/* RFC 9293 3.1 */
		return sum + addr_v4(src) + addr_v4(dst);
	return csum_add(csum_add(sum, src, sizeof(*src)), dst, sizeof(*dst));
}
