#include "libclient/preload/preload.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

/*
 * A context is made at the first listen() or connect() that goes to mtcpd, so a
 * program that needs none never attaches.  It ends with the process: the daemon
 * hears the hang-up.
 */

bool waiter_is(int fd);

static _Atomic pid_t owner;		/* 0: not started yet */

static void raised(struct mtcp_context *x, uint32_t id, uint32_t bits)
{
	struct file *f = file_of_sock(x, id);

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
	all_lock();
	if (contexts_use() && fork_prepare())
		fprintf(stderr, "mtcp: no sockets in the child: %s\n",
			the_client.text);
}

static void after_fork(void)
{
	fork_done();
	all_unlock();
}

static void in_child(void)
{
	atomic_store(&owner, getpid());
	groups_forked();
	wait_forked_self();
	share_forked();
	all_unlock();
}

bool contexts_use(void)
{
	for (uint32_t i = 0; i < home_limit(); i++) {
		const struct mtcp_context *x = home_context(i);

		if (x && x->at && x->ids.used)
			return true;
	}
	return false;
}

/* Once: children may have lost the environment (nginx empties it). */
static int client_start(void)
{
	struct mtcp_conf conf = { .num_cores = (int)home_limit(),
				  .max_concurrency = PRELOAD_FDS };
	const char *path = getenv(CTL_SOCKET_ENV);

	mtcp_setconf(&conf);
	if (path && *path)
		snprintf(the_settings.socket_path,
			 sizeof(the_settings.socket_path), "%s", path);
	return mtcp_init(NULL);
}

struct mtcp_context *context_open(uint32_t home)
{
	struct mtcp_context *x;

	if (!the_client.inited && client_start())
		return NULL;
	x = mtcp_create_context((int)home);
	if (!x)
		return NULL;
	x->on_raise = raised;
	x->on_slept = wait_bell_taken;
	x->prefork = true;
	return x;
}

/* From the start: a vfork child must be told from a forked one before there
 * is a context, since epoll sets are in the table already. */
__attribute__((constructor)) static void start(void)
{
	atomic_store(&owner, getpid());
	fork_watch();	/* registered first: its locks are the inner ones */
	pthread_atfork(before_fork, after_fork, in_child);
	homes_start(policy_contexts());
	the_client.fds_high = true;
	env_remember();
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

/* Under the lock: the attachment may be lost at any moment.  Ours are high. */
bool fd_is_internal(int fd)
{
	bool yes = false;

	if (inside)
		return false;
	if (waiter_is(fd))
		return true;
	if (fd < fd_lowest() || !context_any())
		return false;
	for (uint32_t i = 0; i < home_limit() && !yes; i++) {
		if (!home_context(i))
			continue;
		home_lock(i);
		yes = contexts_own(home_context(i), fd);
		home_unlock();
	}
	return yes;
}
