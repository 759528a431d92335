#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>

#include "libclient/client.h"

static void dense_from_zero(void **state)
{
	struct sockids t;

	(void)state;
	assert_int_equal(sockids_init(&t, 5), 0);
	for (int i = 0; i < 5; i++)
		assert_int_equal(sockid_alloc(&t, SLOT_STREAM, 0), i);
	assert_int_equal(sockid_alloc(&t, SLOT_STREAM, 0), -EMFILE);
	sockids_fini(&t);
}

static void reuse_is_fifo(void **state)
{
	struct sockids t;

	(void)state;
	assert_int_equal(sockids_init(&t, 4), 0);
	for (int i = 0; i < 4; i++)
		sockid_alloc(&t, SLOT_STREAM, 0);
	sockid_free(&t, 2);
	sockid_free(&t, 0);
	sockid_free(&t, 3);
	assert_int_equal(sockid_alloc(&t, SLOT_STREAM, 0), 2);
	assert_int_equal(sockid_alloc(&t, SLOT_STREAM, 0), 0);
	sockid_free(&t, 1);
	assert_int_equal(sockid_alloc(&t, SLOT_STREAM, 0), 3);
	assert_int_equal(sockid_alloc(&t, SLOT_STREAM, 0), 1);
	assert_int_equal(sockid_alloc(&t, SLOT_STREAM, 0), -EMFILE);
	sockids_fini(&t);
}

/* A freed id rests until all others were used. */
static void fresh_before_freed(void **state)
{
	struct sockids t;

	(void)state;
	assert_int_equal(sockids_init(&t, 3), 0);
	assert_int_equal(sockid_alloc(&t, SLOT_STREAM, 0), 0);
	sockid_free(&t, 0);
	assert_int_equal(sockid_alloc(&t, SLOT_STREAM, 0), 1);
	assert_int_equal(sockid_alloc(&t, SLOT_STREAM, 0), 2);
	assert_int_equal(sockid_alloc(&t, SLOT_STREAM, 0), 0);
	sockids_fini(&t);
}

static void bad_ids_name_nothing(void **state)
{
	struct sockids t;

	(void)state;
	assert_int_equal(sockids_init(&t, 3), 0);
	sockid_alloc(&t, SLOT_PIPE, 9);
	assert_int_equal(sockid_slot(&t, 0)->obj, 9);
	assert_null(sockid_slot(&t, 1));
	assert_null(sockid_slot(&t, -1));
	assert_null(sockid_slot(&t, 3));
	assert_null(sockid_slot(&t, 0x7fffffff));
	sockid_free(&t, 0);
	assert_null(sockid_slot(&t, 0));
	sockids_fini(&t);
}

/* An older image's ids come back, in whatever order; the others are as ever. */
static void wanted_ids(void **state)
{
	struct sockids t;

	(void)state;
	assert_int_equal(sockids_init(&t, 6), 0);
	t.wanted = 4 + 1;
	assert_int_equal(sockid_alloc(&t, SLOT_STREAM, 0), 4);
	t.wanted = 1 + 1;
	assert_int_equal(sockid_alloc(&t, SLOT_STREAM, 0), 1);
	t.wanted = 4 + 1;
	assert_int_equal(sockid_alloc(&t, SLOT_STREAM, 0), -EMFILE);
	t.wanted = 6 + 1;
	assert_int_equal(sockid_alloc(&t, SLOT_STREAM, 0), -EMFILE);
	t.wanted = 3 + 1;		/* the tail of the free ones */
	assert_int_equal(sockid_alloc(&t, SLOT_STREAM, 0), 3);
	assert_int_equal(sockid_alloc(&t, SLOT_STREAM, 0), 5);
	assert_int_equal(sockid_alloc(&t, SLOT_STREAM, 0), 0);
	sockid_free(&t, 3);
	assert_int_equal(sockid_alloc(&t, SLOT_STREAM, 0), 2);
	assert_int_equal(sockid_alloc(&t, SLOT_STREAM, 0), 3);
	assert_int_equal(sockid_alloc(&t, SLOT_STREAM, 0), -EMFILE);
	sockids_fini(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dense_from_zero),
		cmocka_unit_test(reuse_is_fifo),
		cmocka_unit_test(fresh_before_freed),
		cmocka_unit_test(bad_ids_name_nothing),
		cmocka_unit_test(wanted_ids),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
