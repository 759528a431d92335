// SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause
#include "ps_fake.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE	4096u
#define OF_REGION 0x80000000u	/* in out[]: with the region's number */
#define OUT(f)	((f)->a.buffers * PS_FRAGS_MAX)

struct fake fakes[FAKES];
int maps;

int __real_open(const char *path, int flags, ...);
int __real_close(int fd);
int __real_ioctl(int fd, unsigned long cmd, ...);
void *__real_mmap(void *at, size_t n, int prot, int flags, int fd, off_t off);
int __real_munmap(void *at, size_t n);
int __wrap_open(const char *path, int flags, ...);
int __wrap_close(int fd);
int __wrap_ioctl(int fd, unsigned long cmd, ...);
void *__wrap_mmap(void *at, size_t n, int prot, int flags, int fd, off_t off);
int __wrap_munmap(void *at, size_t n);

static struct fake *of_fd(int fd)
{
	for (int i = 0; i < FAKES; i++)
		if (fakes[i].open && fakes[i].fd == fd)
			return &fakes[i];
	return NULL;
}

static void *zeroed(size_t n, size_t size)
{
	void *p = calloc(n, size);

	if (!p)
		abort();
	return p;
}

static void forget(struct fake *f)
{
	if (f->attached) {
		free(f->owners.owner);
		free(f->held);
		free(f->lengths);
		free(f->out);
		__real_munmap(f->head, f->a.head_bytes);
		__real_munmap(f->buffers, (size_t)f->a.buffers * PS_BUF_BYTES);
		__real_munmap(f->descriptors, f->a.rx_slots * 16u);
	}
	f->attached = false;
}

void fake_reset(void)
{
	for (int i = 0; i < FAKES; i++) {
		forget(&fakes[i]);
		memset(&fakes[i], 0, sizeof(fakes[i]));
	}
}

int __wrap_open(const char *path, int flags, ...)
{
	unsigned int n;

	if (sscanf(path, "/dev/ps/fake%u", &n) != 1 || n >= FAKES)
		return __real_open(path, flags, 0600);
	if (fakes[n].open) {
		errno = EBUSY;
		return -1;
	}
	fakes[n].fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	fakes[n].open = true;
	return fakes[n].fd;
}

int __wrap_close(int fd)
{
	struct fake *f = of_fd(fd);

	if (f) {
		forget(f);
		f->open = false;
	}
	return __real_close(fd);
}

static void *pages(size_t n)
{
	void *p = __real_mmap(NULL, n, PROT_READ | PROT_WRITE,
			      MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		abort();
	return p;
}

/* As ps_queue_attach() of the module. */
static int attach(struct fake *f, struct ps_attach *a)
{
	if (f->attach_error || f->attached || a->version != PS_UAPI_VERSION)
		return f->attach_error ? f->attach_error : EBUSY;
	a->buffers = a->rx_slots + a->tx_slots + a->extra;
	for (a->ring_slots = 1; a->ring_slots < a->buffers + PS_FRAGS_MAX;)
		a->ring_slots *= 2;
	a->slots_offset = PAGE;
	a->head_bytes = PAGE + PS_RINGS * a->ring_slots *
		(uint32_t)sizeof(struct ps_slot);
	a->head_bytes = (a->head_bytes + PAGE - 1) / PAGE * PAGE;
	f->a = *a;
	f->head = pages(a->head_bytes);
	f->buffers = pages((size_t)a->buffers * PS_BUF_BYTES);
	f->descriptors = pages(a->rx_slots * 16u);
	f->owners = (struct ps_owners){ zeroed(a->buffers, 1), a->buffers };
	f->held = zeroed(a->rx_slots, sizeof(*f->held));
	f->lengths = zeroed(a->rx_slots, sizeof(*f->lengths));
	f->out = zeroed(OUT(f), sizeof(*f->out));
	f->regions = (struct ps_regions){ f->region, FAKE_REGIONS + 1 };
	for (uint32_t i = 0; i < PS_RINGS; i++)
		f->ring[i] = (struct ps_ring){ &f->head->ring[i],
			(struct ps_slot *)((uint8_t *)f->head + PAGE) +
				i * a->ring_slots, a->ring_slots - 1, 0 };
	f->fill = f->next = f->came = f->out_first = f->out_count = 0;
	for (uint32_t b = 0; b < a->rx_slots - 1; b++) {
		ps_take(&f->owners, b, PS_RECEIVER);
		f->held[f->fill++] = b;
	}
	f->head->state = PS_STATE_UP;
	f->attached = true;
	return 0;
}

bool fake_arrive(struct fake *f, const void *data, uint32_t bytes)
{
	uint32_t at = f->came & (f->a.rx_slots - 1);
	uint64_t one = 1;

	if (f->came == f->fill) {
		f->head->rx_dropped++;
		return false;
	}
	memcpy(f->buffers + (size_t)f->held[at] * PS_BUF_BYTES, data, bytes);
	f->lengths[at] = bytes;
	__atomic_store_n(&f->descriptors[at * 4 + 2], PS_DESC_DONE,
			 __ATOMIC_RELEASE);
	f->came++;
	return write(f->fd, &one, sizeof(one)) == sizeof(one);
}

static void take_filled(struct fake *f)
{
	struct ps_ring *r = &f->ring[PS_RING_FILL];
	int waiting = ps_ring_peek(r);
	uint32_t n = 0;

	f->wrong += waiting < 0;
	for (; (int)n < waiting && f->fill - f->next < f->a.rx_slots - 1; n++) {
		uint32_t b = ps_ring_at(r, n)->buf;

		if (ps_take(&f->owners, b, PS_RECEIVER) < 0)
			f->wrong++;
		else
			f->held[f->fill++ & (f->a.rx_slots - 1)] = b;
	}
	if (n)
		ps_ring_release(r, n);
}

static void harvest(struct fake *f)
{
	struct ps_ring *r = &f->ring[PS_RING_RX];
	int space = ps_ring_space(r);
	uint32_t n = 0;

	f->wrong += space < 0;
	for (; (int)n < space && n < PS_CHUNK_MAX && f->next != f->came; n++) {
		uint32_t at = f->next++ & (f->a.rx_slots - 1);

		f->descriptors[at * 4 + 2] = 0;
		f->wrong += ps_give(&f->owners, f->held[at], PS_RECEIVER) < 0;
		*ps_ring_at(r, n) = (struct ps_slot){ .buf = f->held[at],
			.len = (uint16_t)f->lengths[at] };
	}
	if (n)
		ps_ring_submit(r, n);
	f->head->rx_next = f->next;
}

static void transmit(struct fake *f)
{
	struct ps_slot s[PS_FRAGS_MAX];
	struct ps_ring *r = &f->ring[PS_RING_TX];
	int n;

	while (!f->full && (n = ps_frame_copy(r, ps_ring_peek(r), 9728, s)) != 0) {
		ps_ring_release(r, (uint32_t)(n < 0 ? -n : n));
		f->wrong += n < 0;
		for (int i = 0; i < n; i++) {
			bool lent = s[i].flags & PS_F_REGION;

			f->wrong += (lent ? ps_region_take(&f->regions, &s[i]) :
				ps_take(&f->owners, s[i].buf, PS_SENDER)) < 0;
			f->out[(f->out_first + f->out_count++) % OUT(f)] =
				lent ? OF_REGION | s[i].hash : s[i].buf;
		}
		if (n > 0 && s[0].flags & PS_F_SLOW)
			f->slow++;
		else if (n > 0 && f->sent)
			f->sent(f, s, n);
	}
}

static void give_back(struct fake *f)
{
	struct ps_ring *r = &f->ring[PS_RING_DONE];
	int space = ps_ring_space(r);
	uint32_t n = 0;

	f->wrong += space < 0;
	while (!f->holds && f->out_count && (int)n < space) {
		uint32_t b = f->out[f->out_first++ % OUT(f)];

		f->out_count--;
		if (b & OF_REGION) {
			ps_region_give(&f->regions, b & ~OF_REGION);
			continue;
		}
		f->wrong += ps_give(&f->owners, b, PS_SENDER) < 0;
		*ps_ring_at(r, n++) = (struct ps_slot){ .buf = b };
	}
	if (n)
		ps_ring_submit(r, n);
}

static int sync_queue(struct fake *f)
{
	uint64_t count;

	f->syncs++;
	if (!f->attached || f->sync_error)
		return f->attached ? f->sync_error : ENXIO;
	take_filled(f);
	harvest(f);
	transmit(f);
	give_back(f);
	if (f->next == f->came)
		(void)!read(f->fd, &count, sizeof(count));
	return 0;
}

static int map_region(struct fake *f, struct ps_map *m)
{
	uint32_t i = 1;

	if (f->region_error || !f->attached)
		return f->region_error ? f->region_error : ENXIO;
	if (!m->bytes || (m->addr | m->bytes) % PS_REGION_STEP)
		return EINVAL;
	while (i <= FAKE_REGIONS && f->region[i])
		i++;
	if (i > FAKE_REGIONS)
		return ENOSPC;
	f->memory[i] = (struct ps_region){ m->bytes, f->unit_log2, 0 };
	f->region[i] = &f->memory[i];
	f->region_at[i] = (const uint8_t *)(uintptr_t)m->addr;
	m->region = i;
	m->unit = 1u << f->unit_log2;
	return 0;
}

static int unmap_region(struct fake *f, uintptr_t number)
{
	if (number > FAKE_REGIONS || !f->region[number])
		return EINVAL;
	if (f->region[number]->sending)
		return EBUSY;
	f->region[number] = NULL;
	return 0;
}

static int device_call(struct fake *f, unsigned long cmd, void *arg)
{
	if (f->interrupt > 0) {
		f->interrupt--;
		return EINTR;
	}
	switch (cmd) {
	case PS_IOC_ATTACH:
		return attach(f, arg);
	case PS_IOC_SYNC:
		return sync_queue(f);
	case PS_IOC_EVENT:
		*(struct ps_event *)arg = (struct ps_event){ f->head->state,
			f->head->link_mbps };
		return 0;
	case PS_IOC_RSS:
		memcpy(f->key, arg, sizeof(f->key));
		return 0;
	case PS_IOC_MAP:
		return map_region(f, arg);
	case PS_IOC_UNMAP:
		return unmap_region(f, (uintptr_t)arg);
	case PS_IOC_DETACH:
		f->sync_error = ENXIO;
		return 0;
	default:
		return ENOTTY;
	}
}

int __wrap_ioctl(int fd, unsigned long cmd, ...)
{
	struct fake *f = of_fd(fd);
	va_list list;
	void *arg;
	int e;

	va_start(list, cmd);
	arg = va_arg(list, void *);
	va_end(list);
	if (!f)
		return __real_ioctl(fd, cmd, arg);
	e = device_call(f, cmd, arg);
	if (e)
		errno = e;
	return e ? -1 : 0;
}

void *__wrap_mmap(void *at, size_t n, int prot, int flags, int fd, off_t off)
{
	struct fake *f = of_fd(fd);

	if (!f)
		return __real_mmap(at, n, prot, flags, fd, off);
	if ((f->map_fails && --f->map_fails == 0) ||
	    (f->copies && off == (off_t)PS_MAP_DESCRIPTORS)) {
		errno = f->copies ? EOPNOTSUPP : ENOMEM;
		return MAP_FAILED;
	}
	maps++;
	if (off == 0)
		return f->head;
	return off == (off_t)PS_MAP_BUFFERS ? (void *)f->buffers :
					      (void *)f->descriptors;
}

int __wrap_munmap(void *at, size_t n)
{
	(void)at;
	(void)n;
	maps--;
	return 0;
}

uint32_t fake_users(const struct fake *f)
{
	uint32_t n = 0;

	for (uint32_t b = 0; b < f->owners.count; b++)
		n += f->owners.owner[b] == PS_USER;
	return n;
}
