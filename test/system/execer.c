/* A program that executes itself, for sys_exec.sh: execer CONF PORT [L S N]
 *
 * It accepts a connection and reads "hello" of it; then, three times over, the
 * next image echoes a byte more, by the ids that it was told.  The last one
 * accepts another connection from the listener. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <mtcp_api.h>
#include <mtcp_ext.h>

#define IMAGES 3

static mctx_t m;

static void need(int ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "execer: %s: %s (%s)\n", what, strerror(errno),
		mtcp_error_text());
	exit(1);
}

static void start(const char *conf)
{
	need(mtcp_init(conf) == 0, "init");
	m = mtcp_create_context(0);
	need(m != NULL, "context");
}

static int listen_on(const char *port)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
				 .sin_port = htons((uint16_t)atoi(port)) };
	int l;

	for (int i = 0; i < 7; i++)	/* ids are not to be 0, 1, 2 */
		mtcp_close(m, mtcp_socket(m, AF_INET, SOCK_STREAM, 0));
	l = mtcp_socket(m, AF_INET, SOCK_STREAM, 0);
	need(mtcp_bind(m, l, (struct sockaddr *)&a, sizeof(a)) == 0, "bind");
	need(mtcp_listen(m, l, 16) == 0, "listen");
	need(mtcp_setsock_block(m, l) == 0, "block");
	printf("ready\n");
	fflush(stdout);
	return l;
}

static void next(char **argv, int l, int s, int n)
{
	char nl[16], ns[16], nn[16];
	char *args[] = { argv[0], argv[1], argv[2], nl, ns, nn, NULL };
	char daemon[128];
	char *env[] = { daemon, NULL };

	snprintf(nl, sizeof(nl), "%d", l);
	snprintf(ns, sizeof(ns), "%d", s);
	snprintf(nn, sizeof(nn), "%d", n);
	snprintf(daemon, sizeof(daemon), "MTCPD_SOCKET=%s",
		 getenv("MTCPD_SOCKET"));
	need(mtcp_execve("/nowhere", args, env) == -1 && errno == ENOENT,
	     "an execve() that fails");
	mtcp_execve("/proc/self/exe", args, env);
	need(0, "execve");
}

static void echo(int s, size_t bytes)
{
	char buf[64];

	for (size_t got = 0; got < bytes;) {
		ssize_t n = mtcp_read(m, s, buf, bytes - got);

		need(n > 0, "read");
		need(mtcp_write(m, s, buf, (size_t)n) == n, "write");
		got += (size_t)n;
	}
}

int main(int argc, char **argv)
{
	char c;
	int l, s, n;

	need(argc == 3 || argc == 6, "usage: execer CONF PORT");
	start(argv[1]);
	if (argc == 3) {
		l = listen_on(argv[2]);
		s = mtcp_accept4(m, l, NULL, NULL, 0);
		need(s >= 0, "accept");
		echo(s, 5);
		next(argv, l, s, 0);
	}
	l = atoi(argv[3]);
	s = atoi(argv[4]);
	n = atoi(argv[5]);
	echo(s, 1);
	if (n + 1 < IMAGES)
		next(argv, l, s, n + 1);
	need(mtcp_read(m, s, &c, 1) == 0, "the end");
	mtcp_close(m, s);
	s = mtcp_accept4(m, l, NULL, NULL, 0);
	need(s >= 0, "accept again");
	echo(s, 5);
	mtcp_close(m, s);
	mtcp_destroy_context(m);
	mtcp_destroy();
	printf("done\n");
	return 0;
}
