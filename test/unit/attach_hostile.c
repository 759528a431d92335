/*
 * A whole daemon (in a child process, on a wire port) and what programs can do
 * to its control socket: first what is right, then all that is wrong.  Every
 * loop and every wait is bounded.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "control/config.h"
#include "control/control.h"

#define ENGINES		2
#define CLIENTS		6
#define PENDING		8
#define WAIT_MS		10000

static char dir[] = "/tmp/mtcpd-hostile-XXXXXX";
static char sock[64], admin[64], conf[64];
static pid_t daemon_pid;

/* ---- the daemon ---- */

static void write_conf(void)
{
	FILE *f = fopen(conf, "w");

	assert_non_null(f);
	fprintf(f, "[daemon]\nsocket = %s\nadmin = %s\npidfile = none\n"
		"log = warn\nsandbox = no\nstop_grace_ms = 500\n"
		"[engine]\ncount = %d\n"
		"[port w]\ndriver = wire\ndevice = %s/wire:a\n"
		"address = 10.0.0.2/24, 10.0.0.3/24\n"
		"[tcp]\nmax_connections = 4096\nmax_time_wait = 1024\n"
		"[limits]\nclients = %d\npending_clients = %d\n"
		"memory = 64M\ncontexts = 4\nlisteners = 3\n"
		"hello_timeout_ms = 60000\n",
		sock, admin, ENGINES, dir, CLIENTS, PENDING);
	fclose(f);
}

static void is_ready(void *arg)
{
	assert_int_equal(write(*(int *)arg, "", 1), 1);
}

static void run_daemon(int ready_fd)
{
	struct config *cfg = malloc(sizeof(*cfg));
	char err[CONFIG_ERR_BYTES] = "";
	int rc;

	if (config_load(cfg, conf, err) < 0) {
		fprintf(stderr, "%s\n", err);
		exit(3);
	}
	log_set_level(LOG_LEVEL_ERROR);
	rc = control_run(cfg, "test", is_ready, &ready_fd);
	free(cfg);
	exit(rc);
}

static int start_daemon(void **state)
{
	struct pollfd p = { .events = POLLIN };
	int ends[2];
	char ready;

	(void)state;
	if (!mkdtemp(dir) || pipe(ends) < 0)
		return -1;
	snprintf(sock, sizeof(sock), "%s/s", dir);
	snprintf(admin, sizeof(admin), "%s/a", dir);
	snprintf(conf, sizeof(conf), "%s/conf", dir);
	write_conf();
	daemon_pid = fork();
	if (daemon_pid == 0)
		run_daemon(ends[1]);
	close(ends[1]);
	p.fd = ends[0];
	if (poll(&p, 1, WAIT_MS) != 1 || read(ends[0], &ready, 1) != 1)
		return -1;
	close(ends[0]);
	return 0;
}

static void remove_all(void)
{
	struct dirent *d;
	DIR *list = opendir(dir);

	while (list && (d = readdir(list)))
		unlinkat(dirfd(list), d->d_name, 0);
	closedir(list);
	rmdir(dir);
}

/* SIGTERM ends it in order, whatever was done to it. */
static int stop_daemon(void **state)
{
	int status = -1, gone;

	(void)state;
	kill(daemon_pid, SIGTERM);
	for (int i = 0; i < WAIT_MS / 10; i++) {
		if (waitpid(daemon_pid, &status, WNOHANG) == daemon_pid)
			break;
		usleep(10000);
	}
	gone = access(sock, F_OK) < 0 && access(admin, F_OK) < 0;
	if (!WIFEXITED(status))
		kill(daemon_pid, SIGKILL);
	remove_all();
	if (status || !gone)
		fprintf(stderr, "status %#x, sockets %s\n", (unsigned)status,
			gone ? "gone" : "still there");
	return status || !gone;
}

/* ---- a program ---- */

struct program {
	int fd;
	int fds[CTL_FDS_MAX];
	int fd_count;
	struct ctl_reply reply;
	uint32_t tag;
};

static int dial(const char *path, int type)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	struct timeval limit = { .tv_sec = WAIT_MS / 1000 };
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	strcpy(sa.sun_path, path);
	assert_true(fd >= 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	return fd;
}

/* Bytes of the reply, 0 when the daemon hung up. */
static ssize_t receive(struct program *p)
{
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(CTL_FDS_MAX * sizeof(int))];
	} rights;
	struct iovec iov = { &p->reply, sizeof(p->reply) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1,
			      .msg_control = rights.bytes,
			      .msg_controllen = sizeof(rights.bytes) };
	ssize_t n = recvmsg(p->fd, &msg, MSG_CMSG_CLOEXEC);
	struct cmsghdr *h = n > 0 ? CMSG_FIRSTHDR(&msg) : NULL;

	if (n < 0 && errno == ECONNRESET)
		return 0;
	p->fd_count = 0;
	if (h) {
		p->fd_count = (int)((h->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		memcpy(p->fds, CMSG_DATA(h),
		       (size_t)p->fd_count * sizeof(int));
	}
	return n;
}

/* The reply's error. */
static int ask(struct program *p, uint32_t type, struct ctl_request *req)
{
	req->type = type;
	req->tag = ++p->tag;
	assert_int_equal(send(p->fd, req, sizeof(*req), MSG_NOSIGNAL),
			 sizeof(*req));
	assert_int_equal(receive(p), sizeof(p->reply));
	assert_int_equal(p->reply.type, type);
	assert_int_equal(p->reply.tag, p->tag);
	assert_int_equal((int)p->reply.fds, p->fd_count);
	assert_int_equal(p->reply.error != 0, p->reply.text[0] != 0);
	return p->reply.error;
}

static int hello(struct program *p, uint32_t magic, uint32_t version)
{
	struct ctl_request req = { .hello = { .magic = magic,
				   .version = version, .name = "hostile" } };

	return ask(p, CTL_HELLO, &req);
}

static void attach(struct program *p)
{
	*p = (struct program){ .fd = dial(sock, SOCK_SEQPACKET) };
	assert_int_equal(hello(p, LAYOUT_MAGIC, LAYOUT_VERSION), 0);
	assert_int_equal(p->fd_count, 1 + ENGINES);
}

static void close_fds(struct program *p)
{
	for (int i = 0; i < p->fd_count; i++)
		close(p->fds[i]);
	p->fd_count = 0;
}

static void leave(struct program *p)
{
	close_fds(p);
	close(p->fd);
}

/* Hung up within the limit, whatever comes before. */
static void assert_let_go(struct program *p)
{
	for (int i = 0; i < 1000; i++)
		if (receive(p) == 0)
			return;
	fail_msg("the daemon holds on");
}

static int context(struct program *p)
{
	struct ctl_request req = { .context.home = ~0u };

	close_fds(p);
	return ask(p, CTL_CONTEXT, &req);
}

static int listen_on(struct program *p, uint32_t addr, uint16_t port,
		     uint32_t ctx, uint16_t flags)
{
	struct ctl_request req = { .listen = { .port = htons(port),
		.flags = flags, .backlog = 10, .context = ctx } };
	struct ip_addr a = addr_from_v4(htonl(addr));

	memcpy(req.listen.addr, &a, sizeof(a));
	return ask(p, CTL_LISTEN, &req);
}

static int unlisten(struct program *p, uint64_t id, uint32_t ctx)
{
	struct ctl_request req = { .unlisten = { id, ctx } };

	return ask(p, CTL_UNLISTEN, &req);
}

/* ---- what mtcpctl would see ---- */

/* NULL: hung up, as when too many ask. */
static json_t *admin_once(const char *cmd)
{
	FILE *f = fdopen(dial(admin, SOCK_STREAM), "r+");
	json_t *answer, *data;

	fprintf(f, "{\"cmd\":\"%s\"}\n", cmd);
	fflush(f);
	answer = json_loadf(f, JSON_DISABLE_EOF_CHECK, NULL);
	data = json_incref(json_object_get(answer, "data"));
	json_decref(answer);
	fclose(f);
	return data;
}

static json_t *admin_ask(const char *cmd)
{
	json_t *data = admin_once(cmd);

	for (int i = 0; !data && i < WAIT_MS / 10; i++) {
		usleep(10000);
		data = admin_once(cmd);
	}
	assert_non_null(data);
	return data;
}

static json_int_t control_counter(const char *name)
{
	json_t *all = admin_ask("stats");
	json_int_t n = json_integer_value(json_object_get(
		json_object_get(all, "control"), name));

	json_decref(all);
	return n;
}

static size_t rows(const char *cmd)
{
	json_t *all = admin_ask(cmd);
	size_t n = json_array_size(all);

	json_decref(all);
	return n;
}

static void wait_rows(const char *cmd, size_t want)
{
	for (int i = 0; i < WAIT_MS / 10; i++) {
		if (rows(cmd) == want)
			return;
		usleep(10000);
	}
	assert_int_equal(rows(cmd), want);
}

static int daemon_fds(void)
{
	char path[64];
	DIR *list;
	int n = 0;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)daemon_pid);
	list = opendir(path);
	assert_non_null(list);
	while (readdir(list))
		n++;
	closedir(list);
	return n;
}

static void assert_serves(void)
{
	struct program p;

	attach(&p);
	assert_int_equal(context(&p), 0);
	leave(&p);
	wait_rows("clients", 0);
}

/* ---- what is right ---- */

static void segment(void **state)
{
	struct segment_header *h;
	struct program p;
	uint64_t bytes;

	(void)state;
	attach(&p);
	bytes = (uint64_t)p.reply.hello.slabs * SLAB_BYTES;
	assert_int_equal(bytes, 64 << 20);
	assert_int_equal(p.reply.hello.engines, ENGINES);
	assert_int_equal(fcntl(p.fds[0], F_GET_SEALS),
			 F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW);
	assert_int_equal(ftruncate(p.fds[0], 0), -1);
	h = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		 MAP_SHARED | MAP_NORESERVE, p.fds[0], 0);
	assert_true(h != MAP_FAILED);
	assert_int_equal(h->magic, LAYOUT_MAGIC);
	assert_int_equal(h->version, LAYOUT_VERSION);
	assert_int_equal(h->engines, ENGINES);
	assert_int_equal(h->slabs, p.reply.hello.slabs);
	assert_true(h->daemon_start_us == p.reply.hello.daemon_start_us);
	for (int e = 0; e < ENGINES; e++)
		assert_int_equal(write(p.fds[1 + e], "", 1), 1);
	munmap(h, bytes);
	wait_rows("clients", 1);
	leave(&p);
	wait_rows("clients", 0);
}

static void contexts(void **state)
{
	struct ctl_request req = { 0 };
	uint64_t offsets[4];
	struct program p;

	(void)state;
	attach(&p);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(context(&p), 0);
		assert_int_equal(p.fd_count, 1);
		assert_int_equal(p.reply.context.context, i);
		offsets[i] = p.reply.context.rings_offset;
		for (int k = 0; k < i; k++)
			assert_true(offsets[i] >= offsets[k] +
				    context_bytes(ENGINES) ||
				    offsets[k] >= offsets[i] +
				    context_bytes(ENGINES));
	}
	assert_int_equal(context(&p), EMFILE);
	req.context_end.context = 2;
	assert_int_equal(ask(&p, CTL_CONTEXT_END, &req), 0);
	assert_int_equal(ask(&p, CTL_CONTEXT_END, &req), EINVAL);
	req.context_end.context = ~0u;
	assert_int_equal(ask(&p, CTL_CONTEXT_END, &req), EINVAL);
	assert_int_equal(context(&p), 0);
	assert_int_equal(p.reply.context.context, 2);
	assert_true(p.reply.context.rings_offset == offsets[2]);
	leave(&p);
	wait_rows("clients", 0);
}

static void listeners(void **state)
{
	struct program p, q;
	uint64_t id;

	(void)state;
	attach(&p);
	attach(&q);
	assert_int_equal(listen_on(&p, 0, 80, 0, 0), EINVAL);
	assert_int_equal(context(&p), 0);
	assert_int_equal(context(&p), 0);
	assert_int_equal(context(&q), 0);
	assert_int_equal(listen_on(&p, 0x0a000009, 80, 0, 0), EADDRNOTAVAIL);
	assert_int_equal(listen_on(&p, 0, 80, 0, 0), 0);
	id = p.reply.listen.listener;
	assert_int_equal(listen_on(&p, 0, 80, 0, 0), EADDRINUSE);
	assert_int_equal(listen_on(&p, 0, 80, 1, 0), 0);
	assert_true(p.reply.listen.listener == id);
	assert_int_equal(listen_on(&q, 0, 80, 0, 0), EADDRINUSE);
	assert_int_equal(listen_on(&q, 0, 80, 0, CTL_LISTEN_SHARED),
			 EADDRINUSE);
	assert_int_equal(listen_on(&q, 0x0a000002, 80, 0, 0), EADDRINUSE);
	assert_int_equal(unlisten(&q, id, 0), EINVAL);
	assert_int_equal(unlisten(&p, id, 0), 0);
	assert_int_equal(unlisten(&p, id, 0), EINVAL);
	assert_int_equal(rows("listeners"), 1);
	assert_int_equal(unlisten(&p, id, 1), 0);
	assert_int_equal(rows("listeners"), 0);
	/* each on its own address, then one port shared by both */
	assert_int_equal(listen_on(&p, 0x0a000002, 80, 0, 0), 0);
	assert_int_equal(listen_on(&q, 0x0a000003, 80, 0, 0), 0);
	assert_int_equal(listen_on(&p, 0, 81, 0, CTL_LISTEN_SHARED), 0);
	assert_int_equal(listen_on(&q, 0, 81, 0, CTL_LISTEN_SHARED), 0);
	assert_int_equal(listen_on(&p, 0, 0, 0, 0), 0);
	assert_int_not_equal(p.reply.listen.port, 0);
	assert_int_equal(listen_on(&p, 0, 82, 0, 0), ENOBUFS);
	leave(&p);			/* its ports are free again */
	wait_rows("clients", 1);
	assert_int_equal(listen_on(&q, 0x0a000002, 80, 0, 0), 0);
	assert_int_equal(rows("listeners"), 3);
	leave(&q);
	wait_rows("clients", 0);
	assert_int_equal(rows("listeners"), 0);
}

/* ---- what is wrong ---- */

static void wrong_hello(void **state)
{
	struct program p = { .fd = dial(sock, SOCK_SEQPACKET) };
	struct ctl_request req = { 0 };

	(void)state;
	assert_int_equal(context(&p), EPROTO);
	assert_string_equal(p.reply.text, "HELLO comes first");
	assert_int_equal(hello(&p, 0x12345678, LAYOUT_VERSION), EPROTO);
	assert_int_equal(hello(&p, LAYOUT_MAGIC, 999), EPROTONOSUPPORT);
	assert_non_null(strstr(p.reply.text, "999"));
	/* a program of the layout before is answered in what it speaks */
	assert_int_equal(hello(&p, LAYOUT_MAGIC, LAYOUT_VERSION - 1), 0);
	assert_int_equal(p.reply.hello.version, LAYOUT_VERSION - 1);
	close_fds(&p);
	assert_int_equal(hello(&p, LAYOUT_MAGIC, LAYOUT_VERSION), EPROTO);
	assert_int_equal(ask(&p, CTL_NONE, &req), EPROTO);
	assert_int_equal(ask(&p, CTL_DETACHED, &req), EPROTO);
	assert_int_equal(ask(&p, ~0u, &req), EPROTO);
	for (int i = 0; i < 100; i++) {		/* bounded patience */
		req = (struct ctl_request){ .type = 77, .tag = 1 };
		if (send(p.fd, &req, sizeof(req), MSG_NOSIGNAL) < 0)
			break;
	}
	assert_let_go(&p);
	leave(&p);
	wait_rows("clients", 0);
}

static void wrong_sizes(void **state)
{
	static const size_t sizes[] = { 0, 1, 4, 127, 129, 4096, 65536 };
	char *bytes = calloc(1, 65536);

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct program p;

		attach(&p);
		assert_int_equal(send(p.fd, bytes, sizes[i], MSG_NOSIGNAL),
				 sizes[i]);
		close_fds(&p);
		assert_let_go(&p);
		leave(&p);
	}
	free(bytes);
	wait_rows("clients", 0);
	assert_serves();
}

/* Random requests of an attached program, half of them with a right type. */
static void random_requests(void **state)
{
	uint32_t seed = 7;

	(void)state;
	for (int round = 0; round < 40; round++) {
		struct program p;

		attach(&p);
		close_fds(&p);
		assert_int_equal(context(&p), 0);
		for (int i = 0; i < 50; i++) {
			struct ctl_request req;
			uint8_t *b = (uint8_t *)&req;

			for (size_t k = 0; k < sizeof(req); k++) {
				seed = seed * 1664525 + 1013904223;
				b[k] = (uint8_t)(seed >> 24);
			}
			if (seed & 1 << 20)
				req.type = seed % CTL_TYPES;
			if (seed & 1 << 21)	/* a context that exists */
				req.listen.context = req.unlisten.context = 0;
			if (send(p.fd, &req, sizeof(req), MSG_NOSIGNAL) < 0)
				break;
			close_fds(&p);
			if (receive(&p) == 0)
				break;
		}
		leave(&p);
	}
	wait_rows("clients", 0);
	assert_serves();
}

/* A thousand that connect and say nothing cost no more than PENDING. */
static void silent_crowd(void **state)
{
	int *fds = calloc(1000, sizeof(*fds)), before = daemon_fds();

	(void)state;
	for (int i = 0; i < 1000; i++)
		fds[i] = dial(sock, SOCK_SEQPACKET);
	assert_serves();
	assert_true(control_counter("pending") <= PENDING);
	assert_true(control_counter("evicted") >= 1000 - PENDING);
	for (int ms = 0; daemon_fds() > before + 2 * PENDING + 2 && ms < 5000;
	     ms += 5)
		usleep(5000);
	assert_true(daemon_fds() <= before + 2 * PENDING + 2);
	for (int i = 0; i < 1000; i++)
		close(fds[i]);
	free(fds);
}

/* Asks without ever reading: it is let go, others are served meanwhile. */
static void never_reads(void **state)
{
	struct ctl_request req = { .type = CTL_HOLD, .tag = 1 };
	struct program p;
	int sent = 0;

	(void)state;
	attach(&p);
	for (int i = 0; i < 100000; i++) {
		if (send(p.fd, &req, sizeof(req),
			 MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
			if (errno != EAGAIN || sent++ > 1000)
				break;
			usleep(100);
		}
	}
	wait_rows("clients", 0);
	assert_serves();
	leave(&p);
}

static void too_many(void **state)
{
	struct program p[CLIENTS], more = { .fd = dial(sock, SOCK_SEQPACKET) };

	(void)state;
	for (int i = 0; i < CLIENTS; i++)
		attach(&p[i]);
	assert_int_equal(hello(&more, LAYOUT_MAGIC, LAYOUT_VERSION), EUSERS);
	assert_non_null(strstr(more.reply.text, "[limits] clients"));
	for (int i = 0; i < CLIENTS; i++)
		leave(&p[i]);
	wait_rows("clients", 0);
	assert_int_equal(hello(&more, LAYOUT_MAGIC, LAYOUT_VERSION), 0);
	leave(&more);
	wait_rows("clients", 0);
}

/* Killed while a child holds its socket: the pidfd tells, not the hang-up. */
static void killed(void **state)
{
	int before;

	(void)state;
	assert_serves();
	before = daemon_fds();
	for (int i = 0; i < 30; i++) {
		int ends[2], status;
		char go;
		pid_t pid;

		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
		pid = fork();
		if (pid == 0) {
			struct program p;

			attach(&p);
			if (context(&p) || listen_on(&p, 0, 90, 0, 0) ||
			    write(ends[1], "", 1) != 1)
				_exit(1);
			pause();
		}
		close(ends[1]);
		assert_int_equal(read(ends[0], &go, 1), 1);
		close(ends[0]);
		kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		wait_rows("clients", 0);
	}
	assert_int_equal(rows("listeners"), 0);
	/* Connections that just hung up are still being closed. */
	for (int ms = 0; daemon_fds() > before && ms < 5000; ms += 5)
		usleep(5000);
	assert_true(daemon_fds() <= before);
}

/* Holes anywhere in its own segment harm nobody else. */
static void holes(void **state)
{
	struct program p;

	(void)state;
	attach(&p);
	assert_int_equal(fallocate(p.fds[0],
				   FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				   0, 64 << 20), 0);
	assert_int_equal(context(&p), 0);
	leave(&p);
	wait_rows("clients", 0);
	assert_serves();
}

/* HOLD_MANY that says @says and brings @brings handles. */
static int hold_many(struct program *p, uint32_t peer, uint32_t says,
		     uint32_t brings)
{
	struct {
		struct ctl_request req;
		uint64_t sock[CTL_HOLD_MAX];
	} all = { .req = { .type = CTL_HOLD_MANY, .tag = ++p->tag,
			   .hold_many = { .peer = peer, .count = says } } };
	size_t bytes = sizeof(all.req) + brings * sizeof(all.sock[0]);

	for (uint32_t i = 0; i < CTL_HOLD_MAX; i++)
		all.sock[i] = (uint64_t)i * 0x9e3779b97f4a7c15ull;
	all.sock[1] = ~0ull;
	all.sock[2] = 1;
	assert_int_equal(send(p->fd, &all, bytes, MSG_NOSIGNAL), bytes);
	assert_int_equal(receive(p), sizeof(p->reply));
	assert_int_equal(p->reply.type, CTL_HOLD_MANY);
	return p->reply.error;
}

/* Lists that lie about their length, handles that cannot be. */
static void hold_many_nothing(void **state)
{
	struct program p, q;
	uint32_t peer;

	(void)state;
	attach(&p);
	attach(&q);
	peer = q.reply.hello.client;
	assert_int_equal(hold_many(&p, peer, 3, 0), EPROTO);
	assert_int_equal(hold_many(&p, peer, 0, 3), EPROTO);
	assert_int_equal(hold_many(&p, peer, 4, 3), EPROTO);
	assert_int_equal(hold_many(&p, peer, ~0u, 3), EPROTO);
	assert_int_equal(hold_many(&p, 12345, 3, 3), ESRCH);
	assert_int_equal(hold_many(&p, peer, CTL_HOLD_MAX, CTL_HOLD_MAX), 0);
	assert_int_equal(p.reply.hold_many.held, 0);
	leave(&p);
	leave(&q);
	wait_rows("clients", 0);
	assert_serves();
}

static void hold_nothing(void **state)
{
	struct ctl_request req = { 0 };
	struct program p, q;

	(void)state;
	attach(&p);
	attach(&q);
	req.hold.peer = q.reply.hello.client;
	assert_int_equal(ask(&p, CTL_HOLD, &req), ENOENT);
	req.hold.sock = ~0ull;
	assert_int_equal(ask(&p, CTL_HOLD, &req), EBADF);
	req.hold.peer = 12345;
	assert_int_equal(ask(&p, CTL_HOLD, &req), ESRCH);
	leave(&p);
	leave(&q);
	wait_rows("clients", 0);
}

/* ---- the other socket ---- */

static void hostile_admin(void **state)
{
	static const char *const lines[] = {
		"\n", "{}\n", "[]\n", "{\"cmd\":3}\n", "{\"cmd\":\"x\"}\n",
		"{\"cmd\":\"stats\"\n", "\xff\xfe\n", "null\n" };
	char *flood = malloc(100000), text[256];
	int fds[64], fd;

	(void)state;
	fd = dial(admin, SOCK_STREAM);
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		ssize_t n;

		assert_true(send(fd, lines[i], strlen(lines[i]), 0) > 0);
		n = recv(fd, text, sizeof(text) - 1, 0);
		assert_true(n > 0);
		text[n] = '\0';
		assert_non_null(strstr(text, "\"error\""));
	}
	memset(flood, 'x', 100000);	/* a line without an end */
	for (int i = 0; i < 10; i++)
		if (send(fd, flood, 100000, MSG_NOSIGNAL) < 0)
			break;
	assert_true(recv(fd, text, sizeof(text), 0) <= 0);
	close(fd);
	for (int i = 0; i < 64; i++)
		fds[i] = dial(admin, SOCK_STREAM);
	for (int i = 0; i < 64; i++)
		close(fds[i]);
	usleep(100000);
	assert_int_equal(rows("ports"), 1);
	free(flood);
}

/* Many listings asked for at once by one that hangs up. */
static void admin_hangs_up(void **state)
{
	(void)state;
	for (int i = 0; i < 100; i++) {
		int fd = dial(admin, SOCK_STREAM);

		for (int k = 0; k < 20; k++)
			if (send(fd, "{\"cmd\":\"conns\"}\n", 16,
				 MSG_NOSIGNAL) < 0)
				break;
		close(fd);
	}
	assert_int_equal(rows("engines"), ENGINES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(segment),
		cmocka_unit_test(contexts),
		cmocka_unit_test(listeners),
		cmocka_unit_test(wrong_hello),
		cmocka_unit_test(wrong_sizes),
		cmocka_unit_test(random_requests),
		cmocka_unit_test(silent_crowd),
		cmocka_unit_test(never_reads),
		cmocka_unit_test(too_many),
		cmocka_unit_test(killed),
		cmocka_unit_test(holes),
		cmocka_unit_test(hold_nothing),
		cmocka_unit_test(hold_many_nothing),
		cmocka_unit_test(hostile_admin),
		cmocka_unit_test(admin_hangs_up),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, start_daemon, stop_daemon);
}
