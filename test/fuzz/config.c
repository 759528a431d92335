/*
 * config.c - fuzzes mtcpd.conf's reader, and mTCP's arp.conf and route.conf
 *
 * A file is the operator's, and still hostile: whatever it says ends in a
 * configuration within its bounds or in one sentence that fits its buffer.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "control/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct config *c)
{
	ENSURE(c->port_count <= PORT_MAX, "as many ports as there may be");
	ENSURE(c->engine.cpu_count <= ENGINES_MAX, "and cores");
	ENSURE(c->local_port_min <= c->local_port_max &&
	       c->local_port_max <= 65535, "ports are ports");
	ENSURE(memchr(c->daemon.socket, 0, sizeof(c->daemon.socket)) &&
	       memchr(c->daemon.admin, 0, sizeof(c->daemon.admin)),
	       "paths end");
	for (uint32_t i = 0; i < c->port_count; i++)
		ENSURE(memchr(c->ports[i].io.device, 0,
			      sizeof(c->ports[i].io.device)), "names end");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct config cfg;
	char path[64], err[CONFIG_ERR_BYTES];
	int fd = memfd_create("conf", 0), rc;

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	memset(err, 0, sizeof(err));
	rc = config_load(&cfg, path, err);
	if (rc == 0)
		check(&cfg);
	else
		ENSURE(err[0] && memchr(err, 0, sizeof(err)), "one sentence");
	config_mtcp_arp(&cfg, path, err);
	config_mtcp_route(&cfg, path, err);
	close(fd);
	return 0;
}
