/* Classic BPF: as libpcap runs it, and never outside of a frame. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <pcap/pcap.h>

#include "engine/bpf.h"

static uint32_t rng = 1;

static uint32_t random_below(uint32_t n)
{
	rng = rng * 1664525 + 1013904223;
	return (rng >> 8) % n;
}

/* An Ethernet frame that filters find something in; of malloc, so that
 * sanitizers see reads behind it. */
static uint8_t *make_frame(uint32_t len)
{
	uint8_t *f = malloc(len ? len : 1);
	static const uint8_t head[] = { 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8,
		0, 0x45, 0, 0, 60, 0, 0, 0, 0, 64, 6, 0, 0, 10, 77, 0, 2, 10,
		77, 0, 1, 0, 80, 0x9c, 0x41 };

	for (uint32_t i = 0; i < len; i++)
		f[i] = (uint8_t)(i < sizeof(head) && random_below(8) ? head[i] :
				 random_below(256));
	return f;
}

static void test_as_libpcap(void **state)
{
	static const char *const filters[] = { "", "tcp", "udp or icmp",
		"tcp port 80", "host 10.77.0.1", "src net 10.0.0.0/8 and not "
		"dst port 80", "tcp[tcpflags] & (tcp-syn|tcp-fin) != 0",
		"greater 100", "ip[2:2] > 50 and tcp[20] = 1", "arp",
		"vlan and tcp", "ip6 and tcp port 443", "ether host "
		"02:00:00:00:00:01", "((ip[0] & 0xf) << 2) * 3 > len / 4",
		"tcp portrange 70-90" };
	uint32_t hits = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(filters) / sizeof(filters[0]); i++) {
		pcap_t *p = pcap_open_dead(DLT_EN10MB, 65536);
		struct bpf_program prog;

		assert_int_equal(pcap_compile(p, &prog, filters[i], 1,
					      PCAP_NETMASK_UNKNOWN), 0);
		assert_int_equal(sizeof(struct bpf_insn),
				 sizeof(struct capture_insn));
		assert_true(bpf_check((struct capture_insn *)prog.bf_insns,
				      prog.bf_len));
		for (int n = 0; n < 3000; n++) {
			uint32_t len = random_below(200);
			uint8_t *f = make_frame(len);
			uint32_t want = bpf_filter(prog.bf_insns, f, len, len);

			assert_int_equal(bpf_run((struct capture_insn *)
				prog.bf_insns, f, len), want);
			hits += want != 0;
			free(f);
		}
		pcap_freecode(&prog);
		pcap_close(p);
	}
	assert_true(hits > 3000);
}

/* Random programs: what is accepted runs as libpcap's does, and ends. */
static void test_random_programs(void **state)
{
	struct capture_insn prog[40];
	uint32_t accepted = 0;

	(void)state;
	for (int n = 0; n < 300000; n++) {
		uint32_t count = 1 + random_below(8);
		uint8_t *f;

		for (uint32_t i = 0; i < count; i++)
			prog[i] = (struct capture_insn){
				(uint16_t)(random_below(50) ? random_below(256) :
					   random_below(65536)),
				(uint8_t)random_below(4),
				(uint8_t)random_below(4),
				random_below(8) ? random_below(20) :
				random_below(1u << 24) << 8 };
		prog[count - 1].code = random_below(2) ? 0x06 : 0x16;
		if (!bpf_check(prog, count))
			continue;
		accepted++;
		f = make_frame(64);
		assert_int_equal(bpf_run(prog, f, 64) != 0 &&
				 !bpf_validate((struct bpf_insn *)prog,
					       (int)count), 0);
		free(f);
	}
	assert_true(accepted > 1000);
}

static void test_refused(void **state)
{
	static const struct {
		const char *why;
		struct capture_insn i[3];
		uint32_t count;
	} bad[] = {
		{ "empty", { { 0 } }, 0 },
		{ "no return", { { 0x00, 0, 0, 1 } }, 1 },
		{ "jump behind the end", { { 0x15, 2, 0, 1 }, { 0x06, 0, 0, 1 },
			{ 0x06, 0, 0, 0 } }, 3 },
		{ "jump far", { { 0x05, 0, 0, 0xffffffff },
			{ 0x06, 0, 0, 1 } }, 2 },
		{ "scratch", { { 0x02, 0, 0, 16 }, { 0x06, 0, 0, 1 } }, 2 },
		{ "scratch load", { { 0x60, 0, 0, 16 }, { 0x06, 0, 0, 1 } }, 2 },
		{ "divides by 0", { { 0x34, 0, 0, 0 }, { 0x06, 0, 0, 1 } }, 2 },
		{ "modulo 0", { { 0x94, 0, 0, 0 }, { 0x06, 0, 0, 1 } }, 2 },
		{ "opcode", { { 0x1234, 0, 0, 0 }, { 0x06, 0, 0, 1 } }, 2 },
	};

	(void)state;
	for (size_t n = 0; n < sizeof(bad) / sizeof(bad[0]); n++)
		if (bpf_check(bad[n].i, bad[n].count))
			fail_msg("accepted: %s", bad[n].why);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_as_libpcap),
		cmocka_unit_test(test_random_programs),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
