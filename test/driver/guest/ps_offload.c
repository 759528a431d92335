/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * ps_offload.c PATH - send TCP and UDP with checksums and TSO left to the chip
 *
 * Over IPv4, then over IPv6: a TCP frame of 200 payload bytes, one of 5,000 to
 * be cut at 1,000, and a UDP frame of 300.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "libps/ps.h"

/* Ethernet, IP without its length, ports and the rest of a TCP header */
struct kind {
	uint32_t l3_bytes, length_at, addrs_at, addrs_bytes, proto_at;
	uint32_t length_less;	/* header bytes that the IP length leaves out */
	uint16_t flags;
	uint8_t header[54];
};

static const struct kind kinds[] = {
	{ 20, 16, 26, 8, 23, 0, PS_F_CSUM_IP, {
		2, 0, 0, 0, 0, 0x99, 0x52, 0x54, 0, 0, 0, 1, 8, 0,
		0x45, 0, 0, 0, 0, 1, 0x40, 0, 64, 0, 0, 0,
		10, 0, 0, 1, 10, 0, 0, 2 } },
	{ 40, 18, 22, 32, 20, 40, 0, {
		2, 0, 0, 0, 0, 0x99, 0x52, 0x54, 0, 0, 0, 1, 0x86, 0xdd,
		0x60, 0, 0, 0, 0, 0, 0, 64,
		0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1,
		0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2 } },
};

static const uint8_t tcp[20] = { 0x12, 0x34, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0,
	0x50, 0x18, 1, 0, 0, 0, 0, 0 };

static void put16(uint8_t *at, uint32_t v)
{
	at[0] = (uint8_t)(v >> 8);
	at[1] = (uint8_t)v;
}

/* Sum over addresses and protocol, and the length unless it is TSO. */
static uint32_t seed(const struct kind *k, const uint8_t *f, uint32_t proto,
		     uint32_t l4_bytes)
{
	uint32_t sum = proto + l4_bytes;

	for (uint32_t i = k->addrs_at; i < k->addrs_at + k->addrs_bytes; i += 2)
		sum += (uint32_t)(f[i] << 8 | f[i + 1]);
	return (sum & 0xffff) + (sum >> 16);
}

/* Headers into @f; how many bytes. */
static uint32_t headers(const struct kind *k, uint8_t *f, uint32_t payload,
			uint16_t flags)
{
	uint32_t l4 = 14 + k->l3_bytes, udp = flags & PS_F_CSUM_UDP;
	uint32_t l4_bytes = udp ? 8 : 20, proto = udp ? 17 : 6;

	memcpy(f, k->header, sizeof(k->header));
	memcpy(f + l4, tcp, l4_bytes);
	if (udp)
		put16(f + l4 + 4, payload + 8);
	f[k->proto_at] = (uint8_t)proto;
	put16(f + k->length_at,
	      k->l3_bytes + l4_bytes + payload - k->length_less);
	put16(f + l4 + (udp ? 6 : 16),
	      seed(k, f, proto, flags & PS_F_TSO ? 0 : l4_bytes + payload));
	return l4 + l4_bytes;
}

static int send_one(struct ps_handle *h, const struct kind *k,
		    uint32_t payload, uint16_t flags)
{
	static uint8_t f[8192];
	static struct ps_chunk c;
	uint32_t head = headers(k, f, payload, flags), at = 0;
	uint32_t bytes = head + payload, need = (bytes + 2047) / 2048;

	for (uint32_t i = 0; i < payload; i++)
		f[head + i] = (uint8_t)i;
	if (ps_alloc_chunk(h, &c, need) != (int)need)
		return -1;
	for (uint32_t i = 0; i < need; i++, at += 2048) {
		struct ps_packet *p = &c.packet[i];
		uint32_t n = bytes - at < 2048 ? bytes - at : 2048;

		memcpy(p->data, f + at, n);
		p->slot.len = (uint16_t)n;
		p->slot.flags = at + n < bytes ? PS_F_MORE : 0;
	}
	c.packet[0].slot.flags |= flags | k->flags;
	c.packet[0].slot.l2_len = 14;
	c.packet[0].slot.l3_len = (uint8_t)k->l3_bytes;
	c.packet[0].slot.l4_len = 20;
	c.packet[0].slot.mss = 1000;
	return ps_send_chunk(h, &c) == (int)need ? 0 : -1;
}

int main(int argc, char **argv)
{
	struct ps_attach a = { 0 };
	struct ps_handle *h;

	if (argc != 2 || ps_attach_queue(&h, argv[1], &a) < 0)
		return 1;
	for (int i = 0; i < 2; i++)
		if (send_one(h, &kinds[i], 200, PS_F_CSUM_TCP) < 0 ||
		    send_one(h, &kinds[i], 5000, PS_F_TSO) < 0 ||
		    send_one(h, &kinds[i], 300, PS_F_CSUM_UDP) < 0)
			return 1;
	sleep(1);
	printf("offload: bad %llu\n",
	       (unsigned long long)ps_counters(h)->bad_slots);
	ps_detach_queue(h);
	return 0;
}
