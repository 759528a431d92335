/*
 * offload.c - checksums and segments that the chip makes of a frame to send
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "model.h"

void ix_csum(uint8_t *p, size_t n, uint32_t *ctx, uint32_t popts)
{
    int mac = ctx[0] >> 9 & 0x7f, ipl = ctx[0] & 0x1ff, l4 = mac + ipl;
    bool v4 = ctx[2] >> 10 & 1, tcp = (ctx[2] >> 11 & 3) == 1;
    int co = l4 + (tcp ? 16 : 6);
    if (v4 && (popts & 1) && ipl >= 20 && l4 <= n) {
        stw_be_p(p + mac + 10, 0);
        stw_be_p(p + mac + 10, net_checksum_finish(net_checksum_add(ipl, p + mac)));
    }
    if ((popts & 2) && co + 2 <= n) {       /* the driver seeds the pseudo header */
        stw_be_p(p + co, net_checksum_finish(net_checksum_add(n - l4, p + l4)));
    }
}

uint32_t ix_headers(const uint32_t *ctx)
{
    return (ctx[0] >> 9 & 0x7f) + (ctx[0] & 0x1ff) + (ctx[3] >> 8 & 0xff);
}

void ix_tso(IX *s, uint8_t *p, size_t n, uint32_t *ctx)
{
    int mac = ctx[0] >> 9 & 0x7f, ipl = ctx[0] & 0x1ff, l4 = mac + ipl;
    int hl = l4 + (ctx[3] >> 8 & 0xff), mss = ctx[3] >> 16;
    bool v4 = ctx[2] >> 10 & 1;
    uint32_t seq;
    uint16_t id;
    uint8_t fl;

    if (!mss || hl >= n || hl < l4 + 20 || l4 < mac + 20) {
        return;
    }
    s->tso_frames++;
    seq = ldl_be_p(p + l4 + 4);
    id = v4 ? lduw_be_p(p + mac + 4) : 0;
    fl = p[l4 + 13];
    for (size_t o = hl; o < n; o += mss) {
        size_t k = MIN(mss, n - o);
        g_autofree uint8_t *f = g_malloc(hl + k);
        uint32_t ps;
        memcpy(f, p, hl);
        memcpy(f + hl, p + o, k);
        if (v4) {
            stw_be_p(f + mac + 2, hl - mac + k);
            stw_be_p(f + mac + 4, id++);
        } else {
            stw_be_p(f + mac + 4, hl - l4 + k);
        }
        stl_be_p(f + l4 + 4, seq);
        seq += k;
        f[l4 + 13] = o + k < n ? fl & ~0x09 : fl;
        ps = lduw_be_p(f + l4 + 16) + hl - l4 + k;   /* seed lacks the length */
        stw_be_p(f + l4 + 16, (ps & 0xffff) + (ps >> 16));
        ix_csum(f, hl + k, ctx, 3);
        ix_out(s, f, hl + k);
    }
}
