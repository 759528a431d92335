/*
 * route.c - our addresses, and which way to an address
 *
 * Connected routes (made from addresses) and configured ones lie in one array
 * with the longest prefix first, and the best metric first among equals; the
 * first that matches is the route.  Tables are short and change rarely, so
 * that a scan of a few cache lines beats a trie; connections keep the result
 * (struct net_path) until the epoch moves.
 */
#include <endian.h>
#include <errno.h>
#include <string.h>

#include "net/net_state.h"

static void make_mask(uint64_t mask[2], unsigned int prefix)
{
	uint8_t bytes[16] = { 0 };
	unsigned int i;

	for (i = 0; i < prefix && i < 128; i++)
		bytes[i / 8] |= (uint8_t)(0x80u >> i % 8);
	memcpy(mask, bytes, sizeof(bytes));
}

static bool fib_before(const struct fib_entry *a, const struct fib_entry *b)
{
	if (a->prefix != b->prefix)
		return a->prefix > b->prefix;
	return a->metric < b->metric;
}

/* Insertion keeps the order; equals stay as configured. */
static void fib_add(struct net *n, const struct ip_addr *net, uint8_t prefix,
		    uint8_t port, const struct ip_addr *gateway, uint32_t metric)
{
	struct fib_entry e = { .gateway = *gateway, .metric = metric,
			       .prefix = prefix, .port = port };
	unsigned int at = n->fib_count++;

	make_mask(e.mask, prefix);
	memcpy(e.net, net, sizeof(e.net));
	e.net[0] &= e.mask[0];
	e.net[1] &= e.mask[1];
	for (; at > 0 && fib_before(&e, &n->fib[at - 1]); at--)
		n->fib[at] = n->fib[at - 1];
	n->fib[at] = e;
}

static uint32_t directed_broadcast(const struct net_addr *a)
{
	uint32_t hosts;

	if (!addr_is_v4(&a->addr) || a->prefix < 96 || a->prefix >= 127)
		return 0;	/* RFC 3021: a /31 has none */
	hosts = (uint32_t)((UINT64_C(1) << (128 - a->prefix)) - 1);
	return addr_v4(&a->addr) | htobe32(hosts);
}

void route_rebuild(struct net *n)
{
	static const struct ip_addr direct;
	const struct net_route *r;
	const struct net_addr *a;
	unsigned int i;

	n->fib_count = 0;
	for (i = 0; i < n->addr_count; i++) {
		a = &n->addr[i];
		n->broadcast[i] = directed_broadcast(a);
		if (a->prefix < 128)
			fib_add(n, &a->addr, a->prefix, a->port, &direct, 0);
	}
	for (i = 0; i < n->route_count; i++) {
		r = &n->route[i];
		fib_add(n, &r->net, r->prefix, r->port, &r->gateway, r->metric);
	}
	n->epoch++;
}

bool net_is_ours(const struct net *n, const struct ip_addr *a)
{
	unsigned int i;

	for (i = 0; i < n->addr_count; i++)
		if (addr_eq(&n->addr[i].addr, a))
			return true;
	return false;
}

bool route_port_has(const struct net *n, uint8_t port, const struct ip_addr *a)
{
	unsigned int i;

	for (i = 0; i < n->addr_count; i++)
		if (n->addr[i].port == port && addr_eq(&n->addr[i].addr, a))
			return true;
	return false;
}

bool route_is_broadcast(const struct net *n, uint32_t v4)
{
	unsigned int i;

	for (i = 0; i < n->addr_count; i++)
		if (n->broadcast[i] == v4 && v4 != 0)
			return true;
	return false;
}

bool route_on_link(const struct net *n, uint8_t port, const struct ip_addr *a)
{
	unsigned int i;

	for (i = 0; i < n->addr_count; i++)
		if (n->addr[i].port == port &&
		    addr_in_prefix(a, &n->addr[i].addr, n->addr[i].prefix))
			return true;
	return false;
}

/* One in the same network, else the first of that port (RFC 1122 3.3.4.3). */
const struct ip_addr *route_source(const struct net *n, uint8_t port,
				   const struct ip_addr *dst)
{
	const struct net_addr *best = NULL, *a;
	unsigned int i, best_prefix = 0;
	bool near;

	for (i = 0; i < n->addr_count; i++) {
		a = &n->addr[i];
		if (a->port != port)
			continue;
		near = addr_in_prefix(dst, &a->addr, a->prefix);
		if (!best || (near && a->prefix > best_prefix)) {
			best = a;
			best_prefix = near ? a->prefix : 0;
		}
	}
	return best ? &best->addr : NULL;
}

static bool fib_match(const struct fib_entry *e, const uint64_t dst[2])
{
	return (((dst[0] ^ e->net[0]) & e->mask[0]) |
		((dst[1] ^ e->net[1]) & e->mask[1])) == 0;
}

/* The best route; among equally good ones, one by the port of @src. */
static const struct fib_entry *fib_find(const struct net *n,
					const struct ip_addr *src,
					const struct ip_addr *dst)
{
	const struct fib_entry *best = NULL, *e;
	uint64_t key[2];
	unsigned int i;

	memcpy(key, dst, sizeof(key));
	for (i = 0; i < n->fib_count; i++) {
		e = &n->fib[i];
		if (best && fib_before(best, e))
			break;
		if (!fib_match(e, key) || !n->port[e->port].present)
			continue;
		if (!best)
			best = e;
		if (addr_is_any(src) || route_port_has(n, e->port, src))
			return e;
	}
	return best;
}

/* TCP speaks to one host only (RFC 1122 4.2.3.10), and not to ourselves:
 * there is no loopback port. */
static bool bad_destination(const struct net *n, const struct ip_addr *dst)
{
	uint32_t first;

	if (!addr_is_v4(dst) || addr_is_any(dst))
		return true;
	first = be32toh(addr_v4(dst)) >> 24;
	return first == 0 || first == 127 || first >= 224 ||
	       route_is_broadcast(n, addr_v4(dst)) || net_is_ours(n, dst);
}

uint16_t net_port_mtu(const struct net *n, uint8_t port)
{
	return n->port[port].mtu;
}

int net_lookup(struct net *n, struct ip_addr *src, const struct ip_addr *dst,
	       struct net_path *path)
{
	const struct ip_addr *from = src;
	const struct fib_entry *e;

	if (!addr_is_any(src) && !net_is_ours(n, src))
		return -EADDRNOTAVAIL;
	if (bad_destination(n, dst))
		return -ENETUNREACH;
	e = fib_find(n, src, dst);
	if (!e)
		return -ENETUNREACH;
	path->next_hop = addr_is_any(&e->gateway) ? *dst : e->gateway;
	if (addr_is_any(src))
		from = route_source(n, e->port, &path->next_hop);
	if (!from)
		return -EADDRNOTAVAIL;
	if (from != src)
		*src = *from;
	path->epoch = n->epoch;
	path->neigh = neigh_find(n, e->port, &path->next_hop);
	path->port = e->port;
	return 0;
}

bool net_path_valid(const struct net *n, const struct net_path *path)
{
	return path->epoch == n->epoch;
}

int net_list_routes(const struct net *n, struct net_route *r, int max)
{
	const struct fib_entry *e;
	int i;

	for (i = 0; i < max && i < (int)n->fib_count; i++) {
		e = &n->fib[i];
		r[i] = (struct net_route){ .prefix = e->prefix, .port = e->port,
					   .gateway = e->gateway,
					   .metric = e->metric };
		memcpy(&r[i].net, e->net, sizeof(r[i].net));
	}
	return i;
}
