#include "libclient/client.h"

#include <errno.h>

#define FETCH_US	1000000u	/* an engine answers within a turn */
#define LATE_US		10000u
#define LATE_TRIES	100		/* then it is as if it were not here */

static struct cmd *take_cmd(struct mtcp_context *x, uint32_t index)
{
	struct conn *c = conn_at(&x->conns, index);
	struct cmd *cmd = ctx_cmd(x, c->engine, CMD_TAKE);

	cmd->sock = c->sock;
	cmd->cookie = conn_cookie(&x->conns, index);
	stock_start(x, c->engine);
	return cmd;
}

void conn_ask(struct mtcp_context *x, uint32_t index)
{
	struct conn *c = conn_at(&x->conns, index);

	if (c->state != CONN_AWAY)
		return;
	take_cmd(x, index);
	c->state = CONN_TAKING;
	c->flags &= CONN_BOUND | CONN_ABORT;
	c->waits = 0;
	ctx_publish(x);
}

void conn_fetch(struct mtcp_context *x, uint32_t index)
{
	struct conn *c = conn_at(&x->conns, index);
	uint64_t until = 0;

	ctx_progress(x);		/* has another taken it meanwhile? */
	while (c->state == CONN_AWAY || c->state == CONN_TAKING) {
		conn_ask(x, index);
		if (!until)
			until = now_us() + FETCH_US;
		if (ctx_sleep(x, until) == -ETIMEDOUT)
			break;
		ctx_progress(x);
	}
}

/* Who hears of edges alone is not told again of the end of the stream, nor of
 * room that it had. */
static uint8_t wishes(const struct conn *c, uint32_t bits)
{
	bool edge = bits & (uint32_t)MTCP_EPOLLET;
	uint8_t wish = 0;

	if (bits & (MTCP_EPOLLIN | MTCP_EPOLLRDNORM | MTCP_EPOLLRDHUP) &&
	    !(edge && c->flags & CONN_FIN))
		wish |= CONN_WAITS_IN;
	if (bits & (MTCP_EPOLLOUT | MTCP_EPOLLWRNORM) &&
	    (!edge || c->waits & CONN_WAITS_ROOM))
		wish |= CONN_WAITS_OUT;
	return wish;
}

void conn_want(struct mtcp_context *x, uint32_t index, uint32_t bits)
{
	struct conn *c = conn_at(&x->conns, index);
	uint8_t wish;

	if (c->waits & CONN_WAITS_USE && conn_begin_shared(x, index))
		conn_end_shared(x);
	if (c->state != CONN_AWAY || !conn_shared(c) || !x->at ||
	    !(x->at->flags & CTL_HELLO_SLEEPERS))
		return;
	wish = (uint8_t)(wishes(c, bits) & ~c->waits);
	if (!wish)
		return;
	c->waits |= wish;
	take_cmd(x, index)->flags = c->waits & (CONN_WAITS_IN | CONN_WAITS_OUT);
	ctx_publish(x);
}

bool conn_begin_shared(struct mtcp_context *x, uint32_t index)
{
	struct conn *c = conn_at(&x->conns, index);

	for (int i = 0; i < LATE_TRIES && x->at; i++) {
		bool late;

		c->waits &= (uint8_t)~CONN_WAITS_USE;
		use_begin(x->asleep);
		late = use_late(x->asleep, c->engine);
		events_take(x, c->engine, UINT32_MAX);	/* is it gone? */
		if (!late && c->state != CONN_AWAY && c->state != CONN_TAKING)
			return true;
		use_end(x->asleep);
		if (!late)
			return false;
		ctx_sleep(x, now_us() + LATE_US);
	}
	return !x->at;			/* nor is anybody else's */
}

void conn_end_shared(struct mtcp_context *x)
{
	ctx_publish(x);
	if (x->at)
		use_end(x->asleep);
}
