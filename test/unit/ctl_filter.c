/* The filter language of mtcpctl. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "tools/mtcpctl/filter.h"

static json_t *conn;

static int setup(void **state)
{
	(void)state;
	conn = json_pack("{s:s,s:s,s:s,s:i,s:s,s:i,s:i,s:s,s:i,s:i,s:i}",
			 "id", "1/17/3", "state", "ESTABLISHED",
			 "local", "10.77.0.2", "lport", 80,
			 "remote", "192.168.3.130", "rport", 40001,
			 "client", 4, "client_name", "nginx", "engine", 1,
			 "srtt_us", 12000, "send_q", 4096);
	return conn ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	json_decref(conn);
	return 0;
}

static int match(const char *text)
{
	char err[256], *word = strdup(text);
	struct filter *f = filter_parse(&word, 1, err);
	int hit;

	free(word);
	if (!f) {
		assert_true(err[0] != '\0');
		return -1;
	}
	hit = filter_match(f, conn);
	filter_free(f);
	return hit;
}

static void test_matches(void **state)
{
	static const char *const yes[] = {
		"", "state established", "state ESTAB", "state all",
		"state connected", "not state listening", "!state time-wait",
		"src 10.77.0.2", "src 10.77.0.2:80", "src :80", "src *",
		"src 10.0.0.0/8:80", "dst 192.168.3.128/25", "dst *:40001",
		"dst 0.0.0.0/0", "dst ::ffff:192.168.3.130",
		"sport 80", "sport = :80", "sport=80", "sport eq 80",
		"dport != 80", "dport >= 1024", "port 80", "port 40001",
		"client nginx", "client 4", "client ng*", "engine 1",
		"rtt > 10ms", "rtt<1s", "send-q == 4k", "send-q ge 4096",
		"id 1/17/3",
		"state established sport 80",
		"sport 1 or sport 80", "sport 1 || sport 2 | sport 80",
		"( sport 1 or dport 40001 ) and client nginx",
		"(sport 1 or dport 40001)&&client nginx",
		"not ( sport 1 or sport 2 )", "! ! sport 80",
		"sport 80 or sport 1 and sport 2",
	};
	static const char *const no[] = {
		"state time-wait", "state listening", "not state all",
		"src 10.77.0.3", "src 10.77.0.2:81", "dst 192.168.3.0/25",
		"dst 192.168.3.131", "sport 81", "sport > 80", "sport lt 80",
		"port != 80", "client apache", "client 5", "engine 0",
		"rtt > 1s", "rtt < 12000us", "id 1/17/4",
		"sport 80 dport 80", "not sport 80 and dport 40001",
		"( sport 80 or sport 1 ) and sport 2",
		"src ::1",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++)
		if (match(yes[i]) != 1)
			fail_msg("does not match: %s", yes[i]);
	for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++)
		if (match(no[i]) != 0)
			fail_msg("matches: %s", no[i]);
}

static void test_errors(void **state)
{
	static const char *const bad[] = {
		"state", "state nonsense", "nonsense", "sport", "sport x",
		"sport 65536", "sport -1", "src", "src 10.0.0", "src 1.2.3.4/33",
		"src 1.2.3.4:x", "src 1.2.3.4/x", "( sport 80", "sport 80 )",
		"( )", "and sport 80", "sport 80 and", "sport 80 or", "not",
		"rtt 5 parsecs", "rtt >", "client", "id", "src [::1",
		"src ::1/129", "src 1.2.3.4:99999", "engine = = 1",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (match(bad[i]) != -1)
			fail_msg("accepted: %s", bad[i]);
}

/* Words as the shell gives them are the same as one string. */
static void test_words(void **state)
{
	char *words[] = { "state", "established", "(", "sport=80", "or",
			  "dport", "1", ")" };
	char err[256];
	struct filter *f = filter_parse(words, 8, err);
	json_t *list = json_array();

	(void)state;
	assert_non_null(f);
	for (int i = 0; i < 5; i++) {
		json_t *other = json_copy(conn);

		json_object_set_new(other, "lport", json_integer(78 + i));
		json_array_append_new(list, other);
	}
	filter_apply(f, list);
	assert_int_equal(json_array_size(list), 1);
	assert_int_equal(json_integer_value(json_object_get(
		json_array_get(list, 0), "lport")), 80);
	json_decref(list);
	filter_free(f);
}

static void test_limits(void **state)
{
	char text[6000], *word = text, err[256];

	(void)state;
	memset(text, '(', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	assert_null(filter_parse(&word, 1, err));	/* too long */
	text[1000] = '\0';
	assert_null(filter_parse(&word, 1, err));	/* too deep */
	memset(text, 'a', 5000);
	text[5000] = '\0';
	assert_null(filter_parse(&word, 1, err));
	strcpy(text, "client ");
	memset(text + 7, 'x', 100);
	text[107] = '\0';
	assert_null(filter_parse(&word, 1, err));
}

/* Any bytes are parsed or refused, and never more than that. */
static void test_garbage(void **state)
{
	static const char *const parts[] = { "state", "src", "(", ")", "!",
		"and", "or", "80", "10.0.0.0/8", ":", "[", "]", "*", "/", "=",
		"<=", "sport", "client", "established", " ", "\t", "\xff" };
	uint32_t rng = 1;
	char text[200];

	(void)state;
	for (int i = 0; i < 50000; i++) {
		size_t used = 0;

		while (used < 100 && (rng >> 8) % 16) {
			const char *p;

			rng = rng * 1664525 + 1013904223;
			p = parts[(rng >> 8) % (sizeof(parts) /
						sizeof(parts[0]))];
			strcpy(text + used, p);
			used += strlen(p);
			if (rng & 1 << 20)
				text[used++] = ' ';
			rng = rng * 1664525 + 1013904223;
		}
		text[used] = '\0';
		rng = rng * 1664525 + 1013904223;
		assert_in_range(match(text) + 1, 0, 2);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_matches, setup, teardown),
		cmocka_unit_test_setup_teardown(test_errors, setup, teardown),
		cmocka_unit_test_setup_teardown(test_words, setup, teardown),
		cmocka_unit_test_setup_teardown(test_limits, setup, teardown),
		cmocka_unit_test_setup_teardown(test_garbage, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
