/*
 * env.h - the whole state of one engine's TCP, and what its files share
 *
 *	tcp_in -> flow table -> tcb        -> tcp_ack, tcp_reass, tcp_out
 *	                     -> syn_rec    -> tcp_listen
 *	                     -> tw_rec     -> tcp_timewait
 *	                     -> nothing    -> a listener, or RST
 *
 * Private to daemon/tcp.  Every table is one allocation, made by tcp_init()
 * and touched only as far as it is used; everything is linked by index.
 *
 * Threads   One engine; the counters may be read by anybody.
 */
#ifndef TCP_ENV_H
#define TCP_ENV_H

#include <stdbool.h>
#include <stdint.h>

#include "base/pool.h"
#include "base/wheel.h"
#include "tcp/tcb.h"
#include "tcp/tcp.h"
#include "tcp/tcp_flight.h"
#include "tcp/tcp_opt.h"
#include "tcp/tcp_rate.h"

/* ---- records ---- */

/* A half-open passive connection: all that SYN and SYN-ACK said. */
struct syn_rec {
	uint32_t next;		/* of its level; the pool's while free */
	struct flow_tuple tuple;
	uint32_t prev : 31;
	uint32_t acked : 1;	/* the ACK came, its data is awaited */
	seq_t iss, irs;
	uint32_t ts_recent;
	uint16_t due_8ms;	/* SYN-ACK again, in units of 8 ms */
	uint16_t mss;		/* the peer's */
	uint16_t listener : 15;
	uint16_t accurate : 1;	/* AccECN, where SYN_ECN is set */
	uint8_t retries : 4;	/* its level */
	uint8_t port : 4;	/* that its SYN came in by */
	uint8_t opts;		/* peer's wscale, SYN_TS, SYN_WSCALE */
};
_Static_assert(sizeof(struct syn_rec) == 64, "ARCHITECTURE, decision 4");
_Static_assert(offsetof(struct syn_rec, tuple) == 4, "as in the tcb");

enum {
	SYN_WSCALE_BITS = 0x0f, SYN_WSCALE = 0x10, SYN_TS = 0x20,
	SYN_SACK = 0x40, SYN_ECN = 0x80
};

struct tw_rec {
	uint32_t next;		/* by expiry; the pool's while free */
	struct flow_tuple tuple;
	uint32_t prev;
	seq_t snd_nxt, rcv_nxt;
	uint32_t ts_recent;
	uint32_t due_ms;
	uint16_t wnd;		/* as on the wire */
	uint8_t has_ts;
	uint8_t live;
};
_Static_assert(sizeof(struct tw_rec) == 64, "ARCHITECTURE, decision 4");
_Static_assert(offsetof(struct tw_rec, tuple) == 4, "as in the tcb");

/* A host that was talked to: tcp_path.c. */
struct path_rec {
	struct ip_addr remote;
	uint32_t used_ms;
	uint32_t pmtu_until_ms;
	uint16_t pmtu;			/* 0: not known */
	uint16_t tfo_mss;
	uint8_t used;
	uint8_t tfo_len;		/* of the cookie; 0: none */
	uint8_t tfo_tries;		/* SYNs with data that nobody answered */
	uint8_t zero;
	uint32_t tfo_until_ms;		/* no Fast Open before then */
	uint8_t tfo_cookie[16];
	uint8_t pad[12];
};
_Static_assert(sizeof(struct path_rec) == 64, "one line");
#define PATH_RECS	16384u		/* a power of two */

struct listener {
	struct ip_addr addr;
	uint16_t port;		/* network order */
	bool used, ready;	/* ready: in the ready list */
	uint32_t backlog, tag;
	uint32_t next;		/* on the same TCP port */
	uint32_t ready_next;
	uint32_t accept_head, accept_tail, accept_count;
	uint32_t syn_count;
	uint32_t tfo_pending;	/* begun by Fast Open, handshake not complete */
	uint32_t set;		/* struct tcb_set, for what it accepts */
	uint32_t flags;		/* T_NODELAY and such, likewise */
};

/* An answer that belongs to no connection. */
struct reply {
	struct ip_addr src, dst;
	uint16_t sport, dport;
	seq_t seq, ack;
	uint16_t wnd, flags;	/* flags: TCP_AE too */
	uint8_t opt_len;
	uint8_t opts[OPT_BYTES_MAX];
};

#define REPLIES		2048	/* a power of two */
#define SYN_LEVELS	16	/* retries at most, plus one */

/* ---- the flow table: tcp_flow.c ---- */

#define FLOW_WAYS	10

struct flow_bucket {		/* one line */
	uint16_t tag[FLOW_WAYS];
	uint32_t ref[FLOW_WAYS];	/* kind and index; 0: free */
	uint32_t passed;	/* entries that found it full and went on */
};
_Static_assert(sizeof(struct flow_bucket) == 64, "one line");

enum flow_kind { FLOW_NONE, FLOW_TCB, FLOW_SYN, FLOW_TIME_WAIT };
#define FLOW_INDEX_BITS	30

static inline uint32_t flow_ref(enum flow_kind kind, uint32_t index)
{
	return (uint32_t)kind << FLOW_INDEX_BITS | index;
}

static inline enum flow_kind flow_kind(uint32_t ref)
{
	return (enum flow_kind)(ref >> FLOW_INDEX_BITS);
}

static inline uint32_t flow_index(uint32_t ref)
{
	return ref & ((1u << FLOW_INDEX_BITS) - 1);
}

/* ---- the environment ---- */

struct list_ends { uint32_t head, tail; };

struct tcp_env {
	struct tcp_config cfg;
	bool tfo_periods;		/* cookies are of a half day (tcp_fastopen.c) */
	const struct rss *rss;
	uint32_t cc;			/* enum cmd_cc: of new connections */
	uint32_t ack_rtt_us;		/* measured by this ACK; 0: none */
	bool ack_marked;		/* this ACK tells of CE */
	mono_t now;			/* as last told */
	struct flow_bucket *flow;
	uint32_t flow_mask;
	uint32_t dirty_head, dirty_tail;
	struct pool xmits;
	struct pool tcbs, exts, extents, runs, syns, tws, sets, rates;
	struct wheel wheel;		/* timers of tcbs; begins with the first */
	struct wheel pace;		/* tcp_pace.c, over the extensions */
	struct listener *listeners;	/* 1 .. max_listeners */
	uint32_t *port_listeners;	/* by TCP port, first of a chain */
	uint32_t ready_head, ready_tail;	/* listeners */
	struct list_ends syn_level[SYN_LEVELS];
	struct list_ends tw;		/* by expiry */
	struct path_rec *paths;		/* PATH_RECS */
	struct flight_record *flight;	/* flight_mask + 1 */
	uint32_t flight_mask;
	struct reply *replies;
	uint32_t reply_head, reply_tail;	/* free-running */
	uint64_t random;		/* generator's state */
	uint32_t challenge_ms, challenge_left;	/* RFC 5961 7 */
	uint32_t extent_reserve;	/* receiving leaves this many */
	uint32_t holders_rx, holders_tx;	/* clients with extents */
	uint32_t cookie_until_ms;	/* SYN cookies may be out; 0: never */
	uint16_t port_mtu[TCP_PORTS_MAX];
	uint8_t rcv_wscale;		/* that we offer */
	struct arena *arenas[TCP_CLIENTS_MAX];
	uint32_t held_rx[TCP_CLIENTS_MAX], held_tx[TCP_CLIENTS_MAX];
	struct tcp_client_stats client_stats[TCP_CLIENTS_MAX];
	_Alignas(64) struct tcp_stats stats;
};

/* What a received segment says; host order. */
struct seg {
	seq_t seq, ack;
	uint32_t len;			/* payload bytes */
	uint32_t wnd;			/* bytes; conn_in() has scaled it */
	uint8_t flags;			/* without those of ECN */
	uint8_t ace;			/* AE, CWR, ECE */
	uint8_t ecn;			/* of the IP header */
	uint8_t port;			/* that it came in by */
	const uint8_t *payload;
	struct tcp_opts opt;
};

/* Sequence numbers that it takes. */
static inline uint32_t seg_space(const struct seg *s)
{
	return s->len + ((s->flags & TCP_SYN) != 0) + ((s->flags & TCP_FIN) != 0);
}

static inline uint32_t now_ms(const struct tcp_env *env)
{
	return (uint32_t)(env->now.us / 1000);
}

/* A deadline @ms from now; never 0. */
static inline uint32_t deadline_ms(const struct tcp_env *env, uint32_t ms)
{
	return (now_ms(env) + ms) | 1u;
}

static inline struct tcb *tcb_at(const struct tcp_env *env, uint32_t conn)
{
	return pool_at(&env->tcbs, conn);
}

static inline uint32_t tcb_index(const struct tcp_env *env, const struct tcb *t)
{
	return (uint32_t)((uint64_t)((const uint8_t *)t - env->tcbs.base) /
			  sizeof(struct tcb));
}

static inline struct extent *extent_at(const struct tcp_env *env, uint32_t i)
{
	return pool_at(&env->extents, i);
}

static inline struct syn_rec *syn_at(const struct tcp_env *env, uint32_t i)
{
	return pool_at(&env->syns, i);
}

static inline struct tw_rec *tw_at(const struct tcp_env *env, uint32_t i)
{
	return pool_at(&env->tws, i);
}

/* Never NULL: record 0 holds the defaults. */
static inline const struct tcb_set *set_of(const struct tcp_env *env,
					   const struct tcb *t)
{
	return pool_at(&env->sets, t->set);
}

/* NULL: none is attached. */
static inline struct tcb_ext *ext_of(const struct tcp_env *env,
				     const struct tcb *t)
{
	return t->ext ? pool_at(&env->exts, t->ext) : NULL;
}

static inline struct arena *arena_of(const struct tcp_env *env,
				     const struct tcb *t)
{
	return env->arenas[t->user.client];
}

static inline void drop(struct tcp_env *env, enum tcp_drop why)
{
	counter_add(&env->stats.drops[why], 1);
}

static inline void gauge(counter_t *c, int by)
{
	counter_add(c, (uint64_t)(int64_t)by);
}

/* ---- env.c: life of connections and answers without one ---- */

uint64_t env_random(struct tcp_env *env);

/* A tcb in CLOSED with defaults, hashed under @tuple; 0: none left. */
uint32_t conn_new(struct tcp_env *env, const struct flow_tuple *tuple,
		  uint32_t hash);
/* Attaches the extension if need be; the pool has one for every tcb. */
struct tcb_ext *conn_ext(struct tcp_env *env, struct tcb *t);
/* Detaches it when nothing needs it any more. */
void conn_ext_put(struct tcp_env *env, struct tcb *t);
/* And whatever congestion control would rather keep. */
void conn_ext_drop(struct tcp_env *env, struct tcb *t);
void conn_dirty(struct tcp_env *env, struct tcb *t);
void conn_unhash(struct tcp_env *env, struct tcb *t);
/* To CLOSED with @error (0: in order) for the application; frees the slot if
 * nobody asks for it any more: @t may be gone afterwards. */
void conn_end(struct tcp_env *env, struct tcb *t, int error);
/* As conn_end(), and the peer gets RST. */
void conn_abort(struct tcp_env *env, struct tcb *t, int error);
/* Frees a CLOSED or TIME_WAIT slot that nobody asks for; true: it is gone. */
bool conn_put(struct tcp_env *env, struct tcb *t);

struct reply *reply_new(struct tcp_env *env, const struct flow_tuple *to,
			uint16_t flags, seq_t seq, seq_t ack);
bool reply_room(const struct tcp_env *env);
/* RFC 9293 3.5.2: RST for a segment that nobody wants. */
void reply_reset(struct tcp_env *env, const struct flow_tuple *to,
		 const struct seg *s);
/* RFC 5961 7: true when one more challenge ACK may be sent now. */
bool challenge_allowed(struct tcp_env *env);

/* ---- tcp_flow.c ---- */

int flow_init(struct tcp_env *env, uint64_t entries, tcp_alloc_fn *alloc,
	      void *arg);
/* The low 7 bits are the RSS hash's; the others are keyed. */
uint32_t flow_hash(const struct tcp_env *env, const struct flow_tuple *tuple);
uint32_t flow_find(const struct tcp_env *env, const struct flow_tuple *tuple,
		   uint32_t hash);
void flow_insert(struct tcp_env *env, uint32_t hash, uint32_t ref);
void flow_remove(struct tcp_env *env, uint32_t hash, uint32_t ref);
void flow_replace(struct tcp_env *env, uint32_t hash, uint32_t old,
		  uint32_t ref);
const struct flow_tuple *flow_tuple_of(const struct tcp_env *env, uint32_t ref);

/* ---- tcp_isn.c ---- */

seq_t tcp_isn(const struct tcp_env *env, const struct flow_tuple *tuple);
/* What we put into TSval; @hash makes it another clock for every flow. */
uint32_t tcp_ts_now(const struct tcp_env *env, uint32_t hash);

/* ---- tcp_set.c ---- */

void set_init(struct tcp_env *env);	/* record 0 */
void set_unref(struct tcp_env *env, uint32_t set);
/* @set for one more user. */
uint32_t set_share(struct tcp_env *env, uint32_t set);

/* ---- tcp_path.c ---- */

/* NULL: nothing is known of it. */
struct path_rec *path_find(const struct tcp_env *env,
			   const struct ip_addr *remote);
struct path_rec *path_get(struct tcp_env *env, const struct ip_addr *remote);

/* ---- tcp_pmtu.c ---- */

/* A new connection: what is known of its way. */
void pmtu_begin(struct tcp_env *env, struct tcb *t);
/* A router says that @mtu (0: unsaid) is the most; false: not believed. */
bool pmtu_told(struct tcp_env *env, struct tcb *t, uint16_t mtu);
/* Must routers not fragment its segments? */
bool pmtu_df(const struct tcp_env *env, const struct tcb *t);
/* The retransmission timer ran out: a black hole, perhaps. */
void pmtu_timeout(struct tcp_env *env, struct tcb *t);
/* Payload bytes of a probe to be sent now from snd_nxt; 0: none. */
uint32_t pmtu_probe(struct tcp_env *env, struct tcb *t);
/* snd_una has moved. */
void pmtu_acked(struct tcp_env *env, struct tcb *t);
/* What begins at snd_una is lost; true: it was the probe, no congestion. */
bool pmtu_lost(struct tcp_env *env, struct tcb *t);

/* ---- tcp_rtt.c ---- */

void rtt_init(const struct tcp_env *env, struct tcb *t);
void rtt_sample(struct tcp_env *env, struct tcb *t, uint32_t us);
uint32_t rtt_rto_ms(const struct tcb *t);	/* with backoff */

/* ---- tcp_timer.c ---- */

void timer_sync(struct tcp_env *env, struct tcb *t);	/* after any change */
void timer_stop(struct tcp_env *env, struct tcb *t);	/* all of them */
void timer_rtx_start(struct tcp_env *env, struct tcb *t);
/* The peer answered: keepalive begins anew.  Orphans: FIN_WAIT_2 time. */
void timer_idle_start(struct tcp_env *env, struct tcb *t);

/* ---- tcp_listen.c ---- */

uint32_t listener_find(const struct tcp_env *env, const struct ip_addr *addr,
		       uint16_t port);
/* A segment for no connection; the tcb that it began, or NULL. */
struct tcb *listen_in(struct tcp_env *env, const struct flow_tuple *tuple,
		      uint32_t hash, const struct seg *s, seq_t iss_after,
		      bool has_after);
/* A segment for a half-open record; the tcb that it completed, or NULL. */
struct tcb *syn_in(struct tcp_env *env, uint32_t rec, uint32_t hash,
		   const struct seg *s);
void syn_reset(struct tcp_env *env, uint32_t rec, uint32_t hash);
void accept_queue_remove(struct tcp_env *env, struct tcb *t);
bool syn_advance(struct tcp_env *env, int budget);
uint32_t syn_next_ms(const struct tcp_env *env);	/* 0: none */

/* ---- tcp_cookie.c ---- */

bool cookie_wanted(const struct tcp_env *env);
/* Our ISN for the SYN of @r, and what goes into TSval with it. */
seq_t cookie_make(struct tcp_env *env, const struct syn_rec *r);
uint32_t cookie_ts(const struct tcp_env *env, const struct syn_rec *r,
		   uint32_t hash);
/* Does the ACK @s answer a cookie of ours?  Then @r is as its SYN said. */
bool cookie_check(struct tcp_env *env, const struct flow_tuple *tuple,
		  const struct seg *s, struct syn_rec *r);

/* ---- tcp_fastopen.c ---- */

void tfo_init(struct tcp_env *env);
/* Our cookie for the peer of @tuple into the options of a SYN-ACK. */
void tfo_cookie(const struct tcp_env *env, const struct flow_tuple *tuple,
		struct tcp_opts *o);
/* What a SYN to a listener gets: as ever, with a cookie, or at once a tcb. */
enum tfo_answer { TFO_NO, TFO_COOKIE, TFO_DATA };
enum tfo_answer tfo_syn(struct tcp_env *env, uint32_t listener,
			const struct flow_tuple *tuple, const struct seg *s);
/* A tcb in SYN_RECEIVED that a SYN with data began; it is no longer that. */
void tfo_begun(struct tcp_env *env, struct tcb *t);
void tfo_over(struct tcp_env *env, struct tcb *t);
/* For our SYN: its option, and how many bytes of data go with it. */
uint32_t tfo_connect(struct tcp_env *env, struct tcb *t, struct tcp_opts *o);
/* The SYN-ACK is here; what it did not acknowledge goes again; it never came. */
void tfo_learn(struct tcp_env *env, struct tcb *t, const struct seg *s);
void tfo_settle(struct tcp_env *env, struct tcb *t);
void tfo_unanswered(struct tcp_env *env, struct tcb *t);

/* ---- tcp_in.c ---- */

/* The segment of a connection in the flow table. */
void conn_in(struct tcp_env *env, struct tcb *t, struct seg *s);

/* ---- tcp_ack.c ---- */

/* An acceptable ACK of a synchronized connection; the window too. */
void ack_in(struct tcp_env *env, struct tcb *t, const struct seg *s);
void ack_window(struct tcb *t, const struct seg *s);
/* The retransmission timer ran out (RFC 6298 5, 5681 3.1). */
void ack_timeout(struct tcp_env *env, struct tcb *t);

/* ---- tcp_cong.c ---- */

void cong_init(const struct tcp_env *env, const struct tcb *t,
	       struct tcb_ext *x);
void cong_view(const struct tcp_env *env, const struct tcb *t,
	       struct cc_window *w);
/* Another algorithm (enum cmd_cc, one that is there) from cwnd as it is. */
void cong_choose(struct tcp_env *env, struct tcb *t, uint32_t number);
/* @acked bytes left the network outside of recovery, of @flight. */
void cong_acked(struct tcp_env *env, struct tcb *t, uint32_t acked,
		uint32_t flight);
/* A loss or a mark: what ssthresh becomes. */
uint32_t cong_ssthresh(struct tcp_env *env, struct tcb *t);
/* An ACK of @acked bytes, @marked of them arrived with CE. */
void cong_marked(struct tcp_env *env, struct tcb *t, uint32_t acked,
		 uint32_t marked);
void cong_event(struct tcp_env *env, struct tcb *t, enum cc_event e);
/* Bytes to begin with. */
uint32_t cong_initial(const struct tcp_env *env, const struct tcb *t);
/* Data is about to be sent after a silence. */
void cong_idle(struct tcp_env *env, struct tcb *t);
/* The extension holds what is worth keeping for a while. */
bool cong_keeps(const struct tcp_env *env, const struct tcb *t);
/* Nothing to send: rtx_ms becomes the end of that while. */
void cong_rest(const struct tcp_env *env, struct tcb *t);

/* The same in recovery, or with the ACK that ended it. */
void cong_recovering(struct tcp_env *env, struct tcb *t, uint32_t acked);
/* The same for the ACK that ended it. */
void cong_recovered(struct tcp_env *env, struct tcb *t, uint32_t acked);
/* Does it model the path?  Then @acked is what arrived, SACKed or not. */
bool cong_samples(const struct tcb *t);
/* Bytes that are taken to be lost.  @all: all that is in flight goes again. */
void cong_lost(struct tcp_env *env, struct tcb *t, uint32_t bytes, bool all);

/* ---- tcp_rate.c ---- */

/* New data up to @end leaves; snd_nxt has not moved yet. */
void rate_sent(struct tcp_env *env, struct tcb *t, seq_t end);
/* cwnd is open and there is nothing to send. */
void rate_app_limited(struct tcp_env *env, struct tcb *t);
/* The last sample, bytes a second; 0: none was taken. */
uint64_t rate_latest(const struct tcp_env *env, const struct tcb *t,
		     bool *app_limited);
void rate_lost(struct tcp_env *env, struct tcb *t, uint32_t bytes);
/* Bytes that arrived with CE, as far as the peer can count them. */
void rate_marked(struct tcp_env *env, struct tcb *t, uint32_t bytes);
/* What is in flight may be sent again: its ACKs say nothing of the RTT. */
void rate_again(struct tcp_env *env, struct tcb *t);
/* @acked bytes more have arrived.  true: @out holds a rate. */
bool rate_acked(struct tcp_env *env, struct tcb *t, uint32_t acked,
		struct cc_sample *out, uint32_t *rtt_us);
void rate_drop(struct tcp_env *env, struct tcb_ext *x);

/* ---- tcp_pace.c ---- */

void pace_start(struct tcp_env *env);
bool pace_is_on(const struct tcp_env *env, const struct tcb *t);
/* Nothing new may leave yet; the connection will be dirty when it may. */
bool pace_waits(struct tcp_env *env, struct tcb *t);
/* Bytes that a segment for the port to cut may have. */
uint32_t pace_burst(const struct tcp_env *env, const struct tcb *t);
void pace_sent(struct tcp_env *env, struct tcb *t, uint32_t bytes);
void pace_drop(struct tcp_env *env, uint32_t ext);
mono_t pace_next_due(const struct tcp_env *env);
void pace_advance(struct tcp_env *env, uint32_t *due, int max);

/* ---- tcp_ecn.c ---- */

/* Flags of our SYN.  @again: an earlier one was lost. */
uint16_t ecn_syn(struct tcp_env *env, struct tcb *t, bool again);
/* The SYN-ACK for it (or a SYN that crossed it, which agrees to nothing). */
void ecn_answered(struct tcp_env *env, struct tcb *t, const struct seg *s);
/* What a peer's SYN asks for, as far as we do that; flags of the answer. */
enum ecn_mode ecn_offered(const struct tcp_env *env, const struct seg *s);
uint16_t ecn_answer(enum ecn_mode mode, uint8_t syn_ecn);
/* A passive connection begins, with the ACK @s of the SYN-ACK. */
void ecn_accepted(struct tcp_env *env, struct tcb *t, enum ecn_mode mode,
		  const struct seg *s);
/* An acceptable segment, before anything of it was taken. */
void ecn_in(struct tcp_env *env, struct tcb *t, const struct seg *s);
/* Flags of all that carries an ACK. */
uint16_t ecn_flags(const struct tcp_env *env, const struct tcb *t);
/* The same for one that leaves now; may add an option (@o not NULL). */
uint16_t ecn_ack_out(struct tcp_env *env, struct tcb *t, struct tcp_opts *o);
/* New data leaves. */
void ecn_data_out(struct tcp_env *env, struct tcb *t, struct tcp_tx *tx);

/* ---- tcp_reass.c and tcp_recv.c ---- */

/* Payload in or ahead of order, trimmed to the window; false: no memory. */
bool reass_take(struct tcp_env *env, struct tcb *t, seq_t seq,
		const uint8_t *bytes, uint32_t len);
void reass_purge(struct tcp_env *env, struct tcb *t);
/* The run after @run (0: the first) into *@out; 0: there is none. */
uint32_t reass_next(const struct tcp_env *env, const struct tcb *t, uint32_t run,
		    struct ooo_run *out);
void reass_run(const struct tcp_env *env, uint32_t run, struct ooo_run *out);
/* To copy them: the extents of all runs as one list, and back; or another list
 * for the same bytes, cut at the same places at least. */
uint32_t reass_chain(struct tcp_env *env, const struct tcb *t);
void reass_rechain(struct tcp_env *env, struct tcb *t, uint32_t first);
bool recv_append(struct tcp_env *env, struct tcb *t, const uint8_t *bytes,
		 uint32_t len);
/* The list @first to @last, which ends before @end, follows rcv_nxt. */
void recv_link(struct tcp_env *env, struct tcb *t, uint32_t first, uint32_t last,
	       seq_t end);
/* An extent with a copy of at most @len bytes (may be fewer); 0: no memory.
 * @after: the extent that it runs on from, 0: none; a hint. */
uint32_t extent_copy_in(struct tcp_env *env, struct tcb *t, uint32_t after,
			seq_t seq, const uint8_t *bytes, uint32_t len);
/* Appends to the extent's block what has room there; bytes taken. */
uint32_t extent_append(const struct tcp_env *env, const struct tcb *t,
		       struct extent *e, const uint8_t *bytes, uint32_t len);
void recv_discard(struct tcp_env *env, struct tcb *t);
uint32_t recv_limit(const struct tcp_env *env, const struct tcb *t);
bool recv_update_due(const struct tcp_env *env, const struct tcb *t);
/* Chooses the window to advertise, as on the wire; moves rcv_adv. */
uint16_t recv_window(const struct tcp_env *env, struct tcb *t);

/* ---- tcp_send.c ---- */

void send_acked(struct tcp_env *env, struct tcb *t, seq_t upto);
void send_rewind(struct tcp_env *env, struct tcb *t);
/* The extent that holds @seq; 0: none. */
uint32_t send_find(struct tcp_env *env, struct tcb *t, seq_t seq);
void send_discard(struct tcp_env *env, struct tcb *t);
void send_limit_update(const struct tcp_env *env, struct tcb *t);
/* Bytes that may be queued now, sent ones included. */
uint32_t send_limit(const struct tcp_env *env, const struct tcb *t);
void extents_free(struct tcp_env *env, struct tcb *t, uint32_t head);
void extent_free(struct tcp_env *env, struct tcb *t, uint32_t extent);

/* ---- tcp_memory.c ---- */

/* @client holds so many extents more (or fewer). */
void mem_hold(struct tcp_env *env, uint32_t client, int32_t rx, int32_t tx);
bool mem_may_receive(const struct tcp_env *env, uint32_t client);
bool mem_may_open(const struct tcp_env *env);
/* What is left of a send limit, and of a window with @queued unread bytes. */
uint32_t mem_send_limit(const struct tcp_env *env, const struct tcb *t,
			uint32_t limit);
uint32_t mem_window(const struct tcp_env *env, const struct tcb *t,
		    uint32_t window, uint32_t queued);

/* ---- tcp_out.c ---- */

/* mss for path MTU @mtu (0: as before). */
void out_set_mtu(const struct tcp_env *env, struct tcb *t, uint16_t mtu);
/* Sending ended for now: the timer that the state asks for. */
void out_timer(struct tcp_env *env, struct tcb *t);

/* ---- tcp_timewait.c ---- */

/* The connection is done: its record takes over, and answers. */
void timewait_enter(struct tcp_env *env, struct tcb *t);
/* true: @s is a newer SYN and the record is gone; *@iss_after is ours. */
bool timewait_in(struct tcp_env *env, uint32_t rec, uint32_t hash,
		 const struct seg *s, seq_t *iss_after);
bool timewait_reusable(const struct tcp_env *env, const struct tw_rec *w);
void timewait_remove(struct tcp_env *env, uint32_t rec, uint32_t hash);
bool timewait_advance(struct tcp_env *env, int budget);

#endif
