/*
 * conform - what socket calls do, state by state, as a transcript
 *
 *	conform LISTEN_ADDRESS PEER_ADDRESS PEER_PORT [PART]
 *
 * The same program runs on the kernel and under mtcp-run; the transcripts are
 * compared by sys_conform.sh.  The peer (conform_peer.py) does what the first
 * byte on a connection asks for.
 */
#include "conform.h"


struct sockaddr_in peer;
static int signals;

long say(const char *what, long n)
{
	int err = errno;

	if (n < 0)
		printf("%s: %s\n", what, strerrorname_np(err));
	else
		printf("%s: %ld\n", what, n);
	errno = err;
	return n;
}

void bits(const char *what, int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN | POLLOUT | POLLPRI |
			    POLLRDHUP };
	int n = poll(&p, 1, 0);

	printf("%s: %d%s%s%s%s%s\n", what, n,
	       p.revents & POLLIN ? " IN" : "",
	       p.revents & POLLOUT ? " OUT" : "",
	       p.revents & POLLRDHUP ? " RDHUP" : "",
	       p.revents & POLLHUP ? " HUP" : "",
	       p.revents & POLLERR ? " ERR" : "");
}

void settle(int fd, short events)
{
	struct pollfd p = { .fd = fd, .events = events };

	poll(&p, 1, 3000);
}

int opened(int flags)
{
	int fd = socket(AF_INET, SOCK_STREAM | flags, 0);

	return fd;
}

int joined(char wish)
{
	int fd = opened(0);

	if (connect(fd, (struct sockaddr *)&peer, sizeof(peer)) ||
	    write(fd, &wish, 1) != 1)
		say("connect to the peer", -1);
	return fd;
}

void so_error(const char *what, int fd)
{
	int v = -1;
	socklen_t n = sizeof(v);

	getsockopt(fd, SOL_SOCKET, SO_ERROR, &v, &n);
	printf("%s: SO_ERROR %s\n", what, v ? strerrorname_np(v) : "0");
}

static void fresh(void)
{
	char b[8];
	int fd = opened(0);
	struct sockaddr_in in;
	socklen_t n = sizeof(in);

	signal(SIGPIPE, SIG_IGN);
	bits("fresh poll", fd);
	say("fresh read", read(fd, b, 1));
	say("fresh write", write(fd, b, 1));
	say("fresh shutdown", shutdown(fd, SHUT_WR));
	say("fresh getpeername", getpeername(fd, (struct sockaddr *)&in, &n));
	say("fresh accept", accept(fd, NULL, NULL));
	close(fd);
	say("read after close", read(fd, b, 1));
}

static void echoes(void)
{
	char b[64] = { 0 };
	int fd = joined('e'), n;
	struct iovec v[3] = { { "ab", 2 }, { NULL, 0 }, { "cde", 3 } };

	bits("open poll", fd);
	say("recv DONTWAIT", recv(fd, b, 8, MSG_DONTWAIT));
	say("writev", writev(fd, v, 3));
	settle(fd, POLLIN);
	say("recv WAITALL", recv(fd, b, 5, MSG_WAITALL | MSG_PEEK));
	say("peek", recv(fd, b, 3, MSG_PEEK));
	ioctl(fd, FIONREAD, &n);
	say("FIONREAD", n);
	say("read 0", read(fd, b, 0));
	say("recv WAITALL", recv(fd, b, 5, MSG_WAITALL));
	printf("got %.5s\n", b);
	say("connect again", connect(fd, (struct sockaddr *)&peer,
				     sizeof(peer)));
	say("listen", listen(fd, 5));
	n = dup(fd);
	close(fd);
	say("write to the copy", write(n, "xyz", 3));
	settle(n, POLLIN);
	say("read of the copy", read(n, b, sizeof(b)));
	fcntl(n, F_SETFL, O_NONBLOCK);
	say("O_NONBLOCK read", read(n, b, sizeof(b)));
	say("F_GETFL", fcntl(n, F_GETFL) & (O_NONBLOCK | O_ACCMODE));
	say("write 0", write(n, b, 0));
	say("shutdown WR", shutdown(n, SHUT_WR));
	say("write after", write(n, b, 1));
	settle(n, POLLIN);
	say("read after the peer's end", read(n, b, sizeof(b)));
	bits("both ends said it", n);
	close(n);
}

static void ends(void)
{
	char b[64];
	int fd = joined('c');

	settle(fd, POLLIN);
	bits("peer closed", fd);
	say("read", read(fd, b, 8));
	say("read again", read(fd, b, 8));
	so_error("peer closed", fd);
	close(fd);
	fd = joined('r');
	settle(fd, POLLIN);
	bits("peer reset", fd);
	say("read", read(fd, b, 8));
	say("read again", read(fd, b, 8));
	say("write", write(fd, b, 1));
	so_error("reset", fd);
	bits("after the error", fd);
	close(fd);
	fd = joined('r');
	settle(fd, POLLIN);
	so_error("reset", fd);
	so_error("again", fd);
	say("read", read(fd, b, 8));
	close(fd);
	fd = joined('e');
	say("shutdown RD", shutdown(fd, SHUT_RD));
	say("read", read(fd, b, 8));
	bits("RD shut", fd);
	close(fd);
}

static void refused(void)
{
	struct sockaddr_in in = peer;
	int fd = opened(0);

	in.sin_port = htons(9);
	say("connect refused", connect(fd, (struct sockaddr *)&in,
				       sizeof(in)));
	close(fd);
	fd = opened(SOCK_NONBLOCK);
	say("connect", connect(fd, (struct sockaddr *)&in, sizeof(in)));
	settle(fd, POLLOUT);
	bits("refused poll", fd);
	so_error("refused", fd);
	close(fd);
	fd = opened(SOCK_NONBLOCK);
	say("connect", connect(fd, (struct sockaddr *)&peer, sizeof(peer)));
	settle(fd, POLLOUT);
	bits("connected", fd);
	so_error("connected", fd);
	say("connect again", connect(fd, (struct sockaddr *)&peer,
				     sizeof(peer)));
	close(fd);
}

static void full(void)
{
	static char b[65536];
	int fd = joined('s'), size = 20000;
	long n = 1, total = 0;

	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	fcntl(fd, F_SETFL, O_NONBLOCK);
	for (int i = 0; i < 4000 && n > 0; i++)
		if ((n = write(fd, b, sizeof(b))) > 0)
			total += n;
	say("write to a full socket", n);
	printf("something went: %s\n", total > 0 ? "yes" : "no");
	bits("full", fd);
	close(fd);
}

static void waits(void)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET, .data.u32 = 7 };
	struct timeval tv = { 0, 100000 };
	int fd = joined('e'), ep = epoll_create1(0);
	char b[16];
	fd_set r;

	say("epoll add", epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev));
	say("epoll add again", epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev));
	say("wait, nothing", epoll_wait(ep, &ev, 1, 50));
	write(fd, "abcd", 4);
	say("wait, data", epoll_wait(ep, &ev, 1, 3000));
	say("data", ev.data.u32);
	say("edge: not again", epoll_wait(ep, &ev, 1, 50));
	ev = (struct epoll_event){ .events = EPOLLIN | EPOLLONESHOT };
	say("mod", epoll_ctl(ep, EPOLL_CTL_MOD, fd, &ev));
	say("oneshot", epoll_wait(ep, &ev, 1, 3000));
	say("not again", epoll_wait(ep, &ev, 1, 50));
	ev = (struct epoll_event){ .events = EPOLLIN };
	say("mod", epoll_ctl(ep, EPOLL_CTL_MOD, fd, &ev));
	say("level", epoll_wait(ep, &ev, 1, 3000));
	say("level again", epoll_wait(ep, &ev, 1, 50));
	say("del", epoll_ctl(ep, EPOLL_CTL_DEL, fd, NULL));
	say("del again", epoll_ctl(ep, EPOLL_CTL_DEL, fd, NULL));
	FD_ZERO(&r);
	FD_SET(fd, &r);
	say("select", select(fd + 1, &r, NULL, NULL, &tv));
	say("isset", FD_ISSET(fd, &r) != 0);
	read(fd, b, sizeof(b));
	say("select, nothing", select(fd + 1, &r, NULL, NULL, &tv));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO,
		   &(struct timeval){ 0, 50000 }, sizeof(tv));
	say("SO_RCVTIMEO", read(fd, b, 1));
	close(ep);
	close(fd);
}

static void on_alarm(int sig)
{
	signals += sig == SIGALRM;
}

static void *shut(void *fd)
{
	usleep(100000);
	shutdown(*(int *)fd, SHUT_RDWR);
	return NULL;
}

static void interrupted(void)
{
	struct sigaction sa = { .sa_handler = on_alarm };
	int fd = joined('e');
	pthread_t t;
	char b[4];

	sigaction(SIGALRM, &sa, NULL);
	ualarm(50000, 0);
	say("read and a signal", read(fd, b, 1));
	say("signals", signals);
	pthread_create(&t, NULL, shut, &fd);
	say("read and another thread's shutdown", read(fd, b, 1));
	pthread_join(t, NULL);
	close(fd);
}

static void listens(const char *address)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
				  .sin_port = htons(4567) };
	const int on = 1;
	int fd = opened(SOCK_NONBLOCK), other;
	socklen_t n = sizeof(in);
	char b[4];

	inet_pton(AF_INET, address, &in.sin_addr);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	say("bind", bind(fd, (struct sockaddr *)&in, sizeof(in)));
	say("bind again", bind(fd, (struct sockaddr *)&in, sizeof(in)));
	say("listen", listen(fd, 5));
	say("listen again", listen(fd, 6));
	bits("listening", fd);
	say("accept", accept(fd, NULL, NULL));
	say("read", read(fd, b, 1));
	say("write", write(fd, b, 1));
	say("connect", connect(fd, (struct sockaddr *)&peer, sizeof(peer)));
	memset(&in, 0, sizeof(in));
	say("getsockname", getsockname(fd, (struct sockaddr *)&in, &n));
	printf("port %u, length %u\n", ntohs(in.sin_port), n);
	other = opened(0);
	say("bind another", bind(other, (struct sockaddr *)&in, sizeof(in)));
	close(other);
	close(fd);
}

static void basics(const char *address)
{
	fresh();
	echoes();
	ends();
	refused();
	full();
	waits();
	interrupted();
	listens(address);
}

static const struct {
	const char *name;
	void (*run)(const char *address);
} parts[] = {
	{ "basics", basics }, { "data", conform_data }, { "msg", conform_msg },
	{ "stdio", conform_stdio }, { "wait", conform_wait },
	{ "epoll", conform_epoll }, { "life", conform_life },
	{ "servers", conform_servers }, { "fork", conform_fork },
};

int main(int argc, char **argv)
{
	if (argc < 4)
		return 2;
	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGPIPE, SIG_IGN);
	peer.sin_family = AF_INET;
	peer.sin_port = htons((uint16_t)atoi(argv[3]));
	inet_pton(AF_INET, argv[2], &peer.sin_addr);
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if (argc == 4 || !strcmp(argv[4], parts[i].name))
			parts[i].run(argv[1]);
	return 0;
}
