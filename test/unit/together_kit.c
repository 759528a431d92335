/* together_kit.c - daemons, libraries and one mapping for all (together.h) */
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "control/config.h"
#include "control/control.h"
#include "together.h"

/* ---- one mapping a file ---- */

#define MAPS	64

static struct map {
	void *at;
	size_t bytes;
	dev_t dev;
	ino_t ino;
	int uses;
} maps[MAPS];
static pthread_mutex_t maps_lock = PTHREAD_MUTEX_INITIALIZER;

static struct map *map_of(const struct stat *st, size_t bytes)
{
	for (int i = 0; i < MAPS; i++)
		if (maps[i].uses && maps[i].dev == st->st_dev &&
		    maps[i].ino == st->st_ino && maps[i].bytes == bytes)
			return &maps[i];
	return NULL;
}

static void map_note(const struct stat *st, void *at, size_t bytes)
{
	for (int i = 0; i < MAPS; i++)
		if (!maps[i].uses) {
			maps[i] = (struct map){ at, bytes, st->st_dev,
						st->st_ino, 1 };
			return;
		}
	abort();
}

/* The next in line; until there is a test, no sanitizer may be called, and a
 * sanitizer that reports maps and unmaps files of its own: no lock then. */
static struct {
	void *(*map)(void *, size_t, int, int, int, off_t);
	int (*unmap)(void *, size_t);
} next;

static void *map_file(size_t bytes, int prot, int flags, int fd,
		      const struct stat *st, void *wish)
{
	struct map *m;
	void *at;

	pthread_mutex_lock(&maps_lock);
	m = map_of(st, bytes);
	if (m) {
		at = m->at;
		m->uses++;
	} else {
		at = next.map(wish, bytes, prot, flags, fd, 0);
		if (at != MAP_FAILED)
			map_note(st, at, bytes);
	}
	pthread_mutex_unlock(&maps_lock);
	return at;
}

#define EARLY	__attribute__((no_sanitize("thread", "address")))

EARLY void *mmap(void *addr, size_t bytes, int prot, int flags, int fd,
		 off_t offset)
{
	struct stat st;

	if (!next.map)
		return (void *)syscall(SYS_mmap, addr, bytes, prot, flags, fd,
				       offset);
	if (!(flags & MAP_SHARED) || fd < 0 || offset || fstat(fd, &st))
		return next.map(addr, bytes, prot, flags, fd, offset);
	return map_file(bytes, prot, flags, fd, &st, addr);
}

static bool still_used(const void *at)
{
	bool used = false;

	pthread_mutex_lock(&maps_lock);
	for (int i = 0; i < MAPS; i++)
		if (maps[i].uses && maps[i].at == at)
			used = --maps[i].uses;
	pthread_mutex_unlock(&maps_lock);
	return used;
}

EARLY static bool noted(const void *at)
{
	for (int i = 0; i < MAPS; i++)
		if (maps[i].at == at)
			return true;
	return false;
}

EARLY int munmap(void *at, size_t bytes)
{
	if (!noted(at))
		return (int)syscall(SYS_munmap, at, bytes);
	return still_used(at) ? 0 : next.unmap(at, bytes);
}

static void watch_maps(void)
{
	next.unmap = (int (*)(void *, size_t))dlsym(RTLD_NEXT, "munmap");
	next.map = (void *(*)(void *, size_t, int, int, int, off_t))
		dlsym(RTLD_NEXT, "mmap");
}

/* ---- two libraries ---- */

static const char *const names[] = {
	"init", "setconf", "destroy", "create_context", "destroy_context",
	"socket", "setsockopt", "bind", "listen", "accept4", "connect",
	"setsock_block", "setsock_nonblock", "read", "recv", "write", "poll",
	"shutdown", "close", "client_id", "share", "take",
};

union calls {
	struct library l;
	void *at[sizeof(names) / sizeof(names[0])];
};
_Static_assert(sizeof(((union calls *)0)->at) == sizeof(struct library),
	       "a name a call");

/* A file loaded twice is one library: @path is a copy of its own. */
static const struct library *load(const char *path, union calls *c)
{
	char command[512], name[40];
	void *so;

	snprintf(command, sizeof(command), "cp %s %s", MTCP_LIBRARY, path);
	if (system(command))
		abort();
	so = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (!so) {
		fprintf(stderr, "%s\n", dlerror());
		abort();
	}
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(name, sizeof(name), "mtcp_%s", names[i]);
		c->at[i] = dlsym(so, name);
		if (!c->at[i])
			abort();
	}
	return &c->l;
}

/* ---- two daemons ---- */

#define LIMIT_MS	60000

static char folder[] = "/tmp/together.XXXXXX";
static pid_t peer_pid;
static int to_peer[2], from_peer[2];
static pthread_t daemon_thread;
static struct config *config;
static int ready_pipe[2];

struct sockaddr_in together_addr(int side, uint16_t port)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
				 .sin_port = htons(port) };

	a.sin_addr.s_addr = inet_addr(side ? "10.97.0.2" : "10.97.0.1");
	return a;
}

static void write_conf(char *path, size_t len, int side, int engines)
{
	FILE *f;

	snprintf(path, len, "%s/%c.conf", folder, 'a' + side);
	f = fopen(path, "w");
	if (!f)
		abort();
	fprintf(f, "[daemon]\nsocket = %s/%c.sock\nadmin = %s/%c.admin\n"
		"pidfile = none\nsandbox = no\nlog = error\n"
		"[metrics]\nlisten = none\n"
		"[engine]\ncount = %d\nhuge_pages = no\n"
		"[tcp]\nlocal_ports = 1024-65535\n"
		"[port w]\ndriver = wire\ndevice = %s/wire:%c\n"
		"address = 10.97.0.%d/24\n", folder, 'a' + side, folder,
		'a' + side, engines, folder, 'a' + side, side + 1);
	fclose(f);
}

static void ready(void *arg)
{
	(void)arg;
	if (write(ready_pipe[1], "", 1) != 1)
		abort();
}

static void *run_daemon(void *arg)
{
	(void)arg;
	control_run(config, "0", ready, NULL);
	return NULL;
}

static void start_daemon(int side, int engines)
{
	char path[80], err[CONFIG_ERR_BYTES], byte;

	write_conf(path, sizeof(path), side, engines);
	config = calloc(1, sizeof(*config));
	if (config && config_load(config, path, err) < 0) {
		fprintf(stderr, "%s\n", err);
		abort();
	}
	log_set_level(LOG_LEVEL_ERROR);
	if (!config || pipe2(ready_pipe, O_CLOEXEC) ||
	    pthread_create(&daemon_thread, NULL, run_daemon, NULL))
		abort();
	if (read(ready_pipe[0], &byte, 1) != 1)
		abort();
	snprintf(path, sizeof(path), "%s/%c.sock", folder, 'a' + side);
	setenv("MTCPD_SOCKET", path, 1);
}

static union calls calls[2];

static mctx_t first_context(const struct library *l)
{
	const struct mtcp_conf c = { .num_cores = 2, .max_concurrency = 1000 };

	l->setconf(&c);
	return l->init(NULL) ? NULL : l->create_context(0);
}

static const struct library *load_one(int i)
{
	char path[80];

	snprintf(path, sizeof(path), "%s/%d.so", folder, i);
	return load(path, &calls[i]);
}

/* Ends with the pipe from its parent. */
static void be_the_peer(int (*peer)(mctx_t m, int what))
{
	mctx_t m;
	int what;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	start_daemon(1, 1);
	m = first_context(&calls[0].l);
	if (!m)
		_exit(1);
	while (read(to_peer[0], &what, sizeof(what)) == sizeof(what)) {
		int answer = peer(m, what);

		if (write(from_peer[1], &answer, sizeof(answer)) < 0)
			break;
	}
	_exit(0);
}

void together_start(int (*peer)(mctx_t m, int what), const struct library **a,
		    const struct library **b)
{
	if (!mkdtemp(folder) || pipe2(to_peer, O_CLOEXEC) ||
	    pipe2(from_peer, O_CLOEXEC))
		abort();
	watch_maps();
	*a = load_one(0);
	*b = load_one(1);
	peer_pid = fork();
	if (peer_pid == 0) {
		close(to_peer[1]);
		be_the_peer(peer);
	}
	start_daemon(0, 2);
}

void together_ask(int what)
{
	if (write(to_peer[1], &what, sizeof(what)) != sizeof(what))
		abort();
}

int together_answer(void)
{
	struct pollfd p = { .fd = from_peer[0], .events = POLLIN };
	int answer = -1;

	if (poll(&p, 1, LIMIT_MS) == 1 &&
	    read(from_peer[0], &answer, sizeof(answer)) != sizeof(answer))
		answer = -2;
	return answer;
}

static void remove_folder(void)
{
	static const char *const files[] = { "a.conf", "b.conf", "b.sock",
					     "b.admin", "wire", "0.so",
					     "1.so" };
	char path[80];

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", folder, files[i]);
		unlink(path);
	}
	for (int i = 0; i < 64; i++) {
		snprintf(path, sizeof(path), "%s/wire.%c%d", folder,
			 'a' + i / 32, i % 32);
		unlink(path);
	}
	rmdir(folder);
}

void together_stop(void)
{
	close(to_peer[1]);
	pthread_kill(daemon_thread, SIGTERM);
	pthread_join(daemon_thread, NULL);
	waitpid(peer_pid, NULL, 0);
	free(config);
	remove_folder();
}
