/*
 * synflood.c - SYNs of hosts that do not exist, for sys_synflood.sh
 *
 *	synflood DEVICE DST_MAC DST_IP PORT RATE SECONDS
 *
 * Sends RATE SYNs a second for SECONDS from addresses in 198.18.0.0/15 (RFC
 * 2544: belongs to nobody) through a packet socket on DEVICE, each from
 * another address and port, with the options of a usual client.  Never more
 * than RATE; fewer when the machine is busy: the last line says how many.
 *
 * Threads   One.  Bounds: 60 s, 1,000,000 a second.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/ether.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BATCH = 64, FRAME = 14 + 20 + 40, TCP_AT = 34, TCP_LEN = 40 };

static const uint8_t options[20] = {	/* mss, sackOK, ts, nop, ws */
	2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7
};

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static uint16_t sum(const uint8_t *p, size_t len, uint32_t from)
{
	for (size_t i = 0; i + 1 < len; i += 2)
		from += (uint32_t)p[i] << 8 | p[i + 1];
	while (from >> 16)
		from = (from & 0xffff) + (from >> 16);
	return htons((uint16_t)~from);
}

static void frame_init(uint8_t *f, const uint8_t *src_mac,
		       const uint8_t *dst_mac, uint32_t dst, uint16_t port)
{
	memset(f, 0, FRAME);
	memcpy(f, dst_mac, 6);
	memcpy(f + 6, src_mac, 6);
	f[12] = 8;
	f[14] = 0x45;
	f[17] = FRAME - 14;
	f[20] = 0x40;			/* DF */
	f[22] = 64;
	f[23] = IPPROTO_TCP;
	memcpy(f + 30, &dst, 4);
	memcpy(f + TCP_AT + 2, &port, 2);
	f[TCP_AT + 12] = TCP_LEN / 4 << 4;
	f[TCP_AT + 13] = 2;		/* SYN */
	f[TCP_AT + 14] = f[TCP_AT + 15] = 0xff;
	memcpy(f + TCP_AT + 20, options, sizeof(options));
}

/* Host number @n asks. */
static void frame_next(uint8_t *f, uint64_t n)
{
	uint32_t src = htonl(0xc6120000u | ((uint32_t)(n * 40503u) & 0x1ffffu));
	uint16_t port = htons((uint16_t)(1024 + n % 60000)), s;
	uint32_t seq = (uint32_t)(n * 2654435761u);

	memcpy(f + 26, &src, 4);
	f[24] = f[25] = 0;
	s = sum(f + 14, 20, 0);
	memcpy(f + 24, &s, 2);
	memcpy(f + TCP_AT, &port, 2);
	memcpy(f + TCP_AT + 4, &seq, 4);
	f[TCP_AT + 16] = f[TCP_AT + 17] = 0;
	s = sum(f + TCP_AT, TCP_LEN, 0);
	/* the pseudo header: addresses, protocol, length */
	s = sum(f + 26, 8, (uint32_t)(uint16_t)~ntohs(s) + IPPROTO_TCP + TCP_LEN);
	memcpy(f + TCP_AT + 16, &s, 2);
}

static int open_device(const char *name, uint8_t mac[6])
{
	struct sockaddr_ll to = { .sll_family = AF_PACKET };
	struct ifreq ifr = { 0 };
	int fd = socket(AF_PACKET, SOCK_RAW, 0), one = 1;

	if (fd < 0)
		die("packet socket");
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	if (ioctl(fd, SIOCGIFHWADDR, &ifr))
		die(name);
	memcpy(mac, ifr.ifr_hwaddr.sa_data, 6);
	to.sll_ifindex = (int)if_nametoindex(name);
	setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&to, sizeof(to)))
		die("bind");
	return fd;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* One batch from number @n on; how many went. */
static int send_batch(int fd, uint8_t frames[BATCH][FRAME], uint64_t n,
		      int count)
{
	static struct mmsghdr m[BATCH];
	static struct iovec iov[BATCH];

	for (int i = 0; i < count; i++) {
		frame_next(frames[i], n + (uint64_t)i);
		iov[i] = (struct iovec){ frames[i], FRAME };
		m[i] = (struct mmsghdr){ .msg_hdr = { .msg_iov = &iov[i],
						      .msg_iovlen = 1 } };
	}
	count = sendmmsg(fd, m, (unsigned int)count, 0);
	if (count < 0 && errno != ENOBUFS && errno != EAGAIN && errno != EINTR)
		die("sendmmsg");
	return count > 0 ? count : 0;
}

int main(int argc, char **argv)
{
	static uint8_t frames[BATCH][FRAME];
	uint8_t src[6];
	const struct ether_addr *dst;
	double rate, seconds, begun, at;
	uint64_t sent = 0;
	int fd;

	if (argc != 7) {
		fprintf(stderr, "usage: synflood DEVICE DST_MAC DST_IP PORT "
			"RATE SECONDS\n");
		return 2;
	}
	rate = atof(argv[5]);
	seconds = atof(argv[6]);
	dst = ether_aton(argv[2]);
	if (!dst || rate <= 0 || rate > 1e6 || seconds <= 0 || seconds > 60) {
		fprintf(stderr, "synflood: a value is out of range\n");
		return 2;
	}
	fd = open_device(argv[1], src);
	for (int i = 0; i < BATCH; i++)
		frame_init(frames[i], src, dst->ether_addr_octet,
			   inet_addr(argv[3]), htons((uint16_t)atoi(argv[4])));
	begun = now();
	while ((at = now() - begun) < seconds) {
		double due = at * rate - (double)sent;

		if (due < 1) {
			usleep(200);
			continue;
		}
		sent += (uint64_t)send_batch(fd, frames, sent,
					     due < BATCH ? (int)due : BATCH);
	}
	printf("%llu SYNs in %.1f s\n", (unsigned long long)sent, at);
	close(fd);
	return 0;
}
