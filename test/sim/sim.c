/*
 * sim - two TCP stacks over a bad wire in virtual time, seed after seed
 *
 *	sim --seeds N [--from S]	seeds S .. S + N - 1 (from: 1)
 *	sim --seed S [-v]		one; -v: with its scenario and segments
 *
 * Every seed is a scenario (scenario.h).  A seed fails when a byte is wrong,
 * missing or doubled, an end does not end, nothing moves for two hours of
 * virtual time, an invariant of TCP is broken, or a connection, extent, block
 * or frame is left in the end.  The command that replays it is printed.
 *
 * Exit status: 0 all passed, 1 a seed failed, 2 wrong usage.
 */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app.h"
#include "base/log.h"
#include "side.h"
#include "watch.h"

#define START_US	1000000000ull
#define STALL_US	7200000000ull	/* nothing moved for so long */
#define DRAIN_US	7200000000ull	/* and nothing may be left after */
#define TURNS_MAX	4000000u
#define CHECK_EVERY	256u		/* turns between two tcp_check() ... */
#define CHECK_ALL	8u		/* ... but each turn of one seed in these */
#define FAILURES_MAX	20u

struct sim {
	struct scenario plan;
	struct path path;
	struct wire *wire;
	struct side side[2];
	struct watch watch[2];
	struct app app;
	mono_t now;
	uint32_t turns;
};

struct options {
	uint64_t from, seeds;
	bool verbose;
};

struct totals {
	uint64_t bytes, conns, turns, virtual_us;
	unsigned int failed;
};

/* For the handler of SIGABRT: which seed to blame (an invariant broke). */
static volatile uint64_t current_seed;

static void say_seed(int sig)
{
	char text[64];
	int n = snprintf(text, sizeof(text), "replay: sim --seed %llu -v\n",
			 (unsigned long long)current_seed);

	if (n > 0 && write(STDERR_FILENO, text, (size_t)n) < 0)
		_exit(1);
	signal(sig, SIG_DFL);
	raise(sig);
}

static mono_t earlier(mono_t a, mono_t b)
{
	return mono_before(a, b) ? a : b;
}

static void sim_init(struct sim *m, uint64_t seed, const struct rss *rss,
		     bool verbose)
{
	int rc;

	memset(m, 0, sizeof(*m));
	scenario_make(&m->plan, seed);
	if (verbose)
		scenario_print(&m->plan, stdout);
	m->now = (mono_t){ START_US };
	path_init(&m->path, m->plan.path, seed, m->now);
	m->plan.wire.filter = path_filter;
	m->plan.wire.filter_arg = &m->path;
	rc = wire_create(&m->wire, &m->plan.wire);
	ENSURE(rc == 0, "a wire within its limits");
	for (int i = 0; i < 2; i++) {
		m->side[i].trace = verbose;
		side_init(&m->side[i], i, &m->plan, m->wire, rss);
	}
	app_init(&m->app, &m->plan, &m->side[0], &m->side[1], m->now);
}

static void sim_fini(struct sim *m)
{
	side_fini(&m->side[0]);
	side_fini(&m->side[1]);
	wire_destroy(m->wire);
}

/* Everything that is due now. */
static void sim_turn(struct sim *m)
{
	side_input(&m->side[0], m->now);
	side_input(&m->side[1], m->now);
	app_turn(&m->app, m->now);
	side_output(&m->side[0], m->now);
	side_output(&m->side[1], m->now);
	for (int i = 0; i < 2; i++)
		path_replay(&m->path, i, m->side[i].port, m->now);
	watch_look(&m->watch[0], m->side[0].env);
	watch_look(&m->watch[1], m->side[1].env);
	if (++m->turns % CHECK_EVERY && m->plan.seed % CHECK_ALL)
		return;
	tcp_check(m->side[0].env);
	tcp_check(m->side[1].env);
}

static mono_t sim_next_due(const struct sim *m)
{
	mono_t due = earlier(wire_next_due(m->wire), app_next_due(&m->app));

	due = earlier(due, side_next_due(&m->side[0], m->now));
	return earlier(due, side_next_due(&m->side[1], m->now));
}

/* Goes on to the next instant at which anything happens; false: never. */
static bool sim_step(struct sim *m)
{
	mono_t due = sim_next_due(m);

	if (due.us == MONO_NEVER.us)
		return false;
	if (mono_before(m->now, due))
		m->now = due;
	sim_turn(m);
	return true;
}

static const char *run_flows(struct sim *m)
{
	while (!app_done(&m->app) && !m->app.why[0]) {
		if (!sim_step(m))
			return "nothing is due any more, but flows are open";
		if (mono_diff_us(m->app.progress, m->now) > (int64_t)STALL_US)
			return "nothing moved for two hours";
		if (m->turns > TURNS_MAX)
			return "too many turns";
	}
	return m->app.why[0] ? m->app.why : NULL;
}

static const char *left_over(const struct sim *m)
{
	static char text[128];

	for (int i = 0; i < 2; i++) {
		const char *why = side_leak(&m->side[i]);

		if (why) {
			snprintf(text, sizeof(text), "side %d: %s", i, why);
			return text;
		}
	}
	if (wire_frames_in_flight(m->wire))
		return "frames are still on the wire";
	if (wire_frames_held(m->wire, 0) || wire_frames_held(m->wire, 1))
		return "a frame was not freed";
	return NULL;
}

/* TIME_WAIT passes, orphans end; then nothing may be left. */
static const char *drain(struct sim *m)
{
	mono_t end = mono_add(m->now, DRAIN_US);

	app_fini(&m->app);
	sim_turn(m);
	while (left_over(m) && mono_before(m->now, end)) {
		if (!sim_step(m) || m->turns > TURNS_MAX)
			break;
		if (m->app.why[0])
			return m->app.why;
	}
	tcp_check(m->side[0].env);
	tcp_check(m->side[1].env);
	return left_over(m);
}

static void report(const struct sim *m, const char *why)
{
	printf("seed %llu failed at %.6f s (turn %u): %s\n",
	       (unsigned long long)m->plan.seed, (double)m->now.us / 1e6,
	       m->turns, why);
	app_print(&m->app, stdout);
	printf("replay: sim --seed %llu -v\n",
	       (unsigned long long)m->plan.seed);
	fflush(stdout);
}

static void run_seed(struct sim *m, uint64_t seed, const struct rss *rss,
		     bool verbose, struct totals *t)
{
	const char *why;

	current_seed = seed;
	sim_init(m, seed, rss, verbose);
	why = run_flows(m);
	if (!why)
		why = drain(m);
	if (why) {
		report(m, why);
		t->failed++;
	}
	t->bytes += m->app.moved;
	t->conns += m->app.conns;
	t->turns += m->turns;
	t->virtual_us += m->now.us - START_US;
	sim_fini(m);
}

static int parse_options(struct options *o, int argc, char **argv)
{
	static const struct option longs[] = {
		{ "seeds", required_argument, NULL, 'n' },
		{ "from", required_argument, NULL, 'f' },
		{ "seed", required_argument, NULL, 's' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	*o = (struct options){ .from = 1 };
	while ((c = getopt_long(argc, argv, "v", longs, NULL)) != -1) {
		if (c == 'n')
			o->seeds = strtoull(optarg, NULL, 0);
		else if (c == 'f')
			o->from = strtoull(optarg, NULL, 0);
		else if (c == 's')
			o->from = strtoull(optarg, NULL, 0), o->seeds = 1;
		else if (c == 'v')
			o->verbose = true;
		else
			return -1;
	}
	return o->seeds && optind == argc ? 0 : -1;
}

int main(int argc, char **argv)
{
	struct sim *m = calloc(1, sizeof(*m));
	struct rss *rss = calloc(1, sizeof(*rss));
	struct totals t = { 0 };
	struct options o;

	if (!m || !rss || parse_options(&o, argc, argv)) {
		fprintf(stderr, "usage: sim --seeds N [--from S] | --seed S [-v]\n");
		return 2;
	}
	signal(SIGABRT, say_seed);
	signal(SIGSEGV, say_seed);
	rss_init(rss, rss_symmetric_key);
	for (uint64_t i = 0; i < o.seeds && t.failed < FAILURES_MAX; i++)
		run_seed(m, o.from + i, rss, o.verbose, &t);
	printf("%llu seeds, %u failed: %llu connection ends, %llu bytes, %llu "
	       "turns, %.0f hours of virtual time\n",
	       (unsigned long long)o.seeds, t.failed,
	       (unsigned long long)t.conns, (unsigned long long)t.bytes,
	       (unsigned long long)t.turns, (double)t.virtual_us / 3.6e9);
	free(rss);
	free(m);
	return t.failed ? 1 : 0;
}
