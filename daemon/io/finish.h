/*
 * finish.h - what a NIC would do to a frame, for ports without a NIC
 *
 * Trust     Offsets come from our own senders, bytes from anywhere: a frame
 *           too short for what is asked is left as it is.
 * Threads   Pure functions of the frame.
 */
#ifndef IO_FINISH_H
#define IO_FINISH_H

#include <stdint.h>

#include "io/frame.h"

struct rss;

/* Completes a FRAME_CSUM_PARTIAL sum (RFC 1071) and clears the flag. */
void finish_csum(struct frame *f);

/*
 * The RSS hash of an IPv4 frame, behind one 802.1Q tag if there is one: of the
 * 4-tuple for unfragmented TCP and UDP, of the addresses alone otherwise; 0
 * for what is not IPv4.
 */
uint32_t finish_rss(const struct rss *r, const struct frame *f);

#endif
