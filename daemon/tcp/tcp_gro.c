/* tcp_gro.c - software GRO: finding the runs of a burst (tcp_gro.h) */
#include "tcp/tcp_gro.h"

#include <arpa/inet.h>
#include <string.h>

#include "tcp/seq.h"
#include "tcp/tcb.h"
#include "tcp/tcp_opt.h"

#define SLOTS		64u	/* runs that are open at a time */
#define NOP_NOP_TS	"\1\1\10\12"	/* RFC 7323 appendix A */

_Static_assert(TCP_BURST_MAX <= 64, "bits of joined");
_Static_assert(offsetof(struct hdr_tcp, data_off) == 12, "tcp_gro_payload()");

static const struct hdr_tcp *header(const struct tcp_rx *rx)
{
	return (const struct hdr_tcp *)rx->l4;	/* packed: any address */
}

/* Data, and nothing unusual about it. */
static bool may_run(const struct tcp_rx *rx)
{
	const uint8_t all = TCP_FIN | TCP_SYN | TCP_RST | TCP_URG | TCP_ACK;
	uint32_t head;

	if (rx->l4_len <= TCP_BYTES || rx->ecn == ECN_CE)
		return false;
	head = (uint32_t)(header(rx)->data_off >> 4) * 4;
	return head >= TCP_BYTES && head < rx->l4_len &&
	       (header(rx)->flags & all) == TCP_ACK;
}

/* A lone request has PSH: nothing more is looked at then. */
static bool may_begin(const struct tcp_rx *rx)
{
	return rx->l4_len > TCP_BYTES && !(header(rx)->flags & TCP_PSH) &&
	       may_run(rx);
}

static bool same_connection(const struct tcp_rx *a, const struct tcp_rx *b)
{
	return memcmp(a->l4, b->l4, offsetof(struct hdr_tcp, seq)) == 0 &&
	       addr_eq(&a->src, &b->src) && addr_eq(&a->dst, &b->dst) &&
	       a->port == b->port;
}

static uint32_t word_at(const uint8_t *p)
{
	uint32_t w;

	memcpy(&w, p, sizeof(w));
	return ntohl(w);
}

/* @len bytes of options each. */
static bool options_go_on(const uint8_t *a, const uint8_t *b, uint32_t len)
{
	if (len == OPT_TS_BYTES && memcmp(a, NOP_NOP_TS, 4) == 0 &&
	    memcmp(b, NOP_NOP_TS, 4) == 0)
		return seq_geq(word_at(b + 4), word_at(a + 4));
	return memcmp(a, b, len) == 0;
}

/* @b right behind @a, which is as long as the first of the run. */
static bool goes_on(const struct tcp_rx *a, const struct tcp_rx *b)
{
	const struct hdr_tcp *h = header(a), *k = header(b);
	uint32_t head = (uint32_t)(h->data_off >> 4) * 4;

	return ntohl(k->seq) == ntohl(h->seq) + (a->l4_len - head) &&
	       k->ack == h->ack && k->wnd == h->wnd &&
	       k->data_off == h->data_off &&
	       ((k->flags ^ h->flags) & (TCP_ECE | TCP_CWR)) == 0 &&
	       b->ecn == a->ecn && b->l4_len <= a->l4_len &&
	       same_connection(a, b) &&
	       options_go_on(a->l4 + TCP_BYTES, b->l4 + TCP_BYTES,
			     head - TCP_BYTES);
}

void tcp_gro_find(struct tcp_gro *g, const struct tcp_rx *rx,
		  const uint32_t *hash, uint32_t n)
{
	uint8_t open[SLOTS];	/* the last segment of each run */

	memset(open, GRO_END, sizeof(open));
	memset(g->next, GRO_END, sizeof(g->next));
	g->joined = 0;
	for (uint32_t i = 0; i < n; i++) {
		uint8_t *slot = &open[hash[i] / (UINT32_MAX / SLOTS + 1)];
		uint32_t last = *slot;

		if (last == GRO_END) {
			if (may_begin(&rx[i]))
				*slot = (uint8_t)i;
			continue;
		}
		*slot = may_begin(&rx[i]) ? (uint8_t)i : GRO_END;
		if (hash[last] != hash[i] || !may_run(&rx[i]) ||
		    !goes_on(&rx[last], &rx[i]))
			continue;
		g->next[last] = (uint8_t)i;
		g->joined |= UINT64_C(1) << i;
		if (rx[i].l4_len < rx[last].l4_len)
			*slot = GRO_END;
	}
}
