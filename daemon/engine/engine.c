/*
 * engine.c - the loop, and what it needs to begin
 *
 * The only file under engine/ that reads a clock.
 */
#include "base/line.h"
#include "engine/engine.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/siphash.h"
#include "engine/engine_state.h"

#define MAIL_SLOTS	256u
#define CPU_REFRESH_US	100000
#define OWN_SMALL_SLABS	1u	/* data of connections nobody took yet */
#define OWN_LARGE_SLABS	1u
#define STATE_SPARE	(256ull << 20)

/* ---- the loop ---- */

uint32_t engine_turn(struct engine *e, mono_t now)
{
	uint32_t work;

	if (e->busy)
		hist_add(&e->stats.loop_us,
			 (uint32_t)mono_diff_us(e->now, now));
	e->now = now;
	count(&e->stats.loops);
	work = mail_turn(e);
	work += packet_in(e);
	work += packet_handed_in(e);
	work += command_turn(e);
	if (e->move_head)
		work += moves_turn(e);
	work += tcp_advance(e->tcp, now);
	net_advance(e->net, now);
	work += accept_turn(e);
	if (e->leaving_count || e->ending_count)
		client_turn(e);
	work += packet_out(e);
	event_turn(e);
	event_publish(e);
	packet_handed_flush(e);
	e->busy = work != 0;
	if (work)
		count(&e->stats.busy_loops);
	return work;
}

static void refresh_cpu(struct engine *e)
{
	struct timespec ts;

	if (mono_diff_us(e->last_cpu, e->now) < CPU_REFRESH_US)
		return;
	e->last_cpu = e->now;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	atomic_store_explicit(&e->stats.cpu_us,
			      (uint64_t)ts.tv_sec * 1000000 +
				      (uint64_t)ts.tv_nsec / 1000,
			      memory_order_relaxed);
}

/* Nothing to do: is it time to stop looking for it? */
static bool idle_long_enough(const struct engine *e)
{
	return e->cfg.spin_us != ~0u &&
	       mono_diff_us(e->last_work, e->now) >= (int64_t)e->cfg.spin_us;
}

static bool others_send(const struct engine *e)
{
	for (uint32_t i = 0; e->all && i < e->cfg.count; i++)
		if (atomic_load_explicit(&e->all[i]->sending,
					 memory_order_acquire))
			return true;
	return false;
}

/* Ports may send the frames of other engines through our queue: it is served
 * until the last of them has nothing more to say.  Their grace bounds it. */
static void last_turns(struct engine *e)
{
	const struct timespec gap = { .tv_nsec = 100000 };

	atomic_store_explicit(&e->sending, false, memory_order_release);
	while (others_send(e)) {
		engine_turn(e, mono_now());
		nanosleep(&gap, NULL);
	}
	engine_turn(e, mono_now());
}

static void *engine_main(void *arg)
{
	struct engine *e = arg;
	char name[16];

	snprintf(name, sizeof(name), "engine %u", e->cfg.index);
	pthread_setname_np(pthread_self(), name);	/* top -H, gdb */
	e->last_work = mono_now();
	while (!e->stopped || e->outbox_head != e->outbox_tail) {
		uint32_t work = engine_turn(e, mono_now());

		refresh_cpu(e);
		if (work + sleep_glance(e)) {
			e->last_work = e->now;
			continue;
		}
		if (idle_long_enough(e) && !e->stopped) {
			sleep_now(e);
			/* what woke us is looked for before sleeping again,
			 * and a busy peer's next record soon follows */
		} else {
			__builtin_ia32_pause();
		}
	}
	last_turns(e);
	return NULL;
}

/* ---- beginning and end ---- */

static void *state_piece(struct engine *e, const char *what, size_t n,
			 size_t bytes)
{
	return state_alloc(e->state, what, n * bytes);
}

/* What TCP takes a connection, roughly, and our own tables: a reservation
 * costs nothing until it is touched. */
static size_t reserve_bytes(const struct tcp_config *t)
{
	return STATE_SPARE + (size_t)t->max_conns * 3072 +
	       (size_t)t->max_syn * 128 + (size_t)t->max_time_wait * 128 +
	       (size_t)t->max_extents * 96 + (size_t)t->max_listeners * 256 +
	       (size_t)MEMBERS_ALL * sizeof(struct member);
}

static int open_tables(struct engine *e)
{
	size_t conns = (size_t)e->cfg.tcp.max_conns + 1;
	void *notes, *holders, *moves;

	e->links = state_piece(e, "links", conns, sizeof(struct link));
	notes = state_piece(e, "notes", conns, sizeof(struct note));
	holders = state_piece(e, "holders", HOLDERS_ALL + 1,
			      sizeof(struct holder));
	moves = state_piece(e, "moves", MOVES_ALL, sizeof(struct move));
	e->member_memory = state_piece(e, "members", MEMBERS_ALL,
				       sizeof(struct member));
	e->listeners = state_piece(e, "listeners",
				   (size_t)e->cfg.tcp.max_listeners + 1,
				   sizeof(struct listener));
	e->contexts = state_piece(e, "contexts", CONTEXTS_ALL,
				  sizeof(struct context));
	e->clients = state_piece(e, "clients", TCP_CLIENTS_MAX,
				 sizeof(struct client));
	e->outbox = state_piece(e, "outbox", OUTBOX_MAILS,
				sizeof(struct mail));
	e->tuples.hints = state_piece(e, "local ports", TUPLE_HINTS,
				      sizeof(struct tuple_hint));
	if (!e->links || !notes || !holders || !moves || !e->member_memory ||
	    !e->listeners || !e->contexts || !e->clients || !e->outbox ||
	    !e->tuples.hints)
		return -ENOMEM;
	pool_init(&e->notes, notes, sizeof(struct note), (uint32_t)conns);
	pool_init(&e->holders, holders, sizeof(struct holder),
		  HOLDERS_ALL + 1);
	pool_init(&e->moves, moves, sizeof(struct move), MOVES_ALL);
	e->context_fresh = 1;
	return 0;
}

static int own_slab(struct engine *e, uint32_t slab, enum block_class cls)
{
	struct block_meta *meta = state_piece(e, "own blocks", 1,
					      slab_meta_bytes(cls));

	return meta ? arena_add_slab(&e->own, slab, cls, meta) : -ENOMEM;
}

/* The engine's own arena: slab 0 is never used, as in every segment. */
static int open_own(struct engine *e)
{
	uint32_t slabs = 1 + OWN_SMALL_SLABS + OWN_LARGE_SLABS;
	int err;

	e->own_bytes = state_piece(e, "own slabs", slabs, SLAB_BYTES);
	if (!e->own_bytes)
		return -ENOMEM;
	err = arena_init(&e->own, e->own_bytes, slabs);
	if (!err)
		err = own_slab(e, 1, BLOCK_SMALL);
	return err ? err : own_slab(e, 2, BLOCK_LARGE);
}

static void open_tuples(struct engine *e)
{
	e->tuples.rss = &e->rss;
	e->tuples.engine = e->cfg.index;
	e->tuples.engines = e->cfg.count;
	e->tuples.min = e->cfg.local_port_min;
	e->tuples.max = e->cfg.local_port_max;
	memcpy(e->tuples.secret, e->cfg.tcp.secret, sizeof(e->tuples.secret));
	e->nameless_secret = siphash(e->cfg.tcp.secret, "nameless", 8);
}

static int open_ports(struct engine *e, struct port *const *ports, uint32_t n)
{
	int err = 0;

	if (n > PORT_MAX)
		return -EINVAL;
	for (uint32_t i = 0; i < n && !err; i++) {
		struct port *p = ports[i];

		if (p->queue_count <= e->cfg.index)
			return -EINVAL;
		e->ports[i].port = p;
		e->ports[i].queue = p->queues[e->cfg.index];
		e->ports[i].limits.mtu = (uint16_t)p->mtu;
		e->ports[i].limits.tso_max_bytes =
			p->caps & PORT_TSO ? p->tso_max_bytes : 0;
		tcp_set_port_mtu(e->tcp, p->id, (uint16_t)p->mtu);
		err = net_set_port(e->net, p->id, p->mac, (uint16_t)p->mtu);
		e->port_count++;
	}
	return err;
}

static int open_mail(struct engine *e)
{
	for (uint32_t i = 0; i < e->cfg.count; i++) {
		if (i == e->cfg.index)
			continue;
		e->inbound[i] = handover_open();
		if (!e->inbound[i])
			return -ENOMEM;
	}
	return mailbox_open(&e->mailbox, e->cfg.count + 1, MAIL_SLOTS);
}

static int open_parts(struct engine *e, struct port *const *ports, uint32_t n)
{
	char name[32];
	int err;

	snprintf(name, sizeof(name), "mtcpd-engine-%u", e->cfg.index);
	err = state_open(&e->state, name, e->cfg.numa_node, e->cfg.huge_pages,
			 reserve_bytes(&e->cfg.tcp));
	if (!err)
		err = open_tables(e);
	if (!err)
		err = open_own(e);
	if (!err)
		err = tcp_init(&e->tcp, &e->cfg.tcp, &e->rss, state_alloc,
			       e->state);
	if (!err)
		err = net_init(&e->net, e->cfg.net_secret);
	if (!err)
		err = open_ports(e, ports, n);
	lend_open(e);
	if (!err)
		err = open_mail(e);
	return err ? err : sleep_open(e);
}

static bool config_ok(const struct engine_config *cfg)
{
	return cfg->count >= 1 && cfg->count <= ENGINES_MAX &&
	       cfg->index < cfg->count && cfg->local_port_min > 0 &&
	       cfg->local_port_min <= cfg->local_port_max &&
	       cfg->tcp.max_conns > 0;
}

int engine_open(struct engine **out, const struct engine_config *cfg,
		struct port *const *ports, uint32_t port_count)
{
	struct engine *e;
	int err;

	if (!config_ok(cfg))
		return -EINVAL;
	e = line_alloc(sizeof(*e));
	if (!e)
		return -ENOMEM;
	e->cfg = *cfg;
	e->cfg.tcp.engine = cfg->index;
	e->cfg.tcp.engines = cfg->count;
	e->epoll = e->client_epoll = -1;
	rss_init(&e->rss, cfg->rss_key);
	open_tuples(e);
	err = open_parts(e, ports, port_count);
	if (err) {
		engine_close(e);
		return err;
	}
	tcp_set_arena(e->tcp, 0, &e->own);
	*out = e;
	return 0;
}

void engine_connect(struct engine *e, struct engine *const *all,
		    struct mailbox *control)
{
	e->all = all;
	e->control = control;
}

static int pin(struct engine *e, pthread_attr_t *attr)
{
	cpu_set_t set;

	if (e->cfg.cpu < 0)
		return 0;
	CPU_ZERO(&set);
	CPU_SET((unsigned int)e->cfg.cpu, &set);
	return -pthread_attr_setaffinity_np(attr, sizeof(set), &set);
}

int engine_start(struct engine *e)
{
	pthread_attr_t attr;
	int err = -pthread_attr_init(&attr);

	if (err)
		return err;
	err = pin(e, &attr);
	atomic_store_explicit(&e->sending, true, memory_order_release);
	if (!err)
		err = -pthread_create(&e->thread, &attr, engine_main, e);
	pthread_attr_destroy(&attr);
	e->started = err == 0;
	if (err)
		atomic_store_explicit(&e->sending, false, memory_order_release);
	return err;
}

void engine_join(struct engine *e)
{
	if (e->started)
		pthread_join(e->thread, NULL);
	e->started = false;
}

void engine_close(struct engine *e)
{
	if (!e)
		return;
	for (uint32_t i = 0; i < e->port_count; i++)
		if (e->ports[i].spares)
			port_free(e->ports[i].queue, e->ports[i].spare,
				  e->ports[i].spares);
	sleep_close(e);
	mailbox_close(e->mailbox);
	for (uint32_t i = 0; i < ENGINES_MAX; i++)
		handover_close(e->inbound[i]);
	if (e->net)
		net_fini(e->net);
	arena_fini(&e->own);
	if (e->state)
		state_close(e->state);
	free(e);
}

/* ---- for control ---- */

struct mailbox *engine_mailbox(struct engine *e)
{
	return e->mailbox;
}

const struct engine_stats *engine_stats(const struct engine *e)
{
	return &e->stats;
}

const struct tcp_client_stats *engine_client_stats(const struct engine *e,
						   uint32_t client)
{
	return tcp_client_stats(e->tcp, client);
}

const struct tcp_stats *engine_tcp_stats(const struct engine *e)
{
	return tcp_stats(e->tcp);
}

const struct net_stats *engine_net_stats(const struct engine *e)
{
	return net_stats(e->net);
}

const struct engine_config *engine_config(const struct engine *e)
{
	return &e->cfg;
}
