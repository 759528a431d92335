/* port.c - the built-in drivers and the life of a port (port.h) */
#include "port.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "io/drivers.h"

static const struct port_ops *const drivers[] = {
	&port_xdp_ops,
	&port_psio_ops,
	&port_tap_ops,
	&port_wire_ops,
};

#define DRIVERS	(sizeof(drivers) / sizeof(drivers[0]))

const struct port_ops *port_driver(const char *name)
{
	for (size_t i = 0; i < DRIVERS; i++)
		if (!strcmp(drivers[i]->driver, name))
			return drivers[i];
	return NULL;
}

const char *port_driver_names(void)
{
	return "xdp, psio, tap, wire";
}

static int check(const struct port_config *cfg, char *err)
{
	if (cfg->queues < 1 || cfg->queues > PORT_QUEUES_MAX) {
		snprintf(err, PORT_ERR_BYTES,
			 "port %s: %u queues: a port has 1 to %d, one an engine",
			 cfg->name, cfg->queues, PORT_QUEUES_MAX);
		return -EINVAL;
	}
	if (!cfg->device[0]) {
		snprintf(err, PORT_ERR_BYTES, "port %s: no device is named",
			 cfg->name);
		return -EINVAL;
	}
	if (cfg->frames_log2 && (cfg->frames_log2 < 8 || cfg->frames_log2 > 20)) {
		snprintf(err, PORT_ERR_BYTES,
			 "port %s: 2^%u frames a queue: from 2^8 to 2^20 work",
			 cfg->name, cfg->frames_log2);
		return -EINVAL;
	}
	return 0;
}

int port_open(struct port **out, const struct port_config *cfg, uint8_t id,
	      char *err)
{
	const struct port_ops *ops = port_driver(cfg->driver);
	int rc;

	err[0] = '\0';
	if (!ops) {
		snprintf(err, PORT_ERR_BYTES,
			 "port %s: no driver is called '%s'; there are %s",
			 cfg->name, cfg->driver, port_driver_names());
		return -ENOENT;
	}
	rc = check(cfg, err);
	if (!rc)
		rc = ops->open(out, cfg, err);
	if (rc)
		return rc;
	(*out)->ops = ops;
	(*out)->id = id;
	snprintf((*out)->name, sizeof((*out)->name), "%s", cfg->name);
	snprintf((*out)->device, sizeof((*out)->device), "%s", cfg->device);
	return 0;
}

void port_close(struct port *p)
{
	p->ops->close(p);
}
