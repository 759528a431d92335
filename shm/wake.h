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
 * Trust     The flag is a hint.  A client that clears its own flag without
 *           draining sleeps too long, a client that always sets it costs the
 *           daemon one write a loop, which the engine bounds.
 */
#ifndef SHM_WAKE_H
#define SHM_WAKE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* One flag on a line of its own.  Shared; part of the ABI. */
struct wake_shared {
	_Alignas(64) _Atomic uint32_t asleep;
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

#endif
