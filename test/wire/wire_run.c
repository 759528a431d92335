/*
 * wire_run - runs send-and-expect scripts against the TCP engine
 *
 *	wire_run [-k WORD] [-l] [-x] FILE.wire ...
 *
 *	-k WORD	only cases whose name contains WORD
 *	-l	list the cases
 *	-x	every case must fail: a test of this program
 *
 * The language is in script.h.  Exit status 1 when a case failed, 2 when the
 * command or a file cannot be used.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "script.h"

struct runner {
	const char *only;	/* -k */
	bool list, must_fail;
	unsigned int cases, failed;
};

struct one_case {
	struct script script;
	char name[128];
	bool running;		/* chosen, and nothing failed yet */
	bool open;
};

static void report(struct runner *r, struct one_case *c, const char *file,
		   int line)
{
	printf("%s:%d: case %s: %s\n", file, line, c->name, c->script.err);
	r->failed++;
	c->running = false;
}

static void end_case(struct runner *r, struct one_case *c, const char *file,
		     int line)
{
	if (!c->open)
		return;
	if (c->running && !script_finish(&c->script))
		report(r, c, file, line);
	world_fini(c->script.w);
	c->open = false;
}

static void begin_case(struct runner *r, struct one_case *c, const char *name)
{
	memset(c, 0, sizeof(*c));
	snprintf(c->name, sizeof(c->name), "%s", name);
	c->script.tolerance_us = 10000;
	if (r->only && !strstr(name, r->only))
		return;
	r->cases++;
	if (r->list) {
		printf("%s\n", c->name);
		return;
	}
	c->script.w = world_new();
	c->open = c->running = true;
}

/* Cuts comment and blanks off; returns the first character that counts. */
static char *strip(char *line)
{
	char *hash = strchr(line, '#');
	size_t n;

	if (hash)
		*hash = '\0';
	n = strlen(line);
	while (n && isspace((unsigned char)line[n - 1]))
		line[--n] = '\0';
	while (isspace((unsigned char)*line))
		line++;
	return line;
}

static int run_file(struct runner *r, const char *path)
{
	struct one_case *c = calloc(1, sizeof(*c));
	FILE *f = fopen(path, "r");
	char buf[512], *line;
	int number = 0;

	if (!f || !c) {
		fprintf(stderr, "wire_run: cannot read %s\n", path);
		free(c);
		return 2;
	}
	while (fgets(buf, sizeof(buf), f)) {
		number++;
		line = strip(buf);
		if (strncmp(line, "case ", 5) == 0) {
			end_case(r, c, path, number - 1);
			begin_case(r, c, line + 5);
		} else if (*line && c->running) {
			if (!script_line(&c->script, line))
				report(r, c, path, number);
		}
	}
	end_case(r, c, path, number);
	fclose(f);
	free(c);
	return 0;
}

int main(int argc, char **argv)
{
	struct runner r = { 0 };
	int opt, rc = 0;

	while ((opt = getopt(argc, argv, "k:lx")) != -1) {
		if (opt == 'k')
			r.only = optarg;
		else if (opt == 'l')
			r.list = true;
		else if (opt == 'x')
			r.must_fail = true;
		else
			return 2;
	}
	if (optind == argc) {
		fprintf(stderr, "usage: wire_run [-k WORD] [-l] [-x] FILE.wire ...\n");
		return 2;
	}
	for (int i = optind; i < argc && rc == 0; i++)
		rc = run_file(&r, argv[i]);
	if (rc)
		return rc;
	if (!r.list)
		printf("%u cases, %u failed\n", r.cases, r.failed);
	if (r.list)
		return 0;
	return r.cases && r.failed == (r.must_fail ? r.cases : 0) ? 0 : 1;
}
