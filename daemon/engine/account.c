#include <stddef.h>

#include "engine/account.h"

#define SECOND_NS	1000000000ull

bool account_open(struct engine_account *a)
{
	uint32_t limit, n;

	if (!a)
		return true;
	limit = account_get32(&a->connections);
	n = account_get32(&a->open);
	do {
		if (limit && n >= limit)
			return false;
	} while (!atomic_compare_exchange_weak_explicit(
			 &a->open, &n, n + 1, memory_order_relaxed,
			 memory_order_relaxed));
	return true;
}

void account_close(struct engine_account *a)
{
	if (a)
		atomic_fetch_sub_explicit(&a->open, 1, memory_order_relaxed);
}

void account_move(struct engine_account *from, struct engine_account *to)
{
	if (from == to)
		return;
	account_close(from);
	if (to)
		atomic_fetch_add_explicit(&to->open, 1, memory_order_relaxed);
}

/* Each event moves the instant at which the bucket is full again by a
 * @per_second-th of a second; engines' clocks are one, read apart. */
bool rate_take(rate_t *full_ns, uint32_t per_second, mono_t now)
{
	uint64_t now_ns = now.us * 1000, was, next;

	if (!per_second)
		return true;
	was = atomic_load_explicit(full_ns, memory_order_relaxed);
	do {
		next = (was < now_ns ? now_ns : was) + SECOND_NS / per_second;
		if (next > now_ns + SECOND_NS)
			return false;
	} while (!atomic_compare_exchange_weak_explicit(
			 full_ns, &was, next, memory_order_relaxed,
			 memory_order_relaxed));
	return true;
}

static bool at_pace(rate_t *bucket, const _Atomic uint32_t *per_second,
		    _Atomic uint64_t *slowed, mono_t now)
{
	if (rate_take(bucket, account_get32(per_second), now))
		return true;
	atomic_fetch_add_explicit(slowed, 1, memory_order_relaxed);
	return false;
}

bool account_connect(struct engine_account *a, mono_t now)
{
	return !a || at_pace(&a->connects, &a->connect_rate,
			     &a->connects_slowed, now);
}

bool account_accept(struct engine_account *a, mono_t now)
{
	return !a || at_pace(&a->accepts, &a->accept_rate,
			     &a->accepts_slowed, now);
}
