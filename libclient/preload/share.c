#include "libclient/preload/preload.h"

#include <errno.h>

/*
 * Sockets that a parent and its children have.  One process has such a
 * connection at a time: the engine moves it, with what is unread, to whoever
 * uses it next (libclient/take.c).  Reading, writing, waiting and shutting
 * down are use; close() and asking for names are not.  Who sleeps lets it go,
 * and gets it when there is something to do.
 */

#define FETCH_US	1000000u	/* an engine answers within a turn */
#define AGAIN_US	10000u		/* between two attempts */

void file_one(struct file *f, bool one)
{
	struct mtcp_context *x = file_context(f);
	struct slot *s = f->sock >= 0 ? &x->ids.slot[f->sock] : NULL;

	if (s && s->type == SLOT_LISTENER) {
		struct listener *l = x->listeners[s->obj];

		l->one = one && (l->inherited || !branch_alone(f));
	}
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

bool file_away(const struct file *f)
{
	uint32_t index;
	const struct conn *c = shared_conn(f, &index);

	return c && (c->state == CONN_AWAY || c->state == CONN_TAKING);
}

/* A daemon that knows no sleepers (CTL_HELLO_SLEEPERS) is asked now and then. */
static int wait_asking(struct file *f, uint32_t index, uint64_t until)
{
	uint64_t again = now_us() + AGAIN_US;
	int err;

	if (until < again)
		return wait_file(f, -1, until);
	err = wait_file(f, -1, again);
	if (err != -EAGAIN)
		return err;
	conn_ask(file_context(f), index);
	return 0;
}

/* Who sleeps is given the connection back when there is something to do. */
int file_wait(struct file *f, uint32_t bits, uint64_t until)
{
	uint32_t index;
	const struct conn *c = shared_conn(f, &index);

	if (c)
		conn_want(file_context(f), index, bits);
	if (c && c->state == CONN_AWAY &&
	    !(c->waits & (CONN_WAITS_IN | CONN_WAITS_OUT)))
		return wait_asking(f, index, until);
	return wait_file(f, -1, until);
}

void share_forked(void)
{
	for (int fd = 0; fd < table_top(); fd++) {
		struct file *f = table_at(fd);

		if (f && f->watches && (file_away(f) ||
					f->kind == FILE_LISTENER))
			epset_raise(f, EPOLLIN | EPOLLOUT);
	}
}

int file_fetch(struct file *f)
{
	uint64_t until;
	uint32_t index;
	struct conn *c = shared_conn(f, &index);

	if (!c)
		return 0;
	ctx_progress(file_context(f));
	until = now_us() + FETCH_US;
	while (c->state == CONN_AWAY || c->state == CONN_TAKING) {
		int err;

		conn_ask(file_context(f), index);
		err = wait_file(f, -1, until);
		if (err == -EBADF)
			return err;
		if (err == -EAGAIN)
			return 0;
		ctx_progress(file_context(f));
	}
	return 0;
}
