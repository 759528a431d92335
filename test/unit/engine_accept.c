/* Which member of a listener gets a connection, and who hears of it later. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "engine_fake.h"

static struct fake_world world;

static int open_world(void **state)
{
	(void)state;
	fake_open(&world, 1, 1);
	return 0;
}

static int close_world(void **state)
{
	(void)state;
	fake_close(&world);
	return 0;
}

static void accept_one(struct fake_client *c, struct fake_client *s,
		       uint32_t ctx, uint32_t cookie)
{
	union fake_event ev;

	fake_connect(c, 0, 0, cookie, FAKE_PORT);
	fake_expect(s, ctx, EVENT_ACCEPTED, cookie, &ev);
}

static void asleep(struct fake_client *s, uint32_t ctx, bool yes)
{
	atomic_store(&s->ctx[ctx].wake->asleep, yes);
}

/* Who sleeps comes before who may be busy, at home and elsewhere. */
static void sleepers_first(void **state)
{
	struct fake_client *s = fake_client(&world, 0, 0), *c, *other;

	(void)state;
	other = fake_client(&world, 0, 1);
	c = fake_client(&world, 1, 0);
	fake_listen(s, 0, FAKE_LISTENER, FAKE_PORT);
	fake_listen(s, 1, FAKE_LISTENER, FAKE_PORT);
	fake_listen(other, 0, FAKE_LISTENER, FAKE_PORT);
	for (uint32_t i = 0; i < 4; i++) {
		fake_credit(s, 0, 0, FAKE_LISTENER, i);
		fake_credit(s, 1, 0, FAKE_LISTENER, 10 + i);
		fake_credit(other, 0, 0, FAKE_LISTENER, 20 + i);
	}
	fake_run(&world, 1000);
	for (uint32_t i = 0; i < 2; i++) {
		asleep(s, 1, true);
		accept_one(c, s, 1, 10 + i);
	}
	asleep(s, 0, true);
	asleep(s, 1, true);
	accept_one(c, s, 0, 0);
	asleep(s, 1, false);
	for (uint32_t i = 0; i < 4; i++) {	/* the last of the list */
		asleep(other, 0, true);
		accept_one(c, other, 0, 20 + i);
	}
	accept_one(c, s, 0, 1);
	assert_int_equal(s->bad, 0);
}

static uint32_t looks(struct fake_client *s, uint32_t ctx)
{
	return atomic_load(&s->ctx[ctx].wake->looks);
}

/* Brothers hear, 50 ms later and once, that one was given something. */
static void brothers_look(void **state)
{
	struct fake_client *s = fake_client(&world, 0, 0), *c, *other;
	struct mail del = { .type = MAIL_CONTEXT_DEL };

	(void)state;
	other = fake_client(&world, 0, 1);
	c = fake_client(&world, 1, 0);
	fake_listen_brother(s, 0, FAKE_LISTENER, FAKE_PORT);
	fake_listen_brother(other, 0, FAKE_LISTENER, FAKE_PORT);
	for (uint32_t i = 0; i < 8; i++)
		fake_credit(s, 0, 0, FAKE_LISTENER, i);
	accept_one(c, s, 0, 0);
	fake_run(&world, 200000);
	assert_int_equal(looks(s, 0), 0);	/* it has no brother */
	fake_listen_brother(s, 1, FAKE_LISTENER, FAKE_PORT);
	accept_one(c, s, 0, 1);
	fake_run(&world, 30000);
	assert_int_equal(looks(s, 0) + looks(s, 1), 0);
	accept_one(c, s, 0, 2);
	fake_run(&world, 30000);
	assert_int_equal(looks(s, 0), 1);
	assert_int_equal(looks(s, 1), 1);
	fake_run(&world, 60000);
	assert_int_equal(looks(s, 1), 2);
	fake_run(&world, 500000);
	assert_int_equal(looks(s, 1), 2);
	assert_int_equal(looks(other, 0), 0);
	accept_one(c, s, 0, 3);
	del.context.client = s->slot;
	del.context.context = 1;
	assert_int_equal(fake_ask(s->d, &del), 0);
	fake_run(&world, 500000);
	assert_int_equal(looks(s, 0), 2);
	accept_one(c, s, 0, 4);
	fake_detach(s, 0);		/* and the listener, with a look due */
	fake_detach(other, 0);
	fake_run(&world, 500000);
	assert_int_equal(counter_get(
		&engine_stats(world.d[0].e[0])->accept_looks), 3);
}

#define T(f)	cmocka_unit_test_setup_teardown(f, open_world, close_world)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(sleepers_first), T(brothers_look),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
