#include "libclient/preload/preload.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* A table of pointers, mapped whole and touched where used. */
static struct file *_Atomic *_Atomic by_fd;
static _Atomic int top;			/* by_fd is empty from here on */

/* Two threads may come here; the first one's table it is. */
static struct file *_Atomic *open_table(void)
{
	struct file *_Atomic *t = atomic_load(&by_fd), *_Atomic *was = NULL;
	void *p;

	if (t)
		return t;
	p = mmap(NULL, PRELOAD_FDS * sizeof(void *), PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		return NULL;
	if (atomic_compare_exchange_strong(&by_fd, &was, p))
		return p;
	munmap(p, PRELOAD_FDS * sizeof(void *));
	return was;
}

struct file *table_at(int fd)
{
	struct file *_Atomic *t = atomic_load_explicit(&by_fd,
						       memory_order_acquire);

	if (!t || (unsigned int)fd >= PRELOAD_FDS)
		return NULL;
	return atomic_load_explicit(&t[fd], memory_order_acquire);
}

struct file *table_peek(int fd)
{
	return inside ? NULL : table_at(fd);
}

int table_top(void)
{
	return top;
}

struct file *table_sock(int fd)
{
	struct file *f = table_peek(fd);

	return f && f->sock >= 0 ? f : NULL;
}

/* It may move, or be another, before its lock is taken. */
struct file *table_lock_any(int fd)
{
	for (;;) {
		struct file *f = table_peek(fd);
		uint32_t home;

		if (!f)
			return NULL;
		home = f->home;
		home_lock(home);
		if (table_at(fd) == f && f->home == home)
			return f;
		home_unlock();
	}
}

struct file *table_lock(int fd)
{
	struct file *f;

	if (!table_sock(fd))
		return NULL;
	f = table_lock_any(fd);
	if (f && file_is_foreign(f)) {
		home_unlock();
		home_move(fd, home_self());
		f = table_lock_any(fd);
	}
	if (!f || f->sock >= 0)
		return f;
	home_unlock();
	return NULL;
}

struct file *table_lock_set(int fd)
{
	struct file *f = table_peek(fd);

	if (!f || f->kind != FILE_EPOLL)
		return NULL;
	f = table_lock_any(fd);
	if (!f || f->kind == FILE_EPOLL)
		return f;
	home_unlock();
	return NULL;
}

uint32_t table_lock_place(int fd)
{
	for (;;) {
		struct file *f = table_at(fd);
		uint32_t home = f ? f->home : home_self();

		home_lock(home);
		if (table_at(fd) == f && (!f || f->home == home))
			return home;
		home_unlock();
	}
}

void file_lock(const struct file *f)
{
	for (;;) {
		uint32_t home = f->home;

		home_lock(home);
		if (f->home == home)
			return;
		home_unlock();
	}
}

/* By cache lines: neighbours are of other threads. */
static struct file *file_alloc(void)
{
	struct file *f = held->spares;
	const size_t bytes = (sizeof(*f) + 63) / 64 * 64;

	if (!f) {
		f = aligned_alloc(64, bytes);
		if (f)
			memset(f, 0, bytes);
		return f;
	}
	held->spares = f->spare;
	memset((char *)f + offsetof(struct file, refs), 0,
	       sizeof(*f) - offsetof(struct file, refs));
	return f;
}

/* Nobody sleeps on anything in a child. */
void table_forked(void)
{
	for (int fd = 0; fd < top; fd++) {
		struct file *f = table_at(fd);

		if (!f)
			continue;
		f->links = NULL;
		branches_forked(f);
		if (f->set)
			epset_forked(f);
	}
}

struct file *file_nameless(enum file_kind kind, uint32_t home)
{
	struct file *f = file_alloc();

	if (!f)
		return NULL;
	f->kind = (uint8_t)kind;
	f->home = (uint8_t)home;
	f->sock = -1;
	f->refs = f->fds = 1;
	return f;
}

struct file *file_new(int fd, enum file_kind kind, uint32_t home)
{
	struct file *f;

	if ((unsigned int)fd >= PRELOAD_FDS || !open_table())
		return NULL;
	f = file_nameless(kind, home);
	if (!f)
		return NULL;
	f->fd = fd;
	f->refs = f->fds = 0;
	file_add(f, fd);
	return f;
}

void file_add(struct file *f, int fd)
{
	int was = atomic_load_explicit(&top, memory_order_relaxed);

	f->refs++;
	f->fds++;
	while (fd >= was && !atomic_compare_exchange_weak(&top, &was, fd + 1))
		;
	atomic_store_explicit(&by_fd[fd], f, memory_order_release);
}

void file_put(struct file *f)
{
	if (--f->refs)
		return;
	epset_forget(f);
	if (f->set)
		epset_free(f);
	f->spare = held->spares;
	held->spares = f;
}

struct file *file_drop(int fd)
{
	struct file *f = table_at(fd), *cut = NULL;

	if (!f)
		return NULL;
	atomic_store_explicit(&by_fd[fd], NULL, memory_order_release);
	if (--f->fds == 0) {
		epset_forget(f);
		file_close_sock(f);
		file_wake(f);
		cut = branches_cut(f);
	}
	file_put(f);
	return cut;
}

/* ---- readiness, as the kernel tells it ---- */

static uint32_t stream_bits(struct mtcp_context *x, const struct conn *c)
{
	const uint32_t in = EPOLLIN | EPOLLRDNORM;
	const uint32_t out = EPOLLOUT | EPOLLWRNORM;
	uint32_t bits = 0;

	switch (c->state) {
	case CONN_DEAD:
		return in | out | EPOLLHUP | EPOLLRDHUP |
		       (c->so_error ? EPOLLERR : 0);
	case CONN_NEW:
		return out | EPOLLHUP;
	case CONN_OPEN:
		break;
	default:
		return 0;
	}
	if (opts_readable(c))
		bits |= in;
	if (c->flags & CONN_FIN)
		bits |= in | EPOLLRDHUP;
	if (c->flags & CONN_FIN && c->flags & CONN_SHUT_WR)
		bits |= EPOLLHUP;
	if (c->flags & CONN_SHUT_WR || conn_writable(x, c))
		bits |= out;
	return bits;
}

uint32_t file_bits(struct file *f)
{
	struct mtcp_context *x = file_context(f);
	struct slot *s = f->sock >= 0 ? &x->ids.slot[f->sock] : NULL;

	if (f->set && context_any())
		return epset_bits(f);
	if (!s)
		return 0;
	if (s->type == SLOT_LISTENER)
		return x->listeners[s->obj]->queued ? EPOLLIN | EPOLLRDNORM : 0;
	return stream_bits(x, conn_at(&x->conns, s->obj));
}

void file_want(struct file *f, uint32_t bits)
{
	struct mtcp_context *x = file_context(f);
	struct slot *s = f->sock >= 0 ? &x->ids.slot[f->sock] : NULL;

	if (s && s->type == SLOT_LISTENER)
		listener_want(x, x->listeners[s->obj]);
	else if (s && bits & (EPOLLOUT | EPOLLWRNORM))
		conn_want_room(x, conn_at(&x->conns, s->obj));
	if (s && s->type == SLOT_STREAM)
		conn_want(x, s->obj, bits);
}
