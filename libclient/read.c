#include "libclient/client.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/*
 * Reading copies out of blocks, or lends them (mtcp_zc_read).  The engine is
 * told in one record when the socket is drained, when 16 KiB have gathered,
 * and at the latest before the context sleeps.
 */

void read_flush(struct mtcp_context *x, struct conn *c)
{
	struct cmd *cmd;

	c->flags &= (uint8_t)~CONN_FLUSH;
	if (!c->consumed || c->sock == HANDLE_NONE)
		return;
	cmd = ctx_cmd(x, c->engine, CMD_CONSUMED);
	cmd->sock = c->sock;
	cmd->consumed.bytes = c->consumed;
	c->consumed = 0;
}

void read_flush_all(struct mtcp_context *x)
{
	for (uint32_t i = 0; i < x->flush.count; i++) {
		struct conn *c = conn_at(&x->conns, x->flush.at[i]);

		if (c->flags & CONN_FLUSH)
			read_flush(x, c);
	}
	x->flush.count = 0;
}

/* The oldest @bytes are read. */
static void consume(struct mtcp_context *x, uint32_t index, uint32_t bytes)
{
	struct conn *c = conn_at(&x->conns, index);

	rx_drop(&x->conns, c, bytes);
	c->consumed += bytes;
	if (!c->rx_bytes || c->consumed >= CONSUMED_BATCH || conn_shared(c)) {
		read_flush(x, c);
	} else if (!(c->flags & CONN_FLUSH)) {
		if (list_push(&x->flush, index))
			c->flags |= CONN_FLUSH;
		else
			read_flush(x, c);
	}
	/* Edge-triggered readers learn of the end when they have it all. */
	if (!c->rx_bytes && c->flags & CONN_FIN)
		conn_raise(x, c, MTCP_EPOLLIN | MTCP_EPOLLRDHUP);
}

/* 1: there is data; 0: end of stream; -errno. */
static int look(const struct conn *c)
{
	if (c->rx_bytes)
		return 1;
	switch (c->state) {
	case CONN_OPEN:
		return c->flags & CONN_FIN ? 0 : -EAGAIN;
	case CONN_CONNECTING:
	case CONN_TAKING:
	case CONN_AWAY:		/* another process was faster */
		return -EAGAIN;
	case CONN_DEAD:
		return c->flags & CONN_FIN && c->error == EPIPE ? 0 : -c->error;
	default:
		return -ENOTCONN;
	}
}

/* As a blocking read sees it: SO_RCVLOWAT, or the end. */
static int look_low(const struct conn *c)
{
	if (c->state == CONN_OPEN && c->rx_bytes && !(c->flags & CONN_FIN) &&
	    !opts_readable(c))
		return -EAGAIN;
	return look(c);
}

static int wait_data(struct mtcp_context *x, uint32_t index, bool block)
{
	struct conn *c = conn_at(&x->conns, index);
	uint64_t until;
	int n = block ? look_low(c) : look(c), err;

	if (n != -EAGAIN)
		return n;
	ctx_progress(x);
	n = block ? look_low(c) : look(c);
	if (n != -EAGAIN || !block)
		return n;
	until = until_of(c->opts, true);
	do {
		conn_want(x, index, MTCP_EPOLLIN);
		err = wait_more(x, until);
		if (err)
			return err;
		ctx_progress(x);
		n = look_low(c);
	} while (n == -EAGAIN);
	return n;
}

/* Copies what is unread into @iov; returns bytes. */
static size_t copy_out(struct mtcp_context *x, const struct conn *c,
		       const struct iovec *iov, int count)
{
	const struct extent *e = rx_front(&x->conns, c);
	size_t done = 0, at = 0, into = 0, n;

	for (int i = 0; e && i < count; ) {
		n = e->len - at;
		if (n > iov[i].iov_len - into)
			n = iov[i].iov_len - into;
		if (n)
			memcpy((uint8_t *)iov[i].iov_base + into,
			       block_at(x, e->block) + e->offset + at, n);
		done += n;
		at += n;
		into += n;
		if (into == iov[i].iov_len) {
			i++;
			into = 0;
		}
		if (at == e->len) {
			e = rx_next(&x->conns, c, e);
			at = 0;
		}
	}
	return done;
}

static size_t iov_bytes(const struct iovec *iov, int count)
{
	size_t n = 0;

	for (int i = 0; i < count; i++)
		n += iov[i].iov_len;
	return n;
}

static ssize_t conn_read(struct mtcp_context *x, struct slot *s,
			 const struct iovec *iov, int count, int flags)
{
	struct conn *c = conn_at(&x->conns, s->obj);
	bool block = s->flags & SLOT_BLOCK && !(flags & MSG_DONTWAIT);
	uint32_t index = s->obj;
	size_t n = 0;
	int err;

	if (iov_bytes(iov, count) == 0)
		return 0;
	conn_use(x, index);
	while (!n) {
		err = wait_data(x, index, block);
		if (err <= 0) {
			conn_want(x, index, 0);
			return err;
		}
		if (!conn_begin(x, index))
			continue;	/* another process was faster */
		n = copy_out(x, c, iov, count);
		if (n && !(flags & MSG_PEEK)) {
			consume(x, index, (uint32_t)n);
			ctx_publish(x);
		}
		conn_end(x, index);
	}
	return (ssize_t)n;
}

ssize_t read_iov(mctx_t mctx, int sockid, const struct iovec *iov, int count,
		 int flags)
{
	struct mtcp_context *x = ctx_enter(mctx);
	struct slot *s;
	ssize_t n;

	if (!x)
		return -1;
	s = sockid_slot(&x->ids, sockid);
	if (!s)
		n = -EBADF;
	else if (s->type == SLOT_STREAM)
		n = conn_read(x, s, iov, count, flags);
	else if (s->type == SLOT_PIPE && count == 1)
		n = pipe_read(x, s, iov->iov_base, iov->iov_len);
	else
		n = -ENOTSOCK;
	if (n >= 0)
		return n;
	errno = (int)-n;
	return -1;
}

MTCP_PUBLIC ssize_t mtcp_read(mctx_t mctx, int sockid, char *buf, size_t len)
{
	struct iovec iov = { buf, len };

	return read_iov(mctx, sockid, &iov, 1, 0);
}

MTCP_PUBLIC ssize_t mtcp_recv(mctx_t mctx, int sockid, char *buf, size_t len,
			      int flags)
{
	struct iovec iov = { buf, len };

	if (flags & ~(MSG_PEEK | MSG_DONTWAIT)) {
		errno = EINVAL;
		return -1;
	}
	return read_iov(mctx, sockid, &iov, 1, flags);
}

MTCP_PUBLIC int mtcp_readv(mctx_t mctx, int sockid, const struct iovec *iov,
			   int numIOV)
{
	if (numIOV < 1 || !iov) {
		errno = EINVAL;
		return -1;
	}
	return (int)read_iov(mctx, sockid, iov, numIOV, 0);
}

/* ---- in place ---- */

MTCP_PUBLIC int mtcp_zc_read(mctx_t mctx, int sockid, struct iovec *iov,
			     int count)
{
	struct mtcp_context *x = ctx_enter(mctx);
	struct conn *c = x ? ctx_conn(x, sockid) : NULL;
	struct extent *e;
	int n;

	if (!c)
		return -1;
	conn_use(x, x->ids.slot[sockid].obj);
	n = wait_data(x, x->ids.slot[sockid].obj,
		      x->ids.slot[sockid].flags & SLOT_BLOCK);
	if (n < 0)
		errno = -n;
	if (n <= 0)
		return n;
	e = rx_front(&x->conns, c);
	for (n = 0; e && n < count; n++, e = rx_next(&x->conns, c, e))
		iov[n] = (struct iovec){ block_at(x, e->block) + e->offset,
					 e->len };
	return n;
}

MTCP_PUBLIC int mtcp_zc_release(mctx_t mctx, int sockid, size_t bytes)
{
	struct mtcp_context *x = ctx_enter(mctx);
	struct conn *c = x ? ctx_conn(x, sockid) : NULL;

	if (!c)
		return -1;
	if (bytes > c->rx_bytes) {
		errno = c->state == CONN_DEAD ? c->error : EINVAL;
		return -1;
	}
	if (bytes)
		consume(x, x->ids.slot[sockid].obj, (uint32_t)bytes);
	ctx_publish(x);
	return 0;
}
