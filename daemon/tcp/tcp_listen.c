/*
 * tcp_listen.c - passive opens: listeners, half-open records, accept queues
 *
 *	SYN -> record in level 0 --timeout--> level 1 --> ... --> gone
 *	          | SYN-ACK each time            |
 *	          +------ ACK -------------------+--> tcb -> accept queue
 *
 * A half-open connection is a 64-byte record.  All records that were sent the
 * same number of SYN-ACKs wait equally long, so each number has a list in the
 * order of its instants.  When records run out, the oldest of those that were
 * asked most often goes: silent hosts do not keep new clients out.  Before it
 * comes to that, SYN cookies need no record at all (tcp_cookie.c).
 */
#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "tcp/env.h"

#define PREV_MASK	0x7fffffffu	/* max_syn is far below */
#define SYN_WINDOW_MAX	16384u	/* as tcp_recv.c: nobody has accepted yet */

/* ---- listeners ---- */

uint32_t listener_find(const struct tcp_env *env, const struct ip_addr *addr,
		       uint16_t port)
{
	uint32_t any = 0;

	for (uint32_t i = env->port_listeners[port]; i;
	     i = env->listeners[i].next) {
		const struct listener *l = &env->listeners[i];

		if (addr_eq(&l->addr, addr))
			return i;
		if (addr_is_any(&l->addr))
			any = i;
	}
	return any;
}

static uint32_t listener_get(struct tcp_env *env)
{
	for (uint32_t i = 1; i <= env->cfg.max_listeners; i++)
		if (!env->listeners[i].used && !env->listeners[i].ready)
			return i;
	return 0;
}

int tcp_listen(struct tcp_env *env, const struct tcp_listen *want)
{
	struct listener *l;
	uint32_t i;

	for (i = env->port_listeners[want->port]; i; i = env->listeners[i].next)
		if (addr_eq(&env->listeners[i].addr, &want->addr) ||
		    (addr_is_any(&env->listeners[i].addr) &&
		     addr_is_any(&want->addr)))
			return -EADDRINUSE;
	i = listener_get(env);
	if (!i)
		return -ENOBUFS;
	l = &env->listeners[i];
	*l = (struct listener){ .addr = want->addr, .port = want->port,
				.used = true, .tag = want->tag,
				.backlog = want->backlog ? want->backlog : 1,
				.next = env->port_listeners[want->port] };
	env->port_listeners[want->port] = i;
	gauge(&env->stats.listeners, 1);
	return (int)i;
}

uint32_t tcp_listener_tag(const struct tcp_env *env, uint32_t listener)
{
	return env->listeners[listener].tag;
}

void tcp_unlisten(struct tcp_env *env, uint32_t listener)
{
	struct listener *l = &env->listeners[listener];
	uint32_t *link = &env->port_listeners[l->port];

	ENSURE(l->used, "a listener is ended once");
	while (*link != listener)
		link = &env->listeners[*link].next;
	*link = l->next;
	l->used = false;
	set_unref(env, l->set);
	l->set = 0;
	while (l->accept_head)
		conn_abort(env, tcb_at(env, l->accept_head), ECONNABORTED);
	for (int level = 0; level < SYN_LEVELS && l->syn_count; level++) {
		uint32_t rec = env->syn_level[level].head, next;

		for (; rec; rec = next) {
			struct syn_rec *r = syn_at(env, rec);

			next = r->next;
			if (r->listener == listener)
				syn_reset(env, rec, flow_hash(env, &r->tuple));
		}
	}
	gauge(&env->stats.listeners, -1);
}

/* ---- accept queues ---- */

static void mark_ready(struct tcp_env *env, uint32_t listener)
{
	struct listener *l = &env->listeners[listener];

	if (l->ready)
		return;
	l->ready = true;
	l->ready_next = 0;
	if (env->ready_tail)
		env->listeners[env->ready_tail].ready_next = listener;
	else
		env->ready_head = listener;
	env->ready_tail = listener;
}

uint32_t tcp_next_ready_listener(struct tcp_env *env)
{
	while (env->ready_head) {
		uint32_t i = env->ready_head;
		struct listener *l = &env->listeners[i];

		env->ready_head = l->ready_next;
		if (!env->ready_head)
			env->ready_tail = 0;
		l->ready = false;
		if (l->used)
			return i;
	}
	return 0;
}

static void accept_queue_put(struct tcp_env *env, struct tcb *t, bool first)
{
	struct listener *l = &env->listeners[t->listener];
	uint32_t conn = tcb_index(env, t);

	t->flags |= T_ACCEPTQ;
	t->accept_prev = first ? 0 : l->accept_tail;
	t->accept_next = first ? l->accept_head : 0;
	if (t->accept_prev)
		tcb_at(env, t->accept_prev)->accept_next = conn;
	else
		l->accept_head = conn;
	if (t->accept_next)
		tcb_at(env, t->accept_next)->accept_prev = conn;
	else
		l->accept_tail = conn;
	l->accept_count++;
	mark_ready(env, t->listener);
}

void accept_queue_remove(struct tcp_env *env, struct tcb *t)
{
	struct listener *l = &env->listeners[t->listener];

	if (t->accept_prev)
		tcb_at(env, t->accept_prev)->accept_next = t->accept_next;
	else
		l->accept_head = t->accept_next;
	if (t->accept_next)
		tcb_at(env, t->accept_next)->accept_prev = t->accept_prev;
	else
		l->accept_tail = t->accept_prev;
	t->accept_next = t->accept_prev = 0;
	t->flags &= ~T_ACCEPTQ;
	l->accept_count--;
}

uint32_t tcp_accept_waiting(const struct tcp_env *env, uint32_t listener)
{
	return env->listeners[listener].accept_count;
}

uint32_t tcp_accept(struct tcp_env *env, uint32_t listener)
{
	uint32_t conn = env->listeners[listener].accept_head;

	if (conn) {
		accept_queue_remove(env, tcb_at(env, conn));
		tcb_at(env, conn)->flags |= T_KNOWN;
	}
	return conn;
}

uint32_t tcp_listener_of(const struct tcp_env *env, uint32_t conn)
{
	const struct tcb *t = tcb_at(env, conn);

	return t->listener ? listener_find(env, &t->tuple.local,
					   t->tuple.lport) : 0;
}

void tcp_accept_return(struct tcp_env *env, uint32_t listener, uint32_t conn)
{
	struct tcb *t = tcb_at(env, conn);
	bool moved;

	ENSURE(t->listener, "only what was accepted comes back");
	moved = tcp_assign(env, conn, 0, 0, 0) == 0;
	t->flags &= ~T_KNOWN;
	t->user.flags = t->user.holders = 0;
	t->user.pending_next = 0;
	if (conn_put(env, t))
		return;
	if (!moved || t->snd_head || (t->flags & T_FIN_QUEUED) ||
	    !env->listeners[listener].used) {
		conn_abort(env, t, ECONNABORTED);
		return;
	}
	t->listener = (uint16_t)listener;
	accept_queue_put(env, t, true);
}

/* ---- half-open records ---- */

static uint32_t level_rto_ms(const struct tcp_env *env, uint32_t level)
{
	uint64_t ms = (uint64_t)env->cfg.rto_initial_ms << level;

	return ms > 60000 ? 60000 : (uint32_t)ms;
}

static void level_remove(struct tcp_env *env, uint32_t rec)
{
	struct syn_rec *r = syn_at(env, rec);
	struct list_ends *l = &env->syn_level[r->retries];

	if (r->prev)
		syn_at(env, r->prev)->next = r->next;
	else
		l->head = r->next;
	if (r->next)
		syn_at(env, r->next)->prev = r->prev & PREV_MASK;
	else
		l->tail = r->prev;
}

static void level_append(struct tcp_env *env, uint32_t rec)
{
	struct syn_rec *r = syn_at(env, rec);
	struct list_ends *l = &env->syn_level[r->retries];

	r->due_8ms = (uint16_t)((now_ms(env) + level_rto_ms(env, r->retries) +
				 7) >> 3);
	r->next = 0;
	r->prev = l->tail & PREV_MASK;
	if (l->tail)
		syn_at(env, l->tail)->next = rec;
	else
		l->head = rec;
	l->tail = rec;
}

static void syn_free(struct tcp_env *env, uint32_t rec, uint32_t hash)
{
	struct syn_rec *r = syn_at(env, rec);

	flow_remove(env, hash, flow_ref(FLOW_SYN, rec));
	level_remove(env, rec);
	env->listeners[r->listener].syn_count--;
	pool_put(&env->syns, rec);
	gauge(&env->stats.syn_received, -1);
}

void syn_reset(struct tcp_env *env, uint32_t rec, uint32_t hash)
{
	const struct syn_rec *r = syn_at(env, rec);

	if (reply_new(env, &r->tuple, TCP_RST | TCP_ACK, r->iss + 1, r->irs + 1))
		counter_add(&env->stats.rsts_out, 1);
	syn_free(env, rec, hash);
}

/* A record, if need be that of the host that was asked most often. */
static uint32_t syn_get(struct tcp_env *env)
{
	uint32_t rec = pool_get(&env->syns);

	for (int level = SYN_LEVELS; !rec && level-- > 0;) {
		uint32_t oldest = env->syn_level[level].head;

		if (!oldest)
			continue;
		syn_free(env, oldest,
			 flow_hash(env, &syn_at(env, oldest)->tuple));
		counter_add(&env->stats.syn_evicted, 1);
		rec = pool_get(&env->syns);
	}
	return rec;
}

static uint16_t syn_window(const struct tcp_env *env)
{
	uint32_t wnd = env->cfg.rcv_wnd_initial;

	return (uint16_t)(wnd < SYN_WINDOW_MAX ? wnd : SYN_WINDOW_MAX);
}

/* What its port carries is what we can receive (RFC 9293 3.7.1). */
static uint16_t syn_mss(const struct tcp_env *env, const struct syn_rec *r)
{
	const struct tcb_set *set =
		pool_at(&env->sets, env->listeners[r->listener].set);
	uint32_t mss = env->port_mtu[r->port];

	mss -= addr_is_v4(&r->tuple.remote) ? 40 : 60;
	if (set->maxseg && mss > set->maxseg)
		mss = set->maxseg;
	return (uint16_t)mss;
}

static enum ecn_mode syn_ecn(const struct syn_rec *r)
{
	if (!(r->opts & SYN_ECN))
		return ECN_NONE;
	return r->accurate ? ECN_ACCURATE : ECN_CLASSIC;
}

/* @ecn: the codepoint that the SYN came with. */
static bool send_syn_ack(struct tcp_env *env, const struct syn_rec *r,
			 uint32_t tsval, bool cookie, uint8_t ecn)
{
	struct reply *out = reply_new(env, &r->tuple, TCP_SYN | TCP_ACK, r->iss,
				      r->irs + 1);
	struct tcp_opts o = { .has = OPT_MSS, .mss = syn_mss(env, r) };

	if (!out)
		return false;
	out->wnd = syn_window(env);
	out->flags |= ecn_answer(syn_ecn(r), ecn);
	if (r->opts & SYN_WSCALE) {
		o.has |= OPT_WSCALE;
		o.wscale = env->rcv_wscale;
	}
	if (r->opts & SYN_SACK)
		o.has |= OPT_SACK_OK;
	if (r->opts & SYN_TS) {
		o.has |= OPT_TS;
		o.tsval = tsval;
		o.tsecr = r->ts_recent;
	}
	if (cookie)
		tfo_cookie(env, &r->tuple, &o);
	out->opt_len = tcp_opt_build(out->opts, &o);
	return true;
}

static void syn_fill(const struct tcp_env *env, struct syn_rec *r,
		     const struct seg *s)
{
	r->irs = s->seq;
	r->retries = 0;
	r->opts = 0;
	r->port = s->port & 15u;
	r->acked = 0;
	r->ts_recent = 0;
	r->mss = TCP_MSS_DEFAULT;
	if (s->opt.has & OPT_MSS)
		r->mss = s->opt.mss > TCP_MSS_FLOOR ? s->opt.mss : TCP_MSS_FLOOR;
	if ((s->opt.has & OPT_WSCALE) && env->cfg.window_scaling)
		r->opts = (uint8_t)(SYN_WSCALE | s->opt.wscale);
	if ((s->opt.has & OPT_SACK_OK) && env->cfg.sack)
		r->opts |= SYN_SACK;
	if ((s->opt.has & OPT_TS) && env->cfg.timestamps) {
		r->opts |= SYN_TS;
		r->ts_recent = s->opt.tsval;
	}
	r->accurate = ecn_offered(env, s) == ECN_ACCURATE;
	if (ecn_offered(env, s) != ECN_NONE)
		r->opts |= SYN_ECN;
}

/* ---- completion ---- */

/* Since its only SYN-ACK, to 8 ms: a peer without timestamps tells no better,
 * and who only receives needs it for his window. */
static uint32_t answer_ms(const struct tcp_env *env, const struct syn_rec *r)
{
	uint16_t left = (uint16_t)(r->due_8ms - (uint16_t)(now_ms(env) >> 3));
	uint32_t rto_ms = level_rto_ms(env, r->retries);

	return left * 8u < rto_ms ? rto_ms - left * 8u : 0;
}


static void adopt(struct tcp_env *env, struct tcb *t, const struct syn_rec *r,
		  const struct seg *s, enum tcp_transition how, bool measured)
{
	uint32_t rtt_ms;

	t->iss = r->iss;
	t->snd_una = t->snd_nxt = t->snd_max = t->snd_end = r->iss + 1;
	t->snd_sml = t->snd_una;
	t->segs_in = 1;		/* the SYN */
	t->rcv_nxt = t->rcv_wup = t->rcv_read = t->rcv_told = r->irs + 1;
	t->rcv_adv = t->rcv_nxt + syn_window(env);
	t->peer_mss = r->mss;
	t->listener = r->listener;
	ecn_accepted(env, t, syn_ecn(r), s);
	t->set = set_share(env, env->listeners[r->listener].set);
	cong_choose(env, t, set_of(env, t)->cc);
	t->flags |= env->listeners[r->listener].flags;
	if (r->opts & SYN_WSCALE)
		t->snd_wscale = (unsigned int)r->opts & 15u;
	else
		t->rcv_wscale = 0;
	t->sack = (r->opts & SYN_SACK) != 0;
	if (r->opts & SYN_TS) {
		t->flags |= T_TS;
		t->ts_recent = r->ts_recent;
	}
	pmtu_begin(env, t);
	out_set_mtu(env, t, env->port_mtu[r->port]);
	t->cwnd = cong_initial(env, t);
	t->snd_wnd = t->max_snd_wnd = (s->flags & TCP_SYN) ? s->wnd :
				       s->wnd << t->snd_wscale;
	t->snd_wl1 = s->seq;
	t->snd_wl2 = s->ack;
	if (measured && !(t->flags & T_TS) && !r->retries) {
		rtt_ms = answer_ms(env, r);
		if (rtt_ms >= 2 * 8)	/* else it is the clock's grain */
			rtt_sample(env, t, rtt_ms * 1000);
	}
	if (measured && (t->flags & T_TS) && (s->opt.has & OPT_TS)) {
		rtt_ms = tcp_ts_now(env, t->hash) - s->opt.tsecr;
		if (rtt_ms <= 60000)
			rtt_sample(env, t, rtt_ms ? rtt_ms * 1000 : 500);
	}
	tcp_state_set(t, how);
}

/* NULL: no room; its SYN-ACK comes again, or it sends its ACK again. */
static struct tcb *accept_begin(struct tcp_env *env, const struct syn_rec *r,
				uint32_t hash, const struct seg *s,
				bool measured)
{
	uint32_t conn;

	if (env->listeners[r->listener].accept_count >=
	    env->listeners[r->listener].backlog) {
		drop(env, TCP_DROP_BACKLOG);
		return NULL;
	}
	conn = conn_new(env, &r->tuple, hash);
	if (!conn) {
		drop(env, TCP_DROP_NO_TCB);
		return NULL;
	}
	adopt(env, tcb_at(env, conn), r, s, TCP_DO_ACCEPT, measured);
	accept_queue_put(env, tcb_at(env, conn), false);
	counter_add(&env->stats.passive_opens, 1);
	return tcb_at(env, conn);
}

/* ---- SYN and cookie ---- */

static void syn_take(struct tcp_env *env, uint32_t listener,
		     const struct flow_tuple *tuple, uint32_t hash,
		     const struct seg *s, seq_t iss, bool cookie)
{
	uint32_t rec = syn_get(env);
	struct syn_rec *r = syn_at(env, rec);

	if (!rec) {
		drop(env, TCP_DROP_BACKLOG);
		return;
	}
	r->tuple = *tuple;
	r->iss = iss;
	r->listener = listener & 0x7fffu;
	syn_fill(env, r, s);
	level_append(env, rec);
	flow_insert(env, hash, flow_ref(FLOW_SYN, rec));
	env->listeners[listener].syn_count++;
	gauge(&env->stats.syn_received, 1);
	send_syn_ack(env, r, tcp_ts_now(env, hash), cookie, s->ecn);
}

/* Fast Open: a connection before its handshake is complete (RFC 7413 4.2.2). */
static void syn_data(struct tcp_env *env, uint32_t listener,
		     const struct flow_tuple *tuple, uint32_t hash,
		     const struct seg *s, seq_t iss)
{
	struct syn_rec r = { .tuple = *tuple, .iss = iss,
			     .listener = listener & 0x7fffu };
	uint32_t conn = conn_new(env, tuple, hash);
	struct tcb *t;

	if (!conn) {
		drop(env, TCP_DROP_NO_TCB);
		return;
	}
	syn_fill(env, &r, s);
	r.opts &= (uint8_t)~SYN_ECN;	/* its SYN-ACK is not a record's */
	t = tcb_at(env, conn);
	adopt(env, t, &r, s, TCP_DO_SYN_DATA, false);
	t->snd_una = t->snd_nxt = t->snd_max = t->snd_sml = iss;
	t->flags |= T_SYN_DUE;
	t->rcv_mss = s->len < 1460u ? (uint16_t)s->len : 1460u;
	if (!reass_take(env, t, t->rcv_nxt, s->payload, s->len))
		drop(env, TCP_DROP_NO_BLOCK);	/* the rest comes again */
	counter_add(&env->stats.bytes_in, t->rcv_nxt - r.irs - 1);
	tfo_begun(env, t);
	accept_queue_put(env, t, false);
	counter_add(&env->stats.passive_opens, 1);
	conn_dirty(env, t);
}

static void syn_cookie(struct tcp_env *env, uint32_t listener,
		       const struct flow_tuple *tuple, uint32_t hash,
		       const struct seg *s)
{
	struct syn_rec r = { .tuple = *tuple, .listener = listener & 0x7fffu };

	syn_fill(env, &r, s);
	if (!(r.opts & SYN_TS))		/* nowhere to keep them */
		r.opts = 0;
	r.accurate = 0;			/* nor AccECN: classic will do */
	r.iss = cookie_make(env, &r);
	send_syn_ack(env, &r, cookie_ts(env, &r, hash), false, s->ecn);
}

/* An ACK that no record waits for: of a cookie, or of nothing. */
static struct tcb *cookie_in(struct tcp_env *env, uint32_t listener,
			     const struct flow_tuple *tuple, uint32_t hash,
			     const struct seg *s)
{
	struct syn_rec r;

	if ((s->flags & TCP_SYN) || !cookie_check(env, tuple, s, &r)) {
		drop(env, TCP_DROP_STATE);
		reply_reset(env, tuple, s);
		return NULL;
	}
	r.listener = listener & 0x7fffu;
	return accept_begin(env, &r, hash, s, false);
}

/* SO_BINDTODEVICE of the listener. */
static bool port_allowed(const struct tcp_env *env, uint32_t listener,
			 const struct seg *s)
{
	const struct tcb_set *set =
		pool_at(&env->sets, env->listeners[listener].set);

	return !set->port || set->port == s->port + 1;
}

struct tcb *listen_in(struct tcp_env *env, const struct flow_tuple *tuple,
		      uint32_t hash, const struct seg *s, seq_t iss_after,
		      bool has_after)
{
	uint32_t i = listener_find(env, &tuple->local, tuple->lport);
	enum tfo_answer fast;
	seq_t iss;

	if (s->flags & TCP_RST) {
		drop(env, TCP_DROP_STATE);
		return NULL;
	}
	if (!i || !port_allowed(env, i, s)) {
		drop(env, TCP_DROP_NO_LISTENER);
		reply_reset(env, tuple, s);
		return NULL;
	}
	if (s->flags & TCP_ACK)
		return cookie_in(env, i, tuple, hash, s);
	counter_add(&env->stats.syns_in, 1);
	if (env->listeners[i].accept_count >= env->listeners[i].backlog) {
		drop(env, TCP_DROP_BACKLOG);
		return NULL;
	}
	if (!mem_may_open(env)) {
		drop(env, TCP_DROP_MEMORY);
		return NULL;
	}
	if (cookie_wanted(env)) {
		syn_cookie(env, i, tuple, hash, s);
		return NULL;
	}
	iss = tcp_isn(env, tuple);
	if (has_after && seq_leq(iss, iss_after))
		iss = iss_after + 65536 + (seq_t)(env_random(env) & 0xffff);
	fast = tfo_syn(env, i, tuple, s);
	if (fast == TFO_DATA)
		syn_data(env, i, tuple, hash, s, iss);
	else
		syn_take(env, i, tuple, hash, s, iss, fast == TFO_COOKIE);
	return NULL;
}

/* ---- segments of half-open records ---- */

static struct tcb *complete(struct tcp_env *env, uint32_t rec, uint32_t hash,
			    const struct seg *s)
{
	struct tcb *t = accept_begin(env, syn_at(env, rec), hash, s, true);

	if (t)
		syn_free(env, rec, hash);
	return t;
}

static void syn_answer(struct tcp_env *env, const struct syn_rec *r,
		       enum tcp_drop why)
{
	struct reply *out;

	drop(env, why);
	if (!challenge_allowed(env))
		return;
	out = reply_new(env, &r->tuple, TCP_ACK, r->iss + 1, r->irs + 1);
	if (out)
		out->wnd = syn_window(env);
}

/* TCP_DEFER_ACCEPT in SYN-ACKs: their instants are 1, 3, 7 ... s (as Linux
 * counts it). */
static uint32_t defer_count(const struct tcp_env *env, const struct syn_rec *r)
{
	const struct tcb_set *set =
		pool_at(&env->sets, env->listeners[r->listener].set);
	uint32_t n = 0;

	for (uint32_t s = 1, at = 1; at <= set->defer_accept_s && n < 15; n++) {
		s *= 2;
		at += s;
	}
	return set->defer_accept_s && !n ? 1 : n;
}

/* A bare ACK while the listener waits for data: it is only noted. */
static bool deferred(const struct tcp_env *env, struct syn_rec *r,
		     const struct seg *s)
{
	if (s->len || (s->flags & TCP_FIN) || r->retries >= defer_count(env, r))
		return false;
	r->acked = 1;
	return true;
}

struct tcb *syn_in(struct tcp_env *env, uint32_t rec, uint32_t hash,
		   const struct seg *s)
{
	struct syn_rec *r = syn_at(env, rec);

	if ((s->flags & TCP_SYN) && !(s->flags & TCP_ACK) && s->seq == r->irs) {
		counter_add(&env->stats.syns_in, 1);
		/* ours was lost, or is late */
		send_syn_ack(env, r, tcp_ts_now(env, hash), false, s->ecn);
		return NULL;
	}
	if ((r->opts & SYN_TS) && (s->opt.has & OPT_TS) &&
	    !(s->flags & TCP_RST) && seq_lt(s->opt.tsval, r->ts_recent)) {
		syn_answer(env, r, TCP_DROP_PAWS);
		return NULL;
	}
	if (s->flags & TCP_RST) {		/* RFC 5961 3 */
		if (s->seq == r->irs + 1) {
			counter_add(&env->stats.rsts_in, 1);
			syn_free(env, rec, hash);
		} else if (seq_in(s->seq, r->irs + 1, syn_window(env))) {
			syn_answer(env, r, TCP_DROP_RST_BAD);
		} else {
			drop(env, TCP_DROP_RST_BAD);
		}
		return NULL;
	}
	if (!seq_in(s->seq, r->irs + 1, syn_window(env) + 1u) ||
	    (s->flags & TCP_SYN)) {
		syn_answer(env, r, s->flags & TCP_SYN ? TCP_DROP_SYN_BAD :
							 TCP_DROP_WINDOW);
		return NULL;
	}
	if (!(s->flags & TCP_ACK)) {
		drop(env, TCP_DROP_STATE);
		return NULL;
	}
	if (s->ack != r->iss + 1) {
		drop(env, TCP_DROP_ACK_BAD);
		reply_reset(env, &r->tuple, s);
		return NULL;
	}
	if (deferred(env, r, s))
		return NULL;
	return complete(env, rec, hash, s);
}

/* ---- time ---- */

static int16_t late_8ms(const struct tcp_env *env, const struct syn_rec *r)
{
	return (int16_t)((now_ms(env) >> 3) - r->due_8ms);
}

uint32_t syn_next_ms(const struct tcp_env *env)
{
	uint32_t at = 0;

	for (int level = 0; level < SYN_LEVELS; level++) {
		uint32_t rec = env->syn_level[level].head, due;

		if (!rec)
			continue;
		due = (uint32_t)((int32_t)(now_ms(env) & ~7u) -
				 late_8ms(env, syn_at(env, rec)) * 8) | 1u;
		if (!at || (int32_t)(due - at) < 0)
			at = due;
	}
	return at;
}

static void syn_again(struct tcp_env *env, uint32_t rec)
{
	struct syn_rec *r = syn_at(env, rec);
	uint32_t hash = flow_hash(env, &r->tuple);

	uint32_t defer = r->acked ? defer_count(env, r) : 0;

	if (r->retries >= env->cfg.syn_ack_retries && r->retries >= defer) {
		syn_free(env, rec, hash);
		return;
	}
	level_remove(env, rec);
	r->retries++;
	level_append(env, rec);
	if (r->retries < defer)		/* it is there, and waits */
		return;
	if (send_syn_ack(env, r, tcp_ts_now(env, hash), false, ECN_NOT_ECT))
		counter_add(&env->stats.retrans_segs, 1);
}

bool syn_advance(struct tcp_env *env, int budget)
{
	for (int level = SYN_LEVELS; level-- > 0;) {
		uint32_t rec;

		while ((rec = env->syn_level[level].head) &&
		       late_8ms(env, syn_at(env, rec)) >= 0) {
			if (budget-- == 0 || !reply_room(env))
				return true;
			syn_again(env, rec);
		}
	}
	return false;
}
