/*
 * tcp_ecn.c - explicit congestion notification
 *
 *	         a router marks CE instead of dropping
 *	sender --ECT(0)--> ... --CE--> receiver
 *	   ^                              |  classic, RFC 3168: ECE in every ACK
 *	   |                              |  until the sender's CWR
 *	   |                              |  DCTCP, RFC 8257: ECE in the ACKs of
 *	   |                              |  what was marked, and in no other
 *	   +------------ ACK -------------+  AccECN, RFC 9768: the count of marks,
 *					     modulo 8, in AE, CWR and ECE; bytes
 *					     in an option
 *
 * Both ends agree while they shake hands: we offer what mtcpd.conf says or the
 * congestion control needs, and accept what a peer offers.  An answer that
 * makes no sense, a SYN that was lost, or marks that never arrive (something
 * on the path clears them) end it: data is then sent without ECT, and losses
 * alone tell of congestion.
 *
 * Never marked ECT (RFC 3168 6.1.4, 6.1.5): SYNs, pure ACKs, probes, and what
 * is sent again.
 */
#include "tcp/env.h"

#define ACE_INITIAL	5u	/* RFC 9768 3.2.1: r.cep and s.cep */
#define BYTES_INITIAL	1u	/* and of the bytes in ECT segments */
#define BYTES_MASK	0xffffffu	/* 24 bits in the option */
#define CE_UNTOLD	6u	/* 3.2.2.5.1: an ACK at the latest then */
#define OPT_REPEATS	3u	/* ACKs that carry a change */
#define PROVE_SEGMENTS	10u	/* acknowledged until marks must have shown */

static struct accecn *acc_of(const struct tcp_env *env, const struct tcb *t)
{
	return &ext_of(env, t)->acc;
}

static void fall_back(struct tcp_env *env, struct tcb *t)
{
	if (t->ecn_off)
		return;
	t->ecn_off = 1;
	counter_add(&env->stats.ecn_fallbacks, 1);
}

/* ---- handshake ---- */

/* RFC 9768 table 3: how a codepoint is fed back before counting begins. */
static uint8_t ace_of_codepoint(uint8_t ecn)
{
	static const uint8_t ace[4] = { 2, 3, 4, 6 };

	return ace[ecn & ECN_MASK];
}

static uint16_t ace_flags(uint32_t ace)
{
	return (uint16_t)(((ace & 4) ? TCP_AE : 0) | ((ace & 2) ? TCP_CWR : 0) |
			  ((ace & 1) ? TCP_ECE : 0));
}

static void begin_accurate(struct tcp_env *env, struct tcb *t)
{
	struct tcb_ext *x = conn_ext(env, t);

	t->ecn = ECN_ACCURATE;
	x->acc = (struct accecn){
		.r_cep = ACE_INITIAL, .s_cep = ACE_INITIAL,
		.r_e0b = BYTES_INITIAL, .r_e1b = BYTES_INITIAL,
		.s_e0b = BYTES_INITIAL, .opt_due = OPT_REPEATS,
	};
}

uint16_t ecn_syn(struct tcp_env *env, struct tcb *t, bool again)
{
	bool want = env->cfg.ecn == TCP_ECN_ON || cc_at(t->cc)->needs_ecn;

	if (again) {		/* RFC 3168 6.1.1.1: perhaps that is why */
		if (t->ecn == ECN_ASKED)
			counter_add(&env->stats.ecn_fallbacks, 1);
		t->ecn = ECN_NONE;
		return 0;
	}
	if (!want)
		return 0;
	t->ecn = ECN_ASKED;
	return TCP_AE | TCP_CWR | TCP_ECE;
}

/* RFC 9768 table 2, what the server's answer means. */
void ecn_answered(struct tcp_env *env, struct tcb *t, const struct seg *s)
{
	uint8_t asked = t->ecn;

	t->ecn = ECN_NONE;
	if (asked != ECN_ASKED || !(s->flags & TCP_ACK))
		return;
	switch (s->ace) {
	case 1:
	case 5:
		t->ecn = ECN_CLASSIC;
		break;
	case 2:
	case 3:
	case 4:
	case 6:
		begin_accurate(env, t);
		acc_of(env, t)->tell = ace_of_codepoint(s->ecn);
		if (s->ecn == ECN_CE)
			acc_of(env, t)->r_cep++;
		if (s->ace != ace_of_codepoint(ECN_NOT_ECT))
			fall_back(env, t);	/* our SYN was not marked */
		break;
	default:			/* no, or something broken */
		return;
	}
	counter_add(&env->stats.ecn_negotiated, 1);
}

enum ecn_mode ecn_offered(const struct tcp_env *env, const struct seg *s)
{
	if (env->cfg.ecn == TCP_ECN_OFF || s->ace == 0)
		return ECN_NONE;
	/* RFC 9768 3.1.3: unknown combinations are to be a newer AccECN's */
	return s->ace == 3 ? ECN_CLASSIC : ECN_ACCURATE;
}

uint16_t ecn_answer(enum ecn_mode mode, uint8_t syn_ecn)
{
	if (mode == ECN_CLASSIC)
		return TCP_ECE;
	return mode == ECN_ACCURATE ? ace_flags(ace_of_codepoint(syn_ecn)) : 0;
}

void ecn_accepted(struct tcp_env *env, struct tcb *t, enum ecn_mode mode,
		  const struct seg *s)
{
	if (mode == ECN_NONE)
		return;
	counter_add(&env->stats.ecn_negotiated, 1);
	if (mode == ECN_CLASSIC) {
		t->ecn = ECN_CLASSIC;
		return;
	}
	begin_accurate(env, t);
	acc_of(env, t)->skip = 1;
	if (s->ace == 0)		/* table 4: cleared on the way */
		fall_back(env, t);
	else if (s->ace == 6)		/* our SYN-ACK was marked */
		acc_of(env, t)->s_cep++;
}

/* ---- what arrives ---- */

/* An ACK of all until now, which does not wait for the end of the burst: what
 * comes next is marked otherwise (RFC 8257 3.2), or would hide a count. */
static void ack_apart(struct tcp_env *env, struct tcb *t)
{
	struct reply *r = reply_new(env, &t->tuple, TCP_ACK | ecn_flags(env, t),
				    t->snd_max, t->rcv_nxt);
	struct tcp_opts o = { .has = OPT_TS };

	if (!r)
		return;
	t->segs_out++;
	r->wnd = recv_window(env, t);
	if (t->flags & T_TS) {
		o.tsval = tcp_ts_now(env, t->hash);
		o.tsecr = t->ts_recent;
		r->opt_len = tcp_opt_build(r->opts, &o);
	}
	t->rcv_wup = t->rcv_nxt;
}

static void classic_marks(struct tcp_env *env, struct tcb *t,
			  const struct seg *s)
{
	bool ce = s->ecn == ECN_CE;

	if (!s->len)
		return;
	if (ce)
		counter_add(&env->stats.ce_in, 1);
	if (cc_at(t->cc)->needs_ecn) {		/* RFC 8257 3.2 */
		if (ce != t->ecn_echo && t->rcv_nxt != t->rcv_wup)
			ack_apart(env, t);
		t->ecn_echo = ce;
		return;
	}
	if (s->ace & 2)				/* CWR: RFC 3168 6.1.3 */
		t->ecn_echo = 0;
	if (ce)
		t->ecn_echo = 1;
}

static void accurate_marks(struct tcp_env *env, struct tcb *t,
			   const struct seg *s)
{
	struct accecn *a = acc_of(env, t);

	switch (s->ecn) {
	case ECN_CE:
		counter_add(&env->stats.ce_in, 1);
		if (a->ce_untold >= CE_UNTOLD) {
			ack_apart(env, t);
			a->ce_untold = 0;
		}
		a->ce_untold++;
		a->r_cep++;
		a->r_ceb += s->len;
		a->opt_due = OPT_REPEATS;
		t->flags |= T_ACK_NOW;
		conn_dirty(env, t);
		break;
	case ECN_ECT0:
		a->r_e0b += s->len;
		break;
	case ECN_ECT1:
		a->r_e1b += s->len;
		break;
	default:
		break;
	}
}

/* Data that left as ECT(0) arrives as such, or something on the path clears it
 * (RFC 9768 3.2.3.2). */
static void prove(struct tcp_env *env, struct tcb *t, struct accecn *a,
		  const struct seg *s, uint32_t acked)
{
	if (a->proved || !(s->opt.has & OPT_ACCECN))
		return;
	a->acked += acked;
	if (s->opt.accecn[ACCECN_E0B] != BYTES_INITIAL ||
	    s->opt.accecn[ACCECN_CEB] != 0)
		a->proved = 1;
	else if (a->acked >= PROVE_SEGMENTS * t->mss)
		fall_back(env, t);
}

/* Bytes of @acked that were marked (appendix A.2). */
static uint32_t accurate_marked(struct tcp_env *env, struct tcb *t,
				const struct seg *s, uint32_t acked)
{
	struct accecn *a = acc_of(env, t);
	uint32_t count, bytes;

	if (a->skip) {		/* the handshake's encoding, known already */
		a->skip = 0;
		return 0;
	}
	count = (s->ace - a->s_cep) & 7u;
	if (!acked && count > 4)
		return 0;	/* an old ACK that was overtaken */
	a->s_cep = (uint8_t)(a->s_cep + count);
	bytes = count * t->mss;
	prove(env, t, a, s, acked);
	if ((s->opt.has & OPT_ACCECN) && s->opt.accecn_fields > ACCECN_CEB) {
		bytes = (s->opt.accecn[ACCECN_CEB] - a->s_ceb) & BYTES_MASK;
		if (bytes > BYTES_MASK / 2)
			return 0;	/* overtaken, likewise */
		a->s_ceb = s->opt.accecn[ACCECN_CEB];
		if (!bytes && count)
			bytes = 1;	/* marks of segments without payload */
	}
	return bytes;
}

void ecn_in(struct tcp_env *env, struct tcb *t, const struct seg *s)
{
	uint32_t acked = 0, marked;

	if (t->ecn == ECN_CLASSIC)
		classic_marks(env, t, s);
	else if (t->ecn == ECN_ACCURATE)
		accurate_marks(env, t, s);
	else
		return;
	if (!(s->flags & TCP_ACK) || seq_lt(s->ack, t->snd_una) ||
	    seq_gt(s->ack, t->snd_max))
		return;
	acked = s->ack - t->snd_una;
	if (t->ecn == ECN_ACCURATE)
		marked = accurate_marked(env, t, s, acked);
	else
		marked = (s->ace & 1) ? (acked ? acked : 1) : 0;
	if (marked)
		counter_add(&env->stats.ece_in, 1);
	if (t->snd_una != t->snd_max && (marked || cc_at(t->cc)->marked))
		cong_marked(env, t, acked, marked);
}

/* ---- what leaves ---- */

uint16_t ecn_flags(const struct tcp_env *env, const struct tcb *t)
{
	if (t->ecn == ECN_CLASSIC)
		return t->ecn_echo ? TCP_ECE : 0;
	if (t->ecn == ECN_ACCURATE)
		return ace_flags(acc_of(env, t)->r_cep);
	return 0;
}

uint16_t ecn_ack_out(struct tcp_env *env, struct tcb *t, struct tcp_opts *o)
{
	struct accecn *a;
	uint8_t tell;

	if (t->ecn != ECN_ACCURATE)
		return ecn_flags(env, t);
	a = acc_of(env, t);
	a->ce_untold = 0;
	if (o && a->opt_due) {
		a->opt_due--;
		o->has |= OPT_ACCECN;
		o->accecn_fields = 3;
		o->accecn[ACCECN_E0B] = a->r_e0b & BYTES_MASK;
		o->accecn[ACCECN_CEB] = a->r_ceb & BYTES_MASK;
		o->accecn[ACCECN_E1B] = a->r_e1b & BYTES_MASK;
	}
	tell = a->tell;
	a->tell = 0;
	return tell ? ace_flags(tell) : ecn_flags(env, t);
}

void ecn_data_out(struct tcp_env *env, struct tcb *t, struct tcp_tx *tx)
{
	if ((t->ecn != ECN_CLASSIC && t->ecn != ECN_ACCURATE) || t->ecn_off)
		return;
	tx->tos |= ECN_ECT0;
	if (t->ecn_cwr) {
		t->ecn_cwr = 0;
		tx->flags |= TCP_CWR;
		counter_add(&env->stats.cwr_out, 1);
	}
}
