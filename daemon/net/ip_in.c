/* ip_in.c - IPv4 on the way in: RFC 791, RFC 1122 3.2.1 */
#include <endian.h>
#include <netinet/in.h>
#include <string.h>

#include "net/net_state.h"

enum net_drop ip4_check(const uint8_t *ip, uint32_t bytes)
{
	const struct hdr_ip4 *h = (const struct hdr_ip4 *)ip;
	uint32_t header, total;

	if (bytes < IP4_BYTES)
		return NET_DROP_SHORT;
	header = (h->version_ihl & 15u) * 4;
	total = be16toh(h->total_len);
	if (h->version_ihl >> 4 != 4 || header < IP4_BYTES || total < header)
		return NET_DROP_IP_HEADER;
	if (total > bytes)
		return NET_DROP_SHORT;
	if (csum_fold(csum_add(0, ip, header)) != 0xffff)
		return NET_DROP_IP_CSUM;
	return NET_DROP_NONE;
}

/* What nobody may send from (RFC 1122 3.2.1.3); our own is one of them. */
static bool bad_source(const struct net *n, const struct ip_addr *src)
{
	uint32_t v4 = addr_v4(src), first = be32toh(v4) >> 24;

	return first == 0 || first == 127 || first >= 224 ||
	       route_is_broadcast(n, v4) || net_is_ours(n, src);
}

static void fill_rx(struct net_rx *rx, const struct frame *f,
		    const struct hdr_ip4 *ip, const struct hdr_eth *eth)
{
	uint32_t header = (ip->version_ihl & 15u) * 4;

	rx->l4 = (const uint8_t *)ip + header;
	rx->l4_len = be16toh(ip->total_len) - header;
	rx->proto = ip->proto;
	rx->port = f->port;
	rx->ecn = ip->tos & 3;
	rx->ttl = ip->ttl;
	rx->csum_ok = (f->flags & FRAME_CSUM_OK) != 0;
	memcpy(rx->src_mac, eth->src, sizeof(rx->src_mac));
}

/* RFC 1122 3.2.2.1: a protocol that we do not speak. */
static enum net_verdict other_protocol(struct net *n, struct frame *f,
				       mono_t now)
{
	net_drop(n, NET_DROP_IP_PROTO);
	return net_unreachable(n, f, 2, now) ? NET_REPLY : NET_DROP;
}

enum net_verdict ip_in(struct net *n, struct frame *f, mono_t now,
		       struct net_rx *rx, struct net_icmp_error *icmp)
{
	const struct hdr_eth *eth = (const struct hdr_eth *)f->data;
	const struct hdr_ip4 *ip;
	enum net_drop why;

	counter_add(&n->stats.rx_ip, 1);
	ip = (const struct hdr_ip4 *)(f->data + ETH_BYTES);
	why = ip4_check((const uint8_t *)ip, f->len - ETH_BYTES);
	if (why != NET_DROP_NONE)
		return net_drop(n, why);
	f->len = ETH_BYTES + be16toh(ip->total_len);	/* padding goes */
	rx->src = addr_from_v4(ip->src);
	rx->dst = addr_from_v4(ip->dst);
	if (!net_is_ours(n, &rx->dst))
		return net_drop(n, NET_DROP_NOT_OURS);
	if ((eth->src[0] & 1) != 0 || bad_source(n, &rx->src))
		return net_drop(n, NET_DROP_IP_SOURCE);
	fill_rx(rx, f, ip, eth);
	if ((ip->frag & htobe16(IP4_MF | IP4_OFFSET)) != 0)
		return reass_in(n, (const uint8_t *)ip, now, rx);
	if (ip->proto == IPPROTO_TCP)
		return NET_TCP;
	if (ip->proto == IPPROTO_ICMP)
		return icmp_in(n, f, now, rx, icmp);
	return other_protocol(n, f, now);
}
