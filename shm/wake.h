/*
 * wake.h - sleeping without losing a wake-up
 *
 *	sleeper                          waker
 *	asleep = 1                       publish records
 *	fence (seq_cst)                  fence (seq_cst)
 *	look at the rings once more      asleep?  exchange to 0, then
 *	poll(read end of the pipe)       write one byte to the pipe
 *	asleep = 0, drain the pipe
 *
 * Either the sleeper's second look sees the records, or the waker sees the
 * flag: the two fences order "store mine, load yours" on both sides.
 * The waker clears the flag, so that a burst costs one write().
 *
 * Each side holds only its own end of a pipe (both non-blocking): a full pipe
 * means that a wake-up is already there, and write's EAGAIN is ignored.
 *
 * In use    A context's word counts how often it went in to use a socket that
 * other processes hold too, and out again: odd while it is in.
 *
 *	context                          engine that moves such a socket
 *	in_use++ (odd)                   publish EVENT_GONE
 *	fence (seq_cst)                  fence (seq_cst)
 *	take the events: still mine?     in_use odd?  wait until it is another
 *	read or write, publish           run what the context has published,
 *	in_use++ (even), a release       then move the socket
 *
 * Either the context sees that the socket is gone, or the engine sees that it
 * is in, and waits: what it reads nobody reads again, what it writes is sent.
 * Where the event ring is full, the engine sets its bit in `late` instead of
 * publishing, and the context, which looks at it before it takes the events, is
 * not in until the bit is clear.
 *
 * Looks     A context's word that engines count up some time after they gave it
 * or a brother (CTL_LISTEN_BROTHERS) connections: who sees it changed looks for
 * what a brother left lying.  It is stored before the flag is looked at, as
 * records are.
 *
 * Trust     The flag is a hint.  A client that clears its own flag without
 *           draining sleeps too long, a client that always sets it costs the
 *           daemon one write a loop, which the engine bounds.  One that stays
 *           in keeps its sockets from those that hold them too, nothing else.
 */
#ifndef SHM_WAKE_H
#define SHM_WAKE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* On a line of its own.  Shared; part of the ABI. */
struct wake_shared {
	_Alignas(64) _Atomic uint32_t asleep;
	_Atomic uint32_t in_use;	/* a context's */
	_Atomic uint32_t late;		/* bit an engine: events that found no room */
	_Atomic uint32_t looks;		/* a context's: how often it should look */
};
_Static_assert(sizeof(struct wake_shared) == 64, "shm ABI");

/* Sleeper: announce; look at the rings once more after this. */
static inline void wake_prepare(struct wake_shared *w)
{
	atomic_store_explicit(&w->asleep, 1, memory_order_relaxed);
	/* Pairs with the fence in wake_needed(). */
	atomic_thread_fence(memory_order_seq_cst);
}

/* Sleeper: awake again. */
static inline void wake_cancel(struct wake_shared *w)
{
	atomic_store_explicit(&w->asleep, 0, memory_order_relaxed);
}

/* Waker, after publishing: must the pipe be written?  Clears the flag. */
static inline bool wake_needed(struct wake_shared *w)
{
	/* Pairs with the fence in wake_prepare(). */
	atomic_thread_fence(memory_order_seq_cst);
	if (!atomic_load_explicit(&w->asleep, memory_order_relaxed))
		return false;
	return atomic_exchange_explicit(&w->asleep, 0, memory_order_relaxed) != 0;
}

/* Engine, before wake_needed(). */
static inline void wake_look(struct wake_shared *w)
{
	atomic_fetch_add_explicit(&w->looks, 1, memory_order_relaxed);
}

/* Context: has an engine said so since @seen? */
static inline bool wake_looks(struct wake_shared *w, uint32_t *seen)
{
	uint32_t n = atomic_load_explicit(&w->looks, memory_order_relaxed);

	if (n == *seen)
		return false;
	*seen = n;
	return true;
}

/* Context: from here on sockets stay, but for those that it hears are gone. */
static inline void use_begin(struct wake_shared *w)
{
	uint32_t n = atomic_load_explicit(&w->in_use, memory_order_relaxed);

	atomic_store_explicit(&w->in_use, n + 1, memory_order_relaxed);
	/* Pairs with the fence in use_look(). */
	atomic_thread_fence(memory_order_seq_cst);
}

/* Has engine @e said all?  Before the events are taken. */
static inline bool use_late(struct wake_shared *w, uint32_t e)
{
	/* Pairs with the release in use_said(). */
	return atomic_load_explicit(&w->late, memory_order_acquire) >> e & 1;
}

/* Engine @e has more to say than there is room for; has said it. */
static inline void use_unsaid(struct wake_shared *w, uint32_t e)
{
	atomic_fetch_or_explicit(&w->late, 1u << e, memory_order_relaxed);
}

static inline void use_said(struct wake_shared *w, uint32_t e)
{
	if (atomic_load_explicit(&w->late, memory_order_relaxed) >> e & 1)
		atomic_fetch_and_explicit(&w->late, ~(1u << e),
					  memory_order_release);
}

/* What it did with them is published. */
static inline void use_end(struct wake_shared *w)
{
	uint32_t n = atomic_load_explicit(&w->in_use, memory_order_relaxed);

	/* Pairs with the acquire in use_look(): who sees this sees the rings. */
	atomic_store_explicit(&w->in_use, n + 1, memory_order_release);
}

/* Engine, after publishing EVENT_GONE. */
static inline uint32_t use_look(struct wake_shared *w)
{
	/* Pairs with the fence in use_begin(). */
	atomic_thread_fence(memory_order_seq_cst);
	return atomic_load_explicit(&w->in_use, memory_order_acquire);
}

#endif
