#include "libclient/client.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

/*
 * An attachment that goes through exec().
 *
 *	old image: attach_export(), attach_inherit(true), exec
 *	new image: attach_import(), a context of its own, conn_import() of each
 *	           socket, attach_end_context() of the old image's
 *
 * The descriptors keep their numbers.  The new image asks for a context, since
 * of the old one's rings it knows nothing; what it does not import is closed
 * with the old context.
 */

#define HIGH_FD		900u	/* ours, out of the way of a program's dup2() */
#define SETTLE_US	1000000u

static _Atomic int lowest = INT_MAX;

static int keep(int fd)
{
	int was = atomic_load(&lowest);

	while (fd >= 0 && fd < was &&
	       !atomic_compare_exchange_weak(&lowest, &was, fd))
		;
	return fd;
}

int fd_lowest(void)
{
	return atomic_load_explicit(&lowest, memory_order_relaxed);
}

int fd_high(int fd)
{
	struct rlimit rl;
	rlim_t from = HIGH_FD;
	int up;

	if (!the_client.fds_high || fd < 0 || fd >= (int)HIGH_FD)
		return keep(fd);
	if (getrlimit(RLIMIT_NOFILE, &rl) == 0 && rl.rlim_cur < 1024)
		from = rl.rlim_cur / 8 * 7;
	up = fcntl(fd, F_DUPFD_CLOEXEC, (int)from);
	if (up < 0)
		return keep(fd);
	close(fd);
	return keep(up);
}

void attach_export(const struct attach *at, const struct ctx_set *ctx,
		   struct attach_state *out)
{
	memset(out, 0, sizeof(*out));
	out->ctl_fd = at->ctl_fd;
	out->seg_fd = at->seg_fd;
	memcpy(out->wake_fd, at->wake_fd, sizeof(out->wake_fd));
	out->bytes = at->bytes;
	out->engines = at->engines;
	out->client_id = at->client_id;
	out->family = at->family;
	out->tag = at->tag;
	out->flags = at->flags;
	out->contexts = *ctx;
	memcpy(out->engine_cpu, at->engine_cpu, sizeof(out->engine_cpu));
	memcpy(out->rss_key, at->rss.key, sizeof(out->rss_key));
}

static void set_inherit(int fd, bool on)
{
	if (fd >= 0)
		fcntl(fd, F_SETFD, on ? 0 : FD_CLOEXEC);
}

void attach_inherit(const struct attach *at, bool on)
{
	set_inherit(at->ctl_fd, on);
	set_inherit(at->seg_fd, on);
	for (uint32_t e = 0; e < at->engines; e++)
		set_inherit(at->wake_fd[e], on);
}

/* A state that was not meant for us, or was overtaken by the daemon's end. */
static bool plausible(const struct attach_state *in)
{
	return in->engines && in->engines <= ENGINES_MAX && in->bytes &&
	       in->bytes >> SLAB_SHIFT <= SEGMENT_SLABS_MAX &&
	       fcntl(in->ctl_fd, F_GETFD) >= 0 &&
	       fcntl(in->seg_fd, F_GETFD) >= 0;
}

int attach_import(const struct attach_state *in)
{
	struct client *c = &the_client;
	struct attach *at;
	void *base;

	if (!plausible(in) || c->now)
		return -EINVAL;
	base = mmap(NULL, in->bytes, PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_NORESERVE, in->seg_fd, 0);
	if (base == MAP_FAILED)
		return -errno;
	at = attach_alloc();
	if (!at) {
		munmap(base, in->bytes);
		return -ENOMEM;
	}
	at->ctl_fd = keep(in->ctl_fd);
	at->seg_fd = keep(in->seg_fd);
	memcpy(at->wake_fd, in->wake_fd, sizeof(at->wake_fd));
	for (uint32_t e = 0; e < in->engines; e++)
		keep(at->wake_fd[e]);
	at->base = base;
	at->bytes = in->bytes;
	at->engines = in->engines;
	at->client_id = in->client_id;
	at->family = c->family = in->family;
	at->tag = in->tag;
	at->flags = in->flags;
	memcpy(at->engine_cpu, in->engine_cpu, sizeof(at->engine_cpu));
	rss_init(&at->rss, in->rss_key);
	attach_inherit(at, false);
	attach_keep(at);
	c->now = at;
	return 0;
}

static void end_context(struct mtcp_context *x, uint32_t ctx)
{
	struct ctl_request req = { .type = CTL_CONTEXT_END,
				   .context_end = { .context = ctx } };
	struct ctl_reply reply;

	pthread_mutex_lock(&the_client.lock);
	attach_request(x->at, &req, &reply, NULL, 0);
	pthread_mutex_unlock(&the_client.lock);
}

void attach_end_contexts(struct mtcp_context *x, const struct ctx_set *ctx)
{
	for (uint32_t i = 0; x->at && i < CONTEXTS_MAX; i++)
		if (ctx->bits[i / 64] >> i % 64 & 1)
			end_context(x, i);
}

/* ---- connections ---- */

bool conn_export(struct mtcp_context *x, const struct conn *c,
		 struct conn_state_record *out)
{
	(void)x;
	memset(out, 0, sizeof(*out));
	if (c->sock == HANDLE_NONE || c->sockid < 0 ||
	    (c->state != CONN_OPEN && c->state != CONN_AWAY &&
	     c->state != CONN_TAKING))
		return false;
	out->sock = c->sock;
	out->ours = c->state != CONN_AWAY;
	out->abort = c->flags & CONN_ABORT;
	out->bound = c->flags & CONN_BOUND;
	memcpy(out->local, c->local, 16);
	memcpy(out->remote, c->remote, 16);
	out->local_port = c->local_port;
	out->remote_port = c->remote_port;
	out->has_opts = c->opts != NULL;
	if (c->opts)
		out->opts = *c->opts;
	return true;
}

int conn_import(struct mtcp_context *x, const struct conn_state_record *in)
{
	uint32_t index, e = handle_engine(in->sock);
	struct conn *c;
	int id;

	if (!x->at || e >= x->engines)
		return -EINVAL;
	c = conn_new(&x->conns, CONN_AWAY, &index);
	if (!c)
		return -ENOMEM;
	id = sockid_alloc(&x->ids, SLOT_STREAM, index);
	if (id < 0) {
		conn_free(&x->conns, index);
		return id;
	}
	c->sockid = id;
	c->sock = in->sock;
	c->engine = (uint8_t)e;
	c->listener = CONN_INHERITED;
	c->flags = (uint8_t)((in->abort ? CONN_ABORT : 0) |
			     (in->bound ? CONN_BOUND : 0));
	memcpy(c->local, in->local, 16);
	memcpy(c->remote, in->remote, 16);
	c->local_port = in->local_port;
	c->remote_port = in->remote_port;
	if (in->has_opts)
		c->opts = opts_copy(&in->opts);
	if (in->ours)
		conn_ask(x, index);
	return id;
}

static bool any_taking(const struct mtcp_context *x)
{
	for (uint32_t i = 0; i < x->conns.chunks << CONN_CHUNK_BITS; i++)
		if (conn_at(&x->conns, i)->state == CONN_TAKING)
			return true;
	return false;
}

void conns_settle(struct mtcp_context *x)
{
	uint64_t until = now_us() + SETTLE_US;

	ctx_progress(x);
	while (any_taking(x)) {
		if (ctx_sleep(x, until) == -ETIMEDOUT)
			return;
		ctx_progress(x);
	}
}
