/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * rxdump.c - print what a queue receives
 *
 * Use: rxdump PATH QUEUE COUNT
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../libps/ps.h"

static void print_packet(const struct ps_packet *p)
{
	printf("len %u flags %04x hash %08x:", p->slot.len, p->slot.flags,
	       p->slot.hash);
	for (int i = 0; i < p->slot.len && i < 32; i++)
		printf("%s%02x", i % 4 ? "" : " ", p->data[i]);
	putchar('\n');
}

int main(int argc, char **argv)
{
	static struct ps_chunk c;
	struct ps_attach a = { .flags = PS_ATTACH_PROMISC };
	struct ps_handle *h;
	int r, left;

	if (argc != 4) {
		fprintf(stderr, "use: rxdump PATH QUEUE COUNT\n");
		return 2;
	}
	a.queue = (uint32_t)atoi(argv[2]);
	left = atoi(argv[3]);
	r = ps_attach_queue(&h, argv[1], &a);
	while (r >= 0 && left > 0) {
		ps_select(&h, 1, -1, -1);
		r = ps_recv_chunk(h, &c, (uint32_t)left);
		for (int i = 0; i < r; i++)
			print_packet(&c.packet[i]);
		left -= r > 0 ? r : 0;
		ps_free_chunk(h, &c);
	}
	if (r < 0)
		fprintf(stderr, "rxdump: %s: %s\n", argv[1], ps_explain(r));
	return r < 0;
}
