/*
 * script.h - the language of test/wire (NAME.wire), a line a step
 *
 *	case NAME			a new world; the rest is up to the next case
 *	config KEY=VALUE ...		before anything else; keys in script.c
 *	peer N				what follows is about peer N (first: 0)
 *	rebase N			the peer starts anew at its old seq + N
 *
 *	< SEGMENT			the peer sends, now
 *	<< SEGMENT			... and it arrives in one burst with
 *					the next < or <<
 *	> SEGMENT			this was sent, now (up to tolerance late)
 *	+SECONDS			time goes on; nothing may be sent before then
 *	+FROM..TO			the next > may be anywhere in between
 *	expect nothing for SECONDS	as +SECONDS, and nothing at its end either
 *	sent N				N segments with payload follow, any
 *	flood N SEGMENT			N hosts send it once, and never again
 *	burst N SEGMENT			the peer sends it N times, answers unseen
 *	ip ttl=N tos=N df=N		of the segment that > has just seen
 *	from ADDRESS SEGMENT		as <, from another host
 *	icmp TYPE CODE seq=N mtu=N	an ICMP error about our segment
 *
 *	listen PORT backlog=N		connect [PORT]
 *	limit N				bytes that may be queued now
 *	fastopen BYTES			connect and write (RFC 7413)
 *	passive [SEGMENT FIELDS]	listen 80, handshake, accept, all at once
 *	active [SEGMENT FIELDS]		connect and handshake; the fields are those
 *					of the peer's SYN: win=1000 <mss 1460>
 *	enter STATE			a connection in it: script_enter.c
 *	accept				accept none
 *	write N [more] [error=NAME]	read N			readable N
 *	shutdown [read]			close			abort
 *	move				to a client with other blocks, to read there
 *	option NAME=VALUE		listener NAME=VALUE	unlisten
 *
 *	state NAME			event NAME [ERRNO]	event none
 *	drop NAME N			stat NAME N[..M]	accepting N
 *
 *	info NAME N[..M]		a field of TCP_INFO (struct sock_info)
 *
 *	iss_differs N			iss_goes_on N	(RFC 6528)
 *
 * At the end of a case nothing may be left: no segment that the script does
 * not name, and, after all is aborted and an hour has passed, no connection,
 * extent or block.
 *
 * Threads   One.
 */
#ifndef TEST_WIRE_SCRIPT_H
#define TEST_WIRE_SCRIPT_H

#include "world.h"

#define SCRIPT_ERR_BYTES 1024

struct script {
	struct world *w;
	uint32_t peer;		/* of the lines that follow */
	uint64_t tolerance_us;	/* how late a segment may be */
	uint32_t iss_before;	/* of iss_goes_on */
	uint64_t window_us;	/* of +FROM..TO, until the next > */
	char err[SCRIPT_ERR_BYTES];
};

/* One line without its comment.  False: @s->err says what is wrong. */
bool script_line(struct script *s, const char *line);

/* Writes @s->err; returns false. */
__attribute__((format(printf, 2, 3)))
bool script_fail(struct script *s, const char *fmt, ...);

/* True, and told in @s->err: an expectation of the world's own is broken. */
bool script_broken(struct script *s);

/* "NAME N" or "NAME N..M" against @got. */
bool script_compare(struct script *s, const char *args, uint64_t got);

/* script_enter.c: lines that do what several could. */
bool script_passive(struct script *s, char *args);
bool script_active(struct script *s, char *args);
bool script_enter(struct script *s, char *args);
bool script_info(struct script *s, char *args);
bool script_iss_differs(struct script *s, char *args);
bool script_iss_goes_on(struct script *s, char *args);

/* After a case's last line. */
bool script_finish(struct script *s);

#endif
