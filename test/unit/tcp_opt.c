/* tcp/tcp_opt.c: what is parsed and built; hostile lists of every length. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tcp/tcp_opt.h"

static uint64_t seed = 42;

static uint32_t draw(uint32_t below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)(seed >> 11) % below;
}

/* From an exact copy, so that a sanitizer sees what is read past the end. */
static struct tcp_opts parse(const void *bytes, uint32_t len)
{
	uint8_t *exact = malloc(len ? len : 1);
	struct tcp_opts o;

	assert_non_null(exact);
	memcpy(exact, bytes, len);
	memset(&o, 0xa5, sizeof(o));
	o.malformed = true;
	tcp_opt_parse(&o, exact, len);
	free(exact);
	return o;
}

static void test_known(void **state)
{
	static const uint8_t syn[] = {
		2, 4, 0x05, 0xb4, 1, 3, 3, 7, 4, 2,
		8, 10, 1, 2, 3, 4, 5, 6, 7, 8 };
	struct tcp_opts o = parse(syn, sizeof(syn));

	(void)state;
	assert_false(o.malformed);
	assert_int_equal(o.has, OPT_MSS | OPT_WSCALE | OPT_SACK_OK | OPT_TS);
	assert_int_equal(o.mss, 1460);
	assert_int_equal(o.wscale, 7);
	assert_int_equal(o.tsval, 0x01020304);
	assert_int_equal(o.tsecr, 0x05060708);
	o = parse("", 0);
	assert_false(o.malformed || o.has || o.sack_count);
}

static void test_sack(void **state)
{
	uint8_t b[34] = { 5, 34 };
	struct tcp_opts o;

	(void)state;
	for (int i = 2; i < 34; i++)
		b[i] = (uint8_t)i;
	for (uint32_t blocks = 1; blocks <= SACK_BLOCKS_MAX; blocks++) {
		b[1] = (uint8_t)(2 + 8 * blocks);
		o = parse(b, b[1]);
		assert_false(o.malformed);
		assert_int_equal(o.has, OPT_SACK);
		assert_int_equal(o.sack_count, blocks);
		assert_int_equal(o.sack[0].left, 0x02030405);
		assert_int_equal(o.sack[0].right, 0x06070809);
	}
	assert_int_equal(o.sack[3].right, 0x1e1f2021);
	b[1] = 10;
	b[10] = 5;		/* twice: the last one counts */
	b[11] = 18;
	o = parse(b, 28);
	assert_false(o.malformed);
	assert_int_equal(o.sack_count, 2);
	assert_int_equal(o.sack[0].left, 0x0c0d0e0f);
}

/* A wrong length skips the option; one that ends the list ends parsing. */
static void test_malformed(void **state)
{
	static const struct { uint8_t len, b[12], has; } bad[] = {
		{ 1, { 2 }, 0 },			/* no length */
		{ 4, { 2, 0, 5, 180 }, 0 },		/* endless */
		{ 4, { 2, 1, 5, 180 }, 0 },
		{ 4, { 2, 5, 5, 180 }, 0 },		/* over the end */
		{ 3, { 2, 3, 5 }, 0 },			/* not its length */
		{ 4, { 3, 4, 7, 1 }, 0 },
		{ 4, { 4, 3, 0, 1 }, 0 },
		{ 4, { 5, 2, 1, 1 }, 0 },		/* SACK of nothing */
		{ 4, { 34, 4, 1, 1 }, 0 },		/* cookies of 2, */
		{ 8, { 34, 7, 1, 1, 1, 1, 1, 1 }, 0 },	/* and of 5 bytes */
		{ 8, { 5, 8, 1, 1, 1, 1, 1, 1 }, 0 },
		{ 12, { 5, 12, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1 }, 0 },
		{ 12, { 8, 8, 1, 1, 1, 1, 1, 1, 3, 3, 7, 1 }, OPT_WSCALE },
		{ 8, { 3, 3, 2, 2, 3, 5, 4, 2 }, OPT_WSCALE | OPT_SACK_OK },
		{ 8, { 3, 3, 2, 8, 10, 1, 1, 1 }, OPT_WSCALE },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct tcp_opts o = parse(bad[i].b, bad[i].len);

		assert_true(o.malformed);
		assert_int_equal(o.has, bad[i].has);
	}
}

static void test_harmless(void **state)
{
	static const uint8_t after_end[] = { 1, 1, 0, 2, 4, 5, 180, 99 };
	static const uint8_t unknown[] = { 30, 6, 1, 2, 3, 4, 254, 2, 4, 2 };
	static const uint8_t scale[] = { 3, 3, 255 };
	struct tcp_opts o = parse(after_end, sizeof(after_end));

	(void)state;
	assert_false(o.malformed || o.has);
	o = parse(unknown, sizeof(unknown));	/* RFC 9293 3.2, MUST-6 */
	assert_false(o.malformed);
	assert_int_equal(o.has, OPT_SACK_OK);
	o = parse(scale, sizeof(scale));	/* RFC 7323 2.3 */
	assert_int_equal(o.wscale, WSCALE_MAX);
}

static void test_round_trip(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 4096; i++) {
		struct tcp_opts in = {
			.has = i & (OPT_MSS | OPT_WSCALE | OPT_TS |
				    OPT_SACK_OK | OPT_TFO),
			.tfo_len = (uint8_t)(draw(2) ? 4 + draw(5) * 2 : 0),
			.tfo = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 },
			.mss = (uint16_t)draw(65536),
			.wscale = (uint8_t)draw(WSCALE_MAX + 1),
			.tsval = draw(UINT32_MAX), .tsecr = draw(UINT32_MAX) };
		uint8_t b[OPT_BYTES_MAX];
		uint8_t len = tcp_opt_build(b, &in);
		struct tcp_opts out = parse(b, len);

		assert_true(len % 4 == 0 && len <= OPT_BYTES_MAX);
		assert_int_equal(len == 0, in.has == 0);
		assert_false(out.malformed);
		assert_int_equal(out.has, in.has);
		if (in.has & OPT_TFO) {
			assert_int_equal(out.tfo_len, in.tfo_len);
			assert_memory_equal(out.tfo, in.tfo, in.tfo_len);
		}
		if (in.has & OPT_MSS)
			assert_int_equal(out.mss, in.mss);
		if (in.has & OPT_WSCALE)
			assert_int_equal(out.wscale, in.wscale);
		if (in.has & OPT_TS) {
			assert_int_equal(out.tsval, in.tsval);
			assert_int_equal(out.tsecr, in.tsecr);
		}
	}
}

/* A cookie that the header cannot hold is left out. */
static void test_long_cookie(void **state)
{
	struct tcp_opts o = { .has = OPT_MSS | OPT_WSCALE | OPT_TS |
				     OPT_SACK_OK | OPT_TFO,
			      .tfo_len = 16 };
	uint8_t b[OPT_BYTES_MAX], len = tcp_opt_build(b, &o);

	(void)state;
	assert_true(len <= OPT_BYTES_MAX);
	assert_false(parse(b, len).has & OPT_TFO);
	o.has = OPT_MSS | OPT_TFO;
	len = tcp_opt_build(b, &o);
	assert_int_equal(parse(b, len).tfo_len, 16);
}

/* The short way for padded timestamps sees what the long way sees. */
static void test_padded_timestamps(void **state)
{
	static const uint8_t padded[] = { 1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8 };
	uint8_t longer[13];
	struct tcp_opts a = parse(padded, sizeof(padded)), b;

	(void)state;
	memcpy(longer, padded, sizeof(padded));
	longer[12] = 0;
	b = parse(longer, sizeof(longer));
	assert_int_equal(a.has, OPT_TS);
	assert_int_equal(b.has, OPT_TS);
	assert_int_equal(a.tsval, b.tsval);
	assert_int_equal(a.tsecr, b.tsecr);
	assert_false(a.malformed || b.malformed);
	assert_int_equal(a.sack_count, 0);
}

static void check_any(const uint8_t *b, uint32_t len)
{
	struct tcp_opts o = parse(b, len);

	assert_true(o.sack_count <= SACK_BLOCKS_MAX);
	assert_int_equal(o.sack_count != 0, (o.has & OPT_SACK) != 0);
	assert_int_equal(o.has & ~(31 | OPT_TFO | OPT_ACCECN), 0);
	assert_true(!(o.has & OPT_ACCECN) ||
		    o.accecn_fields <= ACCECN_FIELDS);
	assert_true(!(o.has & OPT_TFO) || o.tfo_len <= TFO_BYTES_MAX);
	if (o.has & OPT_WSCALE)
		assert_true(o.wscale <= WSCALE_MAX);
}

/* Every length, bytes of any kind and bytes that are likely. */
static void test_random(void **state)
{
	static const uint8_t likely[] = { 0, 1, 2, 3, 4, 5, 8, 10, 34, 255 };
	uint8_t b[OPT_BYTES_MAX];

	(void)state;
	for (uint32_t round = 0; round < 3000; round++)
		for (uint32_t len = 0; len <= OPT_BYTES_MAX; len++) {
			for (uint32_t i = 0; i < len; i++)
				b[i] = round % 2 ? (uint8_t)draw(256) :
				       likely[draw(sizeof(likely))];
			check_any(b, len);
		}
}

/* All lists of two bytes at every distance from the end. */
static void test_pairs(void **state)
{
	uint8_t b[OPT_BYTES_MAX];

	(void)state;
	for (uint32_t pair = 0; pair < 65536; pair++) {
		uint32_t len = 2 + pair * 7 % (OPT_BYTES_MAX - 1);

		memset(b, 1, sizeof(b));
		b[len - 2 - pair % (len - 1)] = (uint8_t)pair;
		b[len - 1 - pair % (len - 1)] = (uint8_t)(pair >> 8);
		check_any(b, len);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known),
		cmocka_unit_test(test_sack),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_harmless),
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_long_cookie),
		cmocka_unit_test(test_padded_timestamps),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_pairs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
