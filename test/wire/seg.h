/*
 * seg.h - one TCP segment, as a script writes it
 *
 *	SA seq=0 ack=1 len=0 win=65535 <mss 1460,sackOK,ts 1 0,ws 7>
 *	|  |     |     |     |         |
 *	|  |     |     |     |         options; <...> after the known ones: more
 *	|  |     |     |     |         may follow; no <>: any (expected), or what
 *	|  |     |     |     |         the connection needs (sent by the peer)
 *	|  |     |     payload bytes   window field, as on the wire
 *	|  relative numbers: our SYN is our 0, the peer's SYN the peer's 0
 *	S F R A P U E C N (N: AE, once the nonce sum); or - for none
 *
 * `ecn=0..3`: the codepoint of the IP header (1 ECT(1), 2 ECT(0), 3 CE).
 *
 * SACK blocks: `sack 101-201 301-401`, numbers of the stream they report.
 *
 * Fast Open: `tfo` asks, `tfo HEX` is a cookie, `tfo any` (expected), `tfo last`
 * (sent: as we gave it).
 *
 * Timestamps: `ts 5 last` (sent: echoes our latest), `ts 5 last-100` (that of
 * 100 ms before it), `ts any any` (expected).
 *
 * Only the peer sends: `badsum` (wrong checksum), `junk` (payload that is not
 * the stream's), `doff=N` (header length in words), `cut=N` (N bytes only),
 * `raw HEX` in the options (bytes as they are).
 *
 * Threads   Pure functions.
 */
#ifndef TEST_WIRE_SEG_H
#define TEST_WIRE_SEG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SEG_TEXT_BYTES	256
#define SEG_RAW_MAX	40
#define SEG_SACK_MAX	4	/* blocks */

enum seg_has {
	SEG_SEQ = 1, SEG_ACK = 2, SEG_LEN = 4, SEG_WIN = 8, SEG_OPTS = 16,
	SEG_MORE_OPTS = 32,	/* "..." */
	SEG_DOFF = 64, SEG_CUT = 128, SEG_ECN = 256
};

enum seg_opt {
	SEG_O_MSS = 1, SEG_O_WS = 2, SEG_O_SACK_OK = 4, SEG_O_TS = 8,
	SEG_O_TS_ANY = 16,	/* expected: any value */
	SEG_O_ECR_LAST = 32,	/* sent: the latest value of ours, + ts_ecr */
	SEG_O_ECR_ANY = 64,
	SEG_O_TFO = 128,
	SEG_O_TFO_ANY = 256,	/* expected: any cookie */
	SEG_O_TFO_LAST = 512,	/* sent: the cookie that we gave last */
	SEG_O_ACCECN = 1024,	/* e0b ceb e1b */
	SEG_O_SACK = 2048,
};

struct seg {
	uint32_t has;		/* enum seg_has */
	uint32_t opts;		/* enum seg_opt */
	uint32_t seq, ack, len;	/* relative */
	uint32_t win;
	uint32_t ts_val, ts_ecr;
	uint16_t mss;
	uint8_t ws;
	uint8_t tfo[16], tfo_len;
	uint16_t flags;		/* TCP_* of net/hdr.h */
	uint8_t ecn;
	uint32_t accecn[3];
	uint32_t sack[SEG_SACK_MAX][2];
	uint32_t sacks;		/* blocks */
	uint8_t raw[SEG_RAW_MAX];
	uint8_t raw_len;
	uint8_t doff;
	uint32_t cut;
	bool bad_sum, junk;
};

/* Reads @text.  0, or -EINVAL with a sentence in @err (SEG_TEXT_BYTES). */
int seg_parse(struct seg *s, const char *text, char *err);

/* Writes the notation into @buf (SEG_TEXT_BYTES) and returns it. */
const char *seg_text(const struct seg *s, char *buf);

/* Does @got show what @want asks for? */
bool seg_matches(const struct seg *want, const struct seg *got);

/* Options of @s as bytes, padded; returns how many (at most 40). */
uint32_t seg_opts_build(const struct seg *s, uint8_t out[SEG_RAW_MAX]);

/* The reverse; unknown kinds are skipped.  False: malformed. */
bool seg_opts_read(struct seg *s, const uint8_t *p, uint32_t len);

#endif
