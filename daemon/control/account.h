/*
 * account.h - what the programs of one policy have together
 *
 *	[policy web] --> account "web" <-- client, client, ...
 *	   per = user --> account "web" of uid 33, of uid 1000, ...
 *
 * `connections`, `memory`, `clients` and the rates of a policy are sums over
 * all programs that it is the policy of, or with `per = user` over those of
 * one user.  What happens at the pace of connections is the engines' part
 * (engine/account.h); memory is granted here, a slab at a time.
 *
 * Invariant  used <= memory, unless memory was lowered: then no slab is
 *            granted until programs have ended.  A program that attaches is
 *            charged at once for what its first context takes, so that who is
 *            let in can work; who finds less left is not let in.
 * Lifetime   From the first program's HELLO until the last one's segment is
 *            gone, and then as long as its buckets take to fill: who comes
 *            again at once does not find them full.
 * Threads    Control.
 */
#ifndef CONTROL_ACCOUNT_H
#define CONTROL_ACCOUNT_H

#include "control/config.h"
#include "engine/engine.h"

struct control;
struct json_t;

struct account {
	struct engine_account engine;	/* engines count here; must be first */
	struct account *next;
	char policy[32];
	bool per_user;			/* of this user alone: */
	uint32_t uid;
	uint32_t refs;			/* clients, those that leave too */
	uint64_t memory, used;		/* bytes; memory 0: any number */
	uint64_t denied;		/* slabs wished for in vain */
	mono_t last;			/* when the last reference went */
};

/* The account of @uid's programs under @p, a new one if need be, with one
 * more reference.  NULL: no memory. */
struct account *account_get(struct control *c, const struct config_policy *p,
			    uint32_t uid);
void account_put(struct account *a);
/* NULL takes any number.  0, or -EDQUOT with nothing charged. */
int account_charge(struct account *a, uint64_t bytes);
void account_release(struct account *a, uint64_t bytes);
/* Limits as the configuration has them now. */
void accounts_apply(struct control *c);
uint32_t account_programs(const struct control *c, const struct account *a);
struct json_t *accounts_list(const struct control *c);
void accounts_free_all(struct control *c);	/* clients are gone */

#endif
