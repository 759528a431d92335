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
#include "control/control.h"

struct live {
	struct op net_op, live_op;	/* both answered: freed */
	unsigned int open;
	struct net_config net;
	struct engine_live engine;
};

static void answered(struct live *l, const struct op *op, const char *what)
{
	if (op->error)
		log_warnx("an engine refuses the changed %s: %s", what,
			  strerror(-op->error));
	if (--l->open == 0)
		free(l);
}

static void net_done(struct control *c, struct op *op)
{
	(void)c;
	answered((struct live *)((char *)op - offsetof(struct live, net_op)),
		 op, "addresses, routes or neighbours");
}

static void live_done(struct control *c, struct op *op)
{
	(void)c;
	answered((struct live *)((char *)op - offsetof(struct live, live_op)),
		 op, "settings");
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

int live_apply(struct control *c)
{
	struct mail net = { .type = MAIL_NET_CONFIG };
	struct mail live = { .type = MAIL_LIVE };
	struct live *l = calloc(1, sizeof(*l));
	struct placement p;
	char err[CONFIG_ERR_BYTES];

	if (!l)
		return -ENOMEM;
	log_set_changed(c);
	l->net = c->cfg->net;
	l->engine.tcp = c->cfg->tcp;
	l->engine.access_count = c->cfg->access_count;
	memcpy(l->engine.access, c->cfg->access, sizeof(l->engine.access));
	if (placement_decide(&c->cfg->engine, &p, err) == 0)
		memcpy(c->placement.spin_us, p.spin_us, sizeof(p.spin_us));
	memcpy(l->engine.spin_us, c->placement.spin_us,
	       sizeof(l->engine.spin_us));
	l->open = 2;
	net.config.ptr = &l->net;
	live.config.ptr = &l->engine;
	tell_ports(c);
	op_ask_all(c, &l->net_op, &net, net_done);
	op_ask_all(c, &l->live_op, &live, live_done);
	return 0;
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
		log_warnx("nothing is changed: %s", text);
		return rc;
	}
	changed = config_merge(c->cfg, next, restart, sizeof(restart));
	free(next);
	rc = config_check(c->cfg, c->cfg->file, text);
	if (!rc)
		rc = live_apply(c);
	snprintf(text, CONFIG_ERR_BYTES, "%s is read again: %u setting%s "
		 "changed%s%s", c->cfg->file, changed, changed == 1 ? "" : "s",
		 restart[0] ? "; a restart is needed for: " : "", restart);
	log_info("%s", text);
	return rc;
}
