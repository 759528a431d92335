#include "libclient/preload/preload.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

/*
 * The context is made at the first listen() or connect() that goes to mtcpd,
 * so a program that needs none never attaches.  It ends with the process: the
 * daemon hears the hang-up.
 */

void wait_forked(void);
bool waiter_is(int fd);

static struct mtcp_context *_Atomic context;
static _Atomic pid_t owner;		/* 0: not started yet */

struct mtcp_context *context_now(void)
{
	return atomic_load_explicit(&context, memory_order_acquire);
}

static void raised(uint32_t id, uint32_t bits)
{
	struct file *f = file_of_sock(id);

	if (!f)
		return;
	file_wake(f);
	epset_raise(f, bits);
}

/*
 * fork() in the middle of a call of another thread would leave half of it.
 * What a child needs of the daemon is opened here: it may be chrooted, without
 * rights or under seccomp soon.  Where that fails it has no sockets of ours.
 */
static void before_fork(void)
{
	struct mtcp_context *x;

	big_lock();
	x = context_now();
	if (x && x->at && x->ids.used && fork_prepare())
		fprintf(stderr, "mtcp: no sockets in the child: %s\n",
			the_client.text);
}

static void after_fork(void)
{
	fork_done();
	big_unlock();
}

static void in_child(void)
{
	atomic_store(&owner, getpid());
	wait_forked();
	big_unlock();
}

struct mtcp_context *the_context(void)
{
	struct mtcp_conf conf = { .num_cores = 1,
				  .max_concurrency = PRELOAD_FDS };
	const char *path = getenv(CTL_SOCKET_ENV);
	struct mtcp_context *x = context_now();

	if (x)
		return x;
	mtcp_setconf(&conf);
	/* Children may have lost the environment (nginx empties it). */
	if (path && *path)
		snprintf(the_settings.socket_path,
			 sizeof(the_settings.socket_path), "%s", path);
	if (mtcp_init(NULL))
		return NULL;
	x = mtcp_create_context(0);
	if (!x)
		return NULL;
	x->on_raise = raised;
	x->on_slept = wait_bell_taken;
	x->prefork = true;
	atomic_store_explicit(&context, x, memory_order_release);
	return x;
}

/* From the start: a vfork child must be told from a forked one before there
 * is a context, since epoll sets are in the table already. */
__attribute__((constructor)) static void start(void)
{
	atomic_store(&owner, getpid());
	fork_watch();	/* registered first: its locks are the inner ones */
	pthread_atfork(before_fork, after_fork, in_child);
	the_client.fds_high = true;
	exec_adopt();
}

bool own_process(void)
{
	pid_t pid = atomic_load_explicit(&owner, memory_order_relaxed);

	return !pid || pid == getpid();
}

static bool contexts_own(const struct mtcp_context *x, int fd)
{
	if (fd == x->wake_rd || fd == x->intr_fd)
		return true;
	if (!x->at)
		return false;
	if (fd == x->at->ctl_fd || fd == x->at->seg_fd)
		return true;
	for (uint32_t e = 0; e < x->engines; e++)
		if (fd == x->at->wake_fd[e])
			return true;
	return false;
}

/* Under the lock: the attachment may be lost at any moment. */
bool fd_is_internal(int fd)
{
	const struct mtcp_context *x = context_now();
	bool yes;

	if (inside)
		return false;
	if (waiter_is(fd))
		return true;
	if (!x)
		return false;
	big_lock();
	yes = contexts_own(x, fd);
	big_unlock();
	return yes;
}
