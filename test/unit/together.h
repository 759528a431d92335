/*
 * together.h - both sides of the shared memory in one process
 *
 *	the test's process				another process
 *	control and engines of mtcpd (threads)  ===     mtcpd, a program as peer
 *	programs A and B, each with a copy     wire
 *	of the library and its state
 *
 * A race between two processes is one that no tool sees: it looks at one
 * process, and goes by addresses.  Here mtcpd and two programs are threads, and
 * what they share has one mapping: mmap() of a file that is mapped already
 * gives the same address again.  So the thread sanitizer judges every pair of
 * theirs.  The peer needs not be seen.
 *
 * Threads   Each program has one of its own, and one context.
 */
#ifndef TEST_TOGETHER_H
#define TEST_TOGETHER_H

#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "libclient/include/mtcp_api.h"
#include "libclient/include/mtcp_ext.h"

/* What a program calls. */
struct library {
	int (*init)(const char *file);
	int (*setconf)(const struct mtcp_conf *conf);
	void (*destroy)();
	mctx_t (*create_context)(int cpu);
	void (*destroy_context)(mctx_t m);
	int (*socket)(mctx_t m, int domain, int type, int protocol);
	int (*setsockopt)(mctx_t m, int s, int level, int name,
			  const void *value, socklen_t len);
	int (*bind)(mctx_t m, int s, const struct sockaddr *sa, socklen_t len);
	int (*listen)(mctx_t m, int s, int backlog);
	int (*accept4)(mctx_t m, int s, struct sockaddr *sa, socklen_t *len,
		       int flags);
	int (*connect)(mctx_t m, int s, const struct sockaddr *sa,
		       socklen_t len);
	int (*block)(mctx_t m, int s);
	int (*nonblock)(mctx_t m, int s);
	ssize_t (*read)(mctx_t m, int s, char *buf, size_t len);
	ssize_t (*recv)(mctx_t m, int s, char *buf, size_t len, int flags);
	ssize_t (*write)(mctx_t m, int s, const char *buf, size_t len);
	int (*poll)(mctx_t m, struct pollfd *p, nfds_t n, int timeout);
	int (*shutdown)(mctx_t m, int s, int how);
	int (*close)(mctx_t m, int s);
	uint32_t (*client_id)(mctx_t m);
	int (*share)(mctx_t m, int s, uint32_t peer, struct mtcp_ticket *t);
	int (*take)(mctx_t m, const struct mtcp_ticket *t);
};

/* Where programs of side 0 (here) and 1 (the peer) are. */
struct sockaddr_in together_addr(int side, uint16_t port);

/*
 * Starts both daemons and gives the libraries of A and B; the peer has A's.
 * @peer is its program: it gets numbers by together_ask() and answers with 0
 * (well) or what is wrong.
 */
void together_start(int (*peer)(mctx_t m, int what), const struct library **a,
		    const struct library **b);
void together_ask(int what);
int together_answer(void);
void together_stop(void);

#endif
