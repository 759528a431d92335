#define LOG_FACILITY LOG_FAC_CLIENT

#include <errno.h>
#include <event2/event.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"
#include "control/control.h"

#define EXIT_GRACE_US	5000000		/* to send what the dead left unsent */

struct client *client_by_slot(const struct control *c, uint32_t slot)
{
	return slot < TCP_CLIENTS_MAX ? c->by_slot[slot] : NULL;
}

struct client *client_by_id(const struct control *c, uint32_t id)
{
	struct client *cl = client_by_slot(c, id % TCP_CLIENTS_MAX);

	return cl && cl->id == id && cl->state == CLIENT_ATTACHED ? cl : NULL;
}

/* ---- answers ---- */

/* One packet with descriptors, never waited for. */
static int send_reply(int fd, const struct ctl_reply *reply, const int *fds,
		      uint32_t fd_count)
{
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(CTL_FDS_MAX * sizeof(int))];
	} rights = { 0 };
	struct iovec iov = { (void *)reply, sizeof(*reply) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t n;

	if (fd_count) {
		struct cmsghdr *h;

		msg.msg_control = rights.bytes;
		msg.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
		h = CMSG_FIRSTHDR(&msg);
		h->cmsg_level = SOL_SOCKET;
		h->cmsg_type = SCM_RIGHTS;
		h->cmsg_len = CMSG_LEN(fd_count * sizeof(int));
		memcpy(CMSG_DATA(h), fds, fd_count * sizeof(int));
	}
	do {
		n = sendmsg(fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	return n == (ssize_t)sizeof(*reply) ? 0 : -errno;
}

void client_reply(struct client *cl, struct ctl_reply *reply, const int *fds,
		  uint32_t fd_count)
{
	if (cl->fd < 0)
		return;
	reply->type = cl->request.type;
	reply->tag = cl->request.tag;
	reply->fds = fd_count;
	/* Who does not read its answers is let go: the loop sees the hang-up,
	 * so that no caller has its client freed under its feet. */
	if (send_reply(cl->fd, reply, fds, fd_count) < 0)
		shutdown(cl->fd, SHUT_RDWR);
	event_add(cl->readable, NULL);
}

void client_fail(struct client *cl, int error, const char *fmt, ...)
{
	struct ctl_reply r = { .error = error };
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(r.text, sizeof(r.text), fmt, ap);
	va_end(ap);
	client_reply(cl, &r, NULL, 0);
}

/* Last words; whether they arrive does not matter. */
static void say_detached(struct client *cl, enum detach_reason why)
{
	struct ctl_reply r = { .type = CTL_DETACHED, .error = ECONNABORTED };

	snprintf(r.text, sizeof(r.text), "mtcpd lets the program go: %s",
		 detach_reason_name(why));
	send_reply(cl->fd, &r, NULL, 0);
}

/* ---- life ---- */

static void readable(int fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	dispatch_readable(arg);
}

static void died(int fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	client_let_go(arg, DETACH_EXIT);
}

static void late(int fd, short what, void *arg)
{
	struct client *cl = arg;

	(void)fd;
	(void)what;
	log_debug("a connection of pid %d said no HELLO in time", (int)cl->pid);
	cl->control->counters.evicted++;
	client_let_go(cl, DETACH_ADMIN);
}

static void enlist(struct control *c, struct client *cl)
{
	cl->prev = c->clients_last;
	if (cl->prev)
		cl->prev->next = cl;
	else
		c->clients = cl;
	c->clients_last = cl;
	c->pending_count++;
}

static void delist(struct control *c, struct client *cl)
{
	if (cl->prev)
		cl->prev->next = cl->next;
	else
		c->clients = cl->next;
	if (cl->next)
		cl->next->prev = cl->prev;
	else
		c->clients_last = cl->prev;
}

/* A crowd that connects and says nothing pushes out its own oldest. */
static void evict_oldest(struct control *c)
{
	struct client *cl = c->clients;

	while (cl && cl->state != CLIENT_NEW)
		cl = cl->next;
	if (!cl)
		return;
	c->counters.evicted++;
	client_let_go(cl, DETACH_ADMIN);
}

static int watch(struct client *cl)
{
	struct control *c = cl->control;
	struct timeval limit = {
		.tv_sec = c->cfg->limits.hello_timeout_ms / 1000,
		.tv_usec = c->cfg->limits.hello_timeout_ms % 1000 * 1000 };

	/* Not persistent: one request at a time, answers re-arm it. */
	cl->readable = event_new(c->base, cl->fd, EV_READ, readable, cl);
	cl->late = event_new(c->base, -1, 0, late, cl);
	if (!cl->readable || !cl->late)
		return -ENOMEM;
	event_add(cl->readable, NULL);
	event_add(cl->late, &limit);
	/* Of another pid namespace, or gone already: the hang-up tells. */
	cl->pidfd = cl->pid > 0 ?
		    (int)syscall(SYS_pidfd_open, cl->pid, 0) : -1;
	if (cl->pidfd < 0)
		return 0;
	cl->died = event_new(c->base, cl->pidfd, EV_READ, died, cl);
	if (!cl->died)
		return -ENOMEM;
	event_add(cl->died, NULL);
	return 0;
}

static struct client *client_new(struct control *c, int fd)
{
	struct client *cl = calloc(1, sizeof(*cl));
	struct ucred cred;
	socklen_t bytes = sizeof(cred);

	if (!cl || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &bytes) < 0) {
		free(cl);
		return NULL;
	}
	cl->control = c;
	cl->fd = fd;
	cl->pidfd = -1;
	cl->pid = cred.pid;
	cl->uid = cred.uid;
	cl->since = mono_now();
	cl->segment.fd = -1;
	for (uint32_t e = 0; e < ENGINES_MAX; e++)
		cl->wake_rd[e] = cl->wake_wr[e] = -1;
	return cl;
}

void client_accept(struct control *c, int fd)
{
	struct client *cl;

	if (c->pending_count >= c->cfg->limits.pending_clients)
		evict_oldest(c);
	cl = client_new(c, fd);
	if (!cl) {
		log_warn("cannot accept a program");
		close(fd);
		return;
	}
	c->counters.accepted++;
	enlist(c, cl);
	if (watch(cl) < 0)
		client_let_go(cl, DETACH_ADMIN);
}

/* ---- death ---- */

static void free_event(struct event **ev)
{
	if (*ev)
		event_free(*ev);
	*ev = NULL;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* Nobody else holds on to it. */
static void client_free(struct client *cl)
{
	struct control *c = cl->control;

	if (cl->slot) {
		hole_unwatch(cl->slot);
		c->by_slot[cl->slot] = NULL;
		c->client_count--;
	} else {
		c->pending_count--;
	}
	contexts_free(cl);
	for (uint32_t e = 0; cl->arenas && e < c->engine_count; e++)
		arena_fini(&cl->arenas[e]);
	free(cl->arenas);
	free(cl->holds);
	segment_close(c, &cl->segment);
	policy_leave(cl);
	for (uint32_t e = 0; e < ENGINES_MAX; e++) {
		close_fd(&cl->wake_rd[e]);
		close_fd(&cl->wake_wr[e]);
	}
	delist(c, cl);
	free(cl);
}

static void stop_watching(struct client *cl)
{
	free_event(&cl->readable);
	free_event(&cl->died);
	free_event(&cl->late);
	close_fd(&cl->pidfd);
	close_fd(&cl->fd);
}

/* Segment and descriptors stay until the last engine has said GONE. */
static void tell_leaving(struct client *cl, enum detach_reason why)
{
	struct control *c = cl->control;
	struct mail m = { .type = MAIL_CLIENT_DETACH };

	listeners_leave(cl, ~0u);
	m.detach.slot = cl->slot;
	m.detach.reason = why;
	m.detach.grace_us = why == DETACH_EXIT ? EXIT_GRACE_US : 0;
	cl->gone_waiting = c->engine_count;
	engines_tell_all(c, &m);
}

void client_let_go(struct client *cl, enum detach_reason why)
{
	struct control *c = cl->control;

	if (cl->state == CLIENT_LEAVING)
		return;
	if (cl->slot && why != DETACH_EXIT)
		say_detached(cl, why);
	stop_watching(cl);
	if (!cl->slot) {
		client_free(cl);
		return;
	}
	c->counters.detached++;
	c->counters.detach_reasons[why < DETACH_REASONS ? why : 0]++;
	if (why == DETACH_EXIT)
		log_event(LOG_EV_LEFT, LOG_LEVEL_INFO,
			  "client %u: %s left (pid %d)", cl->slot, cl->name,
			 (int)cl->pid);
	else
		log_event(LOG_EV_DETACHED, LOG_LEVEL_WARN,
			  "client %u: %s is detached (pid %d, uid %u): %s",
			  cl->slot, cl->name, (int)cl->pid, cl->uid,
			  detach_reason_name(why));
	cl->state = CLIENT_LEAVING;
	tell_leaving(cl, why);
}

void client_mail_bad(struct control *c, uint32_t slot, uint32_t reason)
{
	struct client *cl = client_by_slot(c, slot);

	if (cl)
		client_let_go(cl, reason < DETACH_REASONS ?
			      (enum detach_reason)reason : DETACH_BAD_RECORD);
}

void client_mail_gone(struct control *c, uint32_t slot)
{
	struct client *cl = client_by_slot(c, slot);

	if (!cl || cl->state != CLIENT_LEAVING || !cl->gone_waiting) {
		log_debug("an engine let go of client %u, which is not leaving",
			  slot);
		return;
	}
	if (--cl->gone_waiting)
		return;
	ENSURE(!cl->op.tag, "engines answer in order, so nothing is open");
	client_free(cl);
}

void clients_free_all(struct control *c)
{
	while (c->clients) {
		stop_watching(c->clients);
		client_free(c->clients);
	}
}
