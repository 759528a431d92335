/*
 * world.h - one TCP under test, and a peer that does what it is told
 *
 *	script -> world_deliver -> tcp_in --+
 *	script -> world_* (application) ----+-> struct tcp_env
 *	script -> world_advance ------------+        |
 *	                                             v
 *	   sent[]: every segment, with its time  <- pump
 *
 * Time is virtual and moves only in world_advance(), from one due timer to
 * the next; after each thing that happens the pump does what an engine does:
 * it takes all segments and all events out.  So a segment's time is exactly
 * when TCP wanted it.
 *
 * Connections are told apart by the peer's TCP port: peer n of the script has
 * port 40000 + n and connects to us, or is connected to from our port
 * 50000 + n.  Sequence numbers are kept relative, see seg.h.
 *
 * Ownership Everything is in struct world; world_fini() ends it all.
 * Threads   One.
 */
#ifndef TEST_WIRE_WORLD_H
#define TEST_WIRE_WORLD_H

#include "kit.h"
#include "seg.h"

#define WORLD_PEERS	128
#define WORLD_SENT	4096
#define WORLD_EXTENTS	4096
#define WORLD_STREAM_IN		1u	/* of kit_byte(): what the peer sends */
#define WORLD_STREAM_OUT	2u

struct world_sent {
	mono_t when;
	uint32_t peer;		/* WORLD_PEERS: unknown tuple */
	struct seg seg;
	int64_t bad_byte;	/* offset of a wrong payload byte, -1: none */
	uint8_t ttl, tos;
	bool df;
};

struct world_extent {
	struct tcp_extent e;
	uint32_t used;		/* bytes read */
};

struct world_peer {
	uint16_t port, our_port;	/* host order */
	uint32_t iss;			/* the peer's */
	uint32_t our_iss;
	bool our_iss_known;
	uint32_t last_ts;		/* the latest TSval of ours */
	uint32_t conn;			/* 0: none that we know of */
	uint32_t client;		/* arena: 0 engine's, else a client's */
	uint32_t written;		/* bytes */
	uint32_t read;			/* bytes */
	uint32_t readable;		/* announced, not read */
	uint32_t events;		/* enum tcp_event, announced */
	int error;
	struct world_extent extents[WORLD_EXTENTS];
	uint32_t extent_head, extent_tail;
};

struct world {
	struct tcp_env *env;	/* NULL until world_start() */
	struct tcp_config cfg;
	struct rss *rss;
	struct kit_heap heap;
	struct kit_arena arenas[3];
	struct ip_addr us, them;
	uint32_t iss;		/* of new peers */
	uint32_t mtu;
	uint32_t small, large;	/* blocks of the client's arena */
	uint32_t listener;	/* the first one */
	mono_t now;
	struct tcp_rx burst[TCP_BURST_MAX];	/* gathered; l4 is ours */
	uint32_t burst_count;
	struct world_peer peers[WORLD_PEERS];
	struct world_sent sent[WORLD_SENT];
	uint32_t sent_head, sent_tail;	/* free-running */
	struct world_sent last;		/* the last one that was popped */
	uint8_t tfo[16], tfo_len;	/* the last cookie that we gave */
	bool fastopen;		/* of the next connect, which is not pumped */
	bool discard;		/* do not keep what is sent */
	bool no_strangers;	/* nor what goes to other addresses (flood) */
	char problem[SEG_TEXT_BYTES];	/* first broken expectation of ours */
};

struct world *world_new(void);
void world_start(struct world *w);

/* Aborts what is open, lets every timer end, and looks for leaks.
 * True: nothing was left; else @w->problem says what. */
bool world_end(struct world *w);
void world_fini(struct world *w);

/* Runs timers until @when, or until something was sent if @until_sent. */
void world_advance(struct world *w, mono_t when, bool until_sent);
void world_pump(struct world *w);

/* The peer sends @s (relative numbers), from address @from or w->them: gather
 * holds it back until deliver, which gives all to TCP as one burst. */
void world_gather(struct world *w, uint32_t peer, const struct seg *s,
		  const struct ip_addr *from);
void world_deliver(struct world *w, uint32_t peer, const struct seg *s,
		   const struct ip_addr *from);

/* The oldest segment not looked at; NULL: none. */
struct world_sent *world_sent(struct world *w);
void world_sent_pop(struct world *w);

/* Application; negative: the error of TCP. */
int world_listen(struct world *w, uint16_t port, uint32_t backlog);
int world_connect(struct world *w, uint32_t peer, uint16_t port);
/* The waiting connection, whose peer is stored to @*peer; 0: none. */
int world_accept(struct world *w, uint32_t *peer);
int world_write(struct world *w, uint32_t peer, uint32_t bytes, bool more);
/* Reads and compares @bytes; false: w->problem. */
bool world_read(struct world *w, uint32_t peer, uint32_t bytes);
/* To another client, with blocks of its own; false: there was no room. */
bool world_move(struct world *w, uint32_t peer);
void world_close(struct world *w, uint32_t peer, bool abort);

/* State's name of the tuple, "CLOSED" when there is none. */
const char *world_state(struct world *w, uint32_t peer);

#endif
