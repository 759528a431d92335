/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * ps_ring.h - rings of slots in shared memory, and who owns each buffer
 *
 * Free of kernel headers: the module, libps and the tests share it.
 *
 *	        head            tail
 *	 free     | s | s | s |      free          tail - head = 3
 *
 * Invariant  tail - head <= size, the counts wrapping at 2^32.  A peer that
 *            breaks it earns PS_RING_BROKEN; nothing is then read or written.
 * Trust      mask and our own count are private; a slot is copied out before
 *            it is looked at.
 * Ownership  [head, tail) is the consumer's.  ps_owner[] says per buffer
 *            whether the user, the receiver or the sender has it; only the
 *            kernel keeps one and changes it in ps_take() and ps_give().
 *            A region has no owner, the same bytes may be in two frames; it
 *            counts its slots that are with the chip.
 * Threads    One per ring end; the table under its queue's lock.
 */
#ifndef PS_RING_H
#define PS_RING_H

#include "ps_uapi.h"

#define PS_RING_BROKEN	(-1)

struct ps_ring {
	struct ps_ring_shared *shared;
	struct ps_slot *slots;
	__u32 mask;
	__u32 mine;		/* our count as last stored */
};

enum ps_owner { PS_USER, PS_RECEIVER, PS_SENDER };

struct ps_owners {
	__u8 *owner;		/* enum ps_owner per buffer */
	__u32 count;
};

struct ps_region {
	__u64 bytes;
	__u32 unit_log2;	/* bytes that lie together on the bus */
	__u32 sending;		/* slots that are with the chip */
};

struct ps_regions {
	struct ps_region **region;	/* by number; NULL: none */
	__u32 count;		/* of numbers, 0 included */
};

/* Slots that wait for the consumer, 0..size, or PS_RING_BROKEN. */
static inline int ps_ring_peek(const struct ps_ring *r)
{
	__u32 n = __atomic_load_n(&r->shared->tail, __ATOMIC_ACQUIRE) - r->mine;

	return n > r->mask + 1 ? PS_RING_BROKEN : (int)n;
}

/* Slots that the producer may fill, 0..size, or PS_RING_BROKEN. */
static inline int ps_ring_space(const struct ps_ring *r)
{
	__u32 n = r->mine - __atomic_load_n(&r->shared->head, __ATOMIC_ACQUIRE);

	return n > r->mask + 1 ? PS_RING_BROKEN : (int)(r->mask + 1 - n);
}

/* The @i-th slot from our end. */
static inline struct ps_slot *ps_ring_at(const struct ps_ring *r, __u32 i)
{
	return &r->slots[(r->mine + i) & r->mask];
}

/* Hands @n produced slots to the consumer; pairs with ps_ring_peek(). */
static inline void ps_ring_submit(struct ps_ring *r, __u32 n)
{
	r->mine += n;
	__atomic_store_n(&r->shared->tail, r->mine, __ATOMIC_RELEASE);
}

/* Gives @n consumed slots back; pairs with ps_ring_space(). */
static inline void ps_ring_release(struct ps_ring *r, __u32 n)
{
	r->mine += n;
	__atomic_store_n(&r->shared->head, r->mine, __ATOMIC_RELEASE);
}

/* ps_ring.c */

/* Copies the @i-th waiting slot out, once, whatever the peer does meanwhile. */
void ps_ring_copy(const struct ps_ring *r, __u32 i, struct ps_slot *to);

/* Takes buffer @buf from the user for @owner.  0, or -1: not the user's. */
int ps_take(struct ps_owners *o, __u32 buf, enum ps_owner owner);

/* Gives @buf back to the user; @from must own it.  0, or -1 if it does not. */
int ps_give(struct ps_owners *o, __u32 buf, enum ps_owner from);

/* Counts region slot @s in.  0, or -1: not within one unit of a region. */
int ps_region_take(const struct ps_regions *r, const struct ps_slot *s);

/* The chip has let go of a slot of region @number. */
void ps_region_give(const struct ps_regions *r, __u32 number);

/*
 * ps_frame_copy() - copy the next frame to send out of ring @r
 * @most: bytes that it, or a segment of it, may have on the wire
 *
 * Return: its slots, 1..PS_FRAGS_MAX, each of a length 1..PS_BUF_BYTES, those
 *         of regions (never the first) 1..PS_REGION_SLOT, none released yet;
 *         0 when no whole frame waits;
 *         -n when the next n slots are no frame that may be sent.
 */
int ps_frame_copy(const struct ps_ring *r, int waiting, __u32 most,
		  struct ps_slot frame[PS_FRAGS_MAX]);

#endif
