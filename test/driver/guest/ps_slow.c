/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/* ps_slow.c PATH SECONDS - give all that comes to the kernel's xgeN */
#include <stdio.h>
#include <stdlib.h>

#include "libps/ps.h"

int main(int argc, char **argv)
{
	static struct ps_chunk c;
	struct ps_attach a = { 0 };
	struct ps_handle *h;

	if (argc != 3 || ps_attach_queue(&h, argv[1], &a) < 0)
		return 1;
	printf("slow: ready\n");
	fflush(stdout);
	while (ps_select(&h, 1, -1, 1000 * atoi(argv[2])) > 0) {
		if (ps_recv_chunk(h, &c, PS_CHUNK_MAX) < 0)
			return 1;
		for (uint32_t i = 0; i < c.count; i++)
			c.packet[i].slot.flags &= PS_F_MORE;
		while (c.count)
			if (ps_slowpath_chunk(h, &c) < 0)
				return 1;
	}
	printf("slow: %llu frames\n",
	       (unsigned long long)ps_counters(h)->slow_frames);
	ps_detach_queue(h);
	return 0;
}
