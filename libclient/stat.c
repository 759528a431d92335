#include "libclient/client.h"

#include <stdio.h>

/*
 * mTCP's line a second, that scripts parse.  Packets are the daemon's
 * (mtcpctl stats): here a "packet" is a record of data, and a rate is of
 * payload.
 */

static double gbps(uint64_t bytes, double seconds)
{
	return (double)bytes * 8 / 1e9 / seconds;
}

static void line(const char *head, const char *name, uint32_t flows,
		 const struct ctx_stats *now, const struct ctx_stats *last,
		 double seconds)
{
	fprintf(stderr, "%s %s flows: %6u, RX: %7ld(pps) (err: %5ld), "
		"%5.2lf(Gbps), TX: %7ld(pps), %5.2lf(Gbps)\n", head, name,
		flows,
		(long)((double)(now->rx_records - last->rx_records) / seconds),
		(long)(now->errors - last->errors),
		gbps(now->rx_bytes - last->rx_bytes, seconds),
		(long)((double)(now->tx_records - last->tx_records) / seconds),
		gbps(now->tx_bytes - last->tx_bytes, seconds));
}

void stat_print(struct mtcp_context *x)
{
	uint64_t t = now_us();
	double seconds;
	char head[24];

	if (t < x->stats_at_us)
		return;
	seconds = (double)(t - x->stats_at_us + 1000000u) / 1e6;
	snprintf(head, sizeof(head), "[CPU%2d]", x->cpu);
	line(head, the_settings.stat_name, x->conns.used, &x->stats,
	     &x->stats_last, seconds);
	if (the_settings.conf.num_cores == 1)
		line("[ ALL ]", the_settings.stat_name, x->conns.used,
		     &x->stats, &x->stats_last, seconds);
	x->stats_last = x->stats;
	x->stats_at_us = t + 1000000u;
}
