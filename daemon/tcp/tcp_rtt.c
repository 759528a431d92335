/*
 * tcp_rtt.c - round-trip time and retransmission timeout (RFC 6298)
 *
 * One segment a window is timed, in microseconds; a retransmission ends the
 * timing (Karn).  Where there are timestamps they take over then, in their
 * milliseconds (RFC 7323 4).
 */
#include "tcp/env.h"

#define RTO_MAX_MS	60000u	/* RFC 6298 2.5 */
#define RTTVAR_MASK	((1u << 26) - 1)
#define GRANULARITY_US	1000u	/* of the timer wheel */

static uint16_t clamp_rto(const struct tcp_env *env, uint64_t us)
{
	uint64_t ms = (us + 999) / 1000;

	if (ms < env->cfg.rto_min_ms)
		ms = env->cfg.rto_min_ms;
	return (uint16_t)(ms > RTO_MAX_MS ? RTO_MAX_MS : ms);
}

void rtt_init(const struct tcp_env *env, struct tcb *t)
{
	t->srtt_us = t->rttvar_us = 0;
	t->rto_ms = clamp_rto(env, (uint64_t)env->cfg.rto_initial_ms * 1000);
}

void rtt_sample(struct tcp_env *env, struct tcb *t, uint32_t us)
{
	uint32_t delta, var = t->rttvar_us;

	if (us == 0)
		us = 1;
	if (us > RTO_MAX_MS * 1000)
		us = RTO_MAX_MS * 1000;
	env->ack_rtt_us = us;
	hist_add(&env->stats.rtt_us, us);
	if (t->srtt_us == 0) {			/* 2.2 */
		t->srtt_us = us;
		var = us / 2;
	} else {				/* 2.3 */
		delta = us > t->srtt_us ? us - t->srtt_us : t->srtt_us - us;
		var = var - var / 4 + delta / 4;
		t->srtt_us = t->srtt_us - t->srtt_us / 8 + us / 8;
		if (t->srtt_us == 0)
			t->srtt_us = 1;
	}
	t->rttvar_us = var & RTTVAR_MASK;	/* less than 2^26: a minute */
	delta = 4 * var;
	t->rto_ms = clamp_rto(env, (uint64_t)t->srtt_us +
			      (delta > GRANULARITY_US ? delta : GRANULARITY_US));
}

uint32_t rtt_rto_ms(const struct tcb *t)
{
	uint32_t ms = (uint32_t)t->rto_ms << (t->backoff > 16 ? 16 : t->backoff);

	return ms > RTO_MAX_MS ? RTO_MAX_MS : ms;
}
