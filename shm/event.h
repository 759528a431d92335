/*
 * event.h - events: what an engine tells a client's context
 *
 * Events are differences between a socket's state and what was announced, so
 * none is ever lost: what finds a full ring stays pending in the engine.
 * Every event of a socket carries the cookie; events with counts also carry
 * the cumulative count of acknowledged bytes and the send limit:
 *
 *	queued bytes = sent so far - acked;   writable while queued < limit
 *
 * EVENT_CLOSED is the last one for a cookie: after it the client may reuse
 * the cookie, and the engine the handle.
 *
 * Trust     The client trusts the daemon; it checks only the versions.
 */
#ifndef SHM_EVENT_H
#define SHM_EVENT_H

#include <stdint.h>

#include "shm/record.h"
#include "shm/ring.h"

enum event_type {
	EVENT_NONE,
	EVENT_ACCEPTED,		/* 2 slots: a connection for a posted credit */
	EVENT_CONNECTED,	/* the handshake of a CMD_CONNECT is complete */
	EVENT_DATA,		/* an in-order extent to read */
	EVENT_FIN,		/* no data follows what was announced */
	EVENT_SENT,		/* answer to CMD_WANT_SENT: there is room now */
	EVENT_ERROR,		/* dead: `error` is an errno; close it */
	EVENT_CLOSED,		/* answer to CMD_CLOSE: the cookie is free */
	EVENT_GRANT,		/* blocks for sending; no socket */
	EVENT_TAKEN,		/* 2 slots: answer to CMD_TAKE; data follows */
	EVENT_GONE,		/* another context took it: the cookie is free */
	EVENT_PARKED,		/* who used it let go: we hold it, to be taken;
				 * the cookie is the last user's */
	EVENT_TYPES
};

#define EVENT_GRANT_BLOCKS	6

struct event {
	uint8_t type;		/* enum event_type */
	uint8_t cls;		/* grant: enum block_class */
	uint16_t count;		/* grant: blocks */
	uint32_t cookie;
	union {
		struct {
			uint64_t sock;
			union {
				struct {
					uint32_t block;
					uint16_t offset, len;
				} data;
				struct { int32_t error; uint32_t zero; };
				struct {	/* connected */
					uint16_t local_port; /* network order */
					uint16_t mss;
					uint32_t local_v4;   /* of mapped; else 0 */
				} connected;
			};
			uint32_t acked;	/* bytes since the start, mod 2^32 */
			uint32_t limit;	/* bytes */
		};
		uint32_t blocks[EVENT_GRANT_BLOCKS];
	};
};
_Static_assert(sizeof(struct event) == RING_SLOT, "shm ABI");

/* EVENT_ACCEPTED and EVENT_TAKEN: both slots as one. */
struct event_socket {
	uint8_t type;
	uint8_t state;		/* taken: EVENT_S_* */
	uint16_t local_port;	/* network order */
	uint32_t cookie;
	uint64_t sock;
	uint32_t limit;		/* send limit, bytes */
	uint32_t acked;
	uint32_t sent;		/* taken: bytes sent so far, mod 2^32 */
	uint16_t remote_port;	/* network order */
	uint16_t zero;
	uint8_t local_addr[16];
	uint8_t remote_addr[16];
};
_Static_assert(sizeof(struct event_socket) == 2 * RING_SLOT, "shm ABI");

enum {				/* event_socket.state of a socket that was taken */
	EVENT_S_CONNECTING = 1,
	EVENT_S_CONNECTED = 2,
	EVENT_S_FIN_SENT = 4,	/* our side was shut down */
};

/* Slots of a record of this type. */
static inline uint32_t event_slots(uint8_t type)
{
	return type == EVENT_ACCEPTED || type == EVENT_TAKEN ? 2 : 1;
}

#endif
