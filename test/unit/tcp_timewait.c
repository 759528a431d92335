/* tcp/tcp_timewait.c: bounds, expiry, answers and who may reuse a tuple. */
#include "tcp_kit.h"

#include <errno.h>

#define RECORDS	8u
#define WAIT_MS	2000u

#define SND	5000u	/* our last sequence number, and the peer's */
#define RCV	7000u
#define TS	100000u

static void open_kit(struct kit *k, uint32_t records)
{
	struct tcp_config c = kit_config();

	c.max_time_wait = records;
	c.time_wait_ms = WAIT_MS;
	kit_open(k, &c, 1);
}

static void pass_ms(struct kit *k, uint32_t ms)
{
	k->env->now.us += (uint64_t)ms * 1000;
}

/* A connection that both ends closed, ours first; its tcb is gone then. */
static void enter(struct kit *k, uint16_t port, uint32_t flags)
{
	struct flow_tuple tuple = kit_tuple(port, 80);
	uint32_t conn = conn_new(k->env, &tuple, flow_hash(k->env, &tuple));
	struct tcb *t = tcb_at(k->env, conn);

	assert_int_not_equal(conn, 0);
	t->iss = SND - 100;
	t->snd_una = t->snd_nxt = t->snd_max = SND;
	t->snd_end = SND - 1;
	t->rcv_nxt = t->rcv_wup = RCV;
	t->rcv_read = t->rcv_told = RCV - 1;
	t->rcv_adv = RCV + 1000;
	t->rcv_wscale = 2;
	t->ts_recent = TS;
	t->flags |= T_FIN_QUEUED | T_FIN_RCVD | flags;
	tcp_state_set(t, TCP_DO_ACCEPT);
	tcp_state_set(t, TCP_DO_CLOSE);
	tcp_state_set(t, TCP_DO_FIN_ACKED);
	tcp_state_set(t, TCP_DO_FIN);
	timewait_enter(k->env, t);
	assert_int_equal(counter_get(&k->env->stats.conns), 0);
	tcp_check(k->env);
}

/* Record of the peer's @port, 0: none. */
static uint32_t record(const struct kit *k, uint16_t port)
{
	struct flow_tuple tuple = kit_tuple(port, 80);
	uint32_t ref = flow_find(k->env, &tuple, flow_hash(k->env, &tuple));

	assert_true(ref == 0 || flow_kind(ref) == FLOW_TIME_WAIT);
	return flow_index(ref);
}

/* true: a newer SYN, and the record is gone. */
static bool segment(struct kit *k, uint16_t port, struct seg s, seq_t *after)
{
	struct flow_tuple tuple = kit_tuple(port, 80);
	bool newer = timewait_in(k->env, record(k, port),
				 flow_hash(k->env, &tuple), &s, after);

	tcp_check(k->env);
	return newer;
}

static uint32_t replies(struct kit *k, struct tcp_tx *last)
{
	uint32_t n = 0;

	while (tcp_next_reply(k->env, last))
		n++;
	return n;
}

static void listen_on_80(struct kit *k)
{
	struct tcp_listen l = { .port = htons(80), .backlog = 4, .tag = 1,
				.addr = addr_from_v4(0) };

	assert_true(tcp_listen(k->env, &l) > 0);
}

static void test_enter(void **state)
{
	struct tcp_tx tx;
	struct kit k;
	struct tw_rec *w;

	(void)state;
	open_kit(&k, RECORDS);
	enter(&k, 1, T_ACK_NOW | T_TS);
	w = tw_at(k.env, record(&k, 1));
	assert_int_equal(w->snd_nxt, SND);
	assert_int_equal(w->rcv_nxt, RCV);
	assert_int_equal(w->ts_recent, TS);
	assert_int_equal(w->has_ts, 1);
	assert_int_equal(w->wnd, 250);
	assert_int_equal(counter_get(&k.env->stats.time_wait), 1);
	assert_int_equal(replies(&k, &tx), 1);	/* the FIN's ACK */
	assert_int_equal(tx.flags, TCP_ACK);
	assert_int_equal(tx.seq, SND);
	assert_int_equal(tx.ack, RCV);
	assert_int_equal(tx.wnd, 250);
	assert_int_equal(tx.opt_len, OPT_TS_BYTES);
	enter(&k, 2, 0);			/* owes nothing */
	assert_int_equal(replies(&k, &tx), 0);
	kit_close(&k);
}

/* The application still holds it: the tcb stays, out of the table. */
static void test_held(void **state)
{
	struct flow_tuple tuple = kit_tuple(1, 80);
	struct kit k;
	struct tcb *t;

	(void)state;
	open_kit(&k, RECORDS);
	t = tcb_at(k.env, conn_new(k.env, &tuple, flow_hash(k.env, &tuple)));
	t->flags |= T_KNOWN;
	tcp_state_set(t, TCP_DO_ACCEPT);
	tcp_state_set(t, TCP_DO_CLOSE);
	tcp_state_set(t, TCP_DO_FIN_ACKED);
	tcp_state_set(t, TCP_DO_FIN);
	timewait_enter(k.env, t);
	tcp_check(k.env);
	assert_int_equal(t->state, TCP_TIME_WAIT);
	assert_int_not_equal(record(&k, 1), 0);
	assert_int_equal(tcp_next_dirty(k.env), tcb_index(k.env, t));
	tcp_detach(k.env, tcb_index(k.env, t));
	assert_int_equal(counter_get(&k.env->stats.conns), 0);
	assert_int_not_equal(record(&k, 1), 0);
	kit_close(&k);
}

/* No more than there are; the oldest goes early, and is counted. */
static void test_bound(void **state)
{
	struct kit k;

	(void)state;
	open_kit(&k, RECORDS);
	for (uint16_t port = 1; port <= RECORDS + 5; port++) {
		enter(&k, port, 0);
		pass_ms(&k, 1);
		assert_true(k.env->tws.used <= RECORDS);
	}
	assert_int_equal(counter_get(&k.env->stats.time_wait_evicted), 5);
	assert_int_equal(counter_get(&k.env->stats.time_wait), RECORDS);
	for (uint16_t port = 1; port <= RECORDS + 5; port++)
		assert_int_equal(record(&k, port) != 0, port > 5);
	kit_close(&k);
}

/* A bound of none: connections end at once. */
static void test_none(void **state)
{
	struct kit k;

	(void)state;
	open_kit(&k, 0);
	enter(&k, 1, T_ACK_NOW);
	assert_int_equal(record(&k, 1), 0);
	assert_true(tcp_is_empty(k.env));
	kit_close(&k);
}

static void test_expiry(void **state)
{
	struct kit k;

	(void)state;
	open_kit(&k, RECORDS);
	for (uint16_t port = 1; port <= RECORDS; port++) {
		enter(&k, port, 0);
		pass_ms(&k, 100);
	}
	assert_false(timewait_advance(k.env, 100));
	assert_int_equal(k.env->tws.used, RECORDS);
	pass_ms(&k, WAIT_MS - 100 * RECORDS - 2);
	assert_false(timewait_advance(k.env, 100));
	assert_int_not_equal(record(&k, 1), 0);		/* not early */
	pass_ms(&k, 4);
	assert_false(timewait_advance(k.env, 100));
	assert_int_equal(record(&k, 1), 0);		/* nor late */
	assert_int_not_equal(record(&k, 2), 0);
	pass_ms(&k, WAIT_MS);
	assert_true(timewait_advance(k.env, 3));	/* more is due */
	assert_int_equal(k.env->tws.used, RECORDS - 4);
	assert_false(timewait_advance(k.env, 100));
	assert_true(tcp_is_empty(k.env));
	tcp_check(k.env);
	kit_close(&k);
}

/* Across the wrap of the 32-bit milliseconds. */
static void test_expiry_wraps(void **state)
{
	struct kit k;

	(void)state;
	open_kit(&k, RECORDS);
	k.env->now.us = (UINT64_C(1) << 32) * 1000 - 1000000;
	enter(&k, 1, 0);
	pass_ms(&k, WAIT_MS - 2);
	timewait_advance(k.env, 100);
	assert_int_not_equal(record(&k, 1), 0);
	pass_ms(&k, 4);
	timewait_advance(k.env, 100);
	assert_int_equal(record(&k, 1), 0);
	kit_close(&k);
}

/* RFC 9293 3.10.7.4, eighth: the peer's FIN again restarts the 2 MSL. */
static void test_fin_again(void **state)
{
	struct seg fin = { .seq = RCV - 1, .ack = SND,
			   .flags = TCP_FIN | TCP_ACK };
	struct tcp_tx tx;
	struct kit k;
	seq_t after;

	(void)state;
	open_kit(&k, RECORDS);
	enter(&k, 1, 0);
	enter(&k, 2, 0);
	pass_ms(&k, WAIT_MS - 500);
	assert_false(segment(&k, 1, fin, &after));
	assert_int_equal(replies(&k, &tx), 1);
	assert_int_equal(tx.ack, RCV);
	assert_int_equal(tx.seq, SND);
	pass_ms(&k, 600);
	timewait_advance(k.env, 100);
	assert_int_not_equal(record(&k, 1), 0);
	assert_int_equal(record(&k, 2), 0);
	pass_ms(&k, WAIT_MS);
	timewait_advance(k.env, 100);
	assert_true(tcp_is_empty(k.env));
	kit_close(&k);
}

static void test_answers(void **state)
{
	static const struct { struct seg s; uint32_t answers; } c[] = {
		/* RFC 1337: no assassination */
		{ { .seq = RCV, .flags = TCP_RST }, 0 },
		{ { .seq = RCV, .ack = SND, .flags = TCP_RST | TCP_ACK }, 0 },
		{ { .seq = RCV + 3, .flags = TCP_RST }, 0 },
		{ { .seq = RCV - 3, .len = 2, .flags = TCP_RST }, 0 },
		/* nothing to say, else two ends would talk for ever */
		{ { .seq = RCV, .ack = SND, .flags = TCP_ACK }, 0 },
		{ { .seq = RCV - 5, .ack = SND, .flags = TCP_ACK }, 1 },
		{ { .seq = RCV - 9, .len = 8, .flags = TCP_ACK }, 1 },
		{ { .seq = RCV, .len = 8, .flags = TCP_ACK }, 1 },
		/* a FIN that is another */
		{ { .seq = RCV + 4, .flags = TCP_FIN | TCP_ACK }, 1 },
		/* SYN-ACK is no new connection */
		{ { .seq = RCV + 4, .flags = TCP_SYN | TCP_ACK }, 1 },
	};
	struct tcp_tx tx;
	struct kit k;
	seq_t after;

	(void)state;
	open_kit(&k, RECORDS);
	listen_on_80(&k);
	enter(&k, 1, 0);
	for (size_t i = 0; i < sizeof(c) / sizeof(c[0]); i++) {
		assert_false(segment(&k, 1, c[i].s, &after));
		assert_int_equal(replies(&k, &tx), c[i].answers);
		assert_int_not_equal(record(&k, 1), 0);
	}
	kit_close(&k);
}

/* RFC 1122 4.2.2.13 and RFC 6191 2: timestamps say, else numbers. */
static void test_peer_reuses(void **state)
{
	static const struct {
		bool had_ts, has_ts, newer;
		int seq, ts;		/* relative to RCV and TS */
	} c[] = {
		{ false, false, true, 1, 0 },
		{ false, false, true, 1 << 30, 0 },
		{ false, false, false, 0, 0 },
		{ false, false, false, -1, 0 },
		{ false, false, false, -(1 << 30), 0 },
		{ true, true, true, -1000, 1 },
		{ true, true, true, 1, 0 },
		{ true, true, false, 0, 0 },
		{ true, true, false, 1000, -1 },
		{ true, false, true, 1, -9 },
		{ true, false, false, -1, 9 },
		{ false, true, true, 1, 9 },
		{ false, true, false, -1, 9 },
	};
	struct tcp_tx tx;
	struct kit k;

	(void)state;
	open_kit(&k, RECORDS);
	listen_on_80(&k);
	for (uint16_t i = 0; i < sizeof(c) / sizeof(c[0]); i++) {
		struct seg s = { .seq = RCV + (seq_t)c[i].seq,
				 .flags = TCP_SYN, .wnd = 1000 };
		seq_t after = 0;

		s.opt.has = c[i].has_ts ? OPT_TS : 0;
		s.opt.tsval = TS + (uint32_t)c[i].ts;
		enter(&k, (uint16_t)(100 + i), c[i].had_ts ? T_TS : 0);
		assert_int_equal(segment(&k, (uint16_t)(100 + i), s, &after),
				 c[i].newer);
		assert_int_equal(record(&k, (uint16_t)(100 + i)) == 0,
				 c[i].newer);
		if (c[i].newer)
			assert_int_equal(after, SND);
		assert_int_equal(replies(&k, &tx), !c[i].newer);
	}
	kit_close(&k);
}

/* Nobody listens: the record stays and answers. */
static void test_syn_without_listener(void **state)
{
	struct seg s = { .seq = RCV + 1, .flags = TCP_SYN };
	struct tcp_tx tx;
	struct kit k;
	seq_t after;

	(void)state;
	open_kit(&k, RECORDS);
	enter(&k, 1, 0);
	assert_false(segment(&k, 1, s, &after));
	assert_int_not_equal(record(&k, 1), 0);
	assert_int_equal(replies(&k, &tx), 1);
	kit_close(&k);
}

static int connect_again(struct kit *k, uint16_t port)
{
	struct flow_tuple t = kit_tuple(port, 80);
	struct tcp_connect c = { .local = t.local, .remote = t.remote,
				 .lport = t.lport, .rport = t.rport };

	return tcp_connect(k->env, &c, k->env->now);
}

static bool is_free(const struct kit *k, uint16_t port, uint32_t in_ms)
{
	struct flow_tuple t = kit_tuple(port, 80);

	return tcp_tuple_free(k->env, &t.local, t.lport, &t.remote, t.rport,
			      mono_add(k->env->now, (uint64_t)in_ms * 1000));
}

/* Our own connects: with timestamps, after their clock has ticked. */
static void test_we_reuse(void **state)
{
	struct kit k;
	int conn;

	(void)state;
	open_kit(&k, RECORDS);
	enter(&k, 1, T_TS);
	enter(&k, 2, 0);
	assert_true(is_free(&k, 3, 0));
	assert_false(is_free(&k, 1, 0) || is_free(&k, 1, 900));
	assert_true(is_free(&k, 1, 1100));	/* told the time */
	assert_false(is_free(&k, 2, 1100));
	assert_int_equal(connect_again(&k, 1), -EADDRINUSE);
	pass_ms(&k, 1100);
	assert_int_equal(connect_again(&k, 2), -EADDRINUSE);
	conn = connect_again(&k, 1);
	assert_true(conn > 0);
	assert_int_equal(counter_get(&k.env->stats.time_wait_reused), 1);
	assert_false(is_free(&k, 1, 5000));	/* it is a connection now */
	tcp_check(k.env);
	kit_close(&k);
}

/* The new ISN lies beyond what the old connection used, always. */
static void test_iss_is_beyond(void **state)
{
	struct kit k;

	(void)state;
	open_kit(&k, RECORDS);
	for (uint16_t port = 1; port < 200; port++) {
		uint32_t rec;
		seq_t used = (seq_t)kit_random(&k);
		int conn;

		enter(&k, port, T_TS);
		rec = record(&k, port);
		tw_at(k.env, rec)->snd_nxt = used;
		pass_ms(&k, 1100);
		conn = connect_again(&k, port);
		assert_true(conn > 0);
		assert_true(seq_gt(tcb_at(k.env, (uint32_t)conn)->iss, used));
		tcp_detach(k.env, (uint32_t)conn);
		assert_int_equal(tcp_next_dirty(k.env), 0);
		tcp_check(k.env);
	}
	kit_close(&k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_enter),
		cmocka_unit_test(test_held),
		cmocka_unit_test(test_bound),
		cmocka_unit_test(test_none),
		cmocka_unit_test(test_expiry),
		cmocka_unit_test(test_expiry_wraps),
		cmocka_unit_test(test_fin_again),
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_peer_reuses),
		cmocka_unit_test(test_syn_without_listener),
		cmocka_unit_test(test_we_reuse),
		cmocka_unit_test(test_iss_is_beyond),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
