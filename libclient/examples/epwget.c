/*
 * epwget.c - fetches a URL many times over, on mTCP's interface
 *
 *	thread 0 .. N-1, one a core: context, epoll, connections
 *
 *	start -> CONNECTING -> WAITING -> BODY -> done, start the next
 *	         (EPOLLOUT)    header     bytes
 *
 * Every flow is a connection of its own.  It is complete when the bytes that
 * Content-Length promised have come, or without one at the peer's end.
 *
 * Output    Each second a line of that second's figures on stderr, at the end
 *           the totals.  -o FILE: flow n's body goes to FILE.n.
 * Exit      0 if every flow completed.
 * Threads   Each owns its context, connections and counters; main reads the
 *           counters once a second.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <mtcp_api.h>
#include <mtcp_epoll.h>

#include "cpu.h"
#include "debug.h"
#include "http_parsing.h"
#include "netlib.h"
#include "rss.h"

enum {
	EPW_CORES_MAX	= 64,
	EPW_PER_CORE	= 100,		/* default concurrency */
	EPW_HEAD_MAX	= 4096,
	EPW_READ_BYTES	= 65536,
	EPW_READS	= 16,		/* most reads of one flow a turn */
	EPW_WAIT_MS	= 1000,
	EPW_RETRY_MS	= 10,		/* when no socket could be opened */
	EPW_RETRIES	= 500,		/* with none open, before giving up */
	EPW_IP_RANGE	= 1,		/* source addresses */
};

enum flow_state { FREE_FLOW, CONNECTING, WAITING, BODY };

struct flow {
	enum flow_state state;
	uint32_t sent;		/* of the request */
	uint32_t head_bytes;	/* in head */
	char *head;		/* response header as far as it came */
	int64_t want;		/* body bytes promised; -1: to the end */
	int64_t got;		/* body bytes */
	uint64_t start_us;
	int out;		/* -1: nowhere */
};

struct counts {
	_Atomic uint64_t connects, read_bytes, write_bytes, completes, errors;
	_Atomic uint64_t timed_out, resp_us, resp_max_us;
};

struct fetcher {
	pthread_t thread;
	int core, concurrency;
	uint64_t target, started, pending;
	mctx_t mctx;
	int epid;
	struct flow *flows;	/* by sockid */
	int flows_max;
	char *buf;
	struct counts counts;
	_Atomic bool running, ended, failed;
};

static struct {
	struct fetcher fetchers[EPW_CORES_MAX];
	int count;
	in_addr_t daddr;	/* network order */
	in_port_t dport;	/* network order */
	char host[64], path[1024], request[2048];
	uint32_t request_bytes;
	const char *out_file;
	_Atomic uint32_t out_number;
	_Atomic bool done;
} app;

static uint64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000u + (uint64_t)ts.tv_nsec / 1000u;
}

static void add(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_store_explicit(counter, n + atomic_load_explicit(counter,
			      memory_order_relaxed), memory_order_relaxed);
}

/* --- one flow ---------------------------------------------------------- */

static void end_flow(struct fetcher *f, int sockid)
{
	struct flow *w = &f->flows[sockid];

	mtcp_close(f->mctx, sockid);
	free(w->head);
	if (w->out >= 0)
		close(w->out);
	memset(w, 0, sizeof(*w));
	f->pending--;
}

static void fail_flow(struct fetcher *f, int sockid, int error)
{
	add(&f->counts.errors, 1);
	if (error == ETIMEDOUT)
		add(&f->counts.timed_out, 1);
	end_flow(f, sockid);
}

static void complete_flow(struct fetcher *f, int sockid)
{
	uint64_t us = now_us() - f->flows[sockid].start_us;

	add(&f->counts.completes, 1);
	add(&f->counts.resp_us, us);
	if (us > atomic_load(&f->counts.resp_max_us))
		atomic_store(&f->counts.resp_max_us, us);
	end_flow(f, sockid);
}

static void watch(struct fetcher *f, int sockid, int op, uint32_t events)
{
	struct mtcp_epoll_event ev = {
		.events = events, .data.sockid = sockid,
	};

	if (mtcp_epoll_ctl(f->mctx, f->epid, op, sockid, &ev) < 0)
		fail_flow(f, sockid, errno);
}

static int open_out(void)
{
	char name[1024];

	if (!app.out_file)
		return -1;
	snprintf(name, sizeof(name), "%s.%u", app.out_file,
		 atomic_fetch_add(&app.out_number, 1));
	return open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
}

/* 0, or -1 when there is no socket to be had at present. */
static int start_flow(struct fetcher *f)
{
	struct sockaddr_in sin = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = app.daddr,
		.sin_port = app.dport,
	};
	int sockid = mtcp_socket(f->mctx, AF_INET, SOCK_STREAM, 0);
	struct flow *w;

	if (sockid < 0)
		return -1;
	if (sockid >= f->flows_max) {
		mtcp_close(f->mctx, sockid);
		errno = EMFILE;
		return -1;
	}
	w = &f->flows[sockid];
	*w = (struct flow){ .state = CONNECTING, .want = -1, .out = -1,
			    .start_us = now_us() };
	f->started++;
	f->pending++;
	if (mtcp_setsock_nonblock(f->mctx, sockid) < 0 ||
	    (mtcp_connect(f->mctx, sockid, (struct sockaddr *)&sin,
			  sizeof(sin)) < 0 && errno != EINPROGRESS)) {
		fail_flow(f, sockid, errno);
		return 0;
	}
	watch(f, sockid, MTCP_EPOLL_CTL_ADD, MTCP_EPOLLOUT);
	return 0;
}

static void send_request(struct fetcher *f, int sockid)
{
	struct flow *w = &f->flows[sockid];
	ssize_t n;

	if (w->state == CONNECTING) {
		add(&f->counts.connects, 1);
		w->state = WAITING;
	}
	n = mtcp_write(f->mctx, sockid, app.request + w->sent,
		       app.request_bytes - w->sent);
	if (n < 0) {
		if (errno != EAGAIN)
			fail_flow(f, sockid, errno);
		return;
	}
	w->sent += (uint32_t)n;
	add(&f->counts.write_bytes, (uint64_t)n);
	if (w->sent == app.request_bytes)
		watch(f, sockid, MTCP_EPOLL_CTL_MOD, MTCP_EPOLLIN);
}

/* A part of the body; -1 when it cannot be stored. */
static int take_body(struct flow *w, const char *data, size_t bytes)
{
	w->got += (int64_t)bytes;
	while (w->out >= 0 && bytes) {
		ssize_t n = write(w->out, data, bytes);

		if (n < 0)
			return -1;
		data += n;
		bytes -= (size_t)n;
	}
	return 0;
}

/* The header is whole: what does it promise? */
static int parse_head(struct flow *w)
{
	int status, version;

	if (!http_parse_first_resp_line(w->head, (int)w->head_bytes, &status,
					&version) || status != 200)
		return -1;
	w->want = http_header_long_val(w->head, CONTENT_LENGTH_HDR,
				       sizeof(CONTENT_LENGTH_HDR) - 1);
	w->state = BODY;
	if (app.out_file) {
		w->out = open_out();
		return w->out < 0 ? -1 : 0;
	}
	return 0;
}

/* Collects the header; what follows it is body.  -1: no response. */
static int take_head(struct flow *w, const char *data, size_t bytes)
{
	size_t had = w->head_bytes, room = EPW_HEAD_MAX - had;
	size_t n = bytes < room ? bytes : room;
	int len;

	if (!w->head)
		w->head = malloc(EPW_HEAD_MAX);
	if (!w->head)
		return -1;
	memcpy(w->head + had, data, n);
	w->head_bytes += (uint32_t)n;
	len = find_http_header(w->head, (int)w->head_bytes);
	if (!len)
		return w->head_bytes < EPW_HEAD_MAX ? 0 : -1;
	if (parse_head(w) < 0)
		return -1;
	free(w->head);
	w->head = NULL;
	return take_body(w, data + ((size_t)len - had),
			 bytes - ((size_t)len - had));
}

/* The peer has said all it will say. */
static void at_end(struct fetcher *f, int sockid)
{
	struct flow *w = &f->flows[sockid];

	if (w->state == BODY && w->want < 0)
		complete_flow(f, sockid);
	else
		fail_flow(f, sockid, 0);
}

static void receive(struct fetcher *f, int sockid)
{
	struct flow *w = &f->flows[sockid];

	for (int i = 0; i < EPW_READS; i++) {
		ssize_t n = mtcp_read(f->mctx, sockid, f->buf, EPW_READ_BYTES);
		int taken;

		if (n < 0) {
			if (errno != EAGAIN)
				fail_flow(f, sockid, errno);
			return;
		}
		if (!n) {
			at_end(f, sockid);
			return;
		}
		add(&f->counts.read_bytes, (uint64_t)n);
		taken = w->state == BODY ? take_body(w, f->buf, (size_t)n) :
					   take_head(w, f->buf, (size_t)n);
		if (taken < 0 || (w->state == BODY && w->want >= 0 &&
				  w->got > w->want)) {
			fail_flow(f, sockid, 0);
			return;
		}
		if (w->state == BODY && w->got == w->want) {
			complete_flow(f, sockid);
			return;
		}
	}
}

static void take_event(struct fetcher *f, const struct mtcp_epoll_event *ev)
{
	int sockid = ev->data.sockid, error = 0;
	socklen_t len = sizeof(error);

	if (sockid < 0 || sockid >= f->flows_max ||
	    f->flows[sockid].state == FREE_FLOW)
		return;		/* ended by an event before this one */
	if (ev->events & MTCP_EPOLLERR) {
		mtcp_getsockopt(f->mctx, sockid, SOL_SOCKET, SO_ERROR, &error,
				&len);
		fail_flow(f, sockid, error);
	} else if (ev->events & MTCP_EPOLLIN) {
		receive(f, sockid);
	} else if (ev->events & MTCP_EPOLLOUT) {
		send_request(f, sockid);
	}
}

/* --- threads ----------------------------------------------------------- */

static int open_fetcher(struct fetcher *f)
{
	struct mtcp_conf conf;

	mtcp_core_affinitize(f->core);
	mtcp_getconf(&conf);
	f->flows_max = conf.max_concurrency;
	f->mctx = mtcp_create_context(f->core);
	if (!f->mctx)
		return -1;
	f->flows = calloc((size_t)f->flows_max, sizeof(*f->flows));
	f->buf = malloc(EPW_READ_BYTES);
	if (!f->flows || !f->buf)
		return -1;
	f->epid = mtcp_epoll_create(f->mctx, f->flows_max);
	if (f->epid < 0)
		return -1;
	return mtcp_init_rss(f->mctx, INADDR_ANY, EPW_IP_RANGE, app.daddr,
			     app.dport);
}

/* Starts as many flows as may run; false when that must be tried again. */
static bool start_flows(struct fetcher *f)
{
	while (f->started < f->target &&
	       f->pending < (uint64_t)f->concurrency &&
	       !atomic_load(&app.done)) {
		if (start_flow(f) < 0)
			return false;
	}
	return true;
}

static void fetch(struct fetcher *f)
{
	struct mtcp_epoll_event *events = calloc((size_t)f->flows_max,
						 sizeof(*events));
	int tries = 0;

	while (events && !atomic_load(&app.done)) {
		bool all = start_flows(f);
		int n;

		if (f->started == f->target && !f->pending)
			break;
		tries = all || f->pending ? 0 : tries + 1;
		if (tries == EPW_RETRIES) {
			perror("epwget: mtcp_socket");
			break;
		}
		n = mtcp_epoll_wait(f->mctx, f->epid, events, f->flows_max,
				    all ? EPW_WAIT_MS : EPW_RETRY_MS);
		if (n < 0 && errno != EINTR) {
			perror("epwget: mtcp_epoll_wait");
			break;
		}
		for (int i = 0; i < n; i++)
			take_event(f, &events[i]);
	}
	free(events);
}

static void *fetcher_main(void *arg)
{
	struct fetcher *f = arg;

	if (open_fetcher(f) < 0) {
		fprintf(stderr, "epwget: core %d: %s\n", f->core,
			strerror(errno));
		atomic_store(&f->failed, true);
	} else {
		atomic_store(&f->running, true);
		fetch(f);
		for (int i = 0; i < f->flows_max; i++)
			if (f->flows[i].state != FREE_FLOW)
				end_flow(f, i);
	}
	if (f->mctx)
		mtcp_destroy_context(f->mctx);
	free(f->flows);
	free(f->buf);
	atomic_store(&f->ended, true);
	return NULL;
}

/* The library calls this at the first ^C; its second one ends the process. */
static void interrupted(int signum)
{
	if (atomic_exchange(&app.done, true))
		return;
	for (int i = 0; i < app.count; i++) {
		struct fetcher *f = &app.fetchers[i];

		if (atomic_load(&f->running) && !atomic_load(&f->ended) &&
		    !pthread_equal(f->thread, pthread_self()))
			pthread_kill(f->thread, signum);
	}
}

/* --- figures ----------------------------------------------------------- */

struct figures {
	uint64_t connects, read_bytes, write_bytes, completes, errors;
	uint64_t timed_out, resp_us, resp_max_us;
};

static struct figures collect(void)
{
	struct figures sum = { 0 };

	for (int i = 0; i < app.count; i++) {
		const struct counts *c = &app.fetchers[i].counts;
		uint64_t max_us = c->resp_max_us;

		sum.connects += c->connects;
		sum.read_bytes += c->read_bytes;
		sum.write_bytes += c->write_bytes;
		sum.completes += c->completes;
		sum.errors += c->errors;
		sum.timed_out += c->timed_out;
		sum.resp_us += c->resp_us;
		if (max_us > sum.resp_max_us)
			sum.resp_max_us = max_us;
	}
	return sum;
}

static void print_figures(const struct figures *from, const struct figures *to)
{
	unsigned long completes = to->completes - from->completes;

	fprintf(stderr, "[ALL] connect: %7lu, read: %4lu MB, write: %4lu MB, "
		"completes: %7lu (resp_time avg: %4lu, max: %6lu us)\n",
		to->connects - from->connects,
		(to->read_bytes - from->read_bytes) >> 20,
		(to->write_bytes - from->write_bytes) >> 20, completes,
		completes ? (to->resp_us - from->resp_us) / completes : 0,
		to->resp_max_us);
}

static bool all_ended(void)
{
	for (int i = 0; i < app.count; i++)
		if (!atomic_load(&app.fetchers[i].ended))
			return false;
	return true;
}

/* Prints a line a second until all have ended; looks more often than that. */
static void watch_fetchers(void)
{
	const struct timespec look = { .tv_nsec = 20 * 1000 * 1000 };
	struct figures before = { 0 };
	uint64_t next_us = now_us() + 1000000;

	while (!all_ended()) {
		nanosleep(&look, NULL);
		if (now_us() >= next_us) {
			struct figures now = collect();

			print_figures(&before, &now);
			before = now;
			next_us += 1000000;
		}
	}
}

static int run(int first_core, uint64_t flows, int concurrency)
{
	const struct figures none = { 0 };
	uint64_t n = (uint64_t)app.count, start_us = now_us();
	struct figures sum;
	bool failed = false;

	for (uint64_t i = 0; i < n; i++) {
		struct fetcher *f = &app.fetchers[i];

		f->core = first_core + (int)i;
		f->target = flows / n + (i < flows % n);
		f->concurrency = concurrency;
		if (pthread_create(&f->thread, NULL, fetcher_main, f)) {
			perror("epwget: thread");
			exit(EXIT_FAILURE);
		}
	}
	watch_fetchers();
	for (int i = 0; i < app.count; i++) {
		pthread_join(app.fetchers[i].thread, NULL);
		failed |= atomic_load(&app.fetchers[i].failed);
	}
	sum = collect();
	print_figures(&none, &sum);
	fprintf(stderr, "%lu flows: %lu completed, %lu failed (%lu timed out),"
		" %lu bytes in %.3f s\n", flows, sum.completes, sum.errors,
		sum.timed_out, sum.read_bytes,
		(double)(now_us() - start_us) / 1e6);
	return !failed && sum.completes == flows ? EXIT_SUCCESS : EXIT_FAILURE;
}

static void usage(FILE *to)
{
	fprintf(to, "usage: epwget IP[:PORT][/PATH] FLOWS -f MTCP_CONF "
		"[-N CORES] [-c CONCURRENCY] [-o FILE] [-n CORE]\n"
		"  -f  mtcp.conf of this program\n"
		"  -N  threads, one a core; num_cores in the file overrides it\n"
		"  -c  flows at a time over all cores (default %d a core)\n"
		"  -o  write flow n's body to FILE.n\n"
		"  -n  one thread, on this core\n", EPW_PER_CORE);
}

static void bad(const char *what)
{
	fprintf(stderr, "epwget: %s\n", what);
	usage(stderr);
	exit(EXIT_FAILURE);
}

static void parse_target(const char *target)
{
	const char *slash = strchr(target, '/');
	size_t len = slash ? (size_t)(slash - target) : strlen(target);
	char addr[sizeof(app.host)], *colon;
	int port = 80;

	if (len >= sizeof(app.host) ||
	    (slash && strlen(slash) >= sizeof(app.path)))
		bad("the URL is too long");
	memcpy(app.host, target, len);
	strcpy(addr, app.host);
	strcpy(app.path, slash ? slash : "/");
	colon = strchr(addr, ':');
	if (colon) {
		*colon = '\0';
		port = mystrtol(colon + 1, 10);
	}
	if (port < 1 || port > UINT16_MAX)
		bad("a TCP port is 1 to 65535");
	app.dport = htons((uint16_t)port);
	if (inet_pton(AF_INET, addr, &app.daddr) != 1)
		bad("the host must be an IPv4 address, like 10.0.0.1");
	app.request_bytes = (uint32_t)snprintf(app.request,
		sizeof(app.request), "GET %s HTTP/1.0\r\nHost: %s\r\n"
		"User-Agent: epwget\r\nAccept: */*\r\n"
		"Connection: Close\r\n\r\n", app.path, app.host);
}

/* Room for the flows of one core, as programs written for mTCP ask for it. */
static int configure(const char *file, int cores, int concurrency)
{
	struct mtcp_conf conf;

	if (cores) {
		mtcp_getconf(&conf);
		conf.num_cores = cores;
		mtcp_setconf(&conf);
	}
	if (mtcp_init(file) < 0) {
		fprintf(stderr, "epwget: mtcp_init(%s) failed\n", file);
		exit(EXIT_FAILURE);
	}
	mtcp_getconf(&conf);
	if (conf.num_cores < 1 || conf.num_cores > EPW_CORES_MAX)
		bad("num_cores: too many");
	app.count = conf.num_cores;
	if (concurrency)
		concurrency = (concurrency + app.count - 1) / app.count;
	else
		concurrency = EPW_PER_CORE;
	conf.max_concurrency = conf.max_num_buffers = 3 * concurrency;
	mtcp_setconf(&conf);
	return concurrency;
}

int main(int argc, char **argv)
{
	char *file = NULL;
	int opt, cores = 0, concurrency = 0, core = -1;
	long flows;

	while ((opt = getopt(argc, argv, "f:N:c:o:n:h")) != -1) {
		switch (opt) {
		case 'f': file = optarg; break;
		case 'N': cores = mystrtol(optarg, 10); break;
		case 'c': concurrency = mystrtol(optarg, 10); break;
		case 'o': app.out_file = optarg; break;
		case 'n': core = mystrtol(optarg, 10); break;
		case 'h': usage(stdout); return EXIT_SUCCESS;
		default:  usage(stderr); return EXIT_FAILURE;
		}
	}
	if (argc - optind != 2 || !file)
		bad("a URL, a number of flows and -f are needed");
	parse_target(argv[optind]);
	flows = mystrtol(argv[optind + 1], 10);
	if (flows < 1)
		bad("FLOWS: at least 1");
	if (cores < 0 || cores > GetNumCPUs())
		bad("-N: not so many cores here");
	if (core >= GetNumCPUs())
		bad("-n: no such core here");
	if (concurrency < 0 || concurrency > 10000000)
		bad("-c: 1 to 10000000");
	concurrency = configure(file, core >= 0 ? core + 1 : cores,
				concurrency);
	if (core >= 0)
		app.count = 1;
	mtcp_register_signal(SIGINT, interrupted);
	opt = run(core >= 0 ? core : 0, (uint64_t)flows, concurrency);
	mtcp_destroy();
	return opt;
}
