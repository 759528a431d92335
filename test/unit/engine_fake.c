#include "engine_fake.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <cmocka.h>

#define STEP_US		50

static struct ip_addr addr_of(int side)
{
	return addr_from_v4(htonl(0x0a000001 + (uint32_t)side));
}

/* ---- the world ---- */

uint32_t fake_extents;
const struct wire_config *fake_wire;
void (*fake_tune)(int side, struct tcp_config *c);
void (*fake_port)(int side, struct port *p);
bool fake_neighbours;
struct engine_account *fake_account;

static void daemon_open(struct fake_world *w, int side, uint32_t engines)
{
	struct fake_daemon *d = &w->d[side];
	struct port *port = wire_end(w->wire, side);
	struct engine_config cfg = {
		.count = engines, .cpu = -1, .numa_node = -1,
		.local_port_min = 20000, .local_port_max = 60000,
	};

	d->world = w;
	d->engines = engines;
	memcpy(cfg.rss_key, rss_symmetric_key, sizeof(cfg.rss_key));
	tcp_config_default(&cfg.tcp);
	cfg.tcp.max_conns = 5000;
	cfg.tcp.max_syn = cfg.tcp.max_time_wait = 5000;
	cfg.tcp.max_extents = fake_extents ? fake_extents : 100000;
	cfg.tcp.secret[0] = (uint8_t)(side + 1);
	if (fake_port)
		fake_port(side, port);
	if (fake_tune)
		fake_tune(side, &cfg.tcp);
	assert_int_equal(mailbox_open(&d->control, engines, 64), 0);
	for (uint32_t i = 0; i < engines; i++) {
		cfg.index = i;
		cfg.tcp.random_seed = i + 1;
		assert_int_equal(engine_open(&d->e[i], &cfg, &port, 1), 0);
	}
	for (uint32_t i = 0; i < engines; i++)
		engine_connect(d->e[i], d->e, d->control);
	d->net.addrs[0] = (struct net_addr){
		.addr = addr_of(side), .prefix = 96 + 24, .port = port->id,
	};
	d->net.addr_count = 1;
	if (!fake_neighbours)
		return;
	d->net.neigh[0] = (struct net_neigh_entry){
		.addr = addr_of(!side), .port = port->id,
		.state = NEIGH_STATIC,
	};
	memcpy(d->net.neigh[0].mac, wire_end(w->wire, !side)->mac, 6);
	d->net.neigh_count = 1;
}

void fake_open(struct fake_world *w, uint32_t engines0, uint32_t engines1)
{
	struct wire_config cfg = { .seed = 1, .frames = 8192 };

	if (fake_wire)
		cfg = *fake_wire;
	cfg.queues[0] = (uint16_t)engines0;
	cfg.queues[1] = (uint16_t)engines1;
	memset(w, 0, sizeof(*w));
	w->now = (mono_t){ 1000000 };
	assert_int_equal(wire_create(&w->wire, &cfg), 0);
	daemon_open(w, 0, engines0);
	daemon_open(w, 1, engines1);
	for (int side = 0; side < 2; side++) {
		struct mail m = { .type = MAIL_NET_CONFIG };

		m.config.ptr = &w->d[side].net;
		assert_int_equal(fake_ask(&w->d[side], &m), 0);
	}
}

static void client_close(struct fake_client *c, uint32_t engines)
{
	if (!c->segment)
		return;
	for (uint32_t i = 0; i < engines; i++)
		arena_fini(&c->arena[i]);
	for (uint32_t i = 0; i < FAKE_SLABS; i++)
		free(c->meta[i]);
	munmap(c->segment, (size_t)FAKE_SLABS * SLAB_BYTES);
}

void fake_close(struct fake_world *w)
{
	for (int side = 0; side < 2; side++) {
		struct fake_daemon *d = &w->d[side];

		for (uint32_t i = 0; i < d->engines; i++)
			engine_close(d->e[i]);
		for (int i = 0; i < FAKE_CLIENTS; i++)
			client_close(&d->client[i], d->engines);
		mailbox_close(d->control);
	}
	wire_destroy(w->wire);
}

static void add_slab(struct fake_daemon *d, uint32_t engine, uint32_t slot,
		     uint32_t cls)
{
	struct fake_client *c = &d->client[slot - 1];
	struct mail m = { .type = MAIL_SLAB_ADD };

	if (c->next_slab == FAKE_SLABS)
		return;		/* the quota */
	m.slab.client = slot;
	m.slab.slab = c->next_slab++;
	m.slab.cls = cls;
	m.slab.meta = c->meta[m.slab.slab] =
		calloc(1, slab_meta_bytes((enum block_class)cls));
	c->cls[m.slab.slab] = (uint8_t)cls;
	assert_int_equal(mail_send(engine_mailbox(d->e[engine]), d->engines,
				   &m), 0);
}

static void control(struct fake_daemon *d)
{
	struct mail m;

	while (mail_receive(d->control, &m)) {
		switch (m.type) {
		case MAIL_WANT_SLAB:	/* which engine asked is not told */
			for (uint32_t i = 0; i < d->engines; i++)
				add_slab(d, i, m.slab.client, m.slab.cls);
			break;
		case MAIL_CLIENT_BAD:
			d->client[m.bad.slot - 1].bad = m.bad.reason;
			break;
		case MAIL_CLIENT_GONE:
			d->client[m.client.slot - 1].gone++;
			break;
		case MAIL_STOPPED:
			d->stopped++;
			break;
		case MAIL_DONE:
			d->done = m;
			d->dones++;
			break;
		}
	}
}

void fake_turn(struct fake_world *w)
{
	for (int side = 0; side < 2; side++) {
		for (uint32_t i = 0; i < w->d[side].engines; i++)
			engine_turn(w->d[side].e[i], w->now);
		control(&w->d[side]);
	}
}

static void step(struct fake_world *w)
{
	w->now = mono_add(w->now, STEP_US);
	fake_turn(w);
}

void fake_run(struct fake_world *w, uint64_t us)
{
	for (uint64_t t = 0; t < us; t += STEP_US)
		step(w);
}

int fake_ask(struct fake_daemon *d, struct mail *m)
{
	int err = 0;

	m->tag = 1;
	for (uint32_t i = 0; i < d->engines; i++) {
		uint32_t before = d->dones;

		assert_int_equal(mail_send(engine_mailbox(d->e[i]), d->engines,
					   m), 0);
		for (int n = 0; n < 10000 && d->dones == before; n++)
			step(d->world);
		assert_int_equal(d->dones, before + 1);
		if (d->done.done.error)
			err = d->done.done.error;
	}
	return err;
}

/* ---- clients ---- */

static void attach_context(struct fake_client *c, uint32_t ctx)
{
	uint64_t at = SLAB_BYTES + (uint64_t)ctx *
					   context_bytes(c->d->engines);
	struct mail m = { .type = MAIL_CONTEXT_ADD };

	m.context.client = c->slot;
	m.context.context = ctx;
	m.context.rings_offset = at;
	m.context.wake_wr = -1;
	m.context.home = ctx;
	assert_int_equal(fake_ask(c->d, &m), 0);
	c->ctx[ctx].wake = (struct wake_shared *)(void *)(c->segment + at);
	for (uint32_t e = 0; e < c->d->engines; e++) {
		ring_attach(&c->ctx[ctx].cmd[e],
			    c->segment + at + context_cmd_ring_offset(e),
			    CMD_RING_SLOTS);
		ring_attach(&c->ctx[ctx].event[e],
			    c->segment + at + context_event_ring_offset(e),
			    EVENT_RING_SLOTS);
	}
}

struct fake_client *fake_client(struct fake_world *w, int side, int i)
{
	struct fake_daemon *d = &w->d[side];
	struct fake_client *c = &d->client[i];

	client_close(c, d->engines);	/* whoever had the slot is gone */
	memset(c, 0, sizeof(*c));
	c->d = d;
	c->slot = (uint32_t)i + 1;
	c->next_slab = 2;
	c->segment = mmap(NULL, (size_t)FAKE_SLABS * SLAB_BYTES,
			  PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	assert_ptr_not_equal(c->segment, MAP_FAILED);
	for (uint32_t e = 0; e < d->engines; e++) {
		struct mail m = { .type = MAIL_CLIENT_ADD };

		assert_int_equal(arena_init(&c->arena[e], c->segment,
					    FAKE_SLABS), 0);
		m.client.slot = c->slot;
		m.client.slabs = FAKE_SLABS;
		m.client.segment = c->segment;
		m.client.arena = &c->arena[e];
		m.client.wake_rd = -1;
		m.client.account = fake_account;
		assert_int_equal(mail_send(engine_mailbox(d->e[e]),
					   d->engines, &m), 0);
	}
	for (uint32_t ctx = 0; ctx < FAKE_CONTEXTS; ctx++)
		attach_context(c, ctx);
	return c;
}

static void listen_with(struct fake_client *c, uint32_t ctx, uint64_t id,
			uint16_t port, uint16_t flags)
{
	struct mail m = { .type = MAIL_LISTEN };

	m.listen.id = id;
	m.listen.flags = flags;
	m.listen.port = htons(port);
	m.listen.backlog = 128;
	m.listen.client = c->slot;
	m.listen.context = ctx;
	assert_int_equal(fake_ask(c->d, &m), 0);
}

void fake_listen(struct fake_client *c, uint32_t ctx, uint64_t id,
		 uint16_t port)
{
	listen_with(c, ctx, id, port, 0);
}

void fake_listen_brother(struct fake_client *c, uint32_t ctx, uint64_t id,
			 uint16_t port)
{
	listen_with(c, ctx, id, port, CTL_LISTEN_BROTHERS);
}

void fake_detach(struct fake_client *c, uint64_t grace_us)
{
	struct mail m = { .type = MAIL_CLIENT_DETACH };

	m.detach.slot = c->slot;
	m.detach.grace_us = grace_us;
	assert_int_equal(fake_ask(c->d, &m), 0);
}

/* ---- records ---- */

void fake_cmd(struct fake_client *c, uint32_t ctx, uint32_t engine,
	      const struct cmd *cmd)
{
	struct ring *r = &c->ctx[ctx].cmd[engine];

	while (ring_room(r, 1) < 1)
		step(c->d->world);
	memcpy(ring_slot(r), cmd, sizeof(*cmd));
	ring_publish(r);
}

void fake_credit(struct fake_client *c, uint32_t ctx, uint32_t engine,
		 uint64_t listener, uint32_t cookie)
{
	struct cmd cmd = { .type = CMD_CREDIT, .cookie = 1, .sock = listener };

	cmd.credit.cookies[0] = cookie;
	fake_cmd(c, ctx, engine, &cmd);
}

void fake_connect(struct fake_client *c, uint32_t ctx, uint32_t engine,
		  uint32_t cookie, uint16_t port)
{
	struct ip_addr to = addr_of(c->d == &c->d->world->d[0]);
	struct cmd_connect in = { .type = CMD_CONNECT, .cookie = cookie,
				  .remote_port = htons(port) };
	struct ring *r = &c->ctx[ctx].cmd[engine];

	memcpy(in.remote_addr, &to, sizeof(to));
	while (ring_room(r, 2) < 2)
		step(c->d->world);
	memcpy(ring_slot(r), &in, RING_SLOT);
	memcpy(ring_slot(r), (uint8_t *)&in + RING_SLOT, RING_SLOT);
	ring_publish(r);
}

void fake_simple(struct fake_client *c, uint32_t ctx, uint64_t sock,
		 uint8_t type, uint8_t flags, uint32_t cookie)
{
	struct cmd cmd = { .type = type, .flags = flags, .sock = sock,
			   .cookie = cookie };

	fake_cmd(c, ctx, handle_engine(sock), &cmd);
}

void fake_send(struct fake_client *c, uint32_t ctx, uint64_t sock,
	       const void *bytes, uint32_t len)
{
	uint32_t en = handle_engine(sock);
	struct fake_context *x = &c->ctx[ctx];
	struct cmd cmd = { .type = CMD_SEND, .flags = CMD_F_LAST,
			   .sock = sock };
	union fake_event ev;

	assert_true(len <= BLOCK_LARGE_BYTES);
	for (int n = 0; n < 10000 && !x->stocked[en][BLOCK_LARGE]; n++) {
		assert_int_equal(fake_event(c, ctx, en, &ev), EVENT_NONE);
		step(c->d->world);
	}
	assert_true(x->stocked[en][BLOCK_LARGE] > 0);
	cmd.send.block = x->stock[en][BLOCK_LARGE]
				 [--x->stocked[en][BLOCK_LARGE]];
	cmd.send.len = (uint16_t)len;
	memcpy(c->segment + block_offset(cmd.send.block, BLOCK_LARGE), bytes,
	       len);
	fake_cmd(c, ctx, en, &cmd);
}

static void stock(struct fake_context *x, uint32_t en, const struct event *ev)
{
	uint32_t *n = &x->stocked[en][ev->cls];

	assert_true(ev->count > 0 && ev->count <= EVENT_GRANT_BLOCKS);
	for (uint32_t i = 0; i < ev->count && *n < FAKE_STOCK; i++)
		x->stock[en][ev->cls][(*n)++] = ev->blocks[i];
}

static uint8_t one_event(struct fake_client *c, uint32_t ctx, uint32_t en,
			 union fake_event *out)
{
	struct ring *r = &c->ctx[ctx].event[en];

	while (ring_peek(r) > 0) {
		ring_copy(r, 0, out->bytes);
		if (event_slots(out->one.type) == 2)
			ring_copy(r, 1, out->bytes + RING_SLOT);
		ring_release(r, event_slots(out->one.type));
		if (out->one.type != EVENT_GRANT)
			return out->one.type;
		stock(&c->ctx[ctx], en, &out->one);
	}
	return EVENT_NONE;
}

uint8_t fake_event(struct fake_client *c, uint32_t ctx, uint32_t engine,
		   union fake_event *out)
{
	uint8_t type = EVENT_NONE;

	for (uint32_t i = 0; i < c->d->engines && type == EVENT_NONE; i++)
		if (engine == ~0u || engine == i)
			type = one_event(c, ctx, i, out);
	return type;
}

void fake_expect(struct fake_client *c, uint32_t ctx, uint8_t type,
		 uint32_t cookie, union fake_event *out)
{
	for (int n = 0; n < 2000000 / STEP_US; n++) {
		uint8_t got;

		while ((got = fake_event(c, ctx, ~0u, out)) != EVENT_NONE)
			if (got == type && out->one.cookie == cookie)
				return;
		step(c->d->world);
	}
	fail_msg("no event %u for cookie %u", type, cookie);
}

const uint8_t *fake_bytes(const struct fake_client *c, const struct event *ev)
{
	uint8_t cls = c->cls[block_slab(ev->data.block)];

	return c->segment + ev->data.offset +
	       block_offset(ev->data.block, (enum block_class)cls);
}

void fake_pair(struct fake_world *w, uint64_t *server, uint64_t *client)
{
	struct fake_client *s = fake_client(w, 0, 0);
	struct fake_client *c = fake_client(w, 1, 0);
	union fake_event ev;

	fake_listen(s, 0, FAKE_LISTENER, FAKE_PORT);
	for (uint32_t i = 0; i < w->d[0].engines; i++)
		fake_credit(s, 0, i, FAKE_LISTENER, FAKE_SERVER);
	fake_connect(c, 0, 0, FAKE_CLIENT, FAKE_PORT);
	fake_expect(c, 0, EVENT_CONNECTED, FAKE_CLIENT, &ev);
	*client = ev.one.sock;
	fake_expect(s, 0, EVENT_ACCEPTED, FAKE_SERVER, &ev);
	*server = ev.two.sock;
}
