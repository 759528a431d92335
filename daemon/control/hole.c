/*
 * A client can punch holes into its segment's file.  With huge pages all taken
 * by others, the next touch of such a hole is a SIGBUS in an engine.  The
 * handler gives the whole range anonymous pages, of which the client sees
 * nothing any more, and marks the client; the engine goes on with zeroes,
 * which it checks like all that clients write.  A SIGBUS anywhere else is ours:
 * it ends the daemon as it would have without a handler.
 *
 * A signal handler has no argument, hence the one file-scope variable.
 *
 * Threads   watch and unwatch: control.  The handler: any thread, so it reads
 *           atomics only and calls what is async-signal-safe: write(), and
 *           mmap(), which is one system call.
 * Ordering  base is stored last (release) and cleared first; a range is watched
 *           before an engine knows of it and until all have let go of it.
 */
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/log.h"
#include "control/control.h"

static struct hole_table {
	struct {
		_Atomic uintptr_t base;
		_Atomic uint64_t bytes;
		_Atomic int hit;
	} range[TCP_CLIENTS_MAX];	/* by client slot */
	int bell[2];			/* pipe to the control thread */
	struct event *event;
} table;

static int range_of(uintptr_t at)
{
	for (int i = 1; i < TCP_CLIENTS_MAX; i++) {
		uintptr_t base = atomic_load_explicit(&table.range[i].base,
						      memory_order_acquire);

		if (base && at >= base &&
		    at - base < atomic_load(&table.range[i].bytes))
			return i;
	}
	return 0;
}

static void on_sigbus(int number, siginfo_t *info, void *context)
{
	int saved = errno, slot = range_of((uintptr_t)info->si_addr);
	uintptr_t base;
	ssize_t n;

	(void)context;
	base = slot ? atomic_load(&table.range[slot].base) : 0;
	if (!base || mmap((void *)base, atomic_load(&table.range[slot].bytes),
			  PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED |
			  MAP_NORESERVE, -1, 0) == MAP_FAILED) {
		signal(number, SIG_DFL);	/* the fault comes again */
		return;
	}
	atomic_store(&table.range[slot].hit, 1);
	n = write(table.bell[1], "", 1);
	(void)n;			/* full: it rings already */
	errno = saved;
}

static void detach_marked(int fd, short what, void *arg)
{
	struct control *c = arg;
	char drain[64];

	(void)what;
	while (read(fd, drain, sizeof(drain)) > 0)
		;
	for (uint32_t slot = 1; slot < TCP_CLIENTS_MAX; slot++)
		if (atomic_exchange(&table.range[slot].hit, 0) &&
		    client_by_slot(c, slot))
			client_let_go(client_by_slot(c, slot), DETACH_HOLE);
}

void hole_init(struct control *c)
{
	struct sigaction act = { .sa_sigaction = on_sigbus,
				 .sa_flags = SA_SIGINFO };

	sigemptyset(&act.sa_mask);
	if (pipe2(table.bell, O_CLOEXEC | O_NONBLOCK) < 0 ||
	    sigaction(SIGBUS, &act, NULL) < 0)
		log_fatal("cannot watch for holes in client segments");
	table.event = event_new(c->base, table.bell[0], EV_READ | EV_PERSIST,
				detach_marked, c);
	if (!table.event)
		log_fatalx("out of memory at start");
	event_add(table.event, NULL);
}

void hole_fini(void)
{
	signal(SIGBUS, SIG_DFL);
	event_free(table.event);
	close(table.bell[0]);
	close(table.bell[1]);
}

void hole_watch(uint32_t slot, uint8_t *base, uint64_t bytes)
{
	atomic_store(&table.range[slot].hit, 0);
	atomic_store(&table.range[slot].bytes, bytes);
	atomic_store_explicit(&table.range[slot].base, (uintptr_t)base,
			      memory_order_release);
}

void hole_unwatch(uint32_t slot)
{
	atomic_store(&table.range[slot].base, 0);
}
