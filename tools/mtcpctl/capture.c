/*
 * capture - frames of all engines as pcapng
 *
 *	filter --libpcap--> BPF --admin socket--> mtcpd
 *	rings of engines (shm/capture.h) --merged by time--> pcapng
 *
 * Ends on a signal, after -c frames or -t seconds, or when the reader of a pipe
 * is gone; then mtcpd is told, and what is still in the rings is written.
 * "seen" frames matched the filter: they were written or dropped, each exactly
 * once, or left out after -c.
 */
#include <errno.h>
#include <getopt.h>
#include <pcap/pcap.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "shm/capture.h"
#include "tools/mtcpctl/mtcpctl.h"

#define ENGINES		16
#define POLL_MS		5
#define RING_MASK	(CAPTURE_RING_BYTES - 1)

struct capture {
	FILE *out;
	struct capture_ring *ring[ENGINES];
	size_t engines;
	long long epoch_us, most;	/* -c; 0: no end */
	unsigned long long written, broken;
	double end;			/* -t; 0: no end */
	int fd;				/* the session */
};

struct wishes {
	const char *file;
	long long count, seconds, snaplen;
	char *filter;
};

static volatile sig_atomic_t stopped;

static void on_signal(int signal)
{
	(void)signal;
	stopped = 1;
}

static double now_seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* ---- pcapng (draft-ietf-opsawg-pcapng) ---- */

static void put(struct capture *c, const void *bytes, size_t n)
{
	static const uint8_t zeros[4];

	fwrite(bytes, 1, n, c->out);
	fwrite(zeros, 1, (4 - n % 4) % 4, c->out);
}

static void put32(struct capture *c, uint32_t n)
{
	fwrite(&n, sizeof(n), 1, c->out);
}

static void put_option(struct capture *c, uint16_t code, const void *bytes,
		       size_t n)
{
	put32(c, (uint32_t)n << 16 | code);	/* little-endian: code first */
	put(c, bytes, n);
}

static void put_section(struct capture *c)
{
	static const char us[] = "mtcpctl " MTCPD_VERSION;
	uint32_t padded = (sizeof(us) - 1 + 3) & ~3u;
	uint32_t bytes = 28 + 4 + padded + 4;

	put32(c, 0x0a0d0d0a);
	put32(c, bytes);
	put32(c, 0x1a2b3c4d);
	put32(c, 1);				/* version 1.0 */
	put32(c, UINT32_MAX);			/* length: not known */
	put32(c, UINT32_MAX);
	put_option(c, 4, us, sizeof(us) - 1);	/* shb_userappl */
	put32(c, 0);
	put32(c, bytes);
}

static void put_interface(struct capture *c, const char *name, uint32_t snaplen)
{
	uint32_t n = (uint32_t)strlen(name);
	uint32_t bytes = 20 + 4 + ((n + 3) & ~3u) + 4;

	put32(c, 1);
	put32(c, bytes);
	put32(c, DLT_EN10MB);
	put32(c, snaplen);
	put_option(c, 2, name, n);		/* if_name */
	put32(c, 0);
	put32(c, bytes);
}

static void put_frame(struct capture *c, const struct capture_record *r,
		      const unsigned char *frame)
{
	uint64_t at = r->at_us + (uint64_t)c->epoch_us;
	uint32_t flags = r->way == CAPTURE_IN ? 1 : 2;
	uint32_t bytes = 32 + ((r->captured + 3) & ~3u) + 8 + 4;

	put32(c, 6);
	put32(c, bytes);
	put32(c, r->port);
	put32(c, (uint32_t)(at >> 32));
	put32(c, (uint32_t)at);
	put32(c, r->captured);
	put32(c, r->wire);
	put(c, frame, r->captured);
	put_option(c, 2, &flags, sizeof(flags));	/* epb_flags */
	put32(c, 0);
	put32(c, bytes);
}

/* ---- rings ---- */

/* The next record of ring @i; false: none below @tail. */
static bool next_record(struct capture *c, size_t i, uint64_t tail,
			struct capture_record *out)
{
	struct capture_ring *r = c->ring[i];
	uint64_t head = atomic_load_explicit(&r->head, memory_order_relaxed);

	while (head != tail) {
		uint32_t at = (uint32_t)(head & RING_MASK);
		uint32_t rest = CAPTURE_RING_BYTES - at;

		if (rest >= sizeof(*out)) {
			memcpy(out, r->records + at, sizeof(*out));
			if (out->way != CAPTURE_SKIP)
				return true;
		}
		head += rest;
		atomic_store_explicit(&r->head, head, memory_order_release);
	}
	return false;
}

static void take_record(struct capture *c, size_t i,
			const struct capture_record *rec)
{
	struct capture_ring *r = c->ring[i];
	uint64_t head = atomic_load_explicit(&r->head, memory_order_relaxed);

	if (!c->most || (long long)c->written < c->most) {
		put_frame(c, rec, r->records + (head & RING_MASK) +
			  sizeof(*rec));
		c->written++;
	}
	/* pairs with the engine's acquire: it may write here again */
	atomic_store_explicit(&r->head, head + rec->bytes,
			      memory_order_release);
}

/* All that is there now, in the order of time. */
static void drain(struct capture *c)
{
	struct capture_record next[ENGINES];
	bool have[ENGINES];
	uint64_t tail[ENGINES];

	for (size_t i = 0; i < c->engines; i++) {
		tail[i] = atomic_load_explicit(&c->ring[i]->tail,
					       memory_order_acquire);
		have[i] = next_record(c, i, tail[i], &next[i]);
	}
	for (;;) {
		size_t first = c->engines;

		for (size_t i = 0; i < c->engines; i++)
			if (have[i] && (first == c->engines ||
					next[i].at_us < next[first].at_us))
				first = i;
		if (first == c->engines)
			break;
		take_record(c, first, &next[first]);
		have[first] = next_record(c, first, tail[first], &next[first]);
	}
	if (fflush(c->out) != 0)
		stopped = 1;
}

/* ---- start and end ---- */

/* The filter as mtcpd wants it; free() it.  NULL after a message. */
static char *compile(const struct wishes *w)
{
	pcap_t *p = pcap_open_dead(DLT_EN10MB, (int)w->snaplen);
	struct bpf_program program;
	char *text = NULL;

	if (!p)
		return NULL;
	if (pcap_compile(p, &program, w->filter, 1, PCAP_NETMASK_UNKNOWN)) {
		fprintf(stderr, "mtcpctl: filter: %s\n", pcap_geterr(p));
		pcap_close(p);
		return NULL;
	}
	if (program.bf_len > CAPTURE_PROGRAM_MAX)
		fputs("mtcpctl: the filter is too large\n", stderr);
	else
		text = malloc(program.bf_len * 16u + 1);
	for (unsigned int i = 0; text && i < program.bf_len; i++) {
		const struct bpf_insn *n = &program.bf_insns[i];

		sprintf(text + 16 * i, "%04x%02x%02x%08x", n->code, n->jt,
			n->jf, n->k);
	}
	pcap_freecode(&program);
	pcap_close(p);
	return text;
}

/* The answer's line with its descriptor, -1: none; NULL after a message. */
static char *receive(int fd, int *passed)
{
	char text[8192];
	struct iovec iov = { text, sizeof(text) - 1 };
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1,
			      .msg_control = &control,
			      .msg_controllen = sizeof(control) };
	ssize_t n = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC);
	struct cmsghdr *cm = n > 0 ? CMSG_FIRSTHDR(&msg) : NULL;

	*passed = -1;
	if (cm && cm->cmsg_type == SCM_RIGHTS)
		memcpy(passed, CMSG_DATA(cm), sizeof(int));
	if (n <= 0) {
		fprintf(stderr, "mtcpctl: mtcpd hung up: %s\n",
			n ? strerror(errno) : "it has stopped");
		return NULL;
	}
	text[n] = '\0';
	return strdup(text);
}

static bool map_rings(struct capture *c, int fd)
{
	size_t bytes = c->engines * CAPTURE_STRIDE;
	char *base = c->engines && c->engines <= ENGINES ?
		     mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
			  0) : MAP_FAILED;

	if (base == MAP_FAILED) {
		fputs("mtcpctl: the capture's memory cannot be mapped\n",
		      stderr);
		return false;
	}
	for (size_t i = 0; i < c->engines; i++)
		c->ring[i] = (struct capture_ring *)(base + i * CAPTURE_STRIDE);
	return true;
}

/* Writes the head of the file; false after a message. */
static bool begin(struct capture *c, const struct options *o,
		  const struct wishes *w, const char *program)
{
	char *line;
	int fd;
	json_t *data, *port;
	size_t i;
	bool ok = false;

	c->fd = dial(o->socket);
	if (c->fd < 0)
		return false;
	dprintf(c->fd, "{\"cmd\":\"capture\",\"snaplen\":%lld,"
		"\"filter\":\"%s\"}\n", w->snaplen, program);
	line = receive(c->fd, &fd);
	data = line ? answer_data(line) : NULL;
	free(line);
	if (data && fd >= 0) {
		c->engines = (size_t)number(data, "engines");
		c->epoch_us = number(data, "epoch_us");
		ok = map_rings(c, fd);
		put_section(c);
		json_array_foreach(json_object_get(data, "ports"), i, port)
			put_interface(c, json_string_value(port),
				      (uint32_t)w->snaplen);
		fflush(c->out);
	}
	if (fd >= 0)
		close(fd);
	json_decref(data);
	return ok;
}

static void finish(struct capture *c)
{
	unsigned long long seen = 0, dropped = 0;
	char *line;
	int fd;

	dprintf(c->fd, "{\"cmd\":\"capture-end\"}\n");
	line = receive(c->fd, &fd);	/* engines write no more */
	free(line);
	drain(c);
	for (size_t i = 0; i < c->engines; i++) {
		seen += atomic_load(&c->ring[i]->seen);
		dropped += atomic_load(&c->ring[i]->dropped);
	}
	fprintf(stderr, "%llu frames seen, %llu written, %llu dropped\n", seen,
		c->written, dropped);
}

static bool read_number(const char *text, long long least, long long most,
			long long *out)
{
	char *end;

	*out = strtoll(text, &end, 10);
	return !*end && *out >= least && *out <= most;
}

/* EXIT_OK, or EXIT_USAGE after a message. */
static int read_wishes(const struct options *o, struct wishes *w)
{
	int argc = o->arg_count + 1, opt;
	char **argv = (char **)o->args - 1;	/* the command's name */
	size_t used = 1;
	bool ok = true;

	optind = 0;
	while (ok && (opt = getopt(argc, argv, "+w:c:t:s:")) != -1) {
		switch (opt) {
		case 'w': w->file = optarg; break;
		case 'c': ok = read_number(optarg, 1, INT64_MAX, &w->count);
			break;
		case 't': ok = read_number(optarg, 1, 86400, &w->seconds);
			break;
		case 's': ok = read_number(optarg, 1, CAPTURE_SNAPLEN_MAX,
					   &w->snaplen); break;
		default: ok = false;
		}
	}
	if (!ok)
		return usage_error("capture [-w FILE|-] [-c FRAMES] "
				   "[-t SECONDS] [-s BYTES] [FILTER]");
	for (int i = optind; i < argc; i++)
		used += strlen(argv[i]) + 1;
	w->filter = calloc(1, used);
	for (int i = optind; w->filter && i < argc; i++) {
		strcat(w->filter, argv[i]);
		strcat(w->filter, i + 1 < argc ? " " : "");
	}
	return w->filter ? EXIT_OK : EXIT_ERROR;
}

static void catch_signals(void)
{
	struct sigaction sa = { .sa_handler = on_signal };

	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGHUP, &sa, NULL);
	signal(SIGPIPE, SIG_IGN);
}

static int run(const struct options *o, const struct wishes *w)
{
	struct capture c = { .most = w->count, .fd = -1 };
	bool standard = !w->file || !strcmp(w->file, "-");
	char *program = compile(w);
	bool ok;

	if (!program)
		return EXIT_USAGE;
	if (standard && isatty(STDOUT_FILENO)) {
		free(program);
		return usage_error("capture: -w FILE, or a pipe such as "
				   "mtcpctl capture | tcpdump -r -");
	}
	c.out = standard ? stdout : fopen(w->file, "we");
	if (!c.out) {
		fprintf(stderr, "mtcpctl: %s: %s\n", w->file, strerror(errno));
		free(program);
		return EXIT_ERROR;
	}
	catch_signals();
	ok = begin(&c, o, w, program);
	free(program);
	c.end = w->seconds ? now_seconds() + (double)w->seconds : 0;
	while (ok && !stopped && !(c.end > 0 && now_seconds() >= c.end) &&
	       !(c.most && (long long)c.written >= c.most)) {
		usleep(POLL_MS * 1000);
		drain(&c);
	}
	if (ok)
		finish(&c);
	if (c.fd >= 0)
		close(c.fd);
	if (!standard && fclose(c.out) != 0)
		ok = false;
	return ok ? EXIT_OK : EXIT_ERROR;
}

int run_capture(const struct options *o)
{
	struct wishes w = { .snaplen = CAPTURE_SNAPLEN_MAX };
	int status = read_wishes(o, &w);

	if (status == EXIT_OK)
		status = run(o, &w);
	free(w.filter);
	return status;
}
