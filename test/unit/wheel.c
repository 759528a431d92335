/*
 * wheel.c - daemon/base/wheel against the simplest thing that is right
 *
 * The model is an array of instants, searched from end to end.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/wheel.h"

#define SECOND	UINT64_C(1000000)
#define DAY	(86400 * SECOND)

struct thing {
	uint64_t noise;
	struct wheel_node timer;
};

struct rig {
	struct wheel w;
	uint32_t count;
	mono_t now;
	struct thing *things;
	uint64_t *due_us;	/* the model: 0, not set */
	uint64_t seed;
};

static uint64_t draw(struct rig *r, uint64_t below)
{
	r->seed ^= r->seed << 13;
	r->seed ^= r->seed >> 7;
	r->seed ^= r->seed << 17;
	return r->seed % below;
}

static void rig_open(struct rig *r, uint32_t count, uint64_t start_us)
{
	memset(r, 0, sizeof(*r));
	r->seed = 0x9e3779b97f4a7c15;
	r->count = count;
	r->now.us = start_us;
	r->things = calloc(count, sizeof(*r->things));
	r->due_us = calloc(count, sizeof(*r->due_us));
	assert_non_null(r->things);
	assert_non_null(r->due_us);
	wheel_init(&r->w, r->things, sizeof(*r->things),
		   offsetof(struct thing, timer), r->now);
}

static void rig_close(struct rig *r)
{
	free(r->things);
	free(r->due_us);
}

static void set(struct rig *r, uint32_t index, uint64_t us)
{
	wheel_set(&r->w, index, (mono_t){ us });
	r->due_us[index] = us;
	assert_true(wheel_is_set(&r->w, index));
}

static void cancel(struct rig *r, uint32_t index)
{
	wheel_cancel(&r->w, index);
	r->due_us[index] = 0;
	assert_false(wheel_is_set(&r->w, index));
}

static uint64_t model_first(const struct rig *r)
{
	uint64_t first = UINT64_MAX;
	uint32_t i;

	for (i = 1; i < r->count; i++)
		if (r->due_us[i] && r->due_us[i] < first)
			first = r->due_us[i];
	return first;
}

static uint64_t rounded(uint64_t us)
{
	return (us + 999) / 1000 * 1000;
}

/* All that is due at now comes, and nothing else. */
static void advance_and_check(struct rig *r)
{
	uint32_t out[16], i;
	int n, k, turns = 0;

	while (wheel_next_due(&r->w).us <= r->now.us) {
		assert_true(turns++ < 100000);
		n = wheel_advance(&r->w, r->now, out, 16);
		for (k = 0; k < n; k++) {
			assert_int_not_equal(r->due_us[out[k]], 0);
			assert_true(r->due_us[out[k]] <= r->now.us);
			assert_false(wheel_is_set(&r->w, out[k]));
			r->due_us[out[k]] = 0;
		}
	}
	for (i = 1; i < r->count; i++)
		if (r->due_us[i])
			assert_true(rounded(r->due_us[i]) > r->now.us);
	if (model_first(r) == UINT64_MAX)
		assert_true(wheel_next_due(&r->w).us == UINT64_MAX);
	else
		assert_true(wheel_next_due(&r->w).us <= rounded(model_first(r)));
}

/* Spans of every level, from microseconds to three weeks. */
static uint64_t draw_span(struct rig *r)
{
	static const uint64_t scale[] = { 1000, 70000, SECOND, 20 * SECOND,
		300 * SECOND, 7200 * SECOND, DAY, 21 * DAY };

	return 1 + draw(r, scale[draw(r, 8)]);
}

static void act(struct rig *r)
{
	uint32_t index = 1 + (uint32_t)draw(r, r->count - 1);

	switch (draw(r, 6)) {
	case 0:
		cancel(r, index);
		break;
	case 1:			/* the past */
		set(r, index, r->now.us - draw(r, SECOND));
		break;
	case 2:			/* later than it was */
		if (r->due_us[index])
			set(r, index, r->due_us[index] + draw_span(r) % DAY);
		break;
	default:
		set(r, index, r->now.us + draw_span(r));
	}
}

static void random_model(uint64_t start_us, uint64_t seed, int rounds)
{
	struct rig r;
	int i;

	rig_open(&r, 200, start_us);
	r.seed += seed;
	while (rounds--) {
		for (i = (int)draw(&r, 20); i > 0; i--)
			act(&r);
		if (draw(&r, 4) == 0 && wheel_next_due(&r.w).us != UINT64_MAX &&
		    wheel_next_due(&r.w).us > r.now.us)
			r.now = wheel_next_due(&r.w);
		else
			r.now.us += draw_span(&r) % (2 * DAY);
		advance_and_check(&r);
	}
	rig_close(&r);
}

static void random_against_model(void **state)
{
	uint64_t seed;

	(void)state;
	for (seed = 1; seed <= 40; seed++)
		random_model(1 + DAY, seed, 400);
}

/* Ticks are 32 bits of milliseconds: they wrap every 49.7 days. */
static void random_across_wrap(void **state)
{
	uint64_t seed;

	(void)state;
	for (seed = 100; seed < 120; seed++)
		random_model((UINT64_C(1) << 32) * 1000 - 5 * DAY, seed, 400);
}

/* Following next_due from one to the next, each comes in its millisecond. */
static void exact_instants(void **state)
{
	struct rig r;
	uint32_t i, out[4];
	mono_t due;
	int n, turns = 0;

	(void)state;
	rig_open(&r, 500, 123456789);
	for (i = 1; i < r.count; i++)
		set(&r, i, r.now.us + draw_span(&r));
	while ((due = wheel_next_due(&r.w)).us != UINT64_MAX) {
		assert_true(turns++ < 20000);
		if (due.us > r.now.us)
			r.now = due;
		n = wheel_advance(&r.w, r.now, out, 4);
		while (n--)
			if (rounded(r.due_us[out[n]]) < r.now.us)
				fail_msg("timer %u late", out[n]);
	}
	assert_int_equal(r.w.count, 0);
	rig_close(&r);
}

/* A timer due alone comes exactly, whatever its distance. */
static void exact_alone(void **state)
{
	struct rig r;
	uint64_t span, when;
	uint32_t out[1];
	int turns;

	(void)state;
	rig_open(&r, 2, 55555);
	for (span = 1; span < 24 * DAY; span = span * 3 / 2 + 7) {
		when = r.now.us + span;
		wheel_set(&r.w, 1, (mono_t){ when });
		for (turns = 0; turns < 40; turns++) {
			if (wheel_next_due(&r.w).us > r.now.us)
				r.now = wheel_next_due(&r.w);
			if (wheel_advance(&r.w, r.now, out, 1) == 1)
				break;
		}
		assert_int_equal(r.now.us, rounded(when));
	}
	rig_close(&r);
}

/* 200,000 timers in one outer slot: no call moves more than its bound, and
 * a timer that is due meanwhile is not held up. */
static void outer_slot_in_pieces(void **state)
{
	struct rig r;
	uint32_t i, out[64], late = 0, seen = 0;
	int n;

	(void)state;
	rig_open(&r, 200001, SECOND);
	for (i = 2; i < r.count; i++)
		set(&r, i, 7200 * SECOND + draw(&r, 60 * SECOND));
	while (r.now.us < 7300 * SECOND) {
		if (!wheel_is_set(&r.w, 1))
			set(&r, 1, r.now.us + 10000);
		r.now.us += 1000;
		n = wheel_advance(&r.w, r.now, out, 64);
		seen += (uint32_t)n;
		while (n--)
			late += r.now.us - r.due_us[out[n]] > 5000;
	}
	assert_true(seen > 200000);
	assert_int_equal(late, 0);
	assert_true(r.w.count <= 1);
	rig_close(&r);
}

/* More due at once than a call may give: all come, in later calls. */
static void more_than_max(void **state)
{
	struct rig r;
	uint32_t i, out[8], seen = 0;
	int turns = 0;

	(void)state;
	rig_open(&r, 1001, SECOND);
	for (i = 1; i < r.count; i++)
		set(&r, i, 2 * SECOND);
	r.now.us = 2 * SECOND;
	while (seen < 1000) {
		assert_true(turns++ < 300);
		assert_true(wheel_next_due(&r.w).us <= r.now.us);
		seen += (uint32_t)wheel_advance(&r.w, r.now, out, 8);
	}
	assert_true(wheel_next_due(&r.w).us == UINT64_MAX);
	rig_close(&r);
}

static void never_and_long_sleep(void **state)
{
	struct rig r;
	uint32_t out[4];

	(void)state;
	rig_open(&r, 4, SECOND);
	wheel_set(&r.w, 1, MONO_NEVER);
	assert_false(wheel_is_set(&r.w, 1));
	wheel_cancel(&r.w, 1);
	set(&r, 2, 5 * SECOND);
	wheel_set(&r.w, 2, MONO_NEVER);
	assert_true(wheel_next_due(&r.w).us == UINT64_MAX);
	r.now.us += 30 * DAY;	/* nothing set: nobody called us */
	assert_int_equal(wheel_advance(&r.w, r.now, out, 4), 0);
	set(&r, 3, r.now.us + 50);
	r.now.us += 1000;
	assert_int_equal(wheel_advance(&r.w, r.now, out, 4), 1);
	assert_int_equal(out[0], 3);
	rig_close(&r);
}

/* The same bytes at another address go on as if nothing had happened. */
static void memory_moves(void **state)
{
	struct rig r;
	struct thing *elsewhere;
	uint32_t i;

	(void)state;
	rig_open(&r, 300, 77 * SECOND);
	for (i = 1; i < r.count; i++)
		set(&r, i, r.now.us + draw_span(&r));
	elsewhere = malloc(300 * sizeof(*elsewhere));
	assert_non_null(elsewhere);
	memcpy(elsewhere, r.things, 300 * sizeof(*elsewhere));
	memset(r.things, 0xaa, 300 * sizeof(*elsewhere));
	free(r.things);
	r.things = elsewhere;
	r.w.base = (uint8_t *)elsewhere + offsetof(struct thing, timer);
	for (i = 0; i < 30; i++) {
		r.now.us += DAY;
		advance_and_check(&r);
	}
	assert_int_equal(r.w.count, 0);
	rig_close(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_against_model),
		cmocka_unit_test(random_across_wrap),
		cmocka_unit_test(exact_instants),
		cmocka_unit_test(exact_alone),
		cmocka_unit_test(outer_slot_in_pieces),
		cmocka_unit_test(more_than_max),
		cmocka_unit_test(never_and_long_sleep),
		cmocka_unit_test(memory_moves),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
