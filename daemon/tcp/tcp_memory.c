/*
 * tcp_memory.c - extents are one pool, and no client may use it up
 *
 *	free extents	all -------- 1/4 -------- 1/8 -------- 1/16 -- 0
 *	receiving	     anybody |  within its share  |   nobody
 *	sending		     anybody |      anybody       | within its share
 *	new connections	                                  yes     | no
 *
 * A share is 1/8 of the pool divided by those who hold extents of that kind.
 * Sending ends last, since it is what frees memory; and as long as each keeps
 * to its share what is left suffices for all of them.
 *
 * Who may not receive offers no more window (it is never taken back, RFC 9293
 * 3.8.6), and two segments once everything is read: nothing stalls for good.
 * Who may not send has a send limit of a block, and the engine leaves its
 * commands where they are until there is room: it stalls itself alone.  What
 * was acknowledged, selectively too, is kept.
 */
#include "tcp/env.h"

#define SQUEEZED_SEND	4096u	/* bytes a connection */

static uint32_t free_extents(const struct tcp_env *env)
{
	return env->extents.count - 1 - env->extents.used;
}

static void hold(uint32_t *held, uint32_t *holders, int32_t by)
{
	uint32_t before = *held;

	*held = before + (uint32_t)by;
	if (!before && *held)
		(*holders)++;
	else if (before && !*held)
		(*holders)--;
}

void mem_hold(struct tcp_env *env, uint32_t client, int32_t rx, int32_t tx)
{
	hold(&env->held_rx[client], &env->holders_rx, rx);
	hold(&env->held_tx[client], &env->holders_tx, tx);
}

static bool in_share(const struct tcp_env *env, uint32_t held, uint32_t holders)
{
	return held < env->extent_reserve / (holders ? holders : 1);
}

bool mem_may_receive(const struct tcp_env *env, uint32_t client)
{
	uint32_t left = free_extents(env);

	return left > 2 * env->extent_reserve ||
	       (left > env->extent_reserve &&
		in_share(env, env->held_rx[client], env->holders_rx));
}

bool tcp_may_send(const struct tcp_env *env, uint32_t client)
{
	return free_extents(env) > env->extent_reserve ||
	       in_share(env, env->held_tx[client], env->holders_tx);
}

bool mem_may_open(const struct tcp_env *env)
{
	return free_extents(env) > env->extent_reserve / 2;
}

uint32_t mem_send_limit(const struct tcp_env *env, const struct tcb *t,
			uint32_t limit)
{
	if (limit <= SQUEEZED_SEND || tcp_may_send(env, t->user.client))
		return limit;
	return SQUEEZED_SEND;
}

uint32_t mem_window(const struct tcp_env *env, const struct tcb *t,
		    uint32_t window, uint32_t queued)
{
	uint32_t least = queued ? 0 : 2u * t->rcv_mss;

	if (window <= least || mem_may_receive(env, t->user.client))
		return window;
	return least;
}
