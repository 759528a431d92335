/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * ps_desc.h - the 82599's advanced descriptors, to and from slots
 *
 * Free of kernel headers, as ps_ring.h.  Words are little endian in memory;
 * the functions work on values, the callers convert.
 *
 * Datasheet  receive 7.1.6, transmit 7.2.3.2.
 * Threads    Pure functions.
 */
#ifndef PS_DESC_H
#define PS_DESC_H

#include "ps_uapi.h"

struct ps_desc {
	__u64 a, b;
};

#define PS_RXD_DONE	1ull		/* in b: descriptor written back */
#define PS_TXD_DONE	(1ull << 32)	/* in b: frame fetched */

/* Makes slot @s, its buffer aside, of a receive descriptor written back. */
void ps_desc_receive(const struct ps_desc *d, struct ps_slot *s);

/* Does the frame that begins with @s need a context descriptor? */
int ps_desc_needs_context(const struct ps_slot *s);

/* The context descriptor for the frame that begins with @s. */
void ps_desc_context(struct ps_desc *d, const struct ps_slot *s);

/*
 * ps_desc_send() - the data descriptor of one slot
 * @first: the frame's first slot, whose offloads hold
 * @s: the slot itself
 * @dma: bus address of its buffer
 * @frame_bytes: of the whole frame
 */
void ps_desc_send(struct ps_desc *d, const struct ps_slot *first,
		  const struct ps_slot *s, __u64 dma, __u32 frame_bytes);

#endif
