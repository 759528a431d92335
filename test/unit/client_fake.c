#include "client_fake.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define CHECK(x) \
	do { \
		if (!(x)) { \
			fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, \
				__LINE__, #x, strerror(errno)); \
			abort(); \
		} \
	} while (0)

/* ---- control ---- */

/* libc's, whatever the program interposes: an interposed close() may wait for
 * a thread that waits for this one's answer. */
static void close_fd(int fd)
{
	static int (*libc_close)(int);

	if (!libc_close)
		*(void **)&libc_close = dlsym(RTLD_NEXT, "close");
	CHECK(libc_close && libc_close(fd) == 0);
}

static void reply(struct fake *f, struct ctl_reply *r, const int *fds,
		  uint32_t count)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(CTL_FDS_MAX * sizeof(int))];
	} control = { 0 };
	struct iovec iov = { r, sizeof(*r) };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };

	r->fds = count;
	if (count) {
		struct cmsghdr *h;

		m.msg_control = &control;
		m.msg_controllen = CMSG_SPACE(count * sizeof(int));
		h = CMSG_FIRSTHDR(&m);
		h->cmsg_level = SOL_SOCKET;
		h->cmsg_type = SCM_RIGHTS;
		h->cmsg_len = CMSG_LEN(count * sizeof(int));
		memcpy(CMSG_DATA(h), fds, count * sizeof(int));
	}
	CHECK(sendmsg(f->conn_fd, &m, MSG_NOSIGNAL) == sizeof(*r));
}

static void on_hello(struct fake *f, struct ctl_reply *r)
{
	int fds[1 + FAKE_ENGINES] = { f->memfd };

	r->hello.version = LAYOUT_VERSION;
	r->hello.client = 7;
	r->hello.engines = FAKE_ENGINES;
	r->hello.flags = CTL_HELLO_SLEEPERS | CTL_HELLO_BROTHERS;
	r->hello.slabs = FAKE_SLABS;
	memcpy(r->hello.rss_key, "0123456789012345678901234567890123456789",
	       CTL_RSS_KEY_BYTES);
	for (uint32_t e = 0; e < FAKE_ENGINES; e++) {
		int ends[2];

		r->hello.engine_cpu[e] = ~0u;
		CHECK(pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0);
		f->engine_rd[e] = ends[0];
		fds[1 + e] = ends[1];
	}
	reply(f, r, fds, 1 + FAKE_ENGINES);
	for (uint32_t e = 0; e < FAKE_ENGINES; e++)
		close_fd(fds[1 + e]);
}

static void on_context(struct fake *f, struct ctl_reply *r)
{
	uint32_t n = f->contexts;
	uint64_t offset = (uint64_t)(1 + n) << SLAB_SHIFT;
	int ends[2];

	CHECK(n < FAKE_CONTEXTS);
	CHECK(pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0);
	f->wake_wr[n] = ends[1];
	for (uint32_t e = 0; e < FAKE_ENGINES; e++) {
		uint8_t *at = f->base + offset;

		ring_attach(&f->cmd[n][e], at + context_cmd_ring_offset(e),
			    CMD_RING_SLOTS);
		ring_attach(&f->event[n][e], at + context_event_ring_offset(e),
			    EVENT_RING_SLOTS);
	}
	r->context.context = n;
	r->context.rings_offset = offset;
	f->contexts++;
	reply(f, r, ends, 1);
	close_fd(ends[0]);
}

static void on_listen(struct fake *f, const struct ctl_request *req,
		      struct ctl_reply *r)
{
	if (f->listen_error) {
		r->error = f->listen_error;
		snprintf(r->text, sizeof(r->text), "no");
		f->listen_error = 0;
	} else {
		r->listen.listener = f->listener_id = 100 + f->listens++;
		r->listen.port = req->listen.port ? req->listen.port : 1;
	}
	reply(f, r, NULL, 0);
}

static void on_info(struct fake *f, struct ctl_reply *r)
{
	uint32_t n = f->infos++;

	r->info = f->info;
	r->known.cc = f->cc;
	if (n < 4 && f->info_states[n])
		r->info.state = f->info_states[n];
}

static void on_port(const struct ctl_request *req, struct ctl_reply *r)
{
	if (!strcmp(req->port.name, "uplink"))
		r->port.port = 3;
	else
		r->error = ENODEV;
}

static void serve(struct fake *f, const struct ctl_request *req)
{
	struct ctl_reply r = { .type = req->type, .tag = req->tag };

	switch (req->type) {
	case CTL_HELLO:
		on_hello(f, &r);
		return;
	case CTL_CONTEXT:
		on_context(f, &r);
		return;
	case CTL_LISTEN:
		on_listen(f, req, &r);
		return;
	case CTL_UNLISTEN:
		f->unlistens++;
		break;
	case CTL_OPTION:
		f->option.name = req->option.name;
		f->option.value = req->option.value;
		f->options++;
		break;
	case CTL_INFO:
		f->info_sock = req->info.sock;
		on_info(f, &r);
		break;
	case CTL_PORT:
		on_port(req, &r);
		break;
	case CTL_HOLD:
		f->holds++;
		break;
	case CTL_CONTEXT_END:
		f->ends++;
		break;
	default:
		r.error = EINVAL;
	}
	reply(f, &r, NULL, 0);
}

static void *control(void *arg)
{
	struct fake *f = arg;

	for (;;) {
		struct pollfd p[3] = {
			{ .fd = f->stop_fd, .events = POLLIN },
			{ .fd = f->listen_fd, .events = POLLIN },
			{ .fd = f->conn_fd, .events = POLLIN },
		};
		struct ctl_request req;
		ssize_t n;

		CHECK(poll(p, 3, -1) > 0);
		if (p[0].revents)
			return NULL;
		if (p[1].revents) {
			if (f->conn_fd >= 0)
				close_fd(f->conn_fd);
			f->conn_fd = accept(f->listen_fd, NULL, NULL);
			f->contexts = 0;
			continue;
		}
		n = recv(f->conn_fd, &req, sizeof(req), 0);
		if (n <= 0) {
			close_fd(f->conn_fd);
			f->conn_fd = -1;
			continue;
		}
		CHECK(n == sizeof(req));
		serve(f, &req);
	}
}

/* The path of a daemon that a test has not stopped goes with the test. */
static char last_path[sizeof(((struct fake *)0)->path)];
static pid_t last_pid;

static void unlink_last(void)
{
	if (getpid() == last_pid)
		unlink(last_path);
}

void fake_start(struct fake *f, const char *path)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	static int number;
	char name[100];

	if (path)
		snprintf(name, sizeof(name), "%s", path);
	else
		snprintf(name, sizeof(name), "/tmp/mtcpd-fake-%d-%d.sock",
			 (int)getpid(), number++);
	*f = (struct fake){ .conn_fd = -1, .engine_rd = { -1, -1 } };
	memcpy(f->path, name, sizeof(f->path));
	memcpy(last_path, name, sizeof(last_path));
	if (last_pid != getpid())
		atexit(unlink_last);
	last_pid = getpid();
	memset(f->wake_wr, 0xff, sizeof(f->wake_wr));
	f->memfd = memfd_create("fake", MFD_CLOEXEC);
	CHECK(ftruncate(f->memfd, (off_t)FAKE_SLABS * SLAB_BYTES) == 0);
	f->base = mmap(NULL, FAKE_SLABS * SLAB_BYTES, PROT_READ | PROT_WRITE,
		       MAP_SHARED, f->memfd, 0);
	CHECK(f->base != MAP_FAILED);
	f->base[SLAB_CLASSES_OFFSET + FAKE_SMALL_SLAB] = BLOCK_SMALL;
	f->base[SLAB_CLASSES_OFFSET + FAKE_LARGE_SLAB] = BLOCK_LARGE;
	f->stop_fd = eventfd(0, EFD_CLOEXEC);
	f->listen_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	memcpy(un.sun_path, f->path, sizeof(f->path));
	unlink(f->path);
	CHECK(bind(f->listen_fd, (struct sockaddr *)&un, sizeof(un)) == 0);
	CHECK(listen(f->listen_fd, 4) == 0);
	setenv(CTL_SOCKET_ENV, f->path, 1);
	CHECK(pthread_create(&f->thread, NULL, control, f) == 0);
}

void fake_stop(struct fake *f)
{
	uint64_t one = 1;

	CHECK(write(f->stop_fd, &one, sizeof(one)) == sizeof(one));
	pthread_join(f->thread, NULL);
	close(f->listen_fd);
	if (f->conn_fd >= 0)
		close(f->conn_fd);
	for (uint32_t e = 0; e < FAKE_ENGINES; e++)
		if (f->engine_rd[e] >= 0)
			close(f->engine_rd[e]);
	for (uint32_t n = 0; n < FAKE_CONTEXTS; n++)
		if (f->wake_wr[n] >= 0)
			close(f->wake_wr[n]);
	close(f->stop_fd);
	close(f->memfd);
	munmap(f->base, FAKE_SLABS * SLAB_BYTES);
	unlink(f->path);
}

/* ---- engines ---- */

uint8_t fake_cmd(struct fake *f, uint32_t ctx, uint32_t e, union fake_cmd *out)
{
	struct ring *r = &f->cmd[ctx][e];
	uint32_t slots;

	/* What the control thread did before it answered is seen. */
	(void)atomic_load(&f->contexts);
	if (ring_peek(r) <= 0)
		return CMD_NONE;
	ring_copy(r, 0, out->bytes);
	slots = cmd_slots(out->one.type);
	CHECK(slots && ring_peek(r) >= (int)slots);
	if (slots == 2)
		ring_copy(r, 1, out->bytes + RING_SLOT);
	ring_release(r, slots);
	return out->one.type;
}

bool fake_find(struct fake *f, uint32_t ctx, uint32_t e, uint8_t type,
	       union fake_cmd *out)
{
	uint8_t t;

	do
		t = fake_cmd(f, ctx, e, out);
	while (t != CMD_NONE && t != type);
	return t == type;
}

void fake_skip(struct fake *f, uint32_t ctx)
{
	union fake_cmd c;

	for (uint32_t e = 0; e < FAKE_ENGINES; e++)
		while (fake_cmd(f, ctx, e, &c) != CMD_NONE)
			;
}

static struct wake_shared *bell_of(struct fake *f, uint32_t ctx)
{
	return (struct wake_shared *)(void *)
		(f->base + ((uint64_t)(1 + ctx) << SLAB_SHIFT));
}

void fake_look(struct fake *f, uint32_t ctx)
{
	struct wake_shared *w = bell_of(f, ctx);

	wake_look(w);
	if (wake_needed(w))
		CHECK(write(f->wake_wr[ctx], "", 1) == 1);
}

static void publish(struct fake *f, uint32_t ctx, uint32_t e)
{
	struct wake_shared *w = bell_of(f, ctx);

	ring_publish(&f->event[ctx][e]);
	if (wake_needed(w))
		CHECK(write(f->wake_wr[ctx], "", 1) == 1);
}

void fake_event(struct fake *f, uint32_t ctx, uint32_t e,
		const struct event *ev)
{
	CHECK(ring_room(&f->event[ctx][e], 1) >= 1);
	memcpy(ring_slot(&f->event[ctx][e]), ev, RING_SLOT);
	publish(f, ctx, e);
}

void fake_socket_event(struct fake *f, uint32_t ctx, uint32_t e,
		       const struct event_socket *ev)
{
	CHECK(ring_room(&f->event[ctx][e], 2) >= 2);
	memcpy(ring_slot(&f->event[ctx][e]), ev, RING_SLOT);
	memcpy(ring_slot(&f->event[ctx][e]), (const uint8_t *)ev + RING_SLOT,
	       RING_SLOT);
	publish(f, ctx, e);
}

static uint32_t new_block(struct fake *f, enum block_class cls)
{
	uint32_t slab = cls == BLOCK_SMALL ? FAKE_SMALL_SLAB : FAKE_LARGE_SLAB;

	return block_id(slab, f->next_block[cls]++ % slab_blocks(cls));
}

void fake_grant(struct fake *f, uint32_t ctx, uint32_t e, enum block_class cls,
		uint32_t count)
{
	while (count) {
		struct event ev = { .type = EVENT_GRANT, .cls = (uint8_t)cls };

		while (count && ev.count < EVENT_GRANT_BLOCKS) {
			ev.blocks[ev.count++] = new_block(f, cls);
			count--;
		}
		fake_event(f, ctx, e, &ev);
	}
}

uint8_t *fake_block(struct fake *f, uint32_t block)
{
	return f->base + block_offset(block, block_slab(block) ==
				      FAKE_SMALL_SLAB ? BLOCK_SMALL :
							BLOCK_LARGE);
}

void fake_data(struct fake *f, uint32_t ctx, uint32_t e, uint32_t cookie,
	       uint64_t sock, const void *bytes, uint16_t len)
{
	struct event ev = { .type = EVENT_DATA, .cookie = cookie };
	uint32_t block = new_block(f, len > BLOCK_SMALL_BYTES ? BLOCK_LARGE :
							      BLOCK_SMALL);

	memcpy(fake_block(f, block), bytes, len);
	ev.sock = sock;
	ev.data.block = block;
	ev.data.len = len;
	ev.limit = 65536;
	fake_event(f, ctx, e, &ev);
}
