/* net.c - making and configuring a struct net; names, counters, time */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/siphash.h"
#include "net/net_state.h"

static const char *const drop_names[] = {
	[NET_DROP_NONE] = "none",
	[NET_DROP_SHORT] = "short",
	[NET_DROP_NOT_OURS] = "not-ours",
	[NET_DROP_ETHERTYPE] = "ethertype",
	[NET_DROP_VLAN] = "vlan",
	[NET_DROP_ARP_BAD] = "arp-bad",
	[NET_DROP_ARP_CONFLICT] = "arp-conflict",
	[NET_DROP_IP_HEADER] = "ip-header",
	[NET_DROP_IP_CSUM] = "ip-checksum",
	[NET_DROP_IP_SOURCE] = "ip-source",
	[NET_DROP_IP_PROTO] = "ip-protocol",
	[NET_DROP_FRAG_BAD] = "fragment-bad",
	[NET_DROP_FRAG_FULL] = "fragment-full",
	[NET_DROP_FRAG_TIMEOUT] = "fragment-timeout",
	[NET_DROP_ICMP_BAD] = "icmp-bad",
	[NET_DROP_ICMP_OTHER] = "icmp-other",
	[NET_DROP_ICMP_RATE] = "icmp-rate",
	[NET_DROP_NO_ROUTE] = "no-route",
	[NET_DROP_NEIGH_FAILED] = "neighbour-failed",
	[NET_DROP_NEIGH_QUEUE] = "neighbour-queue",
};
_Static_assert(sizeof(drop_names) / sizeof(*drop_names) == NET_DROPS,
	       "a name for every reason");

const char *net_drop_name(enum net_drop d)
{
	return (unsigned int)d < NET_DROPS ? drop_names[d] : "unknown";
}

int net_init(struct net **out, const uint8_t secret[16])
{
	static const char purpose[] = "ip id";
	struct net *n = calloc(1, sizeof(*n));

	*out = NULL;
	if (!n)
		return -ENOMEM;
	memcpy(n->secret, secret, sizeof(n->secret));
	n->ip_id = (uint16_t)siphash(secret, purpose, sizeof(purpose));
	n->epoch = 1;		/* a zeroed path is never valid */
	if (neigh_init(&n->neigh, (mono_t){ 0 }) != 0 ||
	    reass_init(&n->reass) != 0) {
		net_fini(n);
		return -ENOMEM;
	}
	*out = n;
	return 0;
}

/* Frames that still wait are their ports': take them by net_failed() first. */
void net_fini(struct net *n)
{
	if (!n)
		return;
	neigh_fini(&n->neigh);
	reass_fini(&n->reass);
	free(n);
}

int net_set_port(struct net *n, uint8_t id, const uint8_t mac[6], uint16_t mtu)
{
	if (id >= NET_PORTS_MAX)
		return -EINVAL;
	memcpy(n->port[id].mac, mac, sizeof(n->port[id].mac));
	n->port[id].mtu = mtu;
	n->port[id].present = true;
	n->epoch++;
	return 0;
}

int net_set_addrs(struct net *n, const struct net_addr *a, unsigned int count)
{
	unsigned int i;

	if (count > NET_ADDRS_MAX)
		return -ENOSPC;
	for (i = 0; i < count; i++)
		if (a[i].prefix > 128 || a[i].port >= NET_PORTS_MAX ||
		    addr_is_any(&a[i].addr))
			return -EINVAL;
	if (count)
		memcpy(n->addr, a, count * sizeof(*a));
	n->addr_count = count;
	n->announce = 0;
	route_rebuild(n);
	return 0;
}

int net_set_routes(struct net *n, const struct net_route *r,
		   unsigned int count)
{
	unsigned int i;

	if (count > NET_ROUTES_MAX)
		return -ENOSPC;
	for (i = 0; i < count; i++)
		if (r[i].prefix > 128 || r[i].port >= NET_PORTS_MAX)
			return -EINVAL;
	if (count)
		memcpy(n->route, r, count * sizeof(*r));
	n->route_count = count;
	route_rebuild(n);
	return 0;
}

struct net_stats *net_stats(struct net *n)
{
	return &n->stats;
}

void net_advance(struct net *n, mono_t now)
{
	n->now = now;
	neigh_advance(n, now);
	reass_advance(n, now);
}

static mono_t earlier(mono_t a, mono_t b)
{
	return mono_before(a, b) ? a : b;
}

/* Requests that wait for net_request() are due at once. */
mono_t net_next_due(const struct net *n)
{
	mono_t due = earlier(wheel_next_due(&n->neigh.wheel),
			     reass_next_due(n));

	if (n->announce)
		due = earlier(due, n->announce_at);
	if (n->neigh.ask_count || n->neigh.ready.first || n->neigh.failed.first)
		due = earlier(due, n->now);
	return due;
}
