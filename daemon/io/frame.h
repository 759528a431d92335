/*
 * frame.h - one Ethernet frame in a port's memory
 *
 *	buffer:  | headroom | data ........ len | tailroom |
 *	                    ^ data              ^ data + len
 *
 * A frame always has one owner.  port_rx() makes the caller the owner of a
 * received frame, port_alloc() of an empty one; port_tx() consumes what it is
 * given, port_free() takes any frame back.  A received frame may be rewritten
 * in place and sent out of the port and queue that it came from.
 *
 * Payload may be lent instead of copied (port.h): it follows the bytes at data
 * on the wire and lies in clients' memory.
 *
 * Trust     Bytes at data come from the wire: hostile.  The struct is ours.
 * Threads   The owner of the queue that the frame belongs to.
 */
#ifndef IO_FRAME_H
#define IO_FRAME_H

#include <stdint.h>

enum {
	FRAME_CSUM_OK = 1,	/* rx: the port has verified the TCP/UDP sum
				 * (or the frame never left this machine) */
	FRAME_CSUM_PARTIAL = 2,	/* tx: the port finishes the TCP sum: it adds up
				 * [data + csum_start, data + len) and stores at
				 * csum_start + csum_offset, where the pseudo
				 * header's sum (not inverted) is already */
};

#define FRAME_HEADROOM	64	/* bytes at least before data of an empty frame */

struct frame {
	uint8_t *data;		/* first byte of the Ethernet header */
	uint32_t len;		/* bytes at data */
	uint32_t room;		/* bytes from data to the buffer's end */
	uint16_t flags;		/* FRAME_* */
	uint16_t gso_size;	/* tx: TCP payload bytes a segment when the port
				 * must cut (PORT_TSO); 0: do not cut */
	uint16_t csum_start;	/* with FRAME_CSUM_PARTIAL */
	uint16_t csum_offset;
	uint8_t port;		/* port id */
	uint8_t queue;
	uint16_t vlan;		/* rx: stripped 802.1Q TCI, 0: none */
	uint32_t lent;		/* bytes more, which the port has by itself */
	uint64_t token;		/* the port's own, e.g. a UMEM address */
	struct frame *next;	/* the owner's, for lists */
};

#endif
