// SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause
/*
 * ps_region.c - memory of the process that the chip reads where it lies
 *
 * Pages are pinned from MAP to UNMAP or detach, whatever the process does to
 * its address space.  They are on the bus while the queue runs: it stops,
 * which ends DMA, then they leave the bus, then they are unpinned.
 *
 * Where each step's pages follow each other (huge pages), a step is a unit and
 * has one bus address; else each page is one.
 */
#include <linux/dma-mapping.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "ps.h"

#define STEP_PAGES	(PS_REGION_STEP / PAGE_SIZE)

struct pinned {
	struct ps_region r;		/* first: the table has these */
	struct mm_struct *mm;		/* whose pinned_vm has the pages */
	struct page **page;
	long pages, pinned;
	dma_addr_t *dma;		/* of each unit */
	unsigned long mapped;		/* units */
};

static struct pinned *pinned_at(const struct ps_mem *m, u32 number)
{
	return container_of(m->regions.region[number], struct pinned, r);
}

static void unpin(struct pinned *g)
{
	if (g->pinned > 0)
		unpin_user_pages(g->page, g->pinned);
	atomic64_sub(g->pages, &g->mm->pinned_vm);
	mmdrop(g->mm);
	kvfree(g->page);
	kvfree(g->dma);
	kfree(g);
}

/* Counted in pinned_vm, as RDMA's: locked_vm has mmap_lock for its lock. */
static int pin(struct pinned *g, const struct ps_map *a)
{
	unsigned long most = rlimit(RLIMIT_MEMLOCK) >> PAGE_SHIFT;

	g->r.bytes = a->bytes;
	g->pages = a->bytes >> PAGE_SHIFT;
	g->mm = current->mm;
	mmgrab(g->mm);
	if (atomic64_add_return(g->pages, &g->mm->pinned_vm) > most &&
	    !capable(CAP_IPC_LOCK))
		return -ENOMEM;
	g->page = kvcalloc(g->pages, sizeof(*g->page), PS_GFP);
	if (!g->page)
		return -ENOMEM;
	g->pinned = pin_user_pages_fast(a->addr, g->pages, FOLL_LONGTERM,
					g->page);
	if (g->pinned < 0)
		return g->pinned;
	return g->pinned == g->pages ? 0 : -EFAULT;
}

static bool steps_are_whole(const struct pinned *g)
{
	long i;

	for (i = 0; i < g->pages; i++)
		if (page_to_pfn(g->page[i]) !=
		    page_to_pfn(g->page[i - i % STEP_PAGES]) + i % STEP_PAGES)
			return false;
	return true;
}

static void leave_bus(struct ps_port *p, struct pinned *g)
{
	while (g->mapped)
		dma_unmap_page(&p->pdev->dev, g->dma[--g->mapped],
			       1ul << g->r.unit_log2, DMA_TO_DEVICE);
	g->r.sending = 0;
}

static int enter_bus(struct ps_port *p, struct pinned *g)
{
	unsigned long unit = steps_are_whole(g) ? PS_REGION_STEP : PAGE_SIZE;
	unsigned long n = g->r.bytes / unit;
	struct device *dev = &p->pdev->dev;
	dma_addr_t at;

	g->r.unit_log2 = ilog2(unit);
	g->dma = kvcalloc(n, sizeof(*g->dma), PS_GFP);
	if (!g->dma)
		return -ENOMEM;
	while (g->mapped < n) {
		at = dma_map_page(dev, g->page[g->mapped * unit / PAGE_SIZE],
				  0, unit, DMA_TO_DEVICE);
		if (dma_mapping_error(dev, at))
			return -ENOMEM;
		g->dma[g->mapped++] = at;
		if (ps_mem_copied(p, at))
			return -EOPNOTSUPP;
	}
	return 0;
}

/* A number that is free, or -errno. */
static int free_number(struct ps_regions *r)
{
	u32 i;

	if (!r->region)
		r->region = kvcalloc(PS_REGIONS_MAX + 1, sizeof(*r->region),
				     PS_GFP);
	if (!r->region)
		return -ENOMEM;
	r->count = PS_REGIONS_MAX + 1;
	for (i = 1; i < r->count && r->region[i]; i++)
		;
	return i < r->count ? i : -ENOSPC;
}

/* q->lock held. */
static int add(struct ps_queue *q, struct pinned *g, struct ps_map *a)
{
	int number, r = ps_queue_usable(q);

	if (r == 0 && ps_mem_copied(q->port, q->mem->ring_dma))
		r = -EOPNOTSUPP;
	if (r < 0)
		return r;
	number = free_number(&q->mem->regions);
	if (number < 0)
		return number;
	r = enter_bus(q->port, g);
	if (r < 0) {
		leave_bus(q->port, g);
		return r;
	}
	q->mem->regions.region[number] = &g->r;
	a->region = number;
	a->unit = 1u << g->r.unit_log2;
	return 0;
}

int ps_region_map(struct ps_queue *q, struct ps_map *a)
{
	struct pinned *g;
	int r;

	if (!a->bytes || a->bytes > PS_REGION_MAX ||
	    (a->addr | a->bytes) % PS_REGION_STEP ||
	    a->addr + a->bytes < a->addr)
		return -EINVAL;
	g = kzalloc(sizeof(*g), GFP_KERNEL);
	if (!g)
		return -ENOMEM;
	r = pin(g, a);
	if (r == 0) {
		mutex_lock(&q->lock);
		r = add(q, g, a);
		mutex_unlock(&q->lock);
	}
	if (r < 0)
		unpin(g);
	return r;
}

int ps_region_unmap(struct ps_queue *q, unsigned long number)
{
	struct pinned *g = NULL;
	struct ps_regions *t;
	int r = -EINVAL;

	mutex_lock(&q->lock);
	t = q->mem ? &q->mem->regions : NULL;
	if (t && number < t->count && t->region[number])
		r = t->region[number]->sending ? -EBUSY : 0;
	if (r == 0) {
		g = pinned_at(q->mem, number);
		leave_bus(q->port, g);
		t->region[number] = NULL;
	}
	mutex_unlock(&q->lock);
	if (g)
		unpin(g);
	return r;
}

dma_addr_t ps_region_dma(const struct ps_mem *m, const struct ps_slot *s)
{
	const struct pinned *g = pinned_at(m, s->hash);

	return g->dma[s->buf >> g->r.unit_log2] +
	       (s->buf & ((1u << g->r.unit_log2) - 1));
}

void ps_regions_leave_bus(struct ps_port *p, struct ps_mem *m)
{
	u32 i;

	for (i = 1; i < m->regions.count; i++)
		if (m->regions.region[i])
			leave_bus(p, pinned_at(m, i));
}

void ps_regions_free(struct ps_mem *m)
{
	u32 i;

	for (i = 1; i < m->regions.count; i++)
		if (m->regions.region[i])
			unpin(pinned_at(m, i));
	kvfree(m->regions.region);
}
