#include "kit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/log.h"

/* ---- memory ---- */

struct kit_chunk {
	struct kit_chunk *next;
	size_t bytes;
	_Alignas(64) uint8_t memory[];
};

static void *map_zeroed(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	ENSURE(p != MAP_FAILED, "a test needs memory");
	return p;
}

void *kit_alloc(void *arg, const char *what, size_t bytes)
{
	struct kit_heap *heap = arg;
	size_t total = sizeof(struct kit_chunk) + bytes;
	struct kit_chunk *c;

	(void)what;
	total = (total + 63) & ~(size_t)63;
	c = aligned_alloc(64, total);
	ENSURE(c != NULL, "a test needs memory");
	memset(c, 0, total);
	c->next = heap->chunks;
	c->bytes = bytes;
	heap->chunks = c;
	return c->memory;
}

void kit_free(struct kit_heap *heap)
{
	struct kit_chunk *c = heap->chunks, *next;

	for (; c; c = next) {
		next = c->next;
		free(c);
	}
	heap->chunks = NULL;
}

/* ---- arenas ---- */

/* The slab just added ends after @left blocks: as if it were that small. */
static void cut_slab(struct arena *a, enum block_class cls, uint32_t left)
{
	uint32_t b = a->free_head[cls];

	if (left >= a->free_count[cls])
		return;
	for (uint32_t i = 1; i < left; i++)
		b = block_meta(a, b)->next_free;
	block_meta(a, b)->next_free = BLOCK_NONE;
	a->free_count[cls] = left;
	a->total[cls] = left;
}

static void arena_begin(struct kit_arena *k, uint32_t slabs)
{
	int rc;

	memset(k, 0, sizeof(*k));
	k->segment_bytes = (size_t)slabs * SLAB_BYTES;
	k->segment = map_zeroed(k->segment_bytes);
	rc = arena_init(&k->arena, k->segment, slabs);
	ENSURE(rc == 0, "a test needs an arena");
}

static void add_classes(struct kit_arena *k, const uint32_t *left)
{
	int rc;

	for (uint32_t c = 0; c < BLOCK_CLASSES; c++) {
		enum block_class cls = (enum block_class)c;

		k->meta[c] = calloc(1, slab_meta_bytes(cls));
		ENSURE(k->meta[c] != NULL, "a test needs memory");
		rc = arena_add_slab(&k->arena, 1 + c, cls, k->meta[c]);
		ENSURE(rc == 0, "a slab joins a new arena");
		cut_slab(&k->arena, cls, left[c]);
	}
}

void kit_arena_init(struct kit_arena *k, uint32_t small, uint32_t large)
{
	const uint32_t left[BLOCK_CLASSES] = { small, large };

	arena_begin(k, 1 + BLOCK_CLASSES);
	add_classes(k, left);
}

void kit_arena_wide(struct kit_arena *k, uint32_t slabs)
{
	const uint32_t left[BLOCK_CLASSES] = { UINT32_MAX, UINT32_MAX };
	uint32_t bytes = slab_meta_bytes(BLOCK_LARGE);
	int rc = 0;

	arena_begin(k, 1 + BLOCK_CLASSES + slabs);
	add_classes(k, left);
	k->more = calloc(slabs, bytes);
	ENSURE(k->more != NULL, "a test needs memory");
	for (uint32_t i = 0; i < slabs && rc == 0; i++)
		rc = arena_add_slab(&k->arena, 1 + BLOCK_CLASSES + i,
				    BLOCK_LARGE,
				    k->more + (size_t)i * bytes / sizeof(*k->more));
	ENSURE(rc == 0, "slabs join a new arena");
}

void kit_arena_fini(struct kit_arena *k)
{
	arena_fini(&k->arena);
	free(k->more);
	for (uint32_t c = 0; c < BLOCK_CLASSES; c++)
		free(k->meta[c]);
	munmap(k->segment, k->segment_bytes);
}

uint32_t kit_arena_leaked(const struct kit_arena *k)
{
	return arena_in_use(&k->arena);
}

/* ---- known bytes ---- */

/* Eight bytes at once: a multiplicative mix of the word's number. */
static uint64_t pattern_word(uint32_t stream, uint64_t word)
{
	uint64_t x = (word + 1) * 0x9e3779b97f4a7c15ull;

	x ^= (uint64_t)stream * 0xd6e8feb86659fd93ull;
	x ^= x >> 29;
	return x * 0xbf58476d1ce4e5b9ull;
}

uint8_t kit_byte(uint32_t stream, uint64_t offset)
{
	return (uint8_t)(pattern_word(stream, offset / 8) >>
			 (8 * (offset % 8)));
}

void kit_bytes(uint8_t *out, uint32_t len, uint32_t stream, uint64_t offset)
{
	while (len && offset % 8) {
		*out++ = kit_byte(stream, offset++);
		len--;
	}
	for (; len >= 8; len -= 8, out += 8, offset += 8) {
		uint64_t w = pattern_word(stream, offset / 8);

		memcpy(out, &w, 8);
	}
	for (; len; len--)
		*out++ = kit_byte(stream, offset++);
}

int64_t kit_differs(const uint8_t *bytes, uint32_t len, uint32_t stream,
		    uint64_t offset)
{
	uint8_t want[256];

	for (uint32_t i = 0; i < len; i += sizeof(want)) {
		uint32_t n = len - i < sizeof(want) ? len - i : sizeof(want);

		kit_bytes(want, n, stream, offset + i);
		if (memcmp(want, bytes + i, n) == 0)
			continue;
		for (uint32_t j = 0; j < n; j++)
			if (bytes[i + j] != want[j])
				return i + j;
	}
	return -1;
}

int kit_write(struct tcp_env *env, struct kit_arena *k, uint32_t conn,
	      enum block_class cls, uint32_t len, uint32_t stream,
	      uint64_t offset, bool more, mono_t now)
{
	uint32_t b = block_grant(&k->arena, cls, 0);
	int rc;

	if (b == BLOCK_NONE)
		return 0;
	if (len > block_class_bytes(cls))
		len = block_class_bytes(cls);
	kit_bytes(block_bytes(&k->arena, b), len, stream, offset);
	rc = block_fill(&k->arena, b, 0, 0, len);
	ENSURE(rc == 0, "a granted block can be filled");
	rc = tcp_send(env, conn, b, 0, len, more, now);
	ENSURE(block_give_up(&k->arena, b, 0) == 0, "it was granted to us");
	return rc ? rc : (int)len;
}

/* ---- checksum ---- */

static uint64_t sum_bytes(uint64_t sum, const uint8_t *p, uint32_t len)
{
	for (uint32_t i = 0; i + 1 < len; i += 2)
		sum += (uint64_t)p[i] << 8 | p[i + 1];
	if (len & 1)
		sum += (uint64_t)p[len - 1] << 8;
	return sum;
}

uint16_t kit_csum(const struct ip_addr *src, const struct ip_addr *dst,
		  const uint8_t *l4, uint32_t len)
{
	uint64_t sum = 6 + len;		/* protocol TCP, and the length */

	sum = sum_bytes(sum, src->b + 12, 4);
	sum = sum_bytes(sum, dst->b + 12, 4);
	sum = sum_bytes(sum, l4, len);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons((uint16_t)~sum);
}

/* ---- random numbers ---- */

void kit_seed(struct kit_rand *r, uint64_t seed)
{
	r->state = seed * 0x9e3779b97f4a7c15ull + 0x1234567;
	if (!r->state)
		r->state = 1;
	for (int i = 0; i < 4; i++)
		kit_rand(r);
}

uint64_t kit_rand(struct kit_rand *r)
{
	r->state ^= r->state >> 12;
	r->state ^= r->state << 25;
	r->state ^= r->state >> 27;
	return r->state * 0x2545f4914f6cdd1dull;
}

uint32_t kit_below(struct kit_rand *r, uint32_t n)
{
	return (uint32_t)((kit_rand(r) >> 32) * n >> 32);
}

bool kit_one_in(struct kit_rand *r, uint32_t n)
{
	return kit_below(r, n) == 0;
}
