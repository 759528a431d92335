#define LOG_FACILITY LOG_FAC_CONFIG

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "control/claim.h"

#define PATH_BYTES	256
#define NAME_CHARS	"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ" \
			"0123456789._-"

extern char **environ;

struct manager {
	const char *name;
	const char *program;		/* installed when this is there */
	const char *running;		/* it runs, or ran, when this is there */
	const char *folder, *file;	/* that it reads */
	const char *head, *before, *between, *tail;	/* around names */
	const char *const *reload;	/* what tells it to read again */
};

static const char *const nm_reload[] = { "nmcli", "--wait", "5", "general",
	"reload", "conf", NULL };
static const char *const networkd_reload[] = { "networkctl", "reload", NULL };

static const struct manager managers[] = {
	{ "NetworkManager", "/usr/sbin/NetworkManager",
	  "/run/NetworkManager/devices",
	  "/run/NetworkManager/conf.d", "mtcpd.conf",
	  "[keyfile]\nunmanaged-devices+=", "interface-name:=", ";", "\n",
	  nm_reload },
	{ "systemd-networkd", "/lib/systemd/systemd-networkd",
	  "/run/systemd/netif", "/run/systemd/network", "10-mtcpd.network",
	  "[Match]\nName=", "", " ", "\n\n[Link]\nUnmanaged=yes\n",
	  networkd_reload },
};
#define MANAGERS (sizeof(managers) / sizeof(managers[0]))

static bool there(const char *root, const char *path)
{
	char full[PATH_BYTES];

	snprintf(full, sizeof(full), "%s%s", root, path);
	return access(full, F_OK) == 0;
}

static bool ours_alone(const struct config_port *p)
{
	const char *dev = p->io.device;

	return (!strcmp(p->io.driver, "xdp") || !strcmp(p->io.driver, "tap")) &&
	       !p->io.share && dev[0] && strspn(dev, NAME_CHARS) == strlen(dev);
}

/* What the manager is to read; how many devices it names. */
static unsigned int compose(const struct config *cfg, const struct manager *m,
			    char *buf, size_t bytes)
{
	struct text_out out = { .buf = buf, .bytes = bytes };
	unsigned int n = 0;

	text_add(&out, "# mtcpd has these devices for itself (mtcpd --claim)\n"
		 "%s", m->head);
	for (uint32_t i = 0; i < cfg->port_count; i++)
		if (ours_alone(&cfg->ports[i]))
			text_add(&out, "%s%s%s", n++ ? m->between : "",
				 m->before, cfg->ports[i].io.device);
	text_add(&out, "%s", m->tail);
	return n;
}

/* All folders of @path below @root. */
static int make_folders(const char *root, const char *path)
{
	char full[PATH_BYTES];

	for (const char *end = path; *end;) {
		end++;
		end += strcspn(end, "/");
		snprintf(full, sizeof(full), "%s%.*s", root, (int)(end - path),
			 path);
		if (mkdir(full, 0755) < 0 && errno != EEXIST)
			return -errno;
	}
	return 0;
}

/* In whole or not at all. */
static int write_file(const char *path, const char *text)
{
	char temp[PATH_BYTES + 8];
	size_t bytes = strlen(text);
	int fd, err = 0;

	snprintf(temp, sizeof(temp), "%s.new", path);
	unlink(temp);
	fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	if (fchmod(fd, 0644) < 0 ||
	    write(fd, text, bytes) != (ssize_t)bytes || rename(temp, path) < 0)
		err = errno ? -errno : -EIO;
	close(fd);
	if (err)
		unlink(temp);
	return err;
}

/* The log is quiet of one that does not run, or answers badly: it is told by
 * the file, too. */
static void tell(const struct manager *m, const char *root)
{
	posix_spawn_file_actions_t quiet;
	int status;
	pid_t pid;

	if (root[0] || !there(root, m->running))
		return;
	posix_spawn_file_actions_init(&quiet);
	for (int fd = 0; fd <= 2; fd++)
		posix_spawn_file_actions_addopen(&quiet, fd, "/dev/null",
						 O_RDWR, 0);
	if (posix_spawnp(&pid, m->reload[0], &quiet, NULL,
			 (char *const *)m->reload, environ) == 0)
		while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
			;
	posix_spawn_file_actions_destroy(&quiet);
}

static int claim_from(const struct config *cfg, const struct manager *m,
		      const char *root)
{
	char text[2048], path[PATH_BYTES];
	int err;

	compose(cfg, m, text, sizeof(text));
	err = make_folders(root, m->folder);
	snprintf(path, sizeof(path), "%s%s/%s", root, m->folder, m->file);
	if (err == 0)
		err = write_file(path, text);
	if (err < 0) {
		log_warnx("%s is not told which devices are mtcpd's: %s: %s",
			  m->name, path, strerror(-err));
		return err;
	}
	tell(m, root);
	return 0;
}

static int release_from(const struct manager *m, const char *root)
{
	char path[PATH_BYTES];

	snprintf(path, sizeof(path), "%s%s/%s", root, m->folder, m->file);
	if (unlink(path) == 0) {
		tell(m, root);
		return 0;
	}
	if (errno == ENOENT)
		return 0;
	log_warn("%s is not given back its devices: %s", m->name, path);
	return -errno;
}

int claim_release(const char *root)
{
	int err = 0;

	for (size_t i = 0; i < MANAGERS; i++) {
		int one = release_from(&managers[i], root);

		err = err ? err : one;
	}
	return err;
}

int claim_devices(const struct config *cfg, const char *root)
{
	unsigned int ours = 0;
	int err = 0;

	umask(022);		/* networkd reads as a user of its own */
	for (uint32_t i = 0; i < cfg->port_count; i++)
		ours += ours_alone(&cfg->ports[i]);
	if (!ours || !cfg->daemon.claim)
		return claim_release(root);
	for (size_t i = 0; i < MANAGERS; i++) {
		int one;

		if (!there(root, managers[i].program))
			continue;
		one = claim_from(cfg, &managers[i], root);
		err = err ? err : one;
	}
	return err;
}
