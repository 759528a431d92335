/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * ps_offload.c PATH - send TCP over IPv4 with checksums and TSO left to the chip
 *
 * One frame of 200 payload bytes, then one of 5,000 to be cut at 1,000.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "libps/ps.h"

static const uint8_t header[54] = {
	2, 0, 0, 0, 0, 0x99, 0x52, 0x54, 0, 0, 0, 1, 8, 0,
	0x45, 0, 0, 0, 0, 1, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2,
	0x12, 0x34, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 0x18, 1, 0,
	0, 0, 0, 0 };

/* Sum over addresses and protocol, and the TCP length unless it is TSO. */
static void seed(uint8_t *f, uint32_t tcp_bytes)
{
	uint32_t sum = 6 + tcp_bytes;

	for (int i = 26; i < 34; i += 2)
		sum += (uint32_t)(f[i] << 8 | f[i + 1]);
	sum = (sum & 0xffff) + (sum >> 16);
	f[50] = (uint8_t)(sum >> 8);
	f[51] = (uint8_t)sum;
}

static int send_tcp(struct ps_handle *h, uint32_t payload, int tso)
{
	static struct ps_chunk c;
	uint32_t left = payload + 54, at = 0, need = (left + 2047) / 2048;

	if (ps_alloc_chunk(h, &c, need) != (int)need)
		return -1;
	for (uint32_t i = 0; i < need; i++) {
		struct ps_packet *p = &c.packet[i];
		uint32_t n = left < 2048 ? left : 2048;

		for (uint32_t k = 0; k < n; k++, at++)
			p->data[k] = at < 54 ? header[at] : (uint8_t)(at - 54);
		left -= n;
		p->slot.len = (uint16_t)n;
		p->slot.flags = left ? PS_F_MORE : 0;
	}
	c.packet[0].data[16] = (uint8_t)((payload + 40) >> 8);
	c.packet[0].data[17] = (uint8_t)(payload + 40);
	seed(c.packet[0].data, tso ? 0 : payload + 20);
	c.packet[0].slot.flags |= PS_F_CSUM_IP;
	c.packet[0].slot.flags |= tso ? PS_F_TSO : PS_F_CSUM_TCP;
	c.packet[0].slot.l2_len = 14;
	c.packet[0].slot.l3_len = 20;
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
	if (send_tcp(h, 200, 0) < 0 || send_tcp(h, 5000, 1) < 0)
		return 1;
	sleep(1);
	printf("offload: bad %llu\n",
	       (unsigned long long)ps_counters(h)->bad_slots);
	ps_detach_queue(h);
	return 0;
}
