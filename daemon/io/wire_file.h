/*
 * wire_file.h - the file that joins the two ends of a real-time wire
 *
 *	PATH:  | header, bells | rings of frames | rings of returns | buffers |
 *
 * Sparse: room for PORT_QUEUES_MAX queues on both ends, of which only what is
 * used takes memory.  Locks on its first bytes say who is there: byte 0 end a,
 * byte 1 end b, byte 2 while the file is prepared; the kernel drops them with
 * the process.
 *
 * Threads   Control, but for the places of rings and buffers: any.
 */
#ifndef IO_WIRE_FILE_H
#define IO_WIRE_FILE_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "io/port.h"
#include "shm/wake.h"

#define WIRE_TSO_MAX	65535u		/* IP bytes of an uncut frame */
#define WIRE_ETH_BYTES	18u		/* Ethernet header with one tag */

/* Everything that both ends must agree on. */
struct wire_geometry {
	uint32_t magic, version;
	uint32_t frames;	/* a queue; also the slots of every ring */
	uint32_t stride;	/* bytes a buffer */
	uint32_t caps, mtu;
};

struct wire_header {
	struct wire_geometry geo;
	_Alignas(64) _Atomic uint32_t queues[2]; /* 0: that end is away */
	struct wake_shared bell[2][PORT_QUEUES_MAX];
};

struct wire_file {
	struct wire_geometry geo;
	struct wire_header *hdr;	/* the mapping */
	size_t bytes;
	char path[64];
	int fd;
	int end;			/* ours: 0 is a, 1 is b */
};

/* Parses cfg->device, prepares or joins the file and maps it.  On an error
 * wire_file_close() is still due. */
int wire_file_open(struct wire_file *w, const struct port_config *cfg,
		   char *err);
/* The last end to leave removes the file and its FIFOs. */
void wire_file_close(struct wire_file *w);

/* A queue's FIFO, made if it is absent, or -1. */
int wire_file_bell(const struct wire_file *w, int end, int queue);

/* Kind 0: frames, 1: returns; of what @end's queue @i sends to queue @j. */
void *wire_file_ring(const struct wire_file *w, int kind, int end, int i,
		     int j);
uint8_t *wire_file_buffer(const struct wire_file *w, int end, int queue,
			  uint32_t index);

#endif
