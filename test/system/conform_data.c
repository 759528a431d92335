/*
 * Data of an open connection: every call that moves it, and every flag.
 */
#include "conform.h"

#include <limits.h>
#include <linux/sockios.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>

int arrived(int fd, int n)
{
	int have = 0;

	for (int i = 0; i < 300; i++) {
		if (ioctl(fd, FIONREAD, &have) || have >= n)
			break;
		usleep(10000);
	}
	return have;
}

uint16_t port_of(int fd)
{
	struct sockaddr_in in = { 0 };
	socklen_t n = sizeof(in);

	getsockname(fd, (struct sockaddr *)&in, &n);
	return ntohs(in.sin_port);
}

char peer_saw(uint16_t port, long *bytes)
{
	int fd = joined('q');
	unsigned char b[5] = { (unsigned char)(port >> 8),
			       (unsigned char)port };

	*bytes = -1;
	if (write(fd, b, 2) == 2 && recv(fd, b, 5, MSG_WAITALL) == 5)
		*bytes = b[1] << 24 | b[2] << 16 | b[3] << 8 | b[4];
	else
		b[0] = '!';
	close(fd);
	return (char)b[0];
}

int peer_calls(uint16_t port, int count, char how)
{
	int fd = joined('b');
	unsigned char b[4] = { (unsigned char)(port >> 8), (unsigned char)port,
			       (unsigned char)count, (unsigned char)how };
	int got = -1;

	if (write(fd, b, 4) == 4 && read(fd, b, 1) == 1)
		got = b[0];
	close(fd);
	return got;
}

static void flags(void)
{
	char b[64] = { 0 };
	int fd = joined('e'), n = 0;

	write(fd, "0123456789", 10);
	say("arrived", arrived(fd, 10));
	say("PEEK and DONTWAIT", recv(fd, b, 4, MSG_PEEK | MSG_DONTWAIT));
	say("PEEK and TRUNC", recv(fd, b, 4, MSG_PEEK | MSG_TRUNC));
	say("still there", arrived(fd, 10));
	say("TRUNC", recv(fd, NULL, 4, MSG_TRUNC));
	say("TRUNC and DONTWAIT", recv(fd, NULL, 2, MSG_TRUNC | MSG_DONTWAIT));
	say("left", arrived(fd, 4));
	say("WAITALL and DONTWAIT", recv(fd, b, 60, MSG_WAITALL |
					 MSG_DONTWAIT));
	printf("bytes %.4s\n", b);
	say("nothing, PEEK", recv(fd, b, 1, MSG_PEEK | MSG_DONTWAIT));
	say("nothing, TRUNC", recv(fd, NULL, 1, MSG_TRUNC | MSG_DONTWAIT));
	say("recv OOB", recv(fd, b, 1, MSG_OOB));
	say("recv ERRQUEUE", recv(fd, b, 1, MSG_ERRQUEUE));
	say("recv 0, DONTWAIT", recv(fd, b, 0, MSG_DONTWAIT));
	say("send NOSIGNAL", send(fd, "ab", 2, MSG_NOSIGNAL));
	say("send DONTWAIT", send(fd, "cd", 2, MSG_DONTWAIT));
	say("send MORE", send(fd, "ef", 2, MSG_MORE));
	say("send", send(fd, "gh", 2, 0));
	say("arrived", arrived(fd, 8));
	say("recv", recv(fd, b, sizeof(b), 0));
	printf("bytes %.8s\n", b);
	say("send MORE, alone", send(fd, "ij", 2, MSG_MORE));
	say("it comes", arrived(fd, 2));
	getsockopt(fd, IPPROTO_TCP, TCP_CORK, &n, &(socklen_t){ sizeof(n) });
	say("TCP_CORK", n);
	say("recvfrom", recvfrom(fd, b, 8, 0, (struct sockaddr *)&b[16],
				 &(socklen_t){ 16 }));
	say("sendto with an address", sendto(fd, "k", 1, 0,
					     (struct sockaddr *)&peer,
					     sizeof(peer)));
	say("arrived", arrived(fd, 1));
	ioctl(fd, SIOCOUTQ, &n);
	say("SIOCOUTQ, all acknowledged", n);
	close(fd);
}

static void *later(void *fd)
{
	usleep(100000);
	write(*(int *)fd, "defgh", 5);
	return NULL;
}

static void wait_all(void)
{
	char a[4] = { 0 }, b[8] = { 0 };
	struct iovec v[3] = { { a, 2 }, { NULL, 0 }, { b, 6 } };
	struct msghdr m = { .msg_iov = v, .msg_iovlen = 3 };
	int fd = joined('e');
	pthread_t t;

	write(fd, "abc", 3);
	arrived(fd, 3);
	pthread_create(&t, NULL, later, &fd);
	say("recvmsg WAITALL", recvmsg(fd, &m, MSG_WAITALL));
	pthread_join(t, NULL);
	printf("bytes %.2s %.6s, flags %d\n", a, b, m.msg_flags);
	write(fd, "abc", 3);
	arrived(fd, 3);
	m.msg_iovlen = 3;
	say("recvmsg PEEK in pieces", recvmsg(fd, &m, MSG_PEEK));
	printf("bytes %.2s %.1s\n", a, b);
	pthread_create(&t, NULL, later, &fd);
	say("PEEK and WAITALL", recv(fd, b, 8, MSG_PEEK | MSG_WAITALL));
	pthread_join(t, NULL);
	say("left", arrived(fd, 8));
	recv(fd, b, 8, 0);
	write(fd, "abc", 3);
	shutdown(fd, SHUT_WR);
	say("WAITALL before the end", recv(fd, b, 8, MSG_WAITALL));
	say("WAITALL at the end", recv(fd, b, 8, MSG_WAITALL));
	close(fd);
	fd = joined('e');
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO,
		   &(struct timeval){ 0, 50000 }, sizeof(struct timeval));
	write(fd, "abc", 3);
	arrived(fd, 3);
	say("WAITALL and SO_RCVTIMEO", recv(fd, b, 8, MSG_WAITALL));
	say("again", recv(fd, b, 8, MSG_WAITALL));
	close(fd);
}

static void vectors(void)
{
	static struct iovec v[IOV_MAX + 1];
	static char b[IOV_MAX + 1];
	struct iovec huge[2] = { { b, SSIZE_MAX }, { b, SSIZE_MAX } };
	struct msghdr m = { .msg_iov = v, .msg_iovlen = IOV_MAX + 1 };
	volatile int minus = -1;
	int fd = joined('e');

	for (int i = 0; i <= IOV_MAX; i++)
		v[i] = (struct iovec){ b + i, 1 };
	say("writev of 1024", writev(fd, v, IOV_MAX));
	say("writev of 1025", writev(fd, v, IOV_MAX + 1));
	say("writev of -1", writev(fd, v, minus));
	say("writev of 0", writev(fd, v, 0));
	say("writev of too much", writev(fd, huge, 2));
	say("sendmsg of 1025", sendmsg(fd, &m, 0));
	say("recvmsg of 1025", recvmsg(fd, &m, 0));
	say("arrived", arrived(fd, IOV_MAX));
	say("readv of -1", readv(fd, v, minus));
	say("readv of 1025", readv(fd, v, IOV_MAX + 1));
	say("readv of 0", readv(fd, v, 0));
	say("readv of 1024", readv(fd, v, IOV_MAX));
	m.msg_iovlen = 0;
	say("sendmsg of nothing", sendmsg(fd, &m, 0));
	say("recvmsg into nothing", recvmsg(fd, &m, MSG_DONTWAIT));
	say("pread", pread(fd, b, 1, 0));
	say("pwrite", pwrite(fd, b, 1, 0));
	say("lseek", lseek(fd, 0, SEEK_CUR));
	say("pwritev2, no offset", pwritev2(fd, v, 3, -1, 0));
	say("arrived", arrived(fd, 3));
	say("preadv2, no offset", preadv2(fd, v, 3, -1, 0));
	say("preadv2 with one", preadv2(fd, v, 3, 5, 0));
	say("fsync", fsync(fd));
	say("ftruncate", ftruncate(fd, 0));
	say("isatty", isatty(fd));
	close(fd);
}

static void broken(void)
{
	struct sigaction sa = { .sa_handler = SIG_DFL };
	int fd = joined('e');
	sigset_t set, pending;
	char b[4];

	sigemptyset(&set);
	sigaddset(&set, SIGPIPE);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	sigaction(SIGPIPE, &sa, NULL);
	shutdown(fd, SHUT_WR);
	say("send NOSIGNAL, shut", send(fd, b, 1, MSG_NOSIGNAL));
	sigpending(&pending);
	say("SIGPIPE pending", sigismember(&pending, SIGPIPE));
	say("send of 0, shut", send(fd, b, 0, MSG_NOSIGNAL));
	say("write, shut", write(fd, b, 1));
	sigpending(&pending);
	say("SIGPIPE pending", sigismember(&pending, SIGPIPE));
	sigtimedwait(&set, NULL, &(struct timespec){ 0 });
	signal(SIGPIPE, SIG_IGN);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	say("shutdown of 7", shutdown(fd, 7));
	settle(fd, POLLIN);
	say("read", read(fd, b, 1));
	say("read", read(fd, b, 1));
	say("shutdown, both ended", shutdown(fd, SHUT_RDWR));
	close(fd);
}

static void by_number(void)
{
	struct pollfd p = { .events = POLLIN | POLLOUT };
	struct iovec v = { "vec", 3 };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1 };
	char b[8];
	int fd = (int)syscall(SYS_socket, AF_INET, SOCK_STREAM, 0), n;

	say("SYS_connect", syscall(SYS_connect, fd, &peer, sizeof(peer)));
	say("SYS_write", syscall(SYS_write, fd, "e", 1));
	say("SYS_sendto", syscall(SYS_sendto, fd, "abc", 3, 0, NULL, 0));
	say("SYS_sendmsg", syscall(SYS_sendmsg, fd, &m, 0));
	say("SYS_writev", syscall(SYS_writev, fd, &v, 1));
	arrived(fd, 9);
	p.fd = fd;
	say("SYS_ppoll", syscall(SYS_ppoll, &p, 1, NULL, NULL, 8));
	say("revents", p.revents);
	say("SYS_recvfrom", syscall(SYS_recvfrom, fd, b, 3, 0, NULL, NULL));
	v.iov_base = b;
	say("SYS_recvmsg", syscall(SYS_recvmsg, fd, &m, 0));
	say("SYS_readv", syscall(SYS_readv, fd, &v, 1));
	say("SYS_fcntl", syscall(SYS_fcntl, fd, F_SETFL, O_NONBLOCK));
	say("SYS_read", syscall(SYS_read, fd, b, 1));
	say("SYS_ioctl", syscall(SYS_ioctl, fd, FIONREAD, &n));
	say("bytes", n);
	say("SYS_shutdown", syscall(SYS_shutdown, fd, SHUT_WR));
	n = (int)syscall(SYS_dup, fd);
	say("SYS_close", syscall(SYS_close, fd));
	say("the copy", syscall(SYS_write, n, "x", 1));
	say("SYS_close_range", syscall(SYS_close_range, n, n, 0));
	say("closed", syscall(SYS_write, n, "x", 1));
}

void conform_data(const char *address)
{
	(void)address;
	flags();
	wait_all();
	vectors();
	broken();
	by_number();
}
