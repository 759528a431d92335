/*
 * live.c - what changes while mtcpd runs
 *
 *	mtcpctl config set --> config_set() --+
 *	mtcpctl arp|routes                    +--> live_apply() --> engines
 *	SIGHUP, mtcpctl reload --> config_load(), config_merge() --+
 *
 * The engines get a copy, which is freed when the last has answered: the
 * configuration itself may change again at any time.
 */
#define LOG_FACILITY LOG_FAC_CONFIG

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "control/account.h"
#include "control/control.h"

struct live {			/* either of the two, until answered */
	struct op op;
	struct net_config *net;
	struct engine_live *engine;
};

static void answered(struct control *c, struct op *op)
{
	struct live *l = (struct live *)((char *)op - offsetof(struct live, op));

	(void)c;
	if (op->error)
		log_warnx("an engine refuses the changed %s: %s", l->net ?
			  "addresses, routes or neighbours" : "settings",
			  strerror(-op->error));
	free(l->net);
	free(l->engine);
	free(l);
}

struct net_config *live_net(struct control *c, bool announce)
{
	struct net_config *net = malloc(sizeof(*net));

	if (!net)
		return NULL;
	*net = c->cfg->net;
	net->announce = announce;
	follow_add(c, net);
	return net;
}

/* Ports that redirect by address learn theirs before the engines do. */
static void tell_ports(struct control *c)
{
	for (uint32_t i = 0; i < c->port_count; i++) {
		struct port *p = c->ports[i];
		struct ip_addr addrs[NET_ADDRS_MAX];
		unsigned int n = 0;
		int rc;

		for (unsigned int k = 0; k < c->cfg->net.addr_count; k++)
			if (c->cfg->net.addrs[k].port == i)
				addrs[n++] = c->cfg->net.addrs[k].addr;
		rc = p->ops->set_addrs ? p->ops->set_addrs(p, addrs, n) : 0;
		if (rc < 0)
			log_warnx("port %s: its new addresses do not reach the "
				  "device: %s", p->name, strerror(-rc));
	}
}

static int apply_net(struct control *c, bool announce)
{
	struct mail m = { .type = MAIL_NET_CONFIG };
	struct live *l = calloc(1, sizeof(*l));

	if (l)
		l->net = live_net(c, announce);
	if (!l || !l->net) {
		free(l);
		return -ENOMEM;
	}
	m.config.ptr = l->net;
	tell_ports(c);
	op_ask_all(c, &l->op, &m, answered);
	return 0;
}

int live_apply_net(struct control *c)
{
	return apply_net(c, false);
}

static int apply_settings(struct control *c)
{
	struct mail m = { .type = MAIL_LIVE };
	struct live *l = calloc(1, sizeof(*l));
	struct placement p;
	char err[CONFIG_ERR_BYTES];

	if (l)
		l->engine = calloc(1, sizeof(*l->engine));
	if (!l || !l->engine) {
		free(l);
		return -ENOMEM;
	}
	l->engine->tcp = c->cfg->tcp;
	l->engine->access_count = c->cfg->access_count;
	memcpy(l->engine->access, c->cfg->access, sizeof(l->engine->access));
	if (placement_decide(&c->cfg->engine, &p, err) == 0)
		memcpy(c->placement.spin_us, p.spin_us, sizeof(p.spin_us));
	memcpy(l->engine->spin_us, c->placement.spin_us,
	       sizeof(l->engine->spin_us));
	m.config.ptr = l->engine;
	op_ask_all(c, &l->op, &m, answered);
	return 0;
}

int live_apply(struct control *c)
{
	int rc;

	log_set_changed(c);
	accounts_apply(c);
	rc = apply_net(c, true);
	return rc ? rc : apply_settings(c);
}

/* [daemon] log sets all facilities, but only when it has changed: what
 * mtcpctl log said of one of them otherwise stays. */
void log_set_changed(struct control *c)
{
	if (c->log_level == c->cfg->daemon.log)
		return;
	c->log_level = c->cfg->daemon.log;
	log_set_level((enum log_level)c->cfg->daemon.log);
}

int live_reload(struct control *c, char *text)
{
	struct config *next = malloc(sizeof(*next));
	char restart[CONFIG_ERR_BYTES / 2];
	unsigned int changed;
	int rc;

	if (!next) {
		snprintf(text, CONFIG_ERR_BYTES, "out of memory");
		return -ENOMEM;
	}
	rc = config_load(next, c->cfg->file, text);
	if (rc < 0) {
		free(next);
		log_event(LOG_EV_RELOAD_FAILED, LOG_LEVEL_WARN,
			  "nothing is changed: %s", text);
		return rc;
	}
	changed = config_merge(c->cfg, next, restart, sizeof(restart));
	free(next);
	rc = config_check(c->cfg, c->cfg->file, text);
	if (rc < 0) {
		log_event(LOG_EV_RELOAD_FAILED, LOG_LEVEL_WARN, "%s", text);
		return rc;
	}
	rc = live_apply(c);
	snprintf(text, CONFIG_ERR_BYTES, "%.200s is read again: %u setting%s "
		 "changed%s%.200s", c->cfg->file, changed,
		 changed == 1 ? "" : "s", restart[0] ? "; a restart is needed for: " : "", restart);
	log_event(LOG_EV_RELOADED, LOG_LEVEL_INFO, "%s", text);
	return rc;
}
