#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tools/mtcpctl/filter.h"
#include "tools/mtcpctl/mtcpctl.h"

#define NOTE_BYTES	512

/* Adds "client_name" to connections of clients that are still there. */
static void add_names(json_t *conns, const json_t *clients)
{
	const json_t *client;
	json_t *conn, *by_id = json_object();
	size_t i;
	char id[24];

	json_array_foreach(clients, i, client) {
		snprintf(id, sizeof(id), "%lld", number(client, "id"));
		json_object_set(by_id, id, json_object_get(client, "name"));
	}
	json_array_foreach(conns, i, conn) {
		json_t *name;

		snprintf(id, sizeof(id), "%lld", number(conn, "client"));
		name = json_object_get(by_id, id);
		if (name)
			json_object_set(conn, "client_name", name);
	}
	json_decref(by_id);
}

json_t *conns_matching(const struct options *o, int *status)
{
	char err[256];
	struct filter *f = filter_parse(o->args, o->arg_count, err);
	json_t *conns, *clients = NULL;

	if (!f) {
		*status = usage_error("%s", err);
		return NULL;
	}
	*status = EXIT_ERROR;
	conns = ask_data(o, json_pack("{s:s}", "cmd", "conns"));
	if (conns)
		clients = ask_data(o, json_pack("{s:s}", "cmd", "clients"));
	if (clients) {
		add_names(conns, clients);
		filter_apply(f, conns);
		*status = json_array_size(conns) || !o->arg_count ?
			  EXIT_OK : EXIT_NOTHING;
	} else {
		json_decref(conns);
		conns = NULL;
	}
	json_decref(clients);
	filter_free(f);
	return conns;
}

static void internals(struct table *t, const json_t *x)
{
	char line[NOTE_BYTES];

	snprintf(line, sizeof(line), "id:%s %s rto:%.0fms "
		 "rtt:%.3f/%.3fms mss:%lld cwnd:%lld ssthresh:%lld "
		 "snd_wnd:%lld rcv_wnd:%lld unsent:%lld retrans:%lld "
		 "context:%lld cookie:%lld", text(x, "id"), text(x, "cc"),
		 (double)number(x, "rto_us") / 1e3,
		 (double)number(x, "srtt_us") / 1e3,
		 (double)number(x, "rttvar_us") / 1e3, number(x, "mss"),
		 number(x, "cwnd"), number(x, "ssthresh"),
		 number(x, "snd_wnd"), number(x, "rcv_wnd"),
		 number(x, "unsent"), number(x, "retransmits"),
		 number(x, "context"), number(x, "cookie"));
	table_note(t, line);
}

static void add_client(struct table *t, const json_t *x)
{
	if (!number(x, "client"))
		table_add(t, "-");
	else
		table_add(t, "%lld/%s", number(x, "client"),
			  text(x, "client_name"));
}

static void print(const struct options *o, const json_t *conns)
{
	static const char *const heads[] = { "-state", "recv-q", "send-q",
		"-local", "-peer", "-client", "engine", "rtt", "cwnd",
		"retrans" };
	struct table t;
	const json_t *x;
	size_t i;

	table_begin(&t, 10, heads);
	json_array_foreach(conns, i, x) {
		table_add(&t, "%s", text(x, "state"));
		table_add(&t, "%lld", number(x, "recv_q"));
		table_add(&t, "%lld", number(x, "send_q"));
		table_add(&t, "%s:%lld", text(x, "local"), number(x, "lport"));
		table_add(&t, "%s:%lld", text(x, "remote"),
			  number(x, "rport"));
		add_client(&t, x);
		table_add(&t, "%lld", number(x, "engine"));
		table_add(&t, "%.3fms", (double)number(x, "srtt_us") / 1e3);
		table_add(&t, "%lld", number(x, "cwnd"));
		table_add(&t, "%lld", number(x, "retransmits"));
		if (o->internals)
			internals(&t, x);
	}
	table_end(&t);
}

int run_conns(const struct options *o)
{
	int status;
	json_t *conns = conns_matching(o, &status), *answer;

	if (!conns)
		return status;
	if (o->json) {
		answer = json_pack("{s:s,s:O}", "cmd", "conns", "data", conns);
		json_dumpf(answer, stdout, JSON_COMPACT);
		putchar('\n');
		json_decref(answer);
	} else {
		print(o, conns);
	}
	json_decref(conns);
	return status;
}
