/*
 * mail_in.c - what control and the other engines want, and the answers
 *
 * A request with a tag is answered by MAIL_DONE exactly once, most of them at
 * once.  Answers go through the outbox: control's ring may be full, and
 * nothing that the engine has to say may be lost.  The outbox cannot overflow:
 * a client is the subject of one BAD, one GONE and one WANT_SLAB a class at a
 * time, and mail is received only while there is room for its answer.
 */
#include <errno.h>
#include <string.h>

#include "engine/engine_state.h"

#define LIST_SLICE	256u	/* entries an answer */
#define MAILS_A_TURN	64u
#define RESET_US	500000u	/* to reset what is open after the grace */
#define NEIGH_BATCH	16

/* ---- out ---- */

static uint32_t outbox_room(const struct engine *e)
{
	return OUTBOX_MAILS - (e->outbox_tail - e->outbox_head);
}

static void outbox_flush(struct engine *e)
{
	while (e->outbox_head != e->outbox_tail) {
		if (e->control &&
		    mail_send(e->control, e->cfg.index,
			      &e->outbox[e->outbox_head & (OUTBOX_MAILS - 1)]))
			return;
		e->outbox_head++;
	}
}

void engine_tell(struct engine *e, const struct mail *m)
{
	ENSURE(outbox_room(e) > 0, "mail to control is bounded by design");
	e->outbox[e->outbox_tail++ & (OUTBOX_MAILS - 1)] = *m;
	outbox_flush(e);
}

static void done(struct engine *e, const struct mail *m, int error)
{
	struct mail answer = { .type = MAIL_DONE, .tag = m->tag };

	answer.done.error = error;
	if (m->tag)
		engine_tell(e, &answer);
}

/* ---- requests ---- */

static int net_apply(struct engine *e, const struct net_config *cfg)
{
	int err = net_set_addrs(e->net, cfg->addrs, cfg->addr_count);

	if (!err)
		err = net_set_routes(e->net, cfg->routes, cfg->route_count);
	if (!err)
		err = net_set_static_neigh(e->net, cfg->neigh,
					   cfg->neigh_count);
	if (!err && cfg->announce && e->cfg.index == 0)
		net_announce(e->net);	/* once a daemon is enough */
	return err;
}

static int live(struct engine *e, const struct engine_live *next)
{
	int err = tcp_configure(e->tcp, &next->tcp);

	if (err)
		return err;
	e->cfg.spin_us = next->spin_us[e->cfg.index];
	access_set(e, next->access, next->access_count);
	return err;
}

static int hold(struct engine *e, const struct mail *m)
{
	uint32_t conn = handle_index(m->hold.sock), peer = m->hold.peer;

	if (handle_engine(m->hold.sock) != e->cfg.index || conn == 0 ||
	    conn > e->cfg.tcp.max_conns ||
	    !tcp_conn_valid(e->tcp, conn, handle_generation(m->hold.sock)) ||
	    (tcp_user(e->tcp, conn)->flags & U_CLOSED) ||
	    !socket_held(e, conn, m->hold.client))
		return -ENOENT;
	if (peer == 0 || peer >= TCP_CLIENTS_MAX ||
	    e->clients[peer].state != CLIENT_LIVE)
		return -ESRCH;
	return socket_hold(e, conn, peer);
}

/* Those that are gone meanwhile are left out: nobody can take them. */
static int hold_many(struct engine *e, const struct mail *m)
{
	struct hold_list *list = m->hold_many.list;
	struct mail one = { .hold = { .client = m->hold_many.client,
				      .peer = m->hold_many.peer } };

	for (uint32_t i = 0; i < list->count; i++) {
		int err;

		one.hold.sock = list->sock[i];
		if (handle_engine(one.hold.sock) != e->cfg.index)
			continue;
		err = hold(e, &one);
		if (err == -ENOBUFS || err == -ESRCH)
			return err;
		if (err == 0 || err == -EEXIST)
			list->held[e->cfg.index]++;
	}
	return 0;
}

static int info(struct engine *e, const struct mail *m)
{
	uint32_t conn = handle_index(m->info.sock);
	struct sock_known *out = m->info.out;

	if (handle_engine(m->info.sock) != e->cfg.index || conn == 0 ||
	    conn > e->cfg.tcp.max_conns ||
	    !tcp_conn_valid(e->tcp, conn, handle_generation(m->info.sock)) ||
	    !socket_held(e, conn, m->info.client))
		return -ENOENT;
	tcp_sock_info(e->tcp, conn, &out->info, e->now);
	out->cc = tcp_cc_of(e->tcp, conn);
	return 0;
}

static uint32_t list_conns(struct engine *e, struct mail *answer,
			   struct tcp_info *out, int max)
{
	int n = tcp_list(e->tcp, &answer->done.cursor, out, max);

	for (int i = 0; i < n; i++)	/* the client's number, not our slot */
		out[i].context = out[i].context < e->context_fresh &&
				 out[i].context ?
			e->contexts[out[i].context].number : ~0u;
	return (uint32_t)n;
}

static void list(struct engine *e, const struct mail *m)
{
	struct mail answer = { .type = MAIL_DONE, .tag = m->tag };
	uint32_t max = m->list.max < LIST_SLICE ? m->list.max : LIST_SLICE;

	answer.done.cursor = m->list.cursor;
	switch (m->list.what) {
	case MAIL_LIST_CONNS:
		answer.done.count = list_conns(e, &answer, m->list.out,
					       (int)max);
		break;
	case MAIL_LIST_NEIGH:
		answer.done.count = (uint32_t)net_list_neigh(
			e->net, &answer.done.cursor, m->list.out, (int)max,
			e->now);
		break;
	case MAIL_LIST_ROUTES:	/* a table that one answer holds */
		if (m->list.cursor == 0)
			answer.done.count = (uint32_t)net_list_routes(
				e->net, m->list.out, (int)m->list.max);
		answer.done.cursor = 1;
		break;
	default:
		answer.done.error = -EINVAL;
	}
	engine_tell(e, &answer);
}

static void learn(struct engine *e, const struct mail *m)
{
	struct net_neigh_entry n = {
		.addr = m->neigh.addr, .port = m->neigh.port,
		.state = m->neigh.state,
	};

	memcpy(n.mac, m->neigh.mac, sizeof(n.mac));
	net_learn(e->net, &n, e->now);
}

/* Closes what is open, in order; MAIL_STOPPED follows (stop_turn). */
static void stop(struct engine *e, const struct mail *m)
{
	e->stopping = true;
	e->stop_end = mono_add(e->now, m->stop.grace_us);
	accept_stop(e);
	for (uint32_t i = 1; i < TCP_CLIENTS_MAX; i++)
		client_detach(e, i, m->stop.grace_us, false);
}

/* Control waits for the word of every engine. */
static void say_gone(struct engine *e, uint32_t slot)
{
	struct mail m = { .type = MAIL_CLIENT_GONE };

	m.client.slot = slot;
	engine_tell(e, &m);
}

static void handle(struct engine *e, const struct mail *m)
{
	int err = 0;

	switch ((enum mail_type)m->type) {
	case MAIL_CLIENT_ADD:
		err = client_add(e, m);
		break;
	case MAIL_SLAB_ADD:
		err = client_slab(e, m);
		break;
	case MAIL_CONTEXT_ADD:
		err = context_add(e, m);
		break;
	case MAIL_CONTEXT_DEL:
		err = context_del(e, m);
		if (err == -EINPROGRESS)
			return;
		break;
	case MAIL_CLIENT_DETACH:
		err = client_detach(e, m->detach.slot, m->detach.grace_us,
				    true);
		if (err == -ENOENT)	/* it never came here */
			say_gone(e, m->detach.slot);
		break;
	case MAIL_LISTEN:
		err = accept_listen(e, m);
		break;
	case MAIL_UNLISTEN:
		err = accept_unlisten(e, m);
		break;
	case MAIL_HOLD:
		err = hold(e, m);
		break;
	case MAIL_HOLD_MANY:
		err = hold_many(e, m);
		break;
	case MAIL_OPTION:
		err = accept_option(e, m);
		break;
	case MAIL_INFO:
		err = info(e, m);
		break;
	case MAIL_CAPTURE:
		e->capture = m->config.ptr;
		break;
	case MAIL_FLIGHT:
		err = flight_report(e->tcp, m->flight.conn,
				    m->flight.generation, m->flight.out,
				    e->now);
		break;
	case MAIL_NET_CONFIG:
		err = net_apply(e, m->config.ptr);
		break;
	case MAIL_PING:
		break;
	case MAIL_LIVE:
		err = live(e, m->config.ptr);
		break;
	case MAIL_LIST:
		list(e, m);
		return;
	case MAIL_STOP:
		stop(e, m);
		break;
	case MAIL_NEIGH:
		learn(e, m);
		return;
	default:
		err = -EINVAL;
	}
	done(e, m, err);
}

/* ---- in ---- */

/* Neighbours learnt here, for the others; ARP repairs what is lost. */
static void tell_neighbours(struct engine *e)
{
	struct net_neigh_entry found[NEIGH_BATCH];
	int n = net_learnt(e->net, found, NEIGH_BATCH);

	for (int i = 0; i < n; i++) {
		struct mail m = { .type = MAIL_NEIGH };

		m.neigh.addr = found[i].addr;
		memcpy(m.neigh.mac, found[i].mac, sizeof(m.neigh.mac));
		m.neigh.port = found[i].port;
		m.neigh.state = found[i].state;
		for (uint32_t k = 0; e->all && k < e->cfg.count; k++)
			if (k != e->cfg.index &&
			    mail_send(engine_mailbox(e->all[k]), e->cfg.index,
				      &m))
				count(&e->stats.handover_full);
	}
}

/* Everything closed, or the grace is over: the last word to control.  After
 * the grace clients' connections are reset (leave_step): their peers would
 * hear nothing else of our end. */
static void stop_turn(struct engine *e)
{
	struct mail m = { .type = MAIL_STOPPED };
	bool leaving = e->leaving_count || e->ending_count;
	bool open = leaving || counter_get(&tcp_stats(e->tcp)->conns);

	if (e->stopped || (open && mono_before(e->now, e->stop_end)) ||
	    (leaving && mono_before(e->now, mono_add(e->stop_end, RESET_US))))
		return;
	engine_tell(e, &m);
	e->stopped = true;
}

uint32_t mail_turn(struct engine *e)
{
	struct mail m;
	uint32_t n = 0;

	outbox_flush(e);
	while (n < MAILS_A_TURN && outbox_room(e) > OUTBOX_MAILS / 8 &&
	       mail_receive(e->mailbox, &m)) {
		handle(e, &m);
		n++;
	}
	tell_neighbours(e);
	if (e->stopping)
		stop_turn(e);
	return n;
}
