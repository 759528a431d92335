#include "libclient/client.h"

#include <errno.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

/*
 * The first ^C ends every epoll_wait with EINTR and calls the application's
 * handler; applications pass it on to their threads with pthread_kill(), so
 * what follows within a second is the same ^C.  A later one means that the
 * program did not end: the default action ends it, and mtcpd closes what it
 * had open.
 */

_Atomic uint32_t interrupts;

static _Atomic uint64_t first_us;	/* of the first SIGINT; 0: none yet */
static mtcp_sighandler_t _Atomic app_handler;

static void on_sigint(int signum)
{
	mtcp_sighandler_t handler = atomic_load(&app_handler);
	uint64_t none = 0, t = now_us();
	int saved = errno;

	if (!atomic_compare_exchange_strong(&first_us, &none, t) &&
	    t - none >= 1000000u) {
		signal(signum, SIG_DFL);
		raise(signum);
		return;
	}
	atomic_fetch_add(&interrupts, 1);
	ctx_interrupt_all();
	if (handler && handler != SIG_DFL && handler != SIG_IGN)
		handler(signum);
	errno = saved;
}

MTCP_PUBLIC mtcp_sighandler_t mtcp_register_signal(int signum,
						   mtcp_sighandler_t handler)
{
	struct sigaction sa = { .sa_handler = on_sigint };
	mtcp_sighandler_t old;

	if (signum != SIGINT || handler == SIG_DFL || handler == SIG_IGN)
		return signal(signum, handler);
	old = atomic_exchange(&app_handler, handler);
	sigemptyset(&sa.sa_mask);
	if (sigaction(SIGINT, &sa, NULL))
		return SIG_ERR;
	return old;
}
