/* tcp/seq.h: every comparison across the wrap at 2^32. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tcp/seq.h"

static const seq_t bases[] = {
	0, 1, 2, 0x7ffffffe, 0x7fffffff, 0x80000000, 0x80000001, 0xfffffffe,
	0xffffffff, 12345, 0xdeadbeef,
};
#define BASES	(sizeof(bases) / sizeof(bases[0]))

static const uint32_t steps[] = { 1, 2, 1460, 65535, 1u << 30, 0x7fffffff };
#define STEPS	(sizeof(steps) / sizeof(steps[0]))

static void test_equal(void **state)
{
	(void)state;
	for (size_t i = 0; i < BASES; i++) {
		seq_t s = bases[i];

		assert_int_equal(seq_diff(s, s), 0);
		assert_false(seq_lt(s, s) || seq_gt(s, s));
		assert_true(seq_leq(s, s) && seq_geq(s, s));
		assert_int_equal(seq_min(s, s), s);
		assert_int_equal(seq_max(s, s), s);
	}
}

static void test_order(void **state)
{
	(void)state;
	for (size_t i = 0; i < BASES; i++)
		for (size_t k = 0; k < STEPS; k++) {
			seq_t a = bases[i], b = a + steps[k];

			assert_int_equal(seq_diff(b, a), (int32_t)steps[k]);
			assert_int_equal(seq_diff(a, b), -(int32_t)steps[k]);
			assert_true(seq_lt(a, b) && seq_leq(a, b));
			assert_false(seq_gt(a, b) || seq_geq(a, b));
			assert_true(seq_gt(b, a) && seq_geq(b, a));
			assert_false(seq_lt(b, a) || seq_leq(b, a));
			assert_int_equal(seq_min(a, b), a);
			assert_int_equal(seq_min(b, a), a);
			assert_int_equal(seq_max(a, b), b);
			assert_int_equal(seq_max(b, a), b);
		}
}

static void test_window(void **state)
{
	(void)state;
	for (size_t i = 0; i < BASES; i++)
		for (size_t k = 0; k < STEPS; k++) {
			seq_t from = bases[i];
			uint32_t len = steps[k];

			assert_true(seq_in(from, from, len));
			assert_true(seq_in(from + len - 1, from, len));
			assert_false(seq_in(from + len, from, len));
			assert_false(seq_in(from - 1, from, len));
			assert_false(seq_in(from, from, 0));
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_equal),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_window),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
