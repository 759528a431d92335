/*
 * control.h - the control plane: one thread that owns all that is rare
 *
 *	programs --seqpacket--> server -> dispatch -+-> attach, context, slab
 *	                                            +-> listen
 *	mtcpctl ----stream----> admin -> stats, lists    |
 *	                                                 v
 *	        libevent loop  <--mailbox-- engines.c --mailbox--> engine 0, 1, ...
 *
 * Control makes and ends engines, ports and clients; it never touches a frame
 * or a ring.  What it wants of an engine it puts into a mail; where it needs
 * an answer, a struct op counts the MAIL_DONEs.  Nothing here ever waits for
 * a client.
 *
 * Start      configuration, ports, engines (threads), NET_CONFIG answered by
 *            all, then sockets, then READY: who can connect can be served.
 * Stop       (stop.c) sockets closed and unlinked, listeners gone, MAIL_STOP
 *            with a grace, MAIL_STOPPED from all, threads joined, clients
 *            freed, engines closed, ports closed.  Bounded in time.
 * A client   lives until every engine has said CLIENT_GONE: only then is its
 *            segment unmapped and its descriptors closed.  Mail to an engine
 *            stays in order, so answers to earlier questions come before.
 * Ownership  struct client owns segment, arenas, meta arrays, pipes' ends of
 *            ours; engines borrow them from CLIENT_ADD to CLIENT_GONE.
 * Threads    The control thread alone, but hole.c's signal handler.  Engine
 *            threads are started with all signals blocked.  No locks.
 * Trust      Everything that comes over either socket is hostile.
 */
#ifndef CONTROL_CONTROL_H
#define CONTROL_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "control/config.h"
#include "engine/engine.h"
#include "engine/mailbox.h"
#include "io/port.h"
#include "shm/ctl.h"
#include "shm/layout.h"

struct event;
struct event_base;
struct evconnlistener;
struct control;
struct client;
struct account;
struct capture;
struct http;
struct json_t;

/* ---- engines.c: threads, ports, mail ---- */

/*
 * A question to one or all engines.  Embedded in whoever asks; open from
 * op_ask*() until `done` is called, which happens once, from the loop.
 */
struct op {
	struct op *next;
	uint32_t tag;			/* 0: not open */
	uint32_t waiting;		/* answers to come */
	int32_t error;			/* the first one, negative errno */
	uint32_t count, cursor;		/* of the last answer */
	void (*done)(struct control *c, struct op *op);
};

void op_ask(struct control *c, struct op *op, uint32_t engine,
	    struct mail *mail, void (*done)(struct control *, struct op *));
void op_ask_all(struct control *c, struct op *op, struct mail *mail,
		void (*done)(struct control *, struct op *));
/* Only sets the tag: the caller then tells every engine, each its own. */
void op_open_all(struct control *c, struct op *op, struct mail *mail,
		 void (*done)(struct control *, struct op *));

/* Sends without an answer.  A full ring is no error: the mail waits here. */
void engines_tell(struct control *c, uint32_t engine, const struct mail *mail);
void engines_tell_all(struct control *c, const struct mail *mail);

/* Everything up to running engines that know their network; fatal if not. */
void engines_start(struct control *c);
/* After MAIL_STOPPED of all: threads joined / memory and ports given back. */
void engines_join(struct control *c);
void engines_close(struct control *c);

/* Zeroed memory for engine @e, on its node.  NULL: none. */
void *engine_node_alloc(const struct control *c, uint32_t e, size_t bytes);
void engine_node_free(void *at, size_t bytes);

/* placement.c: how many engines, on which cores, how patient */
struct placement {
	uint32_t count;
	int cpu[ENGINES_MAX];		/* -1: not pinned */
	uint32_t spin_us[ENGINES_MAX];
};
/* 0, or -EINVAL with a sentence in @err (CONFIG_ERR_BYTES). */
int placement_decide(const struct config_engine *cfg, struct placement *out,
		     char *err);
uint32_t huge_pages_free(void);		/* of 2 MiB, now */

/* ---- server.c: the two listening sockets ---- */

void server_bind(struct control *c);		/* fatal if not */
void server_open(struct control *c);		/* begins to accept */
void server_close_clients(struct control *c);	/* programs' alone */
void server_close(struct control *c);		/* and unlinks */
/* A listening socket at @path, a stale one replaced.  Descriptor, or -errno
 * with a sentence in @err. */
int server_listen(const char *path, int type, const struct config_daemon *cfg,
		  char *err);
/* 0 when nobody lives at @path; else -errno with a sentence. */
int server_check(const char *path, int type, char *err);
/* Makes the folder of @path when only that is missing. */
int server_make_parent(const char *path, char *err);
/* pidfile.c: descriptor, or -errno with a sentence; locked while we live. */
int pidfile_open(const char *path, char *err);
void pidfile_write(int fd);
void pidfile_close(int fd, const char *path);

/* ---- attach.c: segments ---- */

/* A 2 MiB slab of a client that control has populated. */
struct client_slab {
	void *meta;			/* block_meta array; NULL: rings */
	uint32_t meta_bytes;
	uint8_t cls;
};

struct segment {
	int fd;				/* sealed memfd; -1: none */
	uint8_t *base;
	uint32_t slabs;			/* quota */
	uint32_t used;			/* slabs populated, header included */
	bool huge;
	struct account *account;	/* that pays for it; NULL: nobody */
	uint32_t charged;		/* slabs, at least `used` */
	struct client_slab *slab;	/* by number */
};

int segment_open(struct control *c, struct segment *s, uint32_t slabs,
		 struct account *account, const char *name, char *text);
void segment_close(struct control *c, struct segment *s);
/* Populates the next @count slabs; the first one's number or -errno. */
int segment_grow(struct control *c, struct segment *s, uint32_t count);

/* policy.c: takes the program's policy; 0, or an errno after it was told. */
int policy_attach(struct client *cl);
/* May it listen there?  False: it was told. */
bool policy_listen(struct client *cl, const struct ip_addr *addr,
		   uint16_t port);
/* Does bind() have to ask, and the question: CTL_BIND. */
bool policy_asks_bind(const struct client *cl);
void policy_bind_request(struct client *cl, const struct ctl_request *req);
/* Tells who finds too little left of its account's memory. */
void policy_no_memory(struct client *cl);
/* It has gone: what it had is its account's again. */
void policy_leave(struct client *cl);
struct json_t *policy_list(const struct control *c);

/* CTL_HELLO */
void attach_hello(struct client *cl, const struct ctl_request *req);
/* MAIL_WANT_SLAB */
void attach_want_slab(struct control *c, uint32_t slot, uint32_t engine,
		      uint32_t cls);
/* There is memory again: those that were denied some get it. */
void attach_retry_slabs(struct control *c);

/* ---- context.c: contexts and where their rings lie ---- */

struct context {
	int wake_wr;			/* ours; the client has the other end */
	int wake_rd;			/* the client's, until it is passed on */
	uint32_t place;			/* in client.places */
	bool ending;
};

struct ring_place {
	uint64_t offset;		/* in the segment */
	bool used;
};

void context_request(struct client *cl, const struct ctl_request *req);
void context_end_request(struct client *cl, const struct ctl_request *req);
bool context_exists(const struct client *cl, uint32_t context);
void contexts_free(struct client *cl);

/* ---- client.c: life and death ---- */

enum client_state {
	CLIENT_NEW,		/* connected; only HELLO is allowed */
	CLIENT_ATTACHED,	/* has a slot and a segment; engines know it */
	CLIENT_LEAVING,		/* socket closed; until all have said GONE */
};

struct client {
	struct control *control;
	struct client *prev, *next;	/* control->clients, oldest first */
	enum client_state state;
	int fd;				/* -1 when leaving */
	struct event *readable, *died, *late;
	int pidfd;			/* -1: none */
	pid_t pid;
	uid_t uid;
	char name[32];
	uint32_t slot;			/* 1..; 0: none yet */
	uint32_t id;			/* told to clients; never used again */
	uint32_t layout;		/* version that it speaks: N or N-1 */
	mono_t since;
	char policy_name[32];		/* empty: none */
	struct engine_policy policy;	/* as it was at HELLO */
	struct account *account;	/* NULL: none */
	uint32_t quota_conns;
	uint64_t quota_memory;
	struct segment segment;
	struct arena *arenas;		/* one an engine */
	int wake_rd[ENGINES_MAX];	/* wakes of engine e; -1: none */
	int wake_wr[ENGINES_MAX];	/* the client's ends until HELLO's answer */
	struct context *contexts[CONTEXTS_MAX];
	uint32_t context_count;
	struct ring_place *places;
	uint32_t place_count;
	uint32_t gone_waiting;		/* engines that hold on to it */
	uint32_t slabs_denied;
	uint8_t denied[ENGINES_MAX];	/* bit a class, until it is granted */
	uint64_t base_in, base_out;	/* what its slot had counted before */
	uint32_t bad_requests;
	struct ctl_request request;	/* the one being answered */
	struct op op;			/* its question to the engines */
	uint32_t op_context;		/* what it is about */
	uint64_t op_listener;
	int op_error;			/* errno, while it is undone */
	struct sock_known op_info;	/* an engine fills it */
	struct hold_list *holds;	/* HOLD_MANY's, while it is undone */
	uint64_t family;		/* forked from one another; with the uid */
};

/* Whose question it is. */
static inline struct client *client_of(struct op *op)
{
	return (struct client *)((char *)op - offsetof(struct client, op));
}

void client_accept(struct control *c, int fd);
void client_let_go(struct client *cl, enum detach_reason why);
/* Answers the request being handled and takes the next one.  @fds: passed. */
void client_reply(struct client *cl, struct ctl_reply *reply, const int *fds,
		  uint32_t fd_count);
void client_fail(struct client *cl, int error, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
struct client *client_by_slot(const struct control *c, uint32_t slot);
struct client *client_by_id(const struct control *c, uint32_t id);
void client_mail_bad(struct control *c, uint32_t slot, uint32_t reason);
void client_mail_gone(struct control *c, uint32_t slot);
void clients_free_all(struct control *c);	/* engines have ended */

/* dispatch.c: which request does what; reads one packet */
void dispatch_readable(struct client *cl);
void dispatch(struct client *cl, const struct ctl_request *req);

/* dispatch.c: asks the engine that @sock names; where there is none the client
 * is told so with @error. */
void client_ask_owner(struct client *cl, uint64_t sock, int error,
		      struct mail *m,
		      void (*done)(struct control *, struct op *));

/* hold.c: sockets for another client */
void hold_request(struct client *cl, const struct ctl_request *req);
/* @socks: CTL_HOLD_MAX handles at most, @bytes of them as they came. */
void hold_many_request(struct client *cl, const struct ctl_request *req,
		       const uint64_t *socks, size_t bytes);

/* ---- listen.c: who listens where ---- */

struct listener_member {
	struct client *client;
	uint32_t context;
};

/* A member's mails go to the engines in order, so a port is free for the next
 * listener as soon as the last member's UNLISTEN is on its way. */
struct listener {
	struct listener *next;
	uint64_t id;
	struct ip_addr addr;
	uint16_t port;			/* network order */
	uint16_t flags;			/* CTL_LISTEN_* of its first member */
	uint32_t backlog;
	uid_t uid;
	uint64_t family;		/* of its first member */
	struct listener_member *members;
	uint32_t member_count;
};

void listen_request(struct client *cl, const struct ctl_request *req);
void unlisten_request(struct client *cl, const struct ctl_request *req);
/* A context, or with ~0 all of a client's, leaves every listener. */
void listeners_leave(struct client *cl, uint32_t context);
void listeners_leave_all(struct control *c);	/* of all clients */
void listeners_free_all(struct control *c);

/* Member of @l that is @cl's @context (~0: any), or -1; NULL: no such id. */
int listener_member(const struct listener *l, const struct client *cl,
		    uint32_t context);
struct listener *listener_by_id(const struct control *c, uint64_t id);

/* ---- option.c: listeners' options, TCP_INFO, names of ports ---- */

void option_request(struct client *cl, const struct ctl_request *req);
void info_request(struct client *cl, const struct ctl_request *req);
void port_request(struct client *cl, const struct ctl_request *req);

/* ---- hole.c: SIGBUS in a client's range ---- */

void hole_init(struct control *c);
void hole_fini(void);
void hole_watch(uint32_t slot, uint8_t *base, uint64_t bytes);
void hole_unwatch(uint32_t slot);

/* ---- admin.c, stats.c: mtcpctl ---- */

void admin_accept(struct control *c, int fd);
void admin_close_all(struct control *c);
struct json_t *stats_all(const struct control *c);
struct json_t *stats_engines(const struct control *c);
struct json_t *stats_ports(const struct control *c);
/* @conns: connections by client slot. */
struct json_t *stats_clients(const struct control *c,
			     const uint32_t conns[TCP_CLIENTS_MAX]);
struct json_t *stats_listeners(const struct control *c);
/* Bytes read and written by a client; by its slot, whoever had it. */
void stats_client_bytes(const struct control *c, uint32_t slot, uint64_t *in,
			uint64_t *out);

/* capture.c: engines have ended */
void capture_free(struct control *c);

/* ---- metrics.c, http.c ---- */

struct evbuffer;
/* Prometheus' text format, or OpenMetrics 1.0. */
void metrics_write(const struct control *c, struct evbuffer *out,
		   bool openmetrics);
/* Listens, starts the textfile; what cannot be had is warned about. */
void http_start(struct control *c);
void http_stop(struct control *c);

/* admin_config.c: what may be changed; NULL: no such request. */
struct json_t *admin_request(struct control *c, const struct json_t *request,
			     bool may_change);

/* ---- live.c: the configuration changes while we run ---- */

/* c->cfg has changed: engines and ports follow.  0 or -ENOMEM. */
int live_apply(struct control *c);
/* Reads the file again; @text (CONFIG_ERR_BYTES) says what came of it. */
int live_reload(struct control *c, char *text);
/* Only addresses, routes and neighbours have. */
int live_apply_net(struct control *c);
/* What engines are to know of the network; free() it.  NULL: no memory. */
struct net_config *live_net(struct control *c, bool announce);
void log_set_changed(struct control *c);

/* ---- share.c: TCP ports of addresses that are the kernel's too ---- */

uint32_t share_ports(const struct control *c);	/* a bit a port */
void share_begin(struct control *c);		/* fatal if it cannot be */
void share_end(struct control *c);
/* Somebody wants to listen: 0 and the TCP port is ours, or -EADDRINUSE with
 * the kernel as the reason.  @port in network order. */
int share_listen(struct control *c, const struct ip_addr *addr, uint16_t port);
/* The last listener of the TCP port is gone; its connections may go on. */
void share_unlisten(struct control *c, uint16_t port);

/* ---- follow.c: the kernel's addresses, routes and neighbours ---- */

void follow_begin(struct control *c);		/* before ports are opened */
void follow_watch(struct control *c);
void follow_end(struct control *c);
/* Adds what is followed to @net. */
void follow_add(const struct control *c, struct net_config *net);

/* firewall.c: says that rules of the kernel's do not hold for us */
void firewall_look(const struct control *c);

/* ---- sandbox.c: see there for when ---- */

void sandbox_capabilities(struct control *c);
void sandbox_calls(struct control *c);

/* ---- watchdog.c, drain.c ---- */

void watchdog_start(struct control *c);
void watchdog_stop(struct control *c);
uint64_t engines_conns(const struct control *c);	/* now, all of them */
void drain_begin(struct control *c, uint32_t seconds);
void drain_end(struct control *c);		/* impatiently */

/* ---- stop.c, notify.c ---- */

void stop_init(struct control *c);		/* signals */
void stop_fini(struct control *c);
void stop_begin(struct control *c);
void stop_mail_stopped(struct control *c);
/* Tells systemd, when it started us (NOTIFY_SOCKET). */
void notify(const char *state);
void notify_reloading(void);

/* ---- the whole ---- */

struct control_counters {
	uint64_t accepted, attached, detached, refused, evicted, bad_requests;
	uint64_t policy_refused, policy_listen;
	uint64_t slabs_denied, detach_reasons[DETACH_REASONS];
};

struct control {
	struct config *cfg;
	struct event_base *base;
	mono_t start;
	uint64_t start_us;		/* wall clock, tells runs apart */
	const char *version;

	struct placement placement;
	struct engine *engines[ENGINES_MAX];
	uint32_t engine_count;
	struct port *ports[PORT_MAX];
	uint32_t port_count;
	struct mailbox *mailbox;	/* ours; engines send */
	struct event *mail_event, *retry_event;
	struct mail_queue *queues;	/* mail that found a full ring */
	struct op *ops;			/* open */
	uint32_t next_tag;
	uint8_t rss_key[RSS_KEY_BYTES];
	uint64_t huge_promised;		/* slabs of huge segments not yet there */
	bool huge_told;

	int pid_fd;			/* locked pidfile; -1: none */
	int client_fd, admin_fd;	/* listening; -1: closed */
	struct event *client_event, *admin_event;

	struct client *clients, *clients_last;	/* all, oldest first */
	struct client *by_slot[TCP_CLIENTS_MAX];
	uint32_t client_count;		/* attached or leaving */
	uint32_t pending_count;		/* CLIENT_NEW */
	uint32_t next_client;		/* serial */

	struct listener *listeners;
	struct account *accounts;	/* account.h */
	uint64_t next_listener;
	uint16_t next_port;		/* host order, of port 0 */

	struct follow *follow;		/* NULL: no port follows */
	struct share *share;		/* NULL: no port shares */
	uint32_t log_level;		/* of [daemon] log, as last applied */
	struct admin *admins;
	uint32_t admin_count;

	struct event *tick;		/* watchdog.c; NULL: not asked for */
	struct op ping;
	uint64_t watchdog_us, tick_us;
	bool stuck_told;

	bool draining;			/* drain.c */
	struct event *drain_event;
	mono_t drain_end, drain_tell;

	struct capture *capture;	/* NULL: none runs */
	struct http *http;		/* NULL: no metrics */

	bool stopping, failed;
	uint32_t stopped;		/* engines */
	struct event *signals[3], *stop_event;
	struct control_counters counters;
};

/* Sockets, loop, stop.  @ready is called when all can be served. */
int control_run(struct config *cfg, const char *version,
		void (*ready)(void *arg), void *arg);

#endif
