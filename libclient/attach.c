#include "libclient/client.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/*
 * The control socket is used by one thread at a time, under the_client.lock.
 * A request is answered in order; the daemon may say CTL_DETACHED at any
 * moment, and closes the socket then.
 */

#define CTL_TIMEOUT_S	10		/* a daemon that says nothing */
#define BACKOFF_MIN_US	10000u
#define BACKOFF_MAX_US	1000000u

struct client the_client = { .lock = PTHREAD_MUTEX_INITIALIZER };

uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u;
}

static void say(const char *what, const char *path, const char *more)
{
	snprintf(the_client.text, sizeof(the_client.text), "%s%s%s%s", what,
		 path, *more ? ": " : "", more);
}

static const char *socket_path(void)
{
	const char *path = getenv(CTL_SOCKET_ENV);

	if (path && *path)
		return path;
	return the_settings.socket_path[0] ? the_settings.socket_path :
					     CTL_SOCKET;
}

static int open_socket(const char *path)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	struct timeval limit = { .tv_sec = CTL_TIMEOUT_S };
	int fd, err;

	if (strlen(path) >= sizeof(un.sun_path))
		return -ENAMETOOLONG;
	memcpy(un.sun_path, path, strlen(path));
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	if (connect(fd, (struct sockaddr *)&un, sizeof(un)) == 0)
		return fd;
	err = -errno;
	close(fd);
	return err;
}

static void mark_dead(struct attach *at)
{
	atomic_store(&at->dead, true);
}

/* Takes the descriptors of a message into @fds; more than @max are closed. */
static uint32_t take_fds(struct msghdr *m, int *fds, uint32_t max)
{
	uint32_t count = 0, n;
	struct cmsghdr *h;
	int fd;

	for (h = CMSG_FIRSTHDR(m); h; h = CMSG_NXTHDR(m, h)) {
		if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS)
			continue;
		n = (uint32_t)((h->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		for (uint32_t i = 0; i < n; i++) {
			memcpy(&fd, CMSG_DATA(h) + i * sizeof(int), sizeof(fd));
			if (count < max)
				fds[count++] = fd;
			else
				close(fd);
		}
	}
	return count;
}

/* One message; -ETIMEDOUT, -ECONNRESET or the descriptors that came. */
static int receive(struct attach *at, struct ctl_reply *reply, int *fds,
		   uint32_t max)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(CTL_FDS_MAX * sizeof(int))];
	} control;
	struct iovec iov = { reply, sizeof(*reply) };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1,
			    .msg_control = &control,
			    .msg_controllen = sizeof(control) };
	ssize_t n;

	do
		n = recvmsg(at->ctl_fd, &m, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? -ETIMEDOUT : -ECONNRESET;
	if (n == 0)
		return -ECONNRESET;
	if (n != (ssize_t)sizeof(*reply)) {
		take_fds(&m, NULL, 0);
		return -EPROTO;
	}
	reply->text[CTL_TEXT_BYTES - 1] = 0;
	return (int)take_fds(&m, fds, max);
}

static int send_request(struct attach *at, const struct ctl_request *req,
			const void *more, size_t more_bytes)
{
	struct iovec iov[] = { { (void *)(uintptr_t)req, sizeof(*req) },
			       { (void *)(uintptr_t)more, more_bytes } };
	struct msghdr m = { .msg_iov = iov, .msg_iovlen = more_bytes ? 2 : 1 };
	ssize_t n;

	do
		n = sendmsg(at->ctl_fd, &m, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n == (ssize_t)(sizeof(*req) + more_bytes))
		return 0;
	return n < 0 && errno == EAGAIN ? -ETIMEDOUT : -ECONNRESET;
}

/* Waits for the answer to @tag. */
static int await_reply(struct attach *at, uint32_t tag, struct ctl_reply *reply,
		       int *fds, uint32_t max)
{
	for (;;) {
		int n = receive(at, reply, fds, max);

		if (n < 0)
			return n;
		if (reply->type == CTL_DETACHED) {
			say("mtcpd detached this process", "", reply->text);
			return -ECONNRESET;
		}
		if (reply->tag == tag)
			return n;
		for (int i = 0; i < n; i++)
			close(fds[i]);
	}
}

static int request(struct attach *at, struct ctl_request *req,
		   const void *more, size_t more_bytes,
		   struct ctl_reply *reply, int *fds, uint32_t max)
{
	int n;

	req->tag = ++at->tag ? at->tag : ++at->tag;
	n = send_request(at, req, more, more_bytes);
	if (n == 0)
		n = await_reply(at, req->tag, reply, fds, max);
	if (n < 0) {
		mark_dead(at);
		return n;
	}
	if (reply->error) {
		for (int i = 0; i < n; i++)
			close(fds[i]);
		say("mtcpd", "", reply->text);
		return -abs(reply->error);
	}
	return n;
}

int attach_request(struct attach *at, struct ctl_request *req,
		   struct ctl_reply *reply, int *fds, uint32_t max)
{
	return request(at, req, NULL, 0, reply, fds, max);
}

int attach_hold(struct attach *at, uint32_t peer, const uint64_t *socks,
		uint32_t count)
{
	struct ctl_request req = { .type = CTL_HOLD_MANY, .hold_many = {
		.peer = peer, .count = count } };
	struct ctl_reply reply;
	int n = request(at, &req, socks, count * sizeof(*socks), &reply, NULL,
			0);

	return n < 0 ? n : 0;
}

bool attach_alive(struct attach *at)
{
	struct pollfd p = { .fd = at->ctl_fd, .events = POLLIN };
	struct ctl_reply reply;
	ssize_t n;

	if (atomic_load_explicit(&at->dead, memory_order_relaxed))
		return false;
	/* First what a program under seccomp (sshd's) may do as well. */
	if (poll(&p, 1, 0) <= 0)
		return true;
	n = recv(at->ctl_fd, &reply, sizeof(reply), MSG_PEEK | MSG_DONTWAIT);
	if (n == (ssize_t)sizeof(reply) && reply.type != CTL_DETACHED)
		return true;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return true;
	mark_dead(at);
	if (n == (ssize_t)sizeof(reply))
		fprintf(stderr, "mtcp: mtcpd detached this process: %.*s\n",
			CTL_TEXT_BYTES - 1, reply.text);
	return false;
}

static void attach_free(struct attach *at)
{
	if (at->base)
		munmap(at->base, at->bytes);
	for (uint32_t e = 0; e < ENGINES_MAX; e++)
		if (at->wake_fd[e] >= 0)
			close(at->wake_fd[e]);
	if (at->ctl_fd >= 0)
		close(at->ctl_fd);
	if (at->seg_fd >= 0)
		close(at->seg_fd);
	free(at);
}

/* Checks what the daemon says of itself and maps its segment. */
static int take_hello(struct attach *at, const struct ctl_reply *r, int *fds,
		      int count)
{
	void *p;

	if (r->hello.version != LAYOUT_VERSION) {
		say("mtcpd speaks another version of the segment's layout: ",
		    "install the library and the daemon of one release", "");
		return -EPROTO;
	}
	if (!r->hello.engines || r->hello.engines > ENGINES_MAX ||
	    !r->hello.slabs || r->hello.slabs > SEGMENT_SLABS_MAX ||
	    count != (int)r->hello.engines + 1) {
		say("mtcpd's answer makes no sense", "", "");
		return -EPROTO;
	}
	at->engines = r->hello.engines;
	at->client_id = r->hello.client;
	at->family = r->hello.family;
	at->flags = r->hello.flags;
	at->bytes = (uint64_t)r->hello.slabs << SLAB_SHIFT;
	memcpy(at->engine_cpu, r->hello.engine_cpu, sizeof(at->engine_cpu));
	rss_init(&at->rss, r->hello.rss_key);
	for (int i = 1; i < count; i++) {
		at->wake_fd[i - 1] = fd_high(fds[i]);
		fds[i] = -1;
	}
	p = mmap(NULL, at->bytes, PROT_READ | PROT_WRITE,
		 MAP_SHARED | MAP_NORESERVE, fds[0], 0);
	if (p == MAP_FAILED) {
		say("cannot map mtcpd's memory segment", "", strerror(errno));
		return -ENOMEM;
	}
	at->base = p;
	at->seg_fd = fd_high(fds[0]);
	fds[0] = -1;
	return 0;
}

static int hello(struct attach *at, uint32_t flags)
{
	struct ctl_request req = { .type = CTL_HELLO, .hello = {
		.magic = LAYOUT_MAGIC, .version = LAYOUT_VERSION,
		.pid = (uint32_t)getpid(), .flags = flags,
		.family = the_client.family } };
	struct ctl_reply reply;
	int fds[CTL_FDS_MAX], n, err;

	snprintf(req.hello.name, sizeof(req.hello.name), "%s",
		 program_invocation_short_name);
	n = attach_request(at, &req, &reply, fds, CTL_FDS_MAX);
	if (n < 0)
		return n;
	err = take_hello(at, &reply, fds, n);
	for (int i = 0; i < n; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	return err;
}

static void say_no_daemon(const char *path, int err)
{
	snprintf(the_client.text, sizeof(the_client.text),
		 "cannot reach mtcpd at %s: %s; is it running? "
		 "(systemctl start mtcpd, or mtcpd -c /etc/mtcpd.conf; "
		 CTL_SOCKET_ENV " names another socket)", path, strerror(err));
}

struct attach *attach_alloc(void)
{
	struct attach *at = aligned_alloc(64, (sizeof(*at) + 63) / 64 * 64);

	if (!at)
		return NULL;
	memset(at, 0, sizeof(*at));
	memset(at->wake_fd, 0xff, sizeof(at->wake_fd));
	at->ctl_fd = at->seg_fd = -1;
	at->refs = 1;
	return at;
}

static int attach_open(struct attach **out, uint32_t flags)
{
	const char *path = socket_path();
	struct attach *at = attach_alloc();
	int err;

	if (!at)
		return -ENOMEM;
	at->ctl_fd = fd_high(open_socket(path));
	if (at->ctl_fd < 0) {
		err = at->ctl_fd;
		say_no_daemon(path, -err);
	} else {
		the_client.text[0] = 0;
		err = hello(at, flags);
		if (err < 0 && !the_client.text[0])
			say("mtcpd at ", path, "did not answer as it should");
	}
	if (err < 0) {
		attach_free(at);
		return err;
	}
	*out = at;
	return 0;
}

int attach_for_child(struct attach **out)
{
	int err;

	pthread_mutex_lock(&the_client.lock);
	err = attach_open(out, CTL_HELLO_CHILD);
	pthread_mutex_unlock(&the_client.lock);
	return err;
}

void attach_keep(struct attach *at)
{
	madvise(at->base, at->bytes, MADV_DONTFORK);
}

void attach_forget(struct attach *at)
{
	at->base = NULL;		/* it was not mapped here */
	attach_free(at);
}

/* The lock is held. */
static void put_locked(struct attach *at)
{
	if (--at->refs == 0)
		attach_free(at);
}

void attach_put(struct attach *at)
{
	pthread_mutex_lock(&the_client.lock);
	put_locked(at);
	pthread_mutex_unlock(&the_client.lock);
}

static int try_attach(struct client *c, bool now)
{
	uint64_t t = now_us();
	int err;

	if (!now && t < c->retry_at_us)
		return -EAGAIN;
	err = attach_open(&c->now, 0);
	if (err == 0) {
		attach_keep(c->now);
		c->family = c->now->family;
		if (c->told)
			fprintf(stderr, "mtcp: attached to mtcpd again\n");
		c->told = false;
		c->backoff_us = BACKOFF_MIN_US;
		return 0;
	}
	if (c->backoff_us < BACKOFF_MIN_US)
		c->backoff_us = BACKOFF_MIN_US;
	c->retry_at_us = t + c->backoff_us;
	c->backoff_us *= 2;
	if (c->backoff_us > BACKOFF_MAX_US)
		c->backoff_us = BACKOFF_MAX_US;
	return err;
}

int attach_get(struct attach **out, bool now)
{
	struct client *c = &the_client;
	int err = 0;

	pthread_mutex_lock(&c->lock);
	if (c->now && atomic_load(&c->now->dead)) {
		put_locked(c->now);
		c->now = NULL;
		if (!c->told)
			fprintf(stderr, "mtcp: lost mtcpd: connections are "
				"reset; trying to attach again\n");
		c->told = true;
	}
	if (!c->now)
		err = try_attach(c, now);
	if (!err) {
		c->now->refs++;
		*out = c->now;
	}
	pthread_mutex_unlock(&c->lock);
	return err;
}

uint64_t attach_wait_us(void)
{
	uint64_t t = now_us(), at;

	pthread_mutex_lock(&the_client.lock);
	at = the_client.retry_at_us;
	pthread_mutex_unlock(&the_client.lock);
	return at > t ? at - t : 0;
}
