/*
 * handler PORT - an echo server by select() whose signal handlers work
 *
 * SIGALRM comes at any moment, SIGPROF while the program runs, so mostly in the
 * middle of a call.  Handlers ask for a connection's name and take memory; that
 * of SIGPROF forks a child and waits for it, as PostgreSQL's of SIGCHLD does:
 * all of which a handler may do where select() is a system call.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROOM	65536

struct conn {
	char bytes[ROOM];
	size_t from, to;
	int end;
};

static struct conn *conns[FD_SETSIZE];
static int some;		/* a connection, for the handler */

static void fail(const char *what)
{
	perror(what);
	abort();
}

static void on_signal(int sig)
{
	struct sockaddr_in a;
	socklen_t len = sizeof(a);
	int saved = errno;
	void *p = malloc(1000);

	if (some > 0 && getpeername(some, (struct sockaddr *)&a, &len) &&
	    errno != ENOTCONN && errno != EBADF)
		fail("getpeername in a handler");
	free(p);
	if (sig == SIGPROF) {
		pid_t pid = fork();

		if (pid == 0)
			_exit(0);
		if (pid > 0 && waitpid(pid, NULL, 0) != pid)
			fail("waitpid in a handler");
	}
	errno = saved;
}

static int listen_at(int port)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
				 .sin_port = htons((unsigned short)port) };
	int l = socket(AF_INET, SOCK_STREAM, 0), on = 1;

	setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(l, (struct sockaddr *)&a, sizeof(a)) || listen(l, 64))
		fail("listen");
	fcntl(l, F_SETFL, O_NONBLOCK);
	return l;
}

static void drop(int fd)
{
	if (some == fd)
		some = 0;
	free(conns[fd]);
	conns[fd] = NULL;
	close(fd);
}

static int not_now(void)
{
	return errno == EAGAIN || errno == EINTR;
}

static void take_new(int l)
{
	int fd = accept4(l, NULL, NULL, SOCK_NONBLOCK);

	if (fd < 0)
		return;
	conns[fd] = calloc(1, sizeof(struct conn));
	some = fd;
}

static void hear(int fd)
{
	struct conn *c = conns[fd];
	ssize_t n = read(fd, c->bytes + c->to, ROOM - c->to);

	if (n > 0)
		c->to += (size_t)n;
	else if (n == 0)
		c->end = 1;
	else if (!not_now())
		drop(fd);
}

static void say(int fd)
{
	struct conn *c = conns[fd];
	ssize_t n = 0;

	if (c->to > c->from)
		n = write(fd, c->bytes + c->from, c->to - c->from);
	if (n < 0 && !not_now()) {
		drop(fd);
		return;
	}
	c->from += n > 0 ? (size_t)n : 0;
	if (c->from == c->to)
		c->from = c->to = 0;
	if (c->end && !c->to)
		drop(fd);
}

static void turn(int l)
{
	fd_set r, w;
	int top = l;

	FD_ZERO(&r);
	FD_ZERO(&w);
	FD_SET(l, &r);
	for (int fd = 0; fd < FD_SETSIZE; fd++) {
		if (!conns[fd])
			continue;
		if (!conns[fd]->end && conns[fd]->to < ROOM)
			FD_SET(fd, &r);
		if (conns[fd]->to > conns[fd]->from || conns[fd]->end)
			FD_SET(fd, &w);
		top = fd > top ? fd : top;
	}
	if (select(top + 1, &r, &w, NULL, NULL) < 0) {
		if (errno != EINTR)
			fail("select");
		return;
	}
	if (FD_ISSET(l, &r))
		take_new(l);
	for (int fd = 0; fd < FD_SETSIZE; fd++) {
		if (fd != l && FD_ISSET(fd, &r) && conns[fd])
			hear(fd);
		if (FD_ISSET(fd, &w) && conns[fd])
			say(fd);
	}
}

int main(int argc, char **argv)
{
	const struct itimerval often = { { 0, 1000 }, { 0, 1000 } };
	const struct sigaction act = { .sa_handler = on_signal,
				       .sa_flags = SA_RESTART };
	int l = listen_at(argc > 1 ? atoi(argv[1]) : 7008);

	sigaction(SIGPROF, &act, NULL);
	signal(SIGALRM, on_signal);
	setitimer(ITIMER_PROF, &often, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
	for (;;)
		turn(l);
}
