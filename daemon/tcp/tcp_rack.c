/* tcp_rack.c - RACK-TLP, PRR, F-RTO and undo (tcp_rack.h) */
#include "tcp/tcp_rack.h"

#include "base/log.h"
#include "tcp/env.h"

#define DUP_THRESH	3u
#define MULT_MAX	250u
#define PERSIST		16u	/* recoveries, RFC 8985 6.2, step 4 */
#define ACK_DELAY_US	200000u	/* TLP.max_ack_delay, 7.2 */
#define MIN_RTT_MS	300000u	/* as Linux remembers it */
#define MIN_RTT_WHOLE	64u	/* tcb.min_rtt: all of srtt; there 0 */
#define PTO_MIN_US	2000u	/* of the timer wheel's milliseconds */

static struct xmit *at(const struct tcp_env *env, uint32_t i)
{
	return pool_at(&env->xmits, i);
}

static uint32_t now_us(const struct tcp_env *env)
{
	return (uint32_t)env->now.us;
}

uint32_t rec_pipe(const struct tcp_env *env, const struct tcb *t)
{
	const struct tcb_ext *x = ext_of(env, t);
	uint32_t flight = t->snd_nxt - t->snd_una, gone;

	if (!x)
		return flight;
	gone = x->sent.sacked + x->sent.lost;
	return flight > gone ? flight - gone : 0;
}

static uint32_t remembered_rtt(const struct tcb *t)
{
	return (uint32_t)((uint64_t)t->srtt_us *
			  (t->min_rtt ? t->min_rtt : MIN_RTT_WHOLE) /
			  MIN_RTT_WHOLE);
}

uint32_t rec_min_rtt(const struct tcp_env *env, const struct tcb *t)
{
	const struct tcb_ext *x = ext_of(env, t);

	return x && x->rec.min_rtt_us ? x->rec.min_rtt_us : remembered_rtt(t);
}

void rec_init(const struct tcp_env *env, const struct tcb *t, struct rec *k)
{
	k->min_rtt_us = remembered_rtt(t);
	k->half_ms = now_ms(env);
	k->rtt_end = t->snd_una;
	k->reordering = t->reordering;
	k->mult = t->reo_mult;
	k->persist = t->reo_persist;
}

void rec_keep(struct tcb *t, const struct rec *k)
{
	/* Rounded up: with every flight a little of it is forgotten. */
	uint64_t share = t->srtt_us ? ((uint64_t)k->min_rtt_us * MIN_RTT_WHOLE +
				       t->srtt_us - 1) / t->srtt_us : 0;

	t->min_rtt = share < MIN_RTT_WHOLE ? (uint32_t)share & 63u : 0;
	t->reordering = k->reordering & 1u;
	t->reo_mult = k->mult;
	t->reo_persist = k->persist & 31u;
}

/* Of two halves of MIN_RTT_MS, the last whole one and the one that passes. */
static void take_min_rtt(struct tcp_env *env, struct rec *k, uint32_t rtt)
{
	rtt = rtt ? rtt : 1;
	if (now_ms(env) - k->half_ms >= MIN_RTT_MS / 2) {
		k->half_ms = now_ms(env);
		k->min_rtt_us = k->next_rtt_us ? k->next_rtt_us : rtt;
		k->next_rtt_us = 0;
	}
	if (!k->next_rtt_us || rtt < k->next_rtt_us)
		k->next_rtt_us = rtt;
	if (!k->min_rtt_us || rtt < k->min_rtt_us)
		k->min_rtt_us = rtt;
}

bool rec_keeps(const struct rec *k)
{
	return k->probing || (k->undo && k->undo_bytes);
}

/* ---- RACK (RFC 8985 6.2) ---- */

static bool sent_after(uint32_t us, seq_t end, uint32_t us2, seq_t end2)
{
	return (int32_t)(us - us2) > 0 || (us == us2 && seq_gt(end, end2));
}

void rack_arrived(struct tcp_env *env, struct tcb *t, const struct xmit *r)
{
	struct rec *k = &conn_ext(env, t)->rec;
	uint32_t rtt = now_us(env) - r->sent_us;

	if (seq_gt(r->end, k->fack) || !k->known)
		k->fack = r->end;
	if (r->flags & XMIT_LATE)
		return;
	/* An answer to what was sent before it was sent again. */
	if ((r->flags & XMIT_AGAIN) && rtt < k->min_rtt_us)
		return;
	if (!(r->flags & XMIT_AGAIN))
		take_min_rtt(env, k, rtt);
	if (k->known && !sent_after(r->sent_us, r->end, k->us, k->end))
		return;
	k->us = r->sent_us;
	k->end = r->end;
	k->rtt_us = rtt;
	k->known = 1;
}

bool rack_reordered(struct tcp_env *env, struct tcb *t, const struct xmit *r)
{
	const struct rec *k = &conn_ext(env, t)->rec;

	return k->known && seq_lt(r->end, k->fack);
}

static uint32_t reorder_window(const struct tcp_env *env, const struct tcb *t)
{
	const struct tcb_ext *x = ext_of(env, t);
	const struct rec *k = &x->rec;
	uint64_t w;

	if (!k->reordering &&
	    (k->state != REC_OPEN || (x->sent.sacked &&
				      k->sacked_segs >= DUP_THRESH)))
		return 0;
	w = (uint64_t)(k->mult + 1u) * (k->min_rtt_us / 4);
	return (uint32_t)(w < t->srtt_us ? w : t->srtt_us);
}

/* Marks what is lost by now; microseconds until more may be, 0: nothing. */
static uint32_t detect(struct tcp_env *env, struct tcb *t)
{
	struct tcb_ext *x = ext_of(env, t);
	uint32_t wait = reorder_window(env, t), i, next;

	if (!x->rec.known)
		return 0;
	for (i = x->sent.first; i; i = next) {
		struct xmit *r = at(env, i);
		int32_t left = (int32_t)(r->sent_us + x->rec.rtt_us + wait -
					 now_us(env));

		next = r->later;
		if (!sent_after(x->rec.us, x->rec.end, r->sent_us, r->end))
			return 0;
		if (left > 0)
			return (uint32_t)left;
		xmit_lost(env, t, i);
		counter_add(&env->stats.rack_lost, 1);
	}
	return 0;
}

/* A round trip with a DSACK: the window was too small (6.2, step 4).  It goes
 * back after PERSIST recoveries without one (leave()). */
static void adapt(struct tcp_env *env, struct tcb *t, bool dsack)
{
	struct rec *k = &ext_of(env, t)->rec;

	if (k->dsacked && seq_geq(t->snd_una, k->dsack_round))
		k->dsacked = 0;
	if (!dsack || k->dsacked)
		return;
	k->dsacked = 1;
	k->dsack_round = t->snd_nxt;
	k->mult = (uint8_t)(k->mult < MULT_MAX ? k->mult + 1 : k->mult);
	k->persist = PERSIST;
}

/* ---- undo (RFC 4015, 5682, 2883) ---- */

static void sent_again(struct rec *k, seq_t seq, seq_t end)
{
	k->undo_low = k->undo_bytes ? seq_min(k->undo_low, seq) : seq;
	k->undo_high = k->undo_bytes ? seq_max(k->undo_high, end) : end;
	k->undo_bytes += end - seq;
}

/* A copy that was reported is one of what was sent again since then. */
static bool is_ours(const struct rec *k, const struct sack_dup *d)
{
	return k->undo_bytes && seq_leq(k->undo_low, d->left) &&
	       seq_leq(d->right, k->undo_high);
}

static void remember(struct tcp_env *env, struct tcb *t)
{
	struct rec *k = &ext_of(env, t)->rec;

	k->prior_cwnd = t->cwnd;
	k->prior_ssthresh = t->ssthresh;
	k->undo = 1;
	k->fast = 0;
	k->undo_ts = 0;
	k->undo_bytes = 0;
	if (k->probing && k->probe_again)	/* it may be reported, too */
		sent_again(k, k->probe_seq, k->probe_end);
}

static void leave(struct tcp_env *env, struct tcb *t)
{
	struct rec *k = &ext_of(env, t)->rec;

	if (k->state != REC_OPEN && k->persist && --k->persist == 0)
		k->mult = 0;
	k->state = REC_OPEN;
	k->frto = 0;
	t->flags &= ~T_RECOVERY;
	if (!ext_of(env, t)->sent.sacked)
		k->sacked_segs = 0;
}

static void undo(struct tcp_env *env, struct tcb *t, counter_t *why)
{
	struct rec *k = &ext_of(env, t)->rec;

	xmit_unlose(env, t);
	if (t->cwnd < k->prior_cwnd)
		t->cwnd = k->prior_cwnd;
	t->ssthresh = k->prior_ssthresh;
	k->undo = 0;
	/* What was taken for lost was late: it came after it was sent again, so
	 * that step 3 of RFC 8985 6.2 does not see it. */
	k->reordering |= k->fast;
	leave(env, t);
	cong_event(env, t, CC_UNDO);
	counter_add(why, 1);
}

/* true: the last reduction is taken back. */
static bool try_undo(struct tcp_env *env, struct tcb *t, const struct seg *s,
		     const struct xmit_news *n, uint32_t acked,
		     const struct sack_dup *d)
{
	struct rec *k = &ext_of(env, t)->rec;
	uint32_t dsack = d->right - d->left;

	if (!k->undo)
		return false;
	if (k->frto && n->orig && k->state == REC_LOSS) {
		undo(env, t, &env->stats.undo_frto);
		return true;
	}
	if (acked && k->state != REC_OPEN && k->undo_ts && (t->flags & T_TS) &&
	    (s->opt.has & OPT_TS) && s->opt.tsecr &&
	    (int32_t)(s->opt.tsecr - k->undo_ts) < 0) {
		undo(env, t, &env->stats.undo_eifel);
		return true;
	}
	if (dsack && is_ours(k, d)) {
		k->undo_bytes -= dsack < k->undo_bytes ? dsack : k->undo_bytes;
		if (!k->undo_bytes) {
			undo(env, t, &env->stats.undo_dsack);
			return true;
		}
	}
	return false;
}

/* ---- recovery ---- */

static void begin_recovery(struct tcp_env *env, struct tcb *t,
			   uint32_t delivered)
{
	struct tcb_ext *x = ext_of(env, t);
	struct rec *k = &x->rec;
	/* RecoverFS: without what was SACKED before this ACK (6.2). */
	uint32_t pipe = rec_pipe(env, t) + x->sent.lost + delivered;

	remember(env, t);
	k->fast = 1;
	/* A lost probe of the path MTU is no congestion (RFC 4821 7.6.2). */
	t->ssthresh = pmtu_lost(env, t) ? t->cwnd : cong_ssthresh(env, t);
	x->recover = t->snd_nxt;
	k->state = REC_RECOVERY;
	k->probing = k->probe_due = 0;
	k->flight = pipe ? pipe : t->mss;
	k->delivered = k->out = 0;
	if (cong_samples(t) && t->cwnd < rec_pipe(env, t) + t->mss)
		t->cwnd = rec_pipe(env, t) + t->mss;	/* one at least */
	t->flags |= T_RECOVERY;
	counter_add(&env->stats.fast_retransmits, 1);
	counter_add(&env->stats.sack_recoveries, 1);
}

/* RFC 9937 6.2. */
static void prr(struct tcp_env *env, struct tcb *t, uint32_t delivered,
		bool safe)
{
	struct rec *k = &ext_of(env, t)->rec;
	uint32_t pipe = rec_pipe(env, t), limit;
	uint64_t count, due;

	k->delivered += delivered;
	if (pipe > t->ssthresh) {
		due = ((uint64_t)k->delivered * t->ssthresh + k->flight - 1) /
		      k->flight;
		count = due > k->out ? due - k->out : 0;
	} else {
		limit = k->delivered > k->out ? k->delivered - k->out : 0;
		limit = limit > delivered ? limit : delivered;
		if (safe)
			limit += t->mss;
		count = t->ssthresh - pipe;
		count = count < limit ? count : limit;
	}
	if (!k->out && count < t->mss)	/* the first is sent in any case */
		count = t->mss;
	t->cwnd = (uint32_t)(pipe + count);
	if (t->cwnd < t->mss)
		t->cwnd = t->mss;
}

static void timeout(struct tcp_env *env, struct tcb *t)
{
	struct tcb_ext *x = conn_ext(env, t);
	struct rec *k = &x->rec;
	bool reneged;

	counter_add(&env->stats.timeouts, 1);
	/* RFC 2018 8: the peer gave up what it had reported. */
	reneged = x->sent.head && (at(env, x->sent.head)->flags & XMIT_SACKED);
	if (reneged)
		counter_add(&env->stats.sack_reneged, 1);
	if (t->retries == 0 && k->state != REC_LOSS) {
		remember(env, t);
		k->frto = 1;		/* RFC 5682 3.1 */
		t->ssthresh = cong_ssthresh(env, t);	/* RFC 5681 3.1, (4) */
	} else {
		k->frto = 0;
	}
	cong_event(env, t, CC_TIMEOUT);
	t->cwnd = t->mss;
	x->recover = t->snd_nxt;
	k->state = REC_LOSS;
	k->probing = k->probe_due = 0;
	t->flags &= ~(T_RECOVERY | T_TIMING);
	t->flags |= T_REXMIT;
	xmit_lose_all(env, t, reneged);
	cong_lost(env, t, x->sent.lost, true);
}

/* ---- TLP (RFC 8985 7) ---- */

/* The copy that the probe was: it says nothing of the reordering window. */
static bool is_probes(const struct rec *k, const struct sack_dup *d)
{
	return k->probing && k->probe_again && d->left != d->right &&
	       d->right == k->probe_end;
}

/* The probe repaired a loss: the window must know (7.4). */
static void probe_answered(struct tcp_env *env, struct tcb *t,
			   const struct seg *s, uint32_t acked,
			   const struct sack_dup *d)
{
	struct rec *k = &ext_of(env, t)->rec;

	if (!k->probing || seq_lt(s->ack, k->probe_end))
		return;
	if (!k->probe_again || is_probes(k, d)) {
		k->probing = 0;		/* nothing was lost */
	} else if (seq_gt(s->ack, k->probe_end)) {
		k->probing = 0;
		if (k->state == REC_OPEN) {
			remember(env, t);
			t->ssthresh = cong_ssthresh(env, t);
			t->cwnd = t->ssthresh > t->mss ? t->ssthresh : t->mss;
			counter_add(&env->stats.tlp_recoveries, 1);
		}
	} else if (!acked && !(s->opt.has & OPT_SACK)) {
		k->probing = 0;		/* both copies came */
	}
}

/* Without an extension nothing is known to be lost, and no probe is out. */
static bool probe_wanted(const struct tcp_env *env, const struct tcb *t)
{
	const struct tcb_ext *x = ext_of(env, t);

	return t->srtt_us && t->retries == 0 && t->snd_wnd != 0 &&
	       (!x || (x->rec.state == REC_OPEN && !x->rec.probing &&
		       !x->sent.sacked && !x->sent.lost));
}

/* TLP_calc_PTO (7.2), but for the timeout that may come earlier. */
static uint32_t probe_ms(const struct tcb *t)
{
	uint64_t us = 2 * (uint64_t)t->srtt_us;

	if (t->snd_nxt - t->snd_una <= t->mss)
		us += ACK_DELAY_US;
	if (us < PTO_MIN_US)
		us = PTO_MIN_US;
	return (uint32_t)(us / 1000 + 1);
}

void rec_timer(struct tcp_env *env, struct tcb *t)
{
	uint32_t ms = rtt_rto_ms(t), probe;

	t->waits = REC_RTO;
	if (probe_wanted(env, t)) {
		probe = probe_ms(t);
		ms = probe < ms ? probe : ms;
		t->waits = REC_PROBE;
	}
	t->rtx_ms = deadline_ms(env, ms);
}

void rec_sent_timer(struct tcp_env *env, struct tcb *t, bool idle)
{
	if (idle || !t->rtx_ms ||
	    (t->waits != REC_REORDER && probe_wanted(env, t)))
		rec_timer(env, t);
}

static void probe(struct tcp_env *env, struct tcb *t)
{
	struct rec *k = &ext_of(env, t)->rec;

	k->probe_due = 1;
	k->probing = 1;
	k->probe_end = t->snd_nxt;
	k->probe_again = 0;
	t->flags |= T_REXMIT | T_PUSH;
	counter_add(&env->stats.tlp_probes, 1);
	conn_dirty(env, t);
}

bool rec_probe_new(const struct tcp_env *env, const struct tcb *t)
{
	const struct tcb_ext *x = ext_of(env, t);

	return x && x->rec.probe_due;
}

/* ---- the three events ---- */

/* More is lost than was a moment ago? */
static void look(struct tcp_env *env, struct tcb *t, uint32_t delivered,
		 bool progress, bool ack)
{
	struct tcb_ext *x = ext_of(env, t);
	uint32_t before = x->sent.lost, wait = detect(env, t);
	bool more = x->sent.lost > before;

	if (more)
		cong_lost(env, t, x->sent.lost - before, false);
	if (x->rec.state == REC_OPEN && x->sent.lost)
		begin_recovery(env, t, delivered);
	if (x->rec.state == REC_RECOVERY && !cong_samples(t) && (ack || more))
		prr(env, t, delivered, progress && !more);
	if (x->sent.lost) {
		t->flags |= T_REXMIT;
		conn_dirty(env, t);
	}
	if (t->snd_nxt == t->snd_una) {
		t->rtx_ms = 0;
		return;
	}
	if (delivered || progress || more || !t->rtx_ms)
		rec_timer(env, t);
	if (!wait)
		return;
	wait = wait / 1000 + 1;
	if (!t->rtx_ms || (int32_t)(t->rtx_ms - deadline_ms(env, wait)) > 0) {
		t->waits = REC_REORDER;
		t->rtx_ms = deadline_ms(env, wait);
	}
}

/* All that was out when it began has arrived.  After a timeout this ACK is one
 * of slow start as well. */
static void recovered(struct tcp_env *env, struct tcb *t, uint32_t acked,
		      uint32_t flight)
{
	const struct rec *k = &ext_of(env, t)->rec;
	bool timeout = k->state == REC_LOSS;

	if (cong_samples(t)) {		/* only a timeout took it away */
		if (timeout && t->cwnd < k->prior_cwnd)
			t->cwnd = k->prior_cwnd;
	} else if (!timeout) {
		t->cwnd = t->ssthresh > t->mss ? t->ssthresh : t->mss;
	}
	leave(env, t);
	if (timeout)
		cong_acked(env, t, acked, flight);
	else
		cong_recovered(env, t, acked);
}

/* Records time every ACK, SACKs and those of a recovery as well, in which no
 * segment's own time lasts (Karn); srtt takes one of them a round trip. */
static void take_rtt(struct tcp_env *env, struct tcb *t, uint32_t rtt_us)
{
	struct rec *k = &ext_of(env, t)->rec;
	bool timed = env->ack_rtt_us != 0;

	if (rtt_us && !timed && k->known && seq_gt(k->fack, k->rtt_end)) {
		rtt_sample(env, t, rtt_us);
		timed = true;
	}
	if (timed)
		k->rtt_end = t->snd_nxt;
	if (rtt_us)
		env->ack_rtt_us = rtt_us;
}

void rec_ack(struct tcp_env *env, struct tcb *t, const struct seg *s,
	     struct xmit_news *n, uint32_t acked, uint32_t flight)
{
	struct tcb_ext *x = conn_ext(env, t);
	struct sack_dup d = { 0 };
	uint32_t told;
	bool undone;

	if ((s->opt.has & OPT_SACK) &&
	    (t->snd_nxt == t->snd_una || xmit_ready(env, t)))
		sack_take(env, t, s, n, &d);
	if (!t->sack)
		return;
	take_rtt(env, t, n->rtt_us);
	if (n->delivered && x->rec.probe_due)	/* no longer needed */
		x->rec.probe_due = x->rec.probing = 0;
	/* A model of the path counts what arrives, not what is in order; and where
	 * the path reorders, order says nothing (as Linux has it). */
	told = cong_samples(t) || (x->rec.reordering &&
				   x->rec.state == REC_OPEN) ?
	       n->delivered : acked;
	if (!x->sent.sacked)
		x->rec.sacked_segs = 0;
	if (n->reordered) {
		x->rec.reordering = 1;
		counter_add(&env->stats.reordered, 1);
	}
	adapt(env, t, d.left != d.right && !is_probes(&x->rec, &d));
	probe_answered(env, t, s, acked, &d);
	undone = try_undo(env, t, s, n, acked, &d);
	if (x->rec.state != REC_OPEN && seq_geq(t->snd_una, x->recover)) {
		recovered(env, t, told, flight);
	} else if ((acked || x->rec.reordering) && told && !undone &&
		   x->rec.state != REC_RECOVERY) {
		cong_acked(env, t, told, flight);
	} else if (told) {
		cong_recovering(env, t, told);
	}
	if (!x->sent.lost)
		t->flags &= ~T_REXMIT;
	look(env, t, n->delivered, acked != 0, true);
	if (t->snd_una == t->snd_nxt)	/* its time may wrap before more is sent */
		x->rec.known = 0;
}

void rec_due(struct tcp_env *env, struct tcb *t)
{
	if (t->waits == REC_REORDER && t->ext) {
		t->rtx_ms = 0;
		look(env, t, 0, false, false);
		return;
	}
	if (t->waits == REC_PROBE && t->ext) {
		t->waits = REC_RTO;
		probe(env, t);
		t->rtx_ms = deadline_ms(env, rtt_rto_ms(t));
		return;
	}
	pmtu_timeout(env, t);
	timeout(env, t);
	t->retries++;
	if (t->backoff < 16)
		t->backoff++;
	t->rtx_ms = deadline_ms(env, rtt_rto_ms(t));
	conn_dirty(env, t);
}

/* ---- sending ---- */

void rec_sent(struct tcp_env *env, struct tcb *t, seq_t end, uint32_t bytes,
	      bool again)
{
	struct tcb_ext *x = ext_of(env, t);
	struct rec *k;

	if (!x)
		return;
	k = &x->rec;
	if (k->state == REC_RECOVERY)
		k->out += bytes;
	if (again && !k->undo_ts)
		k->undo_ts = tcp_ts_now(env, t->hash);
	if (again && k->state != REC_OPEN)
		sent_again(k, end - bytes, end);
	if (k->probe_due) {
		if (again)
			rate_again(env, t);
		k->probe_due = 0;
		t->flags &= ~T_PUSH;	/* it was for the probe */
		k->probe_again = again;
		k->probe_seq = end - bytes;
		k->probe_end = again ? end : t->snd_nxt;
	}
}

/* The end of what was sent last: what a probe without new data sends. */
static uint32_t last_piece(struct tcp_env *env, struct tcb *t, uint32_t most)
{
	struct xmit_board *b = &ext_of(env, t)->sent;
	struct xmit *r;

	if (!b->tail)
		return 0;
	r = at(env, b->tail);
	if (r->flags & XMIT_SACKED)
		return 0;
	if (r->end - r->seq > most &&
	    !xmit_split(env, t, b->tail, r->end - most))
		return 0;
	return b->tail;
}

uint32_t rec_next(struct tcp_env *env, struct tcb *t, uint32_t most)
{
	struct tcb_ext *x = ext_of(env, t);
	uint32_t pipe, room, i;

	if (!x)
		return 0;
	if (x->rec.probe_due)
		return last_piece(env, t, t->mss);
	i = xmit_next_lost(env, t);
	if (!i)
		return 0;
	pipe = rec_pipe(env, t);
	room = t->cwnd > pipe ? t->cwnd - pipe : 0;
	if (room < t->mss && room < at(env, i)->end - at(env, i)->seq)
		return 0;
	if (most > room)
		most = room - room % t->mss;
	if (most < t->mss)
		most = t->mss;
	if (at(env, i)->end - at(env, i)->seq > most &&
	    !xmit_split(env, t, i, at(env, i)->seq + most))
		return 0;		/* no memory; the timer tries again */
	return i;
}
