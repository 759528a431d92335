/*
 * port_echo.c - answers ARP and ping through a port alone, for port_*.sh
 *
 *	port_echo DRIVER DEVICE ADDRESS QUEUES [mtu=N] [frames=LOG2] [copy]
 *	          [change=ADDRESS] [blast=FRAMES] [len=BYTES] [tso=BYTES]
 *
 * Prints "ready MODE MAC" when it runs; on SIGTERM or SIGINT one line of
 * counters.  After SIGUSR1 it answers for the address of change= instead.
 * blast= sends so many frames first and prints the rate.
 * tso= sends whoever pings first one uncut TCP segment of so many bytes with
 * an unfinished sum to a closed port, and prints what the reset acknowledges.
 * One thread a queue; each sleeps in poll() on what port->arm names.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/port.h"

static _Atomic int stop, change;
static uint32_t our_ip;
static uint8_t our_mac[6];
static uint64_t blast;
static uint32_t blast_len = 60, tso_len;

static void on_signal(int sig)
{
	if (sig == SIGUSR1)
		change = 1;
	else
		stop = 1;
}

static uint16_t be16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static uint16_t sum(const uint8_t *p, uint32_t len)
{
	uint64_t s = 0;

	for (uint32_t i = 0; i < len; i++)
		s += i & 1 ? p[i] : (uint32_t)p[i] << 8;
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return (uint16_t)~s;
}

static bool arp_reply(struct frame *f, uint8_t *a, uint32_t len)
{
	if (len < 28 || be16(a + 6) != 1 || memcmp(a + 24, &our_ip, 4))
		return false;
	a[7] = 2;
	memcpy(a + 18, a + 8, 10);
	memcpy(a + 8, our_mac, 6);
	memcpy(a + 14, &our_ip, 4);
	memcpy(f->data, f->data + 6, 6);
	memcpy(f->data + 6, our_mac, 6);
	return true;
}

static bool echo_reply(struct frame *f, uint8_t *ip, uint32_t len)
{
	uint32_t head = (ip[0] & 15u) * 4, total;
	uint16_t s;

	if (len < 28 || ip[9] != 1 || memcmp(ip + 16, &our_ip, 4))
		return false;
	total = be16(ip + 2);
	if (head < 20 || total > len || total < head + 8 || ip[head] != 8)
		return false;
	if (!(f->flags & FRAME_CSUM_OK) && sum(ip + head, total - head))
		return false;
	ip[head] = 0;
	ip[head + 2] = ip[head + 3] = 0;
	s = sum(ip + head, total - head);
	ip[head + 2] = (uint8_t)(s >> 8);
	ip[head + 3] = (uint8_t)s;
	memcpy(ip + 16, ip + 12, 4);
	memcpy(ip + 12, &our_ip, 4);
	memcpy(f->data, f->data + 6, 6);
	memcpy(f->data + 6, our_mac, 6);
	return true;
}

static bool answer(struct frame *f)
{
	uint32_t at = 14;
	uint16_t type;

	if (f->len < 14)
		return false;
	type = be16(f->data + 12);
	if (type == 0x8100 && f->len >= 18) {
		type = be16(f->data + 16);
		at = 18;
	}
	f->flags &= FRAME_CSUM_OK;
	if (type == 0x0806)
		return arp_reply(f, f->data + at, f->len - at);
	if (type == 0x0800 && f->len >= at + 28)
		return echo_reply(f, f->data + at, f->len - at);
	return false;
}

/* RFC 9293 3.10.7.1: the reset acknowledges the segment's whole length. */
static void print_reset(const struct frame *f)
{
	const uint8_t *ip = f->data + 14;

	if (f->len >= 54 && be16(f->data + 12) == 0x0800 && ip[9] == 6 &&
	    (ip[20 + 13] & 4)) {
		printf("reset acknowledges %u\n",
		       (uint32_t)be16(ip + 28) << 16 | be16(ip + 30));
		fflush(stdout);
	}
}

/* To the sender of the echo request that @r was, now turned around. */
static void send_uncut(struct port_queue *q, const struct frame *r, mono_t now)
{
	uint8_t *ip, *tcp;
	struct frame *f;
	uint32_t pseudo, total = 40 + tso_len;
	uint16_t s;

	if (!port_alloc(q, &f, 1))
		return;
	memcpy(f->data, r->data, 34);
	ip = f->data + 14;
	tcp = ip + 20;
	memset(tcp, 0, 20 + tso_len);
	ip[2] = (uint8_t)(total >> 8);
	ip[3] = (uint8_t)total;
	ip[9] = 6;
	ip[10] = ip[11] = 0;
	s = sum(ip, 20);
	ip[10] = (uint8_t)(s >> 8);
	ip[11] = (uint8_t)s;
	memcpy(tcp, "\x27\x0f\0\1", 4);	/* port 1 is closed */
	tcp[12] = 5 << 4;
	tcp[13] = 8;				/* PSH, no ACK */
	pseudo = 6 + 20 + tso_len;
	for (int i = 12; i < 20; i += 2)
		pseudo += be16(ip + i);
	while (pseudo >> 16)
		pseudo = (pseudo & 0xffff) + (pseudo >> 16);
	tcp[16] = (uint8_t)(pseudo >> 8);
	tcp[17] = (uint8_t)pseudo;
	f->len = 14 + total;
	f->flags = FRAME_CSUM_PARTIAL;
	f->csum_start = 34;
	f->csum_offset = 16;
	f->gso_size = 1448;
	port_tx(q, &f, 1, now);
}

static void serve(struct port_queue *q, struct frame **f, int n, mono_t now)
{
	for (int i = 0; i < n; i++) {
		if (answer(f[i])) {
			f[i]->flags = 0;
			if (tso_len && be16(f[i]->data + 12) == 0x0800) {
				send_uncut(q, f[i], now);
				tso_len = 0;
			}
			port_tx(q, &f[i], 1, now);
		} else {
			print_reset(f[i]);
			port_free(q, &f[i], 1);
		}
	}
}

static void send_blast(struct port_queue *q)
{
	struct frame *f[PORT_BURST];
	mono_t start = mono_now(), end;
	uint64_t sent = 0;
	double us;

	while (sent < blast && !stop) {
		int n = port_alloc(q, f, PORT_BURST);

		for (int i = 0; i < n; i++) {
			memset(f[i]->data, 0xff, 6);
			memcpy(f[i]->data + 6, our_mac, 6);
			memcpy(f[i]->data + 12, "\x88\xb5", 2);
			memset(f[i]->data + 14, 0, blast_len - 14);
			f[i]->len = blast_len;
		}
		port_tx(q, f, n, start);
		port_flush(q, start);
		sent += (uint64_t)n;
	}
	end = mono_now();
	us = (double)mono_diff_us(start, end);
	printf("blast %llu frames %.0f/s dropped %llu\n",
	       (unsigned long long)sent, (double)sent * 1e6 / us,
	       (unsigned long long)counter_get(&q->stats.tx_dropped));
	fflush(stdout);
}

static void *queue_main(void *arg)
{
	struct port_queue *q = arg;
	struct frame *f[PORT_BURST];
	int idle = 0;

	if (blast)
		send_blast(q);
	while (!stop) {
		mono_t now = mono_now();
		int n = port_rx(q, f, PORT_BURST, now), fds[16], count;
		struct pollfd p[16];

		serve(q, f, n, now);
		port_flush(q, now);
		idle = n ? 0 : idle + 1;
		if (idle < 2)
			continue;
		count = q->port->ops->arm(q, fds, 16);
		for (int i = 0; i < count; i++)
			p[i] = (struct pollfd){ .fd = fds[i], .events = POLLIN };
		if (count > 0)
			poll(p, (nfds_t)count, 50);
	}
	return NULL;
}

static void report(const struct port *p)
{
	for (int i = 0; i < p->queue_count; i++) {
		const struct port_stats *s = &p->queues[i]->stats;

		printf("queue %d rx %llu tx %llu rx_dropped %llu rx_oversize %llu "
		       "tx_dropped %llu no_frame %llu syscalls %llu\n", i,
		       (unsigned long long)counter_get(&s->rx_frames),
		       (unsigned long long)counter_get(&s->tx_frames),
		       (unsigned long long)counter_get(&s->rx_dropped),
		       (unsigned long long)counter_get(&s->rx_oversize),
		       (unsigned long long)counter_get(&s->tx_dropped),
		       (unsigned long long)counter_get(&s->no_frame),
		       (unsigned long long)counter_get(&s->syscalls));
	}
}

static void option(struct port_config *c, const char *arg, struct ip_addr *other)
{
	if (!strncmp(arg, "mtu=", 4))
		c->mtu = (uint32_t)atoi(arg + 4);
	else if (!strncmp(arg, "frames=", 7))
		c->frames_log2 = (uint16_t)atoi(arg + 7);
	else if (!strncmp(arg, "blast=", 6))
		blast = strtoull(arg + 6, NULL, 10);
	else if (!strncmp(arg, "len=", 4))
		blast_len = (uint32_t)atoi(arg + 4);
	else if (!strncmp(arg, "tso=", 4))
		tso_len = (uint32_t)atoi(arg + 4);
	else if (!strcmp(arg, "copy"))
		c->force_copy = true;
	else if (!strncmp(arg, "change=", 7))
		addr_parse(other, arg + 7);
}

int main(int argc, char **argv)
{
	struct port_config c = { .name = "test", .addr_count = 1 };
	struct sigaction sa = { .sa_handler = on_signal };
	struct ip_addr other = { { 0 } };
	pthread_t threads[PORT_QUEUES_MAX];
	char err[PORT_ERR_BYTES];
	struct port *p;

	if (argc < 5 || addr_parse(&c.addrs[0], argv[3])) {
		fprintf(stderr, "see the head of port_echo.c\n");
		return 2;
	}
	snprintf(c.driver, sizeof(c.driver), "%s", argv[1]);
	snprintf(c.device, sizeof(c.device), "%s", argv[2]);
	c.queues = (uint16_t)atoi(argv[4]);
	for (int i = 5; i < argc; i++)
		option(&c, argv[i], &other);
	our_ip = addr_v4(&c.addrs[0]);
	if (port_open(&p, &c, 3, err)) {
		fprintf(stderr, "%s\n", err);
		return 1;
	}
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGUSR1, &sa, NULL);
	memcpy(our_mac, p->mac, 6);
	printf("ready %s, mtu %u, %02x:%02x:%02x:%02x:%02x:%02x\n", p->mode,
	       p->mtu, our_mac[0], our_mac[1], our_mac[2], our_mac[3],
	       our_mac[4], our_mac[5]);
	fflush(stdout);
	for (int i = 0; i < p->queue_count; i++)
		pthread_create(&threads[i], NULL, queue_main, p->queues[i]);
	while (!stop) {
		poll(NULL, 0, 20);
		if (change && p->ops->set_addrs) {
			change = 0;
			our_ip = addr_v4(&other);
			p->ops->set_addrs(p, &other, 1);
		}
	}
	for (int i = 0; i < p->queue_count; i++)
		pthread_join(threads[i], NULL);
	report(p);
	port_close(p);
	return 0;
}
