#include "libclient/client.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

/*
 * A connect goes to the context's home engine, which picks a local TCP port
 * whose answers come back to it.  A port that the application bound decides
 * by its hash which engine the answers reach: that one is asked.
 */

/* The next source address of mtcp_init_rss(), in turn. */
static void pick_source(struct mtcp_context *x, struct conn *c)
{
	if (!x->rss_count || !addr_is_any(c->local))
		return;
	addr_from_v4(c->local, htonl(x->rss_base + x->rss_next));
	if (++x->rss_next == x->rss_count)
		x->rss_next = 0;
}

static uint32_t engine_of(const struct mtcp_context *x, const struct conn *c)
{
	const uint8_t *local = c->local;

	if (!(c->flags & CONN_BOUND) || !c->local_port)
		return x->home;
	if (addr_is_any(local))
		local = x->rss_any_local;
	if (addr_is_any(local))
		return x->home;		/* it names the right one */
	return rss_engine(rss_hash_v4(&x->at->rss, addr_v4(c->remote),
				      addr_v4(local), c->remote_port,
				      c->local_port), x->engines);
}

void connect_send(struct mtcp_context *x, uint32_t index, uint32_t e)
{
	struct conn *c = conn_at(&x->conns, index);
	struct cmd_connect cmd = { .type = CMD_CONNECT };

	c->engine = (uint8_t)e;
	c->state = CONN_CONNECTING;
	opts_early(x, index, e);
	if (c->flags & CONN_BOUND && c->local_port) {
		cmd.flags = CMD_F_BOUND;
		cmd.local_port = c->local_port;
	}
	if (c->opts && c->opts->deferred) {
		cmd.flags |= CMD_F_FASTOPEN;
		c->opts->deferred = false;
	}
	cmd.cookie = conn_cookie(&x->conns, index);
	cmd.remote_port = c->remote_port;
	memcpy(cmd.local_addr, c->local, 16);
	memcpy(cmd.remote_addr, c->remote, 16);
	ctx_cmd_connect(x, e, &cmd);
	stock_start(x, e);
}

static int may_connect(const struct conn *c)
{
	switch (c->state) {
	case CONN_NEW:
		return opts_deferred(c) ? -EISCONN : 0;
	case CONN_CONNECTING:
	case CONN_TAKING:
		return -EALREADY;
	case CONN_OPEN:
		return -EISCONN;
	default:
		return c->error ? -c->error : -EINVAL;
	}
}

static int wait_connected(struct mtcp_context *x, struct conn *c)
{
	uint64_t until = until_of(c->opts, false);
	int err;

	while (c->state == CONN_CONNECTING) {
		ctx_progress(x);
		if (c->state != CONN_CONNECTING)
			break;
		err = wait_more(x, until);
		if (err)
			return err == -EAGAIN ? -EINPROGRESS : err;
	}
	if (c->state != CONN_DEAD)
		return 0;
	c->so_error = 0;
	return -c->error;
}

static int start_connect(struct mtcp_context *x, struct slot *s,
			 const struct sockaddr *addr, socklen_t addrlen)
{
	struct conn *c = conn_at(&x->conns, s->obj);
	uint8_t remote[16];
	uint16_t port;
	int err = addr_from(addr, addrlen, remote, &port);

	if (!err)
		err = may_connect(c);
	if (!err && (!port || addr_is_any(remote)))
		err = -EADDRNOTAVAIL;
	if (err)
		return err;
	ctx_check(x);
	if (!x->at)
		return -ENETDOWN;
	memcpy(c->remote, remote, 16);
	c->remote_port = port;
	pick_source(x, c);
	/* A bound port may lead to another engine, and data must not be lost
	 * on the way there. */
	if (c->opts && c->opts->fastopen_connect &&
	    !(c->flags & CONN_BOUND && c->local_port)) {
		c->engine = (uint8_t)x->home;
		c->opts->deferred = true;
		stock_start(x, x->home);
		ctx_publish(x);
		return 0;
	}
	connect_send(x, s->obj, engine_of(x, c));
	ctx_publish(x);
	return s->flags & SLOT_BLOCK ? wait_connected(x, c) : -EINPROGRESS;
}

MTCP_PUBLIC int mtcp_connect(mctx_t mctx, int sockid,
			     const struct sockaddr *addr, socklen_t addrlen)
{
	struct mtcp_context *x = ctx_enter(mctx);
	int err;

	if (!x || !ctx_conn(x, sockid))
		return -1;
	err = start_connect(x, &x->ids.slot[sockid], addr, addrlen);
	if (!err)
		return 0;
	errno = -err;
	return -1;
}

MTCP_PUBLIC ssize_t mtcp_connect_write(mctx_t mctx, int sockid,
				       const struct sockaddr *addr,
				       socklen_t addrlen, const char *buf,
				       size_t len)
{
	const int on = 1;

	if (mtcp_setsockopt(mctx, sockid, IPPROTO_TCP, TCP_FASTOPEN_CONNECT,
			    &on, sizeof(on)) ||
	    (mtcp_connect(mctx, sockid, addr, addrlen) && errno != EINPROGRESS))
		return -1;
	return mtcp_write(mctx, sockid, buf, len);
}

/* @daddr and @dport say nothing that connect does not say again: the engine
 * picks ports by the whole tuple. */
MTCP_PUBLIC int mtcp_init_rss(mctx_t mctx, in_addr_t saddr_base, int num_addr,
			      in_addr_t daddr, in_addr_t dport)
{
	struct mtcp_context *x = ctx_enter(mctx);

	(void)daddr;
	(void)dport;
	if (!x)
		return -1;
	if (num_addr < 1) {
		errno = EINVAL;
		return -1;
	}
	x->rss_base = ntohl(saddr_base);
	x->rss_count = saddr_base == INADDR_ANY ? 0 : (uint32_t)num_addr;
	x->rss_next = 0;
	return 0;
}
