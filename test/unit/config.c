/* mtcpd.conf, arp.conf and route.conf: every message, by a table of files. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/config.h"

#define PORT	"[port p]\ndriver = tap\naddress = 10.0.0.2/24\n"	/* 3 lines */
#define DRIVERS	"\1"		/* stands for port_driver_names() */

static char dir[] = "/tmp/mtcpd-config-XXXXXX";
static char file[64], other[64];

static int make_dir(void **state)
{
	(void)state;
	if (!mkdtemp(dir))
		return -1;
	snprintf(file, sizeof(file), "%s/f", dir);
	snprintf(other, sizeof(other), "%s/o", dir);
	return 0;
}

static int remove_dir(void **state)
{
	(void)state;
	unlink(file);
	unlink(other);
	return rmdir(dir);
}

static void write_file(const char *path, const char *text, size_t bytes)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, bytes, f), bytes);
	fclose(f);
}

/* @want with \1 replaced by the drivers' names, after "FILE". */
static void expand(char *out, size_t bytes, const char *path, const char *want)
{
	const char *mark = strchr(want, '\1');
	int head = mark ? (int)(mark - want) : (int)strlen(want);

	snprintf(out, bytes, "%s%.*s%s%s", path, head, want,
		 mark ? port_driver_names() : "", mark ? mark + 1 : "");
}

static struct config *load(const char *text, int *rc, char *err)
{
	struct config *cfg = malloc(sizeof(*cfg));

	assert_non_null(cfg);
	write_file(file, text, strlen(text));
	err[0] = '\0';
	*rc = config_load(cfg, file, err);
	return cfg;
}

#define KEYS_DAEMON \
	"socket, admin, pidfile, log, group, arp_conf, route_conf, " \
	"stop_grace_ms, drain_s, sandbox, claim"
#define KEYS_PORT \
	"driver, device, address, mtu, mac, zero_copy, frames, vlan, " \
	"share, follow"
#define SECTIONS \
	"daemon, engine, port NAME, route, neighbour, tcp, limits, " \
	"policy NAME, access"
#define CORES \
	"auto, or a list such as 0,1 or 2-5 of at most 16 different cores"
#define ADDRESSES \
	"at most 16 different addresses a.b.c.d/len, separated by commas"
#define PATH "an absolute path of at most 255 bytes, or none"
#define SOCKET "an absolute path of at most 107 bytes"
#define LONG50 "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeee"

static const struct {
	const char *text, *error;	/* after the file's name */
} bad[] = {
	/* the shape of the file */
	{ "", ": no [port NAME] section: give mtcpd a port to serve" },
	{ "mtu = 1\n", ":1: \"mtu\" stands before the first [section]" },
	{ "\n# c\n[demon]\n",
	  ":3: [demon] is no section; allowed: " SECTIONS },
	{ "[]\n", ":1: [] is no section; allowed: " SECTIONS },
	{ "[port]\n", ":1: [port] is no section; allowed: " SECTIONS },
	{ "[tcp\n", ":1: expected `]` at the end of \"[tcp\"" },
	{ "[tcp] x\n", ":1: expected `]` at the end of \"[tcp] x\"" },
	{ "[tcp]\nretries\n",
	  ":2: expected `[section]` or `key = value`, found \"retries\"" },
	{ "[tcp]\n" LONG50 LONG50 LONG50 LONG50 " = 1\n",
	  ":2: the line is longer than 198 bytes (give `address` several "
	  "times)" },
	{ "[daemon]\nport = 1\n",
	  ":2: [daemon] has no key \"port\"; allowed: " KEYS_DAEMON },
	{ "[limits]\nclients = 1\nclients = 2\n",
	  ":3: [limits] clients is given twice" },
	/* ports */
	{ "[port a b]\n", ":1: [port a b]: expected a name of letters, "
	  "digits, - and _, at most 31" },
	{ "[port abcdefghijklmnopqrstuvwxyz012345]\n",
	  ":1: [port abcdefghijklmnopqrstuvwxyz012345]: expected a name of "
	  "letters, digits, - and _, at most 31" },
	{ PORT "[port p]\n",
	  ":4: [port p] is given twice (first in line 1)" },
	{ "[port p]\naddress = 10.0.0.2/24\n",
	  ":1: [port p] has no `driver`; allowed: " DRIVERS },
	{ "[port p]\ndriver = tap\n",
	  ":1: [port p] has no `address`; give it one (a.b.c.d/len)" },
	{ "[port p]\ndriver = dpdk\n",
	  ":2: [port p] driver = \"dpdk\": allowed: " DRIVERS },
	{ "[port p]\ndrive = tap\n",
	  ":2: [port] has no key \"drive\"; allowed: " KEYS_PORT },
	{ "[port p]\nmtu = 575\n",
	  ":2: [port p] mtu = \"575\": allowed: auto, 576 - 65535" },
	{ "[port p]\nmtu = 65536\n",
	  ":2: [port p] mtu = \"65536\": allowed: auto, 576 - 65535" },
	{ "[port p]\nmtu = 9000x\n",
	  ":2: [port p] mtu = \"9000x\": allowed: auto, 576 - 65535" },
	{ "[port p]\naddress = 10.0.0.2\n",
	  ":2: [port p] address = \"10.0.0.2\": allowed: " ADDRESSES },
	{ "[port p]\naddress = 10.0.0.2/33\n",
	  ":2: [port p] address = \"10.0.0.2/33\": allowed: " ADDRESSES },
	{ "[port p]\naddress = 0.0.0.0/0\n",
	  ":2: [port p] address = \"0.0.0.0/0\": allowed: " ADDRESSES },
	{ "[port p]\naddress = 10.0.0.2/24, 10.0.0.2/16\n",
	  ":2: [port p] address = \"10.0.0.2/24, 10.0.0.2/16\": allowed: "
	  ADDRESSES },
	{ "[port p]\naddress = ::1/64\n",
	  ":2: [port p] address = \"::1/64\": allowed: " ADDRESSES },
	{ PORT "[port q]\ndriver = tap\naddress = 10.0.0.2/16\n",
	  ":4: [port q] has an address that another port has too" },
	{ "[port p]\nmac = 01:00:00:00:00:01\n",
	  ":2: [port p] mac = \"01:00:00:00:00:01\": allowed: auto, or a "
	  "unicast address aa:bb:cc:dd:ee:ff" },
	{ "[port p]\nmac = 02:00:00:00:00\n",
	  ":2: [port p] mac = \"02:00:00:00:00\": allowed: auto, or a "
	  "unicast address aa:bb:cc:dd:ee:ff" },
	{ "[port p]\ndriver = tap\naddress = 10.0.0.2/24\nvlan = 5\n",
	  ":1: [port p] vlan: the driver tap cannot tag frames, psio can; "
	  "xdp takes the kernel's VLAN interface as its device" },
	{ "[port p]\ndriver = psio\naddress = 10.0.0.2/24\nvlan = 5\n"
	  "follow = kernel\n",
	  ":1: [port p] vlan: follow = kernel would follow the untagged "
	  "interface" },
	{ "[port p]\nvlan = 4095\n",
	  ":2: [port p] vlan = \"4095\": allowed: 0 - 4094" },
	{ "[port p]\nzero_copy = maybe\n",
	  ":2: [port p] zero_copy = \"maybe\": allowed: auto, yes, no" },
	{ "[port p]\nframes = 1000\n",
	  ":2: [port p] frames = \"1000\": allowed: auto, or a power of two, "
	  "512 - 1048576" },
	/* daemon */
	{ "[daemon]\nsocket = mtcpd.sock\n",
	  ":2: [daemon] socket = \"mtcpd.sock\": allowed: " SOCKET },
	{ "[daemon]\nsocket = none\n",
	  ":2: [daemon] socket = \"none\": allowed: " SOCKET },
	{ "[daemon]\nsocket = /" LONG50 LONG50 "1234567\n",
	  ":2: [daemon] socket = \"/" LONG50 LONG50 "1234567\": allowed: "
	  SOCKET },
	{ "[daemon]\npidfile = x\n",
	  ":2: [daemon] pidfile = \"x\": allowed: " PATH },
	{ "[daemon]\nlog = verbose\n",
	  ":2: [daemon] log = \"verbose\": allowed: error, warn, info, "
	  "debug" },
	{ "[daemon]\nstop_grace_ms = -1\n",
	  ":2: [daemon] stop_grace_ms = \"-1\": allowed: 0 - 60000" },
	{ PORT "[daemon]\ngroup = no-such-group-here\n",
	  ": [daemon] group = \"no-such-group-here\": there is no such group; "
	  "make it (groupadd no-such-group-here) or correct the name" },
	{ PORT "[daemon]\nsocket = /a\nadmin = /a\n",
	  ": [daemon] `socket` and `admin` are the same path" },
	/* engine */
	{ "[engine]\ncores = 0,0\n",
	  ":2: [engine] cores = \"0,0\": allowed: " CORES },
	{ "[engine]\ncores = 3-1\n",
	  ":2: [engine] cores = \"3-1\": allowed: " CORES },
	{ "[engine]\ncores = 0-16\n",
	  ":2: [engine] cores = \"0-16\": allowed: " CORES },
	{ "[engine]\ncores = 1,\n",
	  ":2: [engine] cores = \"1,\": allowed: " CORES },
	{ "[engine]\ncores =\n",
	  ":2: [engine] cores = \"\": allowed: " CORES },
	{ "[engine]\ncount = 17\n",
	  ":2: [engine] count = \"17\": allowed: auto, 1 - 16" },
	{ "[engine]\ncount = 0\n",
	  ":2: [engine] count = \"0\": allowed: auto, 1 - 16" },
	{ "[engine]\nspin_us = 1000001\n",
	  ":2: [engine] spin_us = \"1000001\": allowed: auto, forever, "
	  "0 - 1000000" },
	{ "[engine]\nhuge_pages = 1\n",
	  ":2: [engine] huge_pages = \"1\": allowed: auto, yes, no" },
	{ PORT "[engine]\ncores = 0\ncount = 1\n",
	  ": [engine] both `cores` and `count` are given: name the cores, or "
	  "say how many" },
	/* tcp, limits */
	{ "[tcp]\nretries = 31\n",
	  ":2: [tcp] retries = \"31\": allowed: 1 - 30" },
	{ "[tcp]\nretries = 99999999999999999999\n",
	  ":2: [tcp] retries = \"99999999999999999999\": allowed: 1 - 30" },
	{ "[tcp]\nmax_connections = 17179869184G\n",
	  ":2: [tcp] max_connections = \"17179869184G\": allowed: "
	  "64 - 16777216" },
	{ "[tcp]\ncongestion = vegas\n",
	  ":2: [tcp] congestion = \"vegas\": allowed: cubic, reno, dctcp, bbr" },
	{ "[tcp]\ntimestamps = on\n",
	  ":2: [tcp] timestamps = \"on\": allowed: yes, no" },
	{ "[tcp]\nlocal_ports = 40000-30000\n",
	  ":2: [tcp] local_ports = \"40000-30000\": allowed: first-last, both "
	  "1024 - 65535" },
	{ "[tcp]\nlocal_ports = 80-65535\n",
	  ":2: [tcp] local_ports = \"80-65535\": allowed: first-last, both "
	  "1024 - 65535" },
	{ PORT "[tcp]\nrcv_wnd_max = 4096\n",
	  ": [tcp] rcv_wnd_initial (65535) is above rcv_wnd_max (4096)" },
	{ PORT "[tcp]\nsnd_buf_max = 4096\n",
	  ": [tcp] snd_buf_initial (262144) is above snd_buf_max (4096)" },
	{ "[limits]\nmemory = 1M\n",
	  ":2: [limits] memory = \"1M\": allowed: 16M - 64G" },
	{ "[limits]\nclients = 1024\n",
	  ":2: [limits] clients = \"1024\": allowed: 1 - 1023" },
	/* routes and neighbours */
	{ PORT "[route]\n10.1.0.0 = 10.0.0.1\n",
	  ":5: [route] \"10.1.0.0 = 10.0.0.1\": expected `a.b.c.d/len` "
	  "(len 0 - 32) or `default`" },
	{ PORT "[route]\n10.1.0.1/16 = 10.0.0.1\n",
	  ":5: [route] \"10.1.0.1/16 = 10.0.0.1\": the network has bits set "
	  "after its length" },
	{ PORT "[route]\n10.1.0.0/16 = nobody\n",
	  ":5: [route] \"10.1.0.0/16 = nobody\": expected a gateway's address "
	  "or the name of a port" },
	{ PORT "[route]\ndefault = 10.9.9.9\n",
	  ":5: [route] \"default = 10.9.9.9\": the gateway is in no port's "
	  "network; give a port an address in its network, or correct it" },
	{ PORT "[route]\ndefault = 10.0.0.1\n0.0.0.0/0 = p\n",
	  ":6: [route] \"0.0.0.0/0 = p\": this network has a route already" },
	{ PORT "[neighbour]\n10.0.0.1 = 1:2:3\n",
	  ":5: [neighbour] \"10.0.0.1 = 1:2:3\": expected a unicast MAC "
	  "address such as 02:00:00:00:00:01" },
	{ PORT "[neighbour]\nhost = 02:00:00:00:00:01\n",
	  ":5: [neighbour] \"host = 02:00:00:00:00:01\": expected `a.b.c.d = "
	  "aa:bb:cc:dd:ee:ff`" },
	{ PORT "[neighbour]\n10.9.0.1 = 02:00:00:00:00:01\n",
	  ":5: [neighbour] \"10.9.0.1 = 02:00:00:00:00:01\": the neighbour is "
	  "in no port's network; give a port an address in its network, or "
	  "correct it" },
	{ PORT "[neighbour]\n10.0.0.1 = 02:00:00:00:00:01\n"
	  "10.0.0.1 = 02:00:00:00:00:02\n",
	  ":6: [neighbour] \"10.0.0.1 = 02:00:00:00:00:02\": this neighbour "
	  "is given already" },
};

static void bad_files(void **state)
{
	char err[CONFIG_ERR_BYTES], want[1024];
	int rc;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		free(load(bad[i].text, &rc, err));
		expand(want, sizeof(want), file, bad[i].error);
		assert_string_equal(err, want);
		assert_int_equal(rc, -EINVAL);
	}
}

static void missing_file(void **state)
{
	struct config *cfg = malloc(sizeof(*cfg));
	char err[CONFIG_ERR_BYTES];

	(void)state;
	assert_int_equal(config_load(cfg, "/nonexistent/f", err), -ENOENT);
	assert_string_equal(err, "/nonexistent/f: cannot be read: No such file "
			    "or directory (give another file with -c FILE)");
	assert_true(config_load(cfg, "/", err) < 0);
	assert_string_equal(err, "/: cannot be read (is it a file?)");
	free(cfg);
}

/* Everything given, in the spellings that are allowed. */
static void good_file(void **state)
{
	static const char text[] =
		"\xef\xbb\xbf# comment\r\n"
		"  [daemon]\r\n\tlog=debug ; less\nstop_grace_ms = 1K\n"
		"pidfile = none\n"
		"[engine]\ncores = 0, 2-3\nspin_us = forever\nhuge_pages = no\n"
		"[port a]\ndriver = tap\ndevice = mt0 # two\n"
		"address = 10.0.0.2/24, 10.0.0.3/32\naddress = 10.1.0.2/16\n"
		"mtu = 9000\nmac = 02:00:00:00:00:0A\nzero_copy = no\n"
		"frames = 4K\n"
		"[tcp]\ntime_wait_s = 2\nrcv_wnd_max = 16M\n"
		"window_scaling = no\ncongestion = reno\n"
		"local_ports = 1024 - 65535\n"
		"[limits]\nmemory = 2G\n"
		"[route]\n10.2.0.0/16 = 10.0.0.1\n10.3.0.0/16 = a\n"
		"default = 10.1.0.1\n"
		"[port b]\ndriver = tap\naddress = 10.5.0.1/8\n"
		"[port c]\ndriver = psio\naddress = 10.6.0.1/8\nvlan = 100\n"
		"[neighbour]\n10.1.0.9 = 02:00:00:00:00:09\n";
	char err[CONFIG_ERR_BYTES], buf[ADDR_TEXT_BYTES];
	struct config *cfg;
	int rc;

	(void)state;
	cfg = load(text, &rc, err);
	assert_string_equal(err, "");
	assert_int_equal(rc, 0);
	assert_int_equal(cfg->daemon.log, LOG_LEVEL_DEBUG);
	assert_int_equal(cfg->daemon.stop_grace_ms, 1024);
	assert_string_equal(cfg->daemon.pidfile, "");
	assert_string_equal(cfg->daemon.socket, "/run/mtcpd/mtcpd.sock");
	assert_int_equal(cfg->engine.cpu_count, 3);
	assert_int_equal(cfg->engine.cpus[2], 3);
	assert_int_equal(cfg->engine.spin_us, CONFIG_SPIN_FOREVER);
	assert_false(cfg->engine.spin_auto);
	assert_int_equal(cfg->engine.huge_pages, CHOICE_NO);
	assert_int_equal(cfg->port_count, 3);
	assert_int_equal(cfg->ports[2].io.vlan, 100);
	assert_int_equal(cfg->ports[1].io.vlan, 0);
	assert_string_equal(cfg->ports[0].io.device, "mt0");
	assert_string_equal(cfg->ports[1].io.device, "b");
	assert_int_equal(cfg->ports[0].io.addr_count, 3);
	assert_int_equal(cfg->ports[0].prefix[1], 128);
	assert_int_equal(cfg->ports[0].io.mtu, 9000);
	assert_int_equal(cfg->ports[0].io.mac[5], 10);
	assert_true(cfg->ports[0].io.force_copy);
	assert_false(cfg->ports[0].io.zero_copy);
	assert_true(cfg->ports[1].io.zero_copy);
	assert_int_equal(cfg->ports[0].io.frames_log2, 12);
	assert_int_equal(cfg->tcp.time_wait_ms, 2000);
	assert_int_equal(cfg->tcp.rcv_wnd_max, 16 << 20);
	assert_false(cfg->tcp.window_scaling);
	assert_string_equal(cfg->tcp.cc, "reno");
	assert_int_equal(cfg->local_port_min, 1024);
	assert_int_equal(cfg->local_port_max, 65535);
	assert_true(cfg->limits.memory == 2ull << 30);
	assert_int_equal(cfg->net.addr_count, 5);
	assert_int_equal(cfg->net.route_count, 3);
	assert_int_equal(cfg->net.routes[2].prefix, 96);
	assert_string_equal(addr_text(&cfg->net.routes[2].gateway, buf),
			    "10.1.0.1");
	assert_int_equal(cfg->net.routes[2].port, 0);
	assert_true(addr_is_any(&cfg->net.routes[1].gateway));
	assert_int_equal(cfg->net.neigh_count, 1);
	assert_int_equal(cfg->net.neigh[0].port, 0);
	assert_int_equal(cfg->net.neigh[0].state, NEIGH_STATIC);
	free(cfg);
}

/* What etc/mtcpd.conf says about defaults is what a file without keys gets. */
static void shipped_file(void **state)
{
	char err[CONFIG_ERR_BYTES], line[256], text[32768] = "";
	struct config *plain, *spelt = malloc(sizeof(*spelt));
	FILE *f = fopen(SHIPPED_CONF, "r");
	int rc;

	(void)state;
	assert_non_null(f);
	/* "#key = value" becomes "key = value"; examples are "#\t" or "#[". */
	for (bool on = true; fgets(line, sizeof(line), f);) {
		bool key = line[0] == '#' && line[1] >= 'a' && line[1] <= 'z' &&
			   strstr(line, " = ");

		if (line[0] == '#' && line[1] == '[')
			on = false;
		else if (line[0] == '[')
			on = true;
		if (!on && key)
			continue;
		strcat(text, key ? line + 1 : line);
	}
	fclose(f);
	plain = load(text, &rc, err);
	assert_string_equal(err, "");
	assert_int_equal(config_load(spelt, SHIPPED_CONF, err), 0);
	plain->ports[0].line = spelt->ports[0].line;
	assert_memory_equal(&plain->daemon, &spelt->daemon,
			    sizeof(plain->daemon));
	assert_memory_equal(&plain->engine, &spelt->engine,
			    sizeof(plain->engine));
	assert_memory_equal(&plain->ports, &spelt->ports, sizeof(plain->ports));
	assert_memory_equal(&plain->tcp, &spelt->tcp, sizeof(plain->tcp));
	assert_memory_equal(&plain->limits, &spelt->limits,
			    sizeof(plain->limits));
	assert_int_equal(plain->local_port_min, spelt->local_port_min);
	assert_int_equal(plain->local_port_max, spelt->local_port_max);
	free(plain);
	free(spelt);
}

static const struct {
	bool arp;
	const char *text, *error;	/* NULL: read */
} mtcp[] = {
	{ true, "# mTCP\nARP_ENTRY 2\n10.0.0.1/32 02:00:00:00:00:01\n"
	  "10.0.0.4 02:00:00:00:00:04 # four\n", NULL },
	{ true, "", ":0: expected `ARP_ENTRY n`" },
	{ true, "ROUTES 1\n", ":1: expected `ARP_ENTRY n`" },
	{ true, "ARP_ENTRY 0\n",
	  ":1: ARP_ENTRY 0: expected a number from 1 to 4096" },
	{ true, "ARP_ENTRY -3\n",
	  ":1: ARP_ENTRY -3: expected a number from 1 to 4096" },
	{ true, "ARP_ENTRY 1\n10.0.0.1/32 02:00:00:00:00:01\n"
	  "10.0.0.4/32 02:00:00:00:00:04\n",
	  ":3: more lines than the 1 that ARP_ENTRY says" },
	{ true, "ARP_ENTRY 1\n10.0.0.1/32\n",
	  ":2: expected two words, found \"10.0.0.1/32\"" },
	{ true, "ARP_ENTRY 1\n10.0.0.0/24 02:00:00:00:00:01\n",
	  ":2: \"10.0.0.0/24 02:00:00:00:00:01\": expected a single address "
	  "(a.b.c.d/32): a neighbour has one MAC address" },
	{ true, "ARP_ENTRY 1\n10.0.0.1/32 zz\n",
	  ":2: \"10.0.0.1 zz\": expected a unicast MAC address such as "
	  "02:00:00:00:00:01" },
	{ false, "ROUTES 2\n10.7.0.0/16 p\n10.0.0.1/0 p\n", NULL },
	{ false, "ROUTES 65536\n",
	  ":1: ROUTES 65536: expected a number from 1 to 256" },
	{ false, "ROUTES 1\n10.7.0.0/16 xge0\n",
	  ":2: \"10.7.0.0/16 xge0\": \"xge0\" is no port's name or device" },
	{ false, "ROUTES 1\n10.9.9.9/0 p\n",
	  ":2: \"10.9.9.9 p\": the gateway is in no port's network; give a "
	  "port an address in its network, or correct it" },
	{ false, "ROUTES 1\n10.7.0.0/16 p extra\n",
	  ":2: expected two words, found \"10.7.0.0/16 p extra\"" },
};

static void mtcp_files(void **state)
{
	char err[CONFIG_ERR_BYTES], want[1024], text[512];
	int rc;

	(void)state;
	for (size_t i = 0; i < sizeof(mtcp) / sizeof(mtcp[0]); i++) {
		struct config *cfg;

		snprintf(text, sizeof(text), "[daemon]\n%s = %s\n" PORT,
			 mtcp[i].arp ? "arp_conf" : "route_conf", other);
		write_file(other, mtcp[i].text, strlen(mtcp[i].text));
		cfg = load(text, &rc, err);
		want[0] = '\0';
		if (mtcp[i].error)
			expand(want, sizeof(want), other, mtcp[i].error);
		assert_string_equal(err, want);
		assert_int_equal(rc, mtcp[i].error ? -EINVAL : 0);
		if (!mtcp[i].error)
			assert_int_equal(mtcp[i].arp ? cfg->net.neigh_count :
					 cfg->net.route_count, 2);
		free(cfg);
	}
}

/* Nothing that a file can hold does harm: a seeded storm of half-right files. */
static void random_files(void **state)
{
	static const char *const words[] = {
		"[", "]", "port", "p", " ", "=", "\n", "\t", "#", ";", "tcp",
		"driver", "tap", "address", "10.0.0.2/24", ",", "mtu", "\xff",
		"[port x]\n", "[route]\n", "default", "10.0.0.1", "/", "9",
		"[neighbour]\n", "02:00:00:00:00:01", LONG50, "-", "\r\n",
		"[engine]\ncores = ", "0-3", "auto", "[limits]\nmemory=", "K",
	};
	struct config *cfg = malloc(sizeof(*cfg));
	char err[CONFIG_ERR_BYTES];
	uint32_t seed = 1;

	(void)state;
	for (int round = 0; round < 3000; round++) {
		FILE *f = fopen(file, "w");
		int rc;

		for (int i = 0; i < 40; i++) {
			seed = seed * 1664525 + 1013904223;
			if (seed >> 27 == 0)
				fputc((int)(seed >> 8 & 0xff), f);
			else
				fputs(words[(seed >> 8) % (sizeof(words) /
				      sizeof(words[0]))], f);
		}
		fclose(f);
		err[0] = '\0';
		rc = config_load(cfg, file, err);
		assert_true(rc == 0 || (rc < 0 && err[0]));
		assert_true(strlen(err) < CONFIG_ERR_BYTES);
	}
	free(cfg);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bad_files),
		cmocka_unit_test(missing_file),
		cmocka_unit_test(good_file),
		cmocka_unit_test(shipped_file),
		cmocka_unit_test(mtcp_files),
		cmocka_unit_test(random_files),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
