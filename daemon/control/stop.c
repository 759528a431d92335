/*
 * The end, in this order (after drain.c's, where it was asked for):
 *
 *	1. sockets closed and unlinked: nobody new
 *	2. listeners gone: what nobody took gets RST
 *	3. MAIL_STOP with the grace: connections are closed, then reset
 *	4. MAIL_STOPPED of all engines, or grace + STOP_SLACK_MS: the loop ends
 *	5. threads joined, clients freed, engines closed, ports closed
 *
 * A second SIGINT or SIGTERM exits at once; the kernel then takes back what
 * the ports had.  SIGHUP reads the configuration again (live.c).
 */
#include <event2/event.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "control/control.h"

#define STOP_SLACK_MS	2000

static void too_late(int fd, short what, void *arg)
{
	struct control *c = arg;

	(void)fd;
	(void)what;
	log_warnx("%u of %u engines have not stopped within %u ms: exit "
		  "without them", c->engine_count - c->stopped,
		  c->engine_count, c->cfg->daemon.stop_grace_ms + STOP_SLACK_MS);
	c->failed = true;
	event_base_loopbreak(c->base);
}

void stop_begin(struct control *c)
{
	struct mail m = { .type = MAIL_STOP };
	uint32_t limit_ms = c->cfg->daemon.stop_grace_ms + STOP_SLACK_MS;
	struct timeval limit = { .tv_sec = limit_ms / 1000,
				 .tv_usec = limit_ms % 1000 * 1000 };

	c->stopping = true;
	notify("STOPPING=1");
	server_close(c);
	admin_close_all(c);
	listeners_leave_all(c);
	event_add(c->stop_event, &limit);
	m.stop.grace_us = (uint64_t)c->cfg->daemon.stop_grace_ms * 1000;
	engines_tell_all(c, &m);
}

void stop_mail_stopped(struct control *c)
{
	if (++c->stopped == c->engine_count)
		event_base_loopbreak(c->base);
}

static void end_signal(int number, short what, void *arg)
{
	struct control *c = arg;

	(void)what;
	if (c->draining && !c->stopping) {
		drain_end(c);
		return;
	}
	if (c->stopping) {
		log_warnx("second signal: exit at once");
		_exit(1);
	}
	if (c->cfg->daemon.drain_s && number == SIGTERM) {
		drain_begin(c, c->cfg->daemon.drain_s);
		if (c->draining)
			return;
	}
	log_event(LOG_EV_STOPPING, LOG_LEVEL_INFO,
		  "%s: closing connections, at most %u ms (a second signal "
		 "exits at once)", number == SIGINT ? "SIGINT" : "SIGTERM",
		 c->cfg->daemon.stop_grace_ms);
	stop_begin(c);
}

static void hup_signal(int number, short what, void *arg)
{
	char text[CONFIG_ERR_BYTES];

	(void)number;
	(void)what;
	notify_reloading();
	live_reload(arg, text);
	notify("READY=1");
}

static struct event *on_signal(struct control *c, int number,
			       event_callback_fn fn)
{
	struct event *ev = evsignal_new(c->base, number, fn, c);

	if (!ev)
		log_fatalx("out of memory at start");
	event_add(ev, NULL);
	return ev;
}

void stop_init(struct control *c)
{
	signal(SIGPIPE, SIG_IGN);
	c->signals[0] = on_signal(c, SIGINT, end_signal);
	c->signals[1] = on_signal(c, SIGTERM, end_signal);
	c->signals[2] = on_signal(c, SIGHUP, hup_signal);
	c->stop_event = event_new(c->base, -1, 0, too_late, c);
	if (!c->stop_event)
		log_fatalx("out of memory at start");
}

void stop_fini(struct control *c)
{
	for (int i = 0; i < 3; i++)
		event_free(c->signals[i]);
	event_free(c->stop_event);
}
