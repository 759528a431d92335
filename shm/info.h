/*
 * info.h - what a client may know of one of its connections
 *
 * The layout and meaning of Linux's struct tcp_info up to tcpi_delivery_rate,
 * so that the library hands it to programs as it is.  What mtcpd does not
 * count is 0; doc/porting.md names it.
 *
 * Trust     The client trusts the daemon.
 * Units     _us microseconds, _ms milliseconds; cwnd, ssthresh, unacked,
 *           sacked and lost in segments, as Linux has them.
 */
#ifndef SHM_INFO_H
#define SHM_INFO_H

#include <stddef.h>
#include <stdint.h>

enum {				/* sock_info.options, Linux's TCPI_OPT_* */
	INFO_TIMESTAMPS = 1, INFO_SACK = 2, INFO_WSCALE = 4, INFO_ECN = 8,
	INFO_ECN_SEEN = 16, INFO_SYN_DATA = 32
};

struct sock_info {
	uint8_t state;			/* Linux's: 1 ESTABLISHED .. 11 CLOSING */
	uint8_t ca_state;		/* 0 open, 3 recovery, 4 loss */
	uint8_t retransmits, probes, backoff;
	uint8_t options;		/* INFO_* */
	uint8_t wscales;		/* low: send, high: receive */
	uint8_t limited;
	uint32_t rto_us, ato_us, snd_mss, rcv_mss;
	uint32_t unacked, sacked, lost, retrans, fackets;
	uint32_t last_data_sent_ms, last_ack_sent_ms, last_data_recv_ms,
		 last_ack_recv_ms;
	uint32_t pmtu, rcv_ssthresh, rtt_us, rttvar_us, snd_ssthresh, snd_cwnd,
		 advmss, reordering;
	uint32_t rcv_rtt_us, rcv_space;
	uint32_t total_retrans;
	uint64_t pacing_rate, max_pacing_rate;	/* bytes a second */
	uint64_t bytes_acked, bytes_received;
	uint32_t segs_out, segs_in;
	uint32_t notsent_bytes, min_rtt_us;
	uint32_t data_segs_in, data_segs_out;
	uint64_t delivery_rate;			/* bytes a second */
};
_Static_assert(offsetof(struct sock_info, pacing_rate) == 104, "as Linux");
_Static_assert(sizeof(struct sock_info) == 168, "as Linux");

/* What INFO answers with: that, and what has no place in it. */
struct sock_known {
	struct sock_info info;
	uint32_t cc;			/* enum cmd_cc; 0: not told */
	uint32_t zero;
};
_Static_assert(sizeof(struct sock_known) == 176, "control ABI");

#endif
