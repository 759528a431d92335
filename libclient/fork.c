#include "libclient/client.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

/*
 * Sockets in a child.
 *
 *	parent: fork_prepare()  attach for the child, HOLD_MANY, LISTEN
 *	        fork() -------> child: in_child(), by pthread_atfork()
 *	        fork_done()            each context goes on with its new rings
 *
 * The parent opens everything that the child needs, which may be chrooted,
 * without rights or under seccomp soon.  In the child every open connection is
 * CONN_AWAY: it is taken when it is used.  What was under way in the parent
 * (connects, accepts that nobody took) stays the parent's alone.
 *
 * The parent's segment is not mapped in a child (MADV_DONTFORK).  After a
 * fork() without a plan the child's connections are reset and its contexts
 * attach anew when they are used: nothing of the parent's is touched.
 *
 * Threads   The caller of fork(); no other is in a call of the library.
 */

struct fork_context {
	struct mtcp_context *x;
	uint32_t id;
	uint64_t rings;
	int wake_rd, intr_fd, watch_fd;
	uint64_t *listener;		/* ids, by the listener's index */
};

struct fork_plan {
	struct attach *at;
	uint32_t count;
	struct fork_context ctx[CONTEXTS_MAX];
};

/* ---- in the parent ---- */

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void plan_free(struct fork_plan *p)
{
	for (uint32_t i = 0; i < p->count; i++) {
		close_fd(&p->ctx[i].wake_rd);
		close_fd(&p->ctx[i].intr_fd);
		close_fd(&p->ctx[i].watch_fd);
		free(p->ctx[i].listener);
	}
	if (p->at)
		attach_put(p->at);
	free(p);
}

/* The child is a member from the start, so that a parent which leaves at once
 * leaves no gap; without credit it gets nothing. */
static int plan_listeners(struct fork_plan *p, struct fork_context *f)
{
	struct mtcp_context *x = f->x;
	struct ctl_reply reply;
	int err;

	f->listener = calloc(x->listener_count + 1, sizeof(*f->listener));
	if (!f->listener)
		return -ENOMEM;
	for (uint32_t i = 0; i < x->listener_count; i++) {
		struct listener *l = x->listeners[i];

		if (!l->used || !l->id)
			continue;
		l->inherited = true;
		err = listener_request(x, l, p->at, f->id, &reply);
		if (err)
			return err;
		f->listener[i] = reply.listen.listener;
	}
	return 0;
}

static int send_holds(struct fork_plan *p, struct attach *at, uint64_t *socks,
		      uint32_t count)
{
	int err = 0;

	if (count) {
		pthread_mutex_lock(&the_client.lock);
		err = attach_hold(at, p->at->client_id, socks, count);
		pthread_mutex_unlock(&the_client.lock);
	}
	return err;
}

static bool goes_along(const struct conn *c)
{
	return (c->state == CONN_OPEN || c->state == CONN_AWAY) &&
	       c->sockid >= 0 && c->sock != HANDLE_NONE;
}

static int plan_conns(struct fork_plan *p, struct mtcp_context *x)
{
	uint64_t socks[CTL_HOLD_MAX];
	uint32_t n = 0;
	int err;

	for (uint32_t i = 0; i < x->conns.chunks << CONN_CHUNK_BITS; i++) {
		struct conn *c = conn_at(&x->conns, i);

		if (!goes_along(c))
			continue;
		read_flush(x, c);
		c->listener = CONN_INHERITED;
		socks[n++] = c->sock;
		if (n < CTL_HOLD_MAX)
			continue;
		err = send_holds(p, x->at, socks, n);
		if (err)
			return err;
		n = 0;
	}
	return send_holds(p, x->at, socks, n);
}

static int plan_context(struct fork_plan *p, struct mtcp_context *x)
{
	struct fork_context *f = &p->ctx[p->count++];
	int err;

	*f = (struct fork_context){ .x = x, .wake_rd = -1, .watch_fd = -1 };
	f->intr_fd = fd_high(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
	if (x->watch_fd >= 0)
		f->watch_fd = epoll_create1(EPOLL_CLOEXEC);
	if (f->intr_fd < 0 || (x->watch_fd >= 0 && f->watch_fd < 0))
		return -errno;
	err = join_request(x, p->at, &f->id, &f->rings, &f->wake_rd);
	if (!err)
		err = plan_listeners(p, f);
	if (!err)
		err = plan_conns(p, x);
	ctx_publish(x);
	return err;
}

int fork_prepare(void)
{
	struct fork_plan *p = calloc(1, sizeof(*p));
	int err;

	if (!p)
		return -ENOMEM;
	err = attach_for_child(&p->at);
	for (uint32_t i = 0; !err && i < CONTEXTS_MAX; i++) {
		struct mtcp_context *x = the_client.contexts[i];

		if (x && !atomic_load(&x->finished) && x->at)
			err = plan_context(p, x);
	}
	if (err) {
		plan_free(p);
		return err;
	}
	the_client.plan = p;
	return 0;
}

struct attach *fork_attach(struct ctx_set *ctx)
{
	struct fork_plan *p = the_client.plan;

	if (!p || !p->count)
		return NULL;
	*ctx = (struct ctx_set){ .bits = { 0 } };
	for (uint32_t i = 0; i < p->count; i++)
		ctx_set_add(ctx, p->ctx[i].id);
	return p->at;
}

void fork_done(void)
{
	struct fork_plan *p = the_client.plan;

	the_client.plan = NULL;
	if (p)
		plan_free(p);
}

/* ---- in the child ---- */

/* @to becomes another name of what @from is; @from is closed. */
static void replace_fd(int to, int *from)
{
	if (to >= 0 && *from >= 0)
		dup3(*from, to, O_CLOEXEC);
	close_fd(from);
}

static void watch_again(struct mtcp_context *x)
{
	struct epoll_event ev = { .events = EPOLLIN };

	if (x->watch_fd < 0)
		return;
	epoll_ctl(x->watch_fd, EPOLL_CTL_ADD, x->intr_fd, &ev);
	if (x->wake_rd >= 0)
		epoll_ctl(x->watch_fd, EPOLL_CTL_ADD, x->wake_rd, &ev);
}

static void child_conn(struct mtcp_context *x, uint32_t index, bool planned)
{
	struct conn *c = conn_at(&x->conns, index);

	if (c->state == CONN_FREE || c->state == CONN_NEW ||
	    c->state == CONN_GONE)
		return;
	conn_clear_rx(x, c);
	c->consumed = 0;
	c->flags &= (uint8_t)~(CONN_FLUSH | CONN_STARVED | CONN_WANT_SENT);
	if (c->sockid < 0) {
		conn_free(&x->conns, index);
	} else if (planned && goes_along(c)) {
		c->state = CONN_AWAY;
		c->waits = 0;
		if (!x->on_raise)	/* else it sees to it itself */
			slot_look(x, (uint32_t)c->sockid);
	} else {
		c->sock = HANDLE_NONE;
		if (c->state != CONN_DEAD)
			conn_died(x, c, ECONNRESET);
	}
}

static void child_context(struct mtcp_context *x, struct fork_context *f)
{
	x->owner = pthread_self();
	x->at = NULL;
	x->unpublished = 0;
	x->flush.count = x->starved.count = 0;
	for (uint32_t i = 0; i < x->listener_count; i++) {
		listener_lost(x, x->listeners[i]);
		x->listeners[i]->wanted = false;
		if (f)
			x->listeners[i]->id = f->listener[i];
	}
	for (uint32_t i = 0; i < x->conns.chunks << CONN_CHUNK_BITS; i++)
		child_conn(x, i, f != NULL);
}

/* Eventfd and epoll set are shared with the parent: new ones, same numbers. */
static void child_fds(struct mtcp_context *x, struct fork_context *f)
{
	int intr = f ? f->intr_fd : eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	int watch = f ? f->watch_fd :
		    x->watch_fd >= 0 ? epoll_create1(EPOLL_CLOEXEC) : -1;

	replace_fd(x->intr_fd, &intr);
	replace_fd(x->watch_fd, &watch);
	close_fd(&x->wake_rd);
	if (f) {
		x->wake_rd = f->wake_rd;
		f->wake_rd = f->intr_fd = f->watch_fd = -1;
	}
	watch_again(x);
}

static struct fork_context *planned(struct fork_plan *p,
				    const struct mtcp_context *x)
{
	for (uint32_t i = 0; p && i < p->count; i++)
		if (p->ctx[i].x == x)
			return &p->ctx[i];
	return NULL;
}

static void in_child(void)
{
	struct client *c = &the_client;
	struct fork_plan *p = c->plan;
	struct attach *old = c->now;

	pthread_mutex_init(&c->lock, NULL);
	c->plan = NULL;
	c->now = p ? p->at : NULL;
	c->retry_at_us = 0;
	if (old)
		attach_forget(old);
	for (uint32_t i = 0; i < CONTEXTS_MAX; i++) {
		struct mtcp_context *x = c->contexts[i];
		struct fork_context *f = x ? planned(p, x) : NULL;

		if (!x || atomic_load(&x->finished))
			continue;
		child_context(x, f);
		child_fds(x, f);
		if (!f)
			continue;
		x->id = f->id;
		join_rings(x, p->at, f->rings);
		stock_start(x, x->home);
		ctx_publish(x);
		p->at->refs++;
		free(f->listener);
	}
	if (p)
		attach_keep(p->at);
	free(p);
}

static void before(void)
{
	pthread_mutex_lock(&the_client.lock);
}

static void in_parent(void)
{
	pthread_mutex_unlock(&the_client.lock);
}

static void register_fork(void)
{
	pthread_atfork(before, in_parent, in_child);
}

void fork_watch(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, register_fork);
}

MTCP_PUBLIC pid_t mtcp_fork(void)
{
	int err = the_client.inited ? fork_prepare() : 0, saved;
	pid_t pid;

	if (err) {
		errno = -err;
		return -1;
	}
	pid = fork();
	if (pid == 0)
		return 0;
	saved = errno;
	fork_done();
	errno = saved;
	return pid;
}
