#include "libclient/preload/preload.h"

#include <errno.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/*
 * Streams.  stdio reads and writes by calls within libc that nobody can come
 * between, so a stream on an mtcp socket is a cookie whose functions are ours.
 * libc knows no descriptor of a cookie: fileno() asks the list here.
 */

#define PUBLIC	__attribute__((visibility("default")))

struct stream {
	FILE *file;
	int fd;
	struct stream *next;
};

static struct stream *_Atomic streams;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static ssize_t cookie_read(void *c, char *buf, size_t len)
{
	return read(((struct stream *)c)->fd, buf, len);
}

static ssize_t cookie_write(void *c, const char *buf, size_t len)
{
	ssize_t n = write(((struct stream *)c)->fd, buf, len);

	return n < 0 ? 0 : n;
}

static void forget(struct stream *s)
{
	struct stream *at;

	pthread_mutex_lock(&lock);
	at = atomic_load(&streams);
	if (at == s) {
		atomic_store(&streams, s->next);
	} else {
		while (at->next != s)
			at = at->next;
		at->next = s->next;
	}
	pthread_mutex_unlock(&lock);
}

static int cookie_close(void *c)
{
	struct stream *s = c;
	int fd = s->fd;

	forget(s);
	free(s);
	return close(fd);
}

static FILE *stream_new(int fd, const char *mode)
{
	const cookie_io_functions_t io = { .read = cookie_read,
					   .write = cookie_write,
					   .close = cookie_close };
	struct stream *s = malloc(sizeof(*s));

	if (!s)
		return NULL;
	s->fd = fd;
	s->file = fopencookie(s, mode, io);
	if (!s->file) {
		free(s);
		return NULL;
	}
	pthread_mutex_lock(&lock);
	s->next = atomic_load(&streams);
	atomic_store(&streams, s);
	pthread_mutex_unlock(&lock);
	return s->file;
}

PUBLIC FILE *fdopen(int fd, const char *mode)
{
	return table_sock(fd) ? stream_new(fd, mode) :
				real()->fdopen(fd, mode);
}

PUBLIC int fileno(FILE *file)
{
	int fd = -1;

	if (atomic_load_explicit(&streams, memory_order_relaxed)) {
		pthread_mutex_lock(&lock);
		for (struct stream *s = atomic_load(&streams); s; s = s->next)
			if (s->file == file)
				fd = s->fd;
		pthread_mutex_unlock(&lock);
	}
	return fd >= 0 ? fd : real()->fileno(file);
}

PUBLIC int fileno_unlocked(FILE *file)
{
	return fileno(file);
}

void stdio_adopt(int fd)
{
	static _Atomic uint32_t done;		/* bit fd */
	FILE **const std[3] = { &stdin, &stdout, &stderr };
	FILE *file;

	if (fd > 2 || fd < 0 || atomic_fetch_or(&done, 1u << fd) & 1u << fd)
		return;
	fflush(*std[fd]);
	file = stream_new(fd, fd ? "w" : "r");
	if (!file)
		return;
	if (fd == 2 || !__fbufsize(*std[fd]))
		setvbuf(file, NULL, _IONBF, 0);
	else if (__flbf(*std[fd]))
		setvbuf(file, NULL, _IOLBF, 0);
	*std[fd] = file;
}

/* ---- dprintf ---- */

static int print_all(int fd, char *text, int len)
{
	int saved, done = 0;

	while (done < len) {
		ssize_t n = write(fd, text + done, (size_t)(len - done));

		if (n < 0) {
			len = -1;
			break;
		}
		done += (int)n;
	}
	saved = errno;
	free(text);
	errno = saved;
	return len;
}

PUBLIC int __attribute__((format(printf, 2, 0)))
vdprintf(int fd, const char *format, va_list ap)
{
	char *text;
	int n;

	if (!table_sock(fd))
		return real()->vdprintf(fd, format, ap);
	n = vasprintf(&text, format, ap);
	return n < 0 ? -1 : print_all(fd, text, n);
}

PUBLIC int __attribute__((format(printf, 2, 3)))
dprintf(int fd, const char *format, ...)
{
	va_list ap;
	int n;

	va_start(ap, format);
	n = vdprintf(fd, format, ap);
	va_end(ap);
	return n;
}

PUBLIC int __attribute__((format(printf, 3, 0)))
__vdprintf_chk(int fd, int flag, const char *format, va_list ap)
{
	(void)flag;
	return vdprintf(fd, format, ap);
}

PUBLIC int __attribute__((format(printf, 3, 4)))
__dprintf_chk(int fd, int flag, const char *format, ...)
{
	va_list ap;
	int n;

	(void)flag;
	va_start(ap, format);
	n = vdprintf(fd, format, ap);
	va_end(ap);
	return n;
}
