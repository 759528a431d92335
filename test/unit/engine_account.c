/* Accounts: numbers and rates that programs on several engines share. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "engine_fake.h"

#define THREADS		4
#define ROUNDS		100000
#define MOST		7u

static struct fake_world world;
static struct engine_account account;

/* ---- threads ---- */

static _Atomic uint32_t inside, over, taken;
static pthread_barrier_t together;

static void *opens_and_closes(void *arg)
{
	uint32_t got = 0;

	pthread_barrier_wait(&together);
	for (int i = 0; i < ROUNDS; i++) {
		if (!account_open(&account))
			continue;
		got++;
		if (atomic_fetch_add(&inside, 1) + 1 > MOST)
			atomic_fetch_add(&over, 1);
		if (i % 16 == 0)	/* others find it full */
			sched_yield();
		atomic_fetch_sub(&inside, 1);
		account_close(&account);
	}
	*(uint32_t *)arg = got;
	return NULL;
}

static void *takes_tokens(void *arg)
{
	const mono_t *now = arg;

	pthread_barrier_wait(&together);
	for (int i = 0; i < ROUNDS; i++)
		if (account_connect(&account, *now))
			atomic_fetch_add(&taken, 1);
	return NULL;
}

static void run(void *(*fn)(void *), void *arg[THREADS])
{
	pthread_t t[THREADS];

	assert_int_equal(pthread_barrier_init(&together, NULL, THREADS), 0);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&t[i], NULL, fn, arg[i]), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	pthread_barrier_destroy(&together);
}

static void never_more_than_the_number(void **state)
{
	uint32_t got[THREADS] = { 0 };
	void *arg[THREADS];

	(void)state;
	account = (struct engine_account){ .connections = MOST };
	for (int i = 0; i < THREADS; i++)
		arg[i] = &got[i];
	run(opens_and_closes, arg);
	assert_int_equal(over, 0);
	assert_int_equal(account.open, 0);
	for (int i = 0; i < THREADS; i++)
		assert_true(got[i] > 0);
	for (uint32_t i = 0; i < MOST; i++)
		assert_true(account_open(&account));
	assert_false(account_open(&account));
	account.connections = MOST - 2;		/* lowered: nothing ends */
	account_close(&account);
	assert_false(account_open(&account));
	account.connections = 0;
	for (uint32_t i = 0; i < 1000; i++)
		assert_true(account_open(&account));
	assert_true(account_open(NULL));
}

static void one_bucket(void **state)
{
	mono_t now = { 5000000 };
	void *arg[THREADS] = { &now, &now, &now, &now };

	(void)state;
	account = (struct engine_account){ .connect_rate = 30000 };
	run(takes_tokens, arg);
	assert_int_equal(taken, 30000);
	now = mono_add(now, 500000);
	taken = 0;
	run(takes_tokens, arg);
	assert_int_equal(taken, 15000);
	assert_int_equal(account.connects_slowed, 2 * THREADS * ROUNDS - 45000);
	assert_true(account_accept(&account, now));
	assert_true(account_connect(NULL, now));
}

/* ---- engines ---- */

static int open_world(void **state)
{
	(void)state;
	account = (struct engine_account){ 0 };
	fake_open(&world, 2, 2);
	return 0;
}

static int close_world(void **state)
{
	(void)state;
	fake_account = NULL;
	fake_close(&world);
	return 0;
}

/* A listener of side 0 that has nothing to do with accounts. */
static struct fake_client *server(void)
{
	struct fake_client *s;

	fake_account = NULL;
	s = fake_client(&world, 0, 0);
	fake_listen(s, 0, FAKE_LISTENER, FAKE_PORT);
	return s;
}

static struct fake_client *member(int side, int i)
{
	struct fake_client *c;

	fake_account = &account;
	c = fake_client(&world, side, i);
	fake_account = NULL;
	return c;
}

static uint64_t connects(struct fake_client *c, uint32_t engine,
			 uint32_t cookie)
{
	union fake_event ev;

	fake_connect(c, 0, engine, cookie, FAKE_PORT);
	fake_expect(c, 0, EVENT_CONNECTED, cookie, &ev);
	return ev.one.sock;
}

static void is_refused(struct fake_client *c, uint32_t engine, uint32_t cookie,
		       int error)
{
	union fake_event ev;

	fake_connect(c, 0, engine, cookie, FAKE_PORT);
	fake_expect(c, 0, EVENT_ERROR, cookie, &ev);
	assert_int_equal(ev.one.error, error);
	assert_true(ev.one.sock == HANDLE_NONE);
}

static void closes(struct fake_client *c, uint64_t sock, uint32_t cookie)
{
	union fake_event ev;

	fake_simple(c, 0, sock, CMD_CLOSE, 0, cookie);
	fake_expect(c, 0, EVENT_CLOSED, cookie, &ev);
}

/* Two programs on two engines cannot have more than one program on one. */
static void programs_share_connections(void **state)
{
	struct fake_client *a, *b, *other;
	uint64_t sock;

	(void)state;
	server();
	a = member(1, 0);
	b = member(1, 1);
	other = fake_client(&world, 1, 2);
	account.connections = 3;
	connects(a, 0, 1);
	sock = connects(b, 1, 2);
	connects(b, 0, 3);
	is_refused(a, 0, 4, EMFILE);
	is_refused(b, 1, 5, EMFILE);
	assert_int_equal(account.connections_refused, 2);
	for (uint32_t i = 0; i < 8; i++)	/* notices nothing */
		connects(other, i % 2, 100 + i);
	assert_int_equal(account.open, 3);
	closes(b, sock, 2);
	assert_int_equal(account.open, 2);
	connects(a, 1, 6);
	is_refused(b, 0, 7, EMFILE);
	fake_detach(a, 1000000);	/* its death makes room */
	fake_run(&world, 100000);
	assert_int_equal(account.open, 1);
	connects(b, 0, 8);
	connects(b, 1, 9);
	fake_detach(b, 0);
	fake_run(&world, 100000);
	assert_int_equal(account.open, 0);
}

/* A connect that fails for another reason does not count. */
static void failures_do_not_count(void **state)
{
	struct fake_client *a;
	union fake_event ev;

	(void)state;
	a = member(1, 0);
	account.connections = 1;
	fake_connect(a, 0, 0, 1, 4444);		/* refused by the peer */
	fake_expect(a, 0, EVENT_ERROR, 1, &ev);
	assert_int_equal(ev.one.error, ECONNREFUSED);
	is_refused(a, 1, 2, EMFILE);	/* the socket is there until it closes */
	closes(a, ev.one.sock, 1);
	assert_int_equal(account.open, 0);
}

static void programs_share_a_rate(void **state)
{
	struct fake_client *a, *b, *other;

	(void)state;
	server();
	a = member(1, 0);
	b = member(1, 1);
	other = fake_client(&world, 1, 2);
	account.connect_rate = 2;
	connects(a, 0, 1);
	connects(b, 1, 2);
	is_refused(a, 1, 3, EAGAIN);
	is_refused(b, 0, 4, EAGAIN);
	assert_int_equal(account.connects_slowed, 2);
	for (uint32_t i = 0; i < 8; i++)
		connects(other, i % 2, 100 + i);
	fake_run(&world, 1000000);
	connects(b, 1, 5);
	assert_int_equal(account.open, 3);
}

/* Full: others wait in the queue until any of the programs lets one go. */
static void accepting_waits_for_room(void **state)
{
	struct fake_client *a, *b, *peer;
	union fake_event ev;
	uint64_t sock;

	(void)state;
	a = member(0, 0);
	b = member(0, 1);
	fake_listen(a, 0, FAKE_LISTENER, FAKE_PORT);
	fake_listen(b, 0, FAKE_LISTENER + 1, FAKE_PORT + 1);
	account.connections = 1;
	peer = fake_client(&world, 1, 0);
	for (uint32_t e = 0; e < 2; e++) {
		fake_credit(a, 0, e, FAKE_LISTENER, 1 + e);
		fake_credit(b, 0, e, FAKE_LISTENER + 1, 1 + e);
	}
	fake_connect(peer, 0, 0, 1, FAKE_PORT);
	fake_expect(peer, 0, EVENT_CONNECTED, 1, &ev);
	fake_run(&world, 1000);
	assert_int_equal(fake_event(a, 0, ~0u, &ev), EVENT_ACCEPTED);
	sock = ev.two.sock;
	fake_connect(peer, 0, 1, 2, FAKE_PORT + 1);
	fake_expect(peer, 0, EVENT_CONNECTED, 2, &ev);
	fake_run(&world, 100000);
	assert_int_equal(fake_event(b, 0, ~0u, &ev), EVENT_NONE);
	assert_int_equal(account.open, 1);
	fake_simple(a, 0, sock, CMD_CLOSE, 0, ev.one.cookie);
	fake_run(&world, 100000);
	assert_int_equal(fake_event(b, 0, ~0u, &ev), EVENT_ACCEPTED);
	assert_int_equal(account.open, 1);
}

/* What another user's program takes over counts there. */
static void it_counts_where_it_goes(void **state)
{
	static struct engine_account theirs;
	struct mail hold = { .type = MAIL_HOLD };
	struct fake_client *a, *b;
	union fake_event ev;
	uint64_t sock;

	(void)state;
	server();
	a = member(1, 0);
	fake_account = &theirs;
	b = fake_client(&world, 1, 1);
	theirs = (struct engine_account){ .connections = 1 };
	account.connections = 1;
	sock = connects(a, 0, 1);
	hold.hold.sock = sock;
	hold.hold.client = a->slot;
	hold.hold.peer = b->slot;
	fake_ask(a->d, &hold);	/* the other engine knows no such socket */
	fake_simple(b, 0, sock, CMD_TAKE, 0, 2);
	fake_expect(b, 0, EVENT_TAKEN, 2, &ev);
	assert_int_equal(account.open, 0);
	assert_int_equal(theirs.open, 1);
	is_refused(b, 0, 3, EMFILE);
	connects(a, 0, 4);
	fake_detach(b, 0);		/* back to who holds it still */
	fake_run(&world, 100000);
	assert_int_equal(theirs.open, 0);
	assert_int_equal(account.open, 2);
	is_refused(a, 1, 5, EMFILE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(never_more_than_the_number),
		cmocka_unit_test(one_bucket),
#define WORLD(f) cmocka_unit_test_setup_teardown(f, open_world, close_world)
		WORLD(programs_share_connections),
		WORLD(failures_do_not_count),
		WORLD(programs_share_a_rate),
		WORLD(accepting_waits_for_room),
		WORLD(it_counts_where_it_goes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
