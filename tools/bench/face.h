/*
 * face.h - the few socket calls that the benches need, over either stack
 *
 *	bench_server.c, bench_load.c  ->  face.h  ->  face_kernel.c: epoll
 *	                                          \-> face_mtcp.c: libmtcpclient
 *
 * Each program is built twice, once with each face, so that both stacks run
 * the same server and the same load generator.
 *
 * Descriptors are small numbers; all calls are non-blocking but face_wait().
 * Errors      -1 with errno, like the calls beneath.
 * Threads     One.
 */
#ifndef BENCH_FACE_H
#define BENCH_FACE_H

#include <netinet/in.h>
#include <stdint.h>
#include <sys/types.h>

enum { FACE_IN = 1, FACE_OUT = 2, FACE_ERR = 4 };

struct face_event {
	int fd;
	uint32_t events;
};

/* @cpu: run and be served there.  @conns: descriptors to be had at most. */
int face_init(int cpu, int conns);
void face_end(void);

int face_listen(uint16_t port, int backlog);
/* What accepted connections shall use (TCP_CONGESTION). */
int face_congestion(int fd, const char *name);
int face_accept(int fd);
/* Connections to @to shall come from @count addresses from @base on, in turn
 * (mtcp_init_rss on mtcpd, bind on the kernel). */
int face_sources(struct in_addr base, int count, const struct sockaddr_in *to);
int face_connect(const struct sockaddr_in *to);	/* begins to connect */
ssize_t face_read(int fd, void *buf, size_t len);
ssize_t face_write(int fd, const void *buf, size_t len);
int face_close(int fd);
/* The pending error of a connect, 0: it is established. */
int face_error(int fd);

/* Level-triggered interest in FACE_IN and FACE_OUT; @first adds. */
int face_watch(int fd, uint32_t events, int first);
int face_wait(struct face_event *ev, int max, int timeout_ms);

extern const char face_name[];

#endif
