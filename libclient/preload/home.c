#include "libclient/preload/preload.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

/*
 * Homes and groups: see preload.h.
 *
 *	file --> home --> group --> lock, sleepers, leader
 *	           |        ^
 *	           +-- context, its sockets' files
 *
 * A file's home changes under the locks of both; a home's group under the locks
 * of both, and only to one with a lower number, which is the order of locks.
 * So what was read of either without a lock is looked at again under it.
 */

#define MOVES_MAX	4	/* of a file that two homes want */
#define FOREIGN_MAX	16	/* calls by one other home until it moves */

struct home {
	_Atomic uint32_t joined;	/* index of its group + 1; 0: its own */
	struct mtcp_context *_Atomic x;
	struct file **by_sock;
	_Atomic bool refused;		/* mtcpd gave it no context */
};

static struct group groups[HOMES_MAX];
static _Alignas(64) struct home homes[HOMES_MAX];
static uint32_t limit = 1;
static _Atomic uint32_t threads;	/* that have a home */
static _Atomic bool any;
static _Atomic uint32_t first_home;	/* that has a context, if any has */
static pthread_mutex_t opening = PTHREAD_MUTEX_INITIALIZER;

__thread bool inside __attribute__((tls_model("initial-exec")));
__thread struct group *held __attribute__((tls_model("initial-exec")));
static __thread uint32_t own __attribute__((tls_model("initial-exec")));
static __thread int cancel_state __attribute__((tls_model("initial-exec")));

void homes_start(uint32_t count)
{
	limit = count < 1 ? 1 : count > HOMES_MAX ? HOMES_MAX : count;
}

uint32_t home_limit(void)
{
	return limit;
}

uint32_t home_self(void)
{
	if (!own)
		own = 1 + atomic_fetch_add_explicit(&threads, 1,
						    memory_order_relaxed) %
			  limit;
	return homes[own - 1].refused ? first_home : own - 1;
}

uint32_t home_first(void)
{
	return first_home;
}

bool context_any(void)
{
	return atomic_load_explicit(&any, memory_order_acquire);
}

struct mtcp_context *home_context(uint32_t home)
{
	return atomic_load_explicit(&homes[home].x, memory_order_acquire);
}

static struct group *group_of(uint32_t home)
{
	uint32_t i = atomic_load_explicit(&homes[home].joined,
					  memory_order_acquire);

	return &groups[i ? i - 1 : home];
}

bool home_is_held(uint32_t home)
{
	return group_of(home) == held;
}

/* ---- locks ---- */

/* Who is cancelled must not take a lock along, nor must a signal handler want
 * the one that its thread has. */
static void enter(void)
{
	int state;

	signals_hold();
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	inside = true;
	atomic_signal_fence(memory_order_seq_cst);
	cancel_state = state;
}

static void leave(void)
{
	int state = cancel_state;

	held = NULL;
	atomic_signal_fence(memory_order_seq_cst);
	inside = false;
	pthread_setcancelstate(state, NULL);
	signals_release();
}

void home_lock(uint32_t home)
{
	struct group *g = group_of(home);

	enter();
	pthread_mutex_lock(&g->lock);
	while (g != group_of(home)) {
		pthread_mutex_unlock(&g->lock);
		g = group_of(home);
		pthread_mutex_lock(&g->lock);
	}
	held = g;
}

void home_unlock(void)
{
	pthread_mutex_unlock(&held->lock);
	leave();
}

void all_lock(void)
{
	enter();
	for (uint32_t i = 0; i < limit; i++)
		pthread_mutex_lock(&groups[i].lock);
	held = &groups[0];
}

void all_unlock(void)
{
	for (uint32_t i = limit; i-- > 0; )
		pthread_mutex_unlock(&groups[i].lock);
	leave();
}

bool homes_lock_two(uint32_t a, uint32_t b)
{
	enter();
	for (;;) {
		struct group *g = group_of(a), *h = group_of(b);
		struct group *first = g < h ? g : h;
		struct group *second = g < h ? h : g;

		pthread_mutex_lock(&first->lock);
		if (first != second)
			pthread_mutex_lock(&second->lock);
		held = h;
		if (g == group_of(a) && h == group_of(b))
			return g != h;
		if (first != second)
			pthread_mutex_unlock(&second->lock);
		pthread_mutex_unlock(&first->lock);
	}
}

void homes_unlock_two(uint32_t a, uint32_t b)
{
	struct group *g = group_of(a), *h = group_of(b);

	pthread_mutex_unlock(&g->lock);
	if (h != g)
		pthread_mutex_unlock(&h->lock);
	leave();
}

/* ---- groups ---- */

void groups_forked(void)
{
	table_forked();
	for (uint32_t i = 0; i < limit; i++)
		wait_forked(&groups[i]);
}

/* Its first home is the one that it is named after. */
static uint32_t home_at(const struct group *g, uint32_t i)
{
	return i ? g->joined[i - 1] : (uint32_t)(g - groups);
}

struct mtcp_context *group_context(uint32_t i)
{
	return home_context(home_at(held, i));
}

/* Is a context told to look at its brothers? */
static bool told_to_look(void)
{
	bool told = held->must_look;

	for (uint32_t i = 0; i < group_homes(); i++)
		if (group_context(i) && ctx_looks(group_context(i), true))
			told = true;
	return told;
}

void group_progress(void)
{
	for (uint32_t i = 0; i < group_homes(); i++)
		if (group_context(i))
			ctx_progress(group_context(i));
	if (told_to_look())
		held->must_look = !brothers_look();
}

struct group *group_enter(uint32_t home)
{
	struct group *g = group_of(home), *back = held;

	if (g == back || pthread_mutex_trylock(&g->lock))
		return NULL;
	if (g != group_of(home)) {
		pthread_mutex_unlock(&g->lock);
		return NULL;
	}
	held = g;
	return back;
}

void group_leave(struct group *back)
{
	pthread_mutex_unlock(&held->lock);
	held = back;
}

void group_publish(void)
{
	for (uint32_t i = 0; i < group_homes(); i++)
		if (group_context(i))
			ctx_publish(group_context(i));
}

static void spares_join(struct group *to, struct group *from)
{
	struct file **at = &from->spares;

	while (*at)
		at = &(*at)->spare;
	*at = to->spares;
	to->spares = from->spares;
	from->spares = NULL;
}

static void merge(uint32_t a, uint32_t b)
{
	struct group *to, *from;

	if (!homes_lock_two(a, b)) {
		home_unlock();
		return;
	}
	to = group_of(a) < group_of(b) ? group_of(a) : group_of(b);
	from = to == group_of(a) ? group_of(b) : group_of(a);
	spares_join(to, from);
	wait_merge(to, from);
	for (uint32_t i = 0; i <= from->more; i++) {
		uint32_t h = home_at(from, i);

		to->joined[to->more++] = (uint8_t)h;
		atomic_store_explicit(&homes[h].joined,
				      (uint32_t)(to - groups) + 1,
				      memory_order_release);
	}
	from->more = 0;
	to->must_look = to->must_look || from->must_look;
	held = to;
	pthread_mutex_unlock(&from->lock);
	home_unlock();
}

/* ---- contexts ---- */

static struct file **by_sock_new(void)
{
	void *p = mmap(NULL, PRELOAD_FDS * sizeof(struct file *),
		       PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

struct mtcp_context *home_open(uint32_t home)
{
	struct home *h = &homes[home];
	struct mtcp_context *x = home_context(home);

	if (x || h->refused)
		return x;
	if (!h->by_sock)
		h->by_sock = by_sock_new();
	if (!h->by_sock) {
		errno = ENOMEM;
		return NULL;
	}
	pthread_mutex_lock(&opening);
	x = context_open(home);
	if (x && !any) {
		first_home = home;
		atomic_store_explicit(&any, true, memory_order_release);
	}
	pthread_mutex_unlock(&opening);
	if (!x && any && errno == EMFILE)
		h->refused = true;	/* [limits] contexts */
	if (!x)
		return NULL;
	atomic_store_explicit(&h->x, x, memory_order_release);
	wait_new_bell();
	return x;
}

struct file *file_of_sock(const struct mtcp_context *x, uint32_t id)
{
	struct file **by_sock = homes[x->cpu].by_sock;

	return id < PRELOAD_FDS ? by_sock[id] : NULL;
}

void file_set_sock(struct file *f, int sock)
{
	f->sock = sock;
	homes[f->home].by_sock[sock] = f;
}

void file_close_sock(struct file *f)
{
	int sock = f->sock;

	if (sock < 0)
		return;
	f->sock = -1;
	homes[f->home].by_sock[sock] = NULL;
	mtcp_close(file_context(f), sock);
}

/* ---- moving ---- */

/* An open connection, by an explicit record (conn_move()). */
static bool move_stream(struct file *f, uint32_t to)
{
	struct mtcp_context *from = file_context(f), *x = home_open(to);
	int old = f->sock, id;

	if (!x || f->kind != FILE_STREAM)
		return false;
	id = conn_move(from, old, x);
	if (id < 0)
		return false;
	homes[f->home].by_sock[old] = NULL;
	f->home = (uint8_t)to;
	file_set_sock(f, id);
	return true;
}

/* Both locks are held. */
static bool move(struct file *f, uint32_t to)
{
	if (f->links || f->watches || f->moves >= MOVES_MAX ||
	    (f->set && !epset_idle(f)))
		return false;
	f->moves++;
	if (f->sock >= 0)
		return move_stream(f, to);
	f->home = (uint8_t)to;
	return true;
}

bool home_move(int fd, uint32_t to)
{
	struct file *f = table_at(fd);
	uint32_t from;
	bool there = true;

	if (!f)
		return true;
	from = f->home;
	homes_lock_two(from, to);
	if (table_at(fd) == f && f->home == from && from != to)
		there = move(f, to);
	homes_unlock_two(from, to);
	return there;
}

void home_bring(int fd, uint32_t to)
{
	struct file *f = table_at(fd);

	if (f && !home_move(fd, to)) {
		explain_homes(fd, "share a lock", f->home, to);
		merge(f->home, to);
	}
}

/* A connection that has never been in a set goes where it is used. */
bool file_is_foreign(struct file *f)
{
	uint32_t self = home_self();

	if (f->kind != FILE_STREAM || f->in_set || f->moves >= MOVES_MAX ||
	    home_is_held(self))
		return false;
	if (f->user != self) {
		f->user = (uint8_t)self;
		f->uses = 0;
	}
	return ++f->uses >= FOREIGN_MAX;
}
