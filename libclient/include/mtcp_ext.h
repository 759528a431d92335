/*
 * mtcp_ext.h - what mTCP's interface lacks: mtcpd's own calls
 *
 * Blocking sockets, shutdown, poll, a descriptor for a native event loop,
 * reads and writes without a copy, and sockets that move between threads and
 * processes.  Conventions are mtcp_api.h's.
 */
#ifndef MTCP_EXT_H
#define MTCP_EXT_H

#include <poll.h>
#include <stddef.h>

#include "mtcp_api.h"

#ifdef __cplusplus
extern "C" {
#endif

/* @how: SHUT_RD, SHUT_WR, SHUT_RDWR. */
int mtcp_shutdown(mctx_t mctx, int sockid, int how);

/* Calls on the socket wait, within SO_RCVTIMEO and SO_SNDTIMEO. */
int mtcp_setsock_block(mctx_t mctx, int sockid);

/* Connects and writes at once: the data may go with the SYN (RFC 7413), as
 * with the kernel's sendto(MSG_FASTOPEN).  Bytes written, or -1: EAGAIN, call
 * mtcp_write() when the socket is writable. */
ssize_t mtcp_connect_write(mctx_t mctx, int sockid,
			   const struct sockaddr *addr, socklen_t addrlen,
			   const char *buf, size_t len);

/* @flags: SOCK_NONBLOCK or 0 (a blocking socket); SOCK_CLOEXEC is ignored. */
int mtcp_accept4(mctx_t mctx, int sockid, struct sockaddr *addr,
		 socklen_t *addrlen, int flags);

/* poll() over socket ids; @timeout in ms. */
int mtcp_poll(mctx_t mctx, struct pollfd *fds, nfds_t count, int timeout);

/*
 * A native loop: watch the descriptor for POLLIN.  Before sleeping call
 * mtcp_context_arm(): 0, now sleep; 1, there is work already.  In both cases
 * go on with mtcp_epoll_wait(..., 0) until it returns 0.
 */
int mtcp_context_fd(mctx_t mctx);
int mtcp_context_arm(mctx_t mctx);

/*
 * Reading in place: up to @count pieces of what is unread, in order.  They
 * stay valid until mtcp_zc_release() of their bytes, or until the socket is
 * closed.  Return: pieces; 0 at the end of the stream.
 */
int mtcp_zc_read(mctx_t mctx, int sockid, struct iovec *iov, int count);
/* The first @bytes of what is unread are done with. */
int mtcp_zc_release(mctx_t mctx, int sockid, size_t bytes);

/*
 * Writing in place: memory for up to @len bytes (1 .. 4096) of this socket;
 * mtcp_zc_send() of its first bytes gives it up, mtcp_zc_free() unused.
 */
void *mtcp_zc_alloc(mctx_t mctx, int sockid, size_t len);
ssize_t mtcp_zc_send(mctx_t mctx, int sockid, void *buf, size_t len);
int mtcp_zc_free(mctx_t mctx, int sockid, void *buf);

/*
 * Moving a connection.  The owner makes a ticket and stops using the socket;
 * another context takes it and gets an id of its own, with what is unread.
 * @peer is the taking process's mtcp_client_id(), 0: this process.  The giver
 * closes its id at any time: within a process that only frees the id, and a
 * ticket that nobody takes is closed with the context.
 */
struct mtcp_ticket {
	uint64_t sock;
	uint8_t local[16], remote[16];
	uint16_t local_port, remote_port;	/* network order */
	uint32_t zero;
};
int mtcp_share(mctx_t mctx, int sockid, uint32_t peer,
	       struct mtcp_ticket *ticket);
int mtcp_take(mctx_t mctx, const struct mtcp_ticket *ticket);
uint32_t mtcp_client_id(mctx_t mctx);

/*
 * fork() for a program with sockets: the child has them all, under the same
 * ids, in the same contexts, which belong to the thread that forked; a socket
 * is closed when the last process has closed it, and whoever uses it gets it,
 * with what is unread.  Connects under way stay the parent's.  The calls of
 * other threads must be over.  A listener's connections go to the processes
 * that accept or poll.  After a plain fork() the child's connections are reset.
 */
pid_t mtcp_fork(void);

/*
 * execve() of a program that uses this library too: open connections and
 * listeners go along.  Its mtcp_init() attaches to nothing new, and
 * mtcp_create_context() finds the sockets of this image's context of that cpu,
 * under the same ids; epoll sets, pipes and connects under way do not go along.
 * The calls of other threads must be over.  Returns -1 with errno, or not.
 */
int mtcp_execve(const char *path, char *const argv[], char *const envp[]);

/* The last error of attaching, as a sentence; "" if none. */
const char *mtcp_error_text(void);

/* Exported as by mTCP's library (its util/cpu.h). */
int GetNumCPUs(void);

#ifdef __cplusplus
}
#endif

#endif
