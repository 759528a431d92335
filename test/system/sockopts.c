/*
 * sockopts.c - socket options through mtcpd, for sys_options.sh
 *
 *	sockopts MTCP_CONF client IP PORT	connects, says what was seen
 *	sockopts MTCP_CONF ports IP PORT	connects until no local port is left
 *	sockopts MTCP_CONF server PORT COUNT	echoes one message a connection
 *
 * Each step prints a line, "ok ..." or "FAILED ..."; the script looks at what
 * reached the wire.  Exit status 0: all was well.
 *
 * Threads   One; all sockets block, within 10 s.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>

#include <mtcp_api.h>
#include <mtcp_ext.h>

static mctx_t m;
static int failures;

static void check(bool good, const char *what, long value)
{
	printf("%s %s: %ld\n", good ? "ok" : "FAILED", what, value);
	fflush(stdout);
	failures += !good;
}

static void set(int s, int level, int name, int value)
{
	if (mtcp_setsockopt(m, s, level, name, &value, sizeof(value)))
		check(false, "setsockopt", errno);
}

static int get(int s, int level, int name)
{
	int value = -1;
	socklen_t len = sizeof(value);

	if (mtcp_getsockopt(m, s, level, name, &value, &len))
		check(false, "getsockopt", errno);
	return value;
}

static int new_socket(void)
{
	struct timeval limit = { .tv_sec = 10 };
	int s = mtcp_socket(m, AF_INET, SOCK_STREAM, 0);

	if (s < 0) {
		perror("mtcp_socket");
		exit(1);
	}
	mtcp_setsock_block(m, s);
	mtcp_setsockopt(m, s, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	mtcp_setsockopt(m, s, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	return s;
}

static void look_at_info(int s, const char *who)
{
	struct tcp_info i;
	socklen_t len = sizeof(i);
	int rc = mtcp_getsockopt(m, s, IPPROTO_TCP, TCP_INFO, &i, &len);

	printf("%s:\n", who);
	check(rc == 0, "TCP_INFO", errno);
	check(i.tcpi_state == TCP_ESTABLISHED ||
	      i.tcpi_state == TCP_CLOSE_WAIT, "state", i.tcpi_state);
	check(i.tcpi_snd_mss > 500 && i.tcpi_snd_mss <= 1460, "snd_mss",
	      i.tcpi_snd_mss);
	check(i.tcpi_rtt > 0, "rtt", i.tcpi_rtt);
	check(i.tcpi_snd_cwnd >= 2, "snd_cwnd", i.tcpi_snd_cwnd);
	check(i.tcpi_rto >= 200000, "rto", i.tcpi_rto);
	check(get(s, IPPROTO_IP, IP_MTU) == 1500, "IP_MTU",
	      get(s, IPPROTO_IP, IP_MTU));
	check(get(s, IPPROTO_TCP, TCP_MAXSEG) == (int)i.tcpi_snd_mss,
	      "TCP_MAXSEG", get(s, IPPROTO_TCP, TCP_MAXSEG));
}

static void echoed(int s, const char *what)
{
	char buf[16] = "";
	ssize_t n = mtcp_read(m, s, buf, sizeof(buf));

	check(n == 5 && !memcmp(buf, "hello", 5), what, n);
}

/* ---- client ---- */

static void usual(const struct sockaddr_in *to)
{
	int s = new_socket();

	set(s, IPPROTO_IP, IP_TTL, 33);
	set(s, IPPROTO_TCP, TCP_MAXSEG, 1000);
	check(mtcp_connect(m, s, (const struct sockaddr *)to, sizeof(*to)) == 0,
	      "connect", errno);
	check(mtcp_write(m, s, "hello", 5) == 5, "write", errno);
	echoed(s, "echo");
	look_at_info(s, "client");
	mtcp_close(m, s);
}

static void fast(const struct sockaddr_in *to, const char *what)
{
	int s = new_socket();

	check(mtcp_connect_write(m, s, (const struct sockaddr *)to, sizeof(*to),
				 "hello", 5) == 5, what, errno);
	echoed(s, "its echo");
	mtcp_close(m, s);
}

static void device(const struct sockaddr_in *to)
{
	int s = new_socket();

	check(mtcp_setsockopt(m, s, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3) == -1
	      && errno == ENODEV, "no such port", errno);
	check(mtcp_setsockopt(m, s, SOL_SOCKET, SO_BINDTODEVICE, "p0", 3) == 0,
	      "port p0", errno);
	check(mtcp_connect(m, s, (const struct sockaddr *)to, sizeof(*to)) == 0,
	      "connect by it", errno);
	mtcp_close(m, s);
}

static void lingering(const struct sockaddr_in *to)
{
	struct linger l = { 1, 5 };
	struct timespec a, b;
	int s = new_socket();
	long ms;

	check(mtcp_connect(m, s, (const struct sockaddr *)to, sizeof(*to)) == 0,
	      "connect", errno);
	mtcp_setsockopt(m, s, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
	mtcp_write(m, s, "hello", 5);
	echoed(s, "echo");
	clock_gettime(CLOCK_MONOTONIC, &a);
	mtcp_close(m, s);
	clock_gettime(CLOCK_MONOTONIC, &b);
	ms = (b.tv_sec - a.tv_sec) * 1000 + (b.tv_nsec - a.tv_nsec) / 1000000;
	check(ms < 5000, "lingered (ms)", ms);
}

static void refused(const struct sockaddr_in *to)
{
	struct sockaddr_in nobody = *to;
	int s = new_socket();

	nobody.sin_port = htons(1);
	check(mtcp_connect(m, s, (struct sockaddr *)&nobody, sizeof(nobody)) ==
	      -1 && errno == ECONNREFUSED, "refused", errno);
	mtcp_close(m, s);
}

static int client(const char *ip, const char *port)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
				  .sin_port = htons((uint16_t)atoi(port)) };

	to.sin_addr.s_addr = inet_addr(ip);
	usual(&to);
	fast(&to, "first Fast Open");
	fast(&to, "second Fast Open");
	fast(&to, "third Fast Open");
	device(&to);
	lingering(&to);
	refused(&to);
	return failures != 0;
}

/* Every local port is used once for the same peer; then EADDRNOTAVAIL, until
 * one is free again. */
static int ports(const char *ip, const char *port)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
				  .sin_port = htons((uint16_t)atoi(port)) };
	int s[64], n = 0, rc = 0;

	to.sin_addr.s_addr = inet_addr(ip);
	while (n < 64 && rc == 0) {
		s[n] = new_socket();
		rc = mtcp_connect(m, s[n], (struct sockaddr *)&to, sizeof(to));
		n += rc == 0;
	}
	check(rc == -1 && errno == EADDRNOTAVAIL, "no port is left", errno);
	check(n == 8, "connections", n);
	mtcp_close(m, s[n]);
	for (int i = 0; i < n; i++)
		mtcp_close(m, s[i]);
	return failures != 0;
}

/* ---- server ---- */

static void serve(int l, bool look)
{
	char buf[64];
	int s = mtcp_accept(m, l, NULL, NULL);
	ssize_t n;

	check(s >= 0, "accept", errno);
	if (s < 0)
		exit(1);
	mtcp_setsock_block(m, s);
	check(get(s, IPPROTO_IP, IP_TTL) == 44, "inherited TTL",
	      get(s, IPPROTO_IP, IP_TTL));
	n = mtcp_read(m, s, buf, sizeof(buf));
	check(n > 0 && mtcp_write(m, s, buf, (size_t)n) == n, "echoed", n);
	if (look)
		look_at_info(s, "server");
	while (mtcp_read(m, s, buf, sizeof(buf)) > 0)
		;
	mtcp_close(m, s);
}

static int server(const char *port, int count)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_port = htons((uint16_t)atoi(port)) };
	int l = new_socket();

	set(l, IPPROTO_IP, IP_TTL, 44);
	set(l, IPPROTO_TCP, TCP_FASTOPEN, 16);
	set(l, IPPROTO_TCP, TCP_DEFER_ACCEPT, 3);
	check(mtcp_bind(m, l, (struct sockaddr *)&at, sizeof(at)) == 0 &&
	      mtcp_listen(m, l, 64) == 0, "listen", errno);
	for (int i = 0; i < count; i++)
		serve(l, i == 0);
	mtcp_close(m, l);
	return failures != 0;
}

int main(int argc, char **argv)
{
	int rc = 2;

	if (argc != 5) {
		fprintf(stderr, "usage: sockopts CONF client IP PORT | "
			"CONF server PORT COUNT\n");
		return 2;
	}
	if (mtcp_init(argv[1]) || !(m = mtcp_create_context(0))) {
		fprintf(stderr, "sockopts: %s\n", mtcp_error_text());
		return 1;
	}
	if (!strcmp(argv[2], "client"))
		rc = client(argv[3], argv[4]);
	else if (!strcmp(argv[2], "ports"))
		rc = ports(argv[3], argv[4]);
	else if (!strcmp(argv[2], "server"))
		rc = server(argv[3], atoi(argv[4]));
	mtcp_destroy_context(m);
	mtcp_destroy();
	return rc;
}
