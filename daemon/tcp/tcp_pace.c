/*
 * tcp_pace.c - segments leave at a rate
 *
 * A connection has a rate when its congestion control sets one or the
 * application limits it (SO_MAX_PACING_RATE).  Each segment moves the instant
 * of the next one by the time that it takes at that rate; before that instant
 * nothing new is sent, and a wheel of its own wakes the connection.  That wheel
 * is an ordinary one in a sixteenth of the time: its ticks are 62.5 us.  What
 * is due within a tick may leave at once, so a tick's worth is the burst, and
 * where the port segments for us a segment is a millisecond's worth at most.
 */
#include "tcp/env.h"

#define SCALE		16u	/* of the wheel's time */
#define TICK_NS		62500u
#define CREDIT_NS	500000u	/* what a late loop may catch up */
#define WAIT_MAX_NS	1000000000u
#define BURST_HZ	1000u	/* TSO: a millisecond */

static mono_t scaled(mono_t at)
{
	return (mono_t){ at.us * SCALE };
}

void pace_start(struct tcp_env *env)
{
	wheel_init(&env->pace, env->exts.base, sizeof(struct tcb_ext),
		   offsetof(struct tcb_ext, pace), scaled(env->now));
}

static uint64_t rate_of(const struct tcp_env *env, const struct tcb *t)
{
	const struct tcb_ext *x = ext_of(env, t);
	uint32_t most = set_of(env, t)->pacing_rate;
	uint64_t rate = x ? x->pace_rate : 0;

	if (most && most != UINT32_MAX && (!rate || rate > most))
		rate = most;
	return rate;
}

bool pace_is_on(const struct tcp_env *env, const struct tcb *t)
{
	return rate_of(env, t) != 0;
}

bool pace_waits(struct tcp_env *env, struct tcb *t)
{
	struct tcb_ext *x = ext_of(env, t);
	uint64_t at;

	if (!x || !rate_of(env, t) ||
	    x->pace_ns <= env->now.us * 1000 + TICK_NS)
		return false;
	at = (x->pace_ns + 999) / 1000;
	if (!env->pace.base)
		pace_start(env);
	if (!wheel_is_set(&env->pace, t->ext)) {
		wheel_set(&env->pace, t->ext, scaled((mono_t){ at }));
		counter_add(&env->stats.paced, 1);
	}
	return true;
}

uint32_t pace_burst(const struct tcp_env *env, const struct tcb *t)
{
	uint64_t rate = rate_of(env, t), burst = rate / BURST_HZ;

	if (!rate || burst > UINT16_MAX)
		return UINT16_MAX;
	return burst > 2u * t->mss ? (uint32_t)burst : 2u * t->mss;
}

void pace_sent(struct tcp_env *env, struct tcb *t, uint32_t bytes)
{
	uint64_t rate = rate_of(env, t), now_ns = env->now.us * 1000;
	struct tcb_ext *x;

	if (!rate)
		return;
	x = conn_ext(env, t);
	if (x->pace_ns + CREDIT_NS < now_ns)
		x->pace_ns = now_ns - (x->pace_ns ? CREDIT_NS : 0);
	x->pace_ns += (uint64_t)bytes * 1000000000u / rate;
	/* The rate may be another one soon: as Linux's fq, no more than that. */
	if (x->pace_ns > now_ns + WAIT_MAX_NS)
		x->pace_ns = now_ns + WAIT_MAX_NS;
}

void pace_drop(struct tcp_env *env, uint32_t ext)
{
	if (env->pace.base)
		wheel_cancel(&env->pace, ext);
}

mono_t pace_next_due(const struct tcp_env *env)
{
	mono_t due = MONO_NEVER;

	if (env->pace.base && env->pace.count)
		due = wheel_next_due(&env->pace);
	if (due.us != MONO_NEVER.us)
		due.us = (due.us + SCALE - 1) / SCALE;
	return due;
}

void pace_advance(struct tcp_env *env, uint32_t *due, int max)
{
	int n;

	if (!env->pace.base || !env->pace.count)
		return;
	n = wheel_advance(&env->pace, scaled(env->now), due, max);
	for (int i = 0; i < n; i++) {
		const struct tcb_ext *x = pool_at(&env->exts, due[i]);

		conn_dirty(env, tcb_at(env, x->conn));
	}
}
