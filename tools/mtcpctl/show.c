#include <stdio.h>
#include <string.h>

#include "tools/mtcpctl/mtcpctl.h"

/* ---- values ---- */

long long number(const json_t *from, const char *name)
{
	return json_integer_value(json_object_get(from, name));
}

const char *text(const json_t *from, const char *name)
{
	const char *s = json_string_value(json_object_get(from, name));

	return s ? s : "";
}

static double rate(const json_t *now, const json_t *before, const char *name,
		   double seconds)
{
	if (!before || seconds <= 0)
		return 0;
	return (double)(number(now, name) - number(before, name)) / seconds;
}

/* A counter as it stands, or as a rate when there was an answer before. */
static void add_counter(struct table *t, const json_t *now,
			const json_t *before, const char *name, double seconds)
{
	if (before)
		table_add(t, "%.0f/s", rate(now, before, name, seconds));
	else
		table_add(t, "%lld", number(now, name));
}

static void add_bytes(struct table *t, long long n)
{
	if (n >= 10ll << 30)
		table_add(t, "%.1f GiB", (double)n / (1ll << 30));
	else if (n >= 10ll << 20)
		table_add(t, "%lld MiB", n >> 20);
	else if (n >= 10ll << 10)
		table_add(t, "%lld KiB", n >> 10);
	else
		table_add(t, "%lld B", n);
}

static void add_age(struct table *t, long long us)
{
	long long s = us / 1000000;

	if (s < 60)
		table_add(t, "%llds", s);
	else if (s < 3600)
		table_add(t, "%lldm%02llds", s / 60, s % 60);
	else
		table_add(t, "%lldh%02lldm", s / 3600, s / 60 % 60);
}

/* ---- stats ---- */

/* Name, value, rate; with @only_seen those that are not 0. */
static void print_group(const char *title, const json_t *now,
			const json_t *before, double seconds, bool only_seen)
{
	static const char *const heads[] = { "-", "", "" };
	struct table t;
	const char *name;
	json_t *value;
	bool any = false;

	table_begin(&t, before ? 3 : 2, heads);
	t.heads[0] = title;
	json_object_foreach((json_t *)now, name, value) {
		if (!json_is_integer(value) ||
		    (only_seen && !json_integer_value(value)))
			continue;
		any = true;
		table_add(&t, "  %s", name);
		table_add(&t, "%lld", (long long)json_integer_value(value));
		if (before)
			table_add(&t, "%.0f/s", rate(now, before, name,
						     seconds));
	}
	if (!any) {
		table_add(&t, "  none");
		table_add(&t, "0");
		if (before)
			table_add(&t, "0/s");
	}
	table_end(&t);
	putchar('\n');
}

static const json_t *get(const json_t *from, const char *name)
{
	return from ? json_object_get(from, name) : NULL;
}

static const json_t *at(const json_t *from, size_t i)
{
	return from ? json_array_get(from, i) : NULL;
}

void print_engines(const json_t *data, const json_t *before,
		   double seconds)
{
	static const char *const heads[] = { "engine", "core", "cpu", "conns",
		"time-wait", "clients", "contexts", "commands", "events",
		"accepted", "handed over", "sleeps", "loops" };
	static const char *const counters[] = { "commands", "events",
		"accepted", "handed_over", "sleeps", "loops" };
	struct table t;
	const json_t *e;
	size_t i;

	table_begin(&t, 13, heads);
	json_array_foreach(data, i, e) {
		const json_t *b = at(before, i), *tcp = get(e, "tcp");

		table_add(&t, "%lld", number(e, "engine"));
		if (number(e, "core") < 0)
			table_add(&t, "any");
		else
			table_add(&t, "%lld", number(e, "core"));
		if (b)
			table_add(&t, "%.1f%%",
				  rate(e, b, "cpu_us", seconds) / 1e4);
		else
			table_add(&t, "%.2fs", (double)number(e, "cpu_us") / 1e6);
		table_add(&t, "%lld", number(tcp, "conns"));
		table_add(&t, "%lld", number(tcp, "time_wait"));
		table_add(&t, "%lld", number(e, "clients"));
		table_add(&t, "%lld", number(e, "contexts"));
		for (size_t k = 0; k < 6; k++)
			add_counter(&t, e, b, counters[k], seconds);
	}
	table_end(&t);
}

static void add_list(struct table *t, const json_t *list)
{
	char buf[512] = "";
	const json_t *item;
	size_t i, used = 0;

	json_array_foreach(list, i, item) {
		int n = snprintf(buf + used, sizeof(buf) - used, "%s%s",
				 i ? "," : "", json_string_value(item));

		if (n < 0 || (size_t)n >= sizeof(buf) - used)
			break;
		used += (size_t)n;
	}
	table_add(t, "%s", buf);
}

void print_ports(const json_t *data, const json_t *before,
		 double seconds)
{
	static const char *const heads[] = { "-port", "-device", "-link",
		"mtu", "rx frames", "rx bytes", "tx frames", "tx bytes",
		"dropped rx", "dropped tx", "no frame", "-mac", "-mode",
		"-addresses" };
	static const char *const counters[] = { "rx_frames", "rx_bytes",
		"tx_frames", "tx_bytes", "rx_dropped", "tx_dropped",
		"no_frame" };
	struct table t;
	const json_t *p;
	size_t i;

	table_begin(&t, 14, heads);
	json_array_foreach(data, i, p) {
		table_add(&t, "%s", text(p, "name"));
		table_add(&t, "%s", text(p, "device"));
		table_add(&t, "%s", json_is_true(get(p, "link_up")) ?
			  "up" : "down");
		table_add(&t, "%lld", number(p, "mtu"));
		for (size_t k = 0; k < 7; k++)
			add_counter(&t, p, at(before, i), counters[k], seconds);
		table_add(&t, "%s", text(p, "mac"));
		table_add(&t, "%s", text(p, "mode"));
		add_list(&t, get(p, "addresses"));
	}
	table_end(&t);
}

void print_stats(const json_t *data, const json_t *before,
		 double seconds)
{
	long long up = number(data, "uptime_us") / 1000000;

	printf("mtcpd %s, pid %lld, up %lldd %02lld:%02lld:%02lld\n\n",
	       text(data, "version"), number(data, "pid"), up / 86400,
	       up / 3600 % 24, up / 60 % 60, up % 60);
	print_engines(get(data, "engines"), get(before, "engines"), seconds);
	putchar('\n');
	print_ports(get(data, "ports"), get(before, "ports"), seconds);
	putchar('\n');
	print_group("-tcp", get(data, "tcp"), get(before, "tcp"), seconds,
		    false);
	print_group("-tcp drops", get(data, "tcp_drops"),
		    get(before, "tcp_drops"), seconds, true);
	print_group("-net", get(data, "net"), get(before, "net"), seconds,
		    false);
	print_group("-net drops", get(data, "net_drops"),
		    get(before, "net_drops"), seconds, true);
	print_group("-control", get(data, "control"), get(before, "control"),
		    seconds, true);
}

/* ---- lists ---- */

void print_clients(const json_t *data, const json_t *before,
		   double seconds)
{
	static const char *const heads[] = { "id", "pid", "uid", "-name",
		"-state", "contexts", "connections", "memory", "quota",
		"-pages", "denied", "age" };
	struct table t;
	const json_t *x;
	size_t i;

	(void)before;
	(void)seconds;
	table_begin(&t, 12, heads);
	json_array_foreach(data, i, x) {
		table_add(&t, "%lld", number(x, "id"));
		table_add(&t, "%lld", number(x, "pid"));
		table_add(&t, "%lld", number(x, "uid"));
		table_add(&t, "%s", text(x, "name"));
		table_add(&t, "%s", text(x, "state"));
		table_add(&t, "%lld", number(x, "contexts"));
		table_add(&t, "%lld", number(x, "connections"));
		add_bytes(&t, number(x, "memory_bytes"));
		add_bytes(&t, number(x, "quota_bytes"));
		table_add(&t, "%s", json_is_true(get(x, "huge_pages")) ?
			  "huge" : "normal");
		table_add(&t, "%lld", number(x, "slabs_denied"));
		add_age(&t, number(x, "age_us"));
	}
	table_end(&t);
}

void print_listeners(const json_t *data, const json_t *before,
		     double seconds)
{
	static const char *const heads[] = { "-local", "backlog", "-shared",
		"-client:context" };
	struct table t;
	const json_t *x, *m;
	size_t i, k;

	(void)before;
	(void)seconds;
	table_begin(&t, 4, heads);
	json_array_foreach(data, i, x) {
		char who[512] = "";
		size_t used = 0;

		json_array_foreach(get(x, "members"), k, m) {
			int n = snprintf(who + used, sizeof(who) - used,
					 "%s%lld:%lld", k ? " " : "",
					 number(m, "client"),
					 number(m, "context"));

			if (n < 0 || (size_t)n >= sizeof(who) - used)
				break;
			used += (size_t)n;
		}
		table_add(&t, "%s:%lld", text(x, "address"), number(x, "port"));
		table_add(&t, "%lld", number(x, "backlog"));
		table_add(&t, "%s", json_is_true(get(x, "shared")) ?
			  "yes" : "no");
		table_add(&t, "%s", who);
	}
	table_end(&t);
}

void print_arp(const json_t *data, const json_t *before, double seconds)
{
	static const char *const heads[] = { "-address", "-mac", "-state",
		"-port", "age" };
	struct table t;
	const json_t *x;
	size_t i;

	(void)before;
	(void)seconds;
	table_begin(&t, 5, heads);
	json_array_foreach(data, i, x) {
		table_add(&t, "%s", text(x, "address"));
		table_add(&t, "%s", text(x, "mac"));
		table_add(&t, "%s", text(x, "state"));
		table_add(&t, "%s", text(x, "port"));
		table_add(&t, "%llds", number(x, "age_s"));
	}
	table_end(&t);
}

void print_routes(const json_t *data, const json_t *before,
		  double seconds)
{
	static const char *const heads[] = { "-network", "-gateway", "-port",
		"metric" };
	struct table t;
	const json_t *x;
	size_t i;

	(void)before;
	(void)seconds;
	table_begin(&t, 4, heads);
	json_array_foreach(data, i, x) {
		bool all = !strcmp(text(x, "network"), "0.0.0.0/0");

		table_add(&t, "%s", all ? "default" : text(x, "network"));
		table_add(&t, "%s", text(x, "gateway")[0] ?
			  text(x, "gateway") : "connected");
		table_add(&t, "%s", text(x, "port"));
		table_add(&t, "%lld", number(x, "metric"));
	}
	table_end(&t);
}
