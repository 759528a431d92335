#include "rss.h"

#include <string.h>

#include "shm/rss.h"

#define TUPLE_BYTES	12	/* two addresses, two ports */

/* Toeplitz, bit by bit: a helper that is called once a flow needs no tables. */
static uint32_t toeplitz(const uint8_t tuple[TUPLE_BYTES])
{
	const uint8_t *key = rss_symmetric_key;
	uint32_t hash = 0, window;

	window = (uint32_t)key[0] << 24 | (uint32_t)key[1] << 16 |
		 (uint32_t)key[2] << 8 | key[3];
	for (unsigned int bit = 0; bit < TUPLE_BYTES * 8; bit++) {
		unsigned int next = bit + 32;

		if (tuple[bit / 8] & (0x80u >> (bit % 8)))
			hash ^= window;
		window <<= 1;
		window |= ((uint32_t)key[next / 8] >> (7 - next % 8)) & 1u;
	}
	return hash;
}

uint32_t GetRSSHash(in_addr_t sip, in_addr_t dip, in_port_t sp, in_port_t dp)
{
	uint32_t src = htonl(sip), dst = htonl(dip);
	uint16_t sport = htons(sp), dport = htons(dp);
	uint8_t tuple[TUPLE_BYTES];

	memcpy(tuple, &src, 4);
	memcpy(tuple + 4, &dst, 4);
	memcpy(tuple + 8, &sport, 2);
	memcpy(tuple + 10, &dport, 2);
	return toeplitz(tuple);
}

int GetRSSCPUCore(in_addr_t sip, in_addr_t dip, in_port_t sp, in_port_t dp,
		  int num_cpus)
{
	if (num_cpus <= 0)
		return 0;
	return (int)rss_engine(GetRSSHash(sip, dip, sp, dp),
			       (uint32_t)num_cpus);
}
