/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * ps.h - a port and its queue pairs, inside the module
 *
 *	pci device --> ps_port --> queue[0..nqueues-1]	one user file each
 *	                       \-> netdev xgeN, its own transmit queue
 *
 * Lifetime   A port is counted: the pci device holds it from probe to remove,
 *            every open file until release.  After remove it is `gone`: its
 *            registers are unmapped and no DMA runs; files see -ENODEV.
 * Memory     A queue's shared memory belongs to its file.  It is unmapped from
 *            the bus when the queue stops and freed when the file detaches or
 *            closes, which is after the last munmap().
 * Locks      port->life: down and up (outermost, ps_life.c)
 *            port->lock: attach, detach, RSS, link, gone (outer)
 *            queue->lock: rings, descriptors (inner)
 *            slow->lock: the net device's transmit ring, a spinlock
 *            The interrupt handlers take none: they wake.
 *            Pages are pinned before: mmap_lock is outside port->lock.
 */
#ifndef PS_H
#define PS_H

#include <linux/io.h>
#include <linux/kref.h>
#include <linux/miscdevice.h>
#include <linux/mutex.h>
#include <linux/netdevice.h>
#include <linux/pci.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "ps_desc.h"
#include "ps_ring.h"

#define PS_NAME		"ps_ixgbe"
#define PS_QUEUES_MAX	15	/* RETA's entries are four bits wide */
#define PS_SLOW_SLOTS	256
#define PS_IDLE_SLOTS	256		/* of the kernel's receive ring */
#define PS_IDLE_PARTS	6		/* PS_FRAME_MAX has five */
#define PS_THROTTLE_US	8	/* between interrupts, to begin with */
#define PS_STATS	22		/* counters of the chip: ps_ethtool.c */
#define PS_STAT_XOFF_REG 0x41a8
#define PS_VERSION	"0.1.0"
/* Memory for a queue is refused rather than taken from other processes. */
#define PS_GFP		(GFP_KERNEL | __GFP_NORETRY | __GFP_NOWARN)
#define PS_NOTHING	0xffffffffu	/* a descriptor without a buffer */
#define PS_OF_REGION	0x80000000u	/* with the region's number: of it */

struct ps_port;

/* A queue's memory: survives the device, see Lifetime. */
struct ps_mem {
	struct ps_head *head;		/* vmalloc: head and slots */
	size_t head_bytes;
	struct page *ring;		/* the chip's descriptors: receive, send */
	dma_addr_t ring_dma;
	size_t ring_bytes, rx_bytes;	/* both, and what a user may map */
	struct page **block;		/* buffers, 4 KiB << order each */
	dma_addr_t *dma;		/* of each block */
	unsigned int blocks, order;
	unsigned int blocks_mapped;
	u32 buffers;
	struct ps_regions regions;	/* ps_region.c */
	bool mapped;			/* ring and blocks_mapped blocks */
};

struct ps_queue {
	struct ps_port *port;
	unsigned int index;		/* hardware queue and vector */
	struct mutex lock;
	wait_queue_head_t wait;
	bool attached;
	bool running;			/* the hardware queue is enabled */
	bool broken;			/* the user broke the contract */
	bool lost;			/* the device was pulled out */
	struct ps_mem *mem;
	struct ps_owners owners;
	struct ps_ring ring[PS_RINGS];
	u32 *rx_buf, *tx_buf, *tx_last;	/* per descriptor; one allocation */
	struct ps_slot frame[PS_FRAGS_MAX];	/* being sent; too big a stack's */
	u32 rx_slots, tx_slots;
	u32 rx_next, rx_fill;		/* harvested, filled: free counts */
	u32 tx_clean, tx_next;
	u32 promisc, strip_vlan;	/* PS_ATTACH_ */
	u64 frames_in, frames_out;	/* since the port was bound */
	u64 frames_armed;		/* frames_in when last armed */
	unsigned int throttle_us;
	u32 tx_head, tx_stuck;		/* TDH a second ago; seconds unmoved */
	atomic_long_t wakeups;
	u64 late;			/* sleepers woken by ps_queue_service() */
	bool nudge;			/* a frame waited a second ago, */
	u32 nudge_next;			/* this one */
};

/* The net device's transmit ring. */
struct ps_slow {
	spinlock_t lock;
	struct sk_buff *skb[PS_SLOW_SLOTS];
	dma_addr_t dma[PS_SLOW_SLOTS];
	u32 clean, next;
};

/*
 * The net device's receive ring: hardware queue 0 while no user has it, since
 * the chip sends there what is not spread by RSS (7.1.2.8), ARP for one.
 */
struct ps_idle {
	struct napi_struct napi;
	struct ps_slot part[PS_IDLE_PARTS];	/* of the frame that comes in */
	u32 next, parts;
	bool running;
};

struct ps_port {
	struct kref ref;
	struct pci_dev *pdev;
	void __iomem *io;		/* NULL once gone */
	struct mutex lock;
	struct mutex life;		/* see ps_life.c */
	bool gone;			/* for good; set under both */
	bool down;			/* the chip is stopped */
	bool asleep;			/* suspended, or in the bus's hands */
	u32 resets;
	bool registered;		/* the character device is there */
	struct miscdevice misc;
	unsigned int irqs;		/* requested */
	char node[24];
	struct net_device *netdev;
	struct ps_mem *mem;		/* of these two: */
	struct ps_slow slow;
	struct ps_idle idle;
	struct ps_queue queue[PS_QUEUES_MAX];
	unsigned int nqueues;
	u32 link_mbps;
	bool sfp;			/* has a cage */
	u32 module;			/* PS_MODULE_ */
	bool rx_pause, tx_pause, paused;
	u64 stats[PS_STATS];		/* port->lock */
	atomic_t events;		/* link changes so far */
	struct delayed_work service;
	struct delayed_work reset;
	u8 mac[6];
	u8 key[PS_RSS_KEY_BYTES];
};

static inline u32 ps_rd(const struct ps_port *p, u32 reg)
{
	return readl(p->io + reg);
}

static inline void ps_wr(const struct ps_port *p, u32 reg, u32 value)
{
	writel(value, p->io + reg);
}

static inline struct ps_port *ps_port_of(const struct net_device *dev)
{
	return *(struct ps_port **)netdev_priv(dev);
}

/* Where a queue's transmit ring begins, as a descriptor of its memory. */
static inline u32 ps_mem_tx(const struct ps_mem *m)
{
	return m->rx_bytes / sizeof(struct ps_desc);
}

/* ps_hw.c: the chip; callers hold port->lock unless told otherwise */
bool ps_hw_pulled(const struct ps_port *p);
void ps_hw_mask(const struct ps_port *p);
int ps_hw_reset(struct ps_port *p);
int ps_hw_start(struct ps_port *p);
int ps_hw_stop(struct ps_port *p);
int ps_hw_lock(const struct ps_port *p, u32 bits);	/* GSSR_ */
void ps_hw_unlock(const struct ps_port *p, u32 bits);
int ps_hw_eeprom(const struct ps_port *p, u16 at, u16 *word);
void ps_hw_flow_control(const struct ps_port *p);
void ps_hw_throttle(const struct ps_port *p, unsigned int vector,
		    unsigned int us);
void ps_hw_rss(struct ps_port *p);
u32 ps_hw_link(const struct ps_port *p);
int ps_hw_rx_enable(struct ps_port *p, unsigned int index,
		    const struct ps_mem *m, u32 slots, bool strip_vlan);
int ps_hw_rx_disable(const struct ps_port *p, unsigned int index);
int ps_hw_tx_enable(struct ps_port *p, unsigned int index,
		    const struct ps_mem *m, u32 slots);
int ps_hw_queue_disable(struct ps_queue *q);
void ps_hw_arm(const struct ps_port *p, unsigned int index); /* any context */

/* ps_mem.c */
struct ps_mem *ps_mem_new(struct ps_port *p, size_t head_bytes, u32 buffers,
			  u32 rx_slots, u32 tx_slots);
struct ps_desc ps_mem_read_desc(struct ps_port *p, const struct ps_mem *m,
				u32 at);
void ps_mem_write_desc(struct ps_port *p, const struct ps_mem *m, u32 at,
		       const struct ps_desc *d);
void ps_mem_unmap(struct ps_port *p, struct ps_mem *m);
void ps_mem_free(struct ps_mem *m);		/* NULL is nothing */
int ps_mem_mmap(struct ps_port *p, struct ps_mem *m,
		struct vm_area_struct *vma);
dma_addr_t ps_mem_dma(const struct ps_mem *m, u32 buf);
void *ps_mem_addr(const struct ps_mem *m, u32 buf);
void ps_mem_for_cpu(struct ps_port *p, const struct ps_mem *m, u32 buf);
void ps_mem_for_device(struct ps_port *p, const struct ps_mem *m, u32 buf);
bool ps_mem_copied(struct ps_port *p, dma_addr_t at);

/* ps_region.c */
int ps_region_map(struct ps_queue *q, struct ps_map *a);	/* no lock held */
int ps_region_unmap(struct ps_queue *q, unsigned long number);
dma_addr_t ps_region_dma(const struct ps_mem *m, const struct ps_slot *s);
void ps_regions_leave_bus(struct ps_port *p, struct ps_mem *m);
void ps_regions_free(struct ps_mem *m);

/* ps_queue.c */
int ps_queue_attach(struct ps_queue *q, struct ps_attach *a);
void ps_queue_stop(struct ps_queue *q);	/* port->lock held; DMA ends */
void ps_queue_end(struct ps_queue *q, u32 state); /* as stop; tells the user */
void ps_queue_service(struct ps_queue *q); /* once a second */
void ps_queue_detach(struct ps_queue *q);
int ps_queue_sync(struct ps_queue *q, struct ps_sync *s);
int ps_queue_usable(const struct ps_queue *q);	/* 0 or why not */
__poll_t ps_queue_ready(struct ps_queue *q, bool arm);

/* ps_sfp.c: from the service work alone */
bool ps_sfp_look(struct ps_port *p);

/* ps_ethtool.c */
void ps_stats_read(struct ps_port *p);
extern const struct ethtool_ops ps_ethtool_ops;

/* ps_idle.c; start and stop with port->lock held */
int ps_idle_poll(struct napi_struct *n, int budget);
int ps_idle_start(struct ps_port *p);
int ps_idle_stop(struct ps_port *p);

/* ps_life.c */
void ps_life_sleep(struct pci_dev *pdev);
void ps_life_ask_reset(struct ps_port *p, const char *why);
void ps_life_reset(struct work_struct *work);
extern const struct dev_pm_ops ps_pm_ops;
extern const struct pci_error_handlers ps_error_handlers;

/* ps_chr.c */
int ps_chr_add(struct ps_port *p);
void ps_chr_remove(struct ps_port *p);
void ps_chr_tell(struct ps_port *p, __poll_t what);
void ps_port_put(struct ps_port *p);

/* ps_netdev.c */
int ps_netdev_add(struct ps_port *p);
void ps_netdev_remove(struct ps_port *p);
void ps_netdev_clean(struct ps_port *p, bool all);
int ps_netdev_start_ring(struct ps_port *p);
int ps_netdev_receive(struct ps_port *p, const struct ps_mem *m,
		      const struct ps_slot *frame, int n, u16 flags);

#endif
