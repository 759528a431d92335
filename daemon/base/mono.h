/*
 * mono.h - instants on the monotonic clock
 *
 * An instant is a one-member struct so that it is never mixed up with a
 * duration: durations are plain integers whose name ends in _us.  Only the
 * engine's loop and the control thread read the clock (mono_now); everybody
 * else is told the time, which is what lets tests run in virtual time.
 *
 * Threads   Pure values; any thread.
 */
#ifndef BASE_MONO_H
#define BASE_MONO_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

typedef struct {
	uint64_t us;	/* since an arbitrary start; 0 means "never set" */
} mono_t;

#define MONO_NEVER	((mono_t){ UINT64_MAX })

static inline mono_t mono_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (mono_t){ (uint64_t)ts.tv_sec * 1000000 +
			 (uint64_t)ts.tv_nsec / 1000 };
}

static inline mono_t mono_add(mono_t t, uint64_t duration_us)
{
	return (mono_t){ t.us + duration_us };
}

/* Microseconds from @a to @b; negative when @b is earlier. */
static inline int64_t mono_diff_us(mono_t a, mono_t b)
{
	return (int64_t)(b.us - a.us);
}

static inline bool mono_before(mono_t a, mono_t b)
{
	return a.us < b.us;
}

#endif
