/* Policies: what the file says, whose they are, what they allow. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control/config.h"
#include "engine/engine_state.h"

static struct ip_addr addr(const char *text)
{
	struct ip_addr a;

	assert_int_equal(addr_parse(&a, text), 0);
	return a;
}

static void ports_and_addresses(void **state)
{
	static const char *const bad[] = { "", "0", "65536", "80-79", "80-",
		"-80", "x", "80,x", "1-2-3",
		"1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17" };
	struct engine_policy p = { 0 };
	struct ip_addr one = addr("10.0.0.1"), two = addr("10.0.0.2");

	(void)state;
	assert_int_equal(text_ranges("80, 8000-8001 443", &p), 0);
	assert_int_equal(p.range_count, 3);
	assert_true(engine_policy_port(&p, 80));
	assert_true(engine_policy_port(&p, 8001));
	assert_false(engine_policy_port(&p, 8002));
	assert_false(engine_policy_port(&p, 79));
	assert_int_equal(text_ranges("none", &p), 0);
	assert_false(engine_policy_port(&p, 1));
	assert_false(engine_policy_port(&p, 65535));
	assert_int_equal(text_ranges("any", &p), 0);
	assert_true(engine_policy_port(&p, 1));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(text_ranges(bad[i], &p), -EINVAL);
	assert_true(engine_policy_addr(&p, &one));
	assert_int_equal(text_addrs("10.0.0.1", &p), 0);
	assert_true(engine_policy_addr(&p, &one));
	assert_false(engine_policy_addr(&p, &two));
	assert_int_equal(text_addrs("10.0.0.1/8", &p), -EINVAL);
	assert_int_equal(text_addrs("", &p), -EINVAL);
}

static void first_that_fits(void **state)
{
	struct config *cfg = calloc(1, sizeof(*cfg));
	const uint32_t gids[] = { 5, 7 };

	(void)state;
	assert_non_null(cfg);
	assert_null(config_policy_of(cfg, 0, gids, 2));
	cfg->policy_count = 3;
	strcpy(cfg->policies[0].user, "u");
	cfg->policies[0].uid = 1;
	strcpy(cfg->policies[0].group, "g");
	cfg->policies[0].gid = 9;		/* both must fit */
	strcpy(cfg->policies[1].group, "h");
	cfg->policies[1].gid = 7;
	assert_ptr_equal(config_policy_of(cfg, 1, gids, 2), &cfg->policies[1]);
	assert_ptr_equal(config_policy_of(cfg, 1, gids, 1), &cfg->policies[2]);
	cfg->policies[0].gid = 5;
	assert_ptr_equal(config_policy_of(cfg, 1, gids, 2), &cfg->policies[0]);
	assert_ptr_equal(config_policy_of(cfg, 2, gids, 0), &cfg->policies[2]);
	free(cfg);
}

static void rates(void **state)
{
	rate_t r = 0;
	mono_t now = { 5000000 };
	int n = 0;

	(void)state;
	while (n < 1000 && rate_take(&r, 10, now))
		n++;
	assert_int_equal(n, 10);	/* a second's worth at once */
	assert_false(rate_take(&r, 10, mono_add(now, 99999)));
	assert_true(rate_take(&r, 10, mono_add(now, 100000)));
	assert_false(rate_take(&r, 10, mono_add(now, 100000)));
	now = mono_add(now, 60000000);	/* a long pause saves no more */
	for (n = 0; n < 1000 && rate_take(&r, 10, now);)
		n++;
	assert_int_equal(n, 10);
	assert_true(rate_take(&r, 0, now));
	now = mono_add(now, 1000000);
	for (n = 0; n < 2000000 && rate_take(&r, 1000000, now);)
		n++;
	assert_int_equal(n, 1000000);
}

static void sources(void **state)
{
	static const char *const bad[][2] = {
		{ "80", "" }, { "80", "allow" }, { "80", "permit any" },
		{ "x", "allow any" }, { "0", "allow any" },
		{ "80", "allow 10.0.0.0/33" }, { "80", "deny x" },
		{ "80", "deny 1.1.1.1 1.1.1.1 1.1.1.1 1.1.1.1 1.1.1.1 1.1.1.1 "
		  "1.1.1.1 1.1.1.1 1.1.1.1" } };
	struct config *cfg = calloc(1, sizeof(*cfg));
	struct ip_addr a = addr("10.1.0.1"), b = addr("10.2.0.1");
	char why[CONFIG_ERR_BYTES];

	(void)state;
	assert_non_null(cfg);
	assert_true(engine_access_ok(cfg->access, 0, &a, 80));
	assert_int_equal(config_add_access(cfg, "80", "allow 10.1.0.0/16",
					   why), 0);
	assert_int_equal(config_add_access(cfg, "81", "deny 10.1.0.0/16",
					   why), 0);
	assert_true(engine_access_ok(cfg->access, 2, &a, 80));
	assert_false(engine_access_ok(cfg->access, 2, &b, 80));
	assert_false(engine_access_ok(cfg->access, 2, &a, 81));
	assert_true(engine_access_ok(cfg->access, 2, &b, 81));
	assert_true(engine_access_ok(cfg->access, 2, &b, 82));
	/* deny goes before allow; any is every port */
	assert_int_equal(config_add_access(cfg, "any", "deny 10.1.0.1", why), 0);
	assert_false(engine_access_ok(cfg->access, 3, &a, 80));
	assert_false(engine_access_ok(cfg->access, 3, &a, 9));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(config_add_access(cfg, bad[i][0], bad[i][1],
						   why), -EINVAL);
	assert_int_equal(cfg->access_count, 3);
	while (cfg->access_count < ENGINE_ACCESS_MAX)
		assert_int_equal(config_add_access(cfg, "80", "allow any",
						   why), 0);
	assert_int_equal(config_add_access(cfg, "80", "allow any", why),
			 -EINVAL);
	free(cfg);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ports_and_addresses),
		cmocka_unit_test(first_that_fits),
		cmocka_unit_test(rates),
		cmocka_unit_test(sources),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
