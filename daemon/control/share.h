/*
 * share.h - what share.c asks the kernel; the rest is control.h's
 *
 * Threads   Control.
 */
#ifndef CONTROL_SHARE_H
#define CONTROL_SHARE_H

#include <linux/netlink.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"

struct share_question {
	const struct ip_addr *addr;	/* any: all */
	uint16_t port;			/* network order */
	bool found;
};

/* One message of sock_diag about @arg, a struct share_question. */
void share_diag(void *arg, const struct nlmsghdr *m);

#endif
