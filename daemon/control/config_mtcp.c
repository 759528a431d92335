/*
 * mTCP's arp.conf and route.conf, as its library read them:
 *
 *	ARP_ENTRY n			ROUTES n
 *	a.b.c.d/32 MAC			a.b.c.d/len interface
 *	... n lines			... n lines
 *
 * A route of length 0 is the default route, its address the gateway.  # begins
 * a comment.  More lines than n, or n below 1, is an error as it was there.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "control/config.h"

struct mtcp_file {
	FILE *f;
	const char *name;
	unsigned int line;
	char *err;
};

static int fail(struct mtcp_file *m, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static int fail(struct mtcp_file *m, const char *fmt, ...)
{
	int n = snprintf(m->err, CONFIG_ERR_BYTES, "%s:%u: ", m->name, m->line);
	va_list ap;

	va_start(ap, fmt);
	if (n >= 0 && n < CONFIG_ERR_BYTES)
		vsnprintf(m->err + n, CONFIG_ERR_BYTES - (size_t)n, fmt, ap);
	va_end(ap);
	return -EINVAL;
}

/* The next line's two words.  1: there is one, 0: end of file, or -EINVAL. */
static int next_words(struct mtcp_file *m, char a[64], char b[64])
{
	char text[256], more[2];

	while (fgets(text, sizeof(text), m->f)) {
		int words;

		m->line++;
		if (!strchr(text, '\n') && !feof(m->f))
			return fail(m, "the line is longer than %zu bytes",
				    sizeof(text) - 2);
		text[strcspn(text, "#\n")] = '\0';
		words = sscanf(text, "%63s %63s %1s", a, b, more);
		if (words <= 0)
			continue;
		if (words != 2)
			return fail(m, "expected two words, found \"%s\"", text);
		return 1;
	}
	return 0;
}

static int read_count(struct mtcp_file *m, const char *keyword, uint64_t max,
		      uint64_t *count)
{
	char a[64], b[64];
	int rc = next_words(m, a, b);

	if (rc < 0)
		return rc;
	if (rc == 0 || strcmp(a, keyword))
		return fail(m, "expected `%s n`", keyword);
	if (text_uint(b, 1, max, false, count) < 0)
		return fail(m, "%s %s: expected a number from 1 to %lu",
			    keyword, b, (unsigned long)max);
	return 0;
}

/* @add takes one line's words. */
static int read_file(struct config *cfg, const char *name, const char *keyword,
		     uint64_t max, char *err,
		     int (*add)(struct config *, char *, const char *, char *))
{
	struct mtcp_file m = { .f = fopen(name, "re"), .name = name, .err = err };
	char a[64], b[64], why[CONFIG_ERR_BYTES];
	uint64_t count, n = 0;
	int rc;

	if (!m.f) {
		rc = -errno;
		snprintf(err, CONFIG_ERR_BYTES, "%s: cannot be read: %s", name,
			 strerror(-rc));
		return rc;
	}
	rc = read_count(&m, keyword, max, &count);
	while (rc == 0 && (rc = next_words(&m, a, b)) == 1) {
		rc = 0;
		if (++n > count)
			rc = fail(&m, "more lines than the %lu that %s says",
				  (unsigned long)count, keyword);
		else if (add(cfg, a, b, why) < 0)
			rc = fail(&m, "\"%s %s\": %s", a, b, why);
		if (rc == 0)
			continue;
	}
	fclose(m.f);
	return rc;
}

static int add_arp(struct config *cfg, char *addr, const char *mac, char *why)
{
	char *slash = strchr(addr, '/');

	if (slash && strcmp(slash, "/32")) {
		snprintf(why, CONFIG_ERR_BYTES, "expected a single address "
			 "(a.b.c.d/32): a neighbour has one MAC address");
		return -EINVAL;
	}
	if (slash)
		*slash = '\0';
	return config_add_neigh(cfg, addr, mac, why);
}

static int add_route(struct config *cfg, char *net, const char *dev, char *why)
{
	char *slash = strchr(net, '/');

	if (config_port_id(cfg, dev) < 0) {
		snprintf(why, CONFIG_ERR_BYTES, "\"%s\" is no port's name or "
			 "device", dev);
		return -EINVAL;
	}
	if (!slash || strcmp(slash, "/0"))
		return config_add_route(cfg, net, dev, why);
	*slash = '\0';
	return config_add_route(cfg, "default", net, why);
}

int config_mtcp_arp(struct config *cfg, const char *file, char *err)
{
	return read_file(cfg, file, "ARP_ENTRY", NET_NEIGH_MAX, err, add_arp);
}

int config_mtcp_route(struct config *cfg, const char *file, char *err)
{
	return read_file(cfg, file, "ROUTES", NET_ROUTES_MAX, err, add_route);
}
