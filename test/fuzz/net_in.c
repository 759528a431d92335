/*
 * net_in.c - fuzzes daemon/net with frames, time and demand
 *
 * The input is a program of steps: a byte that says what, then its operands.
 *
 *	0  port, length (2 bytes), that many bytes: a frame comes in; bit 1 of
 *	   the port: its checksums are made right first, so that mutations
 *	   come further than those
 *	1  2 bytes: so many times 4 ms pass
 *	2  last byte of 10.0.0.x: we send there
 *	3  what waits is taken: requests, ready and failed frames
 *
 * What must hold: every verdict's promise (bytes it names lie in the frame or
 * in the reassembly buffer; an answer goes out from our MAC and fits), every
 * frame that was handed over comes back once, and in the end nothing waits.
 */
#include <endian.h>
#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "net/net.h"

#define OUR_FRAMES	64
#define FRAME_BYTES	256

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t our_mac[6] = { 2, 0, 0, 0, 0, 1 };

struct run {
	struct net *n;
	mono_t now;
	const uint8_t *at, *end;
	struct frame frames[OUR_FRAMES];
	bool lent[OUR_FRAMES];		/* the neighbour table has it */
	uint8_t memory[OUR_FRAMES][FRAME_BYTES];
	unsigned int lent_count;
};

static uint8_t take(struct run *r)
{
	return r->at < r->end ? *r->at++ : 0;
}

static uint32_t take16(struct run *r)
{
	uint32_t high = take(r);

	return high << 8 | take(r);
}

static void touch(const uint8_t *p, uint32_t len)
{
	volatile uint8_t sum = 0;
	uint32_t i;

	for (i = 0; i < len; i++)
		sum = (uint8_t)(sum + p[i]);
}

static void check_verdict(const struct run *r, enum net_verdict v,
			  const struct frame *f, const uint8_t *memory,
			  uint32_t room, const struct net_rx *rx)
{
	ENSURE(f->data >= memory && f->data + f->room <= memory + room,
	       "data and room stay in the buffer");
	ENSURE(f->len <= f->room, "a frame fits its buffer");
	switch (v) {
	case NET_TCP:
		ENSURE(rx->proto == IPPROTO_TCP, "only TCP is passed up");
		ENSURE(net_is_ours(r->n, &rx->dst), "it is for us");
		ENSURE(!net_is_ours(r->n, &rx->src), "it is not from us");
		touch(rx->l4, rx->l4_len);
		break;
	case NET_REPLY:
		ENSURE(f->len >= ETH_BYTES + IP4_BYTES, "a whole answer");
		ENSURE(memcmp(f->data + 6, our_mac, 6) == 0, "from our MAC");
		touch(f->data, f->len);
		break;
	default:
		break;
	}
}

static void mend_sums(uint8_t *memory, uint32_t len)
{
	struct hdr_ip4 *ip = (struct hdr_ip4 *)(memory + ETH_BYTES);
	uint32_t header, total;
	struct hdr_icmp *icmp;

	if (len < ETH_BYTES + IP4_BYTES)
		return;
	header = (ip->version_ihl & 15u) * 4;
	total = be16toh(ip->total_len);
	if (header < IP4_BYTES || header > total || total > len - ETH_BYTES)
		return;
	ip->csum = 0;
	ip->csum = csum_finish(csum_add(0, ip, header));
	if (ip->proto != IPPROTO_ICMP || total - header < sizeof(*icmp))
		return;
	icmp = (struct hdr_icmp *)((uint8_t *)ip + header);
	icmp->csum = 0;
	icmp->csum = csum_finish(csum_add(0, icmp, total - header));
}

static void frame_in(struct run *r)
{
	uint8_t port = take(r);
	uint32_t len = take16(r) % 2048;
	struct net_icmp_error icmp;
	struct net_rx rx;
	struct frame f;
	uint8_t *memory;
	enum net_verdict v;

	if (len > (size_t)(r->end - r->at))
		len = (uint32_t)(r->end - r->at);
	memory = malloc(len ? len : 1);
	if (!memory)
		abort();
	memcpy(memory, r->at, len);
	r->at += len;
	if (port & 2)
		mend_sums(memory, len);
	f = (struct frame){ .data = memory, .len = len, .room = len,
			    .port = port & 1 };
	v = net_in(r->n, &f, r->now, &rx, &icmp);
	check_verdict(r, v, &f, memory, len, &rx);
	if (v == NET_TCP && f.len >= ETH_BYTES)
		net_unreachable(r->n, &f, 3, r->now);
	free(memory);
}

static void give_back(struct run *r, struct frame *f)
{
	ptrdiff_t i = f - r->frames;

	ENSURE(i >= 0 && i < OUR_FRAMES && r->lent[i], "comes back once");
	r->lent[i] = false;
	r->lent_count--;
}

static void collect(struct run *r)
{
	uint8_t buf[64], port;
	struct net_neigh_entry learnt[8];
	struct frame *f[8];
	int n, k, turns;

	for (turns = 0; net_request(r->n, r->now, buf, &port) > 0; turns++)
		ENSURE(turns < 10000, "requests end");
	while ((n = net_ready(r->n, f, 8)) > 0)
		for (k = 0; k < n; k++)
			give_back(r, f[k]);
	while ((n = net_failed(r->n, f, 8)) > 0)
		for (k = 0; k < n; k++)
			give_back(r, f[k]);
	while (net_learnt(r->n, learnt, 8) > 0)
		;
}

static void send_to(struct run *r, uint8_t host)
{
	struct ip_addr from = { { 0 } };
	struct ip_addr dst = addr_from_v4(htobe32(0x0a000000u | host));
	struct net_tx tx = { .dst = dst, .proto = IPPROTO_TCP, .ttl = 64 };
	struct net_path path;
	int i, error;

	for (i = 0; i < OUR_FRAMES && r->lent[i]; i++)
		;
	if (i == OUR_FRAMES || net_lookup(r->n, &from, &dst, &path) != 0)
		return;
	tx.src = from;
	r->frames[i] = (struct frame){ .data = r->memory[i] + FRAME_HEADROOM,
				       .len = 40, .room = 40 };
	error = net_out(r->n, &path, &tx, &r->frames[i], r->now);
	if (error == -EINPROGRESS) {
		r->lent[i] = true;
		r->lent_count++;
	}
}

static void step(struct run *r)
{
	switch (take(r) & 3) {
	case 0:
		frame_in(r);
		break;
	case 1:
		r->now.us += take16(r) * 4000;
		net_advance(r->n, r->now);
		break;
	case 2:
		send_to(r, take(r));
		break;
	default:
		collect(r);
	}
}

static void settle(struct run *r)
{
	int i;

	for (i = 0; i < 40 || r->lent_count; i++) {
		ENSURE(i < 400, "all frames come back in the end");
		r->now.us += 500000;
		net_advance(r->n, r->now);
		collect(r);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t secret[16] = "fuzz";
	static struct run r;
	struct net_addr a = { addr_from_v4(htobe32(0x0a000001)), 96 + 24, 0 };

	memset(&r, 0, sizeof(r));
	r.at = data;
	r.end = data + size;
	r.now.us = 1000000;
	if (net_init(&r.n, secret) != 0)
		abort();
	net_set_port(r.n, 0, our_mac, 1500);
	net_set_addrs(r.n, &a, 1);
	while (r.at < r.end)
		step(&r);
	settle(&r);
	net_fini(r.n);
	return 0;
}
