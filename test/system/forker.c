/* Programs that fork, for sys_fork.sh: forker CONF PORT MODE [N] */
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <mtcp_api.h>
#include <mtcp_epoll.h>
#include <mtcp_ext.h>

static mctx_t m;

static void need(int ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "forker %d: %s: %s (%s)\n", (int)getpid(), what,
		strerror(errno), mtcp_error_text());
	_exit(1);
}

static int listen_on(const char *port)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
				 .sin_port = htons((uint16_t)atoi(port)) };
	int s = mtcp_socket(m, AF_INET, SOCK_STREAM, 0);

	need(mtcp_bind(m, s, (struct sockaddr *)&a, sizeof(a)) == 0, "bind");
	need(mtcp_listen(m, s, 1024) == 0, "listen");
	need(mtcp_setsock_block(m, s) == 0, "block");
	printf("ready\n");
	fflush(stdout);
	return s;
}

static int accept_one(int l)
{
	int s = mtcp_accept4(m, l, NULL, NULL, 0);

	need(s >= 0, "accept");
	return s;
}

static void read_all(int s, char *buf, size_t len)
{
	size_t got = 0;

	while (got < len) {
		ssize_t n = mtcp_read(m, s, buf + got, len - got);

		need(n > 0, n ? "read" : "read: end of stream");
		got += (size_t)n;
	}
}

static void write_all(int s, const char *buf, size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = mtcp_write(m, s, buf + done, len - done);

		need(n > 0, "write");
		done += (size_t)n;
	}
}

static pid_t fork_timed(void)
{
	struct timespec a, b;
	pid_t pid;

	clock_gettime(CLOCK_MONOTONIC, &a);
	pid = mtcp_fork();
	clock_gettime(CLOCK_MONOTONIC, &b);
	need(pid >= 0, "fork");
	if (pid) {
		printf("fork took %ld us\n", (b.tv_sec - a.tv_sec) * 1000000 +
		       (b.tv_nsec - a.tv_nsec) / 1000);
		fflush(stdout);
	}
	return pid;
}

/* The parent reads 5 bytes and dies by kill -9; the child finds the others. */
static void parent_dies(int l)
{
	int s = accept_one(l), alive[2];
	char buf[8];

	need(pipe(alive) == 0, "pipe");
	read_all(s, buf, 5);
	if (fork_timed()) {
		write_all(s, "parent,", 7);
		raise(SIGKILL);
	}
	close(alive[1]);
	need(read(alive[0], buf, 1) == 0, "the parent lives");
	read_all(s, buf, 5);
	write_all(s, buf, 5);
	write_all(s, ",child", 6);
	mtcp_close(m, s);
}

/* Turn by turn; the child dies by kill -9, the parent goes on. */
static void in_turn(int l, int turns)
{
	int s = accept_one(l), down[2], up[2], status;
	pid_t pid;
	char buf[8];

	need(pipe(down) == 0 && pipe(up) == 0, "pipe");
	pid = fork_timed();
	for (int i = 0; i < turns; i++) {
		int in = pid ? up[0] : down[0], out = pid ? down[1] : up[1];

		if (pid == 0 || i > 0)
			need(read(in, buf, 1) == 1, "pipe");
		read_all(s, buf, 3);
		write_all(s, pid ? "p" : "c", 1);
		write_all(s, buf, 3);
		need(write(out, "", 1) == 1, "pipe");
	}
	if (pid == 0)
		raise(SIGKILL);
	need(waitpid(pid, &status, 0) == pid, "wait");
	write_all(s, "end", 3);
	mtcp_close(m, s);
}

/* @n connections; the parent closes all of its, and the child answers. */
static void many(int l, int n)
{
	int *s = calloc((size_t)n, sizeof(*s)), gate[2];
	char byte;

	need(s != NULL && pipe(gate) == 0, "memory");
	for (int i = 0; i < n; i++)
		s[i] = accept_one(l);
	if (fork_timed()) {
		for (int i = 0; i < n; i++)
			mtcp_close(m, s[i]);
		mtcp_close(m, l);
		mtcp_destroy_context(m);
		mtcp_destroy();
		_exit(0);
	}
	close(gate[1]);
	need(read(gate[0], &byte, 1) == 0, "the parent lives");
	for (int i = 0; i < n; i++) {
		read_all(s[i], &byte, 1);
		write_all(s[i], &byte, 1);
		mtcp_close(m, s[i]);
	}
}

static void worker(int l)
{
	char buf[64];

	for (;;) {
		int s = accept_one(l);
		ssize_t n = mtcp_read(m, s, buf, sizeof(buf));

		if (n > 0)
			write_all(s, buf, (size_t)n);
		mtcp_close(m, s);
	}
}

/* A master that never accepts; a worker that is killed is replaced. */
static void prefork(int l, int n)
{
	for (int i = 0; i < n; i++)
		if (mtcp_fork() == 0)
			worker(l);
	for (;;) {
		int pid = wait(NULL);

		need(pid > 0, "wait");
		printf("worker %d died\n", pid);
		fflush(stdout);
		if (mtcp_fork() == 0)
			worker(l);
	}
}

/* A plain fork(): the child touches nothing of the parent's. */
static void plain(int l)
{
	int s = accept_one(l), status;
	char buf[8];
	pid_t pid = fork();

	if (pid == 0) {
		need(mtcp_read(m, s, buf, 1) == -1 && errno == ECONNRESET,
		     "a plain child reads");
		mtcp_close(m, s);
		_exit(0);
	}
	need(waitpid(pid, &status, 0) == pid && status == 0, "plain child");
	read_all(s, buf, 5);
	write_all(s, buf, 5);
	mtcp_close(m, s);
}

int main(int argc, char **argv)
{
	int n = argc > 4 ? atoi(argv[4]) : 1, l;
	char mode = argc > 3 ? argv[3][0] : 0;

	need(argc > 3, "usage: forker CONF PORT MODE [N]");
	need(mtcp_init(argv[1]) == 0, "init");
	m = mtcp_create_context(0);
	need(m != NULL, "context");
	l = listen_on(argv[2]);
	switch (mode) {
	case 'd':
		parent_dies(l);
		break;
	case 't':
		in_turn(l, n);
		break;
	case 'm':
		many(l, n);
		break;
	case 'w':
		prefork(l, n);
		break;
	default:
		plain(l);
	}
	mtcp_destroy_context(m);
	mtcp_destroy();
	return 0;
}
