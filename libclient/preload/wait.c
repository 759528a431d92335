#include "libclient/preload/preload.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

/*
 * Of the threads that sleep one leads: it has armed the context's bell and
 * hears it for all, since a bell wakes one sleeper and an event may be
 * another's.  What it finds calls those whom it concerns, each by its own
 * eventfd, and it goes on leading until something concerns itself.
 *
 *	arm --> poll --> bell: take the events --> hit, or a kernel descriptor,
 *	 ^                          |               or too late?
 *	 '--------- no -------------'-- yes --> call an heir, and go
 *
 * Invariant  While a thread is on the list `asleep` there is a leader, or an
 *            heir who was called and has not run yet.  Who leaves, for whatever
 *            reason, calls the next; an heir that has work of its own does so
 *            when it leaves.
 * Lists      Who is called leaves the list at once, so that nobody is called
 *            twice, nor becomes heir on its way out.
 */

#define REJOIN_US	100000u		/* a leader without daemon looks */
#define UNCALLED_US	5000u		/* who has no eventfd looks */
#define AGAIN		1		/* it was for others: sleep on */

static struct waiter *asleep, *leader, *heir;
static __thread struct waiter self __attribute__((tls_model("initial-exec")));
static __thread bool self_made __attribute__((tls_model("initial-exec")));
static pthread_key_t key;
static pthread_once_t key_once = PTHREAD_ONCE_INIT;

static void thread_ends(void *p)
{
	const struct waiter *w = p;

	if (w->fd >= 0)
		real()->close(w->fd);
	self_made = false;
}

static void make_key(void)
{
	pthread_key_create(&key, thread_ends);
}

struct waiter *waiter_self(void)
{
	if (!self_made) {
		pthread_once(&key_once, make_key);
		self = (struct waiter){ .fd = -1 };
		pthread_setspecific(key, &self);
		self_made = true;
	}
	if (self.fd < 0)	/* or again, after EMFILE */
		self.fd = fd_high(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
	return &self;
}

bool waiter_is(int fd)
{
	return self_made && self.fd == fd;
}

/* A child has none but itself, and an eventfd of its own; at once, since it
 * may not open one later (sshd's, under seccomp). */
void wait_forked(void)
{
	asleep = leader = heir = NULL;
	if (self_made && self.fd >= 0)
		real()->close(self.fd);
	self_made = false;
	if (context_now())
		waiter_self();
}

static void sleepers_add(struct waiter *w)
{
	w->asleep = true;
	w->prev = NULL;
	w->next = asleep;
	if (asleep)
		asleep->prev = w;
	asleep = w;
}

static void sleepers_del(struct waiter *w)
{
	if (!w->asleep)
		return;
	w->asleep = false;
	if (w->prev)
		w->prev->next = w->next;
	else
		asleep = w->next;
	if (w->next)
		w->next->prev = w->prev;
}

/* Who is awake already will look anyway. */
static void call(struct waiter *w)
{
	const uint64_t one = 1;
	ssize_t n;

	if (!w->asleep)
		return;
	sleepers_del(w);
	if (w->fd < 0)
		return;
	w->rung = true;
	n = real()->write(w->fd, &one, sizeof(one));
	(void)n;
}

static void wake(struct waiter *w)
{
	if (w->hit)
		return;
	w->hit = true;
	call(w);
}

void link_add(struct link *l, struct file *f, struct waiter *w)
{
	*l = (struct link){ .w = w, .f = f, .next = f->links,
			    .mine = w->links };
	w->links = l;
	if (f->links)
		f->links->prev = l;
	f->links = l;
}

void link_del(struct link *l, struct file *f)
{
	if (l->prev)
		l->prev->next = l->next;
	else
		f->links = l->next;
	if (l->next)
		l->next->prev = l->prev;
}

void file_wake(struct file *f)
{
	for (struct link *l = f->links; l; l = l->next)
		wake(l->w);
}

static int poll_until(struct pollfd *p, nfds_t n, uint64_t until,
		      const sigset_t *mask)
{
	uint64_t t = now_us(), left = until > t ? until - t : 0;
	struct timespec ts = { .tv_sec = (time_t)(left / 1000000u),
			       .tv_nsec = (long)(left % 1000000u) * 1000 };

	return kernel_poll(p, n, until == FOREVER ? NULL : &ts, mask);
}

/* Somebody must lead those who sleep. */
static void pass_on(void)
{
	if (leader || heir || !asleep)
		return;
	heir = asleep;
	call(heir);
}

/* The library slept on the context's bell itself: it is no longer armed. */
void wait_bell_taken(void)
{
	if (leader)
		call(leader);
}

/* The bell and the daemon's end of it, for the leader to watch. */
static void watch_bell(const struct mtcp_context *x, struct pollfd *k)
{
	k[0] = (struct pollfd){ .fd = x->wake_rd, .events = POLLIN };
	k[1] = (struct pollfd){ .fd = x->at ? x->at->ctl_fd : -1 };
}

static void stop_leading(struct mtcp_context *x, const struct pollfd *k)
{
	leader = NULL;
	ctx_disarm(x, k[0].revents & POLLIN);
	if (x->at && (k[0].revents | k[1].revents) & (POLLHUP | POLLERR))
		attach_alive(x->at);
	ctx_progress(x);
}

static void get_up(struct waiter *w)
{
	uint64_t count;
	ssize_t n;

	sleepers_del(w);
	if (heir == w)
		heir = NULL;
	if (!w->rung)
		return;
	w->rung = false;
	n = real()->read(w->fd, &count, sizeof(count));
	(void)n;
}

static bool any_ready(const struct pollfd *k, nfds_t n)
{
	for (nfds_t i = 0; i < n; i++)
		if (k[i].revents)
			return true;
	return false;
}

static uint64_t sooner(uint64_t end, uint64_t in_us)
{
	uint64_t t = now_us() + in_us;

	return t < end ? t : end;
}

/* pthread_cancel(): the thread's stack is about to go, and its links with it. */
static void cancelled(void *p)
{
	struct waiter *w = p;

	big_lock();
	get_up(w);
	if (leader == w) {
		leader = NULL;
		ctx_disarm(context_now(), true);
		ctx_progress(context_now());
	}
	for (struct link *l = w->links; l; l = l->mine) {
		link_del(l, l->f);
		file_put(l->f);
	}
	w->links = NULL;
	w->hit = false;
	pass_on();
	big_unlock();
}

/* Sleeps without the lock; who is cancelled goes from here. */
static int sleep_unlocked(struct waiter *w, struct pollfd *k, nfds_t n,
			  uint64_t end, const sigset_t *mask)
{
	int err;

	pthread_cleanup_push(cancelled, w);
	big_unlock();
	err = poll_until(k, n, end, mask) < 0 ? -errno : 0;
	big_lock();
	pthread_cleanup_pop(0);
	return err;
}

static int sleep_once(struct waiter *w, struct pollfd *k, nfds_t n,
		      uint64_t until_us, const sigset_t *mask)
{
	struct mtcp_context *x = context_now();
	bool lead = x && (!leader || leader == w);
	uint64_t end = until_us;
	int err;

	sleepers_del(w);	/* in a signal handler, it may sleep already */
	if (lead && ctx_arm(x)) {
		ctx_progress(x);
		return 0;
	}
	k[n] = (struct pollfd){ .fd = w->fd, .events = POLLIN };
	if (w->fd < 0)
		end = sooner(end, UNCALLED_US);
	if (lead) {
		leader = w;
		watch_bell(x, k + n + 1);
		if (!x->at)
			end = sooner(end, REJOIN_US);
	} else if (x) {
		ctx_publish(x);
	}
	sleepers_add(w);
	err = sleep_unlocked(w, k, n + (lead ? 3 : 1), end, mask);
	get_up(w);
	if (lead && leader == w)
		stop_leading(x, k + n + 1);
	if (err < 0 || w->hit || any_ready(k, n))
		return err < 0 ? err : 0;
	return now_us() >= until_us ? -ETIMEDOUT : AGAIN;
}

int wait_sleep(struct waiter *w, struct pollfd *k, nfds_t n,
	       uint64_t until_us, const sigset_t *mask)
{
	int err = 0;

	if (!w->hit)
		do
			err = sleep_once(w, k, n, until_us, mask);
		while (err == AGAIN);
	w->hit = false;
	w->links = NULL;	/* the caller takes them off */
	pass_on();
	return err;
}

/* Do all handlers ask for restart?  A signal came; which one, nobody says. */
static bool all_restart(void)
{
	struct sigaction sa;

	for (int i = 1; i < NSIG; i++) {
		if (sigaction(i, NULL, &sa) || sa.sa_handler == SIG_DFL ||
		    sa.sa_handler == SIG_IGN)
			continue;
		if (!(sa.sa_flags & SA_RESTART))
			return false;
	}
	return true;
}

int wait_file(struct file *f, int kfd, uint64_t until_us)
{
	struct pollfd k[4] = { { .fd = kfd, .events = POLLIN } };
	struct waiter *w = waiter_self();
	struct link l;
	int err;

	f->refs++;
	link_add(&l, f, w);
	err = wait_sleep(w, k, kfd >= 0 ? 1 : 0, until_us, NULL);
	link_del(&l, f);
	if (f->sock < 0)
		err = -EBADF;		/* closed meanwhile */
	file_put(f);
	if (err == -EINTR && until_us == FOREVER && all_restart())
		return 0;
	return err == -ETIMEDOUT ? -EAGAIN : err;
}

uint64_t until_from_ms(int timeout)
{
	return timeout < 0 ? FOREVER : now_us() + (uint64_t)timeout * 1000u;
}
