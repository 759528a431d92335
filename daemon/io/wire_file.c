/* wire_file.c - preparing, joining and leaving a wire's file (wire_file.h) */
#include "wire_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shm/ring.h"

#define WIRE_MAGIC	0x4d545752u	/* "MTWR" */
#define WIRE_VERSION	1u
#define FRAMES_LOG2	12u		/* default; with tso 10 */
#define QMAX		PORT_QUEUES_MAX

/* ---- where things are ---- */

static size_t ring_stride(const struct wire_geometry *g)
{
	return ring_bytes(g->frames);
}

static size_t rings_at(void)
{
	return (sizeof(struct wire_header) + 4095u) & ~(size_t)4095u;
}

void *wire_file_ring(const struct wire_file *w, int kind, int end, int i,
		     int j)
{
	size_t number = (size_t)(((kind * 2 + end) * QMAX + i) * QMAX + j);

	return (uint8_t *)w->hdr + rings_at() + number * ring_stride(&w->geo);
}

static size_t buffers_at(const struct wire_geometry *g)
{
	return rings_at() + 4 * QMAX * QMAX * ring_stride(g);
}

uint8_t *wire_file_buffer(const struct wire_file *w, int end, int queue,
			  uint32_t index)
{
	size_t number = (size_t)(end * QMAX + queue) * w->geo.frames + index;

	return (uint8_t *)w->hdr + buffers_at(&w->geo) +
	       number * w->geo.stride;
}

static size_t file_bytes(const struct wire_geometry *g)
{
	return buffers_at(g) + (size_t)2 * QMAX * g->frames * g->stride;
}

int wire_file_bell(const struct wire_file *w, int end, int queue)
{
	char path[80];

	snprintf(path, sizeof(path), "%s.%c%d", w->path, 'a' + end, queue);
	if (mkfifo(path, 0600) && errno != EEXIST)
		return -1;
	/* Reading and writing: neither end waits for the other here. */
	return open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
}

/* ---- opening ---- */

static int parse_device(struct wire_file *w, const struct port_config *cfg,
			char *err)
{
	const char *colon = strrchr(cfg->device, ':');
	const char *opt = colon ? strchr(colon, ',') : NULL;

	w->geo.caps = PORT_RX_CSUM | PORT_TX_CSUM;
	if (!colon || colon == cfg->device || (colon[1] != 'a' && colon[1] != 'b')
	    || (colon[2] && colon[2] != ','))
		goto bad;
	w->end = colon[1] - 'a';
	snprintf(w->path, sizeof(w->path), "%.*s", (int)(colon - cfg->device),
		 cfg->device);
	for (; opt; opt = strchr(opt + 1, ',')) {
		size_t len = strcspn(opt + 1, ",");

		if (len == 6 && !strncmp(opt + 1, "nocsum", 6))
			w->geo.caps &= ~(uint32_t)(PORT_RX_CSUM | PORT_TX_CSUM);
		else if (len == 3 && !strncmp(opt + 1, "tso", 3))
			w->geo.caps |= PORT_TSO;
		else
			goto bad;
	}
	return 0;
bad:
	snprintf(err, PORT_ERR_BYTES, "port %s: wire device '%s': write PATH:a "
		 "or PATH:b, then ,nocsum or ,tso if wanted",
		 cfg->name, cfg->device);
	return -EINVAL;
}

static int set_geometry(struct wire_file *w, const struct port_config *cfg,
			char *err)
{
	struct wire_geometry *g = &w->geo;
	uint32_t log2 = cfg->frames_log2, ip;

	if (!log2)
		log2 = g->caps & PORT_TSO ? FRAMES_LOG2 - 2 : FRAMES_LOG2;
	g->magic = WIRE_MAGIC;
	g->version = WIRE_VERSION;
	g->mtu = cfg->mtu ? cfg->mtu : 1500;
	if (g->mtu < 68 || g->mtu > WIRE_TSO_MAX || log2 > 16) {
		snprintf(err, PORT_ERR_BYTES, "port %s: a wire's MTU is 68 to "
			 "%u and its frames_log2 at most 16",
			 cfg->name, WIRE_TSO_MAX);
		return -EINVAL;
	}
	g->frames = 1u << log2;
	ip = g->caps & PORT_TSO ? WIRE_TSO_MAX : g->mtu;
	g->stride = (FRAME_HEADROOM + WIRE_ETH_BYTES + ip + 63u) & ~63u;
	if (g->stride < 2112)	/* not a power of two: spreads over the cache */
		g->stride = 2112;
	return 0;
}

/* Byte @at of the file: 0 and 1 the ends' ownership, 2 initialization. */
static int lock_byte(int fd, int at, int type, int how)
{
	struct flock l = { .l_type = (short)type, .l_whence = SEEK_SET,
			   .l_start = at, .l_len = 1 };

	return fcntl(fd, how, &l) ? -errno : 0;
}

/* Under the initialization lock: a usable file, or the reason why not. */
static int prepare_file(struct wire_file *w, const char *name, char *err)
{
	struct wire_geometry there = { 0 };
	ssize_t got;

	if (lock_byte(w->fd, w->end, F_WRLCK, F_OFD_SETLK)) {
		snprintf(err, PORT_ERR_BYTES, "port %s: end %c of wire %s is "
			 "in use by another process", name, 'a' + w->end,
			 w->path);
		return -EBUSY;
	}
	got = pread(w->fd, &there, sizeof(there), 0);
	if (got == (ssize_t)sizeof(there) &&
	    !memcmp(&there, &w->geo, sizeof(there)))
		return 0;
	if (got > 0 && lock_byte(w->fd, !w->end, F_WRLCK, F_OFD_SETLK)) {
		snprintf(err, PORT_ERR_BYTES, "port %s: the other end of wire "
			 "%s has other options, mtu or frames_log2: make them "
			 "equal", name, w->path);
		return -EINVAL;
	}
	if (got > 0)
		lock_byte(w->fd, !w->end, F_UNLCK, F_OFD_SETLK);
	if (ftruncate(w->fd, 0) || ftruncate(w->fd, (off_t)file_bytes(&w->geo)) ||
	    pwrite(w->fd, &w->geo, sizeof(w->geo), 0) != sizeof(w->geo)) {
		snprintf(err, PORT_ERR_BYTES, "port %s: wire %s: %s", name,
			 w->path, strerror(errno));
		return -errno;
	}
	return 0;
}

static int map_file(struct wire_file *w, const char *name, char *err)
{
	int rc;

	w->fd = open(w->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (w->fd < 0) {
		rc = -errno;
		snprintf(err, PORT_ERR_BYTES, "port %s: wire %s: %s: name a "
			 "file in /dev/shm", name, w->path, strerror(errno));
		return rc;
	}
	lock_byte(w->fd, 2, F_WRLCK, F_OFD_SETLKW);
	rc = prepare_file(w, name, err);
	lock_byte(w->fd, 2, F_UNLCK, F_OFD_SETLK);
	if (rc)
		return rc;
	w->bytes = file_bytes(&w->geo);
	w->hdr = mmap(NULL, w->bytes, PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_NORESERVE, w->fd, 0);
	if (w->hdr == MAP_FAILED) {
		rc = -errno;
		w->hdr = NULL;
		snprintf(err, PORT_ERR_BYTES, "port %s: mapping wire %s: %s",
			 name, w->path, strerror(errno));
		return rc;
	}
	return 0;
}

int wire_file_open(struct wire_file *w, const struct port_config *cfg,
		   char *err)
{
	int rc;

	memset(w, 0, sizeof(*w));
	w->fd = -1;
	rc = parse_device(w, cfg, err);
	if (!rc)
		rc = set_geometry(w, cfg, err);
	if (!rc)
		rc = map_file(w, cfg->name, err);
	return rc;
}

static void unlink_wire(const struct wire_file *w)
{
	char path[80];

	for (int i = 0; i < 2 * QMAX; i++) {
		snprintf(path, sizeof(path), "%s.%c%d", w->path,
			 'a' + i / QMAX, i % QMAX);
		unlink(path);
	}
	unlink(w->path);
}

void wire_file_close(struct wire_file *w)
{
	/* The last one out: nobody holds the other end's lock. */
	if (w->hdr && !lock_byte(w->fd, !w->end, F_WRLCK, F_OFD_SETLK))
		unlink_wire(w);
	if (w->hdr)
		munmap(w->hdr, w->bytes);
	if (w->fd >= 0)
		close(w->fd);
}
