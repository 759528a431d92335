/*
 * tcp_cookie.c - SYN cookies (RFC 4987 3.6): a handshake without a record
 *
 *	records nearly used up: SYN -> SYN-ACK, our ISN is the cookie
 *	                        ACK -> the cookie is good -> tcb
 *
 *	cookie:  | 29 bits: keyed hash of tuple, peer's ISN, period, index | 3 |
 *	                                             index of the peer's MSS --+
 *	TSval:   | time, a multiple of 64 ms                       | 6 bits |
 *	                      window scale or 15, SACK, ECN of the SYN --+
 *
 * The period counts 64 seconds; a cookie of this one or the last is good.  So
 * each period has a secret of its own, and since all engines have the same
 * key and clock, any of them knows the cookies of the others.  A peer without
 * timestamps loses its options, no more.  Cookies are looked for only while
 * some of ours can be out, so that nobody guesses at leisure.
 */
#include <string.h>

#include "base/siphash.h"
#include "tcp/env.h"

#define PERIOD_US	(64ull * 1000000)
#define INDEX_MASK	7u
#define TS_MASK		63u
#define NO_WSCALE	15u

static const uint16_t cookie_mss[INDEX_MASK + 1] = {
	TCP_MSS_FLOOR, TCP_MSS_DEFAULT, 1024, 1220, 1360, 1440, 1460, 8960
};

static uint32_t index_of(uint16_t mss)
{
	uint32_t i = INDEX_MASK;

	while (i && cookie_mss[i] > mss)
		i--;
	return i;
}

static seq_t cookie(const struct tcp_env *env, const struct flow_tuple *tuple,
		    seq_t irs, uint32_t index, uint64_t period)
{
	struct {
		struct flow_tuple tuple;
		uint32_t irs, index, use;
		uint64_t period;
	} in;

	memset(&in, 0, sizeof(in));
	in.tuple = *tuple;
	in.irs = irs;
	in.index = index;
	in.use = 0x636f6f6b;	/* another function than the ISN's */
	in.period = period;
	return ((seq_t)siphash(env->cfg.secret, &in, sizeof(in)) &
		~INDEX_MASK) | index;
}

/* A quarter of the records is kept for those who were here before. */
bool cookie_wanted(const struct tcp_env *env)
{
	switch (env->cfg.syn_cookies) {
	case TCP_COOKIES_NEVER:
		return false;
	case TCP_COOKIES_ALWAYS:
		return true;
	default:
		return env->syns.used >= env->cfg.max_syn - env->cfg.max_syn / 4;
	}
}

seq_t cookie_make(struct tcp_env *env, const struct syn_rec *r)
{
	env->cookie_until_ms = deadline_ms(env, 2 * PERIOD_US / 1000);
	counter_add(&env->stats.syncookies_sent, 1);
	return cookie(env, &r->tuple, r->irs, index_of(r->mss),
		      env->now.us / PERIOD_US);
}

uint32_t cookie_ts(const struct tcp_env *env, const struct syn_rec *r,
		   uint32_t hash)
{
	uint32_t now = tcp_ts_now(env, hash), bits = NO_WSCALE, ts;

	if (r->opts & SYN_WSCALE)
		bits = r->opts & SYN_WSCALE_BITS;
	bits |= (r->opts & SYN_SACK) ? 0x10 : 0;
	bits |= (r->opts & SYN_ECN) ? 0x20 : 0;
	ts = (now & ~TS_MASK) | bits;
	return seq_gt(ts, now) ? ts - (TS_MASK + 1) : ts;	/* not ahead */
}

static uint8_t options_of(const struct tcp_env *env, const struct seg *s)
{
	uint32_t bits = s->opt.tsecr & TS_MASK;
	uint8_t opts = SYN_TS;

	if (!(s->opt.has & OPT_TS) || !env->cfg.timestamps)
		return 0;
	if ((bits & 15) != NO_WSCALE && env->cfg.window_scaling)
		opts |= (uint8_t)(SYN_WSCALE | (bits & 15));
	if (bits & 0x10)
		opts |= SYN_SACK;
	if (bits & 0x20)
		opts |= SYN_ECN;
	return opts;
}

bool cookie_check(struct tcp_env *env, const struct flow_tuple *tuple,
		  const struct seg *s, struct syn_rec *r)
{
	uint64_t period = env->now.us / PERIOD_US;
	seq_t iss = s->ack - 1, irs = s->seq - 1;
	uint32_t index = iss & INDEX_MASK;

	if (!env->cookie_until_ms ||
	    (int32_t)(now_ms(env) - env->cookie_until_ms) >= 0)
		return false;
	if (iss != cookie(env, tuple, irs, index, period) &&
	    iss != cookie(env, tuple, irs, index, period - 1)) {
		counter_add(&env->stats.syncookies_bad, 1);
		return false;
	}
	*r = (struct syn_rec){ .tuple = *tuple, .iss = iss, .irs = irs,
			       .mss = cookie_mss[index], .port = s->port & 15u,
			       .opts = options_of(env, s) };
	if (r->opts & SYN_TS)
		r->ts_recent = s->opt.tsval;
	counter_add(&env->stats.syncookies_accepted, 1);
	return true;
}
