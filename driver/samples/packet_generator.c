/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * packet_generator.c - send numbered UDP frames, count those that come back
 *
 * Says Mpps sent and received, loss, and the round trip's least, mean and
 * greatest time.
 *
 * Use: packet_generator PATH QUEUE COUNT BYTES DST_MAC
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../libps/ps.h"

#define MARK_AT	42		/* after Ethernet, IPv4 and UDP headers */

struct mark {
	uint32_t magic, number;
	uint64_t sent_ns;
};
#define MAGIC	0x70736978

struct tally {
	uint64_t back, least_ns, most_ns, sum_ns;
};

static struct ps_chunk chunk;

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint16_t ip_checksum(const uint8_t *p)
{
	uint32_t sum = 0;

	for (int i = 0; i < 20; i += 2)
		sum += (uint32_t)(p[i] << 8 | p[i + 1]);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~(sum + (sum >> 16));
}

static void build(uint8_t *f, int bytes, const uint8_t *dst,
		  const uint8_t *src, uint32_t number)
{
	struct mark m = { MAGIC, number, now_ns() };
	uint16_t sum;

	memset(f, 0, (size_t)bytes);
	memcpy(f, dst, 6);
	memcpy(f + 6, src, 6);
	f[12] = 8;
	f[14] = 0x45;
	f[16] = (uint8_t)((bytes - 14) >> 8);
	f[17] = (uint8_t)(bytes - 14);
	f[22] = 64;
	f[23] = 17;
	memcpy(f + 26, (uint8_t[]){ 10, 82, 0, 1, 10, 82, 0, 2 }, 8);
	sum = ip_checksum(f + 14);
	f[24] = (uint8_t)(sum >> 8);
	f[25] = (uint8_t)sum;
	f[34] = (uint8_t)(number >> 8);
	f[35] = (uint8_t)number;
	f[37] = 9;
	f[38] = (uint8_t)((bytes - 34) >> 8);
	f[39] = (uint8_t)(bytes - 34);
	memcpy(f + MARK_AT, &m, sizeof(m));
}

static int collect(struct ps_handle *h, struct tally *t)
{
	int n = ps_recv_chunk(h, &chunk, PS_CHUNK_MAX);
	uint64_t now = now_ns(), took;
	struct mark m;

	for (int i = 0; i < n; i++) {
		if (chunk.packet[i].slot.len < MARK_AT + sizeof(m))
			continue;
		memcpy(&m, chunk.packet[i].data + MARK_AT, sizeof(m));
		if (m.magic != MAGIC)
			continue;
		took = now - m.sent_ns;
		t->least_ns = t->back++ && t->least_ns < took ? t->least_ns :
							      took;
		t->most_ns = took > t->most_ns ? took : t->most_ns;
		t->sum_ns += took;
	}
	if (n > 0)
		ps_free_chunk(h, &chunk);
	return n;
}

static int generate(struct ps_handle *h, uint32_t count, int bytes,
		    const uint8_t *dst, const uint8_t *src, struct tally *t)
{
	uint32_t sent = 0;
	int n, r = 0;

	while (sent < count && r >= 0) {
		uint32_t want = count - sent < 64 ? count - sent : 64;

		n = ps_alloc_chunk(h, &chunk, want);
		for (int i = 0; i < n; i++) {
			build(chunk.packet[i].data, bytes, dst, src, sent++);
			chunk.packet[i].slot.len = (uint16_t)bytes;
		}
		r = n < 0 ? n : 0;
		while (r >= 0 && chunk.count)
			r = ps_send_chunk(h, &chunk);
		if (r >= 0)
			r = collect(h, t);
	}
	while (r >= 0 && t->back < count && ps_select(&h, 1, -1, 1000) > 0)
		r = collect(h, t);
	return r;
}

int main(int argc, char **argv)
{
	struct ps_attach a = { 0 };
	struct tally t = { 0 };
	struct ps_handle *h;
	uint8_t dst[6], src[6] = { 2, 0, 0, 0, 0, 1 };
	uint64_t start;
	uint32_t count;
	int r, bytes;

	if (argc != 6 || (bytes = atoi(argv[4])) < 60 || bytes > 1514 ||
	    sscanf(argv[5], "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx", &dst[0],
		   &dst[1], &dst[2], &dst[3], &dst[4], &dst[5]) != 6) {
		fprintf(stderr, "use: packet_generator PATH QUEUE COUNT "
			"BYTES(60-1514) DST_MAC\n");
		return 2;
	}
	a.queue = (uint32_t)atoi(argv[2]);
	a.flags = PS_ATTACH_PROMISC;
	count = (uint32_t)strtoul(argv[3], NULL, 10);
	r = ps_attach_queue(&h, argv[1], &a);
	if (r < 0) {
		fprintf(stderr, "packet_generator: %s: %s\n", argv[1],
			ps_explain(r));
		return 1;
	}
	start = now_ns();
	r = generate(h, count, bytes, dst, src, &t);
	printf("sent %u back %llu lost %llu in %.3f s, %.6f Mpps, round trip "
	       "%.1f/%.1f/%.1f us\n", count, (unsigned long long)t.back,
	       (unsigned long long)(count - t.back),
	       (double)(now_ns() - start) / 1e9,
	       (double)count * 1e3 / (double)(now_ns() - start),
	       (double)t.least_ns / 1e3,
	       t.back ? (double)t.sum_ns / (double)t.back / 1e3 : 0.0,
	       (double)t.most_ns / 1e3);
	ps_detach_queue(h);
	return r < 0;
}
