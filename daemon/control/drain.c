/*
 * drain.c - the slow way to stop: nobody new, those who are here may finish
 *
 *	SIGTERM with [daemon] drain_s, or mtcpctl drain [SECONDS]
 *	  -> programs' socket closed, listeners gone; connections go on
 *	  -> none left, or the time is over, or a second signal: stop.c
 *
 * mtcpctl goes on working meanwhile.  systemd is told to wait.
 */
#include <event2/event.h>
#include <stdio.h>

#include "base/log.h"
#include "control/control.h"

#define LOOK_US		100000
#define TELL_US		1000000

static void drained(struct control *c, const char *why)
{
	log_event(LOG_EV_DRAINED, LOG_LEVEL_INFO, "drained: %s", why);
	event_free(c->drain_event);
	c->drain_event = NULL;
	stop_begin(c);
}

static void look(int fd, short what, void *arg)
{
	struct control *c = arg;
	mono_t now = mono_now();
	uint64_t conns = engines_conns(c);
	char text[160];

	(void)fd;
	(void)what;
	if (!conns) {
		drained(c, "no connection is left");
		return;
	}
	if (!mono_before(now, c->drain_end)) {
		snprintf(text, sizeof(text), "the time is over, %llu "
			 "connections are left", (unsigned long long)conns);
		drained(c, text);
		return;
	}
	if (mono_before(now, c->drain_tell))
		return;
	c->drain_tell = mono_add(now, TELL_US);
	snprintf(text, sizeof(text), "EXTEND_TIMEOUT_USEC=%u\n"
		 "STATUS=draining: %llu connections, %lld s at most",
		 10 * TELL_US, (unsigned long long)conns,
		 (long long)(mono_diff_us(now, c->drain_end) / 1000000));
	notify(text);
}

void drain_begin(struct control *c, uint32_t seconds)
{
	const struct timeval every = { .tv_usec = LOOK_US };

	if (c->draining || c->stopping)
		return;
	c->drain_event = event_new(c->base, -1, EV_PERSIST, look, c);
	if (!c->drain_event)
		return;
	c->draining = true;
	c->drain_end = mono_add(mono_now(), (uint64_t)seconds * 1000000);
	log_event(LOG_EV_DRAINING, LOG_LEVEL_INFO,
		  "draining: no new connections, %llu may finish within %u s",
		 (unsigned long long)engines_conns(c), seconds);
	notify("STOPPING=1");
	server_close_clients(c);
	listeners_leave_all(c);
	event_add(c->drain_event, &every);
}

void drain_end(struct control *c)
{
	if (c->drain_event)
		drained(c, "a second signal");
}
