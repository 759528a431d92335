/*
 * tcp_info.c - looking at connections: listings and names
 *
 * A listing walks the flow table, which is dense and holds connections,
 * half-open and TIME_WAIT records alike; what ends meanwhile is missing, what
 * begins may be.
 */
#include <string.h>

#include "tcp/env.h"

static const char *const drop_names[] = {
	[TCP_DROP_NONE] = "none",
	[TCP_DROP_SHORT] = "short",
	[TCP_DROP_CSUM] = "checksum",
	[TCP_DROP_OPTION] = "option",
	[TCP_DROP_FLAGS] = "flags",
	[TCP_DROP_NO_LISTENER] = "no_listener",
	[TCP_DROP_BACKLOG] = "backlog",
	[TCP_DROP_NO_TCB] = "no_tcb",
	[TCP_DROP_WINDOW] = "window",
	[TCP_DROP_PAWS] = "paws",
	[TCP_DROP_RST_BAD] = "rst_bad",
	[TCP_DROP_SYN_BAD] = "syn_bad",
	[TCP_DROP_ACK_BAD] = "ack_bad",
	[TCP_DROP_DUPLICATE] = "duplicate",
	[TCP_DROP_NO_BLOCK] = "no_block",
	[TCP_DROP_AFTER_CLOSE] = "after_close",
	[TCP_DROP_REPLY_FULL] = "reply_full",
	[TCP_DROP_STATE] = "state",
	[TCP_DROP_SOURCE] = "source",
	[TCP_DROP_MEMORY] = "memory",
};
_Static_assert(sizeof(drop_names) / sizeof(drop_names[0]) == TCP_DROPS,
	       "a name each");

const char *tcp_drop_name(enum tcp_drop d)
{
	return (unsigned int)d < TCP_DROPS ? drop_names[d] : "?";
}

static void fill_tcb(const struct tcp_env *env, const struct tcb *t,
		     struct tcp_info *i)
{
	i->conn = tcb_index(env, t);
	i->generation = t->user.generation;
	i->client = t->user.client;
	i->context = t->user.context;
	i->cookie = t->user.cookie;
	i->state = t->state;
	i->snd_queued = snd_queued(t);
	i->snd_unsent = seq_lt(t->snd_nxt, t->snd_end) ? t->snd_end - t->snd_nxt :
							  0;
	i->rcv_queued = rcv_data_end(t) - t->rcv_read;
	i->cwnd = t->cwnd;
	i->ssthresh = t->ssthresh;
	i->snd_wnd = t->snd_wnd;
	i->rcv_wnd = t->rcv_adv - t->rcv_nxt;
	i->srtt_us = t->srtt_us;
	i->rttvar_us = t->rttvar_us;
	i->rto_us = rtt_rto_ms(t) * 1000;
	i->mss = t->mss;
	i->retransmits = t->retransmits;
	i->snd_seq = t->snd_una;
	i->rcv_seq = t->rcv_nxt;
	strncpy(i->cc, cc_at(t->cc)->name, sizeof(i->cc) - 1);
}

static void fill(const struct tcp_env *env, uint32_t ref, struct tcp_info *i)
{
	const struct flow_tuple *tuple = flow_tuple_of(env, ref);

	memset(i, 0, sizeof(*i));
	i->local = tuple->local;
	i->remote = tuple->remote;
	i->lport = tuple->lport;
	i->rport = tuple->rport;
	switch (flow_kind(ref)) {
	case FLOW_TCB:
		fill_tcb(env, tcb_at(env, flow_index(ref)), i);
		break;
	case FLOW_SYN:
		i->state = TCP_SYN_RECEIVED;
		i->mss = syn_at(env, flow_index(ref))->mss;
		i->retransmits = syn_at(env, flow_index(ref))->retries;
		break;
	default:
		i->state = TCP_TIME_WAIT;
		break;
	}
}

void tcp_describe(const struct tcp_env *env, uint32_t conn,
		  struct tcp_info *out)
{
	fill(env, flow_ref(FLOW_TCB, conn), out);
}

static bool fill_listener(const struct tcp_env *env, uint32_t l,
			  struct tcp_info *i)
{
	const struct listener *from = &env->listeners[l];

	if (!from->used)
		return false;
	memset(i, 0, sizeof(*i));
	i->state = TCP_LISTEN;
	i->local = from->addr;
	i->lport = from->port;
	i->rcv_queued = from->accept_count;
	i->snd_queued = from->backlog;
	return true;
}

/* @*cursor: listeners first, then the flow table's entries. */
int tcp_list(const struct tcp_env *env, uint32_t *cursor, struct tcp_info *out,
	     int max)
{
	uint64_t listeners = env->cfg.max_listeners + 1;
	uint64_t end = listeners + ((uint64_t)env->flow_mask + 1) * FLOW_WAYS;
	uint64_t at = *cursor;
	int n = 0;

	for (; at < end && n < max; at++) {
		uint64_t slot = at - listeners;
		uint32_t ref;

		if (at < listeners) {
			n += fill_listener(env, (uint32_t)at, &out[n]);
			continue;
		}
		ref = env->flow[slot / FLOW_WAYS].ref[slot % FLOW_WAYS];
		if (ref)
			fill(env, ref, &out[n++]);
	}
	*cursor = (uint32_t)at;
	return n;
}

bool tcp_is_empty(const struct tcp_env *env)
{
	return env->holders_rx == 0 && env->holders_tx == 0 &&
	       counter_get(&env->stats.conns) == 0 && env->syns.used == 0 &&
	       env->tws.used == 0 && env->extents.used == 0 &&
	       env->exts.used == 0;
}

/* ---- TCP_INFO ---- */

static uint8_t linux_state(uint8_t state)
{
	static const uint8_t numbers[TCP_STATES] = {
		[TCP_CLOSED] = 7, [TCP_LISTEN] = 10, [TCP_SYN_SENT] = 2,
		[TCP_SYN_RECEIVED] = 3, [TCP_ESTABLISHED] = 1,
		[TCP_FIN_WAIT_1] = 4, [TCP_FIN_WAIT_2] = 5,
		[TCP_CLOSE_WAIT] = 8, [TCP_CLOSING] = 11,
		[TCP_LAST_ACK] = 9, [TCP_TIME_WAIT] = 6,
	};

	return numbers[state];
}

static uint32_t segments(uint32_t bytes, uint32_t mss)
{
	return mss ? (bytes + mss - 1) / mss : 0;
}

static uint8_t options_of(const struct tcb *t)
{
	uint8_t o = 0;

	if (t->flags & T_TS)
		o |= INFO_TIMESTAMPS;
	if (t->snd_wscale || t->rcv_wscale)
		o |= INFO_WSCALE;
	if (t->sack)
		o |= INFO_SACK;
	if (t->ecn == ECN_CLASSIC || t->ecn == ECN_ACCURATE)
		o |= INFO_ECN;
	return o;
}

static void info_times(const struct tcp_env *env, const struct tcb *t,
		       struct sock_info *out)
{
	out->rto_us = rtt_rto_ms(t) * 1000;
	out->ato_us = env->cfg.delack_ms * 1000;
	out->rtt_us = t->srtt_us;
	out->rttvar_us = t->rttvar_us;
	out->last_data_sent_ms = now_ms(env) - t->moved_ms;
	out->last_data_recv_ms = now_ms(env) - t->heard_ms;
	out->last_ack_recv_ms = out->last_data_recv_ms;
}

static void info_sending(const struct tcp_env *env, const struct tcb *t,
			 struct sock_info *out)
{
	out->snd_mss = t->mss;
	out->unacked = segments(t->snd_nxt - t->snd_una, t->mss);
	out->snd_cwnd = segments(t->cwnd, t->mss);
	out->snd_ssthresh = t->ssthresh == UINT32_MAX ? INT32_MAX :
			    segments(t->ssthresh, t->mss);
	out->notsent_bytes = seq_lt(t->snd_nxt, t->snd_end) ?
			     t->snd_end - t->snd_nxt : 0;
	out->total_retrans = t->retransmits;
	out->bytes_acked = flight_acked(env, t);
	out->segs_out = t->segs_out;
	out->data_segs_out = t->data_segs_out;
	out->pmtu = t->pmtu && t->pmtu < t->mtu ? t->pmtu : t->mtu;
}

static void info_receiving(const struct tcb *t, struct sock_info *out)
{
	out->bytes_received = t->bytes_in;
	out->segs_in = t->segs_in;
	out->data_segs_in = t->data_segs_in;
}

/* What recovery knows, while there is something to recover. */
static void info_recovery(const struct tcp_env *env, const struct tcb *t,
			  struct sock_info *out)
{
	const struct tcb_ext *x = ext_of(env, t);

	if (!x)
		return;
	out->sacked = segments(x->sent.sacked, t->mss);
	out->lost = segments(x->sent.lost, t->mss);
	out->retrans = segments(x->sent.again, t->mss);
}

/* Linux's TCP_CA_*: open, disorder, CWR, recovery, loss. */
static uint8_t ca_state(const struct tcp_env *env, const struct tcb *t)
{
	const struct tcb_ext *x = ext_of(env, t);

	if (t->retries || (x && x->rec.state == REC_LOSS))
		return 4;
	if (t->flags & T_RECOVERY)
		return 3;
	if (x && x->cwr && seq_leq(t->snd_una, x->cwr_end))
		return 2;
	return t->dupacks || (x && x->sent.sacked);
}

static void info_rates(const struct tcp_env *env, const struct tcb *t,
		       struct sock_info *out)
{
	const struct tcb_ext *x = ext_of(env, t);
	uint32_t most = set_of(env, t)->pacing_rate;
	bool limited;

	out->max_pacing_rate = most && most != UINT32_MAX ? most : UINT64_MAX;
	out->pacing_rate = x && x->pace_rate < out->max_pacing_rate &&
			   x->pace_rate ? x->pace_rate : out->max_pacing_rate;
	out->delivery_rate = rate_latest(env, t, &limited);
	out->limited = limited;
}

uint32_t tcp_cc_of(const struct tcp_env *env, uint32_t conn)
{
	return tcb_at(env, conn)->cc;
}

void tcp_sock_info(struct tcp_env *env, uint32_t conn, struct sock_info *out,
		   mono_t now)
{
	const struct tcb *t = tcb_at(env, conn);
	uint32_t headers = addr_is_v4(&t->tuple.remote) ? 40 : 60;

	env->now = now;
	memset(out, 0, sizeof(*out));
	out->state = linux_state(t->state);
	out->ca_state = ca_state(env, t);
	out->retransmits = t->retries;
	out->probes = t->keep_probes;
	out->backoff = t->backoff;
	out->options = options_of(t);
	out->wscales = (uint8_t)(t->snd_wscale | t->rcv_wscale << 4);
	info_times(env, t, out);
	info_sending(env, t, out);
	info_receiving(t, out);
	info_rates(env, t, out);
	info_recovery(env, t, out);
	out->min_rtt_us = rec_min_rtt(env, t);
	out->rcv_mss = t->rcv_mss;
	out->rcv_ssthresh = t->rcv_adv - t->rcv_nxt;
	out->rcv_space = recv_limit(env, t);
	out->advmss = t->mtu > headers ? t->mtu - headers : 0;
	out->reordering = 3;
}
