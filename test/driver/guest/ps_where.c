/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * ps_where.c - where the memory of a port's first queue lies
 *
 * Use: ps_where PATH
 *
 * Says the port's NUMA node, on which node each page of the buffers is, and how
 * many of them are parts of whole, aligned 2 MiB pieces.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "libps/ps.h"

#define PAGE	4096u
#define PIECE	512u			/* pages of 2 MiB */
#define PAGES	(16u * PIECE)

static int node[PAGES];
static uint64_t frame[PAGES];

/* Page frame numbers of [at, at + n pages); 0 or -1. */
static int read_frames(const uint8_t *at, unsigned int n)
{
	int fd = open("/proc/self/pagemap", O_RDONLY);
	off_t from = (off_t)((uintptr_t)at / PAGE * sizeof(*frame));
	ssize_t want = (ssize_t)(n * sizeof(*frame));
	ssize_t got = fd < 0 ? -1 : pread(fd, frame, (size_t)want, from);

	if (fd >= 0)
		close(fd);
	for (unsigned int i = 0; i < n; i++)
		frame[i] &= (1ull << 55) - 1;
	return got == want ? 0 : -1;
}

static unsigned int whole_pieces(unsigned int n)
{
	unsigned int whole = 0;

	for (unsigned int i = 0; i + PIECE <= n; i += PIECE) {
		unsigned int k = 0;

		while (k < PIECE && frame[i + k] == frame[i] + k)
			k++;
		whole += k == PIECE && frame[i] && frame[i] % PIECE == 0;
	}
	return whole;
}

int main(int argc, char **argv)
{
	/* 16 MiB: 64 + 64 + 8064 buffers of 2 KiB */
	struct ps_attach a = { .rx_slots = 64, .tx_slots = 64, .extra = 8064 };
	struct ps_info info = { .version = PS_UAPI_VERSION };
	unsigned int n = 8192 * PS_BUF_BYTES / PAGE, on[4] = { 0 };
	void *pages[PAGES];
	struct ps_handle *h;
	int r;

	if (argc != 2)
		return 2;
	r = ps_attach_queue(&h, argv[1], &a);
	if (r < 0 || ioctl(ps_fd(h), PS_IOC_INFO, &info) < 0) {
		printf("where: %s\n", ps_explain(r));
		return 1;
	}
	for (unsigned int i = 0; i < n; i++)
		pages[i] = ps_buffer(h, 0) + (size_t)i * PAGE;
	if (syscall(SYS_move_pages, 0, (unsigned long)n, pages, NULL, node, 0) ||
	    read_frames(pages[0], n) < 0) {
		perror("where");
		return 1;
	}
	for (unsigned int i = 0; i < n; i++)
		if (node[i] >= 0 && node[i] < 4)
			on[node[i]]++;
	printf("where: port on node %d; pages on node 0: %u, on node 1: %u, "
	       "of %u; whole pieces of 2 MiB: %u of %u\n", (int)info.numa_node,
	       on[0], on[1], n, whole_pieces(n), n / PIECE);
	ps_detach_queue(h);
	return 0;
}
