#include "scenario.h"

#include <string.h>

/* A number up to @max, small ones as likely as large ones. */
static uint32_t log_below(struct kit_rand *r, uint32_t max)
{
	uint32_t bits = 0, v;

	while (bits < 31 && (2u << bits) <= max)
		bits++;
	bits = kit_below(r, bits + 1);
	v = (1u << bits) + kit_below(r, 1u << bits);
	return v < max ? v : max;
}

static uint32_t pick(struct kit_rand *r, const uint32_t *values, uint32_t n)
{
	return values[kit_below(r, n)];
}
#define PICK(r, ...) \
	pick(r, (const uint32_t[]){ __VA_ARGS__ }, \
	     sizeof((const uint32_t[]){ __VA_ARGS__ }) / sizeof(uint32_t))

static void make_impair(struct kit_rand *r, struct wire_impair *im,
			uint32_t mtu)
{
	im->delay_us = 50 + (kit_one_in(r, 4) ? kit_below(r, 150000)
					      : log_below(r, 150000));
	/* that is an RTT of 0.1 to 300 ms */
	if (kit_one_in(r, 2))
		im->jitter_us = log_below(r, 20000);
	if (!kit_one_in(r, 4))
		im->loss_ppm = kit_below(r, 3) ? kit_below(r, 50000)
					       : kit_below(r, 300000);
	if (kit_one_in(r, 3))
		im->duplicate_ppm = kit_below(r, 100000);
	if (kit_one_in(r, 3)) {
		im->reorder_ppm = kit_below(r, 200000);
		im->reorder_us = log_below(r, 30000);
	}
	if (kit_one_in(r, 4))
		im->corrupt_ppm = kit_below(r, 50000);
	if (kit_one_in(r, 8)) {
		im->burst_enter_ppm = kit_below(r, 10000);
		im->burst_leave_ppm = 300000 + kit_below(r, 500000);
	}
	if (kit_one_in(r, 3)) {
		im->rate_bps = 1000000ull << kit_below(r, 16);
		if (im->rate_bps > 30000000000)
			im->rate_bps = 40000000000;
		/* a few frames, or more than anybody should have */
		im->queue_bytes = 10 * (mtu + 14) +
				  log_below(r, kit_one_in(r, 3) ? 2000000 : 200000);
	}
}

static void make_wire(struct scenario *s, struct kit_rand *r)
{
	struct wire_config *w = &s->wire;

	w->seed = kit_rand(r);
	w->mtu = PICK(r, 1500, 1500, 1500, 576, 296, 9000);
	w->frames = 2048;
	w->id[1] = 1;
	if (kit_one_in(r, 2))
		w->caps |= PORT_TX_CSUM | PORT_RX_CSUM;
	make_impair(r, &w->impair[0], w->mtu);
	make_impair(r, &w->impair[1], w->mtu);
	if (w->impair[0].corrupt_ppm || w->impair[1].corrupt_ppm)
		s->static_neigh = true;
	else if ((w->caps & PORT_TX_CSUM) && kit_one_in(r, 2))
		w->caps |= PORT_TSO;
}

static const char *const cc_names[] = { "reno", "cubic", "dctcp", "bbr" };

static void make_tcp(struct kit_rand *r, struct tcp_config *c)
{
	tcp_config_default(c);
	c->max_conns = SIM_FLOWS + 8;
	c->max_listeners = 4;
	c->max_syn = 64;
	c->max_time_wait = 64;
	c->max_extents = 4096;
	/* A fifth of all may be lost, each way: nobody may give up. */
	c->syn_retries = 30;
	c->syn_ack_retries = 15;
	c->retries = 60;
	c->fin_wait2_ms = 3600000;	/* nor an orphan */
	c->delack_ms = PICK(r, 40, 40, 100, 200);
	c->rto_min_ms = PICK(r, 200, 200, 1000);
	c->initial_cwnd = PICK(r, 10, 10, 1, 2, 40);
	c->ecn = PICK(r, TCP_ECN_OFF, TCP_ECN_ON, TCP_ECN_PASSIVE);
	c->timestamps = !kit_one_in(r, 3);
	c->sack = !kit_one_in(r, 4);
	c->window_scaling = !kit_one_in(r, 3);
	snprintf(c->cc, sizeof(c->cc), "%s", cc_names[kit_below(r, 4)]);
	c->engines = 1;
	c->random_seed = kit_rand(r);
	for (int i = 0; i < 16; i++)
		c->secret[i] = (uint8_t)kit_rand(r);
}

static bool lossy(const struct scenario *s)
{
	const struct wire_config *w = &s->wire;

	for (int i = 0; i < 2; i++)
		if (s->path[i].police_bps || s->path[i].ack_loss_ppm ||
		    s->path[i].ack_every ||
		    w->impair[i].loss_ppm > 30000 ||
		    w->impair[i].corrupt_ppm > 30000 ||
		    w->impair[i].burst_enter_ppm || w->impair[i].rate_bps)
			return true;
	return false;
}

static void make_side(struct scenario *s, struct side_plan *p,
		      struct kit_rand *r, bool long_flows)
{
	make_tcp(r, &p->tcp);
	/* Long enough that every FIN gets its ACK, however many are lost. */
	p->tcp.time_wait_ms = lossy(s) ? 600000 : 60000;
	p->mtu = s->wire.mtu;
	if (kit_one_in(r, 6))
		p->mtu = p->mtu > 576 ? 576 : 100;
	p->small = p->large = p->own_small = p->own_large = UINT32_MAX;
	if (kit_one_in(r, 4)) {		/* tiny windows */
		p->tcp.rcv_wnd_initial = 1024 + log_below(r, 8000);
		p->tcp.rcv_wnd_max = p->tcp.rcv_wnd_initial +
				     log_below(r, 20000);
	}
	if (kit_one_in(r, 4)) {
		p->small = 16 * s->flows + log_below(r, 1000);
		p->large = 16 * s->flows + log_below(r, 300);
	}
	if (kit_one_in(r, 4)) {
		p->own_small = 8 + log_below(r, 100);
		p->own_large = 8 + log_below(r, 50);
	}
	if (kit_one_in(r, 6)) {
		p->tcp.max_extents = 64 * s->flows + log_below(r, 2000);
		/* Queues that would take them all leave none to receive with. */
		p->tcp.snd_buf_initial = p->tcp.snd_buf_max = 32u << 10;
	}
	if (kit_one_in(r, 6)) {
		/* A few bytes at a time are only for short flows. */
		p->tcp.snd_buf_initial = (long_flows ? 8000 : 1) + log_below(r, 8000);
		p->tcp.snd_buf_max = p->tcp.snd_buf_initial +
				     log_below(r, 20000);
	}
	p->backlog = 32;
	if (kit_one_in(r, 6))
		p->backlog = 1 + kit_below(r, 4);
	p->accept_us = kit_one_in(r, 4) ? log_below(r, 3000000) : 0;
}

static void make_end(struct kit_rand *r, struct end_plan *p, uint32_t max_bytes)
{
	p->bytes = kit_one_in(r, 5) ? 0 : log_below(r, max_bytes);
	p->write_max = log_below(r, 8000);
	p->read_max = log_below(r, 16000);
	/* Small calls on much data would take most of the time. */
	if (p->write_max < p->bytes / 200)
		p->write_max = p->bytes / 200;
	p->think_us = kit_one_in(r, 2) ? log_below(r, 50000) : 0;
	p->pause_us = kit_one_in(r, 5) ? log_below(r, 200000000) : 0;
	p->ring_room = kit_one_in(r, 3) ? 1 + kit_below(r, 8) : 256;
	p->rcvbuf = kit_one_in(r, 6) ? 1 + log_below(r, 30000) : 0;
	p->nodelay = kit_one_in(r, 4);
	p->cork = kit_one_in(r, 10);
	p->keepalive = kit_one_in(r, 6);
	p->moves = kit_one_in(r, 6);
}

static void make_flow(struct kit_rand *r, struct flow_plan *f,
		      uint32_t max_bytes)
{
	struct end_plan *a = &f->end[0], *b = &f->end[1];

	f->open = (enum flow_open)kit_below(r, 2);
	if (kit_one_in(r, 8))
		f->open = OPEN_BOTH;
	f->rounds = kit_one_in(r, 4) ? 1 + kit_below(r, SIM_ROUNDS) : 1;
	f->start_us = kit_one_in(r, 2) ? log_below(r, 2000000) : 0;
	make_end(r, a, max_bytes);
	make_end(r, b, max_bytes);
	if (b->read_max < a->bytes / 200)
		b->read_max = a->bytes / 200;
	if (a->read_max < b->bytes / 200)
		a->read_max = b->bytes / 200;
	a->close_at_once = !b->bytes && kit_one_in(r, 2);
	b->close_at_once = !a->bytes && kit_one_in(r, 2);
	if (f->rounds == 1 && kit_one_in(r, 10)) {
		struct end_plan *p = kit_one_in(r, 2) ? a : b;

		p->abort = true;
		p->abort_after = kit_below(r, a->bytes + b->bytes + 1);
	}
}

void scenario_make(struct scenario *s, uint64_t seed)
{
	struct kit_rand r;
	uint32_t max_bytes;

	memset(s, 0, sizeof(*s));
	kit_seed(&r, seed);
	s->seed = seed;
	s->flows = kit_one_in(&r, 2) ? 1 + kit_below(&r, 3)
				     : 1 + kit_below(&r, SIM_FLOWS);
	/* Few flows may be long ones, so that windows have time to grow. */
	max_bytes = s->flows <= 3 && kit_one_in(&r, 6) ? 3000000 : 100000;
	make_wire(s, &r);
	path_plan_make(s->path, &r, s->wire.mtu);
	make_side(s, &s->side[0], &r, max_bytes > 100000);
	make_side(s, &s->side[1], &r, max_bytes > 100000);
	for (uint32_t i = 0; i < s->flows; i++)
		make_flow(&r, &s->flow[i], max_bytes);
}

/* ---- for people ---- */

static void print_impair(const struct wire_impair *im, int from, FILE *out)
{
	fprintf(out, "  %d > loss %.2f%% dup %.2f%% corrupt %.2f%% reorder %.2f%%"
		" by %u us, delay %u us + %u, rate %llu b/s, queue %u\n",
		from, im->loss_ppm / 1e4, im->duplicate_ppm / 1e4,
		im->corrupt_ppm / 1e4, im->reorder_ppm / 1e4, im->reorder_us,
		im->delay_us, im->jitter_us, (unsigned long long)im->rate_bps,
		im->queue_bytes);
}

static void print_side(const struct side_plan *p, int i, FILE *out)
{
	fprintf(out, "  side %d: %s mtu %u ts %d sack %d ws %d iw %u rcv_wnd %u..%u"
		" snd_buf %u..%u blocks %d/%d own %d/%d extents %u backlog %u\n",
		i, p->tcp.cc, p->mtu, p->tcp.timestamps, p->tcp.sack,
		p->tcp.window_scaling,
		p->tcp.initial_cwnd, p->tcp.rcv_wnd_initial, p->tcp.rcv_wnd_max,
		p->tcp.snd_buf_initial, p->tcp.snd_buf_max, (int)p->small,
		(int)p->large, (int)p->own_small, (int)p->own_large,
		p->tcp.max_extents, p->backlog);
}

static void print_end(const struct end_plan *p, FILE *out)
{
	fprintf(out, " {%u bytes, write %u read %u think %u pause %u ring %u"
		" rcvbuf %u%s%s%s%s%s", p->bytes, p->write_max, p->read_max,
		p->think_us, p->pause_us, p->ring_room, p->rcvbuf,
		p->nodelay ? " nodelay" : "", p->cork ? " cork" : "",
		p->keepalive ? " keepalive" : "", p->moves ? " moves" : "",
		p->close_at_once ? " close" : "");
	if (p->abort)
		fprintf(out, " abort after %u", p->abort_after);
	fprintf(out, "}");
}

void scenario_print(const struct scenario *s, FILE *out)
{
	fprintf(out, "seed %llu: %u flows, mtu %u, caps %x\n",
		(unsigned long long)s->seed, s->flows, s->wire.mtu,
		s->wire.caps);
	print_impair(&s->wire.impair[0], 0, out);
	print_impair(&s->wire.impair[1], 1, out);
	path_print(&s->path[0], 0, out);
	path_print(&s->path[1], 1, out);
	print_side(&s->side[0], 0, out);
	print_side(&s->side[1], 1, out);
	for (uint32_t i = 0; i < s->flows; i++) {
		fprintf(out, "  flow %u: %s, %u rounds", i,
			s->flow[i].open == OPEN_BOTH ? "both open"
			: s->flow[i].open == OPEN_FROM_0 ? "0 opens"
							 : "1 opens",
			s->flow[i].rounds);
		print_end(&s->flow[i].end[0], out);
		print_end(&s->flow[i].end[1], out);
		fprintf(out, "\n");
	}
}
