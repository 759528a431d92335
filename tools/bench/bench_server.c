/*
 * bench_server - the small server of the benches
 *
 *	bench_server -p PORT [-c CPU] [-n CONNS] [-b] [-g CONGESTION]
 *
 * Answers every 64-byte request with 64 bytes (a client that closes is closed
 * too); with -b it sends for ever instead, -g says under which congestion control.  Ends on SIGTERM or SIGINT.
 */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/bench/face.h"

#define MESSAGE_BYTES	64
#define BULK_BYTES	65536

static volatile sig_atomic_t stop;
static bool bulk;

static void on_signal(int sig)
{
	(void)sig;
	stop = 1;
}

static void accept_all(int listener)
{
	int fd;

	while ((fd = face_accept(listener)) >= 0)
		face_watch(fd, bulk ? FACE_IN | FACE_OUT : FACE_IN, 1);
}

/* Replies to what came in; false: the connection is over. */
static bool serve_rpc(int fd)
{
	char buf[16 * MESSAGE_BYTES];
	ssize_t n = face_read(fd, buf, sizeof(buf));

	if (n < 0)
		return errno == EAGAIN;
	if (n == 0)
		return false;
	return face_write(fd, buf, (size_t)n) == n;
}

static bool serve_bulk(int fd, uint32_t events)
{
	static char data[BULK_BYTES];
	ssize_t n;

	if (events & FACE_IN) {
		n = face_read(fd, data, sizeof(data));
		if (n == 0 || (n < 0 && errno != EAGAIN))
			return false;
	}
	if (!(events & FACE_OUT))
		return true;
	while ((n = face_write(fd, data, sizeof(data))) > 0)
		;
	return n < 0 && errno == EAGAIN;
}

static void serve(const struct face_event *ev, int listener)
{
	bool alive;

	if (ev->fd == listener) {
		accept_all(listener);
		return;
	}
	alive = !(ev->events & FACE_ERR) &&
		(bulk ? serve_bulk(ev->fd, ev->events) : serve_rpc(ev->fd));
	if (!alive)
		face_close(ev->fd);
}

/* Several events of one batch may name a descriptor that an earlier one
 * closed and that was accepted again: harmless here, EAGAIN at worst. */
static void run(int listener)
{
	struct face_event ev[256];

	while (!stop) {
		int n = face_wait(ev, 256, 1000);

		for (int i = 0; i < n; i++)
			serve(&ev[i], listener);
	}
}

int main(int argc, char **argv)
{
	int port = 7000, cpu = -1, conns = 20000, opt, listener;
	const char *congestion = NULL;

	while ((opt = getopt(argc, argv, "p:c:n:bg:")) != -1) {
		switch (opt) {
		case 'p': port = atoi(optarg); break;
		case 'c': cpu = atoi(optarg); break;
		case 'n': conns = atoi(optarg); break;
		case 'b': bulk = true; break;
		case 'g': congestion = optarg; break;
		default:
			fprintf(stderr, "usage: bench_server -p PORT [-c CPU] "
					"[-n CONNS] [-b] [-g CONGESTION]\n");
			return 2;
		}
	}
	signal(SIGPIPE, SIG_IGN);
	if (face_init(cpu, conns) < 0) {
		fprintf(stderr, "bench_server (%s): cannot start: %s\n",
			face_name, strerror(errno));
		return 1;
	}
	signal(SIGTERM, on_signal);
	signal(SIGINT, on_signal);
	listener = face_listen((uint16_t)port, 4096);
	if (listener < 0 || face_watch(listener, FACE_IN, 1) < 0) {
		fprintf(stderr, "bench_server (%s): cannot listen on port %d: "
				"%s\n", face_name, port, strerror(errno));
		return 1;
	}
	if (congestion && face_congestion(listener, congestion) < 0) {
		fprintf(stderr, "bench_server (%s): congestion control %s: %s\n",
			face_name, congestion, strerror(errno));
		return 1;
	}
	printf("ready\n");
	fflush(stdout);
	run(listener);
	face_end();
	return 0;
}
