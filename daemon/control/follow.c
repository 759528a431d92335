/*
 * follow.c - the kernel's addresses, routes and neighbours become ours
 *
 *	[port NAME] follow = kernel
 *
 *	kernel --rtnetlink--> follow_tables.c --50 ms later--> live.c -> engines
 *
 * At the start the tables are read whole; then the kernel tells of changes.
 * When it could not (ENOBUFS: we were too slow), they are read again.  What
 * mtcpd.conf says comes first: of two routes to one network, or two addresses
 * of one neighbour, the file's holds.  Addresses are followed by ports that
 * name none, which share them (share.c).
 */
#define LOG_FACILITY LOG_FAC_NET

#include <errno.h>
#include <event2/event.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "control/control.h"
#include "control/follow.h"
#include "control/netlink.h"

#define SETTLE_US	50000	/* changes come in crowds */

struct follow {
	int fd;
	struct event *readable, *settled;
	struct follow_tables t;
};

/* ---- reading all ---- */

static int read_table(struct follow *f, uint16_t type)
{
	const struct rtgenmsg all = { .rtgen_family = AF_INET };
	int fd = netlink_open(NETLINK_ROUTE, 0), rc = fd;

	if (fd < 0)
		return fd;
	rc = netlink_ask(fd, type, &all, sizeof(all));
	if (!rc)
		rc = netlink_answer(fd, follow_take, &f->t);
	close(fd);
	return rc;
}

static int read_all(struct follow *f)
{
	int rc;

	f->t.route_count = f->t.neigh_count = 0;
	for (int i = 0; i < PORT_MAX; i++)
		f->t.ports[i].addr_count = 0;
	f->t.changed = f->t.addrs_changed = true;
	rc = read_table(f, RTM_GETADDR);
	if (!rc)
		rc = read_table(f, RTM_GETROUTE);
	return rc ? rc : read_table(f, RTM_GETNEIGH);
}

/* ---- into the configuration, and to the engines ---- */

/* Ports without addresses of their own have the kernel's. */
static void take_addresses(struct control *c)
{
	struct follow *f = c->follow;
	char err[CONFIG_ERR_BYTES];

	for (uint32_t i = 0; i < c->cfg->port_count; i++) {
		struct config_port *p = &c->cfg->ports[i];
		const struct followed_port *k = &f->t.ports[i];

		if (!p->kernel_addrs)
			continue;
		memcpy(p->io.addrs, k->addrs, sizeof(p->io.addrs));
		memcpy(p->prefix, k->prefix, sizeof(p->prefix));
		p->io.addr_count = k->addr_count;
	}
	if (config_check(c->cfg, c->cfg->file, err) < 0)
		log_warnx("the kernel's addresses: %s", err);
}

/* Networks of our own addresses are known already. */
static bool route_known(const struct net_config *net,
			const struct net_route *r)
{
	for (unsigned int i = 0; i < net->route_count; i++)
		if (net->routes[i].prefix == r->prefix &&
		    addr_eq(&net->routes[i].net, &r->net))
			return true;
	return false;
}

static bool neigh_known(const struct net_config *net, unsigned int own,
			const struct net_neigh_entry *n)
{
	for (unsigned int i = 0; i < own; i++)
		if (addr_eq(&net->neigh[i].addr, &n->addr))
			return true;
	return false;
}

void follow_add(const struct control *c, struct net_config *net)
{
	const struct follow_tables *t = c->follow ? &c->follow->t : NULL;
	unsigned int own = net->neigh_count;

	for (unsigned int i = 0; t && i < t->route_count; i++)
		if (net->route_count < NET_ROUTES_MAX &&
		    !route_known(net, &t->routes[i]))
			net->routes[net->route_count++] = t->routes[i];
	for (unsigned int i = 0; t && i < t->neigh_count; i++)
		if (net->neigh_count < NET_STATIC_MAX &&
		    !neigh_known(net, own, &t->neigh[i]))
			net->neigh[net->neigh_count++] = t->neigh[i];
}

static void settled(int fd, short what, void *arg)
{
	struct control *c = arg;
	struct follow_tables *t = &c->follow->t;

	(void)fd;
	(void)what;
	if (t->addrs_changed)
		take_addresses(c);
	if (t->no_room) {
		log_warnx("the kernel has more routes, neighbours or addresses "
			  "than mtcpd takes (256, 1024, 16 a port): %llu are "
			  "left out, neighbours found by ARP", (unsigned long long)t->no_room);
		t->no_room = 0;
	}
	t->changed = t->addrs_changed = false;
	live_apply_net(c);
}

/* ---- changes ---- */

static void readable(int fd, short what, void *arg)
{
	const struct timeval soon = { .tv_usec = SETTLE_US };
	struct control *c = arg;
	struct follow *f = c->follow;
	_Alignas(8) char buf[32768];

	(void)what;
	for (int i = 0; i < 64; i++) {
		ssize_t n = recv(fd, buf, sizeof(buf), 0);

		if (n < 0 && errno == ENOBUFS) {
			log_info("the kernel's tables changed faster than we "
				 "read: read again");
			read_all(f);
			continue;
		}
		if (n <= 0)
			break;
		netlink_each(buf, (size_t)n, follow_take, &f->t);
	}
	if ((f->t.changed || f->t.addrs_changed) &&
	    !event_pending(f->settled, EV_TIMEOUT, NULL))
		event_add(f->settled, &soon);
}

/* ---- start and end ---- */

static bool anybody(const struct control *c)
{
	for (uint32_t i = 0; i < c->cfg->port_count; i++)
		if (c->cfg->ports[i].follow == FOLLOW_KERNEL)
			return true;
	return false;
}

/* TAP devices do not exist yet: theirs is found by follow_watch(). */
static void find_devices(struct control *c)
{
	for (uint32_t i = 0; i < c->cfg->port_count; i++)
		if (c->cfg->ports[i].follow == FOLLOW_KERNEL)
			c->follow->t.ports[i].ifindex =
				if_nametoindex(c->cfg->ports[i].io.device);
}

void follow_begin(struct control *c)
{
	struct follow *f;
	int rc;

	if (!anybody(c))
		return;
	f = calloc(1, sizeof(*f));
	if (!f)
		log_fatalx("out of memory at start");
	c->follow = f;
	find_devices(c);
	/* Told of changes first, then read: nothing falls between. */
	f->fd = netlink_open(NETLINK_ROUTE, RTMGRP_NEIGH | RTMGRP_IPV4_IFADDR |
			     RTMGRP_IPV4_ROUTE);
	rc = f->fd < 0 ? f->fd : read_all(f);
	if (rc < 0)
		log_fatalx("follow = kernel: rtnetlink: %s", strerror(-rc));
	take_addresses(c);
}

void follow_watch(struct control *c)
{
	struct follow *f = c->follow;

	if (!f)
		return;
	find_devices(c);
	f->readable = event_new(c->base, f->fd, EV_READ | EV_PERSIST, readable,
				c);
	f->settled = event_new(c->base, -1, 0, settled, c);
	if (!f->readable || !f->settled)
		log_fatalx("out of memory at start");
	event_add(f->readable, NULL);
	read_all(f);
	settled(-1, 0, c);
}

void follow_end(struct control *c)
{
	if (!c->follow)
		return;
	event_free(c->follow->readable);
	event_free(c->follow->settled);
	close(c->follow->fd);
	free(c->follow);
	c->follow = NULL;
}
