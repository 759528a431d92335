/*
 * events.c - what changed, as records in the clients' event rings
 *
 *	tcp_next_dirty -> event_announce --room--> records
 *	                        \--no room--> waiting list of the context
 *	event_turn: contexts that wait and have room again -> records
 *	event_publish: one store a ring, one wake a context, a turn
 *
 * Events are differences: each is derived when it is written, from what TCP
 * says about the connection (tcp_events, tcp_announce_data) and the engine's
 * own bits, so none can be lost and nothing is queued twice.  A full ring costs
 * a look at its head a turn, however many connections wait.
 *
 * Only answers that no connection's state remembers (EVENT_GONE, a refused
 * connect) are notes; a context with many of them waiting has its commands left
 * in the ring, so a client cannot pile them up.
 *
 * Grants keep a context's stock between half of its target and the target.
 */
#include <string.h>
#include <unistd.h>

#include "engine/engine_state.h"

#define ROOM		2u	/* slots of the longest record */

static bool has_room(struct engine *e, struct context *c, uint32_t slots)
{
	int room = ring_room(&c->event, slots);

	if (room >= (int)slots)
		return true;
	if (room < 0)
		client_bad(e, c->client, DETACH_RING_BROKEN);
	return false;
}

static struct event *put(struct engine *e, struct context *c)
{
	count(&e->stats.events);
	event_touch(e, c);
	return ring_slot(&c->event);
}

void event_touch(struct engine *e, struct context *c)
{
	if (c->touched)
		return;
	c->touched = true;
	e->touched[e->touched_count++] = c;
}

void event_wait(struct engine *e, struct context *c)
{
	if (c->waiting)
		return;
	c->waiting = true;
	e->waiting[e->waiting_count++] = c;
}

/* ---- one connection ---- */

static void put_socket(struct engine *e, struct context *c, uint32_t conn,
		       const struct tcp_user *u, uint64_t sock)
{
	struct event_socket out = { .cookie = u->cookie, .sock = sock };
	struct tcp_info info;

	tcp_describe(e->tcp, conn, &info);
	out.type = u->flags & U_ACCEPTED ? EVENT_ACCEPTED : EVENT_TAKEN;
	out.state = u->flags & U_CONNECTING ? EVENT_S_CONNECTING :
					      EVENT_S_CONNECTED;
	if (u->flags & U_FIN_SENT)
		out.state |= EVENT_S_FIN_SENT;
	out.limit = tcp_send_limit(e->tcp, conn);
	out.acked = tcp_acked(e->tcp, conn);
	out.sent = tcp_sent(e->tcp, conn);
	out.local_port = info.lport;
	out.remote_port = info.rport;
	memcpy(out.local_addr, &info.local, sizeof(out.local_addr));
	memcpy(out.remote_addr, &info.remote, sizeof(out.remote_addr));
	/* slot by slot: the second may be at the ring's start */
	memcpy(put(e, c), &out, RING_SLOT);
	memcpy(ring_slot(&c->event), (uint8_t *)&out + RING_SLOT, RING_SLOT);
}

static void fill_connected(struct engine *e, uint32_t conn, struct event *ev)
{
	struct tcp_info info;

	tcp_describe(e->tcp, conn, &info);
	ev->connected.local_port = info.lport;
	ev->connected.mss = (uint16_t)info.mss;
	ev->connected.local_v4 = addr_is_v4(&info.local) ?
					 addr_v4(&info.local) : 0;
}

/* Picks the next event and fills in its own words; false: none. */
static bool next_event(struct engine *e, uint32_t conn, struct tcp_user *u,
		       struct event *ev)
{
	uint32_t what = tcp_events(e->tcp, conn);
	struct tcp_extent x;

	if (what & TCP_EVENT_CONNECTED) {
		ev->type = EVENT_CONNECTED;
		fill_connected(e, conn, ev);
		u->flags &= (uint16_t)~U_CONNECTING;
		tcp_announced(e->tcp, conn, TCP_EVENT_CONNECTED);
	} else if ((what & TCP_EVENT_DATA) &&
		   tcp_announce_data(e->tcp, conn, &x)) {
		ev->type = EVENT_DATA;
		ev->data.block = x.block;
		ev->data.offset = x.offset;
		ev->data.len = x.len;
	} else if (what & TCP_EVENT_FIN) {
		ev->type = EVENT_FIN;
		tcp_announced(e->tcp, conn, TCP_EVENT_FIN);
	} else if (what & TCP_EVENT_ERROR) {
		ev->type = EVENT_ERROR;
		ev->error = tcp_error(e->tcp, conn);
		tcp_announced(e->tcp, conn, TCP_EVENT_ERROR);
	} else if (what & TCP_EVENT_SENT) {
		ev->type = EVENT_SENT;
		tcp_announced(e->tcp, conn, TCP_EVENT_SENT);
	} else {
		return false;
	}
	return true;
}

static void put_event(struct engine *e, struct context *c, uint32_t conn,
		      const struct tcp_user *u, struct event *ev)
{
	ev->cookie = u->cookie;
	ev->sock = handle_make(e->cfg.index, u->generation, conn);
	ev->acked = tcp_acked(e->tcp, conn);
	ev->limit = tcp_send_limit(e->tcp, conn);
	memcpy(put(e, c), ev, sizeof(*ev));
}

/* The last word: TCP may forget the connection after this. */
static void put_closed(struct engine *e, struct context *c, uint32_t conn,
		       struct tcp_user *u)
{
	struct event ev = { .type = EVENT_CLOSED };

	put_event(e, c, conn, u, &ev);
	conn_log(e, conn, "closed");
	u->flags |= U_DETACHED;
	u->context = 0;
	socket_list(e, conn, LIST_ORPHAN, u->client);
	tcp_detach(e->tcp, conn);
}

/* Writes all that @conn has to say; false: the ring is full. */
static bool announce(struct engine *e, struct context *c, uint32_t conn)
{
	struct tcp_user *u = tcp_user(e->tcp, conn);

	if (!has_room(e, c, ROOM))
		return false;
	if (u->flags & U_CLOSED) {
		put_closed(e, c, conn, u);
		return true;
	}
	if (u->flags & (U_ACCEPTED | U_TAKEN)) {
		put_socket(e, c, conn, u, handle_make(e->cfg.index,
						      u->generation, conn));
		u->flags &= (uint16_t)~(U_ACCEPTED | U_TAKEN);
	}
	while (tcp_events(e->tcp, conn)) {
		struct event ev = { .type = EVENT_NONE };

		if (!has_room(e, c, 1))
			return false;
		if (!next_event(e, conn, u, &ev))
			break;
		put_event(e, c, conn, u, &ev);
	}
	return true;
}

static void wait_append(struct engine *e, struct context *c, uint32_t conn,
			struct tcp_user *u)
{
	u->flags |= U_WAITING;
	u->pending_next = 0;
	e->links[conn].wait_prev = c->wait_tail;
	if (c->wait_tail)
		tcp_user(e->tcp, c->wait_tail)->pending_next = conn;
	else
		c->wait_head = conn;
	c->wait_tail = conn;
	event_wait(e, c);
}

void event_announce(struct engine *e, uint32_t conn)
{
	struct tcp_user *u = tcp_user(e->tcp, conn);
	struct context *c = &e->contexts[u->context];

	if (u->flags & U_LEAVING ||
	    (u->holders && !(u->flags & (U_CLOSED | U_DETACHED)) &&
	     move_offer(e, conn)))
		return;
	c = &e->contexts[u->context];
	if ((u->flags & (U_WAITING | U_DETACHED)) || u->context == 0 ||
	    c->state != CONTEXT_LIVE)
		return;
	if (!(u->flags & (U_CLOSED | U_ACCEPTED | U_TAKEN)) &&
	    !tcp_events(e->tcp, conn))
		return;
	if (c->wait_head || c->note_head || !announce(e, c, conn)) {
		if (!c->client->bad)
			wait_append(e, c, conn, u);
	}
}

void event_forget(struct engine *e, uint32_t conn)
{
	struct tcp_user *u = tcp_user(e->tcp, conn);
	struct context *c = &e->contexts[u->context];
	uint32_t prev = e->links[conn].wait_prev;

	if (!(u->flags & U_WAITING))
		return;
	u->flags &= (uint16_t)~U_WAITING;
	if (prev)
		tcp_user(e->tcp, prev)->pending_next = u->pending_next;
	else
		c->wait_head = u->pending_next;
	if (u->pending_next)
		e->links[u->pending_next].wait_prev = prev;
	else
		c->wait_tail = prev;
}

/* ---- notes ---- */

static void put_note(struct engine *e, struct context *c, const struct note *n)
{
	struct event ev = { .type = n->type, .cookie = n->cookie };

	ev.sock = n->sock;
	ev.error = n->error;
	ev.limit = n->extra;
	memcpy(put(e, c), &ev, sizeof(ev));
}

void event_note(struct engine *e, struct context *c, const struct note *n)
{
	struct note *copy;
	uint32_t index;

	if (c->state != CONTEXT_LIVE || c->client->bad)
		return;
	if (!c->note_head && has_room(e, c, 1)) {
		put_note(e, c, n);
		return;
	}
	index = pool_get(&e->notes);
	if (!index) {		/* more than there can be connections */
		client_bad(e, c->client, DETACH_BAD_COUNT);
		return;
	}
	copy = pool_at(&e->notes, index);
	*copy = *n;
	copy->next = 0;
	if (c->note_tail)
		((struct note *)pool_at(&e->notes, c->note_tail))->next = index;
	else
		c->note_head = index;
	c->note_tail = index;
	c->notes++;
	event_wait(e, c);
}

void event_note_now(struct engine *e, struct context *c, const struct note *n)
{
	event_note(e, c, n);
	if (c->note_head)
		use_unsaid(c->wake, e->cfg.index);
	else
		ring_publish(&c->event);
}

static void pop_note(struct engine *e, struct context *c)
{
	uint32_t index = c->note_head;

	c->note_head = ((struct note *)pool_at(&e->notes, index))->next;
	if (!c->note_head)
		c->note_tail = 0;
	c->notes--;
	pool_put(&e->notes, index);
}

void event_drop_notes(struct engine *e, struct context *c)
{
	while (c->note_head)
		pop_note(e, c);
	use_said(c->wake, e->cfg.index);
}

/* ---- grants ---- */

#define FIRST_SMALL	64u
#define FIRST_LARGE	16u

/* One EVENT_GRANT; false: no room or no block. */
static bool grant_batch(struct engine *e, struct context *c,
			enum block_class cls)
{
	struct event ev = { .type = EVENT_GRANT, .cls = (uint8_t)cls };
	uint32_t missing = c->target[cls] - c->stock[cls];

	if (missing > EVENT_GRANT_BLOCKS)
		missing = EVENT_GRANT_BLOCKS;
	if (!has_room(e, c, 1))
		return false;
	while (ev.count < missing) {
		uint32_t b = block_grant(c->client->arena, cls, c->slot);

		if (b == BLOCK_NONE) {
			client_want_slab(e, c->client, cls);
			break;
		}
		ev.blocks[ev.count++] = b;
	}
	if (ev.count == 0)
		return false;
	c->stock[cls] += ev.count;
	memcpy(put(e, c), &ev, sizeof(ev));
	return ev.count == missing;
}

/* True: stocked as it should be. */
static bool refill(struct engine *e, struct context *c)
{
	bool full = true;

	for (int cls = 0; cls < BLOCK_CLASSES; cls++) {
		if (c->stock[cls] > c->target[cls] / 2)
			continue;
		while (c->stock[cls] < c->target[cls])
			if (!grant_batch(e, c, (enum block_class)cls))
				break;
		/* some is enough to go on; empty-handed it must wait */
		full = full && c->stock[cls] > c->target[cls] / 2;
	}
	return full;
}

static bool wants_refill(const struct context *c)
{
	return c->used &&
	       (c->stock[BLOCK_SMALL] <= c->target[BLOCK_SMALL] / 2 ||
		c->stock[BLOCK_LARGE] <= c->target[BLOCK_LARGE] / 2);
}

void event_first_use(struct engine *e, struct context *c)
{
	if (c->used)
		return;
	c->used = true;
	c->target[BLOCK_SMALL] = FIRST_SMALL;
	c->target[BLOCK_LARGE] = FIRST_LARGE;
	event_touch(e, c);
}

/* ---- a turn ---- */

/* Serves a context that waited; true: nothing is left. */
static bool serve(struct engine *e, struct context *c)
{
	while (c->note_head) {
		if (!has_room(e, c, 1))
			return false;
		put_note(e, c, pool_at(&e->notes, c->note_head));
		pop_note(e, c);
		if (c->note_head)
			continue;
		ring_publish(&c->event);
		use_said(c->wake, e->cfg.index);
	}
	while (c->wait_head) {
		uint32_t conn = c->wait_head;

		if (!has_room(e, c, ROOM))
			return false;
		event_forget(e, conn);
		if (!announce(e, c, conn)) {
			wait_append(e, c, conn, tcp_user(e->tcp, conn));
			return false;
		}
	}
	return !wants_refill(c) || refill(e, c);
}

void event_turn(struct engine *e)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < e->touched_count; i++) {
		struct context *c = e->touched[i];

		if (wants_refill(c) && c->state == CONTEXT_LIVE &&
		    !c->client->bad && !c->waiting && !refill(e, c))
			event_wait(e, c);
	}
	for (uint32_t i = 0; i < e->waiting_count; i++) {
		struct context *c = e->waiting[i];

		if (!c->waiting)
			continue;	/* ended meanwhile */
		if (c->state != CONTEXT_LIVE || c->client->bad || serve(e, c))
			c->waiting = false;
		else
			e->waiting[kept++] = c;
	}
	e->waiting_count = kept;
}

static void wake(struct engine *e, struct context *c)
{
	char one = 1;
	ssize_t n = c->wake_wr < 0 ? 0 : write(c->wake_wr, &one, 1);

	(void)n;		/* EAGAIN: a wake-up is there already */
	count(&e->stats.wakes_sent);
}

/* The sleeper's flag, and the producer's wish for room: one write for both. */
static void publish(struct engine *e, struct context *c)
{
	bool must;

	ring_publish(&c->event);
	must = wake_needed(c->wake);	/* its fence serves both */
	if (c->released && ring_take_want_room(&c->cmd))
		must = true;
	c->released = false;
	if (must)
		wake(e, c);
}

void event_publish(struct engine *e)
{
	for (uint32_t i = 0; i < e->touched_count; i++) {
		struct context *c = e->touched[i];

		c->touched = false;
		if (c->state != CONTEXT_LIVE)
			continue;
		publish(e, c);
		for (int cls = 0; cls < BLOCK_CLASSES; cls++)
			if (arena_wants(c->client->arena, (enum block_class)cls,
					c->client->arena->total[cls] / 8 + 64))
				client_want_slab(e, c->client,
						 (enum block_class)cls);
	}
	e->touched_count = 0;
}

bool event_arm(struct engine *e)
{
	bool room = false;

	for (uint32_t i = 0; i < e->waiting_count; i++) {
		struct context *c = e->waiting[i];

		if (c->state != CONTEXT_LIVE || c->client->bad)
			continue;
		if (!c->note_head && !c->wait_head &&
		    ring_room(&c->event, 1) > 0)
			continue;	/* it waits for blocks */
		/* full when last seen; pairs with the client's fence */
		ring_want_room(&c->event);
		if (ring_room(&c->event, ROOM) >= (int)ROOM)
			room = true;
	}
	return room;
}
