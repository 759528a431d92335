/*
 * tcp_timer.c - everything that happens because time passes
 *
 * A connection has one node in the wheel, for the earliest of its deadlines:
 *
 *	rtx_ms	retransmission of data, SYN or FIN (RFC 6298), doubling up to
 *		`retries` times (R2, RFC 9293 3.8.3); or, with nothing in
 *		flight, persist: a probe of a closed window, doubling, for as
 *		long as the peer answers; or the end of corking (200 ms); or,
 *		with nothing to send at all, of what congestion control keeps
 *	ack_ms	delayed ACK (RFC 9293 3.8.6.3)
 *	idle_ms	keepalive (RFC 1122 4.2.3.6); FIN_WAIT_2 of an orphan
 *
 * moved_ms bounds all of it: user timeout (RFC 5482), and orphans, which
 * nobody waits for, get fin_wait2_ms without progress.
 *
 * The node is moved only to an earlier instant; when it comes and nothing is
 * due it is set anew, so that a busy connection hardly touches the wheel.
 * Half-open and TIME_WAIT records have lists in the order of their instants
 * (tcp_listen.c, tcp_timewait.c).
 */
#include <errno.h>

#include "tcp/env.h"

#define BATCH	128	/* timers and records a call */
#define QUICK_AGAIN 4	/* full segments acked at once after a delayed ACK */

static bool is_due(const struct tcp_env *env, uint32_t at_ms)
{
	return at_ms && (int32_t)(now_ms(env) - at_ms) >= 0;
}

static uint32_t earlier(uint32_t a, uint32_t b)
{
	if (!a || !b)
		return a | b;
	return (int32_t)(a - b) < 0 ? a : b;
}

static mono_t instant(const struct tcp_env *env, uint32_t at_ms)
{
	int64_t ms = (int64_t)(env->now.us / 1000) +
		     (int32_t)(at_ms - now_ms(env));

	return (mono_t){ ms > 0 ? (uint64_t)ms * 1000 : 1 };
}

/* tcp_init() is not told the time, and the wheel cannot leap by weeks. */
static void start_wheel(struct tcp_env *env)
{
	wheel_init(&env->wheel, env->tcbs.base, sizeof(struct tcb),
		   offsetof(struct tcb, timer), env->now);
}

void timer_sync(struct tcp_env *env, struct tcb *t)
{
	uint32_t at = earlier(earlier(t->rtx_ms, t->ack_ms), t->idle_ms);
	uint32_t conn = tcb_index(env, t);

	if (!env->wheel.base)
		start_wheel(env);
	if (!at || (wheel_is_set(&env->wheel, conn) &&
		    (int32_t)(at - t->timer.tick) >= 0))
		return;
	wheel_set(&env->wheel, conn, instant(env, at));
}

void timer_stop(struct tcp_env *env, struct tcb *t)
{
	t->rtx_ms = t->ack_ms = t->idle_ms = 0;
	if (env->wheel.base)
		wheel_cancel(&env->wheel, tcb_index(env, t));
}

void timer_rtx_start(struct tcp_env *env, struct tcb *t)
{
	t->rtx_ms = deadline_ms(env, rtt_rto_ms(t));
	t->waits = REC_RTO;
}

static uint32_t keep_idle_ms(const struct tcp_env *env, const struct tcb *t)
{
	const struct tcb_set *set = set_of(env, t);

	return 1000 * (set->keep_idle_s ? set->keep_idle_s : env->cfg.keep_idle_s);
}

/* TCP_LINGER2 over the default; -1 is at once. */
static uint32_t fin_wait2_ms(const struct tcp_env *env, const struct tcb *t)
{
	uint32_t ms = set_of(env, t)->linger2_ms;

	if (ms == UINT32_MAX)
		return 0;
	return ms ? ms : env->cfg.fin_wait2_ms;
}

void timer_idle_start(struct tcp_env *env, struct tcb *t)
{
	t->idle_ms = 0;
	if ((t->flags & T_CLOSED) && t->state == TCP_FIN_WAIT_2)
		t->idle_ms = deadline_ms(env, fin_wait2_ms(env, t));
	else if ((t->flags & T_KEEPALIVE) && t->state >= TCP_ESTABLISHED)
		t->idle_ms = deadline_ms(env, keep_idle_ms(env, t));
	timer_sync(env, t);
}

/* ---- what is due ---- */

static bool syn_timeout(struct tcp_env *env, struct tcb *t)
{
	uint32_t most = set_of(env, t)->syn_count;

	if (t->listener)		/* Fast Open: it is a SYN-ACK */
		most = env->cfg.syn_ack_retries;
	else
		tfo_unanswered(env, t);
	if (t->retries >= (most ? most : env->cfg.syn_retries)) {
		counter_add(&env->stats.connect_failures, 1);
		conn_end(env, t, t->soft_error ? t->soft_error : ETIMEDOUT);
		return false;
	}
	t->retries++;
	t->backoff++;
	t->flags |= T_SYN_DUE;
	conn_dirty(env, t);
	return true;
}

static bool give_up(const struct tcp_env *env, const struct tcb *t)
{
	uint32_t still = now_ms(env) - t->moved_ms;
	uint32_t user_ms = set_of(env, t)->user_timeout_ms;

	return t->retries >= env->cfg.retries ||
	       (user_ms && still >= user_ms) ||
	       ((t->flags & T_CLOSED) && still >= env->cfg.fin_wait2_ms);
}

static bool rtx_due(struct tcp_env *env, struct tcb *t)
{
	t->rtx_ms = 0;
	if (t->state == TCP_SYN_SENT || t->state == TCP_SYN_RECEIVED)
		return syn_timeout(env, t);
	if (give_up(env, t)) {
		conn_abort(env, t, t->soft_error ? t->soft_error : ETIMEDOUT);
		return false;
	}
	if (t->snd_nxt != t->snd_una && t->sack && xmit_ready(env, t)) {
		rec_due(env, t);
		return true;
	} else if (t->snd_nxt != t->snd_una) {
		pmtu_timeout(env, t);
		ack_timeout(env, t);
	} else if (!snd_pending(t)) {
		if (t->ecn != ECN_ACCURATE)
			conn_ext_drop(env, t);
		return true;
	} else if (t->snd_wnd != 0) {
		t->flags |= T_PUSH;
		conn_dirty(env, t);
		return true;
	} else {
		t->flags |= T_PROBE;
	}
	t->retries++;
	if (t->backoff < 16)
		t->backoff++;
	timer_rtx_start(env, t);
	conn_dirty(env, t);
	return true;
}

static bool idle_due(struct tcp_env *env, struct tcb *t)
{
	uint32_t idle = keep_idle_ms(env, t);
	uint32_t still = now_ms(env) - t->heard_ms;
	const struct tcb_set *set = set_of(env, t);
	uint32_t cnt = set->keep_cnt ? set->keep_cnt : env->cfg.keep_cnt;
	uint32_t intvl = set->keep_intvl_s ? set->keep_intvl_s :
					     env->cfg.keep_intvl_s;

	t->idle_ms = 0;
	if ((t->flags & T_CLOSED) && t->state == TCP_FIN_WAIT_2) {
		conn_end(env, t, 0);
		return false;
	}
	if (!(t->flags & T_KEEPALIVE))
		return true;
	if (still < idle || t->snd_una != t->snd_max) {
		t->idle_ms = deadline_ms(env, still < idle ? idle - still : idle);
		return true;
	}
	if (t->keep_probes >= cnt) {
		conn_abort(env, t, ETIMEDOUT);
		return false;
	}
	t->keep_probes++;
	t->flags |= T_KEEP_PROBE;
	conn_dirty(env, t);
	t->idle_ms = deadline_ms(env, intvl * 1000);
	return true;
}

static void fire(struct tcp_env *env, struct tcb *t)
{
	if (!(t->flags & T_LIVE))
		return;		/* freed by another of the batch */
	if (is_due(env, t->rtx_ms) && !rtx_due(env, t))
		return;
	if (is_due(env, t->idle_ms) && !idle_due(env, t))
		return;
	if (is_due(env, t->ack_ms)) {
		t->ack_ms = 0;
		/* nobody answers here */
		if (env->cfg.quick_acks && t->quick < QUICK_AGAIN)
			t->quick = QUICK_AGAIN;
		t->flags |= T_ACK_NOW;
		conn_dirty(env, t);
	}
	timer_sync(env, t);
}

bool tcp_advance(struct tcp_env *env, mono_t now)
{
	uint32_t due[BATCH];
	bool more;
	int n;

	env->now = now;
	if (!env->wheel.base)
		start_wheel(env);
	n = wheel_advance(&env->wheel, now, due, BATCH);
	for (int i = 0; i < n; i++)
		fire(env, tcb_at(env, due[i]));
	pace_advance(env, due, BATCH);
	more = syn_advance(env, BATCH);
	more |= timewait_advance(env, BATCH);
	return more || !mono_before(now, wheel_next_due(&env->wheel)) ||
	       !mono_before(now, pace_next_due(env));
}

mono_t tcp_next_due(const struct tcp_env *env)
{
	mono_t due = MONO_NEVER, other, pace = pace_next_due(env);
	uint32_t at = syn_next_ms(env);

	if (env->wheel.base)
		due = wheel_next_due(&env->wheel);
	if (mono_before(pace, due))
		due = pace;
	if (env->tw.head)
		at = earlier(at, tw_at(env, env->tw.head)->due_ms);
	if (!at)
		return due;
	other = instant(env, at);
	return mono_before(other, due) ? other : due;
}
