/*
 * tcp_reass.c - payload in its place, whatever order it comes in
 *
 *	rcv_nxt      ooo_head            ooo_tail
 *	   |  missing  [extent][extent]  [extent]     sorted, disjoint
 *
 * Out-of-order data is copied once, into blocks that move to the receive
 * queue when the gap before them closes.  Neighbours share a block while it
 * has room.  What was reported nowhere may be forgotten: when in-order data
 * finds no block, the out-of-order ones are given up first.
 */
#include "tcp/env.h"

#define OOO_EXTENTS_MAX	512	/* a connection: bounds every walk */

void reass_purge(struct tcp_env *env, struct tcb *t)
{
	struct tcb_ext *x = ext_of(env, t);

	if (!x)
		return;
	extents_free(env, t, x->ooo_head);
	x->ooo_head = x->ooo_tail = 0;
	x->ooo_count = x->has_fin = 0;
	x->told = (struct sack_told){ 0 };
}

/* What now follows rcv_nxt without a gap joins the receive queue. */
static void drain(struct tcp_env *env, struct tcb *t, struct tcb_ext *x)
{
	while (x->ooo_head) {
		uint32_t i = x->ooo_head, over;
		struct extent *e = extent_at(env, i);

		if (seq_gt(e->seq, t->rcv_nxt))
			return;
		x->ooo_head = e->next;
		x->ooo_count--;
		over = t->rcv_nxt - e->seq;
		if (over >= e->len) {
			extent_free(env, t, i);
			continue;
		}
		e->seq += over;
		e->off = (uint16_t)(e->off + over);
		e->len = (uint16_t)(e->len - over);
		recv_link(env, t, i);
	}
	x->ooo_tail = 0;
}

/* The last extent that begins at or before @seq; 0: none. */
static uint32_t find_before(const struct tcp_env *env, const struct tcb_ext *x,
			    seq_t seq)
{
	uint32_t before = 0, i = x->ooo_head;

	if (i && seq_leq(extent_at(env, x->ooo_tail)->seq, seq))
		return x->ooo_tail;
	while (i && seq_leq(extent_at(env, i)->seq, seq)) {
		before = i;
		i = extent_at(env, i)->next;
	}
	return before;
}

/* At most @len bytes, after extent @before; bytes stored, 0: no memory. */
static uint32_t store(struct tcp_env *env, struct tcb *t, struct tcb_ext *x,
		      uint32_t before, seq_t seq, const uint8_t *bytes,
		      uint32_t len)
{
	uint32_t i, n;

	if (before) {
		struct extent *e = extent_at(env, before);

		if (e->seq + e->len == seq) {
			n = extent_append(env, t, e, bytes, len);
			if (n)
				return n;
		}
	}
	i = x->ooo_count < OOO_EXTENTS_MAX ?
	    extent_copy_in(env, t, seq, bytes, len) : 0;
	if (!i)
		return 0;
	extent_at(env, i)->next = before ? extent_at(env, before)->next :
					   x->ooo_head;
	if (before)
		extent_at(env, before)->next = i;
	else
		x->ooo_head = i;
	if (x->ooo_tail == before)
		x->ooo_tail = i;
	x->ooo_count++;
	return extent_at(env, i)->len;
}

/* Fills the holes that [seq, seq + len) covers; false: no memory for some. */
static bool insert(struct tcp_env *env, struct tcb *t, struct tcb_ext *x,
		   seq_t seq, const uint8_t *bytes, uint32_t len)
{
	while (len) {
		uint32_t before = find_before(env, x, seq), next, n = 0;

		if (before) {
			struct extent *e = extent_at(env, before);

			if (seq_gt(e->seq + e->len, seq))
				n = e->seq + e->len - seq;	/* had it */
			if (n)
				sack_duplicate(env, t, seq,
					       seq + (n < len ? n : len));
			next = e->next;
		} else {
			next = x->ooo_head;
		}
		if (n == 0) {
			n = len;
			if (next && n > extent_at(env, next)->seq - seq)
				n = extent_at(env, next)->seq - seq;
			n = store(env, t, x, before, seq, bytes, n);
			if (n == 0)
				return false;
		}
		if (n > len)
			n = len;
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
		sack_note(env, t, seq);
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
