/*
 * watchdog.c - is everything alive?  For systemd, and for its status line
 *
 *	tick --MAIL_PING--> every engine --MAIL_DONE--> tick finds it answered:
 *	     WATCHDOG=1, STATUS=...               not answered: silence
 *
 * A tick comes twice in a watchdog interval.  Engines answer between two turns
 * of their loop, asleep or not; one that does not answer from one tick to the
 * next is stuck, and systemd hears nothing more of us: after WatchdogSec it
 * ends us and starts us again.  Without systemd there are no ticks.
 */
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "control/control.h"

#define STATUS_US	10000000ull	/* a tick, when there is no watchdog */

uint64_t engines_conns(const struct control *c)
{
	uint64_t n = 0;

	for (uint32_t e = 0; e < c->engine_count; e++)
		n += counter_get(&engine_tcp_stats(c->engines[e])->conns);
	return n;
}

/* One line of state, for systemctl status. */
static void say_status(struct control *c, const char *also)
{
	char text[256];

	snprintf(text, sizeof(text), "%sSTATUS=%s%u engine%s, %u port%s, "
		 "%u program%s, %llu connection%s", also,
		 c->draining ? "draining: " : "", c->engine_count,
		 c->engine_count == 1 ? "" : "s", c->port_count,
		 c->port_count == 1 ? "" : "s", c->client_count,
		 c->client_count == 1 ? "" : "s",
		 (unsigned long long)engines_conns(c),
		 engines_conns(c) == 1 ? "" : "s");
	notify(text);
}

static void pinged(struct control *c, struct op *op)
{
	(void)op;
	if (c->stuck_told)
		log_event(LOG_EV_ENGINE_BACK, LOG_LEVEL_INFO,
			  "all engines answer again");
	c->stuck_told = false;
	say_status(c, c->watchdog_us ? "WATCHDOG=1\n" : "");
}

static void tick(int fd, short what, void *arg)
{
	struct control *c = arg;
	struct mail m = { .type = MAIL_PING };

	(void)fd;
	(void)what;
	if (!c->ping.tag) {
		op_ask_all(c, &c->ping, &m, pinged);
		return;
	}
	if (!c->stuck_told)
		log_event(LOG_EV_ENGINE_STUCK, LOG_LEVEL_WARN,
			  "%u of %u engines have not answered for %llu ms: no "
			  "word to systemd's watchdog", c->ping.waiting,
			  c->engine_count,
			  (unsigned long long)(c->tick_us / 1000));
	c->stuck_told = true;
}

/* WATCHDOG_PID is for whom the interval is meant; in the background the
 * process that systemd started is not us. */
static uint64_t interval_us(void)
{
	const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
	uint64_t n;

	if (!usec || text_uint(usec, 1000, UINT64_MAX / 2, false, &n) < 0)
		return 0;
	if (pid && strtol(pid, NULL, 10) != (long)getpid())
		return 0;
	return n;
}

void watchdog_start(struct control *c)
{
	struct timeval every;

	if (!getenv("NOTIFY_SOCKET"))
		return;
	c->watchdog_us = interval_us();
	c->tick_us = c->watchdog_us ? c->watchdog_us / 2 : STATUS_US;
	every.tv_sec = (time_t)(c->tick_us / 1000000);
	every.tv_usec = (suseconds_t)(c->tick_us % 1000000);
	c->tick = event_new(c->base, -1, EV_PERSIST, tick, c);
	if (!c->tick)
		log_fatalx("out of memory at start");
	event_add(c->tick, &every);
	say_status(c, "READY=1\n");
}

void watchdog_stop(struct control *c)
{
	if (c->tick)
		event_free(c->tick);
	c->tick = NULL;
}
