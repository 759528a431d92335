/*
 * port_xdp.h - what the parts of the xdp driver share
 *
 * port_xdp.c is the data path (and the theory of operation), xdp_jumbo.c the
 * same for frames of several chunks, xdp_heard.c what the program overhears,
 * xdp_open.c makes and ends ports.  Nobody else includes this.
 *
 * Threads   Each struct names its own.
 */
#ifndef IO_PORT_XDP_H
#define IO_PORT_XDP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <xdp/xsk.h>

#include "io/port.h"
#include "io/xdp_prog.h"
#include "shm/wake.h"

#define XDP_CHUNK	4096u		/* bytes; the UMEM's unit */
#define XDP_CHUNK_SHIFT	12
#define XDP_ETH_BYTES	18u		/* Ethernet header with one tag */
#define XDP_RING	2048u		/* descriptors of every ring */
#define XDP_MTU_MAX	3498u		/* in one chunk; leaves a native veth
					 * its skb tail */
#define XDP_JUMBO_MAX	9216u		/* IP bytes, in several chunks */
#define XDP_TOKEN_JUMBO	(1ull << 63)	/* frame.token: not a chunk */

/* One direction of a hand-over between two queues of the port. */
struct handover {
	_Alignas(64) _Atomic uint32_t tail;
	_Alignas(64) _Atomic uint32_t head;
	struct frame **slot;
	uint32_t mask;
};

struct xsk {			/* one device queue */
	struct xsk_socket *socket;
	struct xsk_ring_cons rx, comp;
	struct xsk_ring_prod tx, fill;
	uint64_t dropped_seen;	/* XDP_STATISTICS when last asked */
	uint32_t unfilled;	/* fill slots that wait for chunks */
	uint32_t flying;	/* on the tx ring or not yet reaped */
	int fd;
	bool kick;		/* submitted since the last flush */
};

struct xdp_queue {
	struct port_queue q;	/* first: queues are cast */
	struct xdp_port *p;
	struct xsk *xsks;	/* of the device queues that are ours */
	uint32_t xsk_count;	/* 0: sends through owner */
	struct frame *free;	/* LIFO: warm chunks first */
	uint32_t free_count;
	struct frame *free_jumbo;
	/* Without a device queue: */
	struct xdp_queue *owner;
	struct handover to_owner, back;
	bool handed;		/* since the last flush */
	/* With one: */
	struct xdp_queue *clients[PORT_QUEUES_MAX];
	uint32_t client_count;
	struct wake_shared *bell; /* clients ring it ... */
	int bell_fd;		/* ... through this eventfd */
	uint64_t stats_due_us;
	bool armed;
};

struct ring_buffer;

struct xdp_heard {		/* queue 0's engine */
	struct ring_buffer *ring;	/* from the program */
	struct frame **out;	/* where the frames of this call go ... */
	int count, max;		/* ... and how many */
};

struct xdp_port {
	struct port port;	/* first: ports are cast */
	struct xdp_device dev;
	struct xdp_prog prog;
	struct xdp_heard heard;
	struct xsk_umem *umem;
	uint8_t *memory;
	size_t bytes;
	struct frame *frames;
	uint32_t per_queue;	/* chunks */
	uint32_t bind_flags;
	/* With an MTU above XDP_MTU_MAX (xdp_jumbo.c): */
	bool jumbo;
	struct frame *jumbos;
	uint8_t *side;		/* their buffers */
	size_t side_bytes;
	uint32_t jumbos_per_queue;
};

static inline struct xdp_queue *xq(struct port_queue *q)
{
	return (struct xdp_queue *)q;
}

/* xdp_open.c */
int xdp_open(struct port **out, const struct port_config *cfg, char *err);
void xdp_close(struct port *port);

/* port_xdp.c: gives free chunks to a socket's fill ring, in batches. */
void xdp_refill(struct xdp_queue *q, struct xsk *x);
/* A frame that was sent, or could not be: back to the queue it belongs to. */
void xdp_home(struct xdp_queue *q, struct frame *f);
/* The frame of a single chunk, as received. */
struct frame *xdp_in_place(struct xdp_queue *q, const struct xdp_desc *d);

/* xdp_jumbo.c */
int xdp_jumbo_make(struct xdp_port *p, unsigned int queues);
void xdp_jumbo_end(struct xdp_port *p);
void xdp_jumbo_give(struct xdp_queue *q);	/* its share, at the start */
struct frame *xdp_jumbo_get(struct xdp_queue *q);
void xdp_jumbo_put(struct xdp_queue *q, struct frame *f);
/* The index of the queue that @f belongs to. */
unsigned int xdp_jumbo_home(const struct xdp_port *p, const struct frame *f);
/* As take() and submit() of port_xdp.c. */
int xdp_jumbo_take(struct xdp_queue *q, struct xsk *x, struct frame **out,
		   int max);
int xdp_jumbo_submit(struct xdp_queue *q, struct xsk *x, struct frame **f,
		     int count);

/* xdp_heard.c: announcements that the kernel got, too, as frames of queue 0.
 * Opened when the program is loaded. */
int xdp_heard_open(struct xdp_port *p, char *err);
void xdp_heard_close(struct xdp_port *p);
int xdp_heard_take(struct xdp_port *p, struct frame **out, int max);
int xdp_heard_fd(const struct xdp_port *p);	/* readable: some wait */

/* Free chunks, LIFO. */
static inline void xdp_chunk_put(struct xdp_queue *q, struct frame *f)
{
	f->next = q->free;
	q->free = f;
	q->free_count++;
}

static inline struct frame *xdp_chunk_get(struct xdp_queue *q)
{
	struct frame *f = q->free;

	if (f) {
		q->free = f->next;
		q->free_count--;
	}
	return f;
}

#endif
