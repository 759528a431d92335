/*
 * engine_lend.c - blocks that a device reads keep their bytes until it is done
 *
 * Side 0's port is the wire's with a device before it that reads lent payload
 * when it sends, and says so when the test lets it: acknowledgements overtake.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "engine_fake.h"
#include "io/finish.h"

#define HELD	512u
#define PIECES	32u

struct held {
	struct frame *f;		/* NULL: it was sent */
	uint32_t count;			/* 0: free */
	struct port_piece piece[PIECES];
};

static struct device {
	struct port_ops ops;
	const struct port_ops *wire;
	struct held held[HELD];
	uint32_t frames;		/* lent, so far */
	bool away;			/* what is sent is dropped */
	bool refuses;			/* pieces */
	int map_error;
	const uint8_t *span[PORT_SPANS];
	uint32_t mapped;
} dev;

static struct fake_world world;
static uint64_t srv, cli;

static void come_home(struct port_queue *q, struct held *h)
{
	for (uint32_t i = 0; i < h->count; i++)
		q->home(q->engine, h->piece[i].client, h->piece[i].block);
	h->count = 0;
}

static struct held *held_of(const struct frame *f)
{
	for (uint32_t i = 0; i < HELD; i++)
		if (dev.held[i].count && dev.held[i].f == f)
			return &dev.held[i];
	return NULL;
}

static int dev_map(struct port_queue *q, uint16_t span, const uint8_t *at,
		   uint32_t bytes)
{
	(void)q;
	assert_true(span > 0 && span < PORT_SPANS && !dev.span[span]);
	assert_int_equal(bytes, SLAB_BYTES);
	if (dev.map_error)
		return dev.map_error;
	dev.span[span] = at;
	dev.mapped++;
	return 0;
}

static int dev_unmap(struct port_queue *q, uint16_t span)
{
	(void)q;
	assert_non_null(dev.span[span]);
	for (uint32_t i = 0; i < HELD; i++)
		for (uint32_t k = 0; k < dev.held[i].count; k++)
			assert_int_not_equal(dev.held[i].piece[k].span, span);
	dev.span[span] = NULL;
	dev.mapped--;
	return 0;
}

static uint32_t dev_lend(struct port_queue *q, struct frame *f,
			 const struct port_piece *piece, uint32_t count)
{
	uint32_t i = 0;

	(void)q;
	assert_true(count > 0 && count <= PIECES && !f->lent);
	while (i < HELD && dev.held[i].count)
		i++;
	if (dev.refuses || i == HELD)
		return 0;
	for (uint32_t k = 0; k < count; k++) {
		const uint8_t *slab = dev.span[piece[k].span];

		if (!slab)
			return 0;
		assert_true(piece[k].bytes >= slab && piece[k].bytes +
			    piece[k].len <= slab + SLAB_BYTES);
	}
	dev.held[i].f = f;
	dev.held[i].count = count;
	memcpy(dev.held[i].piece, piece, count * sizeof(*piece));
	for (uint32_t k = 0; k < count; k++)
		f->lent += piece[k].len;
	dev.frames++;
	return (uint32_t)((1ull << count) - 1);
}

static void dev_free(struct port_queue *q, struct frame **f, int count)
{
	for (int i = 0; i < count; i++)
		if (f[i]->lent) {
			come_home(q, held_of(f[i]));
			f[i]->lent = 0;
		}
	dev.wire->free(q, f, count);
}

static void dev_tx(struct port_queue *q, struct frame **f, int count, mono_t now)
{
	if (dev.away) {
		dev_free(q, f, count);
		return;
	}
	for (int i = 0; i < count; i++) {
		struct held *h = f[i]->lent ? held_of(f[i]) : NULL;

		for (uint32_t k = 0; h && k < h->count; k++) {
			memcpy(f[i]->data + f[i]->len, h->piece[k].bytes,
			       h->piece[k].len);
			f[i]->len += h->piece[k].len;
		}
		if (h)
			h->f = NULL;
		f[i]->lent = 0;
	}
	dev.wire->tx(q, f, count, now);
}

/* The device says what it has sent. */
static void write_back(void)
{
	struct port_queue *q = wire_end(world.wire, 0)->queues[0];

	for (uint32_t i = 0; i < HELD; i++)
		if (!dev.held[i].f)
			come_home(q, &dev.held[i]);
}

static void make_port(int side, struct port *p)
{
	if (side)
		return;
	memset(&dev, 0, sizeof(dev));
	dev.wire = p->ops;
	dev.ops = *p->ops;
	dev.ops.map = dev_map;
	dev.ops.unmap = dev_unmap;
	dev.ops.lend = dev_lend;
	dev.ops.free = dev_free;
	dev.ops.tx = dev_tx;
	p->ops = &dev.ops;
	p->caps |= PORT_LENDS;
}

static int open_world(void **state)
{
	static const struct wire_config cfg = { .seed = 1, .frames = 8192,
		.mtu = 1500, .caps = PORT_RX_CSUM | PORT_TX_CSUM | PORT_TSO };

	(void)state;
	fake_wire = &cfg;
	fake_port = make_port;
	fake_open(&world, 1, 1);
	fake_pair(&world, &srv, &cli);
	return 0;
}

static int close_world(void **state)
{
	(void)state;
	fake_close(&world);
	return 0;
}

static struct fake_client *client(int side)
{
	return &world.d[side].client[0];
}

static void send_block(uint32_t seed, uint32_t len)
{
	uint8_t buf[BLOCK_LARGE_BYTES];

	for (uint32_t i = 0; i < len; i++)
		buf[i] = (uint8_t)(i * 31 + seed + (i >> 8));
	fake_send(client(0), 0, srv, buf, len);
}

static void expect_block(uint32_t seed, uint32_t len)
{
	for (uint32_t got = 0; got < len;) {
		struct cmd cmd = { .type = CMD_CONSUMED, .sock = cli };
		const uint8_t *bytes;
		union fake_event ev;

		fake_expect(client(1), 0, EVENT_DATA, FAKE_CLIENT, &ev);
		bytes = fake_bytes(client(1), &ev.one);
		for (uint32_t i = 0; i < ev.one.data.len; i++, got++)
			assert_int_equal(bytes[i], (uint8_t)(got * 31 + seed +
							     (got >> 8)));
		cmd.consumed.bytes = ev.one.data.len;
		fake_cmd(client(1), 0, handle_engine(cli), &cmd);
	}
}

/* References on blocks by frames and extents, of client 0 of side 0. */
static uint32_t refs(void)
{
	struct arena *a = &client(0)->arena[0];
	uint32_t n = 0;

	for (uint32_t s = 1; s < a->slab_count; s++)
		for (uint32_t i = 0; a->slabs[s].meta && i <
		     slab_blocks((enum block_class)a->slabs[s].cls); i++) {
			const struct block_meta *m = &a->slabs[s].meta[i];

			/* free ones keep their link where fill is */
			n += m->refs;
		}
	return n;
}

static bool is_stocked(uint32_t block)
{
	struct fake_context *x = &client(0)->ctx[0];
	union fake_event ev;

	while (fake_event(client(0), 0, ~0u, &ev) != EVENT_NONE)
		;
	for (uint32_t i = 0; i < x->stocked[0][BLOCK_LARGE]; i++)
		if (x->stock[0][BLOCK_LARGE][i] == block)
			return true;
	return false;
}

static void payload_is_lent(void **state)
{
	uint32_t frames;

	(void)state;
	assert_true(dev.mapped >= 2);
	for (uint32_t i = 0; i < 200; i++) {
		send_block(i, 1 + i * 4095 / 199);
		expect_block(i, 1 + i * 4095 / 199);
		write_back();
	}
	assert_true(dev.frames >= 200);
	fake_run(&world, 500000);
	write_back();
	assert_int_equal(refs(), 0);
	/* a device that does not want it has it copied */
	frames = dev.frames;
	dev.refuses = true;
	send_block(7, 4000);
	expect_block(7, 4000);
	assert_int_equal(dev.frames, frames);
}

/* All is acknowledged, and no block is granted again before the device's word:
 * whatever else the client sends meanwhile, and until nothing is left. */
static void acknowledged_blocks_wait(void **state)
{
	uint32_t block[40], n;
	struct fake_context *x = &client(0)->ctx[0];

	(void)state;
	for (n = 0; n < 40; n++) {
		send_block(n, 4096);
		/* fake_send() takes the stock's last */
		block[n] = x->stock[0][BLOCK_LARGE][x->stocked[0][BLOCK_LARGE]];
		expect_block(n, 4096);
	}
	fake_run(&world, 500000);
	assert_true(refs() >= 40);	/* frames' alone */
	for (uint32_t i = 0; i < 40; i++) {
		assert_false(is_stocked(block[i]));
		for (uint32_t k = 0; k < i; k++)
			assert_int_not_equal(block[i], block[k]);
	}
	write_back();
	assert_int_equal(refs(), 0);
	for (n = 0; n < 600; n++) {	/* now they come round */
		send_block(n, 100);
		expect_block(n, 100);
		write_back();
	}
	n = 0;
	for (uint32_t i = 0; i < 40; i++)
		n += is_stocked(block[i]);
	assert_true(n > 0);
}

/* The connection is reset with frames in flight. */
static void reset_connection_waits(void **state)
{
	(void)state;
	for (uint32_t n = 0; n < 3; n++)
		send_block(n, 4096);
	fake_run(&world, 300);
	assert_true(refs() >= 3);
	fake_simple(client(0), 0, srv, CMD_CLOSE, CMD_F_ABORT, FAKE_SERVER);
	fake_run(&world, 2000000);
	assert_true(refs() >= 3);
	write_back();
	assert_int_equal(refs(), 0);
}

static void dead_client_waits(void **state)
{
	(void)state;
	for (uint32_t n = 0; n < 5; n++) {
		send_block(n, 4096);
		expect_block(n, 4096);
	}
	fake_detach(client(0), 1000);
	fake_run(&world, 3000000);
	assert_int_equal(client(0)->gone, 0);
	assert_true(dev.mapped >= 2);
	assert_true(arena_in_use(&client(0)->arena[0]) >= 5);
	write_back();
	fake_run(&world, 100000);
	assert_int_equal(client(0)->gone, 1);
	assert_int_equal(arena_in_use(&client(0)->arena[0]), 0);
	assert_int_equal(dev.mapped, 0);
	/* numbers and slot are used again */
	fake_detach(client(1), 1000);
	fake_run(&world, 100000);
	fake_pair(&world, &srv, &cli);
	send_block(9, 4096);
	expect_block(9, 4096);
	assert_true(dev.mapped >= 2);
	write_back();
}

/* What the device had is lost with it; the same blocks are sent again, and
 * nothing is held but by the frames of its new life. */
static void dead_port_gives_back(void **state)
{
	(void)state;
	send_block(1, 4096);
	fake_run(&world, 100);
	dev.away = true;
	write_back();		/* as psio_lost() does */
	send_block(2, 4096);
	fake_run(&world, 200000);
	assert_true(refs() > 0 && refs() <= 3);	/* extents' alone */
	dev.away = false;
	expect_block(1, 4096);
	expect_block(2, 4096);
	fake_run(&world, 500000);
	write_back();
	assert_int_equal(refs(), 0);
}

/* Everything is sent again and again, and told late. */
static void retransmissions_count(void **state)
{
	(void)state;
	send_block(1, 4096);
	fake_run(&world, 100);
	dev.away = true;
	fake_run(&world, 2500000);
	dev.away = false;
	expect_block(1, 4096);
	fake_run(&world, 100000);
	assert_true(refs() >= 1);
	write_back();
	assert_int_equal(refs(), 0);
}

static void unmapped_memory_is_copied(void **state)
{
	(void)state;
	fake_detach(client(0), 1000);
	fake_detach(client(1), 1000);
	fake_run(&world, 200000);
	write_back();
	fake_run(&world, 200000);
	assert_int_equal(dev.mapped, 0);
	dev.map_error = -ENOMEM;
	fake_pair(&world, &srv, &cli);
	dev.frames = 0;
	send_block(3, 4096);
	expect_block(3, 4096);
	assert_int_equal(dev.frames, 0);
	assert_int_equal(dev.mapped, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, open_world, close_world)
		T(payload_is_lent),
		T(acknowledged_blocks_wait),
		T(reset_connection_waits),
		T(dead_client_waits),
		T(dead_port_gives_back),
		T(retransmissions_count),
		T(unmapped_memory_is_copied),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
