// SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause
/*
 * ps_netdev.c - xgeN, the kernel's side of a port
 *
 * It receives what users hand over with PS_F_SLOW and sends through hardware
 * queue `nqueues`, which no user can attach.  Frames are copied on the way in;
 * this is the slow path.
 */
#include <linux/dma-mapping.h>
#include <linux/etherdevice.h>

#include "ps.h"
#include "ps_reg.h"

static u32 desc_of(const struct ps_port *p, u32 slot)
{
	return ps_mem_tx(p->mem) + slot % PS_SLOW_SLOTS;
}

/* Frees what was sent; after the chip has stopped: what was not, too. */
void ps_netdev_clean(struct ps_port *p, bool all)
{
	struct ps_slow *s = &p->slow;
	unsigned long flags;

	spin_lock_irqsave(&s->lock, flags);
	for (; s->clean != s->next; s->clean++) {
		u32 at = s->clean % PS_SLOW_SLOTS;

		if (!all && !(ps_mem_read_desc(p, p->mem, desc_of(p, at)).b &
			      PS_TXD_DONE))
			break;
		dma_unmap_single(&p->pdev->dev, s->dma[at], s->skb[at]->len,
				 DMA_TO_DEVICE);
		dev_kfree_skb_any(s->skb[at]);
		s->skb[at] = NULL;
	}
	if (s->next - s->clean < PS_SLOW_SLOTS / 2 && !all)
		netif_wake_queue(p->netdev);
	spin_unlock_irqrestore(&s->lock, flags);
}

static netdev_tx_t net_xmit(struct sk_buff *skb, struct net_device *dev)
{
	struct ps_port *p = ps_port_of(dev);
	struct ps_slow *s = &p->slow;
	struct ps_slot slot;
	struct ps_desc d;
	unsigned long flags;
	dma_addr_t dma;
	u32 at;

	if (skb_linearize(skb))
		goto drop;
	if (skb_put_padto(skb, PS_FRAME_MIN)) {	/* frees it */
		dev->stats.tx_dropped++;
		return NETDEV_TX_OK;
	}
	dma = dma_map_single(&p->pdev->dev, skb->data, skb->len, DMA_TO_DEVICE);
	if (dma_mapping_error(&p->pdev->dev, dma))
		goto drop;
	memset(&slot, 0, sizeof(slot));
	slot.len = skb->len;
	spin_lock_irqsave(&s->lock, flags);
	at = s->next % PS_SLOW_SLOTS;
	ps_desc_send(&d, &slot, &slot, dma, skb->len);
	ps_mem_write_desc(p, p->mem, desc_of(p, at), &d);
	s->skb[at] = skb;
	s->dma[at] = dma;
	s->next++;
	dev->stats.tx_packets++;
	dev->stats.tx_bytes += skb->len;
	if (s->next - s->clean >= PS_SLOW_SLOTS - 2)
		netif_stop_queue(dev);
	wmb();		/* descriptor before the tail that shows it */
	ps_wr(p, TDT(p->nqueues), s->next % PS_SLOW_SLOTS);
	spin_unlock_irqrestore(&s->lock, flags);
	return NETDEV_TX_OK;
drop:
	dev->stats.tx_dropped++;
	dev_kfree_skb_any(skb);
	return NETDEV_TX_OK;
}

static int net_open(struct net_device *dev)
{
	netif_start_queue(dev);
	return 0;
}

static void net_tx_timeout(struct net_device *dev, unsigned int queue)
{
	ps_life_ask_reset(ps_port_of(dev), "transmit hang");
}

static const struct net_device_ops net_ops = {
	.ndo_open = net_open,
	.ndo_start_xmit = net_xmit,
	.ndo_tx_timeout = net_tx_timeout,
	.ndo_validate_addr = eth_validate_addr,
};

/* Copies a frame into the kernel's stack.  0, or -errno and it is dropped. */
int ps_netdev_receive(struct ps_port *p, const struct ps_mem *m,
		      const struct ps_slot *frame, int n, u16 flags)
{
	struct net_device *dev = p->netdev;
	struct sk_buff *skb = NULL;
	u32 bytes = 0;
	int i;

	for (i = 0; i < n; i++)
		bytes += frame[i].len;
	if (netif_running(dev) && !(flags & PS_F_ERROR))
		skb = netdev_alloc_skb_ip_align(dev, bytes);
	if (!skb) {
		dev->stats.rx_dropped++;
		return netif_running(dev) ? -ENOMEM : -ENETDOWN;
	}
	for (i = 0; i < n; i++)
		skb_put_data(skb, ps_mem_addr(m, frame[i].buf) +
			     frame[i].off, frame[i].len);
	dev->stats.rx_packets++;
	dev->stats.rx_bytes += bytes;
	if (flags & PS_F_L4_OK && dev->features & NETIF_F_RXCSUM)
		skb->ip_summed = CHECKSUM_UNNECESSARY;
	skb->protocol = eth_type_trans(skb, dev);
	local_bh_disable();
	netif_receive_skb(skb);
	local_bh_enable();
	return 0;
}

int ps_netdev_start_ring(struct ps_port *p)
{
	p->slow.clean = 0;
	p->slow.next = 0;
	return ps_hw_tx_enable(p, p->nqueues, p->mem, PS_SLOW_SLOTS);
}

/* What fails half-way is undone by ps_netdev_remove(). */
int ps_netdev_add(struct ps_port *p)
{
	struct net_device *dev = alloc_etherdev(sizeof(struct ps_port *));
	int r;

	if (!dev)
		return -ENOMEM;
	p->netdev = dev;
	*(struct ps_port **)netdev_priv(dev) = p;
	spin_lock_init(&p->slow.lock);
	p->mem = ps_mem_new(p, PAGE_SIZE, PS_IDLE_SLOTS, PS_IDLE_SLOTS,
			    PS_SLOW_SLOTS);
	if (!p->mem)
		return -ENOMEM;
	SET_NETDEV_DEV(dev, &p->pdev->dev);
	dev->netdev_ops = &net_ops;
	dev->ethtool_ops = &ps_ethtool_ops;
	dev->hw_features = NETIF_F_RXCSUM;
	dev->features = NETIF_F_RXCSUM;
	dev->max_mtu = PS_FRAME_MAX - ETH_HLEN;
	eth_hw_addr_set(dev, p->mac);
	strscpy(dev->name, "xge%d", sizeof(dev->name));
	netif_carrier_off(dev);
	netif_napi_add(dev, &p->idle.napi, ps_idle_poll);
	r = ps_netdev_start_ring(p);
	return r < 0 ? r : register_netdev(dev);
}

/* After the chip has stopped. */
void ps_netdev_remove(struct ps_port *p)
{
	if (!p->netdev)
		return;
	if (p->mem) {
		ps_netdev_clean(p, true);
		ps_mem_unmap(p, p->mem);
		ps_mem_free(p->mem);
	}
	free_netdev(p->netdev);		/* the receiver's napi with it */
	p->netdev = NULL;
}
