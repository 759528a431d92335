#include "libclient/client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/*
 * mtcp_close() frees the socket id at once.  The connection object lives on
 * until the engine says EVENT_CLOSED, so that its cookie names nothing else
 * meanwhile.  A connect without a handle yet is closed by its cookie.  What is
 * being taken is an orphan, closed when it arrives; what we gave away by ticket
 * waits for EVENT_GONE, since closing it would close it for the taker.
 */

void conn_send_close(struct mtcp_context *x, uint32_t e, uint64_t sock,
		     uint32_t cookie, uint8_t flags)
{
	struct cmd *cmd = ctx_cmd(x, e, CMD_CLOSE);

	cmd->sock = sock;
	cmd->cookie = cookie;
	cmd->flags = flags;
}

void conn_clear_rx(struct mtcp_context *x, struct conn *c)
{
	if (c->rx_bytes)
		rx_drop(&x->conns, c, c->rx_bytes);
}

void conn_close(struct mtcp_context *x, uint32_t index)
{
	struct conn *c = conn_at(&x->conns, index);
	uint8_t state = c->state;

	c->sockid = -1;
	if (state == CONN_SHARED)
		return;
	if (state == CONN_TAKING) {
		c->state = CONN_ORPHAN;
		return;
	}
	/* new, gone, refused, or its daemon is gone */
	if (c->sock == HANDLE_NONE && state != CONN_CONNECTING) {
		conn_free(&x->conns, index);
		return;
	}
	/* What is read must not look unread: that would be a reset. */
	read_flush(x, c);
	conn_send_close(x, c->engine, c->sock, conn_cookie(&x->conns, index),
			(uint8_t)((c->flags & CONN_ABORT ? CMD_F_ABORT : 0) |
				  (state == CONN_QUEUED ? CMD_F_BACK : 0)));
	conn_clear_rx(x, c);
	c->flags &= (uint8_t)~(CONN_STARVED | CONN_WANT_SENT);
	c->state = CONN_CLOSING;
	if (!x->at || atomic_load_explicit(&x->at->dead, memory_order_relaxed))
		conn_free(&x->conns, index);	/* nobody will answer */
}

static void close_slot(struct mtcp_context *x, struct slot *s)
{
	switch (s->type) {
	case SLOT_STREAM:
		conn_close(x, s->obj);
		break;
	case SLOT_LISTENER:
		listener_close(x, x->listeners[s->obj],
			       (int)(s - x->ids.slot));
		break;
	case SLOT_EPOLL:
		epoll_close(x, s->obj);
		break;
	case SLOT_PIPE:
		pipe_close(x, s);
		break;
	default:
		break;
	}
}

MTCP_PUBLIC int mtcp_close(mctx_t mctx, int sockid)
{
	struct mtcp_context *x = ctx_enter(mctx);
	struct slot *s;

	if (!x)
		return -1;
	s = sockid_slot(&x->ids, sockid);
	if (!s) {
		errno = EBADF;
		return -1;
	}
	if (s->type == SLOT_STREAM && s->flags & SLOT_BLOCK)
		conn_linger(x, s->obj);
	slot_forget(x, s);
	close_slot(x, s);
	sockid_free(&x->ids, (uint32_t)sockid);
	ctx_publish(x);
	return 0;
}

/* 0, or the errno of a socket that cannot be shut down. */
static int may_shut(const struct conn *c)
{
	if (c->state == CONN_OPEN)
		return 0;
	return c->state == CONN_DEAD ? c->error : ENOTCONN;
}

static void shut(struct mtcp_context *x, struct conn *c, uint32_t index,
		 int how)
{
	struct cmd *cmd;

	if (how != SHUT_WR) {
		read_flush(x, c);	/* the engine drops the rest itself */
		conn_clear_rx(x, c);
		c->flags |= CONN_SHUT_RD | CONN_FIN;
	}
	if (how != SHUT_RD)
		c->flags |= CONN_SHUT_WR;
	cmd = ctx_cmd(x, c->engine, CMD_SHUTDOWN);
	cmd->sock = c->sock;
	cmd->cookie = conn_cookie(&x->conns, index);
	cmd->flags = (uint8_t)((how != SHUT_WR ? CMD_F_READ : 0) |
			       (how != SHUT_RD ? CMD_F_WRITE : 0));
}

MTCP_PUBLIC int mtcp_shutdown(mctx_t mctx, int sockid, int how)
{
	struct mtcp_context *x = ctx_enter(mctx);
	struct conn *c;
	uint32_t index;
	bool held;
	int err;

	c = x ? ctx_conn(x, sockid) : NULL;
	if (!c)
		return -1;
	index = x->ids.slot[sockid].obj;
	conn_use(x, index);
	held = conn_begin(x, index);
	err = how < SHUT_RD || how > SHUT_RDWR ? EINVAL : may_shut(c);
	if (!err)
		shut(x, c, index, how);
	if (held)
		conn_end(x, index);
	ctx_publish(x);
	if (!err)
		return 0;
	errno = err;
	return -1;
}
