/*
 * top - the daemon on a screen, once a second
 *
 *	ask: stats, clients, conns --> rates against the answer before --> rows
 *
 * Connections are listed only up to CONNS_MAX: a listing of millions each
 * second would be what the screen shows.  Bytes come from sequence numbers,
 * whose differences are right modulo 2^32.
 */
#include <curses.h>
#include <errno.h>
#include <locale.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tools/mtcpctl/mtcpctl.h"

#define CONNS_MAX	20000

struct busy {			/* a connection, or a client's sum */
	const json_t *what;
	double in, out;		/* bytes a second */
};

struct sample {
	json_t *stats, *clients, *conns;	/* conns by id; NULL: too many */
	double at;
};

struct screen {
	const struct options *o;
	struct sample now, before;
	double seconds;			/* between them; 0: the first */
	int row;
};

static double seconds_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* ---- samples ---- */

static void sample_free(struct sample *s)
{
	json_decref(s->stats);
	json_decref(s->clients);
	json_decref(s->conns);
	*s = (struct sample){ 0 };
}

static json_t *by_id(json_t *list)
{
	json_t *map = json_object(), *x;
	size_t i;

	json_array_foreach(list, i, x)
		if (strcmp(text(x, "state"), "LISTEN") &&
		    strcmp(text(x, "state"), "TIME_WAIT"))
			json_object_set(map, text(x, "id"), x);
	json_decref(list);
	return map;
}

/* False after a message. */
static bool sample_take(const struct options *o, struct sample *s)
{
	long long conns;
	const json_t *tcp;

	s->at = seconds_now();
	s->stats = ask_data(o, json_pack("{s:s}", "cmd", "stats"));
	if (s->stats)
		s->clients = ask_data(o, json_pack("{s:s}", "cmd", "clients"));
	if (!s->clients)
		return false;
	tcp = json_object_get(s->stats, "tcp");
	conns = number(tcp, "conns");
	if (conns > CONNS_MAX)
		return true;
	s->conns = ask_data(o, json_pack("{s:s}", "cmd", "conns"));
	if (!s->conns)
		return false;
	s->conns = by_id(s->conns);
	return true;
}

/* ---- rows ---- */

static void put(struct screen *s, int attr, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
static void put(struct screen *s, int attr, const char *fmt, ...)
{
	char line[512];
	va_list ap;

	if (s->row >= LINES - 1)
		return;
	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (attr)
		attron((chtype)attr);
	mvaddnstr(s->row++, 0, line, COLS);
	if (attr)
		attroff((chtype)attr);
}

static double rate(const struct screen *s, const json_t *now,
		   const json_t *before, const char *name)
{
	if (s->seconds <= 0 || !before)
		return 0;
	return (double)(number(now, name) - number(before, name)) / s->seconds;
}

static const char *human(double n, char buf[16])
{
	static const char units[] = " kMGT";
	int u = 0;

	while (n >= 9999.5 && u < 4) {
		n /= 1000;
		u++;
	}
	if (u)
		snprintf(buf, 16, "%.1f%c", n, units[u]);
	else
		snprintf(buf, 16, "%.0f", n);
	return buf;
}

static void show_head(struct screen *s)
{
	long long up = number(s->now.stats, "uptime_us") / 1000000;
	const json_t *tcp = json_object_get(s->now.stats, "tcp");
	const json_t *old = json_object_get(s->before.stats, "tcp");
	char a[16], b[16], c[16], d[16];

	put(s, A_BOLD, "mtcpd %s  up %lldd %02lld:%02lld:%02lld  "
	    "connections %lld  clients %zu", text(s->now.stats, "version"),
	    up / 86400, up / 3600 % 24, up / 60 % 60, up % 60,
	    number(tcp, "conns"), json_array_size(s->now.clients));
	put(s, 0, "in %s bit/s %s seg/s   out %s bit/s %s seg/s",
	    human(rate(s, tcp, old, "bytes_in") * 8, a),
	    human(rate(s, tcp, old, "segs_in"), b),
	    human(rate(s, tcp, old, "bytes_out") * 8, c),
	    human(rate(s, tcp, old, "segs_out"), d));
	put(s, 0, "opened %s/s accepted %s/s   retransmitted %s/s   resets %s/s",
	    human(rate(s, tcp, old, "active_opens"), a),
	    human(rate(s, tcp, old, "passive_opens"), b),
	    human(rate(s, tcp, old, "retrans_segs"), c),
	    human(rate(s, tcp, old, "resets"), d));
	s->row++;
}

static void show_engines(struct screen *s)
{
	const json_t *all = json_object_get(s->now.stats, "engines"), *e;
	const json_t *olds = json_object_get(s->before.stats, "engines");
	char a[16], b[16], c[16], d[16], f[16];
	size_t i;

	put(s, A_REVERSE, "%6s %5s %6s %9s %9s %9s %9s %9s %9s", "ENGINE",
	    "CORE", "CPU%", "CONNS", "IN bit/s", "OUT bit/s", "LOOPS/s",
	    "CMDS/s", "SLEEPS/s");
	json_array_foreach(all, i, e) {
		const json_t *old = json_array_get(olds, i);
		const json_t *tcp = json_object_get(e, "tcp");
		const json_t *was = json_object_get(old, "tcp");

		put(s, 0, "%6lld %5lld %6.1f %9lld %9s %9s %9s %9s %9s",
		    number(e, "engine"), number(e, "core"),
		    rate(s, e, old, "cpu_us") / 1e4, number(tcp, "conns"),
		    human(rate(s, tcp, was, "bytes_in") * 8, a),
		    human(rate(s, tcp, was, "bytes_out") * 8, b),
		    human(rate(s, e, old, "loops"), c),
		    human(rate(s, e, old, "commands"), d),
		    human(rate(s, e, old, "sleeps"), f));
	}
	s->row++;
}

/* Bytes a second that a sequence number moved by. */
static double seq_rate(const struct screen *s, const json_t *now,
		       const json_t *before, const char *name)
{
	uint32_t diff = (uint32_t)number(now, name) -
			(uint32_t)number(before, name);

	return s->seconds > 0 ? (double)diff / s->seconds : 0;
}

static int by_rate(const void *a, const void *b)
{
	const struct busy *x = a, *y = b;
	double left = x->in + x->out, right = y->in + y->out;

	return left < right ? 1 : left > right ? -1 : 0;
}

/* All connections with their rates, the busiest first; free() it. */
static struct busy *rates_of(const struct screen *s, size_t *count)
{
	struct busy *all = calloc(json_object_size(s->now.conns) + 1,
				  sizeof(*all));
	const char *id;
	json_t *conn;
	size_t n = 0;

	json_object_foreach(s->now.conns, id, conn) {
		const json_t *old = json_object_get(s->before.conns, id);

		if (!all)
			break;
		all[n].what = conn;
		if (old) {
			all[n].in = seq_rate(s, conn, old, "rcv_seq");
			all[n].out = seq_rate(s, conn, old, "snd_seq");
		}
		n++;
	}
	*count = all ? n : 0;
	if (all)
		qsort(all, n, sizeof(*all), by_rate);
	return all;
}

static void show_clients(struct screen *s, const struct busy *conns,
			 size_t count)
{
	const json_t *c;
	char a[16], b[16], m[16];
	size_t i;

	put(s, A_REVERSE, "%6s %8s %-20s %9s %9s %9s %9s", "CLIENT", "PID",
	    "NAME", "CONNS", "IN bit/s", "OUT bit/s", "MEMORY");
	json_array_foreach(s->now.clients, i, c) {
		double in = 0, out = 0;

		for (size_t k = 0; k < count; k++) {
			if (number(conns[k].what, "client") != number(c, "id"))
				continue;
			in += conns[k].in;
			out += conns[k].out;
		}
		put(s, 0, "%6lld %8lld %-20.20s %9lld %9s %9s %9s",
		    number(c, "id"), number(c, "pid"), text(c, "name"),
		    number(c, "connections"), human(in * 8, a),
		    human(out * 8, b),
		    human((double)number(c, "memory_bytes"), m));
	}
	s->row++;
}

static void show_drop_group(struct screen *s, const char *group)
{
	const json_t *now = json_object_get(s->now.stats, group);
	const json_t *before = json_object_get(s->before.stats, group);
	const char *name;
	json_t *value;
	char a[16];

	json_object_foreach((json_t *)now, name, value)
		if (json_integer_value(value))
			put(s, 0, "%-24s %12lld %9s", name,
			    (long long)json_integer_value(value),
			    human(rate(s, now, before, name), a));
}

static void show_drops(struct screen *s)
{
	int first;

	put(s, A_REVERSE, "%-24s %12s %9s", "DROPPED FOR", "TOTAL", "/s");
	first = s->row;
	show_drop_group(s, "net_drops");
	show_drop_group(s, "tcp_drops");
	if (s->row == first)
		put(s, 0, "nothing");
	s->row++;
}

static void show_conns(struct screen *s, const struct busy *all, size_t count)
{
	char local[80], remote[80], a[16], b[16];

	put(s, A_REVERSE, "%-12s %-22s %-22s %6s %9s %9s %9s", "BUSIEST",
	    "LOCAL", "PEER", "CLIENT", "IN bit/s", "OUT bit/s", "RTT ms");
	if (!s->now.conns)
		put(s, 0, "more than %d connections: not listed", CONNS_MAX);
	for (size_t i = 0; i < count && s->row < LINES - 1; i++) {
		const json_t *c = all[i].what;

		snprintf(local, sizeof(local), "%s:%lld", text(c, "local"),
			 number(c, "lport"));
		snprintf(remote, sizeof(remote), "%s:%lld", text(c, "remote"),
			 number(c, "rport"));
		put(s, 0, "%-12s %-22s %-22s %6lld %9s %9s %9.3f",
		    text(c, "state"), local, remote, number(c, "client"),
		    human(all[i].in * 8, a), human(all[i].out * 8, b),
		    (double)number(c, "srtt_us") / 1e3);
	}
}

static void show(struct screen *s)
{
	size_t count;
	struct busy *conns = rates_of(s, &count);

	erase();
	s->row = 0;
	show_head(s);
	show_engines(s);
	show_clients(s, conns, count);
	show_drops(s);
	show_conns(s, conns, count);
	mvaddnstr(LINES - 1, 0, "q quits", COLS);
	refresh();
	free(conns);
}

/* ---- the loop ---- */

/* True when the user wants to go. */
static bool wait_key(double seconds)
{
	double end = seconds_now() + seconds, left;
	int key;

	while ((left = end - seconds_now()) > 0) {
		timeout((int)(left * 1000) + 1);
		key = getch();
		if (key == 'q' || key == 'Q' || key == 3)
			return true;
		if (key == ' ' || key == KEY_RESIZE)
			return false;
	}
	return false;
}

static SCREEN *open_screen(void)
{
	SCREEN *screen;

	setlocale(LC_ALL, "");
	screen = newterm(NULL, stdout, stdin);
	if (!screen)
		return NULL;
	cbreak();
	noecho();
	curs_set(0);
	keypad(stdscr, TRUE);
	return screen;
}

int run_top(const struct options *o)
{
	double interval = o->interval > 0 ? o->interval : 1;
	struct screen s = { .o = o };
	SCREEN *screen = NULL;
	bool ok;

	if (o->arg_count)
		return usage_error("top takes no arguments");
	if (!isatty(STDOUT_FILENO) || !isatty(STDIN_FILENO) || o->json)
		return usage_error("top is for a terminal; mtcpctl -w 1 stats "
				   "is for others");
	while ((ok = sample_take(o, &s.now))) {
		if (!screen && !(screen = open_screen()))
			return usage_error("this terminal cannot do it (TERM)");
		s.seconds = s.before.stats ? s.now.at - s.before.at : 0;
		show(&s);
		if (wait_key(s.before.stats ? interval : interval / 4))
			break;
		sample_free(&s.before);
		s.before = s.now;
		s.now = (struct sample){ 0 };
	}
	if (screen) {
		endwin();
		delscreen(screen);
	}
	sample_free(&s.now);
	sample_free(&s.before);
	return ok ? EXIT_OK : EXIT_ERROR;
}
