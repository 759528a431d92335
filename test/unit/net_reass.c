/* net_reass.c - daemon/net/reass: fragments in any order, and worse */
#include "net_kit.h"

#include "net/net_state.h"

#define BIG	65515		/* payload of the longest datagram */

static uint8_t payload[65536 + 2048];	/* some ask for bytes past the end */

struct cut {
	uint32_t offset, len;	/* bytes; offset in units of eight */
	bool more;
};

/* One fragment of datagram @id from 10.0.0.@host. */
static enum net_verdict fragment(struct kit *k, uint8_t host, uint16_t id,
				 struct cut c, uint8_t ecn)
{
	static uint8_t buf[65536 + 64];
	uint32_t at = kit_ip(buf, IPPROTO_TCP, c.len, 0);
	struct hdr_ip4 *ip = (struct hdr_ip4 *)(buf + ETH_BYTES);

	((uint8_t *)&ip->src)[3] = host;
	ip->tos = ecn;
	ip->id = htobe16(id);
	ip->frag = htobe16((uint16_t)(c.offset / 8 | (c.more ? IP4_MF : 0)));
	kit_ip_sum((uint8_t *)ip);
	memcpy(buf + at, payload + c.offset, c.len);
	return kit_take(k, buf, at + c.len);
}

static enum net_verdict piece(struct kit *k, uint16_t id, uint32_t offset,
			      uint32_t len, bool more)
{
	return fragment(k, 2, id, (struct cut){ offset, len, more }, 0);
}

static void assert_whole(struct kit *k, uint32_t len)
{
	assert_int_equal(k->rx.l4_len, len);
	assert_memory_equal(k->rx.l4, payload, len);
	assert_false(k->rx.csum_ok);
}

static int open_with_noise(void **state)
{
	size_t i;

	srand(3);
	for (i = 0; i < sizeof(payload); i++)
		payload[i] = (uint8_t)rand();
	return kit_open(state);
}

static void in_order_and_backwards(void **state)
{
	struct kit *k = *state;

	assert_int_equal(piece(k, 1, 0, 1480, true), NET_HELD);
	assert_int_equal(piece(k, 1, 1480, 1480, true), NET_HELD);
	assert_int_equal(piece(k, 1, 2960, 33, false), NET_TCP);
	assert_whole(k, 2993);
	assert_int_equal(piece(k, 1, 2960, 33, false), NET_HELD);
	assert_int_equal(piece(k, 1, 1480, 1480, true), NET_HELD);
	assert_int_equal(piece(k, 1, 0, 1480, true), NET_TCP);
	assert_whole(k, 2993);
	assert_int_equal(counter_get(&net_stats(k->n)->reassembled), 2);
}

/* Cuts [0, len) at multiples of eight and shuffles. */
static uint32_t cut_up(struct cut *c, uint32_t len, uint32_t longest)
{
	uint32_t count = 0, at, part, i, j;
	struct cut t;

	for (at = 0; at < len; at += part) {
		part = 8 * (1 + (uint32_t)rand() % (longest / 8));
		if (part > len - at)
			part = len - at;
		c[count++] = (struct cut){ at, part, at + part < len };
	}
	for (i = count; i > 1; i--) {
		j = (uint32_t)rand() % i;
		t = c[j];
		c[j] = c[i - 1];
		c[i - 1] = t;
	}
	return count;
}

static void any_order(void **state)
{
	static struct cut c[8192];
	struct kit *k = *state;
	uint32_t round, count, i, len;
	enum net_verdict v;

	for (round = 0; round < 600; round++) {
		len = round == 0 ? BIG : round == 1 ? 9 :
		      9 + (uint32_t)rand() % (round % 8 ? 6000 : BIG - 8);
		count = cut_up(c, len, rand() % 2 ? 1480 : 64);
		if (count < 2)
			continue;
		for (i = 0; i < count; i++) {
			v = fragment(k, 2, (uint16_t)round, c[i], 0);
			assert_int_equal(v, i + 1 < count ? NET_HELD : NET_TCP);
		}
		assert_whole(k, len);
	}
	assert_true(net_next_due(k->n).us == UINT64_MAX);
}

/* Several at once, mixed: none gets another's bytes. */
static void mixed(void **state)
{
	static struct cut c[10][1024];
	struct kit *k = *state;
	uint32_t count[10], next[10] = { 0 }, len[10], left = 10, d, round;

	for (round = 0; round < 50; round++, left = 10) {
		for (d = 0; d < 10; d++) {
			len[d] = 2000 + (uint32_t)rand() % 5000;
			count[d] = cut_up(c[d], len[d], 1480);
			next[d] = 0;
		}
		while (left) {
			d = (uint32_t)rand() % 10;
			if (next[d] == count[d])
				continue;
			if (fragment(k, (uint8_t)(2 + d / 2), (uint16_t)(d % 2),
				     c[d][next[d]++], 0) == NET_TCP) {
				assert_int_equal(next[d], count[d]);
				assert_whole(k, len[d]);
				left--;
			} else {
				assert_true(next[d] < count[d]);
			}
		}
	}
}

/* Whatever overlaps, the datagram is never delivered, nor a part of it. */
static void overlap_kills(void **state)
{
	static struct cut c[1024];
	struct kit *k = *state;
	uint32_t round, count, i, at, len, extra;
	struct cut bad;

	for (round = 0; round < 500; round++) {
		k->now.us += KIT_SECOND;
		len = 100 + (uint32_t)rand() % 6000;
		count = cut_up(c, len, 512);
		if (count < 2)
			continue;
		at = 8 * ((uint32_t)rand() % (len / 8));
		extra = 8 * (1 + (uint32_t)rand() % 100);
		bad = (struct cut){ at, extra, rand() % 4 != 0 };
		assert_int_not_equal(fragment(k, 2, (uint16_t)round, bad, 0),
				     NET_TCP);
		for (i = 0; i < count; i++)
			assert_int_not_equal(fragment(k, 2, (uint16_t)round,
						      c[i], 0), NET_TCP);
	}
	assert_true(kit_drops(k, NET_DROP_FRAG_BAD) > 0);
}

static void twice_the_same(void **state)
{
	struct kit *k = *state;

	piece(k, 1, 0, 800, true);
	assert_int_equal(piece(k, 1, 0, 800, true), NET_DROP);
	assert_int_equal(piece(k, 1, 800, 10, false), NET_DROP);
	assert_int_equal(kit_drops(k, NET_DROP_FRAG_BAD), 2);
}

static void contradictions(void **state)
{
	struct kit *k = *state;

	/* bytes after the end */
	piece(k, 1, 800, 8, false);
	assert_int_equal(piece(k, 1, 808, 8, true), NET_DROP);
	/* an end before bytes that came */
	piece(k, 2, 1600, 8, true);
	assert_int_equal(piece(k, 2, 800, 8, false), NET_DROP);
	/* two ends */
	piece(k, 3, 800, 8, false);
	assert_int_equal(piece(k, 3, 1600, 8, false), NET_DROP);
	/* no multiple of eight */
	assert_int_equal(piece(k, 4, 0, 801, true), NET_DROP);
	/* nothing in it */
	assert_int_equal(piece(k, 5, 8, 0, true), NET_DROP);
	assert_int_equal(piece(k, 6, 8, 0, false), NET_DROP);
	/* past 64 KiB, the ping of death */
	assert_int_equal(piece(k, 7, 65528, 100, false), NET_DROP);
	assert_int_equal(piece(k, 8, 65504, 12, false), NET_DROP);
	assert_int_equal(piece(k, 9, 65504, 11, false), NET_HELD);
	assert_int_equal(kit_drops(k, NET_DROP_FRAG_BAD), 8);
}

static void times_out(void **state)
{
	struct kit *k = *state;

	piece(k, 1, 0, 800, true);
	k->now.us += 10 * KIT_SECOND;
	piece(k, 2, 0, 800, true);
	k->now.us += 19 * KIT_SECOND;
	net_advance(k->n, k->now);
	assert_int_equal(kit_drops(k, NET_DROP_FRAG_TIMEOUT), 0);
	k->now = net_next_due(k->n);
	net_advance(k->n, k->now);
	assert_int_equal(kit_drops(k, NET_DROP_FRAG_TIMEOUT), 1);
	assert_int_equal(piece(k, 1, 800, 8, false), NET_HELD);
	assert_int_equal(piece(k, 2, 800, 8, false), NET_TCP);
	k->now.us += 31 * KIT_SECOND;
	net_advance(k->n, k->now);
	assert_int_equal(kit_drops(k, NET_DROP_FRAG_TIMEOUT), 2);
	assert_true(net_next_due(k->n).us == UINT64_MAX);
}

/* Endless beginnings: memory stays bounded and a later datagram gets in. */
static void flood(void **state)
{
	struct kit *k = *state;
	uint32_t i;

	for (i = 0; i < 30000; i++)
		assert_int_equal(fragment(k, (uint8_t)(2 + i % 200),
					  (uint16_t)i,
					  (struct cut){ 8 * (i % 50), 1480,
							true }, 0), NET_HELD);
	assert_int_equal(kit_drops(k, NET_DROP_FRAG_FULL),
			 30000 - REASS_DATAGRAMS);
	piece(k, 40000, 0, 1480, true);
	assert_int_equal(piece(k, 40000, 1480, 9, false), NET_TCP);
	assert_whole(k, 1489);
}

/* Long datagrams compete for cells: the oldest lose, the youngest is whole. */
static void cells_run_out(void **state)
{
	struct kit *k = *state;
	uint32_t d, at;

	for (d = 0; d < 40; d++, k->now.us += 1000)
		for (at = 0; at < 60000; at += 2048)
			piece(k, (uint16_t)d, at, 1024, true);
	assert_true(kit_drops(k, NET_DROP_FRAG_FULL) >= 20);
	for (at = 0; at < 60000; at += 1000)
		assert_int_equal(piece(k, 99, at, 1000, at < 59000),
				 at < 59000 ? NET_HELD : NET_TCP);
	assert_whole(k, 60000);
	k->now.us += 60 * KIT_SECOND;
	net_advance(k->n, k->now);
	assert_true(net_next_due(k->n).us == UINT64_MAX);
}

static void only_tcp(void **state)
{
	struct kit *k = *state;
	struct hdr_ip4 *ip;
	uint8_t buf[256];
	uint32_t at = kit_ip(buf, IPPROTO_ICMP, 64, 0);

	memset(buf + at, 8, 64);
	ip = (struct hdr_ip4 *)(buf + ETH_BYTES);
	ip->frag = htobe16(IP4_MF);
	kit_ip_sum((uint8_t *)ip);
	assert_int_equal(kit_take(k, buf, at + 64), NET_DROP);
	assert_int_equal(kit_drops(k, NET_DROP_IP_PROTO), 1);
}

/* RFC 3168 5.3 */
static void ecn(void **state)
{
	struct kit *k = *state;

	fragment(k, 2, 1, (struct cut){ 0, 80, true }, 3);
	assert_int_equal(fragment(k, 2, 1, (struct cut){ 80, 8, false }, 2),
			 NET_TCP);
	assert_int_equal(k->rx.ecn, 3);
	fragment(k, 2, 2, (struct cut){ 0, 80, true }, 3);
	assert_int_equal(fragment(k, 2, 2, (struct cut){ 80, 8, false }, 0),
			 NET_DROP);
	fragment(k, 2, 3, (struct cut){ 0, 80, true }, 2);
	assert_int_equal(fragment(k, 2, 3, (struct cut){ 80, 8, false }, 2),
			 NET_TCP);
	assert_int_equal(k->rx.ecn, 2);
}

/* Random fragments of a few datagrams; a byte-wise model says which of them
 * may come out. */
static void random_against_model(void **state)
{
	struct kit *k = *state;
	static uint8_t seen[4][65536 + 2048];
	uint32_t round, d, have[4], end[4], top[4], i;
	bool dead[4];
	struct cut c;
	enum net_verdict v;

	for (round = 0; round < 20000; round++) {
		if (round % 40 == 0) {	/* new names, time to forget the old */
			k->now.us += 31 * KIT_SECOND;
			memset(seen, 0, sizeof(seen));
			memset(have, 0, sizeof(have));
			memset(end, 0, sizeof(end));
			memset(top, 0, sizeof(top));
			memset(dead, 0, sizeof(dead));
		}
		d = (uint32_t)rand() % 4;
		c = (struct cut){ 8 * ((uint32_t)rand() % 12),
				  8 * (1 + (uint32_t)rand() % 4),
				  rand() % 5 != 0 };
		if (c.offset == 0)
			c.more = true;
		if (!c.more)
			c.len -= (uint32_t)rand() % 8;
		v = fragment(k, 2, (uint16_t)(round / 40 * 4 + d), c, 0);
		for (i = c.offset; i < c.offset + c.len; i++)
			dead[d] |= seen[d][i]++ != 0;
		have[d] += c.len;
		dead[d] |= end[d] && (!c.more || c.offset + c.len > end[d]);
		if (!c.more)
			end[d] = c.offset + c.len;
		if (c.offset + c.len > top[d])
			top[d] = c.offset + c.len;
		dead[d] |= end[d] && top[d] > end[d];
		if (dead[d]) {
			assert_int_equal(v, NET_DROP);
		} else if (end[d] && have[d] == end[d]) {
			assert_int_equal(v, NET_TCP);
			assert_whole(k, end[d]);
			memset(seen[d], 0, sizeof(seen[d]));
			have[d] = end[d] = top[d] = 0;
		} else {
			assert_int_equal(v, NET_HELD);
		}
	}
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, open_with_noise, kit_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(in_order_and_backwards), CASE(any_order), CASE(mixed),
		CASE(overlap_kills), CASE(twice_the_same),
		CASE(contradictions), CASE(times_out), CASE(flood),
		CASE(cells_run_out), CASE(only_tcp), CASE(ecn),
		CASE(random_against_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
