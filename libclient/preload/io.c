#include "libclient/preload/preload.h"

#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

/*
 * Reading and writing.  All forms come down to take() and give(), which loop
 * over libmtcpclient's non-blocking calls and sleep between them.
 */

#define PUBLIC	__attribute__((visibility("default")))
#define FEW	16

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
	struct conn *c = ctx_conn(file_context(f), f->sock);
	int err;

	if (!c)
		return ENOTCONN;
	if (c->state != CONN_DEAD || (c->rx_bytes && !write))
		return -1;
	err = c->so_error;
	c->so_error = 0;
	return err ? err : write ? EPIPE : 0;
}

/* @again: it has slept for it, and takes it from nobody. */
static ssize_t take_once(struct file *f, const struct iovec *iov, int count,
			 int flags, bool again)
{
	int err = 0;

	if (again && file_away(f))
		err = EAGAIN;
	else if (!again && file_fetch(f))
		err = EBADF;
	if (err) {
		errno = err;
		return -1;
	}
	err = dead(f, false);
	if (err >= 0) {
		errno = err;
		return err ? -1 : 0;
	}
	return read_iov(file_context(f), f->sock, iov, count, flags & MSG_PEEK);
}

static int bad_pieces(const struct iovec *iov, int count)
{
	size_t left = SSIZE_MAX;

	if (count < 0 || count > UIO_MAXIOV)
		return EINVAL;
	for (int i = 0; i < count; i++) {
		if (iov[i].iov_len > SSIZE_MAX)
			return EINVAL;
		if (iov[i].iov_len > left)
			return EFAULT;
		left -= iov[i].iov_len;
	}
	return 0;
}

/* A private copy, to move on in; @few has room for 16. */
static struct iovec *copy_pieces(struct iovec *few, const struct iovec *iov,
				 int count)
{
	struct iovec *copy = few;

	if (count > FEW)
		copy = malloc((size_t)count * sizeof(*copy));
	if (copy)
		memcpy(copy, iov, (size_t)count * sizeof(*copy));
	else
		errno = ENOMEM;
	return copy;
}

static void free_pieces(struct iovec *copy, const struct iovec *few)
{
	int saved = errno;

	if (copy != few)
		free(copy);
	errno = saved;
}

static void advance(struct iovec **iov, int *count, size_t n);

/* MSG_WAITALL: until all is there, or no more comes. */
static ssize_t take_loop(struct file *f, struct iovec *iov, int count,
			 uint64_t until)
{
	size_t done = 0;
	bool again = false;
	int err;

	while (count) {
		ssize_t n = take_once(f, iov, count, 0, again);

		again = false;
		if (n > 0) {
			done += (size_t)n;
			advance(&iov, &count, (size_t)n);
			continue;
		}
		if (n == 0 || errno != EAGAIN)
			return done || !n ? (ssize_t)done : -1;
		err = file_wait(f, EPOLLIN, until);
		if (err) {
			errno = -err;
			return done ? (ssize_t)done : -1;
		}
		again = true;
	}
	return (ssize_t)done;
}

static ssize_t take_all(struct file *f, const struct iovec *iov, int count,
			uint64_t until)
{
	struct iovec few[FEW], *copy = copy_pieces(few, iov, count);
	ssize_t n;

	if (!copy)
		return -1;
	n = take_loop(f, copy, count, until);
	free_pieces(copy, few);
	return n;
}

/* MSG_PEEK and MSG_WAITALL: is all there that will be? */
static bool all_there(struct file *f, size_t bytes)
{
	const struct conn *c = ctx_conn(file_context(f), f->sock);

	return !c || c->state != CONN_OPEN || c->flags & CONN_FIN ||
	       c->rx_bytes >= bytes;
}

static ssize_t take_any(struct file *f, const struct iovec *iov, int count,
			size_t bytes, int flags)
{
	uint64_t until = f->rcv_us ? now_us() + f->rcv_us : FOREVER;
	bool block = !f->nonblock && !(flags & MSG_DONTWAIT), again = false;
	int err;

	if (flags & MSG_WAITALL && !(flags & MSG_PEEK) && block)
		return take_all(f, iov, count, until);
	for (;;) {
		if (!(flags & MSG_WAITALL) || !block || all_there(f, bytes)) {
			ssize_t n = take_once(f, iov, count, flags, again);

			if (n >= 0 || errno != EAGAIN || !block)
				return n;
		}
		err = file_wait(f, EPOLLIN, until);
		again = true;
		if (!err)
			continue;
		errno = -err;
		return -1;
	}
}

static ssize_t take(struct file *f, const struct iovec *iov, int count,
		    int flags)
{
	char none;
	const struct iovec look = { &none, 1 };
	int err = f->kind == FILE_LISTENER ? ENOTCONN :
		  bad_pieces(iov, count), saved = errno;
	size_t bytes;
	ssize_t n;

	if (err) {
		errno = err;
		return -1;
	}
	bytes = iov_bytes(iov, count);
	if (bytes)
		n = take_any(f, iov, count, bytes, flags);
	else			/* the kernel waits for something, too */
		n = take_any(f, &look, 1, 1, MSG_PEEK |
			     (flags & MSG_DONTWAIT));
	if (n >= 0)
		errno = saved;
	return bytes || n < 0 ? n : 0;
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
	ssize_t done = 0, n = -1;
	bool again = false;
	int err, saved = errno;

	for (;;) {
		bool here = !again || !file_away(f);

		err = !again && file_fetch(f) ? EBADF : dead(f, true);
		if (err > 0)
			break;
		if (here)
			n = mtcp_writev(file_context(f), f->sock, iov, count);
		else
			n = 0;
		if (n < 0 && errno != EAGAIN) {
			err = errno;
			break;
		}
		if (n > 0) {
			done += n;
			advance(&iov, &count, (size_t)n);
		}
		if (!count) {
			err = 0;
			break;
		}
		if (!block) {
			err = EAGAIN;
			break;
		}
		err = -file_wait(f, EPOLLOUT, until);
		if (err)
			break;
		again = true;
	}
	errno = done ? saved : err;
	return done ? done : -1;
}

/* MSG_MORE: the socket is corked until a call without it. */
static void cork(struct file *f, bool on)
{
	const int v = on;
	int was = 0, saved = errno;
	socklen_t n = sizeof(was);

	if (on && (f->more ||
		   mtcp_getsockopt(file_context(f), f->sock, IPPROTO_TCP,
				   TCP_CORK, &was, &n) || was))
		return;
	f->more = on && mtcp_setsockopt(file_context(f), f->sock, IPPROTO_TCP,
					TCP_CORK, &v, sizeof(v)) == 0;
	if (!on)
		mtcp_setsockopt(file_context(f), f->sock, IPPROTO_TCP, TCP_CORK,
				&v, sizeof(v));
	errno = saved;
}

static ssize_t give_nothing(struct file *f)
{
	const struct conn *c = ctx_conn(file_context(f), f->sock);
	int err = dead(f, true);

	if (err < 0 && c && c->flags & CONN_SHUT_WR)
		err = EPIPE;
	if (err <= 0)
		return 0;
	errno = err;
	return -1;
}

static ssize_t give(struct file *f, const struct iovec *iov, int count,
		    int flags)
{
	struct iovec few[FEW], *copy;
	int err = f->kind == FILE_LISTENER ? EPIPE :
		  flags & MSG_OOB ? EOPNOTSUPP : bad_pieces(iov, count);
	ssize_t n;

	if (err) {
		errno = err;
		return -1;
	}
	if (!iov_bytes(iov, count))
		return give_nothing(f);
	copy = copy_pieces(few, iov, count);
	if (!copy)
		return -1;
	if (flags & MSG_MORE)
		cork(f, true);
	n = give_loop(f, copy, count, !f->nonblock && !(flags & MSG_DONTWAIT));
	if (f->more && !(flags & MSG_MORE) && f->sock >= 0)
		cork(f, false);
	free_pieces(copy, few);
	return n;
}

/* Leaves the lock; a broken pipe is a signal too. */
static ssize_t give_end(ssize_t n, int flags)
{
	bool broken = n < 0 && errno == EPIPE && !(flags & MSG_NOSIGNAL);

	home_unlock();
	if (broken) {
		raise(SIGPIPE);
		errno = EPIPE;
	}
	return n;
}

/* MSG_TRUNC, of TCP: read and thrown away. */
static ssize_t take_away(struct file *f, size_t len, int flags)
{
	struct iovec iov = { malloc(len ? len : 1), len };
	ssize_t n = -1;

	if (iov.iov_base)
		n = take(f, &iov, 1, flags);
	else
		errno = ENOMEM;
	free_pieces(iov.iov_base, NULL);
	return n;
}

static ssize_t take_pieces(struct file *f, const struct iovec *iov, int count,
			   int flags)
{
	ssize_t n = -1;

	if (flags & MSG_OOB)
		errno = EINVAL;
	else if (flags & MSG_ERRQUEUE)
		errno = EAGAIN;
	else if (flags & MSG_TRUNC && !bad_pieces(iov, count))
		n = take_away(f, iov_bytes(iov, count), flags);
	else
		n = take(f, iov, count, flags);
	home_unlock();
	return n;
}

static ssize_t take_buf(struct file *f, void *buf, size_t len, int flags)
{
	const struct iovec iov = { buf, len < SSIZE_MAX ? len : SSIZE_MAX };

	return take_pieces(f, &iov, 1, flags);
}

PUBLIC ssize_t read(int fd, void *buf, size_t len)
{
	struct file *f = len ? table_lock(fd) : NULL;

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
	if (!bad_pieces(iov, count) && !iov_bytes(iov, count)) {
		home_unlock();
		return 0;
	}
	return take_pieces(f, iov, count, 0);
}

PUBLIC ssize_t recvmsg(int fd, struct msghdr *m, int flags)
{
	struct file *f = table_lock(fd);

	if (!f)
		return real()->recvmsg(fd, m, flags);
	if (m->msg_iovlen > UIO_MAXIOV) {
		home_unlock();
		errno = EMSGSIZE;
		return -1;
	}
	m->msg_namelen = 0;
	m->msg_controllen = 0;
	m->msg_flags = 0;
	return take_pieces(f, m->msg_iov, (int)m->msg_iovlen, flags);
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

/* MSG_FASTOPEN connects; the data follows the handshake. */
static bool opens(int fd, const struct sockaddr *sa, socklen_t salen,
		  int flags)
{
	return flags & MSG_FASTOPEN && sa && connect_is_ours(fd, sa, salen);
}

PUBLIC ssize_t sendto(int fd, const void *buf, size_t len, int flags,
		      const struct sockaddr *sa, socklen_t salen)
{
	struct iovec iov = { (void *)(uintptr_t)buf, len };
	struct file *f = table_lock(fd);

	if (f)
		return give_end(give(f, &iov, 1, flags), flags);
	if (!opens(fd, sa, salen, flags))
		return real()->sendto(fd, buf, len, flags, sa, salen);
	return connect(fd, sa, salen) ? -1 :
	       sendto(fd, buf, len, flags & ~MSG_FASTOPEN, NULL, 0);
}

PUBLIC ssize_t send(int fd, const void *buf, size_t len, int flags)
{
	return sendto(fd, buf, len, flags, NULL, 0);
}

PUBLIC ssize_t sendmsg(int fd, const struct msghdr *m, int flags)
{
	struct file *f = table_lock(fd);

	if (f && m->msg_iovlen > UIO_MAXIOV) {
		home_unlock();
		errno = EMSGSIZE;
		return -1;
	}
	if (f)
		return give_end(give(f, m->msg_iov, (int)m->msg_iovlen, flags),
				flags);
	if (m && opens(fd, m->msg_name, m->msg_namelen, flags))
		return connect(fd, m->msg_name, m->msg_namelen) ? -1 :
		       sendmsg(fd, m, flags & ~MSG_FASTOPEN);
	if (!inside && m && m->msg_control && passes_ours(m)) {
		errno = EOPNOTSUPP;
		return -1;
	}
	return real()->sendmsg(fd, m, flags);
}
