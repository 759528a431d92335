/*
 * rss.c - what a received frame is, its checksums, its RSS hash and queue
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "model.h"

static uint32_t toeplitz(const uint8_t *key, const uint8_t *in, int n)
{
    uint32_t h = 0, w = ldl_be_p(key);
    for (int i = 0; i < n; i++) {
        for (int b = 7; b >= 0; b--) {
            if (in[i] >> b & 1) {
                h ^= w;
            }
            w = w << 1 | ((key[i + 4] >> b) & 1);
        }
    }
    return h;
}

void ix_classify(IX *s, const uint8_t *p, size_t n, Cls *c)
{
    uint32_t m = R(MRQC);
    uint8_t in[36], key[40];
    int len = 0, off = 14, proto, l4;
    uint16_t et = lduw_be_p(p + 12);

    memset(c, 0, sizeof(*c));
    if (et == 0x8100 && n >= 18) {
        et = lduw_be_p(p + 16);
        off = 18;
    }
    if (et == 0x0800 && n >= off + 20) {
        int ihl = (p[off] & 15) * 4, tot = lduw_be_p(p + off + 2);
        bool frag = lduw_be_p(p + off + 6) & 0x3fff;
        proto = p[off + 9];
        l4 = off + ihl;
        c->ip4 = true;
        c->ptype = 1;
        c->ipok = net_checksum_finish(net_checksum_add(ihl, (uint8_t *)p + off)) == 0;
        memcpy(in, p + off + 12, 8);
        len = 8;
        if (m & (1 << 17)) {
            c->type = 2;
        }
        if (!frag && (proto == 6 || proto == 17) && off + tot <= n && tot >= ihl + 8) {
            uint32_t sum = net_checksum_add(tot - ihl, (uint8_t *)p + l4) +
                           net_checksum_add(8, in) + proto + tot - ihl;
            c->l4 = true;
            c->l4ok = net_checksum_finish(sum) == 0 ||
                      (proto == 17 && lduw_be_p(p + l4 + 6) == 0);
            c->ptype |= proto == 6 ? 0x10 : 0x20;
            if ((proto == 6 && (m & (1 << 16))) || (proto == 17 && (m & (1 << 22)))) {
                memcpy(in + 8, p + l4, 4);
                len = 12;
                c->type = proto == 6 ? 1 : 7;
            }
        }
    } else if (et == 0x86dd && n >= off + 40) {
        proto = p[off + 6];
        l4 = off + 40;
        c->ptype = 4;
        memcpy(in, p + off + 8, 32);
        len = 32;
        if (m & (1 << 20)) {
            c->type = 5;
        }
        if ((proto == 6 || proto == 17) && n >= l4 + 8) {
            c->ptype |= proto == 6 ? 0x10 : 0x20;
            if ((proto == 6 && (m & (1 << 21))) || (proto == 17 && (m & (1 << 23)))) {
                memcpy(in + 32, p + l4, 4);
                len = 36;
                c->type = proto == 6 ? 3 : 8;
            }
        }
    }
    if ((m & 0xf) == 1 && c->type) {
        for (int i = 0; i < 10; i++) {
            stl_le_p(key + 4 * i, R(RSSRK + 4 * i));
        }
        c->hash = toeplitz(key, in, len);
        c->q = (R(RETA + ((c->hash & 0x7c))) >> (8 * (c->hash & 3))) & 0xf;
    } else {
        c->type = 0;
    }
}
