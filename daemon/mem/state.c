#include "mem/state.h"

#include <errno.h>
#include <numa.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/log.h"

#define STATE_ALIGN	(2u << 20)
#define PIECE_ALIGN	4096u

struct state {
	uint8_t *base;
	size_t bytes;		/* reserved */
	size_t used;
	int fd;
};

static size_t round_up(size_t n, size_t align)
{
	return (n + align - 1) / align * align;
}

/* Maps on a huge page boundary, so that huge pages can back the range. */
static void *map_aligned(int fd, size_t bytes)
{
	uint8_t *at = mmap(NULL, bytes + STATE_ALIGN, PROT_NONE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	uint8_t *aligned;
	size_t before;

	if (at == MAP_FAILED)
		return at;
	aligned = (uint8_t *)round_up((uintptr_t)at, STATE_ALIGN);
	before = (size_t)(aligned - at);
	if (before)
		munmap(at, before);
	munmap(aligned + bytes, STATE_ALIGN - before);
	return mmap(aligned, bytes, PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_NORESERVE | MAP_FIXED, fd, 0);
}

int state_open(struct state **out, const char *name, int numa_node, bool huge,
	       size_t reserve_bytes)
{
	struct state *s = calloc(1, sizeof(*s));
	int err;

	if (!s)
		return -ENOMEM;
	s->bytes = round_up(reserve_bytes, STATE_ALIGN);
	s->fd = memfd_create(name, MFD_CLOEXEC);
	if (s->fd < 0 || ftruncate(s->fd, (off_t)s->bytes) < 0)
		goto err_file;
	s->base = map_aligned(s->fd, s->bytes);
	if (s->base == MAP_FAILED)
		goto err_file;
	if (huge && madvise(s->base, s->bytes, MADV_HUGEPAGE) < 0)
		log_debug("no transparent huge pages for %s", name);
	if (numa_node >= 0 && numa_available() >= 0)
		numa_tonode_memory(s->base, s->bytes, numa_node);
	*out = s;
	return 0;

err_file:
	err = -errno;
	if (s->fd >= 0)
		close(s->fd);
	free(s);
	return err;
}

void *state_alloc(void *state, const char *what, size_t bytes)
{
	struct state *s = state;
	size_t need = round_up(bytes, PIECE_ALIGN);

	if (need > s->bytes - s->used) {
		log_warnx("engine memory: %zu bytes for %s do not fit into the "
			  "%zu left of %zu", bytes, what, s->bytes - s->used,
			  s->bytes);
		return NULL;
	}
	s->used += need;
	return s->base + s->used - need;
}

void state_close(struct state *s)
{
	if (!s)
		return;
	munmap(s->base, s->bytes);
	close(s->fd);
	free(s);
}
