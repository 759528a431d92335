#include "libclient/client.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/time.h>

#include "shm/info.h"

/*
 * Socket options.  Integers that TCP knows go to the engine by CMD_OPTION, at
 * once or before the connect; what is only the library's stays here.  A
 * listener's go there by the control socket (sockinfo.c) and pass to what it
 * accepts, as with kernel sockets.
 */

#define INT_DEFAULT_BUF	(256 * 1024)
#define MSS_LEAST	88	/* TCP_MAXSEG, as Linux */

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
	{ IPPROTO_TCP, TCP_MAXSEG, CMD_OPT_MAXSEG, 0, 32767, 536, false },
	{ IPPROTO_TCP, TCP_NOTSENT_LOWAT, CMD_OPT_NOTSENT_LOWAT, INT32_MIN,
	  INT32_MAX, 0, false },
	{ IPPROTO_TCP, TCP_WINDOW_CLAMP, CMD_OPT_WINDOW_CLAMP, 0, INT32_MAX, 0,
	  false },
	{ IPPROTO_TCP, TCP_SYNCNT, CMD_OPT_SYNCNT, 1, 127, 6, false },
	{ IPPROTO_TCP, TCP_LINGER2, CMD_OPT_LINGER2_S, INT32_MIN, INT32_MAX,
	  60, false },
	{ IPPROTO_TCP, TCP_DEFER_ACCEPT, CMD_OPT_DEFER_ACCEPT_S, INT32_MIN,
	  INT32_MAX, 0, false },
	{ IPPROTO_TCP, TCP_FASTOPEN, CMD_OPT_FASTOPEN, 0, UINT16_MAX, 0,
	  false },
	{ IPPROTO_IP, IP_TOS, CMD_OPT_TOS, 0, 255, 0, false },
	{ IPPROTO_IP, IP_TTL, CMD_OPT_TTL, 1, 255, 64, false },
	{ IPPROTO_IP, IP_MTU_DISCOVER, CMD_OPT_MTU_DISCOVER, IP_PMTUDISC_DONT,
	  IP_PMTUDISC_OMIT, IP_PMTUDISC_WANT, false },
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
	struct listener *listener;	/* NULL: a connection */
	struct sock_opts **opts;
};

static int find_target(struct mtcp_context *x, int sockid, struct target *t)
{
	struct slot *s = sockid_slot(&x->ids, sockid);

	if (!s)
		return -EBADF;
	if (s->type == SLOT_STREAM) {
		t->conn = conn_at(&x->conns, s->obj);
		t->listener = NULL;
		t->opts = &t->conn->opts;
		return 0;
	}
	if (s->type != SLOT_LISTENER)
		return -ENOTSOCK;
	t->conn = NULL;
	t->listener = x->listeners[s->obj];
	t->opts = &t->listener->opts;
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

void opts_early(struct mtcp_context *x, uint32_t index, uint32_t e)
{
	const struct conn *c = conn_at(&x->conns, index);

	for (uint32_t i = 1; c->opts && i < CMD_OPTS; i++) {
		struct cmd *cmd;

		if (!(c->opts->set & 1u << i))
			continue;
		cmd = ctx_cmd(x, e, CMD_OPTION);
		cmd->sock = HANDLE_NONE;
		cmd->cookie = conn_cookie(&x->conns, index);
		cmd->option.name = i;
		cmd->option.value = c->opts->value[i];
	}
}

bool opts_deferred(const struct conn *c)
{
	return c->state == CONN_NEW && c->opts && c->opts->deferred;
}

bool opts_readable(const struct conn *c)
{
	uint32_t least = c->opts && c->opts->rcvlowat ? c->opts->rcvlowat : 1;

	return c->rx_bytes >= least;
}

static int set_value(struct mtcp_context *x, const struct target *t,
		     enum cmd_option name, int32_t value)
{
	struct sock_opts *o = need(t);

	if (!o)
		return -ENOMEM;
	o->value[name] = value;
	o->set |= 1u << name;
	if (t->listener)
		return listener_option(x, t->listener, name, value);
	if (t->conn->state == CONN_OPEN)
		send_option(x, t->conn, name, value);
	return 0;
}

static int set_integer(struct mtcp_context *x, const struct target *t,
		       const struct integer *i, int value)
{
	if (i->boolean)
		value = value != 0;
	if (i->option == CMD_OPT_TTL && value == -1)
		value = i->standard;
	if (i->option == CMD_OPT_MAXSEG && value && value < MSS_LEAST)
		return -EINVAL;
	if (i->option == CMD_OPT_DEFER_ACCEPT_S)
		value = value < 0 ? 0 : value > 255 ? 255 : value;
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

/* Connections and listeners by this port of mtcpd's alone; "": by any. */
static int set_device(struct mtcp_context *x, const struct target *t,
		      const void *val, socklen_t len)
{
	struct sock_opts *o = need(t);
	char name[sizeof(o->device)] = "";
	int port = -1;

	if (!o)
		return -ENOMEM;
	if (t->conn && t->conn->state != CONN_NEW)
		return -EINVAL;		/* its way is chosen */
	memcpy(name, val, len < sizeof(name) ? len : sizeof(name) - 1);
	if (name[0])
		port = port_number(x, name);
	if (name[0] && port < 0)
		return port;
	strcpy(o->device, name);
	return set_value(x, t, CMD_OPT_PORT, port + 1);
}

static int set_lowat(const struct target *t, int value)
{
	struct sock_opts *o = need(t);

	if (!o)
		return -ENOMEM;
	o->rcvlowat = value > 0 ? (uint32_t)value : value < 0 ? INT32_MAX : 1;
	return 0;
}

static int set_fastopen_connect(const struct target *t, int value)
{
	struct sock_opts *o = need(t);

	if (!o)
		return -ENOMEM;
	if (value < 0 || value > 1 || !t->conn || t->conn->state != CONN_NEW)
		return -EINVAL;
	o->fastopen_connect = value;
	return 0;
}

/* Of an int, or of the one byte that IP options may be. */
static int take_int(int level, const void *val, socklen_t len, int *value)
{
	uint8_t byte;

	if (len >= sizeof(*value)) {
		memcpy(value, val, sizeof(*value));
		return 0;
	}
	if (level != IPPROTO_IP || len < 1)
		return -EINVAL;
	memcpy(&byte, val, 1);
	*value = byte;
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
	if (level == SOL_SOCKET && name == SO_BINDTODEVICE)
		return set_device(x, t, val, len);
	if (take_int(level, val, len, &value))
		return -EINVAL;
	if (level == SOL_SOCKET && name == SO_RCVLOWAT)
		return set_lowat(t, value);
	if (level == IPPROTO_TCP && name == TCP_FASTOPEN_CONNECT)
		return set_fastopen_connect(t, value);
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

static int get_congestion(struct mtcp_context *x, const struct target *t,
			  void *val, socklen_t *len)
{
	const struct sock_opts *o = *t->opts;
	char name[CC_NAME_BYTES] = "";
	uint32_t cc;

	if (o && o->set & 1u << CMD_OPT_CONGESTION)
		cc = (uint32_t)o->value[CMD_OPT_CONGESTION];
	else
		cc = info_congestion(x, t->conn);
	if (cc < CMD_CCS && cc_names[cc])
		strcpy(name, cc_names[cc]);
	return give(val, len, name, sizeof(name));
}

/* SOL_SOCKET's that are an int and not the engine's; -ENOPROTOOPT. */
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
	case SO_RCVLOWAT:
		return o && o->rcvlowat ? (int)o->rcvlowat : 1;
	case SO_SNDLOWAT:
		return 1;
	default:
		return -ENOPROTOOPT;
	}
}

static int get_device(const struct sock_opts *o, void *val, socklen_t *len)
{
	const char *name = o ? o->device : "";

	return give(val, len, name, name[0] ? strlen(name) + 1 : 0);
}

/* What only the daemon knows; -ENOSYS: not one of these. */
static int get_asked(struct mtcp_context *x, const struct target *t, int level,
		     int name, void *val, socklen_t *len)
{
	bool mss = level == IPPROTO_TCP && name == TCP_MAXSEG;
	bool mtu = level == IPPROTO_IP && name == IP_MTU;
	struct sock_info info;
	int value, err = 0;

	if (!mss && !mtu && (level != IPPROTO_TCP || name != TCP_INFO))
		return -ENOSYS;
	if (mss && (!t->conn || t->conn->state != CONN_OPEN))
		return -ENOSYS;		/* as it was set */
	if (mtu && (!t->conn || t->conn->state != CONN_OPEN))
		return -ENOTCONN;
	if (t->conn)
		err = info_get(x, t->conn, &info);
	else
		info_listener(t->listener, &info);
	if (err)
		return err;
	value = (int)(mss ? info.snd_mss : info.pmtu);
	return mss || mtu ? give(val, len, &value, sizeof(value)) :
			    give(val, len, &info, sizeof(info));
}

static int get_option(struct mtcp_context *x, const struct target *t, int level,
		      int name, void *val, socklen_t *len)
{
	const struct integer *i = find_integer(level, name);
	const struct sock_opts *o = *t->opts;
	int value = get_asked(x, t, level, name, val, len);

	if (value != -ENOSYS)
		return value;
	if (level == SOL_SOCKET && name == SO_BINDTODEVICE)
		return get_device(o, val, len);
	if (level == SOL_SOCKET && name == SO_LINGER)
		return get_linger(o, val, len);
	if (level == SOL_SOCKET && (name == SO_RCVTIMEO || name == SO_SNDTIMEO))
		return get_timeout(o, name, val, len);
	if (level == IPPROTO_TCP && name == TCP_CONGESTION)
		return get_congestion(x, t, val, len);
	if (level == IPPROTO_TCP && name == TCP_FASTOPEN_CONNECT)
		value = o && o->fastopen_connect;
	else if (i)
		value = o && o->set & 1u << i->option ? o->value[i->option] :
							i->standard;
	else
		value = level == SOL_SOCKET ? get_socket_int(t, name) :
						      -ENOPROTOOPT;
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
		err = optval && optlen ? get_option(x, &t, level, optname,
						    optval, optlen) : -EFAULT;
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
		conn_use(x, s->obj);
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
