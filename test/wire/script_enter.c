/*
 * script_enter.c - whole openings and closings in one line of a script
 *
 * What `passive`, `active` and `enter STATE` do could be written out step by
 * step; enter's steps are, below, as lines of a script themselves.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/hdr.h"
#include "script.h"
#include "shm/info.h"

bool script_broken(struct script *s)
{
	return s->w->problem[0] && !script_fail(s, "%s", s->w->problem);
}

/* Our next segment, whatever it is: a shorthand does not look at it. */
static bool take_one(struct script *s, const char *what)
{
	if (!world_sent(s->w))
		return script_fail(s, "no %s", what);
	world_sent_pop(s->w);
	return true;
}

/* The peer's side of a handshake: SYN with @flags and the fields in @args. */
static bool handshake_seg(struct script *s, const char *args, const char *flags,
			  struct seg *out)
{
	char text[SEG_TEXT_BYTES], err[SEG_TEXT_BYTES];

	snprintf(text, sizeof(text), "%s seq=0 win=65535 %.150s%s", flags, args,
		 strchr(args, '<') ? "" : " <mss 1460>");
	if (seg_parse(out, text, err))
		return script_fail(s, "%s", err);
	world_deliver(s->w, s->peer, out, NULL);
	return !script_broken(s);
}

bool script_passive(struct script *s, char *args)
{
	struct seg seg;

	if (!s->w->listener && !script_line(s, "listen 80"))
		return false;
	if (!handshake_seg(s, args, "S", &seg) || !take_one(s, "SYN-ACK"))
		return false;
	seg.flags = TCP_ACK;
	seg.has |= SEG_SEQ | SEG_ACK;
	seg.seq = seg.ack = 1;
	seg.opts &= SEG_O_TS;
	seg.ts_ecr = 0;
	seg.opts |= SEG_O_ECR_LAST;
	world_deliver(s->w, s->peer, &seg, NULL);
	return !script_broken(s) && script_line(s, "accept");
}

bool script_active(struct script *s, char *args)
{
	struct seg seg;
	char text[SEG_TEXT_BYTES];

	if (!script_line(s, "connect") || !take_one(s, "SYN"))
		return false;
	snprintf(text, sizeof(text), "ack=1 %.100s", args);
	if (!handshake_seg(s, text, "SA", &seg) || !take_one(s, "ACK"))
		return false;
	s->w->peers[s->peer].events &= ~(uint32_t)TCP_EVENT_CONNECTED;
	return true;
}

/* The numbers in which each state is left; the peer's window is 65535:
 *
 *	state		snd_una	snd_nxt	rcv_nxt
 *	SYN_SENT	0	1	-
 *	SYN_RECEIVED	0	1	1
 *	ESTABLISHED	1	1	1
 *	FIN_WAIT_1	1	2	1
 *	FIN_WAIT_2	2	2	1
 *	CLOSE_WAIT	1	1	2
 *	CLOSING		1	2	2
 *	LAST_ACK	1	2	2
 *	TIME_WAIT	2	2	2
 *
 * The application has shut down sending at most: it still reads. */
#define ENTER_STEPS 6
static const struct {
	const char *state;
	const char *steps[ENTER_STEPS];
} ways[] = {
	{ "LISTEN", { "listen 80" } },
	{ "SYN_SENT", { "connect", "> S seq=0" } },
	{ "SYN_RECEIVED", { "listen 80", "< S seq=0 win=65535 <mss 1460>",
			    "> SA seq=0 ack=1" } },
	{ "ESTABLISHED", { "active" } },
	{ "FIN_WAIT_1", { "active", "shutdown", "> FA seq=1 ack=1" } },
	{ "FIN_WAIT_2", { "active", "shutdown", "> FA seq=1 ack=1",
			  "< A seq=1 ack=2" } },
	{ "CLOSE_WAIT", { "active", "< FA seq=1 ack=1", "> A seq=1 ack=2",
			  "event fin" } },
	{ "CLOSING", { "active", "shutdown", "> FA seq=1 ack=1",
		       "< FA seq=1 ack=1", "> A seq=2 ack=2", "event fin" } },
	{ "LAST_ACK", { "active", "< FA seq=1 ack=1", "> A seq=1 ack=2",
			"event fin", "shutdown", "> FA seq=1 ack=2" } },
	{ "TIME_WAIT", { "active", "shutdown", "> FA seq=1 ack=1",
			 "< FA seq=1 ack=2", "> A seq=2 ack=2", "event fin" } },
};

bool script_enter(struct script *s, char *args)
{
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		if (strcmp(ways[i].state, args) != 0)
			continue;
		for (int k = 0; k < ENTER_STEPS && ways[i].steps[k]; k++)
			if (!script_line(s, ways[i].steps[k]))
				return false;
		return true;
	}
	return script_fail(s, "no way to enter '%s'", args);
}

/* Peers 0 .. N - 1 saw initial sequence numbers of ours that are all different,
 * and none near a constant that somebody could guess. */
bool script_iss_differs(struct script *s, char *args)
{
	uint32_t n = (uint32_t)strtoul(args, NULL, 0);
	const struct world_peer *p = s->w->peers;

	for (uint32_t i = 0; i < n && i < WORLD_PEERS; i++) {
		if (!p[i].our_iss_known)
			return script_fail(s, "peer %u has seen no SYN of ours", i);
		for (uint32_t k = 0; k < i; k++)
			if (p[i].our_iss - p[k].our_iss + 100000 < 200000)
				return script_fail(s, "peers %u and %u: %u and %u",
						   k, i, p[k].our_iss,
						   p[i].our_iss);
	}
	return true;
}

/* From the last time to now this peer's number has grown by N at least, and less
 * than half round (RFC 6528 3: 1 each 4 us); 0: remembers only. */
bool script_iss_goes_on(struct script *s, char *args)
{
	uint32_t n = (uint32_t)strtoul(args, NULL, 0);
	uint32_t now = s->w->peers[s->peer].our_iss, grown = now - s->iss_before;

	s->iss_before = now;
	return !n || (grown >= n && grown < UINT32_MAX / 2) ||
	       script_fail(s, "expected %u or more, got %d", n, (int)grown);
}

/* ---- info: what TCP_INFO says ---- */

#define FIELD(name) { #name, offsetof(struct sock_info, name), \
		      sizeof(((struct sock_info *)0)->name) }

static const struct {
	const char *name;
	size_t offset, bytes;
} fields[] = {
	FIELD(state), FIELD(ca_state), FIELD(retransmits), FIELD(probes),
	FIELD(backoff), FIELD(options), FIELD(wscales), FIELD(limited),
	FIELD(rto_us), FIELD(snd_mss), FIELD(rcv_mss), FIELD(unacked),
	FIELD(sacked), FIELD(lost), FIELD(retrans), FIELD(pmtu), FIELD(rtt_us),
	FIELD(rttvar_us), FIELD(snd_ssthresh), FIELD(snd_cwnd), FIELD(advmss),
	FIELD(reordering), FIELD(total_retrans), FIELD(pacing_rate),
	FIELD(max_pacing_rate), FIELD(bytes_acked), FIELD(notsent_bytes),
	FIELD(min_rtt_us), FIELD(delivery_rate), FIELD(segs_out),
	FIELD(segs_in), FIELD(data_segs_out), FIELD(data_segs_in),
	FIELD(bytes_received),
};

static uint64_t field_of(const struct sock_info *info, size_t i)
{
	const char *at = (const char *)info + fields[i].offset;
	uint64_t value = 0;

	memcpy(&value, at, fields[i].bytes);	/* little-endian hosts */
	return value;
}

bool script_info(struct script *s, char *args)
{
	struct sock_info info;
	char name[64] = "";

	if (!s->w->peers[s->peer].conn)
		return script_fail(s, "no connection");
	tcp_sock_info(s->w->env, s->w->peers[s->peer].conn, &info, s->w->now);
	sscanf(args, "%63s", name);
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		if (strcmp(fields[i].name, name) == 0)
			return script_compare(s, args, field_of(&info, i));
	return script_fail(s, "unknown field '%s'", name);
}
