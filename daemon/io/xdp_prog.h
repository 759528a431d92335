/*
 * xdp_prog.h - our BPF program on a device, and what the device tells
 *
 * The program hangs on a bpf_link whose only reference is our descriptor:
 * however the daemon ends, the kernel detaches it.
 *
 * Errors    Negative errno with a sentence in @err (PORT_ERR_BYTES).
 * Threads   Control.
 */
#ifndef IO_XDP_PROG_H
#define IO_XDP_PROG_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"

struct bpf_object;

#define XDP_DEVICE_QUEUES	64	/* as many as the program's map */

struct xdp_device {
	char name[32];
	unsigned int ifindex;
	uint32_t mtu;
	uint32_t rx_queues;	/* 1..XDP_DEVICE_QUEUES */
	uint8_t mac[6];
};

struct xdp_prog {
	struct bpf_object *obj;	/* NULL: not loaded */
	int link;		/* the bpf_link, or -1 */
	int xsks, addrs, heard;	/* maps; belong to obj */
	_Atomic uint64_t *ports;	/* bitmap of TCP ports, mapped */
	const _Atomic uint64_t *lost;	/* copies lost, mapped */
	bool native;		/* in the driver, else generic */
	bool shared;		/* addresses are the kernel's too */
	struct ip_addr ours[256];
	unsigned int our_count;
};

/* What there is to know about @name before it is touched. */
int xdp_device_query(struct xdp_device *d, const char *name, char *err);
bool xdp_device_up(const char *name);
/* Sets a device that is down up; true: it was down. */
bool xdp_device_raise(const char *name);

/* Loads and attaches; @frags: the program for frames in several buffers. */
int xdp_prog_attach(struct xdp_prog *p, const struct xdp_device *d, bool frags,
		    char *err);

/* The addresses to redirect; what is not IPv4 is passed over. */
int xdp_prog_set_addrs(struct xdp_prog *p, const struct ip_addr *addrs,
		       unsigned int count);

/* Of shared addresses: is the TCP port (host order) ours? */
void xdp_prog_set_port(struct xdp_prog *p, uint16_t port, bool ours);

/* Frames of the device's rx queue go to socket @fd. */
int xdp_prog_set_socket(struct xdp_prog *p, uint32_t rx_queue, int fd);

/* Also of one that never was attached. */
void xdp_prog_detach(struct xdp_prog *p);

#endif
