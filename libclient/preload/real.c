#include "libclient/preload/preload.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

static struct real table;
static _Atomic bool ready;

static void find(void *to, const char *name)
{
	void *p = dlsym(RTLD_NEXT, name);

	if (!p)
		abort();	/* a libc without it cannot run programs */
	*(void **)to = p;
}

#define FIND(name)	find(&table.name, #name)

static void fill(void)
{
	FIND(close); FIND(dup); FIND(dup3); FIND(close_range);
	FIND(bind); FIND(listen); FIND(connect); FIND(accept4);
	FIND(shutdown); FIND(getsockname); FIND(getpeername);
	FIND(getsockopt); FIND(setsockopt); FIND(fcntl); FIND(ioctl);
	FIND(read); FIND(readv); FIND(write); FIND(writev);
	FIND(recvfrom); FIND(sendto); FIND(recvmsg); FIND(sendmsg);
	FIND(recvmmsg); FIND(sendmmsg); FIND(preadv2); FIND(pwritev2);
	FIND(sendfile); FIND(splice); FIND(ppoll); FIND(pselect);
	FIND(epoll_create1); FIND(epoll_ctl); FIND(epoll_pwait);
	FIND(fdopen); FIND(fileno); FIND(vdprintf); FIND(syscall);
	FIND(execve); FIND(execvpe); FIND(fexecve);
	FIND(posix_spawn); FIND(posix_spawnp);
	FIND(sigaction); FIND(system); FIND(popen); FIND(pclose);
}

const struct real *real(void)
{
	if (!atomic_load_explicit(&ready, memory_order_acquire)) {
		fill();
		atomic_store_explicit(&ready, true, memory_order_release);
	}
	return &table;
}
