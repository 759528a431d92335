/* addr.c - daemon/base/addr */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>

#include "base/addr.h"

static struct ip_addr parsed(const char *text)
{
	struct ip_addr a;

	assert_int_equal(addr_parse(&a, text), 0);
	return a;
}

static void text_both_ways(void **state)
{
	static const char *const same[] = {
		"0.0.0.0", "10.0.0.1", "255.255.255.255", "192.168.100.200",
		"::", "::1", "fe80::1", "2001:db8::1:0:0:1",
	};
	char buf[ADDR_TEXT_BYTES];
	struct ip_addr a;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(same) / sizeof(*same); i++) {
		a = parsed(same[i]);
		assert_string_equal(addr_text(&a, buf), same[i]);
	}
	a = parsed("::ffff:1.2.3.4");
	assert_string_equal(addr_text(&a, buf), "1.2.3.4");
}

static void bad_text(void **state)
{
	static const char *const bad[] = {
		"", " ", "1.2.3", "1.2.3.256", "1.2.3.4 ", "01.2.3.4x", "a.b.c.d",
		"1.2.3.4/24", ":::", "1.2.3.4.5", "fe80::1%eth0",
	};
	struct ip_addr a;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_int_equal(addr_parse(&a, bad[i]), -EINVAL);
}

static void v4_is_mapped(void **state)
{
	struct ip_addr a = addr_from_v4(htonl(0x0a000001));
	struct ip_addr b = parsed("10.0.0.1"), six = parsed("2001:db8::1");

	(void)state;
	assert_true(addr_eq(&a, &b));
	assert_true(addr_is_v4(&a));
	assert_int_equal(ntohl(addr_v4(&a)), 0x0a000001);
	assert_false(addr_is_v4(&six));
	assert_false(addr_eq(&a, &six));
}

static void any_address(void **state)
{
	struct ip_addr a;

	(void)state;
	a = parsed("0.0.0.0");
	assert_true(addr_is_any(&a));
	a = parsed("::");
	assert_true(addr_is_any(&a));
	a = parsed("::1");
	assert_false(addr_is_any(&a));
	a = parsed("0.0.0.1");
	assert_false(addr_is_any(&a));
}

/* Every prefix length against a bit-by-bit comparison. */
static void prefixes(void **state)
{
	struct ip_addr net = parsed("10.1.2.3"), a;
	unsigned int bit, prefix;

	(void)state;
	for (bit = 0; bit < 128; bit++) {
		a = net;
		a.b[bit / 8] ^= (uint8_t)(0x80u >> bit % 8);
		for (prefix = 0; prefix <= 128; prefix++)
			assert_int_equal(addr_in_prefix(&a, &net, prefix),
					 prefix <= bit);
	}
	assert_true(addr_in_prefix(&net, &net, 4000));
	assert_false(addr_in_prefix(&(struct ip_addr){ { 0 } }, &net, 255));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_both_ways),
		cmocka_unit_test(bad_text),
		cmocka_unit_test(v4_is_mapped),
		cmocka_unit_test(any_address),
		cmocka_unit_test(prefixes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
