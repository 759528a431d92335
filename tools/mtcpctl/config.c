/*
 * config.c - mtcpctl's verbs that change a running mtcpd
 *
 *	config show | get KEY | set KEY VALUE | diff | save | import FILE...
 *	reload
 *	drain [SECONDS]
 *	log [LEVEL [FACILITY]]
 *	arp add ADDRESS MAC | delete ADDRESS
 *	routes add NETWORK TARGET | delete NETWORK
 *
 * `save` is done here and not by mtcpd, which may not write its configuration:
 * what differs is asked for, and conf_file.c puts it into the file.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/mtcpctl/conf_file.h"
#include "tools/mtcpctl/mtcpctl.h"

#define CHANGES_MAX	256

struct verb {
	const char *socket;
	bool json;
	int argc;
	char *const *argv;		/* behind the verb */
};

/* Asks; takes @request over.  The answer's data, or NULL after a message. */
static json_t *talk(const struct verb *v, json_t *request)
{
	char *line = ask(v->socket, request);
	json_t *answer, *data;

	json_decref(request);
	if (!line)
		return NULL;
	answer = json_loads(line, 0, NULL);
	data = json_incref(json_object_get(answer, "data"));
	if (!data)
		fprintf(stderr, "mtcpctl: %s\n", text(answer, "error")[0] ?
			text(answer, "error") : "mtcpd's answer is no JSON");
	else if (v->json)
		puts(line);
	json_decref(answer);
	free(line);
	return data;
}

static int usage_of(const char *words)
{
	fprintf(stderr, "usage: mtcpctl %s\n", words);
	return 2;
}

/* ---- config ---- */

static void print_keys(const json_t *data)
{
	static const char *const heads[] = { "-key", "-value", "-default",
		"-unit", "-change", "-allowed" };
	const json_t *x;
	struct table t;
	size_t i;

	table_begin(&t, 6, heads);
	json_array_foreach(json_object_get(data, "keys"), i, x) {
		table_add(&t, "%s", text(x, "key"));
		table_add(&t, "%s", text(x, "value"));
		table_add(&t, "%s", text(x, "default"));
		table_add(&t, "%s", text(x, "unit"));
		table_add(&t, "%s", json_is_true(json_object_get(x, "live")) ?
			  "live" : "restart");
		table_add(&t, "%s", text(x, "allowed"));
	}
	table_end(&t);
}

static int show(const struct verb *v)
{
	json_t *data = talk(v, json_pack("{s:s,s:s}", "cmd", "config", "op",
					 "show"));

	if (data && !v->json)
		print_keys(data);
	json_decref(data);
	return data ? 0 : 1;
}

static int get_key(const struct verb *v)
{
	json_t *data;

	if (v->argc != 2)
		return usage_of("config get KEY");
	data = talk(v, json_pack("{s:s,s:s,s:s}", "cmd", "config", "op", "get",
				 "key", v->argv[1]));
	if (data && !v->json)
		puts(text(json_array_get(json_object_get(data, "keys"), 0),
			 "value"));
	json_decref(data);
	return data ? 0 : 1;
}

static int set_key(const struct verb *v)
{
	json_t *data;

	if (v->argc != 3)
		return usage_of("config set KEY VALUE");
	data = talk(v, json_pack("{s:s,s:s,s:s,s:s}", "cmd", "config", "op",
				 "set", "key", v->argv[1], "value",
				 v->argv[2]));
	if (data && !v->json)
		printf("%s = %s (was %s)\n", text(data, "key"),
		       text(data, "value"), text(data, "was"));
	json_decref(data);
	return data ? 0 : 1;
}

static json_t *differences(const struct verb *v)
{
	return talk(v, json_pack("{s:s,s:s}", "cmd", "config", "op", "diff"));
}

static int diff(const struct verb *v)
{
	static const char *const heads[] = { "-key", "-running", "-file",
		"-change" };
	json_t *data = differences(v);
	const json_t *x;
	struct table t;
	size_t i;

	if (!data || v->json) {
		json_decref(data);
		return data ? 0 : 1;
	}
	table_begin(&t, 4, heads);
	json_array_foreach(json_object_get(data, "differences"), i, x) {
		table_add(&t, "%s", text(x, "key"));
		table_add(&t, "%s", text(x, "running"));
		table_add(&t, "%s", text(x, "file"));
		table_add(&t, "%s", json_is_true(json_object_get(x, "live")) ?
			  "live" : "restart");
	}
	table_end(&t);
	json_decref(data);
	return 0;
}

/* What differs and was changed live; the rest waits for a restart. */
static unsigned int changes_of(const json_t *data, struct conf_change *out)
{
	const json_t *x;
	unsigned int n = 0;
	size_t i;

	json_array_foreach(json_object_get(data, "differences"), i, x) {
		if (!json_is_true(json_object_get(x, "live")) ||
		    n == CHANGES_MAX)
			continue;
		out[n++] = (struct conf_change){ .key = text(x, "key"),
						 .value = text(x, "running") };
	}
	return n;
}

static int save(const struct verb *v)
{
	static struct conf_change changes[CHANGES_MAX];
	struct verb quiet = *v;
	json_t *data;
	unsigned int n;
	int rc;

	quiet.json = false;
	data = differences(&quiet);
	if (!data)
		return 1;
	n = changes_of(data, changes);
	rc = n ? conf_file_save(text(data, "file"), changes, n) : 0;
	if (rc < 0)
		fprintf(stderr, "mtcpctl: %s cannot be written: %s\n",
			text(data, "file"), strerror(-rc));
	else
		printf("%s: %u value%s saved\n", text(data, "file"), n,
		       n == 1 ? "" : "s");
	json_decref(data);
	return rc < 0 ? 1 : 0;
}

static int import(const struct verb *v)
{
	if (v->argc < 2)
		return usage_of("config import mtcp.conf [arp.conf] "
				"[route.conf]");
	return conf_import(v->argc - 1, v->argv + 1, stdout) < 0 ? 1 : 0;
}

static int config(const struct verb *v)
{
	static const struct {
		const char *name;
		int (*run)(const struct verb *v);
	} ops[] = { { "show", show }, { "get", get_key }, { "set", set_key },
		    { "diff", diff }, { "save", save }, { "import", import } };

	for (size_t i = 0; v->argc && i < sizeof(ops) / sizeof(ops[0]); i++)
		if (!strcmp(ops[i].name, v->argv[0]))
			return ops[i].run(v);
	return usage_of("config show | get KEY | set KEY VALUE | diff | save | "
			"import FILE...");
}

/* ---- the others ---- */

static int reload(const struct verb *v)
{
	json_t *data = talk(v, json_pack("{s:s}", "cmd", "reload"));

	if (data && !v->json)
		puts(text(data, "text"));
	json_decref(data);
	return data ? 0 : 1;
}

static int log_levels(const struct verb *v)
{
	json_t *request = json_pack("{s:s}", "cmd", "log"), *data, *x;
	const char *name;

	if (v->argc > 2) {
		json_decref(request);
		return usage_of("log [error|warn|info|debug [FACILITY]]");
	}
	if (v->argc > 0)
		json_object_set_new(request, "level", json_string(v->argv[0]));
	if (v->argc > 1)
		json_object_set_new(request, "facility",
				    json_string(v->argv[1]));
	data = talk(v, request);
	if (data && !v->json)
		json_object_foreach(data, name, x)
			printf("%-8s %s\n", name, json_string_value(x));
	json_decref(data);
	return data ? 0 : 1;
}

/* "3 of 100", or "3" where there is no limit. */
static void of_limit(struct table *t, const json_t *x, const char *now,
		     const char *most)
{
	long long n = json_integer_value(json_object_get(x, now));
	long long max = json_integer_value(json_object_get(x, most));

	if (max)
		table_add(t, "%lld of %lld", n, max);
	else
		table_add(t, "%lld", n);
}

static void mib_of_limit(struct table *t, const json_t *x)
{
	long long n = json_integer_value(json_object_get(x, "memory_bytes"));
	long long max = json_integer_value(json_object_get(x,
							   "memory_max_bytes"));

	if (max)
		table_add(t, "%lld of %lld MiB", n >> 20, max >> 20);
	else
		table_add(t, "%lld MiB", n >> 20);
}

static void refused(struct table *t, const json_t *x)
{
	static const char *const names[] = { "connections_refused",
		"connects_slowed", "accepts_slowed", "slabs_denied" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		table_add(t, "%lld", (long long)json_integer_value(
			json_object_get(x, names[i])));
}

/* What the programs of a policy, or of one user under it, have together. */
static void policy_accounts(const json_t *all)
{
	static const char *const heads[] = { "-policy", "-user id", "programs",
		"connections", "memory", "refused", "slowed", "waited",
		"denied" };
	const json_t *x, *uid;
	struct table t;
	size_t i;

	if (!json_array_size(all))
		return;
	printf("\n");
	table_begin(&t, 9, heads);
	json_array_foreach(all, i, x) {
		uid = json_object_get(x, "uid");
		table_add(&t, "%s", text(x, "policy"));
		if (json_is_integer(uid))
			table_add(&t, "%lld", json_integer_value(uid));
		else
			table_add(&t, "all");
		table_add(&t, "%lld", json_integer_value(
			json_object_get(x, "programs")));
		of_limit(&t, x, "connections", "connections_max");
		mib_of_limit(&t, x);
		refused(&t, x);
	}
	table_end(&t);
	printf("\n");
}

static int policy(const struct verb *v)
{
	static const char *const heads[] = { "-policy", "-user", "-group",
		"-attach", "clients" };
	json_t *data = talk(v, json_pack("{s:s}", "cmd", "policy"));
	const json_t *x;
	struct table t;
	size_t i;

	if (!data || v->json) {
		json_decref(data);
		return data ? 0 : 1;
	}
	table_begin(&t, 5, heads);
	json_array_foreach(json_object_get(data, "policies"), i, x) {
		table_add(&t, "%s", text(x, "name"));
		table_add(&t, "%s", text(x, "user"));
		table_add(&t, "%s", text(x, "group"));
		table_add(&t, "%s", json_is_true(json_object_get(x, "attach")) ?
			  "yes" : "no");
		table_add(&t, "%lld", json_integer_value(
			json_object_get(x, "clients")));
	}
	table_end(&t);
	policy_accounts(json_object_get(data, "accounts"));
	printf("%lld programs refused, %lld listens denied\n",
	       json_integer_value(json_object_get(data, "refused")),
	       json_integer_value(json_object_get(data, "listen_denied")));
	json_decref(data);
	return 0;
}

static int drain(const struct verb *v)
{
	json_t *request = json_pack("{s:s}", "cmd", "drain"), *data;
	char *end = NULL;

	if (v->argc > 1 || (v->argc && (!v->argv[0][0] ||
	    (json_object_set_new(request, "seconds", json_integer(
		strtol(v->argv[0], &end, 10))), *end)))) {
		json_decref(request);
		return usage_of("drain [SECONDS]");
	}
	data = talk(v, request);
	if (data && !v->json)
		printf("mtcpd takes no new connections, and ends when the last "
		       "of %lld is closed, or after %lld s\n",
		       json_integer_value(json_object_get(data, "connections")),
		       json_integer_value(json_object_get(data, "seconds")));
	json_decref(data);
	return data ? 0 : 1;
}

/* @names of what stands behind add; delete wants the first only. */
static int table_change(const struct verb *v, const char *cmd,
			const char *first, const char *second)
{
	bool add = v->argc && !strcmp(v->argv[0], "add");
	json_t *request, *data;

	if (v->argc != (add ? 3 : 2) ||
	    (!add && strcmp(v->argv[0], "delete"))) {
		fprintf(stderr, "usage: mtcpctl %s add %s %s | delete %s\n",
			cmd, first, second, first);
		return 2;
	}
	request = json_pack("{s:s,s:s,s:s}", "cmd", cmd, "op", v->argv[0],
			    first, v->argv[1]);
	if (add)
		json_object_set_new(request, second, json_string(v->argv[2]));
	data = talk(v, request);
	json_decref(data);
	return data ? 0 : 1;
}

int run_change(const struct options *o)
{
	const struct verb v = { .socket = o->socket, .json = o->json,
				.argc = o->arg_count, .argv = o->args };
	const char *name = o->command->name;

	if (!strcmp(name, "config"))
		return config(&v);
	if (!strcmp(name, "reload"))
		return reload(&v);
	if (!strcmp(name, "policy"))
		return policy(&v);
	if (!strcmp(name, "drain"))
		return drain(&v);
	if (!strcmp(name, "log"))
		return log_levels(&v);
	if (!strcmp(name, "arp"))
		return table_change(&v, "arp", "address", "mac");
	return table_change(&v, "routes", "network", "target");
}
