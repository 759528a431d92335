/*
 * state.h - the memory of one engine: a reserved range that can be handed over
 *
 *	memfd:  | flow table | connections | extents | ... | never used |
 *	        0            ^ every piece on a page of its own          reserve
 *
 * One memfd an engine holds everything that a successor would need; what lies
 * in it is linked by 32-bit indexes and not by pointers (ARCHITECTURE,
 * decision 7).  The range is reserved once and populated by first touch, so
 * capacity for ten million connections costs no memory until they come.
 *
 * Ownership state_alloc() memory is zeroed and lives until state_close().
 * Threads   Opened by control; afterwards the engine's.
 * Errors    Negative errno.  Memory that runs out on first touch is fatal to
 *           the process (SIGBUS): set limits accordingly.
 */
#ifndef MEM_STATE_H
#define MEM_STATE_H

#include <stdbool.h>
#include <stddef.h>

struct state;

/*
 * Reserves @reserve_bytes (rounded up to 2 MiB).  @numa_node -1: any.  @huge
 * asks for transparent huge pages: a table of a million connections is then a
 * few hundred TLB entries.
 */
int state_open(struct state **out, const char *name, int numa_node, bool huge,
	       size_t reserve_bytes);

/* A tcp_alloc_fn (tcp.h): page-aligned zeroed memory, or NULL when the
 * reserve is used up. */
void *state_alloc(void *state, const char *what, size_t bytes);

void state_close(struct state *s);

#endif
