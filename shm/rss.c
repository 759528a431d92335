#include "shm/rss.h"

#include <string.h>

const uint8_t rss_symmetric_key[RSS_KEY_BYTES] = {
	0x6d, 0x5a, 0x6d, 0x5a, 0x6d, 0x5a, 0x6d, 0x5a, 0x6d, 0x5a,
	0x6d, 0x5a, 0x6d, 0x5a, 0x6d, 0x5a, 0x6d, 0x5a, 0x6d, 0x5a,
	0x6d, 0x5a, 0x6d, 0x5a, 0x6d, 0x5a, 0x6d, 0x5a, 0x6d, 0x5a,
	0x6d, 0x5a, 0x6d, 0x5a, 0x6d, 0x5a, 0x6d, 0x5a, 0x6d, 0x5a,
};

/* The 32 key bits that begin at @bit. */
static uint32_t key_window(const uint8_t *key, unsigned int bit)
{
	uint64_t w = 0;

	for (unsigned int i = 0; i < 5; i++)
		w = w << 8 | key[(bit / 8 + i) % RSS_KEY_BYTES];
	return (uint32_t)(w >> (8 - bit % 8));
}

void rss_init(struct rss *r, const uint8_t key[RSS_KEY_BYTES])
{
	memcpy(r->key, key, RSS_KEY_BYTES);
	for (unsigned int pos = 0; pos < 12; pos++) {
		for (unsigned int byte = 0; byte < 256; byte++) {
			uint32_t h = 0;

			for (unsigned int bit = 0; bit < 8; bit++)
				if (byte & (0x80u >> bit))
					h ^= key_window(key, pos * 8 + bit);
			r->table[pos][byte] = h;
		}
	}
}
