/*
 * Listeners: the queue, its limit, what is inherited, what ends it.
 */
#include "conform.h"

#include <sys/resource.h>
#include <sys/wait.h>

static int listener(const char *address, uint16_t port, int backlog, int flags)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
				  .sin_port = htons(port) };
	const int on = 1;
	int fd = opened(flags);

	inet_pton(AF_INET, address, &in.sin_addr);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&in, sizeof(in)) ||
	    listen(fd, backlog))
		say("listener", -1);
	return fd;
}

static int taken(int fd, int flags)
{
	poll(&(struct pollfd){ fd, POLLIN, 0 }, 1, 1000);
	return accept4(fd, NULL, NULL, flags);
}

static void accepts(const char *address)
{
	struct sockaddr_in in = { 0 };
	socklen_t n = sizeof(in);
	int fd = listener(address, 4601, 8, 0), c, v = 0;
	char b[8] = { 0 };

	say("calls", peer_calls(4601, 3, 'h'));
	settle(fd, POLLIN);
	bits("someone waits", fd);
	c = accept4(fd, (struct sockaddr *)&in, &n, SOCK_NONBLOCK |
		    SOCK_CLOEXEC);
	say("accept4", c >= 0);
	printf("length %u, the peer's address %d\n", n,
	       in.sin_addr.s_addr == peer.sin_addr.s_addr);
	say("F_GETFL", fcntl(c, F_GETFL) & O_NONBLOCK);
	say("F_GETFD", fcntl(c, F_GETFD));
	settle(c, POLLRDHUP);
	say("read", read(c, b, 8));
	say("read", read(c, b, 8));
	close(c);
	say("accept4, wrong flags", accept4(fd, NULL, NULL, 1));
	fcntl(fd, F_SETFL, O_NONBLOCK);
	c = taken(fd, 0);
	say("O_NONBLOCK is not inherited", fcntl(c, F_GETFL) & O_NONBLOCK);
	n = sizeof(v);
	say("SO_ACCEPTCONN", getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &v,
					&n));
	say("of the listener", v);
	getsockopt(c, SOL_SOCKET, SO_ACCEPTCONN, &v, &n);
	say("of the connection", v);
	say("accept of a connection", accept(c, NULL, NULL));
	say("listen of a connection", listen(c, 1));
	close(c);
	n = 4;
	settle(fd, POLLIN);
	c = accept(fd, (struct sockaddr *)&in, &n);
	say("accept, short address", c >= 0);
	say("length", n);
	close(c);
	say("accept, none", accept(fd, NULL, NULL));
	bits("nobody waits", fd);
	ioctl(fd, FIONREAD, &v) ? say("FIONREAD", -1) : say("FIONREAD", v);
	close(fd);
}

static void inherits(const char *address)
{
	struct timeval tv = { 1, 0 };
	int fd = listener(address, 4602, 8, 0), c, on = 1, v = 0;
	socklen_t n = sizeof(v), m = sizeof(tv);

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	peer_calls(4602, 1, 'k');
	c = taken(fd, 0);
	getsockopt(c, IPPROTO_TCP, TCP_NODELAY, &v, &n);
	say("TCP_NODELAY", v);
	getsockopt(c, SOL_SOCKET, SO_KEEPALIVE, &v, &n);
	say("SO_KEEPALIVE", v);
	tv.tv_sec = 0;
	getsockopt(c, SOL_SOCKET, SO_RCVTIMEO, &tv, &m);
	say("SO_RCVTIMEO", tv.tv_sec);
	getsockopt(c, SOL_SOCKET, SO_TYPE, &v, &n);
	say("SO_TYPE", v);
	say("port", port_of(c));
	bits("accepted", c);
	close(c);
	tv.tv_sec = 0;
	tv.tv_usec = 50000;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	say("accept and SO_RCVTIMEO", accept(fd, NULL, NULL));
	close(fd);
}

static void no_descriptors(const char *address)
{
	struct rlimit old, few;
	int fd = listener(address, 4603, 8, SOCK_NONBLOCK), c;

	peer_calls(4603, 1, 'k');
	settle(fd, POLLIN);
	getrlimit(RLIMIT_NOFILE, &old);
	c = dup(fd);
	close(c);
	few = (struct rlimit){ (rlim_t)c, old.rlim_max };
	setrlimit(RLIMIT_NOFILE, &few);
	say("accept without a descriptor", accept(fd, NULL, NULL));
	bits("it stays in the queue", fd);
	setrlimit(RLIMIT_NOFILE, &old);
	c = accept(fd, NULL, NULL);
	say("accept", c >= 0);
	close(c);
	close(fd);
}

static void ended(const char *address)
{
	int fd = listener(address, 4604, 8, SOCK_NONBLOCK), c;
	char b[8];

	say("calls", peer_calls(4604, 1, 'r'));
	settle(fd, POLLIN);
	c = accept(fd, NULL, NULL);
	if (c >= 0) {
		settle(c, POLLHUP);
		bits("reset in the queue", c);
		say("read", read(c, b, 1));
		close(c);
	}
	say("calls", peer_calls(4604, 1, 'c'));
	c = taken(fd, 0);
	say("read, closed in the queue", read(c, b, 1));
	close(c);
	say("calls", peer_calls(4604, 1, 'k'));
	c = taken(fd, 0);
	close(fd);
	say("calls, closed", peer_calls(4604, 1, 'k'));
	say("the connection lives", write(c, "x", 1));
	say("arrived", arrived(c, 1));
	close(c);
}

static void *shut_later(void *fd)
{
	usleep(100000);
	shutdown(*(int *)fd, SHUT_RDWR);
	return NULL;
}

static void stops(const char *address)
{
	int fd = listener(address, 4605, 8, 0), ep = epoll_create1(0);
	struct epoll_event ev = { .events = EPOLLIN };
	pthread_t t;

	epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);
	say("shutdown WR of a listener", shutdown(fd, SHUT_WR));
	say("calls", peer_calls(4605, 1, 'c'));
	close(taken(fd, 0));
	pthread_create(&t, NULL, shut_later, &fd);
	say("accept and another thread's shutdown", accept(fd, NULL, NULL));
	pthread_join(t, NULL);
	say("calls", peer_calls(4605, 1, 'c'));
	bits("shut", fd);
	say("epoll", epoll_wait(ep, &ev, 1, 1000));
	say("accept", accept(fd, NULL, NULL));
	say("listen once more", listen(fd, 8));
	say("calls", peer_calls(4605, 1, 'c'));
	close(taken(fd, 0));
	close(ep);
	close(fd);
}

static void two_of_a_port(const char *address)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
				  .sin_port = htons(4606) };
	const int on = 1;
	int fd[2], got = 0;

	inet_pton(AF_INET, address, &in.sin_addr);
	for (int i = 0; i < 2; i++) {
		fd[i] = opened(SOCK_NONBLOCK);
		say("SO_REUSEPORT", setsockopt(fd[i], SOL_SOCKET, SO_REUSEPORT,
					       &on, sizeof(on)));
		say("bind", bind(fd[i], (struct sockaddr *)&in, sizeof(in)));
		say("listen", listen(fd[i], 64));
	}
	say("calls", peer_calls(4606, 16, 'k'));
	for (int i = 0; i < 32 && got < 16; i++) {
		int c;

		poll((struct pollfd [2]){ { fd[0], POLLIN, 0 },
		     { fd[1], POLLIN, 0 } }, 2, 1000);
		for (int k = 0; k < 2; k++)
			if ((c = accept(fd[k], NULL, NULL)) >= 0) {
				got++;
				close(c);
			}
	}
	say("all are accepted", got);
	close(fd[0]);
	say("calls, one left", peer_calls(4606, 4, 'k'));
	for (got = 0; got < 4; got++) {
		int c = taken(fd[1], 0);

		if (c < 0)
			break;
		close(c);
	}
	say("accepted", got);
	close(fd[1]);
}

static void by_child(const char *address)
{
	int fd = listener(address, 4607, 8, 0), status = 0;
	pid_t pid = fork();

	if (!pid) {
		int c = accept(fd, NULL, NULL);
		char b[4] = { 0 };

		_exit(read(c, b, 2) == 2 && !memcmp(b, "hi", 2) ? 0 : 1);
	}
	say("calls", peer_calls(4607, 1, 'h'));
	waitpid(pid, &status, 0);
	say("the child accepted", WEXITSTATUS(status));
	/* One that comes before mtcpd heard of the child's end is lost. */
	for (int i = 0; i < 5 && status < 3; i++) {
		peer_calls(4607, 1, 'h');
		if (poll(&(struct pollfd){ fd, POLLIN, 0 }, 1, 1000) == 1)
			status = accept(fd, NULL, NULL);
	}
	say("so does the parent", status >= 3);
	close(status);
	close(fd);
}

static void backlogs(const char *address)
{
	int fd = listener(address, 4608, 2, SOCK_NONBLOCK), n = 0, c;

	n = peer_calls(4608, 5, 'k');
	printf("backlog of 2: some get in %d, some do not %d\n", n >= 2,
	       n < 5);
	for (n = 0; n < 5 && (c = taken(fd, 0)) >= 0; n++)
		close(c);
	say("accepted some", n >= 2);
	say("calls, room again", peer_calls(4608, 1, 'k'));
	close(fd);
	fd = listener(address, 0, -1, 0);
	say("listen with -1, a port", port_of(fd) > 0);
	say("calls", peer_calls(port_of(fd), 1, 'k'));
	close(fd);
}

void conform_servers(const char *address)
{
	accepts(address);
	inherits(address);
	no_descriptors(address);
	ended(address);
	stops(address);
	two_of_a_port(address);
	by_child(address);
	backlogs(address);
}
