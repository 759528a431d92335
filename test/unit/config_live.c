/* Values of a running mtcpd: shown, set, merged, and put into the file. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/config.h"
#include "tools/mtcpctl/conf_file.h"

static struct config *a_config(void)
{
	struct config *cfg = calloc(1, sizeof(*cfg));

	assert_non_null(cfg);
	config_defaults(cfg);
	strcpy(cfg->file, "f");
	cfg->port_count = 1;
	strcpy(cfg->ports[0].io.name, "p0");
	strcpy(cfg->ports[0].io.driver, "tap");
	strcpy(cfg->ports[0].io.device, "d");
	assert_int_equal(text_net("10.0.0.2/24", 0,
				  &cfg->ports[0].io.addrs[0],
				  &cfg->ports[0].prefix[0]), 0);
	cfg->ports[0].io.addr_count = 1;
	return cfg;
}

static const char *value(const struct config *cfg, const char *name)
{
	static char text[CONFIG_VALUE_BYTES];
	struct config_place at;

	assert_true(config_place_find(cfg, name, &at));
	return config_key_show(at.key, at.base, text, sizeof(text));
}

/* What is shown can be read again, for every key there is. */
static void shown_is_readable(void **state)
{
	struct config *cfg = a_config();
	struct config_place at;
	unsigned int n, live = 0;

	(void)state;
	for (n = 0; config_place_at(cfg, n, &at); n++) {
		char before[CONFIG_VALUE_BYTES], err[CONFIG_ERR_BYTES];
		int rc;

		strcpy(before, value(cfg, at.name));
		assert_true(before[0]);
		live += at.key->live;
		rc = config_set(cfg, at.name, before, err);
		if (rc != (at.key->live ? 0 : -EROFS))
			fail_msg("%s = %s: %s", at.name, before, err);
		assert_string_equal(value(cfg, at.name), before);
	}
	assert_true(n > 50 && live > 25);
	free(cfg);
}

static void bad_values_change_nothing(void **state)
{
	static const struct { const char *key, *value, *error; } bad[] = {
		{ "tcp.retries", "31", "tcp.retries = \"31\": allowed: 1 - 30" },
		{ "tcp.retries", "", "tcp.retries = \"\": allowed: 1 - 30" },
		{ "tcp.congestion", "bbq",
		  "tcp.congestion = \"bbq\": allowed: " },
		{ "tcp.rcv_wnd_max", "4K", "tcp.rcv_wnd_max: [tcp] "
		  "rcv_wnd_initial (65535) is above rcv_wnd_max (4096)" },
		{ "tcp.max_syn", "16", "tcp.max_syn cannot change while mtcpd "
		  "runs: change it in f and restart mtcpd" },
		{ "tcp", "1", "\"tcp\" is no key; [tcp] has: " },
		{ "", "1", "\"\" is no key: name it section.key" },
		{ "port.p1.address", "10.0.0.3/24", "\"port.p1.address\" is no "
		  "key; [port] has: " },
		{ "port.p0.address", "10.0.0.3", "port.p0.address = "
		  "\"10.0.0.3\": allowed: " },
	};
	struct config *cfg = a_config(), *before = a_config();
	char err[CONFIG_ERR_BYTES];

	(void)state;
	*before = *cfg;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_true(config_set(cfg, bad[i].key, bad[i].value, err) < 0);
		if (strncmp(err, bad[i].error, strlen(bad[i].error)))
			fail_msg("%s", err);
		assert_memory_equal(cfg, before, sizeof(*cfg));
	}
	free(cfg);
	free(before);
}

static void addresses_are_replaced(void **state)
{
	struct config *cfg = a_config();
	char err[CONFIG_ERR_BYTES];

	(void)state;
	assert_int_equal(config_set(cfg, "port.p0.address",
				    "10.0.0.7/24, 10.0.1.7/24", err), 0);
	assert_string_equal(value(cfg, "port.p0.address"),
			    "10.0.0.7/24, 10.0.1.7/24");
	assert_int_equal(cfg->net.addr_count, 2);
	free(cfg);
}

static void merge_names_what_waits(void **state)
{
	struct config *cfg = a_config(), *next = a_config();
	char restart[256];

	(void)state;
	assert_int_equal(config_merge(cfg, next, restart, sizeof(restart)), 0);
	assert_string_equal(restart, "");
	next->tcp.retries = 3;
	next->tcp.max_syn = 17;
	next->ports[0].io.mtu = 900;
	next->net.route_count = 1;
	next->net.routes[0].prefix = 96;
	assert_int_equal(config_merge(cfg, next, restart, sizeof(restart)), 2);
	assert_string_equal(restart, "tcp.max_syn, port.p0.mtu");
	assert_int_equal(cfg->tcp.retries, 3);
	assert_int_equal(cfg->tcp.max_syn, 16384);
	assert_int_equal(cfg->net.route_count, 1);
	/* a list that is too short is cut, not overrun */
	config_merge(cfg, next, restart, 5);
	assert_string_equal(restart, "tcp.");
	free(cfg);
	free(next);
}

/* ---- the file ---- */

static void edited(const char *before, struct conf_change *changes,
		   unsigned int count, const char *after)
{
	char *text = NULL;
	size_t bytes = 0;
	FILE *in = fmemopen((void *)(uintptr_t)before, strlen(before), "r");
	FILE *out = open_memstream(&text, &bytes);

	assert_non_null(in);
	assert_non_null(out);
	assert_int_equal(conf_edit(in, out, changes, count), 0);
	fclose(in);
	fclose(out);
	assert_string_equal(text, after);
	free(text);
}

static void comments_stay(void **state)
{
	struct conf_change two[] = { { "tcp.retries", "5", false },
				     { "tcp.delack_ms", "7", false } };
	struct conf_change port[] = { { "port.a.address", "10.0.0.1/8",
					false } };

	(void)state;
	edited("# head\n[tcp]\n  retries=3\t# why\n#delack_ms = 40 # dflt\n",
	       two, 2,
	       "# head\n[tcp]\n  retries = 5\t# why\ndelack_ms = 7 # dflt\n");
	/* the commented default stays where the key is given as well */
	edited("[tcp]\n#retries = 15\nretries = 3\n[limits]\n", two, 2,
	       "[tcp]\n#retries = 15\nretries = 5\ndelack_ms = 7\n[limits]\n");
	/* another section's key of that name is not touched */
	edited("[limits]\nretries = 1", two, 1,
	       "[limits]\nretries = 1\n\n[tcp]\nretries = 5\n");
	edited("[port  a]\naddress = 1\naddress = 2\n[port b]\naddress = 3\n",
	       port, 1,
	       "[port  a]\naddress = 10.0.0.1/8\n[port b]\naddress = 3\n");
	edited("", port, 1, "\n[port a]\naddress = 10.0.0.1/8\n");
	edited("retries = 1\n[", two, 1,
	       "retries = 1\n[\n[tcp]\nretries = 5\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shown_is_readable),
		cmocka_unit_test(bad_values_change_nothing),
		cmocka_unit_test(addresses_are_replaced),
		cmocka_unit_test(merge_names_what_waits),
		cmocka_unit_test(comments_stay),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
