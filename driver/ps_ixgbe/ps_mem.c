// SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause
/*
 * ps_mem.c - packet buffers and rings that a process maps
 *
 * Buffers lie in blocks of up to 2 MiB on the port's NUMA node.  The user's
 * map holds a reference on every page, so memory outlives whatever happens to
 * the device; the bus mapping does not: ps_mem_unmap() runs as soon as the
 * hardware queue has stopped.
 */
#include <linux/dma-map-ops.h>
#include <linux/iommu.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "ps.h"
#include "ps_compat.h"

#define ORDER_MAX	9	/* 2 MiB */

static size_t block_bytes(const struct ps_mem *m)
{
	return PAGE_SIZE << m->order;
}

static unsigned int per_block(const struct ps_mem *m)
{
	return block_bytes(m) / PS_BUF_BYTES;
}

static void free_blocks(struct ps_mem *m)
{
	unsigned int i;

	for (i = 0; i < m->blocks && m->block && m->block[i]; i++)
		__free_pages(m->block[i], m->order);
	kvfree(m->block);
	kvfree(m->dma);
	m->block = NULL;
	m->dma = NULL;
}

static int alloc_blocks(struct ps_mem *m, int node, unsigned int order)
{
	unsigned int i;

	m->order = order;
	m->blocks = DIV_ROUND_UP((size_t)m->buffers * PS_BUF_BYTES,
				 block_bytes(m));
	m->block = kvcalloc(m->blocks, sizeof(*m->block), PS_GFP);
	m->dma = kvcalloc(m->blocks, sizeof(*m->dma), PS_GFP);
	if (!m->block || !m->dma)
		goto fail;
	for (i = 0; i < m->blocks; i++) {
		m->block[i] = alloc_pages_node(node, PS_GFP | __GFP_ZERO |
					       __GFP_COMP, order);
		if (!m->block[i])
			goto fail;
	}
	return 0;
fail:
	free_blocks(m);
	return -ENOMEM;
}

static int alloc_ring(struct ps_port *p, struct ps_mem *m, u32 rx, u32 tx)
{
	m->rx_bytes = PAGE_ALIGN(rx * sizeof(struct ps_desc));
	m->ring_bytes = m->rx_bytes + PAGE_ALIGN(tx * sizeof(struct ps_desc));
	m->ring = alloc_pages_node(dev_to_node(&p->pdev->dev), PS_GFP |
				   __GFP_ZERO | __GFP_COMP,
				   get_order(m->ring_bytes));
	return m->ring ? 0 : -ENOMEM;
}

static int map_blocks(struct ps_port *p, struct ps_mem *m)
{
	struct device *dev = &p->pdev->dev;
	unsigned int i;

	m->ring_dma = dma_map_page(dev, m->ring, 0, m->ring_bytes,
				   DMA_BIDIRECTIONAL);
	if (dma_mapping_error(dev, m->ring_dma))
		return -ENOMEM;
	m->mapped = true;
	for (i = 0; i < m->blocks; i++) {
		m->dma[i] = dma_map_page(dev, m->block[i], 0, block_bytes(m),
					 DMA_BIDIRECTIONAL);
		if (dma_mapping_error(dev, m->dma[i])) {
			ps_mem_unmap(p, m);
			return -ENOMEM;
		}
		m->blocks_mapped++;
	}
	return 0;
}

struct ps_mem *ps_mem_new(struct ps_port *p, size_t head_bytes, u32 buffers,
			  u32 rx_slots, u32 tx_slots)
{
	struct ps_mem *m = kzalloc(sizeof(*m), GFP_KERNEL);
	int order, node = dev_to_node(&p->pdev->dev);

	if (!m)
		return NULL;
	m->buffers = buffers;
	m->head_bytes = head_bytes;
	m->head = __vmalloc(head_bytes, PS_GFP | __GFP_ZERO);
	if (!m->head || alloc_ring(p, m, rx_slots, tx_slots) < 0)
		goto fail;
	/* swiotlb maps 256 KiB in one piece, and no more */
	for (order = ORDER_MAX; order >= 0; order -= 3) {
		if (alloc_blocks(m, node, order) < 0)
			continue;
		if (map_blocks(p, m) == 0)
			return m;
		free_blocks(m);
	}
fail:
	ps_mem_free(m);
	return NULL;
}

void ps_mem_unmap(struct ps_port *p, struct ps_mem *m)
{
	unsigned int i;

	if (!m->mapped)
		return;
	ps_regions_leave_bus(p, m);
	dma_unmap_page(&p->pdev->dev, m->ring_dma, m->ring_bytes,
		       DMA_BIDIRECTIONAL);
	for (i = 0; i < m->blocks_mapped; i++)
		dma_unmap_page(&p->pdev->dev, m->dma[i], block_bytes(m),
			       DMA_BIDIRECTIONAL);
	m->blocks_mapped = 0;
	m->mapped = false;
}

void ps_mem_free(struct ps_mem *m)
{
	if (!m)
		return;
	WARN_ON(m->mapped);
	ps_regions_free(m);
	free_blocks(m);
	if (m->ring)
		__free_pages(m->ring, get_order(m->ring_bytes));
	vfree(m->head);
	kfree(m);
}

/*
 * Is what the chip writes seen only after a sync?  An IOMMU translates and does
 * not copy, but for devices that it does not trust.
 */
bool ps_mem_copied(struct ps_port *p, dma_addr_t at)
{
	struct device *dev = &p->pdev->dev;
	struct iommu_domain *d = iommu_get_domain_for_dev(dev);

	if (d && d->type & __IOMMU_DOMAIN_DMA_API)
		return !dev_is_dma_coherent(dev) || to_pci_dev(dev)->untrusted;
	return dma_need_sync(dev, at);
}

static struct page *page_of(const struct ps_mem *m, unsigned long offset,
			    unsigned long at)
{
	if (offset == PS_MAP_BUFFERS)
		return m->block[at / block_bytes(m)] +
		       at % block_bytes(m) / PAGE_SIZE;
	if (offset == PS_MAP_DESCRIPTORS)
		return m->ring + at / PAGE_SIZE;
	return vmalloc_to_page((void *)m->head + at);
}

/*
 * The user sees done bits in the ring, and the bus addresses of his own
 * buffers.  He can never write there: neither now nor by mprotect().
 */
static int may_map_ring(struct ps_port *p, const struct ps_mem *m,
			struct vm_area_struct *vma)
{
	if (vma->vm_flags & VM_WRITE)
		return -EACCES;
	if (!m->mapped || ps_mem_copied(p, m->ring_dma))
		return -EOPNOTSUPP;
	vm_flags_clear(vma, VM_MAYWRITE);
	return 0;
}

int ps_mem_mmap(struct ps_port *p, struct ps_mem *m,
		struct vm_area_struct *vma)
{
	unsigned long bytes = vma->vm_end - vma->vm_start, at, most;
	unsigned long offset = vma->vm_pgoff << PAGE_SHIFT;
	int r = 0;

	if (offset == PS_MAP_BUFFERS)
		most = PAGE_ALIGN((unsigned long)m->buffers * PS_BUF_BYTES);
	else if (offset == PS_MAP_DESCRIPTORS)
		most = m->rx_bytes;
	else
		most = offset ? 0 : m->head_bytes;
	if (!(vma->vm_flags & VM_SHARED) || bytes > most)
		return -EINVAL;
	if (offset == PS_MAP_DESCRIPTORS)
		r = may_map_ring(p, m, vma);
	vm_flags_set(vma, VM_DONTCOPY | VM_DONTEXPAND | VM_DONTDUMP);
	for (at = 0; at < bytes && r == 0; at += PAGE_SIZE)
		r = vm_insert_page(vma, vma->vm_start + at,
				   page_of(m, offset, at));
	return r;
}

dma_addr_t ps_mem_dma(const struct ps_mem *m, u32 buf)
{
	return m->dma[buf / per_block(m)] +
	       (size_t)(buf % per_block(m)) * PS_BUF_BYTES;
}

void *ps_mem_addr(const struct ps_mem *m, u32 buf)
{
	return page_address(m->block[buf / per_block(m)]) +
	       (size_t)(buf % per_block(m)) * PS_BUF_BYTES;
}

void ps_mem_for_cpu(struct ps_port *p, const struct ps_mem *m, u32 buf)
{
	dma_sync_single_for_cpu(&p->pdev->dev, ps_mem_dma(m, buf),
				PS_BUF_BYTES, DMA_BIDIRECTIONAL);
}

void ps_mem_for_device(struct ps_port *p, const struct ps_mem *m, u32 buf)
{
	dma_sync_single_for_device(&p->pdev->dev, ps_mem_dma(m, buf),
				   PS_BUF_BYTES, DMA_BIDIRECTIONAL);
}

struct ps_desc ps_mem_read_desc(struct ps_port *p, const struct ps_mem *m,
				u32 at)
{
	const struct ps_desc *d = page_address(m->ring);
	struct ps_desc v;

	dma_sync_single_for_cpu(&p->pdev->dev, m->ring_dma + at * sizeof(*d),
				sizeof(*d), DMA_BIDIRECTIONAL);
	v.b = le64_to_cpu((__force __le64)READ_ONCE(d[at].b));
	dma_rmb();	/* the rest of a descriptor after its done bit */
	v.a = le64_to_cpu((__force __le64)READ_ONCE(d[at].a));
	return v;
}

void ps_mem_write_desc(struct ps_port *p, const struct ps_mem *m, u32 at,
		       const struct ps_desc *v)
{
	struct ps_desc *d = page_address(m->ring);

	d[at].a = (__force u64)cpu_to_le64(v->a);
	d[at].b = (__force u64)cpu_to_le64(v->b);
	dma_sync_single_for_device(&p->pdev->dev, m->ring_dma + at * sizeof(*d),
				   sizeof(*d), DMA_BIDIRECTIONAL);
}
