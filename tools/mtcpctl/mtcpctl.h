/*
 * mtcpctl.h - asks a running mtcpd and prints what it says
 *
 *	main.c   options, repeats
 *	ask.c    one request line to the admin socket, one answer line
 *	table.c  aligned columns
 *	show.c   what of an answer is shown, and how
 *
 * Exit status 0 ok, 1 error, 2 usage.
 */
#ifndef TOOLS_MTCPCTL_H
#define TOOLS_MTCPCTL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* ask.c: the answer's line (free() it), or NULL after a message. */
char *ask(const char *socket_path, const char *cmd);

/* table.c */
#define TABLE_COLUMNS	16

struct table {
	const char *heads[TABLE_COLUMNS];	/* "-name": left-aligned */
	int columns;
	char **cells;				/* row by row */
	size_t count, room;
};

void table_begin(struct table *t, int columns, const char *const *heads);
void table_add(struct table *t, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* Prints and frees the cells. */
void table_end(struct table *t);

/* show.c */
struct show {
	const char *cmd;
	/* @before and @seconds: the last answer and since when, for rates;
	 * NULL the first time. */
	void (*print)(const json_t *data, const json_t *before, double seconds);
	const char *help;
};
extern const struct show shows[];	/* ends with a NULL cmd */
const struct show *show_find(const char *cmd);

#endif
