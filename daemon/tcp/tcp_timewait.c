/*
 * tcp_timewait.c - TIME_WAIT in 64 bytes a connection (RFC 9293 3.3.2)
 *
 *	tw.head -> oldest -> ... -> newest <- tw.tail
 *
 * All records wait equally long, so their list is in the order of expiry; a
 * peer's FIN that comes again moves its record to the end.  When there is no
 * record left the oldest goes early.  A newer SYN reopens the connection
 * (RFC 1122 4.2.2.13, RFC 6191); RST is ignored (RFC 1337).
 */
#include <string.h>

#include "tcp/env.h"

#define REUSE_MS	1000	/* our own connects: after a clock tick */

static void unlink_rec(struct tcp_env *env, uint32_t rec)
{
	struct tw_rec *w = tw_at(env, rec);

	if (w->prev)
		tw_at(env, w->prev)->next = w->next;
	else
		env->tw.head = w->next;
	if (w->next)
		tw_at(env, w->next)->prev = w->prev;
	else
		env->tw.tail = w->prev;
}

static void link_rec(struct tcp_env *env, uint32_t rec)
{
	struct tw_rec *w = tw_at(env, rec);

	w->due_ms = deadline_ms(env, env->cfg.time_wait_ms);
	w->next = 0;
	w->prev = env->tw.tail;
	if (w->prev)
		tw_at(env, w->prev)->next = rec;
	else
		env->tw.head = rec;
	env->tw.tail = rec;
}

void timewait_remove(struct tcp_env *env, uint32_t rec, uint32_t hash)
{
	struct tw_rec *w = tw_at(env, rec);

	flow_remove(env, hash, flow_ref(FLOW_TIME_WAIT, rec));
	unlink_rec(env, rec);
	w->live = 0;
	pool_put(&env->tws, rec);
	gauge(&env->stats.time_wait, -1);
}

static uint32_t get_rec(struct tcp_env *env)
{
	uint32_t rec = pool_get(&env->tws), oldest = env->tw.head;

	if (rec || !oldest)
		return rec;
	counter_add(&env->stats.time_wait_evicted, 1);
	timewait_remove(env, oldest, flow_hash(env, &tw_at(env, oldest)->tuple));
	return pool_get(&env->tws);
}

static void answer(struct tcp_env *env, const struct tw_rec *w, uint32_t hash)
{
	struct reply *r = reply_new(env, &w->tuple, TCP_ACK, w->snd_nxt,
				    w->rcv_nxt);
	struct tcp_opts o;

	if (!r)
		return;
	r->wnd = w->wnd;
	if (!w->has_ts)
		return;
	o.has = OPT_TS;
	o.tsval = tcp_ts_now(env, hash);
	o.tsecr = w->ts_recent;
	r->opt_len = tcp_opt_build(r->opts, &o);
}

static void fill(struct tw_rec *w, const struct tcb *t)
{
	w->tuple = t->tuple;
	w->snd_nxt = t->snd_max;
	w->rcv_nxt = t->rcv_nxt;
	w->ts_recent = t->ts_recent;
	w->has_ts = (t->flags & T_TS) != 0;
	w->wnd = (uint16_t)((t->rcv_adv - t->rcv_nxt) >> t->rcv_wscale);
	w->live = 1;
}

void timewait_enter(struct tcp_env *env, struct tcb *t)
{
	uint32_t rec = get_rec(env);

	timer_stop(env, t);
	reass_purge(env, t);
	if (rec && (t->flags & T_HASHED)) {
		fill(tw_at(env, rec), t);
		link_rec(env, rec);
		flow_replace(env, t->hash, flow_ref(FLOW_TCB, tcb_index(env, t)),
			     flow_ref(FLOW_TIME_WAIT, rec));
		t->flags &= ~T_HASHED;
		gauge(&env->stats.time_wait, 1);
		if (t->flags & (T_ACK_NOW | T_DELACK))
			answer(env, tw_at(env, rec), t->hash);
	}
	conn_unhash(env, t);
	t->flags &= ~(T_ACK_NOW | T_DELACK | T_REXMIT | T_PROBE | T_RECOVERY);
	conn_ext_put(env, t);
	if (!conn_put(env, t))
		conn_dirty(env, t);
}

/* RFC 6191 2: timestamps say, else sequence numbers. */
static bool is_newer(const struct tw_rec *w, const struct seg *s)
{
	if (w->has_ts && (s->opt.has & OPT_TS))
		return seq_gt(s->opt.tsval, w->ts_recent) ||
		       (s->opt.tsval == w->ts_recent &&
			seq_gt(s->seq, w->rcv_nxt));
	return seq_gt(s->seq, w->rcv_nxt);
}

bool timewait_in(struct tcp_env *env, uint32_t rec, uint32_t hash,
		 const struct seg *s, seq_t *iss_after)
{
	struct tw_rec *w = tw_at(env, rec);

	if (s->flags & TCP_RST) {
		drop(env, TCP_DROP_STATE);
		return false;
	}
	if ((s->flags & (TCP_SYN | TCP_ACK)) == TCP_SYN && is_newer(w, s) &&
	    listener_find(env, &w->tuple.local, w->tuple.lport)) {
		*iss_after = w->snd_nxt;
		timewait_remove(env, rec, hash);
		counter_add(&env->stats.time_wait_reused, 1);
		return true;
	}
	if ((s->flags & TCP_FIN) && s->seq + s->len + 1 == w->rcv_nxt) {
		unlink_rec(env, rec);		/* 2 MSL from now */
		link_rec(env, rec);
	} else if (seg_space(s) == 0 && s->seq == w->rcv_nxt) {
		return false;			/* an ACK: nothing to say */
	}
	drop(env, (s->flags & TCP_SYN) ? TCP_DROP_SYN_BAD : TCP_DROP_DUPLICATE);
	answer(env, w, hash);
	return false;
}

bool timewait_reusable(const struct tcp_env *env, const struct tw_rec *w)
{
	uint32_t age = env->cfg.time_wait_ms - (w->due_ms - now_ms(env));

	return w->has_ts && env->cfg.timestamps && (int32_t)age > REUSE_MS;
}

bool timewait_advance(struct tcp_env *env, int budget)
{
	while (env->tw.head) {
		uint32_t rec = env->tw.head;
		struct tw_rec *w = tw_at(env, rec);

		if ((int32_t)(now_ms(env) - w->due_ms) < 0)
			return false;
		if (budget-- == 0)
			return true;
		timewait_remove(env, rec, flow_hash(env, &w->tuple));
	}
	return false;
}
