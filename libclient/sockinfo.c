#include "libclient/client.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>

#include "shm/info.h"

/*
 * What has to be asked of the daemon about sockets, over the control socket:
 * TCP_INFO and what is read out of it, options of listeners, names of ports,
 * what may be bound to;
 * and close() that waits for the peer (SO_LINGER), which looks at TCP_INFO.
 */

#define LINGER_LOOK_US	2000u
#define MSS_DEFAULT	536

enum {				/* sock_info.state, Linux's numbers */
	ST_SYN_SENT = 2, ST_FIN_WAIT_2 = 5, ST_TIME_WAIT = 6, ST_CLOSED = 7,
	ST_LISTEN = 10
};

static int ask(struct mtcp_context *x, struct ctl_request *req,
	       struct ctl_reply *reply)
{
	int err;

	if (!x->at)
		return -ENETDOWN;
	ctx_publish(x);			/* what was said before counts */
	pthread_mutex_lock(&the_client.lock);
	err = attach_request(x->at, req, reply, NULL, 0);
	pthread_mutex_unlock(&the_client.lock);
	return err < 0 ? err : 0;
}

/* ---- TCP_INFO ---- */

int info_get(struct mtcp_context *x, const struct conn *c,
	     struct sock_info *out)
{
	struct ctl_request req = { .type = CTL_INFO, .info.sock = c->sock };
	struct ctl_reply reply;
	int err;

	memset(out, 0, sizeof(*out));
	out->state = c->state == CONN_CONNECTING ? ST_SYN_SENT : ST_CLOSED;
	out->snd_mss = out->rcv_mss = MSS_DEFAULT;
	if (c->state != CONN_OPEN || c->sock == HANDLE_NONE)
		return 0;
	err = ask(x, &req, &reply);
	if (err == -ENOENT)
		return 0;		/* it ended meanwhile */
	if (!err)
		*out = reply.info;
	return err;
}

uint32_t info_congestion(struct mtcp_context *x, const struct conn *c)
{
	struct ctl_request req = { .type = CTL_INFO };	/* of a new one */
	struct ctl_reply reply;

	if (c && c->state == CONN_OPEN)
		req.info.sock = c->sock;
	if (ask(x, &req, &reply) || !reply.known.cc)
		return CMD_CC_CUBIC;
	return reply.known.cc;
}

void info_listener(const struct listener *l, struct sock_info *out)
{
	memset(out, 0, sizeof(*out));
	out->state = ST_LISTEN;
	out->unacked = l->queued;
	out->sacked = l->backlog;
}

/* ---- listeners ---- */

int listener_option(struct mtcp_context *x, const struct listener *l,
		    enum cmd_option name, int32_t value)
{
	struct ctl_request req = { .type = CTL_OPTION, .option = {
		.listener = l->id, .context = x->id, .name = name,
		.value = value } };
	struct ctl_reply reply;

	return l->id ? ask(x, &req, &reply) : 0;
}

int listener_options(struct mtcp_context *x, const struct listener *l)
{
	int err = 0;

	for (uint32_t i = 1; l->opts && i < CMD_OPTS && !err; i++)
		if (l->opts->set & 1u << i)
			err = listener_option(x, l, (enum cmd_option)i,
					      l->opts->value[i]);
	return err;
}

/* ---- ports ---- */

int port_number(struct mtcp_context *x, const char *name)
{
	struct ctl_request req = { .type = CTL_PORT };
	struct ctl_reply reply;
	int err;

	snprintf(req.port.name, sizeof(req.port.name), "%s", name);
	err = ask(x, &req, &reply);
	return err ? err : (int)reply.port.port;
}

/* ---- bind ---- */

/* A daemon that went away decides nothing: listen() and connect() will say. */
int bind_allowed(struct mtcp_context *x, const uint8_t addr[16], uint16_t port)
{
	struct ctl_request req = { .type = CTL_BIND, .bind.port = port };
	struct ctl_reply reply;

	if (!x->at || !(x->at->flags & CTL_HELLO_ASK_BIND))
		return 0;
	memcpy(req.bind.addr, addr, sizeof(req.bind.addr));
	return ask(x, &req, &reply) == -EACCES ? -EACCES : 0;
}

/* ---- SO_LINGER ---- */

static bool lingering(const struct sock_info *i)
{
	return i->state != ST_FIN_WAIT_2 && i->state != ST_TIME_WAIT &&
	       i->state != ST_CLOSED;
}

void conn_linger(struct mtcp_context *x, uint32_t index)
{
	struct conn *c = conn_at(&x->conns, index);
	int32_t seconds = c->opts && c->opts->set & 1u << CMD_OPT_LINGER_S ?
			  c->opts->value[CMD_OPT_LINGER_S] : 0;
	uint64_t until = now_us() + (uint64_t)seconds * 1000000u, next;
	struct sock_info info;
	struct cmd *cmd;

	/* Unread data makes it a reset: nothing to wait for. */
	if (seconds <= 0 || c->state != CONN_OPEN || c->rx_bytes)
		return;
	read_flush(x, c);
	if (!(c->flags & CONN_SHUT_WR)) {
		c->flags |= CONN_SHUT_WR;
		cmd = ctx_cmd(x, c->engine, CMD_SHUTDOWN);
		cmd->sock = c->sock;
		cmd->cookie = conn_cookie(&x->conns, index);
		cmd->flags = CMD_F_WRITE;
	}
	while (c->state == CONN_OPEN && now_us() < until &&
	       info_get(x, c, &info) == 0 && lingering(&info)) {
		next = now_us() + LINGER_LOOK_US;
		if (wait_more(x, next < until ? next : until) == -EINTR)
			return;
		ctx_progress(x);
	}
}
