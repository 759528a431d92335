/*
 * The socket of mtcpctl: a request is one line of JSON, {"cmd":"stats"}, and
 * so is the answer: {"cmd":"stats","data":...} or {"error":"..."}.
 *
 * Listings of connections, neighbours and routes are filled by engines, a
 * slice a loop of theirs, and written as they come: neither an engine nor this
 * thread stalls, and no more than WRITE_HIGH waits in memory for a slow reader.
 *
 *	list_next -> MAIL_LIST -> engine fills slice -> list_done -+
 *	    ^  (output below WRITE_HIGH, else when it is drained)  |
 *	    +------------------------------------------------------+
 *
 * Ownership  The slice is the engine's while the op is open; a session that
 *            hangs up meanwhile is freed by list_done.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <jansson.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "control/admin.h"
#include "shm/capture.h"

#define SESSIONS_MAX	32
#define LINE_MAX_BYTES	(CAPTURE_PROGRAM_MAX * 16 + 1024)
#define WRITE_HIGH	(256u << 10)
#define WRITE_LOW	(64u << 10)

/* A kind of listing that engines fill.  Without print, connections are only
 * counted, for the table of clients. */
struct listing {
	const char *cmd;
	enum mail_list what;
	bool all_engines;		/* or engine 0, which knows it all */
	void (*print)(const struct admin *a, struct evbuffer *out, uint32_t i);
};

/* ---- sessions ---- */

static void admin_free(struct admin *a)
{
	struct control *c = a->control;
	struct admin **at = &c->admins;

	while (*at != a)
		at = &(*at)->next;
	*at = a->next;
	c->admin_count--;
	free(a);
}

static void hang_up(struct admin *a)
{
	capture_left(a);
	if (a->bev)
		bufferevent_free(a->bev);
	a->bev = NULL;
	if (!a->op.tag)
		admin_free(a);
}

void admin_close_all(struct control *c)
{
	struct admin *a = c->admins, *next;

	for (; a; a = next) {
		next = a->next;
		hang_up(a);
	}
}

static void say_json(struct admin *a, json_t *answer)
{
	char *text = json_dumps(answer, JSON_COMPACT);

	json_decref(answer);
	if (!text)
		return;
	evbuffer_add_printf(bufferevent_get_output(a->bev), "%s\n", text);
	free(text);
}

void admin_data(struct admin *a, const char *cmd, json_t *data)
{
	if (data)
		say_json(a, json_pack("{s:s,s:o}", "cmd", cmd, "data", data));
	else
		admin_error(a, "mtcpd has no memory to answer");
}

void admin_error(struct admin *a, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	say_json(a, json_pack("{s:s}", "error", text));
}

/* ---- asking an engine ---- */

void admin_hold(struct admin *a)
{
	bufferevent_disable(a->bev, EV_READ);
	a->busy = true;
}

void admin_resume(struct admin *a)
{
	a->busy = false;
	bufferevent_enable(a->bev, EV_READ);
	bufferevent_trigger(a->bev, EV_READ, 0);
}

static void ask_done(struct control *c, struct op *op)
{
	struct admin *a = (struct admin *)((char *)op -
					   offsetof(struct admin, op));

	(void)c;
	if (!a->bev) {
		admin_free(a);
		return;
	}
	a->answered(a, op);
	if (!op->tag)
		admin_resume(a);
}

void admin_ask(struct admin *a, uint32_t engine, struct mail *m,
	       void (*done)(struct admin *a, const struct op *op))
{
	admin_hold(a);
	a->answered = done;
	op_ask(a->control, &a->op, engine, m, ask_done);
}

/* ---- what engines list ---- */

static void print_conn(const struct admin *a, struct evbuffer *out,
		       uint32_t i)
{
	const struct tcp_info *t = &a->slice.conns[i];
	char local[ADDR_TEXT_BYTES], remote[ADDR_TEXT_BYTES];

	evbuffer_add_printf(out, "{\"id\":\"%u/%u/%u\",\"engine\":%u,"
		"\"state\":\"%s\","
		"\"client\":%u,\"context\":%u,\"cookie\":%u,"
		"\"local\":\"%s\",\"lport\":%u,\"remote\":\"%s\",\"rport\":%u,"
		"\"recv_q\":%u,\"send_q\":%u,\"unsent\":%u,\"cwnd\":%u,"
		"\"ssthresh\":%u,\"snd_wnd\":%u,\"rcv_wnd\":%u,"
		"\"srtt_us\":%u,\"rttvar_us\":%u,\"rto_us\":%u,\"mss\":%u,"
		"\"retransmits\":%u,"
		"\"snd_seq\":%u,\"rcv_seq\":%u,\"cc\":\"%.8s\"}",
		a->engine, t->conn, t->generation, a->engine,
		tcp_state_name(t->state), t->client, t->context,
		t->cookie, addr_text(&t->local, local), ntohs(t->lport),
		addr_text(&t->remote, remote), ntohs(t->rport), t->rcv_queued,
		t->snd_queued, t->snd_unsent, t->cwnd, t->ssthresh, t->snd_wnd,
		t->rcv_wnd, t->srtt_us, t->rttvar_us, t->rto_us, t->mss,
		t->retransmits, t->snd_seq, t->rcv_seq, t->cc);
}

/* Of letters, digits, - and _: needs no quoting. */
static const char *port_name(const struct admin *a, uint8_t port)
{
	return port < a->control->port_count ? a->control->ports[port]->name :
	       "?";
}

static const char *neigh_state_text(uint8_t state)
{
	static const char *const names[] = {
		[NEIGH_FREE] = "free", [NEIGH_INCOMPLETE] = "incomplete",
		[NEIGH_REACHABLE] = "reachable", [NEIGH_STALE] = "stale",
		[NEIGH_FAILED] = "failed", [NEIGH_STATIC] = "static" };

	return state <= NEIGH_STATIC ? names[state] : "unknown";
}

static void print_neigh(const struct admin *a, struct evbuffer *out,
			uint32_t i)
{
	const struct net_neigh_entry *n = &a->slice.neigh[i];
	char text[ADDR_TEXT_BYTES];

	evbuffer_add_printf(out, "{\"address\":\"%s\",\"mac\":"
		"\"%02x:%02x:%02x:%02x:%02x:%02x\",\"port\":\"%s\","
		"\"state\":\"%s\",\"age_s\":%u}",
		addr_text(&n->addr, text), n->mac[0], n->mac[1], n->mac[2],
		n->mac[3], n->mac[4], n->mac[5], port_name(a, n->port),
		neigh_state_text(n->state), n->age_s);
}

static void print_route(const struct admin *a, struct evbuffer *out,
			uint32_t i)
{
	const struct net_route *r = &a->slice.routes[i];
	char net[ADDR_TEXT_BYTES], gateway[ADDR_TEXT_BYTES] = "";

	if (!addr_is_any(&r->gateway))
		addr_text(&r->gateway, gateway);
	evbuffer_add_printf(out, "{\"network\":\"%s/%u\",\"gateway\":\"%s\","
		"\"port\":\"%s\",\"metric\":%u}", addr_text(&r->net, net),
		r->prefix >= 96 ? r->prefix - 96u : r->prefix, gateway,
		port_name(a, r->port), r->metric);
}

static const struct listing listings[] = {
	{ "conns", MAIL_LIST_CONNS, true, print_conn },
	{ "arp", MAIL_LIST_NEIGH, false, print_neigh },
	{ "routes", MAIL_LIST_ROUTES, false, print_route },
	{ "clients", MAIL_LIST_CONNS, true, NULL },
};

static void list_done(struct control *c, struct op *op);

static void list_end(struct admin *a)
{
	if (a->listing->print)
		evbuffer_add_printf(bufferevent_get_output(a->bev), "]}\n");
	else
		admin_data(a, a->listing->cmd,
			   stats_clients(a->control, a->conns));
	a->listing = NULL;
	admin_resume(a);
}

static void list_next(struct admin *a)
{
	struct mail m = { .type = MAIL_LIST };

	if (evbuffer_get_length(bufferevent_get_output(a->bev)) > WRITE_HIGH) {
		a->drained_wanted = true;
		return;
	}
	m.list.what = a->listing->what;
	m.list.cursor = a->cursor;
	m.list.out = &a->slice;
	m.list.max = ADMIN_SLICE;
	op_ask(a->control, &a->op, a->engine, &m, list_done);
}

/* False when this engine has no more to tell. */
static bool list_take(struct admin *a, const struct op *op)
{
	struct evbuffer *out = bufferevent_get_output(a->bev);

	for (uint32_t i = 0; i < op->count && i < ADMIN_SLICE; i++) {
		if (!a->listing->print) {
			a->conns[a->slice.conns[i].client % TCP_CLIENTS_MAX]++;
			continue;
		}
		if (a->comma)
			evbuffer_add(out, ",", 1);
		a->comma = true;
		a->listing->print(a, out, i);
	}
	if (op->error || !op->count || op->cursor == a->cursor)
		return false;
	a->cursor = op->cursor;
	return true;
}

static void list_done(struct control *c, struct op *op)
{
	struct admin *a = (struct admin *)((char *)op -
					   offsetof(struct admin, op));

	if (!a->bev) {
		admin_free(a);
		return;
	}
	if (!list_take(a, op)) {
		a->cursor = 0;
		a->engine++;
		if (!a->listing->all_engines || a->engine >= c->engine_count) {
			list_end(a);
			return;
		}
	}
	list_next(a);
}

static void list_begin(struct admin *a, const struct listing *l)
{
	admin_hold(a);
	a->listing = l;
	a->engine = a->cursor = 0;
	a->comma = a->drained_wanted = false;
	memset(a->conns, 0, sizeof(a->conns));
	if (l->print)
		evbuffer_add_printf(bufferevent_get_output(a->bev),
				    "{\"cmd\":\"%s\",\"data\":[", l->cmd);
	list_next(a);
}

/* ---- requests ---- */

static const struct {
	const char *cmd;
	json_t *(*make)(const struct control *c);
} tables[] = {
	{ "stats", stats_all },
	{ "engines", stats_engines },
	{ "ports", stats_ports },
	{ "listeners", stats_listeners },
};

/* What takes arguments, or changes something. */
static const struct {
	const char *cmd;
	void (*take)(struct admin *a, const json_t *request);
} verbs[] = {
	{ "capture", capture_request },
	{ "capture-end", capture_end_request },
	{ "why", admin_flight },
	{ NULL, NULL },
};

/* False: it is none of these. */
static bool answer_verb(struct admin *a, const char *cmd,
			const json_t *request)
{
	for (size_t i = 0; verbs[i].cmd; i++) {
		if (strcmp(cmd, verbs[i].cmd))
			continue;
		verbs[i].take(a, request);
		return true;
	}
	return false;
}

static void answer(struct admin *a, const char *cmd, const json_t *request)
{
	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
		if (strcmp(cmd, tables[i].cmd))
			continue;
		admin_data(a, cmd, tables[i].make(a->control));
		return;
	}
	for (size_t i = 0; i < sizeof(listings) / sizeof(listings[0]); i++) {
		if (strcmp(cmd, listings[i].cmd))
			continue;
		list_begin(a, &listings[i]);
		return;
	}
	if (!answer_verb(a, cmd, request))
		admin_error(a, "mtcpd knows no such command; is mtcpctl of "
			    "another version?");
}

static void take_line(struct admin *a, const char *line, size_t bytes)
{
	json_t *request = json_loadb(line, bytes, 0, NULL);
	const char *cmd = json_string_value(json_object_get(request, "cmd"));

	json_t *changed = cmd ? admin_request(a->control, request,
					      a->may_change) : NULL;

	if (changed)
		say_json(a, changed);
	else if (cmd)
		answer(a, cmd, request);
	else
		admin_error(a, "a request is one line such as "
			    "{\"cmd\":\"stats\"}");
	json_decref(request);
}

static void readable(struct bufferevent *bev, void *arg)
{
	struct admin *a = arg;
	struct evbuffer *in = bufferevent_get_input(bev);
	size_t bytes;
	char *line;

	while (!a->busy &&
	       (line = evbuffer_readln(in, &bytes, EVBUFFER_EOL_LF))) {
		take_line(a, line, bytes);
		free(line);
		if (evbuffer_get_length(bufferevent_get_output(bev)) >
		    4 * WRITE_HIGH)
			break;		/* asks without reading */
	}
	if (!a->busy && evbuffer_get_length(in) >= LINE_MAX_BYTES)
		hang_up(a);
}

static void drained(struct bufferevent *bev, void *arg)
{
	struct admin *a = arg;

	if (a->drained_wanted) {
		a->drained_wanted = false;
		list_next(a);
	} else if (!a->busy &&
		   evbuffer_get_length(bufferevent_get_input(bev))) {
		readable(bev, a);
	}
}

static void ended(struct bufferevent *bev, short what, void *arg)
{
	(void)bev;
	(void)what;
	hang_up(arg);
}

static bool may_change(int fd)
{
	struct ucred cred;
	socklen_t bytes = sizeof(cred);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &bytes) == 0 &&
	       (cred.uid == 0 || cred.uid == geteuid());
}

void admin_accept(struct control *c, int fd)
{
	struct admin *a = c->admin_count < SESSIONS_MAX ?
			  calloc(1, sizeof(*a)) : NULL;

	if (a)
		a->bev = bufferevent_socket_new(c->base, fd,
						BEV_OPT_CLOSE_ON_FREE);
	if (!a || !a->bev) {
		free(a);
		close(fd);
		return;
	}
	a->control = c;
	a->may_change = may_change(fd);
	a->next = c->admins;
	c->admins = a;
	c->admin_count++;
	bufferevent_setcb(a->bev, readable, drained, ended, a);
	bufferevent_setwatermark(a->bev, EV_READ, 0, LINE_MAX_BYTES);
	bufferevent_setwatermark(a->bev, EV_WRITE, WRITE_LOW, 0);
	bufferevent_enable(a->bev, EV_READ | EV_WRITE);
}
