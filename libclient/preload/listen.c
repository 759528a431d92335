#include "libclient/preload/preload.h"

#include <errno.h>
#include <stdlib.h>

/*
 * A listener in several homes.
 *
 *	table[fd] --> trunk --> branches --> home 1: a file, a listener there
 *	              home 0             --> home 3: the same
 *
 * The program's listener is one; each home whose threads wait for its
 * connections has a listener of its own for the address, so that these belong to
 * the thread that accepts them.  mtcpd hands them out as the kernel does, to
 * who sleeps first (daemon/engine/accept.c).  What it gave to a home whose
 * threads do not come for it, it tells the others of after a while
 * (ctx_looks()): these give it back (look_into()), and then also the home's
 * credit, until somebody there waits again.
 *
 * Locks      A branch is under its home's lock, as a file that no descriptor
 *            names.  It is made under the trunk's lock and its own, and taken
 *            off under the trunk's; its place in `of` is read under either.
 * Two locks  Who holds a lock only tries another's.  A home whose lock somebody
 *            has is being served.
 */

#define STALE_US	8000u	/* so long may a connection wait for its home */

struct branches {
	struct file *_Atomic of[HOMES_MAX];	/* the trunk is one of them */
	struct listener *_Atomic l[HOMES_MAX];	/* never freed; NULL: none */
};

static struct branches *branches_of(const struct file *f)
{
	return atomic_load_explicit(&f->branches, memory_order_acquire);
}

static struct listener *listener_of(const struct file *f)
{
	struct mtcp_context *x = file_context(f);

	return x->listeners[x->ids.slot[f->sock].obj];
}

/* ---- making ---- */

static bool set_up(struct branches *b, struct file *f, struct file *t,
		   uint32_t home)
{
	struct mtcp_context *x = home_open(home);
	int id = x ? listener_branch(file_context(f), f->sock, x) : -1;

	if (id < 0)
		return false;
	t->kind = FILE_LISTENER;
	t->trunk = f;
	t->fd = f->fd;
	t->six = f->six;
	t->both = f->both;
	t->nonblock = f->nonblock;
	t->rcv_us = f->rcv_us;
	t->snd_us = f->snd_us;
	file_set_sock(t, id);
	atomic_store(&b->of[f->home], f);
	atomic_store(&b->l[f->home], listener_of(f));
	atomic_store(&b->l[home], listener_of(t));
	atomic_store(&b->of[home], t);
	epset_convert(t);
	explain_homes(f->fd, "both listen", f->home, home);
	return true;
}

/* Both locks are held. */
static bool make(struct file *f, uint32_t home)
{
	struct branches *b = branches_of(f);
	struct file *t;

	if (!b) {
		b = calloc(1, sizeof(*b));
		if (!b)
			return false;
		atomic_store_explicit(&f->branches, b, memory_order_release);
	}
	t = atomic_load(&b->of[home]);
	if (t && t->sock >= 0)
		return true;
	if (t)
		return set_up(b, f, t, home);
	t = file_nameless(FILE_LISTENER, home);
	if (t && set_up(b, f, t, home))
		return true;
	if (t)
		file_put(t);
	return false;
}

bool branch_open(int fd, uint32_t home)
{
	struct file *f = table_at(fd);
	uint32_t from;
	bool two, ok = false;

	if (!f)
		return false;
	from = f->home;
	two = homes_lock_two(from, home);
	if (table_at(fd) == f && f->home == from &&
	    f->kind == FILE_LISTENER && f->sock >= 0)
		ok = !two || make(f, home);
	homes_unlock_two(from, home);
	return ok;
}

/* ---- finding ---- */

static struct file *branch_at(const struct file *f, uint32_t home)
{
	struct branches *b = f->kind == FILE_STREAM ? NULL : branches_of(f);

	return b ? atomic_load_explicit(&b->of[home], memory_order_acquire) :
		   NULL;
}

struct file *branch_lock(int fd, uint32_t home)
{
	struct file *f = table_sock(fd), *t;

	t = f ? branch_at(f, home) : NULL;
	if (!t || t == f)
		return NULL;
	home_lock(home);
	if (table_at(fd) == f && branch_at(f, home) == t && t->sock >= 0)
		return t;
	home_unlock();
	return NULL;
}

struct file *branch_here(struct file *f, uint32_t home)
{
	struct file *t = home_is_held(home) ? branch_at(f, home) : NULL;

	if (t || home_is_held(f->home))
		return t ? t : f;
	for (uint32_t h = 0; h < home_limit(); h++) {
		t = home_is_held(h) ? branch_at(f, h) : NULL;
		if (t)
			return t;
	}
	return NULL;
}

bool branch_wanted(const struct file *f)
{
	return !home_is_held(home_self()) &&
	       (f->links || f->watches || branch_at(f, home_self()));
}

static const struct branches *all_of(const struct file *f)
{
	return branches_of(f->trunk ? f->trunk : f);
}

bool branch_waiting(const struct file *f, uint32_t *home)
{
	const struct branches *b = all_of(f);
	bool own;

	if (!b)
		return false;
	own = atomic_load(&b->of[home_self()]) != NULL;
	for (uint32_t h = 0; h < home_limit(); h++) {
		struct listener *l = atomic_load(&b->l[h]);

		if (!l || h == f->home ||
		    !atomic_load_explicit(&l->queued, memory_order_relaxed) ||
		    (own && coarse_us() - atomic_load(&l->since_us) < STALE_US))
			continue;
		*home = h;
		return true;
	}
	return false;
}

bool branch_alone(const struct file *f)
{
	const struct branches *b = all_of(f);

	for (uint32_t h = 0; b && h < home_limit(); h++) {
		struct listener *l = atomic_load(&b->l[h]);

		if (l && h != f->home &&
		    atomic_load_explicit(&l->wanted, memory_order_relaxed))
			return false;
	}
	return true;
}

/* ---- ending ---- */

struct file *branches_cut(struct file *f)
{
	struct branches *b = branches_of(f);
	struct file *cut = NULL, *t;

	for (uint32_t h = 0; b && h < home_limit(); h++) {
		atomic_store(&b->l[h], NULL);
		t = atomic_exchange(&b->of[h], NULL);
		if (!t || t == f)
			continue;
		t->spare = cut;
		cut = t;
	}
	return cut;
}

void branches_end(struct file *cut)
{
	while (cut) {
		struct file *t = cut;

		cut = t->spare;
		home_lock(t->home);
		t->fds = 0;
		t->trunk = NULL;
		epset_forget(t);
		file_close_sock(t);
		file_wake(t);
		file_put(t);
		home_unlock();
	}
}

void branches_stop(int fd)
{
	struct file *f = table_at(fd), *t;
	struct branches *b = f ? branches_of(f) : NULL;

	for (uint32_t h = 0; b && h < home_limit(); h++) {
		atomic_store(&b->l[h], NULL);
		t = branch_at(f, h);
		if (!t || t == f)
			continue;
		home_lock(h);
		if (branch_at(f, h) == t && t->sock >= 0) {
			epset_back(t);
			file_close_sock(t);
			t->kind = FILE_PENDING;
			t->both = false;
			file_wake(t);
		}
		home_unlock();
	}
}

void branches_again(int fd)
{
	struct file *f = table_at(fd), *t;

	for (uint32_t h = 0; f && h < home_limit(); h++) {
		t = branch_at(f, h);
		if (t && t != f && t->sock < 0)
			branch_open(fd, h);
	}
}

void branches_each(int fd, void (*what)(struct file *branch, const void *arg),
		   const void *arg)
{
	const struct file *f = table_at(fd);

	for (uint32_t h = 0; f && branches_of(f) && h < home_limit(); h++) {
		struct file *t = branch_lock(fd, h);

		if (!t)
			continue;
		what(t, arg);
		home_unlock();
	}
}

void branches_forked(struct file *f)
{
	for (uint32_t h = 0; h < home_limit(); h++) {
		struct file *t = branch_at(f, h);

		if (!t)
			continue;
		t->links = NULL;
		if (t->watches)		/* it asks for its own credit */
			epset_raise(t, EPOLLIN);
	}
}

/* ---- what is left lying ---- */

void listener_unwatched(struct file *f)
{
	struct listener *l;

	if (f->kind != FILE_LISTENER || f->sock < 0 || f->watches || f->links)
		return;
	l = listener_of(f);
	if (!l->wanted || !(l->inherited || l->brothers))
		return;
	listener_rest(file_context(f), l);
	ctx_publish(file_context(f));
}

/* Once it may be slow, twice it does not come: who waits there asks again. */
static void look_at(struct mtcp_context *x, struct listener *l)
{
	struct file *f = file_of_sock(x, (uint32_t)l->sockid);

	if (!f || branch_alone(f))
		return;
	if (!l->stale) {
		l->stale = true;
		listener_return(x, l);
		return;
	}
	l->stale = false;
	listener_rest(x, l);
	epset_raise(f, EPOLLIN);
}

static void look_into(struct mtcp_context *x)
{
	ctx_progress(x);
	for (uint32_t i = 0; i < x->listener_count; i++) {
		struct listener *l = x->listeners[i];

		if (l->used && l->brothers && l->queued && l->sockid >= 0)
			look_at(x, l);
	}
	ctx_publish(x);
}

bool brothers_look(void)
{
	bool all = true;

	for (uint32_t h = 0; h < home_limit(); h++) {
		struct group *back;

		if (!home_context(h) || home_is_held(h))
			continue;
		back = group_enter(h);
		if (back) {
			look_into(home_context(h));
			group_leave(back);
		}
		all = all && back;
	}
	return all;
}
