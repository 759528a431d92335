/* siphash.c - daemon/base/siphash against the vectors of its authors */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/siphash.h"

/* Key 00..0f, message 00..(length - 1): the paper's appendix A (length 15)
 * and the first vectors published with it. */
static const struct {
	size_t length;
	uint64_t hash;
} vectors[] = {
	{ 0, 0x726fdb47dd0e0e31 },
	{ 1, 0x74f839c593dc67fd },
	{ 7, 0xab0200f58b01d137 },
	{ 8, 0x93f5f5799a932462 },
	{ 15, 0xa129ca6149be45e5 },
};

static void fill(uint8_t *key, uint8_t *message, size_t length)
{
	size_t i;

	for (i = 0; i < 16; i++)
		key[i] = (uint8_t)i;
	for (i = 0; i < length; i++)
		message[i] = (uint8_t)i;
}

static void published_vectors(void **state)
{
	uint8_t key[16], message[64];
	size_t i;

	(void)state;
	fill(key, message, sizeof(message));
	for (i = 0; i < sizeof(vectors) / sizeof(*vectors); i++)
		assert_int_equal(siphash(key, message, vectors[i].length),
				 vectors[i].hash);
}

static void any_alignment(void **state)
{
	uint8_t key[16], message[64], moved[80];
	uint64_t want;
	size_t i;

	(void)state;
	fill(key, message, sizeof(message));
	want = siphash(key, message, 37);
	for (i = 0; i < 16; i++) {
		memcpy(moved + i, message, 37);
		assert_int_equal(siphash(key, moved + i, 37), want);
	}
}

static void each_bit_counts(void **state)
{
	uint8_t key[16], message[24];
	uint64_t base;
	size_t bit;

	(void)state;
	fill(key, message, sizeof(message));
	base = siphash(key, message, sizeof(message));
	for (bit = 0; bit < 8 * sizeof(message); bit++) {
		message[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_true(siphash(key, message, sizeof(message)) != base);
		message[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	for (bit = 0; bit < 128; bit++) {
		key[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_true(siphash(key, message, sizeof(message)) != base);
		key[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(published_vectors),
		cmocka_unit_test(any_alignment),
		cmocka_unit_test(each_bit_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
