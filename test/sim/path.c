#include "path.h"

#include <arpa/inet.h>
#include <string.h>

#include "net/hdr.h"

#define TOKEN_UNIT	8000000ull	/* tokens of a byte: bit * 1e6 */
#define THIN_US		20000
#define OLD_US		25000000	/* older ones are beyond any MSL */

/* ---- plans ---- */

static void plan_one(struct path_plan *p, struct kit_rand *r, uint32_t mtu)
{
	switch (kit_below(r, 8)) {
	case 0:
		p->police_bps = 1000000ull << kit_below(r, 8);
		p->police_burst = 2 * (mtu + ETH_BYTES) + kit_below(r, 60000);
		break;
	case 1:
		p->ack_loss_ppm = kit_below(r, 400000);
		break;
	case 2:
		p->ack_every = 2 + kit_below(r, 6);
		break;
	case 3:
		p->shrink_ppm = kit_below(r, 100000);
		break;
	case 4:
		p->old_ppm = kit_below(r, 50000);
		break;
	case 5:
		p->no_sack = true;
		break;
	case 6:
		p->no_timestamps = true;
		p->no_scaling = kit_one_in(r, 2);
		break;
	default:
		p->mss = (uint16_t)(kit_one_in(r, 2) ? 88 :
						       64 + kit_below(r, 1400));
		break;
	}
}

void path_plan_make(struct path_plan plan[2], struct kit_rand *r, uint32_t mtu)
{
	struct path_plan *a = &plan[0], *b = &plan[1];

	for (uint32_t n = kit_below(r, 4); n > 0; n--)
		plan_one(&plan[kit_below(r, 2)], r, mtu);
	/* Who lacks an option lacks it in both SYNs: else the two disagree on
	 * what they agreed on, which no TCP can survive. */
	a->no_sack = b->no_sack |= a->no_sack;
	a->no_timestamps = b->no_timestamps |= a->no_timestamps;
	a->no_scaling = b->no_scaling |= a->no_scaling;
}

void path_print(const struct path_plan *p, int from, FILE *out)
{
	fprintf(out, "  %d > police %llu b/s burst %u, ack loss %.1f%% every %u,"
		" shrink %.1f%%, old %.1f%%, mss %u%s%s%s\n", from,
		(unsigned long long)p->police_bps, p->police_burst,
		p->ack_loss_ppm / 1e4, p->ack_every, p->shrink_ppm / 1e4,
		p->old_ppm / 1e4, p->mss, p->no_sack ? " nosack" : "",
		p->no_timestamps ? " nots" : "", p->no_scaling ? " nows" : "");
}

void path_init(struct path *p, const struct path_plan plan[2], uint64_t seed,
	       mono_t now)
{
	for (int i = 0; i < 2; i++) {
		struct path_way *w = &p->way[i];

		memset(w, 0, offsetof(struct path_way, old));
		w->plan = plan[i];
		kit_seed(&w->rand, seed * 2 + (uint64_t)i + 77);
		w->tokens = w->plan.police_burst * TOKEN_UNIT;
		w->filled = w->acked = now;
		w->old_count = w->owed = 0;
	}
	p->replaying = false;
}

/* ---- what is in a frame ---- */

struct view {
	struct hdr_ip4 *ip;
	struct hdr_tcp *tcp;
	uint8_t *opts;
	uint32_t opt_len, payload, l4_len;
};

static bool look(const struct frame *f, struct view *v)
{
	uint32_t head;

	if (f->len < ETH_BYTES + IP4_BYTES + TCP_BYTES || f->data[12] != 8 ||
	    f->data[13] != 0 || f->data[ETH_BYTES] != 0x45)
		return false;
	v->ip = (struct hdr_ip4 *)(f->data + ETH_BYTES);
	if (v->ip->proto != 6 || (ntohs(v->ip->frag) & ~IP4_DF))
		return false;
	v->tcp = (struct hdr_tcp *)(f->data + ETH_BYTES + IP4_BYTES);
	head = (uint32_t)(v->tcp->data_off >> 4) * 4;
	v->l4_len = f->len - ETH_BYTES - IP4_BYTES;
	if (head < TCP_BYTES || head > v->l4_len)
		return false;
	v->opts = (uint8_t *)v->tcp + TCP_BYTES;
	v->opt_len = head - TCP_BYTES;
	v->payload = v->l4_len - head;
	return true;
}

static bool pure_ack(const struct view *v)
{
	return !v->payload && (v->tcp->flags & TCP_ACK) &&
	       !(v->tcp->flags & (TCP_SYN | TCP_FIN | TCP_RST));
}

/* A partial sum is that of the pseudo header alone: still right. */
static void sum_again(struct frame *f, const struct view *v)
{
	struct ip_addr src = addr_from_v4(v->ip->src);
	struct ip_addr dst = addr_from_v4(v->ip->dst);

	if (f->flags & FRAME_CSUM_PARTIAL)
		return;
	v->tcp->csum = 0;
	v->tcp->csum = kit_csum(&src, &dst, (uint8_t *)v->tcp, v->l4_len);
}

/* ---- rewriting ---- */

static bool unwanted(const struct path_plan *p, uint8_t kind)
{
	return (kind == 4 && p->no_sack) || (kind == 8 && p->no_timestamps) ||
	       (kind == 3 && p->no_scaling);
}

static bool rewrite_syn(const struct path_plan *p, const struct view *v)
{
	bool changed = false;

	for (uint32_t i = 0, n; i < v->opt_len && v->opts[i]; i += n) {
		uint8_t *o = v->opts + i;

		n = o[0] == 1 ? 1 : i + 1 < v->opt_len ? o[1] : 0;
		if (n == 0 || i + n > v->opt_len)
			break;
		if (unwanted(p, o[0])) {
			memset(o, 1, n);
			changed = true;
		} else if (o[0] == 2 && n == 4 && p->mss &&
			   p->mss < (o[2] << 8 | o[3])) {
			o[2] = (uint8_t)(p->mss >> 8);
			o[3] = (uint8_t)p->mss;
			changed = true;
		}
	}
	return changed;
}

static bool shrink(struct path_way *w, const struct view *v)
{
	uint32_t wnd = ntohs(v->tcp->wnd);

	if (!w->plan.shrink_ppm || (v->tcp->flags & (TCP_SYN | TCP_RST)) ||
	    kit_below(&w->rand, 1000000) >= w->plan.shrink_ppm)
		return false;
	v->tcp->wnd = htons((uint16_t)kit_below(&w->rand, wnd + 1));
	return true;
}

/* ---- dropping ---- */

static bool policed(struct path_way *w, uint32_t len, mono_t now)
{
	uint64_t most = w->plan.police_burst * TOKEN_UNIT, need, us;

	if (!w->plan.police_bps)
		return false;
	us = (uint64_t)mono_diff_us(w->filled, now);
	us = us < 1000000 ? us : 1000000;
	w->tokens += us * w->plan.police_bps;
	w->tokens = w->tokens < most ? w->tokens : most;
	w->filled = now;
	need = len * TOKEN_UNIT;
	if (w->tokens < need)
		return true;
	w->tokens -= need;
	return false;
}

/* Thinned are only those that come in close succession. */
static bool ack_dropped(struct path_way *w, mono_t now)
{
	int64_t since_us = mono_diff_us(w->acked, now);

	if (w->plan.ack_loss_ppm &&
	    kit_below(&w->rand, 1000000) < w->plan.ack_loss_ppm)
		return true;
	if (w->plan.ack_every < 2)
		return false;
	w->acked = now;
	return since_us < THIN_US && !kit_one_in(&w->rand, w->plan.ack_every);
}

/* ---- old duplicates ---- */

/* No SYNs: where both connect, an old one rightly ends in ECONNREFUSED (RFC 9293
 * 3.10.7.4, second). */
static void keep(struct path_way *w, const struct frame *f, const struct view *v,
		 mono_t now)
{
	struct path_old *o;
	uint32_t i = w->old_count;

	if (!w->plan.old_ppm || f->len > PATH_KEPT_BYTES || f->gso_size ||
	    (v->tcp->flags & TCP_SYN))
		return;
	if (kit_below(&w->rand, 1000000) < w->plan.old_ppm)
		w->owed++;
	if (i == PATH_KEPT)
		i = kit_below(&w->rand, PATH_KEPT);
	else
		w->old_count++;
	o = &w->old[i];
	o->len = f->len;
	o->flags = f->flags;
	o->csum_start = f->csum_start;
	o->csum_offset = f->csum_offset;
	o->when = now;
	memcpy(o->bytes, f->data, f->len);
}

void path_replay(struct path *p, int from, struct port *port, mono_t now)
{
	struct path_way *w = &p->way[from];
	struct port_queue *q = port->queues[0];
	struct path_old *o;
	struct frame *f;

	for (; w->owed && w->old_count; w->owed--) {
		o = &w->old[kit_below(&w->rand, w->old_count)];
		if (mono_diff_us(o->when, now) > OLD_US ||
		    port_alloc(q, &f, 1) != 1)
			continue;
		memcpy(f->data, o->bytes, o->len);
		f->len = o->len;
		f->flags = (uint16_t)o->flags;
		f->csum_start = o->csum_start;
		f->csum_offset = o->csum_offset;
		f->gso_size = 0;
		p->replaying = true;
		port_tx(q, &f, 1, now);
		port_flush(q, now);
		p->replaying = false;
	}
}

bool path_filter(void *arg, int from, struct frame *f, mono_t now)
{
	struct path *p = arg;
	struct path_way *w = &p->way[from];
	struct view v;
	bool changed;

	if (p->replaying || !look(f, &v))
		return true;
	if (policed(w, f->len, now) || (pure_ack(&v) && ack_dropped(w, now)))
		return false;
	changed = shrink(w, &v);
	if (v.tcp->flags & TCP_SYN)
		changed |= rewrite_syn(&w->plan, &v);
	if (changed)
		sum_again(f, &v);
	keep(w, f, &v, now);
	return true;
}
