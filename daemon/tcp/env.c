#include "tcp/env.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"

#define CHALLENGES_A_SECOND	1000	/* RFC 5961 7; varied by half */

/* ---- start ---- */

void tcp_config_default(struct tcp_config *cfg)
{
	*cfg = (struct tcp_config){
		.max_conns = 65536, .max_listeners = 1024, .max_syn = 16384,
		.max_time_wait = 65536, .max_extents = 262144,
		.time_wait_ms = 60000, .rto_min_ms = 200,
		.rto_initial_ms = 1000, .syn_retries = 6, .syn_ack_retries = 5,
		.retries = 15, .delack_ms = 40, .quick_acks = 16, .rcv_wnd_initial = 65535,
		.rcv_wnd_max = 16u << 20, .snd_buf_initial = 256u << 10,
		.snd_buf_max = 32u << 20, .initial_cwnd = 10,
		.keep_idle_s = 7200, .keep_intvl_s = 75, .keep_cnt = 9,
		.mtu_probing = TCP_PROBING_ON, .min_pmtu = 552,
		.pmtu_expires_ms = 600000, .fin_wait2_ms = 60000, .timestamps = true,
		.sack = true,
		.window_scaling = true, .cc = "cubic",
		.ecn = TCP_ECN_PASSIVE, .engines = 1,
	};
}

static int check_config(const struct tcp_config *c)
{
	if (!c->max_conns || !c->max_listeners || c->max_listeners > INT16_MAX ||
	    !c->max_syn || c->max_extents < 16 ||
	    c->syn_ack_retries >= SYN_LEVELS || c->syn_retries > 30 ||
	    c->rcv_wnd_max > 16u << 20 || c->rcv_wnd_initial < 1024 ||
	    c->syn_cookies > TCP_COOKIES_ALWAYS ||
	    c->mtu_probing > TCP_PROBING_ON || c->min_pmtu < 68 || !c->initial_cwnd || !c->rto_min_ms || !c->rto_initial_ms ||
	    c->max_conns >= 1u << FLOW_INDEX_BITS)
		return -EINVAL;
	return 0;
}

static int pool_alloc(struct pool *p, const char *what, uint32_t stride,
		      uint32_t count, tcp_alloc_fn *alloc, void *arg)
{
	void *base = alloc(arg, what, (size_t)stride * (count + 1));

	if (!base)
		return -ENOMEM;
	pool_init(p, base, stride, count + 1);
	return 0;
}

static int alloc_tables(struct tcp_env *env, tcp_alloc_fn *alloc, void *arg)
{
	const struct tcp_config *c = &env->cfg;
	uint64_t flows = (uint64_t)c->max_conns + c->max_syn + c->max_time_wait;

	if (pool_alloc(&env->tcbs, "tcp connections", sizeof(struct tcb),
		       c->max_conns, alloc, arg) ||
	    pool_alloc(&env->exts, "tcp extensions", sizeof(struct tcb_ext),
		       c->max_conns, alloc, arg) ||
	    pool_alloc(&env->xmits, "tcp transmit records", sizeof(struct xmit),
		       c->max_extents, alloc, arg) ||
	    pool_alloc(&env->rates, "tcp rate samples", sizeof(struct rate_rec),
		       c->max_conns, alloc, arg) ||
	    pool_alloc(&env->extents, "tcp extents", sizeof(struct extent),
		       c->max_extents, alloc, arg) ||
	    pool_alloc(&env->runs, "tcp out of order", sizeof(struct ooo_run),
		       c->max_extents, alloc, arg) ||
	    pool_alloc(&env->syns, "tcp half-open", sizeof(struct syn_rec),
		       c->max_syn, alloc, arg) ||
	    pool_alloc(&env->tws, "tcp time-wait", sizeof(struct tw_rec),
		       c->max_time_wait, alloc, arg) ||
	    pool_alloc(&env->sets, "tcp settings", sizeof(struct tcb_set),
		       c->max_conns + c->max_listeners, alloc, arg))
		return -ENOMEM;
	env->listeners = alloc(arg, "tcp listeners",
			       (c->max_listeners + 1) * sizeof(struct listener));
	env->port_listeners = alloc(arg, "tcp ports", 65536 * sizeof(uint32_t));
	env->paths = alloc(arg, "tcp paths", PATH_RECS * sizeof(struct path_rec));
	env->replies = alloc(arg, "tcp replies", REPLIES * sizeof(struct reply));
	if (!env->listeners || !env->port_listeners || !env->replies || !env->paths)
		return -ENOMEM;
	if (flight_init(env, alloc, arg))
		return -ENOMEM;
	return flow_init(env, flows, alloc, arg);
}

int tcp_init(struct tcp_env **out, const struct tcp_config *cfg,
	     const struct rss *rss, tcp_alloc_fn *alloc, void *arg)
{
	struct tcp_env *env;
	int err = check_config(cfg);

	if (err || cc_find(cfg->cc) < 0)
		return -EINVAL;
	env = alloc(arg, "tcp environment", sizeof(*env));
	if (!env)
		return -ENOMEM;
	env->cfg = *cfg;
	env->rss = rss;
	env->cc = (uint32_t)cc_find(cfg->cc);
	env->random = cfg->random_seed;
	env->extent_reserve = cfg->max_extents / 8;
	while (env->rcv_wscale < WSCALE_MAX && cfg->window_scaling &&
	       (65535u << env->rcv_wscale) < cfg->rcv_wnd_max)
		env->rcv_wscale++;
	err = alloc_tables(env, alloc, arg);
	if (err)
		return err;
	set_init(env);
	tfo_init(env);
	for (int i = 0; i < TCP_PORTS_MAX; i++)
		env->port_mtu[i] = 1500;
	*out = env;
	return 0;
}

/* rcv_wscale stays: a half-open connection was offered it. */
int tcp_configure(struct tcp_env *env, const struct tcp_config *next)
{
	const struct tcp_config old = env->cfg;
	struct tcp_config cfg = *next;

	cfg.max_conns = old.max_conns;
	cfg.max_listeners = old.max_listeners;
	cfg.max_syn = old.max_syn;
	cfg.max_time_wait = old.max_time_wait;
	cfg.max_extents = old.max_extents;
	cfg.window_scaling = old.window_scaling;
	cfg.engine = old.engine;
	cfg.engines = old.engines;
	cfg.random_seed = old.random_seed;
	memcpy(cfg.secret, old.secret, sizeof(cfg.secret));
	memcpy(cfg.tfo_key, old.tfo_key, sizeof(cfg.tfo_key));
	if (check_config(&cfg) || cc_find(cfg.cc) < 0)
		return -EINVAL;
	env->cfg = cfg;
	env->cc = (uint32_t)cc_find(cfg.cc);
	return 0;
}

void tcp_set_arena(struct tcp_env *env, uint32_t client, struct arena *arena)
{
	ENSURE(client < TCP_CLIENTS_MAX, "client slots are the engine's");
	env->arenas[client] = arena;
}

void tcp_set_port_mtu(struct tcp_env *env, uint8_t port, uint16_t mtu)
{
	ENSURE(port < TCP_PORTS_MAX, "port numbers are the engine's");
	env->port_mtu[port] = mtu;
}

/* splitmix64: for what need not be secret. */
uint64_t env_random(struct tcp_env *env)
{
	uint64_t z = env->random += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

/* ---- a connection's life ---- */

uint32_t conn_new(struct tcp_env *env, const struct flow_tuple *tuple,
		  uint32_t hash)
{
	uint32_t conn = pool_get(&env->tcbs), generation;
	struct tcb *t;

	if (!conn)
		return 0;
	t = tcb_at(env, conn);
	generation = t->user.generation;
	memset(t, 0, sizeof(*t));
	t->user.generation = generation;
	t->hash = hash;
	t->tuple = *tuple;
	t->flags = T_LIVE | T_HASHED;
	t->rcv_mss = TCP_MSS_DEFAULT;
	t->peer_mss = TCP_MSS_DEFAULT;
	t->rcv_wscale = env->rcv_wscale & 15u;
	t->cc = env->cc & 7u;
	t->ssthresh = CC_SSTHRESH_NONE;
	t->snd_limit = env->cfg.snd_buf_initial;
	t->quick = (uint8_t)(env->cfg.quick_acks < 255 ? env->cfg.quick_acks : 255);
	t->rcv_limit = env->cfg.rcv_wnd_initial;
	t->heard_ms = t->moved_ms = now_ms(env);
	rtt_init(env, t);
	flow_insert(env, hash, flow_ref(FLOW_TCB, conn));
	gauge(&env->stats.conns, 1);
	return conn;
}

struct tcb_ext *conn_ext(struct tcp_env *env, struct tcb *t)
{
	struct tcb_ext *x;

	if (t->ext)
		return ext_of(env, t);
	t->ext = pool_get(&env->exts);
	ENSURE(t->ext, "there are as many extensions as connections");
	x = ext_of(env, t);
	memset(x, 0, sizeof(*x));
	x->conn = tcb_index(env, t);
	x->recover = t->snd_una - 1;
	rec_init(env, t, &x->rec);
	cong_init(env, t, x);
	return x;
}

void conn_ext_drop(struct tcp_env *env, struct tcb *t)
{
	struct tcb_ext *x = ext_of(env, t);

	if (!x || x->ooo_head || x->has_fin || x->told.duplicate ||
	    t->snd_una != t->snd_max)
		return;
	rec_keep(t, &x->rec);
	xmit_free(env, &x->sent);
	rate_drop(env, x);
	pace_drop(env, t->ext);
	pool_put(&env->exts, t->ext);
	t->ext = 0;
}

void conn_ext_put(struct tcp_env *env, struct tcb *t)
{
	if (t->ext && !snd_pending(t) && t->ecn != ECN_ACCURATE &&
	    !cong_keeps(env, t))
		conn_ext_drop(env, t);
}

void conn_dirty(struct tcp_env *env, struct tcb *t)
{
	uint32_t conn;

	if (t->flags & T_DIRTY)
		return;
	conn = tcb_index(env, t);
	t->flags |= T_DIRTY;
	t->dirty_next = 0;
	if (env->dirty_tail)
		tcb_at(env, env->dirty_tail)->dirty_next = conn;
	else
		env->dirty_head = conn;
	env->dirty_tail = conn;
}

void tcp_mark_dirty(struct tcp_env *env, uint32_t conn)
{
	struct tcb *t = tcb_at(env, conn);

	if (t->flags & T_LIVE)
		conn_dirty(env, t);
}

uint32_t tcp_next_dirty(struct tcp_env *env)
{
	while (env->dirty_head) {
		uint32_t conn = env->dirty_head;
		struct tcb *t = tcb_at(env, conn);

		env->dirty_head = t->dirty_next;
		if (!env->dirty_head)
			env->dirty_tail = 0;
		t->flags &= ~T_DIRTY;
		if (t->flags & T_LIVE)
			return conn;
		pool_put(&env->tcbs, conn);	/* freed while in the list */
	}
	return 0;
}

void conn_unhash(struct tcp_env *env, struct tcb *t)
{
	if (!(t->flags & T_HASHED))
		return;
	flow_remove(env, t->hash, flow_ref(FLOW_TCB, tcb_index(env, t)));
	t->flags &= ~T_HASHED;
}

static bool wanted(const struct tcb *t)
{
	return (t->flags & T_KNOWN) && !(t->flags & T_DETACHED);
}

bool conn_put(struct tcp_env *env, struct tcb *t)
{
	uint32_t conn = tcb_index(env, t);

	if ((t->state != TCP_CLOSED && t->state != TCP_TIME_WAIT) || wanted(t))
		return false;
	ENSURE(!(t->flags & (T_HASHED | T_ACCEPTQ)), "nothing finds it any more");
	timer_stop(env, t);
	send_discard(env, t);
	recv_discard(env, t);
	conn_ext_drop(env, t);
	ENSURE(!t->ext, "a connection without data needs none");
	set_unref(env, t->set);
	t->set = 0;
	if (t->state == TCP_TIME_WAIT)
		tcp_state_set(t, TCP_DO_RESET);
	t->user.generation = (t->user.generation + 1) & 0xffffff;
	t->flags &= T_DIRTY;
	gauge(&env->stats.conns, -1);
	if (!t->flags)
		pool_put(&env->tcbs, conn);
	return true;
}

void conn_end(struct tcp_env *env, struct tcb *t, int error)
{
	if (t->flags & T_ACCEPTQ)
		accept_queue_remove(env, t);
	tfo_over(env, t);
	conn_unhash(env, t);
	timer_stop(env, t);
	send_discard(env, t);
	reass_purge(env, t);
	conn_ext_drop(env, t);
	t->flags &= ~(T_SYN_DUE | T_ACK_NOW | T_DELACK | T_REXMIT | T_PROBE |
		      T_KEEP_PROBE | T_PUSH | T_RECOVERY);
	tcp_state_set(t, TCP_DO_RESET);
	if (error && !t->error)
		t->error = (uint8_t)error;
	if (!conn_put(env, t))
		conn_dirty(env, t);
}

/* RFC 9293 3.10.5: what both have finished is forgotten in silence. */
static bool reset_is_due(const struct tcb *t)
{
	switch (t->state) {
	case TCP_SYN_SENT:
	case TCP_CLOSED:
	case TCP_TIME_WAIT:
		return false;
	case TCP_CLOSING:
	case TCP_LAST_ACK:
		return !fin_sent(t);
	default:
		return true;
	}
}

void conn_abort(struct tcp_env *env, struct tcb *t, int error)
{
	/* 3.10.5: <SEQ=SND.NXT><CTL=RST>; with ACK for firewalls. */
	if (reset_is_due(t) &&
	    reply_new(env, &t->tuple, TCP_RST | TCP_ACK, t->snd_max, t->rcv_nxt))
		counter_add(&env->stats.rsts_out, 1);
	conn_end(env, t, error);
}

/* ---- answers without a connection ---- */

bool reply_room(const struct tcp_env *env)
{
	return env->reply_tail - env->reply_head < REPLIES;
}

struct reply *reply_new(struct tcp_env *env, const struct flow_tuple *to,
			uint16_t flags, seq_t seq, seq_t ack)
{
	struct reply *r;

	if (!reply_room(env)) {
		drop(env, TCP_DROP_REPLY_FULL);
		return NULL;
	}
	r = &env->replies[env->reply_tail++ & (REPLIES - 1)];
	r->src = to->local;
	r->dst = to->remote;
	r->sport = to->lport;
	r->dport = to->rport;
	r->seq = seq;
	r->ack = ack;
	r->flags = flags;
	r->wnd = 0;
	r->opt_len = 0;
	return r;
}

void reply_reset(struct tcp_env *env, const struct flow_tuple *to,
		 const struct seg *s)
{
	struct reply *r;

	if (s->flags & TCP_RST)
		return;
	if (s->flags & TCP_ACK)
		r = reply_new(env, to, TCP_RST, s->ack, 0);
	else
		r = reply_new(env, to, TCP_RST | TCP_ACK, 0,
			      s->seq + seg_space(s));
	if (r)
		counter_add(&env->stats.rsts_out, 1);
}

bool tcp_next_reply(struct tcp_env *env, struct tcp_tx *tx)
{
	const struct reply *r;

	if (env->reply_head == env->reply_tail)
		return false;
	r = &env->replies[env->reply_head++ & (REPLIES - 1)];
	tx->src = r->src;
	tx->dst = r->dst;
	tx->sport = r->sport;
	tx->dport = r->dport;
	tx->seq = r->seq;
	tx->ack = r->ack;
	tx->wnd = r->wnd;
	tx->flags = r->flags;
	tx->opt_len = r->opt_len;
	memcpy(tx->opts, r->opts, sizeof(r->opts));
	tx->payload_len = tx->pieces = 0;
	tx->mss = 0;
	tx->tos = 0;
	tx->ttl = 64;
	tx->df = true;
	tx->conn = 0;
	counter_add(&env->stats.segs_out, 1);
	return true;
}

bool challenge_allowed(struct tcp_env *env)
{
	if (env->challenge_left == 0 ||
	    now_ms(env) - env->challenge_ms >= 1000) {
		if (now_ms(env) - env->challenge_ms < 1000)
			return false;
		env->challenge_ms = now_ms(env);
		env->challenge_left = CHALLENGES_A_SECOND / 2 +
			(uint32_t)(env_random(env) % CHALLENGES_A_SECOND);
	}
	env->challenge_left--;
	counter_add(&env->stats.challenge_acks, 1);
	return true;
}

/* ---- small answers to the engine ---- */

struct tcp_user *tcp_user(struct tcp_env *env, uint32_t conn)
{
	return &tcb_at(env, conn)->user;
}

bool tcp_conn_valid(const struct tcp_env *env, uint32_t conn,
		    uint32_t generation)
{
	const struct tcb *t;

	if (conn == 0 || conn >= env->tcbs.fresh)
		return false;
	t = tcb_at(env, conn);
	return (t->flags & T_LIVE) && t->user.generation == generation;
}

void *tcp_path(struct tcp_env *env, uint32_t conn)
{
	return tcb_at(env, conn)->path;
}

int tcp_error(const struct tcp_env *env, uint32_t conn)
{
	return tcb_at(env, conn)->error;
}

uint32_t tcp_acked(const struct tcp_env *env, uint32_t conn)
{
	const struct tcb *t = tcb_at(env, conn);

	return snd_data_una(t) - (t->iss + 1);
}

uint32_t tcp_sent(const struct tcp_env *env, uint32_t conn)
{
	const struct tcb *t = tcb_at(env, conn);

	return t->snd_end - (t->iss + 1);
}

uint32_t tcp_send_limit(const struct tcp_env *env, uint32_t conn)
{
	return send_limit(env, tcb_at(env, conn));
}

const struct tcp_client_stats *tcp_client_stats(const struct tcp_env *env,
						uint32_t client)
{
	return &env->client_stats[client % TCP_CLIENTS_MAX];
}

struct tcp_stats *tcp_stats(struct tcp_env *env)
{
	return &env->stats;
}
