#include "trace.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

static void flags_text(uint16_t flags, char *buf)
{
	static const char letters[] = "FSRPAUECN";

	for (int i = 0; i < 9; i++)
		if (flags & (1 << i))
			*buf++ = letters[i];
	*buf = '\0';
}

void trace_tx(int side, const struct tcp_tx *tx, mono_t now)
{
	char flags[10];

	flags_text(tx->flags, flags);
	printf("%12.6f side %d sends  %u>%u %-4s seq %u ack %u win %u len %u opts %u\n",
	       (double)now.us / 1e6, side, ntohs(tx->sport), ntohs(tx->dport),
	       flags, tx->seq, tx->ack, tx->wnd, tx->payload_len, tx->opt_len);
}

void trace_rx(int side, const struct tcp_rx *rx, mono_t now)
{
	struct hdr_tcp h;
	char flags[10];
	uint32_t off;

	if (rx->l4_len < TCP_BYTES)
		return;
	memcpy(&h, rx->l4, sizeof(h));
	flags_text(h.flags, flags);
	off = (uint32_t)(h.data_off >> 4) * 4;
	printf("%12.6f side %d gets   %u>%u %-4s seq %u ack %u win %u len %d\n",
	       (double)now.us / 1e6, side, ntohs(h.sport), ntohs(h.dport),
	       flags, ntohl(h.seq), ntohl(h.ack), ntohs(h.wnd),
	       (int)(rx->l4_len - off));
}
