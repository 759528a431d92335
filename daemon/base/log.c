/*
 * log.c - one message, one system call
 *
 * A message is put together on the stack and written with a single call, so
 * that messages of several threads never mix.  What does not fit is cut.
 * Levels, rate limits and the journal's socket are this file's only mutable
 * state; where messages go is found out at the first one.
 */
#include "base/log.h"

#include <endian.h>
#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define LOG_LINE_BYTES	1016		/* and its prefix */

enum { PRIO_CRIT = 2, PRIO_ERR, PRIO_WARNING, PRIO_INFO = 6, PRIO_DEBUG };

struct facility {
	_Atomic int level;
	_Atomic uint32_t second, said, left_out;	/* rate limit */
};

static struct facility facilities[LOG_FACILITIES] = {
	[0 ... LOG_FACILITIES - 1] = { .level = LOG_LEVEL_INFO } };

/* What a message is, beside its text. */
struct what {
	int prio;
	enum log_facility facility;
	enum log_event event;
};

enum { JOURNAL_UNKNOWN = -1, JOURNAL_NONE = -2, JOURNAL_STDERR = -3 };
static _Atomic int journal = JOURNAL_UNKNOWN;	/* else its socket */
static const char *journal_path = "/run/systemd/journal/socket";

void log_set_journal(const char *path)
{
	journal_path = path;
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

static int open_journal(void)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int fd;

	if (!stderr_is_journal())
		return JOURNAL_NONE;
	snprintf(un.sun_path, sizeof(un.sun_path), "%s", journal_path);
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return JOURNAL_STDERR;
	if (connect(fd, (struct sockaddr *)&un, sizeof(un)) == 0)
		return fd;
	close(fd);
	return JOURNAL_STDERR;
}

/* Two threads with the first message: one socket too many is closed. */
static int which_journal(void)
{
	int known = atomic_load_explicit(&journal, memory_order_relaxed), mine;

	if (known != JOURNAL_UNKNOWN)
		return known;
	mine = open_journal();
	if (atomic_compare_exchange_strong(&journal, &known, mine))
		return mine;
	if (mine >= 0)
		close(mine);
	return known;
}

/* Bytes that really are in a buffer of @room after snprintf() returned @n. */
static size_t fitted(int n, size_t room)
{
	if (n < 0)
		return 0;
	return (size_t)n < room ? (size_t)n : room - 1;
}

/* What is told may hold others' names: a line is one line. */
static void one_line(char *text, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		if ((unsigned char)text[i] < ' ' && text[i] != '\t')
			text[i] = '?';
}

/* The journal's protocol: NAME=value lines, and for a value of any bytes NAME,
 * newline, its length in 64 bits little endian, the value, newline. */
static bool to_journal(int fd, const struct what *w, const char *text,
		       size_t bytes)
{
	char head[256], tail[] = "\n";
	uint64_t length = htole64(bytes);
	struct iovec iov[] = { { head, 0 }, { &length, sizeof(length) },
			       { (void *)(uintptr_t)text, bytes }, { tail, 1 } };
	struct msghdr m = { .msg_iov = iov, .msg_iovlen = 4 };
	int n;

	n = snprintf(head, sizeof(head), "PRIORITY=%d\n"
		     "SYSLOG_IDENTIFIER=mtcpd\nMTCPD_FACILITY=%s\n", w->prio,
		     log_facility_name(w->facility));
	if (w->event)
		n += snprintf(head + n, sizeof(head) - (size_t)n,
			      "MTCPD_EVENT=%s\nMESSAGE_ID=" LOG_ID_BASE
			      "%04x\n", log_event_name(w->event), w->event);
	n += snprintf(head + n, sizeof(head) - (size_t)n, "MESSAGE\n");
	iov[0].iov_len = fitted(n, sizeof(head));
	return sendmsg(fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0;
}

static void to_stderr(const char *prefix, const char *text, size_t bytes)
{
	struct iovec iov[] = { { (void *)(uintptr_t)prefix, strlen(prefix) },
			       { (void *)(uintptr_t)text, bytes },
			       { (void *)(uintptr_t)"\n", 1 } };
	ssize_t n;

	do
		n = writev(STDERR_FILENO, iov, 3);
	while (n < 0 && errno == EINTR);
}

/* @error: errno to append, 0: none.  Preserves errno. */
static void emit(const struct what *w, int error, const char *fmt, va_list ap)
{
	char text[LOG_LINE_BYTES], why[128], prefix[8] = "mtcpd: ";
	int saved = errno, where = which_journal();
	size_t used;

	used = fitted(vsnprintf(text, sizeof(text), fmt, ap), sizeof(text));
	if (error)
		used += fitted(snprintf(text + used, sizeof(text) - used,
					": %s", strerror_r(error, why,
							   sizeof(why))),
			       sizeof(text) - used);
	one_line(text, used);
	if (where != JOURNAL_NONE)
		snprintf(prefix, sizeof(prefix), "<%d>", w->prio);
	if (where < 0 || !to_journal(where, w, text, used))
		to_stderr(prefix, text, used);
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

static const char *const event_names[] = {
	[LOG_EV_NONE] = "none",
	[LOG_EV_READY] = "ready", [LOG_EV_STOPPING] = "stopping",
	[LOG_EV_STOPPED] = "stopped", [LOG_EV_DRAINING] = "draining",
	[LOG_EV_DRAINED] = "drained", [LOG_EV_RELOADED] = "reloaded",
	[LOG_EV_RELOAD_FAILED] = "reload_failed",
	[LOG_EV_SETTING] = "setting", [LOG_EV_ATTACHED] = "attached",
	[LOG_EV_LEFT] = "left", [LOG_EV_DETACHED] = "detached",
	[LOG_EV_REFUSED] = "refused", [LOG_EV_QUOTA] = "quota",
	[LOG_EV_NO_ROUTE] = "no_route", [LOG_EV_PORT_UP] = "port_up",
	[LOG_EV_PORT_LOST] = "port_lost", [LOG_EV_PORT_BACK] = "port_back",
	[LOG_EV_ENGINE_STUCK] = "engine_stuck",
	[LOG_EV_ENGINE_BACK] = "engine_back",
	[LOG_EV_FIREWALL] = "firewall", [LOG_EV_LEFT_OUT] = "left_out",
	[LOG_EV_FATAL] = "fatal", [LOG_EV_BROKEN] = "broken" };
_Static_assert(sizeof(event_names) / sizeof(event_names[0]) == LOG_EVENTS,
	       "every event has a name");

const char *log_event_name(unsigned int event)
{
	return event < LOG_EVENTS ? event_names[event] : NULL;
}

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

static void emit_args(const struct what *w, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static void emit_args(const struct what *w, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	emit(w, 0, fmt, ap);
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
			emit_args(&(struct what){ PRIO_WARNING, f,
						  LOG_EV_LEFT_OUT },
				  "%u messages of \"%s\" were "
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
		emit(&(struct what){ prio_of(level), f, LOG_EV_NONE }, error,
		     fmt, ap);
		va_end(ap);
	}
	errno = saved;
}

void log_event_at(enum log_facility f, enum log_level level,
		  enum log_event event, int error, const char *fmt, ...)
{
	int saved = errno;
	va_list ap;

	if (!log_wants(f, level))
		return;
	if (level == LOG_LEVEL_ERROR || let_through(f)) {
		va_start(ap, fmt);
		emit(&(struct what){ prio_of(level), f, event }, error, fmt,
		     ap);
		va_end(ap);
	}
	errno = saved;
}

static const struct what fatal = { PRIO_ERR, LOG_FAC_CONTROL, LOG_EV_FATAL };

void log_fatal(const char *fmt, ...)
{
	int error = errno;
	va_list ap;

	va_start(ap, fmt);
	emit(&fatal, error, fmt, ap);
	va_end(ap);
	exit(1);
}

void log_fatalx(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	emit(&fatal, 0, fmt, ap);
	va_end(ap);
	exit(1);
}

void log_assert_failed(const char *why, const char *file, int line)
{
	emit_args(&(struct what){ PRIO_CRIT, LOG_FAC_CONTROL, LOG_EV_BROKEN },
		  "internal error at %s:%d: %s; please report this "
		  "with the core dump", file, line, why);
	abort();
}
