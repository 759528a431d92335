#include "control/account.h"
#include "control/control.h"

#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"

/* Every client costs descriptors: as many as we may have. */
static void raise_file_limit(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) < 0)
		return;
	files.rlim_cur = files.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &files) < 0)
		log_warn("cannot raise the limit of open files");
}

/* Is there a daemon already?  Before a port is opened. */
static void be_the_only_one(struct control *c)
{
	const struct config_daemon *d = &c->cfg->daemon;
	char err[CONFIG_ERR_BYTES];

	c->pid_fd = -1;
	if (server_make_parent(d->socket, err) < 0 ||
	    server_make_parent(d->admin, err) < 0 ||
	    (d->pidfile[0] && server_make_parent(d->pidfile, err) < 0) ||
	    server_check(d->socket, SOCK_SEQPACKET, err) < 0 ||
	    server_check(d->admin, SOCK_STREAM, err) < 0)
		log_fatalx("%s", err);
	if (!d->pidfile[0])
		return;
	c->pid_fd = pidfile_open(d->pidfile, err);
	if (c->pid_fd < 0)
		log_fatalx("%s", err);
	pidfile_write(c->pid_fd);
}

static void start(struct control *c, struct config *cfg, const char *version)
{
	struct timespec now;

	*c = (struct control){ .cfg = cfg, .version = version,
			       .client_fd = -1, .admin_fd = -1,
			       .start = mono_now(), .next_client = 1 };
	c->log_level = cfg->daemon.log;
	clock_gettime(CLOCK_REALTIME, &now);
	c->start_us = (uint64_t)now.tv_sec * 1000000 +
		      (uint64_t)now.tv_nsec / 1000;
	c->base = event_base_new();
	if (!c->base)
		log_fatalx("out of memory at start");
	raise_file_limit();
	be_the_only_one(c);
	hole_init(c);
	engines_start(c);
	stop_init(c);
	follow_watch(c);
	server_open(c);
	http_start(c);
}

/* Only after all engines have stopped. */
static void finish(struct control *c)
{
	http_stop(c);
	engines_join(c);
	watchdog_stop(c);
	capture_free(c);
	follow_end(c);
	share_end(c);
	clients_free_all(c);
	accounts_free_all(c);
	listeners_free_all(c);
	engines_close(c);
	hole_fini();
	stop_fini(c);
	pidfile_close(c->pid_fd, c->cfg->daemon.pidfile);
	event_base_free(c->base);
}

int control_run(struct config *cfg, const char *version,
		void (*ready)(void *arg), void *arg)
{
	struct control *c = malloc(sizeof(*c));

	if (!c)
		log_fatalx("out of memory at start");
	start(c, cfg, version);
	log_event(LOG_EV_READY, LOG_LEVEL_INFO,
		  "mtcpd %s is ready: %u engine%s, %u port%s, programs attach "
		 "at %s", version, c->engine_count,
		 c->engine_count == 1 ? "" : "s", c->port_count,
		 c->port_count == 1 ? "" : "s", cfg->daemon.socket);
	sandbox_calls(c);
	ready(arg);
	watchdog_start(c);
	event_base_dispatch(c->base);
	if (c->failed) {
		pidfile_close(c->pid_fd, cfg->daemon.pidfile);
		_exit(1);	/* engines still run: nothing may be freed */
	}
	finish(c);
	log_event(LOG_EV_STOPPED, LOG_LEVEL_INFO, "mtcpd has stopped");
	free(c);
	return 0;
}
