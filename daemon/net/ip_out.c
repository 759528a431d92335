/* ip_out.c - IPv4 on the way out */
#include <endian.h>
#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "net/net_state.h"

void ip4_write(struct net *n, uint8_t *at, const struct net_tx *tx,
	       uint32_t l4_len)
{
	struct hdr_ip4 *ip = (struct hdr_ip4 *)at;
	uint32_t src = addr_v4(&tx->src), dst = addr_v4(&tx->dst);
	uint64_t sum = (uint64_t)src + dst;

	ip->version_ihl = 0x45;
	ip->tos = tx->tos;
	ip->total_len = htobe16((uint16_t)(IP4_BYTES + l4_len));
	ip->id = htobe16(n->ip_id++);	/* RFC 6864: free when DF is set */
	ip->frag = tx->dont_fragment ? htobe16(IP4_DF) : 0;
	ip->ttl = tx->ttl;
	ip->proto = tx->proto;
	ip->src = src;
	ip->dst = dst;
	/* From the fields: reading back what was just stored would wait. */
	sum += (uint64_t)ip->total_len + ip->id + ip->frag +
	       htobe16((uint16_t)(0x4500 | tx->tos)) +
	       htobe16((uint16_t)(tx->ttl << 8 | tx->proto));
	ip->csum = csum_finish(sum);
}

static void write_headers(struct net *n, const struct net_path *path,
			  const struct neigh *e, const struct net_tx *tx,
			  struct frame *f)
{
	const uint32_t front = ETH_BYTES + IP4_BYTES, l4_len = f->len + f->lent;

	ENSURE(l4_len <= UINT16_MAX - IP4_BYTES, "TCP keeps to 64 KiB a frame");
	ip4_write(n, f->data - IP4_BYTES, tx, l4_len);
	eth_write(n, f->data - front, path->port, e->mac, ETH_TYPE_IP);
	f->data -= front;
	f->len += front;
	f->room += front;
	if (f->flags & FRAME_CSUM_PARTIAL)
		f->csum_start = (uint16_t)(f->csum_start + front);
}

/* Addresses or routes have changed since the path was made. */
static int renew_path(struct net *n, struct net_path *path,
		      const struct net_tx *tx)
{
	struct ip_addr src = tx->src;

	if (net_lookup(n, &src, &tx->dst, path) == 0)
		return 0;
	net_drop(n, NET_DROP_NO_ROUTE);
	return -EHOSTUNREACH;
}

/* The hint is right nearly always: then nothing is looked up. */
static struct neigh *hinted(struct net *n, const struct net_path *path)
{
	struct neigh *e = &n->neigh.entry[path->neigh % NET_NEIGH_MAX];

	if (neigh_usable(e) && e->used.us && e->port == path->port &&
	    addr_eq(&e->addr, &path->next_hop))
		return e;
	return NULL;
}

static int out_slowly(struct net *n, struct net_path *path,
		      const struct net_tx *tx, struct frame *f, mono_t now)
{
	struct neigh *e;
	int error = 0;

	path->neigh = neigh_use(n, path->port, &path->next_hop, now, &error);
	if (!path->neigh)
		return error;
	e = &n->neigh.entry[path->neigh];
	if (e->state != NEIGH_INCOMPLETE) {
		write_headers(n, path, e, tx, f);
		return 0;
	}
	error = neigh_wait(n, path->neigh, f);
	if (error)
		return error;
	write_headers(n, path, e, tx, f);
	return -EINPROGRESS;
}

int net_out(struct net *n, struct net_path *path, const struct net_tx *tx,
	    struct frame *f, mono_t now)
{
	struct neigh *e;

	if (path->epoch != n->epoch && renew_path(n, path, tx) != 0)
		return -EHOSTUNREACH;
	e = hinted(n, path);
	if (!e)
		return out_slowly(n, path, tx, f, now);
	if (mono_diff_us(e->used, now) > 1000000)
		e->used = now;
	write_headers(n, path, e, tx, f);
	return 0;
}
