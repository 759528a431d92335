/* tcp_sack.c - selective acknowledgements (tcp_sack.h) */
#include "tcp/tcp_sack.h"

#include <string.h>

#include "tcp/env.h"

/* ---- what we report ---- */

void sack_note(struct tcp_env *env, struct tcb *t, seq_t seq)
{
	struct sack_told *told;
	uint32_t n;

	if (!t->sack)
		return;
	told = &conn_ext(env, t)->told;
	n = told->recents < SACK_RECENT ? told->recents++ : SACK_RECENT - 1;
	memmove(told->recent + 1, told->recent, n * sizeof(seq_t));
	told->recent[0] = seq;
}

void sack_duplicate(struct tcp_env *env, struct tcb *t, seq_t left, seq_t right)
{
	struct sack_told *told;

	if (!t->sack || !seq_lt(left, right))
		return;
	told = &conn_ext(env, t)->told;
	told->duplicate = 1;
	told->left = left;
	told->right = right;
	counter_add(&env->stats.dsacks_out, 1);
}

bool sack_due(const struct tcp_env *env, const struct tcb *t)
{
	const struct tcb_ext *x;

	if (!t->sack || !t->ext)
		return false;
	x = ext_of(env, t);
	return x->ooo_head || x->told.duplicate;
}

static void add_block(struct tcp_opts *o, uint32_t at, seq_t left, seq_t right)
{
	o->sack[at].left = left;
	o->sack[at].right = right;
}

/* A slot for each of the blocks that came last, in that order; blocks that
 * nobody asked for fill up what is left.  One walk. */
static void add_blocks(struct tcp_env *env, struct tcb *t, struct tcp_opts *o,
		       uint32_t most)
{
	struct tcb_ext *x = ext_of(env, t);
	seq_t others[SACK_BLOCKS_MAX][2], found[SACK_RECENT][2];
	uint32_t have = 0, count = 0;
	struct ooo_run run;

	for (uint32_t i = 0; (i = reass_next(env, t, i, &run));) {
		uint32_t r = 0;

		while (r < x->told.recents &&
		       !seq_in(x->told.recent[r], run.left,
			       run.right - run.left))
			r++;
		if (r < x->told.recents) {
			have |= 1u << r;
			found[r][0] = run.left;
			found[r][1] = run.right;
		} else if (count < SACK_BLOCKS_MAX) {
			others[count][0] = run.left;
			others[count++][1] = run.right;
		}
	}
	for (uint32_t r = 0; r < SACK_RECENT && o->sack_count < most; r++)
		if (have & 1u << r)
			add_block(o, o->sack_count++, found[r][0], found[r][1]);
	for (uint32_t k = 0; k < count && o->sack_count < most; k++)
		add_block(o, o->sack_count++, others[k][0], others[k][1]);
}

bool sack_build(struct tcp_env *env, struct tcb *t, struct tcp_opts *o,
		uint32_t room)
{
	uint32_t most = room >= 4 ? (room - 4) / 8 : 0;
	struct tcb_ext *x = ext_of(env, t);

	if (most > SACK_BLOCKS_MAX)
		most = SACK_BLOCKS_MAX;
	o->sack_count = 0;
	if (!most)
		return false;
	if (x->told.duplicate) {
		add_block(o, o->sack_count++, x->told.left, x->told.right);
		x->told.duplicate = 0;
	}
	add_blocks(env, t, o, most);
	if (!o->sack_count)
		return false;
	o->has |= OPT_SACK;
	counter_add(&env->stats.sacks_out, 1);
	return true;
}

/* ---- what the peer reports ---- */

/* The first block is a DSACK when it is below the cumulative ACK or inside of
 * the second (RFC 2883 4). */
static bool is_dsack(const struct seg *s)
{
	seq_t left = s->opt.sack[0].left, right = s->opt.sack[0].right;

	if (seq_lt(left, s->ack))
		return true;
	return s->opt.sack_count > 1 && seq_geq(left, s->opt.sack[1].left) &&
	       seq_leq(right, s->opt.sack[1].right);
}

/* In what we sent: no SACK of tomorrow, none of long ago. */
static bool plausible(const struct tcb *t, seq_t left, seq_t right)
{
	return seq_lt(left, right) && seq_leq(right, t->snd_max) &&
	       seq_geq(left, t->snd_una - t->max_snd_wnd);
}

void sack_take(struct tcp_env *env, struct tcb *t, const struct seg *s,
	       struct xmit_news *n, struct sack_dup *d)
{
	counter_add(&env->stats.sacks_in, 1);
	for (uint32_t i = 0; i < s->opt.sack_count; i++) {
		seq_t left = s->opt.sack[i].left, right = s->opt.sack[i].right;

		if (!plausible(t, left, right)) {
			counter_add(&env->stats.sacks_bad, 1);
			continue;
		}
		if (i == 0 && is_dsack(s)) {
			d->left = left;
			d->right = right;
			counter_add(&env->stats.dsacks_in, 1);
			continue;
		}
		if (seq_gt(right, t->snd_una))
			xmit_sacked(env, t, seq_max(left, t->snd_una), right, n);
	}
}
