/*
 * account.h - what the programs of one user or group may have together
 *
 *	client 1 --+                  engine 0, 1, ...: count, and obey limits
 *	client 2 --+--> account <---- control: sets limits, shows counts
 *	client 3 --+
 *
 * The programs that one policy makes one of share an account: their
 * connections are one sum and their rates one bucket, whichever engines they
 * use.  Memory is control's to grant, and counted there (control/account.h).
 *
 * Invariant  open <= connections, but for two cases: the limit was lowered, or
 *            a connection came from another account with its holder's leave.
 *            Then nothing new begins until it holds again.
 * Cost       One cache line, touched when a connection begins and when its
 *            last holder lets it go; never by data.  No locks: a limit is kept
 *            by compare and swap, which fails only when another engine has
 *            just succeeded.
 * Ownership  Control's memory; it outlives every client that points to it
 *            (CLIENT_ADD to CLIENT_GONE).
 * Threads    Any engine and control.  All relaxed: these are numbers that
 *            publish nothing else.
 */
#ifndef ENGINE_ACCOUNT_H
#define ENGINE_ACCOUNT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/mono.h"

/* A bucket of one second's worth: when it is full again, ns of mono_t's time. */
typedef _Atomic uint64_t rate_t;

struct engine_account {
	_Alignas(64) _Atomic uint32_t open;	/* connections */
	_Atomic uint32_t connections;		/* at most; 0: any number */
	_Atomic uint32_t connect_rate;		/* a second; 0: any number */
	_Atomic uint32_t accept_rate;
	rate_t connects, accepts;
	_Atomic uint64_t connections_refused;	/* EMFILE */
	_Atomic uint64_t connects_slowed;	/* EAGAIN */
	_Atomic uint64_t accepts_slowed;	/* looks that found no token */
};
_Static_assert(sizeof(struct engine_account) == 64, "one cache line");

/* Each takes NULL for no account: nothing is limited or counted. */

/* One more connection, if it may be. */
bool account_open(struct engine_account *a);
void account_close(struct engine_account *a);
/* One that is open changes hands: it counts there, above the limit too. */
void account_move(struct engine_account *from, struct engine_account *to);

/* May one begin, or be taken, at this pace? */
bool account_connect(struct engine_account *a, mono_t now);
bool account_accept(struct engine_account *a, mono_t now);

/* One more of @per_second now?  0 a second: as many as there are. */
bool rate_take(rate_t *full_ns, uint32_t per_second, mono_t now);

static inline uint32_t account_get32(const _Atomic uint32_t *n)
{
	return atomic_load_explicit((_Atomic uint32_t *)n,
				    memory_order_relaxed);
}

#endif
