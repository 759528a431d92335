/*
 * hold.c - one more client that may take a socket
 *
 *	HOLD       one socket, one engine's answer
 *	HOLD_MANY  what a parent holds, for its child: a list that all engines
 *	           read and count their own in, until the last has answered
 *
 * Trust     Only a holder can make another (engine, socket_held()), and only
 *           clients of one user.  Handles may be any bytes.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control/control.h"
#include "shm/record.h"

static void held(struct control *c, struct op *op)
{
	struct client *cl = client_of(op);
	struct ctl_reply r = { 0 };

	(void)c;
	if (cl->state == CLIENT_LEAVING)
		return;
	if (op->error)
		client_fail(cl, -op->error, "the socket cannot be shared: %s",
			    strerror(-op->error));
	else
		client_reply(cl, &r, NULL, 0);
}

/* A holder is a gift that the other must want: clients of one user only.
 * NULL: the client was told. */
static struct client *peer_of(struct client *cl, uint32_t id)
{
	struct client *peer = client_by_id(cl->control, id);

	if (!peer) {
		client_fail(cl, ESRCH, "there is no client %u", id);
		return NULL;
	}
	if (peer->uid != cl->uid) {
		client_fail(cl, EPERM, "client %u is another user's", id);
		return NULL;
	}
	return peer;
}

void hold_request(struct client *cl, const struct ctl_request *req)
{
	struct client *peer = peer_of(cl, req->hold.peer);
	struct mail m = { .type = MAIL_HOLD };

	if (!peer)
		return;
	m.hold.sock = req->hold.sock;
	m.hold.client = cl->slot;
	m.hold.peer = peer->slot;
	client_ask_owner(cl, req->hold.sock, EBADF, &m, held);
}

static void held_many(struct control *c, struct op *op)
{
	struct client *cl = client_of(op);
	struct ctl_reply r = { 0 };

	for (uint32_t e = 0; e < c->engine_count; e++)
		r.hold_many.held += cl->holds->held[e];
	free(cl->holds);
	cl->holds = NULL;
	if (cl->state == CLIENT_LEAVING)
		return;
	if (op->error)
		client_fail(cl, -op->error, "not all sockets can be shared: %s",
			    strerror(-op->error));
	else
		client_reply(cl, &r, NULL, 0);
}

void hold_many_request(struct client *cl, const struct ctl_request *req,
		       const uint64_t *socks, size_t bytes)
{
	struct mail m = { .type = MAIL_HOLD_MANY };
	uint32_t count = req->hold_many.count;
	struct client *peer;

	if (count == 0 || count > CTL_HOLD_MAX ||
	    bytes != count * sizeof(*socks)) {
		cl->control->counters.bad_requests++;
		client_fail(cl, EPROTO, "HOLD_MANY says %u sockets and names "
			    "%zu", count, bytes / sizeof(*socks));
		return;
	}
	peer = peer_of(cl, req->hold_many.peer);
	if (!peer)
		return;
	cl->holds = calloc(1, sizeof(*cl->holds));
	if (!cl->holds) {
		client_fail(cl, ENOMEM, "no memory for a list of sockets");
		return;
	}
	cl->holds->count = count;
	memcpy(cl->holds->sock, socks, bytes);
	m.hold_many.list = cl->holds;
	m.hold_many.client = cl->slot;
	m.hold_many.peer = peer->slot;
	op_ask_all(cl->control, &cl->op, &m, held_many);
}
