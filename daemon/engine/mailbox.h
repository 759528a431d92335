/*
 * mailbox.h - messages between engines and control
 *
 *	control --[ring]--> engine e --[ring]--> control
 *	engine a --[ring]--> engine b            one SPSC ring a directed pair,
 *	                                         one eventfd a receiver
 *
 * A message is 64 bytes and is copied in and out.  A request that control
 * waits for carries `tag`; the engine answers MAIL_DONE with it.  Nobody
 * waits for a ring: mail_send() to a full one fails with -EAGAIN and the
 * sender keeps the message (control in its own queue; an engine counts and
 * drops only MAIL_NEIGH, which ARP repairs by itself).
 *
 * Foreign frames travel beside it in handover.h's rings, with their bytes.
 *
 * Threads   One sender and one receiver a ring; all in the daemon.
 */
#ifndef ENGINE_MAILBOX_H
#define ENGINE_MAILBOX_H

#include <stdint.h>

#include "base/addr.h"
#include "shm/ctl.h"
#include "shm/layout.h"

enum mail_type {
	MAIL_NONE,
	/* control to engine */
	MAIL_CLIENT_ADD,	/* .client: a new segment */
	MAIL_SLAB_ADD,		/* .slab: populated, with its meta array */
	MAIL_CONTEXT_ADD,	/* .context */
	MAIL_CONTEXT_DEL,
	MAIL_CLIENT_DETACH,	/* .detach: drain, close, let go -> CLIENT_GONE */
	MAIL_LISTEN,		/* .listen: first member, or one more */
	MAIL_UNLISTEN,		/* .listen: a member leaves */
	MAIL_HOLD,		/* .hold: one more holder of a socket */
	MAIL_HOLD_MANY,		/* .hold_many: of those that are this engine's */
	MAIL_NET_CONFIG,	/* .ptr: struct net_config, immutable until DONE */
	MAIL_LIST,		/* .list: fill a slice of a listing */
	MAIL_STOP,		/* .stop: close what is open, within a bound */
	MAIL_OPTION,		/* .option: of a listener */
	MAIL_PING,		/* is there a loop?  -> DONE */
	MAIL_LIVE,		/* .config: struct engine_live, until DONE */
	MAIL_INFO,		/* .info: struct sock_known of a socket */
	MAIL_CAPTURE,		/* .config.ptr: struct capture_job; NULL: none */
	MAIL_FLIGHT,		/* .flight: struct tcp_flight of a connection */
	/* engine to control */
	MAIL_DONE,		/* .done: answer to a tag */
	MAIL_WANT_SLAB,		/* .slab: client, cls; slab: the asking engine.
				 * Answered by SLAB_ADD, or not at all when the
				 * quota is used: ask again later */
	MAIL_CLIENT_BAD,	/* .bad: the client broke the protocol: detach it */
	MAIL_CLIENT_GONE,	/* .client.slot: no reference is left here */
	MAIL_STOPPED,
	/* engine to engine */
	MAIL_NEIGH,		/* .neigh: learnt */
	MAIL_TYPES
};

struct mail {
	uint32_t type;		/* enum mail_type */
	uint32_t tag;		/* control's; 0: no answer wanted */
	union {
		struct {
			uint32_t slot;		/* client slot, 1.. */
			uint32_t slabs;		/* of the segment */
			uint8_t *segment;	/* mapped */
			void *arena;		/* struct arena, initialised */
			int wake_rd;		/* client's wakes arrive here */
			uint32_t quota_conns;
			const void *policy;	/* struct engine_policy */
			void *account;	/* struct engine_account */
		} client;
		struct {
			uint32_t client, slab, cls, zero;
			void *meta;
		} slab;
		struct {
			uint32_t client, context;  /* context: in the client */
			uint64_t rings_offset;
			int wake_wr;		/* wakes the context */
			uint32_t home;		/* preferred engine or ~0 */
		} context;
		struct {
			uint64_t id;		/* listener id, daemon-wide */
			struct ip_addr addr;
			uint16_t port;		/* network order */
			uint16_t flags;		/* CTL_LISTEN_* */
			uint32_t backlog;
			uint32_t client, context;
		} listen;
		struct { uint64_t sock; uint32_t client, peer; } hold;
		struct {
			struct hold_list *list;	/* until DONE */
			uint32_t client, peer;
		} hold_many;
		struct {
			uint64_t id;		/* of the listener */
			uint32_t client, context;
			uint32_t name;		/* enum cmd_option */
			int32_t value;
		} option;
		struct {
			uint64_t sock;
			uint32_t client, zero;
			void *out;		/* until DONE */
		} info;
		struct {
			uint32_t conn, generation;
			void *out;		/* until DONE */
		} flight;
		struct { void *ptr; } config;
		struct {
			uint32_t what;		/* enum mail_list */
			uint32_t cursor;
			void *out;		/* array of the kind's struct */
			uint32_t max;
		} list;
		struct { uint32_t slot; uint32_t reason; uint64_t grace_us; } detach;
		struct { uint32_t slot; uint32_t reason; } bad;
		struct { uint64_t grace_us; } stop;
		struct { int32_t error; uint32_t count, cursor; uint64_t value; } done;
		struct {
			struct ip_addr addr;
			uint8_t mac[6];
			uint8_t port, state;
		} neigh;
		uint8_t bytes[56];
	};
};
_Static_assert(sizeof(struct mail) == 64, "one cache line");

/* Handles of sockets; each engine looks at all and writes its own count. */
struct hold_list {
	uint32_t count;
	uint32_t held[ENGINES_MAX];
	uint64_t sock[CTL_HOLD_MAX];
};

enum mail_list {
	MAIL_LIST_CONNS,	/* struct tcp_info */
	MAIL_LIST_NEIGH,	/* struct net_neigh_entry */
	MAIL_LIST_ROUTES,	/* struct net_route */
};

/* Why a client is detached; names in detach_reason_name(). */
enum detach_reason {
	DETACH_NONE, DETACH_EXIT, DETACH_RING_BROKEN, DETACH_BAD_RECORD,
	DETACH_BAD_BLOCK, DETACH_BAD_HANDLE, DETACH_BAD_COUNT, DETACH_HOLE,
	DETACH_ADMIN, DETACH_SHUTDOWN, DETACH_REASONS
};
const char *detach_reason_name(uint32_t reason);

struct mailbox;			/* one receiver with its rings */

/* @senders rings of @slots messages each.  0 or -errno. */
int mailbox_open(struct mailbox **out, uint32_t senders, uint32_t slots);
void mailbox_close(struct mailbox *m);

/* Sender @from (0..senders-1) only.  0 or -EAGAIN.  Wakes a sleeper. */
int mail_send(struct mailbox *m, uint32_t from, const struct mail *mail);

/* Receiver: the next message of any sender; 0: none. */
int mail_receive(struct mailbox *m, struct mail *out);

/* Receiver, before it sleeps: flag, fence, look again.  1: there is mail. */
int mailbox_arm(struct mailbox *m);
void mailbox_disarm(struct mailbox *m);
int mailbox_fd(const struct mailbox *m);	/* readable when woken */

/*
 * The bell without a message: what else waits for this receiver (handover.h).
 * The sender publishes, then rings; the receiver takes the bells, then looks.
 */
#define MAILBOX_BELLS	16
void mailbox_ring(struct mailbox *m, uint32_t bell);
/* Receiver: a bit for each bell rung since the last call. */
uint32_t mailbox_take_bells(struct mailbox *m);

#endif
