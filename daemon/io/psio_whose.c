/* psio_whose.c - which frames are mtcpd's, and how one is sent (port_psio.h) */
#include <string.h>

#include "io/port_psio.h"

enum {
	VLAN_ID = 0xfff, ETH = 14, TYPE_IP = 0x0800, TYPE_ARP = 0x0806, TYPE_VLAN = 0x8100,
	ARP_BYTES = 28, ARP_SPA = 14, ARP_TPA = 24,
	IP_BYTES = 20, IP_DST = 16, IP_CSUM = 10,
	TCP_BYTES = 20, TCP_CSUM = 16, UDP_CSUM = 6
};

static uint32_t word(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static uint32_t be16(const uint8_t *p)
{
	return (uint32_t)p[0] << 8 | p[1];
}

static bool is_addr(const struct psio_port *p, uint32_t v4)
{
	uint32_t n = atomic_load_explicit(&p->addr_count, memory_order_relaxed);

	for (uint32_t i = 0; i < n; i++)
		if (atomic_load_explicit(&p->addrs[i],
					 memory_order_relaxed) == v4)
			return true;
	return false;
}

enum psio_whose psio_whose(const struct psio_port *p, const uint8_t *frame,
			   uint32_t len)
{
	uint32_t at = ETH, vlan = 0;

	if (len < ETH + 4)
		return PSIO_KERNEL;
	if (be16(frame + 12) == TYPE_VLAN) {
		vlan = be16(frame + ETH) & VLAN_ID;
		at += 4;
	}
	if (vlan != p->vlan)
		return PSIO_KERNEL;
	if (len >= at + IP_BYTES && be16(frame + at - 2) == TYPE_IP)
		return is_addr(p, word(frame + at + IP_DST)) ? PSIO_OURS :
			PSIO_KERNEL;
	if (len < at + ARP_BYTES || be16(frame + at - 2) != TYPE_ARP)
		return PSIO_KERNEL;
	if (is_addr(p, word(frame + at + ARP_TPA)))
		return PSIO_OURS;
	return word(frame + at + ARP_SPA) == word(frame + at + ARP_TPA) ?
		PSIO_BOTH : PSIO_KERNEL;
}

void psio_untag(struct frame *f)
{
	memmove(f->data + 4, f->data, 12);
	f->data += 4;
	f->len -= 4;
	f->room -= 4;
}

/* The chip adds each piece's length itself (82599 7.2.4.3), so the sum that it
 * starts from is the pseudo header's without one. */
static void seed_for_tso(uint8_t *csum, uint32_t tcp_bytes)
{
	uint32_t sum = be16(csum) + (0xffffu ^ (tcp_bytes & 0xffff));

	sum = (sum & 0xffff) + (sum >> 16);
	csum[0] = (uint8_t)(sum >> 8);
	csum[1] = (uint8_t)sum;
}

/* Offloads of the frame into its first slot; false: headers that lie. */
static bool offloads(const struct frame *f, struct ps_slot *s)
{
	uint32_t l2 = be16(f->data + 12) == TYPE_VLAN ? ETH + 4 : ETH;
	uint32_t len = f->len + f->lent, tcp;
	uint8_t *l4 = f->data + f->csum_start;

	if (f->csum_start < l2 + IP_BYTES ||
	    f->csum_start + (uint32_t)TCP_BYTES > s->len)
		return false;
	s->l2_len = (uint8_t)l2;
	s->l3_len = (uint8_t)(f->csum_start - l2);
	s->flags |= f->csum_offset == UDP_CSUM ? PS_F_CSUM_UDP : PS_F_CSUM_TCP;
	if (!f->gso_size || f->csum_offset != TCP_CSUM)
		return true;
	tcp = (uint32_t)(l4[12] >> 4) * 4;
	if (f->csum_start + tcp + f->gso_size >= len)
		return true;	/* one piece */
	s->l4_len = (uint8_t)tcp;
	s->mss = f->gso_size;
	s->flags |= PS_F_TSO | PS_F_CSUM_IP;
	memset(f->data + l2 + IP_CSUM, 0, 2);
	seed_for_tso(l4 + TCP_CSUM, len - f->csum_start);
	return true;
}

uint32_t psio_slots(const struct frame *f, uint32_t buf, const uint8_t *base,
		    struct ps_slot *s)
{
	uint32_t off = (uint32_t)(f->data - base), left = f->len, n = 0;

	if (f->len < ETH || off >= PS_BUF_BYTES)
		return 0;
	for (; left && n < PS_FRAGS_MAX; n++) {
		uint32_t part = PS_BUF_BYTES - off;

		part = part < left ? part : left;
		left -= part;
		s[n] = (struct ps_slot){ .buf = buf + n, .len = (uint16_t)part,
			.off = (uint16_t)off, .flags = left ? PS_F_MORE : 0 };
		off = 0;
	}
	if (left || (f->flags & FRAME_CSUM_PARTIAL && !offloads(f, &s[0])))
		return 0;
	return n;
}
