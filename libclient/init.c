#include "libclient/client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libclient/util/cpu.h"

static pthread_once_t settings_once = PTHREAD_ONCE_INIT;

static void settings_start(void)
{
	settings_default(&the_settings);
}

/* mTCP pushed these files into its stack; mtcpd's tables are the daemon's. */
static void mention_files(void)
{
	static const struct { const char *path, *instead; } files[] = {
		{ "config/arp.conf", "[neighbour] sections, mtcpctl arp" },
		{ "config/route.conf", "[route] sections, mtcpctl routes" },
	};

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		if (access(files[i].path, F_OK) == 0)
			fprintf(stderr, "mtcp: %s is not used: these are "
				"mtcpd's matter (mtcpd.conf: %s)\n",
				files[i].path, files[i].instead);
}

static int init(const char *config_file)
{
	struct settings s = the_settings;
	struct attach *at;
	char why[768];
	int err;

	if (config_file) {
		err = conf_read(&s, config_file, why, sizeof(why));
		if (err) {
			fprintf(stderr, "mtcp: %s\n", why);
			return err;
		}
	}
	the_settings = s;
	mention_files();
	if (!the_client.now)
		image_adopt();
	err = attach_get(&at, true);
	if (err) {
		fprintf(stderr, "mtcp: %s\n", the_client.text);
		return err;
	}
	attach_put(at);
	fork_watch();
	the_client.inited = true;
	return 0;
}

MTCP_PUBLIC int mtcp_init(const char *config_file)
{
	int err;

	pthread_once(&settings_once, settings_start);
	if (the_client.inited)
		return 0;
	err = init(config_file);
	if (!err)
		return 0;
	errno = -err;
	return -1;
}

/* Contexts of this thread end; those of others get EINTR and end themselves. */
MTCP_PUBLIC void mtcp_destroy()
{
	struct client *c = &the_client;
	struct attach *at;

	if (!c->inited)
		return;
	atomic_fetch_add(&interrupts, 1);
	ctx_interrupt_all();
	for (uint32_t i = 0; i < CONTEXTS_MAX; i++) {
		struct mtcp_context *x = c->contexts[i];

		if (x && !atomic_load(&x->finished) &&
		    pthread_equal(x->owner, pthread_self()))
			mtcp_destroy_context(x);
	}
	pthread_mutex_lock(&c->lock);
	at = c->now;
	c->now = NULL;
	c->inited = false;
	free(c->image);
	c->image = NULL;
	pthread_mutex_unlock(&c->lock);
	if (at)
		attach_put(at);
}

MTCP_PUBLIC int mtcp_getconf(struct mtcp_conf *conf)
{
	pthread_once(&settings_once, settings_start);
	if (!conf) {
		errno = EINVAL;
		return -1;
	}
	*conf = the_settings.conf;
	return 0;
}

static void take(int *to, int from)
{
	if (from > 0)
		*to = from;
}

MTCP_PUBLIC int mtcp_setconf(const struct mtcp_conf *conf)
{
	struct mtcp_conf *to = &the_settings.conf;

	pthread_once(&settings_once, settings_start);
	if (!conf || conf->num_cores > (int)CONTEXTS_MAX ||
	    conf->max_concurrency > 16000000) {
		errno = EINVAL;
		return -1;
	}
	take(&to->num_cores, conf->num_cores);
	take(&to->max_concurrency, conf->max_concurrency);
	take(&to->max_num_buffers, conf->max_num_buffers);
	take(&to->rcvbuf_size, conf->rcvbuf_size);
	take(&to->sndbuf_size, conf->sndbuf_size);
	take(&to->tcp_timewait, conf->tcp_timewait);
	take(&to->tcp_timeout, conf->tcp_timeout);
	return 0;
}

MTCP_PUBLIC int mtcp_core_affinitize(int cpu)
{
	return CoreAffinitize(cpu);
}
