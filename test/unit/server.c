/* Listening sockets and the pidfile: stale, alive, not ours. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/control.h"

static char dir[] = "/tmp/mtcpd-server-XXXXXX";
static char path[64];

static int make_dir(void **state)
{
	(void)state;
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/s", dir);
	return 0;
}

static int remove_dir(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(dir);
}

static void stale_is_replaced(void **state)
{
	struct config_daemon cfg = { 0 };
	char err[CONFIG_ERR_BYTES] = "";
	struct stat st;
	int fd, again;

	(void)state;
	fd = server_listen(path, SOCK_SEQPACKET, &cfg, err);
	assert_true(fd >= 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	close(fd);			/* the file stays: a killed daemon's */
	again = server_listen(path, SOCK_SEQPACKET, &cfg, err);
	assert_true(again >= 0);
	close(again);
}

static void living_is_left_alone(void **state)
{
	struct config_daemon cfg = { .group = "x", .gid = getegid() };
	char err[CONFIG_ERR_BYTES] = "", want[CONFIG_ERR_BYTES];
	struct stat st;
	int fd = server_listen(path, SOCK_STREAM, &cfg, err);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0660);
	assert_int_equal(server_listen(path, SOCK_STREAM, &cfg, err),
			 -EADDRINUSE);
	snprintf(want, sizeof(want), "mtcpd is already running (it answers at "
		 "%s): stop it, or set [daemon] socket, admin and pidfile for "
		 "a second one", path);
	assert_string_equal(err, want);
	close(fd);
	unlink(path);
}

static void file_is_not_removed(void **state)
{
	struct config_daemon cfg = { 0 };
	char err[CONFIG_ERR_BYTES] = "";
	FILE *f = fopen(path, "w");

	(void)state;
	fclose(f);
	assert_int_equal(server_listen(path, SOCK_STREAM, &cfg, err), -EEXIST);
	assert_non_null(strstr(err, "is no socket: remove it"));
	assert_int_equal(access(path, F_OK), 0);
	unlink(path);
}

static void pidfile_is_a_lock(void **state)
{
	char err[CONFIG_ERR_BYTES] = "", want[64];
	int fd, again;

	(void)state;
	fd = pidfile_open(path, err);
	assert_true(fd >= 0);
	pidfile_write(fd);
	assert_int_equal(pidfile_open(path, err), -EWOULDBLOCK);
	snprintf(want, sizeof(want), "already running (pid %d,", (int)getpid());
	assert_non_null(strstr(err, want));
	close(fd);			/* killed: the file stays, not the lock */
	again = pidfile_open(path, err);
	assert_true(again >= 0);
	pidfile_close(again, path);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(pidfile_open("/nonexistent/p", err), -ENOENT);
	assert_non_null(strstr(err, "/nonexistent/p cannot be written"));
}

static void parents(void **state)
{
	char err[CONFIG_ERR_BYTES] = "", at[96];

	(void)state;
	snprintf(at, sizeof(at), "%s/new/s", dir);
	assert_int_equal(server_make_parent(at, err), 0);
	assert_int_equal(server_make_parent(at, err), 0);
	*strrchr(at, '/') = '\0';
	assert_int_equal(rmdir(at), 0);
	assert_int_equal(server_make_parent("/nonexistent/a/s", err), -ENOENT);
	assert_non_null(strstr(err, "folder /nonexistent/a cannot be made"));
	assert_int_equal(server_check("/nonexistent/a/s", SOCK_STREAM, err), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stale_is_replaced),
		cmocka_unit_test(living_is_left_alone),
		cmocka_unit_test(file_is_not_removed),
		cmocka_unit_test(pidfile_is_a_lock),
		cmocka_unit_test(parents),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
