#include "libclient/preload/preload.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Two tables of pointers, mapped whole and touched where used. */
static struct file *_Atomic *_Atomic by_fd;
static struct file **by_sock;
static int top;				/* by_fd is empty from here on */
static struct file *spares;
static pthread_mutex_t big = PTHREAD_MUTEX_INITIALIZER;

__thread bool inside __attribute__((tls_model("initial-exec")));

static void *reserve(void)
{
	void *p = mmap(NULL, PRELOAD_FDS * sizeof(void *),
		       PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

/* Who is cancelled must not take the lock along. */
static __thread int cancel_state __attribute__((tls_model("initial-exec")));

void big_lock(void)
{
	int state;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	pthread_mutex_lock(&big);
	cancel_state = state;
	inside = true;
}

void big_unlock(void)
{
	int state = cancel_state;

	inside = false;
	pthread_mutex_unlock(&big);
	pthread_setcancelstate(state, NULL);
}

struct file *table_at(int fd)
{
	struct file *_Atomic *t = atomic_load_explicit(&by_fd,
						       memory_order_acquire);

	return t ? atomic_load_explicit(&t[fd], memory_order_acquire) : NULL;
}

struct file *table_peek(int fd)
{
	if ((unsigned int)fd >= PRELOAD_FDS || inside)
		return NULL;
	return table_at(fd);
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

struct file *table_lock(int fd)
{
	struct file *f;

	if (!table_sock(fd))
		return NULL;
	big_lock();
	f = table_at(fd);
	if (f && f->sock >= 0)
		return f;
	big_unlock();
	return NULL;
}

struct file *table_lock_set(int fd)
{
	struct file *f = table_peek(fd);

	if (!f || f->kind != FILE_EPOLL)
		return NULL;
	big_lock();
	f = table_at(fd);
	if (f && f->kind == FILE_EPOLL)
		return f;
	big_unlock();
	return NULL;
}

static bool open_tables(void)
{
	if (!by_sock)
		by_sock = reserve();
	if (!by_fd)
		by_fd = reserve();
	return by_fd && by_sock;
}

static struct file *file_alloc(void)
{
	struct file *f = spares;

	if (!f)
		return calloc(1, sizeof(*f));
	spares = f->spare;
	memset((char *)f + offsetof(struct file, refs), 0,
	       sizeof(*f) - offsetof(struct file, refs));
	return f;
}

struct file *file_new(int fd, enum file_kind kind)
{
	struct file *f;

	if ((unsigned int)fd >= PRELOAD_FDS || !open_tables())
		return NULL;
	f = file_alloc();
	if (!f)
		return NULL;
	f->kind = (uint8_t)kind;
	f->sock = -1;
	f->fd = fd;
	file_add(f, fd);
	return f;
}

void file_add(struct file *f, int fd)
{
	f->refs++;
	f->fds++;
	if (fd >= top)
		top = fd + 1;
	atomic_store_explicit(&by_fd[fd], f, memory_order_release);
}

void file_put(struct file *f)
{
	if (--f->refs)
		return;
	epset_forget(f);
	if (f->set)
		epset_free(f);
	f->spare = spares;
	spares = f;
}

void file_close_sock(struct file *f)
{
	int sock = f->sock;

	if (sock < 0)
		return;
	f->sock = -1;
	by_sock[sock] = NULL;
	mtcp_close(context_now(), sock);
}

void file_drop(int fd)
{
	struct file *f = table_at(fd);

	if (!f)
		return;
	atomic_store_explicit(&by_fd[fd], NULL, memory_order_release);
	if (--f->fds == 0) {
		epset_forget(f);
		file_close_sock(f);
		file_wake(f);
	}
	file_put(f);
}

struct file *file_of_sock(uint32_t id)
{
	return by_sock && id < PRELOAD_FDS ? by_sock[id] : NULL;
}

void file_set_sock(struct file *f, int sock)
{
	f->sock = sock;
	by_sock[sock] = f;
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
	struct mtcp_context *x = context_now();
	struct slot *s = f->sock >= 0 ? &x->ids.slot[f->sock] : NULL;

	if (f->set && x)
		return epset_bits(f);
	if (!s)
		return 0;
	if (s->type == SLOT_LISTENER)
		return x->listeners[s->obj]->queued ? EPOLLIN | EPOLLRDNORM : 0;
	return stream_bits(x, conn_at(&x->conns, s->obj));
}

void file_want(struct file *f, uint32_t bits)
{
	struct mtcp_context *x = context_now();
	struct slot *s = f->sock >= 0 ? &x->ids.slot[f->sock] : NULL;

	if (s && s->type == SLOT_LISTENER)
		listener_want(x, x->listeners[s->obj]);
	else if (s && bits & (EPOLLOUT | EPOLLWRNORM))
		conn_want_room(x, conn_at(&x->conns, s->obj));
}
