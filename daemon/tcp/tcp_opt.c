#include "tcp/tcp_opt.h"

#include <string.h>

enum {				/* RFC 9293 3.1, 7323, 2018 */
	KIND_END, KIND_NOP, KIND_MSS, KIND_WSCALE, KIND_SACK_OK, KIND_SACK,
	KIND_TS = 8, KIND_TFO = 34,
	KIND_ACCECN0 = 172, KIND_ACCECN1 = 174	/* RFC 9768 */
};

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 |
	       (uint32_t)p[2] << 8 | p[3];
}

static void put32(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 24);
	p[1] = (uint8_t)(v >> 16);
	p[2] = (uint8_t)(v >> 8);
	p[3] = (uint8_t)v;
}

static void parse_sack(struct tcp_opts *o, const uint8_t *p, uint8_t len)
{
	o->sack_count = 0;
	for (uint32_t at = 2; at + 8 <= len; at += 8) {
		o->sack[o->sack_count].left = get32(p + at);
		o->sack[o->sack_count++].right = get32(p + at + 4);
	}
	o->has |= OPT_SACK;
}

static void parse_ts(struct tcp_opts *o, const uint8_t *p)
{
	o->tsval = get32(p + 2);
	o->tsecr = get32(p + 6);
	o->has |= OPT_TS;
}

/* RFC 7413 4.1.1: nothing, or 4 to 16 bytes, an even number. */
static bool parse_tfo(struct tcp_opts *o, const uint8_t *p, uint8_t len)
{
	uint8_t n = (uint8_t)(len - 2);

	if (n > TFO_BYTES_MAX || n % 2 || (n && n < 4))
		return false;
	o->tfo_len = n;
	memcpy(o->tfo, p + 2, n);
	o->has |= OPT_TFO;
	return true;
}

/* Kind 174 has the fields in the opposite order; missing ones are 0, and only
 * kind 172 counts them from the first. */
static bool parse_accecn(struct tcp_opts *o, const uint8_t *p, uint8_t len)
{
	uint32_t n = (uint32_t)(len - 2) / 3;

	if ((len - 2) % 3 || n > ACCECN_FIELDS)
		return false;
	if (p[0] == KIND_ACCECN1 && n != ACCECN_FIELDS)
		return true;		/* without what we look at */
	for (uint32_t i = 0; i < n; i++) {
		uint32_t f = p[0] == KIND_ACCECN0 ? i : ACCECN_FIELDS - 1 - i;
		const uint8_t *at = p + 2 + 3 * i;

		o->accecn[f] = (uint32_t)at[0] << 16 | (uint32_t)at[1] << 8 |
			       at[2];
	}
	o->accecn_fields = (uint8_t)n;
	if (n)
		o->has |= OPT_ACCECN;
	return true;
}

/* One option of @len >= 2 bytes, all of them there; false: wrong length. */
static bool parse_one(struct tcp_opts *o, const uint8_t *p, uint8_t len)
{
	switch (p[0]) {
	case KIND_MSS:
		if (len != 4)
			return false;
		o->mss = (uint16_t)(p[2] << 8 | p[3]);
		o->has |= OPT_MSS;
		return true;
	case KIND_WSCALE:
		if (len != 3)
			return false;
		o->wscale = p[2] > WSCALE_MAX ? WSCALE_MAX : p[2];
		o->has |= OPT_WSCALE;
		return true;
	case KIND_SACK_OK:
		if (len != 2)
			return false;
		o->has |= OPT_SACK_OK;
		return true;
	case KIND_SACK:
		if (len < 10 || len > 2 + 8 * SACK_BLOCKS_MAX || (len - 2) % 8)
			return false;
		parse_sack(o, p, len);
		return true;
	case KIND_TS:
		if (len != 10)
			return false;
		parse_ts(o, p);
		return true;
	case KIND_TFO:
		return parse_tfo(o, p, len);
	case KIND_ACCECN0:
	case KIND_ACCECN1:
		return parse_accecn(o, p, len);
	default:
		return true;	/* RFC 9293 3.2, MUST-6: ignored */
	}
}

void tcp_opt_parse(struct tcp_opts *o, const uint8_t *opt, uint32_t len)
{
	static const uint8_t padded_ts[4] = { KIND_NOP, KIND_NOP, KIND_TS, 10 };
	uint32_t at = 0;

	o->has = o->sack_count = 0;
	o->malformed = false;
	if (len == OPT_TS_BYTES && !memcmp(opt, padded_ts, 4)) {
		parse_ts(o, opt + 2);
		return;
	}
	while (at < len && opt[at] != KIND_END) {
		if (opt[at] == KIND_NOP) {
			at++;
			continue;
		}
		if (len - at < 2 || opt[at + 1] < 2 || opt[at + 1] > len - at) {
			o->malformed = true;
			return;
		}
		if (!parse_one(o, opt + at, opt[at + 1]))
			o->malformed = true;
		at += opt[at + 1];
	}
}

static uint8_t *build_accecn(uint8_t *p, const struct tcp_opts *o)
{
	*p++ = KIND_NOP;
	*p++ = KIND_ACCECN0;
	*p++ = 2 + 3 * ACCECN_FIELDS;
	for (int i = 0; i < ACCECN_FIELDS; i++) {
		*p++ = (uint8_t)(o->accecn[i] >> 16);
		*p++ = (uint8_t)(o->accecn[i] >> 8);
		*p++ = (uint8_t)o->accecn[i];
	}
	return p;
}

uint8_t tcp_opt_build(uint8_t *out, const struct tcp_opts *o)
{
	uint8_t *p = out;

	if (o->has & OPT_MSS) {
		*p++ = KIND_MSS;
		*p++ = 4;
		*p++ = (uint8_t)(o->mss >> 8);
		*p++ = (uint8_t)o->mss;
	}
	if (o->has & OPT_WSCALE) {
		*p++ = KIND_NOP;
		*p++ = KIND_WSCALE;
		*p++ = 3;
		*p++ = o->wscale;
	}
	if (o->has & OPT_SACK_OK) {
		*p++ = KIND_NOP;
		*p++ = KIND_NOP;
		*p++ = KIND_SACK_OK;
		*p++ = 2;
	}
	if (o->has & OPT_TS) {
		*p++ = KIND_NOP;
		*p++ = KIND_NOP;
		*p++ = KIND_TS;
		*p++ = 10;
		put32(p, o->tsval);
		put32(p + 4, o->tsecr);
		p += 8;
	}
	if ((o->has & OPT_SACK) && o->sack_count) {
		*p++ = KIND_NOP;
		*p++ = KIND_NOP;
		*p++ = KIND_SACK;
		*p++ = (uint8_t)(2 + 8 * o->sack_count);
		for (uint32_t i = 0; i < o->sack_count; i++, p += 8) {
			put32(p, o->sack[i].left);
			put32(p + 4, o->sack[i].right);
		}
	}
	/* Padded in front: a cookie is even.  Last, and left out when what is
	 * there leaves no room for a long one. */
	if ((o->has & OPT_TFO) &&
	    p - out + o->tfo_len + 2 + 2 <= OPT_BYTES_MAX) {
		for (uint8_t n = o->tfo_len; n % 4 != 2; n++)
			*p++ = KIND_NOP;
		*p++ = KIND_TFO;
		*p++ = (uint8_t)(o->tfo_len + 2);
		memcpy(p, o->tfo, o->tfo_len);
		p += o->tfo_len;
	}
	if ((o->has & OPT_ACCECN) && p - out + 12 <= OPT_BYTES_MAX)
		p = build_accecn(p, o);
	return (uint8_t)(p - out);
}
