/*
 * log.c - one message, one write(2)
 *
 * A message is put together on the stack and written with a single call, so
 * that messages of several threads never mix.  What does not fit is cut.
 * Levels, rate limits and the prefix are this file's only mutable state; the
 * prefix choice is made at the first message and is the same whoever makes it.
 */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LOG_LINE_BYTES	1024

enum { PRIO_CRIT = 2, PRIO_ERR, PRIO_WARNING, PRIO_INFO = 6, PRIO_DEBUG };

struct facility {
	_Atomic int level;
	_Atomic uint32_t second, said, left_out;	/* rate limit */
};

static struct facility facilities[LOG_FACILITIES] = {
	[0 ... LOG_FACILITIES - 1] = { .level = LOG_LEVEL_INFO } };
static _Atomic int journal = -1;	/* -1: not known yet */

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

/* ---- levels ---- */

static const char *const level_names[] = {
	[LOG_LEVEL_ERROR] = "error", [LOG_LEVEL_WARN] = "warn",
	[LOG_LEVEL_INFO] = "info", [LOG_LEVEL_DEBUG] = "debug" };
static const char *const facility_names[LOG_FACILITIES] = {
	[LOG_FAC_CONTROL] = "control", [LOG_FAC_CLIENT] = "client",
	[LOG_FAC_CONFIG] = "config", [LOG_FAC_PORT] = "port",
	[LOG_FAC_ENGINE] = "engine", [LOG_FAC_NET] = "net",
	[LOG_FAC_TCP] = "tcp" };

const char *log_level_name(unsigned int level)
{
	return level <= LOG_LEVEL_DEBUG ? level_names[level] : NULL;
}

const char *log_facility_name(unsigned int f)
{
	return f < LOG_FACILITIES ? facility_names[f] : NULL;
}

int log_level_find(const char *name)
{
	for (int i = 0; i <= LOG_LEVEL_DEBUG; i++)
		if (!strcmp(level_names[i], name))
			return i;
	return -1;
}

int log_facility_find(const char *name)
{
	for (int i = 0; i < LOG_FACILITIES; i++)
		if (!strcmp(facility_names[i], name))
			return i;
	return -1;
}

void log_set_facility(enum log_facility f, enum log_level level)
{
	atomic_store_explicit(&facilities[f].level, (int)level,
			      memory_order_relaxed);
}

enum log_level log_facility_level(enum log_facility f)
{
	return (enum log_level)atomic_load_explicit(&facilities[f].level,
						    memory_order_relaxed);
}

bool log_wants(enum log_facility f, enum log_level level)
{
	return level <= log_facility_level(f);
}

void log_set_level(enum log_level level)
{
	for (unsigned int f = 0; f < LOG_FACILITIES; f++)
		log_set_facility((enum log_facility)f, level);
}

enum log_level log_get_level(void)
{
	enum log_level most = LOG_LEVEL_ERROR;

	for (unsigned int f = 0; f < LOG_FACILITIES; f++)
		if (log_facility_level((enum log_facility)f) > most)
			most = log_facility_level((enum log_facility)f);
	return most;
}

/* ---- messages ---- */

static int prio_of(enum log_level level)
{
	static const int prio[] = {
		[LOG_LEVEL_ERROR] = PRIO_ERR, [LOG_LEVEL_WARN] = PRIO_WARNING,
		[LOG_LEVEL_INFO] = PRIO_INFO, [LOG_LEVEL_DEBUG] = PRIO_DEBUG };

	return prio[level];
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

/* A window of one second; two threads that open a new one together may let a
 * few messages more through. */
static bool let_through(enum log_facility f)
{
	struct facility *fac = &facilities[f];
	struct timespec ts;
	uint32_t left_out;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	if (atomic_exchange_explicit(&fac->second, (uint32_t)ts.tv_sec,
				     memory_order_relaxed) !=
	    (uint32_t)ts.tv_sec) {
		atomic_store_explicit(&fac->said, 0, memory_order_relaxed);
		left_out = atomic_exchange_explicit(&fac->left_out, 0,
						    memory_order_relaxed);
		if (left_out)
			emit_args(PRIO_WARNING, "%u messages of \"%s\" were "
				  "left out: more than %d in a second",
				  left_out, facility_names[f], LOG_BURST);
	}
	if (atomic_fetch_add_explicit(&fac->said, 1, memory_order_relaxed) <
	    LOG_BURST)
		return true;
	atomic_fetch_add_explicit(&fac->left_out, 1, memory_order_relaxed);
	return false;
}

void log_at(enum log_facility f, enum log_level level, int error,
	    const char *fmt, ...)
{
	int saved = errno;
	va_list ap;

	if (!log_wants(f, level))
		return;
	if (level == LOG_LEVEL_ERROR || let_through(f)) {
		va_start(ap, fmt);
		emit(prio_of(level), error, fmt, ap);
		va_end(ap);
	}
	errno = saved;
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

void log_assert_failed(const char *why, const char *file, int line)
{
	emit_args(PRIO_CRIT, "internal error at %s:%d: %s; please report this "
		  "with the core dump", file, line, why);
	abort();
}
