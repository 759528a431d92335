#include "libclient/client.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define CHECK_US	10000u		/* how often the control socket is asked */
#define SPIN_US		20u

/* eventfd + 1 of every context, for signal handlers; 0: none. */
static _Atomic int intr_fds[CONTEXTS_MAX];

bool list_push(struct index_list *l, uint32_t v)
{
	uint32_t room = l->room ? l->room * 2 : 64, *at;

	if (l->count == l->room) {
		at = realloc(l->at, room * sizeof(*at));
		if (!at)
			return false;
		l->at = at;
		l->room = room;
	}
	l->at[l->count++] = v;
	return true;
}

/* ---- what a public call checks first ---- */

struct mtcp_context *ctx_enter(mctx_t mctx)
{
	if (!mctx) {
		errno = EINVAL;
		return NULL;
	}
	if (atomic_load_explicit(&mctx->finished, memory_order_relaxed)) {
		errno = EPERM;
		return NULL;
	}
	return mctx;
}

struct slot *ctx_slot(struct mtcp_context *x, int id, enum slot_type type,
		      int wrong)
{
	struct slot *s = sockid_slot(&x->ids, id);

	if (!s || s->type != type) {
		errno = s ? wrong : EBADF;
		return NULL;
	}
	return s;
}

struct conn *ctx_conn(struct mtcp_context *x, int id)
{
	struct slot *s = ctx_slot(x, id, SLOT_STREAM, ENOTSOCK);

	return s ? conn_at(&x->conns, s->obj) : NULL;
}

/* ---- commands ---- */

static void wake_engine(struct mtcp_context *x, uint32_t e)
{
	ssize_t n;

	if (!wake_needed(x->pair[e].engine_asleep))
		return;
	/* A full pipe means that a wake-up is there already. */
	n = write(x->at->wake_fd[e], "", 1);
	(void)n;
}

void ctx_publish(struct mtcp_context *x)
{
	uint32_t todo = x->unpublished;

	x->unpublished = 0;
	for (uint32_t e = 0; todo; e++, todo >>= 1)
		if (todo & 1) {
			ring_publish(&x->pair[e].cmd);
			wake_engine(x, e);
		}
}

/* The engine is behind: waits for it, and notices when it is gone. */
static bool wait_for_room(struct mtcp_context *x, uint32_t e, uint32_t slots)
{
	struct ring *r = &x->pair[e].cmd;
	struct pollfd p = { .fd = x->wake_rd, .events = POLLIN };

	for (;;) {
		int room = ring_room(r, slots);

		if (room < 0) {		/* cannot be; not our daemon any more */
			atomic_store(&x->at->dead, true);
			return false;
		}
		if ((uint32_t)room >= slots)
			return true;
		x->unpublished |= 1u << e;
		ctx_publish(x);
		ring_want_room(r);
		if ((uint32_t)ring_room(r, slots) < slots) {
			poll(&p, 1, 1);
			if (!attach_alive(x->at))
				return false;
		}
	}
}

/* Room for a record; false: there is no daemon to read it. */
static bool reserve(struct mtcp_context *x, uint32_t e, uint32_t slots)
{
	if (!x->at || atomic_load_explicit(&x->at->dead, memory_order_relaxed))
		return false;
	if (ring_room(&x->pair[e].cmd, slots) < (int)slots &&
	    !wait_for_room(x, e, slots))
		return false;
	x->unpublished |= 1u << e;
	return true;
}

struct cmd *ctx_cmd(struct mtcp_context *x, uint32_t e, uint8_t type)
{
	struct cmd *c = &x->scratch;

	if (reserve(x, e, 1))
		c = ring_slot(&x->pair[e].cmd);
	*c = (struct cmd){ .type = type };
	return c;
}

/* The two slots need not be neighbours in memory: the ring may end between. */
void ctx_cmd_connect(struct mtcp_context *x, uint32_t e,
		     const struct cmd_connect *cmd)
{
	const uint8_t *bytes = (const uint8_t *)cmd;

	if (!reserve(x, e, 2))
		return;
	memcpy(ring_slot(&x->pair[e].cmd), bytes, RING_SLOT);
	memcpy(ring_slot(&x->pair[e].cmd), bytes + RING_SLOT, RING_SLOT);
}

/* ---- progress ---- */

uint64_t coarse_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
	return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u;
}

void ctx_check(struct mtcp_context *x)
{
	uint64_t t = coarse_us();

	if (x->at) {
		if (t - x->checked_us >= CHECK_US) {
			x->checked_us = t;
			attach_alive(x->at);
		}
		if (!atomic_load_explicit(&x->at->dead, memory_order_relaxed))
			return;
		ctx_lost(x);
	}
	ctx_join(x, false);
}

void ctx_progress(struct mtcp_context *x)
{
	ctx_check(x);
	if (atomic_load_explicit(&x->kicked, memory_order_relaxed) &&
	    atomic_exchange(&x->kicked, 0))
		pipe_kicked(x);
	for (uint32_t e = 0; x->at && e < x->engines; e++)
		events_take(x, e, EVENT_BATCH);
	ctx_publish(x);
	if (the_settings.stat_print)
		stat_print(x);
}

bool ctx_looks(struct mtcp_context *x, bool seen)
{
	uint32_t n = x->looks_seen;

	return x->at && wake_looks(x->asleep, seen ? &x->looks_seen : &n);
}

/* ---- sleep ---- */

static bool events_waiting(struct mtcp_context *x)
{
	for (uint32_t e = 0; e < x->engines; e++)
		if (ring_peek(&x->pair[e].event) != 0)
			return true;
	return false;
}

int ctx_arm(struct mtcp_context *x)
{
	if (!x->at)
		return 0;
	read_flush_all(x);
	stock_give_up(x);
	ctx_publish(x);
	wake_prepare(x->asleep);
	if (!events_waiting(x) && !atomic_load(&x->kicked))
		return 0;
	wake_cancel(x->asleep);
	return 1;
}

static void drain(int fd)
{
	char bytes[256];
	ssize_t n = read(fd, bytes, sizeof(bytes));

	(void)n;			/* empty is fine: it does not block */
}

void ctx_disarm(struct mtcp_context *x, bool rung)
{
	if (!x->at)
		return;
	wake_cancel(x->asleep);
	if (rung)
		drain(x->wake_rd);
}

bool ctx_interrupted(struct mtcp_context *x)
{
	uint32_t n = atomic_load_explicit(&interrupts, memory_order_relaxed);

	if (n == x->interrupts_seen)
		return false;
	x->interrupts_seen = n;
	return true;
}

/* The end of a sleep: the caller's, or the next statistics line, or the next
 * attempt to attach. */
static uint64_t sleep_end(const struct mtcp_context *x, uint64_t until_us,
			  uint64_t t)
{
	uint64_t end = until_us;

	if (the_settings.stat_print && x->stats_at_us < end)
		end = x->stats_at_us;
	if (!x->at && t + attach_wait_us() < end)
		end = t + attach_wait_us();
	return end;
}

static int poll_until(struct pollfd *p, nfds_t n, uint64_t t, uint64_t end)
{
	struct timespec ts = { 0 };

	if (end == ~0ull)
		return ppoll(p, n, NULL, NULL);
	if (end > t) {
		ts.tv_sec = (time_t)((end - t) / 1000000u);
		ts.tv_nsec = (long)((end - t) % 1000000u) * 1000;
	}
	return ppoll(p, n, &ts, NULL);
}

static int sleep_armed(struct mtcp_context *x, uint64_t t, uint64_t end)
{
	struct pollfd p[3] = {
		{ .fd = x->intr_fd, .events = POLLIN },
		{ .fd = x->wake_rd, .events = POLLIN },
		{ .fd = x->at ? x->at->ctl_fd : -1 },	/* hang-up only */
	};
	int n = poll_until(p, 3, t, end), err = n < 0 ? -errno : 0;

	if (x->at)
		wake_cancel(x->asleep);
	if (n <= 0)
		return err;
	if (p[0].revents)
		drain(x->intr_fd);
	if (p[1].revents & POLLIN)
		drain(x->wake_rd);
	if (x->at && ((p[1].revents | p[2].revents) & (POLLHUP | POLLERR)))
		attach_alive(x->at);
	return 0;
}

/* A wake-up that comes within microseconds is cheaper awaited awake, where
 * there is a core to spare. */
static bool spin(struct mtcp_context *x, uint64_t t)
{
	uint64_t end = t + x->spin_us;

	if (!x->spin_us || !x->at)
		return false;
	do
		if (events_waiting(x))
			return true;
	while (now_us() < end);
	return false;
}

static int sleep_at(struct mtcp_context *x, uint64_t until_us, uint64_t t)
{
	uint64_t end, woke;
	int err;

	if (spin(x, t) || ctx_arm(x))
		return 0;
	end = sleep_end(x, until_us, t);
	err = sleep_armed(x, t, end);
	woke = now_us();
	x->spin_us = GetNumCPUs() > 2 && woke - t < SPIN_US ? SPIN_US : 0;
	if (err)
		return err;
	return woke >= until_us ? -ETIMEDOUT : 0;
}

int ctx_sleep(struct mtcp_context *x, uint64_t until_us)
{
	uint64_t t = now_us();
	int err;

	if (t >= until_us)
		return -ETIMEDOUT;
	err = sleep_at(x, until_us, t);
	if (x->on_slept)
		x->on_slept();
	return err;
}

/* Called in signal handlers: only atomics and write(). */
void ctx_interrupt_all(void)
{
	const uint64_t one = 1;
	ssize_t n;

	for (uint32_t i = 0; i < CONTEXTS_MAX; i++) {
		int fd = atomic_load(&intr_fds[i]);

		if (fd) {
			n = write(fd - 1, &one, sizeof(one));
			(void)n;
		}
	}
}

void ctx_kick(struct mtcp_context *x)
{
	const uint64_t one = 1;
	ssize_t n;

	atomic_store(&x->kicked, 1);
	if (!pthread_equal(pthread_self(), x->owner)) {
		n = write(x->intr_fd, &one, sizeof(one));
		(void)n;
	}
}

/* ---- birth and death ---- */

static struct mtcp_context *ctx_alloc(int cpu)
{
	struct mtcp_context *x = calloc(1, sizeof(*x));

	if (!x)
		return NULL;
	x->cpu = cpu;
	x->wake_rd = x->watch_fd = -1;
	x->intr_fd = fd_high(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
	x->pair = calloc(ENGINES_MAX, sizeof(*x->pair));
	conns_init(&x->conns);
	if (x->intr_fd < 0 || !x->pair ||
	    sockids_init(&x->ids,
			 (uint32_t)the_settings.conf.max_concurrency)) {
		ctx_free(x);
		free(x);
		return NULL;
	}
	x->owner = pthread_self();
	x->interrupts_seen = atomic_load(&interrupts);
	x->stats_at_us = now_us() + 1000000u;
	return x;
}

/* Everything but the structure itself: its handle stays known as finished. */
void ctx_free(struct mtcp_context *x)
{
	for (uint32_t i = 0; i < x->listener_count; i++) {
		free(x->listeners[i]->opts);
		free(x->listeners[i]->also.at);
		free(x->listeners[i]);
	}
	pipes_free(x);
	for (uint32_t e = 0; x->pair && e < ENGINES_MAX; e++)
		for (int i = 0; i < BLOCK_CLASSES; i++)
			free(x->pair[e].stock[i].block);
	free(x->listeners);
	free(x->epolls);
	free(x->flush.at);
	free(x->starved.at);
	free(x->pair);
	conns_fini(&x->conns);
	sockids_fini(&x->ids);
	if (x->intr_fd >= 0)
		close(x->intr_fd);
	if (x->watch_fd >= 0)
		close(x->watch_fd);
	if (x->wake_rd >= 0)
		close(x->wake_rd);
}

/* The place of @cpu's context: taken while its context lives. */
static struct mtcp_context **place_of(int cpu)
{
	struct mtcp_context **at;

	if (!the_client.inited) {
		fprintf(stderr, "mtcp: mtcp_create_context() needs "
			"mtcp_init() first\n");
		errno = EPERM;
		return NULL;
	}
	if (cpu < 0 || cpu >= the_settings.conf.num_cores) {
		fprintf(stderr, "mtcp: mtcp_create_context(%d): num_cores is "
			"%d\n", cpu, the_settings.conf.num_cores);
		errno = EINVAL;
		return NULL;
	}
	at = &the_client.contexts[cpu];
	if (*at && !atomic_load(&(*at)->finished)) {
		errno = EEXIST;
		return NULL;
	}
	return at;
}

/* Puts @x at its place; a finished one's memory is used again. */
static mctx_t settle(struct mtcp_context **place, struct mtcp_context *x)
{
	struct mtcp_context *old = *place;

	if (old) {
		*old = *x;
		free(x);
		x = old;
	}
	*place = x;
	atomic_store(&intr_fds[x->cpu], x->intr_fd + 1);
	return x;
}

MTCP_PUBLIC mctx_t mtcp_create_context(int cpu)
{
	struct mtcp_context **place, *x = NULL;
	int err;

	pthread_mutex_lock(&the_client.lock);
	place = place_of(cpu);
	if (place) {
		x = ctx_alloc(cpu);
		if (x)
			x = settle(place, x);
		else
			errno = ENOMEM;
	}
	pthread_mutex_unlock(&the_client.lock);
	if (!x)
		return NULL;
	err = ctx_join(x, true);
	if (!err) {
		image_import(x);
		return x;
	}
	fprintf(stderr, "mtcp: no context for core %d: %s\n", cpu,
		the_client.text[0] ? the_client.text : strerror(-err));
	mtcp_destroy_context(x);
	errno = -err;
	return NULL;
}

static void leave(struct mtcp_context *x)
{
	struct ctl_request req = { .type = CTL_CONTEXT_END,
				   .context_end = { .context = x->id } };
	struct ctl_reply reply;

	read_flush_all(x);
	ctx_publish(x);
	pthread_mutex_lock(&the_client.lock);
	if (!atomic_load(&x->at->dead))
		attach_request(x->at, &req, &reply, NULL, 0);
	pthread_mutex_unlock(&the_client.lock);
	attach_put(x->at);
	x->at = NULL;
}

MTCP_PUBLIC void mtcp_destroy_context(mctx_t mctx)
{
	struct mtcp_context *x = ctx_enter(mctx);

	if (!x)
		return;
	atomic_store(&intr_fds[x->cpu], 0);
	atomic_store(&x->finished, true);
	if (x->at)
		leave(x);
	ctx_free(x);
}
