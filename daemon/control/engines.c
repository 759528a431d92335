#include <errno.h>
#include <event2/event.h>
#include <numa.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/log.h"
#include "control/control.h"
#include "control/mail.h"

#define START_LIMIT_US	10000000	/* for an engine's first answer */

void *engine_node_alloc(const struct control *c, uint32_t e, size_t bytes)
{
	int node = engine_config(c->engines[e])->numa_node;

	if (node < 0)
		return numa_alloc_local(bytes);
	return numa_alloc_onnode(bytes, node);
}

void engine_node_free(void *at, size_t bytes)
{
	if (at)
		numa_free(at, bytes);
}

static void open_ports(struct control *c)
{
	char err[PORT_ERR_BYTES] = "";

	for (uint32_t i = 0; i < c->cfg->port_count; i++) {
		struct config_port *p = &c->cfg->ports[i];
		int rc;

		p->io.queues = (uint16_t)c->placement.count;
		rc = port_open(&c->ports[i], &p->io, (uint8_t)i, err);
		if (rc < 0)
			log_fatalx("[port %s]: %s", p->io.name,
				   err[0] ? err : strerror(-rc));
		c->port_count++;
		log_event(LOG_EV_PORT_UP, LOG_LEVEL_INFO,
			  "port %s: %s on %s, mtu %u, %s", p->io.name,
			 p->io.driver, p->io.device, c->ports[i]->mtu,
			 c->ports[i]->mode);
	}
}

/* The kernel's random numbers; there is no substitute for them. */
static void random_bytes(void *out, size_t bytes)
{
	if (getrandom(out, bytes, 0) != (ssize_t)bytes)
		log_fatal("cannot get random numbers from the kernel");
}

static void engine_secrets(struct engine_config *cfg)
{
	random_bytes(cfg->tcp.secret, sizeof(cfg->tcp.secret));
	random_bytes(&cfg->tcp.random_seed, sizeof(cfg->tcp.random_seed));
	random_bytes(cfg->net_secret, sizeof(cfg->net_secret));
}

static void open_engines(struct control *c)
{
	struct engine_config cfg = {
		.count = c->placement.count, .tcp = c->cfg->tcp,
		.local_port_min = (uint16_t)c->cfg->local_port_min,
		.local_port_max = (uint16_t)c->cfg->local_port_max,
		.shared_ports = share_ports(c),
		.huge_pages = c->cfg->engine.huge_pages != CHOICE_NO,
	};

	engine_secrets(&cfg);
	memcpy(cfg.rss_key, c->rss_key, sizeof(cfg.rss_key));
	cfg.tcp.engines = cfg.count;
	for (uint32_t e = 0; e < cfg.count; e++) {
		int rc;

		cfg.index = cfg.tcp.engine = e;
		cfg.cpu = c->placement.cpu[e];
		cfg.numa_node = cfg.cpu >= 0 && numa_available() >= 0 ?
				numa_node_of_cpu(cfg.cpu) : -1;
		cfg.spin_us = c->placement.spin_us[e];
		random_bytes(&cfg.tcp.random_seed, sizeof(cfg.tcp.random_seed));
		rc = engine_open(&c->engines[e], &cfg, c->ports, c->port_count);
		if (rc < 0)
			log_fatalx("engine %u: %s (smaller capacities in [tcp] "
				   "need less memory)", e, strerror(-rc));
	}
}

/* Engines start with all signals blocked: they are the control thread's.
 * SIGBUS and its like are delivered to the thread that causes them. */
static void start_threads(struct control *c)
{
	sigset_t all, before;

	sigfillset(&all);
	sigdelset(&all, SIGBUS);
	sigdelset(&all, SIGSEGV);
	sigdelset(&all, SIGFPE);
	sigdelset(&all, SIGILL);
	sigdelset(&all, SIGABRT);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	for (uint32_t e = 0; e < c->engine_count; e++) {
		int rc = engine_start(c->engines[e]);

		if (rc < 0)
			log_fatalx("engine %u: its thread does not start: %s",
				   e, strerror(-rc));
		if (c->placement.cpu[e] >= 0)
			log_info("engine %u runs on core %d", e,
				 c->placement.cpu[e]);
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void net_config_done(struct control *c, struct op *op)
{
	(void)op;
	event_base_loopbreak(c->base);
}

static void start_timeout(int fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	log_fatalx("the engines do not answer within %d s of their start",
		   START_LIMIT_US / 1000000);
}

static void tell_network(struct control *c)
{
	struct net_config *net = live_net(c, true);
	struct mail m = { .type = MAIL_NET_CONFIG, .config.ptr = net };
	struct timeval limit = { .tv_sec = START_LIMIT_US / 1000000 };
	struct op op = { 0 };
	struct event *timer = event_new(c->base, -1, 0, start_timeout, NULL);

	if (!timer || !net)
		log_fatalx("out of memory at start");
	event_add(timer, &limit);
	op_ask_all(c, &op, &m, net_config_done);
	while (op.tag)
		event_base_loop(c->base, EVLOOP_ONCE);
	event_free(timer);
	free(net);
	if (op.error)
		log_fatalx("the engines refuse the network configuration: %s",
			   strerror(-op.error));
}

static void check_huge_pages(const struct control *c)
{
	if (c->cfg->engine.huge_pages == CHOICE_NO || huge_pages_free())
		return;
	if (c->cfg->engine.huge_pages == CHOICE_YES)
		log_fatalx("[engine] huge_pages = yes, but no 2 MiB page is "
			   "free: reserve some (echo 512 > "
			   "/proc/sys/vm/nr_hugepages) or use huge_pages = "
			   "auto");
	log_info("no 2 MiB pages are free, client segments use normal pages "
		 "(reserve some: echo 512 > /proc/sys/vm/nr_hugepages)");
}

void engines_start(struct control *c)
{
	char err[CONFIG_ERR_BYTES];

	if (placement_decide(&c->cfg->engine, &c->placement, err) < 0)
		log_fatalx("%s", err);
	check_huge_pages(c);
	memcpy(c->rss_key, rss_symmetric_key, sizeof(c->rss_key));
	follow_begin(c);
	open_ports(c);
	share_begin(c);
	firewall_look(c);
	open_engines(c);
	c->engine_count = c->placement.count;
	mail_open(c, c->engine_count);
	for (uint32_t e = 0; e < c->engine_count; e++)
		engine_connect(c->engines[e], c->engines, c->mailbox);
	server_bind(c);
	sandbox_capabilities(c);
	start_threads(c);
	tell_network(c);
}

void engines_join(struct control *c)
{
	for (uint32_t e = 0; e < c->engine_count; e++)
		engine_join(c->engines[e]);
}

void engines_close(struct control *c)
{
	for (uint32_t e = 0; e < c->engine_count; e++)
		engine_close(c->engines[e]);
	mail_close(c);
	while (c->port_count)
		port_close(c->ports[--c->port_count]);
}
