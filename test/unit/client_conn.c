#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "libclient/client.h"

static void an_idle_connection_is_small(void **state)
{
	(void)state;
	assert_true(sizeof(struct conn) <= 128);
	assert_true(sizeof(struct conn) + sizeof(struct slot) <= 128);
}

static void cookie_of_the_past(void **state)
{
	struct conns t;
	uint32_t a, b, old;

	(void)state;
	conns_init(&t);
	assert_non_null(conn_new(&t, CONN_NEW, &a));
	old = conn_cookie(&t, a);
	assert_ptr_equal(conn_find(&t, old), conn_at(&t, a));
	conn_free(&t, a);
	assert_null(conn_find(&t, old));
	/* the same object again, under another name */
	assert_non_null(conn_new(&t, CONN_NEW, &b));
	assert_int_equal(a, b);
	assert_int_not_equal(conn_cookie(&t, b), old);
	assert_null(conn_find(&t, old));
	assert_null(conn_find(&t, 0x00ffffff));
	assert_null(conn_find(&t, 0xffffffff));
	conns_fini(&t);
}

static void many(void **state)
{
	enum { N = 5000 };
	static uint32_t index[N];
	struct conns t;

	(void)state;
	conns_init(&t);
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < N; i++)
			assert_non_null(conn_new(&t, CONN_OPEN, &index[i]));
		assert_int_equal(t.used, N);
		for (int i = 0; i < N; i++)
			conn_free(&t, index[i]);
	}
	assert_int_equal(t.used, 0);
	assert_int_equal(t.chunks, (N + CONN_CHUNK - 1) / CONN_CHUNK);
	conns_fini(&t);
}

static void unread_data_in_order(void **state)
{
	struct conns t;
	struct conn *c;
	struct extent *e;
	uint32_t i;

	(void)state;
	conns_init(&t);
	c = conn_new(&t, CONN_OPEN, &i);
	assert_null(rx_front(&t, c));
	assert_int_equal(rx_push(&t, c, 10, 5, 100), 0);
	assert_int_equal(rx_push(&t, c, 11, 0, 200), 0);
	assert_int_equal(rx_push(&t, c, 12, 7, 300), 0);
	assert_int_equal(c->rx_bytes, 600);
	rx_drop(&t, c, 40);
	e = rx_front(&t, c);
	assert_int_equal(e->block, 10);
	assert_int_equal(e->offset, 45);
	assert_int_equal(e->len, 60);
	e = rx_next(&t, c, e);
	assert_int_equal(e->block, 11);
	e = rx_next(&t, c, e);
	assert_int_equal(e->block, 12);
	assert_null(rx_next(&t, c, e));
	rx_drop(&t, c, 60 + 200 + 299);
	e = rx_front(&t, c);
	assert_int_equal(e->block, 12);
	assert_int_equal(e->offset, 306);
	assert_int_equal(e->len, 1);
	rx_drop(&t, c, 1);
	assert_null(rx_front(&t, c));
	assert_int_equal(c->rx_bytes, 0);
	conns_fini(&t);
}

/* Extents come back to the pool with their connection. */
static void extents_do_not_leak(void **state)
{
	struct conns t;
	uint32_t i, before = 0;

	(void)state;
	conns_init(&t);
	for (int round = 0; round < 100; round++) {
		struct conn *c = conn_new(&t, CONN_OPEN, &i);

		for (uint32_t n = 0; n < 1000; n++)
			assert_int_equal(rx_push(&t, c, n, 0, 1), 0);
		conn_free(&t, i);
		if (round == 0)
			before = t.extents;
	}
	assert_int_equal(t.extents, before);
	conns_fini(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_idle_connection_is_small),
		cmocka_unit_test(cookie_of_the_past),
		cmocka_unit_test(many),
		cmocka_unit_test(unread_data_in_order),
		cmocka_unit_test(extents_do_not_leak),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
