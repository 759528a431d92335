#include "netlib.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cpu.h"

#define LISTEN_BACKLOG	4096

int GetNumCPUCores(void)
{
	return GetNumCPUs();
}

int AffinitizeThreadToCore(int core)
{
	return CoreAffinitize(core);
}

/* Closes @fd without losing the error that made the caller give up. */
static int close_failed(int fd)
{
	int error = errno;

	close(fd);
	errno = error;
	return -1;
}

static int tcp_socket(int nonblocking)
{
	return socket(AF_INET,
		      SOCK_STREAM | SOCK_CLOEXEC |
		      (nonblocking ? SOCK_NONBLOCK : 0), 0);
}

static int address(struct sockaddr_in *sin, in_addr_t addr, int port)
{
	if (port < 0 || port > UINT16_MAX) {
		errno = EINVAL;
		return -1;
	}
	memset(sin, 0, sizeof(*sin));
	sin->sin_family = AF_INET;
	sin->sin_addr.s_addr = addr;
	sin->sin_port = htons((uint16_t)port);
	return 0;
}

int CreateServerSocket(int port, int isNonBlocking)
{
	struct sockaddr_in sin;
	int fd, on = 1;

	if (address(&sin, htonl(INADDR_ANY), port) < 0)
		return -1;
	fd = tcp_socket(isNonBlocking);
	if (fd < 0)
		return -1;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    bind(fd, (struct sockaddr *)&sin, sizeof(sin)) < 0 ||
	    listen(fd, LISTEN_BACKLOG) < 0)
		return close_failed(fd);
	return fd;
}

int CreateConnectionSocket(in_addr_t addr, int port, int isNonBlocking)
{
	struct sockaddr_in sin;
	int fd;

	if (address(&sin, addr, port) < 0)
		return -1;
	fd = tcp_socket(isNonBlocking);
	if (fd < 0)
		return -1;
	if (connect(fd, (struct sockaddr *)&sin, sizeof(sin)) < 0 &&
	    errno != EINPROGRESS)
		return close_failed(fd);
	return fd;
}

int mystrtol(const char *nptr, int base)
{
	char *end;
	long val;

	errno = 0;
	val = strtol(nptr, &end, base);
	if (errno || end == nptr || *end || val < INT_MIN || val > INT_MAX) {
		fprintf(stderr, "'%s' is not a whole number\n", nptr);
		exit(EXIT_FAILURE);
	}
	return (int)val;
}

static struct Options *find_option(struct Options *ops, const char *name)
{
	for (; ops->op_name; ops++)
		if (!strcmp(ops->op_name, name))
			return ops;
	return NULL;
}

void ParseOptions(int argc, const char **argv, struct Options *ops)
{
	for (int i = 1; i < argc; i += 2) {
		struct Options *op = find_option(ops, argv[i]);

		if (!op || i + 1 == argc) {
			fprintf(stderr, op ? "%s needs a value\n" :
				"%s is no option of this program\n", argv[i]);
			PrintOptions(ops, FALSE);
			exit(EXIT_FAILURE);
		}
		/* mTCP's interface takes the const away */
		*op->op_varptr = (char *)(uintptr_t)argv[i + 1];
	}
}

void PrintOptions(const struct Options *ops, int printVal)
{
	for (; ops->op_name; ops++) {
		const char *val = *ops->op_varptr;

		fprintf(stderr, "%-10s %s", ops->op_name, ops->op_comment);
		if (printVal)
			fprintf(stderr, " (%s)", val ? val : "not given");
		fputc('\n', stderr);
	}
}

char *GetHeaderString(const char *buf, const char *header, int hdrsize)
{
	char *found = strcasestr(buf, header);

	if (!found || hdrsize < 0 || strnlen(found, (size_t)hdrsize) <
	    (size_t)hdrsize)
		return NULL;
	found += hdrsize;
	while (*found == ' ' || *found == '\t')
		found++;
	return *found && *found != '\r' && *found != '\n' ? found : NULL;
}

int GetHeaderLong(const char *buf, const char *header, int hdrsize,
		  long int *val)
{
	const char *text = GetHeaderString(buf, header, hdrsize);
	char *end;
	long got;

	if (!text)
		return FALSE;
	errno = 0;
	got = strtol(text, &end, 0);
	if (errno || end == text)
		return FALSE;
	*val = got;
	return TRUE;
}
