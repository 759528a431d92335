/*
 * tcp_check.c - walks every structure and aborts on a broken invariant
 *
 * For tests: takes time in proportion to everything that was ever in use.
 */
#include <string.h>

#include "base/log.h"
#include "tcp/env.h"

struct tally { uint32_t conns, extents, runs, exts, sets, xmits; };

/* A gapless list from @from to @to; the last extent must be @tail. */
static uint32_t check_queue(const struct tcp_env *env, const struct tcb *t,
			    uint32_t head, uint32_t tail, seq_t from, seq_t to)
{
	const struct arena *a = arena_of(env, t);
	uint32_t n = 0, last = 0;

	for (uint32_t i = head; i; i = extent_at(env, i)->next) {
		const struct extent *e = extent_at(env, i);

		ENSURE(i < env->extents.fresh, "extents are the pool's");
		ENSURE(e->len > 0, "an extent holds something");
		ENSURE(e->seq == from, "a queue has no gap");
		ENSURE(a && block_valid(a, e->block), "of the client's arena");
		ENSURE(block_meta(a, e->block)->refs > 0, "referenced");
		ENSURE(e->off + e->len <= block_meta(a, e->block)->fill,
		       "only bytes that were filled");
		from += e->len;
		last = i;
		n++;
	}
	ENSURE(last == tail, "the tail is the last");
	ENSURE(from == to, "a queue ends where its numbers say");
	return n;
}

/* The cursor's extent holds @seq, or @seq is the end and it is 0. */
static void check_send_cursor(const struct tcp_env *env, const struct tcb *t)
{
	const struct extent *e;
	seq_t at = t->snd_nxt == t->iss ? t->iss + 1 : t->snd_nxt;

	if (seq_geq(at, t->snd_end)) {
		ENSURE(!t->snd_cur, "nothing is left to send");
		return;
	}
	ENSURE(t->snd_cur, "something is left to send");
	e = extent_at(env, t->snd_cur);
	ENSURE(seq_in(at, e->seq, e->len), "snd_cur holds snd_nxt");
}

static void check_recv_cursor(const struct tcp_env *env, const struct tcb *t)
{
	const struct extent *e;

	ENSURE(seq_leq(t->rcv_read, t->rcv_told) &&
	       seq_leq(t->rcv_told, rcv_data_end(t)), "announced in order");
	if (!t->rcv_ann) {
		ENSURE(t->rcv_told == rcv_data_end(t), "nothing to announce");
		return;
	}
	e = extent_at(env, t->rcv_ann);
	ENSURE(seq_leq(e->seq, t->rcv_told) &&
	       seq_leq(t->rcv_told, e->seq + e->len), "rcv_ann holds rcv_told");
}

static uint32_t check_run(const struct tcp_env *env, const struct ooo_run *r)
{
	uint32_t last = 0, count = 0;
	seq_t at = r->left;

	for (uint32_t i = r->first; i; i = extent_at(env, i)->next) {
		const struct extent *e = extent_at(env, i);

		ENSURE(i < env->extents.fresh, "extents are the pool's");
		ENSURE(e->len && e->seq == at, "a run has no hole");
		at += e->len;
		last = i;
		count++;
	}
	ENSURE(at == r->right && last == r->last && count == r->extents,
	       "and ends where it says");
	return count;
}

static void check_ext(const struct tcp_env *env, const struct tcb *t,
		      struct tally *n)
{
	const struct tcb_ext *x = ext_of(env, t);
	uint32_t last = 0, runs = 0, count = 0;
	seq_t from = t->rcv_nxt;

	if (!x)
		return;
	n->exts++;
	ENSURE(x->conn == tcb_index(env, t), "an extension has one owner");
	for (uint32_t i = x->ooo_head; i;) {
		const struct ooo_run *r = pool_at(&env->runs, i);

		ENSURE(i < env->runs.fresh, "runs are the pool's");
		ENSURE(seq_gt(r->left, from), "sorted, ahead, with a hole before");
		ENSURE(seq_leq(r->right, t->rcv_adv), "and in the window");
		count += check_run(env, r);
		from = r->right;
		last = i;
		i = r->next;
		runs++;
	}
	ENSURE(last == x->ooo_tail && runs == x->ooo_runs &&
	       count == x->ooo_extents, "counted");
	n->extents += count;
	n->runs += runs;
}

/* tcp_xmit.h's invariants. */
static void check_sent(const struct tcp_env *env, const struct tcb *t,
		       struct tally *n)
{
	const struct tcb_ext *x = ext_of(env, t);
	uint32_t sacked = 0, lost = 0, flying = 0, timed = 0, last = 0;
	uint32_t count = 0, again = 0;
	seq_t from = t->snd_una == t->iss ? t->iss + 1 : t->snd_una;
	bool lost_seen = false;

	if (!x)
		return;
	for (uint32_t i = x->sent.head; i;) {
		const struct xmit *r = pool_at(&env->xmits, i);

		ENSURE(r->seq == from && seq_lt(r->seq, r->end),
		       "records have no gap");
		sacked += r->flags & XMIT_SACKED ? r->end - r->seq : 0;
		lost += r->flags & XMIT_LOST ? r->end - r->seq : 0;
		flying += !(r->flags & (XMIT_SACKED | XMIT_LOST));
		if (i == x->sent.hint)
			ENSURE(!lost_seen, "nothing LOST before the hint");
		lost_seen |= (r->flags & XMIT_LOST) != 0;
		from = r->end;
		last = i;
		i = r->next;
		count++;
	}
	n->xmits += count;
	ENSURE(count == x->sent.count, "records are counted");
	ENSURE(last == x->sent.tail, "the last record is the tail");
	ENSURE(!last || from == t->snd_nxt, "records end at snd_nxt");
	ENSURE(sacked == x->sent.sacked && lost == x->sent.lost, "summed");
	last = 0;
	for (uint32_t i = x->sent.first; i;) {
		const struct xmit *r = pool_at(&env->xmits, i);

		ENSURE(!(r->flags & (XMIT_SACKED | XMIT_LOST)), "in flight");
		again += r->flags & XMIT_AGAIN ? r->end - r->seq : 0;
		ENSURE(r->sooner == last, "linked both ways");
		ENSURE(!last || (int32_t)(r->sent_us - ((struct xmit *)
			pool_at(&env->xmits, last))->sent_us) >= 0, "by time");
		last = i;
		i = r->later;
		timed++;
	}
	ENSURE(timed == flying && last == x->sent.last, "all of them by time");
	ENSURE(again == x->sent.again, "what was sent again is summed");
}

static void check_numbers(const struct tcb *t)
{
	ENSURE(seq_leq(t->snd_una, t->snd_nxt), "snd_una <= snd_nxt");
	ENSURE(seq_leq(t->snd_nxt, t->snd_max), "snd_nxt <= snd_max");
	if (t->state == TCP_SYN_SENT)
		return;
	ENSURE(seq_leq(t->snd_max, t->snd_end + 1), "nothing unqueued is sent");
	if (t->snd_max == t->snd_end + 1)
		ENSURE(t->flags & T_FIN_QUEUED, "only a FIN follows the data");
	ENSURE(seq_leq(t->rcv_nxt, t->rcv_adv), "received in the window");
	ENSURE(seq_leq(t->rcv_wup, t->rcv_nxt), "acknowledged what is here");
	ENSURE(t->state == TCP_SYN_RECEIVED || (t->mss && t->cwnd >= t->mss),
	       "there is a window");
}

/* What is in flight or held back has a timer, or is about to be sent. */
static void check_timers(const struct tcp_env *env, const struct tcb *t)
{
	bool waits = t->snd_nxt != t->snd_una || snd_pending(t) ||
		     (t->flags & T_SYN_DUE);
	bool set = env->wheel.base &&
		   wheel_is_set(&env->wheel, tcb_index(env, t));

	if (!(t->flags & T_DIRTY)) {
		ENSURE(!waits || t->rtx_ms, "what waits has a timer");
		ENSURE(!(t->flags & T_ACK_NOW), "an ACK due is sent");
	}
	ENSURE(!(t->flags & T_DELACK) || t->ack_ms || (t->flags & T_ACK_NOW),
	       "a delayed ACK has a timer");
	if (t->rtx_ms || t->ack_ms || t->idle_ms)
		ENSURE(set || (t->flags & T_DIRTY), "deadlines are in the wheel");
}

static void check_conn(const struct tcp_env *env, const struct tcb *t,
		       struct tally *n)
{
	uint32_t ref = flow_ref(FLOW_TCB, tcb_index(env, t));
	bool done = t->state == TCP_CLOSED || t->state == TCP_TIME_WAIT;

	n->conns++;
	n->sets += t->set != 0;
	ENSURE(t->state < TCP_STATES && t->state != TCP_LISTEN, "a tcb's state");
	ENSURE(done == !(t->flags & T_HASHED), "in the table while it lives");
	if (!done)
		ENSURE(flow_find(env, &t->tuple, t->hash) == ref, "found");
	ENSURE(!done || ((t->flags & T_KNOWN) && !(t->flags & T_DETACHED)),
	       "what nobody wants is freed");
	n->extents += check_queue(env, t, t->rcv_head, t->rcv_tail, t->rcv_read,
				  rcv_data_end(t));
	check_recv_cursor(env, t);
	check_ext(env, t, n);
	check_sent(env, t, n);
	if (done)
		return;
	check_numbers(t);
	check_timers(env, t);
	if (t->flags & T_ACCEPTQ)
		return;			/* its links lie where queues would */
	n->extents += check_queue(env, t, t->snd_head, t->snd_tail,
				  snd_data_una(t), t->snd_end);
	check_send_cursor(env, t);
}

static void check_flow(const struct tcp_env *env)
{
	uint32_t hashed = 0;
	uint64_t passed = 0;

	for (uint64_t i = 0; i <= env->flow_mask; i++) {
		const struct flow_bucket *b = &env->flow[i];

		passed += b->passed;
		for (int w = 0; w < FLOW_WAYS; w++) {
			const struct flow_tuple *tuple;

			if (!b->ref[w])
				continue;
			tuple = flow_tuple_of(env, b->ref[w]);
			ENSURE(flow_find(env, tuple, flow_hash(env, tuple)) ==
			       b->ref[w], "every entry is found");
			hashed++;
		}
	}
	ENSURE(hashed <= env->tcbs.used + env->syns.used + env->tws.used,
	       "no entry without its record");
	ENSURE(hashed || !passed, "an empty table remembers nothing");
}

static void check_listeners(const struct tcp_env *env)
{
	uint32_t half_open = 0;

	for (uint32_t i = 1; i <= env->cfg.max_listeners; i++) {
		const struct listener *l = &env->listeners[i];
		uint32_t n = 0, prev = 0;

		if (!l->used)
			continue;
		half_open += l->syn_count;
		for (uint32_t c = l->accept_head; c;
		     c = tcb_at(env, c)->accept_next) {
			ENSURE(tcb_at(env, c)->flags & T_ACCEPTQ, "queued");
			ENSURE(tcb_at(env, c)->accept_prev == prev, "linked");
			ENSURE(tcb_at(env, c)->listener == i, "its own");
			prev = c;
			n++;
		}
		ENSURE(n == l->accept_count && prev == l->accept_tail, "counted");
	}
	ENSURE(half_open == env->syns.used, "every half-open has its listener");
}

static void check_records(const struct tcp_env *env)
{
	uint32_t n = 0, prev = 0;

	for (uint32_t i = env->tw.head; i; i = tw_at(env, i)->next) {
		ENSURE(tw_at(env, i)->live && tw_at(env, i)->prev == prev,
		       "TIME_WAIT is linked");
		prev = i;
		n++;
	}
	ENSURE(n == env->tws.used && prev == env->tw.tail, "and counted");
	n = 0;
	for (int level = 0; level < SYN_LEVELS; level++) {
		prev = 0;
		for (uint32_t i = env->syn_level[level].head; i;
		     i = syn_at(env, i)->next) {
			ENSURE(syn_at(env, i)->prev == prev &&
			       syn_at(env, i)->retries == level, "half-open");
			prev = i;
			n++;
		}
		ENSURE(env->syn_level[level].tail == prev, "ends");
	}
	ENSURE(n == env->syns.used, "every half-open is in a level");
}

static uint32_t check_dirty(const struct tcp_env *env)
{
	uint32_t dead = 0, last = 0;

	for (uint32_t i = env->dirty_head; i; i = tcb_at(env, i)->dirty_next) {
		ENSURE(tcb_at(env, i)->flags & T_DIRTY, "listed is marked");
		dead += !(tcb_at(env, i)->flags & T_LIVE);
		last = i;
	}
	ENSURE(last == env->dirty_tail, "the list ends at its tail");
	return dead;
}

/* @users connections and the listeners share the records in use. */
static void check_sets(const struct tcp_env *env, uint32_t users)
{
	uint32_t used = 0;

	for (uint32_t i = 1; i <= env->cfg.max_listeners; i++)
		users += env->listeners[i].used && env->listeners[i].set;
	for (uint32_t i = 1; i < env->tcbs.fresh; i++) {
		const struct tcb *t = tcb_at(env, i);

		if ((t->flags & T_LIVE) && t->set)
			ENSURE(set_of(env, t)->refs, "settings in use are kept");
	}
	for (uint32_t free = env->sets.free_head; free; used++)
		memcpy(&free, pool_at(&env->sets, free), sizeof(free));
	used = env->sets.fresh - 1 - used;
	ENSURE(used == env->sets.used, "settings are counted");
	ENSURE(used <= users, "no settings without a user");
}

void tcp_check(const struct tcp_env *env)
{
	struct tally n = { 0 };
	uint32_t dead = check_dirty(env);

	for (uint32_t i = 1; i < env->tcbs.fresh; i++)
		if (tcb_at(env, i)->flags & T_LIVE)
			check_conn(env, tcb_at(env, i), &n);
	ENSURE(n.conns + dead == env->tcbs.used, "no connection is lost");
	ENSURE(n.conns == counter_get(&env->stats.conns), "the gauge is right");
	ENSURE(n.extents == env->extents.used, "no extent is lost");
	ENSURE(n.runs == env->runs.used, "nor a run");
	ENSURE(n.exts == env->exts.used, "no extension is lost");
	ENSURE(n.xmits == env->xmits.used, "no record is lost");
	check_sets(env, n.sets);
	check_flow(env);
	check_listeners(env);
	check_records(env);
}
