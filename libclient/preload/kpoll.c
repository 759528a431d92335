#include "libclient/preload/preload.h"

#include <errno.h>
#include <string.h>
#include <time.h>

/*
 * ppoll(), also where it may not be used with more descriptors than one:
 * RLIMIT_NOFILE bounds their number, and sshd's sandbox sets it to 1.  select()
 * asks only whether the descriptors are open.
 */

static bool fits(const struct pollfd *p, nfds_t n)
{
	for (nfds_t i = 0; i < n; i++)
		if (p[i].fd >= FD_SETSIZE)
			return false;
	return true;
}

static void add_all(const struct pollfd *p, nfds_t n, fd_set set[3], int *top)
{
	for (nfds_t i = 0; i < n; i++) {
		if (p[i].fd < 0)
			continue;
		if (p[i].events & POLLIN)
			FD_SET(p[i].fd, &set[0]);
		if (p[i].events & POLLOUT)
			FD_SET(p[i].fd, &set[1]);
		FD_SET(p[i].fd, &set[2]);
		if (p[i].fd >= *top)
			*top = p[i].fd + 1;
	}
}

static int by_select(struct pollfd *p, nfds_t n, const struct timespec *ts,
		     const sigset_t *mask)
{
	fd_set set[3];
	int top = 0, count = 0;

	memset(set, 0, sizeof(set));
	add_all(p, n, set, &top);
	if (real()->pselect(top, &set[0], &set[1], &set[2], ts, mask) < 0)
		return -1;
	for (nfds_t i = 0; i < n; i++) {
		p[i].revents = 0;
		if (p[i].fd < 0)
			continue;
		if (FD_ISSET(p[i].fd, &set[0]))
			p[i].revents |= POLLIN;
		if (FD_ISSET(p[i].fd, &set[1]))
			p[i].revents |= POLLOUT;
		if (FD_ISSET(p[i].fd, &set[2]))
			p[i].revents |= POLLPRI;
		count += p[i].revents != 0;
	}
	return count;
}

int kernel_poll(struct pollfd *p, nfds_t n, const struct timespec *ts,
		const sigset_t *mask)
{
	int found = real()->ppoll(p, n, ts, mask);

	if (found >= 0 || errno != EINVAL || !fits(p, n))
		return found;
	return by_select(p, n, ts, mask);
}
