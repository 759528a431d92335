/* log.c - daemon/base/log, each case in a child with its own standard error */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <endian.h>
#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"

static char said[8192];

/* Runs @what with standard error on a pipe; returns the wait status. */
static int listen_to(void (*what)(void))
{
	size_t used = 0;
	int fd[2], status;
	ssize_t n;
	pid_t pid;

	assert_int_equal(pipe(fd), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct rlimit no_core = { 0, 0 };

		setrlimit(RLIMIT_CORE, &no_core);
		signal(SIGABRT, SIG_DFL);
		dup2(fd[1], STDERR_FILENO);
		what();
		_exit(7);
	}
	close(fd[1]);
	while ((n = read(fd[0], said + used, sizeof(said) - 1 - used)) > 0)
		used += (size_t)n;
	said[used] = 0;
	close(fd[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void say_warnings(void)
{
	errno = ENOENT;
	log_warn("open %s", "there");
	if (errno != ENOENT)
		_exit(1);
	log_warnx("port %d", 3);
	log_debug("not at this level");
	log_set_level(LOG_LEVEL_ERROR);
	log_warnx("nor this");
	log_set_level(LOG_LEVEL_DEBUG);
	log_debug("but this");
}

static void warnings_and_levels(void **state)
{
	(void)state;
	assert_int_equal(WEXITSTATUS(listen_to(say_warnings)), 7);
	assert_string_equal(said, "mtcpd: open there: No such file or directory\n"
				  "mtcpd: port 3\nmtcpd: but this\n");
}

static void say_long(void)
{
	char text[4000];

	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = 0;
	errno = EIO;
	log_warn("%s", text);
}

static void long_is_cut(void **state)
{
	(void)state;
	listen_to(say_long);
	assert_in_range(strlen(said), 1000, 1024);
	assert_int_equal(said[strlen(said) - 1], '\n');
}

static void be_the_journal(void)
{
	char stream[64];
	struct stat st;

	fstat(STDERR_FILENO, &st);
	snprintf(stream, sizeof(stream), "%llu:%llu",
		 (unsigned long long)st.st_dev, (unsigned long long)st.st_ino);
	setenv("JOURNAL_STREAM", stream, 1);
}

static void say_to_stream(void)
{
	be_the_journal();
	log_set_journal("/nonexistent/socket");
	log_warnx("a");
	log_info("b\nmtcpd: c");
}

static void journal_prefix(void **state)
{
	(void)state;
	listen_to(say_to_stream);
	assert_string_equal(said, "<4>a\n<6>b?mtcpd: c\n");
}

static char journal[] = "/tmp/mtcpd-log-XXXXXX";

static void say_to_journal(void)
{
	be_the_journal();
	log_set_journal(journal);
	log_event(LOG_EV_READY, LOG_LEVEL_INFO, "ready\nMESSAGE=not");
	errno = EIO;
	log_warn("plain");
}

static void expect_datagram(int fd, const char *head, const char *text)
{
	char got[512], want[512];
	size_t n = strlen(head), length = strlen(text);
	uint64_t le = htole64(length);

	memcpy(want, head, n);
	memcpy(want + n, &le, sizeof(le));
	memcpy(want + n + 8, text, length);
	want[n + 8 + length] = '\n';
	assert_int_equal(recv(fd, got, sizeof(got), MSG_DONTWAIT),
			 n + 9 + length);
	assert_memory_equal(got, want, n + 9 + length);
}

/* By the journal's own protocol: fields, and a length before the text. */
static void journal_fields(void **state)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	(void)state;
	close(mkstemp(journal));
	unlink(journal);
	strcpy(un.sun_path, journal);
	assert_int_equal(bind(fd, (struct sockaddr *)&un, sizeof(un)), 0);
	listen_to(say_to_journal);
	unlink(journal);
	assert_string_equal(said, "");
	expect_datagram(fd, "PRIORITY=6\nSYSLOG_IDENTIFIER=mtcpd\n"
			"MTCPD_FACILITY=control\nMTCPD_EVENT=ready\n"
			"MESSAGE_ID=" LOG_ID_BASE "0001\nMESSAGE\n",
			"ready?MESSAGE=not");
	expect_datagram(fd, "PRIORITY=4\nSYSLOG_IDENTIFIER=mtcpd\n"
			"MTCPD_FACILITY=control\nMESSAGE\n",
			"plain: Input/output error");
	close(fd);
}

static void say_much(void)
{
	for (int i = 0; i < LOG_BURST + 50; i++)
		log_at(LOG_FAC_TCP, LOG_LEVEL_WARN, 0, "x");
	log_at(LOG_FAC_NET, LOG_LEVEL_WARN, 0, "other");
	log_at(LOG_FAC_TCP, LOG_LEVEL_ERROR, 0, "error");
	sleep(1);
	log_at(LOG_FAC_TCP, LOG_LEVEL_WARN, 0, "again");
}

/* No more than LOG_BURST a second of one facility; what is left out is told,
 * errors and other facilities are not. */
static void burst(void **state)
{
	const char *told, *at = said;
	int x = 0;
	unsigned int out;

	(void)state;
	listen_to(say_much);
	while ((at = strstr(at, "mtcpd: x\n"))) {
		at++;
		x++;
	}
	assert_non_null(strstr(said, "mtcpd: other\n"));
	assert_non_null(strstr(said, "mtcpd: error\n"));
	assert_non_null(strstr(said, "mtcpd: again\n"));
	told = strstr(said, " messages of \"tcp\" were left out");
	assert_non_null(told);
	while (told > said && told[-1] != ' ')
		told--;
	out = (unsigned int)strtoul(told, NULL, 10);
	assert_int_equal(x + (int)out, LOG_BURST + 50);
	assert_in_range(x, LOG_BURST, LOG_BURST + 50);
}

static void die(void)
{
	log_set_level(LOG_LEVEL_ERROR);
	log_fatalx("no");
}

static void break_invariant(void)
{
	ENSURE(1 == 1, "fine");
	ENSURE(1 == 2, "one is not two");
}

static void fatal_ends(void **state)
{
	int status = listen_to(die);

	(void)state;
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 1);
	assert_string_equal(said, "mtcpd: no\n");
	status = listen_to(break_invariant);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGABRT);
	assert_non_null(strstr(said, "one is not two"));
	assert_non_null(strstr(said, "log.c:"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(warnings_and_levels),
		cmocka_unit_test(long_is_cut),
		cmocka_unit_test(journal_prefix),
		cmocka_unit_test(journal_fields),
		cmocka_unit_test(burst),
		cmocka_unit_test(fatal_ends),
	};

	unsetenv("JOURNAL_STREAM");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
