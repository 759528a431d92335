/*
 * capture.c - a capture's life
 *
 *	request -> STARTING: memory, MAIL_CAPTURE(job) to all
 *	all done -> RUNNING: answer with the memory's descriptor
 *	"capture-end", or the session hangs up -> STOPPING: MAIL_CAPTURE(NULL)
 *	all done -> answered, freed
 *
 * One at a time, of an administrator: it shows payload.  It ends with its
 * session, so that none is ever left on.
 */
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "control/admin.h"

enum capture_state { STARTING, RUNNING, STOPPING };

struct capture {
	struct op op;
	struct admin *owner;		/* NULL: hung up */
	enum capture_state state;
	struct capture_job job;
	int fd;
	void *base;
	size_t bytes;
};

void capture_free(struct control *c)
{
	struct capture *cap = c->capture;

	if (!cap)
		return;
	if (cap->base != MAP_FAILED)
		munmap(cap->base, cap->bytes);
	if (cap->fd >= 0)
		close(cap->fd);
	free(cap);
	c->capture = NULL;
}

/* ---- what is asked ---- */

/* 16 hexadecimal digits an instruction: code, jt, jf, k.  How many, or -1. */
static int read_program(const char *text, struct capture_insn *out)
{
	size_t count = text ? strlen(text) / 16 : 0;

	if (!count || count > CAPTURE_PROGRAM_MAX || strlen(text) % 16 ||
	    strspn(text, "0123456789abcdef") != strlen(text))
		return -1;
	for (size_t i = 0; i < count; i++) {
		unsigned int code, jt, jf, k;

		sscanf(text + 16 * i, "%4x%2x%2x%8x", &code, &jt, &jf, &k);
		out[i] = (struct capture_insn){ .code = (uint16_t)code,
			.jt = (uint8_t)jt, .jf = (uint8_t)jf, .k = k };
	}
	return bpf_check(out, (uint32_t)count) ? (int)count : -1;
}

/* 0 or -errno. */
static int map_rings(const struct control *c, struct capture *cap)
{
	const int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

	cap->bytes = (size_t)c->engine_count * CAPTURE_STRIDE;
	cap->fd = memfd_create("mtcpd-capture", MFD_CLOEXEC |
			       MFD_ALLOW_SEALING);
	if (cap->fd < 0 || ftruncate(cap->fd, (off_t)cap->bytes) < 0 ||
	    fallocate(cap->fd, 0, 0, (off_t)cap->bytes) < 0 ||
	    fcntl(cap->fd, F_ADD_SEALS, seals) < 0)
		return -errno;
	cap->base = mmap(NULL, cap->bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
			 cap->fd, 0);
	if (cap->base == MAP_FAILED)
		return -errno;
	for (uint32_t e = 0; e < c->engine_count; e++)
		cap->job.ring[e] = (struct capture_ring *)
			((char *)cap->base + (size_t)e * CAPTURE_STRIDE);
	return 0;
}

/* ---- answers ---- */

/* One line with the descriptor; nothing else waits to be written. */
static int send_answer(struct admin *a, const char *line, int fd)
{
	struct iovec iov = { (void *)line, strlen(line) };
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1,
			      .msg_control = &control,
			      .msg_controllen = sizeof(control) };
	struct cmsghdr *cm = CMSG_FIRSTHDR(&msg);
	ssize_t n;

	if (evbuffer_get_length(bufferevent_get_output(a->bev)))
		return -EBUSY;
	cm->cmsg_level = SOL_SOCKET;
	cm->cmsg_type = SCM_RIGHTS;
	cm->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(cm), &fd, sizeof(fd));
	n = sendmsg(bufferevent_getfd(a->bev), &msg, MSG_NOSIGNAL |
		    MSG_DONTWAIT);
	return n == (ssize_t)iov.iov_len ? 0 : -EIO;
}

/* Monotonic time 0 in microseconds since the epoch. */
static long long epoch_us(void)
{
	struct timespec real, mono;

	clock_gettime(CLOCK_REALTIME, &real);
	clock_gettime(CLOCK_MONOTONIC, &mono);
	return (long long)(real.tv_sec - mono.tv_sec) * 1000000 +
	       (real.tv_nsec - mono.tv_nsec) / 1000;
}

static int tell_started(struct control *c, const struct capture *cap)
{
	json_t *names = json_array(), *answer;
	char *text, *line;
	int err = -ENOMEM;

	for (uint32_t i = 0; i < c->port_count; i++)
		json_array_append_new(names, json_string(c->ports[i]->name));
	answer = json_pack("{s:s,s:{s:i,s:I,s:o}}", "cmd", "capture", "data",
			   "engines", (int)c->engine_count, "epoch_us",
			   (json_int_t)epoch_us(), "ports", names);
	text = answer ? json_dumps(answer, JSON_COMPACT) : NULL;
	if (text && asprintf(&line, "%s\n", text) >= 0) {
		err = send_answer(cap->owner, line, cap->fd);
		free(line);
	}
	free(text);
	json_decref(answer);
	return err;
}

/* ---- states ---- */

static void told(struct control *c, struct op *op);

static void tell_engines(struct control *c, struct capture *cap,
			 enum capture_state state)
{
	struct mail m = { .type = MAIL_CAPTURE };

	cap->state = state;
	m.config.ptr = state == STARTING ? &cap->job : NULL;
	op_ask_all(c, &cap->op, &m, told);
}

static void told(struct control *c, struct op *op)
{
	struct capture *cap = c->capture;
	struct admin *owner = cap->owner;

	(void)op;
	if (cap->state == STARTING) {
		if (!owner || tell_started(c, cap) < 0) {
			tell_engines(c, cap, STOPPING);
			return;
		}
		cap->state = RUNNING;
		admin_resume(owner);
		return;
	}
	capture_free(c);
	if (!owner)
		return;
	admin_data(owner, "capture-end", json_object());
	admin_resume(owner);
}

void capture_left(struct admin *a)
{
	struct capture *cap = a->control->capture;

	if (!cap || cap->owner != a)
		return;
	cap->owner = NULL;
	if (cap->state == RUNNING)
		tell_engines(a->control, cap, STOPPING);
}

void capture_request(struct admin *a, const json_t *request)
{
	struct control *c = a->control;
	json_int_t snaplen = json_integer_value(json_object_get(request,
								"snaplen"));
	struct capture *cap;
	int err;

	if (!a->may_change) {
		admin_error(a, "a capture shows payload: only root and mtcpd's "
			    "own user may");
		return;
	}
	if (c->capture || c->stopping) {
		admin_error(a, "another capture runs; there is one at a time");
		return;
	}
	cap = calloc(1, sizeof(*cap));
	if (!cap) {
		admin_error(a, "no memory for a capture");
		return;
	}
	cap->fd = -1;
	cap->base = MAP_FAILED;
	c->capture = cap;
	cap->job.snaplen = snaplen < 1 || snaplen > CAPTURE_SNAPLEN_MAX ?
			   CAPTURE_SNAPLEN_MAX : (uint32_t)snaplen;
	if (read_program(json_string_value(json_object_get(request, "filter")),
			 cap->job.program) < 0) {
		admin_error(a, "the filter is no BPF program");
		capture_free(c);
		return;
	}
	err = map_rings(c, cap);
	if (err) {
		admin_error(a, "no memory for a capture: %s", strerror(-err));
		capture_free(c);
		return;
	}
	cap->owner = a;
	admin_hold(a);
	tell_engines(c, cap, STARTING);
}

void capture_end_request(struct admin *a, const json_t *request)
{
	struct capture *cap = a->control->capture;

	(void)request;
	if (!cap || cap->owner != a) {
		admin_error(a, "this session has no capture");
		return;
	}
	admin_hold(a);
	tell_engines(a->control, cap, STOPPING);
}
