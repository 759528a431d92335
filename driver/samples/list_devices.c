/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/* list_devices.c - the ports that ps_ixgbe has, one a line */
#include <stdio.h>

#include "../libps/ps.h"

int main(void)
{
	struct ps_device d[PS_DEVICES_MAX];
	int n = ps_list_devices(d, PS_DEVICES_MAX);

	for (int i = 0; i < n; i++) {
		const __u8 *m = d[i].info.mac;

		printf("%s %s %02x:%02x:%02x:%02x:%02x:%02x queues %u "
		       "link %u Mb/s\n", d[i].path, d[i].info.bus, m[0], m[1],
		       m[2], m[3], m[4], m[5], d[i].info.queues,
		       d[i].info.link_mbps);
	}
	if (n > 0)
		return 0;
	fprintf(stderr, "list_devices: %s\n", n < 0 ? ps_explain(n) :
		"no port in /dev/ps: is ps_ixgbe loaded, is there an 82599?");
	return 1;
}
