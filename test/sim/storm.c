/*
 * storm - what the worst segments of a peer cost, beside ordinary ones
 *
 *	reports    a large flight, and ACKs whose SACK blocks lie anywhere in it:
 *		   single bytes, whole segments, from one end to the other
 *	pieces     a large window, and single bytes anywhere in it
 *
 * The time of a segment is that of tcp_in() and of all that it makes leave; the
 * least mean of several batches counts, so that a busy machine does not. It is
 * compared with that of ACKs of the same connection that say nothing new, and
 * printed in nanoseconds, too.
 *
 * Exit status: 0 no storm costs more than its bound; 1 one does.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "net/hdr.h"
#include "pipe.h"
#include "tcp/env.h"

#define MBIT	1000000ull
#define BATCH	100u
#define BATCHES	40u

static struct pipe p;
static struct kit_rand rnd;

static double now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* The peer of @t, which lives at @side, says this; ns that it took. */
static double say(int side, struct tcb *t, seq_t seq, struct tcp_opts *o,
		  uint32_t len)
{
	const struct tcp_tx_limits lim = { .mtu = p.path.mtu };
	uint8_t bytes[TCP_BYTES + OPT_BYTES_MAX + 1] = { 0 };
	struct hdr_tcp h = { .sport = t->tuple.rport, .dport = t->tuple.lport,
			     .seq = htonl(seq), .ack = htonl(t->snd_una),
			     .flags = TCP_ACK, .wnd = htons(UINT16_MAX) };
	struct tcp_rx rx = { .src = p.addr[!side], .dst = p.addr[side],
			     .l4 = bytes, .csum_ok = true };
	uint32_t opt, conn;
	struct tcp_tx tx;
	double begin;

	o->has |= OPT_TS;
	o->tsval = t->ts_recent;
	o->tsecr = tcp_ts_now(p.env[side], t->hash);
	opt = tcp_opt_build(bytes + TCP_BYTES, o);
	h.data_off = (uint8_t)((TCP_BYTES + opt) / 4 << 4);
	memcpy(bytes, &h, sizeof(h));
	rx.l4_len = TCP_BYTES + opt + len;
	begin = now_ns();
	tcp_in(p.env[side], &rx, tcp_rx_hash(p.env[side], &rx), p.now);
	while ((conn = tcp_next_dirty(p.env[side])))
		while (tcp_out(p.env[side], conn, &lim, &tx, p.now))
			;
	return now_ns() - begin;
}

enum storm { NOTHING, BYTES, SEGMENTS, ENDS };

/* A block of the flight, as @how says. */
static void draw_block(const struct tcb *t, enum storm how, uint32_t i,
		       seq_t *left, seq_t *right)
{
	uint32_t segments = (t->snd_nxt - t->snd_una) / t->mss - 1;
	uint32_t at = kit_below(&rnd, segments), len = t->mss;

	if (how == ENDS)
		at = i & 1 ? segments - 1 - i % segments : i % segments;
	at = at * t->mss;
	if (how == BYTES) {
		at += kit_below(&rnd, t->mss);
		len = 1;
	}
	*left = t->snd_una + at;
	*right = *left + len;
}

static double report(struct tcb *t, enum storm how, uint32_t i)
{
	struct tcp_opts o = { .has = 0 };

	if (how != NOTHING) {
		o.has = OPT_SACK;
		o.sack_count = 3;
	}
	for (uint32_t k = 0; k < o.sack_count; k++)
		draw_block(t, how, 3 * i + k, &o.sack[k].left, &o.sack[k].right);
	return say(0, t, t->rcv_nxt, &o, 0);
}

/* One byte, anywhere in the window but where it is awaited. */
static double piece(struct tcb *t)
{
	struct tcp_opts o = { .has = 0 };

	return say(1, t, t->rcv_nxt + 1 +
		   kit_below(&rnd, t->rcv_adv - t->rcv_nxt - 2), &o, 1);
}

static double least(int side, struct tcb *t, enum storm how)
{
	double best = 1e12;

	for (uint32_t b = 0; b < BATCHES; b++) {
		double sum = 0;

		for (uint32_t i = 0; i < BATCH; i++)
			sum += side ? piece(t) : report(t, how, b * BATCH + i);
		best = sum / BATCH < best && b > BATCHES / 2 ? sum / BATCH : best;
	}
	return best;
}

static bool judge(const char *what, double ns, double usual, double most)
{
	bool good = ns <= usual * most;

	printf("%-40s %8.0f ns, %5.1f times an ordinary one's %.0f, at most %.0f  %s\n",
	       what, ns, ns / usual, usual, most, good ? "ok" : "FAILED");
	return good;
}

static void open_flight(uint16_t mtu, struct tcb **sender, struct tcb **reader)
{
	const struct pipe_path path = { .rate_bps = 10000 * MBIT,
					.delay_us = 50000,
					.queue_bytes = 50000000, .mtu = mtu };

	pipe_open(&p, &path, 1, (const char *const[]){ "cubic" }, 1);
	pipe_run(&p, 1500000);
	*sender = tcb_at(p.env[0], p.flow[0].conn);
	*reader = tcb_at(p.env[1], p.flow[0].peer);
}

static bool reports(uint16_t mtu, enum storm how, const char *what)
{
	struct tcb *t, *reader;
	double usual;
	char name[64];
	bool good;

	open_flight(mtu, &t, &reader);
	snprintf(name, sizeof(name), "%s in %u segments", what,
		 (t->snd_nxt - t->snd_una) / t->mss);
	usual = least(0, t, NOTHING);
	good = judge(name, least(0, t, how), usual, 40);
	tcp_check(p.env[0]);
	pipe_close(&p);
	return good;
}

static bool pieces(void)
{
	struct tcb *sender, *t;
	double usual;
	bool good;

	open_flight(1500, &sender, &t);
	usual = least(0, sender, NOTHING);
	good = judge("single bytes out of order", least(1, t, NOTHING), usual, 80);
	tcp_check(p.env[1]);
	pipe_close(&p);
	return good;
}

int main(void)
{
	bool good = true;

	kit_seed(&rnd, 1);
	for (int i = 0; i < 2; i++) {
		uint16_t mtu = i ? 128 : 1500;

		good &= reports(mtu, BYTES, "bytes");
		good &= reports(mtu, SEGMENTS, "segments");
		good &= reports(mtu, ENDS, "both ends");
	}
	return pieces() && good ? 0 : 1;
}
