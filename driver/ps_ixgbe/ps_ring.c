// SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause
#include "ps_ring.h"

void ps_ring_copy(const struct ps_ring *r, __u32 i, struct ps_slot *to)
{
	const struct ps_slot *from = ps_ring_at(r, i);

	to->buf = __atomic_load_n(&from->buf, __ATOMIC_RELAXED);
	to->len = __atomic_load_n(&from->len, __ATOMIC_RELAXED);
	to->flags = __atomic_load_n(&from->flags, __ATOMIC_RELAXED);
	to->hash = __atomic_load_n(&from->hash, __ATOMIC_RELAXED);
	to->mss = __atomic_load_n(&from->mss, __ATOMIC_RELAXED);
	to->l2_len = __atomic_load_n(&from->l2_len, __ATOMIC_RELAXED);
	to->l3_len = __atomic_load_n(&from->l3_len, __ATOMIC_RELAXED);
	to->l4_len = __atomic_load_n(&from->l4_len, __ATOMIC_RELAXED);
	to->vlan = __atomic_load_n(&from->vlan, __ATOMIC_RELAXED);
	to->off = __atomic_load_n(&from->off, __ATOMIC_RELAXED);
}

int ps_take(struct ps_owners *o, __u32 buf, enum ps_owner owner)
{
	if (buf >= o->count || o->owner[buf] != PS_USER)
		return -1;
	o->owner[buf] = (__u8)owner;
	return 0;
}

int ps_give(struct ps_owners *o, __u32 buf, enum ps_owner from)
{
	if (buf >= o->count || o->owner[buf] != (__u8)from)
		return -1;
	o->owner[buf] = PS_USER;
	return 0;
}

int ps_region_take(const struct ps_regions *r, const struct ps_slot *s)
{
	__u64 end = (__u64)s->buf + s->len;
	struct ps_region *g;

	if (s->hash >= r->count)
		return -1;
	g = r->region[s->hash];
	if (!g || end > g->bytes || g->sending == ~0u ||
	    s->buf >> g->unit_log2 != (end - 1) >> g->unit_log2)
		return -1;
	g->sending++;
	return 0;
}

void ps_region_give(const struct ps_regions *r, __u32 number)
{
	r->region[number]->sending--;
}

static int slot_fits(const struct ps_slot *s, int first)
{
	if (s->flags & PS_F_REGION)
		return !first && s->len && s->len <= PS_REGION_SLOT && !s->off;
	return s->len && s->len + s->off <= PS_BUF_BYTES;
}

/* Do the headers that @s names lie inside its first buffer? */
static int offloads_fit(const struct ps_slot *s, __u32 most)
{
	unsigned int l3 = (unsigned int)s->l2_len + s->l3_len;
	unsigned int l4;

	if (!(s->flags & (PS_F_CSUM_IP | PS_F_CSUM_TCP | PS_F_CSUM_UDP |
			  PS_F_TSO)))
		return 1;
	if (s->l2_len < 14 || s->l2_len > 127 || s->l3_len < 20)
		return 0;
	if (s->flags & PS_F_TSO) {
		l4 = s->l4_len;
		if (l4 < 20 || s->mss < 64 || (s->flags & PS_F_CSUM_UDP) ||
		    l3 + l4 + s->mss > most)
			return 0;
	} else if (s->flags & PS_F_CSUM_TCP) {
		l4 = 20;
	} else {
		l4 = s->flags & PS_F_CSUM_UDP ? 8 : 0;
	}
	return l3 + l4 <= s->len;
}

int ps_frame_copy(const struct ps_ring *r, int waiting, __u32 most,
		  struct ps_slot frame[PS_FRAGS_MAX])
{
	__u32 bytes = 0;
	int n = 0, regions = 0;

	do {
		if (n == PS_FRAGS_MAX)
			return -n;
		if (n == waiting)
			return 0;
		ps_ring_copy(r, (__u32)n, &frame[n]);
		if (!slot_fits(&frame[n], n == 0))
			return -(n + 1);
		bytes += frame[n].len;
		regions |= frame[n].flags & PS_F_REGION;
	} while (frame[n++].flags & PS_F_MORE);
	if (frame[0].flags & PS_F_VLAN)
		most -= 4;
	if ((regions && frame[0].flags & PS_F_SLOW) ||
	    bytes < PS_FRAME_MIN || !offloads_fit(&frame[0], most) ||
	    bytes > (frame[0].flags & PS_F_TSO ? PS_TSO_MAX : most))
		return -n;
	return n;
}
