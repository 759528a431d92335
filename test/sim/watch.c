#include "watch.h"

#include <stdio.h>

#include "base/log.h"
#include "tcp/tcp_rack.h"

/* Says what it was about, then aborts. */
static void must(bool holds, const struct tcp_env *env, const struct tcb *t,
		 const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "%.6f s, connection %u, %s: una +0, nxt +%u, max +%u, "
		"end +%u, cwnd %u, out %u, wnd %u, mss %u, flags %x; rcv_nxt +0, "
		"adv +%u, told +%u\n",
		(double)env->now.us / 1e6, tcb_index(env, t),
		tcp_state_name(t->state), t->snd_nxt - t->snd_una,
		t->snd_max - t->snd_una, t->snd_end - t->snd_una, t->cwnd,
		t->sack ? rec_pipe(env, t) : t->snd_nxt - t->snd_una,
		t->snd_wnd, t->mss, t->flags, t->rcv_adv - t->rcv_nxt,
		t->rcv_nxt - t->rcv_told);
	ENSURE(false, what);
}

/* Its own stream may still have something to send. */
static bool carries_data(const struct tcb *t)
{
	return t->state == TCP_ESTABLISHED || t->state == TCP_CLOSE_WAIT ||
	       t->state == TCP_FIN_WAIT_1 || t->state == TCP_CLOSING ||
	       t->state == TCP_LAST_ACK;
}

/* ---- sending ---- */

static uint32_t in_flight(const struct tcp_env *env, const struct tcb *t)
{
	return t->sack ? rec_pipe(env, t) : t->snd_nxt - t->snd_una;
}

static void look_cwnd(const struct tcp_env *env, const struct tcb *t,
		      const struct watch_conn *c)
{
	const struct tcb_ext *x = ext_of(env, t);
	uint32_t most = t->cwnd + 2u * t->mss + 1;	/* RFC 3042, and a FIN */

	if (!seq_gt(t->snd_max, c->snd_max) || !carries_data(t))
		return;
	if (x && x->pmtu_probe)
		most += x->pmtu_probe;
	if (x && x->rec.probing && most < c->out + t->mss)
		most = c->out + t->mss;		/* RFC 8985 7.3 */
	must(in_flight(env, t) <= most, env, t,
	     "no more in flight than cwnd allows");
}

/* It waits, and for no more than a second. */
static bool paced(const struct tcp_env *env, const struct tcb *t)
{
	return t->ext && env->pace.base && wheel_is_set(&env->pace, t->ext) &&
	       ext_of(env, t)->pace_ns <= (env->now.us + 1000000) * 1000;
}

static void look_silence(const struct tcp_env *env, const struct tcb *t)
{
	uint32_t flight = t->snd_nxt - t->snd_una, out = in_flight(env, t);
	uint32_t next = t->snd_end - t->snd_nxt;

	if (!carries_data(t) || (t->flags & T_DIRTY) ||
	    !seq_lt(t->snd_nxt, t->snd_end) ||
	    (next < t->mss && !(t->flags & T_FIN_QUEUED)))
		return;
	if (next > t->mss)
		next = t->mss;
	if (out + next <= t->cwnd && flight + next <= t->snd_wnd)
		must(paced(env, t), env, t, "what may be sent is sent");
}

/* ---- receiving ---- */

static void look_window(const struct tcp_env *env, const struct tcb *t)
{
	if (t->state == TCP_ESTABLISHED && !(t->flags & (T_DIRTY | T_CLOSED)) &&
	    t->rcv_adv == t->rcv_nxt)
		must(!recv_update_due(env, t), env, t,
		     "a window that opens is told");
}

static bool covered(const struct watch_conn *now, seq_t left, seq_t right)
{
	for (uint32_t i = 0; i < now->ranges; i++)
		if (seq_leq(now->range[i].left, left) &&
		    seq_leq(right, now->range[i].right))
			return true;
	return now->ranges == WATCH_RANGES;	/* perhaps further up */
}

static void remember_ranges(const struct tcp_env *env, const struct tcb *t,
			    struct watch_conn *c)
{
	uint32_t i = 0;
	struct ooo_run r;

	c->ranges = 0;
	while ((i = reass_next(env, t, i, &r)) && c->ranges < WATCH_RANGES) {
		c->range[c->ranges].left = r.left;
		c->range[c->ranges++].right = r.right;
	}
}

static void look_kept(const struct tcp_env *env, const struct tcb *t,
		      const struct watch_conn *was,
		      const struct watch_conn *now)
{
	if (!t->sack || (t->flags & (T_RD_SHUT | T_CLOSED)))
		return;
	for (uint32_t i = 0; i < was->ranges; i++) {
		seq_t left = seq_max(was->range[i].left, t->rcv_nxt);

		if (seq_lt(left, was->range[i].right))
			must(covered(now, left, was->range[i].right), env, t,
		     "what was reported by SACK is kept");
	}
}

/* ---- all of it ---- */

static void look_numbers(const struct tcp_env *env, const struct tcb *t,
			 const struct watch_conn *was)
{
	must(seq_geq(t->snd_una, was->snd_una), env, t,
		     "snd_una never goes back");
	must(seq_geq(t->snd_max, was->snd_max), env, t,
		     "nor snd_max");
	must(seq_geq(t->rcv_nxt, was->rcv_nxt), env, t,
		     "nor rcv_nxt");
	must(seq_geq(t->rcv_adv, was->rcv_adv), env, t,
		     "a window is not taken back");
}

static void look_conn(struct watch *w, const struct tcp_env *env, uint32_t i)
{
	const struct tcb *t = tcb_at(env, i);
	struct watch_conn *was = &w->conn[i], now = { 0 };
	bool gave_up = w->given_up != counter_get(&env->stats.ooo_given_up);

	now.live = (t->flags & T_LIVE) && t->state >= TCP_ESTABLISHED &&
		   t->state != TCP_TIME_WAIT && t->state != TCP_CLOSED;
	if (now.live) {
		now.generation = t->user.generation;
		now.client = t->user.client;
		now.snd_max = t->snd_max;
		now.out = in_flight(env, t);
		now.snd_una = t->snd_una;
		now.rcv_nxt = t->rcv_nxt;
		now.rcv_adv = t->rcv_adv;
		remember_ranges(env, t, &now);
		look_silence(env, t);
		look_window(env, t);
		if (was->live && was->generation == now.generation) {
			look_numbers(env, t, was);
			look_cwnd(env, t, was);
			if (!gave_up && was->client == now.client)
				look_kept(env, t, was, &now);
		}
	}
	*was = now;
}

void watch_look(struct watch *w, const struct tcp_env *env)
{
	for (uint32_t i = 1; i < env->tcbs.fresh && i < WATCH_CONNS; i++)
		look_conn(w, env, i);
	w->given_up = counter_get(&env->stats.ooo_given_up);
}
