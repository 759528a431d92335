/*
 * admin.h - a session of mtcpctl, for those who answer it
 *
 *	admin.c         sessions, lines, listings of engines, table of verbs
 *	admin_flight.c  why, trace: what one connection's recorder holds
 *
 * A request is one line of JSON, {"cmd":"why","id":"0/17/3"}; so is the
 * answer: {"cmd":...,"data":...} or {"error":"a sentence"}.  A verb answers at
 * once, by admin_data() or admin_error(), or asks an engine by admin_ask() and
 * answers when it is called back; until then the session reads no more.
 *
 * Ownership  A session that hangs up while an engine is asked lives until the
 *            answer is there; then it is freed and nobody is called back.
 * Threads    Control's.
 */
#ifndef CONTROL_ADMIN_H
#define CONTROL_ADMIN_H

#include <stdint.h>

#include "control/control.h"

#define ADMIN_SLICE	256		/* entries a mail */

struct admin;
struct bufferevent;
struct listing;

union admin_slice {
	struct tcp_info conns[ADMIN_SLICE];
	struct net_neigh_entry neigh[ADMIN_SLICE];
	struct net_route routes[ADMIN_SLICE];
	struct tcp_flight flight;
};

struct admin {
	struct admin *next;
	struct control *control;
	struct bufferevent *bev;	/* NULL: hung up, waits for the op */
	bool may_change;		/* root, or our own user */
	struct op op;
	bool busy;			/* an answer is under way */
	void (*answered)(struct admin *a, const struct op *op);
	/* the listing under way */
	const struct listing *listing;	/* NULL: none */
	uint32_t engine, cursor;
	bool drained_wanted;		/* goes on when the output is drained */
	bool comma;
	uint32_t conns[TCP_CLIENTS_MAX];	/* counted, by client slot */
	union admin_slice slice;	/* the engine's while it is asked */
};

/* The answer; @data's reference is taken over. */
void admin_data(struct admin *a, const char *cmd, struct json_t *data);
void admin_error(struct admin *a, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* Asks one engine; @answered answers the session. */
void admin_ask(struct admin *a, uint32_t engine, struct mail *m,
	       void (*answered)(struct admin *a, const struct op *op));

/* Reads no more requests until admin_resume(): the answer comes later. */
void admin_hold(struct admin *a);
void admin_resume(struct admin *a);

/* capture.c */
void capture_request(struct admin *a, const struct json_t *request);
void capture_end_request(struct admin *a, const struct json_t *request);
/* The session hangs up. */
void capture_left(struct admin *a);

/* admin_flight.c */
void admin_flight(struct admin *a, const struct json_t *request);

#endif
