/*
 * lasting - what TCP_INFO says of connections that last, in virtual time
 *
 *	bytes	more than 4 GiB acknowledged: every count of them is right
 *	min_rtt	the way gets longer for good: the least RTT of it is known as
 *		such after five minutes, and not before half of them
 *
 * Exit status: 0 both hold; 1 one does not.
 */
#include <stdio.h>

#include "pipe.h"
#include "shm/info.h"

#define MBIT	1000000ull
#define SECOND	1000000ull

static struct pipe p;

static bool judge(const char *what, double got, double least, double most)
{
	bool good = got >= least && got <= most;

	printf("%-44s %14.0f  in %.0f..%.0f  %s\n", what, got, least, most,
	       good ? "ok" : "FAILED");
	return good;
}

/* The reader's, and as many segments as arrived with it. */
static bool received(void)
{
	struct sock_info info, sent;

	tcp_sock_info(p.env[1], p.flow[0].peer, &info, p.now);
	tcp_sock_info(p.env[0], p.flow[0].conn, &sent, p.now);
	if (info.bytes_received == p.flow[0].read &&
	    info.data_segs_in <= sent.data_segs_out &&
	    info.data_segs_in + p.drops + 40000 > sent.data_segs_out &&
	    info.bytes_received / 8948 <= info.data_segs_in)
		return true;
	printf("%llu bytes in %u of %u segments received, not %llu\n",
	       (unsigned long long)info.bytes_received, info.data_segs_in,
	       sent.data_segs_out, (unsigned long long)p.flow[0].read);
	return false;
}

static void look(struct sock_info *info)
{
	tcp_sock_info(p.env[0], p.flow[0].conn, info, p.now);
}

/* Whatever was written is acknowledged, or still queued. */
static bool counted(void)
{
	uint32_t conn = p.flow[0].conn;
	struct sock_info info;
	uint64_t acked;

	look(&info);
	acked = p.flow[0].written - (tcp_sent(p.env[0], conn) -
				     tcp_acked(p.env[0], conn));
	if (info.bytes_acked != acked)
		printf("%llu bytes acknowledged, not %llu\n",
		       (unsigned long long)info.bytes_acked,
		       (unsigned long long)acked);
	return info.bytes_acked == acked;
}

static bool test_bytes(void)
{
	const struct pipe_path path = { .rate_bps = 20000 * MBIT,
					.delay_us = 100, .queue_bytes = 2000000,
					.mtu = 9000 };
	bool good = true;
	int looks;

	pipe_open(&p, &path, 1, (const char *const[]){ "cubic" }, 1);
	for (looks = 0; looks < 200 && p.flow[0].read < 0x120000000; looks++) {
		pipe_run(&p, SECOND / 20);
		good &= counted();
		good &= received();
	}
	good &= judge("bytes: read", (double)p.flow[0].read, 0x120000000,
		      0x140000000);
	pipe_close(&p);
	return good;
}

static bool rtt_is(const char *what, double least, double most)
{
	struct sock_info info;

	look(&info);
	return judge(what, info.min_rtt_us, least, most);
}

static bool test_min_rtt(void)
{
	const struct pipe_path path = { .rate_bps = 10 * MBIT,
					.delay_us = 10000, .queue_bytes = 6000 };
	bool good;

	pipe_open(&p, &path, 1, (const char *const[]){ "cubic" }, 1);
	pipe_run(&p, 60 * SECOND);
	good = rtt_is("min_rtt: after a minute", 20000, 22500);
	p.path.delay_us = 30000;
	pipe_run(&p, 85 * SECOND);
	good &= rtt_is("min_rtt: a longer way, 85 s", 20000, 22500);
	pipe_run(&p, 220 * SECOND);
	good &= rtt_is("min_rtt: a longer way, 305 s", 60000, 62500);
	p.path.delay_us = 10000;
	pipe_run(&p, 1 * SECOND);
	good &= rtt_is("min_rtt: the short way again, 1 s", 20000, 22500);
	pipe_close(&p);
	return good;
}

int main(void)
{
	bool good = test_bytes();

	good &= test_min_rtt();
	return good ? 0 : 1;
}
