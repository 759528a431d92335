/* tcp/tcp_xmit.c against a map of bytes: whatever is sent, reported, lost, sent
 * again and acknowledged, the records say of each byte what the map does. */
#include "tcp_kit.h"

#include "tcp/tcp_rack.h"
#include "tcp/tcp_sack.h"
#include "tcp/tcp_xmit.h"

#define STREAM	200000u
#define WINDOW	15000u	/* in flight at most */
#define MSS	1000u
#define STEPS	3000
#define SEEDS	12u

enum fate { UNSENT, FLYING, SACKED, LOST, ACKED };

struct model {
	struct kit k;
	struct tcb *t;
	seq_t base;			/* number of the stream's first byte */
	uint8_t fate[STREAM];
	uint8_t again[STREAM];		/* sent more than once */
	uint32_t sent[STREAM];		/* when, last */
	uint32_t una, nxt;		/* from base */
	uint32_t most_xmits;
};

static void model_open(struct model *m, uint64_t seed)
{
	struct tcp_config c = kit_config();
	struct flow_tuple tuple = kit_tuple(1000, 80);
	struct tcb *t;
	uint32_t conn;

	memset(m, 0, sizeof(*m));
	kit_open(&m->k, &c, seed);
	conn = conn_new(m->k.env, &tuple, flow_hash(m->k.env, &tuple));
	t = m->t = tcb_at(m->k.env, conn);
	tcp_state_set(t, TCP_DO_ACCEPT);
	m->base = 0xffffffff - kit_below(&m->k, STREAM);
	t->iss = m->base - 1;
	t->snd_una = t->snd_nxt = t->snd_max = m->base;
	t->snd_end = m->base + STREAM;
	t->mss = MSS;
	t->cwnd = WINDOW;
	t->sack = 1;
	t->max_snd_wnd = WINDOW;
	conn_ext(m->k.env, t);
}

static void model_close(struct model *m)
{
	xmit_free(m->k.env, &ext_of(m->k.env, m->t)->sent);
	assert_int_equal(m->k.env->xmits.used, 0);
	kit_close(&m->k);
}

static struct xmit *record(const struct model *m, uint32_t i)
{
	return pool_at(&m->k.env->xmits, i);
}

static struct xmit_board *board(const struct model *m)
{
	return &ext_of(m->k.env, m->t)->sent;
}

/* ---- what must agree ---- */

static void check_record(const struct model *m, const struct xmit *r)
{
	enum fate is = (r->flags & XMIT_SACKED) ? SACKED :
		       (r->flags & XMIT_LOST) ? LOST : FLYING;

	assert_true(seq_lt(r->seq, r->end));
	for (uint32_t i = r->seq - m->base; i != r->end - m->base; i++) {
		assert_int_equal(m->fate[i], is);
		if (is == FLYING) {
			assert_int_equal(r->sent_us, m->sent[i]);
			assert_int_equal((r->flags & XMIT_AGAIN) != 0,
					 m->again[i]);
		}
	}
}

static uint32_t check_times(const struct model *m)
{
	uint32_t n = 0, before = 0, us = 0;

	for (uint32_t i = board(m)->first; i; i = record(m, i)->later) {
		const struct xmit *r = record(m, i);

		assert_int_equal(r->sooner, before);
		assert_false(r->flags & (XMIT_SACKED | XMIT_LOST));
		assert_true(n == 0 || (int32_t)(r->sent_us - us) >= 0);
		us = r->sent_us;
		before = i;
		n++;
	}
	assert_int_equal(board(m)->last, before);
	return n;
}

static void check(const struct model *m)
{
	const struct xmit_board *b = board(m);
	uint32_t sacked = 0, lost = 0, flying = 0, count = 0, last = 0;
	uint32_t again = 0;
	seq_t at = m->t->snd_una;
	bool first_lost = true;

	for (uint32_t i = b->head; i; i = record(m, i)->next) {
		const struct xmit *r = record(m, i);

		assert_int_equal(r->seq, at);
		check_record(m, r);
		at = r->end;
		sacked += r->flags & XMIT_SACKED ? r->end - r->seq : 0;
		lost += r->flags & XMIT_LOST ? r->end - r->seq : 0;
		if (!(r->flags & (XMIT_SACKED | XMIT_LOST))) {
			flying++;
			again += r->flags & XMIT_AGAIN ? r->end - r->seq : 0;
		}
		if ((r->flags & XMIT_LOST) && first_lost && b->hint) {
			assert_true(seq_leq(record(m, b->hint)->seq, r->seq));
			first_lost = false;
		}
		last = i;
		count++;
	}
	assert_int_equal(b->tail, last);
	assert_int_equal(m->k.env->xmits.used, count);
	if (!b->head)			/* a lone segment has none */
		return;
	assert_int_equal(at, m->t->snd_nxt);
	assert_int_equal(b->sacked, sacked);
	assert_int_equal(b->lost, lost);
	assert_int_equal(b->again, again);
	assert_int_equal(check_times(m), flying);
}

/* ---- what happens ---- */

static void do_send(struct model *m)
{
	uint32_t len = 1 + kit_below(&m->k, 3 * MSS / 2);

	if (m->nxt - m->una + len > WINDOW || m->nxt + len > STREAM)
		return;
	xmit_sent(m->k.env, m->t, m->base + m->nxt, m->base + m->nxt + len);
	m->t->flags |= m->nxt == m->una ? T_TIMING : 0;
	if (m->nxt == m->una) {
		m->t->rtt_seq = m->t->snd_nxt;
		m->t->rtt_us = (uint32_t)m->k.env->now.us;
	}
	for (uint32_t i = m->nxt; i < m->nxt + len; i++) {
		m->fate[i] = FLYING;
		m->sent[i] = (uint32_t)m->k.env->now.us;
	}
	m->nxt += len;
	m->t->snd_nxt = m->t->snd_max = m->base + m->nxt;
}

static uint32_t somewhere(struct model *m)
{
	return m->una + kit_below(&m->k, m->nxt - m->una + 1);
}

/* Of a record only whole segments are SACKED, from its begin on. */
static uint32_t model_sack(struct model *m, uint32_t a, uint32_t b)
{
	uint32_t fresh = 0;

	for (uint32_t i = board(m)->head; i; i = record(m, i)->next) {
		const struct xmit *r = record(m, i);
		uint32_t from = r->seq - m->base, end = r->end - m->base;
		uint32_t left = a > from ? (a - from + MSS - 1) / MSS * MSS : 0;
		uint32_t right = b < end ? (b > from ? b - from : 0) / MSS * MSS :
					   end - from;

		if (r->flags & XMIT_SACKED)
			continue;
		for (uint32_t at = from + left; at < from + right; at++) {
			m->fate[at] = SACKED;
			fresh++;
		}
	}
	return fresh;
}

static void do_sack(struct model *m)
{
	uint32_t a = somewhere(m), b = somewhere(m), fresh;
	struct xmit_news n = { 0 };

	if (a == b || !xmit_ready(m->k.env, m->t))
		return;
	if (a > b) {
		uint32_t swap = a;

		a = b;
		b = swap;
	}
	fresh = model_sack(m, a, b);
	xmit_sacked(m->k.env, m->t, m->base + a, m->base + b, &n);
	assert_int_equal(n.delivered, fresh);
}

static void do_ack(struct model *m)
{
	uint32_t to = m->una + kit_below(&m->k, (m->nxt - m->una) / 3 + 2);
	uint32_t fresh = 0;
	struct xmit_news n = { 0 };

	if (to == m->una || to > m->nxt || !xmit_ready(m->k.env, m->t))
		return;
	for (uint32_t i = m->una; i < to; i++) {
		fresh += m->fate[i] != SACKED;
		m->fate[i] = ACKED;
	}
	xmit_acked(m->k.env, m->t, m->base + to, &n);
	m->una = to;
	m->t->snd_una = m->base + to;
	m->t->flags &= ~T_TIMING;
	assert_int_equal(n.delivered, fresh);
}

static void mark(struct model *m, const struct xmit *r, enum fate f)
{
	for (uint32_t i = r->seq - m->base; i != r->end - m->base; i++)
		m->fate[i] = (uint8_t)f;
}

/* One that is in flight, any of them, is taken for lost. */
static void do_lose(struct model *m)
{
	uint32_t i = board(m)->first, skip = kit_below(&m->k, 8);

	while (i && skip--)
		i = record(m, i)->later;
	if (!i)
		return;
	mark(m, record(m, i), LOST);
	xmit_lost(m->k.env, m->t, i);
	xmit_lost(m->k.env, m->t, i);		/* twice is once */
}

static void do_lose_all(struct model *m)
{
	bool reneged = kit_below(&m->k, 3) == 0;

	if (!board(m)->head)
		return;
	for (uint32_t i = m->una; i < m->nxt; i++)
		if (m->fate[i] == FLYING || (reneged && m->fate[i] == SACKED))
			m->fate[i] = LOST;
	xmit_lose_all(m->k.env, m->t, reneged);
}

static void do_unlose(struct model *m)
{
	for (uint32_t i = m->una; i < m->nxt; i++) {
		if (m->fate[i] != LOST)
			continue;
		m->fate[i] = FLYING;
		m->sent[i] = (uint32_t)m->k.env->now.us;
	}
	xmit_unlose(m->k.env, m->t);
}

/* The lowest lost byte is the one that is sent again, in a segment at most. */
static void do_resend(struct model *m)
{
	uint32_t i = xmit_next_lost(m->k.env, m->t), low = m->una;
	struct xmit *r;

	while (low < m->nxt && m->fate[low] != LOST)
		low++;
	assert_int_equal(i != 0, low < m->nxt);
	if (!i)
		return;
	r = record(m, i);
	assert_int_equal(r->seq - m->base, low);
	if (r->end - r->seq > MSS)
		assert_true(xmit_split(m->k.env, m->t, i, r->seq + MSS));
	mark(m, r, FLYING);
	for (uint32_t b = r->seq - m->base; b != r->end - m->base; b++) {
		m->again[b] = 1;
		m->sent[b] = (uint32_t)m->k.env->now.us;
	}
	xmit_resent(m->k.env, m->t, i);
}

/* What was reneged on has no part in `again`: a record that was SACKED and is
 * lost now may join bytes that were and were not sent again. */
static void forget_again(struct model *m)
{
	for (uint32_t i = board(m)->head; i; i = record(m, i)->next) {
		const struct xmit *r = record(m, i);

		for (uint32_t b = r->seq - m->base; b != r->end - m->base; b++)
			m->again[b] = (r->flags & XMIT_AGAIN) != 0;
	}
}

static void step(struct model *m)
{
	switch (kit_below(&m->k, 20)) {
	case 0: case 1: case 2: case 3: case 4: case 5:
		do_send(m);
		break;
	case 6: case 7: case 8: case 9: case 10:
		do_sack(m);
		break;
	case 11: case 12:
		do_ack(m);
		break;
	case 13: case 14:
		do_lose(m);
		break;
	case 15:
		if (kit_below(&m->k, 4) == 0) {
			do_lose_all(m);
			forget_again(m);
		}
		break;
	case 16:
		if (kit_below(&m->k, 4) == 0)
			do_unlose(m);
		break;
	default:
		do_resend(m);
		break;
	}
	m->k.env->now.us += kit_below(&m->k, 500);
}

static void random_walk(void **state)
{
	static struct model m;

	(void)state;
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		model_open(&m, seed);
		for (int i = 0; i < STEPS && m.una < STREAM; i++) {
			step(&m);
			check(&m);
			if (m.k.env->xmits.used > m.most_xmits)
				m.most_xmits = m.k.env->xmits.used;
		}
		assert_true(m.most_xmits > 8);	/* it was about something */
		model_close(&m);
	}
}

/* ---- the scoreboard: what blocks of an ACK are believed ---- */

static void sack_one(struct model *m, seq_t left, seq_t right, seq_t ack,
		     struct sack_dup *d)
{
	struct seg s = { .ack = ack };
	struct xmit_news n = { 0 };

	s.opt.has = OPT_SACK;
	s.opt.sack_count = 1;
	s.opt.sack[0].left = left;
	s.opt.sack[0].right = right;
	assert_true(xmit_ready(m->k.env, m->t));
	sack_take(m->k.env, m->t, &s, &n, d);
	check(m);
}

static void send_whole(struct model *m, uint32_t segments)
{
	for (uint32_t i = 0; i < segments; i++) {
		seq_t seq = m->base + m->nxt;

		xmit_sent(m->k.env, m->t, seq, seq + MSS);
		memset(m->fate + m->nxt, FLYING, MSS);
		for (uint32_t b = m->nxt; b < m->nxt + MSS; b++)
			m->sent[b] = (uint32_t)m->k.env->now.us;
		m->nxt += MSS;
		m->t->snd_nxt = m->t->snd_max = m->base + m->nxt;
	}
}

static void believed(void **state)
{
	static struct model m;
	struct sack_dup d = { 0 };
	uint64_t bad;

	(void)state;
	model_open(&m, 7);
	send_whole(&m, 6);
	bad = counter_get(&m.k.env->stats.sacks_bad);
	/* of tomorrow, empty, turned round, of long ago */
	sack_one(&m, m.base + 5000, m.base + 6001, m.base, &d);
	sack_one(&m, m.base + 2000, m.base + 2000, m.base, &d);
	sack_one(&m, m.base + 3000, m.base + 2000, m.base, &d);
	sack_one(&m, m.base - WINDOW - 1, m.base + 1000, m.base, &d);
	assert_int_equal(counter_get(&m.k.env->stats.sacks_bad), bad + 4);
	assert_int_equal(board(&m)->sacked, 0);
	/* what is less than a segment is none */
	sack_one(&m, m.base + 2001, m.base + 3000, m.base, &d);
	sack_one(&m, m.base + 2000, m.base + 2999, m.base, &d);
	sack_one(&m, m.base + 2500, m.base + 3500, m.base, &d);
	assert_int_equal(board(&m)->sacked, 0);
	memset(m.fate + 2000, SACKED, 1000);
	sack_one(&m, m.base + 2000, m.base + 3500, m.base, &d);
	assert_int_equal(board(&m)->sacked, 1000);
	assert_int_equal(d.left, d.right);	/* no duplicate so far */
	/* below the ACK: a duplicate (RFC 2883 4), and nothing is SACKED by it */
	sack_one(&m, m.base - 1000, m.base, m.base, &d);
	assert_int_equal(d.left, m.base - 1000);
	assert_int_equal(board(&m)->sacked, 1000);
	model_close(&m);
}

/* ---- what a peer can ask of us with an ACK ---- */

static void send_small(struct model *m, uint32_t segments, uint32_t len)
{
	m->t->mss = (uint16_t)len;
	for (uint32_t i = 0; i < segments; i++) {
		seq_t seq = m->base + m->nxt;

		xmit_sent(m->k.env, m->t, seq, seq + len);
		m->nxt += len;
		m->t->snd_nxt = m->t->snd_max = m->base + m->nxt;
	}
}

/* A block far away is looked for over some ACKs, each of bounded work, whatever
 * else they report. */
static void bounded(void **state)
{
	static struct model m;
	struct xmit_news n;
	uint32_t acks = 0;

	(void)state;
	model_open(&m, 9);
	send_small(&m, 1500, 10);
	assert_int_equal(m.k.env->xmits.used, 1500);
	while (board(&m)->sacked == 0 && acks < 100) {
		n = (struct xmit_news){ 0 };
		xmit_sacked(m.k.env, m.t, m.base + 14000, m.base + 14010, &n);
		assert_in_range(n.steps, 0, 512);
		acks++;
	}
	assert_in_range(acks, 2, 4);
	/* found before: at once */
	n = (struct xmit_news){ 0 };
	xmit_sacked(m.k.env, m.t, m.base + 14000, m.base + 14010, &n);
	xmit_sacked(m.k.env, m.t, m.base + 14000, m.base + 14020, &n);
	assert_in_range(n.steps, 0, 8);
	for (uint32_t i = 0; i < 500; i++) {	/* to and fro */
		seq_t at = m.base + (i & 1 ? 14000 - 20 * i : 20 * i);

		n = (struct xmit_news){ 0 };
		xmit_sacked(m.k.env, m.t, at, at + 10, &n);
		assert_in_range(n.steps, 0, 512);
	}
	m.t->snd_una = m.t->snd_nxt;
	model_close(&m);
}

/* A connection leaves as many records as it has. */
static void shared(void **state)
{
	static struct model m;
	uint32_t all;

	(void)state;
	model_open(&m, 10);
	all = m.k.env->xmits.count - 1;
	send_small(&m, 4 * all, 10);
	assert_in_range(m.k.env->xmits.used, all / 2 - 1, all / 2 + 2);
	assert_int_equal(m.t->sack, 1);
	assert_int_equal(record(&m, board(&m)->tail)->end, m.t->snd_nxt);
	/* what must go again may be cut, a report may not */
	xmit_sacked(m.k.env, m.t, m.t->snd_nxt - 100, m.t->snd_nxt - 50,
		    &(struct xmit_news){ 0 });
	assert_int_equal(board(&m)->sacked, 0);
	assert_true(xmit_split(m.k.env, m.t, board(&m)->tail,
			       m.t->snd_nxt - 10));
	/* and where nothing can grow, new data gets one */
	xmit_lost(m.k.env, m.t, board(&m)->tail);
	send_small(&m, 1, 10);
	assert_int_equal(m.t->sack, 1);
	m.t->snd_una = m.t->snd_nxt;
	model_close(&m);
}

/* Neighbours that are reported one by one are one record in the end. */
static void joined(void **state)
{
	static struct model m;
	static const uint32_t order[] = { 1, 3, 5, 2, 4 };
	struct sack_dup d = { 0 };

	(void)state;
	model_open(&m, 8);
	send_whole(&m, 8);
	for (uint32_t i = 0; i < 5; i++) {
		uint32_t at = order[i] * MSS;

		memset(m.fate + at, SACKED, MSS);
		sack_one(&m, m.base + at, m.base + at + MSS, m.base, &d);
	}
	assert_int_equal(m.k.env->xmits.used, 4);	/* 0, 1-5, 6, 7 */
	model_close(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_walk),
		cmocka_unit_test(believed),
		cmocka_unit_test(bounded),
		cmocka_unit_test(shared),
		cmocka_unit_test(joined),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
