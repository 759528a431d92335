/*
 * line.h - memory that begins on a cache line
 *
 * What two threads write lies on lines of its own (_Alignas in the structs),
 * and calloc() keeps no such promise.
 *
 * Ownership The caller's: free().
 * Threads   Any.
 */
#ifndef BASE_LINE_H
#define BASE_LINE_H

#include <stdlib.h>
#include <string.h>

#define LINE_BYTES	64u

/* @bytes zeroed bytes, on a line and to the end of one; NULL: no memory. */
static inline void *line_alloc(size_t bytes)
{
	size_t whole = (bytes + LINE_BYTES - 1) & ~(size_t)(LINE_BYTES - 1);
	void *at = aligned_alloc(LINE_BYTES, whole);

	return at ? memset(at, 0, whole) : NULL;
}

#endif
