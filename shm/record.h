/*
 * record.h - what commands and events have in common: the socket's handle
 *
 *	63      56 55                 32 31                            0
 *	| engine  |  generation (24)    |  index in the engine's table   |
 *
 * A handle is never reused before its `closed` was sent and the client's
 * `close` was seen; the generation makes a stale handle an error (or, for
 * commands that cross an event, nothing) instead of somebody else's socket.
 */
#ifndef SHM_RECORD_H
#define SHM_RECORD_H

#include <stdint.h>

#define HANDLE_NONE	0ull

static inline uint64_t handle_make(uint32_t engine, uint32_t generation,
				   uint32_t index)
{
	return (uint64_t)(engine & 0xff) << 56 |
	       (uint64_t)(generation & 0xffffff) << 32 | index;
}

static inline uint32_t handle_engine(uint64_t h)
{
	return (uint32_t)(h >> 56);
}

static inline uint32_t handle_generation(uint64_t h)
{
	return (uint32_t)(h >> 32) & 0xffffff;
}

static inline uint32_t handle_index(uint64_t h)
{
	return (uint32_t)h;
}

#endif
