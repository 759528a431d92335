#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "shm/ctl.h"
#include "tools/mtcpctl/mtcpctl.h"

#define TABLE(name, help) { #name, "", help, print_##name, NULL, false }
static const struct command commands[] = {
	TABLE(stats, "engines, ports, TCP counters, drops by name"),
	{ "conns", "[FILTER]", "connections, like ss; -i: TCP internals",
	  NULL, run_conns, false },
	{ "why", "CONN", "what limits a connection (id or filter)", NULL,
	  run_why, false },
	{ "top", "", "live, on the whole screen", NULL, run_top, false },
	{ "capture", "[FILTER]", "frames as pcapng, -w FILE or to a pipe; "
	  "filters as tcpdump's", NULL, run_capture, true },
	{ "trace", "CONN", "its last events", NULL, run_trace, false },
	TABLE(clients, "programs that are attached"),
	TABLE(listeners, "who listens where"),
	TABLE(ports, "network ports and their addresses"),
	TABLE(engines, "engines and their load"),
	{ "arp", "[add|delete]", "neighbours; add ADDRESS MAC, delete ADDRESS",
	  print_arp, run_change, false },
	{ "routes", "[add|delete]", "routes; add NETWORK TARGET, delete NETWORK",
	  print_routes, run_change, false },
	{ "config", "show|get|...", "show, get KEY, set KEY VALUE, diff, save, "
	  "import FILE...", NULL, run_change, false },
	{ "reload", "", "reads the configuration again", NULL, run_change,
	  false },
	{ "policy", "", "who may do what, and how often it was denied", NULL,
	  run_change, false },
	{ "unmanaged", "[nm|networkd]", "files that keep NetworkManager, "
	  "networkd off", NULL, run_unmanaged, false },
	{ "drain", "[SECONDS]", "no new connections, then mtcpd ends", NULL,
	  run_change, false },
	{ "log", "[LEVEL [FAC]]", "levels of the log, live", NULL, run_change,
	  false },
	{ NULL, NULL, NULL, NULL, NULL, false },
};

static void usage(FILE *to)
{
	fputs("usage: mtcpctl [OPTIONS] COMMAND [ARGUMENTS]\n\n", to);
	for (const struct command *c = commands; c->name; c++)
		fprintf(to, "  %-10s %-12s %s\n", c->name, c->args, c->help);
	fputs("\n"
	      "  -s, --socket SOCKET  mtcpd's admin socket (default "
	      CTL_ADMIN ")\n"
	      "  -w, --watch SECONDS  again and again, counters as rates\n"
	      "  -i, --internals      conns: what TCP knows of each\n"
	      "      --json           the answer as one line of JSON\n"
	      "      --color WHEN     auto (on a terminal), always, never\n"
	      "      --version        print the version, exit\n"
	      "  -h, --help           print this, exit\n\n"
	      "FILTER, as in ss: state established and dst 10.0.0.0/8 and\n"
	      "( sport = 80 or client nginx ); mtcpctl(1) has it all.\n"
	      "Exit status: 0 ok, 1 error, 2 usage, 3 nothing matched.\n", to);
}

int usage_error(const char *fmt, ...)
{
	va_list ap;

	fputs("mtcpctl: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputs("\nmtcpctl -h tells what there is\n", stderr);
	return EXIT_USAGE;
}

static double seconds_of(const char *value)
{
	char *end;
	double n = strtod(value, &end);

	if (*end || !(n >= 0.1 && n <= 3600))
		exit(usage_error("-w: seconds from 0.1 to 3600, not %s",
				 value));
	return n;
}

static bool color_of(const char *when)
{
	const char *term = getenv("TERM"), *no = getenv("NO_COLOR");

	if (!strcmp(when, "always"))
		return true;
	if (!strcmp(when, "never"))
		return false;
	if (strcmp(when, "auto"))
		exit(usage_error("--color: auto, always or never, not %s",
				 when));
	return isatty(STDOUT_FILENO) && !(no && *no) &&
	       !(term && !strcmp(term, "dumb"));
}

static const struct command *command_find(const char *name)
{
	for (const struct command *c = commands; c->name; c++)
		if (!strcmp(c->name, name))
			return c;
	return NULL;
}

/* Before the command up to its name, then behind it wherever they are.  The
 * index of the first word that is none. */
static int read_options(struct options *o, int argc, char **argv, bool behind)
{
	enum { OPT_JSON = 256, OPT_COLOR, OPT_VERSION };
	static const struct option longs[] = {
		{ "socket", required_argument, NULL, 's' },
		{ "watch", required_argument, NULL, 'w' },
		{ "internals", no_argument, NULL, 'i' },
		{ "json", no_argument, NULL, OPT_JSON },
		{ "color", required_argument, NULL, OPT_COLOR },
		{ "version", no_argument, NULL, OPT_VERSION },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 } };
	const char *letters = behind ? "s:w:ih" : "+s:w:ih";
	int opt;

	optind = 0;		/* glibc: from the start, anew */
	while ((opt = getopt_long(argc, argv, letters, longs, NULL)) != -1) {
		switch (opt) {
		case 's': o->socket = optarg; break;
		case 'w': o->interval = seconds_of(optarg); break;
		case 'i': o->internals = true; break;
		case OPT_JSON: o->json = true; break;
		case OPT_COLOR: o->color = color_of(optarg); break;
		case OPT_VERSION: puts("mtcpctl " MTCPD_VERSION); exit(0);
		case 'h': usage(stdout); exit(0);
		default: usage(stderr); exit(EXIT_USAGE);
		}
	}
	return optind;
}

static void read_words(struct options *o, int argc, char **argv)
{
	int first = read_options(o, argc, argv, false);

	if (first == argc) {
		usage(stderr);
		exit(EXIT_USAGE);
	}
	o->command = command_find(argv[first]);
	if (!o->command)
		exit(usage_error("no such command: %s", argv[first]));
	argc -= first;
	argv += first;
	first = o->command->own_options ? 1 :
		read_options(o, argc, argv, true);
	o->args = argv + first;
	o->arg_count = argc - first;
	if (o->command->print && !o->command->run && o->arg_count)
		exit(usage_error("%s takes no arguments; unexpected: %s",
				 o->command->name, o->args[0]));
}

static double now_seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* One question.  @before is replaced. */
static int once(const struct options *o, json_t **before, double *asked)
{
	json_t *request, *data;
	double now;
	char *line;

	if (o->command->run && (!o->command->print || o->arg_count))
		return o->command->run(o);
	request = json_pack("{s:s}", "cmd", o->command->name);
	line = ask(o->socket, request);
	now = now_seconds();
	json_decref(request);
	if (!line)
		return EXIT_ERROR;
	data = answer_data(line);
	if (data && o->json)
		puts(line);
	else if (data)
		o->command->print(data, *before, now - *asked);
	free(line);
	json_decref(*before);
	*before = data;
	*asked = now;
	return data ? EXIT_OK : EXIT_ERROR;
}

int main(int argc, char **argv)
{
	struct options o = { .socket = CTL_ADMIN };
	bool terminal = isatty(STDOUT_FILENO);
	json_t *before = NULL;
	double asked = 0;
	int rc;

	o.color = color_of("auto");
	read_words(&o, argc, argv);
	table_bold = o.color;
	for (;;) {
		if (o.interval > 0 && terminal && !o.json &&
		    o.command->run != run_top)
			fputs("\033[H\033[J", stdout);
		rc = once(&o, &before, &asked);
		if (fflush(stdout) != 0)
			rc = EXIT_ERROR;
		if (o.interval <= 0 || o.command->run == run_top ||
		    rc == EXIT_ERROR || rc == EXIT_USAGE)
			break;
		if (!terminal && !o.json)
			putchar('\n');
		usleep((useconds_t)(o.interval * 1e6));
	}
	json_decref(before);
	return rc;
}
