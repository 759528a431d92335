/*
 * tcp_path.c - what is known of hosts beyond one connection's life
 *
 *	address --keyed hash--> a set of 4 records, the least used one goes
 *
 * Path MTU (RFC 1191 6.3) and Fast Open's cookies (RFC 7413 4.1.3).  A cache:
 * everything in it may vanish at any moment, and costs a round trip then.
 */
#include <string.h>

#include "base/siphash.h"
#include "tcp/env.h"

#define WAYS	4u

static struct path_rec *set_at(const struct tcp_env *env,
			       const struct ip_addr *remote)
{
	struct { struct ip_addr addr; uint32_t use; } in;

	memset(&in, 0, sizeof(in));
	in.addr = *remote;
	in.use = 0x70617468;	/* another function than the flow table's */
	return &env->paths[(uint32_t)siphash(env->cfg.secret, &in, sizeof(in)) &
			   (PATH_RECS - 1) & ~(WAYS - 1)];
}

struct path_rec *path_find(const struct tcp_env *env,
			   const struct ip_addr *remote)
{
	struct path_rec *set = set_at(env, remote);

	for (uint32_t i = 0; i < WAYS; i++)
		if (set[i].used && addr_eq(&set[i].remote, remote))
			return &set[i];
	return NULL;
}

struct path_rec *path_get(struct tcp_env *env, const struct ip_addr *remote)
{
	struct path_rec *set = set_at(env, remote), *oldest = set;
	struct path_rec *found = path_find(env, remote);

	if (found) {
		found->used_ms = now_ms(env);
		return found;
	}
	for (uint32_t i = 0; i < WAYS; i++) {
		if (!set[i].used) {
			oldest = &set[i];
			break;
		}
		if ((int32_t)(set[i].used_ms - oldest->used_ms) < 0)
			oldest = &set[i];
	}
	*oldest = (struct path_rec){ .remote = *remote, .used = 1,
				     .used_ms = now_ms(env) };
	return oldest;
}
