/* eth_in.c - IEEE 802.3 and 802.1Q, on the way in */
#include <endian.h>
#include <string.h>

#include "net/net_state.h"

#define VLAN_BYTES	4
#define VLAN_VID	0x0fff

/* A priority tag (VID 0) is taken off; the frame then looks untagged. */
static enum net_drop untag(struct frame *f)
{
	uint16_t type, tci;

	if ((f->vlan & VLAN_VID) != 0)
		return NET_DROP_VLAN;
	memcpy(&type, f->data + 12, sizeof(type));
	if (type != htobe16(ETH_TYPE_VLAN))
		return NET_DROP_NONE;
	if (f->len < ETH_BYTES + VLAN_BYTES)
		return NET_DROP_SHORT;
	memcpy(&tci, f->data + 14, sizeof(tci));
	if ((be16toh(tci) & VLAN_VID) != 0)
		return NET_DROP_VLAN;
	memmove(f->data + VLAN_BYTES, f->data, 12);
	f->data += VLAN_BYTES;
	f->len -= VLAN_BYTES;
	f->room -= VLAN_BYTES;
	return NET_DROP_NONE;
}

static bool is_broadcast(const uint8_t mac[6])
{
	static const uint8_t all[6] = { 255, 255, 255, 255, 255, 255 };

	return memcmp(mac, all, sizeof(all)) == 0;
}

enum net_verdict net_in(struct net *n, struct frame *f, mono_t now,
			struct net_rx *rx, struct net_icmp_error *icmp)
{
	const struct hdr_eth *eth;
	enum net_drop why;
	bool to_us;

	n->now = now;
	if (f->len < ETH_BYTES)
		return net_drop(n, NET_DROP_SHORT);
	if (f->port >= NET_PORTS_MAX || !n->port[f->port].present)
		return net_drop(n, NET_DROP_NOT_OURS);
	why = untag(f);
	if (why != NET_DROP_NONE)
		return net_drop(n, why);
	eth = (const struct hdr_eth *)f->data;
	to_us = memcmp(eth->dst, n->port[f->port].mac, sizeof(eth->dst)) == 0;
	switch (be16toh(eth->type)) {
	case ETH_TYPE_IP:
		/* RFC 1122 3.3.6 and 4.2.3.10: none by link broadcast. */
		if (!to_us)
			return net_drop(n, NET_DROP_NOT_OURS);
		return ip_in(n, f, now, rx, icmp);
	case ETH_TYPE_ARP:
		if (!to_us && !is_broadcast(eth->dst))
			return net_drop(n, NET_DROP_NOT_OURS);
		return arp_in(n, f, now);
	default:
		return net_drop(n, NET_DROP_ETHERTYPE);
	}
}
