/*
 * config.h - what mtcpd.conf says, checked
 *
 *	mtcpd.conf -- libinih --> table of keys --> struct config
 *	arp.conf, route.conf (mTCP's) ------------------^
 *
 * The whole file is read, checked and resolved (routes to ports) before
 * anything is opened, so that a mistake costs a sentence and nothing else.
 * etc/mtcpd.conf describes every key; config_keys.c is the table.
 *
 * Errors    -EINVAL (or what open() said) with one sentence in @err that names
 *           file, line, key, what was found and what is allowed.
 * Ownership The caller's struct; it holds no pointers.
 * Threads   Control, before engines start; immutable afterwards.
 */
#ifndef CONTROL_CONFIG_H
#define CONTROL_CONFIG_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/un.h>

#include "base/log.h"
#include "io/port.h"
#include "engine/engine.h"
#include "shm/layout.h"

#define CONFIG_ERR_BYTES	512
#define CONFIG_PATH_BYTES	256
#define CONFIG_FILE		"/etc/mtcpd/mtcpd.conf"
#define CONFIG_SPIN_FOREVER	(~0u)	/* as engine_config.spin_us */

enum config_choice { CHOICE_AUTO, CHOICE_YES, CHOICE_NO };

struct config_daemon {
	char socket[sizeof(((struct sockaddr_un *)0)->sun_path)];
	char admin[sizeof(((struct sockaddr_un *)0)->sun_path)];
	char pidfile[CONFIG_PATH_BYTES];	/* empty: none */
	char arp_conf[CONFIG_PATH_BYTES];	/* empty: none */
	char route_conf[CONFIG_PATH_BYTES];	/* empty: none */
	uint32_t log;				/* enum log_level */
	char group[64];				/* empty: none */
	uint32_t gid;				/* valid with a group */
	uint32_t stop_grace_ms, drain_s;
	bool sandbox;
	bool claim;				/* claim.h */
};

struct config_engine {
	uint32_t cpus[ENGINES_MAX];	/* cores named in the file */
	uint32_t cpu_count;		/* 0: auto */
	uint32_t count;			/* unpinned; 0: auto */
	uint32_t spin_us;
	bool spin_auto;
	uint32_t huge_pages;		/* enum config_choice */
};

enum config_follow { FOLLOW_NO, FOLLOW_KERNEL };

struct config_port {
	struct port_config io;		/* as port_open() wants it */
	uint8_t prefix[16];		/* of io.addrs, of 128 */
	uint32_t zero_copy;		/* enum config_choice */
	uint32_t follow;		/* enum config_follow */
	bool kernel_addrs;		/* none given: the kernel's */
	unsigned int line;
};

struct config_metrics {
	char listen[64];		/* ADDRESS:PORT; empty: not at all */
	char textfile[CONFIG_PATH_BYTES];	/* empty: none */
	uint32_t textfile_interval_s;
};

struct config_limits {
	uint32_t clients, pending_clients, hello_timeout_ms;
	uint32_t contexts, listeners, connections;
	uint64_t memory;		/* bytes a segment */
};

/* [policy NAME]: the first that fits a program's user or group is its. */
#define CONFIG_POLICIES_MAX	32

enum config_per { PER_POLICY, PER_USER };

struct config_policy {
	char name[32];
	char user[64], group[64];	/* empty: any */
	uint32_t uid, gid;		/* valid with a name */
	bool attach;
	struct engine_policy engine;	/* TCP ports, addresses */
	/* Of all its programs, or of a user's, together: account.h. */
	uint32_t per;			/* enum config_per */
	uint32_t clients;		/* programs at once; 0: any number */
	uint32_t connections;		/* 0: [limits], a program and engine */
	uint64_t memory;		/* bytes; 0: [limits], a program */
	uint32_t connect_rate, accept_rate;	/* a second; 0: any */
	unsigned int line;
};

struct config {
	char file[CONFIG_PATH_BYTES];	/* that it was read from */
	struct config_daemon daemon;
	struct config_engine engine;
	struct config_port ports[PORT_MAX];
	uint32_t port_count;
	struct net_config net;		/* addresses, routes, neighbours */
	struct tcp_config tcp;
	uint32_t local_port_min, local_port_max;	/* host order */
	struct config_limits limits;
	struct config_policy policies[CONFIG_POLICIES_MAX];
	uint32_t policy_count;
	struct engine_access access[ENGINE_ACCESS_MAX];
	uint32_t access_count;
	struct config_metrics metrics;
};

/* Reads @file into @cfg, all defaults first. */
int config_load(struct config *cfg, const char *file, char *err);

/* config_text.c: what values look like; each 0 or -EINVAL */
int text_uint(const char *text, uint64_t min, uint64_t max, bool size,
	      uint64_t *out);
int text_mac(const char *text, uint8_t mac[6]);
/* a.b.c.d/len; without /len only if @len_default is not 0.  @prefix of 128. */
int text_net(const char *text, unsigned int len_default, struct ip_addr *addr,
	     uint8_t *prefix);
int text_cores(const char *text, uint32_t *cores, uint32_t max,
	       uint32_t *count);

/* config_policy.c */
int text_ranges(const char *text, struct engine_policy *out);
int text_addrs(const char *text, struct engine_policy *out);
/* A line of [access]: `80 = allow 10.0.0.0/8, ...`. */
int config_add_access(struct config *cfg, const char *port, const char *rule,
		      char *why);
/* Finds users and groups; 0, or -EINVAL with a sentence. */
int config_policy_resolve(struct config_policy *p, char *why);
/* The policy of who has @uid and one of @gids; NULL: none. */
const struct config_policy *config_policy_of(const struct config *cfg,
					     uint32_t uid, const uint32_t *gids,
					     size_t gid_count);

/* config_net.c: neighbours and routes find their ports */
int config_add_route(struct config *cfg, const char *net, const char *target,
		     char *why);
int config_add_neigh(struct config *cfg, const char *addr, const char *mac,
		     char *why);
/* Id of the port of that name or device, or -1. */
int config_port_id(const struct config *cfg, const char *name);
/* Id of the port whose network holds @a, or -1. */
int config_port_of(const struct config *cfg, const struct ip_addr *a);

/* config_mtcp.c: mTCP's own files, after the ports are known */
int config_mtcp_arp(struct config *cfg, const char *file, char *err);
int config_mtcp_route(struct config *cfg, const char *file, char *err);

/* config_keys.c: the table */
struct config_key {
	const char *section, *name;
	/* 0, or -EINVAL: @value is not allowed here */
	int (*set)(const struct config_key *k, void *base, const char *value);
	size_t at;			/* offset in struct config, or of a port */
	uint64_t min, max;
	uint32_t scale;			/* stored = value * scale; 0: 1 */
	bool repeats;			/* may be given more than once */
	bool live;			/* can change while mtcpd runs */
	const char *unit;		/* NULL: none */
	const char *allowed;		/* for people; NULL: min - max */
};
/* The key, or NULL.  @index is its number, below CONFIG_KEYS_MAX. */
const struct config_key *config_key_find(const char *section, const char *name,
					 unsigned int *index);
/* By number; NULL: no more. */
const struct config_key *config_key_at(unsigned int index);
/* The value as a file would have it; @base as for set().  Returns @buf. */
const char *config_key_show(const struct config_key *k, const void *base,
			    char *buf, size_t bytes);
/* What is allowed, for people.  Returns @buf or a constant. */
const char *config_key_allowed(const struct config_key *k, char *buf,
			       size_t bytes);
/* Names of a section's keys, separated by ", ". */
const char *config_key_names(const char *section, char *buf, size_t bytes);
void config_defaults(struct config *cfg);
#define CONFIG_KEYS_MAX	128
#define CONFIG_VALUE_BYTES 640		/* of a value as text */

/* config_show.c: what config_key_show() is made of */
struct text_out {
	char *buf;
	size_t bytes, used;
};
void text_add(struct text_out *out, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
#define CONFIG_SHOW(name) void name(const struct config_key *k, \
				    const void *base, struct text_out *out)
CONFIG_SHOW(show_uint32);
CONFIG_SHOW(show_auto_uint32);
CONFIG_SHOW(show_size64);
CONFIG_SHOW(show_bool);
CONFIG_SHOW(show_word);
CONFIG_SHOW(show_text);
CONFIG_SHOW(show_cores);
CONFIG_SHOW(show_spin);
CONFIG_SHOW(show_local_ports);
CONFIG_SHOW(show_address);
CONFIG_SHOW(show_mac);
CONFIG_SHOW(show_key);
CONFIG_SHOW(show_frames);
CONFIG_SHOW(show_ranges);
CONFIG_SHOW(show_addrs);
CONFIG_SHOW(show_limit32);
CONFIG_SHOW(show_limit64);

/* config_live.c: one changed value, and two configurations compared */

/*
 * Sets "section.key", or "port.NAME.key", as a file would and checks the
 * whole.  -EINVAL with a sentence, -EROFS when the key needs a restart; @cfg
 * is then unchanged.
 */
int config_set(struct config *cfg, const char *name, const char *value,
	       char *err);

/* One key's place: name, and where its value lies in @cfg. */
struct config_place {
	const struct config_key *key;
	const void *base;
	char name[96];
};
/* The @n-th place, or false. */
bool config_place_at(const struct config *cfg, unsigned int n,
		     struct config_place *out);
bool config_place_find(const struct config *cfg, const char *name,
		       struct config_place *out);

/*
 * Takes over from @next what can change live.  Names of keys that differ and
 * cannot are written to @restart, separated by ", "; returns how many changed.
 */
unsigned int config_merge(struct config *cfg, const struct config *next,
			  char *restart, size_t bytes);

/* What needs more than one key; @file for the message. */
int config_check(struct config *cfg, const char *file, char *err);

#endif
