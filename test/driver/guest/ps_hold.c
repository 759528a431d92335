/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/* ps_hold.c PATH SECONDS - own queue 0, read nothing, then count all */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "libps/ps.h"

int main(int argc, char **argv)
{
	static struct ps_chunk c;
	struct ps_attach a = { .rx_slots = 128 };
	struct ps_handle *h;
	unsigned long frames = 0;

	if (argc != 3 || ps_attach_queue(&h, argv[1], &a) < 0)
		return 1;
	printf("hold: ready\n");
	fflush(stdout);
	sleep((unsigned int)atoi(argv[2]));
	while (ps_recv_chunk(h, &c, PS_CHUNK_MAX) > 0)
		frames += c.count;
	printf("hold: received %lu dropped %llu\n", frames,
	       (unsigned long long)ps_counters(h)->rx_dropped);
	ps_detach_queue(h);
	return 0;
}
