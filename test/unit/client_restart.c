/* The daemon goes, and comes back: errors at once, no hang, and a server
 * serves again without being touched. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client_fake.h"
#include "libclient/client.h"

static struct fake f;

static void no_daemon(void **state)
{
	(void)state;
	setenv(CTL_SOCKET_ENV, "/tmp/mtcpd-nowhere.sock", 1);
	assert_int_equal(mtcp_init(NULL), -1);
	assert_int_equal(errno, ENOENT);
	assert_non_null(strstr(mtcp_error_text(), "/tmp/mtcpd-nowhere.sock"));
	assert_non_null(strstr(mtcp_error_text(), "systemctl start mtcpd"));
	assert_null(mtcp_create_context(0));
}

static int listen_on(mctx_t m, uint16_t port)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
				 .sin_port = htons(port) };
	int s = mtcp_socket(m, AF_INET, SOCK_STREAM, 0);

	assert_int_equal(mtcp_bind(m, s, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(mtcp_listen(m, s, 16), 0);
	return s;
}

/* The first connection for posted credit, with engine 0. */
static void offer(uint64_t sock)
{
	struct event_socket ev = { .type = EVENT_ACCEPTED, .sock = sock,
				   .limit = 1000 };
	union fake_cmd c;

	assert_true(fake_find(&f, 0, 0, CMD_CREDIT, &c));
	ev.cookie = c.one.credit.cookies[0];
	fake_socket_event(&f, 0, 0, &ev);
}

static void watch(mctx_t m, int ep, int s)
{
	struct mtcp_epoll_event ev = { .events = MTCP_EPOLLIN,
				       .data.sockid = s };

	assert_int_equal(mtcp_epoll_ctl(m, ep, MTCP_EPOLL_CTL_ADD, s, &ev), 0);
}

/* Waits for one event of socket @s. */
static uint32_t wait_for(mctx_t m, int ep, int s, int timeout)
{
	struct mtcp_epoll_event ev;
	int n = mtcp_epoll_wait(m, ep, &ev, 1, timeout);

	assert_int_equal(n, 1);
	assert_int_equal(ev.data.sockid, s);
	return ev.events;
}

/* The library asks for the daemon every 10 ms of a coarse clock, which lags
 * where a machine has no time for us. */
static void await_reset(mctx_t m, int s)
{
	char byte;

	for (int i = 0; i < 5000; i++) {
		assert_int_equal(mtcp_read(m, s, &byte, 1), -1);
		if (errno != EAGAIN)
			break;
		usleep(1000);
	}
	assert_int_equal(errno, ECONNRESET);
}

static void killed_and_back(void **state)
{
	struct mtcp_conf conf = { .num_cores = 1, .max_concurrency = 100 };
	struct pollfd native = { .events = POLLIN };
	int ep, l, s, t;
	char path[100], byte;
	uint64_t start;
	mctx_t m;

	(void)state;
	fake_start(&f, NULL);
	mtcp_setconf(&conf);
	assert_int_equal(mtcp_init(NULL), 0);
	m = mtcp_create_context(0);
	assert_non_null(m);
	native.fd = mtcp_context_fd(m);
	ep = mtcp_epoll_create(m, 10);
	l = listen_on(m, 80);
	watch(m, ep, l);
	offer(handle_make(0, 1, 1));
	assert_int_equal(wait_for(m, ep, l, 10000), MTCP_EPOLLIN);
	s = mtcp_accept(m, l, NULL, NULL);
	assert_true(s >= 0);
	watch(m, ep, s);
	t = mtcp_socket(m, AF_INET, SOCK_STREAM, 0);	/* not connected */

	for (int round = 0; round < 3; round++) {
		memcpy(path, f.path, sizeof(path));
		fake_stop(&f);
		/* asleep or not, the old connection fails at once */
		start = now_us();
		if (round == 0) {
			assert_int_equal(wait_for(m, ep, s, 5000),
					 MTCP_EPOLLERR);
			assert_true(now_us() - start < 4000000);
		}
		await_reset(m, s);
		assert_int_equal(mtcp_write(m, s, &byte, 1), -1);
		assert_int_equal(errno, ECONNRESET);
		assert_int_equal(mtcp_close(m, s), 0);
		/* meanwhile: no hang, no crash */
		assert_int_equal(mtcp_accept(m, l, NULL, NULL), -1);
		assert_int_equal(errno, EAGAIN);
		assert_int_equal(mtcp_epoll_wait(m, ep, &(struct
					mtcp_epoll_event){ 0 }, 1, 50), 0);

		fake_start(&f, path);
		start = now_us();
		while (!f.listens && now_us() - start < 20000000)
			mtcp_epoll_wait(m, ep, &(struct
					mtcp_epoll_event){ 0 }, 1, 10);
		assert_int_equal(f.listens, 1);
		offer(handle_make(0, 1, 1));
		assert_int_equal(wait_for(m, ep, l, 10000), MTCP_EPOLLIN);
		s = mtcp_accept(m, l, NULL, NULL);
		assert_true(s >= 0);
		watch(m, ep, s);
	}
	/* the native descriptor followed to the new pipe */
	assert_int_equal(mtcp_context_arm(m), 0);
	poll(&native, 1, 0);
	offer(handle_make(0, 1, 2));
	assert_int_equal(poll(&native, 1, 10000), 1);
	assert_int_equal(wait_for(m, ep, l, 0), MTCP_EPOLLIN);
	assert_int_equal(mtcp_close(m, t), 0);
	mtcp_destroy_context(m);
	mtcp_destroy();
	fake_stop(&f);
}

/* kill -9 in the middle of everything the library waits for. */
static void *stop_later(void *arg)
{
	usleep(30000);
	fake_stop(&f);
	return arg;
}

static void killed_while_blocked(void **state)
{
	struct mtcp_conf conf = { .num_cores = 1, .max_concurrency = 100 };
	pthread_t thread;
	uint64_t start;
	char byte;
	mctx_t m;
	int l, s;

	(void)state;
	fake_start(&f, NULL);
	mtcp_setconf(&conf);
	assert_int_equal(mtcp_init(NULL), 0);
	m = mtcp_create_context(0);
	l = listen_on(m, 80);
	assert_int_equal(mtcp_accept(m, l, NULL, NULL), -1);
	offer(handle_make(0, 1, 1));
	s = mtcp_accept4(m, l, NULL, NULL, 0);
	assert_true(s >= 0);
	pthread_create(&thread, NULL, stop_later, NULL);
	start = now_us();
	assert_int_equal(mtcp_read(m, s, &byte, 1), -1);
	assert_int_equal(errno, ECONNRESET);
	assert_true(now_us() - start < 10000000);
	pthread_join(thread, NULL);
	mtcp_destroy_context(m);
	mtcp_destroy();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_daemon),
		cmocka_unit_test(killed_and_back),
		cmocka_unit_test(killed_while_blocked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
