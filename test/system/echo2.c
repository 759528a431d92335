/*
 * echo2.c - a client of mtcpd with several listeners, for the system tests
 *
 *	echo2 MTCP_CONF PORT...
 *
 * Returns every byte it reads, on every port, until it is ended.  What the
 * peer does not take is kept in the connection's buffer, and no more is read
 * until it is gone.
 *
 * Threads   One.
 */
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mtcp_api.h>
#include <mtcp_epoll.h>

enum { PORTS_MAX = 16, EVENTS = 256, BUF_BYTES = 16384 };

struct conn {
	bool open;
	size_t from, bytes;
	char *buf;
};

struct echo {
	mctx_t mctx;
	int epid, listeners[PORTS_MAX], count;
	struct conn *conns;
	int conns_max;
};

static _Atomic bool done;

static void interrupted(int signum)
{
	(void)signum;
	atomic_store(&done, true);
}

static int watch(struct echo *e, int op, int sockid, uint32_t events)
{
	struct mtcp_epoll_event ev = {
		.events = events, .data.sockid = sockid,
	};

	return mtcp_epoll_ctl(e->mctx, e->epid, op, sockid, &ev);
}

static int listen_on(struct echo *e, int port)
{
	struct sockaddr_in sin = {
		.sin_family = AF_INET, .sin_port = htons((uint16_t)port),
	};
	int s = mtcp_socket(e->mctx, AF_INET, SOCK_STREAM, 0);

	if (s < 0 || mtcp_setsock_nonblock(e->mctx, s) < 0 ||
	    mtcp_bind(e->mctx, s, (struct sockaddr *)&sin, sizeof(sin)) < 0 ||
	    mtcp_listen(e->mctx, s, 1024) < 0)
		return -1;
	e->listeners[e->count++] = s;
	return watch(e, MTCP_EPOLL_CTL_ADD, s, MTCP_EPOLLIN);
}

static void end_conn(struct echo *e, int sockid)
{
	mtcp_close(e->mctx, sockid);
	free(e->conns[sockid].buf);
	e->conns[sockid] = (struct conn){ 0 };
}

static void accept_all(struct echo *e, int listener)
{
	int s;

	while ((s = mtcp_accept(e->mctx, listener, NULL, NULL)) >= 0) {
		char *buf = malloc(BUF_BYTES);

		if (s >= e->conns_max || !buf) {
			free(buf);
			mtcp_close(e->mctx, s);
			continue;
		}
		e->conns[s] = (struct conn){ .open = true, .buf = buf };
		mtcp_setsock_nonblock(e->mctx, s);
		if (watch(e, MTCP_EPOLL_CTL_ADD, s, MTCP_EPOLLIN) < 0)
			end_conn(e, s);
	}
}

/* Sends what is kept; false when the connection has ended. */
static bool flush(struct echo *e, int s)
{
	struct conn *c = &e->conns[s];

	while (c->bytes) {
		ssize_t n = mtcp_write(e->mctx, s, c->buf + c->from, c->bytes);

		if (n < 0 && errno == EAGAIN) {
			watch(e, MTCP_EPOLL_CTL_MOD, s, MTCP_EPOLLOUT);
			return true;
		}
		if (n <= 0) {
			end_conn(e, s);
			return false;
		}
		c->from += (size_t)n;
		c->bytes -= (size_t)n;
	}
	return true;
}

static void echo(struct echo *e, int s)
{
	struct conn *c = &e->conns[s];
	ssize_t n;

	while (!c->bytes) {
		n = mtcp_read(e->mctx, s, c->buf, BUF_BYTES);
		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0) {
			end_conn(e, s);
			return;
		}
		c->from = 0;
		c->bytes = (size_t)n;
		if (!flush(e, s))
			return;
	}
}

static bool is_listener(const struct echo *e, int s)
{
	for (int i = 0; i < e->count; i++)
		if (e->listeners[i] == s)
			return true;
	return false;
}

static void take_event(struct echo *e, const struct mtcp_epoll_event *ev)
{
	int s = ev->data.sockid;

	if (is_listener(e, s)) {
		accept_all(e, s);
		return;
	}
	if (s < 0 || s >= e->conns_max || !e->conns[s].open)
		return;
	if (ev->events & MTCP_EPOLLERR) {
		end_conn(e, s);
		return;
	}
	if (ev->events & MTCP_EPOLLOUT) {
		if (!flush(e, s) || e->conns[s].bytes)
			return;
		watch(e, MTCP_EPOLL_CTL_MOD, s, MTCP_EPOLLIN);
	}
	echo(e, s);
}

static int open_echo(struct echo *e, char **ports)
{
	struct mtcp_conf conf;

	mtcp_getconf(&conf);
	e->conns_max = conf.max_concurrency;
	e->conns = calloc((size_t)e->conns_max, sizeof(*e->conns));
	e->mctx = mtcp_create_context(0);
	if (!e->mctx || !e->conns)
		return -1;
	e->epid = mtcp_epoll_create(e->mctx, EVENTS);
	if (e->epid < 0)
		return -1;
	for (; *ports && e->count < PORTS_MAX; ports++)
		if (listen_on(e, atoi(*ports)) < 0)
			return -1;
	return 0;
}

int main(int argc, char **argv)
{
	struct mtcp_epoll_event events[EVENTS];
	struct echo e = { 0 };

	if (argc < 3) {
		fprintf(stderr, "usage: echo2 MTCP_CONF PORT...\n");
		return EXIT_FAILURE;
	}
	if (mtcp_init(argv[1]) < 0)
		return EXIT_FAILURE;
	mtcp_register_signal(SIGINT, interrupted);
	if (open_echo(&e, argv + 2) < 0) {
		perror("echo2");
		free(e.conns);
		return EXIT_FAILURE;
	}
	puts("echo2: ready");
	fflush(stdout);
	while (!atomic_load(&done)) {
		int n = mtcp_epoll_wait(e.mctx, e.epid, events, EVENTS, 1000);

		for (int i = 0; i < n; i++)
			take_event(&e, &events[i]);
		if (n < 0 && errno != EINTR)
			break;
	}
	mtcp_destroy_context(e.mctx);
	mtcp_destroy();
	free(e.conns);
	return EXIT_SUCCESS;
}
