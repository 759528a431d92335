#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libclient/client.h"

static char path[] = "/tmp/mtcpd-conf-XXXXXX";
static char why[1024];

/* Reads @text as a configuration file. */
static int read_text(struct settings *s, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	why[0] = 0;
	settings_default(s);
	return conf_read(s, path, why, sizeof(why));
}

static int make_file(void **state)
{
	int fd = mkstemp(path);

	(void)state;
	close(fd);
	return fd < 0;
}

static int drop_file(void **state)
{
	(void)state;
	return unlink(path);
}

/* mTCP's own samples, every key of them. */
static void samples(void **state)
{
	struct settings s;

	(void)state;
	assert_int_equal(read_text(&s,
		"# comment\n"
		"io = dpdk\n"
		"num_cores = 1\n"
		"num_mem_ch = 4\n"
		"core_mask = 0xffff\n"
		"max_concurrency = 30000\n"
		"max_num_buffers = 30000\n"
		"rcvbuf = 16384 # bytes\n"
		"\n"
		"tcp_timeout = 30\n"
		"tcp_timewait = 3\n"
		"port = dpdk0 dpdk1\n"
		"multiprocess = 0\n"
		"cc = cubic\n"
		"stat_print = dpdk0 dpdk1\n"), 0);
	assert_int_equal(s.conf.num_cores, 1);
	assert_int_equal(s.conf.max_concurrency, 30000);
	assert_int_equal(s.conf.max_num_buffers, 30000);
	assert_int_equal(s.conf.rcvbuf_size, 16384);
	assert_int_equal(s.conf.sndbuf_size, 16384);
	assert_int_equal(s.conf.tcp_timeout, 30000);
	assert_int_equal(s.conf.tcp_timewait, 3000);
	assert_true(s.stat_print);
	assert_string_equal(s.stat_name, "dpdk0 dpdk1");
}

static void separators_and_defaults(void **state)
{
	struct settings s;

	(void)state;
	assert_int_equal(read_text(&s, "max_concurrency\t=\t7\r\n"
				       "\tio psio   \n"
				       "tcp_timeout=-1"), 0);
	assert_int_equal(s.conf.max_concurrency, 7);
	assert_int_equal(s.conf.tcp_timeout, -1);
	assert_int_equal(s.conf.rcvbuf_size, 8192);
	assert_int_equal(s.conf.sndbuf_size, 8192);
	assert_false(s.stat_print);
	assert_int_equal(read_text(&s, ""), 0);
	assert_int_equal(s.conf.num_cores, GetNumCPUs());
	assert_int_equal(s.conf.max_concurrency, 10000);
}

static void socket_of_the_daemon(void **state)
{
	struct settings s;

	(void)state;
	assert_int_equal(read_text(&s, "mtcpd_socket = /tmp/x.sock\n"), 0);
	assert_string_equal(s.socket_path, "/tmp/x.sock");
	assert_true(read_text(&s, "mtcpd_socket = x.sock\n") < 0);
}

/* What is wrong, and that the message names line, key and what is allowed. */
static void mistakes(void **state)
{
	static const struct { const char *text, *line, *says; } bad[] = {
		{ "io = dpdk\nnonsense = 1\n", ":2:", "nonsense" },
		{ "num_cores = 0\n", ":1:", "num_cores" },
		{ "num_cores = 100000\n", ":1:", "processors" },
		{ "num_cores = x\n", ":1:", "allowed" },
		{ "num_cores =\n", ":1:", "num_cores" },
		{ "\n\nrcvbuf = 63\n", ":3:", "64" },
		{ "sndbuf = 12k\n", ":1:", "sndbuf" },
		{ "io = rdma\n", ":1:", "psio" },
		{ "max_concurrency = -5\n", ":1:", "max_concurrency" },
		{ "max_concurrency = 99999999999999999999\n", ":1:", "1" },
		{ "tcp_timeout = soon\n", ":1:", "seconds" },
		{ "core_mask = 0xfg\n", ":1:", "hexadecimal" },
		{ "multiprocess = 2\n", ":1:", "0 or 1" },
		{ "onvm_serv = 1\n", ":1:", "OpenNetVM" },
		{ "= = =\nport\n", ":2:", "port" },
	};
	struct settings s;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_true(read_text(&s, bad[i].text) < 0);
		assert_non_null(strstr(why, path));
		assert_non_null(strstr(why, bad[i].line));
		assert_non_null(strstr(why, bad[i].says));
	}
}

static void no_file(void **state)
{
	struct settings s;

	(void)state;
	settings_default(&s);
	assert_true(conf_read(&s, "/nonexistent/x", why, sizeof(why)) < 0);
	assert_non_null(strstr(why, "/nonexistent/x"));
}

/* Garbage of every length: no crash, and an answer. */
static void garbage(void **state)
{
	struct settings s;
	char text[4096];

	(void)state;
	srand(1);
	for (int round = 0; round < 300; round++) {
		int n = rand() % (int)(sizeof(text) - 1);

		for (int i = 0; i < n; i++)
			text[i] = (char)(rand() % 255 + 1);
		text[n] = 0;
		read_text(&s, text);
	}
}

/* mtcp_setconf ignores what is not positive, before mtcp_init too. */
static void set_and_get(void **state)
{
	struct mtcp_conf c, set = { .num_cores = 1, .max_concurrency = 300,
				    .tcp_timeout = -1 };

	(void)state;
	assert_int_equal(mtcp_setconf(&set), 0);
	assert_int_equal(mtcp_getconf(&c), 0);
	assert_int_equal(c.num_cores, 1);
	assert_int_equal(c.max_concurrency, 300);
	assert_int_equal(c.max_num_buffers, 10000);
	assert_int_equal(c.tcp_timeout, 30000);
	assert_int_equal(mtcp_getconf(NULL), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(samples),
		cmocka_unit_test(separators_and_defaults),
		cmocka_unit_test(socket_of_the_daemon),
		cmocka_unit_test(mistakes),
		cmocka_unit_test(no_file),
		cmocka_unit_test(garbage),
		cmocka_unit_test(set_and_get),
	};

	return cmocka_run_group_tests(tests, make_file, drop_file);
}
