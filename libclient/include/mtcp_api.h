/*
 * mtcp_api.h - mTCP's socket interface, served by mtcpd
 *
 *	mtcp_init("app.conf");			once a process
 *	mctx_t m = mtcp_create_context(cpu);	once a thread
 *	int s = mtcp_socket(m, AF_INET, SOCK_STREAM, 0);
 *	mtcp_bind, mtcp_listen, mtcp_accept, mtcp_connect, mtcp_read, mtcp_write
 *	... with mtcp_epoll.h; then
 *	mtcp_destroy_context(m); mtcp_destroy();
 *
 * Names, signatures and values are mTCP's, so programs written for it compile
 * unmodified.  What POSIX users miss here is in mtcp_ext.h.
 *
 * Sockets   Small dense numbers of a context, 0 .. max_concurrency - 1, taken
 *           and reused first-in first-out; non-blocking from the start.
 * Threads   A context belongs to one thread; only mtcp_write() to a pipe of
 *           mtcp_pipe() may come from another.
 * Errors    -1 and errno, or NULL.  EINVAL: no context; EPERM: a finished
 *           one; EBADF: no such socket.
 */
#ifndef MTCP_API_H
#define MTCP_API_H

#include <stdint.h>
#include <netinet/in.h>
#include <sys/uio.h>

#ifndef UNUSED
#define UNUSED(x)	(void)(x)
#endif

#ifndef INPORT_ANY
#define INPORT_ANY	((uint16_t)0)
#endif

#ifdef __cplusplus
extern "C" {
#endif

enum socket_type {
	MTCP_SOCK_UNUSED,
	MTCP_SOCK_STREAM,
	MTCP_SOCK_PROXY,
	MTCP_SOCK_LISTENER,
	MTCP_SOCK_EPOLL,
	MTCP_SOCK_PIPE,
};

/* Fields <= 0 are left as they are by mtcp_setconf().  Times are ms. */
struct mtcp_conf {
	int num_cores;
	int max_concurrency;	/* sockets a context */
	int max_num_buffers;
	int rcvbuf_size;
	int sndbuf_size;
	int tcp_timewait;
	int tcp_timeout;
};

typedef struct mtcp_context *mctx_t;
typedef void (*mtcp_sighandler_t)(int);

/* Reads @config_file (doc/mtcp-conf.md) and attaches to mtcpd. */
int mtcp_init(const char *config_file);
void mtcp_destroy();

/* Work before mtcp_init() too; a context takes what is set at its birth. */
int mtcp_getconf(struct mtcp_conf *conf);
int mtcp_setconf(const struct mtcp_conf *conf);

int mtcp_core_affinitize(int cpu);

/* @cpu < num_cores, one context each. */
mctx_t mtcp_create_context(int cpu);
void mtcp_destroy_context(mctx_t mctx);

/* SIGINT: @handler is called by the library's own; a second ^C at least a
 * second later ends the process. */
mtcp_sighandler_t mtcp_register_signal(int signum, mtcp_sighandler_t handler);

int mtcp_pipe(mctx_t mctx, int pipeid[2]);

int mtcp_getsockopt(mctx_t mctx, int sockid, int level, int optname,
		    void *optval, socklen_t *optlen);
int mtcp_setsockopt(mctx_t mctx, int sockid, int level, int optname,
		    const void *optval, socklen_t optlen);
int mtcp_setsock_nonblock(mctx_t mctx, int sockid);
int mtcp_socket_ioctl(mctx_t mctx, int sockid, int request, void *argp);

int mtcp_socket(mctx_t mctx, int domain, int type, int protocol);
int mtcp_bind(mctx_t mctx, int sockid, const struct sockaddr *addr,
	      socklen_t addrlen);
int mtcp_listen(mctx_t mctx, int sockid, int backlog);
int mtcp_accept(mctx_t mctx, int sockid, struct sockaddr *addr,
		socklen_t *addrlen);

/* Connections of this context come from @saddr_base, @saddr_base + 1, ...
 * (@num_addr of them, in turn); addresses and port in network order. */
int mtcp_init_rss(mctx_t mctx, in_addr_t saddr_base, int num_addr,
		  in_addr_t daddr, in_addr_t dport);
int mtcp_connect(mctx_t mctx, int sockid, const struct sockaddr *addr,
		 socklen_t addrlen);
int mtcp_close(mctx_t mctx, int sockid);

int mtcp_getsockname(mctx_t mctx, int sock, struct sockaddr *addr,
		     socklen_t *addrlen);
int mtcp_getpeername(mctx_t mctx, int sockid, struct sockaddr *addr,
		     socklen_t *addrlen);

ssize_t mtcp_read(mctx_t mctx, int sockid, char *buf, size_t len);
/* @flags: 0, MSG_PEEK, MSG_DONTWAIT. */
ssize_t mtcp_recv(mctx_t mctx, int sockid, char *buf, size_t len, int flags);
int mtcp_readv(mctx_t mctx, int sockid, const struct iovec *iov, int numIOV);
ssize_t mtcp_write(mctx_t mctx, int sockid, const char *buf, size_t len);
int mtcp_writev(mctx_t mctx, int sockid, const struct iovec *iov, int numIOV);

#ifdef __cplusplus
}
#endif

#endif
