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

#define PMTU_FLOOR	552	/* less is not believed, as Linux does */

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

	if (mtu < PMTU_FLOOR)
		mtu = PMTU_FLOOR;
	if (t->pmtu && t->pmtu <= mtu)
		return;
	t->pmtu = mtu;
	out_set_mtu(env, t, 0);
	if (t->mss >= before || t->state < TCP_ESTABLISHED)
		return;
	send_rewind(t);
	conn_dirty(env, t);
}

void tcp_icmp_in(struct tcp_env *env, const struct tcp_icmp *e, mono_t now)
{
	struct flow_tuple tuple = { .remote = e->dst, .local = e->src,
				    .rport = e->dport, .lport = e->sport };
	uint32_t ref = flow_find(env, &tuple, flow_hash(env, &tuple));
	struct tcb *t;

	env->now = now;
	if (flow_kind(ref) != FLOW_TCB ||
	    (e->type != ICMP_UNREACHABLE && e->type != ICMP_TIME_EXCEEDED))
		return;
	t = tcb_at(env, flow_index(ref));
	if (!seq_in(e->seq, t->snd_una, t->snd_max - t->snd_una))
		return;
	if (e->type == ICMP_UNREACHABLE && e->code == UNREACHABLE_FRAG_NEEDED) {
		frag_needed(env, t, e->mtu);
		return;
	}
	t->soft_error = (uint8_t)errno_of(e);
	/* They end only what is not yet synchronized (RFC 5927 5.2); there an
	 * application is better told at once that nobody can be reached. */
	if (t->state == TCP_SYN_SENT && e->type == ICMP_UNREACHABLE) {
		counter_add(&env->stats.connect_failures, 1);
		conn_end(env, t, t->soft_error);
	}
}
