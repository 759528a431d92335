#include "app.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "base/log.h"
#include "shm/cmd.h"

#define PORT_LISTEN	80
#define RETRY_US	1000000		/* a tuple in TIME_WAIT: again later */
#define NO_BLOCK_US	200000		/* nothing to write into: again later */
#define ABORTED_US	300000000	/* the other end of an abort gives up */

__attribute__((format(printf, 2, 3)))
static void wrong(struct app *a, const char *fmt, ...)
{
	va_list ap;

	if (a->why[0])
		return;
	va_start(ap, fmt);
	vsnprintf(a->why, sizeof(a->why), fmt, ap);
	va_end(ap);
}

static void wake_at(struct end *e, mono_t when)
{
	if (mono_before(when, e->wake))
		e->wake = when;
}

static mono_t think(struct app *a, const struct end *e, mono_t now)
{
	uint32_t us = e->plan->think_us;

	return us ? mono_add(now, kit_below(&a->rand, us)) : now;
}

/* ---- life of an end ---- */

static struct arena *arena_of(struct side *s, const struct end *e)
{
	return &s->arenas[e->client].arena;
}

static void end_reset(struct app *a, uint32_t flow, int side)
{
	struct flow *f = &a->flow[flow];
	struct end *e = &f->end[side];

	memset(e, 0, sizeof(*e));
	e->plan = &f->plan->end[side];
	e->stream = (flow * SIM_ROUNDS + f->round) * 2 + (uint32_t)side;
	e->wake = MONO_NEVER;
	e->block = BLOCK_NONE;
	e->client = 1;
}

static void set_option(struct side *s, uint32_t conn, uint32_t name,
		       uint32_t value, mono_t now)
{
	tcp_option(s->env, conn, name, (int32_t)value, now);
}

static void end_opened(struct app *a, struct end *e, struct side *s,
		       uint32_t conn, mono_t now)
{
	const struct end_plan *p = e->plan;

	e->conn = conn;
	e->pause_until = mono_add(now, p->pause_us);
	if (p->rcvbuf)
		set_option(s, conn, CMD_OPT_RCVBUF, p->rcvbuf, now);
	if (p->nodelay)
		set_option(s, conn, CMD_OPT_NODELAY, 1, now);
	if (p->cork)
		set_option(s, conn, CMD_OPT_CORK, 1, now);
	if (p->keepalive) {
		set_option(s, conn, CMD_OPT_KEEPIDLE_S, 30, now);
		set_option(s, conn, CMD_OPT_KEEPINTVL_S, 10, now);
		set_option(s, conn, CMD_OPT_KEEPCNT, 100, now);
		set_option(s, conn, CMD_OPT_KEEPALIVE, 1, now);
	}
	e->wake = think(a, e, now);
	a->progress = now;
}

static void drop_block(struct side *s, struct end *e)
{
	if (e->block == BLOCK_NONE)
		return;
	ENSURE(block_give_up(arena_of(s, e), e->block, 0) == 0,
	       "the block was granted to us");
	e->block = BLOCK_NONE;
}

static void end_close(struct app *a, struct end *e, struct side *s, bool abort,
		      mono_t now)
{
	drop_block(s, e);
	tcp_close(s->env, e->conn, abort, now);
	tcp_detach(s->env, e->conn);
	e->conn = 0;
	e->state = END_GONE;
	e->wake = MONO_NEVER;
	a->progress = now;
	a->conns++;
}

/* ---- what TCP announces ---- */

static void take_extents(struct end *e, struct side *s)
{
	struct tcp_extent x;
	uint32_t room = e->plan->ring_room;

	while (e->extent_tail - e->extent_head < room) {
		if (!tcp_announce_data(s->env, e->conn, &x))
			return;
		e->extents[e->extent_tail++ % APP_EXTENTS] = x;
		e->readable += x.len;
	}
	e->pending = true;
}

/* From now on the other end may miss bytes, and need not wait for ever. */
static void flow_aborted(struct flow *f, int side, mono_t now)
{
	if (f->aborted)
		return;
	f->aborted = true;
	f->aborted_at = now;
	wake_at(&f->end[!side], mono_add(now, ABORTED_US));
}

/* As the engine's events.c: what finds no room stays pending. */
static void announce(void *arg, struct side *s, uint32_t conn, mono_t now)
{
	struct app *a = arg;
	const struct tcp_user *u = tcp_user(s->env, conn);
	struct end *e;
	uint32_t ev;

	if (u->client == 0)
		return;
	e = &a->flow[u->cookie].end[s->index];
	if (e->conn != conn)
		return;
	take_extents(e, s);
	ev = tcp_events(s->env, conn) & ~(uint32_t)TCP_EVENT_DATA;
	if (e->pending)
		ev &= ~(uint32_t)TCP_EVENT_FIN;
	for (uint32_t bit = 1; bit <= ev; bit <<= 1)
		if (ev & bit)
			tcp_announced(s->env, conn, bit);
	if (ev & TCP_EVENT_CONNECTED)
		e->connected = true;
	if (ev & TCP_EVENT_FIN)
		e->fin = true;
	if (ev & TCP_EVENT_SENT)
		e->blocked = false;
	if (ev & TCP_EVENT_ERROR)
		e->error = tcp_error(s->env, conn);
	if (e->error == ENOBUFS)	/* our extents ran out: RST */
		flow_aborted(&a->flow[u->cookie], s->index, now);
	wake_at(e, think(a, e, now));
}

/* ---- reading ---- */

static uint32_t read_extent(struct app *a, struct end *e, struct side *s,
			    uint32_t stream, uint32_t want)
{
	const struct tcp_extent *x = &e->extents[e->extent_head % APP_EXTENTS];
	uint32_t left = x->len - e->extent_used;
	uint32_t n = left < want ? left : want;
	const uint8_t *p = block_bytes(arena_of(s, e), x->block);
	int64_t bad = kit_differs(p + x->offset + e->extent_used, n, stream,
				  e->read);

	if (bad >= 0)
		wrong(a, "byte %u that side %d reads is wrong",
		      e->read + (uint32_t)bad, s->index);
	e->read += n;
	e->readable -= n;
	e->extent_used += n;
	if (e->extent_used == x->len) {
		e->extent_head++;
		e->extent_used = 0;
	}
	return n;
}

/* One call of read(). */
static bool do_read(struct app *a, struct end *e, struct side *s,
		    uint32_t stream, mono_t now)
{
	uint32_t want = 1 + kit_below(&a->rand, e->plan->read_max), got = 0;

	if (!e->readable || mono_before(now, e->pause_until))
		return false;
	while (got < want && e->readable)
		got += read_extent(a, e, s, stream, want - got);
	if (tcp_consumed(s->env, e->conn, got, now))
		wrong(a, "tcp_consumed() refuses %u announced bytes", got);
	if (e->pending) {
		e->pending = false;
		tcp_mark_dirty(s->env, e->conn);
	}
	a->progress = now;
	a->moved += got;
	return true;
}

/* ---- writing ---- */

static bool have_block(struct app *a, struct end *e, struct side *s, mono_t now)
{
	enum block_class cls = kit_one_in(&a->rand, 2) ? BLOCK_SMALL
						       : BLOCK_LARGE;

	if (e->block != BLOCK_NONE)
		return true;
	e->block_fill = 0;
	e->block = block_grant(arena_of(s, e), cls, 0);
	if (e->block == BLOCK_NONE)
		wake_at(e, mono_add(now, NO_BLOCK_US));
	return e->block != BLOCK_NONE;
}

/* The most that one call of write() may add. */
static uint32_t write_room(struct app *a, struct end *e, struct side *s)
{
	uint32_t n = 1 + kit_below(&a->rand, e->plan->write_max);
	uint32_t left = e->plan->bytes - e->written;
	uint32_t queued = tcp_sent(s->env, e->conn) -
			  tcp_acked(s->env, e->conn);
	uint32_t limit = tcp_send_limit(s->env, e->conn);

	if (queued >= limit)
		return 0;
	n = n < left ? n : left;
	return n < limit - queued ? n : limit - queued;
}

static uint32_t write_extent(struct app *a, struct end *e, struct side *s,
			     uint32_t want, mono_t now)
{
	struct arena *ar = arena_of(s, e);
	uint32_t size = block_class_bytes(block_class(ar, e->block));
	uint32_t n = size - e->block_fill < want ? size - e->block_fill : want;
	int rc;

	kit_bytes(block_bytes(ar, e->block) + e->block_fill, n, e->stream,
		  e->written);
	rc = block_fill(ar, e->block, 0, e->block_fill, n);
	ENSURE(rc == 0, "the block was granted and has room");
	rc = tcp_send(s->env, e->conn, e->block, e->block_fill, n, n < want,
		      now);
	e->block_fill += n;
	if (e->block_fill == size || rc || kit_one_in(&a->rand, 4))
		drop_block(s, e);
	if (rc && !e->error && !(tcp_events(s->env, e->conn) & TCP_EVENT_ERROR))
		wrong(a, "tcp_send() gives %d", rc);
	if (rc)
		return 0;
	e->written += n;
	a->progress = now;
	return n;
}

/* One call of write(). */
static bool do_write(struct app *a, struct end *e, struct side *s, mono_t now)
{
	uint32_t want, n, done = 0;

	if (e->shut || e->blocked || e->written == e->plan->bytes)
		return false;
	want = write_room(a, e, s);
	if (!want) {
		e->blocked = true;
		tcp_want_sent(s->env, e->conn);
		return false;
	}
	while (done < want && have_block(a, e, s, now)) {
		n = write_extent(a, e, s, want - done, now);
		if (!n)
			break;
		done += n;
	}
	return done > 0;
}

/* ---- moving ---- */

/* To another client of this side, as CMD_TAKE does: what was announced and is
 * unread comes again, from the other arena. */
static void do_move(struct app *a, struct flow *f, int side)
{
	struct end *e = &f->end[side];
	struct side *s = a->side[side];
	uint32_t to = 1 + e->client % SIM_CLIENTS;

	if (!e->plan->moves || !kit_one_in(&a->rand, 8))
		return;
	drop_block(s, e);
	if (tcp_assign(s->env, e->conn, to, 0, (uint32_t)(f - a->flow)))
		return;			/* no room there: all is as before */
	e->client = to;
	e->extent_head = e->extent_tail;
	e->extent_used = 0;
	e->readable = 0;
	e->fin = e->pending = false;
}

/* ---- ending ---- */

static void check_complete(struct app *a, const struct end *e,
			   const struct end *other, int side)
{
	if (e->read != other->plan->bytes)
		wrong(a, "side %d reads FIN after %u of %u bytes", side,
		      e->read, other->plan->bytes);
}

/* Shuts down or closes when it is time to; true: the end is gone. */
static bool do_finish(struct app *a, struct flow *f, int side, mono_t now)
{
	struct end *e = &f->end[side], *other = &f->end[!side];
	struct side *s = a->side[side];

	if (e->written == e->plan->bytes && !e->shut) {
		drop_block(s, e);
		e->shut = true;
		if (e->plan->close_at_once && !e->readable) {
			end_close(a, e, s, false, now);
			return true;
		}
		tcp_shutdown_write(s->env, e->conn, now);
	}
	if (!e->shut || !e->fin || e->readable)
		return false;
	if (!f->aborted)
		check_complete(a, e, other, side);
	end_close(a, e, s, false, now);
	return true;
}

static bool do_abort(struct app *a, struct flow *f, int side, mono_t now)
{
	struct end *e = &f->end[side];

	if (e->plan->abort && e->read + e->written >= e->plan->abort_after) {
		flow_aborted(f, side, now);
		end_close(a, e, a->side[side], true, now);
		return true;
	}
	if (f->aborted && !mono_before(now, mono_add(f->aborted_at, ABORTED_US))) {
		end_close(a, e, a->side[side], false, now);
		return true;
	}
	return false;
}

static bool do_error(struct app *a, struct flow *f, int side, mono_t now)
{
	struct end *e = &f->end[side];

	if (!e->error)
		return false;
	if (!f->aborted)
		wrong(a, "side %d gets error %d (%s)", side, e->error,
		      strerror(e->error));
	end_close(a, e, a->side[side], false, now);
	return true;
}

/* What an open end does when it is its turn. */
static void end_turn(struct app *a, struct flow *f, int side, mono_t now)
{
	struct end *e = &f->end[side];
	struct side *s = a->side[side];
	bool again;

	e->wake = MONO_NEVER;
	if (do_error(a, f, side, now) || do_abort(a, f, side, now))
		return;
	if (e->state == END_OPENING) {
		if (!e->connected)
			return;
		e->state = END_OPEN;
		a->progress = now;
	}
	do_move(a, f, side);
	again = do_read(a, e, s, f->end[!side].stream, now);
	again |= do_write(a, e, s, now);
	if (do_finish(a, f, side, now))
		return;
	if (f->aborted)
		wake_at(e, mono_add(f->aborted_at, ABORTED_US));
	if (e->readable && mono_before(now, e->pause_until))
		wake_at(e, e->pause_until);
	if (again || (e->readable && !mono_before(now, e->pause_until)))
		wake_at(e, think(a, e, mono_add(now, 1)));
}

/* ---- opening ---- */

static bool tuple_free(struct app *a, const struct flow *f, int side, mono_t now)
{
	return tcp_tuple_free(a->side[side]->env, &a->side[side]->addr,
			      htons(f->port[side]), &a->side[!side]->addr,
			      htons(f->port[!side]), now);
}

static void end_connect(struct app *a, uint32_t flow, int side, mono_t now)
{
	struct flow *f = &a->flow[flow];
	struct side *s = a->side[side];
	const struct tcp_connect c = {
		.local = s->addr, .remote = a->side[!side]->addr,
		.lport = htons(f->port[side]), .rport = htons(f->port[!side]),
		.client = 1, .cookie = flow, .mtu = (uint16_t)s->mtu,
	};
	int rc = tcp_connect(s->env, &c, now);

	if (rc <= 0) {
		wrong(a, "tcp_connect() of a free tuple gives %d", rc);
		return;
	}
	f->end[side].state = END_OPENING;
	end_opened(a, &f->end[side], s, (uint32_t)rc, now);
	f->end[side].wake = MONO_NEVER;
}

static void flow_open(struct app *a, uint32_t flow, mono_t now)
{
	struct flow *f = &a->flow[flow];
	enum flow_open o = f->plan->open;

	if ((o != OPEN_FROM_1 && !tuple_free(a, f, 0, now)) ||
	    (o != OPEN_FROM_0 && !tuple_free(a, f, 1, now))) {
		f->open_at = mono_add(now, RETRY_US);
		return;
	}
	f->open_at = MONO_NEVER;
	f->end[0].state = f->end[1].state = END_OPENING;
	if (o != OPEN_FROM_1)
		end_connect(a, flow, 0, now);
	if (o != OPEN_FROM_0)
		end_connect(a, flow, 1, now);
}

static void flow_turn(struct app *a, uint32_t flow, mono_t now)
{
	struct flow *f = &a->flow[flow];

	if (!mono_before(now, f->open_at))
		flow_open(a, flow, now);
	for (int side = 0; side < 2; side++) {
		struct end *e = &f->end[side];

		if (mono_before(now, e->wake))
			continue;
		if (e->conn)
			end_turn(a, f, side, now);
		else if (f->aborted)	/* never accepted: nobody comes */
			e->state = END_GONE, e->wake = MONO_NEVER;
	}
	if (f->end[0].state != END_GONE || f->end[1].state != END_GONE ||
	    f->round + 1 >= f->plan->rounds)
		return;
	f->round++;
	f->aborted = false;
	end_reset(a, flow, 0);
	end_reset(a, flow, 1);
	f->open_at = mono_add(now, kit_below(&a->rand, 2 * RETRY_US));
}

static struct flow *flow_of_conn(struct app *a, int side, uint32_t conn)
{
	struct tcp_info info;

	tcp_describe(a->side[side]->env, conn, &info);
	for (uint32_t i = 0; i < a->plan->flows; i++)
		if (info.lport == htons(a->flow[i].port[side]) &&
		    info.rport == htons(a->flow[i].port[!side]))
			return &a->flow[i];
	return NULL;
}

/* A connection whose end gave up before it was accepted. */
static void refuse(struct side *s, uint32_t conn, mono_t now)
{
	tcp_close(s->env, conn, true, now);
	tcp_detach(s->env, conn);
}

static void accept_one(struct app *a, int side, mono_t now)
{
	struct side *s = a->side[side];
	uint32_t conn = tcp_accept(s->env, a->listener[side]);
	struct flow *f = flow_of_conn(a, side, conn);
	struct end *e;

	if (!f) {
		wrong(a, "an accepted connection is of no flow");
		return;
	}
	e = &f->end[side];
	if (e->state != END_OPENING || e->conn) {
		if (!f->aborted)
			wrong(a, "side %d accepts a connection twice", side);
		refuse(s, conn, now);
		return;
	}
	if (tcp_assign(s->env, conn, 1, 0,
		       (uint32_t)(f - a->flow))) {
		tcp_accept_return(s->env, a->listener[side], conn);
		a->accept_at[side] = mono_add(now, NO_BLOCK_US);
		return;
	}
	e->connected = true;
	end_opened(a, e, s, conn, now);
	tcp_mark_dirty(s->env, conn);
}

static void accept_turn(struct app *a, int side, mono_t now)
{
	struct side *s = a->side[side];
	uint32_t us = a->plan->side[side].accept_us;

	while (tcp_next_ready_listener(s->env))
		;
	while (!mono_before(now, a->accept_at[side]) && !a->why[0] &&
	       tcp_accept_waiting(s->env, a->listener[side])) {
		if (us)
			a->accept_at[side] =
				mono_add(now, 1 + kit_below(&a->rand, us));
		accept_one(a, side, now);
	}
}

/* ---- all of it ---- */

static void app_listen(struct app *a, int side)
{
	const struct tcp_listen l = {
		.addr = addr_from_v4(0),
		.port = htons(PORT_LISTEN),
		.backlog = a->plan->side[side].backlog,
		.tag = 1,
	};
	int rc = tcp_listen(a->side[side]->env, &l);

	ENSURE(rc > 0, "the first listener finds room");
	a->listener[side] = (uint32_t)rc;
}

static void flow_init(struct app *a, uint32_t i, mono_t now)
{
	struct flow *f = &a->flow[i];

	f->plan = &a->plan->flow[i];
	f->port[0] = (uint16_t)(20000 + i);
	f->port[1] = (uint16_t)(30000 + i);
	if (f->plan->open == OPEN_FROM_0)
		f->port[1] = PORT_LISTEN;
	if (f->plan->open == OPEN_FROM_1)
		f->port[0] = PORT_LISTEN;
	end_reset(a, i, 0);
	end_reset(a, i, 1);
	f->open_at = mono_add(now, f->plan->start_us);
}

void app_init(struct app *a, const struct scenario *plan, struct side *s0,
	      struct side *s1, mono_t now)
{
	memset(a, 0, sizeof(*a));
	a->plan = plan;
	a->side[0] = s0;
	a->side[1] = s1;
	a->progress = now;
	kit_seed(&a->rand, plan->seed ^ 0x5eed);
	for (int side = 0; side < 2; side++) {
		a->side[side]->announce = announce;
		a->side[side]->announce_arg = a;
		app_listen(a, side);
	}
	for (uint32_t i = 0; i < plan->flows; i++)
		flow_init(a, i, now);
}

void app_turn(struct app *a, mono_t now)
{
	accept_turn(a, 0, now);
	accept_turn(a, 1, now);
	for (uint32_t i = 0; i < a->plan->flows; i++)
		flow_turn(a, i, now);
}

static mono_t earlier(mono_t x, mono_t y)
{
	return mono_before(x, y) ? x : y;
}

mono_t app_next_due(const struct app *a)
{
	mono_t due = MONO_NEVER;

	for (int side = 0; side < 2; side++)
		if (a->listener[side] &&
		    tcp_accept_waiting(a->side[side]->env, a->listener[side]))
			due = earlier(due, a->accept_at[side]);
	for (uint32_t i = 0; i < a->plan->flows; i++) {
		due = earlier(due, a->flow[i].open_at);
		due = earlier(due, a->flow[i].end[0].wake);
		due = earlier(due, a->flow[i].end[1].wake);
	}
	return due;
}

bool app_done(const struct app *a)
{
	for (uint32_t i = 0; i < a->plan->flows; i++) {
		const struct flow *f = &a->flow[i];

		if (f->end[0].state != END_GONE || f->end[1].state != END_GONE ||
		    f->round + 1 < f->plan->rounds)
			return false;
	}
	return true;
}

void app_fini(struct app *a)
{
	for (int side = 0; side < 2; side++) {
		tcp_unlisten(a->side[side]->env, a->listener[side]);
		a->listener[side] = 0;
	}
}

void app_print(const struct app *a, FILE *out)
{
	static const char *const names[] = { "apart", "opening", "open",
					     "gone" };

	for (uint32_t i = 0; i < a->plan->flows; i++)
		for (int side = 0; side < 2; side++) {
			const struct end *e = &a->flow[i].end[side];

			if (e->state == END_GONE)
				continue;
			fprintf(out, "  flow %u round %u side %d: %s, conn %u,"
				" written %u/%u, read %u, readable %u%s%s%s%s\n",
				i, a->flow[i].round, side, names[e->state],
				e->conn, e->written, e->plan->bytes, e->read,
				e->readable, e->fin ? ", FIN read" : "",
				e->shut ? ", shut" : "",
				e->blocked ? ", blocked" : "",
				e->pending ? ", pending" : "");
		}
}
