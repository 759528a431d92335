/*
 * relay - a bad path between network namespaces, in user space
 *
 *	relay -b DEVICE -a DEVICE [-a DEVICE] [-s SEED] [-D DELAY_US]
 *	      [-r MBIT] [-q BYTES] [-l LOSS_PPM] [-o REORDER_PPM] [-O EXTRA_US]
 *	      [-m MARK_BYTES] [-x] [-N]
 *
 *	  a0 --\                 queue of        on the line   held back
 *	        >-- lost? --> [ QUEUE bytes ] --> [ DELAY ] --> [ EXTRA ] --> b
 *	  a1 --/                at MBIT
 *
 * The frames of all a go to b; those of b go to the a that their receiver's
 * address was last seen on.  Both ways have the rate, the queue and the delay;
 * one way, a to b (with -x: b to a), is bad as well: it loses LOSS_PPM of a
 * million IPv4 frames, holds REORDER_PPM of them back by EXTRA_US so that
 * later ones pass them, and marks ECN-capable ones CE (RFC 3168) while more
 * than MARK_BYTES wait.  What befalls the n-th frame depends on the seed alone.
 *
 * It takes a nice value of -20 for itself, but with -N.  Prints "ready" and, on SIGTERM or SIGINT, one JSON object: frames, bytes,
 * where frames were dropped, and how late (against the plan) they were sent.
 *
 * Memory      Frames lie in one pool of slots, in queues linked by number.
 * Units       ns of CLOCK_MONOTONIC; bytes of whole Ethernet frames.
 * Threads     One.
 */
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <arpa/inet.h>

#define DEVICES		3	/* the last one is b */
#define DEV_B		(DEVICES - 1)
#define SLOT_BYTES	2048
#define SLOTS		65536
#define RX_SLOTS	8192	/* of a device's receive ring */
#define BURST		64
#define NONE		UINT32_MAX
#define LATE_BUCKETS	40	/* powers of two of ns */

struct slot {
	uint64_t due;
	uint32_t next;
	uint16_t len;
	uint8_t dev;		/* where it leaves */
};

/* Slots in the order in which they are due. */
struct queue {
	uint32_t first, last;
};

struct device {
	const char *name;
	int fd;
	uint8_t *ring;
	uint32_t next;		/* slot of the ring */
	uint32_t addr;		/* of the host behind it, as last seen */
};

/* One of the two ways. */
struct way {
	bool bad;
	uint64_t rng;
	uint64_t line_free;	/* when the last frame will have been sent */
	struct queue straight, held;
	uint64_t in, in_bytes, out, lost, queue_full, marked, held_back;
};

static struct {
	struct device dev[DEVICES];
	struct way way[2];	/* to b, from b */
	struct slot *slots;
	uint8_t *bytes;
	uint32_t free;
	uint64_t delay, extra;
	double ns_per_byte;	/* 0: no limit */
	uint64_t queue_bytes, mark_bytes;
	bool as_is;		/* keeps the priority that it was given */
	uint32_t loss_ppm, reorder_ppm;
	uint64_t no_slot, send_failed;
	uint64_t late[LATE_BUCKETS], late_max;
} g;

static volatile sig_atomic_t stop;

static void on_signal(int sig)
{
	(void)sig;
	stop = 1;
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

/* splitmix64 */
static uint32_t draw_ppm(struct way *w)
{
	uint64_t z = (w->rng += 0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return (uint32_t)((z ^ z >> 31) % 1000000);
}

static void queue_add(struct queue *q, uint32_t i)
{
	g.slots[i].next = NONE;
	if (q->first == NONE)
		q->first = i;
	else
		g.slots[q->last].next = i;
	q->last = i;
}

/* RFC 3168 5, with the header's checksum as of RFC 1624. */
static void mark_ce(uint8_t *frame, struct way *w)
{
	uint8_t *ip = frame + ETH_HLEN;
	uint16_t before, after, csum;
	uint32_t sum;

	if ((ip[1] & 3) == 0 || (ip[1] & 3) == 3)
		return;
	memcpy(&before, ip, 2);
	ip[1] |= 3;
	memcpy(&after, ip, 2);
	memcpy(&csum, ip + 10, 2);
	sum = (uint32_t)(uint16_t)~csum + (uint16_t)~before + after;
	sum = (sum & 0xffff) + (sum >> 16);
	csum = (uint16_t)~((sum & 0xffff) + (sum >> 16));
	memcpy(ip + 10, &csum, 2);
	w->marked++;
}

static bool is_ip4(const uint8_t *frame, uint32_t len)
{
	return len >= ETH_HLEN + 20 && frame[12] == 0x08 && frame[13] == 0x00;
}

/* A frame enters the path; what is beyond the queue's bound is dropped. */
static void take(struct way *w, uint8_t dev, const uint8_t *data, uint32_t len,
		 uint64_t now)
{
	bool ip4 = is_ip4(data, len), bad = w->bad && ip4, hold = false;
	uint64_t waiting = w->line_free > now ? w->line_free - now : 0;
	uint64_t backlog = g.ns_per_byte > 0 ?
				   (uint64_t)((double)waiting / g.ns_per_byte) : 0;
	uint32_t i = g.free;

	w->in++;
	w->in_bytes += len;
	if (bad && draw_ppm(w) < g.loss_ppm) {
		w->lost++;
		return;
	}
	if (bad)
		hold = draw_ppm(w) < g.reorder_ppm;
	if (g.queue_bytes && backlog + len > g.queue_bytes) {
		w->queue_full++;
		return;
	}
	if (i == NONE || len > SLOT_BYTES) {
		g.no_slot++;
		return;
	}
	g.free = g.slots[i].next;
	memcpy(g.bytes + (size_t)i * SLOT_BYTES, data, len);
	if (bad && g.mark_bytes && backlog > g.mark_bytes)
		mark_ce(g.bytes + (size_t)i * SLOT_BYTES, w);
	w->line_free = now + waiting + (uint64_t)(g.ns_per_byte * len);
	w->held_back += hold;
	g.slots[i].len = (uint16_t)len;
	g.slots[i].dev = dev;
	g.slots[i].due = w->line_free + g.delay + (hold ? g.extra : 0);
	queue_add(hold ? &w->held : &w->straight, i);
}

/* Which a a frame of b goes to; DEV_B: to all of them. */
static uint8_t route(const uint8_t *data, uint32_t len)
{
	uint32_t dst;

	if (!g.dev[1].name)
		return 0;
	if (!is_ip4(data, len))
		return DEV_B;
	memcpy(&dst, data + ETH_HLEN + 16, 4);
	return g.dev[0].addr == dst ? 0 : g.dev[1].addr == dst ? 1 : DEV_B;
}

static void from(int d, const uint8_t *data, uint32_t len, uint64_t now)
{
	uint8_t to;

	if (d != DEV_B) {
		if (is_ip4(data, len))
			memcpy(&g.dev[d].addr, data + ETH_HLEN + 12, 4);
		take(&g.way[0], DEV_B, data, len, now);
		return;
	}
	to = route(data, len);
	if (to != DEV_B) {
		take(&g.way[1], to, data, len, now);
		return;
	}
	for (uint8_t a = 0; a < DEV_B; a++)
		take(&g.way[1], a, data, len, now);
}

/* The kernel's status word is the hand-over of a ring's slot, both ways. */
static bool receive(int d, uint64_t now)
{
	struct device *dev = &g.dev[d];
	int n = 0;

	for (; dev->name && n < BURST; n++) {
		uint8_t *at = dev->ring + (size_t)dev->next * SLOT_BYTES;
		struct tpacket2_hdr *h = (struct tpacket2_hdr *)(void *)at;
		uint32_t *status = &h->tp_status;

		if (!(__atomic_load_n(status, __ATOMIC_ACQUIRE) & TP_STATUS_USER))
			break;
		from(d, at + h->tp_mac, h->tp_snaplen, now);
		__atomic_store_n(status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
		dev->next = (dev->next + 1) % RX_SLOTS;
	}
	return n > 0;
}

static void count_late(uint64_t late)
{
	int b = late ? 64 - __builtin_clzll(late) : 0;

	g.late[b < LATE_BUCKETS ? b : LATE_BUCKETS - 1]++;
	if (late > g.late_max)
		g.late_max = late;
}

/* Takes what is due, straight or held back, whichever is due first. */
static uint32_t next_due(struct way *w, uint64_t now)
{
	struct queue *q = &w->straight;
	uint32_t i;

	if (q->first == NONE || (w->held.first != NONE &&
	    g.slots[w->held.first].due < g.slots[q->first].due))
		q = &w->held;
	i = q->first;
	if (i == NONE || g.slots[i].due > now)
		return NONE;
	q->first = g.slots[i].next;
	return i;
}

static void send_burst(int d, const uint32_t *list, unsigned int count)
{
	struct mmsghdr msg[BURST];
	struct iovec iov[BURST];
	unsigned int done = 0, tries = 0;

	memset(msg, 0, sizeof(msg));
	for (unsigned int i = 0; i < count; i++) {
		iov[i].iov_base = g.bytes + (size_t)list[i] * SLOT_BYTES;
		iov[i].iov_len = g.slots[list[i]].len;
		msg[i].msg_hdr.msg_iov = &iov[i];
		msg[i].msg_hdr.msg_iovlen = 1;
	}
	while (done < count && tries++ < 1000) {
		int n = sendmmsg(g.dev[d].fd, msg + done, count - done, 0);

		if (n > 0)
			done += (unsigned int)n;
		else if (errno != ENOBUFS && errno != EAGAIN && errno != EINTR)
			break;
	}
	g.send_failed += count - done;
	for (unsigned int i = 0; i < count; i++) {
		g.slots[list[i]].next = g.free;
		g.free = list[i];
	}
}

static bool deliver(struct way *w, uint64_t now)
{
	uint32_t list[BURST], i;
	unsigned int n = 0;
	int dev = 0;

	while (n < BURST && (i = next_due(w, now)) != NONE) {
		if (n && g.slots[i].dev != dev) {
			send_burst(dev, list, n);
			n = 0;
		}
		dev = g.slots[i].dev;
		count_late(now - g.slots[i].due);
		w->out++;
		list[n++] = i;
	}
	if (n)
		send_burst(dev, list, n);
	return n == BURST;
}

static uint64_t first_due(void)
{
	uint64_t due = UINT64_MAX;

	for (int i = 0; i < 2; i++) {
		const struct queue *q[2] = { &g.way[i].straight, &g.way[i].held };

		for (int k = 0; k < 2; k++)
			if (q[k]->first != NONE && g.slots[q[k]->first].due < due)
				due = g.slots[q[k]->first].due;
	}
	return due;
}

static void wait_until(uint64_t due)
{
	struct pollfd p[DEVICES];
	struct timespec ts = { .tv_sec = 1 };
	uint64_t now = now_ns();

	for (int d = 0; d < DEVICES; d++)
		p[d] = (struct pollfd){ .fd = g.dev[d].name ? g.dev[d].fd : -1,
					.events = POLLIN };
	if (due <= now)
		return;
	if (due - now < 1000000000)
		ts = (struct timespec){ .tv_nsec = (long)(due - now) };
	ppoll(p, DEVICES, &ts, NULL);
}

static void run(void)
{
	while (!stop) {
		bool more = false;

		for (int d = 0; d < DEVICES; d++)
			more |= receive(d, now_ns());
		for (int i = 0; i < 2; i++)
			more |= deliver(&g.way[i], now_ns());
		if (!more)
			wait_until(first_due());
	}
}

static int device_open(struct device *dev)
{
	struct tpacket_req req = {
		.tp_block_size = 1 << 20, .tp_frame_size = SLOT_BYTES,
		.tp_block_nr = RX_SLOTS * SLOT_BYTES >> 20,
		.tp_frame_nr = RX_SLOTS,
	};
	struct sockaddr_ll ll = { .sll_family = AF_PACKET,
				  .sll_protocol = htons(ETH_P_ALL) };
	int version = TPACKET_V2, one = 1, sndbuf = 8 << 20;

	ll.sll_ifindex = (int)if_nametoindex(dev->name);
	dev->fd = socket(AF_PACKET, SOCK_RAW, 0);
	if (dev->fd < 0 || !ll.sll_ifindex)
		return -1;
	setsockopt(dev->fd, SOL_SOCKET, SO_SNDBUFFORCE, &sndbuf, sizeof(sndbuf));
	if (setsockopt(dev->fd, SOL_PACKET, PACKET_VERSION, &version,
		       sizeof(version)) < 0 ||
	    setsockopt(dev->fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one,
		       sizeof(one)) < 0 ||
	    setsockopt(dev->fd, SOL_PACKET, PACKET_QDISC_BYPASS, &one,
		       sizeof(one)) < 0 ||
	    setsockopt(dev->fd, SOL_PACKET, PACKET_RX_RING, &req,
		       sizeof(req)) < 0)
		return -1;
	dev->ring = mmap(NULL, (size_t)RX_SLOTS * SLOT_BYTES,
			 PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
			 dev->fd, 0);
	if (dev->ring == MAP_FAILED)
		return -1;
	return bind(dev->fd, (struct sockaddr *)&ll, sizeof(ll));
}

static int set_up(uint64_t seed)
{
	g.slots = calloc(SLOTS, sizeof(*g.slots));
	g.bytes = malloc((size_t)SLOTS * SLOT_BYTES);
	if (!g.slots || !g.bytes)
		return -1;
	for (uint32_t i = 0; i < SLOTS; i++)
		g.slots[i].next = i + 1 < SLOTS ? i + 1 : NONE;
	for (int i = 0; i < 2; i++) {
		g.way[i].rng = seed * 2 + (uint64_t)i;
		g.way[i].straight.first = g.way[i].held.first = NONE;
	}
	for (int d = 0; d < DEVICES; d++)
		if (g.dev[d].name && device_open(&g.dev[d]) < 0) {
			fprintf(stderr, "relay: %s: %s\n", g.dev[d].name,
				strerror(errno));
			return -1;
		}
	return 0;
}

static uint64_t ring_drops(void)
{
	uint64_t sum = 0;

	for (int d = 0; d < DEVICES; d++) {
		struct tpacket_stats st;
		socklen_t len = sizeof(st);

		if (g.dev[d].name && getsockopt(g.dev[d].fd, SOL_PACKET,
						PACKET_STATISTICS, &st, &len) == 0)
			sum += st.tp_drops;
	}
	return sum;
}

/* The bound of the bucket below which 99.9 % of the frames lie. */
static uint64_t late_999(void)
{
	uint64_t all = 0, sum = 0;

	for (int b = 0; b < LATE_BUCKETS; b++)
		all += g.late[b];
	for (int b = 0; b < LATE_BUCKETS; b++) {
		sum += g.late[b];
		if (sum * 1000 >= all * 999)
			return 1ull << b;
	}
	return 0;
}

static void print_way(const char *name, const struct way *w)
{
	printf("\"%s\": {\"in\": %llu, \"in_bytes\": %llu, \"out\": %llu, "
	       "\"lost\": %llu, \"queue_full\": %llu, \"marked\": %llu, "
	       "\"held_back\": %llu}, ", name, (unsigned long long)w->in,
	       (unsigned long long)w->in_bytes, (unsigned long long)w->out,
	       (unsigned long long)w->lost, (unsigned long long)w->queue_full,
	       (unsigned long long)w->marked, (unsigned long long)w->held_back);
}

static void print_result(void)
{
	struct rusage ru;

	getrusage(RUSAGE_SELF, &ru);
	printf("{");
	print_way("to_b", &g.way[0]);
	print_way("to_a", &g.way[1]);
	printf("\"ring_drops\": %llu, \"no_slot\": %llu, \"send_failed\": %llu, "
	       "\"late_999_us\": %.0f, \"late_max_us\": %.0f, \"cpu_s\": %.2f}\n",
	       (unsigned long long)ring_drops(), (unsigned long long)g.no_slot,
	       (unsigned long long)g.send_failed, (double)late_999() / 1000,
	       (double)g.late_max / 1000,
	       (double)(ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) +
	       (double)(ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) / 1e6);
	fflush(stdout);
}

static int usage(void)
{
	fprintf(stderr, "usage: relay -b DEVICE -a DEVICE [-a DEVICE] [-s SEED] "
			"[-D DELAY_US] [-r MBIT] [-q BYTES] [-l LOSS_PPM] "
			"[-o REORDER_PPM] [-O EXTRA_US] [-m MARK_BYTES] [-x] [-N]\n");
	return 2;
}

/* Returns false where the command line is not one. */
static bool options(int argc, char **argv, uint64_t *seed)
{
	int a = 0, opt;
	bool back = false;

	while ((opt = getopt(argc, argv, "a:b:s:D:r:q:l:o:O:m:xN")) != -1) {
		uint64_t n = optarg ? strtoull(optarg, NULL, 10) : 0;

		switch (opt) {
		case 'a':
			if (a == DEV_B)
				return false;
			g.dev[a++].name = optarg;
			break;
		case 'b': g.dev[DEV_B].name = optarg; break;
		case 's': *seed = n; break;
		case 'D': g.delay = n * 1000; break;
		case 'r': g.ns_per_byte = n ? 8000.0 / (double)n : 0; break;
		case 'q': g.queue_bytes = n; break;
		case 'l': g.loss_ppm = (uint32_t)n; break;
		case 'o': g.reorder_ppm = (uint32_t)n; break;
		case 'O': g.extra = n * 1000; break;
		case 'm': g.mark_bytes = n; break;
		case 'x': back = true; break;
		case 'N': g.as_is = true; break;
		default: return false;
		}
	}
	g.way[back ? 1 : 0].bad = true;
	return a > 0 && g.dev[DEV_B].name;
}

int main(int argc, char **argv)
{
	uint64_t seed = 1;

	if (!options(argc, argv, &seed))
		return usage();
	if (set_up(seed) < 0) {
		fprintf(stderr, "relay: cannot start (needs root, and devices "
				"that are up)\n");
		return 1;
	}
	/* A measuring instrument must not wait for what it measures. */
	prctl(PR_SET_TIMERSLACK, 1);
	if (!g.as_is)
		setpriority(PRIO_PROCESS, 0, -20);
	signal(SIGTERM, on_signal);
	signal(SIGINT, on_signal);
	printf("ready\n");
	fflush(stdout);
	run();
	print_result();
	return 0;
}
