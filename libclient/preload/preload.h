/*
 * preload.h - the POSIX socket face over libmtcpclient, one section a file
 *
 *	program --libc's names--> interposers --+--> the kernel (next in line)
 *	                             |          |
 *	                   table: fd -> file ---+--> a home's context
 *	                             |  ^
 *	         watches of epoll sets  '-- on_raise(): wakes waiters, marks ready
 *
 * Every socket is a kernel descriptor first.  socket() is not interposed: at
 * listen() or connect() the policy decides, and if it says mtcpd, the kernel's
 * socket stays as the placeholder of its number, its options are carried over,
 * and the table gets a file.  A file is what the kernel calls an open file
 * description: dup shares it.
 *
 * Listeners  A wildcard listener listens in the kernel too: it serves mtcpd's
 *            addresses and the kernel's own, and the kernel's bind() judges
 *            who may have the port.
 * epoll      The set's kernel descriptor holds the kernel's members, a side
 *            list the mtcp ones.
 * fork       The parent opens what its child needs: an attachment that holds
 *            all connections and is a member of all listeners (fork.c).
 * exec       The attachment goes along, and a list of what is whose (exec.c).
 *
 * Invariant  table[fd] names a file exactly while the program has fd open.
 *            Whose members a set has, and what sleeps on them, is of one group.
 * Memory     A file's memory stays a file's, so that who looks without the lock
 *            (table_peek) reads an old truth at worst, and asks again under it.
 * Homes      A context with its sockets' files is a home; run.conf says how many
 *            there are at most.  Threads have homes in turn: what a thread
 *            makes is of its home.  Any thread may use any file, under its
 *            home's lock, which only those that use its files ever take.
 * Groups     What lies in one epoll set or poll() must be under one lock.  An
 *            open connection moves to the home where it is wanted, by a take
 *            as between processes, and so does one that another home's threads
 *            have used for a while.  A listener has a branch in each home that
 *            waits for its connections (listen.c).  What cannot move (a set with
 *            members, a connect under way) makes the homes one group, which
 *            has one lock, for good: at worst all have one, as with one home.
 * Threads    A group's lock is held by no sleeper.  A sleeping thread waits on
 *            its own eventfd; one of the group's, the leader, watches its
 *            contexts' pipes too, and wakes the others for what it finds
 *            (wait.c).
 * Signals    While a thread is inside libmtcpclient (`inside`), interposers
 *            pass straight to the kernel, and the program's handlers wait
 *            (handler.c); one that was installed past libc gets EAGAIN on mtcp
 *            sockets.
 */
#ifndef PRELOAD_H
#define PRELOAD_H

#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/select.h>

#include "libclient/client.h"

#define PRELOAD_FDS	(1u << 20)
#define HOMES_MAX	16u
#define FOREVER		(~0ull)
/* Descriptors that a sleep adds to those of its caller. */
#define WAIT_FDS	(1u + 2u * HOMES_MAX)

/* ---- real.c: the next in line ---- */

struct real {
	int (*close)(int fd);
	int (*dup)(int fd);
	int (*dup3)(int fd, int to, int flags);
	int (*close_range)(unsigned int a, unsigned int b, int flags);
	int (*bind)(int fd, const struct sockaddr *sa, socklen_t len);
	int (*listen)(int fd, int backlog);
	int (*connect)(int fd, const struct sockaddr *sa, socklen_t len);
	int (*accept4)(int fd, struct sockaddr *sa, socklen_t *len, int flags);
	int (*shutdown)(int fd, int how);
	int (*getsockname)(int fd, struct sockaddr *sa, socklen_t *len);
	int (*getpeername)(int fd, struct sockaddr *sa, socklen_t *len);
	int (*getsockopt)(int fd, int level, int name, void *v, socklen_t *n);
	int (*setsockopt)(int fd, int level, int name, const void *v,
			  socklen_t n);
	int (*fcntl)(int fd, int cmd, ...);
	int (*ioctl)(int fd, unsigned long request, ...);
	ssize_t (*read)(int fd, void *buf, size_t len);
	ssize_t (*readv)(int fd, const struct iovec *iov, int count);
	ssize_t (*write)(int fd, const void *buf, size_t len);
	ssize_t (*writev)(int fd, const struct iovec *iov, int count);
	ssize_t (*recvfrom)(int fd, void *buf, size_t len, int flags,
			    struct sockaddr *sa, socklen_t *salen);
	ssize_t (*sendto)(int fd, const void *buf, size_t len, int flags,
			  const struct sockaddr *sa, socklen_t salen);
	ssize_t (*recvmsg)(int fd, struct msghdr *m, int flags);
	ssize_t (*sendmsg)(int fd, const struct msghdr *m, int flags);
	int (*recvmmsg)(int fd, struct mmsghdr *m, unsigned int n, int flags,
			struct timespec *ts);
	int (*sendmmsg)(int fd, struct mmsghdr *m, unsigned int n, int flags);
	ssize_t (*preadv2)(int fd, const struct iovec *iov, int count,
			   off_t at, int flags);
	ssize_t (*pwritev2)(int fd, const struct iovec *iov, int count,
			    off_t at, int flags);
	ssize_t (*sendfile)(int out, int in, off_t *offset, size_t count);
	ssize_t (*splice)(int in, off64_t *in_at, int out, off64_t *out_at,
			  size_t len, unsigned int flags);
	int (*ppoll)(struct pollfd *p, nfds_t n, const struct timespec *ts,
		     const sigset_t *mask);
	int (*pselect)(int n, fd_set *r, fd_set *w, fd_set *e,
		       const struct timespec *ts, const sigset_t *mask);
	int (*epoll_create1)(int flags);
	int (*epoll_ctl)(int ep, int op, int fd, struct epoll_event *ev);
	int (*epoll_pwait)(int ep, struct epoll_event *ev, int max,
			   int timeout, const sigset_t *mask);
	FILE *(*fdopen)(int fd, const char *mode);
	int (*execve)(const char *path, char *const argv[],
		      char *const envp[]);
	int (*execvpe)(const char *file, char *const argv[],
		       char *const envp[]);
	int (*fexecve)(int fd, char *const argv[], char *const envp[]);
	int (*posix_spawn)(pid_t *pid, const char *path,
			   const posix_spawn_file_actions_t *actions,
			   const posix_spawnattr_t *attr, char *const argv[],
			   char *const envp[]);
	int (*posix_spawnp)(pid_t *pid, const char *file,
			    const posix_spawn_file_actions_t *actions,
			    const posix_spawnattr_t *attr, char *const argv[],
			    char *const envp[]);
	int (*sigaction)(int sig, const struct sigaction *act,
			 struct sigaction *old);
	int (*system)(const char *command);
	FILE *(*popen)(const char *command, const char *mode);
	int (*pclose)(FILE *f);
	int (*fileno)(FILE *stream);
	int (*vdprintf)(int fd, const char *format, va_list ap);
	long (*syscall)(long number, ...);
};
/* Looked up at the first use, which may be before any constructor. */
const struct real *real(void);

/* ---- table.c: descriptors and files ---- */

enum file_kind {
	FILE_PENDING,		/* TCP, in an epoll set, not decided yet */
	FILE_STREAM, FILE_LISTENER,
	FILE_EPOLL,
};

struct waiter {			/* a thread */
	int fd;			/* eventfd; -1: none yet */
	bool asleep;		/* on the list of those that sleep */
	bool hit;		/* something of what it waits for happened */
	bool rung;		/* its eventfd was written */
	struct group *group;	/* asleep: on whose list */
	struct waiter *next, *prev;	/* asleep */
	struct link *links;	/* of the sleep under way */
};

struct link {			/* a waiter on a file, which has a reference */
	struct waiter *w;
	struct file *f;
	struct link *next, *prev;	/* of the file */
	struct link *mine;		/* of the waiter */
};

struct file {
	_Atomic int sock;	/* in its home's context; -1: none */
	_Atomic uint8_t kind;	/* enum file_kind */
	_Atomic uint8_t home;
	struct branches *_Atomic branches;	/* stays the memory's */
	/* Looked at under the lock only; zero in a new file. */
	uint32_t refs;		/* descriptors, and calls under way */
	uint32_t fds;		/* descriptors; 0: closed */
	int fd;			/* the first descriptor */
	uint8_t user, uses;	/* the home that used it last, how often */
	uint8_t moves;
	bool in_set;		/* it has been in an epoll set */
	bool nonblock;
	bool six;		/* AF_INET6: addresses are v4-mapped */
	bool both;		/* listens in the kernel too */
	bool connecting;	/* connect() said EINPROGRESS */
	bool failed;		/* connect() has told of a failure */
	bool more;		/* corked by MSG_MORE */
	uint64_t rcv_us, snd_us;	/* SO_RCVTIMEO, SO_SNDTIMEO; 0: none */
	struct link *links;
	struct watch *watches;	/* of epoll sets that it is in */
	struct epset *set;	/* FILE_EPOLL */
	struct file *trunk;	/* whose branch it is */
	struct file *spare;	/* the next one not in use */
};

struct group {
	_Alignas(128) pthread_mutex_t lock;
	struct waiter *asleep, *leader, *heir;	/* wait.c */
	struct file *spares;
	bool must_look;			/* at brothers, once more */
	uint32_t more;			/* homes beyond its own */
	uint8_t joined[HOMES_MAX];
};

/* This thread holds a lock: interposers pass to the kernel. */
extern __thread bool inside __attribute__((tls_model("initial-exec")));
/* That of this group; NULL: none. */
extern __thread struct group *held __attribute__((tls_model("initial-exec")));

/* ---- handler.c: the program's signal handlers ---- */

/* This thread has a lock, or is in the heap: handlers wait. */
extern __thread uint32_t holding __attribute__((tls_model("initial-exec")));
extern __thread bool signals_waiting
	__attribute__((tls_model("initial-exec")));
/* Lets them run. */
void signals_late(void);
/* A sleep begins: which handlers run from here on? */
void handlers_begin(void);
bool handlers_ran(void);
/* -EINTR: did all that ran ask for restart? */
bool handlers_restart(void);

static inline void signals_hold(void)
{
	holding++;
	atomic_signal_fence(memory_order_seq_cst);
}

static inline void signals_release(void)
{
	atomic_signal_fence(memory_order_seq_cst);
	if (!--holding && signals_waiting)
		signals_late();
}

/* ---- home.c: contexts, and who locks what ---- */

/* At most @count homes, from the start on. */
void homes_start(uint32_t count);
uint32_t home_limit(void);
/* This thread's. */
uint32_t home_self(void);
/* The first that had a context; others may be refused one. */
uint32_t home_first(void);
/* Has the process a context? */
bool context_any(void);
/* The home's; NULL: none yet. */
struct mtcp_context *home_context(uint32_t home);
/* The same, made at the first use; NULL with errno.  Its lock is held. */
struct mtcp_context *home_open(uint32_t home);
/* The lock of a home's group; of all, in order. */
void home_lock(uint32_t home);
void home_unlock(void);
void all_lock(void);
void all_unlock(void);
bool home_is_held(uint32_t home);
/* The contexts of the group that is held; NULL: none yet. */
struct mtcp_context *group_context(uint32_t i);
void group_progress(void);
void group_publish(void);
void groups_forked(void);
/* A home that is another's group may be looked into, under both locks: NULL if
 * somebody is there already. */
struct group *group_enter(uint32_t home);
void group_leave(struct group *back);
/* The groups of both; false: they are one, which is locked. */
bool homes_lock_two(uint32_t a, uint32_t b);
void homes_unlock_two(uint32_t a, uint32_t b);

static inline uint32_t group_homes(void)
{
	return 1 + held->more;
}

/* Without a lock: moves @fd's file to home @to if it can be; true: it is there,
 * or is no file. */
bool home_move(int fd, uint32_t to);
/* Without a lock: @fd's file and home @to are under one lock afterwards. */
void home_bring(int fd, uint32_t to);
/* Counts a use; true: it is time to move it to this thread's home. */
bool file_is_foreign(struct file *f);

/* The file of @fd if it is one of ours, else NULL: no lock, a hint. */
struct file *table_peek(int fd);
/* As above for sockets of mtcpd only. */
struct file *table_sock(int fd);
/* The same under the lock, which it takes; NULL: not taken. */
struct file *table_lock(int fd);
/* The same for an epoll set; for whatever it is. */
struct file *table_lock_set(int fd);
struct file *table_lock_any(int fd);
/* For what is about to become ours: the lock of its file's home if it has one,
 * else of this thread's.  Which, is returned. */
uint32_t table_lock_place(int fd);
/* Again, after a sleep without. */
void file_lock(const struct file *f);
struct file *file_new(int fd, enum file_kind kind, uint32_t home);
/* One that no descriptor names. */
struct file *file_nameless(enum file_kind kind, uint32_t home);
void file_add(struct file *f, int fd);
/* @fd no longer names its file; the last one closes it, but for its branches,
 * which the caller closes when it has let go of the lock (branches_end()). */
struct file *file_drop(int fd);
void file_put(struct file *f);
struct file *file_of_sock(const struct mtcp_context *x, uint32_t id);
void file_set_sock(struct file *f, int sock);
void file_close_sock(struct file *f);
/* Poll bits that hold now. */
uint32_t file_bits(struct file *f);
/* Who accepts from it serves one connection at a time, or many. */
void file_one(struct file *f, bool one);
/* Somebody waits for @bits. */
void file_want(struct file *f, uint32_t bits);
bool fd_is_internal(int fd);
/* Descriptors with files are below this. */
int table_top(void);
void table_forked(void);
/* NULL for any number that can have none. */
struct file *table_at(int fd);
/* False in a vfork child, whose memory is its parent's. */
bool own_process(void);

static inline struct mtcp_context *file_context(const struct file *f)
{
	return home_context(f->home);
}

/* ---- listen.c: a listener in several homes ---- */

/* Without a lock: @fd's listener is in @home too.  False: it cannot be. */
bool branch_open(int fd, uint32_t home);
/* Its branch in @home, locked; NULL: none. */
struct file *branch_lock(int fd, uint32_t home);
/* The branch of @f that is under the lock that is held, @home's first; @f itself
 * if it is under it, or is no listener; NULL: none. */
struct file *branch_here(struct file *f, uint32_t home);
/* Under the lock of one: does this thread do better with a branch of its own? */
bool branch_wanted(const struct file *f);
/* A home in which connections wait, for one who found none in @f: at once if
 * this thread's home has no branch, else when they have waited for a while. */
bool branch_waiting(const struct file *f, uint32_t *home);
/* Nobody but @f asks for connections. */
bool branch_alone(const struct file *f);
/* Takes them off, and ends them later, without a lock. */
struct file *branches_cut(struct file *f);
void branches_end(struct file *cut);
/* Without a lock: what was done to @fd's listener is done to each branch. */
void branches_each(int fd, void (*what)(struct file *branch, const void *arg),
		   const void *arg);
/* shutdown(), and listen() after it. */
void branches_stop(int fd);
void branches_again(int fd);
void branches_forked(struct file *f);
/* Nobody of this home waits for @f any more: what came is for others. */
void listener_unwatched(struct file *f);
/* The group's contexts were told to look; false: not all could be seen. */
bool brothers_look(void);

/* ---- life.c: contexts begin, processes too ---- */

/* For home_open(): NULL with errno. */
struct mtcp_context *context_open(uint32_t home);
/* Is one attached that has ever had a socket? */
bool contexts_use(void);

/* ---- wait.c: sleeping ---- */

/* ppoll(), also where RLIMIT_NOFILE forbids it (kpoll.c). */
int kernel_poll(struct pollfd *p, nfds_t n, const struct timespec *ts,
		const sigset_t *mask);
struct waiter *waiter_self(void);
void link_add(struct link *l, struct file *f, struct waiter *w);
void link_del(struct link *l, struct file *f);
void file_wake(struct file *f);
/* Something else than the leader slept on a context's bell, and disarmed it
 * (mtcp_context.on_slept). */
void wait_bell_taken(void);
/* The group that is held has a context more. */
void wait_new_bell(void);
/* The sleepers of @from are @to's; both are locked. */
void wait_merge(struct group *to, struct group *from);
/* In a child, once; and for each group. */
void wait_forked_self(void);
void wait_forked(struct group *g);
/*
 * Sleeps, without the lock of @home's group, until hit, until one of the @n
 * kernel descriptors in @k is ready, or @until_us.  @k has room for WAIT_FDS
 * more.  0: look again; -EINTR, -ETIMEDOUT.
 */
int wait_sleep(uint32_t home, struct pollfd *k, nfds_t n, uint64_t until_us,
	       const sigset_t *mask);
/* For a blocking call on @f; @kfd: a kernel descriptor to read too, or -1. */
int wait_file(struct file *f, int kfd, uint64_t until_us);
uint64_t until_from_ms(int timeout);

/* ---- share.c: what a parent and its children have ---- */

/* Before a call uses @f: it comes back from another process.  Waits.
 * 0, or -EBADF: it was closed meanwhile, @f may be gone. */
int file_fetch(struct file *f);
/* The same for who will wait: nothing happens if it is here. */
void file_ask(struct file *f);
/* Has another process got it? */
bool file_away(const struct file *f);
/* Waits for a blocking call on it, as wait_file(), which wants @bits. */
int file_wait(struct file *f, uint32_t bits, uint64_t until);
/* In a child: nobody sleeps, and sets look at what they have. */
void share_forked(void);

/* ---- exec.c: sockets that go through exec() ---- */

/* Is one open that exec() would leave open? */
bool exec_any(void);
/* Leaves what is needed to @at, whose contexts are @ctx: the state's descriptor,
 * or -errno.  @spawn: for another process, and what is close-on-exec too. */
int exec_write(const struct attach *at, const struct ctx_set *ctx, bool spawn);
/* An attachment of ours, with a context of it; NULL: none. */
struct attach *exec_attach(void);
/* At the start of an image: what the last one left. */
void exec_adopt(void);

/* ---- env.c: what an image must know to go on with sockets ---- */

struct env {
	char *const *env;	/* to be given to it */
	char **copy;		/* ours, where there is a difference */
	char *made;
};

/* At the start, before the program changes it. */
void env_remember(void);
/* @given, with what mtcp-run has set where it is missing. */
struct env env_for(char *const given[]);
void env_free(struct env *e);

/* ---- ep.c ---- */

void epset_raise(struct file *f, uint32_t bits);
void epset_forget(struct file *f);
/* file_bits() of a set: is something in it ready? */
uint32_t epset_bits(struct file *f);
void epset_free(struct file *f);
/* Has it no members of ours, and nobody in a wait? */
bool epset_idle(const struct file *f);
void epset_forked(struct file *f);
void epset_convert(struct file *f);
/* The other way round: it is about to be a kernel socket again. */
void epset_back(struct file *f);
struct file *epset_new(int fd, uint32_t home);

/* ---- policy.c ---- */

/* True: mtcpd's.  @why: a word for --explain. */
bool policy_listen(const struct sockaddr_in *in, const char **why);
bool policy_connect(const struct sockaddr_in *in, const char **why);
void explain(int fd, const char *call, const struct sockaddr_in *in,
	     bool mtcpd, const char *why);
/* What contexts @a and @b do for its sake. */
void explain_homes(int fd, const char *what, uint32_t a, uint32_t b);
bool policy_fallback(void);
/* How many contexts this process may have. */
uint32_t policy_contexts(void);

/* ---- msg.c ---- */

/* Would this message take a socket of mtcpd to another process? */
bool passes_ours(const struct msghdr *m);

/* ---- stdio.c ---- */

/* @fd is an mtcp socket from now on: if it is 0, 1 or 2, so is the stream. */
void stdio_adopt(int fd);

/* ---- sock.c ---- */

/* A TCP socket that may still become ours? */
bool sock_pending(int fd);
/* Would connect() of the kernel socket @fd go to mtcpd? */
bool connect_is_ours(int fd, const struct sockaddr *sa, socklen_t len);

int give_addr(const struct file *f, const struct sockaddr_in *in,
	      struct sockaddr *sa, socklen_t *len);

#endif
