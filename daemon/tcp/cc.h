/*
 * cc.h - congestion control: what an algorithm must say
 *
 *	an ACK ----------> ops->acked	  grows cwnd, in slow start and after
 *	loss, ECN -------> ops->ssthresh  what is left of it
 *	all else --------> ops->event	  timeout, idle time, undo ...
 *	a rate sample ---> ops->sample	  for those that model the path: they set
 *					  cwnd and the pacing rate themselves
 *
 * Loss detection and recovery (tcp_ack.c) are the same for all, and so is what
 * stands between them and these functions, tcp_cong.c.  cwnd and ssthresh live
 * in the tcb, an algorithm's own state in its extension, which may come and
 * go: init() starts from cwnd and ssthresh alone, and an algorithm that would
 * rather keep what it learned for a while says so (ops->keeps).
 *
 * A connection names its algorithm by number (enum cmd_cc, shm/cmd.h).
 *
 * Units     Bytes, _us, _ms, bytes a second.
 * Threads   Pure functions over one connection.
 */
#ifndef TCP_CC_H
#define TCP_CC_H

#include <stdbool.h>
#include <stdint.h>

#include "shm/cmd.h"
#include "tcp/seq.h"

#define CC_CWND_MAX	(1u << 30)
#define CC_SSTHRESH_NONE UINT32_MAX	/* no loss yet: initial slow start */
#define CC_RATE_MAX	UINT64_C(125000000000)	/* 1 Tb/s */

struct cc_window {		/* the part of a connection that it may see */
	uint32_t cwnd, ssthresh;
	uint32_t mss;
	uint32_t flight;	/* bytes in flight before this ACK */
	uint32_t srtt_us;
	uint32_t rtt_us;	/* of this ACK; 0: it measured none */
	uint32_t now_ms, now_us;
	seq_t snd_una, snd_nxt;	/* after this ACK */
	bool paced;		/* segments leave at a rate, not in bursts */
	bool css;		/* out: left slow start because of delay */
	uint64_t rate;		/* out: pacing, bytes a second; 0: none */
};

struct cc_reno {
	uint32_t acked;		/* bytes since cwnd last grew */
};

/* RFC 9406 4.2 */
struct cc_hystart {
	seq_t window_end;	/* the round ends when this is acknowledged */
	uint32_t last_us, now_us;	/* least RTT of the last round, of this */
	uint32_t baseline_us;	/* the RTT that CSS began with */
	uint32_t least_us;	/* of all rounds: the path without a queue */
	uint32_t train_us;	/* when this train of ACKs began */
	uint32_t ack_us;	/* when its last one came */
	uint32_t frac;		/* of a quarter of the growth, in CSS */
	uint16_t samples;	/* RTTs measured in this round */
	uint8_t css_rounds;	/* rounds in CSS; 0: slow start */
	uint8_t begun : 1;	/* window_end, train_us and ack_us are valid */
	uint8_t high : 7;	/* RTTs in a row of a queue that stands */
};

struct cc_cubic {		/* RFC 9438 4.1 */
	uint32_t w_max;
	uint32_t w_est;
	uint32_t k_ms;
	uint32_t epoch_ms;	/* start of this avoidance epoch */
	uint32_t cwnd_prior;	/* cwnd at the last reduction */
	uint32_t frac, est_frac; /* remainders of cwnd and w_est */
	uint32_t in_epoch;	/* epoch_ms is valid */
	uint32_t grown_ms;	/* last ACK that could grow cwnd */
	struct {		/* as before the last reduction (4.9) */
		uint32_t w_max, k_ms, epoch_ms, w_est, in_epoch;
	} undo;
	struct cc_hystart hystart;
};

struct cc_dctcp {		/* RFC 8257 3.3 */
	seq_t window_end;
	uint32_t alpha;		/* 2^-20 */
	uint32_t acked, ce;	/* bytes of this window */
	uint32_t grown;		/* bytes since cwnd last grew */
	uint32_t reduce;	/* a mark asks, not a loss */
};

enum bbr_state {
	BBR_STARTUP, BBR_DRAIN, BBR_DOWN, BBR_CRUISE, BBR_REFILL, BBR_UP,
	BBR_PROBE_RTT
};

struct cc_bbr {			/* draft-ietf-ccwg-bbr 2 */
	uint64_t bw_max[2];	/* of the last cycle and of this one */
	uint64_t bw_lo, bw_latest, full_bw;
	uint64_t rate;
	uint64_t delivered;
	uint64_t round_end, loss_round_end;	/* delivered; over then */
	uint32_t inflight_hi, inflight_lo, inflight_latest;
	uint32_t min_rtt_us, min_rtt_ms;	/* and when it was seen */
	uint32_t probe_rtt_us, probe_rtt_ms;
	uint32_t probe_done_ms;	/* end of PROBE_RTT; 0: not yet known */
	uint32_t cycle_ms, wait_ms;	/* since DOWN, until REFILL */
	uint32_t rounds;	/* since the last probe */
	uint32_t up_count, up_acks;	/* bytes acked a byte more */
	uint32_t prior_cwnd;
	uint32_t salt;
	uint32_t extra[2];	/* acknowledged in bunches: 5 rounds each */
	uint32_t bunch_us, bunch;	/* begin of an interval, bytes in it */
	uint32_t round_acked, round_marked;	/* bytes of this round */
	uint32_t alpha;		/* share of marks, 2^-20 */
	uint8_t state;		/* enum bbr_state */
	uint8_t phase;		/* whose samples arrive */
	uint8_t full_rounds, up_rounds, extra_rounds, ecn_rounds;
	uint8_t round_start : 1, loss_round_start : 1;
	uint8_t loss_in_round : 1, ecn_in_round : 1;
	uint8_t loss_in_cycle : 1, ecn_in_cycle : 1;
	uint8_t quiet : 1;	/* no mark in the last round */
	uint8_t full : 1;	/* the pipe was full once */
	uint8_t full_now : 1;	/* and is in this probe */
	uint8_t probed : 1;	/* samples tell of a probe */
	uint8_t probe_rounds : 1;	/* PROBE_RTT lasted a round */
	uint8_t restart : 1;	/* after idle time */
	uint8_t pad[4];
};

union cc_state {
	struct cc_reno reno;
	struct cc_cubic cubic;
	struct cc_dctcp dctcp;
	struct cc_bbr bbr;
	uint64_t words[22];
};
_Static_assert(sizeof(union cc_state) == 176, "part of the extension");

enum cc_event {
	CC_TIMEOUT,		/* a retransmission timeout; after ssthresh() */
	CC_IDLE,		/* about to send again after an idle RTO */
	CC_UNDO			/* the last reduction was for nothing */
};

/* Delivery over the flight of one segment (draft-ietf-ccwg-bbr 4.1). */
struct cc_sample {
	uint64_t delivered;	/* bytes of the connection, now */
	uint64_t prior_delivered;	/* when the segment was sent */
	uint64_t rate;		/* bytes a second; 0: says nothing */
	uint32_t acked;		/* by this ACK */
	uint32_t tx_in_flight;	/* with the segment, when it was sent */
	uint32_t lost_since;	/* bytes, since it was sent */
	uint32_t ce_since;	/* and those that were marked */
	uint32_t lost, marked;	/* bytes, since the last sample */
	bool app_limited;
	bool accurate;		/* marked is a count, not the fact alone */
};

struct cc_ops {
	const char *name;
	void (*init)(union cc_state *s, const struct cc_window *w);
	/* @acked bytes left the network while cwnd was the limit, outside of
	 * recovery. */
	void (*acked)(union cc_state *s, struct cc_window *w, uint32_t acked);
	/* A loss or a mark: the new ssthresh.  Once a window. */
	uint32_t (*ssthresh)(union cc_state *s, const struct cc_window *w);
	void (*event)(union cc_state *s, const struct cc_window *w,
		      enum cc_event e);
	/* Every ACK that tells of something that arrived, in recovery too;
	 * NULL: no samples are wanted. */
	void (*sample)(union cc_state *s, struct cc_window *w,
		       const struct cc_sample *rs);
	/* Every ACK where marks are fed back, before acked(); NULL: a mark is a
	 * loss. */
	void (*marked)(union cc_state *s, const struct cc_window *w,
		       uint32_t acked, uint32_t marked);
	/* What it learned is worth a while of memory; NULL: it is not. */
	bool (*keeps)(const union cc_state *s);
	bool needs_ecn;		/* asks for it, and wants every mark told */
};

extern const struct cc_ops cc_reno;	/* cc_reno.c: RFC 5681 */
extern const struct cc_ops cc_cubic;	/* cc_cubic.c: RFC 9438 */

extern const struct cc_ops cc_dctcp;	/* cc_dctcp.c: RFC 8257 */
extern const struct cc_ops cc_bbr;	/* cc_bbr.c: draft-ietf-ccwg-bbr */

/* ---- cc.c ---- */

/* NULL: no such number. */
const struct cc_ops *cc_at(uint32_t number);
/* Its number; an empty name is the standard one's.  -1: no such name. */
int cc_find(const char *name);

/* Slow start with appropriate byte counting, RFC 3465: an ACK counts for two
 * segments at most, in the first slow start for eight, and for all that it
 * acknowledges when segments are paced (RFC 9406 4.2). */
void cc_slow_start(struct cc_window *w, uint32_t acked);

/* ---- cc_hystart.c: RFC 9406, for the first slow start ---- */

/* Slow start or conservative slow start by @acked; leaves it by ssthresh. */
void hystart_acked(struct cc_hystart *h, struct cc_window *w, uint32_t acked);

/* ---- for tests ---- */

/* The cube root, rounded down. */
uint32_t cc_cube_root(uint64_t x);

/* W_cubic(t) in bytes, @t_ms after the epoch's start (RFC 9438, figure 1). */
uint32_t cc_cubic_window(const struct cc_cubic *c, uint32_t mss, uint32_t t_ms);

#endif
