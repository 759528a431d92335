/*
 * Several messages at a time, files and pipes, streams.
 */
#include "conform.h"

#include <sys/sendfile.h>

static void many(void)
{
	char b[4][4] = { "" };
	struct iovec v[4];
	struct mmsghdr m[4] = { 0 };
	int fd = joined('e');

	for (int i = 0; i < 4; i++) {
		v[i] = (struct iovec){ b[i], 3 };
		m[i].msg_hdr.msg_iov = &v[i];
		m[i].msg_hdr.msg_iovlen = 1;
		memcpy(b[i], "abc", 3);
	}
	say("sendmmsg", sendmmsg(fd, m, 4, 0));
	say("length of the last", m[3].msg_len);
	say("arrived", arrived(fd, 12));
	say("recvmmsg", recvmmsg(fd, m, 2, 0, NULL));
	say("length of the last", m[1].msg_len);
	say("recvmmsg WAITFORONE", recvmmsg(fd, m, 4, MSG_WAITFORONE, NULL));
	say("recvmmsg DONTWAIT", recvmmsg(fd, m, 4, MSG_DONTWAIT, NULL));
	say("recvmmsg, wrong time", recvmmsg(fd, m, 4, 0,
					     &(struct timespec){ -1, 0 }));
	say("recvmmsg of 0", recvmmsg(fd, m, 0, 0, NULL));
	say("sendmmsg of 0", sendmmsg(fd, m, 0, 0));
	shutdown(fd, SHUT_WR);
	say("sendmmsg, shut", sendmmsg(fd, m, 2, MSG_NOSIGNAL));
	settle(fd, POLLIN);
	say("recvmmsg at the end", recvmmsg(fd, m, 2, 0, NULL));
	say("length", m[0].msg_len);
	close(fd);
}

static int temporary(int bytes)
{
	char name[] = "/tmp/conform.XXXXXX";
	int fd = mkstemp(name);

	unlink(name);
	for (int i = 0; i < bytes; i++)
		write(fd, &"0123456789"[i % 10], 1);
	lseek(fd, 0, SEEK_SET);
	return fd;
}

static void files(void)
{
	char b[64] = { 0 };
	int fd = joined('e'), in = temporary(20), p[2];
	off_t at = 5;

	say("sendfile with an offset", sendfile(fd, in, &at, 10));
	say("offset", at);
	say("the file's own", lseek(in, 0, SEEK_CUR));
	say("sendfile without", sendfile(fd, in, NULL, 7));
	say("the file's own", lseek(in, 0, SEEK_CUR));
	say("sendfile past the end", sendfile(fd, in, NULL, 100));
	say("sendfile at the end", sendfile(fd, in, NULL, 100));
	say("sendfile of 0", sendfile(fd, in, NULL, 0));
	say("arrived", arrived(fd, 30));
	say("recv", recv(fd, b, sizeof(b), 0));
	printf("bytes %.30s\n", b);
	say("sendfile out of a socket", sendfile(in, fd, NULL, 1));
	say("sendfile of no file", sendfile(fd, -1, NULL, 1));
	pipe(p);
	shutdown(fd, SHUT_WR);
	signal(SIGPIPE, SIG_IGN);
	say("sendfile, shut", sendfile(fd, in, &(off_t){ 0 }, 5));
	close(p[0]);
	close(p[1]);
	close(in);
	close(fd);
}

static void pipes(void)
{
	char b[64] = { 0 };
	int fd = joined('e'), p[2], other = joined('e');

	pipe(p);
	write(p[1], "from a pipe", 11);
	say("splice into a socket", splice(p[0], NULL, fd, NULL, 100, 0));
	say("arrived", arrived(fd, 11));
	say("splice into a pipe", splice(fd, NULL, p[1], NULL, 4, 0));
	say("left", arrived(fd, 7));
	say("the rest", splice(fd, NULL, p[1], NULL, 4096, 0));
	say("read of the pipe", read(p[0], b, sizeof(b)));
	printf("bytes %.11s\n", b);
	fcntl(fd, F_SETFL, O_NONBLOCK);
	say("splice of nothing", splice(fd, NULL, p[1], NULL, 10,
					SPLICE_F_NONBLOCK));
	say("splice from an empty pipe", splice(p[0], NULL, fd, NULL, 10,
						SPLICE_F_NONBLOCK));
	say("splice of 0", splice(p[0], NULL, fd, NULL, 0, 0));
	say("splice with an offset", splice(p[0], NULL, fd, &(off64_t){ 0 },
					    10, SPLICE_F_NONBLOCK));
	say("splice of two sockets", splice(fd, NULL, other, NULL, 10, 0));
	shutdown(fd, SHUT_WR);
	settle(fd, POLLIN);
	say("splice at the end", splice(fd, NULL, p[1], NULL, 10, 0));
	write(p[1], "x", 1);
	say("splice, shut", splice(p[0], NULL, fd, NULL, 10, 0));
	say("the pipe keeps it", read(p[0], b, sizeof(b)));
	close(p[0]);
	say("splice, no reader", splice(other, NULL, p[1], NULL, 0, 0));
	close(p[1]);
	close(fd);
	close(other);
}

void conform_msg(const char *address)
{
	(void)address;
	many();
	files();
	pipes();
}

static void stream(void)
{
	char line[64] = { 0 };
	int fd = joined('e');
	FILE *in = fdopen(dup(fd), "r"), *out = fdopen(fd, "w");

	say("fileno is the descriptor", fileno(out) == fd);
	say("fprintf", fprintf(out, "%s %d\n", "line", 1));
	say("fputs", fputs("line 2\n", out) >= 0);
	say("fflush", fflush(out));
	say("fgets", fgets(line, sizeof(line), in) != NULL);
	printf("got %s", line);
	say("fscanf", fscanf(in, "%63s", line));
	say("fgetc", fgetc(in));
	say("dprintf", dprintf(fileno(out), "%s %d\n", "a line", 3));
	say("fgets", fgets(line, sizeof(line), in) != NULL);
	say("fgets", fgets(line, sizeof(line), in) != NULL);
	printf("got %s", line);
	shutdown(fileno(out), SHUT_WR);
	errno = 0;
	say("fgetc at the end", fgetc(in));
	say("feof", feof(in) != 0);
	say("fputs, shut", fputs("x", out) >= 0);
	say("fflush, shut", fflush(out));
	say("ferror", ferror(out) != 0);
	say("fclose", fclose(in));
	say("closed", fcntl(fd, F_GETFD) >= 0);
	fclose(out);
	say("closed", fcntl(fd, F_GETFD));
	say("fdopen of a wrong one", fdopen(fd, "r") ? 0 : -1);
}

/* As a child of inetd does: the socket is standard output. */
static void standard(void)
{
	char b[64] = { 0 };
	int fd = joined('e'), keep = dup(1);

	fflush(stdout);
	dup2(fd, 1);
	printf("printed %d\n", 5);
	puts("put");
	fflush(stdout);
	dup2(keep, 1);
	close(keep);
	say("arrived", arrived(fd, 14));
	say("read", read(fd, b, sizeof(b)));
	printf("got %s", b);
	fflush(stdout);
	close(fd);
}

void conform_stdio(const char *address)
{
	(void)address;
	stream();
	standard();
}
