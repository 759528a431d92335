/*
 * log.h - what the daemon tells its administrator
 *
 * log_warn() and log_fatal() append ": " and the text of errno; the *x forms
 * do not.  Never called for each packet at the default level.  Messages go to
 * standard error, with a <N> priority prefix when standard error is the
 * journal (JOURNAL_STREAM), so that levels survive there.
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

/* @error: errno to append, 0: none. */
void log_at(enum log_facility f, enum log_level level, int error,
	    const char *fmt, ...) __attribute__((format(printf, 4, 5)));

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
