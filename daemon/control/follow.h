/*
 * follow.h - the tables that follow.c keeps of the kernel's
 *
 * Only what belongs to the devices of ports with follow = kernel: unicast
 * routes of the main table, neighbours with an address, IPv4 addresses.
 * Tables are bounded; what has no room is counted.
 *
 * Threads   Control.
 */
#ifndef CONTROL_FOLLOW_H
#define CONTROL_FOLLOW_H

#include <linux/netlink.h>
#include <stdbool.h>
#include <stdint.h>

#include "control/config.h"

struct followed_port {
	uint32_t ifindex;		/* 0: does not follow */
	struct ip_addr addrs[16];
	uint8_t prefix[16];
	unsigned int addr_count;
};

struct follow_tables {
	struct followed_port ports[PORT_MAX];
	struct net_route routes[NET_ROUTES_MAX];
	unsigned int route_count;
	struct net_neigh_entry neigh[NET_NEIGH_MAX];
	unsigned int neigh_count;
	uint64_t no_room;
	bool changed;			/* routes or neighbours */
	bool addrs_changed;
};

/* One message of rtnetlink into @arg, a struct follow_tables. */
void follow_take(void *arg, const struct nlmsghdr *m);

#endif
