#include "libclient/client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/*
 * A byte pipe between two ids of a context.  Its write end may be used by any
 * thread, so that one can wake another's epoll_wait; all else is the owner's.
 *
 * slot.obj = pipe index * 2 + end (0: read, 1: write).
 */

#define PIPE_BYTES	65536u

struct pipe {
	pthread_mutex_t lock;
	bool used, open[2];
	int sockid[2];
	uint32_t head, count;
	uint8_t *bytes;		/* PIPE_BYTES, around */
};

static struct pipe *pipe_of(struct mtcp_context *x, const struct slot *s)
{
	return x->pipes[s->obj / 2];
}

static uint32_t end_of(const struct slot *s)
{
	return s->obj & 1;
}

static int pipe_new(struct mtcp_context *x)
{
	struct pipe **list, *p;
	uint32_t i = 0;

	while (i < x->pipe_count && x->pipes[i]->used)
		i++;
	if (i == x->pipe_count) {
		list = realloc(x->pipes, (i + 1) * sizeof(*list));
		if (!list)
			return -ENOMEM;
		x->pipes = list;
		p = calloc(1, sizeof(*p));
		if (!p)
			return -ENOMEM;
		pthread_mutex_init(&p->lock, NULL);
		x->pipes[x->pipe_count++] = p;
	}
	p = x->pipes[i];
	p->bytes = malloc(PIPE_BYTES);
	if (!p->bytes)
		return -ENOMEM;
	p->used = p->open[0] = p->open[1] = true;
	p->head = p->count = 0;
	return (int)i;
}

static int open_ends(struct mtcp_context *x, struct pipe *p, uint32_t index,
		     int pipeid[2])
{
	int rd = sockid_alloc(&x->ids, SLOT_PIPE, index * 2), wr;

	if (rd < 0)
		return rd;
	wr = sockid_alloc(&x->ids, SLOT_PIPE, index * 2 + 1);
	if (wr < 0) {
		sockid_free(&x->ids, (uint32_t)rd);
		return wr;
	}
	pipeid[0] = p->sockid[0] = rd;
	pipeid[1] = p->sockid[1] = wr;
	return 0;
}

MTCP_PUBLIC int mtcp_pipe(mctx_t mctx, int pipeid[2])
{
	struct mtcp_context *x = ctx_enter(mctx);
	int i, err;

	if (!x)
		return -1;
	i = pipeid ? pipe_new(x) : -EFAULT;
	err = i < 0 ? i : open_ends(x, x->pipes[i], (uint32_t)i, pipeid);
	if (!err)
		return 0;
	if (i >= 0) {
		free(x->pipes[i]->bytes);
		x->pipes[i]->used = false;
	}
	errno = -err;
	return -1;
}

uint32_t pipe_ready(struct mtcp_context *x, const struct slot *s)
{
	struct pipe *p = pipe_of(x, s);
	uint32_t bits = 0;

	pthread_mutex_lock(&p->lock);
	if (end_of(s) == 0) {
		if (p->count || !p->open[1])
			bits = MTCP_EPOLLIN | MTCP_EPOLLRDNORM;
		if (!p->open[1])
			bits |= MTCP_EPOLLHUP;
	} else if (!p->open[0]) {
		bits = MTCP_EPOLLERR;
	} else if (p->count < PIPE_BYTES) {
		bits = MTCP_EPOLLOUT | MTCP_EPOLLWRNORM;
	}
	pthread_mutex_unlock(&p->lock);
	return bits;
}

static void raise_both(struct mtcp_context *x, const struct pipe *p)
{
	for (int i = 0; i < 2; i++)
		if (p->open[i])
			slot_raise(x, (uint32_t)p->sockid[i],
				   slot_ready(x, (uint32_t)p->sockid[i]));
}

/* Bytes out of the circle. */
static size_t take(struct pipe *p, uint8_t *to, size_t len)
{
	size_t n = len < p->count ? len : p->count, first;

	first = PIPE_BYTES - p->head < n ? PIPE_BYTES - p->head : n;
	memcpy(to, p->bytes + p->head, first);
	memcpy(to + first, p->bytes, n - first);
	p->head = (uint32_t)((p->head + n) % PIPE_BYTES);
	p->count -= (uint32_t)n;
	return n;
}

static size_t put(struct pipe *p, const uint8_t *from, size_t len)
{
	size_t room = PIPE_BYTES - p->count, n = len < room ? len : room, first;
	uint32_t tail = (p->head + p->count) % PIPE_BYTES;

	first = PIPE_BYTES - tail < n ? PIPE_BYTES - tail : n;
	memcpy(p->bytes + tail, from, first);
	memcpy(p->bytes, from + first, n - first);
	p->count += (uint32_t)n;
	return n;
}

static ssize_t try_read(struct pipe *p, void *buf, size_t len)
{
	ssize_t n;

	pthread_mutex_lock(&p->lock);
	if (p->count)
		n = (ssize_t)take(p, buf, len);
	else
		n = p->open[1] ? -EAGAIN : 0;
	pthread_mutex_unlock(&p->lock);
	return n;
}

ssize_t pipe_read(struct mtcp_context *x, const struct slot *s, void *buf,
		  size_t len)
{
	struct pipe *p = pipe_of(x, s);
	ssize_t n;
	int err;

	if (end_of(s) != 0)
		return -EBADF;
	if (!len)
		return 0;
	while ((n = try_read(p, buf, len)) == -EAGAIN) {
		ctx_progress(x);
		if (!(s->flags & SLOT_BLOCK))
			return try_read(p, buf, len);
		err = wait_more(x, ~0ull);
		if (err)
			return err;
	}
	if (n > 0 && p->open[1])
		slot_raise(x, (uint32_t)p->sockid[1],
			   MTCP_EPOLLOUT | MTCP_EPOLLWRNORM);
	return n;
}

/* Any thread: so nothing of the context but the kick is touched. */
ssize_t pipe_write(struct mtcp_context *x, const struct slot *s,
		   const void *buf, size_t len)
{
	struct pipe *p = pipe_of(x, s);
	ssize_t n;

	if (end_of(s) != 1)
		return -EBADF;
	pthread_mutex_lock(&p->lock);
	if (!p->open[0])
		n = -EPIPE;
	else if (p->count == PIPE_BYTES && len)
		n = -EAGAIN;
	else
		n = (ssize_t)put(p, buf, len);
	pthread_mutex_unlock(&p->lock);
	if (n > 0)
		ctx_kick(x);
	return n;
}

uint32_t pipe_unread(struct mtcp_context *x, const struct slot *s)
{
	struct pipe *p = pipe_of(x, s);
	uint32_t n;

	pthread_mutex_lock(&p->lock);
	n = end_of(s) == 0 ? p->count : 0;
	pthread_mutex_unlock(&p->lock);
	return n;
}

void pipe_kicked(struct mtcp_context *x)
{
	for (uint32_t i = 0; i < x->pipe_count; i++)
		if (x->pipes[i]->used)
			raise_both(x, x->pipes[i]);
}

void pipe_close(struct mtcp_context *x, const struct slot *s)
{
	struct pipe *p = pipe_of(x, s);
	bool last;

	pthread_mutex_lock(&p->lock);
	p->open[end_of(s)] = false;
	last = !p->open[0] && !p->open[1];
	pthread_mutex_unlock(&p->lock);
	if (!last) {
		raise_both(x, p);
		return;
	}
	free(p->bytes);
	p->bytes = NULL;
	p->used = false;
}

void pipes_free(struct mtcp_context *x)
{
	for (uint32_t i = 0; i < x->pipe_count; i++) {
		free(x->pipes[i]->bytes);
		pthread_mutex_destroy(&x->pipes[i]->lock);
		free(x->pipes[i]);
	}
	free(x->pipes);
}
