#include <errno.h>
#include <event2/event.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>

#include "base/log.h"
#include "control/control.h"
#include "shm/record.h"

#define BAD_REQUESTS_MAX	16	/* of one client, then it is let go */

static void held(struct control *c, struct op *op)
{
	struct client *cl = (struct client *)((char *)op -
					      offsetof(struct client, op));
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

/* A holder is a gift that the other must want: clients of one user only. */
static void hold_request(struct client *cl, const struct ctl_request *req)
{
	struct control *c = cl->control;
	struct client *peer = client_by_id(c, req->hold.peer);
	uint32_t engine = handle_engine(req->hold.sock);
	struct mail m = { .type = MAIL_HOLD };

	if (!peer) {
		client_fail(cl, ESRCH, "there is no client %u", req->hold.peer);
		return;
	}
	if (peer->uid != cl->uid) {
		client_fail(cl, EPERM, "client %u is another user's",
			    req->hold.peer);
		return;
	}
	if (engine >= c->engine_count) {
		client_fail(cl, EBADF, "there is no such socket");
		return;
	}
	m.hold.sock = req->hold.sock;
	m.hold.client = cl->slot;
	m.hold.peer = peer->slot;
	op_ask(c, &cl->op, engine, &m, held);
}

static void bad_request(struct client *cl, const char *what)
{
	cl->control->counters.bad_requests++;
	if (++cl->bad_requests > BAD_REQUESTS_MAX) {
		client_let_go(cl, DETACH_BAD_RECORD);
		return;
	}
	client_fail(cl, EPROTO, "%s", what);
}

static void dispatch_attached(struct client *cl, const struct ctl_request *req)
{
	switch (req->type) {
	case CTL_CONTEXT:
		context_request(cl, req);
		break;
	case CTL_CONTEXT_END:
		context_end_request(cl, req);
		break;
	case CTL_LISTEN:
		listen_request(cl, req);
		break;
	case CTL_UNLISTEN:
		unlisten_request(cl, req);
		break;
	case CTL_HOLD:
		hold_request(cl, req);
		break;
	case CTL_OPTION:
		option_request(cl, req);
		break;
	case CTL_INFO:
		info_request(cl, req);
		break;
	case CTL_PORT:
		port_request(cl, req);
		break;
	case CTL_HELLO:
		bad_request(cl, "HELLO was said before");
		break;
	default:
		bad_request(cl, "there is no such request");
	}
}

void dispatch(struct client *cl, const struct ctl_request *req)
{
	if (req->tag == 0)
		bad_request(cl, "a request's tag is not 0");
	else if (cl->state == CLIENT_ATTACHED)
		dispatch_attached(cl, req);
	else if (req->type == CTL_HELLO)
		attach_hello(cl, req);
	else
		bad_request(cl, "HELLO comes first");
}

void dispatch_readable(struct client *cl)
{
	struct ctl_request req;
	struct iovec iov = { &req, sizeof(req) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t n = recvmsg(cl->fd, &msg, MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
		event_add(cl->readable, NULL);
		return;
	}
	if (n <= 0) {
		client_let_go(cl, DETACH_EXIT);
		return;
	}
	memset(&cl->request, 0, sizeof(cl->request));
	if (n != (ssize_t)sizeof(req) || (msg.msg_flags & MSG_TRUNC)) {
		cl->control->counters.bad_requests++;
		client_fail(cl, EPROTO, "a request has %zu bytes, this one "
			    "does not", sizeof(req));
		client_let_go(cl, DETACH_BAD_RECORD);
		return;
	}
	cl->request = req;
	dispatch(cl, &req);
}
