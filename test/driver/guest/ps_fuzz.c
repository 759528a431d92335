/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * ps_fuzz.c - a hostile user of the contract: random ioctls, rings, indexes
 *
 * Attaches, maps, then writes random values all over the head and the rings
 * between random calls; attaches again when the kernel has stopped the queue.
 * Whatever happens, the kernel must live: the test looks at its log.  Where
 * the time goes is said at the end, calls of each kind and the slowest.
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
#include <time.h>
#include <unistd.h>

#include "ps_ixgbe/ps_ring.h"

static uint32_t state;

static uint32_t rnd(uint32_t below)
{
	state = state * 1664525u + 1013904223u;
	return (state >> 8) % below;
}

enum kind { ATTACHING, CALLING, SYNCING, LEAVING, KINDS };
static const char *const kind_names[KINDS] = { "attach", "call", "sync",
	"leave" };
#define REGION_BYTES	(2ul * PS_REGION_STEP)
static uint8_t *region_memory;	/* REGION_BYTES, of which the first half is */
static struct { double all, most; long n; } spent[KINDS];

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void spend(enum kind k, double since)
{
	double took = now() - since;

	spent[k].all += took;
	spent[k].most = took > spent[k].most ? took : spent[k].most;
	spent[k].n++;
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
		if (k && !rnd(3)) {	/* a region's that may be there */
			t->flags |= PS_F_REGION;
			t->flags &= (uint16_t)~PS_F_SLOW;
			t->hash = rnd(8);
			t->buf = rnd(PS_REGION_STEP + 4096);
			t->off = 0;
		}
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

/* Most maps are good ones, so that there is something to be refused. */
static void hostile_map(struct victim *v)
{
	struct ps_map m = { .addr = (uintptr_t)region_memory,
		.bytes = PS_REGION_STEP };

	if (rnd(3) == 0) {
		ioctl(v->fd, PS_IOC_UNMAP, rnd(8) ? rnd(12) : rnd(~0u));
		return;
	}
	if (!rnd(4))
		m.addr += rnd(2) ? PS_REGION_STEP : rnd(~0u);
	if (!rnd(4))
		m.bytes = rnd(2) ? 2 * PS_REGION_STEP : rnd(~0u);
	if (!rnd(8))
		madvise(region_memory, PS_REGION_STEP, MADV_DONTNEED);
	ioctl(v->fd, PS_IOC_MAP, &m);
}

static void hostile_call(struct victim *v)
{
	uint8_t junk[256];
	struct pollfd p = { v->fd, POLLIN | POLLOUT | POLLPRI, 0 };
	size_t bytes = 4096u * (1 + rnd(300));
	void *m;

	for (size_t i = 0; i < sizeof(junk); i++)
		junk[i] = (uint8_t)rnd(256);
	switch (rnd(8)) {
	case 6:
	case 7:
		hostile_map(v);
		break;
	case 0:
		ioctl(v->fd, rnd(~0u), junk);
		break;
	case 1:
		ioctl(v->fd, _IOC(rnd(4), 'p', 0xa0 + rnd(10), rnd(80)), junk);
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

static void leave(struct victim *v)
{
	double t = now();

	munmap(v->head, v->a.head_bytes);
	if (rnd(2))
		ioctl(v->fd, PS_IOC_DETACH);
	close(v->fd);
	spend(LEAVING, t);
}

/* One round; false when the kernel has stopped the queue. */
static int attack(struct victim *v)
{
	struct ps_sync s;
	double t;
	int r;

	hostile_ring(v);
	if (!rnd(8)) {
		t = now();
		hostile_call(v);
		spend(CALLING, t);
	}
	t = now();
	r = ioctl(v->fd, PS_IOC_SYNC, &s);
	spend(SYNCING, t);
	return r == 0;
}

static int attach_again(struct victim *v, const char *path)
{
	double t = now();
	int r = attach(v, path);

	spend(ATTACHING, t);
	if (r < 0)
		perror("ps_fuzz: attach");
	return r;
}

int main(int argc, char **argv)
{
	struct victim v = { .fd = -1 };
	long rounds = argc > 2 ? atol(argv[2]) : 1000, broken = 0, bad = 0;

	state = argc > 3 ? (uint32_t)atoi(argv[3]) : 1;
	region_memory = mmap(NULL, 2 * REGION_BYTES, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (region_memory == MAP_FAILED)
		return 1;
	region_memory += -(uintptr_t)region_memory & (PS_REGION_STEP - 1);
	mprotect(region_memory + PS_REGION_STEP, PS_REGION_STEP, PROT_NONE);
	if (argc < 2 || attach_again(&v, argv[1]) < 0)
		return 1;
	for (long i = 0; i < rounds; i++) {
		if (attack(&v))
			continue;
		broken++;
		bad += (long)(((struct ps_head *)v.head)->bad_slots & 0xffffff);
		leave(&v);
		if (attach_again(&v, argv[1]) < 0)
			return 1;
	}
	printf("ps_fuzz: %ld rounds, %ld queues stopped, %ld bad slots; ms",
	       rounds, broken, bad);
	for (int k = 0; k < KINDS; k++)
		printf(", %s %.0f in %ld, most %.1f", kind_names[k],
		       spent[k].all * 1e3, spent[k].n, spent[k].most * 1e3);
	putchar('\n');
	return 0;
}
