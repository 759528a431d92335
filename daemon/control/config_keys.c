/*
 * Every key but the lines of [route] and [neighbour], whose left side is data.
 * Setters get the struct that `at` counts from: struct config_port for [port],
 * struct config for all others.
 */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "control/config.h"

static int set_uint32(const struct config_key *k, void *base, const char *value)
{
	uint32_t *out = (uint32_t *)((uint8_t *)base + k->at);
	uint64_t n;

	if (text_uint(value, k->min, k->max, true, &n) < 0)
		return -EINVAL;
	*out = (uint32_t)(n * (k->scale ? k->scale : 1));
	return 0;
}

static int set_size64(const struct config_key *k, void *base, const char *value)
{
	uint64_t *out = (uint64_t *)((uint8_t *)base + k->at);

	return text_uint(value, k->min, k->max, true, out);
}

static int set_bool(const struct config_key *k, void *base, const char *value)
{
	bool *out = (bool *)((uint8_t *)base + k->at);

	if (strcmp(value, "yes") && strcmp(value, "no"))
		return -EINVAL;
	*out = value[0] == 'y';
	return 0;
}

/* The number of the word in `allowed`, "first, second, ...". */
static int set_word(const struct config_key *k, void *base, const char *value)
{
	uint32_t *out = (uint32_t *)((uint8_t *)base + k->at);
	const char *word = k->allowed;
	size_t bytes = strlen(value);

	for (uint32_t i = 0; *word; i++) {
		size_t n = strcspn(word, ",");

		if (n == bytes && !memcmp(word, value, n)) {
			*out = i;
			return 0;
		}
		word += n + strspn(word + n, ", ");
	}
	return -EINVAL;
}

/* Text of at most `max` bytes; `none` is empty. */
static int set_text(const struct config_key *k, void *base, const char *value)
{
	char *out = (char *)base + k->at;

	if (!strcmp(value, "none"))
		value = "";
	if (strlen(value) > k->max)
		return -EINVAL;
	strcpy(out, value);
	return 0;
}

static int set_path(const struct config_key *k, void *base, const char *value)
{
	if (value[0] != '/' && (k->min || strcmp(value, "none")))
		return -EINVAL;
	return set_text(k, base, value);
}

static int set_listen(const struct config_key *k, void *base,
		      const char *value)
{
	unsigned int a, b, c, d, port;
	char more;

	if (strcmp(value, "none") &&
	    (sscanf(value, "%3u.%3u.%3u.%3u:%5u%c", &a, &b, &c, &d, &port,
		    &more) != 5 || a > 255 || b > 255 || c > 255 || d > 255 ||
	     port < 1 || port > 65535))
		return -EINVAL;
	return set_text(k, base, value);
}

static int set_cores(const struct config_key *k, void *base, const char *value)
{
	struct config_engine *e =
		(struct config_engine *)((uint8_t *)base + k->at);

	e->cpu_count = 0;
	if (!strcmp(value, "auto"))
		return 0;
	return text_cores(value, e->cpus, ENGINES_MAX, &e->cpu_count);
}

static int set_auto_uint32(const struct config_key *k, void *base,
			   const char *value)
{
	if (strcmp(value, "auto"))
		return set_uint32(k, base, value);
	*(uint32_t *)((uint8_t *)base + k->at) = 0;
	return 0;
}

static int set_spin(const struct config_key *k, void *base, const char *value)
{
	struct config_engine *e =
		(struct config_engine *)((uint8_t *)base + k->at);
	uint64_t n;

	e->spin_auto = !strcmp(value, "auto");
	if (e->spin_auto)
		return 0;
	if (!strcmp(value, "forever")) {
		e->spin_us = CONFIG_SPIN_FOREVER;
		return 0;
	}
	if (text_uint(value, k->min, k->max, false, &n) < 0)
		return -EINVAL;
	e->spin_us = (uint32_t)n;
	return 0;
}

static int set_local_ports(const struct config_key *k, void *base,
			   const char *value)
{
	struct config *cfg = base;
	unsigned int first, last;
	char dash, more;

	if (sscanf(value, "%5u %c %5u %c", &first, &dash, &last, &more) != 3 ||
	    dash != '-' || first < k->min || last > k->max || first > last)
		return -EINVAL;
	cfg->local_port_min = first;
	cfg->local_port_max = last;
	return 0;
}

static int set_cc(const struct config_key *k, void *base, const char *value)
{
	if (tcp_cc_find(value) < 0)
		return -EINVAL;
	return set_text(k, base, value);
}

/* 16 bytes in hexadecimal; random: all 0, and the engines make one. */
static int set_key(const struct config_key *k, void *base, const char *value)
{
	uint8_t *out = (uint8_t *)base + k->at;

	memset(out, 0, 16);
	if (!strcmp(value, "random"))
		return 0;
	if (strlen(value) != 32 ||
	    strspn(value, "0123456789abcdefABCDEF") != 32)
		return -EINVAL;
	for (unsigned int i = 0, byte; i < 16; i++) {
		sscanf(value + 2 * i, "%2x", &byte);
		out[i] = (uint8_t)byte;
	}
	return 0;
}

/* ---- [port NAME] ---- */

static int set_driver(const struct config_key *k, void *base, const char *value)
{
	if (!port_driver(value))
		return -EINVAL;
	return set_text(k, base, value);
}

static int add_address(struct config_port *p, const char *text)
{
	unsigned int n = p->io.addr_count;

	if (n == sizeof(p->io.addrs) / sizeof(p->io.addrs[0]) ||
	    text_net(text, 0, &p->io.addrs[n], &p->prefix[n]) < 0 ||
	    addr_is_any(&p->io.addrs[n]))
		return -EINVAL;
	for (unsigned int i = 0; i < n; i++)
		if (addr_eq(&p->io.addrs[i], &p->io.addrs[n]))
			return -EINVAL;
	p->io.addr_count++;
	return 0;
}

static int set_address(const struct config_key *k, void *base,
		       const char *value)
{
	char text[512], *save = NULL, *item;

	(void)k;
	if (strlen(value) >= sizeof(text))
		return -EINVAL;
	strcpy(text, value);
	for (item = strtok_r(text, ", \t", &save); item;
	     item = strtok_r(NULL, ", \t", &save))
		if (add_address(base, item) < 0)
			return -EINVAL;
	return 0;
}

static int set_mac(const struct config_key *k, void *base, const char *value)
{
	uint8_t *mac = (uint8_t *)base + k->at;

	memset(mac, 0, 6);
	if (!strcmp(value, "auto"))
		return 0;
	return text_mac(value, mac) < 0 || (mac[0] & 1) ? -EINVAL : 0;
}

static int set_frames(const struct config_key *k, void *base, const char *value)
{
	struct config_port *p = base;
	uint64_t n;

	p->io.frames_log2 = 0;
	if (!strcmp(value, "auto"))
		return 0;
	if (text_uint(value, k->min, k->max, true, &n) < 0 || (n & (n - 1)))
		return -EINVAL;
	while (n >>= 1)
		p->io.frames_log2++;
	return 0;
}

/* ---- [policy NAME] ---- */

static int set_ranges(const struct config_key *k, void *base, const char *value)
{
	return text_ranges(value, (void *)((uint8_t *)base + k->at));
}

static int set_addrs(const struct config_key *k, void *base, const char *value)
{
	return text_addrs(value, (void *)((uint8_t *)base + k->at));
}

static int set_limit32(const struct config_key *k, void *base,
		       const char *value)
{
	if (strcmp(value, "default"))
		return set_uint32(k, base, value);
	memset((uint8_t *)base + k->at, 0, sizeof(uint32_t));
	return 0;
}

static int set_limit64(const struct config_key *k, void *base,
		       const char *value)
{
	if (strcmp(value, "default"))
		return set_size64(k, base, value);
	memset((uint8_t *)base + k->at, 0, sizeof(uint64_t));
	return 0;
}

#define AT(member)	offsetof(struct config, member)
#define PORT_AT(member)	offsetof(struct config_port, member)
#define POLICY_AT(member) offsetof(struct config_policy, member)
#define TEXT(member)	sizeof(((struct config *)0)->member) - 1
#define YES_NO		"yes, no"
#define PATH_OR_NONE	"an absolute path of at most 255 bytes, or none"
#define SOCKET_PATH	"an absolute path of at most 107 bytes"
#define LIVE		.live = true
#define RANGE(first, last)	.min = first, .max = last

static const struct config_key keys[] = {
	{ "daemon", "socket", set_path, AT(daemon.socket), .min = 1,
	  .max = TEXT(daemon.socket), .allowed = SOCKET_PATH },
	{ "daemon", "admin", set_path, AT(daemon.admin), .min = 1,
	  .max = TEXT(daemon.admin), .allowed = SOCKET_PATH },
	{ "daemon", "pidfile", set_path, AT(daemon.pidfile),
	  .max = TEXT(daemon.pidfile), .allowed = PATH_OR_NONE },
	{ "daemon", "log", set_word, AT(daemon.log),
	  .allowed = "error, warn, info, debug", LIVE },
	{ "daemon", "group", set_text, AT(daemon.group),
	  .max = TEXT(daemon.group), .allowed = "a group's name, or none" },
	{ "daemon", "arp_conf", set_path, AT(daemon.arp_conf),
	  .max = TEXT(daemon.arp_conf), .allowed = PATH_OR_NONE },
	{ "daemon", "route_conf", set_path, AT(daemon.route_conf),
	  .max = TEXT(daemon.route_conf), .allowed = PATH_OR_NONE },
	{ "daemon", "stop_grace_ms", set_uint32, AT(daemon.stop_grace_ms),
	  RANGE(0, 60000), LIVE, .unit = "ms" },
	{ "daemon", "drain_s", set_uint32, AT(daemon.drain_s), RANGE(0, 86400),
	  LIVE, .unit = "s" },
	{ "daemon", "sandbox", set_bool, AT(daemon.sandbox),
	  .allowed = YES_NO },
	{ "daemon", "claim", set_bool, AT(daemon.claim), .allowed = YES_NO },

	{ "engine", "cores", set_cores, AT(engine), .allowed =
	  "auto, or a list such as 0,1 or 2-5 of at most 16 different cores" },
	{ "engine", "count", set_auto_uint32, AT(engine.count), RANGE(1, ENGINES_MAX),
	  .allowed = "auto, 1 - 16" },
	{ "engine", "spin_us", set_spin, AT(engine), RANGE(0, 1000000),
	  .allowed = "auto, forever, 0 - 1000000", LIVE, .unit = "us" },
	{ "engine", "huge_pages", set_word, AT(engine.huge_pages),
	  .allowed = "auto, yes, no" },

	{ "port", "driver", set_driver, PORT_AT(io.driver),
	  .max = sizeof(((struct port_config *)0)->driver) - 1 },
	{ "port", "device", set_text, PORT_AT(io.device),
	  .max = sizeof(((struct port_config *)0)->device) - 1,
	  .allowed = "a name of at most 63 bytes" },
	{ "port", "address", set_address, 0, .repeats = true, .allowed =
	  "at most 16 different addresses a.b.c.d/len, separated by commas", LIVE },
	{ "port", "mtu", set_auto_uint32, PORT_AT(io.mtu), RANGE(576, 65535),
	  .allowed = "auto, 576 - 65535", .unit = "bytes" },
	{ "port", "mac", set_mac, PORT_AT(io.mac), .allowed =
	  "auto, or a unicast address aa:bb:cc:dd:ee:ff" },
	{ "port", "zero_copy", set_word, PORT_AT(zero_copy),
	  .allowed = "auto, yes, no" },
	{ "port", "frames", set_frames, 0, RANGE(512, 1048576), .allowed =
	  "auto, or a power of two, 512 - 1048576" },

	{ "port", "vlan", set_uint32, PORT_AT(io.vlan), RANGE(0, 4094) },
	{ "port", "share", set_bool, PORT_AT(io.share), .allowed = YES_NO },
	{ "port", "follow", set_word, PORT_AT(follow),
	  .allowed = "no, kernel" },

	{ "tcp", "max_connections", set_uint32, AT(tcp.max_conns),
	  RANGE(64, 16777216) },
	{ "tcp", "max_listeners", set_uint32, AT(tcp.max_listeners), RANGE(1, 32767) },
	{ "tcp", "max_syn", set_uint32, AT(tcp.max_syn), RANGE(16, 4194304) },
	{ "tcp", "syn_cookies", set_word, AT(tcp.syn_cookies),
	  .allowed = "auto, never, always", LIVE },
	{ "tcp", "mtu_probing", set_word, AT(tcp.mtu_probing),
	  .allowed = "no, yes", LIVE },
	{ "tcp", "min_pmtu", set_uint32, AT(tcp.min_pmtu), RANGE(68, 1500),
	  LIVE, .unit = "bytes" },
	{ "tcp", "pmtu_expires_s", set_uint32, AT(tcp.pmtu_expires_ms),
	  RANGE(60, 86400), .scale = 1000, LIVE, .unit = "s" },
	{ "tcp", "fastopen_key", set_key, AT(tcp.tfo_key), .allowed =
	  "random, or 32 hexadecimal digits" },
	{ "tcp", "max_time_wait", set_uint32, AT(tcp.max_time_wait),
	  RANGE(16, 16777216) },
	{ "tcp", "local_ports", set_local_ports, 0, RANGE(1024, 65535), .allowed =
	  "first-last, both 1024 - 65535" },
	{ "tcp", "congestion", set_cc, AT(tcp.cc), .max = TEXT(tcp.cc),
	  .allowed = "cubic, reno, dctcp, bbr", LIVE },
	{ "tcp", "ecn", set_word, AT(tcp.ecn), .allowed = "off, on, passive" },
	{ "tcp", "initial_cwnd", set_uint32, AT(tcp.initial_cwnd), RANGE(1, 100),
	  LIVE, .unit = "segments" },
	{ "tcp", "timestamps", set_bool, AT(tcp.timestamps),
	  .allowed = YES_NO, LIVE },
	{ "tcp", "sack", set_bool, AT(tcp.sack), .allowed = YES_NO, LIVE },
	{ "tcp", "window_scaling", set_bool, AT(tcp.window_scaling),
	  .allowed = YES_NO },
	{ "tcp", "rcv_wnd_initial", set_uint32, AT(tcp.rcv_wnd_initial),
	  RANGE(4096, 16 << 20), LIVE, .unit = "bytes" },
	{ "tcp", "rcv_wnd_max", set_uint32, AT(tcp.rcv_wnd_max),
	  RANGE(4096, 16 << 20), LIVE, .unit = "bytes" },
	{ "tcp", "snd_buf_initial", set_uint32, AT(tcp.snd_buf_initial),
	  RANGE(4096, 64 << 20), LIVE, .unit = "bytes" },
	{ "tcp", "snd_buf_max", set_uint32, AT(tcp.snd_buf_max),
	  RANGE(4096, 64 << 20), LIVE, .unit = "bytes" },
	{ "tcp", "time_wait_s", set_uint32, AT(tcp.time_wait_ms), RANGE(0, 600),
	  .scale = 1000, LIVE, .unit = "s" },
	{ "tcp", "fin_wait2_s", set_uint32, AT(tcp.fin_wait2_ms), RANGE(1, 3600),
	  .scale = 1000, LIVE, .unit = "s" },
	{ "tcp", "rto_min_ms", set_uint32, AT(tcp.rto_min_ms), RANGE(10, 10000),
	  LIVE, .unit = "ms" },
	{ "tcp", "rto_initial_ms", set_uint32, AT(tcp.rto_initial_ms),
	  RANGE(10, 60000), LIVE, .unit = "ms" },
	{ "tcp", "delack_ms", set_uint32, AT(tcp.delack_ms), RANGE(0, 500),
	  LIVE, .unit = "ms" },
	{ "tcp", "quick_acks", set_uint32, AT(tcp.quick_acks), RANGE(0, 255),
	  LIVE },
	{ "tcp", "retries", set_uint32, AT(tcp.retries), RANGE(1, 30), LIVE },
	{ "tcp", "syn_retries", set_uint32, AT(tcp.syn_retries), RANGE(0, 15),
	  LIVE },
	{ "tcp", "syn_ack_retries", set_uint32, AT(tcp.syn_ack_retries),
	  RANGE(0, 15), LIVE },
	{ "tcp", "keepalive_idle_s", set_uint32, AT(tcp.keep_idle_s),
	  RANGE(1, 32767), LIVE, .unit = "s" },
	{ "tcp", "keepalive_interval_s", set_uint32, AT(tcp.keep_intvl_s),
	  RANGE(1, 32767), LIVE, .unit = "s" },
	{ "tcp", "keepalive_count", set_uint32, AT(tcp.keep_cnt), RANGE(1, 127),
	  LIVE },

	{ "metrics", "listen", set_listen, AT(metrics.listen),
	  .max = TEXT(metrics.listen), .allowed =
	  "an IPv4 address and port, a.b.c.d:1 - 65535, or none" },
	{ "metrics", "textfile", set_path, AT(metrics.textfile),
	  .max = TEXT(metrics.textfile), .allowed = PATH_OR_NONE },
	{ "metrics", "textfile_interval_s", set_uint32,
	  AT(metrics.textfile_interval_s), RANGE(1, 3600), .unit = "s" },

	{ "limits", "clients", set_uint32, AT(limits.clients),
	  RANGE(1, TCP_CLIENTS_MAX - 1), LIVE },
	{ "limits", "pending_clients", set_uint32, AT(limits.pending_clients),
	  RANGE(1, 1024), LIVE },
	{ "limits", "hello_timeout_ms", set_uint32,
	  AT(limits.hello_timeout_ms), RANGE(100, 60000), LIVE, .unit = "ms" },
	{ "limits", "memory", set_size64, AT(limits.memory),
	  RANGE(16ull << 20, 64ull << 30), .allowed = "16M - 64G",
	  LIVE, .unit = "bytes" },
	{ "limits", "contexts", set_uint32, AT(limits.contexts),
	  RANGE(1, CONTEXTS_MAX), LIVE },
	{ "limits", "listeners", set_uint32, AT(limits.listeners), RANGE(1, 65536),
	  LIVE },
	{ "policy", "user", set_text, POLICY_AT(user), .max = 63,
	  .allowed = "a user's name, or none" },
	{ "policy", "group", set_text, POLICY_AT(group), .max = 63,
	  .allowed = "a group's name, or none" },
	{ "policy", "attach", set_bool, POLICY_AT(attach), .allowed = YES_NO,
	  LIVE },
	{ "policy", "ports", set_ranges, POLICY_AT(engine), .allowed =
	  "any, none, or at most 16 TCP ports and ranges such as 80,8000-8999",
	  LIVE },
	{ "policy", "addresses", set_addrs, POLICY_AT(engine), .allowed =
	  "any, or at most 8 addresses of mtcpd's, separated by commas", LIVE },
	{ "policy", "per", set_word, POLICY_AT(per), .allowed = "policy, user",
	  LIVE },
	{ "policy", "clients", set_limit32, POLICY_AT(clients),
	  RANGE(1, TCP_CLIENTS_MAX - 1), .allowed = "default, 1 - 1023", LIVE },
	{ "policy", "connections", set_limit32, POLICY_AT(connections),
	  RANGE(1, 16777216), .allowed = "default, 1 - 16777216", LIVE },
	{ "policy", "memory", set_limit64, POLICY_AT(memory),
	  RANGE(16ull << 20, 64ull << 30), .allowed = "default, 16M - 64G",
	  LIVE, .unit = "bytes" },
	{ "policy", "connect_rate", set_uint32, POLICY_AT(connect_rate),
	  RANGE(0, 1000000), LIVE, .unit = "1/s" },
	{ "policy", "accept_rate", set_uint32, POLICY_AT(accept_rate),
	  RANGE(0, 1000000), LIVE, .unit = "1/s" },

	{ "limits", "connections", set_uint32, AT(limits.connections),
	  RANGE(1, 16777216), LIVE },
};
#define KEY_COUNT (sizeof(keys) / sizeof(keys[0]))
_Static_assert(KEY_COUNT <= CONFIG_KEYS_MAX, "given-twice marks fit");

/* How a value that a setter stored is told again. */
static const struct {
	int (*set)(const struct config_key *k, void *base, const char *value);
	void (*show)(const struct config_key *k, const void *base,
		     struct text_out *out);
} shows[] = {
	{ set_uint32, show_uint32 },
	{ set_auto_uint32, show_auto_uint32 },
	{ set_size64, show_size64 },
	{ set_bool, show_bool },
	{ set_word, show_word },
	{ set_text, show_text },
	{ set_path, show_text },
	{ set_cc, show_text },
	{ set_listen, show_text },
	{ set_driver, show_text },
	{ set_cores, show_cores },
	{ set_spin, show_spin },
	{ set_local_ports, show_local_ports },
	{ set_address, show_address },
	{ set_mac, show_mac },
	{ set_key, show_key },
	{ set_frames, show_frames },
	{ set_ranges, show_ranges },
	{ set_addrs, show_addrs },
	{ set_limit32, show_limit32 },
	{ set_limit64, show_limit64 },
};

const char *config_key_show(const struct config_key *k, const void *base,
			    char *buf, size_t bytes)
{
	struct text_out out = { .buf = buf, .bytes = bytes };

	buf[0] = '\0';
	for (size_t i = 0; i < sizeof(shows) / sizeof(shows[0]); i++)
		if (shows[i].set == k->set)
			shows[i].show(k, base, &out);
	return buf;
}

const struct config_key *config_key_at(unsigned int index)
{
	return index < KEY_COUNT ? &keys[index] : NULL;
}

const struct config_key *config_key_find(const char *section, const char *name,
					 unsigned int *index)
{
	for (unsigned int i = 0; i < KEY_COUNT; i++) {
		if (strcmp(keys[i].section, section) ||
		    strcmp(keys[i].name, name))
			continue;
		*index = i;
		return &keys[i];
	}
	return NULL;
}

const char *config_key_names(const char *section, char *buf, size_t bytes)
{
	size_t at = 0;

	buf[0] = '\0';
	for (unsigned int i = 0; i < KEY_COUNT && at < bytes; i++)
		if (!strcmp(keys[i].section, section))
			at += (size_t)snprintf(buf + at, bytes - at, "%s%s",
					       at ? ", " : "", keys[i].name);
	return buf;
}

void config_defaults(struct config *cfg)
{
	memset(cfg, 0, sizeof(*cfg));
	strcpy(cfg->daemon.socket, "/run/mtcpd/mtcpd.sock");
	strcpy(cfg->daemon.admin, "/run/mtcpd/admin.sock");
	strcpy(cfg->daemon.pidfile, "/run/mtcpd/mtcpd.pid");
	cfg->daemon.log = LOG_LEVEL_INFO;
	cfg->daemon.stop_grace_ms = 2000;
	cfg->daemon.sandbox = true;
	cfg->daemon.claim = true;
	cfg->engine.spin_auto = true;
	tcp_config_default(&cfg->tcp);
	cfg->tcp.max_conns = 1048576;
	cfg->tcp.max_listeners = 1024;
	cfg->tcp.max_syn = 16384;
	cfg->tcp.max_time_wait = 262144;
	cfg->local_port_min = 32768;
	cfg->local_port_max = 60999;
	cfg->limits = (struct config_limits){
		.clients = 256, .pending_clients = 64,
		.hello_timeout_ms = 5000, .contexts = 64, .listeners = 256,
		.connections = 1048576, .memory = 1ull << 30,
	};
	strcpy(cfg->metrics.listen, "127.0.0.1:9477");
	cfg->metrics.textfile_interval_s = 15;
}
