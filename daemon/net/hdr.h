/*
 * hdr.h - headers as they are on the wire
 *
 * All multi-byte fields are in network order.  The structs are packed and may
 * lie at any address.
 */
#ifndef NET_HDR_H
#define NET_HDR_H

#include <stdint.h>

#define ETH_BYTES	14
#define ETH_TYPE_IP	0x0800
#define ETH_TYPE_ARP	0x0806
#define ETH_TYPE_VLAN	0x8100

struct hdr_eth {
	uint8_t dst[6], src[6];
	uint16_t type;
} __attribute__((packed));
_Static_assert(sizeof(struct hdr_eth) == ETH_BYTES, "IEEE 802.3");

struct hdr_arp {		/* RFC 826, Ethernet and IPv4 */
	uint16_t hrd, pro;
	uint8_t hln, pln;
	uint16_t op;
	uint8_t sha[6];
	uint32_t spa;
	uint8_t tha[6];
	uint32_t tpa;
} __attribute__((packed));
_Static_assert(sizeof(struct hdr_arp) == 28, "RFC 826");

#define IP4_BYTES	20
#define IP4_DF		0x4000
#define IP4_MF		0x2000
#define IP4_OFFSET	0x1fff

struct hdr_ip4 {		/* RFC 791 */
	uint8_t version_ihl, tos;
	uint16_t total_len, id, frag;
	uint8_t ttl, proto;
	uint16_t csum;
	uint32_t src, dst;
} __attribute__((packed));
_Static_assert(sizeof(struct hdr_ip4) == IP4_BYTES, "RFC 791");

struct hdr_icmp {		/* RFC 792 */
	uint8_t type, code;
	uint16_t csum;
	uint16_t id_or_zero, seq_or_mtu;
} __attribute__((packed));
_Static_assert(sizeof(struct hdr_icmp) == 8, "RFC 792");

#define TCP_BYTES	20
enum {
	TCP_FIN = 1, TCP_SYN = 2, TCP_RST = 4, TCP_PSH = 8, TCP_ACK = 16,
	TCP_URG = 32, TCP_ECE = 64, TCP_CWR = 128,
	TCP_AE = 256	/* RFC 9768: the lowest bit of data_off's byte */
};

struct hdr_tcp {		/* RFC 9293 3.1 */
	uint16_t sport, dport;
	uint32_t seq, ack;
	uint8_t data_off;	/* high nibble, 32-bit words */
	uint8_t flags;
	uint16_t wnd, csum, urp;
} __attribute__((packed));
_Static_assert(sizeof(struct hdr_tcp) == TCP_BYTES, "RFC 9293 3.1");

#endif
