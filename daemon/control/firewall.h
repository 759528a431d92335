/*
 * firewall.h - what firewall.c counts; the rest is control.h's
 *
 * Threads   Control.
 */
#ifndef CONTROL_FIREWALL_H
#define CONTROL_FIREWALL_H

#include <linux/netlink.h>

#include "control/config.h"

struct firewall {
	const struct net_addr *addrs;
	unsigned int count;
	unsigned int rules;		/* in all */
	unsigned int about[NET_ADDRS_MAX];
};

/* One message of nf_tables into @arg, a struct firewall. */
void firewall_rule(void *arg, const struct nlmsghdr *m);

#endif
