/*
 * tcp_flight.h - the flight recorder: what limited a connection, and when
 *
 *	tcp_out says no   --+
 *	an ACK was taken  --+-> flight_note: which limit holds from now on?
 *	                          |  the time since the last note is the old one's
 *	                          v
 *	record   conn | cur[limit] | prev[limit] | total[limit] | events (ring)
 *	              ^ 2 s under way ^ 2 s before ^ since it began
 *
 * Records are a table beside the connections, found by the connection's index;
 * the tcb knows nothing of them.  A record is its connection's while that is
 * noted at least once a second; then whoever falls on the slot next takes it.
 * So an idle connection holds none, and what has just become idle can still
 * be explained.  A connection gets one when a limit other than its application
 * holds, or with its second answer: short ones never touch the table.
 *
 * A note without change costs one line of the record, a few ns.  Changes
 * between idle and application write no event, others at most one a limit in
 * 2 s, so that the ring covers seconds and not microseconds.
 *
 * Ownership tcp_init() allocates the table.
 * Threads   One engine; flight_report() runs there too.
 * Units     Microseconds of the monotonic clock; bytes.
 */
#ifndef TCP_TCP_FLIGHT_H
#define TCP_TCP_FLIGHT_H

#include <stddef.h>
#include <stdint.h>

#include "tcp/tcp.h"

struct tcb;

#define FLIGHT_RECORDS	8192u		/* at most; a power of two */
#define FLIGHT_EPOCH_US	2000000u
#define FLIGHT_STALE_US	1000000u

/* One line for what every note touches, then what it does not. */
struct flight_record {
	uint32_t conn;			/* 0: never used */
	uint32_t generation;
	uint64_t noted_us;		/* cur is complete up to here */
	uint32_t epoch_ms;		/* cur began; low 32 bits */
	uint32_t counted_una;		/* acked is complete up to here */
	uint32_t cur_us[FLIGHT_LIMITS];
	uint8_t limit;			/* that holds since noted_us */
	uint8_t zero;
	uint16_t events;		/* ever; the ring's newest is before it */
	uint32_t retransmits;		/* the connection's, at the last note */

	uint64_t total_us[FLIGHT_LIMITS];	/* cur is not in it */
	uint32_t prev_us[FLIGHT_LIMITS];	/* the epoch before cur */
	uint64_t born_us;
	uint64_t acked;			/* bytes, up to counted_una */
	uint64_t cur_acked, prev_acked;	/* acked at their begins */
	uint32_t cur_retransmits, prev_retransmits;
	uint64_t pad[7];
	struct flight_event event[FLIGHT_EVENTS];
};
_Static_assert(offsetof(struct flight_record, total_us) == 64, "line 0");
_Static_assert(sizeof(struct flight_record) % 64 == 0, "of lines");

int flight_init(struct tcp_env *env, tcp_alloc_fn *alloc, void *arg);

/* Looks at @t as it is and charges the time that passed. */
void flight_note(struct tcp_env *env, const struct tcb *t);

/* Bytes of ours that were acknowledged.  Sequence numbers wrap: what was before
 * the record began is known modulo 2^32. */
uint64_t flight_acked(const struct tcp_env *env, const struct tcb *t);

#endif
