/*
 * drivers.h - the built-in drivers, for port.c's table alone
 *
 * Each is one file, port_<driver>.c, that fills in a struct port_ops.
 */
#ifndef IO_DRIVERS_H
#define IO_DRIVERS_H

#include "io/port.h"

extern const struct port_ops port_xdp_ops;	/* port_xdp.c: AF_XDP */
extern const struct port_ops port_psio_ops;	/* port_psio.c: 82599 */
extern const struct port_ops port_tap_ops;	/* port_tap.c: kernel TAP */
extern const struct port_ops port_wire_ops;	/* port_wire_shm.c */

#endif
