/*
 * policy.c - what programs may do, and whose SYNs are taken
 *
 * Control decides what needs a name (who may attach, where may be listened);
 * what happens at the pace of connections is decided here: the address and TCP
 * port a connection comes from, and sources of SYNs.
 */
#include <arpa/inet.h>
#include <string.h>

#include "engine/engine_state.h"

bool engine_policy_addr(const struct engine_policy *p, const struct ip_addr *a)
{
	for (uint32_t i = 0; i < p->addr_count; i++)
		if (addr_eq(&p->addrs[i], a))
			return true;
	return p->addr_count == 0;
}

bool engine_policy_port(const struct engine_policy *p, uint16_t port)
{
	for (uint32_t i = 0; i < p->range_count; i++)
		if (port >= p->ranges[i].first && port <= p->ranges[i].last)
			return true;
	return p->range_count == 0;
}

/* ---- sources ---- */

static bool in_nets(const struct engine_access *a, const struct ip_addr *src)
{
	for (uint32_t i = 0; i < a->count && i < ENGINE_NETS_MAX; i++)
		if (addr_in_prefix(src, &a->nets[i], a->prefix[i]))
			return true;
	return false;
}

bool engine_access_ok(const struct engine_access *list, uint32_t count,
		      const struct ip_addr *src, uint16_t port)
{
	bool limited = false, allowed = false;

	for (uint32_t i = 0; i < count; i++) {
		const struct engine_access *a = &list[i];

		if (a->port && a->port != port)
			continue;
		if (!a->allow && in_nets(a, src))
			return false;
		limited |= a->allow;
		allowed |= a->allow && in_nets(a, src);
	}
	return !limited || allowed;
}

void access_set(struct engine *e, const struct engine_access *list,
		uint32_t count)
{
	if (count > ENGINE_ACCESS_MAX)
		count = ENGINE_ACCESS_MAX;
	memcpy(e->access, list, count * sizeof(*list));
	e->access_count = count;
}

/* Only a SYN begins something; what was allowed then goes on. */
bool access_denies(const struct engine *e, const struct net_rx *in)
{
	const uint8_t flags = in->l4_len > 13 ? in->l4[13] : 0;
	uint16_t port;

	if ((flags & (TCP_SYN | TCP_ACK)) != TCP_SYN)
		return false;
	memcpy(&port, in->l4 + 2, sizeof(port));
	return !engine_access_ok(e->access, e->access_count, &in->src,
				 ntohs(port));
}
