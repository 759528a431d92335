/*
 * log.h - what the daemon tells its administrator
 *
 * log_warn() and log_fatal() append ": " and the text of errno; the *x forms
 * do not.  Never called for each packet at the default level.  Messages go to
 * standard error, with a <N> priority prefix when standard error is the
 * journal (JOURNAL_STREAM), so that levels survive there.
 *
 * Threads   Any; each message is one write().  The level is atomic.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

void log_set_level(enum log_level level);
enum log_level log_get_level(void);

void log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_warnx(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

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
