/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * ps_nomem.c - what becomes of a queue, or a port, for which memory lacks
 *
 *	all PATH		attaches queues of the greatest size until there
 *				is no memory; says how many
 *	attach PATH STEP	attaches, and maps memory to send from, with each
 *				STEPth allocation failing
 *	bind PCI STEP		as attach: the device is bound to the driver
 *
 * The latter two need a kernel with fault injection: /proc/self/fail-nth makes
 * the nth allocation of this process fail, and reads 0 once it has.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "libps/ps.h"

#define DRIVER	"/sys/bus/pci/drivers/ps_ixgbe/"
#define NTH_MAX	4000

static uint8_t *memory;		/* PS_REGION_STEP, there before anything fails */

/* Maps nothing: this process must not need memory itself. */
static int all(const char *path)
{
	int fd[PS_DEVICES_MAX], r = 0;
	unsigned int n = 0;

	for (; n < 15 && r == 0; n++) {
		struct ps_attach a = { .version = PS_UAPI_VERSION, .queue = n,
			.rx_slots = PS_SLOTS_MAX, .tx_slots = PS_SLOTS_MAX,
			.extra = PS_EXTRA_MAX };

		fd[n] = open(path, O_RDWR);
		r = ioctl(fd[n], PS_IOC_ATTACH, &a) < 0 ? -errno : 0;
	}
	for (unsigned int i = 0; i < n; i++)
		close(fd[i]);
	printf("nomem: %u queues, then: %s\n", n - (r != 0), ps_explain(r));
	return r != -ENOMEM;
}

static void write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	if (fd < 0 || write(fd, text, strlen(text)) < 0) {
		perror(path);
		exit(2);
	}
	close(fd);
}

static void fail_nth(int fd, int n)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%d", n);

	if (pwrite(fd, text, (size_t)len, 0) != len) {
		perror("fail-nth");
		exit(2);
	}
}

static int left(int fd)
{
	char text[16] = "";

	if (pread(fd, text, sizeof(text) - 1, 0) <= 0)
		exit(2);
	return atoi(text);
}

static int attach_once(int fd)
{
	struct ps_attach a = { .version = PS_UAPI_VERSION, .rx_slots = 64,
		.tx_slots = 64 };
	struct ps_map m = { .addr = (uintptr_t)memory, .bytes = PS_REGION_STEP };
	int r;

	if (ioctl(fd, PS_IOC_ATTACH, &a) < 0)
		return -errno;
	r = ioctl(fd, PS_IOC_MAP, &m) < 0 ? -errno : 0;
	if (r < 0)
		ioctl(fd, PS_IOC_DETACH);
	return r;
}

static int bind_once(int fd, const char *pci)
{
	return write(fd, pci, strlen(pci)) < 0 ? -errno : 0;
}

int main(int argc, char **argv)
{
	int nth, fd, n, r = 0, failed = 0, binds;

	if (argc == 3 && !strcmp(argv[1], "all"))
		return all(argv[2]);
	memory = mmap(NULL, 2 * PS_REGION_STEP, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (argc != 4 || memory == MAP_FAILED)
		return 2;
	memory += -(uintptr_t)memory & (PS_REGION_STEP - 1);
	binds = !strcmp(argv[1], "bind");
	nth = open("/proc/self/fail-nth", O_RDWR);
	fd = binds ? open(DRIVER "bind", O_WRONLY) : open(argv[2], O_RDWR);
	if (nth < 0 || fd < 0)
		return 2;
	for (n = 1; n < NTH_MAX; n += atoi(argv[3])) {
		int more;

		fail_nth(nth, n);
		r = binds ? bind_once(fd, argv[2]) : attach_once(fd);
		more = left(nth);
		fail_nth(nth, 0);
		if (r != 0 && r != -ENOMEM && !binds)
			break;
		failed += r != 0;
		if (r == 0 && binds)
			write_text(DRIVER "unbind", argv[2]);
		else if (r == 0)
			ioctl(fd, PS_IOC_DETACH);
		if (more)
			break;
	}
	printf("nomem: %d allocations, %d refusals, last: %s\n", n, failed,
	       strerror(-r));
	return r != 0 || failed == 0 || n >= NTH_MAX;
}
