/*
 * Everything that mTCP's two headers promise, used as programs for mTCP use
 * it and built with their flags (-Wall -Werror -fgnu89-inline).  That it links
 * is most of the test; it runs without a daemon and expects plain errors.
 */
#undef NDEBUG		/* assert() is the test */
#include <mtcp_api.h>
#include <mtcp_epoll.h>

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void on_signal(int signum)
{
	UNUSED(signum);
}

static void types_and_values(void)
{
	enum socket_type kinds[] = {
		MTCP_SOCK_UNUSED, MTCP_SOCK_STREAM, MTCP_SOCK_PROXY,
		MTCP_SOCK_LISTENER, MTCP_SOCK_EPOLL, MTCP_SOCK_PIPE };
	enum mtcp_epoll_op ops[] = {
		MTCP_EPOLL_CTL_ADD, MTCP_EPOLL_CTL_DEL, MTCP_EPOLL_CTL_MOD };
	static const struct { enum mtcp_event_type bit; uint32_t value; }
	events[] = {
		{ MTCP_EPOLLNONE, 0 }, { MTCP_EPOLLIN, 0x001 },
		{ MTCP_EPOLLPRI, 0x002 }, { MTCP_EPOLLOUT, 0x004 },
		{ MTCP_EPOLLERR, 0x008 }, { MTCP_EPOLLHUP, 0x010 },
		{ MTCP_EPOLLRDNORM, 0x040 }, { MTCP_EPOLLRDBAND, 0x080 },
		{ MTCP_EPOLLWRNORM, 0x100 }, { MTCP_EPOLLWRBAND, 0x200 },
		{ MTCP_EPOLLMSG, 0x400 }, { MTCP_EPOLLRDHUP, 0x2000 },
		{ MTCP_EPOLLONESHOT, 1u << 30 }, { MTCP_EPOLLET, 1u << 31 } };
	size_t i;

	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		assert((size_t)kinds[i] == i);
	for (i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
		assert((size_t)ops[i] == i + 1);
	for (i = 0; i < sizeof(events) / sizeof(events[0]); i++)
		assert((uint32_t)events[i].bit == events[i].value);
	assert(INPORT_ANY == 0);
	assert(sizeof(struct mtcp_epoll_event) == 16);
	assert(sizeof(struct mtcp_conf) == 7 * sizeof(int));
}

static void configuration(void)
{
	struct mtcp_conf conf;

	memset(&conf, 0, sizeof(conf));
	assert(mtcp_getconf(&conf) == 0);
	assert(conf.num_cores > 0 && conf.max_concurrency == 10000);
	assert(conf.max_num_buffers == 10000);
	conf.num_cores = 1;
	conf.max_concurrency = conf.max_num_buffers = 300;
	conf.rcvbuf_size = conf.sndbuf_size = 8192;
	conf.tcp_timewait = conf.tcp_timeout = 0;
	assert(mtcp_setconf(&conf) == 0);
	assert(mtcp_core_affinitize(0) == 0);
	assert(mtcp_init("/nonexistent.conf") == -1);
}

static void expect(long result, int error)
{
	assert(result == -1 && errno == error);
}

static void sockets(mctx_t mctx)
{
	struct sockaddr_in addr = { 0 };
	struct sockaddr *sa = (struct sockaddr *)&addr;
	socklen_t len = sizeof(addr);
	struct iovec iov = { &addr, sizeof(addr) };
	int pipeid[2], value = 0;
	char buf[16] = "";

	expect(mtcp_pipe(mctx, pipeid), EINVAL);
	expect(mtcp_getsockopt(mctx, 0, SOL_SOCKET, SO_ERROR, &value, &len),
	       EINVAL);
	expect(mtcp_setsockopt(mctx, 0, SOL_SOCKET, SO_REUSEADDR, &value,
			       sizeof(value)), EINVAL);
	expect(mtcp_setsock_nonblock(mctx, 0), EINVAL);
	expect(mtcp_socket_ioctl(mctx, 0, 0, &value), EINVAL);
	expect(mtcp_socket(mctx, AF_INET, SOCK_STREAM, 0), EINVAL);
	expect(mtcp_bind(mctx, 0, sa, len), EINVAL);
	expect(mtcp_listen(mctx, 0, 4096), EINVAL);
	expect(mtcp_accept(mctx, 0, NULL, NULL), EINVAL);
	expect(mtcp_init_rss(mctx, INADDR_ANY, 1, 0, 0), EINVAL);
	expect(mtcp_connect(mctx, 0, sa, len), EINVAL);
	expect(mtcp_close(mctx, 0), EINVAL);
	expect(mtcp_getsockname(mctx, 0, sa, &len), EINVAL);
	expect(mtcp_getpeername(mctx, 0, sa, &len), EINVAL);
	expect(mtcp_read(mctx, 0, buf, sizeof(buf)), EINVAL);
	expect(mtcp_recv(mctx, 0, buf, sizeof(buf), 0), EINVAL);
	expect(mtcp_readv(mctx, 0, &iov, 1), EINVAL);
	expect(mtcp_write(mctx, 0, buf, sizeof(buf)), EINVAL);
	expect(mtcp_writev(mctx, 0, &iov, 1), EINVAL);
}

static void events(mctx_t mctx)
{
	struct mtcp_epoll_event ev;
	mtcp_epoll_data_t data;

	memset(&ev, 0, sizeof(ev));
	data.u64 = 0;
	data.ptr = NULL;
	data.u32 = 1;
	data.sockid = 5;
	ev.events = MTCP_EPOLLIN | MTCP_EPOLLET | MTCP_EPOLLONESHOT;
	ev.data = data;
	expect(mtcp_epoll_create(mctx, 10), EINVAL);
	expect(mtcp_epoll_create1(mctx, 0), EINVAL);
	expect(mtcp_epoll_ctl(mctx, 0, MTCP_EPOLL_CTL_ADD, 0, &ev), EINVAL);
	expect(mtcp_epoll_wait(mctx, 0, &ev, 1, -1), EINVAL);
	assert(strcmp(EventToString(MTCP_EPOLLIN), "IN") == 0);
}

/* Declared by mTCP's util/cpu.h, defined by its library. */
extern int GetNumCPUs();
extern int CoreAffinitize(int cpu);

int main(void)
{
	mtcp_sighandler_t old = mtcp_register_signal(SIGINT, on_signal);

	assert(old == NULL);
	types_and_values();
	configuration();
	assert(mtcp_create_context(0) == NULL);
	mtcp_destroy_context(NULL);
	sockets(NULL);
	events(NULL);
	assert(GetNumCPUs() > 0 && CoreAffinitize(0) == 0);
	mtcp_destroy();
	return 0;
}
