/*
 * tcp_opt.h - TCP options: all of them parsed into one struct, and built
 *
 * Trust     Every byte is hostile.  A length of 0 or 1, or one that runs over
 *           the end, ends parsing; a known option of a wrong length is
 *           skipped.  Both set `malformed`.
 * Units     Host order.  mss in payload bytes.
 * Threads   Pure functions.
 */
#ifndef TCP_OPT_H
#define TCP_OPT_H

#include <stdbool.h>
#include <stdint.h>

#include "tcp/seq.h"

enum {				/* tcp_opts.has, and what to build */
	OPT_MSS = 1, OPT_WSCALE = 2, OPT_TS = 4, OPT_SACK_OK = 8, OPT_SACK = 16,
	OPT_ACCECN = 32, OPT_TFO = 64
};

#define OPT_BYTES_MAX	40
#define OPT_TS_BYTES	12	/* timestamps with their padding */
#define WSCALE_MAX	14	/* RFC 7323 2.3 */
#define SACK_BLOCKS_MAX	4
#define TFO_BYTES_MAX	16	/* RFC 7413 2 */

/* RFC 9768 3.2.3: bytes that came with each codepoint, in the order of kind
 * 172; 24 bits each. */
enum { ACCECN_E0B, ACCECN_CEB, ACCECN_E1B, ACCECN_FIELDS };

struct tcp_opts {
	uint8_t has;		/* OPT_* */
	uint8_t wscale;
	uint8_t sack_count;
	uint8_t tfo_len;	/* of the cookie; 0: one is asked for */
	bool malformed;
	uint8_t accecn_fields;	/* how many of accecn[] are there */
	uint16_t mss;
	uint32_t accecn[ACCECN_FIELDS];
	uint32_t tsval, tsecr;
	struct { seq_t left, right; } sack[SACK_BLOCKS_MAX];
	uint8_t tfo[TFO_BYTES_MAX];
};

/* Parses @len bytes at @opt; sack[] is filled only up to sack_count. */
void tcp_opt_parse(struct tcp_opts *o, const uint8_t *opt, uint32_t len);

/* Writes what @o->has says to @out (OPT_BYTES_MAX); bytes, a multiple of 4. */
uint8_t tcp_opt_build(uint8_t *out, const struct tcp_opts *o);

#endif
