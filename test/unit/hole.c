/* SIGBUS in a client's range is survived, and any other is not. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <event2/event.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "control/control.h"

#define BYTES	(2 * (uint64_t)SLAB_BYTES)

/* A mapping without pages behind it: what a hole is when no huge page is
 * free. */
static uint8_t *hollow(void)
{
	int fd = memfd_create("hollow", MFD_CLOEXEC);
	uint8_t *at = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
			   0);

	assert_true(at != MAP_FAILED);
	close(fd);
	return at;
}

static struct control *begin(void)
{
	struct control *c = calloc(1, sizeof(*c));

	c->base = event_base_new();
	hole_init(c);
	return c;
}

static void end(struct control *c)
{
	hole_fini();
	event_base_free(c->base);
	free(c);
}

static void client_range(void **state)
{
	struct control *c = begin();
	volatile uint8_t *at = hollow();

	(void)state;
	hole_watch(7, (uint8_t *)at, BYTES);
	assert_int_equal(at[BYTES - 1], 0);
	at[0] = 1;			/* the whole range has pages now */
	assert_int_equal(at[0], 1);
	event_base_loop(c->base, EVLOOP_NONBLOCK);	/* slot 7 is empty */
	hole_unwatch(7);
	munmap((void *)at, BYTES);
	end(c);
}

/* Which signal ends a child that touches @at (0: none). */
static int touch(volatile uint8_t *at)
{
	struct rlimit none = { 0, 0 };
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		setrlimit(RLIMIT_CORE, &none);
		_exit(at[0]);
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void other_range(void **state)
{
	struct control *c = begin();
	uint8_t *at = hollow(), *other = hollow();

	(void)state;
	hole_watch(7, at, BYTES);
	assert_int_equal(touch(at), 0);
	assert_int_equal(touch(other), SIGBUS);
	hole_unwatch(7);
	assert_int_equal(touch(at), SIGBUS);
	munmap(at, BYTES);
	munmap(other, BYTES);
	end(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(client_range),
		cmocka_unit_test(other_range),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
