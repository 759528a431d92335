/*
 * neigh.c - the neighbour table: who is at which link address
 *
 *	            net_out()                 answer
 *	  (none) --------------> INCOMPLETE ----------> REACHABLE <---+
 *	    ^                        | 3 requests          | 60 s     | answer
 *	    | 2 s hold-down          v unanswered          v          |
 *	    +------------------- FAILED <---------------- STALE ------+
 *	    |                             3 unanswered     |
 *	    +----------------------------------------------+ 20 min unused
 *
 * A stale entry is used on; its first use asks again (RFC 1122 2.3.2.1, the
 * unicast poll, by request).  A failed one refuses at once while it is held
 * down, then is forgotten, so that only new demand asks again.
 *
 * Every entry but a static one is on one list, and lists do not take room
 * from each other: requests heard by the thousand push out only what was
 * heard and never used, unanswered addresses only unanswered ones.
 */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/siphash.h"
#include "net/net_state.h"

#define EVICT_LOOKS	16	/* entries passed over because of recent use */

static uint16_t *bucket_of(const struct net *n, uint8_t port,
			   const struct ip_addr *a)
{
	uint8_t key[17];

	memcpy(key, a, sizeof(*a));
	key[16] = port;
	return &n->neigh.bucket[siphash(n->secret, key, sizeof(key)) %
				NEIGH_BUCKETS];
}

uint16_t neigh_find(const struct net *n, uint8_t port, const struct ip_addr *a)
{
	uint16_t i = *bucket_of(n, port, a);
	const struct neigh *e;

	for (; i; i = e->hash_next) {
		e = &n->neigh.entry[i];
		if (e->port == port && addr_eq(&e->addr, a))
			break;
	}
	return i;
}

static uint16_t index_of(const struct net *n, const struct neigh *e)
{
	return (uint16_t)(e - n->neigh.entry);
}

/* ---- lists ---- */

static void list_remove(struct net *n, struct neigh *e)
{
	struct neigh_fifo *l = &n->neigh.list[e->list];

	if (e->list == NEIGH_LIST_NONE)
		return;
	if (e->prev)
		n->neigh.entry[e->prev].next = e->next;
	else
		l->head = e->next;
	if (e->next)
		n->neigh.entry[e->next].prev = e->prev;
	else
		l->tail = e->prev;
	l->count--;
	e->prev = 0;
	e->next = 0;
	e->list = NEIGH_LIST_NONE;
}

/* To the young end of @list, from wherever it was. */
static void list_move(struct net *n, struct neigh *e, enum neigh_list list)
{
	struct neigh_fifo *l = &n->neigh.list[list];
	uint16_t index = index_of(n, e);

	list_remove(n, e);
	e->list = (uint8_t)list;
	e->prev = l->tail;
	if (l->tail)
		n->neigh.entry[l->tail].next = index;
	else
		l->head = index;
	l->tail = index;
	l->count++;
}

/* ---- frames that wait ---- */

static void fifo_append(struct frame_fifo *to, struct frame *f)
{
	f->next = NULL;
	if (to->last)
		to->last->next = f;
	else
		to->first = f;
	to->last = f;
}

static int fifo_take(struct frame_fifo *from, struct frame **f, int max)
{
	int count = 0;

	while (count < max && from->first) {
		f[count] = from->first;
		from->first = f[count]->next;
		f[count++]->next = NULL;
	}
	if (!from->first)
		from->last = NULL;
	return count;
}

/* All that wait for @e: their link address is known now. */
static void release_ready(struct net *n, struct neigh *e)
{
	struct frame *f, *next;

	for (f = e->first; f; f = next) {
		next = f->next;
		memcpy(f->data, e->mac, sizeof(e->mac));
		fifo_append(&n->neigh.ready, f);
	}
	n->neigh.queued_all -= e->queued;
	e->queued = 0;
	e->first = e->last = NULL;
}

static void release_failed(struct net *n, struct neigh *e)
{
	struct frame *f, *next;

	for (f = e->first; f; f = next) {
		next = f->next;
		fifo_append(&n->neigh.failed, f);
		net_drop(n, NET_DROP_NEIGH_FAILED);
	}
	n->neigh.queued_all -= e->queued;
	e->queued = 0;
	e->first = e->last = NULL;
}

int neigh_wait(struct net *n, uint16_t index, struct frame *f)
{
	struct neigh *e = &n->neigh.entry[index];

	if (e->queued >= NET_NEIGH_QUEUE ||
	    n->neigh.queued_all >= NET_NEIGH_QUEUE_ALL) {
		net_drop(n, NET_DROP_NEIGH_QUEUE);
		return -ENOBUFS;
	}
	f->next = NULL;
	if (e->last)
		e->last->next = f;
	else
		e->first = f;
	e->last = f;
	e->queued++;
	n->neigh.queued_all++;
	return 0;
}

int net_ready(struct net *n, struct frame **f, int max)
{
	return fifo_take(&n->neigh.ready, f, max);
}

int net_failed(struct net *n, struct frame **f, int max)
{
	return fifo_take(&n->neigh.failed, f, max);
}

/* The wheel hears the time at its first timer too, not only from
 * neigh_advance(): it may have been empty for long. */
static void set_timer(struct net *n, const struct neigh *e, mono_t now,
		      uint64_t after_us)
{
	struct wheel *w = &n->neigh.wheel;
	uint32_t none;

	if (w->count == 0)
		wheel_advance(w, now, &none, 0);
	wheel_set(w, index_of(n, e), mono_add(now, after_us));
}

/* ---- requests that are due ---- */

static void ask_clear(struct net *n, uint16_t index)
{
	uint64_t bit = UINT64_C(1) << index % 64;

	if (n->neigh.ask[index / 64] & bit)
		n->neigh.ask_count--;
	n->neigh.ask[index / 64] &= ~bit;
}

static void ask(struct net *n, struct neigh *e, mono_t now)
{
	uint16_t index = index_of(n, e);
	uint64_t bit = UINT64_C(1) << index % 64;

	if (!(n->neigh.ask[index / 64] & bit))
		n->neigh.ask_count++;
	n->neigh.ask[index / 64] |= bit;
	e->tries++;
	set_timer(n, e, now, NEIGH_RETRY_US);
}

uint16_t neigh_next_ask(struct net *n)
{
	struct neigh_table *t = &n->neigh;
	uint32_t i, word;
	uint16_t index;

	if (t->ask_count == 0)
		return 0;
	for (i = 0; i < NET_NEIGH_MAX / 64; i++) {
		word = (t->ask_at + i) % (NET_NEIGH_MAX / 64);
		if (!t->ask[word])
			continue;
		index = (uint16_t)(word * 64 +
				   (uint32_t)__builtin_ctzll(t->ask[word]));
		ask_clear(n, index);
		t->ask_at = word;
		return index;
	}
	return 0;
}

/* ---- entries ---- */

static void forget(struct net *n, struct neigh *e)
{
	uint16_t index = index_of(n, e);
	uint16_t *link = bucket_of(n, e->port, &e->addr);

	release_failed(n, e);
	while (*link != index)
		link = &n->neigh.entry[*link].hash_next;
	*link = e->hash_next;
	list_remove(n, e);
	ask_clear(n, index);
	wheel_cancel(&n->neigh.wheel, index);
	e->state = NEIGH_FREE;
	e->hash_next = n->neigh.free_head;
	n->neigh.free_head = index;
}

/* The oldest of @list goes; of those in use, one not used lately if such is
 * found soon. */
static bool evict(struct net *n, enum neigh_list list, mono_t now)
{
	struct neigh_fifo *l = &n->neigh.list[list];
	struct neigh *e;
	int looks;

	if (!l->head)
		return false;
	for (looks = 0; looks < EVICT_LOOKS; looks++) {
		e = &n->neigh.entry[l->head];
		if (list != NEIGH_LIST_USED ||
		    mono_diff_us(e->used, now) > (int64_t)NEIGH_REACHABLE_US)
			break;
		list_move(n, e, list);
	}
	counter_add(&n->stats.neigh_evicted, 1);
	forget(n, &n->neigh.entry[l->head]);
	return true;
}

static bool make_room(struct net *n, enum neigh_list list, mono_t now)
{
	static const uint16_t most[NEIGH_LISTS] = {
		[NEIGH_LIST_NONE] = NET_NEIGH_MAX,
		[NEIGH_LIST_HEARD] = NEIGH_HEARD_MAX,
		[NEIGH_LIST_ASKED] = NEIGH_ASKED_MAX,
		[NEIGH_LIST_USED] = NET_NEIGH_MAX,
	};

	if (n->neigh.list[list].count >= most[list])
		return evict(n, list, now);
	if (n->neigh.free_head)
		return true;
	if (list == NEIGH_LIST_HEARD)	/* takes nothing from the others */
		return evict(n, list, now);
	return evict(n, NEIGH_LIST_HEARD, now) ||
	       evict(n, NEIGH_LIST_ASKED, now) ||
	       evict(n, NEIGH_LIST_USED, now);
}

/* A new entry in state FREE on @list; NULL: no room. */
static struct neigh *create(struct net *n, uint8_t port,
			    const struct ip_addr *a, enum neigh_list list,
			    mono_t now)
{
	uint16_t index, *link;
	struct neigh *e;

	if (!make_room(n, list, now))
		return NULL;
	index = n->neigh.free_head;
	e = &n->neigh.entry[index];
	n->neigh.free_head = e->hash_next;
	memset(e, 0, sizeof(*e));
	e->addr = *a;
	e->port = port;
	link = bucket_of(n, port, a);
	e->hash_next = *link;
	*link = index;
	if (list != NEIGH_LIST_NONE)
		list_move(n, e, list);
	return e;
}

static void describe(const struct neigh *e, struct net_neigh_entry *out,
		     mono_t now)
{
	int64_t age = mono_diff_us(e->confirmed, now);

	*out = (struct net_neigh_entry){ .addr = e->addr, .port = e->port,
					 .state = e->state };
	memcpy(out->mac, e->mac, sizeof(out->mac));
	if (e->confirmed.us && age > 0)
		out->age_s = (uint32_t)(age / 1000000);
}

/* For net_learnt(); the oldest that nobody took is overwritten. */
static void tell(struct net *n, const struct neigh *e, mono_t now)
{
	struct neigh_table *t = &n->neigh;

	describe(e, &t->learnt[t->learnt_tail++ % NEIGH_LEARNT], now);
	if (t->learnt_tail - t->learnt_head > NEIGH_LEARNT)
		t->learnt_head = t->learnt_tail - NEIGH_LEARNT;
}

void neigh_overheard(struct net *n, uint8_t port, const struct ip_addr *a,
		     const uint8_t mac[6], mono_t now)
{
	struct neigh e = { .addr = *a, .port = port, .state = NEIGH_FREE };

	memcpy(e.mac, mac, sizeof(e.mac));
	tell(n, &e, now);
}

int net_learnt(struct net *n, struct net_neigh_entry *e, int max)
{
	struct neigh_table *t = &n->neigh;
	int count = 0;

	while (count < max && t->learnt_head != t->learnt_tail)
		e[count++] = t->learnt[t->learnt_head++ % NEIGH_LEARNT];
	return count;
}

/* @e is at @mac for certain, now. */
static void confirm(struct net *n, struct neigh *e, const uint8_t mac[6],
		    mono_t now)
{
	if (e->state == NEIGH_FREE || e->state == NEIGH_INCOMPLETE ||
	    e->state == NEIGH_FAILED)
		counter_add(&n->stats.neigh_learnt, 1);
	else if (memcmp(e->mac, mac, sizeof(e->mac)) != 0)
		counter_add(&n->stats.neigh_changed, 1);
	memcpy(e->mac, mac, sizeof(e->mac));
	if (e->list == NEIGH_LIST_ASKED)
		list_move(n, e, NEIGH_LIST_USED);
	e->state = NEIGH_REACHABLE;
	e->confirmed = now;
	e->tries = 0;
	ask_clear(n, index_of(n, e));
	set_timer(n, e, now, NEIGH_REACHABLE_US);
	release_ready(n, e);
}

bool neigh_heard(struct net *n, uint8_t port, const struct ip_addr *a,
		 const uint8_t mac[6], bool make, bool answer, mono_t now)
{
	uint16_t index = neigh_find(n, port, a);
	struct neigh *e = &n->neigh.entry[index];
	bool news;

	if (!index && make)
		e = create(n, port, a, NEIGH_LIST_HEARD, now);
	if (!e || (!index && !make))
		return false;
	if (e->state == NEIGH_STATIC)
		return true;
	news = answer || e->state != NEIGH_REACHABLE ||
	       memcmp(e->mac, mac, sizeof(e->mac)) != 0;
	confirm(n, e, mac, now);
	if (news)
		tell(n, e, now);
	return true;
}

void net_learn(struct net *n, const struct net_neigh_entry *told, mono_t now)
{
	uint16_t index = neigh_find(n, told->port, &told->addr);
	struct neigh *e = &n->neigh.entry[index];

	if (!index && told->state == NEIGH_FREE)
		return;		/* an answer to whom it may concern: not us */
	if (!index)
		e = create(n, told->port, &told->addr, NEIGH_LIST_HEARD, now);
	if (e && e->state != NEIGH_STATIC)
		confirm(n, e, told->mac, now);
}

static uint16_t demand(struct net *n, uint8_t port, const struct ip_addr *a,
		       mono_t now, int *error)
{
	struct neigh *e = create(n, port, a, NEIGH_LIST_ASKED, now);

	if (!e) {
		net_drop(n, NET_DROP_NEIGH_QUEUE);
		*error = -ENOBUFS;
		return 0;
	}
	e->state = NEIGH_INCOMPLETE;
	e->used = now;
	ask(n, e, now);
	return index_of(n, e);
}

uint16_t neigh_use(struct net *n, uint8_t port, const struct ip_addr *a,
		   mono_t now, int *error)
{
	uint16_t index = neigh_find(n, port, a);
	struct neigh *e = &n->neigh.entry[index];

	if (!index)
		return demand(n, port, a, now, error);
	if (e->state == NEIGH_FAILED) {
		net_drop(n, NET_DROP_NEIGH_FAILED);
		*error = -EHOSTUNREACH;
		return 0;
	}
	if (e->list == NEIGH_LIST_HEARD)
		list_move(n, e, NEIGH_LIST_USED);
	if (e->state == NEIGH_STALE && e->tries == 0)
		ask(n, e, now);
	e->used = now;
	return index;
}

/* ---- time ---- */

static void fail(struct net *n, struct neigh *e, mono_t now)
{
	release_failed(n, e);
	e->state = NEIGH_FAILED;
	if (e->list != NEIGH_LIST_ASKED &&
	    n->neigh.list[NEIGH_LIST_ASKED].count >= NEIGH_ASKED_MAX)
		evict(n, NEIGH_LIST_ASKED, now);
	list_move(n, e, NEIGH_LIST_ASKED);
	set_timer(n, e, now, NEIGH_HOLD_DOWN_US);
}

static void timed_out(struct net *n, uint16_t index, mono_t now)
{
	struct neigh *e = &n->neigh.entry[index];

	switch (e->state) {
	case NEIGH_REACHABLE:
		e->state = NEIGH_STALE;
		set_timer(n, e, now, NEIGH_STALE_US);
		break;
	case NEIGH_INCOMPLETE:
	case NEIGH_STALE:
		if (e->tries >= NET_NEIGH_TRIES)
			fail(n, e, now);
		else if (e->tries > 0)
			ask(n, e, now);
		else
			forget(n, e);
		break;
	case NEIGH_FAILED:
		forget(n, e);
		break;
	default:
		break;
	}
}

void neigh_advance(struct net *n, mono_t now)
{
	uint32_t due[32];
	int i, count;

	count = wheel_advance(&n->neigh.wheel, now, due, 32);
	for (i = 0; i < count; i++)
		if (!wheel_is_set(&n->neigh.wheel, due[i]))
			timed_out(n, (uint16_t)due[i], now);
}

/* ---- configuration and listing ---- */

int net_set_static_neigh(struct net *n, const struct net_neigh_entry *s,
			 unsigned int count)
{
	struct neigh *e;
	unsigned int i;
	uint16_t index;

	if (count > NET_STATIC_MAX)
		return -ENOSPC;
	for (i = 0; i < count; i++)
		if (s[i].port >= NET_PORTS_MAX)
			return -EINVAL;
	for (i = 1; i < NET_NEIGH_MAX; i++)
		if (n->neigh.entry[i].state == NEIGH_STATIC)
			forget(n, &n->neigh.entry[i]);
	for (i = 0; i < count; i++) {
		index = neigh_find(n, s[i].port, &s[i].addr);
		e = index ? &n->neigh.entry[index] :
		    create(n, s[i].port, &s[i].addr, NEIGH_LIST_NONE, n->now);
		if (!e)
			return -ENOSPC;
		list_remove(n, e);
		ask_clear(n, index_of(n, e));
		wheel_cancel(&n->neigh.wheel, index_of(n, e));
		memcpy(e->mac, s[i].mac, sizeof(e->mac));
		e->state = NEIGH_STATIC;
		release_ready(n, e);
	}
	return 0;
}

int net_list_neigh(const struct net *n, uint32_t *cursor,
		   struct net_neigh_entry *e, int max, mono_t now)
{
	int count = 0;

	if (*cursor == 0)
		*cursor = 1;
	for (; count < max && *cursor < NET_NEIGH_MAX; ++*cursor)
		if (n->neigh.entry[*cursor].state != NEIGH_FREE)
			describe(&n->neigh.entry[*cursor], &e[count++], now);
	return count;
}

int neigh_init(struct neigh_table *t, mono_t now)
{
	unsigned int i;

	t->entry = calloc(NET_NEIGH_MAX, sizeof(*t->entry));
	t->bucket = calloc(NEIGH_BUCKETS, sizeof(*t->bucket));
	if (!t->entry || !t->bucket)
		return -ENOMEM;
	for (i = NET_NEIGH_MAX - 1; i > 0; i--) {
		t->entry[i].hash_next = t->free_head;
		t->free_head = (uint16_t)i;
	}
	wheel_init(&t->wheel, t->entry, sizeof(*t->entry),
		   offsetof(struct neigh, timer), now);
	return 0;
}

void neigh_fini(struct neigh_table *t)
{
	free(t->entry);
	free(t->bucket);
}
