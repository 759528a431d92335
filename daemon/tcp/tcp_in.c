/*
 * tcp_in.c - a segment arrives (RFC 9293 3.10.7)
 *
 *	tcp_in: parse -> flow table -> conn_in
 *	tcp_in_burst: tcp_gro_find -> runs: parse, flow table, run_fast once
 *	conn_in: fast path, or the RFC's steps, each a function that says
 *	         whether to go on:
 *	         check_seq, check_rst, check_syn, check_ack, take_text, check_fin
 *
 * Nothing is sent from here: what is owed is marked (T_ACK_NOW and friends)
 * and the connection is dirty.
 *
 * Trust     Every byte of a segment is hostile.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "net/net.h"
#include "tcp/env.h"
#include "tcp/tcp_gro.h"

#define PAWS_IDLE_MS	(24u * 86400 * 1000)	/* RFC 7323 5.5 */

/* ---- RFC 9293 3.10.7.4, first: sequence number ---- */

static void owe_ack(struct tcp_env *env, struct tcb *t)
{
	t->flags |= T_ACK_NOW;
	conn_dirty(env, t);
}

static void challenge(struct tcp_env *env, struct tcb *t, enum tcp_drop why)
{
	drop(env, why);
	if (challenge_allowed(env))
		owe_ack(env, t);
}

static bool check_paws(struct tcp_env *env, struct tcb *t, const struct seg *s)
{
	if (!(t->flags & T_TS) || !(s->opt.has & OPT_TS))
		return true;
	if (seq_geq(s->opt.tsval, t->ts_recent) || (s->flags & TCP_RST) ||
	    now_ms(env) - t->heard_ms > PAWS_IDLE_MS)
		return true;
	drop(env, TCP_DROP_PAWS);
	owe_ack(env, t);
	return false;
}

/* The SYNs crossed, and this is the peer's again with its ACK (figure 8): the
 * SYN is known and acknowledged again, the rest counts. */
static void strip_known_syn(struct tcp_env *env, struct tcb *t, struct seg *s)
{
	if (t->state == TCP_SYN_RECEIVED && s->seq == t->rcv_nxt - 1 &&
	    (s->flags & (TCP_SYN | TCP_ACK)) == (TCP_SYN | TCP_ACK)) {
		s->flags &= (uint8_t)~TCP_SYN;
		s->seq++;
		owe_ack(env, t);
	}
}

/* Wider than the table of RFC 9293 3.4 by the window's right edge, where a
 * peer that filled it sends its ACKs from, and by a FIN into a full one. */
static bool check_seq(struct tcp_env *env, struct tcb *t, const struct seg *s)
{
	seq_t end = s->seq + seg_space(s);
	bool old = seq_lt(end, t->rcv_nxt) ||
		   (end == t->rcv_nxt && s->seq != t->rcv_nxt);

	if (!check_paws(env, t, s))
		return false;
	if (!old && seq_leq(s->seq, t->rcv_adv))
		return true;
	if (s->flags & TCP_RST) {
		drop(env, TCP_DROP_RST_BAD);
		return false;
	}
	drop(env, old && s->len ? TCP_DROP_DUPLICATE : TCP_DROP_WINDOW);
	if (old && s->len)
		sack_duplicate(env, t, s->seq, s->seq + s->len);
	/* Probes and retransmissions are answered; bare ACKs from outside
	 * only within the limit, else two ends answer each other for ever. */
	if (seg_space(s) || s->seq == t->rcv_nxt - 1 || challenge_allowed(env))
		owe_ack(env, t);
	return false;
}

/* RFC 7323 4.3, (2) and (3). */
static void take_timestamp(struct tcb *t, const struct seg *s)
{
	if ((t->flags & T_TS) && (s->opt.has & OPT_TS) &&
	    seq_geq(s->opt.tsval, t->ts_recent) && seq_leq(s->seq, t->rcv_wup))
		t->ts_recent = s->opt.tsval;
}

/* ---- second: RST (RFC 5961 3) ---- */

static bool check_rst(struct tcp_env *env, struct tcb *t, const struct seg *s)
{
	if (!(s->flags & TCP_RST))
		return true;
	if (s->seq != t->rcv_nxt) {
		challenge(env, t, TCP_DROP_RST_BAD);
		return false;
	}
	counter_add(&env->stats.rsts_in, 1);
	counter_add(&env->stats.resets, 1);
	conn_end(env, t, t->state == TCP_SYN_RECEIVED ? ECONNREFUSED :
			 t->state == TCP_CLOSE_WAIT ? EPIPE : ECONNRESET);
	return false;
}

/* ---- fourth: SYN (RFC 5961 4) ---- */

static bool check_syn(struct tcp_env *env, struct tcb *t, const struct seg *s)
{
	if (!(s->flags & TCP_SYN))
		return true;
	challenge(env, t, TCP_DROP_SYN_BAD);
	return false;
}

/* ---- fifth: ACK ---- */

/* srtt_us is what SYN and SYN-ACK took, unless the SYN was sent again. */
static void connected(struct tcp_env *env, struct tcb *t)
{
	t->flags |= T_CONNECTED;
	hist_add(&env->stats.connect_us, t->srtt_us ? t->srtt_us :
		 (now_ms(env) - t->moved_ms) * 1000);
}

static void established(struct tcp_env *env, struct tcb *t, const struct seg *s)
{
	out_set_mtu(env, t, 0);
	t->cwnd = cong_initial(env, t);
	t->snd_wl1 = s->seq;
	t->snd_wl2 = s->ack;
	t->snd_wnd = t->max_snd_wnd = s->wnd;
	t->flags &= ~T_SYN_DUE;
	tcp_state_set(t, TCP_DO_SYN_ACKED);
	if (t->flags & T_FIN_QUEUED)
		tcp_state_set(t, TCP_DO_CLOSE);	/* it was queued meanwhile */
	if (!t->listener)
		connected(env, t);
	else
		tfo_over(env, t);
	timer_idle_start(env, t);
	conn_dirty(env, t);
}

/* The whole of our FIN is acknowledged: true when the connection goes on. */
static bool fin_acked(struct tcp_env *env, struct tcb *t)
{
	switch (t->state) {
	case TCP_FIN_WAIT_1:
		tcp_state_set(t, TCP_DO_FIN_ACKED);
		timer_idle_start(env, t);
		return true;
	case TCP_CLOSING:
		tcp_state_set(t, TCP_DO_FIN_ACKED);
		timewait_enter(env, t);
		return false;
	case TCP_LAST_ACK:
		conn_end(env, t, 0);
		return false;
	default:
		return true;
	}
}

static bool check_ack(struct tcp_env *env, struct tcb *t, const struct seg *s)
{
	if (!(s->flags & TCP_ACK)) {
		drop(env, TCP_DROP_STATE);
		return false;
	}
	if (t->state == TCP_SYN_RECEIVED) {
		if (!seq_in(s->ack, t->snd_una + 1, t->snd_max - t->snd_una)) {
			drop(env, TCP_DROP_ACK_BAD);
			reply_reset(env, &t->tuple, s);
			return false;
		}
		established(env, t, s);
	}
	if (seq_gt(s->ack, t->snd_max) ||	/* RFC 5961 5.2 */
	    seq_lt(s->ack, t->snd_una - t->max_snd_wnd)) {
		challenge(env, t, TCP_DROP_ACK_BAD);
		return false;
	}
	ack_in(env, t, s);
	tfo_settle(env, t);
	if (fin_sent(t) && t->snd_una == t->snd_max)
		return fin_acked(env, t);
	return true;
}

/* ---- seventh: text ---- */

/* A peer that begins to send in bulk gets its ACKs at once, so that its window
 * grows; small segments are requests, whose answer will carry the ACK. */
static bool quick_ack(struct tcb *t, uint32_t len)
{
	if (!t->quick || len < t->mss)
		return false;
	t->quick--;
	return true;
}

/* When the ACK for what was just taken is due (RFC 9293 3.8.6.3).  True: now,
 * and more data would not change that. */
static bool schedule_ack(struct tcp_env *env, struct tcb *t, uint32_t len)
{
	if (t->rcv_nxt - t->rcv_wup >= 2u * t->rcv_mss ||
	    (t->flags & T_QUICKACK) || recv_update_due(env, t)) {
		owe_ack(env, t);
		return true;
	}
	if (quick_ack(t, len)) {
		owe_ack(env, t);
	} else if (!(t->flags & T_DELACK)) {
		t->flags |= T_DELACK;
		t->ack_ms = deadline_ms(env, env->cfg.delack_ms);
	}
	return false;
}

/* Out of order, or closing a gap: told at once (RFC 5681 4.2). */
static bool must_ack_now(const struct tcp_env *env, const struct tcb *t,
			 seq_t seq)
{
	const struct tcb_ext *x = ext_of(env, t);

	return seq != t->rcv_nxt || (x && x->ooo_head);
}

static void take_bytes(struct tcp_env *env, struct tcb *t, seq_t seq,
		       const uint8_t *bytes, uint32_t len)
{
	bool now = must_ack_now(env, t, seq);

	if (t->flags & T_RD_SHUT) {
		if (seq == t->rcv_nxt) {
			t->rcv_nxt += len;
			t->bytes_in += len;
			t->rcv_read = t->rcv_told = t->rcv_nxt;
		}
	} else if (!reass_take(env, t, seq, bytes, len)) {
		drop(env, TCP_DROP_NO_BLOCK);
		now = true;
	}
	if (now)
		owe_ack(env, t);
	else
		schedule_ack(env, t, len);
	conn_dirty(env, t);
}

/* RFC 1122 4.2.2.13: nobody will read it. */
static bool data_after_close(struct tcp_env *env, struct tcb *t,
			     const struct seg *s)
{
	if (!(t->flags & T_CLOSED) || s->len == 0 ||
	    seq_leq(s->seq + s->len, t->rcv_nxt))
		return false;
	drop(env, TCP_DROP_AFTER_CLOSE);
	conn_abort(env, t, 0);
	return true;
}

static bool take_text(struct tcp_env *env, struct tcb *t, struct seg *s)
{
	uint32_t cut, room = t->rcv_adv - t->rcv_nxt;

	if (data_after_close(env, t, s))
		return false;
	if (s->len == 0)
		return true;
	if (t->flags & T_FIN_RCVD) {	/* nothing can follow it */
		drop(env, TCP_DROP_STATE);
		return true;
	}
	if (seq_lt(s->seq, t->rcv_nxt)) {	/* the head is old */
		cut = t->rcv_nxt - s->seq;
		sack_duplicate(env, t, s->seq,
			       s->seq + (cut < s->len ? cut : s->len));
		if (t->sack)
			owe_ack(env, t);
		if (cut >= s->len) {
			owe_ack(env, t);
			cut = s->len;
		}
		s->seq += cut;
		s->payload += cut;
		s->len -= cut;
	}
	if (s->seq + s->len - t->rcv_nxt > room) {	/* the tail is early */
		cut = s->seq + s->len - t->rcv_nxt - room;
		s->len = cut > s->len ? 0 : s->len - cut;
		s->flags &= (uint8_t)~TCP_FIN;
		owe_ack(env, t);
	}
	if (s->len > t->rcv_mss)
		t->rcv_mss = (uint16_t)(s->len < 1460u ? s->len : 1460u);
	counter_add(&env->stats.bytes_in, s->len);
	if (s->len)
		take_bytes(env, t, s->seq, s->payload, s->len);
	return true;
}

/* ---- eighth: FIN ---- */

/* All of the peer's data is here. */
static void take_fin(struct tcp_env *env, struct tcb *t)
{
	t->rcv_nxt++;
	t->flags |= T_FIN_RCVD;
	if (t->rcv_read == t->rcv_nxt - 1 && !t->rcv_head)
		t->rcv_told = t->rcv_read;
	if (seq_lt(t->rcv_adv, t->rcv_nxt))
		t->rcv_adv = t->rcv_nxt;	/* it took no room */
	reass_purge(env, t);
	owe_ack(env, t);
	tcp_state_set(t, TCP_DO_FIN);
	if (t->state == TCP_TIME_WAIT)
		timewait_enter(env, t);
}

static void check_fin(struct tcp_env *env, struct tcb *t, const struct seg *s)
{
	struct tcb_ext *x;

	if (t->flags & T_FIN_RCVD)
		return;
	if (s->flags & TCP_FIN) {
		if (s->seq + s->len == t->rcv_nxt) {
			take_fin(env, t);
			return;
		}
		if (seq_gt(s->seq + s->len, t->rcv_nxt) &&
		    !(t->flags & T_RD_SHUT)) {
			x = conn_ext(env, t);
			x->fin_seq = s->seq + s->len;
			x->has_fin = 1;
			owe_ack(env, t);
		}
	}
	x = ext_of(env, t);
	if (x && x->has_fin && seq_leq(x->fin_seq, t->rcv_nxt)) {
		take_fin(env, t);
		return;
	}
	conn_ext_put(env, t);
}

/* ---- SYN_SENT (RFC 9293 3.10.7.3) ---- */

static void learn_options(struct tcp_env *env, struct tcb *t,
			  const struct seg *s)
{
	if (s->opt.has & OPT_MSS)
		t->peer_mss = s->opt.mss > TCP_MSS_FLOOR ? s->opt.mss :
							    TCP_MSS_FLOOR;
	if ((s->opt.has & OPT_WSCALE) && env->cfg.window_scaling)
		t->snd_wscale = s->opt.wscale & 15u;
	else
		t->rcv_wscale = 0;
	t->sack = (s->opt.has & OPT_SACK_OK) && env->cfg.sack;
	if ((s->opt.has & OPT_TS) && env->cfg.timestamps) {
		t->flags |= T_TS;
		t->ts_recent = s->opt.tsval;
	}
}

static void learn_syn(struct tcp_env *env, struct tcb *t, const struct seg *s)
{
	uint32_t wnd = recv_limit(env, t);

	learn_options(env, t, s);
	ecn_answered(env, t, s);
	t->snd_wnd = t->max_snd_wnd = s->wnd;
	t->snd_wl1 = s->seq;
	t->snd_wl2 = t->snd_una;
	t->rcv_nxt = t->rcv_wup = t->rcv_read = t->rcv_told = s->seq + 1;
	t->rcv_adv = t->rcv_nxt + (wnd > UINT16_MAX ? UINT16_MAX : wnd);
}

static void syn_sent_refused(struct tcp_env *env, struct tcb *t)
{
	counter_add(&env->stats.rsts_in, 1);
	counter_add(&env->stats.connect_failures, 1);
	conn_end(env, t, ECONNREFUSED);
}

static void syn_sent_in(struct tcp_env *env, struct tcb *t, struct seg *s)
{
	bool ack = (s->flags & TCP_ACK) != 0;

	if (ack && !seq_in(s->ack, t->iss + 1, t->snd_max - t->iss)) {
		drop(env, TCP_DROP_ACK_BAD);
		reply_reset(env, &t->tuple, s);
		return;
	}
	if (s->flags & TCP_RST) {
		if (ack)
			syn_sent_refused(env, t);
		else
			drop(env, TCP_DROP_RST_BAD);
		return;
	}
	if (!(s->flags & TCP_SYN)) {
		drop(env, TCP_DROP_STATE);
		return;
	}
	learn_syn(env, t, s);
	if (!ack) {			/* simultaneous open */
		tcp_state_set(t, TCP_DO_SYN);
		t->flags |= T_SYN_DUE;
		conn_dirty(env, t);
		return;
	}
	tfo_learn(env, t, s);
	established(env, t, s);
	owe_ack(env, t);
	ack_in(env, t, s);
	tfo_settle(env, t);
	s->flags &= (uint8_t)~TCP_SYN;
	s->seq++;
	if (take_text(env, t, s))
		check_fin(env, t, s);
}

/* ---- the way through ---- */

/* Header prediction (Jacobson): ESTABLISHED, in order, nothing unusual; a pure
 * ACK for new data, or data that acknowledges nothing new: @len bytes in all,
 * when others follow @s. */
static bool predicted(const struct tcp_env *env, const struct tcb *t,
		      const struct seg *s, uint32_t len)
{
	const struct tcb_ext *x;

	if (t->state != TCP_ESTABLISHED || s->seq != t->rcv_nxt ||
	    (s->flags & ~TCP_PSH) != TCP_ACK ||
	    (t->flags & (T_RD_SHUT | T_CLOSED | T_FIN_QUEUED | T_RECOVERY)))
		return false;
	x = ext_of(env, t);
	if (x && (x->ooo_head || x->has_fin))
		return false;
	if (t->flags & T_TS) {
		if (!(s->opt.has & OPT_TS) ||
		    seq_lt(s->opt.tsval, t->ts_recent))
			return false;
	}
	if (len == 0)
		return seq_in(s->ack, t->snd_una + 1, t->snd_max - t->snd_una);
	return s->ack == t->snd_una && len <= t->rcv_adv - t->rcv_nxt &&
	       s->wnd == t->snd_wnd && !(s->opt.has & OPT_SACK);
}

/* What a predicted segment says apart from its payload. */
static void fast_head(struct tcp_env *env, struct tcb *t, const struct seg *s)
{
	take_timestamp(t, s);
	if (t->ecn)
		ecn_in(env, t, s);
	if (s->len > t->rcv_mss)
		t->rcv_mss = (uint16_t)(s->len < 1460u ? s->len : 1460u);
}

static bool fast_path(struct tcp_env *env, struct tcb *t, struct seg *s)
{
	if (!predicted(env, t, s, s->len))
		return false;
	fast_head(env, t, s);
	if (s->len == 0) {
		ack_in(env, t, s);
		return true;
	}
	t->snd_wl1 = s->seq;
	counter_add(&env->stats.bytes_in, s->len);
	take_bytes(env, t, s->seq, s->payload, s->len);
	return true;
}

/* The SYN that began it by Fast Open, again: so is our answer.  Another one is
 * no more than any SYN in the window. */
static bool syn_again(struct tcp_env *env, struct tcb *t, const struct seg *s)
{
	if (t->state != TCP_SYN_RECEIVED || !t->listener ||
	    (s->flags & (TCP_SYN | TCP_ACK)) != TCP_SYN ||
	    s->seq + 1 + (uint32_t)t->bytes_in != t->rcv_nxt)
		return false;
	t->flags |= T_SYN_DUE;
	conn_dirty(env, t);
	return true;
}

void conn_in(struct tcp_env *env, struct tcb *t, struct seg *s)
{
	bool again = now_ms(env) != t->heard_ms;

	t->segs_in++;
	t->data_segs_in += s->len != 0;
	if (t->state == TCP_SYN_SENT) {
		t->heard_ms = now_ms(env);
		syn_sent_in(env, t, s);
		return;
	}
	if (syn_again(env, t, s))
		return;
	if (!(s->flags & TCP_SYN))	/* RFC 7323 2.2: a SYN's is as it is */
		s->wnd <<= t->snd_wscale;
	if (!fast_path(env, t, s)) {
		strip_known_syn(env, t, s);
		if (!check_seq(env, t, s) || !check_rst(env, t, s) ||
		    !check_syn(env, t, s))
			return;
		take_timestamp(t, s);
		if (t->ecn)
			ecn_in(env, t, s);
		if (!check_ack(env, t, s) || !take_text(env, t, s))
			return;
		check_fin(env, t, s);
	}
	if (again && (t->flags & T_LIVE)) {
		t->heard_ms = now_ms(env);
		t->keep_probes = 0;
	}
}

/* ---- parsing ---- */

static bool flags_ok(uint8_t f)
{
	f &= TCP_FIN | TCP_SYN | TCP_RST | TCP_ACK;
	if ((f & TCP_SYN) && (f & (TCP_FIN | TCP_RST)))
		return false;
	return (f & (TCP_SYN | TCP_RST | TCP_ACK)) != 0;
}

static bool csum_good(const struct tcp_rx *rx)
{
	uint64_t sum;

	if (rx->csum_ok)
		return true;
	sum = csum_pseudo(&rx->src, &rx->dst, 6, rx->l4_len);
	return csum_finish(csum_add(sum, rx->l4, rx->l4_len)) == 0;
}

static bool source_ok(const struct tcp_rx *rx, const struct hdr_tcp *h)
{
	if (addr_is_any(&rx->src) || h->sport == 0 || h->dport == 0)
		return false;
	if (addr_is_v4(&rx->src) && rx->src.b[12] >= 224)
		return false;		/* multicast, broadcast */
	return !addr_eq(&rx->src, &rx->dst) || h->sport != h->dport;
}

static enum tcp_drop parse(const struct tcp_rx *rx, struct seg *s,
			   struct flow_tuple *tuple)
{
	struct hdr_tcp h;
	uint32_t head;

	if (rx->l4_len < TCP_BYTES)
		return TCP_DROP_SHORT;
	memcpy(&h, rx->l4, sizeof(h));
	head = (uint32_t)(h.data_off >> 4) * 4;
	if (head < TCP_BYTES || head > rx->l4_len)
		return TCP_DROP_SHORT;
	if (!csum_good(rx))
		return TCP_DROP_CSUM;
	if (!source_ok(rx, &h))
		return TCP_DROP_SOURCE;
	if (!flags_ok(h.flags))
		return TCP_DROP_FLAGS;
	tuple->remote = rx->src;
	tuple->local = rx->dst;
	tuple->rport = h.sport;
	tuple->lport = h.dport;
	s->seq = ntohl(h.seq);
	s->ack = ntohl(h.ack);
	s->wnd = ntohs(h.wnd);
	s->flags = h.flags & (TCP_FIN | TCP_SYN | TCP_RST | TCP_PSH | TCP_ACK);
	s->port = rx->port;
	s->ace = (uint8_t)((h.data_off & 1) << 2 | h.flags >> 6);
	s->ecn = rx->ecn & ECN_MASK;
	s->payload = rx->l4 + head;
	s->len = rx->l4_len - head;
	tcp_opt_parse(&s->opt, rx->l4 + TCP_BYTES, head - TCP_BYTES);
	return TCP_DROP_NONE;
}

uint32_t tcp_rx_hash(const struct tcp_env *env, const struct tcp_rx *rx)
{
	struct flow_tuple tuple;
	struct hdr_tcp h;

	if (rx->l4_len < TCP_BYTES)
		return 0;
	memcpy(&h, rx->l4, sizeof(h));
	tuple.remote = rx->src;
	tuple.local = rx->dst;
	tuple.rport = h.sport;
	tuple.lport = h.dport;
	return flow_hash(env, &tuple);
}

void tcp_in(struct tcp_env *env, const struct tcp_rx *rx, uint32_t hash,
	    mono_t now)
{
	struct flow_tuple tuple;
	struct tcb *t = NULL;
	struct seg s;
	enum tcp_drop why = parse(rx, &s, &tuple);
	seq_t after = 0;
	uint32_t ref;

	env->now = now;
	env->ack_marked = false;
	counter_add(&env->stats.segs_in, 1);
	if (why != TCP_DROP_NONE) {
		drop(env, why);
		return;
	}
	if (s.opt.malformed)
		drop(env, TCP_DROP_OPTION);
	ref = flow_find(env, &tuple, hash);
	switch (flow_kind(ref)) {
	case FLOW_TCB:
		t = tcb_at(env, flow_index(ref));
		break;
	case FLOW_SYN:
		t = syn_in(env, flow_index(ref), hash, &s);
		break;
	case FLOW_TIME_WAIT:
		if (timewait_in(env, flow_index(ref), hash, &s, &after))
			t = listen_in(env, &tuple, hash, &s, after, true);
		break;
	case FLOW_NONE:
		t = listen_in(env, &tuple, hash, &s, 0, false);
		break;
	}
	if (!t)
		return;
	conn_in(env, t, &s);
	if (t->flags & T_LIVE)
		timer_sync(env, t);
}

/* ---- a burst ---- */

/* The payload of @run's segments from @i on, the first of which is @s: all of
 * them are as predicted.  Returns the first one not taken; GRO_END: none. */
static uint32_t take_run(struct tcp_env *env, struct tcb *t, struct seg *s,
			 const struct tcp_gro *run, const struct tcp_rx *rx,
			 uint32_t i)
{
	bool decided = false, ok = true;
	uint32_t segs = 0, bytes = 0;

	do {
		if (segs && t->ecn)
			ecn_in(env, t, s);
		t->snd_wl1 = s->seq;
		ok = reass_take(env, t, s->seq, s->payload, s->len);
		segs++;
		bytes += s->len;
		i = run->next[i];
		if (!ok)
			break;
		if (!decided)
			decided = schedule_ack(env, t, s->len);
		if (i == GRO_END || !csum_good(&rx[i]))
			break;
		s->seq += s->len;
		s->payload = tcp_gro_payload(&rx[i], &s->len);
	} while (true);
	if (!ok) {
		drop(env, TCP_DROP_NO_BLOCK);
		owe_ack(env, t);
	}
	t->segs_in += segs;
	t->data_segs_in += segs;
	counter_add(&env->stats.segs_in, segs);
	counter_add(&env->stats.segs_merged, segs - 1);
	counter_add(&env->stats.bytes_in, bytes);
	conn_dirty(env, t);
	return i;
}

static uint32_t run_bytes(const struct tcp_gro *run, const struct tcp_rx *rx,
			  uint32_t i)
{
	uint32_t len, all = 0;

	for (; i != GRO_END; i = run->next[i]) {
		tcp_gro_payload(&rx[i], &len);
		all += len;
	}
	return all;
}

/* A run from @i on, all at once if it is as predicted.  Returns what is left
 * to tcp_in(). */
static uint32_t run_in(struct tcp_env *env, const struct tcp_rx *rx,
		       const struct tcp_gro *run, uint32_t i, uint32_t hash)
{
	struct flow_tuple tuple;
	struct tcb *t;
	struct seg s;
	uint32_t ref;

	if (parse(&rx[i], &s, &tuple) != TCP_DROP_NONE || s.opt.malformed)
		return i;
	ref = flow_find(env, &tuple, hash);
	if (flow_kind(ref) != FLOW_TCB)
		return i;
	t = tcb_at(env, flow_index(ref));
	s.wnd <<= t->snd_wscale;
	if (!predicted(env, t, &s, run_bytes(run, rx, i)))
		return i;
	env->ack_marked = false;
	fast_head(env, t, &s);
	i = take_run(env, t, &s, run, rx, i);
	if (now_ms(env) != t->heard_ms) {
		t->heard_ms = now_ms(env);
		t->keep_probes = 0;
	}
	timer_sync(env, t);
	return i;
}

void tcp_in_burst(struct tcp_env *env, const struct tcp_rx *rx,
		  const uint32_t *hash, uint32_t n, mono_t now)
{
	struct tcp_gro run;

	if (n == 1) {
		tcp_in(env, rx, *hash, now);
		return;
	}
	env->now = now;
	tcp_gro_find(&run, rx, hash, n);
	for (uint32_t i = 0; i < n; i++) {
		uint32_t left = i;

		if (run.next[i] == GRO_END && !(run.joined >> i & 1)) {
			tcp_in(env, &rx[i], hash[i], now);
			continue;
		}
		if (run.joined >> i & 1)
			continue;
		left = run_in(env, rx, &run, i, hash[i]);
		for (; left != GRO_END; left = run.next[left])
			tcp_in(env, &rx[left], hash[left], now);
	}
}
