/* tcp_sack.c - selective acknowledgements (tcp_sack.h) */
#include "tcp/tcp_sack.h"

#include <string.h>

#include "tcp/env.h"

/* ---- what we report ---- */

void sack_saw(struct sack_told *told, uint32_t run)
{
	uint32_t at = 0;

	while (at < SACK_RECENT - 1 && told->recent[at] &&
	       told->recent[at] != run)
		at++;
	memmove(told->recent + 1, told->recent, at * sizeof(run));
	told->recent[0] = run;
}

void sack_gone(struct sack_told *told, uint32_t run)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < SACK_RECENT; i++)
		if (told->recent[i] != run)
			told->recent[n++] = told->recent[i];
	while (n < SACK_RECENT)
		told->recent[n++] = 0;
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

static bool recently(const struct sack_told *told, uint32_t run)
{
	for (uint32_t r = 0; r < SACK_RECENT; r++)
		if (told->recent[r] == run)
			return true;
	return false;
}

/* The blocks that changed last, the newest first (RFC 2018 4); the lowest ones
 * fill up what is left. */
static void add_blocks(struct tcp_env *env, struct tcb *t, struct tcp_opts *o,
		       uint32_t most)
{
	const struct sack_told *told = &ext_of(env, t)->told;
	struct ooo_run run;

	for (uint32_t r = 0; r < SACK_RECENT && told->recent[r] &&
			     o->sack_count < most; r++) {
		reass_run(env, told->recent[r], &run);
		add_block(o, o->sack_count++, run.left, run.right);
	}
	for (uint32_t i = 0; o->sack_count < most &&
			     (i = reass_next(env, t, i, &run));)
		if (!recently(told, i))
			add_block(o, o->sack_count++, run.left, run.right);
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
