#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "control/control.h"

#define BACKLOG		128
#define ACCEPTS_A_TURN	16

static struct sockaddr_un address(const char *path)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };

	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", path);
	return sa;
}

/* Does somebody accept at @path?  0 no, 1 yes, or -errno. */
static int is_alive(const char *path, int type)
{
	struct sockaddr_un sa = address(path);
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), rc;

	if (fd < 0)
		return -errno;
	rc = connect(fd, (struct sockaddr *)&sa, sizeof(sa));
	rc = rc == 0 || errno == EAGAIN ? 1 : -errno;
	close(fd);
	return rc == -ECONNREFUSED || rc == -ENOENT ? 0 : rc;
}

int server_check(const char *path, int type, char *err)
{
	struct stat st;
	int rc;

	if (lstat(path, &st) < 0 && errno == ENOENT)
		return 0;
	if (lstat(path, &st) == 0 && !S_ISSOCK(st.st_mode)) {
		snprintf(err, CONFIG_ERR_BYTES, "%s exists and is no socket: "
			 "remove it, or set [daemon] socket and admin", path);
		return -EEXIST;
	}
	rc = is_alive(path, type);
	if (rc > 0) {
		snprintf(err, CONFIG_ERR_BYTES, "mtcpd is already running (it "
			 "answers at %s): stop it, or set [daemon] socket, "
			 "admin and pidfile for a second one", path);
		return -EADDRINUSE;
	}
	if (rc < 0)
		snprintf(err, CONFIG_ERR_BYTES, "%s cannot be looked at: %s "
			 "(run as root, or set [daemon] socket and admin)",
			 path, strerror(-rc));
	return rc;
}

int server_make_parent(const char *path, char *err)
{
	char dir[CONFIG_PATH_BYTES];
	char *slash;

	snprintf(dir, sizeof(dir), "%s", path);
	slash = strrchr(dir, '/');
	if (!slash || slash == dir)
		return 0;
	*slash = '\0';
	if (mkdir(dir, 0755) == 0 || errno == EEXIST)
		return 0;
	snprintf(err, CONFIG_ERR_BYTES, "folder %s cannot be made: %s (make "
		 "it, run as root, or set other paths in [daemon])", dir,
		 strerror(errno));
	return -errno;
}

static int give_to_group(const char *path, const struct config_daemon *cfg)
{
	if (!cfg->group[0])
		return chmod(path, 0600);
	if (chown(path, (uid_t)-1, cfg->gid) < 0)
		return -1;
	return chmod(path, 0660);
}

int server_listen(const char *path, int type, const struct config_daemon *cfg,
		  char *err)
{
	struct sockaddr_un sa = address(path);
	mode_t before;
	int fd, rc;

	rc = server_check(path, type, err);
	if (rc < 0)
		return rc;
	unlink(path);			/* stale, if it is there at all */
	fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	before = umask(0177);
	rc = fd < 0 ? -1 : bind(fd, (struct sockaddr *)&sa, sizeof(sa));
	umask(before);
	if (rc < 0 || give_to_group(path, cfg) < 0 || listen(fd, BACKLOG) < 0) {
		rc = -errno;
		snprintf(err, CONFIG_ERR_BYTES, "cannot listen at %s: %s (run "
			 "as root, or set [daemon] socket, admin and group)",
			 path, strerror(-rc));
		if (fd >= 0)
			close(fd);
		return rc;
	}
	return fd;
}

/* Bounded a turn; what is left makes the descriptor readable again. */
static void accept_some(int listen_fd, struct control *c,
			void (*take)(struct control *, int))
{
	for (int i = 0; i < ACCEPTS_A_TURN; i++) {
		int fd = accept4(listen_fd, NULL, NULL,
				 SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd >= 0) {
			take(c, fd);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE)
			log_warn("cannot accept: raise the limit of open files "
				 "(ulimit -n, LimitNOFILE=)");
		if (errno != EINTR && errno != ECONNABORTED)
			return;
	}
}

static void client_ready(int fd, short what, void *arg)
{
	(void)what;
	accept_some(fd, arg, client_accept);
}

static void admin_ready(int fd, short what, void *arg)
{
	(void)what;
	accept_some(fd, arg, admin_accept);
}

static struct event *watch(struct control *c, int fd, event_callback_fn fn)
{
	struct event *ev = event_new(c->base, fd, EV_READ | EV_PERSIST, fn, c);

	if (!ev)
		log_fatalx("out of memory at start");
	event_add(ev, NULL);
	return ev;
}

void server_bind(struct control *c)
{
	const struct config_daemon *cfg = &c->cfg->daemon;
	char err[CONFIG_ERR_BYTES];

	c->client_fd = server_listen(cfg->socket, SOCK_SEQPACKET, cfg, err);
	if (c->client_fd < 0)
		log_fatalx("%s", err);
	c->admin_fd = server_listen(cfg->admin, SOCK_STREAM, cfg, err);
	if (c->admin_fd < 0) {
		unlink(cfg->socket);
		log_fatalx("%s", err);
	}
}

void server_open(struct control *c)
{
	c->client_event = watch(c, c->client_fd, client_ready);
	c->admin_event = watch(c, c->admin_fd, admin_ready);
}

static void close_one(int *fd, struct event **ev, const char *path)
{
	if (*fd < 0)
		return;
	event_free(*ev);
	*ev = NULL;
	unlink(path);
	close(*fd);
	*fd = -1;
}

void server_close_clients(struct control *c)
{
	close_one(&c->client_fd, &c->client_event, c->cfg->daemon.socket);
}

void server_close(struct control *c)
{
	server_close_clients(c);
	close_one(&c->admin_fd, &c->admin_event, c->cfg->daemon.admin);
}
