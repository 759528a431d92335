/* xdp_prog.c - loading, attaching and feeding the program (xdp_prog.h) */
#include "xdp_prog.h"

#include <errno.h>
#include <linux/ethtool.h>
#include <linux/if_link.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "io/port.h"

#define PORTS_BYTES	8192u	/* 1024 words */
#define LOST_BYTES	4096u	/* a page for one */

/* port_xdp.bpf.c, compiled; made by embed.cmake. */
extern const unsigned char port_xdp_bpf[];
extern const unsigned int port_xdp_bpf_bytes;

/* ---- the device ---- */

static int device_ioctl(int fd, unsigned long what, const char *name,
			struct ifreq *r)
{
	memset(r, 0, sizeof(*r));
	snprintf(r->ifr_name, sizeof(r->ifr_name), "%s", name);
	return ioctl(fd, what, r) ? -errno : 0;
}

/* ETHTOOL_GCHANNELS; a device that does not tell has one. */
static uint32_t count_queues(int fd, const char *name)
{
	struct ethtool_channels ch = { .cmd = ETHTOOL_GCHANNELS };
	struct ifreq r;
	uint32_t n;

	memset(&r, 0, sizeof(r));
	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", name);
	r.ifr_data = (char *)&ch;
	if (ioctl(fd, SIOCETHTOOL, &r))
		return 1;
	n = ch.rx_count + ch.combined_count;
	if (n < 1)
		return 1;
	return n < XDP_DEVICE_QUEUES ? n : XDP_DEVICE_QUEUES;
}

int xdp_device_query(struct xdp_device *d, const char *name, char *err)
{
	struct ifreq r;
	int fd, rc;

	memset(d, 0, sizeof(*d));
	snprintf(d->name, sizeof(d->name), "%s", name);
	d->ifindex = strlen(name) < IFNAMSIZ ? if_nametoindex(name) : 0;
	if (!d->ifindex) {
		snprintf(err, PORT_ERR_BYTES, "no network device is called "
			 "'%s': see 'ip link' (in mtcpd's network namespace)",
			 name);
		return -ENODEV;
	}
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	rc = device_ioctl(fd, SIOCGIFMTU, name, &r);
	d->mtu = (uint32_t)r.ifr_mtu;
	if (!rc)
		rc = device_ioctl(fd, SIOCGIFHWADDR, name, &r);
	memcpy(d->mac, r.ifr_hwaddr.sa_data, 6);
	d->rx_queues = count_queues(fd, name);
	close(fd);
	if (rc)
		snprintf(err, PORT_ERR_BYTES, "%s: cannot be asked for its "
			 "MTU and address: %s", name, strerror(-rc));
	return rc;
}

bool xdp_device_up(const char *name)
{
	const short want = IFF_UP | IFF_RUNNING;
	struct ifreq r;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), rc;

	if (fd < 0)
		return true;	/* cannot tell */
	rc = device_ioctl(fd, SIOCGIFFLAGS, name, &r);
	close(fd);
	return rc == 0 && (r.ifr_flags & want) == want;
}

bool xdp_device_raise(const char *name)
{
	struct ifreq r;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool raised = false;

	if (fd < 0)
		return false;
	if (device_ioctl(fd, SIOCGIFFLAGS, name, &r) == 0 &&
	    !(r.ifr_flags & IFF_UP)) {
		r.ifr_flags |= IFF_UP;
		raised = ioctl(fd, SIOCSIFFLAGS, &r) == 0;
	}
	close(fd);
	return raised;
}

/* ---- the program ---- */

/* libbpf would write to standard error; our own sentence says more. */
static int quiet(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	(void)level;
	(void)fmt;
	(void)ap;
	return 0;
}

static int explain_load(const struct xdp_device *d, int rc, char *err)
{
	if (rc == -EPERM || rc == -EACCES)
		snprintf(err, PORT_ERR_BYTES, "%s: no right to load a BPF "
			 "program: mtcpd needs CAP_BPF, CAP_NET_ADMIN and "
			 "CAP_NET_RAW (start it as root or by its service)",
			 d->name);
	else
		snprintf(err, PORT_ERR_BYTES, "%s: loading the XDP program: "
			 "%s: Linux 5.9 or later with CONFIG_XDP_SOCKETS is "
			 "needed", d->name, strerror(-rc));
	return rc;
}

/* Mapped, they need neither a system call nor a right. */
static int map_maps(struct xdp_prog *p)
{
	int ports = bpf_object__find_map_fd_by_name(p->obj, "tcp_ports");
	int lost = bpf_object__find_map_fd_by_name(p->obj, "lost");
	void *at = mmap(NULL, PORTS_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
			ports, 0);

	if (at == MAP_FAILED)
		return -errno;
	p->ports = at;
	at = mmap(NULL, LOST_BYTES, PROT_READ, MAP_SHARED, lost, 0);
	if (at == MAP_FAILED)
		return -errno;
	p->lost = at;
	return 0;
}

static int load(struct xdp_prog *p, const struct xdp_device *d, bool frags,
		char *err)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts, .object_name = "mtcpd_xdp");
	struct bpf_program *prog, *other;
	int rc;

	libbpf_set_print(quiet);
	p->obj = bpf_object__open_mem(port_xdp_bpf, port_xdp_bpf_bytes, &opts);
	if (!p->obj)
		return explain_load(d, -errno, err);
	prog = bpf_object__find_program_by_name(p->obj, "mtcpd_xdp");
	other = bpf_object__find_program_by_name(p->obj, "mtcpd_xdp_frags");
	bpf_program__set_autoload(frags ? prog : other, false);
	rc = bpf_object__load(p->obj);
	if (rc)
		return explain_load(d, rc, err);
	p->xsks = bpf_object__find_map_fd_by_name(p->obj, "xsks");
	p->addrs = bpf_object__find_map_fd_by_name(p->obj, "addrs");
	p->heard = bpf_object__find_map_fd_by_name(p->obj, "heard");
	rc = map_maps(p);
	if (rc)
		return explain_load(d, rc, err);
	return bpf_program__fd(frags ? other : prog);
}

static int explain_attach(const struct xdp_device *d, int rc, char *err)
{
	if (rc == -EBUSY || rc == -EEXIST)
		snprintf(err, PORT_ERR_BYTES, "%s: another XDP program is "
			 "attached (see 'ip link show %s'): end its owner, or "
			 "'ip link set %s xdp off'", d->name, d->name, d->name);
	else if (rc == -EPERM)
		snprintf(err, PORT_ERR_BYTES, "%s: no right to attach an XDP "
			 "program: mtcpd needs CAP_NET_ADMIN and CAP_BPF",
			 d->name);
	else
		snprintf(err, PORT_ERR_BYTES, "%s: attaching the XDP program: "
			 "%s", d->name, strerror(-rc));
	return rc;
}

int xdp_prog_attach(struct xdp_prog *p, const struct xdp_device *d, bool frags,
		    char *err)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts);
	int fd;

	memset(p, 0, sizeof(*p));
	p->link = -1;
	fd = load(p, d, frags, err);
	if (fd < 0)
		return fd;
	/* In the driver if it can, else on the finished skb. */
	opts.flags = XDP_FLAGS_DRV_MODE;
	p->link = bpf_link_create(fd, (int)d->ifindex, BPF_XDP, &opts);
	p->native = p->link >= 0;
	if (p->link < 0 && p->link != -EBUSY && p->link != -EEXIST) {
		opts.flags = XDP_FLAGS_SKB_MODE;
		p->link = bpf_link_create(fd, (int)d->ifindex, BPF_XDP, &opts);
	}
	return p->link < 0 ? explain_attach(d, p->link, err) : 0;
}

static bool listed(const struct ip_addr *list, unsigned int count,
		   const struct ip_addr *a)
{
	for (unsigned int i = 0; i < count; i++)
		if (addr_eq(&list[i], a))
			return true;
	return false;
}

int xdp_prog_set_addrs(struct xdp_prog *p, const struct ip_addr *addrs,
		       unsigned int count)
{
	const uint8_t how = p->shared ? 2 : 1;	/* as in the program */
	uint32_t key;

	if (count > sizeof(p->ours) / sizeof(p->ours[0]))
		return -E2BIG;
	/* New ones first: an address that stays is never missing. */
	for (unsigned int i = 0; i < count; i++) {
		key = addr_v4(&addrs[i]);
		if (addr_is_v4(&addrs[i]) &&
		    bpf_map_update_elem(p->addrs, &key, &how, BPF_ANY))
			return -errno;
	}
	for (unsigned int i = 0; i < p->our_count; i++) {
		key = addr_v4(&p->ours[i]);
		if (addr_is_v4(&p->ours[i]) &&
		    !listed(addrs, count, &p->ours[i]))
			bpf_map_delete_elem(p->addrs, &key);
	}
	if (count)
		memmove(p->ours, addrs, count * sizeof(*addrs));
	p->our_count = count;
	return 0;
}

void xdp_prog_set_port(struct xdp_prog *p, uint16_t port, bool ours)
{
	_Atomic uint64_t *word = &p->ports[port / 64];
	uint64_t bit = UINT64_C(1) << (port & 63);

	if (ours)
		atomic_fetch_or_explicit(word, bit, memory_order_relaxed);
	else
		atomic_fetch_and_explicit(word, ~bit, memory_order_relaxed);
}

int xdp_prog_set_socket(struct xdp_prog *p, uint32_t rx_queue, int fd)
{
	return bpf_map_update_elem(p->xsks, &rx_queue, &fd, BPF_ANY) ? -errno : 0;
}

void xdp_prog_detach(struct xdp_prog *p)
{
	if (p->link >= 0)
		close(p->link);
	p->link = -1;
	if (p->ports)
		munmap((void *)p->ports, PORTS_BYTES);
	if (p->lost)
		munmap((void *)(uintptr_t)p->lost, LOST_BYTES);
	p->ports = NULL;
	p->lost = NULL;
	if (p->obj)
		bpf_object__close(p->obj);
	p->obj = NULL;
}
