/*
 * passer.c - passer PORT WORKERS BYTES [FORKS]: an echo server whose connections
 *            wander
 *
 *	main: accept --pipe--> worker 0 --pipe--> worker 1 ... --> worker 0
 *
 * Each worker waits in an epoll set of its own.  After BYTES bytes of a
 * connection it takes it out and hands it to the next worker, with whatever has
 * come meanwhile unread.  Every third wandering the next worker reads first and
 * puts it into its set then.  After each FORKS connections main has a child, in
 * the midst of it all, that lets go of everything.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORKERS_MAX	16
#define FDS_MAX		4096

static int in[WORKERS_MAX][2], workers;
static long each;
static struct { long bytes; int turns; } conns[FDS_MAX];

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void hand(int worker, int fd)
{
	if (write(in[worker][1], &fd, sizeof(fd)) != sizeof(fd))
		die("pipe");
}

static int send_all(int fd, const char *b, size_t n)
{
	while (n) {
		ssize_t k = send(fd, b, n, MSG_NOSIGNAL | MSG_DONTWAIT);
		struct pollfd p = { .fd = fd, .events = POLLOUT };

		if (k < 0 && errno != EAGAIN)
			return -1;
		if (k < 0)
			poll(&p, 1, 1000);
		else
			b += k, n -= (size_t)k;
	}
	return 0;
}

/* Once.  0: it is over; 1: go on; 2: time to wander. */
static int echo(int fd)
{
	char b[16384];
	ssize_t n = recv(fd, b, sizeof(b), MSG_DONTWAIT);

	if (n < 0 && errno == EAGAIN)
		return 1;
	if (n <= 0 || send_all(fd, b, (size_t)n))
		return 0;
	conns[fd].bytes += n;
	if (conns[fd].bytes < each)
		return 1;
	conns[fd].bytes = 0;
	conns[fd].turns++;
	return 2;
}

static void adopt(int ep, int from)
{
	struct epoll_event ev = { .events = EPOLLIN };
	int fd;

	if (read(from, &fd, sizeof(fd)) != sizeof(fd))
		die("pipe");
	if (conns[fd].turns % 3 == 2 && !echo(fd)) {
		close(fd);
		return;
	}
	ev.data.fd = fd;
	if (epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev))
		die("epoll_ctl");
}

static void *work(void *arg)
{
	int self = (int)(long)arg, ep = epoll_create1(0), go;
	struct epoll_event ev = { .events = EPOLLIN, .data.fd = -1 };

	if (ep < 0 || epoll_ctl(ep, EPOLL_CTL_ADD, in[self][0], &ev))
		die("epoll");
	for (;;) {
		if (epoll_wait(ep, &ev, 1, -1) != 1)
			continue;
		if (ev.data.fd < 0) {
			adopt(ep, in[self][0]);
			continue;
		}
		go = echo(ev.data.fd);
		if (go == 1)
			continue;
		if (epoll_ctl(ep, EPOLL_CTL_DEL, ev.data.fd, NULL))
			die("epoll_ctl");
		if (go)
			hand((self + 1) % workers, ev.data.fd);
		else
			close(ev.data.fd);
	}
	return NULL;
}

static void have_child(void)
{
	pid_t child = fork();
	int status;

	if (child == 0)
		_exit(0);
	if (child < 0 || waitpid(child, &status, 0) != child || status)
		die("child");
}

int main(int argc, char **argv)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	int l = socket(AF_INET, SOCK_STREAM, 0), fd, forks, n = 0;
	pthread_t t;

	if (argc < 4)
		return 2;
	forks = argc > 4 ? atoi(argv[4]) : 0;
	a.sin_port = htons((uint16_t)atoi(argv[1]));
	workers = atoi(argv[2]);
	each = atol(argv[3]);
	if (workers < 1 || workers > WORKERS_MAX ||
	    bind(l, (struct sockaddr *)&a, sizeof(a)) || listen(l, 64))
		die("listen");
	for (long i = 0; i < workers; i++)
		if (pipe(in[i]) || pthread_create(&t, NULL, work, (void *)i))
			die("worker");
	while ((fd = accept(l, NULL, NULL)) >= 0 && fd < FDS_MAX) {
		memset(&conns[fd], 0, sizeof(conns[fd]));
		hand(fd % workers, fd);
		if (forks && ++n % forks == 0)
			have_child();
	}
	die("accept");
	return 1;
}
