/* Who may do what: [policy NAME] and [access]. */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>

#include "control/config.h"

#define WORDS_BYTES	512

/* "80" or "8000-8999". */
static int one_range(const char *text, struct engine_policy *out)
{
	char first[16];
	const char *dash = strchr(text, '-');
	size_t n = dash ? (size_t)(dash - text) : strlen(text);
	uint64_t a, b;

	if (n >= sizeof(first) || out->range_count == ENGINE_RANGES_MAX)
		return -EINVAL;
	memcpy(first, text, n);
	first[n] = '\0';
	if (text_uint(first, 1, 65535, false, &a) < 0)
		return -EINVAL;
	b = a;
	if (dash && text_uint(dash + 1, a, 65535, false, &b) < 0)
		return -EINVAL;
	out->ranges[out->range_count].first = (uint16_t)a;
	out->ranges[out->range_count++].last = (uint16_t)b;
	return 0;
}

static int one_addr(const char *text, struct engine_policy *out)
{
	struct ip_addr *a = &out->addrs[out->addr_count];

	if (out->addr_count == ENGINE_NETS_MAX || addr_parse(a, text) < 0 ||
	    !addr_is_v4(a) || addr_is_any(a))
		return -EINVAL;
	out->addr_count++;
	return 0;
}

/* Calls @one for every word; at least one must be there. */
static int each_word(const char *text, struct engine_policy *out,
		     int (*one)(const char *, struct engine_policy *))
{
	char copy[WORDS_BYTES], *save = NULL, *word;
	unsigned int n = 0;

	if (strlen(text) >= sizeof(copy))
		return -EINVAL;
	strcpy(copy, text);
	for (word = strtok_r(copy, ", \t", &save); word;
	     word = strtok_r(NULL, ", \t", &save), n++)
		if (one(word, out) < 0)
			return -EINVAL;
	return n ? 0 : -EINVAL;
}

int text_ranges(const char *text, struct engine_policy *out)
{
	out->range_count = 0;
	if (!strcmp(text, "any"))
		return 0;
	if (!strcmp(text, "none")) {	/* a range that no port is in */
		out->ranges[0].first = out->ranges[0].last = 0;
		out->range_count = 1;
		return 0;
	}
	return each_word(text, out, one_range);
}

int text_addrs(const char *text, struct engine_policy *out)
{
	out->addr_count = 0;
	return strcmp(text, "any") ? each_word(text, out, one_addr) : 0;
}

/* ---- [access] ---- */

static int add_net(struct engine_access *a, const char *text)
{
	if (!strcmp(text, "any"))
		text = "0.0.0.0/0";
	if (a->count == ENGINE_NETS_MAX ||
	    text_net(text, 32, &a->nets[a->count], &a->prefix[a->count]) < 0)
		return -EINVAL;
	a->count++;
	return 0;
}

int config_add_access(struct config *cfg, const char *port, const char *rule,
		      char *why)
{
	struct engine_access a = { 0 };
	char copy[WORDS_BYTES], *save = NULL, *word;
	uint64_t n = 0;

	snprintf(why, CONFIG_ERR_BYTES, "expected `PORT = allow NETS` or `PORT "
		 "= deny NETS`: PORT a TCP port or any, NETS at most %d of "
		 "a.b.c.d/len or any", ENGINE_NETS_MAX);
	if (strlen(rule) >= sizeof(copy) ||
	    (strcmp(port, "any") && text_uint(port, 1, 65535, false, &n) < 0))
		return -EINVAL;
	a.port = (uint16_t)n;
	strcpy(copy, rule);
	word = strtok_r(copy, ", \t", &save);
	if (!word || (strcmp(word, "allow") && strcmp(word, "deny")))
		return -EINVAL;
	a.allow = word[0] == 'a';
	while ((word = strtok_r(NULL, ", \t", &save)))
		if (add_net(&a, word) < 0)
			return -EINVAL;
	if (!a.count)
		return -EINVAL;
	if (cfg->access_count == ENGINE_ACCESS_MAX) {
		snprintf(why, CONFIG_ERR_BYTES, "more than %d lines",
			 ENGINE_ACCESS_MAX);
		return -EINVAL;
	}
	cfg->access[cfg->access_count++] = a;
	return 0;
}

/* ---- whose policy ---- */

int config_policy_resolve(struct config_policy *p, char *why)
{
	struct passwd *u = p->user[0] ? getpwnam(p->user) : NULL;
	struct group *g = p->group[0] ? getgrnam(p->group) : NULL;

	if (p->user[0] && !u) {
		snprintf(why, CONFIG_ERR_BYTES, "[policy %s] user = \"%s\": "
			 "there is no such user", p->name, p->user);
		return -EINVAL;
	}
	if (p->group[0] && !g) {
		snprintf(why, CONFIG_ERR_BYTES, "[policy %s] group = \"%s\": "
			 "there is no such group", p->name, p->group);
		return -EINVAL;
	}
	p->uid = u ? u->pw_uid : 0;
	p->gid = g ? g->gr_gid : 0;
	return 0;
}

static bool has_gid(uint32_t gid, const uint32_t *gids, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (gids[i] == gid)
			return true;
	return false;
}

const struct config_policy *config_policy_of(const struct config *cfg,
					     uint32_t uid, const uint32_t *gids,
					     size_t gid_count)
{
	for (uint32_t i = 0; i < cfg->policy_count; i++) {
		const struct config_policy *p = &cfg->policies[i];

		if ((!p->user[0] || p->uid == uid) &&
		    (!p->group[0] || has_gid(p->gid, gids, gid_count)))
			return p;
	}
	return NULL;
}
