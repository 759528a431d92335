#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "control/config.h"

static int say(char *why, const char *text)
{
	snprintf(why, CONFIG_ERR_BYTES, "%s", text);
	return -EINVAL;
}

int config_port_id(const struct config *cfg, const char *name)
{
	for (uint32_t i = 0; i < cfg->port_count; i++)
		if (!strcmp(cfg->ports[i].io.name, name))
			return (int)i;
	for (uint32_t i = 0; i < cfg->port_count; i++)
		if (!strcmp(cfg->ports[i].io.device, name))
			return (int)i;
	return -1;
}

int config_port_of(const struct config *cfg, const struct ip_addr *a)
{
	const struct net_addr *best = NULL;

	for (unsigned int i = 0; i < cfg->net.addr_count; i++) {
		const struct net_addr *n = &cfg->net.addrs[i];

		if (addr_in_prefix(a, &n->addr, n->prefix) &&
		    (!best || n->prefix > best->prefix))
			best = n;
	}
	return best ? best->port : -1;
}

/* Host bits that are set are a mistake that would otherwise go unnoticed. */
static bool has_host_bits(const struct ip_addr *a, uint8_t prefix)
{
	for (unsigned int bit = prefix; bit < 128; bit++)
		if (a->b[bit / 8] & (0x80u >> bit % 8))
			return true;
	return false;
}

static int route_target(const struct config *cfg, const char *target,
			struct net_route *r, char *why)
{
	int port = config_port_id(cfg, target);

	if (port >= 0) {
		r->gateway = addr_from_v4(0);
		r->port = (uint8_t)port;
		return 0;
	}
	if (addr_parse(&r->gateway, target) < 0 || !addr_is_v4(&r->gateway))
		return say(why, "expected a gateway's address or the name of a "
			   "port");
	port = config_port_of(cfg, &r->gateway);
	if (port < 0)
		return say(why, "the gateway is in no port's network; give a "
			   "port an address in its network, or correct it");
	r->port = (uint8_t)port;
	return 0;
}

int config_add_route(struct config *cfg, const char *net, const char *target,
		     char *why)
{
	struct net_config *n = &cfg->net;
	struct net_route r = { 0 };

	if (n->route_count == NET_ROUTES_MAX)
		return say(why, "more than 256 routes");
	if (!strcmp(net, "default")) {
		r.net = addr_from_v4(0);
		r.prefix = 96;
	} else if (text_net(net, 0, &r.net, &r.prefix) < 0) {
		return say(why, "expected `a.b.c.d/len` (len 0 - 32) or "
			   "`default`");
	} else if (has_host_bits(&r.net, r.prefix)) {
		return say(why, "the network has bits set after its length");
	}
	for (unsigned int i = 0; i < n->route_count; i++)
		if (n->routes[i].prefix == r.prefix &&
		    addr_eq(&n->routes[i].net, &r.net))
			return say(why, "this network has a route already");
	if (route_target(cfg, target, &r, why) < 0)
		return -EINVAL;
	n->routes[n->route_count++] = r;
	return 0;
}

int config_add_neigh(struct config *cfg, const char *addr, const char *mac,
		     char *why)
{
	struct net_config *n = &cfg->net;
	struct net_neigh_entry e = { .state = NEIGH_STATIC };
	int port;

	if (n->neigh_count == NET_STATIC_MAX)
		return say(why, "more than 1024 neighbours");
	if (addr_parse(&e.addr, addr) < 0 || !addr_is_v4(&e.addr))
		return say(why, "expected `a.b.c.d = aa:bb:cc:dd:ee:ff`");
	if (text_mac(mac, e.mac) < 0 || (e.mac[0] & 1))
		return say(why, "expected a unicast MAC address such as "
			   "02:00:00:00:00:01");
	port = config_port_of(cfg, &e.addr);
	if (port < 0)
		return say(why, "the neighbour is in no port's network; give a "
			   "port an address in its network, or correct it");
	for (unsigned int i = 0; i < n->neigh_count; i++)
		if (addr_eq(&n->neigh[i].addr, &e.addr))
			return say(why, "this neighbour is given already");
	e.port = (uint8_t)port;
	n->neigh[n->neigh_count++] = e;
	return 0;
}
