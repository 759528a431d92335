/*
 * tcp_set.c - options of sockets and listeners
 *
 *	tcb.flags	what every segment asks for: one bit each
 *	tcb_set		the rest, in records that are shared (tcb.h): the
 *			listener's is that of all it accepts, until one of them
 *			changes something and gets a copy
 *
 * An option is a row of `numbers`: where it lies, and what it may be.
 */
#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "shm/cmd.h"
#include "tcp/env.h"

#define TTL_DEFAULT	64
#define CAP_LEAST	4096	/* bytes; less could not hold a segment */
#define LINGER2_MOST_S	120	/* more is as none, as Linux has it */
#define TOS_ECN		3	/* congestion control's bits */

/* ---- records ---- */

void set_init(struct tcp_env *env)
{
	struct tcb_set *standard = pool_at(&env->sets, 0);

	*standard = (struct tcb_set){ .ttl = TTL_DEFAULT };
}

uint32_t set_share(struct tcp_env *env, uint32_t set)
{
	if (set)
		((struct tcb_set *)pool_at(&env->sets, set))->refs++;
	return set;
}

void set_unref(struct tcp_env *env, uint32_t set)
{
	struct tcb_set *s = pool_at(&env->sets, set);

	if (!set)
		return;
	ENSURE(s->refs, "a record of settings has users");
	if (--s->refs == 0)
		pool_put(&env->sets, set);
}

/* The record behind @*set for writing: its own.  NULL: no memory. */
static struct tcb_set *set_own(struct tcp_env *env, uint32_t *set)
{
	struct tcb_set *s = pool_at(&env->sets, *set), *copy;
	uint32_t i;

	if (*set && s->refs == 1)
		return s;
	i = pool_get(&env->sets);
	if (!i)
		return NULL;
	copy = pool_at(&env->sets, i);
	*copy = *s;
	copy->refs = 1;
	set_unref(env, *set);
	*set = i;
	return copy;
}

/* ---- values ---- */

struct number {
	uint8_t at, bytes;		/* in struct tcb_set; 0 bytes: none */
	int32_t least, most;
};

#define N(field, first, last) { offsetof(struct tcb_set, field), \
	sizeof(((struct tcb_set *)0)->field), first, last }

static const struct number numbers[CMD_OPTS] = {
	[CMD_OPT_KEEPIDLE_S] = N(keep_idle_s, 1, 32767),
	[CMD_OPT_KEEPINTVL_S] = N(keep_intvl_s, 1, 32767),
	[CMD_OPT_KEEPCNT] = N(keep_cnt, 1, 127),
	[CMD_OPT_SNDBUF] = N(snd_cap, 1, INT32_MAX),
	[CMD_OPT_RCVBUF] = N(rcv_cap, 1, INT32_MAX),
	[CMD_OPT_USER_TIMEOUT_MS] = N(user_timeout_ms, 0, INT32_MAX),
	[CMD_OPT_LINGER_S] = N(linger0, -1, INT32_MAX),
	[CMD_OPT_MAXSEG] = N(maxseg, 0, 32767),
	[CMD_OPT_NOTSENT_LOWAT] = N(notsent_lowat, INT32_MIN, INT32_MAX),
	[CMD_OPT_WINDOW_CLAMP] = N(window_clamp, 0, INT32_MAX),
	[CMD_OPT_SYNCNT] = N(syn_count, 1, 127),
	[CMD_OPT_LINGER2_S] = N(linger2_ms, INT32_MIN, INT32_MAX),
	[CMD_OPT_DEFER_ACCEPT_S] = N(defer_accept_s, 0, 255),
	[CMD_OPT_TOS] = N(tos, 0, 255),
	[CMD_OPT_TTL] = N(ttl, 1, 255),
	[CMD_OPT_MTU_DISCOVER] = N(mtu_discover, 0, 5),
	[CMD_OPT_PORT] = N(port, 0, TCP_PORTS_MAX),
	[CMD_OPT_FASTOPEN] = N(fastopen, 0, UINT16_MAX),
	[CMD_OPT_CONGESTION] = N(cc, 0, CMD_CCS - 1),
	[CMD_OPT_MAX_PACING] = N(pacing_rate, INT32_MIN, INT32_MAX),
};

/* What is stored for @value. */
static uint32_t stored(uint32_t name, int32_t value)
{
	switch (name) {
	case CMD_OPT_SNDBUF:
	case CMD_OPT_RCVBUF:
		return (uint32_t)(value < CAP_LEAST ? CAP_LEAST : value);
	case CMD_OPT_WINDOW_CLAMP:
		return (uint32_t)(value && value < CAP_LEAST ? CAP_LEAST : value);
	case CMD_OPT_MAXSEG:
		return (uint32_t)(value && value < TCP_MSS_FLOOR ?
				  TCP_MSS_FLOOR : value);
	case CMD_OPT_LINGER_S:
		return value == 0;
	case CMD_OPT_LINGER2_S:
		return value < 0 || value > LINGER2_MOST_S ? UINT32_MAX :
						(uint32_t)value * 1000;
	case CMD_OPT_MTU_DISCOVER:
		return (uint32_t)value + 1;
	case CMD_OPT_TOS:
		return (uint32_t)value & ~(uint32_t)TOS_ECN;
	default:
		return (uint32_t)value;
	}
}

static void put(void *at, uint8_t bytes, uint32_t value)
{
	uint8_t v8 = (uint8_t)value;
	uint16_t v16 = (uint16_t)value;

	if (bytes == 1)
		memcpy(at, &v8, 1);
	else if (bytes == 2)
		memcpy(at, &v16, 2);
	else
		memcpy(at, &value, 4);
}

static int set_number(struct tcp_env *env, uint32_t *set, uint32_t name,
		      int32_t value)
{
	const struct number *n = &numbers[name];
	struct tcb_set *s;

	if (!n->bytes)
		return -ENOPROTOOPT;
	if (value < n->least || value > n->most)
		return -EINVAL;
	if (name == CMD_OPT_CONGESTION && value && !cc_at((uint32_t)value))
		return -EINVAL;
	s = set_own(env, set);
	if (!s)
		return -ENOBUFS;
	put((uint8_t *)s + n->at, n->bytes, stored(name, value));
	return 0;
}

static uint32_t flag_of(uint32_t name)
{
	switch (name) {
	case CMD_OPT_NODELAY:
		return T_NODELAY;
	case CMD_OPT_CORK:
		return T_CORK;
	case CMD_OPT_KEEPALIVE:
		return T_KEEPALIVE;
	case CMD_OPT_QUICKACK:
		return T_QUICKACK;
	default:
		return 0;
	}
}

/* ---- sockets ---- */

/* What a new value means now. */
static void option_effect(struct tcp_env *env, struct tcb *t, uint32_t name)
{
	switch (name) {
	case CMD_OPT_SNDBUF:
		send_limit_update(env, t);
		break;
	case CMD_OPT_QUICKACK:
		if ((t->flags & T_QUICKACK) && (t->flags & T_DELACK))
			t->flags |= T_ACK_NOW;
		break;
	case CMD_OPT_MAXSEG:
		out_set_mtu(env, t, 0);
		break;
	case CMD_OPT_CONGESTION:
		cong_choose(env, t, set_of(env, t)->cc);
		break;
	default:
		break;
	}
	if (t->state != TCP_CLOSED && t->state != TCP_TIME_WAIT) {
		timer_idle_start(env, t);
		conn_dirty(env, t);	/* no longer held back, perhaps */
	}
}

int tcp_option(struct tcp_env *env, uint32_t conn, uint32_t name, int32_t value,
	       mono_t now)
{
	struct tcb *t = tcb_at(env, conn);
	uint32_t flag = flag_of(name);
	int err = 0;

	env->now = now;
	if (name >= CMD_OPTS)
		return -ENOPROTOOPT;
	if (flag)
		t->flags = value ? t->flags | flag : t->flags & ~flag;
	else
		err = set_number(env, &t->set, name, value);
	if (!err)
		option_effect(env, t, name);
	return err;
}

/* ---- listeners ---- */

int tcp_listener_option(struct tcp_env *env, uint32_t listener, uint32_t name,
			int32_t value)
{
	struct listener *l = &env->listeners[listener];
	uint32_t flag = flag_of(name);

	ENSURE(l->used, "options are a listener's while it is there");
	if (name >= CMD_OPTS)
		return -ENOPROTOOPT;
	if (!flag)
		return set_number(env, &l->set, name, value);
	l->flags = value ? l->flags | flag : l->flags & ~flag;
	return 0;
}
