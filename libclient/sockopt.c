#include "libclient/client.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/time.h>

/*
 * Socket options.  Integers that TCP knows go to the engine by CMD_OPTION, at
 * once or when there is a handle; what is only the library's stays here.  A
 * listener's options pass to what it accepts, as with kernel sockets.
 */

#define INT_DEFAULT_BUF	(256 * 1024)

/* Options that are one integer to the engine. */
struct integer {
	int level, name;
	enum cmd_option option;
	int least, most, standard;
	bool boolean;
};

static const struct integer integers[] = {
	{ IPPROTO_TCP, TCP_NODELAY, CMD_OPT_NODELAY, 0, 1, 0, true },
	{ IPPROTO_TCP, TCP_CORK, CMD_OPT_CORK, 0, 1, 0, true },
	{ IPPROTO_TCP, TCP_QUICKACK, CMD_OPT_QUICKACK, 0, 1, 0, true },
	{ SOL_SOCKET, SO_KEEPALIVE, CMD_OPT_KEEPALIVE, 0, 1, 0, true },
	{ IPPROTO_TCP, TCP_KEEPIDLE, CMD_OPT_KEEPIDLE_S, 1, 32767, 7200,
	  false },
	{ IPPROTO_TCP, TCP_KEEPINTVL, CMD_OPT_KEEPINTVL_S, 1, 32767, 75,
	  false },
	{ IPPROTO_TCP, TCP_KEEPCNT, CMD_OPT_KEEPCNT, 1, 127, 9, false },
	{ IPPROTO_TCP, TCP_USER_TIMEOUT, CMD_OPT_USER_TIMEOUT_MS, 0, INT32_MAX,
	  0, false },
	{ SOL_SOCKET, SO_SNDBUF, CMD_OPT_SNDBUF, 1, INT32_MAX, INT_DEFAULT_BUF,
	  false },
	{ SOL_SOCKET, SO_RCVBUF, CMD_OPT_RCVBUF, 1, INT32_MAX, INT_DEFAULT_BUF,
	  false },
	{ SOL_SOCKET, SO_MAX_PACING_RATE, CMD_OPT_MAX_PACING, INT32_MIN,
	  INT32_MAX, -1, false },
};

static const struct integer *find_integer(int level, int name)
{
	for (size_t i = 0; i < sizeof(integers) / sizeof(integers[0]); i++)
		if (integers[i].level == level && integers[i].name == name)
			return &integers[i];
	return NULL;
}

/* Whose options: a connection's or a listener's. */
struct target {
	struct conn *conn;		/* NULL: a listener */
	struct sock_opts **opts;
};

static int find_target(struct mtcp_context *x, int sockid, struct target *t)
{
	struct slot *s = sockid_slot(&x->ids, sockid);

	if (!s)
		return -EBADF;
	if (s->type == SLOT_STREAM) {
		t->conn = conn_at(&x->conns, s->obj);
		t->opts = &t->conn->opts;
		return 0;
	}
	if (s->type != SLOT_LISTENER)
		return -ENOTSOCK;
	t->conn = NULL;
	t->opts = &x->listeners[s->obj]->opts;
	return 0;
}

struct sock_opts *opts_copy(const struct sock_opts *o)
{
	struct sock_opts *copy = malloc(sizeof(*copy));

	if (copy)
		*copy = *o;
	return copy;
}

static struct sock_opts *need(const struct target *t)
{
	if (!*t->opts)
		*t->opts = calloc(1, sizeof(**t->opts));
	return *t->opts;
}

static void send_option(struct mtcp_context *x, const struct conn *c,
			enum cmd_option name, int32_t value)
{
	struct cmd *cmd = ctx_cmd(x, c->engine, CMD_OPTION);

	cmd->sock = c->sock;
	cmd->option.name = name;
	cmd->option.value = value;
}

void opts_apply(struct mtcp_context *x, struct conn *c)
{
	if (!c->opts || c->state != CONN_OPEN || c->sock == HANDLE_NONE)
		return;
	for (uint32_t i = 1; i < CMD_OPTS; i++)
		if (c->opts->set & 1u << i)
			send_option(x, c, (enum cmd_option)i,
				    c->opts->value[i]);
}

static int set_value(struct mtcp_context *x, const struct target *t,
		     enum cmd_option name, int32_t value)
{
	struct sock_opts *o = need(t);

	if (!o)
		return -ENOMEM;
	o->value[name] = value;
	o->set |= 1u << name;
	if (t->conn && t->conn->state == CONN_OPEN)
		send_option(x, t->conn, name, value);
	return 0;
}

static int set_integer(struct mtcp_context *x, const struct target *t,
		       const struct integer *i, int value)
{
	if (i->boolean)
		value = value != 0;
	if (value < i->least || value > i->most)
		return -EINVAL;
	return set_value(x, t, i->option, value);
}

static int set_linger(struct mtcp_context *x, const struct target *t,
		      const void *val, socklen_t len)
{
	struct linger l;

	if (len < sizeof(l))
		return -EINVAL;
	memcpy(&l, val, sizeof(l));
	if (l.l_linger < 0)
		return -EINVAL;
	if (t->conn && l.l_onoff && !l.l_linger)
		t->conn->flags |= CONN_ABORT;
	else if (t->conn)
		t->conn->flags &= (uint8_t)~CONN_ABORT;
	return set_value(x, t, CMD_OPT_LINGER_S, l.l_onoff ? l.l_linger : -1);
}

static int set_timeout(const struct target *t, int name, const void *val,
		       socklen_t len)
{
	struct sock_opts *o = need(t);
	struct timeval tv;
	uint64_t ms;

	if (!o)
		return -ENOMEM;
	if (len < sizeof(tv))
		return -EINVAL;
	memcpy(&tv, val, sizeof(tv));
	if (tv.tv_sec < 0 || tv.tv_usec < 0 || tv.tv_usec >= 1000000)
		return -EDOM;
	ms = (uint64_t)tv.tv_sec * 1000u + (uint64_t)(tv.tv_usec + 999) / 1000u;
	if (ms > UINT32_MAX)
		ms = 0;			/* 49 days and more: none */
	if (name == SO_RCVTIMEO)
		o->rcvtimeo_ms = (uint32_t)ms;
	else
		o->sndtimeo_ms = (uint32_t)ms;
	return 0;
}

/* By the daemon's numbers; CMD_CC_DEFAULT is whatever its file says. */
static const char *const cc_names[CMD_CCS] = {
	[CMD_CC_RENO] = "reno", [CMD_CC_CUBIC] = "cubic",
	[CMD_CC_DCTCP] = "dctcp", [CMD_CC_BBR] = "bbr",
};
#define CC_NAME_BYTES	16	/* as the kernel's TCP_CA_NAME_MAX */

/* A name, with or without its final 0. */
static int set_congestion(struct mtcp_context *x, const struct target *t,
			  const void *val, socklen_t len)
{
	char name[CC_NAME_BYTES] = "";

	if (len < 1)
		return -EINVAL;
	memcpy(name, val, len < CC_NAME_BYTES ? len : CC_NAME_BYTES - 1);
	for (int i = 0; i < CMD_CCS; i++)
		if (cc_names[i] && !strcmp(name, cc_names[i]))
			return set_value(x, t, CMD_OPT_CONGESTION, i);
	return -ENOENT;
}

static int set_reuse(const struct target *t, int name, int value)
{
	struct sock_opts *o = need(t);

	if (!o)
		return -ENOMEM;
	if (name == SO_REUSEADDR)
		o->reuseaddr = value != 0;
	else
		o->reuseport = value != 0;
	return 0;
}

static int set_option(struct mtcp_context *x, const struct target *t, int level,
		      int name, const void *val, socklen_t len)
{
	const struct integer *i = find_integer(level, name);
	uint64_t wide;
	int value;

	if (!val)
		return -EFAULT;
	if (level == SOL_SOCKET && name == SO_LINGER)
		return set_linger(x, t, val, len);
	if (level == SOL_SOCKET && (name == SO_RCVTIMEO || name == SO_SNDTIMEO))
		return set_timeout(t, name, val, len);
	if (level == IPPROTO_TCP && name == TCP_CONGESTION)
		return set_congestion(x, t, val, len);
	if (len < sizeof(value))
		return -EINVAL;
	memcpy(&value, val, sizeof(value));
	if (i && i->option == CMD_OPT_MAX_PACING && len >= sizeof(wide)) {
		memcpy(&wide, val, sizeof(wide));
		value = wide < UINT32_MAX ? (int)(uint32_t)wide : -1;
	}
	if (i)
		return set_integer(x, t, i, value);
	if (level == SOL_SOCKET && (name == SO_REUSEADDR || name == SO_REUSEPORT))
		return set_reuse(t, name, value);
	return -ENOPROTOOPT;
}

MTCP_PUBLIC int mtcp_setsockopt(mctx_t mctx, int sockid, int level, int optname,
				const void *optval, socklen_t optlen)
{
	struct mtcp_context *x = ctx_enter(mctx);
	struct target t;
	int err;

	if (!x)
		return -1;
	err = find_target(x, sockid, &t);
	if (!err)
		err = set_option(x, &t, level, optname, optval, optlen);
	ctx_publish(x);
	if (!err)
		return 0;
	errno = -err;
	return -1;
}

/* ---- reading ---- */

static int give(void *val, socklen_t *len, const void *what, size_t bytes)
{
	if (*len < bytes)
		bytes = *len;
	memcpy(val, what, bytes);
	*len = (socklen_t)bytes;
	return 0;
}

/* The pending error, once. */
static int take_error(struct conn *c)
{
	int error;

	if (!c)
		return 0;
	error = c->so_error;
	c->so_error = 0;
	return error;
}

static int get_linger(const struct sock_opts *o, void *val, socklen_t *len)
{
	struct linger l = { 0 };

	if (o && o->set & 1u << CMD_OPT_LINGER_S &&
	    o->value[CMD_OPT_LINGER_S] >= 0) {
		l.l_onoff = 1;
		l.l_linger = o->value[CMD_OPT_LINGER_S];
	}
	return give(val, len, &l, sizeof(l));
}

static int get_timeout(const struct sock_opts *o, int name, void *val,
		       socklen_t *len)
{
	uint32_t ms = !o ? 0 : name == SO_RCVTIMEO ? o->rcvtimeo_ms :
						     o->sndtimeo_ms;
	struct timeval tv = { .tv_sec = ms / 1000,
			      .tv_usec = (suseconds_t)(ms % 1000) * 1000 };

	return give(val, len, &tv, sizeof(tv));
}

static int get_congestion(const struct sock_opts *o, void *val, socklen_t *len)
{
	char name[CC_NAME_BYTES] = "cubic";

	if (o && o->set & 1u << CMD_OPT_CONGESTION)
		strcpy(name, cc_names[o->value[CMD_OPT_CONGESTION]]);
	return give(val, len, name, sizeof(name));
}

/* SOL_SOCKET's that are an int and not the engine's; -ENOSYS: no such. */
static int get_socket_int(const struct target *t, int name)
{
	const struct sock_opts *o = *t->opts;

	switch (name) {
	case SO_ERROR:
		return take_error(t->conn);
	case SO_TYPE:
		return SOCK_STREAM;
	case SO_DOMAIN:
		return AF_INET;
	case SO_PROTOCOL:
		return IPPROTO_TCP;
	case SO_ACCEPTCONN:
		return !t->conn;
	case SO_REUSEADDR:
		return o && o->reuseaddr;
	case SO_REUSEPORT:
		return o && o->reuseport;
	default:
		return -ENOSYS;
	}
}

static int get_option(const struct target *t, int level, int name, void *val,
		      socklen_t *len)
{
	const struct integer *i = find_integer(level, name);
	const struct sock_opts *o = *t->opts;
	int value;

	if (level == SOL_SOCKET && name == SO_LINGER)
		return get_linger(o, val, len);
	if (level == SOL_SOCKET && (name == SO_RCVTIMEO || name == SO_SNDTIMEO))
		return get_timeout(o, name, val, len);
	if (level == IPPROTO_TCP && name == TCP_CONGESTION)
		return get_congestion(o, val, len);
	if (i)
		value = o && o->set & 1u << i->option ? o->value[i->option] :
							i->standard;
	else
		value = level == SOL_SOCKET ? get_socket_int(t, name) : -ENOSYS;
	if (!i && value < 0)
		return value;
	return give(val, len, &value, sizeof(value));
}

MTCP_PUBLIC int mtcp_getsockopt(mctx_t mctx, int sockid, int level, int optname,
				void *optval, socklen_t *optlen)
{
	struct mtcp_context *x = ctx_enter(mctx);
	struct target t;
	int err;

	if (!x)
		return -1;
	ctx_progress(x);
	err = find_target(x, sockid, &t);
	if (!err)
		err = optval && optlen ? get_option(&t, level, optname, optval,
						    optlen) : -EFAULT;
	if (!err)
		return 0;
	errno = -err;
	return -1;
}

/* ---- modes and ioctl ---- */

static int set_block(mctx_t mctx, int sockid, bool block)
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
	if (block)
		s->flags |= SLOT_BLOCK;
	else
		s->flags &= (uint8_t)~SLOT_BLOCK;
	return 0;
}

MTCP_PUBLIC int mtcp_setsock_nonblock(mctx_t mctx, int sockid)
{
	return set_block(mctx, sockid, false);
}

MTCP_PUBLIC int mtcp_setsock_block(mctx_t mctx, int sockid)
{
	return set_block(mctx, sockid, true);
}

static int unread(struct mtcp_context *x, int sockid, int *out)
{
	struct slot *s = sockid_slot(&x->ids, sockid);

	if (!s)
		return -EBADF;
	if (s->type == SLOT_STREAM) {
		ctx_progress(x);
		*out = (int)conn_at(&x->conns, s->obj)->rx_bytes;
		return 0;
	}
	if (s->type != SLOT_PIPE)
		return -EINVAL;
	*out = (int)pipe_unread(x, s);
	return 0;
}

MTCP_PUBLIC int mtcp_socket_ioctl(mctx_t mctx, int sockid, int request,
				  void *argp)
{
	struct mtcp_context *x = ctx_enter(mctx);
	int err = -EINVAL;

	if (!x)
		return -1;
	if (!argp)
		err = -EFAULT;
	else if (request == FIONBIO)
		return set_block(mctx, sockid, *(int *)argp == 0);
	else if (request == FIONREAD)
		err = unread(x, sockid, argp);
	else if (!sockid_slot(&x->ids, sockid))
		err = -EBADF;
	if (!err)
		return 0;
	errno = -err;
	return -1;
}
