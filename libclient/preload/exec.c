#include "libclient/preload/preload.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * Sockets that go through exec().
 *
 *	old image --state in a memfd, attachment's descriptors--> new image
 *
 * Which descriptors are sockets of ours is told by the inode of their
 * placeholders: whatever dup2() or posix_spawn()'s file actions did to their
 * numbers, the kernel knows.  The state is found by its descriptor, not by the
 * environment, which programs replace.  The image that seals it first has it.
 * An image without this library keeps the descriptors open, unused: so the
 * connections live as long as it does, as in the kernel.
 */

#define PUBLIC		__attribute__((visibility("default")))
#define STATE_MAGIC	0x315f636578657063ull
#define STATE_FDS	1024	/* where it is looked for, fd_high() */
#define STATE_FILES	65536u
#define ARGS_MAX	4096

struct state_head {
	uint64_t magic;
	uint32_t head_bytes, file_bytes;	/* of one release with us */
	uint32_t count, fds;
	struct attach_state at;
};

struct state_file {
	uint64_t dev, inode;
	uint64_t rcv_us, snd_us;
	uint32_t backlog;
	uint8_t kind;
	bool nonblock, six, both;
	struct conn_state_record c;
};

/* ---- out ---- */

static bool inheritable(int fd)
{
	int flags = real()->fcntl(fd, F_GETFD);

	return flags >= 0 && !(flags & FD_CLOEXEC);
}

/* Contexts attach one after the other when mtcpd has been restarted: those of
 * the attachment of the first one go along. */
struct attach *exec_attach(void)
{
	for (uint32_t i = 0; i < home_limit(); i++)
		if (home_context(i) && home_context(i)->at)
			return home_context(i)->at;
	return NULL;
}

bool exec_any(void)
{
	struct file *f;

	for (int fd = 0; fd < table_top(); fd++) {
		f = table_at(fd);
		if (f && f->sock >= 0 && inheritable(fd))
			return true;
	}
	return false;
}

static bool export_listener(const struct listener *l,
			    struct conn_state_record *c)
{
	memset(c, 0, sizeof(*c));
	memcpy(c->local, l->addr, 16);
	c->local_port = l->port;
	c->has_opts = l->opts != NULL;
	if (l->opts)
		c->opts = *l->opts;
	return l->id != 0;
}

static bool export_file(const struct file *f, int fd, bool ours,
			struct state_file *out)
{
	struct mtcp_context *x = file_context(f);
	const struct slot *s = &x->ids.slot[f->sock];
	struct stat st;

	memset(out, 0, sizeof(*out));
	if (!x->at || fstat(fd, &st))
		return false;
	out->dev = st.st_dev;
	out->inode = st.st_ino;
	out->rcv_us = f->rcv_us;
	out->snd_us = f->snd_us;
	out->kind = f->kind;
	out->nonblock = f->nonblock;
	out->six = f->six;
	out->both = f->both;
	if (s->type == SLOT_LISTENER) {
		out->backlog = x->listeners[s->obj]->backlog;
		return export_listener(x->listeners[s->obj], &out->c);
	}
	if (!conn_export(x, conn_at(&x->conns, s->obj), &out->c))
		return false;
	out->c.ours = out->c.ours && ours;
	return true;
}

static uint32_t write_files(int fd, bool spawn)
{
	struct state_file out;
	uint32_t count = 0;
	off_t at = (off_t)sizeof(struct state_head);

	for (int i = 0; i < table_top() && count < STATE_FILES; i++) {
		struct file *f = table_at(i);

		if (!f || f->sock < 0 || !(spawn || inheritable(i)) ||
		    !export_file(f, i, !spawn, &out))
			continue;
		if (pwrite(fd, &out, sizeof(out), at) != sizeof(out))
			break;
		at += (off_t)sizeof(out);
		count++;
	}
	return count;
}

int exec_write(const struct attach *at, const struct ctx_set *ctx, bool spawn)
{
	struct state_head h = { .magic = STATE_MAGIC, .head_bytes = sizeof(h),
				.file_bytes = sizeof(struct state_file) };
	int fd = fd_high(memfd_create("mtcp-exec", MFD_CLOEXEC |
				      MFD_ALLOW_SEALING));

	if (fd < 0)
		return -errno;
	h.count = write_files(fd, spawn);
	h.fds = (uint32_t)table_top();
	attach_export(at, ctx, &h.at);
	if (!h.count || pwrite(fd, &h, sizeof(h), 0) != sizeof(h)) {
		real()->close(fd);
		return -ENOENT;
	}
	real()->fcntl(fd, F_SETFD, 0);
	attach_inherit(at, true);
	return fd;
}

/* ---- exec ---- */

struct passing {
	bool locked;
	int fd;			/* the state, or negative */
	struct attach *at;
	struct env env;
};

/* All that was written and read is said; the contexts of @at. */
static struct ctx_set settle(const struct attach *at)
{
	struct ctx_set set = { .bits = { 0 } };

	for (uint32_t i = 0; i < home_limit(); i++) {
		struct mtcp_context *x = home_context(i);

		if (!x || !x->at)
			continue;
		read_flush_all(x);
		stock_give_up(x);
		ctx_publish(x);
		if (x->at == at)
			ctx_set_add(&set, x->id);
	}
	return set;
}

static struct passing pass_begin(char *const envp[])
{
	struct passing p = { .fd = -1, .env.env = envp };
	struct ctx_set set;

	if (inside || !context_any() || !own_process())
		return p;
	all_lock();
	p.locked = true;
	p.at = exec_attach();
	if (!p.at || !exec_any())
		return p;
	set = settle(p.at);
	p.fd = exec_write(p.at, &set, false);
	if (p.fd >= 0)
		p.env = env_for(envp);
	return p;
}

/* exec() came back. */
static int pass_end(struct passing p)
{
	int saved = errno;

	if (p.fd >= 0) {
		real()->close(p.fd);
		attach_inherit(p.at, false);
	}
	env_free(&p.env);
	if (p.locked)
		all_unlock();
	errno = saved;
	return -1;
}

PUBLIC int execve(const char *path, char *const argv[], char *const envp[])
{
	struct passing p = pass_begin(envp);

	real()->execve(path, argv, p.env.env);
	return pass_end(p);
}

PUBLIC int execv(const char *path, char *const argv[])
{
	return execve(path, argv, environ);
}

PUBLIC int execvpe(const char *file, char *const argv[], char *const envp[])
{
	struct passing p = pass_begin(envp);

	real()->execvpe(file, argv, p.env.env);
	return pass_end(p);
}

PUBLIC int execvp(const char *file, char *const argv[])
{
	return execvpe(file, argv, environ);
}

PUBLIC int fexecve(int fd, char *const argv[], char *const envp[])
{
	struct passing p = pass_begin(envp);

	real()->fexecve(fd, argv, p.env.env);
	return pass_end(p);
}

/* The arguments of execl() and its like, NULL at the end; too many: false. */
static bool gather_args(char **argv, const char *first, va_list *ap)
{
	int n = 0;

	argv[n++] = (char *)(uintptr_t)first;
	while (first && n < ARGS_MAX) {
		argv[n] = va_arg(*ap, char *);
		if (!argv[n++])
			return true;
	}
	errno = E2BIG;
	return !first;
}

PUBLIC int execl(const char *path, const char *arg, ...)
{
	char *argv[ARGS_MAX];
	va_list ap;
	bool ok;

	va_start(ap, arg);
	ok = gather_args(argv, arg, &ap);
	va_end(ap);
	return ok ? execve(path, argv, environ) : -1;
}

PUBLIC int execlp(const char *file, const char *arg, ...)
{
	char *argv[ARGS_MAX];
	va_list ap;
	bool ok;

	va_start(ap, arg);
	ok = gather_args(argv, arg, &ap);
	va_end(ap);
	return ok ? execvpe(file, argv, environ) : -1;
}

PUBLIC int execle(const char *path, const char *arg, ...)
{
	char *argv[ARGS_MAX], **envp;
	va_list ap;
	bool ok;

	va_start(ap, arg);
	ok = gather_args(argv, arg, &ap);
	envp = va_arg(ap, char **);
	va_end(ap);
	return ok ? execve(path, argv, envp) : -1;
}

/* ---- in ---- */

static int find_state(struct state_head *h)
{
	for (int fd = STATE_FDS - 1; fd > 2; fd--) {
		if (real()->fcntl(fd, F_GET_SEALS) < 0 ||
		    pread(fd, h, sizeof(*h), 0) != sizeof(*h) ||
		    h->magic != STATE_MAGIC || h->head_bytes != sizeof(*h) ||
		    h->file_bytes != sizeof(struct state_file) ||
		    h->count > STATE_FILES)
			continue;
		if (real()->fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL) == 0)
			return fd;
		real()->close(fd);	/* another has it */
	}
	return -1;
}

static struct state_file *read_files(int fd, const struct state_head *h)
{
	size_t bytes = h->count * sizeof(struct state_file);
	struct state_file *all = malloc(bytes);

	if (all && pread(fd, all, bytes, (off_t)sizeof(*h)) ==
		   (ssize_t)bytes)
		return all;
	free(all);
	return NULL;
}

static uint32_t match(int fd, const struct state_file *all, uint32_t count)
{
	struct stat st;
	uint32_t i = 0;

	if (fstat(fd, &st) || !S_ISSOCK(st.st_mode))
		return count;
	while (i < count && (all[i].inode != st.st_ino ||
			     all[i].dev != st.st_dev))
		i++;
	return i;
}

static int import_listener(struct mtcp_context *x, const struct state_file *in)
{
	struct sockaddr_in sa;
	socklen_t n = sizeof(sa);
	int id = mtcp_socket(x, AF_INET, SOCK_STREAM, 0);

	if (id < 0)
		return -errno;
	addr_to(in->c.local, in->c.local_port, (struct sockaddr *)&sa, &n);
	if (in->c.has_opts)
		ctx_conn(x, id)->opts = opts_copy(&in->c.opts);
	if (mtcp_bind(x, id, (struct sockaddr *)&sa, n) == 0 &&
	    mtcp_listen(x, id, (int)in->backlog) == 0)
		return id;
	mtcp_close(x, id);
	return -EADDRINUSE;
}

static struct file *import_file(struct mtcp_context *x, int fd,
				const struct state_file *in)
{
	int id = in->kind == FILE_LISTENER ? import_listener(x, in) :
					     conn_import(x, &in->c);
	struct file *f = id >= 0 ? file_new(fd, FILE_STREAM, 0) : NULL;

	if (!f)
		return NULL;
	f->kind = in->kind;
	f->nonblock = in->nonblock;
	f->six = in->six;
	f->both = in->both;
	f->rcv_us = in->rcv_us;
	f->snd_us = in->snd_us;
	file_set_sock(f, id);
	return f;
}

static void import_all(struct mtcp_context *x, const struct state_file *all,
		       struct file **made, uint32_t count, int fds)
{
	for (int fd = 0; fd < fds; fd++) {
		uint32_t i = match(fd, all, count);

		if (i == count)
			continue;
		if (made[i])
			file_add(made[i], fd);
		else
			made[i] = import_file(x, fd, &all[i]);
		stdio_adopt(fd);
	}
	conns_settle(x);
}

static void drop_fds(const struct state_head *h)
{
	real()->close(h->at.ctl_fd);
	real()->close(h->at.seg_fd);
	for (uint32_t e = 0; e < h->at.engines && e < ENGINES_MAX; e++)
		real()->close(h->at.wake_fd[e]);
}

static void adopt(const struct state_head *h, const struct state_file *all)
{
	int fds = h->fds > STATE_FDS ? (int)h->fds : STATE_FDS, fd = 0;
	struct file **made = calloc(h->count, sizeof(struct file *));
	struct mtcp_context *x;

	while (fd < fds && match(fd, all, h->count) == h->count)
		fd++;
	if (fd == fds || !made || attach_import(&h->at)) {
		drop_fds(h);
	} else {
		x = home_open(0);
		if (x)
			import_all(x, all, made, h->count, fds);
		if (x)
			attach_end_contexts(x, &h->at.contexts);
	}
	free(made);
}

void exec_adopt(void)
{
	struct state_file *all;
	struct state_head h;
	int fd;

	home_lock(0);
	fd = find_state(&h);
	all = fd >= 0 ? read_files(fd, &h) : NULL;
	if (all)
		adopt(&h, all);
	free(all);
	if (fd >= 0)
		real()->close(fd);
	home_unlock();
}
