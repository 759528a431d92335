#include "tcp/tcp_rate.h"

#include <string.h>

#include "tcp/env.h"

static struct rate_rec *rec_of(const struct tcp_env *env,
			       const struct tcb_ext *x)
{
	return x && x->rate ? pool_at(&env->rates, x->rate) : NULL;
}

static struct rate_rec *rec_get(struct tcp_env *env, struct tcb *t)
{
	struct tcb_ext *x = conn_ext(env, t);
	struct rate_rec *r;

	if (x->rate)
		return rec_of(env, x);
	x->rate = pool_get(&env->rates);
	if (!x->rate)
		return NULL;
	r = pool_at(&env->rates, x->rate);
	memset(r, 0, offsetof(struct rate_rec, mark));
	r->conn = x->conn;
	return r;
}

void rate_drop(struct tcp_env *env, struct tcb_ext *x)
{
	if (x->rate)
		pool_put(&env->rates, x->rate);
	x->rate = 0;
}

void rate_sent(struct tcp_env *env, struct tcb *t, seq_t end)
{
	struct rate_rec *r;
	struct rate_mark *m;

	if (!cc_at(t->cc)->sample)
		return;
	r = rec_get(env, t);
	if (!r)
		return;
	if (t->snd_una == t->snd_nxt) {		/* 4.1.2.2: a new flight */
		r->first_sent_us = r->delivered_us = env->now.us;
		r->count = 0;
	}
	if (r->count == RATE_MARKS ||
	    (r->count && end - r->marked < (t->snd_nxt - t->snd_una) / 12))
		return;
	m = &r->mark[(r->head + r->count++) % RATE_MARKS];
	*m = (struct rate_mark){
		.sent_us = env->now.us, .first_sent_us = r->first_sent_us,
		.delivered = r->delivered, .delivered_us = r->delivered_us,
		.lost = r->lost, .ce = r->ce, .end = end,
		.in_flight = rec_pipe(env, t) + (end - t->snd_nxt),
		.app_limited = r->app_limited != 0 };
	r->marked = end;
}

void rate_app_limited(struct tcp_env *env, struct tcb *t)
{
	struct rate_rec *r = rec_of(env, ext_of(env, t));

	if (r)
		r->app_limited = r->delivered + (t->snd_nxt - t->snd_una) + 1;
}

void rate_lost(struct tcp_env *env, struct tcb *t, uint32_t bytes)
{
	struct rate_rec *r = rec_of(env, ext_of(env, t));

	if (r)
		r->lost += bytes;
}

void rate_marked(struct tcp_env *env, struct tcb *t, uint32_t bytes)
{
	struct rate_rec *r = rec_of(env, ext_of(env, t));

	if (r)
		r->ce += bytes;
}

void rate_again(struct tcp_env *env, struct tcb *t)
{
	struct rate_rec *r = rec_of(env, ext_of(env, t));

	if (!r)
		return;
	for (uint32_t i = 0; i < r->count; i++)
		r->mark[(r->head + i) % RATE_MARKS].again = true;
}

/* 4.1.2.3: the slower one of sending and acknowledging. */
static void measure(struct rate_rec *r, const struct rate_mark *m,
		    uint64_t now_us, struct cc_sample *out)
{
	uint64_t send = m->sent_us - m->first_sent_us;
	uint64_t ack = now_us - m->delivered_us;
	uint64_t interval = send > ack ? send : ack;

	out->prior_delivered = m->delivered;
	out->tx_in_flight = m->in_flight;
	out->lost_since = (uint32_t)(r->lost - m->lost);
	out->ce_since = (uint32_t)(r->ce - m->ce);
	out->app_limited = m->app_limited;
	out->rate = 0;
	if (interval)
		out->rate = (r->delivered - m->delivered) * 1000000 / interval;
	r->rate = out->rate ? out->rate : r->rate;
}

uint64_t rate_latest(const struct tcp_env *env, const struct tcb *t,
		     bool *app_limited)
{
	const struct rate_rec *r = rec_of(env, ext_of(env, t));

	*app_limited = r && r->app_limited;
	return r ? r->rate : 0;
}

/* All that was sent up to here has arrived, or what was sent later has. */
static seq_t arrived_up_to(const struct tcp_env *env, const struct tcb *t)
{
	const struct tcb_ext *x = ext_of(env, t);

	if (!t->sack || !x || !x->rec.known)
		return t->snd_una;
	return seq_max(t->snd_una, seq_min(x->rec.fack, t->snd_nxt));
}

bool rate_acked(struct tcp_env *env, struct tcb *t, uint32_t acked,
		struct cc_sample *out, uint32_t *rtt_us)
{
	struct rate_rec *r = rec_of(env, ext_of(env, t));
	seq_t there = arrived_up_to(env, t);
	bool any = false;

	*out = (struct cc_sample){ .acked = acked };
	if (!r)
		return false;
	r->delivered += acked;
	r->delivered_us = env->now.us;
	if (r->app_limited && r->delivered > r->app_limited)
		r->app_limited = 0;
	while (r->count && seq_leq(r->mark[r->head].end, there)) {
		const struct rate_mark *m = &r->mark[r->head];

		measure(r, m, env->now.us, out);
		if (!m->again)
			*rtt_us = (uint32_t)(env->now.us - m->sent_us);
		r->first_sent_us = m->sent_us;
		r->head = (r->head + 1) % RATE_MARKS;
		r->count--;
		any = true;
	}
	out->delivered = r->delivered;
	out->accurate = t->ecn == ECN_ACCURATE;
	out->lost = (uint32_t)(r->lost - r->lost_told);
	out->marked = (uint32_t)(r->ce - r->ce_told);
	r->lost_told = r->lost;
	r->ce_told = r->ce;
	if (!any)
		out->app_limited = r->app_limited != 0;
	return any;
}
