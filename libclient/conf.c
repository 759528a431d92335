#include "libclient/client.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

/*
 * mtcp.conf: `key = value`, separated by spaces, tabs or '='; '#' starts a
 * comment.  Every key of mTCP is in the table below: honoured, ignored with
 * one warning for the file, or refused with a sentence.  doc/mtcp-conf.md is
 * this table for people.
 */

struct settings the_settings;

enum fate { HONOURED, IGNORED, REFUSED };

struct key {
	const char *name;
	enum fate fate;
	int (*set)(struct settings *s, const char *value, const char **allowed);
	const char *instead;		/* of what is ignored or refused */
};

/* A whole decimal number in [@min, @max]; 0 or -EINVAL. */
static int number(const char *text, long min, long max, int *out)
{
	char *end;
	long v;

	errno = 0;
	v = strtol(text, &end, 0);
	if (errno || end == text || *end || v < min || v > max)
		return -EINVAL;
	*out = (int)v;
	return 0;
}

static int set_num_cores(struct settings *s, const char *v,
			 const char **allowed)
{
	int most = GetNumCPUs();

	*allowed = "1 to the number of processors that are online";
	if (most > (int)CONTEXTS_MAX)
		most = (int)CONTEXTS_MAX;
	return number(v, 1, most, &s->conf.num_cores);
}

static int set_max_concurrency(struct settings *s, const char *v,
			       const char **allowed)
{
	*allowed = "1 to 16000000 sockets a context";
	return number(v, 1, 16000000, &s->conf.max_concurrency);
}

static int set_max_num_buffers(struct settings *s, const char *v,
			       const char **allowed)
{
	*allowed = "1 to 16000000";
	return number(v, 1, 16000000, &s->conf.max_num_buffers);
}

static int set_rcvbuf(struct settings *s, const char *v, const char **allowed)
{
	*allowed = "64 bytes or more";
	return number(v, 64, 1 << 30, &s->conf.rcvbuf_size);
}

static int set_sndbuf(struct settings *s, const char *v, const char **allowed)
{
	*allowed = "64 bytes or more";
	return number(v, 64, 1 << 30, &s->conf.sndbuf_size);
}

static int set_tcp_timeout(struct settings *s, const char *v,
			   const char **allowed)
{
	int seconds, err;

	*allowed = "seconds, or -1";
	err = number(v, -1, 1 << 20, &seconds);
	if (!err)
		s->conf.tcp_timeout = seconds > 0 ? seconds * 1000 : seconds;
	return err;
}

static int set_tcp_timewait(struct settings *s, const char *v,
			    const char **allowed)
{
	int seconds, err;

	*allowed = "seconds, 0 or more";
	err = number(v, 0, 1 << 20, &seconds);
	if (!err)
		s->conf.tcp_timewait = seconds * 1000;
	return err;
}

static int set_stat_print(struct settings *s, const char *v,
			  const char **allowed)
{
	*allowed = "names of interfaces";
	s->stat_print = true;
	snprintf(s->stat_name, sizeof(s->stat_name), "%s", v);
	return 0;
}

static int set_socket(struct settings *s, const char *v, const char **allowed)
{
	*allowed = "an absolute path of at most 107 bytes";
	if (v[0] != '/' || strlen(v) >= sizeof(s->socket_path))
		return -EINVAL;
	snprintf(s->socket_path, sizeof(s->socket_path), "%s", v);
	return 0;
}

static int check_io(struct settings *s, const char *v, const char **allowed)
{
	(void)s;
	*allowed = "psio, netmap, onvm or dpdk (ignored: mtcpd.conf says which "
		   "ports there are)";
	return strcmp(v, "psio") && strcmp(v, "netmap") && strcmp(v, "onvm") &&
	       strcmp(v, "dpdk") ? -EINVAL : 0;
}

static int check_mask(struct settings *s, const char *v, const char **allowed)
{
	(void)s;
	*allowed = "hexadecimal digits";
	if (v[0] == '0' && (v[1] == 'x' || v[1] == 'X'))
		v += 2;
	return *v && v[strspn(v, "0123456789abcdefABCDEF")] == 0 ? 0 : -EINVAL;
}

static int check_number(struct settings *s, const char *v, const char **allowed)
{
	int n;

	(void)s;
	*allowed = "a number, 0 or more";
	return number(v, 0, 1 << 30, &n);
}

static int check_flag(struct settings *s, const char *v, const char **allowed)
{
	int n;

	(void)s;
	*allowed = "0 or 1";
	return number(v, 0, 1, &n);
}

static int check_cc(struct settings *s, const char *v, const char **allowed)
{
	(void)s;
	*allowed = "the name of an algorithm";
	return isalpha((unsigned char)v[0]) ? 0 : -EINVAL;
}

static const struct key keys[] = {
	{ "num_cores", HONOURED, set_num_cores, NULL },
	{ "max_concurrency", HONOURED, set_max_concurrency, NULL },
	{ "stat_print", HONOURED, set_stat_print, NULL },
	{ "mtcpd_socket", HONOURED, set_socket, NULL },
	{ "max_num_buffers", IGNORED, set_max_num_buffers,
	  "buffers follow the data in flight" },
	{ "rcvbuf", IGNORED, set_rcvbuf,
	  "windows follow the path; cap one by SO_RCVBUF" },
	{ "sndbuf", IGNORED, set_sndbuf,
	  "buffers follow the path; cap one by SO_SNDBUF" },
	{ "tcp_timeout", IGNORED, set_tcp_timeout, "use TCP_USER_TIMEOUT" },
	{ "tcp_timewait", IGNORED, set_tcp_timewait, "mtcpd.conf" },
	{ "io", IGNORED, check_io, "mtcpd.conf" },
	{ "port", IGNORED, NULL, "mtcpd.conf" },
	{ "cc", IGNORED, check_cc, "mtcpd.conf" },
	{ "core_mask", IGNORED, check_mask, "mtcpd.conf" },
	{ "num_mem_ch", IGNORED, check_number, "of no use here" },
	{ "multiprocess", IGNORED, check_flag, "always so here" },
	{ "onvm_serv", REFUSED, NULL, "mtcpd has no OpenNetVM port" },
	{ "onvm_inst", REFUSED, NULL, "mtcpd has no OpenNetVM port" },
	{ "onvm_dest", REFUSED, NULL, "mtcpd has no OpenNetVM port" },
};

void settings_default(struct settings *s)
{
	*s = (struct settings){ .conf = {
		.num_cores = GetNumCPUs(),
		.max_concurrency = 10000,
		.max_num_buffers = 10000,
		.tcp_timeout = 30000,
	} };
	if (s->conf.num_cores > (int)CONTEXTS_MAX)
		s->conf.num_cores = (int)CONTEXTS_MAX;
}

static const struct key *find_key(const char *name)
{
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		if (!strcmp(keys[i].name, name))
			return &keys[i];
	return NULL;
}

/* Splits a line into key and value, both trimmed; false: nothing in it. */
static bool split(char *line, char **key, char **value)
{
	static const char sep[] = " \t=\r\n";
	char *end = strchr(line, '#');

	if (end)
		*end = 0;
	line += strspn(line, sep);
	if (!*line)
		return false;
	*key = line;
	line += strcspn(line, sep);
	if (*line)
		*line++ = 0;
	*value = line + strspn(line, sep);
	end = *value + strlen(*value);
	while (end > *value && strchr(sep, end[-1]))
		*--end = 0;
	return true;
}

/* One line of @path.  Appends the name of an ignored key to @ignored. */
static int take_line(struct settings *s, const struct key *k, const char *key,
		     const char *value, char *why, size_t why_len)
{
	const char *allowed = "a value";

	if (!k) {
		snprintf(why, why_len, "key %s: unknown; doc/mtcp-conf.md "
			 "lists the keys", key);
		return -EINVAL;
	}
	if (k->fate == REFUSED) {
		snprintf(why, why_len, "key %s: refused, %s; remove it", key,
			 k->instead);
		return -EINVAL;
	}
	if (!*value || (k->set && k->set(s, value, &allowed))) {
		snprintf(why, why_len, "key %s: \"%s\" is not allowed; "
			 "allowed: %s", key, value, allowed);
		return -EINVAL;
	}
	return 0;
}

static void warn_ignored(const char *path, const bool *ignored)
{
	const char *sep = "";

	fprintf(stderr, "mtcp: %s: ignored, since mtcpd decides: ", path);
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		if (ignored[i]) {
			fprintf(stderr, "%s%s (%s)", sep, keys[i].name,
				keys[i].instead);
			sep = ", ";
		}
	fputc('\n', stderr);
}

/* Both default to each other, and 8192 when neither is there (mTCP's way). */
static void finish_buffers(struct mtcp_conf *c)
{
	if (!c->rcvbuf_size && !c->sndbuf_size)
		c->rcvbuf_size = c->sndbuf_size = 8192;
	if (!c->rcvbuf_size)
		c->rcvbuf_size = c->sndbuf_size;
	if (!c->sndbuf_size)
		c->sndbuf_size = c->rcvbuf_size;
}

int conf_read(struct settings *s, const char *path, char *why, size_t why_len)
{
	bool ignored[sizeof(keys) / sizeof(keys[0])] = { false }, warn = false;
	char line[1024], text[512], *key, *value;
	unsigned int number_of = 0;
	const struct key *k;
	FILE *f = fopen(path, "re");
	int err = 0;

	if (!f) {
		err = -errno;
		snprintf(why, why_len, "%s: %s", path, strerror(-err));
		return err;
	}
	while (!err && fgets(line, sizeof(line), f)) {
		number_of++;
		if (!split(line, &key, &value))
			continue;
		k = find_key(key);
		err = take_line(s, k, key, value, text, sizeof(text));
		if (err) {
			snprintf(why, why_len, "%s:%u: %s", path, number_of,
				 text);
		} else if (k->fate == IGNORED) {
			ignored[k - keys] = warn = true;
		}
	}
	fclose(f);
	if (!err && warn)
		warn_ignored(path, ignored);
	finish_buffers(&s->conf);
	return err;
}
