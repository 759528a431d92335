#include "libclient/preload/preload.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/time.h>
#include <unistd.h>

/* Descriptors: their end, their copies, their flags; options of sockets. */

#define PUBLIC	__attribute__((visibility("default")))

static int fail(int err)
{
	errno = err;
	return -1;
}

PUBLIC int close(int fd)
{
	struct file *cut;
	int err;

	if (!table_peek(fd))
		return fd_is_internal(fd) ? fail(EBADF) : real()->close(fd);
	if (!own_process() || !table_lock_any(fd))
		return real()->close(fd);
	cut = file_drop(fd);
	err = real()->close(fd);
	home_unlock();
	branches_end(cut);
	return err;
}

PUBLIC int close_range(unsigned int a, unsigned int b, int flags)
{
	int err = 0;

	if (flags || !context_any())
		return real()->close_range(a, b, flags);
	for (unsigned int i = a; i <= b && i < PRELOAD_FDS; i++) {
		bool ours = table_peek((int)i), keep = fd_is_internal((int)i);

		if (!ours && !keep)
			continue;
		if (i > a)
			err |= real()->close_range(a, i - 1, 0);
		if (ours)
			close((int)i);
		if (i == b)
			return err;
		a = i + 1;
	}
	return err | real()->close_range(a, b, 0);
}

PUBLIC void closefrom(int from)
{
	close_range((unsigned int)from, ~0u, 0);
}

/* @fd's file, locked, or NULL; a socket that may become mtcpd's by either number
 * gets one. */
static struct file *file_to_copy(int fd)
{
	if (table_peek(fd) || inside)
		return table_lock_any(fd);
	if (!sock_pending(fd))
		return NULL;
	home_lock(home_self());
	if (file_new(fd, FILE_PENDING, home_self()))
		return table_at(fd);
	home_unlock();
	return NULL;
}

/* @to is a copy of @fd from now on, if the kernel says so. */
static int copied(int fd, int to)
{
	struct file *f, *cut;
	bool ours;

	if (to < 0 || to == fd || !own_process())
		return to;
	if (table_lock_any(to)) {
		cut = file_drop(to);
		home_unlock();
		branches_end(cut);
	}
	f = (uint32_t)to < PRELOAD_FDS ? file_to_copy(fd) : NULL;
	if (!f)
		return to;
	file_add(f, to);
	ours = f->sock >= 0;
	home_unlock();
	if (ours)
		stdio_adopt(to);
	return to;
}

PUBLIC int dup(int fd)
{
	return copied(fd, real()->dup(fd));
}

PUBLIC int dup3(int fd, int to, int flags)
{
	return copied(fd, real()->dup3(fd, to, flags));
}

PUBLIC int dup2(int fd, int to)
{
	if (fd == to)
		return real()->fcntl(fd, F_GETFD) < 0 ? -1 : to;
	return dup3(fd, to, 0);
}

/* ---- flags ---- */

static void branch_nonblock(struct file *branch, const void *arg)
{
	branch->nonblock = *(const bool *)arg;
}

static int set_flags(int fd, long flags)
{
	const bool nonblock = flags & O_NONBLOCK;

	struct file *f = table_lock(fd);
	int err;

	if (!f)
		return real()->fcntl(fd, F_SETFL, flags);
	f->nonblock = nonblock;
	err = real()->fcntl(fd, F_SETFL, f->both ? flags | O_NONBLOCK : flags);
	home_unlock();
	branches_each(fd, branch_nonblock, &nonblock);
	return err;
}

static int get_flags(int fd)
{
	struct file *f = table_sock(fd);
	int fl = real()->fcntl(fd, F_GETFL);

	if (fl >= 0 && f && !f->nonblock)
		fl &= ~O_NONBLOCK;
	return fl;
}

PUBLIC int fcntl(int fd, int cmd, ...)
{
	va_list ap;
	long arg;

	va_start(ap, cmd);
	arg = va_arg(ap, long);
	va_end(ap);
	switch (cmd) {
	case F_DUPFD:
	case F_DUPFD_CLOEXEC:
		return copied(fd, real()->fcntl(fd, cmd, arg));
	case F_SETFL:
		return set_flags(fd, arg);
	case F_GETFL:
		return get_flags(fd);
	default:
		return real()->fcntl(fd, cmd, arg);
	}
}

PUBLIC int fcntl64(int fd, int cmd, ...)
{
	va_list ap;
	long arg;

	va_start(ap, cmd);
	arg = va_arg(ap, long);
	va_end(ap);
	return fcntl(fd, cmd, arg);
}

static int ioctl_sock(struct file *f, int fd, unsigned long request,
		      void *arg)
{
	int on;

	if (request == FIONREAD && file_fetch(f))
		return fail(EBADF);
	if (request == FIONBIO) {
		memcpy(&on, arg, sizeof(on));
		f->nonblock = on != 0;
		if (f->both)
			return 0;
		return real()->ioctl(fd, request, arg);
	}
	if (mtcp_socket_ioctl(file_context(f), f->sock, (int)request, arg) == 0)
		return 0;
	return request == FIONREAD ? -1 : real()->ioctl(fd, request, arg);
}

PUBLIC int ioctl(int fd, unsigned long request, ...)
{
	struct file *f;
	bool nonblock;
	va_list ap;
	void *arg;
	int err;

	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);
	f = table_lock(fd);
	if (!f)
		return real()->ioctl(fd, request, arg);
	err = ioctl_sock(f, fd, request, arg);
	nonblock = f->nonblock;
	home_unlock();
	if (request == FIONBIO)
		branches_each(fd, branch_nonblock, &nonblock);
	return err;
}

/* ---- options ---- */

static bool time_option(int level, int name)
{
	return level == SOL_SOCKET &&
	       (name == SO_RCVTIMEO || name == SO_SNDTIMEO);
}

/* What mtcpd does not know is kept by the kernel's placeholder. */
static int set_option(struct file *f, int fd, int level, int name,
		      const void *v, socklen_t n)
{
	struct timeval tv;
	uint64_t us;

	if (time_option(level, name)) {
		if (real()->setsockopt(fd, level, name, v, n))
			return -1;
		memcpy(&tv, v, sizeof(tv));
		us = tv.tv_sec < 0 ? 1 : (uint64_t)tv.tv_sec * 1000000u +
					 (uint64_t)tv.tv_usec;
		if (name == SO_RCVTIMEO)
			f->rcv_us = us;
		else
			f->snd_us = us;
		return 0;
	}
	if (mtcp_setsockopt(file_context(f), f->sock, level, name, v, n) == 0)
		return 0;
	if (errno != ENOPROTOOPT && errno != EOPNOTSUPP)
		return -1;
	return real()->setsockopt(fd, level, name, v, n);
}

struct option {
	int level, name;
	const void *v;
	socklen_t n;
};

static void branch_option(struct file *branch, const void *arg)
{
	const struct option *o = arg;

	set_option(branch, branch->fd, o->level, o->name, o->v, o->n);
}

PUBLIC int setsockopt(int fd, int level, int name, const void *v, socklen_t n)
{
	const struct option o = { level, name, v, n };
	struct file *f = table_lock(fd);
	int err;

	if (!f)
		return real()->setsockopt(fd, level, name, v, n);
	err = file_fetch(f) ? fail(EBADF) :
	      set_option(f, fd, level, name, v, n);
	home_unlock();
	if (!err)
		branches_each(fd, branch_option, &o);
	return err;
}

static int get_option(struct file *f, int fd, int level, int name, void *v,
		      socklen_t *n)
{
	bool cork = level == IPPROTO_TCP && name == TCP_CORK && f->more;
	int value;

	if (cork || (level == SOL_SOCKET && (name == SO_ACCEPTCONN ||
					     name == SO_DOMAIN))) {
		value = cork ? 0 :
			name == SO_DOMAIN ? (f->six ? AF_INET6 : AF_INET) :
			f->kind == FILE_LISTENER;
		memcpy(v, &value, *n < sizeof(value) ? *n : sizeof(value));
		if (*n > sizeof(value))
			*n = sizeof(value);
		return 0;
	}
	if (!time_option(level, name) &&
	    mtcp_getsockopt(file_context(f), f->sock, level, name, v, n) == 0)
		return 0;
	return real()->getsockopt(fd, level, name, v, n);
}

PUBLIC int getsockopt(int fd, int level, int name, void *v, socklen_t *n)
{
	struct file *f = v && n ? table_lock(fd) : NULL;
	int err;

	if (!f)
		return real()->getsockopt(fd, level, name, v, n);
	ctx_progress(file_context(f));
	err = file_fetch(f) ? fail(EBADF) :
	      get_option(f, fd, level, name, v, n);
	home_unlock();
	return err;
}
