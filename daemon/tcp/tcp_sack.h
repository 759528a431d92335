/*
 * tcp_sack.h - selective acknowledgements, both ways (RFC 2018, 2883)
 *
 *	we receive   runs ahead ---------> sack_build: blocks in our ACKs, the
 *	             duplicates --------->   one that came last first, a
 *	                                     duplicate's before it (DSACK)
 *	we send      blocks of the peer --> sack_take: records marked SACKED
 *
 * Ownership Part of a connection's extension.
 * Threads   One engine.
 */
#ifndef TCP_TCP_SACK_H
#define TCP_TCP_SACK_H

#include <stdbool.h>
#include <stdint.h>

#include "tcp/seq.h"

#define SACK_RECENT	4

struct sack_told {		/* what we report */
	uint32_t recent[SACK_RECENT];	/* runs, that changed last first; 0: none */
	uint8_t duplicate;	/* one is to be told: */
	uint8_t zero[3];
	seq_t left, right;
};

struct tcp_env;
struct tcb;
struct tcp_opts;
struct seg;
struct xmit_news;

/* Data came for @run of out-of-order data; it is no more. */
void sack_saw(struct sack_told *told, uint32_t run);
void sack_gone(struct sack_told *told, uint32_t run);
/* [left, right) had come before. */
void sack_duplicate(struct tcp_env *env, struct tcb *t, seq_t left,
		    seq_t right);
/* There is something to report. */
bool sack_due(const struct tcp_env *env, const struct tcb *t);
/* As many blocks as @room bytes of options hold, into @o; true: one at least.
 * A duplicate is then told. */
bool sack_build(struct tcp_env *env, struct tcb *t, struct tcp_opts *o,
		uint32_t room);

/* What a DSACK names; left is right where there was none. */
struct sack_dup {
	seq_t left, right;
};

/* The blocks of @s; *@d is set when the first is a DSACK. */
void sack_take(struct tcp_env *env, struct tcb *t, const struct seg *s,
	       struct xmit_news *n, struct sack_dup *d);

#endif
