#include "tools/bench/face.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <mtcp_api.h>
#include <mtcp_epoll.h>

const char face_name[] = "mtcp";

static mctx_t ctx;
static int epoll_id = -1;

/* libmtcpclient reads its settings from a file: write one for this run. */
static int init_with_conf(int conns)
{
	char path[] = "/tmp/mtcp-bench-XXXXXX";
	int fd = mkstemp(path), ret;

	if (fd < 0)
		return -1;
	dprintf(fd, "max_concurrency = %d\n", conns);
	close(fd);
	ret = mtcp_init(path);
	unlink(path);
	return ret;
}

int face_init(int cpu, int conns)
{
	if (init_with_conf(conns) < 0)
		return -1;
	if (cpu >= 0)
		mtcp_core_affinitize(cpu);
	ctx = mtcp_create_context(cpu < 0 ? 0 : cpu);
	if (!ctx)
		return -1;
	epoll_id = mtcp_epoll_create(ctx, conns);
	return epoll_id < 0 ? -1 : 0;
}

void face_end(void)
{
	mtcp_destroy_context(ctx);
	mtcp_destroy();
}

int face_listen(uint16_t port, int backlog)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd = mtcp_socket(ctx, AF_INET, SOCK_STREAM, 0);

	if (fd < 0)
		return -1;
	mtcp_setsock_nonblock(ctx, fd);
	if (mtcp_bind(ctx, fd, (struct sockaddr *)&a, sizeof(a)) < 0 ||
	    mtcp_listen(ctx, fd, backlog) < 0)
		return -1;
	return fd;
}

int face_congestion(int fd, const char *name)
{
	return mtcp_setsockopt(ctx, fd, IPPROTO_TCP, TCP_CONGESTION, name,
			       (socklen_t)strlen(name));
}

static void no_delay(int fd)
{
	int one = 1;

	mtcp_setsockopt(ctx, fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

int face_accept(int fd)
{
	int c = mtcp_accept(ctx, fd, NULL, NULL);

	if (c >= 0) {
		mtcp_setsock_nonblock(ctx, c);
		no_delay(c);
	}
	return c;
}

int face_sources(struct in_addr base, int count, const struct sockaddr_in *to)
{
	return mtcp_init_rss(ctx, base.s_addr, count, to->sin_addr.s_addr,
			     to->sin_port);
}

int face_connect(const struct sockaddr_in *to)
{
	int fd = mtcp_socket(ctx, AF_INET, SOCK_STREAM, 0);

	if (fd < 0)
		return -1;
	mtcp_setsock_nonblock(ctx, fd);
	no_delay(fd);
	if (mtcp_connect(ctx, fd, (const struct sockaddr *)to, sizeof(*to)) == 0 ||
	    errno == EINPROGRESS)
		return fd;
	mtcp_close(ctx, fd);
	return -1;
}

ssize_t face_read(int fd, void *buf, size_t len)
{
	return mtcp_read(ctx, fd, buf, len);
}

ssize_t face_write(int fd, const void *buf, size_t len)
{
	return mtcp_write(ctx, fd, buf, len);
}

int face_close(int fd)
{
	return mtcp_close(ctx, fd);
}

int face_error(int fd)
{
	int err = 0;
	socklen_t len = sizeof(err);

	return mtcp_getsockopt(ctx, fd, SOL_SOCKET, SO_ERROR, &err, &len) < 0 ?
		       errno : err;
}

int face_watch(int fd, uint32_t events, int first)
{
	struct mtcp_epoll_event e = { .data.sockid = fd };

	if (events & FACE_IN)
		e.events |= MTCP_EPOLLIN;
	if (events & FACE_OUT)
		e.events |= MTCP_EPOLLOUT;
	return mtcp_epoll_ctl(ctx, epoll_id, first ? MTCP_EPOLL_CTL_ADD :
						     MTCP_EPOLL_CTL_MOD, fd, &e);
}

int face_wait(struct face_event *ev, int max, int timeout_ms)
{
	struct mtcp_epoll_event e[256];
	int n = mtcp_epoll_wait(ctx, epoll_id, e, max < 256 ? max : 256,
				timeout_ms);

	for (int i = 0; i < n; i++) {
		ev[i].fd = e[i].data.sockid;
		ev[i].events = 0;
		if (e[i].events & (MTCP_EPOLLIN | MTCP_EPOLLHUP | MTCP_EPOLLRDHUP))
			ev[i].events |= FACE_IN;
		if (e[i].events & MTCP_EPOLLOUT)
			ev[i].events |= FACE_OUT;
		if (e[i].events & MTCP_EPOLLERR)
			ev[i].events |= FACE_ERR;
	}
	return n;
}
