#include "libclient/client.h"

#include <errno.h>

#define FETCH_US	1000000u	/* an engine answers within a turn */

/*
 * A socket that several processes hold is used by one at a time: the engine
 * moves it, with what is unread, to whoever asks last (CMD_TAKE).  Its other
 * holders get EVENT_GONE and ask again when they use it again.
 */
void conn_ask(struct mtcp_context *x, uint32_t index)
{
	struct conn *c = conn_at(&x->conns, index);
	struct cmd *cmd;

	if (c->state != CONN_AWAY)
		return;
	cmd = ctx_cmd(x, c->engine, CMD_TAKE);
	cmd->sock = c->sock;
	cmd->cookie = conn_cookie(&x->conns, index);
	c->state = CONN_TAKING;
	c->flags &= CONN_BOUND | CONN_ABORT;
	stock_start(x, c->engine);
	ctx_publish(x);
}

void conn_fetch(struct mtcp_context *x, uint32_t index)
{
	struct conn *c = conn_at(&x->conns, index);
	uint64_t until = now_us() + FETCH_US;

	ctx_progress(x);		/* has another taken it meanwhile? */
	if (c->state != CONN_AWAY)
		return;
	conn_ask(x, index);
	while (c->state == CONN_TAKING) {
		int err;

		ctx_progress(x);
		if (c->state != CONN_TAKING)
			break;
		err = ctx_sleep(x, until);
		if (err == -ETIMEDOUT)
			break;
	}
	ctx_progress(x);		/* its unread data comes right behind */
}
