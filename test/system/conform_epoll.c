/*
 * epoll: edges, oneshot, exclusive, sets in sets, copies, ends.
 */
#include "conform.h"

static int set_add(int ep, int fd, uint32_t events, uint32_t data)
{
	struct epoll_event ev = { .events = events, .data.u32 = data };

	return epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);
}

static int set_mod(int ep, int fd, uint32_t events, uint32_t data)
{
	struct epoll_event ev = { .events = events, .data.u32 = data };

	return epoll_ctl(ep, EPOLL_CTL_MOD, fd, &ev);
}

/* All events there are; one line. */
static void events(const char *what, int ep, int timeout)
{
	struct epoll_event ev[8];
	int n = epoll_wait(ep, ev, 8, timeout);

	printf("%s: %d", what, n);
	for (int i = 0; i < n; i++)
		printf(" %u:%x", ev[i].data.u32, ev[i].events);
	printf("\n");
}

static void edges(void)
{
	int fd = joined('e'), ep = epoll_create1(0);
	char b[64];

	say("add, edge", set_add(ep, fd, EPOLLIN | EPOLLOUT | EPOLLET, 1));
	events("writable", ep, 1000);
	events("no change", ep, 50);
	write(fd, "abcdef", 6);
	arrived(fd, 6);
	events("data", ep, 1000);
	read(fd, b, 3);
	events("a part was read", ep, 50);
	write(fd, "gh", 2);
	arrived(fd, 5);
	events("more data", ep, 1000);
	say("mod", set_mod(ep, fd, EPOLLIN | EPOLLET, 2));
	events("mod tells again", ep, 1000);
	events("once", ep, 50);
	read(fd, b, sizeof(b));
	shutdown(fd, SHUT_WR);
	settle(fd, POLLIN);
	events("the end", ep, 1000);
	events("once", ep, 50);
	close(fd);
	events("closed", ep, 0);
	close(ep);
}

static void oneshots(void)
{
	int fd = joined('e'), ep = epoll_create1(0);
	char b[8];

	say("add, oneshot", set_add(ep, fd, EPOLLIN | EPOLLONESHOT, 3));
	write(fd, "ab", 2);
	arrived(fd, 2);
	events("fires", ep, 1000);
	write(fd, "cd", 2);
	arrived(fd, 4);
	events("is off", ep, 50);
	shutdown(fd, SHUT_WR);
	settle(fd, POLLRDHUP);
	events("off for the end too", ep, 50);
	say("mod", set_mod(ep, fd, EPOLLIN | EPOLLRDHUP | EPOLLONESHOT |
			   EPOLLET, 4));
	events("armed again", ep, 1000);
	read(fd, b, sizeof(b));
	events("off", ep, 50);
	close(ep);
	close(fd);
}

static void wrong(void)
{
	volatile int minus = -1;
	int fd = joined('e'), ep = epoll_create1(0), null = open("/dev/null",
								 O_RDWR);
	struct epoll_event ev = { .events = EPOLLIN };

	say("add of a file", set_add(ep, null, EPOLLIN, 0));
	say("add of -1", set_add(ep, -1, EPOLLIN, 0));
	say("add of itself", set_add(ep, ep, EPOLLIN, 0));
	say("add to a socket", set_add(fd, ep, EPOLLIN, 0));
	say("mod of none", set_mod(ep, fd, EPOLLIN, 0));
	say("an unknown operation", epoll_ctl(ep, 9, fd, &ev));
	say("wait for 0", epoll_wait(ep, &ev, 0, 0));
	say("wait for -1", epoll_wait(ep, &ev, minus, 0));
	say("wait on a socket", epoll_wait(fd, &ev, 1, 0));
	say("wait on -1", epoll_wait(-1, &ev, 1, 0));
	say("create of 0", epoll_create(0));
	say("create of a wrong flag", epoll_create1(1));
	close(null);
	close(ep);
	close(fd);
}

static void exclusive(void)
{
	int fd = joined('e'), a = epoll_create1(0), b = epoll_create1(0);

	say("add, exclusive", set_add(a, fd, EPOLLIN | EPOLLEXCLUSIVE, 1));
	say("add to another", set_add(b, fd, EPOLLIN | EPOLLEXCLUSIVE, 2));
	say("add with oneshot", set_add(a, fd, EPOLLIN | EPOLLEXCLUSIVE |
					EPOLLONESHOT, 1));
	say("mod of it", set_mod(a, fd, EPOLLIN, 1));
	say("mod to it", set_mod(a, fd, EPOLLIN | EPOLLEXCLUSIVE, 1));
	write(fd, "x", 1);
	arrived(fd, 1);
	events("one", a, 1000);
	events("the other", b, 1000);
	say("del", epoll_ctl(a, EPOLL_CTL_DEL, fd, NULL));
	say("mod of none", set_mod(a, fd, EPOLLIN | EPOLLEXCLUSIVE, 1));
	close(a);
	close(b);
	close(fd);
}

static void nested(void)
{
	int fd = joined('e'), in = epoll_create1(0), out = epoll_create1(0);
	int p[2];
	char b[8];

	pipe(p);
	say("add a socket", set_add(in, fd, EPOLLIN, 1));
	say("add the set", set_add(out, in, EPOLLIN, 2));
	say("add a loop", set_add(in, out, EPOLLIN, 3));
	events("nothing", out, 50);
	bits("nothing, poll", in);
	write(fd, "x", 1);
	arrived(fd, 1);
	events("outer", out, 1000);
	bits("inner, poll", in);
	bits("outer, poll", out);
	events("inner", in, 1000);
	read(fd, b, 1);
	events("outer, read", out, 50);
	bits("inner, read", in);
	say("add a pipe", set_add(in, p[0], EPOLLIN, 4));
	write(p[1], "x", 1);
	events("outer, pipe", out, 1000);
	write(fd, "x", 1);
	arrived(fd, 1);
	events("outer, both", out, 1000);
	say("poll of the outer", poll(&(struct pollfd){ out, POLLIN, 0 }, 1,
				      1000));
	say("del", epoll_ctl(in, EPOLL_CTL_DEL, p[0], NULL));
	close(fd);
	events("outer, closed", out, 50);
	close(in);
	events("outer, set closed", out, 50);
	close(out);
	close(p[0]);
	close(p[1]);
}

static void *write_later(void *fd)
{
	usleep(100000);
	write(*(int *)fd, "x", 1);
	return NULL;
}

/* Waiting, not only looking. */
static void sleepers(void)
{
	int fd = joined('e'), in = epoll_create1(0), out = epoll_create1(0);
	pthread_t t;
	char b[8];

	set_add(in, fd, EPOLLIN, 1);
	set_add(out, in, EPOLLIN, 2);
	pthread_create(&t, NULL, write_later, &fd);
	events("outer sleeps", out, 3000);
	pthread_join(t, NULL);
	read(fd, b, 1);
	pthread_create(&t, NULL, write_later, &fd);
	say("poll of the set sleeps", poll(&(struct pollfd){ in, POLLIN, 0 },
					   1, 3000));
	pthread_join(t, NULL);
	read(fd, b, 1);
	pthread_create(&t, NULL, write_later, &fd);
	events("inner sleeps", in, 3000);
	pthread_join(t, NULL);
	close(in);
	close(out);
	close(fd);
}

static void copies(void)
{
	int fd = joined('e'), ep = epoll_create1(0), copy = dup(fd), ep2;

	say("add", set_add(ep, fd, EPOLLIN, 1));
	say("add the copy", set_add(ep, copy, EPOLLIN, 2));
	write(fd, "x", 1);
	arrived(fd, 1);
	say("two events", epoll_wait(ep, (struct epoll_event [4]){ 0 }, 4,
				     1000));
	close(copy);
	close(fd);
	events("closed", ep, 50);
	fd = joined('e');
	ep2 = dup(ep);
	say("add by the set's copy", set_add(ep2, fd, EPOLLIN, 5));
	write(fd, "x", 1);
	arrived(fd, 1);
	close(ep);
	events("the set's copy", ep2, 1000);
	close(ep2);
	close(fd);
}

static void states(void)
{
	struct sockaddr_in in = peer;
	int ep = epoll_create1(0), fd = opened(SOCK_NONBLOCK);

	say("add, fresh", set_add(ep, fd, EPOLLIN | EPOLLOUT, 1));
	events("fresh", ep, 0);
	connect(fd, (struct sockaddr *)&peer, sizeof(peer));
	settle(fd, POLLOUT);
	events("connected", ep, 1000);
	write(fd, "r", 1);
	settle(fd, POLLIN);
	events("reset", ep, 1000);
	so_error("reset", fd);
	events("after the error", ep, 1000);
	close(fd);
	fd = opened(SOCK_NONBLOCK);
	in.sin_port = htons(9);
	connect(fd, (struct sockaddr *)&in, sizeof(in));
	say("add, connecting", set_add(ep, fd, EPOLLOUT, 2));
	settle(fd, POLLOUT);
	events("refused", ep, 1000);
	say("add, for nothing", set_mod(ep, fd, 0, 3));
	events("for nothing", ep, 1000);
	close(fd);
	close(ep);
}

void conform_epoll(const char *address)
{
	(void)address;
	edges();
	oneshots();
	wrong();
	exclusive();
	nested();
	sleepers();
	copies();
	states();
}
