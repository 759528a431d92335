/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/* ps_throttle.c PATH BUS - the interval of queue 0's interrupt after one frame
 * and after many, each as it stands when the queue falls asleep */
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "libps/ps.h"

static struct ps_handle *h;

/* Waits for frames, takes all, falls asleep again. */
static unsigned long take(void)
{
	static struct ps_chunk c;
	struct pollfd p = { .fd = ps_fd(h), .events = POLLIN };
	unsigned long n = 0;

	if (poll(&p, 1, 5000) <= 0)
		return 0;
	while (ps_recv_chunk(h, &c, PS_CHUNK_MAX) > 0) {
		n += c.count;
		ps_free_chunk(h, &c);
	}
	poll(&p, 1, 0);
	return n;
}

int main(int argc, char **argv)
{
	struct ps_attach a = { .queue = 0 };
	volatile uint32_t *bar;
	unsigned long n;
	char path[128];

	if (argc != 3 || ps_attach_queue(&h, argv[1], &a) < 0)
		return 1;
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/resource0",
		 argv[2]);
	bar = mmap(NULL, 1 << 17, PROT_READ | PROT_WRITE, MAP_SHARED,
		   open(path, O_RDWR), 0);
	if (bar == MAP_FAILED)
		return 1;
	for (int i = 0; i < 2; i++) {
		printf("throttle: ready\n");
		fflush(stdout);
		sleep(i ? 1 : 0);	/* the second time many gather */
		n = take();
		printf("throttle: %lu frames %u us\n", n,
		       (bar[0x820 / 4] >> 3 & 0x1ff) * 2);
	}
	ps_detach_queue(h);
	return 0;
}
