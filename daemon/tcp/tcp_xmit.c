/* tcp_xmit.c - records of what was sent (tcp_xmit.h) */
#include "tcp/tcp_xmit.h"

#include "base/log.h"
#include "tcp/env.h"

static struct xmit *at(const struct tcp_env *env, uint32_t i)
{
	return pool_at(&env->xmits, i);
}

static struct xmit_board *board(struct tcp_env *env, struct tcb *t)
{
	return &conn_ext(env, t)->sent;
}

#define SURE_RECORDS	64u	/* a connection's, as long as there are any */
#define STEPS_MAX	512u	/* of an ACK, along records that it passes */

/* 0: none is left, or too few for one that has many and can do without. */
static uint32_t new_record(struct tcp_env *env, struct xmit_board *b,
			   bool needed)
{
	uint32_t i = 0;

	if (needed || b->count < SURE_RECORDS ||
	    b->count < env->xmits.count - env->xmits.used)
		i = pool_get(&env->xmits);
	b->count += i != 0;
	return i;
}

/* Fingers on @i point to @instead (0: nowhere). */
static void free_record(struct tcp_env *env, struct xmit_board *b, uint32_t i,
			uint32_t instead)
{
	for (uint32_t f = 0; f < XMIT_FINGERS; f++)
		if (b->finger[f] == i)
			b->finger[f] = instead;
	pool_put(&env->xmits, i);
	b->count--;
}

static uint32_t bytes(const struct xmit *r)
{
	return r->end - r->seq;
}

/* ---- by time ---- */

static uint32_t again(const struct xmit *r)
{
	return r->flags & XMIT_AGAIN ? bytes(r) : 0;
}

static void unlink_time(struct tcp_env *env, struct xmit_board *b, uint32_t i)
{
	struct xmit *r = at(env, i);

	b->again -= again(r);
	if (r->sooner)
		at(env, r->sooner)->later = r->later;
	else
		b->first = r->later;
	if (r->later)
		at(env, r->later)->sooner = r->sooner;
	else
		b->last = r->sooner;
	r->later = r->sooner = 0;
}

static void link_last(struct tcp_env *env, struct xmit_board *b, uint32_t i)
{
	struct xmit *r = at(env, i);

	b->again += again(r);
	r->later = 0;
	r->sooner = b->last;
	if (b->last)
		at(env, b->last)->later = i;
	else
		b->first = i;
	b->last = i;
}

static void link_after(struct tcp_env *env, struct xmit_board *b, uint32_t i,
		       uint32_t before)
{
	struct xmit *r = at(env, i), *p = at(env, before);

	r->sooner = before;
	r->later = p->later;
	if (p->later)
		at(env, p->later)->sooner = i;
	else
		b->last = i;
	p->later = i;
}

static bool in_flight(const struct xmit *r)
{
	return !(r->flags & (XMIT_SACKED | XMIT_LOST));
}

/* ---- sending ---- */

static uint32_t append(struct tcp_env *env, struct xmit_board *b, seq_t seq,
		       seq_t end, uint32_t us)
{
	/* one that is in flight may grow instead */
	bool needed = !b->tail || !in_flight(at(env, b->tail));
	uint32_t i = new_record(env, b, needed);

	if (!i)
		return 0;
	*at(env, i) = (struct xmit){ .seq = seq, .end = end, .sent_us = us };
	if (b->tail)
		at(env, b->tail)->next = i;
	else
		b->head = i;
	b->tail = i;
	link_last(env, b, i);
	return i;
}

static bool cover(struct tcp_env *env, struct tcb *t, seq_t end)
{
	struct xmit_board *b = board(env, t);
	seq_t from = t->snd_una == t->iss ? t->iss + 1 : t->snd_una;
	bool timed = (t->flags & T_TIMING) && t->rtt_seq == from;

	if (b->head)
		return true;
	return seq_lt(from, end) &&
	       append(env, b, from, end, timed ? t->rtt_us :
		      (uint32_t)env->now.us) != 0;
}

bool xmit_cover(struct tcp_env *env, struct tcb *t)
{
	return cover(env, t, t->snd_nxt);
}

bool xmit_ready(struct tcp_env *env, struct tcb *t)
{
	if (!xmit_cover(env, t))
		xmit_forget(env, t);
	return t->sack;
}

void xmit_sent(struct tcp_env *env, struct tcb *t, seq_t seq, seq_t end)
{
	struct xmit_board *b;
	struct xmit *r;

	if (seq == t->snd_una && !(t->ext && ext_of(env, t)->sent.head))
		return;			/* a lone one */
	b = board(env, t);
	if (!b->head && seq != t->snd_una && !cover(env, t, seq) &&
	    seq_lt(t->snd_una, seq) && t->snd_una != t->iss) {
		xmit_forget(env, t);
		return;
	}
	if (append(env, b, seq, end, (uint32_t)env->now.us))
		return;
	r = b->tail ? at(env, b->tail) : NULL;
	if (!r || !in_flight(r)) {
		xmit_forget(env, t);
		return;
	}
	b->again -= again(r);
	r->end = end;
	b->again += again(r);
}

static bool split(struct tcp_env *env, struct tcb *t, uint32_t rec, seq_t where,
		  bool needed)
{
	struct xmit_board *b = board(env, t);
	struct xmit *r = at(env, rec), *n;
	uint32_t i = new_record(env, b, needed);

	if (!i)
		return false;
	n = at(env, i);
	*n = *r;
	n->seq = r->end = where;
	n->later = n->sooner = 0;
	r->next = i;
	if (b->tail == rec)
		b->tail = i;
	if (in_flight(r))
		link_after(env, b, i, rec);
	return true;
}

bool xmit_split(struct tcp_env *env, struct tcb *t, uint32_t rec, seq_t where)
{
	return split(env, t, rec, where, true);
}

void xmit_resent(struct tcp_env *env, struct tcb *t, uint32_t rec)
{
	struct xmit_board *b = board(env, t);
	struct xmit *r = at(env, rec);

	if (r->flags & XMIT_LOST) {
		r->flags &= (uint8_t)~XMIT_LOST;
		b->lost -= bytes(r);
		if (b->hint == rec)
			b->hint = b->lost ? r->next : 0;
	} else {
		unlink_time(env, b, rec);
	}
	r->flags &= (uint8_t)~XMIT_LATE;
	r->flags |= XMIT_AGAIN;
	r->sent_us = (uint32_t)env->now.us;
	link_last(env, b, rec);
}

/* ---- arriving ---- */

/* For RACK (RFC 8985 6.2, steps 1 to 3): @r has arrived. */
static void arrived(struct tcp_env *env, struct tcb *t, const struct xmit *r,
		    struct xmit_news *n)
{
	uint32_t rtt = (uint32_t)env->now.us - r->sent_us;

	n->delivered += bytes(r);
	if (!(r->flags & XMIT_AGAIN)) {
		rtt = rtt ? rtt : 1;
		if (!(r->flags & XMIT_LATE) && (!n->rtt_us || rtt < n->rtt_us))
			n->rtt_us = rtt;
		/* What was first sent after a timeout says nothing of it. */
		n->orig |= seq_leq(r->end, ext_of(env, t)->recover);
		if (rack_reordered(env, t, r))
			n->reordered = true;
	}
	rack_arrived(env, t, r);
}

static uint32_t segments(const struct tcb *t, const struct xmit *r)
{
	return (bytes(r) + t->mss - 1u) / t->mss;
}

/* What was SACKED is acknowledged. */
static void count_off(struct tcp_env *env, struct tcb *t, const struct xmit *r)
{
	struct rec *k = &ext_of(env, t)->rec;
	uint32_t n = segments(t, r);

	k->sacked_segs -= n < k->sacked_segs ? n : k->sacked_segs;
}

/* Takes record @i out of the sums and lists of what is not known to be there. */
static void settle(struct tcp_env *env, struct xmit_board *b, uint32_t i)
{
	struct xmit *r = at(env, i);

	if (r->flags & XMIT_SACKED) {
		b->sacked -= bytes(r);
	} else if (r->flags & XMIT_LOST) {
		b->lost -= bytes(r);
		r->flags &= (uint8_t)~XMIT_LOST;
	} else {
		unlink_time(env, b, i);
	}
	if (b->hint == i)
		b->hint = b->lost ? r->next : 0;
}

static void pop_head(struct tcp_env *env, struct xmit_board *b)
{
	uint32_t i = b->head;

	b->head = at(env, i)->next;
	if (!b->head)
		b->tail = 0;
	free_record(env, b, i, 0);
}

void xmit_acked(struct tcp_env *env, struct tcb *t, seq_t ack,
		struct xmit_news *n)
{
	struct xmit_board *b = board(env, t);

	while (b->head) {
		struct xmit *r = at(env, b->head), part;

		if (seq_leq(ack, r->seq))
			return;
		if (seq_lt(ack, r->end)) {
			part = *r;
			part.end = ack;
			if (r->flags & XMIT_SACKED)
				b->sacked -= bytes(&part);
			else if (r->flags & XMIT_LOST)
				b->lost -= bytes(&part);
			else
				b->again -= again(&part);
			if (r->flags & XMIT_SACKED)
				count_off(env, t, &part);
			else
				arrived(env, t, &part, n);
			r->seq = ack;
			return;
		}
		if (r->flags & XMIT_SACKED)
			count_off(env, t, r);
		else
			arrived(env, t, r, n);
		settle(env, b, b->head);
		pop_head(env, b);
	}
	b->hint = 0;
}

/* Record @i was SACKED just now; joins @before when that is too. */
static uint32_t merge(struct tcp_env *env, struct xmit_board *b,
		      uint32_t before, uint32_t i)
{
	struct xmit *p, *r = at(env, i);

	if (!before || !(at(env, before)->flags & XMIT_SACKED))
		return i;
	p = at(env, before);
	p->end = r->end;
	p->next = r->next;
	if (b->tail == i)
		b->tail = before;
	if (b->hint == i)
		b->hint = p->next;
	free_record(env, b, i, before);
	return before;
}

static void mark(struct tcp_env *env, struct tcb *t, struct xmit_board *b,
		 uint32_t i, struct xmit_news *n)
{
	struct xmit *r = at(env, i);

	arrived(env, t, r, n);
	settle(env, b, i);
	r->flags |= XMIT_SACKED;
	ext_of(env, t)->rec.sacked_segs += segments(t, r);
	b->sacked += bytes(r);
}

/* The finger nearest before @left; XMIT_FINGERS: none is, begin at the head. */
static uint32_t nearest(const struct tcp_env *env, const struct xmit_board *b,
			seq_t left)
{
	uint32_t best = XMIT_FINGERS;

	for (uint32_t f = 0; f < XMIT_FINGERS; f++) {
		if (!b->finger[f] ||
		    !seq_lt(at(env, b->finger[f])->seq, left))
			continue;
		if (best == XMIT_FINGERS ||
		    seq_gt(at(env, b->finger[f])->seq,
			   at(env, b->finger[best])->seq))
			best = f;
	}
	return best;
}

/* The record that holds @left, or the first after it; *@before is the one
 * before that, 0: there is none.  false: not found yet. */
static bool find_block(struct tcp_env *env, struct xmit_board *b, seq_t left,
		       struct xmit_news *n, uint32_t *before, uint32_t *found)
{
	uint32_t f = nearest(env, b, left);
	uint32_t i = f < XMIT_FINGERS ? b->finger[f] : b->head;

	*before = 0;
	while (i && seq_leq(at(env, i)->end, left) && n->steps < STEPS_MAX) {
		n->steps++;
		*before = i;
		i = at(env, i)->next;
	}
	if (*before) {
		if (f == XMIT_FINGERS)
			f = b->turn++ % XMIT_FINGERS;
		b->finger[f] = *before;
	}
	*found = i;
	return i && seq_gt(at(env, i)->end, left);
}

/* Of [*left, *right) the segments that lie whole in @r: a peer has no other
 * reason to report less of one than to make work.  false: none. */
static bool whole_segments(const struct tcb *t, const struct xmit *r,
			   seq_t *left, seq_t *right)
{
	uint32_t off = seq_gt(*left, r->seq) ? *left - r->seq : 0;
	uint32_t end = seq_lt(*right, r->end) ? *right - r->seq : bytes(r);

	off = (off + t->mss - 1u) / t->mss * t->mss;
	if (end != bytes(r))
		end -= end % t->mss;
	*left = r->seq + off;
	*right = r->seq + end;
	return off < end;
}

/* What [left, right) covers of record @i is SACKED; *@before is the record
 * before that, then the last one looked at.  The record to go on with. */
static uint32_t sack_record(struct tcp_env *env, struct tcb *t, uint32_t i,
			    seq_t left, seq_t right, uint32_t *before,
			    struct xmit_news *n)
{
	struct xmit_board *b = board(env, t);

	if ((at(env, i)->flags & XMIT_SACKED) ||
	    !whole_segments(t, at(env, i), &left, &right)) {
		n->steps++;
		*before = i;
		return at(env, i)->next;
	}
	if (left != at(env, i)->seq) {
		if (!split(env, t, i, left, false))
			return 0;
		*before = i;
		i = at(env, i)->next;
	}
	if (right != at(env, i)->end && !split(env, t, i, right, false))
		return 0;
	mark(env, t, b, i, n);
	*before = merge(env, b, *before, i);
	return at(env, *before)->next;
}

void xmit_sacked(struct tcp_env *env, struct tcb *t, seq_t left, seq_t right,
		 struct xmit_news *n)
{
	struct xmit_board *b = board(env, t);
	uint32_t before, i;

	if (!find_block(env, b, left, n, &before, &i))
		return;
	while (i && seq_lt(at(env, i)->seq, right) && n->steps < STEPS_MAX)
		i = sack_record(env, t, i, left, right, &before, n);
	/* what follows may have been SACKED before */
	if (before && i && (at(env, i)->flags & XMIT_SACKED))
		merge(env, b, before, i);
}

/* ---- losing ---- */

void xmit_lost(struct tcp_env *env, struct tcb *t, uint32_t rec)
{
	struct xmit_board *b = board(env, t);
	struct xmit *r = at(env, rec);

	if (!in_flight(r))
		return;
	unlink_time(env, b, rec);
	if (r->flags & XMIT_AGAIN)
		counter_add(&env->stats.lost_retransmits, 1);
	r->flags |= XMIT_LOST;
	b->lost += bytes(r);
	if (!b->hint || seq_lt(r->seq, at(env, b->hint)->seq))
		b->hint = rec;
}

void xmit_lose_all(struct tcp_env *env, struct tcb *t, bool reneged)
{
	struct xmit_board *b = board(env, t);

	for (uint32_t i = b->head; i; i = at(env, i)->next) {
		struct xmit *r = at(env, i);

		if (reneged && (r->flags & XMIT_SACKED)) {
			r->flags &= (uint8_t)~XMIT_SACKED;
			b->sacked -= bytes(r);
			link_last(env, b, i);
		}
		xmit_lost(env, t, i);
	}
	b->hint = b->head;
}

void xmit_unlose(struct tcp_env *env, struct tcb *t)
{
	struct xmit_board *b = board(env, t);

	for (uint32_t i = b->head; i && b->lost; i = at(env, i)->next) {
		struct xmit *r = at(env, i);

		if (!(r->flags & XMIT_LOST))
			continue;
		r->flags &= (uint8_t)~XMIT_LOST;
		b->lost -= bytes(r);
		/* As if now, to have as long once more; what is measured from
		 * then on would be no round trip. */
		r->flags |= XMIT_LATE;
		r->sent_us = (uint32_t)env->now.us;
		link_last(env, b, i);
	}
	b->hint = 0;
}

uint32_t xmit_next_lost(struct tcp_env *env, struct tcb *t)
{
	struct xmit_board *b = board(env, t);
	uint32_t i = b->hint ? b->hint : b->head;

	if (!b->lost)
		return 0;
	while (i && !(at(env, i)->flags & XMIT_LOST))
		i = at(env, i)->next;
	b->hint = i;
	return i;
}

void xmit_free(struct tcp_env *env, struct xmit_board *b)
{
	while (b->head)
		pop_head(env, b);
	*b = (struct xmit_board){ 0 };
}

void xmit_forget(struct tcp_env *env, struct tcb *t)
{
	if (t->ext) {
		xmit_free(env, board(env, t));
		ext_of(env, t)->rec = (struct rec){ 0 };
	}
	t->flags &= ~(T_RECOVERY | T_REXMIT);
	t->sack = 0;
	counter_add(&env->stats.sack_forgotten, 1);
}
