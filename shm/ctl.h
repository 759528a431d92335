/*
 * ctl.h - messages on the control socket: what is bulky or rare
 *
 * Clients connect to a SOCK_SEQPACKET Unix socket, CTL_SOCKET by default.
 * Each packet is one struct ctl_request (client to daemon) or ctl_reply.
 * Requests are answered in order, with the request's tag.  Descriptors ride
 * along as SCM_RIGHTS where the reply says so.
 *
 *	HELLO      -> segment: fds { segment memfd, wake pipe's write end of
 *	              engine 0, 1, ... } (the client holds only write ends)
 *	CONTEXT    -> rings of a new context: fd { its wake pipe's read end }
 *	CONTEXT_END   its sockets move nowhere: they are closed like at exit
 *	LISTEN     -> the listener's id; sent when every engine has it
 *	UNLISTEN      this context no longer accepts; the listener goes with
 *	              its last member, what nobody took gets RST, else it is others'
 *	HOLD          one more holder of a socket: client `peer` may take it
 *	HOLD_MANY     the same of up to CTL_HOLD_MAX sockets, whose handles
 *	              (64 bits each) follow the request in the same packet; the
 *	              answer counts those that `peer` may take now
 *	OPTION        of a listener, in every engine (sockets' are CMD_OPTION)
 *	INFO       -> struct sock_known of a socket that we hold; of socket 0:
 *	              what a new one has
 *	PORT       -> the number of a port (CMD_OPT_PORT)
 *	BIND          may we bind to this?  Asked where HELLO says so
 *
 * A slab's class is published in the segment's header slab (layout.h,
 * slab_class_offset) before any record names a block of it; the daemon keeps
 * its own copy and never reads that one.
 *
 * The daemon's death closes the socket; the client's death closes it too.
 *
 * Trust     Hostile: lengths are checked before anything else.  Identity is
 *           SO_PEERCRED's.  Layout versions N and N-1 are accepted.
 */
#ifndef SHM_CTL_H
#define SHM_CTL_H

#include <stdint.h>

#include "shm/info.h"

#define CTL_SOCKET	"/run/mtcpd/mtcpd.sock"	 /* clients; seqpacket */
#define CTL_ADMIN	"/run/mtcpd/admin.sock"	 /* mtcpctl; stream, JSON lines */
#define CTL_SOCKET_ENV	"MTCPD_SOCKET"		 /* overrides CTL_SOCKET */
#define CTL_TEXT_BYTES	128
#define CTL_FDS_MAX	32
#define CTL_HOLD_MAX	512	/* handles behind a HOLD_MANY */
#define CTL_RSS_KEY_BYTES 40

enum ctl_type {
	CTL_NONE,
	CTL_HELLO,
	CTL_CONTEXT,
	CTL_CONTEXT_END,
	CTL_LISTEN,
	CTL_UNLISTEN,
	CTL_HOLD,
	CTL_DETACHED,		/* reply only: why the daemon lets go */
	CTL_OPTION,
	CTL_INFO,
	CTL_PORT,
	CTL_HOLD_MANY,
	CTL_BIND,
	CTL_TYPES
};

struct ctl_request {
	uint32_t type;
	uint32_t tag;		/* echoed; not 0 */
	union {
		struct {
			uint32_t magic;		/* LAYOUT_MAGIC */
			uint32_t version;	/* LAYOUT_VERSION */
			uint32_t pid;		/* for people; not believed */
			uint32_t flags;		/* CTL_HELLO_* */
			uint64_t segment_bytes;	/* wanted; 0: the default */
			char name[32];		/* for people */
			uint64_t family;	/* to be of; 0: a new one */
		} hello;
		struct {
			uint32_t home;		/* preferred engine; ~0: any */
		} context;
		struct { uint32_t context; } context_end;
		struct {
			uint8_t addr[16];	/* any: all of mtcpd's */
			uint16_t port;		/* network order; 0: picked */
			uint16_t flags;		/* CTL_LISTEN_* */
			uint32_t backlog;
			uint32_t context;	/* the member that joins */
			uint32_t zero;
		} listen;
		struct { uint64_t listener; uint32_t context; } unlisten;
		struct { uint64_t sock; uint32_t peer; } hold;
		struct { uint32_t peer, count; } hold_many;
		struct {
			uint64_t listener;
			uint32_t context;	/* a member */
			uint32_t name;		/* enum cmd_option */
			int32_t value;
		} option;
		struct { uint64_t sock; } info;
		struct { char name[64]; } port;	/* of mtcpd.conf, or device */
		struct {
			uint8_t addr[16];	/* any: not said yet */
			uint16_t port;		/* network order; 0: the same */
		} bind;
		uint8_t bytes[120];
	};
};
_Static_assert(sizeof(struct ctl_request) == 128, "control ABI");

struct ctl_reply {
	uint32_t type;		/* of the request */
	uint32_t tag;
	int32_t error;		/* 0 or an errno (positive) */
	uint32_t fds;		/* descriptors that ride along */
	union {
		struct {
			uint32_t version;
			uint32_t client;	/* our id, as HOLD's peer */
			uint32_t engines;
			uint32_t slabs;		/* of the segment */
			uint64_t daemon_start_us;
			uint8_t rss_key[CTL_RSS_KEY_BYTES];
			uint32_t engine_cpu[16]; /* ~0: not pinned */
			uint64_t family;	/* a secret of its members */
			uint32_t flags;		/* CTL_HELLO_ASK_BIND */
		} hello;
		struct {
			uint32_t context;
			uint32_t zero;
			uint64_t rings_offset;	/* in the segment */
		} context;
		struct {
			uint64_t listener;
			uint16_t port;		/* network order */
		} listen;
		struct sock_info info;
		struct sock_known known;	/* info is its begin */
		struct { uint32_t port; } port;
		struct { uint32_t held; } hold_many;
		uint8_t bytes[176];
	};
	char text[CTL_TEXT_BYTES];	/* a sentence when error is set */
};
_Static_assert(sizeof(struct ctl_reply) == 320, "control ABI");

enum {
	CTL_LISTEN_SHARED = 1,	  /* clients of one user may share the port */
	CTL_LISTEN_INHERITED = 2, /* made before a fork: shared in the family */
	CTL_LISTEN_BROTHERS = 4,  /* the client's contexts give back what each
				   * other's leave lying, when wake_look() says so */
};

/* HELLO: said by a parent for the child that it is about to fork.  The socket
 * is the child's whole life: the death of the process that opened it, which
 * is the parent, means nothing. */
enum { CTL_HELLO_CHILD = 1 };

/* HELLO's answer: a policy restricts addresses or TCP ports, ask by BIND. */
enum {				/* hello.flags of a reply */
	CTL_HELLO_ASK_BIND = 1,
	CTL_HELLO_SLEEPERS = 2,	/* CMD_TAKE has CMD_F_READ and CMD_F_WRITE */
	CTL_HELLO_BROTHERS = 4,	/* LISTEN knows CTL_LISTEN_BROTHERS */
};

#endif
