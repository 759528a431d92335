/*
 * libinih finds sections and pairs; the reader below it counts lines, takes
 * comments away and looks at section lines, of which libinih tells us nothing
 * when they are empty.  The first mistake ends the reading.
 */
#include "control/config.h"

#include <ctype.h>
#include <errno.h>
#include <grp.h>
#include <ini.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAIRS_MAX	(NET_ROUTES_MAX + NET_NEIGH_MAX + ENGINE_ACCESS_MAX)

/* A line of [route] or [neighbour]: resolved when all ports are known. */
struct pair {
	unsigned int line;
	char section[16];
	char name[64], value[192];
};

struct parse {
	struct config *cfg;
	FILE *f;
	const char *file;
	char *err;
	unsigned int line;
	bool failed;
	char section[16];		/* "port" for [port NAME] */
	struct config_port *port;	/* of the section */
	struct config_policy *policy;
	bool given[CONFIG_KEYS_MAX];	/* keys seen */
	bool port_given[CONFIG_KEYS_MAX];	/* in this [port NAME] */
	struct pair *pairs;
	uint32_t pair_count;
};

static int fail_at(struct parse *p, unsigned int line, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* The first mistake is told; returns what libinih takes for an error. */
static int fail_at(struct parse *p, unsigned int line, const char *fmt, ...)
{
	va_list ap;
	int n;

	if (p->failed)
		return 0;
	p->failed = true;
	n = line ? snprintf(p->err, CONFIG_ERR_BYTES, "%s:%u: ", p->file, line)
		 : snprintf(p->err, CONFIG_ERR_BYTES, "%s: ", p->file);
	va_start(ap, fmt);
	if (n >= 0 && n < CONFIG_ERR_BYTES)
		vsnprintf(p->err + n, CONFIG_ERR_BYTES - (size_t)n, fmt, ap);
	va_end(ap);
	return 0;
}

static bool good_port_name(const char *name)
{
	size_t n = strlen(name);

	if (n == 0 || n >= sizeof(((struct port_config *)0)->name))
		return false;
	for (; *name; name++)
		if (!isalnum((unsigned char)*name) && *name != '-' &&
		    *name != '_')
			return false;
	return true;
}

static int begin_port(struct parse *p, const char *name)
{
	struct config *cfg = p->cfg;

	if (!good_port_name(name))
		return fail_at(p, p->line, "[port %s]: expected a name of "
			       "letters, digits, - and _, at most 31", name);
	for (uint32_t i = 0; i < cfg->port_count; i++)
		if (!strcmp(cfg->ports[i].io.name, name))
			return fail_at(p, p->line, "[port %s] is given twice "
				       "(first in line %u)", name,
				       cfg->ports[i].line);
	if (cfg->port_count == PORT_MAX)
		return fail_at(p, p->line, "[port %s]: more than %d ports",
			       name, PORT_MAX);
	p->port = &cfg->ports[cfg->port_count++];
	p->port->line = p->line;
	strcpy(p->port->io.name, name);
	memset(p->port_given, 0, sizeof(p->port_given));
	strcpy(p->section, "port");
	return 1;
}

static int begin_policy(struct parse *p, const char *name)
{
	struct config *cfg = p->cfg;

	if (!good_port_name(name))
		return fail_at(p, p->line, "[policy %s]: expected a name of "
			       "letters, digits, - and _, at most 31", name);
	for (uint32_t i = 0; i < cfg->policy_count; i++)
		if (!strcmp(cfg->policies[i].name, name))
			return fail_at(p, p->line, "[policy %s] is given twice "
				       "(first in line %u)", name,
				       cfg->policies[i].line);
	if (cfg->policy_count == CONFIG_POLICIES_MAX)
		return fail_at(p, p->line, "[policy %s]: more than %d policies",
			       name, CONFIG_POLICIES_MAX);
	p->policy = &cfg->policies[cfg->policy_count++];
	p->policy->line = p->line;
	p->policy->attach = true;
	strcpy(p->policy->name, name);
	memset(p->port_given, 0, sizeof(p->port_given));
	strcpy(p->section, "policy");
	return 1;
}

static int begin_section(struct parse *p, char *text)
{
	static const char *const sections[] = { "daemon", "engine", "route",
						"neighbour", "tcp", "limits",
						"access", "metrics" };
	char *end = strchr(text, ']');

	if (!end || end[1 + strspn(end + 1, " \t")])
		return fail_at(p, p->line, "expected `]` at the end of \"%s\"",
			       text);
	*end = '\0';
	text++;
	p->port = NULL;
	p->policy = NULL;
	if (!strncmp(text, "policy", 6) && (text[6] == ' ' || text[6] == '\t'))
		return begin_policy(p, text + 6 + strspn(text + 6, " \t"));
	if (!strncmp(text, "port", 4) && (text[4] == ' ' || text[4] == '\t'))
		return begin_port(p, text + 4 + strspn(text + 4, " \t"));
	for (size_t i = 0; i < sizeof(sections) / sizeof(sections[0]); i++) {
		if (strcmp(sections[i], text))
			continue;
		strcpy(p->section, text);
		return 1;
	}
	return fail_at(p, p->line, "[%s] is no section; allowed: daemon, "
		       "engine, port NAME, route, neighbour, tcp, limits, "
		       "policy NAME, access", text);
}

/* Takes away what follows # or ; at the start or after a space, and spaces at
 * both ends (libinih would take an indented line for a continuation). */
static void strip(char *text)
{
	size_t skip = strspn(text, " \t\r\n"), n;

	memmove(text, text + skip, strlen(text + skip) + 1);
	for (char *c = text; *c; c++)
		if ((*c == '#' || *c == ';') &&
		    (c == text || isspace((unsigned char)c[-1])))
			*c = '\0';
	n = strlen(text);
	while (n && isspace((unsigned char)text[n - 1]))
		text[--n] = '\0';
}

/* An ini_reader; ends the file at the first mistake. */
static char *read_line(char *text, int bytes, void *stream)
{
	struct parse *p = stream;

	if (p->failed || !fgets(text, bytes, p->f))
		return NULL;
	p->line++;
	if (!strchr(text, '\n') && !feof(p->f)) {
		if (strlen(text) + 1 < (size_t)bytes)
			fail_at(p, p->line, "a zero byte: this is no text");
		else
			fail_at(p, p->line, "the line is longer than %d bytes "
				"(give `address` several times)", bytes - 2);
		return NULL;
	}
	if (p->line == 1 && !strncmp(text, "\xef\xbb\xbf", 3))
		memmove(text, text + 3, strlen(text + 3) + 1);
	strip(text);
	if (text[0] == '[') {
		char copy[256];

		snprintf(copy, sizeof(copy), "%s", text);
		if (!begin_section(p, copy))
			return NULL;
	} else if (text[0] && !strchr(text, '=')) {
		fail_at(p, p->line, "expected `[section]` or `key = value`, "
			"found \"%s\"", text);
		return NULL;
	}
	return text;
}

static int add_pair(struct parse *p, const char *name, const char *value)
{
	struct pair *pair = &p->pairs[p->pair_count];

	if (p->pair_count == PAIRS_MAX)
		return fail_at(p, p->line, "too many routes and neighbours");
	if (strlen(name) >= sizeof(pair->name) ||
	    strlen(value) >= sizeof(pair->value))
		return fail_at(p, p->line, "[%s] \"%s = %s\" is too long",
			       p->section, name, value);
	pair->line = p->line;
	strcpy(pair->section, p->section);
	strcpy(pair->name, name);
	strcpy(pair->value, value);
	p->pair_count++;
	return 1;
}

static int bad_value(struct parse *p, const struct config_key *k,
		     const char *value)
{
	char range[64];
	bool named = p->port || p->policy;

	return fail_at(p, p->line, "[%s%s%s] %s = \"%s\": allowed: %s",
		       p->section, named ? " " : "",
		       p->port ? p->port->io.name :
		       p->policy ? p->policy->name : "", k->name, value,
		       config_key_allowed(k, range, sizeof(range)));
}

/* An ini_handler; libinih's own section text is cut at 50 bytes: not used. */
static int take_pair(void *user, const char *section, const char *name,
		     const char *value)
{
	struct parse *p = user;
	const struct config_key *k;
	unsigned int index;
	char names[CONFIG_ERR_BYTES];
	bool *given;
	bool own = p->port || p->policy;
	void *base = p->port ? (void *)p->port :
		     p->policy ? (void *)p->policy : (void *)p->cfg;

	(void)section;
	if (!p->section[0])
		return fail_at(p, p->line, "\"%s\" stands before the first "
			       "[section]", name);
	if (!strcmp(p->section, "route") || !strcmp(p->section, "neighbour") ||
	    !strcmp(p->section, "access"))
		return add_pair(p, name, value);
	k = config_key_find(p->section, name, &index);
	if (!k)
		return fail_at(p, p->line, "[%s] has no key \"%s\"; allowed: "
			       "%s", p->section, name,
			       config_key_names(p->section, names,
						sizeof(names)));
	given = own ? &p->port_given[index] : &p->given[index];
	if (*given && !k->repeats)
		return fail_at(p, p->line, "[%s] %s is given twice",
			       p->section, name);
	*given = true;
	if (k->set(k, base, value) < 0)
		return bad_value(p, k, value);
	return 1;
}

/* ---- after reading: what needs more than one key ---- */

static int check_port(struct parse *p, struct config_port *port, uint8_t id)
{
	struct net_config *n = &p->cfg->net;

	if (!port->io.driver[0])
		return fail_at(p, port->line, "[port %s] has no `driver`; "
			       "allowed: %s", port->io.name,
			       port_driver_names());
	if (port->io.share && !port_driver(port->io.driver)->set_tcp_port)
		return fail_at(p, port->line, "[port %s] share = yes: the "
			       "driver %s cannot share an address with the "
			       "kernel, xdp can", port->io.name,
			       port->io.driver);
	if (port->io.vlan && !port_driver(port->io.driver)->tags)
		return fail_at(p, port->line, "[port %s] vlan: the driver %s "
			       "cannot tag frames, psio can; xdp takes the "
			       "kernel's VLAN interface as its device",
			       port->io.name, port->io.driver);
	if (port->io.vlan && port->follow == FOLLOW_KERNEL)
		return fail_at(p, port->line, "[port %s] vlan: follow = kernel "
			       "would follow the untagged interface",
			       port->io.name);
	if (!port->io.addr_count && port->follow == FOLLOW_KERNEL &&
	    port->io.share)
		port->kernel_addrs = true;
	if (!port->io.addr_count && !port->kernel_addrs)
		return fail_at(p, port->line, "[port %s] has no `address`; "
			       "give it one (a.b.c.d/len)", port->io.name);
	if (!port->io.device[0])
		strcpy(port->io.device, port->io.name);
	port->io.zero_copy = port->zero_copy != CHOICE_NO;
	port->io.force_copy = port->zero_copy == CHOICE_NO;
	for (unsigned int i = 0; i < port->io.addr_count; i++) {
		for (unsigned int k = 0; k < n->addr_count; k++)
			if (addr_eq(&n->addrs[k].addr, &port->io.addrs[i]))
				return fail_at(p, port->line, "[port %s] has "
					       "an address that another port "
					       "has too", port->io.name);
		if (n->addr_count == NET_ADDRS_MAX)
			return fail_at(p, port->line, "[port %s]: more than "
				       "%d addresses in all", port->io.name,
				       NET_ADDRS_MAX);
		n->addrs[n->addr_count++] = (struct net_addr){
			.addr = port->io.addrs[i], .prefix = port->prefix[i],
			.port = id };
	}
	return 1;
}

static int check_ports(struct parse *p)
{
	p->cfg->net.addr_count = 0;
	for (uint32_t i = 0; i < p->cfg->port_count; i++)
		if (!check_port(p, &p->cfg->ports[i], (uint8_t)i))
			return 0;
	return 1;
}

static int check_group(struct parse *p)
{
	struct config_daemon *d = &p->cfg->daemon;
	struct group *g;

	if (!d->group[0])
		return 1;
	g = getgrnam(d->group);
	if (!g)
		return fail_at(p, 0, "[daemon] group = \"%s\": there is no "
			       "such group; make it (groupadd %s) or correct "
			       "the name", d->group, d->group);
	d->gid = g->gr_gid;
	return 1;
}

static int check_policies(struct parse *p)
{
	char why[CONFIG_ERR_BYTES];

	for (uint32_t i = 0; i < p->cfg->policy_count; i++)
		if (config_policy_resolve(&p->cfg->policies[i], why) < 0)
			return fail_at(p, p->cfg->policies[i].line, "%s", why);
	return 1;
}

static int check_together(struct parse *p)
{
	struct config *cfg = p->cfg;

	if (!cfg->port_count)
		return fail_at(p, 0, "no [port NAME] section: give mtcpd a "
			       "port to serve");
	if (cfg->engine.cpu_count && cfg->engine.count)
		return fail_at(p, 0, "[engine] both `cores` and `count` are "
			       "given: name the cores, or say how many");
	if (!strcmp(cfg->daemon.socket, cfg->daemon.admin))
		return fail_at(p, 0, "[daemon] `socket` and `admin` are the "
			       "same path");
	if (cfg->tcp.rcv_wnd_initial > cfg->tcp.rcv_wnd_max)
		return fail_at(p, 0, "[tcp] rcv_wnd_initial (%u) is above "
			       "rcv_wnd_max (%u)", cfg->tcp.rcv_wnd_initial,
			       cfg->tcp.rcv_wnd_max);
	if (cfg->tcp.snd_buf_initial > cfg->tcp.snd_buf_max)
		return fail_at(p, 0, "[tcp] snd_buf_initial (%u) is above "
			       "snd_buf_max (%u)", cfg->tcp.snd_buf_initial,
			       cfg->tcp.snd_buf_max);
	return check_policies(p) && check_group(p);
}

static int resolve_pairs(struct parse *p)
{
	char why[CONFIG_ERR_BYTES];

	for (uint32_t i = 0; i < p->pair_count; i++) {
		struct pair *r = &p->pairs[i];
		int rc = r->section[0] == 'r' ?
			config_add_route(p->cfg, r->name, r->value, why) :
			r->section[0] == 'n' ?
			config_add_neigh(p->cfg, r->name, r->value, why) :
			config_add_access(p->cfg, r->name, r->value, why);

		if (rc < 0)
			return fail_at(p, r->line, "[%s] \"%s = %s\": %s",
				       r->section,
				       r->name, r->value, why);
	}
	return 1;
}

static int resolve(struct parse *p)
{
	struct config *cfg = p->cfg;

	if (!check_ports(p) || !check_together(p) || !resolve_pairs(p))
		return -EINVAL;
	if (cfg->daemon.arp_conf[0] &&
	    config_mtcp_arp(cfg, cfg->daemon.arp_conf, p->err) < 0)
		return -EINVAL;
	if (cfg->daemon.route_conf[0] &&
	    config_mtcp_route(cfg, cfg->daemon.route_conf, p->err) < 0)
		return -EINVAL;
	return 0;
}

int config_check(struct config *cfg, const char *file, char *err)
{
	struct parse p = { .cfg = cfg, .file = file, .err = err };

	return check_ports(&p) && check_together(&p) ? 0 : -EINVAL;
}

int config_load(struct config *cfg, const char *file, char *err)
{
	struct parse p = { .cfg = cfg, .file = file, .err = err };
	int rc, line;

	config_defaults(cfg);
	snprintf(cfg->file, sizeof(cfg->file), "%s", file);
	p.f = fopen(file, "re");
	if (!p.f) {
		rc = -errno;
		snprintf(err, CONFIG_ERR_BYTES, "%s: cannot be read: %s (give "
			 "another file with -c FILE)", file, strerror(-rc));
		return rc;
	}
	p.pairs = calloc(PAIRS_MAX, sizeof(*p.pairs));
	if (!p.pairs) {
		fclose(p.f);
		snprintf(err, CONFIG_ERR_BYTES, "%s: out of memory", file);
		return -ENOMEM;
	}
	line = ini_parse_stream(read_line, &p, take_pair, &p);
	if (line && !p.failed)
		fail_at(&p, line > 0 ? (unsigned int)line : 0,
			"expected `[section]` or `key = value`");
	if (!p.failed && ferror(p.f))
		fail_at(&p, 0, "cannot be read (is it a file?)");
	rc = p.failed ? -EINVAL : resolve(&p);
	free(p.pairs);
	fclose(p.f);
	return rc;
}
