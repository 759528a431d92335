/*
 * admin_config.c - what mtcpctl may ask to be changed (admin.c has the socket)
 *
 *	{"cmd":"config","op":"show"}
 *	{"cmd":"config","op":"get","key":"tcp.retries"}
 *	{"cmd":"config","op":"set","key":"tcp.retries","value":"5"}
 *	{"cmd":"config","op":"diff"}	what the file says otherwise
 *	{"cmd":"reload"}
 *	{"cmd":"policy"}
 *	{"cmd":"drain","seconds":30}	then mtcpd ends
 *	{"cmd":"log"}  {"cmd":"log","level":"debug","facility":"tcp"}
 *	{"cmd":"arp","op":"add","address":"10.0.0.1","mac":"02:..."}
 *	{"cmd":"arp","op":"delete","address":"10.0.0.1"}
 *	{"cmd":"routes","op":"add","network":"default","target":"10.0.0.1"}
 *	{"cmd":"routes","op":"delete","network":"default"}
 *
 * Whoever may open the socket may ask; who changes something must be root or
 * the user that mtcpd runs as.
 */
#define LOG_FACILITY LOG_FAC_CONFIG

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "control/control.h"

static const char *word(const json_t *request, const char *name)
{
	const char *text = json_string_value(json_object_get(request, name));

	return text ? text : "";
}

static json_t *failed(const char *text)
{
	return json_pack("{s:s}", "error", text);
}

static json_t *said(const char *cmd, json_t *data)
{
	return json_pack("{s:s,s:o}", "cmd", cmd, "data", data);
}

/* ---- config ---- */

static json_t *describe(const struct config_place *at,
			const struct config_place *dflt)
{
	char value[CONFIG_VALUE_BYTES], before[CONFIG_VALUE_BYTES] = "";
	char range[64];
	const struct config_key *k = at->key;

	config_key_show(k, at->base, value, sizeof(value));
	if (dflt)
		config_key_show(k, dflt->base, before, sizeof(before));
	return json_pack("{s:s,s:s,s:s,s:s,s:s,s:b}", "key", at->name,
			 "value", value, "default", before,
			 "unit", k->unit ? k->unit : "", "allowed",
			 config_key_allowed(k, range, sizeof(range)),
			 "live", (int)k->live);
}

/* The same place in a configuration of defaults; ports have none. */
static const struct config_place *default_of(const struct config *dflt,
					     const struct config_place *at,
					     struct config_place *out)
{
	return strcmp(at->key->section, "port") &&
	       config_place_find(dflt, at->name, out) ? out : NULL;
}

static json_t *config_show(const struct control *c, const char *only)
{
	struct config *dflt = malloc(sizeof(*dflt));
	struct config_place at, d;
	json_t *all = json_array();

	if (!dflt) {
		json_decref(all);
		return failed("out of memory");
	}
	config_defaults(dflt);
	for (unsigned int n = 0; config_place_at(c->cfg, n, &at); n++)
		if (!only[0] || !strcmp(only, at.name))
			json_array_append_new(all, describe(&at,
				default_of(dflt, &at, &d)));
	free(dflt);
	if (only[0] && !json_array_size(all)) {
		json_decref(all);
		return failed("there is no such key (mtcpctl config show "
			      "lists all)");
	}
	return said("config", json_pack("{s:s,s:o}", "file", c->cfg->file,
					"keys", all));
}

static json_t *config_change(struct control *c, const json_t *request)
{
	const char *key = word(request, "key"), *value = word(request, "value");
	char err[CONFIG_ERR_BYTES], was[CONFIG_VALUE_BYTES];
	char now[CONFIG_VALUE_BYTES];
	struct config_place at;

	was[0] = '\0';
	if (config_place_find(c->cfg, key, &at))
		config_key_show(at.key, at.base, was, sizeof(was));
	if (config_set(c->cfg, key, value, err) < 0)
		return failed(err);
	if (live_apply(c) < 0)
		return failed("out of memory");
	config_place_find(c->cfg, key, &at);
	config_key_show(at.key, at.base, now, sizeof(now));
	log_event(LOG_EV_SETTING, LOG_LEVEL_INFO,
		  "%s = %s (was %s)", key, now, was);
	return said("config", json_pack("{s:s,s:s,s:s}", "key", key, "value",
					now, "was", was));
}

static void add_difference(json_t *all, const struct config_place *running,
			   const struct config_place *file)
{
	char was[CONFIG_VALUE_BYTES], now[CONFIG_VALUE_BYTES];

	config_key_show(running->key, running->base, was, sizeof(was));
	config_key_show(file->key, file->base, now, sizeof(now));
	if (strcmp(was, now))
		json_array_append_new(all, json_pack("{s:s,s:s,s:s,s:b}",
			"key", running->name, "running", was, "file", now,
			"live", (int)running->key->live));
}

static json_t *config_diff(const struct control *c)
{
	struct config *next = malloc(sizeof(*next));
	struct config_place at, file;
	char err[CONFIG_ERR_BYTES];
	json_t *all;

	if (!next)
		return failed("out of memory");
	if (config_load(next, c->cfg->file, err) < 0) {
		free(next);
		return failed(err);
	}
	all = json_array();
	for (unsigned int n = 0; config_place_at(c->cfg, n, &at); n++)
		if (config_place_find(next, at.name, &file))
			add_difference(all, &at, &file);
	free(next);
	return said("config", json_pack("{s:s,s:o}", "file", c->cfg->file,
					"differences", all));
}

static json_t *config_request(struct control *c, const json_t *request)
{
	const char *op = word(request, "op");

	if (!strcmp(op, "show"))
		return config_show(c, "");
	if (!strcmp(op, "get"))
		return config_show(c, word(request, "key"));
	if (!strcmp(op, "set"))
		return config_change(c, request);
	if (!strcmp(op, "diff"))
		return config_diff(c);
	return failed("config: op is one of show, get, set, diff");
}

static json_t *reload_request(struct control *c, const json_t *request)
{
	char text[CONFIG_ERR_BYTES];

	(void)request;
	if (live_reload(c, text) < 0)
		return failed(text);
	return said("reload", json_pack("{s:s}", "text", text));
}

/* ---- log ---- */

static json_t *log_levels(void)
{
	json_t *all = json_object();
	const char *name;

	for (unsigned int f = 0; (name = log_facility_name(f)); f++)
		json_object_set_new(all, name, json_string(log_level_name(
			log_facility_level((enum log_facility)f))));
	return said("log", all);
}

static json_t *log_request(struct control *c, const json_t *request)
{
	const char *level = word(request, "level");
	const char *facility = word(request, "facility");
	int l = log_level_find(level), f = log_facility_find(facility);

	(void)c;
	if (!level[0])
		return log_levels();
	if (l < 0)
		return failed("log: a level is one of error, warn, info, "
			      "debug");
	if (facility[0] && f < 0)
		return failed("log: a facility is one of control, client, "
			      "config, port, engine, net, tcp");
	if (f >= 0)
		log_set_facility((enum log_facility)f, (enum log_level)l);
	else
		log_set_level((enum log_level)l);
	return log_levels();
}

/* ---- arp, routes ---- */

static json_t *net_changed(struct control *c, const char *cmd)
{
	if (live_apply(c) < 0)
		return failed("out of memory");
	return said(cmd, json_pack("{s:b}", "changed", 1));
}

static json_t *arp_request(struct control *c, const json_t *request)
{
	struct net_config *n = &c->cfg->net;
	char why[CONFIG_ERR_BYTES];
	struct ip_addr a;
	unsigned int i;

	if (!strcmp(word(request, "op"), "add")) {
		if (config_add_neigh(c->cfg, word(request, "address"),
				     word(request, "mac"), why) < 0)
			return failed(why);
		return net_changed(c, "arp");
	}
	if (addr_parse(&a, word(request, "address")) < 0)
		return failed("arp delete: an address is needed");
	for (i = 0; i < n->neigh_count; i++)
		if (addr_eq(&n->neigh[i].addr, &a))
			break;
	if (i == n->neigh_count)
		return failed("there is no such static neighbour (learnt ones "
			      "leave by themselves)");
	n->neigh[i] = n->neigh[--n->neigh_count];
	return net_changed(c, "arp");
}

static json_t *route_request(struct control *c, const json_t *request)
{
	struct net_config *n = &c->cfg->net;
	const char *net = word(request, "network");
	char why[CONFIG_ERR_BYTES];
	struct net_route r;
	unsigned int i;

	if (!strcmp(word(request, "op"), "add")) {
		if (config_add_route(c->cfg, net, word(request, "target"),
				     why) < 0)
			return failed(why);
		return net_changed(c, "routes");
	}
	if (text_net(strcmp(net, "default") ? net : "0.0.0.0/0", 0, &r.net,
		     &r.prefix) < 0)
		return failed("routes delete: expected `a.b.c.d/len` or "
			      "`default`");
	for (i = 0; i < n->route_count; i++)
		if (n->routes[i].prefix == r.prefix &&
		    addr_eq(&n->routes[i].net, &r.net))
			break;
	if (i == n->route_count)
		return failed("there is no such route in the configuration "
			      "(those of addresses go with them)");
	n->routes[i] = n->routes[--n->route_count];
	return net_changed(c, "routes");
}

/* ---- drain ---- */

static json_t *policy_request(struct control *c, const json_t *request)
{
	(void)request;
	return said("policy", policy_list(c));
}

static json_t *drain_request(struct control *c, const json_t *request)
{
	json_t *seconds = json_object_get(request, "seconds");
	long long n = seconds ? json_integer_value(seconds) :
		      (long long)c->cfg->daemon.drain_s;

	if (n < 0 || n > 86400)
		return failed("drain: 0 - 86400 seconds");
	if (c->draining)
		return failed("mtcpd drains already");
	drain_begin(c, (uint32_t)n);
	return said("drain", json_pack("{s:I,s:I}", "seconds", (json_int_t)n,
				       "connections",
				       (json_int_t)engines_conns(c)));
}

/* ---- which is which ---- */

static const struct request {
	const char *cmd, *op;		/* NULL op: any */
	bool changes;
	json_t *(*answer)(struct control *c, const json_t *request);
} requests[] = {
	{ "config", "set", true, config_request },
	{ "config", NULL, false, config_request },
	{ "reload", NULL, true, reload_request },
	{ "policy", NULL, false, policy_request },
	{ "drain", NULL, true, drain_request },
	{ "log", "", false, log_request },
	{ "arp", "add", true, arp_request },
	{ "arp", "delete", true, arp_request },
	{ "routes", "add", true, route_request },
	{ "routes", "delete", true, route_request },
};

struct json_t *admin_request(struct control *c, const struct json_t *request,
			     bool may_change)
{
	const char *cmd = word(request, "cmd"), *op = word(request, "op");

	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		const struct request *r = &requests[i];

		if (strcmp(r->cmd, cmd) || (r->op && strcmp(r->op, op)))
			continue;
		if ((r->changes || json_object_get(request, "level")) &&
		    !may_change)
			return failed("only root, or the user that mtcpd runs "
				      "as, may change it");
		return r->answer(c, request);
	}
	return NULL;
}
