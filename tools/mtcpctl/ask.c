#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tools/mtcpctl/mtcpctl.h"

#define ANSWER_SECONDS	30	/* of silence, then we give up */

int dial(const char *path)
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

char *ask(const char *socket_path, const json_t *request)
{
	char *line = json_dumps(request, JSON_COMPACT), *answer = NULL;
	int fd = line ? dial(socket_path) : -1;

	if (fd >= 0 && dprintf(fd, "%s\n", line) < 0)
		fprintf(stderr, "mtcpctl: cannot ask mtcpd: %s\n",
			strerror(errno));
	else if (fd >= 0)
		answer = read_line(fd);
	free(line);
	if (fd >= 0)
		close(fd);
	return answer;
}

json_t *answer_data(const char *line)
{
	json_error_t err;
	json_t *answer = json_loads(line, 0, &err), *data;
	const char *error = json_string_value(json_object_get(answer, "error"));

	data = json_incref(json_object_get(answer, "data"));
	if (!answer)
		fprintf(stderr, "mtcpctl: mtcpd's answer is no JSON: %s\n",
			err.text);
	else if (!data)
		fprintf(stderr, "mtcpctl: mtcpd says: %s\n",
			error ? error : "nothing of use");
	json_decref(answer);
	return data;
}

json_t *ask_data(const struct options *o, json_t *request)
{
	char *line = ask(o->socket, request);
	json_t *data = line ? answer_data(line) : NULL;

	free(line);
	json_decref(request);
	return data;
}
