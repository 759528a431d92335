/*
 * icmp.c - RFC 792: echo, and errors both ways
 *
 * What is sent goes back in the frame that caused it, is never longer than
 * what was really received, and is limited in rate (RFC 1812 4.3.2.8).
 */
#include <endian.h>
#include <netinet/in.h>
#include <string.h>

#include "net/net_state.h"

enum {
	ICMP_ECHO_ANSWER = 0, ICMP_UNREACHABLE = 3, ICMP_ECHO_ASK = 8,
	ICMP_TIME = 11, ICMP_PARAMETER = 12
};

#define UNREACHABLE_NEED_FRAG	4
#define QUOTE_BYTES	8	/* of the payload (RFC 792) */
#define REPLY_TTL	64

/* At most @per_s a second, a tenth of that at once. */
static bool take_token(struct bucket *b, uint64_t per_s, mono_t now)
{
	uint64_t most = per_s / 10 * 1000000, fresh;
	int64_t gap = mono_diff_us(b->filled, now);

	if (b->filled.us == 0 || gap > 1000000)
		b->tokens = most;
	else if (gap > 0) {
		fresh = (uint64_t)gap * per_s;
		b->tokens = b->tokens + fresh < most ? b->tokens + fresh : most;
	}
	b->filled = now;
	if (b->tokens < 1000000)
		return false;
	b->tokens -= 1000000;
	return true;
}

/* Options of a request do not come back: the header is 20 bytes again. */
static uint8_t *without_options(struct frame *f, uint32_t l4_len)
{
	uint32_t options = f->len - l4_len - ETH_BYTES - IP4_BYTES;

	memmove(f->data + options, f->data, ETH_BYTES + IP4_BYTES);
	f->data += options;
	f->len -= options;
	f->room -= options;
	return f->data + ETH_BYTES;
}

/* @rx->l4_len was checked against the frame, which ends with it. */
static enum net_verdict echo(struct net *n, struct frame *f, mono_t now,
			     const struct net_rx *rx)
{
	struct net_tx tx = { .src = rx->dst, .dst = rx->src, .ttl = REPLY_TTL,
			     .proto = IPPROTO_ICMP };
	struct hdr_icmp *icmp;
	uint8_t *ip;

	if (!take_token(&n->echo, ICMP_ECHO_PER_S, now))
		return net_drop(n, NET_DROP_ICMP_RATE);
	ip = without_options(f, rx->l4_len);
	tx.tos = ((struct hdr_ip4 *)ip)->tos;	/* RFC 1122 3.2.2.6 */
	ip4_write(n, ip, &tx, rx->l4_len);
	icmp = (struct hdr_icmp *)(ip + IP4_BYTES);
	icmp->type = ICMP_ECHO_ANSWER;
	icmp->csum = 0;
	icmp->csum = csum_finish(csum_add(0, icmp, rx->l4_len));
	eth_turn(n, f);
	counter_add(&n->stats.tx_icmp, 1);
	return NET_REPLY;
}

/*
 * An error about a datagram of ours: the embedded header must be a TCP
 * segment's first fragment from an address of ours (RFC 5927 4, and the
 * sequence number is TCP's to check).  Its sum may have been left to a port
 * or broken by a NAT: it is not looked at.
 */
static enum net_verdict error_in(struct net *n, const struct net_rx *rx,
				 struct net_icmp_error *out)
{
	const struct hdr_icmp *icmp = (const struct hdr_icmp *)rx->l4;
	const uint8_t *at = rx->l4 + sizeof(*icmp);
	uint32_t bytes = rx->l4_len - (uint32_t)sizeof(*icmp), header;
	const struct hdr_ip4 *ip = (const struct hdr_ip4 *)at;
	const struct hdr_tcp *tcp;

	if (bytes < IP4_BYTES + QUOTE_BYTES)
		return net_drop(n, NET_DROP_ICMP_BAD);
	header = (ip->version_ihl & 15u) * 4;
	if (ip->version_ihl >> 4 != 4 || header < IP4_BYTES ||
	    bytes < header + QUOTE_BYTES ||
	    be16toh(ip->total_len) < header + QUOTE_BYTES ||
	    (ip->frag & htobe16(IP4_OFFSET)) != 0)
		return net_drop(n, NET_DROP_ICMP_BAD);
	out->src = addr_from_v4(ip->src);
	out->dst = addr_from_v4(ip->dst);
	if (ip->proto != IPPROTO_TCP || !net_is_ours(n, &out->src))
		return net_drop(n, NET_DROP_ICMP_OTHER);
	tcp = (const struct hdr_tcp *)(at + header);
	out->sport = tcp->sport;
	out->dport = tcp->dport;
	out->seq = be32toh(tcp->seq);
	out->type = icmp->type;
	out->code = icmp->code;
	out->mtu = icmp->type == ICMP_UNREACHABLE &&
		   icmp->code == UNREACHABLE_NEED_FRAG ?
		   be16toh(icmp->seq_or_mtu) : 0;	/* RFC 1191 4 */
	return NET_ICMP_ERROR;
}

enum net_verdict icmp_in(struct net *n, struct frame *f, mono_t now,
			 const struct net_rx *rx, struct net_icmp_error *out)
{
	const struct hdr_icmp *icmp = (const struct hdr_icmp *)rx->l4;

	counter_add(&n->stats.rx_icmp, 1);
	if (rx->l4_len < sizeof(*icmp) ||
	    csum_fold(csum_add(0, rx->l4, rx->l4_len)) != 0xffff)
		return net_drop(n, NET_DROP_ICMP_BAD);
	switch (icmp->type) {
	case ICMP_ECHO_ASK:
		if (icmp->code != 0)
			return net_drop(n, NET_DROP_ICMP_BAD);
		return echo(n, f, now, rx);
	case ICMP_UNREACHABLE:
	case ICMP_TIME:
	case ICMP_PARAMETER:
		return error_in(n, rx, out);
	default:
		return net_drop(n, NET_DROP_ICMP_OTHER);
	}
}

/* RFC 1122 3.2.2: never about an ICMP error (here: any ICMP), a fragment but
 * the first, or what was not sent to one host alone. */
static bool may_complain(const struct net *n, const struct frame *f)
{
	const struct hdr_eth *eth = (const struct hdr_eth *)f->data;
	const struct hdr_ip4 *ip;
	struct ip_addr dst;
	uint32_t first;

	if (f->len < ETH_BYTES || eth->type != htobe16(ETH_TYPE_IP) ||
	    (eth->dst[0] & 1) != 0 ||
	    ip4_check(f->data + ETH_BYTES, f->len - ETH_BYTES) != NET_DROP_NONE)
		return false;
	ip = (const struct hdr_ip4 *)(f->data + ETH_BYTES);
	first = be32toh(ip->src) >> 24;
	dst = addr_from_v4(ip->dst);
	return ip->proto != IPPROTO_ICMP &&
	       (ip->frag & htobe16(IP4_OFFSET)) == 0 && first != 0 &&
	       first != 127 && first < 224 && net_is_ours(n, &dst);
}

/* How much of the datagram at @ip goes into an error about it. */
static uint32_t quote_bytes(const struct hdr_ip4 *ip)
{
	uint32_t most = (ip->version_ihl & 15u) * 4 + QUOTE_BYTES;
	uint32_t total = be16toh(ip->total_len);

	return total < most ? total : most;
}

bool net_unreachable(struct net *n, struct frame *f, uint8_t code, mono_t now)
{
	const uint32_t front = ETH_BYTES + IP4_BYTES + sizeof(struct hdr_icmp);
	struct net_tx tx = { .ttl = REPLY_TTL, .proto = IPPROTO_ICMP };
	const struct hdr_ip4 *ip;
	struct hdr_icmp *icmp;
	uint32_t quote, l4_len;

	if (f->port >= NET_PORTS_MAX || !may_complain(n, f))
		return false;
	ip = (const struct hdr_ip4 *)(f->data + ETH_BYTES);
	quote = quote_bytes(ip);
	if (f->room < front + quote)
		return false;
	if (!take_token(&n->error, ICMP_ERROR_PER_S, now)) {
		net_drop(n, NET_DROP_ICMP_RATE);
		return false;
	}
	tx.src = addr_from_v4(ip->dst);
	tx.dst = addr_from_v4(ip->src);
	l4_len = (uint32_t)sizeof(*icmp) + quote;
	memmove(f->data + front, ip, quote);
	ip4_write(n, f->data + ETH_BYTES, &tx, l4_len);
	icmp = (struct hdr_icmp *)(f->data + ETH_BYTES + IP4_BYTES);
	*icmp = (struct hdr_icmp){ .type = ICMP_UNREACHABLE, .code = code };
	icmp->csum = csum_finish(csum_add(0, icmp, l4_len));
	f->len = front + quote;
	eth_turn(n, f);
	counter_add(&n->stats.tx_icmp, 1);
	return true;
}
