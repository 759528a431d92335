/*
 * client.h - the client library's own structures, one section a file
 *
 *	app --mtcp_*()--> context --command rings--> engines
 *	                    |  ^---- event rings ------'
 *	                    |
 *	  sockid -> slot ---+-> conn (cookie)    connections
 *	                    +-> listener         with its accept queue
 *	                    +-> pipe, epoll set
 *
 * A slot is what the application's small number names; a connection object
 * lives longer: from its cookie's first use (connect, accept credit) until the
 * engine's EVENT_CLOSED or EVENT_GONE.  Cookie = index | generation << 24.
 *
 * Attach    `struct attach` is one attachment to one run of mtcpd: segment,
 *           control socket, wake pipes.  When it is lost it is marked dead;
 *           each context notices in its own thread, fails its connections and
 *           joins the next one.
 * Idle      96 bytes of conn and 32 of slot; unread data has extents of 12 bytes.
 * Threads   A context and all below it: its owner's.  `the_client` is guarded
 *           by its lock, except the atomics.
 * Errors    Inside: 0 or -errno.  Only the public calls set errno.
 */
#ifndef LIBCLIENT_CLIENT_H
#define LIBCLIENT_CLIENT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "shm/cmd.h"
#include "shm/ctl.h"
#include "shm/event.h"
#include "shm/layout.h"
#include "shm/ring.h"
#include "shm/rss.h"
#include "shm/wake.h"

#include "libclient/include/mtcp_api.h"
#include "libclient/include/mtcp_epoll.h"
#include "libclient/include/mtcp_ext.h"

#define MTCP_PUBLIC	__attribute__((visibility("default")))

#define NONE		0xffffffffu	/* no such index */
#define CREDIT_MAX	64u		/* cookies posted a listener and engine */
#define EVENT_BATCH	256u		/* slots taken from a ring at a time */
#define CONSUMED_BATCH	16384u		/* bytes read before the engine is told */

/* ---- attach.c: control socket and segment ---- */

struct attach {
	_Atomic bool dead;
	uint32_t refs;			/* contexts and the_client; under its lock */
	int ctl_fd;
	int seg_fd;			/* the segment's, for exec() */
	int wake_fd[ENGINES_MAX];	/* write ends, one an engine */
	uint8_t *base;
	uint64_t bytes;
	uint32_t engines;
	uint32_t client_id;
	uint64_t family;		/* its number, for our children */
	uint32_t tag;			/* of the last request */
	uint32_t flags;			/* CTL_HELLO_* */
	uint32_t engine_cpu[ENGINES_MAX];
	struct rss rss;
};

struct ctx_set {			/* numbers of contexts */
	uint64_t bits[CONTEXTS_MAX / 64];
};

static inline void ctx_set_add(struct ctx_set *s, uint32_t ctx)
{
	s->bits[ctx / 64 % (CONTEXTS_MAX / 64)] |= 1ull << ctx % 64;
}

/* Everything of a process; one. */
struct client {
	pthread_mutex_t lock;
	struct attach *now;		/* NULL: not attached */
	bool inited;
	bool fds_high;			/* our descriptors: fd_high() */
	bool told;			/* that the daemon went away */
	uint64_t retry_at_us;		/* no attach before this instant */
	uint64_t backoff_us;
	char text[256];			/* mtcp_error_text() */
	uint64_t family;		/* of the last attachment; 0: none */
	struct fork_plan *plan;		/* for the child that is being made */
	struct image *image;		/* sockets of who executed us, or NULL */
	struct mtcp_context *contexts[CONTEXTS_MAX];	/* by cpu; never freed */
};
extern struct client the_client;

/* The attachment for a context, with a reference; tries to attach, not more
 * often than the back-off allows.  0 or -errno. */
int attach_get(struct attach **out, bool now);
void attach_put(struct attach *at);

/* One request and its answer.  @fds takes up to @max descriptors. */
int attach_request(struct attach *at, struct ctl_request *req,
		   struct ctl_reply *reply, int *fds, uint32_t max);

/* Client @peer may take these too; at most CTL_HOLD_MAX.  0 or -errno. */
int attach_hold(struct attach *at, uint32_t peer, const uint64_t *socks,
		uint32_t count);

/* Looks at the control socket; marks a lost attachment dead. */
bool attach_alive(struct attach *at);

/* Microseconds until the next attempt may be made. */
uint64_t attach_wait_us(void);

uint64_t now_us(void);

/* An attachment for the child that this process is about to fork. */
int attach_for_child(struct attach **out);
/* In the child: it is the parent's; only our copies of descriptors go. */
void attach_forget(struct attach *at);
/* The segment is not mapped in children that are forked from now on. */
void attach_keep(struct attach *at);

/* One that is of nothing yet; NULL. */
struct attach *attach_alloc(void);

/* ---- fork.c: sockets in a child ---- */

/* Readies what a child needs, so that it opens nothing: an attachment, rings,
 * descriptors; it holds all open sockets and is a member of all listeners.
 * The calls of all contexts must be over.  0 or -errno. */
int fork_prepare(void);
/* The child's attachment and its contexts there; NULL: there is no plan. */
struct attach *fork_attach(struct ctx_set *ctx);
/* In the parent, after fork(): the child's things are the child's. */
void fork_done(void);
/* Sees to it that a plain fork() leaves the child without our sockets. */
void fork_watch(void);

/* ---- sockid.c: ids and what they name ---- */

enum slot_type {
	SLOT_FREE, SLOT_STREAM, SLOT_LISTENER, SLOT_EPOLL, SLOT_PIPE
};

enum {				/* slot.flags */
	SLOT_QUEUED = 1,	/* on its epoll set's ready list */
	SLOT_BLOCK = 2,		/* calls wait */
};

struct slot {
	uint64_t data;		/* epoll_event.data */
	uint32_t interest;	/* epoll_event.events */
	uint32_t edge;		/* bits raised since they were last reported */
	uint32_t next, prev;	/* ready list; free: next is the free list */
	uint32_t obj;		/* index of its conn, listener, pipe, epoll set */
	uint16_t ep;		/* epoll set + 1; 0: in none */
	uint8_t type;		/* enum slot_type */
	uint8_t flags;
};
_Static_assert(sizeof(struct slot) == 32, "part of an idle connection");

struct sockids {
	struct slot *slot;
	uint32_t count;			/* ids are 0 .. count - 1 */
	uint32_t free_head, free_tail;	/* FIFO: an id rests before its reuse */
	uint32_t used;
	uint32_t wanted;		/* the next one's id + 1; 0: any */
};

int sockids_init(struct sockids *t, uint32_t count);
void sockids_fini(struct sockids *t);
/* The id that was free for longest, or -EMFILE. */
int sockid_alloc(struct sockids *t, enum slot_type type, uint32_t obj);
void sockid_free(struct sockids *t, uint32_t id);
/* NULL when @id names nothing. */
struct slot *sockid_slot(const struct sockids *t, int id);

/* ---- conn.c: connection objects and their unread data ---- */

enum conn_state {
	CONN_FREE,
	CONN_NEW,		/* socket(): nothing with the engine yet */
	CONN_CREDIT,		/* its cookie is posted as accept credit */
	CONN_QUEUED,		/* accepted by the engine, not by the app */
	CONN_CONNECTING,	/* no handle yet */
	CONN_OPEN,
	CONN_TAKING,		/* CMD_TAKE is on its way */
	CONN_DEAD,		/* error; the handle wants closing, if there is one */
	CONN_GONE,		/* taken away; nothing with the engine any more */
	CONN_CLOSING,		/* app closed it; waits for EVENT_CLOSED */
	CONN_ORPHAN,		/* app closed it while it was being taken */
	CONN_SHARED,		/* a ticket of this process is out: hands off */
	CONN_AWAY,		/* ours too, another process has it (take.c) */
};

enum {				/* conn.flags */
	CONN_FIN = 1,		/* the peer has no more to say */
	CONN_SHUT_WR = 2,	/* neither have we */
	CONN_SHUT_RD = 4,
	CONN_FLUSH = 8,		/* on the context's flush list */
	CONN_STARVED = 16,	/* waits for blocks, on the starved list */
	CONN_WANT_SENT = 32,	/* CMD_WANT_SENT is on its way */
	CONN_BOUND = 64,	/* bind() was called */
	CONN_ABORT = 128,	/* close with RST (SO_LINGER 0) */
};

enum {				/* conn.waits */
	CONN_WAITS_IN = CMD_F_READ,	/* away, and the engine was asked: it */
	CONN_WAITS_OUT = CMD_F_WRITE,	/* comes when there is something to do */
	CONN_WAITS_ROOM = 1,		/* a write stopped before it went away */
	CONN_WAITS_USE = 2,		/* it came, and was not looked at yet */
};

struct sock_opts;

struct conn {
	uint64_t sock;		/* handle; HANDLE_NONE */
	struct sock_opts *opts;	/* NULL: all defaults */
	uint8_t local[16], remote[16];
	uint32_t sent, acked, limit;	/* bytes, as in event.h */
	uint32_t rx_tail;	/* newest extent, whose next is the oldest; NONE */
	uint32_t rx_bytes;	/* unread */
	uint32_t consumed;	/* read, not yet said so */
	uint32_t next;		/* free list or accept queue */
	int32_t sockid;		/* -1: none */
	uint16_t local_port, remote_port;	/* network order */
	uint16_t listener;	/* CREDIT, QUEUED: index in the context;
				 * CONN_INHERITED: another process holds it */
	uint16_t error;		/* errno it died of; sticky */
	uint16_t so_error;	/* the same for SO_ERROR, once */
	uint8_t state;		/* enum conn_state */
	uint8_t flags;		/* CONN_* */
	uint8_t engine;
	uint8_t generation;
	uint8_t waits;		/* CONN_WAITS_*: of a shared one */
};
_Static_assert(sizeof(struct conn) + sizeof(struct slot) <= 128 + 8,
	       "an idle connection costs little");

struct extent {
	uint32_t next;
	uint32_t block;
	uint16_t offset, len;
};

#define CONN_INHERITED	UINT16_MAX

#define CONN_CHUNK_BITS	9
#define CONN_CHUNK	(1u << CONN_CHUNK_BITS)
#define CONN_MAX	(1u << 24)

struct conns {
	struct conn **chunk;
	uint32_t chunks;
	uint32_t free;		/* LIFO */
	uint32_t used;
	struct extent *extent;
	uint32_t extents, extent_free;
};

void conns_init(struct conns *t);
void conns_fini(struct conns *t);
/* A fresh connection in @state, or NULL without memory. */
struct conn *conn_new(struct conns *t, enum conn_state state, uint32_t *index);
/* Back to the pool: its cookie names nothing from now on. */
void conn_free(struct conns *t, uint32_t index);

static inline struct conn *conn_at(const struct conns *t, uint32_t index)
{
	return &t->chunk[index >> CONN_CHUNK_BITS][index & (CONN_CHUNK - 1)];
}

uint32_t conn_cookie(const struct conns *t, uint32_t index);
/* The connection of an event's cookie; NULL: it is of the past. */
struct conn *conn_find(const struct conns *t, uint32_t cookie);

/* Unread data, oldest first. */
int rx_push(struct conns *t, struct conn *c, uint32_t block, uint16_t offset,
	    uint16_t len);
struct extent *rx_front(struct conns *t, const struct conn *c);
struct extent *rx_next(struct conns *t, const struct conn *c,
		       const struct extent *e);
/* The oldest @bytes are gone; @bytes <= rx_bytes. */
void rx_drop(struct conns *t, struct conn *c, uint32_t bytes);

/* ---- ctx.c: a context, its rings ---- */

struct stock {			/* granted blocks of a class, of one engine */
	uint32_t *block;
	uint32_t count, room;
	uint64_t asked_at_us;	/* CMD_WANT_BLOCKS not yet answered; 0: none */
	uint32_t current;	/* partly filled; BLOCK_NONE */
	uint32_t fill;		/* bytes of it */
};

struct pair {			/* this context and one engine */
	struct ring cmd, event;
	struct wake_shared *engine_asleep;
	struct stock stock[BLOCK_CLASSES];
	uint32_t patience_us;	/* how long a write waits for blocks */
	bool started;		/* the engine knows that we are there */
	bool dry;		/* it waited in vain, and few came since */
};

struct index_list {		/* a list that grows */
	uint32_t *at;
	uint32_t count, room;
};

struct listener {
	/* What its brothers look at, at any time. */
	_Atomic uint64_t since_us;	/* nothing was taken of what is queued */
	_Atomic uint32_t queued;	/* CONN_QUEUED connections */
	_Atomic bool wanted;	/* the app asked for a connection: post credit */
	/* The owner's from here on. */
	uint64_t id;		/* the daemon's; 0: not joined */
	struct sock_opts *opts;
	uint8_t addr[16];
	uint16_t port;		/* network order */
	bool used;
	bool inherited;		/* a parent or a child has it too */
	bool one;		/* then: take one only, when asked for it */
	/* The preload's: other contexts listen there for the same socket of the
	 * program. */
	bool brothers;
	bool stale;		/* they gave some of it back, and none was taken */
	int32_t sockid;
	struct index_list also;	/* further sockets of it: SO_REUSEPORT */
	uint32_t backlog;
	uint32_t credit[ENGINES_MAX];	/* cookies posted or queued */
	uint32_t head, tail;		/* of those that are queued */
};

struct epoll_set {
	bool used;
	uint32_t head, tail;	/* ready ids */
	uint32_t ready;
};

struct pipe;

struct ctx_stats {
	uint64_t rx_bytes, tx_bytes, rx_records, tx_records, errors;
};

struct mtcp_context {
	int cpu;
	_Atomic bool finished;		/* destroyed: every call gives EPERM */
	pthread_t owner;
	struct attach *at;		/* NULL: not attached */
	uint32_t id;			/* the daemon's number of it */
	uint32_t home;			/* engine of connects */
	uint32_t engines;
	uint32_t unpublished;		/* bit an engine: commands to publish */
	struct wake_shared *asleep;
	int wake_rd;			/* pipe from the daemon */
	int intr_fd;			/* eventfd: signals, pipes */
	int watch_fd;			/* mtcp_context_fd(), -1: not asked for */
	uint32_t interrupts_seen;
	uint32_t looks_seen;		/* of the bell's looks (shm/wake.h) */
	uint64_t checked_us;		/* when the control socket was looked at */
	uint32_t spin_us;
	struct cmd scratch;		/* commands to nobody */
	struct pair *pair;		/* ENGINES_MAX */
	struct sockids ids;
	struct conns conns;
	struct listener **listeners;
	uint32_t listener_count;
	struct epoll_set *epolls;
	uint32_t epoll_count;
	struct pipe **pipes;
	uint32_t pipe_count;
	struct index_list flush, starved;
	_Atomic uint32_t kicked;	/* a pipe changed */
	in_addr_t rss_base;		/* host order; 0: none */
	uint32_t rss_count, rss_next;
	uint8_t rss_any_local[16];	/* a local address that we had */
	/* The preload's (preload/preload.h): what every raise calls; what is
	 * called when ctx_sleep() has taken the bell, which another thread may
	 * have armed; listeners are shared with children, and ask for
	 * connections when used. */
	void (*on_raise)(struct mtcp_context *x, uint32_t id, uint32_t bits);
	void (*on_slept)(void);
	bool prefork;
	struct ctx_stats stats, stats_last;
	uint64_t stats_at_us;
};

/* Checks a public call's context.  NULL with errno set. */
struct mtcp_context *ctx_enter(mctx_t mctx);
/* The slot of @id of type @type; NULL with errno EBADF or @wrong. */
struct slot *ctx_slot(struct mtcp_context *x, int id, enum slot_type type,
		      int wrong);
/* The connection of socket @id; NULL with errno. */
struct conn *ctx_conn(struct mtcp_context *x, int id);

/* Takes events of all engines, bounded; publishes commands. */
void ctx_progress(struct mtcp_context *x);
void ctx_publish(struct mtcp_context *x);
/* Did an engine say that brothers' connections may lie about?  @seen: once. */
bool ctx_looks(struct mtcp_context *x, bool seen);
uint64_t coarse_us(void);
/* Sleeps until something may have happened; 0, -EINTR or -ETIMEDOUT.
 * @until_us: instant, ~0: no bound. */
int ctx_sleep(struct mtcp_context *x, uint64_t until_us);
/* True when a signal asked for EINTR; it is then forgotten. */
bool ctx_interrupted(struct mtcp_context *x);
/* Prepares for sleep: 1 when there is work already. */
int ctx_arm(struct mtcp_context *x);
/* @rung: the daemon may have written the pipe. */
void ctx_disarm(struct mtcp_context *x, bool rung);

/* A command slot for engine @e; never NULL: without daemon it is scratch. */
struct cmd *ctx_cmd(struct mtcp_context *x, uint32_t e, uint8_t type);
void ctx_cmd_connect(struct mtcp_context *x, uint32_t e,
		     const struct cmd_connect *cmd);

/* Wakes every context's sleep: from signal handlers too. */
void ctx_interrupt_all(void);
void ctx_kick(struct mtcp_context *x);
/* Does what a lost daemon asks for: connections fail, or we are back. */
void ctx_check(struct mtcp_context *x);
void ctx_free(struct mtcp_context *x);
bool list_push(struct index_list *l, uint32_t v);

/* ---- join.c: attach and re-attach of a context ---- */

/* Asks @at for a context like @x: its number, rings and wake pipe. */
int join_request(const struct mtcp_context *x, struct attach *at,
		 uint32_t *id, uint64_t *rings, int *wake_rd);
/* @x goes on with @at, whose reference it takes over. */
void join_rings(struct mtcp_context *x, struct attach *at, uint64_t rings);

int ctx_join(struct mtcp_context *x, bool now);
void ctx_lost(struct mtcp_context *x);

/* ---- event_in.c: what the engines said ---- */

/* Takes up to @max slots; returns how many. */
uint32_t events_take(struct mtcp_context *x, uint32_t e, uint32_t max);
void conn_raise(struct mtcp_context *x, struct conn *c, uint32_t bits);
void conn_died(struct mtcp_context *x, struct conn *c, int error);

/* ---- stock.c: granted blocks ---- */

/* Room of up to @want bytes for engine @e: memory, its block, offset and size
 * (0: the stock is out, more is asked for). */
struct room {
	uint8_t *at;
	uint32_t block, offset, size;	/* size: bytes; 0: no room */
	uint32_t cls;
};
struct room stock_room(struct mtcp_context *x, uint32_t e, uint32_t want);
/* @used bytes of that room are taken.  True: give the block up. */
bool stock_use(struct mtcp_context *x, uint32_t e, const struct room *r,
	       uint32_t used, uint32_t want);
/* A whole block for somebody else's use; size 0: none. */
struct room stock_take(struct mtcp_context *x, uint32_t e, uint32_t want);
/* The first blocks of an engine that will be used. */
void stock_start(struct mtcp_context *x, uint32_t e);
/* More of what ran out. */
void stock_ask(struct mtcp_context *x, uint32_t e);
void stock_granted(struct mtcp_context *x, uint32_t e, const struct event *ev);
/* Partly filled blocks go back: before a sleep. */
void stock_give_up(struct mtcp_context *x);
bool stock_any(const struct mtcp_context *x, uint32_t e);
/* What is left is for those who have had nothing yet. */
bool stock_low(const struct mtcp_context *x, uint32_t e);
/* May a socket be called writable? */
bool stock_serves(const struct mtcp_context *x, uint32_t e);
/* A write waited for blocks, and they came, or not. */
void stock_waited(struct mtcp_context *x, uint32_t e, bool came);
uint8_t *block_at(const struct mtcp_context *x, uint32_t block);
void stock_reset(struct mtcp_context *x);

/* ---- accept.c: listeners ---- */

int listener_new(struct mtcp_context *x, struct listener **out);
int listener_join(struct mtcp_context *x, struct listener *l);
/* The same over another attachment, of context @ctx; the reply's id. */
int listener_request(const struct mtcp_context *x, const struct listener *l,
		     struct attach *at, uint32_t ctx, struct ctl_reply *reply);
/* Somebody waits for its connections: from now on we take some. */
void listener_want(struct mtcp_context *x, struct listener *l);
/* Until then we take none; what we got meanwhile is for others. */
void listener_rest(struct mtcp_context *x, struct listener *l);
void listener_credit(struct mtcp_context *x, struct listener *l);
/* What is queued goes to others; what comes is still ours. */
void listener_return(struct mtcp_context *x, struct listener *l);
/* Listener @id of @x listens in context @to as well, whose socket's id is
 * returned: they are brothers.  -errno; -ENOSYS: the daemon knows no such. */
int listener_branch(struct mtcp_context *x, int id, struct mtcp_context *to);
void listener_queue(struct mtcp_context *x, uint32_t index);
/* @sockid is closed; the last one of its sockets ends the listener. */
int listener_close(struct mtcp_context *x, struct listener *l, int sockid);
/* The daemon went: what was posted or queued is void. */
void listener_lost(struct mtcp_context *x, struct listener *l);

/* ---- connect.c ---- */

/* Asks engine @e to connect, or another one that is told so (EXDEV). */
void connect_send(struct mtcp_context *x, uint32_t index, uint32_t e);

/*
 * ---- take.c: sockets that several processes hold ----
 *
 *	        conn_ask: CMD_TAKE         TAKEN
 *	AWAY ------------------> TAKING --------> OPEN
 *	 ^ \                                      ^ |
 *	 |  \ conn_want: CMD_TAKE, CMD_F_READ     | |  conn_begin
 *	 |   '-- AWAY, asleep --------- TAKEN -----' |    GONE?  no: read, write,
 *	 |                                          |           publish
 *	 '------------------ GONE ------------------'  conn_end
 *
 * The first look of a call takes the socket (conn_use); who sleeps then asks
 * for it again only by conn_want, so that two sleepers do not pull it to and
 * fro.  What is read is told, and what is written is sent, between conn_begin
 * and conn_end: meanwhile the engine does not move it (shm/wake.h).
 */

/* Before a call uses a connection: back from another process, when it is
 * there.  Waits for the answer, which is the engine's next turn. */
void conn_fetch(struct mtcp_context *x, uint32_t index);

/* The same without waiting: its answer is raised like any other event. */
void conn_ask(struct mtcp_context *x, uint32_t index);

/* Away: it comes when one of @bits (EPOLL*) would hold.  Here: it was looked at,
 * and another may have it. */
void conn_want(struct mtcp_context *x, uint32_t index, uint32_t bits);

/* True: it is here and stays until conn_end(), which publishes. */
bool conn_begin_shared(struct mtcp_context *x, uint32_t index);
void conn_end_shared(struct mtcp_context *x);

static inline bool conn_shared(const struct conn *c)
{
	return c->listener == CONN_INHERITED;
}

static inline bool conn_begin(struct mtcp_context *x, uint32_t index)
{
	return !conn_shared(conn_at(&x->conns, index)) ||
	       conn_begin_shared(x, index);
}

static inline void conn_end(struct mtcp_context *x, uint32_t index)
{
	if (conn_shared(conn_at(&x->conns, index)))
		conn_end_shared(x);
}

static inline void conn_use(struct mtcp_context *x, uint32_t index)
{
	if (conn_shared(conn_at(&x->conns, index)))
		conn_fetch(x, index);
}

/* ---- move.c: sockets between contexts of this process ---- */

/* Moves open connection @id to context @to and waits until it is there, with
 * what is unread: its id there.  -errno: it stays as it is. */
int conn_move(struct mtcp_context *x, int id, struct mtcp_context *to);

/* ---- close.c ---- */

/* The app lets go of a connection: with or without the engine knowing it. */
void conn_close(struct mtcp_context *x, uint32_t index);
void conn_send_close(struct mtcp_context *x, uint32_t e, uint64_t sock,
		     uint32_t cookie, uint8_t flags);
void conn_clear_rx(struct mtcp_context *x, struct conn *c);

/* ---- read.c, write.c ---- */

/* One CMD_CONSUMED for all that was read. */
void read_flush(struct mtcp_context *x, struct conn *c);
void read_flush_all(struct mtcp_context *x);
/* mtcp_readv() with MSG_PEEK and MSG_DONTWAIT. */
ssize_t read_iov(mctx_t mctx, int sockid, const struct iovec *iov, int count,
		 int flags);
ssize_t conn_write(struct mtcp_context *x, int id, const struct iovec *iov,
		   int count);
bool conn_writable(const struct mtcp_context *x, const struct conn *c);
/* Asks to be told when it is writable again. */
void conn_want_room(struct mtcp_context *x, struct conn *c);
/* Waits for a blocking call: 0, -EAGAIN, -EINTR. */
int wait_more(struct mtcp_context *x, uint64_t until_us);
uint64_t until_of(const struct sock_opts *o, bool receive);

/* ---- epoll.c ---- */

/* EPOLL* bits that hold for socket @id now. */
uint32_t slot_ready(struct mtcp_context *x, uint32_t id);
/* Something happened to socket @id. */
void slot_raise(struct mtcp_context *x, uint32_t id, uint32_t bits);
/* Who sleeps for socket @id looks again: it went to another process. */
void slot_look(struct mtcp_context *x, uint32_t id);
/* Out of its set, whatever it is in. */
void slot_forget(struct mtcp_context *x, struct slot *s);
void epoll_close(struct mtcp_context *x, uint32_t index);

/* ---- sockopt.c ---- */

struct sock_opts {
	uint32_t set;			/* bit an enum cmd_option */
	int32_t value[CMD_OPTS];
	uint32_t rcvtimeo_ms, sndtimeo_ms;	/* 0: none */
	uint32_t rcvlowat;		/* bytes; 0: 1 */
	char device[64];		/* SO_BINDTODEVICE; empty: any */
	bool reuseaddr, reuseport;
	bool fastopen_connect;		/* TCP_FASTOPEN_CONNECT */
	bool deferred;			/* connected by its first write */
};

/* connect() was called, and waits for what is written first (RFC 7413). */
bool opts_deferred(const struct conn *c);
/* Sends what is to hold from the SYN on, before the connect to engine @e. */
void opts_early(struct mtcp_context *x, uint32_t index, uint32_t e);
/* Is there as much to read as SO_RCVLOWAT asks for? */
bool opts_readable(const struct conn *c);
/* Sends all that is set; the handle is known. */
void opts_apply(struct mtcp_context *x, struct conn *c);
struct sock_opts *opts_copy(const struct sock_opts *o);

/* ---- exec.c: an attachment goes through exec() ---- */

struct attach_state {			/* process to process, one release */
	int32_t ctl_fd, seg_fd, wake_fd[ENGINES_MAX];
	uint32_t engines, client_id, tag, flags;
	struct ctx_set contexts;
	uint64_t bytes, family;
	uint32_t engine_cpu[ENGINES_MAX];
	uint8_t rss_key[RSS_KEY_BYTES];
};

struct conn_state_record {
	uint64_t sock;
	uint8_t local[16], remote[16];
	uint16_t local_port, remote_port;
	bool ours;			/* used here last: taken at once */
	bool abort, bound, has_opts;
	struct sock_opts opts;
};

/* @fd, or the same by a high number where the_client.fds_high asks for it. */
int fd_high(int fd);
/* Below this none is ours. */
int fd_lowest(void);
void attach_export(const struct attach *at, const struct ctx_set *ctx,
		   struct attach_state *out);
/* The next exec() leaves its descriptors open, or not. */
void attach_inherit(const struct attach *at, bool on);
/* Becomes the_client.now; 0 or -errno. */
int attach_import(const struct attach_state *in);
/* The contexts of the old image; what is in them yet is closed. */
void attach_end_contexts(struct mtcp_context *x, const struct ctx_set *ctx);
/* False: it cannot go along. */
bool conn_export(struct mtcp_context *x, const struct conn *c,
		 struct conn_state_record *out);
/* The socket's id, or -errno. */
int conn_import(struct mtcp_context *x, const struct conn_state_record *in);
/* Waits for what was asked for. */
void conns_settle(struct mtcp_context *x);

/* ---- image.c: mtcp_execve() ---- */

/* In the new image: what the last one left, if it did; the_client.now. */
void image_adopt(void);
/* The sockets that context @x of the old image had. */
void image_import(struct mtcp_context *x);

/* ---- sockinfo.c: what is asked of the daemon ---- */

struct sock_info;
/* 0 or -errno; a connection that is not there is CLOSED. */
int info_get(struct mtcp_context *x, const struct conn *c,
	     struct sock_info *out);
/* The congestion control of @c, or of a new socket: enum cmd_cc. */
uint32_t info_congestion(struct mtcp_context *x, const struct conn *c);
void info_listener(const struct listener *l, struct sock_info *out);
/* An option of a listener, in every engine; all that are set.  0, -errno. */
int listener_option(struct mtcp_context *x, const struct listener *l,
		    enum cmd_option name, int32_t value);
int listener_options(struct mtcp_context *x, const struct listener *l);
/* The daemon's number of a port, or -ENODEV. */
int port_number(struct mtcp_context *x, const char *name);
/* May a socket be bound there (network order)?  0, -EACCES, or what went wrong. */
int bind_allowed(struct mtcp_context *x, const uint8_t addr[16], uint16_t port);
/* SO_LINGER of a blocking socket: shuts down and waits for the peer. */
void conn_linger(struct mtcp_context *x, uint32_t index);

/* ---- pipe.c ---- */

uint32_t pipe_ready(struct mtcp_context *x, const struct slot *s);
ssize_t pipe_read(struct mtcp_context *x, const struct slot *s, void *buf,
		  size_t len);
ssize_t pipe_write(struct mtcp_context *x, const struct slot *s,
		   const void *buf, size_t len);
uint32_t pipe_unread(struct mtcp_context *x, const struct slot *s);
void pipe_close(struct mtcp_context *x, const struct slot *s);
void pipes_free(struct mtcp_context *x);
/* Raises events of pipes that another thread wrote to. */
void pipe_kicked(struct mtcp_context *x);

/* ---- signal.c ---- */

extern _Atomic uint32_t interrupts;	/* counts what must give EINTR */

/* ---- conf.c ---- */

struct settings {
	struct mtcp_conf conf;
	bool stat_print;
	char stat_name[32];
	char socket_path[108];
};
extern struct settings the_settings;

/* Reads a file into @s.  0, or -errno with a sentence in @why. */
int conf_read(struct settings *s, const char *path, char *why, size_t why_len);
void settings_default(struct settings *s);

/* ---- addr.c: addresses in and out ---- */

int addr_from(const struct sockaddr *sa, socklen_t len, uint8_t addr[16],
	      uint16_t *port);
int addr_to(const uint8_t addr[16], uint16_t port, struct sockaddr *sa,
	    socklen_t *len);
void addr_from_v4(uint8_t addr[16], uint32_t v4);
uint32_t addr_v4(const uint8_t addr[16]);
bool addr_is_any(const uint8_t addr[16]);

/* ---- stat.c ---- */

void stat_print(struct mtcp_context *x);

#endif
