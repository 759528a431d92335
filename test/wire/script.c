#include "script.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "net/hdr.h"
#include "shm/cmd.h"

#define ARRAY_COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define NAMED(x) { #x, x }

struct named {
	const char *name;
	int value;
};

static const struct named drops[] = {
	NAMED(TCP_DROP_SHORT), NAMED(TCP_DROP_CSUM), NAMED(TCP_DROP_OPTION),
	NAMED(TCP_DROP_FLAGS), NAMED(TCP_DROP_NO_LISTENER),
	NAMED(TCP_DROP_BACKLOG), NAMED(TCP_DROP_NO_TCB), NAMED(TCP_DROP_WINDOW),
	NAMED(TCP_DROP_PAWS), NAMED(TCP_DROP_RST_BAD), NAMED(TCP_DROP_SYN_BAD),
	NAMED(TCP_DROP_ACK_BAD), NAMED(TCP_DROP_DUPLICATE),
	NAMED(TCP_DROP_NO_BLOCK), NAMED(TCP_DROP_AFTER_CLOSE),
	NAMED(TCP_DROP_REPLY_FULL), NAMED(TCP_DROP_STATE),
	NAMED(TCP_DROP_SOURCE), NAMED(TCP_DROP_MEMORY),
};

static const struct named events[] = {
	{ "connected", TCP_EVENT_CONNECTED }, { "fin", TCP_EVENT_FIN },
	{ "error", TCP_EVENT_ERROR }, { "sent", TCP_EVENT_SENT },
};

static const struct named errors[] = {
	NAMED(ECONNRESET), NAMED(ECONNREFUSED), NAMED(ETIMEDOUT), NAMED(EPIPE),
	NAMED(EHOSTUNREACH), NAMED(ENETUNREACH), NAMED(EADDRINUSE),
	NAMED(ENOBUFS), NAMED(ECONNABORTED), NAMED(ENOPROTOOPT),
};

static const struct named options[] = {
	{ "maxseg", CMD_OPT_MAXSEG }, { "syncnt", CMD_OPT_SYNCNT },
	{ "notsent_lowat", CMD_OPT_NOTSENT_LOWAT },
	{ "window_clamp", CMD_OPT_WINDOW_CLAMP },
	{ "linger2", CMD_OPT_LINGER2_S },
	{ "defer_accept", CMD_OPT_DEFER_ACCEPT_S },
	{ "tos", CMD_OPT_TOS }, { "ttl", CMD_OPT_TTL },
	{ "mtu_discover", CMD_OPT_MTU_DISCOVER },
	{ "fastopen", CMD_OPT_FASTOPEN },
	{ "nodelay", CMD_OPT_NODELAY }, { "cork", CMD_OPT_CORK },
	{ "keepalive", CMD_OPT_KEEPALIVE }, { "keepidle", CMD_OPT_KEEPIDLE_S },
	{ "keepintvl", CMD_OPT_KEEPINTVL_S }, { "keepcnt", CMD_OPT_KEEPCNT },
	{ "sndbuf", CMD_OPT_SNDBUF }, { "rcvbuf", CMD_OPT_RCVBUF },
	{ "user_timeout", CMD_OPT_USER_TIMEOUT_MS },
	{ "linger", CMD_OPT_LINGER_S }, { "quickack", CMD_OPT_QUICKACK },
	{ "congestion", CMD_OPT_CONGESTION }, { "max_pacing", CMD_OPT_MAX_PACING },
};

#define STAT(x) { #x, offsetof(struct tcp_stats, x) }
static const struct { const char *name; size_t offset; } stats[] = {
	STAT(segs_in), STAT(segs_out), STAT(segs_merged), STAT(ooo_given_up), STAT(bytes_in), STAT(bytes_out),
	STAT(retrans_segs), STAT(rsts_in), STAT(rsts_out), STAT(dup_acks_in),
	STAT(fast_retransmits), STAT(timeouts), STAT(syns_in),
	STAT(sacks_in), STAT(sacks_out), STAT(sacks_bad), STAT(dsacks_in),
	STAT(dsacks_out), STAT(sack_recoveries), STAT(sack_reneged),
	STAT(rack_lost), STAT(lost_retransmits), STAT(reordered),
	STAT(tlp_probes), STAT(tlp_recoveries), STAT(undo_frto),
	STAT(undo_eifel), STAT(undo_dsack),
	STAT(passive_opens), STAT(active_opens), STAT(connect_failures),
	STAT(resets), STAT(out_of_order), STAT(zero_window_probes),
	STAT(challenge_acks), STAT(time_wait_reused), STAT(time_wait_evicted),
	STAT(syn_evicted), STAT(conns), STAT(listeners), STAT(time_wait), STAT(syn_received),
	STAT(hystart_exits), STAT(idle_restarts),
	STAT(icmp_pmtu), STAT(icmp_soft), STAT(icmp_refused), STAT(icmp_unknown),
	STAT(icmp_stale), STAT(icmp_ignored),
	STAT(pmtu_black_holes), STAT(pmtu_probes), STAT(pmtu_probes_good),
	STAT(pmtu_probes_lost), STAT(tfo_asked), STAT(tfo_bad), STAT(tfo_full), STAT(tfo_passive),
	STAT(tfo_active), STAT(tfo_refused), STAT(tfo_black_holes), STAT(tfo_paused),
	STAT(syncookies_sent), STAT(syncookies_accepted), STAT(syncookies_bad),
	STAT(ecn_negotiated), STAT(ecn_fallbacks), STAT(ce_in), STAT(ece_in), STAT(cwr_out), STAT(paced),
};

#define fail script_fail
bool script_fail(struct script *s, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(s->err, sizeof(s->err), fmt, ap);
	va_end(ap);
	return false;
}

static const struct named *find_named(const struct named *t, size_t n,
				      const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(t[i].name, name) == 0)
			return &t[i];
	return NULL;
}
#define FIND(table, name) find_named(table, ARRAY_COUNT(table), name)

static const char *error_name(int error, char buf[32])
{
	for (size_t i = 0; i < ARRAY_COUNT(errors); i++)
		if (errors[i].value == error)
			return errors[i].name;
	snprintf(buf, 32, "%d", error);
	return buf;
}

static struct world_peer *peer(struct script *s)
{
	return &s->w->peers[s->peer];
}

static uint64_t seconds_us(const char *text)
{
	return (uint64_t)(strtod(text, NULL) * 1e6 + 0.5);
}

/* ---- config ---- */

#define U32(x) { #x, offsetof(struct tcp_config, x) }
static const struct { const char *name; size_t offset; } config_u32[] = {
	U32(max_conns), U32(max_listeners), U32(max_syn), U32(max_time_wait),
	U32(max_extents), U32(time_wait_ms), U32(rto_min_ms),
	U32(rto_initial_ms), U32(syn_retries), U32(syn_ack_retries),
	U32(retries), U32(delack_ms), U32(rcv_wnd_initial), U32(rcv_wnd_max),
	U32(snd_buf_initial), U32(snd_buf_max), U32(initial_cwnd),
	U32(keep_idle_s), U32(keep_intvl_s), U32(keep_cnt), U32(fin_wait2_ms),
	U32(syn_cookies), U32(ecn), U32(quick_acks), U32(mtu_probing), U32(min_pmtu), U32(pmtu_expires_ms),
};

static bool config_world(struct script *s, const char *key, const char *value)
{
	struct world *w = s->w;
	uint32_t v = (uint32_t)strtoul(value, NULL, 0);

	if (strcmp(key, "timestamps") == 0)
		w->cfg.timestamps = strcmp(value, "on") == 0;
	else if (strcmp(key, "sack") == 0)
		w->cfg.sack = strcmp(value, "on") == 0;
	else if (strcmp(key, "window_scaling") == 0)
		w->cfg.window_scaling = strcmp(value, "on") == 0;
	else if (strcmp(key, "cc") == 0)
		snprintf(w->cfg.cc, sizeof(w->cfg.cc), "%s", value);
	else if (strcmp(key, "iss") == 0)
		w->iss = v;
	else if (strcmp(key, "mtu") == 0)
		w->mtu = v;
	else if (strcmp(key, "small_blocks") == 0)
		w->small = v;
	else if (strcmp(key, "large_blocks") == 0)
		w->large = v;
	else if (strcmp(key, "tolerance") == 0)
		s->tolerance_us = seconds_us(value);
	else
		return fail(s, "unknown configuration key '%s'", key);
	return true;
}

static bool config_set(struct script *s, const char *key, const char *value)
{
	for (size_t i = 0; i < ARRAY_COUNT(config_u32); i++)
		if (strcmp(config_u32[i].name, key) == 0) {
			uint32_t v = (uint32_t)strtoul(value, NULL, 0);

			memcpy((char *)&s->w->cfg + config_u32[i].offset, &v,
			       sizeof(v));
			return true;
		}
	return config_world(s, key, value);
}

static bool do_config(struct script *s, char *args)
{
	char *save = NULL, *word, *equals;

	if (s->w->env)
		return fail(s, "config must stand before everything else");
	for (word = strtok_r(args, " \t", &save); word;
	     word = strtok_r(NULL, " \t", &save)) {
		equals = strchr(word, '=');
		if (!equals)
			return fail(s, "config wants KEY=VALUE, not '%s'", word);
		*equals = '\0';
		if (!config_set(s, word, equals + 1))
			return false;
	}
	return true;
}

/* ---- segments and time ---- */

static bool do_deliver(struct script *s, char *args)
{
	struct seg seg;
	char err[SEG_TEXT_BYTES];

	if (seg_parse(&seg, args, err))
		return fail(s, "%s", err);
	world_deliver(s->w, s->peer, &seg, NULL);
	return !script_broken(s);
}

static bool do_gather(struct script *s, char *args)
{
	struct seg seg;
	char err[SEG_TEXT_BYTES];

	if (s->w->burst_count == TCP_BURST_MAX - 1)
		return fail(s, "a burst has %d segments at most", TCP_BURST_MAX);
	if (seg_parse(&seg, args, err))
		return fail(s, "%s", err);
	world_gather(s->w, s->peer, &seg, NULL);
	return !script_broken(s);
}

static const char *sent_text(struct script *s, const struct world_sent *x,
			     char *buf)
{
	seg_text(&x->seg, buf);
	if (x->peer != s->peer)
		snprintf(buf + strlen(buf), SEG_TEXT_BYTES - strlen(buf),
			 x->peer < WORLD_PEERS ? " (to peer %u)"
					       : " (to a stranger)", x->peer);
	return buf;
}

static bool mismatch(struct script *s, const struct seg *want,
		     const struct world_sent *got, const char *why)
{
	char a[SEG_TEXT_BYTES], b[SEG_TEXT_BYTES * 2];

	seg_text(want, a);
	if (!got)
		return fail(s, "%s\n    expected: > %s\n    got:      nothing",
			    why, a);
	return fail(s, "%s\n    expected: > %s\n    got:      > %s", why, a,
		    sent_text(s, got, b));
}

static bool do_expect_segment(struct script *s, char *args)
{
	uint64_t late_us = s->window_us ? s->window_us : s->tolerance_us;
	struct world_sent *x = world_sent(s->w);
	struct seg want;
	char err[SEG_TEXT_BYTES];

	s->window_us = 0;
	if (seg_parse(&want, args, err))
		return fail(s, "%s", err);
	if (!x)
		world_advance(s->w, mono_add(s->w->now, late_us), true);
	x = world_sent(s->w);
	if (!x)
		return mismatch(s, &want, NULL, "no segment");
	if (x->peer != s->peer || !seg_matches(&want, &x->seg))
		return mismatch(s, &want, x, "another segment");
	if (x->bad_byte >= 0)
		return mismatch(s, &want, x, "payload is not the stream's");
	world_sent_pop(s->w);
	return !script_broken(s);
}

static bool nothing_sent(struct script *s, const char *why)
{
	struct world_sent *x = world_sent(s->w);
	char buf[SEG_TEXT_BYTES * 2];

	if (!x)
		return true;
	return fail(s, "%s\n    expected: nothing\n    got:      > %s", why,
		    sent_text(s, x, buf));
}

/* All that was sent up to now must have been named by the script. */
static bool advance(struct script *s, uint64_t us)
{
	mono_t start = s->w->now, end = mono_add(start, us);
	struct world_sent *x;
	char why[64];

	if (!nothing_sent(s, "sent already"))
		return false;
	world_advance(s->w, end, true);
	x = world_sent(s->w);
	if (x && mono_before(x->when, end)) {
		snprintf(why, sizeof(why), "sent early, after %.6f s",
			 (double)mono_diff_us(start, x->when) / 1e6);
		return nothing_sent(s, why);
	}
	return !script_broken(s);
}

/* "+SECONDS" or "+FROM..TO"; @args begins after the plus. */
static bool do_advance(struct script *s, char *args)
{
	char *dots = strstr(args, "..");
	uint64_t from_us, to_us;

	if (dots)
		*dots = '\0';
	from_us = seconds_us(args);
	to_us = dots ? seconds_us(dots + 2) : from_us;
	s->window_us = to_us - from_us;
	return !from_us || advance(s, from_us);
}

static bool do_expect(struct script *s, char *args)
{
	const char *prefix = "nothing for ";

	if (strncmp(args, prefix, strlen(prefix)) != 0)
		return fail(s, "expect nothing for SECONDS");
	return advance(s, seconds_us(args + strlen(prefix))) &&
	       nothing_sent(s, "sent at the end");
}

static bool do_sent(struct script *s, char *args)
{
	uint32_t want = (uint32_t)strtoul(args, NULL, 0), got = 0;
	struct world_sent *x;

	for (; (x = world_sent(s->w)) && x->peer == s->peer && x->seg.len; got++) {
		if (x->bad_byte >= 0)
			return fail(s, "payload is not the stream's at %lld",
				    (long long)x->bad_byte);
		world_sent_pop(s->w);
	}
	return got == want ||
	       fail(s, "expected %u data segments, got %u", want, got);
}

/* Host i of a flood has an address of its own in 10.64.0.0/10. */
static bool do_flood(struct script *s, char *args)
{
	char *rest, err[SEG_TEXT_BYTES];
	uint32_t hosts = (uint32_t)strtoul(args, &rest, 0);
	struct seg seg;

	while (isspace((unsigned char)*rest))
		rest++;
	if (seg_parse(&seg, rest, err))
		return fail(s, "%s", err);
	s->w->no_strangers = true;
	for (uint32_t i = 0; i < hosts; i++) {
		struct ip_addr from = addr_from_v4(htonl(0x0a400000u + i));

		world_deliver(s->w, s->peer, &seg, &from);
		world_advance(s->w, mono_add(s->w->now, 100), false);
	}
	return !script_broken(s);
}

static bool do_burst(struct script *s, char *args)
{
	char *rest, err[SEG_TEXT_BYTES];
	uint32_t n = (uint32_t)strtoul(args, &rest, 0);
	struct seg seg;

	if (seg_parse(&seg, rest, err))
		return fail(s, "%s", err);
	s->w->discard = true;
	for (uint32_t i = 0; i < n; i++)
		world_deliver(s->w, s->peer, &seg, NULL);
	s->w->discard = false;
	return !script_broken(s);
}

/* What the IP header of the last segment seen said. */
static bool do_ip(struct script *s, char *args)
{
	const struct world_sent *x = &s->w->last;
	char *save = NULL, *word;
	unsigned int v;

	for (word = strtok_r(args, " \t", &save); word;
	     word = strtok_r(NULL, " \t", &save)) {
		if (sscanf(word, "ttl=%u", &v) == 1 ? v != x->ttl :
		    sscanf(word, "tos=%i", (int *)&v) == 1 ? v != x->tos :
		    sscanf(word, "df=%u", &v) != 1 || v != x->df)
			return fail(s, "expected %s, got ttl=%u tos=%u df=%u",
				    word, x->ttl, x->tos, x->df);
	}
	return true;
}

/* "A.B.C.D SEGMENT": as <, from another address. */
static bool do_from(struct script *s, char *args)
{
	char *rest = strchr(args, ' '), err[SEG_TEXT_BYTES];
	struct ip_addr from;
	struct seg seg;

	if (!rest)
		return fail(s, "from ADDRESS SEGMENT");
	*rest++ = '\0';
	if (addr_parse(&from, args) || seg_parse(&seg, rest, err))
		return fail(s, "from ADDRESS SEGMENT");
	world_deliver(s->w, s->peer, &seg, &from);
	return !script_broken(s);
}

static bool do_icmp(struct script *s, char *args)
{
	struct tcp_icmp e = {
		.src = s->w->us, .dst = s->w->them,
		.sport = htons(peer(s)->our_port), .dport = htons(peer(s)->port),
	};
	unsigned int type, code, seq, mtu = 0;

	if (sscanf(args, "%u %u seq=%u mtu=%u", &type, &code, &seq, &mtu) < 3)
		return fail(s, "icmp TYPE CODE seq=N [mtu=N]");
	e.type = (uint8_t)type;
	e.code = (uint8_t)code;
	e.seq = peer(s)->our_iss + seq;
	e.mtu = (uint16_t)mtu;
	tcp_icmp_in(s->w->env, &e, s->w->now);
	world_pump(s->w);
	return !script_broken(s);
}

static bool do_peer(struct script *s, char *args)
{
	uint32_t n = (uint32_t)strtoul(args, NULL, 0);

	if (n >= WORLD_PEERS)
		return fail(s, "peers are 0..%d", WORLD_PEERS - 1);
	s->peer = n;
	return true;
}

static bool do_rebase(struct script *s, char *args)
{
	struct world_peer *p = peer(s);

	p->iss += (uint32_t)strtol(args, NULL, 0);
	p->our_iss_known = false;
	return true;
}

/* ---- the application ---- */

static bool do_listen(struct script *s, char *args)
{
	unsigned int port, backlog = 128;
	int rc;

	if (sscanf(args, "%u backlog=%u", &port, &backlog) < 1)
		return fail(s, "listen PORT [backlog=N]");
	rc = world_listen(s->w, (uint16_t)port, backlog);
	return rc > 0 || fail(s, "tcp_listen() gives %d", rc);
}

static bool do_unlisten(struct script *s, char *args)
{
	(void)args;
	tcp_unlisten(s->w->env, s->w->listener);
	s->w->listener = 0;
	world_pump(s->w);
	return !script_broken(s);
}

static bool expected_error(struct script *s, const char *args, int rc)
{
	const char *want = strstr(args, "error=");
	char buf[32];

	if (!want)
		return rc >= 0 ||
		       fail(s, "error %s", error_name(-rc, buf));
	if (rc >= 0 || strcmp(error_name(-rc, buf), want + 6) != 0)
		return fail(s, "expected %s, got %s", want,
			    rc < 0 ? error_name(-rc, buf) : "success");
	return true;
}

static bool do_connect(struct script *s, char *args)
{
	uint32_t port = (uint32_t)strtoul(args, NULL, 0);
	int rc = world_connect(s->w, s->peer,
			       (uint16_t)(port ? port : 40000 + s->peer));

	return expected_error(s, args, rc) && !script_broken(s);
}

/* "BYTES": connect and write, as one call. */
static bool do_fastopen(struct script *s, char *args)
{
	uint32_t bytes = (uint32_t)strtoul(args, NULL, 0);
	int rc;

	s->w->fastopen = true;
	rc = world_connect(s->w, s->peer, (uint16_t)(40000 + s->peer));
	s->w->fastopen = false;
	if (rc > 0 && bytes)
		rc = world_write(s->w, s->peer, bytes, false);
	world_pump(s->w);
	return (rc >= 0 || fail(s, "tcp_connect() gives %d", rc)) && !script_broken(s);
}

static bool do_accept(struct script *s, char *args)
{
	uint32_t n = WORLD_PEERS;
	int rc = world_accept(s->w, &n);

	if (strcmp(args, "none") == 0)
		return rc == 0 || fail(s, "expected none, got peer %u", n);
	if (rc <= 0)
		return !script_broken(s) && fail(s, "nothing to accept (%d)", rc);
	return n == s->peer || fail(s, "accepted peer %u", n);
}

static bool do_accepting(struct script *s, char *args)
{
	uint32_t want = (uint32_t)strtoul(args, NULL, 0);
	uint32_t got = tcp_accept_waiting(s->w->env, s->w->listener);

	return got == want || fail(s, "expected %u, got %u", want, got);
}

static bool do_write(struct script *s, char *args)
{
	uint32_t bytes = (uint32_t)strtoul(args, NULL, 0);
	bool more = strstr(args, " more") != NULL;
	int rc = world_write(s->w, s->peer, bytes, more);

	return expected_error(s, args, rc) && !script_broken(s);
}

static bool do_read(struct script *s, char *args)
{
	uint32_t bytes = (uint32_t)strtoul(args, NULL, 0);
	uint32_t there = peer(s)->readable;

	if (bytes > there)
		return fail(s, "expected %u bytes to read, got %u", bytes, there);
	return world_read(s->w, s->peer, bytes) || !script_broken(s);
}

static bool do_limit(struct script *s, char *args)
{
	uint32_t want = (uint32_t)strtoul(args, NULL, 0);
	uint32_t got = tcp_send_limit(s->w->env, peer(s)->conn);

	return got == want || fail(s, "expected %u bytes, got %u", want, got);
}

static bool do_readable(struct script *s, char *args)
{
	uint32_t want = (uint32_t)strtoul(args, NULL, 0);
	uint32_t got = peer(s)->readable;

	return got == want || fail(s, "expected %u bytes, got %u", want, got);
}

static bool do_move(struct script *s, char *args)
{
	(void)args;
	return world_move(s->w, s->peer) || fail(s, "there is no room");
}

static bool do_shutdown(struct script *s, char *args)
{
	if (strcmp(args, "read") == 0)
		tcp_shutdown_read(s->w->env, peer(s)->conn, s->w->now);
	else
		tcp_shutdown_write(s->w->env, peer(s)->conn, s->w->now);
	world_pump(s->w);
	return !script_broken(s);
}

static bool do_close(struct script *s, char *args)
{
	(void)args;
	world_close(s->w, s->peer, false);
	return !script_broken(s);
}

static bool do_abort(struct script *s, char *args)
{
	(void)args;
	world_close(s->w, s->peer, true);
	return !script_broken(s);
}

static bool do_option(struct script *s, char *args)
{
	char *equals = strchr(args, '=');
	const struct named *o;
	int rc;

	if (!equals)
		return fail(s, "option NAME=VALUE");
	*equals = '\0';
	o = FIND(options, args);
	if (!o)
		return fail(s, "unknown option '%s'", args);
	rc = tcp_option(s->w->env, peer(s)->conn, (uint32_t)o->value,
			(int32_t)strtol(equals + 1, NULL, 0), s->w->now);
	world_pump(s->w);
	return rc == 0 || fail(s, "tcp_option() gives %d", rc);
}

static bool do_listener_option(struct script *s, char *args)
{
	char *equals = strchr(args, '=');
	const struct named *o;
	int rc;

	if (!equals)
		return fail(s, "listener NAME=VALUE");
	*equals = '\0';
	o = FIND(options, args);
	if (!o)
		return fail(s, "unknown option '%s'", args);
	rc = tcp_listener_option(s->w->env, s->w->listener,
				 (uint32_t)o->value,
				 (int32_t)strtol(equals + 1, NULL, 0));
	return rc == 0 || fail(s, "tcp_listener_option() gives %d", rc);
}

/* ---- looking ---- */

static bool do_state(struct script *s, char *args)
{
	const char *got = world_state(s->w, s->peer);

	return strcmp(got, args) == 0 ||
	       fail(s, "expected state %s, got %s", args, got);
}

static bool event_error(struct script *s, const char *want)
{
	char buf[32];
	const char *got = error_name(peer(s)->error, buf);

	return !*want || strcmp(want, got) == 0 ||
	       fail(s, "expected error %s, got %s", want, got);
}

/* An event that was looked at is forgotten. */
static bool do_event(struct script *s, char *args)
{
	char name[32] = "", detail[32] = "";
	const struct named *e;

	sscanf(args, "%31s %31s", name, detail);
	if (strcmp(name, "none") == 0)
		return !peer(s)->events ||
		       fail(s, "expected no event, got bits 0x%x",
			    peer(s)->events);
	e = FIND(events, name);
	if (!e)
		return fail(s, "unknown event '%s'", name);
	if (!(peer(s)->events & (uint32_t)e->value))
		return fail(s, "no event '%s'", name);
	peer(s)->events &= ~(uint32_t)e->value;
	return e->value != TCP_EVENT_ERROR || event_error(s, detail);
}

bool script_compare(struct script *s, const char *args, uint64_t got)
{
	const char *number = strchr(args, ' '), *dots = strstr(args, "..");
	uint64_t from = number ? strtoull(number, NULL, 0) : 0;
	uint64_t to = dots ? strtoull(dots + 2, NULL, 0) : from;

	return (got >= from && got <= to) ||
	       fail(s, "expected %s, got %llu", args, (unsigned long long)got);
}

static bool do_drop(struct script *s, char *args)
{
	char name[64] = "";
	const struct named *d;

	sscanf(args, "%63s", name);
	d = FIND(drops, name);
	if (!d)
		return fail(s, "unknown drop '%s'", name);
	return script_compare(s, args,
			     counter_get(&tcp_stats(s->w->env)->drops[d->value]));
}

static bool do_stat(struct script *s, char *args)
{
	char name[64] = "";
	const counter_t *c;

	sscanf(args, "%63s", name);
	for (size_t i = 0; i < ARRAY_COUNT(stats); i++)
		if (strcmp(stats[i].name, name) == 0) {
			c = (const counter_t *)((const char *)
				tcp_stats(s->w->env) + stats[i].offset);
			return script_compare(s, args, counter_get(c));
		}
	return fail(s, "unknown counter '%s'", name);
}

/* ---- the table ---- */

static const struct {
	const char *name;
	bool (*run)(struct script *s, char *args);
} commands[] = {
	{ "config", do_config }, { "peer", do_peer }, { "rebase", do_rebase },
	{ "<", do_deliver }, { "<<", do_gather }, { ">", do_expect_segment }, { "+", do_advance },
	{ "expect", do_expect }, { "sent", do_sent }, { "flood", do_flood },
	{ "burst", do_burst }, { "from", do_from }, { "ip", do_ip },
	{ "fastopen", do_fastopen }, { "limit", do_limit },
	{ "listener", do_listener_option },
	{ "icmp", do_icmp }, { "listen", do_listen },
	{ "passive", script_passive }, { "active", script_active },
	{ "enter", script_enter }, { "info", script_info },
	{ "iss_differs", script_iss_differs },
	{ "iss_goes_on", script_iss_goes_on },
	{ "unlisten", do_unlisten }, { "connect", do_connect },
	{ "accept", do_accept }, { "accepting", do_accepting },
	{ "write", do_write }, { "read", do_read }, { "readable", do_readable },
	{ "move", do_move },
	{ "shutdown", do_shutdown }, { "close", do_close },
	{ "abort", do_abort }, { "option", do_option }, { "state", do_state },
	{ "event", do_event }, { "drop", do_drop }, { "stat", do_stat },
};

static bool run_command(struct script *s, const char *name, char *args)
{
	for (size_t i = 0; i < ARRAY_COUNT(commands); i++)
		if (strcmp(commands[i].name, name) == 0) {
			if (commands[i].run != do_config)
				world_start(s->w);
			return commands[i].run(s, args);
		}
	return fail(s, "unknown command '%s'", name);
}

bool script_line(struct script *s, const char *line)
{
	char copy[SEG_TEXT_BYTES], *args;
	size_t n;

	snprintf(copy, sizeof(copy), "%s", line);
	n = strlen(copy);
	while (n && isspace((unsigned char)copy[n - 1]))
		copy[--n] = '\0';
	if (copy[0] == '+')
		return run_command(s, "+", copy + 1);
	args = copy + strcspn(copy, " \t");
	if (*args)
		*args++ = '\0';
	while (isspace((unsigned char)*args))
		args++;
	return run_command(s, copy, args);
}

bool script_finish(struct script *s)
{
	world_start(s->w);
	if (!nothing_sent(s, "the case ends, but this was sent"))
		return false;
	return world_end(s->w) || !script_broken(s);
}
