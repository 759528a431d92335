#include "libclient/client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* The engine on the context's own core, else one in turn. */
static uint32_t home_engine(const struct mtcp_context *x,
			    const struct attach *at)
{
	for (uint32_t e = 0; e < at->engines; e++)
		if (at->engine_cpu[e] == (uint32_t)x->cpu)
			return e;
	return (uint32_t)x->cpu % at->engines;
}

int join_request(const struct mtcp_context *x, struct attach *at,
		 uint32_t *id, uint64_t *rings, int *wake_rd)
{
	struct ctl_request req = { .type = CTL_CONTEXT,
				   .context = { .home = x->home } };
	struct ctl_reply reply;
	int n;

	pthread_mutex_lock(&the_client.lock);
	n = attach_request(at, &req, &reply, wake_rd, 1);
	pthread_mutex_unlock(&the_client.lock);
	if (n < 0)
		return n;
	if (n != 1)
		return -EPROTO;
	*wake_rd = fd_high(*wake_rd);
	*id = reply.context.context;
	*rings = reply.context.rings_offset;
	if (*rings + context_bytes(at->engines) > at->bytes) {
		close(*wake_rd);
		return -EPROTO;
	}
	return 0;
}

static void attach_rings(struct mtcp_context *x, struct attach *at,
			 uint64_t offset)
{
	uint8_t *rings = at->base + offset;

	x->asleep = (struct wake_shared *)(void *)rings;
	for (uint32_t e = 0; e < at->engines; e++) {
		struct pair *p = &x->pair[e];

		ring_attach(&p->cmd, rings + context_cmd_ring_offset(e),
			    CMD_RING_SLOTS);
		ring_attach(&p->event, rings + context_event_ring_offset(e),
			    EVENT_RING_SLOTS);
		p->engine_asleep = (struct wake_shared *)(void *)
			(at->base + engine_wake_offset(e));
	}
}

void join_rings(struct mtcp_context *x, struct attach *at, uint64_t rings)
{
	x->engines = at->engines;
	x->unpublished = 0;
	x->looks_seen = 0;
	attach_rings(x, at, rings);
	stock_reset(x);
	x->at = at;
}

/* The descriptor that the application watches follows us to the new pipe. */
static void rewatch(struct mtcp_context *x)
{
	struct epoll_event ev = { .events = EPOLLIN };

	if (x->watch_fd >= 0)
		epoll_ctl(x->watch_fd, EPOLL_CTL_ADD, x->wake_rd, &ev);
}

static void join_listeners(struct mtcp_context *x)
{
	for (uint32_t i = 0; i < x->listener_count; i++) {
		struct listener *l = x->listeners[i];

		if (l->used && !l->id)
			listener_join(x, l);
	}
}

int ctx_join(struct mtcp_context *x, bool now)
{
	struct attach *at;
	uint64_t rings;
	int wake_rd, err = attach_get(&at, now);

	if (err)
		return err;
	x->home = home_engine(x, at);
	err = join_request(x, at, &x->id, &rings, &wake_rd);
	if (err) {
		attach_put(at);
		return err;
	}
	x->wake_rd = wake_rd;
	join_rings(x, at, rings);
	rewatch(x);
	stock_start(x, x->home);
	join_listeners(x);
	ctx_publish(x);
	return 0;
}

static void lose_conn(struct mtcp_context *x, uint32_t index)
{
	struct conn *c = conn_at(&x->conns, index);

	if (c->state == CONN_FREE || c->state == CONN_NEW ||
	    c->state == CONN_GONE)
		return;
	if (c->sockid < 0) {		/* credit, queued, or closed */
		conn_free(&x->conns, index);
		return;
	}
	conn_clear_rx(x, c);
	c->sock = HANDLE_NONE;
	c->consumed = 0;
	conn_died(x, c, ECONNRESET);
}

void ctx_lost(struct mtcp_context *x)
{
	struct attach *at = x->at;

	x->at = NULL;
	x->unpublished = 0;
	close(x->wake_rd);		/* leaves watch_fd by itself */
	x->wake_rd = -1;
	for (uint32_t i = 0; i < x->listener_count; i++)
		if (x->listeners[i]->used)
			listener_lost(x, x->listeners[i]);
	for (uint32_t i = 0; i < x->conns.chunks << CONN_CHUNK_BITS; i++)
		lose_conn(x, i);
	x->flush.count = x->starved.count = 0;
	attach_put(at);
}
