#include "libclient/client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/*
 * Accepting is pulling: from the first accept or poll on the listener keeps up
 * to min(backlog, CREDIT_MAX) cookies with every engine.  A cookie counts until its connection is handed
 * to the app, so a context that accepts slowly holds no more than that.
 *
 * A process that serves one connection at a time (listener.one) must not sit on
 * others that its brothers could serve: it asks for one an engine when it
 * accepts, and gives back the rest when it has it.  So are brothers, the
 * contexts of a process that listen for one socket of the program.
 */

static bool takes_one(const struct listener *l)
{
	return l->one && (l->inherited || l->brothers);
}

static uint32_t queued(const struct listener *l)
{
	return atomic_load_explicit(&l->queued, memory_order_relaxed);
}

static void set_queued(struct listener *l, uint32_t n)
{
	atomic_store_explicit(&l->queued, n, memory_order_relaxed);
}

static void set_wanted(struct listener *l, bool on)
{
	atomic_store_explicit(&l->wanted, on, memory_order_relaxed);
}

/* Who looks at it from outside wants to know how long nobody came. */
static void touched(struct listener *l)
{
	if (l->brothers)
		atomic_store_explicit(&l->since_us, coarse_us(),
				      memory_order_relaxed);
}

static uint32_t credit_target(const struct listener *l)
{
	if (takes_one(l))
		return 1;
	return l->backlog < CREDIT_MAX ? l->backlog : CREDIT_MAX;
}

int listener_new(struct mtcp_context *x, struct listener **out)
{
	struct listener **list, *l;

	for (uint32_t i = 0; i < x->listener_count; i++)
		if (!x->listeners[i]->used) {
			*out = x->listeners[i];
			return (int)i;
		}
	if (x->listener_count >= UINT16_MAX)
		return -ENOBUFS;
	list = realloc(x->listeners, (x->listener_count + 1) * sizeof(*list));
	if (!list)
		return -ENOMEM;
	x->listeners = list;
	l = calloc(1, sizeof(*l));
	if (!l)
		return -ENOMEM;
	list[x->listener_count] = *out = l;
	return (int)x->listener_count++;
}

/* Its brothers may be looking. */
static void clear(struct listener *l, int sockid)
{
	memset((char *)l + offsetof(struct listener, id), 0,
	       sizeof(*l) - offsetof(struct listener, id));
	set_queued(l, 0);
	set_wanted(l, false);
	l->sockid = sockid;
}

static uint16_t listener_index(const struct mtcp_context *x,
			       const struct listener *l)
{
	uint16_t i = 0;

	while (x->listeners[i] != l)
		i++;
	return i;
}

int listener_request(const struct mtcp_context *x, const struct listener *l,
		     struct attach *at, uint32_t ctx, struct ctl_reply *reply)
{
	struct ctl_request req = { .type = CTL_LISTEN, .listen = {
		.port = l->port, .backlog = l->backlog, .context = ctx } };
	int err;

	memcpy(req.listen.addr, l->addr, 16);
	if (x->prefork || (l->opts && l->opts->reuseport))
		req.listen.flags = CTL_LISTEN_SHARED;
	if (x->prefork)
		req.listen.flags |= CTL_LISTEN_BROTHERS;
	if (l->inherited)
		req.listen.flags |= CTL_LISTEN_INHERITED;
	pthread_mutex_lock(&the_client.lock);
	err = attach_request(at, &req, reply, NULL, 0);
	pthread_mutex_unlock(&the_client.lock);
	return err < 0 ? err : 0;
}

int listener_join(struct mtcp_context *x, struct listener *l)
{
	struct ctl_reply reply;
	int err = listener_request(x, l, x->at, x->id, &reply);

	if (err)
		return err;
	l->id = reply.listen.listener;
	if (reply.listen.port)
		l->port = reply.listen.port;
	err = listener_options(x, l);
	if (err)
		return err;
	for (uint32_t e = 0; e < x->engines; e++)
		stock_start(x, e);
	if (!x->prefork || l->wanted)
		listener_credit(x, l);
	return 0;
}

/* Posts @count fresh cookies to engine @e, as many records as it takes. */
static void post(struct mtcp_context *x, struct listener *l, uint32_t e,
		 uint32_t count)
{
	uint16_t listener = listener_index(x, l);
	uint32_t index;

	while (count) {
		uint32_t n = 0, cookie[CMD_CREDIT_COOKIES];
		struct cmd *cmd;

		while (n < count && n < CMD_CREDIT_COOKIES) {
			struct conn *c = conn_new(&x->conns, CONN_CREDIT,
						  &index);

			if (!c)
				break;
			c->listener = listener;
			c->engine = (uint8_t)e;
			cookie[n++] = conn_cookie(&x->conns, index);
		}
		if (!n)
			return;		/* tried again at the next accept */
		cmd = ctx_cmd(x, e, CMD_CREDIT);
		cmd->sock = l->id;
		cmd->cookie = n;
		memcpy(cmd->credit.cookies, cookie, n * sizeof(cookie[0]));
		l->credit[e] += n;
		count -= n;
	}
}

/* Tops the credit up, a whole record of cookies at a time. */
static void top_up(struct mtcp_context *x, struct listener *l, uint32_t e)
{
	uint32_t target = credit_target(l), missing;

	if (!l->id || !l->wanted || l->credit[e] >= target)
		return;
	missing = target - l->credit[e];
	if (missing >= CMD_CREDIT_COOKIES || l->credit[e] == 0 ||
	    target < 2 * CMD_CREDIT_COOKIES)
		post(x, l, e, missing);
}

void listener_credit(struct mtcp_context *x, struct listener *l)
{
	for (uint32_t e = 0; e < x->engines; e++)
		top_up(x, l, e);
}

/* A process that only holds a listener, as the master of a prefork server,
 * gets no connections. */
void listener_want(struct mtcp_context *x, struct listener *l)
{
	if (l->wanted)
		return;
	set_wanted(l, true);
	listener_credit(x, l);
	ctx_publish(x);
}

void listener_queue(struct mtcp_context *x, uint32_t index)
{
	struct conn *c = conn_at(&x->conns, index);
	struct listener *l = x->listeners[c->listener];

	c->next = NONE;
	if (!queued(l)) {
		l->head = index;
		touched(l);
	} else {
		conn_at(&x->conns, l->tail)->next = index;
	}
	l->tail = index;
	set_queued(l, queued(l) + 1);
	if (l->sockid >= 0)
		slot_raise(x, (uint32_t)l->sockid,
			   MTCP_EPOLLIN | MTCP_EPOLLRDNORM);
	for (uint32_t i = 0; i < l->also.count; i++)
		slot_raise(x, l->also.at[i],
			   MTCP_EPOLLIN | MTCP_EPOLLRDNORM);
}

static uint32_t dequeue(struct mtcp_context *x, struct listener *l)
{
	uint32_t index = l->head;

	l->head = conn_at(&x->conns, index)->next;
	set_queued(l, queued(l) - 1);
	return index;
}

/* Cookies are free again: the reply says that every engine is done with them.
 */
static void void_credit(struct mtcp_context *x, uint16_t listener)
{
	for (uint32_t i = 0; i < x->conns.chunks << CONN_CHUNK_BITS; i++) {
		struct conn *c = conn_at(&x->conns, i);

		if (c->listener == listener && c->state == CONN_CREDIT)
			conn_free(&x->conns, i);
	}
}

/* One of several sockets is closed. */
static void leave(struct listener *l, int sockid)
{
	struct index_list *also = &l->also;
	uint32_t i = 0;

	if (l->sockid == sockid) {
		l->sockid = (int32_t)also->at[--also->count];
		return;
	}
	while (i < also->count && also->at[i] != (uint32_t)sockid)
		i++;
	if (i < also->count)
		also->at[i] = also->at[--also->count];
}

/* All that nobody accepted goes back to the engines. */
static void give_back(struct mtcp_context *x, struct listener *l)
{
	while (queued(l)) {
		uint32_t index = dequeue(x, l);

		conn_at(&x->conns, index)->flags |= CONN_ABORT;
		conn_close(x, index);
	}
}

void listener_return(struct mtcp_context *x, struct listener *l)
{
	uint32_t index = l->head;

	for (uint32_t n = queued(l); n; n--) {
		const struct conn *c = conn_at(&x->conns, index);

		l->credit[c->engine]--;
		index = c->next;
	}
	give_back(x, l);
	listener_credit(x, l);
}

void listener_rest(struct mtcp_context *x, struct listener *l)
{
	give_back(x, l);
	for (uint32_t e = 0; e < x->engines; e++) {
		struct cmd *cmd;

		if (!l->credit[e])
			continue;
		cmd = ctx_cmd(x, e, CMD_CREDIT);
		cmd->sock = l->id;
		cmd->flags = CMD_F_BACK;
		l->credit[e] = 0;
	}
	void_credit(x, listener_index(x, l));
	set_wanted(l, false);
}

void listener_lost(struct mtcp_context *x, struct listener *l)
{
	(void)x;
	l->id = 0;
	set_queued(l, 0);
	memset(l->credit, 0, sizeof(l->credit));
}

int listener_close(struct mtcp_context *x, struct listener *l, int sockid)
{
	struct ctl_request req = { .type = CTL_UNLISTEN, .unlisten = {
		.listener = l->id, .context = x->id } };
	struct ctl_reply reply;

	if (l->also.count) {
		leave(l, sockid);
		return 0;
	}
	l->sockid = -1;
	ctx_publish(x);
	if (x->at && l->id) {
		pthread_mutex_lock(&the_client.lock);
		attach_request(x->at, &req, &reply, NULL, 0);
		pthread_mutex_unlock(&the_client.lock);
		for (uint32_t e = 0; e < x->engines; e++)
			events_take(x, e, EVENT_RING_SLOTS);
	}
	give_back(x, l);
	void_credit(x, listener_index(x, l));
	free(l->opts);
	free(l->also.at);
	clear(l, -1);
	return 0;
}

/* ---- public ---- */

static bool port_taken(const struct mtcp_context *x, const struct conn *c)
{
	for (uint32_t i = 0; i < x->listener_count; i++) {
		const struct listener *l = x->listeners[i];

		if (l->used && l->port == c->local_port && c->local_port &&
		    (addr_is_any(l->addr) || addr_is_any(c->local) ||
		     !memcmp(l->addr, c->local, 16)))
			return true;
	}
	return false;
}

/* The listener that @c may share: both say SO_REUSEPORT. */
static struct listener *twin_of(const struct mtcp_context *x,
				const struct conn *c, uint32_t *index)
{
	for (uint32_t i = 0; i < x->listener_count; i++) {
		struct listener *l = x->listeners[i];

		*index = i;
		if (l->used && l->port == c->local_port &&
		    !memcmp(l->addr, c->local, 16) &&
		    l->opts && l->opts->reuseport &&
		    c->opts && c->opts->reuseport)
			return l;
	}
	return NULL;
}

/* The socket of @s becomes listener @index. */
static void now_listens(struct mtcp_context *x, struct slot *s,
			uint32_t index)
{
	conn_free(&x->conns, s->obj);
	s->type = SLOT_LISTENER;
	s->obj = index;
}

static int join_twin(struct mtcp_context *x, struct slot *s, int sockid,
		     struct listener *l, uint32_t index)
{
	struct conn *c = conn_at(&x->conns, s->obj);

	if (!list_push(&l->also, (uint32_t)sockid))
		return -ENOMEM;
	free(c->opts);
	c->opts = NULL;
	now_listens(x, s, index);
	return 0;
}

/* The stream socket @s becomes a listener. */
static int start_listening(struct mtcp_context *x, struct slot *s, int sockid,
			   uint32_t backlog)
{
	struct conn *c = conn_at(&x->conns, s->obj);
	struct listener *l;
	uint32_t twin;
	int index, err;

	l = twin_of(x, c, &twin);
	if (l)
		return join_twin(x, s, sockid, l, twin);
	if (port_taken(x, c))
		return -EADDRINUSE;
	index = listener_new(x, &l);
	if (index < 0)
		return index;
	clear(l, sockid);
	l->port = c->local_port;
	l->backlog = backlog;
	memcpy(l->addr, c->local, 16);
	l->opts = c->opts;
	if (!x->at)
		return -ENETDOWN;
	err = listener_join(x, l);
	l->opts = err ? NULL : c->opts;
	if (err)
		return err;
	l->used = true;
	c->opts = NULL;
	now_listens(x, s, (uint32_t)index);
	return 0;
}

MTCP_PUBLIC int mtcp_listen(mctx_t mctx, int sockid, int backlog)
{
	struct mtcp_context *x = ctx_enter(mctx);
	struct slot *s;
	struct conn *c;
	int err;

	if (!x)
		return -1;
	s = sockid_slot(&x->ids, sockid);
	if (s && s->type == SLOT_LISTENER)
		return 0;		/* again: as it is */
	c = ctx_conn(x, sockid);
	if (!c)
		return -1;
	if (c->state != CONN_NEW) {
		errno = EINVAL;
		return -1;
	}
	ctx_check(x);
	err = start_listening(x, s, sockid, backlog > 0 ? (uint32_t)backlog : 1);
	ctx_publish(x);
	if (!err)
		return 0;
	errno = -err;
	return -1;
}

int listener_branch(struct mtcp_context *x, int id, struct mtcp_context *to)
{
	struct listener *l = x->listeners[x->ids.slot[id].obj];
	int new = -ENOSYS, err;
	struct conn *c;

	if (to->at && to->at->flags & CTL_HELLO_BROTHERS)
		new = mtcp_socket(to, AF_INET, SOCK_STREAM, 0);
	if (new < 0)
		return new == -1 ? -errno : new;
	c = ctx_conn(to, new);
	memcpy(c->local, l->addr, 16);
	c->local_port = l->port;
	c->flags |= CONN_BOUND;
	if (l->opts)
		c->opts = opts_copy(l->opts);
	err = start_listening(to, &to->ids.slot[new], new, l->backlog);
	ctx_publish(to);
	if (err) {
		mtcp_close(to, new);
		return err;
	}
	l->brothers = to->listeners[to->ids.slot[new].obj]->brothers = true;
	return new;
}

static int take_one(struct mtcp_context *x, struct listener *l, int flags)
{
	uint32_t index = l->head;
	struct conn *c = conn_at(&x->conns, index);
	int id = sockid_alloc(&x->ids, SLOT_STREAM, index);

	if (id < 0)
		return id;
	dequeue(x, l);
	touched(l);
	l->stale = false;
	l->credit[c->engine]--;
	c->sockid = id;
	if (c->state == CONN_QUEUED)
		c->state = CONN_OPEN;
	if (flags & SLOT_BLOCK)
		x->ids.slot[id].flags |= SLOT_BLOCK;
	if (l->opts)		/* the engine has given it them already */
		c->opts = opts_copy(l->opts);
	if (takes_one(l))
		listener_rest(x, l);
	else
		top_up(x, l, c->engine);
	return id;
}

static struct listener *find_listener(struct mtcp_context *x, int sockid,
				      struct slot **s)
{
	*s = ctx_slot(x, sockid, SLOT_LISTENER, EINVAL);
	return *s ? x->listeners[(*s)->obj] : NULL;
}

/* Until there is a connection, as far as the listener waits: 0 or -errno. */
static int wait_accept(struct mtcp_context *x, struct listener *l,
		       const struct slot *s)
{
	uint64_t until = until_of(l->opts, true);
	int err;

	listener_want(x, l);
	while (!queued(l)) {
		ctx_progress(x);
		if (queued(l))
			break;
		if (!(s->flags & SLOT_BLOCK))
			return -EAGAIN;
		err = wait_more(x, until);
		if (err)
			return err;
	}
	return 0;
}

static int do_accept(mctx_t mctx, int sockid, struct sockaddr *addr,
		     socklen_t *addrlen, int slot_flags)
{
	struct mtcp_context *x = ctx_enter(mctx);
	struct listener *l;
	struct slot *s;
	struct conn *c;
	int id;

	if (!x)
		return -1;
	l = find_listener(x, sockid, &s);
	if (!l)
		return -1;
	id = wait_accept(x, l, s);
	if (!id)
		id = take_one(x, l, slot_flags);
	ctx_publish(x);
	if (id < 0) {
		errno = -id;
		return -1;
	}
	c = conn_at(&x->conns, x->ids.slot[id].obj);
	if (addr && addrlen)
		addr_to(c->remote, c->remote_port, addr, addrlen);
	return id;
}

MTCP_PUBLIC int mtcp_accept(mctx_t mctx, int sockid, struct sockaddr *addr,
			    socklen_t *addrlen)
{
	return do_accept(mctx, sockid, addr, addrlen, 0);
}

MTCP_PUBLIC int mtcp_accept4(mctx_t mctx, int sockid, struct sockaddr *addr,
			     socklen_t *addrlen, int flags)
{
	if (flags & ~(SOCK_NONBLOCK | SOCK_CLOEXEC)) {
		errno = EINVAL;
		return -1;
	}
	return do_accept(mctx, sockid, addr, addrlen,
			 flags & SOCK_NONBLOCK ? 0 : SLOT_BLOCK);
}
