#include "libclient/preload/preload.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <unistd.h>

/*
 * Reading and writing.  All forms come down to take() and give(), which loop
 * over libmtcpclient's non-blocking calls and sleep between them.
 */

#define PUBLIC	__attribute__((visibility("default")))
#define COPY	65536u		/* bytes of a file at a time */

static size_t iov_bytes(const struct iovec *iov, int count)
{
	size_t n = 0;

	for (int i = 0; i < count; i++)
		n += iov[i].iov_len;
	return n;
}

/* What a dead connection says: its error once, then the end of the stream. */
static int dead(struct file *f, bool write)
{
	struct conn *c = ctx_conn(context_now(), f->sock);
	int err;

	if (!c)
		return ENOTCONN;
	if (c->state != CONN_DEAD || (c->rx_bytes && !write))
		return -1;
	err = c->so_error;
	c->so_error = 0;
	return err ? err : write ? EPIPE : 0;
}

static ssize_t take_once(struct file *f, const struct iovec *iov, int count,
			 bool peek)
{
	int err;

	if (file_fetch(f)) {
		errno = EBADF;
		return -1;
	}
	err = dead(f, false);
	if (err >= 0) {
		errno = err;
		return err ? -1 : 0;
	}
	if (peek)
		return mtcp_recv(context_now(), f->sock, iov->iov_base,
				 iov->iov_len, MSG_PEEK);
	return mtcp_readv(context_now(), f->sock, iov, count);
}

/* The lock is held; one buffer, for MSG_WAITALL. */
static ssize_t take_all(struct file *f, struct iovec iov, uint64_t until);

static ssize_t take(struct file *f, const struct iovec *iov, int count,
		    int flags)
{
	uint64_t until = f->rcv_us ? now_us() + f->rcv_us : FOREVER;
	int err;

	if (f->kind == FILE_LISTENER) {
		errno = ENOTCONN;
		return -1;
	}
	if (!count || !iov_bytes(iov, count))
		return 0;
	if (flags & MSG_WAITALL && count == 1 &&
	    !(flags & (MSG_PEEK | MSG_DONTWAIT)) && !f->nonblock)
		return take_all(f, *iov, until);
	for (;;) {
		ssize_t n = take_once(f, iov, count, flags & MSG_PEEK);

		if (n >= 0 || errno != EAGAIN || f->nonblock ||
		    flags & MSG_DONTWAIT)
			return n;
		err = wait_file(f, -1, until);
		if (!err)
			continue;
		errno = -err;
		return -1;
	}
}

static ssize_t take_all(struct file *f, struct iovec iov, uint64_t until)
{
	size_t done = 0, len = iov.iov_len;
	int err;

	while (done < len) {
		ssize_t n = take_once(f, &iov, 1, false);

		if (n > 0) {
			done += (size_t)n;
			iov.iov_base = (char *)iov.iov_base + n;
			iov.iov_len -= (size_t)n;
			continue;
		}
		if (n == 0 || errno != EAGAIN)
			return done || !n ? (ssize_t)done : -1;
		err = wait_file(f, -1, until);
		if (err) {
			errno = -err;
			return done ? (ssize_t)done : -1;
		}
	}
	return (ssize_t)done;
}

/* Moves on in a private copy of an iovec. */
static void advance(struct iovec **iov, int *count, size_t n)
{
	while (*count && n >= (*iov)->iov_len) {
		n -= (*iov)->iov_len;
		(*iov)++;
		(*count)--;
	}
	if (*count) {
		(*iov)->iov_base = (char *)(*iov)->iov_base + n;
		(*iov)->iov_len -= n;
	}
}

static ssize_t give_loop(struct file *f, struct iovec *iov, int count,
			 bool block)
{
	uint64_t until = f->snd_us ? now_us() + f->snd_us : FOREVER;
	ssize_t done = 0, n;
	int err;

	for (;;) {
		err = file_fetch(f) ? EBADF : dead(f, true);
		if (err > 0)
			break;
		n = mtcp_writev(context_now(), f->sock, iov, count);
		if (n < 0 && errno != EAGAIN) {
			err = errno;
			break;
		}
		if (n > 0) {
			done += n;
			advance(&iov, &count, (size_t)n);
		}
		if (!count)
			return done;
		if (!block) {
			err = EAGAIN;
			break;
		}
		err = -wait_file(f, -1, until);
		if (err)
			break;
	}
	errno = err;
	return done ? done : -1;
}

static ssize_t give(struct file *f, const struct iovec *iov, int count,
		    int flags)
{
	struct iovec few[16], *copy = few;
	ssize_t n;

	if (f->kind == FILE_LISTENER) {
		errno = EPIPE;
		return -1;
	}
	if (!count || !iov_bytes(iov, count))
		return 0;
	if (count > 16) {
		copy = malloc((size_t)count * sizeof(*copy));
		if (!copy) {
			errno = ENOMEM;
			return -1;
		}
	}
	memcpy(copy, iov, (size_t)count * sizeof(*copy));
	n = give_loop(f, copy, count, !f->nonblock && !(flags & MSG_DONTWAIT));
	if (copy != few) {
		int saved = errno;

		free(copy);
		errno = saved;
	}
	return n;
}

/* Leaves the lock; a broken pipe is a signal too. */
static ssize_t give_end(ssize_t n, int flags)
{
	bool broken = n < 0 && errno == EPIPE && !(flags & MSG_NOSIGNAL);

	big_unlock();
	if (broken) {
		raise(SIGPIPE);
		errno = EPIPE;
	}
	return n;
}

static ssize_t take_end(ssize_t n)
{
	big_unlock();
	return n;
}

static ssize_t take_buf(struct file *f, void *buf, size_t len, int flags)
{
	struct iovec iov = { buf, len };
	char *sink = NULL;
	ssize_t n;

	if (flags & MSG_OOB) {
		errno = EINVAL;
		return take_end(-1);
	}
	if (flags & MSG_TRUNC) {	/* TCP: read and thrown away */
		sink = malloc(len ? len : 1);
		iov.iov_base = sink ? sink : buf;
	}
	n = take_end(take(f, &iov, 1, flags));
	free(sink);
	return n;
}

PUBLIC ssize_t read(int fd, void *buf, size_t len)
{
	struct file *f = table_lock(fd);

	return f ? take_buf(f, buf, len, 0) : real()->read(fd, buf, len);
}

PUBLIC ssize_t __read_chk(int fd, void *buf, size_t len, size_t size)
{
	if (len > size)
		abort();
	return read(fd, buf, len);
}

PUBLIC ssize_t recvfrom(int fd, void *buf, size_t len, int flags,
			struct sockaddr *sa, socklen_t *salen)
{
	struct file *f = table_lock(fd);

	if (!f)
		return real()->recvfrom(fd, buf, len, flags, sa, salen);
	if (sa && salen)
		*salen = 0;
	return take_buf(f, buf, len, flags);
}

PUBLIC ssize_t recv(int fd, void *buf, size_t len, int flags)
{
	return recvfrom(fd, buf, len, flags, NULL, NULL);
}

PUBLIC ssize_t __recv_chk(int fd, void *buf, size_t len, size_t size,
			  int flags)
{
	if (len > size)
		abort();
	return recv(fd, buf, len, flags);
}

PUBLIC ssize_t __recvfrom_chk(int fd, void *buf, size_t len, size_t size,
			      int flags, struct sockaddr *sa,
			      socklen_t *salen)
{
	if (len > size)
		abort();
	return recvfrom(fd, buf, len, flags, sa, salen);
}

PUBLIC ssize_t readv(int fd, const struct iovec *iov, int count)
{
	struct file *f = table_lock(fd);

	if (!f)
		return real()->readv(fd, iov, count);
	return take_end(take(f, iov, count, 0));
}

PUBLIC ssize_t recvmsg(int fd, struct msghdr *m, int flags)
{
	struct file *f = table_lock(fd);

	if (!f)
		return real()->recvmsg(fd, m, flags);
	m->msg_namelen = 0;
	m->msg_controllen = 0;
	m->msg_flags = 0;
	return take_end(take(f, m->msg_iov, (int)m->msg_iovlen, flags));
}

PUBLIC ssize_t write(int fd, const void *buf, size_t len)
{
	struct iovec iov = { (void *)(uintptr_t)buf, len };
	struct file *f = table_lock(fd);

	return f ? give_end(give(f, &iov, 1, 0), 0) :
		   real()->write(fd, buf, len);
}

PUBLIC ssize_t writev(int fd, const struct iovec *iov, int count)
{
	struct file *f = table_lock(fd);

	return f ? give_end(give(f, iov, count, 0), 0) :
		   real()->writev(fd, iov, count);
}

PUBLIC ssize_t sendto(int fd, const void *buf, size_t len, int flags,
		      const struct sockaddr *sa, socklen_t salen)
{
	struct iovec iov = { (void *)(uintptr_t)buf, len };
	struct file *f = table_lock(fd);

	return f ? give_end(give(f, &iov, 1, flags), flags) :
		   real()->sendto(fd, buf, len, flags, sa, salen);
}

PUBLIC ssize_t send(int fd, const void *buf, size_t len, int flags)
{
	return sendto(fd, buf, len, flags, NULL, 0);
}

/* The descriptors of SCM_RIGHTS: mtcpd's cannot go to another process. */
static bool passes_ours(const struct msghdr *m)
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

PUBLIC ssize_t sendmsg(int fd, const struct msghdr *m, int flags)
{
	struct file *f = table_lock(fd);

	if (f)
		return give_end(give(f, m->msg_iov, (int)m->msg_iovlen, flags),
				flags);
	if (!inside && m && m->msg_control && passes_ours(m)) {
		errno = EOPNOTSUPP;
		return -1;
	}
	return real()->sendmsg(fd, m, flags);
}

PUBLIC int sendmmsg(int fd, struct mmsghdr *m, unsigned int n, int flags)
{
	unsigned int i;

	for (i = 0; i < n; i++) {
		ssize_t k = sendmsg(fd, &m[i].msg_hdr, flags);

		if (k < 0)
			return i ? (int)i : -1;
		m[i].msg_len = (unsigned int)k;
	}
	return (int)i;
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

/* ---- stdio ---- */

static ssize_t cookie_read(void *c, char *buf, size_t len)
{
	return read((int)(intptr_t)c, buf, len);
}

static ssize_t cookie_write(void *c, const char *buf, size_t len)
{
	ssize_t n = write((int)(intptr_t)c, buf, len);

	return n < 0 ? 0 : n;
}

static int cookie_close(void *c)
{
	return close((int)(intptr_t)c);
}

PUBLIC FILE *fdopen(int fd, const char *mode)
{
	const cookie_io_functions_t io = { .read = cookie_read,
					   .write = cookie_write,
					   .close = cookie_close };

	if (!table_sock(fd))
		return real()->fdopen(fd, mode);
	return fopencookie((void *)(intptr_t)fd, mode, io);
}
