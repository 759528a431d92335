/*
 * tcp_gro.h - the segments of a burst that are one run of data
 *
 *	burst:	a0  b0  a1  c0  a2P  b1  a3	P: with PSH
 *	runs:	a0 -> a1 -> a2P;  b0 -> b1;  c0;  a3
 *
 * A run is looked up, parsed and decided on once: its first segment goes the
 * whole way, the others add their payload.  Linux's GRO is the model, and a
 * run ends where its does: a segment joins the run of its connection only if
 *
 *	- it begins where the one before ends, and is no longer than the first;
 *	- ACK is its only flag, PSH apart; acknowledgement, window, ECN bits of
 *	  TCP and codepoint of IP are those of the first, and that is not CE;
 *	- its options are the same bytes; where timestamps are all there is,
 *	  they may also grow (RFC 7323 5.3 and 4.3 look at the first alone: what
 *	  comes behind it lies beyond the last ACK sent).
 *
 * PSH and a shorter segment are the last of their run.  What does not join
 * begins a run of its own, so segments of one connection keep their order;
 * those of two have none.
 *
 * Merging changes nothing that anybody can see (test/unit/tcp_gro.c compares):
 * a run is taken as one only where each of its segments would have gone the
 * fast way, else they go one by one, and so does what follows a bad checksum.
 * Each segment counts for itself in ECN, quick ACKs and statistics.
 *
 * Trust     Headers are hostile; payload is not looked at here.
 * Threads   Pure functions.
 */
#ifndef TCP_GRO_H
#define TCP_GRO_H

#include <stdint.h>

#include "tcp/tcp.h"

#define GRO_END		0xffu

struct tcp_gro {
	uint8_t next[TCP_BURST_MAX];	/* of the same run; GRO_END: last */
	uint64_t joined;		/* bit i: not the first of its run */
};

/* @n from 1 to TCP_BURST_MAX; @hash as tcp_rx_hash() gives it. */
void tcp_gro_find(struct tcp_gro *g, const struct tcp_rx *rx,
		  const uint32_t *hash, uint32_t n);

/* Behind the TCP header of a segment that joined. */
static inline const uint8_t *tcp_gro_payload(const struct tcp_rx *rx,
					     uint32_t *len)
{
	uint32_t head = (uint32_t)(rx->l4[12] >> 4) * 4;

	*len = rx->l4_len - head;
	return rx->l4 + head;
}

#endif
