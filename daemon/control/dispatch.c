#include <errno.h>
#include <event2/event.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>

#include "base/log.h"
#include "control/control.h"
#include "shm/record.h"

#define BAD_REQUESTS_MAX	16	/* of one client, then it is let go */

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
	case CTL_BIND:
		policy_bind_request(cl, req);
		break;
	case CTL_HOLD_MANY:	/* its handles are missing */
		bad_request(cl, "HOLD_MANY names no sockets");
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

/* Only HOLD_MANY of an attached client has bytes behind the request. */
static void dispatch_packet(struct client *cl, const struct ctl_request *req,
			    const uint64_t *more, size_t more_bytes)
{
	if (more_bytes && req->tag && cl->state == CLIENT_ATTACHED)
		hold_many_request(cl, req, more, more_bytes);
	else
		dispatch(cl, req);
}

void dispatch_readable(struct client *cl)
{
	static uint64_t more[CTL_HOLD_MAX];	/* control's thread alone */
	struct ctl_request req;
	struct iovec iov[] = { { &req, sizeof(req) }, { more, sizeof(more) } };
	size_t more_bytes;
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2 };
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
	more_bytes = (size_t)n > sizeof(req) ? (size_t)n - sizeof(req) : 0;
	if ((size_t)n < sizeof(req) || (msg.msg_flags & MSG_TRUNC) ||
	    (more_bytes && req.type != CTL_HOLD_MANY)) {
		cl->control->counters.bad_requests++;
		client_fail(cl, EPROTO, "a request has %zu bytes, this one "
			    "does not", sizeof(req));
		client_let_go(cl, DETACH_BAD_RECORD);
		return;
	}
	cl->request = req;
	dispatch_packet(cl, &req, more, more_bytes);
}

/* Any bytes are a handle, to begin with. */
void client_ask_owner(struct client *cl, uint64_t sock, int error,
		      struct mail *m,
		      void (*done)(struct control *, struct op *))
{
	if (handle_engine(sock) < cl->control->engine_count)
		op_ask(cl->control, &cl->op, handle_engine(sock), m, done);
	else
		client_fail(cl, error, "there is no such socket");
}
