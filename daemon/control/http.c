/*
 * http.c - metrics and the dashboard over HTTP, and metrics as a file
 *
 *	GET /metrics	 Prometheus' text, or OpenMetrics for who accepts it
 *	GET /		 the dashboard, one page (dashboard.html)
 *	GET /stats.json	 what the page draws
 *
 * Read only.  Whoever reaches the address reads counters, names and process
 * ids of programs; so it is the loopback by default.
 *
 * Bounds    A connection serves one request and lives CONN_SECONDS of silence
 *           at most; no more than CONNS_A_SPAN are accepted in that time, the
 *           rest wait in the kernel's queue.
 * Threads   Control's loop; a scrape of 16 engines takes it about a millisecond.
 */
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/listener.h>
#include <fcntl.h>
#include <jansson.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "control/control.h"

#define CONN_SECONDS	10
#define CONNS_A_SPAN	64
#define HEADERS_BYTES	8192

extern const unsigned char dashboard[];
extern const size_t dashboard_bytes;

struct http {
	struct control *control;
	struct evhttp *server;
	struct evconnlistener *listener;	/* the server's */
	struct event *span, *file;
	uint32_t accepted;			/* in this span */
	bool file_failed;			/* told once */
};

static void header(struct evhttp_request *r, const char *name,
		   const char *value)
{
	evhttp_add_header(evhttp_request_get_output_headers(r), name, value);
}

static void reply(struct evhttp_request *r, const char *type,
		  struct evbuffer *body)
{
	header(r, "Content-Type", type);
	header(r, "Connection", "close");
	header(r, "Cache-Control", "no-store");
	header(r, "X-Content-Type-Options", "nosniff");
	evhttp_send_reply(r, 200, "OK", body);
}

static void get_metrics(struct evhttp_request *r, void *arg)
{
	const struct http *h = arg;
	const char *accept = evhttp_find_header(
		evhttp_request_get_input_headers(r), "Accept");
	bool open = accept && strstr(accept, "application/openmetrics-text");
	struct evbuffer *body = evbuffer_new();

	if (!body) {
		evhttp_send_error(r, 503, "no memory");
		return;
	}
	metrics_write(h->control, body, open);
	reply(r, open ? "application/openmetrics-text; version=1.0.0; "
	      "charset=utf-8" : "text/plain; version=0.0.4; charset=utf-8",
	      body);
	evbuffer_free(body);
}

/* Samples of all engines by bucket. */
static json_t *rtt_buckets(const struct control *c)
{
	json_t *all = json_array();

	for (int i = 0; i < HIST_BUCKETS; i++) {
		uint64_t n = 0;

		for (uint32_t e = 0; e < c->engine_count; e++)
			n += counter_get(&engine_tcp_stats(c->engines[e])->
					 rtt_us.bucket[i]);
		json_array_append_new(all, json_integer((json_int_t)n));
	}
	return all;
}

static void get_stats(struct evhttp_request *r, void *arg)
{
	static const uint32_t none[TCP_CLIENTS_MAX];
	const struct control *c = ((const struct http *)arg)->control;
	json_t *all = json_pack("{s:o,s:o,s:o}", "stats", stats_all(c),
				"clients", stats_clients(c, none),
				"rtt_us", rtt_buckets(c));
	char *text = all ? json_dumps(all, JSON_COMPACT) : NULL;
	struct evbuffer *body = evbuffer_new();

	if (text && body) {
		evbuffer_add(body, text, strlen(text));
		reply(r, "application/json", body);
	} else {
		evhttp_send_error(r, 503, "no memory");
	}
	if (body)
		evbuffer_free(body);
	free(text);
	json_decref(all);
}

static void get_page(struct evhttp_request *r, void *arg)
{
	struct evbuffer *body = evbuffer_new();

	(void)arg;
	if (!body) {
		evhttp_send_error(r, 503, "no memory");
		return;
	}
	evbuffer_add_reference(body, dashboard, dashboard_bytes, NULL, NULL);
	/* it loads nothing and talks to nobody but us */
	header(r, "Content-Security-Policy", "default-src 'none'; "
	       "style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
	       "connect-src 'self'; frame-ancestors 'none'");
	reply(r, "text/html; charset=utf-8", body);
	evbuffer_free(body);
}

/* ---- bounds ---- */

static struct bufferevent *accepted(struct event_base *base, void *arg)
{
	struct http *h = arg;

	if (++h->accepted == CONNS_A_SPAN)
		evconnlistener_disable(h->listener);
	return bufferevent_socket_new(base, -1, 0);
}

static void span_over(evutil_socket_t fd, short what, void *arg)
{
	struct http *h = arg;

	(void)fd;
	(void)what;
	if (h->accepted >= CONNS_A_SPAN)
		evconnlistener_enable(h->listener);
	h->accepted = 0;
}

/* ---- the textfile ---- */

/* Whole or not at all: node_exporter's collector reads it at any time. */
static int write_file(const struct control *c, const char *path,
		      struct evbuffer *body)
{
	char tmp[CONFIG_PATH_BYTES + 8];
	int fd, err = 0;

	(void)c;
	snprintf(tmp, sizeof(tmp), "%s.new", path);
	fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW,
		  0644);
	if (fd < 0)
		return -errno;
	while (!err && evbuffer_get_length(body))
		if (evbuffer_write(body, fd) < 0)
			err = -errno;
	if (close(fd) < 0 && !err)
		err = -errno;
	if (!err && rename(tmp, path) < 0)
		err = -errno;
	if (err)
		unlink(tmp);
	return err;
}

static void textfile_due(evutil_socket_t fd, short what, void *arg)
{
	struct http *h = arg;
	const char *path = h->control->cfg->metrics.textfile;
	struct evbuffer *body = evbuffer_new();
	int err = -ENOMEM;

	(void)fd;
	(void)what;
	if (body) {
		metrics_write(h->control, body, false);
		err = write_file(h->control, path, body);
		evbuffer_free(body);
	}
	if (err && !h->file_failed)
		log_warnx("[metrics] textfile %s cannot be written: %s (its "
			  "folder must be writable for mtcpd)", path,
			  strerror(-err));
	h->file_failed = err != 0;
}

/* ---- start and stop ---- */

static struct event *every(struct http *h, uint32_t seconds,
			   event_callback_fn fn)
{
	struct timeval tv = { .tv_sec = (time_t)seconds };
	struct event *e = event_new(h->control->base, -1, EV_PERSIST, fn, h);

	if (!e || event_add(e, &tv) < 0)
		log_fatalx("out of memory at start");
	return e;
}

/* 0 or an errno. */
static int http_listen(struct http *h, const char *where)
{
	struct sockaddr_storage sa;
	int len = sizeof(sa);

	if (evutil_parse_sockaddr_port(where, (struct sockaddr *)&sa, &len))
		return EINVAL;
	h->listener = evconnlistener_new_bind(h->control->base, NULL, NULL,
		LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC |
		LEV_OPT_REUSEABLE, 16, (struct sockaddr *)&sa, len);
	if (!h->listener)
		return errno;
	h->server = evhttp_new(h->control->base);
	if (!h->server || !evhttp_bind_listener(h->server, h->listener))
		log_fatalx("out of memory at start");
	evhttp_set_allowed_methods(h->server, EVHTTP_REQ_GET);
	evhttp_set_max_headers_size(h->server, HEADERS_BYTES);
	evhttp_set_max_body_size(h->server, 0);
	evhttp_set_timeout(h->server, CONN_SECONDS);
	evhttp_set_bevcb(h->server, accepted, h);
	evhttp_set_cb(h->server, "/metrics", get_metrics, h);
	evhttp_set_cb(h->server, "/stats.json", get_stats, h);
	evhttp_set_cb(h->server, "/", get_page, h);
	h->span = every(h, CONN_SECONDS, span_over);
	return 0;
}

void http_start(struct control *c)
{
	const struct config_metrics *m = &c->cfg->metrics;
	struct http *h;
	int err;

	if (!m->listen[0] && !m->textfile[0])
		return;
	h = calloc(1, sizeof(*h));
	if (!h)
		log_fatalx("out of memory at start");
	h->control = c;
	c->http = h;
	err = m->listen[0] ? http_listen(h, m->listen) : 0;
	if (err)
		log_warnx("no metrics at %s: %s ([metrics] listen names another "
			  "address, or none)", m->listen, strerror(err));
	if (m->textfile[0])
		h->file = every(h, m->textfile_interval_s, textfile_due);
}

void http_stop(struct control *c)
{
	struct http *h = c->http;

	if (!h)
		return;
	if (h->server)
		evhttp_free(h->server);		/* and its listener */
	if (h->span)
		event_free(h->span);
	if (h->file)
		event_free(h->file);
	free(h);
	c->http = NULL;
}
