/*
 * policy.c - what a program may, by the user and groups of its process
 *
 *	attach --SO_PEERCRED, SO_PEERGROUPS--> [policy NAME], the first that
 *	fits -> where: a copy in struct client, which engines read too
 *	     \-> how much, how fast: its account (account.h)
 *
 * A policy that changes holds for programs that attach from then on, but its
 * numbers hold for all of them at once.  Without
 * a [policy] section everybody who may open the socket may do everything.
 */
#define LOG_FACILITY LOG_FAC_CLIENT

#include <arpa/inet.h>
#include <errno.h>
#include <jansson.h>
#include <string.h>
#include <sys/socket.h>

#include "base/log.h"
#include "control/account.h"
#include "control/control.h"

#define GROUPS_MAX	256

/* The main group and the others; how many. */
static size_t groups_of(const struct client *cl, uint32_t gids[GROUPS_MAX])
{
	struct ucred cred;
	socklen_t bytes = sizeof(cred);
	size_t n = 0;

	if (getsockopt(cl->fd, SOL_SOCKET, SO_PEERCRED, &cred, &bytes) == 0)
		gids[n++] = cred.gid;
	bytes = (socklen_t)((GROUPS_MAX - n) * sizeof(gids[0]));
	if (getsockopt(cl->fd, SOL_SOCKET, SO_PEERGROUPS, gids + n, &bytes) == 0)
		n += bytes / sizeof(gids[0]);
	return n;
}

static uint32_t clients_of(const struct control *c, const char *policy)
{
	uint32_t n = 0;

	for (const struct client *cl = c->clients; cl; cl = cl->next)
		n += cl->state == CLIENT_ATTACHED &&
		     !strcmp(cl->policy_name, policy);
	return n;
}

static int refuse(struct client *cl, const char *policy, int error,
		  const char *why)
{
	cl->control->counters.policy_refused++;
	log_event(LOG_EV_REFUSED, LOG_LEVEL_INFO,
		  "policy %s: pid %d of user %u may not attach: %s", policy,
		 (int)cl->pid, cl->uid, why);
	client_fail(cl, error, "policy %s: %s", policy, why);
	return error;
}

/* The program is one of @p's from now on; 0, or an errno after it was told. */
static int join(struct client *cl, const struct config_policy *p)
{
	struct control *c = cl->control;

	cl->account = account_get(c, p, cl->uid);
	if (!cl->account)
		return refuse(cl, p->name, ENOMEM, "mtcpd has no memory");
	if (p->clients && account_programs(c, cl->account) >= p->clients)
		return refuse(cl, p->name, EUSERS, "as many programs as it "
			      "allows are attached (clients)");
	strcpy(cl->policy_name, p->name);
	cl->policy = p->engine;
	if (p->connections)
		cl->quota_conns = 0;	/* the account's number holds */
	if (p->memory)
		cl->quota_memory = p->memory;
	return 0;
}

int policy_attach(struct client *cl)
{
	struct control *c = cl->control;
	uint32_t gids[GROUPS_MAX];
	size_t n = groups_of(cl, gids);
	const struct config_policy *p =
		config_policy_of(c->cfg, cl->uid, gids, n);

	policy_leave(cl);		/* of a HELLO that failed */
	cl->policy_name[0] = '\0';
	cl->quota_conns = c->cfg->limits.connections;
	cl->quota_memory = c->cfg->limits.memory;
	if (!p && c->cfg->policy_count)
		return refuse(cl, "(none)", EACCES, "no [policy] section of "
			      "mtcpd.conf fits this user");
	if (!p)
		return 0;
	if (!p->attach)
		return refuse(cl, p->name, EACCES,
			      "this user may not attach (attach = no)");
	return join(cl, p);
}

/* A program that just left makes room: its memory is known to be free. */
void policy_leave(struct client *cl)
{
	struct account *a = cl->account;

	cl->account = NULL;
	account_put(a);
	if (a && !cl->control->stopping)
		attach_retry_slabs(cl->control);
}

void policy_no_memory(struct client *cl)
{
	refuse(cl, cl->policy_name, ENOMEM, "too little is left of the memory "
	       "of all its programs together (memory)");
}

bool policy_listen(struct client *cl, const struct ip_addr *addr,
		   uint16_t port)
{
	const struct engine_policy *p = &cl->policy;
	const char *what = "this TCP port";

	if (!cl->policy_name[0])
		return true;
	if (addr_is_any(addr) ? p->addr_count : !engine_policy_addr(p, addr))
		what = "this address";
	else if (!port ? !p->range_count : engine_policy_port(p, ntohs(port)))
		return true;
	cl->control->counters.policy_listen++;
	client_fail(cl, EACCES, "policy %s: %s (port %u) is not this user's",
		    cl->policy_name, what, ntohs(port));
	return false;
}

bool policy_asks_bind(const struct client *cl)
{
	return cl->policy_name[0] &&
	       (cl->policy.addr_count || cl->policy.range_count);
}

/* Said early, so that the program sees it where it looks for it; what counts
 * is listen() and connect(), which look again. */
void policy_bind_request(struct client *cl, const struct ctl_request *req)
{
	const struct engine_policy *p = &cl->policy;
	uint16_t port = ntohs(req->bind.port);
	struct ctl_reply r = { 0 };
	struct ip_addr addr;
	bool ok;

	memcpy(&addr, req->bind.addr, sizeof(addr));
	ok = (addr_is_any(&addr) || engine_policy_addr(p, &addr)) &&
	     (!port || engine_policy_port(p, port));
	if (ok || !cl->policy_name[0]) {
		client_reply(cl, &r, NULL, 0);
		return;
	}
	cl->control->counters.policy_listen++;
	client_fail(cl, EACCES, "policy %s: this address or TCP port (%u) is "
		    "not this user's", cl->policy_name, port);
}

struct json_t *policy_list(const struct control *c)
{
	json_t *all = json_array();

	for (uint32_t i = 0; i < c->cfg->policy_count; i++) {
		const struct config_policy *p = &c->cfg->policies[i];

		json_array_append_new(all, json_pack(
			"{s:s,s:s,s:s,s:b,s:i}", "name", p->name, "user",
			p->user[0] ? p->user : "any", "group",
			p->group[0] ? p->group : "any", "attach",
			(int)p->attach, "clients",
			(int)clients_of(c, p->name)));
	}
	return json_pack("{s:o,s:o,s:I,s:I}", "policies", all, "accounts",
			 accounts_list(c), "refused",
			 (json_int_t)c->counters.policy_refused,
			 "listen_denied",
			 (json_int_t)c->counters.policy_listen);
}
