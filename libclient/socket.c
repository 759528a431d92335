#include "libclient/client.h"

#include <errno.h>
#include <string.h>

static int new_socket(struct mtcp_context *x)
{
	uint32_t index;
	struct conn *c = conn_new(&x->conns, CONN_NEW, &index);
	int id;

	if (!c)
		return -ENOMEM;
	id = sockid_alloc(&x->ids, SLOT_STREAM, index);
	if (id < 0) {
		conn_free(&x->conns, index);
		return id;
	}
	c->sockid = id;
	addr_from_v4(c->local, INADDR_ANY);
	addr_from_v4(c->remote, INADDR_ANY);
	return id;
}

/* mTCP takes exactly AF_INET and SOCK_STREAM. */
static int check_kind(int domain, int type, int protocol)
{
	if (domain != AF_INET)
		return -EAFNOSUPPORT;
	if (type == SOCK_DGRAM || type == SOCK_RAW)
		return -ESOCKTNOSUPPORT;
	if (type != SOCK_STREAM)
		return -EINVAL;
	if (protocol && protocol != IPPROTO_TCP)
		return -EPROTONOSUPPORT;
	return 0;
}

MTCP_PUBLIC int mtcp_socket(mctx_t mctx, int domain, int type, int protocol)
{
	struct mtcp_context *x = ctx_enter(mctx);
	int id;

	if (!x)
		return -1;
	id = check_kind(domain, type, protocol);
	if (!id)
		id = new_socket(x);
	if (id >= 0)
		return id;
	errno = -id;
	return -1;
}

MTCP_PUBLIC int mtcp_bind(mctx_t mctx, int sockid, const struct sockaddr *addr,
			  socklen_t addrlen)
{
	struct mtcp_context *x = ctx_enter(mctx);
	struct conn *c = x ? ctx_conn(x, sockid) : NULL;
	uint8_t local[16];
	uint16_t port;
	int err;

	if (!c)
		return -1;
	err = addr_from(addr, addrlen, local, &port);
	if (!err && (c->state != CONN_NEW || c->flags & CONN_BOUND))
		err = -EINVAL;
	if (!err)
		err = bind_allowed(x, local, port);
	if (err) {
		errno = -err;
		return -1;
	}
	memcpy(c->local, local, 16);
	c->local_port = port;
	c->flags |= CONN_BOUND;
	return 0;
}

MTCP_PUBLIC int mtcp_getsockname(mctx_t mctx, int sock, struct sockaddr *addr,
				 socklen_t *addrlen)
{
	struct mtcp_context *x = ctx_enter(mctx);
	struct slot *s;
	struct conn *c;
	int err;

	if (!x)
		return -1;
	s = sockid_slot(&x->ids, sock);
	if (s && s->type == SLOT_LISTENER) {
		const struct listener *l = x->listeners[s->obj];

		err = addr_to(l->addr, l->port, addr, addrlen);
	} else {
		c = ctx_conn(x, sock);
		if (!c)
			return -1;
		err = addr_to(c->local, c->local_port, addr, addrlen);
	}
	if (!err)
		return 0;
	errno = -err;
	return -1;
}

MTCP_PUBLIC int mtcp_getpeername(mctx_t mctx, int sockid, struct sockaddr *addr,
				 socklen_t *addrlen)
{
	struct mtcp_context *x = ctx_enter(mctx);
	struct slot *s;
	struct conn *c;
	int err;

	if (!x)
		return -1;
	s = sockid_slot(&x->ids, sockid);
	if (s && s->type == SLOT_LISTENER) {
		errno = ENOTCONN;
		return -1;
	}
	c = ctx_conn(x, sockid);
	if (!c)
		return -1;
	err = c->state == CONN_NEW || c->state == CONN_CONNECTING ? -ENOTCONN :
		addr_to(c->remote, c->remote_port, addr, addrlen);
	if (!err)
		return 0;
	errno = -err;
	return -1;
}
