/* psio_frames.c - whose a received frame is, and the slots of one to send */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "io/port_psio.h"
#include "net/net.h"

static struct psio_port port;

static void own(const char *text)
{
	uint32_t n = atomic_load(&port.addr_count);

	atomic_store(&port.addrs[n], inet_addr(text));
	atomic_store(&port.addr_count, n + 1);
}

static int reset(void **state)
{
	(void)state;
	memset(&port, 0, sizeof(port));
	own("10.5.0.2");
	own("192.0.2.7");
	return 0;
}

static uint32_t ip_frame(uint8_t *f, const char *dst, int tagged)
{
	uint32_t at = tagged ? 18 : 14, to = inet_addr(dst);

	memset(f, 0, 64);
	f[12] = tagged ? 0x81 : 0x08;
	f[at - 2] = 0x08;
	f[at - 1] = 0x00;
	f[at] = 0x45;
	memcpy(f + at + 16, &to, 4);
	return at + 20;
}

static uint32_t arp_frame(uint8_t *f, const char *spa, const char *tpa)
{
	uint32_t s = inet_addr(spa), t = inet_addr(tpa);

	memset(f, 0, 64);
	f[12] = 0x08;
	f[13] = 0x06;
	memcpy(f + 14 + 14, &s, 4);
	memcpy(f + 14 + 24, &t, 4);
	return 42;
}

static void whose(void **state)
{
	uint8_t f[64];
	uint32_t n;

	(void)state;
	for (int tagged = 0; tagged < 2; tagged++) {
		n = ip_frame(f, "192.0.2.7", tagged);
		assert_int_equal(psio_whose(&port, f, n), PSIO_OURS);
		n = ip_frame(f, "10.5.0.3", tagged);
		assert_int_equal(psio_whose(&port, f, n), PSIO_KERNEL);
	}
	/* another VLAN than ours, whatever its priority */
	n = ip_frame(f, "192.0.2.7", 1);
	f[14] = 0xe0;
	f[15] = 7;
	assert_int_equal(psio_whose(&port, f, n), PSIO_KERNEL);
	port.vlan = 7;
	assert_int_equal(psio_whose(&port, f, n), PSIO_OURS);
	f[14] = 0x01;
	assert_int_equal(psio_whose(&port, f, n), PSIO_KERNEL);
	n = ip_frame(f, "192.0.2.7", 0);
	assert_int_equal(psio_whose(&port, f, n), PSIO_KERNEL);
	port.vlan = 0;
	n = arp_frame(f, "10.5.0.1", "10.5.0.2");
	assert_int_equal(psio_whose(&port, f, n), PSIO_OURS);
	n = arp_frame(f, "10.5.0.1", "10.5.0.9");
	assert_int_equal(psio_whose(&port, f, n), PSIO_KERNEL);
	n = arp_frame(f, "10.5.0.1", "10.5.0.1");
	assert_int_equal(psio_whose(&port, f, n), PSIO_BOTH);
	/* IPv6, LLDP and what is too short for its type */
	f[12] = 0x86;
	f[13] = 0xdd;
	assert_int_equal(psio_whose(&port, f, n), PSIO_KERNEL);
	for (uint32_t len = 0; len < 34; len++) {
		ip_frame(f, "10.5.0.2", 0);
		assert_int_equal(psio_whose(&port, f, len), PSIO_KERNEL);
	}
	for (uint32_t len = 14; len < 42; len++) {
		arp_frame(f, "10.5.0.1", "10.5.0.2");
		assert_int_equal(psio_whose(&port, f, len), PSIO_KERNEL);
	}
}

static void tag_comes_off(void **state)
{
	uint8_t b[64];
	struct frame f = { .data = b, .len = 60, .room = 64 };

	(void)state;
	for (uint8_t i = 0; i < 64; i++)
		b[i] = i;
	psio_untag(&f);
	assert_ptr_equal(f.data, b + 4);
	assert_int_equal(f.len, 56);
	assert_int_equal(f.room, 60);
	for (uint8_t i = 0; i < 56; i++)
		assert_int_equal(f.data[i], i < 12 ? i : i + 4);
}

/* The slots name every byte once, in order, within the buffers. */
static void slots_cover(void **state)
{
	static uint8_t memory[PSIO_RUN_BUFS * PS_BUF_BYTES];
	struct ps_slot s[PS_FRAGS_MAX];

	(void)state;
	for (uint32_t off = 0; off < 128; off += 9)
		for (uint32_t len = 14; len <= sizeof(memory) - off;
		     len += 1 + len / 7) {
			struct frame f = { .data = memory + off, .len = len };
			uint32_t n = psio_slots(&f, 40, memory, s);
			uint32_t at = off;

			assert_true(n >= 1 && n <= PSIO_RUN_BUFS);
			for (uint32_t i = 0; i < n; i++) {
				assert_int_equal((s[i].buf - 40) *
						 PS_BUF_BYTES + s[i].off, at);
				assert_true(s[i].len && s[i].off + s[i].len <=
					    PS_BUF_BYTES);
				assert_int_equal(!!(s[i].flags & PS_F_MORE),
						 i + 1 < n);
				at += s[i].len;
			}
			assert_int_equal(at, off + len);
		}
}

static struct frame tcp_frame(uint8_t *b, uint32_t payload, uint16_t mss)
{
	uint32_t len = 20 + payload, src = inet_addr("10.5.0.2");
	struct ip_addr s = addr_from_v4(src), d = s;
	uint16_t sum = csum_fold(csum_pseudo(&s, &d, 6, len));

	memset(b, 0, 54);
	b[12] = 0x08;
	b[24] = b[25] = 0xab;	/* the IP header's sum */
	b[46] = 0x50;
	memcpy(b + 50, &sum, 2);
	return (struct frame){ .data = b, .len = 34 + len,
		.flags = FRAME_CSUM_PARTIAL, .gso_size = mss,
		.csum_start = 34, .csum_offset = 16 };
}

static void offloads(void **state)
{
	static uint8_t b[PSIO_RUN_BUFS * PS_BUF_BYTES];
	struct ip_addr a = addr_from_v4(inet_addr("10.5.0.2"));
	struct ps_slot s[PS_FRAGS_MAX];
	struct frame f = tcp_frame(b, 100, 0);
	uint16_t sum, want;

	(void)state;
	assert_int_equal(psio_slots(&f, 0, b, s), 1);
	assert_int_equal(s[0].flags, PS_F_CSUM_TCP);
	assert_int_equal(s[0].l2_len, 14);
	assert_int_equal(s[0].l3_len, 20);
	assert_int_equal(b[24], 0xab);

	/* one segment is not cut */
	f = tcp_frame(b, 1460, 1460);
	assert_int_equal(psio_slots(&f, 0, b, s), 1);
	assert_int_equal(s[0].flags, PS_F_CSUM_TCP);

	f = tcp_frame(b, 5000, 1460);
	assert_int_equal(psio_slots(&f, 0, b, s), 3);
	assert_int_equal(s[0].flags, PS_F_CSUM_TCP | PS_F_CSUM_IP | PS_F_TSO |
			 PS_F_MORE);
	assert_int_equal(s[0].mss, 1460);
	assert_int_equal(s[0].l4_len, 20);
	assert_int_equal(b[24] | b[25], 0);
	/* the pseudo header's sum with a length of 0 */
	memcpy(&sum, b + 50, 2);
	want = csum_fold(csum_pseudo(&a, &a, 6, 0));
	assert_true(sum == want || (uint16_t)(sum + want) == 0xffff);

	/* a header that is not in the frame */
	f.csum_start = 60000;
	assert_int_equal(psio_slots(&f, 0, b, s), 0);
	f.csum_start = 10;
	assert_int_equal(psio_slots(&f, 0, b, s), 0);
	f.len = 13;
	assert_int_equal(psio_slots(&f, 0, b, s), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(whose, reset),
		cmocka_unit_test(tag_comes_off),
		cmocka_unit_test(slots_cover),
		cmocka_unit_test(offloads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
