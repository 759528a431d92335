/*
 * engines - two daemons' engines over a bad wire in virtual time
 *
 *	engines --seeds N [--from S]	seeds S .. S + N - 1 (from: 1)
 *	engines --seed S		one
 *
 *	fake clients - rings - engine_turn() === wire === engine_turn() - ...
 *
 * Where sim joins two TCPs, here whole engines turn: one or two a side, with
 * their rings, blocks, accept credit, hand-over between engines and bursts. The
 * path and the settings of TCP are those of the seed's scenario (scenario.h).
 * Clients of side 1 connect to a listener of side 0; both ends send, read at
 * their own pace, shut down and close.
 *
 * A seed fails as one of sim does: a wrong byte or number of bytes, an end that
 * does not end, silence for two hours, a broken invariant (tcp_check(),
 * watch.h), a client called hostile, anything left in the end.
 *
 * Exit status: 0 all passed, 1 a seed failed, 2 wrong usage.
 */
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "inside.h"
#include "scenario.h"
#include "unit/engine_fake.h"
#include "watch.h"

#define FLOWS		6u
#define BYTES_MAX	60000u
#define STALL_US	7200000000ull
#define DRAIN_US	3600000000ull
#define TURNS_MAX	4000000u
#define CHECK_EVERY	64u
#define CHECK_ALL	8u
#define APP_US		300u	/* an application looks so often at least */
#define SERVER		1000u	/* cookies: a credit each flow and engine, */
#define CREDITS		(FLOWS * FAKE_ENGINES)
#define CLIENT		2000u	/* and connects by flow */

struct end {
	uint64_t sock;
	uint32_t cookie, ctx;
	uint32_t bytes, sent, acked, limit;
	uint32_t got, unread, calls_max;
	uint16_t port;		/* the client's, which names the flow */
	bool open, asked, shut, fin, closing, closed;
};

struct sim {
	struct fake_world w;
	struct scenario plan;
	struct path path;
	struct watch watch[2][FAKE_ENGINES];
	struct end end[2][FLOWS];	/* [0]: servers */
	uint32_t accepted;		/* so many of them have a connection */
	struct kit_rand rand;
	uint32_t flows, turns;
	mono_t progress;
	char why[128];
};

static struct sim sim;
static struct rss steer;
static volatile uint64_t current_seed;
static volatile bool running;

static void say_seed(void)
{
	if (running)
		fprintf(stderr, "replay: engines --seed %llu\n",
			(unsigned long long)current_seed);
}

static void on_abort(int sig)
{
	say_seed();
	signal(sig, SIG_DFL);
	raise(sig);
}

static void broken(struct sim *m, const char *why, int side, uint32_t flow)
{
	if (!m->why[0])
		snprintf(m->why, sizeof(m->why), "%s (side %d, flow %u)", why,
			 side, flow);
}

/* ---- the applications ---- */

static struct fake_client *client(struct sim *m, int side)
{
	return &m->w.d[side].client[0];
}

static uint32_t context(uint32_t flow)
{
	return flow % FAKE_CONTEXTS;
}

static uint8_t byte_at(int side, uint16_t port, uint32_t i)
{
	return (uint8_t)(i * 131 + (i >> 8) * 7 + port * 29u + (uint32_t)side * 77);
}

static void progress(struct sim *m)
{
	m->progress = m->w.now;
}

static bool room(struct sim *m, int side, uint32_t flow)
{
	const struct end *e = &m->end[side][flow];

	return ring_room(&client(m, side)->ctx[e->ctx].cmd[handle_engine(e->sock)],
			 1) >= 1;
}

static void simple(struct sim *m, int side, uint32_t flow, uint8_t type,
		   uint8_t flags)
{
	struct end *e = &m->end[side][flow];

	fake_simple(client(m, side), e->ctx, e->sock, type, flags, e->cookie);
}

static void read_data(struct sim *m, int side, uint32_t flow,
		      const struct event *ev)
{
	struct end *e = &m->end[side][flow];
	const uint8_t *p = fake_bytes(client(m, side), ev);

	for (uint32_t i = 0; i < ev->data.len; i++)
		if (p[i] != byte_at(!side, e->port, e->got + i))
			broken(m, "a wrong byte", side, flow);
	e->got += ev->data.len;
	e->unread += ev->data.len;
}

/* The end that a cookie means; the flow of a server is the order of accepting.
 * m->flows: none. */
static uint32_t flow_of(const struct sim *m, int side, uint32_t cookie)
{
	uint32_t f = 0;

	while (f < m->flows && m->end[side][f].cookie != cookie)
		f++;
	return f;
}

static void accepted(struct sim *m, const struct event_socket *ev)
{
	struct end *e = &m->end[0][m->accepted];

	if (m->accepted == m->flows || ev->cookie - SERVER >= CREDITS) {
		broken(m, "accepted too often", 0, m->accepted);
		return;
	}
	m->accepted++;
	e->cookie = ev->cookie;
	e->ctx = context((ev->cookie - SERVER) / FAKE_ENGINES);
	e->sock = ev->sock;
	e->limit = ev->limit;
	e->port = ntohs(ev->remote_port);
	e->open = true;
}

static void event(struct sim *m, int side, const union fake_event *ev)
{
	uint32_t flow = flow_of(m, side, ev->one.cookie);
	struct end *e;

	progress(m);
	if (ev->one.type == EVENT_ACCEPTED) {
		accepted(m, &ev->two);
		return;
	}
	if (flow == m->flows) {
		broken(m, "an event for nobody", side, ev->one.cookie);
		return;
	}
	e = &m->end[side][flow];
	e->acked = ev->one.acked;
	e->limit = ev->one.limit;
	switch (ev->one.type) {
	case EVENT_CONNECTED:
		e->sock = ev->one.sock;
		e->port = ntohs(ev->one.connected.local_port);
		e->open = true;
		break;
	case EVENT_DATA:
		read_data(m, side, flow, &ev->one);
		break;
	case EVENT_FIN:
		e->fin = true;
		break;
	case EVENT_SENT:
		e->asked = false;
		break;
	case EVENT_CLOSED:
		e->closed = true;
		e->open = false;
		break;
	default:
		broken(m, "an error", side, flow);
	}
}

static bool events(struct sim *m, int side)
{
	bool any = false;

	for (uint32_t ctx = 0; ctx < FAKE_CONTEXTS; ctx++) {
		union fake_event ev;

		while (fake_event(client(m, side), ctx, ~0u, &ev) !=
		       EVENT_NONE) {
			event(m, side, &ev);
			any = true;
		}
	}
	return any;
}

static void consume(struct sim *m, int side, uint32_t flow)
{
	struct end *e = &m->end[side][flow];
	struct cmd cmd = { .type = CMD_CONSUMED, .sock = e->sock };

	cmd.consumed.bytes = 1 + kit_below(&m->rand, e->unread);
	e->unread -= cmd.consumed.bytes;
	fake_cmd(client(m, side), e->ctx, handle_engine(e->sock), &cmd);
	progress(m);
}

static bool send_some(struct sim *m, int side, uint32_t flow)
{
	struct end *e = &m->end[side][flow];
	uint32_t n = 1 + kit_below(&m->rand, e->calls_max), en;
	uint8_t bytes[BLOCK_LARGE_BYTES];

	en = handle_engine(e->sock);
	if (!client(m, side)->ctx[e->ctx].stocked[en][BLOCK_LARGE])
		return false;
	if (n > e->bytes - e->sent)
		n = e->bytes - e->sent;
	for (uint32_t i = 0; i < n; i++)
		bytes[i] = byte_at(side, e->port, e->sent + i);
	fake_send(client(m, side), e->ctx, e->sock, bytes, n);
	e->sent += n;
	progress(m);
	return true;
}

/* One step of an end; false: nothing to do now. */
static bool end_turn(struct sim *m, int side, uint32_t flow)
{
	struct end *e = &m->end[side][flow];

	if (!e->open || !room(m, side, flow) || kit_one_in(&m->rand, 4))
		return false;
	if (e->unread && kit_one_in(&m->rand, 2)) {
		consume(m, side, flow);
	} else if (e->sent < e->bytes) {
		if (e->sent - e->acked < e->limit)
			return send_some(m, side, flow);
		if (e->asked)
			return false;
		e->asked = true;
		simple(m, side, flow, CMD_WANT_SENT, 0);
	} else if (!e->shut) {
		e->shut = true;
		simple(m, side, flow, CMD_SHUTDOWN, CMD_F_WRITE);
	} else if (e->fin && !e->unread && !e->closing) {
		e->closing = true;
		simple(m, side, flow, CMD_CLOSE, 0);
	} else {
		return false;
	}
	return true;
}

static bool app_turn(struct sim *m)
{
	bool any = false;

	for (int side = 0; side < 2; side++) {
		any |= events(m, side);
		for (uint32_t f = 0; f < m->flows; f++)
			any |= end_turn(m, side, f);
	}
	return any;
}

static bool app_done(const struct sim *m)
{
	for (int side = 0; side < 2; side++)
		for (uint32_t f = 0; f < m->flows; f++)
			if (!m->end[side][f].closed)
				return false;
	return true;
}

/* Each server got what the client of its port sent, and the other way. */
static void compare(struct sim *m)
{
	for (uint32_t s = 0; s < m->flows; s++) {
		const struct end *a = &m->end[0][s], *b = NULL;

		for (uint32_t c = 0; c < m->flows; c++)
			if (m->end[1][c].port == a->port)
				b = &m->end[1][c];
		if (!b || a->got != b->bytes || b->got != a->bytes)
			broken(m, "not what was sent", 0, s);
	}
}

/* ---- time ---- */

static mono_t earlier(mono_t a, mono_t b)
{
	return mono_before(a, b) ? a : b;
}

static mono_t next_due(struct sim *m)
{
	mono_t due = wire_next_due(m->w.wire);

	for (int side = 0; side < 2; side++) {
		for (uint32_t i = 0; i < m->w.d[side].engines; i++) {
			due = earlier(due, inside_due(m->w.d[side].e[i]));
		}
	}
	return due;
}

static void look(struct sim *m)
{
	bool all = m->turns % CHECK_EVERY == 0 ||
		   m->plan.seed % CHECK_ALL == 0;

	for (int side = 0; side < 2; side++) {
		for (uint32_t i = 0; i < m->w.d[side].engines; i++) {
			const struct tcp_env *env =
				inside_tcp(m->w.d[side].e[i]);

			watch_look(&m->watch[side][i], env);
			if (all)
				tcp_check(env);
		}
		if (client(m, side)->bad)
			broken(m, "the client was called hostile", side, 0);
	}
}

static void turn(struct sim *m)
{
	mono_t due;
	bool any;

	fake_turn(&m->w);
	any = app_turn(m);
	for (int i = 0; i < 2; i++)
		path_replay(&m->path, i, wire_end(m->w.wire, i), m->w.now);
	m->turns++;
	look(m);
	due = earlier(next_due(m), mono_add(m->w.now, any ? 20 : APP_US *
					    (1 + kit_below(&m->rand, 200))));
	m->w.now = mono_before(m->w.now, due) ? due : mono_add(m->w.now, 5);
}

static void run(struct sim *m)
{
	while (!m->why[0] && !app_done(m)) {
		turn(m);
		if (mono_diff_us(m->progress, m->w.now) > (int64_t)STALL_US)
			broken(m, "nothing moved for two hours", 0, 0);
		if (m->turns > TURNS_MAX)
			broken(m, "too many turns", 0, 0);
	}
	if (!m->why[0])
		compare(m);
}

/* ---- a seed ---- */

static bool is_empty(const struct sim *m)
{
	for (int side = 0; side < 2; side++)
		for (uint32_t i = 0; i < m->w.d[side].engines; i++)
			if (!tcp_is_empty(inside_tcp(m->w.d[side].e[i])))
				return false;
	return wire_frames_in_flight(m->w.wire) == 0;
}

/* Connections end, clients go, and then nothing is in use. */
static void drain(struct sim *m)
{
	mono_t end = mono_add(m->w.now, DRAIN_US);

	for (int side = 0; side < 2; side++)
		fake_detach(client(m, side), 0);
	while (!is_empty(m) && mono_before(m->w.now, end) && !m->why[0]) {
		turn(m);
		m->turns = 1;
	}
	if (!is_empty(m))
		broken(m, "TCP still has something", 0, 0);
	for (int side = 0; side < 2; side++)
		for (uint32_t i = 0; i < m->w.d[side].engines; i++)
			if (arena_in_use(&client(m, side)->arena[i]))
				broken(m, "a block is in use", side, i);
}

static void tune(int side, struct tcp_config *c)
{
	struct tcp_config base = *c;

	*c = sim.plan.side[side].tcp;
	memcpy(c->secret, base.secret, sizeof(c->secret));
	c->max_conns = WATCH_CONNS - 1;
	c->max_extents = 8192;
}

static void plan_ends(struct sim *m)
{
	m->flows = m->plan.flows < FLOWS ? m->plan.flows : FLOWS;
	for (int side = 0; side < 2; side++) {
		for (uint32_t f = 0; f < m->flows; f++) {
			const struct end_plan *p = &m->plan.flow[f].end[side];
			struct end *e = &m->end[side][f];

			*e = (struct end){ .bytes = p->bytes % BYTES_MAX };
			e->calls_max = p->write_max;
			if (e->calls_max < e->bytes / 100 + 1)
				e->calls_max = e->bytes / 100 + 1;
			if (e->calls_max > BLOCK_LARGE_BYTES)
				e->calls_max = BLOCK_LARGE_BYTES;
		}
	}
}

static void sim_open(struct sim *m, uint64_t seed)
{
	memset(m, 0, sizeof(*m));
	kit_seed(&m->rand, seed + 1000003);
	scenario_make(&m->plan, seed);
	plan_ends(m);
	path_init(&m->path, m->plan.path, seed, (mono_t){ 1000000 });
	m->plan.wire.frames = 8192;
	m->plan.wire.filter = path_filter;
	m->plan.wire.filter_arg = &m->path;
	m->plan.wire.steer = kit_one_in(&m->rand, 2) ? wire_steer_rss : NULL;
	m->plan.wire.steer_arg = &steer;
	fake_wire = &m->plan.wire;
	fake_tune = tune;
	fake_neighbours = true;
	fake_open(&m->w, 1 + kit_below(&m->rand, 2), 1 + kit_below(&m->rand, 2));
	progress(m);
}

static void flows_open(struct sim *m)
{
	struct fake_client *s = fake_client(&m->w, 0, 0);
	struct fake_client *c = fake_client(&m->w, 1, 0);

	fake_listen(s, 0, FAKE_LISTENER, FAKE_PORT);
	fake_listen(s, 1, FAKE_LISTENER, FAKE_PORT);
	for (uint32_t f = 0; f < m->flows; f++)
		for (uint32_t i = 0; i < m->w.d[0].engines; i++)
			fake_credit(s, context(f), i, FAKE_LISTENER,
				    SERVER + f * FAKE_ENGINES + i);
	for (uint32_t f = 0; f < m->flows; f++) {
		m->end[1][f].cookie = CLIENT + f;
		m->end[1][f].ctx = context(f);
		fake_connect(c, context(f), f % m->w.d[1].engines, CLIENT + f,
			     FAKE_PORT);
	}
}

/* True: it passed. */
static bool run_seed(uint64_t seed, uint64_t *turns)
{
	struct sim *m = &sim;

	current_seed = seed;
	sim_open(m, seed);
	flows_open(m);
	run(m);
	*turns += m->turns;
	if (!m->why[0])
		drain(m);
	if (m->why[0]) {
		printf("seed %llu failed at %.6f s: %s\n",
		       (unsigned long long)seed, (double)m->w.now.us / 1e6,
		       m->why);
		say_seed();
	}
	fake_close(&m->w);
	return !m->why[0];
}

int main(int argc, char **argv)
{
	uint64_t from = 1, seeds = 0, failed = 0, turns = 0;

	for (int i = 1; i + 1 < argc; i += 2) {
		uint64_t n = strtoull(argv[i + 1], NULL, 0);

		if (!strcmp(argv[i], "--seeds"))
			seeds = n;
		else if (!strcmp(argv[i], "--from"))
			from = n;
		else if (!strcmp(argv[i], "--seed"))
			from = n, seeds = 1;
		else
			seeds = 0, i = argc;
	}
	if (!seeds || argc % 2 == 0) {
		fprintf(stderr, "usage: engines --seeds N [--from S] | --seed S\n");
		return 2;
	}
	signal(SIGABRT, on_abort);
	signal(SIGSEGV, on_abort);
	atexit(say_seed);
	rss_init(&steer, rss_symmetric_key);
	running = true;
	for (uint64_t i = 0; i < seeds && failed < 10; i++)
		failed += !run_seed(from + i, &turns);
	running = false;
	printf("%llu seeds of engines, %llu failed, %llu turns\n",
	       (unsigned long long)seeds, (unsigned long long)failed,
	       (unsigned long long)turns);
	return failed != 0;
}
