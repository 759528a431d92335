/*
 * psio_lend.c - payload that the chip reads in place: every byte, and its end
 *
 * The port over libps over the fake kernel of test/driver/l0, which takes each
 * frame's slots by the module's own checks.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/line.h"
#include "io/drivers.h"
#include "io/port_psio.h"
#include "test/driver/l0/ps_fake.h"

#define SPANS	2u
#define HEAD	54u	/* Ethernet, IPv4, TCP */
#define BLOCKS	4096u

static const struct port_ops *const ops = &port_psio_ops;
static struct fake *const F = &fakes[0];
static struct psio_port port;
static struct psio_queue *q;
static uint8_t *memory;			/* SPANS * PS_REGION_STEP */
static uint32_t rnd_state;
static int lent[BLOCKS];		/* references of frames, by block */
static int in_all;

static uint8_t got[70000];		/* the last frame sent, header and all */
static uint32_t got_bytes, got_frames, got_regions;
static uint16_t got_flags;

static uint32_t rnd(uint32_t below)
{
	rnd_state = rnd_state * 1664525u + 1013904223u;
	return (rnd_state >> 8) % below;
}

static void come_home(void *engine, uint16_t client, uint32_t block)
{
	assert_ptr_equal(engine, &port);
	assert_int_equal(client, block % 7 + 1);
	assert_true(lent[block] > 0);
	lent[block]--;
	in_all--;
}

static void sent(struct fake *f, const struct ps_slot *s, int n)
{
	got_bytes = 0;
	got_flags = s[0].flags;
	for (int i = 0; i < n; i++) {
		bool region = s[i].flags & PS_F_REGION;
		const uint8_t *at = region ?
			f->region_at[s[i].hash] + s[i].buf :
			f->buffers + (size_t)s[i].buf * PS_BUF_BYTES + s[i].off;

		memcpy(got + got_bytes, at, s[i].len);
		got_bytes += s[i].len;
		got_regions += region;
	}
	got_frames++;
}

static int open_queue(void **state)
{
	(void)state;
	memset(&port, 0, sizeof(port));
	memset(lent, 0, sizeof(lent));
	in_all = 0;
	rnd_state = 5;
	got_frames = got_regions = 0;
	strcpy(port.path, "/dev/ps/fake0");
	strcpy(port.port.name, "p");
	port.slots = 512;
	q = line_alloc(sizeof(*q));
	q->q.port = &port.port;
	q->p = &port;
	q->q.home = come_home;
	q->q.engine = &port;
	F->unit_log2 = 12;
	F->sent = sent;
	return psio_attach(q);
}

static int close_queue(void **state)
{
	(void)state;
	if (q->now) {
		q->now->older = q->old;
		q->old = q->now;
	}
	psio_bury(q, true);
	free(q->span);
	free(q);
	assert_int_equal(F->wrong, 0);
	fake_reset();
	return 0;
}

static void map_all(void)
{
	for (uint32_t i = 0; i < SPANS; i++)
		assert_int_equal(ops->map(&q->q, (uint16_t)(i + 1),
					  memory + i * PS_REGION_STEP,
					  PS_REGION_STEP), 0);
}

static struct port_piece piece_at(uint32_t at, uint32_t len)
{
	uint32_t block = at % BLOCKS;

	return (struct port_piece){ .bytes = memory + at, .len = len,
		.block = block, .client = (uint16_t)(block % 7 + 1),
		.span = (uint16_t)(at / PS_REGION_STEP + 1) };
}

/* Pieces within slabs; the ends of pages more often than chance has them. */
static uint32_t random_pieces(struct port_piece *p, uint32_t most)
{
	uint32_t n = 1 + rnd(most);

	for (uint32_t i = 0; i < n; i++) {
		uint32_t len = 1 + rnd(rnd(3) ? 4096 : 300);
		uint32_t at = rnd(SPANS * PS_REGION_STEP);

		if (rnd(2))
			at = (at & ~4095u) + 4096 - len / 2;
		if (at / PS_REGION_STEP != (at + len) / PS_REGION_STEP ||
		    at + len > SPANS * PS_REGION_STEP)
			at = 0;
		p[i] = piece_at(at, len);
	}
	return n;
}

/* A frame with a TCP header and @n pieces, lent or copied; what was lent. */
static struct frame *build(const struct port_piece *p, uint32_t n,
			   uint32_t *mask)
{
	struct frame *f;
	uint32_t total = 0;

	assert_int_equal(ops->alloc(&q->q, &f, 1), 1);
	memset(f->data, 0x11, 20);
	f->data[12] = 0x50;
	f->len = 20;
	*mask = ops->lend(&q->q, f, p, n);
	for (uint32_t i = 0; i < n; i++) {
		total += p[i].len;
		if (*mask & 1u << i) {
			lent[p[i].block]++;
			in_all++;
		}
		if (!*mask) {
			assert_true(f->len + p[i].len <= f->room);
			memcpy(f->data + f->len, p[i].bytes, p[i].len);
			f->len += p[i].len;
		}
	}
	assert_int_equal(f->len + f->lent, 20 + total);
	f->data -= 34;
	f->len += 34;
	memset(f->data, 0x22, 34);
	f->data[12] = 8;
	f->data[13] = 0;
	f->flags = FRAME_CSUM_PARTIAL;
	f->csum_start = 34;
	f->csum_offset = 16;
	f->gso_size = 1400;
	return f;
}

static void send_now(struct frame *f)
{
	ops->tx(&q->q, &f, 1, (mono_t){ 1 });
	ops->flush(&q->q, (mono_t){ 1 });
}

static void assert_payload(const struct port_piece *p, uint32_t n)
{
	uint32_t at = HEAD;

	for (uint32_t i = 0; i < n; i++) {
		assert_memory_equal(got + at, p[i].bytes, p[i].len);
		at += p[i].len;
	}
	assert_int_equal(got_bytes, at);
	assert_int_equal(!!(got_flags & PS_F_TSO), at - HEAD > 1400);
}

static void every_byte_goes_out(void **state)
{
	uint32_t mask, copied = 0, mixed = 0;
	struct port_piece p[20];

	(void)state;
	for (uint32_t unit = 12; unit <= 21; unit += 9) {
		F->unit_log2 = unit;
		map_all();
		for (uint32_t i = 0; i < 5000; i++) {
			uint32_t n = random_pieces(p, rnd(4) ? 5 : 20), all = 0;
			uint32_t before = got_frames;
			struct frame *f;

			for (uint32_t k = 0; k < n; k++)
				all += p[k].len;
			if (all > PSIO_TSO_MAX - 60)
				continue;
			f = build(p, n, &mask);
			copied += !mask;
			mixed += mask && mask != (1u << n) - 1;
			for (uint32_t k = 0; k < n; k++)
				if (mask)
					assert_int_equal(!!(mask & 1u << k),
							 p[k].len >= 256);
			send_now(f);
			assert_int_equal(got_frames, before + 1);
			assert_payload(p, n);
			assert_int_equal(in_all, 0);	/* it has come back */
			assert_int_equal(q->now->lent, 0);
			assert_int_equal(F->wrong, 0);
		}
		for (uint16_t s = 1; s <= SPANS; s++)
			assert_int_equal(ops->unmap(&q->q, s), 0);
	}
	assert_true(mixed > 500 && copied > 50 && got_regions > 5000);
	assert_true(counter_get(&q->q.stats.tx_lent_bytes) <
		    counter_get(&q->q.stats.tx_bytes));
	assert_int_equal(counter_get(&q->q.stats.tx_dropped), 0);
}

/* More slots than a frame may have: copied, not sent in part. */
static void many_slots_are_copied(void **state)
{
	struct port_piece p[20];
	struct frame *f;
	uint32_t mask;

	(void)state;
	map_all();
	for (uint32_t i = 0; i < 20; i++)	/* each over a page's end */
		p[i] = piece_at(4096 * (i + 1) - 128, 256);
	f = build(p, 20, &mask);
	assert_int_equal(mask, 0);
	assert_int_equal(f->lent, 0);
	send_now(f);
	assert_payload(p, 20);
	f = build(p, 17, &mask);		/* 34 slots and the headers */
	assert_int_equal(mask, (1u << 17) - 1);
	send_now(f);
	assert_payload(p, 17);
}

/* Written back late, or never sent: home once, and not before. */
static void comes_home_when_it_may(void **state)
{
	struct port_piece p = piece_at(1000, 4000);
	struct frame *f;
	uint32_t mask;
	int fd;

	(void)state;
	map_all();
	F->holds = true;
	send_now(build(&p, 1, &mask));
	assert_int_equal(mask, 1);
	ops->flush(&q->q, (mono_t){ 1 });
	assert_int_equal(in_all, 1);
	assert_int_equal(ops->unmap(&q->q, 2), 0);
	assert_int_equal(ops->arm(&q->q, &fd, 1), 1);
	/* asleep it looks again soon, and then the engine has a turn */
	assert_true(ops->next_due(&q->q).us < mono_now().us + 20000);
	F->full = true;		/* sooner, if the chip has no room */
	send_now(build(&p, 1, &mask));
	assert_int_equal(in_all, 2);
	assert_int_equal(ops->arm(&q->q, &fd, 1), 1);
	assert_true(ops->next_due(&q->q).us < mono_now().us + 1000);
	F->full = F->holds = false;
	assert_int_equal(ops->arm(&q->q, &fd, 1), -EAGAIN);
	assert_int_equal(in_all, 0);
	assert_int_equal(ops->next_due(&q->q).us, MONO_NEVER.us);

	f = build(&p, 1, &mask);	/* no neighbour answers */
	assert_int_equal(in_all, 1);
	ops->free(&q->q, &f, 1);
	assert_int_equal(in_all, 0);
	assert_int_equal(f->lent, 0);

	f = build(&p, 1, &mask);	/* no frame that can be sent */
	f->csum_start = 5;
	send_now(f);
	assert_int_equal(in_all, 0);
	assert_int_equal(ops->unmap(&q->q, 1), 0);
}

static void unmapped_in_flight_is_refused(void **state)
{
	struct port_piece p = piece_at(1000, 4000);
	uint32_t mask;

	(void)state;
	map_all();
	F->holds = true;
	send_now(build(&p, 1, &mask));
	assert_int_equal(ops->unmap(&q->q, 1), -EBUSY);
	assert_int_equal(F->region[1]->sending, 2);	/* over a page's end */
	F->holds = false;
	send_now(build(&p, 1, &mask));
	assert_int_equal(mask, 0);	/* it is nobody's now */
	assert_int_equal(in_all, 0);
}

/* The device goes with a frame in the chip and another in the engine's hands;
 * in its next life the latter goes out by copy, and slabs are mapped again. */
static void device_goes_and_comes(void **state)
{
	struct port_piece p[2] = { piece_at(4000, 3000), piece_at(9000, 100) };
	struct frame *held, *late;
	uint32_t mask;

	(void)state;
	map_all();
	held = build(p, 2, &mask);
	late = build(p, 2, &mask);
	F->holds = true;
	send_now(build(p, 2, &mask));
	assert_int_equal(in_all, 3);
	F->sync_error = ENODEV;
	q->unsent = true;
	ops->flush(&q->q, (mono_t){ 1 });
	assert_null(q->now);
	assert_int_equal(in_all, 2);	/* the driver has ended DMA */
	assert_int_equal(ops->unmap(&q->q, 2), 0);	/* a client ends now */
	send_now(late);			/* dropped */
	assert_int_equal(in_all, 1);
	build(p, 2, &mask);		/* nobody lends */
	assert_int_equal(mask, 0);

	strcpy(port.path, "/dev/ps/fake1");
	fakes[1].sent = sent;
	fakes[1].unit_log2 = 21;
	assert_int_equal(psio_attach(q), 0);
	assert_non_null(fakes[1].region[1]);
	assert_null(fakes[1].region[2]);
	got_regions = 0;
	send_now(held);
	assert_payload(p, 2);
	assert_int_equal(got_regions, 0);
	assert_int_equal(in_all, 0);
	send_now(build(p, 2, &mask));
	assert_int_equal(mask, 1);
	assert_payload(p, 2);
	assert_true(got_regions > 0);
	assert_int_equal(in_all, 0);
	assert_int_equal(fakes[1].wrong, 0);
}

static void refused_memory_is_copied(void **state)
{
	struct port_piece p = piece_at(0, 4000);
	static const int why[] = { ENOMEM, EOPNOTSUPP, ENOTTY, EFAULT };
	uint32_t mask;

	(void)state;
	for (int i = 0; i < 4; i++) {
		F->region_error = why[i];
		q->told = false;
		assert_int_equal(ops->map(&q->q, 1, memory, PS_REGION_STEP),
				 -why[i]);
		assert_true(q->told);
		send_now(build(&p, 1, &mask));
		assert_int_equal(mask, 0);
		assert_payload(&p, 1);
	}
	F->region_error = 0;
	assert_int_equal(ops->unmap(&q->q, 1), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, open_queue, close_queue)
		T(every_byte_goes_out),
		T(many_slots_are_copied),
		T(comes_home_when_it_may),
		T(unmapped_in_flight_is_refused),
		T(device_goes_and_comes),
		T(refused_memory_is_copied),
	};
	uint8_t *at = mmap(NULL, (SPANS + 1) * PS_REGION_STEP,
			   PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (at == MAP_FAILED)
		return 1;
	memory = at + (-(uintptr_t)at & (PS_REGION_STEP - 1));
	for (uint32_t i = 0; i < SPANS * PS_REGION_STEP; i++)
		memory[i] = (uint8_t)(i * 7 + (i >> 8) * 13 + (i >> 16));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
