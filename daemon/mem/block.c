#include "mem/block.h"

#include <errno.h>
#include <stdlib.h>

#include "base/log.h"

#define FLOOR_SHIFT	3	/* an eighth is kept for the other direction */

int arena_init(struct arena *a, uint8_t *segment, uint32_t slabs)
{
	*a = (struct arena){ .segment = segment, .slab_count = slabs };
	a->slabs = calloc(slabs, sizeof(*a->slabs));
	return a->slabs ? 0 : -ENOMEM;
}

void arena_fini(struct arena *a)
{
	free(a->slabs);
	a->slabs = NULL;
}

static void push_free(struct arena *a, uint32_t block, enum block_class cls)
{
	struct block_meta *m = block_meta(a, block);

	m->next_free = a->free_head[cls];
	a->free_head[cls] = block;
	a->free_count[cls]++;
}

int arena_add_slab(struct arena *a, uint32_t slab, enum block_class cls,
		   struct block_meta *meta)
{
	uint32_t count = slab_blocks(cls);

	if (slab == 0 || slab >= a->slab_count || a->slabs[slab].meta)
		return -EINVAL;
	a->slabs[slab] = (struct slab){ .meta = meta, .cls = (uint8_t)cls };
	a->total[cls] += count;
	while (count--)		/* the lowest comes out first */
		push_free(a, block_id(slab, count), cls);
	return 0;
}

bool arena_wants(const struct arena *a, enum block_class cls, uint32_t low)
{
	return a->free_count[cls] < low;
}

/* Free blocks of @cls that @use must leave to the other direction. */
static uint32_t kept_for_other(const struct arena *a, enum block_class cls,
			       enum arena_use use)
{
	uint32_t floor = a->total[cls] >> FLOOR_SHIFT;
	uint32_t used = a->used[use == ARENA_RX ? ARENA_TX : ARENA_RX][cls];

	return used >= floor ? 0 : floor - used;
}

static uint32_t pop_free(struct arena *a, enum block_class cls,
			 enum arena_use use)
{
	uint32_t block = a->free_head[cls];
	struct block_meta *m;

	if (a->free_count[cls] <= kept_for_other(a, cls, use))
		return BLOCK_NONE;
	m = block_meta(a, block);
	a->free_head[cls] = m->next_free;
	a->free_count[cls]--;
	a->used[use][cls]++;
	*m = (struct block_meta){ .use = (uint16_t)use };
	return block;
}

static void release(struct arena *a, uint32_t block)
{
	enum block_class cls = block_class(a, block);

	a->used[block_meta(a, block)->use][cls]--;
	push_free(a, block, cls);
}

uint32_t block_get(struct arena *a, enum block_class cls, enum arena_use use)
{
	uint32_t block = pop_free(a, cls, use);

	if (block != BLOCK_NONE)
		block_meta(a, block)->refs = 1;
	return block;
}

void block_ref(struct arena *a, uint32_t block)
{
	block_meta(a, block)->refs++;
}

void block_unref(struct arena *a, uint32_t block)
{
	struct block_meta *m = block_meta(a, block);

	ENSURE(m->refs > 0, "every reference is dropped once");
	if (--m->refs == 0 && !m->granted)
		release(a, block);
}

uint32_t block_grant(struct arena *a, enum block_class cls, uint32_t ctx)
{
	uint32_t block;

	if (a->dying)
		return BLOCK_NONE;
	block = pop_free(a, cls, ARENA_TX);
	if (block != BLOCK_NONE)
		block_meta(a, block)->granted = (uint16_t)(ctx + 1);
	return block;
}

bool block_valid(const struct arena *a, uint32_t block)
{
	uint32_t slab = block_slab(block);

	return slab < a->slab_count && a->slabs[slab].meta &&
	       block_index(block) <
		       slab_blocks((enum block_class)a->slabs[slab].cls);
}

static bool granted_to(const struct arena *a, uint32_t block, uint32_t ctx)
{
	return block_valid(a, block) &&
	       block_meta(a, block)->granted == (uint16_t)(ctx + 1);
}

int block_fill(struct arena *a, uint32_t block, uint32_t ctx, uint32_t offset,
	       uint32_t len)
{
	struct block_meta *m;

	if (len == 0 || !granted_to(a, block, ctx))
		return -EPROTO;
	m = block_meta(a, block);
	if (offset < m->fill || m->refs == UINT16_MAX ||
	    offset + len > block_class_bytes(block_class(a, block)))
		return -EPROTO;
	m->fill = (uint16_t)(offset + len);
	m->refs++;
	return 0;
}

int block_give_up(struct arena *a, uint32_t block, uint32_t ctx)
{
	if (!granted_to(a, block, ctx))
		return -EPROTO;
	block_meta(a, block)->granted = 0;
	if (block_meta(a, block)->refs == 0)
		release(a, block);
	return 0;
}

static void slab_revoke(struct arena *a, uint32_t slab, uint32_t ctx)
{
	uint32_t count = slab_blocks((enum block_class)a->slabs[slab].cls);

	for (uint32_t i = 0; i < count; i++)
		if (a->slabs[slab].meta[i].granted == ctx + 1)
			block_give_up(a, block_id(slab, i), ctx);
}

bool arena_revoke(struct arena *a, uint32_t ctx, uint32_t *slab, uint32_t most)
{
	uint32_t s = *slab ? *slab : 1;		/* 0 is the header */

	for (uint32_t n = 0; s < a->slab_count && n < most; s++) {
		if (!a->slabs[s].meta)
			continue;
		slab_revoke(a, s, ctx);
		n++;
	}
	*slab = s;
	return s >= a->slab_count;
}

uint32_t arena_in_use(const struct arena *a)
{
	uint32_t n = 0;

	for (int cls = 0; cls < BLOCK_CLASSES; cls++)
		n += a->total[cls] - a->free_count[cls];
	return n;
}
