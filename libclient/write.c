#include "libclient/client.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

/*
 * Writing fills granted blocks and publishes an extent a block.  Two things
 * stop it: the socket's limit of bytes that are not acknowledged yet, and a
 * stock without blocks.  Either way the engine is asked, and the socket is
 * writable again (EPOLLOUT) when it answers.
 *
 * A socket below its limit takes at least something, as programs expect that
 * were told it is writable: others leave it a reserve (stock.c), and with no
 * block left it waits for the engine's next turn, but not for memory that is
 * not there.  The first bytes of a connection are taken whole: programs rely on
 * that of a header.
 */

#define SYN_DATA_BYTES	1400u		/* what a SYN can carry, nearly */
#define LOW_WAIT_US	10000u		/* then a blocking write goes on */
#define TRIES		100		/* to have a socket before it waits */

bool conn_writable(const struct mtcp_context *x, const struct conn *c)
{
	if (opts_deferred(c))
		return stock_any(x, c->engine);
	if (c->state != CONN_OPEN || c->flags & CONN_SHUT_WR)
		return false;
	return c->sent - c->acked < c->limit && stock_serves(x, c->engine);
}

static uint32_t room_below_limit(const struct conn *c)
{
	uint32_t queued = c->sent - c->acked;

	return queued < c->limit ? c->limit - queued : 0;
}

static void starve(struct mtcp_context *x, struct conn *c, uint32_t index)
{
	stock_ask(x, c->engine);
	if (!(c->flags & CONN_STARVED) && list_push(&x->starved, index))
		c->flags |= CONN_STARVED;
}

void conn_want_room(struct mtcp_context *x, struct conn *c)
{
	struct cmd *cmd;
	uint32_t index;

	if ((c->state != CONN_OPEN && !opts_deferred(c)) || c->sockid < 0)
		return;
	index = x->ids.slot[c->sockid].obj;
	if (room_below_limit(c) || opts_deferred(c)) {
		if (stock_low(x, c->engine))
			starve(x, c, index);
		return;
	}
	if (c->flags & CONN_WANT_SENT)
		return;
	cmd = ctx_cmd(x, c->engine, CMD_WANT_SENT);
	cmd->sock = c->sock;
	cmd->cookie = conn_cookie(&x->conns, index);
	c->flags |= CONN_WANT_SENT;
}

static void send_extent(struct mtcp_context *x, struct conn *c, uint32_t index,
			uint32_t block, uint32_t offset, uint32_t len,
			bool last)
{
	struct cmd *cmd = ctx_cmd(x, c->engine, CMD_SEND);

	cmd->sock = c->sock;
	cmd->cookie = conn_cookie(&x->conns, index);
	cmd->flags = last ? CMD_F_LAST : 0;
	cmd->send.block = block;
	cmd->send.offset = (uint16_t)offset;
	cmd->send.len = (uint16_t)len;
	c->sent += len;
	x->stats.tx_bytes += len;
	x->stats.tx_records++;
}

/* Where in an iovec a write is. */
struct cursor {
	const struct iovec *iov;
	int count;
	size_t at;		/* in iov[0] */
};

static void gather(struct cursor *from, uint8_t *to, size_t len)
{
	while (len) {
		size_t n = from->iov->iov_len - from->at;

		if (n > len)
			n = len;
		if (n)
			memcpy(to, (const uint8_t *)from->iov->iov_base +
				   from->at, n);
		to += n;
		len -= n;
		from->at += n;
		if (from->at == from->iov->iov_len && len) {
			from->iov++;
			from->at = 0;
		}
	}
}

/* As much of @len as limit and stock allow; @all: with the reserve. */
static size_t fill(struct mtcp_context *x, struct conn *c, uint32_t index,
		   struct cursor *from, size_t len, bool all)
{
	size_t done = 0;

	/* What several processes write is to be whole where it can be. */
	bool whole = conn_shared(c) && len <= BLOCK_LARGE_BYTES &&
		     room_below_limit(c);

	while (done < len &&
	       (!done || all || whole || !stock_low(x, c->engine))) {
		size_t most = whole ? len : room_below_limit(c), n = len - done;
		struct room r;
		bool last;

		if (n > most)
			n = most;
		if (!n)
			break;
		r = stock_room(x, c->engine,
			       n > UINT32_MAX ? UINT32_MAX : (uint32_t)n);
		if (!r.size)
			break;
		if (n > r.size)
			n = r.size;
		gather(from, r.at, n);
		last = stock_use(x, c->engine, &r, (uint32_t)n, (uint32_t)n);
		send_extent(x, c, index, r.block, r.offset, (uint32_t)n, last);
		done += n;
	}
	return done;
}

static int may_write(const struct conn *c)
{
	switch (c->state) {
	case CONN_NEW:
		return opts_deferred(c) ? -EAGAIN : -ENOTCONN;
	case CONN_OPEN:
		return c->flags & CONN_SHUT_WR ? -EPIPE : 0;
	case CONN_CONNECTING:
	case CONN_TAKING:
	case CONN_AWAY:
		return -EAGAIN;
	case CONN_DEAD:
		return -c->error;
	default:
		return -ENOTCONN;
	}
}

/* Waits a little for blocks; true: there are some. */
static bool wait_blocks(struct mtcp_context *x, const struct conn *c)
{
	uint32_t e = c->engine;
	uint64_t until = now_us() + x->pair[e].patience_us;
	int err = 0;

	if (x->pair[e].dry)
		return false;
	while (!err || err == -EINTR) {
		stock_ask(x, e);
		ctx_progress(x);
		if (c->state != CONN_OPEN)
			return false;
		if (stock_any(x, e)) {
			stock_waited(x, e, true);
			return true;
		}
		err = ctx_sleep(x, until);
	}
	stock_waited(x, e, false);
	return false;
}

static size_t total(const struct iovec *iov, int count)
{
	size_t n = 0;

	for (int i = 0; i < count; i++)
		n += iov[i].iov_len;
	return n;
}

/* The connect that was put off, and what may go with its SYN; the rest waits
 * for the handshake. */
static size_t write_first(struct mtcp_context *x, struct conn *c,
			  uint32_t index, struct cursor *from, size_t len)
{
	if (!stock_any(x, c->engine))
		return 0;
	connect_send(x, index, c->engine);
	c->limit = SYN_DATA_BYTES;
	len = fill(x, c, index, from, len, true);
	c->limit = 0;			/* EVENT_CONNECTED tells it */
	return len;
}

/* The stock is low and this write has had its share: more comes, as a rule. */
static int wait_share(struct mtcp_context *x, struct conn *c, uint64_t until)
{
	uint64_t end = now_us() + LOW_WAIT_US;
	int err;

	conn_want_room(x, c);
	ctx_publish(x);
	err = wait_more(x, end < until ? end : until);
	return err == -EAGAIN && end < until ? 0 : err;
}

/* Nothing fits now; @some has been written.  0: try again; else why not. */
static int write_wait(struct mtcp_context *x, uint32_t index, bool block,
		      bool first, bool some, uint64_t until)
{
	struct conn *c = conn_at(&x->conns, index);
	int err;

	ctx_progress(x);
	err = may_write(c);
	conn_want(x, index, MTCP_EPOLLOUT);
	if (err && !(err == -EAGAIN && block))
		return err;
	if ((!err || opts_deferred(c)) && conn_writable(x, c)) {
		if (!some || first || !stock_low(x, c->engine))
			return 0;
		return wait_share(x, c, until);
	}
	if ((first || !some) && !err && room_below_limit(c) &&
	    (stock_any(x, c->engine) || wait_blocks(x, c)))
		return 0;
	conn_want_room(x, c);
	ctx_publish(x);
	return block ? wait_more(x, until) : -EAGAIN;
}

ssize_t conn_write(struct mtcp_context *x, int id, const struct iovec *iov,
		   int count)
{
	struct slot *s = &x->ids.slot[id];
	struct conn *c = conn_at(&x->conns, s->obj);
	struct cursor from = { iov, count, 0 };
	bool block = s->flags & SLOT_BLOCK;
	size_t len = total(iov, count), done = 0;
	uint64_t until = block ? until_of(c->opts, false) : 0;
	bool first = c->sent == 0;
	int err, tries = 0;

	conn_use(x, s->obj);
	err = may_write(c);
	if (err == -EAGAIN)
		err = 0;		/* write_wait() decides */
	while (!err && len) {
		bool here = c->state == CONN_OPEN && conn_begin(x, s->obj);

		if (!here && c->state == CONN_AWAY && tries++ < TRIES) {
			conn_use(x, s->obj);
			continue;	/* another process was faster */
		}
		if (here) {
			done += fill(x, c, s->obj, &from, len - done, first);
			conn_end(x, s->obj);
		} else if (opts_deferred(c)) {
			done += write_first(x, c, s->obj, &from, len);
		}
		if (done == len || (done && !block && !first))
			break;
		err = write_wait(x, s->obj, block, first, done > 0, until);
	}
	if (done && done < len)
		conn_want_room(x, c);
	ctx_publish(x);
	return done || !err ? (ssize_t)done : err;
}

static ssize_t any_write(mctx_t mctx, int sockid, const struct iovec *iov,
			 int count)
{
	struct mtcp_context *x = ctx_enter(mctx);
	struct slot *s;
	ssize_t n;

	if (!x)
		return -1;
	s = sockid_slot(&x->ids, sockid);
	if (!s)
		n = -EBADF;
	else if (s->type == SLOT_STREAM)
		n = conn_write(x, sockid, iov, count);
	else if (s->type == SLOT_PIPE && count == 1)
		n = pipe_write(x, s, iov->iov_base, iov->iov_len);
	else
		n = -ENOTSOCK;
	if (n >= 0)
		return n;
	errno = (int)-n;
	return -1;
}

MTCP_PUBLIC ssize_t mtcp_write(mctx_t mctx, int sockid, const char *buf,
			       size_t len)
{
	struct iovec iov = { (void *)(uintptr_t)buf, len };

	return any_write(mctx, sockid, &iov, 1);
}

MTCP_PUBLIC int mtcp_writev(mctx_t mctx, int sockid, const struct iovec *iov,
			    int numIOV)
{
	if (numIOV < 1 || !iov) {
		errno = EINVAL;
		return -1;
	}
	return (int)any_write(mctx, sockid, iov, numIOV);
}

/* ---- in place ---- */

/* The open connection of @sockid, for zero-copy writes; NULL with errno. */
static struct conn *zc_conn(struct mtcp_context *x, int sockid)
{
	struct conn *c = x ? ctx_conn(x, sockid) : NULL;
	int err = 0;

	if (c) {
		conn_use(x, x->ids.slot[sockid].obj);
		err = may_write(c);
	}
	if (!err)
		return c;
	errno = -err;
	return NULL;
}

MTCP_PUBLIC void *mtcp_zc_alloc(mctx_t mctx, int sockid, size_t len)
{
	struct mtcp_context *x = ctx_enter(mctx);
	struct conn *c = zc_conn(x, sockid);
	struct room r;

	if (!c)
		return NULL;
	if (!len || len > BLOCK_LARGE_BYTES) {
		errno = EINVAL;
		return NULL;
	}
	r = stock_take(x, c->engine, (uint32_t)len);
	if (!r.size) {
		ctx_progress(x);
		if (c->state == CONN_OPEN)
			r = stock_take(x, c->engine, (uint32_t)len);
	}
	if (!r.size)
		conn_want_room(x, c);
	ctx_publish(x);
	if (r.size)
		return r.at;
	errno = EAGAIN;
	return NULL;
}

/* The block whose first byte is @buf; BLOCK_NONE: no such. */
static uint32_t block_of(const struct mtcp_context *x, const void *buf,
			 uint32_t *size)
{
	uint64_t at = (uint64_t)((const uint8_t *)buf - x->at->base);
	uint32_t slab = (uint32_t)(at >> SLAB_SHIFT), stride;
	enum block_class cls;

	if ((const uint8_t *)buf < x->at->base || at >= x->at->bytes)
		return BLOCK_NONE;
	cls = (enum block_class)x->at->base[SLAB_CLASSES_OFFSET + slab];
	if (cls >= BLOCK_CLASSES)
		return BLOCK_NONE;
	*size = block_class_bytes(cls);
	stride = *size + BLOCK_COLOUR;
	at &= SLAB_BYTES - 1;
	return at % stride ? BLOCK_NONE :
			     block_id(slab, (uint32_t)(at / stride));
}

MTCP_PUBLIC ssize_t mtcp_zc_send(mctx_t mctx, int sockid, void *buf, size_t len)
{
	struct mtcp_context *x = ctx_enter(mctx);
	struct conn *c = zc_conn(x, sockid);
	uint32_t size = 0, block, index;

	if (!c)
		return -1;
	block = block_of(x, buf, &size);
	if (block == BLOCK_NONE || !len || len > size) {
		errno = EINVAL;
		return -1;
	}
	index = x->ids.slot[sockid].obj;
	if (!room_below_limit(c) || !conn_begin(x, index)) {
		conn_want_room(x, c);
		ctx_publish(x);
		errno = EAGAIN;
		return -1;
	}
	send_extent(x, c, index, block, 0, (uint32_t)len, true);
	ctx_publish(x);
	conn_end(x, index);
	return (ssize_t)len;
}

MTCP_PUBLIC int mtcp_zc_free(mctx_t mctx, int sockid, void *buf)
{
	struct mtcp_context *x = ctx_enter(mctx);
	struct conn *c = x ? ctx_conn(x, sockid) : NULL;
	uint32_t size, block;

	if (!c)
		return -1;
	if (!x->at)
		return 0;		/* it went with the daemon */
	block = block_of(x, buf, &size);
	if (block == BLOCK_NONE) {
		errno = EINVAL;
		return -1;
	}
	ctx_cmd(x, c->engine, CMD_RETURN_BLOCK)->return_block.block = block;
	ctx_publish(x);
	return 0;
}
