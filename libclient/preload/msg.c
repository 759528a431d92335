#include "libclient/preload/preload.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <unistd.h>

/*
 * What is made of the calls of io.c: several messages at a time, files and
 * pipes, which are copied, since no page of theirs can go to mtcpd.
 */

#define PUBLIC	__attribute__((visibility("default")))
#define COPY	65536u		/* bytes at a time */

static int fail(int err)
{
	errno = err;
	return -1;
}

/* The descriptors of SCM_RIGHTS: mtcpd's cannot go to another process. */
bool passes_ours(const struct msghdr *m)
{
	struct cmsghdr *h;
	int fd;

	for (h = CMSG_FIRSTHDR(m); h;
	     h = CMSG_NXTHDR((struct msghdr *)(uintptr_t)m, h)) {
		if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t at = CMSG_LEN(0); at + sizeof(fd) <= h->cmsg_len;
		     at += sizeof(fd)) {
			memcpy(&fd, (const char *)h + at, sizeof(fd));
			if (table_sock(fd))
				return true;
		}
	}
	return false;
}

PUBLIC int sendmmsg(int fd, struct mmsghdr *m, unsigned int n, int flags)
{
	unsigned int i;

	if (n > IOV_MAX)
		n = IOV_MAX;
	if (!table_sock(fd))
		return real()->sendmmsg(fd, m, n, flags);
	for (i = 0; i < n; i++) {
		ssize_t k = sendmsg(fd, &m[i].msg_hdr, flags);

		if (k < 0)
			return i ? (int)i : -1;
		m[i].msg_len = (unsigned int)k;
	}
	return (int)i;
}

static uint64_t end_of(const struct timespec *ts)
{
	return ts ? now_us() + (uint64_t)ts->tv_sec * 1000000u +
		    (uint64_t)ts->tv_nsec / 1000u : FOREVER;
}

/* As the kernel: the time is looked at after each message only. */
static int take_many(int fd, struct mmsghdr *m, unsigned int n, int flags,
		     const struct timespec *ts)
{
	uint64_t until = end_of(ts);
	unsigned int i;

	for (i = 0; i < n; i++) {
		ssize_t k = recvmsg(fd, &m[i].msg_hdr,
				    flags & ~MSG_WAITFORONE);

		if (k < 0)
			return i ? (int)i : -1;
		m[i].msg_len = (unsigned int)k;
		if (flags & MSG_WAITFORONE)
			flags |= MSG_DONTWAIT;
		if (until != FOREVER && now_us() >= until)
			return (int)i + 1;
	}
	return (int)i;
}

PUBLIC int recvmmsg(int fd, struct mmsghdr *m, unsigned int n, int flags,
		    struct timespec *ts)
{
	if (!table_sock(fd))
		return real()->recvmmsg(fd, m, n, flags, ts);
	if (ts && (ts->tv_sec < 0 || ts->tv_nsec < 0 ||
		   ts->tv_nsec >= 1000000000))
		return fail(EINVAL);
	return take_many(fd, m, n < IOV_MAX ? n : IOV_MAX, flags, ts);
}

/* With an offset it is a file's call, which a socket refuses. */
PUBLIC ssize_t preadv2(int fd, const struct iovec *iov, int count, off_t at,
		       int flags)
{
	if (!table_sock(fd) || at != -1)
		return real()->preadv2(fd, iov, count, at, flags);
	if (flags)
		return fail(EOPNOTSUPP);
	return readv(fd, iov, count);
}

PUBLIC ssize_t preadv64v2(int fd, const struct iovec *iov, int count,
			  off_t at, int flags)
{
	return preadv2(fd, iov, count, at, flags);
}

PUBLIC ssize_t pwritev2(int fd, const struct iovec *iov, int count, off_t at,
			int flags)
{
	if (!table_sock(fd) || at != -1)
		return real()->pwritev2(fd, iov, count, at, flags);
	if (flags)
		return fail(EOPNOTSUPP);
	return writev(fd, iov, count);
}

PUBLIC ssize_t pwritev64v2(int fd, const struct iovec *iov, int count,
			   off_t at, int flags)
{
	return pwritev2(fd, iov, count, at, flags);
}

/* ---- files ---- */

/* As much of @in as the socket takes; the lock is not held. */
static ssize_t copy_file(int out, int in, off_t *offset, size_t count)
{
	char *buf = malloc(COPY);
	ssize_t done = 0, n, k = 0;

	if (!buf)
		return -1;
	while ((size_t)done < count) {
		size_t want = count - (size_t)done < COPY ?
			      count - (size_t)done : COPY;

		n = offset ? pread(in, buf, want, *offset) :
			     real()->read(in, buf, want);
		if (n <= 0) {
			k = n;
			break;
		}
		k = write(out, buf, (size_t)n);
		if (k > 0)
			done += k;
		if (k > 0 && offset)
			*offset += k;
		if (!offset && k < n)	/* what was not sent stays unread */
			lseek(in, (k > 0 ? k : 0) - n, SEEK_CUR);
		if (k < n)
			break;
	}
	free(buf);
	return done || k >= 0 ? done : -1;
}

PUBLIC ssize_t sendfile(int out, int in, off_t *offset, size_t count)
{
	return table_sock(out) ? copy_file(out, in, offset, count) :
				 real()->sendfile(out, in, offset, count);
}

PUBLIC ssize_t sendfile64(int out, int in, off_t *offset, size_t count)
{
	return sendfile(out, in, offset, count);
}

/* ---- splice, by copy ---- */

static bool is_pipe(int fd)
{
	return real()->fcntl(fd, F_GETPIPE_SZ) >= 0;
}

/* Room for PIPE_BUF bytes?  0: yes. */
static int pipe_room(int fd, bool block)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	int n = real()->ppoll(&p, 1, block ? NULL : &(struct timespec){ 0 },
			      NULL);

	return n > 0 ? 0 : n < 0 ? -1 : fail(EAGAIN);
}

/* What was seen is read only as far as the pipe took it. */
static ssize_t splice_in(int in, int out, size_t len, bool block)
{
	char buf[PIPE_BUF];
	ssize_t done = 0, n = 0;

	while ((size_t)done < len) {
		size_t want = len - (size_t)done < sizeof(buf) ?
			      len - (size_t)done : sizeof(buf);

		if (pipe_room(out, block && !done)) {
			n = -1;
			break;
		}
		n = recv(in, buf, want, MSG_PEEK | (done ? MSG_DONTWAIT : 0));
		if (n > 0)
			n = real()->write(out, buf, (size_t)n);
		if (n <= 0)
			break;
		recv(in, buf, (size_t)n, 0);
		done += n;
	}
	return done ? done : n;
}

static ssize_t drain(int fd, char *buf, size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = real()->read(fd, buf, len - done);

		if (n <= 0)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

/* A copy of what the pipe has, so that what the socket leaves stays there. */
static ssize_t splice_out(int in, int out, size_t len, unsigned int flags)
{
	char *buf = malloc(COPY);
	int copy[2] = { -1, -1 }, saved;
	ssize_t n = -1;

	if (buf && pipe2(copy, O_CLOEXEC) == 0) {
		n = tee(in, copy[1], len < COPY ? len : COPY,
			flags & SPLICE_F_NONBLOCK);
		if (n > 0)
			n = drain(copy[0], buf, (size_t)n);
		if (n > 0)
			n = send(out, buf, (size_t)n, MSG_NOSIGNAL |
				 (flags & SPLICE_F_MORE ? MSG_MORE : 0));
		if (n > 0)
			drain(in, buf, (size_t)n);
	}
	saved = errno;
	for (int i = 0; i < 2 && copy[i] >= 0; i++)
		real()->close(copy[i]);
	free(buf);
	errno = saved;
	return n;
}

PUBLIC ssize_t splice(int in, off64_t *in_at, int out, off64_t *out_at,
		      size_t len, unsigned int flags)
{
	bool from = table_sock(in), to = table_sock(out);

	if (!from && !to)
		return real()->splice(in, in_at, out, out_at, len, flags);
	if (!len)
		return 0;
	if (!is_pipe(from ? out : in))
		return fail(EINVAL);
	if (in_at || out_at)
		return fail((from ? out_at : in_at) ? ESPIPE : EINVAL);
	if (from)
		return splice_in(in, out, len, !(flags & SPLICE_F_NONBLOCK));
	return splice_out(in, out, len, flags);
}
