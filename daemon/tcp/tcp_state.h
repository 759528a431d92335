/*
 * tcp_state.h - the states of RFC 9293 3.3.2 and the only way between them
 *
 * Half-open passive connections (SYN_RECEIVED from LISTEN) and TIME_WAIT live
 * in small records of their own (tcp_listen.c, tcp_timewait.c); a tcb is in
 * SYN_RECEIVED only after a simultaneous open or by Fast Open, and in TIME_WAIT only while
 * its application still holds it.
 *
 * Threads   One engine.
 */
#ifndef TCP_STATE_H
#define TCP_STATE_H

#include <stdint.h>

struct tcb;

enum tcp_state {
	/* Never opened, reset, timed out or done.  Not in the flow table, no
	 * timer, nothing to send; what was received may still be read. */
	TCP_CLOSED,
	/* A listener; only in listings. */
	TCP_LISTEN,
	/* Our SYN is out.  snd_una = iss; rcv_* and options not yet valid;
	 * sends are queued. */
	TCP_SYN_SENT,
	/* SYNs crossed.  All of snd_* and rcv_* valid; nothing but SYN-ACK is
	 * sent until ours is acknowledged. */
	TCP_SYN_RECEIVED,
	/* Data both ways. */
	TCP_ESTABLISHED,
	/* Our FIN is queued or sent; the peer may send. */
	TCP_FIN_WAIT_1,
	/* Our FIN is acknowledged; nothing but ACKs is sent. */
	TCP_FIN_WAIT_2,
	/* The peer has finished; we may send. */
	TCP_CLOSE_WAIT,
	/* Both have finished, ours is not acknowledged. */
	TCP_CLOSING,
	/* As CLOSING, but the peer finished first. */
	TCP_LAST_ACK,
	/* Done; the record answers for it.  As CLOSED for the tcb. */
	TCP_TIME_WAIT,
	TCP_STATES
};

enum tcp_transition {
	TCP_DO_CONNECT,		/* active OPEN */
	TCP_DO_ACCEPT,		/* a half-open record completed */
	TCP_DO_SYN_DATA,	/* a SYN with data and a good cookie */
	TCP_DO_SYN,		/* SYN without ACK in SYN_SENT */
	TCP_DO_SYN_ACKED,	/* our SYN is acknowledged, theirs is known */
	TCP_DO_CLOSE,		/* CLOSE or shutdown of the sending side */
	TCP_DO_FIN,		/* all data up to the peer's FIN is here */
	TCP_DO_FIN_ACKED,	/* our FIN is acknowledged */
	TCP_DO_RESET,		/* RST, timeout, abort */
	TCP_TRANSITIONS
};

/* The next state; TCP_STATES: @what cannot happen in @state. */
enum tcp_state tcp_state_next(enum tcp_state state, enum tcp_transition what);

/* The only writer of t->state; a transition that cannot be is a bug. */
void tcp_state_set(struct tcb *t, enum tcp_transition what);

#endif
