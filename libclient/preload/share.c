#include "libclient/preload/preload.h"

#include <errno.h>

/*
 * Sockets that a parent and its children have.  One process uses such a
 * connection at a time: the engine moves it, with what is unread, to whoever
 * uses it next (libclient/take.c).  Reading, writing, waiting and shutting
 * down are use; close() and asking for names are not.
 */

#define FETCH_US	1000000u	/* an engine answers within a turn */
#define AGAIN_US	10000u		/* between two attempts */

void file_one(struct file *f, bool one)
{
	struct mtcp_context *x = file_context(f);
	struct slot *s = f->sock >= 0 ? &x->ids.slot[f->sock] : NULL;

	if (s && s->type == SLOT_LISTENER)
		x->listeners[s->obj]->one = one;
}

static struct conn *shared_conn(const struct file *f, uint32_t *index)
{
	struct mtcp_context *x = file_context(f);
	struct slot *s = f->sock >= 0 ? &x->ids.slot[f->sock] : NULL;
	struct conn *c;

	if (!s || s->type != SLOT_STREAM)
		return NULL;
	*index = s->obj;
	c = conn_at(&x->conns, s->obj);
	return conn_shared(c) ? c : NULL;
}

void file_ask(struct file *f)
{
	uint32_t index;

	if (shared_conn(f, &index))
		conn_ask(file_context(f), index);
}

/*
 * Who sleeps is not woken when another process takes the connection: to take
 * it back at once could cost the other what it is just writing.  A call that
 * finds it gone before it sleeps asks again, after a while.
 */
int file_wait(struct file *f, uint64_t until)
{
	uint64_t again = now_us() + AGAIN_US;
	uint32_t index;
	struct conn *c = shared_conn(f, &index);
	int err;

	if (!c || c->state != CONN_AWAY || until < again)
		return wait_file(f, -1, until);
	err = wait_file(f, -1, again);
	return err == -EAGAIN ? 0 : err;
}

int file_fetch(struct file *f)
{
	uint64_t until;
	uint32_t index;
	struct conn *c = shared_conn(f, &index);

	if (!c)
		return 0;
	ctx_progress(file_context(f));
	if (c->state != CONN_AWAY)
		return 0;
	until = now_us() + FETCH_US;
	conn_ask(file_context(f), index);
	while (c->state == CONN_TAKING) {
		int err = wait_file(f, -1, until);

		if (err == -EBADF)
			return err;
		if (err == -EAGAIN)
			return 0;
		ctx_progress(file_context(f));
	}
	return 0;
}
