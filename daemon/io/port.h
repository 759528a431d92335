/*
 * port.h - network ports: the one face that the engine sees of any NIC
 *
 *	            engine 0          engine 1
 *	               |                 |
 *	port_rx/tx  queue 0           queue 1        one queue an engine, its own
 *	               +-------port------+           frames, no locks
 *
 * Backends (port_xdp, port_psio, port_tap, port_wire) fill in a
 * struct port_ops and nothing else; nobody above this file knows one by name.
 * A port has as many queues as there are engines; where the device has more
 * or fewer, the backend spreads the device's queues over ours.
 *
 * Lending   A port whose device reads clients' memory sends payload from where
 *           it lies.  The engine maps that memory under a number, a span, and
 *           lends pieces of it to frames; each comes home (port_queue.home)
 *           when the device will read it no more: sent, dropped or lost.
 *           Until then its block must keep its bytes.
 * Ownership See frame.h.  A port outlives its queues' users; port_close() is
 *           called when no engine runs.
 * Threads   open and close: control, before engines start and after they
 *           ended.  Queue calls: the queue's engine only.  Counters: any.
 * Errors    Negative errno; @err gets a sentence that names device and cure.
 */
#ifndef IO_PORT_H
#define IO_PORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/counter.h"
#include "base/mono.h"
#include "io/frame.h"

#define PORT_MAX	16	/* ports a daemon */
#define PORT_QUEUES_MAX	16	/* = engines */
#define PORT_BURST	64	/* frames a call at most */
#define PORT_FDS_MAX	80	/* to poll, a queue: 64 device queues and some */
#define PORT_ERR_BYTES	256
#define PORT_SPANS	4096	/* spans a queue; 0 is none */

enum port_caps {
	PORT_RX_CSUM = 1,	/* may set FRAME_CSUM_OK */
	PORT_TX_CSUM = 2,	/* honours FRAME_CSUM_PARTIAL */
	PORT_TSO = 4,		/* honours gso_size, frames up to tso_max_bytes */
	PORT_LENDS = 8,		/* has map, unmap and lend */
};

/* How the administrator asked for it ([port NAME] in mtcpd.conf). */
struct port_config {
	char name[32];		/* our name for it */
	char driver[16];	/* "xdp", "tap", "wire", ... */
	char device[64];	/* kernel interface, or the driver's own notion */
	uint16_t queues;	/* engines */
	uint16_t frames_log2;	/* frames a queue, 0: the driver's default */
	uint32_t mtu;		/* 0: the device's */
	bool zero_copy;		/* xdp: try zero-copy first */
	bool force_copy;	/* xdp: never zero-copy */
	bool share;		/* xdp: addresses are the kernel's too */
	uint32_t vlan;		/* psio: 802.1Q id of all frames; 0: untagged */
	struct ip_addr addrs[16]; /* ours on this port: what xdp redirects */
	unsigned int addr_count;
	uint8_t mac[6];		/* 0: the device's, or made up */
};

/* One queue's counters; written by its engine. */
struct port_stats {
	counter_t rx_frames, rx_bytes, tx_frames, tx_bytes;
	counter_t rx_dropped;	/* by the device, as far as it tells */
	counter_t rx_oversize;	/* larger than a buffer, or torn */
	counter_t tx_dropped;	/* device full: consumed and freed */
	counter_t no_frame;	/* port_alloc() found none */
	counter_t syscalls;	/* made for this queue */
	counter_t tx_lent_bytes; /* of tx_bytes: read in clients' memory */
};

struct port;

/* Payload where the client put it. */
struct port_piece {
	const uint8_t *bytes;
	uint32_t len;
	uint32_t block;		/* block and client: the engine's, for home() */
	uint16_t client;
	uint16_t span;		/* in which it lies */
};

struct port_queue {
	struct port *port;
	uint16_t index;
	/* PORT_LENDS: the engine hears of each piece that has come home. */
	void (*home)(void *engine, uint16_t client, uint32_t block);
	void *engine;
	_Alignas(64) struct port_stats stats;
};

struct port_ops {
	const char *driver;
	bool tags;		/* takes port_config.vlan */
	/* Allocates *@out with its queues.  0 or -errno with @err written. */
	int (*open)(struct port **out, const struct port_config *cfg, char *err);
	void (*close)(struct port *p);
	/* Up to @max frames into @f; returns how many.  Never blocks. */
	int (*rx)(struct port_queue *q, struct frame **f, int max, mono_t now);
	/* Empty frames (len 0, FRAME_HEADROOM before data); how many. */
	int (*alloc)(struct port_queue *q, struct frame **f, int count);
	void (*free)(struct port_queue *q, struct frame **f, int count);
	/* Consumes all @count frames; what the device cannot take is freed and
	 * counted in tx_dropped. */
	void (*tx)(struct port_queue *q, struct frame **f, int count, mono_t now);
	/* Ends a loop's sending: kicks the device where it must be kicked. */
	void (*flush)(struct port_queue *q, mono_t now);
	/* PORT_LENDS: the device may read @bytes at @at from now on, both
	 * multiples of SLAB_BYTES.  0 or -errno: not this span. */
	int (*map)(struct port_queue *q, uint16_t span, const uint8_t *at,
		   uint32_t bytes);
	/* No piece of it is lent.  0, or -errno: it stays mapped. */
	int (*unmap)(struct port_queue *q, uint16_t span);
	/* Adds @count pieces (32 at most) to @f, which has its TCP header.  Bit
	 * i: piece i is lent; the others were copied.  0: none, and @f is as it
	 * was. */
	uint32_t (*lend)(struct port_queue *q, struct frame *f,
			 const struct port_piece *piece, uint32_t count);
	/* Before blocking: ask the device for wake-ups and name the descriptors
	 * to poll for reading (into @fds, at most @max, PORT_FDS_MAX for all).
	 * Returns how many, or -EAGAIN when there is work already.  Repeated
	 * calls are cheap. */
	int (*arm)(struct port_queue *q, int *fds, int max);
	/* When the port itself has something due (virtual wires), or never. */
	mono_t (*next_due)(struct port_queue *q);
	/* Addresses changed at run time (xdp updates its map); may be NULL. */
	int (*set_addrs)(struct port *p, const struct ip_addr *addrs,
			 unsigned int count);
	/* Of addresses shared with the kernel (port_config.share): frames for
	 * the TCP port (host order) are ours, or not; NULL: cannot share. */
	void (*set_tcp_port)(struct port *p, uint16_t number, bool ours);
	/* Copies of neighbours' announcements that were lost; NULL: none. */
	uint64_t (*heard_lost)(struct port *p);
	/* Link state now; may be NULL: always up. */
	bool (*link_up)(struct port *p);
};

struct port {
	const struct port_ops *ops;
	char name[32];
	char device[64];
	uint8_t id;		/* index in the daemon's table */
	uint8_t mac[6];
	uint32_t caps;		/* PORT_* */
	uint32_t mtu;		/* IP bytes a frame */
	uint32_t tso_max_bytes;	/* IP bytes of a frame to be cut; 0 without TSO */
	uint16_t queue_count;
	struct port_queue *queues[PORT_QUEUES_MAX];
	char mode[48];		/* for people: "AF_XDP copy, need-wakeup" */
};

/* The built-in drivers, by name; NULL: no such. */
const struct port_ops *port_driver(const char *name);

/* Names of all drivers, separated by ", ", for error messages. */
const char *port_driver_names(void);

/* Opens and registers under id; closes.  As ops->open. */
int port_open(struct port **out, const struct port_config *cfg, uint8_t id,
	      char *err);
void port_close(struct port *p);

static inline int port_rx(struct port_queue *q, struct frame **f, int max,
			  mono_t now)
{
	return q->port->ops->rx(q, f, max, now);
}

static inline int port_alloc(struct port_queue *q, struct frame **f, int count)
{
	return q->port->ops->alloc(q, f, count);
}

static inline void port_free(struct port_queue *q, struct frame **f, int count)
{
	q->port->ops->free(q, f, count);
}

static inline void port_tx(struct port_queue *q, struct frame **f, int count,
			   mono_t now)
{
	q->port->ops->tx(q, f, count, now);
}

static inline void port_flush(struct port_queue *q, mono_t now)
{
	q->port->ops->flush(q, now);
}

#endif
