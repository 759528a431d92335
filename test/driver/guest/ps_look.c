/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/* ps_look.c PATH SECONDS [strip] - receive by looking only, never sleeping */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

#include "libps/ps.h"

static void never_writable(int fd)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		       (off_t)PS_MAP_DESCRIPTORS);

	if (p != MAP_FAILED || errno != EACCES)
		printf("look: the chip's ring was mapped to write\n");
	p = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd,
		 (off_t)PS_MAP_DESCRIPTORS);
	if (p == MAP_FAILED)
		printf("look: the chip's ring cannot be seen\n");
	else if (mprotect(p, 4096, PROT_READ | PROT_WRITE) == 0)
		printf("look: the chip's ring became writable\n");
	else
		munmap(p, 4096);
}

int main(int argc, char **argv)
{
	static struct ps_chunk c;
	struct ps_attach a = { .flags = argc > 3 ? PS_ATTACH_VLAN : 0 };
	unsigned long looks = 0, frames = 0;
	struct ps_handle *h;
	time_t end;
	int n;

	if (argc < 3 || ps_attach_queue(&h, argv[1], &a) < 0)
		return 1;
	never_writable(ps_fd(h));
	printf("look: ready\n");
	fflush(stdout);
	end = time(NULL) + atoi(argv[2]);
	while (time(NULL) < end) {
		n = ps_recv_chunk(h, &c, PS_CHUNK_MAX);
		if (n < 0)
			return 1;
		looks++;
		frames += (unsigned long)n;
		for (int i = 0; i < n; i++)
			if (c.packet[i].slot.flags & PS_F_VLAN)
				printf("look: tag %04x length %u\n",
				       c.packet[i].slot.vlan,
				       c.packet[i].slot.len);
		/* back they go, the tag with them */
		while (c.count)
			if (ps_send_chunk(h, &c) < 0)
				return 1;
	}
	printf("look: frames %lu looks %lu calls %llu\n", frames, looks,
	       (unsigned long long)ps_calls(h));
	ps_detach_queue(h);
	return 0;
}
