/*
 * tcp_rack.h - loss detection and recovery with SACK (RFC 8985, 9937, 5682)
 *
 *	       lost by RACK                       all acked
 *	 OPEN --------------> RECOVERY (PRR) -----------------+
 *	  ^  \--- timeout --> LOSS (slow start, F-RTO) -------+-> OPEN
 *	  |                     |  \ was spurious: undone ----+
 *	  +---------------------+
 *
 * RACK: what was sent more than a reordering window before something that has
 * arrived is lost.  TLP: when ACKs fail to come for two round trips, the last
 * segment or a new one is sent to ask for them; a lone segment, whose ACK may be
 * delayed, waits longer, and none longer than for the timeout, whose place the
 * probe takes then.  Both use the connection's one retransmission timer; `waits`
 * in the connection says what it is set for, so that a request and its answer
 * need no extension and no record until a probe is due.
 *
 * Peers without SACK have NewReno instead (tcp_ack.c).
 *
 * Ownership Part of a connection's extension.
 * Units     _us.
 * Threads   One engine.
 */
#ifndef TCP_RACK_H
#define TCP_RACK_H

#include <stdbool.h>
#include <stdint.h>

#include "tcp/seq.h"
#include "tcp/tcp_xmit.h"

enum rec_state { REC_OPEN, REC_RECOVERY, REC_LOSS };
enum rec_timer { REC_RTO, REC_REORDER, REC_PROBE };

struct rec {
	uint8_t state;		/* enum rec_state */
	uint8_t fast;		/* undo: of a fast recovery, not of a timeout */
	/* RACK, RFC 8985 5.2 */
	uint8_t known;		/* us, end and rtt_us are valid */
	uint8_t reordering;	/* was seen */
	uint8_t mult, persist;	/* reo_wnd_mult, reo_wnd_persist */
	uint8_t frto;		/* the timeout may have been spurious */
	uint8_t undo;		/* prior_* can be restored */
	uint32_t us, rtt_us;	/* of the segment sent last that arrived */
	seq_t end;
	seq_t fack;		/* highest that arrived */
	seq_t rtt_end;		/* a round trip is measured once this arrived */
	uint32_t min_rtt_us;	/* of MIN_RTT_MS at least, */
	uint32_t next_rtt_us;	/* of the half of it that passes, 0: none */
	uint32_t half_ms;	/* and when that began */
	uint32_t sacked_segs;	/* segments that were SACKED */
	seq_t dsack_round;	/* reo_wnd_mult grows once a round */
	/* TLP, 7 */
	seq_t probe_seq, probe_end;	/* with probing */
	uint8_t probing, probe_again;	/* a probe is out; it was sent again */
	uint8_t probe_due;	/* tcp_out() is to send one */
	uint8_t dsacked;	/* mult has grown in this round */
	/* PRR, RFC 9937 */
	uint32_t flight, delivered, out;
	/* as before the reduction */
	uint32_t prior_cwnd, prior_ssthresh;
	uint32_t undo_ts;	/* TSval of the first retransmission */
	uint32_t undo_bytes;	/* sent again and not reported twice, */
	seq_t undo_low, undo_high;	/* all of it between these */
};

struct tcp_env;
struct tcb;
struct seg;

/* What a connection knows of its path outlives the extension. */
void rec_init(const struct tcp_env *env, const struct tcb *t, struct rec *k);
void rec_keep(struct tcb *t, const struct rec *k);
/* Of the last minutes, _us; 0: no sample yet. */
uint32_t rec_min_rtt(const struct tcp_env *env, const struct tcb *t);
/* A report may still come that tells what the last loss was: for a while the
 * extension stays although all is acknowledged. */
bool rec_keeps(const struct rec *k);

/* Record @r arrived (xmit_news): moves RACK's segment on. */
void rack_arrived(struct tcp_env *env, struct tcb *t, const struct xmit *r);
/* It came after something that was sent later. */
bool rack_reordered(struct tcp_env *env, struct tcb *t, const struct xmit *r);

/* An ACK of a connection with SACK, after snd_una has moved; @flight as before,
 * @acked bytes by which it moved. */
void rec_ack(struct tcp_env *env, struct tcb *t, const struct seg *s,
	     struct xmit_news *n, uint32_t acked, uint32_t flight);
/* The timer was due. */
void rec_due(struct tcp_env *env, struct tcb *t);
/* Chooses what the timer waits for, and sets it. */
void rec_timer(struct tcp_env *env, struct tcb *t);
/* New data was sent: the probe waits anew. */
void rec_sent_timer(struct tcp_env *env, struct tcb *t, bool idle);
/* Bytes in flight: sent, neither SACKED nor LOST. */
uint32_t rec_pipe(const struct tcp_env *env, const struct tcb *t);
/* New data may leave although cwnd is used up: it is a probe. */
bool rec_probe_new(const struct tcp_env *env, const struct tcb *t);
/* [seq, end) was sent; @again: not for the first time. */
void rec_sent(struct tcp_env *env, struct tcb *t, seq_t end, uint32_t bytes,
	      bool again);
/* What is to be sent again now, at most @most bytes of one record: its number,
 * 0: nothing. */
uint32_t rec_next(struct tcp_env *env, struct tcb *t, uint32_t most);

#endif
