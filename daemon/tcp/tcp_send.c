/*
 * tcp_send.c - the queue of what the application wants sent
 *
 *	snd_una        snd_nxt                snd_end
 *	   |  in flight   |      not yet sent    |  (FIN)
 *	 [extent][  extent  ][ extent ][ extent ]
 *	  snd_head  snd_cur              snd_tail
 *
 * Extents are references to the client's blocks; they go when acknowledged.
 * snd_cur holds snd_nxt, so that sending never walks the queue.
 */
#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "tcp/env.h"

void extent_free(struct tcp_env *env, struct tcb *t, uint32_t extent)
{
	struct arena *a = arena_of(env, t);

	if (a)		/* else the client and its memory are gone */
		block_unref(a, extent_at(env, extent)->block);
	pool_put(&env->extents, extent);
	mem_hold(env, t->user.client, -1, 0);
}

/* One of the send queue. */
static void sent_free(struct tcp_env *env, struct tcb *t, uint32_t extent)
{
	mem_hold(env, t->user.client, 1, -1);
	extent_free(env, t, extent);	/* which counts one received less */
}

void extents_free(struct tcp_env *env, struct tcb *t, uint32_t head)
{
	while (head) {
		uint32_t next = extent_at(env, head)->next;

		extent_free(env, t, head);
		head = next;
	}
}

/* A retransmission's extent: the hint holds as long as nothing before its
 * beginning is unacknowledged, for extents go from the front. */
uint32_t send_find(struct tcp_env *env, struct tcb *t, seq_t seq)
{
	struct tcb_ext *x = conn_ext(env, t);
	uint32_t i = t->snd_head;

	if (x->find && seq_geq(x->find_seq, t->snd_una) &&
	    seq_leq(x->find_seq, seq))
		i = x->find;
	while (i && seq_leq(extent_at(env, i)->seq + extent_at(env, i)->len,
			    seq))
		i = extent_at(env, i)->next;
	x->find = i;
	x->find_seq = i ? extent_at(env, i)->seq : 0;
	return i;
}

void send_rewind(struct tcp_env *env, struct tcb *t)
{
	if (t->ext)
		xmit_free(env, &ext_of(env, t)->sent);
	t->snd_nxt = t->snd_una;
	t->snd_cur = t->snd_head;
}

void send_discard(struct tcp_env *env, struct tcb *t)
{
	while (t->snd_head) {
		uint32_t next = extent_at(env, t->snd_head)->next;

		sent_free(env, t, t->snd_head);
		t->snd_head = next;
	}
	t->snd_head = t->snd_tail = t->snd_cur = 0;
	if (t->ext) {
		xmit_free(env, &ext_of(env, t)->sent);
		ext_of(env, t)->find = 0;
	}
	t->snd_una = t->snd_nxt = t->snd_max;
	if (seq_lt(t->snd_end, t->snd_una))
		return;
	t->snd_end = snd_data_una(t);
}

/* Everything below @upto is acknowledged; snd_una is still the old one. */
void send_acked(struct tcp_env *env, struct tcb *t, seq_t upto)
{
	if (t->flags & T_ACCEPTQ)	/* its links lie where the queue would */
		return;
	while (t->snd_head) {
		uint32_t i = t->snd_head;
		struct extent *e = extent_at(env, i);
		uint32_t n = upto - e->seq;

		if (seq_leq(upto, e->seq))
			break;
		if (n < e->len) {
			e->seq += n;
			e->off = (uint16_t)(e->off + n);
			e->len = (uint16_t)(e->len - n);
			break;
		}
		t->snd_head = e->next;
		if (t->snd_cur == i)
			t->snd_cur = e->next;
		sent_free(env, t, i);
	}
	if (!t->snd_head)
		t->snd_tail = 0;
}

/* Twice the congestion window, so that the application keeps it full. */
void send_limit_update(const struct tcp_env *env, struct tcb *t)
{
	uint32_t limit = env->cfg.snd_buf_initial;
	uint32_t cap = set_of(env, t)->snd_cap;

	if (t->cwnd / 2 > limit / 4)
		limit = t->cwnd > UINT32_MAX / 2 ? UINT32_MAX : 2 * t->cwnd;
	if (limit > env->cfg.snd_buf_max)
		limit = env->cfg.snd_buf_max;
	if (cap && limit > cap)
		limit = cap;
	if (limit > t->snd_limit || cap)	/* else it stays: no surprise */
		t->snd_limit = limit;
}

/* TCP_NOTSENT_LOWAT bounds what is not on its way yet. */
uint32_t send_limit(const struct tcp_env *env, const struct tcb *t)
{
	uint32_t lowat = set_of(env, t)->notsent_lowat, limit;
	uint32_t flight = t->snd_nxt - t->snd_una;

	limit = mem_send_limit(env, t, t->snd_limit);
	if (!lowat || limit < flight || limit - flight < lowat)
		return limit;
	return flight + lowat;
}

static bool can_send(const struct tcb *t)
{
	if (t->flags & (T_FIN_QUEUED | T_CLOSED))
		return false;
	return t->state == TCP_SYN_SENT || t->state == TCP_SYN_RECEIVED ||
	       t->state == TCP_ESTABLISHED || t->state == TCP_CLOSE_WAIT;
}

/* The last extent continues in the same block: no other is needed. */
static bool extend_tail(struct tcp_env *env, struct tcb *t, uint32_t block,
			uint32_t offset, uint32_t len)
{
	struct extent *e;

	if (!t->snd_tail)
		return false;
	e = extent_at(env, t->snd_tail);
	if (e->block != block || e->off + e->len != offset)
		return false;
	e->len = (uint16_t)(e->len + len);
	if (!t->snd_cur)
		t->snd_cur = t->snd_tail;
	block_unref(arena_of(env, t), block);
	return true;
}

static bool append(struct tcp_env *env, struct tcb *t, uint32_t block,
		   uint32_t offset, uint32_t len)
{
	uint32_t i = pool_get(&env->extents);

	if (!i)
		return false;
	mem_hold(env, t->user.client, 0, 1);
	*extent_at(env, i) = (struct extent){
		.block = block, .seq = t->snd_end,
		.off = (uint16_t)offset, .len = (uint16_t)len };
	if (t->snd_tail)
		extent_at(env, t->snd_tail)->next = i;
	else
		t->snd_head = i;
	t->snd_tail = i;
	if (!t->snd_cur)
		t->snd_cur = i;
	return true;
}

/* After an idle time the old window says nothing any more. */
static void restart_idle(struct tcp_env *env, struct tcb *t)
{
	if (t->snd_una != t->snd_max || t->state == TCP_SYN_SENT)
		return;
	cong_idle(env, t);
	t->rtx_ms = 0;			/* cong_rest()'s, if any */
	t->moved_ms = now_ms(env);
}

int tcp_send(struct tcp_env *env, uint32_t conn, uint32_t block,
	     uint32_t offset, uint32_t len, bool more, mono_t now)
{
	struct tcb *t = tcb_at(env, conn);

	env->now = now;
	if (!can_send(t)) {
		block_unref(arena_of(env, t), block);
		return -EPIPE;
	}
	if (t->snd_end == snd_data_una(t))
		restart_idle(env, t);
	if (!extend_tail(env, t, block, offset, len) &&
	    !append(env, t, block, offset, len)) {
		block_unref(arena_of(env, t), block);
		conn_abort(env, t, ENOBUFS);	/* a hole would be worse */
		return -EPIPE;
	}
	t->snd_end += len;
	counter_add(&env->client_stats[t->user.client].bytes_out, len);
	t->flags = more ? t->flags | T_MORE : t->flags & ~T_MORE;
	conn_dirty(env, t);
	return 0;
}
