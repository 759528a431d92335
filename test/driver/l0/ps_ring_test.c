/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * ps_ring_test.c - layer L0: the module's kernel-free code against models
 *
 * Rings against a plain queue, buffer ownership against a plain table, frames
 * against a second statement of the rules, descriptors against the datasheet's
 * bits.  Built with ASan and UBSan by test/driver/run.
 *
 * Prints one line a case.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ps_ixgbe/ps_desc.h"
#include "ps_ixgbe/ps_ring.h"

#define SIZE	64u

static uint32_t state = 1;
static int failures;

static uint32_t rnd(uint32_t below)
{
	state = state * 1664525u + 1013904223u;
	return (state >> 8) % below;
}

#define CHECK(x) do { if (!(x)) { \
	printf("line %d: not %s\n", __LINE__, #x); failures++; } } while (0)

static struct ps_ring_shared shared;
static struct ps_slot slots[SIZE];

static void fresh(struct ps_ring *producer, struct ps_ring *consumer,
		  uint32_t start)
{
	memset(slots, 0, sizeof(slots));
	shared.tail = start;
	shared.head = start;
	*producer = (struct ps_ring){ &shared, slots, SIZE - 1, start };
	*consumer = *producer;
}

/* Random batches, from a start just below the wrap, against a plain queue. */
static void ring_is_a_queue(void)
{
	struct ps_ring p, c;
	uint32_t model[SIZE], in = 0, out = 0;

	fresh(&p, &c, 0xfffffff0u);
	for (int step = 0; step < 200000; step++) {
		uint32_t n = rnd(SIZE + 1), had = in - out;
		struct ps_slot s;

		CHECK(ps_ring_peek(&c) == (int)had);
		CHECK(ps_ring_space(&p) == (int)(SIZE - had));
		if (rnd(2)) {
			n = n > SIZE - had ? SIZE - had : n;
			for (uint32_t i = 0; i < n; i++) {
				model[in % SIZE] = in;
				ps_ring_at(&p, i)->buf = in++;
			}
			ps_ring_submit(&p, n);
		} else {
			n = n > had ? had : n;
			for (uint32_t i = 0; i < n; i++) {
				ps_ring_copy(&c, i, &s);
				CHECK(s.buf == model[out++ % SIZE]);
			}
			ps_ring_release(&c, n);
		}
	}
}

static void broken_counts_are_told(void)
{
	struct ps_ring p, c;

	for (uint32_t d = SIZE + 1; d != 0; d = d > 1u << 30 ? 0 : d * 3) {
		fresh(&p, &c, rnd(~0u));
		shared.tail += d;
		CHECK(ps_ring_peek(&c) == PS_RING_BROKEN);
		fresh(&p, &c, rnd(~0u));
		shared.head++;		/* consumed what was never there */
		CHECK(ps_ring_space(&p) == PS_RING_BROKEN);
	}
}

static void owners_follow_a_table(void)
{
	__u8 table[100] = { 0 }, model[100] = { 0 };
	struct ps_owners o = { table, 100 };

	for (int i = 0; i < 100000; i++) {
		uint32_t b = rnd(8) ? rnd(110) : rnd(~0u);
		enum ps_owner w = rnd(2) ? PS_RECEIVER : PS_SENDER;
		int could;

		if (rnd(2)) {
			could = b < 100 && model[b] == PS_USER;
			CHECK((ps_take(&o, b, w) == 0) == could);
			if (could)
				model[b] = (__u8)w;
		} else {
			could = b < 100 && model[b] == w;
			CHECK((ps_give(&o, b, w) == 0) == could);
			if (could)
				model[b] = PS_USER;
		}
		CHECK(memcmp(table, model, 100) == 0);
	}
}

/* Regions of all sizes, slots of all kinds: only bytes within one unit of a
 * region that is there are counted in, and each once. */
static void regions_bound_their_slots(void)
{
	struct ps_region memory[16] = { 0 }, *table[16] = { NULL };
	struct ps_regions r = { table, 16 }, none = { NULL, 0 };
	uint32_t model[16] = { 0 };
	int good = 0, full = 0;

	for (int i = 0; i < 400000; i++) {
		uint32_t g = rnd(rnd(4) ? 16 : ~0u);
		struct ps_slot s = { .flags = PS_F_REGION, .hash = g,
			.buf = rnd(rnd(4) ? 5u << 20 : ~0u),
			.len = (uint16_t)(1 + rnd(PS_REGION_SLOT)) };
		struct ps_region *m = g < 16 ? &memory[g] : NULL;
		uint64_t unit, end = (uint64_t)s.buf + s.len;
		int could;

		if (m && !rnd(50)) {
			m->bytes = (1ull + rnd(2)) << (rnd(9) ? 21 : 31);
			m->unit_log2 = rnd(2) ? 12 : 21;
			m->sending = model[g] = rnd(9) ? 0 : ~0u - rnd(2);
			table[g] = rnd(4) ? m : NULL;
		}
		if (m && table[g] && rnd(3) == 0)	/* at a unit's end */
			s.buf = (s.buf | ((1u << m->unit_log2) - 1)) -
				s.len + rnd(3);
		end = (uint64_t)s.buf + s.len;
		unit = m ? 1ull << m->unit_log2 : 1;
		could = m && table[g] && model[g] != ~0u && end <= m->bytes &&
			s.buf / unit == (end - 1) / unit;
		CHECK((ps_region_take(&r, &s) == 0) == could);
		CHECK(ps_region_take(&none, &s) < 0);
		good += could;
		full += m && table[g] && model[g] == ~0u;
		if (could)
			model[g]++;
		if (could && rnd(4)) {
			ps_region_give(&r, g);
			model[g]--;
		}
		CHECK(!m || m->sending == model[g]);
	}
	CHECK(good > 10000 && full > 10);
}

/* The rules of ps_uapi.h said a second time, slot by slot. */
static int frame_model(uint32_t waiting, uint32_t most)
{
	uint32_t bytes = 0, n, need = 0, region = 0;
	const struct ps_slot *f = &slots[0];

	for (n = 0;; n++) {
		if (n == PS_FRAGS_MAX)
			return -(int)n;
		if (n == waiting)
			return 0;
		if (slots[n].flags & PS_F_REGION) {
			if (n == 0 || slots[n].off || slots[n].len < 1 ||
			    slots[n].len > 15872)
				return -(int)(n + 1);
			region = 1;
		} else if (slots[n].len < 1 ||
			   slots[n].off + slots[n].len > PS_BUF_BYTES) {
			return -(int)(n + 1);
		}
		bytes += slots[n].len;
		if (!(slots[n].flags & PS_F_MORE))
			break;
	}
	n++;
	if (region && f->flags & PS_F_SLOW)	/* the kernel copies buffers */
		return -(int)n;
	if (f->flags & PS_F_VLAN)
		most -= 4;
	if (bytes < 17 || bytes > (f->flags & PS_F_TSO ? 65535u : most))
		return -(int)n;
	if (f->flags & (PS_F_CSUM_IP | PS_F_CSUM_TCP | PS_F_CSUM_UDP | PS_F_TSO)) {
		need = (uint32_t)f->l2_len + f->l3_len;
		if (f->flags & PS_F_TSO)
			need += f->l4_len;
		else if (f->flags & PS_F_CSUM_TCP)
			need += 20;
		else if (f->flags & PS_F_CSUM_UDP)
			need += 8;
		if (f->l2_len < 14 || f->l2_len > 127 || f->l3_len < 20 ||
		    need > f->len)
			return -(int)n;
		if (f->flags & PS_F_TSO && (f->l4_len < 20 || f->mss < 64 ||
					    f->flags & PS_F_CSUM_UDP ||
					    need + f->mss > most))
			return -(int)n;
	}
	return (int)n;
}

static void frames_follow_the_rules(void)
{
	struct ps_ring p, c;
	struct ps_slot out[PS_FRAGS_MAX];
	int good = 0, regions = 0;

	for (int i = 0; i < 200000; i++) {
		uint32_t n = rnd(rnd(4) ? 6 : 45), lent = rnd(3);
		uint32_t most = rnd(2) ? 1518 : 9724;
		int r;

		fresh(&p, &c, 0);
		for (uint32_t k = 0; k < n; k++) {
			slots[k].buf = rnd(~0u);
			slots[k].len = (uint16_t)(rnd(20) ? 1 + rnd(2048) :
						  rnd(65536));
			slots[k].flags = (uint16_t)(rnd(3) ? 0 : rnd(65536));
			slots[k].flags |= rnd(4) ? PS_F_MORE : 0;
			if (k && !lent)
				slots[k].flags |= PS_F_REGION;
			slots[k].hash = rnd(~0u);
			slots[k].off = (uint16_t)(rnd(9) ? 0 : rnd(rnd(9) ?
						  128 : 65536));
			slots[k].mss = (uint16_t)rnd(2000);
			slots[k].l2_len = (uint8_t)(rnd(4) ? 14 : rnd(256));
			slots[k].l3_len = (uint8_t)(rnd(4) ? 20 : rnd(256));
			slots[k].l4_len = (uint8_t)(rnd(4) ? 20 : rnd(256));
		}
		ps_ring_submit(&p, n);
		r = ps_frame_copy(&c, ps_ring_peek(&c), most, out);
		CHECK(r == frame_model(n, most));
		good += r > 0;
		for (int k = 0; k < r; k++)
			CHECK(out[k].buf == slots[k].buf &&
			      out[k].hash == slots[k].hash &&
			      out[k].len == slots[k].len);
		regions += r > 1 && out[1].flags & PS_F_REGION;
	}
	CHECK(good > 1000 && regions > 1000);
}

static void tags(void)
{
	struct ps_desc d = { .b = 0x0123ull << 48 | 60ull << 32 | 1 | 2 | 8 };
	struct ps_slot s = { 0 };

	ps_desc_receive(&d, &s);
	CHECK(s.flags == PS_F_VLAN && s.vlan == 0x123 && s.len == 60);
	CHECK(ps_desc_needs_context(&s));
	ps_desc_context(&d, &s);
	CHECK(d.a == (0x123u << 16 | 14 << 9));
	ps_desc_send(&d, &s, &s, 0, 60);
	CHECK((uint32_t)d.b == (0x6b300000u | 60));
}

static void receive_descriptors(void)
{
	struct ps_desc d = { .a = 0xcafebabe00000001ull,
			     .b = 60ull << 32 | 1 | 2 | 0x60 };
	struct ps_slot s = { 0 };

	ps_desc_receive(&d, &s);
	CHECK(s.len == 60 && s.hash == 0xcafebabe);
	CHECK(s.flags == (PS_F_IP_OK | PS_F_L4_OK | PS_F_HASH));
	d.b |= 1ull << 31 | 1ull << 30;
	ps_desc_receive(&d, &s);
	CHECK(s.flags == (PS_F_IP_BAD | PS_F_L4_BAD | PS_F_HASH));
	d = (struct ps_desc){ .a = 0, .b = 2048ull << 32 | 1 };
	ps_desc_receive(&d, &s);
	CHECK(s.flags == PS_F_MORE && s.len == 2048);
	d.b = 100ull << 32 | 1 | 2 | 1ull << 29;
	ps_desc_receive(&d, &s);
	CHECK(s.flags == PS_F_ERROR);
}

static void send_descriptors(void)
{
	struct ps_slot s = { .len = 60 };
	struct ps_desc d;

	CHECK(!ps_desc_needs_context(&s));
	ps_desc_send(&d, &s, &s, 0x123456789000ull, 60);
	CHECK(d.a == 0x123456789000ull);
	CHECK((uint32_t)d.b == (0x2b300000u | 60));
	CHECK(d.b >> 32 == 60u << 14);
	s = (struct ps_slot){ .len = 1000, .mss = 1460, .l2_len = 14,
		.l3_len = 20, .l4_len = 32,
		.flags = PS_F_TSO | PS_F_CSUM_IP | PS_F_MORE };
	CHECK(ps_desc_needs_context(&s));
	ps_desc_context(&d, &s);
	CHECK(d.a == (14u << 9 | 20));
	CHECK((uint32_t)d.b == 0x20200c00u);
	CHECK(d.b >> 32 == (1460u << 16 | 32 << 8));
	ps_desc_send(&d, &s, &s, 0, 5066);
	CHECK((uint32_t)d.b == (0xa2300000u | 1000));	/* no EOP, no RS */
	CHECK(d.b >> 32 == (5000u << 14 | 0x380));
}

/* Any slot that ps_frame_copy() lets through fits the descriptor's fields. */
static void no_field_overflows(void)
{
	for (int i = 0; i < 100000; i++) {
		struct ps_slot s = { .len = (uint16_t)(1 + rnd(PS_REGION_SLOT)),
			.mss = (uint16_t)(64 + rnd(65000)),
			.l2_len = (uint8_t)(14 + rnd(114)),
			.l3_len = (uint8_t)(20 + rnd(236)),
			.l4_len = (uint8_t)(20 + rnd(236)),
			.vlan = (uint16_t)rnd(65536),
			.flags = (uint16_t)rnd(65536) };
		struct ps_desc d;

		ps_desc_context(&d, &s);
		CHECK((d.a & 0x1ff) == s.l3_len && (d.a >> 9 & 0x7f) == s.l2_len);
		CHECK(d.a >> 16 == (s.flags & PS_F_VLAN ? s.vlan : 0));
		CHECK((d.b >> 20 & 0xf) == 2 && (d.b >> 29 & 1));
		ps_desc_send(&d, &s, &s, 0, PS_TSO_MAX);
		CHECK((d.b & 0xffff) == s.len && (d.b >> 20 & 0xf) == 3);
		CHECK(!(d.b & 1ull << 24) == !!(s.flags & PS_F_MORE));
	}
}

static const struct { const char *name; void (*run)(void); } cases[] = {
	{ "ring is a queue", ring_is_a_queue },
	{ "broken counts are told", broken_counts_are_told },
	{ "owners follow a table", owners_follow_a_table },
	{ "regions bound their slots", regions_bound_their_slots },
	{ "frames follow the rules", frames_follow_the_rules },
	{ "VLAN tags", tags },
	{ "receive descriptors", receive_descriptors },
	{ "send descriptors", send_descriptors },
	{ "no field overflows", no_field_overflows },
};

int main(void)
{
	int bad = 0;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		failures = 0;
		cases[i].run();
		printf("%s L0 %s\n", failures ? "FAIL " : "ok   ",
		       cases[i].name);
		bad += failures != 0;
	}
	return bad != 0;
}
