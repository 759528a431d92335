/*
 * mtcpctl.h - asks a running mtcpd and prints what it says
 *
 *	main.c    options, table of commands, repeats
 *	ask.c     one request line to the admin socket, one answer line
 *	table.c   aligned columns
 *	show.c    tables of what there is
 *	conns.c   connections: filter, table, TCP internals
 *	filter.c  the filter language
 *	config.c  what changes something (conf_file.c, conf_import.c)
 *	capture.c frames as pcapng
 *	top.c     the whole on a screen, live
 *	why.c     what limits a connection, and its last events
 *	unmanaged.c  files for NetworkManager and systemd-networkd
 *
 * Exit status 0 ok, 1 error, 2 usage, 3 nothing matched the filter.
 */
#ifndef TOOLS_MTCPCTL_H
#define TOOLS_MTCPCTL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

enum { EXIT_OK, EXIT_ERROR, EXIT_USAGE, EXIT_NOTHING };

struct command;

struct options {
	const char *socket;
	const struct command *command;
	char *const *args;		/* after the command's name */
	int arg_count;
	double interval;		/* seconds; 0: once */
	bool json;
	bool internals;			/* -i */
	bool color;			/* of standard output */
};

/*
 * A command.  Those with `print` are a question without arguments whose answer
 * is a table; the others do it all by themselves in `run`, and so do tables
 * that have a `run` when there are arguments.
 */
struct command {
	const char *name, *args, *help;
	/* @before and @seconds: the last answer and since when, for rates;
	 * NULL the first time. */
	void (*print)(const json_t *data, const json_t *before, double seconds);
	int (*run)(const struct options *o);	/* exit status */
	bool own_options;	/* those behind its name are in o->args */
};

/* main.c */
/* Prints what is wrong and where to read on; EXIT_USAGE. */
int usage_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* ask.c: a connection to mtcpd, or -1 after a message */
int dial(const char *path);
/* The answer's line (free() it), or NULL after a message. */
char *ask(const char *socket_path, const json_t *request);
/* The answer's data, or NULL after a message; @request is taken over. */
json_t *ask_data(const struct options *o, json_t *request);
/* The data of the answer @line, or NULL after a message. */
json_t *answer_data(const char *line);

/* table.c */
#define TABLE_COLUMNS	16

struct table {
	const char *heads[TABLE_COLUMNS];	/* "-name": left-aligned */
	int columns;
	char **cells;				/* row by row */
	size_t count, room;
};

extern bool table_bold;		/* heads stand out; set by main() */
void table_begin(struct table *t, int columns, const char *const *heads);
void table_add(struct table *t, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* A line of its own below the row that was just completed. */
void table_note(struct table *t, const char *text);
/* Prints and frees the cells. */
void table_end(struct table *t);

/* show.c */
long long number(const json_t *from, const char *name);
const char *text(const json_t *from, const char *name);	/* or "" */
void print_stats(const json_t *data, const json_t *before, double seconds);
void print_clients(const json_t *data, const json_t *before, double seconds);
void print_listeners(const json_t *data, const json_t *before, double seconds);
void print_ports(const json_t *data, const json_t *before, double seconds);
void print_engines(const json_t *data, const json_t *before, double seconds);
void print_arp(const json_t *data, const json_t *before, double seconds);
void print_routes(const json_t *data, const json_t *before, double seconds);

/* config.c: the commands that change something */
int run_change(const struct options *o);

/* conns.c */
int run_conns(const struct options *o);
/* The connections that the filter of o's arguments names, with their clients'
 * names; NULL after a message, *status then says why. */
json_t *conns_matching(const struct options *o, int *status);

/* capture.c */
int run_capture(const struct options *o);

/* top.c */
int run_top(const struct options *o);

/* why.c */
int run_why(const struct options *o);
int run_trace(const struct options *o);

/* unmanaged.c */
int run_unmanaged(const struct options *o);

#endif
