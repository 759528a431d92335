/*
 * reass.c - IPv4 fragments, RFC 791 3.2 and RFC 1122 3.3.2, within a bound
 *
 *	datagram: units   |1111....11|   eight bytes a bit
 *	          cell    | 7 | 0 | 31 | ...  2 KiB each, shared by all
 *
 * A fragment's bytes lie in cells at the place that they have in the datagram.
 * When any byte comes twice the whole datagram is dropped and its later
 * fragments too (RFC 5722's rule, which closes the door to overlap attacks); so
 * it is when its pieces contradict each other.  Who needs a place when there
 * is none takes that of the oldest.
 *
 * Only TCP is reassembled.  Nothing is sent when a datagram times out: RFC
 * 1122 asks for an ICMP message, but the sender's TCP retransmits anyway and
 * an answer to fragments is one more thing to be abused.
 *
 * Invariant A cell is on the free list or belongs to one datagram.
 */
#include <endian.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "net/net_state.h"

struct piece {
	const uint8_t *bytes;
	uint32_t offset, len;	/* bytes */
	bool more;
};

int reass_init(struct reass *r)
{
	uint32_t i;

	r->datagram = calloc(REASS_DATAGRAMS, sizeof(*r->datagram));
	r->cells = calloc(REASS_CELLS, REASS_CELL_BYTES);
	r->whole = calloc(1, REASS_BYTES_MAX);
	if (!r->datagram || !r->cells || !r->whole)
		return -ENOMEM;
	for (i = 0; i < REASS_CELLS; i++)
		r->free_cell[i] = (uint16_t)(i + 1);
	r->free_count = REASS_CELLS;
	return 0;
}

void reass_fini(struct reass *r)
{
	free(r->datagram);
	free(r->cells);
	free(r->whole);
}

static void give_cells(struct reass *r, struct reass_datagram *d)
{
	uint32_t i;

	for (i = 0; i < sizeof(d->cell) / sizeof(*d->cell); i++)
		if (d->cell[i])
			r->free_cell[r->free_count++] = d->cell[i];
	memset(d->cell, 0, sizeof(d->cell));
}

static void end(struct reass *r, struct reass_datagram *d)
{
	give_cells(r, d);
	d->in_use = false;
	r->active--;
}

/* Drops the datagram, but keeps its name so that its other fragments are
 * dropped as well and do not begin it anew. */
static enum net_verdict kill(struct net *n, struct reass_datagram *d,
			     enum net_drop why)
{
	give_cells(&n->reass, d);
	d->dead = true;
	return net_drop(n, why);
}

static struct reass_datagram *oldest(struct reass *r,
				     const struct reass_datagram *but)
{
	struct reass_datagram *d, *best = NULL;
	uint32_t i;

	for (i = 0; i < REASS_DATAGRAMS; i++) {
		d = &r->datagram[i];
		if (d->in_use && d != but &&
		    (!best || mono_before(d->begun, best->begun)))
			best = d;
	}
	return best;
}

static void end_oldest(struct net *n, struct reass_datagram *d)
{
	if (!d->dead)
		net_drop(n, NET_DROP_FRAG_FULL);
	end(&n->reass, d);
}

static struct reass_datagram *begin(struct net *n, const struct hdr_ip4 *ip,
				    mono_t now)
{
	struct reass *r = &n->reass;
	struct reass_datagram *d = r->datagram;

	if (r->active == REASS_DATAGRAMS)
		end_oldest(n, oldest(r, NULL));
	while (d->in_use)
		d++;
	memset(d, 0, sizeof(*d));
	d->src = ip->src;
	d->dst = ip->dst;
	d->id = ip->id;
	d->proto = ip->proto;
	d->in_use = true;
	d->begun = now;
	if (r->active++ == 0)
		r->oldest = now;
	return d;
}

/* RFC 791: source, destination, protocol and identification name it. */
static struct reass_datagram *find(struct reass *r, const struct hdr_ip4 *ip)
{
	struct reass_datagram *d;
	uint32_t i;

	for (i = 0; i < REASS_DATAGRAMS && r->active; i++) {
		d = &r->datagram[i];
		if (d->in_use && d->id == ip->id && d->src == ip->src &&
		    d->dst == ip->dst && d->proto == ip->proto)
			return d;
	}
	return NULL;
}

/* Marks [from, to) units; false when one was marked already. */
static bool mark_units(struct reass_datagram *d, uint32_t from, uint32_t to)
{
	uint64_t bits, twice = 0;
	uint32_t word, low, high;

	for (word = from / 64; word <= (to - 1) / 64; word++) {
		low = word * 64 < from ? from % 64 : 0;
		high = to < word * 64 + 64 ? to - word * 64 : 64;
		bits = (UINT64_MAX >> (64 - (high - low))) << low;
		twice |= d->units[word] & bits;
		d->units[word] |= bits;
	}
	return twice == 0;
}

static uint8_t *cell_at(struct net *n, struct reass_datagram *d, uint32_t i)
{
	struct reass *r = &n->reass;
	struct reass_datagram *victim;

	while (!d->cell[i] && r->free_count == 0) {
		victim = oldest(r, d);
		if (!victim)
			return NULL;
		end_oldest(n, victim);
	}
	if (!d->cell[i])
		d->cell[i] = r->free_cell[--r->free_count];
	return r->cells + (size_t)(d->cell[i] - 1) * REASS_CELL_BYTES;
}

static bool store(struct net *n, struct reass_datagram *d,
		  const struct piece *p)
{
	uint32_t done = 0, at, part;
	uint8_t *cell;

	while (done < p->len) {
		at = (p->offset + done) % REASS_CELL_BYTES;
		part = REASS_CELL_BYTES - at;
		if (part > p->len - done)
			part = p->len - done;
		cell = cell_at(n, d, (p->offset + done) / REASS_CELL_BYTES);
		if (!cell)
			return false;
		memcpy(cell + at, p->bytes + done, part);
		done += part;
	}
	return true;
}

/* Does the piece agree with what is known of the datagram? */
static bool agrees(struct reass_datagram *d, const struct piece *p)
{
	uint32_t stop = p->offset + p->len;

	if (!p->more) {
		if (d->total || d->highest > stop)
			return false;
		d->total = stop;
	}
	if (d->total && stop > d->total)
		return false;
	if (stop > d->highest)
		d->highest = stop;
	d->have += p->len;
	return mark_units(d, p->offset / 8, (stop + 7) / 8);
}

/* RFC 3168 5.3: congestion that one fragment met, all have met; but not when
 * another's transport cannot know of it. */
static bool join_ecn(const struct reass_datagram *d, uint8_t *ecn)
{
	if (d->ecn_seen & 1u << 3) {
		if (d->ecn_seen & 1u << 0)
			return false;
		*ecn = 3;
	}
	return true;
}

static enum net_verdict complete(struct net *n, struct reass_datagram *d,
				 struct net_rx *rx)
{
	struct reass *r = &n->reass;
	uint32_t done, part;
	uint8_t *cell;

	if (!join_ecn(d, &rx->ecn))
		return kill(n, d, NET_DROP_FRAG_BAD);
	for (done = 0; done < d->total; done += part) {
		part = d->total - done;
		if (part > REASS_CELL_BYTES)
			part = REASS_CELL_BYTES;
		cell = cell_at(n, d, done / REASS_CELL_BYTES);
		memcpy(r->whole + done, cell, part);
	}
	rx->l4 = r->whole;
	rx->l4_len = d->total;
	rx->ttl = d->ttl;
	rx->csum_ok = false;	/* a port sums single frames */
	end(r, d);
	counter_add(&n->stats.reassembled, 1);
	return NET_TCP;
}

/* Zero length, a length that ends inside a unit, more than a datagram. */
static bool bad_piece(const struct piece *p, uint32_t header)
{
	return p->len == 0 || (p->more && p->len % 8 != 0) ||
	       header + p->offset + p->len > UINT16_MAX;
}

enum net_verdict reass_in(struct net *n, const uint8_t *at, mono_t now,
			  struct net_rx *rx)
{
	const struct hdr_ip4 *ip = (const struct hdr_ip4 *)at;
	const struct piece p = {
		.bytes = rx->l4, .len = rx->l4_len,
		.offset = (be16toh(ip->frag) & IP4_OFFSET) * 8u,
		.more = (ip->frag & htobe16(IP4_MF)) != 0,
	};
	struct reass_datagram *d;

	counter_add(&n->stats.rx_fragments, 1);
	if (ip->proto != IPPROTO_TCP)
		return net_drop(n, NET_DROP_IP_PROTO);
	reass_advance(n, now);
	d = find(&n->reass, ip);
	if (d && d->dead)
		return net_drop(n, NET_DROP_FRAG_BAD);
	if (!d)
		d = begin(n, ip, now);
	if (bad_piece(&p, (ip->version_ihl & 15u) * 4) || !agrees(d, &p))
		return kill(n, d, NET_DROP_FRAG_BAD);
	if (!store(n, d, &p))
		return kill(n, d, NET_DROP_FRAG_FULL);
	d->ecn_seen |= (uint8_t)(1u << rx->ecn);
	if (p.offset == 0)
		d->ttl = rx->ttl;
	if (d->total && d->have == d->total)
		return complete(n, d, rx);
	return NET_HELD;
}

void reass_advance(struct net *n, mono_t now)
{
	struct reass *r = &n->reass;
	struct reass_datagram *d;

	while (r->active) {
		if (mono_diff_us(r->oldest, now) < (int64_t)REASS_TIMEOUT_US)
			return;
		d = oldest(r, NULL);
		r->oldest = d->begun;
		if (mono_diff_us(d->begun, now) < (int64_t)REASS_TIMEOUT_US)
			return;
		if (!d->dead)
			net_drop(n, NET_DROP_FRAG_TIMEOUT);
		end(r, d);
	}
}

mono_t reass_next_due(const struct net *n)
{
	if (n->reass.active == 0)
		return MONO_NEVER;
	return mono_add(n->reass.oldest, REASS_TIMEOUT_US);
}
