/*
 * tcp_reass.c - payload in its place, whatever order it comes in
 *
 *	rcv_nxt        ooo_head                       ooo_tail
 *	   |  missing  [   run    ]  missing  [ run ]  [ run ]
 *	                first..last            extents of blocks
 *
 * A run is what came ahead without a gap.  Runs are sorted, disjoint and not
 * adjacent, so there are no more of them than holes, which a burst that overran a
 * queue leaves by the thousand.  No walk is long for all that: data comes after the
 * last run or near where the last piece came (the finger), SACK reports name the
 * runs that changed last, and a run that reaches rcv_nxt joins the receive queue as
 * it is, its extents unseen.  What is further off than WALK_MAX runs is dropped, and
 * the finger goes towards it: the peer sends it again.
 *
 * Out-of-order data is copied once.  It goes to the end of the run's last block
 * while that has room.  Small pieces that fill small holes take a block each,
 * so blocks have a bound of their own, in proportion to the window.
 *
 * What was reported nowhere may be forgotten: when in-order data finds no
 * block, the out-of-order ones are given up first.
 */
#include "tcp/env.h"

#define RUNS_MAX	8192	/* a connection */
#define WALK_MAX	512	/* runs, for a segment */
#define EXTENTS_FREE	512	/* a connection, however small the window */
#define EXTENT_BYTES	2048	/* of the window, for each one more: a half
				 * of a large block */

static struct ooo_run *run_at(const struct tcp_env *env, uint32_t i)
{
	return pool_at(&env->runs, i);
}

uint32_t reass_next(const struct tcp_env *env, const struct tcb *t, uint32_t run,
		    struct ooo_run *out)
{
	const struct tcb_ext *x = ext_of(env, t);
	uint32_t i;

	if (!x)
		return 0;
	i = run ? run_at(env, run)->next : x->ooo_head;
	if (i)
		*out = *run_at(env, i);
	return i;
}

void reass_run(const struct tcp_env *env, uint32_t run, struct ooo_run *out)
{
	*out = *run_at(env, run);
}

static void free_run(struct tcp_env *env, struct tcb_ext *x, uint32_t i)
{
	sack_gone(&x->told, i);
	if (x->ooo_finger == i)
		x->ooo_finger = 0;
	x->ooo_runs--;
	pool_put(&env->runs, i);
}

static void forget_all(struct tcp_env *env, struct tcb_ext *x)
{
	while (x->ooo_head) {
		uint32_t i = x->ooo_head;

		x->ooo_head = run_at(env, i)->next;
		free_run(env, x, i);
	}
	x->ooo_tail = 0;
	x->ooo_extents = 0;
}

void reass_purge(struct tcp_env *env, struct tcb *t)
{
	struct tcb_ext *x = ext_of(env, t);

	if (!x)
		return;
	for (uint32_t i = x->ooo_head; i; i = run_at(env, i)->next)
		extents_free(env, t, run_at(env, i)->first);
	forget_all(env, x);
	x->has_fin = 0;
	x->told = (struct sack_told){ 0 };
}

/* The extents of @r that lie below rcv_nxt are freed, and one that lies
 * across it is cut. */
static void trim(struct tcp_env *env, struct tcb *t, struct tcb_ext *x,
		 struct ooo_run *r)
{
	while (seq_lt(r->left, t->rcv_nxt)) {
		struct extent *e = extent_at(env, r->first);
		uint32_t over = t->rcv_nxt - e->seq, i = r->first;

		if (over < e->len) {
			e->seq += over;
			e->off = (uint16_t)(e->off + over);
			e->len = (uint16_t)(e->len - over);
			r->left = t->rcv_nxt;
			return;
		}
		r->first = e->next;
		r->left = e->seq + e->len;
		extent_free(env, t, i);
		r->extents--;
		x->ooo_extents--;
		if (!r->first)
			return;
	}
}

/* What now follows rcv_nxt without a gap joins the receive queue. */
static void drain(struct tcp_env *env, struct tcb *t, struct tcb_ext *x)
{
	while (x->ooo_head) {
		uint32_t i = x->ooo_head;
		struct ooo_run *r = run_at(env, i);

		if (seq_gt(r->left, t->rcv_nxt))
			return;
		x->ooo_head = r->next;
		trim(env, t, x, r);
		if (r->first) {
			x->ooo_extents -= r->extents;
			recv_link(env, t, r->first, r->last, r->right);
		}
		free_run(env, x, i);
	}
	x->ooo_tail = 0;
}

/* The last run that begins at or before @seq, 0: none, into *@before; false: it
 * is too far away. */
static bool find_before(const struct tcp_env *env, struct tcb_ext *x, seq_t seq,
			uint32_t *before)
{
	uint32_t i = x->ooo_finger, steps = 0;

	*before = 0;
	if (!x->ooo_head || seq_lt(seq, run_at(env, x->ooo_head)->left))
		return true;
	if (seq_leq(run_at(env, x->ooo_tail)->left, seq)) {
		*before = x->ooo_tail;
		return true;
	}
	if (!i || seq_lt(seq, run_at(env, i)->left))
		i = x->ooo_head;
	for (; i && seq_leq(run_at(env, i)->left, seq); i = run_at(env, i)->next) {
		*before = x->ooo_finger = i;
		if (++steps == WALK_MAX)
			return false;
	}
	return true;
}

static uint32_t copy_in(struct tcp_env *env, struct tcb *t, struct tcb_ext *x,
			uint32_t after, seq_t seq, const uint8_t *bytes,
			uint32_t len)
{
	uint32_t most = EXTENTS_FREE + (t->rcv_adv - t->rcv_nxt) / EXTENT_BYTES;
	uint32_t i = x->ooo_extents < most ?
		     extent_copy_in(env, t, after, seq, bytes, len) : 0;

	if (i)
		x->ooo_extents++;
	return i;
}

/* At the end of @r, or of its blocks. */
static uint32_t extend(struct tcp_env *env, struct tcb *t, struct tcb_ext *x,
		       struct ooo_run *r, const uint8_t *bytes, uint32_t len)
{
	uint32_t n = extent_append(env, t, extent_at(env, r->last), bytes, len);

	if (!n) {
		uint32_t i = copy_in(env, t, x, r->last, r->right, bytes, len);

		if (!i)
			return 0;
		extent_at(env, r->last)->next = i;
		r->last = i;
		r->extents++;
		n = extent_at(env, i)->len;
	}
	r->right += n;
	return n;
}

static uint32_t new_run(struct tcp_env *env, struct tcb *t, struct tcb_ext *x,
			uint32_t before, seq_t seq, const uint8_t *bytes,
			uint32_t len)
{
	uint32_t extent, i;
	struct ooo_run *r;

	if (x->ooo_runs == RUNS_MAX)
		return 0;
	extent = copy_in(env, t, x, 0, seq, bytes, len);
	if (!extent)
		return 0;
	i = pool_get(&env->runs);	/* there is one for each extent */
	r = run_at(env, i);
	len = extent_at(env, extent)->len;
	*r = (struct ooo_run){ .left = seq, .right = seq + len,
			   .first = extent, .last = extent, .extents = 1 };
	r->next = before ? run_at(env, before)->next : x->ooo_head;
	*(before ? &run_at(env, before)->next : &x->ooo_head) = i;
	if (x->ooo_tail == before)
		x->ooo_tail = i;
	x->ooo_runs++;
	return i;
}

/* @i and the run after it, when no hole is left between them. */
static void join_next(struct tcp_env *env, struct tcb_ext *x, uint32_t i)
{
	struct ooo_run *r = run_at(env, i), *n;
	uint32_t next = r->next;

	if (!next)
		return;
	n = run_at(env, next);
	if (n->left != r->right)
		return;
	extent_at(env, r->last)->next = n->first;
	r->last = n->last;
	r->right = n->right;
	r->extents += n->extents;
	r->next = n->next;
	if (x->ooo_tail == next)
		x->ooo_tail = i;
	free_run(env, x, next);
}

/* At most @len bytes into the hole after run @before; bytes stored, 0: no
 * memory. */
static uint32_t store(struct tcp_env *env, struct tcb *t, struct tcb_ext *x,
		      uint32_t before, seq_t seq, const uint8_t *bytes,
		      uint32_t len)
{
	uint32_t i = before, n = 0;

	if (before && run_at(env, before)->right == seq) {
		n = extend(env, t, x, run_at(env, before), bytes, len);
	} else {
		i = new_run(env, t, x, before, seq, bytes, len);
		if (i)
			n = run_at(env, i)->right - seq;
	}
	if (n) {
		join_next(env, x, i);
		sack_saw(&x->told, i);
	}
	return n;
}

/* Fills the holes that [seq, seq + len) covers; false: no memory for some, or
 * their place is too far away. */
static bool insert(struct tcp_env *env, struct tcb *t, struct tcb_ext *x,
		   seq_t seq, const uint8_t *bytes, uint32_t len)
{
	while (len) {
		uint32_t before, next, n = len;

		if (!find_before(env, x, seq, &before))
			return false;
		if (before && seq_gt(run_at(env, before)->right, seq)) {
			if (n > run_at(env, before)->right - seq)
				n = run_at(env, before)->right - seq;
			sack_duplicate(env, t, seq, seq + n);	/* had it */
			sack_saw(&x->told, before);
		} else {
			next = before ? run_at(env, before)->next : x->ooo_head;
			if (next && n > run_at(env, next)->left - seq)
				n = run_at(env, next)->left - seq;
			n = store(env, t, x, before, seq, bytes, n);
			if (n == 0)
				return false;
		}
		seq += n;
		bytes += n;
		len -= n;
	}
	return true;
}

bool reass_take(struct tcp_env *env, struct tcb *t, seq_t seq,
		const uint8_t *bytes, uint32_t len)
{
	struct tcb_ext *x = ext_of(env, t);
	seq_t start;

	if (seq != t->rcv_nxt) {
		counter_add(&env->stats.out_of_order, 1);
		return insert(env, t, conn_ext(env, t), seq, bytes, len);
	}
	start = t->rcv_nxt;
	if (!recv_append(env, t, bytes, len)) {
		uint32_t done = t->rcv_nxt - start;

		if (!x || !x->ooo_head)
			return false;
		reass_purge(env, t);
		counter_add(&env->stats.ooo_given_up, 1);
		if (!recv_append(env, t, bytes + done, len - done))
			return false;
	}
	if (x && x->ooo_head)
		drain(env, t, x);
	return true;
}

uint32_t reass_chain(struct tcp_env *env, const struct tcb *t)
{
	const struct tcb_ext *x = ext_of(env, t);
	uint32_t i = x ? x->ooo_head : 0, first = i ? run_at(env, i)->first : 0;

	for (; i && run_at(env, i)->next; i = run_at(env, i)->next)
		extent_at(env, run_at(env, i)->last)->next =
			run_at(env, run_at(env, i)->next)->first;
	return first;
}

void reass_rechain(struct tcp_env *env, struct tcb *t, uint32_t first)
{
	struct tcb_ext *x = ext_of(env, t);

	x->ooo_extents = 0;
	for (uint32_t i = x->ooo_head; i; i = run_at(env, i)->next) {
		struct ooo_run *r = run_at(env, i);

		r->first = first;
		r->extents = 0;
		while (first && seq_lt(extent_at(env, first)->seq, r->right)) {
			r->last = first;
			first = extent_at(env, first)->next;
			r->extents++;
		}
		x->ooo_extents += r->extents;
		extent_at(env, r->last)->next = 0;
	}
}
