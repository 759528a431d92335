/*
 * port_wire.c - the virtual cable keeps its promises: order, time, counts,
 * probabilities, and no frame is ever lost from the books
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "io/port_wire.h"
#include "shm/rss.h"

static mono_t at(uint64_t us)
{
	return (mono_t){ us };
}

static struct wire *make(struct wire_config cfg)
{
	struct wire *w;

	assert_int_equal(wire_create(&w, &cfg), 0);
	return w;
}

/* Sends one frame of @len bytes whose first four bytes are @mark. */
static void send_mark(struct wire *w, int from, uint32_t mark, uint32_t len,
		      uint64_t now_us)
{
	struct port_queue *q = wire_end(w, from)->queues[0];
	struct frame *f;

	assert_int_equal(port_alloc(q, &f, 1), 1);
	assert_true(f->room >= len);
	memset(f->data, 0, len);
	memcpy(f->data, &mark, 4);
	f->len = len;
	port_tx(q, &f, 1, at(now_us));
}

/* One frame's mark, or -1 when none has arrived. */
static int64_t recv_mark(struct wire *w, int end, int queue, uint64_t now_us)
{
	struct port_queue *q = wire_end(w, end)->queues[queue];
	struct frame *f;
	uint32_t mark;

	if (!port_rx(q, &f, 1, at(now_us)))
		return -1;
	memcpy(&mark, f->data, 4);
	assert_int_equal(f->queue, queue);
	port_free(q, &f, 1);
	return mark;
}

static void test_order_and_delay(void **state)
{
	struct wire *w = make((struct wire_config){ .impair[0].delay_us = 50 });

	(void)state;
	for (uint32_t i = 0; i < 100; i++)
		send_mark(w, 0, i, 60, 1000);
	assert_int_equal(wire_frames_in_flight(w), 100);
	assert_int_equal(wire_next_due(w).us, 1050);
	assert_int_equal(recv_mark(w, 1, 0, 1049), -1);
	for (uint32_t i = 0; i < 100; i++)
		assert_int_equal(recv_mark(w, 1, 0, 1050), i);
	assert_int_equal(recv_mark(w, 0, 0, 5000), -1);
	assert_int_equal(wire_frames_in_flight(w), 0);
	assert_int_equal(wire_frames_held(w, 0), 0);
	assert_int_equal(wire_frames_held(w, 1), 0);
	assert_int_equal(wire_next_due(w).us, UINT64_MAX);
	wire_destroy(w);
}

static void test_held_counts(void **state)
{
	struct wire *w = make((struct wire_config){ .frames = 8 });
	struct port_queue *a = wire_end(w, 0)->queues[0];
	struct port_queue *b = wire_end(w, 1)->queues[0];
	struct frame *f[9];

	(void)state;
	assert_int_equal(port_alloc(a, f, 9), 8);
	assert_int_equal(counter_get(&a->stats.no_frame), 1);
	assert_int_equal(wire_frames_held(w, 0), 8);
	for (int i = 0; i < 8; i++)
		f[i]->len = 60;
	port_tx(a, f, 5, at(1));
	port_free(a, f + 5, 3);
	assert_int_equal(wire_frames_held(w, 0), 0);
	assert_int_equal(port_rx(b, f, 3, at(1)), 3);
	assert_int_equal(wire_frames_held(w, 1), 3);
	assert_int_equal(wire_frames_in_flight(w), 2);
	port_tx(b, f, 3, at(1));	/* received frames may be sent back */
	assert_int_equal(wire_frames_held(w, 1), 0);
	assert_int_equal(wire_frames_in_flight(w), 5);
	wire_destroy(w);
}

static void test_rate_and_queue_limit(void **state)
{
	/* 8 Mb/s: a byte a microsecond */
	struct wire *w = make((struct wire_config){
		.impair[0] = { .rate_bps = 8000000, .queue_bytes = 3000 } });

	(void)state;
	for (uint32_t i = 0; i < 5; i++)
		send_mark(w, 0, i, 1000, 1000);
	assert_int_equal(wire_stats(w, 0)->queue_dropped, 2);
	assert_int_equal(recv_mark(w, 1, 0, 1999), -1);
	assert_int_equal(recv_mark(w, 1, 0, 2000), 0);
	assert_int_equal(wire_next_due(w).us, 3000);
	assert_int_equal(recv_mark(w, 1, 0, 3000), 1);
	assert_int_equal(recv_mark(w, 1, 0, 4000), 2);
	send_mark(w, 0, 9, 1000, 10000);
	assert_int_equal(wire_next_due(w).us, 11000);
	wire_destroy(w);
}

static void test_jitter_keeps_order(void **state)
{
	struct wire *w = make((struct wire_config){
		.seed = 3, .impair[0] = { .delay_us = 10, .jitter_us = 500 } });
	uint32_t next = 0;

	(void)state;
	for (uint32_t i = 0; i < 200; i++)
		send_mark(w, 0, i, 60, i);
	while (wire_frames_in_flight(w))
		assert_int_equal(recv_mark(w, 1, 0, wire_next_due(w).us),
				 next++);
	assert_int_equal(next, 200);
	wire_destroy(w);
}

static void test_reorder(void **state)
{
	struct wire *w = make((struct wire_config){
		.seed = 5, .frames = 2000,
		.impair[0] = { .reorder_ppm = 100000, .reorder_us = 25 } });
	int64_t last = -1, mark;
	unsigned int late = 0, seen = 0;

	(void)state;
	for (uint32_t i = 0; i < 1000; i++)
		send_mark(w, 0, i, 60, 10 * i);
	for (; (mark = recv_mark(w, 1, 0, 1000000)) >= 0; seen++) {
		if (mark < last)
			late++;
		else
			last = mark;
	}
	assert_int_equal(seen, 1000);
	assert_in_range(wire_stats(w, 0)->reordered, 60, 150);
	assert_in_range(late, 50, 150);
	wire_destroy(w);
}

static void test_probabilities(void **state)
{
	struct wire *w = make((struct wire_config){
		.seed = 11,
		.impair[0] = { .loss_ppm = 200000, .duplicate_ppm = 100000,
			       .corrupt_ppm = 50000 } });
	const struct wire_stats *s = wire_stats(w, 0);
	unsigned int got = 0, bad = 0;
	struct frame *f;

	(void)state;
	for (uint32_t i = 0; i < 20000; i++) {
		send_mark(w, 0, 0, 64, i);
		while (port_rx(wire_end(w, 1)->queues[0], &f, 1, at(i))) {
			got++;
			for (uint32_t b = 0; b < f->len; b++)
				bad += f->data[b] != 0;
			port_free(wire_end(w, 1)->queues[0], &f, 1);
		}
	}
	assert_in_range(s->lost, 3700, 4300);
	assert_in_range(s->duplicated, 1400, 1800);
	assert_in_range(s->corrupted, 700, 900);
	assert_int_equal(got, 20000 - s->lost + s->duplicated);
	assert_int_equal(got, s->delivered);
	/* one byte each; a corrupted frame may be duplicated */
	assert_in_range(bad, s->corrupted, s->corrupted + 200);
	assert_int_equal(wire_frames_held(w, 0) + wire_frames_held(w, 1), 0);
	wire_destroy(w);
}

static void test_bursts(void **state)
{
	struct wire *w = make((struct wire_config){
		.seed = 2, .impair[0] = { .burst_enter_ppm = 10000,
					  .burst_leave_ppm = 200000 } });
	unsigned int bursts = 0;
	bool losing = false;

	(void)state;
	for (uint32_t i = 0; i < 20000; i++) {
		send_mark(w, 0, i, 60, i);
		bool lost = recv_mark(w, 1, 0, i) < 0;
		bursts += lost && !losing;
		losing = lost;
	}
	/* about 1 % of good frames begin one, five frames long */
	assert_in_range(bursts, 150, 250);
	assert_in_range(wire_stats(w, 0)->burst_lost, 700, 1300);
	wire_destroy(w);
}

static uint64_t digest(uint64_t seed)
{
	struct wire *w = make((struct wire_config){
		.seed = seed,
		.impair[0] = { .loss_ppm = 100000, .duplicate_ppm = 100000,
			       .reorder_ppm = 100000, .reorder_us = 300,
			       .delay_us = 100, .jitter_us = 100,
			       .corrupt_ppm = 10000 } });
	uint64_t sum = 0;
	int64_t mark;

	for (uint32_t i = 0; i < 1000; i++) {
		send_mark(w, 0, i, 60, 7 * i);
		while ((mark = recv_mark(w, 1, 0, 7 * i)) >= 0)
			sum = sum * 31 + (uint64_t)mark + 7 * i;
	}
	wire_destroy(w);
	return sum;
}

static void test_replay(void **state)
{
	(void)state;
	assert_true(digest(42) == digest(42));
	assert_true(digest(42) != digest(43));
}

static bool drop_third(void *arg, int from, struct frame *f, mono_t now)
{
	(void)f;
	(void)now;
	assert_int_equal(from, 0);
	return ++*(int *)arg != 3;
}

static void test_filter(void **state)
{
	int seen = 0;
	struct wire *w = make((struct wire_config){ .filter = drop_third,
						    .filter_arg = &seen });

	(void)state;
	for (uint32_t i = 1; i <= 4; i++)
		send_mark(w, 0, i, 60, 1);
	assert_int_equal(recv_mark(w, 1, 0, 1), 1);
	assert_int_equal(recv_mark(w, 1, 0, 1), 2);
	assert_int_equal(recv_mark(w, 1, 0, 1), 4);
	assert_int_equal(wire_stats(w, 0)->filtered, 1);
	wire_destroy(w);
}

/* A TCP frame's bytes: 10.0.0.1:1000+i > 10.0.0.2:80, tagged or not. */
static void put_tcp(struct frame *f, uint16_t i, bool swap, bool tag)
{
	uint8_t *p = f->data + 12, ip[24] = { 0x45, 0, 0, 44 };
	uint16_t port = (uint16_t)(1000 + i);

	memset(f->data, 2, 12);
	if (tag) {
		memcpy(p, "\x81\x00\x00\x07", 4);
		p += 4;
	}
	memcpy(p, "\x08\x00", 2);
	ip[9] = 6;
	memcpy(ip + 12, swap ? "\x0a\0\0\2\x0a\0\0\1" : "\x0a\0\0\1\x0a\0\0\2", 8);
	ip[20 + 2 * swap] = (uint8_t)(port >> 8);
	ip[21 + 2 * swap] = (uint8_t)port;
	ip[23 - 2 * swap] = 80;
	memcpy(p + 2, ip, sizeof(ip));
	f->len = (uint32_t)(p + 2 + sizeof(ip) - f->data) + 16;
}

static void test_rss_steering(void **state)
{
	static struct rss rss;
	struct wire *w;
	struct frame *f;
	unsigned int count[4] = { 0 };

	(void)state;
	rss_init(&rss, rss_symmetric_key);
	w = make((struct wire_config){ .queues = { 1, 4 },
				       .steer = wire_steer_rss,
				       .steer_arg = &rss });
	for (uint16_t i = 0; i < 400; i++) {
		struct port_queue *q = wire_end(w, 0)->queues[0];

		assert_int_equal(port_alloc(q, &f, 1), 1);
		put_tcp(f, i, true, false);
		uint32_t back = wire_steer_rss(&rss, f);
		put_tcp(f, i, false, true);
		assert_int_equal(wire_steer_rss(&rss, f), back);
		put_tcp(f, i, false, false);
		assert_int_equal(wire_steer_rss(&rss, f), back);
		port_tx(q, &f, 1, at(1));
		q = wire_end(w, 1)->queues[back % 4];
		assert_int_equal(port_rx(q, &f, 1, at(1)), 1);
		count[back % 4]++;
		port_free(q, &f, 1);
	}
	for (int i = 0; i < 4; i++)
		assert_in_range(count[i], 50, 150);
	wire_destroy(w);
}

/* Short and torn frames must not be read past their end (asan looks on). */
static void test_rss_garbage(void **state)
{
	static struct rss rss;
	uint32_t x = 1;

	(void)state;
	rss_init(&rss, rss_symmetric_key);
	for (uint32_t len = 0; len < 80; len++) {
		uint8_t *b = malloc(len ? len : 1);
		struct frame f = { .data = b, .len = len };

		for (int round = 0; round < 50; round++) {
			for (uint32_t i = 0; i < len; i++)
				b[i] = (uint8_t)((x = x * 1664525 + 1) >> 24);
			if (len > 14 && round & 1)
				memcpy(b + 12, "\x08\x00\x4f", len < 15 ? 2 : 3);
			else if (len >= 18)
				memcpy(b + 12, "\x81\x00\x00\x01\x08\x00", 6);
			wire_steer_rss(&rss, &f);
		}
		free(b);
	}
}

static void partial(struct wire *w, uint16_t start, uint16_t offset)
{
	struct port_queue *q = wire_end(w, 0)->queues[0];
	struct frame *f;

	assert_int_equal(port_alloc(q, &f, 1), 1);
	memset(f->data, 1, 65);
	f->len = 65;
	f->flags = FRAME_CSUM_PARTIAL;
	f->csum_start = start;
	f->csum_offset = offset;
	f->data[34 + 16] = 0;
	f->data[34 + 17] = 0x20;
	port_tx(q, &f, 1, at(1));
}

static void test_checksums(void **state)
{
	struct wire *w = make((struct wire_config){ .caps = PORT_TX_CSUM });
	struct port_queue *q = wire_end(w, 1)->queues[0];
	struct frame *f;
	uint32_t sum = 0;

	(void)state;
	partial(w, 34, 16);
	assert_int_equal(port_rx(q, &f, 1, at(1)), 1);
	assert_int_equal(f->flags, 0);
	for (uint32_t i = 34; i < 65; i++)
		sum += (i & 1) ? f->data[i] : (uint32_t)f->data[i] << 8;
	/* the whole with its sum, less the pseudo header's 0x20, is ~0 */
	sum = (sum & 0xffff) + (sum >> 16);
	assert_int_equal((sum + 0x20) & 0xffff, 0xffff);
	port_free(q, &f, 1);
	partial(w, 60000, 60000);	/* nonsense offsets: nothing written */
	partial(w, 64, 0);
	wire_destroy(w);

	w = make((struct wire_config){ .caps = PORT_TX_CSUM | PORT_RX_CSUM });
	q = wire_end(w, 1)->queues[0];
	partial(w, 34, 16);
	assert_int_equal(port_rx(q, &f, 1, at(1)), 1);
	assert_int_equal(f->flags, FRAME_CSUM_OK);
	wire_destroy(w);
}

static void test_lengths(void **state)
{
	struct wire *w = make((struct wire_config){ .mtu = 1500 });

	(void)state;
	send_mark(w, 0, 1, 1518, 1);
	send_mark(w, 0, 2, 1519, 1);
	assert_int_equal(wire_stats(w, 0)->oversize, 1);
	assert_int_equal(recv_mark(w, 1, 0, 1), 1);
	assert_int_equal(recv_mark(w, 1, 0, 1), -1);
	wire_destroy(w);
	w = make((struct wire_config){ .caps = PORT_TSO, .frames = 4 });
	struct port_queue *q = wire_end(w, 0)->queues[0];
	struct frame *f;

	assert_int_equal(port_alloc(q, &f, 1), 1);
	assert_true(f->room >= WIRE_TSO_MAX + 14);
	f->len = 60000;
	f->gso_size = 1448;
	port_tx(q, &f, 1, at(1));
	assert_int_equal(port_rx(wire_end(w, 1)->queues[0], &f, 1, at(1)), 1);
	assert_int_equal(f->len, 60000);
	assert_int_equal(f->gso_size, 0);
	wire_destroy(w);
}

static void test_bad_config(void **state)
{
	struct wire *w;

	(void)state;
	assert_int_equal(wire_create(&w, &(struct wire_config){
		.queues = { 17, 1 } }), -EINVAL);
	assert_int_equal(wire_create(&w, &(struct wire_config){
		.mtu = 67 }), -EINVAL);
	assert_int_equal(wire_create(&w, &(struct wire_config){
		.mtu = 70000 }), -EINVAL);
	assert_int_equal(wire_create(&w, &(struct wire_config){
		.frames = 1u << 25 }), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order_and_delay),
		cmocka_unit_test(test_held_counts),
		cmocka_unit_test(test_rate_and_queue_limit),
		cmocka_unit_test(test_jitter_keeps_order),
		cmocka_unit_test(test_reorder),
		cmocka_unit_test(test_probabilities),
		cmocka_unit_test(test_bursts),
		cmocka_unit_test(test_replay),
		cmocka_unit_test(test_filter),
		cmocka_unit_test(test_rss_steering),
		cmocka_unit_test(test_rss_garbage),
		cmocka_unit_test(test_checksums),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_bad_config),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
