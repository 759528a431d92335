/*
 * firewall.c - a word about rules that do not hold for us
 *
 * XDP takes frames before nftables sees them, and what we send passes it as
 * well: who has rules for an address of ours believes in a protection that is
 * not there.  At the start the rules are read; nothing else is done.
 *
 * A rule compares an address as four bytes of a payload (NFTA_DATA_VALUE, type
 * 1, in a list of nested attributes): they are looked for as such, whole or as
 * the network of a prefix, without understanding the rest.
 */
#define LOG_FACILITY LOG_FAC_NET

#include <endian.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "control/control.h"
#include "control/firewall.h"
#include "control/netlink.h"

/* The four bytes of @at are our address, or the network it lies in. */
static bool is_about(const uint8_t *at, const struct net_addr *a)
{
	const uint8_t prefix = a->prefix >= 96 ? (uint8_t)(a->prefix - 96) : 0;
	uint32_t v4 = addr_v4(&a->addr), value, mask, net;

	memcpy(&value, at, sizeof(value));
	mask = prefix ? htobe32(~0u << (32 - prefix)) : 0;
	net = v4 & mask;
	return value && (value == v4 || value == net);
}

void firewall_rule(void *arg, const struct nlmsghdr *m)
{
	struct firewall *f = arg;
	const uint8_t *body = netlink_body(m, sizeof(struct nfgenmsg));
	const uint8_t *end = (const uint8_t *)m + m->nlmsg_len;

	if (!body || m->nlmsg_type !=
	    ((NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_NEWRULE))
		return;
	f->rules++;
	for (const uint8_t *at = body; end - at >= 8; at += 4) {
		struct nlattr head;

		memcpy(&head, at, sizeof(head));
		if (head.nla_len != sizeof(head) + 4 ||
		    (head.nla_type & NLA_TYPE_MASK) != NFTA_DATA_VALUE)
			continue;
		for (unsigned int i = 0; i < f->count; i++)
			if (is_about(at + sizeof(head), &f->addrs[i]))
				f->about[i]++;
	}
}

void firewall_look(const struct control *c)
{
	const struct nfgenmsg all = { .nfgen_family = AF_UNSPEC };
	struct firewall f = { .addrs = c->cfg->net.addrs,
			      .count = c->cfg->net.addr_count };
	int fd = netlink_open(NETLINK_NETFILTER, 0);
	char text[ADDR_TEXT_BYTES];

	if (fd < 0)
		return;
	if (netlink_ask(fd, (NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_GETRULE, &all,
			sizeof(all)) == 0)
		netlink_answer(fd, firewall_rule, &f);
	close(fd);
	for (unsigned int i = 0; i < f.count; i++)
		if (f.about[i])
			log_event(LOG_EV_FIREWALL, LOG_LEVEL_WARN,
				  "nftables has %u rule%s about %s or its "
				  "network: mtcpd's frames pass it by; use "
				  "[access] and [policy] in mtcpd.conf",
				  f.about[i], f.about[i] == 1 ? "" : "s",
				  addr_text(&f.addrs[i].addr, text));
}
