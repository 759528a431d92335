#include "libclient/preload/preload.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/*
 * poll() and select() over a mixture.  A set without mtcp sockets goes to the
 * kernel as it is.  Else the kernel's part is a copy in which mtcp sockets
 * are -1, but for listeners that the kernel serves too.
 */

#define PUBLIC	__attribute__((visibility("default")))
#define FEW	32u

/* A socket of mtcpd, or an epoll set, which may have some. */
static struct file *ours(int fd)
{
	struct file *f = table_peek(fd);

	return f && (f->sock >= 0 || (f->set && context_any())) ? f : NULL;
}

static bool any_ours(const struct pollfd *p, nfds_t n)
{
	for (nfds_t i = 0; i < n; i++)
		if (ours(p[i].fd))
			return true;
	return false;
}

struct round {
	struct pollfd *p, *k;
	struct file **f;
	struct link *l;
	nfds_t n;
	uint32_t home;		/* under whose lock all of ours are */
	bool kernel;		/* has members of the kernel */
};

/* A home whose lock is held: which of ours it does not cover; NULL: none. */
static const struct pollfd *strange(const struct round *r)
{
	for (nfds_t i = 0; i < r->n; i++) {
		struct file *f = table_at(r->p[i].fd);

		if (f && (f->sock >= 0 || f->set) && !branch_here(f, r->home))
			return &r->p[i];
	}
	return NULL;
}

/* The first of ours that is no listener, which draws all; else a listener. */
static struct file *first_of(const struct round *r)
{
	struct file *l = NULL;

	for (nfds_t i = 0; i < r->n; i++) {
		struct file *f = ours(r->p[i].fd);

		if (f && f->kind != FILE_LISTENER)
			return f;
		l = l ? l : f;
	}
	return l;
}

/* Whose lock it is to be.  Listeners alone come to this thread's home, if others
 * wait in theirs. */
static void lock_home(struct round *r)
{
	struct file *f = first_of(r);

	r->home = f ? f->home : home_self();
	home_lock(r->home);
	if (!f || f->kind != FILE_LISTENER || f->home != r->home ||
	    !branch_wanted(f))
		return;
	home_unlock();
	r->home = home_self();
	home_lock(r->home);
}

/* Locks a home, and brings all of ours there. */
static void lock_round(struct round *r)
{
	const struct pollfd *other;

	lock_home(r);
	while ((other = strange(r)) != NULL) {
		home_unlock();
		if (!branch_open(other->fd, r->home))
			home_bring(other->fd, r->home);
		home_lock(r->home);
	}
}

/* The lock is held. */
static void split(struct round *r)
{
	inside = false;
	for (nfds_t i = 0; i < r->n; i++) {
		r->f[i] = ours(r->p[i].fd);
		if (r->f[i])		/* NULL: made this moment */
			r->f[i] = branch_here(r->f[i], r->home);
	}
	inside = true;
	for (nfds_t i = 0; i < r->n; i++) {
		r->k[i] = r->p[i];
		if (r->f[i]) {
			r->f[i]->refs++;
			file_ask(r->f[i]);
			file_one(r->f[i], true);
		}
		if (r->f[i] && !r->f[i]->both && !r->f[i]->set)
			r->k[i].fd = -1;
		else if (r->p[i].fd >= 0)
			r->kernel = true;
	}
}

/* Nothing holds: we want to hear of it.  Every time: what came may have been
 * taken by another thread. */
static void want(struct round *r)
{
	for (nfds_t i = 0; i < r->n; i++)
		if (r->f[i])
			file_want(r->f[i], (uint32_t)r->p[i].events);
	group_publish();
}

static int look(struct round *r)
{
	const struct timespec now = { 0 };
	int count = 0;

	group_progress();
	for (nfds_t i = 0; i < r->n; i++)
		r->k[i].revents = 0;
	if (r->kernel && real()->ppoll(r->k, r->n, &now, NULL) < 0)
		return -errno;
	for (nfds_t i = 0; i < r->n; i++) {
		uint32_t bits = (uint16_t)r->k[i].revents;

		if (r->f[i])
			bits |= file_bits(r->f[i]) &
				((uint16_t)r->p[i].events | POLLERR | POLLHUP);
		if (r->f[i] && (r->f[i]->set ? !r->f[i]->fds :
						r->f[i]->sock < 0))
			bits = POLLNVAL;
		r->p[i].revents = (short)bits;
		count += bits != 0;
	}
	if (!count)
		want(r);
	return count;
}

/* A mask lets signals through even if there is no time to wait.  Handlers run
 * under it, or not at all, hence without the lock. */
static int let_through(const struct round *r, const sigset_t *mask)
{
	const struct timespec none = { 0 };
	int err;

	home_unlock();
	err = real()->ppoll(NULL, 0, &none, mask) < 0 ? -errno : 0;
	home_lock(r->home);
	return err;
}

static int rounds(struct round *r, uint64_t until, const sigset_t *mask)
{
	struct waiter *w = waiter_self();
	int n = look(r), err = 0;

	if (!n && !until && mask)
		return let_through(r, mask);
	while (!n && !err && until) {
		for (nfds_t i = 0; i < r->n; i++)
			if (r->f[i])
				link_add(&r->l[i], r->f[i], w);
		err = wait_sleep(r->home, r->k, r->n, until, mask);
		for (nfds_t i = 0; i < r->n; i++)
			if (r->f[i])
				link_del(&r->l[i], r->f[i]);
		n = look(r);
	}
	return n || err == -ETIMEDOUT ? n : err;
}

static int mixed(struct pollfd *p, nfds_t n, uint64_t until,
		 const sigset_t *mask)
{
	struct round r = { .p = p, .n = n };
	int count = -ENOMEM;

	signals_hold();
	r.k = malloc((n + WAIT_FDS) * sizeof(*r.k));
	r.f = malloc(n * sizeof(struct file *));
	r.l = malloc(n * sizeof(*r.l));
	signals_release();
	if (r.k && r.f && r.l) {
		lock_round(&r);
		split(&r);
		count = rounds(&r, until, mask);
		for (nfds_t i = 0; i < n; i++)
			if (r.f[i])
				file_put(r.f[i]);
		home_unlock();
	}
	signals_hold();
	free(r.k);
	free(r.f);
	free(r.l);
	signals_release();
	if (count >= 0)
		return count;
	errno = -count;
	return -1;
}

static uint64_t until_of_ts(const struct timespec *ts)
{
	if (!ts)
		return FOREVER;
	if (!ts->tv_sec && !ts->tv_nsec)
		return 0;
	return now_us() + (uint64_t)ts->tv_sec * 1000000u +
	       (uint64_t)(ts->tv_nsec + 999) / 1000u;
}

PUBLIC int ppoll(struct pollfd *p, nfds_t n, const struct timespec *ts,
		 const sigset_t *mask)
{
	if (inside || !p || !any_ours(p, n))
		return real()->ppoll(p, n, ts, mask);
	return mixed(p, n, until_of_ts(ts), mask);
}

PUBLIC int poll(struct pollfd *p, nfds_t n, int timeout)
{
	struct timespec ts = { timeout / 1000, (timeout % 1000) * 1000000L };

	return ppoll(p, n, timeout < 0 ? NULL : &ts, NULL);
}

PUBLIC int __poll_chk(struct pollfd *p, nfds_t n, int timeout, size_t size)
{
	if (size / sizeof(*p) < n)
		abort();
	return poll(p, n, timeout);
}

PUBLIC int __ppoll_chk(struct pollfd *p, nfds_t n, const struct timespec *ts,
		       const sigset_t *mask, size_t size)
{
	if (size / sizeof(*p) < n)
		abort();
	return ppoll(p, n, ts, mask);
}

/* ---- select ---- */

static const short asks[3] = { POLLIN | POLLRDNORM | POLLRDBAND,
			       POLLOUT | POLLWRNORM | POLLWRBAND, POLLPRI };
static const short counts[3] = { POLLIN | POLLRDNORM | POLLRDBAND | POLLHUP |
				 POLLERR, POLLOUT | POLLWRNORM | POLLWRBAND |
				 POLLERR, POLLPRI };

/* Sets may be longer than fd_set: bits are addressed as the kernel does. */
static bool bit(const fd_set *s, int fd)
{
	const unsigned char *b = (const unsigned char *)s;

	return s && b[fd / 8] & 1u << fd % 8;
}

static nfds_t gather(int n, fd_set *const set[3], struct pollfd *p)
{
	nfds_t count = 0;

	for (int fd = 0; fd < n; fd++) {
		short events = 0;

		for (int i = 0; i < 3; i++)
			if (bit(set[i], fd))
				events |= asks[i];
		if (events)
			p[count++] = (struct pollfd){ fd, events, 0 };
	}
	return count;
}

static int scatter(int n, fd_set *const set[3], const struct pollfd *p,
		   nfds_t count)
{
	int total = 0;

	for (int i = 0; i < 3; i++)
		if (set[i])
			memset(set[i], 0, ((size_t)n + 63) / 64 * 8);
	for (nfds_t k = 0; k < count; k++)
		for (int i = 0; i < 3; i++) {
			unsigned char *b = (unsigned char *)set[i];

			if (!set[i] || !(p[k].events & asks[i]) ||
			    !(p[k].revents & counts[i]))
				continue;
			b[p[k].fd / 8] |= (unsigned char)(1u << p[k].fd % 8);
			total++;
		}
	return total;
}

static void set_free(struct pollfd *p)
{
	int saved = errno;

	signals_hold();
	free(p);
	signals_release();
	errno = saved;
}

PUBLIC int pselect(int n, fd_set *r, fd_set *w, fd_set *e,
		   const struct timespec *ts, const sigset_t *mask)
{
	fd_set *const set[3] = { r, w, e };
	struct pollfd *p;
	nfds_t count;
	int found;

	if (inside || n <= 0 || !context_any())
		return real()->pselect(n, r, w, e, ts, mask);
	signals_hold();
	p = malloc((size_t)n * sizeof(*p));
	signals_release();
	if (!p) {
		errno = ENOMEM;
		return -1;
	}
	count = gather(n, set, p);
	if (!any_ours(p, count)) {
		set_free(p);
		return real()->pselect(n, r, w, e, ts, mask);
	}
	found = mixed(p, count, until_of_ts(ts), mask);
	for (nfds_t i = 0; found > 0 && i < count; i++)
		if (p[i].revents & POLLNVAL) {
			found = -1;
			errno = EBADF;
		}
	if (found >= 0)
		found = scatter(n, set, p, count);
	set_free(p);
	return found;
}

PUBLIC int select(int n, fd_set *r, fd_set *w, fd_set *e, struct timeval *tv)
{
	struct timespec ts = { 0 };
	uint64_t end = 0, t;
	int found;

	if (tv) {
		ts.tv_sec = tv->tv_sec;
		ts.tv_nsec = tv->tv_usec * 1000;
		end = now_us() + (uint64_t)tv->tv_sec * 1000000u +
		      (uint64_t)tv->tv_usec;
	}
	found = pselect(n, r, w, e, tv ? &ts : NULL, NULL);
	if (tv) {		/* Linux tells what is left */
		t = now_us();
		t = end > t ? end - t : 0;
		tv->tv_sec = (time_t)(t / 1000000u);
		tv->tv_usec = (suseconds_t)(t % 1000000u);
	}
	return found;
}
