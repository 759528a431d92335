#include "libclient/client.h"

#include <errno.h>
#include <string.h>

#define TAKE_US		1000000u	/* an engine answers within a turn */

/*
 * A connection goes from one context of a process to another: the new one takes
 * it (CMD_TAKE) after the old one has published what it wrote and read, and the
 * engine announces there what is unread, and the end if it came.
 *
 *	OPEN --> SHARED, closed --EVENT_GONE--> free		in the old context
 *	         TAKING --EVENT_TAKEN--> OPEN			in the new one
 *
 * Threads   Of both contexts, and nobody else's meanwhile.
 */

/* Open, this process's alone, and nothing of it known only here. */
static bool can_move(const struct mtcp_context *x, const struct conn *c,
		     const struct mtcp_context *to)
{
	return x->at && x->at == to->at && x != to && !conn_shared(c) &&
	       c->state == CONN_OPEN && c->sock != HANDLE_NONE &&
	       !(c->flags & CONN_SHUT_RD);
}

/* What the engine does not tell of a socket that is taken. */
static void carry(struct conn *from, struct conn *c)
{
	c->opts = from->opts;
	from->opts = NULL;
	c->sock = from->sock;
	c->engine = from->engine;
	c->flags = from->flags & (CONN_BOUND | CONN_ABORT);
	memcpy(c->local, from->local, 16);
	memcpy(c->remote, from->remote, 16);
	c->local_port = from->local_port;
	c->remote_port = from->remote_port;
}

static void await_taken(struct mtcp_context *x, const struct conn *c)
{
	uint64_t until = now_us() + TAKE_US;

	ctx_progress(x);
	while (c->state == CONN_TAKING && ctx_sleep(x, until) != -ETIMEDOUT)
		ctx_progress(x);
	ctx_progress(x);		/* its unread data comes right behind */
}

int conn_move(struct mtcp_context *x, int id, struct mtcp_context *to)
{
	struct conn *from, *c;
	struct mtcp_ticket ticket;
	struct cmd *cmd;
	uint32_t index;
	int new;

	ctx_progress(x);
	from = ctx_conn(x, id);
	if (!from || !can_move(x, from, to))
		return -EBUSY;
	c = conn_new(&to->conns, CONN_TAKING, &index);
	if (!c)
		return -ENOMEM;
	new = sockid_alloc(&to->ids, SLOT_STREAM, index);
	if (new < 0 || mtcp_share(x, id, 0, &ticket)) {
		if (new >= 0)
			sockid_free(&to->ids, (uint32_t)new);
		conn_free(&to->conns, index);
		return new < 0 ? new : -errno;
	}
	carry(from, c);
	c->sockid = new;
	mtcp_close(x, id);
	cmd = ctx_cmd(to, c->engine, CMD_TAKE);
	cmd->sock = c->sock;
	cmd->cookie = conn_cookie(&to->conns, index);
	stock_start(to, c->engine);
	ctx_publish(to);
	await_taken(to, c);
	return new;
}
