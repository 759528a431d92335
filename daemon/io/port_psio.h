/*
 * port_psio.h - the psio port's own structures
 *
 *	psio_queue --now--> attachment --older--> attachment
 *	                    |  libps handle, buffers mapped
 *	                    |  rx[]   a frame a receive buffer
 *	                    |  run[]  a frame a run of RUN_BUFS buffers:
 *	                    |         to be sent, or received in parts
 *	             span[] clients' memory that the chip reads (psio_lend.c)
 *
 * One attachment is one life of the device.  When the device goes away its
 * memory stays mapped until the last frame that somebody holds has come home;
 * meanwhile a new one may be attached, RETRY_US apart.
 *
 * token = attachment's serial << 32 | buffer.
 *
 * Threads   A queue and all below it: its engine.  addrs: control writes,
 *           engines read, both relaxed.
 */
#ifndef IO_PORT_PSIO_H
#define IO_PORT_PSIO_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "driver/libps/ps.h"
#include "io/port.h"

#define PSIO_ETH_BYTES	18u	/* header and one 802.1Q tag */
#define PSIO_TSO_MAX	16384u	/* IP bytes of a frame that the chip cuts */
#define PSIO_RUN_BUFS	9u	/* FRAME_HEADROOM + header + PSIO_TSO_MAX */
#define PSIO_RETRY_US	1000000u
#define PSIO_LOOK_US	10000u	/* while something is lent and nothing comes */
#define PSIO_AGAIN_US	200u	/* while the chip has no room for what is put */
#define PSIO_PARTS	24u	/* of a frame; TCP's pieces are fewer */

_Static_assert(PSIO_RUN_BUFS * PS_BUF_BYTES >=
	       FRAME_HEADROOM + PSIO_ETH_BYTES + PSIO_TSO_MAX, "one frame");
_Static_assert(PSIO_RUN_BUFS <= PS_FRAGS_MAX, "one frame");

/* Of a frame's payload behind its first buffer, in order. */
struct psio_part {
	const uint8_t *bytes;
	uint32_t len;
	uint32_t block;		/* lent: struct port_piece's */
	uint16_t client;
	uint16_t span;		/* 0: in the next of the run's buffers */
};

struct psio_run {
	struct frame f;		/* first: frames are cast */
	uint32_t sending;	/* buffers not returned */
	uint32_t parts;		/* 0: nothing is lent */
	struct psio_part part[PSIO_PARTS];
};

struct psio_span {
	const uint8_t *at;	/* NULL: none */
	uint32_t bytes;
	uint32_t region;	/* of the present life; 0: could not be mapped */
	uint32_t unit_log2;	/* bytes of it that one slot may name */
};

struct psio_life {
	struct ps_handle *h;
	struct psio_queue *q;
	struct psio_life *older;
	struct frame *rx;
	struct psio_run *run;
	struct frame *free;	/* runs */
	struct frame *part;	/* run in which a received frame grows */
	bool torn;		/* the rest of that frame is skipped */
	uint32_t first;		/* buffer of run 0 */
	uint32_t runs;
	uint32_t serial;
	uint32_t out;		/* frames that others hold */
	uint32_t lent;		/* frames with parts, ours and others' */
	uint64_t dropped;	/* head.rx_dropped as counted */
};

struct psio_queue {
	struct port_queue q;	/* first: queues are cast */
	struct psio_port *p;
	struct psio_life *now;	/* NULL: the device is away */
	struct psio_life *old;
	mono_t retry;
	uint32_t serial;
	bool unsent;		/* put since the last call */
	bool told;		/* that memory could not be mapped */
	struct psio_span *span;	/* PORT_SPANS of them, when there is one */
	mono_t look;		/* for what is lent, or put and not taken */
	struct ps_chunk chunk;
};

struct psio_port {
	struct port port;	/* first: ports are cast */
	char path[40];		/* of the character device, as last found */
	char bus[24];		/* PCI address: by it the device is found again */
	uint32_t slots;		/* of a hardware ring */
	uint16_t vlan;		/* our frames' tag; 0: they have none */
	bool copies;		/* payload, by the administrator's word */
	_Atomic uint32_t link_mbps;
	_Atomic uint32_t addr_count;
	_Atomic uint32_t addrs[16];	/* IPv4, network order */
};

/* Who gets a received frame. */
enum psio_whose { PSIO_OURS, PSIO_KERNEL, PSIO_BOTH };

/*
 * psio_whose.c - IPv4 and ARP for our addresses, in our VLAN, are ours, all
 * else is the kernel's; who announces his own address (RFC 5227 3) tells both.
 */
enum psio_whose psio_whose(const struct psio_port *p, const uint8_t *frame,
			   uint32_t len);

/* Takes off the tag that a frame of ours has. */
void psio_untag(struct frame *f);

/* Slots for @f's own bytes, whose first buffer is @buf at @base, into @s (PS_FRAGS_MAX);
 * how many, or 0: no frame that can be sent. */
uint32_t psio_slots(const struct frame *f, uint32_t buf, const uint8_t *base,
		    struct ps_slot *s);

/* psio_attach.c - an attachment's beginning and end. */

/* A new life for @q on p->path; 0 or -errno. */
int psio_attach(struct psio_queue *q);
/* The device has gone: the life becomes an old one, its frames still valid. */
void psio_lost(struct psio_queue *q, mono_t now);
/* Ends old lives that nobody holds a frame of any more. */
void psio_bury(struct psio_queue *q, bool all);
/* Sent runs that came back are free again. */
void psio_collect(struct psio_life *l);

/* psio_lend.c: port_ops.map, unmap and lend; the rest for port_psio.c. */
int psio_map(struct port_queue *port, uint16_t span, const uint8_t *at,
	     uint32_t bytes);
int psio_unmap(struct port_queue *port, uint16_t span);
uint32_t psio_lend(struct port_queue *port, struct frame *f,
		   const struct port_piece *piece, uint32_t count);
/* The device is back: in its new life the spans are mapped again. */
void psio_map_again(struct psio_queue *q);
/* Slots of the parts behind the @n at @s; how many in all. */
uint32_t psio_part_slots(const struct psio_queue *q, const struct psio_run *r,
			 struct ps_slot *s, uint32_t n);
/* The parts' bytes. */
void psio_gather(const struct psio_run *r, uint8_t *to);
/* Nobody reads the parts any more: the engine hears of each that was lent. */
void psio_home(struct psio_life *l, struct psio_run *r);

/* The device that the administrator named: interface, path or PCI address;
 * 0 or -errno, with @info filled and p->path and p->bus set. */
int psio_find(struct psio_port *p, const char *name, struct ps_info *info);

static inline struct frame *psio_run_get(struct psio_life *l)
{
	struct frame *f = l->free;

	if (f)
		l->free = f->next;
	return f;
}

static inline void psio_run_put(struct psio_life *l, struct frame *f)
{
	if (f->lent)
		psio_home(l, (struct psio_run *)f);
	f->next = l->free;
	l->free = f;
}

static inline struct psio_queue *psio_queue(struct port_queue *q)
{
	return (struct psio_queue *)q;
}

static inline uint32_t psio_buf(const struct frame *f)
{
	return (uint32_t)f->token;
}

#endif
