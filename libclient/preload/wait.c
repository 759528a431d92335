#include "libclient/preload/preload.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define REJOIN_US	100000u		/* a leader without daemon looks */

static struct waiter *asleep, *leader;
static __thread struct waiter self __attribute__((tls_model("initial-exec")));
static __thread bool self_made __attribute__((tls_model("initial-exec")));
static pthread_key_t key;
static pthread_once_t key_once = PTHREAD_ONCE_INIT;

static void thread_ends(void *p)
{
	const struct waiter *w = p;

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
		self = (struct waiter){
			.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC) };
		pthread_setspecific(key, &self);
		self_made = true;
	}
	return &self;
}

bool waiter_is(int fd)
{
	return self_made && self.fd == fd;
}

/* A child has none but itself, and an eventfd of its own. */
void wait_forked(void)
{
	asleep = leader = NULL;
	if (self_made)
		real()->close(self.fd);
	self_made = false;
}

static void wake(struct waiter *w)
{
	const uint64_t one = 1;
	ssize_t n;

	if (w->hit)
		return;
	w->hit = true;
	if (w->asleep) {
		n = real()->write(w->fd, &one, sizeof(one));
		(void)n;
	}
}

void link_add(struct link *l, struct file *f, struct waiter *w)
{
	*l = (struct link){ .w = w, .next = f->links };
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
	w->asleep = false;
	if (w->prev)
		w->prev->next = w->next;
	else
		asleep = w->next;
	if (w->next)
		w->next->prev = w->prev;
}

static int poll_until(struct pollfd *p, nfds_t n, uint64_t until,
		      const sigset_t *mask)
{
	uint64_t t = now_us(), left = until > t ? until - t : 0;
	struct timespec ts = { .tv_sec = (time_t)(left / 1000000u),
			       .tv_nsec = (long)(left % 1000000u) * 1000 };

	return real()->ppoll(p, n, until == FOREVER ? NULL : &ts, mask);
}

static void stop_leading(struct mtcp_context *x)
{
	leader = NULL;
	ctx_disarm(x);
	if (x->at)
		attach_alive(x->at);
	ctx_progress(x);
	if (asleep && !leader)
		wake(asleep);		/* the next to lead */
}

static void take_hit(struct waiter *w)
{
	uint64_t count;
	ssize_t n;

	if (!w->hit)
		return;
	w->hit = false;
	n = real()->read(w->fd, &count, sizeof(count));
	(void)n;
}

int wait_sleep(struct waiter *w, struct pollfd *k, nfds_t n,
	       uint64_t until_us, const sigset_t *mask)
{
	struct mtcp_context *x = context_now();
	uint64_t end = until_us;
	bool lead = false;
	int err;

	if (w->hit) {
		w->hit = false;
		return 0;
	}
	if (x && !leader) {
		if (ctx_arm(x)) {
			ctx_progress(x);
			return 0;
		}
		leader = w;
		lead = true;
	} else if (x) {
		ctx_publish(x);
	}
	k[n++] = (struct pollfd){ .fd = w->fd, .events = POLLIN };
	if (lead) {
		k[n++] = (struct pollfd){ .fd = x->wake_rd, .events = POLLIN };
		k[n++] = (struct pollfd){ .fd = x->at ? x->at->ctl_fd : -1 };
		if (!x->at && now_us() + REJOIN_US < end)
			end = now_us() + REJOIN_US;
	}
	sleepers_add(w);
	big_unlock();
	err = poll_until(k, n, end, mask) < 0 ? -errno : 0;
	big_lock();
	sleepers_del(w);
	if (lead)
		stop_leading(x);
	take_hit(w);
	if (!err && now_us() >= until_us)
		return -ETIMEDOUT;
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
