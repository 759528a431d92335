/*
 * sockets.c - whose a socket is: lists, holders, taking, closing
 *
 *	conn --- tcp_user.client (first holder), .context (current)
 *	     \-- tcp_user.holders -> holder -> holder	further clients
 *
 * The first holder's arena holds the payload.  When it lets go and others are
 * left, the next one becomes first: the payload is copied to its arena and
 * the socket is parked, without a context, until somebody takes it.
 */
#include <errno.h>
#include <string.h>

#include "engine/engine_state.h"

/* ---- lists ---- */

uint32_t *socket_head(struct engine *e, enum list_kind kind, uint32_t owner)
{
	switch (kind) {
	case LIST_CONTEXT:
		return &e->contexts[owner].conns;
	case LIST_NAMELESS:
		return &e->nameless[owner];
	case LIST_PARKED:
		return &e->clients[owner].parked;
	case LIST_ORPHAN:
		return &e->clients[owner].orphans;
	case LIST_NONE:
		break;
	}
	return NULL;
}

void socket_unlist(struct engine *e, uint32_t conn)
{
	struct link *l = &e->links[conn];

	if (l->kind == LIST_NONE)
		return;
	if (l->prev)
		e->links[l->prev].next = l->next;
	else
		*socket_head(e, (enum list_kind)l->kind, l->owner) = l->next;
	if (l->next)
		e->links[l->next].prev = l->prev;
	l->kind = LIST_NONE;
}

void socket_list(struct engine *e, uint32_t conn, enum list_kind kind,
		 uint32_t owner)
{
	struct link *l = &e->links[conn];
	uint32_t *head = socket_head(e, kind, owner);

	socket_unlist(e, conn);
	l->kind = (uint16_t)kind;
	l->owner = (uint16_t)owner;
	l->generation = tcp_user(e->tcp, conn)->generation;
	l->prev = 0;
	l->next = *head;
	if (l->next)
		e->links[l->next].prev = conn;
	*head = conn;
}

/* A client chooses its cookies: the secret keeps it from choosing buckets. */
uint32_t nameless_bucket(const struct engine *e, uint32_t ctx, uint32_t cookie)
{
	uint64_t x = ((uint64_t)ctx << 32 | cookie) ^ e->nameless_secret;

	x *= 0x9e3779b97f4a7c15ull;
	x ^= x >> 29;
	x *= 0xbf58476d1ce4e5b9ull;
	return (uint32_t)(x >> 52) & (NAMELESS_BUCKETS - 1);
}

uint32_t nameless_find(struct engine *e, const struct context *c,
		       uint32_t cookie)
{
	uint32_t conn = e->nameless[nameless_bucket(e, c->slot, cookie)];

	for (; conn; conn = e->links[conn].next) {
		const struct tcp_user *u = tcp_user(e->tcp, conn);

		if (u->context == c->slot && u->cookie == cookie)
			return conn;
	}
	return 0;
}

/* ---- holders ---- */

static struct holder *holder_at(const struct engine *e, uint32_t h)
{
	return pool_at(&e->holders, h);
}

/* Who sleeps for it has more use for it than who does not. */
static uint32_t next_holder(const struct engine *e, const struct tcp_user *u)
{
	uint32_t h = u->holders;

	while (h && !holder_at(e, h)->wait)
		h = holder_at(e, h)->next;
	return h ? h : u->holders;
}

static uint32_t find_holder(struct engine *e, const struct tcp_user *u,
			    uint32_t client)
{
	uint32_t h = u->holders;

	while (h && holder_at(e, h)->client != client)
		h = holder_at(e, h)->next;
	return h;
}

bool socket_held(struct engine *e, uint32_t conn, uint32_t client)
{
	const struct tcp_user *u = tcp_user(e->tcp, conn);

	return u->client == client || find_holder(e, u, client) != 0;
}

static void join_client(struct engine *e, uint32_t h, uint32_t client)
{
	struct client *cl = &e->clients[client];
	struct holder *n = holder_at(e, h);

	n->client = (uint16_t)client;
	n->client_prev = 0;
	n->client_next = (uint16_t)cl->holders;
	if (cl->holders)
		holder_at(e, cl->holders)->client_prev = (uint16_t)h;
	cl->holders = h;
}

static void leave_client(struct engine *e, uint32_t h)
{
	struct holder *n = holder_at(e, h);

	if (n->client_prev)
		holder_at(e, n->client_prev)->client_next = n->client_next;
	else
		e->clients[n->client].holders = n->client_next;
	if (n->client_next)
		holder_at(e, n->client_next)->client_prev = n->client_prev;
}

int socket_hold(struct engine *e, uint32_t conn, uint32_t client)
{
	struct tcp_user *u = tcp_user(e->tcp, conn);
	struct holder *n;
	uint32_t h;

	if (socket_held(e, conn, client))
		return -EEXIST;
	h = pool_get(&e->holders);
	if (!h)
		return -ENOBUFS;
	n = holder_at(e, h);
	n->conn = conn;
	n->wait = 0;
	n->next = u->holders;
	u->holders = (uint16_t)h;
	u->flags &= (uint16_t)~U_FRESH;
	join_client(e, h, client);
	return 0;
}

void holder_remove(struct engine *e, uint32_t h)
{
	struct holder *n = holder_at(e, h);
	struct tcp_user *u = tcp_user(e->tcp, n->conn);

	if (u->holders == h) {
		u->holders = n->next;
	} else {
		struct holder *before = holder_at(e, u->holders);

		while (before->next != h)
			before = holder_at(e, before->next);
		before->next = n->next;
	}
	leave_client(e, h);
	pool_put(&e->holders, h);
}

bool socket_unhold(struct engine *e, uint32_t conn, uint32_t client)
{
	uint32_t h = find_holder(e, tcp_user(e->tcp, conn), client);

	if (!h)
		return false;
	holder_remove(e, h);
	return true;
}

/* Whoever waits for it must know that nobody else reads it now. */
static void tell_parked(struct engine *e, uint32_t conn, uint32_t cookie)
{
	const struct tcp_user *u = tcp_user(e->tcp, conn);
	struct note n = {
		.type = EVENT_PARKED, .cookie = cookie,
		.sock = handle_make(e->cfg.index, u->generation, conn),
	};

	for (struct context *c = e->clients[u->client].contexts; c; c = c->next)
		event_note(e, c, &n);
}

bool socket_pass_on(struct engine *e, uint32_t conn)
{
	struct tcp_user *u = tcp_user(e->tcp, conn);
	uint32_t old = u->client, cookie = u->cookie, next, h;

	while (u->holders) {
		h = next_holder(e, u);
		next = holder_at(e, h)->client;
		holder_remove(e, h);
		event_forget(e, conn);
		if (tcp_assign(e->tcp, conn, next, 0, 0))
			continue;	/* no memory there: it loses it */
		u->flags &= (uint16_t)~(U_ACCEPTED | U_TAKEN | U_NAMELESS |
					U_LEAVING | U_HANDED);
		client_passes(&e->clients[old], &e->clients[next]);
		socket_list(e, conn, LIST_PARKED, next);
		tell_parked(e, conn, cookie);
		return true;
	}
	return false;
}

/* ---- taking ---- */

/* The old first holder stays one: in the node that was the new one's. */
static void swap_holder(struct engine *e, uint32_t conn, uint32_t old,
			uint32_t client)
{
	uint32_t h = find_holder(e, tcp_user(e->tcp, conn), client);

	leave_client(e, h);
	holder_at(e, h)->wait = 0;
	join_client(e, h, old);
	client_passes(&e->clients[old], &e->clients[client]);
}

/* It is the taker's until it has been in a call and out again, USE_MS at most:
 * two that take at the same time would else never find it. */
static void handed(struct engine *e, uint32_t conn, const struct context *c)
{
	struct link *l = &e->links[conn];

	tcp_user(e->tcp, conn)->flags |= U_HANDED;
	l->handed_ms = (uint16_t)(e->now.us / 1000);
	l->handed_use = (uint16_t)(((use_look(c->wake) + 1) & ~1u) + 2);
}

int socket_take(struct engine *e, uint32_t conn, struct context *c,
		uint32_t cookie)
{
	struct tcp_user *u = tcp_user(e->tcp, conn);
	struct context *from = u->context ? &e->contexts[u->context] : NULL;
	uint32_t old = u->client, old_cookie = u->cookie;
	struct note gone = {
		.type = EVENT_GONE, .cookie = old_cookie,
		.sock = handle_make(e->cfg.index, u->generation, conn),
	};
	int err;

	event_forget(e, conn);
	err = tcp_assign(e->tcp, conn, c->client->slot, c->slot, cookie);
	if (err)
		return err;
	if (old != c->client->slot)
		swap_holder(e, conn, old, c->client->slot);
	socket_list(e, conn, LIST_CONTEXT, c->slot);
	u->flags &= (uint16_t)~(U_ACCEPTED | U_NAMELESS | U_FRESH |
				U_LEAVING | U_HANDED);
	u->flags |= U_TAKEN;
	if (from == c && old_cookie != cookie)
		event_note(e, from, &gone);	/* else it was told (moves.c) */
	if (old != c->client->slot)
		handed(e, conn, c);
	event_announce(e, conn);
	return 0;
}

void socket_park(struct engine *e, uint32_t conn)
{
	struct tcp_user *u = tcp_user(e->tcp, conn);
	uint32_t cookie = u->cookie, client = u->client;

	event_forget(e, conn);
	if (tcp_assign(e->tcp, conn, client, 0, 0))
		return;			/* cannot be: nothing is copied */
	u->flags &= (uint16_t)~(U_ACCEPTED | U_TAKEN | U_NAMELESS | U_LEAVING |
				U_HANDED);
	socket_list(e, conn, LIST_PARKED, client);
	tell_parked(e, conn, cookie);
}

bool socket_await(struct engine *e, uint32_t conn, const struct context *c,
		  uint32_t cookie, uint16_t when)
{
	uint32_t h = find_holder(e, tcp_user(e->tcp, conn), c->client->slot);

	if (!h)
		return false;
	holder_at(e, h)->wait = when;
	holder_at(e, h)->wait_context = c->slot;
	holder_at(e, h)->wait_cookie = cookie;
	return true;
}

struct context *socket_sleeper(struct engine *e, uint32_t conn, uint16_t ready,
			       uint32_t *cookie)
{
	for (uint32_t h = tcp_user(e->tcp, conn)->holders; h;
	     h = holder_at(e, h)->next) {
		struct holder *n = holder_at(e, h);
		struct context *c = &e->contexts[n->wait_context];

		if (!(n->wait & ready))
			continue;
		n->wait = 0;
		*cookie = n->wait_cookie;
		if (c->state == CONTEXT_LIVE && c->client->slot == n->client)
			return c;
	}
	return NULL;
}

/* ---- closing ---- */

void socket_close(struct engine *e, uint32_t conn, bool abort)
{
	struct tcp_user *u = tcp_user(e->tcp, conn);

	client_closes(&e->clients[u->client]);
	u->flags &= (uint16_t)~(U_ACCEPTED | U_TAKEN | U_CONNECTING | U_FRESH |
				U_LEAVING | U_HANDED);
	u->flags |= U_CLOSED;
	socket_list(e, conn, LIST_CONTEXT, u->context);
	tcp_close(e->tcp, conn, abort, e->now);
	event_announce(e, conn);
}

void socket_abandon(struct engine *e, uint32_t conn)
{
	struct tcp_user *u = tcp_user(e->tcp, conn);
	uint32_t client = u->client;
	bool closed = u->flags & U_CLOSED;

	event_forget(e, conn);
	if (!closed && socket_pass_on(e, conn))
		return;
	u->flags |= U_CLOSED | U_DETACHED;
	u->context = 0;
	socket_list(e, conn, LIST_ORPHAN, client);
	if (!closed) {
		client_closes(&e->clients[client]);
		tcp_close(e->tcp, conn, false, e->now);
	}
	tcp_detach(e->tcp, conn);
}
