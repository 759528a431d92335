/*
 * goodput - what bulk flows get out of a path, against what theory says
 *
 *	goodput [NAME...]	run these of the tests (all), print, judge
 *
 *	response   CUBIC at random loss p and round trip R carries
 *		   max(1.22 / sqrt(p), 1.054 (R / p)^(3/4)) segments a round trip
 *		   (RFC 9438 5.1, figure 5 with b = 1; the floor is AIMD's), up to
 *		   what the link has.  Geometric mean over seeds.
 *	long       1 Gb/s at 100 ms without loss: nine tenths of it
 *	start      the first slow start ends before a queue of one bandwidth-delay
 *		   product overflows, also where frames come late: a receiver
 *		   drops what comes after a retransmission that was sent later
 *		   (PAWS, RFC 7323 5.3), so that there one loss makes more
 *	share      two flows, 20 ms, a queue of one bandwidth-delay product: no
 *		   one less than 40 of 100
 *	bbr        a model of the path does not mind random loss below 2 %
 *	marks      a queue that marks early stays short and loses nothing, and
 *		   the link is used
 *
 * MTCPD_QUICK=1 takes fewer seeds, MTCPD_FULL=1 more.
 *
 * Exit status: 0 all hold; 1 one does not; 2 there is no such test.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pipe.h"

#define MSS	1448.0			/* with timestamps */
#define WIRE	1514.0			/* its frame */
#define MBIT	1000000ull
#define SHARE_US	40000000ull

static struct pipe p;

static uint32_t seeds(uint32_t quick, uint32_t usual, uint32_t full)
{
	if (getenv("MTCPD_FULL") && !strcmp(getenv("MTCPD_FULL"), "1"))
		return full;
	if (getenv("MTCPD_QUICK") && !strcmp(getenv("MTCPD_QUICK"), "1"))
		return quick;
	return usual;
}

static bool judge(const char *what, double got, double least, double most)
{
	bool good = got >= least && got <= most;

	printf("%-44s %8.3f  in %.2f..%.2f  %s\n", what, got, least, most,
	       good ? "ok" : "FAILED");
	return good;
}

/* Mb/s of payload that the link has room for. */
static double room(const struct pipe_path *path)
{
	return (double)path->rate_bps / 1e6 * MSS / WIRE;
}

static uint64_t read_sum(void)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < p.flows; i++)
		sum += p.flow[i].read;
	return sum;
}

/* Mb/s of payload from @from_us to @to_us, of all flows together. */
static double goodput(const struct pipe_path *path, const char *cc,
		      uint32_t seed, uint64_t from_us, uint64_t to_us)
{
	uint64_t before;
	double got;

	pipe_open(&p, path, 1, &cc, seed);
	pipe_run(&p, from_us);
	before = read_sum();
	pipe_run(&p, to_us - from_us);
	got = (double)(read_sum() - before) * 8 / (double)(to_us - from_us);
	pipe_close(&p);
	return got;
}

/* ---- response ---- */

static double theory(const struct pipe_path *path, double rtt_s, double loss)
{
	double aimd = 1.22 / sqrt(loss), cubic = 1.054 * pow(rtt_s / loss, 0.75);
	double mbps = fmax(aimd, cubic) * MSS * 8 / rtt_s / 1e6;

	return fmin(mbps, room(path));
}

/* The formulas know no timeouts and no lost retransmissions; both are frequent
 * where the window is a few segments only. */
static const struct { uint32_t rtt_ms, loss_ppm, s; double least, most; }
cells[] = {
	{ 1, 1000, 4, 0.8, 1.25 }, { 1, 10000, 4, 0.8, 1.25 },
	{ 1, 30000, 4, 0.6, 1.25 },
	{ 20, 1000, 30, 0.8, 1.25 }, { 20, 10000, 30, 0.8, 1.25 },
	{ 20, 30000, 30, 0.6, 1.25 },
	{ 100, 1000, 120, 0.8, 1.25 }, { 100, 10000, 120, 0.8, 1.25 },
	{ 100, 30000, 120, 0.6, 1.25 },
};

static bool test_response(void)
{
	uint32_t n = seeds(2, 5, 25);
	bool good = true;

	for (size_t i = 0; i < sizeof(cells) / sizeof(cells[0]); i++) {
		struct pipe_path path = {
			.rate_bps = 1000 * MBIT,
			.delay_us = cells[i].rtt_ms * 500,
			.queue_bytes = 128000 + cells[i].rtt_ms * 125000,
			.loss_ppm = cells[i].loss_ppm };
		double rtt_s = cells[i].rtt_ms / 1e3, sum = 0, want;
		uint64_t us = cells[i].s * UINT64_C(1000000);
		char what[64];

		want = theory(&path, rtt_s, cells[i].loss_ppm / 1e6);
		for (uint32_t seed = 1; seed <= n; seed++)
			sum += log(goodput(&path, "cubic", seed, us / 5, us) /
				   want);
		snprintf(what, sizeof(what), "response %u ms %.1f %%: %.1f Mb/s x",
			 cells[i].rtt_ms, cells[i].loss_ppm / 1e4, want);
		good &= judge(what, exp(sum / n), cells[i].least,
			      cells[i].most);
	}
	return good;
}

/* ---- long ---- */

static bool test_long(void)
{
	const struct pipe_path path = { .rate_bps = 1000 * MBIT,
					.delay_us = 50000,
					.queue_bytes = 12500000 };
	double all = room(&path);
	bool good;

	good = judge("long: share of 1 Gb/s, 3 s to 13 s",
		     goodput(&path, "cubic", 1, 3000000, 13000000) / all,
		     0.9, 1.01);
	return good & judge("long: share of 1 Gb/s from the first SYN, 13 s",
			    goodput(&path, "cubic", 1, 0, 13000000) / all,
			    0.8, 1.01);
}

/* ---- start ---- */

static const struct { uint32_t mbps, rtt_ms; } starts[] = {
	{ 20, 40 }, { 100, 100 }, { 300, 100 }, { 1000, 20 }, { 1000, 100 },
};

static bool start(uint32_t mbps, uint32_t rtt_ms, uint32_t late_ppm)
{
	const struct pipe_path path = {
		.rate_bps = mbps * MBIT, .delay_us = rtt_ms * 500,
		.queue_bytes = mbps * rtt_ms * 125,
		.late_ppm = late_ppm, .late_us = rtt_ms * 100 };
	const char *cc = "cubic";
	char what[64];
	bool good;

	pipe_open(&p, &path, 1, &cc, 1);
	pipe_run(&p, 1000 * 100 * (uint64_t)rtt_ms);
	snprintf(what, sizeof(what), "start %u Mb/s %u ms%s: of the link", mbps,
		 rtt_ms, late_ppm ? " late" : "");
	good = judge(what, (double)read_sum() * 8 / 1e5 / rtt_ms / room(&path),
		     0.85, 1.01);
	snprintf(what, sizeof(what), "start %u Mb/s %u ms%s: lost, of a BDP", mbps,
		 rtt_ms, late_ppm ? " late" : "");
	good &= judge(what, (double)p.drops * WIRE / path.queue_bytes, 0, 0.5);
	pipe_close(&p);
	return good;
}

static bool test_start(void)
{
	bool good = true;

	for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++) {
		good &= start(starts[i].mbps, starts[i].rtt_ms, 0);
		good &= start(starts[i].mbps, starts[i].rtt_ms, 10000);
	}
	return good;
}

/* ---- share ---- */

static bool share(const char *name, const char *const *cc, double least)
{
	const struct pipe_path path = { .rate_bps = 100 * MBIT,
					.delay_us = 10000,
					.queue_bytes = 250000, .loss_ppm = 10 };
	uint32_t n = seeds(2, 3, 20);
	double first = 0, used = 0;
	char what[64];
	bool good;

	for (uint32_t seed = 1; seed <= n; seed++) {
		uint64_t all;

		pipe_open(&p, &path, 2, cc, seed);
		pipe_run(&p, SHARE_US);
		all = read_sum();
		first += (double)p.flow[0].read / (double)all / n;
		used += (double)all * 8 / SHARE_US / room(&path) / n;
		pipe_close(&p);
	}
	snprintf(what, sizeof(what), "share %s: the first flow's", name);
	good = judge(what, first, least, 1 - least);
	snprintf(what, sizeof(what), "share %s: of the link", name);
	return good & judge(what, used, 0.9, 1.01);
}

static bool test_share(void)
{
	static const struct { const char *name, *cc[2]; double least; } pairs[] = {
		{ "cubic cubic", { "cubic", "cubic" }, 0.4 },
		{ "bbr bbr", { "bbr", "bbr" }, 0.35 },
		{ "bbr cubic", { "bbr", "cubic" }, 0.25 },
	};
	bool good = true;

	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
		good &= share(pairs[i].name, pairs[i].cc, pairs[i].least);
	return good;
}

/* ---- bbr ---- */

static bool test_bbr(void)
{
	uint32_t n = seeds(4, 10, 40);
	bool good = true;

	for (uint32_t loss = 0; loss <= 10000; loss += 5000) {
		const struct pipe_path path = { .rate_bps = 20 * MBIT,
						.delay_us = 20000,
						.queue_bytes = 100000,
						.loss_ppm = loss };
		double sum = 0, all = room(&path) * (1 - loss / 1e6), least = 1;
		char what[64];

		for (uint32_t seed = 1; seed <= n; seed++) {
			double got = goodput(&path, "bbr", seed, 2000000,
					     32000000) / all;

			sum += log(got);
			least = fmin(least, got);
		}
		snprintf(what, sizeof(what), "bbr 20 Mb/s 40 ms %.1f %%",
			 loss / 1e4);
		good &= judge(what, exp(sum / n), 0.85, 1.0);
		snprintf(what, sizeof(what), "bbr 20 Mb/s 40 ms %.1f %%, least",
			 loss / 1e4);
		good &= judge(what, least, 0.75, 1.0);
	}
	return good;
}

/* ---- marks ---- */

/* 1 Gb/s, 1 ms, CE above 65 kB: half of the bandwidth-delay product. */
static bool marks(const char *cc, double most_bytes)
{
	const struct pipe_path path = { .rate_bps = 1000 * MBIT,
					.delay_us = 500, .queue_bytes = 1000000,
					.mark_bytes = 65000 };
	uint64_t before, drops;
	double got;
	char what[64];
	bool good;

	pipe_open(&p, &path, 1, &cc, 1);
	pipe_run(&p, 1000000);
	before = read_sum();
	drops = p.drops;
	p.queue_sum = p.queue_seen = p.marks = 0;
	pipe_run(&p, 4000000);
	got = (double)(read_sum() - before) * 8 / 4e6 / room(&path);
	snprintf(what, sizeof(what), "marks %s: of the link", cc);
	good = judge(what, got, 0.9, 1.01);
	snprintf(what, sizeof(what), "marks %s: mean queue, bytes", cc);
	good &= judge(what, (double)p.queue_sum / (double)p.queue_seen, 0,
		      most_bytes);
	snprintf(what, sizeof(what), "marks %s: dropped", cc);
	good &= judge(what, (double)(p.drops - drops), 0, 0);
	pipe_close(&p);
	return good;
}

static bool test_marks(void)
{
	bool good = marks("dctcp", 100000);

	good &= marks("bbr", 100000);
	good &= marks("cubic", 100000);
	return good;
}

static const struct { const char *name; bool (*run)(void); } tests[] = {
	{ "response", test_response }, { "long", test_long },
	{ "start", test_start },
	{ "share", test_share }, { "bbr", test_bbr }, { "marks", test_marks },
};
#define TESTS	(sizeof(tests) / sizeof(tests[0]))

static bool asked_for(const char *name, int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (!strcmp(argv[i], name))
			return true;
	return argc == 1;
}

int main(int argc, char **argv)
{
	bool good = true;
	int ran = 0;

	for (size_t i = 0; i < TESTS; i++) {
		if (!asked_for(tests[i].name, argc, argv))
			continue;
		good &= tests[i].run();
		ran++;
	}
	if (!ran || (argc > 1 && ran != argc - 1)) {
		fprintf(stderr, "usage: goodput [response|long|start|share|bbr|marks]\n");
		return 2;
	}
	return good ? 0 : 1;
}
