/*
 * hist.h - how often a value was how large
 *
 *	bucket i counts values below 2^i and not below 2^(i - 1); 0 is in the
 *	first, what is 2^(HIST_BUCKETS - 2) or more in the last
 *
 * Threads   One writer; any number of readers, who see sum and buckets a few
 *           values apart.
 */
#ifndef BASE_HIST_H
#define BASE_HIST_H

#include "base/counter.h"

#define HIST_BUCKETS	28

struct hist {
	counter_t sum;
	counter_t bucket[HIST_BUCKETS];
};

static inline void hist_add(struct hist *h, uint32_t value)
{
	uint32_t i = value ? 32u - (uint32_t)__builtin_clz(value) : 0;

	counter_add(&h->bucket[i < HIST_BUCKETS ? i : HIST_BUCKETS - 1], 1);
	counter_add(&h->sum, value);
}

#endif
