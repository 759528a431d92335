/* engine/mailbox.c: order, full rings, bells, and no wake-up lost. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "engine/mailbox.h"

#define PINGS	200000

static void send_n(struct mailbox *m, uint32_t from, uint32_t n)
{
	struct mail mail = { .type = MAIL_DONE, .tag = n };

	assert_int_equal(mail_send(m, from, &mail), 0);
}

static void order_and_full(void **state)
{
	struct mailbox *m;
	struct mail got;

	(void)state;
	assert_int_equal(mailbox_open(&m, 0, 8), -EINVAL);
	assert_int_equal(mailbox_open(&m, 2, 7), -EINVAL);
	assert_int_equal(mailbox_open(&m, 2, 8), 0);
	assert_int_equal(mail_receive(m, &got), 0);
	for (uint32_t round = 0; round < 100; round++) {
		for (uint32_t i = 0; i < 8; i++)
			send_n(m, 1, round * 8 + i);
		assert_int_equal(mail_send(m, 1, &got), -EAGAIN);
		send_n(m, 0, 77);
		assert_int_equal(mail_receive(m, &got), 1);
		assert_int_equal(got.tag, 77);
		for (uint32_t i = 0; i < 8; i++) {
			assert_int_equal(mail_receive(m, &got), 1);
			assert_int_equal(got.tag, round * 8 + i);
		}
		assert_int_equal(mail_receive(m, &got), 0);
	}
	mailbox_close(m);
}

static void bells(void **state)
{
	struct mailbox *m;
	struct mail got;

	(void)state;
	assert_int_equal(mailbox_open(&m, 17, 8), 0);
	assert_int_equal(mailbox_arm(m), 0);
	mailbox_ring(m, 3);
	mailbox_ring(m, 15);
	send_n(m, 16, 5);
	assert_int_equal(mailbox_arm(m), 1);
	mailbox_disarm(m);
	assert_int_equal(mailbox_take_bells(m), 1u << 3 | 1u << 15);
	assert_int_equal(mailbox_take_bells(m), 0);
	assert_int_equal(mail_receive(m, &got), 1);
	assert_int_equal(got.tag, 5);
	assert_int_equal(mail_receive(m, &got), 0);
	assert_int_equal(mailbox_arm(m), 0);
	mailbox_disarm(m);
	mailbox_close(m);
}

static void names(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < DETACH_REASONS; i++)
		assert_non_null(detach_reason_name(i));
	assert_string_equal(detach_reason_name(9999), "unknown");
}

struct pair { struct mailbox *in, *out; };

/* Sleeps until there is mail; a wake-up that was lost is a time-out. */
static uint32_t wait_mail(struct mailbox *m)
{
	struct mail got;

	for (;;) {
		struct pollfd p = { .fd = mailbox_fd(m), .events = POLLIN };

		if (mail_receive(m, &got))
			return got.tag;
		if (!mailbox_arm(m))
			assert_int_equal(poll(&p, 1, 10000), 1);
		mailbox_disarm(m);
	}
}

static void *echo(void *arg)
{
	struct pair *p = arg;

	for (uint32_t i = 1; i <= PINGS; i++)
		send_n(p->out, 0, wait_mail(p->in));
	return NULL;
}

static void no_wake_lost(void **state)
{
	struct pair there, here;
	pthread_t t;

	(void)state;
	assert_int_equal(mailbox_open(&there.in, 1, 8), 0);
	assert_int_equal(mailbox_open(&there.out, 1, 8), 0);
	here = (struct pair){ there.out, there.in };
	assert_int_equal(pthread_create(&t, NULL, echo, &there), 0);
	for (uint32_t i = 1; i <= PINGS; i++) {
		send_n(here.out, 0, i);
		assert_int_equal(wait_mail(here.in), i);
	}
	pthread_join(t, NULL);
	mailbox_close(there.in);
	mailbox_close(there.out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(order_and_full),
		cmocka_unit_test(bells),
		cmocka_unit_test(names),
		cmocka_unit_test(no_wake_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
