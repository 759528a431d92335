/* Two programs and mtcpd over one mapping, a thread each (together.h): a
 * connection that both hold, a listener that both have, a program that ends in
 * the middle, a connection that goes to and fro within one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "libclient/client.h"
#include "together.h"

#define ROUNDS	(getenv("MTCPD_FULL") ? 20000u : 1500u)
#define BYTES	(ROUNDS * 100u)		/* from the peer, a connection */
#define CONNS	40
#define LIVES	5
#define LONG_MS	40000

enum { HELD = 1, LISTENED, ENDS, MOVES };

static const struct library *a, *b;

static uint16_t port_of(int what)
{
	return (uint16_t)(7000 + what);
}

/* ---- what goes over a connection ---- */

struct record {			/* a program's; never cut in two */
	uint32_t who, number;
	uint8_t rest[56];
};
_Static_assert(sizeof(struct record) == 64, "divides a buffer");

static struct record record_of(uint32_t who, uint32_t number)
{
	struct record r = { .who = who, .number = number };

	memset(r.rest, (int)(who * 7 + number), sizeof(r.rest));
	return r;
}

static char byte_at(uint32_t i)
{
	return (char)(i * 31 + i / 251);
}

static uint32_t sum_of(const char *bytes, ssize_t n)
{
	uint32_t sum = 0;

	for (ssize_t i = 0; i < n; i++)
		sum += (uint8_t)bytes[i];
	return sum;
}

static uint32_t sum_of_all(void)
{
	uint32_t sum = 0;

	for (uint32_t i = 0; i < BYTES; i++)
		sum += (uint8_t)byte_at(i);
	return sum;
}

/* ---- the peer ---- */

static int dial(mctx_t m, int what)
{
	struct sockaddr_in to = together_addr(0, port_of(what));
	int s = a->socket(m, AF_INET, SOCK_STREAM, 0);

	a->block(m, s);
	if (a->connect(m, s, (struct sockaddr *)&to, sizeof(to)))
		return -1;
	a->nonblock(m, s);
	return s;
}

struct heard {
	uint32_t next[3];		/* by who */
	char left[sizeof(struct record)];
	size_t count;
};

static bool hear_record(struct heard *h)
{
	struct record r, want;

	memcpy(&r, h->left, sizeof(r));
	if (r.who > 2)
		return false;
	want = record_of(r.who, h->next[r.who]++);
	h->count = 0;
	return memcmp(&r, &want, sizeof(r)) == 0;
}

static bool hear(struct heard *h, const char *bytes, ssize_t n)
{
	for (ssize_t i = 0; i < n; i++) {
		h->left[h->count++] = bytes[i];
		if (h->count == sizeof(h->left) && !hear_record(h))
			return false;
	}
	return true;
}

static int feed(mctx_t m, int s, uint32_t *sent)
{
	char bytes[500];
	uint32_t n = BYTES - *sent < sizeof(bytes) ? BYTES - *sent :
						     sizeof(bytes);
	ssize_t k;

	for (uint32_t i = 0; i < n; i++)
		bytes[i] = byte_at(*sent + i);
	k = a->write(m, s, bytes, n);
	if (k < 0)
		return errno == EAGAIN ? 0 : -1;
	*sent += (uint32_t)k;
	return *sent == BYTES ? a->shutdown(m, s, SHUT_WR) : 0;
}

/* Sends all, and takes records until the end; 0: as they should be. */
static int both_ways(mctx_t m, int what, struct heard *h)
{
	char bytes[4096];
	uint32_t sent = 0;
	int s = dial(m, what);

	if (s < 0)
		return 1;
	for (;;) {
		struct pollfd p = { .fd = s, .events = (short)(POLLIN |
			(sent < BYTES ? POLLOUT : 0)) };
		ssize_t n;

		if (a->poll(m, &p, 1, LONG_MS) != 1)
			return 2;
		if (p.revents & POLLOUT && sent < BYTES && feed(m, s, &sent))
			return 3;
		n = a->read(m, s, bytes, sizeof(bytes));
		if (n == 0)
			break;
		if (n < 0 && errno != EAGAIN)
			return 4;
		if (n > 0 && !hear(h, bytes, n))
			return 5;
	}
	a->close(m, s);
	return h->count ? 6 : 0;
}

/* Each connection gets one record. */
static int many(mctx_t m)
{
	for (int i = 0; i < CONNS; i++) {
		struct heard h = { .count = 0 };
		char bytes[100];
		int s = dial(m, LISTENED);
		ssize_t n;

		if (s < 0)
			return 1;
		a->block(m, s);
		while ((n = a->read(m, s, bytes, sizeof(bytes))) > 0)
			if (!hear(&h, bytes, n))
				return 2;
		if (n || h.next[1] + h.next[2] != 1)
			return 3;
		a->close(m, s);
	}
	return 0;
}

static int peer(mctx_t m, int what)
{
	struct heard h = { .count = 0 };
	int bad;

	if (what == LISTENED)
		return many(m);
	bad = both_ways(m, what, &h);
	if (!bad && what == HELD &&
	    (h.next[1] != ROUNDS || h.next[2] != ROUNDS))
		return 7;
	if (!bad && what == MOVES && h.next[1] != ROUNDS)
		return 8;
	return bad;
}

/* ---- programs ---- */


static int listen_at(const struct library *l, mctx_t m, int what)
{
	struct sockaddr_in at = together_addr(0, port_of(what));
	int s = l->socket(m, AF_INET, SOCK_STREAM, 0), on = 1;

	l->setsockopt(m, s, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
	if (l->bind(m, s, (struct sockaddr *)&at, sizeof(at)) ||
	    l->listen(m, s, 64))
		return -1;
	l->block(m, s);
	return s;
}

/* One of two that use a connection; what of the peer's bytes came to it. */
struct user {
	const struct library *l;
	uint32_t who;
	struct mtcp_ticket ticket;
	uint32_t bytes, sum;
	uint32_t first, rounds;		/* its records' numbers */
	bool ok;
};

static bool bad(const struct user *u, const char *call, ssize_t n)
{
	print_error("program %u, %s gives %zd: %s\n", u->who, call, n,
		    strerror(errno));
	return false;
}

static bool got(struct user *u, const char *bytes, ssize_t n)
{
	if (n < 0 && errno != EAGAIN)
		return bad(u, "read", n);
	if (n <= 0)
		return true;
	u->bytes += (uint32_t)n;
	u->sum += sum_of(bytes, n);
	return true;
}

/* Writes its records, and reads what there is meanwhile. */
static bool use(struct user *u, mctx_t m, int s)
{
	char bytes[300];

	for (uint32_t i = u->first; i < u->first + u->rounds; i++) {
		const struct record r = record_of(u->who, i);
		ssize_t n = u->l->write(m, s, (const char *)&r, sizeof(r));

		if (n != sizeof(r))
			return bad(u, "write", n);
		if (!got(u, bytes, u->l->recv(m, s, bytes, 1 + i % 300,
					      MSG_DONTWAIT)))
			return false;
		if (i % 64 == 0)
			sched_yield();
	}
	return true;
}

/* The end is told to both. */
static bool drain(struct user *u, mctx_t m, int s)
{
	char bytes[3000];
	ssize_t n;

	do {
		n = u->l->read(m, s, bytes, sizeof(bytes));
		if (!got(u, bytes, n))
			return false;
	} while (n);
	return true;
}

static mctx_t begin(const struct library *l)
{
	const struct mtcp_conf c = { .num_cores = 3, .max_concurrency = 1000 };

	l->setconf(&c);
	return l->init(NULL) ? NULL : l->create_context(1);
}

/* What fork() leaves in a child: a socket that others have too. */
static int take_as_child(const struct user *u, mctx_t m)
{
	int s = u->l->take(m, &u->ticket);

	if (s >= 0) {
		conn_at(&m->conns, m->ids.slot[s].obj)->listener =
			CONN_INHERITED;
		u->l->block(m, s);
	}
	return s;
}

/* B's number is known, then its ticket: two meetings of the threads. */
static pthread_barrier_t meet;
static uint32_t id_of_b;

static void *holder(void *arg)
{
	struct user *u = arg;
	mctx_t m = begin(u->l);
	int s;

	id_of_b = m ? u->l->client_id(m) : 0;
	pthread_barrier_wait(&meet);
	pthread_barrier_wait(&meet);
	if (!m)
		return NULL;
	s = take_as_child(u, m);
	u->ok = s >= 0 && use(u, m, s) && drain(u, m, s) &&
		u->l->close(m, s) == 0;
	u->l->destroy_context(m);
	u->l->destroy();
	return NULL;
}

/* A connection that both hold: every record whole, every byte to one. */
static void both_use_it(void **state)
{
	struct user ua = { .l = a, .who = 1, .rounds = ROUNDS };
	struct user ub = { .l = b, .who = 2, .rounds = ROUNDS };
	mctx_t m = begin(ua.l);
	pthread_t t;
	int l, s;

	(void)state;
	assert_non_null(m);
	l = listen_at(ua.l, m, HELD);
	assert_true(l >= 0);
	assert_int_equal(pthread_create(&t, NULL, holder, &ub), 0);
	together_ask(HELD);
	s = a->accept4(m, l, NULL, NULL, 0);
	assert_true(s >= 0);
	pthread_barrier_wait(&meet);
	assert_true(id_of_b > 0);
	assert_int_equal(a->share(m, s, id_of_b, &ub.ticket), 0);
	pthread_barrier_wait(&meet);
	ua.ok = use(&ua, m, s) && drain(&ua, m, s) && a->close(m, s) == 0;
	pthread_join(t, NULL);
	assert_true(ua.ok);
	assert_true(ub.ok);
	assert_int_equal(together_answer(), 0);
	assert_int_equal(ua.bytes + ub.bytes, BYTES);
	assert_int_equal(ua.sum + ub.sum, sum_of_all());
	a->destroy_context(m);
}

/* ---- one listener, two programs ---- */

static _Atomic bool enough;
static pthread_barrier_t all_listen;

struct server {
	const struct library *l;
	uint32_t who, served;
	bool ok;
};

static bool serve_one(struct server *v, mctx_t m, int listener)
{
	const struct record r = record_of(v->who, 0);
	int s = v->l->accept4(m, listener, NULL, NULL, 0);

	if (s < 0)
		return errno == EAGAIN;
	v->served++;
	return v->l->write(m, s, (const char *)&r, sizeof(r)) == sizeof(r) &&
	       v->l->close(m, s) == 0;
}

static void *server(void *arg)
{
	struct server *v = arg;
	mctx_t m = begin(v->l);
	int s = m ? listen_at(v->l, m, LISTENED) : -1;
	struct pollfd p = { .fd = s, .events = POLLIN };

	v->ok = s >= 0;
	pthread_barrier_wait(&all_listen);
	while (v->ok && !enough)
		if (v->l->poll(m, &p, 1, 20) == 1)
			v->ok = serve_one(v, m, s);
	if (m)
		v->l->destroy_context(m);
	v->l->destroy();
	return NULL;
}

static void both_accept(void **state)
{
	struct server v[2] = { { .l = a, .who = 1 },
			       { .l = b, .who = 2 } };
	pthread_t t[2];

	(void)state;
	pthread_barrier_init(&all_listen, NULL, 3);
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&t[i], NULL, server, &v[i]), 0);
	pthread_barrier_wait(&all_listen);
	together_ask(LISTENED);
	assert_int_equal(together_answer(), 0);
	enough = true;
	for (int i = 0; i < 2; i++) {
		pthread_join(t[i], NULL);
		assert_true(v[i].ok);
	}
	assert_int_equal(v[0].served + v[1].served, CONNS);
}

/* ---- a program that ends while it has the connection ---- */

static void *short_life(void *arg)
{
	struct user *u = arg;
	mctx_t m = begin(u->l);
	int s;

	id_of_b = m ? u->l->client_id(m) : 0;
	pthread_barrier_wait(&meet);
	pthread_barrier_wait(&meet);
	if (!m)
		return NULL;
	s = take_as_child(u, m);
	u->ok = s >= 0 && use(u, m, s);
	u->l->destroy_context(m);
	u->l->destroy();
	return NULL;
}

static void one_ends(void **state)
{
	struct user ua = { .l = a, .who = 1, .rounds = ROUNDS / LIVES };
	struct user ub = { .l = b, .who = 2, .rounds = ROUNDS / LIVES / 4 };
	mctx_t m = begin(ua.l);
	pthread_t t;
	int l, s;

	(void)state;
	l = listen_at(ua.l, m, ENDS);
	assert_true(l >= 0);
	together_ask(ENDS);
	s = a->accept4(m, l, NULL, NULL, 0);
	for (int life = 0; life < LIVES; life++) {
		assert_int_equal(pthread_create(&t, NULL, short_life, &ub), 0);
		pthread_barrier_wait(&meet);
		assert_true(id_of_b > 0);
		assert_int_equal(a->share(m, s, id_of_b, &ub.ticket), 0);
		pthread_barrier_wait(&meet);
		assert_true(use(&ua, m, s));
		pthread_join(t, NULL);
		assert_true(ub.ok);
		ua.first += ua.rounds;
		ub.first += ub.rounds;
	}
	assert_true(drain(&ua, m, s));
	a->close(m, s);
	assert_int_equal(together_answer(), 0);
	assert_int_equal(ua.bytes + ub.bytes, BYTES);
	assert_int_equal(ua.sum + ub.sum, sum_of_all());
	a->destroy_context(m);
}

/* ---- to and fro between the contexts of one program ---- */

#define TURNS	20

struct mover {
	struct user u;
	mctx_t m;
	int s;				/* -1: it is the other's */
};

/* From @from, which has used it, to @to. */
static bool hand_on(struct mover *from, struct mover *to)
{
	if (a->share(from->m, from->s, 0, &to->u.ticket) ||
	    a->close(from->m, from->s))
		return false;
	from->s = -1;
	to->u.first = from->u.first + from->u.rounds;
	return true;
}

static bool take_turn(struct mover *v)
{
	if (v->s < 0) {
		v->s = a->take(v->m, &v->u.ticket);
		a->block(v->m, v->s);
	}
	return v->s >= 0 && use(&v->u, v->m, v->s);
}

static struct mover movers[2];

static void *second_context(void *arg)
{
	struct mover *v = arg;

	v->m = a->create_context(2);
	v->u.ok = v->m != NULL;
	for (int turn = 0; turn < TURNS; turn++) {
		pthread_barrier_wait(&meet);
		if (turn % 2 && v->u.ok)
			v->u.ok = take_turn(v) && hand_on(v, &movers[0]);
	}
	pthread_barrier_wait(&meet);
	pthread_barrier_wait(&meet);	/* a ticket ends with its context */
	if (v->m)
		a->destroy_context(v->m);
	return NULL;
}

static void to_and_fro(void **state)
{
	const struct user u = { .l = a, .who = 1, .rounds = ROUNDS / TURNS };
	struct mover *v = &movers[0];
	pthread_t t;
	int l;

	(void)state;
	movers[0].u = movers[1].u = u;
	movers[1].s = -1;
	v->m = begin(a);
	l = listen_at(a, v->m, MOVES);
	assert_true(l >= 0);
	together_ask(MOVES);
	v->s = a->accept4(v->m, l, NULL, NULL, 0);
	v->u.ok = v->s >= 0;
	assert_int_equal(pthread_create(&t, NULL, second_context, &movers[1]),
			 0);
	for (int turn = 0; turn < TURNS; turn++) {
		pthread_barrier_wait(&meet);
		if (turn % 2 == 0 && v->u.ok)
			v->u.ok = take_turn(v) && hand_on(v, &movers[1]);
	}
	pthread_barrier_wait(&meet);
	v->u.rounds = 0;
	v->u.ok = v->u.ok && take_turn(v);
	pthread_barrier_wait(&meet);
	pthread_join(t, NULL);
	assert_true(v->u.ok && movers[1].u.ok);
	assert_true(drain(&v->u, v->m, v->s));
	a->close(v->m, v->s);
	assert_int_equal(together_answer(), 0);
	assert_int_equal(v->u.bytes + movers[1].u.bytes, BYTES);
	assert_int_equal(v->u.sum + movers[1].u.sum, sum_of_all());
	a->destroy_context(v->m);
}

static int start(void **state)
{
	(void)state;
	pthread_barrier_init(&meet, NULL, 2);
	together_start(peer, &a, &b);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	a->destroy();
	together_stop();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_use_it),
		cmocka_unit_test(both_accept),
		cmocka_unit_test(one_ends),
		cmocka_unit_test(to_and_fro),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
