/*
 * moves.c - sockets on their way from one context to another
 *
 *	CMD_TAKE --now-----------------------------------.
 *	     \--sleeps--> holder.wait --something to do--+--> step()
 *
 *	step:	FRESH	 who has it took it a moment ago: it waits	(U_HANDED)
 *		TOLD	 EVENT_GONE is for who has it, and it knows	(U_LEAVING)
 *		OUT	 it is in no call that began before		(shm/wake.h)
 *		DRAINED	 what it had published by then is run
 *		MOVED	 the taker has EVENT_TAKEN
 *
 * Mostly all of them are one call.  What has to wait goes on the engine's list
 * and is tried again every turn, and while the engine would sleep, now and
 * then: nothing else waits, neither the engine nor anybody's ring, but for one
 * that has MOVES_CLIENT of them outstanding.
 *
 * Invariant  Between TOLD and MOVED nothing of the socket is announced.  Only
 *            the oldest move of a socket is past FRESH.
 * Order      Rings have none among each other, but their writers may have: who
 *            gave a socket away had written before, and said what it had read.
 *            So what its last owner has published comes first.  Rings are only
 *            ever read by command_turn(), within its budget.
 */
#include <errno.h>

#include "engine/engine_state.h"

#define POLL_MIN_US	50	/* a call of a client is shorter, as a rule */
#define POLL_MAX_US	10000	/* one that was stopped in a call */

/* ---- one socket ---- */

/* Who has it, if it may still be in a call. */
static struct context *user_of(struct engine *e, const struct tcp_user *u)
{
	struct context *c = u->context ? &e->contexts[u->context] : NULL;

	return c && c->state == CONTEXT_LIVE && !c->client->bad ? c : NULL;
}

static bool used_since(const struct context *user, const struct link *l)
{
	return (int16_t)((uint16_t)use_look(user->wake) - l->handed_use) >= 0;
}

/* Was it just taken by @user, who has not come to use it? */
static bool fresh(struct engine *e, const struct move *m, struct tcp_user *u,
		  const struct context *user)
{
	const struct link *l = &e->links[m->conn];

	if (!(u->flags & U_HANDED))
		return false;
	if (!used_since(user, l) &&
	    (uint16_t)(e->now.us / 1000 - l->handed_ms) < USE_MS)
		return true;
	u->flags &= (uint16_t)~U_HANDED;
	return false;
}

static void tell(struct engine *e, struct move *m, struct tcp_user *u,
		 struct context *user)
{
	const struct note gone = {
		.type = EVENT_GONE, .cookie = u->cookie,
		.sock = handle_make(e->cfg.index, u->generation, m->conn),
	};

	event_forget(e, m->conn);
	event_note_now(e, user, &gone);
	u->flags |= U_LEAVING;
	m->from = user->slot;
	m->out = false;
	m->use = use_look(user->wake);
}

/* Has @user heard of it, and is all done that it did before? */
static bool left(struct engine *e, struct move *m, struct tcp_user *u,
		 struct context *user)
{
	int n;

	if (m->from != user->slot || !(u->flags & U_LEAVING)) {
		if (u->flags & U_LEAVING)
			return false;	/* for another one, before us */
		if (fresh(e, m, u, user))
			return false;
		tell(e, m, u, user);
	}
	if (!m->out) {
		if (m->use & 1 && use_look(user->wake) == m->use)
			return false;
		n = ring_peek(&user->cmd);
		if (n < 0) {
			client_bad(e, user->client, DETACH_RING_BROKEN);
			return true;
		}
		m->out = true;
		m->tail = user->cmd.mine + (uint32_t)n;
		if (n)
			client_promote(e, user->client);
	}
	return (int32_t)(user->cmd.mine - m->tail) >= 0;
}

static void refuse(struct engine *e, struct context *c, uint32_t cookie,
		   int error)
{
	const struct note n = {
		.type = EVENT_ERROR, .cookie = cookie, .sock = HANDLE_NONE,
		.error = error,
	};

	event_note(e, c, &n);
}

static bool valid(const struct engine *e, const struct move *m)
{
	return tcp_conn_valid(e->tcp, m->conn, m->generation) &&
	       !(tcp_user(e->tcp, m->conn)->flags & U_CLOSED);
}

/* Nobody takes it now: who was told that it is gone gets it back. */
static bool give_up(struct engine *e, struct move *m)
{
	struct tcp_user *u = tcp_user(e->tcp, m->conn);
	struct context *user = user_of(e, u);

	if (!(u->flags & U_LEAVING) || m->from != u->context)
		return true;
	if (user && !left(e, m, u, user))
		return false;
	if (u->flags & U_LEAVING)
		socket_park(e, m->conn);
	return true;
}

static bool arrive(struct engine *e, struct move *m, struct context *c)
{
	int err = socket_take(e, m->conn, c, m->cookie);

	if (!err)
		return true;
	refuse(e, c, m->cookie, -err);
	if (tcp_user(e->tcp, m->conn)->flags & U_LEAVING)
		socket_park(e, m->conn);
	else
		event_announce(e, m->conn);
	return true;
}

static void go_to_sleep(struct engine *e, const struct move *m,
			const struct context *c)
{
	socket_await(e, m->conn, c, m->cookie, m->when);
	if (m->when & CMD_F_WRITE)
		tcp_want_sent(e->tcp, m->conn);
	move_offer(e, m->conn);
}

/* As far as it goes; true: it is over. */
static bool step_to(struct engine *e, struct move *m, struct context *c)
{
	struct tcp_user *u = tcp_user(e->tcp, m->conn);
	struct context *user = user_of(e, u);
	bool leaving = u->flags & U_LEAVING;

	if (!leaving)
		m->from = 0;	/* or it is not from whom it was */
	if (user == c && !leaving && u->cookie == m->cookie)
		return true;	/* it has come already */
	if (m->when && user && user->client != c->client) {
		go_to_sleep(e, m, c);
		return true;
	}
	if (m->when && leaving)
		return false;	/* from ourselves */
	if (user && (user != c || leaving) && !left(e, m, u, user))
		return false;
	return arrive(e, m, c);
}

static bool step(struct engine *e, struct move *m)
{
	struct context *c = m->context ? &e->contexts[m->context] : NULL;

	if (!valid(e, m)) {
		if (c)
			refuse(e, c, m->cookie, ENOENT);
		return true;
	}
	if (c && !socket_held(e, m->conn, c->client->slot)) {
		refuse(e, c, m->cookie, ENOENT);
		c->client->moves--;
		m->context = 0;
		c = NULL;
	}
	return c ? step_to(e, m, c) : give_up(e, m);
}

/* ---- those that wait ---- */

static struct move *move_at(const struct engine *e, uint32_t index)
{
	return pool_at(&e->moves, index);
}

static void append(struct engine *e, const struct move *m)
{
	uint32_t index = pool_get(&e->moves);

	if (!index) {
		refuse(e, &e->contexts[m->context], m->cookie, ENOBUFS);
		e->contexts[m->context].client->moves--;
		return;
	}
	*move_at(e, index) = *m;
	move_at(e, index)->next = 0;
	if (e->move_tail)
		move_at(e, e->move_tail)->next = index;
	else
		e->move_head = index;
	e->move_tail = index;
}

/* At once, if nobody waits: moves of a socket keep their order. */
static void begin(struct engine *e, uint32_t conn, struct context *c,
		  uint32_t cookie, uint8_t when)
{
	struct move m = {
		.conn = conn, .context = c->slot, .cookie = cookie,
		.when = when,
		.generation = tcp_user(e->tcp, conn)->generation,
		.since = e->now,
	};

	c->client->moves++;
	if (!e->move_head && !e->moving && step(e, &m)) {
		if (m.context)
			c->client->moves--;
		return;
	}
	append(e, &m);
}

void move_ask(struct engine *e, uint32_t conn, struct context *c,
	      uint32_t cookie, uint8_t when)
{
	socket_await(e, conn, c, cookie, 0);
	begin(e, conn, c, cookie, when);
}

bool move_offer(struct engine *e, uint32_t conn)
{
	const struct tcp_user *u = tcp_user(e->tcp, conn);
	uint32_t before = u->context, cookie;
	struct context *c;

	if (u->flags & U_LEAVING)
		return true;
	c = socket_sleeper(e, conn, (uint16_t)tcp_ready(e->tcp, conn), &cookie);
	if (!c)
		return false;
	begin(e, conn, c, cookie, 0);
	return u->flags & U_LEAVING || u->context != before;
}

uint32_t moves_turn(struct engine *e)
{
	uint32_t *at = &e->move_head, last = 0, done = 0, index;

	e->moving = true;
	while ((index = *at)) {
		struct move *m = move_at(e, index);

		if (!step(e, m)) {
			last = index;
			at = &m->next;
			continue;
		}
		if (m->context)
			e->contexts[m->context].client->moves--;
		*at = m->next;
		if (e->move_tail == index)
			e->move_tail = last;
		pool_put(&e->moves, index);
		done++;
	}
	e->moving = false;
	return done;
}

void moves_forget(struct engine *e, const struct context *c)
{
	for (uint32_t i = e->move_head; i; i = move_at(e, i)->next)
		if (move_at(e, i)->context == c->slot) {
			move_at(e, i)->context = 0;
			c->client->moves--;
		}
}

/* Nobody says that a client has left its call: the engine looks, less often
 * the longer it lasts. */
mono_t moves_next_due(const struct engine *e)
{
	int64_t age;

	if (!e->move_head)
		return MONO_NEVER;
	age = mono_diff_us(move_at(e, e->move_head)->since, e->now) / 4;
	if (age < POLL_MIN_US)
		age = POLL_MIN_US;
	return mono_add(e->now, age < POLL_MAX_US ? (uint64_t)age :
						    POLL_MAX_US);
}
