/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note OR BSD-3-Clause */
/*
 * ps_uapi.h - the contract between ps_ixgbe and a process that owns queues
 *
 * One character device per port, /dev/ps/xgeN.  One open file owns at most one
 * queue pair (ATTACH) and then maps two regions:
 *
 *	offset 0		struct ps_head and four rings of slots
 *	PS_MAP_BUFFERS		the packet buffers, PS_BUF_BYTES each
 *	PS_MAP_DESCRIPTORS	the chip's receive ring, to read only
 *
 *	       fill                       rx
 *	user ------> [kernel: receive] ------> user     received frames
 *	user ------> [kernel: send   ] ------> user     sent buffers come back
 *	       tx                        done
 *
 * Buffers    are named by index, never by address.  At attach the first
 *            rx_slots - 1 are in the receiver, all others are the user's.
 *            The user lends a buffer by putting it on fill or tx and owns it
 *            again when it reads it from rx or done.
 * Trust      The kernel checks every index and that the user owns it.  A wrong
 *            slot is skipped and counted (head.bad_slots); counters that were
 *            made nonsense stop the queue with -EPROTO.  Nothing outside the
 *            process's own buffers can be reached.
 * Frames     longer than a buffer use several slots, PS_F_MORE in all but the
 *            last.  A frame's offloads are those of its first slot.
 * Calls      SYNC moves slots both ways, up to PS_CHUNK_MAX per direction.
 *            poll() arms the queue's interrupt only while it finds nothing.
 * Looking    needs no call: something came when rx is not empty, or when the
 *            descriptor number head.rx_next & (rx_slots - 1) of the chip's
 *            ring has PS_DESC_DONE (acquire), or when head.state is not UP.
 *            SYNC then brings it.  -EOPNOTSUPP: this machine copies DMA
 *            memory (swiotlb), so the ring cannot be seen; call instead.
 * TSO        is for IPv4 together with PS_F_CSUM_IP, without it for IPv6.
 * Regions    MAP pins memory of the process, to be sent from where it lies.  A
 *            slot with PS_F_REGION names it by region (in hash) and byte (in
 *            buf); all its bytes lie in one of the region's units, and it is
 *            never a frame's first, which holds the headers.  It does not come
 *            back on done: the chip has let go of it when its frame's first
 *            slot is there.  Until then UNMAP says -EBUSY.  Pages count as
 *            pinned (RLIMIT_MEMLOCK) until UNMAP or detach.  -EOPNOTSUPP: this
 *            machine copies DMA memory, as above.
 * Length     A frame to send has at most the MTU of xgeN and 18 bytes, or so
 *            has each segment of it.
 * Events     When the device goes away poll() says POLLERR | POLLHUP, calls
 *            say -ENODEV and head.state is PS_STATE_GONE; memory stays mapped.
 *            A link change says POLLPRI until EVENT has been called.
 *            A reset of the port (transmit hang, suspend, PCI error) ends all
 *            attachments: POLLERR, -ENXIO, PS_STATE_RESET; memory stays mapped,
 *            and ATTACH says -ENETDOWN until the port is up again.
 * Ordering   tail is stored by the producer with release and loaded by the
 *            consumer with acquire; head the other way round.
 * Threads    One per ring end; calls on one file are serialised by the kernel.
 */
#ifndef PS_UAPI_H
#define PS_UAPI_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define PS_UAPI_VERSION	1
#define PS_BUF_BYTES	2048
#define PS_CHUNK_MAX	512	/* slots moved per direction and call */
#define PS_SLOTS_MIN	64	/* hardware ring sizes, powers of two */
#define PS_SLOTS_MAX	4096
#define PS_EXTRA_MAX	16384	/* buffers beyond those of the two rings */
#define PS_FRAGS_MAX	36	/* slots of a frame to send */
#define PS_REGIONS_MAX	4095	/* of a queue; the first is number 1 */
#define PS_REGION_STEP	(2u << 20)	/* they begin and end on its multiples */
#define PS_REGION_MAX	(1u << 30)	/* bytes */
#define PS_REGION_SLOT	15872	/* bytes of a slot: a descriptor's limit */
#define PS_FRAME_MIN	17	/* bytes of a frame to send: the chip's limit */
#define PS_FRAME_MAX	9724	/* bytes of a frame on the wire, without CRC */
#define PS_TSO_MAX	65535	/* bytes of a frame to be segmented */
#define PS_RSS_KEY_BYTES 40

#define PS_MAP_BUFFERS	(1ul << 30)	/* mmap offset, bytes */
#define PS_MAP_DESCRIPTORS (1ul << 31)	/* 16 bytes each, little endian */
#define PS_DESC_DONE	1		/* of bytes 8 to 11 */

/* slot flags */
#define PS_F_MORE	0x0001	/* the frame goes on in the next slot */
#define PS_F_IP_OK	0x0002	/* received: IPv4 header checksum right */
#define PS_F_L4_OK	0x0004	/* received: TCP or UDP checksum right */
#define PS_F_IP_BAD	0x0008	/* received: IPv4 header checksum wrong */
#define PS_F_L4_BAD	0x0010	/* received: TCP or UDP checksum wrong */
#define PS_F_HASH	0x0020	/* received: hash is the RSS hash */
#define PS_F_VLAN	0x0080	/* vlan is the frame's tag: taken off, or to add */
#define PS_F_ERROR	0x0040	/* received damaged; done: was not sent */
#define PS_F_CSUM_IP	0x0100	/* send: fill in the IPv4 header checksum */
#define PS_F_CSUM_TCP	0x0200	/* send: TCP checksum, seeded by the user */
#define PS_F_CSUM_UDP	0x0400	/* send: UDP checksum, seeded by the user */
#define PS_F_TSO	0x0800	/* send: cut into segments of mss bytes */
#define PS_F_SLOW	0x1000	/* send: hand to the kernel's xgeN, not out */
#define PS_F_REGION	0x2000	/* send: of mapped memory, see Regions */

struct ps_slot {
	__u32 buf;		/* buffer index; PS_F_REGION: byte in it */
	__u16 len;		/* bytes used of it, from off */
	__u16 flags;		/* PS_F_ */
	__u32 hash;		/* received; PS_F_REGION: its number */
	__u16 mss;		/* send with PS_F_TSO: payload bytes a segment */
	__u8 l2_len;		/* send with PS_F_CSUM_ or PS_F_TSO: header bytes */
	__u8 l3_len;
	__u8 l4_len;
	__u8 zero8;
	__u16 off;		/* of the first byte; received: 0 */
	__u16 vlan;		/* with PS_F_VLAN: 802.1Q tag control */
	__u8 reserved[2];
};

struct ps_ring_shared {
	__u32 tail;		/* producer stores; counts slots since attach */
	__u32 pad0[15];
	__u32 head;		/* consumer stores */
	__u32 pad1[15];
};

enum ps_ring_name { PS_RING_RX, PS_RING_FILL, PS_RING_TX, PS_RING_DONE, PS_RINGS };

#define PS_MODULE_UNKNOWN	0	/* no SFP+ port, or not looked at yet */
#define PS_MODULE_THERE		1
#define PS_MODULE_ABSENT	2	/* the cage is empty */
#define PS_MODULE_FOREIGN	3	/* not one of 10 Gb/s */

#define PS_STATE_UP	1
#define PS_STATE_GONE	2	/* removed or unbound: close the file */
#define PS_STATE_ERROR	3	/* contract broken by the user: close the file */
#define PS_STATE_RESET	4	/* the port was reset: detach, attach again */

/*
 * The first bytes of the map.  The kernel decides by ring[] alone; the rest is
 * for the user to read, and only its own to spoil.
 */
struct ps_head {
	__u32 version;
	__u32 state;		/* PS_STATE_ */
	__u32 link_mbps;	/* 0 while the link is down */
	__u32 module;		/* PS_MODULE_, of an SFP+ port */
	__u64 rx_frames, rx_bytes, tx_frames, tx_bytes;
	__u64 rx_dropped;	/* frames that found the hardware ring empty */
	__u64 slow_frames;	/* handed to xgeN */
	__u64 bad_slots;	/* skipped: foreign index, length, offloads */
	__u64 wakeups;		/* interrupts taken for this queue */
	__u32 rx_next;		/* next descriptor to come: see Looking */
	__u8 pad2[44];
	struct ps_ring_shared ring[PS_RINGS];
};

struct ps_attach {
	__u32 version;		/* in: PS_UAPI_VERSION */
	__u32 queue;		/* in: 0 .. queues - 1 */
	__u32 rx_slots;		/* in: hardware ring */
	__u32 tx_slots;		/* in: hardware ring */
	__u32 extra;		/* in: more buffers */
	__u32 flags;		/* in: PS_ATTACH_ */
	__u32 buffers;		/* out: how many there are */
	__u32 ring_slots;	/* out: size of each of the four rings */
	__u32 head_bytes;	/* out: bytes to map at offset 0 */
	__u32 slots_offset;	/* out: ring i's slots at + i * ring_slots * 24 */
};
#define PS_ATTACH_PROMISC	1	/* the port takes every address */
#define PS_ATTACH_VLAN	2	/* 802.1Q tags are taken off received frames */

struct ps_info {
	__u32 version;		/* in */
	__u32 queues;		/* out: queue pairs for users */
	__u32 link_mbps;
	__u32 numa_node;	/* ~0: none */
	__u8 mac[6];
	__u8 pad[2];
	char name[16];		/* the net device */
	char bus[24];		/* PCI address */
};

struct ps_sync {
	__u32 rx;		/* out: slots added to rx */
	__u32 tx;		/* out: slots taken from tx */
};

struct ps_event {
	__u32 state;
	__u32 link_mbps;
};

struct ps_rss {
	__u8 key[PS_RSS_KEY_BYTES];	/* for the whole port */
};

struct ps_map {
	__u64 addr, bytes;	/* in: multiples of PS_REGION_STEP */
	__u32 region;		/* out */
	__u32 unit;		/* out: bytes, a power of two */
};

#define PS_IOC_INFO	_IOWR('p', 0xa0, struct ps_info)
#define PS_IOC_ATTACH	_IOWR('p', 0xa1, struct ps_attach)
#define PS_IOC_DETACH	_IO('p', 0xa2)
#define PS_IOC_SYNC	_IOR('p', 0xa3, struct ps_sync)
#define PS_IOC_EVENT	_IOR('p', 0xa4, struct ps_event)
#define PS_IOC_RSS	_IOW('p', 0xa5, struct ps_rss)
#define PS_IOC_MAP	_IOWR('p', 0xa6, struct ps_map)
#define PS_IOC_UNMAP	_IO('p', 0xa7)	/* argument: the region's number */

#ifndef __KERNEL__
_Static_assert(sizeof(struct ps_slot) == 24, "ps_ixgbe ABI");
_Static_assert(sizeof(struct ps_ring_shared) == 128, "ps_ixgbe ABI");
_Static_assert(sizeof(struct ps_head) == 128 + PS_RINGS * 128, "ps_ixgbe ABI");
#endif

#endif
