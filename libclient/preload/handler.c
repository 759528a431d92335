#include "libclient/preload/preload.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/*
 * The program's signal handlers.  A system call is over, or sleeps, when a
 * handler runs, so handlers may call whatever is a system call, and some fork
 * there (PostgreSQL's of SIGCHLD).  Ours have locks and the heap in the middle.
 * So what the program installs is run by on_signal(): at once if this thread
 * is in no call of ours or sleeps in one, else when the call lets go, by sending
 * it to this thread again.
 *
 *	signal --> on_signal --holding?--> kept --signals_release()--> on_signal
 *	                 '--no-----------------> the program's handler
 *
 * It also tells an interrupted sleep what the kernel would know: whether the
 * handler that ran asked for restart.
 *
 * Faults (SIGSEGV and such) cannot wait, and are not ours to look at: their
 * handlers are the kernel's, as are those that are not installed through libc.
 *
 * Threads   What is kept is the thread's.  A handler's entry may be read while
 *           another thread changes it: each field alone is whole.
 */

#define PUBLIC	__attribute__((visibility("default")))
#define KEPT	8u	/* more at a time run at once */

struct action {
	_Atomic(void *) handler;
	_Atomic unsigned int flags;
};

/* One that waits: claimed first, since a signal may come meanwhile. */
struct kept {
	_Atomic int state;	/* 0 free, 1 claimed, 2 whole */
	siginfo_t info;
};

static struct action actions[NSIG];
static _Atomic uint64_t interrupting;	/* siginterrupt(), bit a signal */
static __thread struct kept kept[KEPT] __attribute__((tls_model("initial-exec")));
static __thread bool ran, ran_plain __attribute__((tls_model("initial-exec")));
__thread uint32_t holding __attribute__((tls_model("initial-exec")));
__thread bool signals_waiting __attribute__((tls_model("initial-exec")));

static bool is_fault(int sig)
{
	switch (sig) {
	case SIGSEGV: case SIGBUS: case SIGFPE: case SIGILL: case SIGTRAP:
	case SIGSYS: case SIGABRT: case SIGKILL: case SIGSTOP:
		return true;
	default:
		return sig < 1 || sig >= NSIG;
	}
}

/* ---- running ---- */

/* Another of the same says nothing new, but for real-time signals. */
static bool keep(int sig, const siginfo_t *info)
{
	for (uint32_t i = 0; sig < SIGRTMIN && i < KEPT; i++)
		if (atomic_load(&kept[i].state) == 2 &&
		    kept[i].info.si_signo == sig)
			return true;
	for (uint32_t i = 0; i < KEPT; i++) {
		int was = 0;

		if (!atomic_compare_exchange_strong(&kept[i].state, &was, 1))
			continue;
		kept[i].info = *info;
		atomic_store(&kept[i].state, 2);
		signals_waiting = true;
		return true;
	}
	return false;
}

/* SA_RESETHAND is ours to do: a signal that was kept comes twice. */
static void reset(int sig)
{
	const struct sigaction dfl = { .sa_handler = SIG_DFL };

	real()->sigaction(sig, &dfl, NULL);
}

static void on_signal(int sig, siginfo_t *info, void *context)
{
	struct action *a = &actions[sig];
	void *handler = a->handler;
	unsigned int flags = a->flags;

	if (holding && keep(sig, info))
		return;
	if (flags & SA_RESETHAND)
		reset(sig);
	if (flags & SA_SIGINFO)
		((void (*)(int, siginfo_t *, void *))handler)(sig, info,
							      context);
	else
		((void (*)(int))handler)(sig);
	ran = true;		/* after it: it may have slept itself */
	if (!(flags & SA_RESTART))
		ran_plain = true;
}

static void send_again(siginfo_t *info)
{
	long pid = getpid(), tid = real()->syscall(SYS_gettid);

	if (real()->syscall(SYS_rt_tgsigqueueinfo, pid, tid,
			    (long)info->si_signo, info))
		real()->syscall(SYS_tgkill, pid, tid, (long)info->si_signo);
}

void signals_late(void)
{
	int saved = errno;

	while (signals_waiting && !holding) {
		signals_waiting = false;
		for (uint32_t i = 0; i < KEPT; i++) {
			siginfo_t info;

			if (atomic_load(&kept[i].state) != 2)
				continue;
			info = kept[i].info;
			atomic_store(&kept[i].state, 0);
			send_again(&info);
		}
	}
	errno = saved;
}

void handlers_begin(void)
{
	ran = ran_plain = false;
}

bool handlers_ran(void)
{
	return ran;
}

/* Of a handler that is not ours nobody says what it asked for: all have to. */
static bool all_restart(void)
{
	struct sigaction sa;

	for (int i = 1; i < NSIG; i++) {
		if (sigaction(i, NULL, &sa) || sa.sa_handler == SIG_DFL ||
		    sa.sa_handler == SIG_IGN)
			continue;
		if (!(sa.sa_flags & SA_RESTART))
			return false;
	}
	return true;
}

bool handlers_restart(void)
{
	return ran ? !ran_plain : all_restart();
}

/* ---- installing ---- */

#define TAKEN	((unsigned int)SA_SIGINFO | SA_RESETHAND)	/* ours to do */

static bool is_handler(const struct sigaction *act)
{
	return act && act->sa_handler != SIG_DFL && act->sa_handler != SIG_IGN;
}

PUBLIC int sigaction(int sig, const struct sigaction *act,
		     struct sigaction *old)
{
	struct sigaction mine, was;
	void *handler;
	unsigned int flags;

	if (is_fault(sig))
		return real()->sigaction(sig, act, old);
	handler = actions[sig].handler;
	flags = actions[sig].flags;
	if (act)
		mine = *act;
	if (is_handler(act)) {
		actions[sig].flags = (unsigned int)act->sa_flags;
		actions[sig].handler = (void *)act->sa_sigaction;
		mine.sa_sigaction = on_signal;
		mine.sa_flags = (int)(((unsigned int)act->sa_flags & ~TAKEN) |
				      SA_SIGINFO);
	}
	if (real()->sigaction(sig, act ? &mine : NULL, &was)) {
		actions[sig].handler = handler;
		actions[sig].flags = flags;
		return -1;
	}
	if (!old)
		return 0;
	*old = was;
	if (was.sa_sigaction == on_signal) {
		old->sa_sigaction = (void (*)(int, siginfo_t *, void *))handler;
		old->sa_flags = (int)(((unsigned int)was.sa_flags & ~TAKEN) |
				      (flags & TAKEN));
	}
	return 0;
}

PUBLIC int __sigaction(int sig, const struct sigaction *act,
		       struct sigaction *old)
{
	return sigaction(sig, act, old);
}

static sighandler_t install(int sig, sighandler_t handler,
			    unsigned int flags, bool block)
{
	struct sigaction act = { .sa_handler = handler,
				 .sa_flags = (int)flags };
	struct sigaction old;

	if (handler == SIG_ERR || sig < 1 || sig >= NSIG) {
		errno = EINVAL;
		return SIG_ERR;
	}
	sigemptyset(&act.sa_mask);
	if (block)
		sigaddset(&act.sa_mask, sig);
	return sigaction(sig, &act, &old) ? SIG_ERR : old.sa_handler;
}

PUBLIC sighandler_t signal(int sig, sighandler_t handler)
{
	bool restart = sig > 0 && sig < NSIG &&
		       !(interrupting >> (sig - 1) & 1);

	return install(sig, handler, restart ? SA_RESTART : 0, true);
}

PUBLIC sighandler_t bsd_signal(int sig, sighandler_t handler)
{
	return signal(sig, handler);
}

PUBLIC sighandler_t ssignal(int sig, sighandler_t handler)
{
	return signal(sig, handler);
}

PUBLIC sighandler_t sysv_signal(int sig, sighandler_t handler)
{
	return install(sig, handler, SA_RESETHAND | SA_NODEFER, false);
}

PUBLIC sighandler_t __sysv_signal(int sig, sighandler_t handler)
{
	return sysv_signal(sig, handler);
}

PUBLIC int siginterrupt(int sig, int interrupt)
{
	struct sigaction act;

	if (sigaction(sig, NULL, &act))
		return -1;
	if (interrupt) {
		interrupting |= 1ull << (sig - 1);
		act.sa_flags &= ~SA_RESTART;
	} else {
		interrupting &= ~(1ull << (sig - 1));
		act.sa_flags |= SA_RESTART;
	}
	return sigaction(sig, &act, NULL);
}
