/*
 * tcp_fastopen.c - data with the SYN (RFC 7413)
 *
 *	client: first connect    SYN, asks ------------->
 *	                         <------------ SYN-ACK with a cookie -> tcp_path
 *	        next connects    SYN, cookie, data ----->  tcb at once: the
 *	                         <- SYN-ACK of the data, perhaps the answer too
 *
 * A cookie is a keyed hash of the peer's address: it proves that the peer was
 * there once, so that nobody lets us work for an address that is not his.
 * All engines have the same key.  The half day that it is of is part of what is
 * hashed, so that a cookie is good for one half day or two (4.1.2); where the
 * administrator gave the key, other hosts have it too, and a cookie is good while
 * they keep it.  Off where a listener does not ask for it
 * (TCP_FASTOPEN), and no more connections than it says are begun this way
 * before their handshake is complete; further SYNs go the usual way.
 *
 * A SYN with data that nobody answers may have met a box that swallows such:
 * that host is then left alone for a minute, two, four ... (RFC 7413 4.1.3.1).
 */
#include <string.h>

#include "base/siphash.h"
#include "tcp/env.h"

#define PAUSE_MS	60000u
#define PAUSES		6	/* doublings: about an hour */
#define TFO_MSS		536	/* when the peer's is not known */
#define PERIOD_US	(UINT64_C(43200) * 1000000)

void tfo_init(struct tcp_env *env)
{
	static const uint8_t none[16];
	uint64_t part[2];

	if (memcmp(env->cfg.tfo_key, none, sizeof(none)))
		return;
	part[0] = siphash(env->cfg.secret, "fastopen key 0", 14);
	part[1] = siphash(env->cfg.secret, "fastopen key 1", 14);
	memcpy(env->cfg.tfo_key, part, sizeof(part));
	env->tfo_periods = true;
}

/* ---- server ---- */

static uint64_t cookie_of(const struct tcp_env *env,
			  const struct flow_tuple *tuple, uint64_t period)
{
	struct { struct ip_addr remote, local; uint64_t period; } in = {
		tuple->remote, tuple->local, period };

	return siphash(env->cfg.tfo_key, &in, sizeof(in));
}

static uint64_t period_of(const struct tcp_env *env)
{
	return env->tfo_periods ? env->now.us / PERIOD_US + 1 : 0;
}

void tfo_cookie(const struct tcp_env *env, const struct flow_tuple *tuple,
		struct tcp_opts *o)
{
	uint64_t mac = cookie_of(env, tuple, period_of(env));

	memcpy(o->tfo, &mac, sizeof(mac));
	o->tfo_len = sizeof(mac);
	o->has |= OPT_TFO;
}

static bool cookie_good(const struct tcp_env *env,
			const struct flow_tuple *tuple, const struct seg *s)
{
	uint64_t period = period_of(env), mac;

	if (s->opt.tfo_len != sizeof(mac))
		return false;
	memcpy(&mac, s->opt.tfo, sizeof(mac));
	return mac == cookie_of(env, tuple, period) ||
	       (period && mac == cookie_of(env, tuple, period - 1));
}

enum tfo_answer tfo_syn(struct tcp_env *env, uint32_t listener,
			const struct flow_tuple *tuple, const struct seg *s)
{
	const struct listener *l = &env->listeners[listener];
	const struct tcb_set *set = pool_at(&env->sets, l->set);

	if (!set->fastopen || !(s->opt.has & OPT_TFO))
		return TFO_NO;
	if (!s->opt.tfo_len) {
		counter_add(&env->stats.tfo_asked, 1);
		return TFO_COOKIE;
	}
	if (!cookie_good(env, tuple, s)) {
		counter_add(&env->stats.tfo_bad, 1);
		return TFO_COOKIE;
	}
	if (!s->len)
		return TFO_NO;
	if (l->tfo_pending >= set->fastopen) {
		counter_add(&env->stats.tfo_full, 1);
		return TFO_NO;
	}
	return TFO_DATA;
}

void tfo_begun(struct tcp_env *env, struct tcb *t)
{
	t->flags |= T_TFO;
	env->listeners[t->listener].tfo_pending++;
	counter_add(&env->stats.tfo_passive, 1);
}

void tfo_over(struct tcp_env *env, struct tcb *t)
{
	struct listener *l = &env->listeners[t->listener];

	if (!(t->flags & T_TFO))
		return;
	t->flags &= ~T_TFO;
	/* its listener may be gone, and another have its place */
	if (t->listener && l->tfo_pending)
		l->tfo_pending--;
}

/* ---- client ---- */

/* How much goes with the SYN; the options are filled already. */
static uint32_t syn_data(const struct tcb *t, const struct path_rec *p,
			 uint32_t opt_len)
{
	uint32_t most = p->tfo_mss ? p->tfo_mss : TFO_MSS, queued = snd_queued(t);

	if (most > t->mss)
		most = t->mss;
	most = most > opt_len ? most - opt_len : 0;
	return queued < most ? queued : most;
}

uint32_t tfo_connect(struct tcp_env *env, struct tcb *t, struct tcp_opts *o)
{
	const struct path_rec *p = path_find(env, &t->tuple.remote);
	uint8_t bytes[OPT_BYTES_MAX];
	uint32_t opt_len;

	if (p && p->tfo_tries &&
	    (int32_t)(now_ms(env) - p->tfo_until_ms) < 0) {
		counter_add(&env->stats.tfo_paused, 1);
		t->flags &= ~T_TFO;
		return 0;
	}
	o->has |= OPT_TFO;
	o->tfo_len = 0;
	if (!p || !p->tfo_len)
		return 0;		/* asks for a cookie */
	opt_len = tcp_opt_build(bytes, o);	/* the request, 4 bytes, is in it */
	if (opt_len + p->tfo_len > OPT_BYTES_MAX) {
		o->has &= (uint8_t)~OPT_TFO;	/* no room for so long a cookie */
		t->flags &= ~T_TFO;
		return 0;
	}
	o->tfo_len = p->tfo_len;
	memcpy(o->tfo, p->tfo_cookie, p->tfo_len);
	counter_add(&env->stats.tfo_active, 1);
	return syn_data(t, p, tcp_opt_build(bytes, o));
}

void tfo_learn(struct tcp_env *env, struct tcb *t, const struct seg *s)
{
	struct path_rec *p;

	if (!(t->flags & T_TFO))
		return;
	p = path_get(env, &t->tuple.remote);
	if (!t->retries)		/* it was the first SYN that he answers */
		p->tfo_tries = 0;
	if (!(s->opt.has & OPT_TFO) || s->opt.tfo_len < 4)
		return;
	p->tfo_len = s->opt.tfo_len;
	memcpy(p->tfo_cookie, s->opt.tfo, s->opt.tfo_len);
	p->tfo_mss = t->peer_mss;
}

void tfo_settle(struct tcp_env *env, struct tcb *t)
{
	if (!(t->flags & T_TFO))
		return;
	t->flags &= ~T_TFO;
	if (t->snd_una == t->snd_max)
		return;
	counter_add(&env->stats.tfo_refused, 1);
	send_rewind(env, t);			/* all again, in the usual way */
	conn_dirty(env, t);
}

void tfo_unanswered(struct tcp_env *env, struct tcb *t)
{
	struct path_rec *p;

	if (!(t->flags & T_TFO) || t->retries)
		return;
	p = path_get(env, &t->tuple.remote);
	p->tfo_until_ms = deadline_ms(env, PAUSE_MS << p->tfo_tries);
	if (p->tfo_tries < PAUSES)
		p->tfo_tries++;
	counter_add(&env->stats.tfo_black_holes, 1);
}
