/*
 * poll, select, signals and times.
 */
#include "conform.h"

static volatile sig_atomic_t hits;

static void on_signal(int sig)
{
	hits += sig == SIGUSR1 || sig == SIGALRM;
}

static void handler(int sig, int flags)
{
	struct sigaction sa = { .sa_handler = on_signal, .sa_flags = flags };

	hits = 0;
	sigaction(sig, &sa, NULL);
}

static void several(void)
{
	int fd = joined('e'), other = joined('c'), p[2];
	struct pollfd v[5];

	pipe(p);
	settle(other, POLLIN);
	v[0] = (struct pollfd){ fd, POLLIN, 0 };
	v[1] = (struct pollfd){ p[0], POLLIN, 0 };
	v[2] = (struct pollfd){ -1, POLLIN, 0 };
	v[3] = (struct pollfd){ other, POLLIN | POLLRDHUP, 0 };
	v[4] = (struct pollfd){ 999, POLLIN, 0 };
	say("poll of five", poll(v, 5, 0));
	for (int i = 0; i < 5; i++)
		say("revents", v[i].revents);
	write(p[1], "x", 1);
	say("poll of two", poll(v, 2, 3000));
	say("revents", v[1].revents);
	write(fd, "y", 1);
	arrived(fd, 1);
	say("poll of two", poll(v, 2, 3000));
	say("poll for nothing", poll(&(struct pollfd){ fd, 0, 0 }, 1, 0));
	say("poll RDNORM", poll(&(struct pollfd){ fd, POLLRDNORM, 0 }, 1, 0));
	say("poll WRBAND", poll(&(struct pollfd){ fd, POLLWRBAND, 0 }, 1, 0));
	say("poll PRI", poll(&(struct pollfd){ fd, POLLPRI, 0 }, 1, 0));
	say("the same twice", poll((struct pollfd [2]){ { fd, POLLIN, 0 },
				   { fd, POLLOUT, 0 } }, 2, 0));
	close(fd);
	close(other);
	close(p[0]);
	close(p[1]);
}

static void selects(void)
{
	int fd = joined('e'), p[2];
	fd_set r, w, e;

	pipe(p);
	FD_ZERO(&r);
	FD_ZERO(&e);
	FD_SET(fd, &r);
	FD_SET(p[0], &r);
	FD_SET(fd, &e);
	w = r;
	FD_CLR(p[0], &w);
	FD_SET(p[1], &w);
	say("select of three sets", select(64, &r, &w, &e, NULL));
	say("readable", FD_ISSET(fd, &r) || FD_ISSET(p[0], &r));
	say("writable", FD_ISSET(fd, &w) && FD_ISSET(p[1], &w));
	FD_ZERO(&r);
	FD_SET(fd, &r);
	FD_SET(p[0], &r);
	write(p[1], "x", 1);
	say("select", select(64, &r, NULL, NULL,
			     &(struct timeval){ 3, 0 }));
	say("the pipe's", FD_ISSET(p[0], &r) && !FD_ISSET(fd, &r));
	FD_ZERO(&r);
	FD_SET(fd, &r);
	FD_SET(50, &r);
	say("select of a closed one", select(51, &r, NULL, NULL,
					     &(struct timeval){ 0, 0 }));
	FD_ZERO(&r);
	FD_SET(fd, &r);
	say("select, nfds too small", select(fd, &r, NULL, NULL,
					     &(struct timeval){ 0, 0 }));
	say("select of -1", select(-1, &r, NULL, NULL, NULL));
	shutdown(fd, SHUT_WR);
	FD_ZERO(&r);
	FD_SET(fd, &r);
	say("select at the end", select(fd + 1, &r, NULL, NULL,
					&(struct timeval){ 3, 0 }));
	close(fd);
	close(p[0]);
	close(p[1]);
}

static void masks(void)
{
	struct pollfd p = { .fd = joined('e'), .events = POLLIN };
	struct timespec ts = { 0, 100000000 }, none = { 0 };
	struct epoll_event ev = { .events = EPOLLIN };
	int ep = epoll_create1(0);
	sigset_t set, empty;
	fd_set r;

	handler(SIGUSR1, SA_RESTART);
	sigemptyset(&empty);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	epoll_ctl(ep, EPOLL_CTL_ADD, p.fd, &ev);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	raise(SIGUSR1);
	say("ppoll, blocked", ppoll(&p, 1, &ts, NULL));
	say("hits", hits);
	say("ppoll, unblocked", ppoll(&p, 1, &ts, &empty));
	say("hits", hits);
	raise(SIGUSR1);
	say("ppoll without waiting", ppoll(&p, 1, &none, &empty));
	say("hits", hits);
	raise(SIGUSR1);
	FD_ZERO(&r);
	FD_SET(p.fd, &r);
	say("pselect", pselect(p.fd + 1, &r, NULL, NULL, &ts, &empty));
	say("hits", hits);
	raise(SIGUSR1);
	say("epoll_pwait", epoll_pwait(ep, &ev, 1, 100, &empty));
	say("hits", hits);
	raise(SIGUSR1);
	say("epoll_pwait without waiting", epoll_pwait(ep, &ev, 1, 0, &empty));
	say("hits", hits);
	write(p.fd, "x", 1);
	arrived(p.fd, 1);
	say("ppoll, ready and blocked", ppoll(&p, 1, &ts, &set));
	say("ppoll, ready", ppoll(&p, 1, &ts, &empty));
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	close(ep);
	close(p.fd);
}

static void timer(long us)
{
	ualarm((useconds_t)us, 0);
}

static void interruptions(void)
{
	struct timeval tv = { 0, 200000 };
	struct pollfd p;
	char b[4];
	int fd = joined('e');

	handler(SIGALRM, 0);
	timer(50000);
	say("recv, no restart", recv(fd, b, 1, 0));
	say("hits", hits);
	timer(50000);
	say("WAITALL, no restart", recv(fd, b, 4, MSG_WAITALL));
	p = (struct pollfd){ fd, POLLIN, 0 };
	timer(50000);
	say("poll", poll(&p, 1, 3000));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	handler(SIGALRM, SA_RESTART);
	timer(50000);
	say("recv with SO_RCVTIMEO", recv(fd, b, 1, 0));
	timer(50000);
	say("poll, restart", poll(&p, 1, 3000));
	close(fd);
	fd = joined('e');
	write(fd, "z", 1);
	arrived(fd, 1);
	recv(fd, b, 1, 0);
	hits = 0;
	timer(50000);
	tv.tv_usec = 0;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	signal(SIGALRM, SIG_DFL);
	handler(SIGALRM, SA_RESTART);
	close(fd);
}

static void timeouts(void)
{
	struct timeval tv = { 0, 1000000 };
	int fd = joined('s'), size = 4096;
	socklen_t n = sizeof(tv);
	static char b[1 << 20];
	long total = 0, k;

	say("SO_RCVTIMEO out of range", setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO,
						   &tv, sizeof(tv)));
	say("SO_RCVTIMEO too short", setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO,
						&tv, 4));
	tv.tv_usec = 80000;
	say("SO_SNDTIMEO", setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv,
				      sizeof(tv)));
	tv.tv_usec = 0;
	say("its value", getsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, &n));
	say("usec", tv.tv_usec);
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	for (int i = 0; i < 100; i++) {
		k = write(fd, b, sizeof(b));
		if (k < 0)
			break;
		total += k;
	}
	say("write after SO_SNDTIMEO", k);
	say("something went", total > 0);
	close(fd);
}

static void low_water(void)
{
	int fd = joined('e'), low = 4;
	char b[8];

	say("SO_RCVLOWAT", setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &low,
				      sizeof(low)));
	write(fd, "ab", 2);
	arrived(fd, 2);
	bits("below it", fd);
	say("recv DONTWAIT", recv(fd, b, 1, MSG_DONTWAIT));
	write(fd, "cde", 3);
	arrived(fd, 4);
	bits("at it", fd);
	say("recv", recv(fd, b, sizeof(b), 0));
	close(fd);
}

void conform_wait(const char *address)
{
	(void)address;
	several();
	selects();
	masks();
	interruptions();
	timeouts();
	low_water();
}
