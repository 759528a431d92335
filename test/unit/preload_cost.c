/* What the POSIX face costs a call: the same work by libmtcpclient's own calls
 * and by libc's names, in turn, in CPU time of this thread, over a daemon of
 * paper that takes none of it.  The least of many rounds counts, for a machine
 * has other things to do; the bounds of every day are loose, MTCPD_FULL=1 asks
 * an optimised build for what is promised. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "client_fake.h"
#include "libclient/preload/preload.h"

#define ROUNDS		200
#define CALLS		200	/* a round */
#define PAIRS		16	/* sockets a round */
#define BYTES		64
#define LIMIT		(1u << 30)

static struct fake f;
static int listener, fd, sock;
static uint32_t cookie, sent;
static char bytes[BYTES];

static double cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SLOWER	20	/* times, with a sanitizer */
#else
#define SLOWER	1
#endif

static bool tight(void)
{
	const char *s = getenv("MTCPD_FULL");

#ifndef __OPTIMIZE__
	s = NULL;
#endif
	return SLOWER == 1 && s && !strcmp(s, "1");
}

/* ---- the daemon's side ---- */

static void accept_event(uint32_t of, uint32_t index)
{
	struct event_socket ev = { .type = EVENT_ACCEPTED, .cookie = of,
				   .sock = handle_make(0, 1, index),
				   .limit = LIMIT };

	fake_socket_event(&f, 0, 0, &ev);
}

static int start(void **state)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	union fake_cmd c;

	(void)state;
	homes_start(1);
	fake_start(&f, NULL);
	a.sin_addr.s_addr = inet_addr("10.99.77.2");
	listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(listener, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(listener, 64), 0);
	assert_int_equal(accept(listener, NULL, NULL), -1);
	assert_true(fake_find(&f, 0, 0, CMD_CREDIT, &c));
	cookie = c.one.credit.cookies[0];
	accept_event(cookie, 1);
	for (uint32_t i = 1; i < c.one.cookie; i++)	/* used below */
		accept_event(c.one.credit.cookies[i], 1 + i);
	fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
	assert_true(fd >= 0);
	sock = table_sock(fd)->sock;
	return 0;
}

static int stop(void **state)
{
	(void)state;
	close(fd);
	close(listener);
	return 0;
}

/* ---- rounds ---- */

static void give_data(void)
{
	for (int i = 0; i < CALLS; i++)
		fake_data(&f, 0, 0, cookie, handle_make(0, 1, 1), bytes,
			  BYTES);
	ctx_progress(home_context(0));
}

static void give_room(void)
{
	struct event ev = { .type = EVENT_SENT, .cookie = cookie,
			    .sock = handle_make(0, 1, 1), .limit = LIMIT };

	ev.acked = sent;
	fake_skip(&f, 0);
	fake_grant(&f, 0, 0, BLOCK_SMALL, CALLS * BYTES / 512 + 2);
	fake_event(&f, 0, 0, &ev);
	ctx_progress(home_context(0));
}

static double library_reads(void)
{
	double t;

	give_data();
	t = cpu_ns();
	for (int i = 0; i < CALLS; i++)
		if (mtcp_read(home_context(0), sock, bytes, BYTES) != BYTES)
			fail();
	t = cpu_ns() - t;
	fake_skip(&f, 0);
	return t / CALLS;
}

static double face_reads(void)
{
	double t;

	give_data();
	t = cpu_ns();
	for (int i = 0; i < CALLS; i++)
		if (read(fd, bytes, BYTES) != BYTES)
			fail();
	t = cpu_ns() - t;
	fake_skip(&f, 0);
	return t / CALLS;
}

static double library_writes(void)
{
	double t;

	give_room();
	t = cpu_ns();
	for (int i = 0; i < CALLS; i++)
		if (mtcp_write(home_context(0), sock, bytes, BYTES) != BYTES)
			fail();
	sent += CALLS * BYTES;
	return (cpu_ns() - t) / CALLS;
}

static double face_writes(void)
{
	double t;

	give_room();
	t = cpu_ns();
	for (int i = 0; i < CALLS; i++)
		if (write(fd, bytes, BYTES) != BYTES)
			fail();
	sent += CALLS * BYTES;
	return (cpu_ns() - t) / CALLS;
}

/* The same of a connection that another process may take at any time, as after
 * fork(), and after exec() of those that did not fork (take.c). */
static double shared(double (*round)(void))
{
	struct conn *c = ctx_conn(home_context(0), sock);
	double t;

	c->listener = CONN_INHERITED;
	t = round();
	c->listener = 0;
	return t;
}

static double shared_reads(void)
{
	return shared(face_reads);
}

static double shared_writes(void)
{
	return shared(face_writes);
}

/* PAIRS connections wait to be accepted. */
static void give_conns(void)
{
	uint32_t i = 0;
	union fake_cmd c;

	while (fake_cmd(&f, 0, 0, &c) != CMD_NONE) {
		struct event ev = { .type = EVENT_CLOSED };

		if (c.one.type == CMD_CLOSE) {
			ev.cookie = c.one.cookie;
			ev.sock = c.one.sock;
			fake_event(&f, 0, 0, &ev);
		}
		for (uint32_t k = 0; c.one.type == CMD_CREDIT &&
				     k < c.one.cookie; k++)
			accept_event(c.one.credit.cookies[k], 2 + i++);
	}
	ctx_progress(home_context(0));
}

static double library_sockets(void)
{
	int l = table_sock(listener)->sock, s, k;
	double t;

	give_conns();
	t = cpu_ns();
	for (int i = 0; i < PAIRS; i++) {
		s = mtcp_accept4(home_context(0), l, NULL, NULL, SOCK_NONBLOCK);
		k = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		if (s < 0 || k < 0)
			fail();
		mtcp_close(home_context(0), s);
		real()->close(k);
	}
	return (cpu_ns() - t) / PAIRS;
}

static double face_sockets(void)
{
	double t;

	give_conns();
	t = cpu_ns();
	for (int i = 0; i < PAIRS; i++) {
		int s = accept4(listener, NULL, NULL, SOCK_NONBLOCK);

		if (s < 0)
			fail();
		close(s);
	}
	return (cpu_ns() - t) / PAIRS;
}

/* ---- what is promised ---- */

static double least(double (*round)(void), double so_far)
{
	double t = round();

	return t < so_far ? t : so_far;
}

static const char *const of_face[] = { "library", "POSIX face" };
static const char *const of_shared[] = { "one process's", "after fork or exec" };

static void compare_two(const char *what, const char *const names[2],
			double (*one)(void), double (*other)(void),
			double most, double loose)
{
	double a = 1e9, b = 1e9;

	for (int i = 0; i < ROUNDS; i++) {
		a = least(one, a);
		b = least(other, b);
	}
	print_message("%s: %s %.0f ns, %s %.0f ns, %.0f more\n", what,
		      names[0], a, names[1], b, b - a);
	if (!tight())
		most = loose * SLOWER;
	if (b - a > most)
		fail_msg("%s: %.0f ns more, not %.0f", what, b - a, most);
}

static void compare(const char *what, double (*library)(void),
		    double (*face)(void), double most, double loose)
{
	compare_two(what, of_face, library, face, most, loose);
}

static void reading(void **state)
{
	(void)state;
	compare("read", library_reads, face_reads, 100, 1000);
}

static void writing(void **state)
{
	(void)state;
	compare("write", library_writes, face_writes, 100, 1000);
}

static void sharing(void **state)
{
	(void)state;
	compare_two("read", of_shared, face_reads, shared_reads, 150, 1500);
	compare_two("write", of_shared, face_writes, shared_writes, 150, 1500);
}

static void sockets(void **state)
{
	(void)state;
	compare("accept and close", library_sockets, face_sockets, 300, 5000);
}

/* ---- how it grows ---- */

/* CPU time of an epoll_wait() that finds nothing, with @n members more. */
static double wait_ns(int ep)
{
	struct epoll_event ev;
	double best = 1e9;

	for (int i = 0; i < 50; i++) {
		double t = cpu_ns();

		for (int k = 0; k < 20; k++)
			if (epoll_wait(ep, &ev, 1, 0))
				fail();
		t = (cpu_ns() - t) / 20;
		best = t < best ? t : best;
	}
	return best;
}

/* Members that have nothing to say cost a wait nothing. */
static void large_sets(void **state)
{
	struct epoll_event ev = { .events = EPOLLIN };
	enum { MANY = 4000 };
	double few, many;
	static int dups[MANY];
	int ep = epoll_create1(0);

	(void)state;
	give_conns();
	assert_int_equal(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev), 0);
	few = wait_ns(ep);
	for (int i = 0; i < MANY; i++) {
		dups[i] = dup(fd);
		if (dups[i] < 0)
			break;
		assert_int_equal(epoll_ctl(ep, EPOLL_CTL_ADD, dups[i], &ev), 0);
	}
	many = wait_ns(ep);
	print_message("epoll_wait: %.0f ns, with %d members more %.0f ns\n",
		      few, MANY, many);
	assert_true(many < few * 4 + 2000);
	for (int i = 0; i < MANY; i++)
		close(dups[i]);
	close(ep);
}

static long resident_kb(void)
{
	FILE *s = fopen("/proc/self/statm", "r");
	long all = 0, pages = 0;

	assert_int_equal(fscanf(s, "%ld %ld", &all, &pages), 2);
	fclose(s);
	return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

/* A million descriptors have a place each, and cost memory where they are. */
static void a_million(void **state)
{
	const int last = (int)PRELOAD_FDS - 1;
	long before = resident_kb();
	struct file *file;

	(void)state;
	assert_true(PRELOAD_FDS >= 1000000);
	home_lock(0);
	file = file_new(last, FILE_STREAM, 0);
	home_unlock();
	assert_non_null(file);
	assert_ptr_equal(table_peek(last), file);
	assert_null(table_peek(last - 1));
	assert_null(table_peek(last + 1));
	assert_true(resident_kb() - before < 1024);
	home_lock(0);
	assert_null(file_new(last + 1, FILE_STREAM, 0));
	file_drop(last);
	home_unlock();
	assert_null(table_peek(last));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sockets),	/* the others skip commands */
		cmocka_unit_test(reading),
		cmocka_unit_test(writing),
		cmocka_unit_test(sharing),
		cmocka_unit_test(large_sets),
		cmocka_unit_test(a_million),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
