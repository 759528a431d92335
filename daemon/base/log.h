/*
 * log.h - what the daemon tells its administrator
 *
 * log_warn() and log_fatal() append ": " and the text of errno; the *x forms
 * do not.  Never called for each packet at the default level.  Messages go to
 * standard error; where that is the journal (JOURNAL_STREAM) they go to it by
 * its own protocol, one datagram with fields, or if it cannot be reached so, to
 * standard error with a <N> priority prefix.
 *
 * What somebody may want to wait for has an event: in the journal MTCPD_EVENT
 * is its name, and MESSAGE_ID its number at the end of LOG_ID_BASE.  Both stay
 * what they are; doc/journal.md lists them.
 *
 * Every message belongs to a facility, normally that of its layer: a file may
 * define LOG_FACILITY before it includes this, and CMake does so for a layer.
 * Each facility has a level of its own, which may change at any time, and says
 * no more than LOG_BURST things a second; what is left out is counted, and the
 * number told with the next message.  Errors are never left out.
 *
 * Threads   Any; each message is one write().  Levels are atomic.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <errno.h>
#include <stdbool.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

enum log_facility {
	LOG_FAC_CONTROL, LOG_FAC_CLIENT, LOG_FAC_CONFIG, LOG_FAC_PORT,
	LOG_FAC_ENGINE, LOG_FAC_NET, LOG_FAC_TCP, LOG_FACILITIES
};
#ifndef LOG_FACILITY
#define LOG_FACILITY LOG_FAC_CONTROL
#endif

/* Numbers are told to the outside: new ones go to the end. */
enum log_event {
	LOG_EV_NONE,
	LOG_EV_READY, LOG_EV_STOPPING, LOG_EV_STOPPED,
	LOG_EV_DRAINING, LOG_EV_DRAINED,
	LOG_EV_RELOADED, LOG_EV_RELOAD_FAILED, LOG_EV_SETTING,
	LOG_EV_ATTACHED, LOG_EV_LEFT, LOG_EV_DETACHED, LOG_EV_REFUSED,
	LOG_EV_QUOTA, LOG_EV_NO_ROUTE,
	LOG_EV_PORT_UP, LOG_EV_PORT_LOST, LOG_EV_PORT_BACK,
	LOG_EV_ENGINE_STUCK, LOG_EV_ENGINE_BACK,
	LOG_EV_FIREWALL, LOG_EV_LEFT_OUT, LOG_EV_FATAL, LOG_EV_BROKEN,
	LOG_EVENTS
};
#define LOG_ID_BASE	"5d0f8c1a92e64b7fa3d1c6b80e47"	/* and %04x */

#define LOG_BURST	200	/* messages a second and facility */

/* Of all facilities / the level of the most talkative one. */
void log_set_level(enum log_level level);
enum log_level log_get_level(void);

void log_set_facility(enum log_facility f, enum log_level level);
enum log_level log_facility_level(enum log_facility f);
bool log_wants(enum log_facility f, enum log_level level);

/* Names; -1: there is no such.  log_..._name(): NULL past the last. */
int log_level_find(const char *name);
int log_facility_find(const char *name);
const char *log_level_name(unsigned int level);
const char *log_facility_name(unsigned int f);

const char *log_event_name(unsigned int event);

/* Where the journal listens; for tests, before the first message. */
void log_set_journal(const char *path);

/* @error: errno to append, 0: none. */
void log_at(enum log_facility f, enum log_level level, int error,
	    const char *fmt, ...) __attribute__((format(printf, 4, 5)));

void log_event_at(enum log_facility f, enum log_level level,
		  enum log_event event, int error, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));

#define log_event(event, level, ...) \
	log_event_at(LOG_FACILITY, level, event, 0, __VA_ARGS__)
#define log_warn(...) \
	log_at(LOG_FACILITY, LOG_LEVEL_WARN, errno, __VA_ARGS__)
#define log_warnx(...) log_at(LOG_FACILITY, LOG_LEVEL_WARN, 0, __VA_ARGS__)
#define log_info(...) log_at(LOG_FACILITY, LOG_LEVEL_INFO, 0, __VA_ARGS__)
#define log_debug(...) log_at(LOG_FACILITY, LOG_LEVEL_DEBUG, 0, __VA_ARGS__)

/* Only before the daemon is ready: print and exit(1). */
void log_fatal(const char *fmt, ...)
	__attribute__((noreturn, format(printf, 1, 2)));
void log_fatalx(const char *fmt, ...)
	__attribute__((noreturn, format(printf, 1, 2)));

/* A broken invariant of our own; prints @why with its place and aborts. */
void log_assert_failed(const char *why, const char *file, int line)
	__attribute__((noreturn));

/* Always compiled in; the reason is part of the check. */
#define ENSURE(cond, why) \
	((cond) ? (void)0 : log_assert_failed(why, __FILE__, __LINE__))

#endif
