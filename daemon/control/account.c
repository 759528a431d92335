#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/line.h"
#include "control/account.h"
#include "control/control.h"

#define BUCKETS_FILL_US	1000000	/* a second's worth in a second */

static void set_limits(struct account *a, const struct config_policy *p)
{
	const memory_order order = memory_order_relaxed;

	atomic_store_explicit(&a->engine.connections, p->connections, order);
	atomic_store_explicit(&a->engine.connect_rate, p->connect_rate, order);
	atomic_store_explicit(&a->engine.accept_rate, p->accept_rate, order);
	a->memory = p->memory;
}

static bool is_it(const struct account *a, const struct config_policy *p,
		  uint32_t uid)
{
	return !strcmp(a->policy, p->name) &&
	       a->per_user == (p->per == PER_USER) &&
	       (!a->per_user || a->uid == uid);
}

/* Those that nobody used for long enough. */
static void prune(struct control *c)
{
	struct account **at = &c->accounts, *a;
	mono_t now = mono_now();

	while ((a = *at) != NULL) {
		if (a->refs || mono_diff_us(a->last, now) < BUCKETS_FILL_US) {
			at = &a->next;
			continue;
		}
		*at = a->next;
		free(a);
	}
}

struct account *account_get(struct control *c, const struct config_policy *p,
			    uint32_t uid)
{
	struct account *a;

	prune(c);
	for (a = c->accounts; a && !is_it(a, p, uid);)
		a = a->next;
	if (!a) {
		a = line_alloc(sizeof(*a));
		if (!a)
			return NULL;
		memcpy(a->policy, p->name, sizeof(a->policy));
		a->per_user = p->per == PER_USER;
		a->uid = uid;
		a->next = c->accounts;
		c->accounts = a;
	}
	set_limits(a, p);
	a->refs++;
	return a;
}

void account_put(struct account *a)
{
	if (a && --a->refs == 0)
		a->last = mono_now();
}

int account_charge(struct account *a, uint64_t bytes)
{
	if (!a)
		return 0;
	if (a->memory && (a->used > a->memory || bytes > a->memory - a->used))
		return -EDQUOT;
	a->used += bytes;
	return 0;
}

void account_release(struct account *a, uint64_t bytes)
{
	if (a)
		a->used -= bytes;
}

/* A policy that is gone leaves its accounts as they were. */
void accounts_apply(struct control *c)
{
	for (struct account *a = c->accounts; a; a = a->next)
		for (uint32_t i = 0; i < c->cfg->policy_count; i++)
			if (!strcmp(a->policy, c->cfg->policies[i].name))
				set_limits(a, &c->cfg->policies[i]);
	attach_retry_slabs(c);
}

static json_int_t count64(const _Atomic uint64_t *n)
{
	return (json_int_t)counter_get(n);
}

uint32_t account_programs(const struct control *c, const struct account *a)
{
	uint32_t n = 0;

	for (const struct client *cl = c->clients; cl; cl = cl->next)
		n += cl->account == a && cl->state == CLIENT_ATTACHED;
	return n;
}

static json_t *one(const struct control *c, const struct account *a)
{
	const struct engine_account *e = &a->engine;

	return json_pack(
		"{s:s,s:o,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I}",
		"policy", a->policy,
		"uid", a->per_user ? json_integer(a->uid) : json_null(),
		"programs", (json_int_t)account_programs(c, a),
		"connections", (json_int_t)account_get32(&e->open),
		"connections_max", (json_int_t)account_get32(&e->connections),
		"memory_bytes", (json_int_t)a->used,
		"memory_max_bytes", (json_int_t)a->memory,
		"connect_rate", (json_int_t)account_get32(&e->connect_rate),
		"accept_rate", (json_int_t)account_get32(&e->accept_rate),
		"connections_refused", count64(&e->connections_refused),
		"connects_slowed", count64(&e->connects_slowed),
		"accepts_slowed", count64(&e->accepts_slowed),
		"slabs_denied", (json_int_t)a->denied);
}

json_t *accounts_list(const struct control *c)
{
	json_t *all = json_array();

	for (const struct account *a = c->accounts; a; a = a->next)
		if (a->refs)
			json_array_append_new(all, one(c, a));
	return all;
}

void accounts_free_all(struct control *c)
{
	while (c->accounts) {
		struct account *a = c->accounts;

		ENSURE(!a->refs, "clients are freed before their accounts");
		c->accounts = a->next;
		free(a);
	}
}
