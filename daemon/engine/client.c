/*
 * client.c - clients and contexts as this engine sees them: coming and going
 *
 * Leaving, in steps that never wait for the client:
 *	1. what it had published is done (unless it is the reason)
 *	2. contexts end: credit vanishes, sockets whose last holder this is
 *	   are closed (FIN after what is unsent, RST where data is unread),
 *	   SLICE a turn; others pass to their next holder; then grants vanish,
 *	   those of REVOKE_SLABS a turn
 *	3. orphans: TCP sends what is unsent out of the client's memory; after
 *	   the grace they are aborted
 *	4. no block is in use, by frames of ports neither: slabs are taken back
 *	   from the ports, those of REVOKE_SLABS a turn; orphans that TCP still needs (FIN_WAIT) become
 *	   the engine's own, the arena is let go, control hears CLIENT_GONE and
 *	   may unmap the segment
 */
#include <errno.h>
#include <string.h>

#include "engine/engine_state.h"

#define ASK_AGAIN_US	1000000
#define REVOKE_SLABS	4u	/* whose blocks are looked through a turn */

static struct client *client_at(struct engine *e, uint32_t slot)
{
	if (slot == 0 || slot >= TCP_CLIENTS_MAX ||
	    e->clients[slot].state == CLIENT_NONE)
		return NULL;
	return &e->clients[slot];
}

/* ---- coming ---- */

int client_add(struct engine *e, const struct mail *m)
{
	uint32_t slot = m->client.slot;
	struct client *cl;

	if (slot == 0 || slot >= TCP_CLIENTS_MAX)
		return -EINVAL;
	cl = &e->clients[slot];
	if (cl->state != CLIENT_NONE)
		return -EEXIST;
	if (e->stopping)
		return -ESHUTDOWN;
	*cl = (struct client){
		.state = CLIENT_LIVE, .slot = (uint16_t)slot,
		.wake_rd = m->client.wake_rd, .slabs = m->client.slabs,
		.segment = m->client.segment, .arena = m->client.arena,
		.quota = m->client.quota_conns, .policy = m->client.policy,
		.account = m->client.account, .last_command = e->now,
	};
	cl->wake = (struct wake_shared *)(cl->segment +
					  engine_wake_offset(e->cfg.index));
	tcp_set_arena(e->tcp, slot, cl->arena);
	count(&e->stats.clients);
	e->watched++;
	client_promote(e, cl);
	return sleep_watch(e, cl);
}

bool client_opens(struct client *cl)
{
	if ((cl->quota && cl->open >= cl->quota) || !account_open(cl->account))
		return false;
	cl->open++;
	return true;
}

void client_closes(struct client *cl)
{
	cl->open--;
	account_close(cl->account);
}

void client_passes(struct client *from, struct client *to)
{
	from->open--;
	to->open++;
	account_move(from->account, to->account);
}

int client_slab(struct engine *e, const struct mail *m)
{
	struct client *cl = client_at(e, m->slab.client);
	int err;

	if (!cl || m->slab.cls >= BLOCK_CLASSES)
		return -ENOENT;
	err = arena_add_slab(cl->arena, m->slab.slab,
			     (enum block_class)m->slab.cls, m->slab.meta);
	if (!err)
		lend_slab(e, cl, m->slab.slab);
	cl->asked[m->slab.cls] = (mono_t){ 0 };
	for (struct context *c = cl->contexts; c; c = c->next)
		event_touch(e, c);
	return err;
}

void client_want_slab(struct engine *e, struct client *cl, enum block_class cls)
{
	struct mail m = { .type = MAIL_WANT_SLAB };

	if (cl->state != CLIENT_LIVE || cl->bad ||
	    (cl->asked[cls].us &&
	     mono_diff_us(cl->asked[cls], e->now) < ASK_AGAIN_US))
		return;
	cl->asked[cls] = e->now.us ? e->now : (mono_t){ 1 };
	m.slab.client = cl->slot;
	m.slab.slab = e->cfg.index;	/* who asks */
	m.slab.cls = cls;
	engine_tell(e, &m);
}

struct context *context_find(struct engine *e, uint32_t client,
			     uint32_t number)
{
	struct client *cl = client_at(e, client);
	struct context *c = cl ? cl->contexts : NULL;

	while (c && (c->number != number || c->state != CONTEXT_LIVE))
		c = c->next;
	return c;
}

static struct context *context_slot(struct engine *e)
{
	for (uint32_t i = 1; i < e->context_fresh; i++)
		if (e->contexts[i].state == CONTEXT_FREE)
			return &e->contexts[i];
	if (e->context_fresh == CONTEXTS_ALL)
		return NULL;
	return &e->contexts[e->context_fresh++];
}

int context_add(struct engine *e, const struct mail *m)
{
	struct client *cl = client_at(e, m->context.client);
	struct context *c;
	uint8_t *rings;

	if (!cl || cl->state != CLIENT_LIVE)
		return -ENOENT;
	if (m->context.context >= CONTEXTS_MAX ||
	    m->context.rings_offset +
		    context_cmd_ring_offset(e->cfg.count) >
		    (uint64_t)cl->slabs * SLAB_BYTES)
		return -EINVAL;
	if (context_find(e, m->context.client, m->context.context))
		return -EEXIST;
	c = context_slot(e);
	if (!c)
		return -ENOBUFS;
	rings = cl->segment + m->context.rings_offset;
	*c = (struct context){
		.client = cl, .slot = (uint16_t)(c - e->contexts),
		.number = (uint16_t)m->context.context, .state = CONTEXT_LIVE,
		.wake_wr = m->context.wake_wr, .home = m->context.home,
		.wake = (struct wake_shared *)rings, .next = cl->contexts,
	};
	ring_attach(&c->cmd, rings + context_cmd_ring_offset(e->cfg.index),
		    CMD_RING_SLOTS);
	ring_attach(&c->event, rings + context_event_ring_offset(e->cfg.index),
		    EVENT_RING_SLOTS);
	cl->contexts = c;
	count(&e->stats.contexts);
	return 0;
}

/* ---- polled or not ---- */

void client_promote(struct engine *e, struct client *cl)
{
	if (cl->active || cl->bad)
		return;
	wake_cancel(cl->wake);
	cl->active = true;
	cl->active_at = e->active_count;
	cl->last_command = e->now;
	e->active[e->active_count++] = cl;
	e->watched--;
}

static void deactivate(struct engine *e, struct client *cl)
{
	struct client *last;

	if (!cl->active)
		return;
	last = e->active[--e->active_count];
	e->active[cl->active_at] = last;
	last->active_at = cl->active_at;
	cl->active = false;
	e->watched++;
}

static bool has_commands(struct client *cl)
{
	for (struct context *c = cl->contexts; c; c = c->next)
		if (c->state == CONTEXT_LIVE && c->notes < NOTES_STALL &&
		    ring_peek(&c->cmd) != 0)
			return true;
	return false;
}

bool client_demote(struct engine *e, struct client *cl)
{
	wake_prepare(cl->wake);		/* its fence comes before the look */
	if (has_commands(cl)) {
		wake_cancel(cl->wake);
		return false;
	}
	deactivate(e, cl);
	return true;
}

/* ---- going ---- */

void client_bad(struct engine *e, struct client *cl, enum detach_reason why)
{
	struct mail m = { .type = MAIL_CLIENT_BAD };

	if (cl->bad)
		return;
	log_warnx("client %u: detached: %s", cl->slot, detach_reason_name(why));
	cl->bad = true;
	deactivate(e, cl);
	sleep_unwatch(e, cl);
	m.bad.slot = cl->slot;
	m.bad.reason = why;
	if (cl->state == CLIENT_LIVE)
		engine_tell(e, &m);
}

static void context_end(struct engine *e, struct context *c)
{
	if (c->state != CONTEXT_LIVE)
		return;
	command_drain(e, c);
	moves_forget(e, c);
	accept_leave(e, c);
	event_drop_notes(e, c);
	c->revoked = 0;
	c->state = CONTEXT_ENDING;
	c->waiting = false;
	e->ending[e->ending_count++] = c;
}

int context_del(struct engine *e, const struct mail *m)
{
	struct context *c = context_find(e, m->context.client,
					 m->context.context);

	if (!c)
		return -ENOENT;
	c->end_tag = m->tag;
	context_end(e, c);
	return -EINPROGRESS;	/* answered when its sockets are closed */
}

/* Sockets whose handle the client never used are on other lists. */
static void abandon_nameless(struct engine *e, struct context *c)
{
	for (uint32_t b = 0; b < NAMELESS_BUCKETS; b++) {
		uint32_t conn = e->nameless[b], next;

		for (; conn; conn = next) {
			next = e->links[conn].next;
			if (tcp_user(e->tcp, conn)->context == c->slot)
				socket_abandon(e, conn);
		}
	}
}

static void context_free(struct engine *e, struct context *c)
{
	struct context **at = &c->client->contexts;
	struct mail m = { .type = MAIL_DONE, .tag = c->end_tag };

	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	c->state = CONTEXT_FREE;
	counter_add(&e->stats.contexts, (uint64_t)-1);
	if (m.tag)
		engine_tell(e, &m);
}

static void contexts_turn(struct engine *e)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < e->ending_count; i++) {
		struct context *c = e->ending[i];

		for (uint32_t n = 0; c->conns && n < SLICE; n++)
			if (!accept_give_back(e, c->conns))
				socket_abandon(e, c->conns);
		if (c->conns || !arena_revoke(c->client->arena, c->slot,
					      &c->revoked, REVOKE_SLABS)) {
			e->ending[kept++] = c;
			continue;
		}
		abandon_nameless(e, c);
		context_free(e, c);
	}
	e->ending_count = kept;
}

int client_detach(struct engine *e, uint32_t slot, uint64_t grace_us, bool tell)
{
	struct client *cl = client_at(e, slot);

	if (!cl)
		return -ENOENT;
	cl->tell_gone |= tell;
	if (cl->state == CLIENT_LEAVING)
		return 0;
	for (struct context *c = cl->contexts; c; c = c->next)
		context_end(e, c);
	cl->state = CLIENT_LEAVING;
	cl->bad = true;			/* not read any more */
	cl->arena->dying = true;
	cl->grace_end = mono_add(e->now, grace_us);
	deactivate(e, cl);
	sleep_unwatch(e, cl);
	e->leaving[e->leaving_count++] = cl;
	return 0;
}

/* Up to SLICE parked sockets and holders; true: none are left. */
static bool let_go(struct engine *e, struct client *cl)
{
	for (uint32_t n = 0; cl->holders && n < SLICE; n++)
		holder_remove(e, cl->holders);
	for (uint32_t n = 0; cl->parked && n < SLICE; n++)
		socket_abandon(e, cl->parked);
	return !cl->holders && !cl->parked;
}

/* Is the orphan still the connection that was closed? */
static bool orphan_lives(struct engine *e, const struct client *cl,
			 uint32_t conn)
{
	return tcp_conn_valid(e->tcp, conn, e->links[conn].generation) &&
	       tcp_user(e->tcp, conn)->client == cl->slot;
}

/* Aborts what is left after the grace, SLICE a turn. */
static void abort_orphans(struct engine *e, struct client *cl)
{
	for (uint32_t n = 0; cl->orphans && n < SLICE; n++) {
		uint32_t conn = cl->orphans;

		socket_unlist(e, conn);
		if (orphan_lives(e, cl, conn))
			tcp_close(e->tcp, conn, true, e->now);
	}
}

/* No block is in use: what TCP still works on needs no memory of it. */
static bool adopt_orphans(struct engine *e, struct client *cl)
{
	for (uint32_t n = 0; cl->orphans && n < SLICE; n++) {
		uint32_t conn = cl->orphans;

		if (orphan_lives(e, cl, conn))
			tcp_user(e->tcp, conn)->client = 0;
		socket_unlist(e, conn);
	}
	return cl->orphans == 0;
}

static void client_gone(struct engine *e, struct client *cl)
{
	struct mail m = { .type = MAIL_CLIENT_GONE };

	tcp_set_arena(e->tcp, cl->slot, NULL);
	m.client.slot = cl->slot;
	if (cl->tell_gone)
		engine_tell(e, &m);
	cl->state = CLIENT_NONE;
	e->watched--;
	counter_add(&e->stats.clients, (uint64_t)-1);
}

/* One step; true: it is gone. */
static bool leave_step(struct engine *e, struct client *cl)
{
	if (cl->contexts || !let_go(e, cl))
		return false;
	if (arena_in_use(cl->arena)) {
		if (!mono_before(e->now, cl->grace_end))
			abort_orphans(e, cl);
		return false;
	}
	if (!lend_end(e, cl, REVOKE_SLABS) || !adopt_orphans(e, cl))
		return false;
	client_gone(e, cl);
	return true;
}

void client_turn(struct engine *e)
{
	uint32_t kept = 0;

	if (e->ending_count)
		contexts_turn(e);
	for (uint32_t i = 0; i < e->leaving_count; i++)
		if (!leave_step(e, e->leaving[i]))
			e->leaving[kept++] = e->leaving[i];
	e->leaving_count = kept;
}

mono_t client_next_due(const struct engine *e)
{
	mono_t due = MONO_NEVER;

	if (e->ending_count)
		return e->now;
	for (uint32_t i = 0; i < e->leaving_count; i++) {
		const struct client *cl = e->leaving[i];
		bool busy = cl->holders || cl->parked ||
			    !arena_in_use(cl->arena) ||
			    (cl->orphans && mono_before(cl->grace_end, e->now));
		mono_t at = busy ? e->now : cl->grace_end;

		if (!busy && !cl->orphans)
			continue;	/* TCP's own timers will free it */
		if (mono_before(at, due))
			due = at;
	}
	return due;
}
