#include "libclient/client.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

/* ---- a native event loop ---- */

static void watch_fd(struct mtcp_context *x, int fd)
{
	struct epoll_event ev = { .events = EPOLLIN };

	if (fd >= 0)
		epoll_ctl(x->watch_fd, EPOLL_CTL_ADD, fd, &ev);
}

/* A set of its own, so that it outlives a pipe: a new daemon has a new one. */
MTCP_PUBLIC int mtcp_context_fd(mctx_t mctx)
{
	struct mtcp_context *x = ctx_enter(mctx);

	if (!x)
		return -1;
	if (x->watch_fd < 0) {
		x->watch_fd = epoll_create1(EPOLL_CLOEXEC);
		if (x->watch_fd < 0)
			return -1;
		watch_fd(x, x->wake_rd);
		watch_fd(x, x->intr_fd);
	}
	return x->watch_fd;
}

MTCP_PUBLIC int mtcp_context_arm(mctx_t mctx)
{
	struct mtcp_context *x = ctx_enter(mctx);

	if (!x)
		return -1;
	ctx_disarm(x, true);		/* what woke us is known by now */
	return ctx_arm(x);
}

/* ---- sockets that move ---- */

MTCP_PUBLIC uint32_t mtcp_client_id(mctx_t mctx)
{
	struct mtcp_context *x = ctx_enter(mctx);

	return x && x->at ? x->at->client_id : 0;
}

static int hold(struct mtcp_context *x, uint64_t sock, uint32_t peer)
{
	struct ctl_request req = { .type = CTL_HOLD,
				   .hold = { .sock = sock, .peer = peer } };
	struct ctl_reply reply;
	int err;

	pthread_mutex_lock(&the_client.lock);
	err = attach_request(x->at, &req, &reply, NULL, 0);
	pthread_mutex_unlock(&the_client.lock);
	return err < 0 ? err : 0;
}

MTCP_PUBLIC int mtcp_share(mctx_t mctx, int sockid, uint32_t peer,
			   struct mtcp_ticket *ticket)
{
	struct mtcp_context *x = ctx_enter(mctx);
	struct conn *c = x ? ctx_conn(x, sockid) : NULL;
	int err = 0;

	if (!c)
		return -1;
	conn_use(x, x->ids.slot[sockid].obj);
	if (!ticket)
		err = -EFAULT;
	else if (c->state != CONN_OPEN || !x->at)
		err = -ENOTCONN;
	if (!err) {
		/* What is read must not be announced to the taker again. */
		read_flush(x, c);
		ctx_publish(x);
		if (peer && peer != x->at->client_id)
			err = hold(x, c->sock, peer);
		if (!err && peer && peer != x->at->client_id)
			c->listener = CONN_INHERITED;
	}
	if (err) {
		errno = -err;
		return -1;
	}
	*ticket = (struct mtcp_ticket){ .sock = c->sock,
					.local_port = c->local_port,
					.remote_port = c->remote_port };
	memcpy(ticket->local, c->local, 16);
	memcpy(ticket->remote, c->remote, 16);
	if (!peer || peer == x->at->client_id) {
		/* What is unread is announced to the taker. */
		conn_clear_rx(x, c);
		c->state = CONN_SHARED;
	}
	return 0;
}

static int start_take(struct mtcp_context *x, const struct mtcp_ticket *t)
{
	uint32_t index, e = handle_engine(t->sock);
	struct conn *c;
	struct cmd *cmd;
	int id;

	if (!x->at)
		return -ENETDOWN;
	if (e >= x->engines || t->sock == HANDLE_NONE)
		return -EINVAL;
	c = conn_new(&x->conns, CONN_TAKING, &index);
	if (!c)
		return -ENOMEM;
	id = sockid_alloc(&x->ids, SLOT_STREAM, index);
	if (id < 0) {
		conn_free(&x->conns, index);
		return id;
	}
	c->sockid = id;
	c->engine = (uint8_t)e;
	memcpy(c->local, t->local, 16);
	memcpy(c->remote, t->remote, 16);
	c->local_port = t->local_port;
	c->remote_port = t->remote_port;
	cmd = ctx_cmd(x, e, CMD_TAKE);
	cmd->sock = t->sock;
	cmd->cookie = conn_cookie(&x->conns, index);
	return id;
}

MTCP_PUBLIC int mtcp_take(mctx_t mctx, const struct mtcp_ticket *ticket)
{
	struct mtcp_context *x = ctx_enter(mctx);
	int id;

	if (!x)
		return -1;
	id = ticket ? start_take(x, ticket) : -EFAULT;
	ctx_publish(x);
	if (id >= 0)
		return id;
	errno = -id;
	return -1;
}

MTCP_PUBLIC const char *mtcp_error_text(void)
{
	return the_client.text;
}
