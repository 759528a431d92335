#include "tcp/tcp_flight.h"

#include <errno.h>
#include <string.h>

#include "tcp/env.h"

#define EVENT_GAP_US	10000u		/* retransmissions closer are one event */
#define SMALL_WINDOW	(256u << 10)	/* bytes */
#define LONG_RTT_US	20000u
#define COUNT_BYTES	(1u << 30)	/* of sequence numbers, at once */

static const char *const limit_names[] = {
	[FLIGHT_IDLE] = "idle",
	[FLIGHT_APP] = "application",
	[FLIGHT_SNDBUF] = "send_buffer",
	[FLIGHT_READER] = "slow_reader",
	[FLIGHT_RWND] = "receive_window",
	[FLIGHT_CWND] = "congestion_window",
	[FLIGHT_PACING] = "pacing",
	[FLIGHT_LOSS] = "loss",
};
_Static_assert(sizeof(limit_names) / sizeof(limit_names[0]) == FLIGHT_LIMITS,
	       "a name each");

static const char *const event_names[] = {
	[FLIGHT_EVENT_LIMIT] = "limit",
	[FLIGHT_EVENT_RETRANSMIT] = "retransmit",
	[FLIGHT_EVENT_SAMPLE] = "sample",
};

static const char *const verdict_names[] = {
	[VERDICT_IDLE] = "idle",
	[VERDICT_APPLICATION] = "application",
	[VERDICT_SEND_BUFFER] = "send_buffer",
	[VERDICT_SLOW_READER] = "slow_reader",
	[VERDICT_RECEIVE_WINDOW] = "receive_window",
	[VERDICT_CONGESTION_WINDOW] = "congestion_window",
	[VERDICT_PACING] = "pacing",
	[VERDICT_LOSS] = "loss",
	[VERDICT_LONG_RTT] = "long_rtt",
	[VERDICT_LOCAL_READER] = "local_reader",
};
_Static_assert(sizeof(verdict_names) / sizeof(verdict_names[0]) == VERDICTS,
	       "a name each");

const char *flight_limit_name(uint32_t limit)
{
	return limit < FLIGHT_LIMITS ? limit_names[limit] : "?";
}

const char *flight_event_name(uint32_t type)
{
	return type < sizeof(event_names) / sizeof(event_names[0]) ?
	       event_names[type] : "?";
}

const char *flight_verdict_name(uint32_t verdict)
{
	return verdict < VERDICTS ? verdict_names[verdict] : "?";
}

int flight_init(struct tcp_env *env, tcp_alloc_fn *alloc, void *arg)
{
	uint32_t count = FLIGHT_RECORDS;

	while (count > 16 && count / 2 > env->cfg.max_conns)
		count /= 2;
	env->flight_mask = count - 1;
	env->flight = alloc(arg, "tcp flight records",
			    count * sizeof(struct flight_record));
	return env->flight ? 0 : -ENOMEM;
}

/* ---- which limit holds ---- */

/* There is data that was not sent although the application gave it. */
static enum flight_limit held_back(const struct tcp_env *env,
				   const struct tcb *t)
{
	uint32_t flight = t->snd_nxt - t->snd_una;
	uint32_t unsent = t->snd_end - t->snd_nxt;
	uint32_t least = unsent < t->mss ? unsent : t->mss;

	if (t->snd_wnd < flight + least && t->snd_wnd <= t->cwnd)
		return t->snd_wnd < t->max_snd_wnd / 2 ? FLIGHT_READER :
							 FLIGHT_RWND;
	if (t->cwnd < flight + least)
		return FLIGHT_CWND;
	if (t->ext && env->pace.base && wheel_is_set(&env->pace, t->ext))
		return FLIGHT_PACING;
	return FLIGHT_APP;		/* cork, Nagle: it waits for more */
}

static enum flight_limit limit_of(const struct tcp_env *env,
				  const struct tcb *t)
{
	bool flying = t->snd_una != t->snd_max;

	if ((t->flags & T_RECOVERY) || (t->retries && flying && t->snd_wnd))
		return FLIGHT_LOSS;
	if (seq_lt(t->snd_nxt, t->snd_end))
		return held_back(env, t);
	if (!flying)
		return FLIGHT_IDLE;
	return t->flags & T_WANT_SENT || snd_queued(t) >= t->snd_limit ?
	       FLIGHT_SNDBUF : FLIGHT_APP;
}

/* ---- records ---- */

static void write_event(struct flight_record *r, uint64_t now,
			enum flight_event_type type, uint32_t a, uint32_t b)
{
	struct flight_event *e = &r->event[r->events % FLIGHT_EVENTS];

	if (!++r->events)
		r->events = FLIGHT_EVENTS;	/* the same place, all used */
	e->at_us = now;
	e->type = (uint8_t)type;
	e->limit = r->limit;
	e->a = a;
	e->b = b;
}

static bool is_mine(const struct flight_record *r, uint32_t conn,
		    const struct tcb *t)
{
	return r->conn == conn && r->generation == t->user.generation;
}

/* Of another that was noted lately: its own.  Of one that needs none: no. */
static bool may_begin(const struct flight_record *r, const struct tcb *t,
		      uint64_t now, enum flight_limit limit)
{
	if (limit == FLIGHT_IDLE ||
	    (limit == FLIGHT_APP && t->snd_una - t->iss <= 1))
		return false;
	return !r->conn || r->limit == FLIGHT_IDLE ||
	       now - r->noted_us >= FLIGHT_STALE_US;
}

static void begin(struct flight_record *r, uint32_t conn, const struct tcb *t,
		  uint64_t now)
{
	memset(r, 0, offsetof(struct flight_record, pad));
	r->conn = conn;
	r->generation = t->user.generation;
	r->noted_us = r->born_us = now;
	r->epoch_ms = (uint32_t)(now / 1000);
	r->limit = FLIGHT_IDLE;
	r->retransmits = t->retransmits;
	r->cur_retransmits = r->prev_retransmits = t->retransmits;
	r->counted_una = t->snd_una;
	r->acked = r->cur_acked = r->prev_acked = t->snd_una - (t->iss + 1);
}

/* Before the sequence numbers come round again. */
static void count_acked(struct flight_record *r, const struct tcb *t)
{
	r->acked += t->snd_una - r->counted_una;
	r->counted_una = t->snd_una;
}

static uint32_t epoch_age_us(const struct flight_record *r, uint64_t now)
{
	uint32_t ms = (uint32_t)(now / 1000) - r->epoch_ms;

	return ms < UINT32_MAX / 1000 ? ms * 1000 : UINT32_MAX;
}

/* An epoch is over.  One much longer (nothing was noted) is cut to its end,
 * where one limit held: the past does not outweigh what comes now. */
static void rotate(struct flight_record *r, const struct tcb *t, uint64_t now,
		   uint64_t still_us)
{
	uint32_t tail = still_us > FLIGHT_EPOCH_US ? FLIGHT_EPOCH_US :
						     (uint32_t)still_us;
	uint64_t sum;

	for (int i = 0; i < FLIGHT_LIMITS; i++) {
		r->total_us[i] += r->cur_us[i];
		r->prev_us[i] = r->cur_us[i];
		r->cur_us[i] = 0;
	}
	if (epoch_age_us(r, now) >= 2 * FLIGHT_EPOCH_US) {
		memset(r->prev_us, 0, sizeof(r->prev_us));
		r->prev_us[r->limit] = tail;
	}
	count_acked(r, t);
	r->prev_acked = r->cur_acked;
	r->prev_retransmits = r->cur_retransmits;
	r->cur_acked = r->acked;
	r->cur_retransmits = t->retransmits;
	r->epoch_ms = (uint32_t)(now / 1000);
	sum = r->cur_acked - r->prev_acked;
	write_event(r, now, FLIGHT_EVENT_SAMPLE,
		    sum < UINT32_MAX ? (uint32_t)sum : UINT32_MAX, t->srtt_us);
}

static void charge(struct flight_record *r, const struct tcb *t, uint64_t now)
{
	uint64_t still_us = now > r->noted_us ? now - r->noted_us : 0;

	if (still_us > UINT32_MAX - r->cur_us[r->limit]) {
		r->total_us[r->limit] += still_us;
	} else {
		r->cur_us[r->limit] += (uint32_t)still_us;
	}
	r->noted_us += still_us;
	if (t->snd_una - r->counted_una >= COUNT_BYTES)
		count_acked(r, t);
	if (epoch_age_us(r, now) >= FLIGHT_EPOCH_US)
		rotate(r, t, now, still_us);
}

static void note_retransmits(struct flight_record *r, const struct tcb *t,
			     uint64_t now)
{
	uint32_t more = t->retransmits - r->retransmits;
	struct flight_event *last =
		&r->event[(uint16_t)(r->events - 1) % FLIGHT_EVENTS];

	r->retransmits = t->retransmits;
	if (r->events && last->type == FLIGHT_EVENT_RETRANSMIT &&
	    now - last->at_us < EVENT_GAP_US)
		last->a += more;
	else
		write_event(r, now, FLIGHT_EVENT_RETRANSMIT, more,
			    t->snd_una - t->iss);
}

void flight_note(struct tcp_env *env, const struct tcb *t)
{
	uint32_t conn = tcb_index(env, t);
	struct flight_record *r = &env->flight[conn & env->flight_mask];
	enum flight_limit limit, was;
	uint64_t now = env->now.us;

	if (t->state < TCP_ESTABLISHED)
		return;
	limit = limit_of(env, t);
	if (!is_mine(r, conn, t)) {
		if (!may_begin(r, t, now, limit))
			return;
		begin(r, conn, t, now);
	}
	charge(r, t, now);
	if (t->retransmits != r->retransmits)
		note_retransmits(r, t, now);
	was = (enum flight_limit)r->limit;
	if (limit == was)
		return;
	r->limit = (uint8_t)limit;
	if (!r->cur_us[limit] && (limit > FLIGHT_APP || was > FLIGHT_APP))
		write_event(r, now, FLIGHT_EVENT_LIMIT, t->cwnd, t->snd_wnd);
}

uint64_t flight_acked(const struct tcp_env *env, const struct tcb *t)
{
	uint32_t conn = tcb_index(env, t);
	const struct flight_record *r = &env->flight[conn & env->flight_mask];
	seq_t una = snd_data_una(t);

	if (!is_mine(r, conn, t) || seq_lt(una, r->counted_una))
		return una - (t->iss + 1);
	return r->acked + (una - r->counted_una);
}

/* ---- what it says ---- */

/* The limit that held longest lately; idle when nothing else was. */
static enum flight_limit longest(const struct tcp_flight *f)
{
	enum flight_limit best = FLIGHT_IDLE;
	uint64_t most = 0;

	for (int i = FLIGHT_APP; i < FLIGHT_LIMITS; i++) {
		if (f->recent_us[i] <= most)
			continue;
		most = f->recent_us[i];
		best = (enum flight_limit)i;
	}
	return best;
}

/* Our own program does not read, and the peer's window is nearly shut. */
static bool reads_slowly(const struct tcp_info *i)
{
	return i->rcv_queued > 16384 && i->rcv_wnd < i->rcv_queued / 4;
}

enum flight_verdict flight_verdict(const struct tcp_flight *f)
{
	bool far = f->info.srtt_us >= LONG_RTT_US;

	switch (longest(f)) {
	case FLIGHT_IDLE:
		return reads_slowly(&f->info) ? VERDICT_LOCAL_READER :
						VERDICT_IDLE;
	case FLIGHT_APP:
		return VERDICT_APPLICATION;
	case FLIGHT_SNDBUF:
		return far ? VERDICT_LONG_RTT : VERDICT_SEND_BUFFER;
	case FLIGHT_READER:
		return VERDICT_SLOW_READER;
	case FLIGHT_RWND:
		return far && f->max_snd_wnd >= SMALL_WINDOW ?
		       VERDICT_LONG_RTT : VERDICT_RECEIVE_WINDOW;
	case FLIGHT_CWND:
		if (f->recent_retransmits)
			return VERDICT_LOSS;
		return far ? VERDICT_LONG_RTT : VERDICT_CONGESTION_WINDOW;
	case FLIGHT_PACING:
		return VERDICT_PACING;
	case FLIGHT_LOSS:
	case FLIGHT_LIMITS:
		break;
	}
	return VERDICT_LOSS;
}

static void copy_record(const struct flight_record *r, const struct tcb *t,
			struct tcp_flight *out)
{
	uint32_t n = r->events < FLIGHT_EVENTS ? r->events : FLIGHT_EVENTS;

	out->recorded = true;
	for (int i = 0; i < FLIGHT_LIMITS; i++) {
		out->recent_us[i] = (uint64_t)r->prev_us[i] + r->cur_us[i];
		out->total_us[i] = r->total_us[i] + r->cur_us[i];
		out->window_us += out->recent_us[i];
	}
	out->recent_acked = r->acked + (t->snd_una - r->counted_una) -
			    r->prev_acked;
	out->recent_retransmits = t->retransmits - r->prev_retransmits;
	out->born_us = r->born_us;
	out->event_count = n;
	for (uint32_t i = 0; i < n; i++)
		out->event[i] = r->event[(uint16_t)(r->events - n + i) %
					 FLIGHT_EVENTS];
}

int flight_report(struct tcp_env *env, uint32_t conn, uint32_t generation,
		  struct tcp_flight *out, mono_t now)
{
	const struct flight_record *r;
	const struct tcb *t;

	memset(out, 0, sizeof(*out));
	if (!conn || conn >= env->tcbs.fresh ||
	    !tcp_conn_valid(env, conn, generation))
		return -ENOENT;
	env->now = now;
	t = tcb_at(env, conn);
	flight_note(env, t);
	tcp_describe(env, conn, &out->info);
	out->now_us = now.us;
	out->limit = (uint8_t)limit_of(env, t);
	out->max_snd_wnd = t->max_snd_wnd;
	out->snd_limit = t->snd_limit;
	out->rcv_limit = t->rcv_limit;
	out->heard_ms = now_ms(env) - t->heard_ms;
	out->moved_ms = now_ms(env) - t->moved_ms;
	r = &env->flight[conn & env->flight_mask];
	if (is_mine(r, conn, t))
		copy_record(r, t, out);
	out->verdict = (uint8_t)flight_verdict(out);
	return 0;
}
