/*
 * net_kit.h - one struct net and hand-made frames, for the net_* tests
 *
 * Port 0 is 02:..:01 with 10.0.0.1/24, port 1 is 02:..:02 with 192.168.7.1/16;
 * the peer on port 0 is 10.0.0.2 at 02:..:aa.  A frame's buffer ends where the
 * frame does, allocated anew, so that the address sanitizer sees every byte
 * read past it.
 */
#ifndef TEST_UNIT_NET_KIT_H
#define TEST_UNIT_NET_KIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <endian.h>
#include <errno.h>
#include <netinet/in.h>

#include "net/net.h"

#define KIT_SECOND	UINT64_C(1000000)

static const uint8_t kit_mac[2][6] = { { 2, 0, 0, 0, 0, 1 },
				       { 2, 0, 0, 0, 0, 2 } };
static const uint8_t kit_peer[6] = { 2, 0, 0, 0, 0, 0xaa };
static const uint8_t kit_all[6] = { 255, 255, 255, 255, 255, 255 };

struct kit {
	struct net *n;
	mono_t now;
	struct net_rx rx;
	struct net_icmp_error icmp;
	struct frame f;
	uint8_t *memory;
};

static inline struct ip_addr kit_addr(const char *text)
{
	struct ip_addr a;

	assert_int_equal(addr_parse(&a, text), 0);
	return a;
}

static inline uint32_t kit_v4(const char *text)
{
	struct ip_addr a = kit_addr(text);

	return addr_v4(&a);
}

static inline int kit_open(void **state)
{
	static const uint8_t secret[16] = "not very secret";
	struct kit *k = calloc(1, sizeof(*k));
	const struct net_addr addrs[] = {
		{ kit_addr("10.0.0.1"), 96 + 24, 0 },
		{ kit_addr("192.168.7.1"), 96 + 16, 1 },
	};

	assert_non_null(k);
	k->now.us = 4000000 * KIT_SECOND;	/* 46 days of uptime */
	assert_int_equal(net_init(&k->n, secret), 0);
	assert_int_equal(net_set_port(k->n, 0, kit_mac[0], 1500), 0);
	assert_int_equal(net_set_port(k->n, 1, kit_mac[1], 9000), 0);
	assert_int_equal(net_set_addrs(k->n, addrs, 2), 0);
	*state = k;
	return 0;
}

static inline int kit_close(void **state)
{
	struct kit *k = *state;

	net_fini(k->n);
	free(k->memory);
	free(k);
	return 0;
}

/* A frame of exactly @len bytes, with @tail bytes of room behind. */
static inline void kit_frame(struct kit *k, const uint8_t *bytes, uint32_t len,
			     uint32_t tail)
{
	free(k->memory);
	k->memory = malloc(len + tail + 1);
	assert_non_null(k->memory);
	memcpy(k->memory + 1, bytes, len);	/* odd: headers may be anywhere */
	k->f = (struct frame){ .data = k->memory + 1, .len = len,
			       .room = len + tail };
}

static inline enum net_verdict kit_in(struct kit *k)
{
	return net_in(k->n, &k->f, k->now, &k->rx, &k->icmp);
}

static inline enum net_verdict kit_take(struct kit *k, const uint8_t *bytes,
					uint32_t len)
{
	kit_frame(k, bytes, len, 0);
	return kit_in(k);
}

static inline uint64_t kit_drops(const struct kit *k, enum net_drop why)
{
	return counter_get(&net_stats(k->n)->drops[why]);
}

static inline uint32_t kit_eth(uint8_t *at, const uint8_t dst[6],
			       const uint8_t src[6], uint16_t type)
{
	struct hdr_eth *eth = (struct hdr_eth *)at;

	memcpy(eth->dst, dst, 6);
	memcpy(eth->src, src, 6);
	eth->type = htobe16(type);
	return ETH_BYTES;
}

static inline void kit_ip_sum(uint8_t *at)
{
	struct hdr_ip4 *ip = (struct hdr_ip4 *)at;

	ip->csum = 0;
	ip->csum = csum_finish(csum_add(0, at, (ip->version_ihl & 15u) * 4));
}

/* Ethernet and IPv4 headers from the peer to 10.0.0.1 before @l4_len bytes,
 * with @options bytes (of NOP) between; returns where the L4 header goes. */
static inline uint32_t kit_ip(uint8_t *at, uint8_t proto, uint32_t l4_len,
			      uint32_t options)
{
	struct hdr_ip4 *ip = (struct hdr_ip4 *)(at + ETH_BYTES);

	kit_eth(at, kit_mac[0], kit_peer, ETH_TYPE_IP);
	*ip = (struct hdr_ip4){
		.version_ihl = (uint8_t)(0x40 | (5 + options / 4)),
		.total_len = htobe16((uint16_t)(IP4_BYTES + options + l4_len)),
		.id = htobe16(0x4242), .ttl = 61, .proto = proto,
		.src = kit_v4("10.0.0.2"), .dst = kit_v4("10.0.0.1"),
	};
	memset(ip + 1, 1, options);
	kit_ip_sum((uint8_t *)ip);
	return ETH_BYTES + IP4_BYTES + options;
}

/* An ARP message from @sha/@spa about @tpa. */
static inline uint32_t kit_arp(uint8_t *at, const uint8_t dst[6], uint16_t op,
			       const uint8_t sha[6], const char *spa,
			       const char *tpa)
{
	struct hdr_arp *arp = (struct hdr_arp *)(at + ETH_BYTES);

	kit_eth(at, dst, sha, ETH_TYPE_ARP);
	*arp = (struct hdr_arp){ .hrd = htobe16(1), .pro = htobe16(0x0800),
				 .hln = 6, .pln = 4, .op = htobe16(op),
				 .spa = kit_v4(spa), .tpa = kit_v4(tpa) };
	memcpy(arp->sha, sha, 6);
	return ETH_BYTES + 28;
}

#endif
