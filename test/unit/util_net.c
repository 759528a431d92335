/*
 * util_net.c - cpu, rss and netlib: processors, flow owners, options, sockets
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "cpu.h"
#include "debug.h"
#include "netlib.h"
#include "rss.h"
#include "shm/rss.h"

static void one_processor(void **state)
{
	cpu_set_t before;
	int n = GetNumCPUs();

	(void)state;
	assert_true(n >= 1);
	assert_int_equal(n, GetNumCPUCores());
	assert_int_equal(sched_getaffinity(0, sizeof(before), &before), 0);
	assert_int_equal(CoreAffinitize(-1), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(CoreAffinitize(n), -1);
	if (CPU_ISSET(0, &before)) {
		assert_int_equal(CoreAffinitize(0), 0);
		assert_int_equal(sched_getcpu(), 0);
	}
	assert_int_equal(sched_setaffinity(0, sizeof(before), &before), 0);
}

/* The helper's bitwise hash is the engines' table-driven one. */
static void hash_is_the_engines(void **state)
{
	struct rss r;
	uint32_t x = 1;

	(void)state;
	rss_init(&r, rss_symmetric_key);
	for (int i = 0; i < 10000; i++) {
		uint32_t sip = x *= 2654435769u, dip = x *= 2654435769u;
		uint16_t sp = (uint16_t)(x >> 7), dp = (uint16_t)(x >> 13);
		uint32_t hash = GetRSSHash(sip, dip, sp, dp);

		x += 0x9e3779b9u;
		assert_int_equal(hash, rss_hash_v4(&r, htonl(sip), htonl(dip),
						   htons(sp), htons(dp)));
		assert_int_equal(hash, GetRSSHash(dip, sip, dp, sp));
		assert_int_equal(GetRSSCPUCore(sip, dip, sp, dp, 3),
				 rss_engine(hash, 3));
	}
	assert_int_equal(GetRSSCPUCore(1, 2, 3, 4, 0), 0);
	assert_int_equal(GetRSSCPUCore(1, 2, 3, 4, -1), 0);
}

/* Runs @body in a child and returns its exit status. */
static int child(void (*body)(void))
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		if (!freopen("/dev/null", "w", stderr))
			_exit(99);
		body();
		_exit(0);
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void not_a_number(void)
{
	mystrtol("12x", 10);
}

static void too_large(void)
{
	mystrtol("99999999999", 10);
}

static void no_value(void)
{
	char *p = NULL;
	struct Options ops[] = { { (char *)"-p", &p, (char *)"port" }, { 0 } };
	const char *argv[] = { "prog", "-p" };

	ParseOptions(2, argv, ops);
}

static void unknown_option(void)
{
	struct Options ops[] = { { 0 } };
	const char *argv[] = { "prog", "-z", "1" };

	ParseOptions(3, argv, ops);
}

static void numbers_and_options(void **state)
{
	char *port = NULL, *dir = NULL;
	struct Options ops[] = {
		{ (char *)"-p", &port, (char *)"port" },
		{ (char *)"-d", &dir, (char *)"directory" },
		{ NULL, NULL, NULL },
	};
	const char *argv[] = { "prog", "-d", "/www", "-p", "80" };

	(void)state;
	ParseOptions(5, argv, ops);
	assert_string_equal(port, "80");
	assert_string_equal(dir, "/www");
	assert_int_equal(mystrtol("-7", 10), -7);
	assert_int_equal(mystrtol("ff", 16), 255);
	assert_int_not_equal(child(not_a_number), 0);
	assert_int_not_equal(child(too_large), 0);
	assert_int_not_equal(child(no_value), 0);
	assert_int_not_equal(child(unknown_option), 0);
}

static void headers(void **state)
{
	const char *buf = "Host: a\r\nLength: 12\r\nEmpty: \r\n";
	long val = 0;

	(void)state;
	assert_memory_equal(GetHeaderString(buf, "host:", 5), "a\r\n", 3);
	assert_null(GetHeaderString(buf, "Empty:", 6));
	assert_null(GetHeaderString(buf, "None:", 5));
	assert_null(GetHeaderString(buf, "Empty:", 500));
	assert_true(GetHeaderLong(buf, "Length:", 7, &val));
	assert_int_equal(val, 12);
	assert_false(GetHeaderLong(buf, "Host:", 5, &val));
	assert_int_equal(val, 12);
}

static void kernel_sockets(void **state)
{
	struct sockaddr_in sin;
	socklen_t len = sizeof(sin);
	int server = CreateServerSocket(0, TRUE), client, accepted;

	(void)state;
	assert_true(server >= 0);
	assert_true(fcntl(server, F_GETFL) & O_NONBLOCK);
	assert_int_equal(getsockname(server, (void *)&sin, &len), 0);
	client = CreateConnectionSocket(htonl(INADDR_LOOPBACK),
					ntohs(sin.sin_port), FALSE);
	assert_true(client >= 0);
	accepted = accept(server, NULL, NULL);
	assert_true(accepted >= 0);
	close(accepted);
	close(client);
	close(server);
	assert_int_equal(CreateServerSocket(70000, FALSE), -1);
	assert_int_equal(CreateConnectionSocket(0, -1, FALSE), -1);
}

static void macros(void **state)
{
	char *p = malloc(1);

	(void)state;
	FREE(p);
	assert_null(p);
	VERIFY(MAX(1, 2) == 2 && MIN(1, 2) == 1);
	TRACE_ERROR("%d\n", 1);
	TRACE_INFO("none\n");
	TRACE_FUNC("macros", "%d\n", 1);
	assert_true(TRACE_CONFIG("%s", "") == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_processor),
		cmocka_unit_test(hash_is_the_engines),
		cmocka_unit_test(numbers_and_options),
		cmocka_unit_test(headers),
		cmocka_unit_test(kernel_sockets),
		cmocka_unit_test(macros),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
