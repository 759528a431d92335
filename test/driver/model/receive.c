/*
 * receive.c - from the cable to a queue's buffers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "model.h"

#define SHORTEST 60

static bool own_address(IX *s, const uint8_t *p)
{
    for (int i = 0; i < 128; i++) {
        uint32_t hi = R(RAL + 8 * i + 4);
        uint8_t a[6];

        stl_le_p(a, R(RAL + 8 * i));
        stw_le_p(a + 4, hi);
        if (hi >> 31 && !memcmp(a, p, 6)) {
            return true;
        }
    }
    return false;
}

static bool wanted(IX *s, const uint8_t *p)
{
    uint32_t f = R(FCTRL);

    if (is_broadcast_ether_addr(p)) {
        return f & (1 << 10);
    }
    if (is_multicast_ether_addr(p)) {
        return true;                    /* MTA's hash is not modelled */
    }
    return f & (1 << 9) || own_address(s, p);
}

static bool rxq_on(IX *s, int q)
{
    return ix_on(&s->rxq[q]) && R(rxb(q) + LEN);
}

bool ix_can_receive(NetClientState *nc)
{
    IX *s = qemu_get_nic_opaque(nc);

    return (R(RXCTRL) & 1) && !ix_dma_stopped(s);
}

/* RXDCTL.VME: the tag is taken off.  TAGGED and the tag, or 0. */
static uint32_t untag(IX *s, uint32_t b, uint8_t *p, size_t *n)
{
    uint32_t tag;

    if (!(R(b + XDCTL) & (1 << 30)) || *n < 18 || lduw_be_p(p + 12) != 0x8100) {
        return 0;
    }
    tag = TAGGED | lduw_be_p(p + 14);
    memmove(p + 12, p + 16, *n - 16);
    *n -= 4;
    return tag;
}

/* The descriptor at @da, of @part bytes of a frame: its result. */
static void write_back(IX *s, uint32_t b, uint64_t da, const Cls *c,
                       uint32_t part, uint32_t tag, bool last)
{
    uint32_t st = last ? 3 : 1;
    uint8_t desc[16] = { 0 };

    if ((R(b + SRRCTL) >> 25 & 7) == 0) {               /* legacy */
        stw_le_p(desc + 8, part);
        desc[12] = st;
    } else {
        if (last) {
            st |= tag ? 8 : 0;
            if (c->ip4) {
                st |= 0x40 | (c->ipok ? 0 : 1u << 31);
            }
            if (c->l4) {
                st |= 0x20 | (c->l4ok ? 0 : 1u << 30);
            }
        }
        stl_le_p(desc, c->type | c->ptype << 4);
        stl_le_p(desc + 4, c->hash);
        stl_le_p(desc + 8, st);
        stw_le_p(desc + 12, part);
        stw_le_p(desc + 14, tag);
    }
    ix_dma(s, da, desc, 8, true);       /* status last, as a DD reader needs */
    smp_wmb();
    ix_dma(s, da + 8, desc + 8, 8, true);
}

static uint32_t buffer_bytes(IX *s, uint32_t b)
{
    return (R(b + SRRCTL) & 0x1f) * 1024 ?: 2048;
}

/* Are there descriptors for @n bytes?  Counts the frame where not. */
static bool has_room(IX *s, uint32_t b, int q, size_t n)
{
    uint32_t nd = R(b + LEN) / 16, bytes = buffer_bytes(s, b);

    if ((R(b + TAIL) + nd - R(b + HEAD)) % nd >= (n + bytes - 1) / bytes) {
        return true;
    }
    R(R(b + SRRCTL) & (1 << 28) ? QPRDC + (q & 15) * 0x40 : RXMPC0)++;
    return false;
}

/* Into the buffers from head on; false: DMA stopped. */
static bool place(IX *s, uint32_t b, const Cls *c, const uint8_t *p, size_t n,
                  uint32_t tag)
{
    uint64_t base = R(b + BAL) | (uint64_t)R(b + BAH) << 32;
    uint32_t nd = R(b + LEN) / 16, bytes = buffer_bytes(s, b);

    for (size_t at = 0; at < n; at += bytes) {
        uint64_t da = base + R(b + HEAD) * 16;
        uint32_t part = MIN(bytes, n - at);
        uint8_t desc[16];

        ix_dma(s, da, desc, 16, false);
        if (s->dead) {
            return false;
        }
        ix_strict_fetched(s, &s->rxq[c->q], b, desc);
        ix_dma(s, ldq_le_p(desc), (void *)(p + at), part, true);
        write_back(s, b, da, c, part, tag, at + part == n);
        R(b + HEAD) = (R(b + HEAD) + 1) % nd;
    }
    return true;
}

static void take(IX *s, uint8_t *p, size_t n)
{
    uint32_t b, tag;
    Cls c;

    ix_classify(s, p, n, &c);
    if (!rxq_on(s, c.q)) {
        R(RXMPC0)++;
        return;
    }
    b = rxb(c.q);
    tag = untag(s, b, p, &n);
    if (!has_room(s, b, c.q, n) || !place(s, b, &c, p, n, tag)) {
        return;
    }
    R(b + QSTAT)++;
    R(GPRC)++;
    R(GORCL) += n + 4;
    if (is_multicast_ether_addr(p)) {
        R(is_broadcast_ether_addr(p) ? BPRC : MPRC)++;
    }
    ix_qcause(s, c.q, 0);
}

ssize_t ix_receive(NetClientState *nc, const uint8_t *buf, size_t n)
{
    IX *s = qemu_get_nic_opaque(nc);
    g_autofree uint8_t *p = NULL;
    size_t bytes = MAX(n, SHORTEST);

    if (!ix_can_receive(nc)) {
        return 0;
    }
    R(TPR)++;
    if (ix_link(s) && n >= 12 && wanted(s, buf)) {
        p = g_malloc0(bytes);
        memcpy(p, buf, n);
        take(s, p, bytes);
    }
    return n;
}
