/* What the kernel says, and what it would never say: parsers of rtnetlink,
 * sock_diag and nf_tables on right, cut and random messages. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <linux/inet_diag.h>
#include <linux/neighbour.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "control/firewall.h"
#include "control/follow.h"
#include "control/netlink.h"
#include "control/share.h"

#define IFINDEX	7

struct message {
	_Alignas(8) uint8_t bytes[512];
	size_t used;
};

static void begin(struct message *m, uint16_t type, const void *body, size_t n)
{
	const struct nlmsghdr h = { .nlmsg_type = type };

	memset(m, 0, sizeof(*m));
	memcpy(m->bytes, &h, sizeof(h));
	memcpy(m->bytes + sizeof(h), body, n);
	m->used = sizeof(h) + ((n + 3) & ~3u);
}

static void attr(struct message *m, uint16_t type, const void *data, size_t n)
{
	const struct nlattr a = { .nla_len = (uint16_t)(sizeof(a) + n),
				  .nla_type = type };

	memcpy(m->bytes + m->used, &a, sizeof(a));
	memcpy(m->bytes + m->used + sizeof(a), data, n);
	m->used += sizeof(a) + ((n + 3) & ~3u);
}

static void give(struct message *m, void (*take)(void *, const struct nlmsghdr *),
		 void *arg)
{
	const uint32_t len = (uint32_t)m->used;

	memcpy(m->bytes, &len, sizeof(len));
	netlink_each(m->bytes, m->used, take, arg);
}

static uint32_t v4(const char *text)
{
	return inet_addr(text);
}

static struct follow_tables *tables(void)
{
	struct follow_tables *t = calloc(1, sizeof(*t));

	assert_non_null(t);
	t->ports[2].ifindex = IFINDEX;
	return t;
}

static void route(struct message *m, uint16_t type, const char *dst,
		  uint8_t len, const char *gateway, uint32_t oif)
{
	const struct rtmsg b = { .rtm_family = AF_INET, .rtm_dst_len = len,
				 .rtm_table = RT_TABLE_MAIN,
				 .rtm_type = RTN_UNICAST };
	uint32_t d = v4(dst), g = v4(gateway);

	begin(m, type, &b, sizeof(b));
	attr(m, RTA_DST, &d, 4);
	attr(m, RTA_GATEWAY, &g, 4);
	attr(m, RTA_OIF, &oif, 4);
}

static void routes(void **state)
{
	struct follow_tables *t = tables();
	struct message m;

	(void)state;
	route(&m, RTM_NEWROUTE, "10.1.0.0", 16, "10.0.0.1", IFINDEX);
	give(&m, follow_take, t);
	give(&m, follow_take, t);		/* the same again */
	assert_int_equal(t->route_count, 1);
	assert_int_equal(t->routes[0].prefix, 112);
	assert_int_equal(t->routes[0].port, 2);
	route(&m, RTM_NEWROUTE, "10.2.0.0", 16, "10.0.0.1", IFINDEX + 1);
	give(&m, follow_take, t);		/* another device's */
	route(&m, RTM_NEWROUTE, "10.2.0.0", 33, "10.0.0.1", IFINDEX);
	give(&m, follow_take, t);
	assert_int_equal(t->route_count, 1);
	route(&m, RTM_DELROUTE, "10.1.0.0", 16, "10.0.0.1", IFINDEX);
	give(&m, follow_take, t);
	give(&m, follow_take, t);
	assert_int_equal(t->route_count, 0);
	for (uint32_t i = 0; i < NET_ROUTES_MAX + 5; i++) {
		char text[32];

		snprintf(text, sizeof(text), "10.%u.%u.0", i / 256, i % 256);
		route(&m, RTM_NEWROUTE, text, 24, "10.0.0.1", IFINDEX);
		give(&m, follow_take, t);
	}
	assert_int_equal(t->route_count, NET_ROUTES_MAX);
	assert_int_equal(t->no_room, 5);
	free(t);
}

static void neighbour(struct message *m, uint16_t type, uint16_t nud,
		      const uint8_t *mac, size_t mac_bytes)
{
	const struct ndmsg b = { .ndm_family = AF_INET, .ndm_ifindex = IFINDEX,
				 .ndm_state = nud };
	uint32_t d = v4("10.0.0.9");

	begin(m, type, &b, sizeof(b));
	attr(m, NDA_DST, &d, 4);
	attr(m, NDA_LLADDR, mac, mac_bytes);
}

static void neighbours(void **state)
{
	static const uint8_t mac[8] = { 2, 0, 0, 0, 0, 9 }, group[6] = { 1 };
	struct follow_tables *t = tables();
	struct message m;

	(void)state;
	neighbour(&m, RTM_NEWNEIGH, NUD_STALE, mac, 6);
	give(&m, follow_take, t);
	assert_int_equal(t->neigh_count, 1);
	assert_memory_equal(t->neigh[0].mac, mac, 6);
	t->changed = false;
	neighbour(&m, RTM_NEWNEIGH, NUD_REACHABLE, mac, 6);
	give(&m, follow_take, t);
	assert_false(t->changed);		/* nothing that we want to know */
	neighbour(&m, RTM_NEWNEIGH, NUD_FAILED, mac, 6);
	give(&m, follow_take, t);
	assert_int_equal(t->neigh_count, 0);
	neighbour(&m, RTM_NEWNEIGH, NUD_REACHABLE, mac, 8);
	give(&m, follow_take, t);
	neighbour(&m, RTM_NEWNEIGH, NUD_REACHABLE, group, 6);
	give(&m, follow_take, t);
	assert_int_equal(t->neigh_count, 0);
	free(t);
}

static void addresses(void **state)
{
	struct ifaddrmsg b = { .ifa_family = AF_INET, .ifa_prefixlen = 24,
			       .ifa_index = IFINDEX };
	struct follow_tables *t = tables();
	struct message m;

	(void)state;
	for (uint32_t i = 1; i <= 20; i++) {
		uint32_t a = htonl(0x0a000000 + i);

		begin(&m, RTM_NEWADDR, &b, sizeof(b));
		attr(&m, IFA_LOCAL, &a, 4);
		give(&m, follow_take, t);
	}
	assert_int_equal(t->ports[2].addr_count, 16);
	assert_int_equal(t->no_room, 4);
	for (uint32_t i = 1; i <= 20; i++) {
		uint32_t a = htonl(0x0a000000 + i);

		begin(&m, RTM_DELADDR, &b, sizeof(b));
		attr(&m, IFA_LOCAL, &a, 4);
		give(&m, follow_take, t);
	}
	assert_int_equal(t->ports[2].addr_count, 0);
	free(t);
}

static void listens(void **state)
{
	struct inet_diag_msg d = { .idiag_family = AF_INET };
	struct ip_addr ours = addr_from_v4(v4("10.0.0.1"));
	struct share_question q = { .addr = &ours, .port = htons(80) };
	struct message m;

	(void)state;
	d.id.idiag_sport = htons(81);
	begin(&m, SOCK_DIAG_BY_FAMILY, &d, sizeof(d));
	give(&m, share_diag, &q);
	assert_false(q.found);			/* another port */
	d.id.idiag_sport = htons(80);
	d.id.idiag_src[0] = v4("10.0.0.2");
	begin(&m, SOCK_DIAG_BY_FAMILY, &d, sizeof(d));
	give(&m, share_diag, &q);
	assert_false(q.found);			/* another address */
	d.idiag_family = AF_INET6;
	memset(d.id.idiag_src, 0, sizeof(d.id.idiag_src));
	begin(&m, SOCK_DIAG_BY_FAMILY, &d, sizeof(d));
	m.used -= 8;				/* cut */
	give(&m, share_diag, &q);
	assert_false(q.found);
	m.used += 8;
	give(&m, share_diag, &q);
	assert_true(q.found);			/* [::]:80 */
}

static void rules(void **state)
{
	struct net_addr a = { .addr = addr_from_v4(v4("10.0.0.1")),
			      .prefix = 96 + 24 };
	struct firewall f = { .addrs = &a, .count = 1 };
	const struct nfgenmsg b = { .nfgen_family = AF_INET };
	const uint16_t type = NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWRULE;
	uint32_t whole = v4("10.0.0.1"), net = v4("10.0.0.0");
	uint32_t other = v4("10.0.1.0");
	struct message m;

	(void)state;
	begin(&m, type, &b, sizeof(b));
	attr(&m, NFTA_DATA_VALUE, &other, 4);
	give(&m, firewall_rule, &f);
	assert_int_equal(f.about[0], 0);
	attr(&m, NFTA_DATA_VALUE, &whole, 4);
	give(&m, firewall_rule, &f);
	begin(&m, type, &b, sizeof(b));
	attr(&m, NFTA_DATA_VALUE, &net, 4);
	give(&m, firewall_rule, &f);
	assert_int_equal(f.rules, 3);
	assert_int_equal(f.about[0], 2);
}

/* Right messages with random bytes in them, and bytes that are all random. */
static void garbage(void **state)
{
	struct follow_tables *t = tables();
	struct net_addr a = { .addr = addr_from_v4(v4("10.0.0.1")) };
	struct firewall f = { .addrs = &a, .count = 1 };
	struct ip_addr any = addr_from_v4(0);
	struct share_question q = { .addr = &any, .port = htons(80) };
	static const uint8_t mac[6] = { 2 };
	struct message m;

	(void)state;
	srandom(1);
	for (int i = 0; i < 200000; i++) {
		size_t bytes;
		uint8_t *copy;

		if (i & 1)
			route(&m, RTM_NEWROUTE, "10.1.0.0", 16, "10.0.0.1",
			      IFINDEX);
		else
			neighbour(&m, RTM_NEWNEIGH, NUD_STALE, mac, 6);
		give(&m, follow_take, t);
		for (int k = 0; k < 1 + i % 5; k++)
			m.bytes[(size_t)random() % m.used] = (uint8_t)random();
		bytes = (size_t)random() % (m.used + 1);
		copy = malloc(bytes + 1);	/* the end is exact for asan */
		assert_non_null(copy);
		for (size_t k = 0; k < bytes; k++)
			copy[k] = i % 3 ? m.bytes[k] : (uint8_t)random();
		netlink_each(copy, bytes, follow_take, t);
		netlink_each(copy, bytes, share_diag, &q);
		netlink_each(copy, bytes, firewall_rule, &f);
		free(copy);
		assert_true(t->route_count <= NET_ROUTES_MAX);
		assert_true(t->neigh_count <= NET_STATIC_MAX);
	}
	free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(routes),
		cmocka_unit_test(neighbours),
		cmocka_unit_test(addresses),
		cmocka_unit_test(listens),
		cmocka_unit_test(rules),
		cmocka_unit_test(garbage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
