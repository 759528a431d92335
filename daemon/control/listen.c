#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "control/control.h"

#define BACKLOG_MAX	65535u

/* ---- the table ---- */

struct listener *listener_by_id(const struct control *c, uint64_t id)
{
	struct listener *l = c->listeners;

	while (l && l->id != id)
		l = l->next;
	return l;
}

static struct listener *listener_at(const struct control *c,
				    const struct ip_addr *addr, uint16_t port)
{
	struct listener *l = c->listeners;

	while (l && (l->port != port || !addr_eq(&l->addr, addr)))
		l = l->next;
	return l;
}

/* One that takes connections which one at @addr would take too. */
static bool overlaps(const struct listener *l, const struct ip_addr *addr,
		     uint16_t port)
{
	return l->port == port &&
	       (addr_eq(&l->addr, addr) || addr_is_any(&l->addr) ||
		addr_is_any(addr));
}

int listener_member(const struct listener *l, const struct client *cl,
		    uint32_t context)
{
	for (uint32_t i = 0; i < l->member_count; i++)
		if (l->members[i].client == cl &&
		    (context == ~0u || l->members[i].context == context))
			return (int)i;
	return -1;
}

/* Its own, one that it has from before a fork, or a port that both sides of
 * one user declared shared. */
static bool may_share(const struct listener *l, const struct client *cl,
		      uint16_t flags)
{
	return listener_member(l, cl, ~0u) >= 0 ||
	       (l->uid == cl->uid && (l->flags & flags & CTL_LISTEN_SHARED)) ||
	       (l->uid == cl->uid && l->family == cl->family &&
		(flags & CTL_LISTEN_INHERITED));
}

/* Ports; a further context at @port is no more. */
static uint32_t listeners_of(const struct client *cl,
			     const struct ip_addr *addr, uint16_t port)
{
	uint32_t n = 0;

	for (struct listener *l = cl->control->listeners; l; l = l->next)
		if (listener_member(l, cl, ~0u) >= 0 &&
		    (l->port != port || !addr_eq(&l->addr, addr)))
			n++;
	return n;
}

static struct listener *listener_new(struct client *cl,
				     const struct ctl_request *req,
				     const struct ip_addr *addr, uint16_t port)
{
	struct control *c = cl->control;
	struct listener *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	*l = (struct listener){
		.next = c->listeners, .id = ++c->next_listener, .addr = *addr,
		.port = port, .flags = req->listen.flags, .uid = cl->uid,
		.family = cl->family,
		.backlog = req->listen.backlog };
	if (!l->backlog || l->backlog > BACKLOG_MAX)
		l->backlog = l->backlog ? BACKLOG_MAX : 1;
	c->listeners = l;
	return l;
}

static bool port_listened(const struct control *c, uint16_t port)
{
	struct listener *l = c->listeners;

	while (l && l->port != port)
		l = l->next;
	return l != NULL;
}

static void listener_free(struct control *c, struct listener *l)
{
	struct listener **at = &c->listeners;

	while (*at != l)
		at = &(*at)->next;
	*at = l->next;
	if (!port_listened(c, l->port))
		share_unlisten(c, l->port);
	free(l->members);
	free(l);
}

static int member_add(struct listener *l, struct client *cl, uint32_t context)
{
	struct listener_member *all =
		realloc(l->members, (l->member_count + 1) * sizeof(*all));

	if (!all)
		return -ENOMEM;
	l->members = all;
	all[l->member_count++] = (struct listener_member){ cl, context };
	return 0;
}

static void listen_mail(const struct listener *l, uint32_t type,
			const struct listener_member *who, struct mail *m)
{
	*m = (struct mail){ .type = type };
	m->listen.id = l->id;
	m->listen.addr = l->addr;
	m->listen.port = l->port;
	m->listen.backlog = l->backlog;
	m->listen.client = who->client->slot;
	m->listen.context = who->context;
}

/* The member is out; the listener goes with its last. */
static void member_drop(struct control *c, struct listener *l, uint32_t index)
{
	l->members[index] = l->members[--l->member_count];
	if (!l->member_count)
		listener_free(c, l);
}

void listeners_leave(struct client *cl, uint32_t context)
{
	struct control *c = cl->control;
	struct listener *l = c->listeners, *next;

	for (; l; l = next) {
		int index;

		next = l->next;
		while ((index = listener_member(l, cl, context)) >= 0) {
			bool last = l->member_count == 1;
			struct mail m;

			listen_mail(l, MAIL_UNLISTEN, &l->members[index], &m);
			engines_tell_all(c, &m);
			member_drop(c, l, (uint32_t)index);
			if (last)
				break;
		}
	}
}

void listeners_leave_all(struct control *c)
{
	for (struct client *cl = c->clients; cl; cl = cl->next)
		if (cl->state == CLIENT_ATTACHED)
			listeners_leave(cl, ~0u);
}

void listeners_free_all(struct control *c)
{
	while (c->listeners)
		listener_free(c, c->listeners);
}

/* ---- LISTEN ---- */

/* A port that no listener overlaps, from the range of local ports. */
static uint16_t pick_port(struct control *c, const struct ip_addr *addr)
{
	uint32_t first = c->cfg->local_port_min;
	uint32_t count = c->cfg->local_port_max - first + 1;

	for (uint32_t tries = 0; tries < count; tries++) {
		uint16_t port = htons((uint16_t)(first +
						 c->next_port++ % count));
		struct listener *l = c->listeners;

		while (l && !overlaps(l, addr, port))
			l = l->next;
		if (!l)
			return port;
	}
	return 0;
}

static bool is_ours(const struct control *c, const struct ip_addr *addr)
{
	for (unsigned int i = 0; i < c->cfg->net.addr_count; i++)
		if (addr_eq(&c->cfg->net.addrs[i].addr, addr))
			return true;
	return false;
}

/* Is the request possible at all?  False: the client was told. */
static bool check_listen(struct client *cl, const struct ctl_request *req,
			 const struct ip_addr *addr)
{
	struct control *c = cl->control;
	char text[ADDR_TEXT_BYTES];

	if (!context_exists(cl, req->listen.context)) {
		client_fail(cl, EINVAL, "there is no context %u",
			    req->listen.context);
		return false;
	}
	if (!addr_is_any(addr) && !is_ours(c, addr)) {
		client_fail(cl, EADDRNOTAVAIL, "%s is no address of mtcpd's "
			    "(mtcpctl ports shows them)",
			    addr_text(addr, text));
		return false;
	}
	if (!policy_listen(cl, addr, req->listen.port))
		return false;
	if (listeners_of(cl, addr, req->listen.port) >=
	    c->cfg->limits.listeners) {
		client_fail(cl, ENOBUFS, "a program may listen on %u ports "
			    "([limits] listeners in mtcpd.conf)",
			    c->cfg->limits.listeners);
		return false;
	}
	return true;
}

static bool check_conflicts(struct client *cl, const struct ctl_request *req,
			    const struct ip_addr *addr, uint16_t port)
{
	struct control *c = cl->control;

	for (struct listener *l = c->listeners; l; l = l->next) {
		if (!overlaps(l, addr, port))
			continue;
		if (!may_share(l, cl, req->listen.flags)) {
			client_fail(cl, EADDRINUSE, "port %u is listened on by "
				    "client %u (%s)", ntohs(port),
				    l->members[0].client->slot,
				    l->members[0].client->name);
			return false;
		}
		if (addr_eq(&l->addr, addr) &&
		    listener_member(l, cl, req->listen.context) >= 0) {
			client_fail(cl, EADDRINUSE, "this context listens on "
				    "port %u already", ntohs(port));
			return false;
		}
	}
	return true;
}

static void listen_undone(struct control *c, struct op *op)
{
	struct client *cl = client_of(op);

	(void)c;
	if (cl->state != CLIENT_LEAVING)
		client_fail(cl, cl->op_error, "an engine cannot listen: %s",
			    strerror(cl->op_error));
}

/* One engine refuses: the others forget it again. */
static void listen_undo(struct control *c, struct client *cl,
			struct listener *l, int index)
{
	struct mail m;

	listen_mail(l, MAIL_UNLISTEN, &l->members[index], &m);
	member_drop(c, l, (uint32_t)index);
	op_ask_all(c, &cl->op, &m, listen_undone);
}

static void listening(struct control *c, struct op *op)
{
	struct client *cl = client_of(op);
	struct ctl_reply r = { 0 };
	struct listener *l;

	if (cl->state == CLIENT_LEAVING)
		return;
	l = listener_by_id(c, cl->op_listener);
	ENSURE(l, "a member stays until it or its client leaves");
	if (op->error) {
		cl->op_error = -op->error;
		listen_undo(c, cl, l, listener_member(l, cl, cl->op_context));
		return;
	}
	r.listen.listener = l->id;
	r.listen.port = l->port;
	client_reply(cl, &r, NULL, 0);
}

void listen_request(struct client *cl, const struct ctl_request *req)
{
	struct control *c = cl->control;
	struct ip_addr addr;
	uint16_t port = req->listen.port;
	struct listener *l;
	struct mail m;

	memcpy(&addr, req->listen.addr, sizeof(addr));
	if (addr_is_any(&addr))
		addr = addr_from_v4(0);
	if (!check_listen(cl, req, &addr))
		return;
	if (!port)
		port = pick_port(c, &addr);
	if (!port) {
		client_fail(cl, EADDRINUSE, "all local ports are listened on");
		return;
	}
	if (!check_conflicts(cl, req, &addr, port))
		return;
	if (!port_listened(c, port) && share_listen(c, &addr, port) < 0) {
		client_fail(cl, EADDRINUSE, "the kernel listens on TCP port %u "
			    "of an address that mtcpd shares with it (ss -ltn "
			    "shows by whom)", ntohs(port));
		return;
	}
	l = listener_at(c, &addr, port);
	if (!l)
		l = listener_new(cl, req, &addr, port);
	if (!l || member_add(l, cl, req->listen.context) < 0) {
		if (l && !l->member_count)
			listener_free(c, l);
		client_fail(cl, ENOMEM, "mtcpd is out of memory");
		return;
	}
	cl->op_listener = l->id;
	cl->op_context = req->listen.context;
	listen_mail(l, MAIL_LISTEN, &l->members[l->member_count - 1], &m);
	m.listen.flags = req->listen.flags;
	op_ask_all(c, &cl->op, &m, listening);
}

/* ---- UNLISTEN ---- */

static void unlistened(struct control *c, struct op *op)
{
	struct client *cl = client_of(op);
	struct ctl_reply r = { 0 };

	(void)c;
	if (cl->state != CLIENT_LEAVING)
		client_reply(cl, &r, NULL, 0);
}

void unlisten_request(struct client *cl, const struct ctl_request *req)
{
	struct control *c = cl->control;
	struct listener *l = listener_by_id(c, req->unlisten.listener);
	int index = l && req->unlisten.context < CONTEXTS_MAX ?
		    listener_member(l, cl, req->unlisten.context) : -1;
	struct mail m;

	if (index < 0) {
		client_fail(cl, EINVAL, "context %u does not listen there",
			    req->unlisten.context);
		return;
	}
	listen_mail(l, MAIL_UNLISTEN, &l->members[index], &m);
	member_drop(c, l, (uint32_t)index);
	op_ask_all(c, &cl->op, &m, unlistened);
}
