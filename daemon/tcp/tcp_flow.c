/*
 * tcp_flow.c - from a segment's tuple to what it belongs to
 *
 *	bucket:  | 10 tags | 10 references | passed |      one cache line
 *
 * An entry lies in its home bucket or, when that is full, in the first after
 * it with room; every full bucket that it went past counts it in `passed`, so
 * that a search knows where to stop and nothing is left behind at removal.
 *
 * The bucket and the tag come from a keyed hash: a peer chooses its ports and
 * addresses, and the RSS key is no secret.
 */
#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "base/siphash.h"
#include "tcp/env.h"

int flow_init(struct tcp_env *env, uint64_t entries, tcp_alloc_fn *alloc,
	      void *arg)
{
	uint64_t buckets = 16;

	while (buckets * FLOW_WAYS / 2 < entries)
		buckets *= 2;
	if (buckets > UINT64_C(1) << 25)
		return -EINVAL;
	env->flow = alloc(arg, "tcp flow table", buckets * sizeof(*env->flow));
	env->flow_mask = (uint32_t)buckets - 1;
	return env->flow ? 0 : -ENOMEM;
}

uint32_t flow_hash(const struct tcp_env *env, const struct flow_tuple *tuple)
{
	uint32_t rss = 0, keyed;
	struct { uint32_t remote, local; uint16_t rport, lport; } v4;

	if (addr_is_v4(&tuple->remote) && addr_is_v4(&tuple->local)) {
		v4.remote = addr_v4(&tuple->remote);
		v4.local = addr_v4(&tuple->local);
		v4.rport = tuple->rport;
		v4.lport = tuple->lport;
		rss = rss_hash_v4(env->rss, v4.remote, v4.local, v4.rport,
				  v4.lport);
		keyed = (uint32_t)siphash(env->cfg.secret, &v4, sizeof(v4));
	} else {
		keyed = (uint32_t)siphash(env->cfg.secret, tuple,
					  sizeof(*tuple));
	}
	return (keyed & ~(RSS_TABLE - 1u)) | (rss & (RSS_TABLE - 1u));
}

static uint32_t home(const struct tcp_env *env, uint32_t hash)
{
	return (hash >> 7) & env->flow_mask;
}

/* The bits that home() uses last come first. */
static uint16_t tag_of(uint32_t hash)
{
	return (uint16_t)(hash >> 23 | hash << 9);
}

const struct flow_tuple *flow_tuple_of(const struct tcp_env *env, uint32_t ref)
{
	switch (flow_kind(ref)) {
	case FLOW_TCB:
		return &tcb_at(env, flow_index(ref))->tuple;
	case FLOW_SYN:
		return &syn_at(env, flow_index(ref))->tuple;
	default:
		return &tw_at(env, flow_index(ref))->tuple;
	}
}

static bool tuple_eq(const struct flow_tuple *a, const struct flow_tuple *b)
{
	return a->rport == b->rport && a->lport == b->lport &&
	       addr_eq(&a->remote, &b->remote) && addr_eq(&a->local, &b->local);
}

uint32_t flow_find(const struct tcp_env *env, const struct flow_tuple *tuple,
		   uint32_t hash)
{
	uint16_t tag = tag_of(hash);

	for (uint32_t i = home(env, hash);; i = (i + 1) & env->flow_mask) {
		const struct flow_bucket *b = &env->flow[i];

		for (int w = 0; w < FLOW_WAYS; w++)
			if (b->tag[w] == tag && b->ref[w] &&
			    tuple_eq(flow_tuple_of(env, b->ref[w]), tuple))
				return b->ref[w];
		if (!b->passed)
			return 0;
	}
}

void flow_insert(struct tcp_env *env, uint32_t hash, uint32_t ref)
{
	for (uint32_t i = home(env, hash);; i = (i + 1) & env->flow_mask) {
		struct flow_bucket *b = &env->flow[i];

		for (int w = 0; w < FLOW_WAYS; w++) {
			if (b->ref[w])
				continue;
			b->ref[w] = ref;
			b->tag[w] = tag_of(hash);
			return;
		}
		b->passed++;	/* there is room: twice as much as entries */
	}
}

/* Where @ref lies; it is there.  @step is added to `passed` on the way. */
static uint32_t *locate(struct tcp_env *env, uint32_t hash, uint32_t ref,
			uint32_t step)
{
	for (uint32_t i = home(env, hash);; i = (i + 1) & env->flow_mask) {
		struct flow_bucket *b = &env->flow[i];

		for (int w = 0; w < FLOW_WAYS; w++)
			if (b->ref[w] == ref)
				return &b->ref[w];
		ENSURE(b->passed, "what was inserted is found");
		b->passed += step;
	}
}

void flow_remove(struct tcp_env *env, uint32_t hash, uint32_t ref)
{
	*locate(env, hash, ref, UINT32_MAX) = 0;
}

void flow_replace(struct tcp_env *env, uint32_t hash, uint32_t old,
		  uint32_t ref)
{
	*locate(env, hash, old, 0) = ref;
}

void tcp_prefetch_bucket(const struct tcp_env *env, uint32_t hash)
{
	__builtin_prefetch(&env->flow[home(env, hash)]);
}

void tcp_prefetch_tcb(const struct tcp_env *env, uint32_t hash)
{
	const struct flow_bucket *b = &env->flow[home(env, hash)];
	uint16_t tag = tag_of(hash);

	for (int w = 0; w < FLOW_WAYS; w++) {
		const char *t;

		if (b->tag[w] != tag || flow_kind(b->ref[w]) != FLOW_TCB)
			continue;
		t = (const char *)tcb_at(env, flow_index(b->ref[w]));
		for (int line = 0; line < 4; line++)
			__builtin_prefetch(t + line * 64, 1);
	}
}
