/* Event semantics: one bit an entry, level, edge, one-shot, FIN, error,
 * sleeping and waking, pipes, signals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client_kit.h"

#define SOCK	handle_make(1, 1, 5)
#define IN	((uint32_t)MTCP_EPOLLIN)
#define OUT	((uint32_t)MTCP_EPOLLOUT)
#define ERR	((uint32_t)MTCP_EPOLLERR)
#define RDHUP	((uint32_t)MTCP_EPOLLRDHUP)
#define ET	((uint32_t)MTCP_EPOLLET)
#define ONESHOT	((uint32_t)MTCP_EPOLLONESHOT)

static struct fake f;
static mctx_t m;
static int ep;
static struct mtcp_epoll_event evs[16];

static int begin(void **state)
{
	(void)state;
	m = kit_begin(&f);
	ep = mtcp_epoll_create(m, 16);
	assert_int_equal(ep, 0);	/* a set takes an id too */
	return 0;
}

static int end(void **state)
{
	(void)state;
	kit_end(&f, m);
	return 0;
}

static int add(int s, uint32_t events)
{
	struct mtcp_epoll_event ev = { .events = events, .data.sockid = s };

	return mtcp_epoll_ctl(m, ep, MTCP_EPOLL_CTL_ADD, s, &ev);
}

static int mod(int s, uint32_t events)
{
	struct mtcp_epoll_event ev = { .events = events, .data.sockid = s };

	return mtcp_epoll_ctl(m, ep, MTCP_EPOLL_CTL_MOD, s, &ev);
}

static int wait_ev(int timeout)
{
	return mtcp_epoll_wait(m, ep, evs, 16, timeout);
}

static void say(int s, uint8_t type, int error)
{
	struct event ev = { .type = type, .cookie = kit_cookie(m, s) };

	ev.sock = SOCK;
	ev.limit = 1000;
	if (error)
		ev.error = error;
	fake_event(&f, 0, 1, &ev);
}

static int connected(void)
{
	int s = kit_connect(m);

	fake_grant(&f, 0, 1, BLOCK_SMALL, 6);
	kit_connected(&f, m, s, SOCK, 1000);
	return s;
}

static void data(int s, const char *text)
{
	fake_data(&f, 0, 1, kit_cookie(m, s), SOCK, text, (uint16_t)strlen(text));
}

/* b: epwget asserts that events is exactly OUT. */
static void one_bit_an_entry(void **state)
{
	int s = kit_connect(m);

	(void)state;
	add(s, IN | OUT);
	assert_int_equal(wait_ev(0), 0);
	fake_grant(&f, 0, 1, BLOCK_SMALL, 6);
	say(s, EVENT_CONNECTED, 0);
	assert_int_equal(wait_ev(0), 1);
	assert_int_equal(evs[0].events, OUT);
	assert_int_equal(evs[0].data.sockid, s);
	data(s, "x");
	assert_int_equal(wait_ev(0), 2);
	assert_int_equal(evs[0].events, IN);
	assert_int_equal(evs[1].events, OUT);
	/* only room for one: the other is not lost */
	assert_int_equal(mtcp_epoll_wait(m, ep, evs, 1, 0), 1);
	assert_int_equal(evs[0].events, IN);
	/* FIN without RDHUP asked for: IN and nothing else */
	mod(s, IN);
	say(s, EVENT_FIN, 0);
	assert_int_equal(wait_ev(0), 1);
	assert_int_equal(evs[0].events, IN);
}

static void fin_is_rdhup_when_asked(void **state)
{
	int s = connected();
	char buf[8];

	(void)state;
	add(s, IN | RDHUP);
	data(s, "x");
	say(s, EVENT_FIN, 0);
	assert_int_equal(wait_ev(0), 1);
	assert_int_equal(evs[0].events, IN);	/* first what is to be read */
	assert_int_equal(mtcp_read(m, s, buf, 8), 1);
	assert_int_equal(wait_ev(0), 1);
	assert_int_equal(evs[0].events, RDHUP);
	assert_int_equal(mtcp_read(m, s, buf, 8), 0);
}

static void error_comes_unasked(void **state)
{
	int s = connected(), error = 0;
	socklen_t len = sizeof(error);

	(void)state;
	add(s, IN | OUT);
	assert_int_equal(wait_ev(0), 1);
	say(s, EVENT_ERROR, ETIMEDOUT);
	assert_int_equal(wait_ev(0), 1);
	assert_int_equal(evs[0].events, ERR);
	mtcp_getsockopt(m, s, SOL_SOCKET, SO_ERROR, &error, &len);
	assert_int_equal(error, ETIMEDOUT);
	mtcp_close(m, s);
	assert_int_equal(wait_ev(0), 0);
}

static void level_until_read(void **state)
{
	int s = connected();
	char buf[8];

	(void)state;
	add(s, IN);
	data(s, "xy");
	for (int i = 0; i < 3; i++)
		assert_int_equal(wait_ev(0), 1);
	mtcp_read(m, s, buf, 1);
	assert_int_equal(wait_ev(0), 1);
	mtcp_read(m, s, buf, 1);
	assert_int_equal(wait_ev(0), 0);
}

static void edge_once_a_change(void **state)
{
	int s = connected();
	char buf[8];

	(void)state;
	data(s, "a");
	ctx_progress(m);
	add(s, IN | OUT | ET);		/* what holds already is new */
	assert_int_equal(wait_ev(0), 2);
	assert_int_equal(wait_ev(0), 0);
	data(s, "b");
	assert_int_equal(wait_ev(0), 1);
	assert_int_equal(evs[0].events, IN);
	assert_int_equal(wait_ev(0), 0);
	assert_int_equal(mtcp_read(m, s, buf, 8), 2);
	assert_int_equal(wait_ev(0), 0);
	say(s, EVENT_FIN, 0);
	assert_int_equal(wait_ev(0), 1);
	assert_int_equal(wait_ev(0), 0);
	mod(s, IN | ET);
	assert_int_equal(wait_ev(0), 1);
}

/* Edge-triggered, RDHUP came while there was data: told when it is read. */
static void edge_rdhup_after_data(void **state)
{
	int s = connected();
	char buf[8];

	(void)state;
	add(s, IN | RDHUP | ET);
	data(s, "a");
	say(s, EVENT_FIN, 0);
	assert_int_equal(wait_ev(0), 1);
	assert_int_equal(evs[0].events, IN);
	mtcp_read(m, s, buf, 8);
	assert_int_equal(wait_ev(0), 1);
	assert_int_equal(evs[0].events, RDHUP);
	assert_int_equal(wait_ev(0), 0);
}

static void oneshot(void **state)
{
	int s = connected();

	(void)state;
	add(s, IN | ONESHOT);
	data(s, "a");
	assert_int_equal(wait_ev(0), 1);
	data(s, "b");
	assert_int_equal(wait_ev(0), 0);
	mod(s, IN | ONESHOT);
	assert_int_equal(wait_ev(0), 1);
	assert_int_equal(wait_ev(0), 0);
}

static void out_after_limit(void **state)
{
	static char bytes[2000];
	int s = connected();
	struct event ev = { .type = EVENT_SENT, .cookie = kit_cookie(m, s) };
	union fake_cmd c;

	(void)state;
	add(s, OUT);
	assert_int_equal(mtcp_write(m, s, bytes, sizeof(bytes)), 1000);
	assert_int_equal(wait_ev(0), 0);
	assert_true(fake_find(&f, 0, 1, CMD_WANT_SENT, &c));
	ev.sock = SOCK;
	ev.acked = 1000;
	ev.limit = 1000;
	fake_event(&f, 0, 1, &ev);
	fake_grant(&f, 0, 1, BLOCK_SMALL, 6);
	assert_int_equal(wait_ev(0), 1);
	assert_int_equal(evs[0].events, OUT);
}

static void out_after_stock(void **state)
{
	int s = kit_connect(m);
	union fake_cmd c;

	(void)state;
	say(s, EVENT_CONNECTED, 0);
	add(s, OUT | ET);
	assert_int_equal(wait_ev(0), 0);
	assert_true(fake_find(&f, 0, 1, CMD_WANT_BLOCKS, &c));
	fake_grant(&f, 0, 1, BLOCK_LARGE, 1);
	assert_int_equal(wait_ev(0), 1);
	assert_int_equal(evs[0].events, OUT);
}

static void several_sets(void **state)
{
	int s = connected(), t = connected(), other;
	struct mtcp_epoll_event ev = { .events = IN, .data.u64 = 42 };

	(void)state;
	other = mtcp_epoll_create1(m, O_CLOEXEC);
	assert_true(other > 0);
	assert_int_equal(mtcp_epoll_create1(m, 1), -1);
	add(s, IN);
	assert_int_equal(add(s, IN), -1);
	assert_int_equal(errno, EEXIST);
	assert_int_equal(mtcp_epoll_ctl(m, other, MTCP_EPOLL_CTL_ADD, t, &ev),
			 0);
	assert_int_equal(mtcp_epoll_ctl(m, other, MTCP_EPOLL_CTL_MOD, s, &ev),
			 -1);
	assert_int_equal(errno, ENOENT);
	data(t, "x");
	assert_int_equal(wait_ev(0), 0);
	assert_int_equal(mtcp_epoll_wait(m, other, evs, 16, 0), 1);
	assert_int_equal(evs[0].data.u64, 42);
	assert_int_equal(mtcp_close(m, other), 0);
	assert_int_equal(mtcp_epoll_ctl(m, ep, MTCP_EPOLL_CTL_ADD, t, &ev), 0);
	assert_int_equal(mtcp_epoll_ctl(m, ep, MTCP_EPOLL_CTL_DEL, t, NULL), 0);
	assert_int_equal(mtcp_epoll_wait(m, s, evs, 16, 0), -1);
	assert_int_equal(mtcp_epoll_wait(m, ep, evs, 0, 0), -1);
	assert_int_equal(errno, EINVAL);
}

/* Closing a socket that has an event waiting. */
static void close_on_the_list(void **state)
{
	int s[5];

	(void)state;
	for (int i = 0; i < 5; i++) {
		s[i] = connected();
		add(s[i], IN);
		data(s[i], "x");
	}
	ctx_progress(m);
	mtcp_close(m, s[2]);
	mtcp_close(m, s[0]);
	mtcp_close(m, s[4]);
	assert_int_equal(wait_ev(0), 2);
	assert_int_equal(evs[0].data.sockid, s[1]);
	assert_int_equal(evs[1].data.sockid, s[3]);
}

static void *later(void *arg)
{
	usleep(30000);
	data(*(int *)arg, "x");
	return NULL;
}

static void sleeps_and_wakes(void **state)
{
	uint64_t t = now_us();
	int s = connected();
	pthread_t thread;

	(void)state;
	add(s, IN);
	assert_int_equal(wait_ev(20), 0);
	assert_true(now_us() - t >= 20000);
	pthread_create(&thread, NULL, later, &s);
	t = now_us();
	assert_int_equal(wait_ev(5000), 1);
	assert_true(now_us() - t >= 25000 && now_us() - t < 2000000);
	pthread_join(thread, NULL);
}

static void native_loop(void **state)
{
	int s = connected(), fd = mtcp_context_fd(m);
	struct pollfd p = { .fd = fd, .events = POLLIN };

	(void)state;
	assert_true(fd >= 0);
	add(s, IN);
	assert_int_equal(wait_ev(0), 0);
	assert_int_equal(mtcp_context_arm(m), 0);
	assert_int_equal(poll(&p, 1, 0), 0);
	data(s, "x");
	assert_int_equal(poll(&p, 1, 1000), 1);
	assert_int_equal(wait_ev(0), 1);
	data(s, "y");
	assert_int_equal(mtcp_context_arm(m), 1);
	assert_int_equal(poll(&p, 1, 0), 0);	/* drained */
}

static void *write_pipe(void *arg)
{
	usleep(20000);
	assert_int_equal(mtcp_write(m, ((int *)arg)[1], "wake", 4), 4);
	return NULL;
}

static void pipes(void **state)
{
	int p[2], n = 0;
	pthread_t thread;
	char buf[8];

	(void)state;
	assert_int_equal(mtcp_pipe(m, p), 0);
	assert_int_equal(mtcp_read(m, p[0], buf, 8), -1);
	assert_int_equal(errno, EAGAIN);
	add(p[0], IN);
	assert_int_equal(wait_ev(0), 0);
	pthread_create(&thread, NULL, write_pipe, p);
	assert_int_equal(wait_ev(5000), 1);
	assert_int_equal(evs[0].events, IN);
	pthread_join(thread, NULL);
	assert_int_equal(mtcp_read(m, p[0], buf, 8), 4);
	assert_int_equal(wait_ev(0), 0);
	/* by its own thread, until it is full */
	while (mtcp_write(m, p[1], "12345678", 8) == 8)
		n += 8;
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(n, 65536);
	assert_int_equal(wait_ev(0), 1);
	mtcp_close(m, p[1]);
	while (mtcp_read(m, p[0], buf, 7) > 0)
		;
	assert_int_equal(mtcp_read(m, p[0], buf, 8), 0);
	assert_int_equal(wait_ev(0), 1);
	mtcp_close(m, p[0]);
}

static void polling(void **state)
{
	int s = connected(), t = kit_connect(m);
	struct pollfd p[4] = { { .fd = s, .events = POLLIN | POLLOUT },
			       { .fd = t, .events = POLLIN },
			       { .fd = -1 }, { .fd = 150 } };

	(void)state;
	data(s, "x");
	assert_int_equal(mtcp_poll(m, p, 4, 0), 2);
	assert_int_equal(p[0].revents, POLLIN | POLLOUT);
	assert_int_equal(p[1].revents, 0);
	assert_int_equal(p[2].revents, 0);
	assert_int_equal(p[3].revents, POLLNVAL);
	assert_int_equal(mtcp_poll(m, p + 1, 1, 10), 0);
}

static int handled;
static void handler(int signum)
{
	handled += signum == SIGINT;
}

static void *interrupt(void *arg)
{
	usleep(20000);
	pthread_kill(*(pthread_t *)arg, SIGINT);
	return NULL;
}

/* h: the app's handler runs, epoll_wait gives EINTR, then goes on. */
static void sigint(void **state)
{
	pthread_t self = pthread_self(), thread;

	(void)state;
	assert_null(mtcp_register_signal(SIGINT, handler));
	assert_ptr_equal(mtcp_register_signal(SIGINT, handler), handler);
	pthread_create(&thread, NULL, interrupt, &self);
	assert_int_equal(wait_ev(5000), -1);
	assert_int_equal(errno, EINTR);
	assert_int_equal(handled, 1);
	pthread_join(thread, NULL);
	assert_int_equal(wait_ev(0), 0);
	/* another thread's ^C interrupts a context that sleeps */
	pthread_kill(self, SIGINT);
	assert_int_equal(wait_ev(0), -1);
	assert_int_equal(errno, EINTR);
}

/* What the next test runs; stops itself when its handler is in place. */
static _Noreturn void wait_for_sigint(void)
{
	mtcp_register_signal(SIGINT, handler);
	raise(SIGSTOP);
	for (;;)
		pause();
}

/*
 * A second ^C a second later ends the process, whatever it is doing.  The
 * process is a new program: tsan holds signals back in the child of a process
 * with threads.
 */
static void second_sigint_forces(void **state)
{
	int status = 0;
	pid_t pid = fork();

	(void)state;
	if (pid == 0) {
		execl("/proc/self/exe", "client_epoll", "sigint", NULL);
		_exit(127);
	}
	assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
	assert_true(WIFSTOPPED(status));
	kill(pid, SIGCONT);
	kill(pid, SIGINT);
	usleep(200000);
	kill(pid, SIGINT);
	usleep(200000);
	assert_int_equal(waitpid(pid, &status, WNOHANG), 0);
	usleep(1000000);
	kill(pid, SIGINT);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGINT);
}

static void names(void **state)
{
	(void)state;
	assert_string_equal(EventToString(IN), "IN");
	assert_string_equal(EventToString(IN | OUT | ERR), "IN|OUT|ERR");
	assert_string_equal(EventToString(0), "NONE");
	assert_true(strlen(EventToString(~0u)) < 128);
}

#define T(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		T(one_bit_an_entry),
		T(fin_is_rdhup_when_asked),
		T(error_comes_unasked),
		T(level_until_read),
		T(edge_once_a_change),
		T(edge_rdhup_after_data),
		T(oneshot),
		T(out_after_limit),
		T(out_after_stock),
		T(several_sets),
		T(close_on_the_list),
		T(sleeps_and_wakes),
		T(native_loop),
		T(pipes),
		T(polling),
		T(second_sigint_forces),
		T(sigint),
		T(names),
	};

	if (argc > 1 && strcmp(argv[1], "sigint") == 0)
		wait_for_sigint();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
