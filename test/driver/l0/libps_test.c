/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * libps_test.c - layer L0: libps's verbs against a kernel in the same process
 *
 * ps_fake.c has the kernel's side of the contract and complains when a buffer
 * is named that is not the user's.  Built with ASan and UBSan.  One line a case.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libps/ps.h"
#include "ps_fake.h"

static uint32_t state = 7;
static int failures;
static struct fake *const F = &fakes[0];

#define CHECK(x) do { if (!(x)) { \
	printf("line %d: not %s\n", __LINE__, #x); failures++; } } while (0)

static uint32_t rnd(uint32_t below)
{
	state = state * 1664525u + 1013904223u;
	return (state >> 8) % below;
}

static struct ps_handle *attached(const char *path, uint32_t slots,
				  uint32_t extra)
{
	struct ps_attach a = { .rx_slots = slots, .tx_slots = slots,
		.extra = extra };
	struct ps_handle *h = NULL;
	int r = ps_attach_queue(&h, path, &a);

	CHECK(r == 0);
	if (r)
		exit(1);
	return h;
}

static struct ps_chunk c, d;

/* ---- attach ---- */

static void attach_has_defaults(void)
{
	struct ps_attach a = { .queue = 3, .flags = PS_ATTACH_VLAN };
	struct ps_handle *h;

	F->interrupt = 2;		/* signals do not end a call */
	CHECK(ps_attach_queue(&h, "/dev/ps/fake0", &a) == 0);
	CHECK(F->a.version == PS_UAPI_VERSION && F->a.queue == 3);
	CHECK(F->a.rx_slots == 512 && F->a.tx_slots == 512);
	CHECK(F->a.extra == 1024 && F->a.flags == PS_ATTACH_VLAN);
	CHECK(ps_fd(h) == F->fd && ps_counters(h) == F->head);
	ps_detach_queue(h);
	CHECK(maps == 0 && !F->open);
}

static void attach_fails_cleanly(void)
{
	struct ps_attach a = { 0 };
	struct ps_handle *h;

	CHECK(ps_attach_queue(&h, "/dev/ps/none", &a) == -ENOENT);
	F->attach_error = EBUSY;
	CHECK(ps_attach_queue(&h, "/dev/ps/fake0", &a) == -EBUSY);
	F->attach_error = EPROTONOSUPPORT;
	CHECK(ps_attach_queue(&h, "/dev/ps/fake0", &a) == -EPROTONOSUPPORT);
	F->attach_error = 0;
	for (int i = 1; i <= 2; i++) {	/* head, buffers */
		F->map_fails = i;
		CHECK(ps_attach_queue(&h, "/dev/ps/fake0", &a) == -ENOMEM);
		CHECK(maps == 0 && !F->open);
	}
}

/* ---- chunks ---- */

static void allocated_chunks_are_all_there_is(void)
{
	struct ps_handle *h = attached("/dev/ps/fake0", 64, 100);
	static uint8_t seen[1024];
	uint32_t all = 0;
	int n;

	for (int round = 0; round < 3; round++) {
		memset(seen, 0, sizeof(seen));
		all = 0;
		while ((n = ps_alloc_chunk(h, &c, 1 + rnd(600))) > 0) {
			CHECK(n <= PS_CHUNK_MAX && (uint32_t)n == c.count);
			for (uint32_t i = 0; i < c.count; i++) {
				struct ps_slot *s = &c.packet[i].slot;

				CHECK(!seen[s->buf]++ && s->len == 0);
				CHECK(F->owners.owner[s->buf] == PS_USER);
				CHECK(c.packet[i].data == F->buffers +
				      (size_t)s->buf * PS_BUF_BYTES);
				memset(c.packet[i].data, 1, PS_BUF_BYTES);
			}
			all += c.count;
			memcpy(&d.packet[d.count], c.packet,
			       c.count * sizeof(c.packet[0]));
			d.count += c.count;
		}
		CHECK(n == 0 && all == fake_users(F));
		CHECK(ps_free_chunk(h, &d) == 0 && d.count == 0);
	}
	ps_detach_queue(h);
}

static uint32_t numbers[4096], number_count;

static void note(struct fake *f, const struct ps_slot *s, int n)
{
	for (int i = 0; i < n; i++) {
		CHECK(s[i].flags == (i < n - 1 ? PS_F_MORE : 0));
		memcpy(&numbers[number_count++ % 4096],
		       f->buffers + (size_t)s[i].buf * PS_BUF_BYTES, 4);
	}
}

/* A chunk beyond the ring's room: its rest stays, first first. */
static void sends_in_order_and_keeps_the_rest(void)
{
	struct ps_handle *h = attached("/dev/ps/fake0", 64, 300);
	uint32_t want = 0, got = 0;
	int n;

	F->sent = note;
	number_count = 0;
	for (int round = 0; round < 200; round++) {
		F->holds = rnd(3) == 0;
		n = ps_alloc_chunk(h, &c, 1 + rnd(200));
		for (int i = 0; i < n; i++) {
			memcpy(c.packet[i].data, &want, 4);
			c.packet[i].slot.len = 60;
			want++;
		}
		for (int i = 0; i < 20 && c.count; i++) {
			uint32_t had = c.count;

			n = ps_send_chunk(h, &c);
			CHECK(n >= 0 && had == c.count + (uint32_t)n);
			F->holds = false;
		}
		CHECK(c.count == 0 && number_count == want);
		for (; got < want; got++)
			CHECK(numbers[got % 4096] == got);
	}
	CHECK(want > 4000 && F->wrong == 0);
	ps_detach_queue(h);
}

static void slow_path_is_not_sent(void)
{
	struct ps_handle *h = attached("/dev/ps/fake0", 64, 64);

	F->sent = note;
	number_count = 0;
	CHECK(ps_alloc_chunk(h, &c, 10) == 10);
	for (int i = 0; i < 10; i++)
		c.packet[i].slot.len = 60;
	CHECK(ps_slowpath_chunk(h, &c) == 10 && c.count == 0);
	CHECK(F->slow == 10 && number_count == 0 && F->wrong == 0);
	ps_detach_queue(h);
}

/* ---- receiving ---- */

static void looking_makes_no_call(void)
{
	struct ps_handle *h = attached("/dev/ps/fake0", 64, 64);
	uint64_t before = F->syncs;

	for (int i = 0; i < 1000; i++)
		CHECK(ps_recv_chunk(h, &c, 32) == 0 && !ps_waiting(h));
	CHECK(F->syncs == before && ps_calls(h) == 0);
	fake_arrive(F, "hello", 5);
	CHECK(ps_waiting(h));
	CHECK(ps_recv_chunk(h, &c, 32) == 1 && F->syncs == before + 1);
	CHECK(c.packet[0].slot.len == 5 && !memcmp(c.packet[0].data, "hello", 5));
	ps_free_chunk(h, &c);
	CHECK(!ps_waiting(h));
	ps_detach_queue(h);
}

/* Where the chip's ring cannot be seen every look is a call. */
static void copying_machines_call(void)
{
	struct ps_handle *h;

	F->copies = true;
	h = attached("/dev/ps/fake0", 64, 64);
	CHECK(ps_waiting(h));
	CHECK(ps_recv_chunk(h, &c, 32) == 0 && F->syncs == 1);
	fake_arrive(F, "x", 1);
	CHECK(ps_recv_chunk(h, &c, 32) == 1 && F->syncs == 2);
	ps_free_chunk(h, &c);
	ps_detach_queue(h);
	CHECK(maps == 0);
}

/* All of the receiver's buffers were used and given back: it gets others. */
static void receiver_is_fed_although_nothing_comes(void)
{
	struct ps_handle *h = attached("/dev/ps/fake0", 64, 64);

	while (fake_arrive(F, "x", 1))
		;
	CHECK(ps_recv_chunk(h, &c, 512) == 63 && F->fill == F->next);
	ps_free_chunk(h, &c);
	for (int i = 0; i < 3; i++)
		CHECK(ps_recv_chunk(h, &c, 512) == 0);
	CHECK(F->fill - F->next >= 48);
	CHECK(fake_arrive(F, "x", 1) && ps_recv_chunk(h, &c, 512) == 1);
	ps_detach_queue(h);
}

/* What was sent comes back although nothing is received and nothing more sent. */
static void sent_buffers_come_back(void)
{
	struct ps_handle *h = attached("/dev/ps/fake0", 64, 64);
	uint32_t all;
	int n;

	F->holds = true;
	n = ps_alloc_chunk(h, &c, 512);
	all = (uint32_t)n;
	for (int i = 0; i < n; i++)
		c.packet[i].slot.len = 60;
	while (c.count && ps_send_chunk(h, &c) > 0)
		;
	ps_free_chunk(h, &c);
	F->holds = false;
	for (int i = 0; i < 200; i++)
		ps_recv_chunk(h, &d, 1);
	CHECK(F->out_count == 0 && fake_users(F) == all);
	/* some wait to feed the receiver, which is full; a floor does not */
	CHECK(ps_alloc_chunk(h, &c, 512) >= 32);
	ps_detach_queue(h);
}

/* ---- all verbs, at random, against a plain account ---- */

struct account {
	uint32_t came, read;		/* numbers of frames */
	uint32_t put, out;
	struct ps_chunk held[8];	/* the caller's */
};
static struct account acc;

static void sent_is_next(struct fake *f, const struct ps_slot *s, int n)
{
	uint32_t number;

	CHECK(n == 1);
	memcpy(&number, f->buffers + (size_t)s[0].buf * PS_BUF_BYTES, 4);
	CHECK(number == acc.out);
	acc.out++;
}

static void random_receive(struct ps_handle *h, struct ps_chunk *to)
{
	int n = ps_recv_chunk(h, to, 1 + rnd(70));
	uint32_t number;

	CHECK(n >= 0);
	for (int i = 0; i < n; i++) {
		memcpy(&number, to->packet[i].data, 4);
		CHECK(number == acc.read && to->packet[i].slot.len == 64);
		acc.read++;
	}
}

static void random_send(struct ps_handle *h, struct ps_chunk *from)
{
	int n;

	for (uint32_t i = 0; i < from->count; i++) {
		uint32_t number = acc.put + i;

		memcpy(from->packet[i].data, &number, 4);
		from->packet[i].slot.len = 64;
		from->packet[i].slot.flags = 0;
	}
	n = ps_send_chunk(h, from);
	CHECK(n >= 0);
	acc.put += (uint32_t)(n > 0 ? n : 0);
}

static void random_step(struct ps_handle *h)
{
	struct ps_chunk *k = &acc.held[rnd(8)];
	uint8_t frame[64] = { 0 };

	F->holds = rnd(8) == 0;
	switch (rnd(6)) {
	case 0:
		for (uint32_t i = rnd(40); i; i--) {
			memcpy(frame, &acc.came, 4);
			acc.came += fake_arrive(F, frame, sizeof(frame));
		}
		break;
	case 1:
		if (k->count == 0)
			random_receive(h, k);
		break;
	case 2:
		if (k->count == 0)
			CHECK(ps_alloc_chunk(h, k, 1 + rnd(40)) >= 0);
		break;
	case 3:
		random_send(h, k);
		break;
	case 4:
		for (uint32_t i = 0; i < k->count; i++)
			k->packet[i].slot = (struct ps_slot){ .len = 60,
				.buf = k->packet[i].slot.buf };
		CHECK(ps_slowpath_chunk(h, k) >= 0);
		break;
	default:
		CHECK(ps_free_chunk(h, k) == 0);
	}
}

static void verbs_keep_every_buffer(void)
{
	struct ps_handle *h = attached("/dev/ps/fake0", 64, 200);
	uint32_t users = fake_users(F), receiver = 63;

	memset(&acc, 0, sizeof(acc));
	F->sent = sent_is_next;
	for (int i = 0; i < 100000; i++)
		random_step(h);
	CHECK(F->wrong == 0);
	CHECK(acc.out > 10000 && acc.read > 10000);
	/* give all back; every buffer is then the user's or the receiver's */
	F->holds = false;
	for (int i = 0; i < 8; i++)
		ps_free_chunk(h, &acc.held[i]);
	for (int i = 0; i < 400; i++) {
		random_receive(h, &c);
		ps_free_chunk(h, &c);
		ps_sync(h);
	}
	CHECK(acc.read == acc.came && acc.out == acc.put);
	CHECK(fake_users(F) + (F->fill - F->next) == users + receiver);
	CHECK(F->fill - F->next == receiver);
	ps_detach_queue(h);
}

/* ---- select ---- */

static void select_tells_who_is_ready(void)
{
	struct ps_handle *h[3];
	int fd[2];

	for (int i = 0; i < 3; i++) {
		char path[] = "/dev/ps/fake0";

		path[sizeof(path) - 2] = (char)('0' + i);
		h[i] = attached(path, 64, 64);
	}
	CHECK(pipe(fd) == 0);
	CHECK(ps_select(h, 3, fd[0], 0) == 0);
	fake_arrive(&fakes[1], "x", 1);
	CHECK(ps_select(h, 3, fd[0], 1000) == 1 << 1);
	CHECK(write(fd[1], "x", 1) == 1);
	CHECK(ps_select(h, 3, fd[0], -1) == (1 << 1 | 1 << 3));
	CHECK(ps_select(h, 3, -1, 0) == 1 << 1);
	CHECK(ps_recv_chunk(h[1], &c, 8) == 1);
	CHECK(ps_select(h, 3, fd[0], 0) == 1 << 3);
	fake_arrive(&fakes[0], "x", 1);
	fake_arrive(&fakes[2], "x", 1);
	CHECK(ps_select(h, 3, -1, 0) == (1 << 0 | 1 << 2));
	CHECK(ps_select(h, 0, fd[0], 0) == 1 << 0);
	CHECK(ps_select(h, PS_DEVICES_MAX + 1, -1, 0) == -EINVAL);
	CHECK(ps_select(h, -1, -1, 0) == -EINVAL);
	close(fd[0]);
	close(fd[1]);
	for (int i = 0; i < 3; i++)
		ps_detach_queue(h[i]);
}

/* ---- the device's end, settings ---- */

static void errors_reach_the_caller(void)
{
	struct ps_handle *h = attached("/dev/ps/fake0", 64, 64);
	struct ps_event e;

	CHECK(ps_recv_chunk(h, &c, 8) == 0);
	F->head->state = PS_STATE_GONE;
	F->head->link_mbps = 0;
	F->sync_error = ENODEV;
	CHECK(ps_waiting(h));		/* without a call */
	CHECK(ps_recv_chunk(h, &c, 8) == -ENODEV && c.count == 0);
	CHECK(ps_alloc_chunk(h, &c, 8) == 8);
	c.packet[0].slot.len = 60;
	CHECK(ps_send_chunk(h, &c) == -ENODEV);
	CHECK(ps_slowpath_chunk(h, &c) == -ENODEV);
	CHECK(ps_sync(h) == -ENODEV);
	CHECK(ps_read_event(h, &e) == 0 && e.state == PS_STATE_GONE);
	ps_detach_queue(h);
	CHECK(maps == 0);
}

static void settings_pass(void)
{
	struct ps_handle *h = attached("/dev/ps/fake0", 64, 64);
	uint8_t key[PS_RSS_KEY_BYTES];

	for (uint32_t i = 0; i < sizeof(key); i++)
		key[i] = (uint8_t)i;
	CHECK(ps_set_rss_key(h, key) == 0 && !memcmp(F->key, key, sizeof(key)));
	ps_let_go(h);
	CHECK(ps_sync(h) == -ENXIO);
	ps_detach_queue(h);
}

/* ---- without chunks ---- */

static void reserved_buffers_return_to_the_caller(void)
{
	struct ps_handle *h = attached("/dev/ps/fake0", 64, 200);
	uint32_t back[64], n = 0, got;
	struct ps_slot s[2] = { 0 };
	int first = ps_reserve(h, 64);

	CHECK(first == (int)F->a.buffers - 64);
	CHECK(ps_reserve(h, 1) == -ENOBUFS);
	while (ps_alloc_chunk(h, &c, 512) > 0)
		for (uint32_t i = 0; i < c.count; i++)
			CHECK(c.packet[i].slot.buf < (uint32_t)first);
	for (uint32_t i = 0; i < 64; i += 2) {
		s[0] = (struct ps_slot){ .buf = (uint32_t)first + i, .len = 2048,
			.flags = PS_F_MORE };
		s[1] = (struct ps_slot){ .buf = (uint32_t)first + i + 1,
			.len = 60 };
		CHECK(ps_buffer(h, s[0].buf) + PS_BUF_BYTES ==
		      ps_buffer(h, s[1].buf));
		CHECK(ps_put(h, s, 2) == 0);
	}
	CHECK(F->syncs == 0 || F->out_count == 0);
	CHECK(ps_sync(h) == 0);
	while ((got = ps_returned(h, back + n, 5)) > 0)
		n += got;
	CHECK(n == 64 && F->wrong == 0);
	ps_detach_queue(h);
}

static void full_ring_takes_no_part_of_a_frame(void)
{
	struct ps_handle *h = attached("/dev/ps/fake0", 64, 64);
	struct ps_slot s[3] = { 0 };
	uint32_t tail;
	int n = 0;

	while (ps_put(h, s, 1) == 0)
		n++;
	CHECK((uint32_t)n == F->a.ring_slots);
	tail = F->head->ring[PS_RING_TX].tail;
	CHECK(ps_put(h, s, 3) == -ENOSPC);
	CHECK(F->head->ring[PS_RING_TX].tail == tail);
	ps_detach_queue(h);
}

/* More packets than there is room: the rest is moved to the front. */
static void rest_of_a_chunk_stays(void)
{
	struct ps_handle *h = attached("/dev/ps/fake0", 64, 64);
	struct ps_slot s = { 0 };
	uint32_t bufs[5];

	CHECK(ps_alloc_chunk(h, &c, 5) == 5);
	for (int i = 0; i < 5; i++) {
		c.packet[i].slot.len = 60;
		bufs[i] = c.packet[i].slot.buf;
	}
	for (uint32_t i = 0; i < F->a.ring_slots - 3; i++)
		CHECK(ps_put(h, &s, 1) == 0);
	CHECK(ps_send_chunk(h, &c) == 3 && c.count == 2);
	CHECK(c.packet[0].slot.buf == bufs[3]);
	CHECK(c.packet[1].slot.buf == bufs[4]);
	CHECK(c.packet[1].data == ps_buffer(h, bufs[4]));
	ps_detach_queue(h);
}

static void regions_are_sent_from(void)
{
	struct ps_handle *h = attached("/dev/ps/fake0", 64, 64);
	uint8_t *at = (uint8_t *)(uintptr_t)(7ul * PS_REGION_STEP);
	uint32_t first = (uint32_t)ps_reserve(h, 8), bufs[8], unit = 0;
	struct ps_slot s[3] = { { .buf = first, .len = 60, .flags = PS_F_MORE },
		{ .buf = 100, .len = 3000, .flags = PS_F_MORE | PS_F_REGION },
		{ .buf = 4096, .len = 500, .flags = PS_F_REGION } };
	int r;

	F->unit_log2 = 12;
	F->region_error = EOPNOTSUPP;
	CHECK(ps_map(h, at, PS_REGION_STEP, &unit) == -EOPNOTSUPP);
	F->region_error = 0;
	CHECK(ps_map(h, at + 1, PS_REGION_STEP, &unit) == -EINVAL);
	r = ps_map(h, at, PS_REGION_STEP, &unit);
	CHECK(r == 1 && unit == 4096);
	s[1].hash = s[2].hash = (uint32_t)r;
	F->holds = F->full = true;
	CHECK(!ps_unsent(h) && ps_put(h, s, 3) == 0 && ps_unsent(h));
	CHECK(ps_sync(h) == 0 && ps_unsent(h));
	F->full = false;
	CHECK(ps_sync(h) == 0 && !ps_unsent(h));
	CHECK(ps_returned(h, bufs, 8) == 0);
	CHECK(ps_unmap(h, r) == -EBUSY);
	F->holds = false;
	CHECK(ps_sync(h) == 0);
	CHECK(ps_returned(h, bufs, 8) == 1 && bufs[0] == first);
	CHECK(ps_unmap(h, r) == 0 && ps_unmap(h, r) == -EINVAL);
	/* nothing is on its way any more: looking makes no call */
	F->syncs = 0;
	for (int i = 0; i < 200; i++)
		CHECK(ps_recv_chunk(h, &c, 8) == 0);
	CHECK(F->syncs == 0 && F->wrong == 0);
	ps_detach_queue(h);
}

#define CASE(f) { #f, f }
static const struct { const char *name; void (*run)(void); } cases[] = {
	CASE(attach_has_defaults),
	CASE(attach_fails_cleanly),
	CASE(allocated_chunks_are_all_there_is),
	CASE(sends_in_order_and_keeps_the_rest),
	CASE(slow_path_is_not_sent),
	CASE(looking_makes_no_call),
	CASE(copying_machines_call),
	CASE(receiver_is_fed_although_nothing_comes),
	CASE(sent_buffers_come_back),
	CASE(verbs_keep_every_buffer),
	CASE(select_tells_who_is_ready),
	CASE(errors_reach_the_caller),
	CASE(settings_pass),
	CASE(reserved_buffers_return_to_the_caller),
	CASE(full_ring_takes_no_part_of_a_frame),
	CASE(rest_of_a_chunk_stays),
	CASE(regions_are_sent_from),
};

int main(void)
{
	int bad = 0;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		failures = 0;
		maps = 0;
		d.count = 0;
		fake_reset();
		cases[i].run();
		printf("%s L0 libps %s\n", failures ? "FAIL " : "ok   ",
		       cases[i].name);
		bad += failures != 0;
	}
	fake_reset();
	return bad != 0;
}
