/*
 * tcp_icmp.c - ICMP errors about our segments (RFC 1122 4.2.3.9, RFC 5927)
 *
 * Nobody authenticates them: only one that quotes a sequence number in flight
 * counts, and a synchronized connection is never ended by one.
 */
#include <errno.h>

#include "tcp/env.h"

enum {
	ICMP_UNREACHABLE = 3, ICMP_TIME_EXCEEDED = 11,
	UNREACHABLE_NET = 0, UNREACHABLE_HOST, UNREACHABLE_PROTOCOL,
	UNREACHABLE_PORT, UNREACHABLE_FRAG_NEEDED
};

static int errno_of(const struct tcp_icmp *e)
{
	if (e->type == ICMP_TIME_EXCEEDED)
		return EHOSTUNREACH;
	switch (e->code) {
	case UNREACHABLE_NET:
		return ENETUNREACH;
	case UNREACHABLE_PROTOCOL:
		return ENOPROTOOPT;
	case UNREACHABLE_PORT:
		return ECONNREFUSED;
	default:
		return EHOSTUNREACH;
	}
}

/* RFC 1191 6.3: everything in flight was too large; send it again, smaller,
 * without regarding it as congestion. */
static void frag_needed(struct tcp_env *env, struct tcb *t, uint16_t mtu)
{
	uint16_t before = t->mss;

	if (!pmtu_told(env, t, mtu)) {
		counter_add(&env->stats.icmp_ignored, 1);
		return;
	}
	counter_add(&env->stats.icmp_pmtu, 1);
	if (t->mss >= before || t->state < TCP_ESTABLISHED)
		return;
	send_rewind(env, t);
	conn_dirty(env, t);
}

/* RFC 5927 5.2: they end only what is not yet synchronized; there an
 * application is better told at once that nobody can be reached. */
static void unreachable(struct tcp_env *env, struct tcb *t,
			const struct tcp_icmp *e)
{
	t->soft_error = (uint8_t)errno_of(e);
	if (t->state != TCP_SYN_SENT || e->type != ICMP_UNREACHABLE) {
		counter_add(&env->stats.icmp_soft, 1);
		return;
	}
	counter_add(&env->stats.icmp_refused, 1);
	counter_add(&env->stats.connect_failures, 1);
	conn_end(env, t, t->soft_error);
}

/* A record has sent only its SYN-ACK: nothing that an ICMP error may end. */
static void no_connection(struct tcp_env *env, uint32_t ref)
{
	counter_add(flow_kind(ref) == FLOW_NONE ? &env->stats.icmp_unknown :
						  &env->stats.icmp_ignored, 1);
}

void tcp_icmp_in(struct tcp_env *env, const struct tcp_icmp *e, mono_t now)
{
	struct flow_tuple tuple = { .remote = e->dst, .local = e->src,
				    .rport = e->dport, .lport = e->sport };
	uint32_t ref = flow_find(env, &tuple, flow_hash(env, &tuple));
	struct tcb *t;

	env->now = now;
	if (e->type != ICMP_UNREACHABLE && e->type != ICMP_TIME_EXCEEDED) {
		/* source quench among them (RFC 6633) */
		counter_add(&env->stats.icmp_ignored, 1);
		return;
	}
	if (flow_kind(ref) != FLOW_TCB) {
		no_connection(env, ref);
		return;
	}
	t = tcb_at(env, flow_index(ref));
	if (!seq_in(e->seq, t->snd_una, t->snd_max - t->snd_una)) {
		counter_add(&env->stats.icmp_stale, 1);	/* RFC 5927 4.1 */
		return;
	}
	if (e->type == ICMP_UNREACHABLE && e->code == UNREACHABLE_FRAG_NEEDED)
		frag_needed(env, t, e->mtu);
	else
		unreachable(env, t, e);
}
