/*
 * claim.h - NetworkManager and systemd-networkd leave mtcpd's devices alone
 *
 *	mtcpd --claim    --> /run/NetworkManager/conf.d/mtcpd.conf
 *	  (the unit,         /run/systemd/network/10-mtcpd.network
 *	   before start)     and both are told to read again
 *	mtcpd --release  --> both files are gone, both are told
 *	  (after a stop)
 *
 * Either would give a device that mtcpd has for itself an address, routes and
 * a DHCP client of its own.  A device that is shared with the kernel stays
 * theirs, and so does the kernel's side of a card (psio).  Files are written
 * for a manager that is installed; they are in /run, so that a reboot forgets
 * them, and never in /etc, which is the administrator's.
 *
 * Errors    0, or -errno after it was logged.  A manager that does not run is
 *           none, and neither is one that does not answer: it reads the file
 *           when it starts.
 * Threads   A process of its own, with the rights to write /run.
 */
#ifndef CONTROL_CLAIM_H
#define CONTROL_CLAIM_H

#include "control/config.h"

/* @root: what all paths are below ("": the system's; others are for tests, and
 * nobody is told). */
int claim_devices(const struct config *cfg, const char *root);
int claim_release(const char *root);

#endif
