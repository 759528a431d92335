/*
 * tcp_xmit.h - what was sent and is not acknowledged, segment by segment
 *
 *	snd_una                                            snd_nxt
 *	   [ sent ][ SACKED  ][ LOST ][ sent ][ SACKED ][ sent ]	by sequence
 *	 head                                             tail
 *	   first -> ... -> last		those that are in flight, by time sent
 *
 * A record is what one call of tcp_out() sent, a segment or a batch for TSO;
 * it is split where a SACK block or a retransmission ends inside it, and
 * SACKED neighbours become one.  Records exist for connections whose peer
 * sends SACK, from the second segment in flight on: a lone segment's is made
 * when it is asked for (xmit_cover), so that a request costs no record.
 *
 * Invariants (tcp_check.c)
 *	Records cover [max(snd_una, iss + 1), snd_nxt) without a gap, or there
 *	are none.  Each is in flight, SACKED or LOST; `sacked`, `lost` and
 *	`again` are the sums of their bytes.  first..last holds those in flight, the one
 *	sent earliest first.  No LOST record lies before `hint`.
 *
 * When the pool is empty the last record grows, or the connection goes on
 * without SACK (xmit_forget): slower, never stuck.  A connection with many
 * records gets no more than are left for others.
 *
 * A peer may report what it likes, as often as it likes.  A report splits a
 * record at whole segments only; looking for where a block begins goes on from
 * one of a few fingers, for so many steps an ACK: what was not found is looked
 * for from there with the next ACK, which says it again.
 *
 * Ownership The engine's pool; a connection's extension holds the lists.
 * Units     _us: the low 32 bits of the monotonic clock.
 * Threads   One engine.
 */
#ifndef TCP_XMIT_H
#define TCP_XMIT_H

#include <stdbool.h>
#include <stdint.h>

#include "tcp/seq.h"

struct tcp_env;
struct tcb;

enum {				/* xmit.flags */
	XMIT_SACKED = 1,	/* the peer has it, above what it acknowledges */
	XMIT_LOST = 2,		/* to be sent again */
	XMIT_AGAIN = 4,		/* was sent more than once */
	XMIT_LATE = 8		/* was LOST for a while: sent before sent_us */
};

struct xmit {
	uint32_t next;		/* by sequence; the pool's while free */
	uint32_t later, sooner;	/* by time, while in flight */
	seq_t seq, end;
	uint32_t sent_us;	/* last time */
	uint8_t flags;
	uint8_t zero8;
	uint16_t zero16;
	uint32_t zero32;
};
_Static_assert(sizeof(struct xmit) == 32, "two a line");

#define XMIT_FINGERS	4	/* blocks an ACK holds */

struct xmit_board {
	uint32_t count;		/* records */
	uint32_t head, tail;	/* by sequence */
	uint32_t first, last;	/* by time */
	uint32_t hint;		/* of the first LOST one; 0: none */
	uint32_t sacked, lost;	/* bytes */
	uint32_t again;		/* bytes in flight that were sent more than once */
	uint32_t finger[XMIT_FINGERS];	/* before a SACK block; 0: free */
	uint32_t turn;		/* the finger that moves next */
};

/* What an ACK said of records. */
struct xmit_news {
	uint32_t delivered;	/* bytes that were not known to have arrived */
	uint32_t steps;		/* records looked at for nothing */
	uint32_t rtt_us;	/* of the last that was sent only once; 0: none */
	bool orig;		/* some of them were sent only once */
	bool reordered;		/* such a one came after one sent later */
};

/* [seq, end) was sent for the first time, just now. */
void xmit_sent(struct tcp_env *env, struct tcb *t, seq_t seq, seq_t end);
/* Makes the record of a lone segment; false: there is none to make. */
bool xmit_cover(struct tcp_env *env, struct tcb *t);
/* As that; without memory SACK is given up. */
bool xmit_ready(struct tcp_env *env, struct tcb *t);
/* All below @ack arrived. */
void xmit_acked(struct tcp_env *env, struct tcb *t, seq_t ack,
		struct xmit_news *n);
/* [left, right) arrived, as a SACK block says. */
void xmit_sacked(struct tcp_env *env, struct tcb *t, seq_t left, seq_t right,
		 struct xmit_news *n);
/* No longer in flight, to be sent again. */
void xmit_lost(struct tcp_env *env, struct tcb *t, uint32_t rec);
/* All that the peer did not report is lost; with @reneged, all. */
void xmit_lose_all(struct tcp_env *env, struct tcb *t, bool reneged);
/* What was taken for lost is in flight after all. */
void xmit_unlose(struct tcp_env *env, struct tcb *t);
/* The first that is to be sent again; 0: none. */
uint32_t xmit_next_lost(struct tcp_env *env, struct tcb *t);
/* The record ends at @at from now on, what follows is a record of its own;
 * false: no memory. */
bool xmit_split(struct tcp_env *env, struct tcb *t, uint32_t rec, seq_t at);
/* It was sent again, just now. */
void xmit_resent(struct tcp_env *env, struct tcb *t, uint32_t rec);
/* No records, and no SACK for this connection any more: all in flight is sent
 * again from snd_una where it must be. */
void xmit_forget(struct tcp_env *env, struct tcb *t);
void xmit_free(struct tcp_env *env, struct xmit_board *b);

#endif
