#include <arpa/inet.h>
#include <jansson.h>
#include <stdio.h>

#include "control/admin.h"

static void put(json_t *to, const char *name, uint64_t n)
{
	json_object_set_new(to, name, json_integer((json_int_t)n));
}

static json_t *by_limit(const uint64_t us[FLIGHT_LIMITS])
{
	json_t *out = json_object();

	for (uint32_t i = 0; i < FLIGHT_LIMITS; i++)
		put(out, flight_limit_name(i), us[i]);
	return out;
}

static json_t *events(const struct tcp_flight *f)
{
	static const char *const names[FLIGHT_EVENT_TYPES][2] = {
		[FLIGHT_EVENT_LIMIT] = { "cwnd", "snd_wnd" },
		[FLIGHT_EVENT_RETRANSMIT] = { "segments", "at" },
		[FLIGHT_EVENT_SAMPLE] = { "acked", "srtt_us" },
	};
	json_t *all = json_array();

	for (uint32_t i = 0; i < f->event_count; i++) {
		const struct flight_event *e = &f->event[i];
		json_t *one = json_object();

		put(one, "ago_us", f->now_us - e->at_us);
		json_object_set_new(one, "event",
				    json_string(flight_event_name(e->type)));
		json_object_set_new(one, "limit",
				    json_string(flight_limit_name(e->limit)));
		put(one, names[e->type][0], e->a);
		put(one, names[e->type][1], e->b);
		json_array_append_new(all, one);
	}
	return all;
}

static void put_conn(json_t *to, const struct tcp_info *i)
{
	char text[ADDR_TEXT_BYTES];

	json_object_set_new(to, "state", json_string(tcp_state_name(i->state)));
	json_object_set_new(to, "local", json_string(addr_text(&i->local, text)));
	put(to, "lport", ntohs(i->lport));
	json_object_set_new(to, "remote",
			    json_string(addr_text(&i->remote, text)));
	put(to, "rport", ntohs(i->rport));
	put(to, "client", i->client);
	put(to, "send_q", i->snd_queued);
	put(to, "unsent", i->snd_unsent);
	put(to, "recv_q", i->rcv_queued);
	put(to, "cwnd", i->cwnd);
	put(to, "ssthresh", i->ssthresh);
	put(to, "snd_wnd", i->snd_wnd);
	put(to, "rcv_wnd", i->rcv_wnd);
	put(to, "srtt_us", i->srtt_us);
	put(to, "rttvar_us", i->rttvar_us);
	put(to, "rto_us", i->rto_us);
	put(to, "mss", i->mss);
	put(to, "retransmits", i->retransmits);
	json_object_set_new(to, "cc", json_string(i->cc));
}

static void reported(struct admin *a, const struct op *op)
{
	const struct tcp_flight *f = &a->slice.flight;
	json_t *out;

	if (op->error) {
		admin_error(a, "there is no such connection any more");
		return;
	}
	out = json_object();
	json_object_set_new(out, "id", json_sprintf("%u/%u/%u", a->engine,
		f->info.conn, f->info.generation));
	put_conn(out, &f->info);
	json_object_set_new(out, "verdict",
			    json_string(flight_verdict_name(f->verdict)));
	json_object_set_new(out, "limit",
			    json_string(flight_limit_name(f->limit)));
	json_object_set_new(out, "recorded", json_boolean(f->recorded));
	put(out, "recorded_us", f->recorded ? f->now_us - f->born_us : 0);
	put(out, "window_us", f->window_us);
	json_object_set_new(out, "recent_us", by_limit(f->recent_us));
	json_object_set_new(out, "total_us", by_limit(f->total_us));
	put(out, "recent_acked", f->recent_acked);
	put(out, "recent_retransmits", f->recent_retransmits);
	put(out, "max_snd_wnd", f->max_snd_wnd);
	put(out, "snd_limit", f->snd_limit);
	put(out, "rcv_limit", f->rcv_limit);
	put(out, "heard_ms", f->heard_ms);
	put(out, "moved_ms", f->moved_ms);
	json_object_set_new(out, "events", events(f));
	admin_data(a, "why", out);
}

void admin_flight(struct admin *a, const json_t *request)
{
	const char *id = json_string_value(json_object_get(request, "id"));
	struct mail m = { .type = MAIL_FLIGHT };
	uint32_t engine;
	char more;

	if (!id || sscanf(id, "%u/%u/%u%c", &engine, &m.flight.conn,
			  &m.flight.generation, &more) != 3) {
		admin_error(a, "why: \"id\" is ENGINE/NUMBER/GENERATION, as "
			    "conns tells it");
		return;
	}
	if (engine >= a->control->engine_count) {
		admin_error(a, "there is no engine %u", engine);
		return;
	}
	m.flight.out = &a->slice.flight;
	a->engine = engine;
	admin_ask(a, engine, &m, reported);
}
