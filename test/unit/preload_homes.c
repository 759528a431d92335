/* Threads with contexts of their own in the POSIX face: connections move where
 * they are used, and whatever cannot move is served all the same.  The daemon
 * is of paper; a thread of it answers commands as an engine does, and checks
 * that nobody speaks of a connection that is not his. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "client_fake.h"
#include "libclient/preload/preload.h"

#define CONNS	12
#define HOMES	3u
#define LONG_MS	10000
#define STORM	3000		/* bytes a connection */

struct wire {			/* a connection, as the engine has it */
	uint32_t ctx, cookie;
	uint32_t given, consumed;	/* byte n of it is (char)n */
	_Atomic uint32_t takes;
	bool closed, fin;
};

static struct fake f;
static int listener, fds[CONNS];
static uint32_t seen[CONNS];		/* read by the program */
static pthread_mutex_t reading[CONNS];

/* ---- the engine ---- */

static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
static struct wire wires[CONNS];
static _Atomic bool over;
static _Atomic uint32_t strangers;	/* commands of who had it no more */
static pthread_t engine_thread;

static uint64_t sock_of(int i)
{
	return handle_make(0, 1, (uint32_t)i + 1);
}

static int wire_of(uint64_t sock)
{
	return sock == HANDLE_NONE ? CONNS : (int)handle_index(sock) - 1;
}

static void announce(int i, uint32_t from, uint32_t to)
{
	while (from < to) {
		char bytes[64];
		uint32_t n = 0;

		while (n < sizeof(bytes) && from < to)
			bytes[n++] = (char)from++;
		fake_data(&f, wires[i].ctx, 0, wires[i].cookie, sock_of(i),
			  bytes, (uint16_t)n);
	}
}

static void say(int i, uint8_t type)
{
	struct event ev = { .type = type, .cookie = wires[i].cookie };

	ev.sock = sock_of(i);
	ev.limit = 65536;
	fake_event(&f, wires[i].ctx, 0, &ev);
}

static void turn(uint32_t ctx);

static void take_over(int i, uint32_t ctx, uint32_t cookie)
{
	struct event_socket ev = { .type = EVENT_TAKEN, .cookie = cookie,
				   .state = EVENT_S_CONNECTED,
				   .sock = sock_of(i), .limit = 65536 };

	turn(wires[i].ctx);		/* what its last owner said */
	say(i, EVENT_GONE);
	wires[i].ctx = ctx;
	wires[i].cookie = cookie;
	wires[i].takes++;
	fake_socket_event(&f, ctx, 0, &ev);
	announce(i, wires[i].consumed, wires[i].given);
	if (wires[i].fin)
		say(i, EVENT_FIN);
}

static void run(uint32_t ctx, const struct cmd *c)
{
	int i = wire_of(c->sock);

	if (i >= CONNS || (c->type != CMD_CONSUMED && c->type != CMD_TAKE &&
			   c->type != CMD_CLOSE))
		return;
	if (c->type == CMD_TAKE)
		take_over(i, ctx, c->cookie);
	else if (wires[i].ctx != ctx)
		strangers++;
	else if (c->type == CMD_CONSUMED)
		wires[i].consumed += c->consumed.bytes;
	else {
		say(i, EVENT_CLOSED);
		wires[i].closed = true;
	}
}

static void turn(uint32_t ctx)
{
	union fake_cmd c;

	while (fake_cmd(&f, ctx, 0, &c) != CMD_NONE)
		run(ctx, &c.one);
}

static void *engine(void *arg)
{
	(void)arg;
	while (!over) {
		pthread_mutex_lock(&m);
		for (uint32_t x = 0; x < f.contexts; x++)
			turn(x);
		pthread_mutex_unlock(&m);
		usleep(100);
	}
	return NULL;
}

static void give(int i, uint32_t n)
{
	pthread_mutex_lock(&m);
	announce(i, wires[i].given, wires[i].given + n);
	wires[i].given += n;
	pthread_mutex_unlock(&m);
}

/* ---- begin, end ---- */

static void accept_all(void)
{
	uint32_t used = 0;
	union fake_cmd c;

	c.one.cookie = 0;
	for (int i = 0; i < CONNS; i++) {
		struct event_socket ev = { .type = EVENT_ACCEPTED,
					   .sock = sock_of(i),
					   .limit = 65536 };

		if (used == c.one.cookie) {
			assert_true(fake_find(&f, 0, 0, CMD_CREDIT, &c));
			used = 0;
		}
		ev.cookie = wires[i].cookie = c.one.credit.cookies[used++];
		fake_socket_event(&f, 0, 0, &ev);
		fds[i] = accept(listener, NULL, NULL);
		assert_true(fds[i] >= 0);
		pthread_mutex_init(&reading[i], NULL);
	}
}

static int start(void **state)
{
	struct sockaddr_in a = { .sin_family = AF_INET };

	(void)state;
	homes_start(HOMES);
	fake_start(&f, NULL);
	listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	a.sin_addr.s_addr = inet_addr("10.99.77.2");
	assert_int_equal(bind(listener, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(listener, 64), 0);
	assert_int_equal(accept(listener, NULL, NULL), -1);
	accept_all();
	return pthread_create(&engine_thread, NULL, engine, NULL);
}

static int stop(void **state)
{
	(void)state;
	for (int i = 0; i < CONNS; i++)
		close(fds[i]);
	close(listener);
	over = true;
	pthread_join(engine_thread, NULL);
	return strangers != 0;
}

/* ---- the program ---- */

/* Reads @n bytes, at most @each at a time, and checks that none is missing. */
static bool read_on(int i, uint32_t n, size_t each)
{
	char bytes[256];

	while (n) {
		ssize_t got = read(fds[i], bytes, n < each ? n : each);

		if (got <= 0)
			return false;
		for (ssize_t k = 0; k < got; k++)
			if (bytes[k] != (char)seen[i]++)
				return false;
		n -= (uint32_t)got;
	}
	return true;
}

static uint32_t home_of(int i)
{
	return table_at(fds[i])->home;
}

static bool one_group(uint32_t a, uint32_t b)
{
	bool yes;

	home_lock(a);
	yes = home_is_held(b);
	home_unlock();
	return yes;
}

/* A thread of the program, and what it found. */
struct worker {
	pthread_t thread;
	bool ok;
	uint32_t home;
	int i, ep, got, err;
};

static void run_worker(struct worker *w, void *(*what)(void *))
{
	assert_int_equal(pthread_create(&w->thread, NULL, what, w), 0);
}

static void join_worker(struct worker *w)
{
	pthread_join(w->thread, NULL);
	assert_true(w->ok);
}

static void *reads_ten(void *arg)
{
	struct worker *w = arg;

	w->ok = read_on(w->i, 10, 1);
	return NULL;
}

/* A few calls from elsewhere move nothing. */
static void few_uses_stay(void **state)
{
	struct worker w = { .i = 0 };

	(void)state;
	assert_int_equal(home_self(), 0);
	give(0, 10);
	run_worker(&w, reads_ten);
	join_worker(&w);
	assert_int_equal(home_of(0), 0);
	assert_int_equal(wires[0].takes, 0);
	assert_int_equal(f.contexts, 1);
}

static void *reads_many(void *arg)
{
	struct worker *w = arg;

	w->home = home_self();
	w->ok = read_on(w->i, 500, 3);
	return NULL;
}

/* It goes where it is used, and no byte is lost or comes twice. */
static void used_often_moves(void **state)
{
	struct worker w[2] = { { .i = 1 }, { .i = 2 } };

	(void)state;
	for (int k = 0; k < 2; k++) {
		give(w[k].i, 200);
		run_worker(&w[k], reads_many);
	}
	usleep(20000);
	for (int k = 0; k < 2; k++)
		give(w[k].i, 300);
	for (int k = 0; k < 2; k++) {
		join_worker(&w[k]);
		assert_int_equal(home_of(w[k].i), w[k].home);
		assert_int_equal(wires[w[k].i].takes, w[k].home != 0);
	}
	assert_true(w[0].home != w[1].home);
	assert_true(f.contexts >= 2);
	assert_false(one_group(w[0].home, w[1].home));
}

static void *waits_in_set(void *arg)
{
	struct epoll_event ev = { .events = EPOLLIN };
	struct worker *w = arg;
	int ep = epoll_create1(0);

	w->home = home_self();
	w->ok = epoll_ctl(ep, EPOLL_CTL_ADD, fds[w->i], &ev) == 0;
	for (int k = 0; k < 20 && w->ok; k++)
		w->ok = epoll_wait(ep, &ev, 1, LONG_MS) == 1 &&
			read_on(w->i, 5, 5);
	w->ok = w->ok && epoll_wait(ep, &ev, 1, 0) == 0;
	close(ep);
	return NULL;
}

static void *nothing(void *arg)
{
	struct worker *w = arg;

	w->ok = true;
	w->home = home_self();
	return NULL;
}

/* Threads have homes in turn: the next one's is the second. */
static void skip_first_home(void)
{
	struct worker w = { .home = 0 };

	do {
		run_worker(&w, nothing);
		join_worker(&w);
	} while (w.home != HOMES - 1);
	run_worker(&w, nothing);	/* takes the first */
	join_worker(&w);
	assert_int_equal(w.home, 0);
}

/* Into the home of the set's thread, with what is unread. */
static void set_draws_it(void **state)
{
	struct worker w = { .i = 3 };

	(void)state;
	skip_first_home();
	give(3, 40);
	assert_true(read_on(3, 10, 10));
	run_worker(&w, waits_in_set);
	usleep(20000);
	give(3, 70);
	join_worker(&w);
	assert_int_equal(home_of(3), w.home);
	assert_int_equal(wires[3].takes, 1);
	assert_false(one_group(0, w.home));
}

static void *reads_until_closed(void *arg)
{
	struct worker *w = arg;
	char byte;

	w->got = (int)read(w->ep, &byte, 1);
	w->err = errno;
	w->ok = true;
	return NULL;
}

static bool sleeps_on(int fd)
{
	struct file *file = table_lock_any(fd);
	bool yes = file->links && file->links->w->asleep;

	home_unlock();
	return yes;
}

static void await_asleep(int fd)
{
	for (int i = 0; i < LONG_MS && !sleeps_on(fd); i++)
		usleep(1000);
	assert_true(sleeps_on(fd));
}

/* Closed, shut down and fed by a thread of another home than its own. */
static void others_wake_the_reader(void **state)
{
	struct worker w = { .i = 4, .ep = fds[4] };

	(void)state;
	skip_first_home();
	run_worker(&w, reads_until_closed);
	await_asleep(fds[4]);
	give(4, 1);
	join_worker(&w);
	assert_int_equal(w.got, 1);
	seen[4]++;
	run_worker(&w, reads_until_closed);
	await_asleep(fds[4]);
	assert_int_equal(shutdown(fds[4], SHUT_RD), 0);
	join_worker(&w);
	assert_int_equal(w.got, 0);
	w.ep = fds[5];
	run_worker(&w, reads_until_closed);
	await_asleep(fds[5]);
	close(fds[5]);
	join_worker(&w);
	assert_int_equal(w.got, -1);
	assert_int_equal(w.err, EBADF);
	fds[5] = -1;
}

/* ---- all at once, before any group ---- */

static _Atomic uint32_t finished;

static void *storm(void *arg)
{
	struct worker *w = arg;
	unsigned int seed = (unsigned int)w->i + 1;
	char bytes[32];

	w->ok = true;
	while (w->ok && finished < 5) {
		int i = 6 + rand_r(&seed) % 5;

		if (pthread_mutex_trylock(&reading[i]))
			continue;
		for (int k = 0; k < 20 && w->ok && seen[i] < STORM; k++) {
			ssize_t n = recv(fds[i], bytes, 1 + seed % 32,
					 MSG_DONTWAIT);

			if (n < 0 && errno == EAGAIN)
				break;
			w->ok = n > 0;
			for (ssize_t b = 0; b < n; b++)
				w->ok = w->ok && bytes[b] == (char)seen[i]++;
			finished += seen[i] == STORM;
		}
		pthread_mutex_unlock(&reading[i]);
	}
	return NULL;
}

static void storm_of_moves(void **state)
{
	struct worker w[4] = { { .i = 0 }, { .i = 1 }, { .i = 2 }, { .i = 3 } };
	uint32_t takes = 0;

	(void)state;
	for (int k = 0; k < 4; k++)
		run_worker(&w[k], storm);
	for (uint32_t n = 0; n < STORM; n += 10) {
		for (int i = 6; i < 11; i++)
			give(i, 10);
		usleep(n % 100 ? 0 : 2000);
	}
	for (int k = 0; k < 4; k++)
		join_worker(&w[k]);
	for (int i = 6; i < 11; i++) {
		assert_int_equal(seen[i], STORM);
		takes += wires[i].takes;
	}
	assert_true(takes > 0);
}

/* ---- moves beside sleepers ---- */

#define BESIDE	600

static void *reads_beside(void *arg)
{
	struct worker *w = arg;

	w->ok = read_on(w->i, BESIDE, 1);
	return NULL;
}

/* What a move finds in the ring of the home that it leaves is for those who
 * sleep there; they sleep and wake in two homes while one goes to and fro. */
static void moves_beside_sleepers(void **state)
{
	struct worker w[4] = { { .i = 6 }, { .i = 7 }, { .i = 8 }, { .i = 9 } };
	uint32_t takes = wires[10].takes;

	(void)state;
	for (int k = 0; k < 4; k++) {
		table_at(fds[w[k].i])->moves = 0;
		assert_true(home_move(fds[w[k].i], k % 2 ? 1 : 0));
		table_at(fds[w[k].i])->in_set = true;	/* it stays */
		run_worker(&w[k], reads_beside);
	}
	for (uint32_t n = 0; n < BESIDE; n++) {
		for (int k = 0; k < 4; k++)
			give(w[k].i, 1);
		table_at(fds[10])->moves = 0;
		assert_true(home_move(fds[10], n % 2));
	}
	for (int k = 0; k < 4; k++)
		join_worker(&w[k]);
	assert_true(wires[10].takes >= takes + BESIDE - 1);
}

/* ---- what it costs ---- */

#define CALLS	20000
#define ROUNDS	21

static _Atomic uint32_t ready;

/* Time of a call that finds nothing to read, beside another thread. */
static void *calls(void *arg)
{
	struct worker *w = arg;
	struct timespec a, b;
	char byte;

	w->ok = true;
	ready++;
	while (ready < 2)
		;
	clock_gettime(CLOCK_MONOTONIC, &a);
	for (int k = 0; k < CALLS; k++)
		if (recv(w->ep, &byte, 1, MSG_DONTWAIT) != -1)
			w->ok = false;
	clock_gettime(CLOCK_MONOTONIC, &b);
	w->got = (int)(((double)(b.tv_sec - a.tv_sec) * 1e9 +
			(double)(b.tv_nsec - a.tv_nsec)) / CALLS);
	return NULL;
}

static int both_ns(int i, int k)
{
	struct worker w[2] = { { .ep = fds[i] }, { .ep = fds[k] } };

	ready = 0;
	run_worker(&w[0], calls);
	run_worker(&w[1], calls);
	join_worker(&w[0]);
	join_worker(&w[1]);
	return w[0].got > w[1].got ? w[0].got : w[1].got;
}

/* What has been in a set stays where it is, whoever calls. */
static void pin(int i)
{
	struct epoll_event ev = { .events = EPOLLIN };
	int ep = epoll_create1(0);

	assert_int_equal(epoll_ctl(ep, EPOLL_CTL_ADD, fds[i], &ev), 0);
	close(ep);
}

static int by_value(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

/* Connections of one home, or of two: the middle of many rounds. */
static void contention(void **state)
{
	int one[ROUNDS], two[ROUNDS];

	(void)state;
	pin(0);
	pin(11);
	assert_int_equal(home_of(0), home_of(11));
	assert_false(one_group(home_of(3), home_of(11)));
	for (int k = 0; k < ROUNDS; k++) {
		one[k] = both_ns(0, 11);
		two[k] = both_ns(3, 11);
	}
	qsort(one, ROUNDS, sizeof(int), by_value);
	qsort(two, ROUNDS, sizeof(int), by_value);
	print_message("a call beside another thread's: one home %d ns, a home "
		      "each %d ns\n", one[ROUNDS / 2], two[ROUNDS / 2]);
	assert_true(two[ROUNDS / 4] < 100000);
}

/* ---- what cannot move ---- */

static void *waits_for_both(void *arg)
{
	struct epoll_event ev = { .events = EPOLLIN };
	struct worker *w = arg;
	int ep = epoll_create1(0);

	w->home = home_self();
	w->ok = epoll_ctl(ep, EPOLL_CTL_ADD, fds[0], &ev) == 0;
	w->got = epoll_wait(ep, &ev, 1, LONG_MS);
	close(ep);
	return NULL;
}

/* In sets of two threads: they share a lock then, and both hear of it. */
static void in_two_sets(void **state)
{
	struct epoll_event ev = { .events = EPOLLIN };
	int ep = epoll_create1(0);
	struct worker w = { .home = 0 };

	(void)state;
	skip_first_home();
	assert_int_equal(epoll_ctl(ep, EPOLL_CTL_ADD, fds[0], &ev), 0);
	run_worker(&w, waits_for_both);
	while (!one_group(0, 1))
		usleep(1000);
	usleep(20000);
	give(0, 1);
	assert_int_equal(epoll_wait(ep, &ev, 1, LONG_MS), 1);
	join_worker(&w);
	assert_int_equal(w.got, 1);
	assert_int_equal(w.home, 1);
	assert_false(one_group(0, 2));
	assert_true(read_on(0, 1, 1));
	close(ep);
}

static void *polls_all(void *arg)
{
	struct worker *w = arg;
	struct pollfd p[CONNS + 1];
	nfds_t n = 0;

	for (int i = 0; i < CONNS; i++)
		if (fds[i] >= 0 && i != 4)
			p[n++] = (struct pollfd){ fds[i], POLLIN, 0 };
	p[n++] = (struct pollfd){ listener, POLLIN, 0 };
	w->home = home_self();
	w->got = poll(p, n, LONG_MS);
	w->ok = true;
	return NULL;
}

/* One poll() over all homes' sockets and a listener. */
static void one_poll_for_all(void **state)
{
	struct worker w = { .home = 0 };

	(void)state;
	for (int i = 0; i < CONNS; i += 3) {
		if (fds[i] < 0)
			continue;
		run_worker(&w, polls_all);
		await_asleep(fds[i]);
		give(i, 1);
		join_worker(&w);
		assert_int_equal(w.got, 1);
		assert_true(read_on(i, 1, 1));
	}
}

/* ---- all at once ---- */

#define TURNS	1500

static void read_some(struct worker *w, int i, unsigned int most)
{
	char bytes[64];
	ssize_t n;

	if (pthread_mutex_trylock(&reading[i]))
		return;
	n = recv(fds[i], bytes, 1 + most % sizeof(bytes), MSG_DONTWAIT);
	if (n == 0 || (n < 0 && errno != EAGAIN))
		w->ok = false;
	for (ssize_t b = 0; b < n; b++)
		w->ok = w->ok && bytes[b] == (char)seen[i]++;
	pthread_mutex_unlock(&reading[i]);
}

/* Sets, polls and reads of connections that others have in theirs. */
static void *everything(void *arg)
{
	struct worker *w = arg;
	unsigned int seed = (unsigned int)w->i + 77;
	int ep = epoll_create1(0);

	w->ok = true;
	for (int turns = 0; w->ok && turns < TURNS; turns++) {
		int i = 6 + rand_r(&seed) % 5, k = 6 + rand_r(&seed) % 5;
		struct epoll_event ev = { .events = EPOLLIN };
		struct pollfd p[2] = { { fds[i], POLLIN, 0 },
				       { fds[k], POLLIN, 0 } };

		switch (rand_r(&seed) % 5) {
		case 0:
			epoll_ctl(ep, EPOLL_CTL_ADD, fds[i], &ev);
			break;
		case 1:
			epoll_ctl(ep, EPOLL_CTL_DEL, fds[i], NULL);
			break;
		case 2:
			w->ok = epoll_wait(ep, &ev, 1, turns % 2) >= 0;
			break;
		case 3:
			w->ok = poll(p, 2, turns % 2) >= 0;
			break;
		default:
			read_some(w, i, seed);
		}
	}
	close(ep);
	return NULL;
}

static void everything_at_once(void **state)
{
	struct worker w[4] = { { .i = 0 }, { .i = 1 }, { .i = 2 }, { .i = 3 } };
	char bytes[64];

	(void)state;
	for (int i = 6; i < 11; i++)
		table_at(fds[i])->moves = 0;
	for (int k = 0; k < 4; k++)
		run_worker(&w[k], everything);
	for (int n = 0; n < 300; n++) {
		for (int i = 6; i < 11; i++)
			give(i, 7);
		usleep(500);
	}
	for (int k = 0; k < 4; k++)
		join_worker(&w[k]);
	for (int i = 6; i < 11; i++) {
		ssize_t n;

		while ((n = recv(fds[i], bytes, 64, MSG_DONTWAIT)) > 0)
			for (ssize_t b = 0; b < n; b++)
				assert_int_equal(bytes[b], (char)seen[i]++);
		assert_int_equal(seen[i], wires[i].given);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(few_uses_stay),
		cmocka_unit_test(used_often_moves),
		cmocka_unit_test(set_draws_it),
		cmocka_unit_test(others_wake_the_reader),
		cmocka_unit_test(storm_of_moves),
		cmocka_unit_test(moves_beside_sleepers),
		cmocka_unit_test(contention),
		cmocka_unit_test(in_two_sets),
		cmocka_unit_test(everything_at_once),
		cmocka_unit_test(one_poll_for_all),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
