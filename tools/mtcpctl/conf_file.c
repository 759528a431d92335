#include "tools/mtcpctl/conf_file.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECTION_BYTES	64

struct edit {
	FILE *out;
	struct conf_change *changes;
	unsigned int count;
	char section[SECTION_BYTES];	/* "tcp", "port.uplink" */
};

/* The key without its section, when it is of this section; else NULL. */
static const char *name_in(const struct conf_change *c, const char *section)
{
	size_t n = strlen(section);

	return n && !strncmp(c->key, section, n) && c->key[n] == '.' &&
	       !strchr(c->key + n + 1, '.') ? c->key + n + 1 : NULL;
}

/* "[port x]" gives "port.x"; false: no section line. */
static bool section_of(const char *line, char out[SECTION_BYTES])
{
	size_t n = 0;

	line += strspn(line, " \t");
	if (*line++ != '[')
		return false;
	for (; *line && *line != ']' && n < SECTION_BYTES - 1; line++) {
		if (!isspace((unsigned char)*line))
			out[n++] = *line;
		else if (n && out[n - 1] != '.')
			out[n++] = '.';
	}
	out[n] = '\0';
	return true;
}

/* The length of "key" at the start of "key = ...", or 0. */
static size_t key_bytes(const char *text)
{
	size_t n = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_");

	return text[n + strspn(text + n, " \t")] == '=' ? n : 0;
}

/* What follows the value: spaces and a comment, or the line's end. */
static const char *rest_of(const char *text)
{
	const char *p = strchr(text, '='), *end;

	for (p++; *p && *p != '\n'; p++)
		if ((*p == '#' || *p == ';') &&
		    isspace((unsigned char)p[-1]))
			break;
	end = p;
	while (end > text && isspace((unsigned char)end[-1]))
		end--;
	return end;
}

/* Writes the line with a new value when it is one of ours.  @commented: it is
 * a "#key = default" line, which only a value not yet written replaces. */
static bool replace(struct edit *e, const char *line, const char *text,
		    bool commented)
{
	size_t n = key_bytes(text);

	for (unsigned int i = 0; n && i < e->count; i++) {
		struct conf_change *c = &e->changes[i];
		const char *name = name_in(c, e->section);

		if (!name || strlen(name) != n || memcmp(name, text, n))
			continue;
		if (c->done)
			return !commented;	/* a second one goes */
		fprintf(e->out, "%.*s%.*s = %s%s",
			(int)strspn(line, " \t"), line, (int)n, text, c->value,
			rest_of(text));
		c->done = true;
		return true;
	}
	return false;
}

/* Values of the section that stood nowhere in it. */
static void end_section(struct edit *e)
{
	for (unsigned int i = 0; i < e->count; i++) {
		const char *name = name_in(&e->changes[i], e->section);

		if (!name || e->changes[i].done)
			continue;
		fprintf(e->out, "%s = %s\n", name, e->changes[i].value);
		e->changes[i].done = true;
	}
}

/* A key that is given somewhere in the file keeps its comment above it. */
static void mark_given(FILE *in, struct edit *e, bool *given)
{
	char *line = NULL, section[SECTION_BYTES] = "";
	size_t room = 0;

	while (getline(&line, &room, in) >= 0) {
		const char *text = line + strspn(line, " \t");
		size_t n = key_bytes(text);

		if (section_of(line, section))
			continue;
		for (unsigned int i = 0; n && i < e->count; i++) {
			const char *name = name_in(&e->changes[i], section);

			if (name && strlen(name) == n &&
			    !memcmp(name, text, n))
				given[i] = true;
		}
	}
	free(line);
	rewind(in);
}

static void edit_line(struct edit *e, const char *line, const bool *given)
{
	const char *text = line + strspn(line, " \t");
	bool commented = *text == '#';
	size_t n = commented ? key_bytes(text + 1) : 0;

	if (commented) {
		for (unsigned int i = 0; i < e->count; i++) {
			const char *name = name_in(&e->changes[i], e->section);

			if (given[i] && name && strlen(name) == n &&
			    !memcmp(name, text + 1, n)) {
				fputs(line, e->out);
				return;
			}
		}
		if (replace(e, line, text + 1, true))
			return;
	} else if (replace(e, line, text, false)) {
		return;
	}
	fputs(line, e->out);
	if (line[0] && line[strlen(line) - 1] != '\n')
		fputc('\n', e->out);
}

/* Sections that the file does not have. */
static void add_sections(struct edit *e)
{
	for (unsigned int i = 0; i < e->count; i++) {
		const char *dot = strrchr(e->changes[i].key, '.');
		size_t n = dot ? (size_t)(dot - e->changes[i].key) : 0;
		const char *port;

		if (e->changes[i].done || !n || n >= SECTION_BYTES)
			continue;
		memcpy(e->section, e->changes[i].key, n);
		e->section[n] = '\0';
		port = strchr(e->section, '.');
		if (port)
			fprintf(e->out, "\n[%.*s %s]\n",
				(int)(port - e->section), e->section, port + 1);
		else
			fprintf(e->out, "\n[%s]\n", e->section);
		end_section(e);
	}
}

int conf_edit(FILE *in, FILE *out, struct conf_change *changes,
	      unsigned int count)
{
	struct edit e = { .out = out, .changes = changes, .count = count };
	bool *given = calloc(count + 1, sizeof(*given));
	char *line = NULL;
	size_t room = 0;

	if (!given)
		return -ENOMEM;
	for (unsigned int i = 0; i < count; i++)
		changes[i].done = false;
	mark_given(in, &e, given);
	while (getline(&line, &room, in) >= 0) {
		char next[SECTION_BYTES];

		if (section_of(line, next)) {
			end_section(&e);
			memcpy(e.section, next, sizeof(next));
			fputs(line, out);
			continue;
		}
		edit_line(&e, line, given);
	}
	end_section(&e);
	add_sections(&e);
	free(line);
	free(given);
	return ferror(in) || ferror(out) ? -EIO : 0;
}

/* The new file is complete on the disk before it gets the name. */
static int replace_file(FILE *in, const char *path, struct conf_change *changes,
			unsigned int count)
{
	char temp[4096];
	struct stat st;
	FILE *out;
	int fd, rc;

	if (snprintf(temp, sizeof(temp), "%s.XXXXXX", path) >=
	    (int)sizeof(temp))
		return -ENAMETOOLONG;
	fd = mkstemp(temp);
	if (fd < 0)
		return -errno;
	out = fdopen(fd, "w");
	rc = out ? conf_edit(in, out, changes, count) : -errno;
	if (!rc && (fstat(fileno(in), &st) < 0 || fchmod(fd, st.st_mode) < 0 ||
		    fchown(fd, st.st_uid, st.st_gid) < 0))
		rc = -errno;
	if (!rc && (fflush(out) || fsync(fd) < 0))
		rc = -errno;
	if (out ? fclose(out) : close(fd))
		rc = rc ? rc : -errno;
	if (!rc && rename(temp, path) < 0)
		rc = -errno;
	if (rc)
		unlink(temp);
	return rc;
}

int conf_file_save(const char *path, struct conf_change *changes,
		   unsigned int count)
{
	FILE *in = fopen(path, "re");
	int rc;

	if (!in)
		return -errno;
	rc = replace_file(in, path, changes, count);
	fclose(in);
	return rc;
}
