#include "tcp/tcp_state.h"

#include "base/log.h"
#include "tcp/tcb.h"
#include "tcp/tcp.h"

#define NEVER	TCP_STATES

/* RFC 9293 3.3.2, figure 5, and 3.10.  Unlisted: cannot happen. */
static const uint8_t next[TCP_STATES][TCP_TRANSITIONS] = {
#define ROW(connect, accept, syndata, syn, synacked, close, fin, finacked, reset) { \
	[TCP_DO_CONNECT] = connect, [TCP_DO_ACCEPT] = accept, \
	[TCP_DO_SYN_DATA] = syndata, \
	[TCP_DO_SYN] = syn, [TCP_DO_SYN_ACKED] = synacked, \
	[TCP_DO_CLOSE] = close, [TCP_DO_FIN] = fin, \
	[TCP_DO_FIN_ACKED] = finacked, [TCP_DO_RESET] = reset }
	[TCP_CLOSED] = ROW(TCP_SYN_SENT, TCP_ESTABLISHED,
			   TCP_SYN_RECEIVED, NEVER, NEVER,
			   NEVER, NEVER, NEVER, TCP_CLOSED),
	[TCP_LISTEN] = ROW(NEVER, NEVER, NEVER, NEVER, NEVER,
			   NEVER, NEVER, NEVER, NEVER),
	[TCP_SYN_SENT] = ROW(NEVER, NEVER, NEVER, TCP_SYN_RECEIVED, TCP_ESTABLISHED,
			     NEVER, NEVER, NEVER, TCP_CLOSED),
	[TCP_SYN_RECEIVED] = ROW(NEVER, NEVER, NEVER, NEVER, TCP_ESTABLISHED,
				 NEVER, NEVER, NEVER, TCP_CLOSED),
	[TCP_ESTABLISHED] = ROW(NEVER, NEVER, NEVER, NEVER, NEVER,
				TCP_FIN_WAIT_1, TCP_CLOSE_WAIT, NEVER,
				TCP_CLOSED),
	[TCP_FIN_WAIT_1] = ROW(NEVER, NEVER, NEVER, NEVER, NEVER,
			       NEVER, TCP_CLOSING, TCP_FIN_WAIT_2, TCP_CLOSED),
	[TCP_FIN_WAIT_2] = ROW(NEVER, NEVER, NEVER, NEVER, NEVER,
			       NEVER, TCP_TIME_WAIT, NEVER, TCP_CLOSED),
	[TCP_CLOSE_WAIT] = ROW(NEVER, NEVER, NEVER, NEVER, NEVER,
			       TCP_LAST_ACK, NEVER, NEVER, TCP_CLOSED),
	[TCP_CLOSING] = ROW(NEVER, NEVER, NEVER, NEVER, NEVER,
			    NEVER, NEVER, TCP_TIME_WAIT, TCP_CLOSED),
	[TCP_LAST_ACK] = ROW(NEVER, NEVER, NEVER, NEVER, NEVER,
			     NEVER, NEVER, TCP_CLOSED, TCP_CLOSED),
	[TCP_TIME_WAIT] = ROW(NEVER, NEVER, NEVER, NEVER, NEVER,
			      NEVER, NEVER, NEVER, TCP_CLOSED),
#undef ROW
};

static const char *const names[] = {
	[TCP_CLOSED] = "CLOSED",	[TCP_LISTEN] = "LISTEN",
	[TCP_SYN_SENT] = "SYN_SENT",	[TCP_SYN_RECEIVED] = "SYN_RECEIVED",
	[TCP_ESTABLISHED] = "ESTABLISHED", [TCP_FIN_WAIT_1] = "FIN_WAIT_1",
	[TCP_FIN_WAIT_2] = "FIN_WAIT_2", [TCP_CLOSE_WAIT] = "CLOSE_WAIT",
	[TCP_CLOSING] = "CLOSING",	[TCP_LAST_ACK] = "LAST_ACK",
	[TCP_TIME_WAIT] = "TIME_WAIT",
};
_Static_assert(sizeof(names) / sizeof(names[0]) == TCP_STATES, "a name each");

const char *tcp_state_name(uint8_t state)
{
	return state < TCP_STATES ? names[state] : "?";
}

enum tcp_state tcp_state_next(enum tcp_state state, enum tcp_transition what)
{
	return (enum tcp_state)next[state][what];
}

void tcp_state_set(struct tcb *t, enum tcp_transition what)
{
	enum tcp_state to = tcp_state_next((enum tcp_state)t->state, what);

	ENSURE(to != NEVER, "callers ask the state before they change it");
	t->state = (uint8_t)to;
}
