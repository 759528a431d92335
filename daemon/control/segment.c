/*
 * A client's segment: a sealed memfd, mapped at its quota, populated a slab at
 * a time.  fallocate() is what may fail, and it fails with an error code; no
 * engine ever takes the first fault of a page.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/log.h"
#include "control/account.h"
#include "control/control.h"

#define SEALS	(F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

/* Are there huge pages for the whole quota, and not promised to others? */
static bool want_huge(struct control *c, uint32_t slabs)
{
	if (c->cfg->engine.huge_pages == CHOICE_NO)
		return false;
	if (huge_pages_free() >= c->huge_promised + slabs)
		return true;
	if (!c->huge_told && huge_pages_free()) {
		c->huge_told = true;
		log_info("a client segment of %u slabs uses normal pages: %u "
			 "huge pages are free, %lu of them promised", slabs,
			 huge_pages_free(), (unsigned long)c->huge_promised);
	}
	return false;
}

static int make_file(const char *name, bool huge, uint64_t bytes)
{
	char text[64];
	int fd;

	snprintf(text, sizeof(text), "mtcpd-client-%.32s", name);
	fd = memfd_create(text, MFD_CLOEXEC | MFD_ALLOW_SEALING |
			  (huge ? MFD_HUGETLB | MFD_HUGE_2MB : 0));
	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)bytes) < 0 ||
	    fcntl(fd, F_ADD_SEALS, SEALS) < 0) {
		int err = -errno;

		close(fd);
		return err;
	}
	return fd;
}

/* On a slab boundary, which huge pages need and hole.c's mapping likes. */
static void *map_segment(int fd, uint64_t bytes)
{
	uint8_t *at = mmap(NULL, bytes + SLAB_BYTES, PROT_NONE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	uint64_t before;
	void *base;

	if (at == MAP_FAILED)
		return at;
	before = -(uintptr_t)at & (SLAB_BYTES - 1);
	if (before)
		munmap(at, before);
	munmap(at + before + bytes, SLAB_BYTES - before);
	base = mmap(at + before, bytes, PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_NORESERVE | MAP_FIXED, fd, 0);
	if (base == MAP_FAILED)
		munmap(at + before, bytes);
	return base;
}

static int open_file(struct control *c, struct segment *s, const char *name)
{
	uint64_t bytes = (uint64_t)s->slabs * SLAB_BYTES;

	s->huge = want_huge(c, s->slabs);
	s->fd = make_file(name, s->huge, bytes);
	if (s->fd < 0 && s->huge) {
		s->huge = false;
		s->fd = make_file(name, false, bytes);
	}
	return s->fd < 0 ? s->fd : 0;
}

static void write_header(struct control *c, struct segment *s)
{
	struct segment_header h = {
		.magic = LAYOUT_MAGIC, .version = LAYOUT_VERSION,
		.engines = c->engine_count, .slabs = s->slabs,
		.daemon_start_us = c->start_us,
	};

	memcpy(s->base, &h, sizeof(h));
}

/* What the header, a first context's rings and its first blocks take. */
static uint32_t first_slabs(const struct control *c, uint32_t slabs)
{
	uint32_t first = 1 + c->engine_count +
			 (context_bytes(c->engine_count) + SLAB_BYTES - 1) /
				 SLAB_BYTES;

	return first < slabs ? first : slabs;
}

static int charge(struct segment *s, uint32_t slabs)
{
	uint32_t more = slabs > s->charged ? slabs - s->charged : 0;
	int err = more ? account_charge(s->account, (uint64_t)more * SLAB_BYTES)
		       : 0;

	if (err == 0)
		s->charged += more;
	return err;
}

int segment_open(struct control *c, struct segment *s, uint32_t slabs,
		 struct account *account, const char *name, char *text)
{
	int err;

	*s = (struct segment){ .fd = -1, .slabs = slabs, .account = account };
	err = charge(s, first_slabs(c, slabs));
	if (err < 0)
		goto fail;
	s->slab = calloc(slabs, sizeof(*s->slab));
	err = s->slab ? open_file(c, s, name) : -ENOMEM;
	if (err < 0)
		goto fail;
	s->base = map_segment(s->fd, (uint64_t)slabs * SLAB_BYTES);
	if (s->base == MAP_FAILED) {
		err = -errno;
		s->base = NULL;
		goto fail;
	}
	c->huge_promised += s->huge ? slabs : 0;
	err = segment_grow(c, s, 1);
	if (err < 0)
		goto fail;
	write_header(c, s);
	return 0;

fail:
	snprintf(text, CTL_TEXT_BYTES, "no shared memory for a segment of %lu "
		 "MiB: %s", (unsigned long)slabs * (SLAB_BYTES >> 20),
		 strerror(-err));
	segment_close(c, s);
	return err;
}

void segment_close(struct control *c, struct segment *s)
{
	if (s->huge && s->base)
		c->huge_promised -= s->slabs - s->used;
	for (uint32_t i = 0; s->slab && i < s->used; i++)
		engine_node_free(s->slab[i].meta, s->slab[i].meta_bytes);
	free(s->slab);
	if (s->base)
		munmap(s->base, (uint64_t)s->slabs * SLAB_BYTES);
	if (s->fd >= 0)
		close(s->fd);
	account_release(s->account, (uint64_t)s->charged * SLAB_BYTES);
	*s = (struct segment){ .fd = -1 };
}

int segment_grow(struct control *c, struct segment *s, uint32_t count)
{
	uint32_t first = s->used;
	int rc;

	if (count > s->slabs - s->used || charge(s, s->used + count) < 0)
		return -EDQUOT;
	do {
		rc = fallocate(s->fd, 0, (off_t)first * SLAB_BYTES,
			       (off_t)count * SLAB_BYTES);
	} while (rc < 0 && errno == EINTR);
	if (rc < 0)
		return -errno;
	s->used += count;
	if (s->huge)
		c->huge_promised -= count;
	return (int)first;
}
