/*
 * engine_fake.h - engines without threads, control or clients
 *
 *	daemon 0                       wire                       daemon 1
 *	engines <-- fake control        ===        fake control --> engines
 *	   ^ rings and blocks in mapped memory            ^
 *	fake clients: the test writes every record by hand
 *
 * Time is virtual: fake_run() turns all engines in small steps.
 */
#ifndef TEST_ENGINE_FAKE_H
#define TEST_ENGINE_FAKE_H

#include "engine/engine.h"
#include "io/port_wire.h"
#include "shm/cmd.h"
#include "shm/event.h"
#include "shm/layout.h"

#define FAKE_ENGINES	2
#define FAKE_CLIENTS	3
#define FAKE_CONTEXTS	2
#define FAKE_SLABS	24
#define FAKE_STOCK	8192

struct fake_context {
	struct wake_shared *wake;
	struct ring cmd[FAKE_ENGINES], event[FAKE_ENGINES];
	uint32_t stock[FAKE_ENGINES][BLOCK_CLASSES][FAKE_STOCK];
	uint32_t stocked[FAKE_ENGINES][BLOCK_CLASSES];
};

struct fake_client {
	struct fake_daemon *d;
	uint32_t slot, next_slab;
	uint8_t *segment;
	struct arena arena[FAKE_ENGINES];
	struct block_meta *meta[FAKE_SLABS];
	uint8_t cls[FAKE_SLABS];
	struct fake_context ctx[FAKE_CONTEXTS];
	uint32_t bad;			/* reason told by an engine, 0: none */
	uint32_t gone;			/* engines that let go */
};

struct fake_daemon {
	struct fake_world *world;
	uint32_t engines;
	struct engine *e[FAKE_ENGINES];
	struct mailbox *control;
	struct fake_client client[FAKE_CLIENTS];	/* slots 1.. */
	struct net_config net;
	uint32_t stopped;
	struct mail done;		/* the last MAIL_DONE */
	uint32_t dones;
};

struct fake_world {
	struct wire *wire;
	struct rss rss;
	struct fake_daemon d[2];
	mono_t now;
};

/* Extents of the next fake_open()'s engines; 0: plenty. */
extern uint32_t fake_extents;
/* The next fake_open()'s wire but for its queues, and what @fake_tune makes of
 * a side's TCP; NULL: the defaults. */
extern const struct wire_config *fake_wire;
extern void (*fake_tune)(int side, struct tcp_config *c);
/* Makes another port of a side's; NULL: as the wire has it. */
extern void (*fake_port)(int side, struct port *p);
/* The account of clients attached from now on; NULL: none. */
extern struct engine_account *fake_account;
/* The sides know each other's MAC address. */
extern bool fake_neighbours;
/* @engines on each side; addresses 10.0.0.1 and 10.0.0.2. */
void fake_open(struct fake_world *w, uint32_t engines0, uint32_t engines1);
void fake_close(struct fake_world *w);
/* Lets @us of virtual time pass. */
void fake_run(struct fake_world *w, uint64_t us);
/* One turn of every engine, now. */
void fake_turn(struct fake_world *w);

/* Attaches client @i (0..) with all its contexts. */
struct fake_client *fake_client(struct fake_world *w, int side, int i);
/* Sends a request to every engine and waits for the answers' last error. */
int fake_ask(struct fake_daemon *d, struct mail *m);
void fake_listen(struct fake_client *c, uint32_t ctx, uint64_t id,
		 uint16_t port);
/* With CTL_LISTEN_BROTHERS. */
void fake_listen_brother(struct fake_client *c, uint32_t ctx, uint64_t id,
			 uint16_t port);
void fake_detach(struct fake_client *c, uint64_t grace_us);

void fake_cmd(struct fake_client *c, uint32_t ctx, uint32_t engine,
	      const struct cmd *cmd);
void fake_credit(struct fake_client *c, uint32_t ctx, uint32_t engine,
		 uint64_t listener, uint32_t cookie);
void fake_connect(struct fake_client *c, uint32_t ctx, uint32_t engine,
		  uint32_t cookie, uint16_t port);
void fake_simple(struct fake_client *c, uint32_t ctx, uint64_t sock,
		 uint8_t type, uint8_t flags, uint32_t cookie);
void fake_send(struct fake_client *c, uint32_t ctx, uint64_t sock,
	       const void *bytes, uint32_t len);

union fake_event {
	struct event one;
	struct event_socket two;
	uint8_t bytes[2 * RING_SLOT];
};
/* The next event that is not a grant (those fill the stock); EVENT_NONE: none.
 * @engine ~0: any. */
uint8_t fake_event(struct fake_client *c, uint32_t ctx, uint32_t engine,
		   union fake_event *out);
/* Runs until @type comes for @cookie, others are dropped; fails after 2 s. */
void fake_expect(struct fake_client *c, uint32_t ctx, uint8_t type,
		 uint32_t cookie, union fake_event *out);
const uint8_t *fake_bytes(const struct fake_client *c, const struct event *ev);

/* A connection from side 1 (client 0, context 0) to a listener of side 0;
 * both handles. */
void fake_pair(struct fake_world *w, uint64_t *server, uint64_t *client);

#define FAKE_PORT	80
#define FAKE_LISTENER	7u
#define FAKE_SERVER	1000u	/* cookies of fake_pair() */
#define FAKE_CLIENT	2000u

#endif
