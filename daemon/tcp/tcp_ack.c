/*
 * tcp_ack.c - what an acknowledgement means for what we send
 *
 *	new data acked -> rtt, extents freed, recovery or window growth, timer
 *	duplicate      -> the third one: fast retransmit (RFC 5681, 6582)
 *	window         -> snd_wnd by wl1, wl2 (RFC 9293 3.10.7.4)
 *
 * With SACK, losses are found and repaired by tcp_rack.c.  For peers without it
 * loss recovery is NewReno: in fast recovery a partial ACK retransmits the
 * next hole at once, and what was sent before the loss must be acknowledged
 * before another one may begin (`recover`).  After a timeout everything is
 * sent again from snd_una in slow start.
 */
#include <errno.h>

#include "tcp/env.h"

#define DUP_ACKS	3

/* ---- windows ---- */

void ack_window(struct tcb *t, const struct seg *s)
{
	if (seq_gt(t->snd_wl1, s->seq) ||
	    (t->snd_wl1 == s->seq && seq_gt(t->snd_wl2, s->ack)))
		return;
	t->snd_wnd = s->wnd;
	t->snd_wl1 = s->seq;
	t->snd_wl2 = s->ack;
	if (t->snd_wnd > t->max_snd_wnd)
		t->max_snd_wnd = t->snd_wnd;
}

/* ---- loss ---- */

static void enter_recovery(struct tcp_env *env, struct tcb *t)
{
	struct tcb_ext *x = conn_ext(env, t);

	if (!seq_gt(t->snd_una, x->recover))	/* RFC 6582 3.2, step 2 */
		return;
	/* A lost probe of the path MTU is no congestion (RFC 4821 7.6.2). */
	t->ssthresh = pmtu_lost(env, t) ? t->cwnd : cong_ssthresh(env, t);
	t->cwnd = t->ssthresh + DUP_ACKS * t->mss;
	x->recover = t->snd_max;
	cong_lost(env, t, t->mss, true);
	t->flags |= T_RECOVERY | T_REXMIT;
	t->flags &= ~T_PARTIAL;
	counter_add(&env->stats.fast_retransmits, 1);
}

/* RFC 6582 3.2, step 3; true: the timer is to be restarted. */
static bool recovery_acked(struct tcp_env *env, struct tcb *t, uint32_t acked)
{
	struct tcb_ext *x = conn_ext(env, t);
	uint32_t flight = t->snd_nxt - t->snd_una;
	bool first = !(t->flags & T_PARTIAL);

	if (seq_geq(t->snd_una, x->recover)) {		/* full */
		if (flight < t->mss)
			flight = t->mss;
		if (t->ssthresh < flight + t->mss)
			t->cwnd = t->ssthresh;
		else
			t->cwnd = flight + t->mss;
		t->flags &= ~(T_RECOVERY | T_PARTIAL | T_REXMIT);
		t->dupacks = 0;
		x->recover = t->snd_una - 1;
		return true;
	}
	cong_lost(env, t, t->mss, true);
	t->flags |= T_REXMIT | T_PARTIAL;
	t->cwnd = t->cwnd > acked ? t->cwnd - acked : 0;
	if (acked >= t->mss)
		t->cwnd += t->mss;
	if (t->cwnd < t->mss)
		t->cwnd = t->mss;
	return first;
}

static bool is_duplicate(const struct tcb *t, const struct seg *s)
{
	return s->len == 0 && !(s->flags & (TCP_SYN | TCP_FIN)) &&
	       t->snd_una != t->snd_max && t->snd_nxt != t->snd_una &&
	       s->wnd == t->snd_wnd;
}

/* No more segments have left the network than were in it when the loss was
 * seen, however many duplicates come (RFC 5681 3.2, step 4). */
static bool may_inflate(const struct tcp_env *env, const struct tcb *t)
{
	uint32_t out = ext_of(env, t)->recover - t->snd_una;

	return t->cwnd < (uint64_t)t->ssthresh + out;
}

static void duplicate(struct tcp_env *env, struct tcb *t)
{
	counter_add(&env->stats.dup_acks_in, 1);
	if (t->dupacks < 31)
		t->dupacks++;
	if (t->flags & T_RECOVERY)
		t->cwnd += may_inflate(env, t) ? t->mss : 0;
	else if (t->dupacks == DUP_ACKS)
		enter_recovery(env, t);
	conn_dirty(env, t);
}

void ack_timeout(struct tcp_env *env, struct tcb *t)
{
	struct tcb_ext *x = conn_ext(env, t);

	counter_add(&env->stats.timeouts, 1);
	if (t->retries == 0)			/* RFC 5681 3.1, (4) */
		t->ssthresh = cong_ssthresh(env, t);
	cong_event(env, t, CC_TIMEOUT);
	cong_lost(env, t, t->snd_nxt - t->snd_una, true);
	t->cwnd = t->mss;
	t->dupacks = 0;
	x->recover = t->snd_max;		/* RFC 6582 4, step 4 */
	t->flags &= ~(T_RECOVERY | T_PARTIAL | T_TIMING);
	t->flags |= T_REXMIT;
	send_rewind(env, t);
}

/* ---- progress ---- */

static void take_rtt(struct tcp_env *env, struct tcb *t, const struct seg *s)
{
	uint32_t ms;

	if ((t->flags & T_TIMING) && seq_gt(s->ack, t->rtt_seq)) {
		t->flags &= ~T_TIMING;
		rtt_sample(env, t, (uint32_t)env->now.us - t->rtt_us);
	} else if (!(t->flags & T_TIMING) && (t->flags & T_TS) &&
		   (s->opt.has & OPT_TS) && s->opt.tsecr) {
		ms = tcp_ts_now(env, t->hash) - s->opt.tsecr;
		if (ms <= 60000)
			rtt_sample(env, t, ms ? ms * 1000 : 500);
	}
}

/* With SACK.  A lone segment that is acknowledged needs no records. */
static void ack_sack(struct tcp_env *env, struct tcb *t, const struct seg *s,
		     struct xmit_news *n, uint32_t acked, uint32_t flight)
{
	if (t->ext || (s->opt.has & OPT_SACK)) {
		rec_ack(env, t, s, n, acked, flight);
		return;
	}
	cong_acked(env, t, acked, flight);
	if (t->snd_nxt == t->snd_una)
		t->rtx_ms = 0;
	else
		rec_timer(env, t);
}

static void ack_reno(struct tcp_env *env, struct tcb *t, uint32_t acked,
		     uint32_t flight)
{
	bool restart = true;

	if (t->flags & T_RECOVERY) {
		restart = recovery_acked(env, t, acked);
		if (t->flags & T_RECOVERY)
			cong_recovering(env, t, acked);
		else
			cong_recovered(env, t, acked);
	} else {
		t->dupacks = 0;
		cong_acked(env, t, acked, flight);
	}
	if (t->snd_nxt == t->snd_una)
		t->rtx_ms = 0;		/* tcp_out() sets it if need be */
	else if (restart)		/* RFC 6298 5.3 */
		timer_rtx_start(env, t);
}

static void progress(struct tcp_env *env, struct tcb *t, const struct seg *s)
{
	struct xmit_news n = { 0 };
	uint32_t flight = t->snd_nxt - t->snd_una;
	uint32_t acked = s->ack - t->snd_una;

	env->ack_rtt_us = 0;
	take_rtt(env, t, s);
	if (t->sack && t->ext && ext_of(env, t)->sent.head)
		xmit_acked(env, t, s->ack, &n);
	else
		n.delivered = acked;	/* a lone one */
	send_acked(env, t, s->ack);
	t->snd_una = s->ack;
	if (seq_lt(t->snd_nxt, s->ack)) {
		t->snd_nxt = s->ack;
		t->snd_cur = t->snd_head;
	}
	t->retries = t->backoff = 0;
	t->moved_ms = now_ms(env);
	pmtu_acked(env, t);
	if (t->sack)
		ack_sack(env, t, s, &n, acked, flight);
	else
		ack_reno(env, t, acked, flight);
	if (seq_lt(t->snd_sml, t->snd_una))
		t->snd_sml = t->snd_una;
	send_limit_update(env, t);
	if (t->snd_una == t->snd_max)
		conn_ext_put(env, t);
	if (snd_pending(t) || (t->flags & (T_WANT_SENT | T_REXMIT)))
		conn_dirty(env, t);
}

/* Nothing new is acknowledged, but perhaps something reported. */
static void standing(struct tcp_env *env, struct tcb *t, const struct seg *s)
{
	struct xmit_news n = { 0 };
	bool again = is_duplicate(t, s);

	if (!t->sack) {
		if (again)
			duplicate(env, t);
		return;
	}
	if (again)
		counter_add(&env->stats.dup_acks_in, 1);
	if ((s->opt.has & OPT_SACK) || (again && t->ext)) {
		env->ack_rtt_us = 0;
		rec_ack(env, t, s, &n, 0, t->snd_nxt - t->snd_una);
		conn_dirty(env, t);
		if (t->snd_una == t->snd_max)
			conn_ext_put(env, t);
	}
}

void ack_in(struct tcp_env *env, struct tcb *t, const struct seg *s)
{
	uint32_t wnd = t->snd_wnd;

	if (seq_gt(s->ack, t->snd_una))
		progress(env, t, s);
	else if (s->ack == t->snd_una)
		standing(env, t, s);
	if (seq_geq(s->ack, t->snd_una))
		ack_window(t, s);
	if (t->snd_wnd == 0 || t->snd_nxt == t->snd_una)
		t->retries = 0;		/* RFC 9293 3.8.6.1: it is there */
	if (t->snd_wnd > wnd && seq_lt(t->snd_nxt, t->snd_end)) {
		if (wnd == 0 && t->snd_nxt == t->snd_una) {
			t->backoff = 0;
			t->rtx_ms = 0;
		}
		conn_dirty(env, t);
	}
	if (t->snd_una == t->snd_max)	/* else tcp_out() notes it */
		flight_note(env, t);
}
