#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tools/mtcpctl/mtcpctl.h"

#define ANSWER_SECONDS	30	/* of silence, then we give up */

static int dial(const char *path)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	struct timeval limit = { .tv_sec = ANSWER_SECONDS };
	int fd;

	if (strlen(path) >= sizeof(sa.sun_path)) {
		fprintf(stderr, "mtcpctl: the socket's path is too long: %s\n",
			path);
		return -1;
	}
	strcpy(sa.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0) {
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
		return fd;
	}
	if (errno == EACCES || errno == EPERM)
		fprintf(stderr, "mtcpctl: %s: %s (be root, or a member of "
			"[daemon] group in mtcpd.conf)\n", path,
			strerror(errno));
	else
		fprintf(stderr, "mtcpctl: no mtcpd answers at %s: %s (start it "
			"with `mtcpd -c /etc/mtcpd/mtcpd.conf`, or name its "
			"[daemon] admin socket with -s)\n", path,
			strerror(errno));
	if (fd >= 0)
		close(fd);
	return -1;
}

/* Up to the end of the first line, without it. */
static char *read_line(int fd)
{
	size_t room = 65536, used = 0;
	char *text = malloc(room);

	while (text) {
		ssize_t n = read(fd, text + used, room - used - 1);
		char *end;

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			fprintf(stderr, "mtcpctl: mtcpd hung up: %s\n",
				n == 0 ? "it has stopped, or serves too many "
				"mtcpctl" : strerror(errno));
			break;
		}
		end = memchr(text + used, '\n', (size_t)n);
		used += (size_t)n;
		if (end) {
			*end = '\0';
			return text;
		}
		if (room - used < 2) {
			char *more = realloc(text, room *= 2);

			if (!more)
				break;
			text = more;
		}
	}
	free(text);
	return NULL;
}

char *ask(const char *socket_path, const char *cmd)
{
	int fd = dial(socket_path);
	char *answer;

	if (fd < 0)
		return NULL;
	if (dprintf(fd, "{\"cmd\":\"%s\"}\n", cmd) < 0) {
		fprintf(stderr, "mtcpctl: cannot ask mtcpd: %s\n",
			strerror(errno));
		close(fd);
		return NULL;
	}
	answer = read_line(fd);
	close(fd);
	return answer;
}
