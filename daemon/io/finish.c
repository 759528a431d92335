/* finish.c - checksum and hash in software (finish.h) */
#include "finish.h"

#include <stdbool.h>
#include <string.h>

#include "shm/rss.h"

enum { IP_TCP = 6, IP_UDP = 17 };

static uint16_t be16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

/* RFC 1071: the order of the bytes does not matter to the sum. */
static uint16_t sum16(const uint8_t *p, uint32_t len)
{
	uint64_t sum = 0;
	uint32_t word;

	for (; len >= 4; p += 4, len -= 4) {
		memcpy(&word, p, 4);
		sum += word;
	}
	if (len) {
		word = 0;
		memcpy(&word, p, len);
		sum += word;
	}
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

void finish_csum(struct frame *f)
{
	uint32_t at = (uint32_t)f->csum_start + f->csum_offset;
	uint16_t sum;

	f->flags &= (uint16_t)~FRAME_CSUM_PARTIAL;
	if (at + 2 > f->len || f->csum_start > f->len)
		return;
	sum = (uint16_t)~sum16(f->data + f->csum_start,
			       f->len - f->csum_start);
	memcpy(f->data + at, &sum, 2);
}

uint32_t finish_rss(const struct rss *r, const struct frame *f)
{
	const uint8_t *ip = f->data + 14, *end = f->data + f->len;
	uint16_t ports[2] = { 0, 0 };
	uint32_t addrs[2], head;
	bool whole;

	if (f->len < 14 + 20)
		return 0;
	if (be16(f->data + 12) == 0x8100)
		ip += 4;
	if (be16(ip - 2) != 0x0800 || end - ip < 20 || ip[0] >> 4 != 4)
		return 0;
	head = (ip[0] & 15u) * 4;
	whole = (be16(ip + 6) & 0x3fff) == 0;	/* no MF, no offset */
	memcpy(addrs, ip + 12, 8);
	if (whole && (ip[9] == IP_TCP || ip[9] == IP_UDP) &&
	    end - ip >= (int64_t)head + 4)
		memcpy(ports, ip + head, 4);
	return rss_hash_v4(r, addrs[0], addrs[1], ports[0], ports[1]);
}
