// SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause
#include "ps_desc.h"

/* receive write-back, second quadword: 7.1.6.2 */
#define RX_EOP		(1u << 1)
#define RX_VP		(1u << 3)
#define RX_L4CS		(1u << 5)
#define RX_IPCS		(1u << 6)
#define RX_ERR_RXE	(1u << 29)
#define RX_ERR_L4	(1u << 30)
#define RX_ERR_IP	(1u << 31)

/* transmit: 7.2.3.2.3 and 7.2.3.2.4 */
#define TX_EOP		(1ull << 24)
#define TX_IFCS		(1ull << 25)
#define TX_RS		(1ull << 27)
#define TX_DEXT		(1ull << 29)
#define TX_VLE		(1ull << 30)
#define TX_TSE		(1ull << 31)
#define TX_DATA		(3ull << 20)
#define TX_CONTEXT	(2ull << 20)
#define TX_CC		(1ull << 39)
#define TX_IXSM		(1ull << 40)
#define TX_TXSM		(1ull << 41)
#define CTX_IPV4	(1ull << 10)
#define CTX_TCP		(1ull << 11)

void ps_desc_receive(const struct ps_desc *d, struct ps_slot *s)
{
	__u32 status = (__u32)d->b;
	__u16 flags = 0;

	if (!(status & RX_EOP))
		flags |= PS_F_MORE;
	if (status & RX_EOP && status & RX_IPCS)
		flags |= status & RX_ERR_IP ? PS_F_IP_BAD : PS_F_IP_OK;
	if (status & RX_EOP && status & RX_L4CS)
		flags |= status & RX_ERR_L4 ? PS_F_L4_BAD : PS_F_L4_OK;
	if (status & RX_EOP && status & RX_ERR_RXE)
		flags |= PS_F_ERROR;
	if (d->a & 0xf)
		flags |= PS_F_HASH;
	s->vlan = 0;
	if (status & RX_EOP && status & RX_VP) {
		flags |= PS_F_VLAN;
		s->vlan = (__u16)(d->b >> 48);
	}
	s->len = (__u16)(d->b >> 32);
	s->flags = flags;
	s->hash = (__u32)(d->a >> 32);
	s->mss = 0;
	s->l2_len = 0;
	s->l3_len = 0;
	s->l4_len = 0;
	s->off = 0;
}

int ps_desc_needs_context(const struct ps_slot *s)
{
	return !!(s->flags & (PS_F_CSUM_IP | PS_F_CSUM_TCP | PS_F_CSUM_UDP |
			      PS_F_TSO | PS_F_VLAN));
}

void ps_desc_context(struct ps_desc *d, const struct ps_slot *s)
{
	d->a = (__u64)s->l3_len | (__u64)(s->l2_len ? s->l2_len : 14) << 9;
	if (s->flags & PS_F_VLAN)
		d->a |= (__u64)s->vlan << 16;
	d->b = TX_DEXT | TX_CONTEXT;
	if (s->flags & PS_F_CSUM_IP)
		d->b |= CTX_IPV4;
	if (s->flags & (PS_F_CSUM_TCP | PS_F_TSO))
		d->b |= CTX_TCP;
	if (s->flags & PS_F_TSO)
		d->b |= (__u64)s->mss << 48 | (__u64)s->l4_len << 40;
}

void ps_desc_send(struct ps_desc *d, const struct ps_slot *first,
		  const struct ps_slot *s, __u64 dma, __u32 frame_bytes)
{
	__u32 payload = frame_bytes;

	d->a = dma + s->off;
	d->b = s->len | TX_DATA | TX_DEXT | TX_IFCS;
	if (!(s->flags & PS_F_MORE))
		d->b |= TX_EOP | TX_RS;
	if (first->flags & PS_F_TSO) {
		payload -= (__u32)first->l2_len + first->l3_len + first->l4_len;
		d->b |= TX_TSE;
	}
	if (first->flags & PS_F_VLAN)
		d->b |= TX_VLE;
	if (ps_desc_needs_context(first))
		d->b |= TX_CC;
	if (first->flags & PS_F_CSUM_IP)
		d->b |= TX_IXSM;
	if (first->flags & (PS_F_CSUM_TCP | PS_F_CSUM_UDP | PS_F_TSO))
		d->b |= TX_TXSM;
	d->b |= (__u64)payload << 46;
}
