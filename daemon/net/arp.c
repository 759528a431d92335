/*
 * arp.c - RFC 826, with RFC 5227's care for our own addresses
 *
 * We answer for an address on the port that has it, learn a stranger only
 * from a request for one of ours out of the same network, and update whom we
 * know from any message, so that a peer may change its link address.
 */
#include <endian.h>
#include <string.h>

#include "net/net_state.h"

#define ARP_REQUEST	1
#define ARP_REPLY	2

static const uint8_t all_ones[6] = { 255, 255, 255, 255, 255, 255 };

/* Group and null addresses are nobody's. */
static bool bad_mac(const uint8_t mac[6])
{
	static const uint8_t none[6];

	return (mac[0] & 1) != 0 || memcmp(mac, none, sizeof(none)) == 0;
}

/* 0.0.0.0 is a probe's (RFC 5227 2.1.1). */
static bool bad_sender(const struct net *n, uint32_t spa)
{
	uint32_t first = be32toh(spa) >> 24;

	return spa != 0 && (first == 0 || first == 127 || first >= 224 ||
			    route_is_broadcast(n, spa));
}

static bool well_formed(const struct net *n, const struct hdr_arp *arp)
{
	return arp->hrd == htobe16(1) && arp->pro == htobe16(ETH_TYPE_IP) &&
	       arp->hln == 6 && arp->pln == 4 &&
	       (arp->op == htobe16(ARP_REQUEST) ||
		arp->op == htobe16(ARP_REPLY)) &&
	       !bad_mac(arp->sha) && !bad_sender(n, arp->spa);
}

/* RFC 5227 2.4 (b): defend by one announcement, not more than every 10 s. */
static enum net_verdict conflict(struct net *n, uint32_t v4, mono_t now)
{
	struct ip_addr a = addr_from_v4(v4);
	unsigned int i;

	if (n->defended.us == 0 ||
	    mono_diff_us(n->defended, now) >= (int64_t)DEFEND_GAP_US) {
		n->defended = now;
		n->announce_at = now;
		for (i = 0; i < n->addr_count; i++)
			if (addr_eq(&n->addr[i].addr, &a))
				n->announce |= UINT64_C(1) << i;
	}
	return net_drop(n, NET_DROP_ARP_CONFLICT);
}

static enum net_verdict reply(struct net *n, struct frame *f)
{
	struct hdr_arp *arp = (struct hdr_arp *)(f->data + ETH_BYTES);
	uint32_t wanted = arp->tpa;

	eth_turn(n, f);
	memcpy(f->data, arp->sha, sizeof(arp->sha));
	arp->op = htobe16(ARP_REPLY);
	memcpy(arp->tha, arp->sha, sizeof(arp->tha));
	arp->tpa = arp->spa;
	memcpy(arp->sha, n->port[f->port].mac, sizeof(arp->sha));
	arp->spa = wanted;
	f->len = ARP_FRAME_BYTES;
	counter_add(&n->stats.tx_arp_replies, 1);
	return NET_REPLY;
}

enum net_verdict arp_in(struct net *n, struct frame *f, mono_t now)
{
	const struct hdr_arp *arp;
	struct ip_addr sender, target;
	bool request, for_us, known = false;

	counter_add(&n->stats.rx_arp, 1);
	if (f->len < ARP_FRAME_BYTES)
		return net_drop(n, NET_DROP_SHORT);
	arp = (const struct hdr_arp *)(f->data + ETH_BYTES);
	if (!well_formed(n, arp))
		return net_drop(n, NET_DROP_ARP_BAD);
	if (memcmp(arp->sha, n->port[f->port].mac, sizeof(arp->sha)) == 0)
		return net_drop(n, NET_DROP_NOT_OURS);	/* our own, looped */
	sender = addr_from_v4(arp->spa);
	target = addr_from_v4(arp->tpa);
	if (route_port_has(n, f->port, &sender))
		return conflict(n, arp->spa, now);
	request = arp->op == htobe16(ARP_REQUEST);
	for_us = route_port_has(n, f->port, &target);
	if (arp->spa != 0)
		known = neigh_heard(n, f->port, &sender, arp->sha,
				    request && for_us &&
				    route_on_link(n, f->port, &sender),
				    !request, now);
	if (request && for_us)
		return reply(n, f);
	if (!known && for_us && route_on_link(n, f->port, &sender)) {
		neigh_overheard(n, f->port, &sender, arp->sha, now);
		return NET_HELD;
	}
	return known ? NET_HELD : net_drop(n, NET_DROP_NOT_OURS);
}

/* ---- what we send of our own accord ---- */

static int write_request(struct net *n, uint8_t *buf, uint8_t port,
			 const uint8_t dst[6], uint32_t spa, uint32_t tpa)
{
	struct hdr_arp *arp = (struct hdr_arp *)(buf + ETH_BYTES);

	eth_write(n, buf, port, dst, ETH_TYPE_ARP);
	arp->hrd = htobe16(1);
	arp->pro = htobe16(ETH_TYPE_IP);
	arp->hln = 6;
	arp->pln = 4;
	arp->op = htobe16(ARP_REQUEST);
	memcpy(arp->sha, n->port[port].mac, sizeof(arp->sha));
	arp->spa = spa;
	memset(arp->tha, 0, sizeof(arp->tha));
	arp->tpa = tpa;
	counter_add(&n->stats.tx_arp_requests, 1);
	return ARP_FRAME_BYTES;
}

void net_announce(struct net *n)
{
	n->announce = n->addr_count < 64 ?
		      (UINT64_C(1) << n->addr_count) - 1 : UINT64_MAX;
	n->announce_left = ANNOUNCE_TIMES - 1;
	n->announce_at = (mono_t){ 0 };
}

/* RFC 5227 2.3: sender and target are the address that is announced. */
static int announcement(struct net *n, mono_t now, uint8_t *buf, uint8_t *port)
{
	const struct net_addr *a;
	unsigned int i;

	while (n->announce && !mono_before(now, n->announce_at)) {
		i = (unsigned int)__builtin_ctzll(n->announce);
		n->announce &= n->announce - 1;
		if (!n->announce && n->announce_left > 0) {
			unsigned int left = n->announce_left;

			net_announce(n);
			n->announce_left = left - 1;
			n->announce_at = mono_add(now, ANNOUNCE_GAP_US);
		}
		a = &n->addr[i];
		if (i >= n->addr_count || !n->port[a->port].present)
			continue;
		*port = a->port;
		return write_request(n, buf, a->port, all_ones,
				     addr_v4(&a->addr), addr_v4(&a->addr));
	}
	return 0;
}

int net_request(struct net *n, mono_t now, uint8_t *buf, uint8_t *port)
{
	const struct ip_addr *from;
	const struct neigh *e;
	const uint8_t *to;
	uint16_t index;
	int len;

	n->now = now;
	len = announcement(n, now, buf, port);
	if (len)
		return len;
	while ((index = neigh_next_ask(n)) != 0) {
		e = &n->neigh.entry[index];
		from = route_source(n, e->port, &e->addr);
		if (!from)
			continue;
		/* RFC 1122 2.3.2.1: poll by unicast, by broadcast at last. */
		to = e->state == NEIGH_STALE && e->tries < NET_NEIGH_TRIES ?
		     e->mac : all_ones;
		*port = e->port;
		return write_request(n, buf, e->port, to, addr_v4(from),
				     addr_v4(&e->addr));
	}
	return 0;
}
