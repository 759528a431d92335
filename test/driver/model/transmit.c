/*
 * transmit.c - from a queue's descriptors to the cable
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "model.h"

#define FRAME_MAX (256 * KiB)

/* Bits of a descriptor's third word. */
enum { EOP = 1 << 24, RS = 1 << 27, DEXT = 1 << 29, VLE = 1 << 30,
       DCMD_TSE = 1u << 31 };

static bool is_context(uint32_t lo)
{
    return (lo & DEXT) && (lo >> 20 & 15) == 2;
}

void ix_out(IX *s, uint8_t *p, size_t n)
{
    g_autofree uint8_t *tagged = NULL;

    if (s->tag && n >= 12) {
        tagged = g_malloc(n + 4);
        memcpy(tagged, p, 12);
        stw_be_p(tagged + 12, 0x8100);
        stw_be_p(tagged + 14, s->tag);
        memcpy(tagged + 16, p + 12, n - 12);
        p = tagged;
        n += 4;
    }
    R(GPTC)++;
    R(TPT)++;
    R(GOTCL) += n + 4;
    if (R(HLREG0) & (1 << 15)) {            /* MAC loopback */
        ix_receive(qemu_get_queue(s->nic), p, n);
    } else {
        qemu_send_packet(qemu_get_queue(s->nic), p, n);
    }
}

/* The frame is whole; @lo is of its last descriptor, @first of its first. */
static void frame_ends(IX *s, int q, uint32_t lo, uint32_t first)
{
    uint32_t *ctx = s->tctx[q][first >> 4 & 7], popts = first >> 8 & 3;
    bool tso = (lo & DCMD_TSE) && (lo & DEXT);
    uint8_t *p = s->txb[q]->data;
    size_t n = s->txb[q]->len;

    ix_strict_frame(s, &s->txq[q], txb(q), tso,
                    n - (tso ? ix_headers(ctx) : 0));
    s->tag = lo & VLE ? TAGGED | ctx[0] >> 16 : 0;
    if (tso) {
        ix_tso(s, p, n, ctx);
    } else {
        if ((lo & DEXT) && popts) {
            ix_csum(p, n, ctx, popts);
        }
        ix_out(s, p, n);
    }
    R(txb(q) + QSTAT)++;
    g_byte_array_set_size(s->txb[q], 0);
}

static void gather(IX *s, int q, const uint8_t *desc)
{
    uint32_t lo = ldl_le_p(desc + 8), bytes = lo & 0xffff;
    uint32_t at = s->txb[q]->len;

    if (at == 0) {
        s->tst[q] = ldl_le_p(desc + 12); /* POPTS, IDX, PAYLEN: of the first */
    }
    if (at + bytes <= FRAME_MAX) {
        g_byte_array_set_size(s->txb[q], at + bytes);
        ix_dma(s, ldq_le_p(desc), s->txb[q]->data + at, bytes, false);
    }
    if (lo & EOP) {
        frame_ends(s, q, lo, s->tst[q]);
    }
}

/* RS: DD is set, unless the head is written back instead. */
static bool report(IX *s, uint32_t b, uint64_t da, uint8_t *desc)
{
    if (!(ldl_le_p(desc + 8) & RS)) {
        return false;
    }
    if (!(R(b + WBAL) & 1)) {
        stl_le_p(desc + 12, ldl_le_p(desc + 12) | 1);
        ix_dma(s, da + 12, desc + 12, 4, true);
    }
    return true;
}

static void report_head(IX *s, uint32_t b)
{
    uint32_t h = cpu_to_le32(R(b + HEAD));

    if (R(b + WBAL) & 1) {
        ix_dma(s, (R(b + WBAL) & ~3u) | (uint64_t)R(b + WBAH) << 32, &h, 4,
               true);
    }
}

/* One descriptor; false: DMA stopped.  @done: something is to be told. */
static bool step(IX *s, int q, bool *done)
{
    uint32_t b = txb(q), st;
    uint64_t da = (R(b + BAL) | (uint64_t)R(b + BAH) << 32) + R(b + HEAD) * 16;
    uint8_t desc[16];

    ix_dma(s, da, desc, 16, false);
    if (s->dead) {
        return false;
    }
    ix_strict_fetched(s, &s->txq[q], b, desc);
    ix_strict_tx(s, &s->txq[q], b, desc);
    if (is_context(ldl_le_p(desc + 8))) {
        st = ldl_le_p(desc + 12);
        for (int i = 0; i < 4; i++) {
            s->tctx[q][st >> 4 & 7][i] = ldl_le_p(desc + 4 * i);
        }
    } else {
        gather(s, q, desc);
    }
    R(b + HEAD) = (R(b + HEAD) + 1) % (R(b + LEN) / 16);
    *done |= report(s, b, da, desc);
    return true;
}

void ix_transmit(IX *s, int q)
{
    uint32_t b = txb(q), nd = R(b + LEN) / 16;
    bool done = false;

    if (!nd || !ix_on(&s->txq[q]) || !(R(DMATXCTL) & 1) || s->tx_hang ||
        ix_dma_stopped(s)) {
        return;
    }
    while (R(b + HEAD) != R(b + TAIL) && R(b + TAIL) < nd) {
        if (!step(s, q, &done)) {
            return;
        }
    }
    if (done) {
        report_head(s, b);
        ix_qcause(s, q, 1);
    }
}
