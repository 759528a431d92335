// SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause
/*
 * ps_life.c - a port goes down and comes up while it stays bound
 *
 *	up --take_down()--> chip stopped, no DMA --bring_up()--> up
 *	   transmit hang, a queue that would not stop:	reset work
 *	   suspend, PCI error, reset from sysfs:	the kernel's callbacks
 *	   registers read all ones (pulled out):	down for good
 *
 * Every attachment ends with take_down(): its calls say -ENXIO, poll() POLLERR,
 * head.state says why.  The process detaches and attaches again, which is
 * refused with -ENETDOWN until the port is up.
 *
 * Locks      port->life around take_down() and bring_up(), outside all others;
 *            service and interrupts ask for a reset, they do not do it.
 */
#include <linux/interrupt.h>
#include <linux/poll.h>

#include "ps.h"
#include "ps_reg.h"

#define RETRY_S		5

/* No interrupt handler of ours runs after this, and none begins. */
static void quiesce_irqs(struct ps_port *p)
{
	unsigned int i;

	ps_hw_mask(p);
	for (i = 0; i < p->irqs; i++)
		synchronize_irq(pci_irq_vector(p->pdev, i));
}

/* port->life is held, for bring_up() too. */
static void take_down(struct ps_port *p, u32 state)
{
	unsigned int i;

	mutex_lock(&p->lock);
	if (p->down) {
		mutex_unlock(&p->lock);
		return;
	}
	p->down = true;
	for (i = 0; i < p->nqueues; i++)
		ps_queue_end(&p->queue[i], state);
	ps_idle_stop(p);
	mutex_unlock(&p->lock);
	netif_device_detach(p->netdev);
	netif_tx_disable(p->netdev);
	netif_carrier_off(p->netdev);
	quiesce_irqs(p);
	cancel_delayed_work_sync(&p->service);
	if (ps_hw_stop(p) < 0)
		dev_err(&p->pdev->dev, "the chip does not reset\n");
	ps_netdev_clean(p, true);
	WRITE_ONCE(p->link_mbps, 0);
	WRITE_ONCE(p->module, PS_MODULE_UNKNOWN);
	ps_chr_tell(p, EPOLLERR | EPOLLPRI);
}

static int bring_up(struct ps_port *p)
{
	int r;

	mutex_lock(&p->lock);
	r = ps_hw_reset(p);
	if (r == 0)
		r = ps_hw_start(p);
	if (r == 0)
		r = ps_netdev_start_ring(p);
	if (r == 0)
		r = ps_idle_start(p);
	if (r == 0)
		p->down = false;
	mutex_unlock(&p->lock);
	if (r < 0)
		return r;
	netif_device_attach(p->netdev);
	schedule_delayed_work(&p->service, 0);
	return 0;
}

/* Any context: the port is reset soon. */
void ps_life_ask_reset(struct ps_port *p, const char *why)
{
	if (READ_ONCE(p->down) || READ_ONCE(p->gone))
		return;
	dev_err_ratelimited(&p->pdev->dev, "%s: resetting the port\n", why);
	schedule_delayed_work(&p->reset, 0);
}

void ps_life_reset(struct work_struct *work)
{
	struct ps_port *p = container_of(to_delayed_work(work), struct ps_port,
					 reset);
	int r;

	mutex_lock(&p->life);
	if (p->gone || p->asleep)
		goto out;
	if (ps_hw_pulled(p)) {
		dev_err(&p->pdev->dev, "registers read all ones: pulled out\n");
		take_down(p, PS_STATE_GONE);
		goto out;
	}
	take_down(p, PS_STATE_RESET);
	p->resets++;
	r = bring_up(p);
	if (r < 0) {
		dev_err(&p->pdev->dev, "stays down (%d), next try in %d s\n",
			r, RETRY_S);
		schedule_delayed_work(&p->reset, RETRY_S * HZ);
	} else {
		dev_info(&p->pdev->dev, "is up again after a reset\n");
	}
out:
	mutex_unlock(&p->life);
}

static void sleep_as(struct pci_dev *pdev, u32 state)
{
	struct ps_port *p = pci_get_drvdata(pdev);

	mutex_lock(&p->life);
	p->asleep = true;
	take_down(p, state);
	mutex_unlock(&p->life);
}

/* The port goes to sleep or leaves the bus's hands; up again by wake(). */
void ps_life_sleep(struct pci_dev *pdev)
{
	sleep_as(pdev, PS_STATE_RESET);
}

static void wake(struct pci_dev *pdev)
{
	struct ps_port *p = pci_get_drvdata(pdev);
	int r;

	mutex_lock(&p->life);
	p->asleep = false;
	r = bring_up(p);
	mutex_unlock(&p->life);
	if (r < 0) {
		dev_err(&pdev->dev, "stays asleep: %d\n", r);
		schedule_delayed_work(&p->reset, RETRY_S * HZ);
	}
}

static int __maybe_unused ps_suspend(struct device *dev)
{
	ps_life_sleep(to_pci_dev(dev));
	return 0;
}

static int __maybe_unused ps_resume(struct device *dev)
{
	wake(to_pci_dev(dev));
	return 0;
}

SIMPLE_DEV_PM_OPS(ps_pm_ops, ps_suspend, ps_resume);

static pci_ers_result_t error_detected(struct pci_dev *pdev,
				       pci_channel_state_t state)
{
	bool lost = state == pci_channel_io_perm_failure;

	sleep_as(pdev, lost ? PS_STATE_GONE : PS_STATE_RESET);
	return lost ? PCI_ERS_RESULT_DISCONNECT : PCI_ERS_RESULT_NEED_RESET;
}

/* The bus may have been reset: BARs and vectors are as probe() left them. */
static pci_ers_result_t slot_reset(struct pci_dev *pdev)
{
	pdev->state_saved = true;
	pci_restore_state(pdev);
	return ps_hw_pulled(pci_get_drvdata(pdev)) ?
		PCI_ERS_RESULT_DISCONNECT : PCI_ERS_RESULT_RECOVERED;
}

const struct pci_error_handlers ps_error_handlers = {
	.error_detected = error_detected,
	.slot_reset = slot_reset,
	.resume = wake,
	.reset_prepare = ps_life_sleep,
	.reset_done = wake,
};
