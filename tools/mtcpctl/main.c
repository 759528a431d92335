#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "shm/ctl.h"
#include "tools/mtcpctl/mtcpctl.h"

struct options {
	const char *socket;
	const struct show *show;
	double interval;		/* seconds; 0: once */
	bool json;
};

static void usage(FILE *to)
{
	fputs("usage: mtcpctl [-s SOCKET] [-w SECONDS] [--json] COMMAND\n\n",
	      to);
	for (const struct show *s = shows; s->cmd; s++)
		fprintf(to, "  %-10s  %s\n", s->cmd, s->help);
	fputs("\n"
	      "  -s, --socket SOCKET  mtcpd's admin socket (default "
	      CTL_ADMIN ")\n"
	      "  -w, --watch SECONDS  again and again, counters as rates\n"
	      "      --json           the answer as one line of JSON\n"
	      "      --version        print the version, exit\n"
	      "  -h, --help           print this, exit\n", to);
}

static void usage_error(const char *what, const char *which)
{
	if (what)
		fprintf(stderr, "mtcpctl: %s%s\n", what, which);
	usage(stderr);
	exit(2);
}

static double seconds_of(const char *value)
{
	char *end;
	double n = strtod(value, &end);

	if (*end || !(n >= 0.1 && n <= 3600))
		usage_error("-w: seconds from 0.1 to 3600, not ", value);
	return n;
}

static void read_options(struct options *o, int argc, char **argv)
{
	enum { OPT_JSON = 256, OPT_VERSION };
	static const struct option longs[] = {
		{ "socket", required_argument, NULL, 's' },
		{ "watch", required_argument, NULL, 'w' },
		{ "json", no_argument, NULL, OPT_JSON },
		{ "version", no_argument, NULL, OPT_VERSION },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 } };
	int opt;

	while ((opt = getopt_long(argc, argv, "s:w:h", longs, NULL)) != -1) {
		switch (opt) {
		case 's': o->socket = optarg; break;
		case 'w': o->interval = seconds_of(optarg); break;
		case OPT_JSON: o->json = true; break;
		case OPT_VERSION: puts("mtcpctl " MTCPD_VERSION); exit(0);
		case 'h': usage(stdout); exit(0);
		default: usage_error(NULL, NULL);
		}
	}
	if (optind == argc)
		usage_error("which command?", "");
	if (optind + 1 < argc)
		usage_error("one command at a time; unexpected: ",
			    argv[optind + 1]);
	o->show = show_find(argv[optind]);
	if (!o->show)
		usage_error("no such command: ", argv[optind]);
}

static double now_seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* The answer's data, or NULL after a message. */
static json_t *parse(const char *line)
{
	json_error_t err;
	json_t *answer = json_loads(line, 0, &err), *data;
	const char *error = json_string_value(json_object_get(answer, "error"));

	data = json_incref(json_object_get(answer, "data"));
	if (!answer)
		fprintf(stderr, "mtcpctl: mtcpd's answer is no JSON: %s\n",
			err.text);
	else if (!data)
		fprintf(stderr, "mtcpctl: mtcpd says: %s\n",
			error ? error : "nothing of use");
	json_decref(answer);
	return data;
}

/* One question.  @before is replaced.  0 or 1, the exit status. */
static int once(const struct options *o, json_t **before, double *asked)
{
	char *line = ask(o->socket, o->show->cmd);
	double now = now_seconds();
	json_t *data;

	if (!line)
		return 1;
	data = parse(line);
	if (data && o->json) {
		puts(line);
	} else if (data) {
		o->show->print(data, *before, now - *asked);
	}
	free(line);
	json_decref(*before);
	*before = data;
	*asked = now;
	return data && fflush(stdout) == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
	struct options o = { .socket = CTL_ADMIN };
	bool terminal = isatty(STDOUT_FILENO);
	json_t *before = NULL;
	double asked = 0;
	int rc;

	read_options(&o, argc, argv);
	for (;;) {
		if (o.interval > 0 && terminal && !o.json)
			fputs("\033[H\033[J", stdout);
		rc = once(&o, &before, &asked);
		if (rc || o.interval <= 0)
			break;
		if (!terminal && !o.json)
			putchar('\n');
		usleep((useconds_t)(o.interval * 1e6));
	}
	json_decref(before);
	return rc;
}
