/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * ps_fake.h - ps_ixgbe's side of the contract in the same process
 *
 * libps's open(), ioctl(), mmap() and close() of /dev/ps/fakeN land here
 * (linked with --wrap).  A queue keeps what the kernel keeps: who owns each
 * buffer, what the receiver holds, in order; and it checks its user: a slot
 * with a foreign buffer, or a broken count, is counted in `wrong`.
 *
 * Regions are the memory itself, named as the kernel would; MAP and UNMAP go by
 * its rules, but for pinning.
 *
 * What is sent is given to `sent`, and its buffers come back when `returning`
 * says so; fake_arrive() puts a frame into the receiver's next buffer.
 */
#ifndef L0_PS_FAKE_H
#define L0_PS_FAKE_H

#include <stdbool.h>
#include <stdint.h>

#include "../../../driver/ps_ixgbe/ps_ring.h"

#define FAKES	4
#define FAKE_REGIONS	8	/* of a queue, from number 1 on */

struct fake {
	bool open, attached;
	int fd;				/* an eventfd: readable when poll() is */
	uint32_t *event;
	struct ps_attach a;
	struct ps_head *head;		/* NULL: not mapped */
	uint8_t *buffers;
	uint32_t *descriptors;
	struct ps_ring ring[PS_RINGS];
	struct ps_owners owners;
	uint32_t *held, fill, next, came;	/* the receiver's buffers; counts */
	uint32_t *lengths;
	uint32_t *out, out_first, out_count;	/* sent, not returned */
	struct ps_region memory[FAKE_REGIONS + 1], *region[FAKE_REGIONS + 1];
	const uint8_t *region_at[FAKE_REGIONS + 1];
	struct ps_regions regions;
	uint64_t syncs, slow, wrong;
	uint8_t key[PS_RSS_KEY_BYTES];

	/* what the test sets */
	int attach_error, sync_error, interrupt;	/* errno; calls cut short */
	int map_fails;			/* the n-th mmap() from now */
	int region_error;		/* errno of MAP */
	uint32_t unit_log2;		/* of the next region */
	bool copies, holds;		/* no descriptors; sent is not returned */
	bool full;			/* the chip takes nothing */
	void (*sent)(struct fake *f, const struct ps_slot *s, int n);
};

extern struct fake fakes[FAKES];
extern int maps;			/* mmap()s less munmap()s */

void fake_reset(void);

/* A frame comes in; false: the receiver has no buffer. */
bool fake_arrive(struct fake *f, const void *data, uint32_t bytes);

/* Buffers that the user has, as the kernel sees it. */
uint32_t fake_users(const struct fake *f);

#endif
