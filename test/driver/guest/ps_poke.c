/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/* ps_poke.c BUS REG [VALUE] - read or write a register of an 82599 behind its
 * driver's back (Linux with iomem=relaxed) */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

int main(int argc, char **argv)
{
	volatile uint32_t *bar;
	char path[128];
	size_t reg;
	int fd;

	if (argc < 3)
		return 2;
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/resource0",
		 argv[1]);
	fd = open(path, O_RDWR);
	bar = mmap(NULL, 1 << 17, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (fd < 0 || bar == MAP_FAILED) {
		perror(path);
		return 1;
	}
	reg = strtoul(argv[2], NULL, 16) / 4;
	if (argc > 3)
		bar[reg] = (uint32_t)strtoul(argv[3], NULL, 16);
	printf("%08x\n", bar[reg]);
	return 0;
}
