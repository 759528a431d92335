/* shm/ring.h and shm/rss.h: hand-over, hostile counts, known hash vectors. */
#include <arpa/inet.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "shm/cmd.h"
#include "shm/event.h"
#include "shm/ring.h"
#include "shm/rss.h"

#define SLOTS	8u

static void *ring_memory(uint32_t slots)
{
	void *at = aligned_alloc(RING_LINE, ring_bytes(slots));

	memset(at, 0, ring_bytes(slots));
	return at;
}

static void test_wraps_and_fills(void **state)
{
	void *at = ring_memory(SLOTS);
	struct ring p, c;
	uint32_t next_in = 0, next_out = 0;

	(void)state;
	ring_attach(&p, at, SLOTS);
	ring_attach(&c, at, SLOTS);
	for (int round = 0; round < 1000; round++) {
		int room = ring_room(&p, SLOTS), waiting;

		for (int i = 0; i < room - round % 3; i++) {
			uint32_t *slot = ring_slot(&p);

			*slot = next_in++;
		}
		ring_publish(&p);
		waiting = ring_peek(&c);
		for (int i = 0; i < waiting; i++) {
			uint32_t got[RING_SLOT / 4];

			ring_copy(&c, (uint32_t)i, got);
			assert_int_equal(got[0], next_out++);
		}
		ring_release(&c, (uint32_t)waiting);
	}
	assert_int_equal(next_in, next_out);
	free(at);
}

static void test_broken_counts(void **state)
{
	struct ring_shared *at = ring_memory(SLOTS);
	struct ring p, c;

	(void)state;
	ring_attach(&p, at, SLOTS);
	ring_attach(&c, at, SLOTS);
	for (uint32_t bad = SLOTS + 1; bad != 0; bad = bad < 1u << 31 ? bad * 2 : 0) {
		atomic_store(&at->tail, bad);
		assert_int_equal(ring_peek(&c), -EPROTO);
	}
	atomic_store(&at->head, 1);	/* consumer claims what never was */
	assert_int_equal(ring_room(&p, SLOTS + 1), -EPROTO);
	free(at);
}

#define MANY	200000u

static void *produce(void *arg)
{
	struct ring p;
	uint32_t i = 0;

	ring_attach(&p, arg, SLOTS);
	while (i < MANY) {
		int room = ring_room(&p, 1);

		for (; room > 0 && i < MANY; room--) {
			uint32_t *slot = ring_slot(&p);

			slot[0] = i;
			slot[7] = ~i++;
		}
		ring_publish(&p);
	}
	return NULL;
}

static void test_two_threads(void **state)
{
	void *at = ring_memory(SLOTS);
	pthread_t t;
	struct ring c;
	uint32_t expect = 0;

	(void)state;
	ring_attach(&c, at, SLOTS);
	pthread_create(&t, NULL, produce, at);
	while (expect < MANY) {
		int n = ring_peek(&c);

		assert_true(n >= 0);
		for (int i = 0; i < n; i++) {
			uint32_t got[RING_SLOT / 4];

			ring_copy(&c, (uint32_t)i, got);
			assert_int_equal(got[0], expect);
			assert_int_equal(got[7], ~expect);
			expect++;
		}
		ring_release(&c, (uint32_t)n);
	}
	pthread_join(t, NULL);
	free(at);
}

/* The verification suite of Microsoft's RSS, IPv4 with TCP. */
static void test_rss_vectors(void **state)
{
	static const uint8_t key[RSS_KEY_BYTES] = {
		0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67,
		0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb,
		0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30,
		0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
	};
	static const struct {
		const char *src, *dst;
		uint16_t sport, dport;
		uint32_t hash;
	} v[] = {
		{ "66.9.149.187", "161.142.100.80", 2794, 1766, 0x51ccc178 },
		{ "199.92.111.2", "65.69.140.83", 14230, 4739, 0xc626b0ea },
		{ "24.19.198.95", "12.22.207.184", 12898, 38024, 0x5c2b394a },
		{ "38.27.205.30", "209.142.163.6", 48228, 2217, 0xafc7327f },
		{ "153.39.163.191", "202.188.127.2", 44251, 1303, 0x10e828a2 },
	};
	struct rss *r = malloc(sizeof(*r));

	(void)state;
	rss_init(r, key);
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++)
		assert_int_equal(rss_hash_v4(r, inet_addr(v[i].src),
					     inet_addr(v[i].dst),
					     htons(v[i].sport), htons(v[i].dport)),
				 v[i].hash);
	rss_init(r, rss_symmetric_key);
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++)
		assert_int_equal(rss_hash_v4(r, inet_addr(v[i].src),
					     inet_addr(v[i].dst),
					     htons(v[i].sport), htons(v[i].dport)),
				 rss_hash_v4(r, inet_addr(v[i].dst),
					     inet_addr(v[i].src),
					     htons(v[i].dport), htons(v[i].sport)));
	free(r);
}

static void test_handles(void **state)
{
	uint64_t h = handle_make(3, 0x1abcdef, 77);

	(void)state;
	assert_int_equal(handle_engine(h), 3);
	assert_int_equal(handle_generation(h), 0xabcdef);
	assert_int_equal(handle_index(h), 77);
	assert_int_equal(cmd_slots(CMD_NONE), 0);
	assert_int_equal(cmd_slots(CMD_TYPES), 0);
	assert_int_equal(cmd_slots(255), 0);
	assert_int_equal(cmd_slots(CMD_CONNECT), 2);
	assert_int_equal(event_slots(EVENT_ACCEPTED), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wraps_and_fills),
		cmocka_unit_test(test_broken_counts),
		cmocka_unit_test(test_two_threads),
		cmocka_unit_test(test_rss_vectors),
		cmocka_unit_test(test_handles),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
