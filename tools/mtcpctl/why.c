#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/mtcpctl/mtcpctl.h"

#define WHY_MAX		64	/* connections a call */

/* A verdict of mtcpd in a sentence, and what to do about it. */
static const struct {
	const char *verdict, *sentence, *advice;
} sentences[] = {
	{ "idle", "nothing to send, nothing in flight",
	  NULL },
	{ "application", "the application: all that it gave is sent",
	  "the network would take more; look at the program" },
	{ "send_buffer", "the send buffer: the program waits for room in it",
	  "raise SO_SNDBUF, or [tcp] send_buffer_max" },
	{ "slow_reader", "a slow reader: the peer's program does not read as "
	  "fast as we send", "look at the peer's program" },
	{ "receive_window", "the peer's receive window, which is small",
	  "raise SO_RCVBUF or tcp_rmem at the peer" },
	{ "congestion_window", "the congestion window: it still grows",
	  NULL },
	{ "pacing", "pacing: segments leave at a set rate",
	  "SO_MAX_PACING_RATE, or congestion control paces" },
	{ "loss", "loss: segments are lost and sent again",
	  "look at the path: mtcpctl ports, the switch's counters" },
	{ "long_rtt", "the long way: a full window is out, and its "
	  "acknowledgement takes a round trip",
	  "more in flight: larger buffers at both ends" },
	{ "local_reader", "our own program: it does not read what came, and "
	  "the window is shut", "look at the program (client)" },
};

static void print_sentence(const struct options *o, const json_t *why)
{
	const char *verdict = text(why, "verdict");

	for (size_t i = 0; i < sizeof(sentences) / sizeof(sentences[0]); i++) {
		if (strcmp(verdict, sentences[i].verdict))
			continue;
		printf("  limited by  %s%s%s\n", o->color ? "\033[1;33m" : "",
		       sentences[i].sentence, o->color ? "\033[0m" : "");
		if (sentences[i].advice)
			printf("  to do       %s\n", sentences[i].advice);
		return;
	}
	printf("  limited by  %s\n", verdict);
}

/* The share of each limit in @from, those that are not 0. */
static void print_shares(const char *title, const json_t *from)
{
	const char *name;
	json_t *value;
	double sum = 0;

	json_object_foreach((json_t *)from, name, value)
		sum += (double)json_integer_value(value);
	printf("  %-11s", title);
	json_object_foreach((json_t *)from, name, value)
		if (json_integer_value(value))
			printf(" %s %.1f%%", name,
			       (double)json_integer_value(value) * 100 / sum);
	printf(" of %.1f s\n", sum / 1e6);
}

static void print_evidence(const json_t *why)
{
	double seconds = (double)number(why, "window_us") / 1e6;
	double rtt = (double)number(why, "srtt_us") / 1e3;

	if (!json_is_true(json_object_get(why, "recorded"))) {
		puts("  lately      nothing was recorded: it was idle, or has "
		     "sent one answer only");
	} else {
		print_shares("lately", json_object_get(why, "recent_us"));
		print_shares("in all", json_object_get(why, "total_us"));
		printf("  rate        %.3f Mbit/s acknowledged, %lld segments "
		       "sent again\n", seconds > 0 ?
		       (double)number(why, "recent_acked") * 8 / seconds / 1e6 :
		       0, number(why, "recent_retransmits"));
	}
	printf("  now         %s; rtt %.3f ms, cwnd %lld, peer's window %lld "
	       "(at most %lld), ours %lld, mss %lld\n", text(why, "limit"), rtt,
	       number(why, "cwnd"), number(why, "snd_wnd"),
	       number(why, "max_snd_wnd"), number(why, "rcv_wnd"),
	       number(why, "mss"));
	printf("  queues      %lld unacknowledged of %lld, %lld of it unsent; "
	       "%lld unread of %lld\n", number(why, "send_q"),
	       number(why, "snd_limit"), number(why, "unsent"),
	       number(why, "recv_q"), number(why, "rcv_limit"));
	printf("  silence     %lld ms since the peer was heard, %lld ms since "
	       "progress\n", number(why, "heard_ms"), number(why, "moved_ms"));
}

static void print_head(const json_t *why)
{
	printf("%s  %s  %s:%lld -> %s:%lld\n", text(why, "id"),
	       text(why, "state"), text(why, "local"), number(why, "lport"),
	       text(why, "remote"), number(why, "rport"));
}

static void print_event(const json_t *e)
{
	const char *name = text(e, "event");

	printf("  -%.6f s  ", (double)number(e, "ago_us") / 1e6);
	if (!strcmp(name, "limit"))
		printf("limited by %s: cwnd %lld, peer's window %lld\n",
		       text(e, "limit"), number(e, "cwnd"),
		       number(e, "snd_wnd"));
	else if (!strcmp(name, "retransmit"))
		printf("%lld segments sent again, at byte %lld\n",
		       number(e, "segments"), number(e, "at"));
	else if (!strcmp(name, "sample"))
		printf("%lld bytes acknowledged in the epoch, rtt %.3f ms\n",
		       number(e, "acked"), (double)number(e, "srtt_us") / 1e3);
	else
		printf("%s\n", name);
}

/* ---- asking ---- */

/* One word that is no filter is an id. */
static json_t *chosen(const struct options *o, int *status)
{
	struct options by_id = *o;
	char *words[2] = { "id", NULL };
	json_t *conns;

	if (!o->arg_count) {
		*status = usage_error("%s: of which connection? A filter, or "
				      "an id of conns -i", o->command->name);
		return NULL;
	}
	if (o->arg_count == 1 && strspn(o->args[0], "0123456789/") ==
	    strlen(o->args[0])) {
		words[1] = o->args[0];
		by_id.args = words;
		by_id.arg_count = 2;
	}
	conns = conns_matching(&by_id, status);
	if (conns && !json_array_size(conns)) {
		fputs("mtcpctl: no connection matches\n", stderr);
		*status = EXIT_NOTHING;
	}
	return conns;
}

/* Only what has a TCB can be asked. */
static bool has_tcb(const json_t *conn)
{
	const char *id = strchr(text(conn, "id"), '/');

	return id && strncmp(id, "/0/", 3);
}

/* An array of answers; NULL after a message. */
static json_t *ask_all(const struct options *o, int *status)
{
	json_t *conns = chosen(o, status), *all = json_array(), *conn;
	size_t i;

	json_array_foreach(conns, i, conn) {
		json_t *why;

		if (!has_tcb(conn) || json_array_size(all) == WHY_MAX)
			continue;
		why = ask_data(o, json_pack("{s:s,s:s}", "cmd", "why", "id",
					    text(conn, "id")));
		if (why)
			json_array_append_new(all, why);
	}
	if (!conns) {
		json_decref(all);
		return NULL;
	}
	if (json_array_size(conns) > WHY_MAX)
		fprintf(stderr, "mtcpctl: the first %d of %zu\n", WHY_MAX,
			json_array_size(conns));
	json_decref(conns);
	return all;
}

static void print_json(const char *cmd, json_t *data)
{
	json_t *answer = json_pack("{s:s,s:O}", "cmd", cmd, "data", data);

	json_dumpf(answer, stdout, JSON_COMPACT);
	putchar('\n');
	json_decref(answer);
}

int run_why(const struct options *o)
{
	int status;
	json_t *all = ask_all(o, &status), *why;
	size_t i;

	if (!all)
		return status;
	if (o->json)
		print_json("why", all);
	json_array_foreach(all, i, why) {
		if (o->json)
			break;
		print_head(why);
		print_sentence(o, why);
		print_evidence(why);
	}
	json_decref(all);
	return status;
}

int run_trace(const struct options *o)
{
	int status;
	json_t *all = ask_all(o, &status), *why, *e;
	size_t i, k;

	if (!all)
		return status;
	if (o->json)
		print_json("trace", all);
	json_array_foreach(all, i, why) {
		if (o->json)
			break;
		print_head(why);
		json_array_foreach(json_object_get(why, "events"), k, e)
			print_event(e);
		printf("  now          limited by %s\n", text(why, "limit"));
	}
	json_decref(all);
	return status;
}
