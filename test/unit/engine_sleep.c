/* engine/sleep.c: an engine thread and a client that both sleep between any
 * two records; none is lost, and an idle engine does nothing at all. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "engine_fake.h"
#include "shm/wake.h"

#define PINGS	100000u		/* MTCPD_PINGS for more */
#define WAIT_MS	10000

struct rig {
	struct engine *e;
	struct mailbox *control;
	struct arena arena;
	uint8_t *segment;
	struct ring cmd, event;
	struct wake_shared *engine_flag, *my_flag;
	int to_engine[2], to_me[2];
};

static void send_mail(struct rig *r, struct mail *m)
{
	struct mail got = { .type = MAIL_NONE };

	m->tag = 1;
	assert_int_equal(mail_send(engine_mailbox(r->e), 1, m), 0);
	while (got.type != MAIL_DONE) {
		struct pollfd p = { .fd = mailbox_fd(r->control),
				    .events = POLLIN };

		if (!mailbox_arm(r->control))
			assert_int_equal(poll(&p, 1, WAIT_MS), 1);
		mailbox_disarm(r->control);
		while (mail_receive(r->control, &got) && got.type != MAIL_DONE)
			;
	}
	assert_int_equal(got.done.error, 0);
}

static void attach(struct rig *r)
{
	struct mail m = { .type = MAIL_CLIENT_ADD };

	m.client.slot = 1;
	m.client.slabs = 4;
	m.client.segment = r->segment;
	m.client.arena = &r->arena;
	m.client.wake_rd = r->to_engine[0];
	send_mail(r, &m);
	m = (struct mail){ .type = MAIL_CONTEXT_ADD };
	m.context.client = 1;
	m.context.rings_offset = SLAB_BYTES;
	m.context.wake_wr = r->to_me[1];
	send_mail(r, &m);
}

static void rig_open(struct rig *r, uint32_t spin_us)
{
	struct engine_config cfg = {
		.count = 1, .cpu = -1, .numa_node = -1, .spin_us = spin_us,
		.local_port_min = 20000, .local_port_max = 60000,
	};

	memset(r, 0, sizeof(*r));
	tcp_config_default(&cfg.tcp);
	cfg.tcp.max_conns = 1000;
	assert_int_equal(mailbox_open(&r->control, 1, 16), 0);
	assert_int_equal(engine_open(&r->e, &cfg, NULL, 0), 0);
	engine_connect(r->e, &r->e, r->control);
	r->segment = mmap(NULL, 4 * SLAB_BYTES, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(r->segment, MAP_FAILED);
	assert_int_equal(arena_init(&r->arena, r->segment, 4), 0);
	assert_int_equal(pipe2(r->to_engine, O_NONBLOCK), 0);
	assert_int_equal(pipe2(r->to_me, O_NONBLOCK), 0);
	ring_attach(&r->cmd, r->segment + SLAB_BYTES +
		    context_cmd_ring_offset(0), CMD_RING_SLOTS);
	ring_attach(&r->event, r->segment + SLAB_BYTES +
		    context_event_ring_offset(0), EVENT_RING_SLOTS);
	r->engine_flag = (void *)(r->segment + engine_wake_offset(0));
	r->my_flag = (void *)(r->segment + SLAB_BYTES);
	assert_int_equal(engine_start(r->e), 0);
	attach(r);
}

static void rig_close(struct rig *r)
{
	struct mail m = { .type = MAIL_STOP };

	send_mail(r, &m);
	engine_join(r->e);
	engine_close(r->e);
	mailbox_close(r->control);
	arena_fini(&r->arena);
	munmap(r->segment, 4 * SLAB_BYTES);
	for (int i = 0; i < 2; i++) {
		close(r->to_engine[i]);
		close(r->to_me[i]);
	}
}

/* A take of a socket that never was is answered at once. */
static void ping(struct rig *r, uint32_t cookie)
{
	struct cmd cmd = { .type = CMD_TAKE, .sock = handle_make(0, 5, 1),
			   .cookie = cookie };
	char one = 1;

	memcpy(ring_slot(&r->cmd), &cmd, sizeof(cmd));
	ring_publish(&r->cmd);
	if (wake_needed(r->engine_flag))
		assert_int_equal(write(r->to_engine[1], &one, 1), 1);
}

static uint32_t pong(struct rig *r)
{
	struct event ev;
	char buf[64];

	for (;;) {
		while (ring_peek(&r->event) > 0) {
			ring_copy(&r->event, 0, &ev);
			ring_release(&r->event, 1);
			if (ev.type == EVENT_ERROR)
				return ev.cookie;
		}
		wake_prepare(r->my_flag);
		if (ring_peek(&r->event) == 0) {
			struct pollfd p = { .fd = r->to_me[0],
					    .events = POLLIN };

			assert_int_equal(poll(&p, 1, WAIT_MS), 1);
		}
		wake_cancel(r->my_flag);
		while (read(r->to_me[0], buf, sizeof(buf)) > 0)
			;
		ring_room(&r->cmd, CMD_RING_SLOTS);
	}
}

static void ping_pong(struct rig *r)
{
	const char *more = getenv("MTCPD_PINGS");
	uint32_t pings = more ? (uint32_t)atoi(more) : PINGS;

	for (uint32_t i = 0; i < pings; i++) {
		ping(r, i);
		assert_int_equal(pong(r), i);
	}
}

static void both_sleep(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, 0);
	ping_pong(&r);
	assert_true(counter_get(&engine_stats(r.e)->sleeps) > 0);
	rig_close(&r);
}

static void engine_spins(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, 20);
	ping_pong(&r);
	rig_close(&r);
}

static void idle_is_idle(void **state)
{
	struct timespec half = { .tv_nsec = 500000000 };
	const struct engine_stats *s;
	struct rig r;
	uint64_t loops;

	(void)state;
	rig_open(&r, 100);
	ping(&r, 1);
	assert_int_equal(pong(&r), 1);
	s = engine_stats(r.e);
	nanosleep(&half, NULL);
	loops = counter_get(&s->loops);
	nanosleep(&half, NULL);
	assert_int_equal(counter_get(&s->loops), loops);
	ping(&r, 2);
	assert_int_equal(pong(&r), 2);
	rig_close(&r);
}

/* A client that closes its end of the pipe does not keep the engine awake. */
static void hung_up(void **state)
{
	struct timespec half = { .tv_nsec = 200000000 };
	const struct engine_stats *s;
	struct rig r;
	uint64_t loops;

	(void)state;
	rig_open(&r, 0);
	s = engine_stats(r.e);
	close(r.to_engine[1]);
	nanosleep(&half, NULL);
	loops = counter_get(&s->loops);
	nanosleep(&half, NULL);
	assert_int_equal(counter_get(&s->loops), loops);
	r.to_engine[1] = dup(r.to_me[0]);
	rig_close(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_sleep),
		cmocka_unit_test(engine_spins),
		cmocka_unit_test(idle_is_idle),
		cmocka_unit_test(hung_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
