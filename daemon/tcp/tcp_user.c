/*
 * tcp_user.c - what the application asks for, and what it is told
 *
 * RFC 9293 3.10.1 to 3.10.6: OPEN, CLOSE and ABORT; SEND is in tcp_send.c,
 * RECEIVE in tcp_recv.c, options in tcp_set.c.
 *
 * A slot is free again when TCP is done (CLOSED or TIME_WAIT) and the engine
 * has detached; whichever comes last frees it (conn_put).
 */
#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "tcp/env.h"

/* ---- OPEN ---- */

static struct flow_tuple tuple_of(const struct ip_addr *local, uint16_t lport,
				  const struct ip_addr *remote, uint16_t rport)
{
	return (struct flow_tuple){ .remote = *remote, .local = *local,
				    .rport = rport, .lport = lport };
}

bool tcp_tuple_free(const struct tcp_env *env, const struct ip_addr *local,
		    uint16_t lport, const struct ip_addr *remote, uint16_t rport,
		    mono_t now)
{
	struct flow_tuple tuple = tuple_of(local, lport, remote, rport);
	uint32_t ref = flow_find(env, &tuple, flow_hash(env, &tuple));
	struct tw_rec w;

	if (flow_kind(ref) != FLOW_TIME_WAIT)
		return ref == 0;
	w = *tw_at(env, flow_index(ref));
	w.due_ms -= (uint32_t)(now.us / 1000) - now_ms(env);
	return timewait_reusable(env, &w);
}

/* RFC 6191 4 for our own side: the record that @ref names makes room. */
static void reuse(struct tcp_env *env, uint32_t ref, uint32_t hash, seq_t *iss)
{
	const struct tw_rec *w = tw_at(env, flow_index(ref));

	if (seq_leq(*iss, w->snd_nxt))
		*iss = w->snd_nxt + 65536 + (seq_t)(env_random(env) & 0xffff);
	timewait_remove(env, flow_index(ref), hash);
	counter_add(&env->stats.time_wait_reused, 1);
}

static void open_with(struct tcp_env *env, struct tcb *t,
		      const struct tcp_connect *c, seq_t iss)
{
	t->iss = t->snd_una = t->snd_nxt = t->snd_max = iss;
	t->snd_end = t->snd_sml = iss + 1;
	t->flags |= T_KNOWN | T_SYN_DUE | (c->fastopen ? T_TFO : 0);
	t->user.client = (uint16_t)c->client;
	t->user.context = (uint16_t)c->context;
	t->user.cookie = c->cookie;
	t->peer_mss = UINT16_MAX;
	pmtu_begin(env, t);
	out_set_mtu(env, t, c->mtu ? c->mtu : 1500);
	t->peer_mss = TCP_MSS_DEFAULT;	/* unless its SYN says otherwise */
	tcp_state_set(t, TCP_DO_CONNECT);
	conn_dirty(env, t);
	counter_add(&env->stats.active_opens, 1);
}

int tcp_connect(struct tcp_env *env, const struct tcp_connect *c, mono_t now)
{
	struct flow_tuple tuple = tuple_of(&c->local, c->lport, &c->remote,
					   c->rport);
	uint32_t hash = flow_hash(env, &tuple), ref, conn;
	seq_t iss;

	env->now = now;
	if (addr_eq(&c->local, &c->remote) && c->lport == c->rport)
		return -EADDRINUSE;
	iss = tcp_isn(env, &tuple);
	ref = flow_find(env, &tuple, hash);
	if (ref && (flow_kind(ref) != FLOW_TIME_WAIT ||
		    !timewait_reusable(env, tw_at(env, flow_index(ref)))))
		return -EADDRINUSE;
	if (env->tcbs.used >= env->cfg.max_conns || !mem_may_open(env))
		return -ENOBUFS;
	if (ref)
		reuse(env, ref, hash, &iss);
	conn = conn_new(env, &tuple, hash);
	if (!conn)
		return -ENOBUFS;
	open_with(env, tcb_at(env, conn), c, iss);
	return (int)conn;
}

/* ---- moving between clients ---- */

/* Copies of a queue's extents in arena @to, 0 or -ENOBUFS. */
static int copy_extent(struct tcp_env *env, const struct arena *from,
		       struct arena *to, const struct extent *e,
		       enum arena_use use, struct list_ends *out)
{
	uint32_t done = 0;

	while (done < e->len) {
		uint32_t left = e->len - done, size, i, block;
		enum block_class cls = left > BLOCK_SMALL_BYTES ? BLOCK_LARGE :
								  BLOCK_SMALL;

		block = block_get(to, cls, use);
		if (block == BLOCK_NONE)
			block = block_get(to, cls == BLOCK_LARGE ? BLOCK_SMALL :
							BLOCK_LARGE, use);
		if (block == BLOCK_NONE)
			return -ENOBUFS;
		i = pool_get(&env->extents);
		if (!i) {
			block_unref(to, block);
			return -ENOBUFS;
		}
		size = block_class_bytes(block_class(to, block));
		if (left > size)
			left = size;
		memcpy(block_bytes(to, block),
		       block_bytes(from, e->block) + e->off + done, left);
		block_meta(to, block)->fill = (uint16_t)left;
		*extent_at(env, i) = (struct extent){
			.block = block, .seq = e->seq + done,
			.len = (uint16_t)left };
		if (out->tail)
			extent_at(env, out->tail)->next = i;
		else
			out->head = i;
		out->tail = i;
		done += left;
	}
	return 0;
}

static int copy_queue(struct tcp_env *env, const struct arena *from,
		      struct arena *to, uint32_t head, enum arena_use use,
		      struct list_ends *out)
{
	int err = 0;

	for (uint32_t i = head; i && !err; i = extent_at(env, i)->next)
		err = copy_extent(env, from, to, extent_at(env, i), use, out);
	return err;
}

static void free_copies(struct tcp_env *env, struct arena *to, uint32_t head)
{
	while (head) {
		uint32_t next = extent_at(env, head)->next;

		block_unref(to, extent_at(env, head)->block);
		pool_put(&env->extents, head);
		head = next;
	}
}

/* The extent of a queue that holds @seq; 0: it is at the end. */
static uint32_t find_seq(const struct tcp_env *env, uint32_t head, seq_t seq)
{
	while (head && seq_leq(extent_at(env, head)->seq +
			       extent_at(env, head)->len, seq))
		head = extent_at(env, head)->next;
	return head;
}

static int32_t length(const struct tcp_env *env, uint32_t head)
{
	int32_t n = 0;

	for (; head; head = extent_at(env, head)->next)
		n++;
	return n;
}

/* The extents of @t are held by @client from now on. */
static void hold_by(struct tcp_env *env, const struct tcb *t, uint32_t client)
{
	const struct tcb_ext *x = ext_of(env, t);
	int32_t rx = length(env, t->rcv_head) +
		     (x ? (int32_t)x->ooo_extents : 0);
	int32_t tx = length(env, t->snd_head);

	mem_hold(env, t->user.client, -rx, -tx);
	mem_hold(env, client, rx, tx);
}

/* What came out of order goes along, for it was reported (RFC 2018 8); where
 * there is no room for it, and only then, the peer has to send it again. */
static void move_early(struct tcp_env *env, struct tcb *t, struct arena *from,
		       struct arena *to)
{
	struct tcb_ext *x = ext_of(env, t);
	struct list_ends early = { 0, 0 };
	uint32_t had, chain;

	if (!x || !x->ooo_head)
		return;
	had = x->ooo_extents;
	chain = reass_chain(env, t);
	if (!from || !to ||
	    copy_queue(env, from, to, chain, ARENA_RX, &early)) {
		free_copies(env, to, early.head);
		reass_rechain(env, t, chain);
		reass_purge(env, t);
		return;
	}
	free_copies(env, from, chain);
	reass_rechain(env, t, early.head);
	mem_hold(env, t->user.client, (int32_t)(x->ooo_extents - had), 0);
}

static int move_queues(struct tcp_env *env, struct tcb *t, struct arena *from,
		       struct arena *to)
{
	struct list_ends rx = { 0, 0 }, tx = { 0, 0 };

	if (!t->rcv_head && !t->snd_head) {
		move_early(env, t, from, to);
		return 0;
	}
	if (!from || !to)
		return -ENOBUFS;
	if (copy_queue(env, from, to, t->rcv_head, ARENA_RX, &rx) ||
	    copy_queue(env, from, to, t->snd_head, ARENA_TX, &tx)) {
		free_copies(env, to, rx.head);
		free_copies(env, to, tx.head);
		return -ENOBUFS;
	}
	move_early(env, t, from, to);
	mem_hold(env, t->user.client,
		 length(env, rx.head) - length(env, t->rcv_head),
		 length(env, tx.head) - length(env, t->snd_head));
	free_copies(env, from, t->rcv_head);
	free_copies(env, from, t->snd_head);
	t->rcv_head = rx.head;
	t->rcv_tail = rx.tail;
	t->snd_head = tx.head;
	t->snd_tail = tx.tail;
	t->snd_cur = find_seq(env, tx.head, t->snd_nxt);
	if (t->ext)
		ext_of(env, t)->find = 0;
	return 0;
}

int tcp_assign(struct tcp_env *env, uint32_t conn, uint32_t client,
	       uint32_t context, uint32_t cookie)
{
	struct tcb *t = tcb_at(env, conn);
	int err;

	ENSURE(client < TCP_CLIENTS_MAX, "client slots are the engine's");
	ENSURE(!(t->flags & T_ACCEPTQ), "only what was accepted is assigned");
	if (client != t->user.client &&
	    env->arenas[client] != env->arenas[t->user.client]) {
		err = move_queues(env, t, arena_of(env, t), env->arenas[client]);
		if (err)
			return err;
	}
	hold_by(env, t, client);
	t->user.client = (uint16_t)client;
	t->user.context = (uint16_t)context;
	t->user.cookie = cookie;
	t->rcv_told = t->rcv_read;
	t->rcv_ann = t->rcv_head;
	t->flags &= ~(T_FIN_TOLD | T_ERROR_TOLD);
	if (recv_update_due(env, t))
		t->flags |= T_ACK_NOW;
	conn_dirty(env, t);
	return 0;
}

/* ---- CLOSE and ABORT ---- */

static void queue_fin(struct tcp_env *env, struct tcb *t)
{
	if (t->flags & T_FIN_QUEUED)
		return;
	t->flags |= T_FIN_QUEUED;
	t->flags &= ~(T_MORE | T_CORK);
	if (t->state == TCP_ESTABLISHED || t->state == TCP_CLOSE_WAIT)
		tcp_state_set(t, TCP_DO_CLOSE);
	conn_dirty(env, t);	/* SYN_SENT, SYN_RECEIVED: once established */
}

void tcp_shutdown_write(struct tcp_env *env, uint32_t conn, mono_t now)
{
	struct tcb *t = tcb_at(env, conn);

	env->now = now;
	if (t->state != TCP_CLOSED && t->state != TCP_TIME_WAIT)
		queue_fin(env, t);
}

void tcp_shutdown_read(struct tcp_env *env, uint32_t conn, mono_t now)
{
	struct tcb *t = tcb_at(env, conn);

	env->now = now;
	t->flags |= T_RD_SHUT;
	if (t->state == TCP_SYN_SENT)
		return;
	recv_discard(env, t);
	conn_ext_put(env, t);
	conn_dirty(env, t);
}

void tcp_close(struct tcp_env *env, uint32_t conn, bool abort, mono_t now)
{
	struct tcb *t = tcb_at(env, conn);
	bool unread = t->rcv_read != rcv_data_end(t) ||
		      (ext_of(env, t) && ext_of(env, t)->ooo_head);

	env->now = now;
	if ((t->flags & T_CLOSED) && !abort)
		return;
	t->flags |= T_CLOSED;
	t->flags &= ~T_WANT_SENT;
	if (t->state == TCP_CLOSED || t->state == TCP_TIME_WAIT) {
		recv_discard(env, t);
		conn_put(env, t);
		return;
	}
	if (abort || set_of(env, t)->linger0 || t->state == TCP_SYN_SENT ||
	    (unread && !(t->flags & T_RD_SHUT))) {
		conn_abort(env, t, 0);
		return;
	}
	t->moved_ms = now_ms(env);	/* an orphan's time begins */
	queue_fin(env, t);
	timer_idle_start(env, t);
}

void tcp_detach(struct tcp_env *env, uint32_t conn)
{
	struct tcb *t = tcb_at(env, conn);

	if (!(t->flags & T_CLOSED))
		tcp_close(env, conn, false, env->now);
	t->flags |= T_DETACHED;
	conn_put(env, t);
}

/* ---- what there is to announce ---- */

void tcp_want_sent(struct tcp_env *env, uint32_t conn)
{
	tcb_at(env, conn)->flags |= T_WANT_SENT;
	conn_dirty(env, tcb_at(env, conn));
}

static bool has_room(const struct tcp_env *env, const struct tcb *t)
{
	return snd_queued(t) < send_limit(env, t) &&
	       (t->state == TCP_ESTABLISHED || t->state == TCP_CLOSE_WAIT ||
		(t->state == TCP_SYN_RECEIVED && t->listener));
}

uint32_t tcp_events(const struct tcp_env *env, uint32_t conn)
{
	const struct tcb *t = tcb_at(env, conn);
	bool all_told = t->rcv_told == rcv_data_end(t);
	uint32_t events = 0;

	if (t->flags & T_CONNECTED)
		events |= TCP_EVENT_CONNECTED;
	if (!all_told)
		events |= TCP_EVENT_DATA;
	else if ((t->flags & (T_FIN_RCVD | T_FIN_TOLD)) == T_FIN_RCVD)
		events |= TCP_EVENT_FIN;
	if (t->error && !(t->flags & T_ERROR_TOLD))
		events |= TCP_EVENT_ERROR;
	if ((t->flags & T_WANT_SENT) && has_room(env, t))
		events |= TCP_EVENT_SENT;
	return events;
}

uint32_t tcp_ready(const struct tcp_env *env, uint32_t conn)
{
	const struct tcb *t = tcb_at(env, conn);
	uint32_t ready = 0;

	if (t->error)
		return CMD_F_READ | CMD_F_WRITE;
	if (t->rcv_read != rcv_data_end(t) ||
	    (t->flags & (T_FIN_RCVD | T_RD_SHUT)))
		ready |= CMD_F_READ;
	if (has_room(env, t) || (t->flags & T_FIN_QUEUED))
		ready |= CMD_F_WRITE;
	return ready;
}

void tcp_announced(struct tcp_env *env, uint32_t conn, uint32_t event)
{
	struct tcb *t = tcb_at(env, conn);

	if (event & TCP_EVENT_CONNECTED)
		t->flags &= ~T_CONNECTED;
	if (event & TCP_EVENT_FIN)
		t->flags |= T_FIN_TOLD;
	if (event & TCP_EVENT_ERROR)
		t->flags |= T_ERROR_TOLD;
	if (event & TCP_EVENT_SENT)
		t->flags &= ~T_WANT_SENT;
}
