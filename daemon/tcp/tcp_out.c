/*
 * tcp_out.c - the next segment of a connection
 *
 * tcp_out() is asked until it says no.  In this order:
 *	SYN	while the handshake is not complete, nothing else
 *	again	one segment from snd_una: fast retransmit, timeout
 *	data	from snd_nxt, as far as windows, Nagle and silly-window
 *		avoidance allow, the FIN with or after the last byte
 *	probe	one byte into a closed window; keepalive
 *	ACK	alone, if none of these carried it
 * When it says no, out_timer() sets what the silence needs: a timer for what
 * is in flight, or the persist timer for what may not be sent yet.
 */
#include <string.h>

#include "tcp/env.h"

#define CORK_MS		200	/* data is held back no longer than this */
#define MSS_LEAST	32

void out_set_mtu(const struct tcp_env *env, struct tcb *t, uint16_t mtu)
{
	uint32_t headers = addr_is_v4(&t->tuple.remote) ? 40 : 60, mss;
	uint32_t most = set_of(env, t)->maxseg;

	if (mtu)
		t->mtu = mtu;
	mss = t->pmtu && t->pmtu < t->mtu ? t->pmtu : t->mtu;
	mss = mss > headers + MSS_LEAST ? mss - headers : MSS_LEAST;
	if (mss > t->peer_mss)
		mss = t->peer_mss;
	if (most && mss > most)
		mss = most;
	if (t->flags & T_TS)		/* RFC 6691 */
		mss = mss > OPT_TS_BYTES + MSS_LEAST ? mss - OPT_TS_BYTES :
						       MSS_LEAST;
	t->mss = (uint16_t)mss;
	if (t->cwnd && t->cwnd < mss)
		t->cwnd = mss;
}

/* ---- header ---- */

static void put_header(struct tcp_env *env, struct tcb *t, struct tcp_tx *tx,
		       seq_t seq, uint8_t flags)
{
	tx->src = t->tuple.local;
	tx->dst = t->tuple.remote;
	tx->sport = t->tuple.lport;
	tx->dport = t->tuple.rport;
	tx->seq = seq;
	tx->flags = flags;
	tx->ttl = set_of(env, t)->ttl;
	tx->tos = set_of(env, t)->tos;
	tx->df = pmtu_df(env, t);
	tx->mss = t->mss;
	tx->conn = tcb_index(env, t);
	tx->payload_len = tx->pieces = 0;
	tx->opt_len = 0;
	tx->ack = 0;
	tx->wnd = 0;
	t->segs_out++;
	counter_add(&env->stats.segs_out, 1);
}

/* Everything in a synchronized state carries ACK, window and timestamps, and
 * what else has room beside @len bytes of payload. */
static void put_ack(struct tcp_env *env, struct tcb *t, struct tcp_tx *tx,
		    uint32_t len)
{
	struct tcp_opts o = { .has = 0 };
	uint32_t room = OPT_BYTES_MAX, fits = len < t->mss ? t->mss - len : 0;
	bool sack = sack_due(env, t), now = (t->flags & T_ACK_NOW) != 0;

	tx->ack = t->rcv_nxt;
	if (t->ecn)
		tx->flags |= ecn_ack_out(env, t, len ? NULL : &o);
	tx->wnd = recv_window(env, t);
	t->rcv_wup = t->rcv_nxt;
	t->flags &= ~(T_ACK_NOW | T_DELACK);
	t->ack_ms = 0;
	if (t->flags & T_TS) {
		o.has |= OPT_TS;
		o.tsval = tcp_ts_now(env, t->hash);
		o.tsecr = t->ts_recent;
		room -= OPT_TS_BYTES;
	}
	if (len && room > fits)
		room = fits;
	/* A full segment leaves no room for it: an ACK alone follows. */
	if (sack && !sack_build(env, t, &o, room) && now)
		t->flags |= T_ACK_NOW;
	if (o.has)
		tx->opt_len = tcp_opt_build(tx->opts, &o);
	if (sack && t->snd_una == t->snd_max)
		conn_ext_put(env, t);
}

/* Names up to @len bytes from @seq in extent *@at; how many, and *@at then
 * holds what follows. */
static uint32_t gather(struct tcp_env *env, struct tcb *t, struct tcp_tx *tx,
		       uint32_t *at, seq_t seq, uint32_t len)
{
	struct arena *a = arena_of(env, t);
	uint32_t done = 0;

	while (done < len && *at && tx->pieces < TCP_TX_PIECES && a) {
		struct extent *e = extent_at(env, *at);
		uint32_t skip = seq + done - e->seq, n = e->len - skip;

		if (n > len - done)
			n = len - done;
		tx->piece[tx->pieces].bytes = block_bytes(a, e->block) + e->off +
					      skip;
		tx->piece[tx->pieces].block = e->block;
		tx->piece[tx->pieces++].len = n;
		done += n;
		if (skip + n == e->len)
			*at = e->next;
	}
	tx->payload_len = done;
	return done;
}

static bool out_syn(struct tcp_env *env, struct tcb *t, struct tcp_tx *tx)
{
	bool answer = t->state == TCP_SYN_RECEIVED;
	uint32_t wnd = recv_limit(env, t);
	struct tcp_opts o = { .has = OPT_MSS };
	uint16_t most = set_of(env, t)->maxseg;
	uint32_t data = 0;

	if (!(t->flags & T_SYN_DUE))
		return false;
	put_header(env, t, tx, t->iss, answer ? TCP_SYN | TCP_ACK : TCP_SYN);
	if (!answer)
		tx->flags |= ecn_syn(env, t, t->snd_max != t->iss);
	o.mss = (uint16_t)(t->mtu - (addr_is_v4(&t->tuple.remote) ? 40 : 60));
	if (most && o.mss > most)
		o.mss = most;
	if (answer ? (t->snd_wscale | t->rcv_wscale) != 0 :
		     env->cfg.window_scaling) {
		o.has |= OPT_WSCALE;
		o.wscale = t->rcv_wscale;
	}
	if (answer ? t->sack : env->cfg.sack)
		o.has |= OPT_SACK_OK;
	if (answer ? (t->flags & T_TS) != 0 : env->cfg.timestamps) {
		o.has |= OPT_TS;
		o.tsval = tcp_ts_now(env, t->hash);
		o.tsecr = answer ? t->ts_recent : 0;
	}
	if (!answer && (t->flags & T_TFO) && t->snd_max == t->iss)
		data = tfo_connect(env, t, &o);
	tx->opt_len = tcp_opt_build(tx->opts, &o);
	if (answer && t->listener)	/* data came with the SYN */
		wnd = t->rcv_adv - t->rcv_nxt;
	tx->wnd = (uint16_t)(wnd > UINT16_MAX ? UINT16_MAX : wnd);
	if (answer)
		tx->ack = t->rcv_wup = t->rcv_nxt;
	if (t->snd_max == t->iss) {
		data = gather(env, t, tx, &t->snd_cur, t->iss + 1, data);
		counter_add(&env->stats.bytes_out, data);
		t->data_segs_out += data != 0;
		t->snd_nxt = t->snd_max = t->iss + 1 + data;
		t->flags |= T_TIMING;
		t->rtt_seq = t->iss;
		t->rtt_us = (uint32_t)env->now.us;
	} else {
		t->flags &= ~T_TIMING;		/* Karn */
		counter_add(&env->stats.retrans_segs, 1);
	}
	t->flags &= ~(T_SYN_DUE | T_ACK_NOW);
	timer_rtx_start(env, t);
	return true;
}

/* ---- payload ---- */

static void sent_bytes(struct tcp_env *env, struct tcb *t,
		       const struct tcp_tx *tx, bool again)
{
	uint32_t segs = tx->payload_len != 0;

	if (tx->payload_len > t->mss && t->mss)		/* the port cuts it */
		segs = (tx->payload_len + t->mss - 1u) / t->mss;
	counter_add(&env->stats.bytes_out, tx->payload_len);
	t->data_segs_out += segs;
	t->segs_out += segs > 1 ? segs - 1 : 0;
	if (again) {
		t->retransmits += segs ? segs : 1;
		counter_add(&env->stats.retrans_segs, segs ? segs : 1);
		t->flags &= ~T_TIMING;		/* Karn */
	}
}

/* One segment from snd_una; the windows do not matter. */
static bool out_again(struct tcp_env *env, struct tcb *t, struct tcp_tx *tx)
{
	uint32_t len = snd_queued(t), at = t->snd_head;
	seq_t end;

	t->flags &= ~T_REXMIT;
	if (t->snd_una == t->snd_max)
		return false;
	if (len > t->mss)
		len = t->mss;
	if (seq_gt(t->snd_una + len, t->snd_max))
		len = t->snd_max - t->snd_una;	/* not what was never sent */
	put_header(env, t, tx, t->snd_una, TCP_ACK);
	put_ack(env, t, tx, len);
	len = gather(env, t, tx, &at, t->snd_una, len);
	end = t->snd_una + len;
	if (end == t->snd_end) {
		tx->flags |= len ? TCP_PSH : 0;
		if (fin_sent(t)) {
			tx->flags |= TCP_FIN;
			end++;
		}
	}
	if (seq_gt(end, t->snd_nxt)) {
		t->snd_nxt = end;
		t->snd_cur = at;
	}
	sent_bytes(env, t, tx, true);
	pace_sent(env, t, tx->payload_len);
	timer_rtx_start(env, t);
	return true;
}

static uint32_t largest(const struct tcp_env *env, const struct tcb *t,
			const struct tcp_tx_limits *lim);

/* What was lost, or a probe for the tail: one record, or part of one. */
static bool out_lost(struct tcp_env *env, struct tcb *t,
		     const struct tcp_tx_limits *lim, struct tcp_tx *tx)
{
	uint32_t i, at, len, fin;
	struct xmit *r;

	if (pace_waits(env, t))
		return false;
	i = rec_next(env, t, largest(env, t, lim));
	if (!i)
		return false;
	r = pool_at(&env->xmits, i);
	fin = r->end == t->snd_end + 1;
	len = r->end - r->seq - fin;
	put_header(env, t, tx, r->seq, TCP_ACK);
	put_ack(env, t, tx, len);
	at = send_find(env, t, r->seq);
	if (gather(env, t, tx, &at, r->seq, len) < len) {	/* pieces */
		if (!xmit_split(env, t, i, r->seq + tx->payload_len))
			return false;
		fin = 0;
	}
	if (r->end - fin == t->snd_end && tx->payload_len)
		tx->flags |= TCP_PSH;
	if (fin)
		tx->flags |= TCP_FIN;
	sent_bytes(env, t, tx, true);
	pace_sent(env, t, tx->payload_len);
	xmit_resent(env, t, i);
	rec_sent(env, t, r->end, r->end - r->seq, true);
	if (!t->rtx_ms || r->seq == t->snd_una)
		rec_timer(env, t);
	return true;
}

/* May a segment that is not full be sent?  @all: nothing is queued after it. */
static bool small_allowed(const struct tcb *t, uint32_t len, bool all)
{
	if ((t->flags & T_PUSH) || seq_lt(t->snd_nxt, t->snd_max))
		return true;
	if (!all)	/* a window in the way: RFC 9293 3.8.6.2.1 (3) */
		return t->snd_nxt == t->snd_una && len >= t->max_snd_wnd / 2;
	if (t->flags & T_FIN_QUEUED)
		return true;
	if (t->flags & (T_CORK | T_MORE))
		return false;
	/* RFC 1122 4.2.3.4, as Minshall has it: only one small segment is in
	 * flight. */
	return (t->flags & T_NODELAY) || seq_leq(t->snd_sml, t->snd_una);
}

/* Bytes that cwnd and the peer's window leave. */
static uint32_t usable(const struct tcp_env *env, const struct tcb *t)
{
	uint32_t flight = t->snd_nxt - t->snd_una, cwnd = t->cwnd, pipe;

	if (t->sack) {
		pipe = rec_pipe(env, t);
		if (rec_probe_new(env, t) && cwnd < pipe + t->mss)
			cwnd = pipe + t->mss;
		cwnd = cwnd > pipe ? cwnd - pipe : 0;
		pipe = t->snd_wnd > flight ? t->snd_wnd - flight : 0;
		return cwnd < pipe ? cwnd : pipe;
	}

	if (!(t->flags & T_RECOVERY) && t->dupacks < 3)
		cwnd += (uint32_t)t->dupacks * t->mss;	/* RFC 3042 */
	if (cwnd > t->snd_wnd)
		cwnd = t->snd_wnd;
	return cwnd > flight ? cwnd - flight : 0;
}

static uint32_t largest(const struct tcp_env *env, const struct tcb *t,
			const struct tcp_tx_limits *lim)
{
	uint32_t headers = 60 + 40, n;

	if (lim->tso_max_bytes <= headers + t->mss ||
	    t->ecn_cwr)			/* in one segment, not in all of them */
		return t->mss;
	n = lim->tso_max_bytes - headers;
	if (n > UINT16_MAX - headers)
		n = UINT16_MAX - headers;
	if (n > pace_burst(env, t))
		n = pace_burst(env, t);
	return n - n % t->mss;
}

/* How much of what is unsent goes into the next segment now. */
static uint32_t choose_len(const struct tcp_env *env, const struct tcb *t,
			   const struct tcp_tx_limits *lim)
{
	uint32_t unsent = t->snd_end - t->snd_nxt;
	uint32_t len = usable(env, t), max = largest(env, t, lim), rest;
	bool all = unsent <= len;

	if (all)
		len = unsent;
	if (len > max) {
		len = max;
		all = false;
	}
	if (len < t->mss)
		return len && small_allowed(t, len, all) ? len : 0;
	if (len == t->mss || max == t->mss)
		return t->mss < len ? t->mss : len;
	rest = len % t->mss;
	return rest && !(all && small_allowed(t, rest, true)) ? len - rest : len;
}

static void sent(struct tcp_env *env, struct tcb *t, struct tcp_tx *tx,
		 seq_t end)
{
	bool idle = t->snd_nxt == t->snd_una;

	if (tx->payload_len && tx->payload_len % t->mss)
		t->snd_sml = tx->seq + tx->payload_len;
	sent_bytes(env, t, tx, seq_lt(t->snd_nxt, t->snd_max));
	if (t->ecn && tx->payload_len && t->snd_nxt == t->snd_max)
		ecn_data_out(env, t, tx);
	if (tx->payload_len && t->snd_nxt == t->snd_max)
		rate_sent(env, t, end);
	pace_sent(env, t, tx->payload_len);
	if (!(t->flags & T_TIMING) && t->snd_nxt == t->snd_max) {
		t->flags |= T_TIMING;
		t->rtt_seq = t->snd_nxt;
		t->rtt_us = (uint32_t)env->now.us;
	}
	if (t->sack) {
		xmit_sent(env, t, t->snd_nxt, end);
		rec_sent(env, t, end, end - t->snd_nxt, false);
	}
	t->snd_nxt = end;
	t->snd_max = seq_max(t->snd_max, end);
	t->flags &= ~T_PUSH;
	if (t->sack)
		rec_sent_timer(env, t, idle);
	else if (idle || !t->rtx_ms)
		timer_rtx_start(env, t);
}

static bool out_data(struct tcp_env *env, struct tcb *t,
		     const struct tcp_tx_limits *lim, struct tcp_tx *tx)
{
	bool fin = (t->flags & T_FIN_QUEUED) && t->state != TCP_SYN_RECEIVED;
	uint16_t probe = 0;
	uint32_t len;
	seq_t end;

	if (seq_gt(t->snd_nxt, t->snd_end) ||
	    (t->snd_nxt == t->snd_end && !fin))
		return false;
	if (t->snd_nxt != t->snd_end && pace_waits(env, t))
		return false;
	if (t->flags & T_DELACK)	/* an answer: more will follow */
		t->quick = 0;
	len = t->snd_nxt == t->snd_end ? 0 : pmtu_probe(env, t);
	if (len)
		probe = (uint16_t)len;
	else if (t->snd_nxt != t->snd_end)
		len = choose_len(env, t, lim);
	if (len == 0 && t->snd_nxt != t->snd_end)
		return false;
	put_header(env, t, tx, t->snd_nxt, TCP_ACK);
	put_ack(env, t, tx, len);
	if (probe)			/* one segment, larger than the rest */
		tx->mss = probe;
	len = gather(env, t, tx, &t->snd_cur, t->snd_nxt, len);
	end = t->snd_nxt + len;
	if (end == t->snd_end) {
		tx->flags |= len ? TCP_PSH : 0;
		if (fin) {
			tx->flags |= TCP_FIN;
			end++;
		}
	}
	sent(env, t, tx, end);
	return true;
}

/* RFC 9293 3.8.6.1: one byte, although the window is closed.  snd_nxt stays:
 * when the window opens, everything is sent from there. */
static bool out_probe(struct tcp_env *env, struct tcb *t, struct tcp_tx *tx)
{
	uint32_t at = t->snd_head;

	t->flags &= ~T_PROBE;
	if (t->snd_nxt != t->snd_una || snd_queued(t) == 0)
		return false;
	put_header(env, t, tx, t->snd_una, TCP_ACK | TCP_PSH);
	put_ack(env, t, tx, 1);
	gather(env, t, tx, &at, t->snd_una, 1);
	t->snd_max = seq_max(t->snd_max, t->snd_una + 1);
	t->flags &= ~T_TIMING;
	t->data_segs_out++;
	counter_add(&env->stats.zero_window_probes, 1);
	return true;
}

static bool out_ack(struct tcp_env *env, struct tcb *t, struct tcp_tx *tx)
{
	seq_t seq = seq_min(t->snd_max, t->snd_una + t->snd_wnd);

	if (t->flags & T_KEEP_PROBE)	/* RFC 1122 4.2.3.6 */
		seq = t->snd_una - 1;
	else if (!(t->flags & T_ACK_NOW))
		return false;
	t->flags &= ~T_KEEP_PROBE;
	put_header(env, t, tx, seq, TCP_ACK);
	put_ack(env, t, tx, 0);
	return true;
}

void out_timer(struct tcp_env *env, struct tcb *t)
{
	bool held;

	if (t->snd_nxt == t->snd_end && t->snd_nxt - t->snd_una < t->cwnd)
		rate_app_limited(env, t);

	if (t->state < TCP_ESTABLISHED || t->state == TCP_TIME_WAIT)
		return;
	if (t->snd_nxt != t->snd_una) {
		if (!t->rtx_ms)
			timer_rtx_start(env, t);
		return;
	}
	held = seq_lt(t->snd_nxt, t->snd_end);
	if (!held && !snd_pending(t))
		cong_rest(env, t);
	else if (!held)
		t->rtx_ms = 0;
	else if (!t->rtx_ms && t->snd_wnd == 0)
		timer_rtx_start(env, t);
	else if (!t->rtx_ms)
		t->rtx_ms = deadline_ms(env, CORK_MS);
}

static bool out_next(struct tcp_env *env, struct tcb *t,
		     const struct tcp_tx_limits *lim, struct tcp_tx *tx)
{
	switch (t->state) {
	case TCP_CLOSED:
	case TCP_TIME_WAIT:
		return false;
	case TCP_SYN_SENT:
	case TCP_SYN_RECEIVED:
		return out_syn(env, t, tx) ||
		       (t->state == TCP_SYN_RECEIVED &&
			((t->listener && out_data(env, t, lim, tx)) ||
			 out_ack(env, t, tx)));
	default:
		break;
	}
	if (t->flags & T_REXMIT) {
		if (!t->sack && out_again(env, t, tx))
			return true;
		if (t->sack && rec_probe_new(env, t) &&
		    out_data(env, t, lim, tx))
			return true;
		if (t->sack && out_lost(env, t, lim, tx))
			return true;
	}
	if (out_data(env, t, lim, tx))
		return true;
	if ((t->flags & T_PROBE) && out_probe(env, t, tx))
		return true;
	return out_ack(env, t, tx);
}

bool tcp_out(struct tcp_env *env, uint32_t conn,
	     const struct tcp_tx_limits *lim, struct tcp_tx *tx, mono_t now)
{
	struct tcb *t = tcb_at(env, conn);
	bool any;

	env->now = now;
	if (!(t->flags & T_LIVE))
		return false;
	if (lim->mtu != t->mtu)
		out_set_mtu(env, t, lim->mtu);
	any = out_next(env, t, lim, tx);
	if (!any) {
		out_timer(env, t);
		flight_note(env, t);
	}
	timer_sync(env, t);
	return any;
}
