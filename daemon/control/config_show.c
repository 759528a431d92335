/* Values as mtcpd.conf would have them: the setters of config_keys.c, back. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "control/config.h"

void text_add(struct text_out *out, const char *fmt, ...)
{
	size_t room = out->bytes - out->used;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(out->buf + out->used, room, fmt, ap);
	va_end(ap);
	if (n > 0)
		out->used += (size_t)n < room ? (size_t)n : room - 1;
}

static const void *at(const struct config_key *k, const void *base)
{
	return (const uint8_t *)base + k->at;
}

/* Sizes are shortened where nothing is lost by it. */
static void add_size(struct text_out *out, uint64_t n, bool size)
{
	if (size && n && n % (1u << 30) == 0)
		text_add(out, "%luG", (unsigned long)(n >> 30));
	else if (size && n && n % (1u << 20) == 0)
		text_add(out, "%luM", (unsigned long)(n >> 20));
	else if (size && n && n % (1u << 10) == 0)
		text_add(out, "%luK", (unsigned long)(n >> 10));
	else
		text_add(out, "%lu", (unsigned long)n);
}

static bool is_size(const struct config_key *k)
{
	return k->unit && !strcmp(k->unit, "bytes");
}

void show_uint32(const struct config_key *k, const void *base,
		 struct text_out *out)
{
	uint32_t n;

	memcpy(&n, at(k, base), sizeof(n));
	add_size(out, n / (k->scale ? k->scale : 1), is_size(k));
}

void show_auto_uint32(const struct config_key *k, const void *base,
		      struct text_out *out)
{
	uint32_t n;

	memcpy(&n, at(k, base), sizeof(n));
	if (n)
		text_add(out, "%u", n);
	else
		text_add(out, "auto");
}

void show_size64(const struct config_key *k, const void *base,
		 struct text_out *out)
{
	uint64_t n;

	memcpy(&n, at(k, base), sizeof(n));
	add_size(out, n, is_size(k));
}

void show_bool(const struct config_key *k, const void *base,
	       struct text_out *out)
{
	bool yes;

	memcpy(&yes, at(k, base), sizeof(yes));
	text_add(out, yes ? "yes" : "no");
}

void show_word(const struct config_key *k, const void *base,
	       struct text_out *out)
{
	const char *word = k->allowed;
	uint32_t n;

	memcpy(&n, at(k, base), sizeof(n));
	while (n--) {
		word += strcspn(word, ",");
		word += strspn(word, ", ");
	}
	text_add(out, "%.*s", (int)strcspn(word, ","), word);
}

void show_text(const struct config_key *k, const void *base,
	       struct text_out *out)
{
	const char *text = at(k, base);

	text_add(out, "%s", text[0] ? text : "none");
}

void show_cores(const struct config_key *k, const void *base,
		struct text_out *out)
{
	const struct config_engine *e = at(k, base);

	if (!e->cpu_count)
		text_add(out, "auto");
	for (uint32_t i = 0; i < e->cpu_count; i++)
		text_add(out, "%s%u", i ? "," : "", e->cpus[i]);
}

void show_spin(const struct config_key *k, const void *base,
	       struct text_out *out)
{
	const struct config_engine *e = at(k, base);

	if (e->spin_auto)
		text_add(out, "auto");
	else if (e->spin_us == CONFIG_SPIN_FOREVER)
		text_add(out, "forever");
	else
		text_add(out, "%u", e->spin_us);
}

void show_local_ports(const struct config_key *k, const void *base,
		      struct text_out *out)
{
	const struct config *cfg = base;

	(void)k;
	text_add(out, "%u-%u", cfg->local_port_min, cfg->local_port_max);
}

void show_address(const struct config_key *k, const void *base,
		  struct text_out *out)
{
	const struct config_port *p = base;
	char text[ADDR_TEXT_BYTES];

	(void)k;
	for (unsigned int i = 0; i < p->io.addr_count; i++)
		text_add(out, "%s%s/%u", i ? ", " : "",
			 addr_text(&p->io.addrs[i], text), p->prefix[i] - 96u);
}

void show_mac(const struct config_key *k, const void *base,
	      struct text_out *out)
{
	static const uint8_t none[6];
	const uint8_t *m = at(k, base);

	if (!memcmp(m, none, sizeof(none)))
		text_add(out, "auto");
	else
		text_add(out, "%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1],
			 m[2], m[3], m[4], m[5]);
}

/* A secret: who may read the configuration may not know it. */
void show_key(const struct config_key *k, const void *base,
	      struct text_out *out)
{
	static const uint8_t none[16];

	text_add(out, memcmp(at(k, base), none, sizeof(none)) ? "(hidden)" :
		 "random");
}

void show_frames(const struct config_key *k, const void *base,
		 struct text_out *out)
{
	const struct config_port *p = base;

	(void)k;
	if (p->io.frames_log2)
		text_add(out, "%u", 1u << p->io.frames_log2);
	else
		text_add(out, "auto");
}

void show_ranges(const struct config_key *k, const void *base,
		 struct text_out *out)
{
	const struct engine_policy *p = at(k, base);

	if (!p->range_count)
		text_add(out, "any");
	else if (!p->ranges[0].first)
		text_add(out, "none");
	for (uint32_t i = 0; i < p->range_count && p->ranges[0].first; i++) {
		text_add(out, "%s%u", i ? "," : "", p->ranges[i].first);
		if (p->ranges[i].last != p->ranges[i].first)
			text_add(out, "-%u", p->ranges[i].last);
	}
}

void show_addrs(const struct config_key *k, const void *base,
		struct text_out *out)
{
	const struct engine_policy *p = at(k, base);
	char text[ADDR_TEXT_BYTES];

	if (!p->addr_count)
		text_add(out, "any");
	for (uint32_t i = 0; i < p->addr_count; i++)
		text_add(out, "%s%s", i ? ", " : "",
			 addr_text(&p->addrs[i], text));
}

/* 0 stands for the limit of all programs. */
void show_limit32(const struct config_key *k, const void *base,
		  struct text_out *out)
{
	uint32_t n;

	memcpy(&n, at(k, base), sizeof(n));
	if (n)
		text_add(out, "%u", n);
	else
		text_add(out, "default");
}

void show_limit64(const struct config_key *k, const void *base,
		  struct text_out *out)
{
	uint64_t n;

	memcpy(&n, at(k, base), sizeof(n));
	if (n)
		add_size(out, n, true);
	else
		text_add(out, "default");
}

const char *config_key_allowed(const struct config_key *k, char *buf,
			       size_t bytes)
{
	if (!strcmp(k->section, "port") && !strcmp(k->name, "driver"))
		return port_driver_names();
	if (k->allowed)
		return k->allowed;
	snprintf(buf, bytes, "%lu - %lu", (unsigned long)k->min,
		 (unsigned long)k->max);
	return buf;
}
