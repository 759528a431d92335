/*
 * sleep.c - not spinning for nothing, and losing no wake-up
 *
 *	epoll -- mailbox's eventfd: mail and hand-over
 *	      -- ports' descriptors, once they were named by arm()
 *	      -- client_epoll -- every client's pipe
 *
 * Before it blocks an engine says so everywhere (each client's flag, the
 * mailbox, the ports, full event rings), and looks once more behind each of
 * them; whatever comes after that look writes a descriptor that epoll watches
 * (shm/wake.h, mailbox.c).  Only clients that woke it are polled again.
 *
 * While busy, clients that have been silent are not polled either: their flag
 * is set, and their pipes are looked at now and then.
 *
 * There is no periodic wake-up: the time-out is the next timer's.
 */
#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "engine/engine_state.h"

#define GLANCE_US	200	/* between looks at silent clients' pipes */
#define DEMOTE_US	2000	/* silent so long: polled no more ... */
#define DEMOTE_ABOVE	8u	/* ... when this many are: fewer cost nothing */
#define EVENTS		64

enum { MAILBOX, CLIENT_PIPES, PORT };	/* in e->epoll */

static int watch(int epoll, int fd, uint64_t what)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.u64 = what };

	return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &ev) ? -errno : 0;
}

int sleep_open(struct engine *e)
{
	int err;

	e->epoll = epoll_create1(EPOLL_CLOEXEC);
	e->client_epoll = epoll_create1(EPOLL_CLOEXEC);
	if (e->epoll < 0 || e->client_epoll < 0)
		return -errno;
	err = watch(e->epoll, e->client_epoll, CLIENT_PIPES);
	return err ? err : watch(e->epoll, mailbox_fd(e->mailbox),
				 MAILBOX);
}

void sleep_close(struct engine *e)
{
	if (e->epoll >= 0)
		close(e->epoll);
	if (e->client_epoll >= 0)
		close(e->client_epoll);
}

int sleep_watch(struct engine *e, struct client *cl)
{
	if (cl->wake_rd < 0)
		return 0;	/* a client in this process, in tests */
	return watch(e->client_epoll, cl->wake_rd, cl->slot);
}

void sleep_unwatch(struct engine *e, struct client *cl)
{
	if (cl->wake_rd >= 0)
		epoll_ctl(e->client_epoll, EPOLL_CTL_DEL, cl->wake_rd, NULL);
	cl->wake_rd = -1;
}

/* ---- clients' pipes ---- */

static void drain(struct engine *e, struct client *cl)
{
	char buf[4096];
	ssize_t n = read(cl->wake_rd, buf, sizeof(buf));

	if (n > 0) {
		count(&e->stats.wakes_received);
		client_promote(e, cl);
	} else if (n == 0) {
		sleep_unwatch(e, cl);	/* hung up: control will see it too */
	}
}

static uint32_t look_at_pipes(struct engine *e)
{
	struct epoll_event ev[EVENTS];
	int n = epoll_wait(e->client_epoll, ev, EVENTS, 0);

	for (int i = 0; i < n; i++) {
		struct client *cl = &e->clients[ev[i].data.u64];

		if (cl->state == CLIENT_LIVE && cl->wake_rd >= 0)
			drain(e, cl);
	}
	return n > 0 ? (uint32_t)n : 0;
}

static void demote_silent(struct engine *e)
{
	for (uint32_t i = e->active_count; i-- > 0;) {
		struct client *cl = e->active[i];

		if (mono_diff_us(cl->last_command, e->now) > DEMOTE_US)
			client_demote(e, cl);
	}
}

uint32_t sleep_glance(struct engine *e)
{
	uint32_t n = 0;

	if (mono_diff_us(e->last_watch, e->now) < GLANCE_US)
		return 0;
	e->last_watch = e->now;
	if (e->watched)
		n = look_at_pipes(e);
	if (e->active_count > DEMOTE_ABOVE &&
	    mono_diff_us(e->last_demote, e->now) >= DEMOTE_US) {
		e->last_demote = e->now;
		demote_silent(e);
	}
	return n;
}

/* ---- blocking ---- */

/* True: a client had a command after all. */
static bool arm_clients(struct engine *e)
{
	for (uint32_t i = e->active_count; i-- > 0;)
		if (!client_demote(e, e->active[i]))
			return true;
	return false;
}

static void know_fd(struct engine *e, struct port_side *p, int fd)
{
	for (int i = 0; i < p->fd_count; i++)
		if (p->fds[i] == fd)
			return;
	if (p->fd_count == (int)(sizeof(p->fds) / sizeof(p->fds[0])))
		return;
	if (watch(e->epoll, fd, PORT) == 0)
		p->fds[p->fd_count++] = fd;
}

static bool arm_ports(struct engine *e)
{
	int fds[PORT_FDS_MAX];

	for (uint32_t i = 0; i < e->port_count; i++) {
		struct port_side *p = &e->ports[i];
		int n = p->port->ops->arm(p->queue, fds, PORT_FDS_MAX);

		if (n < 0)
			return true;
		for (int k = 0; k < n; k++)
			know_fd(e, p, fds[k]);
	}
	return false;
}

static mono_t earlier(mono_t a, mono_t b)
{
	return mono_before(b, a) ? b : a;
}

static mono_t next_due(struct engine *e)
{
	mono_t due = earlier(tcp_next_due(e->tcp), net_next_due(e->net));

	due = earlier(due, client_next_due(e));
	due = earlier(due, moves_next_due(e));
	if (e->accept_again.us)
		due = earlier(due, e->accept_again);
	if (e->stopping)
		due = earlier(due, e->stop_end);
	for (uint32_t i = 0; i < e->port_count; i++)
		if (e->ports[i].port->ops->next_due)
			due = earlier(due, e->ports[i].port->ops->next_due(
						   e->ports[i].queue));
	return due;
}

/* Blocks until @due or a descriptor; true: a client woke us. */
static bool block(struct engine *e, mono_t due)
{
	struct epoll_event ev[EVENTS];
	struct timespec ts, *wait = NULL;
	int64_t us = mono_diff_us(e->now, due);
	bool client = false, port = false;
	int n;

	if (due.us != MONO_NEVER.us) {
		if (us <= 0)
			return false;
		ts.tv_sec = us / 1000000;
		ts.tv_nsec = us % 1000000 * 1000;
		wait = &ts;
	}
	count(&e->stats.sleeps);
	n = epoll_pwait2(e->epoll, ev, EVENTS, wait, NULL);
	for (int i = 0; i < n; i++) {
		client = client || ev[i].data.u64 == CLIENT_PIPES;
		port = port || ev[i].data.u64 == PORT;
	}
	if (port)
		count(&e->stats.port_wakes);
	else if (n == 0)
		count(&e->stats.timer_wakes);
	return client;
}

void sleep_now(struct engine *e)
{
	bool work = e->inbound_left != 0 || e->outbox_head != e->outbox_tail;

	work = work || arm_clients(e);
	work = mailbox_arm(e->mailbox) || work;
	work = work || event_arm(e) || arm_ports(e);
	if (!work && block(e, next_due(e)))
		look_at_pipes(e);
	mailbox_disarm(e->mailbox);
}
