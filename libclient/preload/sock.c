#include "libclient/preload/preload.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

/*
 * Where a kernel socket becomes mtcpd's: listen() and connect().  What was set
 * on it before is asked of the kernel and set again.
 */

#define PUBLIC	__attribute__((visibility("default")))

static int fail(int err)
{
	errno = err;
	return -1;
}

static const struct { int level, name; } carried[] = {
	{ SOL_SOCKET, SO_KEEPALIVE }, { SOL_SOCKET, SO_REUSEPORT }, { IPPROTO_TCP, TCP_NODELAY },
	{ IPPROTO_TCP, TCP_KEEPIDLE }, { IPPROTO_TCP, TCP_KEEPINTVL },
	{ IPPROTO_TCP, TCP_KEEPCNT }, { IPPROTO_TCP, TCP_USER_TIMEOUT },
	{ IPPROTO_TCP, TCP_DEFER_ACCEPT }, { IPPROTO_IP, IP_TOS },
};

static bool is_tcp(int fd, bool *six)
{
	int domain = 0, proto = 0;
	socklen_t n = sizeof(domain);
	int saved = errno;
	bool ok;

	ok = real()->getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &n) == 0 &&
	     (domain == AF_INET || domain == AF_INET6);
	n = sizeof(proto);
	ok = ok && real()->getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &proto,
				      &n) == 0 && proto == IPPROTO_TCP;
	*six = domain == AF_INET6;
	errno = saved;
	return ok;
}

bool sock_pending(int fd)
{
	struct sockaddr_storage ss;
	socklen_t n = sizeof(ss);
	int on = 0, saved = errno;
	socklen_t len = sizeof(on);
	bool six, yes;

	yes = is_tcp(fd, &six) &&
	      real()->getpeername(fd, (struct sockaddr *)&ss, &n) != 0 &&
	      real()->getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &on,
				 &len) == 0 && !on;
	errno = saved;
	return yes;
}

/* An IPv4 address out of what a socket of either family says. */
static bool as_v4(const struct sockaddr *sa, socklen_t len, int fd,
		  struct sockaddr_in *in)
{
	struct sockaddr_in6 in6;
	int only = 0;
	socklen_t n = sizeof(only);

	if (!sa || len < sizeof(*in))
		return false;
	if (sa->sa_family == AF_INET) {
		memcpy(in, sa, sizeof(*in));
		return true;
	}
	if (sa->sa_family != AF_INET6 || len < sizeof(in6))
		return false;
	memcpy(&in6, sa, sizeof(in6));
	real()->getsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, &n);
	*in = (struct sockaddr_in){ .sin_family = AF_INET,
				    .sin_port = in6.sin6_port };
	if (IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr))
		memcpy(&in->sin_addr, in6.sin6_addr.s6_addr + 12, 4);
	else if (!IN6_IS_ADDR_UNSPECIFIED(&in6.sin6_addr) || only)
		return false;
	return true;
}

int give_addr(const struct file *f, const struct sockaddr_in *in,
	      struct sockaddr *sa, socklen_t *len)
{
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6,
				    .sin6_port = in->sin_port };
	const void *from = in;
	socklen_t size = sizeof(*in);

	if (f->six) {
		memset(in6.sin6_addr.s6_addr + 10, 0xff, 2);
		memcpy(in6.sin6_addr.s6_addr + 12, &in->sin_addr, 4);
		from = &in6;
		size = sizeof(in6);
	}
	if (!sa || !len)
		return -EFAULT;
	memcpy(sa, from, *len < size ? *len : size);
	*len = size;
	return 0;
}

static uint64_t timeout_of(int fd, int name)
{
	struct timeval tv = { 0 };
	socklen_t n = sizeof(tv);

	real()->getsockopt(fd, SOL_SOCKET, name, &tv, &n);
	return (uint64_t)tv.tv_sec * 1000000u + (uint64_t)tv.tv_usec;
}

static void carry(struct mtcp_context *x, int fd, int sock)
{
	for (size_t i = 0; i < sizeof(carried) / sizeof(carried[0]); i++) {
		int v = 0;
		socklen_t n = sizeof(v);

		/* Defaults differ little; what is unset stays unset. */
		if (real()->getsockopt(fd, carried[i].level, carried[i].name,
				       &v, &n) == 0 && v &&
		    !(carried[i].level == IPPROTO_TCP &&
		      carried[i].name >= TCP_KEEPIDLE &&
		      carried[i].name <= TCP_KEEPCNT && v >= 9))
			mtcp_setsockopt(x, sock, carried[i].level,
					carried[i].name, &v, n);
	}
}

/* @home's lock is held.  A file with a fresh mtcp socket for @fd; NULL, errno. */
static struct file *convert(int fd, bool six, uint32_t home)
{
	struct mtcp_context *x = home_open(home);
	struct file *f;
	int sock, fl;

	if (!x)
		return NULL;
	sock = mtcp_socket(x, AF_INET, SOCK_STREAM, 0);
	if (sock < 0)
		return NULL;
	f = table_at(fd);
	if (!f)
		f = file_new(fd, FILE_STREAM, home);
	if (!f) {
		mtcp_close(x, sock);
		errno = ENOMEM;
		return NULL;
	}
	fl = real()->fcntl(fd, F_GETFL);
	f->kind = FILE_STREAM;
	f->six = six;
	f->nonblock = fl >= 0 && fl & O_NONBLOCK;
	f->rcv_us = timeout_of(fd, SO_RCVTIMEO);
	f->snd_us = timeout_of(fd, SO_SNDTIMEO);
	carry(x, fd, sock);
	file_set_sock(f, sock);
	return f;
}

/* Back to a kernel socket, as if nothing had been. */
static void revert(struct file *f)
{
	int saved = errno;

	file_close_sock(f);
	f->kind = FILE_PENDING;
	f->both = f->connecting = f->more = false;
	errno = saved;
}

static bool bound_to(int fd, struct sockaddr_in *in)
{
	struct sockaddr_storage ss;
	socklen_t n = sizeof(ss);

	return real()->getsockname(fd, (struct sockaddr *)&ss, &n) == 0 &&
	       as_v4((struct sockaddr *)&ss, n, fd, in);
}

PUBLIC int bind(int fd, const struct sockaddr *sa, socklen_t len)
{
	const int on = 1;
	struct sockaddr_in in;
	const char *why;
	bool six;

	if (table_sock(fd))
		return fail(EINVAL);
	/* The kernel does not have mtcpd's addresses, yet keeps the port. */
	if (!inside && as_v4(sa, len, fd, &in) && in.sin_addr.s_addr &&
	    is_tcp(fd, &six) && policy_listen(&in, &why))
		real()->setsockopt(fd, IPPROTO_IP, IP_FREEBIND, &on,
				   sizeof(on));
	return real()->bind(fd, sa, len);
}

/* The lock of where @fd's socket will be.  If mtcpd gives that home no context,
 * one that has one takes it, and shares a lock with the sets that it is in. */
static uint32_t lock_opened(int fd)
{
	uint32_t home = table_lock_place(fd);
	struct file *f;

	if (home_open(home) || home == home_first())
		return home;
	home_unlock();
	home_bring(fd, home_first());
	home = table_lock_place(fd);
	f = table_at(fd);
	if (f && home_is_held(home_first()))
		f->home = (uint8_t)home_first();
	return f ? f->home : home;
}

static int do_listen(int fd, int backlog, const struct sockaddr_in *in,
		     bool six, uint32_t home)
{
	struct mtcp_context *x;
	struct file *f = convert(fd, six, home);
	int err;

	if (!f)
		return -1;
	x = file_context(f);
	err = mtcp_bind(x, f->sock, (const struct sockaddr *)in, sizeof(*in));
	if (!err)
		err = mtcp_listen(x, f->sock, backlog);
	if (err) {
		revert(f);
		return -1;
	}
	f->kind = FILE_LISTENER;
	f->both = !in->sin_addr.s_addr;
	if (f->both)
		real()->fcntl(fd, F_SETFL,
			      real()->fcntl(fd, F_GETFL) | O_NONBLOCK);
	epset_convert(f);
	return 0;
}

PUBLIC int listen(int fd, int backlog)
{
	const char *why = "not IPv4";
	struct sockaddr_in in;
	bool six, ours;
	int err;

	if (table_sock(fd))
		return table_sock(fd)->kind == FILE_LISTENER ? 0 : fail(EINVAL);
	if (inside || !is_tcp(fd, &six))
		return real()->listen(fd, backlog);
	ours = bound_to(fd, &in) && policy_listen(&in, &why);
	if (!ours) {
		if (bound_to(fd, &in))
			explain(fd, "listen", &in, false, why);
		return real()->listen(fd, backlog);
	}
	/* The kernel's socket first: it says who may have the port. */
	if (real()->listen(fd, backlog))
		return -1;
	bound_to(fd, &in);
	err = do_listen(fd, backlog, &in, six, lock_opened(fd));
	home_unlock();
	if (!err)
		branches_again(fd);
	explain(fd, "listen", &in, !err, err ? mtcp_error_text() : why);
	return err && policy_fallback() ? 0 : err;
}

static int start_connect(struct file *f, int fd, const struct sockaddr_in *in)
{
	struct mtcp_context *x = file_context(f);
	struct sockaddr_in local;

	if (bound_to(fd, &local) && (local.sin_port || local.sin_addr.s_addr))
		mtcp_bind(x, f->sock, (struct sockaddr *)&local,
			  sizeof(local));
	return mtcp_connect(x, f->sock, (const struct sockaddr *)in,
			    sizeof(*in));
}

static int wait_connected(struct file *f)
{
	struct mtcp_context *x = file_context(f);
	uint64_t until = f->snd_us ? now_us() + f->snd_us : FOREVER;
	struct conn *c;
	int err;

	for (;;) {
		ctx_progress(x);
		if (f->sock < 0)
			return EBADF;
		c = ctx_conn(x, f->sock);
		if (!c || c->state != CONN_CONNECTING)
			break;
		err = wait_file(f, -1, until);
		if (err)
			return err == -EAGAIN ? EINPROGRESS : -err;
	}
	if (!c || c->state != CONN_DEAD)
		return 0;
	err = c->so_error;
	c->so_error = 0;
	f->failed = true;
	return err ? err : ECONNABORTED;
}

/* connect() on a socket that is ours already. */
static int connect_again(struct file *f)
{
	struct conn *c = ctx_conn(file_context(f), f->sock);
	int err = EISCONN;

	if (f->kind == FILE_LISTENER)
		return EISCONN;
	ctx_progress(file_context(f));
	if (c->state == CONN_CONNECTING)
		return f->nonblock ? EALREADY : wait_connected(f);
	if (c->state == CONN_DEAD) {
		err = c->so_error ? c->so_error : ECONNABORTED;
		c->so_error = 0;
		f->failed = true;
	}
	/* As the kernel: it tells success once, then that it is done. */
	if (err == EISCONN && f->connecting)
		err = 0;
	f->connecting = false;
	return err;
}

static int do_connect(int fd, const struct sockaddr_in *in, bool six,
		      uint32_t home)
{
	struct file *f = convert(fd, six, home);
	int err;

	if (!f)
		return -1;
	epset_convert(f);
	err = start_connect(f, fd, in);
	if (!err || errno != EINPROGRESS)
		return err;
	f->connecting = f->nonblock;
	if (f->nonblock)
		return -1;
	err = wait_connected(f);
	return err ? fail(err) : 0;
}

/* After a failure was told, and by AF_UNSPEC, a socket is a new one. */
static bool start_anew(struct file *f, const struct sockaddr *sa,
		       socklen_t len)
{
	bool unspec = sa && len >= sizeof(sa->sa_family) &&
		      sa->sa_family == AF_UNSPEC;

	if (f->kind == FILE_LISTENER || (!unspec && !f->failed))
		return false;
	f->failed = false;
	epset_back(f);
	revert(f);
	return true;
}

PUBLIC int connect(int fd, const struct sockaddr *sa, socklen_t len)
{
	struct file *f = table_lock(fd);
	struct sockaddr_in in;
	const char *why;
	bool six, ours;
	uint32_t home;
	int err;

	if (f && start_anew(f, sa, len)) {
		home_unlock();
		if (sa->sa_family == AF_UNSPEC)
			return 0;
	} else if (f) {
		err = connect_again(f);
		home_unlock();
		return err ? fail(err) : 0;
	}
	if (inside || !as_v4(sa, len, fd, &in) || !is_tcp(fd, &six))
		return real()->connect(fd, sa, len);
	ours = policy_connect(&in, &why);
	explain(fd, "connect", &in, ours, why);
	if (!ours)
		return real()->connect(fd, sa, len);
	home = lock_opened(fd);
	if (!home_open(home) && policy_fallback()) {
		home_unlock();
		return real()->connect(fd, sa, len);
	}
	err = do_connect(fd, &in, six, home);
	home_unlock();
	return err;
}

bool connect_is_ours(int fd, const struct sockaddr *sa, socklen_t len)
{
	struct sockaddr_in in;
	const char *why;
	bool six;

	return !inside && as_v4(sa, len, fd, &in) && is_tcp(fd, &six) &&
	       policy_connect(&in, &why);
}

/* ---- accept ---- */

/* A descriptor first: without one the connection stays in the queue. */
static int place_new(const struct file *l, int flags)
{
	struct timeval tv = { (time_t)(l->rcv_us / 1000000u),
			      (suseconds_t)(l->rcv_us % 1000000u) };
	int fd = socket(AF_INET, SOCK_STREAM | (flags & SOCK_CLOEXEC) |
			(flags & SOCK_NONBLOCK), 0);

	if (fd < 0)
		return -1;
	if ((uint32_t)fd >= PRELOAD_FDS) {
		real()->close(fd);
		return fail(EMFILE);
	}
	if (l->rcv_us)
		real()->setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv,
				   sizeof(tv));
	return fd;
}

static int give_accepted(const struct file *l, int fd, int sock, int flags)
{
	struct file *f = file_new(fd, FILE_STREAM, l->home);

	if (!f) {
		real()->close(fd);
		mtcp_close(file_context(l), sock);
		return fail(ENOMEM);
	}
	f->six = l->six;
	f->nonblock = flags & SOCK_NONBLOCK;
	f->rcv_us = l->rcv_us;
	f->snd_us = l->snd_us;
	file_set_sock(f, sock);
	return fd;
}

/* One connection, or -1. */
static int accept_one(struct file *l, struct sockaddr *sa, socklen_t *len,
		      int flags)
{
	struct mtcp_context *x = file_context(l);
	struct sockaddr_in in;
	socklen_t n = sizeof(in);
	int sock, fd;

	ctx_progress(x);
	if (!(file_bits(l) & EPOLLIN))
		return fail(EAGAIN);
	fd = place_new(l, flags);
	if (fd < 0)
		return -1;
	sock = mtcp_accept(x, l->sock, (struct sockaddr *)&in, &n);
	if (sock < 0) {
		int saved = errno;

		real()->close(fd);
		return fail(saved);
	}
	if (sa && len)
		give_addr(l, &in, sa, len);
	return give_accepted(l, fd, sock, flags);
}

/* One accept4(), and where it looks. */
struct accepting {
	int fd, flags;
	struct sockaddr *sa;
	socklen_t *len;
	uint64_t until;		/* 0: not said yet */
	uint32_t home;		/* ELSEWHERE: where */
	bool branched;		/* it was tried to make a branch for us */
};

#define ELSEWHERE	(-2)	/* in another home */

/* Nothing was there: it is asked for in another home, at once, or the thread
 * sleeps.  0: again here. */
static int accept_later(struct file *l, struct accepting *a)
{
	int err;

	if (branch_waiting(l, &a->home))
		return ELSEWHERE;
	if (l->nonblock)
		return fail(EAGAIN);
	if (!a->branched && branch_wanted(l)) {
		a->home = home_self();
		return ELSEWHERE;
	}
	err = wait_file(l, l->both ? a->fd : -1, a->until);
	if (l->fds && l->sock < 0)
		return fail(EINVAL);	/* shut down meanwhile */
	return err ? fail(-err) : 0;
}

static int accept_from(struct file *l, struct accepting *a)
{
	int new, err;

	if (l->kind != FILE_LISTENER)
		return fail(EINVAL);
	if (!a->until)
		a->until = l->rcv_us ? now_us() + l->rcv_us : FOREVER;
	if (!l->nonblock)
		file_one(l, true);
	file_want(l, EPOLLIN);
	for (;;) {
		new = accept_one(l, a->sa, a->len, a->flags);
		if (new >= 0 || errno != EAGAIN)
			return new;
		if (l->both) {
			new = real()->accept4(a->fd, a->sa, a->len, a->flags);
			if (new >= 0 || errno != EAGAIN)
				return new;
		}
		err = accept_later(l, a);
		if (err)
			return err;
	}
}

/* Where accept_later() said: what is queued there, or a branch for the next
 * look.  -1, EAGAIN: look again. */
static int accept_elsewhere(struct accepting *a)
{
	struct file *l;
	int new;

	if (a->home == home_self()) {
		a->branched = true;
		branch_open(a->fd, a->home);
		return fail(EAGAIN);
	}
	l = branch_lock(a->fd, a->home);
	l = l ? l : table_lock(a->fd);
	if (!l)
		return fail(EBADF);
	new = l->kind == FILE_LISTENER ?
	      accept_one(l, a->sa, a->len, a->flags) : fail(EINVAL);
	home_unlock();
	return new;
}

PUBLIC int accept4(int fd, struct sockaddr *sa, socklen_t *len, int flags)
{
	struct accepting a = { .fd = fd, .flags = flags, .sa = sa,
			       .len = len };
	struct file *l;
	int err;

	do {
		l = branch_lock(fd, home_self());
		l = l ? l : table_lock(fd);
		if (!l)
			return real()->accept4(fd, sa, len, flags);
		if (flags & ~(SOCK_CLOEXEC | SOCK_NONBLOCK))
			err = fail(EINVAL);
		else
			err = accept_from(l, &a);
		home_unlock();
		if (err != ELSEWHERE)
			return err;
		err = accept_elsewhere(&a);
	} while (err < 0 && errno == EAGAIN);
	return err;
}

PUBLIC int accept(int fd, struct sockaddr *sa, socklen_t *len)
{
	return accept4(fd, sa, len, 0);
}

/* ---- names, halves ---- */

/* Both ends have said their last: the kernel takes it as unconnected. */
static bool over(struct file *f)
{
	const struct conn *c = f->kind == FILE_STREAM ?
			       ctx_conn(file_context(f), f->sock) : NULL;

	return c && (c->state == CONN_DEAD ||
		     (c->state == CONN_OPEN && c->flags & CONN_FIN &&
		      c->flags & CONN_SHUT_WR));
}

PUBLIC int getsockname(int fd, struct sockaddr *sa, socklen_t *len)
{
	struct file *f = table_lock(fd);
	struct sockaddr_in in;
	socklen_t n = sizeof(in);
	int err;

	if (!f)
		return real()->getsockname(fd, sa, len);
	err = mtcp_getsockname(file_context(f), f->sock, (struct sockaddr *)&in,
			       &n);
	if (!err)
		err = give_addr(f, &in, sa, len);
	home_unlock();
	return err < -1 ? fail(-err) : err;
}

PUBLIC int getpeername(int fd, struct sockaddr *sa, socklen_t *len)
{
	struct file *f = table_lock(fd);
	struct sockaddr_in in;
	socklen_t n = sizeof(in);
	int err;

	if (!f)
		return real()->getpeername(fd, sa, len);
	if (over(f))
		err = fail(ENOTCONN);
	else
		err = mtcp_getpeername(file_context(f), f->sock,
				       (struct sockaddr *)&in, &n);
	if (!err)
		err = give_addr(f, &in, sa, len);
	home_unlock();
	return err < -1 ? fail(-err) : err;
}

/* As the kernel's: those who wait in accept() get EINVAL. */
static void stop_listening(struct file *f)
{
	epset_back(f);
	revert(f);
	file_wake(f);
}

PUBLIC int shutdown(int fd, int how)
{
	struct file *f = table_lock(fd);
	bool stopped = false;
	int err;

	if (!f)
		return real()->shutdown(fd, how);
	if (f->kind == FILE_LISTENER) {
		err = real()->shutdown(fd, how);
		stopped = !err && how != SHUT_WR;
		if (stopped)
			stop_listening(f);
	} else if (over(f)) {
		err = fail(ENOTCONN);
	} else {
		err = file_fetch(f) ? fail(EBADF) :
		      mtcp_shutdown(file_context(f), f->sock, how);
		if (!err) {
			file_wake(f);
			epset_raise(f, file_bits(f));
		}
	}
	home_unlock();
	if (stopped)
		branches_stop(fd);
	return err;
}
