/*
 * sockets - what anybody may say to the daemon's two sockets
 *
 * A whole daemon runs in a thread, on a wire port.  The first byte of an input
 * says which socket:
 *
 *	even	mtcpctl's: the rest is written as it is, in lines or not
 *	odd	the programs': messages, each a byte that says what, and its bytes
 *		0 n bytes	n bytes as they are
 *		1 40 bytes	a request: type, and its fields, small numbers
 *		2 mask		HELLO as it should be, but for what mask changes
 *		3		the request of before again, with a descriptor
 *		4 n		a handful of HOLD_MANY's handles
 *
 * Every wait is bounded.  Now and then the daemon must answer a proper request
 * in time; what sanitizers see in its threads ends the run.
 */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "control/config.h"
#include "control/control.h"
#include "shm/ctl.h"
#include "shm/layout.h"

#define STEPS_MAX	24
#define ANSWER_MS	40	/* for what may or may not be answered */
#define ALIVE_MS	20000
#define ALIVE_EVERY	64	/* inputs */

static char dir[] = "/tmp/mtcpd-fuzz-XXXXXX";
static char sock[64], admin[64], conf[64];
static int ready_pipe[2];
static unsigned int runs;

struct input {
	const uint8_t *bytes;
	size_t left;
};

static void take(struct input *in, void *out, size_t n)
{
	size_t have = n < in->left ? n : in->left;

	memset(out, 0, n);
	memcpy(out, in->bytes, have);
	in->bytes += have;
	in->left -= have;
}

static uint8_t take_byte(struct input *in)
{
	uint8_t b;

	take(in, &b, 1);
	return b;
}

/* ---- the daemon ---- */

static void is_ready(void *arg)
{
	(void)arg;
	ENSURE(write(ready_pipe[1], "", 1) == 1, "a pipe takes a byte");
}

static void *run_daemon(void *arg)
{
	struct config *cfg = malloc(sizeof(*cfg));
	char err[CONFIG_ERR_BYTES] = "";

	(void)arg;
	ENSURE(cfg && config_load(cfg, conf, err) == 0, "the configuration");
	control_run(cfg, "fuzz", is_ready, NULL);
	ENSURE(false, "nobody ends the daemon");
	return NULL;
}

static void remove_all(void)
{
	char path[128];

	unlink(sock);
	unlink(admin);
	unlink(conf);
	snprintf(path, sizeof(path), "%s/wire", dir);
	unlink(path);
	rmdir(dir);
}

static void start_daemon(void)
{
	struct pollfd p = { .events = POLLIN };
	pthread_t thread;
	FILE *f;

	ENSURE(mkdtemp(dir) && pipe(ready_pipe) == 0, "a folder and a pipe");
	snprintf(sock, sizeof(sock), "%s/s", dir);
	snprintf(admin, sizeof(admin), "%s/a", dir);
	snprintf(conf, sizeof(conf), "%s/conf", dir);
	f = fopen(conf, "w");
	ENSURE(f != NULL, "a file in it");
	fprintf(f, "[daemon]\nsocket = %s\nadmin = %s\npidfile = none\n"
		"log = error\nsandbox = no\n[engine]\ncount = 2\n"
		"[port w]\ndriver = wire\ndevice = %s/wire:a\n"
		"address = 10.0.0.2/24, 10.0.0.3/24\n"
		"[tcp]\nmax_connections = 256\nmax_time_wait = 256\n"
		"[limits]\nclients = 6\npending_clients = 8\nmemory = 16M\n"
		"contexts = 4\nlisteners = 3\nhello_timeout_ms = 60000\n",
		sock, admin, dir);
	fclose(f);
	atexit(remove_all);
	log_set_level(LOG_LEVEL_ERROR);
	ENSURE(pthread_create(&thread, NULL, run_daemon, NULL) == 0, "a thread");
	p.fd = ready_pipe[0];
	ENSURE(poll(&p, 1, ALIVE_MS) == 1, "the daemon is ready in time");
}

static int dial(const char *path, int type)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	ENSURE(fd >= 0, "a socket");
	memcpy(sa.sun_path, path, strlen(path) + 1);
	if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static void must_answer(void)
{
	static const char ask[] = "{\"cmd\":\"engines\"}\n";
	struct pollfd p = { .events = POLLIN };
	char first = 0;
	bool asked;

	/* hung up on while too many others ask: again */
	for (int i = 0; i < 200 && first != '{'; i++) {
		p.fd = dial(admin, SOCK_STREAM);
		asked = p.fd >= 0 &&
			send(p.fd, ask, sizeof(ask) - 1, MSG_NOSIGNAL) > 0;
		if (asked && poll(&p, 1, ALIVE_MS) == 1 &&
		    recv(p.fd, &first, 1, 0) < 1)
			usleep(10000);
		if (p.fd >= 0)
			close(p.fd);
	}
	ENSURE(first == '{', "the daemon answers");
}

/* ---- mtcpctl's socket ---- */

static void drain(int fd, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char buf[4096];

	for (int i = 0; i < 256 && poll(&p, 1, ms) == 1; i++) {
		ssize_t n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);

		if (n <= 0 || memchr(buf, '\n', (size_t)n))
			return;
	}
}

static void admin_input(struct input *in)
{
	int fd = dial(admin, SOCK_STREAM);

	if (fd < 0)
		return;
	while (in->left) {
		const uint8_t *end = memchr(in->bytes, '\n', in->left);
		size_t n = end ? (size_t)(end - in->bytes) + 1 : in->left;

		if (send(fd, in->bytes, n, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
			break;
		in->bytes += n;
		in->left -= n;
		drain(fd, end ? ANSWER_MS : 0);
	}
	close(fd);
}

/* ---- the programs' socket ---- */

static void close_rights(struct msghdr *msg)
{
	for (struct cmsghdr *h = CMSG_FIRSTHDR(msg); h; h = CMSG_NXTHDR(msg, h)) {
		size_t n = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		int fds[CTL_FDS_MAX];

		if (h->cmsg_type != SCM_RIGHTS || n > CTL_FDS_MAX)
			continue;
		memcpy(fds, CMSG_DATA(h), n * sizeof(int));
		while (n)
			close(fds[--n]);
	}
}

/* False: the daemon hung up. */
static bool reply_of(int fd)
{
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(CTL_FDS_MAX * sizeof(int))];
	} rights;
	struct ctl_reply reply;
	struct iovec iov = { &reply, sizeof(reply) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1,
			      .msg_control = rights.bytes,
			      .msg_controllen = sizeof(rights.bytes) };
	struct pollfd p = { .fd = fd, .events = POLLIN };
	ssize_t n;

	if (poll(&p, 1, ANSWER_MS) != 1)
		return true;
	n = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	if (n <= 0)
		return false;
	close_rights(&msg);
	return true;
}

static bool say(int fd, const void *bytes, size_t n, bool with_fd)
{
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(int))];
	} rights = { .bytes = { 0 } };
	struct iovec iov = { (void *)(uintptr_t)bytes, n };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (with_fd) {
		msg.msg_control = rights.bytes;
		msg.msg_controllen = sizeof(rights.bytes);
		rights.head.cmsg_level = SOL_SOCKET;
		rights.head.cmsg_type = SCM_RIGHTS;
		rights.head.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&rights.head), &fd, sizeof(fd));
	}
	return sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0 &&
	       reply_of(fd);
}

static void make_hello(struct ctl_request *req, uint8_t mask)
{
	*req = (struct ctl_request){ .type = CTL_HELLO, .tag = 1 };
	req->hello.magic = LAYOUT_MAGIC ^ (mask & 1u);
	req->hello.version = LAYOUT_VERSION + (mask >> 1 & 1u);
	req->hello.flags = mask >> 2 & 1u;
	req->hello.segment_bytes = mask & 8 ? (uint64_t)mask << 20 : 0;
	req->hello.family = mask & 64 ? mask : 0;
	memset(req->hello.name, mask & 128 ? 0xff : 'f', 32);
}

static void make_request(struct ctl_request *req, struct input *in)
{
	*req = (struct ctl_request){ .tag = 1 };
	req->type = take_byte(in) % (CTL_TYPES + 1);
	take(in, req->bytes, 39);
}

static bool message(int fd, struct input *in, struct ctl_request *req)
{
	uint8_t raw[256 + sizeof(*req)];
	uint8_t n;

	switch (take_byte(in) % 5) {
	case 0:
		n = take_byte(in);
		take(in, raw, n);
		return say(fd, raw, n, false);
	case 1:
		make_request(req, in);
		return say(fd, req, sizeof(*req), false);
	case 2:
		make_hello(req, take_byte(in));
		return say(fd, req, sizeof(*req), false);
	case 3:
		return say(fd, req, sizeof(*req), true);
	default:
		n = take_byte(in) % 32;
		*req = (struct ctl_request){ .type = CTL_HOLD_MANY, .tag = 1 };
		req->hold_many.count = take_byte(in);
		memcpy(raw, req, sizeof(*req));
		take(in, raw + sizeof(*req), n * 8u);
		return say(fd, raw, sizeof(*req) + n * 8u, false);
	}
}

static void program_input(struct input *in)
{
	struct ctl_request req = { .type = CTL_CONTEXT, .tag = 1 };
	int fd = dial(sock, SOCK_SEQPACKET);

	for (int i = 0; fd >= 0 && i < STEPS_MAX && in->left; i++)
		if (!message(fd, in, &req))
			break;
	if (fd >= 0)
		close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };

	if (!sock[0])
		start_daemon();
	if (take_byte(&in) & 1)
		program_input(&in);
	else
		admin_input(&in);
	if (++runs % ALIVE_EVERY == 0)
		must_answer();
	return 0;
}
