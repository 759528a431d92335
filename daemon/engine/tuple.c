#include "engine/tuple.h"

#include <arpa/inet.h>
#include <errno.h>

#include "base/siphash.h"

uint32_t tuple_owner(const struct tuples *t, const struct tuple_key *key,
		     uint16_t lport)
{
	uint32_t hash = rss_hash_v4(t->rss, addr_v4(&key->remote),
				    addr_v4(&key->local), key->rport, lport);

	return rss_engine(hash, t->engines);
}

/* The destination's place; who had it before loses its hint only. */
static struct tuple_hint *find_hint(struct tuples *t,
				    const struct tuple_key *key)
{
	struct {
		struct ip_addr local, remote;
		uint64_t rport;
	} in = { key->local, key->remote, key->rport };
	uint64_t tag = siphash(t->secret, &in, sizeof(in)) | 1;
	struct tuple_hint *h = &t->hints[tag >> 32 & (TUPLE_HINTS - 1)];

	if (h->tag != tag)
		*h = (struct tuple_hint){
			.tag = tag,
			.next = (uint32_t)(tag >> 1) %
				((uint32_t)(t->max - t->min) + 1),
		};
	return h;
}

int tuple_pick(struct tuples *t, const struct tuple_key *key, mono_t now,
	       tuple_free_fn *is_free, void *arg, uint16_t *lport)
{
	uint32_t range = (uint32_t)(t->max - t->min) + 1;
	struct tuple_hint *h = find_hint(t, key);
	uint32_t rest = rss_hash_v4(t->rss, addr_v4(&key->remote),
				    addr_v4(&key->local), key->rport, 0);

	/* what port 0 has put in is taken out again */
	rest ^= t->rss->table[10][0] ^ t->rss->table[11][0];
	if (mono_before(now, h->full_until))
		return -EADDRNOTAVAIL;
	for (uint32_t i = 0; i < range; i++) {
		uint32_t port = t->min + h->next;
		uint32_t hash = rest ^ t->rss->table[10][port >> 8] ^
				t->rss->table[11][port & 0xff];

		h->next = h->next + 1 == range ? 0 : h->next + 1;
		if (rss_engine(hash, t->engines) != t->engine)
			continue;
		*lport = htons((uint16_t)port);
		if (is_free(arg, key, *lport))
			return 0;
	}
	h->full_until = mono_add(now, TUPLE_FULL_US);
	return -EADDRNOTAVAIL;
}
