/*
 * bench_load - the load generator of the benches
 *
 *	bench_load -a ADDR -p PORT -m rpc|conn|bulk [-k CONNS] [-t SECONDS]
 *	           [-N COUNT] [-c CPU] [-i IDLE] [-s SOURCE] [-S SOURCES]
 *	           [-w WARM_SECONDS]
 *
 *	rpc	64 bytes there and 64 back on CONNS kept connections
 *	conn	connect, 64 there and 64 back, close; CONNS at a time
 *	bulk	reads what the server sends on CONNS connections
 *
 * It ends after SECONDS, or after COUNT answers when that is sooner; what comes
 * in the WARM_SECONDS before is not counted.
 * -i opens IDLE more connections first and leaves them open; -s and -S: outgoing
 * connections come from SOURCES consecutive addresses from SOURCE on.
 * Prints "measuring", waits for a line on standard input so that the runner
 * can read CPU clocks, runs, and prints one JSON object.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tools/bench/face.h"

#define MESSAGE_BYTES	64
#define BUCKETS		4096	/* latency histogram: log-linear, 64 a factor 2 */

enum mode { MODE_RPC, MODE_CONN, MODE_BULK };

struct conn {
	uint64_t started_ns;
	uint32_t got;		/* bytes of the answer */
	bool open, connected, idle;
};

static struct {
	enum mode mode;
	struct sockaddr_in to;
	struct in_addr source;
	int sources;
	int active, idle;
	struct conn *conns;	/* by descriptor */
	int conns_max;
	uint64_t done, bytes, errors, enough;
	uint64_t histogram[BUCKETS];
	double warm;		/* seconds */
	bool running;
} g;

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

/* 64 buckets for each power of two of nanoseconds: 1.6 % resolution. */
static unsigned int bucket_of(uint64_t ns)
{
	unsigned int log2 = ns < 64 ? 6 : 63 - (unsigned int)__builtin_clzll(ns);

	return (log2 - 6) * 64 + (unsigned int)(ns >> (log2 - 6) & 63);
}

static uint64_t bucket_ns(unsigned int b)
{
	return (64ull + b % 64) << (b / 64);
}

static void record(uint64_t ns)
{
	unsigned int b = bucket_of(ns);

	g.histogram[b < BUCKETS ? b : BUCKETS - 1]++;
}

static double percentile_us(double p)
{
	uint64_t want = (uint64_t)((double)g.done * p), seen = 0;

	for (unsigned int b = 0; b < BUCKETS; b++) {
		seen += g.histogram[b];
		if (seen > want)
			return (double)bucket_ns(b) / 1000;
	}
	return 0;
}

static int open_conn(bool idle)
{
	int fd = face_connect(&g.to);

	if (fd < 0 || fd >= g.conns_max) {
		fprintf(stderr, "bench_load (%s): connect: %s (descriptor %d of "
				"%d)\n", face_name, strerror(errno), fd,
			g.conns_max);
		exit(1);
	}
	g.conns[fd] = (struct conn){ .open = true, .idle = idle,
				     .started_ns = now_ns() };
	face_watch(fd, FACE_OUT, 1);
	return fd;
}

static void close_conn(int fd)
{
	g.conns[fd].open = false;
	face_close(fd);
}

static void replace(int fd, bool failed)
{
	bool idle = g.conns[fd].idle;

	g.errors += failed;
	close_conn(fd);
	if (g.running || idle)
		open_conn(idle);
}

/* The first one is told, all are counted. */
static void fail(int fd, int err)
{
	if (!g.errors)
		fprintf(stderr, "bench_load (%s): %s: %s\n", face_name,
			g.conns[fd].connected ? "connection" : "connect",
			strerror(err));
	replace(fd, true);
}

static void send_request(int fd)
{
	static const char request[MESSAGE_BYTES] = "request";
	struct conn *c = &g.conns[fd];

	if (g.mode == MODE_RPC)
		c->started_ns = now_ns();
	c->got = 0;
	if (face_write(fd, request, sizeof(request)) != sizeof(request))
		replace(fd, true);
}

static void on_connected(int fd)
{
	struct conn *c = &g.conns[fd];
	int err = face_error(fd);

	if (err) {
		fail(fd, err);
		return;
	}
	c->connected = true;
	face_watch(fd, FACE_IN, 0);
	if (!c->idle && g.mode != MODE_BULK && g.running)
		send_request(fd);
}

static void on_answer(int fd)
{
	g.done++;
	record(now_ns() - g.conns[fd].started_ns);
	if (g.mode == MODE_CONN)
		replace(fd, false);
	else if (g.running)
		send_request(fd);
}

static void on_readable(int fd)
{
	static char buf[262144];
	size_t want = g.mode == MODE_BULK ? sizeof(buf) : MESSAGE_BYTES;
	ssize_t n = face_read(fd, buf, want);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		replace(fd, true);
		return;
	}
	g.bytes += (uint64_t)n;
	g.conns[fd].got += (uint32_t)n;
	if (g.mode != MODE_BULK && g.conns[fd].got >= MESSAGE_BYTES)
		on_answer(fd);
}

static void on_event(const struct face_event *ev)
{
	struct conn *c = &g.conns[ev->fd];

	if (!c->open)
		return;
	if (ev->events & FACE_ERR)
		fail(ev->fd, face_error(ev->fd));
	else if (!c->connected && ev->events & FACE_OUT)
		on_connected(ev->fd);
	else if (c->connected && ev->events & FACE_IN)
		on_readable(ev->fd);
}

static int turn(int timeout_ms)
{
	struct face_event ev[256];
	int n = face_wait(ev, 256, timeout_ms);

	for (int i = 0; i < n; i++)
		on_event(&ev[i]);
	return n;
}

static int count_connected(void)
{
	int n = 0;

	for (int fd = 0; fd < g.conns_max; fd++)
		n += g.conns[fd].open && g.conns[fd].connected;
	return n;
}

/* Opens @count connections, at most 2,000 under way at once. */
static bool open_all(int count, bool idle)
{
	uint64_t deadline = now_ns() + 120ull * 1000000000;
	int target = count_connected() + count, opened = 0, connected = 0;

	while (connected < target && now_ns() < deadline && g.errors < 1000) {
		int before = target - count;

		while (opened < count && before + opened - connected < 2000) {
			open_conn(idle);
			opened++;
		}
		for (int i = 0; i < 64 && turn(i ? 0 : 10) > 0; i++)
			;
		connected = count_connected();
	}
	return connected >= target;
}

static void start_all(void)
{
	g.running = true;
	for (int fd = 0; fd < g.conns_max; fd++)
		if (g.conns[fd].open && !g.conns[fd].idle && g.mode != MODE_BULK)
			send_request(fd);
}

static void warm_up(void)
{
	uint64_t end = now_ns() + (uint64_t)(g.warm * 1e9);

	while (now_ns() < end)
		turn(100);
	g.done = g.bytes = 0;
	memset(g.histogram, 0, sizeof(g.histogram));
}

static void measure(double seconds)
{
	uint64_t start, end, now;
	char line[16];

	printf("measuring\n");
	fflush(stdout);
	if (!fgets(line, sizeof(line), stdin))
		exit(1);
	start_all();
	if (g.warm > 0)
		warm_up();
	start = now_ns();
	end = start + (uint64_t)(seconds * 1e9);
	while ((now = now_ns()) < end && g.done < g.enough)
		turn(100);
	g.running = false;
	printf("{\"face\": \"%s\", \"seconds\": %.4f, \"count\": %llu, "
	       "\"bytes\": %llu, \"errors\": %llu, \"p50_us\": %.1f, "
	       "\"p99_us\": %.1f}\n", face_name, (double)(now - start) / 1e9,
	       (unsigned long long)g.done, (unsigned long long)g.bytes,
	       (unsigned long long)g.errors, percentile_us(0.5),
	       percentile_us(0.99));
	fflush(stdout);
}

static int usage(void)
{
	fprintf(stderr, "usage: bench_load -a ADDR -p PORT -m rpc|conn|bulk "
			"[-k CONNS] [-t SECONDS] [-N COUNT] [-c CPU] [-i IDLE] "
			"[-s SOURCE] [-S SOURCES] [-w WARM_SECONDS]\n");
	return 2;
}

static enum mode mode_of(const char *s)
{
	return !strcmp(s, "conn") ? MODE_CONN :
	       !strcmp(s, "bulk") ? MODE_BULK : MODE_RPC;
}

int main(int argc, char **argv)
{
	double seconds = 5;
	int cpu = -1, opt;

	g.to.sin_family = AF_INET;
	g.active = 64;
	g.enough = UINT64_MAX;
	while ((opt = getopt(argc, argv, "a:p:m:k:t:N:c:i:s:S:w:")) != -1) {
		switch (opt) {
		case 'a': inet_pton(AF_INET, optarg, &g.to.sin_addr); break;
		case 'p': g.to.sin_port = htons((uint16_t)atoi(optarg)); break;
		case 'm': g.mode = mode_of(optarg); break;
		case 'k': g.active = atoi(optarg); break;
		case 't': seconds = atof(optarg); break;
		case 'N': g.enough = strtoull(optarg, NULL, 10); break;
		case 'c': cpu = atoi(optarg); break;
		case 'i': g.idle = atoi(optarg); break;
		case 's': inet_pton(AF_INET, optarg, &g.source); break;
		case 'S': g.sources = atoi(optarg); break;
		case 'w': g.warm = atof(optarg); break;
		default: return usage();
		}
	}
	if (!g.to.sin_port || !g.to.sin_addr.s_addr)
		return usage();
	signal(SIGPIPE, SIG_IGN);
	g.conns_max = g.active + g.idle + 1024;
	g.conns = calloc((size_t)g.conns_max, sizeof(*g.conns));
	if (!g.conns || face_init(cpu, g.conns_max) < 0) {
		fprintf(stderr, "bench_load (%s): cannot start: %s\n", face_name,
			strerror(errno));
		return 1;
	}
	if (g.sources && face_sources(g.source, g.sources, &g.to) < 0) {
		fprintf(stderr, "bench_load (%s): source addresses: %s\n",
			face_name, strerror(errno));
		return 1;
	}
	if (!open_all(g.idle, true) || !open_all(g.active, false)) {
		fprintf(stderr, "bench_load (%s): only %d of %d connections "
				"opened\n", face_name, count_connected(),
			g.idle + g.active);
		return 1;
	}
	measure(seconds);
	return 0;
}
