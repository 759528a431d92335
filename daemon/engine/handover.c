#include "engine/handover.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define MASK		(HANDOVER_BYTES - 1)
#define ALIGN16(n)	(((n) + 15u) & ~15u)

struct handover_ring *handover_open(void)
{
	/* mapped, so that a pair that never talks costs no memory */
	void *r = mmap(NULL, sizeof(struct handover_ring),
		       PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		       -1, 0);

	return r == MAP_FAILED ? NULL : r;
}

void handover_close(struct handover_ring *r)
{
	if (r)
		munmap(r, sizeof(*r));
}

static bool has_room(struct handover_ring *r, uint32_t bytes)
{
	if (HANDOVER_BYTES - (r->put - r->head_seen) >= bytes)
		return true;
	r->head_seen = atomic_load_explicit(&r->head, memory_order_acquire);
	return HANDOVER_BYTES - (r->put - r->head_seen) >= bytes;
}

bool handover_put(struct handover_ring *r, const struct handover_entry *h,
		  const void *payload, uint32_t len)
{
	uint32_t bytes = ALIGN16((uint32_t)sizeof(*h) + len);
	uint32_t to_end = HANDOVER_BYTES - (r->put & MASK);
	uint32_t skip = to_end < bytes ? to_end : 0;
	struct handover_entry *at;

	if (len > HANDOVER_BYTES / 4 || !has_room(r, bytes + skip))
		return false;
	if (skip) {		/* its first 16 bytes always fit */
		at = (struct handover_entry *)(r->bytes + (r->put & MASK));
		at->bytes = skip;
		at->kind = HANDOVER_SKIP;
		r->put += skip;
	}
	at = (struct handover_entry *)(r->bytes + (r->put & MASK));
	*at = *h;
	at->bytes = bytes;
	at->len = len;
	memcpy(at + 1, payload, len);
	r->put += bytes;
	return true;
}

bool handover_publish(struct handover_ring *r)
{
	if (r->put == atomic_load_explicit(&r->tail, memory_order_relaxed))
		return false;
	atomic_store_explicit(&r->tail, r->put, memory_order_release);
	return true;
}

const struct handover_entry *handover_peek(struct handover_ring *r)
{
	for (;;) {
		const struct handover_entry *h;

		if (r->got == r->tail_seen) {
			r->tail_seen = atomic_load_explicit(
				&r->tail, memory_order_acquire);
			if (r->got == r->tail_seen)
				return NULL;
		}
		h = (const struct handover_entry *)(r->bytes + (r->got & MASK));
		if (h->kind != HANDOVER_SKIP)
			return h;
		r->got += h->bytes;
	}
}

void handover_next(struct handover_ring *r, const struct handover_entry *h)
{
	r->got += h->bytes;
}

void handover_release(struct handover_ring *r)
{
	atomic_store_explicit(&r->head, r->got, memory_order_release);
}
