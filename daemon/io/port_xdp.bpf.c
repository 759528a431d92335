// SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause)
/*
 * port_xdp.bpf.c - which frames are mtcpd's
 *
 *	frame --> IPv4 to one of our addresses? ----------+--> xsks[rx queue]
 *	     \--> IPv4 to one that we share, TCP, and its     |
 *	      \   port one of ours (or ICMP about it)? -------+
 *	     \--> ARP about one of our addresses? --------/        | no socket
 *	      \-> all else --------------------------------> the kernel
 *
 * ARP is ours when it asks for one of our addresses or answers us (target
 * protocol address), or when somebody claims one of them (sender protocol
 * address).  One 802.1Q or 802.1ad tag is looked behind.
 *
 * Who announces his own address (a failover's gratuitous ARP) tells all hosts
 * on the link: the kernel gets the frame, and we a copy over a ring buffer.
 * When that is full the copy is lost, counted, and the neighbour is asked in
 * time.
 *
 * An address may be shared with the kernel: then ARP is the kernel's, we get
 * copies of the answers, and of TCP what is for a port in the bitmap tcp_ports.
 * Fragments are the kernel's: the port stands in the first only.  So are
 * datagrams with IP options.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

struct vlan_tag {
	__be16 tci, proto;
};

struct ipv4 {			/* RFC 791 3.1, as far as we look */
	__u8 version_ihl, tos;
	__be16 len, id, frag;
	__u8 ttl, proto;
	__be16 check;
	__be32 saddr, daddr;
};

struct arp_v4 {			/* RFC 826 */
	__be16 hrd, pro;
	__u8 hln, pln;
	__be16 op;
	__u8 sha[6], spa[4], tha[6], tpa[4];
};

struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, __u32);
} xsks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 256);
	__type(key, __be32);
	__type(value, __u8);
} addrs SEC(".maps");

/* A bit a TCP port (host order); mapped by mtcpd, which needs no right then. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, __u64);
} tcp_ports SEC(".maps");

/* Copies that found the ring buffer full. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} lost SEC(".maps");

/* A header without options has its ports at a place that does not vary: the
 * verifier asks for CAP_PERFMON otherwise. */
#define NO_OPTIONS	0x45

enum { WHOLE = 1, SHARED = 2 };		/* values of addrs */

struct announcement {		/* as on an untagged wire */
	struct ethhdr eth;
	struct arp_v4 arp;
} __attribute__((packed));

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);	/* bytes; 73 of them */
} heard SEC(".maps");

static __always_inline int ours(const void *where)
{
	__be32 a;

	__builtin_memcpy(&a, where, 4);
	__u8 *how = bpf_map_lookup_elem(&addrs, &a);

	return how ? *how : 0;
}

static __always_inline int our_port(__be16 port)
{
	__u32 n = bpf_ntohs(port), word = n / 64;
	__u64 *bits = bpf_map_lookup_elem(&tcp_ports, &word);

	return bits && (*bits >> (n & 63) & 1);
}

static __always_inline __be16 be16_at(const __u8 *at)
{
	__be16 n;

	__builtin_memcpy(&n, at, 2);
	return n;
}

/* An ICMP error about a segment from one of our TCP ports (RFC 792). */
static __always_inline int icmp_ours(const __u8 *icmp, const void *end)
{
	const struct ipv4 *about = (const void *)(icmp + 8);
	const __u8 *l4 = (const __u8 *)(about + 1);

	if ((const void *)(l4 + 2) > end)
		return 0;
	if ((icmp[0] != 3 && icmp[0] != 11 && icmp[0] != 12) ||
	    about->proto != 6 || about->version_ihl != NO_OPTIONS)
		return 0;
	return our_port(be16_at(l4));
}

static __always_inline int ip_ours(const struct ipv4 *ip, const void *end)
{
	int how = ours(&ip->daddr);
	const __u8 *l4 = (const __u8 *)(ip + 1);

	if (how != SHARED)
		return how;
	if ((ip->frag & bpf_htons(0x3fff)) || ip->version_ihl != NO_OPTIONS)
		return 0;
	if ((const void *)(l4 + 4) > end)
		return 0;
	if (ip->proto == 6)
		return our_port(be16_at(l4 + 2));
	return ip->proto == 1 && icmp_ours(l4, end);
}

/* RFC 5227 3: sender and target are the same. */
static __always_inline int announces(const struct arp_v4 *arp)
{
	__be32 spa, tpa;

	__builtin_memcpy(&spa, arp->spa, 4);
	__builtin_memcpy(&tpa, arp->tpa, 4);
	return spa == tpa && spa != 0;
}

static __always_inline void tell(const struct ethhdr *eth,
				 const struct arp_v4 *arp)
{
	struct announcement a;

	a.eth = *eth;
	a.eth.h_proto = bpf_htons(ETH_P_ARP);
	a.arp = *arp;
	if (bpf_ringbuf_output(&heard, &a, sizeof(a), 0)) {
		__u32 first = 0;
		__u64 *n = bpf_map_lookup_elem(&lost, &first);

		if (n)
			__sync_fetch_and_add(n, 1);
	}
}

static __always_inline int arp_wanted(struct ethhdr *eth, struct arp_v4 *arp,
				      int other_vlan)
{
	int target;

	if (arp->pro != bpf_htons(ETH_P_IP) || arp->pln != 4 || arp->hln != 6)
		return 0;
	target = ours(arp->tpa);
	if (target == WHOLE || ours(arp->spa) == WHOLE)
		return 1;
	if (target == SHARED && arp->op == bpf_htons(2)) {
		tell(eth, arp);		/* the answer may be to us */
		return 0;
	}
	if (!other_vlan && announces(arp))
		tell(eth, arp);
	return 0;
}

static __always_inline int steer(struct xdp_md *ctx)
{
	void *at = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = at;
	struct vlan_tag *tag = (void *)(eth + 1);
	int wanted = 0, other_vlan = 0;
	__be16 proto;

	if ((void *)(eth + 1) > end)
		return XDP_PASS;
	proto = eth->h_proto;
	at = eth + 1;
	if (proto == bpf_htons(ETH_P_8021Q) || proto == bpf_htons(ETH_P_8021AD)) {
		if ((void *)(tag + 1) > end)
			return XDP_PASS;
		proto = tag->proto;
		other_vlan = (tag->tci & bpf_htons(0x0fff)) != 0;
		at = tag + 1;
	}
	if (proto == bpf_htons(ETH_P_IP))
		wanted = (void *)((struct ipv4 *)at + 1) <= end &&
			 ip_ours(at, end);
	else if (proto == bpf_htons(ETH_P_ARP))
		wanted = (void *)((struct arp_v4 *)at + 1) <= end &&
			 arp_wanted(eth, at, other_vlan);
	if (!wanted)
		return XDP_PASS;
	/* No socket on this queue: the kernel's. */
	return bpf_redirect_map(&xsks, ctx->rx_queue_index, XDP_PASS);
}

SEC("xdp")
int mtcpd_xdp(struct xdp_md *ctx)
{
	return steer(ctx);
}

/* The same for frames in several buffers (jumbo frames, Linux 6.6). */
SEC("xdp.frags")
int mtcpd_xdp_frags(struct xdp_md *ctx)
{
	return steer(ctx);
}

char _license[] SEC("license") = "Dual BSD/GPL";
