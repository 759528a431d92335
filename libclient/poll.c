#include "libclient/client.h"

#include <errno.h>
#include <poll.h>

/* Waiting of calls: blocking sockets, and poll() over socket ids. */

int wait_more(struct mtcp_context *x, uint64_t until_us)
{
	int err;

	if (ctx_interrupted(x))
		return -EINTR;
	err = ctx_sleep(x, until_us);
	if (err == -EINTR)
		ctx_interrupted(x);
	return err == -ETIMEDOUT ? -EAGAIN : err;
}

uint64_t until_of(const struct sock_opts *o, bool receive)
{
	uint32_t ms = 0;

	if (o)
		ms = receive ? o->rcvtimeo_ms : o->sndtimeo_ms;
	return ms ? now_us() + (uint64_t)ms * 1000u : ~0ull;
}

/* The low bits of EPOLL* and POLL* are the same numbers. */
_Static_assert(POLLIN == MTCP_EPOLLIN && POLLOUT == MTCP_EPOLLOUT &&
	       POLLERR == MTCP_EPOLLERR && POLLHUP == MTCP_EPOLLHUP &&
	       POLLRDHUP == MTCP_EPOLLRDHUP && POLLRDNORM == MTCP_EPOLLRDNORM,
	       "mtcp_poll() hands bits through");

static short look_at(struct mtcp_context *x, const struct pollfd *p, bool first)
{
	struct slot *s = sockid_slot(&x->ids, p->fd);
	uint32_t bits;

	if (!s)
		return POLLNVAL;
	if (s->type == SLOT_STREAM && first)
		conn_use(x, s->obj);
	bits = slot_ready(x, (uint32_t)p->fd);
	/* poll() calls the end of the stream readable, whoever asks. */
	if (bits & MTCP_EPOLLRDHUP)
		bits |= MTCP_EPOLLIN | MTCP_EPOLLRDNORM;
	if (s->type == SLOT_STREAM && p->events & POLLOUT && !(bits & POLLOUT))
		conn_want_room(x, conn_at(&x->conns, s->obj));
	if (s->type == SLOT_STREAM)
		conn_want(x, s->obj, (uint16_t)p->events & ~bits);
	return (short)(bits & ((uint16_t)p->events | POLLERR | POLLHUP));
}

static int look(struct mtcp_context *x, struct pollfd *fds, nfds_t count,
		bool first)
{
	int n = 0;

	ctx_progress(x);
	for (nfds_t i = 0; i < count; i++) {
		fds[i].revents = fds[i].fd < 0 ? 0 : look_at(x, &fds[i], first);
		n += fds[i].revents != 0;
	}
	ctx_publish(x);
	return n;
}

MTCP_PUBLIC int mtcp_poll(mctx_t mctx, struct pollfd *fds, nfds_t count,
			  int timeout)
{
	struct mtcp_context *x = ctx_enter(mctx);
	uint64_t until;
	int n, err;

	if (!x)
		return -1;
	if (count && !fds) {
		errno = EFAULT;
		return -1;
	}
	n = look(x, fds, count, true);
	if (n || timeout == 0)
		return n;
	until = timeout < 0 ? ~0ull : now_us() + (uint64_t)timeout * 1000u;
	do {
		err = wait_more(x, until);
		if (err == -EINTR) {
			errno = EINTR;
			return -1;
		}
		n = look(x, fds, count, false);
	} while (!n && err != -EAGAIN);
	return n;
}
