/*
 * main.c - mtcpd's command line, and its way into the background
 *
 * Start order: options, configuration (nothing is opened before it is right),
 * then control.h's: ports, engines, sockets.  Without -f the process that was
 * started waits until a forked one is ready, so that its exit status tells
 * whether mtcpd runs; threads do not survive fork(), hence the fork comes
 * before everything else.
 *
 * Exit status: 0 ended as asked, 1 could not start or stop in order, 2 usage.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "control/claim.h"
#include "control/config.h"
#include "control/control.h"

static const char usage_text[] =
	"usage: mtcpd [-f] [-c FILE]\n"
	"       mtcpd --check-config [-c FILE]\n"
	"       mtcpd --claim [-c FILE] | --release\n"
	"\n"
	"A user-level TCP stack for many programs.\n"
	"\n"
	"  -c, --config FILE   configuration (default " CONFIG_FILE ")\n"
	"  -f, --foreground    stay in the foreground\n"
	"      --check-config  read the configuration, say what is wrong, exit\n"
	"      --claim         tell NetworkManager and systemd-networkd which\n"
	"                      devices are mtcpd's, exit\n"
	"      --release       give these back to them, exit\n"
	"      --version       print the version, exit\n"
	"  -h, --help          print this, exit\n";

struct options {
	const char *file;
	bool foreground, check, claim, release;
};

static void usage_error(void)
{
	fputs("Try `mtcpd --help`.\n", stderr);
	exit(2);
}

static void read_options(struct options *o, int argc, char **argv)
{
	enum { OPT_CHECK = 256, OPT_VERSION, OPT_CLAIM, OPT_RELEASE };
	static const struct option longs[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "foreground", no_argument, NULL, 'f' },
		{ "check-config", no_argument, NULL, OPT_CHECK },
		{ "claim", no_argument, NULL, OPT_CLAIM },
		{ "release", no_argument, NULL, OPT_RELEASE },
		{ "version", no_argument, NULL, OPT_VERSION },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 } };
	int opt;

	while ((opt = getopt_long(argc, argv, "c:fh", longs, NULL)) != -1) {
		switch (opt) {
		case 'c': o->file = optarg; break;
		case 'f': o->foreground = true; break;
		case OPT_CHECK: o->check = true; break;
		case OPT_CLAIM: o->claim = true; break;
		case OPT_RELEASE: o->release = true; break;
		case OPT_VERSION: printf("mtcpd %s\n", MTCPD_VERSION); exit(0);
		case 'h': fputs(usage_text, stdout); exit(0);
		default: usage_error();
		}
	}
	if (optind < argc) {
		fprintf(stderr, "mtcpd: unexpected argument \"%s\"\n",
			argv[optind]);
		usage_error();
	}
}

/* In the one that was started: 0 once the other says so, else its failure. */
static void wait_until_ready(int fd, pid_t pid)
{
	char ready;
	ssize_t n;
	int status;

	do {
		n = read(fd, &ready, 1);
	} while (n < 0 && errno == EINTR);
	if (n == 1)
		_exit(0);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	_exit(1);
}

/* Returns in the background process: where to say that it is ready. */
static int go_to_background(void)
{
	int ends[2];
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0)
		log_fatal("cannot make a pipe");
	pid = fork();
	if (pid < 0)
		log_fatal("cannot fork");
	if (pid > 0) {
		close(ends[1]);
		wait_until_ready(ends[0], pid);
	}
	close(ends[0]);
	setsid();
	return ends[1];
}

/* A terminal is given back; a file or the journal goes on getting the log. */
static void let_go_of_terminal(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	struct stat err;
	bool keep = fstat(STDERR_FILENO, &err) == 0 &&
		    (S_ISREG(err.st_mode) || S_ISSOCK(err.st_mode));

	if (null < 0)
		return;
	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
	if (!keep)
		dup2(null, STDERR_FILENO);
	if (null > STDERR_FILENO)
		close(null);
	if (chdir("/") < 0)
		log_warn("cannot change to /");
}

static void ready(void *arg)
{
	int fd = *(int *)arg;

	if (fd < 0)
		return;
	if (write(fd, "", 1) != 1)
		log_warn("cannot tell that mtcpd is ready");
	close(fd);
	let_go_of_terminal();
}

int main(int argc, char **argv)
{
	struct options o = { .file = CONFIG_FILE };
	struct config *cfg = calloc(1, sizeof(*cfg));
	char err[CONFIG_ERR_BYTES];
	int ready_fd = -1, rc;

	read_options(&o, argc, argv);
	if (o.release)
		return claim_release("") < 0;
	if (!cfg)
		log_fatalx("out of memory at start");
	if (config_load(cfg, o.file, err) < 0) {
		fprintf(stderr, "mtcpd: %s\n", err);
		free(cfg);
		return 1;
	}
	if (o.check) {
		printf("%s: ok\n", o.file);
		free(cfg);
		return 0;
	}
	log_set_level((enum log_level)cfg->daemon.log);
	if (o.claim) {
		rc = claim_devices(cfg, "") < 0;
		free(cfg);
		return rc;
	}
	if (!o.foreground)
		ready_fd = go_to_background();
	rc = control_run(cfg, MTCPD_VERSION, ready, &ready_fd);
	free(cfg);
	return rc;
}
