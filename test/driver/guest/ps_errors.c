/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/* ps_errors.c PATH - each misuse of the contract earns its errno */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "ps_ixgbe/ps_ring.h"

static int failures;

static void expect(const char *what, int r, int want)
{
	int got = r < 0 ? errno : 0;

	if (got == want)
		return;
	printf("errors: %s: %s, not %s\n", what, strerror(got), strerror(want));
	failures++;
}

static const struct ps_attach good = { .version = PS_UAPI_VERSION,
	.rx_slots = 64, .tx_slots = 64 };

static void bad_attaches(int fd)
{
	struct ps_attach a = good;

	a.version = 99;
	expect("version", ioctl(fd, PS_IOC_ATTACH, &a), EPROTONOSUPPORT);
	a = good;
	a.queue = 15;
	expect("queue", ioctl(fd, PS_IOC_ATTACH, &a), EINVAL);
	a = good;
	a.rx_slots = 100;
	expect("rx_slots", ioctl(fd, PS_IOC_ATTACH, &a), EINVAL);
	a = good;
	a.tx_slots = 1 << 20;
	expect("tx_slots", ioctl(fd, PS_IOC_ATTACH, &a), EINVAL);
	a = good;
	a.extra = ~0u;
	expect("extra", ioctl(fd, PS_IOC_ATTACH, &a), EINVAL);
	a = good;
	a.flags = 0x80;
	expect("flags", ioctl(fd, PS_IOC_ATTACH, &a), EINVAL);
	expect("address", ioctl(fd, PS_IOC_ATTACH, NULL), EFAULT);
}

int main(int argc, char **argv)
{
	struct ps_attach a = good;
	struct ps_head *h;
	struct ps_slot *tx;
	struct ps_sync s;
	int fd, other;

	if (argc != 2 || (fd = open(argv[1], O_RDWR)) < 0)
		return 1;
	expect("sync unattached", ioctl(fd, PS_IOC_SYNC, &s), ENXIO);
	expect("detach unattached", ioctl(fd, PS_IOC_DETACH), ENXIO);
	expect("unknown call", ioctl(fd, _IO('p', 0xff)), ENOTTY);
	bad_attaches(fd);
	expect("attach", ioctl(fd, PS_IOC_ATTACH, &a), 0);
	other = open(argv[1], O_RDWR);
	a = good;
	expect("queue taken", ioctl(other, PS_IOC_ATTACH, &a), EBUSY);
	a = good;
	expect("attached twice", ioctl(fd, PS_IOC_ATTACH, &a), EBUSY);
	expect("detach", ioctl(fd, PS_IOC_DETACH), 0);
	a = good;
	expect("attach again", ioctl(fd, PS_IOC_ATTACH, &a), 0);
	h = mmap(NULL, a.head_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	expect("map", h == MAP_FAILED ? -1 : 0, 0);
	if (h == MAP_FAILED)
		return 1;
	/* buffer 0 is the receiver's: sending it must be refused and counted */
	tx = (void *)((char *)h + a.slots_offset);
	tx += PS_RING_TX * a.ring_slots;
	tx[0] = (struct ps_slot){ .buf = 0, .len = 60 };
	tx[1] = (struct ps_slot){ .buf = 1u << 31, .len = 60 };
	/* the chip hangs on less than 17 bytes */
	tx[2] = (struct ps_slot){ .buf = a.buffers - 1, .len = 16 };
	h->ring[PS_RING_TX].tail = 3;
	expect("foreign buffers", ioctl(fd, PS_IOC_SYNC, &s), 0);
	if (h->bad_slots != 3 || h->tx_frames) {
		printf("errors: bad_slots %llu\n", (unsigned long long)h->bad_slots);
		failures++;
	}
	h->ring[PS_RING_TX].tail = 0x80000000;
	expect("nonsense tail", ioctl(fd, PS_IOC_SYNC, &s), EPROTO);
	expect("stays stopped", ioctl(fd, PS_IOC_SYNC, &s), EPROTO);
	printf("errors: %d failures\n", failures);
	return failures != 0;
}
