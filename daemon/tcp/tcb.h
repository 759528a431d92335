/*
 * tcb.h - one connection: the transmission control block and what hangs on it
 *
 *	line 0   who it is, what most segments compare with
 *	line 1   sequence numbers and windows
 *	line 2   timers, round-trip time, segment sizes
 *	line 3   queues' ends, the application's side
 *	line 4   path, counts, and rarely used settings
 *
 *	struct tcb --snd_head--> extent -> extent -> extent	(snd_cur holds
 *	           |                         ^ snd_cur		 snd_nxt)
 *	           --rcv_head--> extent -> extent	(rcv_ann holds rcv_told)
 *	           --ext-------> struct tcb_ext: congestion control, recovery,
 *	                         out-of-order extents; only while in use
 *
 * An idle connection is its five lines and nothing else: no block, no extent,
 * no extension.
 *
 * Invariants (tcp_check.c)
 *	snd_una <= snd_nxt <= snd_max; snd_nxt < snd_max after a timeout, or
 *	while a window probe's byte is out.
 *	Send extents cover [max(snd_una, iss + 1), snd_end) without a gap.
 *	The FIN has sequence number snd_end.
 *	Receive extents cover [rcv_read, rcv_nxt - (FIN received)) likewise;
 *	rcv_read <= rcv_told <= the end of that.
 *	rcv_adv, the right edge that the peer knows, never moves left.
 *
 * Ownership The engine's pool; extents hold block references of the arena of
 *           user.client.
 * Threads   One engine.
 * Units     Times are the low 32 bits of milliseconds (_ms) or microseconds
 *           (_us) of the monotonic clock.  A deadline of 0 is not set.
 */
#ifndef TCP_TCB_H
#define TCP_TCB_H

#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/wheel.h"
#include "tcp/cc.h"
#include "tcp/seq.h"
#include "tcp/tcp.h"
#include "tcp/tcp_rack.h"
#include "tcp/tcp_sack.h"
#include "tcp/tcp_state.h"

/* As in a segment received: the peer is remote.  Ports in network order. */
struct flow_tuple {
	struct ip_addr remote, local;
	uint16_t rport, lport;
};
_Static_assert(sizeof(struct flow_tuple) == 36, "part of every record");

/* A piece of a block in a queue. */
struct extent {
	uint32_t next;		/* the pool's while free */
	uint32_t block;
	seq_t seq;		/* of the first byte */
	uint16_t off, len;	/* in the block */
};
_Static_assert(sizeof(struct extent) == 16, "four a line");

/* What came out of order without a gap in it: [left, right) (tcp_reass.c). */
struct ooo_run {
	uint32_t next;		/* further right; the pool's while free */
	seq_t left, right;
	uint32_t first, last;	/* extents */
	uint32_t extents;	/* how many */
};

enum ecn_mode { ECN_NONE, ECN_CLASSIC, ECN_ACCURATE, ECN_ASKED };

/* Of the IP header (RFC 3168 5). */
enum { ECN_NOT_ECT, ECN_ECT1, ECN_ECT0, ECN_CE, ECN_MASK = 3 };

/* What an AccECN connection counts (RFC 9768 3.2.1); it keeps its extension
 * for it, idle too. */
struct accecn {
	uint8_t r_cep;		/* CE segments received, modulo 256 */
	uint8_t s_cep;		/* as the peer last said */
	uint8_t tell;		/* ACE of our first segment; 0: was sent */
	uint8_t skip : 1;	/* the peer's first segment is not a count */
	uint8_t proved : 1;	/* ECT(0) arrived at the peer */
	uint8_t ce_untold;	/* CE segments since our last ACK */
	uint8_t opt_due;	/* ACKs that shall carry the option */
	uint16_t pad;
	uint32_t r_e0b, r_ceb, r_e1b;	/* payload bytes received */
	uint32_t s_e0b, s_ceb;	/* as the peer last said */
	uint32_t acked;		/* bytes, until proved */
};
_Static_assert(sizeof(struct accecn) == 32, "part of the extension");

/* tcb.flags */
/* what was negotiated and asked for */
#define T_TS		(1u << 0)	/* timestamps both ways */
#define T_NODELAY	(1u << 1)
#define T_CORK		(1u << 2)
#define T_MORE		(1u << 3)	/* the last send announced more */
#define T_KEEPALIVE	(1u << 4)
#define T_QUICKACK	(1u << 5)
#define T_TFO		(1u << 6)	/* SYN with data or cookie (RFC 7413) */
/* what is due to be sent */
#define T_SYN_DUE	(1u << 7)
#define T_ACK_NOW	(1u << 8)
#define T_DELACK	(1u << 9)	/* an ACK is owed, not yet due */
#define T_REXMIT	(1u << 10)	/* from snd_una, whatever the windows say */
#define T_PROBE		(1u << 11)	/* a byte into a closed window */
#define T_KEEP_PROBE	(1u << 12)
#define T_PUSH		(1u << 13)	/* override Nagle, cork and SWS once */
/* the stream */
#define T_FIN_QUEUED	(1u << 14)	/* FIN after snd_end */
#define T_FIN_RCVD	(1u << 15)	/* rcv_nxt counts it */
#define T_RD_SHUT	(1u << 16)	/* received data is discarded */
/* congestion control */
#define T_RECOVERY	(1u << 17)	/* fast recovery, RFC 6582 */
#define T_PARTIAL	(1u << 18)	/* a partial ACK was seen in it */
#define T_TIMING	(1u << 19)	/* rtt_seq is being timed */
/* the application's side */
#define T_LIVE		(1u << 20)	/* the slot is in use */
#define T_KNOWN		(1u << 21)	/* the engine knows it */
#define T_CLOSED	(1u << 22)	/* the last holder let go */
#define T_DETACHED	(1u << 23)	/* the engine will not ask again */
#define T_ACCEPTQ	(1u << 24)	/* in a listener's queue */
#define T_DIRTY		(1u << 25)	/* in the dirty list */
#define T_HASHED	(1u << 26)	/* in the flow table */
/* announcements */
#define T_WANT_SENT	(1u << 27)
#define T_CONNECTED	(1u << 28)	/* to be announced */
#define T_FIN_TOLD	(1u << 29)
#define T_ERROR_TOLD	(1u << 30)
#define T_RS_VALID	(1u << 31)	/* rs_seq and rs_ms measure something */

struct tcb {
	/* line 0 */
	uint32_t hash;			/* the pool's while free */
	struct flow_tuple tuple;
	seq_t rcv_nxt, snd_una, snd_max;
	uint32_t flags;			/* T_* */
	uint32_t ext;			/* struct tcb_ext, 0: none */
	uint8_t state;			/* enum tcp_state; tcp_state.c writes */
	uint8_t snd_wscale : 4, rcv_wscale : 4;	/* at most 14 */
	uint8_t cc : 3;			/* enum cmd_cc, never the default */
	uint8_t ecn : 2;		/* enum ecn_mode */
	uint8_t ecn_echo : 1;		/* classic: ECE in what we send */
	uint8_t ecn_cwr : 1;		/* CWR with the next new data */
	uint8_t ecn_off : 1;		/* we send no ECT: it did not work */
	uint8_t dupacks : 5;
	uint8_t waits : 2;		/* enum rec_timer: what rtx_ms is for */
	uint8_t sack : 1;		/* both sides report what came early */
	/* line 1 */
	seq_t snd_nxt;
	uint32_t snd_wnd;
	seq_t snd_wl1, snd_wl2;
	uint32_t max_snd_wnd;
	seq_t rcv_adv, rcv_wup;		/* right edge and ACK last sent */
	uint32_t ts_recent;
	seq_t snd_end;			/* after the last byte queued */
	seq_t snd_sml;			/* end of the last small segment sent */
	uint32_t rcv_tail, rcv_ann;	/* extents */
	seq_t rcv_told, rcv_read;	/* first not announced, first unread */
	uint32_t cwnd, ssthresh;	/* bytes */
	/* line 2 */
	struct wheel_node timer;	/* for the earliest of: */
	uint32_t rtx_ms;		/* retransmission, or persist */
	uint32_t ack_ms;		/* delayed ACK */
	uint32_t idle_ms;		/* keepalive, or FIN_WAIT_2 of orphans */
	uint32_t heard_ms;		/* last segment of the peer */
	uint32_t moved_ms;		/* snd_una last moved, or sending began */
	uint32_t srtt_us;		/* 0: no sample yet */
	uint32_t rttvar_us : 26;	/* below 2^26: a minute */
	uint32_t min_rtt : 6;		/* between two flights, 64ths of srtt */
	seq_t rtt_seq;			/* with T_TIMING: ACK above it ends it */
	uint32_t rtt_us;		/* when rtt_seq was sent */
	uint16_t rto_ms;		/* without backoff */
	uint16_t mss;			/* payload bytes of a full segment */
	uint16_t peer_mss;		/* as offered, at least TCP_MSS_FLOOR */
	uint16_t mtu;			/* that mss was computed for */
	uint16_t rcv_mss;		/* largest segment seen */
	uint8_t backoff;		/* RTO is rto_ms << backoff */
	uint8_t retries;		/* timeouts since progress */
	uint32_t rcv_head;
	/* line 3 */
	union {
		uint32_t snd_head;	/* oldest unacknowledged extent */
		uint32_t accept_next;	/* with T_ACCEPTQ: nothing to send yet */
	};
	union {
		uint32_t snd_tail;
		uint32_t accept_prev;
	};
	uint32_t snd_cur;		/* extent that holds snd_nxt; 0: at end */
	uint32_t rcv_limit;		/* bytes that the receive queue may hold */
	struct tcp_user user;
	seq_t rs_seq;			/* window growth: rcv_read then, */
	uint32_t rs_ms;			/* and when that was */
	uint32_t dirty_next;
	seq_t iss;
	uint32_t retransmits;
	uint16_t listener;
	uint8_t error, soft_error;	/* errno */
	uint8_t keep_probes;		/* sent since heard */
	uint8_t quick;			/* full segments still acked at once */
	uint16_t pmtu;			/* tcp_pmtu.c; 0: as mtu */
	/* line 4 */
	uint64_t path[TCP_PATH_BYTES / 8];
	uint64_t bytes_in;		/* in order, without SYN and FIN */
	uint32_t segs_in, segs_out;	/* of TCP_INFO; modulo 2^32 */
	uint32_t data_segs_in, data_segs_out;
	uint32_t set;			/* struct tcb_set, 0: all defaults */
	uint32_t pmtu_until_ms;		/* with pmtu: search again then */
	uint16_t pmtu_high;		/* not known to fail; 0: no search */
	uint8_t reo_mult;		/* RACK's between two flights */
	uint8_t reordering : 1;		/* was seen on this path */
	uint8_t reo_persist : 5;	/* recoveries until reo_mult is 0 */
	uint32_t snd_limit;		/* bytes */
};
_Static_assert(offsetof(struct tcb, snd_nxt) == 64, "line 1");
_Static_assert(offsetof(struct tcb, timer) == 128, "line 2");
_Static_assert(offsetof(struct tcb, snd_head) == 192, "line 3");
_Static_assert(offsetof(struct tcb, path) == 256, "line 4");
_Static_assert(sizeof(struct tcb) == 320, "five lines an idle connection");
_Static_assert(offsetof(struct tcb, tuple) == 4, "as in the other records");

/*
 * Settings that few connections change.  A record is shared: what a listener
 * was told is the record of all that it accepts; who changes a shared one gets
 * a copy (tcp_set.c).  Record 0 holds the defaults.  A value of 0 is the
 * default, where not said otherwise.
 */
struct tcb_set {
	uint32_t refs;			/* the pool's while free */
	uint32_t user_timeout_ms;	/* RFC 5482 */
	uint32_t rcv_cap, snd_cap;	/* bytes: SO_RCVBUF, SO_SNDBUF */
	uint32_t window_clamp;		/* bytes */
	uint32_t notsent_lowat;		/* bytes; UINT32_MAX: no limit */
	uint32_t linger2_ms;		/* UINT32_MAX: not at all */
	uint32_t pacing_rate;		/* bytes a second at most; ~0: no limit */
	uint16_t keep_idle_s, keep_intvl_s;
	uint16_t maxseg;		/* payload bytes, at most */
	uint16_t fastopen;		/* listener: SYNs with data at once */
	uint8_t keep_cnt, syn_count;
	uint8_t tos, ttl;		/* ttl never 0 */
	uint8_t mtu_discover;		/* IP_PMTUDISC_* + 1 */
	uint8_t defer_accept_s;		/* listener: SYN-ACKs without data */
	uint8_t linger0;		/* close is abort */
	uint8_t cc;			/* enum cmd_cc */
	uint8_t port;			/* listener: only this one + 1 */
	uint8_t pad[15];
};
_Static_assert(sizeof(struct tcb_set) == 64, "one line");

/* Only while out-of-order data, loss recovery or congestion control need it. */
struct tcb_ext {
	uint32_t conn;			/* whose; the pool's while free */
	seq_t recover;			/* RFC 6582 */
	uint32_t ooo_head, ooo_tail;	/* runs, sorted, not adjacent */
	uint16_t ooo_runs;
	uint16_t has_fin;		/* a FIN came early, at: */
	seq_t fin_seq;
	seq_t pmtu_seq;			/* of the probe in flight */
	uint16_t pmtu_probe;		/* its size, IP bytes; 0: none */
	uint16_t pmtu_fails;		/* probes lost in this search */
	seq_t cwr_end;			/* with cwr: one reduction until then */
	uint8_t cwr;
	uint8_t unused;			/* cwnd is not what limits, since: */
	uint16_t pad16;
	uint32_t unused_ms;
	uint32_t used;			/* most that was in flight since then */
	uint32_t rate;			/* struct rate_rec, 0: none */
	struct wheel_node pace;		/* tcp_pace.c: wakes the connection */
	uint64_t pace_ns;		/* when the next segment may leave */
	uint64_t pace_rate;		/* bytes a second; 0: none */
	struct accecn acc;
	union cc_state cc;
	struct sack_told told;		/* receiving */
	struct xmit_board sent;		/* sending */
	struct rec rec;
	uint32_t find;			/* an extent in flight, 0: none */
	seq_t find_seq;			/* and where it begins */
	uint32_t flight;		/* most in flight, until this is */
	seq_t flight_end;		/* acknowledged; flight 0: unknown */
	uint32_t ooo_extents;		/* of all runs */
	uint32_t ooo_finger;		/* a run near the last one looked for */
	uint32_t pad;
};
_Static_assert(sizeof(struct tcb_ext) % 8 == 0, "of pools");

#define TCP_MSS_DEFAULT	536	/* RFC 9293 3.7.1 */
#define TCP_MSS_FLOOR	64	/* less is raised: no peer needs it */

/* All the peer's data that is in order ends here. */
static inline seq_t rcv_data_end(const struct tcb *t)
{
	return t->rcv_nxt - ((t->flags & T_FIN_RCVD) ? 1u : 0u);
}

/* First byte of data that is not acknowledged. */
static inline seq_t snd_data_una(const struct tcb *t)
{
	return t->snd_una == t->iss ? t->iss + 1 : seq_min(t->snd_una, t->snd_end);
}

/* Bytes queued and not acknowledged. */
static inline uint32_t snd_queued(const struct tcb *t)
{
	return t->snd_end - snd_data_una(t);
}

/* Our FIN was sent at least once. */
static inline bool fin_sent(const struct tcb *t)
{
	return (t->flags & T_FIN_QUEUED) && t->snd_max == t->snd_end + 1;
}

/* From snd_nxt on there is data or our FIN to send, now or again. */
static inline bool snd_pending(const struct tcb *t)
{
	return seq_lt(t->snd_nxt, t->snd_end) ||
	       ((t->flags & T_FIN_QUEUED) && t->snd_nxt == t->snd_end);
}

#endif
