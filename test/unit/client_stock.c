/* Granted blocks among connections: who was told that it can write, can. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "client_kit.h"

#define CONNS	20
#define LIMIT	(4u << 20)
#define E	1	/* the context's engine */

static struct fake f;
static mctx_t m;
static int sock[CONNS];
static char big[1 << 20];

static void connect_all(void)
{
	for (uint32_t i = 0; i < CONNS; i++) {
		sock[i] = kit_connect(m);
		kit_connected(&f, m, sock[i], handle_make(E, 1, i + 1), LIMIT);
	}
}

/* The first bytes of a connection have a rule of their own. */
static void write_first_bytes(void)
{
	fake_grant(&f, 0, E, BLOCK_SMALL, CONNS);
	ctx_progress(m);
	for (int i = 0; i < CONNS; i++)
		assert_int_equal(mtcp_write(m, sock[i], big, 512), 512);
	fake_skip(&f, 0);
	assert_false(stock_any(m, E));
}

static int begin(void **state)
{
	(void)state;
	m = kit_begin(&f);
	connect_all();
	write_first_bytes();
	return 0;
}

static int end(void **state)
{
	(void)state;
	kit_end(&f, m);
	return 0;
}

static int writable(int count)
{
	struct pollfd p[CONNS];
	int n = 0;

	for (int i = 0; i < count; i++)
		p[i] = (struct pollfd){ sock[i], POLLOUT, 0 };
	assert_true(mtcp_poll(m, p, (nfds_t)count, 0) >= 0);
	for (int i = 0; i < count; i++)
		n += (p[i].revents & POLLOUT) != 0;
	return n;
}

static void all_that_were_told_can_write(void **state)
{
	(void)state;
	fake_grant(&f, 0, E, BLOCK_SMALL, 12);
	fake_grant(&f, 0, E, BLOCK_LARGE, 12);
	assert_int_equal(writable(9), 9);
	/* the first one takes all it can get */
	assert_true(mtcp_write(m, sock[0], big, sizeof(big)) > 4096);
	for (int i = 1; i < 9; i++)
		assert_true(mtcp_write(m, sock[i], big, sizeof(big)) > 0);
}

/* Grants after a while, like an engine whose turn is late. */
static void *late(void *arg)
{
	(void)arg;
	usleep(20000);
	fake_grant(&f, 0, E, BLOCK_LARGE, 12);
	return NULL;
}

static void without_blocks_the_engine_is_awaited(void **state)
{
	pthread_t t;

	(void)state;
	assert_int_equal(pthread_create(&t, NULL, late, NULL), 0);
	assert_true(mtcp_write(m, sock[0], big, sizeof(big)) > 0);
	pthread_join(t, NULL);
	assert_false(m->pair[E].dry);
}

static void but_not_memory(void **state)
{
	uint64_t t = now_us();

	(void)state;
	assert_int_equal(mtcp_write(m, sock[0], big, 100), -1);
	assert_int_equal(errno, EAGAIN);
	assert_true(now_us() - t >= 100000);
	assert_true(m->pair[E].dry);
	/* nobody waits a second time, nor longer after a new try */
	t = now_us();
	for (int i = 0; i < CONNS; i++)
		assert_int_equal(mtcp_write(m, sock[i], big, 100), -1);
	assert_true(now_us() - t < 100000);
	assert_true(m->pair[E].patience_us < 100000);
	/* a block or two would not serve all who wait */
	fake_grant(&f, 0, E, BLOCK_LARGE, 2);
	assert_int_equal(writable(CONNS), 0);
	fake_grant(&f, 0, E, BLOCK_LARGE, 10);
	assert_int_equal(writable(CONNS), CONNS);
	for (int i = 0; i < 8; i++)
		assert_int_equal(mtcp_write(m, sock[i], big, 100), 100);
}

/* Who stopped at the reserve hears of the next blocks. */
static void a_short_write_is_told_of_more(void **state)
{
	struct mtcp_epoll_event ev = { (uint32_t)(MTCP_EPOLLOUT | MTCP_EPOLLET),
				       { .sockid = sock[0] } }, got[4];
	int ep = mtcp_epoll_create(m, 10);
	ssize_t n;

	(void)state;
	fake_grant(&f, 0, E, BLOCK_LARGE, 12);
	ctx_progress(m);
	assert_int_equal(mtcp_epoll_ctl(m, ep, MTCP_EPOLL_CTL_ADD, sock[0],
					&ev), 0);
	assert_int_equal(mtcp_epoll_wait(m, ep, got, 4, 0), 1);
	n = mtcp_write(m, sock[0], big, sizeof(big));
	assert_true(n > 0 && n < 12 * BLOCK_LARGE_BYTES);
	assert_int_equal(mtcp_epoll_wait(m, ep, got, 4, 0), 0);
	fake_grant(&f, 0, E, BLOCK_LARGE, 6);
	assert_int_equal(mtcp_epoll_wait(m, ep, got, 4, 0), 1);
	assert_int_equal(got[0].events, MTCP_EPOLLOUT);
}

static _Atomic bool fed;

static void *feed(void *arg)
{
	(void)arg;
	for (int i = 0; i < 10000 && !atomic_load(&fed); i++) {
		usleep(1000);
		if (ring_room(&f.event[0][E], 2) >= 2)
			fake_grant(&f, 0, E, BLOCK_LARGE, 1);
	}
	return NULL;
}

/* A blocking one goes on with little: it has all the time, not all memory. */
static void a_blocking_write_ends(void **state)
{
	pthread_t t;

	(void)state;
	mtcp_setsock_block(m, sock[0]);
	fake_grant(&f, 0, E, BLOCK_LARGE, 6);
	assert_int_equal(pthread_create(&t, NULL, feed, NULL), 0);
	assert_int_equal(mtcp_write(m, sock[0], big, 100000), 100000);
	atomic_store(&fed, true);
	pthread_join(t, NULL);
}

#define T(f)	cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(all_that_were_told_can_write),
		T(without_blocks_the_engine_is_awaited),
		T(but_not_memory),
		T(a_short_write_is_told_of_more),
		T(a_blocking_write_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
