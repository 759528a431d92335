/*
 * tcp.h - all that the engine may call of TCP
 *
 *	segments  -> tcp_in ----+                 +--> tcp_next_dirty: connections
 *	commands  -> tcp_send ..+-- struct tcp_env+      -> tcp_out: segments
 *	time      -> tcp_advance+                 |      -> tcp_event_*: events
 *	                                          +--> tcp_next_reply: segments
 *	                                               that belong to no connection
 *
 * Pure: no system call, no clock, no heap after tcp_init(), no globals.  TCP
 * never calls upward: it marks a connection dirty, and the engine asks what
 * there is to send and to announce.  Two of these joined by a simulated link
 * are a test that replays from a seed.
 *
 * Connections are named by index in the engine's pool (0: none).
 *
 * Ownership Payload is copied from the frame into blocks of the connection's
 *           arena (mem/block.h); extents of client blocks to be sent are
 *           referenced, not copied, until they are acknowledged.
 * Threads   One engine.  Counters may be read by anybody.
 */
#ifndef TCP_TCP_H
#define TCP_TCP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/counter.h"
#include "base/hist.h"
#include "base/mono.h"
#include "mem/block.h"
#include "net/hdr.h"
#include "shm/info.h"
#include "shm/rss.h"

struct tcp_env;			/* tcp/env.h: the whole state of one engine's TCP */
struct tcb;			/* tcp/tcb.h */

#define TCP_PORTS_MAX	16	/* as io/port.h, PORT_MAX */
#define TCP_CLIENTS_MAX	1024	/* arenas an engine; 0 is the engine's own */

/* Why a segment was not accepted; names in tcp_drop_name(). */
enum tcp_drop {
	TCP_DROP_NONE,
	TCP_DROP_SHORT,		/* shorter than its header says */
	TCP_DROP_CSUM,
	TCP_DROP_OPTION,	/* malformed option list; rest ignored */
	TCP_DROP_FLAGS,		/* SYN+FIN, none at all, SYN+RST ... */
	TCP_DROP_NO_LISTENER,	/* answered with RST */
	TCP_DROP_BACKLOG,	/* SYN queue or accept queue full */
	TCP_DROP_NO_TCB,	/* pool exhausted */
	TCP_DROP_WINDOW,	/* outside of the window; answered with ACK */
	TCP_DROP_PAWS,		/* RFC 7323 5.3 */
	TCP_DROP_RST_BAD,	/* RST not exactly at RCV.NXT (RFC 5961 3) */
	TCP_DROP_SYN_BAD,	/* SYN in a synchronized state (RFC 5961 4) */
	TCP_DROP_ACK_BAD,	/* ACK outside of what was sent (RFC 5961 5) */
	TCP_DROP_DUPLICATE,	/* all of it was received before */
	TCP_DROP_NO_BLOCK,	/* no memory for the payload */
	TCP_DROP_AFTER_CLOSE,	/* data after the application closed: RST */
	TCP_DROP_REPLY_FULL,	/* an answer without connection had no room */
	TCP_DROP_STATE,		/* makes no sense in this state */
	TCP_DROP_SOURCE,	/* a source that cannot be: itself, broadcast */
	TCP_DROP_MEMORY,	/* SYN: extents are nearly used up */
	TCP_DROPS
};

const char *tcp_drop_name(enum tcp_drop d);

/* The number (enum cmd_cc) of a congestion control; -1: no such name. */
int tcp_cc_find(const char *name);

/* When a SYN is answered by a cookie (RFC 4987 3.6). */
enum tcp_cookies { TCP_COOKIES_AUTO, TCP_COOKIES_NEVER, TCP_COOKIES_ALWAYS };

/* Black-hole detection and search of the path MTU (RFC 4821). */
enum tcp_probing { TCP_PROBING_OFF, TCP_PROBING_ON };

/* Explicit congestion notification (RFC 3168, 9768). */
enum tcp_ecn {
	TCP_ECN_OFF, TCP_ECN_ON,
	TCP_ECN_PASSIVE		/* when the peer asks; the default, as Linux */
};

struct tcp_config {
	uint32_t max_conns;		/* TCBs of this engine */
	uint32_t max_listeners;
	uint32_t max_syn;		/* SYN_RECEIVED records */
	uint32_t max_time_wait;
	uint32_t max_extents;
	uint32_t time_wait_ms;		/* 2 MSL; default 60000 */
	uint32_t rto_min_ms;		/* default 200, as Linux; RFC says 1000 */
	uint32_t rto_initial_ms;	/* default 1000 (RFC 6298 2.1) */
	uint32_t syn_retries, syn_ack_retries, retries;	/* 6, 5, 15 */
	uint32_t delack_ms;		/* default 40 */
	uint32_t quick_acks;		/* full segments acked at once at first: 16 */
	uint32_t rcv_wnd_initial;	/* bytes, default 65535 */
	uint32_t rcv_wnd_max;		/* bytes, default 16 MiB and at most */
	uint32_t snd_buf_initial;	/* send limit at first; default 256 KiB */
	uint32_t snd_buf_max;		/* default 32 MiB: twice the window */
	uint32_t initial_cwnd;		/* segments, default 10 (RFC 6928) */
	uint32_t keep_idle_s, keep_intvl_s, keep_cnt;
	uint32_t fin_wait2_ms;		/* orphans only; default 60000 */
	uint32_t syn_cookies;		/* enum tcp_cookies */
	uint32_t mtu_probing;		/* enum tcp_probing */
	uint32_t min_pmtu;		/* IP bytes; less is not believed: 552 */
	uint32_t pmtu_expires_ms;	/* RFC 1191 6.3; default 600000 */
	uint32_t ecn;			/* enum tcp_ecn */
	bool timestamps, window_scaling, sack;
	char cc[16];			/* a name that cc_find() knows; default cubic */
	uint32_t engine, engines;	/* for handles and local ports */
	uint8_t tfo_key[16];		/* RFC 7413; all 0: made from secret */
	uint8_t secret[16];		/* RFC 6528; from the kernel's random */
	uint64_t random_seed;		/* of env's own generator */
};

/* Fills @cfg with the defaults above. */
void tcp_config_default(struct tcp_config *cfg);

/*
 * @alloc provides zeroed memory that lives as long as the env (the state
 * memfd in the daemon, calloc in tests): 64-byte aligned or better.
 * 0 or -ENOMEM / -EINVAL.
 */
typedef void *tcp_alloc_fn(void *arg, const char *what, size_t bytes);
int tcp_init(struct tcp_env **out, const struct tcp_config *cfg,
	     const struct rss *rss, tcp_alloc_fn *alloc, void *arg);

/* Takes over what may change while connections exist: all but capacities,
 * secrets, window scaling and what is the engine's.  Open connections follow
 * at their next use of a value.  0 or -EINVAL, nothing changed. */
int tcp_configure(struct tcp_env *env, const struct tcp_config *next);

/* Clients come and go: the arena behind a client slot (1..); NULL: gone.
 * Slot 0 is the engine's own arena, for connections nobody took yet. */
void tcp_set_arena(struct tcp_env *env, uint32_t client, struct arena *arena);

/* What a port carries: the MSS of a SYN-ACK is offered for it.  1500 at
 * first; @port < TCP_PORTS_MAX. */
void tcp_set_port_mtu(struct tcp_env *env, uint8_t port, uint16_t mtu);

/* ---- segments in ---- */

/* One received TCP segment, as net/net.h delivers it. */
struct tcp_rx {
	struct ip_addr src, dst;
	const uint8_t *l4;
	uint32_t l4_len;
	uint8_t port;
	uint8_t ecn;
	bool csum_ok;
};

/* Which engine owns it: the low 7 bits, those that rss_engine() looks at, are
 * the RSS hash's; the others are keyed with the secret and are what tcp_in()
 * finds the connection by: pass it this and no other hash.  Short segments
 * give 0. */
uint32_t tcp_rx_hash(const struct tcp_env *env, const struct tcp_rx *rx);

/* Two-stage prefetch: the bucket, then the connection. */
void tcp_prefetch_bucket(const struct tcp_env *env, uint32_t hash);
void tcp_prefetch_tcb(const struct tcp_env *env, uint32_t hash);

/* Consumes the segment.  The result is state, dirty marks and replies. */
void tcp_in(struct tcp_env *env, const struct tcp_rx *rx, uint32_t hash,
	    mono_t now);

/* A burst, as it was received: what tcp_in() makes of each in turn, but data
 * that runs on is merged first (tcp_gro.h).  Segments of one connection keep
 * their order.  @n at most TCP_BURST_MAX; @rx is as long as the call. */
#define TCP_BURST_MAX	64
void tcp_in_burst(struct tcp_env *env, const struct tcp_rx *rx,
		  const uint32_t *hash, uint32_t n, mono_t now);

/* An ICMP error about a segment of ours (RFC 1122 4.2.3.9, 5927). */
struct tcp_icmp {
	struct ip_addr src, dst;	/* of our datagram */
	uint16_t sport, dport;		/* network order */
	uint32_t seq;
	uint8_t type, code;
	uint16_t mtu;
};
void tcp_icmp_in(struct tcp_env *env, const struct tcp_icmp *e, mono_t now);

/* ---- listeners ---- */

struct tcp_listen {
	struct ip_addr addr;		/* any: every address of ours */
	uint16_t port;			/* network order */
	uint32_t backlog;
	uint32_t tag;			/* the engine's own name for it, not 0 */
};

/* Listener index > 0, or -EADDRINUSE, -ENOBUFS. */
int tcp_listen(struct tcp_env *env, const struct tcp_listen *l);
/* Half-open ones and those in the accept queue get RST. */
void tcp_unlisten(struct tcp_env *env, uint32_t listener);
uint32_t tcp_listener_tag(const struct tcp_env *env, uint32_t listener);

/* Completed connections that wait to be taken, and the oldest of them. */
uint32_t tcp_accept_waiting(const struct tcp_env *env, uint32_t listener);
uint32_t tcp_accept(struct tcp_env *env, uint32_t listener);
/* Listeners whose queue got longer since the last call; 0: no more. */
uint32_t tcp_next_ready_listener(struct tcp_env *env);
/* The listener that would take @conn now, by its local end; 0: none. */
uint32_t tcp_listener_of(const struct tcp_env *env, uint32_t conn);
/* A taken connection comes back: nobody has read of it, nor written to it. */
void tcp_accept_return(struct tcp_env *env, uint32_t listener, uint32_t conn);

/* ---- commands; the engine has checked handle and owner ---- */

struct tcp_connect {
	struct ip_addr local, remote;	/* local is one of ours, not any */
	uint16_t lport, rport;		/* network order; lport is chosen */
	uint32_t client, context, cookie;
	uint16_t mtu;			/* of the path */
	bool fastopen;			/* what is sent at once goes with the SYN */
};

/* Connection index > 0; -EADDRINUSE (tuple in use), -ENOBUFS. */
int tcp_connect(struct tcp_env *env, const struct tcp_connect *c, mono_t now);

/* Is the tuple free for a new outgoing connection?  (TIME_WAIT that may be
 * reused by timestamps counts as free.) network order ports. */
bool tcp_tuple_free(const struct tcp_env *env, const struct ip_addr *local,
		    uint16_t lport, const struct ip_addr *remote, uint16_t rport,
		    mono_t now);

/* Assigns or moves: payload unread and unsent is copied when @client's arena
 * is another (0, or -ENOBUFS with nothing changed).  Announcing restarts at
 * the first unread byte. */
int tcp_assign(struct tcp_env *env, uint32_t conn, uint32_t client,
	       uint32_t context, uint32_t cookie);

/* The extent's reference (block_fill) goes to the connection.  0; -EPIPE
 * after shutdown or reset (the reference is then dropped here). */
int tcp_send(struct tcp_env *env, uint32_t conn, uint32_t block,
	     uint32_t offset, uint32_t len, bool more, mono_t now);

/* May @client send now?  If not its commands wait: extents are scarce, and it
 * has more than its share (tcp_memory.c). */
bool tcp_may_send(const struct tcp_env *env, uint32_t client);

/* The client has read @bytes of announced data.  -EPROTO if more than that. */
int tcp_consumed(struct tcp_env *env, uint32_t conn, uint32_t bytes, mono_t now);

void tcp_shutdown_write(struct tcp_env *env, uint32_t conn, mono_t now);
void tcp_shutdown_read(struct tcp_env *env, uint32_t conn, mono_t now);

/* The last holder let go: FIN after what is unsent, RST when data is unread
 * (RFC 2525 2.17) or @abort.  The connection is freed when TCP is done with
 * it; until tcp_detach() the engine may still announce.  With @abort it may be
 * called once more, to end what an earlier call left to be sent. */
void tcp_close(struct tcp_env *env, uint32_t conn, bool abort, mono_t now);

/* The engine will not ask for this connection again (closed announced). */
void tcp_detach(struct tcp_env *env, uint32_t conn);

/* enum cmd_option name.  0, -ENOPROTOOPT, -EINVAL. */
int tcp_option(struct tcp_env *env, uint32_t conn, uint32_t name, int32_t value,
	       mono_t now);

/* The same for a listener: what it accepts later begins with it.  Also
 * CMD_OPT_DEFER_ACCEPT_S and CMD_OPT_FASTOPEN, which are listeners' alone. */
int tcp_listener_option(struct tcp_env *env, uint32_t listener, uint32_t name,
			int32_t value);

/* Answer EVENT_SENT as soon as there is room below the limit. */
void tcp_want_sent(struct tcp_env *env, uint32_t conn);

/* ---- time ---- */

/* Fires what is due, bounded a call; true: more is due already. */
bool tcp_advance(struct tcp_env *env, mono_t now);
mono_t tcp_next_due(const struct tcp_env *env);

/* ---- segments out ---- */

#define TCP_TX_PIECES	20	/* payload pieces a segment (64 KiB in 4 KiB) */

/* A segment to be built: header, options, and where its payload lies. */
struct tcp_tx {
	struct ip_addr src, dst;
	uint16_t sport, dport;		/* network order */
	uint32_t seq, ack;		/* host order */
	uint16_t wnd;			/* as on the wire, host order */
	uint16_t flags;			/* TCP_* of hdr.h, TCP_AE too */
	uint8_t opt_len;		/* bytes, a multiple of 4 */
	uint8_t opts[40];
	uint32_t payload_len;
	uint16_t mss;			/* payload bytes a segment: gso_size */
	uint8_t tos, ttl;
	bool df;			/* must not be fragmented */
	uint32_t conn;			/* 0: a reply without connection */
	uint32_t pieces;
	struct { const uint8_t *bytes; uint32_t len, block; } piece[TCP_TX_PIECES];
};

/* What the port below can do for this connection's next segments. */
struct tcp_tx_limits {
	uint32_t tso_max_bytes;		/* IP bytes; 0: no TSO */
	uint16_t mtu;
};

/* A connection with something to send or to announce; 0: none.  It is then
 * clean; tcp_mark_dirty() puts it back (port or ring was full). */
uint32_t tcp_next_dirty(struct tcp_env *env);
void tcp_mark_dirty(struct tcp_env *env, uint32_t conn);

/* The next segment of @conn, which is then regarded as sent.  false: none. */
bool tcp_out(struct tcp_env *env, uint32_t conn,
	     const struct tcp_tx_limits *lim, struct tcp_tx *tx, mono_t now);

/* Answers without a connection: RST, SYN-ACK, ACK of TIME_WAIT. */
bool tcp_next_reply(struct tcp_env *env, struct tcp_tx *tx);

/* ---- what there is to announce ---- */

/* What the engine keeps in each connection; TCP reads client only. */
struct tcp_user {
	uint32_t cookie;
	uint32_t generation;		/* TCP's: of the slot, 24 bits */
	uint16_t client;		/* arena slot; 0: nobody yet */
	uint16_t context;		/* engine's context slot */
	uint16_t flags;			/* the engine's own bits, 0 at first */
	uint16_t holders;		/* the engine's: further holders' list, 0 */
	uint32_t pending_next;		/* engine's list of pending announcements */
};

struct tcp_user *tcp_user(struct tcp_env *env, uint32_t conn);
bool tcp_conn_valid(const struct tcp_env *env, uint32_t conn,
		    uint32_t generation);

/* The next extent not announced yet, at most one a call; false: none.  The
 * caller has room for the event: it counts as announced. */
struct tcp_extent { uint32_t block; uint16_t offset, len; };
bool tcp_announce_data(struct tcp_env *env, uint32_t conn,
		       struct tcp_extent *e);

/* State for the other events: each is announced once, by the bit. */
enum tcp_event {
	TCP_EVENT_CONNECTED = 1,	/* our connect succeeded */
	TCP_EVENT_FIN = 2,		/* peer's FIN, after all data is announced */
	TCP_EVENT_ERROR = 4,		/* tcp_error() */
	TCP_EVENT_SENT = 8,		/* room after tcp_want_sent() */
	TCP_EVENT_DATA = 16,		/* tcp_announce_data() has some */
};
uint32_t tcp_events(const struct tcp_env *env, uint32_t conn);
void tcp_announced(struct tcp_env *env, uint32_t conn, uint32_t event);
/* Would read() or write() have something to do: CMD_F_READ, CMD_F_WRITE. */
uint32_t tcp_ready(const struct tcp_env *env, uint32_t conn);
int tcp_error(const struct tcp_env *env, uint32_t conn);	/* errno, > 0 */
uint32_t tcp_acked(const struct tcp_env *env, uint32_t conn);	/* bytes, mod 2^32 */
uint32_t tcp_sent(const struct tcp_env *env, uint32_t conn);	/* by tcp_send */
uint32_t tcp_send_limit(const struct tcp_env *env, uint32_t conn);

/* The path's cached next hop, for net_out(): the engine's own words. */
void *tcp_path(struct tcp_env *env, uint32_t conn);	/* TCP_PATH_BYTES */
#define TCP_PATH_BYTES	24

/* ---- looking ---- */

struct tcp_info {		/* one connection, for listings and TCP_INFO */
	uint32_t conn, generation, client, context, cookie;
	uint8_t state;		/* enum tcp_state; also syn and time-wait records */
	struct ip_addr local, remote;
	uint16_t lport, rport;	/* network order */
	uint32_t snd_queued, snd_unsent, rcv_queued;	/* bytes */
	uint32_t cwnd, ssthresh, snd_wnd, rcv_wnd;	/* bytes */
	uint32_t srtt_us, rttvar_us, rto_us, mss;
	uint32_t retransmits;
	uint32_t snd_seq, rcv_seq;	/* differences count bytes */
	char cc[8];
};

const char *tcp_state_name(uint8_t state);	/* "ESTABLISHED" ... */

/* One connection's entry: its addresses, MSS and state for announcing it. */
void tcp_describe(const struct tcp_env *env, uint32_t conn,
		  struct tcp_info *out);

/*
 * What limits a connection, and what did lately (tcp_flight.h).  The names are
 * part of mtcpctl's JSON.
 */
enum flight_limit {
	FLIGHT_IDLE,		/* nothing to send, nothing in flight */
	FLIGHT_APP,		/* all that the application gave is sent */
	FLIGHT_SNDBUF,		/* it would give more, the send limit stops it */
	FLIGHT_READER,		/* the peer's window shut: its program lags */
	FLIGHT_RWND,		/* the peer's window, open as far as ever */
	FLIGHT_CWND,
	FLIGHT_PACING,
	FLIGHT_LOSS,		/* recovery, or waiting for a timeout */
	FLIGHT_LIMITS
};

enum flight_verdict {
	VERDICT_IDLE, VERDICT_APPLICATION, VERDICT_SEND_BUFFER,
	VERDICT_SLOW_READER, VERDICT_RECEIVE_WINDOW,
	VERDICT_CONGESTION_WINDOW, VERDICT_PACING, VERDICT_LOSS,
	VERDICT_LONG_RTT,	/* a window is full, and the way is long */
	VERDICT_LOCAL_READER,	/* our own program does not read */
	VERDICTS
};

#define FLIGHT_EVENTS	32	/* a connection's last */

enum flight_event_type {
	FLIGHT_EVENT_LIMIT,	/* another one holds; a: cwnd, b: snd_wnd */
	FLIGHT_EVENT_RETRANSMIT,	/* a: segments, b: snd_una, relative */
	FLIGHT_EVENT_SAMPLE,	/* every 2 s; a: bytes acked, b: srtt_us */
	FLIGHT_EVENT_TYPES
};

struct flight_event {
	uint64_t at_us;
	uint32_t a, b;
	uint8_t type, limit;	/* limit: that held when it was written */
};

struct tcp_flight {
	struct tcp_info info;
	uint64_t now_us, born_us;	/* of the record */
	bool recorded;			/* else the record's part is 0 */
	uint8_t limit;			/* that holds now */
	uint8_t verdict;		/* enum flight_verdict */
	uint64_t window_us;		/* recent_* covers; 2 to 4 s */
	uint64_t recent_us[FLIGHT_LIMITS], total_us[FLIGHT_LIMITS];
	uint64_t recent_acked;
	uint32_t recent_retransmits;
	uint32_t max_snd_wnd, snd_limit, rcv_limit;	/* bytes */
	uint32_t heard_ms, moved_ms;	/* since the peer's last, progress */
	uint32_t event_count;		/* oldest first */
	struct flight_event event[FLIGHT_EVENTS];
};

const char *flight_limit_name(uint32_t limit);
const char *flight_event_name(uint32_t type);
const char *flight_verdict_name(uint32_t verdict);
/* Pure: of recent_us, info and recent_retransmits. */
enum flight_verdict flight_verdict(const struct tcp_flight *f);

/* 0, or -ENOENT: there is no such connection (any more). */
int flight_report(struct tcp_env *env, uint32_t conn, uint32_t generation,
		  struct tcp_flight *out, mono_t now);

/* TCP_INFO of a connection. */
/* Its congestion control, enum cmd_cc. */
uint32_t tcp_cc_of(const struct tcp_env *env, uint32_t conn);
void tcp_sock_info(struct tcp_env *env, uint32_t conn, struct sock_info *out,
		   mono_t now);

/* Up to @max connections from @*cursor on; 0: the end.  Bounded work. */
int tcp_list(const struct tcp_env *env, uint32_t *cursor, struct tcp_info *out,
	     int max);

/* What passed between a client and its connections: read, written. */
struct tcp_client_stats {
	counter_t bytes_in, bytes_out;
};

struct tcp_stats {
	counter_t drops[TCP_DROPS];
	counter_t segs_in, segs_out, bytes_in, bytes_out, retrans_segs;
	counter_t segs_merged;	/* of segs_in: joined the one before */
	counter_t ooo_given_up;	/* times that memory was short (RFC 2018 8) */
	counter_t rsts_in, rsts_out, dup_acks_in, fast_retransmits, timeouts;
	counter_t syns_in, passive_opens, active_opens, connect_failures;
	counter_t sacks_in, sacks_out, sacks_bad, dsacks_in, dsacks_out;
	counter_t sack_recoveries, sack_reneged, sack_forgotten;
	counter_t rack_lost, lost_retransmits, reordered;
	counter_t tlp_probes, tlp_recoveries;
	counter_t undo_frto, undo_eifel, undo_dsack;
	counter_t resets, out_of_order, zero_window_probes, challenge_acks;
	counter_t ecn_negotiated, ecn_fallbacks, ce_in, ece_in, cwr_out;
	counter_t paced;	/* waits for the pacing rate */
	counter_t hystart_exits, idle_restarts;
	counter_t time_wait_reused, time_wait_evicted, syn_evicted;
	counter_t icmp_pmtu, icmp_soft, icmp_refused;	/* believed */
	counter_t icmp_unknown, icmp_stale, icmp_ignored;	/* not */
	counter_t pmtu_black_holes, pmtu_probes, pmtu_probes_good;
	counter_t pmtu_probes_lost;
	counter_t tfo_asked, tfo_bad, tfo_full, tfo_passive;	/* server */
	counter_t tfo_active, tfo_refused, tfo_black_holes, tfo_paused;
	counter_t syncookies_sent, syncookies_accepted, syncookies_bad;
	counter_t conns, listeners, time_wait, syn_received;	/* gauges */
	struct hist rtt_us, connect_us;	/* samples; SYN to SYN-ACK of ours */
};
struct tcp_stats *tcp_stats(struct tcp_env *env);
/* Since tcp_init(), whoever had the slot. */
const struct tcp_client_stats *tcp_client_stats(const struct tcp_env *env,
						uint32_t client);

/* Nothing left: no connection, record, extent; for tests. */
bool tcp_is_empty(const struct tcp_env *env);

/* Walks every structure and aborts on a broken invariant; for tests. */
void tcp_check(const struct tcp_env *env);

#endif
