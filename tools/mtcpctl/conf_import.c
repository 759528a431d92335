/*
 * conf_import.c - mTCP's mtcp.conf, arp.conf and route.conf as mtcpd.conf
 *
 *	mtcp.conf   port = dpdk0 eth1	-> [port eth1] with the address that
 *					   the kernel has there, if any
 *		    num_cores = n	-> [engine] count
 *		    tcp_timewait = s	-> [tcp] time_wait_s
 *		    rcvbuf, sndbuf	-> [tcp] rcv_wnd_max, snd_buf_max
 *		    the rest		-> a comment: the program's own, or gone
 *	arp.conf    ARP_ENTRY n		-> [neighbour]
 *	route.conf  ROUTES n		-> [route]
 *
 * Which file is which is told by its first word, not by its name.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <stdlib.h>
#include <string.h>

#include "tools/mtcpctl/conf_file.h"

#define LINE_BYTES	1024

struct import {
	FILE *in, *out;
	const char *file;
	unsigned int line;
	char key[64], value[LINE_BYTES];
};

static int fail(const struct import *m, const char *what)
{
	fprintf(stderr, "mtcpctl: %s:%u: %s\n", m->file, m->line, what);
	return -EINVAL;
}

/* The next line that says something, as a word and the rest. */
static bool next_line(struct import *m)
{
	char line[LINE_BYTES];

	while (fgets(line, sizeof(line), m->in)) {
		char *text = line + strspn(line, " \t"), *rest;
		size_t n;

		m->line++;
		text[strcspn(text, "#\r\n")] = '\0';
		n = strcspn(text, " \t=");
		if (!n || n >= sizeof(m->key))
			continue;
		memcpy(m->key, text, n);
		m->key[n] = '\0';
		rest = text + n + strspn(text + n, " \t=");
		snprintf(m->value, sizeof(m->value), "%s", rest);
		for (n = strlen(m->value);
		     n && strchr(" \t", m->value[n - 1]); n--)
			m->value[n - 1] = '\0';
		return true;
	}
	return false;
}

static bool is_number(const char *text)
{
	return text[0] && strspn(text, "0123456789") == strlen(text);
}

/* ---- mtcp.conf ---- */

static unsigned int mask_bits(const struct sockaddr *mask)
{
	struct sockaddr_in in;

	memcpy(&in, mask, sizeof(in));
	return (unsigned int)__builtin_popcount(in.sin_addr.s_addr);
}

/* The kernel's address of the interface, as mTCP would have used it. */
static bool kernel_address(const char *device, char *out, size_t bytes)
{
	struct ifaddrs *all, *i;
	bool found = false;

	if (getifaddrs(&all) < 0)
		return false;
	for (i = all; i && !found; i = i->ifa_next) {
		struct sockaddr_in in;
		char quad[INET_ADDRSTRLEN];

		if (strcmp(i->ifa_name, device) || !i->ifa_addr ||
		    !i->ifa_netmask || i->ifa_addr->sa_family != AF_INET)
			continue;
		memcpy(&in, i->ifa_addr, sizeof(in));
		inet_ntop(AF_INET, &in.sin_addr, quad, sizeof(quad));
		snprintf(out, bytes, "%s/%u", quad, mask_bits(i->ifa_netmask));
		found = true;
	}
	freeifaddrs(all);
	return found;
}

static void put_ports(const struct import *m)
{
	char names[LINE_BYTES], *save = NULL, *name, address[64];

	snprintf(names, sizeof(names), "%s", m->value);
	for (name = strtok_r(names, " \t,", &save); name;
	     name = strtok_r(NULL, " \t,", &save)) {
		fprintf(m->out, "\n[port %s]\ndriver = xdp\n", name);
		if (kernel_address(name, address, sizeof(address)))
			fprintf(m->out, "# The kernel has it too: take it away "
				"there (ip addr del), or let mtcpd have "
				"another.\naddress = %s\n", address);
		else
			fprintf(m->out, "# Which address is mtcpd's? mtcp.conf "
				"did not say.\n#address = a.b.c.d/len\n");
	}
}

static int put_number(const struct import *m, const char *section,
		      const char *key)
{
	if (!is_number(m->value))
		return fail(m, "a number is expected");
	fprintf(m->out, "\n[%s]\n%s = %s\n", section, key, m->value);
	return 0;
}

static int take_mtcp(const struct import *m)
{
	static const struct {
		const char *from, *section, *key;
	} numbers[] = {
		{ "num_cores", "engine", "count" },
		{ "tcp_timewait", "tcp", "time_wait_s" },
		{ "rcvbuf", "tcp", "rcv_wnd_max" },
		{ "sndbuf", "tcp", "snd_buf_max" },
	};

	if (!strcmp(m->key, "port")) {
		put_ports(m);
		return 0;
	}
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		if (!strcmp(m->key, numbers[i].from))
			return put_number(m, numbers[i].section,
					  numbers[i].key);
	fprintf(m->out, "# %s = %s: not mtcpd's (doc/mtcp-conf.md)\n", m->key,
		m->value);
	return 0;
}

/* ---- arp.conf, route.conf ---- */

static int take_neighbour(struct import *m)
{
	m->key[strcspn(m->key, "/")] = '\0';
	fprintf(m->out, "%s = %s\n", m->key, m->value);
	return 0;
}

static int take_route(const struct import *m)
{
	const char *slash = strchr(m->key, '/');

	if (!slash)
		return fail(m, "a network a.b.c.d/len is expected");
	if (!strcmp(slash, "/0"))
		fprintf(m->out, "default = %.*s\n", (int)(slash - m->key),
			m->key);
	else
		fprintf(m->out, "%s = %s\n", m->key, m->value);
	return 0;
}

static int take_lines(struct import *m, bool routes)
{
	long left = strtol(m->value, NULL, 10);
	int rc = 0;

	if (!is_number(m->value))
		return fail(m, "a number of lines is expected");
	fprintf(m->out, "\n[%s]\n", routes ? "route" : "neighbour");
	while (!rc && left-- > 0) {
		if (!next_line(m))
			return fail(m, "fewer lines than were promised");
		rc = routes ? take_route(m) : take_neighbour(m);
	}
	return rc;
}

static int import_one(struct import *m)
{
	int rc = 0;

	fprintf(m->out, "# from %s\n", m->file);
	while (!rc && next_line(m)) {
		if (!strcmp(m->key, "ARP_ENTRY"))
			rc = take_lines(m, false);
		else if (!strcmp(m->key, "ROUTES"))
			rc = take_lines(m, true);
		else
			rc = take_mtcp(m);
	}
	return rc;
}

int conf_import(int count, char *const *files, FILE *out)
{
	int rc = 0;

	for (int i = 0; i < count && !rc; i++) {
		struct import m = { .out = out, .file = files[i] };

		m.in = fopen(files[i], "re");
		if (!m.in) {
			fprintf(stderr, "mtcpctl: %s: %s\n", files[i],
				strerror(errno));
			return -errno;
		}
		rc = import_one(&m);
		fclose(m.in);
	}
	return rc;
}
