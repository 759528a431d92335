// SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause
/*
 * ps_chr.c - /dev/ps/xgeN: one open file, one queue pair (ps_uapi.h)
 *
 * The file outlives the device: its port is counted, and every entry checks
 * port->gone under a lock that ps_chr_remove() takes to set it.
 */
#include <linux/fs.h>
#include <linux/poll.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "ps.h"

struct ps_file {
	struct ps_port *port;
	struct ps_queue *queue;		/* NULL until attached; port->lock */
	int events;			/* link changes that were read */
	struct mutex lock;		/* attach and detach against all else */
};

static void port_free(struct kref *ref)
{
	struct ps_port *p = container_of(ref, struct ps_port, ref);

	pci_dev_put(p->pdev);
	kfree(p);
}

void ps_port_put(struct ps_port *p)
{
	kref_put(&p->ref, port_free);
}

static int chr_open(struct inode *inode, struct file *file)
{
	/* misc_open() holds misc_mtx, which misc_deregister() waits for */
	struct ps_port *p = container_of(file->private_data, struct ps_port,
					 misc);
	struct ps_file *f = kzalloc(sizeof(*f), GFP_KERNEL);

	if (!f)
		return -ENOMEM;
	kref_get(&p->ref);
	f->port = p;
	f->events = atomic_read(&p->events);
	mutex_init(&f->lock);
	file->private_data = f;
	return 0;
}

static void let_go(struct ps_file *f)
{
	struct ps_port *p = f->port;

	if (!f->queue)
		return;
	mutex_lock(&p->lock);
	if (!p->gone)
		ps_queue_stop(f->queue);
	ps_queue_detach(f->queue);
	f->queue = NULL;
	mutex_unlock(&p->lock);
}

static int chr_release(struct inode *inode, struct file *file)
{
	struct ps_file *f = file->private_data;

	let_go(f);
	ps_port_put(f->port);
	kfree(f);
	return 0;
}

/* Why a process got nothing, for the administrator. */
#define say(p, what, ...) \
	dev_warn_ratelimited(&(p)->pdev->dev, "%s" what "\n", current->comm, \
			     __VA_ARGS__)

static void say_refused(const struct ps_port *p, const struct ps_attach *a,
			long r)
{
	if (r == -EPROTONOSUPPORT)
		say(p, " speaks version %u of the contract, not %u",
		    a->version, PS_UAPI_VERSION);
	else if (r == -EBUSY)
		say(p, ": queue %u is taken already", a->queue);
	else if (r == -ENOMEM)
		say(p, ": no memory for queue %u's %u buffers", a->queue,
		    a->buffers);
	else if (r == -EINVAL && a->queue >= p->nqueues)
		say(p, ": there is no queue %u, but 0 to %u", a->queue,
		    p->nqueues - 1);
}

static long do_info(struct ps_port *p, void __user *arg)
{
	struct ps_info i = {
		.version = PS_UAPI_VERSION,
		.queues = p->nqueues,
		.link_mbps = READ_ONCE(p->link_mbps),
		.numa_node = dev_to_node(&p->pdev->dev),
	};
	struct ps_attach a;
	bool gone;

	if (copy_from_user(&a.version, arg, sizeof(a.version)))
		return -EFAULT;
	if (a.version != PS_UAPI_VERSION) {
		say_refused(p, &a, -EPROTONOSUPPORT);
		return -EPROTONOSUPPORT;
	}
	memcpy(i.mac, p->mac, sizeof(i.mac));
	strscpy(i.bus, pci_name(p->pdev), sizeof(i.bus));
	mutex_lock(&p->lock);
	gone = p->gone;
	if (!gone)
		strscpy(i.name, p->netdev->name, sizeof(i.name));
	mutex_unlock(&p->lock);
	if (gone)
		return -ENODEV;
	return copy_to_user(arg, &i, sizeof(i)) ? -EFAULT : 0;
}

static long do_attach(struct ps_file *f, void __user *arg)
{
	struct ps_port *p = f->port;
	struct ps_attach a;
	long r;

	if (copy_from_user(&a, arg, sizeof(a)))
		return -EFAULT;
	if (f->queue)
		return -EBUSY;
	mutex_lock(&p->lock);
	if (p->gone)
		r = -ENODEV;
	else if (a.version != PS_UAPI_VERSION)
		r = -EPROTONOSUPPORT;
	else if (a.queue >= p->nqueues)
		r = -EINVAL;
	else
		r = ps_queue_attach(&p->queue[a.queue], &a);
	if (r == 0)
		f->queue = &p->queue[a.queue];
	mutex_unlock(&p->lock);
	say_refused(p, &a, r);
	if (r == 0 && copy_to_user(arg, &a, sizeof(a))) {
		let_go(f);
		r = -EFAULT;
	}
	return r;
}

static long do_event(struct ps_file *f, void __user *arg)
{
	struct ps_event e = { .state = PS_STATE_UP };

	f->events = atomic_read(&f->port->events);
	if (f->port->gone)
		e.state = PS_STATE_GONE;
	else if (f->queue && f->queue->broken)
		e.state = PS_STATE_ERROR;
	e.link_mbps = READ_ONCE(f->port->link_mbps);
	return copy_to_user(arg, &e, sizeof(e)) ? -EFAULT : 0;
}

static long do_rss(struct ps_port *p, void __user *arg)
{
	struct ps_rss k;
	long r = 0;

	if (copy_from_user(&k, arg, sizeof(k)))
		return -EFAULT;
	mutex_lock(&p->lock);
	if (p->gone) {
		r = -ENODEV;
	} else {
		memcpy(p->key, k.key, sizeof(p->key));
		ps_hw_rss(p);
	}
	mutex_unlock(&p->lock);
	return r;
}

static long do_sync(struct ps_file *f, void __user *arg)
{
	struct ps_sync s = { 0 };
	int r;

	if (!f->queue)
		return f->port->gone ? -ENODEV : -ENXIO;
	r = ps_queue_sync(f->queue, &s);
	if (r < 0)
		return r;
	return copy_to_user(arg, &s, sizeof(s)) ? -EFAULT : 0;
}

static long do_map(struct ps_file *f, void __user *arg)
{
	struct ps_map a;
	long r;

	if (copy_from_user(&a, arg, sizeof(a)))
		return -EFAULT;
	r = f->queue ? ps_region_map(f->queue, &a) : -ENXIO;
	if (r == 0 && copy_to_user(arg, &a, sizeof(a))) {
		ps_region_unmap(f->queue, a.region);
		r = -EFAULT;
	}
	return r;
}

static long chr_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct ps_file *f = file->private_data;
	void __user *u = (void __user *)arg;
	long r;

	if (cmd == PS_IOC_INFO)
		return do_info(f->port, u);
	if (mutex_lock_interruptible(&f->lock))
		return -EINTR;
	switch (cmd) {
	case PS_IOC_ATTACH:
		r = do_attach(f, u);
		break;
	case PS_IOC_DETACH:
		/* maps that are still there keep their pages, nobody else's */
		r = f->queue ? 0 : -ENXIO;
		let_go(f);
		break;
	case PS_IOC_SYNC:
		r = do_sync(f, u);
		break;
	case PS_IOC_EVENT:
		r = do_event(f, u);
		break;
	case PS_IOC_RSS:
		r = do_rss(f->port, u);
		break;
	case PS_IOC_MAP:
		r = do_map(f, u);
		break;
	case PS_IOC_UNMAP:
		r = f->queue ? ps_region_unmap(f->queue, arg) : -ENXIO;
		break;
	default:
		r = -ENOTTY;
	}
	mutex_unlock(&f->lock);
	return r;
}

static __poll_t chr_poll(struct file *file, poll_table *t)
{
	struct ps_file *f = file->private_data;
	__poll_t m = 0;

	mutex_lock(&f->lock);
	if (f->queue) {
		poll_wait(file, &f->queue->wait, t);
		m = ps_queue_ready(f->queue, true);
	} else if (f->port->gone) {
		m = EPOLLERR | EPOLLHUP;
	}
	if (f->events != atomic_read(&f->port->events))
		m |= EPOLLPRI;
	mutex_unlock(&f->lock);
	return m;
}

static int chr_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct ps_file *f = file->private_data;
	struct ps_port *p = f->port;
	int r = -ENXIO;

	/* mmap_lock is held: only port->lock, under which nothing faults */
	mutex_lock(&p->lock);
	if (p->gone)
		r = -ENODEV;
	else if (f->queue && f->queue->mem)
		r = ps_mem_mmap(p, f->queue->mem, vma);
	mutex_unlock(&p->lock);
	return r;
}

static const struct file_operations chr_ops = {
	.owner = THIS_MODULE,
	.open = chr_open,
	.release = chr_release,
	.unlocked_ioctl = chr_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.poll = chr_poll,
	.mmap = chr_mmap,
	.llseek = noop_llseek,
};

int ps_chr_add(struct ps_port *p)
{
	int r;

	snprintf(p->node, sizeof(p->node), "ps/%s", p->netdev->name);
	p->misc = (struct miscdevice){
		.minor = MISC_DYNAMIC_MINOR,
		.name = p->netdev->name,
		.nodename = p->node,
		.fops = &chr_ops,
		.mode = 0600,
		.parent = &p->pdev->dev,
	};
	r = misc_register(&p->misc);
	p->registered = r == 0;
	return r;
}

/* No new opens; open files get the error event; queues have no DMA. */
void ps_chr_remove(struct ps_port *p)
{
	unsigned int i;

	if (p->registered)
		misc_deregister(&p->misc);
	mutex_lock(&p->life);
	mutex_lock(&p->lock);
	WRITE_ONCE(p->gone, true);
	for (i = 0; i < p->nqueues; i++)
		ps_queue_end(&p->queue[i], PS_STATE_GONE);
	ps_idle_stop(p);
	mutex_unlock(&p->lock);
	mutex_unlock(&p->life);
	ps_chr_tell(p, EPOLLERR | EPOLLHUP);
}

/* Something changed: whoever sleeps in poll() looks. */
void ps_chr_tell(struct ps_port *p, __poll_t what)
{
	unsigned int i;

	atomic_inc(&p->events);
	for (i = 0; i < p->nqueues; i++)
		wake_up_interruptible_poll(&p->queue[i].wait, what);
}
