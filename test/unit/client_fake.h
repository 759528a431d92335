/*
 * client_fake.h - a daemon of paper for the client library's tests
 *
 *	test thread: library calls  --rings-->  the same thread: fake_cmd()
 *	             epoll_wait()   <--rings--                   fake_event()
 *	control thread: answers HELLO, CONTEXT, LISTEN, UNLISTEN, HOLD, OPTION,
 *	                INFO, PORT
 *
 * The library attaches to it as to mtcpd, through a Unix socket; the test
 * plays the engines by hand, so every order of events can be had.
 *
 * Threads   The control thread owns the socket; the rest is the test's.
 */
#ifndef TEST_CLIENT_FAKE_H
#define TEST_CLIENT_FAKE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "shm/cmd.h"
#include "shm/ctl.h"
#include "shm/event.h"
#include "shm/layout.h"

#define FAKE_ENGINES	2u
#define FAKE_CONTEXTS	4u
#define FAKE_SMALL_SLAB	6u	/* first slab of small blocks */
#define FAKE_LARGE_SLAB	7u
#define FAKE_SLABS	8u

struct fake {
	char path[100];
	int listen_fd, conn_fd, memfd;
	int stop_fd;			/* eventfd: the control thread ends */
	uint8_t *base;
	pthread_t thread;
	int engine_rd[FAKE_ENGINES];	/* the client's wakes */
	int wake_wr[FAKE_CONTEXTS];
	_Atomic uint32_t contexts;	/* whose rings are ready */
	struct ring cmd[FAKE_CONTEXTS][FAKE_ENGINES];
	struct ring event[FAKE_CONTEXTS][FAKE_ENGINES];
	_Atomic uint32_t listens, unlistens, holds, ends;
	uint64_t listener_id;		/* of the last LISTEN */
	_Atomic uint32_t options, infos;	/* answered */
	struct { uint32_t name; int32_t value; } option;	/* the last */
	struct sock_info info;		/* to answer INFO with */
	uint32_t cc;			/* and with it */
	uint64_t info_sock;		/* the last one that was asked for */
	_Atomic uint8_t info_states[4];	/* of the next INFOs; 0: as info */
	int listen_error;		/* to answer the next LISTEN with */
	uint32_t next_block[BLOCK_CLASSES];
};

/* Starts at a fresh path in /tmp and points MTCPD_SOCKET to it; or again at
 * @path, when it is not NULL. */
void fake_start(struct fake *f, const char *path);
/* As kill -9: sockets and pipes close, the segment stays with the client. */
void fake_stop(struct fake *f);

union fake_cmd {
	struct cmd one;
	struct cmd_connect connect;
	uint8_t bytes[2 * RING_SLOT];
};

/* The next command of context @ctx to engine @e; its type, CMD_NONE: none. */
uint8_t fake_cmd(struct fake *f, uint32_t ctx, uint32_t e, union fake_cmd *out);
/* Skips commands up to the next of @type; false: there is none. */
bool fake_find(struct fake *f, uint32_t ctx, uint32_t e, uint8_t type,
	       union fake_cmd *out);
void fake_skip(struct fake *f, uint32_t ctx);

void fake_event(struct fake *f, uint32_t ctx, uint32_t e,
		const struct event *ev);
void fake_socket_event(struct fake *f, uint32_t ctx, uint32_t e,
		       const struct event_socket *ev);
void fake_grant(struct fake *f, uint32_t ctx, uint32_t e, enum block_class cls,
		uint32_t count);
/* Payload in a block, announced. */
void fake_data(struct fake *f, uint32_t ctx, uint32_t e, uint32_t cookie,
	       uint64_t sock, const void *bytes, uint16_t len);
uint8_t *fake_block(struct fake *f, uint32_t block);
/* Context @ctx is told to look what its brothers left lying. */
void fake_look(struct fake *f, uint32_t ctx);

#endif
