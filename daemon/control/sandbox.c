/*
 * sandbox.c - what the daemon can no longer do, in stages
 *
 *	1. ports are up, sockets are bound, no engine runs yet:
 *	   capabilities go (engine threads inherit that), no new ones can come
 *	2. all can be served: a filter on system calls, for all threads
 *
 * Whatever started mtcpd - systemd, root at a shell, an ambient set - gets the
 * same end.  Ports need CAP_NET_ADMIN, CAP_NET_RAW and CAP_BPF to be opened and
 * nothing to be used; the maps of the XDP program are changed through their
 * descriptors, which since Linux 5.19 needs no right.  Root without a
 * capability is a user like others: where the folders of our sockets, or the
 * configuration, belong to somebody else, the one capability that lets us
 * clean up, or read them again, is kept.
 *
 * What the filter does not list fails with EPERM, as if we had no right; what
 * only an intruder would call ends the process.
 */
#include <errno.h>
#include <grp.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <pwd.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"
#include "control/control.h"

#define CALLS(list)	(sizeof(list) / sizeof((list)[0]))

/* ---- stage 1 ---- */

/* Does somebody else own the folder of @path? */
static bool foreign_folder(const char *path)
{
	char dir[CONFIG_PATH_BYTES];
	struct stat st;
	char *slash;

	snprintf(dir, sizeof(dir), "%s", path);
	slash = strrchr(dir, '/');
	if (!slash)
		return false;
	slash[slash == dir] = '\0';
	return stat(dir, &st) == 0 && st.st_uid != geteuid() &&
	       !(st.st_mode & S_IWOTH);
}

static bool foreign_file(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && st.st_uid != geteuid() &&
	       !(st.st_mode & S_IROTH);
}

/* As a bit mask of the first 32. */
static uint32_t still_needed(const struct control *c)
{
	const struct config_daemon *d = &c->cfg->daemon;
	uint32_t keep = 0;

	if (geteuid() != 0)
		return 0;
	if (foreign_folder(d->socket) || foreign_folder(d->admin) ||
	    (d->pidfile[0] && foreign_folder(d->pidfile)))
		keep |= 1u << CAP_DAC_OVERRIDE;
	if (foreign_file(c->cfg->file))
		keep |= 1u << CAP_DAC_READ_SEARCH;
	return keep;
}

void sandbox_capabilities(struct control *c)
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { 0 };
	uint32_t keep;

	if (!c->cfg->daemon.sandbox)
		return;
	keep = still_needed(c);
	/* Where we may not (no CAP_SETPCAP) there is nothing to gain either:
	 * no_new_privs, below. */
	for (unsigned long cap = 0; cap <= CAP_LAST_CAP; cap++)
		if (cap >= 32 || !(keep & 1u << cap))
			prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	data[0].effective = data[0].permitted = keep;
	if (syscall(SYS_capset, &head, data) < 0)
		log_fatal("cannot give up capabilities ([daemon] sandbox = no "
			  "goes without)");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		log_fatal("cannot set no_new_privs ([daemon] sandbox = no "
			  "goes without)");
}

/* ---- stage 2 ---- */

static const int allowed[] = {
	/* descriptors and files */
	SCMP_SYS(read), SCMP_SYS(write), SCMP_SYS(readv), SCMP_SYS(writev),
	SCMP_SYS(pread64), SCMP_SYS(pwrite64), SCMP_SYS(close),
	SCMP_SYS(fstat), SCMP_SYS(newfstatat), SCMP_SYS(statx),
	SCMP_SYS(stat), SCMP_SYS(lstat), SCMP_SYS(lseek), SCMP_SYS(open),
	SCMP_SYS(openat), SCMP_SYS(access), SCMP_SYS(faccessat),
	SCMP_SYS(faccessat2), SCMP_SYS(readlink), SCMP_SYS(readlinkat),
	SCMP_SYS(getdents64), SCMP_SYS(fcntl), SCMP_SYS(dup), SCMP_SYS(dup2),
	SCMP_SYS(dup3), SCMP_SYS(pipe), SCMP_SYS(pipe2), SCMP_SYS(ioctl),
	SCMP_SYS(flock), SCMP_SYS(fsync), SCMP_SYS(fdatasync),
	SCMP_SYS(ftruncate), SCMP_SYS(fallocate), SCMP_SYS(unlink),
	SCMP_SYS(unlinkat), SCMP_SYS(rename), SCMP_SYS(renameat),
	SCMP_SYS(renameat2), SCMP_SYS(mkdir), SCMP_SYS(mkdirat),
	SCMP_SYS(chdir), SCMP_SYS(getcwd), SCMP_SYS(chmod), SCMP_SYS(fchmod),
	SCMP_SYS(fchmodat), SCMP_SYS(umask), SCMP_SYS(statfs),
	SCMP_SYS(fstatfs), SCMP_SYS(splice), SCMP_SYS(close_range),
	/* waiting */
	SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(select),
	SCMP_SYS(pselect6), SCMP_SYS(epoll_create1), SCMP_SYS(epoll_ctl),
	SCMP_SYS(epoll_wait), SCMP_SYS(epoll_pwait), SCMP_SYS(epoll_pwait2),
	SCMP_SYS(eventfd2), SCMP_SYS(timerfd_create),
	SCMP_SYS(timerfd_settime), SCMP_SYS(timerfd_gettime),
	SCMP_SYS(nanosleep), SCMP_SYS(clock_nanosleep),
	SCMP_SYS(clock_gettime), SCMP_SYS(clock_getres),
	SCMP_SYS(gettimeofday), SCMP_SYS(time), SCMP_SYS(futex),
	SCMP_SYS(restart_syscall), SCMP_SYS(pidfd_open),
	/* memory; no page becomes executable: see below */
	SCMP_SYS(memfd_create), SCMP_SYS(munmap), SCMP_SYS(mremap),
	SCMP_SYS(madvise), SCMP_SYS(brk), SCMP_SYS(mlock), SCMP_SYS(mlock2),
	SCMP_SYS(munlock), SCMP_SYS(mbind), SCMP_SYS(get_mempolicy),
	SCMP_SYS(set_mempolicy), SCMP_SYS(move_pages), SCMP_SYS(mincore),
	SCMP_SYS(msync), SCMP_SYS(membarrier),
	/* sockets; which ones: see below */
	SCMP_SYS(bind), SCMP_SYS(connect), SCMP_SYS(listen),
	SCMP_SYS(accept), SCMP_SYS(accept4), SCMP_SYS(sendto),
	SCMP_SYS(sendmsg), SCMP_SYS(sendmmsg), SCMP_SYS(recvfrom),
	SCMP_SYS(recvmsg), SCMP_SYS(recvmmsg), SCMP_SYS(setsockopt),
	SCMP_SYS(getsockopt), SCMP_SYS(getsockname), SCMP_SYS(getpeername),
	SCMP_SYS(shutdown), SCMP_SYS(socketpair),
	/* ourselves */
	SCMP_SYS(getpid), SCMP_SYS(gettid), SCMP_SYS(getppid),
	SCMP_SYS(getuid), SCMP_SYS(geteuid), SCMP_SYS(getgid),
	SCMP_SYS(getegid), SCMP_SYS(getrandom), SCMP_SYS(getrusage),
	SCMP_SYS(prlimit64), SCMP_SYS(getrlimit), SCMP_SYS(setrlimit),
	SCMP_SYS(sysinfo), SCMP_SYS(uname), SCMP_SYS(getcpu),
	SCMP_SYS(sched_yield), SCMP_SYS(sched_getaffinity),
	SCMP_SYS(sched_setaffinity), SCMP_SYS(tgkill),
	SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigreturn), SCMP_SYS(rt_sigtimedwait),
	SCMP_SYS(sigaltstack), SCMP_SYS(set_robust_list), SCMP_SYS(rseq),
	SCMP_SYS(exit), SCMP_SYS(exit_group),
};

static const int deadly[] = {
	SCMP_SYS(execve), SCMP_SYS(execveat), SCMP_SYS(ptrace),
	SCMP_SYS(process_vm_readv), SCMP_SYS(process_vm_writev),
	SCMP_SYS(init_module), SCMP_SYS(finit_module), SCMP_SYS(kexec_load),
	SCMP_SYS(mount), SCMP_SYS(umount2), SCMP_SYS(pivot_root),
	SCMP_SYS(chroot), SCMP_SYS(setns), SCMP_SYS(unshare),
	SCMP_SYS(setuid), SCMP_SYS(setresuid), SCMP_SYS(perf_event_open),
	SCMP_SYS(userfaultfd), SCMP_SYS(open_by_handle_at),
};

static int add_memory(scmp_filter_ctx f)
{
	int rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1,
				  SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));

	if (!rc)
		rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
				      SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC,
					      0));
	return rc;
}

static int add_calls(scmp_filter_ctx f, uint32_t action, const int *calls,
		     size_t count)
{
	int rc = 0;

	for (size_t i = 0; i < count && !rc; i++)
		rc = seccomp_rule_add(f, action, calls[i], 0);
	return rc;
}

/* socket() and bpf(), by their first argument. */
static int add_first(scmp_filter_ctx f, int call, const unsigned int *first,
		     size_t count)
{
	int rc = 0;

	for (size_t i = 0; i < count && !rc; i++)
		rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, call, 1,
				      SCMP_A0(SCMP_CMP_EQ, first[i], 0));
	return rc;
}

static int add_rules(scmp_filter_ctx f)
{
	static const unsigned int families[] = { AF_UNIX, AF_INET, AF_INET6,
						 AF_NETLINK };
	/* Maps that we have a descriptor of; no program is loaded any more. */
	static const unsigned int commands[] = {
		BPF_MAP_LOOKUP_ELEM, BPF_MAP_UPDATE_ELEM, BPF_MAP_DELETE_ELEM,
		BPF_MAP_GET_NEXT_KEY };
	int rc = add_calls(f, SCMP_ACT_ALLOW, allowed, CALLS(allowed));

	if (!rc)
		rc = add_calls(f, SCMP_ACT_KILL_PROCESS, deadly, CALLS(deadly));
	if (!rc)
		rc = add_first(f, SCMP_SYS(socket), families,
			       CALLS(families));
	if (!rc)
		rc = add_first(f, SCMP_SYS(bpf), commands, CALLS(commands));
	if (!rc)
		rc = add_memory(f);
	return rc;
}

/* The name service maps its modules at the first question about a name that
 * the files do not have; later it could not. */
static void load_names(void)
{
	(void)getgrnam("no group of this name");
	(void)getpwnam("no user of this name");
}

void sandbox_calls(struct control *c)
{
	scmp_filter_ctx f;
	int rc;

	if (!c->cfg->daemon.sandbox) {
		log_warnx("[daemon] sandbox = no: mtcpd keeps its "
			  "capabilities and may make any system call");
		return;
	}
	load_names();
	f = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	rc = f ? seccomp_attr_set(f, SCMP_FLTATR_CTL_TSYNC, 1) : -ENOMEM;
	if (!rc)
		rc = add_rules(f);
	if (!rc)
		rc = seccomp_load(f);
	seccomp_release(f);
	if (rc)
		log_fatalx("no filter on system calls: %s ([daemon] sandbox = "
			   "no goes without)", strerror(-rc));
	log_debug("sandbox: no capabilities, %zu system calls", CALLS(allowed));
}
