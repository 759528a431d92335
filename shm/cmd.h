/*
 * cmd.h - commands: what a client tells an engine
 *
 * A record is one slot of 32 bytes, or two for those that carry addresses
 * (cmd_slots()).  The client publishes before its call returns.
 *
 * `cookie` is the client's own name for a socket, any 32-bit number; the
 * engine stores it and puts it into every event of that socket.
 *
 * Connecting
 *   The client names a new socket by its cookie; the handle comes with
 *   EVENT_CONNECTED (or EVENT_ERROR).  Until then it has one command:
 *   CMD_CLOSE with sock HANDLE_NONE and the cookie, answered by EVENT_CLOSED.
 *   What cannot even begin (no route, no port, no memory) is answered by
 *   EVENT_ERROR with sock HANDLE_NONE: there is no socket, the cookie is free
 *   at once, no CMD_CLOSE and no EVENT_CLOSED follow; a CMD_CLOSE of the
 *   cookie that crosses it is ignored.  Such errors are ENETUNREACH,
 *   EADDRNOTAVAIL (not our address, or no port left), EADDRINUSE, EMFILE (the
 *   quota of connections), ENOBUFS, and, for a CMD_F_BOUND port whose answers
 *   would reach another engine, EXDEV with that engine's number in
 *   event.limit: connect there.
 *   CMD_OPTION with HANDLE_NONE before CMD_CONNECT, with the same cookie, says
 *   what holds from the first SYN on; a connect of another cookie forgets it.
 *   After CMD_F_FASTOPEN it also has CMD_SENDs with HANDLE_NONE and the cookie,
 *   published together with it: that data may go with the SYN (RFC 7413).
 *   A socket that fails later (ECONNREFUSED, ETIMEDOUT, EHOSTUNREACH ...) gets
 *   EVENT_ERROR with its handle and is closed like any other.
 *
 * Taking      One context has a socket, whoever holds it.  CMD_TAKE moves it:
 *
 *	taker                 engine                        who has it
 *	CMD_TAKE  ----------->
 *	                      EVENT_GONE ------------------> not ours any more
 *	                      is it in a call (wake.h)? --+
 *	                      <----- what it was doing ---+
 *	           <--------- EVENT_TAKEN, what is unread
 *
 *   Nothing is lost or read twice: what the last user published, and what it
 *   was in the middle of, comes first.  A new user has a moment for itself: the
 *   next taker waits until it has used the socket, or USE_MS.
 *   With CMD_F_READ or CMD_F_WRITE the taker sleeps: the socket comes when
 *   there is something to read, or room, and not before; another CMD_TAKE of
 *   it replaces the wish.
 *   CMD_TAKE of a socket that this client does not hold, or that is gone, is
 *   answered by EVENT_ERROR with HANDLE_NONE and ENOENT, one without memory
 *   for the copy by ENOBUFS: the new cookie is free at once.  One for what the
 *   context has got by this cookie meanwhile has no answer.
 *
 * Closing     Every CMD_CLOSE of a socket that the client holds is answered by
 *   EVENT_CLOSED with the command's cookie when others still hold it, else
 *   with the socket's own (the same for a correct library).
 *
 * Trust     Hostile: the engine copies a record out and checks every field
 *           against its own tables; one that no correct library could have
 *           written detaches the client.  A handle of an old generation is
 *           not such: commands cross events; it is counted and ignored.
 */
#ifndef SHM_CMD_H
#define SHM_CMD_H

#include <stdint.h>

#include "shm/record.h"
#include "shm/ring.h"

enum cmd_type {
	CMD_NONE,		/* never written */
	CMD_CONNECT,		/* 2 slots: open a connection from this engine */
	CMD_SEND,		/* an extent of a granted block joins the stream */
	CMD_CONSUMED,		/* bytes of announced data are read */
	CMD_WANT_SENT,		/* answer with EVENT_SENT once there is room */
	CMD_WANT_BLOCKS,	/* the stock of a class ran out, or more is wanted */
	CMD_RETURN_BLOCK,	/* a granted block is given up unused or used up */
	CMD_CREDIT,		/* ready to take accepted connections */
	CMD_TAKE,		/* move a socket that we hold to this context */
	CMD_SHUTDOWN,		/* no more to send (FIN), or no more to read */
	CMD_CLOSE,		/* this holder lets go; last record for the cookie */
	CMD_OPTION,		/* set an integer option */
	CMD_TYPES
};

enum {				/* cmd.flags */
	CMD_F_LAST = 1,		/* send: the block is given up */
	CMD_F_MORE = 2,		/* send: more follows soon, do not push yet */
	CMD_F_ABORT = 4,	/* close: RST, whatever is unsent (SO_LINGER 0) */
	CMD_F_READ = 8,		/* shutdown: discard what is and will be received;
				 * take: once there is something to read */
	CMD_F_WRITE = 16,	/* shutdown: FIN after what was sent;
				 * take: once there is room to send */
	CMD_F_BOUND = 32,	/* connect: the local TCP port is given */
	CMD_F_BACK = 128,	/* close: nobody has used it; another that
				 * listens may have it, else as without.
				 * credit: with no cookies, all is revoked */
	CMD_F_FASTOPEN = 64,	/* connect: CMD_SENDs follow, for the SYN */
};

enum cmd_option {		/* CMD_OPTION, in cmd.option.name */
	CMD_OPT_NODELAY = 1,	/* 0 or 1 */
	CMD_OPT_CORK,		/* 0 or 1 */
	CMD_OPT_KEEPALIVE,	/* 0 or 1 */
	CMD_OPT_KEEPIDLE_S,
	CMD_OPT_KEEPINTVL_S,
	CMD_OPT_KEEPCNT,
	CMD_OPT_SNDBUF,		/* bytes: cap on data in flight and unsent */
	CMD_OPT_RCVBUF,		/* bytes: cap on the receive window */
	CMD_OPT_USER_TIMEOUT_MS,
	CMD_OPT_LINGER_S,	/* -1: off */
	CMD_OPT_QUICKACK,
	CMD_OPT_MAXSEG,		/* payload bytes; 0: the path's */
	CMD_OPT_NOTSENT_LOWAT,	/* bytes, unsigned; 0: no limit */
	CMD_OPT_WINDOW_CLAMP,	/* bytes; 0: none */
	CMD_OPT_SYNCNT,		/* SYNs sent again, 1 - 127 */
	CMD_OPT_LINGER2_S,	/* of FIN_WAIT_2; -1: none, 0: the default */
	CMD_OPT_DEFER_ACCEPT_S,	/* listeners */
	CMD_OPT_TOS,
	CMD_OPT_TTL,		/* 1 - 255 */
	CMD_OPT_MTU_DISCOVER,	/* IP_PMTUDISC_* of <netinet/in.h> */
	CMD_OPT_FASTOPEN,	/* listeners: how many may wait; 0: none */
	CMD_OPT_PORT,		/* only by this port (CTL_PORT) + 1; 0: any */
	CMD_OPT_CONGESTION,	/* enum cmd_cc */
	CMD_OPT_MAX_PACING,	/* bytes a second, unsigned; 0, ~0: no limit */
	CMD_OPTS
};

enum cmd_cc {			/* congestion control; names in cc.h */
	CMD_CC_DEFAULT,		/* the daemon's (mtcpd.conf) */
	CMD_CC_RENO, CMD_CC_CUBIC, CMD_CC_DCTCP, CMD_CC_BBR,
	CMD_CCS
};

#define USE_MS			5	/* a socket stays where it was taken */

#define CMD_CREDIT_COOKIES	4
#define CMD_CREDIT_MAX		1024	/* outstanding a listener, context, engine */

struct cmd {
	uint8_t type;		/* enum cmd_type */
	uint8_t flags;		/* CMD_F_* */
	uint16_t zero;
	uint32_t cookie;
	uint64_t sock;		/* handle; HANDLE_NONE where there is none yet */
	union {
		struct {
			uint32_t block;
			uint16_t offset;	/* in the block */
			uint16_t len;		/* 1..; offset + len <= size */
		} send;
		struct { uint32_t bytes; } consumed;
		struct { uint32_t block; } return_block;
		struct { uint32_t cls, count; } want_blocks;
		struct { uint32_t name; int32_t value; } option;
		/* credit: `sock` is the listener's id, `zero` stays 0, and
		 * `cookie` says how many of these name future sockets. */
		struct { uint32_t cookies[CMD_CREDIT_COOKIES]; } credit;
		uint8_t bytes16[16];
	};
};
_Static_assert(sizeof(struct cmd) == RING_SLOT, "shm ABI");

/* CMD_CONNECT: both slots as one.  All in network order but the lengths. */
struct cmd_connect {
	uint8_t type;
	uint8_t flags;		/* CMD_F_BOUND */
	uint16_t local_port;	/* network order; 0: the engine picks */
	uint32_t cookie;
	uint16_t remote_port;	/* network order */
	uint16_t zero16;
	uint32_t zero32;
	uint8_t local_addr[16];	/* any: the route's source address */
	uint8_t remote_addr[16];
	uint8_t zero[16];
};
_Static_assert(sizeof(struct cmd_connect) == 2 * RING_SLOT, "shm ABI");

/* Slots of a record of this type; 0: no such type. */
static inline uint32_t cmd_slots(uint8_t type)
{
	if (type == CMD_NONE || type >= CMD_TYPES)
		return 0;
	return type == CMD_CONNECT ? 2 : 1;
}

#endif
