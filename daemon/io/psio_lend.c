/*
 * psio_lend.c - payload that the chip reads where clients put it
 *
 *	span   memory of a client: at, and its region in the present life
 *	part   piece of a frame behind its headers: of a span, or of the run
 *
 *	slots  | headers, small pieces | span | span | run's buffer 1 | span |
 *
 * A small piece is copied, for a slot of its own is dearer.  Slots of spans do
 * not come back by themselves (ps_uapi.h, Regions): the run's do, and then the
 * chip has let go of the whole frame.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "io/port_psio.h"

#define KEEP_MIN	256u	/* bytes: four lines are copied sooner */

/* ---- spans ---- */

static const char *why_not(int rc)
{
	switch (-rc) {
	case ENOTTY:
		return "ps_ixgbe is older than this mtcpd";
	case EOPNOTSUPP:
		return "this machine copies DMA memory (swiotlb)";
	case ENOMEM:
		return "RLIMIT_MEMLOCK, or memory, does not allow more";
	default:
		return strerror(-rc);
	}
}

static int map_span(struct psio_queue *q, struct psio_span *s)
{
	uint32_t unit = 0;
	int rc = ps_map(q->now->h, s->at, s->bytes, &unit);

	s->region = rc > 0 ? (uint32_t)rc : 0;
	if (rc > 0) {
		s->unit_log2 = (uint32_t)__builtin_ctz(unit);
		return 0;
	}
	if (!q->told)
		log_info("port %s: queue %u copies payload: the chip may not "
			 "read clients' memory: %s", q->p->port.name,
			 q->q.index, why_not(rc));
	q->told = true;
	return rc;
}

int psio_map(struct port_queue *port, uint16_t span, const uint8_t *at,
	     uint32_t bytes)
{
	struct psio_queue *q = psio_queue(port);
	struct psio_span s = { .at = at, .bytes = bytes };
	int rc;

	if (!q->span)
		q->span = calloc(PORT_SPANS, sizeof(*q->span));
	if (!q->span)
		return -ENOMEM;
	rc = q->now ? map_span(q, &s) : 0;	/* else when it is back */
	if (rc == 0)
		q->span[span] = s;
	return rc;
}

int psio_unmap(struct port_queue *port, uint16_t span)
{
	struct psio_queue *q = psio_queue(port);
	struct psio_span *s = q->span ? &q->span[span] : NULL;
	int rc = 0;

	if (s && q->now && s->region)
		rc = ps_unmap(q->now->h, (int)s->region);
	if (s)
		*s = (struct psio_span){ 0 };
	return rc;
}

void psio_map_again(struct psio_queue *q)
{
	for (uint32_t i = 0; q->span && i < PORT_SPANS; i++)
		if (q->span[i].at)
			map_span(q, &q->span[i]);
}

/* ---- frames ---- */

/* A frame as it grows, before anything of it is decided. */
struct plan {
	struct psio_run *run;
	uint8_t *base;		/* of the run's buffers */
	uint8_t *at, *end;	/* room in the present one */
	uint32_t buffers;	/* begun */
	uint32_t head;		/* bytes copied behind the headers */
	uint32_t parts, slots;
};

/* Its own bytes: behind the headers, or behind what was copied before, or at
 * the beginning of the next buffer. */
static bool plan_copy(struct plan *p, const struct port_piece *piece)
{
	struct psio_part *last = p->parts ? &p->run->part[p->parts - 1] : NULL;

	if ((last && last->span) || p->end - p->at < (ptrdiff_t)piece->len) {
		if (p->buffers == PSIO_RUN_BUFS || p->parts == PSIO_PARTS)
			return false;
		p->at = p->base + p->buffers++ * PS_BUF_BYTES;
		p->end = p->at + PS_BUF_BYTES;
		last = &p->run->part[p->parts++];
		*last = (struct psio_part){ .bytes = p->at };
		p->slots++;
	}
	memcpy(p->at, piece->bytes, piece->len);
	p->at += piece->len;
	if (last)
		last->len += piece->len;
	else
		p->head += piece->len;
	return true;
}

static bool plan_keep(struct plan *p, const struct psio_span *s,
		      const struct port_piece *piece)
{
	uint32_t from = (uint32_t)(piece->bytes - s->at);
	uint32_t last = from + piece->len - 1;

	if (!s->region || p->parts == PSIO_PARTS)
		return false;
	p->run->part[p->parts++] = (struct psio_part){
		.bytes = piece->bytes, .len = piece->len, .span = piece->span,
		.block = piece->block, .client = piece->client };
	p->slots += (last >> s->unit_log2) - (from >> s->unit_log2) + 1;
	return true;
}

uint32_t psio_lend(struct port_queue *port, struct frame *f,
		   const struct port_piece *piece, uint32_t count)
{
	struct psio_queue *q = psio_queue(port);
	struct psio_life *l = q->now;
	uint32_t kept = 0, bytes = 0;
	struct plan p = { .buffers = 1, .slots = 1 };

	if (!l || l->serial != (uint32_t)(f->token >> 32) || !q->span)
		return 0;
	p.run = (struct psio_run *)f;
	p.base = ps_buffer(l->h, psio_buf(f));
	p.at = f->data + f->len;
	p.end = p.base + PS_BUF_BYTES;
	for (uint32_t i = 0; i < count; i++) {
		bool keep = piece[i].len >= KEEP_MIN;

		if (keep ? !plan_keep(&p, &q->span[piece[i].span], &piece[i]) :
			   !plan_copy(&p, &piece[i]))
			return 0;
		kept |= (uint32_t)keep << i;
		bytes += piece[i].len;
	}
	if (!kept || p.slots > PS_FRAGS_MAX)
		return 0;
	f->len += p.head;
	f->lent = bytes - p.head;
	p.run->parts = p.parts;
	l->lent++;
	return kept;
}

static uint32_t span_slots(const struct psio_span *s,
			   const struct psio_part *part, struct ps_slot *out)
{
	uint32_t at = (uint32_t)(part->bytes - s->at), left = part->len, n = 0;
	uint32_t unit = 1u << s->unit_log2;

	while (left) {
		uint32_t len = unit - (at & (unit - 1));

		len = len < left ? len : left;
		out[n++] = (struct ps_slot){ .buf = at, .hash = s->region,
			.len = (uint16_t)len, .flags = PS_F_REGION | PS_F_MORE };
		at += len;
		left -= len;
	}
	return n;
}

uint32_t psio_part_slots(const struct psio_queue *q, const struct psio_run *r,
			 struct ps_slot *s, uint32_t n)
{
	uint32_t buf = psio_buf(&r->f), first = n;

	s[n - 1].flags |= PS_F_MORE;
	for (uint32_t i = 0; i < r->parts; i++) {
		const struct psio_part *part = &r->part[i];

		if (part->span)
			n += span_slots(&q->span[part->span], part, &s[n]);
		else
			s[n++] = (struct ps_slot){ .buf = buf + first++,
				.len = (uint16_t)part->len, .flags = PS_F_MORE };
	}
	s[n - 1].flags &= (uint16_t)~PS_F_MORE;
	return n;
}

void psio_gather(const struct psio_run *r, uint8_t *to)
{
	for (uint32_t i = 0; i < r->parts; i++) {
		memcpy(to, r->part[i].bytes, r->part[i].len);
		to += r->part[i].len;
	}
}

void psio_home(struct psio_life *l, struct psio_run *r)
{
	const struct port_queue *q = &l->q->q;

	for (uint32_t i = 0; i < r->parts; i++)
		if (r->part[i].span)
			q->home(q->engine, r->part[i].client,
				r->part[i].block);
	r->parts = 0;
	r->f.lent = 0;
	l->lent--;
}
