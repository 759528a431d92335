#include "libclient/preload/preload.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

/*
 * Epoll sets.  A set's descriptor is the kernel's; watches of mtcp sockets lie
 * in lists of ours.  A thread may sleep in the kernel when the first of them
 * comes: an eventfd that is always readable is put into the set to call it
 * back (KICK), and taken out by who finds it.
 *
 *	raise --> on the ready list --wait--> bits hold? report : leave
 *	          level: to the end of the list again; edge, oneshot: off it
 *
 * A set in a set is a member of the kernel's, which forbids loops, and has a
 * watch too: it is ready while its ready list has something that holds.
 */

#define PUBLIC	__attribute__((visibility("default")))
#define KICK	0x6d7463702d6b6963ull
#define ALWAYS	(EPOLLERR | EPOLLHUP)
/* What EPOLLEXCLUSIVE goes with. */
#define EXCLUSIVE_WITH	(EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP | \
			 EPOLLWAKEUP | EPOLLET | EPOLLEXCLUSIVE)
#define KERNEL_TURN	8u	/* waits answered without asking the kernel */

struct watch {
	struct file *f;
	struct epset *set;
	int fd;
	uint32_t events;
	uint64_t data;
	bool kernel;		/* a member of the kernel's set too */
	bool queued, off;	/* off: oneshot has fired */
	struct watch *fnext;			/* of the file */
	struct watch *rnext, *rprev;		/* ready */
	struct watch *snext, *sprev;		/* of the set */
};

struct epset {
	struct file *file;
	int fd;
	struct watch *watches, *head, *tail;
	uint32_t live;		/* watches of mtcp sockets */
	uint32_t kernel;	/* kernel members, about: closes are not seen */
	uint32_t both;		/* watches that the kernel has too */
	uint32_t in_kernel;	/* threads asleep there */
	uint32_t turn;
	bool waited;		/* its home is a waiting thread's */
};

static void dequeue(struct watch *w)
{
	struct epset *s = w->set;

	if (!w->queued)
		return;
	w->queued = false;
	if (w->rprev)
		w->rprev->rnext = w->rnext;
	else
		s->head = w->rnext;
	if (w->rnext)
		w->rnext->rprev = w->rprev;
	else
		s->tail = w->rprev;
}

static void enqueue(struct watch *w)
{
	struct epset *s = w->set;

	if (w->queued)
		return;
	w->queued = true;
	w->rnext = NULL;
	w->rprev = s->tail;
	if (s->tail)
		s->tail->rnext = w;
	else
		s->head = w;
	s->tail = w;
}

void epset_raise(struct file *f, uint32_t bits)
{
	for (struct watch *w = f->watches; w; w = w->fnext) {
		if (w->off || (f->sock < 0 && !f->set) ||
		    !(bits & (w->events | ALWAYS)))
			continue;
		enqueue(w);
		file_wake(w->set->file);
		epset_raise(w->set->file, EPOLLIN | EPOLLRDNORM);
	}
}

static void watch_free(struct watch *w)
{
	struct watch **at = &w->f->watches;

	while (*at != w)
		at = &(*at)->fnext;
	*at = w->fnext;
	dequeue(w);
	if (w->sprev)
		w->sprev->snext = w->snext;
	else
		w->set->watches = w->snext;
	if (w->snext)
		w->snext->sprev = w->sprev;
	w->set->live--;
	w->set->both -= w->kernel;
	listener_unwatched(w->f);
	free(w);
}

void epset_forget(struct file *f)
{
	while (f->watches)
		watch_free(f->watches);
}

void epset_free(struct file *f)
{
	while (f->set->watches)
		watch_free(f->set->watches);
	free(f->set);
	f->set = NULL;
}

bool epset_idle(const struct file *f)
{
	return !f->set->watches && !f->set->in_kernel;
}

void epset_forked(struct file *f)
{
	f->set->in_kernel = 0;
}

struct file *epset_new(int fd, uint32_t home)
{
	struct epset *s = calloc(1, sizeof(*s));
	struct file *f = s ? file_new(fd, FILE_EPOLL, home) : NULL;

	if (!f) {
		free(s);
		return NULL;
	}
	f->set = s;
	s->file = f;
	s->fd = fd;
	return f;
}

static int kick_fd;
static pthread_once_t kick_once = PTHREAD_ONCE_INIT;

static void open_kick(void)
{
	kick_fd = eventfd(1, EFD_CLOEXEC);
}

static void kick(struct epset *s)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.u64 = KICK };

	for (struct watch *w = s->file->watches; w; w = w->fnext)
		kick(w->set);
	if (!s->in_kernel)
		return;
	pthread_once(&kick_once, open_kick);
	real()->epoll_ctl(s->fd, EPOLL_CTL_ADD, kick_fd, &ev);
}

/* The last one out takes it away, so that it calls all of them. */
static void kicked(struct epset *s, int n, struct epoll_event *ev, int *left)
{
	*left = 0;
	for (int i = 0; i < n; i++)
		if (ev[i].data.u64 != KICK)
			ev[(*left)++] = ev[i];
		else if (!s->in_kernel)
			real()->epoll_ctl(s->fd, EPOLL_CTL_DEL, kick_fd, NULL);
}

static void look_at(struct watch *w)
{
	uint32_t bits;

	file_ask(w->f);
	file_one(w->f, false);
	file_want(w->f, w->events);
	bits = file_bits(w->f);
	if (bits & (w->events | ALWAYS))
		epset_raise(w->f, bits);
}

uint32_t epset_bits(struct file *f)
{
	struct watch *w, *next;

	for (w = f->set->head; w; w = next) {
		next = w->rnext;
		if (!w->off && file_bits(w->f) & (w->events | ALWAYS))
			return EPOLLIN | EPOLLRDNORM;
		dequeue(w);
		if (!w->off)
			file_want(w->f, w->events);
	}
	return 0;
}

/* A socket that was in sets as the kernel's is mtcpd's from now on. */
void epset_convert(struct file *f)
{
	for (struct watch *w = f->watches; w; w = w->fnext) {
		if (w->kernel && !f->both) {
			real()->epoll_ctl(w->set->fd, EPOLL_CTL_DEL, w->fd,
					  NULL);
			w->kernel = false;
			w->set->both--;
		}
		kick(w->set);
		look_at(w);
	}
}

void epset_back(struct file *f)
{
	for (struct watch *w = f->watches; w; w = w->fnext) {
		struct epoll_event ev = { .events = w->events,
					  .data.u64 = w->data };

		dequeue(w);
		if (!w->kernel && real()->epoll_ctl(w->set->fd, EPOLL_CTL_ADD,
						    w->fd, &ev) == 0) {
			w->kernel = true;
			w->set->both++;
		}
		file_wake(w->set->file);
	}
}

static struct watch *find(const struct file *f, const struct epset *s, int fd)
{
	struct watch *w = f->watches;

	while (w && (w->set != s || w->fd != fd))
		w = w->fnext;
	return w;
}

static int add(struct epset *s, struct file *f, int fd,
	       struct epoll_event *ev)
{
	struct watch *w;

	if (find(f, s, fd))
		return -EEXIST;
	w = calloc(1, sizeof(*w));
	if (!w)
		return -ENOMEM;
	f->in_set = true;
	w->f = f;
	w->set = s;
	w->fd = fd;
	w->events = ev->events;
	w->data = ev->data.u64;
	w->fnext = f->watches;
	f->watches = w;
	w->snext = s->watches;
	if (s->watches)
		s->watches->sprev = w;
	s->watches = w;
	s->live++;
	if (f->sock < 0 || f->both) {
		int err = real()->epoll_ctl(s->fd, EPOLL_CTL_ADD, fd, ev) ?
			  -errno : 0;

		if (err) {
			watch_free(w);
			return err;
		}
		w->kernel = true;
		s->both++;
		file_wake(s->file);
	}
	kick(s);
	look_at(w);
	return 0;
}

static int change(struct epset *s, struct file *f, int op, int fd,
		  struct epoll_event *ev)
{
	struct watch *w = find(f, s, fd);

	if (!w)
		return -ENOENT;
	if (op == EPOLL_CTL_MOD && w->events & EPOLLEXCLUSIVE)
		return -EINVAL;
	if (w->kernel && real()->epoll_ctl(s->fd, op, fd, ev))
		return -errno;
	if (op == EPOLL_CTL_DEL) {
		watch_free(w);
		return 0;
	}
	dequeue(w);
	w->off = false;
	w->events = ev->events;
	w->data = ev->data.u64;
	look_at(w);
	return 0;
}

#define KERNELS	1	/* it is the kernel's matter alone */
#define ELSEWHERE 2	/* it has another home, and another lock */

/* The set's lock is held. */
static int control(struct file *e, int op, int fd, struct epoll_event *ev)
{
	struct file *f = table_at(fd), *mine;

	if (f == e)
		f = NULL;
	mine = f ? branch_here(f, e->home) : NULL;
	if (f && !mine)
		return op == EPOLL_CTL_ADD ? ELSEWHERE : -ENOENT;
	f = mine;
	if (!f && op == EPOLL_CTL_ADD && sock_pending(fd))
		f = file_new(fd, FILE_PENDING, e->home);
	if (!f)
		return KERNELS;
	if (op != EPOLL_CTL_DEL && !ev)
		return -EFAULT;
	if (op != EPOLL_CTL_DEL && ev->events & EPOLLEXCLUSIVE &&
	    (op == EPOLL_CTL_MOD || f->set || ev->events & ~EXCLUSIVE_WITH))
		return -EINVAL;
	return op == EPOLL_CTL_ADD ? add(e->set, f, fd, ev) :
	       op == EPOLL_CTL_MOD || op == EPOLL_CTL_DEL ?
	       change(e->set, f, op, fd, ev) : -EINVAL;
}

/*
 * A set without members of ours goes to the home of the thread that waits on
 * it, or until one has, of that which puts in the first.
 */
static struct file *lock_set(int ep, bool wait)
{
	struct file *e = table_lock_set(ep);

	if (!e || e->set->watches || (e->set->waited && !wait))
		return e;
	e->set->waited = wait;
	if (home_is_held(home_self()) || !epset_idle(e))
		return e;
	home_unlock();
	home_move(ep, home_self());
	return table_lock_set(ep);
}

PUBLIC int epoll_ctl(int ep, int op, int fd, struct epoll_event *ev)
{
	struct file *e = lock_set(ep, false);
	int err = ELSEWHERE;

	while (e && (err = control(e, op, fd, ev)) == ELSEWHERE) {
		uint32_t home = e->home;

		home_unlock();
		if (!branch_open(fd, home))
			home_bring(fd, home);
		e = table_lock_set(ep);
	}
	if (!e)
		return real()->epoll_ctl(ep, op, fd, ev);
	if (err == KERNELS) {
		err = real()->epoll_ctl(ep, op, fd, ev) ? -errno : 0;
		/* who sleeps on the set may not have asked the kernel */
		if (!err && op == EPOLL_CTL_ADD && !e->set->kernel++)
			file_wake(e);
	}
	home_unlock();
	if (!err)
		return 0;
	errno = -err;
	return -1;
}

PUBLIC int epoll_create1(int flags)
{
	int fd = real()->epoll_create1(flags);

	if (fd < 0 || inside)
		return fd;
	home_lock(home_self());
	epset_new(fd, home_self());
	home_unlock();
	return fd;
}

PUBLIC int epoll_create(int size)
{
	if (size > 0)
		return epoll_create1(0);
	errno = EINVAL;
	return -1;
}

/* ---- waiting ---- */

/* @twice: one of them is the kernel's as well. */
static int harvest(struct epset *s, struct epoll_event *ev, int max,
		   bool *twice)
{
	struct watch *w, *last = s->tail;
	int n = 0;

	while (n < max && (w = s->head)) {
		uint32_t bits = file_bits(w->f) & (w->events | ALWAYS);

		dequeue(w);
		if (bits && !w->off) {
			ev[n].events = bits;
			ev[n++].data.u64 = w->data;
			*twice |= w->kernel;
			if (w->events & EPOLLONESHOT)
				w->off = true;
			else if (!(w->events & EPOLLET))
				enqueue(w);
		} else if (!w->off) {
			file_want(w->f, w->events);
		}
		if (w == last)
			break;
	}
	return n;
}

static bool has_kernel(const struct epset *s)
{
	return s->kernel || s->both;
}

static void cancelled_in_kernel(void *p)
{
	struct file *e = p;

	file_lock(e);
	e->set->in_kernel--;
	file_put(e);
	home_unlock();
}

static int wait_kernel(struct file *e, struct epoll_event *ev, int max,
		       uint64_t until, const sigset_t *mask)
{
	uint64_t t = now_us();
	int ms = until == FOREVER ? -1 :
		 until <= t ? 0 : (int)((until - t + 999) / 1000), n, err;

	e->set->in_kernel++;
	pthread_cleanup_push(cancelled_in_kernel, e);
	home_unlock();
	n = real()->epoll_pwait(e->set->fd, ev, max, ms, mask);
	err = errno;
	file_lock(e);
	pthread_cleanup_pop(0);
	e->set->in_kernel--;
	errno = err;
	return n;
}

static int sleep_on(struct file *e, uint64_t until, const sigset_t *mask,
		    bool kernel)
{
	struct pollfd k[1 + WAIT_FDS];
	struct link l;
	int err;

	k[0] = (struct pollfd){ .fd = e->set->fd, .events = POLLIN };
	link_add(&l, e, waiter_self());
	err = wait_sleep(e->home, k, kernel ? 1 : 0, until, mask);
	link_del(&l, e);
	return e->fds ? err : -EBADF;
}

/* What is a member here and in the kernel is one event. */
static int merge(struct epoll_event *ev, int n, int k)
{
	int end = n;

	for (int i = n; i < n + k; i++) {
		int j = 0;

		while (j < n && ev[j].data.u64 != ev[i].data.u64)
			j++;
		if (j < n)
			ev[j].events |= ev[i].events;
		else
			ev[end++] = ev[i];
	}
	return end;
}

/* One round of a set with mtcp sockets: events, 0, or -errno. */
static int look(struct file *e, struct epoll_event *ev, int max)
{
	struct epset *s = e->set;
	bool twice = false;
	int n, k;

	group_progress();
	n = harvest(s, ev, max, &twice);
	if (n == max || (n && ++s->turn % KERNEL_TURN) || !has_kernel(s))
		return n;
	k = real()->epoll_pwait(s->fd, ev + n, max - n, 0, NULL);
	if (k > 0)
		kicked(s, k, ev + n, &k);
	if (k > 0 && n && twice)
		return merge(ev, n, k);
	return k > 0 ? n + k : n;
}

/* Has the set nothing that the kernel could not watch alone? */
static bool all_kernel(const struct epset *s)
{
	return !s->live || !context_any();
}

static int wait_locked(struct file *e, struct epoll_event *ev, int max,
		       uint64_t until, const sigset_t *mask)
{
	int n, got, err = 0;

	for (;;) {
		if (all_kernel(e->set)) {
			n = got = wait_kernel(e, ev, max, until, mask);
			if (n > 0)
				kicked(e->set, n, ev, &n);
			if (n || !got)
				return n < 0 ? -errno : n;
			if (all_kernel(e->set))
				continue;
		}
		n = look(e, ev, max);
		if (n || until == 0 || err)
			return n ? n : err == -ETIMEDOUT ? 0 : err;
		err = sleep_on(e, until, mask, has_kernel(e->set));
		if (err == -EBADF)
			return err;
	}
}

PUBLIC int epoll_pwait(int ep, struct epoll_event *ev, int max, int timeout,
		       const sigset_t *mask)
{
	struct file *e = max > 0 && ev ? lock_set(ep, true) : NULL;
	int n;

	if (!e)
		return real()->epoll_pwait(ep, ev, max, timeout, mask);
	e->refs++;
	n = wait_locked(e, ev, max, timeout ? until_from_ms(timeout) : 0,
			mask);
	file_put(e);
	home_unlock();
	if (n >= 0)
		return n;
	errno = -n;
	return -1;
}

PUBLIC int epoll_wait(int ep, struct epoll_event *ev, int max, int timeout)
{
	return epoll_pwait(ep, ev, max, timeout, NULL);
}

PUBLIC int epoll_pwait2(int ep, struct epoll_event *ev, int max,
			const struct timespec *ts, const sigset_t *mask)
{
	int ms = -1;

	if (ts)
		ms = (int)(ts->tv_sec * 1000 + (ts->tv_nsec + 999999) / 1000000);
	return epoll_pwait(ep, ev, max, ms, mask);
}
