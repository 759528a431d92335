/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * ps_zero.c - payload sent from where it lies in the process (PS_IOC_MAP)
 *
 * Byte i of the memory is pattern(i), so that the other end can tell what it
 * gets by the place that a frame names.
 *
 * Use: ps_zero PATH send [huge]	frames of all sizes, then one to be cut
 *      ps_zero PATH errors BUS		what MAP, UNMAP and slots are refused
 *      ps_zero PATH busy BUS		UNMAP with a slot in flight
 *      ps_zero PATH hold BUS		slots in flight until the device is gone
 *      ps_zero PATH copied		a machine that copies DMA memory
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "libps/ps.h"

#define STEPS	2u
#define BYTES	(STEPS * PS_REGION_STEP)
#define HEAD	50u	/* Ethernet, IPv4, UDP, number and place */
#define DMATXCTL 0x4a80

static struct ps_handle *h;
static uint8_t *memory;		/* BYTES, and a step that is not to be had */
static uint32_t unit;
static int region, failures;
static uint32_t spare[64], spares;

static uint8_t pattern(uint32_t i)
{
	return (uint8_t)(i * 7 + (i >> 8) * 13 + (i >> 16));
}

static void expect(const char *what, long got, long want)
{
	if (got == want)
		return;
	printf("zero: %s: %ld, not %ld\n", what, got, want);
	failures++;
}

/* VmPin of this process, in KiB. */
static long pinned(void)
{
	FILE *f = fopen("/proc/self/status", "r");
	char line[128];
	long kib = -1;

	while (f && fgets(line, sizeof(line), f))
		sscanf(line, "VmPin: %ld", &kib);
	if (f)
		fclose(f);
	return kib;
}

static uint8_t *make_memory(int huge)
{
	uint8_t *at = mmap(NULL, 4 * BYTES, PROT_NONE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uintptr_t step = PS_REGION_STEP;

	if (at == MAP_FAILED)
		exit(1);
	at += -(uintptr_t)at & (step - 1);
	if (mmap(at, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED |
		 MAP_ANONYMOUS | (huge ? MAP_HUGETLB : 0), -1, 0) ==
	    MAP_FAILED) {
		perror("zero: memory");
		exit(1);
	}
	for (uint32_t i = 0; i < BYTES; i++)
		at[i] = pattern(i);
	return at;
}

static void put16(uint8_t *at, uint32_t v)
{
	at[0] = (uint8_t)(v >> 8);
	at[1] = (uint8_t)v;
}

static void put32(uint8_t *at, uint32_t v)
{
	put16(at, v >> 16);
	put16(at + 2, v);
}

static uint32_t fresh_buffer(void)
{
	for (int i = 0; i < 2000 && !spares; i++) {
		spares = ps_returned(h, spare, 64);
		if (!spares && ps_sync(h) < 0)
			break;
	}
	if (!spares) {
		printf("zero: nothing comes back\n");
		exit(1);
	}
	return spare[--spares];
}

/* Region slots for [@at, @at + @bytes), no longer than @most; how many. */
static uint32_t region_slots(struct ps_slot *s, uint32_t at, uint32_t bytes,
			     uint32_t most)
{
	uint32_t n = 0;

	while (bytes) {
		uint32_t len = unit - at % unit;

		len = len < most ? len : most;
		len = len < bytes ? len : bytes;
		s[n++] = (struct ps_slot){ .buf = at, .len = (uint16_t)len,
			.hash = (uint32_t)region,
			.flags = PS_F_REGION | (bytes > len ? PS_F_MORE : 0) };
		at += len;
		bytes -= len;
	}
	return n;
}

static void udp_head(uint8_t *f, uint32_t number, uint32_t at, uint32_t bytes)
{
	static const uint8_t to[6] = { 2, 0, 0, 0, 0, 0x99 };

	memset(f, 0, HEAD);
	memcpy(f, to, 6);
	f[6] = 2;
	f[12] = 8;
	f[14] = 0x45;
	put16(f + 16, HEAD - 14 + bytes);
	f[22] = 64;
	f[23] = 17;
	put32(f + 42, number);
	put32(f + 46, at);
}

static int send_udp(uint32_t number, uint32_t at, uint32_t bytes, uint32_t most)
{
	struct ps_slot s[PS_FRAGS_MAX];
	uint32_t buf = fresh_buffer(), n;

	udp_head(ps_buffer(h, buf), number, at, bytes);
	s[0] = (struct ps_slot){ .buf = buf, .len = HEAD, .flags = PS_F_MORE };
	n = 1 + region_slots(s + 1, at, bytes, most);
	return ps_put(h, s, n);
}

/* 16,000 bytes over a page's, or a step's, end, in segments of 1,448. */
static int send_tso(uint32_t at, uint32_t bytes)
{
	struct ps_slot s[PS_FRAGS_MAX];
	uint32_t buf = fresh_buffer(), n, sum = 6;
	uint8_t *f = ps_buffer(h, buf);

	udp_head(f, 0, 0, 0);
	f[23] = 6;
	memset(f + 34, 0, 20);
	put32(f + 38, at);		/* the sequence number is the place */
	f[46] = 0x50;
	f[47] = 0x10;
	for (int i = 26; i < 34; i += 2)
		sum += (uint32_t)f[i] << 8 | f[i + 1];
	put16(f + 50, sum);
	put16(f + 16, 40 + bytes);
	s[0] = (struct ps_slot){ .buf = buf, .len = 54, .mss = 1448,
		.l2_len = 14, .l3_len = 20, .l4_len = 20,
		.flags = PS_F_MORE | PS_F_TSO | PS_F_CSUM_IP | PS_F_CSUM_TCP };
	n = 1 + region_slots(s + 1, at, bytes, PS_REGION_SLOT);
	return ps_put(h, s, n);
}

/* Until all that was put has been sent: UNMAP goes through. */
static void settle(void)
{
	int r = -EBUSY;

	for (int i = 0; i < 2000 && r == -EBUSY; i++) {
		expect("sync", ps_sync(h), 0);
		r = ps_unmap(h, region);
	}
	expect("unmap", r, 0);
	expect("pinned", pinned(), 0);
}

static void send_all(void)
{
	uint32_t number = 0, at = 0;

	for (uint32_t bytes = 10; bytes <= 9600; bytes += 1 + bytes / 20, number++) {
		at = (at + 77773) % (BYTES - 10000);
		if (number % 5 == 0)	/* over the first step's end */
			at = PS_REGION_STEP - bytes / 2;
		expect("put", send_udp(number, at, bytes,
				       1 + bytes / 12 + number % 300), 0);
		expect("sync", ps_sync(h), 0);
	}
	expect("cut", send_tso(PS_REGION_STEP - 8000, 16000), 0);
	settle();
	expect("bad slots", (long)ps_counters(h)->bad_slots, 0);
	printf("zero: sent %u unit %u\n", number, unit);
}

static int map_at(const void *at, size_t bytes)
{
	uint32_t u;
	int r = ps_map(h, at, bytes, &u);

	return r > 0 ? 0 : r;
}

static volatile uint32_t *registers(const char *bus, void *at)
{
	char path[128];
	void *m;
	int fd;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/resource0", bus);
	fd = open(path, O_RDWR);
	m = mmap(at, 1 << 17, PROT_READ | PROT_WRITE,
		 MAP_SHARED | (at ? MAP_FIXED : 0), fd, 0);
	if (m == MAP_FAILED) {
		perror(path);
		exit(1);
	}
	return m;
}

/* Beyond the limit and without the right to exceed it. */
static void limit(void)
{
	struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct d[2] = { 0 };
	struct rlimit l = { 3u << 20, 3u << 20 };
	uint32_t u;
	int r;

	setrlimit(RLIMIT_MEMLOCK, &l);
	expect("more than the limit, allowed", map_at(memory, BYTES), 0);
	expect("pinned", pinned(), (STEPS + STEPS) * 2048);
	syscall(SYS_capget, &head, d);
	d[0].effective &= ~(1u << CAP_IPC_LOCK);
	syscall(SYS_capset, &head, d);
	expect("more than the limit", map_at(memory, BYTES), -ENOMEM);
	expect("pinned", pinned(), (STEPS + STEPS) * 2048);
	expect("unmap", ps_unmap(h, 1), 0);
	expect("unmap", ps_unmap(h, 2), 0);
	r = ps_map(h, memory, PS_REGION_STEP, &u);
	expect("within the limit", r, 1);
	expect("the limit is reached", map_at(memory, PS_REGION_STEP), -ENOMEM);
	expect("pinned", pinned(), 2048);
	expect("unmap", ps_unmap(h, 1), 0);
	d[0].effective |= 1u << CAP_IPC_LOCK;
	syscall(SYS_capset, &head, d);
}

static void refused_maps(const char *bus)
{
	struct ps_map m = { .addr = ~0ull << 21, .bytes = BYTES };
	int other = open("/dev/ps/xge0", O_RDWR);
	uint8_t *edge = memory + BYTES - PS_REGION_STEP;

	expect("not attached", ioctl(other, PS_IOC_MAP, &m) ? errno : 0, ENXIO);
	expect("not attached", ioctl(other, PS_IOC_UNMAP, 1) ? errno : 0, ENXIO);
	expect("no argument", ioctl(ps_fd(h), PS_IOC_MAP, NULL) ? errno : 0,
	       EFAULT);
	expect("wraps", ioctl(ps_fd(h), PS_IOC_MAP, &m) ? errno : 0, EINVAL);
	m.addr = ~0ull << 22;
	m.bytes = PS_REGION_STEP;
	expect("the kernel's", ioctl(ps_fd(h), PS_IOC_MAP, &m) ? errno : 0,
	       EFAULT);
	expect("nothing", map_at(memory, 0), -EINVAL);
	expect("half a step", map_at(memory, PS_REGION_STEP / 2), -EINVAL);
	expect("off a step", map_at(memory + 4096, PS_REGION_STEP), -EINVAL);
	expect("too much", map_at(memory, 2ul * PS_REGION_MAX), -EINVAL);
	expect("not there", map_at(edge, 2 * PS_REGION_STEP), -EFAULT);
	expect("none there", map_at(memory + BYTES, PS_REGION_STEP), -EFAULT);
	expect("no region", ps_unmap(h, 0), -EINVAL);
	expect("no region", ps_unmap(h, 2), -EINVAL);
	expect("no region", ps_unmap(h, -1), -EINVAL);
	expect("no region", ps_unmap(h, PS_REGIONS_MAX + 1), -EINVAL);
	registers(bus, edge + PS_REGION_STEP / 2);	/* device memory */
	expect("registers", map_at(edge, PS_REGION_STEP), -EFAULT);
	expect("pinned", pinned(), STEPS * 2048);
	munmap(edge, PS_REGION_STEP);	/* what was mapped before stays */
	close(other);
}

/* One slot behind a good header; it must be refused and nothing sent. */
static void refused(const char *what, struct ps_slot s)
{
	uint64_t bad = ps_counters(h)->bad_slots, out = ps_counters(h)->tx_frames;
	uint32_t buf = fresh_buffer();
	struct ps_slot head = { .buf = buf, .len = HEAD, .flags = PS_F_MORE };
	struct ps_slot f[2] = { head, s };

	f[1].flags |= PS_F_REGION;
	f[0].flags |= s.flags & PS_F_SLOW;
	udp_head(ps_buffer(h, buf), 0, 0, s.len);
	expect("put", ps_put(h, f, 2), 0);
	expect("sync", ps_sync(h), 0);
	expect(what, (long)(ps_counters(h)->bad_slots - bad), 2);
	expect(what, (long)(ps_counters(h)->tx_frames - out), 0);
	expect("header comes back", ps_returned(h, spare, 64), 1);
	spares = 1;
}

static void refused_slots(void)
{
	uint32_t r = (uint32_t)region;
	struct ps_slot first = { .hash = r, .len = 100, .flags = PS_F_REGION };

	refused("another region", (struct ps_slot){ .hash = 2, .len = 9 });
	refused("region 0", (struct ps_slot){ .hash = 0, .len = 9 });
	refused("far region", (struct ps_slot){ .hash = ~0u, .len = 9 });
	refused("behind it", (struct ps_slot){ .hash = r, .buf = BYTES,
		.len = 9 });
	refused("over its end", (struct ps_slot){ .hash = r, .buf = BYTES - 8,
		.len = 9 });
	refused("over a unit's end", (struct ps_slot){ .hash = r,
		.buf = unit - 8, .len = 9 });
	refused("wraps", (struct ps_slot){ .hash = r, .buf = ~0u, .len = 9 });
	refused("no byte", (struct ps_slot){ .hash = r });
	refused("offset", (struct ps_slot){ .hash = r, .len = 9, .off = 1 });
	refused("long", (struct ps_slot){ .hash = r,
		.len = PS_REGION_SLOT + 1 });
	refused("to the kernel", (struct ps_slot){ .hash = r, .len = 9,
		.flags = PS_F_SLOW });
	expect("put", ps_put(h, &first, 1), 0);
	expect("sync", ps_sync(h), 0);
	expect("no header", (long)ps_counters(h)->tx_frames, 0);
}

static void errors(const char *bus)
{
	uint32_t u;

	refused_slots();
	limit();
	expect("again", ps_map(h, memory, BYTES, &u), 1);
	region = 1;
	expect("a second", ps_map(h, memory, PS_REGION_STEP, &u), 2);
	expect("unmap", ps_unmap(h, 2), 0);
	refused("unmapped", (struct ps_slot){ .hash = 2, .len = 9 });
	refused_maps(bus);
	settle();
	printf("zero: %d failures\n", failures);
}

static void busy(const char *bus)
{
	volatile uint32_t *reg = registers(bus, NULL);
	uint32_t v = reg[DMATXCTL / 4];

	reg[DMATXCTL / 4] = v & ~1u;	/* the chip stops sending */
	expect("put", send_udp(1, 0, 1000, 400), 0);
	expect("sync", ps_sync(h), 0);
	expect("in flight", ps_unmap(h, region), -EBUSY);
	expect("sync", ps_sync(h), 0);
	expect("still", ps_unmap(h, region), -EBUSY);
	expect("pinned", pinned(), STEPS * 2048);
	reg[DMATXCTL / 4] = v;
	expect("put", send_udp(2, 5000, 1000, 400), 0);
	settle();
	printf("zero: %d failures\n", failures);
}

/* In flight when the device goes or this process is killed. */
static void hold(const char *bus)
{
	volatile uint32_t *reg = registers(bus, NULL);
	int r = 0;

	reg[DMATXCTL / 4] &= ~1u;
	for (uint32_t i = 0; i < 20; i++)
		expect("put", send_udp(i, i * 4000, 5000, 4096), 0);
	expect("sync", ps_sync(h), 0);
	printf("zero: holds\n");
	fflush(stdout);
	for (int i = 0; i < 300 && r == 0; i++) {
		usleep(50000);
		r = ps_sync(h);
	}
	printf("zero: ended with %s, %ld KiB pinned\n", strerror(-r), pinned());
	expect("refused now", map_at(memory, BYTES), r);
	expect("unmap", ps_unmap(h, region), 0);
	expect("pinned", pinned(), 0);
	for (uint32_t i = 0; i < BYTES; i++)
		if (memory[i] != pattern(i))
			failures++;
	printf("zero: %d failures\n", failures);
}

int main(int argc, char **argv)
{
	struct ps_attach a = { 0 };
	const char *what = argc > 2 ? argv[2] : "", *more = argc > 3 ? argv[3] : "";
	int first;

	if (argc < 3 || ps_attach_queue(&h, argv[1], &a) < 0 ||
	    (first = ps_reserve(h, 64)) < 0)
		return 2;
	for (; spares < 64; spares++)
		spare[spares] = (uint32_t)first + spares;
	memory = make_memory(!strcmp(more, "huge"));
	region = ps_map(h, memory, BYTES, &unit);
	if (!strcmp(what, "copied")) {
		expect("map", region, -EOPNOTSUPP);
		expect("pinned", pinned(), 0);
		printf("zero: %d failures\n", failures);
		return failures != 0;
	}
	expect("map", region, 1);
	expect("pinned", pinned(), STEPS * 2048);
	if (!strcmp(what, "send"))
		send_all();
	else if (!strcmp(what, "errors"))
		errors(more);
	else if (!strcmp(what, "busy"))
		busy(more);
	else if (!strcmp(what, "hold"))
		hold(more);
	ps_detach_queue(h);
	return failures != 0;
}
