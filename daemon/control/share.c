/*
 * share.c - TCP ports of addresses that are the kernel's too
 *
 *	[port NAME] share = yes
 *
 *	listener comes  -> does the kernel listen there (sock_diag)?  EADDRINUSE
 *	                -> its bit in the XDP program's map: frames are ours
 *	last one goes   -> `lingering`: its connections may be open still
 *	every 5 s       -> engines are asked for the local ports of what they
 *	                   have; a lingering one that nobody has goes back to
 *	                   the kernel
 *
 * The range of [tcp] local_ports is always ours: outgoing connections begin
 * there.  The kernel must not pick its own from it, hence share_begin().
 *
 * Ownership  The slice is the engine's while the op is open.
 */
#define LOG_FACILITY LOG_FAC_PORT

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "control/control.h"
#include "control/netlink.h"
#include "control/share.h"

#define SCAN_US		5000000
#define SLICE		256
#define KERNEL_LISTEN	10	/* TCP_LISTEN of the kernel's states */

struct share {
	struct control *control;
	struct event *scan_event;
	struct op op;
	uint32_t engine, cursor;	/* of the scan */
	uint32_t lingering_count;
	uint64_t lingering[1024], used[1024];	/* a bit a TCP port */
	struct tcp_info slice[SLICE];
};

static bool bit(const uint64_t *map, uint16_t n)
{
	return map[n / 64] >> (n & 63) & 1;
}

static void set_bit(uint64_t *map, uint16_t n, bool on)
{
	if (on)
		map[n / 64] |= UINT64_C(1) << (n & 63);
	else
		map[n / 64] &= ~(UINT64_C(1) << (n & 63));
}

uint32_t share_ports(const struct control *c)
{
	uint32_t mask = 0;

	for (uint32_t i = 0; i < c->cfg->port_count; i++)
		if (c->cfg->ports[i].io.share)
			mask |= 1u << i;
	return mask;
}

static void tell_devices(struct control *c, uint16_t port, bool ours)
{
	for (uint32_t i = 0; i < c->port_count; i++)
		if (c->cfg->ports[i].io.share)
			c->ports[i]->ops->set_tcp_port(c->ports[i], port, ours);
}

/* ---- does the kernel listen there? ---- */

void share_diag(void *arg, const struct nlmsghdr *m)
{
	struct share_question *q = arg;
	const struct inet_diag_msg *d = netlink_body(m, sizeof(*d));
	static const uint8_t any[16];
	struct ip_addr a;

	if (!d || m->nlmsg_type != SOCK_DIAG_BY_FAMILY ||
	    d->id.idiag_sport != q->port)
		return;
	if (d->idiag_family == AF_INET)
		a = addr_from_v4(d->id.idiag_src[0]);
	else
		memcpy(&a, d->id.idiag_src, sizeof(a));
	/* :: takes IPv4 as well, unless it was told not to: assumed. */
	if (!memcmp(&a, any, sizeof(any)) || addr_is_any(&a) ||
	    addr_is_any(q->addr) || addr_eq(&a, q->addr))
		q->found = true;
}

static bool kernel_listens(const struct ip_addr *addr, uint16_t port)
{
	struct share_question q = { .addr = addr, .port = port };
	struct inet_diag_req_v2 req = { .sdiag_protocol = IPPROTO_TCP,
					.idiag_states = 1u << KERNEL_LISTEN };
	int fd = netlink_open(NETLINK_SOCK_DIAG, 0), rc = fd;

	if (fd >= 0) {
		req.sdiag_family = AF_INET;
		rc = netlink_ask(fd, SOCK_DIAG_BY_FAMILY, &req, sizeof(req));
		if (!rc)
			rc = netlink_answer(fd, share_diag, &q);
		req.sdiag_family = AF_INET6;
		if (!rc)
			rc = netlink_ask(fd, SOCK_DIAG_BY_FAMILY, &req,
					 sizeof(req));
		if (!rc)
			netlink_answer(fd, share_diag, &q);
		close(fd);
	}
	if (rc < 0)
		log_warnx("the kernel does not tell who listens on port %u: %s",
			  ntohs(port), strerror(-rc));
	return q.found;
}

/* Is it an address of a port that shares (any: is there one)? */
static bool is_shared(const struct control *c, const struct ip_addr *addr)
{
	for (unsigned int i = 0; i < c->cfg->net.addr_count; i++) {
		const struct net_addr *a = &c->cfg->net.addrs[i];

		if (c->cfg->ports[a->port].io.share &&
		    (addr_is_any(addr) || addr_eq(addr, &a->addr)))
			return true;
	}
	return false;
}

int share_listen(struct control *c, const struct ip_addr *addr, uint16_t port)
{
	struct share *s = c->share;
	uint16_t n = ntohs(port);

	if (!s || !is_shared(c, addr))
		return 0;
	if (kernel_listens(addr, port))
		return -EADDRINUSE;
	if (bit(s->lingering, n)) {
		set_bit(s->lingering, n, false);
		s->lingering_count--;
	}
	tell_devices(c, n, true);
	return 0;
}

/* ---- ports that linger ---- */

static bool in_range(const struct control *c, uint16_t n)
{
	return n >= c->cfg->local_port_min && n <= c->cfg->local_port_max;
}

static void scan_next(struct share *s);

static void scan_end(struct share *s)
{
	struct control *c = s->control;

	for (uint32_t n = 1; n <= 65535 && s->lingering_count; n++) {
		if (!bit(s->lingering, (uint16_t)n) ||
		    bit(s->used, (uint16_t)n))
			continue;
		set_bit(s->lingering, (uint16_t)n, false);
		s->lingering_count--;
		tell_devices(c, (uint16_t)n, false);
		log_debug("TCP port %u is the kernel's again", n);
	}
}

static void scanned(struct control *c, struct op *op)
{
	struct share *s = (struct share *)((char *)op -
					   offsetof(struct share, op));

	for (uint32_t i = 0; i < op->count && i < SLICE; i++)
		set_bit(s->used, ntohs(s->slice[i].lport), true);
	if (!op->error && op->count && op->cursor != s->cursor) {
		s->cursor = op->cursor;
	} else {
		s->cursor = 0;
		if (++s->engine >= c->engine_count) {
			scan_end(s);
			return;
		}
	}
	scan_next(s);
}

static void scan_next(struct share *s)
{
	struct mail m = { .type = MAIL_LIST };

	m.list.what = MAIL_LIST_CONNS;
	m.list.cursor = s->cursor;
	m.list.out = s->slice;
	m.list.max = SLICE;
	op_ask(s->control, &s->op, s->engine, &m, scanned);
}

static void scan(int fd, short what, void *arg)
{
	struct share *s = arg;

	(void)fd;
	(void)what;
	if (s->op.tag || !s->lingering_count || s->control->stopping)
		return;
	s->engine = s->cursor = 0;
	memset(s->used, 0, sizeof(s->used));
	scan_next(s);
}

void share_unlisten(struct control *c, uint16_t port)
{
	struct share *s = c->share;
	uint16_t n = ntohs(port);

	if (!s || in_range(c, n) || bit(s->lingering, n))
		return;
	set_bit(s->lingering, n, true);
	s->lingering_count++;
}

/* ---- start ---- */

/* The kernel's own range of local ports, if it reaches into ours. */
static bool kernel_picks(const struct control *c, unsigned int *first,
			 unsigned int *last)
{
	FILE *f = fopen("/proc/sys/net/ipv4/ip_local_port_range", "re");
	bool known = f && fscanf(f, "%u %u", first, last) == 2;

	if (f)
		fclose(f);
	return known && *first <= c->cfg->local_port_max &&
	       *last >= c->cfg->local_port_min;
}

/* "a-b,c,...": is all of ours among what the kernel does not pick? */
static bool kernel_reserves(const struct control *c)
{
	FILE *f = fopen("/proc/sys/net/ipv4/ip_local_reserved_ports", "re");
	unsigned int a, b;
	bool all = false;

	while (f && !all && fscanf(f, "%u", &a) == 1) {
		int next = fgetc(f);

		b = a;
		if (next == '-' && fscanf(f, "%u", &b) == 1)
			next = fgetc(f);
		all = a <= c->cfg->local_port_min && b >= c->cfg->local_port_max;
		if (next != ',')
			break;
	}
	if (f)
		fclose(f);
	return all;
}

static void check_range(const struct control *c)
{
	unsigned int first, last;

	if (!kernel_picks(c, &first, &last) || kernel_reserves(c))
		return;
	log_fatalx("share = yes: the kernel picks its local ports from %u-%u, "
		   "mtcpd from %u-%u ([tcp] local_ports): set local_ports "
		   "outside of it, such as 61000-65535, or keep the kernel "
		   "out (sysctl net.ipv4.ip_local_reserved_ports=%u-%u)",
		   first, last, c->cfg->local_port_min,
		   c->cfg->local_port_max, c->cfg->local_port_min,
		   c->cfg->local_port_max);
}

void share_begin(struct control *c)
{
	const struct timeval every = { .tv_sec = SCAN_US / 1000000 };

	if (!share_ports(c))
		return;
	check_range(c);
	c->share = calloc(1, sizeof(*c->share));
	if (c->share)
		c->share->scan_event = event_new(c->base, -1, EV_PERSIST, scan,
						 c->share);
	if (!c->share || !c->share->scan_event)
		log_fatalx("out of memory at start");
	c->share->control = c;
	event_add(c->share->scan_event, &every);
	for (uint32_t n = c->cfg->local_port_min; n <= c->cfg->local_port_max;
	     n++)
		tell_devices(c, (uint16_t)n, true);
}

void share_end(struct control *c)
{
	if (!c->share)
		return;
	event_free(c->share->scan_event);
	free(c->share);
	c->share = NULL;
}
