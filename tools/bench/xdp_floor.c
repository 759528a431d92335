/*
 * xdp_floor - the floor under mtcpd's xdp port: canned TCP replies
 *
 *	xdp_floor DEVICE ADDRESS/LEN [CPU]
 *
 * Answers ARP, and every TCP segment out of the segment itself, without any
 * connection: SYN gets SYN-ACK, data comes back as it was with an ACK, FIN
 * gets FIN-ACK.  What this costs under a kernel client is what the raw port
 * costs; what mtcpd costs above it is TCP, rings and the application.
 * Ends on SIGTERM or SIGINT.
 */
#include <arpa/inet.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/port.h"
#include "net/net.h"

static volatile sig_atomic_t stop;

static void on_signal(int sig)
{
	(void)sig;
	stop = 1;
}

/* Turns @f round in place; false: no answer. */
static bool answer(struct frame *f, const struct net_rx *rx)
{
	struct hdr_eth *eth = (struct hdr_eth *)f->data;
	struct hdr_ip4 *ip = (struct hdr_ip4 *)(f->data + ETH_BYTES);
	struct hdr_tcp *tcp = (struct hdr_tcp *)(uintptr_t)rx->l4;
	uint32_t head = (uint32_t)(tcp->data_off >> 4) * 4, len, ack, swap;
	uint8_t mac[6], flags = tcp->flags;
	uint16_t port;

	if (rx->proto != IPPROTO_TCP || rx->l4_len < head || flags & TCP_RST ||
	    ip->version_ihl != 0x45)
		return false;
	len = rx->l4_len - head;
	if (!(flags & (TCP_SYN | TCP_FIN)) && !len)
		return false;
	memcpy(mac, eth->dst, 6);
	memcpy(eth->dst, eth->src, 6);
	memcpy(eth->src, mac, 6);
	swap = ip->src;
	ip->src = ip->dst;
	ip->dst = swap;
	port = tcp->sport;
	tcp->sport = tcp->dport;
	tcp->dport = port;
	ack = ntohl(tcp->seq) + len + !!(flags & (TCP_SYN | TCP_FIN));
	tcp->seq = flags & TCP_SYN ? htonl(1) : tcp->ack;
	tcp->ack = htonl(ack);
	memmove((uint8_t *)tcp + TCP_BYTES, (uint8_t *)tcp + head, len);
	tcp->data_off = 5 << 4;
	tcp->flags = (uint8_t)(TCP_ACK | (flags & (TCP_SYN | TCP_FIN)) |
			       (len ? TCP_PSH : 0));
	tcp->wnd = htons(65535);
	tcp->csum = 0;
	tcp->csum = csum_finish(csum_add(csum_pseudo(&rx->dst, &rx->src,
						     IPPROTO_TCP,
						     TCP_BYTES + len),
					 tcp, TCP_BYTES + len));
	ip->total_len = htons((uint16_t)(IP4_BYTES + TCP_BYTES + len));
	ip->ttl = 64;
	ip->csum = 0;
	ip->csum = csum_finish(csum_add(0, ip, IP4_BYTES));
	f->len = ETH_BYTES + IP4_BYTES + TCP_BYTES + len;
	return true;
}

/* One burst in, its answers out; returns how many frames there were. */
static int turn(struct port_queue *q, struct net *net)
{
	struct frame *in[PORT_BURST], *out[PORT_BURST];
	mono_t now = mono_now();
	int n = port_rx(q, in, PORT_BURST, now), count = 0;

	for (int i = 0; i < n; i++) {
		struct net_icmp_error icmp;
		struct net_rx rx;
		enum net_verdict v = net_in(net, in[i], now, &rx, &icmp);

		if (v == NET_REPLY || (v == NET_TCP && answer(in[i], &rx)))
			out[count++] = in[i];
		else
			port_free(q, &in[i], 1);
	}
	if (count)
		port_tx(q, out, count, now);
	port_flush(q, now);
	return n;
}

static void wait_for_frames(struct port_queue *q)
{
	struct pollfd p[8];
	int fds[8], n = q->port->ops->arm(q, fds, 8);

	for (int i = 0; i < n; i++)
		p[i] = (struct pollfd){ .fd = fds[i], .events = POLLIN };
	if (n > 0)
		poll(p, (nfds_t)n, 1000);
}

static int set_up(struct port **port, struct net **net, const char *device,
		  char *text)
{
	static const uint8_t secret[16] = { 1 };
	struct port_config cfg = { .name = "floor", .driver = "xdp",
				   .queues = 1, .addr_count = 1 };
	struct net_addr addr = { .port = 0 };
	char err[PORT_ERR_BYTES], *slash = strchr(text, '/');

	if (!slash)
		return -1;
	*slash = 0;
	addr.prefix = (uint8_t)(96 + atoi(slash + 1));
	if (addr_parse(&addr.addr, text) < 0)
		return -1;
	cfg.addrs[0] = addr.addr;
	snprintf(cfg.device, sizeof(cfg.device), "%s", device);
	if (port_open(port, &cfg, 0, err) < 0) {
		fprintf(stderr, "xdp_floor: %s\n", err);
		return -1;
	}
	if (net_init(net, secret) < 0)
		return -1;
	net_set_port(*net, 0, (*port)->mac, (uint16_t)(*port)->mtu);
	return net_set_addrs(*net, &addr, 1);
}

int main(int argc, char **argv)
{
	struct port *port;
	struct net *net;

	if (argc < 3) {
		fprintf(stderr, "usage: xdp_floor DEVICE ADDRESS/LEN [CPU]\n");
		return 2;
	}
	if (argc > 3) {
		cpu_set_t set;

		CPU_ZERO(&set);
		CPU_SET((unsigned int)atoi(argv[3]), &set);
		sched_setaffinity(0, sizeof(set), &set);
	}
	if (set_up(&port, &net, argv[1], argv[2]) < 0) {
		fprintf(stderr, "xdp_floor: cannot use %s with %s\n", argv[1],
			argv[2]);
		return 1;
	}
	signal(SIGTERM, on_signal);
	signal(SIGINT, on_signal);
	printf("ready\n");
	fflush(stdout);
	while (!stop)
		if (turn(port->queues[0], net) == 0)
			wait_for_frames(port->queues[0]);
	port_close(port);
	net_fini(net);
	return 0;
}
