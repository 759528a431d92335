/* mem/block.h: ownership of blocks against what hostile clients could say. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "mem/block.h"

struct fixture {
	struct arena a;
	uint8_t *segment;
	struct block_meta *meta[2];
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->segment = calloc(3, SLAB_BYTES);
	assert_int_equal(arena_init(&f->a, f->segment, 3), 0);
	for (int c = 0; c < BLOCK_CLASSES; c++) {
		f->meta[c] = calloc(1, slab_meta_bytes((enum block_class)c));
		assert_int_equal(arena_add_slab(&f->a, 1 + (uint32_t)c,
						(enum block_class)c,
						f->meta[c]), 0);
	}
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	arena_fini(&f->a);
	for (int c = 0; c < BLOCK_CLASSES; c++)
		free(f->meta[c]);
	free(f->segment);
	free(f);
	return 0;
}

static void test_get_unref(void **state)
{
	struct fixture *f = *state;
	uint32_t b = block_get(&f->a, BLOCK_SMALL, ARENA_RX);

	assert_int_not_equal(b, BLOCK_NONE);
	assert_true(block_valid(&f->a, b));
	assert_int_equal(block_room(&f->a, b), 512);
	block_use(&f->a, b, 100);
	assert_int_equal(block_used(&f->a, b), 100);
	block_ref(&f->a, b);
	block_unref(&f->a, b);
	assert_int_equal(arena_in_use(&f->a), 1);
	block_unref(&f->a, b);
	assert_int_equal(arena_in_use(&f->a), 0);
	assert_int_equal(block_get(&f->a, BLOCK_SMALL, ARENA_RX), b);
	assert_int_equal(block_used(&f->a, b), 0);
	block_unref(&f->a, b);
}

static void test_granted_block_life(void **state)
{
	struct fixture *f = *state;
	uint32_t b = block_grant(&f->a, BLOCK_LARGE, 7);

	assert_int_equal(block_fill(&f->a, b, 7, 0, 10), 0);
	assert_int_equal(block_fill(&f->a, b, 7, 10, 4086), 0);
	block_unref(&f->a, b);
	block_unref(&f->a, b);
	assert_int_equal(arena_in_use(&f->a), 1);	/* still granted */
	assert_int_equal(block_give_up(&f->a, b, 7), 0);
	assert_int_equal(arena_in_use(&f->a), 0);
	b = block_grant(&f->a, BLOCK_LARGE, 7);
	assert_int_equal(block_fill(&f->a, b, 7, 0, 1), 0);
	assert_int_equal(block_give_up(&f->a, b, 7), 0);
	assert_int_equal(arena_in_use(&f->a), 1);	/* still in flight */
	block_unref(&f->a, b);
	assert_int_equal(arena_in_use(&f->a), 0);
}

static void test_hostile_fills(void **state)
{
	struct fixture *f = *state;
	uint32_t b = block_grant(&f->a, BLOCK_SMALL, 1);

	assert_int_equal(block_fill(&f->a, b, 2, 0, 1), -EPROTO);
	assert_int_equal(block_fill(&f->a, b, 1, 0, 0), -EPROTO);
	assert_int_equal(block_fill(&f->a, b, 1, 0, 513), -EPROTO);
	assert_int_equal(block_fill(&f->a, b, 1, 0xffff, 0xffff), -EPROTO);
	assert_int_equal(block_fill(&f->a, b, 1, 100, 100), 0);
	assert_int_equal(block_fill(&f->a, b, 1, 199, 1), -EPROTO);
	assert_int_equal(block_fill(&f->a, b + 1, 1, 0, 1), -EPROTO);
	assert_int_equal(block_fill(&f->a, 0, 1, 0, 1), -EPROTO);
	assert_int_equal(block_fill(&f->a, UINT32_MAX, 1, 0, 1), -EPROTO);
	assert_int_equal(block_give_up(&f->a, b, 2), -EPROTO);
	assert_int_equal(block_give_up(&f->a, b, 1), 0);
	assert_int_equal(block_give_up(&f->a, b, 1), -EPROTO);
	assert_int_equal(block_fill(&f->a, b, 1, 200, 1), -EPROTO);
	block_unref(&f->a, b);
	assert_int_equal(arena_in_use(&f->a), 0);
}

static void test_random_numbers_are_checked(void **state)
{
	struct fixture *f = *state;
	uint32_t x = 1;

	for (int i = 0; i < 100000; i++) {
		x = x * 1664525 + 1013904223;
		assert_int_equal(block_fill(&f->a, x, x >> 20 & 3, 0, 1), -EPROTO);
		assert_int_equal(block_give_up(&f->a, x, x >> 20 & 3), -EPROTO);
	}
	assert_int_equal(arena_in_use(&f->a), 0);
}

/* Neither direction can take all: an eighth is the other's. */
static void test_floors(void **state)
{
	struct fixture *f = *state;
	uint32_t total = slab_blocks(BLOCK_LARGE), rx = 0, tx = 0, b;

	while ((b = block_get(&f->a, BLOCK_LARGE, ARENA_RX)) != BLOCK_NONE)
		rx++;
	assert_int_equal(rx, total - total / 8);
	while ((b = block_grant(&f->a, BLOCK_LARGE, 0)) != BLOCK_NONE)
		tx++;
	assert_int_equal(rx + tx, total);
	b = 0;
	assert_true(arena_revoke(&f->a, 0, &b, ~0u));
	assert_int_equal(arena_in_use(&f->a), rx);
}

/* A slab a call, whatever the call before left. */
static void test_revoke_in_steps(void **state)
{
	struct fixture *f = *state;
	uint32_t slab = 0, calls = 1;

	for (int cls = 0; cls < BLOCK_CLASSES; cls++)
		for (int i = 0; i < 10; i++) {
			assert_int_not_equal(block_grant(&f->a,
					(enum block_class)cls, 0), BLOCK_NONE);
			assert_int_not_equal(block_grant(&f->a,
					(enum block_class)cls, 1), BLOCK_NONE);
		}
	while (!arena_revoke(&f->a, 0, &slab, 1)) {
		calls++;
		assert_int_equal(arena_in_use(&f->a), 40 - 10 * (calls - 1));
	}
	assert_int_equal(calls, BLOCK_CLASSES);
	assert_int_equal(arena_in_use(&f->a), 20);
	assert_true(arena_revoke(&f->a, 0, &slab, 1));
	slab = 0;
	assert_true(arena_revoke(&f->a, 1, &slab, ~0u));
	assert_int_equal(arena_in_use(&f->a), 0);
}

static void test_blocks_do_not_overlap(void **state)
{
	struct fixture *f = *state;
	uint64_t last = 0;

	for (uint32_t i = 0; i < slab_blocks(BLOCK_LARGE); i++) {
		uint64_t at = block_offset(block_id(2, i), BLOCK_LARGE);

		assert_true(at >= last);
		last = at + BLOCK_LARGE_BYTES;
	}
	assert_true(last <= 3ull * SLAB_BYTES);
	assert_int_equal(arena_add_slab(&f->a, 2, BLOCK_LARGE, f->meta[1]),
			 -EINVAL);
	assert_int_equal(arena_add_slab(&f->a, 3, BLOCK_LARGE, f->meta[1]),
			 -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_get_unref, setup, teardown),
		cmocka_unit_test_setup_teardown(test_granted_block_life, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hostile_fills, setup, teardown),
		cmocka_unit_test_setup_teardown(test_random_numbers_are_checked, setup, teardown),
		cmocka_unit_test_setup_teardown(test_floors, setup, teardown),
		cmocka_unit_test_setup_teardown(test_revoke_in_steps, setup, teardown),
		cmocka_unit_test_setup_teardown(test_blocks_do_not_overlap, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
