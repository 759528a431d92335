/* Threads that sleep in the POSIX face: whatever the leader does, an event
 * finds the thread that waits for it.  The interposers are linked in, so read()
 * and its like below are theirs; the daemon is of paper. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/time.h>
#include <unistd.h>

#include "client_fake.h"
#include "libclient/preload/preload.h"

#define CONNS	6
#define LONG_S	10		/* a sleep that ends by this has stalled */
#define ROUNDS	4000

static struct fake f;
static int listener, fds[CONNS];
static uint32_t cookies[CONNS];
static _Atomic uint32_t taken;		/* bytes, by all readers */

/* ---- the daemon's side ---- */

static uint64_t sock_of(int i)
{
	return handle_make(0, 1, (uint32_t)i + 1);
}

static void data(int i, char byte)
{
	fake_data(&f, 0, 0, cookies[i], sock_of(i), &byte, 1);
}

static int open_listener(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	int l = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	a.sin_addr.s_addr = inet_addr("10.99.77.2");
	assert_int_equal(bind(l, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(l, 16), 0);
	assert_int_equal(accept(l, NULL, NULL), -1);
	assert_int_equal(errno, EAGAIN);
	return l;
}

static int start(void **state)
{
	union fake_cmd c;
	uint32_t used = 0;

	(void)state;
	homes_start(1);
	fake_start(&f, NULL);
	listener = open_listener();
	c.one.cookie = 0;
	for (int i = 0; i < CONNS; i++) {
		struct event_socket ev = { .type = EVENT_ACCEPTED,
					   .sock = sock_of(i),
					   .limit = 65536 };

		if (used == c.one.cookie) {
			assert_true(fake_find(&f, 0, 0, CMD_CREDIT, &c));
			used = 0;
		}
		ev.cookie = cookies[i] = c.one.credit.cookies[used++];
		fake_socket_event(&f, 0, 0, &ev);
		fds[i] = accept(listener, NULL, NULL);
		assert_true(fds[i] >= 0);
	}
	return 0;
}

static int stop(void **state)
{
	(void)state;
	for (int i = 0; i < CONNS; i++)
		close(fds[i]);
	close(listener);
	return 0;
}

/* ---- readers ---- */

struct reader {
	pthread_t thread;
	int i;
	ssize_t got;
	int err;
};

static void timeout_ms(int fd, int ms)
{
	struct timeval tv = { ms / 1000, ms % 1000 * 1000 };

	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv,
				    sizeof(tv)), 0);
}

static void *read_once(void *arg)
{
	struct reader *r = arg;
	char byte;

	r->got = read(fds[r->i], &byte, 1);
	r->err = errno;
	return NULL;
}

static bool sleeps_on(int fd)
{
	struct file *file = table_peek(fd);
	bool yes;

	home_lock(0);
	yes = file->links && file->links->w->asleep;
	home_unlock();
	return yes;
}

static void await_asleep(int fd)
{
	for (int i = 0; i < 10000 && !sleeps_on(fd); i++)
		usleep(1000);
	assert_true(sleeps_on(fd));
}

/* A thread that reads from connection @i, asleep when this returns. */
static void sleeper(struct reader *r, int i, int ms)
{
	*r = (struct reader){ .i = i };
	timeout_ms(fds[i], ms);
	assert_int_equal(pthread_create(&r->thread, NULL, read_once, r), 0);
	await_asleep(fds[i]);
}

static void has_read(struct reader *r)
{
	pthread_join(r->thread, NULL);
	assert_int_equal(r->got, 1);
}

/* ---- who leads ---- */

/* The leader and the first who could follow it both have data, and go. */
static void leader_and_heir_leave(void **state)
{
	struct reader a, b, c;

	(void)state;
	sleeper(&a, 0, LONG_S * 1000);
	sleeper(&b, 1, LONG_S * 1000);
	sleeper(&c, 2, LONG_S * 1000);
	home_lock(0);
	data(0, 'a');
	data(2, 'c');
	home_unlock();
	has_read(&a);
	has_read(&c);
	data(1, 'b');
	has_read(&b);
}

static void leader_times_out(void **state)
{
	struct reader a, b;

	(void)state;
	sleeper(&a, 0, 300);
	sleeper(&b, 1, LONG_S * 1000);
	pthread_join(a.thread, NULL);
	assert_int_equal(a.got, -1);
	assert_int_equal(a.err, EAGAIN);
	data(1, 'b');
	has_read(&b);
}

static void closed_under_leader(void **state)
{
	struct reader a, b;
	int extra = dup(fds[0]);

	(void)state;
	assert_true(extra >= 0);
	sleeper(&a, 0, LONG_S * 1000);
	sleeper(&b, 1, LONG_S * 1000);
	data(0, 'a');
	has_read(&a);
	close(extra);
	data(1, 'b');
	has_read(&b);
}

/* ThreadSanitizer does not follow locks taken by a cancelled thread's handlers,
 * and puts signals off. */
static void not_under_tsan(void)
{
#ifdef __SANITIZE_THREAD__
	skip();
#endif
}

/* A cancelled leader leaves nothing behind, and somebody else leads. */
static void cancelled_leader(void **state)
{
	struct reader a, b;
	void *result;

	(void)state;
	not_under_tsan();
	sleeper(&a, 0, LONG_S * 1000);
	sleeper(&b, 1, LONG_S * 1000);
	assert_int_equal(pthread_cancel(a.thread), 0);
	assert_int_equal(pthread_join(a.thread, &result), 0);
	assert_ptr_equal(result, PTHREAD_CANCELED);
	assert_null(table_peek(fds[0])->links);
	data(1, 'b');
	has_read(&b);
	data(0, 'a');
	a = (struct reader){ 0 };
	read_once(&a);
	assert_int_equal(a.got, 1);
}

/* ---- a handler that reads, while its thread sleeps ---- */

static struct reader handled;

static void on_usr1(int signo)
{
	int saved = errno;

	(void)signo;
	read_once(&handled);
	errno = saved;
}

static void handler_reads(void **state)
{
	struct sigaction sa = { .sa_handler = on_usr1,
				.sa_flags = SA_RESTART }, old;
	struct reader a, b;

	(void)state;
	not_under_tsan();
	timeout_ms(fds[0], 0);		/* for ever: restarted */
	sleeper(&a, 0, 0);
	sleeper(&b, 1, LONG_S * 1000);
	handled = (struct reader){ .i = 2 };
	timeout_ms(fds[2], LONG_S * 1000);
	sigaction(SIGUSR1, &sa, &old);
	pthread_kill(a.thread, SIGUSR1);
	await_asleep(fds[2]);
	data(2, 'h');
	data(1, 'b');
	data(0, 'a');
	has_read(&a);
	has_read(&b);
	assert_int_equal(handled.got, 1);
	sigaction(SIGUSR1, &old, NULL);
}

/* ---- the bell ---- */

/* A first write waits a little for blocks, inside the library, and sleeps on
 * the bell that the leader has armed. */
static void write_sleeps_beside_leader(void **state)
{
	struct reader a;

	(void)state;
	sleeper(&a, 0, LONG_S * 1000);
	assert_int_equal(send(fds[1], "x", 1, MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
	data(0, 'a');
	has_read(&a);
}

/* ---- poll, epoll ---- */

static void *poll_out(void *arg)
{
	struct pollfd p = { .fd = fds[0], .events = POLLOUT };
	struct reader *r = arg;

	r->got = poll(&p, 1, LONG_S * 1000);
	return NULL;
}

/* What made it writable was used up by another before it looked. */
static void asks_again(void **state)
{
	struct reader r = { 0 };
	char bytes[10 * BLOCK_SMALL_BYTES] = { 0 };
	int other = table_sock(fds[1])->sock;
	bool asked = false;
	union fake_cmd c;

	(void)state;
	assert_int_equal(pthread_create(&r.thread, NULL, poll_out, &r), 0);
	await_asleep(fds[0]);
	home_lock(0);
	fake_grant(&f, 0, 0, BLOCK_SMALL, 10);
	ctx_progress(home_context(0));
	assert_int_equal(mtcp_write(home_context(0), other, bytes, sizeof(bytes)),
			 sizeof(bytes));
	fake_skip(&f, 0);
	home_unlock();
	for (int i = 0; i < 10000 && !asked; i++) {
		asked = fake_find(&f, 0, 0, CMD_WANT_BLOCKS, &c);
		usleep(1000);
	}
	assert_true(asked);
	fake_grant(&f, 0, 0, BLOCK_SMALL, 4);
	pthread_join(r.thread, NULL);
	assert_int_equal(r.got, 1);
}

static void *epoll_both(void *arg)
{
	struct reader *r = arg;
	struct epoll_event ev;

	r->got = epoll_wait(r->i, &ev, 1, LONG_S * 1000);
	return NULL;
}

/* A kernel descriptor is put into the set while a thread sleeps on it. */
static void kernel_member_comes_late(void **state)
{
	struct epoll_event ev = { .events = EPOLLIN };
	struct reader r = { .i = epoll_create1(0) };
	int ends[2];

	(void)state;
	assert_int_equal(epoll_ctl(r.i, EPOLL_CTL_ADD, fds[0], &ev), 0);
	assert_int_equal(pthread_create(&r.thread, NULL, epoll_both, &r), 0);
	await_asleep(r.i);
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(epoll_ctl(r.i, EPOLL_CTL_ADD, ends[0], &ev), 0);
	assert_int_equal(write(ends[1], "", 1), 1);
	pthread_join(r.thread, NULL);
	assert_int_equal(r.got, 1);
	close(r.i);
	close(ends[0]);
	close(ends[1]);
}

/* ---- all at once ---- */

/* Reads until 'q'; odd ones with time-outs that make leaders leave. */
static void *read_all(void *arg)
{
	struct reader *r = arg;
	char bytes[64];
	ssize_t n;

	for (;;) {
		n = read(fds[r->i], bytes, sizeof(bytes));
		if (n < 0 && errno == EAGAIN && r->i % 2)
			continue;
		if (n <= 0)
			break;
		taken += (uint32_t)n;
		if (bytes[n - 1] == 'q')
			return NULL;
	}
	r->err = errno;
	r->got = -1;
	return NULL;
}

static void random_orders(void **state)
{
	struct reader r[CONNS] = { 0 };
	uint32_t sent = 0;

	(void)state;
	taken = 0;
	for (int i = 0; i < CONNS; i++) {
		r[i].i = i;
		timeout_ms(fds[i], i % 2 ? i : LONG_S * 1000);
		assert_int_equal(pthread_create(&r[i].thread, NULL, read_all,
						&r[i]), 0);
	}
	for (int k = 0; k < ROUNDS; k++) {
		data(rand() % CONNS, 'x');
		sent++;
		/* now and then all sleep before the next comes */
		for (int t = 0; (k % 16 == 0 || sent - taken > 100) &&
				sent != taken && t < LONG_S * 1000; t++)
			usleep(1000);
		fake_skip(&f, 0);
	}
	for (int i = 0; i < CONNS; i++)
		data(i, 'q');
	for (int i = 0; i < CONNS; i++) {
		pthread_join(r[i].thread, NULL);
		assert_int_equal(r[i].got, 0);
	}
	assert_int_equal(taken, sent + CONNS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(leader_and_heir_leave),
		cmocka_unit_test(leader_times_out),
		cmocka_unit_test(closed_under_leader),
		cmocka_unit_test(cancelled_leader),
		cmocka_unit_test(handler_reads),
		cmocka_unit_test(write_sleeps_beside_leader),
		cmocka_unit_test(asks_again),
		cmocka_unit_test(kernel_member_comes_late),
		cmocka_unit_test(random_orders),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
