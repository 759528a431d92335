/*
 * tcp_cong.c - between a connection and its congestion control
 *
 * An algorithm (cc.h) sees a window and its own state.  What is the same for
 * all of them is here: that cwnd grows only while it is what holds sending
 * back, that it shrinks while it is not (RFC 7661, by Linux's rule), restarting
 * after an idle time, and for how long an idle connection keeps what its
 * algorithm learned.
 */
#include "tcp/env.h"

#define VALID_PERCENT	75u	/* of cwnd: ssthresh where it was not used */
#define KEEP_MS		10000u	/* what was learned, without data in flight */

void cong_view(const struct tcp_env *env, const struct tcb *t,
	       struct cc_window *w)
{
	w->cwnd = t->cwnd;
	w->ssthresh = t->ssthresh;
	w->mss = t->mss;
	w->flight = t->snd_nxt - t->snd_una;
	w->srtt_us = t->srtt_us;
	w->rtt_us = env->ack_rtt_us;
	w->now_ms = now_ms(env);
	w->now_us = (uint32_t)env->now.us;
	w->snd_una = t->snd_una;
	w->snd_nxt = t->snd_nxt;
	w->paced = pace_is_on(env, t);
	w->css = false;
	w->rate = 0;
}

void cong_init(const struct tcp_env *env, const struct tcb *t,
	       struct tcb_ext *x)
{
	struct cc_window w;

	cong_view(env, t, &w);
	cc_at(t->cc)->init(&x->cc, &w);
}

void cong_choose(struct tcp_env *env, struct tcb *t, uint32_t number)
{
	struct tcb_ext *x = ext_of(env, t);

	if (number == CMD_CC_DEFAULT)
		number = env->cc;
	if (number == t->cc)
		return;
	t->cc = number & 7u;
	if (!x)
		return;
	x->pace_rate = 0;
	cong_init(env, t, x);
}

/* The most that was in flight in the window that this ACK is of: the last ACKs
 * of a burst tell of the burst's window, not of what is left of it. */
static uint32_t most_in_flight(const struct tcp_env *env, const struct tcb *t,
			       uint32_t flight)
{
	struct tcb_ext *x = ext_of(env, t);

	if (!x)
		return flight;
	if (!x->flight || flight > x->flight ||
	    seq_gt(t->snd_una, x->flight_end)) {
		x->flight = flight;
		x->flight_end = t->snd_nxt;
	}
	return x->flight;
}

/* cwnd was used: half of it in slow start, where it doubles meanwhile, else
 * all of it (RFC 7661 4.2, RFC 9438 5.8). */
static bool limited(const struct tcb *t, uint32_t flight)
{
	if (t->cwnd < t->ssthresh)
		return 2 * (uint64_t)flight >= t->cwnd;
	return flight + t->mss >= t->cwnd;
}

/* Those that model the path take every ACK, app-limited ones too. */
static void sampled(struct tcp_env *env, struct tcb *t, uint32_t acked)
{
	struct tcb_ext *x = conn_ext(env, t);
	struct cc_sample rs;
	struct cc_window w;
	uint32_t rtt_us = 0;

	rate_acked(env, t, acked, &rs, &rtt_us);
	cong_view(env, t, &w);
	w.rtt_us = rtt_us;
	w.flight = rec_pipe(env, t);
	cc_at(t->cc)->sample(&x->cc, &w, &rs);
	if (t->sack || !(t->flags & T_RECOVERY))	/* it counts duplicates */
		t->cwnd = w.cwnd < CC_CWND_MAX ? w.cwnd : CC_CWND_MAX;
	x->pace_rate = w.rate;
}

void cong_recovering(struct tcp_env *env, struct tcb *t, uint32_t acked)
{
	if (cc_at(t->cc)->sample)
		sampled(env, t, acked);
}

void cong_recovered(struct tcp_env *env, struct tcb *t, uint32_t acked)
{
	if (!cc_at(t->cc)->sample)
		return;
	if (!t->sack && t->cwnd < t->ssthresh &&
	    t->ssthresh != CC_SSTHRESH_NONE)
		t->cwnd = t->ssthresh;	/* as before the loss; it is paced */
	sampled(env, t, acked);
}

bool cong_samples(const struct tcb *t)
{
	return cc_at(t->cc)->sample != NULL;
}

void cong_lost(struct tcp_env *env, struct tcb *t, uint32_t bytes, bool all)
{
	rate_lost(env, t, bytes);
	if (all)
		rate_again(env, t);
}

/*
 * What a window says of the path is worth less for every RTO in which not all
 * of it was used.  RFC 7661 lets it stand for five minutes and goes down to
 * pipeACK at the first loss; Linux goes half the way down to what was used, to
 * the initial window at least, once an RTO, and so does this: ssthresh keeps
 * three quarters of what it was, and slow start brings it back in no time.
 */
static void shrink_unused(struct tcp_env *env, struct tcb *t, uint32_t flight)
{
	uint32_t least = env->cfg.initial_cwnd * t->mss, kept;
	struct tcb_ext *x;

	if (t->cwnd <= least || (t->flags & (T_RECOVERY | T_WANT_SENT)))
		return;
	x = conn_ext(env, t);
	if (!x->unused) {
		x->unused = 1;
		x->unused_ms = now_ms(env);
		x->used = 0;
	}
	if (flight > x->used)
		x->used = flight;
	if (now_ms(env) - x->unused_ms < t->rto_ms)
		return;
	x->unused = 0;
	least = x->used > least ? x->used : least;
	if (least >= t->cwnd)
		return;
	kept = (uint32_t)((uint64_t)t->cwnd * VALID_PERCENT / 100);
	if (t->ssthresh < kept)
		t->ssthresh = kept;
	t->cwnd = (t->cwnd + least) / 2;
	cong_event(env, t, CC_IDLE);
}

void cong_acked(struct tcp_env *env, struct tcb *t, uint32_t acked,
		uint32_t flight)
{
	struct cc_window w;
	uint32_t used;

	if (cc_at(t->cc)->sample) {
		sampled(env, t, acked);
		return;
	}
	used = most_in_flight(env, t, flight);
	if (!limited(t, used)) {
		shrink_unused(env, t, used);
		return;
	}
	if (t->ext)
		ext_of(env, t)->unused = 0;
	if (env->ack_marked)
		return;
	cong_view(env, t, &w);
	w.flight = flight;
	cc_at(t->cc)->acked(&conn_ext(env, t)->cc, &w, acked);
	t->cwnd = w.cwnd < CC_CWND_MAX ? w.cwnd : CC_CWND_MAX;
	t->ssthresh = w.ssthresh;
	if (w.css)
		counter_add(&env->stats.hystart_exits, 1);
}

uint32_t cong_ssthresh(struct tcp_env *env, struct tcb *t)
{
	struct cc_window w;

	cong_view(env, t, &w);
	return cc_at(t->cc)->ssthresh(&conn_ext(env, t)->cc, &w);
}

/* A model learns of marks by its next sample.  Classic ECN repeats one until
 * CWR: that it was there is all it says. */
static void sample_marks(struct tcp_env *env, struct tcb *t, struct tcb_ext *x,
			 uint32_t acked, uint32_t marked)
{
	if (t->ecn == ECN_ACCURATE) {
		rate_marked(env, t, marked);
		return;
	}
	if (x->cwr && seq_leq(t->snd_una + acked, x->cwr_end))
		return;
	rate_marked(env, t, t->mss);
	x->cwr = 1;
	x->cwr_end = t->snd_max;
	t->ecn_cwr = 1;
}

/* RFC 3168 6.1.2: as for a loss, and no more than once a window. */
void cong_marked(struct tcp_env *env, struct tcb *t, uint32_t acked,
		 uint32_t marked)
{
	const struct cc_ops *cc = cc_at(t->cc);
	struct tcb_ext *x = conn_ext(env, t);
	struct cc_window w;

	if (cc->sample) {
		if (marked)
			sample_marks(env, t, x, acked, marked);
		return;
	}
	if (cc->marked) {
		cong_view(env, t, &w);
		w.snd_una += acked;
		cc->marked(&x->cc, &w, acked, marked);
	}
	env->ack_marked = marked != 0;
	if (!marked || (t->flags & T_RECOVERY) ||
	    (x->cwr && seq_leq(t->snd_una + acked, x->cwr_end)))
		return;
	t->ssthresh = cong_ssthresh(env, t);
	t->cwnd = t->ssthresh;
	x->cwr = 1;
	x->cwr_end = t->snd_max;
	t->ecn_cwr = t->ecn == ECN_CLASSIC;
}

void cong_event(struct tcp_env *env, struct tcb *t, enum cc_event e)
{
	struct tcb_ext *x = ext_of(env, t);
	struct cc_window w;

	if (!x)
		return;
	cong_view(env, t, &w);
	cc_at(t->cc)->event(&x->cc, &w, e);
}

/* RFC 6928 2, for any number of segments: full ones of Ethernet, but no less
 * than two of what this path carries. */
uint32_t cong_initial(const struct tcp_env *env, const struct tcb *t)
{
	uint32_t iw = env->cfg.initial_cwnd *
		      (t->mss < 1460u ? t->mss : 1460u);

	return iw < 2u * t->mss ? 2u * t->mss : iw;
}

/* RFC 5681 4.1 would have the initial window after one idle RTO; as RFC 2861
 * and Linux do, the window is halved for each of them instead, down to that. */
void cong_idle(struct tcp_env *env, struct tcb *t)
{
	uint32_t iw = env->cfg.initial_cwnd * t->mss;
	uint32_t idle_ms = now_ms(env) - t->moved_ms;
	uint32_t kept = t->cwnd - t->cwnd / 4;

	if (idle_ms <= t->rto_ms)
		return;
	if (cong_samples(t)) {		/* paced at a rate that it knows */
		cong_event(env, t, CC_IDLE);
		counter_add(&env->stats.idle_restarts, 1);
		return;
	}
	if (t->cwnd <= iw)
		return;
	if (t->ssthresh < kept)
		t->ssthresh = kept;
	for (; idle_ms > t->rto_ms && t->cwnd > iw; idle_ms -= t->rto_ms)
		t->cwnd /= 2;
	if (t->cwnd < iw)
		t->cwnd = iw;
	cong_event(env, t, CC_IDLE);
	counter_add(&env->stats.idle_restarts, 1);
}

bool cong_keeps(const struct tcp_env *env, const struct tcb *t)
{
	const struct cc_ops *cc = cc_at(t->cc);
	const struct tcb_ext *x = ext_of(env, t);

	return x && (rec_keeps(&x->rec) || x->unused || (cc->keeps && cc->keeps(&x->cc)));
}

void cong_rest(const struct tcp_env *env, struct tcb *t)
{
	if (!cong_keeps(env, t))
		t->rtx_ms = 0;
	else if (!t->rtx_ms)
		t->rtx_ms = deadline_ms(env, KEEP_MS);
}
