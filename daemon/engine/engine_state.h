/*
 * engine_state.h - what one engine knows; private to this folder
 *
 *	client --- contexts --- one pair of rings each
 *	   |           |  \
 *	   |           |   members: "this context accepts from that listener"
 *	   |           |
 *	   |        list CONTEXT: its sockets      waiting: sockets with events
 *	   |                                       that found the ring full
 *	   +-- list PARKED: sockets that it holds without a current context
 *	   +-- list ORPHAN: closed, TCP still works on them; may be stale
 *	   +-- holders: sockets of others that it may take
 *
 * Connections are TCP's, named by index.  What the engine adds lies in
 * tcp_user (hot) and in links[index] (touched when a socket changes hands).
 * A socket is on one list of enum list_kind at most; an orphan's entry stays
 * after TCP has freed it, and whoever gets the index next unlinks it first.
 *
 * Threads   All of it belongs to the engine's thread after engine_start(),
 *           except `stats` (anybody reads), the mailbox and the hand-over
 *           rings (their own rules).
 */
#ifndef ENGINE_ENGINE_STATE_H
#define ENGINE_ENGINE_STATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/log.h"
#include "base/pool.h"
#include "engine/capture.h"
#include "engine/engine.h"
#include "engine/handover.h"
#include "engine/tuple.h"
#include "mem/state.h"
#include "shm/cmd.h"
#include "shm/event.h"
#include "shm/layout.h"
#include "shm/record.h"
#include "shm/ring.h"
#include "shm/wake.h"

#define CONTEXTS_ALL	4096u	/* context slots an engine; 0 is none */
#define MEMBERS_ALL	4096u
#define HOLDERS_ALL	65535u
#define OUTBOX_MAILS	8192u	/* power of two, see engine_tell() */
#define NAMELESS_BUCKETS 4096u
#define NOTES_STALL	256u	/* answers waiting: read no more commands */
#define SLICE		256u	/* sockets a turn in long walks */
#define DEFERRED_MAX	64u
#define MOVES_ALL	65536u
#define MOVES_CLIENT	60u	/* then it waits with the next CMD_TAKE */

/* ---- per connection ---- */

enum user_flags {		/* tcp_user.flags */
	U_ACCEPTED = 1,		/* EVENT_ACCEPTED is to be written */
	U_TAKEN = 2,		/* EVENT_TAKEN is to be written */
	U_WAITING = 4,		/* on its context's waiting list */
	U_CLOSED = 8,		/* the last holder let go */
	U_DETACHED = 16,	/* tcp_detach() was called: hands off */
	U_CONNECTING = 32,	/* EVENT_CONNECTED was not written yet */
	U_FIN_SENT = 64,	/* the client has shut its side down */
	U_FRESH = 256,		/* accepted, and no command has named it yet */
	U_NAMELESS = 128,	/* the client may not know the handle yet */
	U_LEAVING = 512,	/* its context was told that it is gone */
	U_HANDED = 1024,	/* taken, and not used there yet */
};

enum list_kind { LIST_NONE, LIST_CONTEXT, LIST_NAMELESS, LIST_PARKED,
		 LIST_ORPHAN };

/* The engine's words for a connection beside tcp_user. */
struct link {
	uint32_t next, prev;	/* on its list; prev 0: first */
	uint32_t generation;	/* of whom this was written for */
	uint16_t owner;		/* context, client, or bucket, by kind */
	uint16_t kind;		/* enum list_kind */
	uint32_t wait_prev;	/* waiting list; next is tcp_user's */
	uint16_t handed_ms;	/* U_HANDED: when, */
	uint16_t handed_use;	/* and the in_use word that says it was used */
};

/* A further holder; the first one is tcp_user.client. */
struct holder {
	uint32_t pool_next;
	uint32_t conn;
	uint16_t client;
	uint16_t next;		/* of the same socket */
	uint16_t client_next, client_prev;
	uint16_t wait;		/* CMD_F_READ, _WRITE: it sleeps until then */
	uint16_t wait_context;
	uint32_t wait_cookie;
};

/* A socket on its way to another context (moves.c). */
struct move {
	uint32_t pool_next;
	uint32_t next;		/* FIFO of the engine */
	uint32_t conn, generation;
	uint32_t cookie;
	uint16_t context;	/* the taker; 0: it went meanwhile */
	uint16_t from;		/* who was told EVENT_GONE; 0: nobody yet */
	uint32_t use;		/* its in_use word then */
	uint32_t tail;		/* of its commands, once it is out */
	bool out;		/* it is */
	uint8_t when;		/* CMD_F_READ, _WRITE: it goes to sleep */
	mono_t since;
};

/* An event that belongs to no connection's state any more. */
struct note {
	uint32_t pool_next;
	uint32_t next;		/* FIFO of the context */
	uint32_t cookie;
	int32_t error;
	uint32_t extra;
	uint8_t type;
	uint64_t sock;
};

/* ---- clients and contexts ---- */

enum context_state { CONTEXT_FREE, CONTEXT_LIVE, CONTEXT_ENDING };

struct context {
	struct ring cmd, event;
	struct wake_shared *wake;
	struct client *client;
	uint16_t slot;			/* in e->contexts */
	uint16_t number;		/* in its client */
	uint8_t state;
	bool touched;			/* in e->touched: publish, maybe wake */
	bool waiting;			/* in e->waiting: ring full or no blocks */
	bool used;			/* its stock is kept from now on */
	bool released;			/* commands were taken this turn */
	uint32_t done;			/* slots run, not yet released */
	int wake_wr;
	uint32_t home;
	uint32_t wait_head, wait_tail;	/* connections */
	uint32_t note_head, note_tail, notes;
	uint32_t stock[BLOCK_CLASSES], target[BLOCK_CLASSES];
	uint32_t conns;			/* head of LIST_CONTEXT */
	struct member *members;
	struct context *next;		/* of the client */
	uint32_t revoked;		/* when ending: slabs that are done */
	uint32_t end_tag;		/* MAIL_CONTEXT_DEL's, answered at the end */
	uint32_t early_cookie;		/* of the next connect, which options */
	uint32_t early_set;		/* hold for: bit an enum cmd_option */
	int32_t early[CMD_OPTS];
};

enum client_state { CLIENT_NONE, CLIENT_LIVE, CLIENT_LEAVING };

struct client {
	uint8_t state;
	bool active;			/* its rings are polled */
	bool bad;			/* broke the protocol: not read any more */
	bool tell_gone;			/* control asked for the detach */
	uint16_t slot;
	int wake_rd;
	uint32_t active_at;		/* place in e->active */
	uint32_t slabs;
	uint32_t quota, open;		/* connections here; 0: any number */
	uint8_t *segment;
	struct arena *arena;
	const struct engine_policy *policy;	/* NULL: none */
	struct engine_account *account;	/* NULL: none */
	struct wake_shared *wake;	/* "engine e does not look" */
	struct context *contexts;
	mono_t last_command, grace_end;
	mono_t asked[BLOCK_CLASSES];	/* for a slab; 0: not */
	uint32_t parked, orphans;	/* list heads */
	uint32_t holders;		/* head: sockets it may take */
	uint32_t moves;			/* that it waits for */
	uint32_t unlent;		/* leaving: slabs taken from ports */
};

/* ---- accepting ---- */

struct member {
	struct member *next_ready;	/* among members with credit */
	struct member *next_of_listener;
	struct member *next_of_context;
	struct listener *listener;
	struct context *context;
	uint32_t head, tail;		/* free-running; cookies to hand out */
	uint32_t cookies[CMD_CREDIT_MAX];
	bool ready;
	bool brothers;			/* CTL_LISTEN_BROTHERS, and has some */
	bool looks;			/* CTL_LISTEN_BROTHERS */
};

struct ready_list { struct member *head, *tail; };

struct listener {
	uint64_t id;			/* 0: free */
	uint32_t tcp;			/* TCP's index */
	uint32_t next_in_bucket;
	struct member *members;
	struct ready_list home, other;	/* with credit, in turn */
	uint32_t due_next;
	bool due;			/* to be served in the next turn */
	bool look;			/* on the list of those to be looked at, */
	uint32_t look_next;		/* which is by time: */
	mono_t look_at;			/* when members hear of it */
	mono_t gave;			/* when one with brothers got something */
};

/* ---- ports ---- */

struct port_side {
	struct port *port;
	struct port_queue *queue;
	struct tcp_tx_limits limits;
	struct frame *spare[PORT_BURST];	/* empty ones */
	struct frame *tx[PORT_BURST];
	int spares, tx_count;
	bool sent;			/* this turn: flush */
	int fds[PORT_FDS_MAX];		/* known to epoll */
	int fd_count;
};

struct engine {
	struct engine_config cfg;
	struct tcp_env *tcp;
	struct net *net;
	mono_t now;

	const struct capture_job *capture;	/* control's; NULL: none */
	struct port_side ports[PORT_MAX];
	uint32_t port_count;

	struct context *contexts;	/* CONTEXTS_ALL */
	uint32_t context_fresh;
	struct client *clients;		/* TCP_CLIENTS_MAX */
	struct client *active[TCP_CLIENTS_MAX];
	uint32_t active_count;
	struct client *leaving[TCP_CLIENTS_MAX];
	uint32_t leaving_count;
	struct context *touched[CONTEXTS_ALL];
	uint32_t touched_count;
	struct context *waiting[CONTEXTS_ALL];
	uint32_t waiting_count;
	struct context *ending[CONTEXTS_ALL];
	uint32_t ending_count;
	uint32_t watched;		/* clients attached but not polled */

	struct link *links;		/* by connection */
	struct pool notes, holders, moves;
	uint32_t move_head, move_tail;
	bool moving;			/* moves_turn() is in the list */
	uint32_t nameless[NAMELESS_BUCKETS];
	uint64_t nameless_secret;

	struct listener *listeners;	/* max_listeners + 1; [0] unused */
	uint32_t listener_buckets[256];
	struct member *member_memory;
	uint32_t member_fresh;
	struct member *member_free;
	uint32_t due_head;		/* listeners, by index */
	uint32_t look_head, look_tail;	/* listeners, by index */
	mono_t accept_again;		/* a policy held one up, or look; 0: no */
	struct engine_access access[ENGINE_ACCESS_MAX];
	uint32_t access_count;

	uint32_t deferred[DEFERRED_MAX];	/* dirty, no frame this turn */
	uint32_t deferred_count;

	struct rss rss;
	struct tuples tuples;

	struct mailbox *mailbox;
	struct mailbox *control;	/* NULL in some tests */
	struct engine *const *all;
	struct handover_ring *inbound[ENGINES_MAX];	/* by sender */
	uint32_t handed;		/* bit an engine: publish */
	uint32_t inbound_left;		/* bit a sender: more next turn */
	struct mail *outbox;
	uint32_t outbox_head, outbox_tail;

	bool lends;			/* a port does; numbers in use: */
	uint64_t spans[PORT_SPANS / 64];

	struct arena own;		/* data nobody took yet */
	uint8_t *own_bytes;
	struct state *state;
	uint64_t wakes_left;		/* pipe writes this turn, bounded */

	int epoll, client_epoll;
	mono_t last_work, last_watch, last_demote, last_cpu;
	bool started, stopping, stopped;
	bool busy;			/* the last turn had work */
	_Atomic bool sending;	/* others wait for us to end (engine_main) */
	mono_t stop_end;
	pthread_t thread;

	_Alignas(64) struct engine_stats stats;
};

/* ---- sockets.c: lists, holders, closing ---- */
void socket_list(struct engine *e, uint32_t conn, enum list_kind kind,
		 uint32_t owner);
void socket_unlist(struct engine *e, uint32_t conn);
uint32_t *socket_head(struct engine *e, enum list_kind kind, uint32_t owner);
uint32_t nameless_bucket(const struct engine *e, uint32_t ctx, uint32_t cookie);
/* The nameless socket of @c with @cookie, 0: none. */
uint32_t nameless_find(struct engine *e, const struct context *c,
		       uint32_t cookie);
/* Does @client hold @conn, as first or further holder? */
bool socket_held(struct engine *e, uint32_t conn, uint32_t client);
/* One more holder.  0, -EEXIST, -ENOBUFS. */
int socket_hold(struct engine *e, uint32_t conn, uint32_t client);
/* A further holder lets go; false: it was none. */
bool socket_unhold(struct engine *e, uint32_t conn, uint32_t client);
/* The first holder lets go: the next becomes first (parked); false: there is
 * none, close it. */
bool socket_pass_on(struct engine *e, uint32_t conn);
/* Context @c gets the socket, and its events from here on.  0, -ENOBUFS: it
 * is where it was. */
int socket_take(struct engine *e, uint32_t conn, struct context *c,
		uint32_t cookie);
/* Its context has let go of it: its client has it, to be taken. */
void socket_park(struct engine *e, uint32_t conn);
/* @c's client, a further holder, sleeps until @when; false: it is none. */
bool socket_await(struct engine *e, uint32_t conn, const struct context *c,
		  uint32_t cookie, uint16_t when);
/* Who sleeps for one of @ready: its context, which sleeps no more; or NULL. */
struct context *socket_sleeper(struct engine *e, uint32_t conn, uint16_t ready,
			       uint32_t *cookie);
/* The last holder let go while it lives: EVENT_CLOSED follows. */
void socket_close(struct engine *e, uint32_t conn, bool abort);
/* The same without a word, because its context or client is gone. */
void socket_abandon(struct engine *e, uint32_t conn);
void holder_remove(struct engine *e, uint32_t holder);

/* ---- events.c ---- */
void event_touch(struct engine *e, struct context *c);
void event_wait(struct engine *e, struct context *c);
/* A connection may have something to say. */
void event_announce(struct engine *e, uint32_t conn);
/* It must not be on a waiting list any more. */
void event_forget(struct engine *e, uint32_t conn);
void event_note(struct engine *e, struct context *c, const struct note *n);
void event_drop_notes(struct engine *e, struct context *c);
/* The same, published at once or known to be late (shm/wake.h). */
void event_note_now(struct engine *e, struct context *c, const struct note *n);
/* The context is in use: keep it stocked. */
void event_first_use(struct engine *e, struct context *c);
/* Rings that had no room; grants. */
void event_turn(struct engine *e);
/* Publishes, wakes; at the end of a turn. */
void event_publish(struct engine *e);
/* Before sleeping: true when a ring got room meanwhile. */
bool event_arm(struct engine *e);

/* ---- commands.c ---- */
uint32_t command_turn(struct engine *e);
/* All that is published on a context's ring, at most a ring full. */
void command_drain(struct engine *e, struct context *c);

/* ---- moves.c ---- */
/* CMD_TAKE, of a socket that @c's client holds. */
void move_ask(struct engine *e, uint32_t conn, struct context *c,
	      uint32_t cookie, uint8_t when);
/* Something to read, or room: for who sleeps for it.  True: who has it needs
 * not be told any more. */
bool move_offer(struct engine *e, uint32_t conn);
/* How many came to an end. */
uint32_t moves_turn(struct engine *e);
/* Context @c takes nothing any more. */
void moves_forget(struct engine *e, const struct context *c);
mono_t moves_next_due(const struct engine *e);

/* ---- accept.c ---- */
int accept_listen(struct engine *e, const struct mail *m);
int accept_unlisten(struct engine *e, const struct mail *m);
int accept_option(struct engine *e, const struct mail *m);
/* The context's credits vanish, it leaves all its listeners. */
void accept_leave(struct engine *e, struct context *c);
/* @count of @cookies; -EPROTO: more than CMD_CREDIT_MAX. */
int accept_credit(struct engine *e, struct context *c, uint64_t listener,
		  const uint32_t *cookies, uint32_t count);
/* What is left of its credit is void. */
void accept_revoke(struct engine *e, struct context *c, uint64_t listener);
uint32_t accept_turn(struct engine *e);
/* A connection that its client did not use goes back to its listener, for who
 * accepts next; false: it was used, or nobody listens there now. */
bool accept_give_back(struct engine *e, uint32_t conn);
void accept_stop(struct engine *e);

/* ---- client.c ---- */
int client_add(struct engine *e, const struct mail *m);
int client_slab(struct engine *e, const struct mail *m);
int context_add(struct engine *e, const struct mail *m);
int context_del(struct engine *e, const struct mail *m);
int client_detach(struct engine *e, uint32_t slot, uint64_t grace_us, bool tell);
void client_turn(struct engine *e);
void client_bad(struct engine *e, struct client *c, enum detach_reason why);
/* Asks control for a slab ahead of need. */
void client_want_slab(struct engine *e, struct client *c, enum block_class cls);
/* Polled again; no longer polled (false: there was a command). */
void client_promote(struct engine *e, struct client *c);
bool client_demote(struct engine *e, struct client *c);
mono_t client_next_due(const struct engine *e);
/* Its connections: one more if it may have it, one less, one changes hands. */
bool client_opens(struct client *c);
void client_closes(struct client *c);
void client_passes(struct client *from, struct client *to);
struct context *context_find(struct engine *e, uint32_t client,
			     uint32_t number);

/* ---- conn_log.c ---- */
void conn_log(const struct engine *e, uint32_t conn, const char *what);

/* ---- policy.c ---- */
void access_set(struct engine *e, const struct engine_access *list,
		uint32_t count);
bool access_denies(const struct engine *e, const struct net_rx *in);

/* ---- mail_in.c ---- */
uint32_t mail_turn(struct engine *e);
/* To control; never fails: the outbox holds all that can be outstanding. */
void engine_tell(struct engine *e, const struct mail *m);

/* ---- packet_in.c, packet_out.c ---- */
uint32_t packet_in(struct engine *e);
uint32_t packet_handed_in(struct engine *e);
void packet_handed_flush(struct engine *e);
uint32_t packet_out(struct engine *e);
/* Puts a complete frame into its port's burst. */
void packet_queue(struct engine *e, struct frame *f);
/* A copy of @len bytes as a frame of port @port; false: no frame. */
bool packet_send_bytes(struct engine *e, uint8_t port, const void *bytes,
		       uint32_t len);

/* ---- lend.c ---- */
void lend_open(struct engine *e);
/* Ports may read a slab of the client from now on. */
void lend_slab(struct engine *e, struct client *cl, uint32_t slab);
/* Takes up to @most slabs of a client back, of which nothing is lent; true:
 * those were the last. */
bool lend_end(struct engine *e, struct client *cl, uint32_t most);
/* Payload behind the header in @f without reading it; false: copy it. */
bool lend_payload(struct engine *e, const struct port_side *p, struct frame *f,
		  const struct tcp_tx *tx);

/* ---- sleep.c ---- */
int sleep_open(struct engine *e);
void sleep_close(struct engine *e);
int sleep_watch(struct engine *e, struct client *c);
void sleep_unwatch(struct engine *e, struct client *c);
/* While busy: clients that are not polled; those that need not be. */
uint32_t sleep_glance(struct engine *e);
/* Blocks until there is something to do. */
void sleep_now(struct engine *e);

static inline void count(counter_t *c)
{
	counter_add(c, 1);
}

#endif
