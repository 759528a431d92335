/*
 * tcp_recv.c - the queue of what was received in order
 *
 *	rcv_read        rcv_told            rcv_nxt           rcv_adv
 *	   |  announced     | to be announced  |   window        |
 *	 [extent][  extent  ][ extent ][ extent ]
 *	  rcv_head  rcv_ann            rcv_tail
 *
 * Payload goes to the end of the last block while that has room, so that
 * small segments do not take a block each.  The window is what the queue's
 * limit leaves; the limit grows to four times what the application reads in a
 * round trip.
 */
#include <errno.h>
#include <string.h>

#include "tcp/env.h"

#define UNASSIGNED_LIMIT	16384u	/* bytes, before anybody accepted */

/* ---- payload into blocks ---- */

uint32_t extent_append(const struct tcp_env *env, const struct tcb *t,
		       struct extent *e, const uint8_t *bytes, uint32_t len)
{
	struct arena *a = arena_of(env, t);
	struct block_meta *m = block_meta(a, e->block);
	uint32_t room = block_class_bytes(block_class(a, e->block)) - m->fill;

	if (m->granted || m->use != ARENA_RX || m->fill != e->off + e->len)
		return 0;
	if (len > room)
		len = room;
	memcpy(block_bytes(a, e->block) + m->fill, bytes, len);
	m->fill = (uint16_t)(m->fill + len);
	e->len = (uint16_t)(e->len + len);
	return len;
}

/* What runs on from a large block that is full is a stream's next part. */
static bool fills(struct arena *a, const struct extent *e)
{
	return block_class(a, e->block) == BLOCK_LARGE &&
	       block_meta(a, e->block)->fill == BLOCK_LARGE_BYTES;
}

static uint32_t get_block(struct arena *a, const struct extent *after,
			  uint32_t len)
{
	bool stream = after && fills(a, after);
	uint32_t block = BLOCK_NONE;

	if (len <= BLOCK_SMALL_BYTES && !stream)
		block = block_get(a, BLOCK_SMALL, ARENA_RX);
	if (block == BLOCK_NONE)
		block = block_get(a, BLOCK_LARGE, ARENA_RX);
	if (block == BLOCK_NONE)
		block = block_get(a, BLOCK_SMALL, ARENA_RX);
	return block;
}

uint32_t extent_copy_in(struct tcp_env *env, struct tcb *t, uint32_t after,
			seq_t seq, const uint8_t *bytes, uint32_t len)
{
	struct arena *a = arena_of(env, t);
	uint32_t block, i;

	if (!a || !mem_may_receive(env, t->user.client))
		return 0;
	block = get_block(a, after ? extent_at(env, after) : NULL, len);
	if (block == BLOCK_NONE)
		return 0;
	i = pool_get(&env->extents);	/* the reserve says there is one */
	mem_hold(env, t->user.client, 1, 0);
	*extent_at(env, i) = (struct extent){ .block = block, .seq = seq };
	extent_append(env, t, extent_at(env, i), bytes, len);
	return i;
}

/* ---- the queue ---- */

void recv_link(struct tcp_env *env, struct tcb *t, uint32_t first, uint32_t last,
	       seq_t end)
{
	if (t->rcv_tail)
		extent_at(env, t->rcv_tail)->next = first;
	else
		t->rcv_head = first;
	t->rcv_tail = last;
	if (!t->rcv_ann)
		t->rcv_ann = first;
	t->bytes_in += end - t->rcv_nxt;
	t->rcv_nxt = end;
}

/* rcv_nxt moves over what was taken; false: the rest found no memory. */
bool recv_append(struct tcp_env *env, struct tcb *t, const uint8_t *bytes,
		 uint32_t len)
{
	uint32_t n, i;

	if (t->rcv_tail) {
		n = extent_append(env, t, extent_at(env, t->rcv_tail), bytes,
				  len);
		t->rcv_nxt += n;
		t->bytes_in += n;
		bytes += n;
		len -= n;
	}
	while (len) {
		i = extent_copy_in(env, t, t->rcv_tail, t->rcv_nxt, bytes, len);
		if (!i)
			return false;
		n = extent_at(env, i)->len;
		recv_link(env, t, i, i, t->rcv_nxt + n);
		bytes += n;
		len -= n;
	}
	return true;
}

void recv_discard(struct tcp_env *env, struct tcb *t)
{
	reass_purge(env, t);
	extents_free(env, t, t->rcv_head);
	t->rcv_head = t->rcv_tail = t->rcv_ann = 0;
	t->rcv_read = t->rcv_told = rcv_data_end(t);
}

bool tcp_announce_data(struct tcp_env *env, uint32_t conn,
		       struct tcp_extent *out)
{
	struct tcb *t = tcb_at(env, conn);
	struct extent *e;
	uint32_t done;

	if (t->rcv_told == rcv_data_end(t))
		return false;
	e = extent_at(env, t->rcv_ann);
	if (t->rcv_told == e->seq + e->len) {
		t->rcv_ann = e->next;
		e = extent_at(env, t->rcv_ann);
	}
	done = t->rcv_told - e->seq;
	*out = (struct tcp_extent){ e->block, (uint16_t)(e->off + done),
				    (uint16_t)(e->len - done) };
	t->rcv_told = e->seq + e->len;
	return true;
}

/* ---- the window ---- */

/* Bytes that the queue may hold now. */
uint32_t recv_limit(const struct tcp_env *env, const struct tcb *t)
{
	uint32_t limit = t->rcv_limit;
	const struct tcb_set *set = set_of(env, t);

	if (set->rcv_cap && limit > set->rcv_cap)
		limit = set->rcv_cap;
	if (set->window_clamp && limit > set->window_clamp)
		limit = set->window_clamp;
	if (!t->user.client && limit > UNASSIGNED_LIMIT)
		limit = UNASSIGNED_LIMIT;
	return limit;
}

static uint32_t recv_free(const struct tcp_env *env, const struct tcb *t)
{
	uint32_t limit = recv_limit(env, t);
	uint32_t queued = rcv_data_end(t) - t->rcv_read;

	return mem_window(env, t, limit > queued ? limit - queued : 0, queued);
}

/* RFC 9293 3.8.6.2.2: a window moves by a segment or half the buffer. */
static uint32_t recv_step(const struct tcp_env *env, const struct tcb *t)
{
	uint32_t half = recv_limit(env, t) / 2;

	return half < t->rcv_mss ? half : t->rcv_mss;
}

bool recv_update_due(const struct tcp_env *env, const struct tcb *t)
{
	seq_t edge = t->rcv_nxt + recv_free(env, t);
	uint32_t left = t->rcv_adv - t->rcv_nxt, step = recv_step(env, t);
	int32_t gain = seq_diff(edge, t->rcv_adv);

	if (t->state != TCP_ESTABLISHED && t->state != TCP_FIN_WAIT_1 &&
	    t->state != TCP_FIN_WAIT_2)
		return false;
	if (left < step)			/* the peer may be waiting */
		return gain >= (int32_t)step;
	return left <= recv_limit(env, t) / 4 && gain >= 2 * (int32_t)step;
}

uint16_t recv_window(const struct tcp_env *env, struct tcb *t)
{
	seq_t edge = t->rcv_nxt + recv_free(env, t);
	uint32_t wnd;

	if (seq_diff(edge, t->rcv_adv) < (int32_t)recv_step(env, t))
		edge = t->rcv_adv;		/* never left: 3.8.6.2.2 */
	wnd = (edge - t->rcv_nxt) >> t->rcv_wscale;
	if (seq_lt(t->rcv_nxt + (wnd << t->rcv_wscale), t->rcv_adv))
		wnd++;				/* rounding must not shrink it */
	if (wnd > UINT16_MAX)
		wnd = UINT16_MAX;
	t->rcv_adv = seq_max(t->rcv_adv, t->rcv_nxt + (wnd << t->rcv_wscale));
	return (uint16_t)wnd;
}

/* Once a round trip: when more than a third of the limit was read in it, hold four
 * times that.  A sender in slow start doubles its window while this is measured and
 * again until the answer arrives, and what a smaller one holds back it sends in one
 * burst later. */
static void grow_limit(struct tcp_env *env, struct tcb *t)
{
	uint32_t rtt_ms = t->srtt_us / 1000 + 1, ms, read;

	if (!(t->flags & T_RS_VALID)) {
		t->flags |= T_RS_VALID;
		t->rs_seq = t->rcv_read;
		t->rs_ms = now_ms(env);
		return;
	}
	ms = now_ms(env) - t->rs_ms;
	if (ms < rtt_ms)
		return;
	read = (uint32_t)((uint64_t)(t->rcv_read - t->rs_seq) * rtt_ms / ms);
	if (ms > 8 * rtt_ms + 200)
		read = 0;			/* it was idle: says nothing */
	if (read > t->rcv_limit / 3)
		t->rcv_limit = read < env->cfg.rcv_wnd_max / 4 ?
			       4 * read : env->cfg.rcv_wnd_max;
	t->rs_seq = t->rcv_read;
	t->rs_ms = now_ms(env);
}

int tcp_consumed(struct tcp_env *env, uint32_t conn, uint32_t bytes, mono_t now)
{
	struct tcb *t = tcb_at(env, conn);

	env->now = now;
	if (bytes > t->rcv_told - t->rcv_read)
		return -EPROTO;
	counter_add(&env->client_stats[t->user.client].bytes_in, bytes);
	t->rcv_read += bytes;
	while (bytes) {
		uint32_t i = t->rcv_head;
		struct extent *e = extent_at(env, i);

		if (bytes < e->len) {
			e->seq += bytes;
			e->off = (uint16_t)(e->off + bytes);
			e->len = (uint16_t)(e->len - bytes);
			break;
		}
		bytes -= e->len;
		t->rcv_head = e->next;
		if (t->rcv_ann == i)
			t->rcv_ann = e->next;
		extent_free(env, t, i);
	}
	if (!t->rcv_head)
		t->rcv_tail = 0;
	grow_limit(env, t);
	if (recv_update_due(env, t)) {
		t->flags |= T_ACK_NOW;
		conn_dirty(env, t);
	}
	return 0;
}
