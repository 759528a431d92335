/* net_route.c - daemon/net/route: which way, and from which address */
#include "net_kit.h"

#include <stdio.h>

static struct net_route route(const char *net, uint8_t v4_prefix, uint8_t port,
			      const char *gateway, uint32_t metric)
{
	return (struct net_route){ kit_addr(net), (uint8_t)(96 + v4_prefix),
				   port, kit_addr(gateway), metric };
}

static int lookup(struct kit *k, const char *src, const char *dst,
		  struct net_path *p, struct ip_addr *from)
{
	struct ip_addr to = kit_addr(dst);

	*from = kit_addr(src);
	return net_lookup(k->n, from, &to, p);
}

static void assert_way(struct kit *k, const char *dst, const char *next_hop,
		       const char *src, uint8_t port)
{
	char text[ADDR_TEXT_BYTES];
	struct ip_addr from;
	struct net_path p;

	assert_int_equal(lookup(k, "0.0.0.0", dst, &p, &from), 0);
	assert_string_equal(addr_text(&p.next_hop, text), next_hop);
	assert_string_equal(addr_text(&from, text), src);
	assert_int_equal(p.port, port);
	assert_int_equal(net_port_mtu(k->n, port), port ? 9000 : 1500);
	assert_true(net_path_valid(k->n, &p));
}

static void connected(void **state)
{
	struct kit *k = *state;
	struct ip_addr from;
	struct net_path p;

	assert_way(k, "10.0.0.2", "10.0.0.2", "10.0.0.1", 0);
	assert_way(k, "192.168.200.3", "192.168.200.3", "192.168.7.1", 1);
	assert_int_equal(lookup(k, "0.0.0.0", "10.0.1.2", &p, &from), -ENETUNREACH);
	assert_int_equal(lookup(k, "0.0.0.0", "8.8.8.8", &p, &from), -ENETUNREACH);
}

static void longest_prefix(void **state)
{
	struct kit *k = *state;
	const struct net_route r[] = {
		route("0.0.0.0", 0, 0, "10.0.0.254", 0),
		route("172.16.0.0", 12, 1, "192.168.0.1", 0),
		route("172.16.5.0", 24, 0, "10.0.0.253", 0),
		route("172.16.5.9", 32, 1, "192.168.0.2", 0),
		route("10.0.0.128", 25, 1, "192.168.0.3", 0),
		route("172.20.0.0", 16, 0, "10.0.0.9", 50),
		route("172.20.0.0", 16, 1, "192.168.0.9", 10),
	};
	struct net_route listed[16];

	assert_int_equal(net_set_routes(k->n, r, 7), 0);
	assert_way(k, "8.8.8.8", "10.0.0.254", "10.0.0.1", 0);
	assert_way(k, "172.17.0.1", "192.168.0.1", "192.168.7.1", 1);
	assert_way(k, "172.16.5.8", "10.0.0.253", "10.0.0.1", 0);
	assert_way(k, "172.16.5.9", "192.168.0.2", "192.168.7.1", 1);
	assert_way(k, "10.0.0.127", "10.0.0.127", "10.0.0.1", 0);
	assert_way(k, "10.0.0.128", "192.168.0.3", "192.168.7.1", 1);
	assert_way(k, "172.20.1.1", "192.168.0.9", "192.168.7.1", 1);
	assert_int_equal(net_list_routes(k->n, listed, 16), 9);
	assert_int_equal(listed[0].prefix, 128);
	assert_int_equal(listed[8].prefix, 96);
	assert_int_equal(net_list_routes(k->n, listed, 3), 3);
	assert_int_equal(net_set_routes(k->n, NULL, 0), 0);
	assert_int_equal(net_list_routes(k->n, listed, 16), 2);
}

static void unreachable_destinations(void **state)
{
	static const char *const bad[] = {
		"0.0.0.0", "0.1.2.3", "127.0.0.1", "224.0.0.1",
		"255.255.255.255", "10.0.0.255", "192.168.255.255",
		"10.0.0.1", "192.168.7.1", "::1", "2001:db8::1", "::",
	};
	struct kit *k = *state;
	struct net_route r = route("0.0.0.0", 0, 0, "10.0.0.254", 0);
	struct ip_addr from;
	struct net_path p;
	size_t i;

	net_set_routes(k->n, &r, 1);
	for (i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_int_equal(lookup(k, "0.0.0.0", bad[i], &p, &from),
				 -ENETUNREACH);
	assert_int_equal(lookup(k, "10.0.0.3", "8.8.8.8", &p, &from), -EADDRNOTAVAIL);
}

static void source_choice(void **state)
{
	struct kit *k = *state;
	const struct net_addr a[] = {
		{ kit_addr("10.0.0.1"), 96 + 24, 0 },
		{ kit_addr("10.0.0.4"), 96 + 24, 0 },
		{ kit_addr("10.7.0.1"), 96 + 16, 0 },
		{ kit_addr("10.0.0.6"), 96 + 24, 1 },
	};
	struct net_route r = route("0.0.0.0", 0, 0, "10.7.0.254", 0);
	char text[ADDR_TEXT_BYTES];
	struct ip_addr from;
	struct net_path p;

	assert_int_equal(net_set_addrs(k->n, a, 4), 0);
	net_set_routes(k->n, &r, 1);
	assert_way(k, "8.8.8.8", "10.7.0.254", "10.7.0.1", 0);
	assert_way(k, "10.0.0.9", "10.0.0.9", "10.0.0.1", 0);
	assert_int_equal(lookup(k, "10.0.0.4", "10.0.0.9", &p, &from), 0);
	assert_string_equal(addr_text(&from, text), "10.0.0.4");
	assert_int_equal(p.port, 0);
	/* two ports in one network: the source decides */
	assert_int_equal(lookup(k, "10.0.0.6", "10.0.0.9", &p, &from), 0);
	assert_int_equal(p.port, 1);
}

static void no_address_no_port(void **state)
{
	struct kit *k = *state;
	struct net_route r = route("0.0.0.0", 0, 5, "10.0.0.254", 0);
	struct ip_addr from;
	struct net_path p;

	net_set_routes(k->n, &r, 1);	/* port 5 is not there */
	assert_int_equal(lookup(k, "0.0.0.0", "8.8.8.8", &p, &from), -ENETUNREACH);
	r.port = 0;
	net_set_routes(k->n, &r, 1);
	net_set_addrs(k->n, NULL, 0);
	assert_int_equal(lookup(k, "0.0.0.0", "8.8.8.8", &p, &from), -EADDRNOTAVAIL);
}

static void bad_configuration(void **state)
{
	static struct net_route many[NET_ROUTES_MAX + 1];
	static struct net_addr addrs[NET_ADDRS_MAX + 1];
	struct kit *k = *state;
	struct ip_addr from;
	struct net_path p;
	unsigned int i;
	char text[32];

	assert_int_equal(net_set_routes(k->n, many, NET_ROUTES_MAX + 1),
			 -ENOSPC);
	assert_int_equal(net_set_addrs(k->n, addrs, NET_ADDRS_MAX + 1),
			 -ENOSPC);
	assert_int_equal(net_set_addrs(k->n, addrs, 1), -EINVAL);	/* any */
	many[0] = route("10.0.0.0", 8, 16, "0.0.0.0", 0);
	assert_int_equal(net_set_routes(k->n, many, 1), -EINVAL);
	many[0] = route("10.0.0.0", 33, 0, "0.0.0.0", 0);
	assert_int_equal(net_set_routes(k->n, many, 1), -EINVAL);
	assert_int_equal(net_set_port(k->n, 16, kit_mac[0], 1500), -EINVAL);
	assert_int_equal(lookup(k, "0.0.0.0", "10.0.0.2", &p, &from), 0);
	/* as many as fit */
	for (i = 0; i < NET_ADDRS_MAX; i++) {
		snprintf(text, sizeof(text), "10.%u.0.1", i);
		addrs[i] = (struct net_addr){ kit_addr(text), 96 + 16, 0 };
	}
	for (i = 0; i < NET_ROUTES_MAX; i++) {
		snprintf(text, sizeof(text), "20.%u.0.0", i);
		many[i] = route(text, 16, 0, "10.0.0.9", i);
	}
	assert_int_equal(net_set_addrs(k->n, addrs, NET_ADDRS_MAX), 0);
	assert_int_equal(net_set_routes(k->n, many, NET_ROUTES_MAX), 0);
	assert_way(k, "20.255.7.7", "10.0.0.9", "10.0.0.1", 0);
	assert_way(k, "10.63.7.7", "10.63.7.7", "10.63.0.1", 0);
	assert_true(net_is_ours(k->n, &addrs[63].addr));
}

static void point_to_point(void **state)
{
	struct kit *k = *state;
	const struct net_addr a[] = {
		{ kit_addr("10.0.0.0"), 96 + 31, 0 },
		{ kit_addr("10.1.0.1"), 96 + 32, 0 },
	};
	struct ip_addr from;
	struct net_path p;

	net_set_addrs(k->n, a, 2);
	assert_way(k, "10.0.0.1", "10.0.0.1", "10.0.0.0", 0);	/* RFC 3021 */
	assert_int_equal(lookup(k, "0.0.0.0", "10.1.0.2", &p, &from), -ENETUNREACH);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, kit_open, kit_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(connected), CASE(longest_prefix),
		CASE(unreachable_destinations), CASE(source_choice),
		CASE(no_address_no_port), CASE(bad_configuration),
		CASE(point_to_point),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
