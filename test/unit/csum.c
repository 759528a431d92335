/* csum.c - daemon/net/csum against RFC 1071's definition, word by word */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <endian.h>
#include <netinet/in.h>

#include "net/net.h"

#define LONGEST	2000

/* The sum in host order of big-endian 16-bit words, an odd byte padded. */
static uint16_t naive(const uint8_t *p, uint32_t len)
{
	uint32_t sum = 0, i;

	for (i = 0; i < len; i++)
		sum += i % 2 ? p[i] : (uint32_t)p[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

/* +0 and -0 are the same number in one's complement. */
static void assert_same(uint16_t a, uint16_t b)
{
	assert_int_equal(a == 0xffff ? 0 : a, b == 0xffff ? 0 : b);
}

static void noise(uint8_t *p, size_t len, int kind)
{
	size_t i;

	for (i = 0; i < len; i++)
		p[i] = kind == 0 ? (uint8_t)rand() : kind == 1 ? 0xff : 0;
}

static void every_length_and_alignment(void **state)
{
	static uint8_t from[LONGEST + 16], to[LONGEST + 32];
	uint32_t len, at;
	uint16_t want;
	int kind;

	(void)state;
	srand(1);
	for (kind = 0; kind < 3; kind++) {
		noise(from, sizeof(from), kind);
		for (len = 0; len <= LONGEST; len++) {
			at = len % 8;	/* and all eight below */
			want = naive(from + at, len);
			assert_same(be16toh(csum_fold(csum_add(0, from + at,
							       len))), want);
		}
		for (at = 0; at < 8; at++)
			for (len = 0; len <= 300; len++) {
				want = naive(from + at, len);
				assert_same(be16toh(csum_fold(
					csum_add(0, from + at, len))), want);
				memset(to, 0xee, sizeof(to));
				assert_same(be16toh(csum_fold(
					csum_copy(0, to + 7 - at, from + at,
						  len))), want);
				assert_memory_equal(to + 7 - at, from + at, len);
				assert_int_equal(to[7 - at + len], 0xee);
			}
	}
}

static void copy_every_length(void **state)
{
	static uint8_t from[LONGEST + 8], to[LONGEST + 8];
	uint32_t len;

	(void)state;
	noise(from, sizeof(from), 0);
	for (len = 0; len <= LONGEST; len++) {
		memset(to, 0, sizeof(to));
		assert_same(be16toh(csum_fold(csum_copy(0, to, from + len % 8,
							len))),
			    naive(from + len % 8, len));
		assert_memory_equal(to, from + len % 8, len);
		assert_int_equal(to[len], 0);
	}
}

/* In pieces of any length, odd ones swapped where they begin oddly. */
static void in_pieces(void **state)
{
	static uint8_t bytes[LONGEST];
	uint32_t at, part, round;
	uint64_t sum, piece;

	(void)state;
	for (round = 0; round < 2000; round++) {
		noise(bytes, sizeof(bytes), 0);
		for (sum = 0, at = 0; at < LONGEST; at += part) {
			part = 1 + (uint32_t)rand() % 400;
			if (part > LONGEST - at)
				part = LONGEST - at;
			piece = csum_add(0, bytes + at, part);
			sum += at % 2 ? csum_swap(piece) : piece;
		}
		assert_same(be16toh(csum_fold(sum)), naive(bytes, LONGEST));
	}
}

static void carries(void **state)
{
	(void)state;
	assert_int_equal(csum_fold(UINT64_MAX), 0xffff);
	assert_int_equal(csum_fold(0), 0);
	assert_int_equal(csum_finish(0), 0xffff);
	assert_int_equal(csum_fold(0x1ffff), 1);
	assert_int_equal(csum_fold(UINT64_C(0xffff0000ffff0001)), 1);
	assert_int_equal(csum_add(0xffffffff, "\0\0", 2), 0xffffffff);
}

/* RFC 1071 3's own example. */
static void rfc_example(void **state)
{
	static const uint8_t bytes[] = { 0x00, 0x01, 0xf2, 0x03,
					 0xf4, 0xf5, 0xf6, 0xf7 };

	(void)state;
	assert_int_equal(be16toh(csum_fold(csum_add(0, bytes, 8))), 0xddf2);
}

static void pseudo_headers(void **state)
{
	uint8_t v4[12] = { 10, 0, 0, 1, 192, 168, 5, 77, 0, IPPROTO_TCP, 0x12,
			   0x34 };
	uint8_t v6[40] = { 0x20, 1, 0x0d, 0xb8 };
	struct ip_addr a, b;

	(void)state;
	addr_parse(&a, "10.0.0.1");
	addr_parse(&b, "192.168.5.77");
	assert_same(be16toh(csum_fold(csum_pseudo(&a, &b, IPPROTO_TCP, 0x1234))),
		    naive(v4, sizeof(v4)));
	addr_parse(&a, "2001:db8::1");
	addr_parse(&b, "fe80::2");
	memcpy(v6, &a, 16);
	memcpy(v6 + 16, &b, 16);
	v6[33] = 1;
	v6[34] = 0x23;
	v6[35] = 0x45;
	v6[39] = IPPROTO_TCP;
	assert_same(be16toh(csum_fold(csum_pseudo(&a, &b, IPPROTO_TCP, 0x12345))),
		    naive(v6, sizeof(v6)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_length_and_alignment),
		cmocka_unit_test(copy_every_length),
		cmocka_unit_test(in_pieces),
		cmocka_unit_test(carries),
		cmocka_unit_test(rfc_example),
		cmocka_unit_test(pseudo_headers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
