/*
 * tcp_pmtu.c - how large a datagram may be on the way to the peer
 *
 *	ICMP "fragmentation needed"  -> pmtu falls to what it says (RFC 1191),
 *	                                or to the next plateau when it says
 *	                                nothing; checked by tcp_icmp.c
 *	large segments time out, again and again -> a black hole (RFC 2923 2.1):
 *	                                pmtu falls to a base that always works
 *	ten minutes later, or at once after a black hole -> the search upwards
 *	                                (RFC 4821, 8899): one larger segment of
 *	                                real data at a time
 *
 *	pmtu          pmtu_high
 *	  |   probe       |      known to work .. not known .. known not to
 *	  v     v         v
 *	1200  1350      1499
 *
 * A probe that is lost says something about its size, not about congestion
 * (RFC 4821 7.6.2): the window stays.  pmtu 0 is: as large as the link.
 */
#include <netinet/in.h>

#include "tcp/env.h"

#define BASE_MTU	1200	/* RFC 8899 5.1.2, BASE_PLPMTU */
#define BLACK_HOLE	2	/* timeouts in a row */
#define SEARCH_END	16	/* bytes: near enough */
#define MAX_PROBES	2	/* of a size: a loss may be another's */
#define PROBE_BEHIND	4	/* segments that follow, so that a loss is seen */

/* RFC 1191 7.1. */
static const uint16_t plateaus[] = {
	65535, 32000, 17914, 8166, 4352, 2002, 1492, 1006, 508, 296, 68
};

static uint16_t plateau_below(uint16_t mtu)
{
	for (uint32_t i = 0; i < sizeof(plateaus) / sizeof(plateaus[0]); i++)
		if (plateaus[i] < mtu)
			return plateaus[i];
	return 68;
}

static uint16_t current(const struct tcb *t)
{
	return t->pmtu && t->pmtu < t->mtu ? t->pmtu : t->mtu;
}

bool pmtu_df(const struct tcp_env *env, const struct tcb *t)
{
	uint8_t how = set_of(env, t)->mtu_discover;

	if (t->pmtu && t->pmtu <= env->cfg.min_pmtu)
		return false;		/* less than we believe: fragments */
	return !how || how - 1 == IP_PMTUDISC_WANT ||
	       how - 1 == IP_PMTUDISC_DO || how - 1 == IP_PMTUDISC_PROBE;
}

/* IP_PMTUDISC_DONT, _PROBE, _INTERFACE and _OMIT do not listen to routers. */
static bool listens(const struct tcp_env *env, const struct tcb *t)
{
	uint8_t how = set_of(env, t)->mtu_discover;

	return !how || how - 1 == IP_PMTUDISC_WANT || how - 1 == IP_PMTUDISC_DO;
}

static void lower(struct tcp_env *env, struct tcb *t, uint16_t mtu)
{
	t->pmtu = mtu;
	t->pmtu_until_ms = deadline_ms(env, env->cfg.pmtu_expires_ms);
	out_set_mtu(env, t, 0);
}

/* ---- what routers say ---- */

bool pmtu_told(struct tcp_env *env, struct tcb *t, uint16_t mtu)
{
	struct path_rec *p;

	if (!listens(env, t))
		return false;
	if (mtu == 0)			/* RFC 1191 5: an old router */
		mtu = plateau_below(current(t));
	if (mtu >= current(t))
		return false;		/* nothing that we send is larger */
	if (mtu < env->cfg.min_pmtu)
		mtu = (uint16_t)env->cfg.min_pmtu;
	p = path_get(env, &t->tuple.remote);
	p->pmtu = mtu;
	p->pmtu_until_ms = deadline_ms(env, env->cfg.pmtu_expires_ms);
	t->pmtu_high = 0;
	lower(env, t, mtu);
	return true;
}

void pmtu_begin(struct tcp_env *env, struct tcb *t)
{
	struct path_rec *p = path_find(env, &t->tuple.remote);

	if (!p || !p->pmtu || !listens(env, t))
		return;
	if ((int32_t)(now_ms(env) - p->pmtu_until_ms) >= 0) {
		p->pmtu = 0;
		return;
	}
	t->pmtu = p->pmtu;
	t->pmtu_until_ms = p->pmtu_until_ms;
}

/* ---- black holes ---- */

void pmtu_timeout(struct tcp_env *env, struct tcb *t)
{
	uint16_t mtu = current(t);

	pmtu_lost(env, t);
	if (env->cfg.mtu_probing == TCP_PROBING_OFF ||
	    t->retries + 1 < BLACK_HOLE || (t->retries + 1) % BLACK_HOLE ||
	    snd_queued(t) < t->mss || mtu <= env->cfg.min_pmtu)
		return;
	t->pmtu_high = mtu;		/* RFC 8899 5.1.4: search from below */
	lower(env, t, mtu > BASE_MTU ? BASE_MTU : (uint16_t)env->cfg.min_pmtu);
	counter_add(&env->stats.pmtu_black_holes, 1);
}

/* ---- the search ---- */

static uint32_t headers(const struct tcb *t)
{
	return (addr_is_v4(&t->tuple.remote) ? 40u : 60u) +
	       ((t->flags & T_TS) ? OPT_TS_BYTES : 0u);
}

/* The first probe is for all that is possible: most often it was no hole. */
static uint16_t next_size(const struct tcb *t)
{
	if (t->pmtu_high == t->mtu)
		return t->pmtu_high;
	return (uint16_t)(t->pmtu + (t->pmtu_high - t->pmtu + 1) / 2);
}

static void search_done(struct tcp_env *env, struct tcb *t)
{
	t->pmtu_high = 0;
	t->pmtu_until_ms = deadline_ms(env, env->cfg.pmtu_expires_ms);
	if (t->pmtu >= t->mtu)
		t->pmtu = 0;
}

static void search_begin(struct tcp_env *env, struct tcb *t)
{
	if (env->cfg.mtu_probing == TCP_PROBING_OFF) {
		t->pmtu = 0;		/* RFC 1191 6.3 */
		out_set_mtu(env, t, 0);
	} else if (t->pmtu < t->mtu) {
		t->pmtu_high = t->mtu;
	}
}

/* Nothing but new data in order is under way, and enough of it waits. */
static bool can_probe(const struct tcp_env *env, const struct tcb *t,
		      uint32_t len)
{
	uint32_t flight = t->snd_nxt - t->snd_una;
	uint32_t need = len + PROBE_BEHIND * t->mss;

	return t->state == TCP_ESTABLISHED && t->snd_nxt == t->snd_max &&
	       !(t->flags & (T_RECOVERY | T_REXMIT)) && !t->dupacks &&
	       len <= t->peer_mss && t->snd_end - t->snd_nxt >= need &&
	       flight + need <= t->cwnd && flight + need <= t->snd_wnd &&
	       (!set_of(env, t)->maxseg || len <= set_of(env, t)->maxseg);
}

uint32_t pmtu_probe(struct tcp_env *env, struct tcb *t)
{
	struct tcb_ext *x;
	uint32_t len;
	uint16_t size;

	if (!t->pmtu)
		return 0;
	if (!t->pmtu_high && (int32_t)(now_ms(env) - t->pmtu_until_ms) >= 0)
		search_begin(env, t);
	if (!t->pmtu_high)
		return 0;
	if (t->pmtu_high > t->mtu)
		t->pmtu_high = t->mtu;
	if (t->pmtu_high < t->pmtu + SEARCH_END) {
		search_done(env, t);
		out_set_mtu(env, t, 0);
		return 0;
	}
	x = conn_ext(env, t);
	size = next_size(t);
	len = size - headers(t);
	if (x->pmtu_probe || !can_probe(env, t, len))
		return 0;
	x->pmtu_probe = size;
	x->pmtu_seq = t->snd_nxt;
	counter_add(&env->stats.pmtu_probes, 1);
	return len;
}

void pmtu_acked(struct tcp_env *env, struct tcb *t)
{
	struct tcb_ext *x = ext_of(env, t);

	if (!x || !x->pmtu_probe ||
	    seq_lt(t->snd_una, x->pmtu_seq + x->pmtu_probe - headers(t)))
		return;
	if (x->pmtu_probe > t->pmtu) {
		t->pmtu = x->pmtu_probe;
		counter_add(&env->stats.pmtu_probes_good, 1);
	}
	x->pmtu_probe = 0;
	x->pmtu_fails = 0;
	if (t->pmtu >= t->pmtu_high)
		search_done(env, t);
	out_set_mtu(env, t, 0);
}

bool pmtu_lost(struct tcp_env *env, struct tcb *t)
{
	struct tcb_ext *x = ext_of(env, t);

	if (!x || !x->pmtu_probe)
		return false;
	if (t->snd_una != x->pmtu_seq) {	/* something else was lost */
		x->pmtu_probe = 0;
		return false;
	}
	if (++x->pmtu_fails >= MAX_PROBES) {
		t->pmtu_high = (uint16_t)(x->pmtu_probe - 1);
		x->pmtu_fails = 0;
	}
	x->pmtu_probe = 0;
	counter_add(&env->stats.pmtu_probes_lost, 1);
	return true;
}
