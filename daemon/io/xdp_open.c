/*
 * xdp_open.c - making and ending xdp ports (port_xdp.c)
 *
 * Order: look at the device, make queues and memory, attach the program (its
 * map of sockets is empty, so all still passes to the kernel), make a socket a
 * device queue and put it into the map, name the addresses last.
 */
#include <errno.h>
#include <linux/if_xdp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/line.h"
#include "base/log.h"
#include "io/port_xdp.h"

#define TAKEN_TRIES	40	/* for a queue that has a socket ... */
#define TAKEN_GAP_US	50000	/* ... so long apart */
#define FRAMES_LOG2	12u		/* a queue, default */
#define USE_SG		(1u << 4)	/* XDP_USE_SG, Linux 6.6 */
#define OPT_TX_BUDGET	9		/* XDP_MAX_TX_SKB_BUDGET, Linux 6.18 */

static int check_mtu(struct xdp_port *p, const struct port_config *cfg,
		     char *err)
{
	uint32_t mtu = cfg->mtu ? cfg->mtu : p->dev.mtu;

	if (mtu > p->dev.mtu) {
		snprintf(err, PORT_ERR_BYTES, "port %s: mtu %u, but %s has %u: "
			 "'ip link set %s mtu %u' first", cfg->name, mtu,
			 p->dev.name, p->dev.mtu, p->dev.name, mtu);
		return -EINVAL;
	}
	if (mtu > XDP_JUMBO_MAX || mtu < 68) {
		snprintf(err, PORT_ERR_BYTES, "port %s: an mtu of %u on %s: "
			 "xdp takes 68 to %u: set mtu in the port's section",
			 cfg->name, mtu, p->dev.name, XDP_JUMBO_MAX);
		return -EINVAL;
	}
	p->port.mtu = mtu;
	p->jumbo = mtu > XDP_MTU_MAX;
	return 0;
}

static int make_memory(struct xdp_port *p, const struct port_config *cfg)
{
	size_t chunks;

	p->per_queue = 1u << (cfg->frames_log2 ? cfg->frames_log2 : FRAMES_LOG2);
	chunks = (size_t)p->per_queue * cfg->queues;
	p->frames = calloc(chunks, sizeof(*p->frames));
	if (!p->frames)
		return -ENOMEM;
	p->bytes = chunks << XDP_CHUNK_SHIFT;
	p->memory = mmap(NULL, p->bytes, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p->memory == MAP_FAILED) {
		p->memory = NULL;
		return -ENOMEM;
	}
	madvise(p->memory, p->bytes, MADV_HUGEPAGE);	/* a wish */
	return p->jumbo ? xdp_jumbo_make(p, cfg->queues) : 0;
}

static int handover_init(struct handover *h, uint32_t slots)
{
	h->slot = calloc(slots, sizeof(struct frame *));
	h->mask = slots - 1;
	return h->slot ? 0 : -ENOMEM;
}

/* Queue @i sends through the owner of device queue i mod their number. */
static int join_owner(struct xdp_queue *q)
{
	struct xdp_port *p = q->p;
	struct xdp_queue *o = xq(p->port.queues[q->q.index % p->dev.rx_queues]);

	q->owner = o;
	/* Room for all chunks and jumbos of this queue. */
	if (handover_init(&q->to_owner, 2 * p->per_queue) ||
	    handover_init(&q->back, 2 * p->per_queue))
		return -ENOMEM;
	if (!o->client_count) {
		o->bell = line_alloc(sizeof(*o->bell));
		o->bell_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		if (!o->bell || o->bell_fd < 0)
			return -ENOMEM;
	}
	o->clients[o->client_count++] = q;
	return 0;
}

static int make_queue(struct xdp_port *p, uint16_t index, uint16_t queues)
{
	const uint32_t devq = p->dev.rx_queues;
	struct xdp_queue *q = line_alloc(sizeof(*q));

	if (!q)
		return -ENOMEM;
	q->q.port = &p->port;
	q->q.index = index;
	q->p = p;
	q->bell_fd = -1;
	p->port.queues[index] = &q->q;
	p->port.queue_count++;
	for (uint32_t i = p->per_queue; i--;)
		xdp_chunk_put(q, &p->frames[index * p->per_queue + i]);
	if (p->jumbo)
		xdp_jumbo_give(q);
	if (index >= devq)
		return join_owner(q);
	q->xsk_count = (devq - index + queues - 1) / queues;
	q->xsks = calloc(q->xsk_count, sizeof(*q->xsks));
	return q->xsks ? 0 : -ENOMEM;
}

static int explain_socket(const struct xdp_port *p, uint32_t devq, int rc,
			  char *err)
{
	const char *dev = p->dev.name;

	if (rc == -EINVAL && p->jumbo)
		snprintf(err, PORT_ERR_BYTES, "%s: an mtu of %u needs frames "
			 "in several buffers, which this kernel does not offer "
			 "(Linux 6.6): set mtu to %u or less in the port's "
			 "section", dev, p->port.mtu, XDP_MTU_MAX);
	else if (rc == -EPERM)
		snprintf(err, PORT_ERR_BYTES, "%s: no right to an AF_XDP "
			 "socket: mtcpd needs CAP_NET_RAW (start it as root "
			 "or by its service)", dev);
	else if (rc == -EBUSY)
		snprintf(err, PORT_ERR_BYTES, "%s: another AF_XDP socket has "
			 "rx queue %u: end its owner", dev, devq);
	else if (rc == -ENOBUFS || rc == -ENOMEM)
		snprintf(err, PORT_ERR_BYTES, "%s: %zu KiB of packet memory "
			 "cannot be locked: raise LimitMEMLOCK ('ulimit -l') "
			 "or lower frames", dev, p->bytes >> 10);
	else
		snprintf(err, PORT_ERR_BYTES, "%s: AF_XDP socket on rx queue "
			 "%u: %s", dev, devq, strerror(-rc));
	return rc;
}

static int make_umem(struct xdp_port *p, struct xsk *first)
{
	const struct xsk_umem_config cfg = {
		.fill_size = XDP_RING, .comp_size = XDP_RING,
		.frame_size = XDP_CHUNK,
	};
	const struct rlimit all = { RLIM_INFINITY, RLIM_INFINITY };

	/* Without the right to, the limit stays and may still do. */
	setrlimit(RLIMIT_MEMLOCK, &all);
	return xsk_umem__create(&p->umem, p->memory, p->bytes, &first->fill,
				&first->comp, &cfg);
}

static void prefill(struct xdp_queue *q, struct xsk *x)
{
	uint32_t n = q->p->per_queue / 2 / q->xsk_count;

	x->unfilled = n < XDP_RING ? n : XDP_RING;
	xdp_refill(q, x);
}

static int make_socket(struct xdp_port *p, struct xdp_queue *q, struct xsk *x,
		       uint32_t devq)
{
	const struct xsk_socket_config cfg = {
		.rx_size = XDP_RING, .tx_size = XDP_RING,
		.libxdp_flags = XSK_LIBXDP_FLAGS__INHIBIT_PROG_LOAD,
		.bind_flags = (uint16_t)p->bind_flags,
	};
	const int budget = XDP_RING / 2;
	int rc = p->umem ? 0 : make_umem(p, x);

	if (!rc)
		rc = xsk_socket__create_shared(&x->socket, p->dev.name, devq,
					       p->umem, &x->rx, &x->tx,
					       &x->fill, &x->comp, &cfg);
	if (rc)
		return rc;
	x->fd = xsk_socket__fd(x->socket);
	/* Older kernels do without: kick() loops. */
	setsockopt(x->fd, SOL_XDP, OPT_TX_BUDGET, &budget, sizeof(budget));
	prefill(q, x);
	return xdp_prog_set_socket(&p->prog, devq, x->fd);
}

static int make_sockets(struct xdp_port *p, const struct port_config *cfg,
			char *err)
{
	int rc;

	p->bind_flags = XDP_USE_NEED_WAKEUP;
	if (p->jumbo)
		p->bind_flags |= USE_SG;
	/* Without a wish the kernel takes zero-copy where it can. */
	if (cfg->force_copy || !p->prog.native)
		p->bind_flags |= XDP_COPY;
	for (uint32_t d = 0; d < p->dev.rx_queues; d++) {
		struct xdp_queue *q = xq(p->port.queues[d % cfg->queues]);

		rc = make_socket(p, q, &q->xsks[d / cfg->queues], d);
		if (rc)
			return explain_socket(p, d, rc, err);
	}
	return 0;
}

static void describe(struct xdp_port *p, const struct port_config *cfg)
{
	static const uint8_t none[6];
	struct xdp_options opt = { 0 };
	socklen_t len = sizeof(opt);
	const int fd = xq(p->port.queues[0])->xsks[0].fd;

	memcpy(p->port.mac, memcmp(cfg->mac, none, 6) ? cfg->mac : p->dev.mac, 6);
	getsockopt(fd, SOL_XDP, XDP_OPTIONS, &opt, &len);
	snprintf(p->port.mode, sizeof(p->port.mode), "AF_XDP %s, %s, %u rx",
		 p->prog.native ? "native" : "generic",
		 opt.flags & XDP_OPTIONS_ZEROCOPY ? "zero-copy" : "copy",
		 p->dev.rx_queues);
	if (cfg->zero_copy && !(opt.flags & XDP_OPTIONS_ZEROCOPY))
		log_info("port %s: %s cannot do zero-copy: frames are copied",
			 cfg->name, p->dev.name);
}

static void end_queue(struct xdp_queue *q)
{
	for (uint32_t i = 0; i < q->xsk_count; i++)
		if (q->xsks && q->xsks[i].socket)
			xsk_socket__delete(q->xsks[i].socket);
	if (q->bell_fd >= 0)
		close(q->bell_fd);
	free(q->bell);
	free(q->to_owner.slot);
	free(q->back.slot);
	free(q->xsks);
	free(q);
}

/* Also of a port that is half open. */
void xdp_close(struct port *port)
{
	struct xdp_port *p = (struct xdp_port *)port;

	xdp_heard_close(p);
	xdp_prog_detach(&p->prog);
	for (int i = 0; i < port->queue_count; i++)
		end_queue(xq(port->queues[i]));
	if (p->umem)
		xsk_umem__delete(p->umem);
	if (p->memory)
		munmap(p->memory, p->bytes);
	free(p->frames);
	xdp_jumbo_end(p);
	free(p);
}

static int make_queues(struct xdp_port *p, const struct port_config *cfg,
		       char *err)
{
	int rc = make_memory(p, cfg);

	for (uint16_t i = 0; i < cfg->queues && !rc; i++)
		rc = make_queue(p, i, cfg->queues);
	if (rc)
		snprintf(err, PORT_ERR_BYTES, "port %s: no memory for %u "
			 "queues of %u frames", cfg->name, cfg->queues,
			 p->per_queue);
	return rc;
}

/* @taken: a queue has a socket already. */
static int open_once(struct port **out, const struct port_config *cfg,
		     char *err, bool *taken)
{
	struct xdp_port *p = calloc(1, sizeof(*p));
	int rc;

	if (!p)
		return -ENOMEM;
	p->prog.link = -1;
	rc = xdp_device_query(&p->dev, cfg->device, err);
	if (!rc)
		rc = check_mtu(p, cfg, err);
	if (!rc && !cfg->share && xdp_device_raise(cfg->device))
		log_info("port %s: %s was down, and is up now", cfg->name,
			 cfg->device);
	if (!rc)
		rc = make_queues(p, cfg, err);
	if (!rc)
		/* Drivers refuse a program that takes no frames in several
		 * buffers where the device's MTU allows such. */
		rc = xdp_prog_attach(&p->prog, &p->dev,
				     p->dev.mtu > XDP_MTU_MAX, err);
	if (!rc)
		rc = xdp_heard_open(p, err);
	if (!rc)
		*taken = (rc = make_sockets(p, cfg, err)) == -EBUSY;
	p->prog.shared = cfg->share;
	if (!rc && (rc = xdp_prog_set_addrs(&p->prog, cfg->addrs,
					    cfg->addr_count)))
		snprintf(err, PORT_ERR_BYTES, "port %s: too many addresses",
			 cfg->name);
	if (rc) {
		xdp_close(&p->port);
		return rc;
	}
	describe(p, cfg);
	*out = &p->port;
	return 0;
}

/* The kernel lets go of a queue some time after its socket is closed, or its
 * owner killed: a daemon that is started again waits for it. */
int xdp_open(struct port **out, const struct port_config *cfg, char *err)
{
	bool taken = false;
	int rc = open_once(out, cfg, err, &taken);

	for (int i = 0; i < TAKEN_TRIES && rc && taken; i++) {
		usleep(TAKEN_GAP_US);
		taken = false;
		rc = open_once(out, cfg, err, &taken);
	}
	return rc;
}
