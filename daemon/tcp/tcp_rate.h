/*
 * tcp_rate.h - delivery-rate samples (draft-ietf-ccwg-bbr 4.1)
 *
 *	sent   --M-------M-------M-------M-->   a mark every twelfth of a flight
 *	acked  ----------|  the mark says what had been delivered when its
 *			    segment left, so the ACK of it gives a rate
 *
 * The draft keeps this with every segment.  A dozen marks a round trip are as
 * good for a maximum filter, and bounded: a mark is the last byte of one
 * segment, and ACKs between two marks add to what was delivered.  With SACK a
 * mark is done with as soon as something sent then or later has arrived: a hole
 * does not hold the measuring up.
 *
 * Ownership The connection's extension names the record; attached only while a
 *           congestion control that wants samples (cc_ops.sample) sends.
 * Units     Bytes, microseconds of the monotonic clock.
 */
#ifndef TCP_TCP_RATE_H
#define TCP_TCP_RATE_H

#include <stdbool.h>
#include <stdint.h>

#include "tcp/seq.h"

#define RATE_MARKS	16

struct rate_mark {
	uint64_t sent_us, first_sent_us;
	uint64_t delivered, delivered_us;
	uint64_t lost, ce;
	seq_t end;		/* of its segment */
	uint32_t in_flight;	/* with it */
	bool app_limited, again;	/* again: may have been sent twice */
};

struct rate_rec {
	uint32_t conn;		/* the pool's while free */
	uint32_t head, count;	/* of mark[] */
	seq_t marked;		/* end of the newest mark */
	uint64_t delivered, delivered_us;
	uint64_t first_sent_us;	/* of the flight being measured */
	uint64_t rate;		/* the last sample, bytes a second */
	uint64_t lost, ce;	/* and marked: bytes, ever */
	uint64_t lost_told, ce_told;	/* in samples */
	uint64_t app_limited;	/* delivered count at which that ends; 0: not */
	struct rate_mark mark[RATE_MARKS];
};

#endif
