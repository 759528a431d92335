#include "libclient/preload/preload.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

/*
 * Of the threads of a group that sleep one leads: it has armed the bells of the
 * group's contexts and hears them for all, since a bell wakes one sleeper and an
 * event may be another's.  What it finds calls those whom it concerns, each by its own
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
#define LOOK_AGAIN_US	5000u		/* a brother's lock was taken */
#define AGAIN		1		/* it was for others: sleep on */

/* A handler of a signal that interrupts a sleep may sleep too. */
#define LEVELS	3u
static __thread struct waiter self[LEVELS]
	__attribute__((tls_model("initial-exec")));
static __thread uint32_t level __attribute__((tls_model("initial-exec")));
static __thread bool self_made __attribute__((tls_model("initial-exec")));
static pthread_key_t key;
static pthread_once_t key_once = PTHREAD_ONCE_INIT;

static void close_all(const struct waiter *w)
{
	for (uint32_t i = 0; i < LEVELS; i++)
		if (w[i].fd >= 0)
			real()->close(w[i].fd);
	self_made = false;
}

static void thread_ends(void *p)
{
	close_all(p);
}

static void make_key(void)
{
	pthread_key_create(&key, thread_ends);
}

struct waiter *waiter_self(void)
{
	struct waiter *w = &self[level < LEVELS ? level : LEVELS - 1];

	if (!self_made) {
		pthread_once(&key_once, make_key);
		for (uint32_t i = 0; i < LEVELS; i++)
			self[i] = (struct waiter){ .fd = -1 };
		pthread_setspecific(key, self);
		self_made = true;
	}
	if (w->fd < 0)		/* or again, after EMFILE */
		w->fd = fd_high(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
	return w;
}

static bool is_self(const struct waiter *w)
{
	return w >= self && w < self + LEVELS;
}

bool waiter_is(int fd)
{
	for (uint32_t i = 0; self_made && i < LEVELS; i++)
		if (self[i].fd == fd)
			return true;
	return false;
}

/* A child has none but itself, and an eventfd of its own; at once, since it
 * may not open one later (sshd's, under seccomp). */
void wait_forked_self(void)
{
	if (self_made)
		close_all(self);
	if (context_any())
		waiter_self();
}

void wait_forked(struct group *g)
{
	g->asleep = g->leader = g->heir = NULL;
}

static void sleepers_del(struct waiter *w)
{
	if (!w->asleep)
		return;
	w->asleep = false;
	if (w->prev)
		w->prev->next = w->next;
	else
		w->group->asleep = w->next;
	if (w->next)
		w->next->prev = w->prev;
}

static void sleepers_add(struct waiter *w)
{
	sleepers_del(w);	/* deeper than LEVELS, it may sleep already */
	w->asleep = true;
	w->group = held;
	w->prev = NULL;
	w->next = held->asleep;
	if (held->asleep)
		held->asleep->prev = w;
	held->asleep = w;
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
	if (held->leader || held->heir || !held->asleep)
		return;
	held->heir = held->asleep;
	call(held->heir);
}

/* The library slept on a bell itself: it is no longer armed. */
void wait_bell_taken(void)
{
	if (held->leader)
		call(held->leader);
}

void wait_new_bell(void)
{
	wait_bell_taken();
}

/* All look again, and the first of them leads all. */
static void rouse(struct group *g)
{
	g->leader = g->heir = NULL;
	while (g->asleep)
		call(g->asleep);
}

void wait_merge(struct group *to, struct group *from)
{
	rouse(from);
	rouse(to);
}

/* False: it has work, or was told to look before its bell was armed. */
static bool arm(struct mtcp_context *x)
{
	if (ctx_arm(x))
		return false;
	if (!ctx_looks(x, false))
		return true;
	ctx_disarm(x, false);
	return false;
}

/* True: one has work already. */
static bool arm_all(void)
{
	for (uint32_t i = 0; i < group_homes(); i++) {
		if (!group_context(i) || arm(group_context(i)))
			continue;
		while (i-- > 0)
			if (group_context(i))
				ctx_disarm(group_context(i), false);
		return true;
	}
	return false;
}

/* The bells and the daemon's ends of them, for the leader to watch: two a home.
 * True: one has no daemon. */
static bool watch_bells(struct pollfd *k)
{
	bool lost = false;

	for (uint32_t i = 0; i < group_homes(); i++, k += 2) {
		const struct mtcp_context *x = group_context(i);

		k[0] = (struct pollfd){ .fd = x ? x->wake_rd : -1,
					.events = POLLIN };
		k[1] = (struct pollfd){ .fd = x && x->at ? x->at->ctl_fd : -1 };
		lost = lost || (x && !x->at);
	}
	return lost;
}

/* @homes: whose bells were watched; others came later, and called us. */
static void stop_leading(const struct pollfd *k, uint32_t homes)
{
	held->leader = NULL;
	for (uint32_t i = 0; i < homes; i++, k += 2) {
		struct mtcp_context *x = group_context(i);

		if (!x)
			continue;
		ctx_disarm(x, k[0].revents & POLLIN);
		if (x->at && (k[0].revents | k[1].revents) &
			     (POLLHUP | POLLERR))
			attach_alive(x->at);
	}
	group_progress();
}

static void get_up(struct waiter *w)
{
	uint64_t count;
	ssize_t n;

	sleepers_del(w);
	if (held->heir == w)
		held->heir = NULL;
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

/* Who sleeps, and whose group's lock it takes then. */
struct sleep {
	struct waiter *w;
	uint32_t home;
};

/* pthread_cancel(): the thread's stack is about to go, and its links with it. */
static void cancelled(void *p)
{
	const struct sleep *s = p;

	home_lock(s->home);
	level--;
	get_up(s->w);
	if (held->leader == s->w) {
		held->leader = NULL;
		for (uint32_t i = 0; i < group_homes(); i++)
			if (group_context(i))
				ctx_disarm(group_context(i), true);
		group_progress();
	}
	for (struct link *l = s->w->links; l; l = l->mine) {
		link_del(l, l->f);
		file_put(l->f);
	}
	s->w->links = NULL;
	s->w->hit = false;
	pass_on();
	home_unlock();
}

/* Sleeps without the lock; who is cancelled goes from here. */
static int sleep_unlocked(struct sleep s, struct pollfd *k, nfds_t n,
			  uint64_t end, const sigset_t *mask)
{
	int err;

	level++;
	pthread_cleanup_push(cancelled, &s);
	handlers_begin();
	home_unlock();
	if (handlers_ran())		/* it came a moment ago */
		err = -EINTR;
	else
		err = poll_until(k, n, end, mask) < 0 ? -errno : 0;
	home_lock(s.home);
	pthread_cleanup_pop(0);
	level--;
	return err;
}

/* A leader that a signal handler keeps from its post is relieved by it. */
static bool should_lead(void)
{
	return context_any() && (!held->leader || is_self(held->leader));
}

static int sleep_once(struct sleep s, struct pollfd *k, nfds_t n,
		      uint64_t until_us, const sigset_t *mask)
{
	struct waiter *w = s.w;
	bool lead = should_lead();
	uint32_t homes = lead ? group_homes() : 0;
	uint64_t end = until_us;
	int err;

	if (lead && arm_all()) {
		group_progress();
		return 0;
	}
	k[n] = (struct pollfd){ .fd = w->fd, .events = POLLIN };
	if (w->fd < 0)
		end = sooner(end, UNCALLED_US);
	if (lead) {
		held->leader = w;
		if (watch_bells(k + n + 1))
			end = sooner(end, REJOIN_US);
		if (held->must_look)
			end = sooner(end, LOOK_AGAIN_US);
	} else {
		group_publish();
	}
	sleepers_add(w);
	err = sleep_unlocked(s, k, n + 1 + 2 * homes, end, mask);
	get_up(w);
	if (lead && held->leader == w)
		stop_leading(k + n + 1, homes);
	if (err < 0 || w->hit || any_ready(k, n))
		return err < 0 ? err : 0;
	return now_us() >= until_us ? -ETIMEDOUT : AGAIN;
}

int wait_sleep(uint32_t home, struct pollfd *k, nfds_t n, uint64_t until_us,
	       const sigset_t *mask)
{
	struct waiter *w = waiter_self();
	struct sleep s = { w, home };
	int err = 0;

	if (!w->hit)
		do
			err = sleep_once(s, k, n, until_us, mask);
		while (err == AGAIN);
	w->hit = false;
	w->links = NULL;	/* the caller takes them off */
	pass_on();
	return err;
}

int wait_file(struct file *f, int kfd, uint64_t until_us)
{
	struct pollfd k[1 + WAIT_FDS];
	struct link l;
	int err;

	k[0] = (struct pollfd){ .fd = kfd, .events = POLLIN };
	f->refs++;
	link_add(&l, f, waiter_self());
	err = wait_sleep(f->home, k, kfd >= 0 ? 1 : 0, until_us, NULL);
	link_del(&l, f);
	if (f->sock < 0)
		err = -EBADF;		/* closed meanwhile */
	file_put(f);
	if (err == -EINTR && until_us == FOREVER && handlers_restart())
		return 0;
	return err == -ETIMEDOUT ? -EAGAIN : err;
}

uint64_t until_from_ms(int timeout)
{
	return timeout < 0 ? FOREVER : now_us() + (uint64_t)timeout * 1000u;
}
