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

/* What is hashed of a frame, and its type (7.1.2.8). */
typedef struct {
    uint8_t in[36];
    int len;
} Key;

static bool tcp_or_udp(int proto)
{
    return proto == 6 || proto == 17;
}

/* Ports join the addresses where MRQC wants it for this protocol. */
static void add_ports(Key *k, Cls *c, const uint8_t *l4, bool on, int type)
{
    if (on) {
        memcpy(k->in + k->len, l4, 4);
        k->len += 4;
        c->type = type;
    }
}

/* IPv4 may leave out UDP's checksum, which is 0 then. */
static void check_l4(Cls *c, const uint8_t *addresses, int n, const uint8_t *l4,
                     int proto, int bytes)
{
    uint32_t sum = net_checksum_add(bytes, (uint8_t *)l4) +
                   net_checksum_add(n, (uint8_t *)addresses) + proto + bytes;

    c->l4 = true;
    c->l4ok = net_checksum_finish(sum) == 0 ||
              (proto == 17 && n == 8 && lduw_be_p(l4 + 6) == 0);
}

static void classify_ip4(IX *s, const uint8_t *ip, size_t n, Cls *c, Key *k)
{
    uint32_t m = R(MRQC);
    int ihl = (ip[0] & 15) * 4, tot = lduw_be_p(ip + 2), proto = ip[9];
    bool frag = lduw_be_p(ip + 6) & 0x3fff;

    if (ihl < 20 || ihl > n) {
        return;
    }
    c->ip4 = true;
    c->ptype = 1;
    c->ipok = net_checksum_finish(net_checksum_add(ihl, (uint8_t *)ip)) == 0;
    memcpy(k->in, ip + 12, 8);
    k->len = 8;
    c->type = m & (1 << 17) ? 2 : 0;
    if (frag || !tcp_or_udp(proto) || tot > n || tot < ihl + 8) {
        return;
    }
    check_l4(c, ip + 12, 8, ip + ihl, proto, tot - ihl);
    c->ptype |= proto == 6 ? 0x10 : 0x20;
    add_ports(k, c, ip + ihl, m & (proto == 6 ? 1 << 16 : 1 << 22),
              proto == 6 ? 1 : 7);
}

static void classify_ip6(IX *s, const uint8_t *ip, size_t n, Cls *c, Key *k)
{
    uint32_t m = R(MRQC);
    int proto = ip[6], bytes = lduw_be_p(ip + 4);

    c->ptype = 4;
    memcpy(k->in, ip + 8, 32);
    k->len = 32;
    c->type = m & (1 << 20) ? 5 : 0;
    if (!tcp_or_udp(proto) || bytes < 8 || bytes + 40 > n) {
        return;
    }
    check_l4(c, ip + 8, 32, ip + 40, proto, bytes);
    c->ptype |= proto == 6 ? 0x10 : 0x20;
    add_ports(k, c, ip + 40, m & (proto == 6 ? 1 << 21 : 1 << 23),
              proto == 6 ? 3 : 8);
}

static void spread(IX *s, Cls *c, const Key *k)
{
    uint8_t key[40];

    for (int i = 0; i < 10; i++) {
        stl_le_p(key + 4 * i, R(RSSRK + 4 * i));
    }
    c->hash = toeplitz(key, k->in, k->len);
    c->q = (R(RETA + (c->hash & 0x7c)) >> (8 * (c->hash & 3))) & 0xf;
}

void ix_classify(IX *s, const uint8_t *p, size_t n, Cls *c)
{
    uint16_t et = lduw_be_p(p + 12);
    int off = 14;
    Key k = { .len = 0 };

    memset(c, 0, sizeof(*c));
    if (et == 0x8100 && n >= 18) {
        et = lduw_be_p(p + 16);
        off = 18;
    }
    if (et == 0x0800 && n >= off + 20) {
        classify_ip4(s, p + off, n - off, c, &k);
    } else if (et == 0x86dd && n >= off + 40) {
        classify_ip6(s, p + off, n - off, c, &k);
    }
    if ((R(MRQC) & 0xf) == 1 && c->type) {
        spread(s, c, &k);
    } else {
        c->type = 0;
    }
}
