/*
 * asker.c - a program that says what mtcpd lets it do, for the system tests
 *
 *	asker MTCP_CONF { listen PORT | bind ADDRESS PORT | from ADDRESS PORT | connect ADDRESS PORT |
 *			  accept COUNT | pace BYTES_A_SECOND |
 *			  fill ADDRESS PORT COUNT BYTES | hold SECONDS }...
 *
 * Each word is done in turn and answered by a line: "ok", or an errno's name.
 * `from` binds the next connect.  `accept` takes from the last listener and
 * says how long it took.  `fill` makes COUNT connections and writes BYTES to each
 * without waiting; the errno is said when none has taken a byte for a second, or
 * of what ends it, and "ok" when all is written; `pace` is the SO_MAX_PACING_RATE
 * of those.
 *
 * Threads   One.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <mtcp_api.h>
#include <mtcp_ext.h>

struct asker {
	mctx_t mctx;
	int listener;
	struct sockaddr_in from;	/* of the next connect */
	unsigned int pace;		/* of the next fill; 0: none */
};

static void say(const char *what, int rc)
{
	printf("%s: %s\n", what, rc >= 0 ? "ok" : strerrorname_np(errno));
	fflush(stdout);
}

static struct sockaddr_in address(const char *quad, const char *port)
{
	struct sockaddr_in sin = {
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)strtoul(port, NULL, 10)) };

	sin.sin_addr.s_addr = inet_addr(quad);
	return sin;
}

static void do_listen(struct asker *a, const char *port)
{
	struct sockaddr_in sin = address("0.0.0.0", port);
	int s = mtcp_socket(a->mctx, AF_INET, SOCK_STREAM, 0), rc;

	mtcp_setsock_block(a->mctx, s);
	rc = mtcp_bind(a->mctx, s, (struct sockaddr *)&sin, sizeof(sin));
	if (rc >= 0)
		rc = mtcp_listen(a->mctx, s, 128);
	a->listener = s;
	say("listen", rc);
}

static void do_bind(struct asker *a, const char *quad, const char *port)
{
	struct sockaddr_in sin = address(quad, port);
	int s = mtcp_socket(a->mctx, AF_INET, SOCK_STREAM, 0), rc = s;

	if (s >= 0)
		rc = mtcp_bind(a->mctx, s, (struct sockaddr *)&sin,
			       sizeof(sin));
	say("bind", rc);
}

static void do_connect(struct asker *a, const char *quad, const char *port)
{
	struct sockaddr_in sin = address(quad, port);
	int s = mtcp_socket(a->mctx, AF_INET, SOCK_STREAM, 0), rc = s;

	if (s >= 0)
		mtcp_setsock_block(a->mctx, s);
	if (s >= 0 && a->from.sin_port)
		rc = mtcp_bind(a->mctx, s, (struct sockaddr *)&a->from,
			       sizeof(a->from));
	a->from.sin_port = 0;
	if (rc >= 0)
		rc = mtcp_connect(a->mctx, s, (struct sockaddr *)&sin,
				  sizeof(sin));
	say("connect", rc);
}

static void do_accept(struct asker *a, int count)
{
	struct timespec from, to;
	int rc = 0;

	clock_gettime(CLOCK_MONOTONIC, &from);
	for (int i = 0; i < count && rc >= 0; i++)
		rc = mtcp_accept(a->mctx, a->listener, NULL, NULL);
	clock_gettime(CLOCK_MONOTONIC, &to);
	say("accept", rc);
	printf("accepted in %ld ms\n", (to.tv_sec - from.tv_sec) * 1000 +
	       (to.tv_nsec - from.tv_nsec) / 1000000);
	fflush(stdout);
}

enum { FILL_MAX = 512, FILL_TURN_US = 5000, FILL_STALLED = 200 };

struct fill {
	int sock[FILL_MAX];
	size_t left[FILL_MAX];
	int count;
	int err;			/* of the last write that failed */
};

/* One write to each that has something left; bytes taken by all. */
static size_t fill_turn(struct asker *a, struct fill *f)
{
	static char block[65536];
	size_t taken = 0;

	for (int i = 0; i < f->count; i++) {
		size_t n = f->left[i] < sizeof(block) ? f->left[i] :
			sizeof(block);
		ssize_t rc = n ? mtcp_write(a->mctx, f->sock[i], block, n) : 0;

		if (rc < 0) {
			f->err = errno;
			continue;
		}
		f->left[i] -= (size_t)rc;
		taken += (size_t)rc;
	}
	return taken;
}

static void do_fill(struct asker *a, char **w)
{
	struct sockaddr_in sin = address(w[0], w[1]);
	static struct fill f;
	size_t all = 0;
	int still = 0;

	f.count = atoi(w[2]) < FILL_MAX ? atoi(w[2]) : FILL_MAX;
	for (int i = 0; i < f.count; i++) {
		f.sock[i] = mtcp_socket(a->mctx, AF_INET, SOCK_STREAM, 0);
		mtcp_setsock_block(a->mctx, f.sock[i]);
		if (mtcp_connect(a->mctx, f.sock[i], (struct sockaddr *)&sin,
				 sizeof(sin)) < 0) {
			say("fill: connect", -1);
			return;
		}
		mtcp_setsock_nonblock(a->mctx, f.sock[i]);
		if (a->pace && mtcp_setsockopt(a->mctx, f.sock[i], SOL_SOCKET,
					       SO_MAX_PACING_RATE, &a->pace,
					       sizeof(a->pace)) < 0)
			say("fill: pace", -1);
		f.left[i] = strtoul(w[3], NULL, 10);
		all += f.left[i];
	}
	while (all) {
		size_t taken = fill_turn(a, &f);

		all -= taken;
		still = taken ? 0 : still + 1;
		errno = f.err;
		if (still == FILL_STALLED || (f.err && f.err != EAGAIN))
			say("fill", -1);
		if (f.err && f.err != EAGAIN)
			return;
		if (!taken)
			usleep(FILL_TURN_US);
	}
	say("fill", 0);
}

/* How many words it used; 0: not understood. */
static int one(struct asker *a, char **w, int left)
{
	if (left >= 2 && !strcmp(w[0], "listen")) {
		do_listen(a, w[1]);
		return 2;
	}
	if (left >= 3 && !strcmp(w[0], "bind")) {
		do_bind(a, w[1], w[2]);
		return 3;
	}
	if (left >= 3 && !strcmp(w[0], "from")) {
		a->from = address(w[1], w[2]);
		return 3;
	}
	if (left >= 3 && !strcmp(w[0], "connect")) {
		do_connect(a, w[1], w[2]);
		return 3;
	}
	if (left >= 2 && !strcmp(w[0], "accept")) {
		do_accept(a, atoi(w[1]));
		return 2;
	}
	if (left >= 5 && !strcmp(w[0], "fill")) {
		do_fill(a, w + 1);
		return 5;
	}
	if (left >= 2 && !strcmp(w[0], "pace")) {
		a->pace = (unsigned int)strtoul(w[1], NULL, 10);
		return 2;
	}
	if (left >= 2 && !strcmp(w[0], "hold")) {
		sleep((unsigned int)atoi(w[1]));
		return 2;
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct asker a = { .listener = -1 };
	int at = 2, used;

	if (argc < 2)
		return 2;
	if (mtcp_init(argv[1]) < 0) {
		say("attach", -1);
		return 1;
	}
	a.mctx = mtcp_create_context(0);
	say("attach", a.mctx ? 0 : -1);
	while (a.mctx && at < argc) {
		used = one(&a, argv + at, argc - at);
		if (!used)
			return 2;
		at += used;
	}
	return a.mctx ? 0 : 1;
}
