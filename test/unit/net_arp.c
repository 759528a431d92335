/* net_arp.c - daemon/net: ARP, the neighbour table and what waits for it */
#include "net_kit.h"

#include <stdio.h>

#include "net/net_state.h"

#define FRAMES	400

/* Frames to send, each with room for the headers. */
static uint8_t frame_memory[FRAMES][256];
static struct frame frames[FRAMES];

static struct frame *fresh_frame(uint32_t i)
{
	struct frame *f = &frames[i % FRAMES];

	memset(frame_memory[i % FRAMES], 0x11, 256);
	*f = (struct frame){ .data = frame_memory[i % FRAMES] + FRAME_HEADROOM,
			     .len = 40, .room = 256 - FRAME_HEADROOM };
	return f;
}

static struct net_path path_to(struct kit *k, const char *dst)
{
	struct ip_addr any = { { 0 } }, to = kit_addr(dst);
	struct net_path p;

	assert_int_equal(net_lookup(k->n, &any, &to, &p), 0);
	return p;
}

static int out(struct kit *k, struct net_path *p, const char *dst, uint32_t i)
{
	struct net_tx tx = { .src = kit_addr("10.0.0.1"), .dst = kit_addr(dst),
			     .proto = IPPROTO_TCP, .ttl = 64,
			     .dont_fragment = true };

	return net_out(k->n, p, &tx, fresh_frame(i), k->now);
}

static enum net_verdict arp(struct kit *k, const uint8_t dst[6], uint16_t op,
			    const uint8_t sha[6], const char *spa,
			    const char *tpa)
{
	uint8_t buf[60] = { 0 };

	kit_arp(buf, dst, op, sha, spa, tpa);
	return kit_take(k, buf, sizeof(buf));
}

static int ask(struct kit *k, struct hdr_arp *arp_out, struct hdr_eth *eth)
{
	uint8_t buf[ARP_FRAME_BYTES], port = 99;
	int len = net_request(k->n, k->now, buf, &port);

	if (len) {
		assert_int_equal(len, ARP_FRAME_BYTES);
		assert_true(port < 2);
		memcpy(eth, buf, sizeof(*eth));
		memcpy(arp_out, buf + ETH_BYTES, sizeof(*arp_out));
	}
	return len;
}

static int requests(struct kit *k)
{
	struct hdr_arp a;
	struct hdr_eth e;
	int count = 0;

	while (ask(k, &a, &e))
		count++;
	return count;
}

static uint64_t stat(const counter_t *c)
{
	return counter_get(c);
}

/* Time goes on from event to event, as an engine's loop would do it. */
static void pass(struct kit *k, uint64_t us)
{
	mono_t end = mono_add(k->now, us), due;

	for (;;) {
		due = net_next_due(k->n);
		if (!mono_before(due, end))
			break;
		if (mono_before(k->now, due))
			k->now = due;
		net_advance(k->n, k->now);
		if (!mono_before(k->now, net_next_due(k->n)))
			k->now.us += 1000;	/* requests nobody takes */
	}
	k->now = end;
	net_advance(k->n, k->now);
}

static void request_is_answered(void **state)
{
	struct kit *k = *state;
	const struct hdr_arp *a;

	assert_int_equal(arp(k, kit_all, 1, kit_peer, "10.0.0.2", "10.0.0.1"),
			 NET_REPLY);
	a = (void *)(k->f.data + ETH_BYTES);
	assert_int_equal(k->f.len, ARP_FRAME_BYTES);
	assert_memory_equal(k->f.data, kit_peer, 6);
	assert_memory_equal(k->f.data + 6, kit_mac[0], 6);
	assert_int_equal(be16toh(a->op), 2);
	assert_memory_equal(a->sha, kit_mac[0], 6);
	assert_memory_equal(a->tha, kit_peer, 6);
	assert_int_equal(a->spa, kit_v4("10.0.0.1"));
	assert_int_equal(a->tpa, kit_v4("10.0.0.2"));
	/* A probe (RFC 5227) is answered and teaches nothing. */
	assert_int_equal(arp(k, kit_all, 1, kit_peer, "0.0.0.0", "10.0.0.1"),
			 NET_REPLY);
	assert_int_equal(stat(&net_stats(k->n)->neigh_learnt), 1);
	/* Neither another's address nor one of our other port. */
	assert_int_equal(arp(k, kit_all, 1, kit_peer, "10.0.0.3", "10.0.0.9"),
			 NET_DROP);
	assert_int_equal(arp(k, kit_all, 1, kit_peer, "10.0.0.3",
			     "192.168.7.1"), NET_DROP);
	assert_int_equal(stat(&net_stats(k->n)->neigh_learnt), 1);
}

static void bad_arp(void **state)
{
	static const struct {
		uint32_t at;
		uint8_t value;
	} bad[] = {
		{ 15, 6 }, { 16, 0x86 }, { 18, 5 }, { 18, 0 }, { 19, 16 },
		{ 21, 0 }, { 21, 3 }, { 20, 1 }, { 22, 3 }, { 28, 127 },
		{ 28, 224 }, { 28, 255 }, { 28, 0 }, { 31, 255 },
	};
	struct kit *k = *state;
	uint8_t buf[60] = { 0 };
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		kit_arp(buf, kit_all, 1, kit_peer, "10.0.0.2", "10.0.0.1");
		buf[bad[i].at] = bad[i].value;
		assert_int_equal(kit_take(k, buf, sizeof(buf)), NET_DROP);
		assert_int_equal(kit_drops(k, NET_DROP_ARP_BAD), i + 1);
	}
	assert_int_equal(stat(&net_stats(k->n)->neigh_learnt), 0);
}

static void frame_waits_for_answer(void **state)
{
	struct kit *k = *state;
	struct net_path p = path_to(k, "10.0.0.2");
	struct frame *got[8];
	struct hdr_arp a;
	struct hdr_eth e;

	assert_int_equal(out(k, &p, "10.0.0.2", 0), -EINPROGRESS);
	assert_int_equal(out(k, &p, "10.0.0.2", 1), -EINPROGRESS);
	assert_int_equal(ask(k, &a, &e), ARP_FRAME_BYTES);
	assert_memory_equal(e.dst, kit_all, 6);
	assert_int_equal(be16toh(a.op), 1);
	assert_int_equal(a.spa, kit_v4("10.0.0.1"));
	assert_int_equal(a.tpa, kit_v4("10.0.0.2"));
	assert_int_equal(ask(k, &a, &e), 0);
	assert_int_equal(net_ready(k->n, got, 8), 0);
	assert_int_equal(arp(k, kit_mac[0], 2, kit_peer, "10.0.0.2",
			     "10.0.0.1"), NET_HELD);
	assert_int_equal(net_ready(k->n, got, 1), 1);
	assert_ptr_equal(got[0], &frames[0]);
	assert_int_equal(net_ready(k->n, got, 8), 1);
	assert_ptr_equal(got[0], &frames[1]);
	assert_memory_equal(got[0]->data, kit_peer, 6);
	assert_memory_equal(got[0]->data + 6, kit_mac[0], 6);
	assert_int_equal(got[0]->len, 40 + ETH_BYTES + IP4_BYTES);
	assert_int_equal(csum_fold(csum_add(0, got[0]->data + 14, 20)), 0xffff);
	assert_int_equal(net_ready(k->n, got, 8), 0);
	assert_int_equal(out(k, &p, "10.0.0.2", 2), 0);
	assert_int_not_equal(p.neigh, 0);
}

static void headers_as_asked(void **state)
{
	struct kit *k = *state;
	struct net_path p = path_to(k, "10.0.0.2");
	struct net_tx tx = { .src = kit_addr("10.0.0.1"), .dst = kit_addr("10.0.0.2"),
			     .proto = IPPROTO_TCP, .tos = 0x2e, .ttl = 33 };
	struct frame *f = fresh_frame(0);
	const struct hdr_ip4 *ip;
	uint8_t *l4 = f->data;

	arp(k, kit_all, 1, kit_peer, "10.0.0.2", "10.0.0.1");
	f->flags = FRAME_CSUM_PARTIAL;
	f->csum_offset = 16;
	assert_int_equal(net_out(k->n, &p, &tx, f, k->now), 0);
	assert_ptr_equal(f->data + ETH_BYTES + IP4_BYTES, l4);
	assert_int_equal(f->csum_start, ETH_BYTES + IP4_BYTES);
	assert_int_equal(f->csum_offset, 16);
	assert_int_equal(f->room, 256 - FRAME_HEADROOM + 34);
	ip = (void *)(f->data + ETH_BYTES);
	assert_int_equal(be16toh(ip->total_len), 60);
	assert_int_equal(ip->tos, 0x2e);
	assert_int_equal(ip->ttl, 33);
	assert_int_equal(ip->frag, 0);
	assert_int_equal(f->data[12], 8);
	assert_int_equal(f->data[13], 0);
}

/* Three requests, a second apart; then an error, no further request until
 * the hold-down is over and somebody wants it again. */
static void unanswered_fails(void **state)
{
	struct kit *k = *state;
	struct net_path p = path_to(k, "10.0.0.77");
	struct frame *got[8];
	int i;

	assert_int_equal(out(k, &p, "10.0.0.77", 0), -EINPROGRESS);
	for (i = 0; i < NET_NEIGH_TRIES; i++) {
		assert_int_equal(requests(k), 1);
		pass(k, KIT_SECOND / 2);
		assert_int_equal(requests(k), 0);
		assert_int_equal(net_failed(k->n, got, 8), 0);
		pass(k, KIT_SECOND / 2 + 1000);
	}
	assert_int_equal(requests(k), 0);
	assert_int_equal(net_failed(k->n, got, 8), 1);
	assert_ptr_equal(got[0], &frames[0]);
	assert_int_equal(kit_drops(k, NET_DROP_NEIGH_FAILED), 1);
	assert_int_equal(out(k, &p, "10.0.0.77", 1), -EHOSTUNREACH);
	assert_ptr_equal(frames[1].data, frame_memory[1] + FRAME_HEADROOM);
	assert_int_equal(requests(k), 0);
	pass(k, 10 * KIT_SECOND);
	assert_int_equal(requests(k), 0);
	assert_true(net_next_due(k->n).us == UINT64_MAX);
	assert_int_equal(out(k, &p, "10.0.0.77", 2), -EINPROGRESS);
	assert_int_equal(requests(k), 1);
}

static void queue_is_bounded(void **state)
{
	struct kit *k = *state;
	struct net_path p;
	struct frame *got[512];
	char text[32];
	uint32_t i;
	int waiting = 0, refused = 0, error;

	p = path_to(k, "10.0.0.2");
	for (i = 0; i < 10; i++)
		assert_int_equal(out(k, &p, "10.0.0.2", i), i < NET_NEIGH_QUEUE ?
				 -EINPROGRESS : -ENOBUFS);
	for (i = 10; i < 400; i++) {
		snprintf(text, sizeof(text), "10.0.0.%u", 3 + i / 7 * 3 % 250);
		p = path_to(k, text);
		error = out(k, &p, text, i);
		waiting += error == -EINPROGRESS;
		refused += error == -ENOBUFS;
	}
	assert_int_equal(waiting + 8, NET_NEIGH_QUEUE_ALL);
	assert_int_equal(refused + 2, kit_drops(k, NET_DROP_NEIGH_QUEUE));
	pass(k, 5 * KIT_SECOND);
	assert_int_equal(net_failed(k->n, got, 512), NET_NEIGH_QUEUE_ALL);
	p = path_to(k, "10.0.0.251");
	assert_int_equal(out(k, &p, "10.0.0.251", 0), -EINPROGRESS);
}

/* A peer that changes its MAC is followed, by any message of its. */
static void changed_mac(void **state)
{
	static const uint8_t other[6] = { 2, 9, 9, 9, 9, 9 };
	struct kit *k = *state;
	struct net_path p = path_to(k, "10.0.0.2");
	uint32_t i = 0;

	arp(k, kit_all, 1, kit_peer, "10.0.0.2", "10.0.0.1");
	assert_int_equal(out(k, &p, "10.0.0.2", i), 0);
	assert_memory_equal(frames[i].data, kit_peer, 6);
	/* gratuitous: sender and target are the peer's own */
	assert_int_equal(arp(k, kit_all, 1, other, "10.0.0.2", "10.0.0.2"),
			 NET_HELD);
	assert_int_equal(out(k, &p, "10.0.0.2", ++i), 0);
	assert_memory_equal(frames[i].data, other, 6);
	assert_int_equal(stat(&net_stats(k->n)->neigh_changed), 1);
	/* but a gratuitous one of a stranger makes no entry */
	assert_int_equal(arp(k, kit_all, 1, other, "10.0.0.5", "10.0.0.5"),
			 NET_DROP);
	/* nor does an answer that nobody here asked for */
	assert_int_equal(arp(k, kit_mac[0], 2, other, "10.0.0.5", "10.0.0.1"),
			 NET_HELD);
	assert_int_equal(stat(&net_stats(k->n)->neigh_learnt), 1);
}

static void stale_is_polled(void **state)
{
	struct kit *k = *state;
	struct net_path p = path_to(k, "10.0.0.2");
	struct hdr_arp a;
	struct hdr_eth e;

	arp(k, kit_all, 1, kit_peer, "10.0.0.2", "10.0.0.1");
	pass(k, 61 * KIT_SECOND);
	assert_int_equal(requests(k), 0);	/* nobody wants it */
	assert_int_equal(out(k, &p, "10.0.0.2", 0), 0);	/* used on */
	assert_int_equal(ask(k, &a, &e), ARP_FRAME_BYTES);
	assert_memory_equal(e.dst, kit_peer, 6);
	arp(k, kit_mac[0], 2, kit_peer, "10.0.0.2", "10.0.0.1");
	pass(k, 30 * KIT_SECOND);
	assert_int_equal(out(k, &p, "10.0.0.2", 0), 0);
	assert_int_equal(requests(k), 0);
	/* The peer is gone: three polls, then it has failed. */
	pass(k, 31 * KIT_SECOND);
	assert_int_equal(out(k, &p, "10.0.0.2", 0), 0);
	assert_int_equal(requests(k), 1);
	pass(k, KIT_SECOND);
	assert_int_equal(requests(k), 1);
	pass(k, KIT_SECOND);
	assert_int_equal(ask(k, &a, &e), ARP_FRAME_BYTES);
	assert_memory_equal(e.dst, kit_all, 6);
	pass(k, KIT_SECOND + 10000);
	assert_int_equal(out(k, &p, "10.0.0.2", 0), -EHOSTUNREACH);
}

static void unused_is_forgotten(void **state)
{
	struct kit *k = *state;
	struct net_neigh_entry e[4];
	uint32_t cursor = 0;

	arp(k, kit_all, 1, kit_peer, "10.0.0.2", "10.0.0.1");
	assert_int_equal(net_list_neigh(k->n, &cursor, e, 4, k->now), 1);
	assert_int_equal(e[0].state, NEIGH_REACHABLE);
	pass(k, 61 * KIT_SECOND);
	cursor = 0;
	assert_int_equal(net_list_neigh(k->n, &cursor, e, 4, k->now), 1);
	assert_int_equal(e[0].state, NEIGH_STALE);
	assert_int_equal(e[0].age_s, 61);
	assert_memory_equal(e[0].mac, kit_peer, 6);
	assert_int_equal(net_list_neigh(k->n, &cursor, e, 4, k->now), 0);
	pass(k, 1201 * KIT_SECOND);
	cursor = 0;
	assert_int_equal(net_list_neigh(k->n, &cursor, e, 4, k->now), 0);
	assert_true(net_next_due(k->n).us == UINT64_MAX);
}

static enum net_verdict spoofed(struct kit *k, uint32_t i)
{
	uint8_t mac[6] = { 2, 1, 0, (uint8_t)(i >> 16), (uint8_t)(i >> 8),
			   (uint8_t)i };
	uint8_t buf[60] = { 0 };
	char spa[32];

	snprintf(spa, sizeof(spa), "192.168.%u.%u", 10 + i / 250 % 240,
		 1 + i % 250);
	kit_arp(buf, kit_all, 1, mac, spa, "192.168.7.1");
	kit_frame(k, buf, sizeof(buf), 0);
	k->f.port = 1;
	return kit_in(k);
}

/* 20,000 strangers ask; who is in use stays, unanswered frames wait on. */
static void flood_of_requests(void **state)
{
	struct kit *k = *state;
	struct net_path used = path_to(k, "10.0.0.2"), p;
	struct net_path waits = path_to(k, "10.0.0.3");
	struct frame *got[4];
	uint32_t i, cursor = 0, entries = 0;
	struct net_neigh_entry e[64];
	int n;

	arp(k, kit_all, 1, kit_peer, "10.0.0.2", "10.0.0.1");
	assert_int_equal(out(k, &used, "10.0.0.2", 0), 0);
	assert_int_equal(out(k, &waits, "10.0.0.3", 1), -EINPROGRESS);
	for (i = 0; i < 20000; i++)
		assert_int_equal(spoofed(k, i), NET_REPLY);
	assert_int_equal(out(k, &used, "10.0.0.2", 2), 0);
	assert_memory_equal(frames[2].data, kit_peer, 6);
	arp(k, kit_mac[0], 2, kit_peer, "10.0.0.3", "10.0.0.1");
	assert_int_equal(net_ready(k->n, got, 4), 1);
	while ((n = net_list_neigh(k->n, &cursor, e, 64, k->now)) > 0)
		entries += (uint32_t)n;
	assert_int_equal(entries, NEIGH_HEARD_MAX + 2);
	assert_int_equal(stat(&net_stats(k->n)->neigh_evicted),
			 20000 - NEIGH_HEARD_MAX);
	p = path_to(k, "10.0.0.4");	/* and a new one finds room */
	assert_int_equal(out(k, &p, "10.0.0.4", 3), -EINPROGRESS);
	arp(k, kit_mac[0], 2, kit_peer, "10.0.0.4", "10.0.0.1");
	assert_int_equal(net_ready(k->n, got, 4), 1);
}

/* We are made to ask for 20,000 silent addresses; who is in use stays. */
static void flood_of_demand(void **state)
{
	struct kit *k = *state;
	struct net_path used = path_to(k, "10.0.0.2"), p;
	struct frame *got[64];
	char text[32];
	uint32_t i;
	int n, error;

	arp(k, kit_all, 1, kit_peer, "10.0.0.2", "10.0.0.1");
	assert_int_equal(out(k, &used, "10.0.0.2", 0), 0);
	for (i = 0; i < 20000; i++) {
		snprintf(text, sizeof(text), "192.168.%u.%u", 10 + i / 250,
			 1 + i % 250);
		p = path_to(k, text);
		error = out(k, &p, text, 1 + i % 390);
		assert_true(error == -EINPROGRESS || error == -ENOBUFS);
		while ((n = net_failed(k->n, got, 64)) > 0)
			;
	}
	assert_true(requests(k) <= NEIGH_ASKED_MAX);
	assert_int_equal(out(k, &used, "10.0.0.2", 0), 0);
	pass(k, 20 * KIT_SECOND);
	for (n = 0; net_failed(k->n, got, 64) > 0; n++)
		assert_true(n < 10);
	assert_true(net_next_due(k->n).us > k->now.us + 30 * KIT_SECOND);
	assert_int_equal(out(k, &used, "10.0.0.2", 0), 0);
}

static void off_subnet_is_not_learnt(void **state)
{
	struct kit *k = *state;

	assert_int_equal(arp(k, kit_all, 1, kit_peer, "172.16.0.1",
			     "10.0.0.1"), NET_REPLY);
	assert_int_equal(stat(&net_stats(k->n)->neigh_learnt), 0);
}

static void conflict_is_defended(void **state)
{
	struct kit *k = *state;
	struct hdr_arp a;
	struct hdr_eth e;

	assert_int_equal(arp(k, kit_all, 1, kit_peer, "10.0.0.1", "10.0.0.1"),
			 NET_DROP);
	assert_int_equal(kit_drops(k, NET_DROP_ARP_CONFLICT), 1);
	assert_int_equal(ask(k, &a, &e), ARP_FRAME_BYTES);
	assert_int_equal(a.spa, kit_v4("10.0.0.1"));
	assert_int_equal(a.tpa, kit_v4("10.0.0.1"));
	assert_memory_equal(a.sha, kit_mac[0], 6);
	/* not again within ten seconds: two such hosts would shout for ever */
	k->now.us += 9 * KIT_SECOND;
	arp(k, kit_all, 2, kit_peer, "10.0.0.1", "10.0.0.1");
	assert_int_equal(requests(k), 0);
	k->now.us += 2 * KIT_SECOND;
	arp(k, kit_all, 2, kit_peer, "10.0.0.1", "10.0.0.1");
	assert_int_equal(requests(k), 1);
	/* our own frame, come back, is no conflict */
	arp(k, kit_all, 1, kit_mac[0], "10.0.0.1", "10.0.0.1");
	assert_int_equal(kit_drops(k, NET_DROP_ARP_CONFLICT), 3);
}

static void announcements(void **state)
{
	struct kit *k = *state;

	assert_int_equal(requests(k), 0);
	net_announce(k->n);
	assert_true(net_next_due(k->n).us <= k->now.us);
	assert_int_equal(requests(k), 2);
	k->now.us += KIT_SECOND;
	assert_int_equal(requests(k), 0);
	k->now.us += KIT_SECOND;
	assert_true(net_next_due(k->n).us <= k->now.us);
	assert_int_equal(requests(k), 2);
	k->now.us += 100 * KIT_SECOND;
	assert_int_equal(requests(k), 0);
	assert_true(net_next_due(k->n).us == UINT64_MAX);
}

static void static_entries(void **state)
{
	static const uint8_t evil[6] = { 2, 6, 6, 6, 6, 6 };
	struct kit *k = *state;
	struct net_neigh_entry s = { .addr = kit_addr("10.0.0.9"),
				     .mac = { 2, 0, 0, 0, 0, 9 } };
	struct net_path p = path_to(k, "10.0.0.9");
	struct frame *got[4];

	assert_int_equal(out(k, &p, "10.0.0.9", 0), -EINPROGRESS);
	assert_int_equal(net_set_static_neigh(k->n, &s, 1), 0);
	assert_int_equal(net_ready(k->n, got, 4), 1);
	assert_memory_equal(got[0]->data, s.mac, 6);
	assert_int_equal(requests(k), 0);
	arp(k, kit_all, 1, evil, "10.0.0.9", "10.0.0.1");
	pass(k, 5000 * KIT_SECOND);
	assert_int_equal(out(k, &p, "10.0.0.9", 1), 0);
	assert_memory_equal(frames[1].data, s.mac, 6);
	assert_int_equal(requests(k), 0);
	assert_int_equal(net_set_static_neigh(k->n, NULL, 0), 0);
	assert_int_equal(out(k, &p, "10.0.0.9", 2), -EINPROGRESS);
	s.port = 200;
	assert_int_equal(net_set_static_neigh(k->n, &s, 1), -EINVAL);
}

/* What one engine has learnt answers another's frames. */
static void engines_tell_each_other(void **state)
{
	struct kit *k = *state;
	void *other = NULL;
	struct kit *o;
	struct net_neigh_entry e[4];
	struct net_path p;
	struct frame *got[4];

	kit_open(&other);
	o = other;
	p = path_to(o, "10.0.0.2");
	assert_int_equal(out(o, &p, "10.0.0.2", 0), -EINPROGRESS);
	assert_int_equal(requests(o), 1);
	arp(k, kit_all, 1, kit_peer, "10.0.0.2", "10.0.0.1");
	assert_int_equal(net_learnt(k->n, e, 4), 1);
	assert_int_equal(net_learnt(k->n, e, 4), 0);
	net_learn(o->n, &e[0], o->now);
	assert_int_equal(net_ready(o->n, got, 4), 1);
	assert_memory_equal(got[0]->data, kit_peer, 6);
	assert_int_equal(net_learnt(o->n, e, 4), 0);	/* no echo */
	kit_close(&other);
}

/* The answer to one engine's question comes to another engine's queue. */
static void overheard_answer(void **state)
{
	struct kit *k = *state, *o;
	void *other = NULL;
	struct net_neigh_entry e[4];
	struct frame *got[4];
	struct net_path p;

	assert_int_equal(kit_open(&other), 0);
	o = other;
	p = path_to(o, "10.0.0.2");
	assert_int_equal(out(o, &p, "10.0.0.2", 0), -EINPROGRESS);
	assert_int_equal(requests(o), 1);
	arp(k, kit_mac[0], 2, kit_peer, "10.0.0.2", "10.0.0.1");
	arp(k, kit_mac[0], 2, kit_peer, "10.0.0.7", "10.0.0.1");
	assert_int_equal(net_learnt(k->n, e, 4), 2);
	net_learn(o->n, &e[0], o->now);
	net_learn(o->n, &e[1], o->now);
	assert_int_equal(net_ready(o->n, got, 4), 1);
	assert_memory_equal(got[0]->data, kit_peer, 6);
	/* and what nobody asked for is known nowhere */
	assert_int_equal(stat(&net_stats(k->n)->neigh_learnt), 0);
	assert_int_equal(stat(&net_stats(o->n)->neigh_learnt), 1);
	kit_close(&other);
}

/* A path made before addresses changed is renewed or refused. */
static void path_epochs(void **state)
{
	struct kit *k = *state;
	struct net_path p = path_to(k, "10.0.0.2"), none = { .port = 0 };
	struct net_addr a = { kit_addr("10.0.0.5"), 96 + 24, 0 };

	arp(k, kit_all, 1, kit_peer, "10.0.0.2", "10.0.0.1");
	assert_false(net_path_valid(k->n, &none));
	assert_true(net_path_valid(k->n, &p));
	assert_int_equal(net_set_routes(k->n, NULL, 0), 0);
	assert_false(net_path_valid(k->n, &p));
	assert_int_equal(out(k, &p, "10.0.0.2", 0), 0);
	assert_true(net_path_valid(k->n, &p));
	assert_int_equal(net_set_addrs(k->n, &a, 1), 0);
	assert_int_equal(out(k, &p, "10.0.0.2", 0), -EHOSTUNREACH);
	assert_int_equal(kit_drops(k, NET_DROP_NO_ROUTE), 1);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, kit_open, kit_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(request_is_answered), CASE(bad_arp),
		CASE(frame_waits_for_answer), CASE(headers_as_asked),
		CASE(unanswered_fails), CASE(queue_is_bounded),
		CASE(changed_mac), CASE(stale_is_polled),
		CASE(unused_is_forgotten), CASE(flood_of_requests),
		CASE(flood_of_demand), CASE(off_subnet_is_not_learnt),
		CASE(conflict_is_defended), CASE(announcements),
		CASE(static_entries), CASE(engines_tell_each_other),
		CASE(overheard_answer), CASE(path_epochs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
