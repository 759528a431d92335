// SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause
/*
 * ps_main.c - probe and remove, interrupts, the link
 *
 * Removal, in order: no new opens, every queue stopped and its memory taken
 * off the bus, files told, interrupts and works ended, net device gone, chip
 * stopped, registers unmapped.  Files that are still open keep the port's
 * memory and, through their file operations, the module.
 */
#include <linux/dma-mapping.h>
#include <linux/interrupt.h>
#include <linux/module.h>
#include <linux/poll.h>

#include "ps.h"
#include "ps_compat.h"
#include "ps_reg.h"

static unsigned int queues = 4;
module_param(queues, uint, 0444);
MODULE_PARM_DESC(queues, "queue pairs per port for users, 1 to 15");
static bool named;
module_param(named, bool, 0444);
MODULE_PARM_DESC(named, "take only devices whose driver_override is ps_ixgbe");

static irqreturn_t queue_irq(int irq, void *arg)
{
	struct ps_queue *q = arg;

	if (q->index == 0 && READ_ONCE(q->port->idle.running)) {
		napi_schedule(&q->port->idle.napi);
		return IRQ_HANDLED;
	}
	atomic_long_inc(&q->wakeups);
	wake_up_interruptible_poll(&q->wait, EPOLLIN | EPOLLRDNORM |
				   EPOLLOUT | EPOLLWRNORM);
	return IRQ_HANDLED;
}

/* The last vector: link changes and the net device's transmit ring. */
static irqreturn_t other_irq(int irq, void *arg)
{
	struct ps_port *p = arg;
	u32 cause = ps_rd(p, EICR);

	ps_wr(p, EICR, cause & 0xffff0000);
	ps_netdev_clean(p, false);
	if (cause & (EICR_LSC | EICR_SDP2))
		mod_delayed_work(system_wq, &p->service, 0);
	if (cause & (EICR_PCI | EICR_ECC))
		ps_life_ask_reset(p, cause & EICR_PCI ? "PCI exception" :
				  "memory error in the chip");
	ps_wr(p, EIMS, EICR_OTHER);
	ps_wr(p, EIMS_EX(0), 1u << p->nqueues);
	return IRQ_HANDLED;
}

static void link_changed(struct ps_port *p, u32 mbps)
{
	WRITE_ONCE(p->link_mbps, mbps);
	if (mbps)
		netif_carrier_on(p->netdev);
	else
		netif_carrier_off(p->netdev);
	netdev_info(p->netdev, "link is %s, %u Mb/s\n", mbps ? "up" : "down",
		    mbps);
	ps_chr_tell(p, EPOLLPRI);
}

/* Once a second, and at once after a link interrupt. */
static void service(struct work_struct *work)
{
	struct ps_port *p = container_of(to_delayed_work(work), struct ps_port,
					 service);
	unsigned int i;
	u32 mbps;

	if (ps_hw_pulled(p)) {
		ps_life_ask_reset(p, "registers read all ones");
		return;
	}
	mbps = ps_hw_link(p);
	if (p->sfp && (!mbps || p->module != PS_MODULE_THERE) &&
	    ps_sfp_look(p)) {
		mbps = ps_hw_link(p);
		ps_chr_tell(p, EPOLLPRI);
	}
	if (mbps != p->link_mbps)
		link_changed(p, mbps);
	ps_netdev_clean(p, false);
	mutex_lock(&p->lock);
	ps_stats_read(p);
	mutex_unlock(&p->lock);
	for (i = 0; i < p->nqueues; i++)
		ps_queue_service(&p->queue[i]);
	schedule_delayed_work(&p->service, HZ);
}

/* The vectors that there are decide how many queue pairs the port has. */
static int alloc_vectors(struct ps_port *p)
{
	unsigned int n = clamp(queues, 1u, (unsigned int)PS_QUEUES_MAX);
	int got = pci_alloc_irq_vectors(p->pdev, 2, n + 1, PCI_IRQ_MSIX);

	if (got < 0) {
		dev_err(&p->pdev->dev, "needs two MSI-X vectors or more: %d\n",
			got);
		return got;
	}
	p->nqueues = got - 1;
	if (p->nqueues < n)
		dev_warn(&p->pdev->dev, "%u queue pairs for want of vectors\n",
			 p->nqueues);
	return 0;
}

/* /proc/interrupts names queue i's vector xgeN-rx-i. */
static int request_irqs(struct ps_port *p)
{
	const char *name = p->netdev->name;
	int r;

	for (; p->irqs < p->nqueues; p->irqs++) {
		r = pci_request_irq(p->pdev, p->irqs, queue_irq, NULL,
				    &p->queue[p->irqs], "%s-rx-%u", name,
				    p->irqs);
		if (r < 0)
			return r;
	}
	r = pci_request_irq(p->pdev, p->irqs, other_irq, NULL, p, "%s-other",
			    name);
	p->irqs += r == 0;
	return r;
}

/* No handler runs after this. */
static void free_irqs(struct ps_port *p)
{
	unsigned int i;

	for (i = 0; i < p->irqs; i++)
		pci_free_irq(p->pdev, i, i < p->nqueues ?
			     (void *)&p->queue[i] : (void *)p);
}

static int map_device(struct ps_port *p)
{
	struct pci_dev *pdev = p->pdev;
	int r = pci_enable_device_mem(pdev);

	if (r < 0)
		return r;
	r = dma_set_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(64));
	if (r == 0)
		r = pci_request_mem_regions(pdev, PS_NAME);
	if (r < 0)
		goto disable;
	p->io = pci_ioremap_bar(pdev, 0);
	if (p->io) {
		pci_set_master(pdev);
		return 0;
	}
	r = -ENOMEM;
	pci_release_mem_regions(pdev);
disable:
	pci_disable_device(pdev);
	return r;
}

static struct ps_port *new_port(struct pci_dev *pdev)
{
	struct ps_port *p = kzalloc(sizeof(*p), GFP_KERNEL);
	unsigned int i;

	if (!p)
		return NULL;
	kref_init(&p->ref);
	p->pdev = pci_dev_get(pdev);
	mutex_init(&p->lock);
	mutex_init(&p->life);
	p->down = true;			/* until all of it is there */
	p->rx_pause = true;
	p->tx_pause = true;
	INIT_DELAYED_WORK(&p->reset, ps_life_reset);
	INIT_DELAYED_WORK(&p->service, service);
	for (i = 0; i < PS_RSS_KEY_BYTES; i++)
		p->key[i] = i & 1 ? 0x5a : 0x6d;	/* mtcpd's default */
	for (i = 0; i < PS_QUEUES_MAX; i++) {
		p->queue[i].port = p;
		p->queue[i].index = i;
		mutex_init(&p->queue[i].lock);
		init_waitqueue_head(&p->queue[i].wait);
	}
	return p;
}

#define HAS_CAGE 1	/* driver_data */

/* QSFP, and the virtual function's ids, are not here: they need other care. */
static struct pci_device_id ids[] = {
	{ PCI_VDEVICE(INTEL, 0x10f7) },			/* KX4 backplane */
	{ PCI_VDEVICE(INTEL, 0x10f8) },			/* combined backplane */
	{ PCI_VDEVICE(INTEL, 0x10f9) },			/* CX4 */
	{ PCI_VDEVICE(INTEL, 0x10fb), HAS_CAGE },	/* SFP+ */
	{ PCI_VDEVICE(INTEL, 0x10fc) },			/* XAUI on the board */
	{ PCI_VDEVICE(INTEL, 0x1507), HAS_CAGE },	/* SFP+, extended */
	{ PCI_VDEVICE(INTEL, 0x1514) },			/* KX4 mezzanine */
	{ PCI_VDEVICE(INTEL, 0x1517) },			/* KR */
	{ PCI_VDEVICE(INTEL, 0x151c) },			/* 10GBASE-T */
	{ PCI_VDEVICE(INTEL, 0x1529), HAS_CAGE },	/* SFP+, FCoE */
	{ PCI_VDEVICE(INTEL, 0x152a) },			/* backplane, FCoE */
	{ PCI_VDEVICE(INTEL, 0x154a), HAS_CAGE },	/* SFP+, four ports */
	{ PCI_VDEVICE(INTEL, 0x154d), HAS_CAGE },	/* SFP+, two ports */
	{ PCI_VDEVICE(INTEL, 0x1557), HAS_CAGE },	/* SFP+, one port */
	{ }
};
MODULE_DEVICE_TABLE(pci, ids);

/* Undoes as much of put_together() as was done; all that may sleep on. */
static void take_apart(struct ps_port *p)
{
	ps_chr_remove(p);		/* gone from here on */
	ps_hw_mask(p);
	free_irqs(p);
	cancel_delayed_work_sync(&p->service);	/* it sets the carrier, so */
	cancel_delayed_work_sync(&p->reset);
	if (p->netdev && p->netdev->reg_state == NETREG_REGISTERED)
		unregister_netdev(p->netdev);	/* only then */
	if (ps_hw_stop(p) < 0)
		dev_err(&p->pdev->dev, "the chip does not reset\n");
	ps_netdev_remove(p);
	pci_free_irq_vectors(p->pdev);
	pci_clear_master(p->pdev);
	iounmap(p->io);
	p->io = NULL;
	pci_release_mem_regions(p->pdev);
	pci_disable_device(p->pdev);
	ps_port_put(p);
}

static int put_together(struct ps_port *p)
{
	int r = ps_hw_reset(p);

	if (r == 0)
		r = alloc_vectors(p);
	if (r == 0)
		r = ps_hw_start(p);
	if (r == 0)
		r = ps_netdev_add(p);
	if (r == 0)
		r = request_irqs(p);
	if (r == 0)
		r = ps_chr_add(p);
	if (r < 0)
		return r;
	mutex_lock(&p->lock);
	r = ps_idle_start(p);
	p->down = r < 0;
	mutex_unlock(&p->lock);
	return r;
}

static int probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct ps_port *p;
	int r;

	if (!pci_match_id(ids, pdev)) {		/* driver_override says any */
		dev_err(&pdev->dev, "%04x:%04x is no 82599\n", pdev->vendor,
			pdev->device);
		return -ENODEV;
	}
	p = new_port(pdev);
	if (!p)
		return -ENOMEM;
	p->sfp = id->driver_data;
	r = map_device(p);
	if (r < 0) {
		ps_port_put(p);
		return r;
	}
	r = put_together(p);
	if (r < 0) {
		if (r == -ENOMEM)
			dev_err(&pdev->dev, "out of memory\n");
		take_apart(p);
		return r;
	}
	pci_set_drvdata(pdev, p);
	pci_enable_pcie_error_reporting(pdev);
	pci_save_state(pdev);			/* for slot_reset() */
	netdev_info(p->netdev, "82599 at %s, %pM, %u queue pairs, /dev/%s\n",
		    pci_name(pdev), p->mac, p->nqueues, p->node);
	schedule_delayed_work(&p->service, 0);
	return 0;
}

static void remove(struct pci_dev *pdev)
{
	take_apart(pci_get_drvdata(pdev));
}

static struct pci_driver ps_driver = {
	.name = PS_NAME,
	.id_table = ids,
	.probe = probe,
	.remove = remove,
	.shutdown = ps_life_sleep,
	.driver.pm = pm_ptr(&ps_pm_ops),
	.err_handler = &ps_error_handlers,
};

static int __init ps_init(void)
{
	struct pci_device_id *id;

	for (id = ids; named && id->vendor; id++)
		id->override_only = 1;
	return pci_register_driver(&ps_driver);
}
module_init(ps_init);

static void __exit ps_exit(void)
{
	pci_unregister_driver(&ps_driver);
}
module_exit(ps_exit);

MODULE_VERSION(PS_VERSION);
MODULE_DESCRIPTION("82599 queues for user processes (mtcpd)");
MODULE_LICENSE("Dual BSD/GPL");
