/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * ps.h - libps: packets of an 82599's queues in a process, with no copy
 *
 * PacketShader's verbs over ps_ixgbe's contract (ps_uapi.h):
 *
 *	ps_list_devices		the ports there are
 *	ps_attach_queue		own queue q of a port; a ps_handle
 *	ps_recv_chunk		up to n received frames, borrowed
 *	ps_free_chunk		gives received buffers back
 *	ps_alloc_chunk		up to n empty buffers to write into
 *	ps_send_chunk		sends buffers, allocated or received
 *	ps_slowpath_chunk	gives frames to the kernel's xgeN
 *	ps_select		waits on several queues and one more descriptor
 *	ps_detach_queue
 *
 * Whoever keeps frames of his own (mtcpd's port) sends without chunks:
 *
 *	ps_reserve		the last n buffers are the caller's for good
 *	ps_put			a frame's slots onto the ring, without a call
 *	ps_sync			one call: sends them, brings received ones
 *	ps_unsent		some were left: call again soon
 *	ps_returned		reserved buffers that were sent
 *	ps_give_back		a received buffer that was kept
 *	ps_map, ps_unmap	memory that the chip reads where it lies
 *
 * Ownership  A packet of a chunk is the caller's until it is sent, slow-pathed
 *            or freed, each of which consumes it.
 * Frames     A chunk may end within a frame that is still coming in: its last
 *            packet has PS_F_MORE then, and the next chunk begins with the rest.
 * Errors     0 or a count, or -errno.  -ENODEV: the device has gone; detach.
 * Threads    One per handle.
 */
#ifndef LIBPS_PS_H
#define LIBPS_PS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../ps_ixgbe/ps_uapi.h"

#define PS_DEVICES_MAX	16

struct ps_device {
	char path[32];		/* of the character device */
	struct ps_info info;
};

struct ps_packet {
	uint8_t *data;
	struct ps_slot slot;	/* len, flags and offloads: see ps_uapi.h */
};

struct ps_chunk {
	uint32_t count;
	struct ps_packet packet[PS_CHUNK_MAX];
};

struct ps_handle;

/* Fills @devices; returns how many, at most @max.  Where there are some and
 * none can be asked: why, as the first one's -errno. */
int ps_list_devices(struct ps_device *devices, int max);

/* Zero members of @a take their defaults (512 slots each way, 1024 extra). */
int ps_attach_queue(struct ps_handle **h, const char *path,
		    const struct ps_attach *a);
void ps_detach_queue(struct ps_handle *h);

/* Each moves at most @max packets (PS_CHUNK_MAX) and returns how many. */
/* A receive looks into the chip's ring and makes no call where nothing came. */
int ps_recv_chunk(struct ps_handle *h, struct ps_chunk *c, uint32_t max);
int ps_alloc_chunk(struct ps_handle *h, struct ps_chunk *c, uint32_t max);

/* Would a receive find something, or an error?  No call; false is certain. */
bool ps_waiting(const struct ps_handle *h);

/* Consumes all packets.  0 or -errno. */
int ps_free_chunk(struct ps_handle *h, struct ps_chunk *c);

/*
 * Consumes the first packets as the rings have room; the rest stay, moved to
 * the front.  Returns how many were consumed.
 */
int ps_send_chunk(struct ps_handle *h, struct ps_chunk *c);
int ps_slowpath_chunk(struct ps_handle *h, struct ps_chunk *c);

/*
 * ps_select() - wait until a queue has packets, an event or an error
 * @extra: one more descriptor, or -1 (mtcpd's, a timer's)
 * @timeout_ms: -1 waits for ever
 *
 * Return: a bit per handle that is ready, bit @n for @extra; 0 at timeout.
 */
int ps_select(struct ps_handle *const *handles, int n, int extra,
	      int timeout_ms);

/*
 * ps_reserve() - take the last @count buffers out of the chunks' stock
 *
 * Only right after ps_attach_queue().  Returns the first's index; they follow
 * each other in memory too.  -ENOBUFS: there are not so many.
 */
int ps_reserve(struct ps_handle *h, uint32_t count);

/* Where buffer @buf begins. */
uint8_t *ps_buffer(const struct ps_handle *h, uint32_t buf);

/*
 * ps_map() - pin @bytes at @at, both multiples of PS_REGION_STEP, for sending
 * @unit: a slot lies within one of so many bytes of it
 *
 * Return: the number of the region, for slots with PS_F_REGION (ps_uapi.h), or
 * -errno: -EFAULT where no plain memory is, -ENOMEM beyond RLIMIT_MEMLOCK,
 * -EOPNOTSUPP and -ENOTTY where this machine, or this driver, cannot.
 */
int ps_map(struct ps_handle *h, const void *at, size_t bytes, uint32_t *unit);

/* 0; -EBUSY while a frame with bytes of it has not returned. */
int ps_unmap(struct ps_handle *h, int region);

/* A whole frame of @n slots joins the ring; 0, or -ENOSPC with none taken. */
int ps_put(struct ps_handle *h, const struct ps_slot *slots, uint32_t n);

/* Are there slots that the last call left: a call's share was more, or the chip
 * had no room?  Nobody is woken for them. */
bool ps_unsent(const struct ps_handle *h);

/* Moves both directions, as a receive that finds the ring empty does. */
int ps_sync(struct ps_handle *h);

/* Reserved buffers that came back since; at most @max into @bufs. */
uint32_t ps_returned(struct ps_handle *h, uint32_t *bufs, uint32_t max);

/* A buffer of a received packet, kept until now. */
void ps_give_back(struct ps_handle *h, uint32_t buf);

/* Reads and acknowledges the link's and the device's state. */
int ps_read_event(struct ps_handle *h, struct ps_event *e);

/* Sets the port's RSS key. */
int ps_set_rss_key(struct ps_handle *h, const uint8_t key[PS_RSS_KEY_BYTES]);

/* What -errno @error of a call above means, in words for who started it. */
const char *ps_explain(int error);

/* The queue is free for others; buffers stay mapped until ps_detach_queue(). */
void ps_let_go(struct ps_handle *h);

/* Calls into the kernel that receiving and sending took so far. */
uint64_t ps_calls(const struct ps_handle *h);

const struct ps_head *ps_counters(const struct ps_handle *h);
int ps_fd(const struct ps_handle *h);

#endif
