/*
 * metrics.c - counters as Prometheus and OpenMetrics want them
 *
 *	stats_*() -> names by convention -> families -> samples, a line each
 *
 * What mtcpctl shows is what is exported: names of counters come from the same
 * tables.  Times become seconds, "bytes_in" becomes "in_bytes", counters end
 * in _total.  Labels: engine, port, client, policy, reason.
 *
 * Prometheus' text format and OpenMetrics 1.0 differ in the name in TYPE of a
 * counter, in the content type (http.c) and in the last line.
 */
#include <event2/buffer.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "control/account.h"
#include "control/control.h"

#define NAME_BYTES	96
#define LABEL_BYTES	192

struct out {
	struct evbuffer *buf;
	bool openmetrics;
};

static void family(struct out *o, const char *name, const char *type,
		   const char *help)
{
	bool total = !o->openmetrics && !strcmp(type, "counter");

	evbuffer_add_printf(o->buf, "# HELP %s%s %s\n# TYPE %s%s %s\n", name,
			    total ? "_total" : "", help, name,
			    total ? "_total" : "", type);
}

/* A label's value, quoted: names of clients are whatever they say. */
static void escape(const char *text, char *out, size_t bytes)
{
	size_t n = 0;

	for (; *text && n + 3 < bytes; text++) {
		unsigned char c = (unsigned char)*text;

		if (c == '"' || c == '\\')
			out[n++] = '\\';
		out[n++] = c < 0x20 || c >= 0x7f ? '?' : (char)c;
	}
	out[n] = '\0';
}

/* "bytes_in" is "in_bytes", "cpu_us" is "cpu_seconds"; true: of microseconds. */
static bool convention(const char *name, char out[NAME_BYTES])
{
	size_t n = strlen(name);

	if (!strncmp(name, "bytes_", 6) || !strncmp(name, "segs_", 5)) {
		const char *way = strchr(name, '_') + 1;

		snprintf(out, NAME_BYTES, "%s_%s", way,
			 name[0] == 'b' ? "bytes" : "segments");
		return false;
	}
	if (n > 3 && !strcmp(name + n - 3, "_us")) {
		snprintf(out, NAME_BYTES, "%.*s_seconds", (int)n - 3, name);
		return true;
	}
	snprintf(out, NAME_BYTES, "%s", name);
	return false;
}

static bool is_one_of(const char *name, const char *const *list)
{
	for (; *list; list++)
		if (!strcmp(name, *list))
			return true;
	return false;
}

/* Of the objects in @all: which one it is, as labels. */
typedef void label_fn(const json_t *one, char out[LABEL_BYTES]);

static void engine_label(const json_t *one, char out[LABEL_BYTES])
{
	snprintf(out, LABEL_BYTES, "engine=\"%lld\"", (long long)
		 json_integer_value(json_object_get(one, "engine")));
}

static void port_label(const json_t *one, char out[LABEL_BYTES])
{
	char name[80];

	escape(json_string_value(json_object_get(one, "name")), name,
	       sizeof(name));
	snprintf(out, LABEL_BYTES, "port=\"%s\"", name);
}

static void client_label(const json_t *one, char out[LABEL_BYTES])
{
	char name[80];

	escape(json_string_value(json_object_get(one, "name")), name,
	       sizeof(name));
	snprintf(out, LABEL_BYTES, "client=\"%lld\",name=\"%s\",pid=\"%lld\"",
		 (long long)json_integer_value(json_object_get(one, "id")),
		 name, (long long)
		 json_integer_value(json_object_get(one, "pid")));
}

/* Of all users together: uid is empty. */
static void account_label(const json_t *one, char out[LABEL_BYTES])
{
	const json_t *uid = json_object_get(one, "uid");
	char name[80], user[24] = "";

	escape(json_string_value(json_object_get(one, "policy")), name,
	       sizeof(name));
	if (json_is_integer(uid))
		snprintf(user, sizeof(user), "%lld",
			 (long long)json_integer_value(uid));
	snprintf(out, LABEL_BYTES, "policy=\"%s\",uid=\"%s\"", name, user);
}

struct group {
	const char *prefix, *part;	/* part: object in each, NULL: itself */
	const char *help;
	label_fn *label;
	const char *const *gauges, *const *skip;
};

static const json_t *part_of(const struct group *g, const json_t *one)
{
	return g->part ? json_object_get(one, g->part) : one;
}

static void sample(struct out *o, const char *name, bool counter,
		   const char *labels, double value)
{
	evbuffer_add_printf(o->buf, "%s%s%s%s%s %.17g\n", name,
			    counter ? "_total" : "", labels[0] ? "{" : "",
			    labels, labels[0] ? "}" : "", value);
}

/* One family: @key of every object in @all. */
static void one_family(struct out *o, const struct group *g, const json_t *all,
		       const char *key)
{
	bool counter = !is_one_of(key, g->gauges);
	char words[NAME_BYTES], name[NAME_BYTES * 2], help[256];
	char label[LABEL_BYTES];
	bool us = convention(key, words);
	const json_t *one;
	size_t i;

	snprintf(name, sizeof(name), "mtcpd_%s_%s", g->prefix, words);
	snprintf(help, sizeof(help), "%s: %s.", g->help, key);
	family(o, name, counter ? "counter" : "gauge", help);
	json_array_foreach(all, i, one) {
		double n = (double)json_integer_value(
			json_object_get(part_of(g, one), key));

		g->label(one, label);
		sample(o, name, counter, label, us ? n / 1e6 : n);
	}
}

static void families(struct out *o, const struct group *g, const json_t *all)
{
	const json_t *first = part_of(g, json_array_get(all, 0));
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)first, key, value)
		if (json_is_integer(value) && !is_one_of(key, g->skip))
			one_family(o, g, all, key);
}

/* Counters by name: the name is a label. */
static void reasons(struct out *o, const char *name, const char *help,
		    const json_t *all, const char *part)
{
	const json_t *one;
	const char *key;
	json_t *value;
	size_t i;

	family(o, name, "counter", help);
	json_array_foreach(all, i, one)
		json_object_foreach(json_object_get(one, part), key, value) {
			char label[LABEL_BYTES];

			snprintf(label, sizeof(label),
				 "engine=\"%zu\",reason=\"%s\"", i, key);
			sample(o, name, true, label,
			       (double)json_integer_value(value));
		}
}

/* ---- histograms ---- */

static void histogram(struct out *o, const char *name, uint32_t engine,
		      const struct hist *h, double unit)
{
	uint64_t below = 0;

	for (int i = 0; i < HIST_BUCKETS - 1; i++) {
		below += counter_get(&h->bucket[i]);
		evbuffer_add_printf(o->buf, "%s_bucket{engine=\"%u\",le=\"%.9g\"} "
				    "%llu\n", name, engine,
				    (double)((1u << i) - 1) * unit,
				    (unsigned long long)below);
	}
	below += counter_get(&h->bucket[HIST_BUCKETS - 1]);
	evbuffer_add_printf(o->buf, "%s_bucket{engine=\"%u\",le=\"+Inf\"} %llu\n"
			    "%s_sum{engine=\"%u\"} %.9g\n"
			    "%s_count{engine=\"%u\"} %llu\n", name, engine,
			    (unsigned long long)below, name, engine,
			    (double)counter_get(&h->sum) * unit, name, engine,
			    (unsigned long long)below);
}

static const struct hist *hist_of(const struct control *c, uint32_t e, int which)
{
	const struct tcp_stats *tcp = engine_tcp_stats(c->engines[e]);
	const struct engine_stats *loop = engine_stats(c->engines[e]);

	switch (which) {
	case 0: return &tcp->rtt_us;
	case 1: return &tcp->connect_us;
	case 2: return &loop->loop_us;
	default: return &loop->batch;
	}
}

static void histograms(struct out *o, const struct control *c)
{
	static const struct {
		const char *name, *help;
		double unit;
	} all[] = {
		{ "mtcpd_tcp_rtt_seconds", "Round-trip times measured.", 1e-6 },
		{ "mtcpd_tcp_connect_seconds", "Handshakes of outgoing "
		  "connections, SYN to SYN-ACK.", 1e-6 },
		{ "mtcpd_engine_loop_seconds", "Turns of the loop that had "
		  "work.", 1e-6 },
		{ "mtcpd_engine_batch_frames", "Frames of a burst received.",
		  1 },
	};

	for (int k = 0; k < 4; k++) {
		family(o, all[k].name, "histogram", all[k].help);
		for (uint32_t e = 0; e < c->engine_count; e++)
			histogram(o, all[k].name, e, hist_of(c, e, k),
				  all[k].unit);
	}
}

/* ---- the whole ---- */

static const char *const no_names[] = { NULL };
static const char *const engine_gauges[] = { "clients", "contexts", NULL };
static const char *const engine_skip[] = { "engine", "core", "numa_node",
	"spin_us", NULL };
static const char *const tcp_gauges[] = { "conns", "listeners", "time_wait",
	"syn_received", NULL };
static const char *const port_gauges[] = { "mtu", "queues", NULL };
static const char *const client_gauges[] = { "contexts", "memory_bytes",
	"quota_bytes", "age_us", NULL };
static const char *const client_skip[] = { "id", "pid", "uid", "connections",
	NULL };

static const struct group groups[] = {
	{ "engine", NULL, "Of an engine's loop", engine_label, engine_gauges,
	  engine_skip },
	{ "tcp", "tcp", "Of an engine's TCP", engine_label, tcp_gauges,
	  no_names },
	{ "net", "net", "Of an engine's IP, ARP and ICMP", engine_label,
	  no_names, no_names },
};
static const struct group port_group = { "port", NULL, "Of a network port",
	port_label, port_gauges, no_names };
static const struct group client_group = { "client", NULL, "Of a program "
	"attached", client_label, client_gauges, client_skip };

static const char *const account_gauges[] = { "programs", "connections",
	"connections_max", "memory_bytes", "memory_max_bytes", "connect_rate",
	"accept_rate", NULL };
static const char *const account_skip[] = { "uid", NULL };
static const struct group account_group = { "policy", NULL, "Of the programs "
	"of a policy", account_label, account_gauges, account_skip };

static void about_us(struct out *o, const struct control *c)
{
	char label[LABEL_BYTES];

	family(o, "mtcpd_build_info", "gauge", "The version that runs.");
	snprintf(label, sizeof(label), "version=\"%s\"", c->version);
	sample(o, "mtcpd_build_info", false, label, 1);
	family(o, "mtcpd_start_time_seconds", "gauge",
	       "When it started, since the epoch.");
	sample(o, "mtcpd_start_time_seconds", false, "",
	       (double)c->start_us / 1e6);
	family(o, "mtcpd_clients_refused", "counter",
	       "Programs that were not let in.");
	sample(o, "mtcpd_clients_refused", true, "",
	       (double)c->counters.refused);
}

static void links(struct out *o, const json_t *ports)
{
	char label[LABEL_BYTES];
	const json_t *p;
	size_t i;

	family(o, "mtcpd_port_link_up", "gauge", "1: the link is up.");
	json_array_foreach(ports, i, p) {
		port_label(p, label);
		sample(o, "mtcpd_port_link_up", false, label,
		       json_is_true(json_object_get(p, "link_up")));
	}
}

void metrics_write(const struct control *c, struct evbuffer *buf,
		   bool openmetrics)
{
	static const uint32_t none[TCP_CLIENTS_MAX];
	struct out o = { .buf = buf, .openmetrics = openmetrics };
	json_t *engines = stats_engines(c), *ports = stats_ports(c);
	json_t *clients = stats_clients(c, none), *accounts = accounts_list(c);

	about_us(&o, c);
	for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++)
		families(&o, &groups[i], engines);
	reasons(&o, "mtcpd_tcp_drops", "Segments dropped, by reason.", engines,
		"tcp_drops");
	reasons(&o, "mtcpd_net_drops", "Packets dropped, by reason.", engines,
		"net_drops");
	families(&o, &port_group, ports);
	links(&o, ports);
	families(&o, &client_group, clients);
	families(&o, &account_group, accounts);
	histograms(&o, c);
	if (openmetrics)
		evbuffer_add_printf(buf, "# EOF\n");
	json_decref(engines);
	json_decref(ports);
	json_decref(clients);
	json_decref(accounts);
}
