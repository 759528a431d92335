/*
 * log.c - one message, one write(2)
 *
 * A message is put together on the stack and written with a single call, so
 * that messages of several threads never mix.  What does not fit is cut.  The
 * level and the prefix are this file's only mutable state; the prefix choice is
 * made at the first message and is the same whoever makes it.
 */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOG_LINE_BYTES	1024

enum { PRIO_CRIT = 2, PRIO_ERR, PRIO_WARNING, PRIO_INFO = 6, PRIO_DEBUG };

static _Atomic int current_level = LOG_LEVEL_INFO;
static _Atomic int journal = -1;	/* -1: not known yet */

void log_set_level(enum log_level level)
{
	atomic_store_explicit(&current_level, (int)level, memory_order_relaxed);
}

enum log_level log_get_level(void)
{
	return (enum log_level)atomic_load_explicit(&current_level,
						    memory_order_relaxed);
}

/* JOURNAL_STREAM is "device:inode" of the journal's socket; it is inherited
 * by children, so it must be compared with what standard error really is. */
static int stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long dev, ino;
	struct stat st;

	if (!stream || sscanf(stream, "%llu:%llu", &dev, &ino) != 2)
		return 0;
	return fstat(STDERR_FILENO, &st) == 0 && st.st_dev == dev &&
	       st.st_ino == ino;
}

static int prefix(char *buf, size_t room, int prio)
{
	int known = atomic_load_explicit(&journal, memory_order_relaxed);

	if (known < 0) {
		known = stderr_is_journal();
		atomic_store_explicit(&journal, known, memory_order_relaxed);
	}
	return known ? snprintf(buf, room, "<%d>", prio) :
		       snprintf(buf, room, "mtcpd: ");
}

/* Bytes that really are in a buffer of @room after snprintf() returned @n. */
static size_t fitted(int n, size_t room)
{
	if (n < 0)
		return 0;
	return (size_t)n < room ? (size_t)n : room - 1;
}

/* @error: errno to append, 0: none.  Preserves errno. */
static void emit(int prio, int error, const char *fmt, va_list ap)
{
	char line[LOG_LINE_BYTES], why[128];
	const size_t room = sizeof(line) - 1;	/* one for the newline */
	int saved = errno;
	size_t used;
	ssize_t n;

	used = fitted(prefix(line, room, prio), room);
	used += fitted(vsnprintf(line + used, room - used, fmt, ap),
		       room - used);
	if (error)
		used += fitted(snprintf(line + used, room - used, ": %s",
					strerror_r(error, why, sizeof(why))),
			       room - used);
	line[used++] = '\n';
	do
		n = write(STDERR_FILENO, line, used);
	while (n < 0 && errno == EINTR);
	errno = saved;
}

void log_warn(const char *fmt, ...)
{
	int error = errno;
	va_list ap;

	if (log_get_level() < LOG_LEVEL_WARN)
		return;
	va_start(ap, fmt);
	emit(PRIO_WARNING, error, fmt, ap);
	va_end(ap);
}

void log_warnx(const char *fmt, ...)
{
	va_list ap;

	if (log_get_level() < LOG_LEVEL_WARN)
		return;
	va_start(ap, fmt);
	emit(PRIO_WARNING, 0, fmt, ap);
	va_end(ap);
}

void log_info(const char *fmt, ...)
{
	va_list ap;

	if (log_get_level() < LOG_LEVEL_INFO)
		return;
	va_start(ap, fmt);
	emit(PRIO_INFO, 0, fmt, ap);
	va_end(ap);
}

void log_debug(const char *fmt, ...)
{
	va_list ap;

	if (log_get_level() < LOG_LEVEL_DEBUG)
		return;
	va_start(ap, fmt);
	emit(PRIO_DEBUG, 0, fmt, ap);
	va_end(ap);
}

void log_fatal(const char *fmt, ...)
{
	int error = errno;
	va_list ap;

	va_start(ap, fmt);
	emit(PRIO_ERR, error, fmt, ap);
	va_end(ap);
	exit(1);
}

void log_fatalx(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	emit(PRIO_ERR, 0, fmt, ap);
	va_end(ap);
	exit(1);
}

static void emit_args(int prio, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static void emit_args(int prio, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	emit(prio, 0, fmt, ap);
	va_end(ap);
}

void log_assert_failed(const char *why, const char *file, int line)
{
	emit_args(PRIO_CRIT, "internal error at %s:%d: %s; please report this "
		  "with the core dump", file, line, why);
	abort();
}
