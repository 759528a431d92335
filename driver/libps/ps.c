// SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause
#include "ps.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../ps_ixgbe/ps_ring.h"

struct ps_handle {
	int fd;
	struct ps_attach a;
	struct ps_head *head;
	uint8_t *buffers;
	const uint32_t *descriptors;	/* the chip's, or NULL */
	uint32_t fed;		/* buffers that the receiver has, or will */
	uint32_t sending;	/* buffers put and not returned */
	uint32_t looks;		/* since the last call */
	struct ps_ring ring[PS_RINGS];
	uint32_t *idle;		/* buffers that are ours and empty */
	uint32_t idle_count;
	uint32_t reserved;	/* the first of the caller's own */
	uint32_t *back;		/* of those: sent */
	uint32_t back_count;
	uint64_t calls;
};

static int call(int fd, unsigned long cmd, void *arg)
{
	int r;

	do
		r = ioctl(fd, cmd, arg);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : r;
}

int ps_list_devices(struct ps_device *devices, int max)
{
	glob_t g;
	int n = 0, r, first = 0;

	if (glob("/dev/ps/*", 0, NULL, &g) != 0)
		return 0;
	for (size_t i = 0; i < g.gl_pathc && n < max; i++) {
		struct ps_device *d = &devices[n];
		int fd = open(g.gl_pathv[i], O_RDWR | O_CLOEXEC);

		snprintf(d->path, sizeof(d->path), "%s", g.gl_pathv[i]);
		d->info.version = PS_UAPI_VERSION;
		r = fd < 0 ? -errno : call(fd, PS_IOC_INFO, &d->info);
		if (r == 0)
			n++;
		else if (!first)
			first = r;
		if (fd >= 0)
			close(fd);
	}
	globfree(&g);
	return n ? n : first;
}

#define DESC_BYTES	16u
#define DESC_WORDS	(DESC_BYTES / sizeof(uint32_t))
#define LOOKS_MAX	64u	/* without a call while something is sent */

static void *map(int fd, size_t bytes, unsigned long offset)
{
	int prot = offset == PS_MAP_DESCRIPTORS ? PROT_READ :
		PROT_READ | PROT_WRITE;
	void *p = mmap(NULL, bytes, prot, MAP_SHARED, fd, (off_t)offset);

	return p == MAP_FAILED ? NULL : p;
}

static void set_up_rings(struct ps_handle *h)
{
	uint8_t *slots = (uint8_t *)h->head + h->a.slots_offset;

	for (uint32_t i = 0; i < PS_RINGS; i++) {
		h->ring[i].shared = &h->head->ring[i];
		h->ring[i].slots = (void *)(slots + (size_t)i *
			h->a.ring_slots * sizeof(struct ps_slot));
		h->ring[i].mask = h->a.ring_slots - 1;
	}
	for (uint32_t b = h->a.rx_slots - 1; b < h->a.buffers; b++)
		h->idle[h->idle_count++] = b;
	h->reserved = h->a.buffers;
	h->fed = h->a.rx_slots - 1;
}

int ps_attach_queue(struct ps_handle **out, const char *path,
		    const struct ps_attach *a)
{
	struct ps_handle *h = calloc(1, sizeof(*h));
	int r;

	if (!h)
		return -ENOMEM;
	h->a = *a;
	h->a.version = PS_UAPI_VERSION;
	h->a.rx_slots = a->rx_slots ? a->rx_slots : 512;
	h->a.tx_slots = a->tx_slots ? a->tx_slots : 512;
	h->a.extra = a->extra ? a->extra : 1024;
	h->fd = open(path, O_RDWR | O_CLOEXEC);
	r = h->fd < 0 ? -errno : call(h->fd, PS_IOC_ATTACH, &h->a);
	if (r < 0)
		goto fail;
	h->head = map(h->fd, h->a.head_bytes, 0);
	h->buffers = map(h->fd, (size_t)h->a.buffers * PS_BUF_BYTES,
			 PS_MAP_BUFFERS);
	h->descriptors = map(h->fd, h->a.rx_slots * DESC_BYTES,
			     PS_MAP_DESCRIPTORS);
	h->idle = calloc(h->a.buffers, sizeof(*h->idle));
	r = -ENOMEM;
	if (!h->head || !h->buffers || !h->idle)
		goto fail;
	set_up_rings(h);
	*out = h;
	return 0;
fail:
	ps_detach_queue(h);
	return r;
}

void ps_detach_queue(struct ps_handle *h)
{
	if (h->head)
		munmap(h->head, h->a.head_bytes);
	if (h->buffers)
		munmap(h->buffers, (size_t)h->a.buffers * PS_BUF_BYTES);
	if (h->descriptors)
		munmap((void *)(uintptr_t)h->descriptors,
		       h->a.rx_slots * DESC_BYTES);
	if (h->fd >= 0)
		close(h->fd);
	free(h->idle);
	free(h->back);
	free(h);
}

static int sync_rings(struct ps_handle *h)
{
	struct ps_sync s;

	h->calls++;
	h->looks = 0;
	return call(h->fd, PS_IOC_SYNC, &s);
}

void ps_give_back(struct ps_handle *h, uint32_t buf)
{
	if (buf < h->reserved)
		h->idle[h->idle_count++] = buf;
	else
		h->back[h->back_count++] = buf;
}

/* Sent buffers become idle again, or the caller's. */
static void take_done(struct ps_handle *h)
{
	struct ps_ring *r = &h->ring[PS_RING_DONE];
	int n = ps_ring_peek(r);

	for (int i = 0; i < n; i++)
		ps_give_back(h, ps_ring_at(r, (uint32_t)i)->buf);
	if (n > 0) {
		ps_ring_release(r, (uint32_t)n);
		h->sending -= (uint32_t)n;
	}
}

static uint8_t *data_of(const struct ps_handle *h, uint32_t buf)
{
	return h->buffers + (size_t)buf * PS_BUF_BYTES;
}

/* Keeps the receiver fed from idle buffers; some stay for sending chunks.  What
 * it cannot hold would lie on the ring until the next call, which nobody makes
 * when the receiver has run dry meanwhile. */
static void feed(struct ps_handle *h)
{
	struct ps_ring *r = &h->ring[PS_RING_FILL];
	uint32_t floor = h->back ? 0 : h->a.tx_slots / 2, n = 0;
	uint32_t room = h->a.rx_slots - 1 - h->fed;
	int space = ps_ring_space(r);

	while ((int)n < space && n < room && n < PS_CHUNK_MAX &&
	       h->idle_count > floor) {
		struct ps_slot s = { .buf = h->idle[--h->idle_count] };

		*ps_ring_at(r, n++) = s;
	}
	if (n)
		ps_ring_submit(r, n);
	h->fed += n;
}

bool ps_waiting(const struct ps_handle *h)
{
	uint32_t at = h->head->rx_next & (h->a.rx_slots - 1);

	if (ps_ring_peek(&h->ring[PS_RING_RX]) || !h->descriptors ||
	    h->head->state != PS_STATE_UP)
		return true;
	return __atomic_load_n(&h->descriptors[at * DESC_WORDS + 2],
			       __ATOMIC_ACQUIRE) & PS_DESC_DONE;
}

/* Must the kernel be called although nothing came: to feed the receiver, to
 * have sent buffers back? */
static bool upkeep_due(struct ps_handle *h)
{
	if (h->fed < h->a.rx_slots - h->a.rx_slots / 4)
		return true;
	return h->sending >= h->a.tx_slots / 4 ||
		(h->sending && ++h->looks >= LOOKS_MAX);
}

int ps_recv_chunk(struct ps_handle *h, struct ps_chunk *c, uint32_t max)
{
	struct ps_ring *r = &h->ring[PS_RING_RX];
	int n = ps_ring_peek(r), e;

	if (max > PS_CHUNK_MAX)
		max = PS_CHUNK_MAX;
	c->count = 0;
	if (n == 0) {
		if (!ps_waiting(h) && !upkeep_due(h))
			return 0;
		take_done(h);
		feed(h);
		e = sync_rings(h);
		if (e < 0)
			return e;
		n = ps_ring_peek(r);
	}
	for (; c->count < max && (int)c->count < n; c->count++) {
		struct ps_packet *p = &c->packet[c->count];

		p->slot = *ps_ring_at(r, c->count);
		p->data = data_of(h, p->slot.buf);
	}
	ps_ring_release(r, c->count);
	h->fed -= c->count;
	return (int)c->count;
}

int ps_alloc_chunk(struct ps_handle *h, struct ps_chunk *c, uint32_t max)
{
	int e;

	if (max > PS_CHUNK_MAX)
		max = PS_CHUNK_MAX;
	c->count = 0;
	take_done(h);
	if (h->idle_count == 0) {
		e = sync_rings(h);
		if (e < 0)
			return e;
		take_done(h);
	}
	for (; c->count < max && h->idle_count; c->count++) {
		struct ps_packet *p = &c->packet[c->count];

		memset(&p->slot, 0, sizeof(p->slot));
		p->slot.buf = h->idle[--h->idle_count];
		p->data = data_of(h, p->slot.buf);
	}
	return (int)c->count;
}

int ps_free_chunk(struct ps_handle *h, struct ps_chunk *c)
{
	for (uint32_t i = 0; i < c->count; i++)
		h->idle[h->idle_count++] = c->packet[i].slot.buf;
	c->count = 0;
	return 0;
}

static int put(struct ps_handle *h, struct ps_chunk *c, uint16_t flag)
{
	struct ps_ring *r = &h->ring[PS_RING_TX];
	int space = ps_ring_space(r);
	uint32_t n = 0, i;

	for (; n < c->count && (int)n < space; n++) {
		*ps_ring_at(r, n) = c->packet[n].slot;
		ps_ring_at(r, n)->flags |= flag;
	}
	ps_ring_submit(r, n);
	h->sending += n;
	c->count -= n;
	for (i = 0; i < c->count; i++)
		c->packet[i] = c->packet[i + n];
	return (int)n;
}

int ps_send_chunk(struct ps_handle *h, struct ps_chunk *c)
{
	int n = put(h, c, 0), e;

	take_done(h);
	e = sync_rings(h);
	return e < 0 ? e : n;
}

int ps_slowpath_chunk(struct ps_handle *h, struct ps_chunk *c)
{
	int n = put(h, c, PS_F_SLOW), e = sync_rings(h);

	take_done(h);
	return e < 0 ? e : n;
}

int ps_reserve(struct ps_handle *h, uint32_t count)
{
	if (h->back || count == 0 || count > h->idle_count)
		return -ENOBUFS;
	h->back = calloc(count, sizeof(*h->back));
	if (!h->back)
		return -ENOMEM;
	h->idle_count -= count;
	h->reserved = h->a.buffers - count;
	return (int)h->reserved;
}

uint8_t *ps_buffer(const struct ps_handle *h, uint32_t buf)
{
	return data_of(h, buf);
}

int ps_map(struct ps_handle *h, const void *at, size_t bytes, uint32_t *unit)
{
	struct ps_map m = { .addr = (uintptr_t)at, .bytes = bytes };
	int r = call(h->fd, PS_IOC_MAP, &m);

	*unit = m.unit;
	return r < 0 ? r : (int)m.region;
}

int ps_unmap(struct ps_handle *h, int region)
{
	return call(h->fd, PS_IOC_UNMAP, (void *)(intptr_t)region);
}

int ps_put(struct ps_handle *h, const struct ps_slot *slots, uint32_t n)
{
	struct ps_ring *r = &h->ring[PS_RING_TX];

	if (ps_ring_space(r) < (int)n)
		return -ENOSPC;
	for (uint32_t i = 0; i < n; i++) {
		*ps_ring_at(r, i) = slots[i];
		h->sending += !(slots[i].flags & PS_F_REGION);
	}
	ps_ring_submit(r, n);
	return 0;
}

bool ps_unsent(const struct ps_handle *h)
{
	const struct ps_ring *r = &h->ring[PS_RING_TX];

	return ps_ring_space(r) != (int)r->mask + 1;
}

int ps_sync(struct ps_handle *h)
{
	int e;

	take_done(h);
	feed(h);
	e = sync_rings(h);
	take_done(h);
	return e;
}

uint32_t ps_returned(struct ps_handle *h, uint32_t *bufs, uint32_t max)
{
	uint32_t n = 0;

	while (n < max && h->back_count)
		bufs[n++] = h->back[--h->back_count];
	return n;
}

int ps_select(struct ps_handle *const *handles, int n, int extra,
	      int timeout_ms)
{
	struct pollfd fd[PS_DEVICES_MAX + 1];
	int r, ready = 0;

	if (n < 0 || n > PS_DEVICES_MAX)
		return -EINVAL;
	for (int i = 0; i < n; i++) {
		take_done(handles[i]);
		feed(handles[i]);
		fd[i] = (struct pollfd){ handles[i]->fd, POLLIN | POLLPRI, 0 };
	}
	fd[n] = (struct pollfd){ extra, POLLIN, 0 };
	r = poll(fd, (nfds_t)n + 1, timeout_ms);
	if (r < 0)
		return -errno;
	for (int i = 0; i <= n; i++)
		if (fd[i].revents)
			ready |= 1 << i;
	return ready;
}

int ps_read_event(struct ps_handle *h, struct ps_event *e)
{
	return call(h->fd, PS_IOC_EVENT, e);
}

int ps_set_rss_key(struct ps_handle *h, const uint8_t key[PS_RSS_KEY_BYTES])
{
	struct ps_rss k;

	memcpy(k.key, key, sizeof(k.key));
	return call(h->fd, PS_IOC_RSS, &k);
}

const char *ps_explain(int error)
{
	switch (-error) {
	case EBUSY:
		return "another program has this queue";
	case EPROTONOSUPPORT:
		return "ps_ixgbe and this program are of different releases";
	case EINVAL:
		return "no such queue (modprobe ps_ixgbe queues=N), or sizes "
			"that cannot be";
	case ENOMEM:
		return "too little memory for the queue's buffers";
	case ENOENT:
		return "no such port (modprobe ps_ixgbe; ls /dev/ps)";
	case EACCES:
		return "only root may (see the udev rule)";
	case ENETDOWN:
		return "the port is being reset: try again";
	case ENODEV:
		return "the device has gone";
	default:
		return strerror(-error);
	}
}

void ps_let_go(struct ps_handle *h)
{
	call(h->fd, PS_IOC_DETACH, NULL);
}

uint64_t ps_calls(const struct ps_handle *h)
{
	return h->calls;
}

const struct ps_head *ps_counters(const struct ps_handle *h)
{
	return h->head;
}

int ps_fd(const struct ps_handle *h)
{
	return h->fd;
}
