/*
 * ring.h - one-way queue of fixed-size records in shared memory
 *
 * One process produces, another consumes, and neither trusts the other: the
 * daemon must survive whatever bytes a client stores here, at any moment.
 *
 *                   head            tail
 *                     v               v
 *     |     free      | r | r | r | r |     free      |    tail - head = 4
 *        producer's      consumer's       producer's
 *
 * Head and tail count slots since attach.  They wrap at 2^32, not at the
 * ring's size; slot number i lives at (i & mask).  A record takes one slot or
 * two (cmd.h, event.h); the slots of one record are published together.
 *
 * Verbs      producer: ring_room, ring_slot, ring_publish
 *            consumer: ring_peek, ring_copy, ring_release
 * Invariant  tail - head <= size.  A peer that breaks it earns -EPROTO; the
 *            caller then detaches that peer.  It is never asserted.
 * Ownership  Slots [head, tail) are the consumer's, the rest are the
 *            producer's.  The store to tail or head is the hand-over.
 * Ordering   That store is a release; the other end's load is an acquire.
 * Trust      mask is private, fixed at attach, never re-read from shared
 *            memory.  Copy a slot out (ring_copy), then check the copy: the
 *            peer may still be writing the original.
 * Threads    One per end.  No locks, no system calls; waking is wake.h's.
 */
#ifndef SHM_RING_H
#define SHM_RING_H

#include <errno.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>

#define RING_LINE	64	/* bytes; head and tail never share a line */
#define RING_SLOT	32	/* bytes a slot */

/* Seen by both processes; part of the ABI (layout.h, LAYOUT_VERSION). */
struct ring_shared {
	_Alignas(RING_LINE) _Atomic uint32_t tail;	/* producer stores */
	_Atomic uint32_t want_room;	/* producer found it full, wants a wake */
	_Alignas(RING_LINE) _Atomic uint32_t head;	/* consumer stores */
	_Alignas(RING_LINE) unsigned char slots[];
};
_Static_assert(sizeof(struct ring_shared) == 2 * RING_LINE, "shm ABI");
_Static_assert(ATOMIC_INT_LOCK_FREE == 2, "locks do not cross processes");

/* One end of a ring, in its owner's private memory. */
struct ring {
	struct ring_shared *shared;
	uint32_t mask;		/* size - 1; size is a power of two <= 2^16 */
	uint32_t mine;		/* our count: what we reserved or read up to */
	uint32_t theirs;	/* the peer's count, as we last checked it */
};

static inline void ring_attach(struct ring *r, void *at, uint32_t slots)
{
	*r = (struct ring){ .shared = at, .mask = slots - 1 };
}

/* Bytes of shared memory of a ring with @slots slots. */
static inline uint32_t ring_bytes(uint32_t slots)
{
	return (uint32_t)sizeof(struct ring_shared) + slots * RING_SLOT;
}

/* ---- consumer ---- */

/*
 * ring_peek() - count the slots waiting at the consumer's end
 *
 * Return: 0..size; they stay the consumer's until ring_release().
 *         -EPROTO if the peer broke the invariant; @r is then unchanged.
 */
static inline int ring_peek(struct ring *r)
{
	uint32_t tail = atomic_load_explicit(&r->shared->tail,
					     memory_order_acquire);

	if (tail - r->mine > r->mask + 1)
		return -EPROTO;
	r->theirs = tail;
	return (int)(tail - r->mine);
}

/* Copies waiting slot @i (0 is the oldest) to @out; @i < ring_peek(). */
static inline void ring_copy(const struct ring *r, uint32_t i, void *out)
{
	memcpy(out, r->shared->slots +
		    (uint64_t)((r->mine + i) & r->mask) * RING_SLOT, RING_SLOT);
}

/* Gives the oldest @count slots back to the producer. */
static inline void ring_release(struct ring *r, uint32_t count)
{
	r->mine += count;
	atomic_store_explicit(&r->shared->head, r->mine, memory_order_release);
}

/* True when the producer waits for room; clears the wish. */
static inline int ring_take_want_room(struct ring *r)
{
	if (!atomic_load_explicit(&r->shared->want_room, memory_order_relaxed))
		return 0;
	return atomic_exchange(&r->shared->want_room, 0) != 0;
}

/* ---- producer ---- */

/*
 * ring_room() - free slots at the producer's end, at least @want if possible
 *
 * Looks at the shared head only when the count known is below @want.
 * Return: slots free; -EPROTO if the peer broke the invariant.
 */
static inline int ring_room(struct ring *r, uint32_t want)
{
	uint32_t size = r->mask + 1, head;

	if (size - (r->mine - r->theirs) >= want)
		return (int)(size - (r->mine - r->theirs));
	head = atomic_load_explicit(&r->shared->head, memory_order_acquire);
	if (r->mine - head > size)
		return -EPROTO;
	r->theirs = head;
	return (int)(size - (r->mine - head));
}

/* The next free slot, reserved; only within ring_room(). */
static inline void *ring_slot(struct ring *r)
{
	return r->shared->slots + (uint64_t)(r->mine++ & r->mask) * RING_SLOT;
}

/* Hands all reserved slots over. */
static inline void ring_publish(struct ring *r)
{
	atomic_store_explicit(&r->shared->tail, r->mine, memory_order_release);
}

/*
 * Says that we wait for room.  Fence pairs with the consumer's in the wake
 * protocol (wake.h): set, fence, look once more with ring_room(), then sleep.
 */
static inline void ring_want_room(struct ring *r)
{
	atomic_store(&r->shared->want_room, 1);
	atomic_thread_fence(memory_order_seq_cst);
}

#endif
