/*
 * conf_file.h - mtcpd.conf as a file: values put into it, and mTCP's files
 * turned into one
 *
 * Comments, blank lines and the order of everything stay as they were: a value
 * replaces the one that is there, or takes the place of the commented default,
 * or is added at the end of its section.
 *
 * Errors    Negative errno; conf_import() has written its message.
 */
#ifndef TOOLS_CONF_FILE_H
#define TOOLS_CONF_FILE_H

#include <stdbool.h>
#include <stdio.h>

struct conf_change {
	const char *key;	/* section.key or port.NAME.key */
	const char *value;
	bool done;		/* used by conf_edit() */
};

/* Copies @in to @out with the changes made. */
int conf_edit(FILE *in, FILE *out, struct conf_change *changes,
	      unsigned int count);

/* As above, in place: a new file of the same mode takes the old one's name. */
int conf_file_save(const char *path, struct conf_change *changes,
		   unsigned int count);

/* conf_import.c: mtcp.conf, arp.conf, route.conf (known by what they say). */
int conf_import(int count, char *const *files, FILE *out);

#endif
