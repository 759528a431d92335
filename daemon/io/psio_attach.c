/* psio_attach.c - the lives of a psio queue's device (port_psio.h) */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "io/port_psio.h"
#include "shm/rss.h"

#define RUNS	512u		/* frames to be sent, or received in parts */

static void free_life(struct psio_life *l)
{
	if (l->h)
		ps_detach_queue(l->h);
	free(l->rx);
	free(l->run);
	free(l);
}

static void make_frames(struct psio_life *l)
{
	for (uint32_t b = 0; b < l->first; b++) {
		l->rx[b].token = (uint64_t)l->serial << 32 | b;
	}
	for (uint32_t i = l->runs; i--;) {
		struct frame *f = &l->run[i].f;

		f->token = (uint64_t)l->serial << 32 |
			(l->first + i * PSIO_RUN_BUFS);
		psio_run_put(l, f);
	}
}

static int open_queue(struct psio_queue *q, struct psio_life *l)
{
	const uint32_t reserve = RUNS * PSIO_RUN_BUFS, slots = q->p->slots;
	struct ps_attach a = {
		.queue = q->q.index,
		.rx_slots = slots,
		.tx_slots = slots,
		/* the ring's own, as many again on their way, and the runs */
		.extra = reserve,
	};
	int rc = ps_attach_queue(&l->h, q->p->path, &a);

	if (rc < 0) {
		l->h = NULL;
		return rc;
	}
	rc = ps_set_rss_key(l->h, rss_symmetric_key);
	if (rc >= 0)
		rc = ps_reserve(l->h, reserve);
	if (rc < 0)
		return rc;
	l->first = (uint32_t)rc;
	l->runs = RUNS;
	return 0;
}

int psio_attach(struct psio_queue *q)
{
	struct psio_life *l = calloc(1, sizeof(*l));
	int rc;

	if (!l)
		return -ENOMEM;
	l->q = q;
	l->serial = ++q->serial;
	rc = open_queue(q, l);
	if (!rc) {
		l->rx = calloc(l->first, sizeof(*l->rx));
		l->run = calloc(l->runs, sizeof(*l->run));
		rc = l->rx && l->run ? 0 : -ENOMEM;
	}
	if (rc) {
		free_life(l);
		return rc;
	}
	make_frames(l);
	q->now = l;
	psio_map_again(q);
	return 0;
}

void psio_collect(struct psio_life *l)
{
	uint32_t buf[64], n;

	while ((n = ps_returned(l->h, buf, 64)))
		for (uint32_t i = 0; i < n; i++) {
			struct psio_run *r = &l->run[(buf[i] - l->first) /
						     PSIO_RUN_BUFS];

			if (--r->sending == 0)
				psio_run_put(l, &r->f);
		}
}

void psio_lost(struct psio_queue *q, mono_t now)
{
	struct psio_life *l = q->now;

	/* The driver ended DMA before it said so, or does it now: what was with
	 * the chip is ours again. */
	ps_let_go(l->h);
	for (uint32_t i = 0; i < l->runs; i++)
		if (l->run[i].sending) {
			l->run[i].sending = 0;
			psio_run_put(l, &l->run[i].f);
		}
	l->older = q->old;
	q->old = l;
	q->now = NULL;
	q->retry = mono_add(now, PSIO_RETRY_US);
	atomic_store_explicit(&q->p->link_mbps, 0, memory_order_relaxed);
	log_event(LOG_EV_PORT_LOST, LOG_LEVEL_WARN,
		  "port %s: queue %u: %s has gone; mtcpd goes on without it "
		  "and looks for it once a second", q->p->port.name,
		  q->q.index, q->p->path);
}

void psio_bury(struct psio_queue *q, bool all)
{
	struct psio_life **at = &q->old, *l;

	while ((l = *at)) {
		if (!all && l->out) {
			at = &l->older;
			continue;
		}
		*at = l->older;
		free_life(l);
	}
}

static bool is_named(const struct ps_device *d, const char *name)
{
	return !strcmp(d->info.name, name) || !strcmp(d->info.bus, name) ||
		!strcmp(d->path, name);
}

int psio_find(struct psio_port *p, const char *name, struct ps_info *info)
{
	struct ps_device d[PS_DEVICES_MAX];
	int n = ps_list_devices(d, PS_DEVICES_MAX);

	for (int i = 0; i < n; i++) {
		if (!is_named(&d[i], name))
			continue;
		*info = d[i].info;
		memcpy(p->path, d[i].path, sizeof(d[i].path));
		memcpy(p->bus, d[i].info.bus, sizeof(p->bus));
		return 0;
	}
	return n > 0 ? -ENODEV : n < 0 ? n : -ENOENT;
}
