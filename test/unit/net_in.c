/* net_in.c - daemon/net: Ethernet, IPv4 and ICMP on the way in */
#include "net_kit.h"

/* A TCP segment of @len bytes with @options bytes of IP options. */
static uint32_t make_tcp(uint8_t *buf, uint32_t len, uint32_t options)
{
	uint32_t at = kit_ip(buf, IPPROTO_TCP, len, options);

	memset(buf + at, 0x5a, len);
	return at + len;
}

static uint32_t make_echo(uint8_t *buf, uint32_t bytes, uint32_t options)
{
	uint32_t at = kit_ip(buf, IPPROTO_ICMP, 8 + bytes, options), i;
	struct hdr_icmp *icmp = (struct hdr_icmp *)(buf + at);

	*icmp = (struct hdr_icmp){ .type = 8, .id_or_zero = 0x1234,
				   .seq_or_mtu = 0x0100 };
	for (i = 0; i < bytes; i++)
		buf[at + 8 + i] = (uint8_t)i;
	icmp->csum = csum_finish(csum_add(0, icmp, 8 + bytes));
	return at + 8 + bytes;
}

/* An error about a segment 10.0.0.1:80 -> 10.9.9.9:4711 of ours. */
static uint32_t make_error(uint8_t *buf, uint8_t type, uint8_t code)
{
	uint32_t at = kit_ip(buf, IPPROTO_ICMP, 8 + 28, 0);
	struct hdr_icmp *icmp = (struct hdr_icmp *)(buf + at);
	struct hdr_ip4 *ip = (struct hdr_ip4 *)(icmp + 1);
	struct hdr_tcp *tcp = (struct hdr_tcp *)(ip + 1);

	*icmp = (struct hdr_icmp){ .type = type, .code = code,
				   .seq_or_mtu = htobe16(1280) };
	*ip = (struct hdr_ip4){ .version_ihl = 0x45, .total_len = htobe16(1500),
				.proto = IPPROTO_TCP,
				.src = kit_v4("10.0.0.1"),
				.dst = kit_v4("10.9.9.9") };
	tcp->sport = htobe16(80);
	tcp->dport = htobe16(4711);
	tcp->seq = htobe32(0xdeadbeef);
	icmp->csum = csum_finish(csum_add(0, icmp, 36));
	return at + 36;
}

static void resum_icmp(uint8_t *buf, uint32_t len)
{
	struct hdr_icmp *icmp = (struct hdr_icmp *)(buf + ETH_BYTES + IP4_BYTES);

	icmp->csum = 0;
	icmp->csum = csum_finish(csum_add(0, icmp, len - ETH_BYTES - IP4_BYTES));
}

static void tcp_is_passed_up(void **state)
{
	static const uint32_t options[] = { 0, 4, 40 };
	struct kit *k = *state;
	uint8_t buf[2048];
	uint32_t i, len;

	for (i = 0; i < 3; i++) {
		len = make_tcp(buf, 100, options[i]);
		assert_int_equal(kit_take(k, buf, len), NET_TCP);
		assert_int_equal(k->rx.l4_len, 100);
		assert_int_equal(k->rx.l4[0], 0x5a);
		assert_ptr_equal(k->rx.l4 + 100, k->f.data + k->f.len);
		assert_int_equal(k->rx.ttl, 61);
		assert_int_equal(k->rx.proto, IPPROTO_TCP);
		assert_memory_equal(k->rx.src_mac, kit_peer, 6);
		assert_false(k->rx.csum_ok);
	}
	/* Ethernet padding does not belong to the datagram. */
	memset(buf, 0, sizeof(buf));
	make_tcp(buf, 3, 0);
	assert_int_equal(kit_take(k, buf, 60), NET_TCP);
	assert_int_equal(k->rx.l4_len, 3);
	assert_int_equal(k->f.len, ETH_BYTES + IP4_BYTES + 3);
}

static void port_vouches_for_sum(void **state)
{
	struct kit *k = *state;
	uint8_t buf[256];

	kit_frame(k, buf, make_tcp(buf, 40, 0), 0);
	k->f.flags = FRAME_CSUM_OK;
	assert_int_equal(kit_in(k), NET_TCP);
	assert_true(k->rx.csum_ok);
}

/* No truncation of a valid frame is taken, and none is read past its end. */
static void every_truncation(void **state)
{
	struct kit *k = *state;
	uint8_t buf[512];
	uint32_t whole[4], len, kind;

	whole[0] = 0;
	for (kind = 0; kind < 4; kind++) {
		for (len = 0; len <= whole[0] || len == 0; len++) {
			if (kind == 0)
				whole[0] = make_tcp(buf, 60, 8);
			else if (kind == 1)
				whole[0] = make_echo(buf, 60, 8);
			else if (kind == 2)
				whole[0] = make_error(buf, 3, 4);
			else
				whole[0] = kit_arp(buf, kit_all, 1, kit_peer,
						   "10.0.0.2", "10.0.0.1");
			if (len < whole[0])
				assert_int_equal(kit_take(k, buf, len),
						 NET_DROP);
			else
				assert_int_not_equal(kit_take(k, buf, len),
						     NET_DROP);
		}
	}
	assert_true(kit_drops(k, NET_DROP_SHORT) >= 200);
}

struct broken {
	const char *what;
	enum net_drop why;
	uint32_t at;		/* byte of the frame */
	uint8_t value;
	bool resum;		/* the IP header's sum is made right again */
};

static const struct broken brokens[] = {
	{ "other MAC", NET_DROP_NOT_OURS, 5, 9, false },
	{ "ethertype", NET_DROP_ETHERTYPE, 12, 0x86, false },
	{ "group source MAC", NET_DROP_IP_SOURCE, 6, 3, false },
	{ "version 6", NET_DROP_IP_HEADER, 14, 0x65, true },
	{ "version 0", NET_DROP_IP_HEADER, 14, 0x05, true },
	{ "IHL 0", NET_DROP_IP_HEADER, 14, 0x40, false },
	{ "IHL 4", NET_DROP_IP_HEADER, 14, 0x44, true },
	{ "IHL 15, too long for it", NET_DROP_IP_CSUM, 14, 0x4f, false },
	{ "total 16 K", NET_DROP_SHORT, 16, 0x40, true },
	{ "total one more", NET_DROP_SHORT, 17, 121, true },
	{ "total below header", NET_DROP_IP_HEADER, 17, 19, true },
	{ "total 0", NET_DROP_IP_HEADER, 17, 0, true },
	{ "sum", NET_DROP_IP_CSUM, 24, 0xff, false },
	{ "id, sum not fitted", NET_DROP_IP_CSUM, 18, 0x99, false },
	{ "UDP", NET_DROP_IP_PROTO, 23, 17, true },
	{ "protocol 0", NET_DROP_IP_PROTO, 23, 0, true },
	{ "from 0.0.0.2", NET_DROP_IP_SOURCE, 26, 0, true },
	{ "from 127.0.0.2", NET_DROP_IP_SOURCE, 26, 127, true },
	{ "from 224.0.0.2", NET_DROP_IP_SOURCE, 26, 224, true },
	{ "from 255.0.0.2", NET_DROP_IP_SOURCE, 26, 255, true },
	{ "from ourselves", NET_DROP_IP_SOURCE, 29, 1, true },
	{ "from our broadcast", NET_DROP_IP_SOURCE, 29, 255, true },
	{ "to another", NET_DROP_NOT_OURS, 33, 7, true },
	{ "to our broadcast", NET_DROP_NOT_OURS, 33, 255, true },
	{ "to multicast", NET_DROP_NOT_OURS, 30, 224, true },
};

static void every_broken_header(void **state)
{
	struct kit *k = *state;
	const struct broken *b;
	uint8_t buf[256];
	uint64_t before;
	uint32_t len;
	size_t i;

	for (i = 0; i < sizeof(brokens) / sizeof(*brokens); i++) {
		b = &brokens[i];
		len = make_tcp(buf, 100, 0);
		buf[b->at] = b->value;
		if (b->resum)
			kit_ip_sum(buf + ETH_BYTES);
		before = kit_drops(k, b->why);
		if (kit_take(k, buf, len) == NET_TCP ||
		    kit_drops(k, b->why) != before + 1)
			fail_msg("%s: not dropped as %s", b->what,
				 net_drop_name(b->why));
	}
}

static void broadcast_frames(void **state)
{
	struct kit *k = *state;
	uint8_t buf[256];
	uint32_t len = make_tcp(buf, 20, 0);

	memset(buf, 255, 6);
	assert_int_equal(kit_take(k, buf, len), NET_DROP);
	len = make_echo(buf, 20, 0);
	memset(buf, 255, 6);
	assert_int_equal(kit_take(k, buf, len), NET_DROP);
	assert_int_equal(kit_drops(k, NET_DROP_NOT_OURS), 2);
}

static void unknown_port(void **state)
{
	struct kit *k = *state;
	uint8_t buf[256];
	uint8_t port;

	for (port = 2; port != 0; port = (uint8_t)(port + 11)) {
		kit_frame(k, buf, make_tcp(buf, 20, 0), 0);
		k->f.port = port;
		assert_int_equal(kit_in(k), NET_DROP);
		if (port > 240)
			break;
	}
}

static uint32_t add_tag(uint8_t *buf, uint32_t len, uint16_t tci)
{
	tci = htobe16(tci);
	memmove(buf + 16, buf + 12, len - 12);
	buf[12] = 0x81;
	buf[13] = 0;
	memcpy(buf + 14, &tci, 2);
	return len + 4;
}

static void vlan_tags(void **state)
{
	struct kit *k = *state;
	uint8_t buf[256];
	uint32_t len;

	len = add_tag(buf, make_echo(buf, 30, 0), 0xe000);	/* priority 7 */
	assert_int_equal(kit_take(k, buf, len), NET_REPLY);
	assert_int_equal(k->f.len, len - 4);
	assert_memory_equal(k->f.data, kit_peer, 6);
	assert_memory_equal(k->f.data + 6, kit_mac[0], 6);
	len = add_tag(buf, make_tcp(buf, 30, 0), 0x6005);
	assert_int_equal(kit_take(k, buf, len), NET_DROP);
	assert_int_equal(kit_drops(k, NET_DROP_VLAN), 1);
	kit_frame(k, buf, make_tcp(buf, 30, 0), 0);
	k->f.vlan = 100;
	assert_int_equal(kit_in(k), NET_DROP);
	assert_int_equal(kit_drops(k, NET_DROP_VLAN), 2);
	kit_frame(k, buf, make_tcp(buf, 30, 0), 0);
	k->f.vlan = 0x2000;
	assert_int_equal(kit_in(k), NET_TCP);
	/* A tag in a tag is nothing that we know; a torn one is too short. */
	len = add_tag(buf, add_tag(buf, make_tcp(buf, 30, 0), 0), 0);
	assert_int_equal(kit_take(k, buf, len), NET_DROP);
	assert_int_equal(kit_drops(k, NET_DROP_ETHERTYPE), 1);
	assert_int_equal(kit_take(k, buf, 15), NET_DROP);
	assert_int_equal(kit_drops(k, NET_DROP_SHORT), 1);
}

/* ---- ICMP ---- */

static void assert_answer(struct kit *k, uint32_t bytes)
{
	const struct hdr_ip4 *ip = (void *)(k->f.data + ETH_BYTES);
	const uint8_t *icmp = k->f.data + ETH_BYTES + IP4_BYTES;
	uint32_t i;

	assert_int_equal(k->f.len, ETH_BYTES + IP4_BYTES + 8 + bytes);
	assert_memory_equal(k->f.data, kit_peer, 6);
	assert_memory_equal(k->f.data + 6, kit_mac[0], 6);
	assert_int_equal(ip->version_ihl, 0x45);
	assert_int_equal(ip->src, kit_v4("10.0.0.1"));
	assert_int_equal(ip->dst, kit_v4("10.0.0.2"));
	assert_int_equal(be16toh(ip->total_len), IP4_BYTES + 8 + bytes);
	assert_int_equal(csum_fold(csum_add(0, ip, IP4_BYTES)), 0xffff);
	assert_int_equal(csum_fold(csum_add(0, icmp, 8 + bytes)), 0xffff);
	assert_int_equal(icmp[0], 0);
	assert_int_equal(icmp[4], 0x34);
	for (i = 0; i < bytes; i++)
		assert_int_equal(icmp[8 + i], (uint8_t)i);
}

static void echo_is_answered(void **state)
{
	static const uint32_t sizes[] = { 0, 1, 7, 56, 57, 1472 };
	struct kit *k = *state;
	uint8_t buf[2048];
	size_t i;

	for (i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		assert_int_equal(kit_take(k, buf, make_echo(buf, sizes[i], 0)),
				 NET_REPLY);
		assert_answer(k, sizes[i]);
		assert_int_equal(kit_take(k, buf,
					  make_echo(buf, sizes[i] / 2, 12)),
				 NET_REPLY);
		assert_answer(k, sizes[i] / 2);
	}
}

/* An echo may not claim more than the frame has: nothing past it goes out. */
static void echo_that_claims_more(void **state)
{
	struct kit *k = *state;
	struct hdr_ip4 *ip;
	uint8_t buf[2048] = { 0 };
	uint32_t len = make_echo(buf, 56, 0), claim;

	ip = (struct hdr_ip4 *)(buf + ETH_BYTES);
	for (claim = len - ETH_BYTES + 1; claim < 65536; claim += 97) {
		ip->total_len = htobe16((uint16_t)claim);
		kit_ip_sum((uint8_t *)ip);
		assert_int_equal(kit_take(k, buf, len), NET_DROP);
	}
	assert_int_equal(kit_drops(k, NET_DROP_IP_CSUM), 0);
	assert_int_equal(counter_get(&net_stats(k->n)->tx_icmp), 0);
}

static void bad_icmp(void **state)
{
	struct kit *k = *state;
	uint8_t buf[256];
	uint32_t len = make_echo(buf, 56, 0);

	buf[len - 1] ^= 1;	/* sum */
	assert_int_equal(kit_take(k, buf, len), NET_DROP);
	make_echo(buf, 56, 0);
	buf[ETH_BYTES + IP4_BYTES + 1] = 1;	/* code */
	resum_icmp(buf, len);
	assert_int_equal(kit_take(k, buf, len), NET_DROP);
	assert_int_equal(kit_drops(k, NET_DROP_ICMP_BAD), 2);
	make_echo(buf, 56, 0);
	buf[ETH_BYTES + IP4_BYTES] = 5;	/* redirect */
	resum_icmp(buf, len);
	assert_int_equal(kit_take(k, buf, len), NET_DROP);
	assert_int_equal(kit_drops(k, NET_DROP_ICMP_OTHER), 1);
}

static void echo_rate(void **state)
{
	struct kit *k = *state;
	uint32_t i, answered = 0;
	uint8_t buf[256];

	for (i = 0; i < 5000; i++)
		answered += kit_take(k, buf, make_echo(buf, 8, 0)) == NET_REPLY;
	assert_int_equal(answered, 1000);
	assert_int_equal(kit_drops(k, NET_DROP_ICMP_RATE), 4000);
	k->now.us += 1000;
	for (i = 0, answered = 0; i < 100; i++)
		answered += kit_take(k, buf, make_echo(buf, 8, 0)) == NET_REPLY;
	assert_int_equal(answered, 10);
}

static void errors_are_parsed(void **state)
{
	struct kit *k = *state;
	uint8_t buf[256];
	char text[ADDR_TEXT_BYTES];

	assert_int_equal(kit_take(k, buf, make_error(buf, 3, 4)),
			 NET_ICMP_ERROR);
	assert_string_equal(addr_text(&k->icmp.src, text), "10.0.0.1");
	assert_string_equal(addr_text(&k->icmp.dst, text), "10.9.9.9");
	assert_int_equal(be16toh(k->icmp.sport), 80);
	assert_int_equal(be16toh(k->icmp.dport), 4711);
	assert_int_equal(k->icmp.seq, 0xdeadbeef);
	assert_int_equal(k->icmp.mtu, 1280);
	assert_int_equal(k->icmp.type, 3);
	assert_int_equal(k->icmp.code, 4);
	assert_int_equal(kit_take(k, buf, make_error(buf, 11, 0)),
			 NET_ICMP_ERROR);
	assert_int_equal(k->icmp.mtu, 0);
}

static void bad_errors(void **state)
{
	static const struct {
		uint32_t at;	/* in the embedded header */
		uint8_t value;
		enum net_drop why;
	} bad[] = {
		{ 0, 0x44, NET_DROP_ICMP_BAD },	/* IHL */
		{ 0, 0x65, NET_DROP_ICMP_BAD },
		{ 0, 0x4f, NET_DROP_ICMP_BAD },
		{ 2, 0, NET_DROP_ICMP_BAD },	/* total 220: see below */
		{ 7, 1, NET_DROP_ICMP_BAD },	/* not the first fragment */
		{ 9, 17, NET_DROP_ICMP_OTHER },
		{ 15, 99, NET_DROP_ICMP_OTHER },	/* not from us */
	};
	struct kit *k = *state;
	const uint32_t embedded = ETH_BYTES + IP4_BYTES + 8;
	uint8_t buf[256];
	uint32_t len;
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		len = make_error(buf, 3, 1);
		buf[embedded + bad[i].at] = bad[i].value;
		if (bad[i].at == 2)
			buf[embedded + 3] = 20;
		resum_icmp(buf, len);
		assert_int_equal(kit_take(k, buf, len), NET_DROP);
		assert_int_equal(kit_drops(k, bad[i].why), 1);
		counter_add(&net_stats(k->n)->drops[bad[i].why], UINT64_MAX);
	}
}

static void unknown_protocol_is_answered(void **state)
{
	struct kit *k = *state;
	const struct hdr_ip4 *ip, *quoted;
	uint8_t buf[256], before[28];
	uint32_t at, len;

	at = kit_ip(buf, IPPROTO_UDP, 30, 0);
	memset(buf + at, 7, 30);
	memcpy(before, buf + ETH_BYTES, sizeof(before));
	len = at + 30;
	kit_frame(k, buf, len, 64);
	assert_int_equal(kit_in(k), NET_REPLY);
	assert_int_equal(kit_drops(k, NET_DROP_IP_PROTO), 1);
	ip = (void *)(k->f.data + ETH_BYTES);
	quoted = (void *)(k->f.data + ETH_BYTES + IP4_BYTES + 8);
	assert_int_equal(k->f.len, ETH_BYTES + IP4_BYTES + 8 + 28);
	assert_int_equal(ip->dst, kit_v4("10.0.0.2"));
	assert_int_equal(k->f.data[34], 3);
	assert_int_equal(k->f.data[35], 2);
	assert_memory_equal(quoted, before, sizeof(before));
	assert_int_equal(csum_fold(csum_add(0, k->f.data + 34, 36)), 0xffff);
	/* No room in the buffer: dropped, nothing written past it. */
	kit_frame(k, buf, len, 0);
	k->f.room = k->f.len;
	kit_in(k);
}

static void no_complaint_about(void **state)
{
	struct kit *k = *state;
	struct hdr_ip4 *ip;
	uint8_t buf[256];
	uint32_t len;

	kit_frame(k, buf, make_error(buf, 3, 1), 100);
	assert_false(net_unreachable(k->n, &k->f, 3, k->now));
	kit_frame(k, buf, make_tcp(buf, 30, 0), 0);
	assert_false(net_unreachable(k->n, &k->f, 3, k->now));	/* no room */
	len = make_tcp(buf, 30, 0);
	ip = (struct hdr_ip4 *)(buf + ETH_BYTES);
	ip->frag = htobe16(3);
	kit_ip_sum((uint8_t *)ip);
	kit_frame(k, buf, len, 100);
	assert_false(net_unreachable(k->n, &k->f, 3, k->now));
	kit_frame(k, buf, make_tcp(buf, 30, 0), 100);
	k->f.data[0] |= 1;
	assert_false(net_unreachable(k->n, &k->f, 3, k->now));
	kit_frame(k, buf, make_tcp(buf, 2, 0), 100);	/* quotes what there is */
	assert_true(net_unreachable(k->n, &k->f, 3, k->now));
	assert_int_equal(k->f.len, ETH_BYTES + IP4_BYTES + 8 + IP4_BYTES + 2);
}

static uint32_t draw(uint32_t below)
{
	return (uint32_t)rand() % below;
}

static uint32_t some_frame(uint8_t *buf)
{
	uint32_t len = draw(300), i;

	switch (draw(5)) {
	case 0:
		return make_tcp(buf, draw(200), 4 * draw(11));
	case 1:
		return make_echo(buf, draw(200), 4 * draw(11));
	case 2:
		return make_error(buf, 3, (uint8_t)draw(6));
	case 3:
		return kit_arp(buf, kit_all, (uint16_t)(1 + draw(2)), kit_peer,
			       "10.0.0.2", "10.0.0.1");
	default:
		for (i = 0; i < len; i++)
			buf[i] = (uint8_t)rand();
		return len;
	}
}

/* Random bytes and mutations of good frames: whatever the verdict, what it
 * promises holds. */
static void noise(void **state)
{
	struct kit *k = *state;
	uint8_t buf[512];
	uint32_t round, i, len;
	enum net_verdict v;

	srand(2);
	for (round = 0; round < 300000; round++) {
		k->now.us += draw(100000);
		len = some_frame(buf);
		for (i = draw(4); i > 0 && len; i--)
			buf[draw(len)] = (uint8_t)rand();
		if (len >= 34 && draw(2) && (buf[14] & 15u) * 4 + 14 <= len)
			kit_ip_sum(buf + ETH_BYTES);
		kit_frame(k, buf, len, draw(80));
		v = kit_in(k);
		assert_true(k->f.data > k->memory);
		assert_true(k->f.len <= k->f.room);
		assert_true(v <= NET_HELD);
		if (v == NET_REPLY)
			assert_memory_equal(k->f.data + 6, kit_mac[0], 6);
		net_advance(k->n, k->now);
	}
}

static void names(void **state)
{
	enum net_drop i, j;

	(void)state;
	for (i = 0; i < NET_DROPS; i++) {
		assert_non_null(net_drop_name(i));
		for (j = 0; j < i; j++)
			assert_string_not_equal(net_drop_name(i),
						net_drop_name(j));
	}
	assert_string_equal(net_drop_name(NET_DROPS), "unknown");
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, kit_open, kit_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(tcp_is_passed_up), CASE(port_vouches_for_sum),
		CASE(every_truncation), CASE(every_broken_header),
		CASE(broadcast_frames), CASE(unknown_port), CASE(vlan_tags),
		CASE(echo_is_answered), CASE(echo_that_claims_more),
		CASE(bad_icmp), CASE(echo_rate), CASE(errors_are_parsed),
		CASE(bad_errors), CASE(unknown_protocol_is_answered),
		CASE(no_complaint_about), CASE(noise), CASE(names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
