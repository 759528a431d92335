/*
 * port_shm.c - driver "wire" between two ends: lending and return of buffers,
 * steering, sleeping without a lost wake-up, restart, and scribbled rings
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "io/port.h"

#define PINGS	100000

static char path[40];
static char err[PORT_ERR_BYTES];
static const mono_t now = { 1 };

static int try_open(struct port **p, const char *end, uint16_t queues,
		    uint16_t log2)
{
	struct port_config c = { .name = "w", .driver = "wire",
				 .queues = queues, .frames_log2 = log2 };

	snprintf(c.device, sizeof(c.device), "%s:%s", path, end);
	return port_open(p, &c, end[0] == 'b', err);
}

static struct port *must_open(const char *end, uint16_t queues, uint16_t log2)
{
	struct port *p;

	if (try_open(&p, end, queues, log2))
		fail_msg("%s", err);
	return p;
}

/* An IPv4 TCP frame from 10.0.0.1:@flow with @mark behind the ports. */
static struct frame *make(struct port_queue *q, uint16_t flow, uint32_t mark,
			  uint32_t len)
{
	struct frame *f;

	if (!port_alloc(q, &f, 1))
		return NULL;
	memset(f->data, 0, len);
	memcpy(f->data + 12, "\x08\x00\x45", 3);
	f->data[23] = 6;
	memcpy(f->data + 26, "\x0a\0\0\1\x0a\0\0\2", 8);
	memcpy(f->data + 34, &flow, 2);
	memcpy(f->data + 38, &mark, 4);
	f->len = len;
	return f;
}

static void send_one(struct port_queue *q, uint16_t flow, uint32_t mark)
{
	struct frame *f = make(q, flow, mark, 60);

	assert_non_null(f);
	port_tx(q, &f, 1, now);
	port_flush(q, now);
}

static uint32_t mark_of(const struct frame *f)
{
	uint32_t mark;

	memcpy(&mark, f->data + 38, 4);
	return mark;
}

static void test_there_and_back(void **state)
{
	struct port *a = must_open("a", 1, 8), *b;
	struct port_queue *qa = a->queues[0], *qb;
	struct frame *f;

	(void)state;
	assert_false(a->ops->link_up(a));
	f = make(qa, 1, 0, 60);
	port_tx(qa, &f, 1, now);	/* nobody there */
	assert_int_equal(counter_get(&qa->stats.tx_dropped), 1);
	b = must_open("b", 1, 8);
	qb = b->queues[0];
	assert_true(a->ops->link_up(a));
	for (uint32_t i = 0; i < 3000; i++) {
		send_one(qa, 1, i);
		assert_int_equal(port_rx(qb, &f, 1, now), 1);
		assert_int_equal(mark_of(f), i);
		assert_int_equal(f->flags, FRAME_CSUM_OK);
		assert_int_equal(f->port, 1);
		port_tx(qb, &f, 1, now);	/* their buffer: copied */
		port_flush(qb, now);
		assert_int_equal(port_rx(qa, &f, 1, now), 1);
		assert_int_equal(mark_of(f), i);
		port_free(qa, &f, 1);
		port_flush(qa, now);
	}
	assert_int_equal(counter_get(&qa->stats.no_frame), 0);
	port_close(a);
	port_close(b);
	assert_int_equal(access(path, F_OK), -1);
}

static int take_all(struct port_queue *q, struct frame **f)
{
	int n = 0;

	while (port_alloc(q, &f[n], 1))
		n++;
	return n;
}

/* Every buffer comes home, in whatever order and portions it is given back. */
static void test_no_leak(void **state)
{
	struct port *a = must_open("a", 1, 8), *b = must_open("b", 1, 8);
	struct port_queue *qa = a->queues[0], *qb = b->queues[0];
	struct frame *held[256], *f[300];
	int n;

	(void)state;
	for (int round = 0; round < 50; round++) {
		n = take_all(qa, f);
		assert_int_equal(n, 256);
		port_free(qa, f, n);
		for (uint32_t i = 0; i < 256; i++)
			send_one(qa, 1, i);
		assert_null(make(qa, 1, 0, 60));
		for (n = 0; n < 256; n++)
			assert_int_equal(port_rx(qb, &held[n], 1, now), 1);
		assert_int_equal(port_rx(qb, f, 1, now), 0);
		for (n = 0; n < 256; n += 1 + round % 5) {
			int k = 256 - n < 1 + round % 5 ? 256 - n : 1 + round % 5;

			port_free(qb, held + n, k);
		}
		port_flush(qb, now);
	}
	port_close(b);
	port_close(a);
}

static void test_steering(void **state)
{
	struct port *a = must_open("a", 2, 8), *b = must_open("b", 3, 8);
	unsigned int count[3] = { 0 };
	struct frame *f;

	(void)state;
	for (uint16_t i = 0; i < 600; i++) {
		int queue = -1;

		for (int twice = 0; twice < 2; twice++) {
			send_one(a->queues[(i + twice) % 2], i, i);
			for (int j = 0; j < 3; j++) {
				if (!port_rx(b->queues[j], &f, 1, now))
					continue;
				assert_true(queue < 0 || queue == j);
				queue = j;
				assert_int_equal(mark_of(f), i);
				port_free(b->queues[j], &f, 1);
				port_flush(b->queues[j], now);
			}
		}
		assert_true(queue >= 0);
		count[queue]++;
	}
	for (int j = 0; j < 3; j++)
		assert_in_range(count[j], 120, 280);
	port_close(a);
	port_close(b);
}

static void test_arm(void **state)
{
	struct port *a = must_open("a", 1, 8), *b = must_open("b", 1, 8);
	struct port_queue *qa = a->queues[0], *qb = b->queues[0];
	struct pollfd p = { .events = POLLIN };
	struct frame *f;
	int fds[4];

	(void)state;
	send_one(qa, 1, 1);
	assert_int_equal(qb->port->ops->arm(qb, fds, 4), -EAGAIN);
	assert_int_equal(port_rx(qb, &f, 1, now), 1);
	port_free(qb, &f, 1);
	assert_int_equal(qb->port->ops->arm(qb, fds, 4), 1);
	p.fd = fds[0];
	assert_int_equal(poll(&p, 1, 0), 0);
	send_one(qa, 1, 2);
	send_one(qa, 1, 3);
	assert_int_equal(poll(&p, 1, 1000), 1);
	assert_int_equal(counter_get(&qa->stats.syscalls), 1);
	for (uint32_t i = 2; i < 4; i++) {
		assert_int_equal(port_rx(qb, &f, 1, now), 1);
		assert_int_equal(mark_of(f), i);
		port_free(qb, &f, 1);
	}
	assert_int_equal(qb->port->ops->arm(qb, fds, 4), 1);
	assert_int_equal(poll(&p, 1, 0), 0);
	port_close(a);
	port_close(b);
}

static uint32_t wait_mark(struct port_queue *q, unsigned int *late)
{
	struct pollfd p = { .events = POLLIN };
	struct frame *f;
	uint32_t mark;
	int fd;

	while (!port_rx(q, &f, 1, now)) {
		if (q->port->ops->arm(q, &fd, 1) == -EAGAIN)
			continue;
		p.fd = fd;
		*late += poll(&p, 1, 2000) == 0;
	}
	mark = mark_of(f);
	port_free(q, &f, 1);
	return mark;
}

static void *answer_pings(void *arg)
{
	static unsigned int late;
	struct port_queue *q = arg;

	for (uint32_t i = 0; i < PINGS; i++)
		send_one(q, 1, wait_mark(q, &late) + 1);
	return &late;
}

/* Both ends sleep between: a lost wake-up shows as a poll() that timed out. */
static void test_ping_pong(void **state)
{
	struct port *a = must_open("a", 1, 8), *b = must_open("b", 1, 8);
	unsigned int late = 0;
	void *their_late;
	pthread_t t;

	(void)state;
	assert_int_equal(pthread_create(&t, NULL, answer_pings, b->queues[0]), 0);
	for (uint32_t i = 0; i < PINGS; i++) {
		send_one(a->queues[0], 1, i);
		assert_int_equal(wait_mark(a->queues[0], &late), i + 1);
	}
	pthread_join(t, &their_late);
	assert_int_equal(late + *(unsigned int *)their_late, 0);
	port_close(a);
	port_close(b);
}

static void test_ends_and_options(void **state)
{
	struct port *a = must_open("a", 1, 8), *p;

	(void)state;
	assert_int_equal(try_open(&p, "a", 1, 8), -EBUSY);
	assert_non_null(strstr(err, "in use"));
	assert_int_equal(try_open(&p, "b", 1, 9), -EINVAL);
	assert_non_null(strstr(err, "other options"));
	assert_int_equal(try_open(&p, "b,tso", 1, 8), -EINVAL);
	assert_int_equal(try_open(&p, "c", 1, 8), -EINVAL);
	assert_int_equal(try_open(&p, "b,fast", 1, 8), -EINVAL);
	assert_int_equal(try_open(&p, "bb", 1, 8), -EINVAL);
	p = must_open("b", 4, 8);
	port_close(p);
	p = must_open("b", 2, 8);
	port_close(a);
	port_close(p);
}

/* End b dies without a word while frames are under way both ways. */
static void test_restart(void **state)
{
	struct port *a = must_open("a", 1, 8), *b;
	struct port_queue *qa = a->queues[0];
	struct frame *f;
	int n = 0, pid = fork();

	(void)state;
	if (!pid) {
		b = must_open("b", 1, 8);
		for (uint32_t i = 0; i < 40; i++)
			send_one(b->queues[0], 1, 7);
		_exit(0);
	}
	assert_true(pid > 0);
	while (!a->ops->link_up(a))
		usleep(1000);
	usleep(100000);
	for (uint32_t i = 0; i < 40; i++)
		send_one(qa, 1, i);
	b = must_open("b", 1, 8);
	/* what the dead had sent is void, what it had not read is there */
	assert_int_equal(port_rx(qa, &f, 1, now), 0);
	while (port_rx(b->queues[0], &f, 1, now)) {
		port_free(b->queues[0], &f, 1);
		n++;
	}
	assert_int_equal(n, 40);
	port_flush(b->queues[0], now);
	for (uint32_t i = 0; i < 1000; i++) {
		send_one(qa, 1, i);
		assert_int_equal(port_rx(b->queues[0], &f, 1, now), 1);
		port_free(b->queues[0], &f, 1);
		port_flush(b->queues[0], now);
	}
	port_close(a);
	port_close(b);
}

static void test_checksum_and_tso(void **state)
{
	struct port *a = must_open("a,nocsum,tso", 1, 8);
	struct port *b = must_open("b,nocsum,tso", 1, 8);
	struct port_queue *qa = a->queues[0], *qb = b->queues[0];
	struct frame *f = make(qa, 1, 5, 64), *big[2];

	(void)state;
	assert_int_equal(a->caps, PORT_TSO);
	assert_int_equal(a->tso_max_bytes, 65535);
	port_tx(qa, &f, 1, now);
	assert_int_equal(port_rx(qb, &f, 1, now), 1);
	assert_int_equal(f->flags, 0);
	port_free(qb, &f, 1);
	assert_int_equal(port_alloc(qa, big, 2), 2);
	for (int i = 0; i < 2; i++) {
		memset(big[i]->data, 0, 65000);
		big[i]->len = 65000;
		big[i]->gso_size = (uint16_t)(i ? 1448 : 0);
	}
	port_tx(qa, big, 2, now);	/* uncut needs gso_size */
	assert_int_equal(counter_get(&qa->stats.tx_dropped), 1);
	assert_int_equal(port_rx(qb, &f, 1, now), 1);
	assert_int_equal(f->len, 65000);
	port_close(a);
	port_close(b);
}

/* Garbage in rings and counts: dropped and counted, nothing is touched. */
static void test_scribble(void **state)
{
	struct port *a = must_open("a", 1, 8), *b = must_open("b", 1, 8);
	struct port_queue *qa = a->queues[0], *qb = b->queues[0];
	const size_t bytes = 4u << 20;
	int fd = open(path, O_RDWR);
	uint32_t *m = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	struct frame *f[PORT_BURST];
	uint64_t x = 88172645463325252ull;

	(void)state;
	assert_true(m != MAP_FAILED);
	for (int round = 0; round < 300; round++) {
		for (size_t i = 1024; i < bytes / 4; i++) {
			x ^= x << 13, x ^= x >> 7, x ^= x << 17;
			if (x % 97 == 0)
				m[i] = x & 1 ? (uint32_t)(x >> 32)
					     : (uint32_t)(x >> 40) % 300;
		}
		for (int k = 0; k < 8; k++) {
			int n = port_rx(qb, f, PORT_BURST, now);

			for (int i = 0; i < n; i++)
				f[i]->data[f[i]->len - 1] = 1;
			port_free(qb, f, n);
			f[0] = make(qa, 1, 0, 60);
			if (f[0])
				port_tx(qa, f, 1, now);
			port_flush(qa, now);
			port_flush(qb, now);
		}
	}
	munmap(m, bytes);
	close(fd);
	port_close(a);
	port_close(b);
}

static void test_registry(void **state)
{
	struct port_config c = { .name = "x", .driver = "psi", .queues = 1,
				 .device = "d" };
	struct port *p;

	(void)state;
	assert_int_equal(port_open(&p, &c, 0, err), -ENOENT);
	assert_non_null(strstr(err, port_driver_names()));
	for (const char *n = "xdp\0tap\0wire\0"; *n; n += strlen(n) + 1) {
		assert_non_null(port_driver(n));
		assert_non_null(strstr(port_driver_names(), n));
	}
	assert_null(port_driver(""));
	strcpy(c.driver, "wire");
	c.queues = 17;
	assert_int_equal(port_open(&p, &c, 0, err), -EINVAL);
	c.queues = 1;
	c.frames_log2 = 21;
	assert_int_equal(port_open(&p, &c, 0, err), -EINVAL);
	c.frames_log2 = 0;
	c.device[0] = '\0';
	assert_int_equal(port_open(&p, &c, 0, err), -EINVAL);
	strcpy(c.driver, "xdp");
	strcpy(c.device, "no-such-dev");
	assert_int_equal(port_open(&p, &c, 0, err), -ENODEV);
	assert_non_null(strstr(err, "no-such-dev"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_there_and_back),
		cmocka_unit_test(test_no_leak),
		cmocka_unit_test(test_steering),
		cmocka_unit_test(test_arm),
		cmocka_unit_test(test_ping_pong),
		cmocka_unit_test(test_ends_and_options),
		cmocka_unit_test(test_restart),
		cmocka_unit_test(test_checksum_and_tso),
		cmocka_unit_test(test_scribble),
		cmocka_unit_test(test_registry),
	};

	snprintf(path, sizeof(path), "/dev/shm/mtcpd-unit-%d", (int)getpid());
	return cmocka_run_group_tests(tests, NULL, NULL);
}
