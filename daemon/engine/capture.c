#include "engine/capture.h"

#include <string.h>

#include "engine/bpf.h"
#include "net/net.h"

#define RING_MASK	(CAPTURE_RING_BYTES - 1)

static void add(_Atomic uint64_t *n)
{
	atomic_store_explicit(n, atomic_load_explicit(n, memory_order_relaxed) +
			      1, memory_order_relaxed);
}

/* @bytes in one piece: the place, or NULL.  @*tail moves over a skip. */
static uint8_t *reserve(struct capture_ring *r, uint64_t *tail, uint32_t bytes)
{
	uint64_t head = atomic_load_explicit(&r->head, memory_order_acquire);
	uint64_t used = *tail - head;
	uint32_t at = (uint32_t)(*tail & RING_MASK);
	uint32_t rest = CAPTURE_RING_BYTES - at;
	struct capture_record skip = { .bytes = rest, .way = CAPTURE_SKIP };
	uint32_t need = bytes + (rest < bytes ? rest : 0);

	if (used > CAPTURE_RING_BYTES || CAPTURE_RING_BYTES - used < need)
		return NULL;
	if (rest >= bytes)
		return r->records + at;
	/* less than a header: the reader knows that nothing fits there */
	memcpy(r->records + at, &skip, rest < sizeof(skip) ? rest : sizeof(skip));
	*tail += rest;
	return r->records;
}

/* The TCP sum that the port would have finished. */
static void finish_sum(const struct frame *f, uint8_t *copy, uint32_t captured)
{
	uint32_t at = (uint32_t)f->csum_start + f->csum_offset;
	uint16_t sum;

	if (!(f->flags & FRAME_CSUM_PARTIAL) || f->lent || captured < at + 2 ||
	    f->csum_start > f->len)
		return;
	sum = csum_finish(csum_add(0, f->data + f->csum_start,
				   f->len - f->csum_start));
	memcpy(copy + at, &sum, sizeof(sum));
}

static void capture_one(const struct capture_job *job, struct capture_ring *r,
			const struct frame *f, enum capture_way way, mono_t now)
{
	struct capture_record head = { .wire = f->len + f->lent, .way = (uint8_t)way,
				       .port = f->port, .at_us = now.us };
	uint32_t want = bpf_run(job->program, f->data, f->len);
	uint64_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);
	uint8_t *to;

	if (!want)
		return;
	add(&r->seen);
	head.captured = want < job->snaplen ? want : job->snaplen;
	if (head.captured > f->len)
		head.captured = f->len;
	head.bytes = ((uint32_t)sizeof(head) + head.captured + 7) & ~7u;
	to = reserve(r, &tail, head.bytes);
	if (!to) {
		add(&r->dropped);
		return;
	}
	memcpy(to, &head, sizeof(head));
	memcpy(to + sizeof(head), f->data, head.captured);
	finish_sum(f, to + sizeof(head), head.captured);
	/* pairs with mtcpctl's acquire: the record is there before tail is */
	atomic_store_explicit(&r->tail, tail + head.bytes,
			      memory_order_release);
}

void capture_frames(const struct capture_job *job, uint32_t engine,
		    struct frame *const *frames, int count,
		    enum capture_way way, mono_t now)
{
	for (int i = 0; i < count; i++)
		capture_one(job, job->ring[engine], frames[i], way, now);
}
