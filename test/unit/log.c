/* log.c - daemon/base/log, each case in a child with its own standard error */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
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

static void say_to_journal(void)
{
	char stream[64];
	struct stat st;

	fstat(STDERR_FILENO, &st);
	snprintf(stream, sizeof(stream), "%llu:%llu",
		 (unsigned long long)st.st_dev, (unsigned long long)st.st_ino);
	setenv("JOURNAL_STREAM", stream, 1);
	log_warnx("a");
	log_info("b");
}

static void journal_prefix(void **state)
{
	(void)state;
	listen_to(say_to_journal);
	assert_string_equal(said, "<4>a\n<6>b\n");
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
		cmocka_unit_test(fatal_ends),
	};

	unsetenv("JOURNAL_STREAM");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
