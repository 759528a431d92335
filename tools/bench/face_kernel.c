#include "tools/bench/face.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

const char face_name[] = "kernel";

static int epoll_fd = -1;
static uint32_t source, sources, next_source;

int face_init(int cpu, int conns)
{
	struct rlimit lim;

	if (cpu >= 0) {
		cpu_set_t set;

		CPU_ZERO(&set);
		CPU_SET((unsigned int)cpu, &set);
		if (sched_setaffinity(0, sizeof(set), &set) < 0)
			return -1;
	}
	if (getrlimit(RLIMIT_NOFILE, &lim) < 0)
		return -1;
	lim.rlim_cur = lim.rlim_max;
	if (lim.rlim_max < (rlim_t)conns)
		fprintf(stderr, "the limit of %llu open files (ulimit -Hn) is "
				"below the %d asked for\n",
			(unsigned long long)lim.rlim_max, conns);
	if (setrlimit(RLIMIT_NOFILE, &lim) < 0)
		return -1;
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	return epoll_fd < 0 ? -1 : 0;
}

void face_end(void)
{
	close(epoll_fd);
}

int face_listen(uint16_t port, int backlog)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };
	int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 ||
	    listen(fd, backlog) < 0)
		return -1;
	return fd;
}

int face_congestion(int fd, const char *name)
{
	return setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name,
			  (socklen_t)strlen(name));
}

static void no_delay(int fd)
{
	int one = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

int face_accept(int fd)
{
	int c = accept4(fd, NULL, NULL, SOCK_NONBLOCK);

	if (c >= 0)
		no_delay(c);
	return c;
}

int face_sources(struct in_addr base, int count, const struct sockaddr_in *to)
{
	(void)to;
	source = ntohl(base.s_addr);
	sources = (uint32_t)count;
	return 0;
}

static int bind_next_source(int fd)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	int one = 1;

	if (!sources)
		return 0;
	a.sin_addr.s_addr = htonl(source + next_source++ % sources);
	setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
	return bind(fd, (struct sockaddr *)&a, sizeof(a));
}

int face_connect(const struct sockaddr_in *to)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -1;
	no_delay(fd);
	if (bind_next_source(fd) == 0 &&
	    (connect(fd, (const struct sockaddr *)to, sizeof(*to)) == 0 ||
	     errno == EINPROGRESS))
		return fd;
	close(fd);
	return -1;
}

ssize_t face_read(int fd, void *buf, size_t len)
{
	return read(fd, buf, len);
}

ssize_t face_write(int fd, const void *buf, size_t len)
{
	return send(fd, buf, len, MSG_NOSIGNAL);
}

int face_close(int fd)
{
	return close(fd);
}

int face_error(int fd)
{
	int err = 0;
	socklen_t len = sizeof(err);

	return getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) < 0 ? errno : err;
}

int face_watch(int fd, uint32_t events, int first)
{
	struct epoll_event e = { .data.fd = fd };

	if (events & FACE_IN)
		e.events |= EPOLLIN;
	if (events & FACE_OUT)
		e.events |= EPOLLOUT;
	return epoll_ctl(epoll_fd, first ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, fd, &e);
}

int face_wait(struct face_event *ev, int max, int timeout_ms)
{
	struct epoll_event e[256];
	int n = epoll_wait(epoll_fd, e, max < 256 ? max : 256, timeout_ms);

	for (int i = 0; i < n; i++) {
		ev[i].fd = e[i].data.fd;
		ev[i].events = 0;
		if (e[i].events & (EPOLLIN | EPOLLHUP))
			ev[i].events |= FACE_IN;
		if (e[i].events & EPOLLOUT)
			ev[i].events |= FACE_OUT;
		if (e[i].events & EPOLLERR)
			ev[i].events |= FACE_ERR;
	}
	return n;
}
