/*
 * Beginnings and ends: copies, children, linger, connecting again, ranges.
 */
#include "conform.h"

#include <sys/wait.h>

static void dups(void)
{
	int fd = opened(0), copy = dup(fd), third;
	char b[8];

	say("connect by the copy", connect(copy, (struct sockaddr *)&peer,
					   sizeof(peer)));
	say("write by the first", write(fd, "eabc", 4));
	say("arrived at the copy", arrived(copy, 3));
	say("dup2 onto itself", dup2(fd, fd) == fd);
	say("dup3 onto itself", dup3(fd, fd, 0));
	third = fcntl(fd, F_DUPFD, 100);
	say("F_DUPFD", third);
	third = fcntl(fd, F_DUPFD_CLOEXEC, 100);
	say("F_DUPFD_CLOEXEC", third);
	say("its flag", fcntl(third, F_GETFD));
	say("the first one's", fcntl(fd, F_GETFD));
	close(third);
	fcntl(fd, F_SETFL, O_NONBLOCK);
	say("O_NONBLOCK is shared", fcntl(copy, F_GETFL) & O_NONBLOCK);
	say("read by the third", read(100, b, 8));
	say("dup2 over it", dup2(0, 100));
	close(100);
	say("close_range, wrong", close_range(9, 8, 0));
	say("close_range CLOEXEC", close_range((unsigned int)copy,
					       (unsigned int)copy,
					       CLOSE_RANGE_CLOEXEC));
	say("its flag", fcntl(copy, F_GETFD));
	say("close_range", close_range((unsigned int)copy,
				       (unsigned int)copy, 0));
	say("closed", read(copy, b, 1));
	say("the first lives", write(fd, "d", 1));
	say("dup of a closed one", dup(copy));
	say("close", close(fd));
	say("close again", close(fd));
}

/* The peer says when it watches. */
static int followed(void)
{
	int fd = joined('w');
	char b;

	read(fd, &b, 1);
	return fd;
}

static void watched(const char *what, int fd, uint16_t port)
{
	long n;
	char how;

	say(what, close(fd));
	how = peer_saw(port, &n);
	printf("the peer saw %c after %ld\n", how, n);
}

static void lingers(void)
{
	struct linger on = { 1, 0 }, some = { 1, 3 };
	static char b[100000];
	int fd = followed();
	uint16_t port = port_of(fd);

	write(fd, b, sizeof(b));
	watched("close", fd, port);
	fd = followed();
	port = port_of(fd);
	say("SO_LINGER 0", setsockopt(fd, SOL_SOCKET, SO_LINGER, &on,
				      sizeof(on)));
	watched("close", fd, port);
	fd = followed();
	port = port_of(fd);
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &some, sizeof(some));
	write(fd, b, sizeof(b));
	watched("close, SO_LINGER 3", fd, port);
	fd = followed();
	port = port_of(fd);
	shutdown(fd, SHUT_RDWR);
	watched("close, shut", fd, port);
}

static void again(void)
{
	struct sockaddr_in in = peer;
	struct sockaddr none = { .sa_family = AF_UNSPEC };
	socklen_t n = sizeof(in);
	int fd = opened(0);
	char b[4];

	in.sin_port = htons(9);
	say("connect, refused", connect(fd, (struct sockaddr *)&in, n));
	say("the same, refused", connect(fd, (struct sockaddr *)&in, n));
	say("connect elsewhere", connect(fd, (struct sockaddr *)&peer, n));
	say("write", write(fd, "ex", 2));
	say("arrived", arrived(fd, 1));
	say("AF_UNSPEC", connect(fd, &none, sizeof(none)));
	say("getpeername", getpeername(fd, (struct sockaddr *)&in, &n));
	say("read", read(fd, b, 1));
	n = sizeof(in);
	say("connect once more", connect(fd, (struct sockaddr *)&peer, n));
	say("write", write(fd, "ex", 2));
	say("arrived", arrived(fd, 1));
	close(fd);
	fd = opened(SOCK_NONBLOCK);
	in = peer;
	in.sin_port = htons(9);
	say("connect", connect(fd, (struct sockaddr *)&in, n));
	settle(fd, POLLOUT);
	say("second call tells", connect(fd, (struct sockaddr *)&in, n));
	say("third begins anew", connect(fd, (struct sockaddr *)&in, n));
	settle(fd, POLLOUT);
	so_error("it", fd);
	close(fd);
	fd = opened(0);
	say("connect, too short", connect(fd, (struct sockaddr *)&peer, 4));
	say("connect, no address", connect(fd, NULL, 16));
	close(fd);
}

static void fast_open(void)
{
	struct iovec v = { "exy", 3 };
	struct msghdr m = { .msg_name = &peer, .msg_namelen = sizeof(peer),
			    .msg_iov = &v, .msg_iovlen = 1 };
	int fd = opened(0);

	say("sendto, FASTOPEN", sendto(fd, "eabc", 4, MSG_FASTOPEN,
				       (struct sockaddr *)&peer,
				       sizeof(peer)));
	say("arrived", arrived(fd, 3));
	close(fd);
	fd = opened(0);
	say("sendmsg, FASTOPEN", sendmsg(fd, &m, MSG_FASTOPEN));
	say("arrived", arrived(fd, 2));
	close(fd);
	fd = opened(0);
	say("sendto, not connected", sendto(fd, "x", 1, MSG_NOSIGNAL,
					    (struct sockaddr *)&peer,
					    sizeof(peer)));
	close(fd);
}

static void names(void)
{
	struct sockaddr_in in = { 0 };
	socklen_t n = 4;
	int fd = joined('e');
	char b[4];

	say("getpeername, short", getpeername(fd, (struct sockaddr *)&in, &n));
	say("length", n);
	n = sizeof(in);
	say("getpeername", getpeername(fd, (struct sockaddr *)&in, &n));
	say("the peer's port", in.sin_port == peer.sin_port);
	say("getsockname of none", getsockname(fd, NULL, &n));
	write(fd, "x", 1);
	shutdown(fd, SHUT_WR);
	settle(fd, POLLRDHUP);
	say("getpeername, half", getpeername(fd, (struct sockaddr *)&in, &n));
	close(fd);
	fd = joined('r');
	settle(fd, POLLIN);
	say("getpeername, reset", getpeername(fd, (struct sockaddr *)&in,
					      &n));
	n = sizeof(in);
	say("getsockname, reset", getsockname(fd, (struct sockaddr *)&in,
					      &n));
	say("shutdown, reset", shutdown(fd, SHUT_RDWR));
	say("read", read(fd, b, 1));
	close(fd);
}

static void child_writes(void)
{
	int fd = joined('e'), status = 0;
	char b[16] = { 0 };
	pid_t pid = fork();

	if (!pid) {
		_exit(write(fd, "child", 5) == 5 ? 0 : 1);
	}
	waitpid(pid, &status, 0);
	say("the child wrote", WEXITSTATUS(status));
	say("arrived", arrived(fd, 5));
	say("read", read(fd, b, sizeof(b)));
	printf("got %s\n", b);
	say("write", write(fd, "parent", 6));
	say("arrived", arrived(fd, 6));
	close(fd);
}

static void child_reads(void)
{
	int fd = joined('e'), status = 0;
	char b[16] = { 0 };
	pid_t pid;

	write(fd, "before", 6);
	arrived(fd, 6);
	pid = fork();
	if (!pid) {
		int n = (int)recv(fd, b, 6, MSG_WAITALL);

		write(fd, "after", 5);
		_exit(n == 6 && !memcmp(b, "before", 6) ? 0 : 1);
	}
	close(fd);
	waitpid(pid, &status, 0);
	say("the child read and wrote", WEXITSTATUS(status));
}

void conform_life(const char *address)
{
	(void)address;
	dups();
	lingers();
	again();
	names();
	fast_open();
}

void conform_fork(const char *address)
{
	(void)address;
	child_writes();
	child_reads();
}
