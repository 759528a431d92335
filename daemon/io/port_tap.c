/*
 * port_tap.c - a TAP device: mtcpd on one end, the kernel on the other
 *
 *	mtcpd's stack  <-- read/write -->  tapN  <-- the kernel's stack
 *	our MAC (made up)                  its own MAC, address, routes
 *
 * The device is made if it is absent and goes with the daemon.  Its other end
 * is an ordinary kernel interface, configured by the administrator:
 * `ip addr add 10.1.0.1/24 dev tap0; ip link set tap0 up`.
 *
 * Every frame goes with a struct virtio_net_hdr (IFF_VNET_HDR), so that sums
 * need not be made between two stacks of one machine, the kernel may hand us
 * TCP uncut up to 64 KiB, and cuts ours (TSO).
 *
 * Queues    IFF_MULTI_QUEUE: one descriptor each; the kernel sends a flow to
 *           the queue that last sent for it, else by its own hash.
 * System calls  One a frame, plus one read that finds nothing; a call of
 *           port_rx() reads at most its max.
 * Trust     The header comes from our kernel; its offsets are not used.
 * Threads   Each queue, its buffers and descriptor: its engine.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/line.h"
#include "io/drivers.h"

#define FRAMES_LOG2	10u		/* a queue, default */
#define TSO_MAX		65535u		/* IP bytes uncut */
#define ETH_BYTES	18u
/* Not a power of two, so that buffers spread over the cache's sets. */
#define STRIDE		((FRAME_HEADROOM + ETH_BYTES + TSO_MAX + 127u) & ~63u)

struct tap_queue {
	struct port_queue q;	/* first: queues are cast */
	struct tap_port *p;
	uint8_t *memory;
	struct frame *frames;
	struct frame *free;
	int fd;
};

struct tap_port {
	struct port port;	/* first: ports are cast */
	uint32_t frames;	/* a queue */
	char name[IFNAMSIZ];
};

static struct tap_queue *tq(struct port_queue *q)
{
	return (struct tap_queue *)q;
}

/* ---- buffers ---- */

static void frame_put(struct tap_queue *q, struct frame *f)
{
	f->next = q->free;
	q->free = f;
}

static struct frame *frame_get(struct tap_queue *q)
{
	struct frame *f = q->free;
	size_t index;

	if (!f)
		return NULL;
	q->free = f->next;
	index = (size_t)(f - q->frames);
	*f = (struct frame){
		.data = q->memory + index * STRIDE + FRAME_HEADROOM,
		.room = STRIDE - FRAME_HEADROOM,
		.port = q->p->port.id,
		.queue = (uint8_t)q->q.index,
		.token = index,
	};
	return f;
}

static int tap_alloc(struct port_queue *pq, struct frame **f, int count)
{
	int n = 0;

	while (n < count && (f[n] = frame_get(tq(pq))))
		n++;
	if (n < count)
		counter_add(&pq->stats.no_frame, 1);
	return n;
}

static void tap_free(struct port_queue *pq, struct frame **f, int count)
{
	for (int i = 0; i < count; i++)
		frame_put(tq(pq), f[i]);
}

/* ---- receiving ---- */

/* Bytes of the frame, or 0: nothing there. */
static uint32_t read_frame(struct tap_queue *q, struct frame *f)
{
	struct virtio_net_hdr h;
	struct iovec iov[2] = {
		{ .iov_base = &h, .iov_len = sizeof(h) },
		{ .iov_base = f->data, .iov_len = f->room },
	};
	ssize_t got;

	counter_add(&q->q.stats.syscalls, 1);
	got = readv(q->fd, iov, 2);
	if (got <= (ssize_t)sizeof(h))
		return 0;
	/* A sum still to be made, or one that was checked, is as good as right:
	 * the frame has not left this machine. */
	if (h.flags & (VIRTIO_NET_HDR_F_NEEDS_CSUM | VIRTIO_NET_HDR_F_DATA_VALID))
		f->flags = FRAME_CSUM_OK;
	return (uint32_t)((size_t)got - sizeof(h));
}

static int tap_rx(struct port_queue *pq, struct frame **f, int max, mono_t now)
{
	struct tap_queue *q = tq(pq);
	uint64_t bytes = 0;
	int n = 0;

	(void)now;
	while (n < max && (f[n] = frame_get(q))) {
		f[n]->len = read_frame(q, f[n]);
		if (!f[n]->len) {
			frame_put(q, f[n]);
			break;
		}
		bytes += f[n++]->len;
	}
	if (n) {
		counter_add(&pq->stats.rx_frames, (uint64_t)n);
		counter_add(&pq->stats.rx_bytes, bytes);
	}
	return n;
}

/* ---- sending ---- */

static struct virtio_net_hdr header_of(const struct frame *f)
{
	struct virtio_net_hdr h = { 0 };

	if (f->flags & FRAME_CSUM_PARTIAL) {
		h.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
		h.csum_start = f->csum_start;
		h.csum_offset = f->csum_offset;
	}
	/* Cutting makes sums anew, so it needs a partial one; the headers end
	 * where the TCP header does (RFC 9293 3.1: data offset in words). */
	if (f->gso_size && (f->flags & FRAME_CSUM_PARTIAL) &&
	    f->csum_start + 20u <= f->len) {
		uint32_t tcp = (f->data[f->csum_start + 12] >> 4) * 4u;

		if (f->len > f->csum_start + tcp + f->gso_size) {
			h.gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
			h.gso_size = f->gso_size;
			h.hdr_len = (uint16_t)(f->csum_start + tcp);
		}
	}
	return h;
}

static bool write_frame(struct tap_queue *q, const struct frame *f)
{
	struct virtio_net_hdr h = header_of(f);
	struct iovec iov[2] = {
		{ .iov_base = &h, .iov_len = sizeof(h) },
		{ .iov_base = f->data, .iov_len = f->len },
	};
	uint32_t most = h.gso_size ? TSO_MAX : q->p->port.mtu;

	if (f->len < 14 || f->len > most + ETH_BYTES)
		return false;
	counter_add(&q->q.stats.syscalls, 1);
	/* EIO: the device is down; the kernel takes nothing. */
	return writev(q->fd, iov, 2) >= 0;
}

static void tap_tx(struct port_queue *pq, struct frame **f, int count,
		   mono_t now)
{
	struct tap_queue *q = tq(pq);

	(void)now;
	for (int i = 0; i < count; i++) {
		if (write_frame(q, f[i])) {
			counter_add(&pq->stats.tx_frames, 1);
			counter_add(&pq->stats.tx_bytes, f[i]->len);
		} else {
			counter_add(&pq->stats.tx_dropped, 1);
		}
		frame_put(q, f[i]);
	}
}

static void tap_flush(struct port_queue *pq, mono_t now)
{
	(void)pq;		/* tap_tx() has written all */
	(void)now;
}

/* ---- sleeping ---- */

static int tap_arm(struct port_queue *pq, int *fds, int max)
{
	struct tap_queue *q = tq(pq);
	struct pollfd p = { .fd = q->fd, .events = POLLIN };

	/* The descriptor is level-triggered, so there is no race to lose; the
	 * look spares the caller the preparations for a sleep. */
	counter_add(&pq->stats.syscalls, 1);
	if (poll(&p, 1, 0) > 0 && (p.revents & POLLIN))
		return -EAGAIN;
	if (max < 1)
		return 0;
	fds[0] = q->fd;
	return 1;
}

static mono_t tap_next_due(struct port_queue *pq)
{
	(void)pq;
	return MONO_NEVER;
}

static bool tap_link_up(struct port *port)
{
	struct ifreq r = { 0 };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), rc;

	if (fd < 0)
		return true;	/* cannot tell */
	memcpy(r.ifr_name, ((struct tap_port *)port)->name, IFNAMSIZ);
	rc = ioctl(fd, SIOCGIFFLAGS, &r);
	close(fd);
	return rc == 0 && (r.ifr_flags & IFF_UP);
}

/* ---- opening ---- */

static int explain(const struct port_config *cfg, const char *what, char *err)
{
	const int rc = -errno;

	if (rc == -EPERM || rc == -EACCES)
		snprintf(err, PORT_ERR_BYTES, "port %s: no right to make tap "
			 "device %s: mtcpd needs CAP_NET_ADMIN", cfg->name,
			 cfg->device);
	else if (rc == -EBUSY)
		snprintf(err, PORT_ERR_BYTES, "port %s: tap device %s is in "
			 "use by another program", cfg->name, cfg->device);
	else if (rc == -ENOENT || rc == -ENODEV || rc == -ENXIO)
		snprintf(err, PORT_ERR_BYTES, "port %s: %s: %s: the kernel has "
			 "no TUN/TAP driver (modprobe tun)", cfg->name, what,
			 strerror(-rc));
	else if (rc == -EINVAL)
		snprintf(err, PORT_ERR_BYTES, "port %s: %.15s is no tap device "
			 "with several queues: choose another name, or delete "
			 "it with 'ip link del %.15s'", cfg->name, cfg->device,
			 cfg->device);
	else
		snprintf(err, PORT_ERR_BYTES, "port %s: tap %s: %s: %s",
			 cfg->name, cfg->device, what, strerror(-rc));
	return rc;
}

static int set_iff(struct tap_queue *q, int more)
{
	struct ifreq r = { 0 };

	r.ifr_flags = (short)(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR |
			      IFF_MULTI_QUEUE | more);
	memcpy(r.ifr_name, q->p->name, IFNAMSIZ);
	if (ioctl(q->fd, TUNSETIFF, &r))
		return -1;
	memcpy(q->p->name, r.ifr_name, IFNAMSIZ);
	return 0;
}

/*
 * The first queue makes the device.  One that is there may be taken over if it
 * was made to persist; else it lives by another program's descriptors, which
 * would go on taking their share of the frames.
 */
static int claim_device(struct tap_queue *q)
{
	struct ifreq r = { 0 };

	if (!set_iff(q, IFF_TUN_EXCL))
		return 0;
	if (errno != EBUSY || set_iff(q, 0) || ioctl(q->fd, TUNGETIFF, &r))
		return -1;
	if (r.ifr_flags & IFF_PERSIST)
		return 0;
	errno = EBUSY;
	return -1;
}

static int open_fd(struct tap_queue *q, const struct port_config *cfg,
		   char *err)
{
	int header = sizeof(struct virtio_net_hdr);

	q->fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (q->fd < 0)
		return explain(cfg, "/dev/net/tun", err);
	if (q->q.index == 0 ? claim_device(q) : set_iff(q, 0))
		return explain(cfg, "TUNSETIFF", err);
	if (ioctl(q->fd, TUNSETVNETHDRSZ, &header) ||
	    ioctl(q->fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4))
		return explain(cfg, "offloads", err);
	return 0;
}

static int make_queue(struct tap_port *p, uint16_t index,
		      const struct port_config *cfg, char *err)
{
	struct tap_queue *q = line_alloc(sizeof(*q));

	snprintf(err, PORT_ERR_BYTES, "port %s: no memory for %u frames",
		 cfg->name, p->frames);
	if (!q)
		return -ENOMEM;
	q->q.port = &p->port;
	q->q.index = index;
	q->p = p;
	q->fd = -1;
	p->port.queues[index] = &q->q;
	p->port.queue_count++;
	q->frames = calloc(p->frames, sizeof(*q->frames));
	q->memory = mmap(NULL, (size_t)p->frames * STRIDE,
			 PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (q->memory == MAP_FAILED)
		q->memory = NULL;
	if (!q->frames || !q->memory)
		return -ENOMEM;
	for (uint32_t i = p->frames; i--;)
		frame_put(q, &q->frames[i]);
	return open_fd(q, cfg, err);
}

/* Sets the kernel's end to @mtu, or takes its own. */
static int agree_on_mtu(struct tap_port *p, const struct port_config *cfg,
			char *err)
{
	struct ifreq r = { 0 };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), rc;

	if (fd < 0)
		return explain(cfg, "socket", err);
	memcpy(r.ifr_name, p->name, IFNAMSIZ);
	r.ifr_mtu = (int)cfg->mtu;
	rc = ioctl(fd, cfg->mtu ? SIOCSIFMTU : SIOCGIFMTU, &r);
	if (rc)
		rc = explain(cfg, "mtu", err);
	close(fd);
	p->port.mtu = (uint32_t)r.ifr_mtu;
	return rc;
}

/* Locally administered, and the same after every start (FNV-1a). */
static void make_up_mac(uint8_t mac[6], const char *name)
{
	uint64_t h = 14695981039346656037ull;

	for (; *name; name++)
		h = (h ^ (uint8_t)*name) * 1099511628211ull;
	for (int i = 0; i < 6; i++)
		mac[i] = (uint8_t)(h >> (8 * i));
	mac[0] = (uint8_t)((mac[0] & 0xfc) | 2);
}

/* Also of a port that is half open. */
static void tap_close(struct port *port)
{
	struct tap_port *p = (struct tap_port *)port;

	for (int i = 0; i < port->queue_count; i++) {
		struct tap_queue *q = tq(port->queues[i]);

		if (q->fd >= 0)
			close(q->fd);
		if (q->memory)
			munmap(q->memory, (size_t)p->frames * STRIDE);
		free(q->frames);
		free(q);
	}
	free(p);
}

static void describe(struct tap_port *p, const struct port_config *cfg)
{
	static const uint8_t none[6];

	p->port.caps = PORT_RX_CSUM | PORT_TX_CSUM | PORT_TSO;
	p->port.tso_max_bytes = TSO_MAX;
	if (memcmp(cfg->mac, none, 6))
		memcpy(p->port.mac, cfg->mac, 6);
	else
		make_up_mac(p->port.mac, p->name);
	snprintf(p->port.mode, sizeof(p->port.mode), "tap, vnet header, tso");
}

static int tap_open(struct port **out, const struct port_config *cfg, char *err)
{
	struct tap_port *p;
	int rc = 0;

	if (strlen(cfg->device) >= IFNAMSIZ) {
		snprintf(err, PORT_ERR_BYTES, "port %s: device '%s': a name "
			 "has at most %d characters", cfg->name, cfg->device,
			 IFNAMSIZ - 1);
		return -EINVAL;
	}
	p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	snprintf(p->name, sizeof(p->name), "%.15s", cfg->device);
	p->frames = 1u << (cfg->frames_log2 ? cfg->frames_log2 : FRAMES_LOG2);
	for (uint16_t i = 0; i < cfg->queues && !rc; i++)
		rc = make_queue(p, i, cfg, err);
	if (!rc)
		rc = agree_on_mtu(p, cfg, err);
	if (rc) {
		tap_close(&p->port);
		return rc;
	}
	err[0] = '\0';
	describe(p, cfg);
	*out = &p->port;
	return 0;
}

const struct port_ops port_tap_ops = {
	.driver = "tap",
	.open = tap_open,
	.close = tap_close,
	.rx = tap_rx,
	.alloc = tap_alloc,
	.free = tap_free,
	.tx = tap_tx,
	.flush = tap_flush,
	.arm = tap_arm,
	.next_due = tap_next_due,
	.link_up = tap_link_up,
};
