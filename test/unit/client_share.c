/* A connection that another process holds too: what a call says to the engine
 * before it reads, writes or sleeps. */
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

#define E	1	/* the context's engine */
#define SOCK	handle_make(E, 1, 5)
#define OTHER	9u	/* the other process */

static struct fake f;
static mctx_t m;
static int s;
static uint32_t cookie;

static void event(uint8_t type)
{
	struct event ev = { .type = type, .cookie = cookie };

	ev.sock = SOCK;
	ev.limit = 1000;
	fake_event(&f, 0, E, &ev);
}

static void gone(void)
{
	event(EVENT_GONE);
}

static void taken(void)
{
	struct event_socket ev = { .type = EVENT_TAKEN, .cookie = cookie,
				   .sock = SOCK, .limit = 1000,
				   .state = EVENT_S_CONNECTED };

	fake_socket_event(&f, 0, E, &ev);
}

static int begin(void **state)
{
	struct mtcp_ticket ticket;

	(void)state;
	m = kit_begin(&f);
	s = kit_connect(m);
	cookie = kit_cookie(m, s);
	fake_grant(&f, 0, E, BLOCK_SMALL, 12);
	fake_grant(&f, 0, E, BLOCK_LARGE, 12);
	kit_connected(&f, m, s, SOCK, 1000);
	assert_int_equal(mtcp_share(m, s, OTHER, &ticket), 0);
	fake_skip(&f, 0);
	return 0;
}

static int end(void **state)
{
	(void)state;
	kit_end(&f, m);
	return 0;
}

/* ---- the engine, while a call of the library sleeps ---- */

static union fake_cmd got;

static bool has_come(uint8_t type)
{
	for (int i = 0; i < 5000; i++) {
		if (fake_find(&f, 0, E, type, &got))
			return true;
		usleep(1000);
	}
	return false;
}

static uint8_t flags_of_take(void)
{
	return has_come(CMD_TAKE) && got.one.sock == SOCK &&
	       got.one.cookie == cookie ? got.one.flags : 0xff;
}

/* The socket went before the call: it takes it, then sleeps; it goes again
 * meanwhile: it asks for it when there is something to read. */
static void *engine_reading(void *arg)
{
	uint8_t *flags = arg;

	flags[0] = flags_of_take();
	taken();
	usleep(20000);
	gone();
	flags[1] = flags_of_take();
	taken();
	fake_data(&f, 0, E, cookie, SOCK, "hello", 5);
	return NULL;
}

static void reading_sleeps(void **state)
{
	uint8_t flags[2];
	char buf[16];
	pthread_t t;

	(void)state;
	mtcp_setsock_block(m, s);
	gone();
	assert_int_equal(pthread_create(&t, NULL, engine_reading, flags), 0);
	assert_int_equal(mtcp_read(m, s, buf, sizeof(buf)), 5);
	pthread_join(t, NULL);
	assert_int_equal(flags[0], 0);
	assert_int_equal(flags[1], CMD_F_READ);
	/* what is read is said before another may have it */
	assert_true(fake_find(&f, 0, E, CMD_CONSUMED, &got));
	assert_int_equal(got.one.consumed.bytes, 5);
}

static void polling_sleeps(void **state)
{
	struct pollfd p = { .fd = s, .events = POLLIN };
	uint8_t flags[2];
	pthread_t t;

	(void)state;
	gone();
	assert_int_equal(pthread_create(&t, NULL, engine_reading, flags), 0);
	assert_int_equal(mtcp_poll(m, &p, 1, 20000), 1);
	pthread_join(t, NULL);
	assert_int_equal(flags[0], 0);
	assert_int_equal(flags[1], CMD_F_READ);
}

static void *engine_epoll(void *arg)
{
	uint8_t *flags = arg;

	usleep(20000);
	gone();
	flags[0] = flags_of_take();
	taken();
	fake_data(&f, 0, E, cookie, SOCK, "hello", 5);
	return NULL;
}

/* A set that hears of edges alone does not ask for room that it has. */
static void epoll_sleeps(void **state)
{
	struct mtcp_epoll_event ev = { 0 };
	int ep = mtcp_epoll_create(m, 10);
	uint8_t flags;
	pthread_t t;

	(void)state;
	ev.events = (uint32_t)(MTCP_EPOLLIN | MTCP_EPOLLOUT | MTCP_EPOLLET);
	ev.data.sockid = s;
	assert_int_equal(mtcp_epoll_ctl(m, ep, MTCP_EPOLL_CTL_ADD, s, &ev), 0);
	assert_int_equal(mtcp_epoll_wait(m, ep, &ev, 1, 0), 1);
	assert_int_equal(ev.events, MTCP_EPOLLOUT);
	assert_int_equal(pthread_create(&t, NULL, engine_epoll, &flags), 0);
	while (mtcp_epoll_wait(m, ep, &ev, 1, 20000) == 1 &&
	       ev.events != MTCP_EPOLLIN)
		assert_int_equal(ev.events, MTCP_EPOLLOUT);
	assert_int_equal(ev.events, MTCP_EPOLLIN);
	pthread_join(t, NULL);
	assert_int_equal(flags, CMD_F_READ);
}

static void *engine_writing(void *arg)
{
	uint8_t *flags = arg;

	flags[0] = flags_of_take();
	taken();
	return NULL;
}

/* It went while the library thought that it has it: nothing is sent that the
 * engine would not take. */
static void writing_looks_first(void **state)
{
	uint8_t flags;
	pthread_t t;

	(void)state;
	gone();
	assert_int_equal(pthread_create(&t, NULL, engine_writing, &flags), 0);
	assert_int_equal(mtcp_write(m, s, "0123456789", 10), 10);
	pthread_join(t, NULL);
	assert_int_equal(flags, 0);
	assert_true(fake_find(&f, 0, E, CMD_SEND, &got));
	assert_int_equal(got.one.send.len, 10);
}

/* The word that the engine looks at: odd in a call, even out of it. */
static void calls_are_counted(void **state)
{
	uint32_t n = use_look(m->asleep);
	char buf[8];

	(void)state;
	assert_int_equal(n % 2, 0);
	fake_data(&f, 0, E, cookie, SOCK, "hello", 5);
	assert_int_equal(mtcp_read(m, s, buf, sizeof(buf)), 5);
	assert_true(use_look(m->asleep) > n);
	n = use_look(m->asleep);
	assert_int_equal(mtcp_write(m, s, "x", 1), 1);
	assert_true(use_look(m->asleep) > n);
	assert_int_equal(use_look(m->asleep) % 2, 0);
	n = use_look(m->asleep);
	assert_int_equal(mtcp_shutdown(m, s, SHUT_WR), 0);
	assert_true(use_look(m->asleep) > n);
	assert_int_equal(use_look(m->asleep) % 2, 0);
}

/* Records of several writers are whole: the limit is no reason to cut one. */
static void small_writes_are_whole(void **state)
{
	static char buf[BLOCK_LARGE_BYTES];

	(void)state;
	assert_int_equal(mtcp_write(m, s, buf, 900), 900);
	assert_int_equal(mtcp_write(m, s, buf, 600), 600);
	assert_int_equal(mtcp_write(m, s, buf, 600), -1);
	assert_int_equal(errno, EAGAIN);
	assert_true(fake_find(&f, 0, E, CMD_WANT_SENT, &got));
}

#define T(f)	cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(reading_sleeps), T(polling_sleeps), T(epoll_sleeps),
		T(writing_looks_first), T(calls_are_counted),
		T(small_writes_are_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
