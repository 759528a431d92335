/* Sockets against a daemon of paper: what goes into the rings and what comes
 * of what is in them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "client_kit.h"

static struct fake f;
static mctx_t m;

static int begin(void **state)
{
	(void)state;
	m = kit_begin(&f);
	return 0;
}

static int end(void **state)
{
	(void)state;
	kit_end(&f, m);
	return 0;
}

static struct sockaddr_in address(const char *ip, uint16_t port)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
				 .sin_port = htons(port) };

	inet_pton(AF_INET, ip, &a.sin_addr);
	return a;
}

static void progress(void)
{
	ctx_progress(m);
}

/* A connected socket with blocks; *@cookie and the handle 0x0100000100000005. */
#define SOCK	handle_make(1, 1, 5)

static int connected(uint32_t *cookie, uint32_t limit)
{
	int s = kit_connect(m);

	*cookie = kit_cookie(m, s);
	fake_grant(&f, 0, 1, BLOCK_SMALL, 12);
	fake_grant(&f, 0, 1, BLOCK_LARGE, 12);
	kit_connected(&f, m, s, SOCK, limit);
	return s;
}

static void connect_and_close(void **state)
{
	struct sockaddr_in a = address("10.0.0.2", 80), name;
	socklen_t len = sizeof(name);
	struct event closed = { .type = EVENT_CLOSED };
	uint32_t cookie;
	union fake_cmd c;
	int s = connected(&cookie, 1000);

	(void)state;
	assert_int_equal(mtcp_connect(m, s, (struct sockaddr *)&a, sizeof(a)),
			 -1);
	assert_int_equal(errno, EISCONN);
	assert_int_equal(mtcp_getsockname(m, s, (struct sockaddr *)&name, &len),
			 0);
	assert_int_equal(name.sin_port, htons(1234));
	assert_int_equal(name.sin_addr.s_addr, inet_addr("10.0.0.1"));
	assert_int_equal(mtcp_getpeername(m, s, (struct sockaddr *)&name, &len),
			 0);
	assert_int_equal(name.sin_addr.s_addr, inet_addr("10.0.0.2"));
	assert_int_equal(mtcp_close(m, s), 0);
	assert_true(fake_find(&f, 0, 1, CMD_CLOSE, &c));
	assert_int_equal(c.one.sock, SOCK);
	assert_int_equal(c.one.cookie, cookie);
	assert_int_equal(c.one.flags, 0);
	assert_int_equal(mtcp_close(m, s), -1);
	assert_int_equal(errno, EBADF);
	/* the cookie names it until the engine says closed */
	assert_non_null(conn_find(&m->conns, cookie));
	closed.cookie = cookie;
	closed.sock = SOCK;
	fake_event(&f, 0, 1, &closed);
	progress();
	assert_null(conn_find(&m->conns, cookie));
	assert_int_equal(m->conns.used, 0);
}

/* No handle yet: closed by cookie; or refused with nothing to close. */
static void close_while_connecting(void **state)
{
	struct sockaddr_in a = address("10.0.0.2", 80);
	struct event ev = { .type = EVENT_ERROR };
	union fake_cmd c;
	int s;

	(void)state;
	for (int refused = 0; refused < 2; refused++) {
		s = mtcp_socket(m, AF_INET, SOCK_STREAM, 0);
		mtcp_connect(m, s, (struct sockaddr *)&a, sizeof(a));
		mtcp_close(m, s);
		assert_true(fake_find(&f, 0, 1, CMD_CLOSE, &c));
		assert_int_equal(c.one.sock, HANDLE_NONE);
		ev.type = refused ? EVENT_ERROR : EVENT_CLOSED;
		ev.cookie = c.one.cookie;
		ev.error = ENETUNREACH;
		fake_event(&f, 0, 1, &ev);
		progress();
		assert_int_equal(m->conns.used, 0);
	}
}

static void refused_connect(void **state)
{
	struct sockaddr_in a = address("10.0.0.2", 80);
	struct event ev = { .type = EVENT_ERROR };
	union fake_cmd c;
	int s = mtcp_socket(m, AF_INET, SOCK_STREAM, 0), error = 0;
	socklen_t len = sizeof(error);
	char byte;

	(void)state;
	mtcp_connect(m, s, (struct sockaddr *)&a, sizeof(a));
	assert_true(fake_find(&f, 0, 1, CMD_CONNECT, &c));
	ev.cookie = c.connect.cookie;
	ev.error = ECONNREFUSED;
	ev.sock = SOCK;
	fake_event(&f, 0, 1, &ev);
	assert_int_equal(mtcp_read(m, s, &byte, 1), -1);
	assert_int_equal(errno, ECONNREFUSED);
	assert_int_equal(mtcp_getsockopt(m, s, SOL_SOCKET, SO_ERROR, &error,
					 &len), 0);
	assert_int_equal(error, ECONNREFUSED);
	assert_int_equal(mtcp_getsockopt(m, s, SOL_SOCKET, SO_ERROR, &error,
					 &len), 0);
	assert_int_equal(error, 0);
	mtcp_close(m, s);
	assert_true(fake_find(&f, 0, 1, CMD_CLOSE, &c));
	assert_int_equal(c.one.sock, SOCK);
	ev.type = EVENT_CLOSED;
	fake_event(&f, 0, 1, &ev);
	progress();
	assert_int_equal(m->conns.used, 0);
}

/* A bound port goes to the engine of its hash, or where that one points. */
static void bound_port(void **state)
{
	struct sockaddr_in from = address("10.0.0.1", 5555);
	struct sockaddr_in to = address("10.0.0.2", 80);
	struct event ev = { .type = EVENT_ERROR };
	union fake_cmd c;
	uint32_t e, hash;
	int s = mtcp_socket(m, AF_INET, SOCK_STREAM, 0);

	(void)state;
	hash = rss_hash_v4(&m->at->rss, to.sin_addr.s_addr,
			   from.sin_addr.s_addr, to.sin_port, from.sin_port);
	e = rss_engine(hash, FAKE_ENGINES);
	assert_int_equal(mtcp_bind(m, s, (struct sockaddr *)&from,
				   sizeof(from)), 0);
	assert_int_equal(mtcp_bind(m, s, (struct sockaddr *)&from,
				   sizeof(from)), -1);
	mtcp_connect(m, s, (struct sockaddr *)&to, sizeof(to));
	assert_true(fake_find(&f, 0, e, CMD_CONNECT, &c));
	assert_int_equal(c.connect.flags, CMD_F_BOUND);
	assert_int_equal(c.connect.local_port, htons(5555));
	ev.cookie = c.connect.cookie;
	ev.error = EXDEV;
	ev.limit = 1 - e;
	fake_event(&f, 0, e, &ev);
	progress();
	assert_true(fake_find(&f, 0, 1 - e, CMD_CONNECT, &c));
	assert_int_equal(c.connect.cookie, ev.cookie);
	/* one that points to itself is an error, not a loop */
	fake_event(&f, 0, 1 - e, &(struct event){ .type = EVENT_ERROR,
		.cookie = ev.cookie, .error = EXDEV, .limit = 1 - e });
	progress();
	assert_false(fake_find(&f, 0, 1 - e, CMD_CONNECT, &c));
	mtcp_close(m, s);
	assert_int_equal(m->conns.used, 0);
}

static void source_addresses_in_turn(void **state)
{
	struct sockaddr_in to = address("10.0.0.2", 80);
	union fake_cmd c;

	(void)state;
	assert_int_equal(mtcp_init_rss(m, inet_addr("10.0.0.254"), 3,
				       to.sin_addr.s_addr, to.sin_port), 0);
	for (uint32_t i = 0; i < 7; i++) {
		int s = mtcp_socket(m, AF_INET, SOCK_STREAM, 0);

		mtcp_connect(m, s, (struct sockaddr *)&to, sizeof(to));
		assert_true(fake_find(&f, 0, 1, CMD_CONNECT, &c));
		assert_int_equal(ntohl(addr_v4(c.connect.local_addr)),
				 0x0a0000fe + i % 3);
		mtcp_close(m, s);
	}
}

static void accept_by_credit(void **state)
{
	struct sockaddr_in a = address("0.0.0.0", 80), peer;
	socklen_t len = sizeof(peer);
	struct event_socket ev = { .type = EVENT_ACCEPTED, .limit = 4096 };
	uint32_t cookies[2 * CREDIT_MAX], n = 0;
	union fake_cmd c;
	int s = mtcp_socket(m, AF_INET, SOCK_STREAM, 0), id;

	(void)state;
	mtcp_bind(m, s, (struct sockaddr *)&a, sizeof(a));
	assert_int_equal(mtcp_listen(m, s, 1000), 0);
	assert_int_equal(mtcp_accept(m, s, NULL, NULL), -1);
	assert_int_equal(errno, EAGAIN);
	for (uint32_t e = 0; e < FAKE_ENGINES; e++)
		while (fake_find(&f, 0, e, CMD_CREDIT, &c)) {
			assert_int_equal(c.one.sock, f.listener_id);
			for (uint32_t i = 0; i < c.one.cookie; i++)
				cookies[n++] = c.one.credit.cookies[i];
		}
	assert_int_equal(n, 2 * CREDIT_MAX);
	ev.cookie = cookies[CREDIT_MAX];		/* engine 1's first */
	ev.sock = SOCK;
	addr_from_v4(ev.remote_addr, inet_addr("10.0.0.9"));
	ev.remote_port = htons(999);
	fake_socket_event(&f, 0, 1, &ev);
	fake_data(&f, 0, 1, ev.cookie, SOCK, "early", 5);
	id = mtcp_accept(m, s, (struct sockaddr *)&peer, &len);
	assert_int_equal(id, 1);
	assert_int_equal(peer.sin_port, htons(999));
	assert_int_equal(peer.sin_addr.s_addr, inet_addr("10.0.0.9"));
	{
		char buf[8];

		assert_int_equal(mtcp_read(m, id, buf, sizeof(buf)), 5);
		assert_memory_equal(buf, "early", 5);
	}
	/* credit is topped up in whole records */
	assert_false(fake_find(&f, 0, 1, CMD_CREDIT, &c));
	for (uint32_t i = 1; i < CMD_CREDIT_COOKIES; i++) {
		ev.cookie = cookies[CREDIT_MAX + i];
		ev.sock = handle_make(1, 1, 100 + i);
		fake_socket_event(&f, 0, 1, &ev);
		assert_true(mtcp_accept(m, s, NULL, NULL) > 0);
	}
	assert_true(fake_find(&f, 0, 1, CMD_CREDIT, &c));
	assert_int_equal(c.one.cookie, CMD_CREDIT_COOKIES);

	/* closing: nobody took this one; that one comes too late */
	ev.cookie = cookies[CREDIT_MAX + 10];
	ev.sock = handle_make(1, 1, 200);
	fake_socket_event(&f, 0, 1, &ev);
	assert_int_equal(mtcp_close(m, s), 0);
	assert_int_equal(f.unlistens, 1);
	assert_true(fake_find(&f, 0, 1, CMD_CLOSE, &c));
	assert_int_equal(c.one.sock, ev.sock);
	assert_int_equal(c.one.flags, CMD_F_ABORT | CMD_F_BACK);
	ev.cookie = cookies[CREDIT_MAX + 11];
	ev.sock = handle_make(1, 1, 201);
	fake_socket_event(&f, 0, 1, &ev);
	progress();
	assert_true(fake_find(&f, 0, 1, CMD_CLOSE, &c));
	assert_int_equal(c.one.sock, ev.sock);
	/* 4 accepted ones, and the one that waits for EVENT_CLOSED */
	assert_int_equal(m->conns.used, 5);
}

static void listen_twice(void **state)
{
	struct sockaddr_in a = address("0.0.0.0", 80);
	int s = mtcp_socket(m, AF_INET, SOCK_STREAM, 0);
	int t = mtcp_socket(m, AF_INET, SOCK_STREAM, 0);
	mctx_t other = mtcp_create_context(0);

	(void)state;
	mtcp_bind(m, s, (struct sockaddr *)&a, sizeof(a));
	mtcp_bind(m, t, (struct sockaddr *)&a, sizeof(a));
	assert_int_equal(mtcp_listen(m, s, 10), 0);
	assert_int_equal(mtcp_listen(m, t, 10), -1);
	assert_int_equal(errno, EADDRINUSE);
	/* the same port in another context is the same listener */
	t = mtcp_socket(other, AF_INET, SOCK_STREAM, 0);
	mtcp_bind(other, t, (struct sockaddr *)&a, sizeof(a));
	assert_int_equal(mtcp_listen(other, t, 10), 0);
	assert_int_equal(f.listens, 2);
	mtcp_close(m, s);
	/* what the daemon refuses is told */
	s = mtcp_socket(m, AF_INET, SOCK_STREAM, 0);
	mtcp_bind(m, s, (struct sockaddr *)&a, sizeof(a));
	f.listen_error = EACCES;
	assert_int_equal(mtcp_listen(m, s, 10), -1);
	assert_int_equal(errno, EACCES);
	assert_int_equal(mtcp_listen(m, s, 10), 0);
	mtcp_destroy_context(other);
	assert_int_equal(mtcp_socket(other, AF_INET, SOCK_STREAM, 0), -1);
	assert_int_equal(errno, EPERM);
}

static void reading(void **state)
{
	uint32_t cookie;
	int s = connected(&cookie, 1000), n = 0;
	struct event fin = { .type = EVENT_FIN, .cookie = cookie };
	char buf[64], a[3], b[64];
	struct iovec iov[2] = { { a, sizeof(a) }, { b, sizeof(b) } };
	union fake_cmd c;

	(void)state;
	assert_int_equal(mtcp_read(m, s, buf, sizeof(buf)), -1);
	assert_int_equal(errno, EAGAIN);
	fake_data(&f, 0, 1, cookie, SOCK, "hello ", 6);
	fake_data(&f, 0, 1, cookie, SOCK, "world", 5);
	assert_int_equal(mtcp_recv(m, s, buf, 8, MSG_PEEK), 8);
	assert_memory_equal(buf, "hello wo", 8);
	assert_int_equal(mtcp_socket_ioctl(m, s, FIONREAD, &n), 0);
	assert_int_equal(n, 11);
	assert_int_equal(mtcp_read(m, s, buf, 2), 2);
	assert_false(fake_find(&f, 0, 1, CMD_CONSUMED, &c));
	assert_int_equal(mtcp_readv(m, s, iov, 2), 9);
	assert_memory_equal(a, "llo", 3);
	assert_memory_equal(b, " world", 6);
	assert_true(fake_find(&f, 0, 1, CMD_CONSUMED, &c));
	assert_int_equal(c.one.consumed.bytes, 11);
	assert_int_equal(c.one.sock, SOCK);
	fake_data(&f, 0, 1, cookie, SOCK, "end", 3);
	fin.sock = SOCK;
	fake_event(&f, 0, 1, &fin);
	assert_int_equal(mtcp_read(m, s, buf, 0), 0);
	assert_int_equal(mtcp_read(m, s, buf, sizeof(buf)), 3);
	assert_int_equal(mtcp_read(m, s, buf, sizeof(buf)), 0);
	assert_int_equal(mtcp_read(m, s, buf, sizeof(buf)), 0);
	mtcp_close(m, s);
}

/* Partly read, then closed: the engine must know what was read. */
static void close_flushes_consumed(void **state)
{
	uint32_t cookie;
	int s = connected(&cookie, 1000);
	union fake_cmd c;
	char byte;

	(void)state;
	fake_data(&f, 0, 1, cookie, SOCK, "xyz", 3);
	assert_int_equal(mtcp_read(m, s, &byte, 1), 1);
	mtcp_close(m, s);
	assert_int_equal(fake_cmd(&f, 0, 1, &c), CMD_CONSUMED);
	assert_int_equal(c.one.consumed.bytes, 1);
	assert_int_equal(fake_cmd(&f, 0, 1, &c), CMD_CLOSE);
}

static void zero_copy_read(void **state)
{
	uint32_t cookie;
	int s = connected(&cookie, 1000);
	struct iovec iov[4];
	union fake_cmd c;

	(void)state;
	fake_data(&f, 0, 1, cookie, SOCK, "abc", 3);
	fake_data(&f, 0, 1, cookie, SOCK, "defg", 4);
	assert_int_equal(mtcp_zc_read(m, s, iov, 4), 2);
	assert_memory_equal(iov[0].iov_base, "abc", 3);
	assert_memory_equal(iov[1].iov_base, "defg", 4);
	assert_int_equal(iov[1].iov_len, 4);
	assert_int_equal(mtcp_zc_release(m, s, 8), -1);
	assert_int_equal(mtcp_zc_release(m, s, 5), 0);
	assert_int_equal(mtcp_zc_read(m, s, iov, 1), 1);
	assert_memory_equal(iov[0].iov_base, "fg", 2);
	assert_int_equal(mtcp_zc_release(m, s, 2), 0);
	assert_true(fake_find(&f, 0, 1, CMD_CONSUMED, &c));
	assert_int_equal(c.one.consumed.bytes, 7);
	mtcp_close(m, s);
}

/* The bytes that the engine gets, in order, up to @max. */
static uint32_t sent_bytes(char *out, uint32_t max)
{
	union fake_cmd c;
	uint32_t n = 0;

	while (fake_find(&f, 0, 1, CMD_SEND, &c)) {
		assert_true(n + c.one.send.len <= max);
		memcpy(out + n, fake_block(&f, c.one.send.block) +
		       c.one.send.offset, c.one.send.len);
		n += c.one.send.len;
	}
	return n;
}

static void small_writes_share_a_block(void **state)
{
	uint32_t cookie, block;
	int s = connected(&cookie, 100000);
	char text[100];
	union fake_cmd c;

	(void)state;
	memset(text, 'x', sizeof(text));
	for (int i = 0; i < 5; i++)
		assert_int_equal(mtcp_write(m, s, text, 100), 100);
	assert_true(fake_find(&f, 0, 1, CMD_SEND, &c));
	block = c.one.send.block;
	for (int i = 1; i < 5; i++) {
		assert_int_equal(c.one.flags, 0);
		assert_true(fake_find(&f, 0, 1, CMD_SEND, &c));
		assert_int_equal(c.one.send.block, block);
		assert_int_equal(c.one.send.offset, i * 100);
	}
	/* no room for one more of these */
	assert_int_equal(c.one.flags, CMD_F_LAST);
	assert_int_equal(mtcp_write(m, s, text, 100), 100);
	assert_true(fake_find(&f, 0, 1, CMD_SEND, &c));
	assert_int_not_equal(c.one.send.block, block);
	/* a partly filled block is given up before a sleep */
	block = c.one.send.block;
	assert_int_equal(ctx_arm(m), 0);
	ctx_disarm(m, true);
	assert_true(fake_find(&f, 0, 1, CMD_RETURN_BLOCK, &c));
	assert_int_equal(c.one.return_block.block, block);
	mtcp_close(m, s);
}

static void a_large_write_in_order(void **state)
{
	static char in[20000], out[20000];
	uint32_t cookie;
	int s = connected(&cookie, 100000);
	struct iovec iov[4] = { { in, 1 }, { in + 1, 0 }, { in + 1, 4999 },
				{ in + 5000, 15000 } };

	(void)state;
	for (size_t i = 0; i < sizeof(in); i++)
		in[i] = (char)(i * 7 + i / 256);
	assert_int_equal(mtcp_writev(m, s, iov, 4), 20000);
	assert_int_equal(sent_bytes(out, sizeof(out)), 20000);
	assert_memory_equal(in, out, sizeof(in));
	mtcp_close(m, s);
}

static void limit_and_sent(void **state)
{
	static char in[5000];
	uint32_t cookie;
	int s = connected(&cookie, 1000);
	struct event ev = { .type = EVENT_SENT, .cookie = cookie };
	union fake_cmd c;

	(void)state;
	assert_int_equal(mtcp_write(m, s, in, sizeof(in)), 1000);
	assert_true(fake_find(&f, 0, 1, CMD_WANT_SENT, &c));
	assert_int_equal(mtcp_write(m, s, in, 1), -1);
	assert_int_equal(errno, EAGAIN);
	assert_false(fake_find(&f, 0, 1, CMD_WANT_SENT, &c));
	ev.sock = SOCK;
	ev.acked = 600;
	ev.limit = 1100;
	fake_event(&f, 0, 1, &ev);
	assert_int_equal(mtcp_write(m, s, in, sizeof(in)), 700);
	mtcp_close(m, s);
}

/* Out of blocks: the engine is asked, and a grant makes writable again. */
static void out_of_stock(void **state)
{
	static char in[100000];
	uint32_t cookie;
	int s = connected(&cookie, 1000000);
	ssize_t n = mtcp_write(m, s, in, sizeof(in));
	union fake_cmd c;

	(void)state;
	/* the first write waits a little for blocks, then takes what it got */
	assert_int_equal(n, 12 * 4096 + 12 * 512);
	fake_skip(&f, 0);
	ctx_sleep(m, now_us() + 25000);
	assert_int_equal(mtcp_write(m, s, in, 10), -1);
	assert_int_equal(errno, EAGAIN);
	assert_true(fake_find(&f, 0, 1, CMD_WANT_BLOCKS, &c));
	fake_grant(&f, 0, 1, BLOCK_LARGE, 1);
	assert_int_equal(mtcp_write(m, s, in, 10), 10);
	mtcp_close(m, s);
}

/* A header on a fresh connection is taken whole though no block is there yet:
 * a thread grants while the library waits. */
static void *grant_later(void *arg)
{
	usleep(20000);
	fake_grant(&f, 0, 1, BLOCK_SMALL, 6);
	return arg;
}

static void first_write_is_whole(void **state)
{
	struct sockaddr_in a = address("10.0.0.2", 80);
	struct event ev = { .type = EVENT_CONNECTED, .limit = 10000 };
	int s = mtcp_socket(m, AF_INET, SOCK_STREAM, 0);
	union fake_cmd c;
	pthread_t t;
	char header[200] = "HTTP/1.1 200 OK";

	(void)state;
	mtcp_connect(m, s, (struct sockaddr *)&a, sizeof(a));
	assert_true(fake_find(&f, 0, 1, CMD_CONNECT, &c));
	ev.cookie = c.connect.cookie;
	ev.sock = SOCK;
	fake_event(&f, 0, 1, &ev);
	progress();
	pthread_create(&t, NULL, grant_later, NULL);
	assert_int_equal(mtcp_write(m, s, header, sizeof(header)),
			 sizeof(header));
	pthread_join(t, NULL);
	mtcp_close(m, s);
}

static void zero_copy_write(void **state)
{
	uint32_t cookie;
	int s = connected(&cookie, 100000);
	union fake_cmd c;
	char *p = mtcp_zc_alloc(m, s, 1000), *q;

	(void)state;
	assert_non_null(p);
	memcpy(p, "in place", 8);
	assert_int_equal(mtcp_zc_send(m, s, p, 8), 8);
	assert_true(fake_find(&f, 0, 1, CMD_SEND, &c));
	assert_int_equal(c.one.flags, CMD_F_LAST);
	assert_memory_equal(fake_block(&f, c.one.send.block), "in place", 8);
	q = mtcp_zc_alloc(m, s, 10);
	assert_non_null(q);
	assert_int_equal(mtcp_zc_send(m, s, q + 1, 8), -1);
	assert_int_equal(mtcp_zc_send(m, s, &s, 4), -1);
	assert_int_equal(mtcp_zc_send(m, s, q, 513), -1);
	assert_int_equal(mtcp_zc_free(m, s, q), 0);
	assert_true(fake_find(&f, 0, 1, CMD_RETURN_BLOCK, &c));
	assert_null(mtcp_zc_alloc(m, s, 4097));
	mtcp_close(m, s);
}

static void shutting_down(void **state)
{
	uint32_t cookie;
	int s = connected(&cookie, 1000);
	union fake_cmd c;
	char buf[4];

	(void)state;
	assert_int_equal(mtcp_shutdown(m, s, SHUT_WR), 0);
	assert_true(fake_find(&f, 0, 1, CMD_SHUTDOWN, &c));
	assert_int_equal(c.one.flags, CMD_F_WRITE);
	assert_int_equal(mtcp_write(m, s, "x", 1), -1);
	assert_int_equal(errno, EPIPE);
	fake_data(&f, 0, 1, cookie, SOCK, "ab", 2);
	assert_int_equal(mtcp_read(m, s, buf, 4), 2);
	assert_int_equal(mtcp_shutdown(m, s, SHUT_RD), 0);
	assert_true(fake_find(&f, 0, 1, CMD_SHUTDOWN, &c));
	assert_int_equal(c.one.flags, CMD_F_READ);
	/* crossing data is the engine's to drop, and never "consumed" */
	fake_data(&f, 0, 1, cookie, SOCK, "cd", 2);
	assert_int_equal(mtcp_read(m, s, buf, 4), 0);
	assert_false(fake_find(&f, 0, 1, CMD_CONSUMED, &c));
	assert_int_equal(mtcp_shutdown(m, s, 3), -1);
	mtcp_close(m, s);
}

static void options(void **state)
{
	struct linger l = { 1, 0 };
	int one = 1, value = 0, s = mtcp_socket(m, AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in a = address("10.0.0.2", 80);
	struct event ev = { .type = EVENT_CONNECTED };
	socklen_t len = sizeof(value);
	union fake_cmd c;

	(void)state;
	/* before there is a handle: applied when there is one */
	assert_int_equal(mtcp_setsockopt(m, s, IPPROTO_TCP, TCP_NODELAY, &one,
					 sizeof(one)), 0);
	assert_int_equal(mtcp_getsockopt(m, s, IPPROTO_TCP, TCP_NODELAY, &value,
					 &len), 0);
	assert_int_equal(value, 1);
	assert_int_equal(mtcp_setsockopt(m, s, SOL_SOCKET, SO_REUSEADDR, &one,
					 sizeof(one)), 0);
	assert_int_equal(mtcp_setsockopt(m, s, SOL_SOCKET, 9999, &one,
					 sizeof(one)), -1);
	assert_int_equal(errno, ENOPROTOOPT);
	assert_int_equal(mtcp_getsockopt(m, s, SOL_SOCKET, 9999, &value, &len),
			 -1);
	assert_int_equal(errno, ENOPROTOOPT);
	assert_int_equal(mtcp_setsockopt(m, s, IPPROTO_TCP, TCP_KEEPCNT, &value,
					 1), -1);
	mtcp_connect(m, s, (struct sockaddr *)&a, sizeof(a));
	assert_true(fake_find(&f, 0, 1, CMD_CONNECT, &c));
	ev.cookie = c.connect.cookie;
	ev.sock = SOCK;
	fake_event(&f, 0, 1, &ev);
	progress();
	assert_true(fake_find(&f, 0, 1, CMD_OPTION, &c));
	assert_int_equal(c.one.option.name, CMD_OPT_NODELAY);
	assert_int_equal(c.one.option.value, 1);
	assert_int_equal(mtcp_setsockopt(m, s, SOL_SOCKET, SO_LINGER, &l,
					 sizeof(l)), 0);
	mtcp_close(m, s);
	assert_true(fake_find(&f, 0, 1, CMD_CLOSE, &c));
	assert_int_equal(c.one.flags, CMD_F_ABORT);
}

static void kinds_of_sockets(void **state)
{
	char byte;

	(void)state;
	assert_int_equal(mtcp_socket(m, AF_INET6, SOCK_STREAM, 0), -1);
	assert_int_equal(errno, EAFNOSUPPORT);
	assert_int_equal(mtcp_socket(m, AF_INET, SOCK_STREAM | SOCK_NONBLOCK,
				     0), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(mtcp_socket(NULL, AF_INET, SOCK_STREAM, 0), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(mtcp_read(m, 77, &byte, 1), -1);
	assert_int_equal(errno, EBADF);
	assert_int_equal(mtcp_read(m, -1, &byte, 1), -1);
	assert_int_equal(errno, EBADF);
	assert_null(mtcp_create_context(1));
	assert_null(mtcp_create_context(2));
	assert_null(mtcp_create_context(-1));
	for (int i = 0; i < 200; i++)
		assert_int_equal(mtcp_socket(m, AF_INET, SOCK_STREAM, 0), i);
	assert_int_equal(mtcp_socket(m, AF_INET, SOCK_STREAM, 0), -1);
	assert_int_equal(errno, EMFILE);
}

static void blocking_with_timeout(void **state)
{
	struct timeval tv = { .tv_usec = 30000 };
	uint64_t t = now_us();
	uint32_t cookie;
	int s = connected(&cookie, 1000);
	char byte;

	(void)state;
	mtcp_setsock_block(m, s);
	mtcp_setsockopt(m, s, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	assert_int_equal(mtcp_read(m, s, &byte, 1), -1);
	assert_int_equal(errno, EAGAIN);
	assert_true(now_us() - t >= 30000);
	mtcp_setsock_nonblock(m, s);
	mtcp_close(m, s);
}

/* Within a process the giver's close must not close it for the taker. */
static void moving(void **state)
{
	mctx_t other = mtcp_create_context(0);
	struct event_socket taken = { .type = EVENT_TAKEN, .sock = SOCK,
				      .state = EVENT_S_CONNECTED,
				      .limit = 500, .sent = 7, .acked = 7 };
	struct event gone = { .type = EVENT_GONE };
	struct mtcp_ticket ticket;
	uint32_t cookie;
	union fake_cmd c;
	int s = connected(&cookie, 1000), t;
	char buf[4];

	(void)state;
	fake_data(&f, 0, 1, cookie, SOCK, "ab", 2);
	progress();
	assert_int_equal(mtcp_share(m, s, 0, &ticket), 0);
	assert_int_equal(mtcp_read(m, s, buf, 4), -1);
	t = mtcp_take(other, &ticket);
	assert_true(t >= 0);
	assert_true(fake_find(&f, 1, 1, CMD_TAKE, &c));
	assert_int_equal(c.one.sock, SOCK);
	mtcp_close(m, s);
	assert_false(fake_find(&f, 0, 1, CMD_CLOSE, &c));
	taken.cookie = conn_cookie(&other->conns, 0);
	fake_socket_event(&f, 1, 1, &taken);
	fake_data(&f, 1, 1, taken.cookie, SOCK, "ab", 2);
	gone.cookie = cookie;
	fake_event(&f, 0, 1, &gone);
	progress();
	assert_int_equal(m->conns.used, 0);
	assert_int_equal(mtcp_read(other, t, buf, 4), 2);
	assert_int_equal(mtcp_share(other, t, 8, &ticket), 0);
	assert_int_equal(f.holds, 1);
	mtcp_destroy_context(other);
	assert_int_equal(f.ends, 1);
}

/* Events with any cookie, type and handle: ignored, never a crash. */
static void nonsense_events(void **state)
{
	uint32_t cookie;
	int s = connected(&cookie, 1000);

	(void)state;
	srand(7);
	for (int i = 0; i < 20000; i++) {
		struct event ev = { 0 };

		ev.type = (uint8_t)(rand() % 9);
		if (ev.type == EVENT_ACCEPTED || ev.type == EVENT_GRANT ||
		    ev.type == EVENT_DATA)
			continue;
		ev.cookie = (uint32_t)rand() % 3 ? (uint32_t)rand() : 5;
		ev.sock = SOCK;
		ev.error = rand() % 200;
		fake_event(&f, 0, (uint32_t)rand() % 2, &ev);
		if (i % 100 == 0) {
			progress();
			fake_skip(&f, 0);
		}
		if (i % 1000 == 0)
			(void)mtcp_socket(m, AF_INET, SOCK_STREAM, 0);
	}
	mtcp_close(m, s);
}

#define T(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(connect_and_close),
		T(close_while_connecting),
		T(refused_connect),
		T(bound_port),
		T(source_addresses_in_turn),
		T(accept_by_credit),
		T(listen_twice),
		T(reading),
		T(close_flushes_consumed),
		T(zero_copy_read),
		T(small_writes_share_a_block),
		T(a_large_write_in_order),
		T(limit_and_sent),
		T(out_of_stock),
		T(first_write_is_whole),
		T(zero_copy_write),
		T(shutting_down),
		T(options),
		T(kinds_of_sockets),
		T(blocking_with_timeout),
		T(moving),
		T(nonsense_events),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
