#include "libclient/client.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/*
 * Sockets of a program that executes another, by mtcp_execve().
 *
 *	old image: head and a record a socket --> memfd, its number in IMAGE_ENV
 *	new image: mtcp_init()            the attachment is taken over
 *	           mtcp_create_context()  the sockets of the old one of that cpu,
 *	                                  under the same ids; then that one ends
 *
 * The descriptors of the attachment go along (exec.c).  What the new image makes
 * no context for is closed when it ends, or by its mtcp_destroy().
 */

#define IMAGE_ENV	"MTCPD_IMAGE"
#define IMAGE_MAGIC	0x316567616d69746dull
#define SOCKETS_MAX	(1u << 24)

struct image_head {
	uint64_t magic;
	uint32_t head_bytes, socket_bytes;	/* of one release with us */
	uint32_t count, zero;
	int32_t context[CONTEXTS_MAX];	/* the daemon's number, by cpu; -1 */
	struct attach_state at;
};

struct image_socket {
	int32_t id;
	uint16_t cpu;
	uint8_t type;			/* enum slot_type */
	bool block;
	uint32_t backlog;
	struct conn_state_record c;
};

/* ---- out ---- */

static bool export_slot(struct mtcp_context *x, uint32_t id,
			struct image_socket *out)
{
	const struct slot *s = &x->ids.slot[id];
	const struct listener *l;

	memset(out, 0, sizeof(*out));
	out->id = (int32_t)id;
	out->cpu = (uint16_t)x->cpu;
	out->type = s->type;
	out->block = s->flags & SLOT_BLOCK;
	if (s->type == SLOT_STREAM)
		return conn_export(x, conn_at(&x->conns, s->obj), &out->c);
	if (s->type != SLOT_LISTENER)
		return false;
	l = x->listeners[s->obj];
	out->backlog = l->backlog;
	memcpy(out->c.local, l->addr, sizeof(out->c.local));
	out->c.local_port = l->port;
	out->c.has_opts = l->opts != NULL;
	if (l->opts)
		out->c.opts = *l->opts;
	return l->id != 0;
}

static uint32_t write_sockets(struct mtcp_context *x, int fd, uint32_t count)
{
	struct image_socket out;

	for (uint32_t id = 0; id < x->ids.used && count < SOCKETS_MAX; id++) {
		if (!export_slot(x, id, &out))
			continue;
		if (pwrite(fd, &out, sizeof(out),
			   (off_t)(sizeof(struct image_head) +
				   count * sizeof(out))) != sizeof(out))
			return count;
		count++;
	}
	return count;
}

/* All that was written and read is said. */
static void settle(struct mtcp_context *x)
{
	read_flush_all(x);
	stock_give_up(x);
	ctx_publish(x);
}

static int write_image(const struct attach *at)
{
	struct image_head h = { .magic = IMAGE_MAGIC, .head_bytes = sizeof(h),
				.socket_bytes = sizeof(struct image_socket) };
	const struct ctx_set none = { .bits = { 0 } };
	int fd = memfd_create("mtcp-image", MFD_CLOEXEC);

	if (fd < 0)
		return -errno;
	attach_export(at, &none, &h.at);
	for (uint32_t i = 0; i < CONTEXTS_MAX; i++) {
		struct mtcp_context *x = the_client.contexts[i];

		h.context[i] = -1;
		if (!x || atomic_load(&x->finished) || x->at != at)
			continue;
		settle(x);
		h.context[i] = (int32_t)x->id;
		h.count = write_sockets(x, fd, h.count);
	}
	if (pwrite(fd, &h, sizeof(h), 0) == sizeof(h))
		return fd;
	close(fd);
	return -EIO;
}

/* @envp with @ours instead of what it says about an older image. */
static char **environment(char *const envp[], char *ours)
{
	const size_t n = sizeof(IMAGE_ENV) - 1;
	size_t count = 0, kept = 0;
	char **copy;

	while (envp && envp[count])
		count++;
	copy = calloc(count + 2, sizeof(char *));
	for (size_t i = 0; copy && i < count; i++)
		if (strncmp(envp[i], IMAGE_ENV, n) || envp[i][n] != '=')
			copy[kept++] = envp[i];
	if (copy)
		copy[kept] = ours;
	return copy;
}

MTCP_PUBLIC int mtcp_execve(const char *path, char *const argv[],
			    char *const envp[])
{
	struct attach *at = the_client.inited ? the_client.now : NULL;
	char ours[sizeof(IMAGE_ENV) + 16];
	char **env;
	int fd, saved;

	if (!at || atomic_load(&at->dead))
		return execve(path, argv, envp);
	fd = write_image(at);
	if (fd < 0) {
		errno = -fd;
		return -1;
	}
	snprintf(ours, sizeof(ours), "%s=%d", IMAGE_ENV, fd);
	env = environment(envp, ours);
	errno = ENOMEM;
	if (env) {
		fcntl(fd, F_SETFD, 0);
		attach_inherit(at, true);
		execve(path, argv, env);
		saved = errno;
		attach_inherit(at, false);
		errno = saved;
	}
	saved = errno;
	free(env);
	close(fd);
	errno = saved;
	return -1;
}

/* ---- in ---- */

struct image {
	struct image_head h;
	struct image_socket sockets[];
};

static struct image *read_image(int fd)
{
	struct image_head h;
	struct image *im;
	size_t bytes;

	if (pread(fd, &h, sizeof(h), 0) != sizeof(h) ||
	    h.magic != IMAGE_MAGIC || h.head_bytes != sizeof(h) ||
	    h.socket_bytes != sizeof(struct image_socket) ||
	    h.count > SOCKETS_MAX)
		return NULL;
	bytes = h.count * sizeof(struct image_socket);
	im = malloc(sizeof(*im) + bytes);
	if (!im)
		return NULL;
	im->h = h;
	if (pread(fd, im->sockets, bytes, sizeof(h)) == (ssize_t)bytes)
		return im;
	free(im);
	return NULL;
}

void image_adopt(void)
{
	const char *text = secure_getenv(IMAGE_ENV);
	struct image *im;
	int fd;

	if (!text)
		return;
	fd = atoi(text);
	unsetenv(IMAGE_ENV);
	im = read_image(fd);
	if (!im)
		return;			/* not ours: it stays open */
	close(fd);
	if (attach_import(&im->h.at))
		free(im);
	else
		the_client.image = im;
}

static int import_listener(struct mtcp_context *x,
			   const struct image_socket *in)
{
	struct sockaddr_in sa;
	socklen_t n = sizeof(sa);
	int id = mtcp_socket(x, AF_INET, SOCK_STREAM, 0);

	if (id < 0)
		return -1;
	addr_to(in->c.local, in->c.local_port, (struct sockaddr *)&sa, &n);
	if (in->c.has_opts)
		ctx_conn(x, id)->opts = opts_copy(&in->c.opts);
	if (!mtcp_bind(x, id, (struct sockaddr *)&sa, n) &&
	    !mtcp_listen(x, id, (int)in->backlog))
		return id;
	mtcp_close(x, id);
	return -1;
}

static void import_socket(struct mtcp_context *x, const struct image_socket *in)
{
	int id;

	if (in->id < 0 || (uint32_t)in->id >= x->ids.count)
		return;
	x->ids.wanted = (uint32_t)in->id + 1;
	id = in->type == SLOT_LISTENER ? import_listener(x, in) :
					 conn_import(x, &in->c);
	x->ids.wanted = 0;
	if (id >= 0 && in->block)
		x->ids.slot[id].flags |= SLOT_BLOCK;
}

void image_import(struct mtcp_context *x)
{
	struct image *im = the_client.image;
	struct ctx_set old = { .bits = { 0 } };

	if (!im || im->h.context[x->cpu] < 0 || !x->at)
		return;
	for (uint32_t i = 0; i < im->h.count; i++)
		if (im->sockets[i].cpu == x->cpu)
			import_socket(x, &im->sockets[i]);
	conns_settle(x);
	ctx_set_add(&old, (uint32_t)im->h.context[x->cpu]);
	attach_end_contexts(x, &old);
	im->h.context[x->cpu] = -1;
}
