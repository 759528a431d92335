/* eth_out.c - Ethernet headers, on the way out */
#include <endian.h>
#include <string.h>

#include "net/net_state.h"

void eth_write(const struct net *n, uint8_t *at, uint8_t port,
	       const uint8_t dst[6], uint16_t type)
{
	struct hdr_eth *eth = (struct hdr_eth *)at;

	memcpy(eth->dst, dst, sizeof(eth->dst));
	memcpy(eth->src, n->port[port].mac, sizeof(eth->src));
	eth->type = htobe16(type);
}

/* A received frame goes back to where it came from; nothing is left for the
 * port to finish. */
void eth_turn(const struct net *n, struct frame *f)
{
	struct hdr_eth *eth = (struct hdr_eth *)f->data;

	memcpy(eth->dst, eth->src, sizeof(eth->dst));
	memcpy(eth->src, n->port[f->port].mac, sizeof(eth->src));
	f->flags = 0;
	f->gso_size = 0;
	f->vlan = 0;
}
