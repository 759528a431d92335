#include "libclient/preload/preload.h"

#include <errno.h>
#include <fcntl.h>
#include <paths.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/*
 * Children that go straight into another program: posix_spawn(), system(),
 * popen(), and vfork(), which is fork() here.  The child's attachment is made
 * by the parent as for fork(), and goes through exec as in exec.c.  A child
 * that cannot have a socket of ours costs nothing: without file actions that
 * needs one that is not close-on-exec.
 */

#define PUBLIC	__attribute__((visibility("default")))

struct spawning {
	bool locked;
	struct attach *at;
	int fd;
	struct env env;
};

static struct spawning spawn_begin(bool actions, char *const envp[])
{
	struct spawning s = { .fd = -1, .env.env = envp };
	struct ctx_set ctx;

	if (inside || !context_any() || !own_process())
		return s;
	all_lock();
	s.locked = true;
	if (!contexts_use() || (!actions && !exec_any()) || fork_prepare())
		return s;
	s.at = fork_attach(&ctx);
	if (s.at)
		s.fd = exec_write(s.at, &ctx, true);
	if (s.fd >= 0)
		s.env = env_for(envp);
	return s;
}

static int spawn_end(struct spawning s, int err)
{
	if (s.fd >= 0) {
		real()->close(s.fd);
		attach_inherit(s.at, false);
	}
	env_free(&s.env);
	if (s.locked) {
		fork_done();
		all_unlock();
	}
	return err;
}

PUBLIC int posix_spawn(pid_t *pid, const char *path,
		       const posix_spawn_file_actions_t *actions,
		       const posix_spawnattr_t *attr, char *const argv[],
		       char *const envp[])
{
	struct spawning s = spawn_begin(actions != NULL, envp);

	return spawn_end(s, real()->posix_spawn(pid, path, actions, attr, argv,
						s.env.env));
}

PUBLIC int posix_spawnp(pid_t *pid, const char *file,
			const posix_spawn_file_actions_t *actions,
			const posix_spawnattr_t *attr, char *const argv[],
			char *const envp[])
{
	struct spawning s = spawn_begin(actions != NULL, envp);

	return spawn_end(s, real()->posix_spawnp(pid, file, actions, attr,
						 argv, s.env.env));
}

PUBLIC pid_t vfork(void)
{
	return fork();
}

static bool passes_any(void)
{
	bool any;

	if (inside || !context_any() || !own_process())
		return false;
	all_lock();
	any = exec_any();
	all_unlock();
	return any;
}

static int spawn_shell(pid_t *pid, const char *command,
		       const posix_spawn_file_actions_t *actions,
		       const posix_spawnattr_t *attr)
{
	char *argv[] = { "sh", "-c", (char *)(uintptr_t)command, NULL };

	return posix_spawn(pid, _PATH_BSHELL, actions, attr, argv, environ);
}

static int wait_for(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -1;
	return status;
}

/* ---- system() ---- */

static int run_shell(const char *command, const sigset_t *mask, bool def_int,
		     bool def_quit)
{
	posix_spawnattr_t attr;
	sigset_t def;
	pid_t pid;
	int err;

	sigemptyset(&def);
	if (def_int)
		sigaddset(&def, SIGINT);
	if (def_quit)
		sigaddset(&def, SIGQUIT);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setsigmask(&attr, mask);
	posix_spawnattr_setsigdefault(&attr, &def);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK |
				 POSIX_SPAWN_SETSIGDEF);
	err = spawn_shell(&pid, command, NULL, &attr);
	posix_spawnattr_destroy(&attr);
	return err ? 127 << 8 : wait_for(pid);
}

PUBLIC int system(const char *command)
{
	const struct sigaction ignore = { .sa_handler = SIG_IGN };
	struct sigaction old_int, old_quit;
	sigset_t child, mask;
	int status, saved;

	if (!command || !passes_any())
		return real()->system(command);
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigaction(SIGINT, &ignore, &old_int);
	sigaction(SIGQUIT, &ignore, &old_quit);
	pthread_sigmask(SIG_BLOCK, &child, &mask);
	status = run_shell(command, &mask, old_int.sa_handler != SIG_IGN,
			   old_quit.sa_handler != SIG_IGN);
	saved = errno;
	sigaction(SIGINT, &old_int, NULL);
	sigaction(SIGQUIT, &old_quit, NULL);
	pthread_sigmask(SIG_SETMASK, &mask, NULL);
	errno = saved;
	return status;
}

/* ---- popen() ---- */

struct stream {
	FILE *f;
	pid_t pid;
	struct stream *next;
};

static struct stream *streams;
static pthread_mutex_t streams_lock = PTHREAD_MUTEX_INITIALIZER;

static FILE *open_stream(struct stream *s, const char *command, bool reads,
			 bool cloexec)
{
	posix_spawn_file_actions_t actions;
	int ends[2], err, ours, theirs;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return NULL;
	ours = ends[reads ? 0 : 1];
	theirs = ends[reads ? 1 : 0];
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, theirs, reads ? 1 : 0);
	err = spawn_shell(&s->pid, command, &actions, NULL);
	posix_spawn_file_actions_destroy(&actions);
	real()->close(theirs);
	if (!err && !cloexec)
		real()->fcntl(ours, F_SETFD, 0);
	s->f = err ? NULL : real()->fdopen(ours, reads ? "r" : "w");
	if (!s->f) {
		real()->close(ours);
		errno = err ? err : ENOMEM;
	}
	return s->f;
}

PUBLIC FILE *popen(const char *command, const char *mode)
{
	struct stream *s;
	bool reads = mode[0] == 'r';

	if (!passes_any() || (mode[0] != 'r' && mode[0] != 'w'))
		return real()->popen(command, mode);
	s = calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	if (!open_stream(s, command, reads, mode[1] == 'e')) {
		free(s);
		return NULL;
	}
	pthread_mutex_lock(&streams_lock);
	s->next = streams;
	streams = s;
	pthread_mutex_unlock(&streams_lock);
	return s->f;
}

PUBLIC int pclose(FILE *f)
{
	struct stream **at = &streams, *s;
	pid_t pid;

	pthread_mutex_lock(&streams_lock);
	while (*at && (*at)->f != f)
		at = &(*at)->next;
	s = *at;
	if (s)
		*at = s->next;
	pthread_mutex_unlock(&streams_lock);
	if (!s)
		return real()->pclose(f);
	pid = s->pid;
	free(s);
	fclose(f);
	return wait_for(pid);
}
