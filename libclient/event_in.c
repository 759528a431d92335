#include "libclient/client.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/*
 * Events change a connection's state here and nowhere else; what the app
 * should hear of it is raised on its socket (epoll.c).
 *
 *	CREDIT --ACCEPTED--> QUEUED --mtcp_accept--> OPEN
 *	CONNECTING --CONNECTED--> OPEN      TAKING --TAKEN--> OPEN
 *	any --ERROR--> DEAD                 any --GONE--> GONE, or AWAY when
 *	AWAY --TAKEN--> OPEN                another process holds it too
 *	CLOSING --CLOSED--> free            ORPHAN --TAKEN--> CLOSING
 */

#define RAISE_IN	(MTCP_EPOLLIN | MTCP_EPOLLRDNORM)
#define RAISE_OUT	(MTCP_EPOLLOUT | MTCP_EPOLLWRNORM)

void conn_raise(struct mtcp_context *x, struct conn *c, uint32_t bits)
{
	if (c->sockid >= 0)
		slot_raise(x, (uint32_t)c->sockid, bits);
}

void conn_died(struct mtcp_context *x, struct conn *c, int error)
{
	c->state = CONN_DEAD;
	c->error = c->so_error = (uint16_t)(error ? error : ECONNRESET);
	c->flags &= (uint8_t)~(CONN_STARVED | CONN_WANT_SENT);
	x->stats.errors++;
	conn_raise(x, c, MTCP_EPOLLERR | MTCP_EPOLLHUP | RAISE_IN | RAISE_OUT |
		   MTCP_EPOLLRDHUP);
}

static void on_accepted(struct mtcp_context *x, uint32_t e,
			const struct event_socket *ev)
{
	struct conn *c = conn_find(&x->conns, ev->cookie);

	/* Credit of a listener that is closed meanwhile. */
	if (!c || c->state != CONN_CREDIT) {
		conn_send_close(x, e, ev->sock, ev->cookie,
				CMD_F_ABORT | CMD_F_BACK);
		return;
	}
	c->state = CONN_QUEUED;
	c->sock = ev->sock;
	c->engine = (uint8_t)e;
	c->limit = ev->limit;
	c->acked = c->sent = ev->acked;
	c->local_port = ev->local_port;
	c->remote_port = ev->remote_port;
	memcpy(c->local, ev->local_addr, 16);
	memcpy(c->remote, ev->remote_addr, 16);
	listener_queue(x, ev->cookie & (CONN_MAX - 1));
}

static void on_taken(struct mtcp_context *x, uint32_t e,
		     const struct event_socket *ev)
{
	struct conn *c = conn_find(&x->conns, ev->cookie);

	if (!c || (c->state != CONN_TAKING && c->state != CONN_ORPHAN &&
		   !(c->state == CONN_AWAY && c->waits)))
		return;
	if (c->state == CONN_AWAY)	/* what it was before is void */
		c->flags &= CONN_BOUND | CONN_ABORT;
	c->waits = CONN_WAITS_USE;
	c->sock = ev->sock;
	c->engine = (uint8_t)e;
	if (c->state == CONN_ORPHAN) {
		c->state = CONN_CLOSING;
		conn_send_close(x, e, c->sock, ev->cookie, 0);
		return;
	}
	c->limit = ev->limit;
	c->acked = ev->acked;
	c->sent = ev->sent;
	c->local_port = ev->local_port;
	c->remote_port = ev->remote_port;
	memcpy(c->local, ev->local_addr, 16);
	memcpy(c->remote, ev->remote_addr, 16);
	c->state = ev->state & EVENT_S_CONNECTING ? CONN_CONNECTING : CONN_OPEN;
	if (ev->state & EVENT_S_FIN_SENT)
		c->flags |= CONN_SHUT_WR;
	if (c->state == CONN_OPEN)
		conn_raise(x, c, RAISE_OUT);
}

static void on_connected(struct mtcp_context *x, struct conn *c, uint32_t e,
			 const struct event *ev)
{
	c->sock = ev->sock;
	c->engine = (uint8_t)e;
	if (c->state != CONN_CONNECTING)
		return;
	c->state = CONN_OPEN;
	c->local_port = ev->connected.local_port;
	if (ev->connected.local_v4) {
		addr_from_v4(c->local, ev->connected.local_v4);
		memcpy(x->rss_any_local, c->local, 16);
	}
	opts_apply(x, c);
	conn_raise(x, c, RAISE_OUT);
}

static void on_data(struct mtcp_context *x, struct conn *c,
		    const struct event *ev)
{
	x->stats.rx_bytes += ev->data.len;
	x->stats.rx_records++;
	if (c->state == CONN_CLOSING || c->state == CONN_ORPHAN ||
	    c->state == CONN_SHARED || c->flags & CONN_SHUT_RD)
		return;			/* the engine knows that we do not read */
	if (rx_push(&x->conns, c, ev->data.block, ev->data.offset,
		    ev->data.len)) {
		/* No memory for 12 bytes: the stream cannot go on. */
		conn_died(x, c, ENOMEM);
		return;
	}
	conn_raise(x, c, RAISE_IN);
}

/* The answers to the bound port reach another engine: we ask that one. */
static bool elsewhere(struct mtcp_context *x, struct conn *c,
		      const struct event *ev)
{
	if (c->state != CONN_CONNECTING || ev->error != EXDEV ||
	    ev->limit >= x->engines || ev->limit == c->engine)
		return false;
	connect_send(x, ev->cookie & (CONN_MAX - 1), ev->limit);
	return true;
}

/* With HANDLE_NONE the cookie is free already: no close, nothing follows. */
static void on_error(struct mtcp_context *x, struct conn *c,
		     const struct event *ev)
{
	if (ev->sock == HANDLE_NONE && elsewhere(x, c, ev))
		return;
	if (ev->sock == HANDLE_NONE && c->sockid < 0) {
		conn_free(&x->conns, ev->cookie & (CONN_MAX - 1));
		return;
	}
	if (c->state == CONN_CLOSING || c->state == CONN_ORPHAN ||
	    c->state == CONN_SHARED)
		return;
	/* What another process has ended cannot be taken back. */
	conn_died(x, c, (c->state == CONN_TAKING || c->state == CONN_AWAY) &&
			conn_shared(c) ? ECONNRESET : ev->error);
	c->sock = ev->sock;
}

static void on_gone(struct mtcp_context *x, struct conn *c, uint32_t cookie)
{
	conn_clear_rx(x, c);
	if (c->sockid >= 0 && conn_shared(c) && c->sock != HANDLE_NONE) {
		c->waits = c->flags & (CONN_STARVED | CONN_WANT_SENT) ?
				   CONN_WAITS_ROOM : 0;
		c->flags &= (uint8_t)~(CONN_STARVED | CONN_WANT_SENT);
		c->consumed = 0;
		c->state = CONN_AWAY;
		slot_look(x, (uint32_t)c->sockid);
		return;
	}
	c->sock = HANDLE_NONE;
	if (c->sockid < 0) {
		conn_free(&x->conns, cookie & (CONN_MAX - 1));
		return;
	}
	c->state = CONN_GONE;
	c->error = ENOTCONN;
}

/* The cookie is the same in a child that was forked with it, else a search
 * will do: rare. */
static void on_parked(struct mtcp_context *x, const struct event *ev)
{
	uint32_t index = ev->cookie & (CONN_MAX - 1);
	struct conn *c = conn_find(&x->conns, ev->cookie);

	if (!c || c->sock != ev->sock || c->state != CONN_AWAY)
		for (index = 0; index < x->conns.chunks << CONN_CHUNK_BITS;
		     index++) {
			c = conn_at(&x->conns, index);
			if (c->state == CONN_AWAY && c->sock == ev->sock)
				break;
		}
	if (index < x->conns.chunks << CONN_CHUNK_BITS && c->sockid >= 0)
		conn_ask(x, index);
}

/* What every event of a live socket carries. */
static void take_counts(struct conn *c, const struct event *ev)
{
	if (c->state == CONN_CONNECTING && ev->type == EVENT_CONNECTED &&
	    !c->sent)			/* else some went with the SYN */
		c->sent = ev->acked;
	if (ev->type == EVENT_ERROR)
		return;
	c->acked = ev->acked;
	c->limit = ev->limit;
}

static void on_conn_event(struct mtcp_context *x, uint32_t e,
			  const struct event *ev)
{
	struct conn *c = conn_find(&x->conns, ev->cookie);

	if (!c || c->state == CONN_NEW)
		return;
	if (ev->type != EVENT_GONE && ev->type != EVENT_CLOSED)
		take_counts(c, ev);
	switch (ev->type) {
	case EVENT_CONNECTED:
		on_connected(x, c, e, ev);
		break;
	case EVENT_DATA:
		on_data(x, c, ev);
		break;
	case EVENT_FIN:
		c->flags |= CONN_FIN;
		conn_raise(x, c, RAISE_IN | MTCP_EPOLLRDHUP);
		break;
	case EVENT_SENT:
		c->flags &= (uint8_t)~CONN_WANT_SENT;
		conn_raise(x, c, RAISE_OUT);
		break;
	case EVENT_ERROR:
		on_error(x, c, ev);
		break;
	case EVENT_CLOSED:
		if (c->state == CONN_CLOSING)
			conn_free(&x->conns, ev->cookie & (CONN_MAX - 1));
		break;
	case EVENT_GONE:
		on_gone(x, c, ev->cookie);
		break;
	default:
		break;
	}
}

/* Whoever waited for blocks of engine @e may write again. */
static void feed_starved(struct mtcp_context *x, uint32_t e)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < x->starved.count; i++) {
		uint32_t index = x->starved.at[i];
		struct conn *c = conn_at(&x->conns, index);

		if (!(c->flags & CONN_STARVED))
			continue;
		if (c->engine != e) {
			x->starved.at[kept++] = index;
			continue;
		}
		c->flags &= (uint8_t)~CONN_STARVED;
		conn_raise(x, c, RAISE_OUT);
	}
	x->starved.count = kept;
}

static void on_socket(struct mtcp_context *x, uint32_t e, const struct event *ev,
		      uint32_t next)
{
	struct event_socket both;

	memcpy(&both, ev, RING_SLOT);
	ring_copy(&x->pair[e].event, next, (uint8_t *)&both + RING_SLOT);
	if (both.type == EVENT_ACCEPTED)
		on_accepted(x, e, &both);
	else
		on_taken(x, e, &both);
}

static void on_event(struct mtcp_context *x, uint32_t e, const struct event *ev)
{
	if (ev->type == EVENT_GRANT) {
		stock_granted(x, e, ev);
		if (x->starved.count && stock_serves(x, e))
			feed_starved(x, e);
	} else if (ev->type == EVENT_PARKED) {
		on_parked(x, ev);
	} else {
		on_conn_event(x, e, ev);
	}
}

/* The engine found the ring full and sleeps: it has room again. */
static void tell_room(struct mtcp_context *x, uint32_t e)
{
	ssize_t n;

	/* Pairs with the fence in ring_want_room(): our head, then its wish. */
	atomic_thread_fence(memory_order_seq_cst);
	if (!ring_take_want_room(&x->pair[e].event))
		return;
	n = write(x->at->wake_fd[e], "", 1);
	(void)n;
}

uint32_t events_take(struct mtcp_context *x, uint32_t e, uint32_t max)
{
	struct ring *r = &x->pair[e].event;
	int n = ring_peek(r);
	uint32_t i = 0, count, slots;
	struct event ev;

	if (n <= 0) {
		if (n < 0)
			atomic_store(&x->at->dead, true);
		return 0;
	}
	count = (uint32_t)n < max ? (uint32_t)n : max;
	while (i < count) {
		ring_copy(r, i, &ev);
		slots = event_slots(ev.type);
		if (i + slots > (uint32_t)n)
			break;
		if (slots == 2)
			on_socket(x, e, &ev, i + 1);
		else
			on_event(x, e, &ev);
		i += slots;
	}
	ring_release(r, i);
	if ((uint32_t)n > r->mask / 2)
		tell_room(x, e);
	return i;
}
