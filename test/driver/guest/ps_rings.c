/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/* ps_rings.c PATH QUEUE - attach a queue and let it go: what does it say? */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libps/ps.h"

int main(int argc, char **argv)
{
	struct ps_attach a = { 0 };
	struct ps_handle *h;
	int r;

	if (argc != 3)
		return 2;
	a.queue = (unsigned int)atoi(argv[2]);
	r = ps_attach_queue(&h, argv[1], &a);
	if (r < 0) {
		printf("rings: %s\n", ps_explain(r));
		return 1;
	}
	ps_detach_queue(h);
	return 0;
}
