/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * ps_fuzz.c - a hostile user of the contract: random ioctls, rings, indexes
 *
 * Attaches, maps, then writes random values all over the head and the rings
 * between random calls; attaches again when the kernel has stopped the queue.
 * Whatever happens, the kernel must live: the test looks at its log.
 *
 * Use: ps_fuzz PATH ROUNDS SEED
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ps_ixgbe/ps_ring.h"

static uint32_t state;

static uint32_t rnd(uint32_t below)
{
	state = state * 1664525u + 1013904223u;
	return (state >> 8) % below;
}

struct victim {
	int fd;
	struct ps_attach a;
	uint8_t *head;
};

static int attach(struct victim *v, const char *path)
{
	v->fd = open(path, O_RDWR);
	v->a = (struct ps_attach){ .version = PS_UAPI_VERSION,
		.queue = 0, .rx_slots = 64, .tx_slots = 64, .extra = 64 };
	if (v->fd < 0 || ioctl(v->fd, PS_IOC_ATTACH, &v->a) < 0)
		return -1;
	v->head = mmap(NULL, v->a.head_bytes, PROT_READ | PROT_WRITE,
		       MAP_SHARED, v->fd, 0);
	return v->head == MAP_FAILED ? -1 : 0;
}

/* Random slots and a plausible step of a count, so that they are looked at. */
static void hostile_ring(struct victim *v)
{
	uint32_t i = rnd(PS_RINGS), n = rnd(80);
	struct ps_ring_shared *r = &((struct ps_head *)v->head)->ring[i];
	struct ps_slot *s = (void *)(v->head + v->a.slots_offset);

	s += (size_t)i * v->a.ring_slots;
	for (uint32_t k = 0; k < n; k++) {
		struct ps_slot *t = &s[(r->tail + k) % v->a.ring_slots];

		for (size_t b = 0; b < sizeof(*t); b++)
			((uint8_t *)t)[b] = (uint8_t)rnd(256);
		if (rnd(4))
			t->buf = rnd(v->a.buffers + 4);
		if (rnd(4))
			t->len = (uint16_t)rnd(PS_BUF_BYTES + 8);
	}
	if (i == PS_RING_FILL || i == PS_RING_TX)
		r->tail += n;
	else
		r->head = r->tail;
	if (!rnd(64))
		r->tail = rnd(~0u);
	if (!rnd(64))
		r->head = rnd(~0u);
}

static void hostile_call(struct victim *v)
{
	uint8_t junk[256];
	struct pollfd p = { v->fd, POLLIN | POLLOUT | POLLPRI, 0 };
	size_t bytes = 4096u * (1 + rnd(300));
	void *m;

	for (size_t i = 0; i < sizeof(junk); i++)
		junk[i] = (uint8_t)rnd(256);
	switch (rnd(6)) {
	case 0:
		ioctl(v->fd, rnd(~0u), junk);
		break;
	case 1:
		ioctl(v->fd, _IOC(rnd(4), 'p', 0xa0 + rnd(8), rnd(80)), junk);
		break;
	case 2:
		ioctl(v->fd, PS_IOC_ATTACH, rnd(2) ? (void *)junk : NULL);
		break;
	case 3:
		poll(&p, 1, 0);
		break;
	case 4:
		m = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			 rnd(8) ? MAP_SHARED : MAP_PRIVATE, v->fd,
			 (off_t)(rnd(2) ? PS_MAP_BUFFERS : rnd(4) * 4096u));
		if (m != MAP_FAILED)
			munmap(m, bytes);
		break;
	default:
		ioctl(v->fd, PS_IOC_RSS, junk);
	}
}

int main(int argc, char **argv)
{
	struct victim v = { .fd = -1 };
	struct ps_sync s;
	long rounds = argc > 2 ? atol(argv[2]) : 1000, broken = 0, bad = 0;

	state = argc > 3 ? (uint32_t)atoi(argv[3]) : 1;
	if (argc < 2 || attach(&v, argv[1]) < 0) {
		perror("ps_fuzz: attach");
		return 1;
	}
	for (long i = 0; i < rounds; i++) {
		hostile_ring(&v);
		if (!rnd(8))
			hostile_call(&v);
		if (ioctl(v.fd, PS_IOC_SYNC, &s) == 0)
			continue;
		broken++;
		bad += (long)(((struct ps_head *)v.head)->bad_slots & 0xffffff);
		munmap(v.head, v.a.head_bytes);
		if (rnd(2))
			ioctl(v.fd, PS_IOC_DETACH);
		close(v.fd);
		if (attach(&v, argv[1]) < 0) {
			perror("ps_fuzz: attach again");
			return 1;
		}
	}
	printf("ps_fuzz: %ld rounds, %ld queues stopped, %ld bad slots\n",
	       rounds, broken, bad);
	return 0;
}
