/*
 * epserver.c - a small web server on mTCP's interface
 *
 *	thread 0          thread 1   ...  thread N-1    one a core, each with a
 *	mtcp context      mtcp context                  context, an epoll and a
 *	  listener 80       listener 80                 listener of its own
 *	  connections       connections
 *	         \             |            /
 *	          files: mapped at start, then only read
 *
 * It knows GET and HEAD, HTTP/1.0 and 1.1 with kept connections, and answers
 * pipelined requests in order.  A reply is its header and its file as one
 * run of bytes; `sent` says how far it is, and the header is written again
 * from the connection's fields whenever a part of it is left to send, so an
 * idle connection holds no buffer.
 *
 * Limits    EPS_FILES_MAX files below the folder, found at start; a request
 *           header of at most EPS_REQUEST_MAX bytes.  A file must not shrink
 *           while it is served.
 * Threads   Each owns its context, connections and counters; main reads the
 *           counters once a second.
 */
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <mtcp_api.h>
#include <mtcp_epoll.h>

#include "cpu.h"
#include "debug.h"
#include "http_parsing.h"
#include "netlib.h"
#include "tdate_parse.h"

enum {
	EPS_FILES_MAX	= 65536,
	EPS_REQUEST_MAX	= 8192,
	EPS_HEAD_MAX	= 512,
	EPS_EVENTS	= 1024,
	EPS_WRITE_BYTES	= 1 << 20,	/* most to hand over in one call */
	EPS_WRITES	= 16,		/* most calls for one connection a turn */
	EPS_WAIT_MS	= 1000,
	EPS_CORES_MAX	= 64,
	EPS_BACKLOG	= 4096,		/* or max_concurrency, if that is less */
};

struct file {
	char *name;		/* URL path: "/sub/page.html" */
	const char *data;	/* NULL when empty */
	size_t bytes;
};

struct conn {
	const struct file *file;	/* of the reply; NULL: none or an error */
	uint64_t sent;			/* of header and body together */
	time_t date;			/* of the reply */
	char *early;			/* bytes of a request not yet answered */
	uint16_t early_bytes;
	uint16_t status;		/* of the reply; 0: waiting for a request */
	bool open, keep, no_body, wants_out;
	uint8_t version;		/* HTTP_10, HTTP_11 */
};

struct counts {
	_Atomic uint64_t accepts, read_bytes, write_bytes, completes, errors;
};

struct server {
	pthread_t thread;
	int core;
	mctx_t mctx;
	int epid, listener;
	struct conn *conns;
	int conns_max;
	struct counts counts;
	_Atomic bool started, ended, failed;
};

static struct {
	struct server servers[EPS_CORES_MAX];
	int count;
	struct file *files;
	size_t file_count;
	int backlog, port;
	_Atomic bool done;
} app;

/* Only the owner adds, so no read-modify-write instruction is needed. */
static void add(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_store_explicit(counter, n + atomic_load_explicit(counter,
			      memory_order_relaxed), memory_order_relaxed);
}

/* --- files ------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct file *)a)->name,
		      ((const struct file *)b)->name);
}

static int map_file(struct file *f, const char *path, size_t root_len)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	void *data = NULL;

	if (fd < 0)
		return -1;
	if (fstat(fd, &st) < 0)
		goto fail;
	if (st.st_size) {
		data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED,
			    fd, 0);
		if (data == MAP_FAILED)
			goto fail;
	}
	close(fd);
	f->name = strdup(path + root_len);
	f->data = data;
	f->bytes = (size_t)st.st_size;
	return f->name ? 0 : -1;
fail:
	close(fd);
	return -1;
}

static int add_file(const char *path, size_t root_len)
{
	struct file *more;

	if (app.file_count == EPS_FILES_MAX) {
		fprintf(stderr, "epserver: more than %d files; the rest, from"
			" %s on, is not served\n", EPS_FILES_MAX, path);
		return -1;
	}
	more = realloc(app.files, (app.file_count + 1) * sizeof(*more));
	if (!more)
		return -1;
	app.files = more;
	if (map_file(&app.files[app.file_count], path, root_len) < 0)
		fprintf(stderr, "epserver: %s: %s; not served\n", path,
			strerror(errno));
	else
		app.file_count++;
	return 0;
}

static int load_files(char *root)
{
	char *const roots[] = { root, NULL };
	size_t root_len = strlen(root);
	FTS *fts;
	FTSENT *ent;

	while (root_len > 1 && root[root_len - 1] == '/')
		root[--root_len] = '\0';
	fts = fts_open(roots, FTS_LOGICAL | FTS_NOCHDIR, NULL);
	if (!fts)
		return -1;
	while ((ent = fts_read(fts))) {
		if (ent->fts_info == FTS_F &&
		    add_file(ent->fts_path, root_len) < 0)
			break;
	}
	fts_close(fts);
	if (!app.file_count)
		return -1;
	qsort(app.files, app.file_count, sizeof(*app.files), by_name);
	return 0;
}

static const struct file *find_file(char *url)
{
	char index[] = "/index.html";
	struct file key = { .name = url };

	url[strcspn(url, "?#")] = '\0';
	if (!strcmp(url, "/"))
		key.name = index;
	return bsearch(&key, app.files, app.file_count, sizeof(key), by_name);
}

/* --- replies ----------------------------------------------------------- */

static const char *reason(uint16_t status)
{
	switch (status) {
	case 200: return "OK";
	case 404: return "Not Found";
	case 405: return "Method Not Allowed";
	case 431: return "Request Header Fields Too Large";
	default:  return "Bad Request";
	}
}

/* Always the same bytes for the same reply. */
static size_t write_head(const struct conn *c, char head[EPS_HEAD_MAX])
{
	char date[32] = "";
	int n;

	timet_to_httpdate(c->date, date, sizeof(date));
	n = snprintf(head, EPS_HEAD_MAX,
		     "HTTP/1.%d %u %s\r\nDate: %s\r\nServer: epserver\r\n"
		     "Content-Length: %zu\r\nConnection: %s\r\n\r\n",
		     c->version == HTTP_11, c->status, reason(c->status), date,
		     c->file ? c->file->bytes : 0,
		     c->keep ? HTTP_KEEP_ALIVE : HTTP_CLOSE);
	return (size_t)n;
}

static void close_conn(struct server *s, int sockid)
{
	struct conn *c = &s->conns[sockid];

	mtcp_close(s->mctx, sockid);
	free(c->early);
	memset(c, 0, sizeof(*c));
}

/* What a connection waits for: a request, or room for its reply. */
static void watch(struct server *s, int sockid, bool out)
{
	struct conn *c = &s->conns[sockid];
	struct mtcp_epoll_event ev = {
		.events = out ? MTCP_EPOLLOUT : MTCP_EPOLLIN,
		.data.sockid = sockid,
	};

	if (c->wants_out == out)
		return;
	c->wants_out = out;
	if (mtcp_epoll_ctl(s->mctx, s->epid, MTCP_EPOLL_CTL_MOD, sockid,
			   &ev) < 0) {
		add(&s->counts.errors, 1);
		close_conn(s, sockid);
	}
}

/* One call's worth of the reply: the rest of its header, then its body. */
static int write_some(struct server *s, int sockid, size_t head_bytes,
		      char *head, size_t body_bytes)
{
	struct conn *c = &s->conns[sockid];
	struct iovec iov[2];
	int n = 0;
	size_t body_sent = 0;

	if (c->sent < head_bytes)
		iov[n++] = (struct iovec){ head + c->sent,
					   head_bytes - c->sent };
	else
		body_sent = c->sent - head_bytes;
	if (body_sent < body_bytes) {
		size_t left = body_bytes - body_sent;

		iov[n++] = (struct iovec){
			(char *)(uintptr_t)c->file->data + body_sent,
			left < EPS_WRITE_BYTES ? left : EPS_WRITE_BYTES };
	}
	return mtcp_writev(s->mctx, sockid, iov, n);
}

enum progress { CLOSED, BLOCKED, FINISHED };

static enum progress send_reply(struct server *s, int sockid)
{
	struct conn *c = &s->conns[sockid];
	char head[EPS_HEAD_MAX];
	size_t head_bytes = write_head(c, head);
	size_t body_bytes = c->file && !c->no_body ? c->file->bytes : 0;

	for (int i = 0; i < EPS_WRITES; i++) {
		int n = write_some(s, sockid, head_bytes, head, body_bytes);

		if (n < 0 && errno != EAGAIN) {
			add(&s->counts.errors, 1);
			close_conn(s, sockid);
			return CLOSED;
		}
		if (n <= 0)
			break;
		add(&s->counts.write_bytes, (uint64_t)n);
		c->sent += (uint64_t)n;
		if (c->sent == head_bytes + body_bytes) {
			add(&s->counts.completes, 1);
			c->status = 0;
			if (c->keep)
				return FINISHED;
			close_conn(s, sockid);
			return CLOSED;
		}
	}
	return BLOCKED;
}

/* --- requests ---------------------------------------------------------- */

static void refuse(struct conn *c, uint16_t status)
{
	c->file = NULL;
	c->status = status;
	c->keep = false;
}

static bool wants_keep(const struct conn *c, const char *request)
{
	char value[32];

	if (!http_header_str_val(request, CONNECTION_HDR,
				 sizeof(CONNECTION_HDR) - 1, value,
				 sizeof(value)))
		return c->version == HTTP_11;
	return c->version == HTTP_11 ? strcasecmp(value, HTTP_CLOSE) != 0 :
				       !strcasecmp(value, HTTP_KEEP_ALIVE);
}

/* @request: a whole header block, terminated. */
static void parse_request(struct conn *c, char *request, int len)
{
	char url[EPS_REQUEST_MAX];
	const char *line_end = request + strcspn(request, "\r\n");
	bool is_head = !strncmp(request, "HEAD ", 5);

	c->sent = 0;
	c->date = time(NULL);
	c->no_body = is_head;
	c->version = line_end - request >= 8 &&
		     !memcmp(line_end - 8, HTTPV1_STR, 8) ? HTTP_11 : HTTP_10;
	if (is_head)	/* the helper knows GET: same length, less one */
		memcpy(++request, HTTP_GET, 3);
	if (is_http_request(request, len - is_head) != GET) {
		refuse(c, 405);
		return;
	}
	if (!http_get_url(request, len - is_head, url, sizeof(url)) ||
	    url[0] != '/') {
		refuse(c, 400);
		return;
	}
	c->keep = wants_keep(c, request);
	c->file = find_file(url);
	c->status = c->file ? 200 : 404;
}

/* Keeps bytes of a request for which more must come, or that must wait. */
static int keep_early(struct conn *c, const char *data, size_t bytes)
{
	char *copy = NULL;

	if (bytes) {
		copy = malloc(bytes);
		if (!copy)
			return -1;
		memcpy(copy, data, bytes);
	}
	free(c->early);
	c->early = copy;
	c->early_bytes = (uint16_t)bytes;
	return 0;
}

/* Answers what is in @buf as far as it is whole and the socket takes it. */
static void take_requests(struct server *s, int sockid, char *buf, size_t bytes)
{
	struct conn *c = &s->conns[sockid];
	enum progress p = FINISHED;
	size_t at = 0;

	while (p == FINISHED && at < bytes) {
		int len = find_http_header(buf + at, (int)(bytes - at));

		if (!len && bytes - at < EPS_REQUEST_MAX)
			break;
		if (len) {
			parse_request(c, buf + at, len);
		} else {
			refuse(c, 431);
			c->sent = 0;
			len = (int)(bytes - at);
		}
		at += (size_t)len;
		p = send_reply(s, sockid);
	}
	if (p == CLOSED)
		return;
	if (keep_early(c, buf + at, bytes - at) < 0) {
		add(&s->counts.errors, 1);
		close_conn(s, sockid);
		return;
	}
	watch(s, sockid, p == BLOCKED);
}

static void readable(struct server *s, int sockid)
{
	struct conn *c = &s->conns[sockid];
	char buf[EPS_REQUEST_MAX];
	size_t had = c->early_bytes;
	ssize_t n;

	if (had)
		memcpy(buf, c->early, had);
	n = mtcp_read(s->mctx, sockid, buf + had, sizeof(buf) - had);
	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		if (n < 0)
			add(&s->counts.errors, 1);
		close_conn(s, sockid);
		return;
	}
	add(&s->counts.read_bytes, (uint64_t)n);
	take_requests(s, sockid, buf, had + (size_t)n);
}

static void writable(struct server *s, int sockid)
{
	struct conn *c = &s->conns[sockid];
	char buf[EPS_REQUEST_MAX];
	size_t had = c->early_bytes;

	if (c->status && send_reply(s, sockid) != FINISHED)
		return;
	if (had)
		memcpy(buf, c->early, had);
	take_requests(s, sockid, buf, had);
}

/* --- threads ----------------------------------------------------------- */

static void accept_all(struct server *s)
{
	for (;;) {
		int sockid = mtcp_accept(s->mctx, s->listener, NULL, NULL);
		struct mtcp_epoll_event ev = {
			.events = MTCP_EPOLLIN, .data.sockid = sockid,
		};

		if (sockid < 0) {
			if (errno != EAGAIN)
				add(&s->counts.errors, 1);
			return;
		}
		if (sockid >= s->conns_max) {
			add(&s->counts.errors, 1);
			mtcp_close(s->mctx, sockid);
			continue;
		}
		memset(&s->conns[sockid], 0, sizeof(s->conns[sockid]));
		s->conns[sockid].open = true;
		add(&s->counts.accepts, 1);
		mtcp_setsock_nonblock(s->mctx, sockid);
		if (mtcp_epoll_ctl(s->mctx, s->epid, MTCP_EPOLL_CTL_ADD,
				   sockid, &ev) < 0) {
			add(&s->counts.errors, 1);
			close_conn(s, sockid);
		}
	}
}

static void take_event(struct server *s, const struct mtcp_epoll_event *ev)
{
	int sockid = ev->data.sockid;

	if (sockid == s->listener) {
		accept_all(s);
		return;
	}
	if (sockid < 0 || sockid >= s->conns_max || !s->conns[sockid].open)
		return;		/* closed by an event before this one */
	if (ev->events & MTCP_EPOLLERR) {
		add(&s->counts.errors, 1);
		close_conn(s, sockid);
	} else if (ev->events & MTCP_EPOLLOUT) {
		writable(s, sockid);
	} else if (ev->events & MTCP_EPOLLIN) {
		readable(s, sockid);
	}
}

static int listen_on(struct server *s)
{
	struct sockaddr_in sin = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_ANY),
		.sin_port = htons((uint16_t)app.port),
	};
	struct mtcp_epoll_event ev = { .events = MTCP_EPOLLIN };

	s->listener = mtcp_socket(s->mctx, AF_INET, SOCK_STREAM, 0);
	if (s->listener < 0)
		return -1;
	ev.data.sockid = s->listener;
	if (mtcp_setsock_nonblock(s->mctx, s->listener) < 0 ||
	    mtcp_bind(s->mctx, s->listener, (struct sockaddr *)&sin,
		      sizeof(sin)) < 0 ||
	    mtcp_listen(s->mctx, s->listener, app.backlog) < 0)
		return -1;
	return mtcp_epoll_ctl(s->mctx, s->epid, MTCP_EPOLL_CTL_ADD,
			      s->listener, &ev);
}

static int open_server(struct server *s)
{
	struct mtcp_conf conf;

	mtcp_core_affinitize(s->core);
	s->mctx = mtcp_create_context(s->core);
	if (!s->mctx)
		return -1;
	mtcp_getconf(&conf);
	s->conns_max = conf.max_concurrency;
	s->conns = calloc((size_t)s->conns_max, sizeof(*s->conns));
	if (!s->conns)
		return -1;
	s->epid = mtcp_epoll_create(s->mctx, EPS_EVENTS);
	return s->epid < 0 ? -1 : listen_on(s);
}

static void serve(struct server *s)
{
	struct mtcp_epoll_event *events = calloc(EPS_EVENTS, sizeof(*events));

	while (events && !atomic_load(&app.done)) {
		int n = mtcp_epoll_wait(s->mctx, s->epid, events, EPS_EVENTS,
					EPS_WAIT_MS);

		if (n < 0 && errno != EINTR) {
			perror("epserver: mtcp_epoll_wait");
			atomic_store(&s->failed, true);
			break;
		}
		for (int i = 0; i < n; i++)
			take_event(s, &events[i]);
	}
	free(events);
}

static void *server_main(void *arg)
{
	struct server *s = arg;

	if (open_server(s) < 0) {
		fprintf(stderr, "epserver: core %d, port %d: %s\n", s->core,
			app.port, strerror(errno));
		atomic_store(&s->failed, true);
	} else {
		atomic_store(&s->started, true);
		serve(s);
		for (int i = 0; i < s->conns_max; i++)
			if (s->conns[i].open)
				close_conn(s, i);
	}
	if (s->mctx)
		mtcp_destroy_context(s->mctx);
	free(s->conns);
	atomic_store(&s->ended, true);
	return NULL;
}

/* The library calls this at the first ^C; its second one ends the process. */
static void interrupted(int signum)
{
	if (atomic_exchange(&app.done, true))
		return;
	for (int i = 0; i < app.count; i++) {
		struct server *s = &app.servers[i];

		if (atomic_load(&s->started) && !atomic_load(&s->ended) &&
		    !pthread_equal(s->thread, pthread_self()))
			pthread_kill(s->thread, signum);
	}
}

static void print_counts(struct counts *before, double seconds)
{
	struct counts now = { 0 };

	for (int i = 0; i < app.count; i++) {
		struct counts *c = &app.servers[i].counts;

		now.accepts += c->accepts;
		now.read_bytes += c->read_bytes;
		now.write_bytes += c->write_bytes;
		now.completes += c->completes;
		now.errors += c->errors;
	}
	if (now.accepts != before->accepts ||
	    now.completes != before->completes ||
	    now.write_bytes != before->write_bytes)
		fprintf(stderr, "[ALL] connect: %7.0f, read: %4.0f MB, write: "
			"%4.0f MB, completes: %7.0f, errors: %llu\n",
			(double)(now.accepts - before->accepts) / seconds,
			(double)(now.read_bytes - before->read_bytes) / 1e6,
			(double)(now.write_bytes - before->write_bytes) / 1e6,
			(double)(now.completes - before->completes) / seconds,
			(unsigned long long)(now.errors - before->errors));
	*before = now;
}

static bool all_ended(void)
{
	for (int i = 0; i < app.count; i++)
		if (!atomic_load(&app.servers[i].ended))
			return false;
	return true;
}

static int run(int first_core)
{
	struct counts before = { 0 };
	bool failed = false;

	for (int i = 0; i < app.count; i++) {
		app.servers[i].core = first_core + i;
		if (pthread_create(&app.servers[i].thread, NULL, server_main,
				   &app.servers[i])) {
			perror("epserver: thread");
			exit(EXIT_FAILURE);
		}
	}
	TRACE_CONFIG("epserver: %zu files, port %d, %d thread%s; ^C ends it\n",
		     app.file_count, app.port, app.count,
		     app.count == 1 ? "" : "s");
	fflush(stdout);
	while (!atomic_load(&app.done) && !all_ended()) {
		sleep(1);
		print_counts(&before, 1.0);
	}
	for (int i = 0; i < app.count; i++) {
		pthread_join(app.servers[i].thread, NULL);
		failed |= atomic_load(&app.servers[i].failed);
	}
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

static void usage(FILE *to)
{
	fprintf(to, "usage: epserver -p FOLDER -f MTCP_CONF [-N CORES] "
		"[-c CORE] [-b BACKLOG] [-P PORT]\n"
		"  -p  the folder to serve\n"
		"  -f  mtcp.conf of this program\n"
		"  -N  threads, one a core; num_cores in the file overrides it\n"
		"  -c  one thread, on this core\n"
		"  -b  connections that may wait (default 4096)\n"
		"  -P  TCP port (default 80)\n");
}

static void bad(const char *what)
{
	fprintf(stderr, "epserver: %s\n", what);
	usage(stderr);
	exit(EXIT_FAILURE);
}

int main(int argc, char **argv)
{
	struct mtcp_conf conf;
	char *root = NULL, *file = NULL;
	int opt, cores = 0, core = -1;

	app.port = 80;
	while ((opt = getopt(argc, argv, "p:f:N:c:b:P:h")) != -1) {
		switch (opt) {
		case 'p': root = optarg; break;
		case 'f': file = optarg; break;
		case 'N': cores = mystrtol(optarg, 10); break;
		case 'c': core = mystrtol(optarg, 10); break;
		case 'b':
			app.backlog = mystrtol(optarg, 10);
			if (app.backlog < 1)
				bad("-b: at least 1");
			break;
		case 'P': app.port = mystrtol(optarg, 10); break;
		case 'h': usage(stdout); return EXIT_SUCCESS;
		default:  usage(stderr); return EXIT_FAILURE;
		}
	}
	if (!root || !file)
		bad("-p and -f are needed");
	if (cores < 0 || cores > EPS_CORES_MAX || cores > GetNumCPUs())
		bad("-N: not so many cores here");
	if (core >= GetNumCPUs())
		bad("-c: no such core here");
	if (app.port < 1 || app.port > UINT16_MAX)
		bad("-P: a TCP port is 1 to 65535");
	if (load_files(root) < 0)
		bad("-p: no file to serve in that folder");
	if (cores) {
		mtcp_getconf(&conf);
		conf.num_cores = cores;
		mtcp_setconf(&conf);
	}
	if (mtcp_init(file) < 0) {
		fprintf(stderr, "epserver: mtcp_init(%s) failed\n", file);
		return EXIT_FAILURE;
	}
	mtcp_getconf(&conf);
	if (!app.backlog)
		app.backlog = MIN(EPS_BACKLOG, conf.max_concurrency);
	if (app.backlog < 1 || app.backlog > conf.max_concurrency)
		bad("-b: 1 to max_concurrency of the configuration");
	app.count = core >= 0 ? 1 : conf.num_cores;
	if (app.count < 1 || app.count > EPS_CORES_MAX)
		bad("num_cores: too many");
	mtcp_register_signal(SIGINT, interrupted);
	opt = run(core >= 0 ? core : 0);
	mtcp_destroy();
	return opt;
}
