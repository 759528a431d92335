/*
 * handover.h - segments for another engine, from engine to engine
 *
 *	engine a: net_in -> hash says b -> handover_put ... handover_publish
 *	engine b: bell -> handover_peek, next ... -> tcp_in_burst -> handover_release
 *
 *	bytes: | entry | l4 bytes | entry | l4 bytes | ... free ... | skip |
 *	        ^ head                                 ^ tail
 *
 * veth and TAP do not hash for us; ICMP errors, reassembled datagrams and
 * bound source ports arrive anywhere on every NIC.  What crosses is the parsed
 * segment with a copy of its bytes, not the frame, which goes straight back to
 * the queue that it came from.
 *
 * Invariant  tail - head <= HANDOVER_BYTES; entries are multiples of 16 bytes
 *            and never wrap: a skip entry fills the end.
 * Ownership  Bytes [head, tail) are the receiver's, the rest the sender's.
 * Ordering   Stores to tail and head are releases, loads acquires.
 * Threads    One sending and one receiving engine a ring.  Waking is the
 *            mailbox's: publish, then mailbox_ring().
 * Errors     A full ring is a drop that the sender counts.
 */
#ifndef ENGINE_HANDOVER_H
#define ENGINE_HANDOVER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"

#define HANDOVER_BYTES	(512u << 10)	/* a power of two */

enum handover_kind { HANDOVER_SKIP, HANDOVER_TCP, HANDOVER_ICMP };

struct handover_entry {
	uint32_t bytes;		/* with what follows it, a multiple of 16 */
	uint32_t len;		/* payload bytes behind the entry */
	uint32_t hash;
	uint8_t kind;		/* enum handover_kind */
	uint8_t port, ecn;
	uint8_t csum_ok;
	struct ip_addr src, dst;
};
_Static_assert(sizeof(struct handover_entry) == 48, "keeps alignment");

struct handover_ring {
	_Alignas(64) _Atomic uint32_t tail;	/* sender stores */
	uint32_t put;				/* sender's: not published yet */
	uint32_t head_seen;
	_Alignas(64) _Atomic uint32_t head;	/* receiver stores */
	uint32_t got;				/* receiver's */
	uint32_t tail_seen;
	_Alignas(64) uint8_t bytes[HANDOVER_BYTES];
};

struct handover_ring *handover_open(void);	/* NULL: no memory */
void handover_close(struct handover_ring *r);

/* Copies @h (kind, hash ... filled in) and @len bytes; false: no room. */
bool handover_put(struct handover_ring *r, const struct handover_entry *h,
		  const void *payload, uint32_t len);
/* Makes what was put visible.  True: the receiver's bell must be rung. */
bool handover_publish(struct handover_ring *r);

/* The oldest entry that was not looked at; NULL: none.  Its payload lies right
 * behind it.  It is the receiver's until released: next goes on behind it,
 * release gives back all that were passed so. */
const struct handover_entry *handover_peek(struct handover_ring *r);
void handover_next(struct handover_ring *r, const struct handover_entry *h);
void handover_release(struct handover_ring *r);

#endif
