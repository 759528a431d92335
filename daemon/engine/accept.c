/*
 * accept.c - listeners, who accepts from them, and credit
 *
 *	listener -- TCP's accept queue: completed, taken by nobody
 *	    |
 *	    +-- members: contexts; each a FIFO of cookies (its credit)
 *	    +-- home, other: the members with credit, in turn
 *
 * Accepting is pulling: a connection leaves TCP's queue only for a cookie that
 * a context has posted.  Contexts that live on this engine's core come first,
 * round robin; then the others.  A member that leaves takes its credit along;
 * what it has not been given is still in the queue, for the others.  What it
 * was given and has not used yet comes back (accept_give_back()): when it
 * closes the listener it says so, when it dies no command has named it.
 *
 * Of several members those that sleep come first, as the kernel wakes only
 * sleepers: who is awake may be busy with something else for long.  And some
 * time after a member got something its brothers, the client's other contexts,
 * are told to look whether it has taken it (shm/wake.h): they give back what a
 * thread left that hangs, died, or waits for something else.
 */
#include <errno.h>

#include "engine/engine_state.h"

#define BATCH		64u	/* connections a listener and turn */
#define FULL_US		10000u	/* looks of who has as many as it may */
#define LOOK_US		50000u	/* until brothers look */
#define SLEEPERS_OF	8u	/* members that are asked whether they sleep */

/* ---- members ---- */

static bool is_home(const struct engine *e, const struct member *m)
{
	return m->context->home == e->cfg.index;
}

static struct ready_list *list_of(struct engine *e, struct member *m)
{
	return is_home(e, m) ? &m->listener->home : &m->listener->other;
}

static void make_ready(struct engine *e, struct member *m)
{
	struct ready_list *l = list_of(e, m);

	if (m->ready)
		return;
	m->ready = true;
	m->next_ready = NULL;
	if (l->tail)
		l->tail->next_ready = m;
	else
		l->head = m;
	l->tail = m;
}

static struct member *pop_ready(struct ready_list *l)
{
	struct member *m = l->head;

	if (!m)
		return NULL;
	l->head = m->next_ready;
	if (!l->head)
		l->tail = NULL;
	m->ready = false;
	return m;
}

/* It leaves in the middle of the list: rare, so a walk will do. */
static void unready(struct engine *e, struct member *m)
{
	struct ready_list *l = list_of(e, m), rest = { NULL, NULL };
	struct member *each;

	if (!m->ready)
		return;
	while ((each = pop_ready(l)) != NULL) {
		if (each == m)
			continue;
		each->ready = true;
		each->next_ready = NULL;
		if (rest.tail)
			rest.tail->next_ready = each;
		else
			rest.head = each;
		rest.tail = each;
	}
	*l = rest;
}

static bool is_brother(const struct member *m, const struct member *b)
{
	return b != m && m->looks && b->looks &&
	       b->context->client == m->context->client;
}

/* @m came, or goes: the others hear of it. */
static void tell_of(struct member *m, bool comes)
{
	struct member *last = NULL;
	uint32_t n = 0;

	for (struct member *b = m->listener->members; b;
	     b = b->next_of_listener)
		if (is_brother(m, b)) {
			b->brothers = true;
			last = b;
			n++;
		}
	m->brothers = comes && n;
	if (!comes && n == 1)
		last->brothers = false;
}

static struct member *member_new(struct engine *e, struct listener *l,
				 struct context *c, bool looks)
{
	struct member *m = e->member_free;

	if (m)
		e->member_free = m->next_of_listener;
	else if (e->member_fresh < MEMBERS_ALL)
		m = &e->member_memory[e->member_fresh++];
	else
		return NULL;
	m->listener = l;
	m->context = c;
	m->head = m->tail = 0;
	m->ready = false;
	m->looks = looks;
	m->next_of_listener = l->members;
	l->members = m;
	m->next_of_context = c->members;
	c->members = m;
	tell_of(m, true);
	return m;
}

static void member_drop(struct engine *e, struct member *m)
{
	struct member **at;

	unready(e, m);
	if (m->brothers)
		tell_of(m, false);
	for (at = &m->listener->members; *at != m;)
		at = &(*at)->next_of_listener;
	*at = m->next_of_listener;
	for (at = &m->context->members; *at != m;)
		at = &(*at)->next_of_context;
	*at = m->next_of_context;
	m->next_of_listener = e->member_free;
	e->member_free = m;
}

static struct member *member_of(const struct context *c, uint64_t listener)
{
	struct member *m = c->members;

	while (m && m->listener->id != listener)
		m = m->next_of_context;
	return m;
}

/* ---- listeners that have something to hand out ---- */

static void due_add(struct engine *e, struct listener *l)
{
	if (l->due)
		return;
	l->due = true;
	l->due_next = e->due_head;
	e->due_head = (uint32_t)(l - e->listeners);
}

/* It goes: rare, so a walk will do. */
static void due_remove(struct engine *e, struct listener *l)
{
	uint32_t self = (uint32_t)(l - e->listeners), *at = &e->due_head;

	if (!l->due)
		return;
	while (*at != self)
		at = &e->listeners[*at].due_next;
	*at = l->due_next;
	l->due = false;
}

/* ---- brothers ---- */

/* The list is by time, since all wait as long. */
static void look_add(struct engine *e, struct listener *l, mono_t from)
{
	uint32_t self = (uint32_t)(l - e->listeners);

	l->look = true;
	l->look_at = mono_add(from, LOOK_US);
	l->look_next = 0;
	if (e->look_head)
		e->listeners[e->look_tail].look_next = self;
	else
		e->look_head = self;
	e->look_tail = self;
}

/* It goes: rare, so a walk will do. */
static void look_remove(struct engine *e, struct listener *l)
{
	uint32_t self = (uint32_t)(l - e->listeners), at = e->look_head;

	if (!l->look)
		return;
	if (at == self) {
		e->look_head = l->look_next;
		return;
	}
	while (e->listeners[at].look_next != self)
		at = e->listeners[at].look_next;
	e->listeners[at].look_next = l->look_next;
	if (e->look_tail == self)
		e->look_tail = at;
}

static void gave(struct engine *e, struct listener *l, const struct member *m)
{
	if (!m->brothers)
		return;
	l->gave = e->now;
	if (!l->look)
		look_add(e, l, e->now);
}

static void tell_brothers(struct engine *e, struct listener *l)
{
	for (struct member *m = l->members; m; m = m->next_of_listener)
		if (m->brothers && m->context->state == CONTEXT_LIVE) {
			wake_look(m->context->wake);
			event_touch(e, m->context);
		}
}

/* Once more for what was given meanwhile. */
static void looks_turn(struct engine *e)
{
	struct listener *l = &e->listeners[e->look_head];

	while (e->look_head && !mono_before(e->now, l->look_at)) {
		look_remove(e, l);
		l->look = false;
		count(&e->stats.accept_looks);
		tell_brothers(e, l);
		if (mono_before(l->look_at, mono_add(l->gave, LOOK_US)))
			look_add(e, l, e->now);
		l = &e->listeners[e->look_head];
	}
}

/* ---- listeners ---- */

static uint32_t *bucket_of(struct engine *e, uint64_t id)
{
	return &e->listener_buckets[(id ^ id >> 8) & 255];
}

static struct listener *listener_find(struct engine *e, uint64_t id)
{
	uint32_t i = *bucket_of(e, id);

	while (i && e->listeners[i].id != id)
		i = e->listeners[i].next_in_bucket;
	return i ? &e->listeners[i] : NULL;
}

static int listener_new(struct engine *e, const struct mail *m,
			struct listener **out)
{
	struct tcp_listen tl = {
		.addr = m->listen.addr, .port = m->listen.port,
		.backlog = m->listen.backlog,
	};
	uint32_t *bucket = bucket_of(e, m->listen.id), i = 1;
	int tcp;

	while (i <= e->cfg.tcp.max_listeners && e->listeners[i].id)
		i++;
	if (i > e->cfg.tcp.max_listeners)
		return -ENOBUFS;
	tl.tag = i;
	tcp = tcp_listen(e->tcp, &tl);
	if (tcp < 0)
		return tcp;
	e->listeners[i] = (struct listener){
		.id = m->listen.id, .tcp = (uint32_t)tcp,
		.next_in_bucket = *bucket,
	};
	*bucket = i;
	*out = &e->listeners[i];
	return 0;
}

static void listener_drop(struct engine *e, struct listener *l)
{
	uint32_t self = (uint32_t)(l - e->listeners);
	uint32_t *at = bucket_of(e, l->id);

	while (*at != self)
		at = &e->listeners[*at].next_in_bucket;
	*at = l->next_in_bucket;
	due_remove(e, l);
	look_remove(e, l);
	tcp_unlisten(e->tcp, l->tcp);
	*l = (struct listener){ .id = 0 };
}

int accept_listen(struct engine *e, const struct mail *m)
{
	struct context *c = context_find(e, m->listen.client,
					 m->listen.context);
	struct listener *l = listener_find(e, m->listen.id);
	bool fresh = !l;
	int err;

	if (!c || m->listen.id == 0)
		return -ENOENT;
	if (e->stopping)
		return -ESHUTDOWN;
	if (l && member_of(c, m->listen.id))
		return 0;
	if (fresh) {
		err = listener_new(e, m, &l);
		if (err)
			return err;
	}
	if (member_new(e, l, c, m->listen.flags & CTL_LISTEN_BROTHERS))
		return 0;
	if (fresh)
		listener_drop(e, l);
	return -ENOBUFS;
}

int accept_option(struct engine *e, const struct mail *m)
{
	struct context *c = context_find(e, m->option.client,
					 m->option.context);
	struct member *mb = c ? member_of(c, m->option.id) : NULL;

	if (!mb)
		return -ENOENT;
	return tcp_listener_option(e->tcp, mb->listener->tcp, m->option.name,
				   m->option.value);
}

static void leave(struct engine *e, struct member *m)
{
	struct listener *l = m->listener;

	member_drop(e, m);
	if (!l->members)
		listener_drop(e, l);
}

int accept_unlisten(struct engine *e, const struct mail *m)
{
	struct context *c = context_find(e, m->listen.client,
					 m->listen.context);
	struct member *mb = c ? member_of(c, m->listen.id) : NULL;

	if (!mb)
		return -ENOENT;
	leave(e, mb);
	return 0;
}

void accept_leave(struct engine *e, struct context *c)
{
	while (c->members)
		leave(e, c->members);
}

void accept_stop(struct engine *e)
{
	for (uint32_t i = 1; i <= e->cfg.tcp.max_listeners; i++) {
		struct listener *l = &e->listeners[i];

		while (l->id && l->members)
			leave(e, l->members);
	}
}

/* ---- handing out ---- */

/* A policy holds one up: look again in @us, whatever wakes us before. */
static void look_again(struct engine *e, uint64_t us)
{
	mono_t at = mono_add(e->now, us);

	if (!e->accept_again.us || mono_before(at, e->accept_again))
		e->accept_again = at;
}

/* The next look at brothers is a reason to wake up, too. */
static void look_soon(struct engine *e)
{
	mono_t at = e->listeners[e->look_head].look_at;

	if (e->look_head &&
	    (!e->accept_again.us || mono_before(at, e->accept_again)))
		e->accept_again = at;
}

/* May it have one more?  Then that counts; its credit stays when not. */
static bool member_may(struct engine *e, struct member *m)
{
	struct client *cl = m->context->client;
	uint32_t rate;

	if (cl->bad || m->context->state != CONTEXT_LIVE)
		return false;
	if (!client_opens(cl)) {
		if (cl->account)	/* another engine may make room */
			look_again(e, FULL_US);
		return false;
	}
	if (account_accept(cl->account, e->now))
		return true;
	client_closes(cl);
	count(&e->stats.policy_accept_rate);
	rate = account_get32(&cl->account->accept_rate);
	look_again(e, rate ? 1000000 / rate : 0);
	return false;
}

static bool sleeps(const struct member *m)
{
	return atomic_load_explicit(&m->context->wake->asleep,
				    memory_order_relaxed) != 0;
}

/* The first of @l that sleeps, of those at its head; NULL: none. */
static struct member *pop_sleeper(struct ready_list *l)
{
	struct member *m = l->head, *before = NULL;
	uint32_t n = 0;

	while (m && n++ < SLEEPERS_OF && !sleeps(m)) {
		before = m;
		m = m->next_ready;
	}
	if (!m || n > SLEEPERS_OF)
		return NULL;
	if (!before)
		return pop_ready(l);
	before->next_ready = m->next_ready;
	if (l->tail == m)
		l->tail = before;
	m->ready = false;
	return m;
}

static struct member *next_member(struct listener *l)
{
	struct member *m = NULL;

	if (l->members->next_of_listener) {
		m = pop_sleeper(&l->home);
		m = m ? m : pop_sleeper(&l->other);
	}
	m = m ? m : pop_ready(&l->home);
	return m ? m : pop_ready(&l->other);
}

static int assign(struct engine *e, struct listener *l, struct member *m)
{
	struct context *c = m->context;
	uint32_t cookie = m->cookies[m->head & (CMD_CREDIT_MAX - 1)];
	uint32_t conn = tcp_accept(e->tcp, l->tcp);

	if (tcp_assign(e->tcp, conn, c->client->slot, c->slot, cookie)) {
		tcp_accept_return(e->tcp, l->tcp, conn);
		client_closes(c->client);
		client_want_slab(e, c->client, BLOCK_SMALL);
		client_want_slab(e, c->client, BLOCK_LARGE);
		return -ENOBUFS;
	}
	m->head++;
	tcp_user(e->tcp, conn)->flags |= U_ACCEPTED | U_FRESH;
	socket_list(e, conn, LIST_CONTEXT, c->slot);
	count(&e->stats.accepted);
	conn_log(e, conn, "accepted");
	event_announce(e, conn);
	gave(e, l, m);
	return 0;
}

bool accept_give_back(struct engine *e, uint32_t conn)
{
	struct tcp_user *u = tcp_user(e->tcp, conn);
	uint32_t tcp = tcp_listener_of(e->tcp, conn);

	if (!tcp || !(u->flags & U_FRESH) || u->flags & U_CLOSED || u->holders)
		return false;
	event_forget(e, conn);
	socket_unlist(e, conn);
	client_closes(&e->clients[u->client]);
	count(&e->stats.given_back);
	tcp_accept_return(e->tcp, tcp, conn);
	return true;
}

/* Serves the queue of @l while there is credit. */
static uint32_t serve(struct engine *e, struct listener *l)
{
	struct member *held = NULL, *m;
	uint32_t done = 0;

	while (done < BATCH && tcp_accept_waiting(e->tcp, l->tcp)) {
		m = next_member(l);
		if (!m)
			break;
		if (!member_may(e, m) || assign(e, l, m)) {
			m->next_ready = held;
			held = m;	/* not again this turn */
			continue;
		}
		done++;
		if (m->head != m->tail)
			make_ready(e, m);
	}
	if (held || (done == BATCH && tcp_accept_waiting(e->tcp, l->tcp)))
		due_add(e, l);	/* again next turn */
	while (held) {
		m = held;
		held = m->next_ready;
		make_ready(e, m);
	}
	return done;
}

int accept_credit(struct engine *e, struct context *c, uint64_t listener,
		  const uint32_t *cookies, uint32_t n)
{
	struct member *m = member_of(c, listener);

	if (!m) {		/* crossed its own UNLISTEN */
		count(&e->stats.stale_handles);
		return 0;
	}
	if (m->tail - m->head + n > CMD_CREDIT_MAX)
		return -EPROTO;
	for (uint32_t i = 0; i < n; i++)
		m->cookies[m->tail++ & (CMD_CREDIT_MAX - 1)] = cookies[i];
	make_ready(e, m);
	if (tcp_accept_waiting(e->tcp, m->listener->tcp))
		serve(e, m->listener);
	return 0;
}

void accept_revoke(struct engine *e, struct context *c, uint64_t listener)
{
	struct member *m = member_of(c, listener);

	if (!m)
		return;
	m->head = m->tail;
	unready(e, m);
}

/* Taken off before it is served: what must wait comes back for the next turn,
 * not for this one. */
uint32_t accept_turn(struct engine *e)
{
	uint32_t done = 0, tcp, next;

	while ((tcp = tcp_next_ready_listener(e->tcp)) != 0) {
		struct listener *l =
			&e->listeners[tcp_listener_tag(e->tcp, tcp)];

		if (l->tcp == tcp)
			due_add(e, l);
	}
	next = e->due_head;
	e->due_head = 0;
	e->accept_again = (mono_t){ 0 };
	while (next) {
		struct listener *l = &e->listeners[next];

		next = l->due_next;
		l->due = false;
		done += serve(e, l);
		if (tcp_accept_waiting(e->tcp, l->tcp))
			count(&e->stats.accept_waits);
	}
	if (e->look_head) {
		looks_turn(e);
		look_soon(e);
	}
	return done;
}
