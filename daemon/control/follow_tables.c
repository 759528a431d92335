/* What rtnetlink says, put into tables (follow.h).  rtnetlink(7). */
#include "control/follow.h"

#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

#include "control/netlink.h"

/* Of a device's number; -1: not ours. */
static int port_of(const struct follow_tables *t, uint32_t ifindex)
{
	for (int i = 0; i < PORT_MAX; i++)
		if (ifindex && t->ports[i].ifindex == ifindex)
			return i;
	return -1;
}

static bool addr_attr(const struct nlmsghdr *m, size_t body, uint16_t type,
		      struct ip_addr *out)
{
	const void *at = netlink_attr(m, body, type, 4);
	uint32_t v4;

	if (!at)
		return false;
	memcpy(&v4, at, sizeof(v4));
	*out = addr_from_v4(v4);
	return true;
}

/* ---- routes ---- */

static void drop_route(struct follow_tables *t, const struct net_route *r)
{
	for (unsigned int i = 0; i < t->route_count; i++) {
		const struct net_route *old = &t->routes[i];

		if (old->prefix != r->prefix || old->port != r->port ||
		    old->metric != r->metric || !addr_eq(&old->net, &r->net))
			continue;
		t->routes[i] = t->routes[--t->route_count];
		t->changed = true;
		return;
	}
}

static void take_route(struct follow_tables *t, const struct nlmsghdr *m)
{
	const struct rtmsg *b = netlink_body(m, sizeof(*b));
	struct net_route r = { .net = addr_from_v4(0),
			       .gateway = addr_from_v4(0) };
	const void *at;
	uint32_t oif;
	int port;

	if (!b || b->rtm_family != AF_INET || b->rtm_type != RTN_UNICAST ||
	    b->rtm_table != RT_TABLE_MAIN || b->rtm_dst_len > 32)
		return;
	at = netlink_attr(m, sizeof(*b), RTA_OIF, sizeof(oif));
	if (!at)
		return;
	memcpy(&oif, at, sizeof(oif));
	port = port_of(t, oif);
	if (port < 0 || (!addr_attr(m, sizeof(*b), RTA_DST, &r.net) &&
			 b->rtm_dst_len))
		return;
	addr_attr(m, sizeof(*b), RTA_GATEWAY, &r.gateway);
	at = netlink_attr(m, sizeof(*b), RTA_PRIORITY, sizeof(r.metric));
	if (at)
		memcpy(&r.metric, at, sizeof(r.metric));
	r.prefix = (uint8_t)(96 + b->rtm_dst_len);
	r.port = (uint8_t)port;
	drop_route(t, &r);
	if (m->nlmsg_type != RTM_NEWROUTE)
		return;
	if (t->route_count == NET_ROUTES_MAX) {
		t->no_room++;
		return;
	}
	t->routes[t->route_count++] = r;
	t->changed = true;
}

/* ---- neighbours ---- */

static struct net_neigh_entry *neigh_find(struct follow_tables *t,
					  const struct net_neigh_entry *n)
{
	for (unsigned int i = 0; i < t->neigh_count; i++)
		if (t->neigh[i].port == n->port &&
		    addr_eq(&t->neigh[i].addr, &n->addr))
			return &t->neigh[i];
	return NULL;
}

static void drop_neigh(struct follow_tables *t, struct net_neigh_entry *old)
{
	if (!old)
		return;
	*old = t->neigh[--t->neigh_count];
	t->changed = true;
}

static void put_neigh(struct follow_tables *t, struct net_neigh_entry *old,
		      const struct net_neigh_entry *n)
{
	if (old && !memcmp(old->mac, n->mac, sizeof(n->mac)))
		return;		/* only its state has changed */
	if (!old && t->neigh_count == NET_STATIC_MAX) {
		t->no_room++;
		return;
	}
	if (!old)
		old = &t->neigh[t->neigh_count++];
	*old = *n;
	t->changed = true;
}

static void take_neigh(struct follow_tables *t, const struct nlmsghdr *m)
{
	const uint16_t good = NUD_REACHABLE | NUD_STALE | NUD_DELAY |
			      NUD_PROBE | NUD_PERMANENT;
	const struct ndmsg *b = netlink_body(m, sizeof(*b));
	struct net_neigh_entry n = { .state = NEIGH_STATIC };
	const void *mac;
	int port;

	if (!b || b->ndm_family != AF_INET)
		return;
	port = port_of(t, (uint32_t)b->ndm_ifindex);
	if (port < 0 || !addr_attr(m, sizeof(*b), NDA_DST, &n.addr))
		return;
	n.port = (uint8_t)port;
	mac = netlink_attr(m, sizeof(*b), NDA_LLADDR, sizeof(n.mac));
	if (mac)
		memcpy(n.mac, mac, sizeof(n.mac));
	if (m->nlmsg_type != RTM_NEWNEIGH || !(b->ndm_state & good) || !mac ||
	    (n.mac[0] & 1))
		drop_neigh(t, neigh_find(t, &n));
	else
		put_neigh(t, neigh_find(t, &n), &n);
}

/* ---- addresses ---- */

static void take_addr(struct follow_tables *t, const struct nlmsghdr *m)
{
	const struct ifaddrmsg *b = netlink_body(m, sizeof(*b));
	struct followed_port *p;
	struct ip_addr a;
	unsigned int i;
	int port;

	if (!b || b->ifa_family != AF_INET || b->ifa_prefixlen > 32)
		return;
	port = port_of(t, b->ifa_index);
	if (port < 0 || !addr_attr(m, sizeof(*b), IFA_LOCAL, &a) ||
	    addr_is_any(&a))
		return;
	p = &t->ports[port];
	for (i = 0; i < p->addr_count && !addr_eq(&p->addrs[i], &a); i++)
		;
	if (m->nlmsg_type == RTM_NEWADDR) {
		if (i == sizeof(p->addrs) / sizeof(p->addrs[0])) {
			t->no_room++;
			return;
		}
		if (i == p->addr_count)
			p->addr_count++;
		p->addrs[i] = a;
		p->prefix[i] = (uint8_t)(96 + b->ifa_prefixlen);
	} else if (i < p->addr_count) {
		p->addr_count--;
		p->addrs[i] = p->addrs[p->addr_count];
		p->prefix[i] = p->prefix[p->addr_count];
	}
	t->addrs_changed = true;
}

void follow_take(void *arg, const struct nlmsghdr *m)
{
	struct follow_tables *t = arg;

	switch (m->nlmsg_type) {
	case RTM_NEWROUTE:
	case RTM_DELROUTE:
		take_route(t, m);
		break;
	case RTM_NEWNEIGH:
	case RTM_DELNEIGH:
		take_neigh(t, m);
		break;
	case RTM_NEWADDR:
	case RTM_DELADDR:
		take_addr(t, m);
		break;
	}
}
