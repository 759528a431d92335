/*
 * tcp_opt.c - fuzzes the parser of TCP options
 *
 * What must hold: nothing past the end is read (the copy is exact), counts are
 * within their bounds, and what was understood, built again and parsed again,
 * says the same.
 */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "tcp/tcp_opt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void parse_exact(struct tcp_opts *o, const uint8_t *data, uint32_t len)
{
	uint8_t *exact = malloc(len ? len : 1);

	if (!exact)
		abort();
	memcpy(exact, data, len);
	memset(o, 0xa5, sizeof(*o));
	tcp_opt_parse(o, exact, len);
	free(exact);
}

static void check_bounds(const struct tcp_opts *o)
{
	ENSURE(!(o->has & OPT_WSCALE) || o->wscale <= WSCALE_MAX,
	       "RFC 7323 2.3: no more than 14");
	ENSURE(!(o->has & OPT_SACK) ||
	       (o->sack_count && o->sack_count <= SACK_BLOCKS_MAX),
	       "as many blocks as fit");
	ENSURE(!(o->has & OPT_TFO) || o->tfo_len <= TFO_BYTES_MAX,
	       "a cookie fits");
	ENSURE(!(o->has & OPT_ACCECN) || o->accecn_fields <= ACCECN_FIELDS,
	       "three counters at most");
}

/* Only what one segment could carry beside each other is built. */
static void check_again(const struct tcp_opts *o, uint8_t has)
{
	struct tcp_opts want = *o, got;
	uint8_t bytes[OPT_BYTES_MAX];
	uint32_t len;

	want.has &= has;
	len = tcp_opt_build(bytes, &want);
	ENSURE(len % 4 == 0 && len <= OPT_BYTES_MAX, "whole words");
	parse_exact(&got, bytes, len);
	ENSURE(!got.malformed && got.has == want.has, "the same options");
	ENSURE(!(got.has & OPT_MSS) || got.mss == o->mss, "MSS");
	ENSURE(!(got.has & OPT_WSCALE) || got.wscale == o->wscale, "scale");
	ENSURE(!(got.has & OPT_TS) ||
	       (got.tsval == o->tsval && got.tsecr == o->tsecr), "timestamps");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint32_t len = size < OPT_BYTES_MAX ? (uint32_t)size : OPT_BYTES_MAX;
	struct tcp_opts o;

	parse_exact(&o, data, len);
	check_bounds(&o);
	check_again(&o, OPT_MSS | OPT_WSCALE | OPT_TS | OPT_SACK_OK);
	return 0;
}
