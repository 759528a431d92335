/*
 * port_psio.c - the Intel 82599 through ps_ixgbe and libps
 *
 *	chip --rx ring--> psio_rx --whose?--> engine		in place
 *	                             `------> xgeN, the kernel	slow path
 *	engine --frame--> psio_tx --slots--> chip		in place
 *	clients' blocks ------------lent---> chip		in place
 *
 * A frame to be sent lies in a run of neighbouring buffers, so that one to be
 * cut by the chip (TSO) is written in one piece and goes out as slots.  A
 * received frame is a buffer; one that came in several is put together in a
 * run.  The chip verifies and makes checksums, cuts, and spreads flows over
 * the queues by the hash that the engines use.  Where the port has a VLAN the
 * chip tags what is sent; a tag of ours is taken off what comes, and all other
 * frames are the kernel's with their tags as they are.
 *
 * System calls  One a loop at most in each direction while there is traffic:
 *           received buffers are brought, what was sent is flushed.  A look
 *           that finds nothing reads the chip's ring and makes none.
 * Away      When the device goes (unbound, unplugged), the port stays, down:
 *           frames that are held stay valid, what is sent is dropped and
 *           counted, and once a second the device is looked for by its PCI
 *           address and taken back.
 * Threads   Each queue: its engine.
 */
#include <errno.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/line.h"
#include "base/log.h"
#include "io/drivers.h"
#include "io/port_psio.h"

#define SLOTS_LOG2	10u	/* of a hardware ring, default */

static struct psio_life *life_of(struct psio_queue *q, const struct frame *f)
{
	uint32_t serial = (uint32_t)(f->token >> 32);
	struct psio_life *l = q->now;

	if (l && l->serial == serial)
		return l;
	for (l = q->old; l && l->serial != serial;)
		l = l->older;
	return l;
}

static bool is_run(const struct psio_life *l, const struct frame *f)
{
	return psio_buf(f) >= l->first;
}

/* Empty, as port_alloc() hands it out. */
static void fresh(const struct psio_queue *q, const struct psio_life *l,
		  struct frame *f)
{
	f->port = q->p->port.id;	/* not known yet when they are made */
	f->queue = (uint8_t)q->q.index;
	f->data = ps_buffer(l->h, psio_buf(f)) + FRAME_HEADROOM;
	f->len = 0;
	f->room = PSIO_RUN_BUFS * PS_BUF_BYTES - FRAME_HEADROOM;
	f->flags = 0;
	f->gso_size = 0;
	f->vlan = 0;
}

static struct frame *copy_of(struct psio_queue *q, const struct frame *f)
{
	struct psio_life *l = q->now;
	struct frame *c = psio_run_get(l);

	if (!c)
		return NULL;
	fresh(q, l, c);
	memcpy(c->data, f->data, f->len);
	if (f->lent)
		psio_gather((const struct psio_run *)f, c->data + f->len);
	c->len = f->len + f->lent;
	c->flags = f->flags;
	c->gso_size = f->gso_size;
	c->csum_start = f->csum_start;
	c->csum_offset = f->csum_offset;
	return c;
}

static void release(struct psio_life *l, struct frame *f)
{
	if (is_run(l, f))
		psio_run_put(l, f);
	else
		ps_give_back(l->h, psio_buf(f));
}

/* ---- the device goes and comes ---- */

static void check(struct psio_queue *q, int rc, mono_t now)
{
	if (rc == -ENODEV || rc == -ENXIO || rc == -EPROTO)
		psio_lost(q, now);
}

static bool revive(struct psio_queue *q, mono_t now)
{
	struct ps_info info;

	if (mono_before(now, q->retry))
		return false;
	q->retry = mono_add(now, PSIO_RETRY_US);
	psio_bury(q, false);
	if (psio_find(q->p, q->p->bus, &info) || psio_attach(q))
		return false;
	log_event(LOG_EV_PORT_BACK, LOG_LEVEL_INFO,
		  "port %s: queue %u: %s is back", q->p->port.name, q->q.index,
		 q->p->path);
	return true;
}

/* ---- sending ---- */

/* Of @n slots, those that come back. */
static uint32_t buffers_of(const struct ps_slot *s, uint32_t n)
{
	uint32_t own = 0;

	for (uint32_t i = 0; i < n; i++)
		own += !(s[i].flags & PS_F_REGION);
	return own;
}

/* To the chip, or with @flag to the kernel; false: could not, @f is free. */
static bool put(const struct psio_queue *q, struct frame *f, uint16_t flag)
{
	struct psio_life *l = q->now;
	struct ps_slot s[PS_FRAGS_MAX];
	uint32_t n = psio_slots(f, psio_buf(f), ps_buffer(l->h, psio_buf(f)),
				s), all = n;

	if (n && q->p->vlan && flag != PS_F_SLOW) {
		flag |= PS_F_VLAN;
		s[0].vlan = q->p->vlan;
	}
	if (n)
		s[0].flags |= flag;
	if (n && f->lent)
		all = psio_part_slots(q, (const struct psio_run *)f, s, n);
	if (n == 0 || ps_put(l->h, s, all)) {
		release(l, f);
		return false;
	}
	if (is_run(l, f))
		((struct psio_run *)f)->sending = buffers_of(s, all);
	return true;
}

/* A frame of the device's former life, in the present one's memory; NULL: none
 * there. */
static struct frame *renew(struct psio_queue *q, struct psio_life *old,
			   struct frame *f)
{
	struct frame *c = q->now ? copy_of(q, f) : NULL;

	release(old, f);
	return c;
}

static void psio_tx(struct port_queue *port, struct frame **f, int count,
		    mono_t now)
{
	struct psio_queue *q = psio_queue(port);
	uint64_t bytes = 0, sent = 0, lent = 0;

	(void)now;
	for (int i = 0; i < count; i++) {
		struct psio_life *l = life_of(q, f[i]);
		uint32_t apart = f[i]->lent, len = f[i]->len + apart;

		l->out--;
		if (l != q->now) {
			f[i] = renew(q, l, f[i]);
			apart = 0;
		}
		if (f[i] && put(q, f[i], 0)) {
			bytes += len;
			lent += apart;
			sent++;
		}
	}
	q->unsent |= sent > 0;
	counter_add(&port->stats.tx_frames, sent);
	counter_add(&port->stats.tx_bytes, bytes);
	if (lent)
		counter_add(&port->stats.tx_lent_bytes, lent);
	if (sent < (uint64_t)count)
		counter_add(&port->stats.tx_dropped, (uint64_t)count - sent);
}

static void tell(struct psio_queue *q)
{
	const struct ps_head *h = ps_counters(q->now->h);

	counter_add(&q->q.stats.rx_dropped, h->rx_dropped - q->now->dropped);
	q->now->dropped = h->rx_dropped;
	atomic_store_explicit(&q->p->link_mbps, h->link_mbps,
			      memory_order_relaxed);
}

static void sync_queue(struct psio_queue *q, mono_t now)
{
	int rc = ps_sync(q->now->h);

	counter_add(&q->q.stats.syscalls, 1);
	q->unsent = false;
	psio_collect(q->now);
	q->look = mono_add(now, ps_unsent(q->now->h) ? PSIO_AGAIN_US :
						       PSIO_LOOK_US);
	tell(q);
	check(q, rc, now);
}

static void psio_flush(struct port_queue *port, mono_t now)
{
	struct psio_queue *q = psio_queue(port);

	if (q->unsent && q->now)
		sync_queue(q, now);
}

/* ---- buffers ---- */

/* Without a device frames still come, from the last life: who sends must not
 * find another reason to wait. */
static int psio_alloc(struct port_queue *port, struct frame **f, int count)
{
	struct psio_queue *q = psio_queue(port);
	struct psio_life *l;
	int n = 0;

	if (q->now && !q->now->free)
		psio_collect(q->now);
	if (q->now && !q->now->free)
		sync_queue(q, mono_now());
	l = q->now ? q->now : q->old;
	while (n < count && (f[n] = psio_run_get(l)))
		fresh(q, l, f[n++]);
	l->out += (uint32_t)n;
	if (n < count)
		counter_add(&port->stats.no_frame, 1);
	return n;
}

static void psio_free(struct port_queue *port, struct frame **f, int count)
{
	struct psio_queue *q = psio_queue(port);

	for (int i = 0; i < count; i++) {
		struct psio_life *l = life_of(q, f[i]);

		l->out--;
		release(l, f[i]);
	}
}

/* ---- receiving ---- */

/* A frame of several buffers grows in l->part; the whole frame, or NULL. */
static struct frame *join(struct psio_queue *q, const struct ps_packet *p)
{
	struct psio_life *l = q->now;
	struct frame *f = l->part ? l->part : psio_run_get(l);
	bool more = p->slot.flags & PS_F_MORE;

	if (f && !l->part)
		fresh(q, l, f);
	l->part = more ? f : NULL;
	if (f && !l->torn && f->len + p->slot.len <= f->room) {
		memcpy(f->data + f->len, p->data, p->slot.len);
		f->len += p->slot.len;
	} else {
		l->torn = true;
	}
	ps_give_back(l->h, p->slot.buf);
	if (more)
		return NULL;
	if (l->torn) {
		l->torn = false;
		counter_add(&q->q.stats.rx_oversize, 1);
		if (f)
			psio_run_put(l, f);
		return NULL;
	}
	return f;
}

static struct frame *in_place(struct psio_queue *q, const struct ps_packet *p)
{
	struct frame *f = &q->now->rx[p->slot.buf];

	f->port = q->p->port.id;
	f->queue = (uint8_t)q->q.index;
	f->data = p->data;
	f->len = p->slot.len;
	f->room = PS_BUF_BYTES;
	f->flags = 0;
	f->gso_size = 0;
	f->vlan = 0;
	return f;
}

/* What is the kernel's goes to it; the rest, or NULL. */
static struct frame *sort(struct psio_queue *q, struct frame *f)
{
	enum psio_whose whose = psio_whose(q->p, f->data, f->len);
	struct frame *ours = f;

	if (whose != PSIO_OURS) {
		ours = whose == PSIO_BOTH ? copy_of(q, f) : NULL;
		if (put(q, f, PS_F_SLOW))
			q->unsent = true;
		else
			counter_add(&q->q.stats.rx_dropped, 1);
	}
	if (ours && q->p->vlan)
		psio_untag(ours);
	return ours;
}

static struct frame *receive(struct psio_queue *q, const struct ps_packet *p)
{
	struct frame *f;

	if (p->slot.flags & PS_F_MORE || q->now->part || q->now->torn) {
		f = join(q, p);
	} else if (p->slot.flags & PS_F_ERROR) {
		counter_add(&q->q.stats.rx_oversize, 1);
		ps_give_back(q->now->h, p->slot.buf);
		return NULL;
	} else {
		f = in_place(q, p);
	}
	if (f)
		f = sort(q, f);
	if (f && p->slot.flags & PS_F_L4_OK)
		f->flags = FRAME_CSUM_OK;
	return f;
}

static int psio_rx(struct port_queue *port, struct frame **f, int max,
		   mono_t now)
{
	struct psio_queue *q = psio_queue(port);
	uint64_t calls, bytes = 0;
	int got, n = 0;

	if (!q->now && !revive(q, now))
		return 0;
	calls = ps_calls(q->now->h);
	got = ps_recv_chunk(q->now->h, &q->chunk, (uint32_t)max);
	calls = ps_calls(q->now->h) - calls;
	if (calls) {
		counter_add(&port->stats.syscalls, calls);
		q->unsent = false;
	}
	for (int i = 0; i < got; i++) {
		f[n] = receive(q, &q->chunk.packet[i]);
		if (f[n])
			bytes += f[n++]->len;
	}
	q->now->out += (uint32_t)n;
	if (n) {
		counter_add(&port->stats.rx_frames, (uint64_t)n);
		counter_add(&port->stats.rx_bytes, bytes);
	}
	if (got < 0)
		check(q, got, now);
	return n;
}

/* ---- sleeping ---- */

static int psio_arm(struct port_queue *port, int *fds, int max)
{
	struct psio_queue *q = psio_queue(port);
	struct pollfd p = { .events = POLLIN };
	uint32_t lent;

	if (!q->now || max < 1)
		return 0;
	lent = q->now->lent;
	sync_queue(q, mono_now());
	/* What came home may be what somebody waits for. */
	if (!q->now || q->now->lent < lent)
		return -EAGAIN;
	/* poll() arms the queue's interrupt when it finds nothing. */
	p.fd = ps_fd(q->now->h);
	counter_add(&port->stats.syscalls, 1);
	if (poll(&p, 1, 0) > 0)
		return -EAGAIN;
	fds[0] = p.fd;
	return 1;
}

static mono_t psio_next_due(struct port_queue *port)
{
	struct psio_queue *q = psio_queue(port);

	if (!q->now)
		return q->retry;
	/* The chip tells nobody who sleeps that it has sent. */
	return q->now->lent || ps_unsent(q->now->h) ? q->look : MONO_NEVER;
}

static bool psio_link_up(struct port *port)
{
	return atomic_load_explicit(&((struct psio_port *)port)->link_mbps,
				    memory_order_relaxed) != 0;
}

static int psio_set_addrs(struct port *port, const struct ip_addr *addrs,
			  unsigned int count)
{
	struct psio_port *p = (struct psio_port *)port;
	uint32_t n = 0;

	for (unsigned int i = 0; i < count && n < 16; i++)
		if (addr_is_v4(&addrs[i]))
			atomic_store_explicit(&p->addrs[n++],
					      addr_v4(&addrs[i]),
					      memory_order_relaxed);
	atomic_store_explicit(&p->addr_count, n, memory_order_relaxed);
	return 0;
}

/* ---- opening ---- */

static int explain(const struct port_config *cfg, int rc, uint32_t queues,
		   char *err)
{
	static const char not_there[] =
		"port %s: there is no /dev/ps: modprobe ps_ixgbe, and see "
		"whether 'dmesg | grep ps_ixgbe' names the card";

	if (rc == -ENOENT)
		snprintf(err, PORT_ERR_BYTES, not_there, cfg->name);
	else if (rc == -ENODEV)
		snprintf(err, PORT_ERR_BYTES, "port %s: ps_ixgbe has no port "
			 "'%s': name one of /dev/ps, or its PCI address",
			 cfg->name, cfg->device);
	else if (rc == -E2BIG)
		snprintf(err, PORT_ERR_BYTES, "port %s: %u engines need as "
			 "many queues, %s has %u: modprobe ps_ixgbe queues=%u",
			 cfg->name, cfg->queues, cfg->device, queues,
			 cfg->queues);
	else if (rc == -EBUSY)
		snprintf(err, PORT_ERR_BYTES, "port %s: a queue of %s is in "
			 "use by another program", cfg->name, cfg->device);
	else if (rc == -EPROTONOSUPPORT)
		snprintf(err, PORT_ERR_BYTES, "port %s: ps_ixgbe speaks "
			 "another version of its contract than mtcpd (%d): "
			 "install both from one release", cfg->name,
			 PS_UAPI_VERSION);
	else
		snprintf(err, PORT_ERR_BYTES, "port %s: psio %s: %s",
			 cfg->name, cfg->device, strerror(-rc));
	return rc;
}

static int agree_on_mtu(struct psio_port *p, const char *netdev,
			const struct port_config *cfg)
{
	struct ifreq r = { 0 };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), rc;

	if (fd < 0)
		return -errno;
	memcpy(r.ifr_name, netdev, IFNAMSIZ);
	r.ifr_name[IFNAMSIZ - 1] = '\0';
	r.ifr_mtu = (int)cfg->mtu;
	rc = ioctl(fd, cfg->mtu ? SIOCSIFMTU : SIOCGIFMTU, &r) ? -errno : 0;
	close(fd);
	p->port.mtu = (uint32_t)r.ifr_mtu;
	return rc;
}

static int make_queue(struct psio_port *p, uint16_t index)
{
	struct psio_queue *q = line_alloc(sizeof(*q));

	if (!q)
		return -ENOMEM;
	q->q.port = &p->port;
	q->q.index = index;
	q->p = p;
	p->port.queues[index] = &q->q;
	p->port.queue_count++;
	return psio_attach(q);
}

static void psio_close(struct port *port)
{
	for (int i = 0; i < port->queue_count; i++) {
		struct psio_queue *q = psio_queue(port->queues[i]);

		if (q->now) {
			q->now->older = q->old;
			q->old = q->now;
		}
		psio_bury(q, true);
		free(q->span);
		free(q);
	}
	free(port);
}

static void describe(struct psio_port *p, const struct ps_info *info)
{
	p->port.caps = PORT_RX_CSUM | PORT_TX_CSUM | PORT_TSO |
		(p->copies ? 0 : PORT_LENDS);
	p->port.tso_max_bytes = PSIO_TSO_MAX;
	memcpy(p->port.mac, info->mac, 6);
	snprintf(p->port.mode, sizeof(p->port.mode), "82599 %s, tso%s%.0u",
		 p->bus, p->vlan ? ", vlan " : "", p->vlan);
	atomic_store(&p->link_mbps, info->link_mbps);
}

static int set_up(struct psio_port *p, const struct port_config *cfg,
		  uint32_t *queues)
{
	struct ps_info info = { 0 };
	int rc = psio_find(p, cfg->device, &info);

	*queues = info.queues;
	if (rc)
		return rc;
	if (cfg->queues > info.queues)
		return -E2BIG;
	rc = agree_on_mtu(p, info.name, cfg);
	for (uint16_t i = 0; i < cfg->queues && !rc; i++)
		rc = make_queue(p, i);
	describe(p, &info);
	return rc;
}

static int psio_open(struct port **out, const struct port_config *cfg,
		     char *err)
{
	/* Pinned memory counts; without the right to, the limit stays. */
	const struct rlimit all = { RLIM_INFINITY, RLIM_INFINITY };
	struct psio_port *p = calloc(1, sizeof(*p));
	uint32_t queues = 0;
	int rc;

	setrlimit(RLIMIT_MEMLOCK, &all);
	if (!p)
		return explain(cfg, -ENOMEM, 0, err);
	p->slots = 1u << (cfg->frames_log2 ? cfg->frames_log2 : SLOTS_LOG2);
	if (p->slots > PS_SLOTS_MAX)
		p->slots = PS_SLOTS_MAX;
	p->vlan = (uint16_t)cfg->vlan;
	p->copies = cfg->force_copy;
	psio_set_addrs(&p->port, cfg->addrs, cfg->addr_count);
	rc = set_up(p, cfg, &queues);
	if (rc) {
		psio_close(&p->port);
		return explain(cfg, rc, queues, err);
	}
	*out = &p->port;
	return 0;
}

const struct port_ops port_psio_ops = {
	.driver = "psio",
	.tags = true,
	.open = psio_open,
	.close = psio_close,
	.rx = psio_rx,
	.alloc = psio_alloc,
	.free = psio_free,
	.tx = psio_tx,
	.flush = psio_flush,
	.map = psio_map,
	.unmap = psio_unmap,
	.lend = psio_lend,
	.arm = psio_arm,
	.next_due = psio_next_due,
	.set_addrs = psio_set_addrs,
	.link_up = psio_link_up,
};
