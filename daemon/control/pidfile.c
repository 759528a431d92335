/*
 * The lock, not the number, says that a daemon runs: it goes with the process,
 * however that ends, so a stale file is no obstacle.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "control/control.h"

int pidfile_open(const char *path, char *err)
{
	char pid[16] = "";
	int fd, rc;
	ssize_t n;

	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0) {
		rc = -errno;
		snprintf(err, CONFIG_ERR_BYTES, "pidfile %s cannot be written: "
			 "%s (run as root, or set [daemon] pidfile)", path,
			 strerror(-rc));
		return rc;
	}
	if (flock(fd, LOCK_EX | LOCK_NB) == 0)
		return fd;
	rc = -errno;
	n = read(fd, pid, sizeof(pid) - 1);
	if (n > 0)
		pid[strcspn(pid, "\n")] = '\0';
	snprintf(err, CONFIG_ERR_BYTES, "mtcpd is already running (pid %s, it "
		 "holds %s): stop it, or set [daemon] pidfile, socket and admin "
		 "for a second one", pid[0] ? pid : "unknown", path);
	close(fd);
	return rc;
}

void pidfile_write(int fd)
{
	if (fd >= 0 && ftruncate(fd, 0) == 0)
		dprintf(fd, "%d\n", (int)getpid());
}

void pidfile_close(int fd, const char *path)
{
	if (fd < 0)
		return;
	unlink(path);
	close(fd);
}
