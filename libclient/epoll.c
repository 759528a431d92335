#include "libclient/client.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

/*
 * A set keeps a list of the sockets that may have something to report.  A
 * socket gets on it when something is raised that it is interested in, and
 * leaves it when a wait finds nothing left to report: level-triggered sockets
 * stay while a condition holds, edge-triggered ones leave with what was new.
 *
 * mTCP's applications test `events == MTCP_EPOLLOUT`, so every entry carries
 * one bit: report() walks them in the order below.
 */

#define ALWAYS	((uint32_t)MTCP_EPOLLERR)
#define ONESHOT	((uint32_t)MTCP_EPOLLONESHOT)
#define EDGE	((uint32_t)MTCP_EPOLLET)

static const uint32_t order[] = {
	MTCP_EPOLLERR, MTCP_EPOLLIN, MTCP_EPOLLRDNORM, MTCP_EPOLLRDHUP,
	MTCP_EPOLLOUT, MTCP_EPOLLWRNORM, MTCP_EPOLLHUP,
};
#define ORDERS	(sizeof(order) / sizeof(order[0]))

/* ---- what holds ---- */

static uint32_t conn_bits(const struct mtcp_context *x, const struct conn *c,
			  uint32_t interest)
{
	uint32_t bits = 0;
	bool fin = c->flags & CONN_FIN;

	if (c->state == CONN_DEAD)
		return MTCP_EPOLLERR | MTCP_EPOLLHUP |
		       (c->rx_bytes ? MTCP_EPOLLIN | MTCP_EPOLLRDNORM : 0);
	if (opts_deferred(c))
		return conn_writable(x, c) ? MTCP_EPOLLOUT | MTCP_EPOLLWRNORM : 0;
	if (c->state != CONN_OPEN)
		return 0;
	/* The peer's FIN is RDHUP for those who ask, else IN. */
	if (opts_readable(c) || (fin && !(interest & MTCP_EPOLLRDHUP)))
		bits |= MTCP_EPOLLIN | MTCP_EPOLLRDNORM;
	if (fin && !c->rx_bytes)
		bits |= MTCP_EPOLLRDHUP;
	if (fin && c->flags & CONN_SHUT_WR)
		bits |= MTCP_EPOLLHUP;
	if (interest & (MTCP_EPOLLOUT | MTCP_EPOLLWRNORM) &&
	    conn_writable(x, c))
		bits |= MTCP_EPOLLOUT | MTCP_EPOLLWRNORM;
	return bits;
}

static uint32_t bits_of(struct mtcp_context *x, const struct slot *s,
			uint32_t interest)
{
	switch (s->type) {
	case SLOT_STREAM:
		return conn_bits(x, conn_at(&x->conns, s->obj), interest);
	case SLOT_LISTENER:
		listener_want(x, x->listeners[s->obj]);
		return x->listeners[s->obj]->queued ?
			MTCP_EPOLLIN | MTCP_EPOLLRDNORM : 0;
	case SLOT_PIPE:
		return pipe_ready(x, s);
	default:
		return 0;
	}
}

uint32_t slot_ready(struct mtcp_context *x, uint32_t id)
{
	return bits_of(x, &x->ids.slot[id], MTCP_EPOLLOUT);
}

/* ---- the ready list ---- */

static void enqueue(struct mtcp_context *x, struct slot *s, uint32_t id)
{
	struct epoll_set *set = &x->epolls[s->ep - 1];

	s->flags |= SLOT_QUEUED;
	s->next = NONE;
	s->prev = set->tail;
	if (set->tail == NONE)
		set->head = id;
	else
		x->ids.slot[set->tail].next = id;
	set->tail = id;
	set->ready++;
}

static void dequeue(struct mtcp_context *x, struct slot *s)
{
	struct epoll_set *set = &x->epolls[s->ep - 1];

	if (s->prev == NONE)
		set->head = s->next;
	else
		x->ids.slot[s->prev].next = s->next;
	if (s->next == NONE)
		set->tail = s->prev;
	else
		x->ids.slot[s->next].prev = s->prev;
	s->flags &= (uint8_t)~SLOT_QUEUED;
	s->next = s->prev = NONE;
	set->ready--;
}

void slot_raise(struct mtcp_context *x, uint32_t id, uint32_t bits)
{
	struct slot *s = &x->ids.slot[id];

	if (x->on_raise)
		x->on_raise(x, id, bits);
	if (!s->ep)
		return;
	s->edge |= bits;
	if (!(s->flags & SLOT_QUEUED) && bits & s->interest)
		enqueue(x, s, id);
}

void slot_look(struct mtcp_context *x, uint32_t id)
{
	struct slot *s = &x->ids.slot[id];

	if (x->on_raise)
		x->on_raise(x, id, MTCP_EPOLLIN | MTCP_EPOLLOUT);
	if (s->ep && !(s->flags & SLOT_QUEUED))
		enqueue(x, s, id);
}

void slot_forget(struct mtcp_context *x, struct slot *s)
{
	if (s->flags & SLOT_QUEUED)
		dequeue(x, s);
	s->ep = 0;
	s->interest = s->edge = 0;
}

/* ---- collecting ---- */

/* Entries for one socket, a bit each; what did not fit stays in *@left. */
static int report(const struct slot *s, uint32_t *left,
		  struct mtcp_epoll_event *events, int max)
{
	int n = 0;

	for (size_t i = 0; i < ORDERS && n < max; i++) {
		if (!(*left & order[i]))
			continue;
		*left &= ~order[i];
		events[n].events = order[i];
		events[n].data.u64 = s->data;
		n++;
	}
	return n;
}

/* One socket of the list: reports it and decides whether it stays. */
static int collect_one(struct mtcp_context *x, uint32_t id,
		       struct mtcp_epoll_event *events, int max)
{
	struct slot *s = &x->ids.slot[id];
	uint32_t bits = bits_of(x, s, s->interest) & s->interest, left;
	int n;

	if (s->interest & EDGE)
		bits &= s->edge;
	left = bits;
	n = report(s, &left, events, max);
	s->edge &= ~(bits & ~left);
	dequeue(x, s);
	if (n && s->interest & ONESHOT)
		s->interest &= ONESHOT | EDGE;
	else if (left || (n && !(s->interest & EDGE)))
		enqueue(x, s, id);
	/* Blocked for writing and wants to know: the engine must be asked. */
	if (s->type == SLOT_STREAM && s->interest & MTCP_EPOLLOUT &&
	    !(bits & MTCP_EPOLLOUT))
		conn_want_room(x, conn_at(&x->conns, s->obj));
	if (s->type == SLOT_STREAM)
		conn_want(x, s->obj, s->interest & ~bits);
	return n;
}

/* Each socket that is on the list now is looked at once. */
static int collect(struct mtcp_context *x, struct epoll_set *set,
		   struct mtcp_epoll_event *events, int max)
{
	uint32_t todo = set->ready;
	int n = 0;

	while (todo-- && n < max)
		n += collect_one(x, set->head, events + n, max - n);
	return n;
}

/* ---- public ---- */

static int new_set(struct mtcp_context *x)
{
	struct epoll_set *sets;
	uint32_t i = 0;

	while (i < x->epoll_count && x->epolls[i].used)
		i++;
	if (i == UINT16_MAX - 1)
		return -ENOMEM;
	if (i == x->epoll_count) {
		sets = realloc(x->epolls, (i + 1) * sizeof(*sets));
		if (!sets)
			return -ENOMEM;
		x->epolls = sets;
		x->epoll_count++;
	}
	x->epolls[i] = (struct epoll_set){ .used = true, .head = NONE,
					   .tail = NONE };
	return (int)i;
}

MTCP_PUBLIC int mtcp_epoll_create1(mctx_t mctx, int flags)
{
	struct mtcp_context *x = ctx_enter(mctx);
	int i, id;

	if (!x)
		return -1;
	i = flags & ~O_CLOEXEC ? -EINVAL : new_set(x);
	id = i < 0 ? i : sockid_alloc(&x->ids, SLOT_EPOLL, (uint32_t)i);
	if (id >= 0)
		return id;
	if (i >= 0)
		x->epolls[i].used = false;
	errno = -id;
	return -1;
}

MTCP_PUBLIC int mtcp_epoll_create(mctx_t mctx, int size)
{
	if (size <= 0) {
		errno = EINVAL;
		return -1;
	}
	return mtcp_epoll_create1(mctx, 0);
}

void epoll_close(struct mtcp_context *x, uint32_t index)
{
	for (uint32_t id = 0; id < x->ids.used; id++)
		if (x->ids.slot[id].ep == index + 1)
			slot_forget(x, &x->ids.slot[id]);
	x->epolls[index].used = false;
}

/* Starts to watch; what holds already counts as new. */
static void watch(struct mtcp_context *x, uint32_t id, uint16_t ep,
		  const struct mtcp_epoll_event *event)
{
	struct slot *s = &x->ids.slot[id];

	if (s->type == SLOT_STREAM)
		conn_use(x, s->obj);
	if (s->flags & SLOT_QUEUED)
		dequeue(x, s);
	s->ep = ep;
	s->interest = event->events | ALWAYS;
	s->data = event->data.u64;
	s->edge = bits_of(x, s, s->interest);
	if (s->edge & s->interest)
		enqueue(x, s, id);
	if (s->type == SLOT_STREAM && s->interest & MTCP_EPOLLOUT &&
	    !(s->edge & MTCP_EPOLLOUT))
		conn_want_room(x, conn_at(&x->conns, s->obj));
}

static int control(struct mtcp_context *x, uint16_t ep, int op, uint32_t id,
		   const struct mtcp_epoll_event *event)
{
	struct slot *s = &x->ids.slot[id];

	if (op == MTCP_EPOLL_CTL_ADD && s->ep)
		return s->ep == ep ? -EEXIST : -EBUSY;
	if (op != MTCP_EPOLL_CTL_ADD && s->ep != ep)
		return -ENOENT;
	if (op == MTCP_EPOLL_CTL_DEL) {
		slot_forget(x, s);
		return 0;
	}
	watch(x, id, ep, event);
	return 0;
}

MTCP_PUBLIC int mtcp_epoll_ctl(mctx_t mctx, int epid, int op, int sockid,
			       struct mtcp_epoll_event *event)
{
	struct mtcp_context *x = ctx_enter(mctx);
	struct slot *set, *s;
	int err;

	if (!x)
		return -1;
	set = ctx_slot(x, epid, SLOT_EPOLL, EINVAL);
	if (!set)
		return -1;
	s = sockid_slot(&x->ids, sockid);
	if (!s)
		err = -EBADF;
	else if (op < MTCP_EPOLL_CTL_ADD || op > MTCP_EPOLL_CTL_MOD ||
		 (op != MTCP_EPOLL_CTL_DEL && !event))
		err = -EINVAL;
	else if (s->type == SLOT_EPOLL)
		err = -EPERM;		/* sets do not nest */
	else
		err = control(x, (uint16_t)(set->obj + 1), op,
			      (uint32_t)sockid, event);
	ctx_publish(x);
	if (!err)
		return 0;
	errno = -err;
	return -1;
}

/* One look: entries, 0, or -EINTR. */
static int look(struct mtcp_context *x, uint32_t index,
		struct mtcp_epoll_event *events, int max)
{
	int n;

	ctx_progress(x);
	if (ctx_interrupted(x))
		return -EINTR;
	n = collect(x, &x->epolls[index], events, max);
	ctx_publish(x);
	return n;
}

static int wait_events(struct mtcp_context *x, uint32_t index,
		       struct mtcp_epoll_event *events, int max, int timeout)
{
	uint64_t until;
	int n = look(x, index, events, max), err;

	if (n || timeout == 0)
		return n;
	until = timeout < 0 ? ~0ull : now_us() + (uint64_t)timeout * 1000u;
	for (;;) {
		err = ctx_sleep(x, until);
		if (err == -EINTR) {
			ctx_interrupted(x);
			return err;
		}
		n = look(x, index, events, max);
		if (n || err == -ETIMEDOUT)
			return n;
	}
}

MTCP_PUBLIC int mtcp_epoll_wait(mctx_t mctx, int epid,
				struct mtcp_epoll_event *events, int maxevents,
				int timeout)
{
	struct mtcp_context *x = ctx_enter(mctx);
	struct slot *s;
	int n;

	if (!x)
		return -1;
	s = ctx_slot(x, epid, SLOT_EPOLL, EINVAL);
	if (!s)
		return -1;
	if (!events || maxevents <= 0) {
		errno = EINVAL;
		return -1;
	}
	n = wait_events(x, s->obj, events, maxevents, timeout);
	if (n >= 0)
		return n;
	errno = -n;
	return -1;
}

MTCP_PUBLIC char *EventToString(uint32_t event)
{
	static const struct { uint32_t bit; const char *name; } names[] = {
		{ MTCP_EPOLLIN, "IN" }, { MTCP_EPOLLPRI, "PRI" },
		{ MTCP_EPOLLOUT, "OUT" }, { MTCP_EPOLLERR, "ERR" },
		{ MTCP_EPOLLHUP, "HUP" }, { MTCP_EPOLLRDNORM, "RDNORM" },
		{ MTCP_EPOLLRDBAND, "RDBAND" }, { MTCP_EPOLLWRNORM, "WRNORM" },
		{ MTCP_EPOLLWRBAND, "WRBAND" }, { MTCP_EPOLLMSG, "MSG" },
		{ MTCP_EPOLLRDHUP, "RDHUP" }, { ONESHOT, "ONESHOT" },
		{ EDGE, "ET" },
	};
	static _Thread_local char text[128];
	size_t at = 0;

	text[0] = 0;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (event & names[i].bit)
			at += (size_t)snprintf(text + at, sizeof(text) - at,
					       "%s%s", at ? "|" : "",
					       names[i].name);
	if (!at)
		snprintf(text, sizeof(text), "NONE");
	return text;
}
