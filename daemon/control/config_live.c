/*
 * config_live.c - one value changed, and two configurations compared
 *
 * A key's name is "section.key"; of a port's keys "port.NAME.key",
 * of a policy's "policy.NAME.key".  Both ways
 * to change a running mtcpd end here: config_set() for one value, and
 * config_merge() for a file that was read again.  Neither does anything about
 * it; admin_config.c tells the engines.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/config.h"

/* Keys are of the whole, of a port, or of a policy. */
static bool is_of(const struct config_key *k, const char *kind)
{
	bool named = !strcmp(k->section, "port") ||
		     !strcmp(k->section, "policy");

	return kind ? !strcmp(k->section, kind) : !named;
}

static unsigned int keys_of(const char *kind)
{
	unsigned int n = 0;
	const struct config_key *k;

	for (unsigned int i = 0; (k = config_key_at(i)); i++)
		n += is_of(k, kind);
	return n;
}

static const struct config_key *nth_key(const char *kind, unsigned int n)
{
	const struct config_key *k;

	for (unsigned int i = 0; (k = config_key_at(i)); i++)
		if (is_of(k, kind) && n-- == 0)
			return k;
	return NULL;
}

static void named_place(struct config_place *out, const char *kind,
			unsigned int key, const void *base, const char *name)
{
	out->key = nth_key(kind, key);
	out->base = base;
	snprintf(out->name, sizeof(out->name), "%s.%s.%s", kind, name,
		 out->key->name);
}

bool config_place_at(const struct config *cfg, unsigned int n,
		     struct config_place *out)
{
	unsigned int plain = keys_of(NULL), each = keys_of("port");

	if (n < plain) {
		out->key = nth_key(NULL, n);
		out->base = cfg;
		snprintf(out->name, sizeof(out->name), "%s.%s",
			 out->key->section, out->key->name);
		return true;
	}
	n -= plain;
	if (n / each < cfg->port_count) {
		const struct config_port *p = &cfg->ports[n / each];

		named_place(out, "port", n % each, p, p->io.name);
		return true;
	}
	n -= each * cfg->port_count;
	each = keys_of("policy");
	if (n / each < cfg->policy_count) {
		const struct config_policy *p = &cfg->policies[n / each];

		named_place(out, "policy", n % each, p, p->name);
		return true;
	}
	return false;
}

bool config_place_find(const struct config *cfg, const char *name,
		       struct config_place *out)
{
	for (unsigned int n = 0; config_place_at(cfg, n, out); n++)
		if (!strcmp(out->name, name))
			return true;
	return false;
}

static int no_such_key(const char *name, char *err)
{
	char section[16], names[CONFIG_ERR_BYTES - 128];
	const char *dot = strchr(name, '.');
	size_t n = dot ? (size_t)(dot - name) : strlen(name);

	if (n >= sizeof(section))
		n = sizeof(section) - 1;
	memcpy(section, name, n);
	section[n] = '\0';
	config_key_names(section, names, sizeof(names));
	if (names[0])
		snprintf(err, CONFIG_ERR_BYTES, "\"%.60s\" is no key; [%s] has: "
			 "%.400s", name, section, names);
	else
		snprintf(err, CONFIG_ERR_BYTES, "\"%.60s\" is no key: name it "
			 "section.key, such as tcp.retries, or port.NAME.key "
			 "(mtcpctl config show lists all)", name);
	return -EINVAL;
}

int config_set(struct config *cfg, const char *name, const char *value,
	       char *err)
{
	struct config *next;
	struct config_place at;
	char range[64];
	int rc = 0;

	if (!config_place_find(cfg, name, &at))
		return no_such_key(name, err);
	if (!at.key->live) {
		snprintf(err, CONFIG_ERR_BYTES, "%s cannot change while mtcpd "
			 "runs: change it in %s and restart mtcpd", name,
			 cfg->file);
		return -EROFS;
	}
	next = malloc(sizeof(*next));
	if (!next) {
		snprintf(err, CONFIG_ERR_BYTES, "out of memory");
		return -ENOMEM;
	}
	*next = *cfg;
	config_place_find(next, name, &at);
	if (!strcmp(at.key->name, "address"))	/* its setter appends */
		((struct config_port *)(uintptr_t)at.base)->io.addr_count = 0;
	if (at.key->set(at.key, (void *)(uintptr_t)at.base, value) < 0) {
		snprintf(err, CONFIG_ERR_BYTES, "%s = \"%.200s\": allowed: %s",
			 name, value,
			 config_key_allowed(at.key, range, sizeof(range)));
		rc = -EINVAL;
	} else {
		rc = config_check(next, name, err);
	}
	if (!rc)
		*cfg = *next;
	free(next);
	return rc;
}

/* Appends a name to the list of those that need a restart. */
static void add_name(char *list, size_t bytes, const char *name)
{
	size_t used = strlen(list);

	snprintf(list + used, bytes - used, "%s%s", used ? ", " : "", name);
}

/* Takes one value over by its text, so that each setter is the only writer. */
static void take(struct config *cfg, const struct config_place *from,
		 const char *value)
{
	struct config_place to;

	if (!config_place_find(cfg, from->name, &to))
		return;
	if (!strcmp(to.key->name, "address"))
		((struct config_port *)(uintptr_t)to.base)->io.addr_count = 0;
	to.key->set(to.key, (void *)(uintptr_t)to.base, value);
}

static bool net_differs(const struct net_config *a, const struct net_config *b)
{
	return a->route_count != b->route_count ||
	       a->neigh_count != b->neigh_count ||
	       memcmp(a->routes, b->routes,
		      a->route_count * sizeof(a->routes[0])) ||
	       memcmp(a->neigh, b->neigh,
		      a->neigh_count * sizeof(a->neigh[0]));
}

static bool same_ports(const struct config *a, const struct config *b)
{
	if (a->port_count != b->port_count)
		return false;
	for (uint32_t i = 0; i < a->port_count; i++)
		if (strcmp(a->ports[i].io.name, b->ports[i].io.name))
			return false;
	return true;
}

/* Is the place a key of a port that has the kernel's addresses? */
static bool is_followed(const struct config *cfg, unsigned int n)
{
	unsigned int port = (n - keys_of(NULL)) / keys_of("port");

	return port < cfg->port_count && cfg->ports[port].kernel_addrs;
}

/* Policies and access lists change as a whole: their order counts. */
static unsigned int merge_policies(struct config *cfg,
				   const struct config *next)
{
	unsigned int changed = 0;

	if (cfg->policy_count != next->policy_count ||
	    memcmp(cfg->policies, next->policies, sizeof(cfg->policies))) {
		memcpy(cfg->policies, next->policies, sizeof(cfg->policies));
		cfg->policy_count = next->policy_count;
		changed++;
	}
	if (cfg->access_count != next->access_count ||
	    memcmp(cfg->access, next->access, sizeof(cfg->access))) {
		memcpy(cfg->access, next->access, sizeof(cfg->access));
		cfg->access_count = next->access_count;
		changed++;
	}
	return changed;
}

unsigned int config_merge(struct config *cfg, const struct config *next,
			  char *restart, size_t bytes)
{
	char was[CONFIG_VALUE_BYTES], now[CONFIG_VALUE_BYTES];
	struct config_place at, old;
	unsigned int changed = 0;

	restart[0] = '\0';
	if (!same_ports(cfg, next))
		add_name(restart, bytes, "the list of [port NAME] sections");
	for (unsigned int n = 0; config_place_at(next, n, &at); n++) {
		if (!config_place_find(cfg, at.name, &old))
			continue;
		if (!strcmp(at.key->section, "policy"))
			continue;	/* as a whole, below */
		if (!strcmp(at.key->name, "address") && is_followed(next, n))
			continue;	/* follow.c knows them */
		config_key_show(at.key, at.base, now, sizeof(now));
		config_key_show(old.key, old.base, was, sizeof(was));
		if (!strcmp(was, now))
			continue;
		if (!at.key->live) {
			add_name(restart, bytes, at.name);
			continue;
		}
		take(cfg, &at, now);
		changed++;
	}
	if (same_ports(cfg, next) && net_differs(&cfg->net, &next->net)) {
		memcpy(cfg->net.routes, next->net.routes,
		       sizeof(cfg->net.routes));
		cfg->net.route_count = next->net.route_count;
		memcpy(cfg->net.neigh, next->net.neigh, sizeof(cfg->net.neigh));
		cfg->net.neigh_count = next->net.neigh_count;
		changed++;
	}
	return changed + merge_policies(cfg, next);
}
