/*
 * seq.h - sequence numbers (RFC 9293 3.4)
 *
 *	---- snd_una ---- snd_nxt ---- snd_una + snd_wnd ----> wraps at 2^32
 *
 * Compared only with these: the difference of two live numbers of one
 * connection is below 2^31.
 *
 * Threads   Pure values; any thread.
 */
#ifndef TCP_SEQ_H
#define TCP_SEQ_H

#include <stdbool.h>
#include <stdint.h>

typedef uint32_t seq_t;

/* Bytes from @b to @a; negative when @a is earlier. */
static inline int32_t seq_diff(seq_t a, seq_t b)
{
	return (int32_t)(a - b);
}

static inline bool seq_lt(seq_t a, seq_t b)
{
	return seq_diff(a, b) < 0;
}

static inline bool seq_leq(seq_t a, seq_t b)
{
	return seq_diff(a, b) <= 0;
}

static inline bool seq_gt(seq_t a, seq_t b)
{
	return seq_diff(a, b) > 0;
}

static inline bool seq_geq(seq_t a, seq_t b)
{
	return seq_diff(a, b) >= 0;
}

/* @from <= @s < @from + @len: in the window of @len bytes from @from. */
static inline bool seq_in(seq_t s, seq_t from, uint32_t len)
{
	return s - from < len;
}

static inline seq_t seq_min(seq_t a, seq_t b)
{
	return seq_lt(a, b) ? a : b;
}

static inline seq_t seq_max(seq_t a, seq_t b)
{
	return seq_lt(a, b) ? b : a;
}

#endif
