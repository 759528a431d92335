/*
 * commands.c - what clients ask for, checked
 *
 *	ring_peek -> copy out -> by type: check every field -> tcp_*
 *	                                  \-> client_bad: no correct library
 *	                                      can have written this
 *
 * Three kinds of wrong are told apart:
 *	hostile	   a type, length, block, count or handle that cannot be: the
 *		   client is not read any more, control detaches it
 *	crossing   a handle of an old generation, a socket that another context
 *		   has taken or that this client has closed: the command crossed
 *		   an event on its way; counted (stale_handles) and ignored.  The
 *		   blocks that it gives up are given up all the same.
 *	refused	   a connect or take that cannot be: answered (shm/cmd.h)
 *
 * Identity is the ring's: client and context are never read from a record.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "engine/engine_state.h"

#define BUDGET		256u	/* slots a context and turn */

typedef void command_fn(struct engine *e, struct context *c,
			const struct cmd *cmd);

static void bad(struct engine *e, struct context *c, enum detach_reason why)
{
	client_bad(e, c->client, why);
}

static void refuse(struct engine *e, struct context *c, uint32_t cookie,
		   int error, uint32_t extra)
{
	struct note n = {
		.type = EVENT_ERROR, .cookie = cookie, .sock = HANDLE_NONE,
		.error = error, .extra = extra,
	};

	event_note(e, c, &n);
}

static void answer_closed(struct engine *e, struct context *c, uint32_t cookie,
			  uint64_t sock)
{
	struct note n = {
		.type = EVENT_CLOSED, .cookie = cookie, .sock = sock,
	};

	event_note(e, c, &n);
}

/* ---- handles ---- */

/* The connection of @sock if it is alive, else 0.  Stale ones are counted,
 * impossible ones are hostile. */
static uint32_t find(struct engine *e, struct context *c, uint64_t sock)
{
	uint32_t conn = handle_index(sock);

	if (handle_engine(sock) != e->cfg.index || conn == 0 ||
	    conn > e->cfg.tcp.max_conns) {
		bad(e, c, DETACH_BAD_HANDLE);
		return 0;
	}
	if (tcp_conn_valid(e->tcp, conn, handle_generation(sock)) &&
	    !(tcp_user(e->tcp, conn)->flags & U_CLOSED))
		return conn;
	count(&e->stats.stale_handles);
	return 0;
}

/* As find(), and this context is its current one. */
static uint32_t find_own(struct engine *e, struct context *c, uint64_t sock)
{
	uint32_t conn = find(e, c, sock);
	struct tcp_user *u;

	if (!conn)
		return 0;
	u = tcp_user(e->tcp, conn);
	if (u->context != c->slot) {
		count(&e->stats.stale_handles);
		return 0;
	}
	if (u->flags & U_NAMELESS) {	/* it knows the handle now */
		u->flags &= (uint16_t)~U_NAMELESS;
		socket_list(e, conn, LIST_CONTEXT, c->slot);
	}
	u->flags &= (uint16_t)~(U_FRESH | U_HANDED);
	return conn;
}

/* ---- connect ---- */

struct pick_arg {
	struct tcp_env *tcp;
	mono_t now;
};

static bool is_free(void *arg, const struct tuple_key *key, uint16_t lport)
{
	const struct pick_arg *p = arg;

	return tcp_tuple_free(p->tcp, &key->local, lport, &key->remote,
			      key->rport, p->now);
}

/* The local TCP port: the one asked for if it is ours to use, or a free one.
 * 0, or -errno with the owning engine in @*owner for -EXDEV. */
static int choose_port(struct engine *e, const struct cmd_connect *in,
		       const struct tuple_key *key, uint16_t *lport,
		       uint32_t *owner)
{
	struct pick_arg arg = { e->tcp, e->now };

	if (!(in->flags & CMD_F_BOUND))
		return tuple_pick(&e->tuples, key, e->now, is_free, &arg, lport);
	*lport = in->local_port;
	*owner = tuple_owner(&e->tuples, key, *lport);
	if (*owner != e->cfg.index)
		return -EXDEV;
	return is_free(&arg, key, *lport) ? 0 : -EADDRINUSE;
}

/* What policy has to say of where from. */
static int connect_allowed(struct engine *e, struct client *cl,
			   const struct cmd_connect *in,
			   const struct net_path *path,
			   const struct ip_addr *src)
{
	const struct engine_policy *p = cl->policy;

	/* The kernel would get, and refuse, what the peer answers. */
	if ((in->flags & CMD_F_BOUND) &&
	    (e->cfg.shared_ports & 1u << path->port) &&
	    (ntohs(in->local_port) < e->cfg.local_port_min ||
	     ntohs(in->local_port) > e->cfg.local_port_max))
		return -EADDRNOTAVAIL;
	if (!p)
		return 0;
	if (!engine_policy_addr(p, src) ||
	    ((in->flags & CMD_F_BOUND) &&
	     !engine_policy_port(p, ntohs(in->local_port)))) {
		count(&e->stats.policy_denied);
		return -EACCES;
	}
	return 0;
}

static void connected_begins(struct engine *e, struct context *c, uint32_t conn,
			     const struct net_path *path, uint32_t cookie)
{
	struct tcp_user *u = tcp_user(e->tcp, conn);

	memcpy(tcp_path(e->tcp, conn), path, sizeof(*path));
	u->flags |= U_CONNECTING | U_NAMELESS;
	socket_list(e, conn, LIST_NAMELESS, nameless_bucket(e, c->slot, cookie));
}

/* What was set before the connect holds from the first SYN on. */
static void early_apply(struct engine *e, struct context *c, uint32_t conn,
			uint32_t cookie)
{
	uint32_t set = c->early_cookie == cookie ? c->early_set : 0;

	c->early_set = 0;
	for (uint32_t i = 1; i < CMD_OPTS; i++)
		if (set & 1u << i)
			tcp_option(e->tcp, conn, i, c->early[i], e->now);
}

static void early_option(struct context *c, const struct cmd *cmd)
{
	if (c->early_cookie != cmd->cookie)
		c->early_set = 0;
	c->early_cookie = cmd->cookie;
	c->early_set |= 1u << cmd->option.name;
	c->early[cmd->option.name] = cmd->option.value;
}

/* SO_BINDTODEVICE: the way must be by the port that was named. */
static bool wrong_port(const struct context *c, uint32_t cookie,
		       const struct net_path *path)
{
	return c->early_cookie == cookie &&
	       (c->early_set & 1u << CMD_OPT_PORT) && c->early[CMD_OPT_PORT] &&
	       c->early[CMD_OPT_PORT] != path->port + 1;
}

/* Rare, and rate-limited by the log. */
static void no_route(const struct ip_addr *to)
{
	char text[ADDR_TEXT_BYTES];

	addr_text(to, text);
	log_event_at(LOG_FAC_NET, LOG_LEVEL_WARN, LOG_EV_NO_ROUTE, 0,
		     "no route to %s: no port's "
	       "network and no line of mtcpd's routes (mtcpctl routes) has it: "
	       "mtcpctl routes add %s/32 GATEWAY, [route] in mtcpd.conf, or "
	       "follow = kernel in the port's section", text, text);
}

static int connect_checked(struct engine *e, struct context *c,
			   const struct cmd_connect *in, uint32_t *owner)
{
	struct tcp_connect tc = {
		.rport = in->remote_port, .client = c->client->slot,
		.context = c->slot, .cookie = in->cookie,
	};
	struct net_path path;
	struct ip_addr src;
	struct tuple_key key;
	int err;

	memcpy(&src, in->local_addr, sizeof(src));
	memcpy(&tc.remote, in->remote_addr, sizeof(tc.remote));
	if (!addr_is_v4(&tc.remote) || addr_is_any(&tc.remote) || !tc.rport)
		return -EADDRNOTAVAIL;
	err = net_lookup(e->net, &src, &tc.remote, &path);
	if (err == -ENETUNREACH)
		no_route(&tc.remote);
	if (err)
		return err;
	if (wrong_port(c, in->cookie, &path))
		return -ENETUNREACH;
	tc.fastopen = (in->flags & CMD_F_FASTOPEN) != 0;
	err = connect_allowed(e, c->client, in, &path, &src);
	if (err)
		return err;
	tc.local = src;
	tc.mtu = net_port_mtu(e->net, path.port);
	key = (struct tuple_key){ src, tc.remote, tc.rport };
	err = choose_port(e, in, &key, &tc.lport, owner);
	if (err)
		return err;
	if (!account_connect(c->client->account, e->now)) {
		count(&e->stats.policy_connect_rate);
		return -EAGAIN;
	}
	err = tcp_connect(e->tcp, &tc, e->now);
	if (err < 0)
		return err;
	connected_begins(e, c, (uint32_t)err, &path, in->cookie);
	early_apply(e, c, (uint32_t)err, in->cookie);
	conn_log(e, (uint32_t)err, "connecting");
	return 0;
}

/* It counts from here on, or not at all. */
static int connect_counted(struct engine *e, struct context *c,
			   const struct cmd_connect *in, uint32_t *owner)
{
	struct client *cl = c->client;
	int err;

	if (!client_opens(cl)) {
		count(&e->stats.policy_connections);
		if (cl->account)
			atomic_fetch_add_explicit(
				&cl->account->connections_refused, 1,
				memory_order_relaxed);
		return -EMFILE;
	}
	err = connect_checked(e, c, in, owner);
	if (err)
		client_closes(cl);
	return err;
}

static void do_connect(struct engine *e, struct context *c,
		       const struct cmd_connect *in)
{
	uint32_t owner = 0;
	int err;

	if ((in->flags & ~(CMD_F_BOUND | CMD_F_FASTOPEN)) ||
	    ((in->flags & CMD_F_BOUND) && !in->local_port)) {
		bad(e, c, DETACH_BAD_RECORD);
		return;
	}
	event_first_use(e, c);
	err = connect_counted(e, c, in, &owner);
	if (err)
		refuse(e, c, in->cookie, -err, owner);
}

/* ---- data ---- */

static void give_up(struct engine *e, struct context *c, uint32_t block)
{
	struct arena *a = c->client->arena;

	if (block_give_up(a, block, c->slot)) {
		bad(e, c, DETACH_BAD_BLOCK);
		return;
	}
	c->stock[block_class(a, block)]--;
	event_touch(e, c);
}

static void do_send(struct engine *e, struct context *c, const struct cmd *cmd)
{
	struct arena *a = c->client->arena;
	uint32_t block = cmd->send.block, conn;

	if (cmd->flags & ~(CMD_F_LAST | CMD_F_MORE)) {
		bad(e, c, DETACH_BAD_RECORD);
		return;
	}
	if (block_fill(a, block, c->slot, cmd->send.offset, cmd->send.len)) {
		bad(e, c, DETACH_BAD_BLOCK);
		return;
	}
	conn = cmd->sock == HANDLE_NONE ?	/* with the SYN */
	       nameless_find(e, c, cmd->cookie) : find_own(e, c, cmd->sock);
	if (conn)		/* -EPIPE: the peer learns by its events */
		tcp_send(e->tcp, conn, block, cmd->send.offset, cmd->send.len,
			 cmd->flags & CMD_F_MORE, e->now);
	else
		block_unref(a, block);
	if (cmd->flags & CMD_F_LAST)
		give_up(e, c, block);
}

static void do_consumed(struct engine *e, struct context *c,
			const struct cmd *cmd)
{
	uint32_t conn = find_own(e, c, cmd->sock);

	if (!conn)
		return;
	if (tcp_consumed(e->tcp, conn, cmd->consumed.bytes, e->now))
		bad(e, c, DETACH_BAD_COUNT);
	else if (tcp_user(e->tcp, conn)->holders)
		move_offer(e, conn);	/* the rest, for another reader */
}

static void do_want_sent(struct engine *e, struct context *c,
			 const struct cmd *cmd)
{
	uint32_t conn = find_own(e, c, cmd->sock);

	if (!conn)
		return;
	tcp_want_sent(e->tcp, conn);
	event_announce(e, conn);
}

static void do_want_blocks(struct engine *e, struct context *c,
			   const struct cmd *cmd)
{
	static const uint32_t most[BLOCK_CLASSES] = {
		[BLOCK_SMALL] = 1024, [BLOCK_LARGE] = 4096,
	};
	uint32_t cls = cmd->want_blocks.cls;

	if (cls >= BLOCK_CLASSES) {
		bad(e, c, DETACH_BAD_RECORD);
		return;
	}
	if (c->used) {		/* the first wish is the first stock */
		c->target[cls] *= 2;
		if (c->target[cls] > most[cls])
			c->target[cls] = most[cls];
	}
	event_first_use(e, c);
	event_touch(e, c);
}

static void do_return_block(struct engine *e, struct context *c,
			    const struct cmd *cmd)
{
	give_up(e, c, cmd->return_block.block);
}

/* ---- sockets ---- */

static void do_credit(struct engine *e, struct context *c,
		      const struct cmd *cmd)
{
	if (cmd->flags & CMD_F_BACK && cmd->cookie == 0) {
		accept_revoke(e, c, cmd->sock);
		return;
	}
	if (cmd->cookie == 0 || cmd->cookie > CMD_CREDIT_COOKIES) {
		bad(e, c, DETACH_BAD_RECORD);
		return;
	}
	event_first_use(e, c);
	if (accept_credit(e, c, cmd->sock, cmd->credit.cookies, cmd->cookie))
		bad(e, c, DETACH_BAD_COUNT);
}

static void do_take(struct engine *e, struct context *c, const struct cmd *cmd)
{
	uint32_t conn;

	if (cmd->flags & ~(CMD_F_READ | CMD_F_WRITE)) {
		bad(e, c, DETACH_BAD_RECORD);
		return;
	}
	conn = find(e, c, cmd->sock);
	if (c->client->bad)
		return;
	event_first_use(e, c);
	if (conn && socket_held(e, conn, c->client->slot))
		move_ask(e, conn, c, cmd->cookie, cmd->flags);
	else
		refuse(e, c, cmd->cookie, ENOENT, 0);
}

static void do_shutdown(struct engine *e, struct context *c,
			const struct cmd *cmd)
{
	uint32_t conn = find_own(e, c, cmd->sock);

	if (!conn)
		return;
	if (cmd->flags & CMD_F_READ)
		tcp_shutdown_read(e->tcp, conn, e->now);
	if (cmd->flags & CMD_F_WRITE) {
		tcp_user(e->tcp, conn)->flags |= U_FIN_SENT;
		tcp_shutdown_write(e->tcp, conn, e->now);
	}
}

/* The first holder lets go of a socket, from its current context or not. */
static void close_first(struct engine *e, struct context *c, uint32_t conn,
			const struct cmd *cmd, bool abort)
{
	struct tcp_user *u = tcp_user(e->tcp, conn);
	uint64_t sock = handle_make(e->cfg.index, u->generation, conn);
	uint32_t cookie = u->context == c->slot ? u->cookie : cmd->cookie;

	if (u->holders && socket_pass_on(e, conn)) {
		answer_closed(e, c, cookie, sock);
	} else if (u->context) {	/* its current context is told */
		socket_close(e, conn, abort);
	} else {		/* parked */
		if (abort)
			tcp_close(e->tcp, conn, true, e->now);
		socket_abandon(e, conn);
		answer_closed(e, c, cookie, sock);
	}
}

static void do_close(struct engine *e, struct context *c, const struct cmd *cmd)
{
	bool abort = cmd->flags & CMD_F_ABORT;
	uint32_t conn;

	if (cmd->sock == HANDLE_NONE) {
		conn = nameless_find(e, c, cmd->cookie);
		if (!conn)	/* its error crossed this command */
			count(&e->stats.stale_handles);
	} else {
		conn = find(e, c, cmd->sock);
	}
	if (!conn)
		return;
	if (cmd->flags & CMD_F_BACK &&
	    tcp_user(e->tcp, conn)->context == c->slot &&
	    accept_give_back(e, conn))
		answer_closed(e, c, cmd->cookie, cmd->sock);
	else if (tcp_user(e->tcp, conn)->client == c->client->slot)
		close_first(e, c, conn, cmd, abort);
	else if (socket_unhold(e, conn, c->client->slot))
		answer_closed(e, c, cmd->cookie, cmd->sock);
	else
		count(&e->stats.stale_handles);
}

static void do_option(struct engine *e, struct context *c,
		      const struct cmd *cmd)
{
	uint32_t conn;

	if (cmd->option.name == 0 || cmd->option.name >= CMD_OPTS) {
		bad(e, c, DETACH_BAD_RECORD);
		return;
	}
	if (cmd->sock == HANDLE_NONE) {
		early_option(c, cmd);
		return;
	}
	conn = find(e, c, cmd->sock);
	if (conn && !socket_held(e, conn, c->client->slot))
		conn = find_own(e, c, cmd->sock);	/* for the count */
	if (conn)		/* a value out of range changes nothing */
		tcp_option(e->tcp, conn, cmd->option.name, cmd->option.value,
			   e->now);
}

/* ---- the rings ---- */

static command_fn *const commands[CMD_TYPES] = {
	[CMD_SEND] = do_send,
	[CMD_CONSUMED] = do_consumed,
	[CMD_WANT_SENT] = do_want_sent,
	[CMD_WANT_BLOCKS] = do_want_blocks,
	[CMD_RETURN_BLOCK] = do_return_block,
	[CMD_CREDIT] = do_credit,
	[CMD_TAKE] = do_take,
	[CMD_SHUTDOWN] = do_shutdown,
	[CMD_CLOSE] = do_close,
	[CMD_OPTION] = do_option,
};

/* Runs the next record of @waiting slots; false: hostile, or it must wait. */
static bool run(struct engine *e, struct context *c, uint32_t waiting)
{
	union {
		struct cmd one;
		struct cmd_connect two;
		uint8_t bytes[2 * RING_SLOT];
	} in;
	uint32_t slots, at = c->done;

	ring_copy(&c->cmd, at, in.bytes);
	if (in.one.type == CMD_SEND && !tcp_may_send(e->tcp, c->client->slot)) {
		count(&e->stats.send_stalls);
		return false;	/* it waits, and what is behind it */
	}
	if (in.one.type == CMD_TAKE && c->client->moves >= MOVES_CLIENT)
		return false;
	slots = cmd_slots(in.one.type);
	if (slots == 0 || at + slots > waiting) {
		bad(e, c, DETACH_BAD_RECORD);
		return false;
	}
	c->done += slots;
	if (slots == 2) {	/* connect is the only one */
		ring_copy(&c->cmd, at + 1, in.bytes + RING_SLOT);
		do_connect(e, c, &in.two);
	} else {
		commands[in.one.type](e, c, &in.one);
	}
	return true;
}

/* Takes up to @budget slots; returns how many. */
static uint32_t take(struct engine *e, struct context *c, uint32_t budget)
{
	int waiting = ring_peek(&c->cmd);
	uint32_t records = 0, done;

	if (waiting < 0) {
		bad(e, c, DETACH_RING_BROKEN);
		return 0;
	}
	while (c->done < (uint32_t)waiting && c->done < budget &&
	       !c->client->bad && c->notes < NOTES_STALL &&
	       run(e, c, (uint32_t)waiting))
		records++;
	done = c->done;
	c->done = 0;
	if (done) {
		ring_release(&c->cmd, done);
		c->released = true;
		event_touch(e, c);
	}
	counter_add(&e->stats.commands, records);
	return done;
}

uint32_t command_turn(struct engine *e)
{
	uint32_t done = 0;

	for (uint32_t i = 0; i < e->active_count; i++) {
		struct client *cl = e->active[i];
		uint32_t mine = 0;

		for (struct context *c = cl->contexts; c && !cl->bad;
		     c = c->next)
			if (c->state == CONTEXT_LIVE)
				mine += take(e, c, BUDGET);
		if (mine)
			cl->last_command = e->now;
		done += mine;
	}
	return done;
}

void command_drain(struct engine *e, struct context *c)
{
	if (!c->client->bad)
		take(e, c, CMD_RING_SLOTS);
}
