/*
 * xdp_heard.c - what the program overheard (port_xdp.h)
 *
 *	program --> BPF ring buffer --> a frame of queue 0 --> the engine
 *
 * A gratuitous ARP of a neighbour is the kernel's and ours.  XDP gives a frame
 * to one of them, so the program passes it on and leaves us a copy here.
 *
 * System calls  None, but for the wake-up of an engine that sleeps.
 * Threads   Open and close: control.  The rest: the engine of queue 0.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <bpf/libbpf.h>

#include "io/port_xdp.h"

/* One record; negative: no room for another one now. */
static int heard_one(void *arg, void *data, size_t len)
{
	struct xdp_port *p = arg;
	struct xdp_heard *h = &p->heard;
	struct port_queue *q = p->port.queues[0];
	struct frame *f;

	if (port_alloc(q, &f, 1) != 1)
		return 0;	/* counted there */
	if (len > f->room) {
		port_free(q, &f, 1);
		return 0;
	}
	memcpy(f->data, data, len);
	f->len = (uint32_t)len;
	counter_add(&q->stats.rx_frames, 1);
	counter_add(&q->stats.rx_bytes, len);
	h->out[h->count++] = f;
	return h->count < h->max ? 0 : -EAGAIN;
}

int xdp_heard_open(struct xdp_port *p, char *err)
{
	p->heard.ring = ring_buffer__new(p->prog.heard, heard_one, p, NULL);
	if (p->heard.ring)
		return 0;
	snprintf(err, PORT_ERR_BYTES, "port on %s: the ring buffer of the XDP "
		 "program: %s", p->dev.name, strerror(errno));
	return errno ? -errno : -ENOMEM;
}

void xdp_heard_close(struct xdp_port *p)
{
	ring_buffer__free(p->heard.ring);
	p->heard.ring = NULL;
}

int xdp_heard_take(struct xdp_port *p, struct frame **out, int max)
{
	struct xdp_heard *h = &p->heard;

	if (max <= 0)
		return 0;
	h->out = out;
	h->max = max;
	h->count = 0;
	ring_buffer__consume(h->ring);
	return h->count;
}

int xdp_heard_fd(const struct xdp_port *p)
{
	return ring_buffer__epoll_fd(p->heard.ring);
}
