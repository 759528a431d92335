/* client_kit.c - the opening of the client library's tests (client_kit.h) */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "client_kit.h"

mctx_t kit_begin(struct fake *f)
{
	struct mtcp_conf c = { .num_cores = 2, .max_concurrency = 200 };
	mctx_t m;

	memset(f, 0, sizeof(*f));
	fake_start(f, NULL);
	mtcp_setconf(&c);
	assert_int_equal(mtcp_init(NULL), 0);
	m = mtcp_create_context(KIT_ENGINE);
	assert_non_null(m);
	return m;
}

void kit_end(struct fake *f, mctx_t m)
{
	mtcp_destroy_context(m);
	mtcp_destroy();
	fake_stop(f);
}

int kit_connect(mctx_t m)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(80) };
	int s = mtcp_socket(m, AF_INET, SOCK_STREAM, 0);

	a.sin_addr.s_addr = inet_addr("10.0.0.2");
	assert_int_equal(mtcp_connect(m, s, (struct sockaddr *)&a, sizeof(a)),
			 -1);
	assert_int_equal(errno, EINPROGRESS);
	return s;
}

uint32_t kit_cookie(mctx_t m, int s)
{
	return conn_cookie(&m->conns, m->ids.slot[s].obj);
}

void kit_connected(struct fake *f, mctx_t m, int s, uint64_t sock,
		   uint32_t limit)
{
	struct event ev = { .type = EVENT_CONNECTED };
	union fake_cmd c;

	assert_true(fake_find(f, 0, KIT_ENGINE, CMD_CONNECT, &c));
	ev.cookie = c.connect.cookie;
	assert_int_equal(ev.cookie, kit_cookie(m, s));
	ev.sock = sock;
	ev.connected.local_port = htons(1234);
	ev.connected.local_v4 = inet_addr("10.0.0.1");
	ev.limit = limit;
	fake_event(f, 0, KIT_ENGINE, &ev);
	ctx_progress(m);
	fake_skip(f, 0);
}
