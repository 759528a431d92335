/* engine/handover.c: bytes and order survive, rings fill and wrap. */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "engine/handover.h"

#define ENTRIES	300000u

static uint8_t payload[65536];

static uint32_t length_of(uint32_t i)
{
	return i % 97 == 0 ? 40000 + i % 20000 : 20 + (i * 7919) % 1500;
}

static bool put(struct handover_ring *r, uint32_t i)
{
	struct handover_entry h = { .kind = HANDOVER_TCP, .hash = i,
				    .port = (uint8_t)i };

	memcpy(payload, &i, sizeof(i));
	return handover_put(r, &h, payload, length_of(i));
}

static void check(const struct handover_entry *h, uint32_t i)
{
	uint32_t first;

	assert_int_equal(h->hash, i);
	assert_int_equal(h->len, length_of(i));
	assert_int_equal(h->port, (uint8_t)i);
	memcpy(&first, h + 1, sizeof(first));
	assert_int_equal(first, i);
	assert_int_equal(((const uint8_t *)(h + 1))[h->len - 1],
			 payload[h->len - 1]);
}

static void fill_and_drain(void **state)
{
	struct handover_ring *r = handover_open();
	const struct handover_entry *h;
	uint32_t in = 0, out = 0;

	(void)state;
	assert_non_null(r);
	assert_null(handover_peek(r));
	for (uint32_t round = 0; round < 50; round++) {
		while (put(r, in))
			in++;
		assert_true(handover_publish(r));
		assert_false(handover_publish(r));
		while ((h = handover_peek(r)) != NULL) {
			check(h, out++);
			handover_next(r, h);
			handover_release(r);
		}
		assert_int_equal(in, out);
	}
	assert_true(in > 1000);
	handover_close(r);
}

static void too_long(void **state)
{
	struct handover_ring *r = handover_open();
	struct handover_entry h = { .kind = HANDOVER_TCP };
	static uint8_t big[HANDOVER_BYTES];

	(void)state;
	assert_false(handover_put(r, &h, big, sizeof(big)));
	assert_true(handover_put(r, &h, big, 0));
	handover_close(r);
}

static void *sender(void *arg)
{
	struct handover_ring *r = arg;

	for (uint32_t i = 0; i < ENTRIES;) {
		struct handover_entry h = { .kind = HANDOVER_TCP, .hash = i,
					    .port = (uint8_t)i };
		static uint8_t mine[65536];

		memcpy(mine, &i, sizeof(i));
		if (handover_put(r, &h, mine, length_of(i)))
			i++;
		else
			sched_yield();
		if (i % 16 == 0)
			handover_publish(r);
	}
	handover_publish(r);
	return NULL;
}

static void across_threads(void **state)
{
	struct handover_ring *r = handover_open();
	pthread_t t;

	(void)state;
	memset(payload, 0, sizeof(payload));
	assert_int_equal(pthread_create(&t, NULL, sender, r), 0);
	for (uint32_t i = 0; i < ENTRIES;) {
		const struct handover_entry *h = handover_peek(r);

		if (!h) {
			handover_release(r);
			sched_yield();
			continue;
		}
		check(h, i++);
		handover_next(r, h);
		if (i % 7 == 0)		/* several at a time */
			handover_release(r);
	}
	handover_release(r);
	pthread_join(t, NULL);
	handover_close(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fill_and_drain),
		cmocka_unit_test(too_long),
		cmocka_unit_test(across_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
