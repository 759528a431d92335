/* One listener of a program that several threads wait for, each in an epoll set
 * of its own or in accept(): each has a context's listener, no lock is shared,
 * and for the program it is one listener all the same.  The daemon is of paper:
 * the test says who is given a connection. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/time.h>
#include <unistd.h>

#include "client_fake.h"
#include "libclient/preload/preload.h"

#define THREADS	4
#define LONG_MS	10000

static struct fake f;
static int listener;
static uint32_t given;			/* connections so far: their handles */

/* ---- the threads ---- */

enum task { IDLE, WAIT, ACCEPT, ACCEPT_NOW, ADD, DELETE, POLL, END };

static struct worker {
	pthread_t thread;
	sem_t go, done;
	enum task task;
	uint32_t events;
	_Atomic uint32_t home;
	int ep, got, err;
} w[THREADS];

static void perform(struct worker *me)
{
	struct epoll_event ev = { .events = me->events };
	struct pollfd p = { listener, POLLIN, 0 };

	errno = 0;
	switch (me->task) {
	case WAIT:
		me->got = epoll_wait(me->ep, &ev, 1, LONG_MS);
		me->err = (int)ev.events;
		return;
	case ACCEPT:
		me->got = accept(listener, NULL, NULL);
		break;
	case ACCEPT_NOW:
		me->got = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
		break;
	case ADD:
		me->got = epoll_ctl(me->ep, EPOLL_CTL_ADD, listener, &ev);
		break;
	case DELETE:
		me->got = epoll_ctl(me->ep, EPOLL_CTL_DEL, listener, NULL);
		break;
	case POLL:
		me->got = poll(&p, 1, LONG_MS);
		break;
	default:
		break;
	}
	me->err = errno;
}

static void *work(void *arg)
{
	struct worker *me = arg;
	enum task task;

	me->home = home_self();
	me->ep = epoll_create1(0);
	sem_post(&me->done);
	do {
		sem_wait(&me->go);
		task = me->task;
		perform(me);
		sem_post(&me->done);
	} while (task != END);
	return NULL;
}

static void begin(int i, enum task task)
{
	w[i].task = task;
	sem_post(&w[i].go);
}

static int end(int i)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += LONG_MS / 1000;
	if (sem_timedwait(&w[i].done, &until))
		fail_msg("thread %d does not come back from %d", i, w[i].task);
	return w[i].got;
}

static int run(int i, enum task task)
{
	begin(i, task);
	return end(i);
}

/* ---- the engines ---- */

static uint32_t ctx_of(int i)
{
	return home_context(w[i].home)->id;
}

/* What the engine knows of a context. */
static struct side {
	uint32_t cookie[256], first, count;
	uint32_t revoked;		/* so often */
	uint64_t back;			/* the last connection that came back */
} sides[THREADS];

static void take_commands(int i)
{
	struct side *s = &sides[ctx_of(i)];
	union fake_cmd c;
	uint8_t type;

	while ((type = fake_cmd(&f, ctx_of(i), 0, &c)) != CMD_NONE) {
		if (type == CMD_CLOSE && c.one.flags & CMD_F_BACK)
			s->back = c.one.sock;
		if (type != CMD_CREDIT)
			continue;
		if (c.one.flags & CMD_F_BACK) {
			s->first = s->count;
			s->revoked++;
			continue;
		}
		for (uint32_t n = 0; n < c.one.cookie; n++)
			s->cookie[s->count++ % 256] = c.one.credit.cookies[n];
	}
}

static void give(int i)
{
	struct event_socket ev = { .type = EVENT_ACCEPTED, .limit = 65536 };
	struct side *s = &sides[ctx_of(i)];

	for (int n = 0; n < LONG_MS && s->first == s->count; n++) {
		take_commands(i);
		usleep(s->first == s->count ? 1000 : 0);
	}
	assert_true(s->first < s->count);
	ev.cookie = s->cookie[s->first++ % 256];
	ev.sock = handle_make(0, 1, ++given);
	fake_socket_event(&f, ctx_of(i), 0, &ev);
}

/* The last one that was given to @i comes back. */
static void comes_back(int i)
{
	struct side *s = &sides[ctx_of(i)];

	for (int n = 0; n < LONG_MS && s->back != handle_make(0, 1, given);
	     n++) {
		take_commands(i);
		usleep(1000);
	}
	assert_true(s->back == handle_make(0, 1, given));
}

/* An end of listening ends all credit. */
static void no_credit(void)
{
	for (int i = 0; i < THREADS; i++) {
		take_commands(i);
		sides[ctx_of(i)].first = sides[ctx_of(i)].count;
	}
}

static bool has_credit(int i)
{
	struct side *s = &sides[ctx_of(i)];

	take_commands(i);
	return s->first < s->count;
}

static void asleep(int i)
{
	const struct wake_shared *b = home_context(w[i].home)->asleep;

	for (int n = 0; n < LONG_MS && !b->asleep; n++)
		usleep(1000);
	assert_true(b->asleep);
}

static bool one_group(uint32_t a, uint32_t b)
{
	bool yes;

	home_lock(a);
	yes = home_is_held(b);
	home_unlock();
	return yes;
}

static void no_lock_is_shared(void)
{
	for (int i = 0; i < THREADS; i++)
		for (int k = 0; k < i; k++)
			assert_false(one_group(w[i].home, w[k].home));
}

/* ---- begin, end ---- */

static void open_listener(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET };

	listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	a.sin_addr.s_addr = inet_addr("10.99.77.2");
	assert_int_equal(bind(listener, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(listener, 64), 0);
}

/* The first home is the main thread's: it has the listener, and waits not. */
static int start(void **state)
{
	(void)state;
	homes_start(THREADS);
	fake_start(&f, NULL);
	open_listener();
	for (int i = THREADS - 1; i >= 0; i--) {
		sem_init(&w[i].go, 0, 0);
		sem_init(&w[i].done, 0, 0);
		w[i].events = EPOLLIN | (i % 2 ? EPOLLEXCLUSIVE : 0u);
		assert_int_equal(pthread_create(&w[i].thread, NULL, work,
						&w[i]), 0);
		end(i);
	}
	return 0;
}

static void all_end(void)
{
	for (int i = 0; i < THREADS; i++) {
		run(i, END);
		pthread_join(w[i].thread, NULL);
	}
}

static int stop(void **state)
{
	(void)state;
	for (int i = 0; i < THREADS; i++)
		close(w[i].ep);
	close(listener);
	return 0;
}

/* ---- tests ---- */

static void a_listener_each(void **state)
{
	(void)state;
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(run(i, ADD), 0);
	assert_int_equal(f.contexts, THREADS);
	assert_int_equal(f.listens, THREADS);
	no_lock_is_shared();
	assert_int_equal(run(1, ADD), -1);
	assert_int_equal(w[1].err, EEXIST);
}

/* Each hears of what is its own, and only that thread. */
static void each_takes_its_own(void **state)
{
	(void)state;
	for (int i = 0; i < THREADS; i++)
		begin(i, WAIT);
	for (int i = 0; i < THREADS; i++) {
		int fd;

		asleep(i);
		give(i);
		assert_int_equal(end(i), 1);
		fd = run(i, ACCEPT);
		assert_true(fd >= 0);
		assert_int_equal(table_at(fd)->home, w[i].home);
		assert_int_equal(run(i, ACCEPT), -1);
		assert_int_equal(w[i].err, EAGAIN);
		close(fd);
		begin(i, WAIT);
	}
	for (int i = 0; i < THREADS; i++) {
		asleep(i);
		give(i);
		assert_int_equal(end(i), 1);
		close(run(i, ACCEPT));
	}
	no_lock_is_shared();
}

/* What waits in one home any thread may accept, after a while. */
static void any_may_accept(void **state)
{
	int fd;

	(void)state;
	begin(0, WAIT);
	asleep(0);
	give(0);
	assert_int_equal(end(0), 1);
	usleep(50000);
	fd = run(2, ACCEPT);
	assert_true(fd >= 0);
	assert_int_equal(table_at(fd)->home, w[0].home);
	close(fd);
	assert_int_equal(run(0, ACCEPT), -1);
	assert_int_equal(w[0].err, EAGAIN);
}

/* A thread that does not come for it, though it heard of it, or did not even
 * hear: it is given back, then its credit too; until it waits again. */
static void not_left_lying(void **state)
{
	(void)state;
	begin(1, WAIT);
	begin(0, WAIT);
	asleep(0);
	give(0);
	assert_int_equal(end(0), 1);
	asleep(1);
	fake_look(&f, ctx_of(1));
	comes_back(0);
	assert_true(has_credit(0));
	give(0);			/* it has credit still: unread */
	asleep(1);
	fake_look(&f, ctx_of(1));
	comes_back(0);
	assert_false(has_credit(0));
	begin(0, WAIT);			/* nothing there, and asks again */
	asleep(0);
	give(0);
	assert_int_equal(end(0), 1);
	close(run(0, ACCEPT));
	give(1);
	assert_int_equal(end(1), 1);
	close(run(1, ACCEPT));
}

/* Who takes it out of its set wants none. */
static void out_of_the_set(void **state)
{
	(void)state;
	begin(3, WAIT);
	asleep(3);
	give(3);
	assert_int_equal(end(3), 1);
	assert_int_equal(run(3, DELETE), 0);
	comes_back(3);
	assert_false(has_credit(3));
	assert_int_equal(run(3, DELETE), -1);
	assert_int_equal(w[3].err, ENOENT);
	assert_int_equal(run(3, ADD), 0);
	give(3);
	assert_int_equal(run(3, WAIT), 1);
	close(run(3, ACCEPT));
}

/* poll() and accept() of threads that wait at the same time. */
static void calls_that_wait(void **state)
{
	int fd;

	(void)state;
	begin(2, POLL);
	asleep(2);
	give(2);
	assert_int_equal(end(2), 1);
	close(run(2, ACCEPT));
	assert_int_equal(fcntl(listener, F_SETFL, 0), 0);
	begin(1, ACCEPT);
	begin(2, ACCEPT);
	asleep(1);
	asleep(2);
	take_commands(1);
	take_commands(2);
	give(2);
	fd = end(2);
	assert_true(fd >= 0);
	assert_int_equal(table_at(fd)->home, w[2].home);
	close(fd);
	give(1);
	close(end(1));
	assert_int_equal(fcntl(listener, F_SETFL, O_NONBLOCK), 0);
	assert_int_equal(run(1, ACCEPT), -1);
	assert_int_equal(w[1].err, EAGAIN);
	no_lock_is_shared();
}

static void options_of_all(void **state)
{
	const struct timeval tv = { .tv_usec = 50000 };
	const int on = 1;
	int got = 0, fd;
	socklen_t n = sizeof(got);

	(void)state;
	assert_int_equal(setsockopt(listener, IPPROTO_TCP, 1, &on, sizeof(on)),
			 0);		/* TCP_NODELAY */
	begin(3, WAIT);
	asleep(3);
	give(3);
	assert_int_equal(end(3), 1);
	fd = run(3, ACCEPT);
	assert_int_equal(getsockopt(fd, IPPROTO_TCP, 1, &got, &n), 0);
	assert_int_equal(got, 1);
	close(fd);
	assert_int_equal(setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &tv,
				    sizeof(tv)), 0);
	assert_int_equal(fcntl(listener, F_SETFL, 0), 0);
	assert_int_equal(run(3, ACCEPT), -1);
	assert_int_equal(w[3].err, EAGAIN);
	assert_int_equal(fcntl(listener, F_SETFL, O_NONBLOCK), 0);
}

/* shutdown() stops all, listen() starts them again. */
static void stopped_and_again(void **state)
{
	uint32_t ended = f.unlistens, begun = f.listens;

	(void)state;
	assert_int_equal(fcntl(listener, F_SETFL, 0), 0);
	begin(1, ACCEPT);
	asleep(1);
	assert_int_equal(shutdown(listener, SHUT_RD), 0);
	assert_int_equal(end(1), -1);
	assert_int_equal(w[1].err, EINVAL);
	assert_int_equal(f.unlistens, ended + THREADS);
	no_credit();
	assert_int_equal(run(2, WAIT), 1);
	assert_true(w[2].err & EPOLLHUP);
	assert_int_equal(listen(listener, 64), 0);
	assert_int_equal(f.listens, begun + THREADS);
	assert_int_equal(fcntl(listener, F_SETFL, O_NONBLOCK), 0);
	begin(2, WAIT);
	asleep(2);
	give(2);
	assert_int_equal(end(2), 1);
	close(run(2, ACCEPT));
	no_lock_is_shared();
}

/* One close() is for all, whoever sleeps in epoll_wait() or accept(). */
static void closed_for_all(void **state)
{
	struct epoll_event ev = { .events = EPOLLIN };
	uint32_t ended = f.unlistens;
	int old = listener, pipes[2];

	(void)state;
	begin(1, WAIT);
	asleep(1);
	assert_int_equal(fcntl(listener, F_SETFL, 0), 0);
	begin(3, ACCEPT);
	asleep(3);
	close(listener);
	assert_int_equal(f.unlistens, ended + THREADS);
	no_credit();
	assert_int_equal(end(3), -1);
	assert_int_equal(w[3].err, EBADF);
	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(write(pipes[1], "x", 1), 1);
	assert_int_equal(epoll_ctl(w[1].ep, EPOLL_CTL_ADD, pipes[0], &ev), 0);
	assert_int_equal(end(1), 1);
	close(pipes[0]);
	close(pipes[1]);
	open_listener();
	assert_int_equal(listener, old);
	for (int i = 0; i < THREADS; i++) {
		assert_int_equal(run(i, DELETE), -1);
		assert_int_equal(w[i].err, ENOENT);
		assert_int_equal(run(i, ADD), 0);
	}
	give(2);
	assert_int_equal(run(2, WAIT), 1);
	close(run(2, ACCEPT));
	no_lock_is_shared();
}

/* ---- all at once ---- */

#define STORM	3000			/* connections */
#define TELL	40			/* of the engine's turns */

static _Atomic uint32_t accepted;

static void *storms(void *arg)
{
	struct worker *me = arg;
	struct epoll_event ev = { .events = EPOLLIN };
	unsigned int seed = (unsigned int)(me - w) + 1;

	while (accepted < STORM) {
		int what = rand_r(&seed) % 64, fd;
		bool out = what == 0 &&
			   !epoll_ctl(me->ep, EPOLL_CTL_DEL, listener, NULL);

		if (what < 2)
			usleep(5000);	/* busy with something else */
		if (out)
			epoll_ctl(me->ep, EPOLL_CTL_ADD, listener, &ev);
		if (epoll_wait(me->ep, &ev, 1, 20) < 0)
			break;
		fd = what < 8 ? -1 : accept(listener, NULL, NULL);
		accepted += fd >= 0;
		close(fd);
	}
	return NULL;
}

/* The engine: @waiting connections, each given once until it comes back. */
static void storm_turn(uint32_t ctx, uint32_t *waiting)
{
	struct side *s = &sides[ctx];
	union fake_cmd c;
	uint8_t type;

	while ((type = fake_cmd(&f, ctx, 0, &c)) != CMD_NONE) {
		struct event closed = { .type = EVENT_CLOSED,
					.cookie = c.one.cookie,
					.sock = c.one.sock };

		if (type == CMD_CLOSE) {
			*waiting += (c.one.flags & CMD_F_BACK) != 0;
			fake_event(&f, ctx, 0, &closed);
		} else if (type == CMD_CREDIT && c.one.flags & CMD_F_BACK) {
			s->first = s->count;
		} else if (type == CMD_CREDIT) {
			for (uint32_t n = 0; n < c.one.cookie; n++)
				s->cookie[s->count++ % 256] =
					c.one.credit.cookies[n];
		}
	}
	if (*waiting && s->first < s->count) {
		struct event_socket ev = { .type = EVENT_ACCEPTED,
			.cookie = s->cookie[s->first++ % 256],
			.sock = handle_make(0, 1, ++given), .limit = 65536 };

		(*waiting)--;
		fake_socket_event(&f, ctx, 0, &ev);
	}
}

/* Threads that come, go and dawdle: every connection is accepted in the end. */
static void storm(void **state)
{
	uint32_t waiting = STORM;

	(void)state;
	all_end();
	no_credit();
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&w[i].thread, NULL, storms,
						&w[i]), 0);
	for (uint32_t n = 0; n < 20 * LONG_MS && accepted < STORM; n++) {
		for (uint32_t ctx = 0; ctx < THREADS; ctx++) {
			storm_turn(ctx, &waiting);
			if (n % TELL == 0)
				fake_look(&f, ctx);
		}
		usleep(100);
	}
	assert_int_equal(accepted, STORM);
	for (int i = 0; i < THREADS; i++)
		pthread_join(w[i].thread, NULL);
	assert_int_equal(waiting, 0);
	no_lock_is_shared();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_listener_each),
		cmocka_unit_test(each_takes_its_own),
		cmocka_unit_test(any_may_accept),
		cmocka_unit_test(not_left_lying),
		cmocka_unit_test(out_of_the_set),
		cmocka_unit_test(calls_that_wait),
		cmocka_unit_test(options_of_all),
		cmocka_unit_test(stopped_and_again),
		cmocka_unit_test(closed_for_all),
		cmocka_unit_test(storm),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
